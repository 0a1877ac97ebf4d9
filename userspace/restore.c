// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl restore: what a copy of the anchor says is the vault's state again.
 *
 * With the newest record at hand its numbers go on: whatever was sealed since lies
 * below its lease, so the generations may go on, too.  Without it nobody knows which
 * versions were used, so all that follows is sealed under a new generation.
 */
#include <endian.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anchored.h"
#include "json.h"

static const char usage[] = "restore --anchor ANCHOR --data DATA --from COPY";

struct job {
	const struct ctl_options *options;
	struct ctl_anchored copy;	/* the state to go back to, and the key */
	struct ctl_device data;
	struct ctl_device anchor;
	struct ctl_slots there;		/* on the anchor, now */
	struct ctl_record newest;	/* the newest there; sequence 0: none */
	bool goes_on;			/* from the newest record there is */
	struct ctl_key *key;		/* of the anchor, now and then */
	struct qvault_disk_anchor record;
	char *losses;
};

static int check_words(const struct ctl_options *o)
{
	int err;

	err = ctl_need(o->anchor, "anchor device", usage);
	if (!err)
		err = ctl_need(o->data, "data device", usage);
	if (!err)
		err = ctl_need(o->from, "copy of the anchor", usage);
	return err ? err : ctl_need_two_keys(o->key_file, o->new_key_file);
}

static int open_devices(struct job *job)
{
	const struct ctl_options *o = job->options;
	int err;

	err = ctl_device_open(&job->copy.anchor, o->from, CTL_READ);
	if (!err)
		err = ctl_device_open(&job->anchor, o->anchor, CTL_READ);
	if (!err)
		err = ctl_device_refuse_same(&job->copy.anchor, &job->anchor);
	if (!err)
		err = ctl_device_reopen(&job->anchor, CTL_WRITE | CTL_EXCLUSIVE);
	if (!err)
		err = ctl_device_open(&job->data, o->data, CTL_READ | CTL_EXCLUSIVE);
	return err ? err : ctl_anchor_read(&job->there, &job->anchor);
}

/* ---- What is there ------------------------------------------------------ */

/* The copy may be older than a change of the key. */
static int get_key(struct job *job)
{
	const char *path = job->options->new_key_file;
	int err;

	err = path ? ctl_key_read(&job->key, path) :
		     ctl_key_copy(&job->key, job->copy.key);
	return err ? err : ctl_key_derive(job->key, job->copy.record.uuid);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Only with both slots is the newest one known to be the newest: another one may be
 * gone with a slot that is torn or has rotted.  An empty slot never held one.
 */
static int look_at_anchor(struct job *job)
{
	const struct ctl_record *r = &job->copy.record;
	struct ctl_record other;
	const char *why;
	uint32_t good, slot, empty = 0;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		empty += !job->there.error[slot] &&
			 ctl_record_parse(&job->there.disk[slot], slot, &other,
					  &why) == CTL_SLOT_EMPTY;
	good = ctl_anchor_peek(&job->there, job->key, r->uuid, &job->newest);
	if (good && job->newest.ro_compat)
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor %s has features that this qvault-ctl does not know (0x%" PRIx32 "), and may only be read",
				job->anchor.path, job->newest.ro_compat);
	if (!good)
		return ctl_losses_of_anchor(&job->losses, &job->anchor, &job->there);
	job->goes_on = good + empty == QVAULT_ANCHOR_SLOTS &&
		       job->newest.sequence >= r->sequence &&
		       job->newest.epoch >= r->epoch && job->newest.lease >= r->lease;
	if (job->newest.sequence != r->sequence ||
	    memcmp(job->there.disk[r->sequence % QVAULT_ANCHOR_SLOTS].mac,
		   job->copy.disk.mac, sizeof(job->copy.disk.mac)))
		return CTL_OK;
	return ctl_fail(CTL_USAGE,
			"%s is what the anchor %s says already; nothing was changed",
			job->copy.anchor.path, job->anchor.path);
}

/* ---- The record --------------------------------------------------------- */

static bool same_generation(const struct job *job, const struct qvault_disk_anchor *now,
			    uint32_t i)
{
	const struct qvault_disk_generation *a = &job->copy.disk.gen[i];
	const struct qvault_disk_generation *b = &now->gen[i];

	return a->cipher == b->cipher && a->mac == b->mac &&
	       !CRYPTO_memcmp(job->copy.key->secret[i], job->key->secret[i],
			      QVAULT_SECRET_SIZE);
}

/* All that either of them knows, unless both mean something else by one number. */
static int unite_generations(struct job *job, const struct qvault_disk_anchor *now)
{
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!ctl_generation_exists(now, i))
			continue;
		if (ctl_generation_exists(&job->copy.disk, i) &&
		    !same_generation(job, now, i))
			return ctl_fail(CTL_WRONG_DEVICE,
					"generation %" PRIu32 " of record %" PRIu64 " was dropped since, and is another one now: that state cannot be gone back to with the anchor %s; nothing was changed",
					i, job->copy.record.sequence,
					job->anchor.path);
		job->record.gen[i] = now->gen[i];
	}
	job->record.seal = now->seal;
	return CTL_OK;
}

static int go_on(struct job *job)
{
	const struct qvault_disk_anchor *now =
		&job->there.disk[job->newest.sequence % QVAULT_ANCHOR_SLOTS];
	int err;

	err = ctl_generations_open(job->key, now, job->anchor.path);
	return err ? err : unite_generations(job, now);
}

