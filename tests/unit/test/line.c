// SPDX-License-Identifier: GPL-2.0
/*
 * One line of records: what a vault does when its anchor holds something else than it
 * left there.  The simulator does it with whole lives (sim/fork.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test.h"

static u32 next_slot(const struct fixture *f)
{
	return (f->v->anchor.sequence + 1) & 1;
}

static struct qvault_disk_anchor *slot_of(struct fixture *f, u32 slot)
{
	struct qvault_disk_anchor *disk = malloc(sizeof(*disk));

	memcpy(disk, dev_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(slot))->data, sizeof(*disk));
	return disk;
}

static void put_slot(struct fixture *f, u32 slot, const void *data)
{
	struct block *b = block_new(data);

	dev_set_durable(&f->world.anchor, QVAULT_SLOT_BLOCK(slot), b);
	block_put(b);
}

static void put_record(struct fixture *f, u32 slot, u64 epoch, u64 sequence)
{
	struct qvault_disk_anchor *disk = slot_of(f, slot);

	disk->epoch = cpu_to_le64(epoch);
	disk->sequence = cpu_to_le64(sequence);
	disk->log_head = cpu_to_le64(le64_to_cpu(disk->log_head) + 7);
	CHECK(!qvault_anchor_seal(f->v, disk));
	put_slot(f, slot, disk);
	free(disk);
}

/* A record of another life in the slot that comes next. */
static void put_other(struct fixture *f, s64 epochs, s64 sequences)
{
	put_record(f, next_slot(f), f->v->anchor.epoch + epochs,
		   f->v->anchor.sequence + sequences);
}

static void write_some(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	CHECK(!op_write(&c, 0, 20));
	CHECK(!qvault_commit(f->v));
	CHECK(!op_write(&c, 5, 1));
}

static void must_be_taken(struct fixture *f)
{
	struct qvault_ptr ptr;

	f->world.expect_taken = f->world.expect_failure = true;
	CHECK(qvault_commit(f->v) == -ESTALE);
	CHECK(f->world.taken == 1);
	CHECK(f->v->mode == QVAULT_MODE_TAKEN);
	CHECK(qvault_lookup(f->v, 0, 1, &ptr) == -EIO);
	CHECK(!qvault_new_versions(f->v, 1));
	CHECK(qvault_commit(f->v) == -EIO);
	CHECK(qvault_checkpoint(f->v) == -EIO);
}

static void must_go_on(struct fixture *f)
{
	u64 sequence = f->v->anchor.sequence;

	CHECK(!qvault_commit(f->v));
	CHECK(f->v->anchor.sequence == sequence + 1);
	CHECK(!f->world.taken);
}

static void must_go_on_after(struct fixture *f)
{
	f->world.taken = 0;
	must_go_on(f);
}

static void same_epoch(struct fixture *f)
{
	write_some(f);
	put_other(f, 0, 1);
	must_be_taken(f);
}

static void higher_epoch(struct fixture *f)
{
	write_some(f);
	put_other(f, 1, 3);
	must_be_taken(f);
}

/* Of who was displaced, under way when we came. */
static void lower_epoch(struct fixture *f)
{
	write_some(f);
	put_other(f, -1, 1);
	must_go_on(f);
}

static void other_volume(struct fixture *f)
{
	struct qvault_disk_anchor *disk;

	write_some(f);
	disk = slot_of(f, next_slot(f));
	disk->uuid[0] ^= 1;
	disk->mac[0] ^= 1;
	put_slot(f, next_slot(f), disk);
	free(disk);
	must_be_taken(f);
}

/* Torn or rotten: it is what the next record replaces. */
static void damaged(struct fixture *f)
{
	struct qvault_disk_anchor *disk;

	write_some(f);
	disk = slot_of(f, next_slot(f));
	disk->mac[0] ^= 1;
	put_slot(f, next_slot(f), disk);
	free(disk);
	must_go_on(f);
}

/* Another attached long ago, and its last record was torn. */
static void torn_over_other(struct fixture *f)
{
	u32 next = next_slot(f);
	struct qvault_disk_anchor *disk;

	write_some(f);
	CHECK(!qvault_commit(f->v));
	CHECK(!op_write(&(struct client){ .world = &f->world }, 9, 1));
	next = next_slot(f);
	put_record(f, !next, f->v->anchor.epoch + 1, f->v->anchor.sequence + 2);
	disk = slot_of(f, next);
	disk->mac[0] ^= 1;
	put_slot(f, next, disk);
	free(disk);
	must_be_taken(f);
}

