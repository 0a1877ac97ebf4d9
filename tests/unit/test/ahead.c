// SPDX-License-Identifier: GPL-2.0
/*
 * Leaves that are in the cache before they are asked for: when, and when not.
 */
#include <stdio.h>
#include <stdlib.h>

#include <linux/hash.h>
#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

#define LEAVES	60u

/* Maps the first block of some leaves; then no node is in the cache. */
static void make_leaves(struct fixture *f, u64 first, u32 count)
{
	struct client c = { .world = &f->world, .rng.state = 5 };
	u32 i;

	for (i = 0; i < count; i++)
		CHECK(!op_write(&c, (first + i) * QVAULT_FANOUT, 1));
	CHECK(!op_checkpoint(&c));
}

static void drop_nodes(struct fixture *f)
{
	u32 limit = f->v->cache.limit;
	struct qvault_ptr ptr;

	f->v->cache.limit = 0;
	CHECK(!qvault_lookup(f->v, 1, 1, &ptr));
	CHECK(!f->v->cache.nr);
	f->v->cache.limit = limit;
	f->world.nr_ahead = 0;
}

/* Looks blocks up; returns how many requests that took. */
static u32 look_up(struct fixture *f, u64 logical, u32 count)
{
	u64 before = f->world.nr_ios;
	struct qvault_ptr ptr[9];

	CHECK(!qvault_lookup(f->v, logical, count, ptr));
	return f->world.nr_ios - before;
}

/* Serves what was asked for; returns how many requests that took. */
static u32 serve(struct fixture *f)
{
	u64 before = f->world.nr_ios;

	while (f->world.nr_ahead)
		qvault_readahead(f->v, f->world.ahead[--f->world.nr_ahead]);
	return f->world.nr_ios - before;
}

static void in_order(struct fixture *f)
{
	const u32 n = QVAULT_LEAVES_AHEAD;
	struct world *w = &f->world;
	u64 leaf;

	make_leaves(f, 0, LEAVES);
	/* What a checkpoint has left in the cache is there: one is asked for, not all. */
	for (leaf = 0; leaf < 9; leaf++) {
		w->nr_ahead = 0;
		CHECK(!look_up(f, leaf * QVAULT_FANOUT, 1));
		CHECK(w->nr_ahead == 1);
	}
	drop_nodes(f);

	/* By chance: the first blocks of two leaves, and others of the next one. */
	look_up(f, 30 * QVAULT_FANOUT, 1);
	look_up(f, 31 * QVAULT_FANOUT, 1);
	CHECK(look_up(f, 32 * QVAULT_FANOUT + 1, 3) == 1);
	CHECK(!w->nr_ahead);
	/* It and a neighbour of it were not read from their beginning. */
	CHECK(look_up(f, 33 * QVAULT_FANOUT, 1) == 1);
	CHECK(look_up(f, 34 * QVAULT_FANOUT, 1) == 1);
	CHECK(!w->nr_ahead);

	drop_nodes(f);
	/* Leaf 0, its first block and then the rest of it, and on into leaf 2. */
	look_up(f, 0, 1);
	look_up(f, 1, 8);
	CHECK(look_up(f, QVAULT_FANOUT - 4, 8) == 1);
	CHECK(!w->nr_ahead);
	CHECK(look_up(f, 2 * QVAULT_FANOUT - 4, 8) == 1);
	CHECK(w->nr_ahead == n);
	for (leaf = 0; leaf < n; leaf++)
		CHECK(w->ahead[leaf] == 3 + leaf);
	CHECK(serve(f) == n);

	/* From now on each brings one more, and none is waited for. */
	for (leaf = 3; leaf + n < LEAVES; leaf++) {
		CHECK(!look_up(f, leaf * QVAULT_FANOUT, 9));
		CHECK(w->nr_ahead == 1 && w->ahead[0] == leaf + n);
		CHECK(serve(f) == 1);
		CHECK(!look_up(f, leaf * QVAULT_FANOUT, 9));
		CHECK(!w->nr_ahead);
	}
	CHECK(f->v->cache.nr <= f->v->cache.limit);
}

