// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoint: the delta is merged into the tree, and the log becomes short.
 *
 * Commits go on meanwhile, against the old tree and with a new, empty delta in
 * front of the frozen one.
 */
#include "qvault.h"

struct merge {
	struct qvault *v;
	struct qvault_batch *batch;
	struct qvault_cursor tree;
	struct qvault_cursor map;
	struct qvault_changes changes;
	u64 unmapped_from;		/* leaves under a mark, not yet cleared */
	u64 unmapped_end;
	bool damaged;			/* something cannot be merged */
};

static void merge_init(struct merge *m, struct qvault *v)
{
	memset(m, 0, sizeof(*m));
	m->v = v;
	m->batch = qvault_batch_begin(v, v->data);
	qvault_cursor_init(&m->tree, v, QVAULT_KIND_NODE, &v->anchor.tree,
			   m->batch);
	qvault_cursor_init(&m->map, v, QVAULT_KIND_MAP, &v->anchor.map,
			   m->batch);
	m->changes.item = v->changes;
	m->changes.cursor = &m->map;
	m->changes.leaky = qvault_alloc_leaky(v);
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
	if (old.version)
		err = qvault_changes_add(&m->changes, old.where, false);
	if (!err && ptr->version)
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

/* Clear what is still mapped under the mark, up to leaf @end. */
static int clear_unmapped(struct merge *m, u64 end)
{
	u64 leaf;
	int err;

	end = min(end, m->unmapped_end);
	while (m->unmapped_from < end) {
		err = qvault_cursor_next(&m->tree, m->unmapped_from, end, &leaf);
		if (err < 0)
			return err;
		if (!err)
			break;
		err = clear_leaf(m, leaf);
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
	u64 first = node->index << shift;

	if (!node->level) {
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
		err = pass_damage(m, clear_unmapped(m, node->index <<
						    (QVAULT_FANOUT_SHIFT * node->level)));
		if (!err && qvault_damage_above(m->v, node->level, node->index))
			m->damaged = true;
		else if (!err)
			err = pass_damage(m, merge_node(m, node));
		if (err)
			return err;
	}
	return pass_damage(m, clear_unmapped(m, m->unmapped_end));
}

/* Returns -EAGAIN if some of it must be carried: see damage.c. */
static int merge_delta(struct merge *m, struct qvault_delta *delta)
{
	int err;

	qvault_delta_sort(delta);
	err = merge_nodes(m, delta);
	if (!err && m->damaged)
		return -EAGAIN;
	if (!err)
		err = qvault_cursor_finish(&m->tree);
	if (!err)
		err = qvault_changes_apply(&m->changes);
	return err ?: qvault_batch_wait(m->batch);
}

/*
 * The commit that sets the delta aside.  Sets @head to the log's head at it,
 * and says in @idle whether there is nothing in the log up to there.
 */
static int freeze(struct qvault *v, u64 *head, bool *idle)
{
	struct qvault_page *spare;
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	if (!err) {
		/* One of those that this commit writes takes its place. */
		spare = v->freeze_page;
		v->freeze_page = NULL;
		err = __qvault_commit(v, spare);
	}
	*head = v->anchor.log_head;
	*idle = !qvault_log_used(v);
	mutex_unlock(&v->commit_mutex);
	return err;
}

static int anchor(struct qvault *v, const struct merge *m, u64 head)
{
	struct qvault_anchor next;
	int err;

	mutex_lock(&v->commit_mutex);
	err = qvault_may_write(v);
	/* What was carried stands in no log block yet that a record names. */
	if (!err && v->damage.pages)
		err = __qvault_commit(v, NULL);
	if (err)
		goto out;
	next = v->anchor;
	next.tree = m->tree.root;
	next.map = m->map.root;
	next.log_tail = head + 1;
	if (next.log_head < next.log_tail)
		memset(&next.log, 0, sizeof(next.log));
	err = __qvault_anchor_tree(v, &next);
	if (err)
		qvault_fail(v, "checkpoint", err);
out:
	mutex_unlock(&v->commit_mutex);
	return err;
}

static int merge_and_anchor(struct qvault *v, struct qvault_delta *delta,
			    u64 head)
{
	struct merge *m = kzalloc(sizeof(*m), GFP_NOIO | __GFP_NOFAIL);
	int err;

	merge_init(m, v);
	err = merge_delta(m, delta);
	if (!err)
		err = anchor(v, m, head);
	else if (err != -EAGAIN)
		qvault_fail(v, "checkpoint", err);
	merge_exit(m);
	kfree(m);
	return err;
}

/* The frozen delta says nothing that the anchored tree does not say too. */
static void thaw(struct qvault *v, struct qvault_delta *delta)
{
	write_lock(&v->map_lock);
	v->frozen = false;
	write_unlock(&v->map_lock);
	qvault_delta_clear(v, delta);
}

/* Set the delta aside, but for what is below nodes that are known to be damaged. */
static int carry_and_freeze(struct qvault *v, u64 *head, bool *idle)
{
	int err;

	qvault_damage_recheck(v);
	err = qvault_damage_promise(v);
	if (!err)
		err = freeze(v, head, idle);
	qvault_damage_carried(v);
	return err;
}

/*
 * After a failure the delta stays frozen: what it holds can still be read.
 */
static int try_checkpoint(struct qvault *v)
{
	struct qvault_delta *delta = &v->delta[v->live];
	struct qvault_ptr old_map;
	bool idle;
	u64 head;
	int err;

	err = qvault_may_write(v);
	if (!err)
		err = carry_and_freeze(v, &head, &idle);
	if (err)
		return err;
	/* Only checkpoints move the roots. */
	old_map = v->anchor.map;
	if (!idle || !qvault_delta_empty(delta)) {
		err = merge_and_anchor(v, delta, head);
		if (err)
			return err;
	}
	thaw(v, delta);
	qvault_alloc_anchored(v, &old_map);
	v->damage.again = false;
	atomic64_inc(&v->counters.checkpoints);
	wake_up_all(&v->room_wait);
	return 0;
}

/* Merges that may find damaged nodes before a checkpoint gives up. */
#define ROUNDS	4

static int checkpoint(struct qvault *v)
{
	u32 round;
	int err;

	lockdep_assert_held(&v->checkpoint_mutex);
	for (round = 0; round < ROUNDS; round++) {
		err = try_checkpoint(v);
		if (err != -EAGAIN)
			return err;
		qvault_damage_fold(v);
	}
	return -EILSEQ;
}

/**
 * qvault_checkpoint() - commit, and make the log short
 * @v: vault
 *
 * Context: sleeps; no lock held.
 * Return: 0 or a negative errno; the vault has failed then, unless it did not
 * accept writes anyway.
 */
int qvault_checkpoint(struct qvault *v)
{
	int err;

	mutex_lock(&v->checkpoint_mutex);
	err = checkpoint(v);
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
		err = checkpoint(v);
	mutex_unlock(&v->checkpoint_mutex);
	atomic_dec(&v->hurried);
	return err;
}
