/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device mapper, as far as the tool needs it.  Unlike elsewhere, these
 * return 0 or a negative errno and print nothing, since only the caller knows
 * what an error means there.  The exceptions are ctl_dm_ready(), and a warning
 * that udev does not answer, which changes nothing for the caller.
 */
#ifndef QVAULT_CTL_DM_H
#define QVAULT_CTL_DM_H

#include <stdbool.h>
#include <stdint.h>

#define CTL_DM_NAME_CHARS	128	/* with the NUL; DM_NAME_LEN */
#define CTL_DM_UUID_CHARS	129	/* DM_UUID_LEN */
#define CTL_DM_UUID_PREFIX	"QVAULT-"
#define CTL_DM_TYPE_CHARS	16	/* DM_MAX_TYPE_NAME */

struct ctl_dm_info {
	bool exists;
	bool live;			/* has a table */
	bool suspended;
	bool read_only;
	int32_t open_count;
	uint32_t major;
	uint32_t minor;
	char uuid[CTL_DM_UUID_CHARS];
};

/*
 * May this process use the device mapper, and does the kernel have our target?
 * Lets the kernel load the module.  Returns an exit code and prints why not.
 */
int ctl_dm_ready(void);

/* Can @name be the name of a device?  Leaves out what would need quoting. */
bool ctl_dm_valid_name(const char *name);

int ctl_dm_info(const char *name, struct ctl_dm_info *info);
/* The name of the writable device whose UUID begins with @prefix, or -ENOENT. */
int ctl_dm_find(const char *prefix, char name[CTL_DM_NAME_CHARS]);

/* A device without a table, which nobody sees; ctl_dm_resume() shows it. */
int ctl_dm_create(const char *name, const char *uuid);
int ctl_dm_load(const char *name, uint64_t sectors, const char *params,
		bool read_only);
int ctl_dm_load_snapshot(const char *name, uint64_t sectors, const char *params);
/* Waits for what is under way; a file system is brought to rest. */
int ctl_dm_suspend(const char *name);
/* @private: udev makes its node and looks no further. */
int ctl_dm_resume(const char *name, bool private);
/* The same for one that waits in the kernel, which a signal ends: -EINTR. */
int ctl_dm_resume_shared(const char *name, bool private);
/*
 * Does a signal wait that would end us?  While signals are blocked, those who wait
 * for others must ask.
 */
bool ctl_dm_interrupted(void);

enum ctl_dm_remove {
	CTL_DM_REMOVE_NOW,
	CTL_DM_REMOVE_RETRY,		/* for some seconds while it is in use */
	CTL_DM_REMOVE_DEFERRED,		/* when its last user goes */
};
int ctl_dm_remove(const char *name, enum ctl_dm_remove how);
/* Takes its node away, if the device is gone: where there is no udev nobody else does. */
void ctl_dm_tidy(const char *name);

int ctl_dm_message(const char *name, const char *message);
/* The same, with an answer, which is allocated. */
int ctl_dm_ask(const char *name, const char *message, char **answer);

struct ctl_dm_target {
	uint64_t sectors;
	char *type;
	char *params;
};
/*
 * The first target, with its INFO status or its table line; -ENODATA if there
 * is no table.  ctl_dm_target_free() is fine after a failure, too.
 */
int ctl_dm_status(const char *name, struct ctl_dm_target *target);
int ctl_dm_table(const char *name, struct ctl_dm_target *target);
void ctl_dm_target_free(struct ctl_dm_target *target);

/*
 * What the target said in the kernel's log about why it refused: an errno alone
 * would not do.  Open before the attempt, read after it.  A descriptor of -1 and
 * an empty text mean that there is nothing to tell.
 */
#define CTL_KMSG_CHARS	200
int ctl_kmsg_open(void);
/* The first line is the one to show: later ones follow from it. */
void ctl_kmsg_first(int fd, char text[CTL_KMSG_CHARS]);
/* The first about @device, "major:minor", that has @words in it. */
void ctl_kmsg_find(int fd, const char *device, const char *words,
		   char text[CTL_KMSG_CHARS]);

#endif
