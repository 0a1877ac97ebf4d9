// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes and map blocks that rot: their contents change at rest, for good or until
 * they are as before.  Everything else must go on, and the walker, which knows what
 * stood there, finds every state whole.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

struct rot_list *rot_current;

/* The contents that the walker is to see. */
struct block *rot_true(struct block *b)
{
	u32 i;

	for (i = 0; rot_current && b && i < rot_current->nr; i++)
		if (rot_current->item[i].bad == b)
			return rot_current->item[i].was;
	return b;
}

/* Does a block hold what is rotten, or what was and has healed? */
bool rot_was(const struct qvault_dev *data, u64 block)
{
	const struct block *b = dev_durable(data, block);
	u32 i;

	for (i = 0; rot_current && b && i < rot_current->nr; i++)
		if (!rot_current->item[i].half &&
		    (rot_current->item[i].bad == b || rot_current->item[i].was == b))
			return true;
	return false;
}

static bool in_place(const struct qvault_dev *data, const struct rot *rot)
{
	return dev_durable(data, rot->block) == rot->bad;
}

/* Is a root of a tree not what it was? */
bool rot_at_root(const struct world *world)
{
	const struct qvault_disk_anchor *disk =
		newest_record(&world->crypto, &world->anchor);
	u32 i;

	for (i = 0; rot_current && i < rot_current->nr; i++) {
		const struct rot *rot = &rot_current->item[i];

		if (!rot->half && in_place(&world->data, rot) &&
		    rot->level == (rot->kind == QVAULT_KIND_MAP ? disk->map_level :
								  disk->tree_level))
			return true;
	}
	return false;
}

/* Is any of these blocks below a node that was ever rotten in this life? */
bool rot_above(u64 logical, u64 count)
{
	u32 i, shift;

	for (i = 0; rot_current && i < rot_current->nr; i++) {
		const struct rot *rot = &rot_current->item[i];

		shift = QVAULT_FANOUT_SHIFT * (rot->level + 1);
		if (rot->kind == QVAULT_KIND_NODE && !rot->half &&
		    logical >> shift <= rot->index &&
		    (logical + count - 1) >> shift >= rot->index)
			return true;
	}
	return false;
}

static bool is_rotten(const struct rot *node)
{
	u32 i;

	for (i = 0; i < rot_current->nr; i++)
		if (rot_current->item[i].kind == node->kind &&
		    rot_current->item[i].level == node->level &&
		    rot_current->item[i].index == node->index)
			return true;
	return false;
}

static void rot_block(struct world *world, const struct rot *node, bool half)
{
	struct rot *rot = &rot_current->item[rot_current->nr++];
	struct rng *rng = &world->choice;

	*rot = *node;
	rot->half = half;
	rot->was = block_get(dev_durable(&world->data, rot->block));
	rot->bad = block_new(rot->was->data);
	rot->bad->data[rng_below(rng, 512)] ^= 1ull << rng_below(rng, 64);
	dev_set_durable(&world->data, rot->block, rot->bad);
}

static void rot_all(struct world *world, const struct rot *node)
{
	rot_block(world, node - node->copy, false);
	if (qvault_node_twice(node->kind, node->level))
		rot_block(world, node - node->copy + 1, false);
	totals.rotten++;
	world->rotten = true;
	protect_less(world);
}

static void rot_half(struct world *world, const struct rot *node)
{
	rot_block(world, node, true);
	totals.half_rotten++;
	world->half_rotten = true;
}

static bool at_root(const struct qvault_disk_anchor *disk, const struct rot *node)
{
	return node->level == (node->kind == QVAULT_KIND_MAP ? disk->map_level :
							       disk->tree_level);
}

/* One of those that the newest durable record reaches, or one copy of an upper one. */
void rot_one(struct world *world)
{
	const struct qvault_disk_anchor *disk =
		newest_record(&world->crypto, &world->anchor);
	struct rng *rng = &world->choice;
	bool half = rng_chance(rng, 50);
	const struct rot *node;
	struct walk w;
	u32 n;

	if (rot_current->nr + 2 > ARRAY_SIZE(rot_current->item))
		return;
	if (!walk(&w, &world->crypto, &world->data, disk))
		shim_fail("the state before a node rots does not hold: %s", w.why);
	for (n = 0; n < (half ? 50 : 10) && w.nr_nodes; n++) {
		node = &w.node[rng_below(rng, w.nr_nodes)];
		if (is_rotten(node) || (half && !qvault_node_twice(node->kind, node->level)) ||
		    (!half && at_root(disk, node) && !rng_chance(rng, 10)))
			continue;
		if (half)
			rot_half(world, node);
		else
			rot_all(world, node);
		break;
	}
	walk_exit(&w);
}

/*
 * All of them are as before, but for those that were written anew.  What is below an
 * upper node may have been overwritten meanwhile, where all of it was unmapped.
 */
void rot_heal(struct world *world)
{
	u32 i;

	world->rotten = false;
	for (i = 0; i < rot_current->nr; i++) {
		const struct rot *rot = &rot_current->item[i];

		world->rotten |= rot->level > 0 && !rot->half;
		if (in_place(&world->data, rot))
			dev_set_durable(&world->data, rot->block, rot->was);
	}
}

/*
 * At the beginning of a life: forget those that are not there any more, but not what
 * hung from a node that has healed.
 */
void rot_begin(struct world *world)
{
	struct rot_list *list = rot_current;
	u32 i, kept = 0;

	world->rotten = world->half_rotten = false;
	for (i = 0; i < list->nr; i++) {
		if (in_place(&world->data, &list->item[i]) ||
		    (list->item[i].level && !list->item[i].half &&
		     rot_was(&world->data, list->item[i].block))) {
			world->rotten |= !list->item[i].half;
			world->half_rotten |= list->item[i].half;
			list->item[kept++] = list->item[i];
			continue;
		}
		block_put(list->item[i].was);
		block_put(list->item[i].bad);
	}
	list->nr = kept;
}

void rot_exit(struct rot_list *list)
{
	while (list->nr--) {
		block_put(list->item[list->nr].was);
		block_put(list->item[list->nr].bad);
	}
	list->nr = 0;
}
