// SPDX-License-Identifier: GPL-2.0
/*
 * The workload: alone and with several threads, with flushes, FUA writes,
 * discards, overwrites, checkpoints under load, a full volume, and detach and
 * attach in the middle.  Each promise that the vault makes is marked in the log
 * after it was made, so that at every point of the log it is known what must be
 * there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

struct worker {
	struct recorder *r;
	struct prng prng;
	u8 *buf;
	int fd;
	u32 steps;
	u32 burst;		/* most blocks of a write */
	u32 sync_percent;
	const bool *go_on;	/* before its steps, as long as this is so */
	u32 most;		/* but no more than so many: the log has an end */
};

static void check(int err, const char *what)
{
	if (err)
		die("record: %s: %s", what, strerrorname_np(-err));
}

void mark_time(struct recorder *r, u64 time)
{
	check(dm_message(&r->log, "mark F:%llu", (unsigned long long)time),
	      "mark");
}

static void do_write(struct worker *w, u32 lba, u32 count, bool fua)
{
	struct oracle *o = w->r->o;
	u32 op = oracle_begin(o, OP_WRITE, lba, count), i;

	for (i = 0; i < count; i++)
		oracle_fill(o, op + i, w->buf + (size_t)i * BLOCK);
	check(fua ? write_blocks_fua(w->fd, lba, w->buf, count) :
		    write_blocks(w->fd, lba, w->buf, count), "write");
	oracle_end(o, op, count);
	if (fua)
		check(dm_message(&w->r->log, "mark W:%u:%u", op, count), "mark");
}

static void do_flush(struct worker *w)
{
	u64 time = oracle_tick(w->r->o);

	if (fsync(w->fd))
		check(-errno, "fsync");
	mark_time(w->r, time);
}

static void do_discard(struct worker *w, u32 lba, u32 count)
{
	struct oracle *o = w->r->o;
	u32 op = oracle_begin(o, OP_ZERO, lba, count);
	int err = discard_blocks(w->fd, lba, count);

	if (err == -EOPNOTSUPP && strcmp(w->r->s->target, "qvault"))
		die("the stand-in must support discard");
	check(err, "discard");
	oracle_end(o, op, count);
}

static u32 blocks_now(const struct recorder *r)
{
	return r->s->size[__atomic_load_n(&r->now.size, __ATOMIC_ACQUIRE)].logical_blocks;
}

/* Most writes go where writes went before: overwriting is what can go wrong. */
static u32 pick(struct worker *w, u32 count)
{
	u32 blocks = blocks_now(w->r), span = blocks;

	if (prng_chance(&w->prng, 70))
		span = blocks / 4 + count;
	if (span > blocks)
		span = blocks;
	return prng_below(&w->prng, span - count + 1);
}

static void step(struct worker *w)
{
	u32 dice = prng_below(&w->prng, 100), count, burst = w->burst;

	if (dice < w->sync_percent) {
		do_flush(w);
		return;
	}
	count = 1 + prng_below(&w->prng, prng_chance(&w->prng, 25) ? burst : 3);
	if (dice >= 97)
		do_discard(w, pick(w, count), count);
	else if (dice == 96)
		check(strcmp(w->r->s->target, "qvault") ? 0 :
		      dm_message(&w->r->vault, "checkpoint"), "checkpoint");
	else
		do_write(w, pick(w, count), count, dice >= 90);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->go_on && __atomic_load_n(w->go_on, __ATOMIC_RELAXED) && w->most--)
		step(w);
	while (w->steps--)
		step(w);
	return NULL;
}

static void open_worker(struct worker *w, struct recorder *r, u64 salt)
{
	memset(w, 0, sizeof(*w));
	w->r = r;
	w->buf = block_buffer(MAX_IO);
	prng_seed(&w->prng, r->s->seed ^ salt << 32);
	w->burst = 24;
	w->sync_percent = 15;
	w->fd = open_direct(r->vault.path, O_RDWR);
	check(w->fd < 0 ? w->fd : 0, "open");
}

static void close_worker(struct worker *w)
{
	close(w->fd);
	free(w->buf);
}

static void alone(struct recorder *r, u32 steps, u64 salt)
{
	struct worker w;

	open_worker(&w, r, salt);
	w.steps = steps;
	work(&w);
	close_worker(&w);
}

/* @beside: what is done to the vault meanwhile; or NULL. */
static void together(struct recorder *r, u32 steps, u64 salt,
		     void (*beside)(struct recorder *r))
{
	u32 n = r->s->threads, i;
	struct worker w[n];
	pthread_t thread[n];
	bool go_on = beside;

	for (i = 0; i < n; i++) {
		open_worker(&w[i], r, salt + i);
		w[i].steps = steps;
		w[i].go_on = &go_on;
		w[i].most = 300;
		if (pthread_create(&thread[i], NULL, work, &w[i]))
			die("no thread");
	}
	if (beside)
		beside(r);
	__atomic_store_n(&go_on, false, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		close_worker(&w[i]);
	}
}

/* Every block mapped: what is written now lives on the spare space alone. */
static void fill_up(struct recorder *r, u64 salt)
{
	u32 lba, n, blocks = blocks_now(r);
	struct worker w;

	open_worker(&w, r, salt);
	for (lba = 0; lba < blocks; lba += n) {
		n = blocks - lba < 200 ? blocks - lba : 200;
		do_write(&w, lba, n, false);
	}
	do_flush(&w);
	w.burst = 60;
	w.sync_percent = 10;
	w.steps = 40;
	work(&w);
	close_worker(&w);
}

