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

static int read_slot(struct ctl_slots *slots, uint32_t slot,
		     const struct ctl_device *dev)
{
	static _Alignas(QVAULT_BLOCK_SIZE) uint8_t block[QVAULT_BLOCK_SIZE];
	int err;

	err = ctl_device_read(dev, block, sizeof(block),
			      (off_t)slot * QVAULT_BLOCK_SIZE);
	if (!err)
		memcpy(&slots->disk[slot], block, sizeof(block));
	return err;
}

int ctl_anchor_read(struct ctl_slots *slots, const struct ctl_device *dev)
{
	char size[CTL_SIZE_CHARS];
	uint32_t slot, bad = 0;

	static_assert(sizeof(slots->disk) == QVAULT_ANCHOR_SLOTS * QVAULT_BLOCK_SIZE,
		      "the slots stand side by side");
	memset(slots, 0, sizeof(*slots));
	if (dev->bytes < sizeof(slots->disk))
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor device %s is too small: it has %s, an anchor needs %zu bytes",
				dev->path, ctl_size(size, dev->bytes),
				sizeof(slots->disk));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		slots->error[slot] = read_slot(slots, slot, dev);
		bad += slots->error[slot] != 0;
	}
	if (bad < QVAULT_ANCHOR_SLOTS)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE, "cannot read anchor device %s: %s",
			dev->path, strerror(-slots->error[0]));
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

/* What was found in a slot. */
struct finding {
	enum ctl_slot_state state;
	bool verified;			/* by the key; true if there is none */
	const char *why;		/* of CTL_SLOT_DAMAGED */
	struct ctl_record record;
};

static int look(struct finding *f, const struct ctl_slots *slots, uint32_t slot,
		const struct ctl_device *dev, struct ctl_key *key)
{
	f->verified = !key;
	if (slots->error[slot]) {
		f->state = CTL_SLOT_UNREADABLE;
		return CTL_OK;
	}
	f->state = ctl_record_parse(&slots->disk[slot], slot, &f->record, &f->why);
	/* What a newer tool wrote is not to be judged by the older slot. */
	if (f->state == CTL_SLOT_VERSION)
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor %s has format version %" PRIu32 "; this qvault-ctl knows version %d only",
				dev->path, f->record.format,
				QVAULT_FORMAT_VERSION);
	if (!key || f->state == CTL_SLOT_EMPTY || f->state == CTL_SLOT_FOREIGN)
		return CTL_OK;
	return verify(&slots->disk[slot], key, &f->verified);
}

static int no_record(const struct finding f[QVAULT_ANCHOR_SLOTS],
		     const struct ctl_device *dev, const struct ctl_key *key)
{
	uint32_t slot;
	bool empty = true, foreign = true;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		/* With a key, none of these got here but by a valid MAC. */
		if (f[slot].state == CTL_SLOT_DAMAGED && f[slot].verified)
			return ctl_fail(CTL_WRONG_DEVICE,
					"anchor %s makes no sense%s: %s", dev->path,
					key ? ", although this key verifies it" : "",
					f[slot].why);
		empty = empty && f[slot].state == CTL_SLOT_EMPTY;
		foreign = foreign && f[slot].state <= CTL_SLOT_FOREIGN;
	}
	if (foreign)
		return ctl_fail(CTL_WRONG_DEVICE, "%s is no anchor: %s",
				dev->path, empty ?
				"it is empty (qvault-ctl format makes one)" :
				"it holds something else");
	return ctl_fail(CTL_DENIED,
			"wrong key for the anchor %s, or the anchor is damaged",
			dev->path);
}

/*
 * A slot with anything but zeros held a record once.  If that cannot be told any
 * more, it may have been the newest.  A power failure while a record is written
 * leaves such a slot, too, and then nothing is missing.
 */
static void warn_of_other(const struct finding *f, uint32_t slot, int error,
			  const struct ctl_device *dev)
{
	if (f->state == CTL_SLOT_UNREADABLE)
		ctl_warn("slot %" PRIu32 " of anchor %s cannot be read (%s): what the other one says may be one record back",
			 slot, dev->path, strerror(-error));
	else if (f->state != CTL_SLOT_EMPTY &&
		 (f->state != CTL_SLOT_RECORD || !f->verified))
		ctl_warn("slot %" PRIu32 " of anchor %s is torn or damaged: what the other one says may be one record back",
			 slot, dev->path);
}

int ctl_anchor_newest(const struct ctl_slots *slots,
		      const struct ctl_device *dev, struct ctl_key *key,
		      struct ctl_record *newest)
{
	struct finding f[QVAULT_ANCHOR_SLOTS];
	const struct finding *best = NULL;
	uint32_t slot;
	int err;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		err = look(&f[slot], slots, slot, dev, key);
		if (err)
			return err;
		/* Not torn, so the older one is not the newest state. */
		if (key && f[slot].state == CTL_SLOT_DAMAGED && f[slot].verified)
			return no_record(f, dev, key);
		/* Equal is impossible: the slots differ in the last bit. */
		if (f[slot].state == CTL_SLOT_RECORD && f[slot].verified &&
		    (!best || f[slot].record.sequence > best->record.sequence))
			best = &f[slot];
	}
	if (!best)
		return no_record(f, dev, key);
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		warn_of_other(&f[slot], slot, slots->error[slot], dev);
	*newest = best->record;
	return CTL_OK;
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
	return ctl_fail(CTL_WRONG_DEVICE,
			"cannot write anchor device %s: %s; what it held may be destroyed",
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
