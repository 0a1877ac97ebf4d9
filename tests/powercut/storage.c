// SPDX-License-Identifier: GPL-2.0
/*
 * The disks of the machine, served to QEMU over NBD.  What was written and not
 * flushed is in a cache; when the machine is gone, a random part of that reaches
 * the medium, in part torn at 512 bytes, and the rest is forgotten.
 *
 * usage: powercut storage SOCKET SEED FILE...      exports 0, 1, ...
 *
 * It ends when all its clients have gone, and says what the cut did.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "powercut.h"

#define MAX_DISKS	4
#define SECTOR		512u

struct cached {
	struct cached *next;
	u64 at;
	u32 bytes;
	bool sure;		/* FUA: durable, but what is older in the list is not */
	u8 data[];
};

struct disk {
	u8 *medium;		/* the file */
	u8 *seen;		/* with what is in the cache */
	u64 bytes;
	struct cached *first, **last;
	u64 writes, flushes;
};

static struct disk disk[MAX_DISKS];
static u32 nr_disks;

/* ---- A disk with a volatile cache --------------------------------------- */

static void open_disk(const char *path)
{
	struct disk *d = &disk[nr_disks++];
	int fd = open(path, O_RDWR);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	d->bytes = st.st_size;
	d->medium = mmap(NULL, d->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	d->seen = malloc(d->bytes);
	if (d->medium == MAP_FAILED || !d->seen)
		die("%s: no memory", path);
	memcpy(d->seen, d->medium, d->bytes);
	d->last = &d->first;
	close(fd);
}

static void disk_write(struct disk *d, u64 at, u32 bytes, const void *data, bool fua)
{
	struct cached *c = malloc(sizeof(*c) + bytes);

	*c = (struct cached){ NULL, at, bytes, fua };
	memcpy(c->data, data, bytes);
	memcpy(d->seen + at, data, bytes);
	*d->last = c;
	d->last = &c->next;
	d->writes++;
}

static struct cached *pop(struct disk *d)
{
	struct cached *c = d->first;

	d->first = c->next;
	if (!d->first)
		d->last = &d->first;
	return c;
}

static void disk_flush(struct disk *d)
{
	while (d->first) {
		struct cached *c = pop(d);

		memcpy(d->medium + c->at, c->data, c->bytes);
		free(c);
	}
	d->flushes++;
}

/* In the order in which they came: of two writes to one place both may be there. */
static void disk_cut(struct disk *d, struct prng *p, u32 number)
{
	u32 percent = 25 * prng_below(p, 5), all = 0, kept = 0, torn = 0, i;

	while (d->first) {
		struct cached *c = pop(d);
		bool keep = c->sure || prng_chance(p, percent);
		bool tear = !c->sure && prng_chance(p, 25);

		all += !c->sure;
		kept += keep && !c->sure && !tear;
		torn += tear;
		for (i = 0; i < c->bytes; i += SECTOR)
			if (tear ? prng_chance(p, 50) : keep)
				memcpy(d->medium + c->at + i, c->data + i, SECTOR);
		free(c);
	}
	printf("disk %u writes %llu flushes %llu unflushed %u kept %u torn %u\n", number,
	       (unsigned long long)d->writes, (unsigned long long)d->flushes, all, kept,
	       torn);
}

/* ---- NBD ---------------------------------------------------------------- */

#define OPT_REPLY	0x0003e889045565a9ull
#define REQUEST		0x25609513u
#define REPLY		0x67446698u

enum { OPT_ABORT = 2, OPT_GO = 7 };
enum { REP_ACK = 1, REP_INFO = 3 };
enum { CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH };

#define REP_UNSUPPORTED	0x80000001u
#define FLAGS		(1u << 0 | 1u << 2 | 1u << 3)	/* has flags, flush, FUA */
#define COMMAND_FUA	(1u << 0)
#define MOST_BYTES	(32u << 20)

struct request {
	u32 magic;
	u16 flags, type;
	u64 handle, from;
	u32 bytes;
} __attribute__((packed));

struct reply {
	u32 magic, error;
	u64 handle;
} __attribute__((packed));

static bool get(int fd, void *buf, size_t bytes)
{
	return recv(fd, buf, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static bool put(int fd, const void *buf, size_t bytes)
{
	return send(fd, buf, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool answer(int fd, u32 option, u32 type, const void *data, u32 bytes)
{
	struct {
		u64 magic;
		u32 option, type, bytes;
	} __attribute__((packed)) head = {
		htobe64(OPT_REPLY), htobe32(option), htobe32(type), htobe32(bytes),
	};

	return put(fd, &head, sizeof(head)) && (!bytes || put(fd, data, bytes));
}

/* The name of an export is the number of a disk. */
static struct disk *go(int fd, const u8 *data)
{
	struct {
		u16 type;
		u64 bytes;
		u16 flags;
	} __attribute__((packed)) info = { 0, 0, htobe16(FLAGS) };
	u32 number = data[4] - '0';

	if (number >= nr_disks)
		return NULL;
	info.bytes = htobe64(disk[number].bytes);
	if (!answer(fd, OPT_GO, REP_INFO, &info, sizeof(info)) ||
	    !answer(fd, OPT_GO, REP_ACK, NULL, 0))
		return NULL;
	return &disk[number];
}

static struct disk *greet(int fd)
{
	struct {
		u64 magic, option;
		u16 flags;
	} __attribute__((packed)) hello = {
		htobe64(0x4e42444d41474943ull), htobe64(0x49484156454f5054ull),
		htobe16(3),
	};
	struct {
		u64 magic;
		u32 option, bytes;
	} __attribute__((packed)) head;
	u8 data[4096];
	u32 flags, option, bytes;

	if (!put(fd, &hello, sizeof(hello)) || !get(fd, &flags, sizeof(flags)))
		return NULL;
	while (get(fd, &head, sizeof(head))) {
		option = be32toh(head.option);
		bytes = be32toh(head.bytes);
		if (bytes > sizeof(data) || (bytes && !get(fd, data, bytes)) ||
		    option == OPT_ABORT)
			return NULL;
		if (option == OPT_GO)
			return go(fd, data);
		if (!answer(fd, option, REP_UNSUPPORTED, NULL, 0))
			return NULL;
	}
	return NULL;
}

static bool serve(int fd, struct disk *d, u8 *buf)
{
	struct request request;
	struct reply reply;
	u64 from;
	u32 bytes;
	u16 type;

	if (!get(fd, &request, sizeof(request)) || be32toh(request.magic) != REQUEST)
		return false;
	type = be16toh(request.type);
	from = be64toh(request.from);
	bytes = be32toh(request.bytes);
	reply = (struct reply){ htobe32(REPLY), 0, request.handle };
	if (bytes > MOST_BYTES || (type == CMD_WRITE && !get(fd, buf, bytes)))
		return false;
	if (from + bytes > d->bytes || bytes % SECTOR || type > CMD_FLUSH)
		reply.error = htobe32(EINVAL);
	else if (type == CMD_WRITE)
		disk_write(d, from, bytes, buf, be16toh(request.flags) & COMMAND_FUA);
	else if (type == CMD_FLUSH)
		disk_flush(d);
	if (type == CMD_DISC || !put(fd, &reply, sizeof(reply)))
		return false;
	return type != CMD_READ || reply.error || put(fd, d->seen + from, bytes);
}

static void *client(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct disk *d = greet(fd);
	u8 *buf = malloc(MOST_BYTES);

	while (d && serve(fd, d, buf))
		;
	free(buf);
	close(fd);
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) || listen(fd, 8))
		die("%s: %s", path, strerror(errno));
	return fd;
}

int storage_main(int argc, char **argv)
{
	pthread_t thread[MAX_DISKS];
	struct prng p;
	int fd, i;

	if (argc < 3 || argc - 2 > MAX_DISKS)
		die("usage: powercut storage SOCKET SEED FILE...");
	prng_seed(&p, strtoull(argv[1], NULL, 0));
	for (i = 2; i < argc; i++)
		open_disk(argv[i]);
	fd = listen_at(argv[0]);
	/* QEMU opens each disk once, and has them all before the machine runs. */
	for (i = 0; i < (int)nr_disks; i++) {
		int one = accept(fd, NULL, NULL);

		if (one < 0 || pthread_create(&thread[i], NULL, client,
					      (void *)(intptr_t)one))
			die("accept: %s", strerror(errno));
	}
	for (i = 0; i < (int)nr_disks; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < (int)nr_disks; i++)
		disk_cut(&disk[i], &p, i);
	return 0;
}
