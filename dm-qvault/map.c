// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a read, of a write and of an unmap, but for the bios.
 */
#include "qvault.h"

static struct qvault_delta *live(struct qvault *v)
{
	return &v->delta[v->live];
}

/* ---- Room ---- */

static void unreserve(struct qvault *v, u32 bytes)
{
	write_lock(&v->map_lock);
	qvault_stream_release(v, bytes);
	write_unlock(&v->map_lock);
}

/*
 * Try to get room in the log and, for a write, blocks.  @heals: for what covers a
 * damaged node.
 */
static int try_room(struct qvault *v, u32 bytes, bool heals,
		    struct qvault_write *w)
{
	int n = 0;

	if (heals ? !qvault_stream_reserve_heal(v, bytes) :
		    !qvault_stream_reserve(v, bytes))
		return -ENOSPC;
	if (w)
		n = qvault_alloc_blocks(v, w->logical, w->count, w->ptr);
	if (n < 0)
		unreserve(v, bytes);
	else if (w)
		w->count = n;
	return n < 0 ? n : 0;
}

/* The same, counted as under way from before the first promise. */
static int take_room(struct qvault *v, u32 bytes, bool heals,
		     struct qvault_write *w)
{
	int err;

	atomic_inc(&v->inflight);
	err = try_room(v, bytes, heals, w);
	if (err && atomic_dec_and_test(&v->inflight))
		wake_up_all(&v->room_wait);
	return err;
}

/* Rounds in which nothing ended and yet there was no room: see get_room(). */
#define IDLE_ROUNDS	4

/*
 * Get room, or wait for it.  There are more data blocks than logical ones, and
 * the log is larger than what one write takes: so there is room after a
 * checkpoint, or else operations under way hold it, which end without our help,
 * or have just ended and used it up.  Only a device that fails writes, or gives
 * the map back wrong, can make it scarce for good: -ENOSPC then.
 *
 * That must not be concluded from one round.  The checkpoint may be one that
 * began before ours was needed, and others that look for room hold some for a
 * moment; but whenever one of those finds it, something ends.
 *
 * Who waits holds nothing, so nobody waits for a waiter.
 */
static int get_room(struct qvault *v, u32 bytes, bool heals,
		    struct qvault_write *w)
{
	u64 seen, now, before = atomic64_read(&v->ended);
	u32 idle = 0;
	int err;

	while (idle < IDLE_ROUNDS) {
		seen = atomic64_read(&v->counters.checkpoints);
		err = take_room(v, bytes, heals, w);
		if (err != -ENOSPC)
			return err;
		err = qvault_checkpoint_since(v, seen);
		if (!err)
			err = take_room(v, bytes, heals, w);
		if (err != -ENOSPC)
			return err;
		wait_event(v->room_wait,
			   (u64)atomic64_read(&v->ended) != before ||
			   !atomic_read(&v->inflight) || qvault_may_write(v));
		err = qvault_may_write(v);
		if (err)
			return err;
		/* Compared from round to round, so that none is missed between. */
		now = atomic64_read(&v->ended);
		idle = now == before ? idle + 1 : 0;
		before = now;
	}
	return -ENOSPC;
}

/* A new anchor record brings a new lease, even if there is nothing new in it. */
static int renew_lease(struct qvault *v)
{
	write_lock(&v->map_lock);
	v->stream.dirty = true;
	write_unlock(&v->map_lock);
	return qvault_commit(v);
}

/* A write, or what was promised to it, is over. */
static void ended(struct qvault *v)
{
	atomic64_inc(&v->ended);
	/* Who sees nothing under way, in get_room(), also sees that it ended. */
	smp_mb__before_atomic();
	atomic_dec(&v->inflight);
	wake_up_all(&v->room_wait);
}

/* While one runs there is still as little room as when it was asked for. */
static void checkpoint_if_due(struct qvault *v)
{
	bool due;

	if (mutex_is_locked(&v->checkpoint_mutex))
		return;
	read_lock(&v->map_lock);
	due = qvault_log_half_full(v) || qvault_alloc_low(v);
	read_unlock(&v->map_lock);
	if (due)
		qvault_kick_checkpoint(v);
}

