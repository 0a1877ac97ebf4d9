// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes and map blocks that cannot be read: what is below them, what is not, and what
 * comes after.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>

#include "sim.h"
#include "test.h"

/* More than a leaf, in several of them, all in the tree. */
static void some_leaves(struct client *c)
{
	u32 i;

	for (i = 0; i < 5; i++)
		CHECK(!op_write(c, i * QVAULT_FANOUT, QVAULT_FANOUT));
	CHECK(!op_checkpoint(c));
}

/* Where the anchored tree has a node, or a second copy of it. */
u64 test_node_block(struct fixture *f, enum qvault_kind kind, u32 level, u64 index,
		    u32 copy)
{
	const struct qvault_root *root = kind == QVAULT_KIND_MAP ?
					 &f->v->anchor.map : &f->v->anchor.tree;
	const struct qvault_disk_node *disk;
	struct qvault_node *node;
	struct qvault_ptr ptr = root->ptr;
	u32 l;

	for (l = root->level; l > level; l--) {
		u64 leaf = index << (QVAULT_FANOUT_SHIFT * level);

		CHECK(!qvault_node_get(f->v, QVAULT_USE_READ, kind, l,
				       leaf >> (QVAULT_FANOUT_SHIFT * l), &ptr,
				       &node));
		disk = node->data;
		qvault_ptr_from_disk(&ptr, &disk->ptr[leaf >>
				     (QVAULT_FANOUT_SHIFT * (l - 1)) &
				     (QVAULT_FANOUT - 1)]);
		qvault_node_put(f->v, node);
	}
	CHECK(ptr.version);
	return qvault_node_block(&f->v->geo, kind, level, index,
				 qvault_node_slot(&ptr), copy);
}

/* What is in memory of it is forgotten too. */
void test_forget(struct fixture *f)
{
	u32 limit = f->v->alloc.limit;

	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 64));
	qvault_alloc_exit(f->v);
	CHECK(!qvault_alloc_init(f->v, limit));
}

static struct rot_list list;

static void damage_copy(struct fixture *f, enum qvault_kind kind, u32 level,
			u64 index, u32 copy)
{
	struct rot *rot = &list.item[list.nr++];

	*rot = (struct rot){
		.kind = kind, .level = level, .index = index, .copy = copy,
		.block = test_node_block(f, kind, level, index, copy),
	};
	rot->was = block_get(dev_newest(&f->world.data, rot->block));
	rot->bad = block_new(rot->was->data);
	rot->bad->data[7] ^= 1;
	dev_set_durable(&f->world.data, rot->block, rot->bad);
}

/* All copies of it. */
static void damage(struct fixture *f, enum qvault_kind kind, u32 level, u64 index)
{
	u32 copy;

	rot_current = &list;
	f->world.rotten = true;
	for (copy = 0; copy <= qvault_node_twice(kind, level); copy++)
		damage_copy(f, kind, level, index, copy);
}

/* So that unmaps are seen by the oracle. */
void test_sim(struct fixture *f)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	sim->touched = calloc(f->v->geo.logical_blocks, sizeof(u64));
	sim->is_touched = calloc(BITS_TO_LONGS(f->v->geo.logical_blocks),
				 sizeof(long));
	f->world.sim = sim;
}

void test_sim_end(struct fixture *f)
{
	struct sim *sim = f->world.sim;

	f->world.sim = NULL;
	free(sim->touched);
	free(sim->is_touched);
	free(sim);
}

static void end(struct fixture *f)
{
	rot_exit(&list);
	rot_current = NULL;
	test_sim_end(f);
}

static u64 leaked(const struct fixture *f)
{
	return qvault_node_weight(&f->v->anchor.map.ptr) -
	       qvault_node_weight(&f->v->anchor.tree.ptr);
}

/*
 * One leaf: what was written before it was known is carried from checkpoint to
 * checkpoint, what comes after is refused, all else goes on.
 */
