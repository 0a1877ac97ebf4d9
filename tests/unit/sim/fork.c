// SPDX-License-Identifier: GPL-2.0
/*
 * A memory that goes back in time.
 *
 * At some I/O of a life this process forks, and its copy stands still: that is the
 * memory that somebody saved.  The life goes on for a while.  Then it stands still in
 * turn, and the copy lives: with the devices as they are now, or with its own, as if
 * they had gone back too; told of it by the kernel, or not.  In the end the first life
 * goes on with what the copy has left on the devices.
 *
 * What is promised: nothing is ever read wrong.  Who is behind is told before its next
 * commit is acknowledged, and spoils no metadata of who is ahead.  No version is used
 * twice by who was told of the fork; without that none after its next commit, nor any
 * of after the first life's.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

/*
 * The next version, about, when a life made its first record since the fork.  A write
 * may just have taken some more; a jump is hardly ever so short.
 */
#define ABOUT 4096

/* What the copy has to say at its end. */
struct verdict {
	u64 seals;			/* after the fork */
	u64 repeats;			/* of them, under versions of the first life */
	bool told;			/* that it was behind */
	bool recorded;			/* made a record */
	bool alone;			/* and was told nothing by anybody */
};

static void put(int fd, const void *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n <= 0)
			shim_fail("fork: the other life is gone");
		data += n;
		bytes -= n;
	}
}

static void get(int fd, void *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = read(fd, data, bytes);

		if (n <= 0)
			shim_fail("fork: the other life is gone");
		data += n;
		bytes -= n;
	}
}

/* All that a reader would find now. */
static void put_device(int fd, const struct qvault_dev *dev)
{
	const u64 end = ~0ull;
	u64 i;

	for (i = 0; i < dev->nr_blocks; i++) {
		struct block *b = dev_newest(dev, i);

		if (!b)
			continue;
		put(fd, &i, sizeof(i));
		put(fd, b->data, QVAULT_BLOCK_SIZE);
	}
	put(fd, &end, sizeof(end));
}

static void get_device(int fd, struct qvault_dev *dev)
{
	u64 data[QVAULT_BLOCK_SIZE / sizeof(u64)], i;
	struct block *b;

	for (;;) {
		get(fd, &i, sizeof(i));
		if (i == ~0ull)
			return;
		get(fd, data, sizeof(data));
		b = dev_newest(dev, i);
		if (b && !memcmp(b->data, data, sizeof(data)))
			continue;
		b = block_new(data);
		dev_replace(dev, i, b);
		block_put(b);
	}
}

static void put_tweaks(int fd, const struct tweaks *tweaks)
{
	const u64 end = 0;
	u64 i, id;

	for (i = 0; tweaks->seen.keys && i <= tweaks->seen.mask; i++) {
		if (!tweaks->seen.keys[i])
			continue;
		id = (uintptr_t)tweaks->seen.values[i];
		put(fd, &tweaks->seen.keys[i], sizeof(u64));
		put(fd, &id, sizeof(id));
	}
	put(fd, &end, sizeof(end));
}

/*
 * Those taken since the fork.  A write that was under way has its versions already,
 * and both lives seal the same data under them.
 */
static void get_tweaks(int fd, u64 first, struct map64 *theirs)
{
	u64 key, id;

	for (;;) {
		get(fd, &key, sizeof(key));
		if (!key)
			return;
		get(fd, &id, sizeof(id));
		if (key - 1 >= first)
			*map64_slot(theirs, key - 1) = (void *)(uintptr_t)id;
	}
}

static u64 count_repeats(const struct fork *f, const struct tweaks *mine)
{
	const struct map64 *theirs = &f->theirs;
	u64 i, version, n = 0;

	for (i = 0; theirs->keys && i <= theirs->mask; i++) {
		version = theirs->keys[i] - 1;
		if (!theirs->keys[i] || theirs->values[i] != map64_get(&mine->seen, version))
			continue;
		n++;
		if (version > min(f->parted, f->they_parted))
			shim_fail("G1: version %llu of another life, after a record",
				  (unsigned long long)version);
	}
	return n;
}

/* ---- The copy ---- */

/* Stands still until the other has lived, and goes on from there. */
static void wake_up_behind(struct fork *f, struct world *world)
{
	u8 order[4];

	get(f->fd, order, sizeof(order));
	f->behind = order[0];
	f->notified = order[1];
	get(f->fd, &f->they_parted, sizeof(f->they_parted));
	get_tweaks(f->fd, atomic64_read(&world->v.version), &f->theirs);
	/* What nobody can copy. */
	world->sched.rng.state = mix64(world->sched.rng.state);
	if (order[2]) {
		get_device(f->fd, &world->data);
		get_device(f->fd, &world->anchor);
	}
	f->seals_before = world->tweaks.seen.nr;
	f->sequence = world->v.anchor.sequence;
	f->since = world->oracle.now;
	world->reach[0].valid = world->reach[1].valid = false;
	if (f->behind) {
		world->expect_taken = world->expect_corruption = true;
		world->expect_failure = true;
	}
	if (f->notified)
		qvault_forked(&world->v);
}

/**
 * fork_end() - the life has ended: if it is the copy's, say so and end
 * @f: the fork
 * @world: its world
 */
