// SPDX-License-Identifier: GPL-2.0
/*
 * What an unmap costs: entries of the log, nodes of the delta, reads; and what it does
 * about nodes that cannot be read.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test.h"

#define TIB_64		(1ull << 34)	/* in blocks */
/* What the block layer makes of a large discard, and what mkfs asks for at a time. */
#define LARGEST_BIO	1048575u
#define TWO_GIB		524288u

/* Entries that are in no log yet; all of them are unmaps. */
static u32 entries(struct fixture *f)
{
	struct qvault_page *page;
	u32 bytes = 0;

	list_for_each_entry(page, &f->v->stream.pages, list)
		bytes += page->bytes;
	CHECK(!(bytes % sizeof(struct qvault_disk_entry)));
	return bytes / sizeof(struct qvault_disk_entry);
}

static u32 nodes(struct fixture *f)
{
	struct qvault_delta_node *node;
	u32 n = 0;

	list_for_each_entry(node, &f->v->delta[f->v->live].nodes, list)
		n++;
	return n;
}

static bool mapped(struct fixture *f, u64 logical)
{
	struct qvault_ptr ptr;

	CHECK(!qvault_lookup(f->v, logical, 1, &ptr));
	return ptr.version;
}

static void empty_cache(struct fixture *f)
{
	qvault_cache_exit(f->v);
	CHECK(!qvault_cache_init(f->v, 64));
}

static void unmap_all(struct fixture *f, u64 step)
{
	u64 at, blocks = f->v->geo.logical_blocks;

	for (at = 0; at < blocks; at += step)
		CHECK(!qvault_unmap(f->v, at, min(step, blocks - at)));
}

static void nothing(struct fixture *f)
{
	u64 reads = f->world.data.reads;

	unmap_all(f, LARGEST_BIO);
	unmap_all(f, TWO_GIB);
	unmap_all(f, f->v->geo.logical_blocks);
	CHECK(!entries(f) && qvault_delta_empty(&f->v->delta[0]));
	CHECK(f->world.data.reads == reads);
	CHECK(!f->v->stream.dirty);
}

void test_unmap_nothing(void)
{
	with_vault(TIB_64 + TIB_64 / 16, 64, nothing);
}

/* Where something is mapped: of each a leaf, 64 MiB and more away from the others. */
static const u64 places[] = { 128, 5 * 16384 + 3, 40 * 16384 + 120, 16000000 };

static void write_places(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 3 };
	u32 i;

	/* All that is written here is below that. */
	f->world.oracle.logical_blocks = 1 << 24;
	for (i = 0; i < ARRAY_SIZE(places); i++)
		CHECK(!op_write(&c, places[i], 20));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(qvault_node_weight(&f->v->anchor.tree.ptr) == 20 * ARRAY_SIZE(places));
}

static void check_gone(struct fixture *f)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		CHECK(!mapped(f, places[i]));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(!f->v->anchor.tree.ptr.version && !f->v->anchor.map.ptr.version);
}

/* In one piece, it is one entry and one mark. */
static void at_once(struct fixture *f)
{
	write_places(f);
	unmap_all(f, f->v->geo.logical_blocks);
	CHECK(entries(f) == 1 && nodes(f) == 1);
	check_gone(f);
}

/* Each bio in which something is mapped is a few entries; the others are none. */
static void by_bios(struct fixture *f)
{
	u64 reads;

	write_places(f);
	empty_cache(f);
	reads = f->world.data.reads;
	unmap_all(f, TWO_GIB);
	/* Three places in the first 2 GiB, 64 MiB each; and one behind. */
	CHECK(entries(f) == ARRAY_SIZE(places) && nodes(f) == ARRAY_SIZE(places));
	/* A path to each of two nodes above marks; of the tree's five levels. */
	CHECK(f->world.data.reads - reads <= 2 * f->v->geo.tree.top);
	check_gone(f);
}

/* At its ends leaves, between them subtrees; only those where something is. */
static void a_part(struct fixture *f)
{
	write_places(f);
	CHECK(!qvault_unmap(f->v, 10, 16384 * 50));
	CHECK(entries(f) == 3 && nodes(f) == 3);
	CHECK(!mapped(f, places[0]) && !mapped(f, places[1]) && !mapped(f, places[2]));
	CHECK(mapped(f, places[3]));
}

