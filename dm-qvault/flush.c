// SPDX-License-Identifier: GPL-2.0
/*
 * When commits and checkpoints run: for flushes and FUA writes, by a timer, and
 * when the engine asks for them; and readahead, for which it asks as well.
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

static void wait_for_others(struct qvault_target *qt)
{
	u64 ns = min_t(u64, qt->commit_ns / WAIT_PART, WAIT_MOST_NS);

	if (qt->wait_not) {
		qt->wait_not--;
		return;
	}
	if (ns < WAIT_LEAST_NS || !READ_ONCE(qt->nr_flushes))
		return;
	if (wait_event_hrtimeout(qt->flush_wait,
				 READ_ONCE(qt->nr_flushes) >= qt->flushes_expected,
				 ns_to_ktime(ns)))
		qt->wait_not = WAIT_NOT;
}

/* Takes all that wait; returns how many. */
static u32 take_flushes(struct qvault_target *qt, struct bio_list *waiting)
{
	u32 nr;

	spin_lock_irq(&qt->flush_lock);
	*waiting = qt->flushes;
	nr = qt->nr_flushes;
	bio_list_init(&qt->flushes);
	qt->nr_flushes = 0;
	spin_unlock_irq(&qt->flush_lock);
	return nr;
}

static void commit_work(struct work_struct *work)
{
	struct qvault_target *qt =
		container_of(work, struct qvault_target, commit_work);
	unsigned int noio = memalloc_noio_save();
	struct bio_list waiting;
	blk_status_t status;
	struct bio *bio;
	u64 start;
	u32 nr;

	wait_for_others(qt);
	nr = take_flushes(qt, &waiting);
	start = ktime_get_ns();
	status = errno_to_blk_status(qvault_commit(&qt->v));
	qt->commit_ns = ktime_get_ns() - start;
	qt->flushes_expected = nr + READ_ONCE(qt->nr_flushes);
	while ((bio = bio_list_pop(&waiting)))
		qvault_bio_end(qt, bio, status);
	memalloc_noio_restore(noio);
}

static void commit_timer_work(struct work_struct *work)
{
	struct qvault_target *qt =
		container_of(work, struct qvault_target, commit_timer.work);

	commit_work(&qt->commit_work);
}

static void checkpoint_work(struct work_struct *work)
{
	struct qvault_target *qt =
		container_of(work, struct qvault_target, checkpoint_work);
	unsigned int noio = memalloc_noio_save();

	qvault_checkpoint(&qt->v);
	memalloc_noio_restore(noio);
}

static void readahead_work(struct work_struct *work)
{
	struct qvault_ahead *ahead =
		container_of(work, struct qvault_ahead, work);
	unsigned int noio = memalloc_noio_save();

	qvault_readahead(&ahead->qt->v, READ_ONCE(ahead->leaf));
	memalloc_noio_restore(noio);
}

/**
 * qvault_flush_init() - prepare for flushes
 * @qt: the target
 */
void qvault_flush_init(struct qvault_target *qt)
{
	u32 i;

	spin_lock_init(&qt->flush_lock);
	bio_list_init(&qt->flushes);
	init_waitqueue_head(&qt->flush_wait);
	INIT_WORK(&qt->commit_work, commit_work);
	INIT_DELAYED_WORK(&qt->commit_timer, commit_timer_work);
	INIT_WORK(&qt->checkpoint_work, checkpoint_work);
	for (i = 0; i < QVAULT_LEAVES_AHEAD; i++) {
		qt->ahead[i].qt = qt;
		INIT_WORK(&qt->ahead[i].work, readahead_work);
	}
}

/**
 * qvault_flush_bio() - end a bio once all that has ended before it is durable
 * @qt: the target
 * @bio: an empty flush, or a FUA write that is otherwise complete
 *
 * An ephemeral vault has nothing to promise, and one that is only read has
 * nothing that is not durable already.
 *
 * Context: Any but hard interrupts.
 */
void qvault_flush_bio(struct qvault_target *qt, struct bio *bio)
{
	unsigned long flags;

	if (qvault_ephemeral(&qt->v) || qt->v.read_only) {
		qvault_bio_end(qt, bio, READ_ONCE(qt->v.mode) == QVAULT_MODE_FAILED ?
			       BLK_STS_IOERR : BLK_STS_OK);
		return;
	}
	spin_lock_irqsave(&qt->flush_lock, flags);
	bio_list_add(&qt->flushes, bio);
	WRITE_ONCE(qt->nr_flushes, qt->nr_flushes + 1);
	wake_up(&qt->flush_wait);
	/*
	 * Before the lock lets a commit that runs already end the bio: a vault
	 * without bios may be detached, and no commit must begin then.
	 */
	queue_work(qt->commit_wq, &qt->commit_work);
	spin_unlock_irqrestore(&qt->flush_lock, flags);
}

/**
 * qvault_flush_arm() - something was written: commit it before long
 * @qt: the target
 *
 * Context: Any; a bio that has not been ended yet keeps the target alive.
 */
void qvault_flush_arm(struct qvault_target *qt)
{
	if (!qt->args.commit_seconds || qvault_ephemeral(&qt->v) ||
	    delayed_work_pending(&qt->commit_timer))
		return;
	queue_delayed_work(qt->commit_wq, &qt->commit_timer,
			   qt->args.commit_seconds * HZ);
}

/**
 * qvault_flush_stop() - no commit, checkpoint, readahead runs by itself after this
 * @qt: the target, with no bio in flight
 *
 * Context: May sleep.
 */
void qvault_flush_stop(struct qvault_target *qt)
{
	u32 i;

	WRITE_ONCE(qt->active, false);
	cancel_delayed_work_sync(&qt->commit_timer);
	flush_workqueue(qt->commit_wq);
	flush_workqueue(qt->checkpoint_wq);
	/* Only reads ask for it. */
	for (i = 0; i < QVAULT_LEAVES_AHEAD; i++)
		cancel_work_sync(&qt->ahead[i].work);
}

/**
 * qvault_kick_checkpoint() - ask for a checkpoint soon, on another thread
 * @v: the vault
 *
 * Context: Any.
 */
void qvault_kick_checkpoint(struct qvault *v)
{
	struct qvault_target *qt = qvault_target_of(v);

	if (READ_ONCE(qt->active))
		queue_work(qt->checkpoint_wq, &qt->checkpoint_work);
}

/**
 * qvault_kick_readahead() - ask for readahead of a leaf soon, on another thread
 * @v: the vault
 * @leaf: see qvault_readahead(); may take the place of another one
 *
 * Context: Any; a bio that has not been ended yet keeps the target alive.
 */
void qvault_kick_readahead(struct qvault *v, u64 leaf)
{
	struct qvault_target *qt = qvault_target_of(v);
	struct qvault_ahead *ahead = &qt->ahead[leaf % QVAULT_LEAVES_AHEAD];

	WRITE_ONCE(ahead->leaf, leaf);
	if (READ_ONCE(qt->active))
		queue_work(qt->read_wq, &ahead->work);
}
