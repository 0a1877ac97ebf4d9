// SPDX-License-Identifier: GPL-2.0
/*
 * Every structure, every forgery.  An attack changes blocks of the data device
 * below a scene; afterwards they are put back from the scene's snapshot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adversary.h"

static const char *const kind_name[] = {
	[QVAULT_KIND_DATA] = "data", [QVAULT_KIND_NODE] = "node",
	[QVAULT_KIND_MAP] = "map", [QVAULT_KIND_LOG] = "log",
};

const char *const forgery_name[NR_FORGERIES] = {
	[FLIP] = "bit flips", [FILL] = "zeros, ones, noise",
	[SIBLING] = "swaps and copies of siblings",
	[ELSEWHERE] = "copies from elsewhere",
	[EARLIER] = "earlier versions", [GENERATION] = "of an older generation",
	[CLONED] = "from a copy with its anchor",
	[CHILD] = "from a clone, into its parent",
	[PARENT] = "from the parent, into its clone",
	[OTHER_VAULT] = "from another vault under the key", [TORN] = "torn",
	[SLOTS] = "slots swapped", [SEVERAL] = "several, then written to",
	[RACE] = "changed while read", [TWO_FACES] = "two reads differ",
	[RESIZED] = "device truncated or extended",
	[ANCHOR] = "other anchors", [DAMAGE] = "damage by the table",
	[WHOLE] = "whole devices",
};
struct verdict by_forgery[NR_FORGERIES];

const u8 *attack_original(const struct attacker *a, u64 block)
{
	return a->scene->data + block * BLOCK;
}

/* False if that changes nothing: then it is no attack. */
static bool forge(struct attacker *a, u64 block, const u8 *contents)
{
	if (!memcmp(attack_original(a, block), contents, BLOCK))
		return false;
	if (contents != a->buf)
		memcpy(a->buf, contents, BLOCK);
	if (write_blocks(a->w->data_fd, block, a->buf, 1))
		die("forge: %s", strerror(errno));
	a->changed[a->nr_changed++] = block;
	return true;
}

static void restore(struct attacker *a)
{
	while (a->nr_changed) {
		u64 block = a->changed[--a->nr_changed];

		if (write_blocks(a->w->data_fd, block, attack_original(a, block), 1))
			die("restore: %s", strerror(errno));
	}
}

static void tally(struct verdict *v, enum outcome outcome)
{
	v->attacks++;
	if (outcome == REFUSED)
		v->refused++;
	else if (outcome == HARMLESS)
		v->harmless++;
	else
		v->bad++;
}

void attack_count(struct attacker *a, enum outcome outcome)
{
	tally(a->v, outcome);
	tally(&by_forgery[a->forgery], outcome);
}

/* The blocks that a structure may speak of, and a few others. */
void attack_affect(struct attacker *a, const struct vault_item *item)
{
	const struct world *w = a->w;
	u32 i;

	a->nr_affected = 0;
	for (i = 0; i < w->nr_lba; i++) {
		u64 lba = w->lba[i];
		bool in = true;

		if (item && item->kind == QVAULT_KIND_DATA)
			in = lba == item->id;
		else if (item && item->kind == QVAULT_KIND_NODE)
			in = lba >> 7 * (item->level + 1) == item->id;
		if (in || prng_chance(&a->w->prng, 2))
			a->affected[a->nr_affected++] = lba;
	}
}

/* What a vault makes of a forgery that happened while it was suspended. */
static enum outcome judge_resume(struct attacker *a)
{
	int err = dm_resume(&a->w->vault);
	enum outcome outcome;

	if (err)
		return judge_error(err, "resume");
	outcome = judge_reads(a->w, a->fd, a->scene->logical, a->affected,
			      a->nr_affected);
	if (dm_suspend(&a->w->vault, false))
		die("suspend");
	return outcome;
}

static enum outcome judge(struct attacker *a)
{
	switch (a->moment) {
	case LIVE:
		return judge_reads(a->w, a->fd, a->scene->logical, a->affected,
				   a->nr_affected);
	case SUSPENDED:
		return judge_resume(a);
	default:
		return judge_read_only(a->w, a->scene, a->affected,
				       a->nr_affected);
	}
}

