// SPDX-License-Identifier: GPL-2.0
/*
 * At an I/O: what must hold whenever the device is written, and what a power
 * cut just here would leave, tried out in a world of its own.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

/* A crash, one in the recovery from it, and one in the recovery from that. */
#define MAX_DEPTH 3

/* ---- What must hold at every write ---- */

static void check_overwrite(struct world *world, u64 block)
{
	u32 i;

	for (i = 0; i < 2; i++)
		if (world->reach[i].valid && block < world->reach[i].nr_blocks &&
		    test_bit(block, world->reach[i].bits))
			shim_fail("I2: block %llu is overwritten, %s record reaches it",
				  (unsigned long long)block,
				  i ? "the next" : "the newest durable");
}

static void set_reach(struct reach *reach, struct walk *w)
{
	free(reach->bits);
	reach->bits = w->bits;
	reach->nr_blocks = w->geo.data_blocks;
	reach->valid = true;
	w->bits = NULL;
}

/* G5: the record's state is the oracle's at the cut. */
static u64 first_other(struct world *world, const struct walk *w, u64 time)
{
	u64 i;

	for (i = 0; i < w->geo.logical_blocks; i++) {
		if (test_bit(i, w->lost) && !w->map[i].version)
			continue;
		if (oracle_at(&world->oracle, i, time).version != w->map[i].version)
			break;
	}
	return i;
}

bool mapping_is(struct world *world, const struct walk *w, u64 time)
{
	return first_other(world, w, time) == w->geo.logical_blocks;
}

static void check_mapping(struct world *world, const struct walk *w, u64 time)
{
	u64 i = first_other(world, w, time);

	if (i < w->geo.logical_blocks) {
		struct effect e = oracle_at(&world->oracle, i, time);

		if (e.version != w->map[i].version)
			shim_fail("G5: block %llu has version %llu in the anchored state, %llu at the cut",
				  (unsigned long long)i,
				  (unsigned long long)w->map[i].version,
				  (unsigned long long)e.version);
	}
}

/*
 * I4: what a record reaches is durable before the record could be.  So the walk
 * is made when the record is handed over, not when it has arrived.
 */
static bool same_state(const struct qvault_disk_anchor *a,
		       const struct qvault_disk_anchor *b)
{
	struct qvault_disk_anchor x = *a, y = *b;

	x.sequence = y.sequence;
	x.epoch = y.epoch;
	x.lease = y.lease;
	x.time = y.time;
	/* How blocks are sealed, and by whose key, says nothing of what they hold. */
	memcpy(x.check, y.check, sizeof(x.check));
	x.seal = y.seal;
	memcpy(x.gen, y.gen, sizeof(x.gen));
	x.data_blocks = y.data_blocks;
	x.logical_blocks = y.logical_blocks;
	memcpy(x.mac, y.mac, sizeof(x.mac));
	return !memcmp(&x, &y, sizeof(x));
}

/* The next record in the other slot, or a failed write of the newest once more. */
static void check_slot(const struct qvault_disk_anchor *disk,
		       const struct qvault_disk_anchor *newest, u64 block)
{
	u64 sequence = le64_to_cpu(disk->sequence);
	u64 last = le64_to_cpu(newest->sequence);

	if (!memcmp(disk, newest, sizeof(*disk)))
		return;
	if (QVAULT_SLOT_BLOCK(last & 1) == block)
		shim_fail("the newest anchor record is overwritten");
	if (sequence != last + 1)
		shim_fail("anchor record %llu follows %llu",
			  (unsigned long long)sequence, (unsigned long long)last);
}

/* A record that says what the newest one says stands for its time, not for the cut. */
static u64 time_of(struct world *world, const struct qvault_disk_anchor *disk,
		   const struct qvault_disk_anchor *newest)
{
	const struct record *record;

	if (newest && same_state(disk, newest)) {
		record = oracle_find(&world->oracle, newest, NULL);
		if (record)
			return record->time;
	}
	return world->oracle.cut;
}

