// SPDX-License-Identifier: GPL-2.0
/*
 * Anchor records in the engine (anchor.c) and in the tool (record.c): both get
 * the same block, and must agree on whether it is a record and what it says.
 *
 * The record is authentic, since what is not goes no further in the engine.  An
 * input that begins with an even byte is the block; an odd one changes a record
 * that the engine has made.
 */
#include <errno.h>

#include "fuzz.h"
#include "judge.h"
#include "platform.h"

#define DATA_BLOCKS 34500
#define LARGEST (QVAULT_MAX_DATA_BLOCKS + 1)

static struct fuzz_world world;
static struct qvault_disk_anchor made;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_world_init(&world, 1);
	FUZZ_CHECK(!qvault_new_anchor(&made, FUZZ_UUID, DATA_BLOCKS, 0, 64));
	made.sequence = cpu_to_le64(9);
	made.lease = cpu_to_le64(1000);
	made.log_tail = cpu_to_le64(7);
	made.log_head = cpu_to_le64(12);
	made.tree.version = cpu_to_le64(30);
	made.tree.where = cpu_to_le64(5 << 1 | 1);
	made.tree_level = 2;
	made.log.version = cpu_to_le64(40);
	made.log.where = cpu_to_le64(12);
	made.inline_bytes = cpu_to_le32(24);
	crypto_format(&world.crypto, &made, QVAULT_MAC_HMAC_SHA256_128);
	return 0;
}

/* The device is as large as it says, so that the size decides nothing here. */
static int engine(const struct qvault_disk_anchor *disk, u32 slot)
{
	struct qvault_disk_anchor *newest = malloc(QVAULT_BLOCK_SIZE);
	static const u8 zeros[QVAULT_BLOCK_SIZE];
	int err;

	world.data.nr_blocks = LARGEST;
	fuzz_dev_put(&world.anchor, QVAULT_SLOT_BLOCK(slot), disk);
	fuzz_dev_put(&world.anchor, QVAULT_SLOT_BLOCK(!slot), zeros);
	world.v.reason = NULL;
	/* So that what may only be read is a record for both. */
	world.v.read_only = true;
	err = qvault_anchor_read(&world.v, newest);
	FUZZ_CHECK(!err || world.v.reason);
	free(newest);
	return err;
}

static void agree(const struct qvault_disk_anchor *disk, u32 slot)
{
	const struct qvault_anchor *a = &world.v.anchor;
	struct tool_verdict tool;
	int err = engine(disk, slot);

	tool_judge(disk, slot, &tool);
	switch (tool.state) {
	case TOOL_EMPTY:
	case TOOL_FOREIGN:
		FUZZ_CHECK(err == -ENODATA);
		break;
	case TOOL_VERSION:
		FUZZ_CHECK(err == -EPROTONOSUPPORT);
		break;
	case TOOL_FEATURES:
		/* The engine looks at the slot before. */
		FUZZ_CHECK(err == -EPROTONOSUPPORT ||
			   (err == -EUCLEAN && (le64_to_cpu(disk->sequence) & 1) != slot));
		break;
	case TOOL_DAMAGED:
		if (err != -EUCLEAN && err != -EPROTONOSUPPORT)
			fprintf(stderr, "the engine says %d, the tool: %s\n",
				err, tool.why);
		FUZZ_CHECK(err == -EUCLEAN || err == -EPROTONOSUPPORT);
		break;
	case TOOL_RECORD:
		FUZZ_CHECK(!err);
		FUZZ_CHECK(!memcmp(tool.field, (u64[]){
			world.v.geo.data_blocks, world.v.geo.logical_blocks,
			world.v.geo.log_blocks, a->sequence, a->epoch, a->lease,
			a->log_tail, a->log_head, a->commit, a->tree.ptr.version,
			a->map.ptr.version, a->log.version, a->tree.level,
			a->map.level, a->seal, a->gen[a->seal].mac,
			le32_to_cpu(disk->ro_compat),
		}, sizeof(tool.field)));
		break;
	}
}

/*
 * As whoever has the key makes it.  Only the key tells whether a secret is one, so the
 * tool cannot say; and of a UUID nothing is to be said, but that the keys come from it.
 */
static void make_authentic(struct qvault_disk_anchor *disk)
{
	static const struct qvault_disk_generation none;
	u32 i;

	memcpy(disk->uuid, made.uuid, sizeof(disk->uuid));
	for (i = 0; i < QVAULT_GENERATIONS; i++)
		if (memcmp(&disk->gen[i], &none, sizeof(none)))
			memcpy(disk->gen[i].wrapped, made.gen[0].wrapped,
			       sizeof(none.wrapped));
	fuzz_sign(&world, disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	/* On the heap and of the exact size, so that a step outside is seen. */
	struct qvault_disk_anchor *disk = malloc(sizeof(*disk));
	u32 slot, how = fuzz_take(&in, 1);

	if (how & 1) {
		*disk = made;
		while (in.left)
			fuzz_patch(&in, (u8 *)disk, 728);
	} else {
		memset(disk, 0, sizeof(*disk));
		memcpy(disk, in.data, min(in.left, sizeof(*disk)));
	}
	make_authentic(disk);
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		agree(disk, slot);
	free(disk);
	return 0;
}
