// SPDX-License-Identifier: GPL-2.0
/*
 * When commits and checkpoints run: for flushes and FUA writes, by a timer, and
 * when the engine asks for them.
 *
 * Whatever waits for a commit is on one list.  One thread takes all of it,
 * commits once, and ends it all; what comes meanwhile shares the next commit.
 */
#include <linux/sched/mm.h>

#include "platform.h"

static void commit_work(struct work_struct *work)
{
	struct qvault_target *qt =
		container_of(work, struct qvault_target, commit_work);
	unsigned int noio = memalloc_noio_save();
	struct bio_list waiting;
	blk_status_t status;
	struct bio *bio;

	spin_lock_irq(&qt->flush_lock);
	waiting = qt->flushes;
	bio_list_init(&qt->flushes);
	spin_unlock_irq(&qt->flush_lock);

	status = errno_to_blk_status(qvault_commit(&qt->v));
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

/**
 * qvault_flush_init() - prepare for flushes
 * @qt: the target
 */
void qvault_flush_init(struct qvault_target *qt)
{
	spin_lock_init(&qt->flush_lock);
	bio_list_init(&qt->flushes);
	INIT_WORK(&qt->commit_work, commit_work);
	INIT_DELAYED_WORK(&qt->commit_timer, commit_timer_work);
	INIT_WORK(&qt->checkpoint_work, checkpoint_work);
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
	spin_unlock_irqrestore(&qt->flush_lock, flags);
	queue_work(qt->commit_wq, &qt->commit_work);
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
 * qvault_flush_stop() - no commit nor checkpoint runs by itself after this
 * @qt: the target, with no bio in flight
 *
 * Context: May sleep.
 */
void qvault_flush_stop(struct qvault_target *qt)
{
	WRITE_ONCE(qt->active, false);
	cancel_delayed_work_sync(&qt->commit_timer);
	flush_workqueue(qt->commit_wq);
	flush_workqueue(qt->checkpoint_wq);
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
