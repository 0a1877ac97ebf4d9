// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoint: the delta is merged into the tree, and the log becomes short.
 *
 * Commits go on meanwhile, against the old tree and with a new, empty delta in
 * front of the frozen one.
 */
#include <linux/jiffies.h>

#include "qvault.h"

struct merge {
	struct qvault *v;
	struct qvault_batch *batch;
	struct qvault_cursor tree;
	struct qvault_cursor map;
	struct qvault_changes changes;
	struct qvault_fetch fetch;
	const struct qvault_delta *delta;
	u64 ahead_end;			/* leaf up to which the tree's nodes were brought */
	u64 unmapped_from;		/* leaves under a mark, not yet cleared */
	u64 unmapped_end;
	bool damaged;			/* something cannot be merged */
};

/* What a checkpoint works with: one at a time, and it must not wait for memory. */
int qvault_checkpoint_init(struct qvault *v)
{
	v->merge = kmalloc(sizeof(*v->merge), GFP_KERNEL);
	return v->merge ? 0 : -ENOMEM;
}

/* The cursor of the tree in which a repair has come to a node that it cannot read. */
static struct qvault_cursor *cursor_of_walk(struct merge *m)
{
	return m->v->walk.phase == QVAULT_WALK_MAP ? &m->map : &m->tree;
}

static void merge_init(struct merge *m, struct qvault *v,
		       const struct qvault_delta *delta)
{
	memset(m, 0, sizeof(*m));
	m->v = v;
	m->delta = delta;
	m->batch = qvault_batch_begin(v, v->data, QVAULT_USE_CHECKPOINT);
	qvault_cursor_init(&m->tree, v, QVAULT_KIND_NODE, &v->anchor.tree,
			   m->batch);
	qvault_cursor_init(&m->map, v, QVAULT_KIND_MAP, &v->anchor.map,
			   m->batch);
	m->tree.fetch = &m->fetch;
	m->map.fetch = &m->fetch;
	m->changes.item = v->changes;
	m->changes.cursor = &m->map;
	m->changes.leaky = qvault_alloc_leaky(v);
	cursor_of_walk(m)->given_up = READ_ONCE(v->walk.given_up);
}

static void merge_exit(struct merge *m)
{
	qvault_cursor_exit(&m->map);
	qvault_cursor_exit(&m->tree);
	qvault_batch_end(m->batch);
}

/* Put one pointer into the leaf the cursor is at, or take it out. */
static int merge_ptr(struct merge *m, struct qvault_disk_ptr *disk,
		     const struct qvault_ptr *ptr)
{
	struct qvault_ptr old;
	int err = 0;

	qvault_ptr_from_disk(&old, disk);
	if (!old.version && !ptr->version)
		return 0;
	if (qvault_ptr_mapped(&old))
		err = qvault_changes_add(&m->changes, old.where, false);
	if (!err && qvault_ptr_mapped(ptr))
		err = qvault_changes_add(&m->changes, ptr->where, true);
	qvault_ptr_to_disk(disk, ptr);
	qvault_cursor_dirty(&m->tree);
	return err;
}

static int merge_leaf(struct merge *m, const struct qvault_delta_node *node)
{
	static const struct qvault_ptr none;
	const struct qvault_ptr *ptr = node->ptr;
	struct qvault_disk_node *disk;
	void *data;
	u32 bit;
	int err;

	if (bitmap_empty(node->present, QVAULT_FANOUT))
		return 0;
	/* Inside of a mark it is that already. */
	if (node->index >= m->tree.needless_end && qvault_delta_full(m->v, node))
		qvault_cursor_needless(&m->tree, node->index, node->index + 1);
	err = qvault_cursor_leaf(&m->tree, node->index, &data);
	if (err)
		return err;
	disk = data;
	for_each_set_bit(bit, node->present, QVAULT_FANOUT) {
		err = merge_ptr(m, &disk->ptr[bit],
				test_bit(bit, node->mapped) ? ptr++ : &none);
		if (err)
			return err;
	}
	return 0;
}

static u64 first_leaf(const struct qvault_delta_node *node)
{
	return node->index << (QVAULT_FANOUT_SHIFT * node->level);
}

