// SPDX-License-Identifier: GPL-2.0
/*
 * The delta: the pointers written since the last checkpoint, by leaf.
 *
 * Ordered, a tree of nodes for each level, so that what there is below a node of the
 * volume's tree is found without a look at anything else, and a checkpoint need not
 * sort.  An insert allocates nothing but nodes, and those before it takes the lock.
 * Whatever was inserted last wins: the order of inserts is the order in the log, and so
 * the order after a crash.
 */
#include <linux/log2.h>

#include "qvault.h"

/* Capacities that fill the sizes kmalloc() gives. */
static const u8 capacities[] = { 1, 4, 10, 23, 49, 100, QVAULT_FANOUT };

void qvault_delta_init(struct qvault_delta *delta)
{
	memset(delta, 0, sizeof(*delta));
	INIT_LIST_HEAD(&delta->nodes);
}

/* ---- Nodes, promised before they are needed ---- */

static struct qvault_delta_node *alloc_node(u32 capacity, gfp_t gfp)
{
	struct qvault_delta_node *node;

	node = qvault_kmalloc(struct_size(node, ptr, capacity), gfp);
	if (!node)
		return NULL;
	memset(node, 0, sizeof(*node));
	node->capacity = capacity;
	return node;
}

static void add_to_stock(struct qvault_stock *stock,
			 struct qvault_delta_node *node)
{
	list_add(&node->list, &stock->nodes);
	stock->nr++;
}

static struct qvault_delta_node *take_from_stock(struct qvault_stock *stock)
{
	struct qvault_delta_node *node;

	node = list_first_entry(&stock->nodes, struct qvault_delta_node, list);
	list_del(&node->list);
	stock->nr--;
	memset(node, 0, sizeof(*node));
	node->capacity = QVAULT_FANOUT;
	return node;
}

int qvault_stock_init(struct qvault *v)
{
	struct qvault_delta_node *node;

	INIT_LIST_HEAD(&v->stock.nodes);
	while (v->stock.nr < QVAULT_STOCK) {
		node = alloc_node(QVAULT_FANOUT, GFP_KERNEL);
		if (!node)
			return -ENOMEM;
		add_to_stock(&v->stock, node);
	}
	return 0;
}

/* A vault that is half-built will do. */
void qvault_stock_exit(struct qvault *v)
{
	while (v->stock.nr)
		kfree(take_from_stock(&v->stock));
}

/**
 * qvault_stock_promise() - promise nodes to a change
 * @v: vault
 * @nr: leaves or subtrees that it touches
 *
 * All or none, so that nobody who waits for nodes holds any.  There are
 * QVAULT_STOCK at least in the stock and the deltas together, and a checkpoint
 * gives back what is in the deltas.  While a vault is being attached there is
 * nothing to wait for, so the allocator must try hard then.
 *
 * Context: May sleep; no lock held.
 * Return: true, and qvault_stock_release() must follow; or false if memory is
 * short and the stock is used up.
 */
bool qvault_stock_promise(struct qvault *v, u32 nr)
{
	struct qvault_stock *stock = &v->stock;
	gfp_t gfp = GFP_NOIO | __GFP_NOWARN;
	struct qvault_delta_node *node;
	bool enough;

	if (!qvault_may_write(v))
		gfp |= __GFP_NORETRY;
	write_lock(&v->map_lock);
	while (stock->nr < stock->promised + nr) {
		write_unlock(&v->map_lock);
		node = alloc_node(QVAULT_FANOUT, gfp);
		write_lock(&v->map_lock);
		if (!node)
			break;
		add_to_stock(stock, node);
	}
	enough = stock->nr >= stock->promised + nr;
	if (enough)
		WRITE_ONCE(stock->promised, stock->promised + nr);
	write_unlock(&v->map_lock);
	return enough;
}

/**
 * qvault_stock_release() - take back a promise, kept or not
 * @v: vault
 * @nr: as promised
 *
 * Context: map_lock for writing.
 */
