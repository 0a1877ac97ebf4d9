// SPDX-License-Identifier: GPL-2.0
/* Freed blocks are passed down: all of them, later, and nothing else. */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>

#include "sim.h"
#include "test.h"

static u64 nr_discarded(struct fixture *f)
{
	return bitmap_weight(f->world.discarded, f->v->geo.data_blocks);
}

static void want_discards(struct fixture *f)
{
	f->world.discarded = calloc(BITS_TO_LONGS(f->v->geo.data_blocks), sizeof(long));
	f->v->allow_discards = true;
	qvault_trim_init(f->v);
}

static void no_more(struct fixture *f)
{
	free(f->world.discarded);
	f->world.discarded = NULL;
}

static void trim_all(struct fixture *f)
{
	while (qvault_trim(f->v))
		;
}

/* The place of a block that is mapped. */
static u64 where(struct fixture *f, u64 logical)
{
	struct qvault_ptr ptr;

	CHECK(!qvault_lookup(f->v, logical, 1, &ptr) && ptr.version);
	return ptr.where;
}

static void freed(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 1 };
	struct world *w = &f->world;
	u64 first, second, tree;

	want_discards(f);
	CHECK(!op_write(&c, 0, 300));
	tree = where(f, 100);
	CHECK(!op_checkpoint(&c));
	trim_all(f);
	CHECK(!w->trim_kicked && !nr_discarded(f));

	/* What the delta supersedes: not before the commit, and not by it. */
	CHECK(!op_write(&c, 1000, 1));
	first = where(f, 1000);
	CHECK(!op_write(&c, 1000, 1));
	second = where(f, 1000);
	trim_all(f);
	CHECK(!w->trim_kicked && !nr_discarded(f));
	CHECK(!op_commit(&c));
	CHECK(w->trim_kicked && !w->nr_discards);
	trim_all(f);
	CHECK(w->nr_discards == 1);
	CHECK(test_bit(first, w->discarded) && !test_bit(second, w->discarded));

	/* What the tree supersedes: not before the checkpoint, and not by it. */
	w->trim_kicked = false;
	bitmap_zero(w->discarded, f->v->geo.data_blocks);
	CHECK(!qvault_unmap(f->v, 100, 50));
	CHECK(!op_commit(&c));
	trim_all(f);
	CHECK(!nr_discarded(f));
	CHECK(!op_checkpoint(&c));
	CHECK(w->trim_kicked && !nr_discarded(f));
	trim_all(f);
	CHECK(nr_discarded(f) == 50 && test_bit(tree, w->discarded));
	CHECK(test_bit(tree + 49, w->discarded) && w->nr_discards == 2);

	/* What is left is passed down by a suspend. */
	CHECK(!qvault_unmap(f->v, 0, 10));
	CHECK(!qvault_suspend(f->v));
	CHECK(nr_discarded(f) == 60 && !f->v->trim.nr);
	CHECK(!op_read(&c, 150, 150));
	no_more(f);
}

void test_trim_freed(void)
{
	with_vault(3000, 64, freed);
}

/* A hint is taken up after its blocks were allocated again: these live. */
static void reused(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 2 };
	u64 blocks = f->v->geo.logical_blocks, half = blocks / 200 * 100, i;

	want_discards(f);
	for (i = 0; i + 100 <= blocks; i += 100)
		CHECK(!op_write(&c, i, 100));
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_unmap(f->v, 0, half));
	CHECK(!op_checkpoint(&c));
	/* As after an attach: no group is in memory. */
	qvault_alloc_exit(f->v);
	CHECK(!qvault_alloc_init(f->v, 8));
	for (i = 0; i < half; i += 100)
		CHECK(!op_write(&c, i, 100));
	CHECK(f->v->trim.nr);
	trim_all(f);
	for (i = 0; i + 100 <= blocks; i += 100)
		CHECK(!op_read(&c, i, 100) && !test_bit(where(f, i), f->world.discarded));
	no_more(f);
}

void test_trim_reused(void)
{
	with_vault(3000, 64, reused);
	with_vault(2 * QVAULT_GROUP_BLOCKS, 64, reused);
}

/* Every other block, so that each is a range of its own: none is forgotten. */
static void many(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 n = 3 * QVAULT_MAX_TRIM, i, *place = calloc(n, sizeof(*place));
	unsigned long *live = calloc(BITS_TO_LONGS(f->world.data.nr_blocks), sizeof(*live));

	want_discards(f);
	for (i = 0; i < 2 * n; i += 128)
		CHECK(!op_write(&c, i, 128));
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < n; i++)
		place[i] = where(f, 2 * i);
	for (i = 0; i < n; i++)
		CHECK(!op_write(&c, 2 * i, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->trim.nr == QVAULT_MAX_TRIM);
	trim_all(f);
	/* But where another block stands by now. */
	for (i = 0; i < 2 * n; i++)
		__set_bit(where(f, i), live);
	for (i = 0; i < n; i++)
		CHECK(test_bit(place[i], f->world.discarded) != test_bit(place[i], live));
	free(live);
	/* Many together. */
	CHECK(f->world.nr_discards <= n / QVAULT_TRIMS + 2 * QVAULT_TRIM_GROUPS);
	for (i = 0; i < 2 * n; i += 128)
		CHECK(!op_read(&c, i, 128));
	free(place);
	no_more(f);
}

void test_trim_many(void)
{
	with_vault(2 * QVAULT_GROUP_BLOCKS, 2048, many);
}

static void held(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 4 };
	u64 place;

	want_discards(f);
	CHECK(!op_write(&c, 0, 10));
	CHECK(!op_commit(&c));
	CHECK(!qvault_hold(f->v));
	CHECK(!op_write(&c, 20, 10));
	place = where(f, 20);
	CHECK(!op_commit(&c));
	CHECK(!op_write(&c, 20, 10) && !op_write(&c, 0, 10));
	CHECK(!op_commit(&c));
	trim_all(f);
	CHECK(!nr_discarded(f));
	CHECK(!op_checkpoint(&c));
	trim_all(f);
	CHECK(nr_discarded(f) == 20 && test_bit(place, f->world.discarded));
	no_more(f);
}

void test_trim_held(void)
{
	with_vault(3000, 64, held);
}

/* What is free for us may be another's: see fork.c. */
static void taken(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 5 };
	struct world *w = &f->world;
	u64 slot = QVAULT_SLOT_BLOCK((f->v->anchor.sequence + 1) & 1);
	struct block *was = block_get(dev_newest(&w->anchor, slot)), *other;

	want_discards(f);
	CHECK(!op_write(&c, 0, 10) && !op_write(&c, 0, 10));
	CHECK(!op_commit(&c));
	CHECK(f->v->trim.nr);
	/* The record that it has written last stands there as well. */
	block_put(was);
	slot = QVAULT_SLOT_BLOCK((f->v->anchor.sequence + 1) & 1);
	other = block_get(dev_newest(&w->anchor, QVAULT_SLOT_BLOCK(f->v->anchor.sequence & 1)));
	w->expect_taken = true;
	dev_replace(&w->anchor, slot, other);
	CHECK(!qvault_trim(f->v));
	CHECK(!nr_discarded(f) && f->v->mode == QVAULT_MODE_TAKEN);
	block_put(other);
	no_more(f);
}

void test_trim_taken(void)
{
	with_vault(3000, 64, taken);
}