static u32 dropped(const struct qvault_disk_anchor *disk,
		   const struct qvault_disk_anchor *newest)
{
	u32 i, n = 0;

	for (i = 0; i < QVAULT_GENERATIONS; i++)
		n += newest->gen[i].cipher && !disk->gen[i].cipher;
	return n;
}

static void anchor_submitted(struct world *world, const struct io *io)
{
	const struct qvault_disk_anchor *disk = (void *)io->contents->data;
	const struct qvault_disk_anchor *newest =
		newest_record(&world->crypto, &world->anchor);
	struct sim *sim = world->sim;
	u64 time = time_of(world, disk, newest);
	struct walk w;

	totals.records++;
	if (newest) {
		check_slot(disk, newest, io->block);
		totals.dropped += dropped(disk, newest);
		totals.raised += newest->tree.version &&
				 disk->tree_level > newest->tree_level;
	}
	oracle_record(&world->oracle, disk, time);
	world->reach[1].valid = false;
	if (world->expect_corruption || !rng_chance(&world->choice, sim->p.walk))
		return;
	totals.walks++;
	if (!walk(&w, &world->crypto, &world->data, disk))
		shim_fail("I4: anchor record %llu does not hold: %s",
			  (unsigned long long)le64_to_cpu(disk->sequence), w.why);
	check_mapping(world, &w, time);
	set_reach(&world->reach[1], &w);
	walk_exit(&w);
}

static void anchor_completed(struct world *world, const struct io *io)
{
	/* Durable or not: both states must then be kept. */
	if (io->err) {
		world->anchor_unknown = true;
		return;
	}
	swap(world->reach[0], world->reach[1]);
	world->reach[1].valid = false;
}

/* What is needed no more, now that a node above it is rotten, is not protected. */
void protect_less(struct world *world)
{
	const struct qvault_disk_anchor *disk =
		newest_record(&world->crypto, &world->anchor);
	struct walk w;

	if (!walk(&w, &world->crypto, &world->data, disk))
		shim_fail("the state with a rotten node does not hold: %s", w.why);
	if (world->reach[0].valid)
		set_reach(&world->reach[0], &w);
	world->reach[1].valid = false;
	walk_exit(&w);
}

/* Whatever the device holds when a life begins. */
void protect(struct world *world)
{
	const struct qvault_disk_anchor *disk =
		newest_record(&world->crypto, &world->anchor);
	struct walk w;

	if (!walk(&w, &world->crypto, &world->data, disk))
		shim_fail("the state after a crash does not hold: %s", w.why);
	check_mapping(world, &w, world->oracle.now);
	set_reach(&world->reach[0], &w);
	walk_exit(&w);
}

/* ---- A power cut ---- */

static void adversary(struct world *child, const struct world *parent,
		      struct rng *rng)
{
	const struct qvault_dev *dev = &parent->data;
	u32 n = 1 + rng_below(rng, 8);
	u64 i;

	while (dev->base && !dev->keep_history)
		dev = dev->base;
	if (!dev->history.nr)
		return;
	child->expect_corruption = true;
	child->faults.adversary = true;
	if (rng_chance(rng, 30))
		child->faults.lie = 1 + rng_below(rng, 30);
	/* Sometimes every block may be an old one: a rollback of it all. */
	if (rng_chance(rng, 20))
		n = dev->history.mask;
	for (i = 0; i <= dev->history.mask; i++) {
		struct versions *v = dev->history.values[i], *other;
		u64 block = dev->history.keys[i] - 1;
		struct block *b;

		if (!v || rng_below(rng, dev->history.mask + 1) >= n)
			continue;
		switch (rng_below(rng, 6)) {
		case 0:
			b = block_new(v->item[rng_below(rng, v->nr)]->data);
			b->data[rng_below(rng, 512)] ^= 1ull << rng_below(rng, 64);
			break;
		case 1:
			other = dev->history.values[rng_below(rng, dev->history.mask + 1)];
			if (!other)
				continue;
			b = block_get(other->item[rng_below(rng, other->nr)]);
			break;
		default:
			b = block_get(v->item[rng_below(rng, v->nr)]);
		}
		dev_set_durable(&child->data, block, b);
		block_put(b);
	}
	totals.attacks++;
}

