// SPDX-License-Identifier: GPL-2.0
/*
 * The anchor record: the one thing that the storage cannot touch, and from
 * which everything else is believed.
 */
#include <linux/ktime.h>

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

static bool other_format(const struct qvault_disk_anchor *disk)
{
	return has_magic(disk) &&
	       le32_to_cpu(disk->format) != QVAULT_FORMAT_VERSION;
}

static int refuse_format(struct qvault *v)
{
	return refuse(v, "the anchor has a format version unknown to this module",
		      -EPROTONOSUPPORT);
}

/**
 * qvault_anchor_check() - does this block hold a record of the volume?
 * @v: vault with derived keys
 * @disk: the block
 * @slot: where it was read
 *
 * Context: sleeps.
 * Return: 0; -ENODATA: no, or one that a crash tore, whose MAC is not valid;
 * -EUCLEAN: one of the other slot; -EPROTONOSUPPORT: one of another format; or another
 * negative errno.
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
	if (other_format(disk))
		return refuse_format(v);
	if ((le64_to_cpu(disk->sequence) & 1) != slot)
		return refuse(v, "an anchor record stands in the wrong slot",
			      -EUCLEAN);
	return 0;
}

/* Says so itself: only a MAC can be believed. */
static bool of_our_key(const struct qvault *v, const struct qvault_disk_anchor *disk)
{
	return has_magic(disk) && !qvault_tags_differ(disk->check, v->anchor.check,
						      sizeof(disk->check));
}

/* Says of each of two blocks in @err whether it is a record under the keys at hand. */
static int check_slots(struct qvault *v, struct qvault_disk_anchor *slot[2],
		       const int unread[2], int err[2])
{
	u32 i;

	for (i = 0; i < 2; i++) {
		err[i] = unread[i] ?: qvault_anchor_check(v, slot[i], i);
		if (err[i] == -EUCLEAN || err[i] == -EPROTONOSUPPORT ||
		    err[i] == -ENOMEM)
			return err[i];
	}
	return 0;
}

/*
 * Keys come from the master key and the UUID.  Both slots say the same one, unless one
 * has rotted; then the one is right under whose keys there is a record.
 */
static int open_slots(struct qvault *v, struct qvault_disk_anchor *slot[2], int err[2])
{
	const int unread[2] = { err[0], err[1] };
	int e = -EKEYREJECTED;
	u32 i;

	for (i = 0; i < 2; i++) {
		if (!has_magic(slot[i]) ||
		    (i && has_magic(slot[0]) &&
		     !memcmp(slot[0]->uuid, slot[1]->uuid, QVAULT_UUID_SIZE)))
			continue;
		e = qvault_crypto_unlock(v->crypto, slot[i]->uuid, v->anchor.check);
		if (e == -EKEYREJECTED)
			continue;
		if (!e)
			e = check_slots(v, slot, unread, err);
		else
			refuse(v, "cannot derive the keys", e);
		if (e || !err[0] || !err[1])
			break;
	}
	qvault_crypto_settle(v->crypto);
	return e == -EKEYREJECTED ? refuse(v, "the keys are those of another vault", e) : e;
}

/*
 * Which of two blocks that were read is the newest record?  @err says of each that
 * it cannot be read, and then whether it is one.
 */
static int choose_slot(struct qvault *v, struct qvault_disk_anchor *slot[2],
		       int err[2], u32 *newest)
{
	int e;

	if (!has_magic(slot[0]) && !has_magic(slot[1]))
		return refuse(v, err[0] || err[1] ? "cannot read the anchor" :
			      "this is not an anchor, or it was never formatted",
			      err[0] ?: err[1] ?: -ENODATA);
	e = open_slots(v, slot, err);
	if (e)
		return e;
	if (err[0] && err[1] && (other_format(slot[0]) || other_format(slot[1])))
		return refuse_format(v);
	if (err[0] && err[1])
		return refuse(v, of_our_key(v, slot[0]) || of_our_key(v, slot[1]) ?
			      "the anchor is damaged, although the key is its own" :
			      "wrong key, or the anchor is damaged", -EKEYREJECTED);
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
	if (err[bad] == -ENODATA || v->read_only || v->let_go)
		return 0;
	return refuse(v, "a slot of the anchor cannot be read: a read-only attach takes the other",
		      err[bad]);
}

