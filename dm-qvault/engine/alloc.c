// SPDX-License-Identifier: GPL-2.0
/*
 * Where a write goes.
 *
 * A block's home is its own place on a volume that was written in order.  It is taken
 * if the anchored map leaves it free (vacant.c) and it is not fresh (fresh.c): nothing
 * else is in memory for it.  Other places are searched for in a group whose bits are put
 * together in memory for that, which is a few at a time.
 *
 * alloc_mutex serializes searches and the loading of groups; alloc_lock guards
 * every bit and list, because blocks are superseded under map_lock.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/math64.h>

#include "qvault.h"

/* For memory that one can do without. */
#define TRY	(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN)

static void group_free(struct qvault_group *g)
{
	kfree(g->busy);
	kfree(g);
}

static struct qvault_group *group_alloc(gfp_t gfp)
{
	struct qvault_group *g = qvault_kmalloc(sizeof(*g), gfp);

	if (!g)
		return NULL;
	g->busy = kmalloc(QVAULT_BLOCK_SIZE, gfp);
	if (g->busy)
		return g;
	kfree(g);
	return NULL;
}

/* Some are kept, so that there is memory for a group when there is none else. */
static void group_put(struct qvault_alloc *a, struct qvault_group *g)
{
	if (a->nr_closed == QVAULT_GROUPS) {
		group_free(g);
		return;
	}
	list_add(&g->lru, &a->closed);
	a->nr_closed++;
}

static int groups_init(struct qvault_alloc *a)
{
	struct qvault_group *g;

	a->group_shift = clamp(ilog2(a->group_limit), 3, 16);
	a->groups = kvcalloc(1ul << a->group_shift, sizeof(*a->groups), GFP_KERNEL);
	if (!a->groups)
		return -ENOMEM;
	while (a->nr_closed < QVAULT_GROUPS) {
		g = group_alloc(GFP_KERNEL);
		if (!g)
			return -ENOMEM;
		group_put(a, g);
	}
	return 0;
}

/**
 * qvault_alloc_limit() - how many cells some memory is enough for
 * @bytes: of memory
 *
 * With its share of the buckets, and of the groups that are open.
 *
 * Context: Any.
 * Return: A limit for qvault_alloc_init().
 */
u32 qvault_alloc_limit(u64 bytes)
{
	const u32 buckets = sizeof(struct hlist_head);
	const u32 cell = roundup_pow_of_two(sizeof(struct qvault_cell)) + buckets;
	const u32 group = QVAULT_BLOCK_SIZE + buckets +
			  roundup_pow_of_two(sizeof(struct qvault_group));

	/* The least number of groups is there in any case. */
	bytes -= min(bytes, (u64)QVAULT_GROUPS * group);
	return div64_u64(bytes * QVAULT_CELLS_PER_GROUP,
			 cell * QVAULT_CELLS_PER_GROUP + group);
}

/**
 * qvault_alloc_set_limit() - set how much may be in memory from now on
 * @a: of a vault
 * @limit: cells of fresh blocks; groups go by them
 *
 * Context: nothing else uses the vault.
 */
void qvault_alloc_set_limit(struct qvault_alloc *a, u32 limit)
{
	a->limit = limit;
	a->group_limit = max(limit / QVAULT_CELLS_PER_GROUP, QVAULT_GROUPS);
}

/**
 * qvault_alloc_init() - prepare for allocations
 * @v: vault
 * @limit: most cells of fresh blocks in memory
 *
 * Context: sleeps.
 * Return: 0 or -ENOMEM; qvault_alloc_exit() must follow in any case.
 */
int qvault_alloc_init(struct qvault *v, u32 limit)
{
	struct qvault_alloc *a = &v->alloc;
	int err;

	memset(a, 0, sizeof(*a));
	INIT_LIST_HEAD(&a->lru);
	INIT_LIST_HEAD(&a->closed);
	INIT_LIST_HEAD(&a->aside[0]);
	INIT_LIST_HEAD(&a->aside[1]);
	a->told = QVAULT_NO_VERSION;
	qvault_alloc_set_limit(a, limit);
	err = qvault_fresh_init(a) ?: groups_init(a);
	if (err)
		return err;
	return qvault_cells_refill(v, ~0u, GFP_KERNEL) ? 0 : -ENOMEM;
}

