// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kernel.h>

#include "test.h"

static void check_block(const struct qvault_geometry *geo, u64 group, u32 bit)
{
	u64 block = qvault_block_of(geo, group, bit), g;
	u32 b;

	CHECK(block < geo->data_blocks);
	CHECK(qvault_locate(geo, block, &g, &b) && g == group && b == bit);
}

static void check_node(const struct qvault_geometry *geo, enum qvault_kind kind,
		       u32 level, u64 index)
{
	u64 block[2], group;
	u32 slot, copy, bit;

	for (slot = 0; slot < 2; slot++) {
		for (copy = 0; copy <= qvault_node_twice(kind, level); copy++) {
			block[copy] = qvault_node_block(geo, kind, level, index,
							slot, copy);
			CHECK(block[copy] >= geo->groups_start);
			CHECK(block[copy] < geo->data_blocks);
			CHECK(!qvault_locate(geo, block[copy], &group, &bit));
		}
		/* No accident takes both: the leaves of a group lie between them. */
		if (copy == 2)
			CHECK(block[1] - block[0] > 2 * QVAULT_GROUP_LEAVES);
	}
}

static void check_tree(const struct qvault_geometry *geo, enum qvault_kind kind,
		       const struct qvault_tree_geometry *tree, struct rng *rng)
{
	u32 level, i;

	CHECK(tree->top < QVAULT_MAX_LEVELS && tree->count[tree->top] == 1);
	/* A root is no leaf, and stands twice. */
	CHECK(qvault_node_twice(kind, tree->top));
	for (level = 0; level <= tree->top; level++) {
		u64 count = tree->count[level];

		check_node(geo, kind, level, 0);
		check_node(geo, kind, level, count - 1);
		for (i = 0; i < 10; i++)
			check_node(geo, kind, level, rng_below(rng, count));
		if (level)
			CHECK(tree->count[level] * QVAULT_FANOUT >=
			      tree->count[level - 1]);
	}
}

static void check_geometry(const struct qvault_geometry *geo, struct rng *rng)
{
	u64 group, logical, block, g;
	u32 i, bit;

	CHECK(geo->logical_blocks <= geo->capacity);
	CHECK(geo->total_data >= geo->capacity + QVAULT_MIN_SPARE);
	CHECK(geo->tree.count[0] == geo->groups * QVAULT_GROUP_LEAVES);
	CHECK(geo->tree.count[0] * QVAULT_FANOUT >= geo->capacity);
	CHECK(geo->map.count[0] == geo->groups);
	CHECK(geo->log_start == 1);
	CHECK(geo->groups_start > geo->log_blocks);
	CHECK(qvault_group_start(geo, geo->groups - 1) + QVAULT_GROUP_HEAD +
	      geo->last_data <= geo->data_blocks);
	check_tree(geo, QVAULT_KIND_NODE, &geo->tree, rng);
	check_tree(geo, QVAULT_KIND_MAP, &geo->map, rng);
	for (i = 0; i < 20; i++) {
		group = i ? rng_below(rng, geo->groups) : geo->groups - 1;
		check_block(geo, group, 0);
		check_block(geo, group, qvault_group_data(geo, group) - 1);
		check_block(geo, group,
			    rng_below(rng, qvault_group_data(geo, group)));
		logical = i ? rng_below(rng, geo->capacity) : geo->capacity - 1;
		CHECK(qvault_locate(geo, qvault_home(geo, logical), &g, &bit));
	}
	CHECK(!qvault_locate(geo, 0, &g, &bit));
	CHECK(!qvault_locate(geo, geo->groups_start - 1, &g, &bit));
	CHECK(!qvault_locate(geo, geo->data_blocks, &g, &bit));
	CHECK(!qvault_locate(geo, ~0ull, &g, &bit));
	for (i = 0; i < 20; i++) {
		block = rng_below(rng, geo->data_blocks);
		if (qvault_locate(geo, block, &g, &bit))
			CHECK(qvault_block_of(geo, g, bit) == block);
		CHECK(qvault_log_block(geo, rng_next(rng)) <= geo->log_blocks);
		CHECK(qvault_log_block(geo, rng_next(rng)) >= 1);
	}
}

