/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The adversary owns the data device and has kept all it ever saw.
 *
 *   world.c      two vaults under one key, and what their devices looked like at
 *                several moments
 *   judge.c      attach, read, compare: right, refused, or wrong
 *   attack.c     every structure, every forgery
 *   adversary.c  the scenes, the count
 */
#ifndef ADVERSARY_H
#define ADVERSARY_H

#include "../lib/qvtest.h"

#define MAX_SNAPSHOTS	16

/* The devices at one moment, and what the volume then read as. */
struct snapshot {
	u8 *data;			/* sparse */
	u8 *anchor;			/* both slots */
	u8 *logical;			/* sparse */
	struct qvault_disk_ptr *current;
	struct vault_walk walk;
	u64 *used;			/* device blocks that are not zero */
	u32 nr_used;
};

struct world {
	struct vault_params params;
	struct vault_keys keys;
	struct qvault_geometry geo;
	struct dm_dev data, anchor, vault;
	int data_fd, anchor_fd;
	struct prng prng;

	u32 *lba;			/* ascending: written, and some that never were */
	u32 nr_lba;
	u8 *written;			/* by logical block: may be written */
	u8 *logical;			/* while a workload runs */

	struct snapshot snap[MAX_SNAPSHOTS];
	u32 nr_snaps;
	u32 clean, crashed;		/* the snapshots that are attacked */
	struct snapshot other;		/* another vault under the same key */
};

void world_build(struct world *w, u64 data_blocks, u64 seed);
int world_attach(struct world *w, bool read_only);
void world_detach(struct world *w, int fd);
void put_back(struct world *w, const struct snapshot *s);

struct verdict {
	u64 attacks, refused, harmless, bad;
};

/* What came of one attack. */
enum outcome {
	HARMLESS,			/* all that was read is right */
	REFUSED,			/* EILSEQ at an attach or a read */
	WRONG,
};

enum outcome judge_reads(struct world *w, int fd, const u8 *logical,
			 const u32 *lba, u32 nr);
enum outcome judge_read_only(struct world *w, const struct snapshot *scene,
			     const u32 *lba, u32 nr);
enum outcome judge_in_use(struct world *w, const struct snapshot *scene);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern char attack_name[160];

void attack_at_rest(struct world *w, const struct snapshot *scene,
		    const char *name, u32 flips, struct verdict *v);
void attack_in_use(struct world *w, const struct snapshot *scene,
		   const char *name, u32 count, struct verdict *v);
void attack_live(struct world *w, const struct snapshot *scene, u32 flips,
		 struct verdict *v);
void attack_racing(struct world *w, const struct snapshot *scene, u32 reads,
		   struct verdict *v);

#endif
