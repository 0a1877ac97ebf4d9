// SPDX-License-Identifier: GPL-2.0
/* The table line in both directions. */
#include <linux/string.h>

#include "world.h"

#define MAX_WORDS	16

/* Parse a line as dm does: split at blanks, which changes it. */
static int parse(struct kunit *test, struct qvault_args *args, const char *line,
		 char **error)
{
	char *copy = kunit_kzalloc(test, strlen(line) + 1, GFP_KERNEL), *word;
	char *argv[MAX_WORDS];
	unsigned int argc = 0;

	KUNIT_ASSERT_NOT_NULL(test, copy);
	memcpy(copy, line, strlen(line));
	while ((word = strsep(&copy, " ")) && argc < MAX_WORDS)
		if (*word)
			argv[argc++] = word;
	*error = NULL;
	return qvault_args_parse(args, argc, argv, error);
}

static const char *const accepted[] = {
	"8:0 8:16 :64:logon:qvault:a",
	"8:0 8:16 :64:user:x",
	"8:0 8:16 :64:encrypted:k:with:colons",
	"8:0 8:16 :64:trusted:k",
	"8:0 - -",
	"8:0 8:16 :64:logon:qvault:a 1 read_only",
	"8:0 8:16 :64:logon:qvault:a 1 allow_discards",
	"8:0 8:16 :64:logon:qvault:a 1 grow",
	"8:0 8:16 :64:logon:qvault:a 2 memory_mib 1",
	"8:0 8:16 :64:logon:qvault:a 2 memory_mib 65536",
	"8:0 8:16 :64:logon:qvault:a 2 commit_seconds 0",
	"8:0 8:16 :64:logon:qvault:a 2 commit_seconds 3600",
	"8:0 8:16 :64:logon:qvault:a 6 read_only allow_discards memory_mib 7 commit_seconds 9",
	"8:0 8:16 :64:logon:qvault:a 6 allow_discards grow memory_mib 7 commit_seconds 9",
	"8:0 8:16 :64:logon:qvault:a 2 shared 1",
	"8:0 8:16 :64:logon:qvault:a 4 commit_seconds 9 shared 3600",
	"8:0 - - 3 allow_discards memory_mib 8",
	"8:0 - - 2 mac nhpoly-aes",
	"8:0 8:16 :64:logon:qvault:a 1 ephemeral",
	"8:0 8:16 :64:logon:qvault:a 5 allow_discards grow ephemeral memory_mib 7",
};

/* What is parsed is printed, and what is printed is parsed. */
static void what_is_accepted_is_printed(struct kunit *test)
{
	struct qvault_args args;
	char line[256], *error;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(accepted); i++) {
		KUNIT_EXPECT_EQ_MSG(test, 0, parse(test, &args, accepted[i], &error),
				    "%s: %s", accepted[i], error ?: "");
		KUNIT_EXPECT_EQ(test, strlen(accepted[i]),
				qvault_args_print(&args, "8:0", "8:16", line,
						  sizeof(line)));
		KUNIT_EXPECT_STREQ(test, accepted[i], line);
		qvault_args_free(&args);
	}
}

static void order_and_defaults_do_not_matter(struct kunit *test)
{
	static const char given[] =
		"8:0 8:16 :64:logon:q:a 5 commit_seconds 5 allow_discards memory_mib 64";
	struct qvault_args args;
	char line[256], *error;

	KUNIT_ASSERT_EQ(test, 0, parse(test, &args, given, &error));
	qvault_args_print(&args, "8:0", "8:16", line, sizeof(line));
	KUNIT_EXPECT_STREQ(test, "8:0 8:16 :64:logon:q:a 1 allow_discards", line);
	qvault_args_free(&args);
	KUNIT_ASSERT_EQ(test, 0, parse(test, &args, "8:0 8:16 :64:logon:q:a 0",
				       &error));
	qvault_args_print(&args, "8:0", "8:16", line, sizeof(line));
	KUNIT_EXPECT_STREQ(test, "8:0 8:16 :64:logon:q:a", line);
	qvault_args_free(&args);
}

