// SPDX-License-Identifier: GPL-2.0
/*
 * Anchor records that are authentic and yet make no sense, as another version
 * of this module or a mistake of ours could leave them: attach may refuse them
 * or not, but must not fall over them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test.h"

/* A commit in the tree, some in log blocks and one inline. */
static void populate(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 6 };
	u32 i;

	CHECK(!op_write(&c, 0, 200));
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < 600; i += 2)
		CHECK(!op_write(&c, i, 1));
	CHECK(!op_commit(&c));
	CHECK(!op_write(&c, 77, 3));
	CHECK(!op_commit(&c));
}

static u64 odd_number(struct rng *rng, u64 was)
{
	switch (rng_below(rng, 7)) {
	case 0:
		return 0;
	case 1:
		return ~0ull >> rng_below(rng, 64);
	case 2:
		return was + 1;
	case 3:
		return was - 1;
	case 4:
		return was ^ 1ull << rng_below(rng, 64);
	case 5:
		return was + rng_below(rng, 1000);
	}
	return rng_next(rng);
}

/* Change something between @from and @to, and make the record authentic. */
static void distort(struct qvault_disk_anchor *disk, u32 from, u32 to,
		    struct rng *rng)
{
	u8 *p = (u8 *)disk + from + 8 * rng_below(rng, (to - from) / 8);
	u64 word;
	u32 half;

	memcpy(&word, p, sizeof(word));
	if (rng_chance(rng, 30)) {
		half = odd_number(rng, (u32)word);
		memcpy(p + 4 * rng_below(rng, 2), &half, sizeof(half));
		return;
	}
	word = cpu_to_le64(odd_number(rng, le64_to_cpu(word)));
	memcpy(p, &word, sizeof(word));
}

struct trial {
	struct world world;
	int err;
};

static void sign(struct qvault_disk_anchor *disk)
{
	struct qvault_crypto crypto;

	crypto_init(&crypto, false, NULL);
	crypto_unlock(&crypto, TEST_UUID);
	crypto_sign(&crypto, disk);
}

static void trial_task(void *arg)
{
	struct trial *t = arg;
	struct qvault *v = &t->world.v;
	struct qvault_disk_anchor *record =
		kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	struct qvault_ptr ptr[64];

	t->err = qvault_init(v);
	if (!t->err)
		t->err = qvault_attach(v, record);
	kfree(record);
	if (!t->err && v->geo.logical_blocks >= 64)
		qvault_lookup(v, 0, 64, ptr);
	if (!t->err) {
		qvault_commit(v);
		qvault_detach(v);
	}
	qvault_exit(v);
}

static struct trial *new_trial(struct fixture *f)
{
	struct trial *t = calloc(1, sizeof(*t));
	struct world *world = &t->world;

	world_init(world, 1);
	/* To write on top of nonsense is our own mistake, which does warn. */
	world->v.read_only = true;
	world->expect_corruption = world->expect_failure = true;
	crypto_init(&world->crypto, false, NULL);
	dev_init(&world->data, "data", world, f->world.data.nr_blocks,
		 &f->world.data);
	dev_init(&world->anchor, "anchor", world, QVAULT_ANCHOR_BLOCKS, NULL);
	world->data.may_overrun = true;
	return t;
}

static void put_in_slot(struct trial *t, u32 slot, const void *data)
{
	struct block *b = block_new(data);

	dev_set_durable(&t->world.anchor, QVAULT_SLOT_BLOCK(slot), b);
	block_put(b);
}

static int try_it(struct trial *t)
{
	struct world *world = &t->world;
	int err;

	task_spawn(&world->sched, "trial", trial_task, t);
	world_run(world);
	err = t->err;
	world_exit(world);
	free(t);
	return err;
}

static int attach_distorted(struct fixture *f, struct qvault_disk_anchor *disk)
{
	struct trial *t = new_trial(f);

	sign(disk);
	put_in_slot(t, le64_to_cpu(disk->sequence) & 1, disk);
	return try_it(t);
}

