// SPDX-License-Identifier: GPL-2.0
/*
 * The table of an attached vault.
 */
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "live.h"
#include "qvault-ctl.h"
#include "vault.h"

static int read_table(struct ctl_live *live)
{
	int err, end = 0;

	err = ctl_dm_table(live->name, &live->table);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot look at %s: %s", live->name,
				strerror(-err));
	if (sscanf(live->table.params, "%63s %63s %299s%n", live->data, live->anchor,
		   live->key, &end) != 3)
		return ctl_fail(CTL_USAGE,
				"%s: the module's table is none that this qvault-ctl knows",
				live->name);
	live->options = live->table.params + end;
	return CTL_OK;
}

int ctl_live_open(struct ctl_live *live, const char *word)
{
	int err;

	memset(live, 0, sizeof(*live));
	live->name = ctl_vault_name(word);
	err = ctl_vault_find(live->name, &live->info);
	return err ? err : read_table(live);
}

void ctl_live_close(struct ctl_live *live)
{
	ctl_dm_target_free(&live->table);
}

bool ctl_table_ephemeral(const char *anchor, const char *options)
{
	return !strcmp(anchor, "-") || strstr(options, " ephemeral");
}

bool ctl_live_ephemeral(const struct ctl_live *live)
{
	return ctl_table_ephemeral(live->anchor, live->options);
}

int ctl_live_need_writer(const struct ctl_live *live, const char *what)
{
	if (ctl_live_ephemeral(live))
		return ctl_fail(CTL_USAGE, "%s is ephemeral: no %s", live->name, what);
	if (live->info.read_only)
		return ctl_fail(CTL_USAGE, "%s is read-only: no %s", live->name, what);
	if (live->info.suspended)
		return ctl_fail(CTL_USAGE,
				"%s is suspended: no %s until qvault-ctl resume",
				live->name, what);
	return CTL_OK;
}

char *ctl_live_line(const struct ctl_live *live, const char *key)
{
	return ctl_format("%s %s %s%s", live->data, live->anchor, key, live->options);
}

const char *ctl_vault_device_path(char path[CTL_PATH_CHARS], const char *number)
{
	char link[100], target[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/dev/block/%s", number);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return number;
	target[n] = '\0';
	snprintf(path, CTL_PATH_CHARS, "/dev/%s", basename(target));
	return path;
}
