// SPDX-License-Identifier: GPL-2.0
/*
 * What users of a vault do, each operation checked against the oracle; and the
 * hooks that tell the oracle when a change takes effect.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

/* ---- Hooks: the linker puts these before the engine's functions ---- */

void __real_qvault_stream_append(struct qvault *v, u64 logical,
				 const struct qvault_ptr *ptr, u32 count);
void __real_qvault_stream_append_unmap(struct qvault *v, u64 logical, u64 count);
bool __real_qvault_stream_cut(struct qvault *v, struct qvault_page *spare);
int __real_qvault_lose(struct qvault *v, u64 logical, const struct qvault_root *root);
int __real_qvault_checkpoint_unasked(struct qvault *v);
void __real_qvault_delta_carry(struct qvault *v, struct qvault_delta *from,
			       struct qvault_delta *to, u32 level, u64 index);

void touch(struct sim *sim, u64 logical)
{
	if (!sim || test_bit(logical, sim->is_touched))
		return;
	__set_bit(logical, sim->is_touched);
	sim->touched[sim->nr_touched++] = logical;
}

/* SIM_TRACE=BLOCK: say when the trunk changes it. */
static void trace(const struct world *world, const char *what, u64 logical,
		  u64 count, u64 version, u64 where)
{
	const char *env = getenv("SIM_TRACE");
	u64 block = env ? strtoull(env, NULL, 0) : 0;

	if (!env || world->depth || block - logical >= count)
		return;
	fprintf(stderr, "  time %llu: %s %llu+%llu, version %llu at %llu\n",
		(unsigned long long)world->oracle.now, what,
		(unsigned long long)logical, (unsigned long long)count,
		(unsigned long long)version, (unsigned long long)where);
}

static void remember(struct world *world, u64 logical, u64 count)
{
	struct sim *sim = world->sim;
	u64 i;

	if (!sim || world->depth)
		return;
	i = sim->nr_recent % SIM_RECENT;
	sim->recent[i].logical = logical;
	sim->recent[i].count = min_t(u64, count, 2);
	sim->nr_recent++;
}

static struct active_write *find_write(struct world *world,
				       const struct qvault_ptr *ptr)
{
	struct active_write *a;

	list_for_each_entry(a, &world->writes, list)
		if (ptr >= a->w->ptr && ptr < a->w->ptr + a->w->count)
			return a;
	return NULL;
}

/*
 * What stands in the log, what is on its way there and what will have to go
 * there fits.  Checked here, because the overwrite of a log block that is still
 * needed may come much later or never.
 */
static void check_log(const struct qvault *v)
{
	u64 used = qvault_log_used(v) + v->stream.nr_cut + v->stream.nr_pages;

	if (used > v->log_limit)
		shim_fail("the log needs %llu blocks of %u",
			  (unsigned long long)used, v->log_limit);
}

/* What is logged once more must be what is so; unmaps the walker sees to. */
static void check_carried(struct world *world, u64 logical,
			  const struct qvault_ptr *ptr, u32 count)
{
	u32 i;

	trace(world, "carry", logical, count, ptr->version, ptr->where);
	totals.carried++;
	for (i = 0; i < count; i++)
		if (oracle_at(&world->oracle, logical + i,
			      world->oracle.now).version != ptr[i].version)
			shim_fail("an old pointer of block %llu is carried",
				  (unsigned long long)logical + i);
}

/* A block has moved: it holds what it held, and was not unmapped meanwhile. */
static void moved(struct world *world, u64 logical, const struct qvault_ptr *ptr,
		  u32 count)
{
	struct effect e;
	u32 i;

	world->oracle.now++;
	trace(world, "move", logical, count, ptr->version, ptr->where);
	totals.moved += count;
	for (i = 0; i < count; i++) {
		e = oracle_at(&world->oracle, logical + i, world->oracle.now);
		if (!e.value)
			shim_fail("block %llu has moved, and is unmapped",
				  (unsigned long long)logical + i);
		touch(world->sim, logical + i);
		oracle_effect(&world->oracle, logical + i, e.value, ptr[i].version);
	}
}

