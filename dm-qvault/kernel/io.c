// SPDX-License-Identifier: GPL-2.0
/*
 * The two devices as the engine sees them: single blocks, batches of writes,
 * flushes.  What it waits for needs no memory: such bios stand on the stack.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/mm.h>

#include "platform.h"

/* Most blocks that a batch has on their way, and in one bio. */
#define BATCH_LIMIT	128u
#define BATCH_RUN	16u

static sector_t sector_of(u64 block)
{
	return block << (QVAULT_BLOCK_SHIFT - SECTOR_SHIFT);
}

/**
 * qvault_dev_blocks() - size of a device
 * @dev: the device
 *
 * Context: Any.
 * Return: Number of whole blocks.
 */
u64 qvault_dev_blocks(struct qvault_dev *dev)
{
	return bdev_nr_sectors(dev->bdev) >> (QVAULT_BLOCK_SHIFT - SECTOR_SHIFT);
}

static void init_block(struct bio *bio, struct bio_vec *vec,
		       struct qvault_dev *dev, u64 block, void *buf,
		       blk_opf_t opf)
{
	bio_init(bio, dev->bdev, vec, 1, opf);
	bio->bi_iter.bi_sector = sector_of(block);
	__bio_add_page(bio, virt_to_page(buf), QVAULT_BLOCK_SIZE,
		       offset_in_page(buf));
}

/**
 * qvault_submit_write() - submit a write to the data device
 * @vol: whose it is
 * @bio: ends at once, with an error, if another host may have the vault
 *
 * Context: May sleep.
 */
void qvault_submit_write(struct qvault_volume *vol, struct bio *bio)
{
	int err = qvault_share_look(&vol->v);

	if (likely(!err)) {
		submit_bio(bio);
		return;
	}
	bio->bi_status = errno_to_blk_status(err);
	bio_endio(bio);
}

static int single_block(struct qvault_dev *dev, u64 block, void *buf,
			blk_opf_t opf)
{
	struct bio_vec vec;
	struct bio bio;
	int err;

	init_block(&bio, &vec, dev, block, buf, opf);
	err = submit_bio_wait(&bio);
	bio_uninit(&bio);
	return err;
}

static int read_copy(const struct qvault_copy *copy, u64 block, void *buf)
{
	u32 slot = block == QVAULT_SLOT_BLOCK(1);

	if (block != QVAULT_SLOT_BLOCK(slot))
		return -EINVAL;
	memcpy(buf, copy->slot[slot], QVAULT_BLOCK_SIZE);
	return copy->err[slot];
}

/**
 * qvault_dev_read() - read a block
 * @dev: from which device, or the copy of an anchor
 * @block: its number
 * @buf: linear memory
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
int qvault_dev_read(struct qvault_dev *dev, u64 block, void *buf)
{
	if (dev->copy)
		return read_copy(dev->copy, block, buf);
	return single_block(dev, block, buf, REQ_OP_READ | REQ_SYNC | REQ_META);
}

struct reading {
	struct bio bio;
	struct bio_vec vec;
	atomic_t *left;
	struct completion *done;
};

static void one_less(struct bio *bio)
{
	struct reading *reading = container_of(bio, struct reading, bio);

	if (atomic_dec_and_test(reading->left))
		complete(reading->done);
}

/* Blocks that follow each other become one request: hence the plug. */
static void read_all(struct qvault_dev *dev, struct reading *reading,
		     struct qvault_read *read, u32 n)
{
	DECLARE_COMPLETION_ONSTACK(done);
	atomic_t left = ATOMIC_INIT(n);
	struct blk_plug plug;
	u32 i;

	blk_start_plug(&plug);
	for (i = 0; i < n; i++) {
		init_block(&reading[i].bio, &reading[i].vec, dev, read[i].block,
			   read[i].buf, REQ_OP_READ | REQ_SYNC | REQ_META);
		reading[i].left = &left;
		reading[i].done = &done;
		reading[i].bio.bi_end_io = one_less;
		submit_bio(&reading[i].bio);
	}
	blk_finish_plug(&plug);
	wait_for_completion_io(&done);
	for (i = 0; i < n; i++) {
		read[i].err = blk_status_to_errno(reading[i].bio.bi_status);
		bio_uninit(&reading[i].bio);
	}
}

/**
 * qvault_dev_read_many() - read blocks, all at once
 * @dev: from which device
 * @read: which blocks, and where to; the result of each is set
 * @n: how many, 1..QVAULT_READS
 *
 * When memory is short they are read one after the other.
 *
 * Context: May sleep.
 */
