// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/bitmap.h>
#include <linux/delay.h>

#include "sim.h"
#include "test.h"

/* Allocates everything, in odd portions; returns how many blocks there were. */
static u64 take_all(struct fixture *f, unsigned long *taken, struct rng *rng)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	u64 n = 0, group;
	int got, i;
	u32 bit;

	for (;;) {
		got = qvault_alloc_blocks(f->v,
					  rng_below(rng, f->v->geo.logical_blocks),
					  1 + rng_below(rng, QVAULT_MAX_RUN), ptr);
		if (got < 0)
			break;
		CHECK(got > 0);
		for (i = 0; i < got; i++) {
			CHECK(qvault_locate(&f->v->geo, ptr[i].where, &group, &bit));
			CHECK(!__test_and_set_bit(ptr[i].where, taken));
		}
		n += got;
	}
	CHECK(got == -ENOSPC);
	free(ptr);
	return n;
}

static unsigned long *bits_of(struct fixture *f)
{
	return calloc(BITS_TO_LONGS(f->v->geo.data_blocks), sizeof(long));
}

static void alloc_all(struct fixture *f)
{
	unsigned long *taken = bits_of(f);
	struct rng rng = { 4 };

	CHECK(take_all(f, taken, &rng) == f->v->geo.total_data);
	free(taken);
}

/* The run from a home near the end of a group that is cut off does not leave it. */
static void alloc_edge(struct fixture *f)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	u64 group;
	u32 bit;
	int i, got;

	got = qvault_alloc_blocks(f->v, f->v->geo.logical_blocks - 10, QVAULT_MAX_RUN, ptr);
	CHECK(got == QVAULT_MAX_RUN);
	for (i = 0; i < got; i++)
		CHECK(qvault_locate(&f->v->geo, ptr[i].where, &group, &bit));
	free(ptr);
}

void test_alloc_all(void)
{
	with_vault(1000, 16, alloc_edge);
	with_vault(1000, 16, alloc_all);
	with_vault(9000, 16, alloc_all);
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 16, alloc_all);
}

static void supersede(struct fixture *f, u64 block)
{
	write_lock(&f->v->map_lock);
	qvault_alloc_supersede(f->v, block);
	write_unlock(&f->v->map_lock);
}

static void cut(struct fixture *f)
{
	write_lock(&f->v->map_lock);
	qvault_alloc_cut(f->v);
	write_unlock(&f->v->map_lock);
}

static void release(struct fixture *f)
{
	mutex_lock(&f->v->commit_mutex);
	qvault_alloc_release(f->v);
	mutex_unlock(&f->v->commit_mutex);
}

/* Superseded, cut and released, in that order, and only what was cut. */
static void alloc_release(struct fixture *f)
{
	unsigned long *taken = bits_of(f);
	struct qvault_ptr ptr;
	struct rng rng = { 5 };
	u64 a, b;

	take_all(f, taken, &rng);
	a = find_next_bit(taken, f->v->geo.data_blocks, 0);
	b = find_next_bit(taken, f->v->geo.data_blocks, a + 1);
	supersede(f, a);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	release(f);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	cut(f);
	supersede(f, b);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	release(f);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == 1 && ptr.where == a);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	cut(f);
	release(f);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == 1 && ptr.where == b);
	CHECK(qvault_alloc_blocks(f->v, 0, 1, &ptr) == -ENOSPC);
	free(taken);
}

void test_alloc_release(void)
{
	with_vault(1000, 16, alloc_release);
	with_vault(QVAULT_GROUP_BLOCKS + 5000, 16, alloc_release);
}

