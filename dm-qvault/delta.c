// SPDX-License-Identifier: GPL-2.0
/*
 * The delta: the pointers written since the last checkpoint, by leaf.
 *
 * A hash table of fixed size, so that an insert allocates nothing but nodes and
 * those before it takes the lock.  Whatever was inserted last wins: the order
 * of inserts is the order in the log, and so the order after a crash.
 */
#include <linux/hash.h>
#include <linux/list_sort.h>

#include "qvault.h"

/* Capacities that fill the sizes kmalloc() gives. */
static const u8 capacities[] = { 1, 3, 5, 13, 29, 61, QVAULT_FANOUT };

int qvault_delta_init(struct qvault_delta *delta, u32 bucket_shift)
{
	memset(delta, 0, sizeof(*delta));
	INIT_LIST_HEAD(&delta->nodes);
	delta->bucket_shift = bucket_shift;
	delta->buckets = kvcalloc(1ul << bucket_shift, sizeof(*delta->buckets),
				  GFP_KERNEL);
	return delta->buckets ? 0 : -ENOMEM;
}

static void free_node(struct qvault *v, struct qvault_delta_node *node)
{
	if (node->pooled)
		mempool_free(node, v->node_pool);
	else
		kfree(node);
}

/* Empties a delta that nobody looks at any more. */
void qvault_delta_clear(struct qvault *v, struct qvault_delta *delta)
{
	struct qvault_delta_node *node, *next;

	list_for_each_entry_safe(node, next, &delta->nodes, list) {
		hlist_del(&node->hash);
		list_del(&node->list);
		free_node(v, node);
		cond_resched();
	}
	memset(delta->marks, 0, sizeof(delta->marks));
}

void qvault_delta_exit(struct qvault *v, struct qvault_delta *delta)
{
	if (!delta->buckets)
		return;
	qvault_delta_clear(v, delta);
	kvfree(delta->buckets);
	delta->buckets = NULL;
}

bool qvault_delta_empty(const struct qvault_delta *delta)
{
	return list_empty(&delta->nodes);
}

static struct hlist_head *bucket_of(const struct qvault_delta *delta, u32 level,
				    u64 index)
{
	return &delta->buckets[hash_64(qvault_node_id(level, index),
				       delta->bucket_shift)];
}

static struct qvault_delta_node *find(const struct qvault_delta *delta,
				      u32 level, u64 index)
{
	struct qvault_delta_node *node;

	if (!delta->marks[level])
		return NULL;
	hlist_for_each_entry(node, bucket_of(delta, level, index), hash)
		if (node->index == index && node->level == level)
			return node;
	return NULL;
}

static void add(struct qvault_delta *delta, struct qvault_delta_node *node)
{
	hlist_add_head(&node->hash, bucket_of(delta, node->level, node->index));
	list_add_tail(&node->list, &delta->nodes);
	delta->marks[node->level]++;
}

static void remove(struct qvault *v, struct qvault_delta *delta,
		   struct qvault_delta_node *node)
{
	hlist_del(&node->hash);
	list_del(&node->list);
	delta->marks[node->level]--;
	free_node(v, node);
}

/* Is the node (@level, @index) inside a subtree that is marked unmapped? */
static bool under_mark(const struct qvault *v, const struct qvault_delta *delta,
		       u32 level, u64 index)
{
	while (level++ < v->geo.tree.top) {
		index >>= QVAULT_FANOUT_SHIFT;
		if (find(delta, level, index))
			return true;
	}
	return false;
}

/* Number of mapped blocks of the leaf before @bit: its place in ptr[]. */
static u32 rank(const struct qvault_delta_node *node, u32 bit)
{
	return bitmap_weight(node->mapped, bit);
}

/**
 * qvault_delta_lookup() - what a delta knows of a block
 * @v: vault
 * @delta: delta
 * @logical: block
 * @ptr: set on a hit
 *
 * Context: map_lock, or a delta that nobody changes.
 * Return: QVAULT_HIT or QVAULT_MISS.
 */
