// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl clone: a vault of its own, of a copy of another one's data.
 *
 * What both held is sealed under generations that both know.  What the clone writes is
 * sealed under a new one, so that no two blocks are ever sealed alike; and if it has a
 * key of its own the parent gets a new one as well, or who holds the clone could read
 * what the parent writes later.
 *
 * The copy was made before, of a parent that is detached; or a command makes it, while an
 * attached one keeps the moment.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anchored.h"
#include "json.h"
#include "moment.h"
#include "vault.h"

static const char usage[] =
	"clone [NAME] [--anchor ANCHOR] --new-anchor ANCHOR --new-data DATA";

struct job {
	const struct ctl_options *options;
	bool attached;			/* is the parent; by its name */
	struct ctl_live live;
	struct ctl_moment moment;
	struct ctl_anchored parent;
	struct ctl_device data;		/* of the parent, if it was named */
	struct ctl_device new_data;
	struct ctl_device new_anchor;
	struct ctl_slots there;		/* on the new anchor, now */
	struct ctl_key *key;		/* of the clone, derived for it */
	struct qvault_disk_anchor record;
	uint8_t uuid[QVAULT_UUID_SIZE];
	bool label;			/* the copied data have one */
	char *losses;
};

static int check_parent(const struct ctl_options *o, bool attached)
{
	if (attached && (o->anchor || o->data))
		return ctl_fail(CTL_USAGE,
				"name the vault by its name, if it is attached, or by --anchor and --data, not both ways");
	if (attached && (!o->run || !*o->run))
		return ctl_fail(CTL_USAGE,
				"no command that copies the data device of %s: --run COMMAND [WORD...]",
				o->argv[0]);
	if (!attached && (o->run || o->timeout))
		return ctl_fail(CTL_USAGE,
				"--%s has no meaning for a vault that is not attached, whose data device is copied before",
				o->run ? "run" : "timeout");
	return attached ? CTL_OK : ctl_need(o->anchor, "anchor device", usage);
}

static int check_words(const struct ctl_options *o, bool attached)
{
	int err;

	err = check_parent(o, attached);
	if (!err)
		err = ctl_need(o->new_data, "data device of the clone", usage);
	if (!err)
		err = ctl_need(o->new_anchor, "anchor device of the clone", usage);
	return err ? err : ctl_need_two_keys(o->key_file, o->new_key_file);
}

/* ---- Devices ------------------------------------------------------------ */

static int refuse_same(const struct job *job, const struct ctl_device *dev)
{
	int err;

	err = ctl_device_refuse_same(&job->parent.anchor, dev);
	if (!err && job->data.fd >= 0 && dev != &job->data)
		err = ctl_device_refuse_same(&job->data, dev);
	if (!err && job->new_data.fd >= 0 && dev != &job->new_data)
		err = ctl_device_refuse_same(&job->new_data, dev);
	return err;
}

/* Exclusively only when it is known to be none of the others, to say what is wrong. */
static int open_one(struct job *job, struct ctl_device *dev, const char *path,
		    int access)
{
	int err;

	err = ctl_device_open(dev, path, CTL_READ);
	if (!err)
		err = refuse_same(job, dev);
	return err ? err : ctl_device_reopen(dev, access | CTL_EXCLUSIVE);
}

static int open_devices(struct job *job)
{
	const struct ctl_options *o = job->options;
	int err;

	err = ctl_anchored_open(&job->parent, o->anchor,
				o->new_key_file ? CTL_WRITE : CTL_READ,
				o->key_file);
	if (!err && o->data)
		err = open_one(job, &job->data, o->data, CTL_READ);
	if (!err)
		err = open_one(job, &job->new_data, o->new_data, CTL_WRITE);
	if (!err)
		err = open_one(job, &job->new_anchor, o->new_anchor, CTL_WRITE);
	return err ? err : ctl_anchor_read(&job->there, &job->new_anchor);
}

/* As far as there is anything before the command has run. */
static int open_attached(struct job *job)
{
	const struct ctl_options *o = job->options;
	int err;

	err = ctl_live_open(&job->live, o->argv[0]);
	if (!err)
		err = ctl_live_need_writer(&job->live, "clone");
	if (!err)
		err = ctl_key_read(&job->parent.key, o->key_file);
	if (!err)
		err = open_one(job, &job->new_anchor, o->new_anchor, CTL_WRITE);
	return err ? err : ctl_anchor_read(&job->there, &job->new_anchor);
}

