// SPDX-License-Identifier: GPL-2.0
/* The scan of log entries: what is well formed, and what is not. */
#include <linux/prandom.h>
#include <linux/string.h>

#include "world.h"

struct scan {
	struct qvault_geometry geo;
	u8 buf[QVAULT_LOG_PAYLOAD];
	u32 bytes;
};

static struct scan *scan_new(struct kunit *test)
{
	struct scan *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_EQ(test, 0, qvault_geometry_init(&s->geo, 34500, 0, 64));
	return s;
}

static void add(struct scan *s, u64 version, u64 where, u64 run, u32 tags)
{
	struct qvault_disk_entry disk = {
		.version = cpu_to_le64(version),
		.where = cpu_to_le64(where),
		.run = cpu_to_le64(run),
	};

	memcpy(s->buf + s->bytes, &disk, sizeof(disk));
	s->bytes += sizeof(disk);
	memset(s->buf + s->bytes, 0x5a, tags * QVAULT_TAG_SIZE);
	s->bytes += tags * QVAULT_TAG_SIZE;
}

static u64 run_of(u64 logical, u64 count)
{
	return logical | (count - 1) << QVAULT_RUN_COUNT_SHIFT;
}

static int next(struct scan *s, struct qvault_entry *entry)
{
	const u8 *pos = s->buf;
	u32 left = s->bytes;
	int err = qvault_entry_next(&s->geo, &pos, &left, entry);

	if (err == 1 && pos + left != s->buf + s->bytes)
		return -EOVERFLOW;
	return err;
}

static void entries_in_order(struct kunit *test)
{
	struct scan *s = scan_new(test);
	u64 block = qvault_block_of(&s->geo, 0, 100);
	struct qvault_entry entry;
	const u8 *pos = s->buf;
	u32 left;

	add(s, 7, block, run_of(500, 3), 3);
	add(s, 0, 1000, 20ull | QVAULT_RUN_UNMAP, 0);
	add(s, 9, block + 3, run_of(0, 1), 1);
	left = s->bytes;
	KUNIT_ASSERT_EQ(test, 1, qvault_entry_next(&s->geo, &pos, &left, &entry));
	KUNIT_EXPECT_EQ(test, 500, entry.logical);
	KUNIT_EXPECT_EQ(test, 3, entry.count);
	KUNIT_EXPECT_EQ(test, 7, entry.version);
	KUNIT_EXPECT_EQ(test, block, entry.where);
	KUNIT_EXPECT_PTR_EQ(test, s->buf + 24, (u8 *)entry.tags);
	KUNIT_ASSERT_EQ(test, 1, qvault_entry_next(&s->geo, &pos, &left, &entry));
	KUNIT_EXPECT_EQ(test, 20, entry.logical);
	KUNIT_EXPECT_EQ(test, 1000, entry.count);
	KUNIT_EXPECT_EQ(test, 0, entry.version);
	KUNIT_ASSERT_EQ(test, 1, qvault_entry_next(&s->geo, &pos, &left, &entry));
	KUNIT_EXPECT_EQ(test, 0, entry.logical);
	KUNIT_ASSERT_EQ(test, 0, qvault_entry_next(&s->geo, &pos, &left, &entry));
	KUNIT_EXPECT_EQ(test, 0, left);
}

static void one(struct kunit *test, struct scan *s, int want, u64 version,
		u64 where, u64 run, u32 tags, const char *what)
{
	struct qvault_entry entry;

	s->bytes = 0;
	add(s, version, where, run, tags);
	KUNIT_EXPECT_EQ_MSG(test, want, next(s, &entry), "%s", what);
}

