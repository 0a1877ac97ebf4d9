// SPDX-License-Identifier: GPL-2.0
/*
 * Reading nodes when memory is short.
 */
#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

#define READERS	20u

struct reader {
	struct fixture *f;
	u64 leaf;
	u32 *left;
	wait_queue_head_t *wait;
};

static void read_leaf(void *arg)
{
	struct reader *r = arg;
	struct qvault_ptr ptr;

	CHECK(!qvault_lookup(r->f->v, r->leaf * QVAULT_FANOUT, 1, &ptr));
	CHECK(ptr.version);
	if (!--*r->left)
		wake_up(r->wait);
}

/* Each needs two buffers, and there are fewer than one for each of them. */
static void short_of_memory(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 5 };
	struct world *w = &f->world;
	struct reader r[READERS];
	wait_queue_head_t wait;
	struct qvault_ptr ptr;
	u32 i, left = READERS;

	init_waitqueue_head(&wait);
	for (i = 0; i < READERS; i++)
		CHECK(!op_write(&c, i * QVAULT_FANOUT, 1));
	CHECK(!op_checkpoint(&c));
	/* None of the leaves is in the cache; the root comes back into it. */
	f->v->cache.limit = 0;
	CHECK(!qvault_lookup(f->v, 1, 1, &ptr));
	f->v->cache.limit = 4;

	w->shortage = 100;
	world_reserve(w, 0);
	for (i = 0; i < READERS; i++) {
		r[i] = (struct reader){ .f = f, .leaf = i, .left = &left, .wait = &wait };
		task_spawn(&w->sched, "reader", read_leaf, &r[i]);
	}
	wait_event(wait, !left);
	w->shortage = 0;
}

void test_node_memory(void)
{
	with_vault(QVAULT_FANOUT * READERS * 2, 64, short_of_memory);
}
