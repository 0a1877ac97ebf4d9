// SPDX-License-Identifier: GPL-2.0
/*
 * Generations: what is sealed under which, how long each lives, and that one which is
 * gone opens nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/delay.h>

#include "sim.h"
#include "test.h"

#define HMAC	QVAULT_MAC_HMAC_SHA256_128

static u32 known(const struct fixture *f)
{
	return qvault_generations(&f->v->anchor);
}

static const struct qvault_disk_anchor *slot_of(const struct fixture *f, u32 slot)
{
	return (const void *)dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(slot))->data;
}

/* Memory, and each of the slots for itself, have these and no other. */
static bool all_say(struct fixture *f, u32 set, u32 seal)
{
	static const struct qvault_disk_generation none;
	const struct qvault_disk_anchor *disk;
	u32 slot, gen, found;

	if (known(f) != set || f->v->anchor.seal != seal)
		return false;
	for (slot = 0; slot < 2; slot++) {
		disk = slot_of(f, slot);
		for (gen = 0, found = 0; gen < QVAULT_GENERATIONS; gen++)
			if (memcmp(&disk->gen[gen], &none, sizeof(none)))
				found |= 1u << gen;
		if (qvault_anchor_check(f->v, disk, slot) || found != set ||
		    disk->seal != seal)
			return false;
	}
	for (gen = 0; gen < QVAULT_GENERATIONS; gen++)
		if (!f->v->crypto->gen[gen] == !!(set >> gen & 1))
			return false;
	return true;
}

static bool in_slots(const struct fixture *f, const void *secret)
{
	return memmem(slot_of(f, 0), QVAULT_BLOCK_SIZE, secret, QVAULT_WRAPPED_SIZE) ||
	       memmem(slot_of(f, 1), QVAULT_BLOCK_SIZE, secret, QVAULT_WRAPPED_SIZE);
}

/* The tree as the record has it; the walker sees that each set is exact. */
static void walk_it(struct fixture *f)
{
	struct walk w;

	if (!CHECK(walk(&w, f->v->crypto, &f->world.data,
			slot_of(f, f->v->anchor.sequence & 1))))
		printf("      %s\n", w.why);
	walk_exit(&w);
}

static u32 root_set(const struct fixture *f)
{
	return qvault_ptr_gens(&f->v->anchor.tree.ptr);
}

/* All but block @but, or all of them. */
#define NONE	(~0ull)
static void overwrite(struct client *c, u64 but)
{
	u64 i;

	for (i = 0; i < c->world->v.geo.logical_blocks; i++)
		if (i != but)
			CHECK(!op_write(c, i, 1));
}

static void read_all(struct client *c)
{
	u64 i;

	qvault_cache_exit(&c->world->v);
	CHECK(!qvault_cache_init(&c->world->v, 64));
	for (i = 0; i < c->world->v.geo.logical_blocks; i++)
		CHECK(!op_read(c, i, 1));
}

static void attach_again(struct fixture *f)
{
	CHECK(!qvault_detach(f->v));
	f->v->read_only = false;
	CHECK(!test_attach(f));
}

/* As after a power cut: nothing is written, what the log has is read again. */
static void attach_after_crash(struct fixture *f)
{
	f->v->read_only = true;
	f->v->mode = QVAULT_MODE_READ_ONLY;
	attach_again(f);
}

/* An authentic block and its pointer, as whoever has the storage may keep them. */
struct kept {
	struct qvault_ptr ptr;
	struct block *b;
};

static struct kept keep(struct fixture *f, u64 logical)
{
	struct kept k;

	CHECK(!qvault_lookup(f->v, logical, 1, &k.ptr));
	k.b = block_get(dev_newest(&f->world.data, k.ptr.where));
	return k;
}

static int open_kept(struct fixture *f, const struct kept *k, u64 logical)
{
	u8 plain[QVAULT_BLOCK_SIZE], scratch[QVAULT_BLOCK_SIZE];

	return qvault_unseal(f->v, QVAULT_KIND_DATA, logical, &k->ptr, k->b->data,
			     plain, scratch);
}

/* ---- New ones ---- */

static u32 gen_of(struct fixture *f, u64 logical)
{
	struct qvault_ptr ptr;

	CHECK(!qvault_lookup(f->v, logical, 1, &ptr));
	return ptr.gen;
}

