// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl format: writes the anchor, and the label of the data device.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	char *losses;			/* what would be destroyed, or NULL */
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
	const bool label = !ctl_given(job->options, CTL_OPT_NO_LABEL);
	int err;

	err = ctl_device_open(&job->data, job->options->data,
			      CTL_EXCLUSIVE | (label ? CTL_WRITE : CTL_READ));
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
			ctl_size(most, ctl_smallest_device(job->options->log_blocks, 1) *
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

/* Old records of a vault with the same UUID and key could not be told from its own. */
static int choose_uuid(struct job *job)
{
	uint32_t slot;

	if (!ctl_given(job->options, CTL_OPT_UUID))
		return ctl_uuid_random(job->uuid);
	memcpy(job->uuid, job->options->uuid, sizeof(job->uuid));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		if (!memcmp(job->slots.disk[slot].uuid, job->uuid,
			    sizeof(job->uuid)))
			return ctl_fail(CTL_USAGE,
					"--uuid: the vault on %s has this UUID already; a new vault needs one of its own",
					job->anchor.path);
	return CTL_OK;
}

/* Before anything is lost to it. */
static void say_what_mac_needs(enum qvault_mac mac)
{
	if (mac == QVAULT_MAC_NHPOLY_AES)
		ctl_warn("%s: only a kernel that has Adiantum (CONFIG_CRYPTO_ADIANTUM) can attach this vault",
			 ctl_mac_name(mac));
}

static int permit(struct job *job)
{
	char *otherwise;
	int err;

	err = ctl_losses_of_data(&job->losses, &job->data);
	if (!err)
		err = ctl_losses_of_anchor(&job->losses, &job->anchor, &job->slots);
	if (err)
		return err;
	otherwise = ctl_format("this makes a vault of %s and %s and overwrites what they hold",
			       job->data.path, job->anchor.path);
	if (!otherwise)
		return CTL_NO_MEMORY;
	if (!job->losses || ctl_given(job->options, CTL_OPT_FORCE))
		say_what_mac_needs(job->options->mac);
	err = ctl_losses_permit(job->options, job->losses, otherwise);
	free(otherwise);
	return err;
}

static int prepare(struct job *job)
{
	struct qvault_disk_anchor *disk = &job->record;
	int err;

	ctl_record_new(disk, job->uuid, job->options->mac, (uint64_t)time(NULL),
		       &job->geo);
	if (ctl_given(job->options, CTL_OPT_SHARED))
		disk->settle = htole32(job->options->settle ? job->options->settle :
				       QVAULT_DEFAULT_SETTLE);
	err = ctl_key_derive(job->key, job->uuid);
	if (!err)
		err = ctl_generation_make(job->key, disk, 0);
	if (!err)
		err = ctl_anchor_sign(job->key, disk);
	return err;
}

/* The label first: alone it is not taken for a vault. */
static int write_all(struct job *job)
{
	int err = CTL_OK;

	if (!ctl_given(job->options, CTL_OPT_NO_LABEL))
		err = ctl_label_write(&job->data, job->uuid);
	return err ? err : ctl_anchor_format(&job->anchor, &job->record);
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
	if (!err && job->options->settle && !ctl_given(job->options, CTL_OPT_SHARED))
		err = ctl_fail(CTL_USAGE, "--settle has no meaning without --shared");
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
		err = permit(job);
	if (!err)
		err = write_all(job);
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
	int err;

	if (ctl_given(o, CTL_OPT_DRY_RUN))
		return ctl_format_dry_run(o);
	err = run(&job);
	ctl_key_free(job.key);
	free(job.losses);
	ctl_device_close(&job.anchor);
	ctl_device_close(&job.data);
	return err;
}
