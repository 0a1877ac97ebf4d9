// SPDX-License-Identifier: GPL-2.0
/*
 * The devices below a vault that is replayed:
 *
 *   vault                 made anew for each attach
 *    |
 *   data, anchor          slices; a second pair is read-only
 *   dm-log-writes         what does the vault write?
 *   the replay device     written to from the side
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

/* The log starts from its beginning when it has grown so large. */
#define LOG_ROOM	(256ull << 20)

static void check(int err, const char *what)
{
	if (err)
		die("replay stack: %s: %s", what, strerrorname_np(-err));
}

static void make_leg(struct stack *st, bool read_only)
{
	struct leg *leg = &st->leg[read_only];
	u64 data = st->s->geo.data_blocks * QVAULT_SECTORS;
	const char *side = read_only ? "ro" : "rw";
	char name[32];

	snprintf(name, sizeof(name), "qvpdata-%s", side);
	check(dm_create1(&leg->data, name, data, "linear", read_only, "%s 0",
			 st->log.number), "data");
	snprintf(name, sizeof(name), "qvpanchor-%s", side);
	check(dm_create1(&leg->anchor, name, QVAULT_ANCHOR_BLOCKS * QVAULT_SECTORS, "linear",
			 read_only, "%s %llu", st->log.number,
			 (unsigned long long)data), "anchor");
	leg->made = false;
	leg->fd = -1;
}

/* What an earlier log left there must not be taken for this one's. */
static void wipe_super(const char *path)
{
	u8 *zeros = block_buffer(1);
	int fd = open_direct(path, O_RDWR);

	check(fd < 0 ? fd : write_blocks(fd, 0, zeros, 1), path);
	close(fd);
	free(zeros);
}

void stack_make(struct stack *st, const struct setup *s, u64 sectors)
{
	char base[32], log[32];

	memset(st, 0, sizeof(*st));
	wipe_super(s->replay_log);
	st->s = s;
	st->sectors = sectors;
	check(dm_create1(&st->log, "qvplog", sectors, "log-writes", false,
			 "%s %s", device_number(s->replay_base, base),
			 device_number(s->replay_log, log)), "log-writes");
	st->log_fd = open_direct(st->log.path, O_RDWR);
	st->tail.fd = open_direct(s->replay_log, O_RDONLY);
	check(st->log_fd < 0 ? st->log_fd : 0, st->log.path);
	check(st->tail.fd < 0 ? st->tail.fd : 0, s->replay_log);
	st->tail.at = 512;
	make_leg(st, false);
	make_leg(st, true);
}

static void remove_vault(struct leg *leg)
{
	if (!leg->made)
		return;
	close(leg->fd);
	leg->fd = -1;
	leg->made = false;
	check(dm_remove(&leg->vault), "removing the vault");
}

void stack_remove(struct stack *st)
{
	int i;

	for (i = 0; i < 2; i++) {
		remove_vault(&st->leg[i]);
		check(dm_remove(&st->leg[i].anchor), "removal");
		check(dm_remove(&st->leg[i].data), "removal");
	}
	close(st->tail.fd);
	close(st->log_fd);
	check(dm_remove(&st->log), "removal");
}

int stack_attach(struct stack *st, const struct way *way, bool read_only)
{
	struct leg *leg = &st->leg[read_only];
	int err = attach(st->s, &leg->vault, read_only ? "qvpvault-ro" : "qvpvault",
			 &leg->data, &leg->anchor, way, read_only);

	if (err)
		return err;
	/* Who may write to a device keeps others from mounting it. */
	leg->fd = open_direct(leg->vault.path,
			      read_only || st->s->files ? O_RDONLY : O_RDWR);
	check(leg->fd < 0 ? leg->fd : 0, leg->vault.path);
	leg->made = true;
	return leg->fd;
}

void stack_detach(struct stack *st, bool read_only)
{
	remove_vault(&st->leg[read_only]);
}

void stack_wrote(struct stack *st, struct log *wrote)
{
	char mark[32];

	/* What was not flushed is not in the log before the next flush. */
	if (fsync(st->log_fd))
		check(-errno, "flush");
	snprintf(mark, sizeof(mark), "end:%u", ++st->marks);
	check(dm_message(&st->log, "mark %s", mark), "mark");
	check(log_follow(&st->tail, mark, wrote), "reading the log");
	if (st->tail.at > LOG_ROOM) {
		const struct setup *s = st->s;

		stack_remove(st);
		stack_make(st, s, st->sectors);
	}
}
