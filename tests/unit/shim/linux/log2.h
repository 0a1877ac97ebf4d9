/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LOG2_H
#define SHIM_LOG2_H
#include <linux/types.h>
static inline int shim_ilog2(u64 n) { return 63 - __builtin_clzll(n); }
#define ilog2(n) shim_ilog2(n)
#define is_power_of_2(n) ((n) != 0 && (((n) & ((n) - 1)) == 0))
#define roundup_pow_of_two(n) \
	((n) <= 1 ? 1UL : 1UL << (shim_ilog2((u64)(n) - 1) + 1))
#define rounddown_pow_of_two(n) (1UL << shim_ilog2(n))
#define order_base_2(n) ((n) <= 1 ? 0 : shim_ilog2((u64)(n) - 1) + 1)
static inline int fls(unsigned int x) { return x ? 32 - __builtin_clz(x) : 0; }
static inline int fls64(u64 x) { return x ? 64 - __builtin_clzll(x) : 0; }
#endif
