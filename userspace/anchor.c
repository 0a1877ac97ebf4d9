// SPDX-License-Identifier: GPL-2.0
/*
 * Reading, judging and writing an anchor device.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qvault-ctl.h"
#include "record.h"

static off_t place_of(uint32_t slot)
{
	return (off_t)QVAULT_SLOT_BLOCK(slot) * QVAULT_BLOCK_SIZE;
}

static int read_slot(struct ctl_slots *slots, uint32_t slot,
		     const struct ctl_device *dev)
{
	static _Alignas(QVAULT_BLOCK_SIZE) uint8_t block[QVAULT_BLOCK_SIZE];
	int err;

	err = ctl_device_read(dev, block, sizeof(block), place_of(slot));
	if (!err)
		memcpy(&slots->disk[slot], block, sizeof(block));
	return err;
}

int ctl_anchor_read(struct ctl_slots *slots, const struct ctl_device *dev)
{
	const uint64_t least = (uint64_t)QVAULT_ANCHOR_BLOCKS * QVAULT_BLOCK_SIZE;
	char have[CTL_SIZE_CHARS], need[CTL_SIZE_CHARS];
	uint32_t slot, bad = 0;

	memset(slots, 0, sizeof(*slots));
	if (dev->bytes < least)
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor device %s is too small: it has %s, an anchor needs %s",
				dev->path, ctl_size(have, dev->bytes),
				ctl_size(need, least));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		slots->error[slot] = read_slot(slots, slot, dev);
		bad += slots->error[slot] != 0;
	}
	if (bad < QVAULT_ANCHOR_SLOTS)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE, "cannot read anchor device %s: %s",
			dev->path, strerror(-slots->error[0]));
}

/* What was found in a slot. */
struct finding {
	enum ctl_slot_state state;
	bool verified;			/* by the key; true if there is none */
	bool other_key;			/* made under another one */
	const char *why;		/* of CTL_SLOT_DAMAGED */
	struct ctl_record record;
};

static int verify(struct finding *f, const struct qvault_disk_anchor *disk,
		  struct ctl_key *key)
{
	uint8_t mac[QVAULT_ANCHOR_MAC_SIZE];
	int err;

	err = ctl_key_derive(key, disk->uuid);
	if (!err)
		err = ctl_anchor_mac(key, disk,
				     offsetof(struct qvault_disk_anchor, mac), mac);
	if (err)
		return err;
	f->other_key = CRYPTO_memcmp(key->check, disk->check, sizeof(key->check));
	f->verified = !f->other_key && !CRYPTO_memcmp(mac, disk->mac, sizeof(mac));
	return CTL_OK;
}

/* What a newer tool wrote is not to be judged by the older slot. */
static int refuse_newer(const struct finding *f, const struct ctl_device *dev)
{
	if (f->state == CTL_SLOT_VERSION)
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor %s has format version %" PRIu32 "; this qvault-ctl knows version %d only",
				dev->path, f->record.format,
				QVAULT_FORMAT_VERSION);
	if (f->state == CTL_SLOT_FEATURES && f->verified)
		return ctl_fail(CTL_WRONG_DEVICE,
				"anchor %s has features that this qvault-ctl does not know (0x%" PRIx32 ")",
				dev->path, f->record.incompat);
	return CTL_OK;
}

static int look(struct finding *f, const struct ctl_slots *slots, uint32_t slot,
		const struct ctl_device *dev, struct ctl_key *key)
{
	int err = CTL_OK;

	f->verified = !key;
	f->other_key = false;
	if (slots->error[slot]) {
		f->state = CTL_SLOT_UNREADABLE;
		return CTL_OK;
	}
	f->state = ctl_record_parse(&slots->disk[slot], slot, &f->record, &f->why);
	if (key && f->state > CTL_SLOT_VERSION)
		err = verify(f, &slots->disk[slot], key);
	return err ? err : refuse_newer(f, dev);
}

static int wrong_key(const struct finding f[QVAULT_ANCHOR_SLOTS],
		     const struct ctl_device *dev)
{
	if (f[0].other_key || f[1].other_key)
		return ctl_fail(CTL_DENIED,
				"wrong key for the anchor %s: it is under another one",
				dev->path);
	return ctl_fail(CTL_WRONG_DEVICE,
			"the anchor %s is damaged: no record in it verifies under its key",
			dev->path);
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
	return wrong_key(f, dev);
}

/*
 * A key change writes one slot after the other.  Cut off between them, either key
 * opens the vault, by a record of its own; refusing one of them would lose it for who
 * has no other.
 */
static void warn_of_other_key(const struct finding *f, uint32_t slot,
			      const struct ctl_record *used,
			      const struct ctl_device *dev)
{
	if (f->record.sequence > used->sequence)
		ctl_warn("slot %" PRIu32 " of anchor %s holds a newer record under another key: was its key changed?  Going on with the older one, which this key verifies",
			 slot, dev->path);
	else
		ctl_warn("slot %" PRIu32 " of anchor %s holds an older record under another key, which still opens the vault: a change of its key was cut off, do it again",
			 slot, dev->path);
}

