/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where everything is: pure arithmetic on three numbers of the anchor.
 *
 *   block 0 | log | upper tree nodes | upper map nodes | group 0 | group 1 | ...
 *
 * Block 0 is left for a label.  A node stands in one of two slots; the first
 * slots of a level stand together, then the second ones, so that a checkpoint,
 * which writes the nodes of a level in order, writes in order on the device.
 *
 * A group is
 *
 *   map block (2 slots) | leaves (2 slots each) | data blocks
 *
 * and holds more data blocks than its leaves can map: the surplus is the spare
 * space that copy-on-write lives on.  The last group may be smaller.
 */
#ifndef QVAULT_GEOMETRY_H
#define QVAULT_GEOMETRY_H

#include "format.h"

#define QVAULT_GROUP_LEAVES	252u
#define QVAULT_GROUP_DATA	QVAULT_MAP_BITS
#define QVAULT_GROUP_BLOCKS	(2 + 2 * QVAULT_GROUP_LEAVES + QVAULT_GROUP_DATA)

/* A leaf of the last group comes with this many spare data blocks. */
#define QVAULT_LEAF_SPARE	2u
/* A volume has at least this many spare blocks, however small it is. */
#define QVAULT_MIN_SPARE	64u

#define QVAULT_MIN_LOG_BLOCKS	16u
#define QVAULT_MAX_LOG_BLOCKS	65536u
#define QVAULT_DEFAULT_LOG_BLOCKS 2048u
#define QVAULT_MAX_DATA_BLOCKS	0x10000000000ull	/* 4 PiB */

/* One of the two trees. */
struct qvault_tree_geometry {
	u64 count[QVAULT_MAX_LEVELS];	/* nodes of a level */
	u64 start[QVAULT_MAX_LEVELS];	/* block of the level's first slot; not level 0 */
	u8 top;				/* level of the root */
};

struct qvault_geometry {
	/* The parameters, from the anchor. */
	u64 data_blocks;
	u64 logical_blocks;
	u32 log_blocks;

	/* Derived. */
	u64 log_start;
	u64 groups_start;
	u64 groups;
	u32 last_leaves;		/* of the last group */
	u32 last_data;
	u64 capacity;			/* most logical blocks that fit */
	u64 total_data;			/* data blocks in all groups */
	struct qvault_tree_geometry tree;
	struct qvault_tree_geometry map;
};

int qvault_geometry_init(struct qvault_geometry *geo, u64 data_blocks,
			 u64 logical_blocks, u32 log_blocks);
u32 qvault_default_log_blocks(u64 data_blocks);
u32 qvault_group_data(const struct qvault_geometry *geo, u64 group);
u64 qvault_group_start(const struct qvault_geometry *geo, u64 group);
u64 qvault_block_of(const struct qvault_geometry *geo, u64 group, u32 bit);
bool qvault_locate(const struct qvault_geometry *geo, u64 block, u64 *group,
		   u32 *bit);
u64 qvault_home(const struct qvault_geometry *geo, u64 logical);
u64 qvault_node_block(const struct qvault_geometry *geo, enum qvault_kind kind,
		      u32 level, u64 index, u32 slot);
u64 qvault_log_block(const struct qvault_geometry *geo, u64 sequence);

#endif
