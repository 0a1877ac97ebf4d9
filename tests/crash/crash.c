// SPDX-License-Identifier: GPL-2.0
/*
 * Record, replay, count.  Runs in a guest as process of root, on four ramdisks.
 *
 * usage: crash [--seed N] [--rounds N] [--threads N] [--points N] [--subsets N]
 *              [--seconds S] [--blocks N] [--log N] [--only POINT]
 *              [--target NAME] [--options WORDS] [--base DEVICE]
 *              [--files ext4|xfs|sqlite] [--steps N] [--save FILE] [--load FILE]
 *              [--grow BLOCKS]
 *
 * --grow: the data device gains so many blocks, twice each round, and the vault with
 * it; it also gets another key, other generations, and moments that stay.
 * --save keeps the recording if a point of it is bad; --load replays it.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "crash.h"

static const struct option options[] = {
	{ "seed", 1, NULL, 's' },	{ "rounds", 1, NULL, 'r' },
	{ "threads", 1, NULL, 't' },	{ "points", 1, NULL, 'p' },
	{ "subsets", 1, NULL, 'u' },	{ "seconds", 1, NULL, 'S' },
	{ "blocks", 1, NULL, 'b' },	{ "log", 1, NULL, 'l' },
	{ "only", 1, NULL, 'o' },	{ "target", 1, NULL, 'T' },
	{ "options", 1, NULL, 'O' },	{ "base", 1, NULL, 'B' },
	{ "files", 1, NULL, 'f' },	{ "steps", 1, NULL, 'n' },
	{ "save", 1, NULL, 'k' },	{ "load", 1, NULL, 'L' },
	{ "grow", 1, NULL, 'g' },
	{ NULL, 0, NULL, 0 },
};

static void parse(struct setup *s, int argc, char **argv, u64 *blocks,
		  u32 *log_blocks)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': s->seed = strtoull(optarg, NULL, 0); break;
		case 'r': s->rounds = atoi(optarg); break;
		case 't': s->threads = atoi(optarg); break;
		case 'p': s->points = atoi(optarg); break;
		case 'u': s->subsets = atoi(optarg); break;
		case 'S': s->seconds = atof(optarg); break;
		case 'b': *blocks = strtoull(optarg, NULL, 0); break;
		case 'l': *log_blocks = atoi(optarg); break;
		case 'o': s->only = atoll(optarg); break;
		case 'T': s->target = optarg; break;
		case 'O': s->options = optarg; break;
		case 'B': s->record_base = optarg; break;
		case 'f': s->files = optarg; break;
		case 'n': s->steps = atoi(optarg); break;
		case 'k': s->save = optarg; break;
		case 'L': s->load = optarg; break;
		case 'g': s->grow = atoi(optarg); break;
		default: die("see the head of crash.c");
		}
	}
}

/* A scene of changes in which one of the cases never came up shows nothing. */
static bool show_changes(const struct tally *t)
{
	printf("crash: %llu points within a change of the key: opened by the old one %llu, by either %llu, by the new one %llu; %llu within a growth: as it was %llu, grown %llu\n",
	       (unsigned long long)(t->by_key[0] + t->by_key[1] + t->by_key[2]),
	       (unsigned long long)t->by_key[0], (unsigned long long)t->by_key[1],
	       (unsigned long long)t->by_key[2],
	       (unsigned long long)(t->by_size[0] + t->by_size[1]),
	       (unsigned long long)t->by_size[0], (unsigned long long)t->by_size[1]);
	printf("crash: %llu attaches with another key or a larger table refused; %llu copies of a moment that stayed\n",
	       (unsigned long long)t->refused, (unsigned long long)t->copies);
	return t->by_key[0] && t->by_key[1] && t->by_key[2] && t->by_size[0] &&
	       t->by_size[1] && t->refused && t->copies;
}

int main(int argc, char **argv)
{
	struct setup s = {
		.seed = 1, .rounds = 4, .threads = 4, .subsets = 2, .only = -1,
		.steps = 60,
		.record_base = "/dev/ram0", .record_log = "/dev/ram1",
		.replay_base = "/dev/ram2", .replay_log = "/dev/ram3",
		.target = "qvault", .options = "",
	};
	u64 blocks = 820;
	u32 log_blocks = QVAULT_MIN_LOG_BLOCKS;
	struct tally t = { 0 };
	struct oracle o;
	struct log log;
	double start = now(), recorded;
	bool complete = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* A page fault is dear in UML: keep what was freed. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	parse(&s, argc, argv, &blocks, &log_blocks);
	setup_sizes(&s, blocks, log_blocks);
	setup_keys(&s);
	if (s.load) {
		keep_load(s.load, &s, &o, &log);
	} else {
		oracle_init(&o, s.geo.logical_blocks, s.seed);
		record(&s, &o, &log);
	}
	recorded = now();
	printf("crash: seed %llu: %u entries of the log, %u block operations, %u blocks, recorded in %.1f s\n",
	       (unsigned long long)s.seed, log.nr, o.nr, o.blocks,
	       recorded - start);
	replay(&s, &o, &log, &t);
	printf("crash: %llu prefixes, %llu subsets, %llu torn anchors, %llu crashes within recovery, %llu used after recovery; %u of 254 masks tore an anchor; %.4f s a point\n",
	       (unsigned long long)t.prefixes, (unsigned long long)t.subsets,
	       (unsigned long long)t.torn, (unsigned long long)t.second,
	       (unsigned long long)t.used, t.masks,
	       t.points ? (now() - recorded) / t.points : 0);
	if (s.grow)
		complete = show_changes(&t);
	if (!complete)
		printf("crash: a case of these changes never came up\n");
	printf("crash: %llu crash points, %llu bad%s\n",
	       (unsigned long long)t.points, (unsigned long long)t.bad,
	       t.bad && s.save && !s.files ? "; again with --load and --only POINT" : "");
	if (t.bad && s.save && !s.files)
		keep_save(s.save, &s, &o, &log);
	return t.bad || !t.points || !complete;
}
