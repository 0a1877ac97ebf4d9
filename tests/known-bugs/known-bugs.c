// SPDX-License-Identifier: GPL-2.0
/*
 * What guest.sh needs and no tool does.
 *
 * usage: known-bugs scribble DEVICE SECONDS      buffers that change in flight
 *        known-bugs same-buffer DEVICE           many blocks into one buffer
 *        known-bugs mapped DEVICE SECONDS        pages that change, by mmap
 *        known-bugs lengths DEVICE               requests of all lengths
 *        known-bugs tables DATA ANCHOR SECTORS SEED    tables made and dropped
 *        known-bugs padding DATA ANCHOR BLOCKS LOG     what is unused is zero
 *        known-bugs home BLOCKS LOG PHYSICAL     logical block that stands there
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/qvtest.h"

static int open_or_die(const char *path)
{
	int fd = open_direct(path, O_RDWR);

	if (fd < 0)
		die("%s: %s", path, strerror(-fd));
	return fd;
}

static void must(int err, const char *what, u64 block)
{
	if (err)
		die("%s, block %llu: %s", what, (unsigned long long)block,
		    strerror(-err));
}

/* ---- Memory that changes under an I/O ----------------------------------- */

#define SCRIBBLED	64u		/* blocks */

struct scribbler {
	u8 *buf;
	volatile bool stop;
};

static void *scribble_thread(void *arg)
{
	struct scribbler *s = arg;
	struct prng p;

	prng_seed(&p, 1);
	while (!s->stop)
		s->buf[prng_below(&p, SCRIBBLED * BLOCK)]++;
	return NULL;
}

static pthread_t scribble_on(struct scribbler *s, u8 *buf)
{
	pthread_t thread;

	s->buf = buf;
	s->stop = false;
	if (pthread_create(&thread, NULL, scribble_thread, s))
		die("no thread");
	return thread;
}

/* Whatever arrived, it must be readable: nobody forged anything. */
static int scribble(char **arg)
{
	int fd = open_or_die(arg[0]);
	u8 *buf = block_buffer(SCRIBBLED), *quiet = block_buffer(SCRIBBLED);
	double until = now() + atof(arg[1]);
	struct scribbler s;
	pthread_t thread = scribble_on(&s, buf);
	u64 rounds = 0;

	while (now() < until) {
		must(write_blocks(fd, 0, buf, SCRIBBLED), "write", 0);
		must(read_blocks(fd, 0, quiet, SCRIBBLED), "read back", 0);
		/* A read into memory that somebody else changes, too. */
		must(read_blocks(fd, 0, buf, SCRIBBLED), "read", 0);
		rounds++;
	}
	s.stop = true;
	pthread_join(thread, NULL);
	printf("%llu rounds\n", (unsigned long long)rounds);
	return !rounds;
}

/* As Windows guests do: what is read is not wanted, so it all goes to one page. */
static int same_buffer(char **arg)
{
	int fd = open_or_die(arg[0]), i, round;
	u8 *image = block_buffer(SCRIBBLED), *one = block_buffer(1);
	struct iovec iov[SCRIBBLED];
	struct prng p;

	prng_seed(&p, 2);
	prng_fill(&p, image, SCRIBBLED * BLOCK);
	must(write_blocks(fd, 0, image, SCRIBBLED), "write", 0);
	for (i = 0; i < (int)SCRIBBLED; i++)
		iov[i] = (struct iovec){ one, BLOCK };
	for (round = 0; round < 200; round++)
		if (preadv(fd, iov, SCRIBBLED, 0) != SCRIBBLED * BLOCK)
			die("read into one buffer: %s", strerror(errno));
	return 0;
}