static void leaf(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 1 };
	u32 i;

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	test_forget(f);
	CHECK(!op_write(&c, 130, 10));
	CHECK(!op_unmap(&c, 145, 5));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1 && f->v->damage.pages == 1);
	CHECK(!f->v->frozen);

	CHECK(op_write(&c, 200, 1) == -EILSEQ);
	CHECK(op_write(&c, 120, 20) == -EILSEQ);
	CHECK(op_unmap(&c, 130, 126) == -EILSEQ);
	for (i = 0; i < 3; i++) {
		CHECK(!op_write(&c, 300, 20));
		CHECK(!op_checkpoint(&c));
		CHECK(!op_read(&c, 130, 10));
		CHECK(!op_read(&c, 145, 5));
		CHECK(op_read(&c, 160, 1) == -EILSEQ);
		CHECK(!op_read(&c, 0, 128));
		CHECK(!op_read(&c, 256, 256));
		/* One of its blocks, and what is inline in the record. */
		CHECK(qvault_log_used(f->v) <= 1);
	}
	CHECK(!leaked(f));

	/* All of it goes, and what comes then may be there at once. */
	CHECK(!op_unmap(&c, 128, 128));
	CHECK(!f->v->damage.nr);
	CHECK(!op_write(&c, 140, 3));
	CHECK(!op_checkpoint(&c));
	CHECK(!op_write(&c, 150, 3));
	CHECK(!op_checkpoint(&c));
	CHECK(!f->v->damage.nr && !f->v->damage.pages);
	CHECK(!qvault_log_used(f->v));
	CHECK(leaked(f) == 128);
	CHECK(!op_read(&c, 0, 256));
	end(f);
}

void test_damage_leaf(void)
{
	with_vault(3000, 16, leaf);
}

/* The node is there again: nothing is lost, and nothing was to be repaired. */
static void heals(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 2 };

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	test_forget(f);
	CHECK(!op_write(&c, 130, 10));
	CHECK(!op_checkpoint(&c));
	CHECK(op_write(&c, 200, 1) == -EILSEQ);
	rot_heal(&f->world);
	CHECK(!op_checkpoint(&c));
	CHECK(!f->v->damage.nr && !f->v->damage.pages);
	CHECK(!op_write(&c, 200, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_log_used(f->v) && !leaked(f));
	CHECK(!op_read(&c, 0, 256));
	end(f);
}

void test_damage_heals(void)
{
	with_vault(3000, 16, heals);
}

/* Whole leaves, a mark above damaged leaves, and a mark on a damaged upper node. */
static void covered(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 subtree = (u64)QVAULT_FANOUT * QVAULT_FANOUT;

	test_sim(f);
	CHECK(!op_write(&c, subtree, 200));
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 2);
	damage(f, QVAULT_KIND_NODE, 1, 1);
	damage(f, QVAULT_KIND_NODE, 0, 4);
	test_forget(f);
	/* Of this one all is written; it need not be known to be damaged. */
	CHECK(!op_write(&c, 256, 128));
	CHECK(!op_write(&c, 512, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1);
	CHECK(leaked(f) == 128);
	CHECK(!op_read(&c, 256, 128));

	CHECK(!op_unmap(&c, subtree, 300));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 2);
	/* The last subtree is cut off by the end of the volume. */
	CHECK(!op_unmap(&c, subtree, f->v->geo.logical_blocks - subtree));
	CHECK(f->v->damage.nr == 1);
	CHECK(!op_write(&c, subtree + 7, 9));
	CHECK(!op_checkpoint(&c));
	CHECK(!op_read(&c, subtree, 250));
	CHECK(leaked(f) == 128 + 200);

	CHECK(!op_unmap(&c, 0, subtree));
	CHECK(!op_checkpoint(&c));
	CHECK(!f->v->damage.nr);
	CHECK(leaked(f) == 128 + 200 + 128);
	CHECK(!op_read(&c, 0, 250));
	end(f);
}

void test_damage_covered(void)
{
	with_vault(25000, 64, covered);
}

