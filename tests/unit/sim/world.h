/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A world: one attach of a vault, from power on to detach or power cut, with
 * its scheduler, its devices and what it must contain.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H
#include "device.h"
#include "oracle.h"
#include "sched.h"

/* All that was ever encrypted under the keys, in this future. */
struct tweaks {
	struct tweaks *parent;
	struct map64 seen;		/* version -> id + 1 */
};

/* What the secret of a generation gives; see generation_keys(). */
struct generation_keys {
	struct generation_keys *next;
	bool real;
	u8 secret[QVAULT_SECRET_SIZE];
	enum qvault_mac type;
	u8 xts[2][64];
	u8 mac[32];
	u8 nh[QVAULT_NH_KEY_SIZE], nh_aes[32];
};

/* What a master key opens. */
struct qvault_opener {
	u8 anchor_mac[32], wrap[32], check[32];
};

struct qvault_crypto {
	bool real;			/* AES and SHA-256, else something quick */
	bool settled;			/* the keys are those of @uuid, for good */
	u8 uuid[QVAULT_UUID_SIZE];
	bool wiped;			/* nobody gets any key */
	u8 master[QVAULT_MASTER_KEY_SIZE];
	struct qvault_opener own;
	const struct generation_keys *gen[QVAULT_GENERATIONS + 1];
	u32 holders;
	struct tweaks *tweaks;		/* NULL: not watched */
};

struct faults {
	u64 fail_io_at;			/* n-th I/O of the world, 0: none */
	u32 fail_io;			/* percent */
	u32 fail_writes;		/* percent, of the data device */
	u32 fail_meta;			/* percent of writes of log blocks and nodes */
	bool fail_anchor;		/* also on the anchor device */
	u32 lie;			/* percent of reads that get wrong contents */
	u32 misdirect;			/* percent of writes that are lost, or go astray */
	bool adversary;			/* the data device is in his hands */
};

/* What the newest durable anchor record reaches: must not be overwritten. */
struct reach {
	bool valid;
	unsigned long *bits;		/* of blocks of the data device */
	u64 nr_blocks;			/* that it had then: it may have grown */
};

/* A write that the engine has given versions to; see ops.c. */
struct active_write {
	struct list_head list;
	struct qvault_write *w;
	const u64 *value;
	u32 applied;			/* blocks that took effect */
};

struct world {
	struct sched sched;
	struct qvault v;
	struct qvault_dev data;
	struct qvault_dev anchor;
	struct qvault_crypto crypto;
	struct tweaks tweaks;
	struct oracle oracle;
	struct faults faults;

	u32 slow;			/* percent of reads that take very long */
	struct io **inflight;
	u32 nr_inflight, max_inflight;
	u64 nr_ios;
	u64 read_rounds;		/* times that the engine waited for reads */
	bool faulted;			/* an I/O has failed or lied */
	bool damaged;			/* writes may have gone astray, now or before */
	bool given_up;			/* blocks were, now or before */

	u32 nr_bufs, most_bufs;		/* buffers that are out, and ever were */
	/* Of them, when memory is short: so many for each use. */
	u32 reserve[QVAULT_NR_USES], reserve_left[QVAULT_NR_USES];
	u32 shortage;			/* percent of allocations that find none */
	wait_queue_head_t buf_wait;

	bool kicked, trim_kicked, stopping, stopped, trim_stopped;
	u64 nr_discards;		/* calls */
	unsigned long *discarded;	/* blocks; or NULL: nobody wants to know */
	wait_queue_head_t kick_wait;
	u64 ahead[64];			/* leaves that were asked for */
	u32 nr_ahead;
	bool attached;
	bool ephemeral;
	u32 generations;		/* begun by its tasks */
	struct task *walker;		/* who makes steps of a walk, or NULL */

	struct list_head writes;	/* struct active_write */
	struct reach reach[2];		/* newest durable, and the one on its way */
	bool anchor_unknown;		/* an anchor write failed */

	u64 corruptions, failures, taken, bad_slots, mended, halves;
	bool expect_corruption, expect_failure, expect_no_memory, expect_taken;
	bool expect_mended;
	bool expect_data_loss;		/* corruption of data blocks only */
	bool rotten;			/* nodes may be: see rot.c */
	bool half_rotten;		/* one copy of nodes may be, which harms nobody */
	bool carrying;			/* entries are logged again */
	u64 held;			/* sequence of the record that was, last; 0: none */
	u64 dead_keys;			/* that open nothing any more, a bit for each */
	u64 overfull;			/* checkpoints that could not carry it all */
	struct fork *fork;		/* or NULL */
	void (*on_wait)(struct world *world);	/* somebody waits for other hosts */
	bool interrupted;		/* who waits for them is told to stop */
	bool unlucky;			/* who asks for a random number gets 0 */

