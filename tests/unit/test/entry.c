// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static void geometry(struct qvault_geometry *geo)
{
	CHECK(!qvault_geometry_init(geo, 5000, 0, 16));
}

static u32 put(u8 *p, u64 version, u64 where, u64 logical, u64 count, bool unmap)
{
	struct qvault_disk_entry e = {
		.version = cpu_to_le64(version),
		.where = cpu_to_le64(unmap ? count : where),
		.run = cpu_to_le64(logical | (unmap ? QVAULT_RUN_UNMAP :
				   (count - 1) << QVAULT_RUN_COUNT_SHIFT)),
	};
	u32 i;

	memcpy(p, &e, sizeof(e));
	if (unmap)
		return sizeof(e);
	for (i = 0; i < count * QVAULT_TAG_SIZE; i++)
		p[sizeof(e) + i] = i;
	return sizeof(e) + count * QVAULT_TAG_SIZE;
}

/* The entry parsed from a copy that ends exactly there, for ASAN to watch. */
static int next(const struct qvault_geometry *geo, const u8 *p, u32 bytes,
		struct qvault_entry *entry, u32 *used)
{
	u8 *copy = malloc(bytes ? bytes : 1);
	const u8 *pos = copy;
	u32 left = bytes, i;
	int ret;

	memcpy(copy, p, bytes);
	ret = qvault_entry_next(geo, &pos, &left, entry);
	*used = pos - copy;
	CHECK(*used + left == bytes);
	if (ret > 0 && entry->version) {
		volatile u8 sum = 0;

		for (i = 0; i < entry->count * QVAULT_TAG_SIZE; i++)
			sum += entry->tags[i];
	}
	free(copy);
	return ret;
}

void test_entry_good(void)
{
	struct qvault_geometry geo;
	struct qvault_entry e;
	u8 buf[QVAULT_LOG_PAYLOAD];
	const u8 *pos = buf;
	u32 left;

	geometry(&geo);
	left = put(buf, 5, qvault_block_of(&geo, 0, 3), 10, 4, false);
	left += put(buf + left, 0, 0, 0, geo.logical_blocks, true);
	left += put(buf + left, 9, qvault_block_of(&geo, 0, geo.last_data - 1),
		    geo.logical_blocks - 1, 1, false);
	CHECK(qvault_entry_next(&geo, &pos, &left, &e) == 1);
	CHECK(e.logical == 10 && e.count == 4 && e.version == 5 &&
	      e.where == qvault_block_of(&geo, 0, 3) && e.tags[17] == 17);
	CHECK(qvault_entry_next(&geo, &pos, &left, &e) == 1);
	CHECK(e.logical == 0 && e.count == geo.logical_blocks && !e.version);
	CHECK(qvault_entry_next(&geo, &pos, &left, &e) == 1);
	CHECK(e.logical == geo.logical_blocks - 1 && e.count == 1);
	CHECK(qvault_entry_next(&geo, &pos, &left, &e) == 0 && !left);
}

static void bad(const struct qvault_geometry *geo, const u8 *buf, u32 bytes)
{
	struct qvault_entry e;
	u32 used;

	CHECK(next(geo, buf, bytes, &e, &used) == -EUCLEAN && !used);
}

void test_entry_bad(void)
{
	struct qvault_geometry geo;
	u8 buf[QVAULT_LOG_PAYLOAD];
	u64 last, first;
	u32 n, i;

	geometry(&geo);
	first = qvault_block_of(&geo, 0, 0);
	last = qvault_block_of(&geo, 0, geo.last_data - 1);
	/* Cut off anywhere. */
	n = put(buf, 5, first, 10, 4, false);
	for (i = 1; i < n; i++)
		bad(&geo, buf, i);
	/* Beyond the volume. */
	bad(&geo, buf, put(buf, 5, first, geo.logical_blocks, 1, false));
	bad(&geo, buf, put(buf, 5, first, geo.logical_blocks - 1, 2, false));
	bad(&geo, buf, put(buf, 5, first, QVAULT_WHERE_MASK, 1, false));
	bad(&geo, buf, put(buf, 0, 0, geo.logical_blocks, 1, true));
	bad(&geo, buf, put(buf, 0, 0, 1, geo.logical_blocks, true));
	bad(&geo, buf, put(buf, 0, 0, 1, ~0ull, true));
	bad(&geo, buf, put(buf, 0, 0, 1, 0, true));
	/* Not where data are. */
	bad(&geo, buf, put(buf, 5, 0, 1, 1, false));
	bad(&geo, buf, put(buf, 5, first - 1, 1, 1, false));
	bad(&geo, buf, put(buf, 5, last + 1, 1, 1, false));
	bad(&geo, buf, put(buf, 5, last, 1, 2, false));
	bad(&geo, buf, put(buf, 5, ~0ull, 1, 1, false));
	/* Mapped without a version, unmapped with one. */
	bad(&geo, buf, put(buf, 0, first, 1, 1, false));
	bad(&geo, buf, put(buf, 1, 0, 1, 1, true));
}

void test_entry_random(void)
{
	struct qvault_geometry geo;
	struct qvault_entry e;
	struct rng rng = { 7 };
	u8 buf[256];
	u32 i, n, used, good = 0;

	geometry(&geo);
	for (n = 0; n < 200000; n++) {
		u32 bytes = rng_below(&rng, sizeof(buf));
		int ret;

		for (i = 0; i < sizeof(buf); i++)
			buf[i] = rng_next(&rng);
		/* Half of them look right but for one byte. */
		if (n % 2) {
			bytes = put(buf, 5, qvault_block_of(&geo, 0, 8), 10, 4,
				    false);
			buf[rng_below(&rng, 24)] ^= 1u << rng_below(&rng, 8);
		}
		ret = next(&geo, buf, bytes, &e, &used);
		if (ret <= 0)
			continue;
		good++;
		CHECK(e.count && e.logical + e.count <= geo.logical_blocks);
		CHECK(used == 24 + (e.version ? 16 * e.count : 0));
	}
	CHECK(good > 100);
}
