// SPDX-License-Identifier: GPL-2.0
/*
 * From a log to crash points.  @state is what the replay device must hold; every
 * change is written to both, with the old contents kept where it is only tried.
 * What the attach under test wrote is undone after the point, and cut short for
 * the crashes within recoveries.
 *
 * In the log of dm-log-writes the entries between two flushes are first the FUA
 * writes, in their order, and then what was written without being flushed.  A
 * crash may leave all of the former and any part of the latter, or a prefix of
 * the former, the last of them torn.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

#define MAX_DEPTH	2
#define SHOWN		15

struct undo {
	u64 sector, sectors;
	u8 *old;
};

struct replayer {
	struct setup *s;
	struct oracle *o;
	struct log *log;
	struct tally *tally;
	struct promise promise;
	struct prng prng;

	int fd;
	u8 *state;
	u64 sectors;
	struct undo *undo;
	u32 nr_undo, room_undo;

	/* What was read, by depth: the blocks that the workload touched. */
	u8 *contents[MAX_DEPTH + 2];
	struct stack stack;
	u8 masks[256];		/* with which an anchor was torn */

	u64 candidate, candidates;
	double start, shown;
	char what[128];
	bool failed;
};

/* ---- The device and its past -------------------------------------------- */

static void put(struct replayer *r, u64 sector, u64 sectors)
{
	if (pwrite(r->fd, r->state + sector * 512, sectors * 512,
		   sector * 512) != (ssize_t)(sectors * 512))
		die("replay device: %s", strerror(errno));
}

static void set(struct replayer *r, u64 sector, u64 sectors, const u8 *data,
		bool keep_old)
{
	u8 *at = r->state + sector * 512;

	if (sector + sectors > r->sectors)
		die("the log writes past the end: sector %llu",
		    (unsigned long long)sector);
	if (keep_old) {
		struct undo *u;

		if (r->nr_undo == r->room_undo) {
			r->room_undo = r->room_undo ? 2 * r->room_undo : 256;
			r->undo = realloc(r->undo,
					  r->room_undo * sizeof(*r->undo));
			if (!r->undo)
				die("out of memory");
		}
		u = &r->undo[r->nr_undo++];
		*u = (struct undo){ sector, sectors, malloc(sectors * 512) };
		if (!u->old)
			die("out of memory");
		memcpy(u->old, at, sectors * 512);
	}
	if (data)
		memcpy(at, data, sectors * 512);
	else
		memset(at, 0, sectors * 512);
	put(r, sector, sectors);
}

static void roll_back(struct replayer *r, u32 to)
{
	while (r->nr_undo > to) {
		struct undo *u = &r->undo[--r->nr_undo];

		memcpy(r->state + u->sector * 512, u->old, u->sectors * 512);
		put(r, u->sector, u->sectors);
		free(u->old);
	}
}

static bool is_write(const struct entry *e)
{
	return !(e->flags & LOG_MARK) && e->sectors;
}

static bool is_plain(const struct entry *e)
{
	return is_write(e) && !(e->flags & (LOG_FLUSH | LOG_FUA));
}

static u32 end_of_group(const struct log *log, u32 from)
{
	while (from < log->nr && !(log->entry[from].flags & LOG_FLUSH))
		from++;
	return from;
}

static void apply(struct replayer *r, const struct entry *e, bool keep_old)
{
	if (is_write(e))
		set(r, e->sector, e->sectors,
		    e->flags & LOG_DISCARD ? NULL : e->data, keep_old);
}

/*
 * Only some of its 512-byte sectors reach the medium.  What has eight of them,
 * as an anchor record has, meets all masks in turn.
 */
static void apply_torn(struct replayer *r, const struct entry *e)
{
	u32 mask = 1 + prng_below(&r->prng, 254);
	u64 i;

	if (e->sectors == QVAULT_SECTORS)
		r->masks[mask] = 1;
	for (i = 0; i < e->sectors; i++)
		if (e->sectors == QVAULT_SECTORS ? mask >> i & 1 :
						   prng_chance(&r->prng, 50))
			set(r, e->sector + i, 1, e->data + i * 512, true);
}

/* Some of the unflushed writes [from, to), some of them in part. */
static void apply_some(struct replayer *r, const struct log *log, u32 from,
		       u32 to, u32 percent)
{
	u32 single = from + prng_below(&r->prng, to - from), i;

	for (i = from; i < to; i++) {
		const struct entry *e = &log->entry[i];
		bool keep = prng_chance(&r->prng, percent);

		/* 0 %: only one of them; 100 %: all but one. */
		if ((percent == 0 || percent == 100) && i == single)
			keep = !keep;
		if (!is_write(e) || !keep)
			continue;
		if (!(e->flags & LOG_DISCARD) && prng_chance(&r->prng, 15))
			apply_torn(r, e);
		else
			apply(r, e, true);
	}
}

