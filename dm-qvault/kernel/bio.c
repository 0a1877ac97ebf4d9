// SPDX-License-Identifier: GPL-2.0
/*
 * Where a bio comes in and where it ends, and the bios of ours in between.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/highmem.h>
#include <linux/wait_bit.h>

#include "platform.h"

/* ---- A block inside a bio ----------------------------------------------- */

/**
 * qvault_bio_block() - see a block of a bio as linear memory
 * @bio: the bio
 * @iter: where the block begins
 *
 * A bio is made of segments of any size at any offset, so a block may be in
 * several; most often it is one whole page.
 *
 * Context: Any.
 * Return: The block's memory, or NULL if it has to be gathered or scattered.
 */
void *qvault_bio_block(struct bio *bio, struct bvec_iter iter)
{
	struct bio_vec vec = mp_bvec_iter_bvec(bio->bi_io_vec, iter);

	if (vec.bv_len < QVAULT_BLOCK_SIZE || PageHighMem(vec.bv_page))
		return NULL;
	return page_address(vec.bv_page) + vec.bv_offset;
}

/**
 * qvault_bio_gather() - copy a block out of a bio
 * @bio: the bio
 * @iter: where the block begins
 * @to: a block
 *
 * Context: Any.
 */
void qvault_bio_gather(struct bio *bio, struct bvec_iter iter, void *to)
{
	struct bio_vec vec;

	iter.bi_size = QVAULT_BLOCK_SIZE;
	while (iter.bi_size) {
		vec = bio_iter_iovec(bio, iter);
		memcpy_from_bvec(to, &vec);
		to += vec.bv_len;
		bio_advance_iter_single(bio, &iter, vec.bv_len);
	}
}

/**
 * qvault_bio_scatter() - copy a block into a bio
 * @bio: the bio
 * @iter: where the block begins
 * @from: a block
 *
 * Context: Any.
 */
void qvault_bio_scatter(struct bio *bio, struct bvec_iter iter, const void *from)
{
	struct bio_vec vec;

	iter.bi_size = QVAULT_BLOCK_SIZE;
	while (iter.bi_size) {
		vec = bio_iter_iovec(bio, iter);
		memcpy_to_bvec(&vec, from);
		from += vec.bv_len;
		bio_advance_iter_single(bio, &iter, vec.bv_len);
	}
}

/**
 * qvault_bio_zero() - write zeros into a bio
 * @bio: the bio
 * @iter: where they begin
 * @bytes: how many
 *
 * Context: Any.
 */
void qvault_bio_zero(struct bio *bio, struct bvec_iter iter, u32 bytes)
{
	struct bio_vec vec;

	iter.bi_size = bytes;
	while (iter.bi_size) {
		vec = bio_iter_iovec(bio, iter);
		memzero_bvec(&vec);
		bio_advance_iter_single(bio, &iter, vec.bv_len);
	}
}

/* ---- Runs --------------------------------------------------------------- */

static struct qvault_run *run_begin(struct qvault_span *span, u32 i)
{
	struct qvault_dev *dev = &span->vol->data;
	struct qvault_run *run;
	struct bio *bio;

	bio = bio_alloc_bioset(dev->bdev, span->end - i, span->opf, GFP_NOIO,
			       &span->lane->bios);
	bio->bi_iter.bi_sector = (span->block + i - span->first) *
				 QVAULT_SECTORS;
	bio->bi_end_io = span->end_io;
	bio->bi_ioprio = span->ioprio;
	run = qvault_run_of(bio);
	run->owner = span->owner;
	run->first = i;
	run->count = 0;
	atomic_inc(span->pending);
	return run;
}

/*
 * Memory of a block within the lane's budget, or NULL.  Who comes at the same time may
 * overdraw it by one each, which is little.
 */
static void *try_block(struct qvault_lane *lane, gfp_t gfp)
{
	void *block;

	if (atomic_read(&lane->nr_blocks) >= lane->max_blocks)
		return NULL;
	block = mempool_alloc(&lane->blocks, gfp);
	if (block)
		atomic_inc(&lane->nr_blocks);
	return block;
}

/* The same, waiting for those that are out: the device gives them back. */
static void *wait_block(struct qvault_lane *lane)
{
	void *block;

	do {
		wait_event(lane->wait,
			   atomic_read(&lane->nr_blocks) < lane->max_blocks);
		block = try_block(lane, GFP_NOIO);
	} while (!block);
	return block;
}

static void free_block_of(struct qvault_lane *lane, void *block)
{
	mempool_free(block, &lane->blocks);
	atomic_dec(&lane->nr_blocks);
}

static void *run_add(struct qvault_span *span, void *block)
{
	/* Unlike bio_add_page() this never merges: a vector is a block. */
	__bio_add_page(&span->run->bio, virt_to_page(block), QVAULT_BLOCK_SIZE,
		       offset_in_page(block));
	span->run->count++;
	return block;
}

/**
 * qvault_span_add() - get memory for the next blocks of a span
 * @span: the span; its blocks are added in order
 * @i: the first of them, counted as in the owner
 * @n: how many would be welcome, at least 1
 * @block: set to linear memory, part of @span->run, one for each block
 *
 * If there is none at once, what there is so far is submitted before waiting
 * for it: memory comes back only from the device.  With one in hand there is no
 * waiting for the next.
 *
 * Context: May sleep.
 * Return: How many there are, 1..n.
 */
u32 qvault_span_add(struct qvault_span *span, u32 i, u32 n, void *block[])
{
	void *next;
	u32 got = 0;

	while (got < n) {
		next = span->run ? try_block(span->lane, GFP_NOWAIT | __GFP_NOWARN) : NULL;
		if (!next && got)
			break;
		if (!next) {
			qvault_span_submit(span);
			next = wait_block(span->lane);
			span->run = run_begin(span, i);
		}
		block[got++] = run_add(span, next);
	}
	return got;
}

