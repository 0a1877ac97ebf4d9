/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An attached vault and its table, for the verbs that change something about it.
 */
#ifndef QVAULT_CTL_LIVE_H
#define QVAULT_CTL_LIVE_H

#include "dm.h"

struct ctl_live {
	const char *name;
	struct ctl_dm_info info;
	struct ctl_dm_target table;
	char data[64];			/* words of the table: "major:minor" */
	char anchor[64];		/* or "-" */
	char key[300];
	const char *options;		/* what follows them; "" if nothing does */
};

/* @word: its name or path.  Returns an exit code. */
int ctl_live_open(struct ctl_live *live, const char *word);
/* Fine after a failure, too. */
void ctl_live_close(struct ctl_live *live);

/* Whatever is written to a vault with these words in its table is gone after a detach. */
bool ctl_table_ephemeral(const char *anchor, const char *options);
bool ctl_live_ephemeral(const struct ctl_live *live);
/* Only a vault that may write and is not suspended does @what.  Returns an exit code. */
int ctl_live_need_writer(const struct ctl_live *live, const char *what);

/* The line that names @key instead; allocated, or NULL and a message. */
char *ctl_live_line(const struct ctl_live *live, const char *key);

/*
 * dm names devices by number; sysfs knows what else they are called.  Returns @path or
 * @number.
 */
#define CTL_PATH_CHARS 300
const char *ctl_vault_device_path(char path[CTL_PATH_CHARS], const char *number);

#endif
