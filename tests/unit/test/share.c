// SPDX-License-Identifier: GPL-2.0
/*
 * Two hosts and one vault: claim, wait, look.  All interleavings of it are in
 * tests/model/claim.pml; here is that the engine does what the model says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

#define SETTLE	10u
#define HALF	(SETTLE / 2)

/* Another host, on the same two devices. */
struct host {
	struct world world;
	struct qvault_disk_anchor record;
};

static struct host *other;
static struct fixture *this;

static struct host *host_new(struct fixture *f, u32 settle)
{
	struct host *host = calloc(1, sizeof(*host));
	struct world *world = &host->world;

	world_init(world, 77);
	crypto_init(&world->crypto, false, &f->world.tweaks);
	world->v.data = &f->world.data;
	world->v.anchor_dev = &f->world.anchor;
	world->v.logical_blocks = f->v->geo.logical_blocks;
	world->v.settle = settle;
	oracle_init(&world->oracle, f->v->geo.logical_blocks, NULL, 0);
	CHECK(!qvault_init(&world->v));
	return host;
}

static int host_attach(struct host *host)
{
	return qvault_attach(&host->world.v, &host->record);
}

static void host_free(struct host *host)
{
	host->world.expect_failure = true;
	qvault_detach(&host->world.v);
	qvault_exit(&host->world.v);
	world_exit(&host->world);
	free(host);
}

/* As a table with the option does it; the vault was formatted without. */
static void share(struct fixture *f)
{
	CHECK(!qvault_detach(f->v));
	f->v->settle = SETTLE;
	CHECK(!test_attach(f));
	this = f;
}

static void seconds(u32 n)
{
	jiffies += n * HZ;
}

static int write_at(struct world *world, u64 logical)
{
	struct client c = { .world = world, .rng.state = 3 };

	return op_write(&c, logical, 1);
}

static u64 version_at(struct qvault *v, u64 logical)
{
	struct qvault_ptr ptr = {};

	CHECK(!qvault_lookup(v, logical, 1, &ptr));
	return ptr.version;
}

static struct qvault_disk_claim *claim_there(struct fixture *f)
{
	struct qvault_disk_claim *claim = malloc(sizeof(*claim));

	memcpy(claim, dev_durable(&f->world.anchor, QVAULT_CLAIM_BLOCK)->data,
	       sizeof(*claim));
	return claim;
}

static void put_claim(struct fixture *f, const void *claim)
{
	struct block *b = block_new(claim);

	dev_set_durable(&f->world.anchor, QVAULT_CLAIM_BLOCK, b);
	block_put(b);
}

/* Of a host that has attached, and is waiting or has the vault. */
static void put_other_claim(struct fixture *f)
{
	struct qvault_disk_claim *claim = claim_there(f);

	claim->nonce[0] ^= 1;
	CHECK(!qvault_crypto_anchor_mac(f->v->crypto, claim,
					offsetof(struct qvault_disk_claim, mac),
					claim->mac));
	put_claim(f, claim);
	free(claim);
	f->world.expect_taken = f->world.expect_failure = true;
}

/* ---- Attach -------------------------------------------------------------- */

static int try_attach(struct fixture *f, u32 settle, bool read_only)
{
	struct host *host = host_new(f, settle);
	int err;

	host->world.v.read_only = read_only;
	host->world.expect_taken = true;
	host->world.on_wait = f->world.on_wait;
	host->world.interrupted = f->world.interrupted;
	err = host_attach(host);
	host_free(host);
	return err;
}

/* The record says it, and who does not say the same is refused before he claims. */
static void refused(struct fixture *f)
{
	struct qvault_disk_claim *claim, *again;
	u32 i;

	CHECK(!f->v->anchor.settle);
	share(f);
	for (i = 0; i < 2; i++) {
		const struct block *b = dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(i));
		const struct qvault_disk_anchor *disk = (const void *)b->data;

		CHECK(le32_to_cpu(disk->settle) == SETTLE);
	}
	claim = claim_there(f);
	CHECK(!memcmp(claim->magic, QVAULT_CLAIM_MAGIC, sizeof(claim->magic)));
	CHECK(le64_to_cpu(claim->epoch) == f->v->anchor.epoch);
	CHECK(try_attach(f, 0, false) == -EBUSY);
	CHECK(try_attach(f, SETTLE + 1, false) == -EBUSY);
	/* Who only reads claims nothing. */
	CHECK(!try_attach(f, 0, true));
	CHECK(!try_attach(f, SETTLE, true));
	again = claim_there(f);
	CHECK(!memcmp(claim, again, sizeof(*claim)));
	free(again);
	free(claim);
	CHECK(!write_at(&f->world, 1));
	CHECK(!qvault_commit(f->v));
}

