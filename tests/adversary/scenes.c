// SPDX-License-Identifier: GPL-2.0
/*
 * Other moments and other devices: a vault that is suspended meanwhile, a data
 * device that is shorter or longer, anchors that are not the newest, and a device
 * that answers two reads of a block differently.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adversary.h"

static void also(int a, int b, int c, int d)
{
	int list[8] = { a, b, c, d };

	memcpy(judge_also, list, sizeof(list));
}

static void name(const struct attacker *a, const char *what, u64 number)
{
	snprintf(attack_name, sizeof(attack_name), "%s: %s %llu", a->where, what,
		 (unsigned long long)number);
}

/* ---- While suspended ---- */

/*
 * A resume reads the anchor again, and believes in nothing but what the vault left
 * there; one that is refused leaves the vault suspended, and the next one, when all
 * is put back, succeeds.
 */
void attack_suspended(struct world *w, const struct snapshot *scene,
		      bool read_only, u32 flips, struct verdict *v)
{
	struct attacker a;
	u32 i;

	attack_begin(&a, w, scene, read_only ? "suspended, read-only" :
					       "suspended", v);
	a.moment = SUSPENDED;
	a.fd = world_attach(w, read_only);
	if (a.fd < 0 || dm_suspend(&w->vault, false))
		die("attach and suspend");
	for (i = 0; i < scene->walk.nr; i++)
		if (attack_sampled(w, &scene->walk.item[i], 5))
			attack_all_of(&a, &scene->walk.item[i], flips);
	attack_affect(&a, NULL);
	name(&a, "all put back", 0);
	if (dm_resume(&w->vault) ||
	    judge_reads(w, a.fd, scene->logical, a.affected, a.nr_affected) !=
		    HARMLESS) {
		complain("is still refused");
		v->bad++;
	}
	world_detach(w, a.fd);
	attack_end(&a);
}

/* ---- Another size ---- */

static void resize_data(struct world *w, u64 blocks)
{
	char args[48], number[32];
	struct dm_line line = { 0, blocks * QVAULT_SECTORS, "linear", args };

	snprintf(args, sizeof(args), "%s 0", device_number("/dev/ram0", number));
	if (dm_suspend(&w->data, true) || dm_reload(&w->data, &line, 1, false) ||
	    dm_resume(&w->data))
		die("resize");
}

/* Before the attach, and while it is attached. */
static void with_size(struct attacker *a, u64 blocks)
{
	struct world *w = a->w;
	enum outcome outcome;
	int fd;

	name(a, "device of blocks:", blocks);
	resize_data(w, blocks);
	outcome = judge_read_only(w, a->scene, a->affected, a->nr_affected);
	if (outcome == HARMLESS && blocks < w->geo.data_blocks) {
		complain("is attached all the same");
		outcome = WRONG;
	}
	attack_count(a, outcome);
	resize_data(w, w->geo.data_blocks);

	fd = world_attach(w, true);
	if (fd < 0)
		die("attach: %s", strerror(-fd));
	resize_data(w, blocks);
	attack_count(a, judge_reads(w, fd, a->scene->logical, a->affected,
				    a->nr_affected));
	resize_data(w, w->geo.data_blocks);
	world_detach(w, fd);
}

void attack_resized(struct world *w, const struct snapshot *scene,
		    struct verdict *v)
{
	const u64 blocks = w->geo.data_blocks, group = w->geo.groups_start;
	const u64 size[] = {
		1, 2, 17, group, group + 1, group + 600, blocks / 2, blocks - 129,
		blocks - 2, blocks - 1, blocks + 1, blocks + 128, blocks + 5000,
	};
	struct attacker a;
	u32 i;

	attack_begin(&a, w, scene, "resized", v);
	a.forgery = RESIZED;
	/* Beyond the end the block layer says EIO. */
	also(ENXIO, EIO, EINVAL, 0);
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		attack_affect(&a, NULL);
		with_size(&a, size[i]);
	}
	also(0, 0, 0, 0);
	attack_end(&a);
}

/* ---- Other anchors ---- */

static void with_anchor(struct attacker *a, const u8 *anchor,
			const struct snapshot *state, bool may_attach)
{
	enum outcome outcome;

	if (write_blocks(a->w->anchor_fd, 0, anchor, QVAULT_ANCHOR_BLOCKS))
		die("anchor");
	outcome = judge_read_only(a->w, state, a->affected, a->nr_affected);
	if (outcome == HARMLESS && !may_attach) {
		complain("is attached");
		outcome = WRONG;
	}
	attack_count(a, outcome);
}

/*
 * The anchor is trusted, so an older one is not an attack but a mistake of those
 * who keep it; still what is read must be what that one says.
 */
static void older_anchors(struct attacker *a)
{
	struct world *w = a->w;
	u32 i;

	for (i = 0; i < w->nr_snaps; i++) {
		name(a, "anchor of moment", i);
		with_anchor(a, w->snap[i].anchor, &w->snap[i], true);
	}
	for (i = 0; i < 2; i++) {
		name(a, "anchor of copy", i);
		with_anchor(a, w->clone[i].anchor, &w->clone[i], true);
	}
	name(a, "anchor of another vault", 0);
	with_anchor(a, w->other.anchor, &w->other, false);
}

/* It is of another key; and under that one, see attack_child(). */
static void anchors_of_clones(struct attacker *a)
{
	u32 i;

	for (i = 0; i < 2; i++) {
		name(a, "anchor of clone", i);
		with_anchor(a, a->w->child[i].anchor, &a->w->child[i], false);
	}
}

