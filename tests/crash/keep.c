// SPDX-License-Identifier: GPL-2.0
/*
 * Keep a recorded run in a file.  Threads make each recording another one, so a
 * crash point that is bad can only be looked at again with the log it is from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

#define KEEP_MAGIC	0x65706565686373ull

struct keep_head {
	u64 magic;
	u64 seed;
	u64 data_blocks;
	u32 log_blocks;
	u32 ops;
	u32 entries;
	u32 reserved;
};

static u64 payload(const struct entry *e)
{
	if (e->flags & LOG_MARK)
		return 64;
	return e->flags & LOG_DISCARD ? 0 : e->sectors * 512;
}

static void put(FILE *file, const void *data, size_t bytes)
{
	if (bytes && fwrite(data, bytes, 1, file) != 1)
		die("cannot write the recording");
}

static void get(FILE *file, void *data, size_t bytes)
{
	if (bytes && fread(data, bytes, 1, file) != 1)
		die("the recording is cut off");
}

void keep_save(const char *path, const struct setup *s, const struct oracle *o,
	       const struct log *log)
{
	struct keep_head head = {
		KEEP_MAGIC, s->seed, s->params.data_blocks, s->params.log_blocks,
		o->nr, log->nr, 0,
	};
	FILE *file = fopen(path, "w");
	u32 i;

	if (!file)
		die("cannot write %s", path);
	put(file, &head, sizeof(head));
	put(file, o->op, o->nr * sizeof(*o->op));
	put(file, o->held, sizeof(o->held));
	for (i = 0; i < log->nr; i++) {
		put(file, &log->entry[i], sizeof(log->entry[i]));
		put(file, log->entry[i].data, payload(&log->entry[i]));
	}
	if (fclose(file))
		die("cannot write %s", path);
}

void keep_load(const char *path, struct setup *s, struct oracle *o,
	       struct log *log)
{
	FILE *file = fopen(path, "r");
	struct keep_head head;
	u64 bytes;
	u32 i;

	if (!file)
		die("cannot read %s", path);
	get(file, &head, sizeof(head));
	if (head.magic != KEEP_MAGIC || head.ops > MAX_OPS)
		die("%s is no recording", path);
	s->seed = head.seed;
	setup_sizes(s, head.data_blocks, head.log_blocks);
	oracle_init(o, s->geo.logical_blocks, s->seed);
	o->nr = head.ops;
	get(file, o->op, o->nr * sizeof(*o->op));
	get(file, o->held, sizeof(o->held));
	memset(log, 0, sizeof(*log));
	log->nr = head.entries;
	log->entry = calloc(log->nr + 1, sizeof(*log->entry));
	for (i = 0; i < log->nr; i++) {
		struct entry *e = &log->entry[i];

		get(file, e, sizeof(*e));
		bytes = payload(e);
		/* Never freed: the program ends with it. */
		e->data = bytes ? malloc(bytes) : NULL;
		get(file, e->data, bytes);
	}
	fclose(file);
	oracle_index(o);
}