/* Judge what was forged so far, and put it back. */
static void strike(struct attacker *a, enum forgery forgery,
		   const struct vault_item *item, const char *what)
{
	enum outcome outcome;

	if (!a->nr_changed)
		return;
	a->forgery = forgery;
	snprintf(attack_name, sizeof(attack_name),
		 "%s, %s %u/%llu at block %llu: %s", a->where,
		 kind_name[item->kind], item->level,
		 (unsigned long long)item->id, (unsigned long long)item->block,
		 what);
	outcome = judge(a);
	/* A forged block that a pointer names cannot be read as if it were not. */
	if (outcome == HARMLESS && item->kind == QVAULT_KIND_DATA) {
		complain("was not noticed");
		outcome = WRONG;
	}
	/* Whoever forges one copy of an upper node has done nothing. */
	if (outcome == REFUSED && a->nr_changed == 1 &&
	    a->changed[0] == item->block &&
	    qvault_node_twice(item->kind, item->level) &&
	    item->kind != QVAULT_KIND_DATA && item->kind != QVAULT_KIND_LOG) {
		complain("is refused although the other copy is good");
		outcome = WRONG;
	}
	attack_count(a, outcome);
	restore(a);
}

/* ---- Forgeries of one block --------------------------------------------- */

static void flip(struct attacker *a, const struct vault_item *item, u32 byte)
{
	char what[40];

	memcpy(a->buf, attack_original(a, item->block), BLOCK);
	a->buf[byte] ^= 1 << prng_below(&a->w->prng, 8);
	forge(a, item->block, a->buf);
	snprintf(what, sizeof(what), "bit flipped in byte %u", byte);
	strike(a, FLIP, item, what);
}

static void fill(struct attacker *a, const struct vault_item *item)
{
	memset(a->buf, 0, BLOCK);
	forge(a, item->block, a->buf);
	strike(a, FILL, item, "zeros");
	memset(a->buf, 0xff, BLOCK);
	forge(a, item->block, a->buf);
	strike(a, FILL, item, "ones");
	prng_fill(&a->w->prng, a->buf, BLOCK);
	forge(a, item->block, a->buf);
	strike(a, FILL, item, "random");
}

static const struct vault_item *sibling(struct attacker *a,
					const struct vault_item *item)
{
	const struct vault_walk *walk = &a->scene->walk;
	u32 tries;

	for (tries = 0; tries < 200; tries++) {
		const struct vault_item *other =
			&walk->item[prng_below(&a->w->prng, walk->nr)];

		if (other->kind == item->kind && other->block != item->block)
			return other;
	}
	return NULL;
}

static void swap(struct attacker *a, const struct vault_item *item)
{
	const struct vault_item *other = sibling(a, item);

	if (!other)
		return;
	forge(a, item->block, attack_original(a, other->block));
	forge(a, other->block, attack_original(a, item->block));
	strike(a, SIBLING, item, "swapped with a sibling");
	forge(a, item->block, attack_original(a, other->block));
	strike(a, SIBLING, item, "copy of a sibling");
}

static void copy(struct attacker *a, const struct vault_item *item)
{
	const struct snapshot *s = a->scene;
	u64 from = s->used[prng_below(&a->w->prng, s->nr_used)];

	forge(a, item->block, attack_original(a, from));
	strike(a, ELSEWHERE, item, "copy from elsewhere");
}

/* The same structure in another snapshot; NULL if it is not there. */
static const struct vault_item *twin_of(const struct snapshot *s,
					const struct vault_item *item)
{
	u32 k;

	for (k = 0; k < s->walk.nr; k++) {
		const struct vault_item *twin = &s->walk.item[k];

		if (twin->kind == item->kind && twin->id == item->id &&
		    twin->level == item->level && twin->copy == item->copy)
			return twin;
	}
	return NULL;
}

static u32 generation_of(const struct vault_item *item)
{
	return le(item->ptr.where) >> QVAULT_WHERE_GEN_SHIFT & 0xf;
}

