// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl destroy: the secrets of a vault's generations stand in its records and
 * nowhere else, so with those overwritten no key opens the data again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "anchored.h"
#include "json.h"
#include "vault.h"

static const char usage[] = "destroy --anchor ANCHOR [--data DATA]";

struct job {
	const struct ctl_options *options;
	struct ctl_device anchor;
	struct ctl_device data;
	struct ctl_slots slots;
	struct ctl_record newest;	/* sequence 0: none that can be read */
	bool some;			/* there is a vault, be it damaged */
	char *what;			/* in words */
	const char *discarded;		/* why the data were not discarded; NULL: they were */
	uint8_t *noise;
};

#define AREA	((size_t)QVAULT_ANCHOR_BLOCKS * QVAULT_BLOCK_SIZE)

static int open_devices(struct job *job)
{
	const struct ctl_options *o = job->options;
	int err;

	err = ctl_need(o->anchor, "anchor device", usage);
	if (!err)
		err = ctl_device_open(&job->anchor, o->anchor,
				      CTL_WRITE | CTL_EXCLUSIVE);
	if (err || !o->data)
		return err;
	err = ctl_device_open(&job->data, o->data, CTL_READ);
	if (!err)
		err = ctl_device_refuse_same(&job->anchor, &job->data);
	return err ? err : ctl_device_reopen(&job->data, CTL_WRITE | CTL_EXCLUSIVE);
}

/* Without a key nothing vouches for what the record says; it need not be trusted. */
static int find_vault(struct job *job)
{
	struct ctl_record record;
	enum ctl_slot_state state;
	const char *why;
	uint32_t slot;
	int err;

	err = ctl_anchor_read(&job->slots, &job->anchor);
	for (slot = 0; !err && slot < QVAULT_ANCHOR_SLOTS; slot++) {
		state = job->slots.error[slot] ? CTL_SLOT_UNREADABLE :
			ctl_record_parse(&job->slots.disk[slot], slot, &record, &why);
		job->some = job->some || state > CTL_SLOT_FOREIGN;
		if (state == CTL_SLOT_RECORD &&
		    record.sequence > job->newest.sequence)
			job->newest = record;
	}
	if (!err)
		err = ctl_losses_of_anchor(&job->what, &job->anchor, &job->slots);
	if (err || !job->newest.sequence)
		return err;
	return ctl_vault_refuse_attached(job->newest.uuid);
}

/* A whole device is at stake, so a wrong one is not taken. */
static int check_data(const struct job *job)
{
	uint8_t uuid[QVAULT_UUID_SIZE];
	bool found;
	int err;

	if (job->data.fd < 0)
		return CTL_OK;
	err = ctl_label_read(&job->data, &found, uuid);
	if (err || ctl_given(job->options, CTL_OPT_FORCE) ||
	    (found && job->newest.sequence &&
	     !memcmp(uuid, job->newest.uuid, sizeof(uuid))))
		return err;
	return ctl_fail(CTL_WRONG_DEVICE,
			"data device %s does not have the label of this vault; nothing was changed: give --force if it is its data device",
			job->data.path);
}

static int permit(const struct job *job)
{
	const struct ctl_options *o = job->options;

	if (!job->some)
		return ctl_fail(CTL_WRONG_DEVICE, "%s is no anchor: it holds no vault",
				job->anchor.path);
	if (ctl_given(o, CTL_OPT_BATCH))
		return CTL_OK;
	if (!ctl_can_ask(o))
		return ctl_fail(CTL_USAGE,
				"%s; nothing was changed: there is no terminal to ask, so give --batch-mode to destroy it",
				job->what);
	ctl_warn("%s: this destroys it for ever, whoever has its key", job->what);
	return ctl_ask();
}

/* ---- The anchor --------------------------------------------------------- */

