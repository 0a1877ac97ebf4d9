/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The adversary owns the data device and has kept all it ever saw.
 *
 *   world.c      two vaults under one key, and what their devices looked like at
 *                several moments
 *   judge.c      attach, read, compare: right, refused, or wrong
 *   attack.c     every structure, every forgery
 *   damage.c     every kind of block, and what must come of it
 *   scenes.c     when: suspended, resized, with other anchors, two-faced
 *   history.c    the whole device at every earlier commit
 *   adversary.c  the scenes, the count
 */
#ifndef ADVERSARY_H
#define ADVERSARY_H

#include <fcntl.h>

#include "../lib/qvtest.h"

#define MAX_SNAPSHOTS	16

/* The devices at one moment, and what the volume then read as. */
struct snapshot {
	u8 *data;			/* sparse */
	u8 *anchor;			/* QVAULT_ANCHOR_BLOCKS */
	u8 *logical;			/* sparse */
	struct qvault_disk_ptr *current;
	struct vault_walk walk;
	u64 *used;			/* device blocks that are not zero */
	u32 nr_used;
};

struct world {
	struct vault_params params;
	struct vault_keys keys;
	const char *key;		/* its name in a table line */
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
	/* A clone of snap[cloned], with its anchor, lived on by itself. */
	struct snapshot clone[2];
	u32 cloned;
	/* Another, made as the tool does: own UUID, own key, a generation of its own. */
	struct snapshot child[2];
	struct vault_params child_params;
	u32 sample;			/* percent of structures that are attacked */
	struct snapshot other;		/* another vault under the same key */
};

void world_build(struct world *w, u64 data_blocks, u64 seed);
void world_end(struct world *w);
int world_attach(struct world *w, bool read_only);
void world_write_some(struct world *w, int fd, u32 percent);
void world_write_few(struct world *w, int fd);
void world_detach(struct world *w, int fd);
void put_back(struct world *w, const struct snapshot *s);
/* Whose keys are used: the child's or the parent's. */
void world_is_child(struct world *w, bool child);

struct verdict {
	u64 attacks, refused, harmless, bad;
};

/* What came of one attack. */
enum outcome {
	HARMLESS,			/* all that was read is right */
	REFUSED,			/* EILSEQ at an attach or a read */
	WRONG,
};

/* What was done, for the count. */
enum forgery {
	FLIP, FILL, SIBLING, ELSEWHERE, EARLIER, GENERATION, CLONED, CHILD, PARENT,
	OTHER_VAULT, TORN, SLOTS, SEVERAL, RACE, TWO_FACES, RESIZED, ANCHOR, DAMAGE,
	WHOLE, NR_FORGERIES,
};

extern struct verdict by_forgery[NR_FORGERIES];
extern const char *const forgery_name[NR_FORGERIES];

/* When a forgery is made, and when it is looked at. */
enum moment {
	AT_REST,			/* before an attach */
	LIVE,				/* while attached */
	SUSPENDED,			/* and looked at after the resume */
};

struct attacker {
	struct world *w;
	const struct snapshot *scene;
	struct verdict *v;
	const char *where;		/* scene's name */
	enum moment moment;
	enum forgery forgery;
	int fd;				/* of the attached vault, if not AT_REST */
	u32 *affected, nr_affected;
	u64 changed[64];		/* device blocks to put back */
	u32 nr_changed;
	u8 *buf;
};

void attack_begin(struct attacker *a, struct world *w,
		  const struct snapshot *scene, const char *where,
		  struct verdict *v);
void attack_end(struct attacker *a);
void attack_count(struct attacker *a, enum outcome outcome);
void attack_affect(struct attacker *a, const struct vault_item *item);
void attack_all_of(struct attacker *a, const struct vault_item *item, u32 flips);
bool attack_sampled(struct world *w, const struct vault_item *item, u32 data);
const u8 *attack_original(const struct attacker *a, u64 block);

enum outcome judge_reads(struct world *w, int fd, const u8 *logical,
			 const u32 *lba, u32 nr);
enum outcome judge_read_only(struct world *w, const struct snapshot *scene,
			     const u32 *lba, u32 nr);
enum outcome judge_in_use(struct world *w, const struct snapshot *scene);
/* An attach or a read may fail with one of these, and with EILSEQ. */
extern int judge_also[8];
enum outcome judge_error(int err, const char *what);
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
void attack_suspended(struct world *w, const struct snapshot *scene,
		      bool read_only, u32 flips, struct verdict *v);
void attack_resized(struct world *w, const struct snapshot *scene,
		    struct verdict *v);
void attack_anchor(struct world *w, const struct snapshot *scene,
		   struct verdict *v);
void attack_two_faced(struct world *w, const struct snapshot *scene,
		      struct verdict *v);
void attack_child(struct world *w, struct verdict *v);
void attack_damage(struct world *w, u32 most, struct verdict *v);
/* Did each row of what must come of damage have its turn? */
bool damage_complete(void);
void attack_history(struct world *w, u32 commits, struct verdict *v);

#endif
