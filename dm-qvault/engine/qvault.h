/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The engine of a vault: its face to the kernel's side, and all that it keeps in
 * memory.  Nothing in this folder knows a bio or a dm_target, and all of it compiles
 * in userspace as well; what it needs from outside is in host.h.
 *
 * Lock order, outermost first:
 *
 *	page_mutex		one writer waits for pages of the stream at a time
 *	checkpoint_mutex	one checkpoint at a time; freeze to anchored
 *	  commit_mutex		one writer of the log and of the anchor
 *	    alloc_mutex		choosing data blocks, loading groups, discards below
 *	      buf_mutex		one reader of a node waits for buffers at a time
 *	      share_mutex	one look at the claim at a time; and another master key
 *	      cache->lock	(spin) node cache
 *	      map_lock		(rw, spin) the mapping: deltas, roots, stream
 *	        alloc_lock	(spin) fresh blocks, the bits of groups
 *
 * The mutexes may be held across I/O.  The spinlocks are taken in process
 * context only, so they leave interrupts on.
 */
#ifndef QVAULT_H
#define QVAULT_H

#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/rwlock.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "history.h"
#include "space.h"
#include "tree.h"
#include "walk.h"

/* ---- Health (health.c) -------------------------------------------------- */

/* Ordered by severity; a vault moves only downwards until it is re-attached. */
enum qvault_mode {
	QVAULT_MODE_DETACHED,		/* not attached yet, or no longer */
	QVAULT_MODE_WRITE,
	QVAULT_MODE_READ_ONLY,		/* as asked for */
	QVAULT_MODE_FAILED,		/* reads of verified state may go on */
	QVAULT_MODE_TAKEN,		/* somebody else goes on from our record */
};

void qvault_fail(struct qvault *v, const char *what, int err);
int qvault_may_write(struct qvault *v);
int qvault_may_read(const struct qvault *v);
void qvault_taken(struct qvault *v, u64 epoch, u64 sequence);
int qvault_corrupt(struct qvault *v, enum qvault_kind kind, u64 id);

/* ---- The life of a read and of a write (map.c), and of an unmap (unmap.c) */

/*
 * A write of @count blocks from @logical.  The platform allocates it, calls
 * qvault_write_begin(), seals each block once and writes it to ptr[i].where, and
 * calls qvault_write_end().
 */
struct qvault_write {
	u64 logical;
	u32 count;			/* 1..QVAULT_MAX_RUN */
	u32 reserved;			/* bytes of the log */
	u32 nodes;			/* of the delta, promised */
	u8 gen;				/* of all blocks */
	/*
	 * Of a block that is only moved: it takes effect if it still has the pointer that
	 * was found, under this root.  Set after the begin; NULL: a user's.
	 */
	const struct qvault_ptr *found;
	const struct qvault_root *root;
	u32 passed;			/* blocks that had another one; set at the end */
	struct qvault_ptr ptr[];
};

int qvault_write_begin(struct qvault *v, struct qvault_write *w);
int qvault_write_end(struct qvault *v, struct qvault_write *w, int err);
int qvault_lookup(struct qvault *v, u64 logical, u32 count,
		  struct qvault_ptr *ptr);
int qvault_lookup_under(struct qvault *v, u64 logical, u32 count,
			struct qvault_ptr *ptr, struct qvault_root *root);
int qvault_lose(struct qvault *v, u64 logical, const struct qvault_root *root);
int qvault_unmap(struct qvault *v, u64 logical, u64 count);

/*
 * What a change needs: bytes of the log, and nodes for the delta.  What @heals a
 * damaged node may take of the log what is kept because of it.
 */
struct qvault_need {
	u32 bytes;
	u32 nodes;
	bool heals;
};

/* For map.c and unmap.c only. */
int qvault_get_room(struct qvault *v, const struct qvault_need *need,
		    struct qvault_write *w);
void __qvault_unreserve(struct qvault *v, u32 bytes, u32 nodes);
void qvault_ended(struct qvault *v);
void qvault_checkpoint_if_due(struct qvault *v);

/* ---- The vault ---------------------------------------------------------- */

struct qvault_counters {
	atomic64_t reads;		/* blocks */
	atomic64_t writes;		/* blocks */
	atomic64_t unmaps;		/* blocks */
	atomic64_t commits;		/* anchor records written */
	atomic64_t flushes;		/* of the data device */
	atomic64_t log_blocks;		/* written */
	atomic64_t node_blocks;		/* nodes and map blocks written */
	atomic64_t checkpoints;
	atomic64_t corruptions;
	atomic64_t healed;		/* nodes with one bad copy */
};

struct qvault_dev;
struct qvault_crypto;