void qvault_dev_read_many(struct qvault_dev *dev, struct qvault_read *read, u32 n)
{
	struct reading *reading =
		qvault_kmalloc(array_size(n, sizeof(*reading)),
			       GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	u32 i;

	if (likely(reading))
		read_all(dev, reading, read, n);
	else
		for (i = 0; i < n; i++)
			read[i].err = qvault_dev_read(dev, read[i].block, read[i].buf);
	kfree(reading);
}

/**
 * qvault_dev_write_fua() - write a block; it is durable when this returns 0
 * @dev: to which device
 * @block: its number
 * @buf: linear memory
 *
 * Context: May sleep.
 * Return: 0, or a negative errno, after which either content may be there.
 */
int qvault_dev_write_fua(struct qvault_dev *dev, u64 block, void *buf)
{
	return single_block(dev, block, buf,
			    REQ_OP_WRITE | REQ_FUA | REQ_SYNC | REQ_META);
}

/**
 * qvault_dev_flush() - make durable whatever was written and has ended
 * @dev: the device
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
int qvault_dev_flush(struct qvault_dev *dev)
{
	return blkdev_issue_flush(dev->bdev);
}

static void wake_reader(struct bio *bio)
{
	complete(bio->bi_private);
}

/**
 * qvault_dev_flush_and_read() - flush one device and meanwhile read of another
 * @dev: to flush; NULL: only read
 * @other: to read of
 * @reads: up to QVAULT_READS_BESIDE blocks there, into linear memory; err is set
 * @n: how many
 *
 * The reads take no time of their own where a flush takes as long as a read, which is not
 * so for all storage that is far away: Documentation/benchmarks/bounds.rst.
 *
 * Context: May sleep.
 * Return: 0 or a negative errno for the flush.
 */
int qvault_dev_flush_and_read(struct qvault_dev *dev, struct qvault_dev *other,
			      struct qvault_look *reads, u32 n)
{
	/* A bio ends with an array, so there is none of bios. */
	struct bio first, second, *bio[QVAULT_READS_BESIDE] = { &first, &second };
	struct bio_vec vec[QVAULT_READS_BESIDE];
	DECLARE_COMPLETION_ONSTACK(done);
	int err = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		init_block(bio[i], &vec[i], other, reads[i].block, reads[i].buf,
			   REQ_OP_READ | REQ_SYNC | REQ_META);
		bio[i]->bi_private = &done;
		bio[i]->bi_end_io = wake_reader;
		submit_bio(bio[i]);
	}
	if (dev)
		err = qvault_dev_flush(dev);
	for (i = 0; i < n; i++)
		wait_for_completion_io(&done);
	for (i = 0; i < n; i++) {
		reads[i].err = blk_status_to_errno(bio[i]->bi_status);
		bio_uninit(bio[i]);
	}
	return err;
}

/* ---- Discards ---- */

/* What is under way, and whoever waits for it. */
struct discards {
	atomic_t pending;
	struct completion done;
};

static void discards_put(struct discards *d)
{
	if (atomic_dec_and_test(&d->pending))
		complete(&d->done);
}

static void discard_end_io(struct bio *bio)
{
	discards_put(bio->bi_private);
	bio_put(bio);
}

/**
 * qvault_dev_discard() - tell the data device that blocks hold nothing any more
 * @v: the vault
 * @range: ranges of blocks, none of more than a group has
 * @nr: how many
 *
 * Bios of our own, which whoever they come to splits as it needs:
 * blkdev_issue_discard() would wait for bios that everybody shares, also who waits for
 * us.
 *
 * Context: May sleep; for one caller at a time.
 */
void qvault_dev_discard(struct qvault *v, const struct qvault_range *range, u32 nr)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	struct discards d = { .pending = ATOMIC_INIT(1) };
	struct blk_plug plug;
	struct bio *bio;
	u32 i;

	if (!bdev_max_discard_sectors(v->data->bdev))
		return;
	init_completion(&d.done);
	blk_start_plug(&plug);
	for (i = 0; i < nr; i++) {
		bio = bio_alloc_bioset(v->data->bdev, 0, REQ_OP_DISCARD, GFP_NOIO,
				       &vol->discard_bios);
		bio->bi_iter.bi_sector = sector_of(range[i].block);
		bio->bi_iter.bi_size = range[i].count << QVAULT_BLOCK_SHIFT;
		bio->bi_private = &d;
		bio->bi_end_io = discard_end_io;
		atomic_inc(&d.pending);
		submit_bio(bio);
	}
	blk_finish_plug(&plug);
	discards_put(&d);
	wait_for_completion_io(&d.done);
}

/* ---- Batches ------------------------------------------------------------ */

struct qvault_batch {
	struct qvault_volume *vol;
	struct qvault_dev *dev;
	enum qvault_use use;
	struct bio *bio;		/* being filled, or NULL */
	u64 next;			/* block that would continue it */

	spinlock_t lock;		/* taken with interrupts off */
	wait_queue_head_t wait;
	u32 inflight;			/* blocks; Locking: lock */
	int err;			/* Locking: lock */
};

size_t qvault_batch_size(void)
{
	return sizeof(struct qvault_batch);
}

