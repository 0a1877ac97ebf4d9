// SPDX-License-Identifier: GPL-2.0
/*
 * usage: sim [--seed N] [--runs N] [--seconds N] [--cpu N] [--states N] [--PARAM N]...
 *
 * Each run has a seed, from which everything follows; a parameter given here
 * replaces what the seed would choose.  When a check fails, a smaller run that
 * fails too is looked for, and the command that repeats it is printed.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "sim.h"

static const struct option {
	const char *name;
	size_t offset;
	size_t size;
} options[] = {
#define OPTION(f) { #f, offsetof(struct params, f), sizeof(((struct params *)0)->f) }
	OPTION(data_blocks), OPTION(logical_blocks), OPTION(log_blocks),
	OPTION(lives), OPTION(clients), OPTION(ops), OPTION(max_len),
	OPTION(explore), OPTION(adversary), OPTION(faults), OPTION(memory_mib), OPTION(other_memory), OPTION(lazy), OPTION(bursts), OPTION(slow), OPTION(commits), OPTION(generations), OPTION(keys), OPTION(holds), OPTION(passes), OPTION(reserve), OPTION(shortage),
	OPTION(tight), OPTION(walk), OPTION(ephemeral), OPTION(discards),
	OPTION(real), OPTION(fill), OPTION(attacks), OPTION(hostile), OPTION(forks), OPTION(shared),
	OPTION(fail_io_at), OPTION(fail_alloc_at), OPTION(tear), OPTION(max_states),
	OPTION(only_state), OPTION(nhpoly), OPTION(small), OPTION(rot),
	OPTION(grow), OPTION(grow_to), OPTION(copies),
};

static bool given[ARRAY_SIZE(options)];
static u64 value[ARRAY_SIZE(options)];

static void put(struct params *p, u32 i, u64 v)
{
	char *field = (char *)p + options[i].offset;

	if (options[i].size == 8)
		*(u64 *)field = v;
	else if (options[i].size == 4)
		*(u32 *)field = v;
	else
		*(bool *)field = v;
}

/* The smallest device for a log of so many blocks. */
static u64 smallest(u32 log_blocks)
{
	struct qvault_geometry geo;
	u64 blocks = log_blocks;

	while (qvault_geometry_init(&geo, blocks, 0, log_blocks))
		blocks++;
	return blocks;
}

static bool is_given(const char *name)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name))
			return given[i];
	return false;
}

static void choose_size(struct params *p, struct rng *rng)
{
	u64 least = smallest(p->log_blocks);

	switch (is_given("small") ? 0 : rng_below(rng, 8)) {
	case 0:
		p->data_blocks = least + rng_below(rng, 4);
		p->max_len = 40;
		break;
	case 1:
	case 2:
		p->data_blocks = least + rng_below(rng, 120);
		break;
	case 3:
		p->data_blocks = least + rng_below(rng, 500);
		break;
	case 4:
	case 5:
		p->data_blocks = least + rng_below(rng, 4000);
		break;
	case 6:				/* whole subtrees can be unmapped */
		p->data_blocks = least + 17500 + rng_below(rng, 15000);
		p->walk = 20;
		break;
	case 7:				/* several groups */
		p->data_blocks = QVAULT_GROUP_BLOCKS *
				 (1 + rng_below(rng, 3)) +
				 least + rng_below(rng, 9000);
		p->walk = 10;
		p->fill = false;
		break;
	}
}

/* Within a group, into the next ones, or until the trees need another level. */
static void choose_growth(struct params *p, struct rng *rng)
{
	p->grow = rng_chance(rng, 35) && !p->forks ? 50 : 0;
	p->grow_to = p->data_blocks;
	switch (rng_below(rng, 8)) {
	case 0:
		p->grow_to += (66 + rng_below(rng, 80)) * QVAULT_GROUP_BLOCKS;
		break;
	case 1:
	case 2:
		p->grow_to += rng_below(rng, 3 * QVAULT_GROUP_BLOCKS);
		break;
	default:
		p->grow_to += rng_below(rng, 3000);
	}
}

