// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl detach.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "qvault-ctl.h"
#include "vault.h"

/*
 * Is it claimed, that is, mounted or under another device?  An open count alone
 * may also be udev, which looks at new devices and goes away again.
 */
static bool is_claimed(const char *name)
{
	char path[sizeof("/dev/mapper/") + CTL_DM_NAME_CHARS];
	int fd;

	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

static int refuse_busy(const char *name)
{
	return ctl_fail(CTL_BUSY,
			"%s is in use (mounted, open, or under another device); unmount it first, or give --deferred",
			name);
}

/*
 * A removal cannot fail once nobody uses the device, so whether the last writes
 * became durable must be found out before it.
 */
static void commit(const char *name, const struct ctl_dm_info *info)
{
	int err;

	if (!info->live || info->read_only || info->suspended)
		return;
	err = ctl_dm_message(name, "commit");
	if (err)
		ctl_warn("%s: writes since the last flush could not be made durable: %s",
			 name, strerror(-err));
}

int ctl_detach_verb(struct ctl_options *o)
{
	const bool deferred = ctl_given(o, CTL_OPT_DEFERRED);
	const char *name = ctl_vault_name(o->argv[0]);
	struct ctl_dm_info info;
	int err;

	err = ctl_vault_find(name, &info);
	if (err)
		return err;
	if (!deferred && info.open_count && is_claimed(name))
		return refuse_busy(name);
	commit(name, &info);
	err = ctl_dm_remove(name, deferred ? CTL_DM_REMOVE_DEFERRED :
					     CTL_DM_REMOVE_RETRY);
	if (err == -EBUSY)
		return refuse_busy(name);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot detach %s: %s", name,
				strerror(-err));
	return CTL_OK;
}
