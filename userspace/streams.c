// SPDX-License-Identifier: GPL-2.0
/*
 * The standard streams: there from the beginning, and judged at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qvault-ctl.h"

/*
 * Whoever starts us may have closed them.  The next file opened, an anchor, would
 * then be a standard stream, and get the words that are meant for people.  What
 * stands in their place can be neither read nor written, as if closed: a key from
 * a closed input is an error and not an empty key.
 */
void ctl_streams_init(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd)
			_exit(CTL_USAGE);
	/* A reader who went away is a failed write, told as such. */
	signal(SIGPIPE, SIG_IGN);
}

static int write_error;
static char *done;

void ctl_flush(void)
{
	if (fflush(stdout) && !write_error)
		write_error = errno;
}

void ctl_done(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(&done, format, args) < 0)
		done = NULL;
	va_end(args);
}

static int judge(void)
{
	ctl_flush();
	/* Some file systems say only now that there was no room. */
	if (!ferror(stdout) && !close(STDOUT_FILENO))
		return CTL_OK;
	if (!write_error)
		write_error = errno;
	if (done)
		return ctl_fail(CTL_INCOMPLETE,
				"%s; but this could not be written to standard output: %s",
				done, strerror(write_error));
	return ctl_fail(CTL_USAGE, "cannot write to standard output: %s",
			strerror(write_error));
}

int ctl_streams_finish(int code)
{
	if (!code)
		code = judge();
	free(done);
	return code;
}
