// SPDX-License-Identifier: GPL-2.0
/*
 * What volumes of 1 GiB to 64 TiB cost: see Documentation/testing.rst.
 *
 * usage: scale.bin       prints a table, then a line for each limit
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>

#include "scale.h"

#define GIB	(1ull << (30 - QVAULT_BLOCK_SHIFT))
#define TIB	(1024 * GIB)
#define MS	1000000ull
#define WRITERS	16

static u32 passed, failed;

/* What a log has when it is said to be full: writers wait soon after that. */
#define FULL(v)	((v)->log_limit / 4 * 3)

/* A limit, and what was measured. */
static void judge(const char *what, double is, double most, const char *unit)
{
	bool ok = is <= most;

	printf("%s  %s: %.4g%s, limit %.4g\n", ok ? "PASS" : "FAIL", what, is, unit, most);
	*(ok ? &passed : &failed) += 1;
}

/* ---- Latencies ---- */

struct latencies {
	u64 *ns;
	u32 nr, max;
};

static void note(struct latencies *l, u64 ns)
{
	if (l->nr == l->max) {
		l->max = l->max ? 2 * l->max : 1024;
		l->ns = realloc(l->ns, l->max * sizeof(*l->ns));
	}
	l->ns[l->nr++] = ns;
}

static int by_size(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* ms; 0 if there are none. */
static double quantile(struct latencies *l, double q)
{
	if (!l->nr)
		return 0;
	qsort(l->ns, l->nr, sizeof(*l->ns), by_size);
	return (double)l->ns[min((u32)(q * l->nr), l->nr - 1)] / MS;
}

static void forget(struct latencies *l)
{
	free(l->ns);
	memset(l, 0, sizeof(*l));
}

/* ---- Users ---- */

static struct work {
	u64 writes;			/* that are still to be begun */
	u64 done;
	u64 homes;			/* that went where they would be read in order */
	u64 range;			/* over so many blocks; 0: over all */
	u32 fsync;			/* of each writer after so many; 0: 64 */
	bool until_full;		/* no longer than without a checkpoint */
	u32 running;
	wait_queue_head_t ended;
	struct latencies calm, meanwhile, fsyncs;
} work;

static struct rng chance;

static bool is_full(struct qvault *v)
{
	return qvault_log_used(v) >= FULL(v) || qvault_alloc_low(v);
}

static void data_io(void)
{
	u8 *buf = qvault_buf_try();

	qvault_dev_read(&host->data, 0, buf);	/* takes as long as a write */
	host->data.reads--;
	host->data.writes++;
	qvault_buf_put(buf);
}

static void write_one(struct qvault *v, struct qvault_write *w)
{
	u64 begun = host->now;
	bool meanwhile = mutex_is_locked(&v->checkpoint_mutex);
	int err;

	w->logical = rng_below(&chance, work.range ?: v->geo.logical_blocks);
	w->count = 1;
	err = qvault_write_begin(v, w);
	if (err)
		shim_fail("write: %d", err);
	work.homes += w->ptr[0].where == qvault_home(&v->geo, w->logical);
	data_io();
	err = qvault_write_end(v, w, 0);
	if (err)
		shim_fail("write_end: %d", err);
	meanwhile |= mutex_is_locked(&v->checkpoint_mutex);
	note(meanwhile ? &work.meanwhile : &work.calm, host->now - begun);
	work.done++;
}

static void fsync(struct qvault *v)
{
	u64 begun = host->now;
	int err = qvault_commit(v);

	if (err)
		shim_fail("commit: %d", err);
	note(&work.fsyncs, host->now - begun);
}

static void writer(void *arg)
{
	struct qvault_write *w = calloc(1, struct_size(w, ptr, 1));
	struct qvault *v = &host->v;
	u32 every = work.fsync ?: 64;
	u32 n = every * (unsigned long)arg / WRITERS;	/* not all at once */

	while (work.writes && !(work.until_full && is_full(v))) {
		work.writes--;
		write_one(v, w);
		if (!(++n % every))
			fsync(v);
	}
	free(w);
	work.running--;
	wake_up(&work.ended);
}

static void checkpoints(void *arg)
{
	struct qvault *v = &host->v;

	for (;;) {
		wait_event(host->kick_wait, host->kicked || host->stopping);
		if (host->stopping)
			break;
		host->kicked = false;
		if (!host->no_checkpoints && qvault_checkpoint(v))
			shim_fail("a checkpoint failed");
	}
	work.running--;
	wake_up(&work.ended);
}

static void trims(void *arg)
{
	struct qvault *v = &host->v;

	for (;;) {
		wait_event(host->kick_wait, host->trim_kicked || host->stopping);
		if (host->stopping)
			break;
		host->trim_kicked = false;
		while (qvault_trim(v) && !host->stopping)
			;
	}
	work.running--;
	wake_up(&work.ended);
}

/* @writes at random by all writers; the checkpoints that are due run beside them. */
static void run_writers(u64 writes, bool until_full)
{
	unsigned long i;

	forget(&work.calm);
	forget(&work.meanwhile);
	forget(&work.fsyncs);
	work.writes = writes;
	work.done = work.homes = 0;
	work.until_full = until_full;
	work.running = WRITERS;
	init_waitqueue_head(&work.ended);
	host->stopping = false;
	host->no_checkpoints = until_full;
	for (i = 0; i < WRITERS; i++)
		task_spawn(&host->sched, "writer", writer, (void *)i);
	wait_event(work.ended, !work.running);
}

/* The same with the threads of a vault. */
static void run_life(u64 writes)
{
	task_spawn(&host->sched, "checkpoints", checkpoints, NULL);
	task_spawn(&host->sched, "trims", trims, NULL);
	run_writers(writes, false);
	work.running = 2;
	host->stopping = true;
	wake_up(&host->kick_wait);
	wait_event(work.ended, !work.running);
}

/* ---- What is measured ---- */

/* Of one operation. */
struct cost {
	u64 ns, cpu, reads, writes;
};

static struct cost since(void)
{
	return (struct cost){ host->now, host_cpu(), host->data.reads, host->data.writes };
}

static struct cost cost(const struct cost *from)
{
	struct cost now = since();

	return (struct cost){ now.ns - from->ns, now.cpu - from->cpu,
			      now.reads - from->reads, now.writes - from->writes };
}

struct row {
	const char *size;
	u64 blocks, delay;
	u64 writes;			/* in the log */
	double reads_each, cpu_each;	/* of a write */
	struct cost checkpoint, attach;
	double calm, meanwhile;		/* ms that 999 of 1,000 writes take */
	double memory[2];		/* MiB: writes, attach */
	double lock, stretch;		/* ms of the processor */
};

static struct row *row;

#define MEMORY_MIB 64

static void attach(void)
{
	struct qvault_disk_anchor *record = qvault_buf_try();
	struct qvault *v = &host->v;
	int err = qvault_init(v);

	if (!err)
		err = qvault_attach(v, record);
	if (err)
		shim_fail("attach: %d, %s", err, v->reason ?: "");
	qvault_buf_put(record);
}

static void detach(void)
{
	if (qvault_detach(&host->v))
		shim_fail("detach failed");
	qvault_exit(&host->v);
}

static double mib(u64 bytes)
{
	return bytes / 1048576.;
}

static void fill_log(void *arg)
{
	struct cost before;

	attach();
	before = since();
	run_writers(~0ull >> 1, true);
	before = cost(&before);
	if (atomic64_read(&host->v.counters.checkpoints))
		shim_fail("a checkpoint has emptied the log");
	row->writes = work.done;
	row->reads_each = (double)before.reads / work.done;
	row->cpu_each = (double)before.cpu / work.done;
	row->calm = quantile(&work.calm, .999);
	row->memory[0] = mib(host->memory_peak);
}

static void attach_again(void *arg)
{
	struct cost before = since();

	attach();
	row->attach = cost(&before);
	row->memory[1] = mib(host->memory_peak);
}

/* The longest that a lock under which nobody sleeps was held, ms. */
static double longest(bool tell)
{
	u64 most = 0;
	u32 i;

	for (i = 0; i < host->nr_locks; i++) {
		if (tell)
			printf("      %-24s %9.3f ms of %s\n", host->lock[i].name,
			       (double)host->lock[i].longest / MS,
			       host->lock[i].sleeps ? "the devices" : "the processor");
		if (!host->lock[i].sleeps)
			most = max(most, host->lock[i].longest);
	}
	return (double)most / MS;
}

/* An attach, then the checkpoint of all that was in the log. */
static void attach_and_suspend(void *arg)
{
	struct cost before;

	attach_again(NULL);
	host_forget_times();
	host->time_locks = true;
	before = since();
	if (qvault_suspend(&host->v))
		shim_fail("suspend failed");
	row->checkpoint = cost(&before);
	host->time_locks = false;
	row->lock = longest(false);
	row->stretch = (double)host->stretch / MS;
	host->memory_peak = host->memory;
	run_life(2 * row->writes);
	row->meanwhile = quantile(&work.meanwhile, .999);
	row->calm = quantile(&work.calm, .999);
	row->memory[0] = max(row->memory[0], mib(host->memory_peak));
	detach();
}

static double seconds(u64 ns)
{
	return (double)ns / 1e9;
}

/* How many times what its I/Os take if the device always has enough of them. */
static double times(const struct cost *c, u64 delay)
{
	return (double)c->ns / ((c->reads + c->writes) * delay / DEPTH);
}

static void measure(struct row *r)
{
	row = r;
	chance.state = r->blocks;
	host_init(r->blocks, r->delay, MEMORY_MIB, true);
	host_run(fill_log, NULL);
	host_crash();
	host_run(attach_and_suspend, NULL);
	host_exit();
	printf("%-8s %4.1f %8llu %6.2f %6.1f | %7.2f %7llu %7llu %5.1f %6.2f | %6.3f %6.3f %6llu | %6.1f %6.1f | %5.1f %5.1f | %6.3f %6.2f\n",
	       r->size, (double)r->delay / MS, r->writes, r->reads_each,
	       r->cpu_each / 1000, seconds(r->checkpoint.ns), r->checkpoint.reads,
	       r->checkpoint.writes, times(&r->checkpoint, r->delay),
	       seconds(r->checkpoint.cpu), seconds(r->attach.ns), seconds(r->attach.cpu),
	       r->attach.reads, r->calm, r->meanwhile, r->memory[0], r->memory[1],
	       r->lock, r->stretch);
	fflush(stdout);
}

/* A log that was written with much memory, attached with as little as there can be. */
static double small_attach(u64 blocks)
{
	struct row small = { .blocks = blocks };

	row = &small;
	chance.state = blocks;
	host_init(blocks, 2 * MS, MEMORY_MIB, true);
	host_run(fill_log, NULL);
	host_crash();
	host->v.memory_mib = 1;
	host_run(attach_again, NULL);
	printf("the same log, attached with memory_mib 1: %.2f s, %llu reads, %llu writes\n",
	       seconds(small.attach.ns), small.attach.reads, small.attach.writes);
	host_crash();
	host_exit();
	return small.memory[1];
}

/* ---- Other ways to use a large volume ---- */

struct homes {
	double share, cpu_each;		/* ns */
};

static void write_homes(void *arg)
{
	struct homes *h = arg;
	u64 cpu;

	attach();
	cpu = host_cpu();
	run_life(100000);
	h->share = (double)work.homes / work.done;
	h->cpu_each = (double)(host_cpu() - cpu) / work.done;
	detach();
}

/* Random writes into an empty volume: how many are where they would be read in order. */
static struct homes homes(u64 blocks, u32 memory_mib, bool full)
{
	struct homes h;

	chance.state = blocks;
	host_init(blocks, 0, memory_mib, full);
	host_run(write_homes, &h);
	host_exit();
	return h;
}

/* What mkfs does first, in requests of 4 GiB. */
static void discard_all(void *arg)
{
	struct qvault *v = &host->v;
	struct cost *c = arg, before;
	u64 i, log_blocks, n;

	attach();
	log_blocks = atomic64_read(&v->counters.log_blocks);
	before = since();
	for (i = 0; i < v->geo.logical_blocks; i += n) {
		n = min(v->geo.logical_blocks - i, 1ull << 20);
		if (qvault_unmap(v, i, n))
			shim_fail("unmap failed");
	}
	if (qvault_commit(v))
		shim_fail("commit failed");
	*c = cost(&before);
	c->writes = atomic64_read(&v->counters.log_blocks) - log_blocks;
	detach();
}

static void scattered_discards(void *arg)
{
	struct qvault *v = &host->v;
	double *memory = arg;
	u32 i;

	attach();
	host->memory_peak = host->memory;
	for (i = 0; i < 300000; i++)
		if (qvault_unmap(v, rng_below(&chance, v->geo.logical_blocks), 1) ||
		    (i % 1000 == 999 && qvault_commit(v)))
			shim_fail("unmap failed");
	*memory = mib(host->memory_peak);
	detach();
}

/* fsync of what is written again and again, and then passed down. */
static void write_and_pass(void *arg)
{
	double *worst = arg;

	host->v.allow_discards = *worst > 0;
	work.range = 20000;
	work.fsync = 1000;
	attach();
	run_life(300000);
	work.range = work.fsync = 0;
	*worst = quantile(&work.fsyncs, 1);
	detach();
}

static double passed_down(bool allow)
{
	double worst = allow;

	chance.state = 1;
	host_init(TIB, 2 * MS, MEMORY_MIB, true);
	host_run(write_and_pass, &worst);
	host_exit();
	return worst;
}

/* ---- All of it ---- */

static struct row rows[] = {
	{ .size = "1 GiB", .blocks = GIB, .delay = MS / 10 },
	{ .size = "1 GiB", .blocks = GIB, .delay = 2 * MS },
	{ .size = "64 GiB", .blocks = 64 * GIB, .delay = MS / 10 },
	{ .size = "64 GiB", .blocks = 64 * GIB, .delay = 2 * MS },
	{ .size = "1 TiB", .blocks = TIB, .delay = MS / 10 },
	{ .size = "1 TiB", .blocks = TIB, .delay = 2 * MS },
	{ .size = "16 TiB", .blocks = 16 * TIB, .delay = MS / 10 },
	{ .size = "16 TiB", .blocks = 16 * TIB, .delay = 2 * MS },
};

static void table(void)
{
	u32 i;

	printf("full volumes, %u writers of random blocks, memory_mib %u\n", WRITERS,
	       MEMORY_MIB);
	printf("                   a write       | suspend with a full log               | attach after a crash | p99.9 of writes | memory, MiB | longest, ms\n");
	printf("size       ms   writes  reads cpu us |       s   reads  writes times  cpu s |      s  cpu s  reads |   calm  meanw. | write attch |   lock no rest\n");
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		measure(&rows[i]);
}

static void judge_rows(void)
{
	const struct row *r = &rows[ARRAY_SIZE(rows) - 1];
	double memory = 0, lock = 0, stretch = 0;
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (n = 0; n < 2; n++)
			memory = max(memory, rows[i].memory[n]);
		/* Two rows are of one size: what both need is not the machine's doing. */
		lock = max(lock, min(rows[i].lock, rows[i ^ 1].lock));
		stretch = max(stretch, min(rows[i].stretch, rows[i ^ 1].stretch));
	}
	judge("16 TiB, 2 ms: checkpoint of a full log, of what its I/Os take at 64 a time",
	      times(&r->checkpoint, r->delay), 3, " times");
	judge("16 TiB, 2 ms: attach with a full log", seconds(r->attach.ns + r->attach.cpu),
	      .5, " s");
	judge("16 TiB, 2 ms: p99.9 of writes while a checkpoint runs, of that without",
	      r->meanwhile / r->calm, 10, " times");
	judge("most memory", memory, MEMORY_MIB, " MiB");
	/* Half a MiB a vault has put by whatever its limit is, for when there is none left. */
	judge("16 TiB: memory of an attach with memory_mib 1", small_attach(16 * TIB), 1.5,
	      " MiB");
	judge("longest that a spinlock is held in a checkpoint", lock, 1, " ms");
	judge("longest without a place to reschedule in a checkpoint", stretch, 10, " ms");
}

