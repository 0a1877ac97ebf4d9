// SPDX-License-Identifier: GPL-2.0
/*
 * The command line.  Names are those of cryptsetup where it has the same thing.
 * All of it is read and judged before anything is opened.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qvault-ctl.h"
#include "record.h"

/* Long options get numbers above those of characters. */
#define VALUE(option)	(0x100 + (int)(option))

static const struct option long_options[] = {
	{ "key-file", required_argument, NULL, VALUE(CTL_OPT_KEY_FILE) },
	{ "size", required_argument, NULL, VALUE(CTL_OPT_SIZE) },
	{ "log-blocks", required_argument, NULL, VALUE(CTL_OPT_LOG_BLOCKS) },
	{ "mac", required_argument, NULL, VALUE(CTL_OPT_MAC) },
	{ "uuid", required_argument, NULL, VALUE(CTL_OPT_UUID) },
	{ "force", no_argument, NULL, VALUE(CTL_OPT_FORCE) },
	{ "batch-mode", no_argument, NULL, VALUE(CTL_OPT_BATCH) },
	{ "json", no_argument, NULL, VALUE(CTL_OPT_JSON) },
	{ "read-only", no_argument, NULL, VALUE(CTL_OPT_READ_ONLY) },
	{ "readonly", no_argument, NULL, VALUE(CTL_OPT_READ_ONLY) },
	{ "allow-discards", no_argument, NULL, VALUE(CTL_OPT_DISCARDS) },
	{ "memory-mib", required_argument, NULL, VALUE(CTL_OPT_MEMORY) },
	{ "commit-seconds", required_argument, NULL, VALUE(CTL_OPT_COMMIT) },
	{ "ephemeral", no_argument, NULL, VALUE(CTL_OPT_EPHEMERAL) },
	{ "deferred", no_argument, NULL, VALUE(CTL_OPT_DEFERRED) },
	{ "data", required_argument, NULL, VALUE(CTL_OPT_DATA) },
	{ "anchor", required_argument, NULL, VALUE(CTL_OPT_ANCHOR) },
	{ "private", no_argument, NULL, VALUE(CTL_OPT_PRIVATE) },
	{ "no-label", no_argument, NULL, VALUE(CTL_OPT_NO_LABEL) },
	{ "dry-run", no_argument, NULL, VALUE(CTL_OPT_DRY_RUN) },
	{ "new-anchor", required_argument, NULL, VALUE(CTL_OPT_NEW_ANCHOR) },
	{ "new-data", required_argument, NULL, VALUE(CTL_OPT_NEW_DATA) },
	{ "new-key-file", required_argument, NULL, VALUE(CTL_OPT_NEW_KEY_FILE) },
	{ "from", required_argument, NULL, VALUE(CTL_OPT_FROM) },
	{ "accept-older-state", no_argument, NULL, VALUE(CTL_OPT_ACCEPT_OLDER) },
	{ "accept-loss", no_argument, NULL, VALUE(CTL_OPT_ACCEPT_LOSS) },
	{ "wipe-key", no_argument, NULL, VALUE(CTL_OPT_WIPE_KEY) },
	{ "output", required_argument, NULL, VALUE(CTL_OPT_OUTPUT) },
	{ "timeout", required_argument, NULL, VALUE(CTL_OPT_TIMEOUT) },
	{ "run", no_argument, NULL, VALUE(CTL_OPT_RUN) },
	{ "cow", required_argument, NULL, VALUE(CTL_OPT_COW) },
	{ "data-is-a-copy", no_argument, NULL, VALUE(CTL_OPT_COPY) },
	{ "shared", no_argument, NULL, VALUE(CTL_OPT_SHARED) },
	{ "settle", required_argument, NULL, VALUE(CTL_OPT_SETTLE) },
	{ "rate", required_argument, NULL, VALUE(CTL_OPT_RATE) },
	{ "wait", no_argument, NULL, VALUE(CTL_OPT_WAIT) },
	{ "help", no_argument, NULL, VALUE(CTL_OPT_HELP) },
	{ "version", no_argument, NULL, VALUE(CTL_OPT_VERSION) },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	char letter;
	enum ctl_option option;
} letters[] = {
	{ 'd', CTL_OPT_KEY_FILE },
	{ 'q', CTL_OPT_BATCH },
	{ 'r', CTL_OPT_READ_ONLY },
	{ 'h', CTL_OPT_HELP },
	{ 'V', CTL_OPT_VERSION },
};
/*
 * The first character asks for words in their order too, as if each were the value
 * of an option 1.  Without it POSIXLY_CORRECT would end the options at the verb.
 */
