// SPDX-License-Identifier: GPL-2.0
/*
 * What is done to a vault itself while it is recorded: another master key, another
 * size, another generation, a moment that stays.  The log gets a mark before each
 * and one after it, so that at each point of the log it is known with which keys
 * and sizes the vault may be opened: with the old one before, with the new one
 * after, and in between with one of them at least.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

static void check(int err, const char *what)
{
	if (err)
		die("change: %s: %s", what, strerrorname_np(-err));
}

/* ---- What there is ------------------------------------------------------ */

/* Twice a round it grows: see round_of_changes(). */
void setup_sizes(struct setup *s, u64 data_blocks, u32 log_blocks)
{
	u32 i;

	vault_default_params(&s->params, data_blocks, log_blocks, &s->size[0]);
	s->sizes = s->grow ? 2 * s->rounds + 1 : 1;
	if (s->sizes > MAX_SIZES)
		die("so many rounds of changes have no room");
	for (i = 1; i < s->sizes; i++)
		if (qvault_geometry_init(&s->size[i], data_blocks + i * s->grow, 0,
					 log_blocks))
			die("no geometry of size %u", i);
	s->geo = s->size[s->sizes - 1];
}

const char *key_name(u32 key)
{
	return key ? ":64:logon:qvault:other" : vault_key_name;
}

void setup_keys(const struct setup *s)
{
	struct vault_params other = s->params;
	u32 i;

	vault_add_key(&s->params);
	for (i = 0; i < sizeof(other.master); i++)
		other.master[i] ^= 0x5a;
	vault_add_key_named(&other, key_name(1));
}

/* ---- While it is recorded ----------------------------------------------- */

/* @kind: small as it begins, large when it is acknowledged. */
static void mark(struct recorder *r, char kind, u32 number)
{
	check(dm_message(&r->log, "mark %c:%u", kind, number), "mark");
}

void change_key(struct recorder *r)
{
	u32 next = !r->now.key;

	mark(r, 'k', next);
	check(dm_message(&r->vault, "key change %s", key_name(next)), "key");
	mark(r, 'K', next);
	r->now.key = next;
}

static void grow_device(struct recorder *r, u64 blocks)
{
	char args[48];
	struct dm_line line = { 0, blocks * QVAULT_SECTORS, "linear", args };

	snprintf(args, sizeof(args), "%s 0", r->log.number);
	check(dm_reload(&r->data, &line, 1, false), "larger device");
	check(dm_suspend(&r->data, true), "larger device");
	check(dm_resume(&r->data), "larger device");
}

/* As the tool does it: a longer table, and a resume that takes it into use. */
void change_size(struct recorder *r)
{
	struct way next = { r->now.key, r->now.size + 1 };
	const struct qvault_geometry *geo = &r->s->size[next.size];
	char args[1024];
	struct dm_line line = { 0, geo->logical_blocks * QVAULT_SECTORS,
				r->s->target, args };
	u64 time;

	grow_device(r, geo->data_blocks);
	table_line(r->s, &next, r->data.number, r->anchor.number, "grow", args,
		   sizeof(args));
	check(dm_reload(&r->vault, &line, 1, false), "longer table");
	time = oracle_tick(r->o);
	check(dm_suspend(&r->vault, false), "suspend");
	mark_time(r, time);
	mark(r, 'g', next.size);
	check(dm_resume(&r->vault), "growth");
	mark(r, 'G', next.size);
	__atomic_store_n(&r->now.size, next.size, __ATOMIC_RELEASE);
}

void change_generation(struct recorder *r)
{
	static u32 count;
	int err = dm_message(&r->vault, "generation %s",
			     count++ % 2 ? "hmac-sha256" : "nhpoly-aes");

	/* As many as a record has room for. */
	check(err == -ENOSPC ? 0 : err, "generation");
}

/* ---- A moment that stays ------------------------------------------------ */

/* Its number is for release(). */
u32 hold(struct recorder *r)
{
	const u32 number = r->o->nr_held++;
	struct held *h = &r->o->held[number];
	int err;

	if (number >= MAX_HELD)
		die("too many moments are held");
	*h = (struct held){ .time = oracle_tick(r->o), .key = r->now.key,
			    .size = r->now.size };
	check(dm_message(&r->vault, "hold"), "hold");
	err = vault_held(&r->vault, &h->record);
	/* A checkpoint that a writer needed has ended it already. */
	if (err == -ETIME)
		return number;
	check(err, "held");
	mark(r, 'h', number);
	return number;
}

void release(struct recorder *r, u32 number)
{
	struct held *h = &r->o->held[number];
	int err;

	if (!h->record.sequence)
		return;
	/* Before: what follows the answer may be written over what was held. */
	mark(r, 'H', number);
	err = dm_message(&r->vault, "release %llu",
			 (unsigned long long)le(h->record.sequence));
	check(err == -ETIME ? 0 : err, "release");
	h->kept = !err;
}

/* ---- While it is replayed ----------------------------------------------- */

void ways_begin(struct ways *w)
{
	*w = (struct ways){ 1, 1 };
}

bool ways_note(struct ways *w, const char *mark)
{
	u32 number;
	char kind;

	if (sscanf(mark, "%c:%u", &kind, &number) != 2)
		return false;
	switch (kind) {
	case 'k': w->keys |= 1u << number; return true;
	case 'K': w->keys = 1u << number; return true;
	case 'g': w->sizes |= 1u << number; return true;
	case 'G': w->sizes = 1u << number; return true;
	}
	return false;
}

bool ways_changing(const struct ways *w)
{
	return w->keys & (w->keys - 1) || w->sizes & (w->sizes - 1);
}
