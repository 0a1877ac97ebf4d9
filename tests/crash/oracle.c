// SPDX-License-Identifier: GPL-2.0
/*
 * The oracle: which states may a crash leave?
 *
 * Every block says who wrote it.  Let M be the latest tick at which anything in
 * the state was issued, or before which all is promised.  A state is one commit,
 * with all writes before it and none after, only if no operation that had ended
 * before M is missing: an operation is missing if what stands in its block had
 * ended before it began.  With one thread that leaves exactly the prefixes of
 * the history; with several, what was in flight together may be in any order.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

#define BLOCK_MAGIC	0x6b636f6c62747671ull	/* "qvtblock" */
#define NOTHING		UINT32_MAX	/* what stands in a block never written */

struct block {
	u64 magic;
	u64 volume;
	u64 lba;
	u64 op;
	u64 issued;
	u64 reserved;
	u8 fill[BLOCK - 56];
	u32 zero;
	u32 crc;
};
static_assert(sizeof(struct block) == BLOCK);

void oracle_init(struct oracle *o, u32 blocks, u64 volume)
{
	memset(o, 0, sizeof(*o));
	o->op = calloc(MAX_OPS, sizeof(*o->op));
	o->blocks = blocks;
	o->volume = volume;
	o->clock = 1;
	if (!o->op)
		die("out of memory");
}

u64 oracle_tick(struct oracle *o)
{
	return __atomic_add_fetch(&o->clock, 1, __ATOMIC_SEQ_CST);
}

u32 oracle_begin(struct oracle *o, enum op_kind kind, u32 lba, u32 count)
{
	u32 first = __atomic_fetch_add(&o->nr, count, __ATOMIC_SEQ_CST), i;
	u64 issued = oracle_tick(o);

	if (first + count > MAX_OPS)
		die("the workload is longer than the oracle");
	for (i = 0; i < count; i++)
		o->op[first + i] = (struct op){ lba + i, kind, issued, 0 };
	return first;
}

void oracle_end(struct oracle *o, u32 first, u32 count)
{
	u64 ended = oracle_tick(o);
	u32 i;

	for (i = 0; i < count; i++)
		o->op[first + i].ended = ended;
}

void oracle_fill(const struct oracle *o, u32 op, void *out)
{
	struct block *b = out;
	struct prng p;

	memset(b, 0, sizeof(*b));
	b->magic = BLOCK_MAGIC;
	b->volume = o->volume;
	b->lba = o->op[op].lba;
	b->op = op;
	b->issued = o->op[op].issued;
	prng_seed(&p, o->volume ^ (u64)op << 20);
	prng_fill(&p, b->fill, sizeof(b->fill));
	b->crc = crc32c(0, b, offsetof(struct block, crc));
}

/* Sort the operations by block; what never ended was in flight to the last. */
void oracle_index(struct oracle *o)
{
	u32 *at, i, lba;

	o->first = calloc(o->blocks + 2, sizeof(*o->first));
	at = calloc(o->blocks + 1, sizeof(*at));
	o->index = calloc(o->nr + 1, sizeof(*o->index));
	if (!o->first || !at || !o->index)
		die("out of memory");
	for (i = 0; i < o->nr; i++) {
		o->first[o->op[i].lba + 1]++;
		if (!o->op[i].ended)
			o->op[i].ended = UINT64_MAX;
	}
	for (i = 0; i < o->blocks; i++)
		o->first[i + 1] += o->first[i];
	for (i = 0; i < o->nr; i++) {
		lba = o->op[i].lba;
		o->index[o->first[lba] + at[lba]++] = i;
	}
	free(at);
	o->touched = calloc(o->blocks + 1, sizeof(*o->touched));
	if (!o->touched)
		die("out of memory");
	for (lba = 0; lba < o->blocks; lba++)
		if (o->first[lba + 1] > o->first[lba])
			o->touched[o->nr_touched++] = lba;
}

static bool all_zero(const u8 *block)
{
	return !block[0] && !memcmp(block, block + 1, BLOCK - 1);
}

/* Who wrote this block?  Returns an operation, NOTHING for zeros, or fails. */
static bool author(const struct oracle *o, u32 lba, const u8 *data, u32 *op,
		   char *why, size_t size)
{
	const struct block *b = (const void *)data;

	if (all_zero(data)) {
		*op = NOTHING;
		return true;
	}
	if (b->magic != BLOCK_MAGIC ||
	    b->crc != crc32c(0, b, offsetof(struct block, crc)))
		snprintf(why, size, "block %u is torn or garbage", lba);
	else if (b->volume != o->volume || b->lba != lba)
		snprintf(why, size, "block %u holds block %llu of volume %llx",
			 lba, (unsigned long long)b->lba,
			 (unsigned long long)b->volume);
	else if (b->op >= o->nr || o->op[b->op].lba != lba ||
		 o->op[b->op].kind != OP_WRITE)
		snprintf(why, size, "block %u holds a write that never was", lba);
	else {
		*op = b->op;
		return true;
	}
	return false;
}

