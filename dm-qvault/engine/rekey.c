// SPDX-License-Identifier: GPL-2.0
/*
 * Another master key.
 *
 * Only the record changes: the same secrets, wrapped for the new key, under its MAC.
 * It goes into both slots.  Cut off before the first is written, the old key opens the
 * vault; between the two, either does, and says the same; after the second, only the
 * new one.  Whether a slot that says it is of another key was torn, nobody but that
 * key can tell; so it is no reason to refuse the one that is whole.
 */
#include "qvault.h"

/**
 * qvault_key_change() - wrap all secrets for another master key
 * @v: vault that is attached
 * @opener: of that key; after success of the old one
 *
 * Context: sleeps; no lock held.
 * Return: 0: from now on only the new key opens the vault.  A negative errno: the old
 * one does, and perhaps the new one too.
 */
int qvault_key_change(struct qvault *v, struct qvault_opener **opener)
{
	struct qvault_anchor next;
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_ephemeral(v) ? -EOPNOTSUPP : qvault_may_write(v);
	/* See begin_table() in generation.c. */
	if (!err)
		err = __qvault_commit(v, NULL);
	next = v->anchor;
	if (!err)
		err = qvault_crypto_rewrap(v->crypto, *opener, next.gen, next.check);
	if (!err)
		err = qvault_line_rekey(v, &next, opener);
	if (!err)
		err = qvault_line_repeat(v);
	/* The record that is held is of the old key, which shall open nothing more. */
	if (!err)
		__qvault_hold_end(v);
	mutex_unlock(&v->commit_mutex);
	return err;
}
