// SPDX-License-Identifier: GPL-2.0
/*
 * The radix trees: pointers of data blocks by logical block (nodes), and of map
 * blocks by group.  Fixed geometry, like page tables; a zero pointer is an
 * empty subtree.
 */
#include <linux/delay.h>

#include "qvault.h"

/* Nodes that a checkpoint writes without a pause. */
#define NODES_AT_ONCE	8

static const struct qvault_tree_geometry *tree_of(const struct qvault *v,
						  enum qvault_kind kind)
{
	return kind == QVAULT_KIND_MAP ? &v->geo.map : &v->geo.tree;
}

/* Place, in a node of @level, of the child above leaf @leaf. */
static u32 slot_of(u32 level, u64 leaf)
{
	return leaf >> (QVAULT_FANOUT_SHIFT * (level - 1)) & (QVAULT_FANOUT - 1);
}

/* Index of the node of @level above leaf @leaf. */
static u64 index_of(u32 level, u64 leaf)
{
	return leaf >> (QVAULT_FANOUT_SHIFT * level);
}

static enum qvault_use use_of(enum qvault_kind kind)
{
	return kind == QVAULT_KIND_MAP ? QVAULT_USE_MAP : QVAULT_USE_READ;
}

/* From a node of @level, which is given back, down to the child above leaf @index. */
static void descend(struct qvault *v, struct qvault_node *node, u32 level,
		    u64 index, struct qvault_ptr *ptr)
{
	const struct qvault_disk_node *disk = node->data;

	qvault_ptr_from_disk(ptr, &disk->ptr[slot_of(level, index)]);
	qvault_node_put(v, node);
}

/**
 * qvault_tree_find_at() - pointer of a node
 * @v: vault
 * @kind: which tree
 * @root: its root
 * @at: level of the node; 0: a leaf or a map block
 * @index: a leaf below it, or that leaf.  If the root is below that level: the root,
 *	if it has the leaf
 * @ptr: set; version 0 if there is none
 * @bad: on -EILSEQ set to the id of the node that failed; may be NULL
 *
 * Context: May sleep.
 * Return: 0; -EILSEQ if a node on the path is not there (any more): see
 * qvault_node_get(); or another negative errno.
 */
int qvault_tree_find_at(struct qvault *v, enum qvault_kind kind,
			const struct qvault_root *root, u32 at, u64 index,
			struct qvault_ptr *ptr, u64 *bad)
{
	enum qvault_use use = use_of(kind);
	struct qvault_node *node;
	u32 level;
	int err;

	memset(ptr, 0, sizeof(*ptr));
	if (!qvault_root_covers(root, index))
		return 0;
	*ptr = root->ptr;
	for (level = root->level; level > at && ptr->version; level--) {
		err = qvault_node_get(v, use, kind, level, index_of(level, index),
				      ptr, &node);
		if (err) {
			if (bad)
				*bad = qvault_node_id(level,
						      index_of(level, index));
			return err;
		}
		if (unlikely(READ_ONCE(node->half)))
			qvault_heal_found(v, kind, root,
					  qvault_node_id(level, index_of(level, index)),
					  node->version, node);
		descend(v, node, level, index, ptr);
	}
	return 0;
}

/**
 * qvault_tree_child() - from a node down to the child above a leaf
 * @v: vault
 * @kind: which tree
 * @level: of the node, not 0
 * @leaf: leaf or map block
 * @ptr: of the node; of the child afterwards
 *
 * Context: sleeps.
 * Return: 0 or a negative errno, as qvault_node_get().
 */
int qvault_tree_child(struct qvault *v, enum qvault_kind kind, u32 level, u64 leaf,
		      struct qvault_ptr *ptr)
{
	struct qvault_node *node;
	int err;

	err = qvault_node_get(v, use_of(kind), kind, level, index_of(level, leaf), ptr,
			      &node);
	if (!err)
		descend(v, node, level, leaf, ptr);
	return err;
}

/* The first child of a node, from @slot on, with any of these generations. */
static u32 next_child(const struct qvault_node *node, u32 slot, u32 gens,
		      struct qvault_ptr *ptr)
{
	const struct qvault_disk_node *disk = node->data;

