// SPDX-License-Identifier: GPL-2.0
/*
 * Reading, judging and writing an anchor device.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#include "qvault-ctl.h"
#include "record.h"

int ctl_anchor_read(struct ctl_slots *slots, const struct ctl_device *dev)
{
	char size[CTL_SIZE_CHARS];
	size_t done = 0;
	ssize_t n;

	static_assert(sizeof(*slots) == QVAULT_ANCHOR_SLOTS * QVAULT_BLOCK_SIZE,
		      "the slots stand side by side");
	if (dev->bytes < sizeof(*slots))
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor device %s is too small: it has %s, an anchor needs %zu bytes",
				dev->path, ctl_size(size, dev->bytes),
				sizeof(*slots));
	while (done < sizeof(*slots)) {
		n = pread(dev->fd, (char *)slots + done, sizeof(*slots) - done,
			  (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ctl_fail(CTL_WRONG_DEVICE,
					"cannot read anchor device %s: %s",
					dev->path, n ? strerror(errno) : "it ends early");
		done += (size_t)n;
	}
	return CTL_OK;
}

/* *ok says whether the key made this record. */
static int verify(const struct qvault_disk_anchor *disk, struct ctl_key *key,
		  bool *ok)
{
	uint8_t mac[QVAULT_ANCHOR_MAC_SIZE];
	int err;

	err = ctl_key_derive_anchor(key, disk->uuid);
	if (!err)
		err = ctl_anchor_mac(key, disk,
				     offsetof(struct qvault_disk_anchor, mac), mac);
	*ok = !err && !CRYPTO_memcmp(mac, disk->mac, sizeof(mac));
	return err;
}

/* What both slots are, once none of them can be used. */
static int no_record(const struct ctl_slots *slots, const struct ctl_device *dev)
{
	struct ctl_record record;
	enum ctl_slot_state state;
	const char *why, *damage = NULL;
	uint32_t slot;
	bool empty = true;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		state = ctl_record_parse(&slots->disk[slot], slot, &record, &why);
		if (state == CTL_SLOT_VERSION)
			return ctl_fail(CTL_WRONG_DEVICE,
					"anchor %s has format version %" PRIu32 "; this qvault-ctl knows version %d only",
					dev->path, record.format,
					QVAULT_FORMAT_VERSION);
		if (state == CTL_SLOT_DAMAGED)
			damage = why;
		if (state != CTL_SLOT_EMPTY)
			empty = false;
	}
	if (damage)
		return ctl_fail(CTL_WRONG_DEVICE, "anchor %s is damaged: %s",
				dev->path, damage);
	return ctl_fail(CTL_WRONG_DEVICE, "%s is no anchor: %s", dev->path,
			empty ? "it is empty (qvault-ctl format makes one)" :
				"it holds something else");
}

int ctl_anchor_newest(const struct ctl_slots *slots,
		      const struct ctl_device *dev, struct ctl_key *key,
		      struct ctl_record *newest)
{
	struct ctl_record record;
	const char *why;
	bool any = false, found = false, ok = true;
	uint32_t slot;
	int err;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		if (ctl_record_parse(&slots->disk[slot], slot, &record, &why) !=
		    CTL_SLOT_RECORD)
			continue;
		any = true;
		err = key ? verify(&slots->disk[slot], key, &ok) : CTL_OK;
		if (err)
			return err;
		/* Equal is impossible: the slots differ in the last bit. */
		if (!ok || (found && record.sequence < newest->sequence))
			continue;
		*newest = record;
		found = true;
	}
	if (found)
		return CTL_OK;
	if (any)
		return ctl_fail(CTL_DENIED,
				"wrong key: it does not verify the anchor %s",
				dev->path);
	return no_record(slots, dev);
}

static int write_slot(const struct ctl_device *dev, uint32_t slot,
		      const void *block)
{
	ssize_t n;

	do {
		n = pwrite(dev->fd, block, QVAULT_BLOCK_SIZE,
			   (off_t)slot * QVAULT_BLOCK_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)QVAULT_BLOCK_SIZE && !fsync(dev->fd))
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE, "cannot write anchor device %s: %s",
			dev->path, n < 0 || n == (ssize_t)QVAULT_BLOCK_SIZE ?
			strerror(errno) : "it took less than a block");
}

/*
 * The other slot is emptied first: an older vault's newer record there must not
 * outlive a crash between the two.
 */
int ctl_anchor_format(const struct ctl_device *dev, const void *record)
{
	static const uint8_t zeros[QVAULT_BLOCK_SIZE];
	int err;

	err = write_slot(dev, 0, zeros);
	if (!err)
		err = write_slot(dev, 1, record);
	return err;
}
