/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_DELAY_H
#define SHIM_DELAY_H
#include <linux/jiffies.h>
#include <linux/kernel.h>
/* There is no time: it is only others' turn, and counted. */
extern unsigned long shim_pauses;
static inline void usleep_range(unsigned long min, unsigned long max)
{
	shim_pauses++;
	shim_might_sleep(__FILE__, __LINE__);
}
static inline void msleep(unsigned int ms)
{
	jiffies += msecs_to_jiffies(ms);
	usleep_range(ms, ms);
}
#endif