/* ---- Write ---- */

/**
 * qvault_write_begin() - get blocks and versions for a write
 * @v: vault
 * @w: logical and count are set; count may come back smaller, but not 0
 *
 * On a full volume waits for a checkpoint to free what earlier writes
 * superseded.
 *
 * Context: sleeps; no lock held.
 * Return: 0, and qvault_write_end() must follow; -EILSEQ: it is below a damaged node,
 * and cannot be kept; or another negative errno.
 */
int qvault_write_begin(struct qvault *v, struct qvault_write *w)
{
	u32 bytes = w->count * QVAULT_ENTRY_WORST;
	u64 version;
	int err;
	u32 i;

	err = qvault_may_write(v);
	if (!err && qvault_lease_low(v))
		err = renew_lease(v);
	if (!err)
		err = qvault_damage_refuses(v, w->logical, w->count);
	if (!err)
		err = get_room(v, bytes, false, w);
	if (err)
		return err;
	w->reserved = bytes;
	version = qvault_new_versions(v, w->count);
	for (i = 0; i < w->count; i++)
		w->ptr[i].version = version + i;
	return 0;
}

/*
 * Insert all blocks of the write at one point in the order of commits.  Fails
 * only if the vault does.
 */
static int insert(struct qvault *v, struct qvault_write *w)
{
	struct qvault_reserve reserve;
	u32 i;

	qvault_reserve_init(&reserve);
	write_lock(&v->map_lock);
	/* The live delta may be another one each time. */
	while (!qvault_delta_prepare(v, live(v), w->logical, w->count, true,
				     &reserve)) {
		write_unlock(&v->map_lock);
		if (!qvault_reserve_fill(v, &reserve)) {
			qvault_reserve_exit(v, &reserve);
			return -EIO;
		}
		write_lock(&v->map_lock);
	}
	for (i = 0; i < w->count; i++)
		qvault_delta_insert(v, live(v), w->logical + i, &w->ptr[i]);
	qvault_stream_append(v, w->logical, w->ptr, w->count);
	qvault_stream_release(v, w->reserved);
	write_unlock(&v->map_lock);
	qvault_reserve_exit(v, &reserve);
	atomic64_add(w->count, &v->counters.writes);
	return 0;
}

/**
 * qvault_write_end() - the blocks were written, or not
 * @v: vault
 * @w: write
 * @err: 0, or the error that the device gave
 *
 * On an error the mapping does not change, and the blocks are set aside until
 * the volume is attached again: the device may be bad there.
 *
 * Context: sleeps; no lock held.
 * Return: 0: reads see the write from now on, and the next commit covers it.
 */
int qvault_write_end(struct qvault *v, struct qvault_write *w, int err)
{
	if (!err)
		err = qvault_may_write(v);
	if (!err)
		err = insert(v, w);
	if (err)
		unreserve(v, w->reserved);
	ended(v);
	if (!err)
		checkpoint_if_due(v);
	return err;
}

/* ---- Unmap ---- */

/* As insert(). */
static int insert_unmap(struct qvault *v, const struct qvault_piece *piece)
{
	struct qvault_reserve reserve;

	qvault_reserve_init(&reserve);
	write_lock(&v->map_lock);
	while (!qvault_delta_unmap_piece(v, live(v), piece, &reserve)) {
		write_unlock(&v->map_lock);
		if (!qvault_reserve_fill(v, &reserve)) {
			qvault_reserve_exit(v, &reserve);
			return -EIO;
		}
		write_lock(&v->map_lock);
	}
	qvault_stream_append_unmap(v, piece->logical, piece->count);
	qvault_stream_release(v, QVAULT_ENTRY_WORST);
	qvault_damage_unmapped(v, piece);
	write_unlock(&v->map_lock);
	qvault_reserve_exit(v, &reserve);
	return 0;
}