struct verify {
	struct world *world;
	u64 seed;
};

static void read_all(struct client *c)
{
	struct sim *sim = c->world->sim;
	u64 blocks = c->world->v.geo.logical_blocks, i;
	u32 n;

	/*
	 * Each state reads what changed last, and some of the rest; together
	 * they read it all.
	 */
	if (blocks <= 100 || (blocks <= 1000 && rng_chance(&c->rng, 4))) {
		for (i = 0; i < blocks; i += n) {
			n = min_t(u64, QVAULT_MAX_RUN, blocks - i);
			op_read(c, i, n);
		}
		return;
	}
	if (rng_chance(&c->rng, 2))
		for (i = 0; i < sim->nr_touched; i++)
			op_read(c, sim->touched[i], 1);
	for (i = 0; i < min_t(u64, sim->nr_recent, SIM_RECENT); i++)
		op_read(c, sim->recent[i].logical, sim->recent[i].count);
	for (i = 0; i < 10 && sim->nr_touched; i++)
		op_read(c, sim->touched[rng_below(&c->rng, sim->nr_touched)], 1);
	for (i = 0; i < 5; i++)
		op_read(c, rng_below(&c->rng, blocks), 1);
}

static int attach(struct world *world)
{
	struct qvault_disk_anchor *record =
		kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err = qvault_attach(&world->v, record);

	if (world->sim)
		err = attach_with_more(world, record, err);
	kfree(record);
	if (!err) {
		world->attached = true;
		attach_caches(world);
		world->sched.need_noio = true;
	}
	return err;
}

/* The kicks of a child world are served by the task that caused them. */
static void verify_task(void *arg)
{
	struct verify *verify = arg;
	struct world *world = verify->world;
	struct client c = { .world = world, .rng.state = verify->seed };
	int err;
	u32 i, n;

	c.next_value = ((struct sim *)world->sim)->next_value + (1ull << 40);
	err = qvault_init(&world->v);
	if (!err)
		err = attach(world);
	if (err == -EILSEQ && world->rotten && rot_at_root(world)) {
		totals.refused++;
		qvault_exit(&world->v);
		return;
	}
	if (err && world->expect_corruption) {
		if (err != -EILSEQ)
			shim_fail("attach after an attack: error %d", err);
		totals.refused++;
		qvault_exit(&world->v);
		return;
	}
	if (err)
		shim_fail("G4: attach after a crash: error %d, %s", err,
			  world->v.reason ? world->v.reason : "");
	read_all(&c);
	if (world->corruptions)
		totals.unreadable++;
	if (!world->v.read_only && rng_chance(&c.rng, 40)) {
		n = rng_below(&c.rng, 12);
		for (i = 0; i < n; i++)
			op_random(&c);
		op_commit(&c);
		read_all(&c);
	}
	if (rng_chance(&c.rng, 50)) {
		world->sched.need_noio = false;
		err = qvault_detach(&world->v);
		if (err && !world->expect_corruption &&
		    !(err == -ENOSPC && world->rotten))
			shim_fail("detach after a crash: error %d", err);
	}
	qvault_exit(&world->v);
}

/* A world that goes on from what @world holds, and leaves that as it is. */
static struct world *branch(struct world *world, struct rng *rng)
{
	struct world *child = malloc(sizeof(*child));

