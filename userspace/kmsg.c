// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's log: a target says there, in words, why it refused.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"

int ctl_kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* A record is "priority,sequence,time,flags;text", then a newline and keys. */
static const char *words_of(char *record)
{
	static const char ours[] = "qvault: ";
	char *text = strchr(record, ';');
	char *end = text ? strchr(text, '\n') : NULL;

	if (end)
		*end = '\0';
	text = text ? strstr(text, ours) : NULL;
	return text ? text + sizeof(ours) - 1 : NULL;
}

/* The next of our lines; false at the end. */
static bool next_line(int fd, char text[CTL_KMSG_CHARS])
{
	char record[2048];
	const char *words;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, record, sizeof(record) - 1)) > 0) {
		record[n] = '\0';
		words = words_of(record);
		if (!words)
			continue;
		snprintf(text, CTL_KMSG_CHARS, "%s", words);
		return true;
	}
	return false;
}

void ctl_kmsg_first(int fd, char text[CTL_KMSG_CHARS])
{
	if (!next_line(fd, text))
		text[0] = '\0';
}

void ctl_kmsg_find(int fd, const char *device, const char *words,
		   char text[CTL_KMSG_CHARS])
{
	const size_t length = strlen(device);

	while (next_line(fd, text))
		if (!strncmp(text, device, length) && text[length] == ':' &&
		    strstr(text + length, words))
			return;
	text[0] = '\0';
}
