// SPDX-License-Identifier: GPL-2.0
/*
 * The simulated device.  Pure state: who waits for what is in platform.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>

#include "device.h"

#define SECTORS 8
#define SECTOR_WORDS (512 / sizeof(u64))

static const struct block zero_block = { .refs = 1 };

struct block *block_new(const void *data)
{
	static u64 last;
	struct block *b = malloc(sizeof(*b));

	memset(b, 0, offsetof(struct block, data));
	b->refs = 1;
	b->identity = ++last;
	memcpy(b->data, data, sizeof(b->data));
	return b;
}

struct block *block_get(struct block *b)
{
	if (b)
		b->refs++;
	return b;
}

void block_put(struct block *b)
{
	if (!b || --b->refs)
		return;
	free(b->plain);
	free(b);
}

struct block *block_torn(const struct block *old, const struct block *new,
			 u32 mask)
{
	struct block *b = block_new(old ? old->data : zero_block.data);
	u32 i;

	if (!new)
		new = &zero_block;
	for (i = 0; i < SECTORS; i++)
		if (mask >> i & 1)
			memcpy(&b->data[i * SECTOR_WORDS],
			       &new->data[i * SECTOR_WORDS], 512);
	b->identity = mix64(mix64(new->identity << 8 | mask) ^
			    (old ? old->identity : 0));
	return b;
}

void dev_init(struct qvault_dev *dev, const char *name, struct world *world,
	      u64 nr_blocks, struct qvault_dev *base)
{
	memset(dev, 0, sizeof(*dev));
	dev->name = name;
	dev->world = world;
	dev->nr_blocks = nr_blocks;
	dev->base = base;
	dev->stamp = base ? base->stamp : 0;
}

static void drop_pending(struct qvault_dev *dev)
{
	while (dev->nr_pending)
		block_put(dev->pending[--dev->nr_pending].contents);
}

void dev_exit(struct qvault_dev *dev)
{
	u64 i;
	u32 n;

	for (i = 0; dev->durable.keys && i <= dev->durable.mask; i++)
		if (dev->durable.keys[i])
			block_put(dev->durable.values[i]);
	map64_free(&dev->durable);
	for (i = 0; dev->history.keys && i <= dev->history.mask; i++) {
		struct versions *v = dev->history.values[i];

		if (!dev->history.keys[i])
			continue;
		for (n = 0; n < v->nr; n++)
			block_put(v->item[n]);
		free(v->item);
		free(v);
	}
	map64_free(&dev->history);
	drop_pending(dev);
	free(dev->pending);
	dev->pending = NULL;
	dev->max_pending = 0;
}

/*
 * A key that is there with no value means "zeros again", and hides the base;
 * so look at keys and not at values.
 */
struct block *dev_durable(const struct qvault_dev *dev, u64 block)
{
	for (; dev; dev = dev->base) {
		u64 i;

		if (!dev->durable.nr)
			continue;
		i = map64_place(&dev->durable, block);
		if (dev->durable.keys[i])
			return dev->durable.values[i];
	}
	return NULL;
}

void dev_set_durable(struct qvault_dev *dev, u64 block, struct block *b)
{
	void **slot = map64_slot(&dev->durable, block);

	dev->stamp = mix64(dev->stamp ^ mix64(block + 1)) + (b ? b->identity : 0);
	block_get(b);
	block_put(*slot);
	*slot = b;
}

struct block *dev_newest(const struct qvault_dev *dev, u64 block)
{
	struct block *b = dev_durable(dev, block);
	u64 order = 0;
	u32 i;

	for (i = 0; i < dev->nr_pending; i++) {
		const struct pending *p = &dev->pending[i];

		if (p->block == block && p->order > order) {
			order = p->order;
			b = p->contents;
		}
	}
	return b;
}

static void remember(struct qvault_dev *dev, u64 block, struct block *b)
{
	struct versions **slot;
	struct versions *v;

	if (!dev->keep_history)
		return;
	slot = (struct versions **)map64_slot(&dev->history, block);
	if (!*slot)
		*slot = calloc(1, sizeof(**slot));
	v = *slot;
	if (v->nr == v->max) {
		v->max = v->max ? 2 * v->max : 4;
		v->item = realloc(v->item, v->max * sizeof(*v->item));
	}
	v->item[v->nr++] = block_get(b);
}

