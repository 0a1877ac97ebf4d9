// SPDX-License-Identifier: GPL-2.0
/*
 * A moment that stays.
 *
 * No order of copying anchor and data device gives one state of a vault in use.  But
 * while no checkpoint runs, and no block that a commit supersedes is used again, all
 * that one record reaches stays where it is: commits write to fresh blocks and to log
 * blocks behind its own.  So whoever has the record may copy the data device meanwhile,
 * in any order.
 *
 * A writer who needs a checkpoint does not wait for that: he ends it, and the copy is
 * of no use.
 */
#include "qvault.h"

/**
 * __qvault_hold_end() - nothing stays that is not needed
 * @v: vault
 *
 * What was superseded meanwhile is free after the next commit, which there must be:
 * who waits for these blocks may have nothing else to commit.
 *
 * Context: commit_mutex; sleeps.
 */
void __qvault_hold_end(struct qvault *v)
{
	lockdep_assert_held(&v->commit_mutex);
	if (!v->held)
		return;
	kfree(v->held);
	WRITE_ONCE(v->held, NULL);
	write_lock(&v->map_lock);
	v->stream.dirty = true;
	write_unlock(&v->map_lock);
}

static int hold(struct qvault *v, struct qvault_disk_anchor *record)
{
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	if (!err) {
		memcpy(record, v->line.record, sizeof(*record));
		WRITE_ONCE(v->held, record);
	}
	mutex_unlock(&v->commit_mutex);
	return err;
}

/**
 * qvault_hold() - keep what the newest record reaches, until qvault_release()
 * @v: vault that is attached
 *
 * After a checkpoint, so that little of what follows stands in the way.
 *
 * Context: sleeps; no lock held.
 * Return: 0; -EBUSY if another one is being held; or another negative errno.
 */
int qvault_hold(struct qvault *v)
{
	struct qvault_disk_anchor *record;
	int err;

	if (qvault_ephemeral(v))
		return -EOPNOTSUPP;
	record = kmalloc(sizeof(*record), GFP_NOIO);
	if (!record)
		return -ENOMEM;
	/* One that has begun when the record is taken would supersede what that reaches. */
	mutex_lock(&v->checkpoint_mutex);
	/* And one that begins ends what is held. */
	err = READ_ONCE(v->held) ? -EBUSY : __qvault_checkpoint(v);
	if (!err)
		err = hold(v, record);
	mutex_unlock(&v->checkpoint_mutex);
	if (err)
		kfree(record);
	return err;
}

/**
 * qvault_held() - the record whose blocks stay
 * @v: vault
 * @record: receives it
 *
 * Context: sleeps; no lock held.
 * Return: 0; -ETIME if there is none; -EINTR: killed, for storage need not answer.
 */
int qvault_held(struct qvault *v, struct qvault_disk_anchor *record)
{
	int err = mutex_lock_killable(&v->commit_mutex);

	if (err)
		return err;
	if (v->held)
		memcpy(record, v->held, sizeof(*record));
	else
		err = -ETIME;
	mutex_unlock(&v->commit_mutex);
	return err;
}

/* A checkpoint begins that somebody needs, or the vault ends.  Context: sleeps. */
void qvault_hold_end(struct qvault *v)
{
	mutex_lock(&v->commit_mutex);
	__qvault_hold_end(v);
	mutex_unlock(&v->commit_mutex);
}

/**
 * qvault_release() - let go of what a record reaches
 * @v: vault
 * @sequence: of the record
 *
 * Context: sleeps; no lock held.
 * Return: 0: it stayed until now; -ETIME: it did not; -EINTR: killed; or another
 * negative errno: the vault has stopped, or somebody else goes on from its record.
 */
int qvault_release(struct qvault *v, u64 sequence)
{
	int err = mutex_lock_killable(&v->commit_mutex);

	if (err)
		return err;
	err = -ETIME;
	if (v->held && le64_to_cpu(v->held->sequence) == sequence) {
		__qvault_hold_end(v);
		/* Another life may have taken over, and use what was to stay. */
		err = qvault_may_write(v) ?: qvault_line_unbroken(v);
	}
	mutex_unlock(&v->commit_mutex);
	return err;
}
