// SPDX-License-Identifier: GPL-2.0
/* Another master key; the simulator does it at random (sim/keys.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

#define OLD 0
#define NEW 1

static int change(struct fixture *f, u32 key)
{
	struct qvault_opener *opener = malloc(sizeof(*opener));
	int err;

	*opener = *crypto_key(f->world.crypto.real, key);
	err = qvault_key_change(f->v, &opener);
	qvault_opener_free(opener);
	return err;
}

static bool opens(struct fixture *f, u32 key)
{
	struct qvault_crypto crypto = { .own = *crypto_key(f->world.crypto.real, key) };

	return newest_record(&crypto, &f->world.anchor);
}

/* Another table, with that key. */
static int attach(struct fixture *f, u32 key)
{
	qvault_detach(f->v);
	f->world.faults.fail_io = 0;
	crypto_use_key(&f->world.crypto, key);
	return test_attach(f);
}

static void read_some(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 i;

	for (i = 0; i < 60; i++)
		CHECK(!op_read(&c, i, 1));
}

static void write_some(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	CHECK(!op_write(&c, 0, 40));
	CHECK(!qvault_generation_new(f->v, QVAULT_MAC_HMAC_SHA256_128));
	CHECK(!op_write(&c, 20, 10));
	CHECK(!op_commit(&c));
}

static void changes(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	write_some(f);
	CHECK(opens(f, OLD) && !opens(f, NEW));
	CHECK(!change(f, NEW));
	CHECK(!opens(f, OLD) && opens(f, NEW));
	CHECK(!op_write(&c, 5, 3));
	CHECK(!op_commit(&c));
	read_some(f);
	CHECK(attach(f, OLD) == -EKEYREJECTED);
	CHECK(!attach(f, NEW));
	read_some(f);
	/* And there again. */
	CHECK(!change(f, OLD));
	CHECK(opens(f, OLD) && !opens(f, NEW));
	CHECK(!attach(f, OLD));
	read_some(f);
}

/* No record of the new key came to be: the old one goes on. */
static void first_fails(struct fixture *f)
{
	write_some(f);
	f->world.expect_failure = true;
	f->world.faults.fail_anchor = true;
	f->world.faults.fail_io = 100;
	CHECK(change(f, NEW) == -EIO);
	CHECK(!memcmp(&f->world.crypto.own, crypto_key(f->world.crypto.real, OLD),
		      sizeof(f->world.crypto.own)));
	CHECK(opens(f, OLD));
	CHECK(!attach(f, OLD));
	read_some(f);
}

static void fail_after_record(struct world *world, const struct io *io, bool completed)
{
	if (io->dev != &world->anchor || io->kind != IO_WRITE || !completed)
		return;
	world->faults.fail_anchor = true;
	world->faults.fail_io = 100;
}

/* Each slot is of a key of its own, and both say the same. */
static void second_fails(struct fixture *f, u32 key)
{
	write_some(f);
	f->world.expect_failure = true;
	f->world.on_io = fail_after_record;
	CHECK(change(f, NEW) == -EIO);
	f->world.on_io = NULL;
	CHECK(opens(f, OLD) && opens(f, NEW));
	CHECK(!attach(f, key));
	CHECK(opens(f, key) && !opens(f, !key));
	f->world.expect_failure = false;
	read_some(f);
}

static void then_old(struct fixture *f)
{
	second_fails(f, OLD);
}

static void then_new(struct fixture *f)
{
	second_fails(f, NEW);
}

/* ---- Another life ---- */

static void put_record(struct fixture *f, u32 key)
{
	u32 slot = (f->v->anchor.sequence + 1) & 1;
	struct qvault_crypto crypto = { .own = *crypto_key(f->world.crypto.real, key) };
	struct qvault_disk_anchor disk = *f->v->line.record;
	struct block *b;

	disk.sequence = cpu_to_le64(f->v->anchor.sequence + 1);
	memcpy(disk.check, crypto.own.check, sizeof(disk.check));
	disk.commit = cpu_to_le64(f->v->anchor.commit + 1);
	crypto_sign(&crypto, &disk);
	b = block_new(&disk);
	dev_set_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(slot), b);
	block_put(b);
}

/* It has made a record before ours: the key before tells that it is one. */
static void other_goes_on(struct fixture *f)
{
	write_some(f);
	put_record(f, OLD);
	f->world.expect_taken = f->world.expect_failure = true;
	CHECK(change(f, NEW) == -ESTALE);
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
	CHECK(opens(f, OLD) && !opens(f, NEW));
}

/* It changes the key, and has written the first slot. */
static void other_changes(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	write_some(f);
	put_record(f, NEW);
	CHECK(!op_write(&c, 5, 3));
	f->world.expect_taken = f->world.expect_failure = true;
	CHECK(qvault_commit(f->v) == -ESTALE);
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
	CHECK(opens(f, NEW));
}

void test_rekey_changes(void)
{
	with_vault(1000, 16, changes);
}

void test_rekey_failures(void)
{
	with_vault(1000, 16, first_fails);
	with_vault(1000, 16, then_old);
	with_vault(1000, 16, then_new);
}

/*
 * A checkpoint failed, so the delta stays, and then all keys were wiped.  Nobody gets
 * anything, and nothing is called damaged for that.
 */
static void wiped(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct qvault_ptr ptr;

	write_some(f);
	CHECK(!op_checkpoint(&c));
	CHECK(!op_write(&c, 300, 3));
	f->world.expect_failure = true;
	f->world.faults.fail_meta = 100;
	CHECK(qvault_suspend(f->v) == -EIO);
	f->world.faults.fail_meta = 0;
	CHECK(f->v->frozen);
	f->world.crypto.wiped = true;
	/* Not what is fresh: that is nowhere else. */
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 64));
	CHECK(qvault_lookup(f->v, 0, 1, &ptr) == -ENOKEY);
	CHECK(qvault_checkpoint(f->v) == -ENOKEY);
	CHECK(!f->world.corruptions && !f->v->damage.nr);
	f->world.crypto.wiped = false;
	CHECK(!op_checkpoint(&c));
	read_some(f);
}

void test_rekey_wiped(void)
{
	with_vault(1000, 16, wiped);
}

void test_rekey_lives(void)
{
	with_vault(1000, 16, other_goes_on);
	with_vault(1000, 16, other_changes);
}
