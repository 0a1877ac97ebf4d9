/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_JIFFIES_H
#define SHIM_JIFFIES_H
#define HZ 250
/* Counted by whoever simulates time. */
extern unsigned long jiffies;
#define time_before(a, b) ((long)((a) - (b)) < 0)
#define msecs_to_jiffies(ms) ((ms) * HZ / 1000)
#endif
