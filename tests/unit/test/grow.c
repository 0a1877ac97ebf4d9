// SPDX-License-Identifier: GPL-2.0
/* Volumes that grow: what is refused, what is written, and what is found afterwards. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test.h"

/* The device is larger, and the oracle knows as many blocks as there may be. */
static void give(struct fixture *f, u64 data_blocks, struct qvault_geometry *geo)
{
	CHECK(!qvault_geometry_init(geo, data_blocks, 0, f->v->geo.log_blocks));
	f->world.data.nr_blocks = data_blocks;
}

static void both_slots(struct fixture *f)
{
	const struct qvault_geometry *geo = &f->v->geo;
	u32 slot;

	for (slot = 0; slot < 2; slot++) {
		const struct block *b = dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(slot));
		const struct qvault_disk_anchor *disk = (void *)b->data;

		CHECK(!qvault_anchor_check(f->v, disk, slot));
		CHECK(le64_to_cpu(disk->data_blocks) == geo->data_blocks);
		CHECK(le64_to_cpu(disk->logical_blocks) == geo->logical_blocks);
	}
}

static void check_state(struct fixture *f)
{
	struct walk w;

	if (!CHECK(walk(&w, &f->world.crypto, &f->world.data,
			newest_record(&f->world.crypto, &f->world.anchor))))
		printf("      %s\n", w.why);
	walk_exit(&w);
}

static void refused(struct fixture *f)
{
	const struct qvault_geometry was = f->v->geo;
	u64 data = was.data_blocks, logical = was.logical_blocks;
	u64 sequence = f->v->anchor.sequence;
	struct qvault_geometry geo;

	CHECK(qvault_grow(f->v, data - 1, logical) == -EINVAL);
	CHECK(qvault_grow(f->v, data, logical - 1) == -EINVAL);
	CHECK(qvault_grow(f->v, data - 1, logical + 1) == -EINVAL);
	CHECK(f->v->reason);
	CHECK(qvault_grow(f->v, data + 1, logical) == -ENXIO);
	CHECK(qvault_grow(f->v, data, logical + 1) == -ENOSPC);
	give(f, data + 5000, &geo);
	CHECK(qvault_grow(f->v, data + 5000, geo.capacity + 1) == -ENOSPC);
	CHECK(qvault_grow(f->v, data + 5000, ~0ull) == -ENOSPC);
	f->world.data.nr_blocks = 2 * QVAULT_MAX_DATA_BLOCKS;
	CHECK(qvault_grow(f->v, QVAULT_MAX_DATA_BLOCKS + 1, logical) == -EFBIG);
	f->world.data.nr_blocks = data;
	CHECK(!qvault_grow(f->v, data, logical));
	CHECK(!memcmp(&was, &f->v->geo, sizeof(was)));
	CHECK(f->v->anchor.sequence == sequence);

	f->world.data.nr_blocks = data + 5000;
	WRITE_ONCE(f->v->mode, QVAULT_MODE_READ_ONLY);
	CHECK(qvault_grow(f->v, data + 5000, logical) == -EROFS);
	WRITE_ONCE(f->v->mode, QVAULT_MODE_WRITE);
	CHECK(f->v->anchor.sequence == sequence);
}

void test_grow_refused(void)
{
	with_vault(3000, 64, refused);
}

/* A full volume, to the last group that is in memory; then there is room again. */
static void full(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 41 };
	u64 old = f->v->geo.logical_blocks, sequence, blocks;
	struct qvault_geometry geo;

	f->world.oracle.logical_blocks = 100000;
	CHECK(!op_write(&c, 0, old));
	CHECK(!op_commit(&c));
	for (blocks = 3100; blocks < 2 * QVAULT_GROUP_BLOCKS; blocks += 13000) {
		give(f, blocks, &geo);
		old = f->v->geo.logical_blocks;
		sequence = f->v->anchor.sequence;
		CHECK(!qvault_grow(f->v, blocks, geo.capacity));
		CHECK(!memcmp(&geo, &f->v->geo, sizeof(geo)));
		CHECK(f->v->anchor.sequence == sequence + 2);
		both_slots(f);
		CHECK(!op_read(&c, 0, 200));
		CHECK(!op_read(&c, old, geo.capacity - old < 200 ? geo.capacity - old : 200));
		CHECK(!op_write(&c, old, geo.capacity - old));
		if (blocks % 2)
			CHECK(!op_checkpoint(&c));
		CHECK(!op_commit(&c));
		check_state(f);
	}
	CHECK(!qvault_detach(f->v));
	CHECK(!test_attach(f));
	CHECK(f->v->geo.logical_blocks == geo.capacity);
	for (old = 0; old + 200 <= geo.capacity; old += 200)
		CHECK(!op_read(&c, old, 200));
}

