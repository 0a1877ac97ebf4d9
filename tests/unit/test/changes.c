// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of the map: what was added is what the new map says, and runs are kept as
 * runs.
 */
#include <errno.h>
#include <stdlib.h>

#include <linux/bitmap.h>

#include "test.h"

struct map {
	struct fixture *f;
	struct qvault_batch *batch;
	struct qvault_cursor cursor;
	struct qvault_changes changes;
};

/* Of an empty map. */
static struct map *map_new(struct fixture *f)
{
	struct map *m = calloc(1, sizeof(*m));
	static const struct qvault_root none;

	m->f = f;
	m->batch = qvault_batch_begin(f->v, f->v->data,
				      QVAULT_USE_CHECKPOINT);
	qvault_cursor_init(&m->cursor, f->v, QVAULT_KIND_MAP, &none, m->batch);
	m->changes.item = calloc(QVAULT_MAX_CHANGES, sizeof(u64));
	m->changes.cursor = &m->cursor;
	return m;
}

static void map_free(struct map *m)
{
	qvault_cursor_exit(&m->cursor);
	qvault_batch_end(m->batch);
	free(m->changes.item);
	free(m);
}

static bool in_use(struct map *m, u64 block)
{
	unsigned long *bits;
	u64 group;
	void *data;
	u32 bit;

	CHECK(qvault_locate(&m->f->v->geo, block, &group, &bit));
	CHECK(!qvault_cursor_leaf(&m->cursor, group, &data));
	bits = data;
	return test_bit(bit, bits);
}

static void runs(struct fixture *f)
{
	const u64 first = qvault_block_of(&f->v->geo, 0, 100), other = first + 1000;
	struct map *m = map_new(f);
	u64 i;

	/* Two that grow in turn, a gap, and one that goes backwards. */
	for (i = 0; i < 200; i++) {
		CHECK(!qvault_changes_add(&m->changes, first + i, true));
		CHECK(!qvault_changes_add(&m->changes, other + i, true));
	}
	CHECK(m->changes.nr == 2);
	CHECK(!qvault_changes_add(&m->changes, first + 201, true));
	CHECK(!qvault_changes_add(&m->changes, first + 500, true));
	CHECK(!qvault_changes_add(&m->changes, first + 499, true));
	CHECK(m->changes.nr == 5);
	CHECK(!qvault_changes_apply(&m->changes));
	CHECK(!m->changes.nr);
	for (i = 0; i < 1300; i++)
		CHECK(in_use(m, first + i) ==
		      (i < 200 || i == 201 || i == 499 || i == 500 ||
		       (i >= 1000 && i < 1200)));

	/* What goes out of use does not continue what comes into it. */
	CHECK(!qvault_changes_add(&m->changes, first + 202, true));
	CHECK(!qvault_changes_add(&m->changes, other, false));
	CHECK(!qvault_changes_add(&m->changes, first + 203, true));
	CHECK(!qvault_changes_add(&m->changes, other + 1, false));
	CHECK(m->changes.nr == 2);
	CHECK(!qvault_changes_apply(&m->changes));
	CHECK(in_use(m, first + 203) && !in_use(m, first + 204));
	CHECK(!in_use(m, other) && !in_use(m, other + 1) && in_use(m, other + 2));
	map_free(m);
}

/* A run has a longest length, and the next block begins another. */
static void long_runs(struct fixture *f)
{
	const u64 first = qvault_block_of(&f->v->geo, 0, 0);
	struct map *m = map_new(f);
	u64 i;

	for (i = 0; i < 32768; i++)
		CHECK(!qvault_changes_add(&m->changes, first + i, true));
	CHECK(m->changes.nr == 1);
	CHECK(!qvault_changes_add(&m->changes, first + i, true));
	CHECK(m->changes.nr == 2);
	map_free(m);
}

void test_changes_runs(void)
{
	with_vault(9000, 16, runs);
	with_vault(9000, 16, long_runs);
}

static void refused(struct fixture *f)
{
	const u64 first = qvault_block_of(&f->v->geo, 0, 100);
	struct map *m = map_new(f);

	/* Only a pointer that a holder of the key made up has such a place. */
	CHECK(qvault_changes_add(&m->changes, first + QVAULT_WHERE_MASK + 1, true) ==
	      -EUCLEAN);
	CHECK(!m->changes.nr);
	/* Past the end of the device. */
	CHECK(!qvault_changes_add(&m->changes, f->v->geo.data_blocks, true));
	CHECK(qvault_changes_apply(&m->changes) == -EUCLEAN);
	map_free(m);
}

void test_changes_refused(void)
{
	with_vault(9000, 16, refused);
}