void qvault_alloc_exit(struct qvault *v)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_group *g, *next;

	if (!a->cells)
		return;
	qvault_alloc_forget_aside(a);
	list_splice(&a->closed, &a->lru);
	list_for_each_entry_safe(g, next, &a->lru, lru)
		group_free(g);
	kvfree(a->groups);
	qvault_fresh_exit(a);
}

/* The same as after qvault_alloc_init(). */
int qvault_alloc_again(struct qvault *v)
{
	qvault_alloc_exit(v);
	return qvault_alloc_init(v, v->alloc.limit);
}

/* ---- Groups in memory ---- */

static struct hlist_head *bucket_of(struct qvault_alloc *a, u64 index)
{
	return &a->groups[hash_64(index, a->group_shift)];
}

/* The group if it is in memory, or NULL; contract in space.h. */
struct qvault_group *__qvault_group_find(struct qvault *v, u64 index)
{
	struct qvault_group *g;

	hlist_for_each_entry(g, bucket_of(&v->alloc, index), hash)
		if (g->index == index)
			return g;
	return NULL;
}

/* Blocks of a group, of the cell at @place, are free now; contract in space.h. */
void __qvault_group_freed(struct qvault *v, u64 index, u32 place, u64 mask)
{
	struct qvault_group *g = __qvault_group_find(v, index);
	u32 bit = place * QVAULT_CELL_BLOCKS;

	lockdep_assert_held(&v->alloc_lock);
	if (!g)
		return;
	g->nr_busy -= hweight64(mask);
	g->longest = g->nr_data;
	for (; mask; mask >>= 1, bit++)
		if (mask & 1)
			__clear_bit(bit, g->busy);
}

/* It can be read again, so this loses nothing. */
static void close(struct qvault *v, struct qvault_group *g)
{
	lockdep_assert_held(&v->alloc_mutex);
	spin_lock(&v->alloc_lock);
	hlist_del(&g->hash);
	list_del(&g->lru);
	v->alloc.nr_groups--;
	spin_unlock(&v->alloc_lock);
	group_put(&v->alloc, g);
}

/* Memory for a group: there always is, for the one that was not used for longest gives way. */
static struct qvault_group *group_get(struct qvault *v)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_group *g = NULL;

	while (a->nr_groups >= a->group_limit)
		close(v, list_first_entry(&a->lru, struct qvault_group, lru));
	if (list_empty(&a->closed))
		g = group_alloc(TRY);
	if (g)
		return g;
	if (list_empty(&a->closed))
		close(v, list_first_entry(&a->lru, struct qvault_group, lru));
	g = list_first_entry(&a->closed, struct qvault_group, lru);
	list_del(&g->lru);
	a->nr_closed--;
	return g;
}

/* Blocks that are nobody's home. */
static u32 first_spare(const struct qvault_group *g)
{
	u32 homes = QVAULT_GROUP_LEAVES * QVAULT_FANOUT;

	return homes < g->nr_data ? homes : 0;
}

/*
 * What the map says of a new group in memory.  One whose map block cannot be read is
 * full, until a checkpoint has written another or this one is there again.
 */
static int read_group(struct qvault *v, u64 index, struct qvault_group *g)
{
	struct qvault_root root;
	int err;

	g->index = index;
	g->nr_data = qvault_group_data(&v->geo, index);
	qvault_map_root(v, &root);
	err = qvault_map_read(v, &root, index, g->busy, &g->version);
	if (err == -EILSEQ) {
		bitmap_zero(g->busy, QVAULT_MAP_BITS);
		bitmap_set(g->busy, 0, g->nr_data);
		g->version = QVAULT_NO_VERSION;
		err = 0;
	}
	g->cursor = first_spare(g);
	g->longest = g->nr_data;
	return err;
}

/* Find a group, or put it together from the map and what is fresh. */
static int load(struct qvault *v, u64 index, struct qvault_group **result)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_group *g = __qvault_group_find(v, index);
	int err;

	lockdep_assert_held(&v->alloc_mutex);
	*result = g;
	if (g) {
		spin_lock(&v->alloc_lock);
		list_move_tail(&g->lru, &a->lru);
		spin_unlock(&v->alloc_lock);
		return 0;
	}
	g = group_get(v);
	err = read_group(v, index, g);
	if (err) {
		group_put(a, g);
		return err;
	}
	a->visits++;
	spin_lock(&v->alloc_lock);
	/* From here on, what becomes free becomes so in the group, too. */
	__qvault_cells_set(v, index, g->busy);
	g->nr_busy = bitmap_weight(g->busy, g->nr_data);
	hlist_add_head(&g->hash, bucket_of(a, index));
	list_add_tail(&g->lru, &a->lru);
	a->nr_groups++;
	spin_unlock(&v->alloc_lock);
	*result = g;
	return 0;
}