/* The leaves that are visited from @leaf on: those left of a mark, then the delta's. */
static u32 next_leaves(struct merge *m, u64 leaf, const struct list_head *next)
{
	const struct qvault_delta_node *node;
	struct qvault_leaves *span = m->fetch.span;
	u32 n = 0;

	if (leaf < m->unmapped_end)
		span[n++] = (struct qvault_leaves){ leaf, m->unmapped_end };
	for (; n < QVAULT_SPANS && next != &m->delta->nodes; next = next->next) {
		node = list_entry(next, struct qvault_delta_node, list);
		span[n].from = max(first_leaf(node), n ? span[n - 1].end : 0);
		span[n].end = (node->index + 1) << (QVAULT_FANOUT_SHIFT * node->level);
		n += span[n].from < span[n].end;
	}
	return n;
}

/* Before the cursor goes to @leaf: are the nodes there? */
static void look_ahead(struct merge *m, u64 leaf, const struct list_head *next)
{
	if (leaf >= m->ahead_end)
		m->ahead_end = qvault_cursor_ahead(&m->tree, next_leaves(m, leaf, next));
}

static int clear_leaf(struct merge *m, u64 index)
{
	static const struct qvault_ptr none;
	struct qvault_disk_node *disk;
	void *data;
	u32 bit;
	int err;

	err = qvault_cursor_leaf(&m->tree, index, &data);
	disk = data;
	for (bit = 0; !err && bit < QVAULT_FANOUT; bit++)
		err = merge_ptr(m, &disk->ptr[bit], &none);
	return err;
}

/* Clear what is still mapped under the mark, up to leaf @end; @next comes then. */
static int clear_unmapped(struct merge *m, u64 end, const struct list_head *next)
{
	u64 leaf, stop;
	int err;

	end = min(end, m->unmapped_end);
	while (m->unmapped_from < end) {
		look_ahead(m, m->unmapped_from, next);
		stop = min(end, m->ahead_end);
		err = qvault_cursor_next(&m->tree, m->unmapped_from, stop, &leaf);
		if (err > 0)
			err = clear_leaf(m, leaf);
		else
			leaf = stop - 1;
		if (err)
			return err;
		m->unmapped_from = leaf + 1;
	}
	m->unmapped_from = max(m->unmapped_from, end);
	return 0;
}

static int merge_node(struct merge *m, const struct qvault_delta_node *node)
{
	u32 shift = QVAULT_FANOUT_SHIFT * node->level;
	u64 first = first_leaf(node);

	if (!node->level) {
		look_ahead(m, first, &node->list);
		/* Under a mark all of the leaf's blocks are present. */
		if (first < m->unmapped_end)
			m->unmapped_from = first + 1;
		return merge_leaf(m, node);
	}
	m->unmapped_from = first;
	m->unmapped_end = min((node->index + 1) << shift,
			      m->v->geo.tree.count[0]);
	qvault_cursor_needless(&m->tree, first, m->unmapped_end);
	return 0;
}

/*
 * A node that cannot be read is remembered, and the merge goes on to find all that
 * there are, although what it makes is of no use then.
 */
static int pass_damage(struct merge *m, int err)
{
	if (err != -EILSEQ)
		return err;
	m->damaged = true;
	m->unmapped_from = m->unmapped_end;
	return qvault_damage_add(m->v, m->tree.bad);
}

static int merge_nodes(struct merge *m, struct qvault_delta *delta)
{
	const struct qvault_delta_node *node;
	int err;

	list_for_each_entry(node, &delta->nodes, list) {
		err = pass_damage(m, clear_unmapped(m, first_leaf(node), &node->list));
		if (!err && qvault_damage_above(m->v, node->level, node->index))
			m->damaged = true;
		else if (!err)
			err = pass_damage(m, merge_node(m, node));
		if (err)
			return err;
	}
	return pass_damage(m, clear_unmapped(m, m->unmapped_end, &delta->nodes));
}

