// SPDX-License-Identifier: GPL-2.0
/*
 * The trunk: a volume is formatted and then lives through attaches, workloads,
 * detaches and power cuts, one after the other.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

struct totals totals;
struct sim *sim_current;

static const u8 uuid[QVAULT_UUID_SIZE + 1] = "0123456789abcdef";

struct life {
	struct sim *sim;
	struct world world;
	struct client client[16];
	u32 running;
	wait_queue_head_t ended;
	u32 number;
	bool cut;			/* it is to end by a power cut */
	u64 cut_at;			/* I/Os from now */
	bool healthy;			/* no faults in this life */
	u64 rot_at, heal_at;		/* I/Os from now; 0: never */
	bool hostile;			/* and no honest storage */
	struct fork fork;		/* memory goes back, if world.fork is set */
};

/* Small caches, so that what is dropped must be read again. */
void attach_caches(struct world *world)
{
	struct sim *sim = world->sim;
	struct rng *rng = &world->sched.rng;

	if (!rng_chance(rng, sim->p.tight))
		return;
	world->v.cache.limit = rng_below(rng, 6);
	qvault_alloc_set_limit(&world->v.alloc, rng_below(rng, 2 * QVAULT_CELLS + 20));
	world->v.delta_limit = rng_below(rng, 16) << 10;
}

/* Less than whoever wrote the log may have had, or more; with none all is in parts. */
void give_memory(struct world *world, struct rng *rng)
{
	const struct params *p = &((struct sim *)world->sim)->p;
	static const u32 mib[] = { 0, 1, 64 };

	world->v.memory_mib = p->memory_mib;
	if (rng_chance(rng, p->other_memory))
		world->v.memory_mib = mib[rng_below(rng, ARRAY_SIZE(mib))];
}

/*
 * An attach may have too little memory for what the log says, and not be able to merge
 * it: then it says how much would do.
 */
int attach_with_more(struct world *world, struct qvault_disk_anchor *record, int err)
{
	struct qvault *v = &world->v;
	const char *number = v->reason ? strstr(v->reason, "memory_mib ") : NULL;

	totals.merged += !err && atomic64_read(&v->counters.checkpoints);
	if (!err || !number)
		return err;
	if (err == -ENOMEM ? !v->read_only : err != -EILSEQ || !world->rotten)
		return err;
	totals.refused_memory++;
	v->memory_mib = strtoul(number + strlen("memory_mib "), NULL, 10);
	return qvault_attach(v, record);
}

/* The table asks for a volume as large as its device allows, or less. */
void ask_to_grow(struct world *world, struct rng *rng, u32 percent)
{
	const struct params *p = &((struct sim *)world->sim)->p;
	struct qvault_geometry geo;

	world->v.grow = p->grow && rng_chance(rng, percent);
	world->v.logical_blocks = p->logical_blocks;
	if (!world->v.grow)
		return;
	if (qvault_geometry_init(&geo, world->data.nr_blocks, 0, p->log_blocks))
		shim_fail("impossible geometry to grow to");
	world->v.logical_blocks = rng_chance(rng, 60) ? geo.capacity :
				  p->logical_blocks +
				  rng_below(rng, geo.capacity - p->logical_blocks + 1);
	totals.grown++;
}

/* In the trunk the data device becomes larger, too. */
static void grow(struct life *life)
{
	const struct params *p = &life->sim->p;
	struct qvault_dev *data = &life->world.data;
	struct rng *rng = &life->sim->rng;

	if (p->grow && data->nr_blocks < p->grow_to && rng_chance(rng, p->grow))
		data->nr_blocks += rng_chance(rng, 20) ?
				   p->grow_to - data->nr_blocks :
				   rng_below(rng, p->grow_to - data->nr_blocks + 1);
	ask_to_grow(&life->world, rng, p->grow);
}

/* ---- Tasks ---- */

static void client_task(void *arg)
{
	struct client *c = arg;
	struct life *life = c->life;
	u32 i;

	for (i = 0; i < c->ops && c->world->v.mode == QVAULT_MODE_WRITE; i++)
		op_random(c);
	life->running--;
	wake_up(&life->ended);
}

