/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H
#include <linux/types.h>
#include <linux/align.h>
#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define might_sleep() shim_might_sleep(__FILE__, __LINE__)
void shim_might_sleep(const char *file, int line);
static inline void cond_resched(void) { shim_might_sleep(__FILE__, __LINE__); }
#endif
