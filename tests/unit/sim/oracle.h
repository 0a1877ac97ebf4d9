/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a vault must contain, and when.
 *
 * Time counts the moments at which changes of the mapping took effect (under
 * the engine's map_lock).  Each block has a history of values; a commit is a
 * time.  After a crash a new oracle looks at an older one up to the time of the
 * commit that was found, so that futures branch without copying anything.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H
#include "qvault.h"
#include "map64.h"

struct effect {
	u64 time;
	u64 value;			/* 0: zeros */
	u64 version;
};

struct history {
	struct effect *effect;
	u32 nr, max;
};

/* An anchor record that was handed to the device, and the state it stands for. */
struct record {
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];
	u64 sequence;
	u64 time;
};

struct oracle {
	const struct oracle *parent;	/* what was before the last crash */
	u64 parent_time;		/* up to when */
	u64 logical_blocks;
	u64 *known;			/* blocks that have a history: few of many */
	u32 nr_known, max_known;
	u64 now;
	u64 acked;			/* a crash must not undo what was then */
	u64 cut;			/* what the next anchor record covers */
	struct history *history;	/* of each block; NULL: no effect yet */
	struct record *record;
	u32 nr_records, max_records;
};

void oracle_init(struct oracle *o, u64 logical_blocks,
		 const struct oracle *parent, u64 parent_time);
void oracle_exit(struct oracle *o);
void oracle_effect(struct oracle *o, u64 logical, u64 value, u64 version);
/* The state of a block at a time. */
struct effect oracle_at(const struct oracle *o, u64 logical, u64 time);
/* Was this value the block's at any time from @from to @to? */
bool oracle_was(const struct oracle *o, u64 logical, u64 value, u64 from,
		u64 to);
/* Did anything happen to the block after @from, up to now? */
bool oracle_changed(const struct oracle *o, u64 logical, u64 from);
void oracle_record(struct oracle *o, const struct qvault_disk_anchor *disk,
		   u64 time);
const struct record *oracle_find(const struct oracle *o,
				 const struct qvault_disk_anchor *disk,
				 const struct oracle **owner);
/*
 * Make @o, whose future is cut off at @time, the past of what follows: forget
 * later effects.
 */
void oracle_rewind(struct oracle *o, u64 time);

/* The contents that a value stands for. */
void value_fill(u64 logical, u64 value, u64 *data);
bool value_equal(u64 logical, u64 value, const u64 *data);
/* Does it begin as the contents of some value other than 0 do? */
bool value_seen(const u64 *data);
#endif
