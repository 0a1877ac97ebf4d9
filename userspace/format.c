// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl format: writes the anchor and nothing else.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "qvault-ctl.h"
#include "record.h"

struct job {
	struct ctl_options *options;
	struct ctl_device data;
	struct ctl_device anchor;
	struct ctl_slots slots;		/* what is there now */
	struct ctl_key *key;
	struct qvault_geometry geo;
	uint8_t uuid[QVAULT_UUID_SIZE];
	struct qvault_disk_anchor record;
	char *losses;			/* what would be destroyed, or "" */
};

/* The two devices come by position or by name, not by both. */
static int name_devices(struct ctl_options *o)
{
	const bool named = o->data || o->anchor;

	if (named && o->argc)
		return ctl_fail(CTL_USAGE,
				"name the devices either by --data and --anchor or without them, not both ways");
	if (!named && o->argc == 2) {
		o->data = o->argv[0];
		o->anchor = o->argv[1];
	}
	if (!o->data)
		return ctl_fail(CTL_USAGE,
				"no data device: qvault-ctl format <data> <anchor>");
	if (!o->anchor)
		return ctl_fail(CTL_USAGE,
				"no anchor device: qvault-ctl format <data> <anchor>");
	return CTL_OK;
}

static int open_devices(struct job *job)
{
	int err;

	err = ctl_device_open(&job->data, job->options->data,
			      CTL_READ | CTL_EXCLUSIVE);
	if (err)
		return err;
	/*
	 * Not yet for writing and not yet exclusively: if it is the data device
	 * once more, say that, and not that it is in use.
	 */
	err = ctl_device_open(&job->anchor, job->options->anchor, CTL_READ);
	if (!err)
		err = ctl_device_refuse_same(&job->data, &job->anchor);
	if (err)
		return err;
	return ctl_device_reopen(&job->anchor, CTL_WRITE | CTL_EXCLUSIVE);
}

/* The smallest device that takes a log of this size; 0 for the default one. */
static u64 smallest_device(u32 log_blocks)
{
	struct qvault_geometry geo;
	u64 blocks = log_blocks;

	while (qvault_geometry_init(&geo, blocks, 0, log_blocks ? log_blocks :
				    qvault_default_log_blocks(blocks)))
		blocks++;
	return blocks;
}

static int too_small(const struct job *job, u64 blocks, u64 logical, u32 log)
{
	struct qvault_geometry geo;
	char have[CTL_SIZE_CHARS], most[CTL_SIZE_CHARS];

	ctl_size(have, job->data.bytes);
	if (logical && !qvault_geometry_init(&geo, blocks, 0, log))
		return ctl_fail(CTL_USAGE,
				"--size: data device %s (%s) holds a volume of at most %s",
				job->data.path, have,
				ctl_size(most, geo.capacity * QVAULT_BLOCK_SIZE));
	return ctl_fail(CTL_WRONG_DEVICE,
			"data device %s is too small: it has %s, a vault%s needs at least %s",
			job->data.path, have,
			job->options->log_blocks ? " with such a log" : "",
			ctl_size(most, smallest_device(job->options->log_blocks) *
				 QVAULT_BLOCK_SIZE));
}

static int plan(struct job *job)
{
	const u64 blocks = job->data.bytes / QVAULT_BLOCK_SIZE;
	const u64 logical = job->options->size / QVAULT_BLOCK_SIZE;
	u32 log = job->options->log_blocks;
	char size[CTL_SIZE_CHARS];

	if (!log)
		log = qvault_default_log_blocks(blocks);
	switch (qvault_geometry_init(&job->geo, blocks, logical, log)) {
	case 0:
		return CTL_OK;
	case -EFBIG:
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s is too large: it has %s",
				job->data.path, ctl_size(size, job->data.bytes));
	default:
		return too_small(job, blocks, logical, log);
	}
}

/*
 * The keys of a vault are made of the master key and the UUID, and a new vault
 * starts to count its versions anew: the same pair twice is the same IV twice.
 */
static int choose_uuid(struct job *job)
{
	uint32_t slot;

	if (!ctl_given(job->options, CTL_OPT_UUID)) {
		if (RAND_bytes(job->uuid, sizeof(job->uuid)) != 1)
			return ctl_fail(CTL_NO_MEMORY,
					"libcrypto has no random numbers");
		job->uuid[6] = (job->uuid[6] & 0x0f) | 0x40;	/* version 4 */
		job->uuid[8] = (job->uuid[8] & 0x3f) | 0x80;	/* RFC 4122 */
		return CTL_OK;
	}
	memcpy(job->uuid, job->options->uuid, sizeof(job->uuid));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		if (!memcmp(job->slots.disk[slot].uuid, job->uuid,
			    sizeof(job->uuid)))
			return ctl_fail(CTL_USAGE,
					"--uuid: the vault on %s has this UUID already; under the same key a second one would repeat its IVs",
					job->anchor.path);
	return CTL_OK;
}

/* What is in the anchor now: "" or a phrase. */
static char *live_anchor(const struct job *job)
{
	struct ctl_record record, newest = { .sequence = 0 };
	char uuid[CTL_UUID_CHARS], size[CTL_SIZE_CHARS];
	bool some = false;
	const char *why;
	uint32_t slot;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		if (job->slots.error[slot]) {
			some = true;
			continue;
		}
		switch (ctl_record_parse(&job->slots.disk[slot], slot, &record,
					 &why)) {
		case CTL_SLOT_RECORD:
			if (record.sequence > newest.sequence)
				newest = record;
			break;
		case CTL_SLOT_VERSION:
		case CTL_SLOT_DAMAGED:
			some = true;
			break;
		default:
			break;
		}
	}
	if (newest.sequence)
		return ctl_format("the vault %s of %s",
				  ctl_uuid_text(uuid, newest.uuid),
				  ctl_size(size, newest.geo.logical_blocks *
					   QVAULT_BLOCK_SIZE));
	return ctl_format("%s", some ?
			  "a vault that is damaged, unreadable or of another format version" :
			  "");
}

