// SPDX-License-Identifier: GPL-2.0
/*
 * Freed blocks are passed down, if so wished: the device below may forget them.
 *
 * Not by who frees them, for others wait for commits and checkpoints; these only leave
 * hints, in which ranges they have freed something.  A thread of its own takes them up
 * later, and discards what is free there by then: so nothing is ever discarded that may
 * not be overwritten as well.  Nothing is allocated while discards are under way, or
 * they would hit a block in its next life; so few are, together, at a time.
 *
 * Another life of this memory may have used what is free for us.  So the anchor is
 * looked at first, as before anything else that others cannot tell from theirs.
 */
#include "qvault.h"

/**
 * qvault_trim_init() - get memory for hints, if any are wanted
 * @v: vault that is attached or resumed
 *
 * Without it nothing is passed down.
 *
 * Context: sleeps; nothing else uses the vault.
 */
void qvault_trim_init(struct qvault *v)
{
	if (!v->allow_discards || v->read_only)
		return;
	if (!v->trim.range)
		v->trim.range = kvcalloc(QVAULT_MAX_TRIM, sizeof(*v->trim.range),
					 GFP_KERNEL);
	if (!v->trim_later.range)
		v->trim_later.range = kvcalloc(QVAULT_MAX_TRIM,
					       sizeof(*v->trim_later.range), GFP_KERNEL);
}

void qvault_trim_exit(struct qvault *v)
{
	kvfree(v->trim.range);
	kvfree(v->trim_later.range);
	memset(&v->trim, 0, sizeof(v->trim));
	memset(&v->trim_later, 0, sizeof(v->trim_later));
}

/* If there are too many the last one becomes as large as need be. */
static void add(struct qvault_trim *trim, u64 first, u64 count)
{
	struct qvault_range *last;
	u64 end;

	if (!trim->range)
		return;
	last = &trim->range[trim->nr ? trim->nr - 1 : 0];
	if (trim->nr && last->block + last->count == first) {
		last->count += count;
	} else if (trim->nr < QVAULT_MAX_TRIM) {
		trim->range[trim->nr].block = first;
		trim->range[trim->nr].count = count;
		WRITE_ONCE(trim->nr, trim->nr + 1);
	} else {
		end = max(last->block + last->count, first + count);
		last->block = min(last->block, first);
		last->count = end - last->block;
	}
}

static void add_blocks(struct qvault *v, struct qvault_trim *trim, u64 block, u32 count)
{
	u64 group;
	u32 bit;

	if (v->allow_discards && qvault_locate(&v->geo, block, &group, &bit))
		add(trim, group * QVAULT_MAP_BITS + bit, count);
}

/**
 * __qvault_trim_now() - blocks are free from now on
 * @v: vault
 * @block: first one, on the data device
 * @count: how many, all of one group
 *
 * Context: alloc_lock; qvault_trim_kick() follows.
 */
void __qvault_trim_now(struct qvault *v, u64 block, u32 count)
{
	lockdep_assert_held(&v->alloc_lock);
	add_blocks(v, &v->trim, block, count);
}

/* Have qvault_trim() called if there is anything to do.  Context: Process. */
void qvault_trim_kick(struct qvault *v)
{
	if (READ_ONCE(v->trim.nr))
		qvault_kick_trim(v);
}

/**
 * qvault_trim_later() - blocks are free once the checkpoint that runs is anchored
 * @v: vault
 * @block: first one, on the data device
 * @count: how many, all of one group
 *
 * Context: checkpoint_mutex.
 */
void qvault_trim_later(struct qvault *v, u64 block, u32 count)
{
	add_blocks(v, &v->trim_later, block, count);
}

/* They are free.  Context: checkpoint_mutex. */
void qvault_trim_anchored(struct qvault *v)
{
	struct qvault_trim *later = &v->trim_later;
	u32 i;

	lockdep_assert_held(&v->checkpoint_mutex);
	spin_lock(&v->alloc_lock);
	for (i = 0; i < later->nr; i++)
		add(&v->trim, later->range[i].block, later->range[i].count);
	spin_unlock(&v->alloc_lock);
	later->nr = 0;
	qvault_trim_kick(v);
}

/* ---- By whom they are passed down ---- */

static bool take(struct qvault *v, struct qvault_range *range)
{
	struct qvault_trim *trim = &v->trim;
	bool any;

	spin_lock(&v->alloc_lock);
	any = trim->nr;
	if (any) {
		*range = trim->range[trim->nr - 1];
		WRITE_ONCE(trim->nr, trim->nr - 1);
	}
	spin_unlock(&v->alloc_lock);
	return any;
}

static void put_rest_back(struct qvault *v, const struct qvault_range *range)
{
	if (!range->count)
		return;
	spin_lock(&v->alloc_lock);
	add(&v->trim, range->block, range->count);
	spin_unlock(&v->alloc_lock);
}

/* Runs of free blocks, of the group in which a range begins. */
static u32 begin_range(struct qvault *v, struct qvault_range *range,
		       struct qvault_range *run, u32 most)
{
	u32 bit = range->block % QVAULT_MAP_BITS, from = bit, n;
	u32 end = min_t(u64, bit + range->count, QVAULT_MAP_BITS);

	n = qvault_alloc_free_runs(v, range->block / QVAULT_MAP_BITS, &bit, end, run,
				   most);
	/* The last run may go on in what was freed since, and so beyond what it was for. */
	bit = n < most ? end : bit;
	range->block += bit - from;
	range->count -= bit - from;
	return n;
}

static u32 gather(struct qvault *v, struct qvault_range run[QVAULT_TRIMS])
{
	struct qvault_range range = {};
	u64 group = QVAULT_NO_VERSION;
	u32 n = 0, groups = 0;

	while (n < QVAULT_TRIMS && (range.count || take(v, &range))) {
		/* Each may have to be read. */
		if (range.block / QVAULT_MAP_BITS != group &&
		    groups++ == QVAULT_TRIM_GROUPS)
			break;
		group = range.block / QVAULT_MAP_BITS;
		n += begin_range(v, &range, run + n, QVAULT_TRIMS - n);
	}
	put_rest_back(v, &range);
	return n;
}

static int look(struct qvault *v)
{
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v) ?: qvault_line_look(v);
	mutex_unlock(&v->commit_mutex);
	return err;
}

/**
 * qvault_trim() - pass down some of what was freed
 * @v: vault
 *
 * Context: sleeps; no lock held.
 * Return: Whether there is more.
 */
bool qvault_trim(struct qvault *v)
{
	struct qvault_range run[QVAULT_TRIMS];
	u32 n;

	if (!READ_ONCE(v->trim.nr) || look(v))
		return false;
	mutex_lock(&v->alloc_mutex);
	n = gather(v, run);
	/* Not what is another host's by now. */
	if (n && !qvault_share_look(v))
		qvault_dev_discard(v, run, n);
	mutex_unlock(&v->alloc_mutex);
	return READ_ONCE(v->trim.nr);
}
