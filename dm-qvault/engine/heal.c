// SPDX-License-Identifier: GPL-2.0
/*
 * Upper nodes of which one copy is bad.
 *
 * Whoever finds the first copy of such a node bad reads the second one and goes on.
 * The node is remembered here, and the next checkpoint writes it anew, although
 * nothing in it changes: into its other slot, both copies.
 *
 * A reader that was overtaken by checkpoints finds a first copy that was overwritten,
 * and perhaps a second one that was not yet.  So only what the root that is anchored
 * now reaches counts as bad.
 */
#include <linux/sort.h>

#include "qvault.h"

static u64 first_leaf(u64 id)
{
	u32 level = id >> QVAULT_NODE_LEVEL_SHIFT;
	u64 index = id & ((1ull << QVAULT_NODE_LEVEL_SHIFT) - 1);

	return index << (QVAULT_FANOUT_SHIFT * level);
}

/* Context: map_lock for writing.  Returns 1; 0: known already; -ENOSPC. */
static int add(struct qvault_heal *heal, enum qvault_kind kind, u64 id, u64 version)
{
	u32 i;

	for (i = 0; i < heal->nr; i++)
		if (heal->item[i].version == version)
			return 0;
	if (heal->nr == ARRAY_SIZE(heal->item))
		return -ENOSPC;
	heal->item[heal->nr++] = (struct qvault_half){ kind, id, version };
	return 1;
}

/**
 * qvault_heal_found() - one copy of a node is bad
 * @v: vault
 * @kind: QVAULT_KIND_NODE or QVAULT_KIND_MAP
 * @root: of the tree that it was found in
 * @id: of the node
 * @version: of it
 * @node: the node, if it was found in use; or NULL
 *
 * If there are too many to remember it is told, and healed, another time.
 *
 * Context: Process, no spinlock held.
 */
void qvault_heal_found(struct qvault *v, enum qvault_kind kind,
		       const struct qvault_root *root, u64 id, u64 version,
		       struct qvault_node *node)
{
	const struct qvault_root *now = kind == QVAULT_KIND_MAP ? &v->anchor.map :
								  &v->anchor.tree;
	int added = 0;

	write_lock(&v->map_lock);
	if (root->ptr.version == now->ptr.version) {
		added = add(&v->heal, kind, id, version);
		if (node)
			WRITE_ONCE(node->half, added < 0);
	}
	write_unlock(&v->map_lock);
	if (added > 0)
		qvault_report_half(v, kind, id);
}

static int compare(const void *a, const void *b)
{
	u64 x = first_leaf(((const struct qvault_half *)a)->id);
	u64 y = first_leaf(((const struct qvault_half *)b)->id);

	return x < y ? -1 : x > y;
}

/**
 * qvault_heal_begin() - take up the nodes that are known by now
 * @v: vault
 *
 * Context: checkpoint_mutex.
 * Return: Whether there are any.
 */
bool qvault_heal_begin(struct qvault *v)
{
	struct qvault_heal *heal = &v->heal;

	lockdep_assert_held(&v->checkpoint_mutex);
	write_lock(&v->map_lock);
	sort(heal->item, heal->nr, sizeof(heal->item[0]), compare, NULL);
	heal->taken = heal->nr;
	heal->renewed = 0;
	write_unlock(&v->map_lock);
	return heal->taken;
}

/**
 * qvault_heal_visit() - have a new tree write its nodes anew
 * @c: cursor, not moved yet; finished afterwards
 *
 * What is below another node that cannot be read at all is left as it is.
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_heal_visit(struct qvault_cursor *c)
{
	struct qvault_heal *heal = &c->v->heal;
	u32 i;
	int err;

	/* Others only add behind those that were taken. */
	for (i = 0; i < heal->taken; i++) {
		if (heal->item[i].kind != c->kind)
			continue;
		err = qvault_cursor_renew(c, heal->item[i].id, heal->item[i].version);
		if (err && err != -EILSEQ)
			return err;
		heal->renewed += !err;
	}
	return qvault_cursor_finish(c);
}

/**
 * qvault_heal_anchored() - the new roots are durable
 * @v: vault
 *
 * Context: checkpoint_mutex.
 */
void qvault_heal_anchored(struct qvault *v)
{
	struct qvault_heal *heal = &v->heal;

	lockdep_assert_held(&v->checkpoint_mutex);
	if (likely(!heal->taken))
		return;
	write_lock(&v->map_lock);
	heal->nr -= heal->taken;
	memmove(heal->item, heal->item + heal->taken,
		heal->nr * sizeof(heal->item[0]));
	atomic64_add(heal->renewed, &v->counters.healed);
	heal->taken = 0;
	write_unlock(&v->map_lock);
}