static int unmap_piece(struct qvault *v, const struct qvault_piece *piece)
{
	bool heals;
	int err;

	err = qvault_may_write(v);
	if (!err)
		err = qvault_damage_piece(v, piece, &heals);
	if (!err)
		err = get_room(v, QVAULT_ENTRY_WORST, heals, NULL);
	if (err)
		return err;
	err = insert_unmap(v, piece);
	if (err)
		unreserve(v, QVAULT_ENTRY_WORST);
	ended(v);
	if (!err)
		checkpoint_if_due(v);
	return err;
}

/**
 * qvault_unmap() - make blocks read as zeros, and forget what they held
 * @v: vault
 * @logical: first block
 * @count: how many
 *
 * Costs a few entries, however long the range is.  Of what is below a damaged node
 * only all can be unmapped.
 *
 * Context: sleeps; no lock held.
 * Return: 0 or a negative errno; then some of the range may be unmapped.
 */
int qvault_unmap(struct qvault *v, u64 logical, u64 count)
{
	struct qvault_piece piece;
	int err;

	while (count) {
		qvault_next_piece(&v->geo, logical, count, &piece);
		err = unmap_piece(v, &piece);
		if (err)
			return err;
		atomic64_add(piece.count, &v->counters.unmaps);
		logical += piece.count;
		count -= piece.count;
	}
	return 0;
}

/* ---- Read ---- */

/*
 * Ask the deltas.  Sets a bit of @missing for each block that only the tree can
 * answer for, and @root to the root that goes with that answer.
 */
static void ask_deltas(struct qvault *v, u64 logical, u32 count,
		       struct qvault_ptr *ptr, unsigned long *missing,
		       struct qvault_ptr *root)
{
	u32 i;

	bitmap_zero(missing, QVAULT_MAX_RUN);
	read_lock(&v->map_lock);
	*root = v->anchor.tree;
	for (i = 0; i < count; i++) {
		if (qvault_delta_lookup(v, live(v), logical + i, &ptr[i]))
			continue;
		if (v->frozen && qvault_delta_lookup(v, &v->delta[!v->live],
						     logical + i, &ptr[i]))
			continue;
		__set_bit(i, missing);
	}
	read_unlock(&v->map_lock);
}

/* The leaf above @logical in the tree of @root; NULL: nothing is mapped. */
static int get_leaf(struct qvault *v, const struct qvault_ptr *root,
		    u64 logical, struct qvault_node **node, u64 *bad)
{
	u64 leaf = logical >> QVAULT_FANOUT_SHIFT;
	struct qvault_ptr ptr;
	int err;

	*node = NULL;
	err = qvault_tree_find(v, QVAULT_KIND_NODE, root, leaf, &ptr, bad);
	if (err || !ptr.version)
		return err;
	*bad = qvault_node_id(0, leaf);
	return qvault_node_get(v, QVAULT_KIND_NODE, 0, leaf, &ptr, node);
}

/* Whether @leaf is in the cache, and was read from its beginning. */
static bool was_asked(struct qvault *v, const struct qvault_ptr *root, u64 leaf)
{
	struct qvault_node *node = qvault_tree_cached(v, root, leaf);
	bool asked = node && READ_ONCE(node->asked);

	qvault_node_put(v, node);
	return asked;
}

/*
 * Who reads in order comes to the first block of each leaf.  One may be read by
 * chance, and those of two by a large read at random; those of three in a row
 * begin the readahead, and from then on each leaf that came by it asks for one
 * more.  So this costs nothing where all leaves are in the cache, and next to
 * nothing where reads are at random.
 */
static void ask_ahead(struct qvault *v, const struct qvault_ptr *root,
		      struct qvault_node *node, u64 leaf)
{
	u32 i = QVAULT_LEAVES_AHEAD;

