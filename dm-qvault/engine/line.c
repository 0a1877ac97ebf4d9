// SPDX-License-Identifier: GPL-2.0
/*
 * One line of records.
 *
 * Each record of a vault is written by who knows the one before it.  Memory that was
 * copied or went back in time, and a second attachment on another machine, do not
 * know it.  Whichever of the lives makes a record first changes the slot that the
 * others are about to replace.  So that slot is read before each record is written,
 * while the data device is flushed, and must hold what this vault last knew there.
 *
 * The other slot, which holds the newest record, is read beside it: should that have
 * rotted, and a power cut tear the one under way, there would be none at all.  So it is
 * written again first.
 *
 * The anchor device is trusted: what is found there is an accident, not an attack.
 */
#include <linux/delay.h>
#include <linux/math64.h>

#include "qvault.h"

/* A record is tried so often, with pauses that double: ten seconds in all. */
#define TRIES			10
#define FIRST_PAUSE_MS		10u

/* ---- Versions ---- */

static u64 part_left(u64 version, u32 part)
{
	return version < QVAULT_JUMPS_END ? (QVAULT_JUMPS_END - version) >> part : 0;
}

/**
 * qvault_jump() - how many versions to pass over
 * @version: the next one
 * @part: QVAULT_ATTACH_PART or QVAULT_RECORD_PART
 *
 * Context: Any.
 * Return: A random number below that part of the versions left for jumps.
 */
u64 qvault_jump(u64 version, u32 part)
{
	return mul_u64_u64_shr(qvault_random(), part_left(version, part), 64);
}

/**
 * qvault_new_versions() - take versions that were never used
 * @v: vault
 * @count: how many, consecutive
 *
 * Each anchor record leases the versions below its lease field: whoever reads
 * it starts above.  So no version repeats, whatever a crash cuts off.
 *
 * Context: Any.
 * Return: the first one; 0 if a record must be made first, see qvault_lease_out(),
 * or if the vault may not write.
 */
u64 qvault_new_versions(struct qvault *v, u32 count)
{
	u64 first = atomic64_fetch_add(count, &v->version);

	if (qvault_may_write(v) || first + count > READ_ONCE(v->anchor.lease))
		return 0;
	return first;
}

/* Is it time for an anchor record, to get a new lease? */
bool qvault_lease_low(const struct qvault *v)
{
	return atomic64_read(&v->version) + QVAULT_LEASE / 2 >
	       READ_ONCE(v->anchor.lease);
}

/* Are there no versions at all before the next record? */
bool qvault_lease_out(const struct qvault *v)
{
	return atomic64_read(&v->version) >= READ_ONCE(v->anchor.lease);
}

/**
 * qvault_forked() - this memory may live a second time elsewhere
 * @v: vault
 *
 * Both lives would go on with the same versions.  Beyond the lease there are none,
 * so the next commit or write makes a record first, which leases others; and the
 * look before that record finds out whether the other life has made one already.
 *
 * Context: Any.
 */
void qvault_forked(struct qvault *v)
{
	u64 version = atomic64_read(&v->version);

	/* As far as the lease can reach, also that of a record under way: see number(). */
	atomic64_add(QVAULT_LEASE + part_left(version, QVAULT_RECORD_PART) +
		     qvault_jump(version, QVAULT_ATTACH_PART), &v->version);
	atomic_inc(&v->forks);
	qvault_share_forget(v);
}

/* ---- Who was here ---- */

static bool is_known(const struct qvault *v, u32 slot,
		     const struct qvault_disk_anchor *disk)
{
	return !qvault_tags_differ(disk->mac, v->line.known[slot],
				   sizeof(disk->mac));
}