/* The last gasp of one, over the record of another who has taken over. */
static void gasp_over_other(struct fixture *f)
{
	u32 next;

	write_some(f);
	next = next_slot(f);
	put_record(f, !next, f->v->anchor.epoch + 1, f->v->anchor.sequence + 2);
	put_record(f, next, f->v->anchor.epoch - 1, f->v->anchor.sequence + 1);
	must_be_taken(f);
}

/* Who attaches does not know yet who is displaced: any change is too much. */
static void changed_at_attach(struct fixture *f)
{
	struct qvault_anchor next = f->v->anchor;

	write_some(f);
	f->world.expect_taken = true;
	next = f->v->anchor;
	f->v->mode = QVAULT_MODE_DETACHED;
	put_other(f, -1, 1);
	CHECK(qvault_line_write(f->v, &next, false) == -ESTALE);
	f->v->mode = QVAULT_MODE_WRITE;
	must_go_on_after(f);
}

/* ---- Records that are under way ---- */

/* What happens at the next write of the anchor, or the next look at it. */
static struct {
	struct fixture *f;
	struct block *was, *new;	/* in the slot, and to come there */
	struct block *other;		/* comes there at the look; or NULL */
	u32 cut;			/* so many bytes of the write come there, and it fails */
	u32 left;			/* so often */
} hook;

static void fail_torn(struct world *world, const struct io *io, bool completed)
{
	struct block *torn, *new;

	if (io->dev != &world->anchor || io->kind != IO_WRITE || !hook.left)
		return;
	if (!completed) {
		world->faults.fail_io_at = world->nr_ios + 1;
		hook.was = block_get(dev_durable(io->dev, io->block));
		hook.new = block_get(io->contents);
		return;
	}
	CHECK(io->err);
	new = hook.other ?: hook.new;
	torn = block_new(hook.was->data);
	memcpy(torn->data, new->data, hook.cut);
	dev_replace(&world->anchor, io->block, torn);
	block_put(torn);
	block_put(hook.was);
	block_put(hook.new);
	hook.left--;
}

/* Of the next writes of the anchor so many bytes are done, and they fail. */
static void tear(struct fixture *f, u32 cut, u32 times)
{
	hook.f = f;
	hook.cut = cut;
	hook.left = times;
	f->world.faults.fail_anchor = true;
	f->world.expect_failure = true;
	f->world.on_io = fail_torn;
}

/* As an attach does it, and again, and from what a failure has left there. */
static int begin(struct fixture *f)
{
	struct qvault_anchor next = f->v->anchor;
	int err;

	next.epoch++;
	f->v->mode = QVAULT_MODE_DETACHED;
	err = qvault_line_write(f->v, &next, false);
	if (!err)
		err = qvault_line_repeat(f->v);
	f->v->mode = QVAULT_MODE_WRITE;
	return err;
}

/* A device that tears and fails; nobody else is there. */
static void attach_torn(struct fixture *f)
{
	const u32 mac = offsetof(struct qvault_disk_anchor, mac);
	u32 cut;

	write_some(f);
	for (cut = 0; cut <= QVAULT_BLOCK_SIZE; cut += cut < mac - 64 ? 64 : 1) {
		tear(f, cut, 1 + cut % 3);
		CHECK(!begin(f));
		CHECK(!hook.left);
	}
	f->world.on_io = NULL;
	must_go_on(f);
}

/* But if it was not we who have torn it, somebody else is. */
static void attach_torn_by_other(struct fixture *f)
{
	const u32 mac = offsetof(struct qvault_disk_anchor, mac);
	struct qvault_disk_anchor *disk;
	u32 cut;

	write_some(f);
	f->world.expect_taken = true;
	/* Without some of the MAC it is no news of anybody. */
	for (cut = mac + 4; cut <= QVAULT_BLOCK_SIZE; cut++) {
		disk = slot_of(f, f->v->anchor.sequence & 1);
		disk->sequence = cpu_to_le64(f->v->anchor.sequence + 1);
		disk->epoch = cpu_to_le64(f->v->anchor.epoch + 1);
		disk->lease = cpu_to_le64(f->v->anchor.lease + 12345);
		CHECK(!qvault_anchor_seal(f->v, disk));
		hook.other = block_new(disk);
		free(disk);
		disk = slot_of(f, next_slot(f));
		tear(f, cut, 1);
		CHECK(begin(f) == -ESTALE);
		block_put(hook.other);
		hook.other = NULL;
		put_slot(f, next_slot(f), disk);
		free(disk);
	}
	f->world.on_io = NULL;
	must_go_on_after(f);
}

