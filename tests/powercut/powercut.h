/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real power cuts: a virtual machine is killed as it writes, and its storage
 * forgets at random what was not flushed.
 *
 *   ops.c      what is written: anybody can work it out from the seed
 *   guest.c    process 1 of the machine: reads all, says what it found, writes
 *   storage.c  the two disks, with a volatile cache, over NBD
 *   check.c    is what was found what may be there?
 *   powercut.c the one program for all of it
 */
#ifndef POWERCUT_H
#define POWERCUT_H

#include "../lib/qvtest.h"

#define THREADS		4u
#define REGION		1100u	/* blocks that one thread has for itself */
#define BLOCKS		(THREADS * REGION)

/* ---- ops.c -------------------------------------------------------------- */

enum op_kind {
	OP_WRITE,
	OP_FUA,
	OP_ZERO,
	OP_FLUSH,
};

struct op {
	enum op_kind kind;
	u32 lba, count;
};

#define MAX_COUNT	32u

/* One thread has one operation under way at a time, so its order is known. */
struct op op_at(u64 seed, u32 boot, u32 thread, u32 index);
void op_fill(u64 seed, u32 boot, u32 thread, u32 index, u32 lba, void *block);

enum content {
	CONTENT_ZERO,
	CONTENT_WRITTEN,
	CONTENT_GARBAGE,
	CONTENT_ERROR,
};

/* What stands in a block: who wrote it. */
struct found {
	u32 content;
	u32 boot;
	u32 op;
	u32 reserved;
};

struct found op_read(u32 lba, const void *block);

#define REPORT_BYTES	(BLOCKS * sizeof(struct found))
#define REPORT_BLOCKS	((REPORT_BYTES + BLOCK - 1) / BLOCK)

/* ---- The three parts ---------------------------------------------------- */

int guest_main(void);
int storage_main(int argc, char **argv);
int check_main(int argc, char **argv);

#endif