/* To look at all of a volume takes time, and memory for all of its blocks. */
static void bound_growth(struct params *p)
{
	if (!p->grow || p->grow_to < 5000)
		return;
	p->fill = false;
	p->walk = min(p->walk, 20u);
	if (p->grow_to < 10 * QVAULT_GROUP_BLOCKS)
		return;
	p->walk = min(p->walk, 3u);
	p->explore = min(p->explore, 3u);
	p->max_states = min_t(u64, p->max_states, 60);
	p->attacks = 0;
	p->hostile = 0;
}

static void choose(struct params *p, u64 seed)
{
	struct rng rng = { mix64(seed ^ 0x51) };
	u32 i;

	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->max_len = 1 + rng_below(&rng, 256);
	p->walk = 100;
	p->fill = rng_chance(&rng, 25);
	p->log_blocks = QVAULT_MIN_LOG_BLOCKS +
			(rng_chance(&rng, 50) ? 0 : rng_below(&rng, 60));
	choose_size(p, &rng);
	if (p->data_blocks > 5000)
		p->fill = false;
	p->lives = 2 + rng_below(&rng, 6);
	p->clients = 1 + rng_below(&rng, 6);
	p->ops = 5 + rng_below(&rng, 60);
	p->explore = 60;
	p->max_states = 1000;
	p->adversary = rng_chance(&rng, 40) ? 40 : 0;
	p->faults = rng_chance(&rng, 40) ? 50 : 0;
	/* The log that may be used: 16 blocks, 32, or all of it. */
	if (rng_chance(&rng, 30))
		p->memory_mib = rng_chance(&rng, 50) ? 1 : 8;
	p->other_memory = rng_chance(&rng, 50) ? 30 : 0;
	p->lazy = rng_chance(&rng, 50) ? 95 : 0;
	p->slow = rng_chance(&rng, 30) ? 10 : 0;
	p->commits = rng_chance(&rng, 25) ? 1 : 20;
	p->bursts = p->lazy && rng_chance(&rng, 30) ? 100 : 0;
	if (rng_chance(&rng, 30))
		p->shortage = rng_chance(&rng, 50) ? 100 :
			      rng_below(&rng, 100);
	p->tight = 50;
	p->attacks = rng_chance(&rng, 10) ? 16 : 0;
	p->hostile = p->adversary && rng_chance(&rng, 50) ?
		     1 + rng_below(&rng, 10) : 0;
	p->forks = !p->hostile && rng_chance(&rng, 25);
	p->discards = rng_chance(&rng, 20);
	p->real = rng_chance(&rng, 3);
	p->ephemeral = rng_chance(&rng, 8);
	/* A second life would use the same key: the kernel makes a new one. */
	if (p->ephemeral)
		p->lives = 1;
	p->nhpoly = rng_chance(&rng, 30);
	/* Long lives in which something fails all the time, and slowly. */
	if (p->faults && rng_chance(&rng, 15)) {
		p->faults = 100;
		p->commits = 40;
		p->slow = 60;
		p->clients = 6;
		p->ops = 100 + rng_below(&rng, 100);
		p->explore = 5;
	}
	p->reserve = rng_chance(&rng, 50) ? 0 : 30;
	p->rot = rng_chance(&rng, 30) ? 60 : 0;
	p->generations = rng_chance(&rng, 40) ? 1 + rng_below(&rng, 60) : 0;
	choose_growth(p, &rng);
	p->keys = rng_chance(&rng, 30) ? 1 + rng_below(&rng, 30) : 0;
	p->holds = rng_chance(&rng, 40) ? 1 + rng_below(&rng, 200) : 0;
	p->passes = rng_chance(&rng, 40) ? 1 + rng_below(&rng, 100) : 0;
	p->copies = rng_chance(&rng, 50) ? 10 : 0;
	p->shared = !p->forks && !p->ephemeral && rng_chance(&rng, 25);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (given[i])
			put(p, i, value[i]);
	if (p->ephemeral)
		p->shared = 0;
	if (p->grow_to < p->data_blocks)
		p->grow_to = p->data_blocks;
	bound_growth(p);
}

static const char *program;
static u64 failing_seed;
static bool shrinking = true;

/* ---- Shrinking ---- */

