// SPDX-License-Identifier: GPL-2.0
/*
 * The walker: one pass over all that a volume holds, a leaf at a time.
 *
 * Three things are done on such a pass.  A scrub reads each block and both copies of
 * each upper node from the device, and verifies them.  A reseal does that with what is
 * not of the generation that seals, and seals it anew; so a generation that is to go
 * is named by nothing in the end, and a checkpoint drops it.  What is left to reseal
 * the tree itself tells, for a pointer says of which generations all below it is: so
 * one that is begun again, after a crash or with another generation, costs only what
 * is left.
 *
 * A repair is a scrub that ends what it finds: a block that cannot be read is marked as
 * lost, and so is all below a node that cannot be.  Who reads that gets an error, never
 * zeros, until it is written or discarded; and everything else can be written again.  A
 * device may fail for a while and have lost nothing.  So the first pass only looks, and
 * between it and the next one a checkpoint must succeed.
 *
 * It begins with a checkpoint, so that the tree has all that was there before.
 */
#include "qvault.h"

static const struct qvault_tree_geometry *tree_of(const struct qvault *v,
						  enum qvault_kind kind)
{
	return kind == QVAULT_KIND_MAP ? &v->geo.map : &v->geo.tree;
}

static enum qvault_kind kind_of(const struct qvault_walk *w)
{
	return w->phase == QVAULT_WALK_MAP ? QVAULT_KIND_MAP : QVAULT_KIND_NODE;
}

static void get_root(struct qvault *v, enum qvault_kind kind, struct qvault_root *root)
{
	read_lock(&v->map_lock);
	*root = kind == QVAULT_KIND_MAP ? v->anchor.map : v->anchor.tree;
	read_unlock(&v->map_lock);
}

static bool root_moved(struct qvault *v, enum qvault_kind kind,
		       const struct qvault_root *root)
{
	struct qvault_root now;

	get_root(v, kind, &now);
	return now.ptr.version != root->ptr.version;
}

/* Generations that a reseal has to get rid of. */
static u32 old_gens(struct qvault *v)
{
	u32 gens;

	read_lock(&v->map_lock);
	gens = ~(BIT(v->anchor.seal) | QVAULT_LOST_GENS);
	read_unlock(&v->map_lock);
	return gens;
}

/* ---- What was found ---- */

static void forget_verified(struct qvault_walk *w)
{
	memset(w->verified, 0xff, sizeof(w->verified));
}

static void note_range(struct qvault_walk *w, u64 first, u64 count)
{
	struct qvault_bad *last = w->nr_ranges ? &w->range[w->nr_ranges - 1] : NULL;

	if (last && last->first + last->count == first) {
		WRITE_ONCE(last->count, last->count + count);
	} else if (w->nr_ranges < QVAULT_BAD_RANGES) {
		w->range[w->nr_ranges] = (struct qvault_bad){ first, count };
		/* Who sees that there is one more sees what it is. */
		smp_store_release(&w->nr_ranges, w->nr_ranges + 1);
	}
}

/* Blocks of the volume that cannot be read: by themselves, or what is above them. */
static void found_bad(struct qvault *v, u64 logical, u64 count)
{
	struct qvault_walk *w = &v->walk;

	count = min(count, v->geo.logical_blocks - logical);
	WRITE_ONCE(w->bad, w->bad + count);
	note_range(w, logical, count);
}

/* Is what is found now given up?  If not, another pass looks at it. */
static bool gives_up(struct qvault_walk *w)
{
	bool now = w->kind == QVAULT_WALK_REPAIR && w->passes;

	if (w->kind == QVAULT_WALK_REPAIR && !now)
		w->left = true;
	return now;
}

/*
 * A checkpoint puts what stands for all that is lost in the place of a node.  What was
 * acknowledged since is carried around it, and merged by the next one.
 *
 * Returns 1; 0: it was in the cache, or could be read after all, and was written anew; or
 * a negative errno.
 */
static int give_up_node(struct qvault *v, u64 id)
{
	bool done;
	int err;

	WRITE_ONCE(v->walk.given_up, id + 1);
	err = qvault_checkpoint_unasked(v);
	done = !READ_ONCE(v->walk.given_up);
	WRITE_ONCE(v->walk.given_up, 0);
	if (err)
		return err == -EBUSY ? -EAGAIN : err;
	if (!done)
		v->walk.left = true;
	return done;
}

static void go_on(struct qvault_walk *w, u64 next)
{
	WRITE_ONCE(w->next, next);
	w->part = 0;
}