static void checkpoint_task(void *arg)
{
	struct world *world = arg;
	struct client c = { .world = world };
	struct sim *sim = world->sim;

	for (;;) {
		wait_event(world->kick_wait, world->kicked || world->stopping);
		if (world->stopping)
			break;
		world->kicked = false;
		/* It is only a hint, and this thread may be slow. */
		if (rng_chance(&world->sched.rng, sim->p.lazy))
			continue;
		if (world->v.mode == QVAULT_MODE_WRITE)
			op_checkpoint_unasked(&c);
	}
	world->stopped = true;
	wake_up(&world->kick_wait);
}

static void trim_task(void *arg)
{
	struct world *world = arg;
	struct sim *sim = world->sim;

	for (;;) {
		wait_event(world->kick_wait, world->trim_kicked || world->stopping);
		if (world->stopping)
			break;
		world->trim_kicked = false;
		while (!world->stopping && !rng_chance(&world->sched.rng, sim->p.lazy / 4) &&
		       qvault_trim(&world->v))
			;
	}
	world->trim_stopped = true;
	wake_up(&world->kick_wait);
}

/* As flushing their queues does: nothing is taken from under them. */
static void stop_threads(struct world *world)
{
	world->stopping = true;
	wake_up(&world->kick_wait);
	wait_event(world->kick_wait, world->stopped && world->trim_stopped);
}

/* Write every block, so that the volume is full from now on. */
static void fill(struct client *c)
{
	u64 blocks = c->world->v.geo.logical_blocks, i;
	u32 n;

	for (i = 0; i < blocks; i += n) {
		n = min_t(u64, 200, blocks - i);
		if (op_write(c, i, n))
			return;
	}
}

static void read_back(struct client *c)
{
	struct sim *sim = c->world->sim;
	u32 i;

	for (i = 0; i < sim->nr_touched; i++)
		op_read(c, sim->touched[i], 1);
	for (i = 0; i < 20; i++)
		op_read(c, rng_below(&c->rng, c->world->v.geo.logical_blocks), 1);
}

static void start_clients(struct life *life)
{
	struct sim *sim = life->sim;
	u32 i;

	init_waitqueue_head(&life->ended);
	life->running = sim->p.clients;
	for (i = 0; i < sim->p.clients; i++) {
		struct client *c = &life->client[i];

		c->world = &life->world;
		c->life = life;
		c->rng.state = rng_next(&sim->rng);
		c->ops = sim->p.ops;
		/* Values of clients do not meet. */
		c->next_value = sim->next_value + ((u64)i << 24);
		task_spawn(&life->world.sched, "client", client_task, c);
	}
	sim->next_value += 16ull << 24;
}

static enum qvault_mac chosen_mac(const struct params *p)
{
	return p->nhpoly ? QVAULT_MAC_NHPOLY_AES : QVAULT_MAC_HMAC_SHA256_128;
}

static int attach(struct life *life)
{
	struct world *world = &life->world;
	struct qvault_disk_anchor *record =
		kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err;

	if (world->ephemeral) {
		err = qvault_new_anchor(record, uuid, life->sim->p.data_blocks,
					life->sim->p.logical_blocks,
					life->sim->p.log_blocks);
		if (err)
			shim_fail("new_anchor: %d", err);
		qvault_crypto_create(&world->crypto, QVAULT_EPHEMERAL_GEN,
				     chosen_mac(&life->sim->p), NULL);
	}
	err = qvault_attach(&world->v, record);
	err = attach_with_more(world, record, err);
	kfree(record);
	return err;
}

/* After a clean detach the log is empty, and the tree says everything. */
static void check_detached(struct life *life)
{
	const struct qvault_disk_anchor *disk =
		newest_record(&life->world.crypto, &life->world.anchor);
	struct walk w;

	if (le64_to_cpu(disk->log_head) >= le64_to_cpu(disk->log_tail) ||
	    disk->inline_bytes)
		shim_fail("a clean detach leaves a log");
	if (!walk(&w, &life->world.crypto, &life->world.data, disk))
		shim_fail("the state after a detach does not hold: %s", w.why);
	walk_exit(&w);
}

/*
 * What dm does, between bios.  If the suspend fails nothing is lost but time: all is
 * still in memory, and the vault goes on unless it has stopped.
 */