enum qvault_hit qvault_delta_lookup(const struct qvault *v,
				    const struct qvault_delta *delta,
				    u64 logical, struct qvault_ptr *ptr)
{
	u64 leaf = logical >> QVAULT_FANOUT_SHIFT;
	u32 bit = logical & (QVAULT_FANOUT - 1);
	struct qvault_delta_node *node = find(delta, 0, leaf);

	if (!node) {
		if (!under_mark(v, delta, 0, leaf))
			return QVAULT_MISS;
		memset(ptr, 0, sizeof(*ptr));
		return QVAULT_HIT;
	}
	if (!test_bit(bit, node->present))
		return QVAULT_MISS;
	if (test_bit(bit, node->mapped))
		*ptr = node->ptr[rank(node, bit)];
	else
		memset(ptr, 0, sizeof(*ptr));
	return QVAULT_HIT;
}

/* ---- Nodes, before the lock is taken ---- */

void qvault_reserve_init(struct qvault_reserve *reserve)
{
	INIT_LIST_HEAD(&reserve->nodes);
	reserve->lacks = 0;
	reserve->pooled = false;
}

static u32 round_capacity(u32 need)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(capacities); i++)
		if (capacities[i] >= need)
			break;
	return capacities[i];
}

/*
 * A node of the pool, once checkpoints have given one back.  One writer at a
 * time: several that each hold some and lack one more would wait for each other
 * for ever.  What one needs is far less than the pool.
 *
 * Ask for a checkpoint again and again: what the last one gave back may have
 * gone to others, who are past this.
 */
static struct qvault_delta_node *pool_node(struct qvault *v,
					   struct qvault_reserve *reserve)
{
	struct qvault_delta_node *node;

	if (!reserve->pooled)
		mutex_lock(&v->node_mutex);
	reserve->pooled = true;
	for (;;) {
		node = mempool_alloc(v->node_pool, GFP_NOWAIT | __GFP_NOWARN);
		if (node || qvault_may_write(v))
			return node;
		qvault_kick_checkpoint(v);
		wait_event_timeout(v->room_wait, qvault_may_write(v), HZ / 50);
	}
}

/**
 * qvault_reserve_fill() - allocate the node that was lacking
 * @v: vault
 * @reserve: as qvault_delta_prepare() left it
 *
 * When memory is short, waits for a node of the pool.  While a vault is being
 * attached there is nothing to wait for, so the allocator must try hard then.
 *
 * Context: May sleep; no lock held but node_mutex, by an earlier call.
 * Return: true; false if the vault accepts no writes, and memory is short.
 */
bool qvault_reserve_fill(struct qvault *v, struct qvault_reserve *reserve)
{
	u32 capacity = round_capacity(reserve->lacks);
	gfp_t gfp = GFP_NOIO | __GFP_NOWARN;
	struct qvault_delta_node *node;
	bool pooled = false;

	if (!qvault_may_write(v))
		gfp |= __GFP_NORETRY;
	node = kmalloc(struct_size(node, ptr, capacity), gfp);
	if (!node) {
		node = pool_node(v, reserve);
		capacity = QVAULT_FANOUT;
		pooled = true;
	}
	if (!node)
		return false;
	memset(node, 0, sizeof(*node));
	node->capacity = capacity;
	node->pooled = pooled;
	list_add(&node->list, &reserve->nodes);
	return true;
}

/* Gives back what was not needed. */
void qvault_reserve_exit(struct qvault *v, struct qvault_reserve *reserve)
{
	struct qvault_delta_node *node, *next;

	list_for_each_entry_safe(node, next, &reserve->nodes, list) {
		list_del(&node->list);
		free_node(v, node);
	}
	if (reserve->pooled)
		mutex_unlock(&v->node_mutex);
	reserve->pooled = false;
}

static struct qvault_delta_node *take(struct qvault_reserve *reserve,
				      u32 capacity)
{
	struct qvault_delta_node *node;

	list_for_each_entry(node, &reserve->nodes, list) {
		if (node->capacity >= capacity) {
			list_del(&node->list);
			return node;
		}
	}
	reserve->lacks = max(capacity, 1u);
	return NULL;
}

/* Put a larger node into the place of @old. */
static void replace(struct qvault *v, struct qvault_delta *delta,
		    struct qvault_delta_node *old,
		    struct qvault_delta_node *node)
{
	node->index = old->index;
	node->level = old->level;
	node->used = old->used;
	bitmap_copy(node->present, old->present, QVAULT_FANOUT);
	bitmap_copy(node->mapped, old->mapped, QVAULT_FANOUT);
	memcpy(node->ptr, old->ptr, old->used * sizeof(old->ptr[0]));
	remove(v, delta, old);
	add(delta, node);
}

