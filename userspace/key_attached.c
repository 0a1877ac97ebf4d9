// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl key change, of an attached vault.  The kernel has the secrets, and wraps
 * them anew.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "live.h"
#include "qvault-ctl.h"
#include "record.h"
#include "vault.h"

struct job {
	const struct ctl_options *options;
	struct ctl_live live;
	struct ctl_device anchor;
	char anchor_path[CTL_PATH_CHARS];
	struct ctl_slots slots;
	struct ctl_record record;
	struct ctl_key *key;
	char uuid[CTL_UUID_CHARS];
	char description[sizeof("qvault:") + CTL_UUID_CHARS];
	char word[sizeof(":64:logon:qvault:") + CTL_UUID_CHARS];
};

/* One slot alone is what a change that was cut off leaves: it may be done again. */
static int refuse_same(struct job *job)
{
	struct ctl_record newest;

	if (ctl_anchor_peek(&job->slots, job->key, job->record.uuid, &newest) <
	    QVAULT_ANCHOR_SLOTS)
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "the new key is the old one; nothing was changed");
}

static int look(struct job *job)
{
	const char *path;
	int err;

	path = ctl_vault_device_path(job->anchor_path, job->live.anchor);
	err = ctl_device_open(&job->anchor, path, CTL_READ);
	if (!err)
		err = ctl_anchor_read(&job->slots, &job->anchor);
	if (!err)
		err = ctl_anchor_newest(&job->slots, &job->anchor, NULL, &job->record);
	if (!err)
		err = ctl_key_read(&job->key, job->options->new_key_file);
	if (!err)
		err = refuse_same(job);
	if (err)
		return err;
	ctl_uuid_text(job->uuid, job->record.uuid);
	snprintf(job->description, sizeof(job->description), "qvault:%s", job->uuid);
	snprintf(job->word, sizeof(job->word), ":%d:logon:%s", QVAULT_MASTER_KEY_SIZE,
		 job->description);
	return CTL_OK;
}

static int change(const struct job *job)
{
	const char *name = job->live.name;
	char message[sizeof("key change ") + sizeof(job->word)];
	int err;

	snprintf(message, sizeof(message), "key change %s", job->word);
	err = ctl_dm_message(name, message);
	if (!err)
		return CTL_OK;
	return ctl_fail(ctl_exit_of(err),
			"the change of the key of %s failed: %s; the old key opens it, and perhaps the new one too",
			name, ctl_vault_why(name, err));
}

static int replace_table(const struct job *job, const char *line)
{
	const char *name = job->live.name;
	int err;

	err = ctl_dm_load(name, job->live.table.sectors, line, false);
	if (!err)
		err = ctl_dm_suspend(name);
	return err ? err :
		ctl_dm_resume(name, ctl_given(job->options, CTL_OPT_PRIVATE));
}

/*
 * A table that attach made names the key by the UUID, and that is the name of the new
 * one, too.  Any other names one that opens the vault no more.
 */
static int rename_key(const struct job *job)
{
	char *line;
	int err;

	if (!strcmp(job->live.key, job->word))
		return CTL_OK;
	line = ctl_live_line(&job->live, job->word);
	if (!line)
		return CTL_NO_MEMORY;
	err = replace_table(job, line);
	free(line);
	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_INCOMPLETE,
			"the key of %s was changed, but its table could not be made to name the new one: %s",
			job->live.name, strerror(-err));
}

/* The key is in the keyring only while the kernel reads what names it. */
static int change_and_rename(const struct job *job)
{
	int32_t serial = 0;
	int err;

	err = ctl_keyring_add(&serial, job->description, job->key);
	if (err)
		return err;
	err = change(job);
	if (!err)
		err = rename_key(job);
	ctl_keyring_remove(serial);
	return err;
}

/* No signal may leave a key in the keyring, or the device suspended. */
static int undisturbed(const struct job *job)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	err = change_and_rename(job);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

static void report(const struct job *job)
{
	struct json_object *top;

	ctl_done("the key of the vault %s was changed", job->uuid);
	if (!ctl_given(job->options, CTL_OPT_JSON)) {
		printf("The key of the vault %s was changed.\n", job->uuid);
		puts("Copies of its anchor that were made before open under the old one.");
		return;
	}
	top = json_object_new_object();
	ctl_json_text(top, "uuid", job->uuid);
	ctl_json_text(top, "anchor", job->anchor.path);
	ctl_json_print(top);
}

static int run(struct job *job, const char *word)
{
	int err;

	err = ctl_live_open(&job->live, word);
	if (!err)
		err = ctl_live_need_writer(&job->live, "change of its key");
	if (!err)
		err = look(job);
	if (!err)
		err = undisturbed(job);
	if (!err)
		report(job);
	return err;
}

int ctl_key_change_attached(const struct ctl_options *o, const char *word)
{
	struct job job = {
		.options = o,
		.anchor = CTL_DEVICE_CLOSED("anchor"),
	};
	int err = run(&job, word);

	ctl_key_free(job.key);
	ctl_device_close(&job.anchor);
	ctl_live_close(&job.live);
	return err;
}
