// SPDX-License-Identifier: GPL-2.0
/*
 * The threads that use the vault, and one that writes to the memory of requests
 * that are in flight.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "concurrency.h"

#define WORDS		(BLOCK / sizeof(u64))
#define MOST		80u	/* more than one bio of the module has */

/* ---- Blocks that say who wrote them ---- */

static u64 word_of(u64 block, u64 value, u32 i)
{
	return (value << 20 | i) * 0x9e3779b97f4a7c15ull ^ block << 32;
}

void fill_block(void *buf, u64 block, u64 value)
{
	u64 *word = buf;
	u32 i;

	word[0] = value;
	for (i = 1; i < WORDS; i++)
		word[i] = word_of(block, value, i);
}

u64 value_of(const void *buf, u64 block)
{
	const u64 *word = buf;
	u64 value = word[0];
	u32 i;

	for (i = 1; i < WORDS; i++)
		if (word[i] != (value ? word_of(block, value, i) : 0))
			return GARBAGE;
	return value;
}

u64 new_value(void)
{
	static atomic_ullong last;

	return atomic_fetch_add(&last, 1) + 1;
}

/* ---- What is remembered ---- */

static void remember(struct worker *w, enum history_kind kind, u64 block,
		     u64 value, u64 invoked, u64 responded)
{
	int hot = hot_index(w->v, block);

	if (hot < 0)
		return;
	if (w->nr == w->room) {
		w->room = w->room ? 2 * w->room : 4096;
		w->record = realloc(w->record, w->room * sizeof(*w->record));
		if (!w->record)
			die("out of memory");
	}
	w->record[w->nr++] = (struct record){
		.op = { invoked, responded, value, w->number, kind },
		.hot = hot,
	};
}

static void must(struct worker *w, int err, const char *what, u64 block)
{
	if (err)
		complain(w->v, "%s at block %llu: %s", what,
			 (unsigned long long)block, strerror(-err));
}

/* ---- Operations ---- */

static void do_write(struct worker *w, u64 block, u32 count, bool fua)
{
	u64 value[MOST], invoked, responded;
	int err;
	u32 i;

	for (i = 0; i < count; i++) {
		value[i] = new_value();
		fill_block(w->buf + i * BLOCK, block + i, value[i]);
	}
	invoked = ticket();
	err = fua ? write_blocks_fua(w->fd, block, w->buf, count) :
		    write_blocks(w->fd, block, w->buf, count);
	responded = ticket();
	must(w, err, "write", block);
	for (i = 0; i < count; i++)
		remember(w, HISTORY_WRITE, block + i, value[i], invoked, responded);
}

static void do_read(struct worker *w, u64 block, u32 count)
{
	u64 invoked, responded, value;
	int err;
	u32 i;

	memset(w->buf, 0x55, count * BLOCK);
	invoked = ticket();
	err = read_blocks(w->fd, block, w->buf, count);
	responded = ticket();
	must(w, err, "read", block);
	for (i = 0; i < count; i++) {
		value = value_of(w->buf + i * BLOCK, block + i);
		if (value == GARBAGE)
			complain(w->v, "block %llu is torn, of another place, or garbage",
				 (unsigned long long)(block + i));
		remember(w, HISTORY_READ, block + i, value, invoked, responded);
	}
}

static void do_unmap(struct worker *w, u64 block, u64 count, bool zeroes)
{
	u64 range[2] = { block * BLOCK, count * BLOCK }, invoked, responded;
	int err;
	u32 hot;

	invoked = ticket();
	err = ioctl(w->fd, zeroes ? BLKZEROOUT : BLKDISCARD, range) ? -errno : 0;
	responded = ticket();
	must(w, err, "discard", block);
	for (hot = 0; hot < HOT_BLOCKS; hot++)
		if (hot_block(w->v, hot) - block < count)
			remember(w, HISTORY_WRITE, hot_block(w->v, hot), 0,
				 invoked, responded);
}

/* A whole leaf, or a whole subtree, with an island in it. */
static void do_large_unmap(struct worker *w, u64 block)
{
	u64 span = QVAULT_FANOUT, all = w->v->params.logical_blocks;

	/* That would make room in a vault that is meant to be full. */
	if (w->v->full)
		return;
	if (prng_chance(&w->p, 20))
		span *= QVAULT_FANOUT;
	block -= block % span;
	/* The blocks that are scribbled on belong to others. */
	if (block + span > w->v->scribbled)
		span = w->v->scribbled - block;
	if (block + span <= all)
		do_unmap(w, block, span, false);
}

/* Many blocks into the same memory: each is decrypted over another. */
static void do_read_heap(struct worker *w, u64 block)
{
	struct iovec iov[8];
	ssize_t done;
	u32 i;

	for (i = 0; i < 8; i++)
		iov[i] = (struct iovec){ w->buf, BLOCK };
	done = preadv(w->fd, iov, 8, block * BLOCK);
	must(w, done < 0 ? -errno : done == 8 * BLOCK ? 0 : -EIO,
	     "read into one place", block);
}

/* ---- Memory that changes under a request ---- */

/* A word of a scribbled block says which block it belongs to. */
static bool word_fits(u64 word, u64 block)
{
	return word >> 32 == block;
}

static u64 scribble_block(const struct worker *w)
{
	return w->v->scribbled + w->number * SCRIBBLED;
}

