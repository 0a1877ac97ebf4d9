/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vault that is not attached, by its anchor: for the verbs that change what it is.
 */
#ifndef QVAULT_CTL_ANCHORED_H
#define QVAULT_CTL_ANCHORED_H

#include "qvault-ctl.h"
#include "record.h"

struct ctl_anchored {
	struct ctl_device anchor;
	bool only_read;			/* then its vault may be attached: it is a copy */
	struct ctl_slots slots;
	struct ctl_key *key;		/* derived, with the secrets of @disk */
	struct ctl_record record;	/* the newest that the key verifies */
	struct qvault_disk_anchor disk;	/* the same */
};

/* @access as for ctl_device_open(); nobody else may have it. */
int ctl_anchored_open(struct ctl_anchored *a, const char *path, int access,
		      const char *key_file);
/* Its anchor is open already, with nobody else: judge it and read the key. */
int ctl_anchored_judge(struct ctl_anchored *a, const char *key_file);
void ctl_anchored_close(struct ctl_anchored *a);

/* An option that a verb cannot do without. */
int ctl_need(const char *value, const char *what, const char *usage);
/* Two keys cannot both come from standard input. */
int ctl_need_two_keys(const char *one, const char *other);

#endif