static void new_seals(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	CHECK(!op_write(&c, 0, 200));
	CHECK(!op_checkpoint(&c));
	CHECK(root_set(f) == 1);
	CHECK(!op_write(&c, 300, 10));
	CHECK(!op_commit(&c));

	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(all_say(f, 3, 1));
	read_all(&c);
	CHECK(!op_write(&c, 50, 10));
	CHECK(!op_write(&c, 305, 10));
	CHECK(gen_of(f, 49) == 0 && gen_of(f, 50) == 1);
	CHECK(gen_of(f, 304) == 0 && gen_of(f, 305) == 1);
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->anchor.tree.ptr.gen == 1 && f->v->anchor.map.ptr.gen == 1);
	CHECK(root_set(f) == 3);
	walk_it(f);
	read_all(&c);

	/* Another MAC, and a third of a leaf of two. */
	CHECK(!qvault_generation_new(f->v, QVAULT_MAC_NHPOLY_AES));
	CHECK(all_say(f, 7, 2));
	CHECK(f->v->anchor.gen[2].mac == QVAULT_MAC_NHPOLY_AES);
	CHECK(!op_write(&c, 55, 10));
	CHECK(!op_commit(&c));
	attach_after_crash(f);
	CHECK(gen_of(f, 54) == 1 && gen_of(f, 55) == 2);
	read_all(&c);
	attach_again(f);
	CHECK(all_say(f, 7, 2));
	CHECK(root_set(f) == 7);
	walk_it(f);
	read_all(&c);
	CHECK(qvault_generation_new(f->v, 77) == -EPROTONOSUPPORT);
	CHECK(all_say(f, 7, 2));
}

void test_generation_new(void)
{
	with_vault(1200, 16, new_seals);
}

/* All but the last, which is for restore. */
static void full(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct block *slot[2];
	struct qvault_anchor before;
	u32 gen;

	CHECK(!op_write(&c, 0, 20));
	for (gen = 1; gen < QVAULT_GENERATIONS - 1; gen++) {
		CHECK(!qvault_generation_new(f->v, HMAC));
		CHECK(all_say(f, (2u << gen) - 1, gen));
		CHECK(!op_write(&c, 10 * gen, 20));
	}
	CHECK(!op_commit(&c));
	before = f->v->anchor;
	for (gen = 0; gen < 2; gen++)
		slot[gen] = block_get(dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(gen)));
	CHECK(qvault_generation_new(f->v, HMAC) == -ENOSPC);
	CHECK(!memcmp(&before, &f->v->anchor, sizeof(before)));
	for (gen = 0; gen < 2; gen++) {
		CHECK(slot[gen] == dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(gen)));
		block_put(slot[gen]);
	}
	CHECK(all_say(f, 0x7f, QVAULT_GENERATIONS - 2));
	CHECK(!f->v->crypto->gen[QVAULT_EPHEMERAL_GEN]);
	CHECK(!op_checkpoint(&c));
	CHECK(root_set(f) == 0x7f);
	walk_it(f);
	read_all(&c);
}

void test_generation_full(void)
{
	with_vault(1200, 16, full);
}

/* ---- Old ones ---- */

static void drop(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct qvault_disk_generation secret;
	struct kept old;

	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	secret = f->v->anchor.gen[0];
	CHECK(in_slots(f, secret.wrapped));
	old = keep(f, 5);
	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(!open_kept(f, &old, 5));
	overwrite(&c, NONE);
	CHECK(!op_commit(&c));
	CHECK(known(f) & 1);

	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 2, 1));
	CHECK(!in_slots(f, secret.wrapped));
	CHECK(!memmem(f->v->line.record, QVAULT_BLOCK_SIZE, secret.wrapped,
		      sizeof(secret.wrapped)));
	CHECK(open_kept(f, &old, 5) == -EILSEQ);
	attach_again(f);
	CHECK(all_say(f, 2, 1));
	CHECK(open_kept(f, &old, 5) == -EILSEQ);

	/* The number comes again; the secret does not. */
	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(all_say(f, 3, 0));
	CHECK(open_kept(f, &old, 5) == -EILSEQ);
	read_all(&c);
	block_put(old.b);
}

void test_generation_drop(void)
{
	with_vault(1000, 16, drop);
}

static void one_block(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_generation_new(f->v, HMAC));
	overwrite(&c, 77);
	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 3, 1) && root_set(f) == 3);
	/* Above its leaf, all the more. */
	CHECK(!op_write(&c, f->v->geo.logical_blocks - 1, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 3, 1) && root_set(f) == 3);
	walk_it(f);
	read_all(&c);
	CHECK(!op_write(&c, 77, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 2, 1) && root_set(f) == 2);
}

