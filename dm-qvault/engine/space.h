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

/* ---- Allocation (alloc.c), and the way back (release.c) ------------------ */

/*
 * A group whose bits are in memory.  A data block is busy if the anchored tree
 * names it, or if it is fresh: allocated since.
 */
struct qvault_group {
	struct hlist_node hash;
	struct list_head lru;		/* of all groups in memory */
	struct list_head release[2];	/* while superseded[i] has bits */
	u64 index;
	/* Of the map block this was read from; 0: none; QVAULT_NO_VERSION: unreadable. */
	u64 version;
	u32 nr_data;
	u32 nr_busy;
	u32 nr_fresh;			/* the group stays in memory while not 0 */
	u32 cursor;			/* where the last search ended */
	u32 longest;			/* no free run was longer than this; a hint */
	unsigned long *busy;
	unsigned long *fresh;
	/*
	 * Fresh blocks that no pointer of the delta names any more: [0] since
	 * the last commit's cut, [1] those that the running commit covers.
	 */
	unsigned long *superseded[2];
};

struct qvault_alloc {
	struct hlist_head *buckets;
	u32 bucket_shift;
	struct list_head lru;
	struct list_head spare;		/* memory for groups; Locking: alloc_mutex */
	u32 nr_spare;
	struct list_head release[2];
	u32 nr_groups;
	u32 limit;
	u32 nr_fresh;			/* blocks, in all groups */
	/* Blocks whose write failed: [0] lately, [1] before the last freeze. */
	struct list_head aside[2];
	u64 hint;			/* group in which the last search succeeded */
	u64 told;			/* id of the map node last said to be corrupt */
};

/* No version, and no id. */
#define QVAULT_NO_VERSION	(~0ull)

int qvault_alloc_init(struct qvault *v, u32 limit);
void qvault_alloc_exit(struct qvault *v);
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
void qvault_alloc_anchored(struct qvault *v);
u32 qvault_alloc_free_runs(struct qvault *v, u64 group, u32 *bit, u32 end,
			   struct qvault_range *run, u32 most);
void qvault_alloc_grown(struct qvault *v);
void qvault_alloc_known(struct qvault *v, u64 index, u64 version,
			unsigned long *bits);
bool qvault_alloc_leaky(const struct qvault *v);

/* For alloc.c and release.c only. */
/* Context: alloc_lock, or alloc_mutex: either keeps groups from going away. */
struct qvault_group *__qvault_group_find(struct qvault *v, u64 index);
/* Context: alloc_lock. */
void __qvault_group_fresh(struct qvault *v, struct qvault_group *g, u32 nr);
int qvault_map_read(struct qvault *v, const struct qvault_root *root, u64 index,
		    unsigned long *bits, u64 *version);
void qvault_alloc_forget_aside(struct qvault_alloc *a);
void qvault_map_root(struct qvault *v, struct qvault_root *root);

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
