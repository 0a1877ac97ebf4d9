// SPDX-License-Identifier: GPL-2.0
/*
 * The log of dm-log-writes, as a whole or as it grows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"

#define LOG_MAGIC	0x6a736677736872ull

struct disk_super {
	__le64 magic, version, entries;
	__le32 sector_size;
};

struct disk_entry {
	__le64 sector, sectors, flags, bytes;
};

/* The device is read as far as the entries go, a bit at a time. */
struct reader {
	int fd;
	u64 start;		/* of raw[] on the device */
	u8 *raw;
	size_t have, room;
};

static int need(struct reader *r, size_t bytes)
{
	const size_t chunk = 1 << 16;

	while (r->have < bytes) {
		ssize_t n;

		if (r->have + chunk > r->room) {
			u8 *more;

			r->room = r->room ? 2 * r->room : 4 * chunk;
			more = aligned_alloc(BLOCK, r->room);
			if (!more)
				die("out of memory");
			memcpy(more, r->raw, r->have);
			free(r->raw);
			r->raw = more;
		}
		n = pread(r->fd, r->raw + r->have, chunk, r->start + r->have);
		if (n <= 0)
			return n ? -errno : -ENODATA;
		r->have += n;
	}
	return 0;
}

/* How many entries are complete: the super block is written after each mark. */
static int read_super(int fd, u32 *entries)
{
	struct disk_super super;
	u8 *block = block_buffer(1);
	ssize_t n = pread(fd, block, BLOCK, 0);

	memcpy(&super, block, sizeof(super));
	free(block);
	if (n != BLOCK)
		return -EIO;
	*entries = le(super.entries);
	if (!super.magic)	/* nothing yet: stack_make() has wiped it */
		return *entries ? -EINVAL : 0;
	return le(super.magic) != LOG_MAGIC || super.sector_size != 512 ? -EINVAL : 0;
}

/* Parse @nr entries; *@size is set to the bytes that they take. */
static int parse(struct reader *r, u32 nr, struct log *log, size_t *size)
{
	size_t at = 0;
	u32 i;

	log->nr = nr;
	log->entry = calloc(nr + 1, sizeof(*log->entry));
	if (!log->entry)
		die("out of memory");
	for (i = 0; i < nr; i++) {
		struct entry *e = &log->entry[i];
		struct disk_entry d;

		if (need(r, at + 512))
			return -EIO;
		memcpy(&d, r->raw + at, sizeof(d));
		e->sector = le(d.sector);
		e->sectors = le(d.sectors);
		e->flags = le(d.flags);
		/* An offset for now: the buffer may still move. */
		e->data = (u8 *)(at + (e->flags & LOG_MARK ? sizeof(d) : 512));
		at += 512;
		if (!(e->flags & LOG_DISCARD))
			at += e->sectors * 512;
		if (need(r, at))
			return -EIO;
	}
	for (i = 0; i < nr; i++)
		log->entry[i].data = r->raw + (size_t)log->entry[i].data;
	log->raw = r->raw;
	*size = at;
	return 0;
}

static int read_from(int fd, u64 start, u32 nr, struct log *log, size_t *size)
{
	/* Direct I/O wants its alignment; an entry begins at any sector. */
	struct reader r = { .fd = fd, .start = start };
	int err = parse(&r, nr, log, size);

	if (err) {
		free(r.raw);
		free(log->entry);
		memset(log, 0, sizeof(*log));
	}
	return err;
}

int log_read(const char *path, struct log *log)
{
	int fd = open_direct(path, O_RDONLY), err;
	size_t size;
	u32 nr;

	memset(log, 0, sizeof(*log));
	if (fd < 0)
		return fd;
	err = read_super(fd, &nr);
	if (!err)
		err = read_from(fd, 512, nr, log, &size);
	close(fd);
	if (!err && (!nr || !(log->entry[nr - 1].flags & LOG_MARK))) {
		/* A log that ran full ends anywhere and would hide the rest. */
		log_free(log);
		err = -ENOSPC;
	}
	return err;
}

static bool is_last(const struct log *log, const char *mark)
{
	const struct entry *e = &log->entry[log->nr - 1];

	return log->nr && e->flags & LOG_MARK &&
	       !strncmp((const char *)e->data, mark, strlen(mark) + 1);
}

int log_follow(struct log_tail *tail, const char *mark, struct log *log)
{
	const struct timespec pause = { 0, 20000 };
	double end = now() + 20;
	size_t size = 0;
	int err;
	u32 nr;

	while (now() < end) {
		err = read_super(tail->fd, &nr);
		if (!err && nr > tail->entries)
			err = read_from(tail->fd, tail->at, nr - tail->entries,
					log, &size);
		if (err)
			return err;
		if (nr > tail->entries && is_last(log, mark)) {
			tail->at += size;
			tail->entries = nr;
			return 0;
		}
		if (nr > tail->entries)
			log_free(log);
		/* A thread of dm-log-writes is still writing it. */
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

void log_free(struct log *log)
{
	free(log->entry);
	free(log->raw);
	memset(log, 0, sizeof(*log));
}
