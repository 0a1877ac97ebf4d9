// SPDX-License-Identifier: GPL-2.0
/*
 * The claim of a vault that hosts share, which another one may have written, or be
 * writing: whatever stands there, the look says of it what is said here, and a vault
 * that was displaced has stopped.
 *
 * An odd first byte changes the claim that is ours; with 2 in it the block is
 * authentic.
 */
#include <errno.h>

#include "fuzz.h"
#include "platform.h"

#define DATA_BLOCKS	1000

static struct fuzz_world world;

static void format(void)
{
	struct qvault_disk_anchor *record = calloc(1, sizeof(*record));

	FUZZ_CHECK(!qvault_new_anchor(record, FUZZ_UUID, DATA_BLOCKS, 0, 64));
	crypto_format(&world.crypto, record, QVAULT_MAC_HMAC_SHA256_128);
	fuzz_dev_put(&world.anchor, QVAULT_SLOT_BLOCK(1), record);
	free(record);
}

/* @mac: what it would be, were it authentic. */
static void mac_of(const struct qvault_disk_claim *claim, u8 mac[QVAULT_ANCHOR_MAC_SIZE])
{
	FUZZ_CHECK(!qvault_crypto_anchor_mac(world.v.crypto, claim,
					     offsetof(struct qvault_disk_claim, mac), mac));
}

static void look(const struct qvault_disk_claim *claim, int must)
{
	fuzz_dev_put(&world.anchor, QVAULT_CLAIM_BLOCK, claim);
	qvault_share_forget(&world.v);
	FUZZ_CHECK(qvault_share_look(&world.v) == must);
	FUZZ_CHECK((READ_ONCE(world.v.mode) == QVAULT_MODE_TAKEN) == (must == -ESTALE));
	/* For good, also if it is put back. */
	if (must) {
		fuzz_dev_reset(&world.anchor);
		qvault_share_forget(&world.v);
		FUZZ_CHECK(qvault_share_look(&world.v) == -ESTALE);
	}
	fuzz_dev_reset(&world.anchor);
	WRITE_ONCE(world.v.mode, QVAULT_MODE_WRITE);
}

/* Somebody's, and not ours? */
static int expected(const struct qvault_disk_claim *claim,
		    const struct qvault_disk_claim *own)
{
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];

	if (!memcmp(claim->mac, own->mac, sizeof(mac)))
		return 0;
	if (memcmp(claim->magic, "QVAULT\0C", 8))
		return 0;
	if (claim->format != own->format || memcmp(claim->uuid, own->uuid, 16) ||
	    memcmp(claim->check, own->check, 16))
		return -ESTALE;
	mac_of(claim, mac);
	return memcmp(mac, claim->mac, sizeof(mac)) ? 0 : -ESTALE;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_world_init(&world, DATA_BLOCKS);
	format();
	world.v.settle = 2;
	FUZZ_CHECK(!fuzz_attach(&world, false));
	FUZZ_CHECK(!memcmp(fuzz_dev_at(&world.anchor, QVAULT_CLAIM_BLOCK), "QVAULT\0C", 8));
	fuzz_dev_keep(&world.data);
	fuzz_dev_keep(&world.anchor);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct qvault_disk_claim own, claim = {};
	u32 how = fuzz_take(&in, 1);

	memcpy(&own, fuzz_dev_at(&world.anchor, QVAULT_CLAIM_BLOCK), sizeof(own));
	if (how & 1) {
		claim = own;
		while (in.left)
			fuzz_patch(&in, (u8 *)&claim, how & 4 ? 80 : sizeof(claim));
	} else {
		memcpy(&claim, in.data, min(in.left, sizeof(claim)));
	}
	if (how & 2)
		mac_of(&claim, claim.mac);
	look(&claim, expected(&claim, &own));
	return 0;
}
