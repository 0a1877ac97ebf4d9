// SPDX-License-Identifier: GPL-2.0
/*
 * Small lives of a vault, each of them run again and again with one thing going
 * wrong: at the first I/O, at the second, and so on to the last.  The simulator
 * does the same at random in larger ones.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>

#include "sim.h"
#include "test.h"

static struct params now;

/* What failed has been told; this says when. */
static void tell(void)
{
	fprintf(stderr, "to repeat: sim.bin --seed %llu with the parameters of %s, fail_io_at %llu, fail_alloc_at %llu\n",
		(unsigned long long)now.seed, __FILE__,
		(unsigned long long)now.fail_io_at,
		(unsigned long long)now.fail_alloc_at);
}

/* A life to fill the log somewhat, one in which it happens, one to see. */
static void small_lives(u64 seed)
{
	now = (struct params){
		.seed = seed, .data_blocks = 850, .log_blocks = QVAULT_MIN_LOG_BLOCKS,
		.lives = 3, .clients = 1 + seed % 3, .ops = 12, .max_len = 9,
		.max_states = 1000, .commits = 25, .tight = 50,
		.walk = 100,
	};
}

/* Runs it with its n-th I/O, or allocation, failing, for every n. */
static u32 fail_each(u64 *at)
{
	u64 hits;

	do {
		hits = totals.hits;
		++*at;
		run_seed(&now);
	} while (totals.hits > hits);
	return *at - 1;
}

void test_life_fail_io(void)
{
	u32 seed, n = 0;

	shim_on_bug = tell;
	for (seed = 1; seed <= 30; seed++) {
		small_lives(seed);
		n += fail_each(&now.fail_io_at);
	}
	shim_on_bug = NULL;
	printf("      %u lives with a failing I/O, flushes among them\n", n);
	CHECK(n > 1000);
}

void test_life_fail_alloc(void)
{
	u32 seed, n = 0;

	shim_on_bug = tell;
	for (seed = 1; seed <= 30; seed++) {
		small_lives(seed);
		n += fail_each(&now.fail_alloc_at);
	}
	shim_on_bug = NULL;
	printf("      %u lives with a failing allocation\n", n);
	CHECK(n > 1000);
}

/* 0 and 255 are the two that are not torn. */
void test_life_tear(void)
{
	u64 before = totals.states, records = totals.records;
	u32 seed;

	shim_on_bug = tell;
	for (seed = 1; seed <= 2; seed++) {
		small_lives(seed);
		now.tear = 100;
		run_seed(&now);
	}
	shim_on_bug = NULL;
	printf("      %llu states with a torn anchor record\n",
	       (unsigned long long)(totals.states - before));
	CHECK(totals.states - before > 256 * 20);
	CHECK(totals.records > records);
}

/* ---- What the storage sees ---- */

static int compare_pieces(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* A place for second copies of upper nodes, which are the same as the first ones. */
static bool second_copy(const struct qvault_geometry *geo, u64 block)
{
	u64 rest = (block - geo->groups_start) % QVAULT_GROUP_BLOCKS;

	return block >= geo->groups_start && rest < QVAULT_GROUP_HEAD &&
	       rest >= QVAULT_GROUP_HEAD - 2 * QVAULT_GROUP_UPPER;
}

/*
 * All that was ever written to the data device, but for second copies, in pieces of
 * 16 bytes.
 */
static u32 collect(const struct qvault_geometry *geo, const struct qvault_dev *dev,
		   u8 **pieces)
{
	u32 blocks = 0, n;
	u64 i;

	*pieces = NULL;
	for (i = 0; i <= dev->history.mask; i++) {
		const struct versions *v = dev->history.values[i];

		/* Keys are blocks plus one. */
		if (v && second_copy(geo, dev->history.keys[i] - 1))
			continue;
		for (n = 0; v && n < v->nr; n++) {
			*pieces = realloc(*pieces,
					  (blocks + 1) * QVAULT_BLOCK_SIZE);
			memcpy(*pieces + blocks++ * QVAULT_BLOCK_SIZE,
			       v->item[n]->data, QVAULT_BLOCK_SIZE);
		}
	}
	return blocks * (QVAULT_BLOCK_SIZE / 16);
}

static void write_value(struct client *c, u64 value)
{
	c->next_value = value - 1;
	CHECK(!op_write(c, 77, 1));
	CHECK(!op_commit(c));
}

static void fresh(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u32 i, n, same = 0;
	u8 *pieces;

	f->world.data.keep_history = true;
	f->world.crypto.real = true;
	crypto_unlock(&f->world.crypto, TEST_UUID);
	for (i = 0; i < 8; i++) {
		write_value(&c, 1);
		write_value(&c, 2);
		write_value(&c, 1);
		CHECK(!op_checkpoint(&c));
	}
	n = collect(&f->v->geo, &f->world.data, &pieces);
	qsort(pieces, n, 16, compare_pieces);
	for (i = 1; i < n; i++)
		same += !memcmp(pieces + 16 * (i - 1), pieces + 16 * i, 16);
	printf("      %u pieces of 16 bytes, %u of them twice\n", n, same);
	CHECK(n > 24 * QVAULT_BLOCK_SIZE / 16);
	CHECK(!same);
	free(pieces);
}

/* The same contents in one block, again and again: nothing shows it. */
void test_life_fresh(void)
{
	with_vault(3000, 64, fresh);
}
