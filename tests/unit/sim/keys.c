// SPDX-License-Identifier: GPL-2.0
/*
 * Other master keys, and moments that stay.
 *
 * A record names its key, and a cut between the two records of a change leaves one of
 * each: then either key is given.  One whose change was acknowledged opens nothing.
 */
#include <string.h>

#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

static bool opens(const struct qvault_dev *anchor, bool real, u32 key)
{
	struct qvault_crypto crypto = { .real = real, .own = *crypto_key(real, key) };

	return newest_record(&crypto, anchor);
}

/* One of the keys that open the anchor as it is; the first one, if none does. */
void keys_give(struct world *world, struct rng *rng)
{
	u32 nr_keys = world->sim ? ((struct sim *)world->sim)->nr_keys + 1 : 1;
	bool real = world->crypto.real;
	u32 key, n = 0, chosen = 0;

	for (key = 0; key < nr_keys; key++) {
		if (!opens(&world->anchor, real, key))
			continue;
		if (world->dead_keys >> key & 1)
			shim_fail("key %u opens a record, and was changed", key);
		if (!rng_below(rng, ++n))
			chosen = key;
	}
	if (n > 1)
		totals.either_key++;
	crypto_use_key(&world->crypto, chosen);
}

int op_key_change(struct client *c)
{
	struct world *world = c->world;
	struct sim *sim = world->sim;
	struct qvault *v = &world->v;
	struct qvault_opener *opener;
	u32 before;
	int err;

	if (sim->nr_keys + 1 == CRYPTO_KEYS)
		return 0;
	before = crypto_key_of(world->crypto.real, v->anchor.check);
	opener = kmalloc(sizeof(*opener), GFP_NOIO | __GFP_NOFAIL);
	*opener = *crypto_key(world->crypto.real, ++sim->nr_keys);
	err = qvault_key_change(v, &opener);
	kfree(opener);
	if (err) {
		check_error(world, "key change", err, 0, 0);
		return err;
	}
	totals.keys++;
	world->dead_keys |= 1ull << before;
	if (opens(&world->anchor, world->crypto.real, before))
		shim_fail("key %u still opens a record", before);
	return 0;
}

/* ---- A moment that stays ---- */

static int take(struct client *c)
{
	int err = qvault_hold(&c->world->v);

	/* Room for the record is what who has none goes without. */
	if ((err == -ENOSPC && c->world->rotten) || (err == -ENOMEM && c->world->shortage))
		return err;
	if (err && err != -EBUSY)
		check_error(c->world, "hold", err, 0, 0);
	totals.holds += !err;
	return err;
}

/* Is anything to be expected of what is on the device? */
static bool is_sound(const struct world *world)
{
	return !world->expect_corruption && !world->rotten && !world->taken;
}

static bool state_is(struct world *world, const struct qvault_disk_anchor *disk,
		     char why[])
{
	const struct record *record = oracle_find(&world->oracle, disk, NULL);
	struct task *task = task_current;
	struct walk w;
	bool same;

	if (!record)
		shim_fail("a record is held that was never written");
	/* A reader from outside, for which nothing moves. */
	task_current = NULL;
	same = walk(&w, &world->crypto, &world->data, disk) &&
	       mapping_is(world, &w, record->time);
	task_current = task;
	strcpy(why, w.why);
	walk_exit(&w);
	return same;
}

static void release(struct world *world, const struct qvault_disk_anchor *disk)
{
	char why[sizeof(((struct walk *)0)->why)] = "";
	bool same = !is_sound(world) || state_is(world, disk, why);
	int err = qvault_release(&world->v, le64_to_cpu(disk->sequence));

	world->held = 0;
	if (err == -ETIME) {
		totals.holds_ended++;
		return;
	}
	/* A vault that has stopped, or that cannot look, does not say that it stayed. */
	if (err && (world->v.mode != QVAULT_MODE_WRITE || world->faulted)) {
		totals.holds_ended++;
		return;
	}
	if (err)
		shim_fail("release: error %d", err);
	totals.holds_kept++;
	if (!same)
		shim_fail("what record %llu reaches did not stay: %s",
			  (unsigned long long)le64_to_cpu(disk->sequence),
			  why[0] ? why : "a block is mapped elsewhere");
}

/* Nothing is held: who lets go of what was is told that it did not stay. */
static void release_late(struct world *world, u64 sequence)
{
	if (qvault_release(&world->v, sequence) != -ETIME)
		shim_fail("a hold that has ended is released as if it stood");
	if (world->held != sequence)
		return;
	totals.holds_ended++;
	world->held = 0;
}

/* Takes one, or lets go of the one that stands or stood. */
void op_hold(struct client *c)
{
	struct world *world = c->world;
	struct qvault_disk_anchor disk;
	u64 was = world->held;

	/* Of what is written after a crash was recovered nobody keeps the records. */
	if (world->depth)
		return;
	if (!qvault_held(&world->v, &disk))
		release(world, &disk);
	else if (was)
		release_late(world, was);
	else if (!take(c) && !qvault_held(&world->v, &disk))
		world->held = le64_to_cpu(disk.sequence);
}
