// SPDX-License-Identifier: GPL-2.0
/*
 * Between hosts: claim, wait, look.
 *
 * The look before a record (line.c) leaves a race: a record that one host has under way
 * may land over one that another host has made, and acknowledged, since that look.  And
 * until its next record a host that was displaced writes blocks where the other one has
 * put its own.  A vault that several hosts can reach is shared as follows.
 *
 * Who attaches writes a claim to the anchor, waits for the settle time, and goes on only
 * if that very claim stands there still; and only then it reads the records.  Who is
 * attached begins no write, to either device, unless it has seen its own claim within
 * the last half of the settle time.  As no write takes longer than the other half, all
 * that a displaced host has begun is over when the new one stops waiting.
 *
 * That last, and that the clocks of hosts run alike, is what all of it rests on.
 * tests/model/claim.pml tries out the rest.
 */
#include <linux/ktime.h>

#include "qvault.h"

/* The MAC covers all that stands before it. */
#define MAC_COVERS	offsetof(struct qvault_disk_claim, mac)

/* Memory for the claim: its own, since a write may have to look without any other. */
int qvault_share_init(struct qvault *v)
{
	v->share.half = 0;
	v->share.seen = kzalloc(sizeof(*v->share.seen), GFP_KERNEL);
	return v->share.seen ? 0 : -ENOMEM;
}

void qvault_share_exit(struct qvault *v)
{
	v->share.half = 0;
	kfree(v->share.seen);
	v->share.seen = NULL;
}

/* ---- Whose it is --------------------------------------------------------- */

static bool is_ours(const struct qvault *v, const struct qvault_disk_claim *seen)
{
	return !qvault_tags_differ(seen->mac, v->share.mac, sizeof(seen->mac));
}

/* Of another volume, or under another key, of which ours can tell no more. */
static bool is_foreign(struct qvault *v, const struct qvault_disk_claim *seen)
{
	bool foreign;

	read_lock(&v->map_lock);
	foreign = le32_to_cpu(seen->format) != QVAULT_FORMAT_VERSION ||
		  memcmp(seen->uuid, v->anchor.uuid, sizeof(seen->uuid)) ||
		  qvault_tags_differ(seen->check, v->anchor.check, sizeof(seen->check));
	read_unlock(&v->map_lock);
	return foreign;
}

/*
 * It is not ours.  Returns -ESTALE if it is somebody's; 0 if it is nobody's, having
 * rotted or being half written: whoever is writing it begins to wait when it is whole.
 */
static int check_other(struct qvault *v, const struct qvault_disk_claim *seen)
{
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];
	int err;

	if (memcmp(seen->magic, QVAULT_CLAIM_MAGIC, sizeof(seen->magic)))
		return 0;
	if (is_foreign(v, seen))
		return -ESTALE;
	err = qvault_crypto_anchor_mac(v->crypto, seen, MAC_COVERS, mac);
	if (err)
		return err;
	return qvault_tags_differ(mac, seen->mac, sizeof(mac)) ? 0 : -ESTALE;
}

/* ---- Look ---------------------------------------------------------------- */

static bool is_young(const struct qvault_share *share)
{
	u64 looked = atomic64_read(&share->looked);

	return looked && ktime_get_boottime_ns() - looked < share->half;
}

/*
 * Who waited must find the very claim; later one that is nobody's will do.  The look is
 * as old as the read was when it began.
 */
static int look(struct qvault *v, bool waited)
{
	struct qvault_share *share = &v->share;
	u64 begun = ktime_get_boottime_ns();
	int err;

	lockdep_assert_held(&v->share_mutex);
	err = qvault_dev_read(v->anchor_dev, QVAULT_CLAIM_BLOCK, share->seen);
	if (err)
		return err;
	if (!is_ours(v, share->seen))
		err = waited ? -ESTALE : check_other(v, share->seen);
	if (err == -ESTALE)
		qvault_taken(v, le64_to_cpu(share->seen->epoch), 0);
	if (!err)
		atomic64_set(&share->looked, begun);
	return err;
}

/**
 * qvault_share_look() - may a write be submitted at this moment?
 * @v: vault that may write
 *
 * To be asked right before each write, to either device, and each discard.  Costs
 * nothing where the vault is not shared, and else one read in half a settle time.
 *
 * Context: sleeps; any mutex may be held.
 * Return: 0; -ESTALE: the vault has stopped, for another host has claimed it; or another
 * negative errno: then it is not known, and the write must not be.
 */
int qvault_share_look(struct qvault *v)
{
	struct qvault_share *share = &v->share;
	int err;

	if (likely(!share->half))
		return 0;
	if (READ_ONCE(v->mode) == QVAULT_MODE_TAKEN)
		return -ESTALE;
	if (is_young(share))
		return 0;
	mutex_lock(&v->share_mutex);
	err = is_young(share) ? 0 : look(v, false);
	mutex_unlock(&v->share_mutex);
	return err;
}

/* Time may have passed that no clock here has seen.  Context: any. */
void qvault_share_forget(struct qvault *v)
{
	atomic64_set(&v->share.looked, 0);
}

/* ---- Claim and wait ------------------------------------------------------ */

static int make_claim(struct qvault *v, struct qvault_disk_claim *claim)
{
	__le64 nonce[2] = { cpu_to_le64(qvault_random()), cpu_to_le64(qvault_random()) };

	static_assert(sizeof(nonce) == sizeof(claim->nonce));
	memset(claim, 0, sizeof(*claim));
	memcpy(claim->magic, QVAULT_CLAIM_MAGIC, sizeof(claim->magic));
	claim->format = cpu_to_le32(QVAULT_FORMAT_VERSION);
	claim->settle = cpu_to_le32(v->settle);
	memcpy(claim->uuid, v->anchor.uuid, sizeof(claim->uuid));
	memcpy(claim->check, v->anchor.check, sizeof(claim->check));
	memcpy(claim->nonce, nonce, sizeof(nonce));
	claim->epoch = cpu_to_le64(v->anchor.epoch + 1);
	claim->time = cpu_to_le64(ktime_get_real_seconds());
	return qvault_crypto_anchor_mac(v->crypto, claim, MAC_COVERS, claim->mac);
}

static int claim_and_wait(struct qvault *v)
{
	struct qvault_share *share = &v->share;
	int err;

	err = make_claim(v, share->seen);
	if (err)
		return err;
	memcpy(share->mac, share->seen->mac, sizeof(share->mac));
	err = qvault_dev_write_fua(v->anchor_dev, QVAULT_CLAIM_BLOCK, share->seen);
	return err ?: qvault_wait(v, v->settle);
}

/**
 * qvault_share_begin() - become the one host that has the vault
 * @v: vault being attached, with the keys of its records; v->settle says how long it
 *	takes, in seconds
 *
 * What was read of the slots before is out of date afterwards.
 *
 * Context: nobody else uses the vault; sleeps, for as long as that.
 * Return: 0; -ESTALE: another host claimed it meanwhile; -EINTR; or another negative
 * errno.
 */
int qvault_share_begin(struct qvault *v)
{
	int err = claim_and_wait(v);

	mutex_lock(&v->share_mutex);
	if (!err)
		err = look(v, true);
	mutex_unlock(&v->share_mutex);
	if (!err)
		v->share.half = v->settle * (NSEC_PER_SEC / 2);
	return err;
}
