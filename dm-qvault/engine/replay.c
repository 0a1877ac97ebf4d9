// SPDX-License-Identifier: GPL-2.0
/*
 * Replay: the log that an anchor record names, applied to the delta.
 *
 * Each log block vouches for the one before it, but where they stand is known: so they are
 * read in lots, all blocks of a lot at once.  First all are verified, from the newest
 * to the oldest, and nothing is kept but the pointer of each lot's newest block.  With it
 * a lot can be read and verified again, in any order and as often as it takes.  So what
 * the log takes of memory is one lot, however long it is.
 *
 * Whoever wrote the log may have had more memory than there is now.  Then the delta is
 * made in parts, each of what all of the log says of a range of leaves, and a checkpoint
 * merges one after the other: see qvault_checkpoint_replay().  It would be wrong to merge
 * the older part of the log, and to anchor that: a block that an entry there has
 * mapped may have been freed since, and be in use for another in the rest of the log.
 */
#include "qvault.h"

struct qvault_replay {
	struct qvault *v;
	const struct qvault_disk_anchor *record;
	struct qvault_page *page;
	u32 size;			/* blocks of a lot: as many as there are buffers */
	struct qvault_read read[QVAULT_READS];
	struct qvault_ptr *newest;	/* of each lot, once all are verified */
	u64 at;				/* the lot that is in the buffers */
	struct qvault_ptr ptr[QVAULT_READS];	/* of its blocks */
	/* The part: leaves.  The next one begins where it ends. */
	u64 from;
	u64 end;
	u64 width;			/* of the next one, as a guess */
	u64 limit;			/* bytes of the delta: for all of it, or for a part */
};

/* No lot. */
#define NONE	(~0ull)

static struct qvault_delta *live(struct qvault *v)
{
	return &v->delta[v->live];
}

/* ---- Lots, counted from the tail ---- */

static u64 nr_lots(const struct qvault_replay *r)
{
	return DIV_ROUND_UP_ULL(qvault_log_used(r->v), r->size);
}

static u64 first_of(const struct qvault_replay *r, u64 lot)
{
	return r->v->anchor.log_tail + lot * r->size;
}

/* Blocks of a lot: of the last one there may be fewer. */
static u32 count_of(const struct qvault_replay *r, u64 lot)
{
	return min_t(u64, r->size, r->v->anchor.log_head + 1 - first_of(r, lot));
}

static int read_lot(struct qvault_replay *r, u64 lot)
{
	const struct qvault_geometry *geo = &r->v->geo;
	u32 i, n = count_of(r, lot);
	int err = 0;

	for (i = 0; i < n; i++)
		r->read[i].block = qvault_log_block(geo, first_of(r, lot) + i);
	qvault_dev_read_many(r->v->data, r->read, n);
	for (i = 0; i < n && !err; i++)
		err = r->read[i].err;
	return err;
}

/*
 * From the newest block, of which @prev is the pointer.  Each of them is verified again
 * when it is applied: who can change the buffers has gained nothing.
 */
static int verify_lot(struct qvault_replay *r, u64 lot, struct qvault_ptr *prev)
{
	u32 i = count_of(r, lot);
	int err = 0;

	while (i-- && !err) {
		r->ptr[i] = *prev;
		err = qvault_log_open(r->v, prev, first_of(r, lot) + i,
				      r->read[i].buf, r->page);
	}
	return err;
}

static int get_lot(struct qvault_replay *r, u64 lot)
{
	struct qvault_ptr prev = r->newest[lot];
	int err;

	if (lot == r->at)
		return 0;
	r->at = NONE;
	err = read_lot(r, lot);
	if (!err)
		err = verify_lot(r, lot, &prev);
	if (err)
		return err;
	r->at = lot;
	if (lot)
		r->newest[lot - 1] = prev;
	return 0;
}

/**
 * qvault_replay_verify() - read and verify all of the log
 * @r: replay
 *
 * From the newest block, which the record vouches for, back to the tail.
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: 0; -EILSEQ if a block is not the one that was written; -EUCLEAN if
 * one is authentic but makes no sense; or another negative errno.
 */
int qvault_replay_verify(struct qvault_replay *r)
{
	u64 lot = nr_lots(r);
	int err = 0;

	if (lot)
		r->newest[lot - 1] = r->v->anchor.log;
	while (lot-- && !err) {
		err = get_lot(r, lot);
		cond_resched();
	}
	return err;
}

/* ---- Entries, as far as they are of the part ---- */

/* Cuts off what is not.  Returns whether anything is left. */
static bool clip(const struct qvault_replay *r, struct qvault_entry *entry)
{
	u64 first = max(entry->logical, r->from << QVAULT_FANOUT_SHIFT);
	u64 end = min(entry->logical + entry->count, r->end << QVAULT_FANOUT_SHIFT);
	u64 skip = first - entry->logical;

	if (first >= end)
		return false;
	entry->logical = first;
	entry->count = end - first;
	if (entry->version) {
		entry->version += skip;
		entry->where += skip;
		entry->tags += skip * QVAULT_TAG_SIZE;
	}
	return true;
}

