// SPDX-License-Identifier: GPL-2.0
/*
 * The golden vault: a volume that the engine makes in userspace, always the same
 * to the bit, and opens again.
 *
 * usage: golden format DATA ANCHOR [MAC]	empty, as qvault-ctl would make it
 *        golden make DATA ANCHOR [MAC]	and something in each part of it
 *        golden more DATA ANCHOR	attach it, and write more
 *        golden open DATA ANCHOR	print what it holds
 *        golden home			print where block 0 of the volume is
 *        golden key			print the master key
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/kernel.h>

#include "sim.h"

#define UUID		((const u8 *)"0123456789abcdef")
#define DATA_BLOCKS	900
#define LOG_BLOCKS	QVAULT_MIN_LOG_BLOCKS

static const u64 zeros[QVAULT_BLOCK_SIZE / sizeof(u64)];

struct golden {
	struct world world;
	struct sim sim;
	void (*fn)(struct golden *g);
};

/* ---- Files ---- */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void load(struct qvault_dev *dev, const char *path)
{
	u64 data[QVAULT_BLOCK_SIZE / sizeof(u64)], i;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		die(path);
	for (i = 0; i < dev->nr_blocks; i++) {
		struct block *b;

		if (pread(fd, data, sizeof(data), i * sizeof(data)) != sizeof(data))
			die(path);
		if (!memcmp(data, zeros, sizeof(data)))
			continue;
		b = block_new(data);
		dev_set_durable(dev, i, b);
		block_put(b);
	}
	close(fd);
}

/* Only what is durable: it is also what a power cut at the end would leave. */
static void save(const struct qvault_dev *dev, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	u64 i;

	if (fd < 0 || ftruncate(fd, dev->nr_blocks * QVAULT_BLOCK_SIZE))
		die(path);
	for (i = 0; i < dev->nr_blocks; i++) {
		const struct block *b = dev_durable(dev, i);

		if (b && pwrite(fd, b->data, sizeof(b->data),
				i * sizeof(b->data)) != sizeof(b->data))
			die(path);
	}
	close(fd);
}

/* ---- Devices, and a life on them ---- */

static void must(int err)
{
	if (!err)
		return;
	fprintf(stderr, "golden: %s\n", strerror(-err));
	exit(1);
}

static void set_up(struct golden *g)
{
	struct world *world = &g->world;
	struct qvault_geometry geo;

	if (qvault_geometry_init(&geo, DATA_BLOCKS, 0, LOG_BLOCKS))
		shim_fail("impossible geometry");
	world_init(world, 1);
	/* What is made must not depend on when a number was drawn. */
	world->unlucky = true;
	crypto_init(&world->crypto, true, &world->tweaks);
	crypto_unlock(&world->crypto, UUID);
	dev_init(&world->data, "data", world, DATA_BLOCKS, NULL);
	dev_init(&world->anchor, "anchor", world, QVAULT_ANCHOR_BLOCKS, NULL);
	oracle_init(&world->oracle, geo.logical_blocks, NULL, 0);
	world->v.logical_blocks = geo.logical_blocks;
	world->sim = &g->sim;
	g->sim.touched = calloc(geo.logical_blocks, sizeof(u64));
	g->sim.is_touched = calloc(BITS_TO_LONGS(geo.logical_blocks),
				   sizeof(long));
}

static enum qvault_mac find_mac(const char *name)
{
	static const char *const names[] = QVAULT_MAC_NAMES;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && !strcmp(names[i], name))
			return i;
	fprintf(stderr, "golden: no MAC is called %s\n", name);
	exit(2);
}

static void put(struct qvault_dev *dev, u64 place, const void *contents)
{
	struct block *b = block_new(contents);

	dev_set_durable(dev, place, b);
	block_put(b);
}

static void format(struct world *world, enum qvault_mac mac)
{
	struct qvault_disk_label label = {
		.magic = QVAULT_LABEL_MAGIC,
		.format = cpu_to_le32(QVAULT_FORMAT_VERSION),
	};
	struct qvault_disk_anchor disk;

	qvault_new_anchor(&disk, UUID, DATA_BLOCKS, 0, LOG_BLOCKS);
	crypto_format(&world->crypto, &disk, mac);
	put(&world->anchor, QVAULT_SLOT_BLOCK(le64_to_cpu(disk.sequence) & 1), &disk);
	memcpy(label.uuid, UUID, sizeof(label.uuid));
	put(&world->data, 0, &label);
}

static void life(void *arg)
{
	struct golden *g = arg;
	struct qvault_disk_anchor *record =
		kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err = qvault_init(&g->world.v) ?:
		  qvault_attach(&g->world.v, record);

	kfree(record);
	must(err);
	g->fn(g);
	/* As a power cut would: what a detach tidies up would be lost here. */
	g->world.sched.stop = true;
	task_block("the end", g);
}

