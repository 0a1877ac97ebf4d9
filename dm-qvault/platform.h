/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's side of a vault: a dm target with its devices, threads and
 * reserves.  The engine (qvault.h) sees of it only struct qvault_dev and the
 * functions at the end of that header.
 *
 * Threads.  Each kind of work has a queue of its own with its own rescuer,
 * since one may wait for another but never in a circle:
 *
 *	write_wq	writes, discards	wait for room: commit, checkpoint
 *	read_wq		reads, readahead	wait for the devices only
 *	end_wq		ends of data I/O	wait for the devices only
 *	commit_wq	flushes, FUA		wait for the devices only
 *	checkpoint_wq	checkpoints		wait for commits and the devices
 *
 * Reserves.  Whoever waits for a page holds no page that is not already on its
 * way to a device, so pages always come back.  What is taken after a device
 * answered (scratch, cipher requests) comes from reserves of its own and is
 * held for no longer than it takes to compute.
 */
#ifndef QVAULT_PLATFORM_H
#define QVAULT_PLATFORM_H

#include <linux/bio.h>
#include <linux/crypto.h>
#include <linux/device-mapper.h>
#include <linux/mempool.h>
#include <linux/ratelimit.h>
#include <linux/workqueue.h>

#include "args.h"
#include "compat.h"
#include "qvault.h"

#define DM_MSG_PREFIX "qvault"

/*
 * Most blocks of one bio; dm splits larger ones.  Each is sealed or verified by
 * one thread, so 1 MiB keeps four of them busy and is still only four bios for
 * the device.
 */
#define QVAULT_IO_BLOCKS	64u
static_assert(QVAULT_IO_BLOCKS <= QVAULT_MAX_RUN);

/* Works of a kind that run at a time: as many as the kernel likes. */
#ifdef QVAULT_FAMINE
#define QVAULT_WORKERS	1
#else
#define QVAULT_WORKERS	0
#endif

/* A device that a vault uses; at most one vault may use it at a time. */
struct qvault_claim {
	struct list_head list;		/* Locking: registry.c */
	dev_t dev;
	const void *owner;		/* a mapped device; NULL: not claimed */
};

struct qvault_dev {
	struct dm_dev *dm_dev;		/* NULL: there is none */
	struct block_device *bdev;
	struct qvault_claim claim;
};

/*
 * What bios of ours take in one direction.  Reads have one and writes another, so
 * that neither waits for the other.
 */
struct qvault_lane {
	struct bio_set bios;		/* front pad: struct qvault_run */
	mempool_t pages;		/* ciphertext on its way */
	atomic_t nr_pages;		/* of them that are out */
	u32 max_pages;			/* an eighth of the vault's memory */
	wait_queue_head_t wait;		/* until fewer are out */
};

/* A leaf to be read ahead. */
struct qvault_ahead {
	struct qvault_volume *vol;
	struct work_struct work;
	u64 leaf;			/* no lock: torn, it is a wrong guess */
};

struct qvault_volume {
	struct qvault v;
	struct dm_target *ti;
	struct qvault_args args;
	struct qvault_dev data;
	struct qvault_dev anchor;

	struct workqueue_struct *write_wq;
	struct workqueue_struct *read_wq;
	struct workqueue_struct *end_wq;
	struct workqueue_struct *again_wq;
	struct workqueue_struct *commit_wq;
	struct workqueue_struct *checkpoint_wq;

	struct qvault_lane in;		/* for reads */
	struct qvault_lane out;		/* for writes */
	mempool_t scratch;		/* struct qvault_scratch */
	mempool_t writes;		/* of QVAULT_IO_BLOCKS */
	mempool_t reads;		/* of QVAULT_IO_BLOCKS */
	mempool_t batches;		/* one for commits, one for checkpoints */
	struct bio_set commit_bios;	/* of their batches */
	struct bio_set checkpoint_bios;
	mempool_t buffers[QVAULT_NR_USES];	/* the engine's */
	bool engine;			/* qvault_init() was called */

	/* Attach, detach and messages exclude each other. */
	struct mutex life_mutex;
	bool attached;			/* Locking: life_mutex */
	/*
	 * Whether the threads may start work by themselves.  Read without a
	 * lock: who clears it flushes the queues afterwards.
	 */
	bool active;

	/* Bios between map() and their end. */
	atomic_t inflight;

	spinlock_t flush_lock;		/* protects flushes, nr_flushes */
	struct bio_list flushes;	/* that wait for a commit */
	u32 nr_flushes;			/* of them */
	wait_queue_head_t flush_wait;	/* until there are more */
	/* For the next commit, by the last one; only their thread uses them. */
	u32 flushes_expected;
	u32 wait_not;			/* commits that do not wait for others */
	u64 commit_ns;			/* how long the last one took */
	struct work_struct commit_work;
	struct delayed_work commit_timer;
	struct work_struct checkpoint_work;
	struct qvault_ahead ahead[QVAULT_LEAVES_AHEAD];

	struct ratelimit_state events;
};

static inline struct qvault_volume *qvault_volume_of(struct qvault *v)
{
	return container_of(v, struct qvault_volume, v);
}

/*
 * Linear memory that no device can reach, for blocks that are sealed or unsealed
 * together.  Whoever had plaintext in it wipes it: what is freed next goes to
 * whoever asks for memory.
 */
struct qvault_scratch {
	u8 block[QVAULT_MAX_SEAL][QVAULT_BLOCK_SIZE];
};

/* The life of a bio that dm gave us: dm's per-bio data. */
struct qvault_io {
	struct qvault_volume *vol;
	struct work_struct work;
	struct bvec_iter iter;		/* where its data begin */
	u64 logical;			/* first block, in the vault */
	u32 count;			/* blocks */
	atomic_t pending;		/* parts, and one for who starts them */
	blk_status_t status;		/* of the first part that failed */
	void *map;			/* read.c */
};

