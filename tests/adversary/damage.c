// SPDX-License-Identifier: GPL-2.0
/*
 * Every kind of block is damaged, in one copy and in both, and for each kind a table
 * says what must come of it: nothing, a healed node, EILSEQ for what is below it and
 * for nothing else, or an attach that is refused, with errno and reason.
 *
 * Each is looked at in two lives: attach, read all, write beside the damage, commit,
 * checkpoint, read all, detach.  In a third one it is repaired: what was below it is
 * given up and not zeros, and all else is there; in a fourth it can be written and
 * discarded, and there is nothing bad left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "adversary.h"

/* ---- What must come of it ---- */

enum must {
	NOTHING,	/* all is right, and nobody notices */
	HEALED,		/* all is right, and a checkpoint writes it anew, once */
	BELOW,		/* what is below it is EILSEQ, and nothing else */
	FULL,		/* all is right, and its group takes no more blocks */
	REFUSE,		/* the attach */
};

static const char *const must_name[] = {
	[NOTHING] = "nothing comes of it", [HEALED] = "healed",
	[BELOW] = "EILSEQ for what is below it and nothing else, which a repair gives up",
	[FULL] = "its group is full, all is right",
	[REFUSE] = "the attach is refused",
};

/* Which blocks; of what stands twice the first copy, the second, or both. */
enum place {
	DATA, FREE, LEAF, OTHER_SLOT, LEVEL1,
	ROOT, ROOT2, ROOT_BOTH, MAP, MAP_ROOT, MAP_ROOT2, MAP_ROOT_BOTH,
	LOG, NO_LOG, LABEL, CLAIM, SLOT0, SLOT1, SLOT_BOTH, NR_PLACES,
};

static const char changed[] = "the data device is not the one of this anchor, or was changed";
static const char damaged[] = "the anchor is damaged, although the key is its own";

static const struct row {
	const char *name;
	enum must must;
	int err;
	const char *reason;
} rows[NR_PLACES] = {
	[DATA] = { "a data block", BELOW, 0, NULL },
	[FREE] = { "a data block that is free", NOTHING, 0, NULL },
	[LEAF] = { "a leaf", BELOW, 0, NULL },
	[OTHER_SLOT] = { "the slot of a leaf that is not in use", NOTHING, 0, NULL },
	[LEVEL1] = { "a node of level 1", BELOW, 0, NULL },
	[ROOT] = { "the tree's root, first copy", HEALED, 0, NULL },
	[ROOT2] = { "the tree's root, second copy", NOTHING, 0, NULL },
	[ROOT_BOTH] = { "the tree's root, both", REFUSE, EILSEQ, changed },
	[MAP] = { "a map block", FULL, 0, NULL },
	[MAP_ROOT] = { "the map's root, first copy", HEALED, 0, NULL },
	[MAP_ROOT2] = { "the map's root, second copy", NOTHING, 0, NULL },
	[MAP_ROOT_BOTH] = { "the map's root, both", REFUSE, EILSEQ, changed },
	[LOG] = { "a log block, after a crash", REFUSE, EILSEQ, changed },
	[NO_LOG] = { "a log block that no record names", NOTHING, 0, NULL },
	[LABEL] = { "the label", NOTHING, 0, NULL },
	[CLAIM] = { "the claim", NOTHING, 0, NULL },
	[SLOT0] = { "slot 0 of the anchor, after a detach", NOTHING, 0, NULL },
	[SLOT1] = { "slot 1 of the anchor, after a detach", NOTHING, 0, NULL },
	[SLOT_BOTH] = { "both slots", REFUSE, EKEYREJECTED, damaged },
};

static struct verdict by_row[NR_PLACES];

/* ---- Where ---- */

/* What is damaged, and what it covers. */
struct target {
	bool anchor;			/* blocks of that device */
	u64 block[2];
	u32 nr;
	u64 first, count;		/* logical blocks below it */
};

static bool is_root(const struct snapshot *s, const struct vault_item *item)
{
	return !item->id && item->level &&
	       item->level == (item->kind == QVAULT_KIND_MAP ?
			       vault_slot(s->anchor, 1)->map_level :
			       vault_slot(s->anchor, 1)->tree_level);
}

