// SPDX-License-Identifier: GPL-2.0
/*
 * usage: hygiene ivs qvault|crypt [LIVES]     on /dev/ram0 (devices), /dev/ram1 (log)
 *
 * Under one key XTS gives each 16 bytes of a constant plaintext another ciphertext if,
 * and with near certainty only if, no tweak is used twice.  So: write the same block
 * over and over, here and there, and A, B, A to one place; cut the power in the midst
 * of it, that is, put the devices back to what they were at that moment; go on.  Of all
 * that was ever written to the data device, also after the cuts, no 16 bytes may
 * repeat.  dm-crypt, whose tweak is the sector, shows that a repetition is seen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../crash/crash.h"
#include "hygiene.h"

#define BASE	"/dev/ram0"
#define LOGGED	"/dev/ram1"
#define UNIT	16u

struct ivs {
	const char *target;
	struct vault_params params;
	struct qvault_geometry geo;
	struct dm_dev log, data, anchor, vault;
	struct prng prng;
	u8 *snapshot;		/* at the moment of the cut */
	int base;
	u64 writes;
};

static void check(int err, const char *what)
{
	if (err)
		die("ivs: %s: %s", what, strerrorname_np(-err));
}

static void stack(struct ivs *v)
{
	char base[32], log[32];
	u8 *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);

	vault_default_params(&v->params, DATA_BLOCKS, LOG_BLOCKS, &v->geo);
	vault_add_key(&v->params);
	vault_format(&v->params, anchor);
	v->base = open_direct(BASE, O_RDWR);
	check(v->base < 0 ? v->base : 0, BASE);
	check(write_blocks(v->base, DATA_BLOCKS, anchor, QVAULT_ANCHOR_BLOCKS), "format");
	free(anchor);
	check(dm_create1(&v->log, "ivlog", ALL_BLOCKS * QVAULT_SECTORS, "log-writes",
			 false, "%s %s", device_number(BASE, base),
			 device_number(LOGGED, log)), "log-writes");
	check(dm_create1(&v->data, "ivdata", DATA_BLOCKS * QVAULT_SECTORS, "linear", false,
			 "%s 0", v->log.number), "data");
	check(dm_create1(&v->anchor, "ivanchor", QVAULT_ANCHOR_BLOCKS * QVAULT_SECTORS, "linear", false,
			 "%s %u", v->log.number, DATA_BLOCKS * QVAULT_SECTORS), "anchor");
}

static void unstack(struct ivs *v)
{
	check(dm_message(&v->log, "mark end"), "mark");
	check(dm_remove(&v->anchor), "remove");
	check(dm_remove(&v->data), "remove");
	check(dm_remove(&v->log), "remove");
	close(v->base);
}

static void attach_vault(struct ivs *v)
{
	u64 sectors = v->geo.logical_blocks * QVAULT_SECTORS;
	char key[129];
	u32 i;

	if (!strcmp(v->target, "qvault")) {
		check(dm_create1(&v->vault, "ivvault", sectors, "qvault", false,
				 "%s %s %s", v->data.number, v->anchor.number,
				 vault_key_name), "attach");
		return;
	}
	for (i = 0; i < sizeof(v->params.master); i++)
		sprintf(key + 2 * i, "%02x", v->params.master[i]);
	check(dm_create1(&v->vault, "ivvault", sectors, "crypt", false,
			 "aes-xts-plain64 %s 0 %s 0", key, v->data.number), "dm-crypt");
}

static void copy_base(struct ivs *v, bool back)
{
	u32 at, n;

	for (at = 0; at < ALL_BLOCKS; at += n) {
		u8 *buf = v->snapshot + (size_t)at * BLOCK;

		n = ALL_BLOCKS - at < MAX_IO ? ALL_BLOCKS - at : MAX_IO;
		check(back ? write_blocks(v->base, at, buf, n) :
			     read_blocks(v->base, at, buf, n), "copy");
	}
}