	for (; slot < QVAULT_FANOUT; slot++) {
		qvault_ptr_from_disk(ptr, &disk->ptr[slot]);
		if (qvault_ptr_gens(ptr) & gens)
			break;
	}
	return slot;
}

/**
 * qvault_tree_next() - find the next leaf that is not empty
 * @v: vault
 * @kind: which tree
 * @root: its root
 * @from: first leaf or map block to look at
 * @gens: only such that have something of one of these generations in them
 * @leaf: set
 * @bad: set to the id of a node that cannot be read
 *
 * What has nothing of these costs nothing, however large it is.
 *
 * Context: sleeps.
 * Return: 1; 0 if there is none; or a negative errno, as qvault_node_get().
 */
int qvault_tree_next(struct qvault *v, enum qvault_kind kind,
		     const struct qvault_root *root, u64 from, u32 gens, u64 *leaf,
		     u64 *bad)
{
	struct qvault_ptr ptr = root->ptr;
	struct qvault_node *node;
	u32 level = root->level, slot;
	int err;

	if (!(qvault_ptr_gens(&ptr) & gens))
		return 0;
	while (level && qvault_root_covers(root, from)) {
		*bad = qvault_node_id(level, index_of(level, from));
		err = qvault_node_get(v, use_of(kind), kind, level, index_of(level, from),
				      &ptr, &node);
		if (err)
			return err;
		slot = next_child(node, slot_of(level, from), gens, &ptr);
		qvault_node_put(v, node);
		if (slot != slot_of(level, from))
			from = ((from >> (QVAULT_FANOUT_SHIFT * level) <<
				 QVAULT_FANOUT_SHIFT) + slot) <<
			       (QVAULT_FANOUT_SHIFT * (level - 1));
		if (slot < QVAULT_FANOUT) {
			level--;
			continue;
		}
		/* Nothing more below this node: go on from the root. */
		level = root->level;
		ptr = root->ptr;
	}
	*leaf = from;
	return qvault_root_covers(root, from);
}

/**
 * qvault_tree_cached() - a leaf, if it and all above it are in the cache
 * @v: vault
 * @root: of the tree of nodes
 * @index: of the leaf
 *
 * Unlike qvault_tree_find() it waits for nothing, so that other nodes may be held.
 *
 * Context: Process.
 * Return: the leaf; give it back with qvault_node_put(); or NULL.
 */
struct qvault_node *qvault_tree_cached(struct qvault *v,
				       const struct qvault_root *root, u64 index)
{
	struct qvault_ptr ptr = root->ptr;
	struct qvault_node *node;
	u32 level;

	if (!qvault_root_covers(root, index))
		return NULL;
	for (level = root->level; level; level--) {
		node = qvault_node_find(v, ptr.version);
		if (!node)
			return NULL;
		descend(v, node, level, index, &ptr);
	}
	return qvault_node_find(v, ptr.version);
}

/* ---- Cursor ---- */

int qvault_cursor_init(struct qvault_cursor *c, struct qvault *v,
		       enum qvault_kind kind, const struct qvault_root *anchored,
		       struct qvault_batch *batch)
{
	memset(c, 0, sizeof(*c));
	c->v = v;
	c->kind = kind;
	c->tree = tree_of(v, kind);
	c->batch = batch;
	c->anchored = *anchored;
	c->root = *anchored;
	return 0;
}

static void unload(struct qvault_cursor *c, struct qvault_step *step)
{
	qvault_node_put(c->v, step->old);
	qvault_buf_put(step->data);
	memset(step, 0, sizeof(*step));
}

void qvault_cursor_exit(struct qvault_cursor *c)
{
	u32 level;

	for (level = 0; level <= c->tree->top; level++)
		unload(c, &c->step[level]);
}

/*
 * How much there is below a node, and of which generations.  Exact, although it sees
 * the node alone: what is below was told in the same way when it was written.  Says
 * whether there is anything: what is lost is no weight, and must not become zeros.
 */
