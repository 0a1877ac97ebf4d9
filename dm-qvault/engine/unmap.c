// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an unmap.
 *
 * What is not mapped costs nothing: a range is walked from the top of the tree, and
 * whole subtrees in which neither the tree nor a delta has anything are passed over.
 * What is left is unmapped in stretches, each with one entry of the log and in one
 * critical section, of as much as that may do.
 *
 * That is looked up without a lock, as by a read, so it is true of some moment between
 * begin and end of the unmap; and a write that ends in between was under way with it,
 * so that either may win.
 */
#include "qvault.h"

/* What is unmapped by pieces of level @top at most. */
struct extent {
	u64 end;
	u32 top;
	bool heals;			/* it is all of what is below a damaged node */
};

/* Pieces of it that follow each other. */
struct stretch {
	u64 logical;
	u64 count;			/* blocks */
	u32 pieces;
	bool heals;			/* a damaged node; then it is one piece */
};

static struct qvault_delta *live(struct qvault *v)
{
	return &v->delta[v->live];
}

static u32 shift_of(u32 level)
{
	return QVAULT_FANOUT_SHIFT * (level + 1);
}

/* ---- What need not be unmapped ---- */

static enum qvault_knows ask_deltas(struct qvault *v, u32 level, u64 index,
				    struct qvault_root *root)
{
	enum qvault_knows knows;

	read_lock(&v->map_lock);
	*root = v->anchor.tree;
	knows = qvault_delta_knows(v, live(v), level, index);
	if (knows == QVAULT_UNKNOWN && v->frozen)
		knows = qvault_delta_knows(v, &v->delta[!v->live], level, index);
	read_unlock(&v->map_lock);
	return knows;
}

/*
 * Is nothing mapped below a node, as far as can be told without reading a leaf?  If a
 * node cannot be read, or was replaced meanwhile, something may be.
 */
static bool is_unmapped(struct qvault *v, u32 level, u64 index)
{
	u64 leaf = index << (QVAULT_FANOUT_SHIFT * level);
	enum qvault_knows knows;
	struct qvault_root root;
	struct qvault_ptr ptr;
	int err;

	knows = ask_deltas(v, level, index, &root);
	if (knows == QVAULT_MAPPED)
		return false;
	/* There may be a damaged node that has become known since: this heals it. */
	if (knows == QVAULT_UNMAPPED)
		return !READ_ONCE(v->damage.nr);
	err = qvault_tree_find_at(v, QVAULT_KIND_NODE, &root, level, leaf, &ptr, NULL);
	return !err && !ptr.version;
}

static void next_piece(const struct qvault *v, u64 logical, u64 end, u32 top,
		       struct qvault_piece *piece)
{
	qvault_next_piece(&v->geo, logical, end - logical, piece);
	if (piece->level <= top)
		return;
	piece->level = top;
	piece->count = min(piece->count, 1ull << shift_of(top));
}

static bool piece_is_unmapped(struct qvault *v, const struct qvault_piece *piece)
{
	return is_unmapped(v, piece->level, piece->logical >> shift_of(piece->level));
}

/* The end of the largest subtree from @logical on, or around it, that is unmapped. */
static u64 pass_over(struct qvault *v, u64 logical, const struct qvault_piece *piece)
{
	u32 level;
	u64 index;

	for (level = v->geo.tree.top; level > piece->level; level--) {
		index = logical >> shift_of(level);
		if (is_unmapped(v, level, index))
			return (index + 1) << shift_of(level);
	}
	return piece_is_unmapped(v, piece) ? logical + piece->count : logical;
}

/* ---- What must be ---- */

/*
 * As many pieces as follow each other, and may be mapped.  Near damaged nodes each is
 * judged alone.
 */
static int next_stretch(struct qvault *v, const struct extent *r, u32 most,
			const struct qvault_piece *first, struct stretch *s)
{
	struct qvault_piece piece = *first;
	int err = 0;

	s->logical = piece.logical;
	s->count = piece.count;
	s->pieces = 1;
	s->heals = r->heals;
	if (!r->heals)
		err = qvault_damage_piece(v, &piece, &s->heals);
	while (!err && s->pieces < most && s->logical + s->count < r->end &&
	       !READ_ONCE(v->damage.nr)) {
		next_piece(v, s->logical + s->count, r->end, r->top, &piece);
		if (piece_is_unmapped(v, &piece))
			break;
		s->count += piece.count;
		s->pieces++;
	}
	return err;
}

