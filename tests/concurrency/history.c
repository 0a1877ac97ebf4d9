// SPDX-License-Identifier: GPL-2.0
/*
 * Is a history of one block linearizable? That is: can each operation be given a
 * moment between its invocation and its response, so that each read sees what
 * the last write before it wrote?
 *
 * Walks through the history and keeps all states that are possible so far: what
 * the block holds, and which operations in flight have taken effect. A write is
 * made to take effect only when somebody's response asks for it, since later is
 * never worse until then; a read as soon as the block holds what it saw, since it
 * changes nothing. That is exact, also for zeros, which many discards write.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "concurrency.h"

struct state {
	u64 value;
	u32 done;		/* bits of threads whose operation took effect */
};

struct states {
	struct state *state;
	size_t nr, room;
};

struct walk {
	const struct history_op *flying[HISTORY_THREADS];
	struct states now, next, seen;
	u64 overlapping;
};

struct event {
	u64 time;
	const struct history_op *op;
	bool response;
};

static void add_state(struct states *set, struct state state)
{
	size_t i;

	for (i = 0; i < set->nr; i++)
		if (set->state[i].value == state.value &&
		    set->state[i].done == state.done)
			return;
	if (set->nr == set->room) {
		set->room = set->room ? 2 * set->room : 64;
		set->state = realloc(set->state, set->room * sizeof(state));
		if (!set->state)
			die("out of memory");
	}
	set->state[set->nr++] = state;
}

/* Every read in flight that saw this value may have seen it now. */
static struct state settle(const struct walk *w, struct state state)
{
	u32 t;

	for (t = 0; t < HISTORY_THREADS; t++)
		if (w->flying[t] && w->flying[t]->kind == HISTORY_READ &&
		    w->flying[t]->value == state.value)
			state.done |= 1u << t;
	return state;
}

static void invoke(struct walk *w, const struct history_op *op)
{
	size_t i;
	u32 t;

	for (t = 0; t < HISTORY_THREADS && !w->flying[t]; t++)
		;
	w->overlapping += t < HISTORY_THREADS;
	if (w->flying[op->thread])
		die("thread %u did two things at once", op->thread);
	w->flying[op->thread] = op;
	for (i = 0; i < w->now.nr; i++)
		w->now.state[i] = settle(w, w->now.state[i]);
}

/* Let one more write of those in flight take effect, each in turn. */
static void advance(struct walk *w, struct state from)
{
	u32 t;

	for (t = 0; t < HISTORY_THREADS; t++) {
		const struct history_op *op = w->flying[t];

		if (!op || op->kind == HISTORY_READ || from.done & 1u << t)
			continue;
		add_state(&w->seen, settle(w, (struct state){
			.value = op->value, .done = from.done | 1u << t }));
	}
}

/* False if the answer contradicts every order there could have been. */
static bool respond(struct walk *w, const struct history_op *op)
{
	u32 bit = 1u << op->thread;
	struct states old;
	size_t i;

	w->next.nr = w->seen.nr = 0;
	for (i = 0; i < w->now.nr; i++)
		add_state(&w->seen, w->now.state[i]);
	/* Grows as it is walked through. */
	for (i = 0; i < w->seen.nr; i++) {
		struct state state = w->seen.state[i];

		if (!(state.done & bit)) {
			advance(w, state);
			continue;
		}
		state.done &= ~bit;
		add_state(&w->next, state);
	}
	w->flying[op->thread] = NULL;
	old = w->now;
	w->now = w->next;
	w->next = old;
	return w->now.nr;
}

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