struct qvault {
	/* Set by the platform before qvault_attach(). */
	struct qvault_dev *data;
	/* NULL: ephemeral, and begins empty.  An attach that lets go clears it. */
	struct qvault_dev *anchor_dev;
	struct qvault_crypto *crypto;
	bool read_only;
	/*
	 * Read the anchor's record and let go of it: ephemeral from then on.  What is
	 * written goes to the data device all the same, which must be a copy that
	 * nobody else has: the vault of that record is lost on the original.
	 */
	bool let_go;
	bool allow_discards;
	u32 memory_mib;			/* at least 1 */
	/*
	 * What the table line maps.  If there is less the volume grows, if the line
	 * says so (@grow); else it is refused (-EMSGSIZE).  Set before a resume too.
	 */
	u64 logical_blocks;
	bool grow;
	/* Seconds that an attach waits for other hosts; 0: there are none. */
	u32 settle;
	void *platform;

	/*
	 * Constant from qvault_attach() to qvault_detach(), but that it grows while
	 * nobody reads or writes.  Writers: all mutexes and map_lock; who is no
	 * operation, and holds none of them, takes map_lock to look.
	 */
	struct qvault_geometry geo;

	/*
	 * Read without a lock: a stale value lets one more operation in, which
	 * the next commit then refuses.
	 */
	enum qvault_mode mode;
	const char *reason;		/* why qvault_attach() refused, in words */
	char words[128];		/* these, if there is a number in them */

	struct mutex page_mutex;	/* See the lock order at the top. */
	struct mutex checkpoint_mutex;	/* See there. */
	struct mutex commit_mutex;	/* See there. */
	struct mutex alloc_mutex;	/* See there. */
	struct mutex buf_mutex;		/* See there. */
	struct mutex share_mutex;	/* See there. */

	/* Writers: commit_mutex and map_lock; readers: either. */
	struct qvault_anchor anchor;
	struct qvault_line line;
	struct qvault_share share;
	/* The record whose blocks stay, or NULL.  Locking: commit_mutex */
	struct qvault_disk_anchor *held;
	/* Slots of the anchor that held a record when they were last looked at. */
	u32 good_slots;

	rwlock_t map_lock;		/* See there. */
	struct qvault_delta delta[2];	/* Locking: map_lock */
	u8 live;			/* which of them takes writes */
	bool frozen;			/* the other one is being merged */
	u64 freeze_head;		/* log block in which the frozen one ends */
	struct qvault_stream stream;	/* Locking: map_lock */
	struct qvault_stock stock;	/* Locking: map_lock */

	spinlock_t alloc_lock;		/* See there. */
	struct qvault_alloc alloc;	/* Locking: alloc_lock; see alloc.c */

	struct qvault_cache cache;

	struct qvault_trim trim_later;	/* by this checkpoint.  Locking: checkpoint_mutex */
	struct qvault_trim trim;	/* free by now.  Locking: alloc_lock */

	/* Writes under way of each generation, from begin to end. */
	atomic_t writing[QVAULT_GENERATIONS + 1];

	/* Next version; used only below anchor.lease. */
	atomic64_t version;
	/* How often qvault_forked() was called. */
	atomic_t forks;

	/* Operations that wait for room; see get_room(). */
	wait_queue_head_t room_wait;
	atomic_t inflight;		/* operations that hold room */
	atomic64_t ended;		/* that gave it back, ever */
	atomic_t hurried;		/* that wait for a checkpoint */

	/*
	 * Written under checkpoint_mutex and map_lock, but for what an unmap heals,
	 * under map_lock alone.  nr is read without, where 0 is what matters.
	 */
	struct qvault_damage damage;

	/* Locking: map_lock; those that a checkpoint has taken, checkpoint_mutex. */
	struct qvault_heal heal;

	struct qvault_walk walk;	/* see walk.h */

	struct merge *merge;		/* Locking: checkpoint_mutex; checkpoint.c */
	u64 *changes;			/* Locking: checkpoint_mutex */
	unsigned long troubled;		/* when a checkpoint failed last; 0: not since */
	u32 log_limit;			/* blocks of the log that may be used */
	u64 delta_limit;		/* bytes that the deltas may take */
	u32 node_limit;			/* about so many nodes are promised at most */
	mempool_t *page_pool;		/* stream pages */
	/* For the next freeze; only without it while one is under way. */
	struct qvault_page *freeze_page;	/* Locking: commit_mutex */

	struct qvault_counters counters;
};

static inline bool qvault_ephemeral(const struct qvault *v)
{
	return !v->anchor_dev;
}

int qvault_init(struct qvault *v);
void qvault_exit(struct qvault *v);
/* For an ephemeral vault: what format would have written. */
int qvault_new_anchor(struct qvault_disk_anchor *disk, const u8 *uuid,
		      u64 data_blocks, u64 logical_blocks, u32 log_blocks);

#endif