static void print_command(void)
{
	u32 i;

	fprintf(stderr, "to repeat: %s --seed %llu", program,
		(unsigned long long)failing_seed);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (given[i])
			fprintf(stderr, " --%s %llu", options[i].name,
				(unsigned long long)value[i]);
	fprintf(stderr, "\n");
}

/* The same command in a process of its own, without a word. */
static void run_again(void)
{
	static char text[2 * ARRAY_SIZE(options) + 4][40];
	char *argv[2 * ARRAY_SIZE(options) + 6] = { (char *)program };
	u32 n = 0, i;

	snprintf(text[n++], 40, "--shrink");
	snprintf(text[n++], 40, "0");
	snprintf(text[n++], 40, "--seed");
	snprintf(text[n++], 40, "%llu", (unsigned long long)failing_seed);
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (!given[i])
			continue;
		snprintf(text[n++], 40, "--%s", options[i].name);
		snprintf(text[n++], 40, "%llu", (unsigned long long)value[i]);
	}
	for (i = 0; i < n; i++)
		argv[i + 1] = text[i];
	if (!freopen("/dev/null", "w", stderr) ||
	    !freopen("/dev/null", "w", stdout))
		_exit(0);
	alarm(30);
	execv("/proc/self/exe", argv);
	_exit(0);
}

static bool fails(void)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		run_again();
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return false;
	return status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

static u32 option_of(const char *name)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name))
			return i;
	fprintf(stderr, "sim: no option --%s\n", name);
	exit(2);
}

static u64 chosen(const char *name, u64 seed)
{
	struct params p;
	u32 i = option_of(name);

	choose(&p, seed);
	if (options[i].size == 8)
		return *(u64 *)((char *)&p + options[i].offset);
	if (options[i].size == 4)
		return *(u32 *)((char *)&p + options[i].offset);
	return *(bool *)((char *)&p + options[i].offset);
}

static bool try(const char *name, u64 v)
{
	u32 i = option_of(name);
	bool was = given[i];
	u64 old = value[i];

	given[i] = true;
	value[i] = v;
	if (fails())
		return true;
	given[i] = was;
	value[i] = old;
	return false;
}

static void shrink(u64 seed)
{
	static const char *const off[] = {
		"faults", "adversary", "attacks", "discards", "fill", "tight", "explore", "rot",
		"grow",
		"real",
	};
	static const char *const less[] = { "lives", "clients", "ops", "max_len" };
	bool better = true;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(off); i++)
		if (chosen(off[i], seed))
			try(off[i], 0);
	while (better) {
		better = false;
		for (i = 0; i < ARRAY_SIZE(less); i++) {
			u64 v = chosen(less[i], seed);

			if (v > 1 && (try(less[i], v / 2) ||
				      try(less[i], v - 1)))
				better = true;
		}
	}
}

/* The first words about what is wrong have been printed already. */
static void on_bug(void)
{
	print_command();
	if (shrinking) {
		fprintf(stderr, "looking for a smaller run that fails...\n");
		/* If it failed in a branch, that one may be enough. */
		if (sim_current->nr_cuts)
			try("only_state", sim_current->nr_cuts);
		shrink(failing_seed);
		print_command();
	}
	fflush(stderr);
	_exit(1);
}

static void run(u64 seed)
{
	struct params p;

	choose(&p, seed);
	failing_seed = seed;
	run_seed(&p);
}

