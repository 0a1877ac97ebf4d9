/* SPDX-License-Identifier: GPL-2.0 */
/* Seeded random numbers (splitmix64): the only source of chance in a run. */
#ifndef SHIM_RNG_H
#define SHIM_RNG_H
#include <linux/types.h>

struct rng {
	u64 state;
};

static inline u64 mix64(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline u64 rng_next(struct rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15ull;
	return mix64(rng->state);
}

/* 0 .. n - 1 */
static inline u64 rng_below(struct rng *rng, u64 n)
{
	return n ? rng_next(rng) % n : 0;
}

static inline bool rng_chance(struct rng *rng, u32 percent)
{
	return rng_below(rng, 100) < percent;
}
#endif
