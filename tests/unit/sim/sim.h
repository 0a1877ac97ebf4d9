/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulator: lives of a vault, one after the other, each ended by a detach
 * or a power cut; and at the I/Os of each, what a power cut there would leave.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H
#include "world.h"

/* What one seed means; every field may be set from the command line too. */
struct params {
	u64 seed;
	u64 data_blocks, logical_blocks;
	u32 log_blocks;
	u32 lives;
	u32 clients;
	u32 ops;			/* of each client */
	u32 max_len;			/* of a write */
	u32 explore;			/* permille of I/Os at which to crash */
	u32 adversary;			/* percent of those states he gets */
	u32 faults;			/* percent of lives with faults */
	u32 reserve;			/* buffers more than the least, when memory is short */
	u32 shortage;			/* percent of allocations that find no memory */
	u32 memory_mib;
	u32 other_memory;		/* percent of attaches with more or less of it */
	u32 slow;			/* percent of reads that take very long */
	u32 commits;			/* percent of operations */
	u32 keys;			/* permille of operations: another master key */
	u32 holds;			/* permille: take one, or let go */
	u32 passes;			/* permille: some steps of a walk */
	u32 generations;		/* permille of operations: new keys */
	u32 bursts;			/* percent: of one operation in twenty */
	u32 lazy;			/* percent of hints to checkpoint not taken */
	u32 tight;			/* percent: small caches */
	u32 walk;			/* percent of anchor records to walk */
	bool ephemeral;
	bool discards;			/* pass them down */
	bool real;			/* ciphers */
	bool nhpoly;			/* the MAC nhpoly-aes */
	bool small;			/* nearly the smallest volumes only */
	bool fill;			/* write everything first */
	u32 attacks;			/* on the volume at the end, of each kind */
	u32 forks;			/* percent: memory goes back in the last life */
	u32 copies;			/* percent of states: an ephemeral life on a copy */
	u32 shared;			/* settle time; 0: no other host could be there */
	u32 hostile;			/* percent of I/Os of a last life: lies, writes astray */
	/* Of the second life: the n-th I/O or allocation fails; 0: none. */
	u64 fail_io_at, fail_alloc_at;
	u32 tear;			/* percent of anchor writes torn in every way */
	u32 rot;			/* percent of lives in which nodes rot */
	u32 grow;			/* percent of attaches and resumes at which it grows */
	u64 grow_to;			/* blocks of the data device, in the end */
	u64 max_states;			/* to explore */
	u64 only_state;			/* of the trunk's cuts only this; 0: all */
};

struct totals {
	u64 states;			/* distinct ones, recovered and compared */
	u64 recovery_states;		/* of them, within a recovery */
	u64 attacks, refused, unreadable;
	u64 lives, crashes, detaches, faults;
	u64 ops, blocks_read, records, walks;
	u64 seals;			/* each under a version of its own */
	u64 hostile, lies, astray;	/* lives, reads, writes */
	u64 suspends;
	u64 generations, dropped;	/* begun, and forgotten */
	u64 copies, copy_seals;		/* ephemeral lives on a record, and theirs of seals */
	u64 keys, either_key;		/* changed; states that two keys open */
	u64 holds, holds_kept, holds_ended;
	/* Leaves, walks that ended, blocks sealed anew, and blocks that a repair gave up. */
	u64 steps, passes, moved, given_up;
	u64 elsewhere, forks, fork_seals, fork_repeats, fork_told, fork_alone;
	u64 rotten, carried, overfull;	/* nodes, entries, checkpoints */
	u64 half_rotten, healed;	/* nodes of which one copy was bad */
	u64 grown, raised;		/* volumes; records with a higher root */
	u64 merged, refused_memory;	/* attaches: see attach_with_more() */
	u64 hits;			/* of fail_io_at or fail_alloc_at */
	u64 limit;			/* of states; 0: none */
};

#define SIM_RECENT 16

struct sim {
	struct params p;
	struct rng rng;			/* of the trunk: workload */
	struct rng explore_rng;
	u64 *touched;			/* blocks that ever were not zeros */
	unsigned long *is_touched;
	u32 nr_touched;
	/* What the trunk changed last: the first blocks of it. */
	struct { u64 logical; u32 count; } recent[SIM_RECENT];
	u64 nr_recent;
	u64 nr_states;			/* so far */
	u64 nr_cuts;			/* of them, of the trunk: see only_state */
	struct map64 states;		/* explored: what was on the devices */
	u64 next_value;
	u32 nr_keys;			/* master keys after the first one */
	bool behind;			/* the devices hold another life's state */
	struct rot_list rot;
};

extern struct totals totals;
extern struct sim *sim_current;

/* ops.c */
struct client {
	struct world *world;
	struct rng rng;
	u32 ops;
	u64 next_value;
	void *life;
};
int op_write(struct client *c, u64 logical, u32 count);
int op_unmap(struct client *c, u64 logical, u64 count);
int op_read(struct client *c, u64 logical, u32 count);
int op_commit(struct client *c);
int op_checkpoint(struct client *c);
void op_checkpoint_unasked(struct client *c);
int op_generation(struct client *c);
void op_walk(struct client *c, u32 steps);
void op_random(struct client *c);
void check_error(struct world *world, const char *what, int err, u64 logical, u64 count);
void touch(struct sim *sim, u64 logical);

/* keys.c */
void keys_give(struct world *world, struct rng *rng);
int op_key_change(struct client *c);
void op_hold(struct client *c);

/* explore.c */
bool mapping_is(struct world *world, const struct walk *w, u64 time);
void explore_io(struct world *world, const struct io *io, bool completed);
void explore_anchor(struct world *world, const struct io *io, bool completed);
void protect(struct world *world);
void protect_less(struct world *world);
void explore(struct world *world, u32 depth, bool adversary);
/* Read all of a volume at rest that a hostile storage has had. */
void explore_damaged(struct world *volume);

void attack(struct world *volume, u64 block, struct block *contents);

/* fork.c */
enum fork_role { FORK_NONE, FORK_FIRST, FORK_COPY, FORK_DONE };

struct fork {
	enum fork_role role;
	u64 countdown;			/* I/Os until something is done */
	int fd, pid;
	bool behind;			/* the other has made a record since */
	bool notified;
	u64 sequence, since;		/* of the newest record, and when, at the fork */
	u64 seals_before;
	/* Above these the lives share no version; ~0: no record since. */
	u64 parted, they_parted;
	struct map64 theirs;		/* sealed by the other, since */
	struct world *other;		/* on another machine */
};

struct world *elsewhere(struct world *world);
void elsewhere_check(struct world *world, struct world *other);

void fork_at_io(struct fork *f, struct world *world);
void fork_acked(const struct fork *f, u64 time);
void fork_jumps(struct fork *f, struct world *world);
void fork_end(struct fork *f, struct world *world);
void fork_give_up(struct fork *f, struct world *world);
/* rot.c */
bool rot_at_root(const struct world *world);
bool rot_above(u64 logical, u64 count);
void rot_one(struct world *world);
void rot_heal(struct world *world);
void rot_begin(struct world *world);
void rot_exit(struct rot_list *list);

/* attack.c */
void attack_all(struct world *volume);

/* life.c */
void attach_caches(struct world *world);
void give_memory(struct world *world, struct rng *rng);
int attach_with_more(struct world *world, struct qvault_disk_anchor *record, int err);
void ask_to_grow(struct world *world, struct rng *rng, u32 percent);
void run_seed(struct params *p);
#endif
