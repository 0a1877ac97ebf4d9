// SPDX-License-Identifier: GPL-2.0
/*
 * The cursor against an array: rounds of changes in ascending order, each
 * making a new tree out of the last one.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/delay.h>

#include "sim.h"
#include "test.h"

static const u64 zero[4];

/* Those that have a place on the device. */
static u64 real_leaves(const struct qvault *v)
{
	return v->geo.groups * QVAULT_GROUP_LEAVES;
}

/* @beyond: leaves that the model does not know. */
static void check_tree_and(struct fixture *f, const struct qvault_root *root,
			   const u64 *model, u64 leaves, u64 beyond)
{
	const struct qvault_disk_node *disk;
	struct qvault_node *node;
	struct qvault_ptr ptr;
	u64 i, weight = 0;

	for (i = 0; i < leaves; i++) {
		CHECK(!qvault_tree_find(f->v, QVAULT_KIND_NODE, root, i, &ptr,
					NULL));
		if (!CHECK(!ptr.version == !model[i]) || !ptr.version)
			continue;
		weight++;
		CHECK(qvault_node_weight(&ptr) == 1);
		if (!CHECK(!qvault_node_get(f->v, QVAULT_USE_READ, QVAULT_KIND_NODE, 0, i, &ptr,
					    &node)))
			continue;
		disk = node->data;
		CHECK(le64_to_cpu(disk->ptr[0].version) == model[i]);
		qvault_node_put(f->v, node);
	}
	CHECK((root->ptr.version ? qvault_node_weight(&root->ptr) : 0) ==
	      weight + beyond);
}

static void check_tree(struct fixture *f, const struct qvault_root *root,
		       const u64 *model, u64 leaves)
{
	check_tree_and(f, root, model, leaves, 0);
}

static void change(struct fixture *f, struct rng *rng, struct qvault_root *root,
		   u64 *model, u64 leaves)
{
	struct qvault_batch *batch = qvault_batch_begin(f->v, f->v->data,
				   QVAULT_USE_CHECKPOINT);
	struct qvault_cursor *c = malloc(sizeof(*c));
	struct qvault_disk_node *disk;
	void *data;
	u64 i;

	qvault_cursor_init(c, f->v, QVAULT_KIND_NODE, root, batch);
	for (i = 0; i < leaves; i++) {
		if (!rng_chance(rng, 20))
			continue;
		if (!CHECK(!qvault_cursor_leaf(c, i, &data)))
			break;
		disk = data;
		CHECK(le64_to_cpu(disk->ptr[0].version) == model[i]);
		CHECK(!memcmp(&disk->ptr[1], zero, sizeof(zero)));
		/* Looked at, but not changed. */
		if (rng_chance(rng, 20))
			continue;
		model[i] = rng_chance(rng, 40) ? 0 : rng_next(rng);
		disk->ptr[0].version = cpu_to_le64(model[i]);
		qvault_cursor_dirty(c);
	}
	CHECK(!qvault_cursor_finish(c));
	CHECK(!qvault_batch_wait(batch));
	*root = c->root;
	qvault_cursor_exit(c);
	qvault_batch_end(batch);
	free(c);
}

static void tree_model(struct fixture *f)
{
	u64 leaves = real_leaves(f->v), *model;
	struct qvault_root root = { 0 }, old;
	struct rng rng = { leaves };
	u32 round;

	model = calloc(leaves, sizeof(*model));
	for (round = 0; round < 12; round++) {
		u64 *before = malloc(leaves * sizeof(*before));

		memcpy(before, model, leaves * sizeof(*before));
		old = root;
		f->v->cache.limit = rng_below(&rng, 20);
		change(f, &rng, &root, model, leaves);
		check_tree(f, &root, model, leaves);
		/* The tree it was made of is still there, slot by slot. */
		check_tree(f, &old, before, leaves);
		free(before);
	}
	free(model);
}

void test_tree_model(void)
{
	with_vault(30000, 16, tree_model);
	with_vault(2 * QVAULT_GROUP_BLOCKS + 3000, 16, tree_model);
}

static void tree_next(struct fixture *f)
{
	u64 leaves = real_leaves(f->v), *model, i, index, want;
	struct qvault_batch *batch;
	struct qvault_cursor *c = malloc(sizeof(*c));
	struct qvault_root root = { 0 };
	struct rng rng = { 9 };
	int ret;

	model = calloc(leaves, sizeof(*model));
	change(f, &rng, &root, model, leaves);
	batch = qvault_batch_begin(f->v, f->v->data,
				   QVAULT_USE_CHECKPOINT);
	qvault_cursor_init(c, f->v, QVAULT_KIND_NODE, &root, batch);
	for (i = 0; i <= leaves; i++) {
		for (want = i; want < leaves && !model[want]; want++)
			;
		ret = qvault_cursor_next(c, i, leaves, &index);
		CHECK(ret == (want < leaves));
		if (ret == 1)
			CHECK(index == want);
	}
	qvault_cursor_exit(c);
	qvault_batch_end(batch);
	free(model);
	free(c);
}

