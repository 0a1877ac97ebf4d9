// SPDX-License-Identifier: GPL-2.0
/*
 * Entries of a log block or of an anchor record, as they are after decryption:
 * somebody who has the key may have written anything.
 */
#include "fuzz.h"
#include "qvault.h"

static struct qvault_geometry layout[4];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	FUZZ_CHECK(!qvault_geometry_init(&layout[0], 5000, 0, 16));
	FUZZ_CHECK(!qvault_geometry_init(&layout[1], 34500, 0, 64));
	FUZZ_CHECK(!qvault_geometry_init(&layout[2], 1ull << 30, 1000, 2048));
	FUZZ_CHECK(!qvault_geometry_init(&layout[3], QVAULT_MAX_DATA_BLOCKS, 0,
					 QVAULT_MAX_LOG_BLOCKS));
	return 0;
}

/* All that replay_map() and replay_unmap() take for granted. */
static void check(const struct qvault_geometry *geo,
		  const struct qvault_entry *e, const u8 *pos)
{
	u64 group, last_group;
	volatile u8 sum = 0;
	u32 bit, i;

	FUZZ_CHECK(e->count && e->count <= geo->logical_blocks);
	FUZZ_CHECK(e->logical <= geo->logical_blocks - e->count);
	if (!e->version) {
		FUZZ_CHECK(e->tags == pos);
		return;
	}
	FUZZ_CHECK(e->tags + e->count * QVAULT_TAG_SIZE == pos);
	for (i = 0; i < e->count * QVAULT_TAG_SIZE; i++)
		sum += e->tags[i];
	(void)sum;
	FUZZ_CHECK(qvault_locate(geo, e->where, &group, &bit));
	FUZZ_CHECK(qvault_locate(geo, e->where + e->count - 1, &last_group, &bit));
	FUZZ_CHECK(group == last_group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct qvault_geometry *geo;
	struct qvault_entry entry;
	const u8 *pos, *was;
	u32 left, steps = 0;
	u8 *copy;
	int err;

	if (!size || size > QVAULT_LOG_PAYLOAD)
		return 0;
	geo = &layout[data[0] % 4];
	left = size - 1;
	copy = malloc(left ? left : 1);
	memcpy(copy, data + 1, left);
	pos = copy;
	while (was = pos, (err = qvault_entry_next(geo, &pos, &left, &entry)) > 0) {
		check(geo, &entry, pos);
		FUZZ_CHECK(pos + left == copy + size - 1);
		FUZZ_CHECK(++steps <= QVAULT_LOG_PAYLOAD / 24);
	}
	/* A refusal moves nothing. */
	FUZZ_CHECK(pos == was && (err || !left));
	free(copy);
	return 0;
}
