// SPDX-License-Identifier: GPL-2.0
/*
 * A loop device that goes away by itself when its last user does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cow.h"

static const char control[] = "/dev/loop-control";

/* Somebody else may take the same one just now: then -EBUSY. */
static int configure(int number, int file, int *fd)
{
	struct loop_config config = {
		.fd = (__u32)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	char path[32];
	int err = 0;

	snprintf(path, sizeof(path), "/dev/loop%d", number);
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (ioctl(*fd, LOOP_CONFIGURE, &config))
		err = -errno;
	if (err)
		close(*fd);
	return err;
}

static int find_and_configure(int file, int *fd)
{
	int number, tries, err = -EBUSY, ctl = open(control, O_RDWR | O_CLOEXEC);

	if (ctl < 0)
		return -errno;
	for (tries = 0; tries < 10 && err == -EBUSY; tries++) {
		number = ioctl(ctl, LOOP_CTL_GET_FREE);
		err = number < 0 ? -errno : configure(number, file, fd);
	}
	close(ctl);
	return err;
}

int ctl_loop_attach(const struct ctl_device *file, int *fd, dev_t *device)
{
	struct stat st;
	int err;

	err = find_and_configure(file->fd, fd);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot make a loop device of %s: %s",
				file->path, strerror(-err));
	if (fstat(*fd, &st)) {
		close(*fd);
		return ctl_fail(CTL_WRONG_DEVICE, "cannot look at the loop device of %s: %s",
				file->path, strerror(errno));
	}
	*device = st.st_rdev;
	return CTL_OK;
}