/* What no record ever says; the tool refuses it, so the engine must as well. */
static void impossible(struct fixture *f, const struct qvault_disk_anchor *good)
{
	static const struct {
		u32 at;
		u64 value;
	} lies[] = {
		{ offsetof(struct qvault_disk_anchor, incompat), 1 },
		{ offsetof(struct qvault_disk_anchor, sector_size) - 4, 1024ull << 32 },
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 7ull << 48 },
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 1ull << 56 },
		{ offsetof(struct qvault_disk_anchor, logical_blocks), 0 },
		{ offsetof(struct qvault_disk_anchor, lease), 0 },
		{ offsetof(struct qvault_disk_anchor, log_tail), 0 },
		{ offsetof(struct qvault_disk_anchor, log_head), ~0ull },
		{ offsetof(struct qvault_disk_anchor, tree.version), 0 },
		{ offsetof(struct qvault_disk_anchor, map.version), ~0ull },
		{ offsetof(struct qvault_disk_anchor, log.where), ~0ull },
		/* A root of a generation that there is not, or with such below it. */
		{ offsetof(struct qvault_disk_anchor, tree.where),
		  2 | 1ull << QVAULT_WHERE_GEN_SHIFT },
		{ offsetof(struct qvault_disk_anchor, map.where),
		  2 | 2ull << QVAULT_WHERE_SET_SHIFT },
		{ offsetof(struct qvault_disk_anchor, inline_bytes) + 8, 1 },
		{ offsetof(struct qvault_disk_anchor, gen[0]), 0 },
		{ offsetof(struct qvault_disk_anchor, gen[0].wrapped) + 8, 0 },
		{ offsetof(struct qvault_disk_anchor, gen[3]), 1 },
		{ offsetof(struct qvault_disk_anchor, reserved2) + 8, 1 },
		/* Levels of the roots: leaves, too low, too high, none. */
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 0x0100ull << 32 },
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 0x0101ull << 32 },
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 0x0103ull << 32 },
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 0x0002ull << 32 },
		{ offsetof(struct qvault_disk_anchor, log_blocks), 64 | 0x0202ull << 32 },
	};
	struct qvault_disk_anchor *disk = malloc(sizeof(*disk));
	__le64 value;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		*disk = *good;
		value = cpu_to_le64(lies[i].value);
		memcpy((u8 *)disk + lies[i].at, &value, sizeof(value));
		CHECK(attach_distorted(f, disk));
	}
	free(disk);
}

static void nonsense(struct fixture *f)
{
	const struct qvault_disk_anchor *good;
	struct qvault_disk_anchor *disk = malloc(sizeof(*disk));
	struct rng rng = { 11 };
	u32 i, from, to, refused = 0;

	populate(f);
	good = newest_record(&f->world.crypto, &f->world.anchor);
	if (!CHECK(good))
		return;
	*disk = *good;
	CHECK(!attach_distorted(f, disk));
	impossible(f, good);
	for (i = 0; i < 5000; i++) {
		*disk = *good;
		/* Parameters and pointers, or the entries. */
		from = i % 2 ? offsetof(struct qvault_disk_anchor, data_blocks) :
			       offsetof(struct qvault_disk_anchor, inline_entries);
		to = i % 2 ? offsetof(struct qvault_disk_anchor, reserved2) :
			     from + 8 * (le32_to_cpu(disk->inline_bytes) / 8);
		if (from == to)
			continue;
		distort(disk, from, to, &rng);
		refused += attach_distorted(f, disk) != 0;
	}
	CHECK(refused > 1000);
	free(disk);
}

void test_anchor_nonsense(void)
{
	with_vault(3000, 64, nonsense);
}

/* One bit of each copy of a block is changed, and their number is right. */
static void named_by_number(struct fixture *f, struct qvault_disk_anchor *disk,
			    const u64 *copy, u32 copies)
{
	struct block *was[2], *b;
	u32 i;

	for (i = 0; i < copies; i++) {
		was[i] = block_get(dev_durable(&f->world.data, copy[i]));
		b = block_new(was[i]->data);
		b->data[100] ^= 4;
		dev_set_durable(&f->world.data, copy[i], b);
		block_put(b);
		/* One that is left is enough. */
		CHECK(attach_distorted(f, disk) == (i + 1 < copies ? 0 : -EILSEQ));
	}
	for (i = 0; i < copies; i++) {
		dev_set_durable(&f->world.data, copy[i], was[i]);
		block_put(was[i]);
	}
	CHECK(!attach_distorted(f, disk));
}

static void named_root(struct fixture *f, struct qvault_disk_anchor *disk,
		       enum qvault_kind kind, const struct qvault_root *root)
{
	u64 copy[2];
	u32 i;

