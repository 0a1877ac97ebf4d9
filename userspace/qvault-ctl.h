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

#define CTL_TIME_CHARS 40
/* "2026-11-27 16:58:19 UTC"; returns @text. */
char *ctl_time(char text[CTL_TIME_CHARS], uint64_t seconds);

#define CTL_UUID_CHARS 37
char *ctl_uuid_text(char text[CTL_UUID_CHARS], const uint8_t *uuid);
bool ctl_uuid_parse(uint8_t *uuid, const char *text);
int ctl_uuid_random(uint8_t *uuid);	/* of version 4 (kdf.c) */

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
	CTL_OPT_NO_LABEL,
	CTL_OPT_DRY_RUN,
	CTL_OPT_NEW_ANCHOR,
	CTL_OPT_NEW_DATA,
	CTL_OPT_NEW_KEY_FILE,
	CTL_OPT_FROM,
	CTL_OPT_ACCEPT_OLDER,
	CTL_OPT_ACCEPT_LOSS,
	CTL_OPT_WIPE_KEY,
	CTL_OPT_OUTPUT,
	CTL_OPT_TIMEOUT,
	CTL_OPT_RUN,
	CTL_OPT_COW,
	CTL_OPT_COPY,
	CTL_OPT_SHARED,
	CTL_OPT_SETTLE,
	CTL_OPT_RATE,
	CTL_OPT_WAIT,
	CTL_OPT_HELP,
	CTL_OPT_VERSION,
	CTL_OPT_COUNT,
};
#define CTL_ALLOW(name)	(1ull << CTL_OPT_##name)
static_assert(CTL_OPT_COUNT <= 64, "a bit for each");

struct ctl_options {
	uint64_t given;			/* bits: 1 << enum ctl_option */
	const char *text[CTL_OPT_COUNT];	/* values, as they are given */
	const char *key_file;
	const char *data;
	const char *anchor;
	const char *new_key_file;
	const char *new_data;
	const char *new_anchor;
	const char *from;
	const char *output;
	const char *cow;
	char **run;			/* a command; ends with a NULL */
	uint32_t timeout;		/* seconds; 0: the default */
	uint32_t rate_mib;		/* MiB/s; 0: as others leave room */
	uint64_t size;			/* bytes; 0: all */
	uint32_t log_blocks;		/* 0: the default */
	enum qvault_mac mac;
	uint8_t uuid[QVAULT_UUID_SIZE];
	uint32_t memory_mib;
	uint32_t commit_seconds;
	uint32_t settle;		/* seconds; 0: as the record says, or the default */
	int argc;			/* words that are no options, after the verb */
	char **argv;
};

static inline bool ctl_given(const struct ctl_options *o, enum ctl_option opt)
{
	return o->given & 1ull << opt;
}

struct ctl_verb {
	const char *name;
	const char *arguments;		/* as the help shows them */
	const char *about;
	uint64_t allowed;		/* options */
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
	/* Of one vault, see ctl_key_derive(). */
	uint8_t anchor[32];		/* of the MAC of its records */
	uint8_t wrap[32];		/* of the secrets in them */
	uint8_t check[QVAULT_CHECK_SIZE];
	/* Of its generations, see generation.c. */
	uint8_t secret[QVAULT_GENERATIONS][QVAULT_SECRET_SIZE];
	/* Of the tags of one of them, see block_mac.c. */
	uint8_t mac[32];
	uint8_t nh[QVAULT_NH_KEY_SIZE];
	uint8_t nh_aes[32];
};

/* Keep memory out of core dumps and ptrace; called first of all. */
void ctl_secrets_init(void);
/* Read a key from a file or, for "-", from standard input. */
int ctl_key_read(struct ctl_key **key, const char *path);
/* Another one of the same master key. */
int ctl_key_copy(struct ctl_key **to, const struct ctl_key *from);
/* Wipe and free; NULL is fine. */
void ctl_key_free(struct ctl_key *key);

/* Derive what comes from the master key, for a vault. */
int ctl_key_derive(struct ctl_key *key, const uint8_t *uuid);
/* Derive @bytes of @out from the secret of a generation. */
int ctl_secret_derive(const uint8_t *secret, const char *label, uint8_t *out,
		      size_t bytes);
int ctl_anchor_mac(const struct ctl_key *key, const void *data, size_t bytes,
		   uint8_t mac[QVAULT_ANCHOR_MAC_SIZE]);

