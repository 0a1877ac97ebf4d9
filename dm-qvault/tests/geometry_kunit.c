// SPDX-License-Identifier: GPL-2.0
/* Where everything is: no two things at one place, nothing outside. */
#include <linux/vmalloc.h>

#include "world.h"

/* Every block of a device belongs to at most one thing; the rest is unused. */
static void claim(struct kunit *test, unsigned long *used, u64 blocks, u64 block,
		  const char *what)
{
	KUNIT_ASSERT_LT_MSG(test, block, blocks, "%s", what);
	KUNIT_ASSERT_FALSE_MSG(test, test_bit(block, used), "%s at %llu", what,
			       block);
	__set_bit(block, used);
}

static void claim_tree(struct kunit *test, const struct qvault_geometry *geo,
		       enum qvault_kind kind, unsigned long *used)
{
	const struct qvault_tree_geometry *tree =
		kind == QVAULT_KIND_MAP ? &geo->map : &geo->tree;
	u32 level, copy;
	u64 i;

	for (level = 0; level <= tree->top; level++)
		for (i = 0; i < 2 * tree->count[level]; i++)
			for (copy = 0; copy <= qvault_node_twice(kind, level); copy++)
				claim(test, used, geo->data_blocks,
				      qvault_node_block(geo, kind, level, i / 2,
							i % 2, copy), "node");
}

static void check_layout(struct kunit *test, u64 blocks, u32 log_blocks)
{
	struct qvault_geometry geo;
	unsigned long *used;
	u64 i, group, found;
	u32 bit, at;

	KUNIT_ASSERT_EQ(test, 0, qvault_geometry_init(&geo, blocks, 0, log_blocks));
	used = vzalloc(BITS_TO_LONGS(blocks) * sizeof(long));
	KUNIT_ASSERT_NOT_NULL(test, used);
	claim(test, used, blocks, 0, "label");
	for (i = 0; i < log_blocks; i++)
		claim(test, used, blocks, qvault_log_block(&geo, i), "log");
	claim_tree(test, &geo, QVAULT_KIND_NODE, used);
	claim_tree(test, &geo, QVAULT_KIND_MAP, used);
	for (i = 0, group = 0; group < geo.groups; group++) {
		for (bit = 0; bit < qvault_group_data(&geo, group); bit++, i++) {
			u64 block = qvault_block_of(&geo, group, bit);

			claim(test, used, blocks, block, "data");
			KUNIT_ASSERT_TRUE(test, qvault_locate(&geo, block, &found,
							      &at));
			KUNIT_ASSERT_EQ(test, found, group);
			KUNIT_ASSERT_EQ(test, at, bit);
		}
	}
	KUNIT_EXPECT_EQ(test, i, geo.total_data);
	for (i = 0; i < blocks; i++)
		if (!test_bit(i, used))
			KUNIT_ASSERT_FALSE(test, qvault_locate(&geo, i, &found, &at));
	KUNIT_EXPECT_FALSE(test, qvault_locate(&geo, blocks, &found, &at));
	KUNIT_EXPECT_FALSE(test, qvault_locate(&geo, ~0ull, &found, &at));
	for (i = 0; i < geo.logical_blocks; i++)
		KUNIT_ASSERT_TRUE(test, qvault_locate(&geo, qvault_home(&geo, i),
						      &found, &at));
	KUNIT_EXPECT_LE(test, geo.logical_blocks + QVAULT_MIN_SPARE, geo.total_data);
	vfree(used);
}

static void layouts_do_not_overlap(struct kunit *test)
{
	check_layout(test, 700, 16);
	check_layout(test, 1100, 16);
	check_layout(test, 4096, 64);
	check_layout(test, 33000, 256);
	check_layout(test, 34500, 64);
	check_layout(test, 100001, 2048);
}