static bool prepare_leaf(struct qvault *v, struct qvault_delta *delta, u64 leaf,
			 u32 first, u32 count, bool mapped,
			 struct qvault_reserve *reserve)
{
	struct qvault_delta_node *old = find(delta, 0, leaf);
	struct qvault_delta_node *node;
	u32 need = mapped ? count : 0;

	if (old) {
		need += old->used;
		if (mapped)
			need -= rank(old, first + count) - rank(old, first);
		if (need <= old->capacity)
			return true;
	}
	node = take(reserve, need);
	if (!node)
		return false;
	if (old) {
		replace(v, delta, old, node);
		return true;
	}
	node->level = 0;
	node->index = leaf;
	if (under_mark(v, delta, 0, leaf))
		bitmap_fill(node->present, QVAULT_FANOUT);
	add(delta, node);
	return true;
}

/**
 * qvault_delta_prepare() - make sure that a change of a range cannot fail
 * @v: vault
 * @delta: delta
 * @logical: first block
 * @count: number of blocks
 * @mapped: they will be mapped, not unmapped
 * @reserve: where nodes come from
 *
 * Leaves that it adds are empty and change no lookup.
 *
 * Context: map_lock for writing.
 * Return: true, or false with reserve->lacks set.
 */
bool qvault_delta_prepare(struct qvault *v, struct qvault_delta *delta,
			  u64 logical, u32 count, bool mapped,
			  struct qvault_reserve *reserve)
{
	while (count) {
		u32 first = logical & (QVAULT_FANOUT - 1);
		u32 n = min(count, QVAULT_FANOUT - first);

		if (!prepare_leaf(v, delta, logical >> QVAULT_FANOUT_SHIFT,
				  first, n, mapped, reserve))
			return false;
		logical += n;
		count -= n;
	}
	return true;
}

/* The same for qvault_delta_mark(). */
bool qvault_delta_prepare_mark(struct qvault *v, struct qvault_delta *delta,
			       struct qvault_reserve *reserve)
{
	struct qvault_delta_node *node = take(reserve, 0);

	if (!node)
		return false;
	list_add(&node->list, &reserve->nodes);
	return true;
}

/* ---- Changes ---- */

static void drop_ptr(struct qvault *v, struct qvault_delta_node *node, u32 bit)
{
	u32 place = rank(node, bit);

	qvault_alloc_supersede(v, node->ptr[place].where);
	node->used--;
	memmove(&node->ptr[place], &node->ptr[place + 1],
		(node->used - place) * sizeof(node->ptr[0]));
	clear_bit(bit, node->mapped);
}

/**
 * qvault_delta_insert() - map a block
 * @v: vault
 * @delta: delta; prepared for this block
 * @logical: block
 * @ptr: its new pointer
 *
 * Context: map_lock for writing.
 */
void qvault_delta_insert(struct qvault *v, struct qvault_delta *delta,
			 u64 logical, const struct qvault_ptr *ptr)
{
	struct qvault_delta_node *node =
		find(delta, 0, logical >> QVAULT_FANOUT_SHIFT);
	u32 bit = logical & (QVAULT_FANOUT - 1);
	u32 place = rank(node, bit);

	if (test_bit(bit, node->mapped)) {
		qvault_alloc_supersede(v, node->ptr[place].where);
	} else {
		memmove(&node->ptr[place + 1], &node->ptr[place],
			(node->used - place) * sizeof(node->ptr[0]));
		node->used++;
		set_bit(bit, node->mapped);
		set_bit(bit, node->present);
	}
	node->ptr[place] = *ptr;
}

/**
 * qvault_delta_unmap() - unmap blocks of one leaf
 * @v: vault
 * @delta: delta; prepared for these blocks
 * @logical: first block
 * @count: number of blocks, none beyond the leaf
 *
 * Context: map_lock for writing.
 */
void qvault_delta_unmap(struct qvault *v, struct qvault_delta *delta,
			u64 logical, u32 count)
{
	struct qvault_delta_node *node =
		find(delta, 0, logical >> QVAULT_FANOUT_SHIFT);
	u32 bit = logical & (QVAULT_FANOUT - 1);

	for (; count; count--, bit++) {
		if (test_bit(bit, node->mapped))
			drop_ptr(v, node, bit);
		set_bit(bit, node->present);
	}
}

static void remove_superseded(struct qvault *v, struct qvault_delta *delta,
			      struct qvault_delta_node *node)
{
	u32 i;

	for (i = 0; i < node->used; i++)
		qvault_alloc_supersede(v, node->ptr[i].where);
	remove(v, delta, node);
}

