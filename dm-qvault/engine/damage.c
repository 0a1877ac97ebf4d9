// SPDX-License-Identifier: GPL-2.0
/*
 * What a checkpoint does about nodes of the tree that cannot be read.
 *
 * Such a node stays in its parent as it is.  What the delta says of blocks below it
 * cannot be merged, so it is carried along.  For each pointer stands either in the
 * tree or in the log after its tail, and never in both, a checkpoint that leaves
 * something out of the tree must write it to the log once more:
 *
 * - At the commit that sets the delta aside, what is below nodes known to be damaged
 *   moves into the delta that takes its place, and into the stream behind the cut.
 *   That delta is empty then, so nothing in it is newer, and the log keeps the order
 *   in which things took effect.
 * - The record with the new roots and the new tail comes after a commit of that.  If
 *   there is a crash in between, the log says the same twice, with the same versions.
 * - A merge that finds another damaged node does not end.  The delta that came into
 *   use meanwhile is folded back into the one that was set aside, which the log
 *   still says in the right order, and all of it is set aside again.
 *
 * New writes below a damaged node are refused, or what is carried would have no
 * bound.  But a node is not needed, and so not damaged, if the delta says something
 * of all that is below it: a discard of all of that heals it.
 */
#include "qvault.h"

/*
 * Entries that fill a page when many are appended at a time: the rest is too small
 * for another one, and a run that goes on in the next page has a head of its own.
 */
#define CARRIED_IN_PAGE	(QVAULT_LOG_PAYLOAD - QVAULT_ENTRY_WORST - \
			 sizeof(struct qvault_disk_entry))

static u32 level_of(u64 id)
{
	return id >> QVAULT_NODE_LEVEL_SHIFT;
}

static u64 index_of(u64 id)
{
	return id & ((1ull << QVAULT_NODE_LEVEL_SHIFT) - 1);
}

/* Is the node (@level, @index) the one of @id, or below it? */
static bool below(u64 id, u32 level, u64 index)
{
	return level <= level_of(id) &&
	       index >> (QVAULT_FANOUT_SHIFT * (level_of(id) - level)) ==
	       index_of(id);
}

/* ---- Which nodes they are ---- */

/* Forget all at (@level, @index) or below.  Context: map_lock for writing. */
static void forget(struct qvault *v, u32 level, u64 index)
{
	u64 node = qvault_node_id(level, index);
	u32 i, kept = 0;

	lockdep_assert_held_write(&v->map_lock);
	for (i = 0; i < v->damage.nr; i++)
		if (!below(node, level_of(v->damage.id[i]),
			   index_of(v->damage.id[i])))
			v->damage.id[kept++] = v->damage.id[i];
	WRITE_ONCE(v->damage.nr, kept);
}

/**
 * qvault_damage_add() - remember a node that cannot be read
 * @v: vault
 * @id: of the node
 *
 * Context: checkpoint_mutex.
 * Return: 0, or -ENOSPC if there are too many.
 */
int qvault_damage_add(struct qvault *v, u64 id)
{
	int err = 0;

	lockdep_assert_held(&v->checkpoint_mutex);
	write_lock(&v->map_lock);
	forget(v, level_of(id), index_of(id));
	if (v->damage.nr == QVAULT_MAX_DAMAGED) {
		err = -ENOSPC;
	} else {
		v->damage.id[v->damage.nr] = id;
		WRITE_ONCE(v->damage.nr, v->damage.nr + 1);
	}
	write_unlock(&v->map_lock);
	return err;
}

/**
 * qvault_damage_above() - is a node known to be damaged, or one above it?
 * @v: vault
 * @level: of the node
 * @index: of the node
 *
 * Context: checkpoint_mutex or map_lock.
 * Return: Whether it is.
 */
bool qvault_damage_above(const struct qvault *v, u32 level, u64 index)
{
	u32 i;

	for (i = 0; i < v->damage.nr; i++)
		if (below(v->damage.id[i], level, index))
			return true;
	return false;
}

