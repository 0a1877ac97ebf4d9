// SPDX-License-Identifier: GPL-2.0
/*
 * usage: concurrency selftest
 *        concurrency PHASE SECONDS SEED DATA ANCHOR      see phases[] below
 *
 * A phase is a vault made anew and rounds on it. In each, threads use it and are
 * disturbed; then it is flushed and read, the history of each watched block is
 * judged, and once it was removed and attached again it must hold the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "concurrency.h"

#define DEVICE		"racer"
#define READER		WORKERS		/* the number of the one that judges */
#define MAX_DISTURBERS	3
/* With 1 MiB of memory eight are kept. */
#define MANY_GROUPS	(12 * QVAULT_GROUP_BLOCKS)

static const struct phase {
	const char *name;
	const char *options;
	u32 blocks;			/* of the data device */
	double round;			/* seconds */
	bool messages, suspends, full, discards, ephemeral, deferred;
} phases[] = {
	{ .name = "race", .blocks = 24576, .round = 3,
	  .options = "4 commit_seconds 1 memory_mib 1" },
	{ .name = "messages", .blocks = 24576, .round = 3, .messages = true,
	  .options = "4 commit_seconds 1 memory_mib 1" },
	/* Groups that come and go, and what a checkpoint sets free is discarded. */
	{ .name = "discards", .blocks = MANY_GROUPS, .round = 3, .messages = true,
	  .discards = true,
	  .options = "5 commit_seconds 1 memory_mib 1 allow_discards" },
	{ .name = "suspends", .blocks = 24576, .round = 3, .messages = true,
	  .suspends = true, .options = "4 commit_seconds 1 memory_mib 1" },
	{ .name = "full", .blocks = 4096, .round = 3, .messages = true, .full = true,
	  .options = "5 commit_seconds 1 memory_mib 1 allow_discards" },
	{ .name = "ephemeral", .blocks = 24576, .round = 3, .messages = true,
	  .suspends = true, .ephemeral = true, .options = "2 memory_mib 1" },
	{ .name = "detach", .blocks = MANY_GROUPS, .round = 0.3, .messages = true,
	  .deferred = true,
	  .options = "5 commit_seconds 1 memory_mib 1 allow_discards" },
};

struct race {
	const struct phase *phase;
	struct vault v;
	u64 seed;
	struct worker worker[WORKERS + 1];
	struct disturber disturber[MAX_DISTURBERS];
	u64 value[HOT_BLOCKS];		/* what the last round left */

	u64 operations, histories, overlapping, on_cpu[2];
};

u64 ticket(void)
{
	static atomic_ullong last;

	return atomic_fetch_add(&last, 1) + 1;
}

int hot_index(const struct vault *v, u64 block)
{
	u32 i;

	for (i = 0; i < ISLANDS; i++)
		if (block - v->island[i] < ISLAND_BLOCKS)
			return i * ISLAND_BLOCKS + block - v->island[i];
	return -1;
}

u64 hot_block(const struct vault *v, u32 hot)
{
	return v->island[hot / ISLAND_BLOCKS] + hot % ISLAND_BLOCKS;
}

/* Ends the program; not suspended, or its other threads would wait for ever. */
void complain(struct vault *v, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	atomic_store(&v->stop, true);
	dm_resume(&v->dev);
	die("%s: %s", v->phase, text);
}

/* ---- The vault ---------------------------------------------------------- */

static void attach(struct vault *v)
{
	char data[32], anchor[32] = "-";
	int err;

	if (!v->ephemeral)
		device_number(v->anchor, anchor);
	err = dm_create1(&v->dev, DEVICE, v->params.logical_blocks * QVAULT_SECTORS,
			 "qvault", false, "%s %s %s %s",
			 device_number(v->data, data), anchor,
			 v->ephemeral ? "-" : vault_key_name, v->options);
	if (err)
		die("%s: attach: %s", v->phase, strerror(-err));
}

/* Its name goes first, the vault then, and its node at last. */
static void wait_until_gone(struct vault *v)
{
	double deadline = now() + 60;

	while (!access(v->dev.path, F_OK)) {
		if (now() > deadline)
			die("%s: it is closed, and yet does not go away", v->phase);
		usleep(1000);
	}
}

static void format(struct vault *v)
{
	void *image = block_buffer(QVAULT_ANCHOR_BLOCKS);
	int fd = open_direct(v->anchor, O_RDWR);

	vault_format(&v->params, image);
	if (fd < 0 || write_blocks(fd, 0, image, QVAULT_ANCHOR_BLOCKS))
		die("%s: cannot write", v->anchor);
	close(fd);
	free(image);
}

/*
 * Places across borders of leaves, some of them of subtrees, from one end to the
 * other; in a large volume in more groups than are kept in memory.
 */
static void choose_islands(struct vault *v)
{
	u64 all = v->params.logical_blocks, border = QVAULT_FANOUT;
	u32 i;

	if (all > 2 * ISLANDS * border * QVAULT_FANOUT)
		border *= QVAULT_FANOUT;
	v->scribbled = all - WORKERS * SCRIBBLED;
	for (i = 1; i < ISLANDS - 1; i++)
		v->island[i] = i * all / (ISLANDS - 1) / border * border - ISLAND_BLOCKS / 2;
	v->island[ISLANDS - 1] = v->scribbled - ISLAND_BLOCKS;
}

