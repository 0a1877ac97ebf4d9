/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which blocks of the device are free: the groups of the map that are in memory, and
 * what a checkpoint changes in it.
 */
#ifndef QVAULT_SPACE_H
#define QVAULT_SPACE_H

#include <linux/list.h>

#include "tree.h"

/* ---- What is passed down (trim.c) ---------------------------------------- */

/*
 * Ranges in which blocks were freed, counted through all data blocks that there are.
 * Hints: they may be much too large, and what is not free any more when its turn has
 * come is left alone.
 */
struct qvault_trim {
	struct qvault_range *range;	/* QVAULT_MAX_TRIM, or NULL */
	u32 nr;
};

void qvault_trim_init(struct qvault *v);
void qvault_trim_exit(struct qvault *v);
void __qvault_trim_now(struct qvault *v, u64 block, u32 count);
void qvault_trim_kick(struct qvault *v);
void qvault_trim_later(struct qvault *v, u64 block, u32 count);
void qvault_trim_anchored(struct qvault *v);
bool qvault_trim(struct qvault *v);

/* ---- Allocation (alloc.c, fresh.c, vacant.c), and the way back (release.c) --- */

/*
 * A data block is busy if the anchored map says so, or if it is fresh: allocated
 * since.  The map is read when it is needed, so what must stay in memory is where the
 * fresh blocks are.
 */

#define QVAULT_CELL_BLOCKS	64u
#define QVAULT_GROUP_CELLS	(QVAULT_GROUP_DATA / QVAULT_CELL_BLOCKS)

/*
 * The fresh ones of 64 blocks that stand together, a bit for each: whether few are
 * written all over a large volume or many in order, it costs little.
 */
struct qvault_cell {
	struct hlist_node hash;
	struct list_head release;	/* while superseded or lately has bits */
	u32 group;
	u16 place;			/* among the group's cells */
	/*
	 * Of fresh blocks that no pointer of the delta names any more: the last cut
	 * before those in lately; the others were superseded before it.
	 */
	u16 cut;
	u64 fresh;
	u64 superseded;
	u64 lately;
};

static_assert(sizeof(struct qvault_cell) <= 64);
static_assert(QVAULT_MAX_DATA_BLOCKS / QVAULT_GROUP_BLOCKS < 1ull << 32);

/* A group that is being searched; it can be dropped and read again at any time. */
struct qvault_group {
	struct hlist_node hash;
	struct list_head lru;
	u64 index;
	/* Of the map block this was read from; 0: none; QVAULT_NO_VERSION: unreadable. */
	u64 version;
	u32 nr_data;
	u32 nr_busy;
	u32 cursor;			/* where the last search ended */
	u32 longest;			/* no free run was longer than this; a hint */
	unsigned long *busy;		/* QVAULT_MAP_BITS */
};

struct qvault_alloc {
	struct hlist_head *cells;
	u32 cell_shift;
	struct list_head spare;		/* cells that hold nothing */
	u32 nr_spare;
	u32 nr_cells;			/* in memory, spare ones too */
	u32 limit;			/* of them */
	u32 nr_fresh;			/* blocks, in all cells */
	/* Cells with superseded blocks; those that the last cut covers come first. */
	struct list_head release;
	u16 cut;			/* number of the last one */

	struct hlist_head *groups;
	u32 group_shift;
	struct list_head lru;		/* of all groups in memory */
	struct list_head closed;	/* memory for groups; Locking: alloc_mutex */
	u32 nr_closed;
	u32 nr_groups;
	u32 group_limit;

	/* Blocks whose write failed: [0] lately, [1] before the last freeze. */
	struct list_head aside[2];
	u64 hint;			/* group in which the last search succeeded */
	u64 told;			/* id of the map node last said to be corrupt */
	u64 visits;			/* groups that searches opened, ever */
};

/* No version, and no id. */
#define QVAULT_NO_VERSION	(~0ull)

/* Cells for each group that is open: so most memory is theirs. */
#define QVAULT_CELLS_PER_GROUP	1024u

