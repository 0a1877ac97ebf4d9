// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl resize: a table that is longer and says to grow takes the place of the
 * one that is live.  The kernel writes one record while the device is suspended;
 * what the vault holds is neither read nor moved, and users of it only wait.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "live.h"
#include "qvault-ctl.h"
#include "vault.h"

struct job {
	const struct ctl_options *options;
	const char *name;
	struct ctl_dm_info info;
	struct ctl_dm_target table;
	struct ctl_key *key;
	char data[64];			/* words of the table */
	char data_path[CTL_PATH_CHARS];
	char key_word[300];
	uint64_t logical_blocks;	/* now */
	uint32_t log_blocks;
	uint64_t sectors;		/* wanted */
	char *line;
	int kmsg;
};

/* ---- What there is ------------------------------------------------------ */

static int look(struct job *job)
{
	struct ctl_dm_target status;
	int err, n = 0;

	err = ctl_vault_find(job->name, &job->info);
	if (err)
		return err;
	err = ctl_dm_table(job->name, &job->table);
	if (!err)
		err = ctl_dm_status(job->name, &status);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot look at %s: %s",
				job->name, strerror(-err));
	n = sscanf(status.params, "%*s %*u %*u %*u %*u/%" SCNu64 " %*u/%" SCNu32,
		   &job->logical_blocks, &job->log_blocks);
	ctl_dm_target_free(&status);
	if (n == 2)
		n += sscanf(job->table.params, "%63s %*s %299s", job->data,
			    job->key_word);
	if (n != 4)
		return ctl_fail(CTL_USAGE,
				"%s: the module's status or table is none that this qvault-ctl knows",
				job->name);
	if (job->info.read_only || job->info.suspended)
		return ctl_fail(CTL_USAGE, "%s is %s: it cannot grow now", job->name,
				job->info.suspended ? "suspended" : "read-only");
	return CTL_OK;
}

static const char *data_path(struct job *job)
{
	return ctl_vault_device_path(job->data_path, job->data);
}

/* The data device may have grown since the vault was attached. */
static int data_blocks(struct job *job, uint64_t *blocks)
{
	char path[100];
	uint64_t sectors;
	FILE *file;
	int n;

	snprintf(path, sizeof(path), "/sys/dev/block/%s/size", job->data);
	file = fopen(path, "re");
	n = file ? fscanf(file, "%" SCNu64, &sectors) : 0;
	if (file)
		fclose(file);
	if (n != 1)
		return ctl_fail(CTL_WRONG_DEVICE, "cannot tell the size of data device %s",
				data_path(job));
	*blocks = sectors / QVAULT_SECTORS;
	if (*blocks > QVAULT_MAX_DATA_BLOCKS)
		*blocks = QVAULT_MAX_DATA_BLOCKS;
	return CTL_OK;
}

/* ---- What is wanted ----------------------------------------------------- */

static int plan_size(struct job *job)
{
	char have[CTL_SIZE_CHARS], want[CTL_SIZE_CHARS];
	const uint64_t now = job->logical_blocks * QVAULT_BLOCK_SIZE;
	struct qvault_geometry geo;
	uint64_t blocks = 0, bytes;
	int err;

	err = data_blocks(job, &blocks);
	if (err)
		return err;
	if (qvault_geometry_init(&geo, blocks, 0, job->log_blocks))
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s has become too small for the vault",
				data_path(job));
	bytes = job->options->size ? job->options->size :
				     geo.capacity * QVAULT_BLOCK_SIZE;
	if (bytes < now)
		return ctl_fail(CTL_USAGE,
				"%s has %s: a vault does not shrink to %s, since its blocks stand everywhere on its device",
				job->name, ctl_size(have, now), ctl_size(want, bytes));
	if (bytes > geo.capacity * QVAULT_BLOCK_SIZE)
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s is too small: a vault on it has at most %s",
				data_path(job),
				ctl_size(have, geo.capacity * QVAULT_BLOCK_SIZE));
	job->sectors = bytes / QVAULT_BLOCK_SIZE * QVAULT_SECTORS;
	return CTL_OK;
}