/* Nodes of generations that are to go; what cannot be read stays. */
static int renew(struct merge *m, u32 gens)
{
	int err;

	err = qvault_cursor_renew_gens(&m->tree, gens);
	if (!err || err == -EILSEQ)
		err = qvault_cursor_finish(&m->tree);
	if (!err)
		err = qvault_cursor_renew_gens(&m->map, gens);
	return err && err != -EILSEQ ? err : qvault_cursor_finish(&m->map);
}

/*
 * Such a node is replaced where a cursor comes to it: by one that is all lost, or full.
 * If it is in the cache, or can be read now, it is written anew.
 */
static int give_up(struct merge *m)
{
	struct qvault_cursor *c = cursor_of_walk(m);

	return qvault_cursor_renew(c, c->given_up - 1, 0) ?: qvault_cursor_finish(c);
}

/* Nodes that are written anew although nothing in them changes: passes of their own. */
static int renew_and_heal(struct merge *m)
{
	bool gives_up = cursor_of_walk(m)->given_up;
	u32 gens = READ_ONCE(m->v->walk.renew);
	bool heals = qvault_heal_begin(m->v);
	int err = 0;

	if (likely(!heals && !gens && !gives_up))
		return 0;
	if (heals)
		err = qvault_heal_visit(&m->tree) ?: qvault_heal_visit(&m->map);
	/* Nodes may be written again now, to the same places. */
	err = err ?: qvault_batch_wait(m->batch);
	if (!err && gens)
		err = renew(m, gens) ?: qvault_batch_wait(m->batch);
	if (!err && gives_up)
		err = give_up(m) ?: qvault_batch_wait(m->batch);
	return err;
}

static int finish_merge(struct merge *m)
{
	int err = qvault_cursor_finish(&m->tree);

	if (!err)
		err = qvault_changes_apply(&m->changes);
	return err ?: qvault_batch_wait(m->batch);
}

/* Returns -EILSEQ if some of it must be carried: see damage.c. */
static int merge_delta(struct merge *m, struct qvault_delta *delta)
{
	int err;

	qvault_delta_sort(m->v, delta);
	err = renew_and_heal(m);
	if (!err)
		err = merge_nodes(m, delta);
	if (!err && m->damaged)
		return -EILSEQ;
	return err ?: finish_merge(m);
}

/*
 * The commit that sets the delta aside; or one that makes sure that a delta which
 * was set aside by an earlier checkpoint stands in the log.  Says in @idle whether
 * there is nothing in the log up to there.
 */
static int freeze(struct qvault *v, bool *idle)
{
	struct qvault_page *spare = NULL;
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	if (!err) {
		/* One of those that this commit writes takes its place. */
		if (!v->frozen)
			swap(spare, v->freeze_page);
		err = __qvault_commit(v, spare);
	}
	/* That may have had nothing to write; what follows has. */
	if (!err)
		err = qvault_line_look(v);
	*idle = v->freeze_head + 1 == v->anchor.log_tail;
	mutex_unlock(&v->commit_mutex);
	return err;
}

static int anchor(struct qvault *v, const struct merge *m)
{
	struct qvault_anchor next;
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	/*
	 * What was carried, or what a commit has cut and failed to write: it may have
	 * been inline in the durable record, and would be in no log and no record
	 * after this one.
	 */
	if (!err && (v->damage.pages || !list_empty(&v->stream.cut)))
		err = __qvault_commit(v, NULL);
	if (err)
		goto out;
	next = v->anchor;
	next.tree = m->tree.root;
	next.map = m->map.root;
	next.log_tail = v->freeze_head + 1;
	if (next.log_head < next.log_tail)
		memset(&next.log, 0, sizeof(next.log));
	err = __qvault_anchor_tree(v, &next);
out:
	mutex_unlock(&v->commit_mutex);
	return err;
}

static int merge_and_anchor(struct qvault *v, struct qvault_delta *delta)
{
	struct merge *m = v->merge;
	int err;

	merge_init(m, v, delta);
	err = merge_delta(m, delta);
	/* A mistake of ours: more checkpoints would only fail as well. */
	if (err == -EUCLEAN)
		qvault_fail(v, "checkpoint", err);
	if (!err)
		err = anchor(v, m);
	if (!err && cursor_of_walk(m)->gave_up)
		WRITE_ONCE(v->walk.given_up, 0);
	merge_exit(m);
	return err;
}