static void scribble_some(struct worker *w, struct prng *p, u32 stamp)
{
	u32 i, at;

	for (i = 0; i < 256; i++) {
		at = prng_below(p, SCRIBBLED * WORDS);
		*(volatile u64 *)&w->scribble[at] =
			(scribble_block(w) + at / WORDS) << 32 | stamp;
	}
}

void *scribble(void *arg)
{
	struct worker *w = arg;
	u32 i, stamp = 0;
	struct prng p;
	bool any;

	prng_seed(&p, 77);
	while (!atomic_load(&w->v->stop)) {
		any = false;
		for (i = 0; i < WORKERS; i++) {
			if (!atomic_load(&w[i].in_flight))
				continue;
			scribble_some(&w[i], &p, ++stamp);
			any = true;
		}
		if (!any)
			usleep(300);
	}
	return NULL;
}

/* Whatever was stored is some mixture of what stood there, and stays it. */
static void compare_scribbled(struct worker *w, const u8 *got)
{
	const u64 *word = (const u64 *)got;
	u64 block = scribble_block(w);
	u32 i;

	for (i = 0; i < SCRIBBLED * WORDS; i++)
		if (!word_fits(word[i], block + i / WORDS))
			complain(w->v, "block %llu holds what was never in its buffer",
				 (unsigned long long)(block + i / WORDS));
	if (w->known && memcmp(w->written, got, SCRIBBLED * BLOCK))
		complain(w->v, "block %llu changed by itself", (unsigned long long)block);
	memcpy(w->written, got, SCRIBBLED * BLOCK);
	w->known = true;
}

void check_scribbled(struct worker *reader, struct worker *w)
{
	if (!w->known)
		return;
	must(w, read_blocks(reader->fd, scribble_block(w), reader->buf, SCRIBBLED),
	     "read of what was scribbled on", scribble_block(w));
	compare_scribbled(w, reader->buf);
}

static void do_scribbled(struct worker *w)
{
	u64 block = scribble_block(w);
	u32 i;
	int err;

	for (i = 0; i < SCRIBBLED * WORDS; i++)
		w->scribble[i] = (block + i / WORDS) << 32;
	atomic_store(&w->in_flight, true);
	err = write_blocks(w->fd, block, w->scribble, SCRIBBLED);
	atomic_store(&w->in_flight, false);
	must(w, err, "write of changing memory", block);
	w->known = false;
	for (i = 0; i < 2; i++) {
		must(w, read_blocks(w->fd, block, w->buf, SCRIBBLED),
		     "read of what was scribbled on", block);
		compare_scribbled(w, w->buf);
	}
	/* What is read over is lost on the reader, but must still be authentic. */
	atomic_store(&w->in_flight, true);
	err = read_blocks(w->fd, block, w->scribble, SCRIBBLED);
	atomic_store(&w->in_flight, false);
	must(w, err, "read into changing memory", block);
	w->scribbles++;
}

/* ---- Threads ---- */

static void step(struct worker *w)
{
	u64 dice = prng_below(&w->p, 100);
	/* Some places and blocks are hotter than others. */
	u64 island = prng_below(&w->p, 1 + prng_below(&w->p, ISLANDS));
	u64 at = prng_below(&w->p, 1 + prng_below(&w->p, ISLAND_BLOCKS));
	u64 block = w->v->island[island] + at;
	u32 few = 1 + prng_below(&w->p, ISLAND_BLOCKS - at);

	if (w->v->discards && prng_chance(&w->p, 50))
		do_unmap(w, block, few, false);
	else if (dice < 34)
		do_write(w, block, 1, false);
	else if (dice < 42)
		do_write(w, block, few, false);
	else if (dice < 44)
		do_write(w, block, island == ISLANDS - 1 ? few : MOST, false);
	else if (dice < 48)
		do_write(w, block, 1, true);
	else if (dice < 76)
		do_read(w, block, 1);
	else if (dice < 84)
		do_read(w, block, few);
	else if (dice < 85)
		do_read_heap(w, w->v->island[island]);
	else if (dice < 89)
		do_unmap(w, block, 1, prng_chance(&w->p, 50));
	else if (dice < 92)
		do_unmap(w, block, few, prng_chance(&w->p, 50));
	else if (dice < 93)
		do_large_unmap(w, block);
	else if (dice < 97)
		must(w, fsync(w->fd) ? -errno : 0, "fsync", block);
	else
		do_scribbled(w);
}

void *work(void *arg)
{
	struct worker *w = arg;
	int cpu;

	while (!atomic_load(&w->v->stop)) {
		step(w);
		w->operations++;
		cpu = sched_getcpu();
		if (cpu >= 0)
			w->on_cpu[cpu & 1]++;
	}
	return NULL;
}

void worker_init(struct worker *w, struct vault *v, u32 number, u64 seed)
{
	memset(w, 0, sizeof(*w));
	w->v = v;
	w->number = number;
	w->fd = -1;
	w->buf = block_buffer(MOST);
	w->scribble = block_buffer(SCRIBBLED);
	w->written = block_buffer(SCRIBBLED);
	prng_seed(&w->p, seed);
}

void worker_exit(struct worker *w)
{
	free(w->buf);
	free(w->scribble);
	free(w->written);
	free(w->record);
}

void read_all(struct worker *w, u64 *value)
{
	u32 island, i;

	for (island = 0; island < ISLANDS; island++) {
		do_read(w, w->v->island[island], ISLAND_BLOCKS);
		for (i = 0; i < ISLAND_BLOCKS; i++)
			value[island * ISLAND_BLOCKS + i] =
				value_of(w->buf + i * BLOCK, w->v->island[island] + i);
	}
}
