/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the tool offer each other.
 *
 * A function that returns int returns an enum ctl_exit, unless it says
 * otherwise.  When that is not CTL_OK, the one line that tells the user what is
 * wrong has been printed already, so callers only pass it on.
 */
#ifndef QVAULT_CTL_H
#define QVAULT_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "geometry.h"

/* The exit codes of cryptsetup, so that scripts need to know one set only. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_USAGE = 1,		/* wrong parameters, or not supported */
	CTL_DENIED = 2,		/* no permission, or the wrong key */
	CTL_NO_MEMORY = 3,
	CTL_WRONG_DEVICE = 4,
	CTL_BUSY = 5,		/* exists already, or is in use */
	/* Ours: done, but what the line says went wrong with it. */
	CTL_INCOMPLETE = 6,
};

#define CTL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* ---- Standard streams (streams.c) --------------------------------------- */

/* Before anything else is opened. */
void ctl_streams_init(void);
/* What cannot be undone has been done, in words: what may fail now must say so. */
void ctl_done(const char *format, ...) CTL_PRINTF(1, 2);
void ctl_flush(void);
/* Returns @code, or another if not all of the output was written. */
int ctl_streams_finish(int code);

/* ---- Messages and words (say.c, text.c) --------------------------------- */

/* Print "qvault-ctl: ..." to stderr, in one line, and return @code. */
int ctl_fail(enum ctl_exit code, const char *format, ...) CTL_PRINTF(2, 3);
void ctl_warn(const char *format, ...) CTL_PRINTF(1, 2);
/* The exit code that fits an errno (positive or negative). */
enum ctl_exit ctl_exit_of(int err);

#define CTL_SIZE_CHARS 48
/* "1.0 TiB (1099511627776 bytes)"; returns @text. */
char *ctl_size(char text[CTL_SIZE_CHARS], uint64_t bytes);

#define CTL_UUID_CHARS 37
char *ctl_uuid_text(char text[CTL_UUID_CHARS], const uint8_t *uuid);
bool ctl_uuid_parse(uint8_t *uuid, const char *text);

/* An allocated string, or NULL and a message. */
char *ctl_format(const char *format, ...) CTL_PRINTF(1, 2);

/* For people: what cannot be seen is shown as \xHH, and a backslash twice. */
void ctl_put_escaped(FILE *out, const char *text);
/* For machines: what is no UTF-8 becomes U+FFFD. */
void ctl_put_utf8(FILE *out, const char *text);

/* ---- Options (options.c) ------------------------------------------------ */

enum ctl_option {
	CTL_OPT_KEY_FILE,
	CTL_OPT_SIZE,
	CTL_OPT_LOG_BLOCKS,
	CTL_OPT_MAC,
	CTL_OPT_UUID,
	CTL_OPT_FORCE,
	CTL_OPT_BATCH,
	CTL_OPT_JSON,
	CTL_OPT_READ_ONLY,
	CTL_OPT_DISCARDS,
	CTL_OPT_MEMORY,
	CTL_OPT_COMMIT,
	CTL_OPT_EPHEMERAL,
	CTL_OPT_DEFERRED,
	CTL_OPT_DATA,
	CTL_OPT_ANCHOR,
	CTL_OPT_PRIVATE,
	CTL_OPT_HELP,
	CTL_OPT_VERSION,
	CTL_OPT_COUNT,
};
#define CTL_ALLOW(name)	(1u << CTL_OPT_##name)

struct ctl_options {
	uint32_t given;			/* bits: 1 << enum ctl_option */
	const char *text[CTL_OPT_COUNT];	/* values, as they are given */
	const char *key_file;
	const char *data;
	const char *anchor;
	uint64_t size;			/* bytes; 0: all */
	uint32_t log_blocks;		/* 0: the default */
	enum qvault_mac mac;
	uint8_t uuid[QVAULT_UUID_SIZE];
	uint32_t memory_mib;
	uint32_t commit_seconds;
	int argc;			/* words that are no options, after the verb */
	char **argv;
};

static inline bool ctl_given(const struct ctl_options *o, enum ctl_option opt)
{
	return o->given & 1u << opt;
}

struct ctl_verb {
	const char *name;
	const char *arguments;		/* as the help shows them */
	const char *about;
	uint32_t allowed;		/* options */
	int min_args;
	int max_args;
	int (*run)(struct ctl_options *options);
};

/*
 * Options may stand anywhere, so they come before the verb is known.  The first
 * puts words and options in order and leaves the verb in argv[0]; the second, once
 * it is known, takes it away, and judges all the rest.
 */
