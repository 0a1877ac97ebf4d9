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

/* The first of our lines since the log was opened: later ones follow from it. */
void ctl_kmsg_first(int fd, char text[CTL_KMSG_CHARS])
{
	char record[2048];
	const char *words;
	ssize_t n;

	text[0] = '\0';
	if (fd < 0)
		return;
	while (!text[0] && (n = read(fd, record, sizeof(record) - 1)) > 0) {
		record[n] = '\0';
		words = words_of(record);
		if (words)
			snprintf(text, CTL_KMSG_CHARS, "%s", words);
	}
}