static bool of_kind(const struct snapshot *s, enum place place,
		    const struct vault_item *item)
{
	const bool root = is_root(s, item);

	switch (place) {
	case DATA:
	case LABEL:
	case CLAIM:
	case SLOT0:
	case SLOT1:
	case SLOT_BOTH:
	case FREE:
		return item->kind == QVAULT_KIND_DATA;
	case LEAF:
	case OTHER_SLOT:
		return item->kind == QVAULT_KIND_NODE && !item->level;
	case LEVEL1:
		return item->kind == QVAULT_KIND_NODE && item->level == 1;
	case ROOT:
	case ROOT_BOTH:
		return item->kind == QVAULT_KIND_NODE && root && !item->copy;
	case ROOT2:
		return item->kind == QVAULT_KIND_NODE && root && item->copy;
	case MAP:
		return item->kind == QVAULT_KIND_MAP && !item->level;
	case MAP_ROOT:
	case MAP_ROOT_BOTH:
		return item->kind == QVAULT_KIND_MAP && root && !item->copy;
	case MAP_ROOT2:
		return item->kind == QVAULT_KIND_MAP && root && item->copy;
	case LOG:
	case NO_LOG:
		return item->kind == QVAULT_KIND_LOG;
	default:
		return false;
	}
}

static bool in_use(const struct snapshot *s, u64 block)
{
	u32 i;

	for (i = 0; i < s->walk.nr; i++)
		if (s->walk.item[i].block == block)
			return true;
	return false;
}

static u64 free_block(const struct attacker *a, const struct vault_item *item)
{
	u64 block = item->block;

	while (in_use(a->scene, block))
		block++;
	return block;
}

static u64 other_slot_of(const struct attacker *a, const struct vault_item *item)
{
	return qvault_node_block(&a->w->geo, item->kind, item->level, item->id,
				 !(le(item->ptr.where) & 1), item->copy);
}

static u64 second_copy_of(const struct attacker *a, const struct vault_item *item)
{
	return qvault_node_block(&a->w->geo, item->kind, item->level, item->id,
				 le(item->ptr.where) & 1, 1);
}

/* The log behind its head. */
static u64 unnamed_log(const struct attacker *a)
{
	const struct qvault_disk_anchor *record = vault_newest(&a->w->keys,
							       a->scene->anchor);

	return qvault_log_block(&a->w->geo, le(record->log_head) + 1);
}

static struct target aim(const struct attacker *a, enum place place,
			 const struct vault_item *item)
{
	struct target t = { .block = { item->block }, .nr = 1 };

	t.anchor = place >= CLAIM;
	switch (place) {
	case DATA:
		t.first = item->id;
		t.count = 1;
		break;
	case LEAF:
	case LEVEL1:
		t.first = item->id << 7 * (item->level + 1);
		t.count = 1ull << 7 * (item->level + 1);
		break;
	case FREE: t.block[0] = free_block(a, item); break;
	case OTHER_SLOT: t.block[0] = other_slot_of(a, item); break;
	case NO_LOG: t.block[0] = unnamed_log(a); break;
	case ROOT_BOTH:
	case MAP_ROOT_BOTH:
		t.block[t.nr++] = second_copy_of(a, item);
		break;
	case LABEL:
	case CLAIM: t.block[0] = 0; break;
	case SLOT0:
	case SLOT1: t.block[0] = QVAULT_SLOT_BLOCK(place - SLOT0); break;
	case SLOT_BOTH:
		t.block[0] = QVAULT_SLOT_BLOCK(0);
		t.block[t.nr++] = QVAULT_SLOT_BLOCK(1);
		break;
	default: break;
	}
	return t;
}

/* ---- How ---- */

enum injury { A_BIT, NOISE, ZEROS, THE_PAST, NR_INJURIES };

static const char *const injury_name[] = {
	[A_BIT] = "a bit", [NOISE] = "noise", [ZEROS] = "zeros",
	[THE_PAST] = "what stood there before",
};

/* False if that changes nothing. */
static bool injure(struct attacker *a, const struct target *t, u32 i,
		   enum injury injury, const struct snapshot *past)
{
	struct world *w = a->w;
	const u8 *now = (t->anchor ? a->scene->anchor : a->scene->data) +
			t->block[i] * BLOCK;

