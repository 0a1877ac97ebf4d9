/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations on a vault while a fault comes.
 *
 *   faults.c    the faults, what must be true afterwards, and what every vault does
 *   changes.c   what changes a vault
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "../lib/qvtest.h"

#define BLOCKS	64		/* that the tests use */

struct lab {
	struct vault_params params;
	struct qvault_geometry geo;
	u64 device_blocks;
	u32 key;		/* that opens it */
	bool either;		/* or the other one: a change has failed */
	char data[32], anchor[32];
	const char *data_path, *anchor_path;
	struct dm_dev vault;
	struct prng prng;
	int fd;
	u8 *buf;
	/* Number that a block's contents carry: of the last write that was
	 * acknowledged by a flush, that ended well, and that was tried.
	 */
	u32 durable[BLOCKS], written[BLOCKS], tried[BLOCKS];
	u32 number;
	u64 injected, failed, went_on, stopped;
	/* The device whose n-th request fails; NULL: the n-th allocation does. */
	struct dm_dev *probe, probes[2];	/* of data and of the anchor */
	const char *when;
	u64 failed_before, flushes_before;
	const struct operation *operation;
};

struct operation {
	const char *name;
	bool (*run)(struct lab *l, u32 n);	/* true: a fault was injected */
	bool silent;	/* it may end well although a request failed */
	bool heals;	/* or if it was for a node that stands twice */
	/* Or if it was read ahead: who needs it reads it once more. */
	bool guesses;
	bool commits;	/* it is no more than a commit */
};

/* ---- faults.c ----------------------------------------------------------- */

void check(int err, const char *what);
const char *key_name(u32 key);
void begin_anew(struct lab *l, u64 data_blocks);
void line_of(struct lab *l, struct dm_line *line, char *args, size_t size);
void attach(struct lab *l);
void detach(struct lab *l);
int put(struct lab *l, u32 lba);
void verify(struct lab *l, const char *after);
void verify_live(struct lab *l, const char *after);
void arm(struct lab *l, u32 n);
void must_be_right(struct lab *l);
void must_have_written_anew(struct lab *l);
bool result(struct lab *l, int err);
void dirty(struct lab *l);
bool with_data(struct lab *l, u32 n, const char *name,
		      int (*operation)(struct lab *l));
int do_checkpoint(struct lab *l);
int do_fsync(struct lab *l);

/* ---- changes.c ---------------------------------------------------------- */

bool run_generation(struct lab *l, u32 n);
bool run_key_change(struct lab *l, u32 n);
bool run_hold(struct lab *l, u32 n);
bool run_repair(struct lab *l, u32 n);
bool run_wipe(struct lab *l, u32 n);
bool run_growth(struct lab *l, u32 n);
bool run_attach_grows(struct lab *l, u32 n);
bool run_heal(struct lab *l, u32 n);

#endif
