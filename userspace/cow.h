/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A private copy of a data device that others have too: a snapshot of the device mapper,
 * which reads the device and writes elsewhere.  What it has written is known to its
 * memory only, and so is gone with it.
 */
#ifndef QVAULT_CTL_COW_H
#define QVAULT_CTL_COW_H

#include "dm.h"
#include "qvault-ctl.h"

/*
 * Opens what is to be written to, a block device or a file, and judges what is there.
 * It must not be one of the vault's own.
 */
int ctl_cow_open(struct ctl_device *cow, const struct ctl_options *o,
		 const struct ctl_device *data, const struct ctl_device *anchor);
/* Can the copy of a vault of this name have a name of its own? */
int ctl_cow_check_name(const char *vault);
/* Makes the copy; it is *copy.  What @cow holds is lost. */
int ctl_cow_make(const char *vault, const struct ctl_device *data,
		 const struct ctl_device *cow, dev_t *copy);
/* It goes by itself once the vault that stands on it is gone. */
void ctl_cow_leave(const char *vault);
bool ctl_cow_exists(const char *vault);
/* The vault is gone, or was never there; its copy, which was, may be gone as well. */
void ctl_cow_remove(const char *vault);

struct ctl_cow_usage {
	uint64_t used, bytes;
	bool invalid;			/* it is full: its vault can read no more */
};
/* Of the copy that @data, "major:minor", is for that vault; false: it is none. */
bool ctl_cow_usage(const char *vault, const char *data, struct ctl_cow_usage *usage);
/* Is this a device that ctl_cow_make() has made?  @name as in /sys/class/block. */
bool ctl_cow_is_one(const char *name);

/*
 * A block device of a file (loop.c), for as long as *fd or anybody else has it open.
 * Returns an exit code.
 */
int ctl_loop_attach(const struct ctl_device *file, int *fd, dev_t *device);

#endif
