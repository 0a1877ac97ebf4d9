// SPDX-License-Identifier: GPL-2.0
/*
 * When a data block becomes free again.
 *
 * Never before the anchored state does without it: what the delta supersedes
 * is free after the next commit, what the tree supersedes after the next
 * checkpoint.
 */
#include "qvault.h"

/* The cell of a block that is fresh, and its bit there; or NULL. */
static struct qvault_cell *__find_block(struct qvault *v, u64 block, u64 *mask)
{
	u64 group;
	u32 bit;

	lockdep_assert_held(&v->alloc_lock);
	if (!qvault_locate(&v->geo, block, &group, &bit))
		return NULL;
	*mask = qvault_cell_mask(bit);
	return __qvault_cell_find(v, group, bit);
}

/**
 * qvault_alloc_supersede() - the delta has a newer pointer in place of this one
 * @v: vault
 * @block: a fresh block; of what is lost it is 0, and nothing is done
 *
 * The anchored state may still name it: it is free after the next commit.
 * While a vault is being attached no block is fresh yet, and there is nothing
 * to remember.
 *
 * Context: map_lock for writing.
 */
void qvault_alloc_supersede(struct qvault *v, u64 block)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_cell *cell;
	u64 mask;

	spin_lock(&v->alloc_lock);
	cell = __find_block(v, block, &mask);
	if (cell) {
		if (cell->cut != a->cut) {
			cell->superseded |= cell->lately;
			cell->lately = 0;
			cell->cut = a->cut;
		}
		cell->lately |= mask;
		if (list_empty(&cell->release))
			list_add_tail(&cell->release, &a->release);
	}
	spin_unlock(&v->alloc_lock);
}

/*
 * The running commit covers what was superseded so far; also what one before it has
 * left that failed.  Should the number come round to that of a cell, its blocks wait
 * for one more commit.  Context: map_lock.
 */
void qvault_alloc_cut(struct qvault *v)
{
	spin_lock(&v->alloc_lock);
	v->alloc.cut++;
	spin_unlock(&v->alloc_lock);
}

/* ---- Blocks whose write failed ---- */

struct aside {
	struct list_head list;
	u64 block;
	u32 count;
};

/* These blocks of a cell are free. */
static void __free_blocks(struct qvault *v, struct qvault_cell *cell, u64 mask)
{
	__qvault_group_freed(v, cell->group, cell->place, mask);
	__qvault_cell_drop(v, cell, mask);
}

/* Free a run of fresh blocks that no pointer has ever named. */
static void free_run(struct qvault *v, u64 block, u32 count)
{
	struct qvault_cell *cell;
	u64 mask;

	spin_lock(&v->alloc_lock);
	for (; count; count--, block++) {
		cell = __find_block(v, block, &mask);
		if (!WARN_ON_ONCE(!cell))
			__free_blocks(v, cell, mask);
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

/* ---- After a commit ---- */

/* So many cells are freed without a pause. */
#define CELLS_AT_ONCE	32u

/* What a commit has covered, of some cells. */
struct covered {
	u32 nr;
	struct {
		u32 group;
		u16 place;
		u64 mask;
	} cell[CELLS_AT_ONCE];
};

/* The first ones of the list; behind them are those that it does not cover. */
static void gather(struct qvault *v, struct covered *covered)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_cell *cell;
	u64 mask;

	covered->nr = 0;
	spin_lock(&v->alloc_lock);
	list_for_each_entry(cell, &a->release, release) {
		mask = cell->superseded;
		if (cell->cut != a->cut)
			mask |= cell->lately;
		if ((cell->lately && !mask) || covered->nr == CELLS_AT_ONCE)
			break;
		covered->cell[covered->nr].group = cell->group;
		covered->cell[covered->nr].place = cell->place;
		covered->cell[covered->nr++].mask = mask;
	}
	spin_unlock(&v->alloc_lock);
}

/* They are free; what is so still when its turn comes is passed down. */
static void trim_blocks(struct qvault *v, u64 block, u64 mask)
{
	u32 n;

	while (v->allow_discards && mask) {
		n = __ffs64(mask);
		block += n;
		mask >>= n;
		n = ~mask ? __ffs64(~mask) : QVAULT_CELL_BLOCKS;
		__qvault_trim_now(v, block, n);
		block += n;
		mask = n < QVAULT_CELL_BLOCKS ? mask >> n : 0;
	}
}

static void free_covered(struct qvault *v, const struct covered *covered)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_cell *cell;
	u32 i;

	spin_lock(&v->alloc_lock);
	for (i = 0; i < covered->nr; i++) {
		cell = list_first_entry(&a->release, struct qvault_cell, release);
		list_del_init(&cell->release);
		/* There may be more since; behind all that the commit covers. */
		if (cell->lately & ~covered->cell[i].mask)
			list_add_tail(&cell->release, &a->release);
		trim_blocks(v, qvault_block_of(&v->geo, cell->group,
					       cell->place * QVAULT_CELL_BLOCKS),
			    covered->cell[i].mask);
		__free_blocks(v, cell, covered->cell[i].mask);
	}
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
	struct covered covered;

	lockdep_assert_held(&v->commit_mutex);
	/* Only a commit takes cells from the list, and others come to its end. */
	for (;;) {
		gather(v, &covered);
		if (!covered.nr)
			break;
		free_covered(v, &covered);
		cond_resched();
	}
	qvault_trim_kick(v);
}

/* ---- After a checkpoint ---- */

/**
 * qvault_alloc_merged() - the anchored tree names what this delta names
 * @v: vault
 * @delta: which was merged, and whose tree is anchored
 *
 * So the blocks are not fresh, but in use by the anchored map.  Searches go by
 * that: it must be the new one.
 *
 * Context: checkpoint_mutex; sleeps.
 */
void qvault_alloc_merged(struct qvault *v, const struct qvault_delta *delta)
{
	const struct qvault_delta_node *node;
	struct qvault_cell *cell;
	u64 mask;
	u32 i;

	lockdep_assert_held(&v->checkpoint_mutex);
	list_for_each_entry(node, &delta->nodes, list) {
		/* Who searches has one idea of the map from beginning to end. */
		mutex_lock(&v->alloc_mutex);
		spin_lock(&v->alloc_lock);
		for (i = 0; i < node->used; i++) {
			if (qvault_ptr_lost(&node->ptr[i]))
				continue;
			cell = __find_block(v, node->ptr[i].where, &mask);
			if (!WARN_ON_ONCE(!cell))
				__qvault_cell_drop(v, cell, mask);
		}
		spin_unlock(&v->alloc_lock);
		mutex_unlock(&v->alloc_mutex);
		cond_resched();
	}
}

/**
 * qvault_alloc_anchored() - a checkpoint is durable: free what it superseded
 * @v: vault
 *
 * Context: checkpoint_mutex; sleeps.
 */
void qvault_alloc_anchored(struct qvault *v)
{
	lockdep_assert_held(&v->checkpoint_mutex);
	/* Nothing is allocated meanwhile: what is free now stays so. */
	mutex_lock(&v->alloc_mutex);
	qvault_alloc_refresh(v);
	take_aside_back(v);
	v->alloc.told = QVAULT_NO_VERSION;
	mutex_unlock(&v->alloc_mutex);
	qvault_trim_anchored(v);
}