/* A generation's secret in a record; false if this key did not wrap it. */
int ctl_secret_wrap(const struct ctl_key *key, const uint8_t *secret,
		    uint8_t wrapped[QVAULT_WRAPPED_SIZE]);
bool ctl_secret_unwrap(const struct ctl_key *key, const uint8_t *wrapped,
		       uint8_t secret[QVAULT_SECRET_SIZE]);

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
/* Durably.  Both as for reading, but through the page cache. */
int ctl_device_write(const struct ctl_device *dev, const void *buf, size_t bytes,
		     off_t offset);
int ctl_device_need_block(const struct ctl_device *dev);
/*
 * It may be in use by who only reads it: refuses all others, as far as can be told
 * (share.c).  @otherwise: what to do instead, in words.
 */
int ctl_device_refuse_writers(const struct ctl_device *dev, const char *otherwise);
/* Also through a symlink or another node of the same device. */
bool ctl_device_same(const struct ctl_device *a, const struct ctl_device *b);
int ctl_device_refuse_same(const struct ctl_device *a,
			   const struct ctl_device *b);

/* ---- Foreign data (foreign.c) ------------------------------------------- */

/*
 * Lists what others left on a device: file systems, RAID and LVM members,
 * partition tables, other encryption.  *list is "" or, say, "ext4 (label x,
 * UUID y); dos partition table"; the caller frees it.
 */
int ctl_foreign_list(const struct ctl_device *dev, char **list);

/* ---- What would be lost (losses.c) -------------------------------------- */

struct ctl_record;
struct ctl_slots;

/*
 * Both add to *losses, an allocated phrase, or NULL as long as nothing would be: what
 * others left, a vault's label, a vault's records.
 */
int ctl_losses_of_data(char **losses, const struct ctl_device *data);
int ctl_losses_of_anchor(char **losses, const struct ctl_device *anchor,
			 const struct ctl_slots *slots);
/*
 * May @losses be destroyed?  Refused without --force; asked on a terminal, with
 * @otherwise for a warning if nothing is lost.
 */
int ctl_losses_permit(const struct ctl_options *o, const char *losses,
		      const char *otherwise);
/* A key on standard input leaves nobody there to ask. */
bool ctl_can_ask(const struct ctl_options *o);
/* As cryptsetup asks: a word that nobody types by accident. */
int ctl_ask(void);

/* ---- The label of a data device (label.c) ------------------------------- */

/* *found: there is one, of the vault *uuid.  Returns 0 or a negative errno. */
int ctl_label_peek(const struct ctl_device *data, bool *found,
		   uint8_t uuid[QVAULT_UUID_SIZE]);
/* The same, but says what is wrong. */
int ctl_label_read(const struct ctl_device *data, bool *found,
		   uint8_t uuid[QVAULT_UUID_SIZE]);
int ctl_label_write(const struct ctl_device *data, const uint8_t *uuid);

/*
 * Looks for the one block device with the label of this vault (find.c).  *path is
 * allocated.  None, or more than one, is an error that names them.
 */
int ctl_find_data(const uint8_t *uuid, char **path);

/* ---- Generations (generation.c) ----------------------------------------- */

struct qvault_disk_anchor;

/* Unwraps all secrets of a record; @key is derived for its UUID. */
int ctl_generations_open(struct ctl_key *key, const struct qvault_disk_anchor *disk,
			 const char *path);
/* Wraps the secrets that @from has under @to, which is derived for the UUID. */
int ctl_generations_wrap(const struct ctl_key *to, const struct ctl_key *from,
			 struct qvault_disk_anchor *disk);
bool ctl_generation_exists(const struct qvault_disk_anchor *disk, uint32_t number);
/* Refuses, with a message, if a new generation would leave less than @keep numbers. */
int ctl_generation_room(const struct qvault_disk_anchor *disk, uint32_t keep,
			const char *path);
/* A new one, like the one that seals, which from now on seals. */
int ctl_generation_add(struct ctl_key *key, struct qvault_disk_anchor *disk);
/* Gives a generation of a record a new secret.  @key is derived for its UUID. */
int ctl_generation_make(struct ctl_key *key, struct qvault_disk_anchor *disk,
			uint32_t number);