/* ---- Searching ---- */

/*
 * Take up to @count blocks from @bit on while they are not fresh; the map leaves all
 * of them free.  @g: the group, if it is in memory.
 */
static u32 __take(struct qvault *v, u64 index, struct qvault_group *g, u32 bit,
		  u32 count, struct qvault_ptr *ptr)
{
	struct qvault_cell *cell;
	u32 n;

	lockdep_assert_held(&v->alloc_lock);
	for (n = 0; n < count; n++, bit++) {
		cell = __qvault_cell_get(v, index, bit);
		if (!cell || cell->fresh & qvault_cell_mask(bit))
			break;
		__qvault_cell_add(v, cell, qvault_cell_mask(bit));
		if (g)
			__set_bit(bit, g->busy);
		ptr[n].where = qvault_block_of(&v->geo, index, bit);
	}
	if (g)
		g->nr_busy += n;
	return n;
}

/*
 * Where a run of @count free blocks begins in [@from, @end); if there is none,
 * where the longest does.  Returns its length, at most @count.  Where free space is
 * in many pieces it matters that the group's longest is known to be no longer.
 */
static u32 __longest(const struct qvault_group *g, u32 from, u32 end, u32 count,
		     u32 *begin)
{
	u32 best = 0, start, stop, enough = min(count, g->longest);

	while (best < enough) {
		start = find_next_zero_bit(g->busy, end, from);
		if (start >= end)
			break;
		stop = find_next_bit(g->busy, min(end, start + count), start);
		if (stop - start > best) {
			best = stop - start;
			*begin = start;
		}
		from = stop + 1;
	}
	return best;
}

/* Take up to @count blocks of a group: in long runs, after the last ones. */
static u32 take_from(struct qvault *v, struct qvault_group *g, u32 count,
		     struct qvault_ptr *ptr)
{
	u32 n = 0, run, other, begin = 0, second = 0;

	spin_lock(&v->alloc_lock);
	while (n < count && g->nr_busy < g->nr_data) {
		run = __longest(g, g->cursor, g->nr_data, count - n, &begin);
		if (run < min(count - n, g->longest)) {
			other = __longest(g, 0, g->cursor, count - n, &second);
			if (other > run)
				begin = second;
			run = max(run, other);
			g->longest = max(run, 1u);
		}
		run = __take(v, g->index, g, begin, run, ptr + n);
		/* Not all: there is no cell for the next one. */
		if (!run)
			break;
		n += run;
		g->cursor = begin + run;
	}
	spin_unlock(&v->alloc_lock);
	return n;
}

/*
 * The home of a block, if it is free, and what follows it.  Says whether the group has
 * @room for more, as far as is known.
 */
static int take_home(struct qvault *v, u64 index, u32 bit, u32 count,
		     struct qvault_ptr *ptr, bool *room)
{
	struct qvault_group *g = __qvault_group_find(v, index);
	int n;

	count = min(count, qvault_group_data(&v->geo, index) - bit);
	if (g) {
		spin_lock(&v->alloc_lock);
		n = find_next_bit(g->busy, bit + count, bit) - bit;
		*room = g->nr_busy + n < g->nr_data;
		spin_unlock(&v->alloc_lock);
	} else {
		n = qvault_map_vacant(v, index, bit, count, room);
	}
	if (n <= 0)
		return n;
	spin_lock(&v->alloc_lock);
	n = __take(v, index, g, bit, n, ptr);
	spin_unlock(&v->alloc_lock);
	return n;
}

/* At home; and the rest in the same group. */
static int take_near(struct qvault *v, u64 index, u32 bit, u32 count,
		     struct qvault_ptr *ptr)
{
	struct qvault_group *g;
	bool room;
	int n, err;

	n = take_home(v, index, bit, count, ptr, &room);
	if (n < 0 || n == count || !room)
		return n;
	err = load(v, index, &g);
	if (err)
		return n ?: err;
	return n + take_from(v, g, count - n, ptr + n);
}

