// SPDX-License-Identifier: GPL-2.0
/*
 * Faults injected by the kernel itself (a kernel with FAULT_INJECTION): every
 * allocation of a constructor, attach, commit, checkpoint, write, read and
 * detach fails once; and requests to both devices fail at random.
 *
 * usage: faults DATA ANCHOR nth          two slices, the program formats them
 *        faults DATA ANCHOR storm ROUNDS
 *
 * An operation may fail or succeed.  What it said must be true afterwards, and
 * the kernel must have nothing to complain about (the laboratory looks).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../lib/qvtest.h"

#define BLOCKS	64		/* that the tests use */

struct lab {
	struct vault_params params;
	struct qvault_geometry geo;
	char data[32], anchor[32];
	const char *data_path, *anchor_path;
	struct dm_dev vault;
	struct prng prng;
	int fd;
	u8 *buf;
	/* Number that a block's contents carry: of the last write that was
	 * acknowledged by a flush, that ended well, and that was tried.
	 */
	u32 durable[BLOCKS], written[BLOCKS], tried[BLOCKS];
	u32 number;
	u64 injected, failed;
};

static void check(int err, const char *what)
{
	if (err)
		die("faults: %s: %s", what, strerror(-err));
}

static void setup(struct lab *l, const char *data, const char *anchor)
{
	void *slots = block_buffer(2);
	int fd = open_direct(data, O_RDWR);

	memset(l, 0, sizeof(*l));
	l->data_path = data;
	l->anchor_path = anchor;
	device_number(data, l->data);
	device_number(anchor, l->anchor);
	l->buf = block_buffer(BLOCKS);
	l->fd = -1;
	prng_seed(&l->prng, 3);
	vault_default_params(&l->params, device_blocks(fd), 16, &l->geo);
	vault_add_key(&l->params);
	close(fd);
	fd = open_direct(anchor, O_RDWR);
	vault_format(&l->params, slots);
	check(write_blocks(fd, 0, slots, 2), "format");
	close(fd);
	free(slots);
}

static void line_of(struct lab *l, struct dm_line *line, char *args, size_t size)
{
	snprintf(args, size, "%s %s %s 2 commit_seconds 0", l->data, l->anchor,
		 vault_key_name);
	*line = (struct dm_line){ 0, l->geo.logical_blocks * QVAULT_SECTORS,
				  "qvault", args };
}

static void attach(struct lab *l)
{
	char args[256];
	struct dm_line line;

	line_of(l, &line, args, sizeof(args));
	check(dm_create(&l->vault, "faulty", &line, 1, false), "attach");
	l->fd = open_direct(l->vault.path, O_RDWR);
	check(l->fd < 0 ? l->fd : 0, "open");
}

static void detach(struct lab *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	check(dm_remove(&l->vault), "remove");
}

/* ---- Contents ----------------------------------------------------------- */

static void fill(u8 *block, u32 lba, u32 number)
{
	struct prng p;

	prng_seed(&p, (u64)number << 32 | lba);
	prng_fill(&p, block, BLOCK);
	memcpy(block, &number, sizeof(number));
}

static int put(struct lab *l, u32 lba)
{
	int err;

	l->tried[lba] = ++l->number;
	fill(l->buf, lba, l->number);
	err = write_blocks(l->fd, lba, l->buf, 1);
	if (!err)
		l->written[lba] = l->number;
	return err;
}

static void flushed(struct lab *l)
{
	memcpy(l->durable, l->written, sizeof(l->durable));
}

/* Number in a block, after a look at all the rest of it. */
static u32 number_in(struct lab *l, u32 lba, const u8 *block)
{
	u8 want[BLOCK];
	u32 number;

	(void)l;
	memcpy(&number, block, sizeof(number));
	memset(want, 0, sizeof(want));
	if (number)
		fill(want, lba, number);
	if (memcmp(want, block, BLOCK))
		die("faults: block %u is torn or garbage", lba);
	return number;
}

/*
 * After a re-attach: nothing older than what a flush promised, nothing that was
 * never tried.  From here on that is what is there.
 */
static void verify(struct lab *l, const char *after)
{
	u32 lba, n;

	check(read_blocks(l->fd, 0, l->buf, BLOCKS), after);
	for (lba = 0; lba < BLOCKS; lba++) {
		n = number_in(l, lba, l->buf + lba * BLOCK);
		if (n < l->durable[lba] || n > l->tried[lba])
			die("faults: after %s: block %u has write %u; %u was promised, %u the last tried",
			    after, lba, n, l->durable[lba], l->tried[lba]);
		l->written[lba] = l->durable[lba] = l->tried[lba] = n;
	}
}

