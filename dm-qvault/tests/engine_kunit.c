// SPDX-License-Identifier: GPL-2.0
/*
 * Commit, checkpoint (the merge of a delta into the tree), attach and
 * allocation, on disks in memory.
 */
#include <linux/prandom.h>
#include <linux/vmalloc.h>

#include "world.h"

struct model {
	struct world *w;
	struct qvault *v;
	u32 *stamp;			/* by logical block, 0: zeros */
	struct rnd_state rnd;
	u32 last;
};

static void stamps_free(void *stamp)
{
	vfree(stamp);
}

static struct model *model_new(struct kunit *test, u64 blocks, u32 log_blocks)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->w = world_new(test, blocks, log_blocks);
	world_attach(test, m->w);
	m->v = &m->w->vol->v;
	m->stamp = vzalloc(m->v->geo.logical_blocks * sizeof(*m->stamp));
	KUNIT_ASSERT_NOT_NULL(test, m->stamp);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stamps_free,
							   m->stamp));
	prandom_seed_state(&m->rnd, 11);
	return m;
}

static u64 below(struct model *m, u64 limit)
{
	return prandom_u32_state(&m->rnd) % limit;
}

static void put(struct kunit *test, struct model *m, u64 logical, u32 count)
{
	u32 i;

	m->last++;
	world_write(test, m->w, logical, count, m->last);
	for (i = 0; i < count; i++)
		m->stamp[logical + i] = m->last;
}

static void unmap(struct kunit *test, struct model *m, u64 logical, u64 count)
{
	KUNIT_ASSERT_EQ(test, 0, qvault_unmap(m->v, logical, count));
	memset(m->stamp + logical, 0, count * sizeof(*m->stamp));
}

static u64 check_all(struct kunit *test, struct model *m)
{
	u64 i, mapped = 0;

	for (i = 0; i < m->v->geo.logical_blocks; i++) {
		KUNIT_ASSERT_EQ_MSG(test, m->stamp[i], world_read(test, m->w, i),
				    "block %llu", i);
		mapped += !!m->stamp[i];
	}
	return mapped;
}

static void re_attach(struct kunit *test, struct model *m)
{
	KUNIT_ASSERT_EQ(test, 0, qvault_detach(m->v));
	world_attach(test, m->w);
}

/* After a checkpoint the roots' weights say how much there is. */
static void check_weights(struct kunit *test, struct model *m, u64 mapped)
{
	KUNIT_EXPECT_EQ(test, mapped, qvault_node_weight(&m->v->anchor.tree.ptr));
	KUNIT_EXPECT_EQ(test, mapped, qvault_node_weight(&m->v->anchor.map.ptr));
	KUNIT_EXPECT_EQ(test, 0, qvault_log_used(m->v));
}

static void random_step(struct kunit *test, struct model *m)
{
	u64 blocks = m->v->geo.logical_blocks, n = 1 + below(m, 12), at;

	at = below(m, below(m, 3) ? 900 : blocks - n);
	switch (below(m, 12)) {
	case 0:
		unmap(test, m, at, n);
		break;
	case 1:
		KUNIT_ASSERT_EQ(test, 0, qvault_commit(m->v));
		break;
	default:
		put(test, m, at, n);
	}
}

static void merges_keep_everything(struct kunit *test)
{
	struct model *m = model_new(test, 34500, 64);
	u64 fan = QVAULT_FANOUT, mapped;
	u32 round, i;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < 60; i++)
			random_step(test, m);
		/* Around the border between two nodes of each level. */
		put(test, m, fan - 2, 4);
		put(test, m, fan * fan - 3, 6);
		put(test, m, m->v->geo.logical_blocks - 5, 5);
		if (round == 3)
			unmap(test, m, 0, fan * fan + 7);
		if (round == 5)
			unmap(test, m, 0, m->v->geo.logical_blocks);
		KUNIT_ASSERT_EQ(test, 0, qvault_checkpoint(m->v));
		mapped = check_all(test, m);
		check_weights(test, m, mapped);
		if (round & 1)
			re_attach(test, m);
		KUNIT_ASSERT_EQ(test, mapped, check_all(test, m));
	}
}

