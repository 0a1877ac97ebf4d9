// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl snapshot: the kernel keeps what one record reaches, while a command copies
 * the data device.  That record, in a file that is an anchor, and the copy are a vault
 * of that moment.
 *
 * A writer who needs room ends the hold, and never waits for us.  So only when it was
 * there until the command had ended is there a snapshot.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "json.h"
#include "live.h"
#include "qvault-ctl.h"
#include "record.h"
#include "vault.h"

#define DEFAULT_TIMEOUT	60

struct job {
	const struct ctl_options *options;
	struct ctl_live live;
	char data[CTL_PATH_CHARS];
	sigset_t signals;		/* that were blocked before */
	int fd;				/* of the output */
	bool held;
	struct qvault_disk_anchor disk;
	struct ctl_record record;
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

/* The name that LVM knows, if it is a mapped device. */
static void name_data(struct job *job)
{
	char path[100], name[CTL_DM_NAME_CHARS] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%s/dm/name", job->live.data);
	file = fopen(path, "re");
	if (file && fscanf(file, "%127s", name) != 1)
		*name = '\0';
	if (file)
		fclose(file);
	if (*name)
		snprintf(job->data, sizeof(job->data), "/dev/mapper/%s", name);
	else if (ctl_vault_device_path(job->data, job->live.data) != job->data)
		snprintf(job->data, sizeof(job->data), "/dev/block/%s", job->live.data);
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

/* ---- The moment --------------------------------------------------------- */

static int hold_failed(const char *name, int err)
{
	if (err == -EBUSY)
		return ctl_fail(CTL_BUSY,
				"another snapshot of %s is being made (if its qvault-ctl was killed, qvault-ctl checkpoint ends it)",
				name);
	return ctl_fail(ctl_exit_of(err), "%s: no snapshot: %s", name,
			ctl_vault_why(name, err));
}

static bool parse_hex(uint8_t *bytes, size_t count, const char *text)
{
	size_t i;

	if (strlen(text) != 2 * count ||
	    strspn(text, "0123456789abcdef") != 2 * count)
		return false;
	for (i = 0; i < count; i++)
		if (sscanf(text + 2 * i, "%2hhx", &bytes[i]) != 1)
			return false;
	return true;
}

/* Not even a record of our own kernel is written without a look at it. */
static int take_record(struct job *job)
{
	struct qvault_disk_anchor *disk = &job->disk;
	const char *why = NULL;
	char *text = NULL;
	int err;

	err = ctl_dm_ask(job->live.name, "held", &text);
	if (err) {
		err = hold_failed(job->live.name, err);
	} else if (!parse_hex((uint8_t *)disk, sizeof(*disk), text) ||
		   ctl_record_parse(disk, le64toh(disk->sequence) % QVAULT_ANCHOR_SLOTS,
				    &job->record, &why) != CTL_SLOT_RECORD) {
		err = ctl_fail(CTL_USAGE,
			       "%s: the module's record is none that this qvault-ctl knows",
			       job->live.name);
	}
	free(text);
	return err;
}

static int hold(struct job *job)
{
	int err;

	err = ctl_dm_message(job->live.name, "hold");
	if (err)
		return hold_failed(job->live.name, err);
	job->held = true;
	return take_record(job);
}

/* 0: it stayed until now.  Once only. */
static int release(struct job *job)
{
	char message[sizeof("release ") + 20];

	if (!job->held)
		return -ETIME;
	job->held = false;
	snprintf(message, sizeof(message), "release %" PRIu64, job->record.sequence);
	return ctl_dm_message(job->live.name, message);
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
	const uint32_t slot = job->record.sequence % QVAULT_ANCHOR_SLOTS;
	struct ctl_device file = { .role = "output", .fd = job->fd };
	int err;

	err = ftruncate(job->fd, size) ? -errno : 0;
	if (!err)
		err = ctl_device_write(&file, &job->disk, sizeof(job->disk),
				       (off_t)QVAULT_SLOT_BLOCK(slot) * QVAULT_BLOCK_SIZE);
	if (!err)
		err = sync_directory(job->options->output);
	if (!err)
		return CTL_OK;
	return ctl_fail(ctl_exit_of(err), "cannot write %s: %s", job->options->output,
			strerror(-err));
}

/* ---- The command -------------------------------------------------------- */

/*
 * The module writes below the page cache of the data device, which may hold blocks of
 * long ago.  What is read into it from now on stays right while the moment is held.
 */
static int drop_cache(const struct job *job)
{
	struct ctl_device data = CTL_DEVICE_CLOSED("data");
	int err;

	err = ctl_device_open(&data, job->data, CTL_READ);
	if (!err && ioctl(data.fd, BLKFLSBUF, 0))
		err = ctl_fail(ctl_exit_of(errno), "cannot drop the page cache of %s: %s",
			       job->data, strerror(errno));
	ctl_device_close(&data);
	return err;
}

static int judge_status(const struct job *job, int status)
{
	const char *what = job->options->run[0];

	if (WIFSIGNALED(status))
		return ctl_fail(CTL_INCOMPLETE,
				"no snapshot of %s: %s was ended by signal %d (%s)",
				job->live.name, what, WTERMSIG(status),
				strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return ctl_fail(CTL_INCOMPLETE,
				"no snapshot of %s: %s failed with exit code %d",
				job->live.name, what, WEXITSTATUS(status));
	return CTL_OK;
}

static int run_command(struct job *job)
{
	const struct ctl_options *o = job->options;
	const uint32_t seconds = o->timeout ? o->timeout : DEFAULT_TIMEOUT;
	struct ctl_command command;
	enum ctl_command_end end;
	int err;

	ctl_flush();
	err = ctl_command_start(&command, o->run, job->data, o->output,
				ctl_given(o, CTL_OPT_JSON), &job->signals);
	if (err)
		return ctl_fail(CTL_USAGE, "cannot run %s: %s", o->run[0],
				strerror(-err));
	end = ctl_command_wait(&command, seconds);
	if (end == CTL_COMMAND_ENDED)
		return judge_status(job, command.status);
	/* Writers first: whom we end may take his time. */
	release(job);
	ctl_command_kill(&command);
	if (end == CTL_COMMAND_INTERRUPTED)
		return ctl_fail(CTL_INCOMPLETE, "interrupted: no snapshot of %s, and %s was ended",
				job->live.name, o->run[0]);
	return ctl_fail(CTL_INCOMPLETE,
			"no snapshot of %s: %s took more than %" PRIu32 " seconds, and was ended (--timeout)",
			job->live.name, o->run[0], seconds);
}

static int finish(struct job *job)
{
	int err = release(job);

	if (!err)
		return CTL_OK;
	if (err == -ETIME)
		return ctl_fail(CTL_INCOMPLETE,
				"no snapshot of %s: writes needed the room that it kept, so what %s copied is of no use; make it faster, or give the vault a larger log or more free space",
				job->live.name, job->options->run[0]);
	return ctl_fail(CTL_INCOMPLETE, "no snapshot of %s: %s", job->live.name,
			ctl_vault_why(job->live.name, err));
}

/* ---- All of it ---------------------------------------------------------- */

static int make(struct job *job)
{
	int err;

	err = make_output(job);
	if (err)
		return err;
	err = hold(job);
	if (!err)
		err = write_output(job);
	if (!err)
		err = drop_cache(job);
	if (!err)
		err = run_command(job);
	if (!err)
		err = finish(job);
	/* After whatever failed. */
	release(job);
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
	sigprocmask(SIG_BLOCK, &all, &job->signals);
	err = make(job);
	sigprocmask(SIG_SETMASK, &job->signals, NULL);
	return err;
}

static void report(const struct job *job)
{
	const struct ctl_record *r = &job->record;
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
	ctl_json_text(top, "data", job->data);
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
	name_data(job);
	err = make_undisturbed(job);
	if (!err)
		report(job);
	return err;
}

int ctl_snapshot_verb(struct ctl_options *o)
{
	struct job job = { .options = o, .fd = -1 };
	int err = run(&job);

	if (job.fd >= 0)
		close(job.fd);
	ctl_live_close(&job.live);
	return err;
}
