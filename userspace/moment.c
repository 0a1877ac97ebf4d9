// SPDX-License-Identifier: GPL-2.0
/*
 * A moment of an attached vault: the kernel keeps what one record reaches, while a
 * command copies the data device.
 *
 * A writer who needs room ends the hold, and never waits for us.  So only when it was
 * there until the command had ended is the copy of use.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "command.h"
#include "moment.h"
#include "vault.h"

#define DEFAULT_TIMEOUT	60

/* The name that LVM knows, if it is a mapped device. */
static void name_data(struct ctl_moment *m)
{
	char path[100], name[CTL_DM_NAME_CHARS] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%s/dm/name", m->live->data);
	file = fopen(path, "re");
	if (file && fscanf(file, "%127s", name) != 1)
		*name = '\0';
	if (file)
		fclose(file);
	if (*name)
		snprintf(m->data, sizeof(m->data), "/dev/mapper/%s", name);
	else if (ctl_vault_device_path(m->data, m->live->data) != m->data)
		snprintf(m->data, sizeof(m->data), "/dev/block/%s", m->live->data);
}

static int hold_failed(const struct ctl_moment *m, int err)
{
	if (err == -EBUSY)
		return ctl_fail(CTL_BUSY,
				"another snapshot of %s is being made (if its qvault-ctl was killed, qvault-ctl checkpoint ends it)",
				m->live->name);
	return ctl_fail(ctl_exit_of(err), "%s: no %s: %s", m->live->name, m->what,
			ctl_vault_why(m->live->name, err));
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
static int take_record(struct ctl_moment *m)
{
	struct qvault_disk_anchor *disk = &m->disk;
	const char *why = NULL;
	char *text = NULL;
	int err;

	err = ctl_dm_ask(m->live->name, "held", &text);
	if (err) {
		err = hold_failed(m, err);
	} else if (!parse_hex((uint8_t *)disk, sizeof(*disk), text) ||
		   ctl_record_parse(disk, le64toh(disk->sequence) % QVAULT_ANCHOR_SLOTS,
				    &m->record, &why) != CTL_SLOT_RECORD) {
		err = ctl_fail(CTL_USAGE,
			       "%s: the module's record is none that this qvault-ctl knows",
			       m->live->name);
	}
	free(text);
	return err;
}

/* 0: it stayed until now.  Once only. */
static int release(struct ctl_moment *m)
{
	char message[sizeof("release ") + 20];

	if (!m->held)
		return -ETIME;
	m->held = false;
	snprintf(message, sizeof(message), "release %" PRIu64, m->record.sequence);
	return ctl_dm_message(m->live->name, message);
}

/*
 * The module writes below the page cache of the data device, which may hold blocks of
 * long ago.  What is read into it from now on stays right while the moment is held.
 */
static int drop_cache(const struct ctl_moment *m)
{
	struct ctl_device data = CTL_DEVICE_CLOSED("data");
	int err;

	err = ctl_device_open(&data, m->data, CTL_READ);
	if (!err && ioctl(data.fd, BLKFLSBUF, 0))
		err = ctl_fail(ctl_exit_of(errno), "cannot drop the page cache of %s: %s",
			       m->data, strerror(errno));
	ctl_device_close(&data);
	return err;
}

static int judge_status(const struct ctl_moment *m, int status)
{
	const char *what = m->options->run[0];

	if (WIFSIGNALED(status))
		return ctl_fail(CTL_INCOMPLETE,
				"no %s of %s: %s was ended by signal %d (%s)",
				m->what, m->live->name, what, WTERMSIG(status),
				strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return ctl_fail(CTL_INCOMPLETE,
				"no %s of %s: %s failed with exit code %d",
				m->what, m->live->name, what, WEXITSTATUS(status));
	return CTL_OK;
}

static int run_command(struct ctl_moment *m)
{
	const struct ctl_options *o = m->options;
	const uint32_t seconds = o->timeout ? o->timeout : DEFAULT_TIMEOUT;
	struct ctl_command command;
	enum ctl_command_end end;
	int err;

	ctl_flush();
	err = ctl_command_start(&command, o->run, m->data, o->output,
				ctl_given(o, CTL_OPT_JSON), &m->signals);
	if (err)
		return ctl_fail(CTL_USAGE, "cannot run %s: %s", o->run[0],
				strerror(-err));
	end = ctl_command_wait(&command, seconds);
	if (end == CTL_COMMAND_ENDED)
		return judge_status(m, command.status);
	/* Writers first: whom we end may take his time. */
	release(m);
	ctl_command_kill(&command);
	if (end == CTL_COMMAND_INTERRUPTED)
		return ctl_fail(CTL_INCOMPLETE, "interrupted: no %s of %s, and %s was ended",
				m->what, m->live->name, o->run[0]);
	return ctl_fail(CTL_INCOMPLETE,
			"no %s of %s: %s took more than %" PRIu32 " seconds, and was ended (--timeout)",
			m->what, m->live->name, o->run[0], seconds);
}

static int finish(struct ctl_moment *m)
{
	int err = release(m);

	if (!err)
		return CTL_OK;
	if (err == -ETIME)
		return ctl_fail(CTL_INCOMPLETE,
				"no %s of %s: writes needed the room that it kept, so what %s copied is of no use; make it faster, or give the vault a larger log or more free space",
				m->what, m->live->name, m->options->run[0]);
	return ctl_fail(CTL_INCOMPLETE, "no %s of %s: %s", m->what,
			m->live->name, ctl_vault_why(m->live->name, err));
}

int ctl_moment_begin(struct ctl_moment *m)
{
	int err;

	name_data(m);
	err = ctl_dm_message(m->live->name, "hold");
	if (err)
		return hold_failed(m, err);
	m->held = true;
	return take_record(m);
}

int ctl_moment_copy(struct ctl_moment *m)
{
	int err;

	err = drop_cache(m);
	if (!err)
		err = run_command(m);
	return err ? err : finish(m);
}

void ctl_moment_drop(struct ctl_moment *m)
{
	release(m);
}