/* ---- One attach --------------------------------------------------------- */

static bool bad(struct replayer *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static bool bad(struct replayer *r, const char *format, ...)
{
	va_list args;

	if (!r->failed && r->tally->bad++ < SHOWN) {
		printf("BAD   point %llu (%s): ",
		       (unsigned long long)r->candidate, r->what);
		va_start(args, format);
		vprintf(format, args);
		va_end(args);
		printf("\n");
		fflush(stdout);
	}
	r->failed = true;
	return false;
}

static void undo_attach(struct replayer *r, const struct log *wrote)
{
	u32 i;

	for (i = 0; i < wrote->nr; i++)
		if (is_write(&wrote->entry[i]))
			put(r, wrote->entry[i].sector, wrote->entry[i].sectors);
}

static bool all_zero(const u8 *buf, u32 blocks)
{
	return !buf[0] && !memcmp(buf, buf + 1, (size_t)blocks * BLOCK - 1);
}

/* How many touched blocks follow each other from the @i-th on. */
static u32 run_length(const struct oracle *o, u32 i)
{
	u32 n = 1;

	while (n < MAX_IO && i + n < o->nr_touched &&
	       o->touched[i + n] == o->touched[i] + n)
		n++;
	return n;
}

/* Here and there among the blocks that nobody wrote. */
static bool read_untouched(struct replayer *r, int fd, u32 from, u32 to)
{
	u32 n = to - from < 16 ? to - from : 16, lba;
	u8 buf[16 * BLOCK] __attribute__((aligned(BLOCK)));
	int err;

	if (!n || !prng_chance(&r->prng, 25))
		return true;
	lba = from + prng_below(&r->prng, to - from - n + 1);
	err = read_blocks(fd, lba, buf, n);
	if (err)
		return bad(r, "reading block %u and on: %s", lba,
			   strerrorname_np(-err));
	return all_zero(buf, n) ||
	       bad(r, "blocks %u and on were never written and are not zero", lba);
}

static bool read_all(struct replayer *r, int fd, u8 *out)
{
	const struct oracle *o = r->o;
	u32 i, n, lba, after = 0;
	int err;

	for (i = 0; i < o->nr_touched; i += n) {
		lba = o->touched[i];
		if (!read_untouched(r, fd, after, lba))
			return false;
		n = run_length(o, i);
		err = read_blocks(fd, lba, out + (size_t)i * BLOCK, n);
		if (err)
			return bad(r, "reading block %u and on: %s", lba,
				   strerrorname_np(-err));
		after = lba + n;
	}
	return read_untouched(r, fd, after, o->blocks);
}

static bool same(struct replayer *r, const u8 *got, const u8 *wanted,
		 const char *when)
{
	u32 i;

	for (i = 0; i < r->o->nr_touched; i++)
		if (memcmp(got + (size_t)i * BLOCK, wanted + (size_t)i * BLOCK,
			   BLOCK))
			return bad(r, "block %u is not as it was: %s",
				   r->o->touched[i], when);
	return true;
}

static int attach_here(struct replayer *r, bool read_only)
{
	int fd = stack_attach(&r->stack, read_only);

	if (fd < 0)
		bad(r, "attach%s: %s", read_only ? " read-only" : "",
		    strerrorname_np(-fd));
	return fd;
}

static void detach_here(struct replayer *r, bool read_only)
{
	stack_detach(&r->stack, read_only);
}

/*
 * A recovered vault must also be fit for use: what it believes to be free must
 * be free.  Write here and there, read it all, once more after a re-attach.
 */
static void use(struct replayer *r, int *fd, u8 *contents)
{
	u8 *again = block_buffer(r->o->nr_touched);
	u32 n, at, writes;
	int err;

	for (writes = 0; writes < 24; writes++) {
		at = prng_below(&r->prng, r->o->nr_touched);
		n = run_length(r->o, at);
		n = 1 + prng_below(&r->prng, n < 8 ? n : 8);
		prng_fill(&r->prng, contents + (size_t)at * BLOCK, n * BLOCK);
		memcpy(again, contents + (size_t)at * BLOCK, n * BLOCK);
		err = write_blocks(*fd, r->o->touched[at], again, n);
		if (err)
			bad(r, "writing after recovery: %s", strerrorname_np(-err));
	}
	if (fsync(*fd))
		bad(r, "fsync after recovery: %s", strerror(errno));
	if (read_all(r, *fd, again))
		same(r, again, contents, "after writes that followed recovery");
	detach_here(r, false);
	*fd = attach_here(r, false);
	if (*fd >= 0 && read_all(r, *fd, again))
		same(r, again, contents, "after recovery, writes and re-attach");
	free(again);
	r->tally->used++;
}

/* A read-only attach gives the same state and writes nothing. */
static void look_only(struct replayer *r, u8 *contents)
{
	struct log wrote;
	u32 i;
	int fd = attach_here(r, true);

	if (fd >= 0) {
		read_all(r, fd, contents);
		detach_here(r, true);
	}
	stack_wrote(&r->stack, &wrote);
	for (i = 0; i < wrote.nr; i++)
		if (is_write(&wrote.entry[i]))
			bad(r, "a read-only attach wrote to sector %llu",
			    (unsigned long long)wrote.entry[i].sector);
	log_free(&wrote);
}

/* ---- One point ---------------------------------------------------------- */

static void crash_in_recovery(struct replayer *r, const struct log *wrote,
			      u32 depth);

/* @depth 0: compare with the oracle; deeper: with what the first one read. */
static void point(struct replayer *r, u32 depth)
{
	u8 *contents = r->contents[depth], *looked = r->contents[MAX_DEPTH + 1];
	bool look = !depth && !r->s->files && prng_chance(&r->prng, 5), reuse;
	struct log wrote;
	char why[256];
	int fd;

	r->failed = false;
	r->tally->points++;
	if (look)
		look_only(r, looked);
	fd = attach_here(r, false);
	reuse = fd >= 0 && !r->s->files && prng_chance(&r->prng, 12);
	if (fd >= 0 && r->s->files) {
		if (!files_judge(r->s, r->stack.leg[0].vault.path, why, sizeof(why)))
			bad(r, "%s", why);
	} else if (fd >= 0 && read_all(r, fd, contents)) {
		if (depth)
			same(r, contents, r->contents[0],
			     "after a crash within recovery");
		else if (!oracle_allows(r->o, contents, &r->promise, why,
					sizeof(why)))
			bad(r, "%s", why);
		if (look)
			same(r, looked, contents, "attached read-only");
	}
	if (reuse) {
		memcpy(looked, contents, (size_t)r->o->nr_touched * BLOCK);
		use(r, &fd, looked);
	}
	if (fd >= 0)
		detach_here(r, false);
	stack_wrote(&r->stack, &wrote);
	undo_attach(r, &wrote);
	if (!reuse && !r->failed && depth < MAX_DEPTH &&
	    prng_chance(&r->prng, depth ? 30 : 8))
		crash_in_recovery(r, &wrote, depth + 1);
	log_free(&wrote);
}

/* The power fails at entry @cut of what a recovery wrote. */
static const char *cut_recovery(struct replayer *r, const struct log *wrote,
				u32 cut)
{
	const struct entry *e = &wrote->entry[cut];
	u32 dice = prng_below(&r->prng, 100), i;

	for (i = 0; i < cut; i++)
		apply(r, &wrote->entry[i], true);
	if (!is_write(e) || e->flags & LOG_DISCARD || dice < 40)
		return "";
	if (dice < 70 || !is_plain(e)) {
		apply_torn(r, e);
		return " torn";
	}
	apply_some(r, wrote, cut, end_of_group(wrote, cut),
		   25 * prng_below(&r->prng, 5));
	return " and a subset of what followed";
}

static void crash_in_recovery(struct replayer *r, const struct log *wrote,
			      u32 depth)
{
	u32 tries = 3, mark = r->nr_undo, cut;
	size_t length = strlen(r->what);
	const char *how;

	while (tries--) {
		cut = prng_below(&r->prng, wrote->nr);
		how = cut_recovery(r, wrote, cut);
		snprintf(r->what + length, sizeof(r->what) - length,
			 ", recovery %u cut at its entry %u%s", depth, cut, how);
		r->tally->second++;
		point(r, depth);
		roll_back(r, mark);
	}
	r->what[length] = 0;
}

static bool out_of_time(const struct replayer *r)
{
	return r->s->seconds && now() - r->start > r->s->seconds;
}

/* Somebody may be watching. */
static void show_progress(struct replayer *r)
{
	if (now() - r->shown < 30)
		return;
	r->shown = now();
	printf("crash: %llu points so far, %llu bad, at candidate %llu of %llu\n",
	       (unsigned long long)r->tally->points,
	       (unsigned long long)r->tally->bad,
	       (unsigned long long)r->candidate,
	       (unsigned long long)r->candidates);
}

/* Shall this candidate be tried?  The choice depends on its number alone. */
static bool chosen(struct replayer *r)
{
	const struct setup *s = r->s;

	r->candidate++;
	show_progress(r);
	prng_seed(&r->prng, s->seed ^ r->candidate << 24);
	if (s->only >= 0)
		return (u64)s->only == r->candidate;
	if (out_of_time(r))
		return false;
	return !s->points || prng_below(&r->prng, r->candidates) < s->points;
}

static void try_prefix(struct replayer *r, u32 at)
{
	if (!chosen(r))
		return;
	snprintf(r->what, sizeof(r->what), "after entry %u of %u", at,
		 r->log->nr);
	r->tally->prefixes++;
	point(r, 0);
}

static void try_torn(struct replayer *r, u32 at)
{
	u32 mark = r->nr_undo;

	if (!chosen(r))
		return;
	snprintf(r->what, sizeof(r->what), "FUA entry %u torn", at);
	apply_torn(r, &r->log->entry[at]);
	r->tally->torn++;
	point(r, 0);
	roll_back(r, mark);
}

static void try_subset(struct replayer *r, u32 from, u32 to)
{
	u32 mark = r->nr_undo, percent;

	if (!chosen(r))
		return;
	percent = 25 * prng_below(&r->prng, 5);
	snprintf(r->what, sizeof(r->what),
		 "%u%% of the unflushed entries %u to %u", percent, from, to);
	apply_some(r, r->log, from, to, percent);
	r->tally->subsets++;
	point(r, 0);
	roll_back(r, mark);
}

/* ---- The walk ----------------------------------------------------------- */

static void note_mark(struct replayer *r, const struct entry *e)
{
	char text[64] = "";
	unsigned long long time;
	u32 op, count;

	memcpy(text, e->data, sizeof(text) - 1);
	if (r->s->files)
		files_mark(text);
	if (sscanf(text, "F:%llu", &time) == 1) {
		if (time > r->promise.time)
			r->promise.time = time;
		return;
	}
	if (sscanf(text, "W:%u:%u", &op, &count) != 2)
		return;
	/* All that ended before a promised write began came before it. */
	if (r->o->op[op].issued > r->promise.time)
		r->promise.time = r->o->op[op].issued;
	for (; count--; op++) {
		u32 *kept = &r->promise.kept[r->o->op[op].lba];

		if (!*kept || r->o->op[*kept - 1].ended < r->o->op[op].issued)
			*kept = op + 1;
	}
}

static void count_candidates(struct replayer *r)
{
	u32 group = 0, i;

	for (i = 0; i < r->log->nr; i++) {
		const struct entry *e = &r->log->entry[i];

		if (!is_write(e))
			continue;
		r->candidates++;
		if (e->flags & LOG_FUA)
			r->candidates += r->s->subsets;
		if (is_plain(e) && i >= group) {
			r->candidates += 2 * r->s->subsets;
			group = end_of_group(r->log, i);
		}
	}
}

static void walk(struct replayer *r)
{
	u32 group = 0, i, n;

	for (i = 0; i < r->log->nr; i++) {
		const struct entry *e = &r->log->entry[i];

		if (e->flags & LOG_MARK)
			note_mark(r, e);
		if (!is_write(e))
			continue;
		if (is_plain(e) && i >= group) {
			group = end_of_group(r->log, i);
			for (n = 0; n < 2 * r->s->subsets; n++)
				try_subset(r, i, group);
		}
		if (e->flags & LOG_FUA)
			for (n = 0; n < r->s->subsets; n++)
				try_torn(r, i);
		apply(r, e, false);
		try_prefix(r, i);
	}
}

static void prepare(struct replayer *r)
{
	const u64 data = r->s->geo.data_blocks;
	const u64 blocks = data + QVAULT_ANCHOR_BLOCKS;
	u64 i;

	r->sectors = blocks * QVAULT_SECTORS;
	r->state = block_buffer(blocks);
	vault_format(&r->s->params, r->state + data * BLOCK);
	r->promise.kept = calloc(r->o->blocks, sizeof(*r->promise.kept));
	for (i = 0; i < MAX_DEPTH + 2; i++)
		r->contents[i] = block_buffer(r->o->nr_touched);
	r->fd = open_direct(r->s->replay_base, O_RDWR);
	if (r->fd < 0)
		die("%s: %s", r->s->replay_base, strerrorname_np(-r->fd));
	for (i = 0; i < blocks; i++)
		put(r, i * QVAULT_SECTORS, QVAULT_SECTORS);
	stack_make(&r->stack, r->s, r->sectors);
}

void replay(struct setup *s, struct oracle *o, struct log *log,
	    struct tally *tally)
{
	struct replayer r = {
		.s = s, .o = o, .log = log, .tally = tally, .start = now(),
		.shown = now(),
	};
	u32 i;

	prepare(&r);
	if (s->files)
		files_start();
	count_candidates(&r);
	walk(&r);
	for (i = 0; i < sizeof(r.masks); i++)
		tally->masks += r.masks[i];
	stack_remove(&r.stack);
	close(r.fd);
	free(r.state);
	free(r.undo);
	free(r.promise.kept);
	for (i = 0; i < MAX_DEPTH + 2; i++)
		free(r.contents[i]);
}
