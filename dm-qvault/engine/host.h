/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the engine asks of what it runs on: devices, memory, ciphers, threads, and
 * somebody to tell.  In the kernel that is kernel/ and crypto/; for unit tests and
 * simulator it is tests/unit.
 */
#ifndef QVAULT_HOST_H
#define QVAULT_HOST_H

#include <linux/slab.h>
#include <linux/types.h>

#include "format.h"
#include "bounds.h"

struct qvault;
struct qvault_batch;
struct qvault_crypto;
struct qvault_dev;

/* ---- Memory ------------------------------------------------------------- */

/*
 * Who wants a buffer, and so whose reserve it may come from when memory is
 * short.  Each vault has one of each, so that nobody waits for a buffer but
 * those that do the same.
 */
enum qvault_use {
	QVAULT_USE_READ,		/* to look up blocks in the tree */
	QVAULT_USE_MAP,			/* to look at the map, under alloc_mutex */
	QVAULT_USE_COMMIT,		/* under commit_mutex, and to attach */
	QVAULT_USE_CHECKPOINT,		/* to make new trees, under checkpoint_mutex */
	QVAULT_NR_USES
};

/* What one user may hold at once, and so the least that a reserve must have. */
static inline u32 qvault_least_buffers(enum qvault_use use)
{
	const u32 inner = QVAULT_MAX_LEVELS - 1, node = 2;

	switch (use) {
	case QVAULT_USE_READ:
		return node;
	case QVAULT_USE_MAP:
		/* A bitmap, and what is read. */
		return 1 + node;
	case QVAULT_USE_COMMIT:
		/* A log block; or a record, both slots, and what one of them held. */
		return 4;
	case QVAULT_USE_CHECKPOINT:
		/*
		 * Two cursors, each with new nodes and old ones; as above; and a
		 * write to two places.
		 */
		return 2 * (QVAULT_MAX_LEVELS + inner * node) + node + 2;
	default:
		return 0;
	}
}

/*
 * Memory that may not be there.  In a build with QVAULT_NO_MEMORY it never is, if
 * one asks without waiting for it: then everything lives on the reserves.
 */
#ifdef QVAULT_NO_MEMORY
static inline bool qvault_no_memory(gfp_t gfp)
{
	return gfp & __GFP_NORETRY || !gfpflags_allow_blocking(gfp);
}
#else
static inline bool qvault_no_memory(gfp_t gfp)
{
	return false;
}
#endif

static inline void *qvault_kmalloc(size_t size, gfp_t gfp)
{
	return qvault_no_memory(gfp) ? NULL : kmalloc(size, gfp);
}

/* Buffers of one block.  Never fail: they wait for one to be given back. */
void *qvault_buf_get(struct qvault *v, enum qvault_use use);
/* The same for who can do without: NULL rather than from a reserve. */
void *qvault_buf_try(void);
/* Gives it back to where it came from; NULL is fine. */
void qvault_buf_put(void *buf);

/* ---- Devices ------------------------------------------------------------ */

/* Blocks of the data device. */
struct qvault_range {
	u64 block;
	u64 count;
};

/*
 * Devices.  Blocks are of QVAULT_BLOCK_SIZE; buffers come from
 * qvault_buf_get().  All may sleep; all return 0 or a negative errno.  Nothing
 * is ordered but by waiting: a write is durable only after a flush that began
 * after the write ended, or at once if it was a FUA write.
 *
 * Who submits a write to the data device, here or for a write of data, asks
 * qvault_share_look() right before; what that returns is what becomes of the write.
 */
u64 qvault_dev_blocks(struct qvault_dev *dev);
int qvault_dev_read(struct qvault_dev *dev, u64 block, void *buf);

struct qvault_read {
	u64 block;
	void *buf;
	int err;			/* set */
};

/* Up to QVAULT_READS at once, each with a result of its own. */
void qvault_dev_read_many(struct qvault_dev *dev, struct qvault_read *read, u32 n);
int qvault_dev_write_fua(struct qvault_dev *dev, u64 block, void *buf);
int qvault_dev_flush(struct qvault_dev *dev);
/* A flush (@dev NULL: none), and beside it a few reads of another device. */
#define QVAULT_READS_BESIDE	2

struct qvault_look {
	u64 block;
	void *buf;
	int err;			/* what came of it */
};

int qvault_dev_flush_and_read(struct qvault_dev *dev, struct qvault_dev *other,
			      struct qvault_look *reads, u32 n);
/*
 * Discards of up to QVAULT_TRIMS ranges, under way together; waits for all.  A hint:
 * errors do not matter.
 */
void qvault_dev_discard(struct qvault *v, const struct qvault_range *range, u32 nr);

/*
 * A batch of single-block writes.  qvault_batch_buf() is qvault_buf_get() for who
 * has writes under way that must not wait for it in turn.  qvault_batch_write()
 * takes @buf over and gives it back to its reserve when the write has ended; it
 * may sleep to bound what is in flight.  qvault_batch_wait() waits for all so far
 * and returns the first error since the batch began.  qvault_batch_end() waits and
 * frees it.
 */
struct qvault_batch *qvault_batch_begin(struct qvault *v,
					struct qvault_dev *dev,
					enum qvault_use use);
