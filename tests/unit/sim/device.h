/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A simulated block device with a volatile write cache, sparse, in memory.
 *
 * What is written becomes durable with a flush that began after the write had
 * ended, or at once for FUA.  Anything else may survive a crash or not, whole
 * or by sectors of 512 bytes, each write for itself.
 */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H
#include "qvault.h"
#include "map64.h"
#include "sched.h"

/* The contents of a block at some time: never change, shared by reference. */
struct block {
	u32 refs;
	u64 identity;			/* equal: the same contents */
	/* The walker's memory (walk.c): under what this was found authentic. */
	u64 kind, id, version;
	u8 tag[QVAULT_TAG_SIZE];
	u8 *plain;
	u64 data[QVAULT_BLOCK_SIZE / sizeof(u64)];
};

/* A write that is not durable. */
struct pending {
	u64 block;
	struct block *contents;
	u64 order;			/* of completion; 0: under way */
};

enum io_kind { IO_READ, IO_WRITE, IO_FLUSH };

struct io {
	enum io_kind kind;
	struct qvault_dev *dev;
	u64 block;
	bool fua;
	void *buf;			/* read into, or written from */
	struct block *contents;		/* of a write */
	u64 order;			/* flush: covers completions up to this */
	u32 delay;			/* times that others go first */
	int err;
	bool done;
	struct task *task;		/* waits for it */
	void (*end)(struct io *io);	/* or this is called */
	void *private;
};

struct qvault_dev {
	const char *name;
	struct world *world;
	u64 nr_blocks;
	struct qvault_dev *base;	/* whose durable contents show through */
	struct map64 durable;		/* struct block */
	struct pending *pending;	/* in order of submission */
	u32 nr_pending;
	u32 max_pending;
	u64 order;			/* of the last completion */
	u64 stamp;			/* equal: the same durable contents */
	bool may_overrun;		/* reads beyond the end are an error */
	bool keep_history;
	struct map64 history;		/* struct versions: all that ever was */
	u64 writes, reads, flushes;
};

struct versions {
	struct block **item;
	u32 nr, max;
};

struct block *block_new(const void *data);
struct block *block_get(struct block *b);
void block_put(struct block *b);
/* A mix of @old and @new by sector: bit n of @mask picks the new one. */
struct block *block_torn(const struct block *old, const struct block *new,
			 u32 mask);

void dev_init(struct qvault_dev *dev, const char *name, struct world *world,
	      u64 nr_blocks, struct qvault_dev *base);
void dev_exit(struct qvault_dev *dev);
/* NULL: zeros.  No reference is taken. */
struct block *dev_durable(const struct qvault_dev *dev, u64 block);
struct block *dev_newest(const struct qvault_dev *dev, u64 block);
void dev_set_durable(struct qvault_dev *dev, u64 block, struct block *b);

/* Somebody else has written there. */
void dev_replace(struct qvault_dev *dev, u64 block, struct block *b);

/* The life of an I/O: submitted, and ended later by the scheduler's choice. */
void dev_submit(struct io *io);
void dev_complete(struct io *io, int err);
/* A write that is acknowledged and goes to @block, or nowhere at all. */
#define NOWHERE (~0ull)
void dev_misdirect(struct io *io, u64 block);

/* What a crash leaves: from @dev, as it is now, into @image. */
enum crash_style {
	CRASH_NONE,			/* nothing unflushed survives */
	CRASH_ALL,
	CRASH_RANDOM,			/* each write by itself */
	CRASH_TORN,			/* each by itself, some in pieces */
	CRASH_ALL_BUT_ONE,
	CRASH_ONLY_ONE,
	CRASH_STYLES,
};
void dev_crash(const struct qvault_dev *dev, struct qvault_dev *image,
	       enum crash_style style, struct rng *rng);
/* Every write that is not durable lands with the sectors of @mask. */
void dev_tear(const struct qvault_dev *dev, struct qvault_dev *image, u32 mask);
/* dev_crash() in place. */
void dev_crash_here(struct qvault_dev *dev, enum crash_style style,
		    struct rng *rng);
#endif
