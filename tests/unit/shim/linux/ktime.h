/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_KTIME_H
#define SHIM_KTIME_H
#include <linux/jiffies.h>
#include <linux/types.h>

#define NSEC_PER_SEC 1000000000L

/* It stands still: for one seed everything is always the same. */
static inline s64 ktime_get_real_seconds(void)
{
	return 1700000000;
}

static inline u64 ktime_get_boottime_ns(void)
{
	return (u64)jiffies * (NSEC_PER_SEC / HZ) + 1;
}
#endif