static void write_some(struct ivs *v, int fd, u32 steps)
{
	u8 *buf = block_buffer(16);
	u32 n, lba, i;

	while (steps--) {
		/* Always the same, so that only the tweak tells them apart. */
		memset(buf, prng_chance(&v->prng, 20) ? 'B' : 'A', 16 * BLOCK);
		n = 1 + prng_below(&v->prng, 16);
		lba = prng_below(&v->prng, 300);
		check(write_blocks(fd, lba, buf, n), "write");
		v->writes += n;
		for (i = 0; i < 3 && prng_chance(&v->prng, 30); i++) {
			memset(buf, i == 1 ? 'B' : 'A', BLOCK);
			check(write_blocks(fd, 301, buf, 1), "write A, B, A");
			v->writes++;
		}
		if (prng_chance(&v->prng, 25))
			check(fsync(fd) ? -errno : 0, "fsync");
		if (prng_chance(&v->prng, 4) && !strcmp(v->target, "qvault"))
			check(dm_message(&v->vault, "checkpoint"), "checkpoint");
	}
	free(buf);
}

/*
 * One block many times, unflushed before a cut and first after the next attach: were
 * the versions that no record names used again, some of these would have the same
 * version, place and plaintext.
 */
static void write_one(struct ivs *v, int fd, u32 times)
{
	u8 *buf = block_buffer(1);

	memset(buf, 'A', BLOCK);
	v->writes += times;
	while (times--)
		check(write_blocks(fd, 302, buf, 1), "write");
	free(buf);
}

/* What a life does after the cut has been sealed and seen by the storage as well. */
static void life(struct ivs *v, bool cut)
{
	int fd;

	attach_vault(v);
	fd = open_direct(v->vault.path, O_RDWR);
	check(fd < 0 ? fd : 0, v->vault.path);
	write_one(v, fd, 40);
	write_some(v, fd, prng_below(&v->prng, 40));
	write_one(v, fd, 20);
	if (cut)
		copy_base(v, false);
	write_some(v, fd, prng_below(&v->prng, 10));
	close(fd);
	check(dm_remove(&v->vault), "detach");
	if (cut)
		copy_base(v, true);
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* A place for second copies of upper nodes, which are the same as the first ones. */
static bool second_copy(const struct ivs *v, u64 block)
{
	u64 rest = (block - v->geo.groups_start) % QVAULT_GROUP_BLOCKS;

	return !strcmp(v->target, "qvault") && block >= v->geo.groups_start &&
	       rest < QVAULT_GROUP_HEAD &&
	       rest >= QVAULT_GROUP_HEAD - 2 * QVAULT_GROUP_UPPER;
}

/* Half of each 16 bytes: by chance two in 4 million would agree once in 2 million runs. */
static u64 repeated(const struct ivs *v, const struct log *log, u64 *units)
{
	u64 room = 0, nr = 0, again = 0, i, *unit;
	u32 k;

	for (k = 0; k < log->nr; k++)
		room += log->entry[k].sectors * 512 / UNIT;
	unit = malloc((room + 1) * sizeof(*unit));
	if (!unit)
		die("out of memory");
	for (k = 0; k < log->nr; k++) {
		const struct entry *e = &log->entry[k];

		if (e->flags & (LOG_MARK | LOG_DISCARD) ||
		    e->sector >= DATA_BLOCKS * QVAULT_SECTORS)
			continue;
		for (i = 0; i < e->sectors * 512; i += UNIT)
			if (!second_copy(v, (e->sector * 512 + i) / BLOCK))
				memcpy(&unit[nr++], e->data + i, sizeof(*unit));
	}
	qsort(unit, nr, sizeof(*unit), compare);
	for (i = 1; i < nr; i++)
		again += unit[i] == unit[i - 1];
	free(unit);
	*units = nr;
	return again;
}

int ivs_main(int argc, char **argv)
{
	struct ivs v = { .target = argc ? argv[0] : "qvault" };
	u32 lives = argc > 1 ? atoi(argv[1]) : 24, i, cuts = 0;
	u64 units = 0, again;
	struct log log;

	prng_seed(&v.prng, 7);
	v.snapshot = block_buffer(ALL_BLOCKS);
	stack(&v);
	for (i = 0; i < lives; i++) {
		bool cut = prng_chance(&v.prng, 75);

		life(&v, cut);
		cuts += cut;
	}
	unstack(&v);
	check(log_read(LOGGED, &log), "reading the log");
	again = repeated(&v, &log, &units);
	printf("%u lives, %u cut, %llu blocks of constant plaintext: %llu units of ciphertext, %llu repeated\n",
	       lives, cuts, (unsigned long long)v.writes, (unsigned long long)units,
	       (unsigned long long)again);
	return again || !units;
}