static void what_makes_no_sense(struct kunit *test)
{
	struct scan *s = scan_new(test);
	u64 last = s->geo.logical_blocks - 1, end = s->geo.logical_blocks;
	u64 block = qvault_block_of(&s->geo, 0, 0);
	u64 top = qvault_block_of(&s->geo, 0, QVAULT_GROUP_DATA - 1);

	one(test, s, 1, 1, block, run_of(0, 1), 1, "good");
	one(test, s, 1, 1, block, run_of(last, 1), 1, "last block");
	one(test, s, -EUCLEAN, 1, block, run_of(end, 1), 1, "past the end");
	one(test, s, -EUCLEAN, 1, block, run_of(last, 2), 2, "run past the end");
	one(test, s, -EUCLEAN, 1, block, run_of(QVAULT_WHERE_MASK, 1), 1, "far past");
	one(test, s, -EUCLEAN, 0, block, run_of(0, 1), 1, "version 0");
	one(test, s, -EUCLEAN, 1, 0, run_of(0, 1), 1, "in the label");
	one(test, s, -EUCLEAN, 1, 1, run_of(0, 1), 1, "in the log");
	one(test, s, -EUCLEAN, 1, block - 1, run_of(0, 1), 1, "in a leaf");
	one(test, s, -EUCLEAN, 1, ~0ull, run_of(0, 1), 1, "nowhere");
	one(test, s, 1, 1, top, run_of(0, 1), 1, "last of a group");
	one(test, s, -EUCLEAN, 1, top, run_of(0, 2), 2, "run out of a group");
	one(test, s, -EUCLEAN, 1, block, run_of(0, 3), 2, "a tag is missing");
	one(test, s, -EUCLEAN, 1, block, run_of(0, 32768), 4, "count too large");
	one(test, s, 1, 0, 1, 0 | QVAULT_RUN_UNMAP, 0, "unmap one");
	one(test, s, 1, 0, end, 0 | QVAULT_RUN_UNMAP, 0, "unmap all");
	one(test, s, -EUCLEAN, 0, end + 1, 0 | QVAULT_RUN_UNMAP, 0, "unmap more");
	one(test, s, -EUCLEAN, 0, end, 1 | QVAULT_RUN_UNMAP, 0, "unmap past the end");
	one(test, s, -EUCLEAN, 0, 0, 0 | QVAULT_RUN_UNMAP, 0, "unmap none");
	one(test, s, -EUCLEAN, 0, ~0ull, 5 | QVAULT_RUN_UNMAP, 0, "unmap 2^64 - 1");
	one(test, s, -EUCLEAN, 3, 1, 0 | QVAULT_RUN_UNMAP, 0, "unmap with a version");
}

static void a_cut_entry_is_refused(struct kunit *test)
{
	struct scan *s = scan_new(test);
	struct qvault_entry entry;
	u32 whole;

	add(s, 1, qvault_block_of(&s->geo, 0, 0), run_of(0, 2), 2);
	whole = s->bytes;
	for (s->bytes = 1; s->bytes < whole; s->bytes++)
		KUNIT_EXPECT_EQ(test, -EUCLEAN, next(s, &entry));
	s->bytes = 0;
	KUNIT_EXPECT_EQ(test, 0, next(s, &entry));
}

/* Whatever the bytes say, the scan ends and never leaves them. */
static void garbage_is_survived(struct kunit *test)
{
	struct scan *s = scan_new(test);
	struct rnd_state rnd;
	u32 i;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < 2000; i++) {
		struct qvault_entry entry;
		const u8 *pos = s->buf;
		u32 left, steps = 0;
		int err;

		prandom_bytes_state(&rnd, s->buf, sizeof(s->buf));
		/* Small numbers get further. */
		if (i & 1)
			memset(s->buf + 3, 0, 21);
		left = prandom_u32_state(&rnd) % (sizeof(s->buf) + 1);
		s->bytes = left;
		while ((err = qvault_entry_next(&s->geo, &pos, &left, &entry)) > 0) {
			KUNIT_ASSERT_LE(test, entry.logical + entry.count,
					s->geo.logical_blocks);
			KUNIT_ASSERT_LT(test, ++steps, 1000);
		}
		KUNIT_ASSERT_PTR_EQ(test, pos + left, (const u8 *)s->buf + s->bytes);
		KUNIT_ASSERT_TRUE(test, err == 0 || err == -EUCLEAN);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(entries_in_order),
	KUNIT_CASE(what_makes_no_sense),
	KUNIT_CASE(a_cut_entry_is_refused),
	KUNIT_CASE(garbage_is_survived),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-log",
	.test_cases = cases,
};

kunit_test_suite(suite);