static void add_pending(struct qvault_dev *dev, u64 block, struct block *b,
			u64 order)
{
	if (dev->nr_pending == dev->max_pending) {
		dev->max_pending = dev->max_pending ? 2 * dev->max_pending : 16;
		dev->pending = realloc(dev->pending, dev->max_pending *
						     sizeof(*dev->pending));
	}
	dev->pending[dev->nr_pending++] = (struct pending){
		.block = block, .contents = block_get(b), .order = order,
	};
}

void dev_submit(struct io *io)
{
	struct qvault_dev *dev = io->dev;
	u32 i;

	if (io->kind == IO_FLUSH) {
		io->order = dev->order;
		return;
	}
	if (io->block >= dev->nr_blocks && dev->may_overrun &&
	    io->kind == IO_READ)
		return;
	if (io->block >= dev->nr_blocks)
		shim_fail("%s: block %llu is beyond the end", dev->name,
			  (unsigned long long)io->block);
	if (io->kind == IO_READ)
		return;
	for (i = 0; i < dev->nr_pending; i++)
		if (dev->pending[i].block == io->block && !dev->pending[i].order)
			shim_fail("%s: two writes of block %llu at once",
				  dev->name, (unsigned long long)io->block);
	io->contents = block_new(io->buf);
	remember(dev, io->block, io->contents);
	add_pending(dev, io->block, io->contents, 0);
}

static void forget(struct qvault_dev *dev, u32 i)
{
	block_put(dev->pending[i].contents);
	memmove(&dev->pending[i], &dev->pending[i + 1],
		(--dev->nr_pending - i) * sizeof(*dev->pending));
}

/* Everything about @block that completed up to @order is settled. */
static void settle(struct qvault_dev *dev, u64 block, u64 order,
		   struct block *b)
{
	u32 i;

	block_get(b);
	for (i = dev->nr_pending; i--;)
		if (dev->pending[i].block == block && dev->pending[i].order &&
		    dev->pending[i].order <= order)
			forget(dev, i);
	dev_set_durable(dev, block, b);
	block_put(b);
}

void dev_replace(struct qvault_dev *dev, u64 block, struct block *b)
{
	settle(dev, block, ~0ull, b);
}

static u32 find_pending(const struct io *io)
{
	const struct qvault_dev *dev = io->dev;
	u32 i;

	for (i = 0; i < dev->nr_pending; i++)
		if (dev->pending[i].contents == io->contents &&
		    dev->pending[i].block == io->block)
			break;
	return i;
}

static void complete_write(struct io *io)
{
	struct qvault_dev *dev = io->dev;
	struct rng *rng = &sched_current->rng;
	u32 i = find_pending(io);

	if (memcmp(io->buf, io->contents->data, QVAULT_BLOCK_SIZE))
		shim_fail("%s: buffer of block %llu changed under a write",
			  dev->name, (unsigned long long)io->block);
	if (io->err) {
		/* It may have been done all the same, or in part. */
		switch (rng_below(rng, 3)) {
		case 0:
			forget(dev, i);
			return;
		case 1:
			block_put(dev->pending[i].contents);
			dev->pending[i].contents =
				block_torn(dev_newest(dev, io->block),
					   io->contents, rng_next(rng));
			break;
		}
		dev->pending[i].order = ++dev->order;
		return;
	}
	dev->writes++;
	dev->pending[i].order = ++dev->order;
	if (io->fua)
		settle(dev, io->block, dev->order, io->contents);
}

static void complete_flush(struct io *io)
{
	struct qvault_dev *dev = io->dev;
	struct rng *rng = &sched_current->rng;
	u32 i;

	if (io->err) {
		/* What was to be flushed may be lost for good, and silently. */
		for (i = dev->nr_pending; i--;)
			if (dev->pending[i].order && rng_chance(rng, 50))
				forget(dev, i);
		return;
	}
	dev->flushes++;
	for (;;) {
		u32 best = dev->nr_pending;

		for (i = 0; i < dev->nr_pending; i++)
			if (dev->pending[i].order &&
			    dev->pending[i].order <= io->order &&
			    (best == dev->nr_pending ||
			     dev->pending[i].order < dev->pending[best].order))
				best = i;
		if (best == dev->nr_pending)
			return;
		settle(dev, dev->pending[best].block, dev->pending[best].order,
		       dev->pending[best].contents);
	}
}

