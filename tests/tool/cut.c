// SPDX-License-Identifier: GPL-2.0
/*
 * To be preloaded: the power fails at a write of the tool, or the write does.
 *
 *   CUT_AT=N	at the N-th write of a device; those are counted from 1
 *   CUT_HOW=	none: it does not reach the device
 *		half: half of it does
 *		full: all of it does, and the end comes before it is flushed
 *		fail: it fails, and so does every other one from then on
 *
 * What was not flushed before the end is lost, as in a volatile cache, unless it is
 * the write itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_UNDO	64

/* What stood where something was written that is not flushed yet. */
static struct undo {
	int fd;
	void *was;
	size_t bytes;
	off64_t place;
} undo[MAX_UNDO];
static int nr_undo;

static ssize_t write_through(int fd, const void *buf, size_t bytes, off64_t place)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);

	if (!real)
		real = dlsym(RTLD_NEXT, "pwrite64");
	return real(fd, buf, bytes, place);
}

static void remember(int fd, size_t bytes, off64_t place)
{
	struct undo *u = &undo[nr_undo++];

	if (nr_undo == MAX_UNDO)
		abort();
	*u = (struct undo){ fd, malloc(bytes), bytes, place };
	if (pread64(fd, u->was, bytes, place) != (ssize_t)bytes)
		abort();
}

static void lose_what_is_not_flushed(void)
{
	struct undo *u;

	while (nr_undo) {
		u = &undo[--nr_undo];
		write_through(u->fd, u->was, u->bytes, u->place);
	}
}

/* The power fails. */
static void cut(const char *how, int fd, const void *buf, size_t bytes, off64_t place)
{
	lose_what_is_not_flushed();
	if (!strcmp(how, "half"))
		write_through(fd, buf, bytes / 2, place);
	if (!strcmp(how, "full"))
		write_through(fd, buf, bytes, place);
	_exit(77);
}

ssize_t pwrite64(int fd, const void *buf, size_t bytes, off64_t place)
{
	static int count;
	const char *at = getenv("CUT_AT"), *how = getenv("CUT_HOW");

	if (at && ++count >= atoi(at)) {
		if (strcmp(how, "fail"))
			cut(how, fd, buf, bytes, place);
		errno = EIO;
		return -1;
	}
	remember(fd, bytes, place);
	return write_through(fd, buf, bytes, place);
}

ssize_t pwrite(int fd, const void *buf, size_t bytes, off_t place)
{
	return pwrite64(fd, buf, bytes, place);
}

int fsync(int fd)
{
	static int (*real)(int);
	int i, kept = 0;

	if (!real)
		real = dlsym(RTLD_NEXT, "fsync");
	for (i = 0; i < nr_undo; i++) {
		if (undo[i].fd == fd)
			free(undo[i].was);
		else
			undo[kept++] = undo[i];
	}
	nr_undo = kept;
	return real(fd);
}
