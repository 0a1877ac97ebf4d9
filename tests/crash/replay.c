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
/*
 * Candidates that are tried of a change, which is more than it has by itself.  What
 * others write meanwhile is much more; of that all records are tried.
 */
#define WINDOW		100

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
	struct ways ways;	/* that may open the vault at this point */
	struct way way;		/* that does */
	u32 next_key;		/* to which it was changed last */
	const struct held *held;	/* a moment that stays at this point, or NULL */
	u32 window;		/* so many candidates are tried, whatever the dice say */
	struct prng prng;

	int fd;
	u8 *state;
	u64 sectors;
	struct undo *undo;
	u32 nr_undo, room_undo;

	/* What was read, by depth: the blocks that the workload touched. */
	u8 *contents[MAX_DEPTH + 3];
	struct stack stack;
	u8 *first_copy;		/* what a copy of that moment was read as, or NULL */
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

/* Of the vault as it is opened now. */
static u32 blocks_here(const struct replayer *r)
{
	return r->s->size[r->way.size].logical_blocks;
}

/* How many touched blocks of the vault follow each other from the @i-th on. */
static u32 run_length(const struct replayer *r, u32 i)
{
	const struct oracle *o = r->o;
	u32 n = 1;

	while (n < MAX_IO && i + n < o->nr_touched &&
	       o->touched[i + n] == o->touched[i] + n &&
	       o->touched[i + n] != blocks_here(r))
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
		/* What the vault has not grown to was never written. */
		if (lba >= blocks_here(r)) {
			memset(out + (size_t)i * BLOCK, 0,
			       (size_t)(o->nr_touched - i) * BLOCK);
			break;
		}
		if (!read_untouched(r, fd, after, lba))
			return false;
		n = run_length(r, i);
		err = read_blocks(fd, lba, out + (size_t)i * BLOCK, n);
		if (err)
			return bad(r, "reading block %u and on: %s", lba,
				   strerrorname_np(-err));
		after = lba + n;
	}
	return read_untouched(r, fd, after, blocks_here(r));
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
	int fd = stack_attach(&r->stack, &r->way, read_only);

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
		if (r->o->touched[at] >= blocks_here(r))
			continue;
		n = run_length(r, at);
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

/* ---- Which key, which size ---------------------------------------------- */

static bool has(u32 set, u32 number)
{
	return set >> number & 1;
}

/*
 * With this key, and the largest table that it takes: 1, and r->way says which; 0 if
 * it is not the key; or negative if that is bad.
 */
static int try_key(struct replayer *r, u32 key, u8 *contents)
{
	u32 size = r->s->sizes;
	int fd = -EMSGSIZE;

	while (fd == -EMSGSIZE && size--) {
		r->way = (struct way){ key, size };
		fd = stack_attach(&r->stack, &r->way, true);
		if (fd == -EMSGSIZE && !has(r->ways.sizes, size))
			r->tally->refused++;
	}
	if (fd == -EKEYREJECTED)
		return 0;
	if (fd < 0) {
		bad(r, "attach with key %u: %s", key, strerrorname_np(-fd));
		return -1;
	}
	if (!has(r->ways.sizes, size))
		bad(r, "it has size %u, of %x that it may have", size, r->ways.sizes);
	else if (!has(r->ways.keys, key))
		bad(r, "key %u opens it, of %x that may", key, r->ways.keys);
	else if (read_all(r, fd, contents))
		fd = 0;
	detach_here(r, true);
	return fd ? -1 : 1;
}

static void count_way(struct replayer *r, u32 opens)
{
	u32 before = r->s->sizes;

	if (opens != 3 && ways_changing(&(struct ways){ r->ways.keys, 0 }))
		/* The new one is the one that was marked last. */
		r->tally->by_key[has(opens, r->next_key) ? 2 : 0]++;
	else if (opens == 3)
		r->tally->by_key[1]++;
	else if (ways_changing(&r->ways)) {
		while (before && !has(r->ways.sizes, before - 1))
			before--;
		r->tally->by_size[r->way.size == before - 1]++;
	}
}

/*
 * One key at least opens it, and if both do they show the same.  Leaves in r->way
 * how it is to be opened.
 */
static bool find_way(struct replayer *r, u32 *opens)
{
	u8 *contents[KEYS] = { r->contents[MAX_DEPTH + 1], r->contents[MAX_DEPTH + 2] };
	struct way way[KEYS];
	u32 key;
	int found;

	*opens = 0;
	for (key = 0; key < KEYS; key++) {
		found = try_key(r, key, contents[key]);
		if (found < 0)
			return false;
		way[key] = r->way;
		if (found)
			*opens |= 1u << key;
		else if (!has(r->ways.keys, key))
			r->tally->refused++;
	}
	if (!*opens)
		return bad(r, "no key opens it, of %x that may", r->ways.keys);
	if (*opens == 3 && !same(r, contents[0], contents[1], "with the other key"))
		return false;
	key = *opens == 3 ? prng_below(&r->prng, KEYS) : *opens >> 1;
	r->way = way[key];
	count_way(r, *opens);
	return true;
}

