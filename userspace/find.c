// SPDX-License-Identifier: GPL-2.0
/*
 * Finding a vault's data device by its label, among all block devices there are.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cow.h"
#include "qvault-ctl.h"

static const char sysfs[] = "/sys/class/block";

#define PATH_CHARS	512

static uint64_t sectors_of(const char *name)
{
	char path[PATH_CHARS];
	uint64_t sectors = 0;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s/size", sysfs, name);
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (fscanf(in, "%" SCNu64, &sectors) != 1)
		sectors = 0;
	fclose(in);
	return sectors;
}

/*
 * What another device stands on (a path of multipath, the disk below a linear device)
 * has the same label as that, and is in use by it.
 */
static bool is_held(const char *name)
{
	char path[PATH_CHARS];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s/holders", sysfs, name);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	closedir(dir);
	return found;
}

/* Drives with a medium to be changed may take seconds to say that there is none. */
static bool is_slow(const struct stat *st)
{
	const unsigned int number = major(st->st_rdev);

	return number == FLOPPY_MAJOR || number == SCSI_CDROM_MAJOR;
}

static bool has_label(const char *path, const uint8_t *uuid, uint64_t bytes)
{
	struct ctl_device dev = {
		.role = "data", .path = path, .block = true, .bytes = bytes,
	};
	uint8_t found_uuid[QVAULT_UUID_SIZE];
	struct stat st;
	bool found;

	if (stat(path, &st) || !S_ISBLK(st.st_mode) || is_slow(&st))
		return false;
	dev.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (dev.fd < 0)
		return false;
	found = !ctl_label_peek(&dev, &found, found_uuid) && found &&
		!memcmp(found_uuid, uuid, sizeof(found_uuid));
	close(dev.fd);
	return found;
}

/* "cciss!c0d0" is /dev/cciss/c0d0. */
static void path_of(const char *name, char path[PATH_CHARS])
{
	char *p;

	snprintf(path, PATH_CHARS, "/dev/%s", name);
	for (p = path; *p; p++)
		if (*p == '!')
			*p = '/';
}

static int add(char **found, const char *path)
{
	char *longer = ctl_format("%s%s%s", *found ? *found : "",
				  *found ? " and " : "", path);

	if (!longer)
		return CTL_NO_MEMORY;
	free(*found);
	*found = longer;
	return CTL_OK;
}

static int search(DIR *dir, const uint8_t *uuid, char **found, uint32_t *count)
{
	char path[PATH_CHARS];
	struct dirent *entry;
	uint64_t sectors;
	int err = CTL_OK;

	while (!err && (entry = readdir(dir))) {
		sectors = entry->d_name[0] == '.' ? 0 : sectors_of(entry->d_name);
		path_of(entry->d_name, path);
		/* What an ephemeral vault has left behind would be taken for the vault's. */
		if (!sectors || is_held(entry->d_name) || ctl_cow_is_one(entry->d_name) ||
		    !has_label(path, uuid, sectors * 512))
			continue;
		(*count)++;
		err = add(found, path);
	}
	return err;
}

int ctl_find_data(const uint8_t *uuid, char **path)
{
	DIR *dir = opendir(sysfs);
	char text[CTL_UUID_CHARS];
	uint32_t count = 0;
	int err;

	*path = NULL;
	if (!dir)
		return ctl_fail(CTL_WRONG_DEVICE, "cannot look for the data device in %s: %s",
				sysfs, strerror(errno));
	err = search(dir, uuid, path, &count);
	closedir(dir);
	if (err || count == 1)
		return err;
	ctl_uuid_text(text, uuid);
	if (!count)
		return ctl_fail(CTL_WRONG_DEVICE,
				"no block device that is free has the label of the vault %s: give --data",
				text);
	return ctl_fail(CTL_WRONG_DEVICE,
			"%s have the label of the vault %s, and one must be a copy: give --data",
			*path, text);
}
