/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's side of a vault: a dm target with its devices, threads and
 * reserves.  The engine sees of it only what stands in engine/host.h.
 *
 * A volume is what runs: engine, threads, reserves, keys.  It belongs to the
 * mapped device and outlives a table; a target is what one table says of it.
 *
 * Threads.  Each kind of work has a queue of its own with its own rescuer,
 * since one may wait for another but never in a circle; who waits for whom
 * stands in Documentation/locking.rst:
 *
 *	write_wq	writes, discards
 *	read_wq		reads, readahead
 *	end_wq		ends of data I/O, which wait for the processor only
 *	again_wq	reads that did not verify: has the block moved?
 *	commit_wq	flushes, FUA
 *	checkpoint_wq	checkpoints
 *	trim_wq		discards below
 *	walk_wq		the steps of a walk
 *
 * Reserves.  Whoever waits for a page holds no page that is not already on its
 * way to a device, so pages always come back.  What is taken after a device
 * answered (scratch, cipher requests) comes from reserves of its own and is
 * held for no longer than it takes to compute.
 */
#ifndef QVAULT_PLATFORM_H
#define QVAULT_PLATFORM_H

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/mempool.h>
#include <linux/ratelimit.h>
#include <linux/workqueue.h>

#include "args.h"
#include "compat.h"
#include "crypto.h"
#include "qvault.h"

#define DM_MSG_PREFIX "qvault"

/*
 * Most blocks of one bio; dm splits larger ones.  Each is sealed or verified by
 * one thread, so 1 MiB keeps four of them busy and is still only four bios for
 * the device.
 */
#define QVAULT_IO_BLOCKS	64u
static_assert(QVAULT_IO_BLOCKS <= QVAULT_MAX_RUN);

/*
 * A device that a volume uses, or a vault that it may write records of; at most
 * one volume may at a time.
 */
struct qvault_claim {
	struct list_head list;		/* Locking: registry.c */
	dev_t dev;			/* 0: that of a vault */
	u8 uuid[QVAULT_UUID_SIZE];
	const struct qvault_volume *owner;	/* NULL: not claimed */
};

/* What stood on an anchor that is not looked at again. */
struct qvault_copy {
	char anchor[16];		/* its name, "major:minor" */
	int err[QVAULT_ANCHOR_SLOTS];	/* of reading each slot */
	void *slot[QVAULT_ANCHOR_SLOTS];
};

struct qvault_dev {
	/* The live table holds it open, as does any that takes the volume over. */
	struct block_device *bdev;	/* NULL: there is none */
	struct qvault_copy *copy;	/* or NULL; an anchor has one of the two */
	struct qvault_claim claim;
};

/*
 * What bios of ours take in one direction.  Reads have one and writes another, so
 * that neither waits for the other.
 */
struct qvault_lane {
	struct bio_set bios;		/* front pad: struct qvault_run */
	mempool_t blocks;		/* ciphertext on its way */
	atomic_t nr_blocks;		/* of them that are out */
	u32 max_blocks;			/* an eighth of the vault's memory */
	wait_queue_head_t wait;		/* until fewer are out */
};

/* A leaf to be read ahead. */
struct qvault_ahead {
	struct qvault_volume *vol;
	struct work_struct work;
	u64 leaf;			/* no lock: torn, it is a wrong guess */
};

struct qvault_request;

/* So many wait to be sent at most, and are sent in five seconds. */
#define QVAULT_EVENTS	10

struct qvault_event {
	char what[32];
	char detail[64];
};

struct qvault_volume {
	struct qvault v;
	struct list_head list;		/* Locking: volume.c */
	u32 targets;			/* that refer to it.  Locking: volume.c */
	struct mapped_device *md;
	struct qvault_dev data;
	struct qvault_dev anchor;
	struct qvault_claim claim;
	enum qvault_mac mac;		/* of a vault without an anchor */
	u32 commit_seconds;		/* as of the table that was resumed last */
	char refusal[DM_NAME_LEN + 64];	/* see qvault_claim_line() */

	struct workqueue_struct *write_wq;
	struct workqueue_struct *read_wq;
	struct workqueue_struct *end_wq;
	struct workqueue_struct *again_wq;
	struct workqueue_struct *commit_wq;
	struct workqueue_struct *checkpoint_wq;
	struct workqueue_struct *walk_wq;	/* one work at a time */
	struct workqueue_struct *trim_wq;

	struct qvault_lane in;		/* for reads */
	struct qvault_lane out;		/* for writes */
	mempool_t scratch;		/* struct qvault_scratch */
	mempool_t writes;		/* of QVAULT_IO_BLOCKS */
	mempool_t reads;		/* of QVAULT_IO_BLOCKS */
	mempool_t batches;		/* one for commits, one for checkpoints */
	struct bio_set commit_bios;	/* of their batches */
	struct bio_set checkpoint_bios;
	struct bio_set discard_bios;
	mempool_t buffers[QVAULT_NR_USES];	/* the engine's */
	bool engine;			/* qvault_init() was called */

	/* Attach, detach, suspend, resume; and messages only begin outside of them. */
	struct mutex life_mutex;
	/* The live table, for events; NULL: none.  Locking: table_mutex */
	struct mutex table_mutex;
	struct dm_table *table;
	/* Written under life_mutex.  Without it a load only sees it too late. */
	bool attached;
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
	struct work_struct trim_work;
	struct qvault_ahead ahead[QVAULT_LEAVES_AHEAD];

