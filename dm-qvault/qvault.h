/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The engine of a vault: what it keeps in memory and what its files offer each
 * other.  Nothing here knows a bio or a dm_target; the platform (io.c, crypto.c,
 * target.c in the kernel; tests/unit in userspace) is at the end.
 *
 * Lock order, outermost first:
 *
 *	page_mutex		one writer waits for pages of the stream at a time
 *	checkpoint_mutex	one checkpoint at a time; freeze to anchored
 *	  commit_mutex		one writer of the log and of the anchor
 *	    alloc_mutex		choosing data blocks, loading groups
 *	      buf_mutex		one reader of a node waits for buffers at a time
 *	      cache->lock	(spin) node cache
 *	      map_lock		(rw, spin) the mapping: deltas, roots, stream
 *	        alloc_lock	(spin) the bits of groups
 *
 * The mutexes may be held across I/O.  The spinlocks are taken in process
 * context only, so they leave interrupts on.
 */
#ifndef QVAULT_H
#define QVAULT_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/rwlock.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "geometry.h"

/* Most blocks of one read or write; larger bios are split. */
#define QVAULT_MAX_RUN		256u
/* Most blocks that are sealed together: as many as a processor hashes at once. */
#define QVAULT_MAX_SEAL		2u
/* Versions that one anchor record allows to be used after it. */
#define QVAULT_LEASE		0x100000000ull
/* How far, at most, versions jump when a record is read that is not our own. */
#define QVAULT_JUMP_BITS	44
/* Above this the versions of a volume count as used up. */
#define QVAULT_LAST_LEASE	(~0ull << (QVAULT_JUMP_BITS + 1))

struct qvault_ptr {
	u64 version;			/* 0: unmapped, reads as zeros */
	u64 where;
	u8 tag[QVAULT_TAG_SIZE];
};

/* ---- Health (health.c) -------------------------------------------------- */

/* Ordered by severity; a vault moves only downwards until it is re-attached. */
enum qvault_mode {
	QVAULT_MODE_DETACHED,		/* not attached yet, or no longer */
	QVAULT_MODE_WRITE,
	QVAULT_MODE_READ_ONLY,		/* as asked for */
	QVAULT_MODE_FAILED,		/* reads of verified state may go on */
	QVAULT_MODE_TAKEN,		/* somebody else goes on from our record */
};

struct qvault;

/* ---- Reserves ----------------------------------------------------------- */

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
		/* Three bitmaps; two paths through the map; what is read. */
		return 3 + 2 * inner * node + node;
	case QVAULT_USE_COMMIT:
		/* A log block, or a record; both slots when attaching. */
		return 2;
	case QVAULT_USE_CHECKPOINT:
		/* Two cursors, each with new nodes and old ones; as above; and a write. */
		return 2 * (QVAULT_MAX_LEVELS + inner * node) + node + 1;
	default:
		return 0;
	}
}

/*
 * What the engine puts by for when memory is short: nodes of the delta, pages of
 * the stream, and groups of the map.  The least is what the largest write takes, and
 * for the stream the page that the last commit has left in it.
 */
#ifdef QVAULT_FAMINE
#define QVAULT_STOCK		3u
#define QVAULT_PAGES		10
#define QVAULT_GROUPS		1u
#else
#define QVAULT_STOCK		16u
#define QVAULT_PAGES		16
#define QVAULT_GROUPS		4u
#endif

void qvault_fail(struct qvault *v, const char *what, int err);
int qvault_may_write(struct qvault *v);
int qvault_may_read(const struct qvault *v);
void qvault_taken(struct qvault *v, u64 epoch, u64 sequence);
int qvault_corrupt(struct qvault *v, enum qvault_kind kind, u64 id);

/* ---- Sealing (seal.c) --------------------------------------------------- */

void qvault_ptr_from_disk(struct qvault_ptr *ptr,
			  const struct qvault_disk_ptr *disk);
void qvault_ptr_to_disk(struct qvault_disk_ptr *disk,
			const struct qvault_ptr *ptr);
/* A word of a bitmap that is little-endian on disk. */
static inline unsigned long qvault_le_long(unsigned long word)
{
	return sizeof(word) == sizeof(u64) ?
		(unsigned long)le64_to_cpu((__force __le64)word) :
		(unsigned long)le32_to_cpu((__force __le32)word);
}