/**
 * qvault_span_submit() - submit the run that is being filled
 * @span: with a run or without
 *
 * Context: May sleep.
 */
void qvault_span_submit(struct qvault_span *span)
{
	struct qvault_run *run = span->run;

	span->run = NULL;
	if (!run)
		return;
	if (op_is_write(bio_op(&run->bio)))
		qvault_submit_write(span->vol, &run->bio);
	else
		submit_bio(&run->bio);
}

/**
 * qvault_span_drop() - give up the run that is being filled
 * @span: with a run or without
 *
 * Context: Any.  The caller still holds a count of span->pending.
 */
void qvault_span_drop(struct qvault_span *span)
{
	if (!span->run)
		return;
	qvault_run_free(span->lane, span->run);
	span->run = NULL;
	atomic_dec(span->pending);
}

/**
 * qvault_run_free() - free a run and its memory
 * @lane: that it was made for
 * @run: ended or never submitted
 *
 * Context: Any.
 */
void qvault_run_free(struct qvault_lane *lane, struct qvault_run *run)
{
	struct bio *bio = &run->bio;
	u32 i;

	for (i = 0; i < run->count; i++)
		free_block_of(lane, qvault_vec_block(&bio->bi_io_vec[i]));
	bio_put(bio);
	if (wq_has_sleeper(&lane->wait))
		wake_up(&lane->wait);
}

/* ---- In and out --------------------------------------------------------- */

/**
 * qvault_bio_end() - end a bio that dm gave us
 * @vol: the target
 * @bio: the bio
 * @status: how it ended
 *
 * Context: Any.  Once no bio is in flight @vol may go away.
 */
void qvault_bio_end(struct qvault_volume *vol, struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
	if (atomic_dec_and_test(&vol->inflight))
		wake_up_var(&vol->inflight);
}

static bool ends_with_commit(const struct bio *bio)
{
	/* dm sends the flush of a PREFLUSH write first; one that came here is safe. */
	if (bio->bi_opf & (REQ_FUA | REQ_PREFLUSH))
		return true;
	return op_is_write(bio_op(bio)) && qvault_write_through();
}

/**
 * qvault_io_put() - end one part of a bio
 * @io: its life
 * @err: 0, or a negative errno with which the whole bio will end
 *
 * Context: Process.  May free @io.
 */
void qvault_io_put(struct qvault_io *io, int err)
{
	struct qvault_volume *vol = io->vol;
	struct bio *bio = qvault_io_bio(io);

	if (unlikely(err))
		WRITE_ONCE(io->status, errno_to_blk_status(err));
	if (!atomic_dec_and_test(&io->pending))
		return;
	if (!op_is_write(bio_op(bio)))
		qvault_read_free(io);
	else if (!io->status)
		qvault_flush_arm(vol);
	if (ends_with_commit(bio) && !io->status)
		qvault_flush_bio(vol, bio);
	else
		qvault_bio_end(vol, bio, io->status);
}

/* What is asked of a vault that knows it; the block layer asks for nothing else. */
static bool known(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
	case REQ_OP_FLUSH:
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		return true;
	default:
		return false;
	}
}

static bool aligned(struct qvault_volume *vol, struct bio *bio)
{
	if (likely(!((bio->bi_iter.bi_sector | bio_sectors(bio)) &
		     (QVAULT_SECTORS - 1))))
		return true;
	DMERR_LIMIT("%s: I/O of %u sectors at %llu is not in blocks of %u bytes",
		    dm_device_name(vol->md), bio_sectors(bio),
		    (unsigned long long)bio->bi_iter.bi_sector,
		    QVAULT_BLOCK_SIZE);
	return false;
}

static void start(struct qvault_volume *vol, struct bio *bio,
		  struct workqueue_struct *wq, work_func_t func)
{
	struct qvault_io *io = dm_per_bio_data(bio, sizeof(*io));

	io->vol = vol;
	io->iter = bio->bi_iter;
	/* The target is alone in its table, and so begins where that does. */
	io->logical = bio->bi_iter.bi_sector / QVAULT_SECTORS;
	io->count = bio_sectors(bio) / QVAULT_SECTORS;
	atomic_set(&io->pending, 1);
	io->status = BLK_STS_OK;
	io->map = NULL;
	INIT_WORK(&io->work, func);
	queue_work(wq, &io->work);
}

static bool writable(struct qvault_volume *vol)
{
	return !qvault_may_write(&vol->v);
}

/**
 * qvault_map_bio() - take a bio from dm
 * @vol: the target
 * @bio: the bio
 *
 * All the work is done in threads: the crypto needs them, and here nothing may
 * wait.
 *
 * Context: As dm's map(): may not wait for other bios.
 * Return: DM_MAPIO_SUBMITTED or DM_MAPIO_KILL.
 */
int qvault_map_bio(struct qvault_volume *vol, struct bio *bio)
{
	if (!known(bio) || !aligned(vol, bio))
		return DM_MAPIO_KILL;
	if (op_is_write(bio_op(bio)) && bio_sectors(bio) &&
	    (!writable(vol) || qvault_is_image(vol, bio)))
		return DM_MAPIO_KILL;

	atomic_inc(&vol->inflight);
	if (!bio_sectors(bio))
		qvault_flush_bio(vol, bio);
	else if (bio_op(bio) == REQ_OP_READ)
		start(vol, bio, vol->read_wq, qvault_read_work);
	else if (bio_op(bio) == REQ_OP_WRITE)
		start(vol, bio, vol->write_wq, qvault_write_work);
	else
		start(vol, bio, vol->write_wq, qvault_unmap_work);
	return DM_MAPIO_SUBMITTED;
}