static int prepare(struct job *job)
{
	const struct ctl_record *r = &job->copy.record;
	int err;

	job->record = job->copy.disk;
	job->record.epoch = htole64(larger(r->epoch, job->newest.epoch) + 1);
	job->record.lease = htole64(larger(r->lease, job->newest.lease));
	err = ctl_generations_wrap(job->key, job->copy.key, &job->record);
	if (err)
		return err;
	if (job->goes_on)
		return go_on(job);
	err = ctl_generation_room(&job->copy.disk, 0, job->copy.anchor.path);
	return err ? err : ctl_generation_add(job->key, &job->record);
}

/* ---- What is given up --------------------------------------------------- */

static char *given_up(const struct job *job)
{
	const struct ctl_record *r = &job->copy.record, *n = &job->newest;
	char then[CTL_TIME_CHARS], now[CTL_TIME_CHARS];

	ctl_time(then, r->time);
	if (job->goes_on && n->sequence > r->sequence)
		return ctl_format("all that was written after record %" PRIu64 " of %s, until record %" PRIu64 " of %s,",
				  r->sequence, then, n->sequence,
				  ctl_time(now, n->time));
	return ctl_format("all that was written after record %" PRIu64 " of %s, which nobody can tell any more,",
			  r->sequence, then);
}

static int permit(const struct job *job, const char *loss)
{
	if (job->losses && !ctl_given(job->options, CTL_OPT_FORCE))
		return ctl_fail(CTL_BUSY,
				"%s, which is not this vault's, or not under this key; nothing was changed: give --force to destroy it",
				job->losses);
	if (!ctl_given(job->options, CTL_OPT_ACCEPT_OLDER))
		return ctl_fail(CTL_USAGE,
				"%s would be given up; nothing was changed: give --accept-older-state if that is meant",
				loss);
	if (job->losses)
		ctl_warn("%s: this is destroyed for ever", job->losses);
	return CTL_OK;
}

static int write_record(struct job *job)
{
	const uint64_t next = larger(job->newest.sequence,
				     job->copy.record.sequence) + 1;

	if (job->newest.sequence)
		return ctl_anchor_replace(&job->anchor, job->key, &job->record,
					  next);
	return ctl_anchor_create(&job->anchor, job->key, &job->record, next);
}

static void report(const struct job *job, const char *loss)
{
	const struct ctl_record *r = &job->copy.record;
	char uuid[CTL_UUID_CHARS];
	struct json_object *top;

	ctl_uuid_text(uuid, r->uuid);
	ctl_done("the vault %s is what it was at record %" PRIu64, uuid, r->sequence);
	if (!ctl_given(job->options, CTL_OPT_JSON)) {
		printf("The vault %s is what it was at record %" PRIu64 ".\n", uuid,
		       r->sequence);
		printf("Given up: %s as wished.\n", loss);
		return;
	}
	top = json_object_new_object();
	ctl_json_text(top, "uuid", uuid);
	ctl_json_text(top, "anchor", job->anchor.path);
	ctl_json_number(top, "restored_sequence", r->sequence);
	ctl_json_number(top, "restored_time", r->time);
	ctl_json_number(top, "given_up_sequence", job->newest.sequence);
	ctl_json_bool(top, "new_generation", !job->goes_on);
	ctl_json_print(top);
}

static bool same_state(const struct qvault_disk_anchor *a,
		       const struct qvault_disk_anchor *b)
{
	return !memcmp(&a->tree, &b->tree, sizeof(a->tree)) &&
	       !memcmp(&a->map, &b->map, sizeof(a->map)) &&
	       !memcmp(&a->log, &b->log, sizeof(a->log));
}

/* Put back, too: what the newest record names must be gone. */
static int check_data(struct job *job)
{
	const struct ctl_record *n = &job->newest;
	const struct qvault_disk_anchor *now =
		&job->there.disk[n->sequence % QVAULT_ANCHOR_SLOTS];
	const char *what;
	int err;

	err = ctl_verify_data(&job->data, job->copy.key, &job->copy.disk,
			      &job->copy.record);
	if (err || !job->goes_on || same_state(now, &job->copy.disk) ||
	    n->geo.data_blocks > job->data.bytes / QVAULT_BLOCK_SIZE)
		return err;
	err = ctl_data_lacks(&job->data, job->key, now, n, &what);
	if (err || what)
		return err;
	return ctl_fail(CTL_WRONG_DEVICE,
			"data device %s does not hold the state of record %" PRIu64 " but that of the newest, %" PRIu64 ": put it back first",
			job->data.path, job->copy.record.sequence, n->sequence);
}

static int restore(struct job *job)
{
	char *loss = given_up(job);
	int err;

	if (!loss)
		return CTL_NO_MEMORY;
	err = permit(job, loss);
	if (!err)
		err = write_record(job);
	if (!err)
		report(job, loss);
	free(loss);
	return err;
}

static int run(struct job *job)
{
	int err;

	err = check_words(job->options);
	if (!err)
		err = open_devices(job);
	if (!err)
		err = ctl_anchored_judge(&job->copy, job->options->key_file);
	if (!err)
		err = get_key(job);
	if (!err)
		err = look_at_anchor(job);
	if (!err)
		err = prepare(job);
	if (!err)
		err = check_data(job);
	return err ? err : restore(job);
}

int ctl_restore_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.copy.anchor = CTL_DEVICE_CLOSED("copy of the anchor"),
		.data = CTL_DEVICE_CLOSED("data"),
		.anchor = CTL_DEVICE_CLOSED("anchor"),
	};
	int err = run(&job);

	free(job.losses);
	ctl_key_free(job.key);
	ctl_anchored_close(&job.copy);
	ctl_device_close(&job.anchor);
	ctl_device_close(&job.data);
	return err;
}