static inline u64 qvault_node_id(u32 level, u64 index)
{
	return (u64)level << QVAULT_NODE_LEVEL_SHIFT | index;
}

int qvault_seal_blocks(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
		       struct qvault_ptr *ptr, const void *const plain[],
		       void *const cipher[]);
int qvault_unseal_blocks(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
			 const struct qvault_ptr *ptr,
			 const void *const cipher[], void *const plain[],
			 void *const scratch[]);

static inline int qvault_seal(struct qvault *v, enum qvault_kind kind, u64 id,
			      struct qvault_ptr *ptr, const void *plain,
			      void *cipher)
{
	return qvault_seal_blocks(v, kind, id, 1, ptr, &plain, &cipher);
}

static inline int qvault_unseal(struct qvault *v, enum qvault_kind kind, u64 id,
				const struct qvault_ptr *ptr, const void *cipher,
				void *plain, void *scratch)
{
	return qvault_unseal_blocks(v, kind, id, 1, ptr, &cipher, &plain, &scratch);
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

/* ---- Delta (delta.c) ---------------------------------------------------- */

/*
 * The pointers written since the last checkpoint, by leaf.  A node of level
 * l > 0 stands for a whole subtree that is unmapped but for what the nodes of
 * lower levels inside it say, which are newer.
 */
struct qvault_delta_node {
	struct hlist_node hash;
	struct list_head list;
	u64 index;			/* of the leaf or subtree in its level */
	u8 level;
	u8 used;			/* pointers in ptr[] */
	u8 capacity;
	/* Of the leaf's blocks: which are known here, and which are mapped. */
	DECLARE_BITMAP(present, QVAULT_FANOUT);
	DECLARE_BITMAP(mapped, QVAULT_FANOUT);
	struct qvault_ptr ptr[];	/* of the mapped ones, in order */
};

struct qvault_delta {
	struct hlist_head *buckets;
	u32 bucket_shift;
	u32 marks[QVAULT_MAX_LEVELS];	/* nodes of each level; level 0 too */
	struct list_head nodes;
};

enum qvault_hit {
	QVAULT_MISS,			/* ask the layer below */
	QVAULT_HIT,			/* *ptr is set; version 0: unmapped */
};

int qvault_delta_init(struct qvault_delta *delta, u32 bucket_shift);
void qvault_delta_exit(struct qvault *v, struct qvault_delta *delta);
void qvault_delta_clear(struct qvault *v, struct qvault_delta *delta);
bool qvault_delta_empty(const struct qvault_delta *delta);
enum qvault_hit qvault_delta_lookup(const struct qvault *v,
				    const struct qvault_delta *delta,
				    u64 logical, struct qvault_ptr *ptr);
void qvault_delta_sort(struct qvault_delta *delta);

/*
 * Nodes for changes that have begun, so that their ends wait for none: for each
 * leaf or subtree that is promised one there is one here, large enough for any.
 * An end takes it only if the allocator has none that just fits.
 */
struct qvault_stock {
	struct list_head nodes;		/* of full capacity */
	u32 nr;
	u32 promised;			/* of them */
};

int qvault_stock_init(struct qvault *v);
void qvault_stock_exit(struct qvault *v);
bool qvault_stock_promise(struct qvault *v, u32 nr);
void qvault_stock_release(struct qvault *v, u32 nr);

/* As many nodes as blocks that are mapped may add to a delta. */
static inline u32 qvault_leaves_of(u64 logical, u32 count)
{
	return ((logical + count - 1) >> QVAULT_FANOUT_SHIFT) -
	       (logical >> QVAULT_FANOUT_SHIFT) + 1;
}

void qvault_delta_prepare(struct qvault *v, struct qvault_delta *delta,
			  u64 logical, u32 count, bool mapped);
void qvault_delta_insert(struct qvault *v, struct qvault_delta *delta,
			 u64 logical, const struct qvault_ptr *ptr);
void qvault_delta_unmap(struct qvault *v, struct qvault_delta *delta,
			u64 logical, u32 count);
void qvault_delta_mark(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index);

/*
 * The next piece of a range that is to be unmapped: blocks of one leaf
 * (level 0), or one whole subtree.
 */
struct qvault_piece {
	u32 level;
	u64 logical;
	u64 count;
};

void qvault_next_piece(const struct qvault_geometry *geo, u64 logical,
		       u64 count, struct qvault_piece *piece);
void qvault_delta_unmap_piece(struct qvault *v, struct qvault_delta *delta,
			      const struct qvault_piece *piece);

bool qvault_delta_full(const struct qvault *v,
		       const struct qvault_delta_node *node);
bool qvault_delta_covers(const struct qvault *v, const struct qvault_delta *delta,
			 u32 level, u64 index);
u64 qvault_delta_below(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index);
void qvault_delta_carry(struct qvault *v, struct qvault_delta *from,
			struct qvault_delta *to, u32 level, u64 index);
void qvault_delta_fold(struct qvault *v, struct qvault_delta *newer,
		       struct qvault_delta *older);

/* ---- Stream and log (log.c) --------------------------------------------- */

/*
 * Entries that stand in no log block yet, already in the form of log blocks.
 * They are appended in the order in which they took effect, which is the order
 * in which a recovery applies them.  What fits is carried in the anchor record;
 * the page then stays open and grows at its end.
 */
struct qvault_page {
	union {
		struct {
			struct list_head list;
			u32 bytes;	/* of entries */
		};
		/* Filled in when the page has left the stream. */
		struct qvault_disk_log_head head;
	};
	u8 payload[QVAULT_LOG_PAYLOAD];
};

static_assert(sizeof(struct qvault_page) == QVAULT_BLOCK_SIZE);

struct qvault_stream {
	struct list_head pages;		/* oldest first; only the last one grows */
	struct list_head spare;		/* enough for all that is reserved */
	/*
	 * Closed by a cut, oldest first, and in no durable record's log yet: a
	 * commit that fails leaves them to the next one.  Locking: commit_mutex
	 */
	struct list_head cut;
	u32 nr_pages;
	u32 nr_cut;			/* pages on that list; Locking: map_lock too */
	u32 nr_spare;
	u64 reserved;			/* bytes of entries yet to come */
	bool dirty;			/* has entries that no anchor record covers */
	u32 inline_bytes;		/* of the first page, that the record carries */
};

/* Worst case of what entries for so many blocks, or for one unmap, take. */
#define QVAULT_ENTRY_WORST	(sizeof(struct qvault_disk_entry) + QVAULT_TAG_SIZE)
u32 qvault_stream_blocks(u64 bytes);
void *qvault_page_alloc(gfp_t gfp, void *unused);
void qvault_stream_init(struct qvault_stream *stream);
void qvault_stream_exit(struct qvault *v);
bool qvault_stream_reserve(struct qvault *v, u32 bytes);
void qvault_stream_release(struct qvault *v, u32 bytes);
bool qvault_stream_reserve_heal(struct qvault *v, u32 bytes);
int qvault_stream_reserve_pages(struct qvault *v, u32 pages);
void qvault_stream_release_pages(struct qvault *v, u32 pages);
void qvault_stream_append(struct qvault *v, u64 logical,
			  const struct qvault_ptr *ptr, u32 count);
void qvault_stream_append_unmap(struct qvault *v, u64 logical, u64 count);
void qvault_stream_restore(struct qvault *v, const void *entries, u32 bytes);
bool qvault_stream_cut(struct qvault *v, struct qvault_page *spare);
void qvault_stream_uncommitted(struct qvault *v);
void qvault_stream_committed(struct qvault *v);
const void *qvault_stream_inline(struct qvault *v);

/* The entries of a log block or of an anchor record, decoded one by one. */
struct qvault_entry {
	u64 logical;
	u64 count;
	u64 version;			/* 0: the run is unmapped */
	u64 where;
	const u8 *tags;			/* count of them */
};

int qvault_entry_next(const struct qvault_geometry *geo, const u8 **pos,
		      u32 *left, struct qvault_entry *entry);

struct qvault_anchor;

int qvault_log_append(struct qvault *v, struct qvault_anchor *next);
int qvault_log_read(struct qvault *v, const struct qvault_anchor *anchor,
		    struct list_head *pages);
void qvault_log_free(struct list_head *pages);
u64 qvault_log_used(const struct qvault *v);
bool qvault_log_half_full(const struct qvault *v);

/* ---- Node cache (node.c) ------------------------------------------------ */

/*
 * A node or map block as it stands on the device under one version; never
 * dirty.  Found by version, which is unique, so a stale node is never found.
 */
struct qvault_node {
	struct hlist_node hash;
	struct list_head lru;		/* unused: the cache may drop it */
	u64 version;
	u32 refs;
	bool lent;			/* from a reserve, and in no cache */
	/* Of a leaf, for readahead; hints, and so without a lock. */
	bool ahead;			/* came before it was asked for */
	bool asked;			/* was read, from its beginning */
	void *data;			/* QVAULT_BLOCK_SIZE, as on disk */
};

struct qvault_cache {
	spinlock_t lock;		/* Protects all of this and the nodes' refs. */
	struct hlist_head *buckets;
	u32 bucket_shift;
	struct list_head lru;
	u32 nr;
	u32 limit;
};

int qvault_cache_init(struct qvault *v, u32 limit);
void qvault_cache_exit(struct qvault *v);
struct qvault_node *qvault_node_find(struct qvault *v, u64 version);
int qvault_node_get(struct qvault *v, enum qvault_use use,
		    enum qvault_kind kind, u32 level, u64 index,
		    const struct qvault_ptr *ptr, struct qvault_node **node);
void qvault_node_add(struct qvault *v, u64 version, const void *data);
void qvault_node_put(struct qvault *v, struct qvault_node *node);

/* ---- Trees (tree.c) ----------------------------------------------------- */

static inline u32 qvault_node_slot(const struct qvault_ptr *ptr)
{
	return ptr->where & 1;
}

static inline u64 qvault_node_weight(const struct qvault_ptr *ptr)
{
	return (ptr->where & QVAULT_WHERE_MASK) >> 1;
}

int qvault_tree_find(struct qvault *v, enum qvault_kind kind,
		     const struct qvault_ptr *root, u64 index,
		     struct qvault_ptr *ptr, u64 *bad);
struct qvault_node *qvault_tree_cached(struct qvault *v,
				       const struct qvault_ptr *root, u64 index);

struct qvault_batch;

/* One node of a cursor's path. */
struct qvault_step {
	u64 index;
	bool loaded;
	bool dirty;
	struct qvault_ptr anchored;	/* the anchored node's pointer */
	struct qvault_node *old;	/* and contents; NULL: none, or level 0 */
	void *data;			/* the new node's contents */
};

/*
 * Makes a new tree out of the anchored one, in ascending order of leaves: each
 * changed node is written once, into the slot that the anchored tree does not
 * use, when the cursor leaves it.
 */
struct qvault_cursor {
	struct qvault *v;
	enum qvault_kind kind;
	const struct qvault_tree_geometry *tree;
	struct qvault_batch *batch;
	struct qvault_ptr anchored;	/* root */
	struct qvault_ptr root;		/* of the new tree so far */
	u32 written;			/* nodes so far */
	u64 bad;			/* id of the last node that was corrupt */
	u64 needless_from;		/* see qvault_cursor_needless() */
	u64 needless_end;
	bool replaced;			/* a node that is corrupt, by a new one */
	struct qvault_step step[QVAULT_MAX_LEVELS];
};

int qvault_cursor_init(struct qvault_cursor *c, struct qvault *v,
		       enum qvault_kind kind, const struct qvault_ptr *anchored,
		       struct qvault_batch *batch);
void qvault_cursor_exit(struct qvault_cursor *c);
int qvault_cursor_leaf(struct qvault_cursor *c, u64 index, void **data);
void qvault_cursor_dirty(struct qvault_cursor *c);
void qvault_cursor_needless(struct qvault_cursor *c, u64 from, u64 end);
int qvault_cursor_next(struct qvault_cursor *c, u64 from, u64 end, u64 *index);
int qvault_cursor_finish(struct qvault_cursor *c);

/* ---- Allocation (alloc.c), and the way back (release.c) ------------------ */

/*
 * A group whose bits are in memory.  A data block is busy if the anchored tree
 * names it, or if it is fresh: allocated since.
 */
struct qvault_group {
	struct hlist_node hash;
	struct list_head lru;		/* of all groups in memory */
	struct list_head release[2];	/* while superseded[i] has bits */
	u64 index;
	/* Of the map block this was read from; 0: none; QVAULT_NO_VERSION: unreadable. */
	u64 version;
	u32 nr_data;
	u32 nr_busy;
	u32 nr_fresh;			/* the group stays in memory while not 0 */
	u32 cursor;			/* where the last search ended */
	u32 longest;			/* no free run was longer than this; a hint */
	unsigned long *busy;
	unsigned long *fresh;
	/*
	 * Fresh blocks that no pointer of the delta names any more: [0] since
	 * the last commit's cut, [1] those that the running commit covers.
	 */
	unsigned long *superseded[2];
};

struct qvault_alloc {
	struct hlist_head *buckets;
	u32 bucket_shift;
	struct list_head lru;
	struct list_head spare;		/* memory for groups; Locking: alloc_mutex */
	u32 nr_spare;
	struct list_head release[2];
	u32 nr_groups;
	u32 limit;
	u32 nr_fresh;			/* blocks, in all groups */
	/* Blocks whose write failed: [0] lately, [1] before the last freeze. */
	struct list_head aside[2];
	u64 hint;			/* group in which the last search succeeded */
	u64 told;			/* id of the map node last said to be corrupt */
};

/* No version, and no id. */
#define QVAULT_NO_VERSION	(~0ull)

int qvault_alloc_init(struct qvault *v, u32 limit);
void qvault_alloc_exit(struct qvault *v);
int qvault_alloc_blocks(struct qvault *v, u64 logical, u32 count,
			struct qvault_ptr *ptr);
int qvault_alloc_replay(struct qvault *v, u64 block);
bool qvault_alloc_low(const struct qvault *v);
void qvault_alloc_supersede(struct qvault *v, u64 block);
void qvault_alloc_cut(struct qvault *v);
void qvault_alloc_set_aside(struct qvault *v, const struct qvault_ptr *ptr, u32 count);
void qvault_alloc_frozen(struct qvault *v);
bool qvault_alloc_aside(const struct qvault *v);
void qvault_alloc_release(struct qvault *v);
void qvault_alloc_anchored(struct qvault *v, const struct qvault_ptr *old_root);
void qvault_alloc_known(struct qvault *v, u64 index, u64 version,
			unsigned long *bits);
bool qvault_alloc_leaky(const struct qvault *v);

/* ---- Changes of the map (changes.c) ------------------------------------- */

#define QVAULT_MAX_CHANGES	32768u

/*
 * What a checkpoint changes in the map, gathered so that each map block is
 * visited once for many of them.
 */
struct qvault_changes {
	u64 *item;			/* runs of blocks: see changes.c */
	u32 nr;
	bool leaky;			/* more are in use in the map than in the tree */
	struct qvault_cursor *cursor;	/* of the map */
};

int qvault_changes_add(struct qvault_changes *changes, u64 block, bool in_use);
int qvault_changes_apply(struct qvault_changes *changes);

/* ---- Damage (damage.c) -------------------------------------------------- */

#define QVAULT_MAX_DAMAGED	256u

struct qvault_damage {
	u64 *id;			/* of nodes of the tree that cannot be read */
	u32 nr;
	u32 pages;			/* of the stream, that the last freeze carried */
	u32 promised;			/* the same for the next one */
	bool again;			/* it is the second one without a checkpoint */
};

int qvault_damage_add(struct qvault *v, u64 id);
bool qvault_damage_above(const struct qvault *v, u32 level, u64 index);
void qvault_damage_recheck(struct qvault *v);
int qvault_damage_refuses(struct qvault *v, u64 logical, u64 count);
int qvault_damage_piece(struct qvault *v, const struct qvault_piece *piece,
			bool *heals);
void qvault_damage_unmapped(struct qvault *v, const struct qvault_piece *piece);
u32 qvault_damage_kept(const struct qvault *v);
int qvault_damage_promise(struct qvault *v);
void qvault_damage_carry(struct qvault *v);
void qvault_damage_carried(struct qvault *v);
void qvault_damage_fold(struct qvault *v);

/* ---- Anchor (anchor.c) -------------------------------------------------- */

/* The anchor record in memory: what the newest durable one says. */
struct qvault_anchor {
	u8 uuid[QVAULT_UUID_SIZE];
	u64 sequence;
	u64 epoch;
	u64 lease;
	u64 commit;
	u64 log_tail;
	u64 log_head;
	struct qvault_ptr tree;
	struct qvault_ptr map;
	struct qvault_ptr log;
};

int qvault_anchor_read(struct qvault *v, struct qvault_disk_anchor *newest);
int qvault_anchor_check(struct qvault *v, const struct qvault_disk_anchor *disk,
			u32 slot);
void qvault_anchor_fill(struct qvault *v, struct qvault_disk_anchor *disk,
			const struct qvault_anchor *a, const void *entries,
			u32 bytes);
int qvault_anchor_seal(struct qvault *v, struct qvault_disk_anchor *disk);

/* ---- One line of records (line.c) --------------------------------------- */

/* What this vault knows of the anchor device.  Locking: commit_mutex */
struct qvault_line {
	struct qvault_disk_anchor *record;	/* the newest durable one */
	/* The last bytes of each slot: the MAC, if a record stands there. */
	u8 known[QVAULT_ANCHOR_SLOTS][QVAULT_ANCHOR_MAC_SIZE];
};

int qvault_line_init(struct qvault *v);
void qvault_line_exit(struct qvault *v);
int qvault_line_begin(struct qvault *v, const struct qvault_disk_anchor *record);
int qvault_line_write(struct qvault *v, struct qvault_anchor *next, bool flush);
int qvault_line_look(struct qvault *v);
int qvault_line_repeat(struct qvault *v);
int qvault_line_unbroken(struct qvault *v);
u64 qvault_new_versions(struct qvault *v, u32 count);
bool qvault_lease_low(const struct qvault *v);
bool qvault_lease_out(const struct qvault *v);

/* ---- Commit, checkpoint, recovery --------------------------------------- */

int qvault_commit(struct qvault *v);
int qvault_checkpoint_init(struct qvault *v);
int qvault_checkpoint(struct qvault *v);
int qvault_checkpoint_since(struct qvault *v, u64 seen);
int qvault_attach(struct qvault *v, struct qvault_disk_anchor *record);
int qvault_detach(struct qvault *v);
int qvault_suspend(struct qvault *v);
int qvault_resume(struct qvault *v);
void qvault_forked(struct qvault *v);
void qvault_set_limits(struct qvault *v);

/* commit.c, for checkpoint.c only. */
int __qvault_commit(struct qvault *v, struct qvault_page *spare);
int __qvault_anchor_tree(struct qvault *v, struct qvault_anchor *next);

/* ---- The life of a read and of a write (map.c) -------------------------- */

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
	struct qvault_ptr ptr[];
};

