/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_BUILD_BUG_H
#define SHIM_BUILD_BUG_H
#include <linux/types.h>
/* The kernel's static_assert() takes the message or not, as C23's does. */
#undef static_assert
#define static_assert(expr, ...) _Static_assert(expr, "" #expr)
#define BUILD_BUG_ON(cond) _Static_assert(!(cond), "not " #cond)
#endif