void test_ahead_in_order(void)
{
	with_vault(30000, 64, in_order);
}

/*
 * So large that a leaf behind the last one would be looked for in the place of
 * another: a path has no digits left for it.
 */
#define GROUPS	65u
#define MOST_LEAVES	(QVAULT_FANOUT * QVAULT_FANOUT)

/* What a reader in order comes to. */
static void read_three(struct fixture *f, u64 leaf)
{
	u64 i;

	for (i = leaf; i < leaf + 3; i++)
		look_up(f, i * QVAULT_FANOUT, 1);
}

static void end(struct fixture *f)
{
	u64 last = (f->v->geo.logical_blocks - 1) / QVAULT_FANOUT;

	CHECK(f->v->geo.tree.top == 2);
	CHECK(last < MOST_LEAVES && last + QVAULT_LEAVES_AHEAD > MOST_LEAVES);
	make_leaves(f, 0, 20);
	make_leaves(f, last - 3, 4);
	drop_nodes(f);
	read_three(f, last - 2);
	CHECK(f->world.nr_ahead == QVAULT_LEAVES_AHEAD);
	CHECK(!serve(f));

	/* Nodes above are read for leaves that do not exist, but no leaf is. */
	read_three(f, 17);
	CHECK(f->world.nr_ahead == QVAULT_LEAVES_AHEAD);
	CHECK(!serve(f));
}

void test_ahead_end(void)
{
	with_vault(GROUPS * QVAULT_GROUP_BLOCKS, 64, end);
}

/* A disk that fails, or lies: for those to find who need the leaf. */
static void bad_disk(struct fixture *f)
{
	struct world *w = &f->world;
	u32 leaf, missing = 0;

	w->faults.fail_io_at = w->nr_ios + 1;
	qvault_readahead(f->v, 4);
	CHECK(w->faulted);
	CHECK(look_up(f, 4 * QVAULT_FANOUT, 1) == 1);

	w->faults.lie = 100;
	w->expect_corruption = true;
	for (leaf = 5; leaf < 15; leaf++)
		qvault_readahead(f->v, leaf);
	CHECK(!w->corruptions && !w->failures);
	w->faults.lie = 0;
	for (leaf = 5; leaf < 15; leaf++)
		missing += look_up(f, leaf * QVAULT_FANOUT, 1);
	CHECK(missing);
}

static void trouble(struct fixture *f)
{
	struct world *w = &f->world;
	u64 before;

	make_leaves(f, 0, LEAVES);
	drop_nodes(f);
	look_up(f, 0, 1);

	/* No memory: not from the reserve either. */
	w->shortage = 100;
	world_reserve(w, 0);
	before = w->nr_ios;
	qvault_readahead(f->v, 2);
	CHECK(w->nr_ios == before && w->reserve_left[QVAULT_USE_READ] == 2);
	w->shortage = 0;
	CHECK(look_up(f, 2 * QVAULT_FANOUT, 1) == 1);

	bad_disk(f);

	/* A small cache stays small. */
	f->v->cache.limit = 3;
	for (w->nr_ahead = 0; w->nr_ahead < 9; w->nr_ahead++)
		w->ahead[w->nr_ahead] = 20 + w->nr_ahead;
	CHECK(serve(f) >= 9);
	CHECK(f->v->cache.nr == 3);
}

void test_ahead_trouble(void)
{
	with_vault(30000, 64, trouble);
}

/* ---- Checkpoints ---- */

#define BLOCKS_OF_TIB	(1ull << 28)
#define WRITES		5120u

/* One block at a time, anywhere; nobody looks at the data, nor remembers them. */
static void write_anywhere(struct fixture *f, u32 writes)
{
	struct qvault_write *w = calloc(1, sizeof(*w) + sizeof(w->ptr[0]));
	struct rng rng = { 77 };

	f->v->platform = NULL;
	for (; writes; writes--) {
		w->logical = rng_below(&rng, f->v->geo.logical_blocks);
		w->count = 1;
		CHECK(!qvault_write_begin(f->v, w) && !qvault_write_end(f->v, w, 0));
	}
	f->v->platform = &f->world;
	free(w);
}

