// SPDX-License-Identifier: GPL-2.0
/*
 * The table line, in both directions:
 *
 *   <data_dev> <anchor_dev|-> <key|-> [<#opts> <opt>...]
 *
 * Whatever is parsed here is printed here, so that `dmsetup table` of a vault is
 * always a table that loads.  The key is a name in the kernel's keyring and
 * never a secret.
 */
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "args.h"

static const char * const key_types[] = {
	[QVAULT_KEY_LOGON]	= "logon",
	[QVAULT_KEY_USER]	= "user",
	[QVAULT_KEY_ENCRYPTED]	= "encrypted",
	[QVAULT_KEY_TRUSTED]	= "trusted",
};

static const char * const mac_names[] = QVAULT_MAC_NAMES;

/* The MAC of that name; 0: there is none, or @name is NULL. */
enum qvault_mac qvault_mac_find(const char *name)
{
	unsigned int i;

	for (i = QVAULT_MAC_HMAC_SHA256_128; name && i < ARRAY_SIZE(mac_names); i++)
		if (!strcmp(name, mac_names[i]))
			return i;
	return 0;
}

/* What is left of the line. */
struct words {
	unsigned int argc;
	char **argv;
};

static const char *next_word(struct words *words)
{
	if (!words->argc)
		return NULL;
	words->argc--;
	return *words->argv++;
}

static int refuse(char **error, char *why)
{
	*error = why;
	return -EINVAL;
}

static int parse_devices(struct qvault_args *args, struct words *words,
			 char **error)
{
	const char *data = next_word(words);
	const char *anchor = next_word(words);

	if (!data || !anchor)
		return refuse(error, "Not enough arguments: <data_dev> <anchor_dev|-> <key|->");
	args->data = kstrdup(data, GFP_KERNEL);
	if (!args->data)
		return -ENOMEM;
	if (!strcmp(anchor, "-"))
		return 0;
	args->anchor = kstrdup(anchor, GFP_KERNEL);
	return args->anchor ? 0 : -ENOMEM;
}

/*
 * A table line is split at white space and its backslashes are taken away, so
 * a description that holds either would not survive a round trip.
 */
static bool printable_description(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (isspace(*s) || *s == '\\')
			return false;
	return true;
}

/* Cuts the word before the next colon out of @s; @s stands behind it then. */
static bool next_field(const char **s, const char **field, size_t *len)
{
	const char *colon = strchr(*s, ':');

	if (!colon)
		return false;
	*field = *s;
	*len = colon - *s;
	*s = colon + 1;
	return true;
}

static enum qvault_key_type key_type(const char *name, size_t len)
{
	unsigned int i;

	for (i = QVAULT_KEY_LOGON; i < ARRAY_SIZE(key_types); i++)
		if (strlen(key_types[i]) == len && !memcmp(key_types[i], name, len))
			return i;
	return QVAULT_KEY_NONE;
}

/**
 * qvault_args_key() - parse the name of a key
 * @args: key_type and key_description are set
 * @key: as in a table line
 * @error: set to what is wrong
 *
 * Context: May sleep.
 * Return: 0, -EINVAL or -ENOMEM; qvault_args_free() must follow in any case.
 */
int qvault_args_key(struct qvault_args *args, const char *key, char **error)
{
	const char *field;
	size_t len;

	if (*key++ != ':' || !next_field(&key, &field, &len))
		return refuse(error, "Key must have the form :64:<type>:<description>");
	if (len != 2 || memcmp(field, "64", 2))
		return refuse(error, "Key must have 64 bytes: :64:<type>:<description>");
	if (next_field(&key, &field, &len))
		args->key_type = key_type(field, len);
	if (args->key_type == QVAULT_KEY_NONE)
		return refuse(error, "Key type must be logon, user, encrypted or trusted");
	if (!printable_description(key))
		return refuse(error, "Key description is empty or holds blanks or backslashes");
	args->key_description = kstrdup(key, GFP_KERNEL);
	return args->key_description ? 0 : -ENOMEM;
}

static int parse_key(struct qvault_args *args, struct words *words, char **error)
{
	const char *key = next_word(words);

	if (!key)
		return refuse(error, "Not enough arguments: no key");
	if (!strcmp(key, "-"))
		return args->anchor ?
			refuse(error, "Only an ephemeral vault (anchor -) has the key -") : 0;
	if (!args->anchor)
		return refuse(error, "An ephemeral vault makes its own key: give - as the key");
	return qvault_args_key(args, key, error);
}

static int parse_number(struct words *words, u32 min, u32 max, u32 *value,
			char **error, char *why)
{
	const char *word = next_word(words);

	if (!word || kstrtou32(word, 10, value) || *value < min || *value > max)
		return refuse(error, why);
	return 0;
}

/* Of a vault with an anchor, the anchor says it: the table cannot contradict. */
static int parse_mac(struct qvault_args *args, struct words *words, char **error)
{
	if (args->anchor)
		return refuse(error, "Only a vault without an anchor has the option mac");
	args->mac = qvault_mac_find(next_word(words));
	return args->mac ? 0 : refuse(error, "mac must be hmac-sha256 or nhpoly-aes");
}