static void claims_too(struct world *world)
{
	put_other_claim(this);
}

/* Half of a claim, at the moment when the time is over. */
static void junk(struct world *world)
{
	struct qvault_disk_claim *claim = claim_there(this);

	memset(claim->mac, 3, sizeof(claim->mac));
	put_claim(this, claim);
	free(claim);
}

static void wait_disturbed(struct fixture *f)
{
	share(f);
	f->world.on_wait = claims_too;
	CHECK(try_attach(f, SETTLE, false) == -ESTALE);
	f->world.on_wait = junk;
	CHECK(try_attach(f, SETTLE, false) == -ESTALE);
	f->world.on_wait = NULL;
	f->world.interrupted = true;
	CHECK(try_attach(f, SETTLE, false) == -EINTR);
	f->world.interrupted = false;
	f->world.expect_taken = f->world.expect_failure = true;
}

/* What was acknowledged while it waited, by a host that had looked just before. */
static void commits_meanwhile(struct world *world)
{
	CHECK(!write_at(&this->world, 7));
	CHECK(!qvault_commit(this->v));
}

static void read_after_wait(struct fixture *f)
{
	share(f);
	other = host_new(f, SETTLE);
	other->world.on_wait = commits_meanwhile;
	CHECK(!host_attach(other));
	CHECK(version_at(&other->world.v, 7) == version_at(f->v, 7));
	f->world.expect_taken = f->world.expect_failure = true;
	host_free(other);
}

/* A data device of another vault stops nobody. */
static void other_data(struct fixture *f)
{
	struct qvault_disk_claim *claim, *again;
	struct qvault_dev empty;

	share(f);
	CHECK(!write_at(&f->world, 7));
	CHECK(!op_checkpoint(&(struct client){ .world = &f->world }));
	claim = claim_there(f);
	other = host_new(f, SETTLE);
	dev_init(&empty, "empty", &f->world, f->world.data.nr_blocks, NULL);
	other->world.v.data = &empty;
	other->world.expect_corruption = true;
	CHECK(host_attach(other) == -EILSEQ);
	again = claim_there(f);
	CHECK(!memcmp(claim, again, sizeof(*claim)));
	free(again);
	free(claim);
	host_free(other);
	dev_exit(&empty);
}

void test_share_attach(void)
{
	with_vault(1000, 16, refused);
	with_vault(1000, 16, wait_disturbed);
	with_vault(1000, 16, read_after_wait);
	with_vault(1000, 16, other_data);
}

/* ---- Displaced ----------------------------------------------------------- */

static void written_nothing(struct fixture *f, u64 data, u64 anchor)
{
	CHECK(f->world.data.writes == data);
	CHECK(f->world.anchor.writes == anchor);
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
}

/* One host after the other; what the first one begins then comes to no device. */
static void displaced(struct fixture *f)
{
	struct qvault_ptr ptr;
	u64 data, anchor, i;

	share(f);
	CHECK(!write_at(&f->world, 1));
	CHECK(!qvault_commit(f->v));
	CHECK(!write_at(&f->world, 2));
	other = host_new(f, SETTLE);
	CHECK(!host_attach(other));
	CHECK(version_at(&other->world.v, 1) && !version_at(&other->world.v, 2));
	for (i = 0; i < 300; i++)
		CHECK(!write_at(&other->world, i));
	CHECK(!op_checkpoint(&(struct client){ .world = &other->world }));
	data = f->world.data.writes;
	anchor = f->world.anchor.writes;
	f->world.expect_taken = f->world.expect_failure = true;
	CHECK(write_at(&f->world, 3));
	CHECK(qvault_commit(f->v));
	CHECK(qvault_checkpoint(f->v));
	CHECK(qvault_lookup(f->v, 1, 1, &ptr) == -EIO);
	written_nothing(f, data, anchor);
	for (i = 0; i < 300; i++)
		CHECK(!op_read(&(struct client){ .world = &other->world }, i, 1));
	CHECK(other->world.v.mode == QVAULT_MODE_WRITE);
	host_free(other);
}

