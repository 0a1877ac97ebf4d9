// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>

#include "sim.h"
#include "test.h"

/* Allocates everything, in odd portions; returns how many blocks there were. */
static u64 take_all(struct fixture *f, unsigned long *taken, struct rng *rng)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	u64 n = 0, group;
	int got, i;
	u32 bit;

	for (;;) {
		got = qvault_alloc_blocks(f->v,
					  rng_below(rng, f->v->geo.logical_blocks),
					  1 + rng_below(rng, QVAULT_MAX_RUN), ptr);
		if (got < 0)
			break;
		CHECK(got > 0);
		for (i = 0; i < got; i++) {
			CHECK(qvault_locate(&f->v->geo, ptr[i].where, &group, &bit));
			CHECK(!__test_and_set_bit(ptr[i].where, taken));
		}
		n += got;
	}
	CHECK(got == -ENOSPC);
	free(ptr);
	return n;
}

static unsigned long *bits_of(struct fixture *f)
{
	return calloc(BITS_TO_LONGS(f->v->geo.data_blocks), sizeof(long));
}

static void alloc_all(struct fixture *f)
{
	unsigned long *taken = bits_of(f);
	struct rng rng = { 4 };

	CHECK(take_all(f, taken, &rng) == f->v->geo.total_data);
	free(taken);
}

void test_alloc_all(void)
{
	with_vault(1000, 16, alloc_all);
	with_vault(9000, 16, alloc_all);
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 16, alloc_all);
}

static void supersede(struct fixture *f, u64 block)
{
	write_lock(&f->v->map_lock);
	qvault_alloc_supersede(f->v, block);
	write_unlock(&f->v->map_lock);
}

static void cut(struct fixture *f)
{
	write_lock(&f->v->map_lock);
	qvault_alloc_cut(f->v);
	write_unlock(&f->v->map_lock);
}

static void release(struct fixture *f)
{
	mutex_lock(&f->v->commit_mutex);
	qvault_alloc_release(f->v);
	mutex_unlock(&f->v->commit_mutex);
}

/* Superseded, cut and released, in that order, and only what was cut. */
static void alloc_release(struct fixture *f)
{
	unsigned long *taken = bits_of(f);
	struct qvault_ptr ptr;
	struct rng rng = { 5 };
	u64 a, b;

	take_all(f, taken, &rng);
	a = find_next_bit(taken, f->v->geo.data_blocks, 0);
	b = find_next_bit(taken, f->v->geo.data_blocks, a + 1);
	supersede(f, a);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	release(f);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	cut(f);
	supersede(f, b);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	release(f);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == 1 && ptr.where == a);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	cut(f);
	release(f);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == 1 && ptr.where == b);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	free(taken);
}

void test_alloc_release(void)
{
	with_vault(1000, 16, alloc_release);
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 16, alloc_release);
}

/* A volume that is written in order stands in order. */
static void alloc_runs(struct fixture *f)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	u64 logical;
	int i;

	for (logical = 0; logical + 256 <= f->v->geo.logical_blocks;
	     logical += 256) {
		CHECK(qvault_alloc_blocks(f->v, logical, 256, ptr) == 256);
		for (i = 0; i < 256; i++)
			CHECK(ptr[i].where == qvault_home(&f->v->geo, logical + i));
	}
	/* Again: elsewhere, but in one piece while there is room. */
	CHECK(qvault_alloc_blocks(f->v, 0, 64, ptr) == 64);
	for (i = 1; i < 64; i++)
		CHECK(ptr[i].where == ptr[0].where + i);
	free(ptr);
}

void test_alloc_runs(void)
{
	with_vault(9000, 16, alloc_runs);
}

static void free_blocks(struct fixture *f, u64 block, u32 count, u32 step)
{
	u32 i;

	for (i = 0; i < count; i++)
		supersede(f, block + (u64)i * step);
	cut(f);
	release(f);
}

static u32 nr_pieces(const struct qvault_ptr *ptr, u32 count)
{
	u32 i, n = 1;

	for (i = 1; i < count; i++)
		n += ptr[i].where != ptr[i - 1].where + 1;
	return n;
}