/* The live table's words, and "grow" among its options. */
static int plan_line(struct job *job)
{
	const char *params = job->table.params;
	unsigned int options = 0;
	int end = 0;

	/* Three words, and perhaps a number with as many words behind it. */
	if (sscanf(params, "%*s %*s %*s%n", &end) < 0 || !end)
		return ctl_fail(CTL_USAGE, "%s has an unknown table", job->name);
	if (params[end] && sscanf(params + end, " %u", &options) != 1)
		return ctl_fail(CTL_USAGE, "%s has an unknown table", job->name);
	if (strstr(params + end, " grow"))
		job->line = ctl_format("%s", params);
	else if (!options)
		job->line = ctl_format("%.*s 1 grow", end, params);
	else
		job->line = ctl_format("%.*s %u%s grow", end, params, options + 1,
				       strchr(params + end + 1, ' '));
	return job->line ? CTL_OK : CTL_NO_MEMORY;
}

/* A table whose key is of another type finds it where that put it. */
static const char *logon_description(const struct job *job)
{
	static const char prefix[] = ":64:logon:";

	return strncmp(job->key_word, prefix, sizeof(prefix) - 1) ? NULL :
	       job->key_word + sizeof(prefix) - 1;
}

static int get_key(struct job *job)
{
	if (!logon_description(job))
		return CTL_OK;
	return ctl_key_read(&job->key, job->options->key_file);
}

/* ---- The kernel --------------------------------------------------------- */

static int load(const struct job *job, uint64_t sectors, const char *line)
{
	char why[CTL_KMSG_CHARS];
	int32_t serial = 0;
	int err;

	if (job->key) {
		err = ctl_keyring_add(&serial, logon_description(job), job->key);
		if (err)
			return err;
	}
	err = ctl_dm_load(job->name, sectors, line, false);
	if (job->key)
		ctl_keyring_remove(serial);
	if (!err)
		return CTL_OK;
	if (err == -EKEYREJECTED)
		return ctl_fail(CTL_DENIED, "wrong key for the vault %s", job->name);
	ctl_kmsg_first(job->kmsg, why);
	return ctl_fail(ctl_exit_of(err), "the kernel does not take the larger table: %s%s%s",
			why, *why ? ": " : "", strerror(-err));
}

/* The vault is suspended and did not grow: it goes on as it was. */
static int back(const struct job *job, int err)
{
	static const char words[] = "cannot resume: ";
	char text[CTL_KMSG_CHARS], number[32];
	const char *why;
	bool private = ctl_given(job->options, CTL_OPT_PRIVATE);

	snprintf(number, sizeof(number), "%u:%u", job->info.major, job->info.minor);
	ctl_kmsg_find(job->kmsg, number, words, text);
	why = *text ? strstr(text, words) + sizeof(words) - 1 : strerror(-err);
	if (load(job, job->table.sectors, job->table.params) ||
	    ctl_dm_resume(job->name, private))
		return ctl_fail(CTL_INCOMPLETE,
				"%s does not grow, and is suspended: %s", job->name, why);
	return ctl_fail(ctl_exit_of(err), "%s does not grow, and goes on as it was: %s",
			job->name, why);
}

static int replace(const struct job *job)
{
	int err;

	err = load(job, job->sectors, job->line);
	if (err)
		return err;
	err = ctl_dm_suspend(job->name);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot suspend %s: %s", job->name,
				strerror(-err));
	err = ctl_dm_resume(job->name, ctl_given(job->options, CTL_OPT_PRIVATE));
	return err ? back(job, err) : CTL_OK;
}

/* No signal may leave the device suspended. */
static int replace_undisturbed(const struct job *job)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	err = replace(job);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int run(struct job *job)
{
	char size[CTL_SIZE_CHARS];
	int err;

	err = look(job);
	if (!err)
		err = plan_size(job);
	if (!err)
		err = plan_line(job);
	if (!err)
		err = get_key(job);
	if (!err)
		err = replace_undisturbed(job);
	if (!err)
		printf("Size:   %s\n", ctl_size(size, job->sectors * 512));
	return err;
}

int ctl_resize_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.name = ctl_vault_name(o->argv[0]),
		.kmsg = ctl_kmsg_open(),
	};
	int err = run(&job);

	ctl_key_free(job.key);
	ctl_dm_target_free(&job.table);
	free(job.line);
	if (job.kmsg >= 0)
		close(job.kmsg);
	return err;
}
