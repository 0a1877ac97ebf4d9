// SPDX-License-Identifier: GPL-2.0
/*
 * One funnel for everything that goes wrong.
 */
#include "qvault.h"

/**
 * qvault_fail() - stop a vault
 * @v: vault
 * @what: the operation that failed, for the report
 * @err: negative errno
 *
 * What is durable is not known any more, so no write and no flush is accepted
 * until the vault is attached again; reads of verified state go on.  Only the
 * first call does anything.
 *
 * Context: Any process context; no lock needed.
 */
void qvault_fail(struct qvault *v, const char *what, int err)
{
	if (cmpxchg(&v->mode, QVAULT_MODE_WRITE, QVAULT_MODE_FAILED) !=
	    QVAULT_MODE_WRITE)
		return;
	qvault_report_failure(v, what, err);
	wake_up_all(&v->room_wait);
}

/**
 * qvault_may_write() - ask whether writes and flushes are accepted
 * @v: vault
 *
 * Context: Any.
 * Return: 0; -EIO after a failure, -EROFS, or -ENODEV when not attached.
 */
int qvault_may_write(struct qvault *v)
{
	switch (READ_ONCE(v->mode)) {
	case QVAULT_MODE_WRITE:
		return 0;
	case QVAULT_MODE_READ_ONLY:
		return -EROFS;
	case QVAULT_MODE_FAILED:
	case QVAULT_MODE_TAKEN:
		return -EIO;
	default:
		return -ENODEV;
	}
}

/**
 * qvault_may_read() - ask whether reads are answered
 * @v: vault
 *
 * Context: Any.
 * Return: 0, or -EIO if the blocks may be somebody else's by now.
 */
int qvault_may_read(const struct qvault *v)
{
	return READ_ONCE(v->mode) == QVAULT_MODE_TAKEN ? -EIO : 0;
}

/**
 * qvault_taken() - somebody else goes on from our record: stop at once
 * @v: vault
 * @epoch: of the record that was found
 * @sequence: of it
 *
 * Nothing is written to either device any more, and nothing is read: what the
 * other has freed it may have used again.
 *
 * Context: sleeps.
 */
void qvault_taken(struct qvault *v, u64 epoch, u64 sequence)
{
	enum qvault_mode mode = READ_ONCE(v->mode);

	qvault_report_taken(v, epoch, sequence);
	if (mode != QVAULT_MODE_DETACHED)
		WRITE_ONCE(v->mode, QVAULT_MODE_TAKEN);
	wake_up_all(&v->room_wait);
}

/**
 * qvault_corrupt() - count and report a block that failed its authentication
 * @v: vault
 * @kind: of the block
 * @id: of the block, see struct qvault_disk_seal
 *
 * Context: Process context, no spinlock held.
 * Return: -EILSEQ, always.
 */
int qvault_corrupt(struct qvault *v, enum qvault_kind kind, u64 id)
{
	atomic64_inc(&v->counters.corruptions);
	qvault_report_corruption(v, kind, id);
	return -EILSEQ;
}
