// SPDX-License-Identifier: GPL-2.0
/*
 * Two vaults under one key, one after the other on the same devices and with the
 * same writes, and what the storage saw of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adversary.h"

static void check(int err, const char *what)
{
	if (err)
		die("adversary: %s: %s", what, strerrorname_np(-err));
}

int world_attach(struct world *w, bool read_only)
{
	int err = dm_create1(&w->vault, "qvadv",
			     w->geo.logical_blocks * QVAULT_SECTORS, "qvault",
			     read_only, "%s %s %s", w->data.number,
			     w->anchor.number, w->key);

	if (err)
		return err;
	return open_direct(w->vault.path, read_only ? O_RDONLY : O_RDWR);
}

void world_detach(struct world *w, int fd)
{
	close(fd);
	check(dm_remove(&w->vault), "detach");
}

/* Write the blocks of a snapshot in runs. */
void put_back(struct world *w, const struct snapshot *s)
{
	u32 i, n;

	for (i = 0; i < s->nr_used; i += n) {
		for (n = 1; i + n < s->nr_used && n < MAX_IO &&
		     s->used[i + n] == s->used[i] + n; n++)
			;
		check(write_blocks(w->data_fd, s->used[i],
				   s->data + s->used[i] * BLOCK, n), "restore");
	}
	check(write_blocks(w->anchor_fd, 0, s->anchor, QVAULT_ANCHOR_BLOCKS),
	      "restore anchor");
}

static bool is_zero(const u8 *block)
{
	return !block[0] && !memcmp(block, block + 1, BLOCK - 1);
}

static void *sparse(u64 blocks)
{
	/* Whole pages that are never touched cost nothing. */
	void *p = calloc(blocks + 1, BLOCK);

	if (!p)
		die("out of memory");
	return (void *)(((uintptr_t)p + BLOCK - 1) & ~(uintptr_t)(BLOCK - 1));
}

static void take(struct world *w, struct snapshot *s)
{
	u8 *buf = block_buffer(MAX_IO);
	struct vault_keys keys = w->keys;
	u64 at, n, i;

	s->data = sparse(w->geo.data_blocks);
	s->logical = sparse(w->geo.logical_blocks);
	s->used = malloc(w->geo.data_blocks * sizeof(*s->used));
	s->current = malloc(w->geo.logical_blocks * sizeof(*s->current));
	for (at = 0; at < w->geo.data_blocks; at += n) {
		n = w->geo.data_blocks - at < MAX_IO ?
			w->geo.data_blocks - at : MAX_IO;
		check(read_blocks(w->data_fd, at, buf, n), "snapshot");
		for (i = 0; i < n; i++) {
			if (is_zero(buf + i * BLOCK))
				continue;
			memcpy(s->data + (at + i) * BLOCK, buf + i * BLOCK,
			       BLOCK);
			s->used[s->nr_used++] = at + i;
		}
	}
	s->anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);
	check(read_blocks(w->anchor_fd, 0, s->anchor, QVAULT_ANCHOR_BLOCKS),
	      "snapshot");
	for (i = 0; i < w->nr_lba; i++)
		memcpy(s->logical + (u64)w->lba[i] * BLOCK,
		       w->logical + (u64)w->lba[i] * BLOCK, BLOCK);
	free(buf);

	/* The format as read here must open all that the module sealed. */
	vault_walk(&s->walk, &w->keys, &w->geo, s->anchor, s->data, s->current);
	if (s->walk.bad)
		die("adversary: %zu structures do not open: %s", s->walk.bad,
		    s->walk.first_bad);
	vault_generations(&keys, vault_newest(&keys, s->anchor));
	for (i = 0; i < s->walk.nr; i++) {
		const struct vault_item *item = &s->walk.item[i];
		u8 plain[BLOCK];

		if (item->kind != QVAULT_KIND_DATA)
			continue;
		vault_open(&keys, item->kind, item->id, &item->ptr,
			   s->data + item->block * BLOCK, plain);
		if (memcmp(plain, s->logical + item->id * BLOCK, BLOCK))
			die("adversary: block %llu decrypts to something else",
			    (unsigned long long)item->id);
	}
	for (i = 0; i < w->nr_lba; i++)
		if (!le(s->current[w->lba[i]].version) &&
		    !is_zero(s->logical + (u64)w->lba[i] * BLOCK))
			die("adversary: block %u is not mapped", w->lba[i]);
}

static void snap(struct world *w)
{
	if (w->nr_snaps == MAX_SNAPSHOTS)
		die("too many snapshots");
	take(w, &w->snap[w->nr_snaps++]);
}

/* ---- The workload ------------------------------------------------------- */

static void add_range(u8 *set, u64 blocks, u64 from, u64 to, u8 value)
{
	for (; from < to; from++)
		if (from < blocks)
			set[from] = value;
}