/* ---- The anchor device (anchor.c); its contents are in record.h --------- */

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
/*
 * Without a word: how many slots hold records of this vault that the key verifies, and
 * the newest of them.
 */
uint32_t ctl_anchor_peek(const struct ctl_slots *slots, struct ctl_key *key,
			 const uint8_t *uuid, struct ctl_record *newest);
/* Key check value and MAC of a record that is complete but for them. */
int ctl_anchor_sign(const struct ctl_key *key, struct qvault_disk_anchor *disk);
/* Writes what format writes, durably. */
int ctl_anchor_format(const struct ctl_device *dev, const void *record);

/* ---- A vault that several hosts share (settle.c) ------------------------- */

/* Says how the time passes, until ctl_settle_told(); may be 0. */
pid_t ctl_settle_tell(uint32_t seconds);
void ctl_settle_told(pid_t pid);
/* Refuses a device that does not see what other hosts write. */
int ctl_settle_check_device(const struct ctl_device *dev);
/*
 * Claims the vault of a record, derived for which is @key, and waits for other hosts.
 * What was read of the anchor before is out of date afterwards.
 */
int ctl_settle_claim(const struct ctl_device *anchor, const struct ctl_key *key,
		     const struct ctl_record *r);

/* ---- How large a device must be (dry_run.c) ------------------------------ */

/*
 * The smallest data device, in blocks, that takes a volume of @logical blocks and a
 * log of @log_blocks (0: the default of its size); 0 if there is none.
 */
uint64_t ctl_smallest_device(uint32_t log_blocks, uint64_t logical);
int ctl_format_dry_run(const struct ctl_options *o);

/*
 * Makes a record what both slots say, under @key: it is numbered by @sequence, which
 * is one more than that of the newest one there.  The older slot is written first, and
 * the newer only once that stands, so whatever happens one of both states is whole.
 */
int ctl_anchor_replace(const struct ctl_device *dev, const struct ctl_key *key,
		       struct qvault_disk_anchor *disk, uint64_t sequence);
/* The same for an anchor of which nothing is to be left. */
int ctl_anchor_create(const struct ctl_device *dev, const struct ctl_key *key,
		      struct qvault_disk_anchor *disk, uint64_t sequence);

/* ---- What a data device holds (verify.c, block_mac.c) ------------------- */

struct qvault_disk_ptr;

/* The tag of a block under a generation whose secret @key has. */
int ctl_block_tag(struct ctl_key *key, const struct ctl_record *r, uint32_t generation,
		  const void *cipher, const struct qvault_disk_seal *seal,
		  uint8_t tag[QVAULT_TAG_SIZE]);
/*
 * Are the roots and the newest log block of a record on this device?  *what: the first
 * that is not, or NULL.  With the secrets of its generations in @key.
 */
int ctl_data_lacks(const struct ctl_device *data, struct ctl_key *key,
		   const struct qvault_disk_anchor *disk,
		   const struct ctl_record *r, const char **what);
/* The same; one that is not there is an error. */
int ctl_verify_data(const struct ctl_device *data, struct ctl_key *key,
		    const struct qvault_disk_anchor *disk,
		    const struct ctl_record *r);

/* ---- Verbs -------------------------------------------------------------- */

int ctl_format_verb(struct ctl_options *o);
int ctl_attach_verb(struct ctl_options *o);
int ctl_detach_verb(struct ctl_options *o);
int ctl_resize_verb(struct ctl_options *options);
int ctl_status_verb(struct ctl_options *o);
int ctl_dump_verb(struct ctl_options *o);
int ctl_clone_verb(struct ctl_options *o);
int ctl_restore_verb(struct ctl_options *o);
int ctl_key_verb(struct ctl_options *o);
/* Of an attached vault (key_attached.c). */
int ctl_key_change_attached(const struct ctl_options *o, const char *word);
int ctl_suspend_verb(struct ctl_options *o);
int ctl_resume_verb(struct ctl_options *o);
int ctl_snapshot_verb(struct ctl_options *o);
int ctl_scrub_verb(struct ctl_options *o);
int ctl_repair_verb(struct ctl_options *o);
int ctl_reencrypt_verb(struct ctl_options *o);
int ctl_destroy_verb(struct ctl_options *o);
int ctl_udev_verb(struct ctl_options *o);
int ctl_commit_verb(struct ctl_options *o);
int ctl_checkpoint_verb(struct ctl_options *o);

#endif