	world_init(child, rng_next(rng));
	child->sim = world->sim;
	child->depth = world->depth + 1;
	child->rotten = world->rotten;
	child->half_rotten = world->half_rotten;
	child->choice.state = rng_next(rng);
	child->sched.preempt = 0;
	crypto_init(&child->crypto, world->crypto.real, &child->tweaks);
	crypto_unlock(&child->crypto, (const u8 *)"0123456789abcdef");
	child->dead_keys = world->dead_keys;
	child->tweaks.parent = &world->tweaks;
	child->v.logical_blocks = child->sim ? ((struct sim *)child->sim)->p.logical_blocks :
					       world->v.logical_blocks;
	child->v.memory_mib = world->v.memory_mib;
	if (child->sim)
		give_memory(child, rng);
	child->v.settle = child->sim ? ((struct sim *)child->sim)->p.shared :
				       world->v.settle;
	return child;
}

static void run_child(struct world *child, struct rng *rng)
{
	struct verify verify = { .world = child, .seed = rng_next(rng) };

	child->data.world = child->anchor.world = child;
	task_spawn(&child->sched, "verify", verify_task, &verify);
	world_run(child);
}

static void look_into(struct world *child, struct rng *rng)
{
	run_child(child, rng);
	world_exit(child);
	free(child);
}

/* Has the same stood on both devices before?  Then the state is no new one. */
static bool seen(struct sim *sim, const struct world *child)
{
	u64 stamp = mix64(child->data.stamp) ^ child->anchor.stamp;
	void **slot = map64_slot(&sim->states, stamp & ~0ull >> 1);

	if (*slot)
		return true;
	*slot = sim;
	return false;
}

static void drop(struct world *child)
{
	world_exit(child);
	free(child);
}

static void leave_anchor_alone(struct world *world, const struct io *io, bool completed)
{
	if (io->dev == &world->anchor && (io->kind == IO_WRITE || !world->v.anchor_dev))
		shim_fail("who has let go of the anchor comes back to it");
}

/*
 * An ephemeral life on a copy of the data of @child, from the anchor that this has: it
 * reads what the vault holds, and writes.  Then @child finds all as it was, and no
 * version of its own is one of those, which would not even matter.
 */
static void live_on_copy(struct world *child, const struct oracle *owner, u64 time,
			 struct rng *rng)
{
	struct world *copy = branch(child, rng);
	u64 stamp = child->data.stamp ^ child->anchor.stamp;

	dev_init(&copy->data, "data", copy, child->data.nr_blocks, &child->data);
	dev_init(&copy->anchor, "anchor", copy, child->anchor.nr_blocks, &child->anchor);
	keys_give(copy, rng);
	oracle_init(&copy->oracle, owner->logical_blocks, owner, time);
	copy->damaged = copy->expect_corruption = child->damaged;
	copy->v.let_go = copy->ephemeral = true;
	copy->on_io = leave_anchor_alone;
	ask_to_grow(copy, rng, 10);
	totals.copies++;
	look_into(copy, rng);
	if ((child->data.stamp ^ child->anchor.stamp) != stamp)
		shim_fail("an ephemeral life has changed the vault that it began with");
}

/* What the power cut leaves of @world is in @child: see. */
static void look_at_cut(struct world *world, struct world *child, u32 depth,
			bool attacked, struct rng *rng)
{
	const struct sim *sim = world->sim;
	const struct qvault_disk_anchor *disk;
	const struct record *record;
	const struct oracle *owner;

	keys_give(child, rng);
	disk = newest_record(&child->crypto, &child->anchor);
	if (!disk)
		shim_fail("no anchor record is left after a crash");
	record = oracle_find(&world->oracle, disk, &owner);
	if (!record)
		shim_fail("anchor record %llu, epoch %llu, was never written",
			  (unsigned long long)le64_to_cpu(disk->sequence),
			  (unsigned long long)le64_to_cpu(disk->epoch));
	if (record->time < world->oracle.acked)
		shim_fail("G3: a crash undoes what was acknowledged: time %llu of %llu",
			  (unsigned long long)record->time,
			  (unsigned long long)world->oracle.acked);
	/*
	 * The record may be one from before an earlier cut: it was torn then, and
	 * what the recovery wrote over it, torn in turn, has completed it.  Nobody
	 * has seen another state since, for that recovery never ended.
	 */
	if (owner != &world->oracle && world->attached)
		shim_fail("G3: the state of before the last recovery is back");
	oracle_init(&child->oracle, world->oracle.logical_blocks, owner,
		    record->time);
	child->v.read_only = rng_chance(rng, 15);
	ask_to_grow(child, rng, child->v.read_only ? 0 : 10);
	child->damaged = child->expect_corruption = world->damaged;
	if (child->rotten && rng_chance(rng, 20))
		rot_heal(child);
	if (sim->p.copies && !attacked && rng_chance(rng, sim->p.copies))
		live_on_copy(child, owner, record->time, rng);
	if (attacked)
		adversary(child, world, rng);
	else if (depth < MAX_DEPTH)
		child->on_io = explore_io;
	else
		child->on_io = explore_anchor;
	totals.states++;
	if (depth > 1)
		totals.recovery_states++;
	look_into(child, rng);
}

