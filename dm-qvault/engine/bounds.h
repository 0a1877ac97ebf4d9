/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bounds that are ours to choose: another choice changes nothing on disk.
 */
#ifndef QVAULT_BOUNDS_H
#define QVAULT_BOUNDS_H

#include <linux/bits.h>

/* Most blocks of one read or write; larger bios are split. */
#define QVAULT_MAX_RUN		256u
/* Most blocks that are sealed together: as many as a processor hashes at once. */
#define QVAULT_MAX_SEAL		2u
/* Versions that one anchor record allows to be used after it. */
#define QVAULT_LEASE		0x100000000ull
/*
 * Versions jump where another life may go on with the same ones: by a random number
 * below such a part (2^-n) of what is left of the lower half of them.  So jumps become
 * smaller, by half in 2^14.5 attaches or 2^32.5 records, and never use versions up.
 */
#define QVAULT_ATTACH_PART	14
#define QVAULT_RECORD_PART	32
#define QVAULT_JUMPS_END	BIT_ULL(63)
/* Above this the versions of a volume count as used up: 128 PiB can still be written. */
#define QVAULT_LAST_LEASE	(~0ull << 45)
/* Changes of the map that a checkpoint gathers before it applies them. */
#define QVAULT_MAX_CHANGES	32768u
/* Nodes of the tree that are known to be unreadable; with more the vault stops. */
#define QVAULT_MAX_DAMAGED	256u
/* Nodes with one bad copy that are remembered until a checkpoint heals them. */
#define QVAULT_MAX_HALF		64u
/* Ranges of blocks that a walk has found to be unreadable, that it remembers. */
#define QVAULT_BAD_RANGES	256u
/* Blocks that it reads, and perhaps writes, at once. */
#define QVAULT_WALK_BLOCKS	32u
/* Blocks of metadata that are read at once. */
#define QVAULT_READS		64u
/* Leaves that are read ahead at a time, one after the other. */
#define QVAULT_LEAVES_AHEAD	16u

/* Bytes that the deltas may take, for each MiB that a vault may use. */
#define QVAULT_DELTA_BYTES	(384u << 10)
/*
 * Blocks that an unmap, or what else takes much out of a delta, supersedes in one
 * critical section: less than a tenth of a millisecond.  At least those of a leaf.
 */
#define QVAULT_MAX_WORK		1536u

/* Ranges that wait to be passed down; and runs, and groups they are in, at a time. */
#define QVAULT_MAX_TRIM		2048u
#define QVAULT_TRIMS		32u
#define QVAULT_TRIM_GROUPS	8u

/*
 * What is put by for when memory is short: nodes of the delta, pages of the stream,
 * and groups of the map and cells of fresh blocks, each as much as the largest write
 * takes, if it is in one piece; and for the stream the page that the last commit has
 * left in it.  QVAULT_LEAST_OR() is the size of a
 * reserve of which one would do: then one comes and goes at a time.  QVAULT_WORKERS:
 * how many works of a kind may run at a time; 0: as many as the kernel likes.
 */
#ifdef QVAULT_FAMINE
#define QVAULT_STOCK		3u
#define QVAULT_PAGES		10
#define QVAULT_GROUPS		1u
#define QVAULT_CELLS		32u
#define QVAULT_LEAST_OR(usual)	min(1, usual)
#define QVAULT_WORKERS		1
#else
#define QVAULT_STOCK		16u
#define QVAULT_PAGES		16
#define QVAULT_GROUPS		4u
#define QVAULT_CELLS		256u
#define QVAULT_LEAST_OR(usual)	(usual)
#define QVAULT_WORKERS		0
#endif

#endif