void *qvault_batch_buf(struct qvault_batch *batch);
void qvault_batch_write(struct qvault_batch *batch, u64 block, void *buf);
int qvault_batch_wait(struct qvault_batch *batch);
void qvault_batch_end(struct qvault_batch *batch);

/* ---- Ciphers, MACs and keys --------------------------------------------- */

/*
 * A master key opens the records of a volume, see format.h.  Which one is tried out by
 * UUID; qvault_crypto_settle() then wipes the master key, and the keys of the last UUID
 * stay: -EKEYREJECTED for another one after that.
 */
int qvault_crypto_unlock(struct qvault_crypto *crypto, const u8 *uuid,
			 u8 check[QVAULT_CHECK_SIZE]);
void qvault_crypto_settle(struct qvault_crypto *crypto);
int qvault_crypto_anchor_mac(struct qvault_crypto *crypto, const void *data,
			     u32 bytes, u8 mac[QVAULT_ANCHOR_MAC_SIZE]);
/* Constant time. */
bool qvault_tags_differ(const void *a, const void *b, size_t bytes);

/*
 * Another master key for the same volume: all secrets of a record's table are wrapped
 * for it, and then records are of that key.  turn() gives back the one before.
 */
struct qvault_opener;

int qvault_crypto_rewrap(struct qvault_crypto *crypto, struct qvault_opener *opener,
			 struct qvault_disk_generation gen[QVAULT_GENERATIONS],
			 u8 check[QVAULT_CHECK_SIZE]);
struct qvault_opener *qvault_crypto_turn(struct qvault_crypto *crypto,
					 struct qvault_opener *opener);
void qvault_opener_free(struct qvault_opener *opener);

/*
 * The keys of generations, by number: from a record, or with a new secret (@disk NULL:
 * which no record will know).  -EPROTONOSUPPORT if they are of a kind that is unknown,
 * -ENOENT if it is only not to be had, -EUCLEAN if the record's secret is none.
 */
int qvault_crypto_open(struct qvault_crypto *crypto, u32 gen,
		       const struct qvault_disk_generation *disk);
int qvault_crypto_create(struct qvault_crypto *crypto, u32 gen, enum qvault_mac mac,
			 struct qvault_disk_generation *disk);
void qvault_crypto_forget(struct qvault_crypto *crypto, u32 gen);
/* The next qvault_crypto_create() with this MAC will need little memory. */
int qvault_crypto_prepare(struct qvault_crypto *crypto, enum qvault_mac mac);

/*
 * AES-256-XTS over one block, and the MACs of 1..QVAULT_MAX_SEAL blocks, each with a
 * head, between hold and release.  @meta picks the key.  May sleep.  Return 0 or a
 * negative errno, in which case @dst or @tag is undefined; from hold -ENOENT: there is
 * no such generation; -ENOKEY: there is no key at all at this moment.
 */
int qvault_crypto_hold(struct qvault_crypto *crypto, u32 gen);
void qvault_crypto_release(struct qvault_crypto *crypto);
int qvault_crypto_xts(struct qvault_crypto *crypto, u32 gen, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst);
int qvault_crypto_mac(struct qvault_crypto *crypto, u32 gen, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE]);

/* ---- This machine: who else, chance, threads ----------------------------- */

/*
 * At attach, once the record is verified and before anything is written: take the
 * vault of this UUID for ourselves.  -EBUSY: somebody on this machine has it.
 */
int qvault_claim_line(struct qvault *v, const u8 *uuid);
/* Let so many seconds pass, at least; -EINTR: told not to wait for it. */
int qvault_wait(struct qvault *v, u32 seconds);
/* Of whatever chance there is: two copies of one memory must not get the same. */
u64 qvault_random(void);

/* Ask for qvault_checkpoint_unasked() soon, on another thread. */
void qvault_kick_checkpoint(struct qvault *v);
/* Ask for qvault_trim() soon, on a thread of its own, until it has nothing to do. */
void qvault_kick_trim(struct qvault *v);
/*
 * Ask for qvault_readahead() of a leaf soon, on another thread; for so many that
 * follow each other at a time.
 */
void qvault_kick_readahead(struct qvault *v, u64 leaf);

/* ---- Somebody to tell --------------------------------------------------- */

/* Says what went wrong, once or rate-limited; tells userspace. */
void qvault_report_failure(struct qvault *v, const char *what, int err);
/* Something went wrong that is tried again: nothing is lost, nothing is stopped. */
void qvault_report_trouble(struct qvault *v, const char *what, int err);
/* A record, or (@sequence 0) a claim, of another attachment stands where ours was to be. */
void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence);
/* A slot of the anchor holds no record, or cannot be read (@err). */
void qvault_report_slot(struct qvault *v, u32 slot, int err);
/* It had lost the newest record, which is being written there again. */
void qvault_report_mended(struct qvault *v, u32 slot);
void qvault_report_corruption(struct qvault *v, enum qvault_kind kind, u64 id);
/* A node's first copy is bad and its second one good: it will be written anew. */
void qvault_report_half(struct qvault *v, enum qvault_kind kind, u64 id);

#endif
