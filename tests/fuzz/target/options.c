// SPDX-License-Identifier: GPL-2.0
/*
 * The tool's command line, from the verb on: one word a line.  The verbs do
 * nothing here but look at what they are given.
 */
#include <getopt.h>

#include "fuzz.h"
#include "quiet.h"

#define main ctl_main
#include <qvault-ctl.c>
#undef main
#undef printf
#undef stderr

#define MAX_WORDS 40

/* What every verb takes for granted. */
static int check(struct ctl_options *o)
{
	FUZZ_CHECK(o->argc >= 0 && o->argc <= MAX_WORDS && !o->argv[o->argc]);
	FUZZ_CHECK(ctl_given(o, CTL_OPT_KEY_FILE) == !!o->key_file);
	FUZZ_CHECK(ctl_given(o, CTL_OPT_DATA) == !!o->data);
	FUZZ_CHECK(ctl_given(o, CTL_OPT_ANCHOR) == !!o->anchor);
	FUZZ_CHECK(ctl_given(o, CTL_OPT_SIZE) == !!o->size);
	FUZZ_CHECK(ctl_given(o, CTL_OPT_COW) == !!o->cow);
	FUZZ_CHECK(o->size % QVAULT_BLOCK_SIZE == 0);
	if (ctl_given(o, CTL_OPT_LOG_BLOCKS))
		FUZZ_CHECK(o->log_blocks >= QVAULT_MIN_LOG_BLOCKS &&
			   o->log_blocks <= QVAULT_MAX_LOG_BLOCKS);
	if (ctl_given(o, CTL_OPT_MEMORY))
		FUZZ_CHECK(o->memory_mib >= 1 && o->memory_mib <= 65536);
	FUZZ_CHECK(o->commit_seconds <= 3600);
	FUZZ_CHECK(o->given < 1ull << CTL_OPT_COUNT);
	return CTL_OK;
}

static int check_count(struct ctl_options *o, int min, int max, uint64_t allowed)
{
	FUZZ_CHECK(o->argc >= min && o->argc <= max);
	FUZZ_CHECK(!(o->given & ~allowed));
	return check(o);
}

int ctl_format_verb(struct ctl_options *o)
{
	return check_count(o, 0, 2, ~0ull);
}

int ctl_attach_verb(struct ctl_options *o)
{
	return check_count(o, 1, 3, ~(CTL_ALLOW(JSON) | CTL_ALLOW(RUN)));
}

int ctl_detach_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, CTL_ALLOW(DEFERRED));
}

int ctl_status_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, CTL_ALLOW(JSON));
}

int ctl_dump_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, CTL_ALLOW(KEY_FILE) | CTL_ALLOW(JSON));
}

int ctl_resize_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, CTL_ALLOW(KEY_FILE) | CTL_ALLOW(SIZE) |
			   CTL_ALLOW(PRIVATE));
}

int ctl_clone_verb(struct ctl_options *o)
{
	return check_count(o, 0, 1, ~(CTL_ALLOW(SIZE) | CTL_ALLOW(FROM)));
}

int ctl_restore_verb(struct ctl_options *o)
{
	return check_count(o, 0, 0, ~(CTL_ALLOW(NEW_ANCHOR) | CTL_ALLOW(NEW_DATA)));
}

int ctl_key_verb(struct ctl_options *o)
{
	return check_count(o, 1, 2, ~(CTL_ALLOW(NEW_ANCHOR) | CTL_ALLOW(NEW_DATA)));
}

int ctl_destroy_verb(struct ctl_options *o)
{
	return check_count(o, 0, 0, ~CTL_ALLOW(KEY_FILE));
}

int ctl_scrub_verb(struct ctl_options *o)
{
	return check_count(o, 2, 2, CTL_ALLOW(RATE) | CTL_ALLOW(WAIT) | CTL_ALLOW(JSON));
}

int ctl_repair_verb(struct ctl_options *o)
{
	return check_count(o, 2, 2, CTL_ALLOW(RATE) | CTL_ALLOW(WAIT) |
			   CTL_ALLOW(ACCEPT_LOSS) | CTL_ALLOW(JSON));
}

int ctl_reencrypt_verb(struct ctl_options *o)
{
	return check_count(o, 2, 2, CTL_ALLOW(RATE) | CTL_ALLOW(WAIT) | CTL_ALLOW(MAC) |
			   CTL_ALLOW(JSON));
}

int ctl_udev_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, 0);
}

int ctl_suspend_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, ~CTL_ALLOW(KEY_FILE));
}

int ctl_resume_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, ~CTL_ALLOW(ANCHOR));
}

int ctl_snapshot_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, ~CTL_ALLOW(KEY_FILE));
}

int ctl_commit_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, 0);
}

int ctl_checkpoint_verb(struct ctl_options *o)
{
	return check_count(o, 1, 1, 0);
}

void ctl_secrets_init(void)
{
}

/* A process parses once; getopt() would remember where it stopped. */
static void reset_getopt(void)
{
	static char name[] = "x", *words[] = { name, NULL };

	optind = 0;
	getopt(1, words, "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *at = text, *argv[MAX_WORDS + 2];
	char name[] = "qvault-ctl";
	int argc = 1, code;

	memcpy(text, data, size);
	text[size] = '\0';
	argv[0] = name;
	while (at && argc < MAX_WORDS)
		argv[argc++] = strsep(&at, "\n");
	argv[argc] = NULL;
	reset_getopt();
	code = run(argc, argv);
	FUZZ_CHECK(code == CTL_OK || code == CTL_USAGE);
	free(text);
	return 0;
}