/* A node that cannot be read; the walk goes on behind what is below it. */
static int skip_node(struct qvault *v, u64 id, int why)
{
	u32 level = id >> QVAULT_NODE_LEVEL_SHIFT;
	u64 index = id & ((1ull << QVAULT_NODE_LEVEL_SHIFT) - 1);
	u32 shift = QVAULT_FANOUT_SHIFT * level;
	struct qvault_walk *w = &v->walk;
	u64 first = index << shift, end = first + (1ull << shift);
	int counts = w->kind != QVAULT_WALK_REPAIR;

	if (why == -EILSEQ)
		qvault_corrupt(v, kind_of(w), id);
	if (gives_up(w))
		counts = give_up_node(v, id);
	if (counts < 0)
		return counts;
	/* Also what was visited before is given up with it. */
	if (w->kind != QVAULT_WALK_REPAIR)
		first = max(first, w->next);
	if (counts && w->phase == QVAULT_WALK_TREE)
		found_bad(v, first << QVAULT_FANOUT_SHIFT,
			  (end - first) << QVAULT_FANOUT_SHIFT);
	go_on(w, end);
	return 1;
}

/* ---- Scrub ---- */

/* The device, or who has access to it, has harmed something: the walk goes on. */
static bool is_bad(int err)
{
	return err == -EILSEQ || err == -EIO;
}

/* Both copies of the upper nodes above @leaf that were not verified just before. */
static int verify_above(struct qvault *v, const struct qvault_root *root, u64 leaf,
			u64 *bad)
{
	enum qvault_kind kind = kind_of(&v->walk);
	struct qvault_ptr ptr = root->ptr;
	u32 level;
	u64 index;
	int err;

	for (level = root->level; level; level--) {
		index = leaf >> (QVAULT_FANOUT_SHIFT * level);
		*bad = qvault_node_id(level, index);
		if (v->walk.verified[level] != index) {
			err = qvault_node_verify(v, kind, level, index, &ptr, root);
			if (err)
				return err;
			v->walk.verified[level] = index;
		}
		err = qvault_tree_child(v, kind, level, leaf, &ptr);
		if (err || !ptr.version)
			return err;
	}
	*bad = qvault_node_id(0, leaf);
	return qvault_node_verify(v, kind, 0, leaf, &ptr, root);
}

/* ---- Repair ---- */

/* Those of @bad that are not given up are left for another pass, and not in it then. */
static void give_up_blocks(struct qvault *v, const struct qvault_blocks *b, u64 *bad)
{
	bool now = gives_up(&v->walk);
	u32 i;

	for (i = 0; i < b->count; i++) {
		if (!(*bad >> i & 1))
			continue;
		if (now && qvault_lose(v, b->logical + i, &b->root) > 0)
			continue;
		*bad &= ~BIT_ULL(i);
		v->walk.left = true;
	}
}

/* ---- A leaf ---- */

/* A node above has become unreadable just now: a repair comes to it in the next pass. */
static int pass_by(struct qvault *v, u64 *bad)
{
	if (v->walk.kind == QVAULT_WALK_REPAIR) {
		v->walk.left = true;
		*bad = 0;
	}
	return 0;
}

/* What has nothing of these generations is done.  Says how many are lost. */
static u32 leave_out(struct qvault_blocks *b, u32 gens)
{
	u32 lost = 0, i;

	for (i = 0; i < b->count; i++) {
		lost += qvault_ptr_lost(&b->ptr[i]);
		if (!(qvault_ptr_gens(&b->ptr[i]) & gens))
			b->ptr[i].version = 0;
	}
	return lost;
}

/* Some blocks of a leaf, from @logical on; @bad: a bit for each that cannot be read. */
static int visit_blocks(struct qvault *v, struct qvault_blocks *b, u64 *bad)
{
	bool reseal = v->walk.kind == QVAULT_WALK_RESEAL;
	u32 gens = old_gens(v), moved = 0, lost, looked;
	int err;

	err = qvault_lookup_under(v, b->logical, b->count, b->ptr, &b->root);
	if (is_bad(err)) {
		*bad = GENMASK_ULL(b->count - 1, 0);
		return pass_by(v, bad);
	}
	if (err)
		return err;
	lost = leave_out(b, reseal ? gens : ~0u);
	err = qvault_blocks_verify(v, b, bad);
	looked = b->nr;
	if (!err && reseal)
		err = qvault_blocks_move(v, b, &moved);
	else if (!err && *bad && v->walk.kind == QVAULT_WALK_REPAIR)
		give_up_blocks(v, b, bad);
	/* Below a damaged node nothing can be written; a write that failed may not again. */
	if (is_bad(err))
		err = err == -EILSEQ ? 0 : -EAGAIN;
	WRITE_ONCE(v->walk.moved, v->walk.moved + moved);
	qvault_blocks_put(b);
	/* What is visited once more is counted then. */
	if (err)
		return err;
	WRITE_ONCE(v->walk.looked, v->walk.looked + looked);
	WRITE_ONCE(v->walk.lost, v->walk.lost + lost);
	return 0;
}