/* A write that has begun, and ends when somebody says so. */
struct late {
	struct fixture *f;
	struct qvault_write *w;
	struct active_write active;
	u64 value;
	bool done;
};

static void late_begin(struct late *l, struct fixture *f, u64 logical)
{
	u64 plain[QVAULT_BLOCK_SIZE / sizeof(u64)], cipher[QVAULT_BLOCK_SIZE / sizeof(u64)];
	struct block *b;

	*l = (struct late){ .f = f, .value = 1ull << 40 };
	l->w = kzalloc(struct_size(l->w, ptr, 1), GFP_NOIO | __GFP_NOFAIL);
	l->w->logical = logical;
	l->w->count = 1;
	CHECK(!qvault_write_begin(f->v, l->w));
	l->active.w = l->w;
	l->active.value = &l->value;
	list_add(&l->active.list, &f->world.writes);
	value_fill(logical, l->value, plain);
	CHECK(!qvault_seal(f->v, QVAULT_KIND_DATA, logical, l->w->ptr, plain, cipher));
	b = block_new(cipher);
	dev_set_durable(&f->world.data, l->w->ptr->where, b);
	block_put(b);
}

static void late_end(struct late *l, int err)
{
	CHECK(qvault_write_end(l->f->v, l->w, err) == err);
	list_del(&l->active.list);
	kfree(l->w);
	l->done = true;
}

/* Under way through the checkpoint. */
static void one_write(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct late l;

	late_begin(&l, f, 77);
	CHECK(!qvault_generation_new(f->v, HMAC));
	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	CHECK(root_set(f) == 2);
	CHECK(all_say(f, 3, 1));
	late_end(&l, 0);
	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 3, 1) && root_set(f) == 3);
	read_all(&c);
	CHECK(!op_write(&c, 77, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 2, 1));
}

static void end_when_frozen(void *arg)
{
	struct late *l = arg;

	while (!l->f->v->frozen)
		usleep_range(1, 1);
	late_end(l, 0);
}

/* Ends behind the checkpoint's back: only the log and the live delta know of it. */
static void one_entry(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct late l;

	late_begin(&l, f, 77);
	CHECK(!qvault_generation_new(f->v, HMAC));
	overwrite(&c, NONE);
	task_spawn(&f->world.sched, "late", end_when_frozen, &l);
	CHECK(!op_checkpoint(&c));
	CHECK(l.done);
	CHECK(root_set(f) == 2 && !atomic_read(&f->v->writing[0]));
	CHECK(all_say(f, 3, 1));
	CHECK(!op_commit(&c));
	attach_again(f);
	read_all(&c);
	CHECK(all_say(f, 3, 1) && root_set(f) == 3);
	CHECK(!op_write(&c, 77, 1));
	CHECK(!op_checkpoint(&c));
	CHECK(all_say(f, 2, 1));
}

static void try_drop(struct fixture *f)
{
	mutex_lock(&f->v->checkpoint_mutex);
	CHECK(!qvault_generations_drop(f->v));
	mutex_unlock(&f->v->checkpoint_mutex);
}

/* A map block keeps it as a node does: a root says so, and nothing else. */
static void one_map_block(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct qvault_anchor *a = &f->v->anchor;
	struct late l;

	late_begin(&l, f, 77);
	CHECK(!qvault_generation_new(f->v, HMAC));
	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	late_end(&l, -EIO);
	CHECK(all_say(f, 3, 1));
	a->map.ptr.below |= 1;
	try_drop(f);
	CHECK(all_say(f, 3, 1));
	a->map.ptr.below &= ~1;
	a->tree.ptr.below |= 1;
	try_drop(f);
	CHECK(all_say(f, 3, 1));
	a->tree.ptr.below &= ~1;
	try_drop(f);
	CHECK(all_say(f, 2, 1));
}

static void fail_merge(struct world *world, const struct io *io, bool completed)
{
	world->faults.fail_io = world->v.frozen ? 100 : 0;
}

/* Whatever a record reaches, its own generations open. */
static void walk_record(struct world *world, const struct io *io, bool completed)
{
	struct walk w;

	if (!completed || io->kind != IO_WRITE || io->dev != &world->anchor)
		return;
	if (!CHECK(walk(&w, &world->crypto, &world->data,
			newest_record(&world->crypto, &world->anchor))))
		printf("      %s\n", w.why);
	walk_exit(&w);
}

