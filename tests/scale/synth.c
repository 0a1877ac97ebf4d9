// SPDX-License-Identifier: GPL-2.0
/*
 * A volume that was filled once, in order, and is at rest: each block is at home, and
 * each node in its first slot.
 */
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "rng.h"
#include "scale.h"

void tag_of(u64 kind, u64 id, u64 version, u8 tag[QVAULT_TAG_SIZE])
{
	u64 x[2] = { mix64(id ^ mix64(version + kind)), mix64(version ^ mix64(id)) };

	memcpy(tag, x, sizeof(x));
}

/* All versions of such a volume are below SYNTH_LEASE. */
static u64 version_of(enum qvault_kind kind, u32 level, u64 index)
{
	return ((u64)(kind * QVAULT_MAX_LEVELS + level + 1) << 44) + index + 1;
}

static const struct qvault_tree_geometry *tree_of(const struct qvault_geometry *geo,
						  enum qvault_kind kind)
{
	return kind == QVAULT_KIND_MAP ? &geo->map : &geo->tree;
}

/* Blocks that are mapped, or in use, below a node. */
static u64 weight_of(const struct qvault_geometry *geo, enum qvault_kind kind,
		     u32 level, u64 index)
{
	const u64 leaf = kind == QVAULT_KIND_MAP ? QVAULT_GROUP_LEAVES * QVAULT_FANOUT :
						   QVAULT_FANOUT;
	u64 each = leaf << (QVAULT_FANOUT_SHIFT * level), first = each * index;

	return first < geo->logical_blocks ? min(each, geo->logical_blocks - first) : 0;
}

static void pointer(const struct qvault_geometry *geo, enum qvault_kind kind, u32 level,
		    u64 index, struct qvault_ptr *ptr)
{
	u64 weight = weight_of(geo, kind, level, index);

	memset(ptr, 0, sizeof(*ptr));
	if (!weight)
		return;
	ptr->version = version_of(kind, level, index);
	ptr->where = weight << 1;
	/* A leaf of the tree has blocks of generation 0 below it, a map block none. */
	ptr->below = kind == QVAULT_KIND_NODE || level ? 1 : 0;
	tag_of(kind, qvault_node_id(level, index), ptr->version, ptr->tag);
}

void synth_root(const struct qvault_geometry *geo, enum qvault_kind kind,
		struct qvault_root *root)
{
	root->level = tree_of(geo, kind)->top;
	pointer(geo, kind, root->level, 0, &root->ptr);
}

static void data_pointer(const struct qvault_geometry *geo, u64 logical,
			 struct qvault_ptr *ptr)
{
	memset(ptr, 0, sizeof(*ptr));
	if (logical >= geo->logical_blocks)
		return;
	ptr->version = version_of(QVAULT_KIND_DATA, 0, logical);
	ptr->where = qvault_home(geo, logical);
	tag_of(QVAULT_KIND_DATA, logical, ptr->version, ptr->tag);
}

static void make_node(const struct qvault_geometry *geo, enum qvault_kind kind, u32 level,
		      u64 index, void *buf)
{
	struct qvault_disk_node *disk = buf;
	struct qvault_ptr ptr;
	u64 child = index << QVAULT_FANOUT_SHIFT;
	u32 i;

	memset(buf, 0, QVAULT_BLOCK_SIZE);
	if (kind == QVAULT_KIND_MAP && !level) {
		bitmap_set(buf, 0, weight_of(geo, kind, 0, index));
		return;
	}
	for (i = 0; i < QVAULT_FANOUT; i++, child++) {
		if (level)
			pointer(geo, kind, level - 1, child, &ptr);
		else
			data_pointer(geo, child, &ptr);
		qvault_ptr_to_disk(&disk->ptr[i], &ptr);
	}
}

/* The node of a group's head that stands in @block, if there is one in its first slot. */
static bool find_upper(const struct qvault_geometry *geo, u64 group, u64 block,
		       enum qvault_kind kind, u32 *level, u64 *index)
{
	u64 first = kind == QVAULT_KIND_MAP ? group : group * QVAULT_GROUP_LEAVES;
	u64 count = kind == QVAULT_KIND_MAP ? 1 : QVAULT_GROUP_LEAVES, i;

	for (*level = 1; *level <= tree_of(geo, kind)->top; ++*level) {
		i = QVAULT_FANOUT_SHIFT * *level;
		/* Those whose first leaf is in this group. */
		for (*index = (first + (1ull << i) - 1) >> i;
		     *index << i < first + count; ++*index)
			if (qvault_node_block(geo, kind, *level, *index, 0, 0) == block ||
			    (qvault_node_twice(kind, *level) &&
			     qvault_node_block(geo, kind, *level, *index, 0, 1) == block))
				return true;
	}
	return false;
}

static bool find_node(const struct qvault_geometry *geo, u64 block,
		      enum qvault_kind *kind, u32 *level, u64 *index)
{
	u64 group, first;

	if (block < geo->groups_start)
		return false;
	group = (block - geo->groups_start) / QVAULT_GROUP_BLOCKS;
	if (group >= geo->groups)
		return false;
	*kind = QVAULT_KIND_MAP;
	*level = 0;
	*index = group;
	if (qvault_node_block(geo, *kind, 0, group, 0, 0) == block)
		return true;
	*kind = QVAULT_KIND_NODE;
	first = qvault_node_block(geo, *kind, 0, group * QVAULT_GROUP_LEAVES, 0, 0);
	if (block >= first && block < first + QVAULT_GROUP_LEAVES) {
		*index = group * QVAULT_GROUP_LEAVES + block - first;
		return true;
	}
	if (find_upper(geo, group, block, *kind, level, index))
		return true;
	*kind = QVAULT_KIND_MAP;
	return find_upper(geo, group, block, *kind, level, index);
}

bool synth_read(const struct qvault_dev *dev, u64 block, void *buf)
{
	enum qvault_kind kind;
	u32 level;
	u64 index;

	if (!dev->full || !find_node(&dev->geo, block, &kind, &level, &index))
		return false;
	make_node(&dev->geo, kind, level, index, buf);
	return true;
}