static bool suspend_and_resume(struct life *life)
{
	struct world *world = &life->world;
	u64 now = world->oracle.now;
	int err;

	if (world->ephemeral || world->v.mode != QVAULT_MODE_WRITE)
		return false;
	world->sched.need_noio = false;
	task_current->may_io = true;
	err = qvault_suspend(&world->v);
	if (!err)
		world->oracle.acked = max(world->oracle.acked, now);
	else if (life->healthy && !world->rotten)
		shim_fail("suspend: error %d", err);
	grow(life);
	err = qvault_resume(&world->v);
	if (err && life->healthy)
		shim_fail("resume: error %d, %s", err, world->v.reason);
	task_current->may_io = false;
	world->sched.need_noio = true;
	totals.suspends++;
	return !err;
}

static void main_task(void *arg)
{
	struct life *life = arg;
	struct world *world = &life->world;
	struct client c = { .world = world };
	u64 now;
	int err;

	c.rng.state = rng_next(&life->sim->rng);
	c.next_value = life->sim->next_value;
	life->sim->next_value += 1ull << 24;
	task_current->may_io = true;
	err = qvault_init(&world->v);
	if (!err)
		err = attach(life);
	if (err) {
		if (life->healthy && !(err == -EILSEQ && world->rotten &&
				       rot_at_root(world)))
			shim_fail("G4: attach: error %d, %s", err,
				  world->v.reason ? world->v.reason : "");
		qvault_exit(&world->v);
		return;
	}
	world->attached = true;
	task_current->may_io = false;
	world->sched.need_noio = true;
	attach_caches(world);
	/* Memory is short from now on: nothing may fail, nothing may hang. */
	world->shortage = life->sim->p.shortage;
	if (world->shortage)
		world->sched.fail_alloc = world->shortage;
	task_spawn(&world->sched, "checkpoint", checkpoint_task, world);
	task_spawn(&world->sched, "trim", trim_task, world);
	if (life->sim->p.fill)
		fill(&c);
	start_clients(life);
	wait_event(life->ended, !life->running);
	if (rng_chance(&c.rng, 40) && suspend_and_resume(life)) {
		start_clients(life);
		wait_event(life->ended, !life->running);
	}
	read_back(&c);
	stop_threads(world);
	task_current->may_io = true;
	world->shortage = 0;
	world->sched.fail_alloc = 0;
	now = world->oracle.now;
	err = qvault_detach(&world->v);
	if (err && life->healthy && !(err == -ENOSPC && world->rotten))
		shim_fail("detach: error %d", err);
	if (!err && !world->ephemeral && world->v.mode == QVAULT_MODE_DETACHED) {
		world->oracle.acked = now;
		if (!world->failures && !life->hostile && !world->rotten)
			check_detached(life);
	}
	qvault_exit(&world->v);
}

/* ---- One life ---- */

static void on_io(struct world *world, const struct io *io, bool completed)
{
	struct life *life = container_of(world, struct life, world);

	if (life->rot_at && !--life->rot_at)
		rot_one(world);
	if (life->heal_at && !--life->heal_at) {
		rot_heal(world);
		/* It takes a checkpoint until that is known. */
		world->rotten = true;
	}
	if (world->fork)
		explore_anchor(world, io, completed);
	else if (!world->ephemeral)
		explore_io(world, io, completed);
	if (world->fork && !completed)
		fork_at_io(world->fork, world);
	if (life->cut && life->cut_at-- == 0)
		world->sched.stop = true;
}

static void choose_faults(struct life *life)
{
	const struct params *p = &life->sim->p;
	struct rng *rng = &life->sim->rng;
	struct faults *f = &life->world.faults;

	life->healthy = !rng_chance(rng, p->faults);
	if (life->hostile) {
		life->healthy = false;
		life->world.damaged = life->world.expect_corruption = true;
		f->misdirect = p->hostile;
		/* An attach reads much: with more lies few lives would begin. */
		f->lie = rng_chance(rng, 50);
		totals.hostile++;
		return;
	}
	if ((p->fail_io_at || p->fail_alloc_at) && life->number == 1) {
		life->healthy = false;
		life->world.expect_no_memory = true;
		f->fail_anchor = true;
		f->fail_io_at = p->fail_io_at;
		life->world.sched.fail_alloc_at = p->fail_alloc_at;
		return;
	}
	if (life->healthy)
		return;
	totals.faults++;
	life->world.expect_no_memory = true;
	f->fail_anchor = rng_chance(rng, 50);
	switch (rng_below(rng, 4)) {
	case 0:
		f->fail_io_at = 1 + rng_below(rng, 600);
		break;
	case 1:
		f->fail_io = 1;
		break;
	case 3:				/* again and again, and none of them stops it */
		f->fail_meta = 5 + rng_below(rng, 30);
		break;
	case 2:
		life->world.sched.fail_alloc = 1 + rng_below(rng, 30);
		break;
	}
	if (rng_chance(rng, 20))
		life->world.sched.fail_alloc_at = 1 + rng_below(rng, 400);
}

