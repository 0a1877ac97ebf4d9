// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's log, in which anybody's lines stand: each read gives one record.
 * In the input a byte of 1 ends one.
 */
#include <unistd.h>

#include "fuzz.h"

static struct fuzz_input log_left;

static ssize_t next_record(int fd, void *buf, size_t size)
{
	const uint8_t *end = memchr(log_left.data, 1, log_left.left);
	size_t n = end ? (size_t)(end - log_left.data) : log_left.left;
	size_t given = n < size ? n : size;

	(void)fd;
	memcpy(buf, log_left.data, given);
	log_left.data += n + !!end;
	log_left.left -= n + !!end;
	return (ssize_t)given;
}

#define read next_record
#include <kmsg.c>
#undef read

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), *text = malloc(CTL_KMSG_CHARS);

	memcpy(copy, data, size);
	copy[size] = '\0';
	log_left.data = data;
	log_left.left = size;
	memset(text, 'x', CTL_KMSG_CHARS);
	ctl_kmsg_first(0, text);
	FUZZ_CHECK(strnlen(text, CTL_KMSG_CHARS) < CTL_KMSG_CHARS);
	FUZZ_CHECK(!strchr(text, '\n'));
	/* What is shown is what ours said. */
	if (*text && strlen(copy) == size)
		FUZZ_CHECK(strstr(copy, text));
	ctl_kmsg_first(-1, text);
	FUZZ_CHECK(!*text);
	free(text);
	free(copy);
	return 0;
}
