/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest programs of the checks share: device-mapper by ioctl, direct
 * I/O, random numbers, and a second, independent reading of the format.
 *
 * Every function that can fail returns 0 or a negative errno unless it says
 * otherwise; die() is for what a test cannot go on without.
 */
#ifndef QVTEST_H
#define QVTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../dm-qvault/engine/geometry.h"

#define BLOCK	QVAULT_BLOCK_SIZE
#define MAX_IO	256u		/* blocks of one request */

/* ---- util.c ------------------------------------------------------------- */

void die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
double now(void);
void *block_buffer(size_t blocks);

/* xoshiro-style generator: the same seed gives the same run everywhere. */
struct prng {
	u64 s[4];
};
void prng_seed(struct prng *p, u64 seed);
u64 prng_next(struct prng *p);
u64 prng_below(struct prng *p, u64 limit);
bool prng_chance(struct prng *p, u32 percent);
void prng_fill(struct prng *p, void *buf, size_t bytes);

u32 crc32c(u32 crc, const void *buf, size_t bytes);

int open_direct(const char *path, int flags);
int read_blocks(int fd, u64 block, void *buf, size_t count);
int write_blocks(int fd, u64 block, const void *buf, size_t count);
int write_blocks_fua(int fd, u64 block, const void *buf, size_t count);
int discard_blocks(int fd, u64 block, u64 count);
u64 device_blocks(int fd);
/* "major:minor" of a block device, for a table line. */
const char *device_number(const char *path, char out[32]);

/* ---- dm.c --------------------------------------------------------------- */

struct dm_line {
	u64 start, sectors;
	const char *target;
	const char *args;
};

/* Where the node of a mapped device is; a static buffer for each of a few. */
struct dm_dev {
	char name[64];
	char path[32];			/* /dev/dm-N */
	char number[32];		/* major:minor */
};

int dm_create(struct dm_dev *dev, const char *name, const struct dm_line *line,
	      int lines, bool read_only);
int dm_create1(struct dm_dev *dev, const char *name, u64 sectors,
	       const char *target, bool read_only, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
int dm_reload(struct dm_dev *dev, const struct dm_line *line, int lines,
	      bool read_only);
int dm_suspend(struct dm_dev *dev, bool noflush);
int dm_resume(struct dm_dev *dev);
int dm_remove(struct dm_dev *dev);
int dm_remove_deferred(struct dm_dev *dev);
int dm_message(struct dm_dev *dev, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A message that is answered. */
int dm_ask(struct dm_dev *dev, char *answer, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int dm_status(struct dm_dev *dev, bool table, char *buf, size_t size);

/* ---- vault.c ------------------------------------------------------------ */

/* The keys of one generation, derived here and not by the module. */
struct vault_generation {
	u8 data[64], meta[64], mac[32];
	u8 nh[QVAULT_NH_KEY_SIZE], nh_aes[32];
	enum qvault_mac mac_type;	/* 0: there is none of this number */
};

/* ... and of one volume. */
struct vault_keys {
	u8 anchor[32], wrap[32], check[QVAULT_CHECK_SIZE];
	struct vault_generation gen[QVAULT_GENERATIONS];
	u8 seal;			/* the one of new blocks */
};

struct vault_params {
	u8 uuid[QVAULT_UUID_SIZE];
	u8 master[QVAULT_MASTER_KEY_SIZE];
	u8 secret[QVAULT_SECRET_SIZE];	/* of generation 0 */
	u64 data_blocks;
	u64 logical_blocks;
	u32 log_blocks;
	enum qvault_mac mac_type;
};

extern const char vault_key_name[];	/* ":64:logon:qvault:test" */

/* $QVAULT_MAC chooses the MAC, if it is there: a name as for qvault-ctl --mac. */
void vault_default_params(struct vault_params *p, u64 data_blocks,
			  u32 log_blocks, struct qvault_geometry *geo);
/* The keys of the volume as vault_format() makes it: with generation 0 alone. */
void vault_derive(const struct vault_params *p, struct vault_keys *keys);
/* Those of the generations that a record has; false if one does not unwrap. */
bool vault_generations(struct vault_keys *keys, const struct qvault_disk_anchor *a);
void vault_add_key(const struct vault_params *p);
/* Its master key under another name: that of a table line. */
void vault_add_key_named(const struct vault_params *p, const char *name);
/* Fill an anchor of QVAULT_ANCHOR_BLOCKS as format does. */
void vault_format(const struct vault_params *p, void *anchor);
bool vault_anchor_valid(const struct vault_keys *keys,
			const struct qvault_disk_anchor *a);
/* Of an anchor of QVAULT_ANCHOR_BLOCKS; and its newest valid record, or NULL. */
struct qvault_disk_anchor *vault_slot(const void *anchor, u32 slot);
const struct qvault_disk_anchor *vault_newest(const struct vault_keys *keys,
					      const void *anchor);
void vault_sign_anchor(const struct vault_keys *keys,
		       struct qvault_disk_anchor *a);
/*
 * Make @record, of @parent, that of a clone with UUID and master key of @clone: the same
 * secrets, wrapped for it, and one more generation, which seals.
 */
void vault_clone(const struct vault_params *parent, const struct vault_params *clone,
		 struct qvault_disk_anchor *record);
/* The record that a vault in use holds; or a negative errno. */
int vault_held(struct dm_dev *vault, struct qvault_disk_anchor *record);
/* Under the generation that seals; it goes into @where of the pointer. */
void vault_seal(const struct vault_keys *keys, enum qvault_kind kind, u64 id,
		u64 version, const void *plain, void *cipher,
		u8 tag[QVAULT_TAG_SIZE]);
/* False if the tag is wrong, or there is no such generation. */
bool vault_open(const struct vault_keys *keys, enum qvault_kind kind, u64 id,
		const struct qvault_disk_ptr *ptr, const void *cipher,
		void *plain);

/* A structure that the anchored state reaches. */
struct vault_item {
	enum qvault_kind kind;
	u32 level;
	u64 id;			/* logical block, node index or log sequence */
	u64 block;		/* where it is on the data device */
	u32 copy;		/* 1: the second place of a node that stands twice */
	struct qvault_disk_ptr ptr;
};

struct vault_walk {
	struct vault_item *item;
	size_t nr, room;
	size_t bad;		/* structures whose tag was wrong */
	char first_bad[128];
};

/*
 * Everything that the newest anchor record reaches on the image of a data
 * device: log, tree, map, data. Where the log names a block that the tree
 * names too, both are listed; @current tells by logical block which counts.
 */
void vault_walk(struct vault_walk *walk, const struct vault_keys *keys,
		const struct qvault_geometry *geo, const void *anchor,
		const void *data, struct qvault_disk_ptr *current);
void vault_walk_free(struct vault_walk *walk);

static inline u64 le(__le64 x)
{
	return x;	/* the laboratories are little-endian */
}

#endif
