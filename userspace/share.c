// SPDX-License-Identifier: GPL-2.0
/*
 * Who has a device, if it is to be read while others have it too?  Mapped devices share
 * what they stand on, and tell what they do with it; of anybody else nothing is known.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dm.h"
#include "qvault-ctl.h"

#define PATH_CHARS	512

/* A snapshot only reads its origin, which is the first word of its table. */
static bool is_origin_of(const char *name, dev_t device)
{
	struct ctl_dm_target table;
	unsigned int origin[2], cow[2];
	bool is = false;

	if (!ctl_dm_table(name, &table))
		is = !strcmp(table.type, "snapshot") &&
		     sscanf(table.params, "%u:%u %u:%u", &origin[0], &origin[1],
			    &cow[0], &cow[1]) == 4 &&
		     makedev(origin[0], origin[1]) == device &&
		     makedev(cow[0], cow[1]) != device;
	ctl_dm_target_free(&table);
	return is;
}

static bool only_reads(const char *name, dev_t device)
{
	struct ctl_dm_info info;

	return !ctl_dm_info(name, &info) &&
	       (info.read_only || is_origin_of(name, device));
}

/* The name of a holder in sysfs, if it is a mapped device; else what it is there. */
static void name_of(const char *holder, char name[CTL_DM_NAME_CHARS])
{
	char path[PATH_CHARS];
	FILE *file;

	snprintf(name, CTL_DM_NAME_CHARS, "%.*s", CTL_DM_NAME_CHARS - 1, holder);
	snprintf(path, sizeof(path), "/sys/class/block/%s/dm/name", holder);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%127s", name) != 1)
		*name = '\0';
	fclose(file);
}

/* How many mapped devices and the like stand on it; *writer: one that may write. */
static unsigned int holders(dev_t device, char writer[CTL_DM_NAME_CHARS])
{
	char path[PATH_CHARS], name[CTL_DM_NAME_CHARS];
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	*writer = '\0';
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(device),
		 minor(device));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		n++;
		name_of(entry->d_name, name);
		if (!only_reads(name, device))
			strcpy(writer, name);
	}
	if (dir)
		closedir(dir);
	return n;
}

int ctl_device_refuse_writers(const struct ctl_device *dev, const char *otherwise)
{
	char writer[CTL_DM_NAME_CHARS];
	int fd;

	if (!dev->block)
		return CTL_OK;
	fd = open(dev->path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0) {
		close(fd);
		return CTL_OK;
	}
	if (errno == EBUSY && holders(dev->rdev, writer) && !*writer)
		return CTL_OK;
	return ctl_fail(CTL_BUSY, "%s device %s is in use by %s, which may write to it: %s",
			dev->role, dev->path, *writer ? writer :
			"somebody (mounted, or part of another device)", otherwise);
}