/* A volume that was formatted over ours: its MAC says nothing to us. */
static bool other_volume(const struct qvault *v,
			 const struct qvault_disk_anchor *disk)
{
	return !memcmp(disk->magic, QVAULT_ANCHOR_MAGIC, sizeof(disk->magic)) &&
	       (le32_to_cpu(disk->format) != QVAULT_FORMAT_VERSION ||
		memcmp(disk->uuid, v->anchor.uuid, sizeof(disk->uuid)));
}

/*
 * Or one whose other life has changed the master key, of which ours can tell no more.
 * Records of two keys stand here for the moment of such a change only, and then all
 * that we find is known to us.
 */
static bool other_key(const struct qvault *v, const struct qvault_disk_anchor *disk)
{
	return !memcmp(disk->magic, QVAULT_ANCHOR_MAGIC, sizeof(disk->magic)) &&
	       qvault_tags_differ(disk->check, v->anchor.check, sizeof(disk->check));
}

/*
 * Does what stands in @slot, and not from us, come from a life that goes on beside
 * ours?  A record of a lower epoch is the last one of who was displaced, perhaps under
 * way when we came; but who attaches cannot know who is displaced.
 *
 * Returns 0: no; -ENODATA: it is no record, was torn or has rotted; -ESTALE: yes; or
 * another negative errno.
 */
static int find_other(struct qvault *v, u32 slot,
		      const struct qvault_disk_anchor *disk)
{
	int err;

	if (READ_ONCE(v->mode) == QVAULT_MODE_DETACHED || other_volume(v, disk))
		return -ESTALE;
	err = qvault_anchor_check(v, disk, slot);
	if (err && err != -EUCLEAN)
		return err;
	return le64_to_cpu(disk->epoch) < v->anchor.epoch ? 0 : -ESTALE;
}

static int taken(struct qvault *v, const struct qvault_disk_anchor *seen)
{
	qvault_taken(v, le64_to_cpu(seen->epoch), le64_to_cpu(seen->sequence));
	return -ESTALE;
}

/*
 * What stands in the slot that comes next is not from us, and no reason to stop by
 * itself.  Then the other slot must hold our newest record: it may be another's record
 * that was torn here, and the one before it stands there.
 */
static int check_other_slot(struct qvault *v, u32 slot, bool was_record,
			    struct qvault_disk_anchor *seen)
{
	int err;

	err = qvault_dev_read(v->anchor_dev, QVAULT_SLOT_BLOCK(slot), seen);
	if (err || is_known(v, slot, seen))
		return err;
	err = find_other(v, slot, seen);
	if (err == -ESTALE || (err == -ENODATA && !was_record))
		return taken(v, seen);
	return err == -ENODATA ? 0 : err;
}

/* A record on its way into its slot. */
struct attempt {
	struct qvault_disk_anchor *record;
	void *seen;			/* in its slot, at the last look */
	void *other;			/* and in the other one */
	void *was;			/* in its slot, before the first write; or NULL */
	bool wrote;			/* a write has failed */
	bool mended;			/* the newest record was written again */
	bool in_doubt;			/* that failed: it may be in a volatile cache */
};

/* Was it our write that failed, whole? */
static bool is_ours(const struct attempt *a)
{
	const struct qvault_disk_anchor *seen = a->seen;

	return a->wrote && !qvault_tags_differ(seen->mac, a->record->mac,
					       sizeof(seen->mac));
}

/*
 * Or in part, torn wherever the device likes?  Then each byte is as it was or as we
 * write it.  Of anybody else's record the MAC is neither; as long as that has not come,
 * our look was just before his write, as it might have been anyway.
 */
static bool is_torn_of_ours(const struct attempt *a)
{
	const u8 *seen = a->seen, *was = a->was, *record = (const u8 *)a->record;
	u32 i;

	if (!a->wrote || !a->was)
		return false;
	for (i = 0; i < QVAULT_BLOCK_SIZE; i++)
		if (seen[i] != was[i] && seen[i] != record[i])
			return false;
	return true;
}