	memcpy(a->buf, now, BLOCK);
	switch (injury) {
	/* Not where a record says of which format and volume it is. */
	case A_BIT: a->buf[1024 + prng_below(&w->prng, BLOCK - 1024)] ^= 8; break;
	case NOISE: prng_fill(&w->prng, a->buf, BLOCK); break;
	case ZEROS: memset(a->buf, 0, BLOCK); break;
	case THE_PAST:
		memcpy(a->buf, past->data + t->block[i] * BLOCK, BLOCK);
		break;
	default: break;
	}
	if (!memcmp(a->buf, now, BLOCK))
		return false;
	if (write_blocks(t->anchor ? w->anchor_fd : w->data_fd, t->block[i], a->buf, 1))
		die("damage: %s", strerror(errno));
	return true;
}

/* ---- What came of it ---- */

static bool below(const struct target *t, u64 lba)
{
	return lba >= t->first && lba < t->first + t->count;
}

/* Each block by itself, so that it is known which. */
static bool reads_as_told(struct attacker *a, int fd, const struct target *t,
			  const u8 *logical, const char *when)
{
	const struct world *w = a->w;
	u32 i;

	for (i = 0; i < w->nr_lba; i++) {
		u64 lba = w->lba[i];
		int err = read_blocks(fd, lba, a->buf, 1);
		int must = below(t, lba) ? -EILSEQ : 0;

		if (err != must) {
			complain("block %llu %s: %s", (unsigned long long)lba, when,
				 err ? strerrorname_np(-err) : "is read");
			return false;
		}
		if (!err && memcmp(a->buf, logical + lba * BLOCK, BLOCK)) {
			complain("block %llu %s reads back wrong",
				 (unsigned long long)lba, when);
			return false;
		}
	}
	return true;
}

/* The first and the last block that are not below it, which are of different groups. */
static bool write_beside(struct attacker *a, int fd, const struct target *t, u8 *logical)
{
	struct world *w = a->w;
	u32 i, first = 0, last = w->nr_lba - 1;

	while (below(t, w->lba[first]))
		first++;
	while (below(t, w->lba[last]))
		last--;
	for (i = 0; i < 2; i++) {
		u64 lba = w->lba[i ? last : first];

		prng_fill(&w->prng, a->buf, BLOCK);
		memcpy(logical + lba * BLOCK, a->buf, BLOCK);
		if (write_blocks(fd, lba, a->buf, 1)) {
			complain("a write beside it fails");
			return false;
		}
	}
	if (!fsync(fd) && !dm_message(&w->vault, "checkpoint"))
		return true;
	complain("it does not go on");
	return false;
}

/* Fields of the status, from 1 on. */
#define CORRUPTIONS	15
#define LEAKED		17
#define HEALED_NODES	19

static u64 field(struct world *w, u32 number)
{
	char text[512], *word = text;

	if (dm_status(&w->vault, false, text, sizeof(text)))
		die("status");
	while (--number)
		word = strchr(word, ' ') ? strchr(word, ' ') + 1 :
		       (die("the status has no such field"), word);
	return strtoull(word, NULL, 10);
}

static bool counted(struct world *w, enum must must, bool first)
{
	const u64 corrupt = field(w, CORRUPTIONS), leaked = field(w, LEAKED);
	const u64 healed = field(w, HEALED_NODES);
	bool ok = true;

	if (must == HEALED)
		ok = !corrupt && !leaked && healed == first;
	else if (must == NOTHING)
		ok = !corrupt && !leaked && !healed;
	else if (must == BELOW)
		ok = corrupt && !healed;
	else
		ok = leaked && !healed && (!first || corrupt);
	if (!ok)
		complain("life %d: %llu corruptions, %llu leaked, %llu healed", 2 - first,
			 (unsigned long long)corrupt, (unsigned long long)leaked,
			 (unsigned long long)healed);
	return ok;
}

static bool live(struct attacker *a, const struct target *t, enum must must,
		 u8 *logical, bool first)
{
	struct world *w = a->w;
	int fd = world_attach(w, false);
	bool ok;

	if (fd < 0) {
		complain("life %d: attach: %s", 2 - first, strerrorname_np(-fd));
		return false;
	}
	ok = reads_as_told(a, fd, t, logical, "at first") &&
	     write_beside(a, fd, t, logical) &&
	     reads_as_told(a, fd, t, logical, "after a checkpoint") &&
	     counted(w, must, first);
	world_detach(w, fd);
	return ok;
}

/* ---- Repair ---- */