/*
 * Take the nodes of level @below inside the subtree (@level, @index) out of the
 * delta: by name while that is less work than a look at every node there is.
 */
static void take_level(struct qvault_delta *delta, u32 below, u32 level,
		       u64 index, struct list_head *taken)
{
	u32 shift = QVAULT_FANOUT_SHIFT * (level - below);
	struct qvault_delta_node *node, *next;
	u64 i;

	if (1ull << shift <= delta->marks[below]) {
		for (i = index << shift; i < (index + 1) << shift; i++) {
			node = find(delta, below, i);
			if (node)
				list_move_tail(&node->list, taken);
		}
	} else if (delta->marks[below]) {
		list_for_each_entry_safe(node, next, &delta->nodes, list)
			if (node->level == below && node->index >> shift == index)
				list_move_tail(&node->list, taken);
	}
}

static void remove_level(struct qvault *v, struct qvault_delta *delta,
			 u32 below, u32 level, u64 index)
{
	struct qvault_delta_node *node, *next;
	LIST_HEAD(taken);

	take_level(delta, below, level, index, &taken);
	list_for_each_entry_safe(node, next, &taken, list)
		remove_superseded(v, delta, node);
}

/**
 * qvault_delta_mark() - unmap a whole subtree
 * @v: vault
 * @delta: delta
 * @level: of the subtree's root, above the leaves
 * @index: of the subtree's root
 * @reserve: prepared by qvault_delta_prepare_mark()
 *
 * Context: map_lock for writing.
 */
void qvault_delta_mark(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index, struct qvault_reserve *reserve)
{
	struct qvault_delta_node *node;
	u32 below;

	for (below = 0; below < level; below++)
		remove_level(v, delta, below, level, index);
	if (find(delta, level, index) || under_mark(v, delta, level, index))
		return;
	node = take(reserve, 0);
	node->level = level;
	node->index = index;
	add(delta, node);
}

/**
 * qvault_next_piece() - cut the next piece off a range to unmap
 * @geo: layout
 * @logical: first block of the range
 * @count: number of blocks, at least 1
 * @piece: set
 *
 * Context: Any.
 */
void qvault_next_piece(const struct qvault_geometry *geo, u64 logical,
		       u64 count, struct qvault_piece *piece)
{
	u64 span = QVAULT_FANOUT;
	u64 next = span << QVAULT_FANOUT_SHIFT;
	u32 level = 0;

	/* The last subtree of a level may be cut off by the end of the volume. */
	while (level < geo->tree.top && !(logical & (next - 1)) &&
	       (count >= next || logical + count == geo->logical_blocks)) {
		level++;
		span = next;
		next <<= QVAULT_FANOUT_SHIFT;
	}
	piece->level = level;
	piece->logical = logical;
	piece->count = min(count, span - (logical & (span - 1)));
}

/**
 * qvault_delta_unmap_piece() - unmap what qvault_next_piece() gave
 * @v: vault
 * @delta: delta
 * @piece: piece
 * @reserve: where nodes come from
 *
 * Context: map_lock for writing.
 * Return: false, with nothing changed, if the reserve must be filled first.
 */
bool qvault_delta_unmap_piece(struct qvault *v, struct qvault_delta *delta,
			      const struct qvault_piece *piece,
			      struct qvault_reserve *reserve)
{
	if (piece->level) {
		if (!qvault_delta_prepare_mark(v, delta, reserve))
			return false;
		qvault_delta_mark(v, delta, piece->level,
				  piece->logical >> (QVAULT_FANOUT_SHIFT *
						     (piece->level + 1)),
				  reserve);
		return true;
	}
	if (!qvault_delta_prepare(v, delta, piece->logical, piece->count, false,
				  reserve))
		return false;
	qvault_delta_unmap(v, delta, piece->logical, piece->count);
	return true;
}

/* ---- In order, for a checkpoint ---- */

static u64 first_leaf(const struct qvault_delta_node *node)
{
	return node->index << (QVAULT_FANOUT_SHIFT * node->level);
}

/* By first leaf; a subtree before what is inside it. */
static int compare(void *unused, const struct list_head *a,
		   const struct list_head *b)
{
	const struct qvault_delta_node *x =
		list_entry(a, struct qvault_delta_node, list);
	const struct qvault_delta_node *y =
		list_entry(b, struct qvault_delta_node, list);

	if (first_leaf(x) != first_leaf(y))
		return first_leaf(x) < first_leaf(y) ? -1 : 1;
	return (int)y->level - (int)x->level;
}

