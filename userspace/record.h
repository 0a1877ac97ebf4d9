/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Anchor records as the tool sees them.  No I/O and no allocation here, so that
 * the parser can be fuzzed: until its MAC is verified a record is any 4 KiB that
 * somebody put on a device.
 */
#ifndef QVAULT_RECORD_H
#define QVAULT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "geometry.h"

enum ctl_slot_state {
	CTL_SLOT_EMPTY,			/* all zeros */
	CTL_SLOT_FOREIGN,		/* no magic */
	CTL_SLOT_VERSION,		/* a format that we do not know */
	CTL_SLOT_DAMAGED,		/* magic, but impossible contents */
	CTL_SLOT_FEATURES,		/* incompatible ones that we do not know */
	CTL_SLOT_RECORD,		/* may be believed if its MAC verifies */
	CTL_SLOT_UNREADABLE,
};

struct ctl_pointer {
	uint64_t version;		/* 0: nothing there */
	uint64_t where;
	uint8_t generation;
	uint8_t below;			/* generations below it, a bit for each */
};

struct ctl_generation {
	bool exists;
	uint8_t cipher;
	uint8_t mac;
};

struct ctl_record {
	uint32_t format;
	uint32_t incompat;
	uint32_t ro_compat;		/* not zero: it may only be read */
	uint32_t sector_size;
	uint8_t uuid[QVAULT_UUID_SIZE];
	struct qvault_geometry geo;
	uint8_t tree_level;
	uint8_t map_level;
	uint8_t seal;			/* the generation of new blocks */
	struct ctl_generation gen[QVAULT_GENERATIONS];
	uint64_t time;			/* of the record, seconds since 1970 */
	uint64_t sequence;
	uint64_t epoch;
	uint64_t lease;
	uint64_t log_tail;
	uint64_t log_head;
	uint64_t commit;
	struct ctl_pointer tree;
	struct ctl_pointer map;
	struct ctl_pointer log;
	uint32_t inline_bytes;
	uint32_t settle;		/* seconds; 0: not shared between hosts */
};

struct ctl_slots {
	struct qvault_disk_anchor disk[QVAULT_ANCHOR_SLOTS];
	int error[QVAULT_ANCHOR_SLOTS];	/* why one could not be read; else 0 */
};

/**
 * ctl_record_parse() - look at one slot
 * @disk: its contents
 * @slot: which of the two; a record belongs to one of them only
 * @record: filled in as far as could be read
 * @why: set for CTL_SLOT_DAMAGED: what is impossible
 *
 * Does not verify the MAC.
 */
enum ctl_slot_state ctl_record_parse(const struct qvault_disk_anchor *disk,
				     uint32_t slot, struct ctl_record *record,
				     const char **why);

/* The name of a MAC; NULL if it is not known. */
const char *ctl_mac_name(uint32_t mac);

/* The MAC of a name; 0 if there is none. */
uint32_t ctl_mac_find(const char *name);

/* The MAC of new blocks. */
static inline uint32_t ctl_record_mac(const struct ctl_record *r)
{
	return r->gen[r->seal].mac;
}

/*
 * The first record of a new vault, but for what needs keys: the secret of its
 * generation 0, the key check value and the MAC.
 */
void ctl_record_new(struct qvault_disk_anchor *disk, const uint8_t *uuid,
		    enum qvault_mac mac, uint64_t now,
		    const struct qvault_geometry *geo);

#endif
