// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl attach: judge anchor, key and devices, then let the kernel have
 * them.  The kernel judges again; here the point is to say what is wrong.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cow.h"
#include "record.h"
#include "vault.h"

struct job {
	const struct ctl_options *options;
	const char *name;
	const char *data_path;		/* NULL: found by its label */
	const char *anchor_path;
	char *found;
	bool ephemeral;
	bool empty;			/* and without an anchor to begin with */
	struct ctl_device data;
	struct ctl_device anchor;
	struct ctl_device cow;		/* what is written instead of the data device */
	struct ctl_slots slots;
	struct ctl_record record;
	struct ctl_key *key;
	uint64_t sectors;
	uint32_t settle;		/* seconds; 0: not shared between hosts */
	int kmsg;
};

/* ---- Words -------------------------------------------------------------- */

/* The devices come by their order, or by name; the data device perhaps not at all. */
static int name_devices(struct job *job)
{
	const struct ctl_options *o = job->options;

	if ((o->argc > 1 && o->data) || (o->argc > 2 && o->anchor))
		return ctl_fail(CTL_USAGE,
				"name the devices either by --data and --anchor or without them, not both ways");
	job->data_path = o->argc > 1 ? o->argv[1] : o->data;
	job->anchor_path = o->argc > 2 ? o->argv[2] : o->anchor;
	job->empty = job->ephemeral && !job->anchor_path;
	if (job->empty && !job->data_path)
		return ctl_fail(CTL_USAGE,
				"no data device: qvault-ctl attach --ephemeral <name> <data>");
	if (!job->ephemeral && !job->anchor_path)
		return ctl_fail(CTL_USAGE,
				"no anchor device: qvault-ctl attach <name> <data> <anchor>, or attach <name> --anchor <anchor>");
	return CTL_OK;
}

static int check_sharing(const struct ctl_options *o, bool ephemeral)
{
	const bool shared = ctl_given(o, CTL_OPT_SHARED);

	if (o->settle && !shared)
		return ctl_fail(CTL_USAGE, "--settle has no meaning without --shared");
	if (shared && ephemeral)
		return ctl_fail(CTL_USAGE,
				"--shared has no meaning for an ephemeral vault, which no other host can open");
	if (shared && ctl_given(o, CTL_OPT_READ_ONLY))
		return ctl_fail(CTL_USAGE,
				"a read-only attach takes the vault from nobody: leave --shared away");
	return CTL_OK;
}

/*
 * On the original it would destroy the vault of the anchor, without a sign until that is
 * attached again; so somebody has to say that it is none.
 */
static int check_copy(const struct job *job)
{
	const struct ctl_options *o = job->options;
	const bool copy = ctl_given(o, CTL_OPT_COPY);

	if (!job->ephemeral || job->empty)
		return o->cow || copy ?
			ctl_fail(CTL_USAGE,
				 "--%s has no meaning but with --ephemeral and an anchor",
				 copy ? "data-is-a-copy" : "cow") : CTL_OK;
	if (o->cow && copy)
		return ctl_fail(CTL_USAGE,
				"--cow makes a copy, and --data-is-a-copy says that there is one: give one of them");
	if (!o->cow && !copy)
		return ctl_fail(CTL_USAGE,
				"an ephemeral vault writes to its data device as any other does, and the vault of this anchor would be lost: give --cow DEVICE, to write there instead, or --data-is-a-copy");
	if (copy && !job->data_path)
		return ctl_fail(CTL_USAGE,
				"--data-is-a-copy: name the copy, since a label tells nobody which one it is: --data DEVICE");
	return CTL_OK;
}

/* Which options a vault of this kind has. */
static int check_options(const struct job *job)
{
	const struct ctl_options *o = job->options;
	const bool force = ctl_given(o, CTL_OPT_FORCE), mac = ctl_given(o, CTL_OPT_MAC);
	int err;

	if (job->empty && o->key_file)
		return ctl_fail(CTL_USAGE,
				"--key-file has no meaning for an ephemeral vault without an anchor, which begins empty under a random key");
	if (job->ephemeral && ctl_given(o, CTL_OPT_READ_ONLY))
		return ctl_fail(CTL_USAGE,
				"--read-only has no meaning for an ephemeral vault");
	if (!job->ephemeral && force)
		return ctl_fail(CTL_USAGE,
				"--force has no meaning for attach but with --ephemeral");
	if (!job->empty && (mac || o->size))
		return ctl_fail(CTL_USAGE,
				"--%s has no meaning for a vault with an anchor, which says it: only an --ephemeral one without has it",
				mac ? "mac" : "size");
	err = check_copy(job);
	return err ? err : check_sharing(o, job->ephemeral);
}

