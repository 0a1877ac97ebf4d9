// SPDX-License-Identifier: GPL-2.0
/*
 * A volume grows: one record with larger numbers.
 *
 * The layout is such that nothing moves, so there is nothing else to write.  Blocks
 * that are new have never been mapped, and read as zeros; map blocks that are new
 * have never been written, and say that all is free.  The levels that the trees lack
 * are made by the next checkpoint that changes something.
 */
#include "qvault.h"

static int refuse(struct qvault *v, const char *reason, int err)
{
	v->reason = reason;
	return err;
}

/* The new layout, if it can be had. */
static int plan(struct qvault *v, u64 data_blocks, u64 logical_blocks,
		struct qvault_geometry *geo)
{
	int err;

	if (data_blocks < v->geo.data_blocks || logical_blocks < v->geo.logical_blocks)
		return refuse(v, "a volume does not shrink: blocks stand everywhere on its device",
			      -EINVAL);
	if (data_blocks > qvault_dev_blocks(v->data))
		return refuse(v, "the data device is not as large as that", -ENXIO);
	err = qvault_geometry_init(geo, data_blocks, logical_blocks,
				   v->geo.log_blocks);
	if (err)
		return refuse(v, err == -ENOSPC ?
			      "the data device is too small for a volume of that size" :
			      "a data device cannot be that large", err);
	return 0;
}

/*
 * Nobody reads or writes; a report may look at the numbers, under map_lock, and a
 * table that is loaded at this moment is compared again before it is resumed.
 */
static void take(struct qvault *v, const struct qvault_geometry *geo)
{
	mutex_lock(&v->alloc_mutex);
	write_lock(&v->map_lock);
	v->geo = *geo;
	write_unlock(&v->map_lock);
	qvault_alloc_grown(v);
	mutex_unlock(&v->alloc_mutex);
}

/*
 * Both slots, or the one that rots would leave a record that is too small for what
 * is written from now on.
 */
static int grow(struct qvault *v, const struct qvault_geometry *geo)
{
	int err;

	mutex_lock(&v->checkpoint_mutex);
	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	if (!err)
		err = qvault_line_resize(v, geo);
	if (!err) {
		take(v, geo);
		err = qvault_line_repeat(v);
	}
	mutex_unlock(&v->commit_mutex);
	mutex_unlock(&v->checkpoint_mutex);
	return err ? refuse(v, "cannot write the larger size to the anchor", err) : 0;
}

/**
 * qvault_grow() - make a volume larger
 * @v: vault that is attached
 * @data_blocks: that it uses of the data device; no less than now
 * @logical_blocks: its own size; no less than now
 *
 * A crash leaves it as it was, or grown; either is whole.
 *
 * Context: no read, write or unmap is under way; sleeps.
 * Return: 0; or a negative errno, with v->reason in words: -EINVAL it would shrink;
 * -ENXIO the data device is smaller; -ENOSPC it does not fit; -EFBIG; or what went
 * wrong with the record: then the vault may have stopped, and have either size.
 */
int qvault_grow(struct qvault *v, u64 data_blocks, u64 logical_blocks)
{
	struct qvault_geometry geo;
	int err;

	if (data_blocks == v->geo.data_blocks &&
	    logical_blocks == v->geo.logical_blocks)
		return 0;
	err = plan(v, data_blocks, logical_blocks, &geo);
	return err ?: grow(v, &geo);
}

/**
 * qvault_grow_to_table() - grow to what the table line says, if it says to grow
 * @v: vault that is attached
 *
 * The volume takes all of the data device.
 *
 * Context: as qvault_grow().
 * Return: likewise.
 */
int qvault_grow_to_table(struct qvault *v)
{
	u64 most = min_t(u64, qvault_dev_blocks(v->data), QVAULT_MAX_DATA_BLOCKS);

	if (!v->grow)
		return 0;
	return qvault_grow(v, max(most, v->geo.data_blocks),
			   max(v->logical_blocks, v->geo.logical_blocks));
}