/* Below a damaged node of an upper level marks are carried too, and what is inside. */
static void marks(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 4 };
	u64 subtree = (u64)QVAULT_FANOUT * QVAULT_FANOUT;
	u32 i;

	test_sim(f);
	CHECK(!op_write(&c, subtree, 200));
	CHECK(!op_write(&c, 0, 200));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_NODE, f->v->geo.tree.top, 0);
	test_forget(f);
	CHECK(!op_unmap(&c, 0, subtree));
	CHECK(!op_write(&c, 10, 3));
	for (i = 0; i < 3; i++) {
		CHECK(!op_checkpoint(&c));
		CHECK(f->v->damage.nr == 1 && f->v->damage.pages == 1);
		CHECK(!op_read(&c, 0, 200));
		CHECK(op_read(&c, subtree, 1) == -EILSEQ);
	}
	end(f);
}

void test_damage_marks(void)
{
	with_vault(40000, 64, marks);
}

/* The commit that sets the delta aside, by hand. */
static void freeze(struct qvault *v)
{
	struct qvault_page *page;

	mutex_lock(&v->commit_mutex);
	page = v->freeze_page;
	v->freeze_page = NULL;
	CHECK(!__qvault_commit(v, page));
	mutex_unlock(&v->commit_mutex);
	CHECK(v->frozen);
}

/* What came while it was merged is folded back, and stays the newer. */
static void folded(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 5 };
	struct qvault *v = f->v;

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	damage(f, QVAULT_KIND_NODE, 0, 2);
	test_forget(f);
	CHECK(!op_write(&c, 130, 20));
	CHECK(!op_write(&c, 0, 5));
	CHECK(!op_write(&c, 258, 1));
	freeze(v);
	CHECK(!op_write(&c, 140, 20));
	CHECK(!op_unmap(&c, 135, 2));
	/* This one covers all of what the merge will find. */
	CHECK(!op_unmap(&c, 256, 128));
	CHECK(!op_checkpoint(&c));
	CHECK(v->damage.nr == 1 && !v->frozen);
	CHECK(!op_read(&c, 130, 30));
	CHECK(!op_read(&c, 0, 128));
	CHECK(!op_read(&c, 256, 128));
	CHECK(v->alloc.nr_fresh == 28);
	CHECK(leaked(f) == 128);
	end(f);
}

/* So are leaves below a mark that was set aside. */
static void folded_marks(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 5 };
	u64 subtree = (u64)QVAULT_FANOUT * QVAULT_FANOUT;

	test_sim(f);
	some_leaves(&c);
	CHECK(!op_write(&c, subtree, 100));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_NODE, 0, QVAULT_FANOUT);
	test_forget(f);
	CHECK(!op_unmap(&c, 0, subtree));
	CHECK(!op_write(&c, 300, 2));
	CHECK(!op_write(&c, subtree + 3, 1));
	freeze(f->v);
	CHECK(!op_write(&c, 5, 1));
	CHECK(!op_write(&c, 301, 2));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1);
	CHECK(!op_read(&c, 0, 128));
	CHECK(!op_read(&c, 256, 128));
	CHECK(!op_read(&c, subtree + 3, 1));
	end(f);
}

void test_damage_folded(void)
{
	with_vault(3000, 16, folded);
	with_vault(25000, 64, folded_marks);
}

