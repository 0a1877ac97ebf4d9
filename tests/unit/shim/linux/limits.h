/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LIMITS_H
#define SHIM_LIMITS_H
#include_next <linux/limits.h>
#define U8_MAX 0xffu
#define U16_MAX 0xffffu
#define U32_MAX 0xffffffffu
#define U64_MAX (~0ull)
#define S64_MAX ((long long)(U64_MAX >> 1))
#endif