/* A volume that is written in order stands in order. */
static void alloc_runs(struct fixture *f)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	u64 logical;
	int i;

	for (logical = 0; logical + 256 <= f->v->geo.logical_blocks;
	     logical += 256) {
		CHECK(qvault_alloc_blocks(f->v, logical, 256, ptr) == 256);
		for (i = 0; i < 256; i++)
			CHECK(ptr[i].where == qvault_home(&f->v->geo, logical + i));
	}
	/* Again: elsewhere, but in one piece while there is room. */
	CHECK(qvault_alloc_blocks(f->v, 0, 64, ptr) == 64);
	for (i = 1; i < 64; i++)
		CHECK(ptr[i].where == ptr[0].where + i);
	free(ptr);
}

void test_alloc_runs(void)
{
	with_vault(9000, 16, alloc_runs);
}

static void free_blocks(struct fixture *f, u64 block, u32 count, u32 step)
{
	u32 i;

	for (i = 0; i < count; i++)
		supersede(f, block + (u64)i * step);
	cut(f);
	release(f);
}

static u32 nr_pieces(const struct qvault_ptr *ptr, u32 count)
{
	u32 i, n = 1;

	for (i = 1; i < count; i++)
		n += ptr[i].where != ptr[i - 1].where + 1;
	return n;
}

/* That there were only pieces is forgotten once blocks become free. */
static void alloc_pieces(struct fixture *f)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	unsigned long *taken = bits_of(f);
	struct rng rng = { 6 };
	u64 first;

	take_all(f, taken, &rng);
	first = find_next_bit(taken, f->v->geo.data_blocks, 0);
	/* Their homes are elsewhere. */
	free_blocks(f, first, 300, 2);
	CHECK(qvault_alloc_blocks(f->v, 5000, 64, ptr) == 64);
	CHECK(nr_pieces(ptr, 64) == 64);
	free_blocks(f, first + 1000, 200, 1);
	CHECK(qvault_alloc_blocks(f->v, 5000, 64, ptr) == 64);
	CHECK(nr_pieces(ptr, 64) == 1);
	/* Of 136 in one piece and 236 single ones: the long piece first. */
	CHECK(qvault_alloc_blocks(f->v, 5000, 256, ptr) == 256);
	CHECK(nr_pieces(ptr, 136) == 1 && nr_pieces(ptr + 136, 120) == 120);
	free(taken);
	free(ptr);
}

void test_alloc_pieces(void)
{
	with_vault(9000, 16, alloc_pieces);
}

/* How many blocks are written one by one before a checkpoint is asked for. */
static u32 writes_until_kick(struct client *c, u32 most)
{
	u32 n;

	c->world->kicked = false;
	for (n = 0; n < most && !c->world->kicked; n++)
		CHECK(!op_write(c, n, 1));
	return n;
}

/* On a full volume a checkpoint is due before the last free block is taken. */
static void alloc_low(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 7 };
	struct qvault *v = f->v;
	u32 i, left;

	for (i = 0; i + 100 <= v->geo.logical_blocks; i += 100) {
		CHECK(!op_write(&c, i, 100));
		CHECK(!op_checkpoint(&c));
	}
	CHECK(!v->alloc.nr_fresh && !qvault_alloc_low(v));
	left = v->geo.total_data - i;

	/* Not again while one runs: there is as little room as before. */
	mutex_lock(&v->checkpoint_mutex);
	CHECK(writes_until_kick(&c, left) == left);
	mutex_unlock(&v->checkpoint_mutex);
	CHECK(!op_checkpoint(&c));
	CHECK(!v->alloc.nr_fresh);

	i = writes_until_kick(&c, left);
	CHECK(i == left - left / 4 && !qvault_log_half_full(v));
	/* What no record names any more is free after a commit, and counts no more. */
	for (i = 0; i < 20; i++)
		CHECK(!op_write(&c, 0, 1));
	CHECK(!op_commit(&c));
	CHECK(v->alloc.nr_fresh == left - left / 4);
}