/* Clusters on both sides of every kind of border, and single blocks. */
static void choose_blocks(struct world *w)
{
	u64 blocks = w->geo.logical_blocks, fan = QVAULT_FANOUT, i;
	u8 *set = calloc(blocks, 1);

	add_range(set, blocks, 0, 150, 1);
	add_range(set, blocks, 5 * fan - 12, 5 * fan + 12, 1);
	add_range(set, blocks, fan * fan - 12, fan * fan + 12, 1);
	add_range(set, blocks, 252 * fan - 12, 252 * fan + 12, 1);
	add_range(set, blocks, blocks - 20, blocks, 1);
	for (i = 0; i < 40; i++)
		set[prng_below(&w->prng, blocks)] = 1;
	for (i = 0; i < 40; i++) {
		u64 lba = prng_below(&w->prng, blocks);

		if (!set[lba])
			set[lba] = 2;
	}
	w->lba = calloc(blocks, sizeof(*w->lba));
	w->written = calloc(blocks, 1);
	for (i = 0; i < blocks; i++) {
		if (set[i])
			w->lba[w->nr_lba++] = i;
		w->written[i] = set[i] == 1;
	}
	free(set);
}

void world_write_some(struct world *w, int fd, u32 percent)
{
	u8 *buf = block_buffer(16);
	u32 i, n;

	for (i = 0; i < w->nr_lba; i += n) {
		u32 lba = w->lba[i];

		for (n = 1; i + n < w->nr_lba && n < 16 &&
		     w->lba[i + n] == lba + n && w->written[lba + n]; n++)
			;
		if (!w->written[lba] || !prng_chance(&w->prng, percent))
			continue;
		prng_fill(&w->prng, buf, n * BLOCK);
		check(write_blocks(fd, lba, buf, n), "write");
		memcpy(w->logical + (u64)lba * BLOCK, buf, n * BLOCK);
	}
	free(buf);
	check(fsync(fd) ? -errno : 0, "fsync");
}

/* A few blocks: their entries ride in the anchor record. */
void world_write_few(struct world *w, int fd)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		u8 *buf = block_buffer(1);
		u32 lba = prng_below(&w->prng, 100);

		prng_fill(&w->prng, buf, BLOCK);
		check(write_blocks(fd, lba, buf, 1), "write");
		memcpy(w->logical + (u64)lba * BLOCK, buf, BLOCK);
		free(buf);
	}
	check(fsync(fd) ? -errno : 0, "fsync");
}

static void discard_some(struct world *w, int fd)
{
	u32 lba = 30 + prng_below(&w->prng, 20);

	check(discard_blocks(fd, lba, 9), "discard");
	memset(w->logical + (u64)lba * BLOCK, 0, 9 * BLOCK);
	check(fsync(fd) ? -errno : 0, "fsync");
}

static int attach_or_die(struct world *w)
{
	int fd = world_attach(w, false);

	check(fd < 0 ? fd : 0, "attach");
	return fd;
}

static void checkpoint(struct world *w)
{
	check(dm_message(&w->vault, "checkpoint"), "checkpoint");
}

static void new_generation(struct world *w, const char *mac)
{
	check(dm_message(&w->vault, "generation %s", mac), "generation");
}

static void live_a_life(struct world *w)
{
	int fd = attach_or_die(w);

	world_write_some(w, fd, 100);
	snap(w);
	world_write_some(w, fd, 50);
	world_write_few(w, fd);
	snap(w);
	checkpoint(w);
	snap(w);
	new_generation(w, "nhpoly-aes");
	world_write_some(w, fd, 30);
	discard_some(w, fd);
	snap(w);
	world_detach(w, fd);
	w->cloned = w->nr_snaps;
	snap(w);
	fd = attach_or_die(w);
	/* As whoever gives a clone away does. */
	new_generation(w, "hmac-sha256");
	world_write_few(w, fd);
	snap(w);
	world_write_some(w, fd, 60);
	snap(w);
	checkpoint(w);
	world_write_some(w, fd, 60);
	snap(w);
	world_detach(w, fd);
	w->clean = w->nr_snaps;
	snap(w);
	fd = attach_or_die(w);
	world_write_some(w, fd, 80);
	discard_some(w, fd);
	world_write_some(w, fd, 30);
	world_write_few(w, fd);
	w->crashed = w->nr_snaps;
	snap(w);
	world_detach(w, fd);
}

static void go_back(struct world *w, const struct snapshot *s)
{
	u32 i;

	put_back(w, s);
	for (i = 0; i < w->nr_lba; i++)
		memcpy(w->logical + (u64)w->lba[i] * BLOCK,
		       s->logical + (u64)w->lba[i] * BLOCK, BLOCK);
}

