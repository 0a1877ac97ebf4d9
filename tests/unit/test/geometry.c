// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	u64 block, group;
	u32 slot, bit;

	for (slot = 0; slot < 2; slot++) {
		block = qvault_node_block(geo, kind, level, index, slot);
		CHECK(block > geo->log_start + geo->log_blocks - 1);
		CHECK(block < geo->data_blocks);
		CHECK(!qvault_locate(geo, block, &group, &bit));
		CHECK(level ? block < geo->groups_start :
			      block >= geo->groups_start);
	}
}

static void check_tree(const struct qvault_geometry *geo, enum qvault_kind kind,
		       const struct qvault_tree_geometry *tree, u64 used,
		       struct rng *rng)
{
	u32 level, i;

	CHECK(tree->top < QVAULT_MAX_LEVELS && tree->count[tree->top] == 1);
	for (level = 0; level <= tree->top; level++) {
		u64 count = level ? tree->count[level] : used;

		CHECK(count <= tree->count[level]);
		check_node(geo, kind, level, 0);
		check_node(geo, kind, level, count - 1);
		for (i = 0; i < 10; i++)
			check_node(geo, kind, level, rng_below(rng, count));
		if (level)
			CHECK(tree->count[level] * QVAULT_FANOUT >=
			      tree->count[level - 1]);
	}
}

static u64 leaves(const struct qvault_geometry *geo)
{
	return (geo->groups - 1) * QVAULT_GROUP_LEAVES + geo->last_leaves;
}

static void check_geometry(const struct qvault_geometry *geo, struct rng *rng)
{
	u64 group, logical, block, g;
	u32 i, bit;

	CHECK(geo->logical_blocks <= geo->capacity);
	CHECK(geo->total_data >= geo->capacity + QVAULT_MIN_SPARE);
	CHECK(leaves(geo) * QVAULT_FANOUT >= geo->capacity);
	CHECK(geo->log_start == 1);
	CHECK(geo->groups_start > geo->log_blocks);
	CHECK(qvault_group_start(geo, geo->groups - 1) + 2 + 2 * geo->last_leaves +
	      geo->last_data <= geo->data_blocks);
	check_tree(geo, QVAULT_KIND_NODE, &geo->tree, leaves(geo), rng);
	check_tree(geo, QVAULT_KIND_MAP, &geo->map, geo->groups, rng);
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

	for (blocks = 0; blocks < 1000; blocks++) {
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
	CHECK(qvault_default_log_blocks(0) == QVAULT_MIN_LOG_BLOCKS);
	CHECK(qvault_default_log_blocks(1ull << 40) == QVAULT_DEFAULT_LOG_BLOCKS);
}

static void claim(u8 *owner, u64 block)
{
	CHECK(!owner[block]);
	owner[block] = 1;
}

/* Every block of a device that has one and a bit of two groups. */
void test_geometry_regions(void)
{
	static const u64 sizes[] = { 230, 1000, 20000, QVAULT_GROUP_BLOCKS + 900,
				     2 * QVAULT_GROUP_BLOCKS + 150 };
	struct qvault_geometry geo;
	u64 i, n, data;
	u32 s, level;

	for (s = 0; s < 5; s++) {
		u8 *owner = calloc(1, sizes[s]);

		if (!CHECK(!qvault_geometry_init(&geo, sizes[s], 0, 16)))
			break;
		claim(owner, 0);
		for (i = 0; i < geo.log_blocks; i++)
			claim(owner, qvault_log_block(&geo, i));
		for (level = 0; level <= geo.tree.top; level++) {
			n = level ? geo.tree.count[level] : leaves(&geo);
			for (i = 0; i < 2 * n; i++)
				claim(owner, qvault_node_block(&geo,
						QVAULT_KIND_NODE, level, i / 2,
						i % 2));
		}
		for (level = 0; level <= geo.map.top; level++)
			for (i = 0; i < 2 * geo.map.count[level]; i++)
				claim(owner, qvault_node_block(&geo,
						QVAULT_KIND_MAP, level, i / 2,
						i % 2));
		for (data = 0, i = 0; i < geo.groups; i++)
			for (n = 0; n < qvault_group_data(&geo, i); n++, data++)
				claim(owner, qvault_block_of(&geo, i, n));
		CHECK(data == geo.total_data);
		free(owner);
	}
}
