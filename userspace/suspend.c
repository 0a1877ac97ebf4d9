// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl suspend and qvault-ctl resume.  Who reads or writes meanwhile waits.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "live.h"
#include "qvault-ctl.h"
#include "vault.h"

struct job {
	const struct ctl_options *options;
	struct ctl_live live;
	struct ctl_key *key;
	char number[32];
	int kmsg;
};

static int open_vault(struct job *job)
{
	const struct ctl_dm_info *info = &job->live.info;
	int err = ctl_live_open(&job->live, job->options->argv[0]);

	snprintf(job->number, sizeof(job->number), "%u:%u", info->major, info->minor);
	return err;
}

/* No signal may come between a suspend and what belongs to it. */
static int undisturbed(struct job *job, int (*what)(struct job *job))
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	err = what(job);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int finish(struct job *job, int err)
{
	ctl_key_free(job->key);
	ctl_live_close(&job->live);
	if (job->kmsg >= 0)
		close(job->kmsg);
	return err;
}

/* ---- Suspend ------------------------------------------------------------ */

static int judge_suspend(const struct job *job)
{
	const bool wipe = ctl_given(job->options, CTL_OPT_WIPE_KEY);
	const struct ctl_live *live = &job->live;

	if (wipe && ctl_live_ephemeral(live))
		return ctl_fail(CTL_USAGE,
				"%s is ephemeral: its key is nowhere else, and could not be brought back",
				live->name);
	/* Its key may still have to be wiped. */
	if (live->info.suspended && !wipe)
		return ctl_fail(CTL_USAGE, "%s is suspended already", live->name);
	return CTL_OK;
}

static int stop(const struct job *job)
{
	const char *name = job->live.name;
	char text[CTL_KMSG_CHARS];
	int err;

	if (job->live.info.suspended)
		return CTL_OK;
	err = ctl_dm_suspend(name);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot suspend %s: %s", name,
				strerror(-err));
	ctl_kmsg_find(job->kmsg, job->number, "only in memory", text);
	if (*text)
		ctl_warn("%s: what was not flushed could not be made durable, and is only in memory",
			 name);
	return CTL_OK;
}

static int suspend(struct job *job)
{
	int err = stop(job);

	if (err || !ctl_given(job->options, CTL_OPT_WIPE_KEY))
		return err;
	err = ctl_dm_message(job->live.name, "key wipe");
	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_INCOMPLETE,
			"%s is suspended, but its key may still be in memory: %s",
			job->live.name, strerror(-err));
}

int ctl_suspend_verb(struct ctl_options *o)
{
	struct job job = { .options = o, .kmsg = ctl_kmsg_open() };
	int err = open_vault(&job);

	if (!err)
		err = judge_suspend(&job);
	if (!err)
		err = undisturbed(&job, suspend);
	return finish(&job, err);
}

/* ---- Resume ------------------------------------------------------------- */

static int judge_resume(struct job *job)
{
	const struct ctl_live *live = &job->live;

	if (!live->info.suspended)
		return ctl_fail(CTL_USAGE, "%s is not suspended", live->name);
	if (!job->options->key_file)
		return CTL_OK;
	if (ctl_live_ephemeral(live))
		return ctl_fail(CTL_USAGE,
				"--key-file has no meaning for an ephemeral vault");
	return ctl_key_read(&job->key, job->options->key_file);
}

/* The key is in the keyring only while the kernel reads the message. */
static int set_key(const struct job *job)
{
	const char *name = job->live.name;
	char description[sizeof("qvault:") + CTL_DM_NAME_CHARS];
	char message[sizeof("key set :64:logon:") + sizeof(description)];
	int32_t serial = 0;
	int err;

	snprintf(description, sizeof(description), "qvault:%s", name);
	snprintf(message, sizeof(message), "key set :%d:logon:%s",
		 QVAULT_MASTER_KEY_SIZE, description);
	err = ctl_keyring_add(&serial, description, job->key);
	if (err)
		return err;
	err = ctl_dm_message(name, message);
	ctl_keyring_remove(serial);
	if (err == -EKEYREJECTED)
		return ctl_fail(CTL_DENIED,
				"wrong key for the vault %s, which stays suspended", name);
	if (err)
		return ctl_fail(ctl_exit_of(err),
				"the kernel does not take the key, and %s stays suspended: %s",
				name, strerror(-err));
	return CTL_OK;
}

static int resume_failed(const struct job *job, int err)
{
	static const char words[] = "cannot resume: ";
	const char *name = job->live.name, *why;
	char text[CTL_KMSG_CHARS];

	if (err == -ENOKEY)
		return ctl_fail(CTL_DENIED,
				"the key of %s was wiped: give --key-file FILE", name);
	ctl_kmsg_find(job->kmsg, job->number, words, text);
	why = *text ? strstr(text, words) + sizeof(words) - 1 : strerror(-err);
	return ctl_fail(ctl_exit_of(err), "%s stays suspended: %s", name, why);
}

static int resume(struct job *job)
{
	int err = job->key ? set_key(job) : CTL_OK;

	if (err)
		return err;
	err = ctl_dm_resume(job->live.name, ctl_given(job->options, CTL_OPT_PRIVATE));
	return err ? resume_failed(job, err) : CTL_OK;
}

int ctl_resume_verb(struct ctl_options *o)
{
	struct job job = { .options = o, .kmsg = ctl_kmsg_open() };
	int err = open_vault(&job);

	if (!err)
		err = judge_resume(&job);
	if (!err)
		err = undisturbed(&job, resume);
	return finish(&job, err);
}