/* From where it has stopped for want of memory, if it has. */
static int visit_leaf(struct qvault *v, struct qvault_blocks *b, u64 leaf)
{
	u64 first = leaf << QVAULT_FANOUT_SHIFT, bad = 0;
	u64 count = min_t(u64, v->geo.logical_blocks - first, QVAULT_FANOUT);
	struct qvault_walk *w = &v->walk;
	int err = 0;
	u32 i;

	for (; w->part < count && !err; w->part += err ? 0 : b->count) {
		b->logical = first + w->part;
		b->count = min_t(u64, count - w->part, QVAULT_WALK_BLOCKS);
		err = visit_blocks(v, b, &bad);
		for (i = 0; !err && i < b->count; i++)
			if (bad >> i & 1)
				found_bad(v, b->logical + i, 1);
	}
	return err;
}

static int visit_data(struct qvault *v, u64 leaf)
{
	struct qvault_blocks *b;
	int err;

	b = qvault_kmalloc(sizeof(*b), GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!b)
		return -EAGAIN;
	memset(b, 0, sizeof(*b));
	err = visit_leaf(v, b, leaf);
	kfree(b);
	return err;
}

/* ---- Steps ---- */

/* The next leaf with something to do; false: there is none up to the end. */
static int find_leaf(struct qvault *v, const struct qvault_root *root, u64 *leaf, u64 *bad)
{
	/* A scrub comes to what is lost too, to say how much that is. */
	u32 gens = v->walk.kind == QVAULT_WALK_RESEAL ? old_gens(v) : ~0u;

	return qvault_tree_next(v, kind_of(&v->walk), root, v->walk.next, gens, leaf, bad);
}

static int visit(struct qvault *v, const struct qvault_root *root, u64 leaf, u64 *bad)
{
	int err = 0;

	if (v->walk.kind != QVAULT_WALK_RESEAL)
		err = verify_above(v, root, leaf, bad);
	if (err || v->walk.phase == QVAULT_WALK_MAP)
		return err;
	return visit_data(v, leaf);
}

/* Passes after which a reseal or a repair gives up: what is left cannot be read. */
#define PASSES	4

/* What was given up becomes durable; what could not be, is looked at again. */
static int repair_ends(struct qvault *v)
{
	struct qvault_walk *w = &v->walk;
	int err = qvault_checkpoint_unasked(v);

	if (err)
		return err == -EBUSY ? -EAGAIN : err;
	WRITE_ONCE(w->complete, !w->left);
	if (!w->left || ++w->passes == PASSES)
		return 0;
	w->left = false;
	forget_verified(w);
	WRITE_ONCE(w->lost, 0);
	WRITE_ONCE(w->phase, QVAULT_WALK_TREE);
	go_on(w, 0);
	return 1;
}

/*
 * The end of the tree.  A block that a user wrote at the same moment may have been passed
 * by; and a node may be old although all below it is new, if what was below it is gone:
 * those the next checkpoints write anew.  Both is seldom, and the next pass comes to
 * what is left at once.
 */
static int reseal_ends(struct qvault *v)
{
	struct qvault_walk *w = &v->walk;
	u32 left;
	int err;

	err = qvault_checkpoint_unasked(v);
	if (err)
		return err == -EBUSY ? -EAGAIN : err;
	read_lock(&v->map_lock);
	left = (qvault_ptr_gens(&v->anchor.tree.ptr) |
		qvault_ptr_gens(&v->anchor.map.ptr)) & ~BIT(v->anchor.seal);
	read_unlock(&v->map_lock);
	WRITE_ONCE(w->complete, !left);
	if (!left || ++w->passes == PASSES)
		return 0;
	WRITE_ONCE(w->renew, left);
	WRITE_ONCE(w->bad, 0);
	WRITE_ONCE(w->nr_ranges, 0);
	go_on(w, 0);
	return 1;
}

static int phase_ends(struct qvault *v)
{
	struct qvault_walk *w = &v->walk;
	int err = 0;

	if (w->kind != QVAULT_WALK_RESEAL && w->phase == QVAULT_WALK_TREE) {
		forget_verified(w);
		WRITE_ONCE(w->phase, QVAULT_WALK_MAP);
		go_on(w, 0);
		return 1;
	}
	if (w->kind == QVAULT_WALK_RESEAL)
		err = reseal_ends(v);
	else if (w->kind == QVAULT_WALK_REPAIR)
		err = repair_ends(v);
	else
		WRITE_ONCE(w->complete, true);
	if (!err)
		qvault_walk_end(v);
	return err;
}