static void complete_read(struct io *io)
{
	struct qvault_dev *dev = io->dev;
	struct rng *rng = &sched_current->rng;
	struct block *b = dev_newest(dev, io->block), *torn = NULL;
	u32 i;

	dev->reads++;
	if (io->block >= dev->nr_blocks)
		io->err = -EIO;
	/* A write under way may be seen, or not, or in part. */
	for (i = 0; i < dev->nr_pending; i++)
		if (dev->pending[i].block == io->block && !dev->pending[i].order)
			b = torn = block_torn(b, dev->pending[i].contents,
					      rng_next(rng));
	if (io->err)
		memset(io->buf, 0xee, QVAULT_BLOCK_SIZE);
	else
		memcpy(io->buf, b ? b->data : zero_block.data, QVAULT_BLOCK_SIZE);
	block_put(torn);
}

static void end(struct io *io)
{
	block_put(io->contents);
	io->contents = NULL;
	io->done = true;
}

/* The scheduler has chosen this one to end now. */
void dev_complete(struct io *io, int err)
{
	io->err = err;
	if (io->kind == IO_READ)
		complete_read(io);
	else if (io->kind == IO_WRITE)
		complete_write(io);
	else
		complete_flush(io);
	end(io);
}

void dev_misdirect(struct io *io, u64 block)
{
	struct qvault_dev *dev = io->dev;

	io->err = 0;
	forget(dev, find_pending(io));
	if (block != NOWHERE)
		add_pending(dev, block, io->contents, ++dev->order);
	end(io);
}

/* ---- Crashes ------------------------------------------------------------ */

static u32 tear_mask(enum crash_style style, struct rng *rng)
{
	switch (style) {
	case CRASH_ALL:
		return 0xff;
	case CRASH_RANDOM:
		return rng_chance(rng, 50) ? 0xff : 0;
	case CRASH_TORN:
		return rng_chance(rng, 60) ? (rng_chance(rng, 50) ? 0xff : 0) :
		       (u32)rng_below(rng, 256);
	default:
		return 0;
	}
}

static void land(struct qvault_dev *image, const struct pending *p, u32 mask)
{
	struct block *b;

	if (!mask)
		return;
	if (mask == 0xff) {
		dev_set_durable(image, p->block, p->contents);
		return;
	}
	b = block_torn(dev_durable(image, p->block), p->contents, mask);
	dev_set_durable(image, p->block, b);
	block_put(b);
}

static u32 crash_mask(enum crash_style style, u32 i, u32 chosen,
		      struct rng *rng)
{
	if (style == CRASH_ALL_BUT_ONE)
		return i == chosen ? 0 : 0xff;
	if (style == CRASH_ONLY_ONE)
		return i == chosen ? 0xff : 0;
	return tear_mask(style, rng);
}

/*
 * Order between two pending writes of one block is kept, so the later one wins
 * when both land; that is the one thing a disk promises.  Whether it keeps an
 * unfinished older one back is decided by the mask.
 */
static void apply(const struct qvault_dev *dev, struct qvault_dev *image,
		  enum crash_style style, struct rng *rng)
{
	u32 chosen = rng_below(rng, dev->nr_pending), i;

	for (i = 0; i < dev->nr_pending; i++)
		land(image, &dev->pending[i], crash_mask(style, i, chosen, rng));
}

void dev_crash(const struct qvault_dev *dev, struct qvault_dev *image,
	       enum crash_style style, struct rng *rng)
{
	dev_init(image, dev->name, NULL, dev->nr_blocks,
		 (struct qvault_dev *)dev);
	apply(dev, image, style, rng);
}

void dev_tear(const struct qvault_dev *dev, struct qvault_dev *image, u32 mask)
{
	u32 i;

	dev_init(image, dev->name, NULL, dev->nr_blocks,
		 (struct qvault_dev *)dev);
	for (i = 0; i < dev->nr_pending; i++)
		land(image, &dev->pending[i], mask);
}

void dev_crash_here(struct qvault_dev *dev, enum crash_style style,
		    struct rng *rng)
{
	apply(dev, dev, style, rng);
	drop_pending(dev);
}