/* Take blocks anywhere, from the hint on: once around, and no further. */
static int take_anywhere(struct qvault *v, u32 count, struct qvault_ptr *ptr)
{
	struct qvault_alloc *a = &v->alloc;
	u64 index = a->hint, end = v->geo.groups;
	struct qvault_group *g;
	u32 n = 0;
	int err = 0;

	while (n < count) {
		err = qvault_map_next(v, &index);
		if (!err && index >= end) {
			/* Those before the hint, too. */
			if (end == a->hint)
				break;
			end = a->hint;
			index = 0;
			continue;
		}
		if (!err)
			err = load(v, index, &g);
		if (err)
			break;
		n += take_from(v, g, count - n, ptr + n);
		if (n == count || !READ_ONCE(a->nr_spare))
			break;
		index++;
	}
	if (n)
		a->hint = index < v->geo.groups ? index : 0;
	return n ?: err ?: -ENOSPC;
}

/* So few cells are left that writes do not go home: they will do for many that do not. */
static bool few_left(const struct qvault_alloc *a)
{
	u32 keep = max(a->limit / 16, QVAULT_CELLS);

	return READ_ONCE(a->nr_cells) - READ_ONCE(a->nr_spare) + keep > a->limit;
}

/*
 * Have cells for any write.  If memory for them runs out, or would soon, writes go
 * where they need few, which is not home.
 */
static bool crowded(struct qvault *v)
{
	struct qvault_alloc *a = &v->alloc;

	return !qvault_cells_refill(v, a->limit, TRY) || few_left(a);
}

/* Where no cell is needed, home is as good as any place. */
static bool in_cell(struct qvault *v, u64 index, u32 bit)
{
	struct qvault_cell *cell;

	spin_lock(&v->alloc_lock);
	cell = __qvault_cell_find(v, index, bit);
	spin_unlock(&v->alloc_lock);
	return cell;
}

/**
 * qvault_alloc_blocks() - allocate data blocks
 * @v: vault
 * @logical: first block they are for
 * @count: how many
 * @ptr: where is set in as many as are returned
 *
 * At home if that is free, so that what is written in order stands in order;
 * else close by, in long runs.
 *
 * Context: sleeps; no lock held.
 * Return: how many, 1..@count; -ENOSPC if there are none, or none within reach
 * while memory is short: a checkpoint may help; or another negative errno.
 */
int qvault_alloc_blocks(struct qvault *v, u64 logical, u32 count,
			struct qvault_ptr *ptr)
{
	u64 index;
	u32 bit;
	int n = 0, more = 0;

	if (!qvault_locate(&v->geo, qvault_home(&v->geo, logical), &index, &bit))
		return -EUCLEAN;
	qvault_map_ahead(v, index);
	mutex_lock(&v->alloc_mutex);
	if (!crowded(v) || in_cell(v, index, bit))
		n = take_near(v, index, bit, count, ptr);
	if (n >= 0 && n < count)
		more = take_anywhere(v, count - n, ptr + n);
	mutex_unlock(&v->alloc_mutex);
	if (more > 0)
		return n + more;
	return n ?: more;
}

/**
 * qvault_alloc_free_runs() - which blocks of a part of a group are free
 * @v: vault
 * @group: group
 * @bit: where to begin; set to where the last run ended, or to @end
 * @end: behind the last one
 * @run: set to runs of blocks of the device
 * @most: how many
 *
 * They stay free while alloc_mutex is held.  Of a group that cannot be read, or finds
 * no memory, none is.
 *
 * Context: alloc_mutex; sleeps.
 * Return: how many runs.
 */
u32 qvault_alloc_free_runs(struct qvault *v, u64 group, u32 *bit, u32 end,
			   struct qvault_range *run, u32 most)
{
	struct qvault_group *g = NULL;
	u32 n = 0, stop;

	if (load(v, group, &g)) {
		*bit = end;
		return 0;
	}
	end = min(end, g->nr_data);
	spin_lock(&v->alloc_lock);
	while (n < most) {
		*bit = find_next_zero_bit(g->busy, end, *bit);
		if (*bit >= end)
			break;
		stop = find_next_bit(g->busy, end, *bit);
		run[n].block = qvault_block_of(&v->geo, group, *bit);
		run[n++].count = stop - *bit;
		*bit = stop;
	}
	spin_unlock(&v->alloc_lock);
	return n;
}

