// SPDX-License-Identifier: GPL-2.0
/*
 * The anchor record: the one thing that the storage cannot touch, and from
 * which everything else is believed.
 */
#include "qvault.h"

/* The MAC covers all that stands before it. */
#define MAC_COVERS	offsetof(struct qvault_disk_anchor, mac)

static int refuse(struct qvault *v, const char *reason, int err)
{
	v->reason = reason;
	return err;
}

/* ---- Reading ---- */

static bool has_magic(const struct qvault_disk_anchor *disk)
{
	return !memcmp(disk->magic, QVAULT_ANCHOR_MAGIC, sizeof(disk->magic));
}

static int check_format(struct qvault *v, const struct qvault_disk_anchor *disk)
{
	if (has_magic(disk) &&
	    le32_to_cpu(disk->format) != QVAULT_FORMAT_VERSION)
		return refuse(v, "the anchor has a format version unknown to this module",
			      -EPROTONOSUPPORT);
	return 0;
}

/**
 * qvault_anchor_check() - does this block hold a record of the volume?
 * @v: vault with derived keys
 * @disk: the block
 * @slot: where it was read
 *
 * Context: sleeps.
 * Return: 0; -ENODATA: no, or one that a crash tore, whose MAC is not valid;
 * -EUCLEAN: one of the other slot; or another negative errno.
 */
int qvault_anchor_check(struct qvault *v, const struct qvault_disk_anchor *disk,
			u32 slot)
{
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];
	int err;

	if (!has_magic(disk))
		return -ENODATA;
	err = qvault_crypto_anchor_mac(v->crypto, disk, MAC_COVERS, mac);
	if (err)
		return err;
	if (qvault_tags_differ(mac, disk->mac, sizeof(mac)))
		return -ENODATA;
	if ((le64_to_cpu(disk->sequence) & 1) != slot)
		return refuse(v, "an anchor record stands in the wrong slot",
			      -EUCLEAN);
	return 0;
}

/*
 * Which of two blocks that were read is the newest record?  @err says of each that
 * it cannot be read, and then whether it is one.
 */
static int choose_slot(struct qvault *v, struct qvault_disk_anchor *slot[2],
		       int err[2], u32 *newest)
{
	u32 i;
	int e;

	if (!has_magic(slot[0]) && !has_magic(slot[1]))
		return refuse(v, err[0] || err[1] ? "cannot read the anchor" :
			      "this is not an anchor, or it was never formatted",
			      err[0] ?: err[1] ?: -ENODATA);
	/* Both are of one volume, for format clears what was there. */
	e = qvault_crypto_derive(v->crypto, has_magic(slot[0]) ?
				 slot[0]->uuid : slot[1]->uuid);
	if (e)
		return refuse(v, "cannot derive the keys", e);
	for (i = 0; i < 2; i++) {
		if (!err[i])
			err[i] = qvault_anchor_check(v, slot[i], i);
		if (err[i] == -EUCLEAN || err[i] == -ENOMEM)
			return err[i];
	}
	if (err[0] && err[1])
		return refuse(v, "wrong key, or the anchor is damaged",
			      -EKEYREJECTED);
	*newest = err[0] || (!err[1] && le64_to_cpu(slot[1]->sequence) >
					le64_to_cpu(slot[0]->sequence));
	return 0;
}

/*
 * With one slot alone the record in it may be one behind: the newest was in the
 * other, unless a crash tore it and it never counted.  Nobody can tell, so it is
 * said.  A slot that cannot even be read was not torn; who only looks may go on.
 */
static int judge_slots(struct qvault *v, const struct qvault_disk_anchor *newest,
		       const int err[2])
{
	u32 bad = err[0] ? 0 : 1;

	v->good_slots = !err[0] + !err[1];
	if (v->good_slots == 2 || le64_to_cpu(newest->sequence) <= 1)
		return 0;
	qvault_report_slot(v, bad, err[bad]);
	if (err[bad] == -ENODATA || v->read_only)
		return 0;
	return refuse(v, "a slot of the anchor cannot be read: a read-only attach takes the other",
		      err[bad]);
}

