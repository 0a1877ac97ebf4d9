// SPDX-License-Identifier: GPL-2.0
/*
 * The platform that the engine asks for, over simulated devices.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

struct world *world_current;
unsigned long jiffies;

/* ---- I/O ---- */

static u32 nr_events(void *arg)
{
	struct world *world = arg;

	return world->nr_inflight;
}

static bool is_metadata(struct world *world, const struct io *io)
{
	u64 group;
	u32 bit;

	return io->kind == IO_WRITE && io->dev == &world->data &&
	       !qvault_locate(&world->v.geo, io->block, &group, &bit);
}

static bool io_fails(struct world *world, const struct io *io)
{
	const struct faults *f = &world->faults;

	world->nr_ios++;
	if (io->dev == &world->anchor && !f->fail_anchor)
		return false;
	if (f->fail_io_at == world->nr_ios)
		return true;
	if (f->fail_writes && io->kind == IO_WRITE && io->dev == &world->data &&
	    rng_chance(&world->sched.rng, f->fail_writes))
		return true;
	if (f->fail_meta && is_metadata(world, io) &&
	    rng_chance(&world->sched.rng, f->fail_meta))
		return true;
	return f->fail_io && rng_chance(&world->sched.rng, f->fail_io);
}

static const struct versions *versions_of(const struct qvault_dev *dev, u64 block)
{
	for (; dev; dev = dev->base)
		if (dev->keep_history)
			return map64_get(&dev->history, block);
	return NULL;
}

/* Answer a read with something else that was once written, or with noise. */
static void lie(struct world *world, struct io *io)
{
	struct rng *rng = &world->sched.rng;
	const struct versions *v = versions_of(io->dev, io->block);
	u8 *data = io->buf;
	u64 other;

	world->faulted = true;
	totals.lies++;
	switch (rng_below(rng, 4)) {
	case 0:
		data[rng_below(rng, QVAULT_BLOCK_SIZE)] ^=
			1u << rng_below(rng, 8);
		return;
	case 1:
		other = rng_below(rng, io->dev->nr_blocks);
		v = versions_of(io->dev, other);
		break;
	case 2:
		memset(data, rng_next(rng), QVAULT_BLOCK_SIZE);
		return;
	}
	if (v && v->nr)
		memcpy(data, v->item[rng_below(rng, v->nr)]->data,
		       QVAULT_BLOCK_SIZE);
}

/* A write that is acknowledged; half of them are lost, half land elsewhere. */
static bool goes_astray(struct world *world, struct io *io)
{
	struct rng *rng = &world->sched.rng;

	if (io->kind != IO_WRITE || io->dev != &world->data ||
	    !world->faults.misdirect || !rng_chance(rng, world->faults.misdirect))
		return false;
	dev_misdirect(io, rng_chance(rng, 50) ? NOWHERE :
			  rng_below(rng, io->dev->nr_blocks));
	totals.astray++;
	return true;
}

static void event(void *arg, u32 n)
{
	struct world *world = arg;
	struct io *io = world->inflight[n];
	bool fails;

	/* Some reads take so long that whole checkpoints pass by. */
	if (io->delay && (world->sched.nr_runnable || world->nr_inflight > 1)) {
		io->delay--;
		return;
	}
	fails = io_fails(world, io);
	jiffies++;

	world->inflight[n] = world->inflight[--world->nr_inflight];
	if (fails) {
		world->faulted = true;
		world->expect_failure = true;
		/* What a failed flush lost is gone, for reads of this life too. */
		world->expect_corruption |= io->kind == IO_FLUSH;
	}
	if (fails || !goes_astray(world, io))
		dev_complete(io, fails ? -EIO : 0);
	if (io->kind == IO_READ && !fails && io->dev == &world->data &&
	    world->faults.lie && rng_chance(&world->sched.rng, world->faults.lie))
		lie(world, io);
	if (world->on_io)
		world->on_io(world, io, true);
	if (io->task)
		task_wake(io->task);
	else
		io->end(io);
}

void world_submit(struct world *world, struct io *io)
{
	struct task *task = task_current;

	might_sleep();
	io->done = false;
	io->delay = 0;
	if (io->kind == IO_READ && rng_chance(&world->sched.rng, world->slow))
		io->delay = rng_below(&world->sched.rng, 1000);
	dev_submit(io);
	/* The hook is no part of the task, and must not be preempted as such. */
	task_current = NULL;
	if (world->on_io)
		world->on_io(world, io, false);
	task_current = task;
	if (world->nr_inflight == world->max_inflight) {
		world->max_inflight = world->max_inflight ?
				      2 * world->max_inflight : 16;
		world->inflight = realloc(world->inflight,
					  world->max_inflight * sizeof(io));
	}
	world->inflight[world->nr_inflight++] = io;
}

