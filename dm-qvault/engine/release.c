// SPDX-License-Identifier: GPL-2.0
/*
 * When a data block becomes free again.
 *
 * Never before the anchored state does without it: what the delta supersedes
 * is free after the next commit, what the tree supersedes after the next
 * checkpoint.
 */
#include "qvault.h"

/* The group and bit of a block that is fresh, or NULL. */
static struct qvault_group *__find_block(struct qvault *v, u64 block, u32 *bit)
{
	u64 index;

	lockdep_assert_held(&v->alloc_lock);
	if (!qvault_locate(&v->geo, block, &index, bit))
		return NULL;
	return __qvault_group_find(v, index);
}

/**
 * qvault_alloc_supersede() - the delta has a newer pointer in place of this one
 * @v: vault
 * @block: a fresh block
 *
 * The anchored state may still name it: it is free after the next commit.
 * While a vault is being attached no block is fresh yet, and there is nothing
 * to remember.
 *
 * Context: map_lock for writing.
 */
void qvault_alloc_supersede(struct qvault *v, u64 block)
{
	struct qvault_group *g;
	u32 bit;

	spin_lock(&v->alloc_lock);
	g = __find_block(v, block, &bit);
	/* Not fresh: a map that was damaged holds it, as all of its group. */
	if (g && test_bit(bit, g->fresh)) {
		__set_bit(bit, g->superseded[0]);
		if (list_empty(&g->release[0]))
			list_add(&g->release[0], &v->alloc.release[0]);
	}
	spin_unlock(&v->alloc_lock);
}

/* The running commit covers what was superseded so far.  Context: map_lock. */
void qvault_alloc_cut(struct qvault *v)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_group *g, *next;

	spin_lock(&v->alloc_lock);
	list_for_each_entry_safe(g, next, &a->release[0], release[0]) {
		list_del_init(&g->release[0]);
		if (list_empty(&g->release[1])) {
			swap(g->superseded[0], g->superseded[1]);
			list_add(&g->release[1], &a->release[1]);
			continue;
		}
		/* The last commit failed, and has left its own. */
		bitmap_or(g->superseded[1], g->superseded[1], g->superseded[0],
			  QVAULT_MAP_BITS);
		bitmap_zero(g->superseded[0], QVAULT_MAP_BITS);
	}
	spin_unlock(&v->alloc_lock);
}

/* ---- Blocks whose write failed ---- */

struct aside {
	struct list_head list;
	u64 block;
	u32 count;
};

/* Free a run of fresh blocks that no pointer has ever named. */
static void free_run(struct qvault *v, u64 block, u32 count)
{
	struct qvault_group *g;
	u32 bit;

	spin_lock(&v->alloc_lock);
	g = __find_block(v, block, &bit);
	if (!WARN_ON_ONCE(!g)) {
		bitmap_clear(g->busy, bit, count);
		bitmap_clear(g->fresh, bit, count);
		g->nr_busy -= count;
		__qvault_group_fresh(v, g, g->nr_fresh - count);
		g->longest = g->nr_data;
	}
	spin_unlock(&v->alloc_lock);
}

/* Without memory to remember them they come back with the next commit. */
static void supersede_run(struct qvault *v, u64 block, u32 count)
{
	write_lock(&v->map_lock);
	for (; count; count--, block++)
		qvault_alloc_supersede(v, block);
	v->stream.dirty = true;
	write_unlock(&v->map_lock);
}

static void set_run_aside(struct qvault *v, u64 block, u32 count)
{
	struct aside *run = qvault_kmalloc(sizeof(*run), GFP_NOWAIT | __GFP_NOWARN);

	if (!run) {
		supersede_run(v, block, count);
		return;
	}
	run->block = block;
	run->count = count;
	spin_lock(&v->alloc_lock);
	list_add_tail(&run->list, &v->alloc.aside[0]);
	spin_unlock(&v->alloc_lock);
}

/**
 * qvault_alloc_set_aside() - blocks were allocated, and could not be written
 * @v: vault
 * @ptr: where of each is set
 * @count: how many
 *
 * The device may be bad there, or full, or gone for a while.  They come back once it
 * has shown that it works: after a flush and a checkpoint.
 *
 * Context: Process, no spinlock held.
 */
void qvault_alloc_set_aside(struct qvault *v, const struct qvault_ptr *ptr, u32 count)
{
	u32 first = 0, n;

	while (first < count) {
		for (n = 1; first + n < count; n++)
			if (ptr[first + n].where != ptr[first].where + n)
				break;
		set_run_aside(v, ptr[first].where, n);
		first += n;
	}
}

/**
 * qvault_alloc_frozen() - a checkpoint begins: what was set aside may be freed by it
 * @v: vault
 *
 * Context: checkpoint_mutex.
 */
void qvault_alloc_frozen(struct qvault *v)
{
	spin_lock(&v->alloc_lock);
	list_splice_tail_init(&v->alloc.aside[0], &v->alloc.aside[1]);
	spin_unlock(&v->alloc_lock);
}

