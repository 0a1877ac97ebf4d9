/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_JIFFIES_H
#define SHIM_JIFFIES_H
#define HZ 250
#define msecs_to_jiffies(ms) ((ms) * HZ / 1000)
#endif