void __wrap_qvault_delta_carry(struct qvault *v, struct qvault_delta *from,
			       struct qvault_delta *to, u32 level, u64 index)
{
	struct world *world = v->platform;

	if (world)
		world->carrying = true;
	__real_qvault_delta_carry(v, from, to, level, index);
	if (world)
		world->carrying = false;
}

void __wrap_qvault_stream_append(struct qvault *v, u64 logical,
				 const struct qvault_ptr *ptr, u32 count)
{
	struct world *world = v->platform;
	struct active_write *a = world ? find_write(world, ptr) : NULL;
	u32 i, first;

	if (world && world->carrying) {
		check_carried(world, logical, ptr, count);
	} else if (world && world->walker && world->walker == task_current) {
		moved(world, logical, ptr, count);
	} else if (world) {
		if (!a)
			shim_fail("something is mapped that nobody wrote");
		first = ptr - a->w->ptr;
		if (logical != a->w->logical + first)
			shim_fail("a write takes effect in another place");
		world->oracle.now++;
		remember(world, logical, count);
		trace(world, "map", logical, count, ptr->version, ptr->where);
		for (i = 0; i < count; i++) {
			touch(world->sim, logical + i);
			oracle_effect(&world->oracle, logical + i,
				      a->value[first + i], ptr[i].version);
		}
		a->applied += count;
	}
	__real_qvault_stream_append(v, logical, ptr, count);
	if (world)
		check_log(v);
}

static void unmap_one(struct oracle *o, u64 logical)
{
	if (oracle_at(o, logical, o->now).value)
		oracle_effect(o, logical, 0, 0);
}

void __wrap_qvault_stream_append_unmap(struct qvault *v, u64 logical, u64 count)
{
	struct world *world = v->platform;
	struct sim *sim = world ? world->sim : NULL;
	u64 i;

	if (sim && world->carrying) {
		trace(world, "carry unmap", logical, count, 0, 0);
	} else if (sim) {
		world->oracle.now++;
		remember(world, logical, count);
		trace(world, "unmap", logical, count, 0, 0);
		if (count <= sim->nr_touched) {
			for (i = 0; i < count; i++)
				unmap_one(&world->oracle, logical + i);
		} else {
			for (i = 0; i < sim->nr_touched; i++)
				if (sim->touched[i] - logical < count)
					unmap_one(&world->oracle, sim->touched[i]);
		}
	}
	__real_qvault_stream_append_unmap(v, logical, count);
	if (world)
		check_log(v);
}

bool __wrap_qvault_stream_cut(struct qvault *v, struct qvault_page *spare)
{
	struct world *world = v->platform;
	bool dirty = __real_qvault_stream_cut(v, spare);

	if (!world)
		return dirty;
	world->oracle.cut = world->oracle.now;
	trace(world, spare ? "freeze" : "cut", 0, ~0ull, 0, 0);
	return dirty;
}

/* ---- Writes ---- */

struct group_io {
	u32 left;
	int err;
	wait_queue_head_t wait;
};

static void group_end(struct io *io)
{
	struct group_io *group = io->private;

	if (io->err && !group->err)
		group->err = io->err;
	kfree(io->buf);
	kfree(io);
	group->left--;
	wake_up(&group->wait);
}

static void group_submit(struct world *world, struct group_io *group,
			 enum io_kind kind, u64 block, void *buf)
{
	struct io *io = kzalloc(sizeof(*io), GFP_NOIO | __GFP_NOFAIL);

	io->kind = kind;
	io->dev = world->v.data;
	io->block = block;
	io->buf = buf;
	io->end = group_end;
	io->private = group;
	group->left++;
	world_submit(io->dev->world, io);
}