/* Noise, which no storage keeps as a hole; then zeros. */
static int overwrite(const struct job *job, size_t bytes, off_t place)
{
	int err;

	if (RAND_bytes(job->noise, (int)bytes) != 1)
		return ctl_fail(CTL_NO_MEMORY, "libcrypto has no random numbers");
	err = ctl_device_write(&job->anchor, job->noise, bytes, place);
	memset(job->noise, 0, bytes);
	if (!err)
		err = ctl_device_write(&job->anchor, job->noise, bytes, place);
	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"cannot overwrite anchor device %s: %s; the vault may not be destroyed",
			job->anchor.path, strerror(-err));
}

/*
 * The older slot first: cut off after it, the vault is as it was.  The other way
 * round it would be back at the record before.
 */
static int overwrite_anchor(const struct job *job)
{
	const uint32_t newer = job->newest.sequence % QVAULT_ANCHOR_SLOTS;
	int err;

	err = overwrite(job, QVAULT_BLOCK_SIZE,
			(off_t)QVAULT_SLOT_BLOCK(!newer) * QVAULT_BLOCK_SIZE);
	if (!err)
		err = overwrite(job, QVAULT_BLOCK_SIZE,
				(off_t)QVAULT_SLOT_BLOCK(newer) * QVAULT_BLOCK_SIZE);
	return err ? err : overwrite(job, AREA, 0);
}

/* ---- The data ----------------------------------------------------------- */

/* What stands there is only noise now; this is to give its space back. */
static void discard(struct job *job)
{
	uint64_t range[2] = { 0, job->data.bytes };
	int err;

	if (job->data.fd < 0)
		return;
	memset(job->noise, 0, QVAULT_BLOCK_SIZE);
	err = ctl_device_write(&job->data, job->noise, QVAULT_BLOCK_SIZE, 0);
	if (err) {
		job->discarded = strerror(-err);
		return;
	}
	if (job->data.block)
		err = ioctl(job->data.fd, BLKDISCARD, range);
	else
		err = fallocate(job->data.fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				(off_t)job->data.bytes);
	job->discarded = err ? strerror(errno) : NULL;
}

static void report(const struct job *job)
{
	char uuid[CTL_UUID_CHARS] = "";
	struct json_object *top;

	if (job->newest.sequence)
		ctl_uuid_text(uuid, job->newest.uuid);
	ctl_done("the vault on %s is destroyed", job->anchor.path);
	if (job->discarded)
		ctl_warn("data device %s was not discarded: %s; what it holds opens under no key any more",
			 job->data.path, job->discarded);
	if (ctl_given(job->options, CTL_OPT_JSON)) {
		top = json_object_new_object();
		ctl_json_text(top, "uuid", *uuid ? uuid : NULL);
		ctl_json_text(top, "anchor", job->anchor.path);
		ctl_json_bool(top, "discarded",
			      job->data.fd >= 0 && !job->discarded);
		ctl_json_print(top);
		return;
	}
	printf("The vault %s%son %s is destroyed.\n", uuid, *uuid ? " " : "",
	       job->anchor.path);
	puts("Out of reach, and to be destroyed by you: copies and backups of the anchor, clones,\n"
	     "what a file system or a snapshot below the anchor has kept, blocks that flash has\n"
	     "set aside; and the key, for whoever finds one of those.");
}

static int run(struct job *job)
{
	int err;

	job->noise = malloc(AREA);
	if (!job->noise)
		return ctl_fail(CTL_NO_MEMORY, "out of memory");
	err = open_devices(job);
	if (!err)
		err = find_vault(job);
	if (!err)
		err = check_data(job);
	if (!err)
		err = permit(job);
	if (!err)
		err = overwrite_anchor(job);
	if (err)
		return err;
	discard(job);
	report(job);
	return CTL_OK;
}

int ctl_destroy_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.anchor = CTL_DEVICE_CLOSED("anchor"),
		.data = CTL_DEVICE_CLOSED("data"),
	};
	int err = run(&job);

	free(job.what);
	free(job.noise);
	ctl_device_close(&job.anchor);
	ctl_device_close(&job.data);
	return err;
}
