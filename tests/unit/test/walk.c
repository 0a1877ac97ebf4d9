// SPDX-License-Identifier: GPL-2.0
/*
 * The walker: what a scrub finds, what a reseal leaves behind, and who comes first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test.h"

#define HMAC	QVAULT_MAC_HMAC_SHA256_128

/* To the end, or @steps; what the last one said. */
static int walk_on(struct fixture *f, u32 steps)
{
	int err = 1;

	f->world.walker = task_current;
	while (err > 0 && steps--)
		err = qvault_walk_step(f->v);
	f->world.walker = NULL;
	return err;
}

static void scrub(struct fixture *f)
{
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_SCRUB));
	CHECK(!f->v->walk.complete);
	CHECK(!walk_on(f, ~0u));
	CHECK(!f->v->walk.kind && f->v->walk.complete);
}

void test_flip(struct fixture *f, u64 block)
{
	struct block *b = block_new(dev_newest(&f->world.data, block)->data);

	b->data[99] ^= 1ull << 33;
	dev_replace(&f->world.data, block, b);
	block_put(b);
}

static u64 where(struct fixture *f, u64 logical)
{
	struct qvault_ptr ptr;

	CHECK(!qvault_lookup(f->v, logical, 1, &ptr));
	CHECK(ptr.version);
	return ptr.where;
}

/* Blocks in two leaves that are far apart, and nothing between. */
#define FAR	(60 * QVAULT_FANOUT)
static void write_some(struct client *c)
{
	CHECK(!op_write(c, 5, 200));
	CHECK(!op_write(c, FAR, 3));
}

static void attach_again(struct fixture *f)
{
	CHECK(!qvault_detach(f->v));
	CHECK(!test_attach(f));
}

/* ---- Scrub ---- */

static void scrubs(struct fixture *f)
{
	struct client c = { .world = &f->world };
	u64 reads;

	write_some(&c);
	scrub(f);
	CHECK(f->v->walk.looked == 203 && !f->v->walk.bad && !f->v->walk.moved);
	/* From the device, and not from a cache: each block, three leaves, and the map. */
	reads = f->world.data.reads;
	scrub(f);
	CHECK(f->world.data.reads - reads >= 203 + 3 + 1);

	test_flip(f, where(f, 7));
	test_flip(f, where(f, 8));
	test_flip(f, where(f, FAR + 2));
	f->world.expect_data_loss = true;
	f->world.corruptions = 0;
	scrub(f);
	CHECK(f->world.corruptions == 3 && f->v->walk.bad == 3);
	CHECK(f->v->walk.nr_ranges == 2);
	CHECK(f->v->walk.range[0].first == 7 && f->v->walk.range[0].count == 2);
	CHECK(f->v->walk.range[1].first == FAR + 2 && f->v->walk.range[1].count == 1);
	/* What a user has written since is whole, and is what there is. */
	CHECK(!op_write(&c, 7, 2));
	CHECK(!op_write(&c, FAR + 2, 1));
	scrub(f);
	CHECK(!f->v->walk.bad);
}

void test_walk_scrub(void)
{
	with_vault(40000, 64, scrubs);
}

static void one_copy(struct fixture *f, struct client *c, enum qvault_kind kind, u32 level,
		     u32 copy)
{
	u64 block = test_node_block(f, kind, level, 0, copy);

	test_flip(f, block);
	f->world.half_rotten = true;
	f->world.halves = 0;
	scrub(f);
	CHECK(f->world.halves == 1 && !f->v->walk.bad);
	CHECK(!op_checkpoint(c));
	CHECK(test_node_block(f, kind, level, 0, copy) != block);
	f->world.halves = 0;
	scrub(f);
	CHECK(!f->world.halves);
}