void qvault_stock_release(struct qvault *v, u32 nr)
{
	struct qvault_stock *stock = &v->stock;

	lockdep_assert_held_write(&v->map_lock);
	WRITE_ONCE(stock->promised, stock->promised - nr);
	while (stock->nr > stock->promised + QVAULT_STOCK)
		kfree(take_from_stock(stock));
}

static u32 round_capacity(u32 need)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(capacities); i++)
		if (capacities[i] >= need)
			break;
	return capacities[i];
}

/* A node for a change that was promised one.  Context: map_lock for writing. */
static struct qvault_delta_node *new_node(struct qvault *v, u32 need)
{
	struct qvault_delta_node *node;

	node = alloc_node(round_capacity(need), GFP_NOWAIT | __GFP_NOWARN);
	return node ?: take_from_stock(&v->stock);
}

/* The stock comes first: see qvault_stock_promise().  Context: as above. */
static void free_node(struct qvault *v, struct qvault_delta_node *node)
{
	struct qvault_stock *stock = &v->stock;

	if (node->capacity == QVAULT_FANOUT &&
	    stock->nr < stock->promised + QVAULT_STOCK)
		add_to_stock(stock, node);
	else
		kfree(node);
}

/* ---- Nodes, in a delta ---- */

/* The memory of a node: what kmalloc() gives for it. */
static u32 node_bytes(const struct qvault_delta_node *node)
{
	return roundup_pow_of_two(struct_size(node, ptr, node->capacity));
}

/* Empties a delta that nobody looks at any more. */
void qvault_delta_clear(struct qvault *v, struct qvault_delta *delta)
{
	struct qvault_delta_node *node, *next;

	memset(delta->root, 0, sizeof(delta->root));
	list_for_each_entry_safe(node, next, &delta->nodes, list) {
		list_del(&node->list);
		write_lock(&v->map_lock);
		delta->bytes -= node_bytes(node);
		free_node(v, node);
		write_unlock(&v->map_lock);
		cond_resched();
	}
	delta->gens = 0;
}

void qvault_delta_exit(struct qvault *v, struct qvault_delta *delta)
{
	if (delta->nodes.next)
		qvault_delta_clear(v, delta);
}

bool qvault_delta_empty(const struct qvault_delta *delta)
{
	return list_empty(&delta->nodes);
}

static struct qvault_delta_node *node_of(struct rb_node *tree)
{
	return rb_entry_safe(tree, struct qvault_delta_node, tree);
}

static struct qvault_delta_node *node_after(struct qvault_delta_node *node)
{
	return node_of(rb_next(&node->tree));
}

/* The first node of a level that is at @index or behind it, or NULL. */
static struct qvault_delta_node *find_from(const struct qvault_delta *delta,
					   u32 level, u64 index)
{
	struct rb_node *at = delta->root[level].rb_node, *best = NULL;

	while (at) {
		if (node_of(at)->index < index) {
			at = at->rb_right;
			continue;
		}
		best = at;
		if (node_of(at)->index == index)
			break;
		at = at->rb_left;
	}
	return node_of(best);
}

static struct qvault_delta_node *find(const struct qvault_delta *delta,
				      u32 level, u64 index)
{
	struct qvault_delta_node *node = find_from(delta, level, index);

	return node && node->index == index ? node : NULL;
}

static void add(struct qvault_delta *delta, struct qvault_delta_node *node)
{
	struct rb_node **link = &delta->root[node->level].rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = node->index < node_of(parent)->index ? &parent->rb_left :
							     &parent->rb_right;
	}
	rb_link_node(&node->tree, parent, link);
	rb_insert_color(&node->tree, &delta->root[node->level]);
	list_add_tail(&node->list, &delta->nodes);
	delta->bytes += node_bytes(node);
}

static void take_out(struct qvault_delta *delta, struct qvault_delta_node *node)
{
	rb_erase(&node->tree, &delta->root[node->level]);
	list_del(&node->list);
	delta->bytes -= node_bytes(node);
}