/* Or when there are few cells left, long before the log is half full. */
static void few_cells(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 7 };
	struct qvault *v = f->v;
	struct qvault_ptr ptr;
	u32 n;

	qvault_alloc_set_limit(&v->alloc, QVAULT_CELLS + 100);
	f->world.kicked = false;
	for (n = 0; n < 300 && !f->world.kicked; n++)
		CHECK(!op_write(&c, n * QVAULT_CELL_BLOCKS, 1));
	CHECK(n == 101 && !qvault_log_half_full(v));
	/* Until it has ended, only what needs no cell more goes home. */
	CHECK(qvault_alloc_blocks(v, 7, 1, &ptr) == 1);
	CHECK(ptr.where == qvault_home(&v->geo, 7));
	CHECK(qvault_alloc_blocks(v, n * QVAULT_CELL_BLOCKS, 1, &ptr) == 1);
	CHECK(ptr.where != qvault_home(&v->geo, n * QVAULT_CELL_BLOCKS));
	CHECK(v->alloc.nr_cells <= v->alloc.limit);
	CHECK(!op_checkpoint(&c) && !qvault_alloc_low(v));
}

void test_alloc_low(void)
{
	with_vault(3000, 64, alloc_low);
	with_vault(30000, 64, few_cells);
}

/* A log cannot name a block twice, nor one that is none. */
static void alloc_replay(struct fixture *f)
{
	u64 block = qvault_block_of(&f->v->geo, 0, 70);
	struct qvault_ptr ptr;

	CHECK(!qvault_alloc_replay(f->v, block));
	CHECK(!qvault_alloc_replay(f->v, block + 1));
	CHECK(qvault_alloc_replay(f->v, block) == -EUCLEAN);
	CHECK(qvault_alloc_replay(f->v, f->v->geo.groups_start) == -EUCLEAN);
	CHECK(f->v->alloc.nr_fresh == 2);
	CHECK(qvault_alloc_blocks(f->v, 70, 1, &ptr) == 1 && ptr.where != block);
}

void test_alloc_replay(void)
{
	with_vault(3000, 64, alloc_replay);
}

/*
 * There is no memory but for a few cells, and each of 40 places gets a fresh block: what
 * there is serves for many blocks that stand together, until a checkpoint frees it.
 */
static void alloc_memory(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 8 };
	struct world *w = &f->world;
	u64 i;

	w->shortage = 100;
	w->sched.fail_alloc = 100;
	world_reserve(w, 0);
	for (i = 0; i < 400; i++)
		CHECK(!op_write(&c, i * (f->v->geo.logical_blocks / 400), 1));
	CHECK(f->v->alloc.nr_groups <= QVAULT_GROUPS);
	CHECK(f->v->alloc.nr_cells == QVAULT_CELLS);
	CHECK(!op_checkpoint(&c));
	CHECK(f->v->alloc.nr_spare == QVAULT_CELLS);
	/* More than all cells hold: checkpoints give them back. */
	for (i = 0; i < 2 * QVAULT_CELLS * QVAULT_CELL_BLOCKS; i += 256)
		CHECK(!op_write(&c, i, 256));
	CHECK(f->v->alloc.nr_cells == QVAULT_CELLS);
	w->shortage = 0;
	w->sched.fail_alloc = 0;
	CHECK(!op_checkpoint(&c));
	for (i = 0; i < 400; i++)
		CHECK(!op_read(&c, i * (f->v->geo.logical_blocks / 400), 1));
}

void test_alloc_memory(void)
{
	with_vault(9 * QVAULT_GROUP_BLOCKS + 5000, 64, alloc_memory);
}

/* ---- Large volumes ---- */

/* A map that says of the first @full groups that @busy blocks of each are in use. */
struct filled {
	struct qvault *v;
	u64 full;
	struct qvault_ptr below[QVAULT_MAX_LEVELS];	/* where all groups are full */
};

static void make_node(struct filled *m, const void *data, u64 weight, struct qvault_ptr *ptr)
{
	static u64 made_up = 1ull << 60;

	ptr->version = ++made_up;
	ptr->where = weight << 1;
	qvault_node_add(m->v, ptr->version, data);
}