/* Who was let in before it was known, and comes after room was promised. */
static void late(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 10 };
	struct qvault *v = f->v;
	u32 i;

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	damage(f, QVAULT_KIND_NODE, 0, 2);
	test_forget(f);
	CHECK(!op_write(&c, 260, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(v->damage.nr == 1 && v->damage.pages == 1);
	/* Each an entry of its own: they need two pages. */
	for (i = 127; i--;)
		CHECK(!op_write(&c, 128 + i, 1));
	mutex_lock(&v->checkpoint_mutex);
	CHECK(!qvault_damage_promise(v));
	CHECK(!qvault_damage_add(v, qvault_node_id(0, 1)));
	freeze(v);
	qvault_damage_carried(v);
	mutex_unlock(&v->checkpoint_mutex);
	CHECK(!v->damage.pages);
	CHECK(!op_checkpoint(&c));
	CHECK(!v->frozen);
	CHECK(!op_read(&c, 128, 127));
	CHECK(!op_read(&c, 260, 1));
	end(f);
}

/* Entries that do not follow each other take the more room. */
static void scattered(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 11 };
	u32 i;

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	test_forget(f);
	for (i = 127; i--;)
		CHECK(!op_write(&c, 128 + i, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1 && f->v->damage.pages == 2);
	CHECK(!op_checkpoint(&c));
	CHECK(qvault_log_used(f->v) == 2);
	CHECK(!op_read(&c, 128, 127));
	end(f);
}

void test_damage_late(void)
{
	with_vault(3000, 32, late);
	with_vault(3000, 16, scattered);
}

/* More than the log can take: nothing is lost, and a discard mends it. */
static void overfull(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 6 };
	u64 room = f->v->log_limit * 100, i;

	test_sim(f);
	CHECK(!op_write(&c, 0, 128));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_NODE, 1, 0);
	test_forget(f);
	/* One by one and from the end, so that no two are a run. */
	for (i = room; i-- && !op_write(&c, 2 * i, 1);)
		CHECK(i % 60 || !op_commit(&c));
	CHECK(i < room);
	CHECK(op_checkpoint(&c) == -ENOSPC);
	CHECK(f->v->damage.nr == 1 && f->v->mode == QVAULT_MODE_WRITE);
	CHECK(!op_read(&c, 2 * room - 2, 1));
	/* What is kept of the log is for this. */
	CHECK(!op_unmap(&c, 0, (u64)QVAULT_FANOUT * QVAULT_FANOUT));
	CHECK(!op_checkpoint(&c));
	CHECK(!op_write(&c, 5, 100));
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_log_used(f->v) && !f->v->damage.nr);
	end(f);
}

void test_damage_overfull(void)
{
	with_vault(40000, 32, overfull);
}

/* ---- No memory, and none to come ---- */

/* Nothing but what the vault has put by. */
static void no_memory(struct fixture *f, bool on)
{
	f->world.shortage = f->world.sched.fail_alloc = on ? 100 : 0;
	world_reserve(&f->world, 0);
}

static bool nodes_have_room(const struct qvault_delta *delta)
{
	const struct qvault_delta_node *node;

	list_for_each_entry(node, &delta->nodes, list)
		if (node->used > node->capacity)
			return false;
	return true;
}

/*
 * More leaves are in both deltas than there are nodes put by, and all that are there
 * are as small as can be: yet the one is folded into the other.
 */
static void folded_short(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 13 };
	u32 i, leaves = 2 * QVAULT_STOCK;
	struct qvault *v = f->v;

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	test_forget(f);
	for (i = 0; i < leaves; i++)
		CHECK(!op_write(&c, i * QVAULT_FANOUT + 10, 1));
	freeze(v);
	for (i = 0; i < leaves; i++) {
		CHECK(!op_write(&c, i * QVAULT_FANOUT + 20, 1));
		CHECK(!op_unmap(&c, i * QVAULT_FANOUT + 30, 1));
	}
	no_memory(f, true);
	mutex_lock(&v->checkpoint_mutex);
	qvault_damage_fold(v);
	CHECK(!v->frozen && nodes_have_room(&v->delta[v->live]));
	mutex_unlock(&v->checkpoint_mutex);
	CHECK(!op_checkpoint(&c));
	CHECK(v->damage.nr == 1 && v->damage.pages == 1);
	no_memory(f, false);
	for (i = 0; i < leaves; i++) {
		CHECK(!op_read(&c, i * QVAULT_FANOUT + 10, 1));
		CHECK(!op_read(&c, i * QVAULT_FANOUT + 20, 1));
		CHECK(!op_read(&c, i * QVAULT_FANOUT + 30, 1));
	}
	end(f);
}