static void live_on(struct world *w, struct snapshot *snap)
{
	int fd = attach_or_die(w);

	world_write_few(w, fd);
	world_write_some(w, fd, 70);
	take(w, &snap[0]);
	checkpoint(w);
	world_write_some(w, fd, 50);
	take(w, &snap[1]);
	world_detach(w, fd);
}

/*
 * Somebody has copied data and anchor, and lives on with the copy: the same key,
 * the same UUID, and the same versions for other contents.
 */
static void live_as_a_copy(struct world *w)
{
	go_back(w, &w->snap[w->cloned]);
	live_on(w, w->clone);
}

/* What `qvault-ctl clone --new-key-file` makes of a copy. */
static void live_as_a_clone(struct world *w)
{
	const struct snapshot *parent = &w->snap[w->cloned];
	struct qvault_disk_anchor record = *vault_newest(&w->keys, parent->anchor);
	u8 *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);

	go_back(w, parent);
	vault_clone(&w->params, &w->child_params, &record);
	memset(anchor, 0, QVAULT_ANCHOR_BLOCKS * BLOCK);
	memcpy(vault_slot(anchor, le(record.sequence) & 1), &record, BLOCK);
	check(write_blocks(w->anchor_fd, 0, anchor, QVAULT_ANCHOR_BLOCKS), "clone");
	free(anchor);
	world_is_child(w, true);
	live_on(w, w->child);
	world_is_child(w, false);
}

static const char child_key_name[] = ":64:logon:qvault:child";

void world_is_child(struct world *w, bool child)
{
	w->key = child ? child_key_name : vault_key_name;
	vault_derive(child ? &w->child_params : &w->params, &w->keys);
}

static void name_child(struct world *w)
{
	u32 i;

	w->child_params = w->params;
	w->child_params.uuid[1] ^= 0x55;
	for (i = 0; i < sizeof(w->child_params.master); i++)
		w->child_params.master[i] ^= 0x33;
	for (i = 0; i < sizeof(w->child_params.secret); i++)
		w->child_params.secret[i] ^= 0x77;
	vault_add_key_named(&w->child_params, child_key_name);
}

static void format(struct world *w)
{
	u8 *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);

	vault_derive(&w->params, &w->keys);
	vault_format(&w->params, anchor);
	check(write_blocks(w->anchor_fd, 0, anchor, QVAULT_ANCHOR_BLOCKS), "format");
	free(anchor);
	w->logical = sparse(w->geo.logical_blocks);
}

static void zero_device(struct world *w)
{
	u64 at, n;
	void *zero = block_buffer(MAX_IO);

	for (at = 0; at < w->geo.data_blocks; at += n) {
		n = w->geo.data_blocks - at < MAX_IO ?
			w->geo.data_blocks - at : MAX_IO;
		check(write_blocks(w->data_fd, at, zero, n), "zero");
	}
	free(zero);
}

static void slices(struct world *w)
{
	char number[32];

	check(dm_create1(&w->data, "qvadvdata",
			 w->geo.data_blocks * QVAULT_SECTORS, "linear", false,
			 "%s 0", device_number("/dev/ram0", number)), "slice");
	check(dm_create1(&w->anchor, "qvadvanchor",
			 QVAULT_ANCHOR_BLOCKS * QVAULT_SECTORS, "linear", false, "%s 0",
			 device_number("/dev/ram1", number)), "slice");
	w->data_fd = open_direct(w->data.path, O_RDWR);
	w->anchor_fd = open_direct(w->anchor.path, O_RDWR);
	if (w->data_fd < 0 || w->anchor_fd < 0)
		die("no slices");
}

void world_build(struct world *w, u64 data_blocks, u64 seed)
{
	memset(w, 0, sizeof(*w));
	prng_seed(&w->prng, seed);
	vault_default_params(&w->params, data_blocks, QVAULT_MIN_LOG_BLOCKS * 4,
			     &w->geo);
	vault_add_key(&w->params);
	w->key = vault_key_name;
	name_child(w);
	slices(w);
	choose_blocks(w);

	/* The other vault: same key, same blocks, another UUID. */
	w->params.uuid[0] ^= 0xff;
	format(w);
	live_a_life(w);
	w->other = w->snap[w->crashed];
	memset(w->snap, 0, sizeof(w->snap));
	w->nr_snaps = 0;

	w->params.uuid[0] ^= 0xff;
	zero_device(w);
	format(w);
	live_a_life(w);
	live_as_a_copy(w);
	live_as_a_clone(w);
}

/* For the next one. */
void world_end(struct world *w)
{
	close(w->data_fd);
	close(w->anchor_fd);
	check(dm_remove(&w->data), "remove");
	check(dm_remove(&w->anchor), "remove");
}