/**
 * qvault_alloc_grown() - the volume has more blocks: the last group may have, too
 * @v: vault
 *
 * Context: alloc_mutex.
 */
void qvault_alloc_grown(struct qvault *v)
{
	struct qvault_group *g, *next;

	lockdep_assert_held(&v->alloc_mutex);
	list_for_each_entry_safe(g, next, &v->alloc.lru, lru)
		close(v, g);
}

/* Drop groups of which there is a newer map block. */
void qvault_alloc_refresh(struct qvault *v)
{
	struct qvault_group *g, *next;
	struct qvault_root root;
	struct qvault_ptr ptr;

	lockdep_assert_held(&v->alloc_mutex);
	qvault_map_root(v, &root);
	list_for_each_entry_safe(g, next, &v->alloc.lru, lru)
		if (!qvault_tree_find(v, QVAULT_KIND_MAP, &root, g->index, &ptr, NULL) &&
		    ptr.version != g->version)
			close(v, g);
}

/**
 * qvault_alloc_known() - what is in use of a group whose map block is damaged
 * @v: vault
 * @index: group
 * @version: of the anchored map block; 0 if that is not known either
 * @bits: set, QVAULT_MAP_BITS
 *
 * A group in memory that was read from this very block still knows.
 *
 * Context: checkpoint_mutex.
 */
void qvault_alloc_known(struct qvault *v, u64 index, u64 version,
			unsigned long *bits)
{
	struct qvault_group *g;

	bitmap_zero(bits, QVAULT_MAP_BITS);
	spin_lock(&v->alloc_lock);
	g = __qvault_group_find(v, index);
	if (g && version && g->version == version) {
		bitmap_copy(bits, g->busy, QVAULT_MAP_BITS);
		__qvault_cells_clear(v, index, bits);
	} else {
		bitmap_set(bits, 0, qvault_group_data(&v->geo, index));
	}
	spin_unlock(&v->alloc_lock);
}

/* Does the anchored map say of more blocks than the tree names that they are in use? */
bool qvault_alloc_leaky(const struct qvault *v)
{
	return qvault_node_weight(&v->anchor.map.ptr) !=
	       qvault_node_weight(&v->anchor.tree.ptr);
}

/**
 * qvault_alloc_replay() - a block that the log names is in use
 * @v: vault being attached
 * @block: on the data device
 *
 * That the anchored map leaves it free is not looked at: the next checkpoint finds
 * out (changes.c), and until then nobody takes the block.
 *
 * Context: sleeps.
 * Return: 0; -EUCLEAN if the log names it twice, or there is no such block; -ENOMEM, also
 * if there would be more in memory than there may.
 */
int qvault_alloc_replay(struct qvault *v, u64 block)
{
	struct qvault_cell *cell;
	u64 index;
	u32 bit;
	int err = 0;

	if (!qvault_locate(&v->geo, block, &index, &bit))
		return -EUCLEAN;
	mutex_lock(&v->alloc_mutex);
	qvault_cells_refill(v, v->alloc.limit, GFP_NOIO);
	spin_lock(&v->alloc_lock);
	cell = __qvault_cell_get(v, index, bit);
	if (!cell)
		err = -ENOMEM;
	else if (cell->fresh & qvault_cell_mask(bit))
		err = -EUCLEAN;
	else
		__qvault_cell_add(v, cell, qvault_cell_mask(bit));
	spin_unlock(&v->alloc_lock);
	mutex_unlock(&v->alloc_mutex);
	return err;
}

/**
 * qvault_alloc_low() - is it time for a checkpoint, so that blocks become free?
 * @v: vault
 *
 * Of the blocks that the anchored tree left free three quarters are used up, or of the
 * memory for fresh ones so much that writes do not go home.  Who finds none has to wait
 * for a checkpoint; it shall have ended by then.
 *
 * Context: map_lock, for the anchor.
 * Return: Whether it is.
 */
bool qvault_alloc_low(const struct qvault *v)
{
	u64 left = v->geo.total_data - qvault_node_weight(&v->anchor.map.ptr);

	return READ_ONCE(v->alloc.nr_fresh) >= left - left / 4 ||
	       few_left(&v->alloc);
}
