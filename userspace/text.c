// SPDX-License-Identifier: GPL-2.0
/*
 * Text that others chose: paths, labels, what the kernel said.  None of it may
 * forge a line of a message, command a terminal, or break JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qvault-ctl.h"

/* The bytes that follow the first one of a character; -1: none begins so. */
static int following(unsigned char first)
{
	if (first < 0x80)
		return 0;
	if (first >= 0xc2 && first <= 0xdf)
		return 1;
	if (first >= 0xe0 && first <= 0xef)
		return 2;
	return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

/*
 * The length of the UTF-8 character at @text, which is not its end; 0 if there is
 * none.  A longer form than needed is none, nor is half of a UTF-16 pair.
 */
static size_t character(const char *text, uint32_t *value)
{
	static const uint32_t smallest[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	const int more = following(*p);
	int i;

	if (more < 0)
		return 0;
	*value = more ? *p & (0x3fu >> more) : *p;
	for (i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*value = *value << 6 | (p[i] & 0x3f);
	}
	if (*value < smallest[more] || *value > 0x10ffff ||
	    (*value >= 0xd800 && *value <= 0xdfff))
		return 0;
	return (size_t)more + 1;
}

/*
 * Characters that cannot be seen, or change how others are seen: controls, line
 * and paragraph separators, changes of direction, tags.
 */
static bool can_be_seen(uint32_t value)
{
	static const uint32_t unseen[][2] = {
		{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad },
		{ 0x61c, 0x61c }, { 0x180e, 0x180e }, { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		if (value >= unseen[i][0] && value <= unseen[i][1])
			return false;
	return true;
}

void ctl_put_escaped(FILE *out, const char *text)
{
	uint32_t value;
	size_t bytes;

	while (*text) {
		bytes = character(text, &value);
		if (*text == '\\') {
			fputs("\\\\", out);
		} else if (bytes && can_be_seen(value)) {
			fwrite(text, 1, bytes, out);
		} else {
			/* Its other bytes are no character by themselves. */
			bytes = 1;
			fprintf(out, "\\x%02x", (unsigned char)*text);
		}
		text += bytes;
	}
}

void ctl_put_utf8(FILE *out, const char *text)
{
	uint32_t value;
	size_t bytes;

	while (*text) {
		bytes = character(text, &value);
		if (bytes)
			fwrite(text, 1, bytes, out);
		else
			fputs("\xef\xbf\xbd", out);	/* U+FFFD */
		text += bytes ? bytes : 1;
	}
}