void test_geometry_sizes(void)
{
	struct rng rng = { 1 };
	struct qvault_geometry geo;
	u32 i, log, good = 0;
	u64 blocks;

	for (i = 0; i < 20000; i++) {
		blocks = rng_next(&rng) >> (24 + rng_below(&rng, 34));
		log = QVAULT_MIN_LOG_BLOCKS +
		      rng_below(&rng, i % 2 ? 100 : QVAULT_MAX_LOG_BLOCKS - 15);
		if (qvault_geometry_init(&geo, blocks, 0, log))
			continue;
		good++;
		check_geometry(&geo, &rng);
	}
	CHECK(good > 5000);
	/* Around where a group begins. */
	for (blocks = QVAULT_GROUP_BLOCKS - 300;
	     blocks < QVAULT_GROUP_BLOCKS + 600; blocks++)
		if (!qvault_geometry_init(&geo, blocks, 0, 64))
			check_geometry(&geo, &rng);
	CHECK(!qvault_geometry_init(&geo, QVAULT_MAX_DATA_BLOCKS, 0, 65536));
	check_geometry(&geo, &rng);
}

void test_geometry_limits(void)
{
	struct qvault_geometry geo;
	u64 blocks, least = 0, capacity;

	for (blocks = 0; blocks < 2000; blocks++) {
		int err = qvault_geometry_init(&geo, blocks, 0, 16);

		CHECK(!err || err == -ENOSPC);
		if (!err && !least)
			least = blocks;
		/* Once it fits it goes on fitting, and never shrinks. */
		CHECK(!least == !!err);
	}
	CHECK(!qvault_geometry_init(&geo, 5000, 0, 16));
	capacity = geo.capacity;
	CHECK(!qvault_geometry_init(&geo, 5000, capacity, 16));
	CHECK(geo.logical_blocks == capacity);
	CHECK(!qvault_geometry_init(&geo, 5000, 1, 16));
	CHECK(geo.logical_blocks == 1);
	CHECK(qvault_geometry_init(&geo, 5000, capacity + 1, 16) == -ENOSPC);
	CHECK(qvault_geometry_init(&geo, 5000, ~0ull, 16) == -ENOSPC);
	CHECK(qvault_geometry_init(&geo, 5000, 0, 15) == -EINVAL);
	CHECK(qvault_geometry_init(&geo, 5000, 0, 65537) == -EINVAL);
	CHECK(qvault_geometry_init(&geo, QVAULT_MAX_DATA_BLOCKS + 1, 0, 16) ==
	      -EFBIG);
	CHECK(qvault_geometry_init(&geo, ~0ull, 0, 16) == -EFBIG);
	CHECK(least == 1 + 16 + QVAULT_GROUP_HEAD + QVAULT_MIN_SPARE + 1);
	CHECK(qvault_default_log_blocks(0) == QVAULT_MIN_LOG_BLOCKS);
	CHECK(qvault_default_log_blocks(1ull << 40) == QVAULT_DEFAULT_LOG_BLOCKS);
}

static void claim(u8 *owner, u64 block)
{
	CHECK(!owner[block]);
	owner[block] = 1;
}

static void claim_tree(u8 *owner, const struct qvault_geometry *geo,
		       enum qvault_kind kind, const struct qvault_tree_geometry *tree)
{
	u32 level, copy;
	u64 i;

	for (level = 0; level <= tree->top; level++)
		for (i = 0; i < 2 * tree->count[level]; i++)
			for (copy = 0; copy <= qvault_node_twice(kind, level); copy++)
				claim(owner, qvault_node_block(geo, kind, level,
							       i / 2, i % 2, copy));
}