/* To its end; how many blocks it could not read, and how many were lost before. */
static bool pass(struct world *w, const char *kind, u64 *bad, u64 *lost)
{
	char answer[256], outcome[16], now[16];
	u32 tries;

	if (dm_message(&w->vault, "walk %s", kind))
		return complain("%s does not begin", kind), false;
	for (tries = 0; tries < 6000; tries++) {
		if (dm_ask(&w->vault, answer, sizeof(answer), "walk status") ||
		    sscanf(answer, "%15s %*s %*u %*u %*u %*u %llu %*u %15s %llu",
			   now, bad, outcome, lost) != 4)
			die("walk status");
		if (!strcmp(now, "none"))
			break;
		usleep(10000);
	}
	if (!strcmp(outcome, "complete"))
		return true;
	complain("%s: %s", kind, answer);
	return false;
}

static u64 blocks_below(const struct world *w, const struct target *t)
{
	u64 end = t->first + t->count;

	return (end < w->geo.logical_blocks ? end : w->geo.logical_blocks) - t->first;
}

/* What is below it is given up, and nothing else. */
static bool repaired(struct attacker *a, const struct target *t, const u8 *logical)
{
	struct world *w = a->w;
	int fd = world_attach(w, false);
	u64 bad, lost;
	bool ok;

	if (fd < 0) {
		complain("attach to repair: %s", strerrorname_np(-fd));
		return false;
	}
	ok = pass(w, "repair", &bad, &lost) &&
	     reads_as_told(a, fd, t, logical, "after a repair");
	if (ok && bad != blocks_below(w, t)) {
		complain("%llu blocks are given up", (unsigned long long)bad);
		ok = false;
	}
	world_detach(w, fd);
	return ok;
}

/* One block of it is written, and then all of it discarded. */
static bool whole(struct attacker *a, int fd, const struct target *t, u8 *logical)
{
	struct world *w = a->w;
	u64 range[2] = { t->first * BLOCK, blocks_below(w, t) * BLOCK }, bad, lost;
	const struct target none = {};

	if (!pass(w, "scrub", &bad, &lost))
		return false;
	if (bad || lost != blocks_below(w, t) || field(w, CORRUPTIONS))
		return complain("after a repair %llu are bad, %llu lost", (unsigned long long)bad,
				(unsigned long long)lost), false;
	if (!lost)
		return reads_as_told(a, fd, &none, logical, "in the end");
	prng_fill(&w->prng, a->buf, BLOCK);
	memcpy(logical + t->first * BLOCK, a->buf, BLOCK);
	if (write_blocks(fd, t->first, a->buf, 1) || fsync(fd) ||
	    read_blocks(fd, t->first, a->buf, 1) ||
	    memcmp(a->buf, logical + t->first * BLOCK, BLOCK))
		return complain("what was given up cannot be written"), false;
	if (ioctl(fd, BLKDISCARD, range))
		return complain("nor discarded"), false;
	memset(logical + range[0], 0, range[1]);
	return reads_as_told(a, fd, &none, logical, "in the end") &&
	       pass(w, "scrub", &bad, &lost) && !bad && !lost;
}

static bool mended(struct attacker *a, const struct target *t, u8 *logical)
{
	bool ok;
	int fd;

	if (!repaired(a, t, logical))
		return false;
	fd = world_attach(a->w, false);
	if (fd < 0) {
		complain("attach after a repair: %s", strerrorname_np(-fd));
		return false;
	}
	ok = reads_as_told(a, fd, t, logical, "in the life after a repair") &&
	     whole(a, fd, t, logical);
	world_detach(a->w, fd);
	return ok;
}

/* ---- The kernel's log ---- */

static int kmsg = -1;

static void log_mark(void)
{
	if (kmsg < 0)
		kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0 || lseek(kmsg, 0, SEEK_END) < 0)
		die("/dev/kmsg: %s", strerror(errno));
}