/* An operation on @lba that ended before @time and that @seen came before. */
static u32 missing(const struct oracle *o, u32 lba, u32 seen, u64 time)
{
	u64 ended = seen == NOTHING ? 0 : o->op[seen].ended;
	u32 i;

	for (i = o->first[lba]; i < o->first[lba + 1]; i++) {
		const struct op *op = &o->op[o->index[i]];

		if (op->ended < time && ended < op->issued)
			return o->index[i];
	}
	return NOTHING;
}

static bool before(const struct oracle *o, u32 seen, u32 kept)
{
	return seen != kept &&
	       (seen == NOTHING || o->op[seen].ended < o->op[kept].issued);
}

/*
 * Zeros may come from the beginning or from any discard: take the earliest that
 * leaves nothing missing.  False if there is none.
 */
static bool explain_zeros(const struct oracle *o, u32 lba, u64 time, u32 kept,
			  u32 *seen)
{
	u32 i;

	*seen = NOTHING;
	if (missing(o, lba, NOTHING, time) == NOTHING && !kept)
		return true;
	for (i = o->first[lba]; i < o->first[lba + 1]; i++) {
		u32 op = o->index[i];

		if (o->op[op].kind != OP_ZERO ||
		    missing(o, lba, op, time) != NOTHING)
			continue;
		if (kept && before(o, op, kept - 1))
			continue;
		*seen = op;
		return true;
	}
	return false;
}

/* What it says of block @lba, of which @seen is there, when all before @time must be. */
static u32 lost_at(const struct oracle *o, u32 lba, u32 *seen, u64 time, u32 kept)
{
	u32 lost, there = *seen;

	if (there == NOTHING) {
		if (explain_zeros(o, lba, time, kept, seen))
			return NOTHING;
		lost = missing(o, lba, NOTHING, time);
		return lost == NOTHING ? kept - 1 : lost;
	}
	lost = missing(o, lba, there, time);
	if (lost == NOTHING && kept && before(o, there, kept - 1))
		lost = kept - 1;
	return lost;
}

static u64 ticks(const struct oracle *o, u32 op, bool end)
{
	if (op == NOTHING)
		return 0;
	return end ? o->op[op].ended : o->op[op].issued;
}

static bool say_lost(const struct oracle *o, u32 lba, u32 seen, u32 lost,
		     u64 promised, u64 time, char *why, size_t size)
{
	snprintf(why, size,
		 "block %u has operation %d (ticks %llu-%llu) but not %u (%llu-%llu); promised to %llu, state reaches %llu",
		 lba, (int)seen, (unsigned long long)ticks(o, seen, false),
		 (unsigned long long)ticks(o, seen, true), lost,
		 (unsigned long long)ticks(o, lost, false),
		 (unsigned long long)ticks(o, lost, true),
		 (unsigned long long)promised, (unsigned long long)time);
	return false;
}

static bool reaches(const struct oracle *o, const u32 *seen,
		    const struct promise *promise, u64 time, char *why,
		    size_t size)
{
	u32 i, lba, op, lost;
	u64 last;

	do {
		last = time;
		for (i = 0; i < o->nr_touched; i++) {
			lba = o->touched[i];
			op = seen[i];
			lost = lost_at(o, lba, &op, time, promise->kept[lba]);
			if (lost != NOTHING)
				return say_lost(o, lba, seen[i], lost,
						promise->time, time, why, size);
			if (ticks(o, op, false) > time)
				time = ticks(o, op, false);
		}
	} while (time != last);
	return true;
}

bool oracle_allows(const struct oracle *o, const u8 *image,
		   const struct promise *promise, char *why, size_t size)
{
	u32 *seen = malloc((o->nr_touched + 1) * sizeof(*seen)), i;
	u64 time = promise->time;
	bool ok = true;

	if (!seen)
		die("out of memory");
	for (i = 0; i < o->nr_touched && ok; i++) {
		ok = author(o, o->touched[i], image + (size_t)i * BLOCK,
			    &seen[i], why, size);
		if (ok && ticks(o, seen[i], false) > time)
			time = ticks(o, seen[i], false);
	}
	ok = ok && reaches(o, seen, promise, time, why, size);
	free(seen);
	return ok;
}