static bool sum_up(const struct qvault_cursor *c, u32 level,
		   const struct qvault_step *step, u64 *weight, u8 *gens)
{
	const struct qvault_disk_node *disk = step->data;
	struct qvault_ptr ptr;
	bool any = false;
	u32 i;

	*weight = 0;
	*gens = 0;
	if (!level && c->kind == QVAULT_KIND_MAP) {
		*weight = bitmap_weight(step->data, QVAULT_MAP_BITS);
		return *weight;
	}
	for (i = 0; i < QVAULT_FANOUT; i++) {
		qvault_ptr_from_disk(&ptr, &disk->ptr[i]);
		any |= ptr.version;
		if (!qvault_ptr_mapped(&ptr))
			continue;
		*weight += level ? qvault_node_weight(&ptr) : 1;
		*gens |= qvault_ptr_gens(&ptr);
	}
	return any;
}

/* Map blocks are little-endian on disk; in memory they are a kernel bitmap. */
static void swap_bitmap(void *data)
{
	unsigned long *word = data;
	u32 i;

	for (i = 0; i < QVAULT_BLOCK_SIZE / sizeof(*word); i++)
		word[i] = qvault_le_long(word[i]);
}

/*
 * Sealing a node takes microseconds, and there are thousands.  A write that comes
 * meanwhile is a few steps in different threads, and each would wait until the
 * scheduler takes the processor away from us, which is milliseconds.  But not if it
 * is us that they wait for.
 */
static void give_way(struct qvault_cursor *c)
{
	if (++c->written % NODES_AT_ONCE == 0 && !atomic_read(&c->v->hurried))
		usleep_range(10, 30);
}

/* Upper nodes go to two places; the record comes after both. */
static void put_node(struct qvault_cursor *c, u32 level, u64 index, u32 slot,
		     void *cipher)
{
	const struct qvault_geometry *geo = &c->v->geo;
	void *copy;

	if (qvault_node_twice(c->kind, level)) {
		copy = qvault_batch_buf(c->batch);
		memcpy(copy, cipher, QVAULT_BLOCK_SIZE);
		qvault_batch_write(c->batch, qvault_node_block(geo, c->kind, level,
							       index, slot, 1), copy);
		atomic64_inc(&c->v->counters.node_blocks);
	}
	qvault_batch_write(c->batch, qvault_node_block(geo, c->kind, level, index,
						       slot, 0), cipher);
	atomic64_inc(&c->v->counters.node_blocks);
}

static int write_node(struct qvault_cursor *c, u32 level,
		      const struct qvault_step *step, struct qvault_ptr *ptr)
{
	bool bitmap = !level && c->kind == QVAULT_KIND_MAP;
	u64 weight;
	void *cipher;
	u32 slot;
	int err;

	memset(ptr, 0, sizeof(*ptr));
	if (!sum_up(c, level, step, &weight, &ptr->below))
		return 0;
	ptr->gen = c->v->anchor.seal;
	slot = step->anchored.version ? !qvault_node_slot(&step->anchored) : 0;
	ptr->version = qvault_new_versions(c->v, 1);
	if (!ptr->version)
		return qvault_may_write(c->v) ?: -EAGAIN;
	ptr->where = weight << 1 | slot;
	if (bitmap)
		swap_bitmap(step->data);
	cipher = qvault_batch_buf(c->batch);
	err = qvault_seal(c->v, c->kind, qvault_node_id(level, step->index),
			  ptr, step->data, cipher);
	if (err) {
		qvault_buf_put(cipher);
		return err;
	}
	put_node(c, level, step->index, slot, cipher);
	qvault_node_add(c->v, ptr->version, step->data);
	give_way(c);
	return 0;
}