/* A bio of ours over blocks that follow each other on the data device. */
struct qvault_run {
	struct work_struct work;
	void *owner;			/* a chunk (write.c) or an io (read.c) */
	u32 first;			/* block in the owner */
	u32 count;
	struct bio bio;			/* last: see bioset_init() */
};

static inline struct qvault_run *qvault_run_of(struct bio *bio)
{
	return container_of(bio, struct qvault_run, bio);
}

/* ---- registry.c --------------------------------------------------------- */

int qvault_claim(struct qvault_claim *claim, dev_t dev, const void *owner);
void qvault_unclaim(struct qvault_claim *claim);
bool qvault_claimed(dev_t dev, const void *except);

/* ---- hmac.c ------------------------------------------------------------- */

#define QVAULT_HMAC_KEY_SIZE	32

struct qvault_hmac;

struct qvault_hmac *qvault_hmac_new(bool pairs);
void qvault_hmac_free(struct qvault_hmac *h);
int qvault_hmac_setkey(struct qvault_hmac *h, const u8 *key);
int qvault_hmac_mac(struct qvault_hmac *h, u32 n, const struct qvault_disk_seal head[],
		    const void *const data[], u8 tag[][QVAULT_TAG_SIZE]);

/* ---- ghash.c ------------------------------------------------------------- */

#define QVAULT_GHASH_KEY_SIZE	16

struct qvault_ghash;

struct qvault_ghash *qvault_ghash_new(void);
void qvault_ghash_free(struct qvault_ghash *g);
int qvault_ghash_setkey(struct qvault_ghash *g, const u8 *hash_key,
			const u8 *cipher_key);
int qvault_ghash_mac(struct qvault_ghash *g, const struct qvault_disk_seal *head,
		     const void *data, u8 tag[QVAULT_TAG_SIZE]);

/* ---- crypto.c, key.c ---------------------------------------------------- */

/*
 * What a driver must not be: one that allocates memory for each request, since
 * it may be this request that memory waits for; nor one for a device apart, for
 * which single blocks that are waited for are the worst case.
 */
#define QVAULT_CRYPTO_UNWANTED	(CRYPTO_ALG_ALLOCATES_MEMORY | \
				 CRYPTO_ALG_KERN_DRIVER_ONLY)

struct qvault_crypto *qvault_crypto_new(const u8 master[QVAULT_MASTER_KEY_SIZE]);
void qvault_crypto_free(struct qvault_crypto *crypto);
int qvault_key_get(const struct qvault_args *args,
		   u8 master[QVAULT_MASTER_KEY_SIZE], char **error);

/* ---- io.c, pool.c ------------------------------------------------------- */

int qvault_pools_init(struct qvault_volume *vol);
void qvault_pools_limit(struct qvault_volume *vol, u32 memory_mib);
void qvault_pools_exit(struct qvault_volume *vol);
size_t qvault_batch_size(void);

/* ---- bio.c -------------------------------------------------------------- */

/* Blocks that follow each other on the data device, being cut into runs. */
struct qvault_span {
	struct qvault_volume *vol;
	struct qvault_lane *lane;
	void *owner;			/* becomes that of the runs */
	atomic_t *pending;		/* counts them */
	u64 block;			/* on the device, of block @first */
	u32 first;			/* in the owner */
	u32 end;			/* exclusive */
	blk_opf_t opf;
	u16 ioprio;
	bio_end_io_t *end_io;
	struct qvault_run *run;		/* being filled, or NULL */
};

u32 qvault_span_add(struct qvault_span *span, u32 i, u32 n, void *block[]);
void qvault_span_submit(struct qvault_span *span);
void qvault_span_drop(struct qvault_span *span);
void qvault_run_free(struct qvault_lane *lane, struct qvault_run *run);

void *qvault_bio_block(struct bio *bio, struct bvec_iter iter);
void qvault_bio_gather(struct bio *bio, struct bvec_iter iter, void *to);
void qvault_bio_scatter(struct bio *bio, struct bvec_iter iter, const void *from);
void qvault_bio_zero(struct bio *bio, struct bvec_iter iter, u32 bytes);

static inline struct bio *qvault_io_bio(struct qvault_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(*io));
}

static inline struct bvec_iter qvault_io_iter(struct qvault_io *io, u32 i)
{
	struct bvec_iter iter = io->iter;

	bio_advance_iter(qvault_io_bio(io), &iter, i << QVAULT_BLOCK_SHIFT);
	return iter;
}

int qvault_map_bio(struct qvault_volume *vol, struct bio *bio);
void qvault_io_put(struct qvault_io *io, int err);
void qvault_bio_end(struct qvault_volume *vol, struct bio *bio, blk_status_t status);

/* ---- read.c, write.c ---------------------------------------------------- */

size_t qvault_read_size(void);
size_t qvault_write_size(void);
void qvault_read_work(struct work_struct *work);
void qvault_read_free(struct qvault_io *io);
void qvault_write_work(struct work_struct *work);
void qvault_unmap_work(struct work_struct *work);

/* ---- flush.c ------------------------------------------------------------ */

void qvault_flush_init(struct qvault_volume *vol);
void qvault_flush_bio(struct qvault_volume *vol, struct bio *bio);
void qvault_flush_arm(struct qvault_volume *vol);
void qvault_flush_stop(struct qvault_volume *vol);

/* ---- status.c ----------------------------------------------------------- */

void qvault_status(struct dm_target *ti, status_type_t type,
		   unsigned int flags, char *result, unsigned int maxlen);

#endif