static void copies(struct fixture *f)
{
	struct client c = { .world = &f->world };
	u32 copy;

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	for (copy = 0; copy < 2; copy++) {
		one_copy(f, &c, QVAULT_KIND_NODE, f->v->geo.tree.top, copy);
		one_copy(f, &c, QVAULT_KIND_MAP, f->v->geo.map.top, copy);
	}
}

void test_walk_copies(void)
{
	with_vault(40000, 64, copies);
}

static void nodes(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	test_flip(f, test_node_block(f, QVAULT_KIND_NODE, 0, 0, 0));
	test_flip(f, test_node_block(f, QVAULT_KIND_MAP, 0, 0, 0));
	f->world.expect_corruption = true;
	f->world.corruptions = 0;
	scrub(f);
	/* All of the leaf; what is behind it was visited; a map block holds no data. */
	CHECK(f->world.corruptions == 2);
	CHECK(f->v->walk.bad == QVAULT_FANOUT && f->v->walk.nr_ranges == 1);
	CHECK(f->v->walk.looked == 203 - (QVAULT_FANOUT - 5));
}

void test_walk_nodes(void)
{
	with_vault(40000, 64, nodes);
}

/* ---- Repair ---- */

static void drop_cache(struct fixture *f)
{
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 64));
}

static void repair(struct fixture *f)
{
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_REPAIR));
	CHECK(!walk_on(f, ~0u));
	CHECK(!f->v->walk.kind && f->v->walk.complete && !f->v->walk.left);
}

/* What a scrub says afterwards: so many blocks are lost, and nothing is bad. */
static void whole(struct fixture *f, u64 lost)
{
	f->world.corruptions = 0;
	scrub(f);
	CHECK(!f->v->walk.bad && f->v->walk.lost == lost && !f->world.corruptions);
}

static bool leaky(struct fixture *f)
{
	return qvault_alloc_leaky(f->v);
}

static void gives_up_blocks(struct fixture *f)
{
	struct client c = { .world = &f->world };

	test_sim(f);
	write_some(&c);
	CHECK(!op_checkpoint(&c));
	test_flip(f, where(f, 7));
	test_flip(f, where(f, 8));
	test_flip(f, where(f, FAR + 2));
	f->world.expect_data_loss = true;
	repair(f);
	CHECK(f->v->walk.bad == 3 && f->v->walk.nr_ranges == 2 && !f->v->walk.lost);
	CHECK(!leaky(f));
	whole(f, 3);
	/* In every life that follows, with nothing in a cache; and their neighbours are there. */
	attach_again(f);
	CHECK(op_read(&c, 7, 1) == -EILSEQ && op_read(&c, FAR + 2, 1) == -EILSEQ);
	CHECK(!f->world.corruptions);
	CHECK(!op_read(&c, 5, 2) && !op_read(&c, 9, 196) && !op_read(&c, FAR, 2));
	/* A write or a discard ends it. */
	CHECK(!op_write(&c, 7, 1) && !op_unmap(&c, 8, 1));
	CHECK(!op_read(&c, 7, 2));
	whole(f, 1);
	attach_again(f);
	CHECK(!op_read(&c, 0, 250) && !leaky(f));
	CHECK(op_read(&c, FAR + 2, 1) == -EILSEQ);
	CHECK(!op_unmap(&c, FAR, 1) && !op_unmap(&c, FAR + 1, 1));
	attach_again(f);
	/* The leaf has nothing but this, and is no hole. */
	CHECK(op_read(&c, FAR + 2, 1) == -EILSEQ && !op_read(&c, FAR, 2));
	CHECK(!op_unmap(&c, 0, f->v->geo.logical_blocks));
	whole(f, 0);
	CHECK(!leaky(f) && !f->v->anchor.tree.ptr.version);
	test_sim_end(f);
}

void test_walk_gives_up_blocks(void)
{
	with_vault(40000, 64, gives_up_blocks);
}

