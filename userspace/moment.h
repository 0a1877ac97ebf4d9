/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One moment of an attached vault, that stays while a command copies its data device.
 */
#ifndef QVAULT_CTL_MOMENT_H
#define QVAULT_CTL_MOMENT_H

#include <signal.h>

#include "live.h"
#include "qvault-ctl.h"
#include "record.h"

struct ctl_moment {
	const struct ctl_options *options;	/* the command, and how long it may take */
	const struct ctl_live *live;
	const char *what;		/* it is for, in words: "snapshot" */
	sigset_t signals;		/* that were blocked before, for the command */
	char data[CTL_PATH_CHARS];	/* as the command finds it */
	bool held;
	struct qvault_disk_anchor disk;	/* what reaches all that stays */
	struct ctl_record record;
};

/* All with signals blocked.  Each returns an exit code; ctl_moment_drop() must follow. */
int ctl_moment_begin(struct ctl_moment *m);
/* Runs the command; success says that what it copied is of that moment. */
int ctl_moment_copy(struct ctl_moment *m);
/* Lets go of what is still held, after whatever failed. */
void ctl_moment_drop(struct ctl_moment *m);

#endif
