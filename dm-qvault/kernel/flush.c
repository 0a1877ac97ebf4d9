// SPDX-License-Identifier: GPL-2.0
/*
 * When commits, checkpoints and discards below run: for flushes and FUA writes, by a
 * timer, and when the engine asks for them.
 *
 * Whatever waits for a commit is on one list.  One thread takes all of it,
 * commits once, and ends it all; what comes meanwhile shares the next commit.
 *
 * Threads that write and flush in turn come back as soon as their flush has ended.
 * Begun without them, the next commit would serve only those that missed the last
 * one, and each flush would take the time of two.  So a commit waits until as many
 * are there as the last one has seen.  It does not wait for long, and if that was in
 * vain, the next ones do not wait at all.
 */
#include <linux/sched/mm.h>

#include "platform.h"

/* Part of a commit's time that waiting for others may take. */
#define WAIT_PART	4
#define WAIT_LEAST_NS	(20 * NSEC_PER_USEC)
#define WAIT_MOST_NS	(5 * NSEC_PER_MSEC)
/* Commits that do not wait after one that did in vain. */
#define WAIT_NOT	32

static void wait_for_others(struct qvault_volume *vol)
{
	u64 ns = min_t(u64, vol->commit_ns / WAIT_PART, WAIT_MOST_NS);

	if (vol->wait_not) {
		vol->wait_not--;
		return;
	}
	if (ns < WAIT_LEAST_NS || !READ_ONCE(vol->nr_flushes))
		return;
	if (wait_event_hrtimeout(vol->flush_wait,
				 READ_ONCE(vol->nr_flushes) >= vol->flushes_expected,
				 ns_to_ktime(ns)))
		vol->wait_not = WAIT_NOT;
}

/* Takes all that wait; returns how many. */
static u32 take_flushes(struct qvault_volume *vol, struct bio_list *waiting)
{
	u32 nr;

	spin_lock_irq(&vol->flush_lock);
	*waiting = vol->flushes;
	nr = vol->nr_flushes;
	bio_list_init(&vol->flushes);
	vol->nr_flushes = 0;
	spin_unlock_irq(&vol->flush_lock);
	return nr;
}

static void commit_work(struct work_struct *work)
{
	struct qvault_volume *vol =
		container_of(work, struct qvault_volume, commit_work);
	unsigned int noio = memalloc_noio_save();
	struct bio_list waiting;
	blk_status_t status;
	struct bio *bio;
	u64 start;
	u32 nr;

	wait_for_others(vol);
	nr = take_flushes(vol, &waiting);
	start = ktime_get_ns();
	status = errno_to_blk_status(qvault_commit(&vol->v));
	vol->commit_ns = ktime_get_ns() - start;
	/* What was not asked for by anybody is not tried again by anybody else. */
	if (status && !qvault_may_write(&vol->v) && READ_ONCE(vol->active))
		qvault_flush_arm(vol);
	vol->flushes_expected = nr + READ_ONCE(vol->nr_flushes);
	while ((bio = bio_list_pop(&waiting)))
		qvault_bio_end(vol, bio, status);
	memalloc_noio_restore(noio);
}

static void commit_timer_work(struct work_struct *work)
{
	struct qvault_volume *vol =
		container_of(work, struct qvault_volume, commit_timer.work);

	commit_work(&vol->commit_work);
}

static void checkpoint_work(struct work_struct *work)
{
	struct qvault_volume *vol =
		container_of(work, struct qvault_volume, checkpoint_work);
	unsigned int noio = memalloc_noio_save();

	qvault_checkpoint_unasked(&vol->v);
	memalloc_noio_restore(noio);
}

/* A little at a time, so that nobody waits long for us to end. */
static void trim_work(struct work_struct *work)
{
	struct qvault_volume *vol =
		container_of(work, struct qvault_volume, trim_work);
	unsigned int noio = memalloc_noio_save();

	if (qvault_trim(&vol->v))
		qvault_kick_trim(&vol->v);
	memalloc_noio_restore(noio);
}

