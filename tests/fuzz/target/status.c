// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel says of a vault: its status, its table line, its type and its
 * UUID, a line each.  The name of the vault comes from the user and is first.
 */
#include "fuzz.h"
#include "quiet.h"

#include <status.c>
#undef printf
#undef puts
#undef stderr

static char *line[5];			/* name, status, table, type, uuid */

/* ---- The device mapper, as the input would have it ---- */

bool ctl_dm_valid_name(const char *name)
{
	return *name;
}

int ctl_dm_info(const char *name, struct ctl_dm_info *info)
{
	memset(info, 0, sizeof(*info));
	info->exists = true;
	info->live = *line[2];
	snprintf(info->uuid, sizeof(info->uuid), "%s", line[4]);
	return 0;
}

int ctl_dm_find(const char *prefix, char name[CTL_DM_NAME_CHARS])
{
	return -1;
}

static int target(struct ctl_dm_target *target, const char *params)
{
	memset(target, 0, sizeof(*target));
	if (!*params)
		return -ENODATA;
	target->sectors = 8 * strlen(params);
	target->type = strdup(line[3]);
	target->params = strdup(params);
	return 0;
}

int ctl_dm_status(const char *name, struct ctl_dm_target *to)
{
	return target(to, line[1]);
}

int ctl_dm_table(const char *name, struct ctl_dm_target *to)
{
	return target(to, line[2]);
}

void ctl_dm_target_free(struct ctl_dm_target *target)
{
	free(target->type);
	free(target->params);
}

bool ctl_cow_usage(const char *vault, const char *data, struct ctl_cow_usage *usage)
{
	memset(usage, 0, sizeof(*usage));
	usage->bytes = 512 * strlen(line[2]);
	usage->invalid = !*data;
	return strstr(line[4], "cow");
}

/* ---- One input ---- */

/* What is shown was really there: a mode of one word, and as many numbers. */
static void check(const char *status)
{
	struct counters c;
	const char *p, *rest;
	int digits = 0;

	if (!parse_status(&c, status, &rest))
		return;
	FUZZ_CHECK(*c.mode && strlen(c.mode) < sizeof(c.mode));
	p = strstr(status, c.mode);
	FUZZ_CHECK(p);
	for (p += strlen(c.mode); *p; p++)
		digits += *p >= '0' && *p <= '9';
	FUZZ_CHECK(digits >= NR_FIELDS - 1);
	FUZZ_CHECK(strspn(c.generations, "0123456789,") == strlen(c.generations));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char none[1];
	char *text = malloc(size + 1), *at = text;
	struct ctl_options o = { .argc = 1 };
	int i, code;

	memcpy(text, data, size);
	text[size] = '\0';
	for (i = 0; i < 5; i++)
		line[i] = at ? strsep(&at, "\n") : none;
	check(line[1]);
	o.argv = &line[0];
	for (i = 0; i < 2; i++) {
		o.given = i ? CTL_ALLOW(JSON) : 0;
		code = ctl_status_verb(&o);
		FUZZ_CHECK(code >= CTL_OK && code <= CTL_BUSY);
	}
	free(text);
	return 0;
}