static void make_map_block(struct filled *m, u32 busy)
{
	u8 *bits = calloc(1, QVAULT_BLOCK_SIZE);
	u32 i;

	for (i = 0; i < busy; i++)
		__set_bit_le(i, bits);
	make_node(m, bits, busy, &m->below[0]);
	free(bits);
}

/* Nodes are found by version, so all that say the same are one. */
static void make_subtree(struct filled *m, u32 level, u64 index, struct qvault_ptr *ptr)
{
	const u32 shift = QVAULT_FANOUT_SHIFT * level;
	bool all = (index + 1) << shift <= m->full;
	struct qvault_disk_node *disk;
	struct qvault_ptr child;
	u64 weight = 0;
	u32 i;

	memset(ptr, 0, sizeof(*ptr));
	if (index << shift >= m->full)
		return;
	if (all && m->below[level].version) {
		*ptr = m->below[level];
		return;
	}
	disk = calloc(1, QVAULT_BLOCK_SIZE);
	for (i = 0; i < QVAULT_FANOUT; i++) {
		make_subtree(m, level - 1, index << QVAULT_FANOUT_SHIFT | i, &child);
		qvault_ptr_to_disk(&disk->ptr[i], &child);
		weight += qvault_node_weight(&child);
	}
	make_node(m, disk, weight, ptr);
	if (all)
		m->below[level] = *ptr;
	free(disk);
}

static void fill_groups(struct fixture *f, u64 full, u32 busy)
{
	struct filled m = { .v = f->v, .full = full };
	struct qvault_root *root = &f->v->anchor.map;

	make_map_block(&m, busy);
	root->level = f->v->geo.map.top;
	make_subtree(&m, root->level, 0, &root->ptr);
}

/* The vault forgets what was not written. */
static void empty_again(struct fixture *f, u32 limit)
{
	memset(&f->v->anchor.map, 0, sizeof(f->v->anchor.map));
	qvault_alloc_exit(f->v);
	CHECK(!qvault_alloc_init(f->v, limit));
}

/* What random writes cost. */
struct cost {
	u64 home, wanted;		/* got their homes; of those whose homes are free */
	u64 looks;			/* at the cache of nodes, in all */
	u64 visits;			/* of groups, in all */
	size_t bytes;
	u64 ns;				/* of the processor, in all */
};

static u64 processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void random_writes(struct fixture *f, u32 n, u64 full, u32 memory_mib,
			  struct cost *cost)
{
	u32 limit = f->v->alloc.limit;
	struct rng rng = { 11 };
	struct qvault_ptr ptr;
	u64 logical, group;
	u32 i, bit;

	memset(cost, 0, sizeof(*cost));
	qvault_alloc_exit(f->v);
	cost->bytes = -shim_heap_bytes();
	CHECK(!qvault_alloc_init(f->v, qvault_alloc_limit((u64)memory_mib << 17)));
	cost->looks = -f->v->cache.lock.dep.taken;
	cost->ns = -processor_ns();
	for (i = 0; i < n; i++) {
		logical = rng_below(&rng, f->v->geo.logical_blocks);
		if (!CHECK(qvault_alloc_blocks(f->v, logical, 1, &ptr) == 1))
			break;
		CHECK(qvault_locate(&f->v->geo, qvault_home(&f->v->geo, logical), &group,
				    &bit));
		cost->wanted += group >= full;
		cost->home += ptr.where == qvault_home(&f->v->geo, logical);
	}
	cost->ns += processor_ns();
	cost->looks += f->v->cache.lock.dep.taken;
	cost->visits = f->v->alloc.visits;
	cost->bytes += shim_heap_bytes();
	empty_again(f, limit);
}

static void tell(struct fixture *f, u32 n, u64 full, u32 memory_mib,
		 const struct cost *cost)
{
	printf("      %llu GiB, %llu %% full, memory_mib %u: ",
	       (unsigned long long)f->v->geo.data_blocks >> 18,
	       (unsigned long long)(full * 100 / f->v->geo.groups), memory_mib);
	printf("%llu of %llu go home, %zu bytes; ",
	       (unsigned long long)cost->home, (unsigned long long)cost->wanted,
	       cost->bytes);
	printf("a write %llu ns, %llu looks\n", (unsigned long long)cost->ns / n,
	       (unsigned long long)cost->looks / n);
}

