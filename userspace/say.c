// SPDX-License-Identifier: GPL-2.0
/*
 * Words for people: messages, sizes, UUIDs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qvault-ctl.h"

/* One line, in one piece, whatever stands in the words of others. */
CTL_PRINTF(2, 0)
static void say(const char *prefix, const char *format, va_list args)
{
	char *text = NULL, *line = NULL;
	size_t bytes;
	FILE *out;

	/* What was printed so far comes first, also when both go to one file. */
	ctl_flush();
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	out = open_memstream(&line, &bytes);
	if (out) {
		fprintf(out, "qvault-ctl: %s", prefix);
		ctl_put_escaped(out, text ? text : "out of memory");
		fputc('\n', out);
		if (!fclose(out))
			fputs(line, stderr);
	}
	free(line);
	free(text);
}

int ctl_fail(enum ctl_exit code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
	return code;
}

void ctl_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("warning: ", format, args);
	va_end(args);
}

enum ctl_exit ctl_exit_of(int err)
{
	switch (err < 0 ? -err : err) {
	case 0:
		return CTL_OK;
	case EPERM:
	case EACCES:
	case ENOKEY:
	case EKEYREJECTED:
	case EKEYREVOKED:
		return CTL_DENIED;
	case ENOMEM:
		return CTL_NO_MEMORY;
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case ENOTBLK:
	case EISDIR:
	case EROFS:
	case EIO:
	case EILSEQ:
	case EBADMSG:
	case ENODATA:
	case ESTALE:
	case EMSGSIZE:
	case EUCLEAN:
	case EPROTONOSUPPORT:
		return CTL_WRONG_DEVICE;
	case EBUSY:
	case EEXIST:
		return CTL_BUSY;
	default:
		return CTL_USAGE;
	}
}

char *ctl_size(char text[CTL_SIZE_CHARS], uint64_t bytes)
{
	static const char units[][4] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(text, CTL_SIZE_CHARS, "%" PRIu64 " bytes", bytes);
	else
		snprintf(text, CTL_SIZE_CHARS, "%.1f %s (%" PRIu64 " bytes)",
			 value, units[unit], bytes);
	return text;
}

char *ctl_time(char text[CTL_TIME_CHARS], uint64_t seconds)
{
	const time_t when = (time_t)seconds;
	struct tm tm;

	/* Some year that no four digits hold is nobody's clock. */
	if (seconds > 253402300799 || !gmtime_r(&when, &tm) ||
	    !strftime(text, CTL_TIME_CHARS, "%F %T UTC", &tm))
		snprintf(text, CTL_TIME_CHARS, "%" PRIu64 " seconds after 1970",
			 seconds);
	return text;
}

char *ctl_uuid_text(char text[CTL_UUID_CHARS], const uint8_t *uuid)
{
	static const char digits[] = "0123456789abcdef";
	char *p = text;
	int i;

	for (i = 0; i < QVAULT_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[uuid[i] >> 4];
		*p++ = digits[uuid[i] & 15];
	}
	*p = '\0';
	return text;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool ctl_uuid_parse(uint8_t *uuid, const char *text)
{
	int i;

	if (strlen(text) != CTL_UUID_CHARS - 1)
		return false;
	for (i = 0; i < QVAULT_UUID_SIZE; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		if (digit(text[0]) < 0 || digit(text[1]) < 0)
			return false;
		uuid[i] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
		text += 2;
	}
	return true;
}

char *ctl_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n >= 0)
		return text;
	ctl_fail(CTL_NO_MEMORY, "out of memory");
	return NULL;
}