	/* Called whenever what a crash could leave has changed. */
	void (*on_io)(struct world *world, const struct io *io, bool completed);
	void *sim;
	struct rng choice;		/* what to try out, and when */
	u32 depth;			/* of crashes, since the trunk */
};

extern struct world *world_current;

void world_init(struct world *world, u64 seed);
/* How many buffers more than the least there are when memory is short. */
void world_reserve(struct world *world, u32 more);
/* Ends a world that has detached cleanly, and complains of leaks. */
void world_exit(struct world *world);
/* Ends it as it is. */
void world_crash(struct world *world);
/* Runs its tasks to their end. */
void world_run(struct world *world);

/* An I/O that the running task does not wait for here. */
void world_submit(struct world *world, struct io *io);
int world_io_wait(struct io *io);
void check_data_place(struct world *world, u64 block);

/* crypto.c */
void crypto_init(struct qvault_crypto *crypto, bool real, struct tweaks *tweaks);
/* To read what a volume of this UUID has on its anchor device. */
void crypto_unlock(struct qvault_crypto *crypto, const u8 *uuid);
struct qvault_opener *crypto_opener(const struct qvault_crypto *crypto, const u8 *uuid,
				    const u8 master[QVAULT_MASTER_KEY_SIZE]);
/*
 * Master keys of the volumes here, by number.  crypto_init() gives the first one;
 * crypto_key_of() returns CRYPTO_KEYS for a check value of none of them.
 */
#define CRYPTO_KEYS 64
const struct qvault_opener *crypto_key(bool real, u32 key);
u32 crypto_key_of(bool real, const u8 check[QVAULT_CHECK_SIZE]);
void crypto_use_key(struct qvault_crypto *crypto, u32 key);
/* What the tool does: the first generation, and the MAC of the first record. */
void crypto_format(struct qvault_crypto *crypto, struct qvault_disk_anchor *disk,
		   enum qvault_mac mac);
void crypto_sign(struct qvault_crypto *crypto, struct qvault_disk_anchor *disk);
extern void (*crypto_after_mac)(void);
/* OpenSSL, as the real ciphers use it. */
void crypto_xts(const u8 *key, bool encrypt, const u8 tweak[16],
		const void *src, void *dst, u32 bytes);
void crypto_hkdf(const u8 *key, u32 key_bytes, const u8 *salt, u32 salt_bytes,
		 const u8 *info, u32 info_bytes, u8 *out, size_t bytes);

/* A node or map block whose contents have changed at rest; see rot.c. */
struct rot {
	enum qvault_kind kind;
	u32 level;
	u64 index;
	u32 copy;
	u64 block;
	struct block *was, *bad;
	bool half;			/* the other copy is good */
};
struct rot_list {
	struct rot item[8];
	u32 nr;
	bool ever;
};
extern struct rot_list *rot_current;	/* NULL: none */
struct block *rot_true(struct block *b);
bool rot_was(const struct qvault_dev *data, u64 block);

/* walk.c */
struct mapping {
	u64 version, where;
	u32 gen;
};
struct walk {
	struct qvault_crypto crypto;
	const struct qvault_dev *data;
	struct qvault_geometry geo;
	unsigned long *bits;		/* reached blocks */
	struct mapping *map;		/* of each logical block */
	struct rot *node;		/* nodes and map blocks reached */
	u32 nr_nodes, max_nodes;
	u32 below_rot;			/* rotten nodes above the one at hand */
	unsigned long *lost;		/* blocks below rot that cannot be followed */
	bool lost_map;
	u64 max_version;
	char why[160];
};
/* The newest record on an anchor device whose MAC is right, or NULL. */
const struct qvault_disk_anchor *newest_record(const struct qvault_crypto *crypto,
					       const struct qvault_dev *anchor);
/* Follows @record through what is durable.  False, and @why, if it cannot. */
bool walk(struct walk *walk, const struct qvault_crypto *crypto,
	  const struct qvault_dev *data, const struct qvault_disk_anchor *record);
void walk_exit(struct walk *walk);

#endif