/* Told of another life after the look, whose record comes at just that time. */
static void fork_after_look(struct world *world, const struct io *io, bool completed)
{
	if (io->dev != &world->anchor || io->kind != IO_READ || !completed || !hook.left)
		return;
	hook.left--;
	if (hook.other)
		dev_replace(&world->anchor, io->block, hook.other);
	qvault_forked(hook.f->v);
}

static void told_late(struct fixture *f)
{
	struct qvault_disk_anchor *disk;

	write_some(f);
	hook.f = f;
	hook.left = 3;
	f->world.on_io = fork_after_look;
	must_go_on(f);
	CHECK(!hook.left);
	CHECK(!op_write(&(struct client){ .world = &f->world }, 9, 1));
	disk = slot_of(f, f->v->anchor.sequence & 1);
	disk->sequence = cpu_to_le64(f->v->anchor.sequence + 1);
	disk->commit = cpu_to_le64(le64_to_cpu(disk->commit) + 1);
	CHECK(!qvault_anchor_seal(f->v, disk));
	hook.other = block_new(disk);
	hook.left = 1;
	free(disk);
	must_be_taken(f);
	block_put(hook.other);
	hook.other = NULL;
	f->world.on_io = NULL;
}

/* ---- The newest record has rotted ---- */

static void rot_newest(struct fixture *f, u32 at)
{
	u32 slot = f->v->anchor.sequence & 1;
	struct qvault_disk_anchor *disk = slot_of(f, slot);

	((u8 *)disk)[at] ^= 1;
	put_slot(f, slot, disk);
	free(disk);
	f->world.expect_mended = true;
	f->world.mended = 0;
}

/* A power cut in the middle of any record leaves the one before it. */
static void one_is_whole(struct world *world, const struct io *io, bool completed)
{
	u32 slot;

	if (io->dev != &world->anchor || io->kind != IO_WRITE || completed)
		return;
	slot = io->block == QVAULT_SLOT_BLOCK(0);
	if (io->block == QVAULT_SLOT_BLOCK(hook.f->v->anchor.sequence & 1))
		return;
	hook.left++;
	CHECK(!memcmp(dev_durable(io->dev, QVAULT_SLOT_BLOCK(slot))->data,
		      hook.f->v->line.record, QVAULT_BLOCK_SIZE));
}

static void newest_rots(struct fixture *f)
{
	const u32 mac = offsetof(struct qvault_disk_anchor, mac);
	static const u32 at[] = { 0, 8, 24, 40, 80, 700, 4063 };
	u32 i;

	write_some(f);
	hook.f = f;
	hook.left = 0;
	f->world.on_io = one_is_whole;
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		rot_newest(f, at[i]);
		CHECK(!op_write(&(struct client){ .world = &f->world }, 9 + i, 1));
		must_go_on(f);
		CHECK(f->world.mended == 1);
		/* Its MAC as well: then it is nobody's record. */
		rot_newest(f, mac + i);
		CHECK(!op_write(&(struct client){ .world = &f->world }, 9 + i, 1));
		must_go_on(f);
		CHECK(f->world.mended == 1);
	}
	CHECK(hook.left == 2 * ARRAY_SIZE(at));
	f->world.on_io = NULL;
}

/* The last record of who was displaced has landed on it; or that of who has taken over. */
static void newest_replaced(struct fixture *f)
{
	write_some(f);
	f->world.expect_mended = true;
	put_record(f, f->v->anchor.sequence & 1, f->v->anchor.epoch - 1,
		   f->v->anchor.sequence);
	must_go_on(f);
	CHECK(f->world.mended == 1);
	CHECK(!op_write(&(struct client){ .world = &f->world }, 9, 1));
	put_record(f, f->v->anchor.sequence & 1, f->v->anchor.epoch + 1,
		   f->v->anchor.sequence + 2);
	must_be_taken(f);
}

