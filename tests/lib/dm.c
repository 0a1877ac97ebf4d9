// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper by ioctl.  Not libdevmapper: a crash run makes and removes tens
 * of thousands of devices, and its udev cookies and its scans of /dev/mapper
 * would cost more than the attach that is tested.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qvtest.h"

#define DM_BUFFER	16384

union dm_buffer {
	struct dm_ioctl io;
	char bytes[DM_BUFFER];
};

static int control(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	return fd;
}

static void prepare(union dm_buffer *b, const char *name, u32 flags)
{
	memset(&b->io, 0, sizeof(b->io));
	b->io.version[0] = 4;
	b->io.data_size = sizeof(*b);
	b->io.data_start = sizeof(b->io);
	b->io.flags = flags;
	strncpy(b->io.name, name, sizeof(b->io.name) - 1);
}

static int call(unsigned long request, union dm_buffer *b)
{
	return ioctl(control(), request, b) ? -errno : 0;
}

static int simple(unsigned long request, const char *name, u32 flags)
{
	union dm_buffer b;

	prepare(&b, name, flags);
	return call(request, &b);
}

static int load(const char *name, const struct dm_line *line, int lines,
		bool read_only)
{
	union dm_buffer b;
	size_t at = sizeof(b.io);
	int i;

	prepare(&b, name, read_only ? DM_READONLY_FLAG : 0);
	b.io.target_count = lines;
	for (i = 0; i < lines; i++) {
		struct dm_target_spec *spec = (void *)(b.bytes + at);
		size_t length = strlen(line[i].args) + 1;
		size_t step = (sizeof(*spec) + length + 7) & ~(size_t)7;

		if (at + step > sizeof(b))
			return -ENOBUFS;
		memset(spec, 0, step);
		spec->sector_start = line[i].start;
		spec->length = line[i].sectors;
		spec->next = step;
		strncpy(spec->target_type, line[i].target,
			sizeof(spec->target_type) - 1);
		memcpy(spec + 1, line[i].args, length);
		at += step;
	}
	return call(DM_TABLE_LOAD, &b);
}

int dm_create(struct dm_dev *dev, const char *name, const struct dm_line *line,
	      int lines, bool read_only)
{
	union dm_buffer b;
	int err;

	snprintf(dev->name, sizeof(dev->name), "%s", name);
	prepare(&b, name, 0);
	err = call(DM_DEV_CREATE, &b);
	if (err)
		return err;
	snprintf(dev->number, sizeof(dev->number), "%u:%u",
		 major(b.io.dev), minor(b.io.dev));
	snprintf(dev->path, sizeof(dev->path), "/dev/dm-%u", minor(b.io.dev));
	err = load(name, line, lines, read_only);
	if (!err)
		err = dm_resume(dev);
	if (err)
		simple(DM_DEV_REMOVE, name, 0);
	return err;
}

int dm_create1(struct dm_dev *dev, const char *name, u64 sectors,
	       const char *target, bool read_only, const char *format, ...)
{
	char args[1024];
	struct dm_line line = { 0, sectors, target, args };
	va_list list;

	va_start(list, format);
	vsnprintf(args, sizeof(args), format, list);
	va_end(list);
	return dm_create(dev, name, &line, 1, read_only);
}

int dm_reload(struct dm_dev *dev, const struct dm_line *line, int lines,
	      bool read_only)
{
	return load(dev->name, line, lines, read_only);
}

int dm_suspend(struct dm_dev *dev, bool noflush)
{
	return simple(DM_DEV_SUSPEND, dev->name, DM_SUSPEND_FLAG |
		      DM_SKIP_LOCKFS_FLAG | (noflush ? DM_NOFLUSH_FLAG : 0));
}

int dm_resume(struct dm_dev *dev)
{
	return simple(DM_DEV_SUSPEND, dev->name, 0);
}

int dm_remove(struct dm_dev *dev)
{
	return simple(DM_DEV_REMOVE, dev->name, 0);
}

/* It goes once nobody has it open. */
int dm_remove_deferred(struct dm_dev *dev)
{
	return simple(DM_DEV_REMOVE, dev->name, DM_DEFERRED_REMOVE);
}

static int send_message(union dm_buffer *b, const struct dm_dev *dev,
			const char *format, va_list list)
{
	struct dm_target_msg *msg = (void *)(b->bytes + sizeof(b->io));

	prepare(b, dev->name, 0);
	msg->sector = 0;
	vsnprintf(msg->message, 1024, format, list);
	return call(DM_TARGET_MSG, b);
}

int dm_message(struct dm_dev *dev, const char *format, ...)
{
	union dm_buffer b;
	va_list list;
	int err;

	va_start(list, format);
	err = send_message(&b, dev, format, list);
	va_end(list);
	return err;
}

int dm_ask(struct dm_dev *dev, char *answer, size_t size, const char *format, ...)
{
	union dm_buffer b;
	va_list list;
	int err;

	va_start(list, format);
	err = send_message(&b, dev, format, list);
	va_end(list);
	if (err)
		return err;
	if (!(b.io.flags & DM_DATA_OUT_FLAG))
		return -ENODATA;
	snprintf(answer, size, "%s", b.bytes + b.io.data_start);
	return 0;
}

int dm_status(struct dm_dev *dev, bool table, char *buf, size_t size)
{
	union dm_buffer b;
	int err;

	prepare(&b, dev->name, table ? DM_STATUS_TABLE_FLAG : 0);
	err = call(DM_TABLE_STATUS, &b);
	if (err)
		return err;
	snprintf(buf, size, "%s", b.bytes + b.io.data_start +
		 sizeof(struct dm_target_spec));
	return 0;
}
