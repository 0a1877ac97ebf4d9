// SPDX-License-Identifier: GPL-2.0
/*
 * Upper nodes stand twice: whichever copy is bad, nothing is lost, and the next
 * checkpoint makes it good.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test.h"

/* Of both trees all nodes above the leaves of a volume of 130 groups, but the tree's level 1. */
static const struct upper {
	enum qvault_kind kind;
	u32 level;
	u64 index;
} uppers[] = {
	{ QVAULT_KIND_NODE, 2, 0 }, { QVAULT_KIND_NODE, 2, 1 },
	{ QVAULT_KIND_NODE, 3, 0 }, { QVAULT_KIND_MAP, 1, 0 },
	{ QVAULT_KIND_MAP, 1, 1 },  { QVAULT_KIND_MAP, 2, 0 },
};

static u64 flip(struct fixture *f, const struct upper *u, u32 copy)
{
	u64 block = test_node_block(f, u->kind, u->level, u->index, copy);
	struct block *b = block_new(dev_newest(&f->world.data, block)->data);

	b->data[99] ^= 1ull << 33;
	dev_set_durable(&f->world.data, block, b);
	block_put(b);
	return block;
}

static u64 end_of(const struct fixture *f)
{
	return f->v->geo.logical_blocks - 20;
}

static void write_ends(struct fixture *f, struct client *c)
{
	CHECK(!op_write(c, 3, 20));
	CHECK(!op_write(c, end_of(f), 20));
}

static void read_ends(struct fixture *f, struct client *c)
{
	CHECK(!op_read(c, 3, 20));
	CHECK(!op_read(c, end_of(f), 20));
}

static bool same_copies(struct fixture *f, const struct upper *u)
{
	u64 a = test_node_block(f, u->kind, u->level, u->index, 0);
	u64 b = test_node_block(f, u->kind, u->level, u->index, 1);

	return a != b && !memcmp(dev_newest(&f->world.data, a)->data,
				 dev_newest(&f->world.data, b)->data,
				 QVAULT_BLOCK_SIZE);
}

/* Nothing but reads, for the tree; the map is read by who writes. */
static void first_copy(struct fixture *f, struct client *c, const struct upper *u)
{
	u64 bad = flip(f, u, 0), healed = atomic64_read(&f->v->counters.healed);

	test_forget(f);
	f->world.halves = 0;
	read_ends(f, c);
	if (u->kind == QVAULT_KIND_MAP)
		write_ends(f, c);
	CHECK(f->world.halves == 1 && f->v->heal.nr == 1);
	read_ends(f, c);
	CHECK(f->world.halves == 1);
	CHECK(!op_checkpoint(c));
	CHECK(!f->v->heal.nr);
	CHECK(atomic64_read(&f->v->counters.healed) == healed + 1);
	CHECK(test_node_block(f, u->kind, u->level, u->index, 0) != bad);
	CHECK(same_copies(f, u));
	test_forget(f);
	read_ends(f, c);
	write_ends(f, c);
	CHECK(f->world.halves == 1);
	CHECK(!op_checkpoint(c));
}

/* Nobody looks at the second copy as long as the first is good. */
static void second_copy(struct fixture *f, struct client *c, const struct upper *u)
{
	u64 reads;

	flip(f, u, 1);
	test_forget(f);
	f->world.halves = 0;
	reads = f->world.data.reads;
	read_ends(f, c);
	/* Two leaves, and as many paths as have nothing in common but the root. */
	CHECK(f->world.data.reads - reads <= 2 * 20 + 7);
	write_ends(f, c);
	CHECK(!f->world.halves && !f->v->heal.nr);
	CHECK(!op_checkpoint(c));
	CHECK(same_copies(f, u));
}

static void each_copy(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 31 };
	u32 i;

	f->world.half_rotten = true;
	write_ends(f, &c);
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < ARRAY_SIZE(uppers); i++) {
		CHECK(same_copies(f, &uppers[i]));
		first_copy(f, &c, &uppers[i]);
		second_copy(f, &c, &uppers[i]);
	}
	CHECK(!f->world.corruptions);
}