/* Sorts the nodes of a frozen delta; allocates nothing. */
void qvault_delta_sort(struct qvault_delta *delta)
{
	list_sort(NULL, &delta->nodes, compare);
}

/* ---- Around damaged nodes: see damage.c ---- */

/* Blocks of a leaf that the volume has: the last one may be cut off. */
static u32 nr_blocks(const struct qvault *v, const struct qvault_delta_node *node)
{
	return min_t(u64, QVAULT_FANOUT, v->geo.logical_blocks -
					 (node->index << QVAULT_FANOUT_SHIFT));
}

/**
 * qvault_delta_full() - does a leaf's node know all of its blocks?
 * @v: vault
 * @node: of level 0
 *
 * Context: map_lock, or a delta that nobody changes.
 * Return: Whether it does, of those that the volume has.
 */
bool qvault_delta_full(const struct qvault *v,
		       const struct qvault_delta_node *node)
{
	u32 nr = nr_blocks(v, node);

	return find_first_zero_bit(node->present, nr) >= nr;
}

/**
 * qvault_delta_covers() - is the tree's node needless, by what a delta says?
 * @v: vault
 * @delta: delta
 * @level: of the node
 * @index: of the node
 *
 * Context: map_lock, or a delta that nobody changes.
 * Return: Whether the delta has an answer for each block below it.
 */
bool qvault_delta_covers(const struct qvault *v, const struct qvault_delta *delta,
			 u32 level, u64 index)
{
	const struct qvault_delta_node *node = find(delta, level, index);

	if (under_mark(v, delta, level, index))
		return true;
	return node && (level || qvault_delta_full(v, node));
}

static bool follows(const struct qvault_ptr *a, const struct qvault_ptr *b)
{
	return b->where == a->where + 1 && b->version == a->version + 1;
}

/* Blocks of [@bit, @end) that are mapped to one run of the log, or all unmapped. */
static u32 same_entry(const struct qvault_delta_node *node, u32 bit, u32 end)
{
	bool mapped = test_bit(bit, node->mapped);
	const struct qvault_ptr *ptr = node->ptr + rank(node, bit);
	u32 n = 1;

	for (; bit + n < end && test_bit(bit + n, node->present) &&
	       test_bit(bit + n, node->mapped) == mapped; n++, ptr++)
		if (mapped && !follows(ptr, ptr + 1))
			break;
	return n;
}

/*
 * Log a leaf once more, or only say how many bytes that takes.  What it unmaps goes
 * without saying below a mark.
 */
static u32 log_leaf(struct qvault *v, const struct qvault_delta_node *node,
		    bool marked, bool append)
{
	u64 first = node->index << QVAULT_FANOUT_SHIFT;
	u32 bit, n, bytes = 0, nr = nr_blocks(v, node);
	bool mapped;

	for (bit = 0; bit < nr; bit += n) {
		n = 1;
		if (!test_bit(bit, node->present))
			continue;
		n = same_entry(node, bit, nr);
		mapped = test_bit(bit, node->mapped);
		if (!mapped && marked)
			continue;
		bytes += sizeof(struct qvault_disk_entry) +
			 (mapped ? n * QVAULT_TAG_SIZE : 0);
		if (append && mapped)
			qvault_stream_append(v, first + bit,
					     node->ptr + rank(node, bit), n);
		else if (append)
			qvault_stream_append_unmap(v, first + bit, n);
	}
	return bytes;
}

static u32 log_node(struct qvault *v, const struct qvault_delta *delta,
		    const struct qvault_delta_node *node, bool append)
{
	u32 shift = QVAULT_FANOUT_SHIFT * (node->level + 1);
	u64 first = node->index << shift;

	if (!node->level)
		return log_leaf(v, node, under_mark(v, delta, 0, node->index),
				append);
	if (append)
		qvault_stream_append_unmap(v, first,
			min(1ull << shift, v->geo.logical_blocks - first));
	return sizeof(struct qvault_disk_entry);
}

/**
 * qvault_delta_below() - how much a delta knows below a node of the tree
 * @v: vault
 * @delta: delta
 * @level: of the node
 * @index: of the node
 *
 * Context: map_lock for writing.
 * Return: bytes of entries, as qvault_delta_carry() makes them.
 */