static void live(struct golden *g, void (*fn)(struct golden *g))
{
	g->fn = fn;
	task_spawn(&g->world.sched, "golden", life, g);
	world_run(&g->world);
}

/* ---- What it holds ---- */

/*
 * Blocks in the tree, in a log block and in the anchor record; some written
 * over, some unmapped, in each of them.
 */
static void fill(struct golden *g)
{
	struct client c = { .world = &g->world };
	u32 i;

	must(op_write(&c, 0, 2));
	must(op_write(&c, 130, 1));
	must(op_checkpoint(&c));
	must(op_write(&c, 1, 1));
	/* More than an anchor record takes, and none of them has a block. */
	for (i = 0; i < 170; i++)
		must(op_unmap(&c, 30 + i % 50 * 2, 1));
	must(op_commit(&c));
	must(op_write(&c, 40, 1));
	must(op_unmap(&c, 130, 1));
	must(op_commit(&c));
	if (!le32_to_cpu(newest_record(&g->world.crypto,
				       &g->world.anchor)->inline_bytes) ||
	    !qvault_log_used(&g->world.v) || !g->world.v.anchor.tree.ptr.version)
		shim_fail("something is missing from the golden vault");
}

/* Another life: blocks over old ones, a checkpoint, and entries in the record. */
static void more(struct golden *g)
{
	struct client c = { .world = &g->world };

	must(op_write(&c, 3, 4));
	must(op_checkpoint(&c));
	must(op_write(&c, 50, 2));
	must(op_commit(&c));
}

static void read_block(struct qvault *v, u64 logical, void *plain)
{
	u64 scratch[QVAULT_BLOCK_SIZE / sizeof(u64)];
	u64 cipher[QVAULT_BLOCK_SIZE / sizeof(u64)];
	struct qvault_ptr ptr;

	must(qvault_lookup(v, logical, 1, &ptr));
	memset(plain, 0, QVAULT_BLOCK_SIZE);
	if (!ptr.version)
		return;
	must(qvault_dev_read(v->data, ptr.where, cipher));
	must(qvault_unseal(v, QVAULT_KIND_DATA, logical, &ptr, cipher, plain,
			   scratch));
}

/* As sha256sum would print it of the whole volume. */
static void digest(struct golden *g)
{
	struct qvault *v = &g->world.v;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	u64 plain[QVAULT_BLOCK_SIZE / sizeof(u64)], i;
	u8 md[32];

	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (i = 0; i < v->geo.logical_blocks; i++) {
		read_block(v, i, plain);
		EVP_DigestUpdate(ctx, plain, sizeof(plain));
	}
	EVP_DigestFinal_ex(ctx, md, NULL);
	EVP_MD_CTX_free(ctx);
	for (i = 0; i < sizeof(md); i++)
		printf("%02x", md[i]);
	printf("  %llu blocks\n", (unsigned long long)v->geo.logical_blocks);
}

static u64 home(void)
{
	struct qvault_geometry geo;

	must(qvault_geometry_init(&geo, DATA_BLOCKS, 0, LOG_BLOCKS));
	return qvault_home(&geo, 0);
}

int main(int argc, char **argv)
{
	struct golden *g = calloc(1, sizeof(*g));
	const char *verb = argc > 1 ? argv[1] : "";

	set_up(g);
	if (argc == 2 && !strcmp(verb, "key"))
		return !fwrite(g->world.crypto.master,
			       sizeof(g->world.crypto.master), 1, stdout);
	if (argc == 2 && !strcmp(verb, "home"))
		return !printf("%llu\n", (unsigned long long)home());
	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: golden format|make|more|open DATA ANCHOR [MAC]\n");
		return 2;
	}
	if (!strcmp(verb, "open")) {
		load(&g->world.data, argv[2]);
		load(&g->world.anchor, argv[3]);
		g->world.v.read_only = true;
		g->world.expect_corruption = true;
		live(g, digest);
	} else if (!strcmp(verb, "more")) {
		load(&g->world.data, argv[2]);
		load(&g->world.anchor, argv[3]);
		live(g, more);
		save(&g->world.data, argv[2]);
		save(&g->world.anchor, argv[3]);
	} else {
		format(&g->world, find_mac(argc == 5 ? argv[4] : "hmac-sha256"));
		if (!strcmp(verb, "make"))
			live(g, fill);
		save(&g->world.data, argv[2]);
		save(&g->world.anchor, argv[3]);
	}
	world_crash(&g->world);
	free(g->sim.touched);
	free(g->sim.is_touched);
	free(g);
	return 0;
}