/* What was acknowledged before it was known is carried around a lost leaf, and kept. */
static void gives_up_leaf(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(!op_write(&c, 6, 2) && !op_commit(&c));
	test_flip(f, test_node_block(f, QVAULT_KIND_NODE, 0, 0, 0));
	drop_cache(f);
	f->world.expect_corruption = true;
	CHECK(!op_checkpoint(&c));
	CHECK(op_write(&c, 9, 1) == -EILSEQ);
	repair(f);
	CHECK(f->v->walk.bad == QVAULT_FANOUT);
	whole(f, QVAULT_FANOUT - 2);
	attach_again(f);
	f->world.corruptions = 0;
	CHECK(!op_read(&c, 6, 2) && op_read(&c, 5, 1) == -EILSEQ);
	CHECK(op_read(&c, 0, 1) == -EILSEQ);
	CHECK(!op_read(&c, QVAULT_FANOUT, 250) && !op_read(&c, FAR, 3));
	CHECK(!op_write(&c, 9, 1) && !op_checkpoint(&c) && !op_read(&c, 9, 1));
	CHECK(!f->world.corruptions);
	/* What it named stays in use. */
	CHECK(leaky(f));
}

void test_walk_gives_up_leaf(void)
{
	with_vault(40000, 64, gives_up_leaf);
}

/* Of all below an upper node no block is there to mark. */
#define BELOW	(QVAULT_FANOUT * QVAULT_FANOUT)
static void gives_up_node(struct fixture *f)
{
	struct client c = { .world = &f->world };

	test_sim(f);
	write_some(&c);
	CHECK(!op_write(&c, 2 * BELOW + 5, 9));
	CHECK(!op_checkpoint(&c));
	test_flip(f, test_node_block(f, QVAULT_KIND_NODE, 1, 0, 0));
	test_flip(f, test_node_block(f, QVAULT_KIND_MAP, 0, 0, 0));
	drop_cache(f);
	f->world.expect_corruption = true;
	repair(f);
	CHECK(f->v->walk.bad == BELOW && f->v->walk.nr_ranges == 1);
	whole(f, BELOW);
	attach_again(f);
	CHECK(op_read(&c, FAR + 9, 1) == -EILSEQ);
	CHECK(!op_write(&c, FAR + 9, 1) && !op_checkpoint(&c));
	CHECK(!op_write(&c, 300, 1) && !op_unmap(&c, 0, 20));
	attach_again(f);
	CHECK(!op_read(&c, FAR + 9, 1) && op_read(&c, FAR + 8, 1) == -EILSEQ);
	CHECK(!op_read(&c, 300, 1) && !op_read(&c, 0, 20) && op_read(&c, 20, 1) == -EILSEQ);
	CHECK(!op_read(&c, 2 * BELOW, 200));
	whole(f, BELOW - 22);
	/* A discard of all of it costs what that of a whole tree does. */
	CHECK(!op_unmap(&c, 0, BELOW));
	whole(f, 0);
	attach_again(f);
	CHECK(!op_read(&c, 0, 200) && !op_read(&c, 2 * BELOW, 200));
	test_sim_end(f);
}

/* One that stands twice is lost if both copies are. */
static void gives_up_both(struct fixture *f)
{
	const u64 below = BELOW * QVAULT_FANOUT;
	struct client c = { .world = &f->world };
	u32 bad, copy;

	test_sim(f);
	write_some(&c);
	CHECK(!op_write(&c, below + 5, 9) && !op_checkpoint(&c));
	f->world.expect_corruption = f->world.half_rotten = true;
	for (bad = 1; bad <= 2; bad++) {
		for (copy = 0; copy < bad; copy++)
			test_flip(f, test_node_block(f, QVAULT_KIND_NODE, 2, 0, copy));
		drop_cache(f);
		repair(f);
		CHECK(f->v->walk.bad == (bad == 2 ? below : 0));
	}
	whole(f, below);
	CHECK(!op_write(&c, FAR, 3) && !op_checkpoint(&c));
	attach_again(f);
	CHECK(!op_read(&c, FAR, 3) && op_read(&c, 5, 1) == -EILSEQ);
	CHECK(!op_read(&c, below, 200));
	whole(f, below - 3);
	CHECK(!op_unmap(&c, 0, below));
	whole(f, 0);
	CHECK(!op_read(&c, 0, 200) && !op_read(&c, below, 200));
	test_sim_end(f);
}