static void drop_cache(struct fixture *f)
{
	u32 limit = f->v->cache.limit;

	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, limit));
}

struct cost {
	u64 nodes, rounds;
};

static void begin_count(struct fixture *f, struct cost *cost)
{
	drop_cache(f);
	cost->nodes = f->world.data.reads;
	cost->rounds = f->world.read_rounds;
}

static void end_count(struct fixture *f, struct cost *cost)
{
	cost->nodes = f->world.data.reads - cost->nodes;
	cost->rounds = f->world.read_rounds - cost->rounds;
	printf("      %llu nodes in %llu rounds\n", (unsigned long long)cost->nodes,
	       (unsigned long long)cost->rounds);
}

/* With nothing in the cache. */
static struct cost checkpoint(struct fixture *f)
{
	struct cost cost;

	begin_count(f, &cost);
	CHECK(!qvault_checkpoint(f->v));
	end_count(f, &cost);
	CHECK(f->v->cache.nr <= f->v->cache.limit);
	return cost;
}

/* All that was there was read, in rounds that are more than half full. */
static bool full_rounds(const struct cost *cost, u32 window)
{
	return cost->nodes > 9000 && cost->rounds * window / 2 < cost->nodes;
}

static void large(struct fixture *f)
{
	struct cost cost;

	f->v->memory_mib = 64;
	qvault_set_limits(f->v);
	write_anywhere(f, WRITES);
	checkpoint(f);

	/* What was written is written again: all of it is read first. */
	write_anywhere(f, WRITES);
	cost = checkpoint(f);
	CHECK(full_rounds(&cost, 64));
	CHECK(!qvault_unmap(f->v, 0, f->v->geo.logical_blocks));
	cost = checkpoint(f);
	CHECK(full_rounds(&cost, 64));
}

void test_ahead_checkpoint(void)
{
	with_vault(BLOCKS_OF_TIB, 2048, large);
}

/* What is on its way has its place: beside the cache there is one buffer, to decrypt into. */
static void room_before_reads(struct fixture *f)
{
	struct world *w = &f->world;
	struct rng rng = { 77 };
	u32 i, bufs = 0;

	drop_cache(f);
	for (i = 0; i < 2 * f->v->cache.limit; i++) {
		if (i == f->v->cache.limit) {
			CHECK(f->v->cache.nr == f->v->cache.limit);
			bufs = w->most_bufs = w->nr_bufs;
		}
		qvault_readahead(f->v, rng_below(&rng, f->v->geo.logical_blocks) /
				       QVAULT_FANOUT);
	}
	CHECK(bufs && w->most_bufs == bufs + 1);
}

/* As large() with the smallest cache: less at a time, and still nothing twice. */
static void small_cache(struct fixture *f)
{
	struct cost enough, cost;

	f->v->memory_mib = 64;
	qvault_set_limits(f->v);
	f->v->alloc.limit = 8;
	write_anywhere(f, WRITES);
	checkpoint(f);
	f->v->cache.limit = 4096;
	write_anywhere(f, WRITES);
	enough = checkpoint(f);
	f->v->cache.limit = 64;
	drop_cache(f);
	write_anywhere(f, WRITES);
	cost = checkpoint(f);
	CHECK(full_rounds(&cost, 16));
	CHECK(cost.nodes < enough.nodes + enough.nodes / 10);
	room_before_reads(f);
}

void test_ahead_small_cache(void)
{
	with_vault(BLOCKS_OF_TIB, 2048, small_cache);
}

/* What is left to writers when a checkpoint begins is as much as it takes away. */
static void in_time(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 9 };
	u32 i, room, pages;

	f->v->memory_mib = 2;
	qvault_set_limits(f->v);
	room = f->v->log_limit - qvault_damage_kept(f->v);
	for (i = 0; i < 20000 && !f->world.kicked; i++)
		CHECK(!op_write(&c, 2 * i % 5000, 1));
	pages = qvault_log_used(f->v) + f->v->stream.nr_pages;
	CHECK(f->world.kicked && pages == DIV_ROUND_UP(room, 2));
}

void test_ahead_in_time(void)
{
	with_vault(30000, 64, in_time);
}