void test_unmap_mapped(void)
{
	with_vault(TIB_64 + TIB_64 / 16, 64, at_once);
	with_vault(TIB_64 + TIB_64 / 16, 64, by_bios);
	with_vault(TIB_64 + TIB_64 / 16, 64, a_part);
}

static void delta_says(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 4 };

	write_places(f);
	/* What it maps is unmapped, though the tree has nothing there. */
	CHECK(!op_write(&c, 70 * 16384, 10));
	CHECK(!qvault_commit(f->v) && !qvault_commit(f->v));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(!op_write(&c, 90 * 16384, 10));
	CHECK(!qvault_unmap(f->v, 90 * 16384, 16384));
	CHECK(!mapped(f, 90 * 16384));
	CHECK(!qvault_checkpoint(f->v));
	/* What it says is unmapped is not unmapped again. */
	CHECK(!qvault_unmap(f->v, 0, 16384) && !qvault_unmap(f->v, 4 * 16384, 2 * 16384));
	CHECK(entries(f) == 2 && nodes(f) == 2);
	CHECK(!qvault_unmap(f->v, 0, 16384) && !qvault_unmap(f->v, 7, 6 * 16384));
	CHECK(entries(f) == 2 && nodes(f) == 2);
	/* All that is mapped inside is unmapped: the parts join, and need no entry. */
	CHECK(!qvault_unmap(f->v, 40 * 16384, 64) && !qvault_unmap(f->v, 40 * 16384 + 64, 64));
	CHECK(!mapped(f, places[2]) && mapped(f, places[3]));
	/* And its blocks are free after a commit. */
	CHECK(!qvault_checkpoint(f->v) && !f->v->alloc.nr_fresh);
	CHECK(!op_write(&c, 1280, 128) && !qvault_unmap(f->v, 1280, 128));
	CHECK(f->v->alloc.nr_fresh == 128);
	CHECK(!qvault_commit(f->v) && !f->v->alloc.nr_fresh);
}

/* A leaf after the other, of all of a subtree: in the end it is one mark. */
static void joined(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 5 };
	u64 i;

	for (i = 0; i < 128; i++)
		CHECK(!op_write(&c, i * 128, 1));
	CHECK(!qvault_checkpoint(f->v));
	/* Not before the last one. */
	CHECK(!qvault_unmap(f->v, 0, 128) && !qvault_unmap(f->v, 127 * 128, 128));
	CHECK(mapped(f, 60 * 128) && nodes(f) == 2);
	for (i = 1; i < 127; i++)
		CHECK(!qvault_unmap(f->v, i * 128, 128));
	CHECK(entries(f) == 128 && nodes(f) == 1);
	CHECK(!mapped(f, 0) && !mapped(f, 127 * 128));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(!f->v->anchor.tree.ptr.version);
}

void test_unmap_delta(void)
{
	with_vault(TIB_64 + TIB_64 / 16, 64, delta_says);
	with_vault(40000, 64, joined);
}

/* What was written and is in no tree yet: in parts, and one mark in the end. */
static void much(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 6 };
	u64 i;

	f->v->memory_mib = 64;
	qvault_set_limits(f->v);
	for (i = 0; i < 16384; i += 128)
		CHECK(!op_write(&c, i, 128));
	CHECK(!qvault_checkpoint(f->v));
	for (i = 0; i < 16384; i += 128)
		CHECK(!op_write(&c, i, 128));
	for (i = 0; i < 3; i++)
		CHECK(!op_write(&c, 16384 + i * 128, 1));
	CHECK(!qvault_commit(f->v));
	CHECK(list_empty(&f->v->stream.pages));
	CHECK(!qvault_unmap(f->v, 0, 16384));
	CHECK(entries(f) >= 16384 / QVAULT_MAX_WORK && entries(f) <= 128 + 1);
	CHECK(nodes(f) == 1 + 3);
	CHECK(!mapped(f, 5) && !mapped(f, 16383) && mapped(f, 16384));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(qvault_node_weight(&f->v->anchor.tree.ptr) == 3);
	CHECK(qvault_node_weight(&f->v->anchor.map.ptr) == 3);
}

void test_unmap_much(void)
{
	with_vault(60000, 1024, much);
}