static int write_blocks(struct client *c, struct qvault_write *w,
			const u64 *value)
{
	struct world *world = c->world;
	struct group_io *group = kzalloc(sizeof(*group), GFP_NOIO | __GFP_NOFAIL);
	u64 *plain = kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err, look;
	u32 i;

	init_waitqueue_head(&group->wait);
	for (i = 0; i < w->count; i++) {
		void *cipher = kmalloc(QVAULT_BLOCK_SIZE,
				       GFP_NOIO | __GFP_NOFAIL);

		check_data_place(world, w->ptr[i].where);
		value_fill(w->logical + i, value[i], plain);
		if (qvault_seal(&world->v, QVAULT_KIND_DATA, w->logical + i,
				&w->ptr[i], plain, cipher))
			shim_fail("a seal failed");
		/* Meanwhile another one of them may have failed. */
		look = qvault_share_look(&world->v);
		group->err = group->err ?: look;
		if (group->err) {
			kfree(cipher);
			break;
		}
		group_submit(world, group, IO_WRITE, w->ptr[i].where, cipher);
	}
	wait_event(group->wait, !group->left);
	err = group->err;
	kfree(plain);
	kfree(group);
	return err;
}

/* @logical and @count: what it was about; 0: of nothing below a node. */
void check_error(struct world *world, const char *what, int err, u64 logical,
		 u64 count)
{
	if (err == -EIO && world->expect_failure)
		return;
	if (err == -EILSEQ && world->rotten && count && rot_above(logical, count))
		return;
	if ((err == -EILSEQ || err == -EIO) && world->expect_corruption)
		return;
	if (err == -EILSEQ && world->expect_data_loss)
		return;
	/* Whoever finds that somebody else goes on. */
	if ((err == -ESTALE || err == -EIO) && world->taken)
		return;
	if (err == -EIO && world->v.mode == QVAULT_MODE_FAILED &&
	    world->expect_corruption)
		return;
	if (err == -ENOMEM && (world->expect_no_memory ||
			       (world->rotten && world->shortage)))
		return;
	/*
	 * What a failed write was to fill is set aside, and may be all there is;
	 * and what a node or map that cannot be read would free stays in use.
	 */
	if (err == -ENOSPC && (world->faulted || world->corruptions ||
			       qvault_alloc_leaky(&world->v)))
		return;
	shim_fail("%s: error %d for no reason", what, err);
}

static int write_run(struct client *c, u64 logical, u32 *count)
{
	struct world *world = c->world;
	struct qvault_write *w;
	struct active_write active = { .applied = 0 };
	u64 *value;
	u32 i;
	int err;

	w = kzalloc(struct_size(w, ptr, *count), GFP_NOIO | __GFP_NOFAIL);
	value = kcalloc(*count, sizeof(*value), GFP_NOIO | __GFP_NOFAIL);
	for (i = 0; i < *count; i++)
		value[i] = ++c->next_value;
	w->logical = logical;
	w->count = *count;
	err = qvault_write_begin(&world->v, w);
	if (err) {
		check_error(world, "write_begin", err, logical, *count);
		goto out;
	}
	if (!w->count || w->count > *count)
		shim_fail("write_begin gives %u blocks of %u", w->count, *count);
	*count = w->count;
	active.w = w;
	active.value = value;
	list_add(&active.list, &world->writes);
	err = write_blocks(c, w, value);
	if (err)
		check_error(world, "a write of data", err, 0, 0);
	/* All that it needs was promised at the beginning. */
	task_current->ends = true;
	err = qvault_write_end(&world->v, w, err);
	task_current->ends = false;
	list_del(&active.list);
	if (err)
		check_error(world, "write_end", err, 0, 0);
	if (active.applied != (err ? 0 : w->count))
		shim_fail("a write of %u blocks took effect for %u, result %d",
			  w->count, active.applied, err);
out:
	kfree(value);
	kfree(w);
	return err;
}

int op_write(struct client *c, u64 logical, u32 count)
{
	u32 n;
	int err;

	while (count) {
		n = min(count, QVAULT_MAX_RUN);
		err = write_run(c, logical, &n);
		if (err)
			return err;
		logical += n;
		count -= n;
	}
	return 0;
}

/* ---- Unmap ---- */

int op_unmap(struct client *c, u64 logical, u64 count)
{
	struct world *world = c->world;
	struct oracle *o = &world->oracle;
	struct sim *sim = world->sim;
	u64 begin = o->now, i;
	int err;

	err = qvault_unmap(&world->v, logical, count);
	if (err) {
		check_error(world, "unmap", err, logical, count);
		return err;
	}
	for (i = 0; i < sim->nr_touched; i++) {
		u64 block = sim->touched[i];

		if (block - logical < count &&
		    !oracle_was(o, block, 0, begin, o->now))
			shim_fail("an unmap did not reach block %llu",
				  (unsigned long long)block);
	}
	return 0;
}

