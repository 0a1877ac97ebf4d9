/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is durable, and in which order it becomes so: the stream of entries, the log,
 * the anchor's records, and what writes them.
 */
#ifndef QVAULT_HISTORY_H
#define QVAULT_HISTORY_H

#include <linux/list.h>

#include "tree.h"

struct qvault_anchor;

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
void qvault_stream_merged(struct qvault *v);
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
	u8 gen;				/* of all of the run */
	const u8 *tags;			/* count of them */
};

int qvault_entry_next(const struct qvault_geometry *geo, const u8 **pos,
		      u32 *left, struct qvault_entry *entry);

int qvault_log_append(struct qvault *v, struct qvault_anchor *next);
int qvault_log_open(struct qvault *v, struct qvault_ptr *ptr, u64 sequence,
		    const void *cipher, struct qvault_page *page);
u64 qvault_log_used(const struct qvault *v);
bool qvault_log_half_full(const struct qvault *v);

/* ---- Replay (replay.c) --------------------------------------------------- */

struct qvault_replay;

struct qvault_replay *qvault_replay_begin(struct qvault *v,
					  const struct qvault_disk_anchor *record);
int qvault_replay_verify(struct qvault_replay *r);
int qvault_replay_part(struct qvault_replay *r);
bool qvault_replay_whole(const struct qvault_replay *r);
void qvault_replay_rewind(struct qvault_replay *r);
int qvault_replay_blocks(struct qvault_replay *r);
int qvault_replay_needs(struct qvault_replay *r);
void qvault_replay_end(struct qvault_replay *r);

/* ---- Anchor (anchor.c) -------------------------------------------------- */

/* The anchor record in memory: what the newest durable one says. */
struct qvault_anchor {
	u8 uuid[QVAULT_UUID_SIZE];
	u8 check[QVAULT_CHECK_SIZE];
	/* New blocks are of this generation.  To change it: checkpoint_mutex as well. */
	u8 seal;
	struct qvault_disk_generation gen[QVAULT_GENERATIONS];
	u64 sequence;
	u64 epoch;
	u64 lease;
	u64 commit;
	u32 settle;			/* seconds; 0: not shared between hosts */
	u64 log_tail;
	u64 log_head;
	struct qvault_root tree;
	struct qvault_root map;
	struct qvault_ptr log;
};

int qvault_anchor_read(struct qvault *v, struct qvault_disk_anchor *newest);
int qvault_anchor_check(struct qvault *v, const struct qvault_disk_anchor *disk,
			u32 slot);
void qvault_anchor_fill(struct qvault *v, struct qvault_disk_anchor *disk,
			const struct qvault_anchor *a, const void *entries,
			u32 bytes);
int qvault_anchor_seal(struct qvault *v, struct qvault_disk_anchor *disk);

/* ---- Generations (generation.c) ------------------------------------------ */

u32 qvault_generations(const struct qvault_anchor *a);
int qvault_generations_open(struct qvault *v);
int qvault_generation_new(struct qvault *v, enum qvault_mac mac);
int qvault_generations_drop(struct qvault *v);

/* ---- Another key (rekey.c), a moment that stays (hold.c) ------------------ */

int qvault_key_change(struct qvault *v, struct qvault_opener **opener);
int qvault_hold(struct qvault *v);
int qvault_held(struct qvault *v, struct qvault_disk_anchor *record);
void qvault_hold_end(struct qvault *v);
/* Context: commit_mutex. */
void __qvault_hold_end(struct qvault *v);
int qvault_release(struct qvault *v, u64 sequence);

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
int qvault_line_rekey(struct qvault *v, struct qvault_anchor *next,
		      struct qvault_opener **opener);
int qvault_line_look(struct qvault *v);
int qvault_line_repeat(struct qvault *v);
int qvault_line_resize(struct qvault *v, const struct qvault_geometry *geo);
int qvault_line_unbroken(struct qvault *v);
u64 qvault_jump(u64 version, u32 part);
u64 qvault_new_versions(struct qvault *v, u32 count);
bool qvault_lease_low(const struct qvault *v);
bool qvault_lease_out(const struct qvault *v);

/* ---- Between hosts (share.c) --------------------------------------------- */

struct qvault_share {
	struct qvault_disk_claim *seen;	/* Locking: share_mutex */
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];	/* of our claim; constant while attached */
	u64 half;			/* of the settle time, in ns; 0: not shared; likewise */
	/*
	 * When a look began that has found it ours, in ns; 0: none.  Read without a lock:
	 * a stale one is older, and who finds it too old looks again.
	 */
	atomic64_t looked;
};

int qvault_share_init(struct qvault *v);
void qvault_share_exit(struct qvault *v);
int qvault_share_begin(struct qvault *v);
int qvault_share_look(struct qvault *v);
void qvault_share_forget(struct qvault *v);

/* ---- Commit, checkpoint, recovery --------------------------------------- */

int qvault_commit(struct qvault *v);
int qvault_checkpoint_init(struct qvault *v);
int qvault_checkpoint(struct qvault *v);
/* Context: checkpoint_mutex. */
int __qvault_checkpoint(struct qvault *v);
int qvault_checkpoint_since(struct qvault *v, u64 seen);
/* Context: checkpoint_mutex; nothing else uses the vault. */
int qvault_checkpoint_replay(struct qvault *v, struct qvault_replay *r);
int qvault_checkpoint_unasked(struct qvault *v);
int qvault_attach(struct qvault *v, struct qvault_disk_anchor *record);
int qvault_detach(struct qvault *v);
int qvault_suspend(struct qvault *v);
int qvault_resume(struct qvault *v);
void qvault_forked(struct qvault *v);
void qvault_set_limits(struct qvault *v);
int qvault_grow(struct qvault *v, u64 data_blocks, u64 logical_blocks);
int qvault_grow_to_table(struct qvault *v);

/* commit.c, for checkpoint.c only. */
int __qvault_commit(struct qvault *v, struct qvault_page *spare);
int __qvault_anchor_tree(struct qvault *v, struct qvault_anchor *next);

#endif
