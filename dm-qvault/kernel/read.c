// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a read: look up, read into pages of our own, and block by block
 * copy to memory that the device cannot reach, verify and decrypt from there.
 * Nothing reaches the bio that has not been verified.
 */
#include <linux/highmem.h>
#include <linux/sched/mm.h>

#include "platform.h"

/* The pointers of a bio's blocks. */
struct read_map {
	bool pooled;
	struct qvault_ptr ptr[];
};

static size_t map_size(u32 count)
{
	return sizeof(struct read_map) + count * sizeof(struct qvault_ptr);
}

size_t qvault_read_size(void)
{
	return map_size(QVAULT_IO_BLOCKS);
}

static struct read_map *map_alloc(struct qvault_volume *vol, u32 count)
{
	struct read_map *map;

	map = qvault_kmalloc(map_size(count), GFP_NOWAIT | __GFP_NOWARN);
	if (likely(map)) {
		map->pooled = false;
		return map;
	}
	map = mempool_alloc(&vol->reads, GFP_NOIO);
	map->pooled = true;
	return map;
}

/**
 * qvault_read_free() - free what a read has allocated
 * @io: its life, at the end
 *
 * Context: Any.
 */
void qvault_read_free(struct qvault_io *io)
{
	struct read_map *map = io->map;

	if (map && map->pooled)
		mempool_free(map, &io->vol->reads);
	else
		kfree(map);
	io->map = NULL;
}

/* ---- Verify and decrypt ------------------------------------------------- */

static void flush_block(struct bio *bio, struct bvec_iter iter)
{
	struct bio_vec vec;

	iter.bi_size = QVAULT_BLOCK_SIZE;
	while (iter.bi_size) {
		vec = bio_iter_iovec(bio, iter);
		flush_dcache_page(vec.bv_page);
		bio_advance_iter_single(bio, &iter, vec.bv_len);
	}
}

static int unseal_into(struct qvault_io *io, u32 i, u32 n,
		       const struct qvault_ptr *ptr, const void *const cipher[],
		       struct qvault_scratch *scratch)
{
	void *block[QVAULT_MAX_SEAL], *plain[QVAULT_MAX_SEAL], *copy[QVAULT_MAX_SEAL];
	struct bio *bio = qvault_io_bio(io);
	int err;
	u32 k;

	for (k = 0; k < n; k++) {
		block[k] = qvault_bio_block(bio, qvault_io_iter(io, i + k));
		copy[k] = scratch->block[k];
		plain[k] = block[k] ?: copy[k];
	}
	err = qvault_unseal_blocks(&io->vol->v, QVAULT_KIND_DATA, io->logical + i, n,
				   ptr, cipher, plain, copy);
	for (k = 0; k < n; k++) {
		if (!err && block[k])
			flush_block(bio, qvault_io_iter(io, i + k));
		else if (!err)
			qvault_bio_scatter(bio, qvault_io_iter(io, i + k), copy[k]);
		if (!block[k])
			memzero_explicit(copy[k], QVAULT_BLOCK_SIZE);
	}
	return err;
}

static int unseal_run(struct qvault_run *run)
{
	struct qvault_io *io = run->owner;
	const struct read_map *map = io->map;
	const void *cipher[QVAULT_MAX_SEAL];
	struct qvault_scratch *scratch;
	u32 i, k, n, block;
	int err = 0;

	scratch = mempool_alloc(&io->vol->scratch, GFP_NOIO);
	for (i = 0; i < run->count && !err; i += n) {
		n = min(run->count - i, QVAULT_MAX_SEAL);
		for (k = 0; k < n; k++)
			cipher[k] = qvault_vec_block(&run->bio.bi_io_vec[i + k]);
		block = run->first + i;
		err = unseal_into(io, block, n, &map->ptr[block], cipher, scratch);
	}
	mempool_free(scratch, &io->vol->scratch);
	return err;
}

/* ---- Blocks that do not verify ------------------------------------------- */

/* Scratch is held while computing, and not while waiting for a device. */
static int unseal_one(struct qvault_io *io, u32 i, const void *cipher)
{
	const struct read_map *map = io->map;
	struct qvault_scratch *scratch;
	int err;

	scratch = mempool_alloc(&io->vol->scratch, GFP_NOIO);
	err = unseal_into(io, i, 1, &map->ptr[i], &cipher, scratch);
	mempool_free(scratch, &io->vol->scratch);
	return err;
}

/*
 * The tag of block @i does not match.  If the block has moved since it was looked
 * up, its old place may hold anything by now, and it is read again from the new
 * one.  If it has not, the device gave back what was never written.
 */