/* Write the node of @level if it changed, and tell its parent. */
static int leave(struct qvault_cursor *c, u32 level)
{
	struct qvault_step *step = &c->step[level];
	struct qvault_disk_node *parent;
	struct qvault_ptr ptr;
	int err;

	if (step->dirty) {
		err = write_node(c, level, step, &ptr);
		if (err)
			return err;
		if (level == c->tree->top) {
			c->root.ptr = ptr;
			c->root.level = ptr.version ? level : 0;
		} else {
			parent = c->step[level + 1].data;
			qvault_ptr_to_disk(&parent->ptr[step->index &
							(QVAULT_FANOUT - 1)],
					   &ptr);
			c->step[level + 1].dirty = true;
		}
	}
	unload(c, step);
	return 0;
}

/* Leave @level and all below it, from the bottom. */
static int leave_to(struct qvault_cursor *c, u32 level)
{
	u32 below;
	int err;

	for (below = 0; below <= level; below++) {
		err = leave(c, below);
		if (err)
			return err;
	}
	return 0;
}

static int get(struct qvault_cursor *c, u32 level, u64 index,
	       const struct qvault_ptr *ptr, struct qvault_node **node)
{
	int err = qvault_node_get(c->v, QVAULT_USE_CHECKPOINT, c->kind, level,
				  index, ptr, node);

	/* Nobody but us changes the tree: what is not there is corrupt. */
	if (err == -EILSEQ) {
		c->bad = qvault_node_id(level, index);
		qvault_corrupt(c->v, c->kind, c->bad);
	}
	if (!err && unlikely(READ_ONCE((*node)->half)))
		qvault_heal_found(c->v, c->kind, &c->anchored,
				  qvault_node_id(level, index), (*node)->version,
				  *node);
	return err;
}

static bool is_root(const struct qvault_root *root, u32 level, u64 index)
{
	return root->ptr.version && level == root->level && !index;
}

/* The node's pointer as it was in the tree that is anchored. */
static void anchored_ptr(const struct qvault_cursor *c, u32 level, u64 index,
			 struct qvault_ptr *ptr)
{
	const struct qvault_disk_node *disk;

	memset(ptr, 0, sizeof(*ptr));
	if (is_root(&c->anchored, level, index)) {
		*ptr = c->anchored.ptr;
	} else if (level < c->tree->top && c->step[level + 1].old) {
		disk = c->step[level + 1].old->data;
		qvault_ptr_from_disk(ptr, &disk->ptr[index & (QVAULT_FANOUT - 1)]);
	}
}

/* And as it is now. */
static void current_ptr(const struct qvault_cursor *c, u32 level, u64 index,
			struct qvault_ptr *ptr)
{
	const struct qvault_disk_node *disk;

	memset(ptr, 0, sizeof(*ptr));
	if (level < c->tree->top) {
		disk = c->step[level + 1].data;
		qvault_ptr_from_disk(ptr, &disk->ptr[index & (QVAULT_FANOUT - 1)]);
	} else if (is_root(&c->root, level, index)) {
		*ptr = c->root.ptr;
	}
}

static bool given_up(const struct qvault_cursor *c, u32 level, u64 index)
{
	return c->given_up == qvault_node_id(level, index) + 1;
}

/* Has this checkpoint put another node in its place, as it could not be read? */
static bool was_replaced(const struct qvault_cursor *c, u32 level,
			 const struct qvault_step *step, const struct qvault_ptr *now)
{
	if (now->version == step->anchored.version)
		return false;
	/* A map block that is overwritten in error costs room, and no data. */
	return c->kind == QVAULT_KIND_MAP ? c->replaced :
					    given_up(c, level, step->index);
}

/* What the anchored node says, so that nothing below it is overwritten. */
static int fill_old(struct qvault_cursor *c, u32 level, struct qvault_step *step,
		    const struct qvault_ptr *now)
{
	int err = get(c, level, step->index, &step->anchored, &step->old);

	return err && was_replaced(c, level, step, now) ? 0 : err;
}

static int fill_from(struct qvault_cursor *c, u32 level,
		     struct qvault_step *step, const struct qvault_ptr *now)
{
	struct qvault_node *node;
	int err;

	if (now->version) {
		err = get(c, level, step->index, now, &node);
		if (err)
			return err;
		memcpy(step->data, node->data, QVAULT_BLOCK_SIZE);
		qvault_node_put(c->v, node);
	}
	if (!level && c->kind == QVAULT_KIND_MAP)
		swap_bitmap(step->data);
	if (level && step->anchored.version)
		return fill_old(c, level, step, now);
	return 0;
}

