// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a read and of a write, but for the bios.
 */
#include <linux/jiffies.h>

#include "qvault.h"

static struct qvault_delta *live(struct qvault *v)
{
	return &v->delta[v->live];
}

/* ---- Room ---- */

/* Takes back what was promised.  Context: map_lock for writing. */
void __qvault_unreserve(struct qvault *v, u32 bytes, u32 nodes)
{
	qvault_stream_release(v, bytes);
	qvault_stock_release(v, nodes);
}

static void unreserve(struct qvault *v, u32 bytes, u32 nodes)
{
	write_lock(&v->map_lock);
	__qvault_unreserve(v, bytes, nodes);
	write_unlock(&v->map_lock);
}

/*
 * Try to get nodes for the delta, room in the log and, for a write, blocks.  The
 * nodes come first: who waits for pages of the stream waits for commits, and
 * they need none.
 */
static int try_room(struct qvault *v, const struct qvault_need *need,
		    struct qvault_write *w)
{
	int n = 0;

	if (!qvault_stock_promise(v, need->nodes))
		return -ENOSPC;
	if (need->heals ? !qvault_stream_reserve_heal(v, need->bytes) :
			  !qvault_stream_reserve(v, need->bytes)) {
		unreserve(v, 0, need->nodes);
		return -ENOSPC;
	}
	if (w)
		n = qvault_alloc_blocks(v, w->logical, w->count, w->ptr);
	if (n < 0)
		unreserve(v, need->bytes, need->nodes);
	else if (w)
		w->count = n;
	return n < 0 ? n : 0;
}

/* The same, counted as under way from before the first promise. */
static int take_room(struct qvault *v, const struct qvault_need *need,
		     struct qvault_write *w)
{
	int err;

	atomic_inc(&v->inflight);
	err = try_room(v, need, w);
	if (err && atomic_dec_and_test(&v->inflight))
		wake_up_all(&v->room_wait);
	return err;
}

/* Rounds in which nothing ended and yet there was no room: see qvault_get_room(). */
#define IDLE_ROUNDS	4

/*
 * Get room, or wait for it; qvault_ended() must follow.  There are more data blocks
 * than logical ones, the log is larger than what one write takes, and so is what the
 * vault has put by for when memory is short: so there is room after a checkpoint, or
 * else operations under way hold it, which end without our help, or have just ended
 * and used it up.
 * Only a device that fails writes, or gives the map back wrong, can make it scarce:
 * -ENOSPC then.
 *
 * That must not be concluded from one round.  The checkpoint may be one that
 * began before ours was needed, and others that look for room hold some for a
 * moment; but whenever one of those finds it, something ends.
 *
 * Who waits holds nothing, so nobody waits for a waiter.
 */
int qvault_get_room(struct qvault *v, const struct qvault_need *need,
		    struct qvault_write *w)
{
	u64 seen, now, before = atomic64_read(&v->ended);
	u32 idle = 0;
	int err;