void test_heal_each(void)
{
	with_vault(129 * QVAULT_GROUP_BLOCKS + 5000, 64, each_copy);
}

/* A root has no parent, but two copies like others. */
static void roots(struct fixture *f)
{
	static const struct upper root[] = {
		{ QVAULT_KIND_NODE, 2, 0 }, { QVAULT_KIND_MAP, 1, 0 },
	};
	struct client c = { .world = &f->world, .rng.state = 32 };
	u32 i;

	f->world.half_rotten = true;
	for (i = 0; i < ARRAY_SIZE(root); i++) {
		CHECK(!op_write(&c, 3, 20));
		CHECK(!op_checkpoint(&c));
		flip(f, &root[i], 0);
		f->world.halves = 0;
		CHECK(!qvault_detach(f->v));
		CHECK(!test_attach(f));
		CHECK(f->world.halves == 1 && f->v->heal.nr == 1);
		CHECK(!op_read(&c, 3, 20));
		CHECK(!op_checkpoint(&c));
		CHECK(!f->v->heal.nr && same_copies(f, &root[i]));
	}
	f->world.half_rotten = false;
	CHECK(!qvault_detach(f->v));
	f->world.rotten = true;
	flip(f, &root[1], 0);
	flip(f, &root[1], 1);
	CHECK(test_attach(f) == -EILSEQ);
	flip(f, &root[1], 0);
	flip(f, &root[1], 1);
	f->world.rotten = false;
	CHECK(!test_attach(f));
	CHECK(!op_read(&c, 3, 20));
}

void test_heal_roots(void)
{
	with_vault(5000, 64, roots);
}

/* A checkpoint that fails has healed nothing; the next one does. */
static void again(struct fixture *f)
{
	static const struct upper root = { QVAULT_KIND_NODE, 2, 0 };
	struct client c = { .world = &f->world, .rng.state = 33 };

	f->world.half_rotten = f->world.expect_failure = true;
	CHECK(!op_write(&c, 3, 20));
	CHECK(!op_checkpoint(&c));
	flip(f, &root, 0);
	test_forget(f);
	CHECK(!op_read(&c, 3, 20));
	CHECK(f->v->heal.nr == 1);
	f->world.faults.fail_meta = 100;
	CHECK(op_checkpoint(&c) == -EIO);
	f->world.faults.fail_meta = 0;
	CHECK(f->v->heal.nr == 1 && !atomic64_read(&f->v->counters.healed));
	CHECK(!op_checkpoint(&c));
	CHECK(!f->v->heal.nr && same_copies(f, &root));
	test_forget(f);
	CHECK(!op_read(&c, 3, 20));
}

void test_heal_again(void)
{
	with_vault(5000, 64, again);
}

/*
 * A reader that goes by an old root, where checkpoints have begun to write again:
 * nothing is bad, and the second copy, if it is still there, is as good as ever.
 */
static void overtaken(struct fixture *f)
{
	static const struct upper root = { QVAULT_KIND_NODE, 2, 0 };
	struct client c = { .world = &f->world, .rng.state = 34 };
	struct qvault_root old;
	struct qvault_ptr ptr;

	CHECK(!op_write(&c, 3, 20));
	CHECK(!op_checkpoint(&c));
	old = f->v->anchor.tree;
	flip(f, &root, 0);
	CHECK(!op_write(&c, 3, 20));
	CHECK(!op_checkpoint(&c));
	test_forget(f);
	CHECK(!qvault_tree_find(f->v, QVAULT_KIND_NODE, &old, 0, &ptr, NULL));
	CHECK(ptr.version);
	CHECK(!f->world.halves && !f->v->heal.nr);
}

void test_heal_overtaken(void)
{
	with_vault(5000, 64, overtaken);
}
