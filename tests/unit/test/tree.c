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
	return (v->geo.groups - 1) * QVAULT_GROUP_LEAVES + v->geo.last_leaves;
}

static void check_tree(struct fixture *f, const struct qvault_ptr *root,
		       const u64 *model, u64 leaves)
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
	CHECK((root->version ? qvault_node_weight(root) : 0) == weight);
}

static void change(struct fixture *f, struct rng *rng, struct qvault_ptr *root,
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
	struct qvault_ptr root = { 0 }, old;
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
	struct qvault_ptr root = { 0 };
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