int world_io_wait(struct io *io)
{
	while (!io->done) {
		io->task = task_current;
		task_block("I/O", io);
	}
	return io->err;
}

static int sync_io(struct qvault_dev *dev, enum io_kind kind, u64 block,
		   void *buf, bool fua)
{
	struct io io = {
		.kind = kind, .dev = dev, .block = block, .buf = buf,
		.fua = fua, .task = task_current,
	};

	world_submit(dev->world, &io);
	return world_io_wait(&io);
}

u64 qvault_dev_blocks(struct qvault_dev *dev)
{
	return dev->nr_blocks;
}

int qvault_dev_read(struct qvault_dev *dev, u64 block, void *buf)
{
	dev->world->read_rounds++;
	return sync_io(dev, IO_READ, block, buf, false);
}

void qvault_dev_read_many(struct qvault_dev *dev, struct qvault_read *read, u32 n)
{
	struct io *io = kcalloc(n, sizeof(*io), GFP_NOIO | __GFP_NOFAIL);
	u32 i;

	if (!n || n > QVAULT_READS)
		shim_fail("%u reads at once", n);
	dev->world->read_rounds++;
	for (i = 0; i < n; i++) {
		io[i].kind = IO_READ;
		io[i].dev = dev;
		io[i].block = read[i].block;
		io[i].buf = read[i].buf;
		io[i].task = task_current;
		world_submit(dev->world, &io[i]);
	}
	for (i = 0; i < n; i++)
		read[i].err = world_io_wait(&io[i]);
	kfree(io);
}

int qvault_dev_write_fua(struct qvault_dev *dev, u64 block, void *buf)
{
	if (dev != &dev->world->anchor)
		shim_fail("a FUA write that is not the anchor's");
	return sync_io(dev, IO_WRITE, block, buf, true);
}

int qvault_dev_flush(struct qvault_dev *dev)
{
	return sync_io(dev, IO_FLUSH, 0, NULL, false);
}

int qvault_dev_flush_and_read(struct qvault_dev *dev, struct qvault_dev *other,
			      struct qvault_look *reads, u32 n)
{
	struct io look[QVAULT_READS_BESIDE] = {};
	int err = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		look[i].kind = IO_READ;
		look[i].dev = other;
		look[i].block = reads[i].block;
		look[i].buf = reads[i].buf;
		look[i].task = task_current;
		world_submit(other->world, &look[i]);
	}
	if (dev)
		err = qvault_dev_flush(dev);
	for (i = 0; i < n; i++)
		reads[i].err = world_io_wait(&look[i]);
	return err;
}

/* What is no metadata goes where data blocks are. */
void check_data_place(struct world *world, u64 block)
{
	u64 group;
	u32 bit;

	if (!qvault_locate(&world->v.geo, block, &group, &bit))
		shim_fail("data are written to block %llu",
			  (unsigned long long)block);
}

static void discard(struct world *world, u64 block)
{
	struct rng *rng = &world->sched.rng;
	u8 filler[QVAULT_BLOCK_SIZE];

	check_data_place(world, block);
	memset(filler, rng_chance(rng, 50) ? 0 : 0xf6, sizeof(filler));
	/* Done or not, and if so it is one more write that a crash may cut off. */
	if (rng_chance(rng, 80))
		sync_io(&world->data, IO_WRITE, block, filler, false);
}

/*
 * Of each range some blocks, the first and the last among them: what is free may be all
 * of a large volume.
 */
void qvault_dev_discard(struct qvault *v, const struct qvault_range *range, u32 nr)
{
	struct world *world = v->platform;
	u64 block, end;
	u32 i;

	/* Or a block would be hit in its next life. */
	lockdep_assert_held(&v->alloc_mutex);
	if (!nr || nr > QVAULT_TRIMS)
		shim_fail("%u discards at a time", nr);
	world->nr_discards++;
	for (i = 0; i < nr; i++) {
		end = range[i].block + range[i].count;
		if (world->discarded)
			bitmap_set(world->discarded, range[i].block, range[i].count);
		for (block = range[i].block; block < end;
		     block += 1 + (end - block > 40 ? rng_below(&world->sched.rng, end - block - 1) : 0))
			discard(world, block);
	}
}

void qvault_kick_trim(struct qvault *v)
{
	struct world *world = v->platform;

	world->trim_kicked = true;
	wake_up(&world->kick_wait);
}

/* ---- Batches ---- */

struct qvault_batch {
	struct qvault *v;
	struct qvault_dev *dev;
	enum qvault_use use;
	u32 inflight, limit;
	int err;
	wait_queue_head_t wait;
};

struct qvault_batch *qvault_batch_begin(struct qvault *v,
					struct qvault_dev *dev,
					enum qvault_use use)
{
	struct qvault_batch *batch = kzalloc(sizeof(*batch),
					     GFP_NOIO | __GFP_NOFAIL);