/* ---- At an attach ---- */

/* Merge the delta in parts, of which the first one is there. */
static int merge_parts(struct merge *m, struct qvault_replay *r)
{
	struct qvault_delta *delta = &m->v->delta[m->v->live];
	int more = 1, err;

	err = renew_and_heal(m);
	while (!err && more > 0) {
		qvault_delta_sort(m->v, delta);
		m->ahead_end = 0;
		err = merge_nodes(m, delta);
		if (!err)
			more = qvault_replay_part(r);
	}
	if (err || more < 0)
		return err ?: more;
	/* To carry what cannot be merged takes a delta that has room for it. */
	return m->damaged ? -EILSEQ : finish_merge(m);
}

static int merge_replay(struct qvault *v, struct qvault_replay *r)
{
	struct merge *m = v->merge;
	int err;

	merge_init(m, v, &v->delta[v->live]);
	err = merge_parts(m, r);
	if (!err) {
		mutex_lock(&v->commit_mutex);
		qvault_stream_merged(v);
		mutex_unlock(&v->commit_mutex);
		v->freeze_head = v->anchor.log_head;
		err = anchor(v, m);
	}
	merge_exit(m);
	return err;
}

/* Versions ran out: with the lease of another record it begins anew. */
static int merge_again(struct qvault *v, struct qvault_replay *r)
{
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_line_repeat(v);
	mutex_unlock(&v->commit_mutex);
	qvault_replay_rewind(r);
	if (!err)
		err = qvault_replay_part(r);
	return err < 0 ? err : merge_replay(v, r);
}

/**
 * qvault_checkpoint_replay() - merge a log that memory has no room for
 * @v: vault being attached; it may write
 * @r: replay; the delta is its first part
 *
 * All at one moment, as of any other checkpoint: until that the record says what it
 * did before, and after it there is nothing left in the log.
 *
 * Context: checkpoint_mutex; nothing else uses the vault; sleeps.
 * Return: 0; -EILSEQ if a node that is needed is damaged; or another negative errno.
 */
int qvault_checkpoint_replay(struct qvault *v, struct qvault_replay *r)
{
	int err;

	lockdep_assert_held(&v->checkpoint_mutex);
	atomic_inc(&v->hurried);
	err = merge_replay(v, r);
	while (err == -EAGAIN)
		err = merge_again(v, r);
	atomic_dec(&v->hurried);
	if (err)
		return err;
	qvault_delta_clear(v, &v->delta[v->live]);
	qvault_heal_anchored(v);
	qvault_alloc_anchored(v);
	atomic64_inc(&v->counters.checkpoints);
	return 0;
}

/* ---- In the life of a vault ---- */

/* The frozen delta says nothing that the anchored tree does not say too. */
static void thaw(struct qvault *v, struct qvault_delta *delta)
{
	write_lock(&v->map_lock);
	v->frozen = false;
	write_unlock(&v->map_lock);
	qvault_delta_clear(v, delta);
}

/* Set the delta aside, but for what is below nodes that are known to be damaged. */
static int carry_and_freeze(struct qvault *v, bool *idle)
{
	int err;

	/* What an earlier checkpoint has set aside, it has carried past. */
	if (v->frozen)
		return freeze(v, idle);
	qvault_damage_recheck(v);
	err = qvault_damage_promise(v);
	if (!err)
		err = freeze(v, idle);
	qvault_damage_carried(v);
	return err;
}

/*
 * One round: freeze, merge, anchor.  After a failure the delta stays frozen, so what it holds
 * can still be read, and the next checkpoint merges it again: into nodes that no
 * record names yet, under new versions.
 */