/*
 * With 64 MiB: nearly all that can go home do, into an empty volume and where one that is
 * filled in order to four fifths is still empty; and memory is what it may be.
 */
static void homes(struct fixture *f)
{
	u64 full = f->v->geo.groups / 5 * 4;
	struct cost cost;

	random_writes(f, 100000, 0, 64, &cost);
	tell(f, 100000, 0, 64, &cost);
	CHECK(cost.wanted == 100000 && cost.home >= 90000);
	CHECK(cost.bytes > 64 * 90000 && cost.bytes <= 64 << 17);
	/* None is searched for another place: nothing was there before. */
	CHECK(cost.visits < 1000);

	fill_groups(f, full, QVAULT_GROUP_LEAVES * QVAULT_FANOUT);
	random_writes(f, 100000, full, 64, &cost);
	tell(f, 100000, full, 64, &cost);
	CHECK(cost.wanted > 19000 && cost.home >= cost.wanted / 10 * 9);
	CHECK(cost.bytes <= 64 << 17);
}

/* More than memory is enough for: they do not go home, and it is enough. */
static void crowd(struct fixture *f)
{
	struct cost cost;

	random_writes(f, 5000, 0, 1, &cost);
	CHECK(cost.home > 1000 && cost.home < 2000);
	CHECK(cost.bytes <= 1 << 17);
}

void test_alloc_homes(void)
{
	with_vault(1ull << 28, 64, homes);
	with_vault(1ull << 32, 64, homes);
	with_vault(1ull << 32, 64, crowd);
}

/* What a write costs is the same with more memory, and on a larger volume. */
static void steady(struct fixture *f)
{
	u64 full = f->v->geo.groups / 5 * 4;
	static struct cost first;
	struct cost cost;
	u32 mib;

	for (mib = 64; mib <= 2048; mib *= 32) {
		fill_groups(f, full, QVAULT_GROUP_LEAVES * QVAULT_FANOUT);
		random_writes(f, 20000, full, mib, &cost);
		tell(f, 20000, full, mib, &cost);
		CHECK(cost.visits <= 20000 && cost.looks <= 20 * 20000);
		if (!first.looks)
			first = cost;
		CHECK(cost.looks <= first.looks * 2);
	}
}

/* Where all is full but for a last group, the way there is as short as any. */
static void last_place(struct fixture *f)
{
	u64 groups = f->v->geo.groups, before = f->v->cache.lock.dep.taken, group;
	struct qvault_ptr ptr;
	u32 bit;

	fill_groups(f, groups - 1, QVAULT_GROUP_DATA);
	CHECK(qvault_alloc_blocks(f->v, 7, 1, &ptr) == 1);
	CHECK(qvault_locate(&f->v->geo, ptr.where, &group, &bit) && group == groups - 1);
	CHECK(f->v->cache.lock.dep.taken - before < 1000);
	empty_again(f, f->v->alloc.limit);
}

void test_alloc_steady(void)
{
	with_vault(1ull << 28, 64, steady);
	with_vault(1ull << 32, 64, steady);
	with_vault(1ull << 28, 64, last_place);
	with_vault(1ull << 32, 64, last_place);
}

