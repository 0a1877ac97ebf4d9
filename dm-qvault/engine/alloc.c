// SPDX-License-Identifier: GPL-2.0
/*
 * Which data blocks are free.
 *
 * The anchored map says what the anchored tree uses.  On top of that, groups in
 * memory know the blocks allocated since (fresh).  A group without fresh blocks
 * can be dropped at any time and read again, so memory does not grow with the
 * volume; and since a checkpoint leaves none fresh, a few groups will do.
 *
 * alloc_mutex serializes searches and the loading of groups; alloc_lock guards
 * every bit and list, because blocks are superseded under map_lock.
 */
#include <linux/hash.h>

#include "qvault.h"

/* For memory that one can do without. */
#define TRY	(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN)

static void group_free(struct qvault_group *g)
{
	kfree(g->busy);
	kfree(g->fresh);
	kfree(g->superseded[0]);
	kfree(g->superseded[1]);
	kfree(g);
}

static struct qvault_group *group_alloc(gfp_t gfp)
{
	struct qvault_group *g = qvault_kmalloc(sizeof(*g), gfp | __GFP_ZERO);

	if (!g)
		return NULL;
	INIT_LIST_HEAD(&g->release[0]);
	INIT_LIST_HEAD(&g->release[1]);
	g->busy = kzalloc(QVAULT_BLOCK_SIZE, gfp);
	g->fresh = kzalloc(QVAULT_BLOCK_SIZE, gfp);
	g->superseded[0] = kzalloc(QVAULT_BLOCK_SIZE, gfp);
	g->superseded[1] = kzalloc(QVAULT_BLOCK_SIZE, gfp);
	if (g->busy && g->fresh && g->superseded[0] && g->superseded[1])
		return g;
	group_free(g);
	return NULL;
}

/* Some are kept, so that there is memory for a group when there is none else. */
static void group_put(struct qvault_alloc *a, struct qvault_group *g)
{
	if (!g)
		return;
	if (a->nr_spare == QVAULT_GROUPS) {
		group_free(g);
		return;
	}
	list_add(&g->lru, &a->spare);
	a->nr_spare++;
}

int qvault_alloc_init(struct qvault *v, u32 limit)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_group *g;

	memset(a, 0, sizeof(*a));
	INIT_LIST_HEAD(&a->lru);
	INIT_LIST_HEAD(&a->spare);
	INIT_LIST_HEAD(&a->release[0]);
	INIT_LIST_HEAD(&a->release[1]);
	INIT_LIST_HEAD(&a->aside[0]);
	INIT_LIST_HEAD(&a->aside[1]);
	a->limit = limit;
	a->bucket_shift = 8;
	a->buckets = kvcalloc(1ul << a->bucket_shift, sizeof(*a->buckets),
			      GFP_KERNEL);
	if (!a->buckets)
		return -ENOMEM;
	while (a->nr_spare < QVAULT_GROUPS) {
		g = group_alloc(GFP_KERNEL);
		if (!g)
			return -ENOMEM;
		group_put(a, g);
	}
	return 0;
}

void qvault_alloc_exit(struct qvault *v)
{
	struct qvault_group *g, *next;

	if (!v->alloc.buckets)
		return;
	qvault_alloc_forget_aside(&v->alloc);
	list_splice(&v->alloc.spare, &v->alloc.lru);
	list_for_each_entry_safe(g, next, &v->alloc.lru, lru)
		group_free(g);
	kvfree(v->alloc.buckets);
	v->alloc.buckets = NULL;
}

/* ---- Groups in memory ---- */

static struct hlist_head *bucket_of(struct qvault_alloc *a, u64 index)
{
	return &a->buckets[hash_64(index, a->bucket_shift)];
}

/* The group if it is in memory, or NULL; contract in alloc.h. */
struct qvault_group *__qvault_group_find(struct qvault *v, u64 index)
{
	struct qvault_group *g;

	hlist_for_each_entry(g, bucket_of(&v->alloc, index), hash)
		if (g->index == index)
			return g;
	return NULL;
}