	batch->v = v;
	batch->dev = dev;
	batch->use = use;
	batch->limit = 1 + rng_below(&dev->world->sched.rng, 8);
	init_waitqueue_head(&batch->wait);
	return batch;
}

void *qvault_batch_buf(struct qvault_batch *batch)
{
	return qvault_buf_get(batch->v, batch->use);
}

static void batch_end_io(struct io *io)
{
	struct qvault_batch *batch = io->private;

	if (io->err && !batch->err)
		batch->err = io->err;
	qvault_buf_put(io->buf);
	kfree(io);
	batch->inflight--;
	wake_up(&batch->wait);
}

/* Data go where data blocks are, all else where they are not. */
static void check_place(struct world *world, u64 block)
{
	struct qvault *v = &world->v;
	u64 group;
	u32 bit;

	/* A walk writes both: its own blocks, and nodes when it makes a checkpoint. */
	if (world->walker == task_current && block)
		return;
	if (!block || qvault_locate(&v->geo, block, &group, &bit))
		shim_fail("metadata is written to block %llu",
			  (unsigned long long)block);
}

void qvault_batch_write(struct qvault_batch *batch, u64 block, void *buf)
{
	struct io *io;
	int err;

	check_place(batch->dev->world, block);
	wait_event(batch->wait, batch->inflight < batch->limit);
	err = qvault_share_look(batch->v);
	if (err) {
		batch->err = batch->err ?: err;
		qvault_buf_put(buf);
		return;
	}
	io = kzalloc(sizeof(*io), GFP_NOIO | __GFP_NOFAIL);
	io->kind = IO_WRITE;
	io->dev = batch->dev;
	io->block = block;
	io->buf = buf;
	io->end = batch_end_io;
	io->private = batch;
	batch->inflight++;
	world_submit(batch->dev->world, io);
}

int qvault_batch_wait(struct qvault_batch *batch)
{
	wait_event(batch->wait, !batch->inflight);
	return batch->err;
}

void qvault_batch_end(struct qvault_batch *batch)
{
	qvault_batch_wait(batch);
	kfree(batch);
}

/* ---- Buffers ---- */

/*
 * As the kernel's pools do it: the allocator first, then the reserve, then wait.
 */
static bool memory_is_short(struct world *world)
{
	return world->shortage &&
	       rng_chance(&world->sched.rng, world->shortage);
}

/* A buffer, and before it where it came from. */
struct buf {
	struct world *world;
	u32 use;			/* QVAULT_NR_USES: from no reserve */
	u64 pad;
	u8 data[QVAULT_BLOCK_SIZE];
};

static void *new_buf(struct world *world, u32 use)
{
	struct buf *buf = kmalloc(sizeof(*buf), GFP_NOIO | __GFP_NOFAIL);

	buf->world = world;
	buf->use = use;
	if (world)
		world->most_bufs = max(world->most_bufs, ++world->nr_bufs);
	return buf->data;
}

void *qvault_buf_try(void)
{
	struct world *world = world_current;

	might_sleep();
	return world && memory_is_short(world) ? NULL :
	       new_buf(world, QVAULT_NR_USES);
}

void *qvault_buf_get(struct qvault *v, enum qvault_use use)
{
	struct world *world = world_current;

	might_sleep();
	if (!world || !memory_is_short(world))
		return new_buf(world, QVAULT_NR_USES);
	wait_event(world->buf_wait, world->reserve_left[use]);
	world->reserve_left[use]--;
	return new_buf(world, use);
}

void qvault_buf_put(void *data)
{
	struct buf *buf = data ? container_of(data, struct buf, data[0]) : NULL;
	struct world *world = buf ? buf->world : NULL;

	if (buf && value_seen((u64 *)buf->data))
		shim_fail("what a user wrote is still in a buffer that is given back");
	if (world) {
		world->nr_bufs--;
		if (buf->use < QVAULT_NR_USES) {
			world->reserve_left[buf->use]++;
			wake_up(&world->buf_wait);
		}
	}
	kfree(buf);
}

/* ---- Events ---- */

void qvault_kick_checkpoint(struct qvault *v)
{
	struct world *world = v->platform;

	if (!world)
		return;
	world->kicked = true;
	wake_up(&world->kick_wait);
}

int qvault_claim_line(struct qvault *v, const u8 *uuid)
{
	return 0;
}

int qvault_wait(struct qvault *v, u32 seconds)
{
	struct world *world = v->platform;

	if (world->on_wait)
		world->on_wait(world);
	jiffies += seconds * HZ;
	return world->interrupted ? -EINTR : 0;
}

/* For one seed always the same. */
u64 qvault_random(void)
{
	struct world *world = world_current;

	if (world && world->fork)
		fork_jumps(world->fork, world);
	return world && !world->unlucky ? rng_next(&world->sched.rng) : 0;
}