/* The label of the parent, or none; and what the parent's record names. */
static int check_copy(struct job *job)
{
	const struct ctl_anchored *p = &job->parent;
	uint8_t uuid[QVAULT_UUID_SIZE];
	char text[CTL_UUID_CHARS];
	int err;

	err = ctl_label_read(&job->new_data, &job->label, uuid);
	if (err)
		return err;
	if (job->label && memcmp(uuid, p->record.uuid, sizeof(uuid)) &&
	    !ctl_given(job->options, CTL_OPT_FORCE))
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s is no copy: it holds the data of the vault %s; nothing was changed",
				job->new_data.path, ctl_uuid_text(text, uuid));
	return ctl_verify_data(&job->new_data, p->key, &p->disk, &p->record);
}

/* ---- The record --------------------------------------------------------- */

static int choose_uuid(struct job *job)
{
	int err;

	if (!ctl_given(job->options, CTL_OPT_UUID))
		return ctl_uuid_random(job->uuid);
	memcpy(job->uuid, job->options->uuid, sizeof(job->uuid));
	err = memcmp(job->uuid, job->parent.record.uuid, sizeof(job->uuid));
	return err ? CTL_OK :
		ctl_fail(CTL_USAGE, "--uuid: that is the UUID of the vault itself; a clone needs one of its own");
}

/*
 * The parent is to go on under a new generation, and that is written to its anchor.  A
 * file that snapshot made is another place, where the vault would never see it.
 */
static int refuse_snapshot(const struct job *job)
{
	static const struct qvault_disk_anchor zeros;
	const struct ctl_anchored *p = &job->parent;
	uint32_t slot;

	if (!job->options->new_key_file || p->record.sequence <= 1)
		return CTL_OK;
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		if (!memcmp(&p->slots.disk[slot], &zeros, sizeof(zeros)))
			return ctl_fail(CTL_USAGE,
					"%s is the anchor of a snapshot: with --new-key-file name the vault's own, or who holds the clone could read what the vault writes later; nothing was changed",
					p->anchor.path);
	return CTL_OK;
}

static int prepare(struct job *job)
{
	struct ctl_anchored *p = &job->parent;
	int err = CTL_OK;

	if (!job->attached)
		err = refuse_snapshot(job);
	if (!err)
		err = ctl_generation_room(&p->disk, 1, p->anchor.path);
	if (!err)
		err = choose_uuid(job);
	if (!err)
		err = job->options->new_key_file ?
			ctl_key_read(&job->key, job->options->new_key_file) :
			ctl_key_copy(&job->key, p->key);
	if (!err)
		err = ctl_key_derive(job->key, job->uuid);
	if (err)
		return err;
	job->record = p->disk;
	memcpy(job->record.uuid, job->uuid, sizeof(job->record.uuid));
	err = ctl_generations_wrap(job->key, p->key, &job->record);
	if (!err)
		err = ctl_generation_add(job->key, &job->record);
	/* While it is attached the kernel writes its records. */
	if (!err && job->options->new_key_file && !job->attached)
		err = ctl_generation_add(p->key, &p->disk);
	return err;
}

static int permit(struct job *job)
{
	char *otherwise;
	int err;

	err = ctl_losses_of_anchor(&job->losses, &job->new_anchor, &job->there);
	if (err)
		return err;
	otherwise = ctl_format("this makes a vault of %s and %s and overwrites what %s holds",
			       job->options->new_data, job->new_anchor.path,
			       job->new_anchor.path);
	if (!otherwise)
		return CTL_NO_MEMORY;
	err = ctl_losses_permit(job->options, job->losses, otherwise);
	free(otherwise);
	return err;
}

/*
 * The parent first: while it still seals as before there is no clone that could read
 * it.  The label last: until then the copy is told from nothing else.
 */
static int write_all(struct job *job)
{
	struct ctl_anchored *p = &job->parent;
	const uint64_t next = p->record.sequence + 1;
	int err = CTL_OK;

	if (job->options->new_key_file && !job->attached)
		err = ctl_anchor_replace(&p->anchor, p->key, &p->disk, next);
	if (!err)
		err = ctl_anchor_create(&job->new_anchor, job->key, &job->record,
					next);
	if (!err && job->label && ctl_label_write(&job->new_data, job->uuid))
		err = CTL_INCOMPLETE;
	return err;
}