/* @a: what is to be written there; NULL: nothing yet. */
static int check_slot(struct qvault *v, u32 slot, struct qvault_disk_anchor *seen,
		      const struct attempt *a)
{
	bool attaching = READ_ONCE(v->mode) == QVAULT_MODE_DETACHED;
	int err = 0;

	if (a && is_ours(a))
		return 0;
	if (!is_known(v, slot, seen) && !(a && is_torn_of_ours(a)))
		err = find_other(v, slot, seen);
	else if (!attaching)
		return 0;
	/* But for what a write of ours has torn: it may be half of either key. */
	if (err == -ENODATA && !(a && a->wrote) && other_key(v, seen))
		err = -ESTALE;
	if (err == -ESTALE)
		return taken(v, seen);
	if (err && err != -ENODATA)
		return err;
	return check_other_slot(v, !slot, !err, seen);
}

/**
 * qvault_line_look() - see that nobody else goes on from our record
 * @v: vault
 *
 * Before metadata are written, since whoever goes on has its own where ours would
 * go: a log that is spoilt is worth all of a volume, a block of data only itself.
 *
 * Context: commit_mutex; sleeps.
 * Return: 0; -ESTALE: the vault has stopped; or another negative errno.
 */
int qvault_line_look(struct qvault *v)
{
	u32 slot = (v->anchor.sequence + 1) & 1;
	void *seen;
	int err;

	if (qvault_ephemeral(v))
		return 0;
	seen = qvault_buf_get(v, QVAULT_USE_COMMIT);
	err = qvault_dev_read(v->anchor_dev, QVAULT_SLOT_BLOCK(slot), seen);
	if (!err)
		err = check_slot(v, slot, seen, NULL);
	qvault_buf_put(seen);
	return err;
}

/* ---- Writing ---- */

/*
 * Make what the record reaches durable, and read both slots meanwhile.  What came of
 * the reads: @read, of the record's slot and of the other one.
 */
static int flush_and_read(struct qvault *v, struct attempt *a, bool flush, u32 slot,
			  int read[2])
{
	struct qvault_look reads[] = {
		{ .block = QVAULT_SLOT_BLOCK(slot), .buf = a->seen },
		{ .block = QVAULT_SLOT_BLOCK(!slot), .buf = a->other },
	};
	int err;

	err = qvault_dev_flush_and_read(flush ? v->data : NULL, v->anchor_dev, reads,
					ARRAY_SIZE(reads));
	read[0] = reads[0].err;
	read[1] = reads[1].err;
	/* The device may have lost what it did not flush, and the next flush succeed. */
	if (err)
		qvault_fail(v, "flush of the data device", err);
	else if (flush)
		atomic64_inc(&v->counters.flushes);
	return err;
}

/*
 * Does the other slot hold the newest record?  Who attaches has looked closer, and
 * begins with the slot that holds none, if there is one.
 */
static bool holds_newest(const struct qvault *v, const struct attempt *a)
{
	return READ_ONCE(v->mode) == QVAULT_MODE_DETACHED ||
	       !qvault_tags_differ(a->other, v->line.record, sizeof(*v->line.record));
}

/*
 * If not, write it there again.  Once: a device that takes it and gives back something
 * else cannot be helped, and the slot that comes next may be better.
 */
static int mend_newest(struct qvault *v, struct attempt *a, u32 slot, int unread,
		       int *io)
{
	int err = 0;

	if (a->mended || (!unread && !a->in_doubt && holds_newest(v, a)))
		return 0;
	if (!unread && !is_known(v, slot, a->other))
		err = find_other(v, slot, a->other);
	if (err == -ESTALE)
		return taken(v, a->other);
	if (err && err != -ENODATA)
		return err;
	qvault_report_mended(v, slot);
	err = qvault_share_look(v);
	if (err == -ESTALE)
		return err;
	*io = err ?: qvault_dev_write_fua(v->anchor_dev, QVAULT_SLOT_BLOCK(slot),
					  v->line.record);
	a->mended = !*io;
	a->in_doubt = *io;
	return 0;
}

