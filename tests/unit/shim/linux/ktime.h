/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_KTIME_H
#define SHIM_KTIME_H
#include <linux/types.h>

/* It stands still: for one seed everything is always the same. */
static inline s64 ktime_get_real_seconds(void)
{
	return 1700000000;
}
#endif