/* Set a group's number of fresh blocks; contract in alloc.h. */
void __qvault_group_fresh(struct qvault *v, struct qvault_group *g, u32 nr)
{
	lockdep_assert_held(&v->alloc_lock);
	WRITE_ONCE(v->alloc.nr_fresh, v->alloc.nr_fresh - g->nr_fresh + nr);
	g->nr_fresh = nr;
}

/*
 * Take out, of the groups that hold nothing but what can be read again, the one
 * that was not used for longest; or NULL.
 */
static struct qvault_group *evict(struct qvault *v)
{
	struct qvault_group *g, *idle = NULL;

	lockdep_assert_held(&v->alloc_mutex);
	spin_lock(&v->alloc_lock);
	list_for_each_entry(g, &v->alloc.lru, lru) {
		if (g->nr_fresh || !list_empty(&g->release[0]) ||
		    !list_empty(&g->release[1]))
			continue;
		hlist_del(&g->hash);
		list_del(&g->lru);
		v->alloc.nr_groups--;
		idle = g;
		break;
	}
	spin_unlock(&v->alloc_lock);
	return idle;
}

/* Make place for another group within the limit, if that can be. */
static void shrink(struct qvault *v)
{
	struct qvault_group *g;

	while (v->alloc.nr_groups >= v->alloc.limit) {
		g = evict(v);
		if (!g)
			break;
		group_put(&v->alloc, g);
	}
}

/*
 * Memory for a group.  When memory is short one that is idle gives way; if there is
 * none, NULL: after a checkpoint there will be.
 */
static struct qvault_group *group_get(struct qvault *v, gfp_t gfp)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_group *g;

	shrink(v);
	g = list_first_entry_or_null(&a->spare, struct qvault_group, lru);
	if (g) {
		list_del(&g->lru);
		a->nr_spare--;
		return g;
	}
	return group_alloc(gfp) ?: evict(v);
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

/* The root of the map in the newest durable anchor record. */
void qvault_map_root(struct qvault *v, struct qvault_root *root)
{
	read_lock(&v->map_lock);
	*root = v->anchor.map;
	read_unlock(&v->map_lock);
}

/*
 * The blocks of a new group in memory.  One whose map block cannot be read is full,
 * until a checkpoint has written another or this one is there again.
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
	g->nr_busy = bitmap_weight(g->busy, g->nr_data);
	g->cursor = 0;
	g->longest = g->nr_data;
	return err;
}

/* Find a group or read it; -ENOMEM if there is no memory, and all hold fresh blocks. */
static int load(struct qvault *v, u64 index, gfp_t gfp,
		struct qvault_group **result)
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
	g = group_get(v, gfp);
	if (!g)
		return -ENOMEM;
	err = read_group(v, index, g);
	if (err) {
		group_put(a, g);
		return err;
	}
	spin_lock(&v->alloc_lock);
	hlist_add_head(&g->hash, bucket_of(a, index));
	list_add_tail(&g->lru, &a->lru);
	a->nr_groups++;
	spin_unlock(&v->alloc_lock);
	*result = g;
	return 0;
}

/* ---- Searching ---- */

/* Take up to @count blocks from @bit on while they are free. */
static u32 __take(struct qvault *v, struct qvault_group *g, u32 bit, u32 count,
		  struct qvault_ptr *ptr)
{
	u32 n;

	lockdep_assert_held(&v->alloc_lock);
	for (n = 0; n < count && bit + n < g->nr_data; n++) {
		if (test_bit(bit + n, g->busy))
			break;
		__set_bit(bit + n, g->busy);
		__set_bit(bit + n, g->fresh);
		ptr[n].where = qvault_block_of(&v->geo, g->index, bit + n);
	}
	g->nr_busy += n;
	__qvault_group_fresh(v, g, g->nr_fresh + n);
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
			g->longest = max3(run, other, 1u);
		}
		run = __take(v, g, begin, count - n, ptr + n);
		if (WARN_ON_ONCE(!run))
			break;
		n += run;
		g->cursor = begin + run;
	}
	spin_unlock(&v->alloc_lock);
	return n;
}