void test_grow_full(void)
{
	with_vault(3000, 64, full);
}

/* The trees get another level, or more, with the first change, and lose nothing. */
static void levels(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 42 };
	struct qvault_geometry geo;
	u32 i;

	f->world.oracle.logical_blocks = 200 * QVAULT_GROUP_DATA;
	for (i = 0; i < 30; i++)
		CHECK(!op_write(&c, i * 1000, 3));
	CHECK(!op_checkpoint(&c));
	give(f, 129 * QVAULT_GROUP_BLOCKS + 5000, &geo);
	CHECK(!qvault_grow(f->v, geo.data_blocks, geo.capacity));
	CHECK(!op_read(&c, geo.capacity - 1, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->anchor.tree.level == 2 && f->v->anchor.map.level == 1);

	/* Far from all that there is, and nothing else. */
	CHECK(!op_write(&c, geo.capacity - 1, 1));
	/* Where the map needs its new levels too. */
	f->v->alloc.hint = 129;
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->anchor.tree.level == 3 && f->v->anchor.map.level == 2);
	check_state(f);
	test_forget(f);
	for (i = 0; i < 30; i++)
		CHECK(!op_read(&c, i * 1000, 3));
	CHECK(!op_read(&c, geo.capacity - 1, 1));

	/* And once more through the anchor. */
	CHECK(!qvault_detach(f->v));
	CHECK(!test_attach(f));
	CHECK(f->v->anchor.tree.level == 3 && f->v->anchor.map.level == 2);
	CHECK(!op_write(&c, 1000, 3));
	CHECK(!op_checkpoint(&c));
	check_state(f);
	for (i = 0; i < 30; i++)
		CHECK(!op_read(&c, i * 1000, 3));
}

void test_grow_levels(void)
{
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 64, levels);
}

/* All below a node was given up, at the end of the volume: what it grows by is not. */
static void lost(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 42 };
	static struct rot_list leaks = { .ever = true };
	struct qvault_geometry geo;
	u64 old, first;
	u32 level;

	rot_current = &leaks;
	f->world.oracle.logical_blocks = 200 * QVAULT_GROUP_DATA;
	f->world.expect_corruption = true;
	give(f, 129 * QVAULT_GROUP_BLOCKS + 5000, &geo);
	for (level = 0; level < 2; level++) {
		old = f->v->geo.logical_blocks;
		first = (old - 1) >> (QVAULT_FANOUT_SHIFT * (level + 1));
		CHECK(old & (QVAULT_FANOUT - 1));
		CHECK(!op_write(&c, old - 1, 1) && !op_checkpoint(&c));
		test_flip(f, test_node_block(f, QVAULT_KIND_NODE, level, first, 0));
		test_forget(f);
		CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_REPAIR));
		f->world.walker = task_current;
		while (qvault_walk_step(f->v) > 0)
			;
		f->world.walker = NULL;
		first <<= QVAULT_FANOUT_SHIFT * (level + 1);
		CHECK(f->v->walk.complete && f->v->walk.bad == old - first);
		CHECK(!qvault_geometry_init(&geo, f->v->geo.data_blocks + 20000, 0,
					    f->v->geo.log_blocks));
		CHECK(!qvault_grow(f->v, geo.data_blocks, geo.capacity));
		f->world.corruptions = 0;
		CHECK(op_read(&c, old - 1, 1) == -EILSEQ && op_read(&c, first, 1) == -EILSEQ);
		CHECK(!op_read(&c, old, 200) && !op_write(&c, old, 1));
		CHECK(!op_checkpoint(&c) && !op_read(&c, old, 200) && !f->world.corruptions);
		check_state(f);
	}
	rot_current = NULL;
}

