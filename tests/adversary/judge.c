// SPDX-License-Identifier: GPL-2.0
/*
 * Attach, read, compare.  A read may fail with EILSEQ or give what was written
 * last; anything else is a broken guarantee, an error of another kind too: it
 * would tell the user that the disk is broken, or nothing at all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adversary.h"

#define SHOWN	20

char attack_name[160];

void complain(const char *format, ...)
{
	static u32 shown;
	va_list args;

	if (shown++ >= SHOWN)
		return;
	printf("BAD   %s: ", attack_name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

int judge_also[8];

static bool refusal(int err)
{
	u32 i;

	for (i = 0; i < 8; i++)
		if (judge_also[i] && err == -judge_also[i])
			return true;
	return err == -EILSEQ;
}

enum outcome judge_error(int err, const char *what)
{
	if (refusal(err))
		return REFUSED;
	complain("%s gives %s", what, strerrorname_np(-err));
	return WRONG;
}

static enum outcome worse(enum outcome a, enum outcome b)
{
	return a > b ? a : b;
}

/* A run that is refused is read again in halves, to see the rest of it. */
static enum outcome read_run(int fd, const u8 *logical, u32 lba, u32 n, u8 *buf)
{
	int err = read_blocks(fd, lba, buf, n);
	u32 i;

	if (err && !refusal(err)) {
		complain("reading block %u gives %s", lba, strerrorname_np(-err));
		return WRONG;
	}
	if (err && n > 1)
		return worse(REFUSED,
			     worse(read_run(fd, logical, lba, n / 2, buf),
				   read_run(fd, logical, lba + n / 2,
					    n - n / 2, buf)));
	if (err)
		return REFUSED;
	for (i = 0; i < n; i++)
		if (memcmp(buf + (size_t)i * BLOCK,
			   logical + (size_t)(lba + i) * BLOCK, BLOCK)) {
			complain("block %u reads back wrong", lba + i);
			return WRONG;
		}
	return HARMLESS;
}

enum outcome judge_reads(struct world *w, int fd, const u8 *logical,
			 const u32 *lba, u32 nr)
{
	enum outcome outcome = HARMLESS;
	u8 *buf = block_buffer(32);
	u32 i, n;

	(void)w;
	for (i = 0; i < nr; i += n) {
		for (n = 1; i + n < nr && n < 32 && lba[i + n] == lba[i] + n;
		     n++)
			;
		outcome = worse(outcome, read_run(fd, logical, lba[i], n, buf));
	}
	free(buf);
	return outcome;
}

enum outcome judge_read_only(struct world *w, const struct snapshot *scene,
			     const u32 *lba, u32 nr)
{
	int fd = world_attach(w, true);
	enum outcome outcome;

	if (fd < 0)
		return judge_error(fd, "attach");
	outcome = judge_reads(w, fd, scene->logical, lba, nr);
	world_detach(w, fd);
	return outcome;
}

/* What a failed write left is unknown: such blocks are not looked at again. */
static u32 without(const struct world *w, const u8 *unknown, u32 *list)
{
	u32 nr = 0, i;

	for (i = 0; i < w->nr_lba; i++)
		if (!unknown[w->lba[i]])
			list[nr++] = w->lba[i];
	return nr;
}

static int write_a_few(struct world *w, int fd, u8 *logical, u8 *unknown)
{
	u8 *buf = block_buffer(8);
	u32 i, n;
	int err, first = 0;

	for (i = 0; i < 12; i++) {
		u32 lba = w->lba[prng_below(&w->prng, w->nr_lba)];

		n = 1 + prng_below(&w->prng, 8);
		if (lba + n > w->geo.logical_blocks)
			n = 1;
		prng_fill(&w->prng, buf, n * BLOCK);
		err = write_blocks(fd, lba, buf, n);
		memcpy(logical + (size_t)lba * BLOCK, buf, n * BLOCK);
		if (err)
			memset(unknown + lba, 1, n);
		if (err && !first)
			first = err;
	}
	free(buf);
	return first;
}

/*
 * Damage stays where it is: whatever is refused, a commit and a checkpoint succeed.
 * But a checkpoint cannot carry more past a damaged node than the log takes.
 */
static enum outcome judge_goes_on(struct world *w, int fd)
{
	int err = fsync(fd) ? -errno : dm_message(&w->vault, "checkpoint");

	if (!err || err == -ENOSPC)
		return HARMLESS;
	complain("the vault does not go on: %s", strerrorname_np(-err));
	return WRONG;
}

/*
 * Attach, write, commit, checkpoint, detach, attach: forged maps and nodes must
 * not lead a writer astray either.
 */
enum outcome judge_in_use(struct world *w, const struct snapshot *scene)
{
	enum outcome outcome = HARMLESS;
	u8 *logical, *unknown;
	u32 *list, nr, i;
	int fd = world_attach(w, false);

	if (fd < 0)
		return judge_error(fd, "attach");
	logical = calloc(w->geo.logical_blocks, BLOCK);
	unknown = calloc(w->geo.logical_blocks, 1);
	list = calloc(w->nr_lba, sizeof(*list));
	for (i = 0; i < w->nr_lba; i++)
		memcpy(logical + (size_t)w->lba[i] * BLOCK,
		       scene->logical + (size_t)w->lba[i] * BLOCK, BLOCK);
	if (write_a_few(w, fd, logical, unknown))
		outcome = REFUSED;
	nr = without(w, unknown, list);
	outcome = worse(outcome, judge_reads(w, fd, logical, list, nr));
	outcome = worse(outcome, judge_goes_on(w, fd));
	outcome = worse(outcome, judge_reads(w, fd, logical, list, nr));
	world_detach(w, fd);
	fd = world_attach(w, true);
	if (fd < 0) {
		outcome = worse(outcome, judge_error(fd, "attach"));
	} else {
		outcome = worse(outcome, judge_reads(w, fd, logical, list, nr));
		world_detach(w, fd);
	}
	free(logical);
	free(unknown);
	free(list);
	return outcome;
}