	if (READ_ONCE(node->asked))
		return;
	WRITE_ONCE(node->asked, true);
	if (!READ_ONCE(node->ahead)) {
		if (leaf < 2 || !was_asked(v, root, leaf - 1) ||
		    !was_asked(v, root, leaf - 2))
			return;
		i = 1;
	}
	for (; i <= QVAULT_LEAVES_AHEAD; i++)
		qvault_kick_readahead(v, leaf + i);
}

static int ask_tree(struct qvault *v, const struct qvault_ptr *root,
		    u64 logical, u32 count, struct qvault_ptr *ptr,
		    const unsigned long *missing, u64 *bad)
{
	const struct qvault_disk_node *disk;
	struct qvault_node *node = NULL;
	u64 leaf = ~0ull;
	int err;
	u32 i;

	for_each_set_bit(i, missing, count) {
		if ((logical + i) >> QVAULT_FANOUT_SHIFT != leaf) {
			qvault_node_put(v, node);
			leaf = (logical + i) >> QVAULT_FANOUT_SHIFT;
			err = get_leaf(v, root, logical + i, &node, bad);
			if (err)
				return err;
		}
		memset(&ptr[i], 0, sizeof(ptr[i]));
		if (!node)
			continue;
		if (!((logical + i) & (QVAULT_FANOUT - 1)))
			ask_ahead(v, root, node, leaf);
		disk = node->data;
		qvault_ptr_from_disk(&ptr[i], &disk->ptr[(logical + i) &
							 (QVAULT_FANOUT - 1)]);
	}
	qvault_node_put(v, node);
	return 0;
}

static bool root_moved(struct qvault *v, const struct qvault_ptr *root)
{
	bool moved;

	read_lock(&v->map_lock);
	moved = v->anchor.tree.version != root->version;
	read_unlock(&v->map_lock);
	return moved;
}

/**
 * qvault_lookup() - the pointers of a range
 * @v: vault
 * @logical: first block
 * @count: 1..QVAULT_MAX_RUN
 * @ptr: set; version 0: reads as zeros
 *
 * Takes no lock that a checkpoint holds while it works: if a node was replaced
 * under our eyes its tag does not match, and we ask again.  Only what does not
 * match and was not replaced is corrupt.
 *
 * Context: sleeps; no lock held.
 * Return: 0; -EILSEQ: a node is corrupt, and was reported; or another errno.
 */
int qvault_lookup(struct qvault *v, u64 logical, u32 count,
		  struct qvault_ptr *ptr)
{
	DECLARE_BITMAP(missing, QVAULT_MAX_RUN);
	struct qvault_ptr root;
	u64 bad = 0;
	int err;

	do {
		ask_deltas(v, logical, count, ptr, missing, &root);
		err = ask_tree(v, &root, logical, count, ptr, missing, &bad);
	} while (err == -EILSEQ && root_moved(v, &root));
	if (err == -EILSEQ)
		return qvault_corrupt(v, QVAULT_KIND_NODE, bad);
	return err;
}

/* ---- Readahead ---- */

/* What is only a guess must not be the one that finds memory short. */
static bool memory_is_short(void)
{
	void *buf = qvault_buf_try();

	qvault_buf_put(buf);
	return !buf;
}

/**
 * qvault_readahead() - bring a leaf into the cache
 * @v: vault
 * @leaf: which may be asked for next; also one behind the last one
 *
 * Gives up whenever anything is in the way.  Who then needs the leaf waits for
 * it, and finds out whether it is corrupt or was only replaced meanwhile.
 *
 * Context: sleeps; no lock held.
 */
void qvault_readahead(struct qvault *v, u64 leaf)
{
	u64 logical = leaf << QVAULT_FANOUT_SHIFT, bad;
	struct qvault_node *node;
	struct qvault_ptr root;

	if (logical >= v->geo.logical_blocks || memory_is_short())
		return;
	read_lock(&v->map_lock);
	root = v->anchor.tree;
	read_unlock(&v->map_lock);
	if (get_leaf(v, &root, logical, &node, &bad) || !node)
		return;
	WRITE_ONCE(node->ahead, true);
	qvault_node_put(v, node);
}