/* A device that takes the record and gives back something else. */
static void rot_again(struct world *world, const struct io *io, bool completed)
{
	if (io->dev != &world->anchor || io->kind != IO_READ || completed || !hook.left)
		return;
	if (io->block == QVAULT_SLOT_BLOCK(hook.f->v->anchor.sequence & 1))
		rot_newest(hook.f, 700);
}

static void never_mended(struct fixture *f)
{
	write_some(f);
	hook.f = f;
	hook.left = 1;
	f->world.on_io = rot_again;
	must_go_on(f);
	f->world.on_io = NULL;
}

/* It is tried again, like any other write of the anchor. */
static void mend_fails(struct fixture *f)
{
	write_some(f);
	rot_newest(f, 80);
	f->world.expect_failure = true;
	f->world.faults.fail_anchor = true;
	/* Two reads and a flush, and then this. */
	f->world.faults.fail_io_at = f->world.nr_ios + 4;
	hook.f = f;
	hook.left = 0;
	f->world.on_io = one_is_whole;
	must_go_on(f);
	CHECK(f->world.mended == 2 && hook.left == 1);
	f->world.on_io = NULL;
}

/* Both slots are read beside the flush, and nothing else for a record. */
static void costs(struct fixture *f)
{
	u64 reads, flushes;
	u32 i;

	write_some(f);
	CHECK(!qvault_commit(f->v));
	reads = f->world.anchor.reads;
	flushes = f->world.data.flushes;
	for (i = 0; i < 50; i++) {
		CHECK(!op_write(&(struct client){ .world = &f->world }, i, 1));
		CHECK(!qvault_commit(f->v));
	}
	reads = f->world.anchor.reads - reads;
	flushes = f->world.data.flushes - flushes;
	printf("      %llu reads of the anchor beside %llu flushes\n",
	       (unsigned long long)reads, (unsigned long long)flushes);
	CHECK(flushes == 50 && reads == 100);
}

void test_line_newest(void)
{
	with_vault(3000, 64, newest_rots);
	with_vault(3000, 64, newest_replaced);
	with_vault(3000, 64, never_mended);
	with_vault(3000, 64, mend_fails);
	with_vault(3000, 64, costs);
}

void test_line_under_way(void)
{
	with_vault(3000, 64, attach_torn);
	with_vault(3000, 64, attach_torn_by_other);
	with_vault(3000, 64, told_late);
}

void test_line_look(void)
{
	with_vault(3000, 64, torn_over_other);
	with_vault(3000, 64, gasp_over_other);
	with_vault(3000, 64, changed_at_attach);
	with_vault(3000, 64, same_epoch);
	with_vault(3000, 64, higher_epoch);
	with_vault(3000, 64, lower_epoch);
	with_vault(3000, 64, other_volume);
	with_vault(3000, 64, damaged);
}

static void in_both_slots(struct fixture *f)
{
	struct qvault_disk_anchor *a = slot_of(f, 0), *b = slot_of(f, 1);

	/* An attach, and nothing else, has happened. */
	CHECK(!qvault_anchor_check(f->v, a, 0));
	CHECK(!qvault_anchor_check(f->v, b, 1));
	CHECK(le64_to_cpu(a->epoch) == f->v->anchor.epoch);
	CHECK(le64_to_cpu(b->epoch) == f->v->anchor.epoch);
	free(a);
	free(b);
	write_some(f);
	/* What a detach does, but for letting go. */
	CHECK(!qvault_suspend(f->v));
	CHECK(!qvault_line_repeat(f->v));
	a = slot_of(f, 0);
	b = slot_of(f, 1);
	CHECK(!memcmp(&a->log_tail, &b->log_tail,
		      offsetof(struct qvault_disk_anchor, mac) -
		      offsetof(struct qvault_disk_anchor, log_tail)));
	free(a);
	free(b);
}

void test_line_slots(void)
{
	with_vault(3000, 64, in_both_slots);
}

static u64 next_version(const struct fixture *f)
{
	return atomic64_read(&f->v->version);
}

static u64 leased(const struct fixture *f)
{
	return f->v->anchor.lease - next_version(f);
}