static int mapped(char **arg)
{
	int fd = open(arg[0], O_RDWR), direct = open_or_die(arg[0]);
	double until = now() + atof(arg[1]);
	u8 *map, *buf = block_buffer(SCRIBBLED);
	struct scribbler s;
	pthread_t thread;
	u64 rounds = 0;

	if (fd < 0)
		die("%s: %s", arg[0], strerror(errno));
	map = mmap(NULL, SCRIBBLED * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	thread = scribble_on(&s, map);
	for (; now() < until; rounds++)
		if (msync(map, SCRIBBLED * BLOCK, MS_SYNC) || fsync(fd))
			die("msync: %s", strerror(errno));
	s.stop = true;
	pthread_join(thread, NULL);
	if (msync(map, SCRIBBLED * BLOCK, MS_SYNC))
		die("msync: %s", strerror(errno));
	must(read_blocks(direct, 0, buf, SCRIBBLED), "read", 0);
	if (memcmp(buf, map, SCRIBBLED * BLOCK))
		die("what is mapped is not what is stored");
	return !rounds;
}

/* ---- Lengths ------------------------------------------------------------ */

#define SPAN	1200u

/* Lengths about each limit, at offsets before and behind one. */
static int lengths(char **arg)
{
	static const u32 at[] = { 0, 1, 127, 255 };
	static const u32 blocks[] = {
		1,  2,	3,   7,	  8,   9,   15,	 16,  17,  31,	32,  33,  63,  64,
		65, 66, 127, 128, 129, 191, 192, 193, 255, 256, 257, 258, 515,
	};
	int fd = open_or_die(arg[0]);
	u8 *image = block_buffer(SPAN), *buf = block_buffer(SPAN);
	struct prng p;
	u32 i, k;

	prng_seed(&p, 6);
	must(write_blocks(fd, 0, image, SPAN), "write", 0);
	for (k = 0; k < sizeof(blocks) / sizeof(*blocks); k++) {
		for (i = 0; i < sizeof(at) / sizeof(*at); i++) {
			u8 *part = image + at[i] * BLOCK;
			u32 n = blocks[k];

			prng_fill(&p, part, n * BLOCK);
			must(write_blocks(fd, at[i], part, n), "write", at[i]);
			must(read_blocks(fd, at[i], buf, n), "read", at[i]);
			if (memcmp(buf, part, n * BLOCK))
				die("%u blocks at %u differ", n, at[i]);
		}
	}
	must(read_blocks(fd, 0, buf, SPAN), "read all", 0);
	if (memcmp(buf, image, SPAN * BLOCK))
		die("something beside what was written has changed");
	return 0;
}

/* ---- Tables ------------------------------------------------------------- */

/*
 * Create, load, resume, suspend, clear and remove in any order, right tables
 * and wrong ones: each may be refused, and none may hurt.
 */
static int tables(char **arg)
{
	struct dm_dev dev[2];
	bool there[2] = { false, false };
	char good[256], other[256], status[512];
	u64 sectors = strtoull(arg[2], NULL, 0), refused = 0, i;
	struct prng p;

	prng_seed(&p, atoi(arg[3]));
	snprintf(good, sizeof(good), "%s %s %s", arg[0], arg[1], vault_key_name);
	snprintf(other, sizeof(other), "%s %s :64:logon:qvault:nobody", arg[0], arg[1]);
	for (i = 0; i < 400; i++) {
		u32 which = prng_below(&p, 2), dice = prng_below(&p, 10);
		struct dm_line line = { 0, sectors, "qvault", good };
		struct dm_dev *d = &dev[which];
		int err = 0;

		if (prng_chance(&p, 15))
			line.args = other;
		if (prng_chance(&p, 15))
			line.sectors -= 8;
		if (prng_chance(&p, 10))
			line = (struct dm_line){ 0, sectors, "error", "" };
		if (!there[which]) {
			err = dm_create(d, which ? "tables1" : "tables0", &line, 1,
					prng_chance(&p, 20));
			there[which] = !err;
		} else if (dice < 3) {
			err = dm_reload(d, &line, 1, prng_chance(&p, 20));
		} else if (dice < 5) {
			err = dm_suspend(d, prng_chance(&p, 50));
		} else if (dice < 8) {
			err = dm_resume(d);
		} else if (dice < 9) {
			err = dm_status(d, prng_chance(&p, 50), status,
					sizeof(status));
		} else {
			err = dm_remove(d);
			there[which] = !!err;
		}
		refused += !!err;
	}
	for (i = 0; i < 2; i++)
		if (there[i])
			must(dm_remove(&dev[i]), "remove", i);
	printf("%llu of 400 refused\n", (unsigned long long)refused);
	return !refused || refused == 400;
}

/* ---- Unused bytes ------------------------------------------------------- */

static void must_be_zero(const void *bytes, size_t n, const char *what)
{
	const u8 *b = bytes;

	while (n--)
		if (b[n])
			die("unused bytes of %s hold something", what);
}

/* What the kernel's memory held before must not go out with a block. */
static int padding(char **arg)
{
	void *image = block_buffer(QVAULT_ANCHOR_BLOCKS);
	int data = open_or_die(arg[0]), anchor = open_or_die(arg[1]);
	const struct qvault_disk_anchor *a;
	struct qvault_geometry geo;
	struct qvault_disk_ptr ptr;
	struct vault_params params;
	struct vault_keys keys;
	struct qvault_disk_log log;
	u8 *block = block_buffer(1);
	u64 sequence, seen = 0;
	u32 i;

	vault_default_params(&params, strtoull(arg[2], NULL, 0), atoi(arg[3]), &geo);
	vault_derive(&params, &keys);
	must(read_blocks(anchor, 0, image, QVAULT_ANCHOR_BLOCKS), "anchor", 0);
	for (i = 0; i < QVAULT_ANCHOR_SLOTS; i++) {
		a = vault_slot(image, i);
		must_be_zero(a->reserved1, sizeof(a->reserved1), "the anchor");
		must_be_zero(a->reserved2, sizeof(a->reserved2), "the anchor");
		must_be_zero(a->inline_entries + a->inline_bytes,
			     QVAULT_INLINE_SIZE - a->inline_bytes,
			     "the anchor's entries");
	}
	a = vault_newest(&keys, image);
	if (!a)
		die("no valid anchor record");
	ptr = a->log;
	for (sequence = le(a->log_head); sequence >= le(a->log_tail); sequence--) {
		u64 at = qvault_log_block(&geo, sequence);

		must(read_blocks(data, at, block, 1), "log", at);
		if (!vault_open(&keys, QVAULT_KIND_LOG, sequence, &ptr, block, &log))
			die("log block %llu is forged", (unsigned long long)sequence);
		must_be_zero(log.head.reserved, sizeof(log.head.reserved), "a log head");
		must_be_zero(log.payload + log.head.bytes,
			     QVAULT_LOG_PAYLOAD - log.head.bytes, "a log block");
		ptr = log.head.prev;
		seen++;
	}
	printf("%llu log blocks\n", (unsigned long long)seen);
	return !seen;
}

/* The first logical block whose home is at or behind @physical. */
static int home(char **arg)
{
	struct qvault_geometry geo;
	u64 physical = strtoull(arg[2], NULL, 0), low = 0, high;

	if (qvault_geometry_init(&geo, strtoull(arg[0], NULL, 0), 0, atoi(arg[1])))
		die("no such geometry");
	for (high = geo.logical_blocks; low < high;) {
		u64 middle = low + (high - low) / 2;

		if (qvault_home(&geo, middle) < physical)
			low = middle + 1;
		else
			high = middle;
	}
	printf("%llu\n", (unsigned long long)low);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *verb;
		int arguments;
		int (*run)(char **arg);
	} known[] = {
		{ "scribble", 2, scribble }, { "same-buffer", 1, same_buffer },
		{ "mapped", 2, mapped },     { "lengths", 1, lengths },
		{ "tables", 4, tables },     { "padding", 4, padding },
		{ "home", 3, home },
	};
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; argc > 1 && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(argv[1], known[i].verb) && argc == 2 + known[i].arguments)
			return known[i].run(argv + 2);
	die("see the head of known-bugs.c");
}