/* What a crash leaves after a commit: forget all, read the anchor again. */
static void a_commit_survives(struct kunit *test)
{
	struct model *m = model_new(test, 4096, 64);
	u32 i, *before;
	u64 size;

	for (i = 0; i < 80; i++)
		random_step(test, m);
	KUNIT_ASSERT_EQ(test, 0, qvault_commit(m->v));
	size = m->v->geo.logical_blocks * sizeof(*before);
	before = vmalloc(size);
	KUNIT_ASSERT_NOT_NULL(test, before);
	memcpy(before, m->stamp, size);
	put(test, m, 10, 20);		/* not committed: must be gone */
	m->v->read_only = true;		/* so that detach writes nothing */
	WRITE_ONCE(m->v->mode, QVAULT_MODE_READ_ONLY);
	KUNIT_ASSERT_EQ(test, 0, qvault_detach(m->v));
	m->v->read_only = false;
	world_attach(test, m->w);
	memcpy(m->stamp, before, size);
	check_all(test, m);
	vfree(before);
}

static void epochs_and_sequences_grow(struct kunit *test)
{
	struct model *m = model_new(test, 4096, 64);
	u64 epoch = m->v->anchor.epoch, lease, i;

	for (i = 0; i < 5; i++) {
		lease = m->v->anchor.lease;
		put(test, m, i, 1);
		re_attach(test, m);
		KUNIT_EXPECT_EQ(test, epoch + i + 1, m->v->anchor.epoch);
		/* No version that a lost write may have used comes again. */
		KUNIT_EXPECT_GE(test, atomic64_read(&m->v->version), lease);
	}
}

static void one_small_commit_costs(struct kunit *test)
{
	struct model *m = model_new(test, 4096, 64);
	struct memdisk *data = &m->w->data, *anchor = &m->w->anchor;
	u32 i;

	put(test, m, 0, 1);
	KUNIT_ASSERT_EQ(test, 0, qvault_commit(m->v));
	data->reads = 0;
	data->writes = 0;
	data->flushes = 0;
	anchor->reads = 0;
	anchor->writes = 0;
	anchor->fuas = 0;
	for (i = 0; i < 20; i++) {
		put(test, m, 5 * i, 1);
		KUNIT_ASSERT_EQ(test, 0, qvault_commit(m->v));
	}
	KUNIT_EXPECT_EQ(test, 0, data->reads);
	KUNIT_EXPECT_EQ(test, 20, data->writes);
	KUNIT_EXPECT_EQ(test, 20, data->flushes);
	/* Both slots: whether nobody else was here, and the newest record is still there. */
	KUNIT_EXPECT_EQ(test, 40, anchor->reads);
	KUNIT_EXPECT_EQ(test, 20, anchor->writes);
	KUNIT_EXPECT_EQ(test, 20, anchor->fuas);
	/* Nothing new, nothing written. */
	KUNIT_ASSERT_EQ(test, 0, qvault_commit(m->v));
	KUNIT_EXPECT_EQ(test, 20, anchor->writes);
}

/* ---- Allocation --------------------------------------------------------- */

static void blocks_in_order_go_home(struct kunit *test)
{
	struct model *m = model_new(test, 4096, 64);
	struct qvault_ptr ptr[32];
	u32 i;

	for (i = 0; i < 640; i += 32)
		put(test, m, i, 32);
	for (i = 0; i < 640; i += 32) {
		u32 k;

		KUNIT_ASSERT_EQ(test, 0, qvault_lookup(m->v, i, 32, ptr));
		for (k = 0; k < 32; k++)
			KUNIT_EXPECT_EQ(test, qvault_home(&m->v->geo, i + k),
					ptr[k].where);
	}
}

