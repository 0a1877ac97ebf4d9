// SPDX-License-Identifier: GPL-2.0
/*
 * Every attack of a catalogue on every metadata block that a volume at rest
 * consists of, and on some of its data: each byte changed, zeros, noise, every
 * earlier version, every other block in its place.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

static void put(struct world *volume, u64 block, struct block *b)
{
	attack(volume, block, b);
	block_put(b);
}

/* A bit of each byte; of @step bytes only one. */
static void flip(struct world *volume, u64 block, u32 step)
{
	const struct block *was = dev_durable(&volume->data, block);
	struct sim *sim = volume->sim;
	u32 i;

	for (i = rng_below(&sim->explore_rng, step); i < QVAULT_BLOCK_SIZE;
	     i += step) {
		struct block *b = block_new(was->data);

		((u8 *)b->data)[i] ^= 1u << rng_below(&sim->explore_rng, 8);
		put(volume, block, b);
	}
}

static void fill(struct world *volume, u64 block)
{
	struct sim *sim = volume->sim;
	u64 data[QVAULT_BLOCK_SIZE / sizeof(u64)];
	u32 i;

	memset(data, 0, sizeof(data));
	put(volume, block, block_new(data));
	memset(data, 0xff, sizeof(data));
	put(volume, block, block_new(data));
	for (i = 0; i < ARRAY_SIZE(data); i++)
		data[i] = rng_next(&sim->explore_rng);
	put(volume, block, block_new(data));
}

static void replay(struct world *volume, u64 block)
{
	const struct versions *v = map64_get(&volume->data.history, block);
	u32 i;

	for (i = 0; v && i < v->nr; i++)
		attack(volume, block, v->item[i]);
}

/* What stands at @other, in any of its versions, in the place of @block. */
static void move(struct world *volume, u64 block, u64 other)
{
	struct sim *sim = volume->sim;
	const struct versions *v = map64_get(&volume->data.history, other);

	if (!v || other == block)
		return;
	attack(volume, block, v->item[v->nr - 1]);
	attack(volume, block, v->item[rng_below(&sim->explore_rng, v->nr)]);
}


void attack_all(struct world *volume)
{
	struct sim *sim = volume->sim;
	const struct qvault_disk_anchor *disk =
		newest_record(&volume->crypto, &volume->anchor);
	u64 *reached, block, group;
	struct walk w;
	u32 nr = 0, i, bit, step;

	if (!walk(&w, &volume->crypto, &volume->data, disk))
		shim_fail("the volume to attack does not hold: %s", w.why);
	reached = calloc(w.geo.data_blocks, sizeof(*reached));
	for_each_set_bit(block, w.bits, w.geo.data_blocks)
		reached[nr++] = block;
	for (i = 0; i < nr; i++) {
		bool data = qvault_locate(&w.geo, reached[i], &group, &bit);

		/* Of data blocks, which are many, only some and less of each. */
		if (data && rng_below(&sim->explore_rng, nr) > 20)
			continue;
		step = max(1u, 4096 / max(1u, sim->p.attacks));
		flip(volume, reached[i], data ? 512 : step);
		fill(volume, reached[i]);
		replay(volume, reached[i]);
		move(volume, reached[i],
		     reached[rng_below(&sim->explore_rng, nr)]);
		if (!data && i)
			move(volume, reached[i], reached[i - 1]);
	}
	free(reached);
	walk_exit(&w);
}