static int check_words(struct job *job)
{
	struct ctl_dm_info info;
	const char *foreign;
	int err;

	err = name_devices(job);
	if (!err)
		err = check_options(job);
	if (err)
		return err;
	if (!ctl_dm_valid_name(job->name))
		return ctl_fail(CTL_USAGE,
				"\"%s\" cannot be the name of a device: use up to 127 letters, digits and #+-.:=@_",
				job->name);
	if (geteuid())
		return ctl_fail(CTL_DENIED,
				"no permission to attach a vault: run this as root");
	err = ctl_dm_info(job->name, &info);
	if (!err && info.exists)
		return ctl_fail(CTL_BUSY,
				"the device /dev/mapper/%s exists already",
				job->name);
	foreign = ctl_vault_foreign_node(job->name);
	if (foreign)
		return ctl_fail(CTL_BUSY,
				"/dev/mapper/%s exists already: %s, which would be taken for the vault; remove it first",
				job->name, foreign);
	return CTL_OK;
}

/* ---- Devices ------------------------------------------------------------ */

/* Will this device be read, and no more? */
static bool only_reads(const struct job *job, const struct ctl_device *dev)
{
	if (job->ephemeral)
		return dev == &job->anchor || job->options->cow;
	return ctl_given(job->options, CTL_OPT_READ_ONLY);
}

static int open_one(const struct job *job, struct ctl_device *dev,
		    const char *path)
{
	int err;

	err = ctl_device_open(dev, path, CTL_READ);
	if (!err)
		err = ctl_device_need_block(dev);
	if (!err && dev->read_only && !only_reads(job, dev))
		err = ctl_fail(CTL_WRONG_DEVICE,
			       "%s device %s is read-only: make it writable, or give --read-only",
			       dev->role, dev->path);
	return err;
}

static int open_devices(struct job *job)
{
	int err = CTL_OK;

	if (job->data_path)
		err = open_one(job, &job->data, job->data_path);
	if (err || job->empty)
		return err;
	err = open_one(job, &job->anchor, job->anchor_path);
	if (err || !job->data_path)
		return err;
	return ctl_device_refuse_same(&job->data, &job->anchor);
}

/*
 * Nothing on the data device of a vault that holds nothing vouches for it, so there a
 * label alone would decide which device is overwritten.
 */
static int find_data(struct job *job)
{
	const struct ctl_record *r = &job->record;
	int err;

	if (job->data_path)
		return CTL_OK;
	err = ctl_find_data(r->uuid, &job->found);
	if (!err && !r->tree.version && !r->map.version && !r->inline_bytes &&
	    r->log_head < r->log_tail)
		err = ctl_fail(CTL_USAGE,
			       "the vault holds nothing yet, so only a label says that %s is its data device: give --data",
			       job->found);
	if (!err)
		err = open_one(job, &job->data, job->found);
	return err ? err : ctl_device_refuse_same(&job->data, &job->anchor);
}

static int check_vault(struct job *job)
{
	char have[CTL_SIZE_CHARS], want[CTL_SIZE_CHARS];
	const u64 bytes = job->record.geo.data_blocks * QVAULT_BLOCK_SIZE;

	if (job->record.ro_compat && !ctl_given(job->options, CTL_OPT_READ_ONLY))
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor %s has features that are not known here (0x%" PRIx32 "): the vault may be read only, give --read-only",
				job->anchor.path, job->record.ro_compat);
	job->sectors = job->record.geo.logical_blocks * QVAULT_SECTORS;
	if (job->data.bytes >= bytes)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"data device %s is too small: it has %s, the vault was made on %s; is it another device, or did it shrink?",
			job->data.path, ctl_size(have, job->data.bytes),
			ctl_size(want, bytes));
}

/* As large as fits, or as wanted; the kernel, too, counts with the default log. */
static int plan_size(struct job *job)
{
	const u64 blocks = job->data.bytes / QVAULT_BLOCK_SIZE, want = job->options->size;
	char size[CTL_SIZE_CHARS], most[CTL_SIZE_CHARS];
	struct qvault_geometry geo;

	if (qvault_geometry_init(&geo, blocks, 0, qvault_default_log_blocks(blocks)))
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s cannot hold a vault: it has %s",
				job->data.path,
				ctl_size(size, job->data.bytes));
	if (want / QVAULT_BLOCK_SIZE > geo.capacity)
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s has %s and takes a vault of at most %s",
				job->data.path, ctl_size(size, job->data.bytes),
				ctl_size(most, geo.capacity * QVAULT_BLOCK_SIZE));
	job->sectors = (want ? want / QVAULT_BLOCK_SIZE : geo.logical_blocks) *
		       QVAULT_SECTORS;
	return CTL_OK;
}

