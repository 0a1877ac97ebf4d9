// SPDX-License-Identifier: GPL-2.0
/*
 * The scenes, the count.  Runs in a guest as root, on two ramdisks.
 *
 * usage: adversary [--seed N] [--flips N] [--blocks N] [--in-use N]
 *
 * --flips 4096 flips a bit in every byte of every metadata block.
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
	{ NULL, 0, NULL, 0 },
};

static void show(const char *scene, const struct verdict *v, double start)
{
	printf("adversary: %-10s %6llu attacks, %6llu refused, %5llu harmless, %llu bad, %.1f s\n",
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

int main(int argc, char **argv)
{
	/* Two groups, three levels of tree and two of map. */
	u64 blocks = 34500, seed = 1;
	u32 flips = 32, in_use = 150, i;
	struct verdict sum = { 0 };
	struct world w;
	double start = now();
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'f': flips = atoi(optarg); break;
		case 'b': blocks = strtoull(optarg, NULL, 0); break;
		case 'u': in_use = atoi(optarg); break;
		default: die("see the head of adversary.c");
		}
	}
	world_build(&w, blocks, seed);
	printf("adversary: %u moments of a vault of %llu blocks, %zu structures at the last, %.1f s\n",
	       w.nr_snaps, (unsigned long long)w.geo.logical_blocks,
	       w.snap[w.crashed].walk.nr, now() - start);
	for (i = 0; i < 6; i++) {
		const struct snapshot *clean = &w.snap[w.clean];
		const struct snapshot *crashed = &w.snap[w.crashed];
		struct verdict v = { 0 };
		static const char *const name[] = {
			"detached", "crashed", "live", "racing",
			"detached, in use", "crashed, in use",
		};

		start = now();
		switch (i) {
		case 0: attack_at_rest(&w, clean, name[i], flips, &v); break;
		case 1: attack_at_rest(&w, crashed, name[i], flips, &v); break;
		case 2: attack_live(&w, crashed, 8, &v); break;
		case 3: attack_racing(&w, crashed, 1000, &v); break;
		case 4: attack_in_use(&w, clean, "detached, in use: ", in_use, &v); break;
		case 5: attack_in_use(&w, crashed, "crashed, in use: ", in_use, &v); break;
		}
		show(name[i], &v, start);
		add(&sum, &v);
	}
	printf("adversary: %llu attacks, %llu refused, %llu harmless, %llu read back wrong\n",
	       (unsigned long long)sum.attacks,
	       (unsigned long long)sum.refused,
	       (unsigned long long)sum.harmless, (unsigned long long)sum.bad);
	return sum.bad || sum.attacks < 1000;
}