int qvault_write_begin(struct qvault *v, struct qvault_write *w);
int qvault_write_end(struct qvault *v, struct qvault_write *w, int err);
int qvault_unmap(struct qvault *v, u64 logical, u64 count);
int qvault_lookup(struct qvault *v, u64 logical, u32 count,
		  struct qvault_ptr *ptr);
void qvault_readahead(struct qvault *v, u64 leaf);

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
};

struct qvault_dev;
struct qvault_crypto;

struct qvault {
	/* Set by the platform before qvault_attach(). */
	struct qvault_dev *data;
	struct qvault_dev *anchor_dev;	/* NULL: ephemeral */
	struct qvault_crypto *crypto;
	bool read_only;
	bool allow_discards;
	u32 memory_mib;
	/* What the table line maps; attach refuses (-EMSGSIZE) more than there is. */
	u64 logical_blocks;
	void *platform;

	/* Constant from qvault_attach() to qvault_detach(). */
	struct qvault_geometry geo;
	enum qvault_mac mac;

	/*
	 * Read without a lock: a stale value lets one more operation in, which
	 * the next commit then refuses.
	 */
	enum qvault_mode mode;
	const char *reason;		/* why qvault_attach() refused, in words */

	struct mutex page_mutex;	/* See the lock order at the top. */
	struct mutex checkpoint_mutex;	/* See there. */
	struct mutex commit_mutex;	/* See there. */
	struct mutex alloc_mutex;	/* See there. */
	struct mutex buf_mutex;		/* See there. */

