// SPDX-License-Identifier: GPL-2.0
/*
 * The scenes, the count.  Runs in a guest as root, on two ramdisks.
 *
 * usage: adversary [--seed N] [--flips N] [--blocks N] [--in-use N]
 *                  [--history COMMITS] [--sample PERCENT] [--damage N]
 *
 * --flips 4096 flips a bit in every byte of every metadata block.  --history: only
 * the whole device at every earlier commit, which wants a small one.  --sample:
 * so many of the structures.  --damage: of each kind so many.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adversary.h"

static const struct option options[] = {
	{ "seed", 1, NULL, 's' },	{ "flips", 1, NULL, 'f' },
	{ "blocks", 1, NULL, 'b' },	{ "in-use", 1, NULL, 'u' },
	{ "history", 1, NULL, 'h' },	{ "sample", 1, NULL, 'p' },
	{ "damage", 1, NULL, 'd' },
	{ NULL, 0, NULL, 0 },
};

static void show(const char *scene, const struct verdict *v, double start)
{
	printf("adversary: %-15s %6llu attacks, %6llu refused, %5llu harmless, %llu bad, %.1f s\n",
	       scene, (unsigned long long)v->attacks,
	       (unsigned long long)v->refused, (unsigned long long)v->harmless,
	       (unsigned long long)v->bad, now() - start);
}

static void add(struct verdict *sum, const struct verdict *v)
{
	sum->attacks += v->attacks;
	sum->refused += v->refused;
	sum->harmless += v->harmless;
	sum->bad += v->bad;
}

struct setup {
	u64 blocks, seed;
	u32 flips, in_use, history, sample, damage;
};

static const char *const scenes[] = {
	"detached", "crashed", "live", "suspended", "suspended rw", "racing",
	"two faces", "resized", "anchors", "in use", "crashed, in use", "clone",
	"damage", "history",
};
#define NR_SCENES (sizeof(scenes) / sizeof(scenes[0]))
#define HISTORY (NR_SCENES - 1)

static void play(struct world *w, const struct setup *p, u32 i, struct verdict *v)
{
	const struct snapshot *clean = &w->snap[w->clean];
	const struct snapshot *crashed = &w->snap[w->crashed];

	switch (i) {
	case 0: attack_at_rest(w, clean, scenes[i], p->flips, v); break;
	case 1: attack_at_rest(w, crashed, scenes[i], p->flips, v); break;
	case 2: attack_live(w, crashed, 8, v); break;
	case 3: attack_suspended(w, crashed, true, p->flips / 8, v); break;
	case 4: attack_suspended(w, clean, false, p->flips / 16, v); break;
	case 5: attack_racing(w, crashed, 1000, v); break;
	case 6: attack_two_faced(w, crashed, v); break;
	case 7: attack_resized(w, crashed, v); break;
	case 8: attack_anchor(w, crashed, v); break;
	case 9: attack_in_use(w, clean, "detached, in use: ", p->in_use, v); break;
	case 10: attack_in_use(w, crashed, "crashed, in use: ", p->in_use, v); break;
	case 11: attack_child(w, v); break;
	case 12: attack_damage(w, p->damage, v); break;
	case HISTORY: attack_history(w, p->history, v); break;
	}
}

/* A kind of which there was no attack is told: nothing was shown of it. */
static bool show_forgeries(bool all)
{
	bool complete = true;
	u32 i;

	for (i = 0; i < NR_FORGERIES; i++) {
		if (by_forgery[i].attacks) {
			printf("adversary: %6llu %s: %llu refused, %llu harmless\n",
			       (unsigned long long)by_forgery[i].attacks,
			       forgery_name[i],
			       (unsigned long long)by_forgery[i].refused,
			       (unsigned long long)by_forgery[i].harmless);
		} else if (all) {
			printf("BAD   no attack was made of the kind: %s\n",
			       forgery_name[i]);
			complete = false;
		}
	}
	return complete;
}

int main(int argc, char **argv)
{
	/* Two groups, three levels of tree and two of map. */
	struct setup p = { 34500, 1, 32, 150, 0, 100, 4 };
	bool complete;
	struct verdict sum = { 0 };
	struct world w;
	double start = now();
	u32 i;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': p.seed = strtoull(optarg, NULL, 0); break;
		case 'f': p.flips = atoi(optarg); break;
		case 'b': p.blocks = strtoull(optarg, NULL, 0); break;
		case 'u': p.in_use = atoi(optarg); break;
		case 'h': p.history = atoi(optarg); break;
		case 'd': p.damage = atoi(optarg); break;
		case 'p': p.sample = atoi(optarg); break;
		default: die("see the head of adversary.c");
		}
	}
	world_build(&w, p.blocks, p.seed);
	w.sample = p.sample;
	printf("adversary: %u moments of a vault of %llu blocks, %zu structures at the last, %.1f s\n",
	       w.nr_snaps, (unsigned long long)w.geo.logical_blocks,
	       w.snap[w.crashed].walk.nr, now() - start);
	for (i = p.history ? HISTORY : 0; i < (p.history ? NR_SCENES : HISTORY); i++) {
		struct verdict v = { 0 };

		start = now();
		play(&w, &p, i, &v);
		show(scenes[i], &v, start);
		add(&sum, &v);
	}
	complete = show_forgeries(!p.history) && (p.history || damage_complete());
	world_end(&w);
	printf("adversary: %llu attacks, %llu refused, %llu harmless, %llu read back wrong\n",
	       (unsigned long long)sum.attacks,
	       (unsigned long long)sum.refused,
	       (unsigned long long)sum.harmless, (unsigned long long)sum.bad);
	return !complete || sum.bad || sum.attacks < (p.history ? 2 * p.history : 1000);
}
