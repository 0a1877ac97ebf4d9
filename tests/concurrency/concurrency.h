/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The concurrency check: threads on several processors use a few blocks of one
 * vault while others disturb it; what each read of a block saw must be explained
 * by an order of the operations on that block.
 *
 *   history.c      whether there is such an order
 *   load.c         the threads that read, write, discard and flush
 *   disturb.c      the threads that send messages, suspend, reload, remove
 *   concurrency.c  devices, rounds, the count
 */
#ifndef CONCURRENCY_H
#define CONCURRENCY_H

#include <stdatomic.h>

#include "../lib/qvtest.h"

/* ---- history.c ---------------------------------------------------------- */

enum history_kind { HISTORY_READ, HISTORY_WRITE };

/*
 * One operation on one block. Times are tickets of one counter, taken before the
 * system call and after it: so of two operations that did not overlap it is known
 * which came first.
 */
struct history_op {
	u64 invoked, responded;
	u64 value;		/* read or written; 0: zeros, also by a discard */
	u8 thread;		/* has one operation at a time */
	u8 kind;
};

#define HISTORY_THREADS	16u

/*
 * NULL, or the operation whose answer no order explains. Sorts @op; adds to
 * @overlapping how many began while another was in flight.
 */
const struct history_op *history_check(struct history_op *op, size_t nr,
				       u64 initial, u64 *overlapping);
void history_print(const struct history_op *op, size_t nr,
		   const struct history_op *at);
void history_selftest(void);

/* ---- concurrency.c ------------------------------------------------------ */

#define ISLANDS		12u	/* places whose blocks are watched */
#define ISLAND_BLOCKS	8u
#define HOT_BLOCKS	(ISLANDS * ISLAND_BLOCKS)
#define GARBAGE		(~0ull)	/* neither zeros nor a whole block of ours */

#define WORKERS		6u
#define SCRIBBLED	4u	/* blocks of each worker, written as they change */

struct vault {
	const char *data, *anchor;
	const char *phase, *options;
	struct vault_params params;
	struct dm_dev dev;
	bool ephemeral, full, suspends, discards;

	atomic_bool stop;		/* the round is over */

	u64 island[ISLANDS];	/* first block of each */
	u64 scribbled;		/* first of WORKERS * SCRIBBLED blocks */
};

u64 ticket(void);
/* Which watched block this is, or -1. */
int hot_index(const struct vault *v, u64 block);
u64 hot_block(const struct vault *v, u32 hot);
/* Ends the program with a reason, in whatever thread. */
void complain(struct vault *v, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

/* ---- load.c ------------------------------------------------------------- */

void fill_block(void *buf, u64 block, u64 value);
u64 value_of(const void *buf, u64 block);
u64 new_value(void);

/* What a worker did to watched blocks. */
struct record {
	struct history_op op;
	u32 hot;
};

struct worker {
	struct vault *v;
	u32 number;
	struct prng p;
	int fd;
	u8 *buf;
	struct record *record;
	size_t nr, room;
	u64 operations, on_cpu[2];

	/* Somebody else writes to this while it is in flight. */
	u64 *scribble;
	atomic_bool in_flight;
	u8 *written;		/* what the device must hold of it */
	bool known;
	u64 scribbles;
};

void worker_init(struct worker *w, struct vault *v, u32 number, u64 seed);
void worker_exit(struct worker *w);
void *work(void *worker);
void *scribble(void *workers);
/* All watched blocks, by one reader; and the blocks that were scribbled on. */
void read_all(struct worker *w, u64 *value);
void check_scribbled(struct worker *reader, struct worker *w);

/* ---- disturb.c ---------------------------------------------------------- */

#define DISTURBANCES	5	/* kinds of them that one disturber knows */

struct disturber {
	struct vault *v;
	struct prng p;
	atomic_bool enough;	/* this one ends before the others */
	u64 count[DISTURBANCES];
};

void *send_messages(void *disturber);
void *suspend_and_reload(void *disturber);
void *remove_in_vain(void *disturber);

#endif