static const char short_options[] = "-:d:qrhV";
#define WORD	1

static const char *name_of(enum ctl_option option)
{
	const struct option *o = long_options;

	while (o->name && o->val != VALUE(option))
		o++;
	return o->name;
}

static int number(uint64_t *value, const char *text, const char **rest)
{
	char *end;

	/* strtoull() would take signs and leading blanks. */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return -errno;
}

static int parse_size(struct ctl_options *o, const char *text)
{
	static const char suffixes[] = "KMGTP";
	const char *rest, *suffix;
	uint64_t value;
	unsigned int shift = 0;

	if (number(&value, text, &rest))
		goto bad;
	if (*rest) {
		suffix = strchr(suffixes, *rest);
		if (!suffix || (strcmp(rest + 1, "") && strcmp(rest + 1, "iB")))
			goto bad;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (!value || value > UINT64_MAX >> shift)
		goto bad;
	o->size = value << shift;
	if (o->size % QVAULT_BLOCK_SIZE)
		return ctl_fail(CTL_USAGE,
				"--size %s is not a multiple of %u bytes",
				text, QVAULT_BLOCK_SIZE);
	return CTL_OK;
bad:
	return ctl_fail(CTL_USAGE,
			"--size %s: give a number of bytes, or one with K, M, G or T after it",
			text);
}

static int parse_number(uint32_t *value, const char *text,
			enum ctl_option option, uint32_t min, uint32_t max)
{
	const char *rest;
	uint64_t n;

	if (number(&n, text, &rest) || *rest || n < min || n > max)
		return ctl_fail(CTL_USAGE,
				"--%s %s: give a whole number from %" PRIu32 " to %" PRIu32,
				name_of(option), text, min, max);
	*value = (uint32_t)n;
	return CTL_OK;
}

static int parse_uuid(struct ctl_options *o, const char *text)
{
	if (ctl_uuid_parse(o->uuid, text))
		return CTL_OK;
	return ctl_fail(CTL_USAGE,
			"--uuid %s: not of the form 01234567-89ab-cdef-0123-456789abcdef",
			text);
}

static int parse_mac(struct ctl_options *o, const char *text)
{
	o->mac = (enum qvault_mac)ctl_mac_find(text);
	if (o->mac)
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "--mac %s: give %s or %s", text,
			ctl_mac_name(QVAULT_MAC_HMAC_SHA256_128),
			ctl_mac_name(QVAULT_MAC_NHPOLY_AES));
}

static int take(struct ctl_options *o, enum ctl_option option, const char *text)
{
	switch (option) {
	case CTL_OPT_KEY_FILE:
		o->key_file = text;
		return CTL_OK;
	case CTL_OPT_DATA:
		o->data = text;
		return CTL_OK;
	case CTL_OPT_ANCHOR:
		o->anchor = text;
		return CTL_OK;
	case CTL_OPT_NEW_DATA:
		o->new_data = text;
		return CTL_OK;
	case CTL_OPT_NEW_ANCHOR:
		o->new_anchor = text;
		return CTL_OK;
	case CTL_OPT_NEW_KEY_FILE:
		o->new_key_file = text;
		return CTL_OK;
	case CTL_OPT_FROM:
		o->from = text;
		return CTL_OK;
	case CTL_OPT_OUTPUT:
		o->output = text;
		return CTL_OK;
	case CTL_OPT_COW:
		o->cow = text;
		return CTL_OK;
	case CTL_OPT_TIMEOUT:
		return parse_number(&o->timeout, text, option, 1, 86400);
	case CTL_OPT_SIZE:
		return parse_size(o, text);
	case CTL_OPT_LOG_BLOCKS:
		return parse_number(&o->log_blocks, text, option,
				    QVAULT_MIN_LOG_BLOCKS, QVAULT_MAX_LOG_BLOCKS);
	case CTL_OPT_MAC:
		return parse_mac(o, text);
	case CTL_OPT_UUID:
		return parse_uuid(o, text);
	case CTL_OPT_MEMORY:
		return parse_number(&o->memory_mib, text, option, 1, 65536);
	case CTL_OPT_COMMIT:
		return parse_number(&o->commit_seconds, text, option, 0, 3600);
	case CTL_OPT_RATE:
		return parse_number(&o->rate_mib, text, option, 1, 1 << 20);
	case CTL_OPT_SETTLE:
		return parse_number(&o->settle, text, option, 1, QVAULT_MAX_SETTLE);
	default:
		return CTL_OK;
	}
}