/* That there were only pieces is forgotten once blocks become free. */
static void alloc_pieces(struct fixture *f)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	unsigned long *taken = bits_of(f);
	struct rng rng = { 6 };
	u64 first;

	take_all(f, taken, &rng);
	first = find_next_bit(taken, f->v->geo.data_blocks, 0);
	/* Their homes are elsewhere. */
	free_blocks(f, first, 300, 2);
	CHECK(qvault_alloc_blocks(f->v, 5000, 64, ptr) == 64);
	CHECK(nr_pieces(ptr, 64) == 64);
	free_blocks(f, first + 1000, 200, 1);
	CHECK(qvault_alloc_blocks(f->v, 5000, 64, ptr) == 64);
	CHECK(nr_pieces(ptr, 64) == 1);
	/* Of 136 in one piece and 236 single ones: the long piece first. */
	CHECK(qvault_alloc_blocks(f->v, 5000, 256, ptr) == 256);
	CHECK(nr_pieces(ptr, 136) == 1 && nr_pieces(ptr + 136, 120) == 120);
	free(taken);
	free(ptr);
}

void test_alloc_pieces(void)
{
	with_vault(9000, 16, alloc_pieces);
}

/* How many blocks are written one by one before a checkpoint is asked for. */
static u32 writes_until_kick(struct client *c, u32 most)
{
	u32 n;

	c->world->kicked = false;
	for (n = 0; n < most && !c->world->kicked; n++)
		CHECK(!op_write(c, n, 1));
	return n;
}

/* On a full volume a checkpoint is due before the last free block is taken. */
static void alloc_low(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 7 };
	struct qvault *v = f->v;
	u32 i, left;

	for (i = 0; i + 100 <= v->geo.logical_blocks; i += 100) {
		CHECK(!op_write(&c, i, 100));
		CHECK(!op_checkpoint(&c));
	}
	CHECK(!v->alloc.nr_fresh && !qvault_alloc_low(v));
	left = v->geo.total_data - i;

	/* Not again while one runs: there is as little room as before. */
	mutex_lock(&v->checkpoint_mutex);
	CHECK(writes_until_kick(&c, left) == left);
	mutex_unlock(&v->checkpoint_mutex);
	CHECK(!op_checkpoint(&c));
	CHECK(!v->alloc.nr_fresh);

	i = writes_until_kick(&c, left);
	CHECK(i == left - left / 4 && !qvault_log_half_full(v));
	/* What no record names any more is free after a commit, and counts no more. */
	for (i = 0; i < 20; i++)
		CHECK(!op_write(&c, 0, 1));
	CHECK(!op_commit(&c));
	CHECK(v->alloc.nr_fresh == left - left / 4);
}

void test_alloc_low(void)
{
	with_vault(3000, 64, alloc_low);
}

/*
 * There is memory for a few groups only, and each of ten gets a fresh block: those
 * in memory serve until a checkpoint has left them idle.
 */
static void alloc_memory(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 8 };
	struct world *w = &f->world;
	struct qvault_group *g;
	u64 i;

	w->shortage = w->sched.fail_alloc = 100;
	world_reserve(w, 0);
	for (i = 0; i < 40; i++)
		CHECK(!op_write(&c, i * (f->v->geo.logical_blocks / 40), 1 + i % 9));
	CHECK(f->v->alloc.nr_groups <= QVAULT_GROUPS);
	/* Full ones that are idle give way. */
	CHECK(!op_checkpoint(&c));
	list_for_each_entry(g, &f->v->alloc.lru, lru)
		g->nr_busy = g->nr_data;
	CHECK(!op_write(&c, 0, 9));
	w->shortage = w->sched.fail_alloc = 0;
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < 40; i++)
		CHECK(!op_read(&c, i * (f->v->geo.logical_blocks / 40), 9));
}

void test_alloc_memory(void)
{
	with_vault(9 * QVAULT_GROUP_BLOCKS + 5000, 64, alloc_memory);
}