/* ---- In place of what cannot be read ---- */

static u64 first_of(u32 level, u64 index)
{
	return index << (QVAULT_FANOUT_SHIFT * level);
}

/* Is all below the node thrown away by whoever moves the cursor? */
static bool needless(const struct qvault_cursor *c, u32 level, u64 index)
{
	u64 end = min(first_of(level, index + 1), c->tree->count[0]);

	return first_of(level, index) >= c->needless_from &&
	       end <= c->needless_end;
}

/*
 * What a map block must say that cannot be read: whatever the groups in memory know
 * of it, else that all is in use.  With an upper node the pointers to all below it
 * are lost, so all of that is written anew too.  In which slots it stood is not
 * known.  If the node comes back after a crash, and these are overwritten, then they
 * are damaged in turn, and the same is done again: it costs room and nothing else.
 *
 * Recursion is bounded by QVAULT_MAX_LEVELS.
 */
static int fill_full(struct qvault_cursor *c, u32 level, u64 index, u64 version,
		     void *data)
{
	struct qvault_step child = { .index = index << QVAULT_FANOUT_SHIFT };
	struct qvault_disk_node *disk = data;
	struct qvault_ptr ptr;
	int err = 0;
	u32 i;

	if (!level) {
		qvault_alloc_known(c->v, index, version, data);
		return 0;
	}
	memset(data, 0, QVAULT_BLOCK_SIZE);
	child.data = qvault_buf_get(c->v, QVAULT_USE_CHECKPOINT);
	for (i = 0; i < QVAULT_FANOUT && !err; i++, child.index++) {
		if (first_of(level - 1, child.index) >= c->v->geo.groups)
			break;
		err = fill_full(c, level - 1, child.index, 0, child.data);
		if (!err)
			err = write_node(c, level - 1, &child, &ptr);
		if (!err)
			qvault_ptr_to_disk(&disk->ptr[i], &ptr);
	}
	qvault_buf_put(child.data);
	/* They may be asked for, and be written again, at once. */
	return err ?: qvault_batch_wait(c->batch);
}

/*
 * What takes the place of a node that is given up: all that the volume has below it is
 * lost, but what is beyond its end is not, for it may grow.  So where a child is cut off
 * there, a node stands that says so.
 *
 * Recursion is bounded by QVAULT_MAX_LEVELS.
 */
static int fill_lost(struct qvault_cursor *c, u32 level, u64 index, void *data)
{
	u32 shift = QVAULT_FANOUT_SHIFT * level;
	u64 blocks = c->v->geo.logical_blocks - (index << QVAULT_FANOUT_SHIFT << shift);
	u64 whole = min_t(u64, blocks >> shift, QVAULT_FANOUT);
	struct qvault_step child = { .index = (index << QVAULT_FANOUT_SHIFT) + whole };
	struct qvault_disk_node *disk = data;
	struct qvault_ptr ptr;
	int err;

	memcpy(data, c->v->cache.lost->data, QVAULT_BLOCK_SIZE);
	memset(&disk->ptr[whole], 0, (QVAULT_FANOUT - whole) * sizeof(disk->ptr[0]));
	if (whole == QVAULT_FANOUT || blocks == whole << shift)
		return 0;
	child.data = qvault_buf_get(c->v, QVAULT_USE_CHECKPOINT);
	err = fill_lost(c, level - 1, child.index, child.data);
	if (!err)
		err = write_node(c, level - 1, &child, &ptr);
	if (!err)
		qvault_ptr_to_disk(&disk->ptr[whole], &ptr);
	qvault_buf_put(child.data);
	return err ?: qvault_batch_wait(c->batch);
}

/*
 * The node of a step cannot be read.  Only the one that is anchored is damaged:
 * what this checkpoint has written itself may be there when it is tried again.
 */