/* What is carried past a leaf, for as long as memory is short. */
static void carried_short(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 14 };
	u64 made;
	u32 i, n;

	test_sim(f);
	f->v->memory_mib = 4;
	qvault_set_limits(f->v);
	some_leaves(&c);
	damage(f, QVAULT_KIND_NODE, 0, 1);
	test_forget(f);
	no_memory(f, true);
	/* From the end, so that no two are a run. */
	for (i = 127; i--;)
		CHECK(!op_write(&c, QVAULT_FANOUT + i, 1));
	made = atomic64_read(&f->v->counters.checkpoints);
	for (i = 0; i < 5; i++) {
		/* All pages but one are in the stream when the checkpoint wants two. */
		for (n = 2000; n && f->v->page_pool->curr_nr > 1; n--)
			CHECK(!op_write(&c, 4 * QVAULT_FANOUT + 2 * (n % 60), 1));
		CHECK(n);
		CHECK(!op_checkpoint(&c));
		CHECK(!op_write(&c, 2 * QVAULT_FANOUT + i, 70));
		CHECK(!op_commit(&c));
		CHECK(f->v->damage.nr == 1 && f->v->damage.pages == 2);
		CHECK(!op_read(&c, QVAULT_FANOUT, 127));
	}
	CHECK((u64)atomic64_read(&f->v->counters.checkpoints) >= made + 5);
	no_memory(f, false);
	end(f);
}

/*
 * More than the pages that are put by can carry: checkpoints say so, whoever needs one
 * is told that there is no space, and commits go on.  All is as before once there is
 * memory.
 */
static void too_much_short(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 15 };
	u64 first = (u64)QVAULT_FANOUT * QVAULT_FANOUT, i, n;
	u32 entries = 100 * (QVAULT_PAGES + 2), kept;

	test_sim(f);
	f->v->memory_mib = 4;
	qvault_set_limits(f->v);
	CHECK(!op_write(&c, 0, 128));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_NODE, 1, 0);
	test_forget(f);
	for (i = entries; i--;)
		CHECK(!op_write(&c, 2 * i, 1));
	CHECK(!op_commit(&c));
	no_memory(f, true);
	for (i = 0; i < 3; i++) {
		CHECK(op_checkpoint(&c) == -ENOMEM);
		CHECK(!f->v->frozen && f->v->mode == QVAULT_MODE_WRITE);
		CHECK(!op_write(&c, first + 10 * i, 5));
		CHECK(!op_commit(&c));
		CHECK(!op_read(&c, 2 * i, 1));
	}
	/* Until there is no room without a checkpoint. */
	f->world.faulted = true;
	kept = f->v->log_limit * 100;
	for (n = 0; n < kept && !op_write(&c, first + n, 1); n++)
		CHECK(n % 30 || !op_commit(&c));
	CHECK(n && n < kept && f->v->mode == QVAULT_MODE_WRITE);
	CHECK(!op_commit(&c));
	no_memory(f, false);
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1 && f->v->damage.pages > QVAULT_PAGES);
	CHECK(!op_write(&c, first, 100));
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < entries; i += 50)
		CHECK(!op_read(&c, 2 * i, 1));
	CHECK(!op_read(&c, first, 100));
	end(f);
}

/* As many leaves are carried as there are nodes put by: that, too, is told and passes. */
static void stock_short(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 16 };
	u64 first = (u64)QVAULT_FANOUT * QVAULT_FANOUT;
	u32 i;

	test_sim(f);
	CHECK(!op_write(&c, 0, 128));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_NODE, 1, 0);
	test_forget(f);
	no_memory(f, true);
	for (i = 0; i < QVAULT_STOCK; i++)
		CHECK(!op_write(&c, i * QVAULT_FANOUT, 1));
	for (i = 0; i < 3; i++) {
		CHECK(!op_checkpoint(&c));
		CHECK(f->v->damage.nr == 1 && f->v->damage.pages == 1);
		f->world.faulted = true;
		CHECK(op_write(&c, first, 1) == -ENOSPC);
		f->world.faulted = false;
		CHECK(!op_commit(&c));
		CHECK(f->v->mode == QVAULT_MODE_WRITE);
	}
	no_memory(f, false);
	CHECK(!op_write(&c, first, 100));
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < QVAULT_STOCK; i++)
		CHECK(!op_read(&c, i * QVAULT_FANOUT, 1));
	CHECK(!op_read(&c, first, 100));
	end(f);
}