static int replay_map(struct qvault *v, const struct qvault_entry *entry)
{
	u32 nodes = qvault_leaves_of(entry->logical, entry->count);
	struct qvault_ptr ptr = {};
	u64 i;

	if (!qvault_stock_promise(v, nodes))
		return -ENOMEM;
	write_lock(&v->map_lock);
	qvault_delta_prepare(v, live(v), entry->logical, entry->count, true);
	for (i = 0; i < entry->count; i++) {
		ptr.version = entry->version + i;
		ptr.where = entry->where + i;
		ptr.gen = entry->gen;
		memcpy(ptr.tag, entry->tags + i * QVAULT_TAG_SIZE,
		       QVAULT_TAG_SIZE);
		qvault_delta_insert(v, live(v), entry->logical + i, &ptr);
	}
	qvault_stock_release(v, nodes);
	write_unlock(&v->map_lock);
	return 0;
}

static int replay_unmap(struct qvault *v, const struct qvault_entry *entry)
{
	u64 logical = entry->logical, count = entry->count;
	struct qvault_piece piece;

	while (count) {
		qvault_next_piece(&v->geo, logical, count, &piece);
		if (!qvault_stock_promise(v, 1))
			return -ENOMEM;
		write_lock(&v->map_lock);
		qvault_delta_unmap_piece(v, live(v), &piece);
		qvault_stock_release(v, 1);
		write_unlock(&v->map_lock);
		logical += piece.count;
		count -= piece.count;
	}
	return 0;
}

/* Apply entries in the order in which they took effect. */
static int replay_entries(struct qvault_replay *r, const u8 *pos, u32 left)
{
	struct qvault *v = r->v;
	struct qvault_entry entry;
	int err;

	while ((err = qvault_entry_next(&v->geo, &pos, &left, &entry)) > 0) {
		if (!clip(r, &entry))
			continue;
		err = entry.version ? replay_map(v, &entry) :
				      replay_unmap(v, &entry);
		if (err)
			break;
	}
	return err;
}

/* ---- Parts ---- */

/* As much as a life that had this memory may have had in its deltas. */
static u64 limit_of_all(const struct qvault *v)
{
	const struct qvault_delta_node *node = NULL;

	return (u64)v->memory_mib * QVAULT_DELTA_BYTES +
	       v->node_limit * struct_size(node, ptr, QVAULT_FANOUT);
}

/* A part is merged, and what that works with stands beside the buffers. */
static u64 limit_of_part(const struct qvault_replay *r)
{
	u64 all = limit_of_all(r->v), buffers = r->size * QVAULT_BLOCK_SIZE;

	return all - min(all / 2, buffers);
}

static u64 first_leaf(const struct qvault_delta_node *node)
{
	return node->index << (QVAULT_FANOUT_SHIFT * node->level);
}

/* Is the delta larger than it may be?  Then a smaller part must do. */
static bool too_large(const struct qvault_replay *r)
{
	return live(r->v)->bytes > r->limit;
}

static int replay_lot(struct qvault_replay *r, u64 lot)
{
	struct qvault_ptr ptr;
	u32 i;
	int err;

	err = get_lot(r, lot);
	for (i = 0; !err && i < count_of(r, lot) && !too_large(r); i++) {
		ptr = r->ptr[i];
		err = qvault_log_open(r->v, &ptr, first_of(r, lot) + i,
				      r->read[i].buf, r->page);
		if (!err)
			err = replay_entries(r, r->page->payload, r->page->bytes);
	}
	return err;
}

/* All that the log says of the part, and then what the record says itself. */
static int replay_part(struct qvault_replay *r)
{
	u64 lot;
	int err = 0;

	for (lot = 0; lot < nr_lots(r) && !err && !too_large(r); lot++) {
		err = replay_lot(r, lot);
		cond_resched();
	}
	if (err || too_large(r))
		return err;
	return replay_entries(r, r->record->inline_entries,
			      le32_to_cpu(r->record->inline_bytes));
}

/*
 * The part ends in the middle of what the delta holds, or has no limit: all that it
 * holds begins with one leaf.
 */
static void narrow(struct qvault_replay *r)
{
	struct qvault_delta *delta = live(r->v);
	const struct qvault_delta_node *node;
	u64 nr = 0, passed = 0, end = r->end;

	qvault_delta_sort(r->v, delta);
	list_for_each_entry(node, &delta->nodes, list)
		nr++;
	list_for_each_entry(node, &delta->nodes, list) {
		end = first_leaf(node);
		if (2 * passed++ >= nr && end > r->from)
			break;
	}
	r->limit = end > r->from ? limit_of_part(r) : U64_MAX;
	r->end = max(end, r->from + 1);
	r->width = r->end - r->from;
}