/* ---- Read ---- */

/* What the block holds instead, if it ever held that. */
static void explain(const struct oracle *o, u64 logical, const u64 *data)
{
	struct effect e, last = { .time = ~0ull };
	u64 t;

	for (t = 0; t <= o->now; t++) {
		e = oracle_at(o, logical, t);
		if (e.time == last.time)
			continue;
		last = e;
		fprintf(stderr, "  from %llu on: value %llu, version %llu%s\n",
			(unsigned long long)e.time, (unsigned long long)e.value,
			(unsigned long long)e.version,
			value_equal(logical, e.value, data) ? " (this was read)" :
			"");
	}
}

static void check_value(struct world *world, u64 logical, const u64 *data,
			u64 begin)
{
	struct oracle *o = &world->oracle;
	struct effect e = oracle_at(o, logical, begin);
	u64 t;

	totals.blocks_read++;
	if (value_equal(logical, e.value, data))
		return;
	for (t = begin + 1; t <= o->now; t++) {
		e = oracle_at(o, logical, t);
		if (value_equal(logical, e.value, data))
			return;
	}
	explain(o, logical, data);
	shim_fail("G2: block %llu reads wrong; read from time %llu to %llu",
		  (unsigned long long)logical, (unsigned long long)begin,
		  (unsigned long long)o->now);
}

/* As the kernel's read path does it: if the tag is bad, has the pointer moved? */
static int read_block(struct world *world, u64 logical, struct qvault_ptr *ptr,
		      u64 *plain, u64 *scratch, u64 *cipher)
{
	struct qvault_ptr old;
	int err;

	do {
		old = *ptr;
		if (!ptr->version) {
			memset(plain, 0, QVAULT_BLOCK_SIZE);
			err = 0;
			break;
		}
		err = qvault_dev_read(world->v.data, ptr->where, cipher);
		if (!err)
			err = qvault_unseal(&world->v, QVAULT_KIND_DATA, logical,
					    ptr, cipher, plain, scratch);
		if (err != -EILSEQ)
			break;
		err = qvault_lookup(&world->v, logical, 1, ptr);
		if (!err && ptr->version == old.version)
			err = qvault_corrupt(&world->v, QVAULT_KIND_DATA, logical);
	} while (!err);
	return err;
}

/* What the kernel does on other threads, beside all that goes on here. */
static void read_ahead(struct world *world)
{
	while (world->nr_ahead)
		qvault_readahead(&world->v, world->ahead[--world->nr_ahead]);
}

int op_read(struct client *c, u64 logical, u32 count)
{
	struct world *world = c->world;
	struct qvault_ptr *ptr = kcalloc(count, sizeof(*ptr),
					 GFP_NOIO | __GFP_NOFAIL);
	u64 plain[QVAULT_BLOCK_SIZE / sizeof(u64)];
	u64 scratch[QVAULT_BLOCK_SIZE / sizeof(u64)];
	u64 cipher[QVAULT_BLOCK_SIZE / sizeof(u64)];
	u64 begin = world->oracle.now;
	int err, any = 0;
	u32 i;

	err = qvault_lookup(&world->v, logical, count, ptr);
	if (err) {
		check_error(world, "lookup", err, logical, count);
		any = err;
	}
	read_ahead(world);
	for (i = 0; !err && i < count; i++) {
		int e = read_block(world, logical + i, &ptr[i], plain, scratch,
				   cipher);

		if (e) {
			check_error(world, "read", e, logical + i, 1);
			any = e;
			continue;
		}
		check_value(world, logical + i, plain, begin);
	}
	kfree(ptr);
	return any;
}

/* ---- Commit ---- */

static void acknowledged(struct world *world, u64 time)
{
	if (world->fork)
		fork_acked(world->fork, time);
	world->oracle.acked = max(world->oracle.acked, time);
}

int op_commit(struct client *c)
{
	struct oracle *o = &c->world->oracle;
	u64 now = o->now;
	int err = qvault_commit(&c->world->v);

	if (err)
		check_error(c->world, "commit", err, 0, 0);
	else
		acknowledged(c->world, now);
	return err;
}