static bool log_says(const char *what)
{
	char line[2048];
	ssize_t n;

	while ((n = read(kmsg, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		if (strstr(line, what))
			return true;
	}
	return false;
}

static bool refused(struct world *w, const struct row *row)
{
	int fd;

	log_mark();
	fd = world_attach(w, false);
	if (fd >= 0)
		world_detach(w, fd);
	if (fd != -row->err)
		complain("attach: %s", fd < 0 ? strerrorname_np(-fd) : "succeeds");
	else if (!log_says(row->reason))
		complain("the log does not say: %s", row->reason);
	else
		return true;
	return false;
}

/* ---- One after the other ---- */

/* Also blocks of which the scene says nothing, for there they were zeros. */
static void mend(struct attacker *a, const struct target *t)
{
	u32 i;

	for (i = 0; i < t->nr && !t->anchor; i++) {
		memcpy(a->buf, a->scene->data + t->block[i] * BLOCK, BLOCK);
		if (write_blocks(a->w->data_fd, t->block[i], a->buf, 1))
			die("damage: %s", strerror(errno));
	}
	put_back(a->w, a->scene);
}

static void strike(struct attacker *a, enum place place, const struct vault_item *item,
		   enum injury injury)
{
	const struct row *row = &rows[place];
	const struct target t = aim(a, place, item);
	enum outcome outcome = row->must == BELOW || row->must == REFUSE ? REFUSED : HARMLESS;
	const struct snapshot *past = &a->w->snap[prng_below(&a->w->prng, a->w->nr_snaps)];
	bool changed = true, ok;
	u8 *logical;
	u32 i;

	snprintf(attack_name, sizeof(attack_name), "damage of %s, %u/%llu: %s", row->name,
		 item->level, (unsigned long long)item->id, injury_name[injury]);
	for (i = 0; i < t.nr; i++)
		changed &= injure(a, &t, i, injury, past);
	/* In the past it was the same, or one of both copies was. */
	if (!changed) {
		mend(a, &t);
		return;
	}
	if (row->must == REFUSE) {
		ok = refused(a->w, row);
	} else {
		logical = calloc(a->w->geo.logical_blocks, BLOCK);
		if (!logical)
			die("out of memory");
		for (i = 0; i < a->w->nr_lba; i++)
			memcpy(logical + (u64)a->w->lba[i] * BLOCK,
			       a->scene->logical + (u64)a->w->lba[i] * BLOCK, BLOCK);
		ok = live(a, &t, row->must, logical, true) &&
		     live(a, &t, row->must, logical, false) &&
		     mended(a, &t, logical);
		free(logical);
	}
	attack_count(a, ok ? outcome : WRONG);
	by_row[place].attacks++;
	by_row[place].bad += !ok;
	mend(a, &t);
}

static bool suits(enum place place, enum injury injury)
{
	/* Noise and zeros in both are no anchor at all: see broken_anchors(). */
	if (place == SLOT_BOTH)
		return injury == A_BIT;
	return place < CLAIM || injury != THE_PAST;
}

static void damage(struct attacker *a, enum place place, u32 most)
{
	const struct vault_walk *walk = &a->scene->walk;
	const struct vault_item *item;
	u32 i, tries = 0, injury;

	for (i = 0; i < most && tries < 20000; tries++) {
		item = &walk->item[prng_below(&a->w->prng, walk->nr)];
		if (!of_kind(a->scene, place, item))
			continue;
		for (injury = 0; injury < NR_INJURIES; injury++)
			if (suits(place, injury))
				strike(a, place, item, injury);
		i++;
	}
}

bool damage_complete(void)
{
	bool complete = true;
	u32 i;

	for (i = 0; i < NR_PLACES; i++) {
		printf("adversary: damage of %s: %llu attacks, %llu not as told: %s%s%s\n",
		       rows[i].name, (unsigned long long)by_row[i].attacks,
		       (unsigned long long)by_row[i].bad, must_name[rows[i].must],
		       rows[i].reason ? ": " : "", rows[i].reason ? rows[i].reason : "");
		complete &= by_row[i].attacks > 0;
	}
	if (!complete)
		printf("BAD   a kind of block was never damaged\n");
	return complete;
}

/* The log is full of what counts only after a crash. */
void attack_damage(struct world *w, u32 most, struct verdict *v)
{
	struct attacker a;
	u32 crashed, place;

	for (crashed = 0; crashed < 2; crashed++) {
		attack_begin(&a, w, &w->snap[crashed ? w->crashed : w->clean], "damage", v);
		a.forgery = DAMAGE;
		for (place = 0; place < NR_PLACES; place++)
			if (crashed == (place == LOG || place == NO_LOG))
				damage(&a, place, most);
		attack_end(&a);
	}
}
