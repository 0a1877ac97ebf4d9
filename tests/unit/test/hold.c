// SPDX-License-Identifier: GPL-2.0
/* A moment that stays; the simulator does it at random (sim/keys.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

static void overwrite(struct client *c)
{
	u64 i;

	for (i = 0; i < c->world->v.geo.logical_blocks; i++)
		CHECK(!op_write(c, i, 1));
}

static u64 take_hold(struct fixture *f)
{
	struct qvault_disk_anchor disk;

	CHECK(!qvault_hold(f->v));
	CHECK(!qvault_held(f->v, &disk));
	return le64_to_cpu(disk.sequence);
}

/* Everything that the held record reaches, by what stands there. */
static void compare(struct fixture *f, const struct walk *w, struct block **was,
		    bool first)
{
	u64 i;

	for (i = 0; i < w->geo.data_blocks; i++) {
		if (!test_bit(i, w->bits))
			continue;
		if (first)
			was[i] = dev_durable(&f->world.data, i);
		else
			CHECK(was[i] == dev_durable(&f->world.data, i));
	}
}

static void stays(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct block **was = calloc(f->v->geo.data_blocks, sizeof(*was));
	struct qvault_disk_anchor disk, again;
	u64 sequence, commits, i;
	struct walk w;

	CHECK(!op_write(&c, 0, 40));
	sequence = take_hold(f);
	CHECK(!qvault_held(f->v, &disk));
	CHECK(qvault_hold(f->v) == -EBUSY);
	CHECK(walk(&w, f->v->crypto, &f->world.data, &disk));
	compare(f, &w, was, true);
	commits = atomic64_read(&f->v->counters.checkpoints);
	for (i = 0; i < 60; i++) {
		CHECK(!op_write(&c, i % 10, 1));
		CHECK(!op_commit(&c));
	}
	CHECK((u64)atomic64_read(&f->v->counters.checkpoints) == commits);
	compare(f, &w, was, false);
	CHECK(!qvault_held(f->v, &again) && !memcmp(&disk, &again, sizeof(disk)));
	CHECK(qvault_release(f->v, sequence + 1) == -ETIME);
	CHECK(!qvault_release(f->v, sequence));
	CHECK(qvault_release(f->v, sequence) == -ETIME);
	CHECK(qvault_held(f->v, &again) == -ETIME);
	walk_exit(&w);
	free(was);
}

/* What is superseded meanwhile is in use until then, and free after a commit. */
static void comes_back(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 sequence = take_hold(f), i;

	for (i = 0; i < 10; i++) {
		CHECK(!op_write(&c, 0, 1));
		CHECK(!op_commit(&c));
	}
	CHECK(f->v->alloc.nr_fresh == 10);
	CHECK(!qvault_release(f->v, sequence));
	CHECK(!op_commit(&c));
	CHECK(f->v->alloc.nr_fresh == 1);
}

static void ended(struct fixture *f, int (*end)(struct client *c))
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 sequence;

	CHECK(!op_write(&c, 0, 5));
	sequence = take_hold(f);
	CHECK(!op_write(&c, 0, 5));
	CHECK(!end(&c));
	CHECK(!f->v->held);
	CHECK(qvault_release(f->v, sequence) == -ETIME);
}

static int suspend(struct client *c)
{
	return qvault_suspend(&c->world->v);
}

static int change_key(struct client *c)
{
	u8 master[QVAULT_MASTER_KEY_SIZE] = { 5 };
	struct qvault_opener *opener = crypto_opener(&c->world->crypto, TEST_UUID, master);
	int err = qvault_key_change(&c->world->v, &opener);

	qvault_opener_free(opener);
	return err;
}

/* Nobody lets go: writes go on for ever all the same. */
static void never_released(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 sequence, i;

	overwrite(&c);
	sequence = take_hold(f);
	for (i = 0; i < 3 * f->v->geo.logical_blocks; i++) {
		CHECK(!op_write(&c, i % 7, 1));
		CHECK(!op_commit(&c));
	}
	CHECK(qvault_release(f->v, sequence) == -ETIME);
}