/**
 * qvault_batch_begin() - begin a batch of writes
 * @v: the vault
 * @dev: to which device
 * @use: whose reserve its buffers come from when memory is short
 *
 * Context: May sleep.
 * Return: The batch; never NULL.
 */
struct qvault_batch *qvault_batch_begin(struct qvault *v, struct qvault_dev *dev,
					enum qvault_use use)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	struct qvault_batch *batch = mempool_alloc(&vol->batches, GFP_NOIO);

	memset(batch, 0, sizeof(*batch));
	batch->vol = vol;
	batch->dev = dev;
	batch->use = use;
	spin_lock_init(&batch->lock);
	init_waitqueue_head(&batch->wait);
	return batch;
}

static void batch_end_io(struct bio *bio)
{
	struct qvault_batch *batch = bio->bi_private;
	int err = blk_status_to_errno(bio->bi_status);
	u32 i, blocks = bio->bi_vcnt;
	unsigned long flags;

	for (i = 0; i < blocks; i++)
		qvault_buf_put(qvault_vec_block(&bio->bi_io_vec[i]));
	bio_put(bio);

	/* Under the lock to the end: who waits frees the batch. */
	spin_lock_irqsave(&batch->lock, flags);
	if (err && !batch->err)
		batch->err = err;
	batch->inflight -= blocks;
	wake_up(&batch->wait);
	spin_unlock_irqrestore(&batch->lock, flags);
}

static void batch_submit(struct qvault_batch *batch)
{
	struct bio *bio = batch->bio;

	if (!bio)
		return;
	batch->bio = NULL;
	qvault_submit_write(batch->vol, bio);
}

/**
 * qvault_batch_buf() - get a buffer for a batch
 * @batch: the batch that it will be written by
 *
 * If there is none at once, what there is so far is submitted before waiting for
 * one: the reserve may be just that.
 *
 * Context: May sleep.
 * Return: Linear memory, contents undefined; never NULL.
 */
void *qvault_batch_buf(struct qvault_batch *batch)
{
	void *buf = qvault_buf_try();

	if (likely(buf))
		return buf;
	batch_submit(batch);
	return qvault_buf_get(&batch->vol->v, batch->use);
}

static void batch_open(struct qvault_batch *batch, u64 block)
{
	struct bio_set *bios = &batch->vol->checkpoint_bios;
	struct bio *bio;

	if (batch->use == QVAULT_USE_COMMIT)
		bios = &batch->vol->commit_bios;
	spin_lock_irq(&batch->lock);
	wait_event_lock_irq(batch->wait, batch->inflight < BATCH_LIMIT, batch->lock);
	spin_unlock_irq(&batch->lock);
	bio = bio_alloc_bioset(batch->dev->bdev, BATCH_RUN,
			       REQ_OP_WRITE | REQ_SYNC | REQ_META, GFP_NOIO, bios);
	bio->bi_iter.bi_sector = sector_of(block);
	bio->bi_end_io = batch_end_io;
	bio->bi_private = batch;
	batch->bio = bio;
}

/* Like bio_add_page() but never merges: a vector is a buffer to give back. */
static void batch_add(struct qvault_batch *batch, void *buf)
{
	struct bio *bio = batch->bio;

	__bio_add_page(bio, virt_to_page(buf), QVAULT_BLOCK_SIZE, offset_in_page(buf));
	spin_lock_irq(&batch->lock);
	batch->inflight++;
	spin_unlock_irq(&batch->lock);
}

/**
 * qvault_batch_write() - write a block
 * @batch: as part of this
 * @block: where to
 * @buf: from qvault_batch_buf(); is given back when the write has ended
 *
 * Blocks that follow each other become one bio, which is submitted when it is
 * full, when another block comes, or by qvault_batch_wait().
 *
 * Context: May sleep.
 */
void qvault_batch_write(struct qvault_batch *batch, u64 block, void *buf)
{
	if (batch->bio && block != batch->next)
		batch_submit(batch);
	if (!batch->bio)
		batch_open(batch, block);
	batch_add(batch, buf);
	batch->next = block + 1;
	if (batch->bio->bi_vcnt == BATCH_RUN)
		batch_submit(batch);
}

/**
 * qvault_batch_wait() - wait for all writes of a batch so far
 * @batch: the batch
 *
 * Context: May sleep.
 * Return: 0, or the first error since the batch began.
 */
int qvault_batch_wait(struct qvault_batch *batch)
{
	int err;

	batch_submit(batch);
	spin_lock_irq(&batch->lock);
	wait_event_lock_irq(batch->wait, !batch->inflight, batch->lock);
	err = batch->err;
	spin_unlock_irq(&batch->lock);
	return err;
}

/**
 * qvault_batch_end() - wait for a batch and free it
 * @batch: the batch
 *
 * Context: May sleep.
 */
void qvault_batch_end(struct qvault_batch *batch)
{
	qvault_batch_wait(batch);
	mempool_free(batch, &batch->vol->batches);
}
