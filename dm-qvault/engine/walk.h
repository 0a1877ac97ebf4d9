/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The walker: a pass over the whole volume, beside all that users do.
 */
#ifndef QVAULT_WALK_H
#define QVAULT_WALK_H

#include "tree.h"

/* ---- What it is about, and how far it has come (walk.c) ------------------- */

struct qvault_bad {
	u64 first;			/* logical blocks, or blocks of the map's groups */
	u64 count;
};

/*
 * Written by who makes the steps, one at a time; read by anybody, so each field by
 * itself.
 */
struct qvault_walk {
	enum qvault_walk_kind kind;	/* QVAULT_WALK_NONE: there is none */
	enum qvault_walk_phase phase;
	u64 next;			/* leaf, or map block, that is to be visited */
	u64 looked;			/* blocks that were verified, since the attach */
	u64 moved;			/* that were sealed anew, likewise */
	/* Blocks that cannot be read, since it began; of a repair, that were given up. */
	u64 bad;
	u64 lost;			/* that had been given up before */
	/* The first ranges of them, since the attach; data blocks only. */
	struct qvault_bad range[QVAULT_BAD_RANGES];
	u32 nr_ranges;
	/* Upper nodes that were verified last, one of each level. */
	u64 verified[QVAULT_MAX_LEVELS];
	u32 renew;			/* generations whose nodes checkpoints write anew */
	u32 passes;			/* that have ended: of a reseal or a repair */
	/* Id, and 1, of a node that the next checkpoint gives up if it cannot read it; then 0. */
	u64 given_up;
	u32 part;			/* blocks of the leaf that were visited already */
	bool left;			/* something could not be given up in this pass */
	bool complete;			/* the last one has ended and left nothing out */
};

int qvault_walk_begin(struct qvault *v, enum qvault_walk_kind kind);
int qvault_walk_step(struct qvault *v);
void qvault_walk_end(struct qvault *v);
u64 qvault_walk_length(const struct qvault *v);
void qvault_walk_attached(struct qvault *v, const struct qvault_disk_walk *disk);
void qvault_walk_fill(const struct qvault *v, struct qvault_disk_walk *disk);

/* ---- Blocks of it (blocks.c) ----------------------------------------------- */

/* Some blocks of a leaf that are read, verified, and perhaps sealed anew. */
struct qvault_blocks {
	u64 logical;			/* of the first one */
	u32 count;			/* 1..QVAULT_WALK_BLOCKS */
	struct qvault_root root;	/* under which the pointers were found */
	struct qvault_ptr ptr[QVAULT_WALK_BLOCKS];
	void *plain[QVAULT_WALK_BLOCKS];	/* NULL: not verified */
	struct qvault_read read[QVAULT_WALK_BLOCKS];
	u32 of[QVAULT_WALK_BLOCKS];	/* which block a read is of */
	u32 nr;				/* reads */
};

int qvault_blocks_verify(struct qvault *v, struct qvault_blocks *b, u64 *bad);
int qvault_blocks_move(struct qvault *v, struct qvault_blocks *b, u32 *moved);
void qvault_blocks_put(struct qvault_blocks *b);

#endif