	/* Writers: commit_mutex and map_lock; readers: either. */
	struct qvault_anchor anchor;
	struct qvault_line line;
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

	/* Next version; used only below anchor.lease. */
	atomic64_t version;

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

	struct merge *merge;		/* Locking: checkpoint_mutex; checkpoint.c */
	u64 *changes;			/* Locking: checkpoint_mutex */
	unsigned long troubled;		/* when a checkpoint failed last; 0: not since */
	u32 log_limit;			/* blocks of the log that may be used */
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

/* ---- The platform ------------------------------------------------------- */

/*
 * Devices.  Blocks are of QVAULT_BLOCK_SIZE; buffers come from
 * qvault_buf_get().  All may sleep; all return 0 or a negative errno.  Nothing
 * is ordered but by waiting: a write is durable only after a flush that began
 * after the write ended, or at once if it was a FUA write.
 */
u64 qvault_dev_blocks(struct qvault_dev *dev);
int qvault_dev_read(struct qvault_dev *dev, u64 block, void *buf);
int qvault_dev_write_fua(struct qvault_dev *dev, u64 block, void *buf);
int qvault_dev_flush(struct qvault_dev *dev);
/* A flush, and beside it a read of @block of @other; what came of that: @read. */
int qvault_dev_flush_and_read(struct qvault_dev *dev, struct qvault_dev *other,
			      u64 block, void *buf, int *read);
/* A hint; errors do not matter. */
void qvault_dev_discard(struct qvault_dev *dev, u64 block, u64 count);

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

/* Buffers of one block.  Never fail: they wait for one to be given back. */
void *qvault_buf_get(struct qvault *v, enum qvault_use use);
/* The same for who can do without: NULL rather than from a reserve. */
void *qvault_buf_try(void);
/* Gives it back to where it came from; NULL is fine. */
void qvault_buf_put(void *buf);

/*
 * AES-256-XTS over one block, and the MACs of 1..QVAULT_MAX_SEAL blocks, each
 * with a head.  @meta picks the key.  May sleep.  Return 0 or a negative errno,
 * in which case @dst or @tag is undefined.
 * Which MAC that is, qvault_crypto_use_mac() says before the first block:
 * -EPROTONOSUPPORT if it is unknown, -ENOENT if it is only not to be had.
 */
int qvault_crypto_xts(struct qvault_crypto *crypto, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst);
int qvault_crypto_use_mac(struct qvault_crypto *crypto, enum qvault_mac mac);
int qvault_crypto_mac(struct qvault_crypto *crypto, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE]);
/* Constant time. */
bool qvault_tags_differ(const void *a, const void *b, size_t bytes);
int qvault_crypto_anchor_mac(struct qvault_crypto *crypto, const void *data,
			     u32 bytes, u8 mac[QVAULT_ANCHOR_MAC_SIZE]);