static int plan_empty(struct job *job)
{
	char *losses = NULL;
	int err;

	err = plan_size(job);
	if (err)
		return err;
	err = ctl_losses_of_data(&losses, &job->data);
	if (!err && losses && !ctl_given(job->options, CTL_OPT_FORCE))
		err = ctl_fail(CTL_BUSY,
			       "%s, which an ephemeral vault overwrites; nothing was changed: give --force to destroy it",
			       losses);
	free(losses);
	return err;
}

/* All hosts must wait for the same time, so the record has the last word. */
static int plan_sharing(struct job *job)
{
	const struct ctl_options *o = job->options;
	const uint32_t recorded = job->record.settle;
	int err;

	/* Who writes no record takes it from nobody. */
	if (job->ephemeral || ctl_given(o, CTL_OPT_READ_ONLY))
		return CTL_OK;
	if (!ctl_given(o, CTL_OPT_SHARED))
		return recorded ? ctl_fail(CTL_BUSY,
			"the vault on anchor %s is shared between hosts: give --shared, which takes it over from any host that has it",
			job->anchor.path) : CTL_OK;
	if (recorded && o->settle && o->settle != recorded)
		return ctl_fail(CTL_USAGE,
				"--settle %" PRIu32 ": all hosts that share this vault wait for %" PRIu32 " seconds; leave --settle away",
				o->settle, recorded);
	job->settle = recorded ? recorded : o->settle ? o->settle : QVAULT_DEFAULT_SETTLE;
	err = ctl_settle_check_device(&job->anchor);
	return err ? err : ctl_settle_check_device(&job->data);
}

/* A copy may be used while the original is attached, by who writes no record. */
static int refuse_attached(const struct job *job)
{
	return job->ephemeral || ctl_given(job->options, CTL_OPT_READ_ONLY) ?
		CTL_OK : ctl_vault_refuse_attached(job->record.uuid);
}

/*
 * Two vaults may stand on one device mapper device as far as the kernel's block
 * layer cares, so our target looks too; this is for the message.
 */
static int refuse_one_in_use(const struct job *job, struct ctl_device *dev)
{
	if (!only_reads(job, dev))
		return ctl_device_reopen(dev, CTL_READ | CTL_EXCLUSIVE);
	return ctl_device_refuse_writers(dev,
					 "what is read must not change; detach that first, or take a copy of one moment with qvault-ctl snapshot");
}

static int refuse_in_use(struct job *job)
{
	int err;

	err = refuse_one_in_use(job, &job->data);
	if (!err && !job->empty)
		err = refuse_one_in_use(job, &job->anchor);
	return err;
}

/* Where it writes instead of to the data device. */
static int open_cow(struct job *job)
{
	int err;

	if (!job->options->cow)
		return CTL_OK;
	err = ctl_cow_check_name(job->name);
	return err ? err : ctl_cow_open(&job->cow, job->options, &job->data, &job->anchor);
}

static int judge(struct job *job)
{
	int err;

	err = ctl_anchor_read(&job->slots, &job->anchor);
	if (!err)
		err = ctl_key_read(&job->key, job->options->key_file);
	if (!err)
		err = ctl_anchor_newest(&job->slots, &job->anchor, job->key,
					&job->record);
	if (!err)
		err = refuse_attached(job);
	if (!err)
		err = find_data(job);
	if (!err)
		err = plan_sharing(job);
	return err ? err : check_vault(job);
}

/* ---- The kernel --------------------------------------------------------- */

static char *option_words(const struct job *job)
{
	const struct ctl_options *o = job->options;
	const bool ephemeral = job->ephemeral && !job->empty;
	const bool memory = ctl_given(o, CTL_OPT_MEMORY);
	const bool commit = ctl_given(o, CTL_OPT_COMMIT);
	const bool read_only = ctl_given(o, CTL_OPT_READ_ONLY);
	const bool discards = ctl_given(o, CTL_OPT_DISCARDS);
	const bool mac = ctl_given(o, CTL_OPT_MAC);
	const int words = read_only + discards + ephemeral +
			  2 * (memory + commit + mac + !!job->settle);
	char memory_text[32] = "", commit_text[32] = "", shared_text[32] = "";

	if (!words)
		return ctl_format("%s", "");
	if (memory)
		snprintf(memory_text, sizeof(memory_text),
			 " memory_mib %" PRIu32, o->memory_mib);
	if (commit)
		snprintf(commit_text, sizeof(commit_text),
			 " commit_seconds %" PRIu32, o->commit_seconds);
	if (job->settle)
		snprintf(shared_text, sizeof(shared_text), " shared %" PRIu32,
			 job->settle);
	return ctl_format(" %d%s%s%s%s%s%s%s%s", words, read_only ? " read_only" : "",
			  discards ? " allow_discards" : "",
			  ephemeral ? " ephemeral" : "", memory_text,
			  commit_text, shared_text, mac ? " mac " : "",
			  mac ? ctl_mac_name(o->mac) : "");
}