/* Cut the power of @world now, and see. */
void explore(struct world *world, u32 depth, bool attacked)
{
	struct sim *sim = world->sim;
	struct rng rng = { rng_next(&world->choice) };
	struct world *child;

	sim->nr_states++;
	if (depth == 1 && ++sim->nr_cuts != sim->p.only_state &&
	    sim->p.only_state)
		return;
	child = branch(world, &rng);
	dev_crash(&world->data, &child->data, rng_below(&rng, CRASH_STYLES), &rng);
	dev_crash(&world->anchor, &child->anchor,
		  rng_below(&rng, CRASH_STYLES), &rng);
	if (!attacked && seen(sim, child))
		drop(child);
	else
		look_at_cut(world, child, depth, attacked, &rng);
}

/* An anchor record on its way, with every subset of its sectors. */
static void explore_torn(struct world *world)
{
	struct sim *sim = world->sim;
	u32 mask;

	for (mask = 0; mask < 256; mask++) {
		struct rng rng = { rng_next(&world->choice) };
		struct world *child = branch(world, &rng);

		dev_crash(&world->data, &child->data,
			  rng_below(&rng, CRASH_STYLES), &rng);
		dev_tear(&world->anchor, &child->anchor, mask);
		sim->nr_states++;
		look_at_cut(world, child, world->depth + 1, false, &rng);
	}
}

void explore_damaged(struct world *volume)
{
	struct rng rng = { rng_next(&((struct sim *)volume->sim)->explore_rng) };
	struct world *child = branch(volume, &rng);

	dev_crash(&volume->data, &child->data, CRASH_NONE, &rng);
	dev_crash(&volume->anchor, &child->anchor, CRASH_NONE, &rng);
	keys_give(child, &rng);
	oracle_init(&child->oracle, volume->oracle.logical_blocks,
		    &volume->oracle, volume->oracle.now);
	child->damaged = child->expect_corruption = true;
	totals.attacks++;
	look_into(child, &rng);
}

/* ---- Another machine ---- */

/* A child of what @world's devices hold now, and of what @owner says of it. */
static struct world *attach_newest(struct world *world, const struct oracle *owner,
				   struct rng *rng)
{
	struct world *child = branch(world, rng);
	const struct record *record;

	dev_crash(&world->data, &child->data, CRASH_ALL, rng);
	dev_crash(&world->anchor, &child->anchor, CRASH_ALL, rng);
	keys_give(child, rng);
	record = oracle_find(owner, newest_record(&child->crypto, &child->anchor),
			     &owner);
	if (!record)
		shim_fail("the newest record is nobody's");
	oracle_init(&child->oracle, owner->logical_blocks, owner, record->time);
	child->on_io = explore_anchor;
	return child;
}

static void take_over(struct qvault_dev *dev, const struct qvault_dev *from)
{
	struct block *now, *was;
	u64 i;

	for (i = 0; i < dev->nr_blocks; i++) {
		now = dev_newest(from, i);
		was = dev_newest(dev, i);
		if (now && now != was)
			dev_replace(dev, i, now);
	}
}

