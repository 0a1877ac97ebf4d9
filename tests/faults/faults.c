// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation, or each request to a device, of an attach, commit, checkpoint,
 * write, read, suspend, key change, growth and so on fails once; and requests to both
 * devices, or allocations, fail at random.
 *
 * usage: faults DATA ANCHOR nth          two slices, the program formats them
 *        faults DATA ANCHOR io STEP      both of target probe (tests/lab/probe);
 *                                        every STEP-th request, 1: all
 *        faults DATA ANCHOR storm ROUNDS
 *        faults DATA ANCHOR famine ROUNDS
 *
 * All but io need a kernel with FAULT_INJECTION.  nth is about allocations of the
 * thread that asks, famine about those of the vault's own threads too.
 *
 * An operation may fail or succeed.  What it said must be true afterwards, and
 * the kernel must have nothing to complain about (the laboratory looks).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "faults.h"

void check(int err, const char *what)
{
	if (err)
		die("faults: %s: %s", what, strerror(-err));
}

const char *key_name(u32 key)
{
	return key ? ":64:logon:qvault:other" : vault_key_name;
}

/* A vault that holds nothing. */
void begin_anew(struct lab *l, u64 data_blocks)
{
	void *image = block_buffer(QVAULT_ANCHOR_BLOCKS);
	int fd = open_direct(l->anchor_path, O_RDWR);

	vault_default_params(&l->params, data_blocks, 16, &l->geo);
	vault_format(&l->params, image);
	check(write_blocks(fd, 0, image, QVAULT_ANCHOR_BLOCKS), "format");
	close(fd);
	free(image);
	l->key = 0;
	memset(l->durable, 0, sizeof(l->durable));
	memset(l->written, 0, sizeof(l->written));
	memset(l->tried, 0, sizeof(l->tried));
}

static void setup(struct lab *l, const char *data, const char *anchor)
{
	int fd = open_direct(data, O_RDWR);

	memset(l, 0, sizeof(*l));
	l->data_path = data;
	l->anchor_path = anchor;
	device_number(data, l->data);
	device_number(anchor, l->anchor);
	l->buf = block_buffer(BLOCKS);
	l->fd = -1;
	prng_seed(&l->prng, 3);
	l->device_blocks = device_blocks(fd);
	close(fd);
	begin_anew(l, l->device_blocks);
	vault_add_key(&l->params);
	l->params.master[0] ^= 1;
	vault_add_key_named(&l->params, key_name(1));
	l->params.master[0] ^= 1;
}

void line_of(struct lab *l, struct dm_line *line, char *args, size_t size)
{
	snprintf(args, size, "%s %s %s 2 commit_seconds 0", l->data, l->anchor,
		 key_name(l->key));
	*line = (struct dm_line){ 0, l->geo.logical_blocks * QVAULT_SECTORS,
				  "qvault", args };
}

void attach(struct lab *l)
{
	char args[256];
	struct dm_line line;
	int err;

	line_of(l, &line, args, sizeof(args));
	err = dm_create(&l->vault, "faulty", &line, 1, false);
	if (err == -EKEYREJECTED && l->either) {
		l->key = !l->key;
		line_of(l, &line, args, sizeof(args));
		err = dm_create(&l->vault, "faulty", &line, 1, false);
	}
	l->either = false;
	check(err, "attach");
	l->fd = open_direct(l->vault.path, O_RDWR);
	check(l->fd < 0 ? l->fd : 0, "open");
}

void detach(struct lab *l)
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

int put(struct lab *l, u32 lba)
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
void verify(struct lab *l, const char *after)
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
void verify_live(struct lab *l, const char *after)
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

static void arm_allocation(u32 n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	if (nth_fd < 0)
		nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth_fd < 0 || pwrite(nth_fd, text, strlen(text), 0) < 0)
		die("faults: fail-nth: %s", strerror(errno));
}

static bool disarm_allocation(void)
{
	char text[16] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		die("faults: fail-nth: %s", strerror(errno));
	arm_allocation(0);
	return atoi(text) == 0;
}

/* Requests of the device that have failed so far, and flushes among them. */
static u64 failed_requests(struct dm_dev *probe, u64 *flushes)
{
	char status[512];
	unsigned long long seen, failed, all, of_them;

	check(dm_status(probe, false, status, sizeof(status)), "status of a probe");
	if (sscanf(status, "%llu %llu %llu %llu", &seen, &failed, &all, &of_them) != 4)
		die("faults: a probe says: %s", status);
	*flushes = of_them;
	return failed;
}