/* What cannot be looked at may be mapped. */
static void trouble(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 9 };

	write_places(f);
	empty_cache(f);
	f->world.expect_failure = true;
	f->world.faults.fail_io = 100;
	CHECK(!qvault_unmap(f->v, places[0], 20));
	CHECK(!qvault_unmap(f->v, 5 * 16384, 16384));
	f->world.faults.fail_io = 0;
	CHECK(entries(f) == 2);
	CHECK(!mapped(f, places[0]) && !mapped(f, places[1]) && mapped(f, places[2]));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(qvault_node_weight(&f->v->anchor.tree.ptr) == 40);
	/* What a checkpoint has set aside, and could not merge, is in no tree. */
	CHECK(!op_write(&c, 90 * 16384, 10));
	f->world.faults.fail_meta = 100;
	CHECK(qvault_checkpoint(f->v) == -EIO && f->v->frozen);
	f->world.faults.fail_meta = 0;
	CHECK(!qvault_unmap(f->v, 90 * 16384, 16384) && !mapped(f, 90 * 16384));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(qvault_node_weight(&f->v->anchor.tree.ptr) == 40);
}

void test_unmap_trouble(void)
{
	with_vault(TIB_64 + TIB_64 / 16, 64, trouble);
}

/* More than one critical section may do, and it heals all the same. */
static void damaged(struct fixture *f)
{
	static struct rot_list list;
	struct client c = { .world = &f->world, .rng.state = 7 };
	struct rot *rot = &list.item[0];
	u64 i;

	f->v->memory_mib = 64;
	qvault_set_limits(f->v);
	CHECK(!op_write(&c, 0, 100));
	CHECK(!op_write(&c, 20000, 10));
	CHECK(!qvault_checkpoint(f->v));
	for (i = 0; i < 16384; i += 512)
		CHECK(!op_write(&c, i, 128));
	rot_current = &list;
	f->world.rotten = true;
	*rot = (struct rot){ .kind = QVAULT_KIND_NODE, .level = 1,
			     .block = test_node_block(f, QVAULT_KIND_NODE, 1, 0, 0) };
	rot->was = block_get(dev_newest(&f->world.data, rot->block));
	rot->bad = block_new(rot->was->data);
	rot->bad->data[7] ^= 1;
	list.nr = 1;
	dev_set_durable(&f->world.data, rot->block, rot->bad);
	empty_cache(f);
	CHECK(!qvault_checkpoint(f->v));
	CHECK(f->v->damage.nr == 1 && f->v->damage.pages && nodes(f) == 32);
	/* Not a part of it, and not a part of a part. */
	CHECK(qvault_unmap(f->v, 0, 128 * 64) == -EILSEQ);
	CHECK(!qvault_unmap(f->v, 0, 16384));
	CHECK(!f->v->damage.nr && nodes(f) == 1);
	CHECK(!op_write(&c, 128, 1));
	CHECK(!qvault_checkpoint(f->v));
	CHECK(qvault_node_weight(&f->v->anchor.tree.ptr) == 11);
	block_put(rot->was);
	block_put(rot->bad);
	rot_current = NULL;
	list.nr = 0;
}

void test_unmap_damaged(void)
{
	with_vault(60000, 2048, damaged);
}

/* An entry of a few bytes needs a node of five times as much. */
static void memory(struct fixture *f)
{
	struct client c = { .world = &f->world, .rng.state = 8 };
	struct qvault *v = f->v;
	u64 most = 0, i, leaves = 6000;

	v->memory_mib = 1;
	qvault_set_limits(v);
	for (i = 0; i < leaves; i++)
		CHECK(!op_write(&c, i * 128, 1));
	CHECK(!qvault_checkpoint(v));
	f->world.kicked = false;
	for (i = 0; i < leaves; i++) {
		CHECK(!qvault_unmap(v, i * 128 + 1, 1));
		most = max(most, v->delta[0].bytes + v->delta[1].bytes);
		/* It is asked for at half of that. */
		if (2 * most < v->delta_limit)
			CHECK(!f->world.kicked);
		else if (2 * most > v->delta_limit + 1024)
			CHECK(f->world.kicked);
	}
	CHECK(most <= v->delta_limit + 1024 && most > v->delta_limit / 2);
	CHECK(!qvault_checkpoint(v));
	CHECK(!v->delta[0].bytes && !v->delta[1].bytes);
	CHECK(qvault_node_weight(&v->anchor.tree.ptr) == leaves);
}

void test_unmap_memory(void)
{
	with_vault(1000000, 2048, memory);
}