static int by_invocation(const void *a, const void *b)
{
	const struct history_op *x = a, *y = b;

	return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

const struct history_op *history_check(struct history_op *op, size_t nr,
				       u64 initial, u64 *overlapping)
{
	struct event *event = calloc(2 * nr + 1, sizeof(*event));
	const struct history_op *bad = NULL;
	struct walk w = { 0 };
	size_t i;

	if (!event)
		die("out of memory");
	qsort(op, nr, sizeof(*op), by_invocation);
	for (i = 0; i < nr; i++) {
		event[2 * i] = (struct event){ op[i].invoked, &op[i], false };
		event[2 * i + 1] = (struct event){ op[i].responded, &op[i], true };
	}
	qsort(event, 2 * nr, sizeof(*event), by_time);
	add_state(&w.now, (struct state){ .value = initial });
	for (i = 0; i < 2 * nr && !bad; i++) {
		if (!event[i].response)
			invoke(&w, event[i].op);
		else if (!respond(&w, event[i].op))
			bad = event[i].op;
	}
	*overlapping += w.overlapping;
	free(w.now.state);
	free(w.next.state);
	free(w.seen.state);
	free(event);
	return bad;
}

/* The operations around the one that is @at fault. */
void history_print(const struct history_op *op, size_t nr,
		   const struct history_op *at)
{
	size_t i, first = at - op > 20 ? at - op - 20 : 0;

	for (i = first; i < nr && op[i].invoked <= at->responded; i++)
		printf("  %c thread %-2u %s %-8llu [%llu, %llu]\n",
		       &op[i] == at ? '>' : ' ', op[i].thread,
		       op[i].kind == HISTORY_READ ? "reads " : "writes",
		       op[i].value, op[i].invoked, op[i].responded);
}

/* ---- Histories made by hand --------------------------------------------- */

#define W(t, v, from, to)	{ from, to, v, t, HISTORY_WRITE }
#define R(t, v, from, to)	{ from, to, v, t, HISTORY_READ }
#define MAX_EXAMPLE		8

static const struct example {
	const char *what;
	bool good;
	struct history_op op[MAX_EXAMPLE];	/* as long as responded is set */
} examples[] = {
	{ "one after the other", true,
	  { W(0, 1, 1, 2), R(1, 1, 3, 4), W(0, 2, 5, 6), R(1, 2, 7, 8) } },
	{ "a read beside a write sees either", true,
	  { W(0, 1, 1, 10), R(1, 0, 2, 3), R(1, 1, 4, 5) } },
	{ "the write that began first may count last", true,
	  { W(0, 1, 1, 10), W(1, 2, 2, 9), R(2, 2, 3, 4), R(2, 1, 11, 12) } },
	{ "a write may count before its response", true,
	  { W(0, 1, 1, 20), R(1, 1, 2, 3), W(1, 2, 4, 5), R(1, 2, 21, 22) } },
	{ "a discard beside a write may count last", true,
	  { W(0, 1, 1, 2), W(0, 0, 3, 8), W(1, 2, 4, 7), R(1, 0, 9, 10) } },
	{ "zeros come back by a second discard", true,
	  { W(0, 1, 1, 10), R(1, 1, 2, 3), W(2, 0, 4, 9), R(1, 0, 5, 6) } },
	{ "two readers beside two writes", true,
	  { W(0, 1, 1, 20), W(1, 2, 2, 19), R(2, 1, 3, 6), R(3, 2, 4, 8),
	    R(2, 2, 7, 9) } },
	{ "stale", false,
	  { W(0, 1, 1, 2), W(0, 2, 3, 4), R(1, 1, 5, 6) } },
	{ "stale, beside another write", false,
	  { W(0, 1, 1, 2), W(0, 2, 3, 4), W(2, 3, 5, 12), R(1, 1, 6, 7) } },
	{ "never written", false, { W(0, 1, 1, 2), R(1, 2, 3, 4) } },
	{ "read before it was written", false,
	  { R(1, 1, 1, 2), W(0, 1, 3, 4) } },
	{ "a write that was lost", false,
	  { W(0, 1, 1, 2), R(1, 0, 3, 4) } },
	{ "back again after it was seen", false,
	  { W(0, 1, 1, 10), R(1, 1, 2, 3), R(2, 0, 4, 5) } },
	{ "and there again", false,
	  { W(0, 1, 1, 20), W(1, 2, 2, 19), R(2, 1, 3, 4), R(2, 2, 5, 6),
	    R(2, 1, 7, 8) } },
	{ "two readers that saw another order", false,
	  { W(0, 1, 1, 20), W(1, 2, 2, 19), R(2, 1, 3, 4), R(3, 2, 5, 6),
	    R(2, 1, 21, 22), R(3, 2, 23, 24) } },
	{ "a discard that was lost", false,
	  { W(0, 1, 1, 2), W(0, 0, 3, 4), R(1, 1, 5, 6) } },
	{ "a discard that came back", false,
	  { W(0, 1, 1, 2), W(0, 0, 3, 4), W(0, 2, 5, 6), R(1, 0, 7, 8) } },
	{ "garbage", false, { W(0, 1, 1, 10), R(1, GARBAGE, 2, 3) } },
};

void history_selftest(void)
{
	u64 overlapping = 0;
	size_t i, nr;

	for (i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const struct example *e = &examples[i];
		struct history_op op[MAX_EXAMPLE];

		memcpy(op, e->op, sizeof(op));
		for (nr = 0; nr < MAX_EXAMPLE && op[nr].responded; nr++)
			;
		if (!history_check(op, nr, 0, &overlapping) != e->good)
			die("a %s history was %s: %s", e->good ? "good" : "bad",
			    e->good ? "refused" : "accepted", e->what);
	}
	printf("%zu histories made by hand judged right\n", i);
}
