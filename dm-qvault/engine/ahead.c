// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes that are in the cache before they are asked for.
 *
 * Who knows which leaves he will want next has them brought here, with all that is
 * above them: level by level from the root, and of each level all that are missing
 * at once.  So on a device that is far away it takes a few round trips for many
 * leaves, and not some for each.
 *
 * All of this is hints.  What cannot be had is passed over in silence: whoever needs
 * the node looks for himself, and judges what he finds.
 */
#include "qvault.h"

struct look {
	struct qvault *v;
	enum qvault_kind kind;
	struct qvault_want *want;
	struct qvault_read *read;
	u32 window;			/* nodes that are brought at a time */
	bool more;			/* leaves follow, that will be asked for later */

	/* Of one round: */
	struct qvault_leaves span;	/* that is looked at */
	u32 lowest;			/* level that is wanted */
	u32 left;			/* of the window */
	u32 nr;				/* of @want */
	u64 first;			/* leaf below the first of them */
	u64 stop;			/* leaf before which all was looked at */
};

static u64 first_of(u32 level, u64 index)
{
	return index << (QVAULT_FANOUT_SHIFT * level);
}

/* Leaves that are close have most of what is above them in common. */
static void want(struct look *l, u32 level, u64 index, const struct qvault_ptr *ptr)
{
	if (l->nr && l->want[l->nr - 1].ptr.version == ptr->version)
		return;
	if (!l->nr)
		l->first = max(l->span.from, first_of(level, index));
	l->want[l->nr++] = (struct qvault_want){ *ptr, index, level };
	l->left--;
}

static void look_at(struct look *l, u32 level, u64 index, const struct qvault_ptr *ptr);

static void look_below(struct look *l, u32 level, u64 index,
		       const struct qvault_disk_node *disk)
{
	u64 first = index << QVAULT_FANOUT_SHIFT, last = first + QVAULT_FANOUT - 1;
	u32 shift = QVAULT_FANOUT_SHIFT * (level - 1);
	struct qvault_ptr ptr;

	first = max(first, l->span.from >> shift);
	last = min(last, (l->span.end - 1) >> shift);
	for (; first <= last; first++) {
		qvault_ptr_from_disk(&ptr, &disk->ptr[first & (QVAULT_FANOUT - 1)]);
		if (!ptr.version)
			continue;
		if (!l->left) {
			l->stop = min(l->stop, first << shift);
			return;
		}
		look_at(l, level - 1, first, &ptr);
	}
}

/* Recursion is bounded by QVAULT_MAX_LEVELS. */
static void look_at(struct look *l, u32 level, u64 index, const struct qvault_ptr *ptr)
{
	struct qvault_node *node = qvault_node_find(l->v, ptr->version);

	if (!node) {
		want(l, level, index, ptr);
		return;
	}
	if (level > l->lowest)
		look_below(l, level, index, node->data);
	else
		l->left--;
	qvault_node_put(l->v, node);
}

/* What is missing of some leaves in the tree of @root, down to level @lowest. */
static void look(struct look *l, const struct qvault_root *root, u32 lowest,
		 const struct qvault_leaves *span, u32 nr)
{
	u32 i;

	l->lowest = lowest;
	l->stop = span[nr - 1].end;
	for (i = 0; i < nr; i++) {
		if (!l->left) {
			l->stop = min(l->stop, span[i].from);
			return;
		}
		if (!qvault_root_covers(root, span[i].from))
			continue;
		l->span = span[i];
		l->span.end = min(span[i].end,
				  1ull << (QVAULT_FANOUT_SHIFT * root->level));
		if (root->level >= lowest)
			look_at(l, root->level, 0, &root->ptr);
	}
}

/*
 * One level more.  Says in @end before which leaf nothing is missing any more; returns
 * whether it makes sense to go on.
 */
static bool bring_more(struct look *l, const struct qvault_root *root,
		       const struct qvault_root *upper, const struct qvault_leaves *span,
		       u32 nr, bool again, u64 *end)
{
	l->left = l->window;
	l->nr = 0;
	look(l, root, 0, span, nr);
	*end = l->stop;
	/* The last few are better brought with those that follow them. */
	if (l->more && again && l->nr && l->nr < l->window / 4 &&
	    l->first > span->from) {
		*end = l->first;
		return false;
	}
	if (upper->ptr.version != root->ptr.version) {
		l->left = l->window - l->nr;
		look(l, upper, 1, span, nr);
	}
	return l->nr && qvault_node_fetch(l->v, l->kind, l->want, l->read, l->nr);
}

/* Leaves of @root, and what is above them in the tree of @upper too. */
static u64 bring(struct look *l, const struct qvault_root *root,
		 const struct qvault_root *upper, const struct qvault_leaves *span, u32 nr)
{
	u32 level;
	u64 end;

	for (level = 0; level <= root->level + 1; level++)
		if (!bring_more(l, root, upper, span, nr, level > 0, &end))
			break;
	return end;
}

static void look_init(struct look *l, struct qvault *v, enum qvault_kind kind,
		      struct qvault_fetch *fetch)
{
	*l = (struct look){
		.v = v,
		.kind = kind,
		.want = fetch->want,
		.read = fetch->read,
		.window = min(READ_ONCE(v->cache.limit) / 4, QVAULT_READS),
	};
}

/**
 * qvault_cursor_ahead() - bring what a cursor will need for its next leaves
 * @c: cursor; they are the first @nr spans of c->fetch, in ascending order
 * @nr: of spans, 1..QVAULT_SPANS
 *
 * So many that they are still in the cache when it comes to them, with what is written
 * meanwhile: for each leaf there are the node above it, and both again as new ones.
 *
 * Context: sleeps.
 * Return: a leaf behind the first one, before which it need not be called again.
 */
u64 qvault_cursor_ahead(struct qvault_cursor *c, u32 nr)
{
	const struct qvault_leaves *span = c->fetch->span;
	struct look l;

	look_init(&l, c->v, c->kind, c->fetch);
	l.more = true;
	return l.window ? bring(&l, &c->root, &c->anchored, span, nr) : span[nr - 1].end;
}

/**
 * qvault_readahead() - bring a leaf into the cache
 * @v: vault
 * @leaf: which may be asked for next; also one behind the last one
 *
 * Context: sleeps; no lock held.
 */
void qvault_readahead(struct qvault *v, u64 leaf)
{
	const struct qvault_leaves span = { leaf, leaf + 1 };
	struct qvault_want want;
	struct qvault_read read;
	struct qvault_root root;
	struct look l = {
		.v = v,
		.kind = QVAULT_KIND_NODE,
		.want = &want,
		.read = &read,
		.window = 1,
	};

	read_lock(&v->map_lock);
	root = v->anchor.tree;
	read_unlock(&v->map_lock);
	bring(&l, &root, &root, &span, 1);
}