static int fill_anew(struct qvault_cursor *c, u32 level,
		     struct qvault_step *step, const struct qvault_ptr *now)
{
	bool lost = given_up(c, level, step->index);

	if (now->version != step->anchored.version)
		return -EIO;
	if (c->kind != QVAULT_KIND_MAP && !lost && !needless(c, level, step->index))
		return -EILSEQ;
	step->dirty = true;
	c->replaced = true;
	c->gave_up |= lost;
	if (c->kind == QVAULT_KIND_MAP)
		return fill_full(c, level, step->index, now->version, step->data);
	if (lost)
		return fill_lost(c, level, step->index, step->data);
	memset(step->data, 0, QVAULT_BLOCK_SIZE);
	return 0;
}

static int fill(struct qvault_cursor *c, u32 level, struct qvault_step *step,
		const struct qvault_ptr *now)
{
	int err;

	step->data = qvault_buf_get(c->v, QVAULT_USE_CHECKPOINT);
	memset(step->data, 0, QVAULT_BLOCK_SIZE);
	err = fill_from(c, level, step, now);
	/* Who gives a node up has read it before, and more than once. */
	if (err == -EILSEQ || (err == -EIO && given_up(c, level, step->index)))
		err = fill_anew(c, level, step, now);
	return err;
}

static int load(struct qvault_cursor *c, u32 level, u64 leaf)
{
	u64 index = index_of(level, leaf);
	struct qvault_step *step = &c->step[level];
	struct qvault_ptr now;
	int err;

	if (step->loaded && step->index == index)
		return 0;
	err = leave_to(c, level);
	if (err)
		return err;
	step->index = index;
	anchored_ptr(c, level, index, &step->anchored);
	current_ptr(c, level, index, &now);
	err = fill(c, level, step, &now);
	if (err) {
		unload(c, step);
		return err;
	}
	step->loaded = true;
	return 0;
}

/*
 * The volume has grown out of its root.  The levels above that are missing are made
 * before any leaf is visited, with the old root in them: a cursor that went to a new
 * leaf at once, far from the first one, would pass by all of the old tree.
 */
static int raise(struct qvault_cursor *c)
{
	struct qvault_disk_node *disk;
	u32 level = c->tree->top;
	int err;

	if (!c->root.ptr.version || c->root.level == level || c->step[level].loaded)
		return 0;
	for (; level > c->root.level; level--) {
		err = load(c, level, 0);
		if (err)
			return err;
		c->step[level].dirty = true;
	}
	disk = c->step[level + 1].data;
	qvault_ptr_to_disk(&disk->ptr[0], &c->root.ptr);
	return 0;
}

/* Load the path from the root down to @level. */
static int load_path(struct qvault_cursor *c, u32 level, u64 leaf)
{
	int err = raise(c), l;

	for (l = c->tree->top; !err && l >= (int)level; l--)
		err = load(c, l, leaf);
	return err;
}

/**
 * qvault_cursor_leaf() - go to a leaf
 * @c: cursor
 * @index: of the leaf; not before the one it is at, unless finished since
 * @data: set to its contents, which the caller may change; zeros if there was
 *	none.  Valid until the cursor moves.
 *
 * Context: sleeps.
 * Return: 0 or a negative errno; -EILSEQ was reported, and c->bad says which node.
 * A cursor of the map never returns that: see fill_anew().
 */
int qvault_cursor_leaf(struct qvault_cursor *c, u64 index, void **data)
{
	int err = load_path(c, 0, index);

	*data = err ? NULL : c->step[0].data;
	return err;
}

/**
 * qvault_cursor_needless() - say which leaves are thrown away
 * @c: cursor of the tree of nodes
 * @from: first leaf
 * @end: leaf after the last one
 *
 * The caller changes all that they say, so what cannot be read of them counts as
 * empty, and so does a node with nothing but these below it.  Takes the place of
 * what was said before.
 */
void qvault_cursor_needless(struct qvault_cursor *c, u64 from, u64 end)
{
	c->needless_from = from;
	c->needless_end = end;
}

/* The caller has changed the leaf the cursor is at. */
void qvault_cursor_dirty(struct qvault_cursor *c)
{
	c->step[0].dirty = true;
}