static void versions(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 lease, sequence;

	CHECK(!op_write(&c, 0, 1));
	CHECK(!qvault_commit(f->v));
	lease = f->v->anchor.lease;
	sequence = f->v->anchor.sequence;
	qvault_forked(f->v);
	CHECK(!qvault_new_versions(f->v, 1));
	CHECK(!op_write(&c, 1, 1));
	/* A record of what was durable, before the first version of its lease. */
	CHECK(f->v->anchor.sequence == sequence + 1);
	CHECK(f->v->anchor.lease > lease + QVAULT_LEASE);
	qvault_forked(f->v);
	/* One for the lease, and one for what was written. */
	CHECK(!qvault_checkpoint(f->v));
	CHECK(!op_write(&c, 2, 1));
	CHECK(!qvault_commit(f->v));
}

/* Each jump may be as short or as long as it likes: a whole lease follows. */
static void record_jumps(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 before, used = 0;
	u32 i;

	for (i = 0; i < 100; i++) {
		f->world.unlucky = i & 1;
		CHECK(!op_write(&c, i, 3));
		before = next_version(f);
		CHECK(!qvault_commit(f->v));
		CHECK(leased(f) >= QVAULT_LEASE);
		CHECK(!qvault_lease_low(f->v));
		if (f->world.unlucky)
			CHECK(next_version(f) - before < 10);
		else
			used += next_version(f) - before;
	}
	/* On average half of the longest. */
	CHECK(used / 50 > 1ull << 29 && used / 50 < 3ull << 29);
}

/* With no luck at all a fork passes over whatever may be leased. */
static void fork_unlucky(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };

	f->world.unlucky = true;
	CHECK(!op_write(&c, 0, 1));
	CHECK(!qvault_commit(f->v));
	qvault_forked(f->v);
	CHECK(!qvault_new_versions(f->v, 1));
	CHECK(!qvault_commit(f->v));
	CHECK(qvault_new_versions(f->v, 1));
}

/* Told as the record is under way: what that record leases is passed over too. */
static struct fixture *hooked;

static void fork_at_write(struct world *world, const struct io *io, bool completed)
{
	if (io->dev != &world->anchor || io->kind != IO_WRITE || completed)
		return;
	world->on_io = NULL;
	qvault_forked(hooked->v);
}

static void fork_under_way(struct fixture *f)
{
	write_some(f);
	f->world.unlucky = true;
	hooked = f;
	f->world.on_io = fork_at_write;
	CHECK(!qvault_commit(f->v));
	CHECK(!f->world.on_io);
	CHECK(!qvault_new_versions(f->v, 1));
}

/* An attach begins above all that was leased, also if it has no luck. */
static void attach_jumps(struct fixture *f)
{
	struct qvault_disk_anchor *record = malloc(QVAULT_BLOCK_SIZE);
	u32 i;

	/* What the first one found leased nothing above 1. */
	CHECK(next_version(f) > 1ull << 33);
	for (i = 0; i < 2; i++) {
		u64 lease;

		f->world.unlucky = i;
		write_some(f);
		CHECK(!qvault_commit(f->v));
		lease = f->v->anchor.lease;
		f->v->mode = QVAULT_MODE_FAILED;
		qvault_detach(f->v);
		CHECK(!qvault_attach(f->v, record));
		CHECK(next_version(f) >= lease);
		CHECK(i || next_version(f) > lease + (1ull << 33));
	}
	free(record);
}

/* Jumps never use the versions up: near the end of their part there are none. */
static void last_versions(struct fixture *f)
{
	u64 version = QVAULT_JUMPS_END - (1ull << 20), lease;

	write_some(f);
	atomic64_set(&f->v->version, version);
	CHECK(!qvault_line_repeat(f->v));
	CHECK(next_version(f) == version);
	CHECK(f->v->anchor.lease == version + QVAULT_LEASE);
	lease = QVAULT_LAST_LEASE - QVAULT_LEASE;
	atomic64_set(&f->v->version, lease);
	CHECK(!qvault_line_repeat(f->v));
	CHECK(f->v->anchor.lease == QVAULT_LAST_LEASE);
	CHECK(qvault_new_versions(f->v, 3) == lease);
	CHECK(!op_write(&(struct client){ .world = &f->world }, 9, 1));
	CHECK(!qvault_commit(f->v));
}

void test_line_versions(void)
{
	with_vault(3000, 64, versions);
	with_vault(3000, 64, record_jumps);
	with_vault(3000, 64, fork_unlucky);
	with_vault(3000, 64, fork_under_way);
	with_vault(3000, 64, attach_jumps);
	with_vault(3000, 64, last_versions);
}

