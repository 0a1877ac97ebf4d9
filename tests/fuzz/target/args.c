// SPDX-License-Identifier: GPL-2.0
/*
 * The table line: args.c, as the kernel runs it.  The input is the line; words
 * are cut as dm_split_args() does, with backslashes taken away.
 *
 * What is accepted must be printed, and what is printed must be accepted again
 * and mean the same, or `dmsetup table` would print what does not load.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "args.h"
#include "format.h"
#include "fuzz.h"

#define MAX_WORDS 64

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (u8)c == 0xa0;
}

/* As in drivers/md/dm-table.c: in place; a backslash keeps what follows it. */
static unsigned int split(char *line, char **word)
{
	unsigned int count = 0;
	char *in = line, *out;

	for (;;) {
		while (blank(*in))
			in++;
		if (!*in || count == MAX_WORDS)
			return count;
		word[count++] = out = in;
		while (*in) {
			if (*in == '\\' && in[1])
				*out++ = *++in;
			else if (blank(*in))
				break;
			else
				*out++ = *in;
			in++;
		}
		if (*in)
			in++;
		*out = '\0';
	}
}

static int parse(struct qvault_args *args, char *line)
{
	char *word[MAX_WORDS], *error = NULL;
	unsigned int count = split(line, word);
	/* Exactly as many as there are: a step beyond them is seen. */
	char **exact = malloc(count * sizeof(*exact));
	int err;

	memcpy(exact, word, count * sizeof(*exact));
	err = qvault_args_parse(args, count, exact, &error);
	FUZZ_CHECK(!err || error);
	free(exact);
	return err;
}

static bool equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void check(const struct qvault_args *a)
{
	FUZZ_CHECK(a->memory_mib >= 1 && a->memory_mib <= QVAULT_MAX_MEMORY_MIB);
	FUZZ_CHECK(a->commit_seconds <= QVAULT_MAX_COMMIT_SECONDS);
	FUZZ_CHECK(a->settle <= QVAULT_MAX_SETTLE && (a->anchor || !a->settle));
	FUZZ_CHECK(!a->anchor == !a->key_description);
	FUZZ_CHECK(!a->anchor == (a->key_type == QVAULT_KEY_NONE));
	FUZZ_CHECK(a->anchor || !a->read_only);
	FUZZ_CHECK(!a->read_only || !a->grow);
	FUZZ_CHECK(!a->ephemeral || (a->anchor && !a->read_only));
}

static void round_trip(const struct qvault_args *a, size_t size)
{
	size_t room = size + 100;
	char *line = malloc(room), *small = malloc(8);
	struct qvault_args b;
	int n;

	/* dm prints its own names of the devices, which hold no blanks. */
	n = qvault_args_print(a, "8:0", "8:16", line, room);
	FUZZ_CHECK(n == (int)strlen(line) && n < (int)room - 1);
	FUZZ_CHECK(qvault_args_print(a, "8:0", "8:16", small, 8) == 7);
	FUZZ_CHECK(!parse(&b, line));
	FUZZ_CHECK(!b.anchor == !a->anchor);
	FUZZ_CHECK(b.key_type == a->key_type);
	FUZZ_CHECK(equal(b.key_description, a->key_description));
	FUZZ_CHECK(b.read_only == a->read_only);
	FUZZ_CHECK(b.allow_discards == a->allow_discards);
	FUZZ_CHECK(b.grow == a->grow);
	FUZZ_CHECK(b.ephemeral == a->ephemeral);
	FUZZ_CHECK(b.memory_mib == a->memory_mib);
	FUZZ_CHECK(b.commit_seconds == a->commit_seconds);
	FUZZ_CHECK(b.settle == a->settle);
	qvault_args_free(&b);
	free(small);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);
	struct qvault_args args;

	memcpy(line, data, size);
	line[size] = '\0';
	if (!parse(&args, line)) {
		check(&args);
		round_trip(&args, size);
	}
	qvault_args_free(&args);
	free(line);
	return 0;
}