/* While attached: a read gives the last write that ended well. */
static void verify_live(struct lab *l, const char *after)
{
	u32 lba, n;

	check(read_blocks(l->fd, 0, l->buf, BLOCKS), after);
	for (lba = 0; lba < BLOCKS; lba++) {
		n = number_in(l, lba, l->buf + lba * BLOCK);
		if (n != l->written[lba])
			die("faults: after %s: block %u has write %u and not %u",
			    after, lba, n, l->written[lba]);
	}
}

/* ---- The n-th allocation ------------------------------------------------ */

static void put_text(const char *path, const char *text, bool must)
{
	int fd = open(path, O_WRONLY);

	if ((fd < 0 || write(fd, text, strlen(text)) < 0) && must)
		die("faults: %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static int nth_fd = -1;

static void arm(u32 n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	if (nth_fd < 0)
		nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth_fd < 0 || pwrite(nth_fd, text, strlen(text), 0) < 0)
		die("faults: fail-nth: %s", strerror(errno));
}

/* True if the fault was injected, false if there were not so many. */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		die("faults: fail-nth: %s", strerror(errno));
	arm(0);
	return atoi(text) == 0;
}

struct operation {
	const char *name;
	bool (*run)(struct lab *l, u32 n);	/* true: a fault was injected */
};

static bool result(struct lab *l, int err)
{
	bool injected = disarm();

	l->injected += injected;
	l->failed += !!err;
	if (err && !injected)
		die("faults: failed with no fault injected: %s", strerror(-err));
	return injected;
}

static bool run_load(struct lab *l, u32 n)
{
	struct dm_line line = { 0, 8, "zero", "" };
	char args[256];
	bool injected;
	int err;

	check(dm_create(&l->vault, "faulty", &line, 1, false), "create");
	line_of(l, &line, args, sizeof(args));
	arm(n);
	err = dm_reload(&l->vault, &line, 1, false);
	injected = result(l, err);
	check(dm_remove(&l->vault), "remove");
	return injected;
}

static bool run_attach(struct lab *l, u32 n)
{
	struct dm_line line = { 0, 8, "zero", "" };
	char args[256];
	bool injected;
	int err;

	check(dm_create(&l->vault, "faulty", &line, 1, false), "create");
	line_of(l, &line, args, sizeof(args));
	check(dm_reload(&l->vault, &line, 1, false), "load");
	check(dm_suspend(&l->vault, false), "suspend");
	arm(n);
	err = dm_resume(&l->vault);
	injected = result(l, err);
	if (!err) {
		l->fd = open_direct(l->vault.path, O_RDWR);
		check(l->fd < 0 ? l->fd : 0, "open");
		verify(l, "attach");
	}
	detach(l);
	return injected;
}

/* Write, then one more operation under the fault, then a re-attach. */
static bool with_data(struct lab *l, u32 n, const char *name,
		      int (*operation)(struct lab *l))
{
	bool injected;
	int err;
	u32 i;

	attach(l);
	for (i = 0; i < 6; i++)
		check(put(l, prng_below(&l->prng, BLOCKS)), "write");
	arm(n);
	err = operation(l);
	injected = result(l, err);
	verify_live(l, name);
	detach(l);
	attach(l);
	verify(l, name);
	detach(l);
	return injected;
}

static int do_commit(struct lab *l)
{
	int err = dm_message(&l->vault, "commit");

	if (!err)
		flushed(l);
	return err;
}

static int do_checkpoint(struct lab *l)
{
	int err = dm_message(&l->vault, "checkpoint");

	if (!err)
		flushed(l);
	return err;
}

static int do_fsync(struct lab *l)
{
	int err = fsync(l->fd) ? -errno : 0;

	if (!err)
		flushed(l);
	return err;
}

static int do_write(struct lab *l)
{
	return put(l, 5);
}

static int do_read(struct lab *l)
{
	return read_blocks(l->fd, 0, l->buf, BLOCKS);
}

static int do_discard(struct lab *l)
{
	/* Of a block that nobody looks at: its state is unknown on failure. */
	return discard_blocks(l->fd, BLOCKS + 10, 300);
}

static int do_suspend(struct lab *l)
{
	int err = dm_suspend(&l->vault, false);

	if (!err)
		err = dm_resume(&l->vault);
	return err;
}