void test_walk_gives_up_node(void)
{
	with_vault(80000, 64, gives_up_node);
	with_vault(2600000, 64, gives_up_both);
}

/*
 * The block of what the log names is in use until a checkpoint, and the log does not say
 * what was given up: so that waits.  Else an attach would find one block named twice.
 */
static void gives_up_later(struct fixture *f)
{
	struct client c = { .world = &f->world };
	struct qvault_root root = f->v->anchor.tree;

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	f->world.expect_data_loss = true;
	test_flip(f, where(f, 7));
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_REPAIR));
	/* The first pass has only looked. */
	while (!f->v->walk.passes)
		CHECK(walk_on(f, 1) == 1);
	CHECK(!f->v->walk.left && !f->v->walk.bad);
	CHECK(!op_write(&c, FAR + 1, 1) && !op_commit(&c));
	CHECK(!qvault_lose(f->v, 6, &root));
	test_flip(f, where(f, FAR + 1));
	CHECK(walk_on(f, 3) == 1);
	CHECK(f->v->walk.left && f->v->walk.bad == 1);
	/* Another life does not pass it by. */
	attach_again(f);
	CHECK(f->v->walk.kind == QVAULT_WALK_REPAIR && f->v->walk.next);
	CHECK(!walk_on(f, ~0u));
	CHECK(f->v->walk.complete && f->v->walk.bad == 2);
	whole(f, 2);
	CHECK(!op_read(&c, 5, 2) && !op_read(&c, 8, 197) && !op_read(&c, FAR, 1));
}

void test_walk_gives_up_later(void)
{
	with_vault(40000, 64, gives_up_later);
}

/* What was given up below a leaf that goes bad then is carried, and not in the log. */
static void gives_up_carried(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(qvault_lose(f->v, 6, &f->v->anchor.tree) == 1);
	CHECK(!op_write(&c, 7, 1));
	test_flip(f, test_node_block(f, QVAULT_KIND_NODE, 0, 0, 0));
	drop_cache(f);
	f->world.expect_corruption = true;
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1);
	CHECK(op_read(&c, 6, 1) == -EILSEQ && !op_read(&c, 7, 1));
	attach_again(f);
	CHECK(op_read(&c, 6, 1) == -EILSEQ && !op_read(&c, 7, 1));
}

void test_walk_gives_up_carried(void)
{
	with_vault(40000, 64, gives_up_carried);
}

/* A device that fails for a while has lost nothing, and what is in the cache is not lost. */
static void gives_up_nothing(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_REPAIR));
	f->world.expect_failure = true;
	f->world.faults.fail_io = 100;
	CHECK(walk_on(f, 3) == 1 && f->v->walk.left);
	f->world.faults.fail_io = 0;
	CHECK(!walk_on(f, ~0u));
	CHECK(f->world.faulted && f->v->walk.complete && !f->v->walk.bad);
	whole(f, 0);

	CHECK(!op_read(&c, 5, 200));
	test_flip(f, test_node_block(f, QVAULT_KIND_NODE, 0, 0, 0));
	test_flip(f, test_node_block(f, QVAULT_KIND_MAP, 0, 0, 0));
	f->world.expect_corruption = true;
	repair(f);
	CHECK(!f->v->walk.bad);
	attach_again(f);
	whole(f, 0);
	CHECK(!op_read(&c, 5, 200) && !leaky(f));
}

void test_walk_gives_up_nothing(void)
{
	with_vault(40000, 64, gives_up_nothing);
}

