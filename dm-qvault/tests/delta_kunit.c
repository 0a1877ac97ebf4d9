// SPDX-License-Identifier: GPL-2.0
/* The delta against an array that says the same in the simplest way. */
#include <linux/prandom.h>
#include <linux/vmalloc.h>

#include "world.h"

enum { UNKNOWN = 0, UNMAPPED = 1 };	/* larger: a version */

struct reference {
	struct world *w;
	struct qvault *v;
	struct qvault_delta *delta;
	u64 *known;			/* by logical block */
	struct rnd_state rnd;
	u64 version;
};

static void reference_free(void *known)
{
	vfree(known);
}

static struct reference *reference_new(struct kunit *test)
{
	struct reference *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->w = world_new(test, 34500, 64);
	world_attach(test, r->w);
	r->v = &r->w->vol->v;
	r->delta = &r->v->delta[r->v->live];
	r->known = vzalloc(r->v->geo.logical_blocks * sizeof(*r->known));
	KUNIT_ASSERT_NOT_NULL(test, r->known);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, reference_free,
							   r->known));
	prandom_seed_state(&r->rnd, 7);
	r->version = 100;
	return r;
}

static u64 below(struct reference *r, u64 limit)
{
	return prandom_u32_state(&r->rnd) % limit;
}

static void map(struct reference *r, u64 logical, u32 count)
{
	u32 i, nodes = qvault_leaves_of(logical, count);

	qvault_stock_promise(r->v, nodes);
	write_lock(&r->v->map_lock);
	qvault_delta_prepare(r->v, r->delta, logical, count, true);
	for (i = 0; i < count; i++) {
		struct qvault_ptr ptr = { .version = ++r->version };

		ptr.where = qvault_block_of(&r->v->geo, 0, r->version %
					    QVAULT_GROUP_DATA);
		memset(ptr.tag, r->version, sizeof(ptr.tag));
		qvault_delta_insert(r->v, r->delta, logical + i, &ptr);
		r->known[logical + i] = r->version;
	}
	qvault_stock_release(r->v, nodes);
	write_unlock(&r->v->map_lock);
}

static void unmap(struct reference *r, u64 logical, u64 count)
{
	struct qvault_piece piece;
	u64 i;

	while (count) {
		qvault_next_piece(&r->v->geo, logical, count, &piece);
		qvault_stock_promise(r->v, 1);
		write_lock(&r->v->map_lock);
		qvault_delta_unmap_piece(r->v, r->delta, &piece);
		qvault_stock_release(r->v, 1);
		write_unlock(&r->v->map_lock);
		for (i = 0; i < piece.count; i++)
			r->known[logical + i] = UNMAPPED;
		logical += piece.count;
		count -= piece.count;
	}
}

static void check(struct kunit *test, struct reference *r, u64 from, u64 to)
{
	struct qvault_ptr ptr;
	enum qvault_hit hit;

	for (; from < to; from++) {
		u64 want = r->known[from];

		hit = qvault_delta_lookup(r->v, r->delta, from, &ptr);
		KUNIT_ASSERT_EQ_MSG(test, want == UNKNOWN ? QVAULT_MISS : QVAULT_HIT,
				    hit, "block %llu", from);
		if (hit == QVAULT_HIT)
			KUNIT_ASSERT_EQ_MSG(test, want == UNMAPPED ? 0 : want,
					    ptr.version, "block %llu", from);
	}
}

static void random_changes(struct kunit *test)
{
	struct reference *r = reference_new(test);
	u64 blocks = r->v->geo.logical_blocks, from;
	u32 i, n;

	for (i = 0; i < 3000; i++) {
		n = 1 + below(r, 40);
		from = below(r, i % 3 ? 2000 : blocks - n);
		if (below(r, 10) < 8)
			map(r, from, n);
		else
			unmap(r, from, n);
		check(test, r, from ? from - 1 : 0, from + n);
	}
	check(test, r, 0, blocks);
	/* The whole of it, and a subtree, then writes into what was unmapped. */
	unmap(r, 0, QVAULT_FANOUT * QVAULT_FANOUT);
	check(test, r, 0, blocks);
	map(r, 300, 5);
	check(test, r, 0, 1000);
	unmap(r, 0, blocks);
	check(test, r, 0, blocks);
	map(r, blocks - 3, 3);
	check(test, r, 0, blocks);
	qvault_delta_clear(r->v, r->delta);
	KUNIT_EXPECT_TRUE(test, qvault_delta_empty(r->delta));
	memset(r->known, 0, blocks * sizeof(*r->known));
	check(test, r, 0, blocks);
}

static void pieces_cover_a_range(struct kunit *test)
{
	struct reference *r = reference_new(test);
	const struct qvault_geometry *geo = &r->v->geo;
	struct qvault_piece piece;
	u32 i;

	for (i = 0; i < 500; i++) {
		u64 at = below(r, geo->logical_blocks);
		u64 count = 1 + below(r, geo->logical_blocks - at);
		u64 end = at + count;

		for (; at < end; at += piece.count) {
			qvault_next_piece(geo, at, end - at, &piece);
			KUNIT_ASSERT_EQ(test, at, piece.logical);
			KUNIT_ASSERT_GT(test, piece.count, 0);
			KUNIT_ASSERT_LE(test, at + piece.count, end);
			if (!piece.level)
				KUNIT_ASSERT_EQ(test, at / QVAULT_FANOUT,
						(at + piece.count - 1) /
						QVAULT_FANOUT);
		}
	}
}

static void sorting_goes_by_leaf(struct kunit *test)
{
	struct reference *r = reference_new(test);
	struct qvault_delta_node *node;
	u64 last = 0, leaves = 0, first;
	u32 i;

	for (i = 0; i < 400; i++)
		map(r, below(r, r->v->geo.logical_blocks), 1);
	unmap(r, QVAULT_FANOUT * QVAULT_FANOUT, QVAULT_FANOUT * QVAULT_FANOUT);
	map(r, QVAULT_FANOUT * QVAULT_FANOUT + 5, 1);
	qvault_delta_sort(r->v, r->delta);
	list_for_each_entry(node, &r->delta->nodes, list) {
		first = node->index << 7 * node->level;
		KUNIT_ASSERT_GE(test, first, last);
		last = first;
		leaves++;
	}
	KUNIT_EXPECT_GT(test, leaves, 50);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(random_changes),
	KUNIT_CASE(pieces_cover_a_range),
	KUNIT_CASE(sorting_goes_by_leaf),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-delta",
	.test_cases = cases,
};

kunit_test_suite(suite);