void arm(struct lab *l, u32 n)
{
	if (!l->probe) {
		arm_allocation(n);
		return;
	}
	l->failed_before = failed_requests(l->probe, &l->flushes_before);
	check(dm_message(l->probe, "fail %u %s", n, l->when), "fail");
}

/* True if the fault was injected, false if there were not so many. */
static bool disarm(struct lab *l)
{
	u64 flushes;

	if (!l->probe)
		return disarm_allocation();
	check(dm_message(l->probe, "fail 0 before"), "fail");
	return failed_requests(l->probe, &flushes) != l->failed_before;
}

bool result(struct lab *l, int err)
{
	bool injected = disarm(l);

	l->injected += injected;
	l->failed += !!err;
	if (err && !injected)
		die("faults: failed with no fault injected: %s", strerror(-err));
	/*
	 * Without memory there may be another way; without a device there is not,
	 * but that a record is written again.
	 */
	if (l->probe == &l->probes[0] && injected && !err && !l->operation->silent &&
	    !l->operation->heals && !l->operation->guesses)
		die("faults: a request failed, and nobody said so");
	return injected;
}

/* What is durable is not known: nothing may be promised any more. */
static void must_have_stopped(struct lab *l)
{
	char status[512];

	check(dm_status(&l->vault, false, status, sizeof(status)), "status");
	if (strncmp(status, "failed ", 7))
		die("faults: the vault goes on: %s", status);
	if (!fsync(l->fd) || errno != EIO)
		die("faults: a flush after a failed one succeeded");
	if (!write_blocks(l->fd, BLOCKS, l->buf, 1))
		die("faults: a write after a failed flush succeeded");
}

/* Nothing is in doubt: what could not be made durable is, the next time. */
static void must_go_on(struct lab *l)
{
	char status[512];

	check(dm_status(&l->vault, false, status, sizeof(status)), "status");
	if (strncmp(status, "write ", 6))
		die("faults: the vault has stopped for nothing: %s", status);
	check(fsync(l->fd) ? -errno : 0, "fsync after what passes");
	flushed(l);
}

void must_have_written_anew(struct lab *l)
{
	char status[512], *word;
	u32 n;

	check(dm_status(&l->vault, false, status, sizeof(status)), "status");
	/* The 19th word; see qvault.rst. */
	for (n = 1, word = strtok(status, " "); word && n < 19; n++)
		word = strtok(NULL, " ");
	if (!word || !atoi(word))
		die("faults: a first copy was bad, and nobody said so: %s healed",
		    word ?: "none");
}

/* The request was for the first copy of a node: the next checkpoint writes it anew. */
static void must_have_healed(struct lab *l)
{
	check(dm_message(&l->vault, "checkpoint"), "checkpoint");
	must_have_written_anew(l);
}

/* Only a flush that failed may have lost what nobody can say. */
void must_be_right(struct lab *l)
{
	u64 flushes;

	failed_requests(l->probe, &flushes);
	if (l->probe == &l->probes[0] && flushes != l->flushes_before) {
		l->stopped++;
		must_have_stopped(l);
	} else {
		l->went_on++;
		must_go_on(l);
	}
}

/* Something to commit; where requests are counted, more than one record holds. */
void dirty(struct lab *l)
{
	u32 i;

	for (i = 0; i < 6; i++)
		check(put(l, prng_below(&l->prng, BLOCKS)), "write");
	for (i = 0; i < 130 && l->probe; i++)
		check(write_blocks(l->fd, BLOCKS + 10 * i, l->buf, 1), "write far off");
}

static bool run_load(struct lab *l, u32 n)
{
	struct dm_line line = { 0, 8, "zero", "" };
	char args[256];
	bool injected;
	int err;

	check(dm_create(&l->vault, "faulty", &line, 1, false), "create");
	line_of(l, &line, args, sizeof(args));
	arm(l, n);
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
	arm(l, n);
	err = dm_resume(&l->vault);
	injected = result(l, err);
	if (!err) {
		l->fd = open_direct(l->vault.path, O_RDWR);
		check(l->fd < 0 ? l->fd : 0, "open");
		verify(l, "attach");
		if (injected && l->probe == &l->probes[0])
			must_have_healed(l);
	}
	detach(l);
	return injected;
}