static int read_slots(struct qvault *v, struct qvault_disk_anchor *slot[2],
		      int err[2])
{
	u32 i;
	int e = 0;

	for (i = 0; i < 2; i++) {
		err[i] = qvault_dev_read(v->anchor_dev, i, slot[i]);
		/* What a failed read leaves in memory is nothing. */
		if (err[i])
			memset(slot[i], 0, sizeof(*slot[i]));
		memcpy(v->line.known[i], slot[i]->mac, sizeof(slot[i]->mac));
		e = e ?: check_format(v, slot[i]);
	}
	return e;
}

static int read_newest(struct qvault *v, struct qvault_disk_anchor *newest)
{
	struct qvault_disk_anchor *slot[2] = { qvault_buf_get(v, QVAULT_USE_COMMIT),
					       qvault_buf_get(v, QVAULT_USE_COMMIT) };
	int err, errs[2];
	u32 which;

	err = read_slots(v, slot, errs);
	if (!err)
		err = choose_slot(v, slot, errs, &which);
	if (!err) {
		memcpy(newest, slot[which], sizeof(*newest));
		err = judge_slots(v, newest, errs);
	}
	qvault_buf_put(slot[1]);
	qvault_buf_put(slot[0]);
	return err;
}

/* Zero, or one that this or an earlier record's lease allowed. */
static bool possible_ptr(const struct qvault_disk_ptr *disk, u64 lease)
{
	u64 version = le64_to_cpu(disk->version);

	if (!version)
		return !memchr_inv(disk, 0, sizeof(*disk));
	return version < lease &&
	       !(le64_to_cpu(disk->where) & ~QVAULT_WHERE_MASK);
}

/* The tool asks the same of a record: see userspace/record.c. */
static bool possible_state(const struct qvault *v,
			   const struct qvault_disk_anchor *disk)
{
	u64 head = le64_to_cpu(disk->log_head);
	u64 tail = le64_to_cpu(disk->log_tail);
	u64 lease = le64_to_cpu(disk->lease);

	if (!disk->sequence || !lease || !disk->logical_blocks)
		return false;
	/* Just below the tail: the head of an empty log. */
	if (!tail || head > U64_MAX / 2 || head + 1 < tail ||
	    head + 1 - tail > v->geo.log_blocks)
		return false;
	return le32_to_cpu(disk->inline_bytes) <= QVAULT_INLINE_SIZE &&
	       possible_ptr(&disk->tree, lease) &&
	       possible_ptr(&disk->map, lease) && possible_ptr(&disk->log, lease);
}

static int check_algorithms(struct qvault *v, const struct qvault_disk_anchor *disk)
{
	int err;

	if (le32_to_cpu(disk->cipher) != QVAULT_CIPHER_AES_256_XTS ||
	    disk->flags || disk->reserved0 ||
	    memchr_inv(disk->reserved1, 0, sizeof(disk->reserved1)))
		return refuse(v, "the anchor asks for a cipher or feature unknown here",
			      -EPROTONOSUPPORT);
	v->mac = le32_to_cpu(disk->mac_type);
	err = qvault_crypto_use_mac(v->crypto, v->mac);
	if (err)
		return refuse(v, err == -ENOENT ?
			      "the anchor asks for a MAC that this kernel is built without" :
			      "the anchor asks for a MAC unknown here", err);
	return 0;
}

static int check_fields(struct qvault *v, const struct qvault_disk_anchor *disk)
{
	if (qvault_geometry_init(&v->geo, le64_to_cpu(disk->data_blocks),
				 le64_to_cpu(disk->logical_blocks),
				 le32_to_cpu(disk->log_blocks)) ||
	    !possible_state(v, disk))
		return refuse(v, "the anchor record makes no sense", -EUCLEAN);
	if (v->logical_blocks > v->geo.logical_blocks)
		return refuse(v, "the table line maps more than the volume holds",
			      -EMSGSIZE);
	if (v->geo.data_blocks > qvault_dev_blocks(v->data))
		return refuse(v, "the data device is smaller than when it was formatted",
			      -ENXIO);
	return 0;
}

/**
 * qvault_anchor_read() - find the newest valid record
 * @v: vault being attached; v->geo and v->anchor are set
 * @newest: the record, for its inline entries
 *
 * The first record whose MAC does not verify may be one that a crash tore; two
 * such records are a wrong key.
 *
 * Context: sleeps.
 * Return: 0 or a negative errno with v->reason set.
 */