static void no_block_twice(struct kunit *test, struct model *m)
{
	u64 blocks = m->v->geo.logical_blocks, i;
	unsigned long *used = vzalloc(BITS_TO_LONGS(m->w->data.blocks) *
				      sizeof(long));
	struct qvault_ptr ptr;

	KUNIT_ASSERT_NOT_NULL(test, used);
	for (i = 0; i < blocks; i++) {
		KUNIT_ASSERT_EQ(test, 0, qvault_lookup(m->v, i, 1, &ptr));
		if (!ptr.version)
			continue;
		KUNIT_ASSERT_FALSE(test, test_bit(ptr.where, used));
		__set_bit(ptr.where, used);
	}
	vfree(used);
}

static void a_full_volume_still_takes_writes(struct kunit *test)
{
	struct model *m = model_new(test, 1100, 16);
	u64 blocks = m->v->geo.logical_blocks, at;
	u32 i, n;

	for (at = 0; at < blocks; at += n) {
		n = min_t(u64, 64, blocks - at);
		put(test, m, at, n);
	}
	no_block_twice(test, m);
	for (i = 0; i < 300; i++) {
		n = 1 + below(m, 100);
		put(test, m, below(m, blocks - n), n);
		if (!(i % 50))
			no_block_twice(test, m);
	}
	KUNIT_EXPECT_EQ(test, blocks, check_all(test, m));
	re_attach(test, m);
	KUNIT_EXPECT_EQ(test, blocks, check_all(test, m));
	KUNIT_ASSERT_EQ(test, 0, qvault_checkpoint(m->v));
	check_weights(test, m, blocks);
}

/* What the anchored state reaches is not given away before the next commit. */
static void nothing_anchored_is_reused(struct kunit *test)
{
	struct model *m = model_new(test, 1100, 16);
	struct qvault_ptr old, now;
	u32 i;

	put(test, m, 5, 1);
	KUNIT_ASSERT_EQ(test, 0, qvault_commit(m->v));
	KUNIT_ASSERT_EQ(test, 0, qvault_lookup(m->v, 5, 1, &old));
	put(test, m, 5, 1);
	for (i = 0; i < 30; i++) {
		put(test, m, 100 + i, 1);
		KUNIT_ASSERT_EQ(test, 0, qvault_lookup(m->v, 100 + i, 1, &now));
		KUNIT_EXPECT_NE(test, old.where, now.where);
	}
}

/* Each gets its own block and its own result, whatever becomes of the others. */
static void many_blocks_are_read_at_once(struct kunit *test)
{
	struct world *w = world_new(test, 4000, QVAULT_MIN_LOG_BLOCKS);
	struct qvault_read *read = kunit_kcalloc(test, QVAULT_READS, sizeof(*read),
						 GFP_KERNEL);
	u32 i, reads = w->data.reads;

	KUNIT_ASSERT_NOT_NULL(test, read);
	for (i = 0; i < QVAULT_READS; i++) {
		read[i].block = 5 * (QVAULT_READS - i);
		read[i].buf = kunit_kmalloc(test, QVAULT_BLOCK_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, read[i].buf);
		memset(w->data.data + (read[i].block << QVAULT_BLOCK_SHIFT), i + 1,
		       QVAULT_BLOCK_SIZE);
	}
	read[7].block = 4000;
	qvault_dev_read_many(&w->vol->data, read, QVAULT_READS);
	for (i = 0; i < QVAULT_READS; i++) {
		KUNIT_EXPECT_EQ(test, i == 7 ? -EIO : 0, read[i].err);
		if (i != 7)
			KUNIT_EXPECT_NULL(test, memchr_inv(read[i].buf, i + 1,
							   QVAULT_BLOCK_SIZE));
	}
	KUNIT_EXPECT_EQ(test, reads + QVAULT_READS - 1, w->data.reads);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(merges_keep_everything),
	KUNIT_CASE(a_commit_survives),
	KUNIT_CASE(epochs_and_sequences_grow),
	KUNIT_CASE(one_small_commit_costs),
	KUNIT_CASE(blocks_in_order_go_home),
	KUNIT_CASE_SLOW(a_full_volume_still_takes_writes),
	KUNIT_CASE(nothing_anchored_is_reused),
	KUNIT_CASE(many_blocks_are_read_at_once),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-engine",
	.test_cases = cases,
};

kunit_test_suite(suite);