/*
 * The look before a record.  Who is told meanwhile that his memory may live twice
 * looks again: the other life may be the first one to write.  Sets @io if it is the
 * anchor device that failed.
 */
static int look_before(struct qvault *v, struct attempt *a, bool flush, u32 slot,
		       int *io)
{
	int err, forks, read[2];

	do {
		forks = atomic_read(&v->forks);
		err = flush_and_read(v, a, flush, slot, read);
		*io = read[0];
		if (err || *io)
			return err;
		if (a->was && !a->wrote)
			memcpy(a->was, a->seen, QVAULT_BLOCK_SIZE);
		err = check_slot(v, slot, a->seen, a);
		if (!err)
			err = mend_newest(v, a, !slot, read[1], io);
		flush = false;
	} while (!err && !*io && forks != atomic_read(&v->forks));
	return err;
}

/*
 * Sets @again if it is the anchor device that failed.  After a write that failed the
 * record may stand there; before that, another life has done the very same.
 */
static int try_record(struct qvault *v, struct attempt *a, bool flush, bool *again)
{
	u32 slot = le64_to_cpu(a->record->sequence) & 1;
	int err, io;

	*again = false;
	err = look_before(v, a, flush, slot, &io);
	if (!err && !io)
		io = qvault_share_look(v);
	if (err || io == -ESTALE)
		return err ?: io;
	if (!io) {
		io = qvault_dev_write_fua(v->anchor_dev, QVAULT_SLOT_BLOCK(slot),
					  a->record);
		a->wrote = io;
	}
	*again = io;
	return io;
}

static int try_for_a_while(struct qvault *v, struct attempt *a, bool flush)
{
	bool again;
	int err;
	u32 n;

	err = try_record(v, a, flush, &again);
	for (n = 0; again && n + 1 < TRIES; n++) {
		if (!n)
			qvault_report_trouble(v, "a write of the anchor", err);
		msleep(FIRST_PAUSE_MS << n);
		err = try_record(v, a, false, &again);
	}
	if (again)
		qvault_fail(v, "a write of the anchor", err);
	return err;
}

/*
 * Write a record.  A write that failed may have happened or not, so nothing else may
 * be written before that very record is durable; and only a write that succeeds says
 * so.  To read it back would prove nothing: it may come from a volatile cache.
 */
static int put_record(struct qvault *v, struct qvault_disk_anchor *disk, bool flush)
{
	struct attempt a = {
		.record = disk,
		.seen = qvault_buf_get(v, QVAULT_USE_COMMIT),
		.other = qvault_buf_get(v, QVAULT_USE_COMMIT),
	};
	int err;

	/* Later on the other slot tells whether somebody else was here. */
	if (READ_ONCE(v->mode) == QVAULT_MODE_DETACHED)
		a.was = qvault_buf_get(v, QVAULT_USE_COMMIT);
	err = try_for_a_while(v, &a, flush);
	qvault_buf_put(a.was);
	qvault_buf_put(a.other);
	qvault_buf_put(a.seen);
	return err;
}

static void adopt(struct qvault *v, const struct qvault_anchor *next,
		  const struct qvault_disk_anchor *disk)
{
	if (disk) {
		memcpy(v->line.record, disk, sizeof(*disk));
		memcpy(v->line.known[next->sequence & 1], disk->mac,
		       sizeof(disk->mac));
	}
	write_lock(&v->map_lock);
	/* Pages that its log holds take their room there. */
	v->stream.nr_cut -= next->log_head - v->anchor.log_head;
	v->anchor = *next;
	write_unlock(&v->map_lock);
	/*
	 * A copy of this memory that nobody has told, with a copy of the anchor, sees no
	 * other record and goes on with the same versions.  It jumps elsewhere.
	 */
	atomic64_add(qvault_jump(atomic64_read(&v->version), QVAULT_RECORD_PART),
		     &v->version);
	atomic64_inc(&v->counters.commits);
}