/* Every block of a device that has up to a hundred groups and a bit. */
void test_geometry_regions(void)
{
	static const u64 sizes[] = { 700, 1000, 20000, QVAULT_GROUP_BLOCKS + 900,
				     2 * QVAULT_GROUP_BLOCKS + 650,
				     140 * QVAULT_GROUP_BLOCKS + 5000 };
	struct qvault_geometry geo;
	u64 i, n, data;
	u32 s;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		u8 *owner = calloc(1, sizes[s]);

		if (!CHECK(!qvault_geometry_init(&geo, sizes[s], 0, 16)))
			break;
		claim(owner, 0);
		for (i = 0; i < geo.log_blocks; i++)
			claim(owner, qvault_log_block(&geo, i));
		claim_tree(owner, &geo, QVAULT_KIND_NODE, &geo.tree);
		claim_tree(owner, &geo, QVAULT_KIND_MAP, &geo.map);
		for (data = 0, i = 0; i < geo.groups; i++)
			for (n = 0; n < qvault_group_data(&geo, i); n++, data++)
				claim(owner, qvault_block_of(&geo, i, n));
		CHECK(data == geo.total_data);
		free(owner);
	}
}

/* A node that two sizes have stands in the same places. */
static void same_nodes(const struct qvault_geometry *small,
		       const struct qvault_geometry *large, enum qvault_kind kind,
		       struct rng *rng)
{
	const struct qvault_tree_geometry *tree =
		kind == QVAULT_KIND_MAP ? &small->map : &small->tree;
	u32 level, slot, copy;

	for (level = 0; level <= tree->top; level++) {
		u64 index = rng_chance(rng, 30) ? tree->count[level] - 1 :
			    rng_below(rng, tree->count[level]);

		for (slot = 0; slot < 2; slot++)
			for (copy = 0; copy < 2; copy++)
				CHECK(qvault_node_block(small, kind, level, index,
							slot, copy) ==
				      qvault_node_block(large, kind, level, index,
							slot, copy));
	}
}

static void same_places(const struct qvault_geometry *small,
			const struct qvault_geometry *large, struct rng *rng)
{
	u64 group = rng_below(rng, small->groups), block, g, last;
	u32 bit = rng_below(rng, qvault_group_data(small, group)), b;

	CHECK(large->capacity >= small->capacity);
	CHECK(large->total_data >= small->total_data);
	CHECK(large->tree.top >= small->tree.top && large->map.top >= small->map.top);
	same_nodes(small, large, QVAULT_KIND_NODE, rng);
	same_nodes(small, large, QVAULT_KIND_MAP, rng);
	block = rng_next(rng);
	CHECK(qvault_log_block(small, block) == qvault_log_block(large, block));
	CHECK(qvault_block_of(small, group, bit) == qvault_block_of(large, group, bit));
	/* What is a data block is one, the same, in both, and so is what is none. */
	block = rng_below(rng, qvault_block_of(small, small->groups - 1,
					       small->last_data - 1) + 1);
	CHECK(qvault_locate(small, block, &group, &bit) ==
	      qvault_locate(large, block, &g, &b));
	if (qvault_locate(small, block, &group, &bit))
		CHECK(g == group && b == bit);
	last = small->logical_blocks - 1;
	CHECK(qvault_home(small, last) == qvault_home(large, last));
	last = rng_below(rng, last + 1);
	CHECK(qvault_home(small, last) == qvault_home(large, last));
}

/* Whatever it grows to: nothing that a volume has moves. */
void test_geometry_grows(void)
{
	struct qvault_geometry small, large;
	struct rng rng = { 7 };
	u32 i, log, good = 0;
	u64 blocks;

	for (i = 0; i < 30000; i++) {
		blocks = rng_next(&rng) >> (24 + rng_below(&rng, 30));
		log = QVAULT_MIN_LOG_BLOCKS + rng_below(&rng, i % 2 ? 100 : 3000);
		if (qvault_geometry_init(&small, blocks, 0, log))
			continue;
		blocks += rng_chance(&rng, 50) ? rng_below(&rng, 70000) :
			  rng_below(&rng, QVAULT_MAX_DATA_BLOCKS - blocks + 1);
		if (blocks > QVAULT_MAX_DATA_BLOCKS ||
		    !CHECK(!qvault_geometry_init(&large, blocks, 0, log)))
			continue;
		good++;
		same_places(&small, &large, &rng);
	}
	CHECK(good > 10000);
}