/* Asked for before it began, on another thread that is slow: nobody needs it now. */
static void unasked(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 sequence, seen;

	CHECK(!op_write(&c, 0, 5));
	sequence = take_hold(f);
	CHECK(!op_write(&c, 0, 5));
	seen = atomic64_read(&f->v->counters.checkpoints);
	CHECK(qvault_checkpoint_unasked(f->v) == -EBUSY);
	CHECK(qvault_walk_begin(f->v, QVAULT_WALK_SCRUB) == -EBUSY && !f->v->walk.kind);
	CHECK(f->v->held);
	CHECK((u64)atomic64_read(&f->v->counters.checkpoints) == seen);
	CHECK(!qvault_release(f->v, sequence));
	CHECK(!qvault_checkpoint_unasked(f->v));
	CHECK((u64)atomic64_read(&f->v->counters.checkpoints) == seen + 1);
}

/* Beyond half of the log, and no further than there is room. */
static void half_full(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 sequence, i;

	sequence = take_hold(f);
	for (i = 0; !qvault_log_half_full(f->v); i++) {
		CHECK(!op_write(&c, i % 200, 1));
		CHECK(!op_commit(&c));
	}
	f->world.kicked = false;
	CHECK(!op_write(&c, 0, 1));
	CHECK(!f->world.kicked);
	CHECK(!qvault_release(f->v, sequence));
	CHECK(!op_write(&c, 0, 1));
	CHECK(f->world.kicked);
}

static void checkpointed(struct fixture *f)
{
	ended(f, op_checkpoint);
}

static void suspended(struct fixture *f)
{
	ended(f, suspend);
}

static void rekeyed(struct fixture *f)
{
	ended(f, change_key);
}

/* A commit that failed has cut what it superseded, and no record covers that. */
static void commit_fails(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 sequence, i;

	sequence = take_hold(f);
	f->world.expect_failure = true;
	for (i = 0; i < 300; i++)
		CHECK(!op_write(&c, i % 150, 1));
	f->world.faults.fail_meta = 100;
	CHECK(qvault_commit(f->v) == -EIO);
	f->world.faults.fail_meta = 0;
	CHECK(f->v->mode == QVAULT_MODE_WRITE);
	CHECK(!qvault_release(f->v, sequence));
	CHECK(f->v->alloc.nr_fresh == 300);
	CHECK(!op_commit(&c));
	CHECK(f->v->alloc.nr_fresh == 150);
}

struct behind {
	struct fixture *f;
	u64 seen;
	bool done;
};

static void checkpoint_behind(void *arg)
{
	struct behind *b = arg;
	struct client c = { .world = &b->f->world, .rng.state = 3 };

	while ((u64)atomic64_read(&b->f->v->counters.checkpoints) == b->seen)
		usleep_range(1, 1);
	CHECK(!op_checkpoint(&c));
	b->done = true;
}

/* One that begins when the hold's own has ended: before the record is taken, or never. */
static void close_behind(struct fixture *f)
{
	u32 i;

	f->world.sched.preempt = 50;
	for (i = 0; i < 20; i++) {
		struct behind b = {
			.f = f, .seen = atomic64_read(&f->v->counters.checkpoints),
		};
		u64 sequence;

		task_spawn(&f->world.sched, "behind", checkpoint_behind, &b);
		CHECK(!qvault_hold(f->v));
		/* It may have ended already. */
		sequence = f->v->held ? le64_to_cpu(f->v->held->sequence) : 0;
		while (!b.done)
			usleep_range(1, 1);
		CHECK(qvault_release(f->v, sequence) == -ETIME);
		CHECK(!f->v->held);
	}
}

void test_hold_stays(void)
{
	with_vault(1000, 64, stays);
	with_vault(1000, 64, comes_back);
	with_vault(1000, 64, unasked);
	with_vault(3000, 16, half_full);
}

void test_hold_ends(void)
{
	with_vault(1000, 16, checkpointed);
	with_vault(1000, 16, suspended);
	with_vault(1000, 16, rekeyed);
	with_vault(1000, 16, close_behind);
	with_vault(1000, 16, never_released);
}

void test_hold_failed_commit(void)
{
	with_vault(1000, 64, commit_fails);
}