/* Is the anchored node there again, or another in its place? */
static bool readable(struct qvault *v, u64 id)
{
	u64 leaf = index_of(id) << (QVAULT_FANOUT_SHIFT * level_of(id));
	struct qvault_ptr ptr = v->anchor.tree.ptr;
	const struct qvault_disk_node *disk;
	struct qvault_node *node;
	u32 level;

	if (!qvault_root_covers(&v->anchor.tree, leaf))
		return true;
	for (level = v->anchor.tree.level; ptr.version; level--) {
		if (qvault_node_get(v, QVAULT_USE_CHECKPOINT, QVAULT_KIND_NODE,
				    level, leaf >> (QVAULT_FANOUT_SHIFT * level),
				    &ptr, &node))
			return false;
		if (level == level_of(id)) {
			qvault_node_put(v, node);
			return true;
		}
		disk = node->data;
		qvault_ptr_from_disk(&ptr, &disk->ptr[leaf >>
				     (QVAULT_FANOUT_SHIFT * (level - 1)) &
				     (QVAULT_FANOUT - 1)]);
		qvault_node_put(v, node);
	}
	return true;
}

/**
 * qvault_damage_recheck() - forget those nodes that can be read again
 * @v: vault
 *
 * Context: checkpoint_mutex; sleeps.
 */
void qvault_damage_recheck(struct qvault *v)
{
	u32 i = READ_ONCE(v->damage.nr);
	u64 id;

	lockdep_assert_held(&v->checkpoint_mutex);
	/* An unmap takes some away meanwhile, and others may be missed: next time. */
	while (i--) {
		read_lock(&v->map_lock);
		id = i < v->damage.nr ? v->damage.id[i] : QVAULT_NO_VERSION;
		read_unlock(&v->map_lock);
		if (id == QVAULT_NO_VERSION || !readable(v, id))
			continue;
		write_lock(&v->map_lock);
		forget(v, level_of(id), index_of(id));
		write_unlock(&v->map_lock);
	}
}

/* ---- What is let in ---- */

/**
 * qvault_damage_refuses() - is a change below a damaged node?
 * @v: vault
 * @logical: first block
 * @count: how many
 *
 * Context: Process.
 * Return: 0; -EILSEQ if it must not be made.
 */
int qvault_damage_refuses(struct qvault *v, u64 logical, u64 count)
{
	u64 leaf, end = (logical + count - 1) >> QVAULT_FANOUT_SHIFT;
	bool damaged = false;

	if (likely(!READ_ONCE(v->damage.nr)))
		return 0;
	read_lock(&v->map_lock);
	for (leaf = logical >> QVAULT_FANOUT_SHIFT; leaf <= end; leaf++)
		damaged |= qvault_damage_above(v, 0, leaf);
	read_unlock(&v->map_lock);
	return damaged ? -EILSEQ : 0;
}

/* The node that a piece of an unmap is all of, if it is: see qvault_next_piece(). */
static bool whole_node(const struct qvault *v, const struct qvault_piece *piece)
{
	return piece->level || piece->count == QVAULT_FANOUT ||
	       (!(piece->logical & (QVAULT_FANOUT - 1)) &&
		piece->logical + piece->count == v->geo.logical_blocks);
}

static u64 index_of_piece(const struct qvault_piece *piece)
{
	return piece->logical >> (QVAULT_FANOUT_SHIFT * (piece->level + 1));
}

/**
 * qvault_damage_piece() - may a piece be unmapped, and does that heal anything?
 * @v: vault
 * @piece: piece
 * @heals: set: it covers all of a damaged node
 *
 * Context: Process.
 * Return: 0; -EILSEQ if it is only a part of what is below a damaged node.
 */
int qvault_damage_piece(struct qvault *v, const struct qvault_piece *piece,
			bool *heals)
{
	u64 index = index_of_piece(piece), node = qvault_node_id(piece->level, index);
	int err = 0;
	u32 i;

	*heals = false;
	if (likely(!READ_ONCE(v->damage.nr)))
		return 0;
	read_lock(&v->map_lock);
	for (i = 0; i < v->damage.nr; i++) {
		u64 id = v->damage.id[i];

		if (whole_node(v, piece) &&
		    below(node, level_of(id), index_of(id)))
			*heals = true;
		else if (below(id, piece->level, index))
			err = -EILSEQ;
	}
	read_unlock(&v->map_lock);
	return err;
}

/**
 * qvault_damage_unmapped() - a piece is unmapped: forget the nodes it covers
 * @v: vault
 * @piece: piece
 *
 * Context: map_lock for writing.
 */