/**
 * elsewhere() - another machine attaches the vault and uses it
 * @world: of whoever has it already, and goes on with what the other leaves
 *
 * Return: the other's world, for elsewhere_check().
 */
struct world *elsewhere(struct world *world)
{
	struct rng rng = { rng_next(&world->choice) };
	struct world *other = attach_newest(world, &world->oracle, &rng);

	run_child(other, &rng);
	take_over(&world->data, &other->data);
	take_over(&world->anchor, &other->anchor);
	return other;
}

/**
 * elsewhere_check() - who was behind has ended: the other has lost nothing
 * @world: of who was behind
 * @other: from elsewhere(); freed
 *
 * But for blocks of data that both have written to the same place.
 */
void elsewhere_check(struct world *world, struct world *other)
{
	struct rng rng = { rng_next(&world->choice) };
	struct world *child = attach_newest(world, &other->oracle, &rng);

	child->expect_data_loss = child->damaged = true;
	child->v.read_only = true;
	look_into(child, &rng);
	world_exit(other);
	free(other);
}

/* ---- Attacks on a volume at rest ---- */

/* Put @contents into the place of a block, and see. */
void attack(struct world *volume, u64 block, struct block *contents)
{
	struct sim *sim = volume->sim;
	struct rng rng = { rng_next(&sim->explore_rng) };
	struct world *child = branch(volume, &rng);

	dev_init(&child->data, "data", child, volume->data.nr_blocks,
		 &volume->data);
	dev_init(&child->anchor, "anchor", child, volume->anchor.nr_blocks,
		 &volume->anchor);
	dev_set_durable(&child->data, block, contents);
	keys_give(child, &rng);
	oracle_init(&child->oracle, volume->oracle.logical_blocks,
		    &volume->oracle, volume->oracle.now);
	child->expect_corruption = true;
	child->v.read_only = rng_chance(&rng, 50);
	totals.attacks++;
	look_into(child, &rng);
}

/* ---- Hook of the device ---- */

void explore_anchor(struct world *world, const struct io *io, bool completed)
{
	if (io->kind != IO_WRITE)
		return;
	if (world->v.read_only)
		shim_fail("a read-only vault writes");
	/* A claim is none of the volume's state. */
	if (io->dev == &world->anchor && io->block == QVAULT_CLAIM_BLOCK)
		return;
	if (io->dev == &world->anchor) {
		if (completed)
			anchor_completed(world, io);
		else
			anchor_submitted(world, io);
	} else if (!completed) {
		check_overwrite(world, io->block);
	}
}

/* Around an anchor write and a flush it matters most. */
static u32 permille(const struct world *world, const struct io *io)
{
	const struct sim *sim = world->sim;
	u32 n = sim->p.explore;

	if (world->depth)
		n = world->depth > 1 ? min(n, 6u) : min(n, 20u);
	if (io->dev == &world->anchor || io->kind == IO_FLUSH)
		n *= 6;
	return n;
}

void explore_io(struct world *world, const struct io *io, bool completed)
{
	struct sim *sim = world->sim;
	u32 tries;

	explore_anchor(world, io, completed);
	if (io->kind == IO_READ)
		return;
	if (!world->depth && !completed && io->dev == &world->anchor &&
	    io->kind == IO_WRITE && rng_chance(&world->choice, sim->p.tear))
		explore_torn(world);
	if ((totals.limit && totals.states >= totals.limit) ||
	    (sim->nr_states >= sim->p.max_states && !sim->p.only_state))
		return;
	for (tries = permille(world, io); tries >= 1000; tries -= 1000)
		explore(world, world->depth + 1, false);
	if (rng_below(&world->choice, 1000) < tries)
		explore(world, world->depth + 1,
			!world->depth &&
			rng_chance(&world->choice, sim->p.adversary));
}