/* One or more nodes rot before this life or within it; some of them heal. */
static void choose_rot(struct life *life)
{
	const struct params *p = &life->sim->p;
	struct rng *rng = &life->sim->rng;
	struct world *world = &life->world;
	u64 span = 10 * p->ops * p->clients;
	bool alone = life->hostile || world->ephemeral ||
		     (p->forks && life->number == p->lives - 1);

	if (alone || rng_chance(rng, 50))
		rot_heal(world);
	rot_begin(world);
	if (alone || !rng_chance(rng, p->rot))
		return;
	rot_current->ever = true;
	do
		if (rng_chance(rng, 50))
			rot_one(world);
		else
			life->rot_at = 1 + rng_below(rng, span);
	while (rng_chance(rng, 40));
	if (rng_chance(rng, 50))
		life->heal_at = life->rot_at + 1 + rng_below(rng, span);
}

/* Takes the volume over from @from, which gives it up. */
static void move_volume(struct world *to, struct world *from)
{
	to->data = from->data;
	to->anchor = from->anchor;
	to->oracle = from->oracle;
	to->tweaks = from->tweaks;
	to->dead_keys = from->dead_keys;
	to->given_up = from->given_up;
	memset(&from->data, 0, sizeof(from->data));
	memset(&from->anchor, 0, sizeof(from->anchor));
	memset(&from->oracle, 0, sizeof(from->oracle));
	memset(&from->tweaks, 0, sizeof(from->tweaks));
	to->data.world = to;
	to->anchor.world = to;
}

static void power_cut(struct life *life)
{
	struct world *world = &life->world;
	struct rng *rng = &life->sim->rng;
	const struct qvault_disk_anchor *disk;
	const struct record *record;

	dev_crash_here(&world->data, rng_below(rng, CRASH_STYLES), rng);
	dev_crash_here(&world->anchor, rng_below(rng, CRASH_STYLES), rng);
	disk = newest_record(&world->crypto, &world->anchor);
	record = disk ? oracle_find(&world->oracle, disk, NULL) : NULL;
	if (!record || record->time < world->oracle.acked)
		shim_fail("G3: a crash undoes what was acknowledged");
	oracle_rewind(&world->oracle, record->time);
}

static void set_up(struct life *life, struct sim *sim, struct world *volume,
		   u32 number)
{
	struct world *world = &life->world;

	life->sim = sim;
	life->number = number;
	/* Nothing is left of a volume after such a storage, so it comes last. */
	life->hostile = sim->p.hostile && number == sim->p.lives - 1;
	world_init(world, rng_next(&sim->rng));
	move_volume(world, volume);
	world->sim = sim;
	world->choice.state = rng_next(&sim->explore_rng);
	world->on_io = on_io;
	world_reserve(world, sim->p.reserve);
	world->ephemeral = sim->p.ephemeral;
	if (world->ephemeral)
		world->v.anchor_dev = NULL;
	world->sched.preempt = rng_below(&sim->rng, 30);
	crypto_init(&world->crypto, sim->p.real, &world->tweaks);
	crypto_unlock(&world->crypto, uuid);
	keys_give(world, &sim->explore_rng);
	world->slow = sim->p.slow;
	give_memory(world, &sim->explore_rng);
	world->v.allow_discards = sim->p.discards;
	world->v.logical_blocks = sim->p.logical_blocks;
	world->v.settle = sim->p.shared;
	grow(life);
	choose_faults(life);
	if (world->given_up)
		world->damaged = world->expect_corruption = true;
	if (sim->p.forks && !world->ephemeral && !life->hostile &&
	    number == sim->p.lives - 1) {
		life->world.fork = &life->fork;
		life->fork.countdown = rng_below(&world->choice, 600);
		life->healthy = false;
	}
	choose_rot(life);
	life->cut = rng_chance(&sim->rng, 60);
	life->cut_at = rng_below(&sim->rng, 30 * sim->p.ops * sim->p.clients);
}