static void read_slots(struct qvault *v, struct qvault_disk_anchor *slot[2],
		       int err[2])
{
	u32 i;

	for (i = 0; i < 2; i++) {
		err[i] = qvault_dev_read(v->anchor_dev, QVAULT_SLOT_BLOCK(i), slot[i]);
		/* What a failed read leaves in memory is nothing. */
		if (err[i])
			memset(slot[i], 0, sizeof(*slot[i]));
		memcpy(v->line.known[i], slot[i]->mac, sizeof(slot[i]->mac));
	}
}

static int read_newest(struct qvault *v, struct qvault_disk_anchor *newest)
{
	struct qvault_disk_anchor *slot[2] = { qvault_buf_get(v, QVAULT_USE_COMMIT),
					       qvault_buf_get(v, QVAULT_USE_COMMIT) };
	int err, errs[2];
	u32 which;

	read_slots(v, slot, errs);
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
static bool possible_ptr(const struct qvault_anchor *a,
			 const struct qvault_disk_ptr *disk)
{
	struct qvault_ptr ptr;

	qvault_ptr_from_disk(&ptr, disk);
	if (!ptr.version)
		return !memchr_inv(disk, 0, sizeof(*disk));
	return ptr.version < a->lease && !ptr.flags &&
	       !(qvault_ptr_gens(&ptr) & ~qvault_generations(a));
}

/* A root is never a leaf, and no higher than the volume needs. */
static bool possible_root(const struct qvault_anchor *a,
			  const struct qvault_disk_ptr *disk, u32 level,
			  enum qvault_kind kind, u32 top)
{
	if (!possible_ptr(a, disk))
		return false;
	return disk->version ? qvault_node_twice(kind, level) && level <= top : !level;
}

/* The tool asks the same of a record: see userspace/record.c. */
static bool possible_state(const struct qvault *v,
			   const struct qvault_disk_anchor *disk)
{
	const struct qvault_anchor *a = &v->anchor;

	if (!a->sequence || !a->lease || !disk->logical_blocks ||
	    a->settle > QVAULT_MAX_SETTLE)
		return false;
	/* Just below the tail: the head of an empty log. */
	if (!a->log_tail || a->log_head > U64_MAX / 2 ||
	    a->log_head + 1 < a->log_tail ||
	    a->log_head + 1 - a->log_tail > v->geo.log_blocks)
		return false;
	return le32_to_cpu(disk->inline_bytes) <= QVAULT_INLINE_SIZE &&
	       possible_root(a, &disk->tree, disk->tree_level, QVAULT_KIND_NODE,
			     v->geo.tree.top) &&
	       possible_root(a, &disk->map, disk->map_level, QVAULT_KIND_MAP,
			     v->geo.map.top) &&
	       possible_ptr(a, &disk->log);
}

static int check_features(struct qvault *v, const struct qvault_disk_anchor *disk)
{
	if (disk->incompat || disk->reserved0 ||
	    le32_to_cpu(disk->sector_size) != QVAULT_BLOCK_SIZE ||
	    memchr_inv(disk->reserved1, 0, sizeof(disk->reserved1)) ||
	    memchr_inv(disk->walk.reserved, 0, sizeof(disk->walk.reserved)) ||
	    memchr_inv(disk->reserved2, 0, sizeof(disk->reserved2)))
		return refuse(v, "the anchor asks for a feature unknown here",
			      -EPROTONOSUPPORT);
	if (disk->ro_compat && !v->read_only)
		return refuse(v, "the anchor has a feature unknown here: attach it read-only",
			      -EPROTONOSUPPORT);
	return 0;
}

static int open_generations(struct qvault *v)
{
	int err = qvault_generations_open(v);

	switch (err) {
	case 0:
		return 0;
	case -ENOENT:
		return refuse(v, "the anchor asks for a MAC that this kernel is built without",
			      err);
	case -EPROTONOSUPPORT:
		return refuse(v, "the anchor asks for a cipher or MAC unknown here", err);
	case -EUCLEAN:
		return refuse(v, "the anchor record makes no sense", err);
	}
	return refuse(v, "cannot set up the keys", err);
}

/* Who only reads is in nobody's way. */
static int check_share(struct qvault *v)
{
	u32 settle = v->anchor.settle;

	if (v->read_only || v->let_go || !settle || settle == v->settle)
		return 0;
	return refuse(v, v->settle ? "the vault is shared with another settle time" :
		      "the vault is shared between hosts: attach it as shared", -EBUSY);
}

static int check_fields(struct qvault *v, const struct qvault_disk_anchor *disk)
{
	if (qvault_geometry_init(&v->geo, le64_to_cpu(disk->data_blocks),
				 le64_to_cpu(disk->logical_blocks),
				 le32_to_cpu(disk->log_blocks)) ||
	    !possible_state(v, disk))
		return refuse(v, "the anchor record makes no sense", -EUCLEAN);
	if (v->logical_blocks > v->geo.logical_blocks && (!v->grow || v->read_only))
		return refuse(v, "the table line maps more than the volume holds",
			      -EMSGSIZE);
	if (v->geo.data_blocks > qvault_dev_blocks(v->data))
		return refuse(v, "the data device is smaller than when it was formatted",
			      -ENXIO);
	return check_share(v);
}

static void take_record(struct qvault_anchor *a, const struct qvault_disk_anchor *disk)
{
	memcpy(a->uuid, disk->uuid, sizeof(a->uuid));
	memcpy(a->gen, disk->gen, sizeof(a->gen));
	a->seal = disk->seal;
	a->sequence = le64_to_cpu(disk->sequence);
	a->epoch = le64_to_cpu(disk->epoch);
	a->lease = le64_to_cpu(disk->lease);
	a->commit = le64_to_cpu(disk->commit);
	a->settle = le32_to_cpu(disk->settle);
	a->log_tail = le64_to_cpu(disk->log_tail);
	a->log_head = le64_to_cpu(disk->log_head);
	qvault_ptr_from_disk(&a->tree.ptr, &disk->tree);
	a->tree.level = disk->tree_level;
	qvault_ptr_from_disk(&a->map.ptr, &disk->map);
	a->map.level = disk->map_level;
	qvault_ptr_from_disk(&a->log, &disk->log);
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
	int err = 0;

	if (!qvault_ephemeral(v))
		err = read_newest(v, newest);
	if (!err)
		err = check_features(v, newest);
	if (err)
		return err;
	take_record(&v->anchor, newest);
	return check_fields(v, newest) ?: open_generations(v);
}

/* ---- Writing ---- */

/**
 * qvault_new_anchor() - the record of a volume that holds nothing
 * @disk: filled in, but for generations and MAC: it is an ephemeral one's
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
	disk->sector_size = cpu_to_le32(QVAULT_BLOCK_SIZE);
	disk->seal = QVAULT_EPHEMERAL_GEN;
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
	memcpy(disk->check, a->check, sizeof(disk->check));
	memcpy(disk->gen, a->gen, sizeof(disk->gen));
	disk->seal = a->seal;
	disk->time = cpu_to_le64(ktime_get_real_seconds());
	disk->sequence = cpu_to_le64(a->sequence);
	disk->epoch = cpu_to_le64(a->epoch);
	disk->lease = cpu_to_le64(a->lease);
	disk->commit = cpu_to_le64(a->commit);
	disk->settle = cpu_to_le32(a->settle);
	disk->log_tail = cpu_to_le64(a->log_tail);
	disk->log_head = cpu_to_le64(a->log_head);
	qvault_ptr_to_disk(&disk->tree, &a->tree.ptr);
	disk->tree_level = a->tree.level;
	qvault_ptr_to_disk(&disk->map, &a->map.ptr);
	disk->map_level = a->map.level;
	qvault_ptr_to_disk(&disk->log, &a->log);
	disk->inline_bytes = cpu_to_le32(bytes);
	qvault_walk_fill(v, &disk->walk);
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