static void open_all(struct race *r)
{
	u32 i;

	for (i = 0; i <= WORKERS; i++) {
		r->worker[i].fd = open_direct(r->v.dev.path, O_RDWR);
		if (r->worker[i].fd < 0)
			die("%s: open: %s", r->v.phase, strerror(-r->worker[i].fd));
	}
}

static void close_all(struct race *r)
{
	u32 i;

	for (i = 0; i <= WORKERS; i++)
		close(r->worker[i].fd);
}

static void fill_up(struct race *r)
{
	u64 block, i, n, all = r->v.params.logical_blocks;
	u8 *buf = block_buffer(MAX_IO);

	for (block = 0; block < all; block += n) {
		n = all - block < MAX_IO ? all - block : MAX_IO;
		for (i = 0; i < n; i++)
			fill_block(buf + i * BLOCK, block + i, new_value());
		if (write_blocks(r->worker[READER].fd, block, buf, n))
			die("full: cannot fill it up");
	}
	free(buf);
}

/* ---- A round ------------------------------------------------------------ */

static pthread_t start(void *(*function)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, arg))
		die("no thread");
	return thread;
}

/* Under load it is told to go once nobody uses it; until then all is as before. */
static void remove_later(struct race *r)
{
	int fd, err = dm_remove_deferred(&r->v.dev);

	if (err)
		complain(&r->v, "deferred removal: %s", strerror(-err));
	fd = open_direct(r->v.dev.path, O_RDONLY);
	if (fd < 0)
		complain(&r->v, "open before it is gone: %s", strerror(-fd));
	close(fd);
}

