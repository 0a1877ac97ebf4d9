// SPDX-License-Identifier: GPL-2.0
/*
 * What changes a vault while a fault comes: generations, keys, moments that stay, repairs, its
 * size, and upper nodes that are written anew.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"

static int do_generation(struct lab *l)
{
	return dm_message(&l->vault, "generation nhpoly-aes");
}

/* A record has room for eight, so each on a vault that has one. */
bool run_generation(struct lab *l, u32 n)
{
	begin_anew(l, l->device_blocks);
	return with_data(l, n, "generation", do_generation);
}

static int do_key_change(struct lab *l)
{
	int err = dm_message(&l->vault, "key change %s", key_name(!l->key));

	if (err)
		l->either = true;
	else
		l->key = !l->key;
	return err;
}

static void must_be_rejected(struct lab *l, u32 key)
{
	char args[256];
	struct dm_line line;
	u32 own = l->key;
	int err;

	l->key = key;
	line_of(l, &line, args, sizeof(args));
	l->key = own;
	err = dm_create(&l->vault, "faulty", &line, 1, false);
	if (err != -EKEYREJECTED)
		die("faults: the key that was changed: %s", strerror(-err));
}

/* One of both opens it, and whichever it is, the other no more. */
bool run_key_change(struct lab *l, u32 n)
{
	bool injected = with_data(l, n, "key change", do_key_change);

	must_be_rejected(l, !l->key);
	return injected;
}

static int do_hold(struct lab *l)
{
	struct qvault_disk_anchor record;
	int err = dm_message(&l->vault, "hold");

	if (!err)
		err = vault_held(&l->vault, &record);
	if (!err)
		err = dm_message(&l->vault, "release %llu",
				 (unsigned long long)le(record.sequence));
	return err;
}

bool run_hold(struct lab *l, u32 n)
{
	return with_data(l, n, "hold", do_hold);
}

/* To its end; a vault that has failed ends it as well. */
static int do_repair(struct lab *l)
{
	char answer[256], kind[16];
	int err = dm_message(&l->vault, "walk repair");

	while (!err) {
		err = dm_ask(&l->vault, answer, sizeof(answer), "walk status");
		/* That is an allocation, too. */
		if (err == -ENOMEM && !l->probe)
			err = dm_ask(&l->vault, answer, sizeof(answer), "walk status");
		check(err, "walk status");
		if (sscanf(answer, "%15s", kind) != 1)
			die("faults: walk status: %s", answer);
		if (!strcmp(kind, "none"))
			break;
		usleep(2000);
	}
	return err;
}

/* What fails once is not given up: all is read afterwards. */
bool run_repair(struct lab *l, u32 n)
{
	return with_data(l, n, "repair", do_repair);
}

/* Whatever has failed, the key brings it back. */
bool run_wipe(struct lab *l, u32 n)
{
	bool injected;
	int err;

	attach(l);
	check(put(l, 4), "write");
	check(do_fsync(l), "fsync");
	check(dm_suspend(&l->vault, false), "suspend");
	arm(l, n);
	err = dm_message(&l->vault, "key wipe");
	if (!err)
		err = dm_message(&l->vault, "key set %s", key_name(l->key));
	if (!err)
		err = dm_resume(&l->vault);
	injected = result(l, err);
	if (err) {
		check(dm_message(&l->vault, "key set %s", key_name(l->key)), "key set");
		check(dm_resume(&l->vault), "resume");
	}
	verify_live(l, "keys that were wiped");
	detach(l);
	attach(l);
	verify(l, "keys that were wiped");
	detach(l);
	return injected;
}

/* Half of the device, then all of it: with this table. */
static void longer_table(struct lab *l)
{
	char args[256];
	struct dm_line line;

	check(qvault_geometry_init(&l->geo, l->device_blocks, 0, 16), "geometry");
	line_of(l, &line, args, sizeof(args));
	snprintf(args, sizeof(args), "%s %s %s 1 grow", l->data, l->anchor,
		 key_name(l->key));
	check(dm_reload(&l->vault, &line, 1, false), "longer table");
	check(dm_suspend(&l->vault, false), "suspend");
}

/* As large as it was, or grown; and grown if that was @said. */
static void verify_size(struct lab *l, const struct qvault_geometry *small, bool said)
{
	char args[256];
	struct dm_line line;

	line_of(l, &line, args, sizeof(args));
	if (dm_create(&l->vault, "faulty", &line, 1, false) == -EMSGSIZE && !said)
		l->geo = *small;
	else
		detach(l);
	attach(l);
	verify(l, "growth");
	detach(l);
}

bool run_growth(struct lab *l, u32 n)
{
	struct qvault_geometry small;
	bool injected;
	int err;

	begin_anew(l, l->device_blocks / 2);
	small = l->geo;
	attach(l);
	check(put(l, 6), "write");
	check(do_fsync(l), "fsync");
	longer_table(l);
	arm(l, n);
	err = dm_resume(&l->vault);
	injected = result(l, err);
	if (err)
		dm_resume(&l->vault);
	detach(l);
	verify_size(l, &small, !err);
	return injected;
}

bool run_attach_grows(struct lab *l, u32 n)
{
	struct dm_line line = { 0, 8, "zero", "" };
	struct qvault_geometry small;
	bool injected;
	int err;

	begin_anew(l, l->device_blocks / 2);
	small = l->geo;
	attach(l);
	check(put(l, 6), "write");
	detach(l);
	check(dm_create(&l->vault, "faulty", &line, 1, false), "create");
	longer_table(l);
	arm(l, n);
	err = dm_resume(&l->vault);
	injected = result(l, err);
	detach(l);
	verify_size(l, &small, !err);
	return injected;
}

/* The root of the tree, first copy; it is detached, and the key is the first one. */
static void spoil_root(struct lab *l)
{
	u8 *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS), *noise = block_buffer(1);
	const struct qvault_disk_anchor *record;
	struct vault_keys keys;
	int fd = open_direct(l->anchor_path, O_RDONLY);

	check(read_blocks(fd, 0, anchor, QVAULT_ANCHOR_BLOCKS), "read the anchor");
	close(fd);
	vault_derive(&l->params, &keys);
	record = vault_newest(&keys, anchor);
	if (!record || !record->tree_level)
		die("faults: there is no root to spoil");
	fd = open_direct(l->data_path, O_RDWR);
	prng_fill(&l->prng, noise, BLOCK);
	check(write_blocks(fd, qvault_node_block(&l->geo, QVAULT_KIND_NODE,
						 record->tree_level, 0,
						 le(record->tree.where) & 1, 0),
			   noise, 1), "spoil");
	close(fd);
	free(noise);
	free(anchor);
}

bool run_heal(struct lab *l, u32 n)
{
	bool injected;
	int err;

	begin_anew(l, l->device_blocks);
	attach(l);
	dirty(l);
	check(do_checkpoint(l), "checkpoint");
	detach(l);
	spoil_root(l);
	attach(l);
	dirty(l);
	arm(l, n);
	err = do_checkpoint(l);
	injected = result(l, err);
	if (l->probe && injected)
		must_be_right(l);
	if (!err)
		must_have_written_anew(l);
	verify_live(l, "healing");
	detach(l);
	attach(l);
	verify(l, "healing");
	detach(l);
	return injected;
}