/* The home of a block, if it is free, and what follows it. */
static u32 take_home(struct qvault *v, struct qvault_group *g, u32 bit,
		     u32 count, struct qvault_ptr *ptr)
{
	u32 n;

	spin_lock(&v->alloc_lock);
	n = __take(v, g, bit, count, ptr);
	if (n)
		g->cursor = bit + n;
	spin_unlock(&v->alloc_lock);
	return n;
}

/* Of many groups below one map node it is said once until the next checkpoint. */
static void tell_once(struct qvault *v, u64 bad)
{
	if (bad != v->alloc.told)
		qvault_corrupt(v, QVAULT_KIND_MAP, bad);
	v->alloc.told = bad;
}

/*
 * Is there a free block in a group that may not be in memory?  Not if the map
 * cannot be read.
 */
static int has_free(struct qvault *v, u64 index, bool *result)
{
	struct qvault_group *g = __qvault_group_find(v, index);
	struct qvault_root root;
	struct qvault_ptr ptr;
	u64 bad;
	int err;

	if (g) {
		*result = g->nr_busy < g->nr_data;
		return 0;
	}
	qvault_map_root(v, &root);
	err = qvault_tree_find(v, QVAULT_KIND_MAP, &root, index, &ptr, &bad);
	if (err == -EILSEQ) {
		tell_once(v, bad);
		*result = false;
		return 0;
	}
	if (err)
		return err;
	*result = !ptr.version ||
		  qvault_node_weight(&ptr) < qvault_group_data(&v->geo, index);
	return 0;
}

/* Take blocks of the groups in memory, wherever they are. */
static u32 take_at_hand(struct qvault *v, u32 count, struct qvault_ptr *ptr)
{
	struct qvault_group *g;
	u32 n = 0;

	list_for_each_entry(g, &v->alloc.lru, lru)
		n += take_from(v, g, count - n, ptr + n);
	return n;
}