static int checkpoint(struct client *c, int (*how)(struct qvault *v))
{
	struct oracle *o = &c->world->oracle;
	u64 now = o->now;
	int err = how(&c->world->v);

	/* Something is held, which only who needs room would end. */
	if (err == -EBUSY && how == qvault_checkpoint_unasked)
		return err;
	if (err == -ENOSPC && c->world->rotten) {
		totals.overfull++;
		c->world->overfull++;
	} else if (err)
		check_error(c->world, "checkpoint", err, 0, 0);
	else
		acknowledged(c->world, now);
	return err;
}

int op_checkpoint(struct client *c)
{
	return checkpoint(c, qvault_checkpoint);
}

/* What a kick has asked for. */
void op_checkpoint_unasked(struct client *c)
{
	checkpoint(c, qvault_checkpoint_unasked);
}

int op_generation(struct client *c)
{
	struct qvault *v = &c->world->v;
	u32 before = qvault_generations(&v->anchor), begun = c->world->generations;
	int err = qvault_generation_new(v, rng_chance(&c->rng, 50) ?
					   QVAULT_MAC_HMAC_SHA256_128 :
					   QVAULT_MAC_NHPOLY_AES);

	/* The others have begun some meanwhile, or are about to say so. */
	if (err == -ENOSPC && hweight32(before) + c->world->generations - begun +
			      sim_current->p.clients >= QVAULT_GENERATIONS - 1)
		return err;
	if (err)
		check_error(c->world, "new generation", err, 0, 0);
	if (!err) {
		c->world->generations++;
		totals.generations++;
	}
	return err;
}

static bool may_be_bad(const struct world *world)
{
	static const struct faults none;

	return world->rotten || world->expect_data_loss || world->expect_failure ||
	       memcmp(&world->faults, &none, sizeof(none));
}

/* Where something is bad or fails, seldom a repair: after one less can be told. */
static enum qvault_walk_kind random_walk(const struct world *world, struct rng *rng)
{
	static const enum qvault_walk_kind kinds[] = {
		QVAULT_WALK_SCRUB, QVAULT_WALK_RESEAL, QVAULT_WALK_RESEAL, QVAULT_WALK_REPAIR,
	};
	enum qvault_walk_kind kind = kinds[rng_below(rng, ARRAY_SIZE(kinds))];

	if (may_be_bad(world) && kind == QVAULT_WALK_REPAIR && !rng_chance(rng, 20))
		kind = QVAULT_WALK_SCRUB;
	return kind;
}

/* From here on it stays so, also when the device has it again, and in other lives. */
static void given_up(struct world *world)
{
	if (!world || !world->sim)
		return;
	if (!may_be_bad(world) && !world->expect_corruption)
		shim_fail("something is given up, and nothing is bad");
	world->given_up = world->damaged = world->expect_corruption = true;
}

int __wrap_qvault_lose(struct qvault *v, u64 logical, const struct qvault_root *root)
{
	given_up(v->platform);
	return __real_qvault_lose(v, logical, root);
}

int __wrap_qvault_checkpoint_unasked(struct qvault *v)
{
	if (v->walk.given_up)
		given_up(v->platform);
	return __real_qvault_checkpoint_unasked(v);
}

/* Some steps of a walk, if nobody else makes them. */
void op_walk(struct client *c, u32 steps)
{
	struct world *world = c->world;
	struct qvault *v = &world->v;
	bool repairs;
	u64 bad;
	int err = 0;

	if (world->walker)
		return;
	world->walker = task_current;
	if (!v->walk.kind || rng_chance(&c->rng, 2))
		err = qvault_walk_begin(v, random_walk(world, &c->rng));
	else
		err = 1;
	repairs = v->walk.kind == QVAULT_WALK_REPAIR;
	bad = v->walk.bad;
	while (err > 0 && steps--) {
		err = qvault_walk_step(v);
		totals.steps++;
		totals.passes += !err;
	}
	world->walker = NULL;
	if (repairs && v->walk.bad > bad)
		totals.given_up += v->walk.bad - bad;
	/* None begins while a moment is held. */
	if (err == -EBUSY && sim_current->p.holds)
		return;
	if (err < 0 && err != -EAGAIN && v->mode == QVAULT_MODE_WRITE &&
	    !(err == -ENOSPC && world->rotten))
		check_error(world, "walk", err, 0, 0);
	if (v->walk.bad > bad && !world->expect_corruption && !world->expect_failure &&
	    !world->expect_data_loss && !world->rotten)
		shim_fail("a walk finds %llu bad blocks, and nobody did anything",
			  (unsigned long long)(v->walk.bad - bad));
}

