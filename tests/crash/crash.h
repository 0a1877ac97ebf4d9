/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The crash check: record one run of a vault with every write of data and
 * anchor in one order, then attach what a crash could have left at any moment.
 *
 *   oracle.c   what was written when, and whether a state is one that is allowed
 *   record.c   the workload, and the log that dm-log-writes made of it
 *   replay.c   from log to crash points
 *   keep.c     a recording in a file
 *   crash.c    devices, options, the count
 */
#ifndef CRASH_H
#define CRASH_H

#include "../lib/qvtest.h"

/* ---- oracle.c ----------------------------------------------------------- */

enum op_kind {
	OP_WRITE,
	OP_ZERO,		/* discard or write-zeroes: reads as zeros */
};

/*
 * One block of one request.  Times are ticks of one counter: taken before the
 * request is submitted and after it has ended.
 */
struct op {
	u32 lba;
	u32 kind;
	u64 issued;
	u64 ended;		/* 0: never */
};

#define MAX_OPS	(1u << 22)

struct oracle {
	struct op *op;
	u32 nr;			/* atomic while recording */
	u64 clock;		/* atomic */
	u64 volume;		/* goes into each block */
	u32 blocks;
	/* For each block, its operations: index[first[lba]] ... */
	u32 *first, *index;
};

/* What has been promised at some moment. */
struct promise {
	u64 time;		/* all that had ended before this tick */
	u32 *kept;		/* by block: FUA operation + 1, or 0 */
};

void oracle_init(struct oracle *o, u32 blocks, u64 volume);
u64 oracle_tick(struct oracle *o);
u32 oracle_begin(struct oracle *o, enum op_kind kind, u32 lba, u32 count);
void oracle_end(struct oracle *o, u32 first, u32 count);
void oracle_fill(const struct oracle *o, u32 op, void *block);
void oracle_index(struct oracle *o);
/*
 * Is @image, the contents of all blocks that are set in @known, a state that a
 * crash may leave?  Returns false and says why.
 */
bool oracle_allows(const struct oracle *o, const u8 *image,
		   const u8 *known, const struct promise *promise,
		   char *why, size_t size);

/* ---- record.c ----------------------------------------------------------- */

enum {
	LOG_FLUSH = 1,
	LOG_FUA = 2,
	LOG_DISCARD = 4,
	LOG_MARK = 8,
};

struct entry {
	u64 sector, sectors, flags;
	u8 *data;		/* or the text of a mark */
};

struct log {
	struct entry *entry;
	u32 nr;
	u8 *raw;
};

int log_read(const char *path, struct log *log);
void log_free(struct log *log);

struct setup {
	u64 seed;
	const char *record_base, *record_log, *replay_base, *replay_log;
	const char *target;	/* qvault; "linear" shows that the check can fail */
	const char *options;
	u32 threads;
	u32 rounds;
	u32 points;		/* most to try; 0: all */
	u32 subsets;		/* at each flush */
	double seconds;		/* most to take; 0: no bound */
	int64_t only;		/* one point, or -1 */
	const char *save, *load;	/* a recording to keep if it is bad, to take */
	struct vault_params params;
	struct qvault_geometry geo;
};

int attach(const struct setup *s, struct dm_dev *vault, const char *name,
	   const struct dm_dev *data, const struct dm_dev *anchor,
	   bool read_only);
void record(struct setup *s, struct oracle *o, struct log *log);

/* ---- keep.c ------------------------------------------------------------- */

void keep_save(const char *path, const struct setup *s, const struct oracle *o,
	       const struct log *log);
void keep_load(const char *path, struct setup *s, struct oracle *o,
	       struct log *log);

/* ---- replay.c ----------------------------------------------------------- */

struct tally {
	u64 points, prefixes, subsets, torn, second, used, bad;
};

void replay(struct setup *s, struct oracle *o, struct log *log,
	    struct tally *tally);

#endif
