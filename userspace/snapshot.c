// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl snapshot: a command copies the data device, as it is at one moment.  The
 * record of that moment, in a file that is an anchor, and the copy are a vault.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "moment.h"

struct job {
	const struct ctl_options *options;
	struct ctl_live live;
	struct ctl_moment moment;
	int fd;				/* of the output */
};

/* ---- Before ------------------------------------------------------------- */

static int check_words(const struct ctl_options *o)
{
	static const char usage[] =
		"snapshot NAME --output FILE --run COMMAND [WORD...]";

	if (!o->output)
		return ctl_fail(CTL_USAGE, "no file for the record: qvault-ctl %s", usage);
	if (!o->run || !*o->run)
		return ctl_fail(CTL_USAGE, "no command: qvault-ctl %s", usage);
	return CTL_OK;
}

/* A file that was there may be the anchor of another vault. */
static int make_output(struct job *job)
{
	const char *path = job->options->output;

	job->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (job->fd >= 0)
		return CTL_OK;
	return ctl_fail(ctl_exit_of(errno), "cannot make %s: %s", path, strerror(errno));
}

/* ---- The record --------------------------------------------------------- */

/* The file is there after a crash only if its directory says so. */
static int sync_directory(const char *path)
{
	char *copy = strdup(path);
	int err = 0, fd = -1;

	if (copy)
		fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}

/* An anchor with one slot and nothing else. */
static int write_output(struct job *job)
{
	static const off_t size = (off_t)QVAULT_ANCHOR_BLOCKS * QVAULT_BLOCK_SIZE;
	const uint32_t slot = job->moment.record.sequence % QVAULT_ANCHOR_SLOTS;
	const struct qvault_disk_anchor *disk = &job->moment.disk;
	struct ctl_device file = { .role = "output", .fd = job->fd };
	int err;

	err = ftruncate(job->fd, size) ? -errno : 0;
	if (!err)
		err = ctl_device_write(&file, disk, sizeof(*disk),
				       (off_t)QVAULT_SLOT_BLOCK(slot) * QVAULT_BLOCK_SIZE);
	if (!err)
		err = sync_directory(job->options->output);
	if (!err)
		return CTL_OK;
	return ctl_fail(ctl_exit_of(err), "cannot write %s: %s", job->options->output,
			strerror(-err));
}

/* ---- All of it ---------------------------------------------------------- */

static int make(struct job *job)
{
	int err;

	err = make_output(job);
	if (err)
		return err;
	err = ctl_moment_begin(&job->moment);
	if (!err)
		err = write_output(job);
	if (!err)
		err = ctl_moment_copy(&job->moment);
	ctl_moment_drop(&job->moment);
	if (err)
		unlink(job->options->output);
	return err;
}

/* No signal may leave the hold, or half a file, behind. */
static int make_undisturbed(struct job *job)
{
	sigset_t all;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &job->moment.signals);
	err = make(job);
	sigprocmask(SIG_SETMASK, &job->moment.signals, NULL);
	return err;
}

static void report(const struct job *job)
{
	const struct ctl_record *r = &job->moment.record;
	char uuid[CTL_UUID_CHARS], when[CTL_TIME_CHARS];
	struct json_object *top;

	ctl_done("a snapshot of %s was made, and %s is its anchor", job->live.name,
		 job->options->output);
	ctl_uuid_text(uuid, r->uuid);
	if (!ctl_given(job->options, CTL_OPT_JSON)) {
		fputs("Anchor:   ", stdout);
		ctl_put_escaped(stdout, job->options->output);
		printf("\nUUID:     %s\nSequence: %" PRIu64 "\nTime:     %s\n", uuid,
		       r->sequence, ctl_time(when, r->time));
		return;
	}
	top = json_object_new_object();
	ctl_json_text(top, "name", job->live.name);
	ctl_json_text(top, "uuid", uuid);
	ctl_json_text(top, "data", job->moment.data);
	ctl_json_text(top, "anchor", job->options->output);
	ctl_json_number(top, "sequence", r->sequence);
	ctl_json_number(top, "time", r->time);
	ctl_json_print(top);
}

static int run(struct job *job)
{
	int err;

	err = check_words(job->options);
	if (!err)
		err = ctl_live_open(&job->live, job->options->argv[0]);
	if (!err)
		err = ctl_live_need_writer(&job->live, "snapshot");
	if (err)
		return err;
	err = make_undisturbed(job);
	if (!err)
		report(job);
	return err;
}

int ctl_snapshot_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.fd = -1,
		.moment = { .options = o, .live = &job.live, .what = "snapshot" },
	};
	int err = run(&job);

	if (job.fd >= 0)
		close(job.fd);
	ctl_live_close(&job.live);
	return err;
}