static int one_round(struct qvault *v)
{
	struct qvault_delta *delta;
	bool idle;
	int err;

	err = carry_and_freeze(v, &idle);
	if (err)
		return err;
	delta = &v->delta[!v->live];
	qvault_alloc_frozen(v);
	/* A block that was set aside comes back only after a flush: with a record. */
	if (!idle || !qvault_delta_empty(delta) || qvault_alloc_aside(v) ||
	    READ_ONCE(v->heal.nr) || READ_ONCE(v->walk.renew) ||
	    READ_ONCE(v->walk.given_up)) {
		err = merge_and_anchor(v, delta);
		if (err)
			return err;
	}
	qvault_alloc_merged(v, delta);
	thaw(v, delta);
	qvault_heal_anchored(v);
	qvault_alloc_anchored(v);
	v->damage.again = false;
	return 0;
}

/* Merges that may find damaged nodes before a checkpoint gives up. */
#define DAMAGED_ROUNDS	4

/* Until all that was written so far is merged. */
static int rounds(struct qvault *v)
{
	u32 damaged = 0;
	bool left;
	int err;

	do {
		/* By one that failed: what was written since is not in it. */
		left = v->frozen;
		err = one_round(v);
		if (err == -EILSEQ && damaged++ < DAMAGED_ROUNDS) {
			qvault_damage_fold(v);
			err = -EAGAIN;
		}
		/* Or versions ran out in the middle; the next round's commit brings more. */
	} while (err == -EAGAIN || (!err && left));
	/*
	 * Here the last round has set aside what it merged.  After a delta that was left
	 * from before, the log may have blocks of an older generation.
	 */
	return err ?: qvault_generations_drop(v);
}

/**
 * __qvault_checkpoint() - qvault_checkpoint() for who goes on before the next one begins
 * @v: vault
 *
 * Says in v->troubled whether it makes sense to begin one unasked.
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: as qvault_checkpoint().
 */
int __qvault_checkpoint(struct qvault *v)
{
	int err;

	lockdep_assert_held(&v->checkpoint_mutex);
	err = qvault_may_write(v);
	if (err)
		return err;
	qvault_hold_end(v);
	err = rounds(v);
	if (err) {
		qvault_report_trouble(v, "a checkpoint", err);
		WRITE_ONCE(v->troubled, jiffies | 1);
		return err;
	}
	WRITE_ONCE(v->troubled, 0);
	atomic64_inc(&v->counters.checkpoints);
	wake_up_all(&v->room_wait);
	return 0;
}

/**
 * qvault_checkpoint() - commit, and make the log short
 * @v: vault
 *
 * Context: sleeps; no lock held.
 * Return: 0 or a negative errno: nothing is lost then, and if the vault still accepts
 * writes the next checkpoint tries again.
 */
int qvault_checkpoint(struct qvault *v)
{
	int err;

	mutex_lock(&v->checkpoint_mutex);
	err = __qvault_checkpoint(v);
	mutex_unlock(&v->checkpoint_mutex);
	return err;
}

/**
 * qvault_checkpoint_unasked() - a checkpoint that nobody waits for
 * @v: vault
 *
 * It was due when qvault_kick_checkpoint() was called.  What is held since then stays:
 * who needs room asks for himself.
 *
 * Context: sleeps; no lock held.
 * Return: as qvault_checkpoint(); -EBUSY if something is held.
 */
int qvault_checkpoint_unasked(struct qvault *v)
{
	int err;

	mutex_lock(&v->checkpoint_mutex);
	/* To hold something takes this mutex as well. */
	err = READ_ONCE(v->held) ? -EBUSY : __qvault_checkpoint(v);
	mutex_unlock(&v->checkpoint_mutex);
	return err;
}

/**
 * qvault_checkpoint_since() - make sure that one began and ended
 * @v: vault
 * @seen: counters.checkpoints before the caller found that it needs one
 *
 * Many writers may need the same one.
 *
 * Context: sleeps; no lock held.
 * Return: as qvault_checkpoint().
 */
int qvault_checkpoint_since(struct qvault *v, u64 seen)
{
	int err = 0;

	atomic_inc(&v->hurried);
	mutex_lock(&v->checkpoint_mutex);
	if ((u64)atomic64_read(&v->counters.checkpoints) == seen)
		err = __qvault_checkpoint(v);
	mutex_unlock(&v->checkpoint_mutex);
	atomic_dec(&v->hurried);
	return err;
}
