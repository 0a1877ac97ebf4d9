// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a write: admission, sealing into pages of our own, one bio for
 * each run of blocks that follow each other on the device, and once all of them
 * have ended, the new pointers.  The old blocks stay as they are.
 */
#include <linux/sched/mm.h>

#include "platform.h"

/* What one qvault_write_begin() admits of a bio. */
struct write_chunk {
	struct work_struct work;
	struct qvault_io *io;
	u32 first;			/* block in the bio */
	bool pooled;
	atomic_t pending;		/* runs, and one for who starts them */
	int err;			/* of the first run that failed */
	struct qvault_write w;		/* last: its pointers follow */
};

static size_t chunk_size(u32 count)
{
	return sizeof(struct write_chunk) + count * sizeof(struct qvault_ptr);
}

size_t qvault_write_size(void)
{
	return chunk_size(QVAULT_IO_BLOCKS);
}

static struct write_chunk *chunk_alloc(struct qvault_volume *vol, u32 count)
{
	struct write_chunk *chunk;

	chunk = qvault_kmalloc(chunk_size(count), GFP_NOWAIT | __GFP_NOWARN);
	if (likely(chunk)) {
		chunk->pooled = false;
		return chunk;
	}
	chunk = mempool_alloc(&vol->writes, GFP_NOIO);
	chunk->pooled = true;
	return chunk;
}

static void chunk_free(struct qvault_volume *vol, struct write_chunk *chunk)
{
	if (chunk->pooled)
		mempool_free(chunk, &vol->writes);
	else
		kfree(chunk);
}

static void chunk_end_work(struct work_struct *work)
{
	struct write_chunk *chunk = container_of(work, struct write_chunk, work);
	struct qvault_io *io = chunk->io;
	struct qvault_volume *vol = io->vol;
	unsigned int noio = memalloc_noio_save();
	int err;

	err = qvault_write_end(&vol->v, &chunk->w, chunk->err);
	chunk_free(vol, chunk);
	qvault_io_put(io, err);
	memalloc_noio_restore(noio);
}

/* The engine is told in a thread of its own: it may sleep, a bio's end may not. */
static void chunk_put(struct write_chunk *chunk)
{
	if (atomic_dec_and_test(&chunk->pending))
		queue_work(chunk->io->vol->end_wq, &chunk->work);
}

static void run_end_io(struct bio *bio)
{
	struct qvault_run *run = qvault_run_of(bio);
	struct write_chunk *chunk = run->owner;

	if (unlikely(bio->bi_status))
		WRITE_ONCE(chunk->err, blk_status_to_errno(bio->bi_status));
	qvault_run_free(&chunk->io->vol->out, run);
	chunk_put(chunk);
}

/*
 * The bio's pages are read exactly once, by the cipher or by the copy: whoever
 * writes to them meanwhile changes what is stored, never whether it verifies.
 */
static int seal_blocks(struct write_chunk *chunk, u32 i, u32 n, void *const cipher[])
{
	struct qvault_io *io = chunk->io;
	struct bio *bio = qvault_io_bio(io);
	const void *plain[QVAULT_MAX_SEAL];
	struct qvault_scratch *scratch = NULL;
	struct bvec_iter iter;
	int err;
	u32 k;

	for (k = 0; k < n; k++) {
		iter = qvault_io_iter(io, chunk->first + i + k);
		plain[k] = qvault_bio_block(bio, iter);
		if (likely(plain[k]))
			continue;
		if (!scratch)
			scratch = mempool_alloc(&io->vol->scratch, GFP_NOIO);
		qvault_bio_gather(bio, iter, scratch->block[k]);
		plain[k] = scratch->block[k];
	}
	err = qvault_seal_blocks(&io->vol->v, QVAULT_KIND_DATA, chunk->w.logical + i, n,
				 &chunk->w.ptr[i], plain, cipher);
	/* Not kept for the next blocks: who holds it must not wait for pages. */
	if (scratch) {
		memzero_explicit(scratch, sizeof(*scratch));
		mempool_free(scratch, &io->vol->scratch);
	}
	return err;
}

static u32 run_length(const struct qvault_write *w, u32 first)
{
	u32 n = 1;

	while (first + n < w->count &&
	       w->ptr[first + n].where == w->ptr[first].where + n)
		n++;
	return n;
}

static int write_run(struct write_chunk *chunk, u32 first, u32 count)
{
	struct bio *bio = qvault_io_bio(chunk->io);
	struct qvault_span span = {
		.vol = chunk->io->vol,
		.lane = &chunk->io->vol->out,
		.owner = chunk,
		.pending = &chunk->pending,
		.block = chunk->w.ptr[first].where,
		.first = first,
		.end = first + count,
		.opf = REQ_OP_WRITE | (bio->bi_opf & (REQ_SYNC | REQ_IDLE)),
		.ioprio = bio->bi_ioprio,
		.end_io = run_end_io,
	};
	void *cipher[QVAULT_MAX_SEAL];
	int err = 0;
	u32 i, n;

	for (i = first; i < first + count && !err; i += n) {
		n = qvault_span_add(&span, i, min(first + count - i, QVAULT_MAX_SEAL),
				    cipher);
		err = seal_blocks(chunk, i, n, cipher);
	}
	if (err)
		qvault_span_drop(&span);
	else
		qvault_span_submit(&span);
	return err;
}

static void write_runs(struct write_chunk *chunk)
{
	u32 first = 0, count;
	int err = 0;

	while (first < chunk->w.count && !err) {
		count = run_length(&chunk->w, first);
		err = write_run(chunk, first, count);
		first += count;
	}
	if (err)
		WRITE_ONCE(chunk->err, err);
}

/* Admits and starts blocks from @first on; says in @count how many. */
static int write_chunk(struct qvault_io *io, u32 first, u32 *count)
{
	u32 want = min(io->count - first, QVAULT_IO_BLOCKS);
	struct write_chunk *chunk = chunk_alloc(io->vol, want);
	int err;

	chunk->w.logical = io->logical + first;
	chunk->w.count = want;
	err = qvault_write_begin(&io->vol->v, &chunk->w);
	if (err) {
		chunk_free(io->vol, chunk);
		return err;
	}
	*count = chunk->w.count;
	INIT_WORK(&chunk->work, chunk_end_work);
	chunk->io = io;
	chunk->first = first;
	chunk->err = 0;
	atomic_set(&chunk->pending, 1);
	atomic_inc(&io->pending);
	write_runs(chunk);
	chunk_put(chunk);
	return 0;
}

/**
 * qvault_write_work() - write a bio
 * @work: of its struct qvault_io
 *
 * Context: A thread that may wait until there is room.
 */
void qvault_write_work(struct work_struct *work)
{
	struct qvault_io *io = container_of(work, struct qvault_io, work);
	unsigned int noio = memalloc_noio_save();
	u32 first = 0, count = 0;
	int err = 0;

	while (first < io->count && !err) {
		err = write_chunk(io, first, &count);
		first += count;
	}
	qvault_io_put(io, err);
	memalloc_noio_restore(noio);
}

/**
 * qvault_unmap_work() - do a discard or a write of zeros
 * @work: of the bio's struct qvault_io
 *
 * Context: A thread that may wait until there is room.
 */
void qvault_unmap_work(struct work_struct *work)
{
	struct qvault_io *io = container_of(work, struct qvault_io, work);
	unsigned int noio = memalloc_noio_save();

	qvault_io_put(io, qvault_unmap(&io->vol->v, io->logical, io->count));
	memalloc_noio_restore(noio);
}