u64 qvault_delta_below(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index)
{
	struct qvault_delta_node *node;
	u32 below = level ?: 1;
	LIST_HEAD(taken);
	u64 bytes = 0;

	while (below--)
		take_level(delta, below, level, index, &taken);
	list_for_each_entry(node, &taken, list)
		bytes += log_node(v, delta, node, false);
	list_splice_tail(&taken, &delta->nodes);
	return bytes;
}

/**
 * qvault_delta_carry() - move what a delta knows below a node, and log it again
 * @v: vault
 * @from: delta
 * @to: an empty one, but for what was carried before
 * @level: of the node
 * @index: of the node
 *
 * Context: map_lock for writing; room reserved.
 */
void qvault_delta_carry(struct qvault *v, struct qvault_delta *from,
			struct qvault_delta *to, u32 level, u64 index)
{
	struct qvault_delta_node *node, *next;
	u32 below = level ?: 1;
	LIST_HEAD(taken);

	/* Marks first: what is inside them is newer. */
	while (below--)
		take_level(from, below, level, index, &taken);
	list_for_each_entry_safe(node, next, &taken, list) {
		hlist_del(&node->hash);
		list_del(&node->list);
		from->marks[node->level]--;
		add(to, node);
		log_node(v, to, node, true);
	}
}

static bool fold_leaf(struct qvault *v, struct qvault_delta *older,
		      const struct qvault_delta_node *node,
		      struct qvault_reserve *reserve)
{
	u64 first = node->index << QVAULT_FANOUT_SHIFT;
	const struct qvault_ptr *ptr = node->ptr;
	u32 bit = find_first_bit(node->present, QVAULT_FANOUT);
	u32 last = find_last_bit(node->present, QVAULT_FANOUT);

	if (bit == QVAULT_FANOUT)
		return true;
	if (!prepare_leaf(v, older, node->index, bit, last - bit + 1, true,
			  reserve))
		return false;
	for_each_set_bit(bit, node->present, QVAULT_FANOUT) {
		if (test_bit(bit, node->mapped))
			qvault_delta_insert(v, older, first + bit, ptr++);
		else
			qvault_delta_unmap(v, older, first + bit, 1);
	}
	return true;
}

static bool fold_mark(struct qvault *v, struct qvault_delta *older,
		      const struct qvault_delta_node *node,
		      struct qvault_reserve *reserve)
{
	if (!qvault_delta_prepare_mark(v, older, reserve))
		return false;
	qvault_delta_mark(v, older, node->level, node->index, reserve);
	return true;
}

/* A mark if there is one, since the leaves inside it are newer. */
static struct qvault_delta_node *first_to_fold(const struct qvault *v,
					       const struct qvault_delta *delta)
{
	u32 level = v->geo.tree.top;
	struct qvault_delta_node *node;

	while (level && !delta->marks[level])
		level--;
	list_for_each_entry(node, &delta->nodes, list)
		if (node->level == level)
			return node;
	return NULL;
}

/**
 * qvault_delta_fold() - move one node of a newer delta into an older one
 * @v: vault
 * @newer: delta; not empty
 * @older: delta
 * @reserve: where nodes come from
 *
 * No lookup in the one and then in the other changes by it.
 *
 * Context: map_lock for writing.
 * Return: false, with nothing changed, if the reserve must be filled first.
 */
bool qvault_delta_fold(struct qvault *v, struct qvault_delta *newer,
		       struct qvault_delta *older, struct qvault_reserve *reserve)
{
	struct qvault_delta_node *node = first_to_fold(v, newer);
	bool ok;

	ok = node->level ? fold_mark(v, older, node, reserve) :
			   fold_leaf(v, older, node, reserve);
	if (ok)
		remove(v, newer, node);
	return ok;
}

/**
 * qvault_reserve_fill_now() - allocate the node that was lacking
 * @reserve: as qvault_delta_fold() left it
 *
 * For a checkpoint, which cannot wait for what checkpoints give back.  There are few
 * such nodes, and another one is freed for each.
 *
 * Context: sleeps; no lock held but checkpoint_mutex.
 */
void qvault_reserve_fill_now(struct qvault_reserve *reserve)
{
	u32 capacity = round_capacity(reserve->lacks);
	struct qvault_delta_node *node;

	node = kzalloc(struct_size(node, ptr, capacity), GFP_NOIO | __GFP_NOFAIL);
	node->capacity = capacity;
	list_add(&node->list, &reserve->nodes);
}
