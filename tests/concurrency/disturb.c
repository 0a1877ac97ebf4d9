// SPDX-License-Identifier: GPL-2.0
/*
 * The threads that disturb a vault in use: messages and questions in a row,
 * suspends of both kinds, reloads of its own table, removals that come too early.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "concurrency.h"

static void pause_up_to(struct prng *p, u32 microseconds)
{
	usleep(1 + prng_below(p, microseconds));
}

/* The 15th word of a status line: see qvault.rst. */
static bool is_whole(const char *text)
{
	u32 n;

	for (n = 1; text && n < 15; n++) {
		text = strchr(text, ' ');
		text += !!text;
	}
	return text && !strncmp(text, "0 ", 2);
}

static void check_status(struct vault *v, bool table)
{
	char text[1024];
	int err = dm_status(&v->dev, table, text, sizeof(text));

	if (err)
		complain(v, "%s: %s", table ? "table" : "status", strerror(-err));
	/* Also while it is suspended. */
	if (!table && strncmp(text, "write ", 6))
		complain(v, "status says: %s", text);
	if (!table && !is_whole(text))
		complain(v, "corruption was counted: %s", text);
}

void *send_messages(void *arg)
{
	struct disturber *d = arg;
	struct vault *v = d->v;
	u32 what;
	int err;

	while (!atomic_load(&v->stop)) {
		what = prng_chance(&d->p, 2) ? 4 : prng_below(&d->p, 4);
		if (v->discards && what < 4 && prng_chance(&d->p, 70))
			what = 1;
		err = 0;
		switch (what) {
		case 0: err = dm_message(&v->dev, "commit"); break;
		case 1: err = dm_message(&v->dev, "checkpoint"); break;
		case 2: check_status(v, false); break;
		case 3: check_status(v, true); break;
		case 4:
			if (!dm_message(&v->dev, "nonsense"))
				complain(v, "nonsense was taken for a message");
			break;
		}
		if (err && !(err == -ENODEV && v->suspends))
			complain(v, "message %u: %s", what, strerror(-err));
		if (!err)
			d->count[what]++;
		pause_up_to(&d->p, 2000);
	}
	return NULL;
}

static void reload(struct vault *v)
{
	char text[1024];
	struct dm_line line = { 0, v->params.logical_blocks * QVAULT_SECTORS,
				"qvault", text };
	int err = dm_status(&v->dev, true, text, sizeof(text));

	if (!err)
		err = dm_reload(&v->dev, &line, 1, false);
	if (err)
		complain(v, "load of its own table: %s", strerror(-err));
}

void *suspend_and_reload(void *arg)
{
	struct disturber *d = arg;
	struct vault *v = d->v;
	bool noflush, load;
	int err;

	while (!atomic_load(&v->stop)) {
		noflush = prng_chance(&d->p, 50);
		load = prng_chance(&d->p, 30);
		if (load)
			reload(v);
		err = dm_suspend(&v->dev, noflush);
		if (err)
			complain(v, "suspend: %s", strerror(-err));
		pause_up_to(&d->p, 3000);
		err = dm_resume(&v->dev);
		if (err)
			complain(v, "resume: %s", strerror(-err));
		d->count[load ? 2 : noflush]++;
		pause_up_to(&d->p, 20000);
	}
	return NULL;
}

void *remove_in_vain(void *arg)
{
	struct disturber *d = arg;
	struct vault *v = d->v;
	int err;

	while (!atomic_load(&v->stop) && !atomic_load(&d->enough)) {
		err = dm_remove(&v->dev);
		if (err != -EBUSY)
			complain(v, "a removal while it is in use: %s",
				 err ? strerror(-err) : "accepted");
		d->count[0]++;
		pause_up_to(&d->p, 20000);
	}
	return NULL;
}
