/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vault for the suites: the module's own platform over two disks in memory,
 * with fixed keys and without a dm table.  Nothing here may become corrupt: a
 * report would look for the table.
 */
#ifndef QVAULT_TESTS_WORLD_H
#define QVAULT_TESTS_WORLD_H

#include <kunit/test.h>

#include "platform.h"

struct memdisk {
	struct gendisk *disk;
	u8 *data;
	u64 blocks;
	u32 reads, writes, flushes, fuas;
};

struct world {
	struct qvault_volume *vol;
	struct memdisk data, anchor;
};

/* Key, UUID and generation of all suites, and of the vectors in format_kunit.c. */
void world_master(u8 master[QVAULT_MASTER_KEY_SIZE]);
void world_uuid(u8 uuid[QVAULT_UUID_SIZE]);
void world_generation(struct qvault_disk_generation *disk, enum qvault_mac mac);
/* Unlocked, with that generation as number 0; freed with the test. */
struct qvault_crypto *world_crypto(struct kunit *test, enum qvault_mac mac);
/* The first record of a volume that has it, but for its MAC. */
void world_record(struct kunit *test, struct qvault_crypto *crypto,
		  struct qvault_disk_anchor *disk, u64 data_blocks, u32 log_blocks);

/* A vault that was formatted and not attached; freed with the test. */
struct world *world_new(struct kunit *test, u64 data_blocks, u32 log_blocks);
void world_attach(struct kunit *test, struct world *w);
/* Fill @count blocks from @logical with what @stamp and their number say. */
void world_write(struct kunit *test, struct world *w, u64 logical, u32 count,
		 u32 stamp);
/* Stamp of a block, 0 for zeros; fails if it is torn or another's. */
u32 world_read(struct kunit *test, struct world *w, u64 logical);

#endif
