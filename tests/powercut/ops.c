// SPDX-License-Identifier: GPL-2.0
/* The operations, each from its number alone, and blocks that say who wrote them. */
#include <string.h>

#include "powercut.h"

#define MAGIC	0x7475637265776f70ull	/* "powercut" */

struct block {
	u64 magic;
	u64 lba;
	u32 boot;
	u32 op;
	u8 fill[BLOCK - 32];
	u32 zero;
	u32 crc;
};
static_assert(sizeof(struct block) == BLOCK);

static void seed_for(struct prng *p, u64 seed, u32 boot, u32 thread, u32 index)
{
	prng_seed(p, seed ^ (u64)boot << 40 ^ (u64)thread << 36 ^ index);
}

struct op op_at(u64 seed, u32 boot, u32 thread, u32 index)
{
	struct op op = { OP_WRITE, 0, 0 };
	struct prng p;
	u32 dice, span;

	seed_for(&p, seed, boot, thread, index);
	dice = prng_below(&p, 100);
	if (dice < 4) {
		op.kind = OP_FLUSH;
		return op;
	}
	if (dice < 6)
		op.kind = OP_FUA;
	else if (dice < 10)
		op.kind = OP_ZERO;
	op.count = 1 + prng_below(&p, prng_chance(&p, 30) ? MAX_COUNT : 4);
	/* Overwriting is what can go wrong. */
	span = prng_chance(&p, 60) ? REGION / 8 : REGION;
	op.lba = thread * REGION + prng_below(&p, span - op.count + 1);
	return op;
}

void op_fill(u64 seed, u32 boot, u32 thread, u32 index, u32 lba, void *out)
{
	struct block *b = out;
	struct prng p;

	b->magic = MAGIC;
	b->lba = lba;
	b->boot = boot;
	b->op = index;
	seed_for(&p, ~seed, boot, thread, index);
	prng_fill(&p, b->fill, sizeof(b->fill));
	b->zero = 0;
	b->crc = crc32c(lba, b, offsetof(struct block, crc));
}

struct found op_read(u32 lba, const void *block)
{
	const struct block *b = block;
	struct found found = { CONTENT_GARBAGE, 0, 0, 0 };
	const u8 *bytes = block;

	if (!bytes[0] && !memcmp(bytes, bytes + 1, BLOCK - 1)) {
		found.content = CONTENT_ZERO;
		return found;
	}
	if (b->magic != MAGIC || b->lba != lba ||
	    b->crc != crc32c(lba, b, offsetof(struct block, crc)))
		return found;
	found.content = CONTENT_WRITTEN;
	found.boot = b->boot;
	found.op = b->op;
	return found;
}
