/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The crash check: record one run of a vault with every write of data and
 * anchor in one order, then attach what a crash could have left at any moment.
 *
 *   oracle.c   what was written when, and whether a state is one that is allowed
 *   record.c   the workload
 *   change.c   other keys, other sizes, moments that stay: of the vault itself
 *   logfile.c  the log that dm-log-writes makes of it
 *   stack.c    the devices that a replayed vault stands on
 *   replay.c   from log to crash points
 *   files.c    file systems and a database on the vault
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
#define MAX_HELD	32u

/* A moment that the vault was told to keep for who copies its data device. */
struct held {
	struct qvault_disk_anchor record;
	u64 time;		/* all that had ended before this tick is in it */
	u32 kept;		/* until it was released */
	u32 key, size;
};

struct oracle {
	struct op *op;
	u32 nr;			/* atomic while recording */
	u64 clock;		/* atomic */
	u64 volume;		/* goes into each block */
	u32 blocks;
	struct held held[MAX_HELD];
	u32 nr_held;
	/* For each block, its operations: index[first[lba]] ... */
	u32 *first, *index;
	u32 *touched, nr_touched;	/* blocks that have any, ascending */
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
 * Is @image, the contents of all touched blocks, a state that a crash may leave?
 * Returns false and says why.
 */
bool oracle_allows(const struct oracle *o, const u8 *image,
		   const struct promise *promise, char *why, size_t size);

/* ---- logfile.c ---------------------------------------------------------- */

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

/* How far a log that grows was read. */
struct log_tail {
	int fd;
	u64 at;
	u32 entries;
};

int log_read(const char *path, struct log *log);
/* What came since, up to and with @mark, which was written already. */
int log_follow(struct log_tail *tail, const char *mark, struct log *log);
void log_free(struct log *log);

/* ---- record.c ----------------------------------------------------------- */

#define MAX_SIZES	9u
#define KEYS		2u

/* What a vault is opened with: which key, and a table of which size. */
struct way {
	u32 key, size;
};

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
	const char *files;	/* ext4, xfs, sqlite; NULL: blocks */
	u32 steps;		/* of files, in each round */
	const char *save, *load;	/* a recording to keep if it is bad, to take */
	u32 grow;		/* blocks that the data device gains each time; 0: no changes */
	struct vault_params params;
	struct qvault_geometry size[MAX_SIZES];
	u32 sizes;
	struct qvault_geometry geo;	/* the largest */
};

struct recorder {
	struct setup *s;
	struct oracle *o;
	struct dm_dev log, data, anchor, vault;
	struct way now;
};

/* Words of a table line; the options are those of @s and @more, one word or none. */
void table_line(const struct setup *s, const struct way *way, const char *data,
		const char *anchor, const char *more, char *out, size_t size);
int attach(const struct setup *s, struct dm_dev *vault, const char *name,
	   const struct dm_dev *data, const struct dm_dev *anchor,
	   const struct way *way, bool read_only);
void record(struct setup *s, struct oracle *o, struct log *log);
/* All that had ended before @time is promised. */
void mark_time(struct recorder *r, u64 time);

/* ---- change.c ----------------------------------------------------------- */

void setup_sizes(struct setup *s, u64 data_blocks, u32 log_blocks);
void setup_keys(const struct setup *s);
const char *key_name(u32 key);

void change_key(struct recorder *r);
void change_size(struct recorder *r);
void change_generation(struct recorder *r);
/* Keep this moment; the returned one is then released. */
u32 hold(struct recorder *r);
void release(struct recorder *r, u32 number);

/* What may open the vault at some moment of the log: bits by number. */
struct ways {
	u32 keys, sizes;
};

void ways_begin(struct ways *w);
/* Is this mark about them? */
bool ways_note(struct ways *w, const char *mark);
/* More than one does: then every write is tried. */
bool ways_changing(const struct ways *w);

/* ---- files.c ------------------------------------------------------------ */

void files_work(struct setup *s, struct dm_dev *log, struct dm_dev *vault, u32 round);
/* Forget all promises: the replay begins. */
void files_start(void);
void files_mark(const char *text);
bool files_judge(const struct setup *s, const char *device, char *why, size_t size);

/* ---- keep.c ------------------------------------------------------------- */

void keep_save(const char *path, const struct setup *s, const struct oracle *o,
	       const struct log *log);
void keep_load(const char *path, struct setup *s, struct oracle *o,
	       struct log *log);

/* ---- stack.c ------------------------------------------------------------ */

/*
 * What crash points are attached on.  Made once: to make and remove five devices
 * would take longer than all that is tested.  A log of its own tells what an
 * attach and what followed wrote.
 */
struct stack {
	const struct setup *s;
	u64 sectors;
	struct dm_dev log;
	int log_fd;		/* of the device that is logged, for flushes */
	struct log_tail tail;
	u32 marks;
	struct leg {
		struct dm_dev data, anchor, vault;
		bool made;	/* the vault is there */
		int fd;
	} leg[2];		/* [1]: read-only */
};

void stack_make(struct stack *stack, const struct setup *s, u64 sectors);
void stack_remove(struct stack *stack);
/* Returns an open vault, or a negative errno. */
int stack_attach(struct stack *stack, const struct way *way, bool read_only);
void stack_detach(struct stack *stack, bool read_only);
/* All that was written since the last call. */
void stack_wrote(struct stack *stack, struct log *wrote);

/* ---- replay.c ----------------------------------------------------------- */

struct tally {
	u64 points, prefixes, subsets, torn, second, used, bad;
	u32 masks;		/* of 254 by which an anchor can be torn */
	/* While the key changed: opened by the old one, by either, by the new one. */
	u64 by_key[3];
	/* While it grew: as it was, or grown. */
	u64 by_size[2];
	u64 refused;		/* another key, a larger table: as it must be */
	u64 copies;		/* of moments that stayed */
};

void replay(struct setup *s, struct oracle *o, struct log *log,
	    struct tally *tally);

#endif