/*
 * Suspended and resumed, with a table anew now and then: what has been written is
 * durable after it, as after a flush.
 */
static void rest(struct recorder *r, bool reload)
{
	u64 sectors = (u64)blocks_now(r) * QVAULT_SECTORS;
	u64 time = oracle_tick(r->o);
	char args[1024];
	struct dm_line line = { 0, sectors, r->s->target, args };

	if (strcmp(r->s->target, "qvault"))
		return;
	table_line(r->s, &r->now, r->data.number, r->anchor.number, "", args,
		   sizeof(args));
	if (reload)
		check(dm_reload(&r->vault, &line, 1, false), "reload");
	check(dm_suspend(&r->vault, false), "suspend");
	mark_time(r, time);
	check(dm_resume(&r->vault), "resume");
}

static void detach(struct recorder *r)
{
	check(dm_remove(&r->vault), "detach");
	mark_time(r, oracle_tick(r->o));
}

void table_line(const struct setup *s, const struct way *way, const char *data,
		const char *anchor, const char *more, char *out, size_t size)
{
	u32 options = strtoul(s->options, NULL, 10) + !!*more;
	const char *words = strchr(s->options, ' ');

	snprintf(out, size, "%s %s %s", data, anchor, key_name(way->key));
	if (options)
		snprintf(out + strlen(out), size - strlen(out), " %u%s%s%s", options,
			 words ? words : "", *more ? " " : "", more);
}

int attach(const struct setup *s, struct dm_dev *vault, const char *name,
	   const struct dm_dev *data, const struct dm_dev *anchor,
	   const struct way *way, bool read_only)
{
	u64 sectors = s->size[way->size].logical_blocks * QVAULT_SECTORS;
	char args[1024];

	if (!strcmp(s->target, "linear"))
		return dm_create1(vault, name, sectors, "linear", read_only,
				  "%s 0", data->number);
	table_line(s, way, data->number, anchor->number, "", args, sizeof(args));
	return dm_create1(vault, name, sectors, s->target, read_only, "%s", args);
}

static void attach_recorded(struct recorder *r)
{
	check(attach(r->s, &r->vault, "qvrec", &r->data, &r->anchor, &r->now,
		     false), "attach");
}

static void stack(struct recorder *r)
{
	u64 blocks = r->s->geo.data_blocks;
	char base[32], log[32];

	check(dm_create1(&r->log, "qvlog", (blocks + QVAULT_ANCHOR_BLOCKS) * QVAULT_SECTORS,
			 "log-writes", false, "%s %s",
			 device_number(r->s->record_base, base),
			 device_number(r->s->record_log, log)), "log-writes");
	check(dm_create1(&r->data, "qvrdata",
			 r->s->size[0].data_blocks * QVAULT_SECTORS,
			 "linear", false, "%s 0", r->log.number), "data slice");
	check(dm_create1(&r->anchor, "qvranchor",
			 QVAULT_ANCHOR_BLOCKS * QVAULT_SECTORS, "linear", false, "%s %llu", r->log.number,
			 (unsigned long long)blocks * QVAULT_SECTORS),
	      "anchor slice");
}

static void unstack(struct recorder *r)
{
	check(dm_message(&r->log, "mark end"), "mark");
	check(dm_remove(&r->anchor), "remove");
	check(dm_remove(&r->data), "remove");
	check(dm_remove(&r->log), "remove");
}

static void format_base(struct setup *s)
{
	void *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);
	int fd = open_direct(s->record_base, O_RDWR);

	check(fd < 0 ? fd : 0, s->record_base);
	vault_format(&s->params, anchor);
	check(write_blocks(fd, s->geo.data_blocks, anchor,
			   QVAULT_ANCHOR_BLOCKS), "format");
	close(fd);
	free(anchor);
}

static void changes_beside(struct recorder *r)
{
	change_generation(r);
	change_key(r);
	change_size(r);
}

/* Other threads write all the time, and so between its checkpoint and its record. */
static void hold_beside(struct recorder *r)
{
	u32 held, i;

	for (i = 0; i < 3; i++) {
		usleep(2000);
		held = hold(r);
		usleep(4000);
		release(r, held);
	}
}

/* Its key and its size change, while nobody uses it and while many do. */
static void round_of_changes(struct recorder *r, u64 salt)
{
	u32 held;

	alone(r, 20, salt + 40);
	change_key(r);
	alone(r, 10, salt + 41);
	change_size(r);
	alone(r, 10, salt + 42);
	held = hold(r);
	alone(r, 12, salt + 43);
	release(r, held);
	change_generation(r);
	together(r, 10, salt + 50, changes_beside);
	together(r, 10, salt + 60, hold_beside);
}

void record(struct setup *s, struct oracle *o, struct log *log)
{
	struct recorder r = { .s = s, .o = o };
	u32 round;

	format_base(s);
	stack(&r);
	for (round = 0; round < s->rounds; round++) {
		attach_recorded(&r);
		if (s->files) {
			files_work(s, &r.log, &r.vault, round);
			detach(&r);
			continue;
		}
		alone(&r, 60, 100 * round + 1);
		rest(&r, round % 2);
		if (round % 3 == 1)
			fill_up(&r, 100 * round + 2);
		if (s->grow)
			round_of_changes(&r, 100 * round);
		together(&r, 40, 100 * round + 10, NULL);
		if (round % 4 == 3)
			alone(&r, 30, 100 * round + 3);
		detach(&r);
	}
	unstack(&r);
	check(log_read(s->record_log, log), "reading the log");
	oracle_index(o);
}