void test_tree_next(void)
{
	with_vault(30000, 16, tree_next);
}

static void set_leaf(struct qvault_cursor *c, u64 leaf, u64 version)
{
	struct qvault_disk_node *disk;
	void *data;

	if (!CHECK(!qvault_cursor_leaf(c, leaf, &data)))
		return;
	disk = data;
	disk->ptr[0].version = cpu_to_le64(version);
	qvault_cursor_dirty(c);
}

static u64 leaf_version(struct fixture *f, const struct qvault_root *root, u64 leaf)
{
	const struct qvault_disk_node *disk;
	struct qvault_node *node;
	struct qvault_ptr ptr;
	u64 version;

	CHECK(!qvault_tree_find(f->v, QVAULT_KIND_NODE, root, leaf, &ptr, NULL));
	if (!ptr.version || !CHECK(!qvault_node_get(f->v, QVAULT_USE_READ,
						    QVAULT_KIND_NODE, 0, leaf, &ptr,
						    &node)))
		return 0;
	disk = node->data;
	version = le64_to_cpu(disk->ptr[0].version);
	qvault_node_put(f->v, node);
	return version;
}

/*
 * The volume is twice as deep as its root: the first leaf that a cursor goes to may
 * be far from all that there is, or the last one of old, or found by a search.  Then
 * a second pass.
 */
static void raised(struct fixture *f, const struct qvault_root *old, u64 *model,
		   u64 leaves, u32 how)
{
	struct qvault_batch *batch = qvault_batch_begin(f->v, f->v->data,
							QVAULT_USE_CHECKPOINT);
	u64 far = f->v->geo.tree.count[0] - 1, index, was = model[leaves - 1];
	struct qvault_cursor *c = malloc(sizeof(*c));

	qvault_cursor_init(c, f->v, QVAULT_KIND_NODE, old, batch);
	CHECK(!qvault_cursor_finish(c));
	CHECK(c->root.level == old->level);
	if (how == 1)
		set_leaf(c, leaves - 1, model[leaves - 1] = 55);
	else if (how == 2)
		CHECK(!qvault_cursor_next(c, leaves, far + 1, &index));
	set_leaf(c, far, 77);
	CHECK(!qvault_cursor_finish(c));
	CHECK(!qvault_batch_wait(batch));
	CHECK(c->root.level == f->v->geo.tree.top);
	check_tree_and(f, &c->root, model, leaves, 1);
	CHECK(leaf_version(f, &c->root, far) == 77);
	set_leaf(c, leaves - 1, model[leaves - 1] = 66);
	set_leaf(c, far - 1, 88);
	CHECK(!qvault_cursor_finish(c));
	CHECK(!qvault_batch_wait(batch));
	f->v->cache.limit = 0;
	check_tree_and(f, &c->root, model, leaves, 2);
	CHECK(leaf_version(f, &c->root, far) == 77);
	CHECK(leaf_version(f, &c->root, far - 1) == 88);
	/* And what is anchored is as it was. */
	model[leaves - 1] = was;
	check_tree(f, old, model, leaves);
	CHECK(!leaf_version(f, old, far));
	qvault_cursor_exit(c);
	qvault_batch_end(batch);
	free(c);
}

static void tree_raise(struct fixture *f)
{
	const struct qvault_geometry was = f->v->geo;
	u64 leaves = real_leaves(f->v), *model, groups;
	struct qvault_root root = { 0 };
	struct rng rng = { 5 };
	u32 how;

	model = calloc(leaves, sizeof(*model));
	change(f, &rng, &root, model, leaves);
	CHECK(root.level == 2);
	for (groups = 100; groups < 2000000; groups *= 100) {
		f->world.data.nr_blocks = groups * QVAULT_GROUP_BLOCKS + 17;
		CHECK(!qvault_geometry_init(&f->v->geo, f->world.data.nr_blocks, 0, 16));
		CHECK(f->v->geo.tree.top > root.level);
		for (how = 0; how < 3; how++)
			raised(f, &root, model, leaves, how);
	}
	f->v->geo = was;
	free(model);
}

void test_tree_raise(void)
{
	with_vault(30000, 16, tree_raise);
}

/* A checkpoint lets others run, but not while they wait for it. */
static void tree_pauses(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 8 };
	u32 i;

	for (i = 0; i < 20; i++)
		CHECK(!op_write(&c, i * QVAULT_FANOUT, 1));
	shim_pauses = 0;
	CHECK(!qvault_checkpoint(f->v));
	CHECK(shim_pauses == 2);

	for (i = 0; i < 20; i++)
		CHECK(!op_write(&c, i * QVAULT_FANOUT, 1));
	shim_pauses = 0;
	CHECK(!qvault_checkpoint_since(f->v, atomic64_read(&f->v->counters.checkpoints)));
	CHECK(!shim_pauses);
	CHECK(!atomic_read(&f->v->hurried));
}

void test_tree_pauses(void)
{
	with_vault(5000, 64, tree_pauses);
}