static void broken_anchors(struct attacker *a)
{
	const size_t bytes = QVAULT_ANCHOR_BLOCKS * BLOCK;
	u8 *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);
	u8 *slot[] = { (u8 *)vault_slot(anchor, 0), (u8 *)vault_slot(anchor, 1) };
	u32 byte;

	name(a, "zeros", 0);
	memset(anchor, 0, bytes);
	with_anchor(a, anchor, a->scene, false);
	name(a, "noise", 0);
	prng_fill(&a->w->prng, anchor, bytes);
	with_anchor(a, anchor, a->scene, false);
	name(a, "slots swapped", 0);
	memcpy(slot[0], vault_slot(a->scene->anchor, 1), BLOCK);
	memcpy(slot[1], vault_slot(a->scene->anchor, 0), BLOCK);
	with_anchor(a, anchor, a->scene, false);
	/* Of one damaged record the other would be used: that is what it is for. */
	for (byte = 0; byte < BLOCK; byte += 1 + prng_below(&a->w->prng, 16)) {
		name(a, "both records changed in byte", byte);
		memcpy(anchor, a->scene->anchor, bytes);
		slot[0][byte] ^= 1 << prng_below(&a->w->prng, 8);
		slot[1][byte] ^= 1 << prng_below(&a->w->prng, 8);
		with_anchor(a, anchor, a->scene, false);
	}
	free(anchor);
}

void attack_anchor(struct world *w, const struct snapshot *scene,
		   struct verdict *v)
{
	struct attacker a;

	attack_begin(&a, w, scene, "anchors", v);
	a.forgery = ANCHOR;
	attack_affect(&a, NULL);
	older_anchors(&a);
	also(ENODATA, EKEYREJECTED, EPROTONOSUPPORT, EUCLEAN);
	anchors_of_clones(&a);
	broken_anchors(&a);
	also(0, 0, 0, 0);
	put_back(w, scene);
	attack_end(&a);
}

/* ---- Two faces ---- */

static const char other_face[] = "/dev/ram2";

static void show_other(struct attacker *a, int fd, u64 block, const u8 *contents)
{
	memcpy(a->buf, contents, BLOCK);
	if (write_blocks(fd, block, a->buf, 1))
		die("other face");
}

static void turn(struct dm_dev *faces, u64 block, u32 first)
{
	if (dm_message(faces, "turn %llu %u", (unsigned long long)block, first))
		die("turn");
}

/* The device does what it is there for. */
static void must_have_two_faces(struct attacker *a, struct dm_dev *faces, int fd)
{
	const u64 block = a->scene->walk.item[0].block;
	u8 *ones = block_buffer(1), *buf = block_buffer(1);
	int faces_fd = open_direct(faces->path, O_RDONLY);
	u32 i;

	memset(ones, 0xff, BLOCK);
	show_other(a, fd, block, ones);
	turn(faces, block, 1);
	for (i = 0; i < 4; i++)
		if (read_blocks(faces_fd, block, buf, 1) ||
		    memcmp(buf, i & 1 ? ones : attack_original(a, block), BLOCK))
			die("the device has one face");
	close(faces_fd);
	free(ones);
	free(buf);
}

/* The other face from the first read on, or from the second. */
static void with_faces(struct attacker *a, struct dm_dev *faces,
		       const struct vault_item *item, const char *what)
{
	u32 first;

	for (first = 0; first < 2; first++) {
		name(a, what, first);
		snprintf(attack_name + strlen(attack_name),
			 sizeof(attack_name) - strlen(attack_name),
			 ", kind %d, level %u, %llu", item->kind, item->level,
			 (unsigned long long)item->id);
		turn(faces, item->block, first);
		attack_count(a, judge_read_only(a->w, a->scene, a->affected,
						a->nr_affected));
	}
}

static void each_face(struct attacker *a, struct dm_dev *faces, int fd,
		      const struct vault_item *item)
{
	const struct world *w = a->w;
	const struct snapshot *s = &w->snap[prng_below(&a->w->prng, w->nr_snaps)];
	u8 *forged = block_buffer(1);

	attack_affect(a, item);
	memcpy(forged, attack_original(a, item->block), BLOCK);
	forged[prng_below(&a->w->prng, BLOCK)] ^= 4;
	show_other(a, fd, item->block, forged);
	with_faces(a, faces, item, "a bit flipped at read");
	show_other(a, fd, item->block, s->data + item->block * BLOCK);
	with_faces(a, faces, item, "an earlier block at read");
	memset(forged, 0, BLOCK);
	show_other(a, fd, item->block, forged);
	with_faces(a, faces, item, "zeros at read");
	free(forged);
}

void attack_two_faced(struct world *w, const struct snapshot *scene,
		      struct verdict *v)
{
	struct dm_dev faces, data = w->data;
	struct attacker a;
	char number[32];
	int fd;
	u32 i;

	attack_begin(&a, w, scene, "two faces", v);
	a.forgery = TWO_FACES;
	if (dm_create1(&faces, "qvadvfaces", w->geo.data_blocks * QVAULT_SECTORS,
		       "twoface", false, "%s %s", w->data.number,
		       device_number(other_face, number)))
		die("no two-faced device");
	fd = open_direct(other_face, O_RDWR);
	must_have_two_faces(&a, &faces, fd);
	w->data = faces;
	for (i = 0; i < scene->walk.nr; i++)
		if (attack_sampled(w, &scene->walk.item[i], 10))
			each_face(&a, &faces, fd, &scene->walk.item[i]);
	w->data = data;
	close(fd);
	dm_remove(&faces);
	attack_end(&a);
}