/* Write, then one more operation under the fault, then a re-attach. */
bool with_data(struct lab *l, u32 n, const char *name,
		      int (*operation)(struct lab *l))
{
	bool injected;
	int err;

	attach(l);
	dirty(l);
	arm(l, n);
	err = operation(l);
	injected = result(l, err);
	if (l->probe && injected)
		must_be_right(l);
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

int do_checkpoint(struct lab *l)
{
	int err = dm_message(&l->vault, "checkpoint");

	if (!err)
		flushed(l);
	return err;
}

int do_fsync(struct lab *l)
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

/* Which of both a failed one has left is open until somebody reads it. */
static int do_fua(struct lab *l)
{
	u32 lba = 5, found;
	int err;

	l->tried[lba] = ++l->number;
	fill(l->buf, lba, l->number);
	err = write_blocks_fua(l->fd, lba, l->buf, 1);
	if (!err) {
		l->written[lba] = l->durable[lba] = l->number;
		return 0;
	}
	check(read_blocks(l->fd, lba, l->buf, 1), "read after a failed write");
	found = number_in(l, lba, l->buf);
	if (found == l->tried[lba])
		l->written[lba] = found;
	return err;
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
WITH_DATA(fua)
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
	arm(l, n);
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

/* A removal cannot fail; what it did or not must be one state all the same. */
static bool run_detach(struct lab *l, u32 n)
{
	bool injected;

	attach(l);
	dirty(l);
	check(do_fsync(l), "fsync");
	check(put(l, 7), "write");
	arm(l, n);
	detach(l);
	injected = result(l, 0);
	attach(l);
	verify(l, "detach");
	detach(l);
	return injected;
}

/* As attach, with a log to read: the checkpoint before it failed. */
static bool run_recovery(struct lab *l, u32 n)
{
	bool injected;

	attach(l);
	dirty(l);
	check(do_fsync(l), "fsync");
	if (l->probe)
		check(dm_message(&l->probes[0], "fail 1 before"), "fail");
	detach(l);
	injected = run_attach(l, n);
	attach(l);
	verify(l, "recovery");
	detach(l);
	return injected;
}

static const struct operation operations[] = {
	{ .name = "load", .run = run_load },
	{ .name = "commit", .run = run_commit, .commits = true },
	{ .name = "checkpoint", .run = run_checkpoint, .guesses = true },
	{ .name = "fsync", .run = run_fsync, .commits = true },
	{ .name = "write", .run = run_write, .guesses = true },
	{ .name = "FUA write", .run = run_fua, .guesses = true },
	{ .name = "read", .run = run_read },
	{ .name = "discard", .run = run_discard, .guesses = true },
	{ .name = "suspend and resume", .run = run_suspend, .silent = true },
	{ .name = "detach", .run = run_detach, .silent = true },
	/* The roots stand twice. */
	{ .name = "attach", .run = run_attach, .heals = true },
	{ .name = "recovery", .run = run_recovery, .heals = true },
	{ .name = "generation", .run = run_generation },
	{ .name = "key change", .run = run_key_change },
	{ .name = "hold and release", .run = run_hold, .guesses = true },
	{ .name = "repair", .run = run_repair, .silent = true },
	{ .name = "keys wiped and set", .run = run_wipe },
	{ .name = "growth", .run = run_growth, .guesses = true },
	{ .name = "attach that grows", .run = run_attach_grows, .heals = true },
	{ .name = "healing", .run = run_heal, .heals = true },
};

#define OPERATIONS	(sizeof(operations) / sizeof(*operations))

/* One operation until no fault reaches it any more.  Returns how many did. */
static u32 exhaust(struct lab *l, const struct operation *operation, u32 step)
{
	u32 n, count = 0;

	l->operation = operation;
	l->failed = 0;
	for (n = 1; operation->run(l, n); n += step)
		if (++count == 5000)
			die("faults: %s never ends", operation->name);
	return count;
}

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
	for (i = 0; i < OPERATIONS; i++) {
		n = exhaust(l, &operations[i], 1);
		printf("faults: %s: each of %u allocations failed once, %llu times it said so\n",
		       operations[i].name, n, (unsigned long long)l->failed);
	}
	put_text(slab, "Y", true);
	put_text(page, "Y", true);
	return 0;
}

/* ---- The n-th request --------------------------------------------------- */

static struct dm_dev probe_of(const char *path)
{
	struct dm_dev dev = { 0 };

	snprintf(dev.name, sizeof(dev.name), "%s", strrchr(path, '/') + 1);
	return dev;
}

static int io(struct lab *l, u32 step)
{
	static const char *const whens[] = { "before", "after" };
	u32 i, d, w, n[2], sum = 0;

	l->probes[0] = probe_of(l->data_path);
	l->probes[1] = probe_of(l->anchor_path);
	for (i = 0; i < OPERATIONS; i++) {
		for (w = 0; w < 2; w++) {
			l->when = whens[w];
			for (d = 0; d < 2; d++) {
				l->probe = &l->probes[d];
				n[d] = exhaust(l, &operations[i], step);
				sum += n[d];
			}
			printf("faults: %s: %u requests to data and %u to the anchor failed once each, %s they were done\n",
			       operations[i].name, n[0], n[1], l->when);
		}
		/* Log, flush, look, record: else this has not looked at a commit at all. */
		if (step == 1 && operations[i].commits && (n[0] < 2 || n[1] < 2))
			die("faults: that was no whole commit");
	}
	printf("faults: %u requests failed: %llu times the vault went on, %llu times it stopped\n",
	       sum, (unsigned long long)l->went_on, (unsigned long long)l->stopped);
	if (step == 1 && (!l->went_on || !l->stopped))
		die("faults: one of both was not tried");
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
			/* The next may succeed; if so what it says is true. */
			stopped = err && do_fsync(l) && prng_chance(&l->prng, 50);
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

/* ---- Allocations that fail at random ------------------------------------ */

static const char slab_dir[] = "/sys/kernel/debug/failslab/";

static void put_slab(const char *name, const char *text)
{
	char file[128];

	snprintf(file, sizeof(file), "%s%s", slab_dir, name);
	put_text(file, text, true);
}

/* The kernel's own threads, which are those without a program; and us, or not. */
static void starve_who(bool us)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[300], exe[8];

	while (proc && (entry = readdir(proc))) {
		bool yes = atoi(entry->d_name) == getpid() && us;

		snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
		if (atoi(entry->d_name) != getpid())
			yes = readlink(path, exe, sizeof(exe)) <= 0;
		snprintf(path, sizeof(path), "/proc/%s/make-it-fail", entry->d_name);
		put_text(path, yes ? "1" : "0", false);
	}
	if (proc)
		closedir(proc);
}

/* Also if we die, or nobody after us can do anything.  Itself in need of memory. */
static void feed(void)
{
	char file[128];
	int fd;

	snprintf(file, sizeof(file), "%sprobability", slab_dir);
	do
		fd = open(file, O_WRONLY);
	while (fd < 0 && errno == ENOMEM);
	while (fd >= 0 && write(fd, "0", 1) < 0 && errno == ENOMEM)
		;
	close(fd);
}

#define TIMES	1000000

/* Allocations that have failed since it was set to that. */
static u64 starved(void)
{
	char text[16] = "", file[128];
	int fd;

	snprintf(file, sizeof(file), "%stimes", slab_dir);
	fd = open(file, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		die("faults: %s: %s", file, strerror(errno));
	close(fd);
	return TIMES - atoi(text);
}

/*
 * Those that may sleep as well, in every thread.  A write or a read may say that
 * it had no memory, a commit has what it needs: the vault goes on.
 */
static void famine_round(struct lab *l, bool us, const char *probability)
{
	char status[512];
	u32 i;

	attach(l);
	verify(l, "a famine");
	starve_who(us);
	put_slab("probability", probability);
	for (i = 0; i < 150; i++) {
		u64 dice = prng_below(&l->prng, 100);
		int err;

		if (dice < 80)
			err = put(l, prng_below(&l->prng, BLOCKS));
		else if (dice < 95)
			err = do_fsync(l);
		else
			err = do_checkpoint(l);
		if (err && err != -ENOMEM)
			die("faults: no memory became %s", strerror(-err));
		l->failed += !!err;
	}
	feed();
	verify_live(l, "a famine, live");
	check(dm_status(&l->vault, false, status, sizeof(status)), "status");
	if (strncmp(status, "write ", 6))
		die("faults: a famine stopped the vault: %s", status);
	detach(l);
}

static int famine(struct lab *l, u32 rounds)
{
	u64 kernel = 0, before;
	u32 i;

	atexit(feed);
	put_slab("times", "1000000");
	put_slab("verbose", "0");
	put_slab("task-filter", "Y");
	put_slab("ignore-gfp-wait", "N");
	for (i = 0; i < rounds; i++) {
		before = starved();
		famine_round(l, i & 1, i & 2 ? "3" : "20");
		kernel += i & 1 ? 0 : starved() - before;
	}
	printf("faults: %u famines: %llu allocations failed, in half of the rounds %llu of the kernel's own threads; %llu operations said so\n",
	       rounds, (unsigned long long)starved(), (unsigned long long)kernel,
	       (unsigned long long)l->failed);
	return !kernel;
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
	if (!strcmp(argv[3], "io") && argc == 5)
		return io(&l, atoi(argv[4]));
	if (!strcmp(argv[3], "storm") && argc == 5)
		return storm(&l, atoi(argv[4]));
	if (!strcmp(argv[3], "famine") && argc == 5)
		return famine(&l, atoi(argv[4]));
	die("see the head of faults.c");
}
