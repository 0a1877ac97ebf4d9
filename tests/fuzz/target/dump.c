// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl dump over any anchor device: two slots, without a key and with one;
 * the input's first byte says whether that key has made the records.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "quiet.h"

#include <dump.c>
#undef printf
#undef puts
#undef stderr

static int anchor_fd;
static struct ctl_key the_key;

int ctl_device_open(struct ctl_device *dev, const char *path, int access)
{
	dev->path = path;
	dev->fd = anchor_fd;
	dev->bytes = (uint64_t)lseek(anchor_fd, 0, SEEK_END);
	return CTL_OK;
}

void ctl_device_close(struct ctl_device *dev)
{
}

/* A file in memory has no page cache to go around. */
int ctl_device_read(const struct ctl_device *dev, void *buf, size_t bytes,
		    off_t offset)
{
	return pread(dev->fd, buf, bytes, offset) == (ssize_t)bytes ? 0 : -EIO;
}

/* A dump does not. */
int ctl_device_write(const struct ctl_device *dev, const void *buf, size_t bytes,
		     off_t offset)
{
	abort();
}

int ctl_key_read(struct ctl_key **key, const char *path)
{
	*key = &the_key;
	return CTL_OK;
}

void ctl_key_free(struct ctl_key *key)
{
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	anchor_fd = memfd_create("anchor", 0);
	FUZZ_CHECK(anchor_fd >= 0);
	return 0;
}

static void sign(struct qvault_disk_anchor *disk)
{
	ctl_key_derive(&the_key, disk->uuid);
	ctl_anchor_sign(&the_key, disk);
}

/* A slot is what a new vault has, and what the input makes of it. */
static void make(struct fuzz_input *in, struct ctl_slots *slots, int how)
{
	static const uint8_t uuid[QVAULT_UUID_SIZE] = "0123456789abcdef";
	struct qvault_geometry geo;
	int slot, patches;

	memset(slots, 0, sizeof(*slots));
	FUZZ_CHECK(!qvault_geometry_init(&geo, 34500, 0, 64));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		struct qvault_disk_anchor *disk = &slots->disk[slot];

		if (how & 1 << slot)
			continue;
		ctl_record_new(disk, uuid, QVAULT_MAC_HMAC_SHA256_128, 1000, &geo);
		disk->sequence = htole64((uint64_t)(2 + slot));
		for (patches = (int)fuzz_take(in, 1) % 8; patches; patches--)
			fuzz_patch(in, (uint8_t *)disk, sizeof(*disk));
		if (how & 4 << slot)
			sign(disk);
	}
}

#define ANCHOR_BYTES	((size_t)QVAULT_ANCHOR_BLOCKS * QVAULT_BLOCK_SIZE)

/* On an anchor device of so many bytes. */
static void put(const struct ctl_slots *slots, size_t bytes)
{
	size_t at, slot;

	FUZZ_CHECK(!ftruncate(anchor_fd, (off_t)bytes));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		at = QVAULT_SLOT_BLOCK(slot) * QVAULT_BLOCK_SIZE;
		if (at + QVAULT_BLOCK_SIZE <= bytes)
			FUZZ_CHECK(pwrite(anchor_fd, &slots->disk[slot],
					  QVAULT_BLOCK_SIZE, (off_t)at) > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct ctl_slots *slots = malloc(sizeof(*slots));
	char name[] = "anchor", *argv[] = { name, NULL };
	struct ctl_options o = { .argc = 1, .argv = argv };
	int how = (int)fuzz_take(&in, 1), i, code;

	make(&in, slots, how);
	if (how & 0x40)
		for (i = 0; i < (int)in.left && i < (int)sizeof(*slots); i++)
			((uint8_t *)slots)[i] = in.data[i];
	put(slots, how & 0x80 ? size : ANCHOR_BYTES);
	for (i = 0; i < 4; i++) {
		o.given = i & 1 ? CTL_ALLOW(JSON) : 0;
		o.key_file = i & 2 ? name : NULL;
		code = ctl_dump_verb(&o);
		FUZZ_CHECK(code == CTL_OK || code == CTL_DENIED ||
			   code == CTL_WRONG_DEVICE);
		/* Without a key there is nothing to deny but a torn slot. */
		FUZZ_CHECK(o.key_file || code != CTL_DENIED || how);
	}
	free(slots);
	return 0;
}
