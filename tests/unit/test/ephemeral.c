// SPDX-License-Identifier: GPL-2.0
/*
 * An ephemeral vault that begins with the record of another one, on a copy of its data:
 * it reads what that holds, shares no key with it, and leaves nothing behind.
 */
#include <errno.h>
#include <string.h>

#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

#define HMAC	QVAULT_MAC_HMAC_SHA256_128
#define BLOCKS	1200

/* Both devices, as they are while nobody has them. */
struct still {
	struct block *data[BLOCKS], *slot[2];
	u64 time;
};

static void keep(struct still *s, struct fixture *f)
{
	u32 i;

	for (i = 0; i < BLOCKS; i++) {
		s->data[i] = dev_newest(&f->world.data, i);
		if (s->data[i])
			block_get(s->data[i]);
	}
	for (i = 0; i < 2; i++)
		s->slot[i] = dev_newest(&f->world.anchor, QVAULT_SLOT_BLOCK(i));
	s->time = f->world.oracle.now;
}

/* The data device is the original again: what was written went to the copy. */
static void put_back(struct still *s, struct fixture *f)
{
	u32 i;

	for (i = 0; i < BLOCKS; i++) {
		if (!s->data[i])
			continue;
		dev_replace(&f->world.data, i, s->data[i]);
		block_put(s->data[i]);
	}
	for (i = 0; i < 2; i++)
		CHECK(s->slot[i] == dev_newest(&f->world.anchor, QVAULT_SLOT_BLOCK(i)));
	oracle_rewind(&f->world.oracle, s->time);
	f->world.oracle.acked = min(f->world.oracle.acked, s->time);
}

static int attach(struct fixture *f, bool let_go)
{
	f->v->anchor_dev = &f->world.anchor;
	f->v->read_only = false;
	f->v->let_go = let_go;
	return test_attach(f);
}

/* As by a power cut: nothing more is written. */
static void cut(struct fixture *f)
{
	f->v->read_only = true;
	f->v->mode = QVAULT_MODE_READ_ONLY;
	CHECK(!qvault_detach(f->v));
}

/* It keeps its state as long as it lives, so all of it goes. */
static void end(struct fixture *f)
{
	struct qvault *v = f->v;
	u64 logical_blocks = v->logical_blocks;

	CHECK(!qvault_detach(v));
	qvault_exit(v);
	qvault_crypto_forget(v->crypto, QVAULT_EPHEMERAL_GEN);
	memset(v, 0, sizeof(*v));
	v->platform = &f->world;
	v->data = &f->world.data;
	v->crypto = &f->world.crypto;
	v->logical_blocks = logical_blocks;
	v->memory_mib = 1;
	CHECK(!qvault_init(v));
}

static void read_all(struct client *c)
{
	u64 i;

	qvault_cache_exit(&c->world->v);
	CHECK(!qvault_cache_init(&c->world->v, 64));
	for (i = 0; i < c->world->v.geo.logical_blocks; i++)
		CHECK(!op_read(c, i, 1));
}

static struct qvault_ptr ptr_of(struct fixture *f, u64 logical)
{
	struct qvault_ptr ptr;

	CHECK(!qvault_lookup(f->v, logical, 1, &ptr));
	return ptr;
}

static void no_anchor_io(struct world *world, const struct io *io, bool completed)
{
	CHECK(io->dev != &world->anchor);
}

static void no_anchor_write(struct world *world, const struct io *io, bool completed)
{
	CHECK(io->dev != &world->anchor || io->kind == IO_READ);
}

/* What stands in the tree, in the log and in the record itself, of two generations. */
static void lived(struct client *c, struct fixture *f)
{
	u32 i;

	CHECK(!op_write(c, 0, 200));
	CHECK(!op_checkpoint(c));
	CHECK(!qvault_generation_new(f->v, QVAULT_MAC_NHPOLY_AES));
	for (i = 0; i < 180; i++)
		CHECK(!op_write(c, 150 + i, 1));
	CHECK(!op_commit(c));
	CHECK(!op_write(c, 400, 3));
	CHECK(!op_commit(c));
	CHECK(f->v->anchor.log_head >= f->v->anchor.log_tail);
}