static enum ctl_option option_of(int value)
{
	size_t i;

	for (i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (letters[i].letter == value)
			return letters[i].option;
	return (enum ctl_option)(value - VALUE(0));
}

/* optopt is a letter, 0 for an unknown long option, or the number of a known one. */
static int bad_option(int value, const char *word)
{
	const char letter[] = { '-', (char)optopt, '\0' };

	if (optopt > 0 && optopt < VALUE(0))
		word = letter;
	if (value == ':')
		return ctl_fail(CTL_USAGE, "%s needs a value", word);
	if (optopt >= VALUE(0))
		return ctl_fail(CTL_USAGE, "%s takes no value", word);
	return ctl_fail(CTL_USAGE, "unknown option %s (see qvault-ctl --help)", word);
}

/* All that follows is a command's, options and words alike; a "--" may lead it in. */
static void take_command(struct ctl_options *o, int argc, char **argv)
{
	if (optind < argc && !strcmp(argv[optind], "--"))
		optind++;
	o->run = argv + optind;
	optind = argc;
}

int ctl_options_read(struct ctl_options *o, int argc, char **argv)
{
	enum ctl_option option;
	int value;

	memset(o, 0, sizeof(*o));
	o->argv = argv + 1;
	opterr = 0;
	while ((value = getopt_long(argc, argv, short_options, long_options,
				    NULL)) != -1) {
		/* Words move to the front, over what has been read already. */
		if (value == WORD) {
			o->argv[o->argc++] = optarg;
			continue;
		}
		if (value == '?' || value == ':')
			return bad_option(value, argv[optind - 1]);
		option = option_of(value);
		if (ctl_given(o, option))
			return ctl_fail(CTL_USAGE, "--%s is given twice",
					name_of(option));
		o->given |= 1ull << option;
		o->text[option] = optarg;
		if (option == CTL_OPT_RUN)
			take_command(o, argc, argv);
	}
	while (optind < argc)
		o->argv[o->argc++] = argv[optind++];
	o->argv[o->argc] = NULL;
	return CTL_OK;
}

static int check_count(const struct ctl_options *o, const struct ctl_verb *verb)
{
	if (o->argc < verb->min_args)
		return ctl_fail(CTL_USAGE, "too few arguments: qvault-ctl %s %s",
				verb->name, verb->arguments);
	if (o->argc > verb->max_args)
		return ctl_fail(CTL_USAGE,
				"too many arguments, from \"%s\" on: qvault-ctl %s %s",
				o->argv[verb->max_args], verb->name,
				verb->arguments);
	return CTL_OK;
}

int ctl_options_judge(struct ctl_options *o, const struct ctl_verb *verb)
{
	enum ctl_option option;
	int err;

	o->mac = QVAULT_MAC_HMAC_SHA256_128;
	for (option = 0; option < CTL_OPT_COUNT; option++) {
		if (!ctl_given(o, option))
			continue;
		if (!(verb->allowed & 1ull << option))
			return ctl_fail(CTL_USAGE, "--%s has no meaning for %s",
					name_of(option), verb->name);
		err = take(o, option, o->text[option]);
		if (err)
			return err;
	}
	o->argc--;
	o->argv++;
	return check_count(o, verb);
}