	struct delayed_work walk_work;
	/* Of its thread alone, but for the rate. */
	u32 walk_rate;			/* KiB/s; 0: as users leave room */
	u64 walk_owed;			/* ns that it still has to wait */
	u64 walk_users;			/* what users had done by the last step */

	/* Was a page swapped out to it?  Hint: a stale one is no worse than a race. */
	bool swapped;
	struct qvault_request *request;	/* of machine.c */

	/* What userspace is to be told; report.c. */
	struct ratelimit_state events;
	spinlock_t event_lock;		/* protects event, nr_events */
	struct qvault_event event[QVAULT_EVENTS];
	u32 nr_events;
	struct work_struct event_work;
};

/* What a table says of a volume. */
struct qvault_target {
	struct dm_target *ti;
	struct qvault_args args;
	struct dm_dev *data;
	struct dm_dev *anchor;		/* NULL: none, or let go of */
	bool read_only;
	u64 logical_blocks;
	struct qvault_volume *vol;
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

/* The memory of a block in a bio of ours, which is linear; a page may hold several. */
static inline void *qvault_vec_block(const struct bio_vec *vec)
{
	return page_address(vec->bv_page) + vec->bv_offset;
}

static inline struct qvault_run *qvault_run_of(struct bio *bio)
{
	return container_of(bio, struct qvault_run, bio);
}

/* ---- volume.c ----------------------------------------------------------- */

/* All volumes there are, from their first table on. */
extern struct mutex qvault_volumes_mutex;
extern spinlock_t qvault_volumes_lock;
extern struct list_head qvault_volumes;	/* Locking: either; to change it, both */

struct qvault_volume *qvault_volume_new(struct qvault_target *tgt,
					struct qvault_crypto *crypto);
bool qvault_volume_writes(const struct mapped_device *md);
struct qvault_volume *qvault_volume_running(const struct mapped_device *md);
void qvault_volume_put(struct qvault_volume *vol, const struct dm_table *table);
int qvault_volume_copy_anchor(struct qvault_volume *vol, const struct dm_dev *anchor);
int qvault_volume_resume(struct qvault_volume *vol, struct qvault_target *tgt);
void qvault_volume_suspend(struct qvault_volume *vol);

/* ---- registry.c --------------------------------------------------------- */

int qvault_claim_device(struct qvault_claim *claim, dev_t dev,
			const struct qvault_volume *owner, char holder[DM_NAME_LEN]);
void qvault_unclaim(struct qvault_claim *claim);
bool qvault_claimed(dev_t dev, const struct mapped_device *except, bool by_writers);

/* ---- request.c ---------------------------------------------------------- */

struct qvault_errand {
	/* What it takes over of @arg it sets to NULL, or to what is to be freed. */
	int (*run)(struct qvault *v, void **arg);
	void (*free)(void *arg);	/* NULL: there is never one */
	/* The thread that does it: what waits for commits only does not wait for more. */
	enum { QVAULT_ON_CHECKPOINT, QVAULT_ON_COMMIT, QVAULT_ON_WALK } on;
};

extern const struct qvault_errand qvault_errand_commit, qvault_errand_checkpoint;
extern const struct qvault_errand qvault_errand_walk, qvault_errand_stop;

struct qvault_request *qvault_request(struct qvault_volume *vol,
				      const struct qvault_errand *errand, void *arg);
int qvault_request_wait(struct qvault_request *request, bool killable,
			unsigned long timeout);

/* ---- message.c ---------------------------------------------------------- */

int qvault_message(struct dm_target *ti, unsigned int argc, char **argv,
		   char *result, unsigned int maxlen);

/* ---- machine.c ---------------------------------------------------------- */

int qvault_machine_init(void);
void qvault_machine_exit(void);
bool qvault_write_through(void);
bool qvault_quiet(void);
bool qvault_is_image(struct qvault_volume *vol, const struct bio *bio);

/* ---- key.c -------------------------------------------------------------- */

int qvault_key_get(const struct qvault_args *args,
		   u8 master[QVAULT_MASTER_KEY_SIZE], char **error);

/* ---- io.c, pool.c ------------------------------------------------------- */

int qvault_pools_init(struct qvault_volume *vol);
void qvault_pools_limit(struct qvault_volume *vol, u32 memory_mib);
void qvault_pools_exit(struct qvault_volume *vol);
size_t qvault_batch_size(void);
void qvault_submit_write(struct qvault_volume *vol, struct bio *bio);

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
void qvault_flush_kick(struct qvault_volume *vol);

/* ---- readahead.c -------------------------------------------------------- */

void qvault_readahead_init(struct qvault_volume *vol);
void qvault_readahead_stop(struct qvault_volume *vol);

/* ---- walker.c ----------------------------------------------------------- */

void *qvault_walk_wish(enum qvault_walk_kind kind, u32 rate);
void qvault_walk_init(struct qvault_volume *vol);
void qvault_walk_start(struct qvault_volume *vol);
void qvault_walk_stop(struct qvault_volume *vol);

/* ---- report.c ----------------------------------------------------------- */

void qvault_report_init(struct qvault_volume *vol);
void qvault_report_exit(struct qvault_volume *vol);
void qvault_report_table(struct qvault_volume *vol, struct dm_table *table);
void qvault_report_loss(struct qvault *v, int err);
void qvault_report_walk(struct qvault *v, u64 bad);

/* ---- status.c ----------------------------------------------------------- */

void qvault_status(struct dm_target *ti, status_type_t type,
		   unsigned int flags, char *result, unsigned int maxlen);

#endif
