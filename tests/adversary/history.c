// SPDX-License-Identifier: GPL-2.0
/*
 * The whole device as it was at every earlier commit, and between commits, when
 * blocks stood there that no record ever named, under the newest anchor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adversary.h"

/* What changed on the device from one moment to the next. */
struct change {
	u32 nr;
	u32 *block;
	u8 *contents;			/* as it was then */
};

static void read_image(struct world *w, u8 *image)
{
	u8 *buf = block_buffer(MAX_IO);
	u64 at, n;

	for (at = 0; at < w->geo.data_blocks; at += n) {
		n = w->geo.data_blocks - at < MAX_IO ?
		    w->geo.data_blocks - at : MAX_IO;
		if (read_blocks(w->data_fd, at, buf, n))
			die("image");
		memcpy(image + at * BLOCK, buf, n * BLOCK);
	}
	free(buf);
}

/* @image becomes what is there now; @change leads from there to here. */
static void remember(struct world *w, u8 *image, u8 *now, struct change *change)
{
	u64 i;

	read_image(w, now);
	memset(change, 0, sizeof(*change));
	for (i = 0; i < w->geo.data_blocks; i++) {
		if (!memcmp(image + i * BLOCK, now + i * BLOCK, BLOCK))
			continue;
		change->nr++;
		change->block = realloc(change->block,
					change->nr * sizeof(*change->block));
		change->contents = realloc(change->contents,
					   (size_t)change->nr * BLOCK);
		change->block[change->nr - 1] = i;
		memcpy(change->contents + (size_t)(change->nr - 1) * BLOCK,
		       now + i * BLOCK, BLOCK);
		memcpy(image + i * BLOCK, now + i * BLOCK, BLOCK);
	}
}

static void apply(struct attacker *a, const struct change *change)
{
	u32 i;

	for (i = 0; i < change->nr; i++) {
		memcpy(a->buf, change->contents + (size_t)i * BLOCK, BLOCK);
		if (write_blocks(a->w->data_fd, change->block[i], a->buf, 1))
			die("history");
	}
}

/* Two moments for each commit: before it, and after. */
static void live(struct world *w, u8 *image, struct change *change, u32 commits)
{
	u8 *now = malloc(w->geo.data_blocks * BLOCK), *buf = block_buffer(8);
	int fd = world_attach(w, false);
	u32 i;

	if (fd < 0)
		die("attach: %s", strerror(-fd));
	for (i = 0; i < commits; i++) {
		u32 lba = prng_below(&w->prng, 140);
		u32 n = 1 + prng_below(&w->prng, 8);

		prng_fill(&w->prng, buf, n * BLOCK);
		if (write_blocks(fd, lba, buf, n))
			die("write");
		memcpy(w->logical + (size_t)lba * BLOCK, buf, n * BLOCK);
		remember(w, image, now, &change[2 * i]);
		world_write_few(w, fd);
		if (i % 16 == 15)
			dm_message(&w->vault, "checkpoint");
		remember(w, image, now, &change[2 * i + 1]);
	}
	free(buf);
	free(now);
	/* As after a crash: a detach would checkpoint, and move on. */
	if (read_blocks(w->anchor_fd, 0, w->snap[w->crashed].anchor,
			QVAULT_ANCHOR_BLOCKS))
		die("anchor");
	world_detach(w, fd);
}

/* Spoils the world for other scenes: its newest snapshot is another one then. */
void attack_history(struct world *w, u32 commits, struct verdict *v)
{
	struct change *change = calloc(2 * commits, sizeof(*change));
	struct snapshot *scene = &w->snap[w->crashed];
	struct attacker a;
	u8 *image = malloc(w->geo.data_blocks * BLOCK);
	u32 i;

	attack_begin(&a, w, scene, "history", v);
	a.forgery = WHOLE;
	read_image(w, image);
	memcpy(w->logical, scene->logical, w->geo.logical_blocks * BLOCK);
	live(w, image, change, commits);
	memcpy(scene->logical, w->logical, w->geo.logical_blocks * BLOCK);

	put_back(w, scene);
	for (i = 0; i <= 2 * commits; i++) {
		attack_affect(&a, NULL);
		snprintf(attack_name, sizeof(attack_name),
			 "history: device of %s commit %u", i & 1 ? "before" : "after",
			 i / 2);
		if (i == 2 * commits)
			break;
		attack_count(&a, judge_read_only(w, scene, a.affected,
						 a.nr_affected));
		apply(&a, &change[i]);
		free(change[i].block);
		free(change[i].contents);
	}
	if (judge_read_only(w, scene, a.affected, a.nr_affected) != HARMLESS) {
		complain("the newest state is refused");
		v->bad++;
	}
	free(image);
	free(change);
	attack_end(&a);
}