/* Is that not too much for one critical section?  Context: map_lock. */
static bool fits(struct qvault *v, const struct stretch *s, u32 top)
{
	u64 logical = s->logical, end = logical + s->count;
	struct qvault_piece piece;
	u32 work = 0;

	for (; logical < end; logical += piece.count) {
		next_piece(v, logical, end, top, &piece);
		work += qvault_delta_work(live(v), piece.level,
					  logical >> shift_of(piece.level));
		if (work > QVAULT_MAX_WORK)
			return false;
	}
	return true;
}

/* Context: map_lock for writing; a node promised for each piece. */
static void insert_pieces(struct qvault *v, const struct stretch *s, u32 top)
{
	u64 logical = s->logical, end = logical + s->count;
	struct qvault_piece piece;

	for (; logical < end; logical += piece.count) {
		next_piece(v, logical, end, top, &piece);
		qvault_delta_unmap_piece(v, live(v), &piece);
		qvault_damage_unmapped(v, &piece);
	}
	qvault_stream_append_unmap(v, s->logical, s->count);
}

/* Returns 0; -E2BIG if it is too much at a time; or another negative errno. */
static int unmap_stretch(struct qvault *v, const struct stretch *s, u32 top)
{
	struct qvault_need need = {
		.bytes = QVAULT_ENTRY_WORST,
		.nodes = s->pieces,
		.heals = s->heals,
	};
	bool done;
	int err;

	err = qvault_may_write(v);
	if (!err)
		err = qvault_get_room(v, &need, NULL);
	if (err)
		return err;
	write_lock(&v->map_lock);
	done = fits(v, s, top);
	if (done)
		insert_pieces(v, s, top);
	__qvault_unreserve(v, need.bytes, need.nodes);
	write_unlock(&v->map_lock);
	qvault_ended(v);
	if (!done)
		return -E2BIG;
	qvault_checkpoint_if_due(v);
	return 0;
}

static int unmap_range(struct qvault *v, u64 logical, const struct extent *r);

/*
 * A subtree that is too much at a time is unmapped by what it has below it, and the
 * delta joins that again.  Recursion is bounded by QVAULT_MAX_LEVELS.
 */
static int unmap_below(struct qvault *v, const struct stretch *s, u32 level)
{
	struct extent r = {
		.end = s->logical + s->count,
		.top = level - 1,
		.heals = s->heals,
	};

	return unmap_range(v, s->logical, &r);
}

/* Unmap what begins with a piece; @logical moves on. */
static int unmap_from(struct qvault *v, u64 *logical, const struct extent *r,
		      const struct qvault_piece *piece)
{
	struct stretch s;
	int err;

	err = next_stretch(v, r, QVAULT_STOCK, piece, &s);
	if (!err)
		err = unmap_stretch(v, &s, r->top);
	if (err == -E2BIG && s.pieces > 1) {
		err = next_stretch(v, r, 1, piece, &s);
		if (!err)
			err = unmap_stretch(v, &s, r->top);
	}
	if (err == -E2BIG) {
		err = unmap_below(v, &s, piece->level);
		/* Now that it is little, once more as a whole: only that heals. */
		if (s.heals && !r->heals)
			return err;
	}
	if (!err)
		*logical += s.count;
	return err;
}

static int unmap_range(struct qvault *v, u64 logical, const struct extent *r)
{
	struct qvault_piece piece;
	u64 next;
	int err = 0;

	while (logical < r->end && !err) {
		cond_resched();
		next_piece(v, logical, r->end, r->top, &piece);
		next = pass_over(v, logical, &piece);
		if (next > logical)
			logical = next;
		else
			err = unmap_from(v, &logical, r, &piece);
	}
	return err;
}

/**
 * qvault_unmap() - make blocks read as zeros, and forget what they held
 * @v: vault
 * @logical: first block
 * @count: how many
 *
 * Costs a few entries, however long the range is, and none where nothing is mapped.  Of
 * what is below a damaged node only all can be unmapped.
 *
 * Context: sleeps; no lock held.
 * Return: 0 or a negative errno; then some of the range may be unmapped.
 */
int qvault_unmap(struct qvault *v, u64 logical, u64 count)
{
	const struct extent r = {
		.end = logical + count,
		.top = v->geo.tree.top,
	};
	int err = qvault_may_write(v);

	if (!err)
		err = unmap_range(v, logical, &r);
	if (!err)
		atomic64_add(count, &v->counters.unmaps);
	return err;
}
