// SPDX-License-Identifier: GPL-2.0
/*
 * Generations: the secrets that blocks are sealed with.
 *
 * All new blocks are of one generation; the others are there for what was sealed
 * before.  A clone, and whoever wants new keys, begins another one.  One that nothing
 * names any more is dropped, and then its blocks, wherever copies of them are, open
 * nothing.
 *
 * What a tree names, its root tells.  What the log names from the tail on is in the
 * live delta, once a checkpoint has ended; and the log's own blocks after the tail are
 * of the generation that seals, since it does not change between a freeze and the end
 * of its checkpoint.  So only writes that have begun and not ended are left to count.
 */
#include "qvault.h"

static bool is_there(const struct qvault_anchor *a, u32 gen)
{
	return memchr_inv(&a->gen[gen], 0, sizeof(a->gen[gen]));
}

/* The set of generations that a record knows. */
u32 qvault_generations(const struct qvault_anchor *a)
{
	u32 gen, set = 0;

	for (gen = 0; gen < QVAULT_GENERATIONS; gen++)
		if (is_there(a, gen))
			set |= BIT(gen);
	return set;
}

/**
 * qvault_generations_open() - bring all keys of the record into memory
 * @v: vault being attached; v->anchor is set
 *
 * Context: sleeps.
 * Return: 0; an error of qvault_crypto_open(); -EUCLEAN if the generation that seals
 * is not there; or another negative errno.
 */
int qvault_generations_open(struct qvault *v)
{
	const struct qvault_anchor *a = &v->anchor;
	u32 gen;
	int err = 0;

	if (qvault_ephemeral(v))
		return 0;
	if (a->seal >= QVAULT_GENERATIONS || !is_there(a, a->seal))
		return -EUCLEAN;
	for (gen = 0; gen < QVAULT_GENERATIONS && !err; gen++) {
		if (is_there(a, gen))
			err = qvault_crypto_open(v->crypto, gen, &a->gen[gen]);
		else
			qvault_crypto_forget(v->crypto, gen);
	}
	return err;
}

/*
 * What a commit has cut and failed to write may have been inline in the newest record,
 * and would be in no log and no record after another one; so a commit comes first.
 */
static int begin_table(struct qvault *v, struct qvault_anchor *next)
{
	int err;

	/* After a flush that failed another one may succeed, and prove nothing. */
	err = qvault_may_write(v);
	if (!err)
		err = __qvault_commit(v, NULL);
	*next = v->anchor;
	return err;
}

/* In both slots, so that neither brings a table of the past back. */
static int write_table(struct qvault *v, struct qvault_anchor *next)
{
	return qvault_line_write(v, next, true) ?: qvault_line_repeat(v);
}

static int begin_generation(struct qvault *v, enum qvault_mac mac)
{
	u32 set = qvault_generations(&v->anchor), gen = ffz(set);
	struct qvault_anchor next;
	int err;

	/* The last one is for who must go on without the newest record: restore. */
	if (hweight32(set) >= QVAULT_GENERATIONS - 1)
		return -ENOSPC;
	err = begin_table(v, &next);
	if (!err)
		err = qvault_crypto_create(v->crypto, gen, mac, &next.gen[gen]);
	if (err)
		return err;
	next.seal = gen;
	err = write_table(v, &next);
	/* Nothing was sealed under it, unless a record may say that it is there. */
	if (err && v->anchor.seal != gen)
		qvault_crypto_forget(v->crypto, gen);
	return err;
}

/**
 * qvault_generation_new() - seal new blocks under a new secret
 * @v: vault that is attached
 * @mac: how its blocks are authenticated
 *
 * Context: sleeps; no lock held.
 * Return: 0; -ENOSPC if all but one that a record has room for are in use; -EROFS; or
 * another negative errno: if the vault may still write, nothing has changed.
 */
int qvault_generation_new(struct qvault *v, enum qvault_mac mac)
{
	int err;

	if (qvault_ephemeral(v))
		return -EOPNOTSUPP;
	/* Not under what writers wait for, who may be what memory waits for. */
	err = qvault_crypto_prepare(v->crypto, mac);
	if (err)
		return err;
	mutex_lock(&v->checkpoint_mutex);
	mutex_lock(&v->commit_mutex);
	err = begin_generation(v, mac);
	mutex_unlock(&v->commit_mutex);
	mutex_unlock(&v->checkpoint_mutex);
	return err;
}

/* Those that nothing names: neither what is durable nor what is in memory. */
static u32 unused(struct qvault *v)
{
	const struct qvault_anchor *a = &v->anchor;
	u32 gen, set;

	read_lock(&v->map_lock);
	set = qvault_generations(a) & ~BIT(a->seal);
	/* A write is in the delta before it has ended. */
	for (gen = 0; gen < QVAULT_GENERATIONS; gen++)
		if (atomic_read(&v->writing[gen]))
			set &= ~BIT(gen);
	set &= ~(v->delta[0].gens | v->delta[1].gens);
	set &= ~(qvault_ptr_gens(&a->tree.ptr) | qvault_ptr_gens(&a->map.ptr));
	read_unlock(&v->map_lock);
	return set;
}

/**
 * qvault_generations_drop() - forget the secrets that nothing needs any more
 * @v: vault in which a checkpoint has just ended
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0 or a negative errno: they are dropped another time.
 */
int qvault_generations_drop(struct qvault *v)
{
	unsigned long set = qvault_ephemeral(v) ? 0 : unused(v);
	struct qvault_anchor next;
	u32 gen;
	int err;

	if (!set)
		return 0;
	mutex_lock(&v->commit_mutex);
	err = begin_table(v, &next);
	for_each_set_bit(gen, &set, QVAULT_GENERATIONS)
		memset(&next.gen[gen], 0, sizeof(next.gen[gen]));
	if (!err)
		err = write_table(v, &next);
	/* Of two slots one may have been written. */
	set &= ~qvault_generations(&v->anchor);
	mutex_unlock(&v->commit_mutex);
	for_each_set_bit(gen, &set, QVAULT_GENERATIONS)
		qvault_crypto_forget(v->crypto, gen);
	return err;
}