/* Who has attached for writing has settled it. */
static void other_key_is_gone(struct replayer *r)
{
	struct way way = { !r->way.key, r->way.size };
	int fd = stack_attach(&r->stack, &way, true);

	if (fd == -EKEYREJECTED) {
		r->tally->refused++;
		return;
	}
	bad(r, "key %u after an attach with the other: %s", way.key,
	    fd < 0 ? strerrorname_np(-fd) : "opens it");
	if (fd >= 0)
		detach_here(r, true);
}

/* ---- A copy of the data device, with the record that was held ----------- */

static void put_anchor(struct replayer *r, const struct held *h)
{
	u8 *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);

	memset(anchor, 0, QVAULT_ANCHOR_BLOCKS * BLOCK);
	memcpy(vault_slot(anchor, le(h->record.sequence) & 1), &h->record, BLOCK);
	if (write_blocks(r->fd, r->s->geo.data_blocks, anchor, QVAULT_ANCHOR_BLOCKS))
		die("replay device: %s", strerror(errno));
	free(anchor);
}

/* The first copy is compared with the oracle, all others with it. */
static void look_at_copy(struct replayer *r)
{
	struct promise promise = { r->held->time, calloc(r->o->blocks, sizeof(u32)) };
	u8 *contents = r->contents[MAX_DEPTH + 1];
	struct way way = r->way;
	char why[256];
	int fd;

	if (!promise.kept)
		die("out of memory");
	put_anchor(r, r->held);
	r->way = (struct way){ r->held->key, r->held->size };
	fd = attach_here(r, true);
	if (fd >= 0 && read_all(r, fd, contents)) {
		if (r->first_copy)
			same(r, contents, r->first_copy, "in another copy of one moment");
		else if (!oracle_allows(r->o, contents, &promise, why, sizeof(why)))
			bad(r, "a copy: %s", why);
	}
	if (fd >= 0)
		detach_here(r, true);
	if (!r->failed && !r->first_copy) {
		r->first_copy = block_buffer(r->o->nr_touched);
		memcpy(r->first_copy, contents, (size_t)r->o->nr_touched * BLOCK);
	}
	put(r, r->s->geo.data_blocks * QVAULT_SECTORS,
	    QVAULT_ANCHOR_BLOCKS * QVAULT_SECTORS);
	r->way = way;
	r->tally->copies++;
	free(promise.kept);
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
	u32 opens = 0;
	int fd = -1;

	r->failed = false;
	r->tally->points++;
	if (r->held && !depth)
		look_at_copy(r);
	if (!r->s->grow || find_way(r, &opens)) {
		if (look)
			look_only(r, looked);
		fd = attach_here(r, false);
	}
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
	if (fd >= 0 && opens == 3)
		other_key_is_gone(r);
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

/* Shall this candidate be tried?  Its number and what the vault is told decide. */
static bool chosen(struct replayer *r, bool to_anchor)
{
	const struct setup *s = r->s;

	r->candidate++;
	show_progress(r);
	prng_seed(&r->prng, s->seed ^ r->candidate << 24);
	if (s->only >= 0)
		return (u64)s->only == r->candidate;
	if (out_of_time(r))
		return false;
	if (r->window && r->window--)
		return true;
	if (ways_changing(&r->ways) && (to_anchor || prng_chance(&r->prng, 5)))
		return true;
	if (r->held && prng_chance(&r->prng, 30))
		return true;
	return !s->points || prng_below(&r->prng, r->candidates) < s->points;
}

static bool is_record(const struct replayer *r, const struct entry *e)
{
	return e->sector >= r->s->geo.data_blocks * QVAULT_SECTORS;
}

static void try_prefix(struct replayer *r, u32 at)
{
	if (!chosen(r, is_record(r, &r->log->entry[at])))
		return;
	snprintf(r->what, sizeof(r->what), "after entry %u of %u", at,
		 r->log->nr);
	r->tally->prefixes++;
	point(r, 0);
}

static void try_torn(struct replayer *r, u32 at)
{
	u32 mark = r->nr_undo;

	if (!chosen(r, is_record(r, &r->log->entry[at])))
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

	if (!chosen(r, false))
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

static bool note_held(struct replayer *r, const char *text)
{
	char kind;
	u32 number;

	if (sscanf(text, "%c:%u", &kind, &number) != 2 || (kind != 'h' && kind != 'H'))
		return false;
	r->held = kind == 'h' && r->o->held[number].kept ? &r->o->held[number] : NULL;
	free(r->first_copy);
	r->first_copy = NULL;
	return true;
}

static void note_mark(struct replayer *r, const struct entry *e)
{
	char text[64] = "";
	unsigned long long time;
	u32 op, count;

	memcpy(text, e->data, sizeof(text) - 1);
	if (r->s->files)
		files_mark(text);
	if (ways_note(&r->ways, text)) {
		if (*text == 'k')
			r->next_key = text[2] - '0';
		r->window = !ways_changing(&r->ways) ? 0 :
			r->s->points && r->s->points < WINDOW ? r->s->points : WINDOW;
		return;
	}
	if (note_held(r, text))
		return;
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
	for (i = 0; i < MAX_DEPTH + 3; i++)
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
	ways_begin(&r.ways);
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
	for (i = 0; i < MAX_DEPTH + 3; i++)
		free(r.contents[i]);
}