/* Take blocks anywhere, from the hint on. */
static int take_anywhere(struct qvault *v, u32 count, struct qvault_ptr *ptr)
{
	struct qvault_group *g;
	u64 i, index = v->alloc.hint;
	u32 n = 0;
	bool ok;
	int err;

	for (i = 0; n < count && i < v->geo.groups; i++) {
		err = has_free(v, index, &ok);
		if (!err && ok)
			err = load(v, index, TRY, &g);
		if (err == -ENOMEM)
			n += take_at_hand(v, count - n, ptr + n);
		if (err == -ENOMEM && !n)
			return -ENOSPC;
		if (err)
			return n ?: err;
		if (ok)
			n += take_from(v, g, count - n, ptr + n);
		if (n == count)
			break;
		if (++index == v->geo.groups)
			index = 0;
	}
	v->alloc.hint = index;
	return n ?: -ENOSPC;
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

	if (load(v, group, TRY, &g)) {
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

/* Would another group be one too many, because all hold fresh blocks? */
static bool crowded(struct qvault *v)
{
	shrink(v);
	return v->alloc.nr_groups >= v->alloc.limit;
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
 * Context: sleeps; no spinlock held.
 * Return: how many, 1..@count; -ENOSPC if there are none, or none within reach
 * while memory is short: a checkpoint may help; or another negative errno.
 */
int qvault_alloc_blocks(struct qvault *v, u64 logical, u32 count,
			struct qvault_ptr *ptr)
{
	struct qvault_group *g = NULL;
	u64 index;
	u32 bit;
	int n = 0, more, err = 0;

	mutex_lock(&v->alloc_mutex);
	if (!qvault_locate(&v->geo, qvault_home(&v->geo, logical), &index, &bit))
		err = -EUCLEAN;
	else if (__qvault_group_find(v, index) || !crowded(v))
		err = load(v, index, TRY, &g);
	if (err == -ENOMEM)
		err = 0;
	if (!err && g) {
		n = take_home(v, g, bit, count, ptr);
		if (n < count)
			n += take_from(v, g, count - n, ptr + n);
	}
	if (!err && n < count) {
		more = take_anywhere(v, count - n, ptr + n);
		if (more > 0)
			n += more;
		else
			err = more;
	}
	mutex_unlock(&v->alloc_mutex);
	return n ?: err;
}

/**
 * qvault_alloc_grown() - the volume has more blocks: the last group may have, too
 * @v: vault
 *
 * Of a group whose map block cannot be read all is in use, also what is new.
 *
 * Context: alloc_mutex.
 */
void qvault_alloc_grown(struct qvault *v)
{
	struct qvault_group *g;
	u32 nr_data;

	lockdep_assert_held(&v->alloc_mutex);
	spin_lock(&v->alloc_lock);
	list_for_each_entry(g, &v->alloc.lru, lru) {
		nr_data = qvault_group_data(&v->geo, g->index);
		if (g->version == QVAULT_NO_VERSION) {
			bitmap_set(g->busy, g->nr_data, nr_data - g->nr_data);
			g->nr_busy += nr_data - g->nr_data;
		}
		g->nr_data = nr_data;
		g->longest = nr_data;
	}
	spin_unlock(&v->alloc_lock);
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
	if (g && version && g->version == version)
		bitmap_andnot(bits, g->busy, g->fresh, QVAULT_MAP_BITS);
	else
		bitmap_set(bits, 0, qvault_group_data(&v->geo, index));
	spin_unlock(&v->alloc_lock);
}

/* Does the anchored map say of more blocks than the tree names that they are in use? */
bool qvault_alloc_leaky(const struct qvault *v)
{
	return qvault_node_weight(&v->anchor.map.ptr) !=
	       qvault_node_weight(&v->anchor.tree.ptr);
}

/* May a block that the log names be in use by what the map says? */
static bool may_be_busy(const struct qvault *v, const struct qvault_group *g,
			u32 bit)
{
	return (g->version == QVAULT_NO_VERSION || qvault_alloc_leaky(v)) &&
	       !test_bit(bit, g->fresh);
}

/**
 * qvault_alloc_replay() - a block that the log names is in use
 * @v: vault being attached
 * @block: on the data device
 *
 * Context: sleeps.
 * Return: 0; -EUCLEAN if something else uses it; or another negative errno.
 */
int qvault_alloc_replay(struct qvault *v, u64 block)
{
	struct qvault_group *g = NULL;
	u64 index;
	u32 bit;
	int err = -EUCLEAN;

	mutex_lock(&v->alloc_mutex);
	if (qvault_locate(&v->geo, block, &index, &bit))
		err = load(v, index, GFP_NOIO, &g);
	if (!err && test_bit(bit, g->busy) && !may_be_busy(v, g, bit))
		err = -EUCLEAN;
	if (!err) {
		spin_lock(&v->alloc_lock);
		g->nr_busy += !test_bit(bit, g->busy);
		__set_bit(bit, g->busy);
		__set_bit(bit, g->fresh);
		__qvault_group_fresh(v, g, g->nr_fresh + 1);
		spin_unlock(&v->alloc_lock);
	}
	mutex_unlock(&v->alloc_mutex);
	return err;
}

/**
 * qvault_alloc_low() - is it time for a checkpoint, so that blocks become free?
 * @v: vault
 *
 * Of the blocks that the anchored tree left free three quarters are used up.  Who
 * finds none has to wait for a checkpoint; it shall have ended by then.
 *
 * Context: map_lock, for the anchor.
 * Return: Whether it is.
 */
bool qvault_alloc_low(const struct qvault *v)
{
	u64 left = v->geo.total_data - qvault_node_weight(&v->anchor.map.ptr);

	return READ_ONCE(v->alloc.nr_fresh) >= left - left / 4;
}