void test_damage_no_memory(void)
{
	with_vault(40000, 64, stock_short);
	with_vault(25000, 64, folded_short);
	with_vault(5000, 128, carried_short);
	with_vault(40000, 128, too_much_short);
}

/* ---- The map ---- */

/* Of a group in memory the map block is written anew, and nothing leaks. */
static void map_known(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 7 };

	test_sim(f);
	some_leaves(&c);
	/* Its home is in use: the group is put together to find another place. */
	CHECK(!op_write(&c, 0, 1));
	CHECK(f->v->alloc.nr_groups == 1);
	damage(f, QVAULT_KIND_MAP, 0, 0);
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 0));
	CHECK(!op_write(&c, 0, 200));
	CHECK(!op_checkpoint(&c));
	CHECK(!leaked(f));
	test_forget(f);
	CHECK(!op_write(&c, 0, 200));
	CHECK(!op_checkpoint(&c));
	CHECK(!leaked(f));
	CHECK(!op_read(&c, 0, 256));
	end(f);
}

void test_damage_map_known(void)
{
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 64, map_known);
}

/* Else the group is full, and what is in it becomes free as it is written again. */
static void map_full(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 8 };
	u64 group;
	u32 bit, i;
	struct qvault_ptr ptr;

	test_sim(f);
	some_leaves(&c);
	damage(f, QVAULT_KIND_MAP, 0, 0);
	test_forget(f);
	CHECK(!op_write(&c, 1000, 200));
	CHECK(!qvault_lookup(f->v, 1000, 1, &ptr));
	CHECK(qvault_locate(&f->v->geo, ptr.where, &group, &bit) && group == 1);
	CHECK(!op_checkpoint(&c));
	/* It was not touched, and so not written. */
	CHECK(!leaked(f));
	CHECK(!op_write(&c, 0, 100));
	CHECK(!op_checkpoint(&c));
	CHECK(leaked(f) == QVAULT_GROUP_DATA - 5 * QVAULT_FANOUT);
	/* The places that were left are free now. */
	for (i = 0; i < 3; i++) {
		test_forget(f);
		CHECK(!op_write(&c, 0, 100));
		CHECK(!op_checkpoint(&c));
		CHECK(leaked(f) == QVAULT_GROUP_DATA - 5 * QVAULT_FANOUT);
	}
	CHECK(!op_read(&c, 0, 256));
	CHECK(!op_read(&c, 1000, 200));
	end(f);
}

void test_damage_map_full(void)
{
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 64, map_full);
}

/*
 * What this checkpoint itself has written and cannot be read back is not damage:
 * changes would be lost.
 */
static void map_read_back(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 12 };
	struct qvault_changes changes = { 0 };
	struct qvault_cursor cursor;
	struct qvault_batch *batch;
	u64 block, first = qvault_block_of(&f->v->geo, 0, 20000);
	struct block *b;

	test_sim(f);
	some_leaves(&c);
	f->world.rotten = true;
	batch = qvault_batch_begin(f->v, f->v->data, QVAULT_USE_CHECKPOINT);
	qvault_cursor_init(&cursor, f->v, QVAULT_KIND_MAP, &f->v->anchor.map, batch);
	changes.item = calloc(QVAULT_MAX_CHANGES, sizeof(u64));
	changes.cursor = &cursor;
	block = test_node_block(f, QVAULT_KIND_MAP, 0, 0, 0);
	block = qvault_node_block(&f->v->geo, QVAULT_KIND_MAP, 0, 0,
				  block == qvault_node_block(&f->v->geo,
							     QVAULT_KIND_MAP, 0, 0, 0, 0),
				  0);
	CHECK(!qvault_changes_add(&changes, first, true));
	CHECK(!qvault_changes_apply(&changes));
	CHECK(!qvault_dev_flush(f->v->data));
	b = block_new(dev_newest(&f->world.data, block)->data);
	b->data[0] ^= 1;
	dev_set_durable(&f->world.data, block, b);
	block_put(b);
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 0));
	CHECK(!qvault_changes_add(&changes, first + 1, true));
	CHECK(qvault_changes_apply(&changes) == -EIO);
	qvault_cursor_exit(&cursor);
	qvault_batch_end(batch);
	free(changes.item);
	end(f);
}

