/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The engine on volumes of any size: a host whose clock is that of its devices.
 *
 * A device answers each request after the same time, 64 at a time; the clock moves
 * when all tasks wait.  So times are exact and the same on a busy machine.  What the
 * engine itself needs of the processor is measured beside that, and not on that clock.
 *
 * What was never written is what a volume has that was filled once, in order: it is
 * made when it is read, so that a full volume of any size takes no memory.  Tags say
 * what a block is and nothing of its contents, since here nobody attacks.
 */
#ifndef SCALE_H
#define SCALE_H
#include "map64.h"
#include "qvault.h"
#include "sched.h"

#define DEPTH 64	/* requests that a device works at */

struct qvault_dev {
	struct qvault_geometry geo;	/* of the data device */
	u64 nr_blocks;
	bool full;			/* was filled before all that we know */
	u64 delay;			/* ns */
	u64 free_at[DEPTH];		/* when each of its workers is free */
	struct map64 stored;
	u64 reads, writes, flushes, discards;
};

struct qvault_crypto {
	u32 holders;
};

struct locks {
	const char *name;
	u64 longest, since;		/* ns of the processor; of its clock, if it sleeps */
	bool sleeps;
};

struct host {
	struct sched sched;
	struct qvault v;
	struct qvault_dev data, anchor;
	struct qvault_crypto crypto;
	u64 now;			/* ns */
	struct event *events;		/* what is to happen, soonest first */
	u64 memory, memory_peak;	/* of the engine, as the kernel would round it */
	bool no_checkpoints;		/* none is begun unasked */
	bool kicked, trim_kicked, stopping;
	u64 kicks;
	wait_queue_head_t kick_wait;
	u64 ahead[64];
	u32 nr_ahead;
	bool time_locks;
	struct locks lock[16];
	u32 nr_locks;
	u64 stretch, stretch_since;	/* of the processor, without a place to reschedule */
};

extern struct host *host;

void host_init(u64 data_blocks, u64 delay, u32 memory_mib, bool full);
void host_exit(void);
/* Runs @fn in a task, and all that it starts, to the end. */
void host_run(void (*fn)(void *arg), void *arg);
/* The power fails: what is in memory is gone; the devices keep what was written. */
void host_crash(void);
/* ns that this process has used of a processor. */
u64 host_cpu(void);
void host_forget_times(void);

/* What is to be made of a block of a full volume; false: zeros. */
bool synth_read(const struct qvault_dev *dev, u64 block, void *buf);
void synth_root(const struct qvault_geometry *geo, enum qvault_kind kind,
		struct qvault_root *root);
void tag_of(u64 kind, u64 id, u64 version, u8 tag[QVAULT_TAG_SIZE]);
#define SYNTH_LEASE (1ull << 52)
#endif
