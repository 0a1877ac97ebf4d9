// SPDX-License-Identifier: GPL-2.0
/*
 * Attach after a crash: how often it waits for the device, what it takes of memory, and
 * that it finds all that the log says, whoever wrote that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/kernel.h>

#include "sim.h"
#include "test.h"

#define MIB (1ull << 20)

/* What a log says of the first blocks of a volume. */
struct logged {
	struct fixture *f;
	struct rng rng;
	u64 blocks;			/* so many of them */
	struct qvault_ptr *ptr;		/* of each; or NULL: they are too many */
	u64 places;			/* used so far: homes of those behind */
	u64 entries;
};

static void logged_init(struct logged *l, struct fixture *f, u64 blocks, bool model)
{
	memset(l, 0, sizeof(*l));
	l->f = f;
	l->rng.state = 11;
	l->blocks = blocks;
	if (model)
		l->ptr = calloc(blocks, sizeof(*l->ptr));
}

/* Commits are cheap, so that pages are full.  False: the log has no room. */
static bool room(struct qvault *v, u32 count)
{
	if (v->stream.nr_pages > 20)
		CHECK(!qvault_commit(v));
	return qvault_stream_reserve(v, count * QVAULT_ENTRY_WORST);
}

/* A run, in one place. */
static bool log_write(struct logged *l, u64 logical, u32 count)
{
	struct qvault_ptr ptr[QVAULT_MAX_RUN] = {};
	struct qvault *v = l->f->v;
	u64 version;
	u32 i;

	if (!room(v, count))
		return false;
	version = qvault_new_versions(v, count);
	for (i = 0; i < count; i++) {
		ptr[i].gen = v->anchor.seal;
		ptr[i].version = version + i;
		ptr[i].where = qvault_home(&v->geo, l->blocks + l->places++);
		memcpy(ptr[i].tag, &ptr[i].version, sizeof(version));
		if (l->ptr)
			l->ptr[logical + i] = ptr[i];
	}
	write_lock(&v->map_lock);
	qvault_stream_append(v, logical, ptr, count);
	qvault_stream_release(v, count * QVAULT_ENTRY_WORST);
	write_unlock(&v->map_lock);
	l->entries++;
	return true;
}

static bool log_unmap(struct logged *l, u64 logical, u64 count)
{
	struct qvault *v = l->f->v;

	if (!room(v, 1))
		return false;
	write_lock(&v->map_lock);
	qvault_stream_append_unmap(v, logical, count);
	qvault_stream_release(v, QVAULT_ENTRY_WORST);
	write_unlock(&v->map_lock);
	l->entries++;
	if (l->ptr && logical < l->blocks)
		memset(&l->ptr[logical], 0,
		       min(count, l->blocks - logical) * sizeof(*l->ptr));
	return true;
}

/* The power goes, and all that is in memory. */
static void crash(struct fixture *f)
{
	WRITE_ONCE(f->v->mode, QVAULT_MODE_DETACHED);
	qvault_exit(f->v);
	memset(&f->v->counters, 0, sizeof(f->v->counters));
	CHECK(!qvault_init(f->v));
}

struct cost {
	u64 rounds, writes, bytes;
	u64 us;				/* of the processor: told, and not judged */
};