static void use(struct client *c, struct fixture *f)
{
	u64 last = f->v->geo.logical_blocks - 1;

	read_all(c);
	CHECK(!op_write(c, 100, 120));
	CHECK(!op_write(c, last, 1));
	CHECK(ptr_of(f, 100).gen == QVAULT_EPHEMERAL_GEN);
	CHECK(ptr_of(f, 99).gen == 0 && ptr_of(f, 300).gen == 1);
	CHECK(!op_commit(c));
	CHECK(!op_checkpoint(c));
	CHECK(!op_write(c, 110, 60));
	CHECK(!op_checkpoint(c));
	CHECK(f->v->anchor.tree.ptr.gen == QVAULT_EPHEMERAL_GEN &&
	      f->v->anchor.map.ptr.gen == QVAULT_EPHEMERAL_GEN);
	read_all(c);
}

/* What needs a record, or a line of them, is not there. */
static void refuses(struct fixture *f)
{
	struct qvault_opener *opener = NULL;

	CHECK(qvault_generation_new(f->v, HMAC) == -EOPNOTSUPP);
	CHECK(qvault_hold(f->v) == -EOPNOTSUPP);
	CHECK(qvault_key_change(f->v, &opener) == -EOPNOTSUPP);
}

static void on_record(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u8 plain[QVAULT_BLOCK_SIZE], scratch[QVAULT_BLOCK_SIZE];
	struct qvault_ptr ptr;
	struct still still;
	struct block *b;

	lived(&c, f);
	CHECK(!qvault_walk_begin(f->v, QVAULT_WALK_RESEAL));
	CHECK(!op_write(&c, 403, 1));
	CHECK(!op_commit(&c));
	cut(f);
	keep(&still, f);
	f->world.on_io = no_anchor_write;
	CHECK(!attach(f, true));
	f->world.on_io = no_anchor_io;
	/* It goes on with nothing that the other one has begun. */
	CHECK(!f->v->walk.kind);
	CHECK(!f->v->anchor_dev && qvault_ephemeral(f->v));
	CHECK(f->v->anchor.seal == QVAULT_EPHEMERAL_GEN);
	use(&c, f);
	refuses(f);

	ptr = ptr_of(f, 105);
	b = block_get(dev_newest(&f->world.data, ptr.where));
	CHECK(!qvault_unseal(f->v, QVAULT_KIND_DATA, 105, &ptr, b->data, plain, scratch));
	end(f);
	f->world.on_io = NULL;
	put_back(&still, f);
	CHECK(!attach(f, false));
	CHECK(qvault_generations(&f->v->anchor) == 3 && f->v->anchor.seal == 1);
	CHECK(f->v->walk.kind == QVAULT_WALK_RESEAL);
	CHECK(qvault_unseal(f->v, QVAULT_KIND_DATA, 105, &ptr, b->data, plain,
			    scratch) == -EILSEQ);
	block_put(b);
	read_all(&c);
	CHECK(!op_write(&c, 100, 120));
	CHECK(!op_checkpoint(&c));
	read_all(&c);
}

void test_ephemeral_record(void)
{
	with_vault(BLOCKS, 16, on_record);
}

/* One attach that fails is no reason for the next to forget what it was to read. */
static void again(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct still still;
	u32 i, failed = 0;
	u64 before;

	lived(&c, f);
	cut(f);
	keep(&still, f);
	f->world.faults.fail_anchor = f->world.expect_failure = true;
	for (i = 1; i <= 12; i++) {
		f->world.faults.fail_io_at = f->world.nr_ios + i;
		if (attach(f, true)) {
			/* Who only looks takes the slot that can be read. */
			CHECK(i > 2 && f->v->mode == QVAULT_MODE_DETACHED);
			failed++;
			continue;
		}
		CHECK(i > 2 || f->v->good_slots == 1);
		end(f);
	}
	CHECK(failed >= 2);
	f->world.faults.fail_io_at = 0;
	CHECK(!attach(f, true));
	CHECK(f->v->good_slots == 2);
	before = f->v->anchor.sequence;
	use(&c, f);
	CHECK(f->v->anchor.sequence > before);
	end(f);
	put_back(&still, f);
	CHECK(!attach(f, false));
	read_all(&c);
}

void test_ephemeral_again(void)
{
	with_vault(BLOCKS, 16, again);
}