/* ---- At random ---- */

/* Mostly within a few hot places, so that operations meet. */
static u64 random_block(struct client *c, u64 blocks)
{
	u64 hot = blocks * 3 / 4;

	switch (rng_below(&c->rng, 4)) {
	case 0:
		return rng_below(&c->rng, blocks);
	case 1:
		return rng_below(&c->rng, min_t(u64, blocks, 300));
	case 2:
		return blocks - 1 - rng_below(&c->rng, min_t(u64, blocks, 20));
	}
	return hot + rng_below(&c->rng, min_t(u64, blocks - hot, 140));
}

static u32 random_length(struct client *c, u32 max)
{
	switch (rng_below(&c->rng, 5)) {
	case 0:
	case 1:
		return 1;
	case 2:
	case 3:
		return 1 + rng_below(&c->rng, min(max, 9u));
	}
	return 1 + rng_below(&c->rng, max);
}

static void random_unmap(struct client *c, u64 blocks)
{
	u64 logical = random_block(c, blocks), span = QVAULT_FANOUT, count;

	switch (rng_below(&c->rng, 6)) {
	case 0:				/* leaves */
		logical &= ~(span - 1);
		count = span << rng_below(&c->rng, 2);
		break;
	case 1:				/* a subtree */
		span <<= QVAULT_FANOUT_SHIFT;
		logical &= ~(span - 1);
		count = span;
		break;
	case 2:				/* everything from here on */
		count = rng_chance(&c->rng, 20) ? blocks : 1;
		break;
	default:
		count = random_length(c, 64);
	}
	op_unmap(c, logical, min(count, blocks - logical));
}

/*
 * What needs most of the log: entries of just more than fit into an anchor
 * record, each lot committed by itself, so that it takes two log blocks.
 */
static void burst(struct client *c, u64 blocks)
{
	u32 n = 96 + rng_below(&c->rng, 8), i;

	for (i = 0; i < n; i++)
		op_write(c, rng_below(&c->rng, blocks), 1);
	op_commit(c);
}

void op_random(struct client *c)
{
	struct sim *sim = c->world->sim;
	u64 blocks = c->world->v.geo.logical_blocks, logical;
	u32 what = rng_below(&c->rng, 100), n;

	totals.ops++;
	/* Told of another life, of which nothing comes. */
	if (rng_chance(&c->rng, 1))
		qvault_forked(&c->world->v);
	if (!c->world->ephemeral && rng_below(&c->rng, 1000) < sim->p.generations)
		op_generation(c);
	/* Another life of this memory, or another machine, has a key of its own. */
	if (!c->world->ephemeral && !sim->p.forks &&
	    rng_below(&c->rng, 1000) < sim->p.keys)
		op_key_change(c);
	if (!c->world->ephemeral && !sim->p.forks &&
	    rng_below(&c->rng, 1000) < sim->p.holds)
		op_hold(c);
	if (rng_below(&c->rng, 1000) < sim->p.passes)
		op_walk(c, 1 + rng_below(&c->rng, 8));
	logical = random_block(c, blocks);
	n = min_t(u64, random_length(c, sim->p.max_len), blocks - logical);
	if (what < 5 && rng_chance(&c->rng, sim->p.bursts))
		burst(c, blocks);
	else if (what < sim->p.commits)
		op_commit(c);
	else if (what < 55)
		op_write(c, logical, n);
	else if (what < 65)
		random_unmap(c, blocks);
	else if (what < 95 || rng_chance(&c->rng, sim->p.lazy))
		op_read(c, logical, n);
	else
		op_checkpoint(c);
}