/* Were blocks set aside before the last freeze?  Context: checkpoint_mutex. */
bool qvault_alloc_aside(const struct qvault *v)
{
	return !list_empty(&v->alloc.aside[1]);
}

static void take_aside_back(struct qvault *v)
{
	struct aside *run, *next;

	/* Only a checkpoint changes this list. */
	lockdep_assert_held(&v->checkpoint_mutex);
	list_for_each_entry_safe(run, next, &v->alloc.aside[1], list) {
		list_del(&run->list);
		free_run(v, run->block, run->count);
		kfree(run);
	}
}

/* For a vault that ends. */
void qvault_alloc_forget_aside(struct qvault_alloc *a)
{
	struct aside *run, *next;

	list_splice_init(&a->aside[0], &a->aside[1]);
	list_for_each_entry_safe(run, next, &a->aside[1], list) {
		list_del(&run->list);
		kfree(run);
	}
}

static void trim_runs(struct qvault *v, u64 index, const unsigned long *bits)
{
	u32 start, stop = 0;

	for (;;) {
		start = find_next_bit(bits, QVAULT_MAP_BITS, stop);
		if (start >= QVAULT_MAP_BITS)
			return;
		stop = find_next_zero_bit(bits, QVAULT_MAP_BITS, start);
		__qvault_trim_now(v, qvault_block_of(&v->geo, index, start), stop - start);
	}
}

static void release_group(struct qvault *v, struct qvault_group *g)
{
	unsigned long *bits = g->superseded[1];
	u32 n;

	spin_lock(&v->alloc_lock);
	if (v->allow_discards)
		trim_runs(v, g->index, bits);
	n = bitmap_weight(bits, QVAULT_MAP_BITS);
	bitmap_andnot(g->busy, g->busy, bits, QVAULT_MAP_BITS);
	bitmap_andnot(g->fresh, g->fresh, bits, QVAULT_MAP_BITS);
	bitmap_zero(bits, QVAULT_MAP_BITS);
	g->nr_busy -= n;
	__qvault_group_fresh(v, g, g->nr_fresh - n);
	g->longest = g->nr_data;
	list_del_init(&g->release[1]);
	spin_unlock(&v->alloc_lock);
}

/**
 * qvault_alloc_release() - the commit is durable: free what it superseded
 * @v: vault
 *
 * Context: commit_mutex; sleeps.
 */
void qvault_alloc_release(struct qvault *v)
{
	struct qvault_alloc *a = &v->alloc;

	lockdep_assert_held(&v->commit_mutex);
	/* Only a commit adds to this list, and fresh groups stay in memory. */
	while (!list_empty(&a->release[1]))
		release_group(v, list_first_entry(&a->release[1],
						  struct qvault_group,
						  release[1]));
	qvault_trim_kick(v);
}

/* Bring one group up to the map that was just anchored. */
static void refresh(struct qvault *v, struct qvault_group *g,
		    const struct qvault_root *root, unsigned long *map)
{
	u64 version;

	if (qvault_map_read(v, root, g->index, map, &version) ||
	    version == g->version)
		return;
	spin_lock(&v->alloc_lock);
	bitmap_andnot(g->fresh, g->fresh, map, QVAULT_MAP_BITS);
	bitmap_and(g->superseded[0], g->superseded[0], g->fresh, QVAULT_MAP_BITS);
	bitmap_and(g->superseded[1], g->superseded[1], g->fresh, QVAULT_MAP_BITS);
	bitmap_or(g->busy, map, g->fresh, QVAULT_MAP_BITS);
	__qvault_group_fresh(v, g, bitmap_weight(g->fresh, QVAULT_MAP_BITS));
	g->nr_busy = bitmap_weight(g->busy, g->nr_data);
	g->longest = g->nr_data;
	g->version = version;
	spin_unlock(&v->alloc_lock);
}

/**
 * qvault_alloc_anchored() - a checkpoint is durable: free what it superseded
 * @v: vault
 *
 * A group whose map block cannot be read keeps what it knows, which is too much
 * in use but never too little.
 *
 * Context: checkpoint_mutex; sleeps.
 */
void qvault_alloc_anchored(struct qvault *v)
{
	void *map = qvault_buf_get(v, QVAULT_USE_MAP);
	struct qvault_group *g;
	struct qvault_root root;

	lockdep_assert_held(&v->checkpoint_mutex);
	/* Nothing is allocated meanwhile: what is free now stays so. */
	mutex_lock(&v->alloc_mutex);
	qvault_map_root(v, &root);
	list_for_each_entry(g, &v->alloc.lru, lru)
		refresh(v, g, &root, map);
	take_aside_back(v);
	v->alloc.told = QVAULT_NO_VERSION;
	mutex_unlock(&v->alloc_mutex);
	qvault_buf_put(map);
	qvault_trim_anchored(v);
}