/*
 * A slot with anything but zeros held a record once.  If that cannot be told any
 * more, it may have been the newest.  A power failure while a record is written
 * leaves such a slot, too, and then nothing is missing.
 */
static void warn_of_other(const struct finding *f, uint32_t slot, int error,
			  const struct ctl_record *used,
			  const struct ctl_device *dev)
{
	if (f->state == CTL_SLOT_UNREADABLE)
		ctl_warn("slot %" PRIu32 " of anchor %s cannot be read (%s): what the other one says may be one record back",
			 slot, dev->path, strerror(-error));
	else if (f->other_key)
		warn_of_other_key(f, slot, used, dev);
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
		warn_of_other(&f[slot], slot, slots->error[slot], &best->record,
			      dev);
	*newest = best->record;
	return CTL_OK;
}

uint32_t ctl_anchor_peek(const struct ctl_slots *slots, struct ctl_key *key,
			 const uint8_t *uuid, struct ctl_record *newest)
{
	struct finding f;
	uint32_t slot, good = 0;

	newest->sequence = 0;
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		if (slots->error[slot])
			continue;
		f.state = ctl_record_parse(&slots->disk[slot], slot, &f.record,
					   &f.why);
		if (f.state != CTL_SLOT_RECORD ||
		    memcmp(f.record.uuid, uuid, QVAULT_UUID_SIZE) ||
		    verify(&f, &slots->disk[slot], key) || !f.verified)
			continue;
		good++;
		if (f.record.sequence > newest->sequence)
			*newest = f.record;
	}
	return good;
}

int ctl_anchor_sign(const struct ctl_key *key, struct qvault_disk_anchor *disk)
{
	memcpy(disk->check, key->check, sizeof(disk->check));
	return ctl_anchor_mac(key, disk, offsetof(typeof(*disk), mac), disk->mac);
}

static int write_block(const struct ctl_device *dev, off_t place,
		       const void *block)
{
	int err = ctl_device_write(dev, block, QVAULT_BLOCK_SIZE, place);

	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"cannot write anchor device %s: %s; what it held may be destroyed",
			dev->path, strerror(-err));
}

/* Read back as well: what stands in the other slot is given up for it. */
static int write_checked(const struct ctl_device *dev, uint32_t slot,
			 const struct qvault_disk_anchor *disk)
{
	static _Alignas(QVAULT_BLOCK_SIZE) uint8_t back[QVAULT_BLOCK_SIZE];
	int err;

	err = ctl_device_write(dev, disk, sizeof(*disk), place_of(slot));
	if (!err)
		err = ctl_device_read(dev, back, sizeof(back), place_of(slot));
	return err ? err : memcmp(back, disk, sizeof(back)) ? -EIO : 0;
}

int ctl_anchor_replace(const struct ctl_device *dev, const struct ctl_key *key,
		       struct qvault_disk_anchor *disk, uint64_t sequence)
{
	uint64_t last = sequence + QVAULT_ANCHOR_SLOTS - 1, n;
	int err;

	disk->time = htole64((uint64_t)time(NULL));
	for (n = sequence; n <= last; n++) {
		disk->sequence = htole64(n);
		err = ctl_anchor_sign(key, disk);
		if (err)
			return err;
		err = write_checked(dev, n % QVAULT_ANCHOR_SLOTS, disk);
		if (!err)
			continue;
		return n < last ?
			ctl_fail(CTL_WRONG_DEVICE,
				 "cannot write anchor device %s: %s; its newest record is as it was",
				 dev->path, strerror(-err)) :
			ctl_fail(CTL_INCOMPLETE,
				 "anchor device %s has the new record, but its other slot could not be written: %s; it may still hold the record before that one",
				 dev->path, strerror(-err));
	}
	return CTL_OK;
}

int ctl_anchor_create(const struct ctl_device *dev, const struct ctl_key *key,
		      struct qvault_disk_anchor *disk, uint64_t sequence)
{
	static const uint8_t zeros[QVAULT_BLOCK_SIZE];
	uint32_t slot;
	int err;

	err = write_block(dev, QVAULT_CLAIM_BLOCK * QVAULT_BLOCK_SIZE, zeros);
	for (slot = 0; !err && slot < QVAULT_ANCHOR_SLOTS; slot++)
		err = write_block(dev, place_of(slot), zeros);
	return err ? err : ctl_anchor_replace(dev, key, disk, sequence);
}

/*
 * The other slot is emptied first: an older vault's newer record there must not
 * outlive a crash between the two.
 */
int ctl_anchor_format(const struct ctl_device *dev, const void *record)
{
	static const uint8_t zeros[QVAULT_BLOCK_SIZE];
	int err;

	err = write_block(dev, place_of(0), zeros);
	if (!err)
		err = write_block(dev, QVAULT_CLAIM_BLOCK * QVAULT_BLOCK_SIZE, zeros);
	if (!err)
		err = write_block(dev, place_of(1), record);
	return err;
}
