/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_ERR_H
#define SHIM_ERR_H
#include <linux/types.h>
#include <errno.h>
static inline void *ERR_PTR(long err) { return (void *)err; }
static inline long PTR_ERR(const void *ptr) { return (long)ptr; }
static inline bool IS_ERR(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-4095;
}
static inline bool IS_ERR_OR_NULL(const void *ptr)
{
	return !ptr || IS_ERR(ptr);
}
#endif
