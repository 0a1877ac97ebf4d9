/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_HASH_H
#define SHIM_HASH_H
#include <linux/types.h>
/* Poor on purpose: neighbours collide, so that chains are walked. */
static inline u32 hash_64(u64 x, unsigned int bits)
{
	return bits ? (x ^ x >> 7) & ((1u << bits) - 1) : 0;
}
static inline u32 hash_32(u32 x, unsigned int bits) { return hash_64(x, bits); }
#define hash_long(x, bits) hash_64(x, bits)
#endif