/* What stood in this block, or in this structure, at another moment. */
static void replay(struct attacker *a, enum forgery forgery,
		   const struct vault_item *item, const struct snapshot *s,
		   const char *when, u32 number)
{
	const struct vault_item *twin = twin_of(s, item);
	char what[60];

	if (forgery == EARLIER && twin && generation_of(twin) != generation_of(item))
		forgery = GENERATION;
	snprintf(what, sizeof(what), "block of %s %u", when, number);
	forge(a, item->block, s->data + item->block * BLOCK);
	strike(a, forgery, item, what);
	if (!twin || twin->block == item->block)
		return;
	snprintf(what, sizeof(what), "structure of %s %u", when, number);
	forge(a, item->block, s->data + twin->block * BLOCK);
	strike(a, forgery, item, what);
}

static void replay_all(struct attacker *a, const struct vault_item *item)
{
	u32 i;

	for (i = 0; i < 2; i++)
		replay(a, CHILD, item, &a->w->child[i], "clone", i);

	for (i = 0; i < a->w->nr_snaps; i++)
		replay(a, EARLIER, item, &a->w->snap[i], "moment", i);
	for (i = 0; i < 2; i++)
		replay(a, CLONED, item, &a->w->clone[i], "copy", i);
	replay(a, OTHER_VAULT, item, &a->w->other, "another vault", 0);
}

/* Half of it from before, in device sectors. */
static void tear(struct attacker *a, const struct vault_item *item)
{
	const struct snapshot *s =
		&a->w->snap[prng_below(&a->w->prng, a->w->nr_snaps)];
	u32 i;

	memcpy(a->buf, attack_original(a, item->block), BLOCK);
	for (i = 0; i < 8; i++)
		if (prng_chance(&a->w->prng, 50))
			memcpy(a->buf + i * 512,
			       s->data + item->block * BLOCK + i * 512, 512);
	forge(a, item->block, a->buf);
	strike(a, TORN, item, "torn between two moments");
}

static void other_slot(struct attacker *a, const struct vault_item *item)
{
	u32 slot = le(item->ptr.where) & 1;
	u64 twin;

	if (item->kind != QVAULT_KIND_NODE && item->kind != QVAULT_KIND_MAP)
		return;
	twin = qvault_node_block(&a->w->geo, item->kind, item->level, item->id,
				 !slot, item->copy);
	forge(a, item->block, attack_original(a, twin));
	forge(a, twin, attack_original(a, item->block));
	strike(a, SLOTS, item, "slots swapped");
}

/* Once more with the other copy of an upper node, so that none is left. */
static void both_copies(struct attacker *a, const struct vault_item *item)
{
	u32 copy;

	if (item->kind != QVAULT_KIND_NODE && item->kind != QVAULT_KIND_MAP)
		return;
	if (item->copy || !qvault_node_twice(item->kind, item->level))
		return;
	prng_fill(&a->w->prng, a->buf, BLOCK);
	for (copy = 0; copy < 2; copy++)
		forge(a, qvault_node_block(&a->w->geo, item->kind, item->level, item->id,
					   le(item->ptr.where) & 1, copy), a->buf);
	strike(a, FILL, item, "random, in both copies");
}

void attack_all_of(struct attacker *a, const struct vault_item *item, u32 flips)
{
	u32 i;

	attack_affect(a, item);
	for (i = 0; i < flips; i++)
		flip(a, item, flips >= BLOCK ? i :
		     i * (BLOCK / flips) +
		     prng_below(&a->w->prng, BLOCK / flips));
	fill(a, item);
	swap(a, item);
	copy(a, item);
	replay_all(a, item);
	tear(a, item);
	other_slot(a, item);
	both_copies(a, item);
}

/* ---- Forgeries of the whole device -------------------------------------- */