static void remove(struct qvault *v, struct qvault_delta *delta,
		   struct qvault_delta_node *node)
{
	take_out(delta, node);
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

/* ---- Changes ---- */

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

/*
 * What was set aside may have to be folded back, by a checkpoint that others wait for
 * to get memory: so a leaf that is in both deltas has room for all of it beforehand.
 */
static u32 room_to_fold(const struct qvault *v, u64 leaf)
{
	const struct qvault_delta_node *old = NULL;

	if (unlikely(v->frozen))
		old = find(&v->delta[!v->live], 0, leaf);
	return old ? old->used : 0;
}

static void prepare_leaf(struct qvault *v, struct qvault_delta *delta, u64 leaf,
			 u32 first, u32 count, bool mapped)
{
	struct qvault_delta_node *old = find(delta, 0, leaf);
	struct qvault_delta_node *node;
	u32 need = mapped ? count : 0;

	need += room_to_fold(v, leaf);
	if (old) {
		need += old->used;
		if (mapped)
			need -= rank(old, first + count) - rank(old, first);
	}
	need = min(need, QVAULT_FANOUT);
	if (old && need <= old->capacity)
		return;
	node = new_node(v, need);
	if (old) {
		replace(v, delta, old, node);
		return;
	}
	node->level = 0;
	node->index = leaf;
	if (under_mark(v, delta, 0, leaf))
		bitmap_fill(node->present, QVAULT_FANOUT);
	add(delta, node);
}

/**
 * qvault_delta_prepare() - make room for a change of a range
 * @v: vault
 * @delta: delta
 * @logical: first block
 * @count: number of blocks
 * @mapped: they will be mapped, not unmapped
 *
 * Leaves that it adds are empty and change no lookup.  Takes a node for each leaf
 * at most.
 *
 * Context: map_lock for writing; as many nodes promised.
 */
void qvault_delta_prepare(struct qvault *v, struct qvault_delta *delta,
			  u64 logical, u32 count, bool mapped)
{
	while (count) {
		u32 first = logical & (QVAULT_FANOUT - 1);
		u32 n = min(count, QVAULT_FANOUT - first);

		prepare_leaf(v, delta, logical >> QVAULT_FANOUT_SHIFT, first, n,
			     mapped);
		logical += n;
		count -= n;
	}
}

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
 * qvault_delta_insert() - map a block, or mark it as lost
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
	delta->gens |= qvault_ptr_gens(ptr);
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

static u64 first_inside(u32 below, u32 level, u64 index)
{
	return index << (QVAULT_FANOUT_SHIFT * (level - below));
}

static struct qvault_delta_node *if_inside(struct qvault_delta_node *node, u32 level,
					   u64 index)
{
	return node && node->index < first_inside(node->level, level, index + 1) ?
	       node : NULL;
}

/* The first node of level @below inside the subtree (@level, @index), or NULL. */
static struct qvault_delta_node *find_inside(const struct qvault_delta *delta,
					     u32 below, u32 level, u64 index)
{
	return if_inside(find_from(delta, below, first_inside(below, level, index)),
			 level, index);
}

/* The one after it. */
static struct qvault_delta_node *next_inside(struct qvault_delta_node *node, u32 level,
					     u64 index)
{
	return if_inside(node_after(node), level, index);
}

/* What it costs to take a node out, in blocks that are superseded. */
#define NODE_WORK	4u
/* Of any one leaf it is never too much. */
static_assert(QVAULT_FANOUT + 2 * NODE_WORK <= QVAULT_MAX_WORK);

/*
 * Take out what is inside of a subtree, and stop when that was as much as one critical
 * section should do.  Says whether that was all.
 */
static bool remove_inside(struct qvault *v, struct qvault_delta *delta, u32 level,
			  u64 index)
{
	struct qvault_delta_node *node, *next;
	u32 below, work = 0;

	for (below = 0; below < level; below++)
		for (node = find_inside(delta, below, level, index); node; node = next) {
			next = next_inside(node, level, index);
			if (work > QVAULT_MAX_WORK)
				return false;
			work += NODE_WORK + node->used;
			remove_superseded(v, delta, node);
		}
	return true;
}

/**
 * qvault_delta_work() - how much there is to do to unmap a whole subtree
 * @delta: delta
 * @level: of the subtree's root
 * @index: of the subtree's root
 *
 * Context: map_lock.
 * Return: about how many blocks are superseded; or just more than QVAULT_MAX_WORK.
 */
u32 qvault_delta_work(const struct qvault_delta *delta, u32 level, u64 index)
{
	struct qvault_delta_node *node;
	u32 below, work = NODE_WORK;

	for (below = 0; below <= level; below++)
		for (node = find_inside(delta, below, level, index); node;
		     node = next_inside(node, level, index)) {
			work += NODE_WORK + node->used;
			if (work > QVAULT_MAX_WORK)
				return work;
		}
	return work;
}

/* Of so many leaves inside of a subtree none was mapped: more are not looked at. */
#define MOST_LOOKED_AT	64u

static bool maps_inside(const struct qvault_delta *delta, u32 level, u64 index)
{
	struct qvault_delta_node *node;
	u32 n = 0;

	for (node = find_inside(delta, 0, level, index); node;
	     node = next_inside(node, level, index))
		if (node->used || ++n > MOST_LOOKED_AT)
			return true;
	return false;
}

/**
 * qvault_delta_knows() - what a delta says of a whole subtree
 * @v: vault
 * @delta: delta
 * @level: of the subtree's root
 * @index: of the subtree's root
 *
 * Context: map_lock.
 * Return: QVAULT_MAPPED: blocks may be mapped; QVAULT_UNMAPPED: none is; QVAULT_UNKNOWN:
 * as the layer below says, or unmapped.
 */
enum qvault_knows qvault_delta_knows(const struct qvault *v,
				     const struct qvault_delta *delta, u32 level,
				     u64 index)
{
	if (maps_inside(delta, level, index))
		return QVAULT_MAPPED;
	return qvault_delta_covers(v, delta, level, index) ? QVAULT_UNMAPPED :
							     QVAULT_UNKNOWN;
}

/* Blocks of a leaf that the volume has: the last one may be cut off. */
static u32 nr_blocks(const struct qvault *v, const struct qvault_delta_node *node)
{
	return min_t(u64, QVAULT_FANOUT, v->geo.logical_blocks -
					 (node->index << QVAULT_FANOUT_SHIFT));
}

/* The last node of a level that the volume has. */
static u64 last_of(const struct qvault *v, u32 level)
{
	return (v->geo.logical_blocks - 1) >> (QVAULT_FANOUT_SHIFT * (level + 1));
}

static bool all_unmapped(const struct qvault *v, const struct qvault_delta_node *node)
{
	return node && (node->level ||
			(!node->used && qvault_delta_full(v, node)));
}

/* Are all children of a node unmapped, each as a whole? */
static bool children_unmapped(const struct qvault *v, const struct qvault_delta *delta,
			      u32 level, u64 index)
{
	u64 child = index << QVAULT_FANOUT_SHIFT;
	u64 last = min(child + QVAULT_FANOUT - 1, last_of(v, level - 1));
	struct qvault_delta_node *node = find(delta, level - 1, child);

	/* The last one is most often the one that comes last. */
	if (!all_unmapped(v, find(delta, level - 1, last)))
		return false;
	while (all_unmapped(v, node) && node->index == child && child < last) {
		node = node_after(node);
		child++;
	}
	return all_unmapped(v, node) && node->index == child;
}

/*
 * A node has become unmapped: if all its siblings are, one mark takes their place.  It
 * says the same, so nothing is logged; and it is made of one of them, so it needs no
 * memory.
 */
static void join(struct qvault *v, struct qvault_delta *delta, u32 level, u64 index)
{
	struct qvault_delta_node *node, *next, *mark;

	for (; level < v->geo.tree.top; level++) {
		index >>= QVAULT_FANOUT_SHIFT;
		if (!children_unmapped(v, delta, level + 1, index))
			return;
		mark = find(delta, level, index << QVAULT_FANOUT_SHIFT);
		take_out(delta, mark);
		for (node = find_inside(delta, level, level + 1, index); node; node = next) {
			next = next_inside(node, level + 1, index);
			remove(v, delta, node);
		}
		mark->level = level + 1;
		mark->index = index;
		add(delta, mark);
	}
}

/* A subtree that is unmapped, and has nothing inside.  Context: a node promised. */
static void add_mark(struct qvault *v, struct qvault_delta *delta, u32 level, u64 index)
{
	struct qvault_delta_node *node;

	if (find(delta, level, index) || under_mark(v, delta, level, index))
		return;
	node = new_node(v, 0);
	node->level = level;
	node->index = index;
	add(delta, node);
	join(v, delta, level, index);
}

/**
 * qvault_delta_mark() - unmap a whole subtree
 * @v: vault
 * @delta: delta
 * @level: of the subtree's root, above the leaves
 * @index: of the subtree's root
 *
 * Context: map_lock for writing; a node promised.
 */
void qvault_delta_mark(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index)
{
	while (!remove_inside(v, delta, level, index))
		;
	add_mark(v, delta, level, index);
}

/* Likewise a whole leaf, in no more memory than that takes. */
static void unmap_leaf(struct qvault *v, struct qvault_delta *delta, u64 leaf)
{
	struct qvault_delta_node *node = find(delta, 0, leaf);

	if (node)
		remove_superseded(v, delta, node);
	if (under_mark(v, delta, 0, leaf))
		return;
	node = new_node(v, room_to_fold(v, leaf));
	node->level = 0;
	node->index = leaf;
	bitmap_fill(node->present, QVAULT_FANOUT);
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
 *
 * Context: map_lock for writing; a node promised.
 */
void qvault_delta_unmap_piece(struct qvault *v, struct qvault_delta *delta,
			      const struct qvault_piece *piece)
{
	u64 index = piece->logical >> (QVAULT_FANOUT_SHIFT * (piece->level + 1));

	if (piece->level) {
		qvault_delta_mark(v, delta, piece->level, index);
		return;
	}
	if (piece->count == QVAULT_FANOUT) {
		unmap_leaf(v, delta, index);
	} else {
		qvault_delta_prepare(v, delta, piece->logical, piece->count, false);
		qvault_delta_unmap(v, delta, piece->logical, piece->count);
	}
	if (all_unmapped(v, find(delta, 0, index)))
		join(v, delta, 0, index);
}

/* ---- In order, for a checkpoint ---- */

static u64 first_leaf(const struct qvault_delta_node *node)
{
	return node->index << (QVAULT_FANOUT_SHIFT * node->level);
}

/* Does @a come before @b?  By first leaf; a subtree before what is inside it. */
static bool before(const struct qvault_delta_node *a, const struct qvault_delta_node *b)
{
	if (first_leaf(a) != first_leaf(b))
		return first_leaf(a) < first_leaf(b);
	return a->level > b->level;
}

/**
 * qvault_delta_sort() - put the nodes of a delta in order
 * @v: vault
 * @delta: a frozen one
 *
 * Context: May sleep; checkpoint_mutex.
 */
void qvault_delta_sort(struct qvault *v, struct qvault_delta *delta)
{
	struct qvault_delta_node *next[QVAULT_MAX_LEVELS];
	u32 level, first, top = v->geo.tree.top;

	for (level = 0; level <= top; level++)
		next[level] = node_of(rb_first(&delta->root[level]));
	for (;;) {
		first = 0;
		for (level = 1; level <= top; level++)
			if (next[level] && (!next[first] ||
					    before(next[level], next[first])))
				first = level;
		if (!next[first])
			return;
		list_move_tail(&next[first]->list, &delta->nodes);
		next[first] = node_after(next[first]);
		cond_resched();
	}
}

/* ---- Around damaged nodes: see damage.c ---- */

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
	return b->where == a->where + 1 && b->version == a->version + 1 &&
	       b->gen == a->gen;
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
 * without saying below a mark; and that a block is lost, without the log: until it
 * stands in the tree it can be found out again.
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
		if (mapped ? qvault_ptr_lost(node->ptr + rank(node, bit)) : marked)
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
		qvault_stream_append_unmap(v, first, min(1ull << shift,
							 v->geo.logical_blocks - first));
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
	u64 bytes = 0;

	while (below--)
		for (node = find_inside(delta, below, level, index); node;
		     node = next_inside(node, level, index))
			bytes += log_node(v, delta, node, false);
	return bytes;
}

static void move_node(struct qvault_delta *from, struct qvault_delta *to,
		      struct qvault_delta_node *node)
{
	take_out(from, node);
	add(to, node);
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

