// SPDX-License-Identifier: GPL-2.0
/*
 * Which devices, and which vaults, are in use by which volume.
 *
 * Two volumes on one anchor would both write under the same versions, which gives
 * secrecy away, and either would see the other's writes as an attack.  dm does not
 * prevent it: it opens a device for every table that names it.  A device has many
 * names, too: through another mapping it is another device.  So who may write
 * records claims the vault by its UUID as well; who only reads does not, and may
 * look at a copy while the original is in use.
 *
 * A reload must name the devices of the table that it replaces, so nothing is
 * claimed when a table is constructed but when it begins to use them.
 */
#include "platform.h"

static DEFINE_MUTEX(claims_mutex);
static LIST_HEAD(claims);		/* Locking: claims_mutex */

static bool same(const struct qvault_claim *a, const struct qvault_claim *b)
{
	return a->dev == b->dev && !memcmp(a->uuid, b->uuid, sizeof(a->uuid));
}

/* What people call the mapped device, not its number. */
static void name_of(const struct qvault_volume *vol, char name[DM_NAME_LEN])
{
	if (dm_copy_name_and_uuid(vol->md, name, NULL))
		strscpy(name, dm_device_name(vol->md), DM_NAME_LEN);
}

static int claim_one(struct qvault_claim *claim, const struct qvault_volume *owner,
		     char holder[DM_NAME_LEN])
{
	struct qvault_claim *other;
	int err = 0;

	mutex_lock(&claims_mutex);
	list_for_each_entry(other, &claims, list) {
		if (!same(other, claim))
			continue;
		/* A volume has its tables, and so its mapped device, while it claims. */
		name_of(other->owner, holder);
		err = -EBUSY;
		break;
	}
	if (!err) {
		claim->owner = owner;
		list_add(&claim->list, &claims);
	}
	mutex_unlock(&claims_mutex);
	return err;
}

/**
 * qvault_claim_device() - claim a device
 * @claim: stands for it until qvault_unclaim()
 * @dev: the device
 * @owner: the volume that claims it
 * @holder: in case of -EBUSY the name of the mapped device that has it
 *
 * Context: May sleep.
 * Return: 0, or -EBUSY if another volume has the device.
 */
int qvault_claim_device(struct qvault_claim *claim, dev_t dev,
			const struct qvault_volume *owner, char holder[DM_NAME_LEN])
{
	memset(claim->uuid, 0, sizeof(claim->uuid));
	claim->dev = dev;
	return claim_one(claim, owner, holder);
}

/**
 * qvault_unclaim() - give back what was claimed
 * @claim: claimed or not
 *
 * Context: May sleep.
 */
void qvault_unclaim(struct qvault_claim *claim)
{
	mutex_lock(&claims_mutex);
	if (claim->owner)
		list_del(&claim->list);
	claim->owner = NULL;
	mutex_unlock(&claims_mutex);
}

/**
 * qvault_claimed() - ask whether a volume uses a device
 * @dev: the device
 * @except: a mapped device that does not count
 * @by_writers: nor does who only reads
 *
 * For an early and clear refusal; only qvault_claim_device() is binding.
 *
 * Context: May sleep.
 * Return: Whether the volume of another one than @except does.
 */
bool qvault_claimed(dev_t dev, const struct mapped_device *except, bool by_writers)
{
	const struct qvault_volume *owner;
	struct qvault_claim *claim;
	bool claimed = false;

	mutex_lock(&claims_mutex);
	list_for_each_entry(claim, &claims, list) {
		owner = claim->owner;
		if (claim->dev == dev && owner->md != except &&
		    !(by_writers && owner->v.read_only))
			claimed = true;
	}
	mutex_unlock(&claims_mutex);
	return claimed;
}

/**
 * qvault_claim_line() - take the vault of a UUID for ourselves
 * @v: the vault
 * @uuid: of its record, QVAULT_UUID_SIZE bytes
 *
 * Context: May sleep.
 * Return: 0, or -EBUSY, with v->reason in words, if another mapped device has it.
 */
int qvault_claim_line(struct qvault *v, const u8 *uuid)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char holder[DM_NAME_LEN];
	int err;

	/* By an attach that failed after it. */
	qvault_unclaim(&vol->claim);
	vol->claim.dev = 0;
	memcpy(vol->claim.uuid, uuid, sizeof(vol->claim.uuid));
	err = claim_one(&vol->claim, vol, holder);
	if (!err)
		return 0;
	snprintf(vol->refusal, sizeof(vol->refusal),
		 "the vault of this anchor is attached already, as %s", holder);
	v->reason = vol->refusal;
	return err;
}