static u64 processor(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static int attach(struct fixture *f, u32 memory_mib, bool read_only, struct cost *cost)
{
	struct world *world = &f->world;
	u64 rounds = world->read_rounds, writes = world->data.writes;
	int err;

	world->sched.heap_peak = world->sched.heap_bytes;
	f->v->memory_mib = memory_mib;
	f->v->read_only = read_only;
	cost->us = processor();
	err = test_attach(f);
	cost->us = processor() - cost->us;
	cost->rounds = world->read_rounds - rounds;
	cost->writes = world->data.writes - writes;
	/* With what qvault_init() has put by. */
	cost->bytes = world->sched.heap_peak;
	return err;
}

static void print(const char *what, const struct logged *l, const struct cost *cost)
{
	printf("      %s: %llu log blocks, %llu entries: %llu rounds of reads, %llu writes, %llu KiB of memory, %llu ms of the processor\n",
	       what, (unsigned long long)qvault_log_used(l->f->v),
	       (unsigned long long)l->entries, (unsigned long long)cost->rounds,
	       (unsigned long long)cost->writes, (unsigned long long)cost->bytes >> 10,
	       (unsigned long long)cost->us / 1000);
}

/* Everything is as the log said. */
static void compare(struct logged *l)
{
	struct qvault_ptr ptr[QVAULT_MAX_RUN];
	u64 i, bad = 0;
	u32 n, j;

	for (i = 0; i < l->blocks; i += n) {
		n = min_t(u64, QVAULT_MAX_RUN, l->blocks - i);
		CHECK(!qvault_lookup(l->f->v, i, n, ptr));
		for (j = 0; j < n; j++)
			bad += ptr[j].version != l->ptr[i + j].version ||
			       ptr[j].where != l->ptr[i + j].where ||
			       memcmp(ptr[j].tag, l->ptr[i + j].tag, QVAULT_TAG_SIZE);
	}
	CHECK(!bad);
}

static u64 nr_mapped(const struct logged *l)
{
	u64 i, n = 0;

	for (i = 0; i < l->blocks; i++)
		n += !!l->ptr[i].version;
	return n;
}

/* How much memory would do, by what it says. */
static u32 asked_for(const struct qvault *v)
{
	const char *words = v->reason ? strstr(v->reason, ": memory_mib ") : NULL;

	return words ? strtoul(words + strlen(": memory_mib "), NULL, 10) : 0;
}

/* ---- A full log of scattered writes, over 16 TiB ---- */

static void scattered(struct fixture *f)
{
	struct qvault *v = f->v;
	void *platform = v->platform;
	struct qvault_ptr ptr[1];
	struct logged l;
	struct cost cost;
	u64 lots;

	crash(f);
	CHECK(!attach(f, 128, false, &cost));
	v->platform = NULL;
	logged_init(&l, f, v->geo.logical_blocks / 2, false);
	/* Their places are in as many groups as they are. */
	while (log_write(&l, rng_below(&l.rng, l.blocks), 1))
		l.places += 9972;
	CHECK(l.places < l.blocks);
	CHECK(!qvault_commit(v));
	v->platform = platform;
	CHECK(qvault_log_used(v) > QVAULT_DEFAULT_LOG_BLOCKS * 3 / 4);

	crash(f);
	CHECK(!attach(f, 128, false, &cost));
	print("16 TiB, memory_mib 128", &l, &cost);
	/* Each block is read twice, many at a time; and then there are the records. */
	lots = DIV_ROUND_UP_ULL(qvault_log_used(v), QVAULT_READS);
	CHECK(cost.rounds <= 2 * lots + 10);
	CHECK(!cost.writes);
	CHECK(cost.bytes < 128 * MIB);
	CHECK(v->alloc.nr_fresh > l.entries * 9 / 10);
	/* The place of the first write is in use, also for whose home it is. */
	CHECK(qvault_alloc_blocks(v, l.blocks, 1, ptr) == 1);
	CHECK(ptr[0].where != qvault_home(&v->geo, l.blocks));
	crash(f);
}

void test_attach_scattered(void)
{
	with_vault(1ull << 32, QVAULT_DEFAULT_LOG_BLOCKS, scattered);
}

/* ---- A log that takes more memory than there is ---- */

static void fill_log(struct logged *l)
{
	struct qvault *v = l->f->v;
	u64 blocks = l->blocks;
	u32 i;

	/* From marks over all that there is down to single blocks. */
	CHECK(log_unmap(l, 0, v->geo.logical_blocks));
	for (i = 0; i < 4000; i++)
		CHECK(log_write(l, rng_below(&l->rng, blocks), 1));
	CHECK(log_unmap(l, blocks / 3, blocks / 3));
	for (i = 0; qvault_log_used(v) < 200; i++) {
		log_write(l, rng_below(&l->rng, blocks), 1);
		if (i % 50 == 0)
			log_unmap(l, rng_below(&l->rng, blocks - 300),
				  1 + rng_below(&l->rng, 300));
		if (i % 100 == 7)
			log_write(l, rng_below(&l->rng, blocks - 150), 150);
	}
	CHECK(!qvault_commit(v));
	/* The record says the last ones itself. */
	CHECK(log_write(l, 7, 3) && !qvault_commit(v));
	CHECK(v->line.record->inline_bytes);
}

static void begin(struct logged *l, struct fixture *f, u64 blocks,
		  void (*fill)(struct logged *l))
{
	void *platform = f->v->platform;
	struct cost cost;

	crash(f);
	CHECK(!attach(f, 64, false, &cost));
	logged_init(l, f, blocks, true);
	f->v->platform = NULL;
	fill(l);
	f->v->platform = platform;
	crash(f);
}

/* All of it is in the tree, which weighs what it should, and so does the map. */
static void check_merged(struct logged *l)
{
	const struct qvault_anchor *a = &l->f->v->anchor;

	CHECK(atomic64_read(&l->f->v->counters.checkpoints) == 1);
	CHECK(!qvault_log_used(l->f->v) && !l->f->v->line.record->inline_bytes);
	CHECK(qvault_delta_empty(&l->f->v->delta[0]) && !l->f->v->alloc.nr_fresh);
	CHECK(qvault_node_weight(&a->tree.ptr) == nr_mapped(l));
	CHECK(qvault_node_weight(&a->map.ptr) == nr_mapped(l));
	compare(l);
}

static void merged(struct fixture *f)
{
	struct logged l;
	struct cost cost;
	u32 mib;

	begin(&l, f, 1500 * QVAULT_FANOUT + 77, fill_log);
	CHECK(!attach(f, 64, true, &cost));
	CHECK(qvault_log_used(f->v) >= 200);
	print("memory_mib 64", &l, &cost);
	CHECK(!cost.writes);
	compare(&l);
	/* Reading takes no less of it; and how much would do is said. */
	crash(f);
	CHECK(attach(f, 1, true, &cost) == -ENOMEM && !cost.writes);
	print("memory_mib 1, refused", &l, &cost);
	mib = asked_for(f->v);
	CHECK(mib > 1 && mib < 16);
	CHECK(attach(f, mib / 2, true, &cost) == -ENOMEM);
	CHECK(!attach(f, mib, true, &cost));
	crash(f);
	CHECK(!attach(f, 1, false, &cost));
	print("memory_mib 1", &l, &cost);
	/* With what is put by, and what the simulator adds to each buffer. */
	CHECK(cost.bytes < 2 * MIB);
	check_merged(&l);
	/* And all is well with it. */
	CHECK(!qvault_detach(f->v));
	CHECK(!attach(f, 1, false, &cost));
	compare(&l);
	free(l.ptr);
}

void test_attach_merged(void)
{
	with_vault(1ull << 28, 256, merged);
}

/* ---- Or more memory for the places that it names ---- */

static void fill_places(struct logged *l)
{
	u32 i;

	for (i = 0; i < 4000; i++, l->places += 999)
		CHECK(log_write(l, i % l->blocks, 1));
	CHECK(!qvault_commit(l->f->v));
}

static void places(struct fixture *f)
{
	struct logged l;
	struct cost cost;

	begin(&l, f, 3900, fill_places);
	CHECK(!attach(f, 1, true, &cost));
	compare(&l);
	print("few leaves, many places, memory_mib 1", &l, &cost);
	crash(f);
	CHECK(!attach(f, 1, false, &cost));
	CHECK(cost.bytes < 2 * MIB);
	check_merged(&l);
	free(l.ptr);
}

void test_attach_places(void)
{
	with_vault(1ull << 28, 256, places);
}

/* ---- When versions run out in the middle of it ---- */

static u32 nr_nodes;

static void use_versions_up(struct world *world, const struct io *io, bool completed)
{
	struct qvault *v = &world->v;

	if (io->kind == IO_WRITE && io->dev == &world->data && !completed &&
	    ++nr_nodes == 700)
		atomic64_set(&v->version, v->anchor.lease);
}

static void lease_ends(struct fixture *f)
{
	struct logged l;
	struct cost cost;
	u64 commits;

	begin(&l, f, 1500 * QVAULT_FANOUT + 77, fill_log);
	nr_nodes = 0;
	f->world.on_io = use_versions_up;
	commits = atomic64_read(&f->v->counters.commits);
	CHECK(!attach(f, 1, false, &cost));
	f->world.on_io = NULL;
	/* Both slots; one for the lease; and that of the merge. */
	CHECK((u64)atomic64_read(&f->v->counters.commits) - commits == 4);
	check_merged(&l);
	free(l.ptr);
}

void test_attach_lease(void)
{
	with_vault(1ull << 28, 256, lease_ends);
}

/* ---- A node that is needed for it cannot be read ---- */

static void flip(struct fixture *f, u64 block)
{
	struct block *b = block_new(dev_newest(&f->world.data, block)->data);

	b->data[3] ^= 1;
	dev_set_durable(&f->world.data, block, b);
	block_put(b);
}

static void damaged(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 21 };
	struct qvault *v = f->v;
	struct cost cost;
	u64 block, i;

	crash(f);
	CHECK(!attach(f, 8, false, &cost));
	for (i = 0; i < 20; i++)
		CHECK(!op_write(&c, i * QVAULT_FANOUT, 2));
	CHECK(!op_checkpoint(&c));
	block = test_node_block(f, QVAULT_KIND_NODE, 0, 7, 0);
	while (qvault_log_used(v) < 40) {
		for (i = 0; i < 200; i++)
			CHECK(!op_write(&c, rng_below(&c.rng, 20 * QVAULT_FANOUT), 1));
		CHECK(!op_commit(&c));
	}
	flip(f, block);
	f->world.rotten = true;
	crash(f);
	CHECK(attach(f, 0, false, &cost) == -EILSEQ);
	CHECK(v->mode == QVAULT_MODE_DETACHED);
	CHECK(!attach(f, asked_for(v), false, &cost));
	CHECK(!v->counters.checkpoints.counter);
	for (i = 0; i < 20; i++)
		if (i != 7)
			CHECK(!op_read(&c, i * QVAULT_FANOUT, QVAULT_FANOUT));
	crash(f);
	/* And once it can be read again. */
	flip(f, block);
	CHECK(!attach(f, 0, false, &cost));
	CHECK(atomic64_read(&v->counters.checkpoints) == 1);
	for (i = 0; i < 20; i++)
		CHECK(!op_read(&c, i * QVAULT_FANOUT, QVAULT_FANOUT));
}

void test_attach_damaged(void)
{
	with_vault(1ull << 17, 64, damaged);
}