/**
 * qvault_cursor_renew() - write a node anew, although nothing in it changes
 * @c: cursor
 * @id: of the node; what is below it does not come before where the cursor is
 * @version: of the node in the anchored tree; if it has another by now, nothing is done.
 *	0: whichever it has
 *
 * Context: sleeps.
 * Return: 0 or a negative errno; as qvault_cursor_leaf().
 */
int qvault_cursor_renew(struct qvault_cursor *c, u64 id, u64 version)
{
	u32 level = id >> QVAULT_NODE_LEVEL_SHIFT;
	u64 index = id & ((1ull << QVAULT_NODE_LEVEL_SHIFT) - 1);
	int err;

	err = load_path(c, level, index << (QVAULT_FANOUT_SHIFT * level));
	if (!err && (!version || c->step[level].anchored.version == version))
		c->step[level].dirty = true;
	return err;
}

/* Generations of the child above @leaf and, unless it is a leaf, of all below that. */
static u32 nodes_below(const struct qvault_cursor *c, u32 level, u64 leaf)
{
	const struct qvault_disk_node *disk = c->step[level].data;
	struct qvault_ptr ptr;

	qvault_ptr_from_disk(&ptr, &disk->ptr[slot_of(level, leaf)]);
	if (level == 1)
		ptr.below = 0;
	return qvault_ptr_gens(&ptr);
}

/**
 * qvault_cursor_renew_gens() - write all nodes of some generations anew
 * @c: cursor, not moved yet; not finished
 * @gens: of them
 *
 * Not what the nodes of the lowest level of the tree point to.
 *
 * Context: sleeps.
 * Return: 0 or a negative errno; as qvault_cursor_leaf().
 */
int qvault_cursor_renew_gens(struct qvault_cursor *c, u32 gens)
{
	u32 level = c->tree->top, shift;
	struct qvault_step *step;
	u64 leaf = 0;
	int err;

	while (leaf < c->tree->count[0]) {
		err = load_path(c, level, leaf);
		if (err)
			return err;
		step = &c->step[level];
		if (step->anchored.version && BIT(step->anchored.gen) & gens)
			step->dirty = true;
		if (level && nodes_below(c, level, leaf) & gens) {
			level--;
			continue;
		}
		/* Nothing more below the next child: go on behind it, from the root. */
		shift = level ? QVAULT_FANOUT_SHIFT * (level - 1) : 0;
		leaf = ((leaf >> shift) + 1) << shift;
		level = c->tree->top;
	}
	return 0;
}

/**
 * qvault_cursor_next() - find the next leaf that is not empty
 * @c: cursor of a tree with more than one level
 * @from: first leaf to look at
 * @end: leaf after the last one
 * @index: set
 *
 * Empty subtrees cost nothing, however large they are.
 *
 * Context: sleeps.
 * Return: 1; 0 if there is none; or a negative errno.
 */
int qvault_cursor_next(struct qvault_cursor *c, u64 from, u64 end, u64 *index)
{
	const struct qvault_disk_node *disk;
	u32 level = c->tree->top, shift;
	int err;

	while (from < end) {
		err = load_path(c, level, from);
		if (err)
			return err;
		shift = QVAULT_FANOUT_SHIFT * (level - 1);
		disk = c->step[level].data;
		if (disk->ptr[slot_of(level, from)].version) {
			if (level == 1) {
				*index = from;
				return 1;
			}
			level--;
			continue;
		}
		from = ((from >> shift) + 1) << shift;
		/* Past the end of this node: go on from the root. */
		if (!(from >> shift & (QVAULT_FANOUT - 1)))
			level = c->tree->top;
	}
	return 0;
}

/**
 * qvault_cursor_finish() - write what has changed
 * @c: cursor; c->root is then the new tree's
 *
 * The writes may still be under way: see qvault_batch_wait().  The cursor may
 * be used again from the first leaf on.
 *
 * Context: sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_cursor_finish(struct qvault_cursor *c)
{
	return leave_to(c, c->tree->top);
}