int qvault_anchor_read(struct qvault *v, struct qvault_disk_anchor *newest)
{
	struct qvault_anchor *a = &v->anchor;
	int err = 0;

	if (!qvault_ephemeral(v))
		err = read_newest(v, newest);
	if (!err)
		err = check_algorithms(v, newest);
	if (!err)
		err = check_fields(v, newest);
	if (err)
		return err;
	memcpy(a->uuid, newest->uuid, sizeof(a->uuid));
	a->sequence = le64_to_cpu(newest->sequence);
	a->epoch = le64_to_cpu(newest->epoch);
	a->lease = le64_to_cpu(newest->lease);
	a->commit = le64_to_cpu(newest->commit);
	a->log_tail = le64_to_cpu(newest->log_tail);
	a->log_head = le64_to_cpu(newest->log_head);
	qvault_ptr_from_disk(&a->tree, &newest->tree);
	qvault_ptr_from_disk(&a->map, &newest->map);
	qvault_ptr_from_disk(&a->log, &newest->log);
	return 0;
}

/* ---- Writing ---- */

/**
 * qvault_new_anchor() - the record of a volume that holds nothing
 * @disk: filled in, but for the MAC
 * @uuid: of the volume
 * @data_blocks: of the data device
 * @logical_blocks: of the volume; 0: as many as fit
 * @log_blocks: of the log
 *
 * Context: Any.
 * Return: 0 or an error of qvault_geometry_init().
 */
int qvault_new_anchor(struct qvault_disk_anchor *disk, const u8 *uuid,
		      u64 data_blocks, u64 logical_blocks, u32 log_blocks)
{
	struct qvault_geometry geo;
	int err;

	err = qvault_geometry_init(&geo, data_blocks, logical_blocks, log_blocks);
	if (err)
		return err;
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, QVAULT_ANCHOR_MAGIC, sizeof(disk->magic));
	memcpy(disk->uuid, uuid, sizeof(disk->uuid));
	disk->format = cpu_to_le32(QVAULT_FORMAT_VERSION);
	disk->cipher = cpu_to_le32(QVAULT_CIPHER_AES_256_XTS);
	disk->mac_type = cpu_to_le32(QVAULT_MAC_HMAC_SHA256_128);
	disk->data_blocks = cpu_to_le64(data_blocks);
	disk->logical_blocks = cpu_to_le64(geo.logical_blocks);
	disk->log_blocks = cpu_to_le32(log_blocks);
	disk->sequence = cpu_to_le64(1);
	disk->lease = cpu_to_le64(1);
	disk->log_tail = cpu_to_le64(1);
	return 0;
}

/**
 * qvault_anchor_fill() - the record of a state
 * @v: vault
 * @disk: filled in, but for the MAC
 * @a: the state
 * @entries: inline entries
 * @bytes: of them
 *
 * Context: Any.
 */
void qvault_anchor_fill(struct qvault *v, struct qvault_disk_anchor *disk,
			const struct qvault_anchor *a, const void *entries,
			u32 bytes)
{
	/* Cannot fail: these are the numbers the layout was made from. */
	qvault_new_anchor(disk, a->uuid, v->geo.data_blocks,
			  v->geo.logical_blocks, v->geo.log_blocks);
	disk->mac_type = cpu_to_le32(v->mac);
	disk->sequence = cpu_to_le64(a->sequence);
	disk->epoch = cpu_to_le64(a->epoch);
	disk->lease = cpu_to_le64(a->lease);
	disk->commit = cpu_to_le64(a->commit);
	disk->log_tail = cpu_to_le64(a->log_tail);
	disk->log_head = cpu_to_le64(a->log_head);
	qvault_ptr_to_disk(&disk->tree, &a->tree);
	qvault_ptr_to_disk(&disk->map, &a->map);
	qvault_ptr_to_disk(&disk->log, &a->log);
	disk->inline_bytes = cpu_to_le32(bytes);
	if (bytes)
		memcpy(disk->inline_entries, entries, bytes);
}

/**
 * qvault_anchor_seal() - set the MAC of a record
 * @v: vault with derived keys
 * @disk: complete but for it
 *
 * Context: sleeps.
 * Return: 0 or a negative errno.
 */
int qvault_anchor_seal(struct qvault *v, struct qvault_disk_anchor *disk)
{
	return qvault_crypto_anchor_mac(v->crypto, disk, MAC_COVERS, disk->mac);
}
