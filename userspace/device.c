// SPDX-License-Identifier: GPL-2.0
/*
 * Opening what a vault stands on.  Regular files are taken too, for images and
 * for tests; only attach insists on block devices.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qvault-ctl.h"

/* O_EXCL on a block device: fail if it is mounted or otherwise claimed. */
static int open_flags(bool block, int access)
{
	int flags = access & CTL_WRITE ? O_RDWR : O_RDONLY;

	if (block && access & CTL_EXCLUSIVE)
		flags |= O_EXCL;
	return flags | O_CLOEXEC | O_NOCTTY;
}

static int open_failed(const struct ctl_device *dev, int err)
{
	if (err == EBUSY)
		return ctl_fail(CTL_BUSY,
				"%s device %s is in use (mounted, attached, or part of another device)",
				dev->role, dev->path);
	return ctl_fail(ctl_exit_of(err), "cannot open %s device %s: %s",
			dev->role, dev->path, strerror(err));
}

static int block_size(struct ctl_device *dev)
{
	int sector = 0, read_only = 0;

	if (ioctl(dev->fd, BLKGETSIZE64, &dev->bytes) ||
	    ioctl(dev->fd, BLKSSZGET, &sector) ||
	    ioctl(dev->fd, BLKROGET, &read_only))
		return ctl_fail(CTL_WRONG_DEVICE,
				"cannot find out the size of %s device %s: %s",
				dev->role, dev->path, strerror(errno));
	if (sector > (int)QVAULT_BLOCK_SIZE)
		return ctl_fail(CTL_WRONG_DEVICE,
				"%s device %s has sectors of %d bytes; at most %u will do",
				dev->role, dev->path, sector, QVAULT_BLOCK_SIZE);
	dev->read_only = read_only;
	return CTL_OK;
}

/* The node may have been exchanged since it was looked at, so look again. */
static int fill_in(struct ctl_device *dev)
{
	struct stat st;

	if (fstat(dev->fd, &st))
		return open_failed(dev, errno);
	dev->block = S_ISBLK(st.st_mode);
	dev->rdev = st.st_rdev;
	dev->dev = st.st_dev;
	dev->inode = st.st_ino;
	dev->bytes = (uint64_t)st.st_size;
	dev->read_only = false;
	if (dev->block)
		return block_size(dev);
	if (S_ISREG(st.st_mode))
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"%s device %s is neither a block device nor a regular file",
			dev->role, dev->path);
}

int ctl_device_open(struct ctl_device *dev, const char *path, int access)
{
	struct stat st;
	int err;

	dev->path = path;
	dev->fd = -1;
	if (stat(path, &st))
		return open_failed(dev, errno);
	/* Not even opened: that alone can block, or do something to a tape. */
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return ctl_fail(CTL_WRONG_DEVICE,
				"%s device %s is neither a block device nor a regular file",
				dev->role, path);
	dev->fd = open(path, open_flags(S_ISBLK(st.st_mode), access));
	if (dev->fd < 0)
		return open_failed(dev, errno);
	err = fill_in(dev);
	if (err)
		ctl_device_close(dev);
	return err;
}

void ctl_device_close(struct ctl_device *dev)
{
	if (dev->fd >= 0)
		close(dev->fd);
	dev->fd = -1;
}

/* A file has no other way to its contents: a loop device goes through its cache. */
static int set_direct(const struct ctl_device *dev, bool direct)
{
	const int flags = fcntl(dev->fd, F_GETFL);

	if (!dev->block)
		return 0;
	if (flags < 0 || fcntl(dev->fd, F_SETFL, direct ? flags | O_DIRECT :
			       flags & ~O_DIRECT))
		return -errno;
	return 0;
}

static int read_fully(int fd, char *buf, size_t bytes, off_t offset)
{
	ssize_t n;

	while (bytes) {
		n = pread(fd, buf, bytes, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		buf += n;
		offset += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int ctl_device_read(const struct ctl_device *dev, void *buf, size_t bytes,
		    off_t offset)
{
	int err;

	err = set_direct(dev, true);
	if (err)
		return err;
	err = read_fully(dev->fd, buf, bytes, offset);
	set_direct(dev, false);
	return err;
}

static int write_fully(int fd, const char *buf, size_t bytes, off_t offset)
{
	ssize_t n;

	while (bytes) {
		n = pwrite(fd, buf, bytes, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		buf += n;
		offset += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int ctl_device_write(const struct ctl_device *dev, const void *buf, size_t bytes,
		     off_t offset)
{
	int err;

	err = write_fully(dev->fd, buf, bytes, offset);
	if (!err && fsync(dev->fd))
		err = -errno;
	return err;
}

bool ctl_device_same(const struct ctl_device *a, const struct ctl_device *b)
{
	if (a->block != b->block)
		return false;
	if (a->block)
		return a->rdev == b->rdev;
	return a->dev == b->dev && a->inode == b->inode;
}

int ctl_device_reopen(struct ctl_device *dev, int access)
{
	struct ctl_device again = { .role = dev->role, .fd = -1 };
	int err;

	err = ctl_device_open(&again, dev->path, access);
	if (err)
		return err;
	if (!ctl_device_same(dev, &again)) {
		ctl_device_close(&again);
		return ctl_fail(CTL_WRONG_DEVICE,
				"%s became another device just now; nothing was changed",
				dev->path);
	}
	ctl_device_close(dev);
	*dev = again;
	return CTL_OK;
}

int ctl_device_need_block(const struct ctl_device *dev)
{
	if (dev->block)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"%s device %s is a file; make it a block device with losetup --sector-size 4096 first",
			dev->role, dev->path);
}

int ctl_device_refuse_same(const struct ctl_device *a,
			   const struct ctl_device *b)
{
	if (!ctl_device_same(a, b))
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"%s and %s are the same device; a vault needs two: the anchor must stand on storage that is trusted",
			a->path, b->path);
}
