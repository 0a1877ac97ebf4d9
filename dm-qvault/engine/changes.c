// SPDX-License-Identifier: GPL-2.0
/*
 * What a checkpoint changes in the allocation map.
 */
#include <linux/sort.h>

#include "qvault.h"

/*
 * An item is a run: from the top its first block, so that they sort by it, 15 bits
 * for the number of blocks less one, and whether they are in use.
 */
#define COUNT_MASK	0x7fffu
#define BLOCK_SHIFT	16
static_assert(QVAULT_WHERE_BITS + BLOCK_SHIFT <= 64);

static u64 item_block(u64 item)
{
	return item >> BLOCK_SHIFT;
}

static u32 item_count(u64 item)
{
	return (item >> 1 & COUNT_MASK) + 1;
}

static bool item_in_use(u64 item)
{
	return item & 1;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	/* A long sort takes milliseconds, and does not look up by itself. */
	cond_resched();
	return x < y ? -1 : x > y;
}

/*
 * A block changes once in a checkpoint: a tree never names a block twice, and
 * a fresh block is not in the anchored map.  If that does not hold, the volume
 * would lose data sooner or later: stop now.
 *
 * But a map that was damaged says of more blocks that they are in use than there
 * are (@leaky), and a fresh block may be one of them.
 */
static int change_in_use(unsigned long *bits, u32 bit, bool in_use, bool leaky)
{
	bool same = !!test_bit(bit, bits) == in_use;

	if (same && in_use && leaky)
		return 0;
	if (WARN_ON_ONCE(same))
		return -EUCLEAN;
	if (in_use)
		__set_bit(bit, bits);
	else
		__clear_bit(bit, bits);
	return 0;
}

static int apply_run(struct qvault_changes *changes, u64 item)
{
	struct qvault_cursor *c = changes->cursor;
	u64 block = item_block(item), end = block + item_count(item), group;
	void *bits;
	u32 bit;
	int err;

	if (!item_in_use(item))
		qvault_trim_later(c->v, block, item_count(item));
	for (; block < end; block++) {
		if (!qvault_locate(&c->v->geo, block, &group, &bit))
			return -EUCLEAN;
		err = qvault_cursor_leaf(c, group, &bits);
		if (!err)
			err = change_in_use(bits, bit, item_in_use(item),
					    changes->leaky || c->replaced);
		if (err)
			return err;
		qvault_cursor_dirty(c);
	}
	return 0;
}

/* The groups that a run is in. */
static bool groups_of(const struct qvault_geometry *geo, u64 item, struct qvault_leaves *span)
{
	u64 block = item_block(item);
	u32 bit;

	if (!qvault_locate(geo, block, &span->from, &bit) ||
	    !qvault_locate(geo, block + item_count(item) - 1, &span->end, &bit))
		return false;
	span->end++;
	return true;
}

/* Before the map's cursor goes where item @i says: are the map blocks there? */
static void look_ahead(struct qvault_changes *changes, u32 i, u64 *end)
{
	struct qvault_cursor *c = changes->cursor;
	struct qvault_leaves *span = c->fetch ? c->fetch->span : NULL;
	u32 n = 0;

	if (!span || !groups_of(&c->v->geo, changes->item[i], span) || span->end <= *end)
		return;
	for (i++, n = 1; n < QVAULT_SPANS && i < changes->nr; i++) {
		if (!groups_of(&c->v->geo, changes->item[i], &span[n]))
			break;
		span[n].from = max(span[n].from, span[n - 1].end);
		n += span[n].from < span[n].end;
	}
	*end = qvault_cursor_ahead(c, n);
}

/**
 * qvault_changes_apply() - carry the changes gathered so far into the new map
 * @changes: changes; empty afterwards
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_changes_apply(struct qvault_changes *changes)
{
	struct qvault_cursor *c = changes->cursor;
	u64 ahead_end = 0;
	u32 i;
	int err;

	sort(changes->item, changes->nr, sizeof(*changes->item), compare, NULL);
	for (i = 0; i < changes->nr; i++) {
		look_ahead(changes, i, &ahead_end);
		err = apply_run(changes, changes->item[i]);
		if (err)
			return err;
	}
	changes->nr = 0;
	err = qvault_cursor_finish(c);
	/*
	 * The next pass may change a node again, and write it to the same place:
	 * two writes of one block at once have no order, and a read in between
	 * would find neither.
	 */
	return err ?: qvault_batch_wait(c->batch);
}

/* Does @block continue a run that was added just now?  Then it is part of it. */
static bool extend(u64 *item, u64 block, bool in_use)
{
	if (item_in_use(*item) != in_use || item_count(*item) > COUNT_MASK ||
	    item_block(*item) + item_count(*item) != block)
		return false;
	*item += 2;	/* one more block */
	return true;
}

/**
 * qvault_changes_add() - a data block comes into use, or goes out of it
 * @changes: changes
 * @block: on the data device
 * @in_use: which of the two
 *
 * What was overwritten in order is two runs that grow in turn: the old blocks
 * and the new ones.
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0 or a negative errno; -EUCLEAN if there is no such block.
 */
int qvault_changes_add(struct qvault_changes *changes, u64 block, bool in_use)
{
	u32 i;
	int err = 0;

	/* It would not fit, and be taken for another; no volume has such a block. */
	if (block > QVAULT_WHERE_MASK)
		return -EUCLEAN;
	for (i = 1; i <= 2 && i <= changes->nr; i++)
		if (extend(&changes->item[changes->nr - i], block, in_use))
			return 0;
	if (changes->nr == QVAULT_MAX_CHANGES)
		err = qvault_changes_apply(changes);
	if (!err)
		changes->item[changes->nr++] = block << BLOCK_SHIFT | in_use;
	return err;
}
