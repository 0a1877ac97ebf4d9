// SPDX-License-Identifier: GPL-2.0
/*
 * The reference: a block device as an array of histories.
 */
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

#define WORDS (QVAULT_BLOCK_SIZE / sizeof(u64))

void oracle_init(struct oracle *o, u64 logical_blocks,
		 const struct oracle *parent, u64 parent_time)
{
	memset(o, 0, sizeof(*o));
	o->logical_blocks = logical_blocks;
	o->parent = parent;
	o->parent_time = parent_time;
	/* Times of a branch are later than all that it can see. */
	o->now = o->acked = o->cut = parent_time;
}

void oracle_exit(struct oracle *o)
{
	u32 n;

	for (n = 0; n < o->nr_known; n++)
		free(o->history[o->known[n]].effect);
	free(o->history);
	free(o->known);
	o->known = NULL;
	o->nr_known = o->max_known = 0;
	free(o->record);
	o->history = NULL;
	o->record = NULL;
}

static void remember(struct oracle *o, u64 logical)
{
	if (o->nr_known == o->max_known) {
		o->max_known = o->max_known ? 2 * o->max_known : 64;
		o->known = realloc(o->known, o->max_known * sizeof(*o->known));
	}
	o->known[o->nr_known++] = logical;
}

void oracle_effect(struct oracle *o, u64 logical, u64 value, u64 version)
{
	struct history *h;

	if (!o->history)
		o->history = calloc(o->logical_blocks, sizeof(*o->history));
	h = &o->history[logical];
	if (!h->max)
		remember(o, logical);
	if (h->nr == h->max) {
		h->max = h->max ? 2 * h->max : 2;
		h->effect = realloc(h->effect, h->max * sizeof(*h->effect));
	}
	h->effect[h->nr++] = (struct effect){
		.time = o->now, .value = value, .version = version,
	};
}

struct effect oracle_at(const struct oracle *o, u64 logical, u64 time)
{
	for (; o; o = o->parent) {
		const struct history *h;
		u32 n;

		if (o->history) {
			h = &o->history[logical];
			for (n = h->nr; n--;)
				if (h->effect[n].time <= time)
					return h->effect[n];
		}
		if (time > o->parent_time)
			time = o->parent_time;
	}
	return (struct effect){ 0 };
}

bool oracle_was(const struct oracle *o, u64 logical, u64 value, u64 from, u64 to)
{
	const struct history *h;
	u32 n;

	if (oracle_at(o, logical, from).value == value)
		return true;
	if (!o->history)
		return false;
	h = &o->history[logical];
	for (n = h->nr; n-- && h->effect[n].time > from;)
		if (h->effect[n].time <= to && h->effect[n].value == value)
			return true;
	return false;
}

bool oracle_changed(const struct oracle *o, u64 logical, u64 from)
{
	const struct history *h = o->history ? &o->history[logical] : NULL;

	return h && h->nr && h->effect[h->nr - 1].time > from;
}

void oracle_record(struct oracle *o, const struct qvault_disk_anchor *disk,
		   u64 time)
{
	struct record *r;

	if (o->nr_records == o->max_records) {
		o->max_records = o->max_records ? 2 * o->max_records : 16;
		o->record = realloc(o->record,
				    o->max_records * sizeof(*o->record));
	}
	r = &o->record[o->nr_records++];
	memcpy(r->mac, disk->mac, sizeof(r->mac));
	r->sequence = le64_to_cpu(disk->sequence);
	r->time = time;
}

const struct record *oracle_find(const struct oracle *o,
				 const struct qvault_disk_anchor *disk,
				 const struct oracle **owner)
{
	u32 n;

	for (; o; o = o->parent)
		for (n = o->nr_records; n--;)
			if (!memcmp(o->record[n].mac, disk->mac,
				    sizeof(disk->mac))) {
				if (owner)
					*owner = o;
				return &o->record[n];
			}
	return NULL;
}

void oracle_rewind(struct oracle *o, u64 time)
{
	u32 i;

	for (i = 0; i < o->nr_known; i++) {
		struct history *h = &o->history[o->known[i]];

		while (h->nr && h->effect[h->nr - 1].time > time)
			h->nr--;
		/* Nobody asks what was before. */
		if (h->nr > 1) {
			h->effect[0] = h->effect[h->nr - 1];
			h->nr = 1;
		}
	}
	o->now = o->acked = o->cut = time;
}

/* One word stands for the block; the other words differ from it and each other. */
static const u64 *pattern(void)
{
	static u64 table[WORDS];
	u32 i;

	if (!table[0])
		for (i = 0; i < WORDS; i++)
			table[i] = mix64(i + 1);
	return table;
}

static u64 word_of(u64 logical, u64 value)
{
	return mix64(value * 0x9e3779b97f4a7c15ull + logical);
}

void value_fill(u64 logical, u64 value, u64 *data)
{
	const u64 *table = pattern();
	u64 word = word_of(logical, value);
	u32 i;

	for (i = 0; i < WORDS; i++)
		data[i] = value ? cpu_to_le64(word ^ table[i]) : 0;
}

bool value_equal(u64 logical, u64 value, const u64 *data)
{
	const u64 *table = pattern();
	u64 word = word_of(logical, value), diff = 0;
	u32 i;

	if (value)
		for (i = 0; i < WORDS; i++)
			diff |= le64_to_cpu(data[i]) ^ table[i] ^ word;
	else
		for (i = 0; i < WORDS; i++)
			diff |= data[i];
	return !diff;
}

bool value_seen(const u64 *data)
{
	const u64 *table = pattern();
	u64 word = le64_to_cpu(data[0]) ^ table[0], diff = 0;
	u32 i;

	for (i = 1; i < 8; i++)
		diff |= le64_to_cpu(data[i]) ^ table[i] ^ word;
	return !diff;
}