/* A look is worth half of the settle time, and costs one read. */
static void age(struct fixture *f)
{
	u64 reads, i;

	share(f);
	reads = f->world.anchor.reads;
	for (i = 0; i < 10; i++)
		CHECK(!write_at(&f->world, i));
	CHECK(f->world.anchor.reads == reads);
	seconds(HALF);
	for (i = 0; i < 10; i++)
		CHECK(!write_at(&f->world, i));
	CHECK(f->world.anchor.reads == reads + 1);
	put_other_claim(f);
	seconds(HALF - 1);
	CHECK(!write_at(&f->world, 1));
	seconds(1);
	CHECK(write_at(&f->world, 1) == -EIO || f->v->mode == QVAULT_MODE_TAKEN);
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
}

/* ---- What takes long ----------------------------------------------------- */

static struct {
	enum io_kind kind;
	const struct qvault_dev *dev;
	u64 data, anchor;		/* writes until then */
} slow;

/* The first such I/O takes a whole settle time, and another host comes meanwhile. */
static void be_slow(struct world *world, const struct io *io, bool completed)
{
	if (completed || io->kind != slow.kind || io->dev != slow.dev)
		return;
	world->on_io = NULL;
	slow.data = world->data.writes;
	slow.anchor = world->anchor.writes;
	seconds(SETTLE);
	put_other_claim(this);
}

static void slow_io(struct fixture *f, enum io_kind kind, const struct qvault_dev *dev)
{
	slow.kind = kind;
	slow.dev = dev;
	f->world.on_io = be_slow;
}

/* The look of before the flush is too old for the record. */
static void slow_flush(struct fixture *f)
{
	share(f);
	CHECK(!write_at(&f->world, 1));
	slow_io(f, IO_FLUSH, &f->world.data);
	CHECK(qvault_commit(f->v) == -ESTALE);
	written_nothing(f, slow.data, slow.anchor);
}

/* Nor may the newest record be written again then. */
static void slow_mend(struct fixture *f)
{
	u32 slot;

	share(f);
	CHECK(!write_at(&f->world, 1));
	slot = f->v->anchor.sequence & 1;
	dev_set_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(slot), NULL);
	f->world.expect_mended = true;
	slow_io(f, IO_FLUSH, &f->world.data);
	CHECK(qvault_commit(f->v) == -ESTALE);
	CHECK(f->world.mended == 1);
	written_nothing(f, slow.data, slow.anchor);
}

static void slow_anchor(struct world *world, const struct io *io, bool completed)
{
	if (io->dev != &world->anchor || io->kind != IO_WRITE || completed)
		return;
	world->on_io = NULL;
	world->faults.fail_anchor = true;
	world->faults.fail_io_at = world->nr_ios + 1;
	seconds(SETTLE);
	put_other_claim(this);
}

/* A record that failed is written again only after another look. */
static void failed_record(struct fixture *f)
{
	u64 anchor;

	share(f);
	CHECK(!write_at(&f->world, 1));
	anchor = f->world.anchor.writes;
	f->world.on_io = slow_anchor;
	CHECK(qvault_commit(f->v) == -ESTALE);
	written_nothing(f, f->world.data.writes, anchor);
}

/* Nodes of a checkpoint: each looks for itself. */
static void slow_checkpoint(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 i;

	share(f);
	for (i = 0; i < 250; i += 3)
		CHECK(!write_at(&f->world, i));
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < 250; i += 3)
		CHECK(!write_at(&f->world, i));
	CHECK(!qvault_commit(f->v));
	test_forget(f);
	slow_io(f, IO_READ, &f->world.data);
	CHECK(qvault_checkpoint(f->v));
	CHECK(!f->world.on_io);
	written_nothing(f, slow.data, slow.anchor);
}

/* Nor is anything discarded that may be somebody else's. */
static void discards(struct fixture *f)
{
	u64 data;

	f->v->allow_discards = true;
	share(f);
	CHECK(!write_at(&f->world, 1));
	CHECK(!qvault_commit(f->v));
	CHECK(!qvault_unmap(f->v, 1, 1));
	CHECK(!qvault_commit(f->v));
	data = f->world.data.writes;
	put_other_claim(f);
	seconds(SETTLE);
	qvault_trim(f->v);
	CHECK(f->world.data.writes == data);
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
}