void fork_end(struct fork *f, struct world *world)
{
	struct verdict verdict = {
		.seals = world->tweaks.seen.nr - f->seals_before,
		.told = world->taken,
		.recorded = world->v.anchor.sequence != f->sequence,
	};

	if (f->role != FORK_COPY)
		return;
	verdict.repeats = count_repeats(f, &world->tweaks);
	verdict.alone = verdict.recorded && !f->notified;
	if (f->notified && verdict.repeats)
		shim_fail("G1: %llu versions of another life, after a notification",
			  (unsigned long long)verdict.repeats);
	if (f->behind && verdict.recorded)
		shim_fail("a record of who is behind");
	put(f->fd, &verdict, sizeof(verdict));
	put_device(f->fd, &world->data);
	put_device(f->fd, &world->anchor);
	_exit(0);
}

/* All up to @time was acknowledged: who is behind may not promise anything new. */
void fork_acked(const struct fork *f, u64 time)
{
	if (f->behind && time > f->since)
		shim_fail("G3: a commit of who is behind is acknowledged");
}

/* A random number is asked for: a life that has made a record is about to jump. */
void fork_jumps(struct fork *f, struct world *world)
{
	if (f->parted == ~0ull && world->v.anchor.sequence != f->sequence)
		f->parted = atomic64_read(&world->v.version) + ABOUT;
}

/* ---- The first life ---- */

/* From now on this life is the one that is behind. */
static void fall_behind(struct fork *f, struct world *world)
{
	world->expect_taken = world->expect_corruption = true;
	world->expect_failure = true;
	f->behind = true;
	f->since = world->oracle.now;
	f->role = FORK_DONE;
}

/* Let the copy live, to its end. */
static void let_copy_live(struct fork *f, struct world *world, struct rng *rng)
{
	bool together = rng_chance(rng, 70);
	bool ahead = world->v.anchor.sequence != f->sequence;
	u8 order[4] = { together && ahead, rng_chance(rng, 50), together };
	struct verdict verdict;
	int status;

	put(f->fd, order, sizeof(order));
	put(f->fd, &f->parted, sizeof(f->parted));
	put_tweaks(f->fd, &world->tweaks);
	if (together) {
		put_device(f->fd, &world->data);
		put_device(f->fd, &world->anchor);
	}
	get(f->fd, &verdict, sizeof(verdict));
	totals.forks++;
	totals.fork_seals += verdict.seals;
	totals.fork_repeats += verdict.repeats;
	totals.fork_told += verdict.told;
	totals.fork_alone += verdict.alone;
	if (together) {
		get_device(f->fd, &world->data);
		get_device(f->fd, &world->anchor);
		/* What it has written over is gone; metadata it must not touch. */
		world->expect_data_loss = true;
		world->damaged = true;
		if (verdict.recorded)
			fall_behind(f, world);
	} else {
		struct qvault_dev unused = { .name = "unused",
					     .nr_blocks = world->data.nr_blocks };

		get_device(f->fd, &unused);
		dev_exit(&unused);
		unused.nr_blocks = world->anchor.nr_blocks;
		get_device(f->fd, &unused);
		dev_exit(&unused);
	}
	close(f->fd);
	if (waitpid(f->pid, &status, 0) != f->pid || status)
		shim_fail("fork: the copy ended badly");
	f->role = FORK_DONE;
}

static void do_fork(struct fork *f, struct world *world)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		shim_fail("socketpair: %d", errno);
	fflush(NULL);
	f->sequence = world->v.anchor.sequence;
	f->parted = ~0ull;
	f->pid = fork();
	if (f->pid < 0)
		shim_fail("fork: %d", errno);
	f->fd = fd[!f->pid];
	close(fd[!!f->pid]);
	f->role = f->pid ? FORK_FIRST : FORK_COPY;
	if (!f->pid)
		wake_up_behind(f, world);
}

/**
 * fork_at_io() - an I/O of the life: is it time to fork, or for the copy to live?
 * @f: the fork
 * @world: its world
 *
 * Memory is saved between commits and checkpoints: one that is under way has looked
 * at the anchor already, which is the race that is left (see design.rst).
 */
void fork_at_io(struct fork *f, struct world *world)
{
	struct qvault *v = &world->v;

	if (f->countdown) {
		f->countdown--;
		return;
	}
	if (v->mode != QVAULT_MODE_WRITE || mutex_is_locked(&v->commit_mutex) ||
	    mutex_is_locked(&v->checkpoint_mutex))
		return;
	if (f->role == FORK_NONE && rng_chance(&world->choice, 30)) {
		totals.elsewhere++;
		f->other = elsewhere(world);
		fall_behind(f, world);
	} else if (f->role == FORK_NONE) {
		do_fork(f, world);
		f->countdown = rng_below(&world->choice, 400);
	} else if (f->role == FORK_FIRST) {
		let_copy_live(f, world, &world->choice);
	}
}

/* The first life has ended, perhaps before its copy could live. */
void fork_give_up(struct fork *f, struct world *world)
{
	if (f->other)
		elsewhere_check(world, f->other);
	if (f->role != FORK_FIRST)
		return;
	/* Or it would complain that nobody speaks to it. */
	kill(f->pid, SIGKILL);
	close(f->fd);
	waitpid(f->pid, NULL, 0);
}