static void sizes_that_are_refused(struct kunit *test)
{
	struct qvault_geometry geo;

	KUNIT_EXPECT_EQ(test, -ENOSPC, qvault_geometry_init(&geo, 0, 0, 16));
	KUNIT_EXPECT_EQ(test, -ENOSPC, qvault_geometry_init(&geo, 100, 0, 16));
	KUNIT_EXPECT_EQ(test, -EINVAL, qvault_geometry_init(&geo, 4096, 0, 15));
	KUNIT_EXPECT_EQ(test, -EINVAL, qvault_geometry_init(&geo, 4096, 0, 65537));
	KUNIT_EXPECT_EQ(test, -ENOSPC, qvault_geometry_init(&geo, 4096, 4096, 16));
	KUNIT_EXPECT_EQ(test, -EFBIG,
			qvault_geometry_init(&geo, QVAULT_MAX_DATA_BLOCKS + 1, 0,
					     16));
	KUNIT_EXPECT_EQ(test, 0,
			qvault_geometry_init(&geo, QVAULT_MAX_DATA_BLOCKS, 0,
					     2048));
}

/* The smallest device that works does; one block less is refused, not wrong. */
static void smallest_device(struct kunit *test)
{
	struct qvault_geometry geo;
	u64 blocks;

	for (blocks = 0; blocks < 2000; blocks++)
		if (!qvault_geometry_init(&geo, blocks, 0, QVAULT_MIN_LOG_BLOCKS))
			break;
	KUNIT_ASSERT_LT(test, blocks, 2000);
	KUNIT_EXPECT_GE(test, geo.logical_blocks, 1);
	check_layout(test, blocks, QVAULT_MIN_LOG_BLOCKS);
	for (; blocks < 1500; blocks += 13)
		check_layout(test, blocks, QVAULT_MIN_LOG_BLOCKS);
}

static void overhead_is_small(struct kunit *test)
{
	struct qvault_geometry geo;

	KUNIT_ASSERT_EQ(test, 0, qvault_geometry_init(&geo, 1ull << 28, 0, 2048));
	/* 1 TiB: two slots of nodes, 1 % spare, the log: less than 3.5 %. */
	KUNIT_EXPECT_GT(test, geo.logical_blocks, (1ull << 28) / 1000 * 965);
	KUNIT_EXPECT_EQ(test, 3, geo.tree.top);
	KUNIT_EXPECT_EQ(test, 2, geo.map.top);
}

/* A volume grows in place: what it has stays where it is. */
static void growth_moves_nothing(struct kunit *test)
{
	static const u64 sizes[] = { 700, 1500, 30000, 33400, 34500, 70000, 1 << 20,
				     1 << 24, 1ull << 28, QVAULT_MAX_DATA_BLOCKS };
	struct qvault_geometry a, b;
	u32 i, level;

	KUNIT_ASSERT_EQ(test, 0, qvault_geometry_init(&a, sizes[0], 0, 16));
	for (i = 1; i < ARRAY_SIZE(sizes); i++, a = b) {
		KUNIT_ASSERT_EQ(test, 0, qvault_geometry_init(&b, sizes[i], 0, 16));
		KUNIT_EXPECT_GE(test, b.capacity, a.capacity);
		KUNIT_EXPECT_EQ(test, qvault_home(&a, a.logical_blocks - 1),
				qvault_home(&b, a.logical_blocks - 1));
		KUNIT_EXPECT_EQ(test, qvault_block_of(&a, a.groups - 1, 0),
				qvault_block_of(&b, a.groups - 1, 0));
		for (level = 0; level <= a.tree.top; level++)
			KUNIT_EXPECT_EQ(test,
					qvault_node_block(&a, QVAULT_KIND_NODE, level,
							  a.tree.count[level] - 1, 1, 1),
					qvault_node_block(&b, QVAULT_KIND_NODE, level,
							  a.tree.count[level] - 1, 1, 1));
		for (level = 0; level <= a.map.top; level++)
			KUNIT_EXPECT_EQ(test,
					qvault_node_block(&a, QVAULT_KIND_MAP, level,
							  a.map.count[level] - 1, 1, 1),
					qvault_node_block(&b, QVAULT_KIND_MAP, level,
							  a.map.count[level] - 1, 1, 1));
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(growth_moves_nothing),
	KUNIT_CASE(layouts_do_not_overlap),
	KUNIT_CASE(sizes_that_are_refused),
	KUNIT_CASE(smallest_device),
	KUNIT_CASE(overhead_is_small),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-geometry",
	.test_cases = cases,
};

kunit_test_suite(suite);