static void run(struct race *r, double seconds)
{
	pthread_t worker[WORKERS], disturber[MAX_DISTURBERS], scribbler;
	u32 i, n = 0;

	atomic_store(&r->v.stop, false);
	atomic_store(&r->disturber[0].enough, false);
	scribbler = start(scribble, r->worker);
	for (i = 0; i < WORKERS; i++)
		worker[i] = start(work, &r->worker[i]);
	disturber[n++] = start(remove_in_vain, &r->disturber[0]);
	if (r->phase->messages)
		disturber[n++] = start(send_messages, &r->disturber[1]);
	if (r->phase->suspends)
		disturber[n++] = start(suspend_and_reload, &r->disturber[2]);
	usleep(seconds * 5e5);
	if (r->phase->deferred) {
		/* Its own refusals would be different ones from here on. */
		atomic_store(&r->disturber[0].enough, true);
		pthread_join(disturber[0], NULL);
		remove_later(r);
	}
	usleep(seconds * 5e5);
	atomic_store(&r->v.stop, true);
	for (i = r->phase->deferred; i < n; i++)
		pthread_join(disturber[i], NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(worker[i], NULL);
	pthread_join(scribbler, NULL);
}

static void detach(struct race *r)
{
	int err = r->phase->deferred ? 0 : dm_remove(&r->v.dev);

	if (err)
		die("%s: remove: %s", r->v.phase, strerror(-err));
	wait_until_gone(&r->v);
}

static void judge_block(struct race *r, u32 hot, struct history_op *op)
{
	const struct history_op *bad;
	size_t nr = 0, i, k;

	for (i = 0; i <= WORKERS; i++)
		for (k = 0; k < r->worker[i].nr; k++)
			if (r->worker[i].record[k].hot == hot)
				op[nr++] = r->worker[i].record[k].op;
	bad = history_check(op, nr, r->value[hot], &r->overlapping);
	if (bad) {
		printf("block %llu, which held %llu:\n",
		       (unsigned long long)hot_block(&r->v, hot),
		       (unsigned long long)r->value[hot]);
		history_print(op, nr, bad);
		die("%s: no order explains what was read", r->v.phase);
	}
	r->histories++;
}

static void judge(struct race *r)
{
	struct history_op *op;
	size_t all = 0;
	u32 i;

	for (i = 0; i <= WORKERS; i++)
		all += r->worker[i].nr;
	op = calloc(all + 1, sizeof(*op));
	if (!op)
		die("out of memory");
	for (i = 0; i < HOT_BLOCKS; i++)
		judge_block(r, i, op);
	free(op);
	for (i = 0; i <= WORKERS; i++)
		r->worker[i].nr = 0;
}

static void read_and_compare(struct race *r)
{
	struct worker *reader = &r->worker[READER];
	u64 value[HOT_BLOCKS];
	u32 i;

	read_all(reader, value);
	reader->nr = 0;
	for (i = 0; i < HOT_BLOCKS; i++)
		if (value[i] != r->value[i])
			die("%s: block %llu held %llu, and after an attach %llu",
			    r->v.phase, (unsigned long long)hot_block(&r->v, i),
			    (unsigned long long)r->value[i],
			    (unsigned long long)value[i]);
	for (i = 0; i < WORKERS; i++)
		check_scribbled(reader, &r->worker[i]);
}

static void one_round(struct race *r)
{
	struct worker *reader = &r->worker[READER];
	u64 last[HOT_BLOCKS];
	u32 i;

	run(r, r->phase->round);
	if (fsync(reader->fd))
		die("%s: fsync: %s", r->v.phase, strerror(errno));
	read_all(reader, last);
	for (i = 0; i < WORKERS; i++)
		check_scribbled(reader, &r->worker[i]);
	judge(r);
	memcpy(r->value, last, sizeof(last));
	if (r->phase->ephemeral)
		return;
	close_all(r);
	detach(r);
	attach(&r->v);
	open_all(r);
	read_and_compare(r);
}

/* ---- A phase ------------------------------------------------------------ */

static void set_up(struct race *r, const struct phase *phase, u64 seed,
		   const char *data, const char *anchor)
{
	struct vault *v = &r->v;
	struct qvault_geometry geo;
	u32 i;

	r->phase = phase;
	v->data = data;
	v->anchor = anchor;
	v->phase = phase->name;
	v->options = phase->options;
	v->ephemeral = phase->ephemeral;
	v->full = phase->full;
	v->suspends = phase->suspends;
	v->discards = phase->discards;
	/* A short log, so that there are many checkpoints; where it can be chosen. */
	vault_default_params(&v->params, phase->blocks, phase->ephemeral ?
			     qvault_default_log_blocks(phase->blocks) : 64, &geo);
	/* What an earlier phase left on the device must not verify in this one. */
	memcpy(v->params.uuid, &seed, sizeof(seed));
	memcpy(v->params.uuid + 8, phase->name, 4);
	choose_islands(v);
	for (i = 0; i <= WORKERS; i++)
		worker_init(&r->worker[i], v, i, seed << 8 | i);
	for (i = 0; i < MAX_DISTURBERS; i++) {
		r->disturber[i].v = v;
		prng_seed(&r->disturber[i].p, seed << 8 | 100 | i);
	}
	vault_add_key(&v->params);
	if (!v->ephemeral)
		format(v);
	attach(v);
	open_all(r);
	if (v->full) {
		fill_up(r);
		read_all(&r->worker[READER], r->value);
		r->worker[READER].nr = 0;
	}
}

/* So that a run on a slow machine has seen something of everything. */
static const char *lacking(const struct race *r)
{
	const u64 *vain = r->disturber[0].count, *message = r->disturber[1].count;
	const u64 *suspend = r->disturber[2].count;
	u64 operations = 0, cpu[2] = { 0 }, scribbles = 0;
	u32 i;

	for (i = 0; i < WORKERS; i++) {
		operations += r->worker[i].operations;
		scribbles += r->worker[i].scribbles;
		cpu[0] += r->worker[i].on_cpu[0];
		cpu[1] += r->worker[i].on_cpu[1];
	}
	if (operations < 300 || r->overlapping < 100)
		return "operations that overlap";
	if (!scribbles)
		return "writes of memory that changes";
	if (cpu[0] * 20 < operations || cpu[1] * 20 < operations)
		return "work on two processors";
	if (!vain[0])
		return "removals in vain";
	if (r->phase->messages &&
	    (!message[0] || !message[1] || !message[2] || !message[3]))
		return "messages";
	if (r->phase->suspends && (!suspend[0] || !suspend[1] || !suspend[2]))
		return "suspends and reloads";
	return NULL;
}

static void report(const struct race *r)
{
	u64 operations = 0, disturbances = 0;
	u32 i, k;

	for (i = 0; i < WORKERS; i++)
		operations += r->worker[i].operations;
	for (i = 0; i < MAX_DISTURBERS; i++)
		for (k = 0; k < DISTURBANCES; k++)
			disturbances += r->disturber[i].count[k];
	printf("%llu operations, %llu histories, %llu overlapped, %llu disturbances\n",
	       (unsigned long long)operations, (unsigned long long)r->histories,
	       (unsigned long long)r->overlapping, (unsigned long long)disturbances);
}

static int run_phase(const struct phase *phase, char **arg)
{
	static struct race race;
	double end = now() + strtod(arg[0], NULL);
	const char *lack;
	u32 i;

	set_up(&race, phase, strtoull(arg[1], NULL, 0), arg[2], arg[3]);
	do {
		one_round(&race);
		lack = lacking(&race);
		if (lack && now() > end + 60)
			die("%s: too few %s", phase->name, lack);
	} while (now() < end || lack);
	close_all(&race);
	if (dm_remove(&race.v.dev))
		die("%s: remove: %s", phase->name, strerror(errno));
	for (i = 0; i <= WORKERS; i++)
		worker_exit(&race.worker[i]);
	report(&race);
	return 0;
}

int main(int argc, char **argv)
{
	u32 i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "selftest")) {
		history_selftest();
		return 0;
	}
	for (i = 0; argc == 6 && i < sizeof(phases) / sizeof(phases[0]); i++)
		if (!strcmp(argv[1], phases[i].name))
			return run_phase(&phases[i], argv + 2);
	die("see the head of concurrency.c");
}
