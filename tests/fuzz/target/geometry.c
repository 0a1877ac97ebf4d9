// SPDX-License-Identifier: GPL-2.0
/*
 * The three numbers of an anchor that the layout is made from.  Whatever they
 * are: refused, or every structure has a place of its own on the device.
 */
#include "fuzz.h"
#include "qvault.h"

static void check_block(const struct qvault_geometry *geo, u64 group, u32 bit)
{
	u64 block = qvault_block_of(geo, group, bit), back_group;
	u32 back_bit;

	FUZZ_CHECK(block < geo->data_blocks);
	FUZZ_CHECK(qvault_locate(geo, block, &back_group, &back_bit));
	FUZZ_CHECK(back_group == group && back_bit == bit);
}

/* A place of metadata: on the device, not the label's, and no data block. */
static void check_metadata(const struct qvault_geometry *geo, u64 block)
{
	u64 group;
	u32 bit;

	FUZZ_CHECK(block && block < geo->data_blocks);
	FUZZ_CHECK(!qvault_locate(geo, block, &group, &bit));
}

static void check_tree(const struct qvault_geometry *geo, enum qvault_kind kind,
		       u64 pick)
{
	const struct qvault_tree_geometry *tree =
		kind == QVAULT_KIND_MAP ? &geo->map : &geo->tree;
	u32 level, slot, copy, i;

	FUZZ_CHECK(tree->top < QVAULT_MAX_LEVELS && tree->count[tree->top] == 1);
	for (level = 0; level <= tree->top; level++) {
		u64 count = tree->count[level];

		FUZZ_CHECK(count);
		for (i = 0; i < 4; i++) {
			slot = i & 1;
			copy = i >> 1;
			if (copy && !qvault_node_twice(kind, level))
				break;
			check_metadata(geo, qvault_node_block(geo, kind, level,
							      0, slot, copy));
			check_metadata(geo, qvault_node_block(geo, kind, level,
							      count - 1, slot, copy));
			check_metadata(geo, qvault_node_block(geo, kind, level,
							      pick % count, slot, copy));
			if (i)
				FUZZ_CHECK(qvault_node_block(geo, kind, level,
							     pick % count, 0, 0) !=
					   qvault_node_block(geo, kind, level,
							     pick % count, slot, copy));
		}
	}
}

/* A larger device changes nothing for what is there. */
static void check_grown(const struct qvault_geometry *geo,
			const struct qvault_geometry *more, u64 pick)
{
	u64 group = pick % geo->groups, home = pick % geo->logical_blocks;
	u32 bit = pick % qvault_group_data(geo, group), level;

	FUZZ_CHECK(more->capacity >= geo->capacity);
	FUZZ_CHECK(qvault_log_block(geo, pick) == qvault_log_block(more, pick));
	FUZZ_CHECK(qvault_block_of(geo, group, bit) ==
		   qvault_block_of(more, group, bit));
	FUZZ_CHECK(qvault_home(geo, home) == qvault_home(more, home));
	for (level = 0; level <= geo->tree.top; level++)
		FUZZ_CHECK(qvault_node_block(geo, QVAULT_KIND_NODE, level,
					     pick % geo->tree.count[level], 1, 0) ==
			   qvault_node_block(more, QVAULT_KIND_NODE, level,
					     pick % geo->tree.count[level], 1, 0));
	for (level = 0; level <= geo->map.top; level++)
		FUZZ_CHECK(qvault_node_block(geo, QVAULT_KIND_MAP, level,
					     pick % geo->map.count[level], 1, 1) ==
			   qvault_node_block(more, QVAULT_KIND_MAP, level,
					     pick % geo->map.count[level], 1, 1));
}

static void check(const struct qvault_geometry *geo, u64 pick)
{
	u64 group = pick % geo->groups, last = geo->logical_blocks - 1, home;
	u32 bit;

	FUZZ_CHECK(geo->logical_blocks && geo->logical_blocks <= geo->capacity);
	FUZZ_CHECK(geo->capacity <= geo->total_data - QVAULT_MIN_SPARE);
	FUZZ_CHECK(geo->total_data < geo->data_blocks);
	check_block(geo, 0, 0);
	check_block(geo, geo->groups - 1, geo->last_data - 1);
	check_block(geo, group, pick % qvault_group_data(geo, group));
	/* Each logical block has a home, and a leaf that names it. */
	FUZZ_CHECK(qvault_locate(geo, qvault_home(geo, 0), &home, &bit));
	FUZZ_CHECK(qvault_locate(geo, qvault_home(geo, last), &home, &bit));
	FUZZ_CHECK(qvault_locate(geo, qvault_home(geo, pick % (last + 1)), &home,
				 &bit));
	FUZZ_CHECK(last / QVAULT_FANOUT < geo->tree.count[0]);
	check_tree(geo, QVAULT_KIND_NODE, pick);
	check_tree(geo, QVAULT_KIND_MAP, pick);
	check_metadata(geo, qvault_log_block(geo, pick));
	FUZZ_CHECK(qvault_log_block(geo, pick) < geo->log_start + geo->log_blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct qvault_geometry geo, more;
	u64 data_blocks = fuzz_number(&in, QVAULT_GROUP_BLOCKS);
	u64 logical_blocks = fuzz_number(&in, data_blocks);
	u32 log_blocks = fuzz_number(&in, QVAULT_MIN_LOG_BLOCKS);

	if (!qvault_geometry_init(&geo, data_blocks, logical_blocks, log_blocks)) {
		u64 pick = fuzz_take(&in, 8), larger = fuzz_take(&in, 8);

		check(&geo, pick);
		larger = data_blocks + larger % (QVAULT_MAX_DATA_BLOCKS - data_blocks + 1);
		FUZZ_CHECK(!qvault_geometry_init(&more, larger, logical_blocks,
						 log_blocks));
		check_grown(&geo, &more, pick);
	}
	FUZZ_CHECK(qvault_default_log_blocks(data_blocks) >= QVAULT_MIN_LOG_BLOCKS);
	return 0;
}