void test_grow_lost(void)
{
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 64, lost);
}

/* What a table asks for: at a resume, at an attach, or not at all. */
static void table(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 43 };
	struct qvault *v = f->v;
	u64 logical = v->geo.logical_blocks;
	struct qvault_geometry geo;

	f->world.oracle.logical_blocks = 100000;
	CHECK(!op_write(&c, 0, 100));
	give(f, 9000, &geo);
	v->logical_blocks = geo.capacity;
	CHECK(!qvault_suspend(v) && !qvault_resume(v));
	CHECK(v->geo.data_blocks == 3000 && v->geo.logical_blocks == logical);
	v->grow = true;
	CHECK(!qvault_suspend(v) && !qvault_resume(v));
	CHECK(v->geo.data_blocks == 9000 && v->geo.logical_blocks == geo.capacity);
	both_slots(f);
	/* It asks for less than there is: more room all the same. */
	give(f, 12000, &geo);
	v->logical_blocks = logical;
	logical = v->geo.logical_blocks;
	CHECK(!qvault_suspend(v) && !qvault_resume(v));
	CHECK(v->geo.data_blocks == 12000 && v->geo.logical_blocks == logical);
	/* More than can be. */
	v->logical_blocks = geo.capacity + 1;
	CHECK(!qvault_suspend(v) && qvault_resume(v) == -ENOSPC);
	v->grow = false;
	CHECK(!qvault_resume(v));
	CHECK(!op_read(&c, 0, 100));

	CHECK(!qvault_detach(v));
	v->logical_blocks = geo.capacity;
	CHECK(test_attach(f) == -EMSGSIZE);
	v->grow = true;
	CHECK(!test_attach(f));
	CHECK(v->geo.logical_blocks == geo.capacity);
	both_slots(f);
	CHECK(!op_read(&c, 0, 100));
	CHECK(!op_write(&c, geo.capacity - 50, 50));
	CHECK(!op_checkpoint(&c));
	check_state(f);
	v->grow = false;
}

void test_grow_table(void)
{
	with_vault(3000, 64, table);
}

/* The anchor does not answer: the vault stops, and it is as large as it was. */
static void fails(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 44 };
	struct qvault_geometry was = f->v->geo, geo;

	CHECK(!op_write(&c, 0, 100));
	CHECK(!op_checkpoint(&c));
	give(f, 9000, &geo);
	f->world.expect_failure = true;
	f->world.faults.fail_anchor = true;
	f->world.faults.fail_io = 100;
	CHECK(qvault_grow(f->v, 9000, geo.capacity) == -EIO);
	f->world.faults.fail_io = 0;
	CHECK(f->v->mode == QVAULT_MODE_FAILED);
	CHECK(!memcmp(&was, &f->v->geo, sizeof(was)));
	CHECK(!op_read(&c, 0, 100));
	qvault_detach(f->v);
	CHECK(!test_attach(f));
	CHECK(!op_read(&c, 0, 100));
}

void test_grow_fails(void)
{
	with_vault(3000, 64, fails);
}

/* From one TiB to two: nothing depends on the size. */
static void costs(struct fixture *f)
{
	struct qvault_dev *data = &f->world.data, *anchor = &f->world.anchor;
	u64 io = data->reads + data->writes + data->flushes;
	u64 reads = anchor->reads, writes = anchor->writes;
	struct qvault_geometry geo;

	give(f, 1ull << 29, &geo);
	CHECK(!qvault_grow(f->v, geo.data_blocks, geo.capacity));
	io = data->reads + data->writes + data->flushes - io;
	reads = anchor->reads - reads;
	writes = anchor->writes - writes;
	printf("      %llu I/Os of the data device, %llu reads and %llu writes of the anchor\n",
	       (unsigned long long)io, (unsigned long long)reads,
	       (unsigned long long)writes);
	CHECK(!io && writes == 2 && reads <= 4);
}

void test_grow_costs(void)
{
	with_vault(1ull << 28, 2048, costs);
}