static void roll_back_all(struct attacker *a, const struct snapshot *to,
			  const char *what)
{
	struct snapshot mixed = *to;
	u64 i;

	mixed.anchor = a->scene->anchor;
	/* What the older image does not hold would stay: zero it there. */
	for (i = 0; i < a->scene->nr_used; i++) {
		u64 block = a->scene->used[i];

		memcpy(a->buf, to->data + block * BLOCK, BLOCK);
		if (write_blocks(a->w->data_fd, block, a->buf, 1))
			die("rollback");
	}
	put_back(a->w, &mixed);
	attack_affect(a, NULL);
	snprintf(attack_name, sizeof(attack_name), "%s: %s", a->where, what);
	a->forgery = WHOLE;
	attack_count(a, judge_read_only(a->w, a->scene, a->affected, a->nr_affected));
	put_back(a->w, a->scene);
}

void attack_begin(struct attacker *a, struct world *w,
		  const struct snapshot *scene, const char *where,
		  struct verdict *v)
{
	memset(a, 0, sizeof(*a));
	a->w = w;
	a->scene = scene;
	a->where = where;
	a->v = v;
	a->affected = calloc(w->nr_lba, sizeof(*a->affected));
	a->buf = block_buffer(1);
	put_back(w, scene);
}

void attack_end(struct attacker *a)
{
	free(a->affected);
	free(a->buf);
}

/* Is this one attacked?  Of data blocks only @data percent. */
bool attack_sampled(struct world *w, const struct vault_item *item, u32 data)
{
	if (!prng_chance(&w->prng, w->sample))
		return false;
	return item->kind != QVAULT_KIND_DATA || prng_chance(&w->prng, data);
}

/* The untouched scene must read back right, or no verdict means anything. */
static void must_be_right(struct attacker *a)
{
	attack_affect(a, NULL);
	snprintf(attack_name, sizeof(attack_name), "%s: untouched", a->where);
	if (judge_read_only(a->w, a->scene, a->affected, a->nr_affected) !=
	    HARMLESS) {
		complain("an untouched volume is refused");
		a->v->bad++;
	}
}

void attack_at_rest(struct world *w, const struct snapshot *scene,
		    const char *name, u32 flips, struct verdict *v)
{
	struct attacker a;
	char what[40];
	u32 i;

	attack_begin(&a, w, scene, name, v);
	must_be_right(&a);
	for (i = 0; i < scene->walk.nr; i++) {
		const struct vault_item *item = &scene->walk.item[i];

		if (attack_sampled(w, item, 10))
			attack_all_of(&a, item, item->kind == QVAULT_KIND_DATA ?
				      2 : flips);
	}
	for (i = 0; i < w->nr_snaps; i++) {
		if (scene == &w->snap[i])
			continue;
		snprintf(what, sizeof(what), "whole device of moment %u", i);
		roll_back_all(&a, &w->snap[i], what);
	}
	for (i = 0; i < 2; i++)
		roll_back_all(&a, &w->clone[i], "whole device of a copy");
	for (i = 0; i < 2; i++)
		roll_back_all(&a, &w->child[i], "whole device of a clone");
	roll_back_all(&a, &w->other, "whole device of another vault");
	must_be_right(&a);
	attack_end(&a);
}

/* The other way round: the clone is attacked with what its parent has written. */
void attack_child(struct world *w, struct verdict *v)
{
	const struct snapshot *scene = &w->child[1];
	struct attacker a;
	u32 i, k;

	world_is_child(w, true);
	attack_begin(&a, w, scene, "clone", v);
	must_be_right(&a);
	for (i = 0; i < scene->walk.nr; i++) {
		const struct vault_item *item = &scene->walk.item[i];

		if (!attack_sampled(w, item, 50))
			continue;
		attack_affect(&a, item);
		for (k = 0; k < w->nr_snaps; k++)
			replay(&a, PARENT, item, &w->snap[k], "parent", k);
	}
	for (k = 0; k < w->nr_snaps; k++)
		roll_back_all(&a, &w->snap[k], "whole device of the parent");
	must_be_right(&a);
	attack_end(&a);
	world_is_child(w, false);
}

/* While the vault is attached: what is cached is out of reach, data is not. */
void attack_live(struct world *w, const struct snapshot *scene, u32 flips,
		 struct verdict *v)
{
	struct attacker a;
	u32 i;

