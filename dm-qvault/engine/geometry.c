// SPDX-License-Identifier: GPL-2.0
/*
 * Where everything is.  No state, no lock, no I/O: also linked into the tool.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "format.h"
static inline u64 div64_u64(u64 a, u64 b) { return a / b; }
static inline u64 div64_u64_rem(u64 a, u64 b, u64 *rem)
{
	*rem = a % b;
	return a / b;
}
#endif
#include "geometry.h"

static u64 div_up(u64 a, u64 b)
{
	return div64_u64(a + b - 1, b);
}

/*
 * Count the nodes of each level over @bottom blocks of level 0.  The root is of level
 * @least or above.
 */
static int tree_init(struct qvault_tree_geometry *tree, u64 bottom, u32 least)
{
	u32 level = 0;

	memset(tree, 0, sizeof(*tree));
	tree->count[0] = bottom;
	while (tree->count[level] > 1 || level < least) {
		if (level + 1 == QVAULT_MAX_LEVELS)
			return -EFBIG;
		tree->count[level + 1] = div_up(tree->count[level], QVAULT_FANOUT);
		level++;
	}
	tree->top = level;
	return 0;
}

/* Divide what is behind the log; the last group may lack data blocks. */
static void place_groups(struct qvault_geometry *geo)
{
	u64 rest = 0;

	geo->last_data = QVAULT_GROUP_DATA;
	if (geo->groups_start < geo->data_blocks)
		geo->groups = div64_u64_rem(geo->data_blocks - geo->groups_start,
					    QVAULT_GROUP_BLOCKS, &rest);
	if (rest <= QVAULT_GROUP_HEAD)
		return;
	geo->groups++;
	geo->last_data = rest - QVAULT_GROUP_HEAD;
}

/* Logical blocks that @data data blocks of one group are enough for. */
static u32 group_capacity(u32 data)
{
	u32 most = QVAULT_GROUP_LEAVES * QVAULT_FANOUT;
	u32 fit = data * QVAULT_FANOUT / (QVAULT_FANOUT + QVAULT_LEAF_SPARE);

	return fit < most ? fit : most;
}

/**
 * qvault_geometry_init() - derive the layout of a volume
 * @geo: filled in
 * @data_blocks: size of the data device in blocks
 * @logical_blocks: size of the volume in blocks; 0: as large as fits
 * @log_blocks: size of the log in blocks
 *
 * Context: Any.
 * Return: 0; -ENOSPC if the device is too small for that; -EFBIG if it is
 * larger than the format can address; -EINVAL if the log is out of range.
 */
int qvault_geometry_init(struct qvault_geometry *geo, u64 data_blocks,
			 u64 logical_blocks, u32 log_blocks)
{
	int err;

	memset(geo, 0, sizeof(*geo));
	if (data_blocks > QVAULT_MAX_DATA_BLOCKS)
		return -EFBIG;
	if (log_blocks < QVAULT_MIN_LOG_BLOCKS ||
	    log_blocks > QVAULT_MAX_LOG_BLOCKS)
		return -EINVAL;
	geo->data_blocks = data_blocks;
	geo->log_blocks = log_blocks;
	geo->log_start = 1;
	geo->groups_start = geo->log_start + log_blocks;
	place_groups(geo);
	if (!geo->groups)
		return -ENOSPC;
	err = tree_init(&geo->tree, geo->groups * QVAULT_GROUP_LEAVES, 2);
	if (!err)
		err = tree_init(&geo->map, geo->groups, 1);
	if (err)
		return err;
	geo->total_data = (geo->groups - 1) * QVAULT_GROUP_DATA + geo->last_data;
	if (geo->total_data <= QVAULT_MIN_SPARE)
		return -ENOSPC;
	geo->capacity = (geo->groups - 1) * QVAULT_GROUP_LEAVES * QVAULT_FANOUT +
			group_capacity(geo->last_data);
	if (geo->capacity > geo->total_data - QVAULT_MIN_SPARE)
		geo->capacity = geo->total_data - QVAULT_MIN_SPARE;
	geo->logical_blocks = logical_blocks ? logical_blocks : geo->capacity;
	return geo->logical_blocks > geo->capacity ? -ENOSPC : 0;
}

/**
 * qvault_default_log_blocks() - a log that suits a device
 * @data_blocks: size of the data device in blocks
 *
 * 1/64 of the device, within bounds.  The log also bounds the memory that
 * recent pointers take, hence the upper one.
 *
 * Context: Any.
 * Return: blocks.
 */
