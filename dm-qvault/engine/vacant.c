// SPDX-License-Identifier: GPL-2.0
/*
 * Which data blocks the anchored map leaves free.
 *
 * A pointer of the map says how much is in use below it, so that an empty group or a
 * full one, and a whole subtree of full ones, need not be read.
 */
#include "qvault.h"

/* The root of the map in the newest durable anchor record. */
void qvault_map_root(struct qvault *v, struct qvault_root *root)
{
	read_lock(&v->map_lock);
	*root = v->anchor.map;
	read_unlock(&v->map_lock);
}

/**
 * qvault_map_read() - read a map block
 * @v: vault
 * @root: of the map: the anchored one, or the one before it
 * @index: group
 * @bits: set, QVAULT_MAP_BITS in the order of the kernel's bitmaps
 * @version: set to the block's, 0 if there is none and @bits are zeros
 *
 * Context: alloc_mutex, which keeps a checkpoint from replacing a tree twice;
 * so what is not there is corrupt, and reported.  Sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_map_read(struct qvault *v, const struct qvault_root *root, u64 index,
		    unsigned long *bits, u64 *version)
{
	struct qvault_node *node;
	struct qvault_ptr ptr;
	const unsigned long *word;
	u64 bad = qvault_node_id(0, index);
	u32 i;
	int err;

	err = qvault_tree_find(v, QVAULT_KIND_MAP, root, index, &ptr, &bad);
	if (!err) {
		*version = ptr.version;
		if (!ptr.version) {
			bitmap_zero(bits, QVAULT_MAP_BITS);
			return 0;
		}
		err = qvault_node_get(v, QVAULT_USE_MAP, QVAULT_KIND_MAP, 0, index,
				      &ptr, &node);
	}
	if (err)
		return err == -EILSEQ ?
		       qvault_corrupt(v, QVAULT_KIND_MAP, bad) : err;
	word = node->data;
	for (i = 0; i < QVAULT_BLOCK_SIZE / sizeof(*word); i++)
		bits[i] = qvault_le_long(word[i]);
	qvault_node_put(v, node);
	return 0;
}

/*
 * Of what cannot be read nothing is free; and of many groups below one map node, or
 * many writes to one group, it is said once until the next checkpoint.
 */
static int tell_once(struct qvault *v, int err, u64 bad)
{
	if (err != -EILSEQ)
		return err;
	if (bad != v->alloc.told)
		qvault_corrupt(v, QVAULT_KIND_MAP, bad);
	v->alloc.told = bad;
	return 0;
}

static bool full(const struct qvault *v, u64 index, const struct qvault_ptr *ptr)
{
	return ptr->version &&
	       qvault_node_weight(ptr) >= qvault_group_data(&v->geo, index);
}

/*
 * Hardly a home is free in such a group: it does not pay to read the map block.  A
 * volume that was written in order has less than this free in each, too.
 */
static bool nearly_full(const struct qvault *v, u64 index, const struct qvault_ptr *ptr)
{
	u32 nr_data = qvault_group_data(&v->geo, index);

	return qvault_node_weight(ptr) > nr_data - nr_data / 16;
}

static u32 run_in(const void *bits, u32 bit, u32 count)
{
	return find_next_bit_le(bits, bit + count, bit) - bit;
}

/* The same, of a group of which there is a map block. */
static int read_run(struct qvault *v, u64 index, const struct qvault_ptr *ptr, u32 bit,
		    u32 count, bool *room)
{
	struct qvault_node *node = qvault_node_find(v, ptr->version);
	int err;

	*room = node || !nearly_full(v, index, ptr);
	if (!*room)
		return 0;
	err = node ? 0 : qvault_node_get(v, QVAULT_USE_MAP, QVAULT_KIND_MAP, 0, index,
					 ptr, &node);
	if (err) {
		*room = false;
		return tell_once(v, err, qvault_node_id(0, index));
	}
	count = run_in(node->data, bit, count);
	qvault_node_put(v, node);
	return count;
}

/**
 * qvault_map_vacant() - how many blocks in a row does the anchored map leave free?
 * @v: vault
 * @index: group
 * @bit: first block
 * @count: of interest, none beyond the group
 * @room: set to whether others of the group are free, as far as that costs little to
 *	know
 *
 * Context: alloc_mutex; sleeps.
 * Return: 0..@count, or a negative errno.
 */
int qvault_map_vacant(struct qvault *v, u64 index, u32 bit, u32 count, bool *room)
{
	struct qvault_root root;
	struct qvault_ptr ptr;
	u64 bad;
	int err;

	*room = false;
	qvault_map_root(v, &root);
	err = qvault_tree_find(v, QVAULT_KIND_MAP, &root, index, &ptr, &bad);
	if (err)
		return tell_once(v, err, bad);
	if (full(v, index, &ptr))
		return 0;
	if (ptr.version)
		return read_run(v, index, &ptr, bit, count, room);
	*room = true;
	return count;
}