	to->gens |= from->gens;
	/* Marks first: what is inside them is newer. */
	while (below--)
		for (node = find_inside(from, below, level, index); node; node = next) {
			next = next_inside(node, level, index);
			move_node(from, to, node);
			log_node(v, to, node, true);
		}
}

/*
 * A mark takes the place of all inside of it.  It hides that until it is gone, however
 * many rounds that takes.
 */
static void fold_mark(struct qvault *v, struct qvault_delta *newer,
		      struct qvault_delta *older, struct qvault_delta_node *node)
{
	if (!remove_inside(v, older, node->level, node->index))
		return;
	if (find(older, node->level, node->index) ||
	    under_mark(v, older, node->level, node->index))
		remove(v, newer, node);
	else
		move_node(newer, older, node);
}

/*
 * What @older knows of a leaf besides, into the newer node, which has room: see
 * room_to_fold().
 */
static void fill_in(struct qvault *v, struct qvault_delta_node *node,
		    const struct qvault_delta_node *old)
{
	const struct qvault_ptr *ptr = old->ptr;
	u32 bit, place;

	for_each_set_bit(bit, old->present, QVAULT_FANOUT) {
		bool mapped = test_bit(bit, old->mapped);

		if (test_bit(bit, node->present)) {
			if (mapped)
				qvault_alloc_supersede(v, ptr->where);
		} else if (mapped) {
			place = rank(node, bit);
			memmove(&node->ptr[place + 1], &node->ptr[place],
				(node->used - place) * sizeof(node->ptr[0]));
			node->ptr[place] = *ptr;
			node->used++;
			set_bit(bit, node->mapped);
		}
		set_bit(bit, node->present);
		ptr += mapped;
	}
}

static void fold_leaf(struct qvault *v, struct qvault_delta *newer,
		      struct qvault_delta *older, struct qvault_delta_node *node)
{
	struct qvault_delta_node *old = find(older, 0, node->index);

	if (old) {
		fill_in(v, node, old);
		remove(v, older, old);
	} else if (under_mark(v, older, 0, node->index)) {
		bitmap_fill(node->present, QVAULT_FANOUT);
	}
	move_node(newer, older, node);
}

/* A mark if there is one, since the leaves inside it are newer. */
static struct qvault_delta_node *first_to_fold(const struct qvault *v,
					       const struct qvault_delta *delta)
{
	u32 level = v->geo.tree.top;

	while (level && RB_EMPTY_ROOT(&delta->root[level]))
		level--;
	return node_of(rb_first(&delta->root[level]));
}

/**
 * qvault_delta_fold() - move a node of a newer delta into an older one, or begin to
 * @v: vault
 * @newer: delta; not empty
 * @older: delta
 *
 * No lookup in the one and then in the other changes by it.  Needs no memory.
 *
 * Context: map_lock for writing.
 */
void qvault_delta_fold(struct qvault *v, struct qvault_delta *newer,
		       struct qvault_delta *older)
{
	struct qvault_delta_node *node = first_to_fold(v, newer);

	older->gens |= newer->gens;
	if (node->level)
		fold_mark(v, newer, older, node);
	else
		fold_leaf(v, newer, older, node);
}