/* However much a commit frees, the lock of all writers is never held for long. */
static void release_pauses(struct fixture *f)
{
	struct qvault_ptr *ptr = calloc(QVAULT_MAX_RUN, sizeof(*ptr));
	struct qvault_alloc *a = &f->v->alloc;
	u64 before, i, j, n = 40;

	for (i = 0; i < n; i++) {
		CHECK(qvault_alloc_blocks(f->v, i * 256, 256, ptr) == 256);
		for (j = 0; j < 256; j++)
			supersede(f, ptr[j].where);
	}
	before = f->v->alloc_lock.dep.taken;
	cut(f);
	CHECK(f->v->alloc_lock.dep.taken - before == 1);
	before = f->v->alloc_lock.dep.taken;
	release(f);
	CHECK(!a->nr_fresh && a->nr_spare == a->nr_cells);
	CHECK(f->v->alloc_lock.dep.taken - before >= n * 256 / QVAULT_CELL_BLOCKS / 32);
	free(ptr);
}

void test_alloc_pauses(void)
{
	with_vault(QVAULT_GROUP_BLOCKS, 64, release_pauses);
}

/* The map blocks that a filled map names are not there: who reads one finds that out. */
static void forget_map_blocks(struct fixture *f, u64 full, u32 busy)
{
	struct filled m = { .v = f->v, .full = full };
	struct qvault_root *root = &f->v->anchor.map;

	m.below[0].version = 1ull << 59;
	m.below[0].where = (u64)busy << 1;
	root->level = f->v->geo.map.top;
	make_subtree(&m, root->level, 0, &root->ptr);
}

static s64 corruptions(struct fixture *f)
{
	return atomic64_read(&f->v->counters.corruptions);
}

/* It does not pay to read the map block of a group in which next to nothing is free. */
static void unread(struct fixture *f)
{
	struct qvault_ptr ptr;
	u64 group;
	u32 bit;

	f->world.expect_corruption = true;
	forget_map_blocks(f, 2, QVAULT_GROUP_LEAVES * QVAULT_FANOUT);
	f->v->alloc.hint = 2;
	CHECK(qvault_alloc_blocks(f->v, 7, 1, &ptr) == 1);
	CHECK(qvault_locate(&f->v->geo, ptr.where, &group, &bit) && group == 2);
	CHECK(!corruptions(f));

	/* Where half of it is free it does; what is wrong with it is said once. */
	forget_map_blocks(f, 2, QVAULT_GROUP_DATA / 2);
	f->v->alloc.hint = 2;
	CHECK(qvault_alloc_blocks(f->v, 7, 1, &ptr) == 1);
	CHECK(qvault_locate(&f->v->geo, ptr.where, &group, &bit) && group == 2);
	CHECK(corruptions(f) == 1);
	CHECK(qvault_alloc_blocks(f->v, 9, 1, &ptr) == 1);
	CHECK(corruptions(f) == 1);
	empty_again(f, f->v->alloc.limit);
}

void test_alloc_unread(void)
{
	with_vault(4 * QVAULT_GROUP_BLOCKS, 64, unread);
}

struct writer {
	struct fixture *f;
	bool done;
};

static void write_behind(void *arg)
{
	struct writer *w = arg;
	struct client c = { .world = &w->f->world, .rng.state = 3 };

	CHECK(!op_write(&c, 9, 1));
	w->done = true;
}

/* While somebody searches, others read what they will search in. */
static void ahead(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	struct writer w = { .f = f };
	struct qvault_node *node = NULL;
	struct qvault_ptr ptr;
	u32 i;

	CHECK(!op_write(&c, 0, 9));
	CHECK(!op_checkpoint(&c));
	CHECK(!qvault_tree_find(f->v, QVAULT_KIND_MAP, &f->v->anchor.map, 0, &ptr, NULL));
	test_forget(f);
	mutex_lock(&f->v->alloc_mutex);
	task_spawn(&f->world.sched, "writer", write_behind, &w);
	for (i = 0; i < 10000 && !node; i++) {
		usleep_range(1, 2);
		node = qvault_node_find(f->v, ptr.version);
	}
	CHECK(node && !w.done);
	qvault_node_put(f->v, node);
	mutex_unlock(&f->v->alloc_mutex);
	while (!w.done)
		usleep_range(1, 2);
}

void test_alloc_ahead(void)
{
	with_vault(3000, 64, ahead);
}