/*
 * Devices by number: a path may hold a blank, and may lead somewhere else by the
 * time the kernel follows it.
 */
static char *table_line(const struct job *job, const char *uuid)
{
	const dev_t data = job->data.rdev, anchor = job->anchor.rdev;
	char *options = option_words(job);
	char *line;

	if (!options)
		return NULL;
	if (job->empty)
		line = ctl_format("%u:%u - -%s", major(data), minor(data), options);
	else
		line = ctl_format("%u:%u %u:%u :%d:logon:qvault:%s%s",
				  major(data), minor(data), major(anchor),
				  minor(anchor), QVAULT_MASTER_KEY_SIZE, uuid,
				  options);
	free(options);
	return line;
}

/* What the modules of an initramfs most often lack. */
static int no_cipher(void)
{
	return ctl_fail(CTL_USAGE,
			"this kernel has no AES-256-XTS, HMAC-SHA256 or, for nhpoly-aes, NHPoly1305: are the modules xts, aes, sha256 and nhpoly1305 or libnh there, also in the initramfs?");
}

static int load_failed(const struct job *job, int err)
{
	char why[CTL_KMSG_CHARS];
	enum ctl_exit code = ctl_exit_of(err);

	/* No device is missing: they are open here, and named by number. */
	if (err == -ENOENT)
		return no_cipher();
	ctl_kmsg_first(job->kmsg, why);
	/* "Device is zoned", and the like. */
	if (err == -EINVAL && !strncmp(why, "Device ", 7))
		code = CTL_WRONG_DEVICE;
	return ctl_fail(code, "the kernel does not take the vault: %s%s%s",
			why, *why ? ": " : "", strerror(-err));
}

/* Behind "254:3: cannot attach: "; other lines may come before that one. */
static const char *why_not_attached(const struct job *job,
				    char text[CTL_KMSG_CHARS])
{
	static const char words[] = "cannot attach: ";
	struct ctl_dm_info info;
	char number[32];

	text[0] = '\0';
	if (ctl_dm_info(job->name, &info))
		return text;
	snprintf(number, sizeof(number), "%u:%u", info.major, info.minor);
	ctl_kmsg_find(job->kmsg, number, words, text);
	return *text ? strstr(text, words) + sizeof(words) - 1 : text;
}

static int resume_failed(const struct job *job, int err)
{
	char text[CTL_KMSG_CHARS];
	const char *why;

	if (err == -EILSEQ || err == -EBADMSG)
		return ctl_fail(CTL_WRONG_DEVICE,
				"what is on data device %s is not what the anchor %s vouches for: they do not belong together, or the data were altered or are out of date",
				job->data.path, job->anchor.path);
	if (err == -ENOENT)
		return no_cipher();
	if (err == -EKEYREJECTED)
		return ctl_fail(CTL_DENIED, "wrong key for the anchor %s",
				job->anchor.path);
	why = why_not_attached(job, text);
	return ctl_fail(ctl_exit_of(err), "the vault does not attach: %s%s%s",
			why, *why ? ": " : "", strerror(-err));
}

/* The key is in the keyring only while the kernel reads the table line. */
static int load(const struct job *job, const char *uuid)
{
	char description[sizeof("qvault:") + CTL_UUID_CHARS];
	char *line = table_line(job, uuid);
	int32_t serial = 0;
	int err;

	if (!line)
		return CTL_NO_MEMORY;
	snprintf(description, sizeof(description), "qvault:%s", uuid);
	err = job->empty ? CTL_OK :
			   ctl_keyring_add(&serial, description, job->key);
	if (err)
		goto out;
	err = ctl_dm_load(job->name, job->sectors, line,
			  ctl_given(job->options, CTL_OPT_READ_ONLY));
	if (!job->empty)
		ctl_keyring_remove(serial);
	if (err)
		err = load_failed(job, err);
out:
	free(line);
	return err;
}