/* Blocks of the log, without a pointer in them, from between two checkpoints. */
static void one_log_block(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct sim sim = {};
	u64 i;

	sim.touched = calloc(f->v->geo.logical_blocks, sizeof(u64));
	sim.is_touched = calloc(BITS_TO_LONGS(f->v->geo.logical_blocks), sizeof(long));
	f->world.sim = &sim;
	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	CHECK(!op_unmap(&c, 300, f->v->geo.logical_blocks - 300));
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 64));
	f->world.expect_failure = true;
	f->world.on_io = fail_merge;
	CHECK(qvault_checkpoint(f->v) == -EIO);
	f->world.on_io = NULL;
	f->world.faults.fail_io = 0;
	CHECK(f->v->frozen && f->v->mode == QVAULT_MODE_WRITE);
	for (i = 0; i < 300; i += 2)
		CHECK(!op_unmap(&c, i, 1));
	CHECK(!op_unmap(&c, 0, 300));
	CHECK(!op_commit(&c));
	CHECK(f->v->anchor.log_head > f->v->freeze_head);
	CHECK(!qvault_generation_new(f->v, HMAC));
	f->world.on_io = walk_record;
	CHECK(!op_checkpoint(&c));
	f->world.on_io = NULL;
	CHECK(all_say(f, 2, 1));
	f->world.sim = NULL;
	free(sim.touched);
	free(sim.is_touched);
}

void test_generation_named(void)
{
	with_vault(1000, 16, one_block);
	with_vault(1000, 16, one_write);
	with_vault(1000, 16, one_entry);
	with_vault(1000, 16, one_map_block);
	with_vault(1000, 16, one_log_block);
}

/* ---- Records that fail ---- */

static void new_fails(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct qvault_anchor before;

	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	before = f->v->anchor;
	f->world.expect_failure = true;
	f->world.faults.fail_io = 100;
	CHECK(qvault_generation_new(f->v, HMAC) == -EIO);
	f->world.faults.fail_io = 0;
	CHECK(!memcmp(&before, &f->v->anchor, sizeof(before)));
	CHECK(all_say(f, 1, 0));
	read_all(&c);
	CHECK(qvault_generation_new(f->v, HMAC) == -EIO);
	CHECK(all_say(f, 1, 0));
}

/* The anchor goes once a record is there. */
static void fail_after_record(struct world *world, const struct io *io, bool completed)
{
	if (io->dev != &world->anchor || io->kind != IO_WRITE || !completed)
		return;
	world->faults.fail_anchor = true;
	world->faults.fail_io = 100;
}

/* What a record says of, is there: it may be sealed under. */
static void second_slot_fails(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	f->world.expect_failure = true;
	f->world.on_io = fail_after_record;
	CHECK(qvault_generation_new(f->v, HMAC) == -EIO);
	f->world.on_io = NULL;
	f->world.faults.fail_io = 0;
	CHECK(known(f) == 3 && f->v->anchor.seal == 1);
	CHECK(f->v->crypto->gen[0] && f->v->crypto->gen[1]);
	read_all(&c);
}

/* What was to be dropped stays, and opens what it did. */
static void drop_fails(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct late l;

	late_begin(&l, f, 77);
	CHECK(!qvault_generation_new(f->v, HMAC));
	overwrite(&c, NONE);
	CHECK(!op_checkpoint(&c));
	late_end(&l, -EIO);
	CHECK(all_say(f, 3, 1));
	f->world.expect_failure = true;
	f->world.faults.fail_io = 100;
	CHECK(qvault_checkpoint(f->v) == -EIO);
	f->world.faults.fail_io = 0;
	CHECK(all_say(f, 3, 1));
	read_all(&c);
}

/* A flush failed after the checkpoint: no record may say what it left in doubt. */
static void drop_of_who_stopped(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 2 };
	u64 sequence;

	CHECK(!qvault_generation_new(f->v, HMAC));
	CHECK(!op_write(&c, 0, 5));
	sequence = f->v->anchor.sequence;
	f->world.expect_failure = true;
	qvault_fail(f->v, "flush of the data device", -EIO);
	mutex_lock(&f->v->checkpoint_mutex);
	CHECK(qvault_generations_drop(f->v) == -EIO);
	mutex_unlock(&f->v->checkpoint_mutex);
	CHECK(f->v->anchor.sequence == sequence && known(f) == 3);
}

void test_generation_failures(void)
{
	with_vault(1000, 16, drop_of_who_stopped);
	with_vault(1000, 16, new_fails);
	with_vault(1000, 16, second_slot_fails);
	with_vault(1000, 16, drop_fails);
}
