/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where everything is: pure arithmetic on three numbers of the anchor.
 *
 *   block 0 | log | group 0 | group 1 | ...
 *
 * Block 0 is left for a label.  A group is
 *
 *   map block (2 slots) | upper nodes | leaves (2 slots each) | upper nodes | data
 *
 * and holds more data blocks than its leaves can map: the surplus is the spare
 * space that copy-on-write lives on.  The device's end cuts off data blocks of the
 * last group, and nothing else.  So a volume that grows finds everything where it
 * was: what a block is depends on the size of the log alone.
 *
 * An upper node, of the tree or of the map, stands in the group of its first leaf or
 * map block, and most of them stand there twice, far apart: see qvault_node_twice().
 *
 * A node has two slots.  The first slots of a group's leaves stand together, then the
 * second ones, and so do those of its upper nodes: a checkpoint, which writes nodes
 * in order, writes in order on the device.
 */
#ifndef QVAULT_GEOMETRY_H
#define QVAULT_GEOMETRY_H

#include "format.h"

#define QVAULT_GROUP_LEAVES	252u
#define QVAULT_GROUP_DATA	QVAULT_MAP_BITS
/* Upper nodes that can begin in a group: two of the tree's level 1, one of each above. */
#define QVAULT_GROUP_UPPER	10u
/* Two slots of each: map block, upper nodes and their second copies, leaves. */
#define QVAULT_GROUP_HEAD	(2 * (1 + 2 * QVAULT_GROUP_UPPER + QVAULT_GROUP_LEAVES))
#define QVAULT_GROUP_BLOCKS	(QVAULT_GROUP_HEAD + QVAULT_GROUP_DATA)

/* Where the end of the device cuts a group off, a leaf has this many spare blocks. */
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
	u32 last_data;			/* data blocks of the last group */
	u64 capacity;			/* most logical blocks that fit */
	u64 total_data;			/* data blocks in all groups */
	struct qvault_tree_geometry tree;
	struct qvault_tree_geometry map;
};

/*
 * Does a node stand in two places?  Those from which more than 64 MiB hang do, and so
 * do the roots, for the tree has three levels at least, and the map two.
 */
static inline bool qvault_node_twice(enum qvault_kind kind, u32 level)
{
	return level >= (kind == QVAULT_KIND_MAP ? 1 : 2);
}

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
		      u32 level, u64 index, u32 slot, u32 copy);
u64 qvault_log_block(const struct qvault_geometry *geo, u64 sequence);

#endif