void qvault_damage_unmapped(struct qvault *v, const struct qvault_piece *piece)
{
	if (unlikely(v->damage.nr) && whole_node(v, piece))
		forget(v, piece->level, index_of_piece(piece));
}

/* ---- Carrying ---- */

static u32 pages_for(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, CARRIED_IN_PAGE);
}

/*
 * Log blocks that are kept free of what writers are promised: with them the entries
 * of any one leaf can be carried, those of an eighth of the log, and again as many as
 * the last time.
 *
 * Context: map_lock.
 */
u32 qvault_damage_kept(const struct qvault *v)
{
	return max3(pages_for(QVAULT_ENTRY_WORST * QVAULT_FANOUT),
		    v->log_limit / 8, v->damage.pages);
}

static struct qvault_delta *live(struct qvault *v)
{
	return &v->delta[v->live];
}

/*
 * How many pages it takes to carry what is below damaged nodes.  Those
 * that the delta covers are not needed any more, and forgotten.
 */
static u32 pages_below(struct qvault *v, struct qvault_delta *delta)
{
	u64 bytes = 0, id;
	u32 i;

	for (i = v->damage.nr; i--;) {
		id = v->damage.id[i];
		if (qvault_delta_covers(v, delta, level_of(id), index_of(id)))
			forget(v, level_of(id), index_of(id));
		else
			bytes += qvault_delta_below(v, delta, level_of(id),
						    index_of(id));
	}
	return pages_for(bytes);
}

/**
 * qvault_damage_promise() - get room for what the next freeze is to carry
 * @v: vault, with nothing frozen
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0; -ENOSPC if there is more of it than the log can take; -ENOMEM.
 */
int qvault_damage_promise(struct qvault *v)
{
	u32 pages;
	int err;

	lockdep_assert_held(&v->checkpoint_mutex);
	v->damage.promised = 0;
	if (likely(!READ_ONCE(v->damage.nr) && !v->damage.again))
		return 0;
	write_lock(&v->map_lock);
	pages = pages_below(v, live(v));
	write_unlock(&v->map_lock);
	err = qvault_stream_reserve_pages(v, pages);
	if (!err)
		v->damage.promised = pages;
	return err;
}

/**
 * qvault_damage_carry() - the delta is set aside, but for what must be carried
 * @v: vault
 *
 * If more came than room was promised for, the merge finds it.
 *
 * Context: map_lock for writing, right after the cut.
 */
void qvault_damage_carry(struct qvault *v)
{
	struct qvault_delta *from = &v->delta[!v->live];
	u32 i, pages;
	u64 id;

	v->damage.pages = 0;
	v->damage.bytes = 0;
	if (likely(!v->damage.nr))
		return;
	pages = pages_below(v, from);
	if (pages > v->damage.promised)
		return;
	for (i = 0; i < v->damage.nr; i++) {
		id = v->damage.id[i];
		qvault_delta_carry(v, from, live(v), level_of(id), index_of(id));
	}
	v->damage.pages = pages;
	v->damage.bytes = live(v)->bytes;
}

/* The freeze is over, or did not come about.  Context: checkpoint_mutex. */
void qvault_damage_carried(struct qvault *v)
{
	if (likely(!v->damage.promised))
		return;
	write_lock(&v->map_lock);
	qvault_stream_release_pages(v, v->damage.promised);
	write_unlock(&v->map_lock);
	v->damage.promised = 0;
}

/* Returns whether there is more. */
static bool fold_one(struct qvault *v)
{
	bool more;

	write_lock(&v->map_lock);
	if (!qvault_delta_empty(live(v)))
		qvault_delta_fold(v, live(v), &v->delta[!v->live]);
	more = !qvault_delta_empty(live(v));
	if (!more) {
		v->live = !v->live;
		v->frozen = false;
	}
	write_unlock(&v->map_lock);
	return more;
}

/**
 * qvault_damage_fold() - the delta that was set aside comes into use again
 * @v: vault
 *
 * Node by node, and what came since wins.  It ends, for writers are promised no
 * more than the log can take; and it needs no memory, for which others may wait.
 *
 * Context: checkpoint_mutex; may sleep.
 */
void qvault_damage_fold(struct qvault *v)
{
	lockdep_assert_held(&v->checkpoint_mutex);
	v->damage.again = true;
	while (fold_one(v))
		cond_resched();
}