static void judge_others(void)
{
	struct homes one = homes(TIB, 64, false), many = homes(16 * TIB, 64, false);
	struct homes little = homes(16 * TIB, 64, true), much = homes(16 * TIB, 2048, true);
	struct cost discard;
	double memory, without = passed_down(false), with = passed_down(true);

	printf("random write, 16 TiB: %.1f us of the processor with memory_mib 64, %.1f with 2048\n",
	       little.cpu_each / 1000, much.cpu_each / 1000);
	judge("empty 1 TiB: writes that do not go home", 100 * (1 - one.share), 10, " %");
	judge("empty 16 TiB: writes that do not go home", 100 * (1 - many.share), 10, " %");
	judge("16 TiB: processor for a write with memory_mib 2048, of that with 64",
	      much.cpu_each / little.cpu_each, 2, " times");
	host_init(64 * TIB, 2 * MS, MEMORY_MIB, false);
	host_run(discard_all, &discard);
	host_exit();
	judge("empty 64 TiB: discard of all", seconds(discard.ns + discard.cpu), 2, " s");
	judge("empty 64 TiB: log blocks for it", discard.writes, 1, "");
	host_init(16 * TIB, MS / 10, MEMORY_MIB, true);
	host_run(scattered_discards, &memory);
	host_exit();
	judge("16 TiB: memory with scattered discards", memory, MEMORY_MIB, " MiB");
	printf("slowest fsync without discards passed down: %.1f ms\n", without);
	judge("slowest fsync while discards are passed down, of that without",
	      with / without, 1.5, " times");
}

int main(void)
{
	table();
	judge_rows();
	judge_others();
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed ? 1 : 0;
}