/*
 * Derives the four keys of a volume from the master key of @crypto, once for
 * each attach; the labels are in format.h.  Called again for the same volume
 * (after a suspend) the keys may be the ones from before.  -EKEYREJECTED if the
 * master key is gone already and this is another volume.
 */
int qvault_crypto_derive(struct qvault_crypto *crypto, const u8 *uuid);

/*
 * At attach, once the record is verified and before anything is written: take the
 * vault of this UUID for ourselves.  -EBUSY: somebody on this machine has it.
 */
int qvault_claim_line(struct qvault *v, const u8 *uuid);
/* Below 2^44, of whatever chance there is: how far versions jump at an attach. */
u64 qvault_random_jump(void);

/* Ask for a checkpoint soon, on another thread. */
void qvault_kick_checkpoint(struct qvault *v);
/*
 * Ask for qvault_readahead() of a leaf soon, on another thread; for so many that
 * follow each other at a time.
 */
#define QVAULT_LEAVES_AHEAD	16u
void qvault_kick_readahead(struct qvault *v, u64 leaf);

/* Says what went wrong, once or rate-limited; tells userspace. */
void qvault_report_failure(struct qvault *v, const char *what, int err);
/* Something went wrong that is tried again: nothing is lost, nothing is stopped. */
void qvault_report_trouble(struct qvault *v, const char *what, int err);
/* A record of another attachment stands where ours was to be. */
void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence);
/* A slot of the anchor holds no record, or cannot be read (@err). */
void qvault_report_slot(struct qvault *v, u32 slot, int err);
void qvault_report_corruption(struct qvault *v, enum qvault_kind kind, u64 id);

#endif
