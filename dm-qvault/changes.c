// SPDX-License-Identifier: GPL-2.0
/*
 * What a checkpoint changes in the allocation map.
 */
#include <linux/sort.h>

#include "qvault.h"

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/*
 * A block changes once in a checkpoint: a tree never names a block twice, and
 * a fresh block is not in the anchored map.  If that does not hold, the volume
 * would lose data sooner or later: stop now.
 */
static int change_in_use(unsigned long *bits, u32 bit, bool in_use)
{
	if (WARN_ON_ONCE(!!test_bit(bit, bits) == in_use))
		return -EUCLEAN;
	if (in_use)
		__set_bit(bit, bits);
	else
		__clear_bit(bit, bits);
	return 0;
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
	u64 group;
	void *bits;
	u32 i, bit;
	int err;

	sort(changes->item, changes->nr, sizeof(*changes->item), compare, NULL);
	for (i = 0; i < changes->nr; i++) {
		if (!qvault_locate(&c->v->geo, changes->item[i] >> 1, &group,
				   &bit))
			return -EUCLEAN;
		err = qvault_cursor_leaf(c, group, &bits);
		if (!err)
			err = change_in_use(bits, bit, changes->item[i] & 1);
		if (err)
			return err;
		qvault_cursor_dirty(c);
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

/**
 * qvault_changes_add() - a data block comes into use, or goes out of it
 * @changes: changes
 * @block: on the data device
 * @in_use: which of the two
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_changes_add(struct qvault_changes *changes, u64 block, bool in_use)
{
	int err = 0;

	if (changes->nr == QVAULT_MAX_CHANGES)
		err = qvault_changes_apply(changes);
	if (!err)
		changes->item[changes->nr++] = block << 1 | in_use;
	return err;
}
