/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_CONTAINER_OF_H
#define SHIM_CONTAINER_OF_H
#include <linux/types.h>
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#endif