static int parse_option(struct qvault_args *args, struct words *words, char **error)
{
	const char *name = next_word(words);

	if (!strcmp(name, "read_only")) {
		args->read_only = true;
		return 0;
	}
	if (!strcmp(name, "allow_discards")) {
		args->allow_discards = true;
		return 0;
	}
	if (!strcmp(name, "grow")) {
		args->grow = true;
		return 0;
	}
	if (!strcmp(name, "ephemeral")) {
		args->ephemeral = true;
		return 0;
	}
	if (!strcmp(name, "memory_mib"))
		return parse_number(words, 1, QVAULT_MAX_MEMORY_MIB,
				    &args->memory_mib, error,
				    "memory_mib must be 1 to 65536");
	if (!strcmp(name, "commit_seconds"))
		return parse_number(words, 0, QVAULT_MAX_COMMIT_SECONDS,
				    &args->commit_seconds, error,
				    "commit_seconds must be 0 to 3600");
	if (!strcmp(name, "shared"))
		return parse_number(words, 1, QVAULT_MAX_SETTLE, &args->settle, error,
				    "shared must be 1 to 3600 seconds");
	if (!strcmp(name, "mac"))
		return parse_mac(args, words, error);
	return refuse(error, "Unknown option");
}

static int parse_options(struct qvault_args *args, struct words *words, char **error)
{
	u32 count;
	int err;

	if (!words->argc)
		return 0;
	if (parse_number(words, 0, words->argc - 1, &count, error,
			 "Number of options does not fit what follows it"))
		return -EINVAL;
	if (count != words->argc)
		return refuse(error, "Number of options does not fit what follows it");
	while (words->argc) {
		err = parse_option(args, words, error);
		if (err)
			return err;
	}
	if (args->ephemeral && !args->anchor)
		return refuse(error, "Without an anchor a vault is ephemeral without the option");
	if (args->read_only && (args->ephemeral || !args->anchor))
		return refuse(error, "An ephemeral vault cannot be read_only");
	if (args->settle && (args->ephemeral || !args->anchor))
		return refuse(error, "An ephemeral vault cannot be shared: it keeps no anchor");
	if (args->read_only && args->grow)
		return refuse(error, "A vault that is read_only cannot grow");
	return 0;
}

/**
 * qvault_args_parse() - read a table line
 * @args: filled in; to be given to qvault_args_free() whatever is returned
 * @argc: number of words
 * @argv: the words
 * @error: set to a constant text that says what is wrong
 *
 * Context: May sleep.
 * Return: 0, -EINVAL or -ENOMEM.
 */
int qvault_args_parse(struct qvault_args *args, unsigned int argc, char **argv,
		      char **error)
{
	struct words words = { .argc = argc, .argv = argv };
	int err;

	memset(args, 0, sizeof(*args));
	args->mac = QVAULT_MAC_HMAC_SHA256_128;
	args->memory_mib = QVAULT_DEFAULT_MEMORY_MIB;
	args->commit_seconds = QVAULT_DEFAULT_COMMIT_SECONDS;

	err = parse_devices(args, &words, error);
	if (!err)
		err = parse_key(args, &words, error);
	if (!err)
		err = parse_options(args, &words, error);
	if (err == -ENOMEM)
		*error = "Cannot allocate memory for the table line";
	return err;
}

/**
 * qvault_args_free() - free what a table line holds
 * @args: parsed, half parsed, or all zeros
 */
void qvault_args_free(struct qvault_args *args)
{
	kfree(args->data);
	kfree(args->anchor);
	kfree(args->key_description);
	memset(args, 0, sizeof(*args));
}

static int print_options(const struct qvault_args *args, char *buf, size_t size)
{
	bool memory = args->memory_mib != QVAULT_DEFAULT_MEMORY_MIB;
	bool commit = args->commit_seconds != QVAULT_DEFAULT_COMMIT_SECONDS;
	bool mac = args->mac != QVAULT_MAC_HMAC_SHA256_128;
	int count = args->read_only + args->allow_discards + args->grow +
		    args->ephemeral + 2 * (memory + commit + mac + !!args->settle);
	int n = 0;

	if (!count)
		return 0;
	n += scnprintf(buf + n, size - n, " %d", count);
	if (args->read_only)
		n += scnprintf(buf + n, size - n, " read_only");
	if (args->allow_discards)
		n += scnprintf(buf + n, size - n, " allow_discards");
	if (args->grow)
		n += scnprintf(buf + n, size - n, " grow");
	if (args->ephemeral)
		n += scnprintf(buf + n, size - n, " ephemeral");
	if (memory)
		n += scnprintf(buf + n, size - n, " memory_mib %u", args->memory_mib);
	if (commit)
		n += scnprintf(buf + n, size - n, " commit_seconds %u",
			       args->commit_seconds);
	if (args->settle)
		n += scnprintf(buf + n, size - n, " shared %u", args->settle);
	if (mac)
		n += scnprintf(buf + n, size - n, " mac %s", mac_names[args->mac]);
	return n;
}

/**
 * qvault_args_print() - write a table line
 * @args: what to write
 * @data: name of the data device
 * @anchor: name of the anchor device; ignored if there is none
 * @buf: where to
 * @size: of @buf
 *
 * Options that have their default are left out.
 *
 * Context: Any.
 * Return: Number of characters, without the NUL; @size - 1 if it did not fit.
 */
int qvault_args_print(const struct qvault_args *args, const char *data,
		      const char *anchor, char *buf, size_t size)
{
	int n;

	if (args->anchor)
		n = scnprintf(buf, size, "%s %s :%u:%s:%s", data, anchor,
			      QVAULT_MASTER_KEY_SIZE, key_types[args->key_type],
			      args->key_description);
	else
		n = scnprintf(buf, size, "%s - -", data);
	return n + print_options(args, buf + n, size - n);
}