/* From a node, which is given back, to the pointer above @index. */
static void descend(struct qvault *v, struct qvault_node *node, u32 level, u64 index,
		    struct qvault_ptr *ptr)
{
	const struct qvault_disk_node *disk = node->data;
	u32 slot = index >> QVAULT_FANOUT_SHIFT * (level - 1) & (QVAULT_FANOUT - 1);

	qvault_ptr_from_disk(ptr, &disk->ptr[slot]);
	qvault_node_put(v, node);
}

/**
 * qvault_map_ahead() - bring what qvault_map_vacant() will look at into the cache
 * @v: vault
 * @index: group
 *
 * Searches are serialized, and would each wait for the device; writers do not.
 *
 * Context: sleeps; no lock held.
 */
void qvault_map_ahead(struct qvault *v, u64 index)
{
	struct qvault_node *node;
	struct qvault_root root;
	struct qvault_ptr ptr;
	u32 level;

	qvault_map_root(v, &root);
	if (!qvault_root_covers(&root, index))
		return;
	ptr = root.ptr;
	for (level = root.level; ptr.version; level--) {
		if (!level && nearly_full(v, index, &ptr))
			return;
		/* A search finds out what is wrong, or a checkpoint was faster. */
		if (qvault_node_get(v, QVAULT_USE_READ, QVAULT_KIND_MAP, level,
				    index >> QVAULT_FANOUT_SHIFT * level, &ptr, &node))
			return;
		if (!level || node->lent) {
			qvault_node_put(v, node);
			return;
		}
		descend(v, node, level, index, &ptr);
	}
}

/* ---- The next group that is not full ---- */

/* Data blocks of all groups below a node of the map. */
static u64 data_below(const struct qvault *v, u32 level, u64 index)
{
	u64 first = index << QVAULT_FANOUT_SHIFT * level;
	u64 end = (index + 1) << QVAULT_FANOUT_SHIFT * level;

	if (first >= v->geo.groups)
		return 0;
	if (end < v->geo.groups)
		return (end - first) * QVAULT_GROUP_DATA;
	return (v->geo.groups - 1 - first) * QVAULT_GROUP_DATA + v->geo.last_data;
}

/*
 * Move @index on to the first group below a child of @node that is not full, and take
 * that child's pointer; false if there is none.
 */
static bool skip_full(struct qvault *v, const struct qvault_node *node, u32 level,
		      u64 *index, struct qvault_ptr *ptr)
{
	const struct qvault_disk_node *disk = node->data;
	u32 shift = QVAULT_FANOUT_SHIFT * (level - 1);
	u64 child = *index >> shift;

	do {
		qvault_ptr_from_disk(ptr, &disk->ptr[child & (QVAULT_FANOUT - 1)]);
		if (qvault_node_weight(ptr) < data_below(v, level - 1, child)) {
			*index = max(*index, child << shift);
			return true;
		}
	} while (++child & (QVAULT_FANOUT - 1));
	*index = child << shift;
	return false;
}

/*
 * One way down from the root.  Says whether it has come to a group that is not full;
 * else @index is behind a node in which there is none.
 */
static int next_below(struct qvault *v, const struct qvault_root *root, u64 *index,
		      bool *found)
{
	struct qvault_ptr ptr = root->ptr;
	struct qvault_node *node;
	u32 level, shift;
	int err;

	*found = true;
	if (!qvault_root_covers(root, *index))
		return 0;
	for (level = root->level; level && ptr.version && *found; level--) {
		shift = QVAULT_FANOUT_SHIFT * level;
		err = qvault_node_get(v, QVAULT_USE_MAP, QVAULT_KIND_MAP, level,
				      *index >> shift, &ptr, &node);
		if (err) {
			err = tell_once(v, err, qvault_node_id(level, *index >> shift));
			*index = ((*index >> shift) + 1) << shift;
			*found = false;
			return err;
		}
		*found = skip_full(v, node, level, index, &ptr);
		qvault_node_put(v, node);
	}
	return 0;
}

/**
 * qvault_map_next() - the next group that is not full by the anchored map
 * @v: vault
 * @index: group to begin with; set to that group, or beyond the last one if there is
 *	none
 *
 * Its cost does not depend on how many full groups stand before it.
 *
 * Context: alloc_mutex; sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_map_next(struct qvault *v, u64 *index)
{
	struct qvault_root root;
	bool found = false;
	int err = 0;

	qvault_map_root(v, &root);
	while (!err && !found && *index < v->geo.groups)
		err = next_below(v, &root, index, &found);
	return err;
}