int qvault_alloc_init(struct qvault *v, u32 limit);
void qvault_alloc_exit(struct qvault *v);
int qvault_alloc_again(struct qvault *v);
/* An eighth of memory. */
#define QVAULT_ALLOC_BYTES(mib)	((u64)(mib) << (20 - 3))
u32 qvault_alloc_limit(u64 bytes);
void qvault_alloc_set_limit(struct qvault_alloc *a, u32 limit);
int qvault_alloc_blocks(struct qvault *v, u64 logical, u32 count,
			struct qvault_ptr *ptr);
int qvault_alloc_replay(struct qvault *v, u64 block);
bool qvault_alloc_low(const struct qvault *v);
void qvault_alloc_supersede(struct qvault *v, u64 block);
void qvault_alloc_cut(struct qvault *v);
void qvault_alloc_set_aside(struct qvault *v, const struct qvault_ptr *ptr, u32 count);
void qvault_alloc_frozen(struct qvault *v);
bool qvault_alloc_aside(const struct qvault *v);
void qvault_alloc_release(struct qvault *v);
void qvault_alloc_merged(struct qvault *v, const struct qvault_delta *delta);
void qvault_alloc_anchored(struct qvault *v);
u32 qvault_alloc_free_runs(struct qvault *v, u64 group, u32 *bit, u32 end,
			   struct qvault_range *run, u32 most);
void qvault_alloc_grown(struct qvault *v);
void qvault_alloc_known(struct qvault *v, u64 index, u64 version,
			unsigned long *bits);
bool qvault_alloc_leaky(const struct qvault *v);

/* For these files only.  Fresh blocks (fresh.c): */
int qvault_fresh_init(struct qvault_alloc *a);
void qvault_fresh_exit(struct qvault_alloc *a);
bool qvault_cells_refill(struct qvault *v, u32 limit, gfp_t gfp);
/* Context: alloc_lock. */
struct qvault_cell *__qvault_cell_find(struct qvault *v, u64 group, u32 bit);
struct qvault_cell *__qvault_cell_get(struct qvault *v, u64 group, u32 bit);
void __qvault_cell_add(struct qvault *v, struct qvault_cell *cell, u64 mask);
void __qvault_cell_drop(struct qvault *v, struct qvault_cell *cell, u64 mask);
void __qvault_cells_set(struct qvault *v, u64 group, unsigned long *bits);
void __qvault_cells_clear(struct qvault *v, u64 group, unsigned long *bits);

static inline u64 qvault_cell_mask(u32 bit)
{
	return BIT_ULL(bit % QVAULT_CELL_BLOCKS);
}

/* Groups in memory (alloc.c).  Context: alloc_lock, or alloc_mutex. */
struct qvault_group *__qvault_group_find(struct qvault *v, u64 index);
/* Context: alloc_lock. */
void __qvault_group_freed(struct qvault *v, u64 index, u32 place, u64 mask);
/* Context: alloc_mutex; sleeps. */
void qvault_alloc_refresh(struct qvault *v);

/* The anchored map (vacant.c). */
void qvault_map_root(struct qvault *v, struct qvault_root *root);
int qvault_map_read(struct qvault *v, const struct qvault_root *root, u64 index,
		    unsigned long *bits, u64 *version);
int qvault_map_vacant(struct qvault *v, u64 index, u32 bit, u32 count, bool *room);
void qvault_map_ahead(struct qvault *v, u64 index);
int qvault_map_next(struct qvault *v, u64 *index);

void qvault_alloc_forget_aside(struct qvault_alloc *a);

/* ---- Changes of the map (changes.c) ------------------------------------- */

/*
 * What a checkpoint changes in the map, gathered so that each map block is
 * visited once for many of them.
 */
struct qvault_changes {
	u64 *item;			/* runs of blocks: see changes.c */
	u32 nr;
	bool leaky;			/* more are in use in the map than in the tree */
	struct qvault_cursor *cursor;	/* of the map */
};

int qvault_changes_add(struct qvault_changes *changes, u64 block, bool in_use);
int qvault_changes_apply(struct qvault_changes *changes);

#endif
