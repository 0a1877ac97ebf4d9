// SPDX-License-Identifier: GPL-2.0
/*
 * When the walker makes its steps: on a thread of its own, and never in the way of
 * users by more than it is allowed.
 *
 * With a rate it reads and writes no more than that.  Without one it takes all there is
 * while nobody else uses the vault, and a tenth of the time while somebody does.
 */
#include <linux/jiffies.h>
#include <linux/sched/mm.h>

#include "platform.h"

/* Pauses for one step while others use the vault. */
#define PAUSES		9
#define LONGEST_PAUSE	HZ
/* After a step that found no memory, or whose write failed. */
#define TRY_AGAIN	HZ

static void arm(struct qvault_volume *vol, unsigned long delay)
{
	if (READ_ONCE(vol->active) && READ_ONCE(vol->v.walk.kind))
		queue_delayed_work(vol->walk_wq, &vol->walk_work, delay);
}

/* All that users have asked for so far. */
static u64 users(const struct qvault *v)
{
	return atomic64_read(&v->counters.reads) + atomic64_read(&v->counters.writes) +
	       atomic64_read(&v->counters.unmaps);
}

static u64 done(const struct qvault *v)
{
	return v->walk.looked + v->walk.moved;
}

/* How long to wait after a step, in jiffies. */
static unsigned long pause(struct qvault_volume *vol, u64 blocks, u64 ns)
{
	u64 now = users(&vol->v), rate = READ_ONCE(vol->walk_rate);
	bool alone = now == vol->walk_users && !atomic_read(&vol->inflight);

	vol->walk_users = now;
	if (rate) {
		/* What is less than a jiffy is owed, so that the rate is met in the end. */
		vol->walk_owed += div64_u64(blocks * QVAULT_BLOCK_SIZE * NSEC_PER_SEC,
					    rate << 10);
		vol->walk_owed -= min(vol->walk_owed, ns);
		now = min_t(u64, nsecs_to_jiffies64(vol->walk_owed), LONGEST_PAUSE);
		vol->walk_owed -= min(vol->walk_owed, now * (NSEC_PER_SEC / HZ));
		return now;
	}
	return alone ? 0 : min_t(u64, nsecs_to_jiffies64(ns * PAUSES) + 1, LONGEST_PAUSE);
}

static void walk_work(struct work_struct *work)
{
	struct qvault_volume *vol =
		container_of(work, struct qvault_volume, walk_work.work);
	unsigned int noio = memalloc_noio_save();
	u64 before = done(&vol->v), start = ktime_get_ns();
	int err = -EAGAIN;

	/* A memory image is being made, in which nothing may be dirty. */
	if (!qvault_quiet())
		err = qvault_walk_step(&vol->v);
	if (err > 0) {
		/* The leaf counts too: where there is little else, it is all. */
		arm(vol, pause(vol, done(&vol->v) - before + 1, ktime_get_ns() - start));
	} else if (err == -EAGAIN) {
		arm(vol, TRY_AGAIN);
	} else if (!err) {
		/* The record is to say that it has ended. */
		qvault_commit(&vol->v);
		qvault_report_walk(&vol->v, READ_ONCE(vol->v.walk.bad));
	}
	memalloc_noio_restore(noio);
}

/* ---- Errands: they run on the same thread, so nobody makes steps meanwhile ---- */

struct wish {
	enum qvault_walk_kind kind;
	u32 rate;			/* KiB/s; 0: as users leave room */
};

static int run_begin(struct qvault *v, void **arg)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	const struct wish *wish = *arg;
	int err;

	err = qvault_walk_begin(v, wish->kind);
	if (err)
		return err;
	WRITE_ONCE(vol->walk_rate, wish->rate);
	vol->walk_owed = 0;
	err = qvault_commit(v);
	arm(vol, 0);
	return err;
}

static void free_wish(void *wish)
{
	kfree(wish);
}

static int run_end(struct qvault *v, void **arg)
{
	qvault_walk_end(v);
	return qvault_commit(v);
}

const struct qvault_errand qvault_errand_walk = {
	.run = run_begin, .free = free_wish, .on = QVAULT_ON_WALK,
};

const struct qvault_errand qvault_errand_stop = {
	.run = run_end, .on = QVAULT_ON_WALK,
};

/* What qvault_errand_walk is given; NULL: no memory. */
void *qvault_walk_wish(enum qvault_walk_kind kind, u32 rate)
{
	struct wish *wish = kmalloc(sizeof(*wish), GFP_KERNEL);

	if (wish)
		*wish = (struct wish){ kind, rate };
	return wish;
}

/* ---- Life ---- */

/**
 * qvault_walk_init() - prepare a volume for walks
 * @vol: the volume
 */
void qvault_walk_init(struct qvault_volume *vol)
{
	INIT_DELAYED_WORK(&vol->walk_work, walk_work);
}

/**
 * qvault_walk_start() - go on with a walk that the record or a suspend left
 * @vol: the volume, active
 */
void qvault_walk_start(struct qvault_volume *vol)
{
	arm(vol, 0);
}

/**
 * qvault_walk_stop() - no step is made after this
 * @vol: the volume, not active any more
 *
 * Context: May sleep.
 */
void qvault_walk_stop(struct qvault_volume *vol)
{
	cancel_delayed_work_sync(&vol->walk_work);
	flush_workqueue(vol->walk_wq);
}