u32 qvault_default_log_blocks(u64 data_blocks)
{
	u64 blocks = data_blocks / 64;

	if (blocks < QVAULT_MIN_LOG_BLOCKS)
		return QVAULT_MIN_LOG_BLOCKS;
	if (blocks > QVAULT_DEFAULT_LOG_BLOCKS)
		return QVAULT_DEFAULT_LOG_BLOCKS;
	return blocks;
}

/* Number of data blocks of @group. */
u32 qvault_group_data(const struct qvault_geometry *geo, u64 group)
{
	return group == geo->groups - 1 ? geo->last_data : QVAULT_GROUP_DATA;
}

/* First block of @group on the data device. */
u64 qvault_group_start(const struct qvault_geometry *geo, u64 group)
{
	return geo->groups_start + group * QVAULT_GROUP_BLOCKS;
}

/* Block on the data device of the @bit-th data block of @group. */
u64 qvault_block_of(const struct qvault_geometry *geo, u64 group, u32 bit)
{
	return qvault_group_start(geo, group) + QVAULT_GROUP_HEAD + bit;
}

/**
 * qvault_locate() - the reverse of qvault_block_of()
 * @geo: layout
 * @block: block on the data device
 * @group: set to the group it is in
 * @bit: set to its number among the group's data blocks
 *
 * Context: Any.
 * Return: false if @block is not a data block.
 */
bool qvault_locate(const struct qvault_geometry *geo, u64 block, u64 *group,
		   u32 *bit)
{
	u64 rest;

	if (block < geo->groups_start || block >= geo->data_blocks)
		return false;
	*group = div64_u64_rem(block - geo->groups_start, QVAULT_GROUP_BLOCKS,
			       &rest);
	if (*group >= geo->groups)
		return false;
	if (rest < QVAULT_GROUP_HEAD)
		return false;
	*bit = rest - QVAULT_GROUP_HEAD;
	return *bit < qvault_group_data(geo, *group);
}

/* The data block where @logical stands on a volume that was written in order. */
u64 qvault_home(const struct qvault_geometry *geo, u64 logical)
{
	u64 bit;
	u64 group = div64_u64_rem(logical, QVAULT_GROUP_LEAVES * QVAULT_FANOUT,
				  &bit);

	return qvault_block_of(geo, group, bit);
}

/* Group in which an upper node begins, and its place among those. */
static u64 upper_group(enum qvault_kind kind, u32 level, u64 index, u32 *place)
{
	u64 first = index << (QVAULT_FANOUT_SHIFT * level), group;

	if (kind == QVAULT_KIND_MAP) {
		*place = 5 + level;
		return first;
	}
	group = div64_u64(first, QVAULT_GROUP_LEAVES);
	*place = level > 1 ? level :
		 index - div_up(group * QVAULT_GROUP_LEAVES, QVAULT_FANOUT);
	return group;
}

/**
 * qvault_node_block() - where a slot of a node is
 * @geo: layout
 * @kind: QVAULT_KIND_NODE or QVAULT_KIND_MAP
 * @level: 0 to the tree's top
 * @index: within the level
 * @slot: 0 or 1
 * @copy: 0; or 1, if the node stands twice: see qvault_node_twice()
 *
 * Context: Any.
 * Return: block on the data device.
 */
u64 qvault_node_block(const struct qvault_geometry *geo, enum qvault_kind kind,
		      u32 level, u64 index, u32 slot, u32 copy)
{
	const u32 upper = 2, leaves = upper + 2 * QVAULT_GROUP_UPPER;
	const u32 second = leaves + 2 * QVAULT_GROUP_LEAVES;
	u64 group, rest;
	u32 place;

	if (level) {
		group = upper_group(kind, level, index, &place);
		return qvault_group_start(geo, group) + (copy ? second : upper) +
		       slot * QVAULT_GROUP_UPPER + place;
	}
	if (kind == QVAULT_KIND_MAP)
		return qvault_group_start(geo, index) + slot;
	group = div64_u64_rem(index, QVAULT_GROUP_LEAVES, &rest);
	return qvault_group_start(geo, group) + leaves +
	       slot * QVAULT_GROUP_LEAVES + rest;
}

/* Where the log block with this sequence number is. */
u64 qvault_log_block(const struct qvault_geometry *geo, u64 sequence)
{
	u64 rest;

	div64_u64_rem(sequence, geo->log_blocks, &rest);
	return geo->log_start + rest;
}