static bool was_hit(const struct world *world)
{
	const struct sched *sched = &world->sched;

	return (world->faults.fail_io_at && world->faulted) ||
	       (sched->fail_alloc_at && sched->nr_allocs >= sched->fail_alloc_at);
}

static void live(struct sim *sim, struct world *volume, u32 number)
{
	struct life *life = calloc(1, sizeof(*life));
	struct world *world = &life->world;
	bool clean;

	totals.lives++;
	set_up(life, sim, volume, number);
	if (!world->ephemeral)
		protect(world);
	task_spawn(&world->sched, "main", main_task, life);
	world_run(world);
	clean = !world->sched.stop;
	if (world->fork)
		fork_end(world->fork, world);
	if (world->fork)
		fork_give_up(world->fork, world);
	if (clean)
		totals.detaches++;
	else
		totals.crashes++;
	totals.hits += was_hit(world);
	totals.healed += atomic64_read(&world->v.counters.healed);
	/* Also after a detach: what it could not flush may be lost. */
	if (!world->ephemeral && !life->fork.behind)
		power_cut(life);
	map64_free(&life->fork.theirs);
	sim->behind = life->fork.behind;
	move_volume(volume, world);
	if (clean)
		world_exit(world);
	else
		world_crash(world);
	free(life);
}

/* ---- One seed ---- */

static void format(struct sim *sim, struct world *volume)
{
	struct params *p = &sim->p;
	struct qvault_disk_anchor disk;
	struct qvault_crypto crypto;
	struct qvault_geometry geo, most;
	struct block *b;

	memset(volume, 0, sizeof(*volume));
	crypto_init(&crypto, p->real, NULL);
	if (qvault_geometry_init(&geo, p->data_blocks, p->logical_blocks,
				 p->log_blocks))
		shim_fail("impossible geometry");
	p->logical_blocks = geo.logical_blocks;
	if (qvault_geometry_init(&most, p->grow ? p->grow_to : p->data_blocks, 0,
				 p->log_blocks))
		shim_fail("impossible geometry in the end");
	qvault_new_anchor(&disk, uuid, p->data_blocks, p->logical_blocks,
			  p->log_blocks);
	crypto_format(&crypto, &disk, chosen_mac(p));
	dev_init(&volume->data, "data", volume, p->data_blocks, NULL);
	dev_init(&volume->anchor, "anchor", volume, QVAULT_ANCHOR_BLOCKS, NULL);
	volume->data.keep_history = p->adversary || p->attacks;
	b = block_new(&disk);
	dev_set_durable(&volume->anchor,
			QVAULT_SLOT_BLOCK(le64_to_cpu(disk.sequence) & 1), b);
	block_put(b);
	oracle_init(&volume->oracle, most.capacity, NULL, 0);
	oracle_record(&volume->oracle, &disk, 0);
	sim->touched = calloc(most.capacity, sizeof(u64));
	sim->is_touched = calloc(BITS_TO_LONGS(most.capacity), sizeof(long));
}

void run_seed(struct params *p)
{
	struct sim sim = { .p = *p };
	struct world volume;
	u32 i;

	sim.rng.state = mix64(p->seed);
	sim.explore_rng.state = mix64(p->seed + 1);
	format(&sim, &volume);
	volume.sim = &sim;
	sim_current = &sim;
	rot_current = &sim.rot;
	crypto_init(&volume.crypto, p->real, NULL);
	crypto_unlock(&volume.crypto, uuid);
	for (i = 0; i < p->lives; i++) {
		if (totals.limit && totals.states >= totals.limit)
			break;
		live(&sim, &volume, i);
	}
	keys_give(&volume, &sim.explore_rng);
	rot_heal(&volume);
	if (sim.behind)
		;
	else if ((p->hostile || p->forks) && !p->ephemeral && i == p->lives)
		explore_damaged(&volume);
	else if (p->attacks && !p->ephemeral)
		attack_all(&volume);
	rot_exit(&sim.rot);
	rot_current = NULL;
	dev_exit(&volume.data);
	dev_exit(&volume.anchor);
	oracle_exit(&volume.oracle);
	map64_free(&volume.tweaks.seen);
	map64_free(&sim.states);
	free(sim.touched);
	free(sim.is_touched);
}