	attack_begin(&a, w, scene, "live", v);
	a.moment = LIVE;
	a.fd = world_attach(w, true);
	if (a.fd < 0)
		die("attach: %s", strerror(-a.fd));
	for (i = 0; i < scene->walk.nr; i++)
		if (attack_sampled(w, &scene->walk.item[i], 100))
			attack_all_of(&a, &scene->walk.item[i],
				      scene->walk.item[i].kind ==
				      QVAULT_KIND_DATA ? flips : 1);
	attack_affect(&a, NULL);
	snprintf(attack_name, sizeof(attack_name), "live: all put back");
	if (judge_reads(w, a.fd, scene->logical, a.affected,
			a.nr_affected) != HARMLESS) {
		complain("is still refused");
		v->bad++;
	}
	world_detach(w, a.fd);
	attack_end(&a);
}

/* Attached for writing after the forgery: metadata first, several at once. */
void attack_in_use(struct world *w, const struct snapshot *scene,
		   const char *name, u32 tries, struct verdict *v)
{
	struct attacker a;
	u32 i, k;

	attack_begin(&a, w, scene, name, v);
	a.forgery = SEVERAL;
	for (i = 0; i < tries; i++) {
		u32 n = 1 + prng_below(&w->prng, 3), at = 0;

		for (k = 0; k < 200 && a.nr_changed < n; k++) {
			const struct vault_item *item =
				&scene->walk.item[prng_below(&w->prng,
							     scene->walk.nr)];
			const struct snapshot *s =
				&w->snap[prng_below(&w->prng, w->nr_snaps)];

			/* Maps are few and matter most to a writer. */
			if (item->kind != QVAULT_KIND_MAP && k < 100 &&
			    prng_chance(&w->prng, 70))
				continue;
			at += snprintf(attack_name + at,
				       sizeof(attack_name) - at,
				       "%s%s %u/%llu", at ? ", " : name,
				       kind_name[item->kind], item->level,
				       (unsigned long long)item->id);
			if (at >= sizeof(attack_name))
				at = sizeof(attack_name) - 1;
			memcpy(a.buf, attack_original(&a, item->block), BLOCK);
			if (prng_chance(&w->prng, 50))
				a.buf[prng_below(&w->prng, BLOCK)] ^= 0x10;
			else
				memcpy(a.buf, s->data + item->block * BLOCK,
				       BLOCK);
			forge(&a, item->block, a.buf);
		}
		if (!a.nr_changed)
			continue;
		attack_count(&a, judge_in_use(w, scene));
		a.nr_changed = 0;
		put_back(w, scene);
	}
	attack_end(&a);
}

/* ---- A device that answers differently each time ------------------------ */

struct racer {
	struct attacker *a;
	u64 block;
	bool stop;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct attacker *a = r->a;
	u8 *forged = block_buffer(1), *right = block_buffer(1);

	memcpy(forged, attack_original(a, r->block), BLOCK);
	memcpy(right, forged, BLOCK);
	forged[1234] ^= 1;
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		write_blocks(a->w->data_fd, r->block, forged, 1);
		write_blocks(a->w->data_fd, r->block, right, 1);
	}
	free(forged);
	free(right);
	return NULL;
}

void attack_racing(struct world *w, const struct snapshot *scene, u32 reads,
		   struct verdict *v)
{
	struct attacker a;
	struct racer r = { .a = &a };
	pthread_t thread;
	u32 i, lba;

	attack_begin(&a, w, scene, "racing", v);
	a.forgery = RACE;
	a.fd = world_attach(w, true);
	if (a.fd < 0)
		die("attach: %s", strerror(-a.fd));
	for (i = 0; !le(scene->current[w->lba[i]].version); i++)
		;
	lba = w->lba[i];
	r.block = le(scene->current[lba].where) & QVAULT_WHERE_MASK;
	snprintf(attack_name, sizeof(attack_name), "block changes while read");
	if (pthread_create(&thread, NULL, race, &r))
		die("no thread");
	for (i = 0; i < reads; i++)
		attack_count(&a, judge_reads(w, a.fd, scene->logical, &lba, 1));
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	world_detach(w, a.fd);
	put_back(w, scene);
	attack_end(&a);
}
