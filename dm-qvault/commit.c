// SPDX-License-Identifier: GPL-2.0
/*
 * Commit: everything that took effect so far becomes durable, all at once.
 */
#include "qvault.h"

/* Cut the stream, the superseded blocks and, to freeze, the delta at one point. */
static void cut_all(struct qvault *v, struct qvault_page *spare,
		    struct qvault_cut *cut)
{
	write_lock(&v->map_lock);
	qvault_stream_cut(v, spare, cut);
	qvault_alloc_cut(v);
	if (spare) {
		v->live = !v->live;
		v->frozen = true;
		qvault_damage_carry(v);
	}
	write_unlock(&v->map_lock);
}

/*
 * Flush, then anchor: what an anchor record reaches is durable before it.
 * Nothing may be acknowledged, and no block reused, before this has returned.
 */
static int flush_and_anchor(struct qvault *v, struct qvault_anchor *next)
{
	int err;

	if (!qvault_ephemeral(v)) {
		err = qvault_dev_flush(v->data);
		if (err)
			return err;
		atomic64_inc(&v->counters.flushes);
	}
	return qvault_anchor_write(v, next, qvault_stream_inline(v),
				   v->stream.inline_bytes);
}

/**
 * __qvault_commit() - the straight line of a commit
 * @v: vault
 * @spare: NULL; or, for a checkpoint, a page for the stream: then the delta is
 *	set aside too, with nothing of it left inline in the anchor, so that
 *	each pointer of it stands in the log before the tail to be, and in no
 *	later record
 *
 * Context: commit_mutex; sleeps.
 * Return: 0, or a negative errno, and then the vault has failed.
 */
int __qvault_commit(struct qvault *v, struct qvault_page *spare)
{
	struct qvault_anchor next;
	struct qvault_cut cut;
	int err;

	lockdep_assert_held(&v->commit_mutex);
	next = v->anchor;

	/* What happens from here on belongs to the next commit. */
	cut_all(v, spare, &cut);
	if (!cut.dirty)
		return 0;
	next.commit++;

	err = qvault_log_append(v, &cut, &next);
	if (!err)
		err = flush_and_anchor(v, &next);
	if (err) {
		qvault_fail(v, "commit", err);
		return err;
	}

	/* The anchored state names none of them any more. */
	qvault_alloc_release(v);
	return 0;
}

/**
 * __qvault_anchor_tree() - anchor what a checkpoint made
 * @v: vault
 * @next: v->anchor with new roots and a new tail of the log
 *
 * Context: commit_mutex; sleeps.
 * Return: 0 or a negative errno; the caller fails the vault.
 */
int __qvault_anchor_tree(struct qvault *v, struct qvault_anchor *next)
{
	lockdep_assert_held(&v->commit_mutex);
	return flush_and_anchor(v, next);
}

/**
 * qvault_commit() - make all writes that have ended durable
 * @v: vault
 *
 * Callers that come while one is under way share the next one.
 *
 * Context: sleeps; no lock held.
 * Return: 0: they are durable.  A negative errno: they may not be.
 */
int qvault_commit(struct qvault *v)
{
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	if (!err)
		err = __qvault_commit(v, NULL);
	mutex_unlock(&v->commit_mutex);
	return err;
}
