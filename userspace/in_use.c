// SPDX-License-Identifier: GPL-2.0
/*
 * Who uses an attached vault?  Found out without opening it: to close it again may
 * mean to write back what others have left in the page cache, which has no end if
 * the storage is dead.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dm.h"
#include "qvault-ctl.h"
#include "vault.h"

static bool has_holders(const struct ctl_dm_info *info)
{
	char path[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders",
		 info->major, info->minor);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	closedir(dir);
	return found;
}

/* Does a line of this file say so? */
static bool some_line(const char *path, const struct ctl_dm_info *info,
		      bool (*says)(const char *line, const struct ctl_dm_info *info))
{
	FILE *in = fopen(path, "re");
	bool found = false;
	char *line = NULL;
	size_t bytes = 0;

	if (!in)
		return false;
	while (!found && getline(&line, &bytes, in) > 0)
		found = says(line, info);
	free(line);
	fclose(in);
	return found;
}

/* "36 35 98:0 /root /mount ..." */
static bool says_mounted(const char *line, const struct ctl_dm_info *info)
{
	unsigned int major, minor;

	return sscanf(line, "%*u %*u %u:%u", &major, &minor) == 2 &&
	       major == info->major && minor == info->minor;
}

/* "/dev/dm-3 partition 1024 0 -2" */
static bool says_swap(const char *line, const struct ctl_dm_info *info)
{
	char path[256];
	struct stat st;

	return sscanf(line, "%255s", path) == 1 && *path == '/' &&
	       !stat(path, &st) && S_ISBLK(st.st_mode) &&
	       st.st_rdev == makedev(info->major, info->minor);
}

static int busy(const char *name, const char *how)
{
	return ctl_fail(CTL_BUSY,
			"%s is in use (%s); let go of it first, or give --deferred",
			name, how);
}

int ctl_vault_refuse_used(const char *name)
{
	return busy(name, "mounted, open, or under another device");
}

/* udev opens what is new, or was written to, and goes away again. */
#define PATIENCE_MS	3000
#define STEP_MS		50

int ctl_vault_wait_unused(const char *name, struct ctl_dm_info *info)
{
	unsigned int waited = 0;

	while (info->open_count) {
		if (some_line("/proc/self/mountinfo", info, says_mounted))
			return busy(name, "mounted");
		if (has_holders(info))
			return busy(name, "under another device");
		if (some_line("/proc/swaps", info, says_swap))
			return busy(name, "swap");
		if (waited >= PATIENCE_MS)
			return busy(name, "somebody has it open");
		usleep(STEP_MS * 1000);
		waited += STEP_MS;
		if (ctl_dm_info(name, info) || !info->exists)
			return ctl_fail(CTL_WRONG_DEVICE, "no vault %s is attached",
					name);
	}
	return CTL_OK;
}
