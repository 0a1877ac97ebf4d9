// SPDX-License-Identifier: GPL-2.0
/*
 * Which data blocks are fresh: allocated since the last checkpoint, or at least not
 * named by the anchored tree.  Nothing on the device says so, so this stays in memory.
 *
 * The cells of a group stand in buckets that follow each other, so that all of them
 * are found with one look at a few cache lines.
 */
#include <linux/hash.h>
#include <linux/log2.h>

#include "qvault.h"

static struct hlist_head *bucket_of(struct qvault_alloc *a, u64 group, u32 place)
{
	u32 first = hash_64(group, a->cell_shift);

	return &a->cells[(first + place) & ((1u << a->cell_shift) - 1)];
}

int qvault_fresh_init(struct qvault_alloc *a)
{
	INIT_LIST_HEAD(&a->spare);
	INIT_LIST_HEAD(&a->release);
	/* One for one cell or two. */
	a->cell_shift = clamp(ilog2(a->limit | 1), 6, 24);
	a->cells = kvcalloc(1ul << a->cell_shift, sizeof(*a->cells), GFP_KERNEL);
	return a->cells ? 0 : -ENOMEM;
}

static void free_spare(struct qvault_alloc *a)
{
	struct qvault_cell *cell, *next;

	list_for_each_entry_safe(cell, next, &a->spare, release)
		kfree(cell);
}

void qvault_fresh_exit(struct qvault_alloc *a)
{
	struct qvault_cell *cell;
	struct hlist_node *next;
	u32 i;

	if (!a->cells)
		return;
	for (i = 0; i < 1u << a->cell_shift; i++)
		hlist_for_each_entry_safe(cell, next, &a->cells[i], hash)
			kfree(cell);
	free_spare(a);
	kvfree(a->cells);
	a->cells = NULL;
}

/**
 * qvault_cells_refill() - have as many spare cells as any write may take
 * @v: vault
 * @limit: of cells in memory
 * @gfp: how much to try
 *
 * They are taken under a spinlock, so they must be there before.
 *
 * Context: alloc_mutex; may sleep.
 * Return: whether there are.
 */
bool qvault_cells_refill(struct qvault *v, u32 limit, gfp_t gfp)
{
	struct qvault_alloc *a = &v->alloc;
	struct qvault_cell *cell;

	while (READ_ONCE(a->nr_spare) < QVAULT_CELLS && READ_ONCE(a->nr_cells) < limit) {
		cell = qvault_kmalloc(sizeof(*cell), gfp);
		if (!cell)
			break;
		spin_lock(&v->alloc_lock);
		list_add(&cell->release, &a->spare);
		WRITE_ONCE(a->nr_spare, a->nr_spare + 1);
		WRITE_ONCE(a->nr_cells, a->nr_cells + 1);
		spin_unlock(&v->alloc_lock);
	}
	return READ_ONCE(a->nr_spare) >= QVAULT_CELLS;
}

/* The cell of a group's block, or NULL: it is not fresh. */
struct qvault_cell *__qvault_cell_find(struct qvault *v, u64 group, u32 bit)
{
	u32 place = bit / QVAULT_CELL_BLOCKS;
	struct qvault_cell *cell;

	hlist_for_each_entry(cell, bucket_of(&v->alloc, group, place), hash)
		if (cell->group == group && cell->place == place)
			return cell;
	return NULL;
}

/* The same, or a spare one; NULL if there is none. */
struct qvault_cell *__qvault_cell_get(struct qvault *v, u64 group, u32 bit)
{
	struct qvault_cell *cell = __qvault_cell_find(v, group, bit);
	struct qvault_alloc *a = &v->alloc;

	lockdep_assert_held(&v->alloc_lock);
	if (cell || list_empty(&a->spare))
		return cell;
	cell = list_first_entry(&a->spare, struct qvault_cell, release);
	list_del(&cell->release);
	WRITE_ONCE(a->nr_spare, a->nr_spare - 1);
	memset(cell, 0, sizeof(*cell));
	INIT_LIST_HEAD(&cell->release);
	cell->group = group;
	cell->place = bit / QVAULT_CELL_BLOCKS;
	hlist_add_head(&cell->hash, bucket_of(a, group, cell->place));
	return cell;
}

/* These blocks are fresh. */
void __qvault_cell_add(struct qvault *v, struct qvault_cell *cell, u64 mask)
{
	lockdep_assert_held(&v->alloc_lock);
	cell->fresh |= mask;
	WRITE_ONCE(v->alloc.nr_fresh, v->alloc.nr_fresh + hweight64(mask));
}

/* Some are kept, so that there is memory for a write when there is none else. */
static void __put(struct qvault_alloc *a, struct qvault_cell *cell)
{
	hlist_del(&cell->hash);
	if (a->nr_spare < QVAULT_CELLS) {
		list_add(&cell->release, &a->spare);
		WRITE_ONCE(a->nr_spare, a->nr_spare + 1);
		return;
	}
	WRITE_ONCE(a->nr_cells, a->nr_cells - 1);
	kfree(cell);
}

/* These blocks, all fresh, are not any more; the cell goes with its last one. */
void __qvault_cell_drop(struct qvault *v, struct qvault_cell *cell, u64 mask)
{
	lockdep_assert_held(&v->alloc_lock);
	cell->fresh &= ~mask;
	cell->superseded &= ~mask;
	cell->lately &= ~mask;
	WRITE_ONCE(v->alloc.nr_fresh, v->alloc.nr_fresh - hweight64(mask));
	if (!cell->fresh && list_empty(&cell->release))
		__put(&v->alloc, cell);
}

/* 64 bits of a bitmap, on machines of either word length. */
static u64 word(const unsigned long *bits, u32 place)
{
	if (BITS_PER_LONG == 64)
		return bits[place];
	return bits[2 * place] | (u64)bits[2 * place + 1] << 32;
}

static void set_word(unsigned long *bits, u32 place, u64 value)
{
	if (BITS_PER_LONG == 64) {
		bits[place] = value;
		return;
	}
	bits[2 * place] = (u32)value;
	bits[2 * place + 1] = value >> 32;
}

/* Set the bits of a group's fresh blocks. */
void __qvault_cells_set(struct qvault *v, u64 group, unsigned long *bits)
{
	struct qvault_cell *cell;
	u32 place;

	lockdep_assert_held(&v->alloc_lock);
	for (place = 0; place < QVAULT_GROUP_CELLS; place++) {
		cell = __qvault_cell_find(v, group, place * QVAULT_CELL_BLOCKS);
		if (cell)
			set_word(bits, place, word(bits, place) | cell->fresh);
	}
}

/* Clear them. */
void __qvault_cells_clear(struct qvault *v, u64 group, unsigned long *bits)
{
	struct qvault_cell *cell;
	u32 place;

	lockdep_assert_held(&v->alloc_lock);
	for (place = 0; place < QVAULT_GROUP_CELLS; place++) {
		cell = __qvault_cell_find(v, group, place * QVAULT_CELL_BLOCKS);
		if (cell)
			set_word(bits, place, word(bits, place) & ~cell->fresh);
	}
}