#define WITH_DATA(name) \
	static bool run_##name(struct lab *l, u32 n) \
	{ \
		return with_data(l, n, #name, do_##name); \
	}
WITH_DATA(commit)
WITH_DATA(checkpoint)
WITH_DATA(fsync)
WITH_DATA(write)
WITH_DATA(read)
WITH_DATA(discard)

/* A vault whose resume failed cannot be looked at before it is attached anew. */
static bool run_suspend(struct lab *l, u32 n)
{
	bool injected;
	int err;

	attach(l);
	check(put(l, 3), "write");
	check(do_fsync(l), "fsync");
	arm(n);
	err = do_suspend(l);
	injected = result(l, err);
	if (err)
		dm_resume(&l->vault);
	detach(l);
	attach(l);
	verify(l, "suspend and resume");
	detach(l);
	return injected;
}

static const struct operation operations[] = {
	{ "load", run_load },		{ "attach", run_attach },
	{ "commit", run_commit },	{ "checkpoint", run_checkpoint },
	{ "fsync", run_fsync },		{ "write", run_write },
	{ "read", run_read },		{ "discard", run_discard },
	{ "suspend and resume", run_suspend },
};

static int nth(struct lab *l)
{
	static const char slab[] = "/sys/kernel/debug/failslab/ignore-gfp-wait";
	static const char page[] = "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait";
	u32 i, n;

	put_text(slab, "N", true);
	put_text(page, "N", true);
	put_text("/sys/kernel/debug/fail_page_alloc/min-order", "0", false);
	/* A stack trace for each would take longer than the rest. */
	put_text("/sys/kernel/debug/failslab/verbose", "0", true);
	put_text("/sys/kernel/debug/fail_page_alloc/verbose", "0", true);
	for (i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		u64 failed = l->failed;

		for (n = 1; operations[i].run(l, n); n++)
			if (n == 5000)
				die("faults: %s never ends", operations[i].name);
		printf("faults: %s: each of %u allocations failed once, %llu times it said so\n",
		       operations[i].name, n - 1,
		       (unsigned long long)(l->failed - failed));
	}
	put_text(slab, "Y", true);
	put_text(page, "Y", true);
	return 0;
}

/* ---- Requests that fail at random --------------------------------------- */

static void make_fail(const char *path, bool on)
{
	struct stat st;
	char file[128];

	if (stat(path, &st))
		die("faults: %s: %s", path, strerror(errno));
	snprintf(file, sizeof(file), "/sys/dev/block/%u:%u/make-it-fail",
		 major(st.st_rdev), minor(st.st_rdev));
	put_text(file, on ? "1" : "0", true);
}

static void faults(struct lab *l, bool on)
{
	u64 which = prng_below(&l->prng, 3);

	make_fail(l->data_path, on && which != 0);
	make_fail(l->anchor_path, on && which != 1);
}

static void storm_round(struct lab *l)
{
	bool stopped = false;
	u32 i;

	attach(l);
	verify(l, "a storm");
	faults(l, true);
	for (i = 0; i < 150 && !stopped; i++) {
		u64 dice = prng_below(&l->prng, 100);
		int err;

		if (dice < 80) {
			err = put(l, prng_below(&l->prng, BLOCKS));
		} else if (dice < 95) {
			err = do_fsync(l);
			/* After a failed flush nothing may succeed any more. */
			stopped = err && prng_chance(&l->prng, 50);
			if (err && do_fsync(l) != -EIO)
				die("faults: a flush after a failed one succeeded");
		} else {
			err = do_checkpoint(l);
		}
		if (err && err != -EIO)
			die("faults: an error became %s", strerror(-err));
		l->failed += !!err;
	}
	faults(l, false);
	/* Reads of what is verified go on, whatever has failed. */
	verify_live(l, "a storm, live");
	detach(l);
}

static int storm(struct lab *l, u32 rounds)
{
	static const char dir[] = "/sys/kernel/debug/fail_make_request/";
	char file[128];
	u32 i;

	snprintf(file, sizeof(file), "%stimes", dir);
	put_text(file, "-1", true);
	snprintf(file, sizeof(file), "%sverbose", dir);
	put_text(file, "0", true);
	snprintf(file, sizeof(file), "%sprobability", dir);
	for (i = 0; i < rounds; i++) {
		put_text(file, i & 1 ? "3" : "20", true);
		storm_round(l);
	}
	put_text(file, "0", true);
	printf("faults: %u storms, %llu operations failed\n", rounds,
	       (unsigned long long)l->failed);
	return l->failed < rounds;
}

int main(int argc, char **argv)
{
	struct lab l;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		die("see the head of faults.c");
	setup(&l, argv[1], argv[2]);
	if (!strcmp(argv[3], "nth"))
		return nth(&l);
	if (!strcmp(argv[3], "storm") && argc == 5)
		return storm(&l, atoi(argv[4]));
	die("see the head of faults.c");
}