/*
 * Who writes no records has no claim on the UUID of a vault, so its own does not look as
 * if it had.  Names tell devices apart, so a name that does not fit is cut and its hash
 * put in the place of the rest.
 */
static int make_dm_uuid(const struct job *job, const char *uuid,
			char text[CTL_DM_UUID_CHARS])
{
	const size_t room = CTL_DM_UUID_CHARS - 1;
	char hash[CTL_NAME_HASH_CHARS];
	int n, err;

	n = snprintf(text, CTL_DM_UUID_CHARS, CTL_DM_UUID_PREFIX "%s%s-%s", uuid,
		     job->ephemeral && !job->empty ? "_EPHEMERAL" : "", job->name);
	if (n >= 0 && (size_t)n <= room)
		return CTL_OK;
	err = ctl_name_hash(job->name, hash);
	if (!err)
		strcpy(text + room - strlen(hash), hash);
	return err;
}

/* The device is there: is its node, too? */
static int check_node(const struct job *job)
{
	struct ctl_dm_info info;
	const char *wrong;
	int err;

	err = ctl_dm_info(job->name, &info);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot look at %s: %s",
				job->name, strerror(-err));
	wrong = ctl_vault_wrong_node(job->name, &info);
	if (!wrong)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"/dev/mapper/%s is not the vault but %s, so it was detached again",
			job->name, wrong);
}

static int resume(const struct job *job)
{
	const bool private = ctl_given(job->options, CTL_OPT_PRIVATE);
	const pid_t teller = ctl_settle_tell(job->settle);
	int err;

	err = job->settle ? ctl_dm_resume_shared(job->name, private) :
			    ctl_dm_resume(job->name, private);
	ctl_settle_told(teller);
	if (err && err != -EINTR)
		return resume_failed(job, err);
	if (err || ctl_dm_interrupted())
		return ctl_fail(CTL_USAGE, "interrupted: %s was detached again",
				job->name);
	return check_node(job);
}

static int create_vault(struct job *job)
{
	char uuid[CTL_UUID_CHARS] = "EPHEMERAL", dm_uuid[CTL_DM_UUID_CHARS];
	int err;

	if (!job->empty)
		ctl_uuid_text(uuid, job->record.uuid);
	err = make_dm_uuid(job, uuid, dm_uuid);
	if (err)
		return err;
	err = ctl_dm_create(job->name, dm_uuid);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot create the device %s: %s",
				job->name, strerror(-err));
	err = load(job, uuid);
	if (!err)
		err = resume(job);
	if (err && ctl_dm_remove(job->name, CTL_DM_REMOVE_RETRY))
		ctl_warn("the device %s is left behind: qvault-ctl detach removes it",
			 job->name);
	return err;
}

static int create(struct job *job)
{
	int err;

	if (!job->options->cow)
		return create_vault(job);
	/* The device mapper claims it for itself; a file is needed for its loop device. */
	if (job->cow.block)
		ctl_device_close(&job->cow);
	err = ctl_cow_make(job->name, &job->data, &job->cow, &job->data.rdev);
	if (err)
		return err;
	err = create_vault(job);
	if (err)
		ctl_cow_remove(job->name);
	else
		ctl_cow_leave(job->name);
	return err;
}

/* No signal may leave half a device behind, or a key in the keyring. */
static int create_undisturbed(struct job *job)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	err = create(job);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int run(struct job *job)
{
	int err;

	err = check_words(job);
	if (!err)
		err = open_devices(job);
	if (!err)
		err = job->empty ? plan_empty(job) : judge(job);
	if (!err)
		err = refuse_in_use(job);
	if (!err)
		err = open_cow(job);
	if (!err)
		err = ctl_dm_ready();
	if (err)
		return err;
	/* The kernel claims them for itself. */
	ctl_device_close(&job->data);
	ctl_device_close(&job->anchor);
	return create_undisturbed(job);
}

int ctl_attach_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.name = o->argv[0],
		.ephemeral = ctl_given(o, CTL_OPT_EPHEMERAL),
		.data = CTL_DEVICE_CLOSED("data"),
		.anchor = CTL_DEVICE_CLOSED("anchor"),
		.cow = CTL_DEVICE_CLOSED("copy-on-write"),
		.kmsg = ctl_kmsg_open(),
	};
	int err = run(&job);

	free(job.found);
	ctl_key_free(job.key);
	ctl_device_close(&job.cow);
	ctl_device_close(&job.anchor);
	ctl_device_close(&job.data);
	if (job.kmsg >= 0)
		close(job.kmsg);
	return err;
}