static int seal_and_put(struct qvault *v, const struct qvault_anchor *next,
			struct qvault_disk_anchor *disk, bool flush)
{
	int err = qvault_anchor_seal(v, disk);

	if (!err)
		err = put_record(v, disk, flush);
	if (!err)
		adopt(v, next, disk);
	return err;
}

/* Wherever adopt() jumps to, a whole lease follows. */
static void number(const struct qvault *v, struct qvault_anchor *next)
{
	u64 version = atomic64_read(&v->version);

	next->sequence = v->anchor.sequence + 1;
	next->lease = version + part_left(version, QVAULT_RECORD_PART) + QVAULT_LEASE;
}

/**
 * qvault_line_write() - make a new state the durable one
 * @v: vault
 * @next: the state; sequence and lease are set here
 * @flush: flush the data device first; else all that @next reaches is durable
 *
 * The record goes into the slot of the record before the newest, so a torn write
 * costs nothing.  If the anchor device fails it is tried again for ten seconds.
 *
 * Context: commit_mutex, or nobody else uses the vault; sleeps.
 * Return: 0: it is durable, and is v->anchor.  A negative errno: nothing changed, or
 * what is durable is not known, or somebody else goes on from our record (-ESTALE);
 * then the vault accepts no more writes.
 */
int qvault_line_write(struct qvault *v, struct qvault_anchor *next, bool flush)
{
	struct qvault_disk_anchor *disk;
	int err;

	number(v, next);
	if (qvault_ephemeral(v)) {
		adopt(v, next, NULL);
		return 0;
	}
	disk = qvault_buf_get(v, QVAULT_USE_COMMIT);
	qvault_anchor_fill(v, disk, next, qvault_stream_inline(v),
			   v->stream.inline_bytes);
	err = seal_and_put(v, next, disk, flush);
	qvault_buf_put(disk);
	return err;
}

/**
 * qvault_line_rekey() - make a new state the durable one, under another master key
 * @v: vault
 * @next: as for qvault_line_write(); with secrets and check value for that key
 * @opener: of that key; if the record is durable, of the one before
 *
 * Until then records are of the key before: also those that another life may be
 * writing, which only that key tells from what was torn.
 *
 * Context: as qvault_line_write().
 * Return: likewise.
 */
int qvault_line_rekey(struct qvault *v, struct qvault_anchor *next,
		      struct qvault_opener **opener)
{
	struct qvault_disk_anchor *disk = qvault_buf_get(v, QVAULT_USE_COMMIT);
	int err;

	number(v, next);
	qvault_anchor_fill(v, disk, next, qvault_stream_inline(v),
			   v->stream.inline_bytes);
	/* Who looks at a claim meanwhile needs the key that the claim may be of. */
	mutex_lock(&v->share_mutex);
	*opener = qvault_crypto_turn(v->crypto, *opener);
	err = qvault_anchor_seal(v, disk);
	*opener = qvault_crypto_turn(v->crypto, *opener);
	mutex_unlock(&v->share_mutex);
	if (!err)
		err = put_record(v, disk, true);
	if (!err) {
		mutex_lock(&v->share_mutex);
		*opener = qvault_crypto_turn(v->crypto, *opener);
		adopt(v, next, disk);
		mutex_unlock(&v->share_mutex);
	}
	qvault_buf_put(disk);
	return err;
}

/**
 * qvault_line_resize() - write the newest record once more, with other sizes
 * @v: vault; its own layout is for the caller to change
 * @geo: the layout that they give
 *
 * Context: as qvault_line_write().
 * Return: likewise.
 */