	for (i = 0; i < 2; i++)
		copy[i] = qvault_node_block(&f->v->geo, kind, root->level, 0,
					    qvault_node_slot(&root->ptr), i);
	named_by_number(f, disk, copy, 2);
}

/* The anchor does not only count: what it names is refused if it is another. */
static void named(struct fixture *f)
{
	struct qvault_disk_anchor *disk = malloc(sizeof(*disk));
	const struct qvault_anchor *a = &f->v->anchor;
	const struct qvault_disk_anchor *good;
	u64 log;

	CHECK(a->epoch == 1);
	populate(f);
	good = newest_record(&f->world.crypto, &f->world.anchor);
	if (!CHECK(good))
		return;
	*disk = *good;
	named_root(f, disk, QVAULT_KIND_NODE, &a->tree);
	named_root(f, disk, QVAULT_KIND_MAP, &a->map);
	log = qvault_log_block(&f->v->geo, a->log_head);
	named_by_number(f, disk, &log, 1);
	free(disk);
}

void test_anchor_named(void)
{
	with_vault(3000, 64, named);
}

/* ---- One slot has rotted ---- */

/* Both slots, the bytes that say what the record is, and then those of it. */
static void rot_somewhere(struct fixture *f, const struct qvault_disk_anchor good[2])
{
	struct qvault_disk_anchor *bad = malloc(sizeof(*bad));
	struct trial *t;
	u32 slot, at;

	for (slot = 0; slot < 2; slot++) {
		for (at = 0; at < QVAULT_BLOCK_SIZE; at += at < 80 ? 1 : 331) {
			*bad = good[slot];
			((u8 *)bad)[at] ^= 0x10;
			t = new_trial(f);
			put_in_slot(t, slot, bad);
			put_in_slot(t, !slot, &good[!slot]);
			CHECK(!try_it(t));
		}
	}
	free(bad);
}

static int attach_both(struct fixture *f, struct qvault_disk_anchor both[2])
{
	struct trial *t = new_trial(f);

	put_in_slot(t, 0, &both[0]);
	put_in_slot(t, 1, &both[1]);
	return try_it(t);
}

static void rotten_slot(struct fixture *f)
{
	struct qvault_disk_anchor *both = malloc(2 * sizeof(*both));
	u32 i;

	populate(f);
	/* So that either slot is as good. */
	CHECK(!qvault_line_repeat(f->v));
	for (i = 0; i < 2; i++)
		memcpy(&both[i], dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(i))->data,
		       sizeof(*both));
	rot_somewhere(f, both);
	/* A format that is authentic is no rot, whatever the other slot says. */
	both[0].format = cpu_to_le32(QVAULT_FORMAT_VERSION + 1);
	sign(&both[0]);
	CHECK(attach_both(f, both) == -EPROTONOSUPPORT);
	/* Nor need it be under a key that is known here. */
	both[0].mac[0] ^= 1;
	CHECK(!attach_both(f, both));
	both[1].format = both[0].format;
	CHECK(attach_both(f, both) == -EPROTONOSUPPORT);
	/* Another volume in each, of which neither has a record. */
	both[0].format = both[1].format = cpu_to_le32(QVAULT_FORMAT_VERSION);
	both[0].uuid[0] ^= 1;
	both[1].mac[0] ^= 1;
	CHECK(attach_both(f, both) == -EKEYREJECTED);
	free(both);
}

void test_anchor_rotten(void)
{
	with_vault(3000, 64, rotten_slot);
}

/* Half of the versions are used up: a write brings a new lease first. */
static void lease(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 8 };
	u64 sequence, was;

	CHECK(!op_write(&c, 0, 1));
	CHECK(!op_commit(&c));
	was = f->v->anchor.lease;
	sequence = f->v->anchor.sequence;
	CHECK(!op_write(&c, 1, 1));
	CHECK(f->v->anchor.sequence == sequence);
	atomic64_set(&f->v->version, was - QVAULT_LEASE / 2 + 1);
	CHECK(!op_write(&c, 2, 1));
	CHECK(f->v->anchor.sequence == sequence + 1);
	CHECK(f->v->anchor.lease > was);
}

void test_anchor_lease(void)
{
	with_vault(3000, 64, lease);
}
