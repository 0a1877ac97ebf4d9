/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table line and the struct it stands for.  Pure: no lock, no device.
 */
#ifndef QVAULT_ARGS_H
#define QVAULT_ARGS_H

#include <linux/types.h>

#include "format.h"

#define QVAULT_DEFAULT_MEMORY_MIB	64
#define QVAULT_MAX_MEMORY_MIB		65536
#define QVAULT_DEFAULT_COMMIT_SECONDS	5
#define QVAULT_MAX_COMMIT_SECONDS	3600

enum qvault_key_type {
	QVAULT_KEY_NONE,		/* ephemeral: made in the kernel */
	QVAULT_KEY_LOGON,
	QVAULT_KEY_USER,
	QVAULT_KEY_ENCRYPTED,
	QVAULT_KEY_TRUSTED,
};

struct qvault_args {
	char *data;			/* as given */
	char *anchor;			/* as given; NULL: ephemeral, begins empty */
	enum qvault_key_type key_type;
	char *key_description;		/* NULL: made in the kernel */
	bool read_only;
	bool allow_discards;
	bool grow;			/* to the length of the table */
	bool ephemeral;			/* although it begins with the anchor's record */
	enum qvault_mac mac;		/* of a vault without an anchor */
	u32 memory_mib;
	u32 commit_seconds;		/* 0: no commits by themselves */
	u32 settle;			/* seconds; 0: not shared between hosts */
};

int qvault_args_parse(struct qvault_args *args, unsigned int argc, char **argv,
		      char **error);
int qvault_args_key(struct qvault_args *args, const char *key, char **error);
enum qvault_mac qvault_mac_find(const char *name);
void qvault_args_free(struct qvault_args *args);
int qvault_args_print(const struct qvault_args *args, const char *data,
		      const char *anchor, char *buf, size_t size);

#endif
