/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads as coroutines under a scheduler whose every choice comes from a seed.
 *
 * A task runs until it blocks (device, mutex, wait queue) or until the seed
 * says that it is preempted: before a lock is taken, after one is released, at
 * an allocation.  It is never switched away from while it holds a spinlock.
 * Schedulers nest: a scheduler may be run from the idle hook of another one,
 * while the other's tasks stand still; that is how a crash is tried out.
 */
#ifndef SHIM_SCHED_H
#define SHIM_SCHED_H
#include <linux/list.h>
#include <linux/lockdep.h>
#include "rng.h"

#define TASK_MAX_HELD 8

struct task {
	struct list_head list;		/* all of the scheduler's */
	struct sched *sched;
	const char *name;
	void (*fn)(void *arg);
	void *arg;
	bool done;
	bool blocked;
	bool timed;			/* blocked, but not for ever */
	const char *what;		/* it waits for */
	const void *object;
	u32 nr_held;
	struct shim_lock *held[TASK_MAX_HELD];
	u32 nr_spin;
	u32 noio;			/* depth of memalloc_noio_save() */
	bool may_io;			/* GFP_KERNEL is fine here (attach) */
	bool ends;			/* something, and so waits for nothing */
	struct context *context;
};

struct sched {
	struct rng rng;
	struct list_head tasks;
	u32 nr_runnable;
	u32 nr_timed;
	u32 preempt;			/* percent */
	u64 steps;
	u64 max_steps;			/* more is a livelock */
	bool stop;			/* return from sched_run() at once */
	/*
	 * Outside events, such as the end of an I/O: how many could happen now,
	 * and make the n-th happen.
	 */
	u32 (*nr_events)(void *arg);
	void (*event)(void *arg, u32 n);
	void *arg;
	/* Allocations of the tasks; see memory.c. */
	struct list_head heap;
	u64 heap_bytes;
	u64 heap_peak;			/* most of them at once */
	u64 nr_allocs;
	u64 fail_alloc_at;		/* n-th allocation fails, 0: none */
	u32 fail_alloc;			/* percent of those that may fail */
	bool need_noio;			/* GFP_KERNEL is a deadlock from now on */
};

extern struct sched *sched_current;	/* whose task is running, or NULL */
extern struct task *task_current;

void sched_init(struct sched *sched, u64 seed);
/* Drops all tasks as they are, and what they had allocated: a power cut. */
void sched_crash(struct sched *sched);
/* The same for a scheduler whose tasks have all ended; complains of leaks. */
void sched_exit(struct sched *sched);
struct task *task_spawn(struct sched *sched, const char *name,
			void (*fn)(void *arg), void *arg);
/*
 * Runs until every task has ended, or sched->stop.  When tasks are blocked and
 * no event can happen, that is a deadlock: reports who waits for what.
 */
void sched_run(struct sched *sched);
void sched_dump(struct sched *sched);

void task_block(const char *what, const void *object);
void task_wake(struct task *task);
/* A place where another task may run first. */
void task_preempt(void);

/*
 * Where failed checks go: prints, then leaves by longjmp() if someone has set
 * one up (a shrinking run), else the process ends.
 */
extern void (*shim_on_bug)(void);

struct context;
#endif