/**
 * qvault_replay_part() - make the delta of what comes next of the log
 * @r: replay, after qvault_replay_verify()
 *
 * That is all of it, if there is the memory.  What the delta held is thrown away.
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: 1; 0 if the part before was the last one; or a negative errno.
 */
int qvault_replay_part(struct qvault_replay *r)
{
	struct qvault *v = r->v;
	u64 leaves = v->geo.tree.count[0];
	int err;

	if (r->end == leaves)
		return 0;
	r->from = r->end;
	r->end = min(r->from + r->width, leaves);
	for (;;) {
		qvault_delta_clear(v, live(v));
		err = replay_part(r);
		if (err || !too_large(r))
			break;
		narrow(r);
	}
	r->limit = min(r->limit, limit_of_part(r));
	/* So parts become larger again, where there is less. */
	if (live(v)->bytes < r->limit / 2)
		r->width = min(2 * r->width, leaves);
	return err ?: 1;
}

/* Is the part that was made all of it? */
bool qvault_replay_whole(const struct qvault_replay *r)
{
	return !r->from && r->end == r->v->geo.tree.count[0];
}

/* The next part is the first one again. */
void qvault_replay_rewind(struct qvault_replay *r)
{
	r->end = 0;
}

/**
 * qvault_replay_blocks() - blocks that the log names are in use
 * @r: replay; the delta is all of it
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: 0; -ENOMEM: there is not the memory for that; -EUCLEAN: one is named twice.
 */
int qvault_replay_blocks(struct qvault_replay *r)
{
	const struct qvault_delta_node *node;
	u32 i;
	int err;

	list_for_each_entry(node, &live(r->v)->nodes, list) {
		for (i = 0; i < node->used; i++) {
			err = qvault_alloc_replay(r->v, node->ptr[i].where);
			if (err)
				return err;
		}
		cond_resched();
	}
	return 0;
}

/* So much memory is enough for deltas of so many bytes, and for so many fresh blocks. */
static u32 enough_for(u64 bytes, u64 blocks)
{
	u32 mib = DIV_ROUND_UP_ULL(bytes, QVAULT_DELTA_BYTES) ?: 1;

	while (qvault_alloc_limit(QVAULT_ALLOC_BYTES(mib)) < blocks)
		mib++;
	return mib;
}

/**
 * qvault_replay_needs() - with how much memory is the delta in one part?
 * @r: replay
 *
 * For a log that has no room; the parts are made, and thrown away.
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: a number for memory_mib; or a negative errno.
 */
int qvault_replay_needs(struct qvault_replay *r)
{
	const struct qvault_delta_node *node;
	u64 bytes = 0, blocks = 0;
	int err;

	qvault_replay_rewind(r);
	while ((err = qvault_replay_part(r)) > 0) {
		bytes += live(r->v)->bytes;
		if (r->v->read_only)
			continue;
		list_for_each_entry(node, &live(r->v)->nodes, list)
			blocks += node->used;
	}
	return err ?: enough_for(bytes, blocks);
}

/* ---- Begin and end ---- */

/* As many as there are without waiting, but one. */
static void get_buffers(struct qvault_replay *r)
{
	r->read[0].buf = qvault_buf_get(r->v, QVAULT_USE_COMMIT);
	for (r->size = 1; r->size < QVAULT_READS; r->size++) {
		r->read[r->size].buf = qvault_buf_try();
		if (!r->read[r->size].buf)
			break;
	}
}

/**
 * qvault_replay_end() - free what a replay has
 * @r: replay, or NULL
 *
 * The delta stays as it is.
 *
 * Context: sleeps.
 */
void qvault_replay_end(struct qvault_replay *r)
{
	if (!r)
		return;
	while (r->size)
		qvault_buf_put(r->read[--r->size].buf);
	kvfree(r->newest);
	kfree(r->page);
	kfree(r);
}

/**
 * qvault_replay_begin() - prepare to read a log
 * @v: vault being attached; its state is the record's
 * @record: the record, which must stay
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: for qvault_replay_verify(); NULL: no memory.
 */
struct qvault_replay *qvault_replay_begin(struct qvault *v,
					  const struct qvault_disk_anchor *record)
{
	struct qvault_replay *r = kzalloc(sizeof(*r), GFP_NOIO);

	if (!r)
		return NULL;
	r->v = v;
	r->record = record;
	r->at = NONE;
	r->width = v->geo.tree.count[0];
	get_buffers(r);
	r->limit = limit_of_all(v);
	r->page = kmalloc(sizeof(*r->page), GFP_NOIO);
	r->newest = kvcalloc(nr_lots(r) + 1, sizeof(*r->newest), GFP_NOIO);
	if (r->page && r->newest)
		return r;
	qvault_replay_end(r);
	return NULL;
}