/* For whoever runs it: see op_read(). */
void qvault_kick_readahead(struct qvault *v, u64 leaf)
{
	struct world *world = v->platform;

	if (world->nr_ahead < ARRAY_SIZE(world->ahead))
		world->ahead[world->nr_ahead++] = leaf;
}

void qvault_report_failure(struct qvault *v, const char *what, int err)
{
	struct world *world = v->platform;

	world->failures++;
	if (!world->expect_failure && !world->expect_corruption)
		shim_fail("the vault failed for no reason: %s, %d", what, err);
}

void qvault_report_trouble(struct qvault *v, const char *what, int err)
{
	struct world *world = v->platform;

	if (world->rotten && (err == -ENOSPC || (err == -ENOMEM && world->shortage)))
		return;
	if (!world->expect_failure && !world->expect_corruption &&
	    !world->expect_no_memory)
		shim_fail("trouble for no reason: %s, %d", what, err);
}

void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence)
{
	struct world *world = v->platform;

	might_sleep();
	world->taken++;
	if (!world->expect_taken)
		shim_fail("record %llu of epoch %llu taken for somebody else's",
			  (unsigned long long)sequence, (unsigned long long)epoch);
}

void qvault_report_slot(struct qvault *v, u32 slot, int err)
{
	struct world *world = v->platform;

	world->bad_slots++;
}

void qvault_report_mended(struct qvault *v, u32 slot)
{
	struct world *world = v->platform;

	might_sleep();
	world->mended++;
	if (!world->expect_failure && !world->expect_mended && !world->expect_taken)
		shim_fail("slot %u has lost its record, and nobody did anything", slot);
}

void qvault_report_corruption(struct qvault *v, enum qvault_kind kind, u64 id)
{
	struct world *world = v->platform;

	might_sleep();
	world->corruptions++;
	if (world->expect_data_loss && kind == QVAULT_KIND_DATA)
		return;
	if (!world->expect_corruption && !world->rotten)
		shim_fail("G4: corruption of kind %d, id 0x%llx, and nobody did anything",
			  kind, (unsigned long long)id);
}

void qvault_report_half(struct qvault *v, enum qvault_kind kind, u64 id)
{
	struct world *world = v->platform;

	might_sleep();
	world->halves++;
	if (!world->expect_corruption && !world->expect_failure && !world->rotten &&
	    !world->half_rotten)
		shim_fail("a copy of kind %d, id 0x%llx, is bad, and nobody did anything",
			  kind, (unsigned long long)id);
}

/* ---- Worlds ---- */

void world_init(struct world *world, u64 seed)
{
	memset(world, 0, sizeof(*world));
	sched_init(&world->sched, seed);
	world->sched.nr_events = nr_events;
	world->sched.event = event;
	world->sched.arg = world;
	INIT_LIST_HEAD(&world->writes);
	init_waitqueue_head(&world->buf_wait);
	init_waitqueue_head(&world->kick_wait);
	world->v.platform = world;
	world->v.data = &world->data;
	world->v.anchor_dev = &world->anchor;
	world->v.crypto = &world->crypto;
	world->v.memory_mib = 1;
}

void world_reserve(struct world *world, u32 more)
{
	u32 use;

	for (use = 0; use < QVAULT_NR_USES; use++)
		world->reserve[use] = world->reserve_left[use] =
			qvault_least_buffers(use) + more;
}

static void free_inflight(struct world *world)
{
	u32 i;

	for (i = 0; i < world->nr_inflight; i++)
		block_put(world->inflight[i]->contents);
	free(world->inflight);
	world->inflight = NULL;
	world->nr_inflight = world->max_inflight = 0;
}

static void world_free(struct world *world)
{
	u32 i;

	for (i = 0; i < 2; i++)
		free(world->reach[i].bits);
	map64_free(&world->tweaks.seen);
	oracle_exit(&world->oracle);
	dev_exit(&world->data);
	dev_exit(&world->anchor);
}

void world_exit(struct world *world)
{
	u32 use;

	sched_exit(&world->sched);
	if (world->nr_bufs)
		shim_fail("%u buffers were not given back", world->nr_bufs);
	for (use = 0; use < QVAULT_NR_USES; use++)
		if (world->reserve_left[use] != world->reserve[use])
			shim_fail("the reserve %u was not filled again", use);
	free_inflight(world);
	world_free(world);
}

void world_crash(struct world *world)
{
	/* They are on stacks and in the heap, both about to go. */
	free_inflight(world);
	sched_crash(&world->sched);
	world_free(world);
}

void world_run(struct world *world)
{
	struct world *outer = world_current;

	world_current = world;
	sched_run(&world->sched);
	world_current = outer;
}