static int add_loss(struct job *job, const struct ctl_device *dev,
		    const char *what)
{
	char size[CTL_SIZE_CHARS];
	char *longer;

	if (!*what)
		return CTL_OK;
	longer = ctl_format("%s%s%s device %s of %s holds %s", job->losses,
			    *job->losses ? ", and " : "", dev->role, dev->path,
			    ctl_size(size, dev->bytes), what);
	if (!longer)
		return CTL_NO_MEMORY;
	free(job->losses);
	job->losses = longer;
	return CTL_OK;
}

static int find_losses(struct job *job)
{
	char *anchor = live_anchor(job), *foreign = NULL, *data = NULL;
	int err = CTL_NO_MEMORY;

	job->losses = ctl_format("%s", "");
	if (!anchor || !job->losses)
		goto out;
	err = ctl_foreign_list(&job->data, &data);
	if (!err)
		err = add_loss(job, &job->data, data);
	if (!err)
		err = add_loss(job, &job->anchor, anchor);
	if (!err)
		err = ctl_foreign_list(&job->anchor, &foreign);
	if (!err)
		err = add_loss(job, &job->anchor, foreign);
out:
	free(anchor);
	free(foreign);
	free(data);
	return err;
}

/* As cryptsetup asks: a word that nobody types by accident. */
static int ask(void)
{
	char answer[8];

	fputs("Are you sure? (Type 'yes' in capital letters): ", stderr);
	if (fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "YES\n"))
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "not confirmed; nothing was changed");
}

/* Before anything is lost to it. */
static void say_what_mac_needs(enum qvault_mac mac)
{
	if (mac == QVAULT_MAC_NHPOLY_AES)
		ctl_warn("%s: only a kernel that has Adiantum (CONFIG_CRYPTO_ADIANTUM) can attach this vault",
			 ctl_mac_name(mac));
}

static int permit(const struct job *job)
{
	const struct ctl_options *o = job->options;
	/* A key on standard input leaves nobody there to ask. */
	const bool mute = ctl_given(o, CTL_OPT_BATCH) || !isatty(STDIN_FILENO) ||
			  (o->key_file && !strcmp(o->key_file, "-"));

	if (*job->losses && !ctl_given(o, CTL_OPT_FORCE))
		return ctl_fail(CTL_BUSY,
				"%s; nothing was changed: give --force to destroy it",
				job->losses);
	say_what_mac_needs(o->mac);
	if (*job->losses)
		ctl_warn("%s: this is destroyed for ever", job->losses);
	if (mute)
		return CTL_OK;
	if (!*job->losses)
		ctl_warn("this makes a vault of %s and %s and overwrites what they hold",
			 job->data.path, job->anchor.path);
	return ask();
}

static int prepare(struct job *job)
{
	struct qvault_disk_anchor *disk = &job->record;
	int err;

	ctl_record_new(disk, job->uuid, job->options->mac, &job->geo);
	err = ctl_key_derive_anchor(job->key, job->uuid);
	if (!err)
		err = ctl_anchor_mac(job->key, disk, offsetof(typeof(*disk), mac),
				     disk->mac);
	return err;
}

static void report_json(const struct job *job, const char *uuid)
{
	struct json_object *top = json_object_new_object();

	ctl_json_text(top, "uuid", uuid);
	ctl_json_text(top, "data", job->data.path);
	ctl_json_text(top, "anchor", job->anchor.path);
	ctl_json_text(top, "mac", ctl_mac_name(job->options->mac));
	ctl_json_number(top, "size", job->geo.logical_blocks * QVAULT_BLOCK_SIZE);
	ctl_json_number(top, "data_blocks", job->geo.data_blocks);
	ctl_json_number(top, "logical_blocks", job->geo.logical_blocks);
	ctl_json_number(top, "log_blocks", job->geo.log_blocks);
	ctl_json_print(top);
}

static void report(const struct job *job)
{
	char uuid[CTL_UUID_CHARS], size[CTL_SIZE_CHARS];

	ctl_uuid_text(uuid, job->uuid);
	ctl_done("the vault %s was made on %s and %s", uuid, job->data.path,
		 job->anchor.path);
	if (ctl_given(job->options, CTL_OPT_JSON)) {
		report_json(job, uuid);
		return;
	}
	printf("UUID:   %s\n", uuid);
	printf("Size:   %s\n", ctl_size(size, job->geo.logical_blocks *
					QVAULT_BLOCK_SIZE));
}

/* All that can be refused, and all that can fail, comes before the first write. */
static int run(struct job *job)
{
	int err;

	err = name_devices(job->options);
	if (!err)
		err = open_devices(job);
	if (!err)
		err = ctl_anchor_read(&job->slots, &job->anchor);
	if (!err)
		err = plan(job);
	if (!err)
		err = choose_uuid(job);
	if (!err)
		err = ctl_key_read(&job->key, job->options->key_file);
	if (!err)
		err = prepare(job);
	if (!err)
		err = find_losses(job);
	if (!err)
		err = permit(job);
	if (!err)
		err = ctl_anchor_format(&job->anchor, &job->record);
	if (!err)
		report(job);
	return err;
}

int ctl_format_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.data = CTL_DEVICE_CLOSED("data"),
		.anchor = CTL_DEVICE_CLOSED("anchor"),
	};
	int err = run(&job);

	ctl_key_free(job.key);
	free(job.losses);
	ctl_device_close(&job.anchor);
	ctl_device_close(&job.data);
	return err;
}