void test_share_displaced(void)
{
	with_vault(1000, 16, displaced);
	with_vault(1000, 16, age);
	with_vault(1000, 16, slow_flush);
	with_vault(1000, 16, slow_mend);
	with_vault(1000, 16, failed_record);
	with_vault(1000, 16, slow_checkpoint);
	with_vault(1000, 16, discards);
}

/* ---- What else may stand there ------------------------------------------- */

static void must_go_on(struct fixture *f, const void *claim)
{
	put_claim(f, claim);
	seconds(SETTLE);
	CHECK(!write_at(&f->world, 1));
	CHECK(!qvault_commit(f->v));
	CHECK(f->v->mode == QVAULT_MODE_WRITE && !f->world.taken);
}

/* Junk is no claim; and rot that leaves the MAC is none of anybody else. */
static void rotten(struct fixture *f)
{
	struct qvault_disk_claim *good, bad;

	share(f);
	good = claim_there(f);
	bad = *good;
	bad.nonce[3] ^= 1;
	must_go_on(f, &bad);
	bad = *good;
	bad.mac[3] ^= 1;
	must_go_on(f, &bad);
	memset(&bad, 0, sizeof(bad));
	must_go_on(f, &bad);
	memset(&bad, 0xa5, sizeof(bad));
	must_go_on(f, &bad);
	free(good);
}

static void must_stop(struct fixture *f, const void *claim)
{
	put_claim(f, claim);
	seconds(SETTLE);
	f->world.expect_taken = f->world.expect_failure = true;
	CHECK(write_at(&f->world, 1));
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
}

static void other_key(struct fixture *f)
{
	struct qvault_disk_claim *claim;

	share(f);
	claim = claim_there(f);
	claim->check[0] ^= 1;
	claim->mac[0] ^= 1;
	must_stop(f, claim);
	free(claim);
}

static void other_volume(struct fixture *f)
{
	struct qvault_disk_claim *claim;

	share(f);
	claim = claim_there(f);
	claim->uuid[0] ^= 1;
	claim->mac[0] ^= 1;
	must_stop(f, claim);
	free(claim);
}

/* It is not known whose it is: nothing is written, and nothing is lost. */
static void unread(struct fixture *f)
{
	u64 data;

	share(f);
	CHECK(!write_at(&f->world, 1));
	seconds(SETTLE);
	f->world.expect_failure = true;
	f->world.faults.fail_anchor = true;
	data = f->world.data.writes;
	f->world.faults.fail_io_at = f->world.nr_ios + 1;
	CHECK(write_at(&f->world, 2) == -EIO);
	CHECK(f->world.data.writes == data);
	CHECK(f->v->mode == QVAULT_MODE_WRITE);
	CHECK(!write_at(&f->world, 2));
	CHECK(!qvault_commit(f->v));
}

/* No clock has seen the time that has passed. */
static void forked(struct fixture *f)
{
	share(f);
	CHECK(!write_at(&f->world, 1));
	put_other_claim(f);
	qvault_forked(f->v);
	CHECK(write_at(&f->world, 1));
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
}

static void resumed(struct fixture *f)
{
	share(f);
	CHECK(!write_at(&f->world, 1));
	CHECK(!qvault_suspend(f->v));
	CHECK(!qvault_resume(f->v));
	CHECK(!qvault_suspend(f->v));
	put_other_claim(f);
	CHECK(qvault_resume(f->v) == -ESTALE);
}

/* Another key does not hide who has claimed under the one before. */
static void rekeyed(struct fixture *f)
{
	struct qvault_opener *opener = malloc(sizeof(*opener));

	share(f);
	*opener = *crypto_key(f->world.crypto.real, 1);
	CHECK(!qvault_key_change(f->v, &opener));
	qvault_opener_free(opener);
	seconds(SETTLE);
	CHECK(!write_at(&f->world, 1));
	CHECK(!qvault_commit(f->v));
	seconds(SETTLE);
	put_other_claim(f);
	CHECK(write_at(&f->world, 1));
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
}

void test_share_look(void)
{
	with_vault(1000, 16, rotten);
	with_vault(1000, 16, other_key);
	with_vault(1000, 16, other_volume);
	with_vault(1000, 16, unread);
	with_vault(1000, 16, forked);
	with_vault(1000, 16, resumed);
	with_vault(1000, 16, rekeyed);
}
