// SPDX-License-Identifier: GPL-2.0
/*
 * Commit: everything that took effect so far becomes durable, all at once.
 */
#include "qvault.h"

/*
 * Cut the stream, the superseded blocks and, to freeze, the delta at one point.
 * Says whether there is anything to commit.
 */
static bool cut_all(struct qvault *v, struct qvault_page *spare)
{
	bool dirty;

	write_lock(&v->map_lock);
	dirty = qvault_stream_cut(v, spare);
	qvault_alloc_cut(v);
	if (spare) {
		v->live = !v->live;
		v->frozen = true;
		v->freeze_head = v->anchor.log_head + v->stream.nr_cut;
		qvault_damage_carry(v);
	}
	write_unlock(&v->map_lock);
	return dirty;
}

/*
 * What was cut becomes durable: the log, a flush, and the record that reaches it.
 * Nothing may be acknowledged, and no block reused, before this has returned.
 */
static int commit_cut(struct qvault *v)
{
	struct qvault_anchor next;
	int err = 0;

	if (qvault_lease_out(v))
		err = qvault_line_repeat(v);
	if (!err && !list_empty(&v->stream.cut))
		err = qvault_line_look(v);
	if (err)
		return err;
	next = v->anchor;
	next.commit++;
	err = qvault_log_append(v, &next);
	return err ?: qvault_line_write(v, &next, true);
}

/**
 * __qvault_commit() - the straight line of a commit
 * @v: vault
 * @spare: NULL; or, for a checkpoint, a page for the stream: then the delta is
 *	set aside too, with nothing of it left inline in the anchor, so that
 *	each pointer of it stands in the log before the tail to be, and in no
 *	later record
 *
 * After an error what was cut stays, in its order, and the next commit writes it
 * again: to the same places, which no record names yet, under new versions.
 *
 * Context: commit_mutex; sleeps.
 * Return: 0, or a negative errno: then nothing has changed, or the vault accepts no
 * more writes.
 */
int __qvault_commit(struct qvault *v, struct qvault_page *spare)
{
	int err;

	lockdep_assert_held(&v->commit_mutex);
	/* What happens from here on belongs to the next commit. */
	if (!cut_all(v, spare))
		return qvault_lease_low(v) ? qvault_line_repeat(v) : 0;
	do
		err = commit_cut(v);
	while (err == -EAGAIN);
	if (err) {
		qvault_stream_uncommitted(v);
		return err;
	}
	qvault_stream_committed(v);
	/* The anchored state names none of them any more. */
	if (!v->held)
		qvault_alloc_release(v);
	return 0;
}

/**
 * __qvault_anchor_tree() - anchor what a checkpoint made
 * @v: vault
 * @next: v->anchor with new roots and a new tail of the log
 *
 * Context: commit_mutex; sleeps.
 * Return: 0 or a negative errno, as __qvault_commit().
 */
int __qvault_anchor_tree(struct qvault *v, struct qvault_anchor *next)
{
	lockdep_assert_held(&v->commit_mutex);
	return qvault_line_write(v, next, true);
}

/**
 * qvault_commit() - make all writes that have ended durable
 * @v: vault
 *
 * Callers that come while one is under way share the next one.
 *
 * Context: sleeps; no lock held.
 * Return: 0: they are durable.  A negative errno: they may not be; if the vault
 * still accepts writes, the next commit tries again.
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
