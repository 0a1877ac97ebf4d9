// SPDX-License-Identifier: GPL-2.0
/*
 * The delta against an array that says of each block: unknown, unmapped, or its
 * pointer.
 */
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define UNKNOWN ~0ull

struct model {
	struct qvault v;
	struct qvault_delta *delta;
	struct rng rng;
	u64 *version;			/* UNKNOWN, 0: unmapped */
	u64 blocks;
};

static void insert(struct model *m, u64 logical, u32 count)
{
	u32 i, nodes = qvault_leaves_of(logical, count);
	struct qvault_ptr ptr = { 0 };

	CHECK(qvault_stock_promise(&m->v, nodes));
	qvault_delta_prepare(&m->v, m->delta, logical, count, true);
	for (i = 0; i < count; i++) {
		ptr.version = 1 + rng_below(&m->rng, 1ull << 50);
		ptr.where = ptr.version ^ 77;
		memset(ptr.tag, ptr.version, sizeof(ptr.tag));
		qvault_delta_insert(&m->v, m->delta, logical + i, &ptr);
		m->version[logical + i] = ptr.version;
	}
	qvault_stock_release(&m->v, nodes);
}

static void unmap(struct model *m, u64 logical, u64 count)
{
	struct qvault_piece piece;
	u64 i;

	for (i = 0; i < count; i++)
		m->version[logical + i] = 0;
	while (count) {
		qvault_next_piece(&m->v.geo, logical, count, &piece);
		CHECK(qvault_stock_promise(&m->v, 1));
		qvault_delta_unmap_piece(&m->v, m->delta, &piece);
		qvault_stock_release(&m->v, 1);
		/* The last leaf of a volume is known beyond its end too. */
		logical += piece.count;
		count -= piece.count;
	}
}

static void check_block(struct model *m, u64 logical)
{
	struct qvault_ptr ptr;
	u64 want = m->version[logical];
	enum qvault_hit hit;

	memset(&ptr, 0xff, sizeof(ptr));
	hit = qvault_delta_lookup(&m->v, m->delta, logical, &ptr);
	CHECK(hit == (want == UNKNOWN ? QVAULT_MISS : QVAULT_HIT));
	if (hit != QVAULT_HIT)
		return;
	CHECK(ptr.version == want);
	if (want) {
		CHECK(ptr.where == (want ^ 77));
		CHECK(ptr.tag[0] == (u8)want && ptr.tag[15] == (u8)want);
	}
}

static void check_all(struct model *m)
{
	u64 i, mapped = 0, used = 0;
	struct qvault_delta_node *node;

	for (i = 0; i < m->blocks; i++) {
		check_block(m, i);
		mapped += m->version[i] && m->version[i] != UNKNOWN;
	}
	list_for_each_entry(node, &m->delta->nodes, list) {
		used += node->used;
		CHECK(node->used <= node->capacity);
	}
	CHECK(mapped == used);
}

static struct model *model_new(u64 data_blocks, u64 seed)
{
	struct model *m = calloc(1, sizeof(*m));

	bare_vault(&m->v, data_blocks);
	m->delta = &m->v.delta[0];
	qvault_delta_init(m->delta);
	m->rng.state = seed;
	m->blocks = m->v.geo.logical_blocks;
	m->version = malloc(m->blocks * sizeof(u64));
	memset(m->version, 0xff, m->blocks * sizeof(u64));
	return m;
}

static void model_free(struct model *m)
{
	bare_vault_exit(&m->v);
	free(m->version);
	free(m);
}

static void step(struct model *m)
{
	u64 logical = rng_below(&m->rng, m->blocks), count;

	if (rng_chance(&m->rng, 70))
		logical %= min_t(u64, m->blocks, 700);
	switch (rng_below(&m->rng, 12)) {
	case 0:
		count = 16384;
		logical &= ~16383ull;
		break;
	case 1:
		count = rng_below(&m->rng, 40000);
		break;
	default:
		count = 1 + rng_below(&m->rng, 256);
	}
	count = min_t(u64, count, m->blocks - logical);
	if (count > QVAULT_MAX_RUN || rng_chance(&m->rng, 30))
		unmap(m, logical, count);
	else
		insert(m, logical, count);
}

void test_delta_model(void)
{
	static const u64 sizes[] = { 800, 2000, 30000, 90000 };
	u32 i, n;

	for (i = 0; i < 4; i++) {
		struct model *m = model_new(sizes[i], i);

		CHECK(qvault_delta_empty(m->delta));
		for (n = 0; n < 600; n++) {
			step(m);
			if (n % 60 == 0)
				check_all(m);
		}
		check_all(m);
		qvault_delta_clear(&m->v, m->delta);
		CHECK(qvault_delta_empty(m->delta));
		memset(m->version, 0xff, m->blocks * sizeof(u64));
		check_all(m);
		model_free(m);
	}
}

void test_delta_pieces(void)
{
	struct qvault_geometry geo;
	struct qvault_piece p;
	struct rng rng = { 3 };
	u32 n;

	CHECK(!qvault_geometry_init(&geo, 3000000, 0, 16));
	for (n = 0; n < 20000; n++) {
		u64 logical = rng_below(&rng, geo.logical_blocks);
		u64 count, span, pieces = 0;

		if (n % 3 == 0)
			logical &= ~16383ull;
		count = 1 + rng_below(&rng, geo.logical_blocks - logical);
		while (count) {
			qvault_next_piece(&geo, logical, count, &p);
			span = 128ull << 7 * p.level;
			CHECK(p.logical == logical && p.count && p.count <= count);
			CHECK(p.level <= geo.tree.top);
			if (p.level)
				CHECK(p.count == span && !(logical & (span - 1)));
			else
				CHECK((logical & 127) + p.count <= 128);
			logical += p.count;
			count -= p.count;
			pieces++;
		}
		/* However long the range is. */
		CHECK(pieces <= 2 * 128 * (geo.tree.top + 1) + 2);
	}
}

void test_delta_order(void)
{
	struct model *m = model_new(90000, 5);
	struct qvault_delta_node *node, *last = NULL;
	u64 first, last_first = 0;
	u32 n;

	for (n = 0; n < 300; n++)
		step(m);
	qvault_delta_sort(&m->v, m->delta);
	list_for_each_entry(node, &m->delta->nodes, list) {
		first = node->index << 7 * node->level;
		if (last)
			CHECK(first > last_first ||
			      (first == last_first && node->level < last->level));
		last = node;
		last_first = first;
	}
	check_all(m);
	model_free(m);
}

/* It hides what is inside of it at each moment, however many steps that takes. */
void test_delta_fold(void)
{
	struct model *m = model_new(90000, 6);
	struct qvault_delta *newer = &m->v.delta[1];
	struct qvault_ptr ptr;
	u32 i, steps = 0;

	for (i = 0; i < 40; i++)
		insert(m, i * QVAULT_FANOUT, QVAULT_FANOUT);
	insert(m, 20000, 3);
	qvault_delta_init(newer);
	CHECK(qvault_stock_promise(&m->v, 1));
	qvault_delta_mark(&m->v, newer, 1, 0);
	qvault_stock_release(&m->v, 1);
	for (; !qvault_delta_empty(newer); steps++) {
		CHECK(qvault_delta_lookup(&m->v, newer, 200, &ptr) && !ptr.version);
		qvault_delta_fold(&m->v, newer, m->delta);
	}
	CHECK(steps > 1);
	for (i = 0; i < QVAULT_FANOUT * QVAULT_FANOUT; i++)
		m->version[i] = 0;
	check_all(m);
	CHECK(!newer->bytes && m->delta->bytes);
	model_free(m);
}