static const char *const refused[] = {
	"",
	"8:0",
	"8:0 8:16",
	"8:0 8:16 -",
	"8:0 - :64:logon:q:a",
	"8:0 8:16 key",
	"8:0 8:16 00112233445566778899aabbccddeeff",
	"8:0 8:16 :32:logon:q:a",
	"8:0 8:16 :064:logon:q:a",
	"8:0 8:16 :64:logon:",
	"8:0 8:16 :64:logon",
	"8:0 8:16 :64::q:a",
	"8:0 8:16 :64:asymmetric:q:a",
	"8:0 8:16 :64:logonx:q:a",
	"8:0 8:16 :64:logo:q:a",
	"8:0 8:16 :64:logon:q:\\a",
	"8:0 8:16 :64:logon:q:a x",
	"8:0 8:16 :64:logon:q:a -1",
	"8:0 8:16 :64:logon:q:a 1",
	"8:0 8:16 :64:logon:q:a 1 fast",
	"8:0 8:16 :64:logon:q:a 0 read_only",
	"8:0 8:16 :64:logon:q:a 2 read_only",
	"8:0 8:16 :64:logon:q:a 1x read_only",
	"8:0 8:16 :64:logon:q:a 1 memory_mib",
	"8:0 8:16 :64:logon:q:a 2 memory_mib 0",
	"8:0 8:16 :64:logon:q:a 2 memory_mib 65537",
	"8:0 8:16 :64:logon:q:a 2 memory_mib 4294967360",
	"8:0 8:16 :64:logon:q:a 2 memory_mib 0x10",
	"8:0 8:16 :64:logon:q:a 2 memory_mib 16k",
	"8:0 8:16 :64:logon:q:a 2 commit_seconds 3601",
	"8:0 8:16 :64:logon:q:a 2 commit_seconds -5",
	"8:0 8:16 :64:logon:q:a 2 READ_ONLY x",
	"8:0 8:16 :64:logon:q:a 1 shared",
	"8:0 8:16 :64:logon:q:a 2 shared 0",
	"8:0 8:16 :64:logon:q:a 2 shared 3601",
	"8:0 - - 2 shared 10",
	"8:0 - - 1 read_only",
	"8:0 8:16 :64:logon:q:a 2 read_only grow",
	"8:0 8:16 :64:logon:q:a 2 grow read_only",
	"8:0 - - 1 mac",
	"8:0 - - 2 mac md5",
	"8:0 8:16 :64:logon:qvault:a 2 mac nhpoly-aes",
	"8:0 8:16 :64:logon:qvault:a 3 ephemeral mac nhpoly-aes",
	"8:0 8:16 :64:logon:qvault:a 2 ephemeral read_only",
	"8:0 - - 1 ephemeral",
};

static void what_is_refused_says_why(struct kunit *test)
{
	struct qvault_args args;
	char *error;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    parse(test, &args, refused[i], &error),
				    "'%s'", refused[i]);
		KUNIT_EXPECT_NOT_NULL_MSG(test, error, "'%s'", refused[i]);
		qvault_args_free(&args);
	}
}

static void a_short_buffer_is_not_overrun(struct kunit *test)
{
	struct qvault_args args;
	char line[64], *error;
	size_t size;

	KUNIT_ASSERT_EQ(test, 0, parse(test, &args, accepted[11], &error));
	for (size = 1; size < sizeof(line); size++) {
		memset(line, 'x', sizeof(line));
		qvault_args_print(&args, "8:0", "8:16", line, size);
		KUNIT_EXPECT_LT(test, strnlen(line, size), size);
		KUNIT_EXPECT_EQ(test, 'x', line[size]);
		KUNIT_EXPECT_EQ(test, 0, strncmp(line, accepted[11], size - 1));
	}
	qvault_args_free(&args);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_is_accepted_is_printed),
	KUNIT_CASE(order_and_defaults_do_not_matter),
	KUNIT_CASE(what_is_refused_says_why),
	KUNIT_CASE(a_short_buffer_is_not_overrun),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-args",
	.test_cases = cases,
};

kunit_test_suite(suite);