static void report(const struct job *job)
{
	char uuid[CTL_UUID_CHARS], parent[CTL_UUID_CHARS];
	struct json_object *top;

	ctl_uuid_text(uuid, job->uuid);
	ctl_uuid_text(parent, job->parent.record.uuid);
	ctl_done("the clone %s of the vault %s was made on %s and %s", uuid, parent,
		 job->new_data.path, job->new_anchor.path);
	if (!ctl_given(job->options, CTL_OPT_JSON)) {
		printf("UUID:   %s\n", uuid);
		printf("Of:     %s, record %" PRIu64 "\n", parent,
		       job->parent.record.sequence);
		return;
	}
	top = json_object_new_object();
	ctl_json_text(top, "uuid", uuid);
	ctl_json_text(top, "parent", parent);
	ctl_json_number(top, "parent_sequence", job->parent.record.sequence);
	ctl_json_text(top, "data", job->new_data.path);
	ctl_json_text(top, "anchor", job->new_anchor.path);
	ctl_json_bool(top, "own_key", job->options->new_key_file);
	ctl_json_number(top, "seal", job->record.seal);
	ctl_json_print(top);
}

/* ---- Of an attached vault ----------------------------------------------- */

/* The record that is held is what the anchor of a detached one would say. */
static int take_parent(struct job *job)
{
	struct ctl_anchored *p = &job->parent;
	const struct qvault_disk_anchor *disk = &job->moment.disk;
	int err;

	err = ctl_moment_begin(&job->moment);
	if (err)
		return err;
	p->disk = *disk;
	p->anchor.path = job->live.name;
	p->slots.disk[job->moment.record.sequence % QVAULT_ANCHOR_SLOTS] = *disk;
	if (!ctl_anchor_peek(&p->slots, p->key, disk->uuid, &p->record))
		return ctl_fail(CTL_DENIED, "wrong key for the vault %s; nothing was changed",
				job->live.name);
	err = ctl_key_derive(p->key, p->record.uuid);
	return err ? err : ctl_generations_open(p->key, &p->disk, p->anchor.path);
}

/* What the parent writes from now on its clone cannot read, whatever the copy has of it. */
static int part(struct job *job)
{
	char message[64];
	int err;

	if (!job->options->new_key_file)
		return CTL_OK;
	snprintf(message, sizeof(message), "generation %s",
		 ctl_mac_name(ctl_record_mac(&job->parent.record)));
	err = ctl_dm_message(job->live.name, message);
	return err ? ctl_fail(ctl_exit_of(err), "no clone of %s: it has no new generation: %s",
			      job->live.name, ctl_vault_why(job->live.name, err)) : CTL_OK;
}

static int make_of_attached(struct job *job)
{
	int err;

	err = take_parent(job);
	if (!err)
		err = prepare(job);
	if (!err)
		err = part(job);
	if (!err)
		err = ctl_moment_copy(&job->moment);
	ctl_moment_drop(&job->moment);
	if (!err)
		err = open_one(job, &job->new_data, job->options->new_data, CTL_WRITE);
	if (!err)
		err = check_copy(job);
	return err ? err : write_all(job);
}

/* No signal may leave the hold, or half a clone, behind. */
static int make_undisturbed(struct job *job)
{
	sigset_t all;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &job->moment.signals);
	err = make_of_attached(job);
	sigprocmask(SIG_SETMASK, &job->moment.signals, NULL);
	return err;
}

/* ---- All of it ---------------------------------------------------------- */

static int run_attached(struct job *job)
{
	int err;

	err = check_words(job->options, true);
	if (!err)
		err = open_attached(job);
	if (!err)
		err = permit(job);
	if (!err)
		err = make_undisturbed(job);
	if (!err)
		report(job);
	return err;
}

static int run(struct job *job)
{
	int err;

	err = check_words(job->options, false);
	if (!err)
		err = open_devices(job);
	if (!err)
		err = check_copy(job);
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

int ctl_clone_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.parent.anchor = CTL_DEVICE_CLOSED("anchor"),
		.data = CTL_DEVICE_CLOSED("data"),
		.new_data = CTL_DEVICE_CLOSED("data"),
		.new_anchor = CTL_DEVICE_CLOSED("anchor"),
		.attached = o->argc,
		.moment = { .options = o, .live = &job.live, .what = "clone" },
	};
	int err = job.attached ? run_attached(&job) : run(&job);

	ctl_live_close(&job.live);
	free(job.losses);
	ctl_key_free(job.key);
	ctl_anchored_close(&job.parent);
	ctl_device_close(&job.new_anchor);
	ctl_device_close(&job.new_data);
	ctl_device_close(&job.data);
	return err;
}
