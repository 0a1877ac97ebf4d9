// SPDX-License-Identifier: GPL-2.0
/*
 * Is what a machine found what the one before it may have left?
 *
 * usage: powercut check SEED BOOT STATE REPORT ACKS
 *
 * STATE is what was there when machine BOOT began, REPORT what the next one
 * found, ACKS what BOOT said on its line.  Of each thread exactly its first n
 * operations must be there, n at least what was acknowledged, and any blocks of
 * the one that was under way.  STATE becomes REPORT; all zeros if there is none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "powercut.h"

/* Operations that leave no trace, one after the other: flushes, zeros on zeros. */
#define MOST_INVISIBLE	64u

struct checker {
	u64 seed;
	u32 boot;
	struct found state[BLOCKS], report[BLOCKS];
	u32 acked[THREADS];	/* operations that must be there */
	u64 operations;
};

static bool read_table(const char *path, struct found *table)
{
	FILE *file = fopen(path, "r");
	bool ok = file && fread(table, sizeof(*table), BLOCKS, file) == BLOCKS;

	if (file)
		fclose(file);
	return ok;
}

static void read_acks(struct checker *c, const char *path)
{
	FILE *file = fopen(path, "r");
	char text[128];
	u32 thread, op;

	while (file && fgets(text, sizeof(text), file))
		/* The last line may have been cut with the power. */
		if (strchr(text, '\n') && sscanf(text, "A %u %u", &thread, &op) == 2 &&
		    thread < THREADS && op + 1 > c->acked[thread])
			c->acked[thread] = op + 1;
	if (file)
		fclose(file);
}

static struct found result_of(const struct checker *c, const struct op *op, u32 index)
{
	if (op->kind == OP_ZERO)
		return (struct found){ CONTENT_ZERO, 0, 0, 0 };
	return (struct found){ CONTENT_WRITTEN, c->boot, index, 0 };
}

static void apply(struct checker *c, u32 thread, u32 index)
{
	struct op op = op_at(c->seed, c->boot, thread, index);
	u32 i;

	for (i = 0; i < op.count; i++)
		c->state[op.lba + i] = result_of(c, &op, index);
}

static bool is(const struct found *a, const struct found *b)
{
	return a->content == b->content && a->boot == b->boot && a->op == b->op;
}

/* The first block that neither the state explains nor operation @index, under way. */
static u32 first_difference(const struct checker *c, u32 thread, u32 index)
{
	struct op op = op_at(c->seed, c->boot, thread, index);
	struct found now = result_of(c, &op, index);
	u32 i;

	for (i = thread * REGION; i < (thread + 1) * REGION; i++)
		if (!is(&c->state[i], &c->report[i]) &&
		    !(i - op.lba < op.count && is(&now, &c->report[i])))
			return i;
	return UINT32_MAX;
}

static void say(const char *what, const struct found *f)
{
	static const char *const words[] = {
		"zeros", "written", "garbage", "an error",
	};

	printf(" %s: %s", what, words[f->content & 3]);
	if (f->content == CONTENT_WRITTEN)
		printf(" by operation %u of machine %u", f->op, f->boot);
}

static bool lost(const struct checker *c, u32 thread, u32 from, u32 at,
		 const struct found *wanted)
{
	printf("LOST  machine %u, thread %u, acknowledged %u, there at least up to %u: block %u",
	       c->boot, thread, c->acked[thread], from, at);
	say("found", &c->report[at]);
	say(", wanted", wanted);
	printf("\n");
	return false;
}

static bool check_thread(struct checker *c, u32 thread)
{
	u32 n, from = c->acked[thread], i, at, first = UINT32_MAX;
	const struct found *f = &c->report[thread * REGION];
	struct found wanted = { 0 };

	for (i = 0; i < REGION; i++)
		if (f[i].content == CONTENT_WRITTEN && f[i].boot == c->boot &&
		    f[i].op > from)
			from = f[i].op;
	for (n = 0; n < from; n++)
		apply(c, thread, n);
	for (; n < from + MOST_INVISIBLE; n++) {
		at = first_difference(c, thread, n);
		if (at == UINT32_MAX)
			break;
		if (first == UINT32_MAX) {
			first = at;
			wanted = c->state[at];
		}
		apply(c, thread, n);
	}
	if (n == from + MOST_INVISIBLE)
		return lost(c, thread, from, first, &wanted);
	c->operations += n;
	return true;
}

int check_main(int argc, char **argv)
{
	static struct checker c;
	bool ok = true;
	u64 acked = 0;
	u32 thread;
	FILE *file;

	if (argc != 5)
		die("usage: powercut check SEED BOOT STATE REPORT ACKS");
	c.seed = strtoull(argv[0], NULL, 0);
	c.boot = strtoul(argv[1], NULL, 0);
	read_table(argv[2], c.state);
	if (!read_table(argv[3], c.report))
		die("%s: no report", argv[3]);
	read_acks(&c, argv[4]);
	for (thread = 0; thread < THREADS; thread++) {
		ok &= check_thread(&c, thread);
		acked += c.acked[thread];
	}
	file = fopen(argv[2], "w");
	if (!file || fwrite(c.report, sizeof(*c.report), BLOCKS, file) != BLOCKS ||
	    fclose(file))
		die("%s: %s", argv[2], strerror(errno));
	printf("%llu operations acknowledged, %llu there\n", (unsigned long long)acked,
	       (unsigned long long)c.operations);
	return !ok;
}