/* ---- Main ---- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* Of this process alone: what else runs on the machine does not matter. */
static double processor(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void report(double seconds)
{
	printf("%llu states explored, %llu of them within a recovery\n",
	       (unsigned long long)totals.states,
	       (unsigned long long)totals.recovery_states);
	printf("%llu lives: %llu power cuts, %llu detaches, %llu with faults; %llu operations, %llu blocks compared\n",
	       (unsigned long long)totals.lives,
	       (unsigned long long)totals.crashes,
	       (unsigned long long)totals.detaches,
	       (unsigned long long)totals.faults,
	       (unsigned long long)totals.ops,
	       (unsigned long long)totals.blocks_read);
	printf("%llu attaches merged a log that was too large, %llu had too little memory for it\n",
	       (unsigned long long)totals.merged,
	       (unsigned long long)totals.refused_memory);
	printf("%llu anchor records, %llu of them followed to every block\n",
	       (unsigned long long)totals.records,
	       (unsigned long long)totals.walks);
	printf("%llu seals, 0 repeated\n", (unsigned long long)totals.seals);
	printf("%llu generations begun, %llu dropped\n",
	       (unsigned long long)totals.generations,
	       (unsigned long long)totals.dropped);
	printf("%llu master keys changed, %llu states that two of them open\n",
	       (unsigned long long)totals.keys, (unsigned long long)totals.either_key);
	printf("%llu records held: %llu stayed until they were released, %llu were ended\n",
	       (unsigned long long)totals.holds, (unsigned long long)totals.holds_kept,
	       (unsigned long long)totals.holds_ended);
	printf("%llu steps of walks, %llu of them to the end; %llu blocks sealed anew, %llu given up\n",
	       (unsigned long long)totals.steps, (unsigned long long)totals.passes,
	       (unsigned long long)totals.moved, (unsigned long long)totals.given_up);
	printf("%llu ephemeral lives on a copy: %llu seals, each under a key of its own\n",
	       (unsigned long long)totals.copies, (unsigned long long)totals.copy_seals);
	printf("%llu lives with a storage that lies: %llu wrong answers, %llu writes lost or astray\n",
	       (unsigned long long)totals.hostile, (unsigned long long)totals.lies,
	       (unsigned long long)totals.astray);
	printf("%llu rotten nodes: %llu entries carried past them, %llu checkpoints that had no room for that\n",
	       (unsigned long long)totals.rotten, (unsigned long long)totals.carried,
	       (unsigned long long)totals.overfull);
	printf("%llu nodes of which one copy was bad, %llu of them found and healed by a life of the trunk\n",
	       (unsigned long long)totals.half_rotten, (unsigned long long)totals.healed);
	printf("%llu times a volume was to grow; %llu records gave a tree another level\n",
	       (unsigned long long)totals.grown, (unsigned long long)totals.raised);
	printf("%llu attached elsewhere meanwhile; %llu memories that went back: %llu told before a commit, %llu never, %llu seals, %llu of them under versions of the other life, each before a record\n",
	       (unsigned long long)totals.elsewhere,
	       (unsigned long long)totals.forks,
	       (unsigned long long)totals.fork_told,
	       (unsigned long long)totals.fork_alone,
	       (unsigned long long)totals.fork_seals,
	       (unsigned long long)totals.fork_repeats);
	printf("%llu attacked volumes: %llu refused, %llu with unreadable blocks, 0 read back wrong\n",
	       (unsigned long long)totals.attacks,
	       (unsigned long long)totals.refused,
	       (unsigned long long)totals.unreadable);
	printf("%.0f s, %.0f s of the processor\n", seconds, processor());
}

int main(int argc, char **argv)
{
	u64 seed = 1, runs = 0, seconds = 0, cpu = 0;
	bool repeat = false;
	double start = now(), said = start;
	u64 n;
	int i;

	program = argv[0];
	for (i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i] + 2;
		u64 v = strtoull(argv[i + 1], NULL, 0);

		if (!strcmp(name, "seed")) {
			seed = v;
			repeat = true;
		} else if (!strcmp(name, "runs")) {
			runs = v;
		} else if (!strcmp(name, "seconds")) {
			seconds = v;
		} else if (!strcmp(name, "cpu")) {
			cpu = v;
		} else if (!strcmp(name, "states")) {
			totals.limit = v;
		} else if (!strcmp(name, "shrink")) {
			shrinking = v;
		} else {
			value[option_of(name)] = v;
			given[option_of(name)] = true;
		}
	}
	if (!runs)
		runs = repeat && !seconds && !cpu && !totals.limit ? 1 : ~0ull;
	shim_on_bug = on_bug;
	for (n = 0; n < runs; n++) {
		if (seconds && now() - start > seconds)
			break;
		if (cpu && processor() > cpu)
			break;
		if (totals.limit && totals.states >= totals.limit)
			break;
		if (now() - said > 10) {
			said = now();
			printf("-- %llu states, seed %llu\n",
			       (unsigned long long)totals.states,
			       (unsigned long long)seed + n);
			fflush(stdout);
		}
		run(seed + n);
	}
	report(now() - start);
	return 0;
}