/* ---- Reseal ---- */

static u32 gens(struct fixture *f)
{
	return qvault_generations(&f->v->anchor);
}

static void reseals(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(!op_write(&c, 10, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(gens(f) == 3);
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(!walk_on(f, ~0u));
	/* All but what was written since, each once. */
	CHECK(f->v->walk.moved == 202 && f->v->walk.looked == 202);
	CHECK(!op_checkpoint(&c));
	CHECK(gens(f) == 2 && f->v->anchor.seal == 1 && f->v->walk.complete);
	CHECK(!op_read(&c, 5, 200) && !op_read(&c, FAR, 3));
	/* Nothing is left to do, and nothing is done. */
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(!walk_on(f, ~0u));
	CHECK(!f->v->walk.moved && !f->v->walk.looked);
}

void test_walk_reseal(void)
{
	with_vault(40000, 64, reseals);
}

/* What cannot be read keeps its generation, and does not keep the walk from ending. */
static void keeps(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_generation_new(f->v, HMAC));
	test_flip(f, where(f, 9));
	f->world.expect_data_loss = true;
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(!walk_on(f, ~0u));
	CHECK(f->v->walk.bad == 1 && gens(f) == 3 && !f->v->walk.complete);
	CHECK(!op_write(&c, 9, 1));
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(!walk_on(f, ~0u));
	CHECK(!op_checkpoint(&c));
	CHECK(gens(f) == 2);
}

void test_walk_keeps(void)
{
	with_vault(40000, 64, keeps);
}

static void goes_on(struct fixture *f)
{
	struct client c = { .world = &f->world };
	u64 next;

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(walk_on(f, 1) == 1);
	next = f->v->walk.next;
	CHECK(next && f->v->walk.moved == QVAULT_FANOUT - 5);
	attach_again(f);
	CHECK(f->v->walk.kind == QVAULT_WALK_RESEAL && f->v->walk.next == next);
	CHECK(!walk_on(f, ~0u));
	CHECK(f->v->walk.moved == 203 - (QVAULT_FANOUT - 5));
	CHECK(!op_checkpoint(&c));
	CHECK(gens(f) == 2);
	/* That it has ended is worth a record. */
	attach_again(f);
	CHECK(!f->v->walk.kind);
}

/* What fails and changes nothing is tried again; a vault that has failed is not. */
static void fails(struct fixture *f)
{
	struct client c = { .world = &f->world };

	write_some(&c);
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(walk_on(f, 3) == 1);
	CHECK(!op_commit(&c));
	f->world.expect_failure = f->world.faults.fail_anchor = true;
	f->world.faults.fail_io_at = f->world.nr_ios + 1;
	CHECK(walk_on(f, 1) == -EAGAIN);
	CHECK(f->v->walk.kind == QVAULT_WALK_RESEAL && f->v->mode == QVAULT_MODE_WRITE);
	f->v->mode = QVAULT_MODE_FAILED;
	CHECK(walk_on(f, 1) == -EIO);
	CHECK(!f->v->walk.kind && !f->v->walk.complete);
	CHECK(qvault_detach(f->v) == -EIO);
	CHECK(!test_attach(f));
	CHECK(f->v->walk.kind == QVAULT_WALK_RESEAL);
	CHECK(!walk_on(f, ~0u) && f->v->walk.complete);
}

void test_walk_fails(void)
{
	with_vault(40000, 64, fails);
}

void test_walk_goes_on(void)
{
	with_vault(40000, 64, goes_on);
}

/* ---- Compare and insert ---- */

static struct qvault_blocks found;

/* Block 9 is found and verified; then @between happens; then it is to be moved. */
static u32 move(struct fixture *f, struct client *c, void (*between)(struct client *c))
{
	u32 moved = 0;
	u64 bad;

	memset(&found, 0, sizeof(found));
	found.logical = 9;
	found.count = 1;
	CHECK(!qvault_lookup_under(f->v, 9, 1, found.ptr, &found.root));
	CHECK(!qvault_blocks_verify(f->v, &found, &bad) && !bad);
	between(c);
	f->world.walker = task_current;
	CHECK(!qvault_blocks_move(f->v, &found, &moved));
	f->world.walker = NULL;
	qvault_blocks_put(&found);
	return moved;
}

static void nothing(struct client *c)
{
}

static void writes(struct client *c)
{
	CHECK(!op_write(c, 9, 1));
}

static void unmaps(struct client *c)
{
	CHECK(!qvault_unmap(&c->world->v, 9, 1));
}

static void checkpoints(struct client *c)
{
	CHECK(!op_write(c, 200, 1) && !op_checkpoint(c));
}

/* In the delta that is set aside, as while a checkpoint runs. */
static void sets_aside(struct client *c)
{
	struct qvault *v = &c->world->v;

	v->live = !v->live;
	v->frozen = true;
}

static void comes_back(struct fixture *f)
{
	f->v->live = !f->v->live;
	f->v->frozen = false;
}

static void writes_and_sets_aside(struct client *c)
{
	writes(c);
	sets_aside(c);
}

static void compares(struct fixture *f)
{
	struct client c = { .world = &f->world };
	struct qvault_ptr ptr;
	u64 old, fresh;

	CHECK(!op_write(&c, 9, 1));
	/* Found in the delta, and still there. */
	CHECK(move(f, &c, nothing) == 1);
	CHECK(!op_checkpoint(&c));
	/* Found in the tree, of which the root is the same. */
	old = where(f, 9);
	CHECK(move(f, &c, nothing) == 1 && where(f, 9) != old);
	CHECK(!op_read(&c, 9, 1));
	CHECK(!op_checkpoint(&c));
	/* Users come first; and what was written in vain is free again. */
	CHECK(!move(f, &c, writes) && !op_read(&c, 9, 1));
	CHECK(!move(f, &c, unmaps) && !qvault_lookup(f->v, 9, 1, &ptr) && !ptr.version);
	CHECK(!op_write(&c, 9, 1) && !op_checkpoint(&c));
	fresh = f->v->alloc.nr_fresh;
	old = where(f, 9);
	CHECK(!move(f, &c, checkpoints) && where(f, 9) == old);
	CHECK(!op_commit(&c) && f->v->alloc.nr_fresh == fresh);
	/* One that was set aside meanwhile counts as well as the one in use. */
	CHECK(!op_write(&c, 9, 1));
	CHECK(!move(f, &c, writes_and_sets_aside));
	comes_back(f);
	CHECK(!op_read(&c, 9, 1));
}

void test_walk_compares(void)
{
	with_vault(40000, 64, compares);
}

/* Nothing of it is urgent. */
static void no_memory(struct fixture *f)
{
	struct client c = { .world = &f->world };
	u32 again = 0;
	int err;

	write_some(&c);
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_SCRUB));
	world_reserve(&f->world, 30);
	f->world.shortage = 100;
	CHECK(walk_on(f, 1) == -EAGAIN);
	f->world.shortage = 0;
	CHECK(!walk_on(f, ~0u));
	CHECK(f->v->walk.looked == 203);

	/* In the middle of a leaf: what was visited is not counted again. */
	test_flip(f, where(f, 7));
	CHECK(qvault_lose(f->v, 8, &f->v->anchor.tree) == 1);
	f->world.expect_data_loss = true;
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_SCRUB));
	f->world.shortage = 3;
	do
		err = walk_on(f, ~0u);
	while (err == -EAGAIN && ++again < 1000);
	f->world.shortage = 0;
	CHECK(!err && again);
	CHECK(f->v->walk.bad == 1 && f->v->walk.lost == 1 && f->v->walk.looked == 202);
}

void test_walk_no_memory(void)
{
	with_vault(40000, 64, no_memory);
}