/* Resume takes what the suspend left there, and nothing else. */
static void resume(struct fixture *f)
{
	struct qvault_disk_anchor *newest, *older;
	u32 slot;

	write_some(f);
	CHECK(!qvault_suspend(f->v));
	CHECK(!qvault_resume(f->v));
	slot = f->v->anchor.sequence & 1;
	newest = slot_of(f, slot);
	older = slot_of(f, !slot);
	f->world.expect_taken = true;
	/* Put back to what it was before. */
	put_slot(f, slot, older);
	CHECK(qvault_resume(f->v) == -ESTALE);
	/* Of an earlier attach, in the right slot. */
	put_record(f, slot, f->v->anchor.epoch - 1, f->v->anchor.sequence - 2);
	CHECK(qvault_resume(f->v) == -ESTALE);
	put_slot(f, slot, newest);
	CHECK(!qvault_resume(f->v));
	put_other(f, 1, 1);
	CHECK(qvault_resume(f->v) == -ESTALE);
	put_slot(f, !slot, older);
	CHECK(!qvault_resume(f->v));
	CHECK(f->v->mode == QVAULT_MODE_WRITE);
	free(newest);
	free(older);
}

void test_line_resume(void)
{
	with_vault(3000, 64, resume);
}

/*
 * All writes of data fail for a while, on a full volume.  The blocks that they were to
 * fill are set aside, and come back.
 */
static void outage(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u64 blocks = f->v->geo.logical_blocks, i;

	for (i = 0; i < blocks; i++)
		CHECK(!op_write(&c, i, 1));
	CHECK(!op_checkpoint(&c));
	f->world.expect_failure = true;
	f->world.faults.fail_writes = 100;
	for (i = 0; i < 300; i++)
		CHECK(op_write(&c, rng_below(&c.rng, blocks), 1) == -EIO);
	f->world.faults.fail_writes = 0;
	f->world.faulted = false;
	CHECK(f->v->mode == QVAULT_MODE_WRITE);
	for (i = 0; i < 1000; i++)
		CHECK(!op_write(&c, rng_below(&c.rng, blocks), 1));
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < blocks; i++)
		CHECK(!op_read(&c, i, 1));
}

/* Nothing but blocks that were set aside: they come back, and only after a flush. */
static void aside_alone(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	s64 flushes;

	CHECK(!op_write(&c, 0, 20));
	CHECK(!op_checkpoint(&c));
	CHECK(!f->v->alloc.nr_fresh);
	f->world.expect_failure = true;
	f->world.faults.fail_writes = 100;
	CHECK(op_write(&c, 30, 5) == -EIO);
	f->world.faults.fail_writes = 0;
	CHECK(f->v->alloc.nr_fresh == 5);
	flushes = atomic64_read(&f->v->counters.flushes);
	CHECK(!op_checkpoint(&c));
	CHECK(atomic64_read(&f->v->counters.flushes) > flushes);
	CHECK(!f->v->alloc.nr_fresh);
}

void test_line_outage(void)
{
	with_vault(1000, 16, outage);
	with_vault(3000, 64, aside_alone);
}

/*
 * A commit cannot write its log blocks.  Nothing is in doubt: the next one writes them,
 * and frees what both have superseded.
 */
static void failed_commit(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u32 i;

	for (i = 0; i < 200; i++)
		CHECK(!op_write(&c, 2 * i, 1));
	CHECK(!op_commit(&c));
	for (i = 0; i < 200; i++)
		CHECK(!op_write(&c, 2 * i, 1));
	f->world.expect_failure = true;
	f->world.faults.fail_io = 100;
	CHECK(qvault_commit(f->v) == -EIO);
	CHECK(f->v->mode == QVAULT_MODE_WRITE);
	f->world.faults.fail_io = 0;
	for (i = 0; i < 200; i++)
		CHECK(!op_write(&c, 2 * i, 1));
	CHECK(f->v->alloc.nr_fresh == 600);
	CHECK(!op_commit(&c));
	CHECK(f->v->alloc.nr_fresh == 200);
	for (i = 0; i < 200; i++)
		CHECK(!op_read(&c, 2 * i, 1));
}

void test_line_failed_commit(void)
{
	with_vault(3000, 64, failed_commit);
}
