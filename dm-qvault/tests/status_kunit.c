// SPDX-License-Identifier: GPL-2.0
/* What IMA measures of a table: no kernel of the tests has IMA to ask for it. */
#include <linux/string.h>

#include "world.h"

static struct target_type type = { .name = "qvault", .version = { 1, 2, 3 } };
static struct dm_dev data = { .name = "8:0" }, anchor = { .name = "8:16" };

struct case_of_table {
	bool ephemeral, read_only, allow_discards;
	const char *measured;
	struct qvault_copy *copy;
};

static struct qvault_copy copy = { .anchor = "8:32" };

static const struct case_of_table cases[] = {
	{ false, false, false,
	  "target_name=qvault,target_version=1.2.3,data_device=8:0,anchor_device=8:16,read_only=n,allow_discards=n;" },
	{ false, true, false,
	  "target_name=qvault,target_version=1.2.3,data_device=8:0,anchor_device=8:16,read_only=y,allow_discards=n;" },
	{ true, false, true,
	  "target_name=qvault,target_version=1.2.3,data_device=8:0,anchor_device=-,read_only=n,allow_discards=y;" },
	{ true, false, false,
	  "target_name=qvault,target_version=1.2.3,data_device=8:0,anchor_device=8:32,read_only=n,allow_discards=n;",
	  &copy },
};

static struct dm_target *target(struct kunit *test, const struct case_of_table *c)
{
	struct qvault_target *tgt = kunit_kzalloc(test, sizeof(*tgt), GFP_KERNEL);
	struct dm_target *ti = kunit_kzalloc(test, sizeof(*ti), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, tgt);
	tgt->vol = kunit_kzalloc(test, sizeof(*tgt->vol), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tgt->vol);
	tgt->vol->anchor.copy = c->copy;
	KUNIT_ASSERT_NOT_NULL(test, ti);
	ti->type = &type;
	ti->private = tgt;
	tgt->ti = ti;
	tgt->data = &data;
	tgt->anchor = c->ephemeral ? NULL : &anchor;
	tgt->read_only = c->read_only;
	tgt->args.allow_discards = c->allow_discards;
	return ti;
}

static void ima_sees_devices_and_options(struct kunit *test)
{
	char line[256];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		qvault_status(target(test, &cases[i]), STATUSTYPE_IMA, 0, line,
			      sizeof(line));
		KUNIT_EXPECT_STREQ(test, cases[i].measured, line);
	}
}

static void a_short_buffer_is_not_overrun(struct kunit *test)
{
	struct dm_target *ti = target(test, &cases[0]);
	char line[128];
	unsigned int size;

	for (size = 1; size < sizeof(line); size++) {
		memset(line, '#', sizeof(line));
		qvault_status(ti, STATUSTYPE_IMA, 0, line, size);
		KUNIT_EXPECT_LT(test, strnlen(line, sizeof(line)), size);
		KUNIT_EXPECT_EQ(test, '#', line[size]);
	}
}

static struct kunit_case status_cases[] = {
	KUNIT_CASE(ima_sees_devices_and_options),
	KUNIT_CASE(a_short_buffer_is_not_overrun),
	{}
};

static struct kunit_suite status_suite = {
	.name = "qvault-status",
	.test_cases = status_cases,
};
kunit_test_suite(status_suite);