void test_damage_map_read_back(void)
{
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 64, map_read_back);
}

/* An upper node of the map: all groups below it, those of a cut-off last node too. */
static void map_upper(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 9 };
	u64 last = f->v->geo.logical_blocks - 100;

	test_sim(f);
	CHECK(!op_write(&c, 0, 100));
	CHECK(!op_write(&c, last, 100));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_MAP, 1, 1);
	test_forget(f);
	CHECK(!op_write(&c, last, 50));
	CHECK(!op_checkpoint(&c));
	CHECK(leaked(f) == QVAULT_GROUP_DATA + qvault_group_data(&f->v->geo, 129) - 100);
	test_forget(f);
	CHECK(!op_write(&c, last, 50));
	CHECK(!op_checkpoint(&c));
	CHECK(!op_read(&c, last, 100));
	CHECK(!op_read(&c, 0, 100));
	end(f);
}

/* What is carried stands in a group that became full, and is still fresh. */
static void map_and_leaf(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 13 };
	const u64 first = 128ull * QVAULT_GROUP_LEAVES * QVAULT_FANOUT;
	u32 i;

	test_sim(f);
	CHECK(!op_write(&c, first, 256));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_NODE, 0, first >> QVAULT_FANOUT_SHIFT);
	damage(f, QVAULT_KIND_MAP, 1, 1);
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 0));
	CHECK(!op_write(&c, first + 3, 5));
	CHECK(!op_write(&c, first + 200, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->damage.nr == 1 && f->v->alloc.nr_fresh == 5);
	CHECK(!op_checkpoint(&c));
	CHECK(!op_read(&c, first + 3, 5));
	CHECK(!op_unmap(&c, first, 128));
	CHECK(!op_commit(&c) && !f->v->alloc.nr_fresh);
	for (i = 0; i < 3; i++) {
		CHECK(!op_write(&c, first + 20 * i, 50));
		CHECK(!op_checkpoint(&c));
	}
	CHECK(!op_read(&c, first, 256));
	end(f);
}

/* As many changes of the map as take two passes: what took its place is there in both. */
static void map_twice(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 9 };
	u64 last = f->v->geo.logical_blocks - 1;
	const u32 n = QVAULT_MAX_CHANGES / 2 + 500;
	u32 i;

	test_sim(f);
	f->v->memory_mib = 64;
	qvault_set_limits(f->v);
	/* Far from each other, so that each is a run, and a change twice. */
	for (i = 0; i < n; i++)
		CHECK(!op_write(&c, last - 2 * i, 1));
	CHECK(!op_checkpoint(&c));
	damage(f, QVAULT_KIND_MAP, 1, 1);
	test_forget(f);
	for (i = 0; i < n; i++)
		CHECK(!op_write(&c, last - 2 * i, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(leaked(f));
	end(f);
}

void test_damage_map_upper(void)
{
	with_vault(129 * QVAULT_GROUP_BLOCKS + 5000, 2048, map_twice);
	with_vault(129 * QVAULT_GROUP_BLOCKS + 5000, 64, map_and_leaf);
	with_vault(129 * QVAULT_GROUP_BLOCKS + 5000, 64, map_upper);
}
