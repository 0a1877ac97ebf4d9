/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The platform that the engine asks for, without tasks: devices in memory whose
 * I/O ends at once, and ciphers that are only quick (those of tests/unit/sim).
 */
#ifndef FUZZ_PLATFORM_H
#define FUZZ_PLATFORM_H
#include "world.h"

#define FUZZ_UUID ((const u8 *)"0123456789abcdef")

struct fuzz_dev {
	u64 nr_blocks;
	u8 **base;			/* contents to go back to; NULL: zeros */
	u8 **now;			/* where it differs */
	u64 *touched;			/* blocks that may differ */
	u32 nr_touched;
	bool check;			/* where writes of metadata go */
};

struct fuzz_world {
	struct fuzz_dev data;
	struct fuzz_dev anchor;
	struct qvault_crypto crypto;
	struct qvault v;
	u64 corruptions;
	u64 failures;
};

void fuzz_dev_init(struct fuzz_dev *dev, u64 nr_blocks);
const void *fuzz_dev_at(const struct fuzz_dev *dev, u64 block);
void fuzz_dev_put(struct fuzz_dev *dev, u64 block, const void *contents);
/* Everything written since the last call is the base now, or is forgotten. */
void fuzz_dev_keep(struct fuzz_dev *dev);
void fuzz_dev_reset(struct fuzz_dev *dev);

void fuzz_world_init(struct fuzz_world *w, u64 data_blocks);
/* Makes a record authentic. */
void fuzz_sign(struct fuzz_world *w, struct qvault_disk_anchor *record);
int fuzz_attach(struct fuzz_world *w, bool read_only);
int fuzz_write(struct fuzz_world *w, u64 logical, u32 count, u8 value);
/* Reads one block; -EILSEQ if its contents are not authentic. */
int fuzz_read(struct fuzz_world *w, u64 logical, u8 *value);
#endif