static int look_again(struct qvault_io *io, u32 i, void *cipher)
{
	struct qvault_volume *vol = io->vol;
	struct read_map *map = io->map;
	struct qvault_ptr ptr;
	int err;

	err = qvault_lookup(&vol->v, io->logical + i, 1, &ptr);
	if (err)
		return err;
	if (ptr.version == map->ptr[i].version)
		return qvault_corrupt(&vol->v, QVAULT_KIND_DATA, io->logical + i);
	map->ptr[i] = ptr;
	if (ptr.version)
		return qvault_dev_read(&vol->data, ptr.where,
				       cipher);
	qvault_bio_zero(qvault_io_bio(io), qvault_io_iter(io, i), QVAULT_BLOCK_SIZE);
	return 0;
}

static int read_again(struct qvault_io *io, u32 i, void *cipher)
{
	const struct read_map *map = io->map;
	int err;

	err = unseal_one(io, i, cipher);
	while (err == -EILSEQ) {
		err = look_again(io, i, cipher);
		if (err || !map->ptr[i].version)
			return err;
		err = unseal_one(io, i, cipher);
	}
	return err;
}

/* ---- End ----------------------------------------------------------------- */

static void run_put(struct qvault_run *run, int err)
{
	struct qvault_io *io = run->owner;

	qvault_run_free(&io->vol->in, run);
	qvault_io_put(io, err);
}

/* Of blocks that did not all verify, each by itself. */
static void run_again_work(struct work_struct *work)
{
	struct qvault_run *run = container_of(work, struct qvault_run, work);
	unsigned int noio = memalloc_noio_save();
	int err = 0;
	u32 i;

	for (i = 0; i < run->count && !err; i++)
		err = read_again(run->owner, run->first + i,
				 qvault_vec_block(&run->bio.bi_io_vec[i]));
	run_put(run, err);
	memalloc_noio_restore(noio);
}

/*
 * An end waits for the processor only, since others wait for it; who has to look
 * again waits for devices, so that is done elsewhere.
 */
static void run_end_work(struct work_struct *work)
{
	struct qvault_run *run = container_of(work, struct qvault_run, work);
	struct qvault_io *io = run->owner;
	unsigned int noio = memalloc_noio_save();
	int err = blk_status_to_errno(run->bio.bi_status);

	if (!err)
		err = unseal_run(run);
	if (unlikely(err == -EILSEQ)) {
		INIT_WORK(&run->work, run_again_work);
		queue_work(io->vol->again_wq, &run->work);
	} else {
		run_put(run, err);
	}
	memalloc_noio_restore(noio);
}

static void run_end_io(struct bio *bio)
{
	struct qvault_run *run = qvault_run_of(bio);
	struct qvault_io *io = run->owner;

	INIT_WORK(&run->work, run_end_work);
	queue_work(io->vol->end_wq, &run->work);
}

/* ---- Start -------------------------------------------------------------- */

static void read_run(struct qvault_io *io, u32 first, u32 count)
{
	const struct read_map *map = io->map;
	struct bio *bio = qvault_io_bio(io);
	struct qvault_span span = {
		.vol = io->vol,
		.lane = &io->vol->in,
		.owner = io,
		.pending = &io->pending,
		.block = map->ptr[first].where,
		.first = first,
		.end = first + count,
		.opf = REQ_OP_READ | (bio->bi_opf & (REQ_SYNC | REQ_IDLE | REQ_PRIO)),
		.ioprio = bio->bi_ioprio,
		.end_io = run_end_io,
	};
	void *unused;
	u32 i;

	for (i = first; i < first + count; i++)
		qvault_span_add(&span, i, 1, &unused);
	qvault_span_submit(&span);
}

/* Blocks from @first on that are all unmapped, or follow each other. */
static u32 run_length(const struct read_map *map, u32 first, u32 end)
{
	const struct qvault_ptr *ptr = &map->ptr[first];
	u32 n = 1;

	if (!ptr->version) {
		while (first + n < end && !ptr[n].version)
			n++;
		return n;
	}
	while (first + n < end && ptr[n].version &&
	       ptr[n].where == ptr->where + n)
		n++;
	return n;
}

static int read_runs(struct qvault_io *io)
{
	struct read_map *map = io->map;
	u32 first, count;
	int err;

	err = qvault_lookup(&io->vol->v, io->logical, io->count, map->ptr);
	if (err)
		return err;
	atomic64_add(io->count, &io->vol->v.counters.reads);
	for (first = 0; first < io->count; first += count) {
		count = run_length(map, first, io->count);
		if (map->ptr[first].version)
			read_run(io, first, count);
		else
			qvault_bio_zero(qvault_io_bio(io),
					qvault_io_iter(io, first),
					count << QVAULT_BLOCK_SHIFT);
	}
	return 0;
}

/**
 * qvault_read_work() - read a bio
 * @work: of its struct qvault_io
 *
 * Context: A thread that may wait for the devices.
 */
void qvault_read_work(struct work_struct *work)
{
	struct qvault_io *io = container_of(work, struct qvault_io, work);
	unsigned int noio = memalloc_noio_save();

	io->map = map_alloc(io->vol, io->count);
	qvault_io_put(io, read_runs(io));
	memalloc_noio_restore(noio);
}