/**
 * qvault_flush_init() - prepare for flushes
 * @vol: the target
 */
void qvault_flush_init(struct qvault_volume *vol)
{
	spin_lock_init(&vol->flush_lock);
	bio_list_init(&vol->flushes);
	init_waitqueue_head(&vol->flush_wait);
	INIT_WORK(&vol->commit_work, commit_work);
	INIT_DELAYED_WORK(&vol->commit_timer, commit_timer_work);
	INIT_WORK(&vol->checkpoint_work, checkpoint_work);
	INIT_WORK(&vol->trim_work, trim_work);
}

/**
 * qvault_flush_bio() - end a bio once all that has ended before it is durable
 * @vol: the target
 * @bio: an empty flush, or a FUA write that is otherwise complete
 *
 * An ephemeral vault has nothing to promise, and one that is only read has
 * nothing that is not durable already.
 *
 * Context: Any but hard interrupts.
 */
void qvault_flush_bio(struct qvault_volume *vol, struct bio *bio)
{
	unsigned long flags;

	if (qvault_ephemeral(&vol->v) || vol->v.read_only) {
		qvault_bio_end(vol, bio, READ_ONCE(vol->v.mode) == QVAULT_MODE_FAILED ?
			       BLK_STS_IOERR : BLK_STS_OK);
		return;
	}
	spin_lock_irqsave(&vol->flush_lock, flags);
	bio_list_add(&vol->flushes, bio);
	WRITE_ONCE(vol->nr_flushes, vol->nr_flushes + 1);
	wake_up(&vol->flush_wait);
	/*
	 * Before the lock lets a commit that runs already end the bio: a vault
	 * without bios may be detached, and no commit must begin then.
	 */
	queue_work(vol->commit_wq, &vol->commit_work);
	spin_unlock_irqrestore(&vol->flush_lock, flags);
}

/**
 * qvault_flush_arm() - something was written: commit it before long
 * @vol: the target
 *
 * Context: Any; a bio that has not been ended yet keeps the target alive.
 */
void qvault_flush_arm(struct qvault_volume *vol)
{
	if (!vol->commit_seconds || qvault_ephemeral(&vol->v) ||
	    delayed_work_pending(&vol->commit_timer))
		return;
	queue_delayed_work(vol->commit_wq, &vol->commit_timer,
			   vol->commit_seconds * HZ);
}

/**
 * qvault_flush_kick() - commit soon, on another thread
 * @vol: the volume
 *
 * Context: Any.
 */
void qvault_flush_kick(struct qvault_volume *vol)
{
	if (READ_ONCE(vol->active))
		queue_work(vol->commit_wq, &vol->commit_work);
}

/**
 * qvault_flush_stop() - no commit and no checkpoint runs by itself after this
 * @vol: the target, with no bio in flight
 *
 * Context: May sleep.
 */
void qvault_flush_stop(struct qvault_volume *vol)
{
	WRITE_ONCE(vol->active, false);
	cancel_delayed_work_sync(&vol->commit_timer);
	flush_workqueue(vol->commit_wq);
	flush_workqueue(vol->checkpoint_wq);
	cancel_work_sync(&vol->trim_work);
}

/**
 * qvault_kick_checkpoint() - ask for a checkpoint soon, on another thread
 * @v: the vault
 *
 * Context: Any.
 */
void qvault_kick_checkpoint(struct qvault *v)
{
	struct qvault_volume *vol = qvault_volume_of(v);

	if (READ_ONCE(vol->active))
		queue_work(vol->checkpoint_wq, &vol->checkpoint_work);
}

/**
 * qvault_kick_trim() - ask for qvault_trim() soon, on another thread
 * @v: the vault
 *
 * Context: Any.
 */
void qvault_kick_trim(struct qvault *v)
{
	struct qvault_volume *vol = qvault_volume_of(v);

	if (READ_ONCE(vol->active) && !qvault_quiet())
		queue_work(vol->trim_wq, &vol->trim_work);
}