int ctl_options_read(struct ctl_options *o, int argc, char **argv);
int ctl_options_judge(struct ctl_options *o, const struct ctl_verb *verb);

/* ---- Keys (key.c, kdf.c) ------------------------------------------------ */

/* One page that is never swapped, dumped, or inherited. */
struct ctl_key {
	uint8_t master[QVAULT_MASTER_KEY_SIZE];
	uint8_t extra;			/* to notice a key file that is too long */
	uint8_t anchor[32];		/* anchor MAC key, derived */
};

/* Keep memory out of core dumps and ptrace; called first of all. */
void ctl_secrets_init(void);
/* Read a key from a file or, for "-", from standard input. */
int ctl_key_read(struct ctl_key **key, const char *path);
/* Wipe and free; NULL is fine. */
void ctl_key_free(struct ctl_key *key);

/* Derive key->anchor for a vault. */
int ctl_key_derive_anchor(struct ctl_key *key, const uint8_t *uuid);
int ctl_anchor_mac(const struct ctl_key *key, const void *data, size_t bytes,
		   uint8_t mac[QVAULT_ANCHOR_MAC_SIZE]);

/* What tells a name from others, in few characters. */
#define CTL_NAME_HASH_CHARS 34
int ctl_name_hash(const char *name, char text[CTL_NAME_HASH_CHARS]);

/*
 * Hand the key to the kernel for as long as a device is being created.  The
 * serial number goes to ctl_keyring_remove().
 */
int ctl_keyring_add(int32_t *serial, const char *description,
		    const struct ctl_key *key);
void ctl_keyring_remove(int32_t serial);

/* ---- Devices (device.c) ------------------------------------------------- */

struct ctl_device {
	const char *role;		/* "data" or "anchor", for messages */
	const char *path;
	int fd;
	bool block;
	bool read_only;
	dev_t rdev;			/* of a block device */
	dev_t dev;			/* else: the file */
	ino_t inode;
	uint64_t bytes;
};

enum ctl_access {
	CTL_READ = 0,
	CTL_WRITE = 1,
	CTL_EXCLUSIVE = 2,		/* refuse a block device that is in use */
};

#define CTL_DEVICE_CLOSED(name) { .role = (name), .fd = -1 }

/* Block devices and regular files.  @access: a sum of enum ctl_access. */
int ctl_device_open(struct ctl_device *dev, const char *path, int access);
/* With another access, and only if the path still leads to the same device. */
int ctl_device_reopen(struct ctl_device *dev, int access);
void ctl_device_close(struct ctl_device *dev);
/*
 * What stands on the device, and not what the page cache holds of it: an attached
 * vault writes below that.  @buf and @offset: aligned to blocks.  Returns 0 or a
 * negative errno, -ENODATA if the device ends early.
 */
int ctl_device_read(const struct ctl_device *dev, void *buf, size_t bytes,
		    off_t offset);
int ctl_device_need_block(const struct ctl_device *dev);
/* Also through a symlink or another node of the same device. */
int ctl_device_refuse_same(const struct ctl_device *a,
			   const struct ctl_device *b);

/* ---- Foreign data (foreign.c) ------------------------------------------- */

/*
 * Lists what others left on a device: file systems, RAID and LVM members,
 * partition tables, other encryption.  *list is "" or, say, "ext4 (label x,
 * UUID y); dos partition table"; the caller frees it.
 */
int ctl_foreign_list(const struct ctl_device *dev, char **list);

/* ---- The anchor device (anchor.c); its contents are in record.h --------- */

struct ctl_record;
struct ctl_slots;

/* One slot that cannot be read is no error yet. */
int ctl_anchor_read(struct ctl_slots *slots, const struct ctl_device *dev);
/*
 * Picks the newest record.  With a key: the newest that the key verifies, or
 * CTL_DENIED.  Without: the newest that looks like one.  Warns if the other slot
 * may have held a newer one.
 */
int ctl_anchor_newest(const struct ctl_slots *slots,
		      const struct ctl_device *dev, struct ctl_key *key,
		      struct ctl_record *newest);
/* Writes what format writes, durably. */
int ctl_anchor_format(const struct ctl_device *dev, const void *record);

/* ---- Verbs -------------------------------------------------------------- */

int ctl_format_verb(struct ctl_options *o);
int ctl_attach_verb(struct ctl_options *o);
int ctl_detach_verb(struct ctl_options *o);
int ctl_status_verb(struct ctl_options *o);
int ctl_dump_verb(struct ctl_options *o);
int ctl_commit_verb(struct ctl_options *o);
int ctl_checkpoint_verb(struct ctl_options *o);

#endif