	/* Who comes at the same time may pass the limit together, which is little. */
	wait_event(v->room_wait,
		   READ_ONCE(v->stock.promised) <= v->node_limit ||
		   qvault_may_write(v));
	while (idle < IDLE_ROUNDS) {
		seen = atomic64_read(&v->counters.checkpoints);
		err = take_room(v, need, w);
		if (err != -ENOSPC)
			return err;
		err = qvault_checkpoint_since(v, seen);
		if (!err)
			err = take_room(v, need, w);
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

/* A change, or what was promised to it, is over. */
void qvault_ended(struct qvault *v)
{
	atomic64_inc(&v->ended);
	/* Who sees nothing under way, in qvault_get_room(), also sees that it ended. */
	smp_mb__before_atomic();
	atomic_dec(&v->inflight);
	wake_up_all(&v->room_wait);
}

/* A device that fails needs no checkpoint a write; who needs room asks for one. */
static bool had_trouble(const struct qvault *v)
{
	unsigned long when = READ_ONCE(v->troubled);

	return when && time_before(jiffies, when + HZ);
}

/* While one runs there is still as little room as when it was asked for. */
void qvault_checkpoint_if_due(struct qvault *v)
{
	bool due;

	if (mutex_is_locked(&v->checkpoint_mutex) || had_trouble(v) ||
	    READ_ONCE(v->held))
		return;
	read_lock(&v->map_lock);
	due = qvault_log_half_full(v) || qvault_alloc_low(v);
	read_unlock(&v->map_lock);
	if (due)
		qvault_kick_checkpoint(v);
}

/* ---- Write ---- */

/*
 * Take versions, if need be after a commit that brings a new lease.  Not before
 * there is room: a memory that is copied while a write waits for it must not go on
 * with versions from before.
 */
static int get_versions(struct qvault *v, struct qvault_write *w)
{
	u64 version = 0;
	int err = 0;
	u32 i;

	if (qvault_lease_low(v))
		err = qvault_commit(v);
	while (!err) {
		version = qvault_new_versions(v, w->count);
		if (version)
			break;
		err = qvault_commit(v);
	}
	for (i = 0; !err && i < w->count; i++) {
		w->ptr[i].version = version + i;
		w->ptr[i].gen = w->gen;
		w->ptr[i].below = 0;
		w->ptr[i].flags = 0;
	}
	return err;
}

/* None is dropped while a write of it is under way. */
static void join_generation(struct qvault *v, struct qvault_write *w)
{
	read_lock(&v->map_lock);
	w->gen = v->anchor.seal;
	atomic_inc(&v->writing[w->gen]);
	read_unlock(&v->map_lock);
}

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
	struct qvault_need need = {
		.bytes = w->count * QVAULT_ENTRY_WORST,
		.nodes = qvault_leaves_of(w->logical, w->count),
	};
	int err;

	w->reserved = need.bytes;
	w->nodes = need.nodes;
	w->found = NULL;
	w->passed = 0;
	err = qvault_may_write(v);
	if (!err)
		err = qvault_damage_refuses(v, w->logical, w->count);
	if (!err)
		err = qvault_get_room(v, &need, w);
	if (err)
		return err;
	join_generation(v, w);
	err = get_versions(v, w);
	return err ? qvault_write_end(v, w, err) : 0;
}

/* What the deltas know of a block, if they do.  Context: map_lock. */
static bool in_deltas(struct qvault *v, u64 logical, struct qvault_ptr *ptr)
{
	return qvault_delta_lookup(v, live(v), logical, ptr) ||
	       (v->frozen &&
		qvault_delta_lookup(v, &v->delta[!v->live], logical, ptr));
}

/* Does a block that was moved still have the pointer that was found?  Context: map_lock. */
static bool is_found(struct qvault *v, const struct qvault_write *w, u32 i)
{
	struct qvault_ptr ptr;

	if (in_deltas(v, w->logical + i, &ptr))
		return ptr.version == w->found[i].version;
	return w->root->ptr.version == v->anchor.tree.ptr.version;
}

/* Blocks from @first on that all take effect, or all do not.  Context: map_lock. */
static u32 run_of(struct qvault *v, const struct qvault_write *w, u32 first, bool *effect)
{
	u32 n = 1;

	*effect = true;
	if (!w->found)
		return w->count;
	*effect = is_found(v, w, first);
	while (first + n < w->count && is_found(v, w, first + n) == *effect)
		n++;
	return n;
}

static void insert_run(struct qvault *v, struct qvault_write *w, u32 first, u32 n)
{
	u64 logical = w->logical + first;
	u32 i;

	qvault_delta_prepare(v, live(v), logical, n, true);
	for (i = 0; i < n; i++)
		qvault_delta_insert(v, live(v), logical + i, &w->ptr[first + i]);
	qvault_stream_append(v, logical, w->ptr + first, n);
}

/* A user came first: what was written in vain is free after the next commit. */
static void pass_by(struct qvault *v, struct qvault_write *w, u32 first, u32 n)
{
	w->passed += n;
	v->stream.dirty = true;
	for (; n; n--, first++)
		qvault_alloc_supersede(v, w->ptr[first].where);
}

/* Insert all blocks of the write at one point in the order of commits. */
static void insert(struct qvault *v, struct qvault_write *w)
{
	u32 first, n;
	bool effect;

	write_lock(&v->map_lock);
	for (first = 0; first < w->count; first += n) {
		n = run_of(v, w, first, &effect);
		if (effect)
			insert_run(v, w, first, n);
		else
			pass_by(v, w, first, n);
	}
	__qvault_unreserve(v, w->reserved, w->nodes);
	write_unlock(&v->map_lock);
	if (!w->found)
		atomic64_add(w->count, &v->counters.writes);
}

/**
 * qvault_write_end() - the blocks were written, or not
 * @v: vault
 * @w: write
 * @err: 0, or the error that the device gave
 *
 * On an error the mapping does not change, and the blocks are set aside until a flush
 * and a checkpoint have succeeded: the device may be bad there.
 *
 * Waits for nothing: all that it takes was promised at the beginning.
 *
 * Context: Process; no lock held.
 * Return: 0: reads see the write from now on, and the next commit covers it.
 */
int qvault_write_end(struct qvault *v, struct qvault_write *w, int err)
{
	if (!err)
		err = qvault_may_write(v);
	if (err) {
		unreserve(v, w->reserved, w->nodes);
		qvault_alloc_set_aside(v, w->ptr, w->count);
	} else {
		insert(v, w);
	}
	atomic_dec(&v->writing[w->gen]);
	qvault_ended(v);
	if (!err)
		qvault_checkpoint_if_due(v);
	return err;
}

/**
 * qvault_lose() - give a block up: reads of it fail, until it is written or discarded
 * @v: vault
 * @logical: block
 * @root: under which its pointer was found, when it could not be read
 *
 * Durable with the next checkpoint.  The log does not say it: only of what the tree
 * names can blocks be given up, for what the log names is in use until a checkpoint.
 *
 * Context: sleeps; no lock held.
 * Return: 1; 0: after the next checkpoint it is to be looked at again, for a delta knows
 * of it or the root has moved; or a negative errno.
 */
int qvault_lose(struct qvault *v, u64 logical, const struct qvault_root *root)
{
	const struct qvault_need need = { .nodes = 1 };
	struct qvault_ptr ptr, lost = qvault_lost_ptr();
	bool effect;
	int err;

	err = qvault_may_write(v) ?: qvault_damage_refuses(v, logical, 1);
	if (!err)
		err = qvault_get_room(v, &need, NULL);
	if (err)
		return err;
	write_lock(&v->map_lock);
	effect = !in_deltas(v, logical, &ptr) &&
		 root->ptr.version == v->anchor.tree.ptr.version;
	if (effect) {
		qvault_delta_prepare(v, live(v), logical, 1, true);
		qvault_delta_insert(v, live(v), logical, &lost);
	}
	__qvault_unreserve(v, 0, need.nodes);
	write_unlock(&v->map_lock);
	qvault_ended(v);
	return effect;
}

/* ---- Read ---- */

/*
 * Ask the deltas.  Sets a bit of @missing for each block that only the tree can
 * answer for, and @root to the root that goes with that answer.
 */
static void ask_deltas(struct qvault *v, u64 logical, u32 count,
		       struct qvault_ptr *ptr, unsigned long *missing,
		       struct qvault_root *root)
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
static int get_leaf(struct qvault *v, const struct qvault_root *root,
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
	return qvault_node_get(v, QVAULT_USE_READ, QVAULT_KIND_NODE, 0, leaf, &ptr,
			       node);
}

/* Whether @leaf is in the cache, and was read from its beginning. */
static bool was_asked(struct qvault *v, const struct qvault_root *root, u64 leaf)
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
static void ask_ahead(struct qvault *v, const struct qvault_root *root,
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

static int ask_tree(struct qvault *v, const struct qvault_root *root,
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

static bool root_moved(struct qvault *v, const struct qvault_root *root)
{
	bool moved;

	read_lock(&v->map_lock);
	moved = v->anchor.tree.ptr.version != root->ptr.version;
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
 * Return: 0; -EILSEQ: a node is corrupt, and was reported, or a block is lost; or another
 * errno.
 */
int qvault_lookup(struct qvault *v, u64 logical, u32 count,
		  struct qvault_ptr *ptr)
{
	struct qvault_root root;
	int err = qvault_lookup_under(v, logical, count, ptr, &root);
	u32 i;

	for (i = 0; !err && i < count; i++)
		if (unlikely(qvault_ptr_lost(&ptr[i])))
			err = -EILSEQ;
	return err;
}

/**
 * qvault_lookup_under() - qvault_lookup() for who will ask whether that is still so
 * @v: vault
 * @logical: first block
 * @count: 1..QVAULT_MAX_RUN
 * @ptr: set, also of what is lost
 * @root: set to the root that was anchored then
 *
 * Context: sleeps; no lock held.
 * Return: as qvault_lookup().
 */
int qvault_lookup_under(struct qvault *v, u64 logical, u32 count,
			struct qvault_ptr *ptr, struct qvault_root *root)
{
	DECLARE_BITMAP(missing, QVAULT_MAX_RUN);
	u64 bad = 0;
	int err;

	err = qvault_may_read(v);
	if (err)
		return err;
	do {
		ask_deltas(v, logical, count, ptr, missing, root);
		err = ask_tree(v, root, logical, count, ptr, missing, &bad);
	} while (err == -EILSEQ && root_moved(v, root));
	if (err == -EILSEQ)
		return qvault_corrupt(v, QVAULT_KIND_NODE, bad);
	return err;
}