static int step(struct qvault *v)
{
	struct qvault_walk *w = &v->walk;
	enum qvault_kind kind = kind_of(w);
	struct qvault_root root;
	u64 leaf, bad = 0;
	int err;

	get_root(v, kind, &root);
	err = find_leaf(v, &root, &leaf, &bad);
	if (!err)
		return phase_ends(v);
	if (err > 0) {
		if (leaf != w->next)
			go_on(w, leaf);
		err = visit(v, &root, leaf, &bad);
	}
	if (is_bad(err)) {
		/* A checkpoint has passed by: what was looked for is somewhere else. */
		if (root_moved(v, kind, &root))
			return 1;
		return skip_node(v, bad, err);
	}
	if (err)
		return err;
	go_on(w, leaf + 1);
	return 1;
}

/**
 * qvault_walk_step() - go on by a leaf
 * @v: vault that is attached; nobody else makes steps
 *
 * Context: sleeps; no lock held.
 * Return: 1; 0 if the walk has ended; -EAGAIN if memory or room is short or a write has
 * failed: the same step is to be tried again, but not at once; or another negative errno:
 * the vault cannot be written, and the walk goes on when it is attached again.
 */
int qvault_walk_step(struct qvault *v)
{
	int err, fatal;

	if (!v->walk.kind)
		return 0;
	err = qvault_may_write(v) ?: step(v);
	if (err >= 0)
		return err;
	fatal = qvault_may_write(v);
	if (!fatal)
		return -EAGAIN;
	/* Whoever waits for its end is not to wait for ever; the record keeps it. */
	WRITE_ONCE(v->walk.kind, QVAULT_WALK_NONE);
	return fatal;
}

/* The next commit writes a record, even if it has nothing else to say. */
static void tell(struct qvault *v)
{
	write_lock(&v->map_lock);
	v->stream.dirty = true;
	write_unlock(&v->map_lock);
}

/**
 * qvault_walk_begin() - begin a walk, in place of one that is under way
 * @v: vault that is attached
 * @kind: what for
 *
 * Context: sleeps; no lock held, and nobody makes steps.
 * Return: 0; -EBUSY while something is held; or another negative errno.
 */
int qvault_walk_begin(struct qvault *v, enum qvault_walk_kind kind)
{
	struct qvault_walk *w = &v->walk;
	int err = qvault_checkpoint_unasked(v);

	if (err)
		return err;
	memset(w, 0, sizeof(*w));
	forget_verified(w);
	WRITE_ONCE(w->kind, kind);
	tell(v);
	return 0;
}

/**
 * qvault_walk_end() - there is nothing more to do, or it is not wanted
 * @v: vault
 *
 * What it has found can still be asked for.  The next commit makes it durable.
 *
 * Context: process, no spinlock held; nobody makes steps.
 */
void qvault_walk_end(struct qvault *v)
{
	WRITE_ONCE(v->walk.kind, QVAULT_WALK_NONE);
	WRITE_ONCE(v->walk.renew, 0);
	tell(v);
}

/* Leaves that a walk may have to visit in its phase, so that one can say how far it is. */
u64 qvault_walk_length(const struct qvault *v)
{
	return tree_of(v, kind_of(&v->walk))->count[0];
}

/*
 * What a record says: who writes records goes on with it, if it is known what it is.  An
 * ephemeral life does not: a reseal would write a whole copy to no end.
 */
void qvault_walk_attached(struct qvault *v, const struct qvault_disk_walk *disk)
{
	struct qvault_walk *w = &v->walk;

	memset(w, 0, sizeof(*w));
	forget_verified(w);
	if (v->read_only || v->let_go)
		return;
	if (disk->kind > QVAULT_WALK_REPAIR || disk->phase > QVAULT_WALK_MAP)
		return;
	w->kind = disk->kind;
	w->phase = disk->phase;
	w->next = le64_to_cpu(disk->next);
	w->bad = le64_to_cpu(disk->bad);
	/* No record says that something was: another pass finds out. */
	w->left = w->kind == QVAULT_WALK_REPAIR;
}

/* What a record is to say.  Context: any; each field is as new as it happens to be. */
void qvault_walk_fill(const struct qvault *v, struct qvault_disk_walk *disk)
{
	const struct qvault_walk *w = &v->walk;

	memset(disk, 0, sizeof(*disk));
	disk->kind = READ_ONCE(w->kind);
	if (!disk->kind)
		return;
	disk->phase = READ_ONCE(w->phase);
	disk->next = cpu_to_le64(READ_ONCE(w->next));
	disk->bad = cpu_to_le64(READ_ONCE(w->bad));
}
