/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: who sleeps does so on the clock of the devices. */
#ifndef SCALE_DELAY_H
#define SCALE_DELAY_H
#include <linux/jiffies.h>
#include <linux/kernel.h>
void scale_sleep(u64 ns);
static inline void usleep_range(unsigned long min, unsigned long max)
{
	scale_sleep(min * 1000ull);
}
static inline void msleep(unsigned int ms)
{
	scale_sleep(ms * 1000000ull);
}
#endif