int qvault_line_resize(struct qvault *v, const struct qvault_geometry *geo)
{
	struct qvault_anchor next = v->anchor;
	struct qvault_disk_anchor *disk;
	int err;

	number(v, &next);
	if (qvault_ephemeral(v)) {
		adopt(v, &next, NULL);
		return 0;
	}
	disk = qvault_buf_get(v, QVAULT_USE_COMMIT);
	memcpy(disk, v->line.record, sizeof(*disk));
	disk->sequence = cpu_to_le64(next.sequence);
	disk->lease = cpu_to_le64(next.lease);
	disk->data_blocks = cpu_to_le64(geo->data_blocks);
	disk->logical_blocks = cpu_to_le64(geo->logical_blocks);
	err = seal_and_put(v, &next, disk, false);
	qvault_buf_put(disk);
	return err;
}

/**
 * qvault_line_repeat() - write the newest record once more, into the other slot
 * @v: vault
 *
 * It acknowledges nothing new.  Then no slot brings the past back, a slot that rots
 * is harmless, and there is a new lease.
 *
 * Context: as qvault_line_write().
 * Return: likewise.
 */
int qvault_line_repeat(struct qvault *v)
{
	return qvault_line_resize(v, &v->geo);
}

/* ---- Begin, and go on ---- */

/**
 * qvault_line_begin() - become the one who goes on from the newest record
 * @v: vault being attached; its state is the record's
 * @record: the record
 *
 * A record of the next epoch, with a lease above all that may have been used, is
 * durable in both slots before anything is sealed.
 *
 * Context: nobody else uses the vault; sleeps.
 * Return: 0 or a negative errno; -EBUSY if this machine has the vault already.
 */
int qvault_line_begin(struct qvault *v, const struct qvault_disk_anchor *record)
{
	struct qvault_anchor next = v->anchor;
	int err = 0;

	if (!qvault_ephemeral(v)) {
		memcpy(v->line.record, record, sizeof(*record));
		err = qvault_claim_line(v, v->anchor.uuid);
	}
	next.epoch++;
	next.settle = v->settle;
	if (!err)
		err = qvault_line_write(v, &next, false);
	return err ?: qvault_line_repeat(v);
}

/* Whether @slot still holds what this vault left there. */
static int check_left(struct qvault *v, u32 slot, struct qvault_disk_anchor *seen)
{
	bool newest = slot == (v->anchor.sequence & 1);
	int err;

	err = qvault_dev_read(v->anchor_dev, QVAULT_SLOT_BLOCK(slot), seen);
	if (err)
		return newest || !v->read_only ? err : 0;
	if (is_known(v, slot, seen))
		return 0;
	err = find_other(v, slot, seen);
	if (newest && (!err || err == -ENODATA))
		err = -ESTALE;
	if (err == -ESTALE)
		qvault_report_taken(v, le64_to_cpu(seen->epoch),
				    le64_to_cpu(seen->sequence));
	return err == -ENODATA ? 0 : err;
}

/**
 * qvault_line_unbroken() - does the anchor hold what this vault left there?
 * @v: vault that was suspended
 *
 * Context: commit_mutex; sleeps.
 * Return: 0; -ESTALE if a record is older or newer, and it was told whose it is; or
 * another negative errno.
 */
int qvault_line_unbroken(struct qvault *v)
{
	void *seen;
	int err;

	if (qvault_ephemeral(v))
		return 0;
	seen = qvault_buf_get(v, QVAULT_USE_COMMIT);
	err = check_left(v, 0, seen);
	if (!err)
		err = check_left(v, 1, seen);
	qvault_buf_put(seen);
	return err;
}

/* Memory for the record: its own, since it is held as long as the vault lives. */
int qvault_line_init(struct qvault *v)
{
	v->line.record = kzalloc(sizeof(*v->line.record), GFP_KERNEL);
	return v->line.record ? 0 : -ENOMEM;
}

void qvault_line_exit(struct qvault *v)
{
	kfree(v->line.record);
	v->line.record = NULL;
}
