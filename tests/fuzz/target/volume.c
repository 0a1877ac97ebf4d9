// SPDX-License-Identifier: GPL-2.0
/*
 * A whole volume whose metadata somebody with the key has changed: every node,
 * map block, log block and the anchor record are opened, changed as the input
 * says, and sealed again from the bottom up.  The engine may refuse them or
 * show some contents, but must not fall over them, hang, or write metadata over
 * data: also when it then writes, commits, checkpoints and attaches again.
 */
#include <errno.h>

#include "fuzz.h"
#include "platform.h"

/* Two groups: three levels of tree, two of map. */
#define DATA_BLOCKS	36000
#define MAX_PARTS	64

/* A structure, and where the pointer to it stands. */
struct part {
	enum qvault_kind kind;		/* 0: the anchor record */
	u32 level;
	u64 id;				/* node index or log sequence */
	u32 parent;
	u32 at;				/* of the pointer, in the parent */
	u8 plain[QVAULT_BLOCK_SIZE];
};

static struct fuzz_world world;
static struct part part[MAX_PARTS];	/* parents before children */
static u32 nr_parts;
static u8 (*now)[QVAULT_BLOCK_SIZE];	/* as the input has changed them */

static const u16 interesting[] = {
	0, 1, 5, 127, 128, 129, 300, 1000, 16383, 16384, 16385, 32255, 32256,
	32257, 33000,
};

/* ---- The volume as it was ---- */

static u64 place(const struct part *p, const struct qvault_ptr *ptr, u32 copy)
{
	if (p->kind == QVAULT_KIND_LOG)
		return qvault_log_block(&world.v.geo, p->id);
	return qvault_node_block(&world.v.geo, p->kind, p->level, p->id,
				 qvault_node_slot(ptr), copy);
}

static u64 sealed_id(const struct part *p)
{
	return p->kind == QVAULT_KIND_LOG ? p->id :
	       qvault_node_id(p->level, p->id);
}

static void pointer(struct qvault_ptr *ptr, const u8 *parent, u32 at)
{
	qvault_ptr_from_disk(ptr, (const struct qvault_disk_ptr *)(parent + at));
}

/* Opens one structure; false if there is none. */
static bool add(enum qvault_kind kind, u32 level, u64 id, u32 parent, u32 at)
{
	struct part *p = &part[nr_parts];
	struct qvault_ptr ptr;
	u8 scratch[QVAULT_BLOCK_SIZE];

	pointer(&ptr, part[parent].plain, at);
	if (!ptr.version)
		return false;
	FUZZ_CHECK(nr_parts < MAX_PARTS);
	p->kind = kind;
	p->level = level;
	p->id = id;
	p->parent = parent;
	p->at = at;
	FUZZ_CHECK(!qvault_unseal(&world.v, kind, sealed_id(p), &ptr,
				  fuzz_dev_at(&world.data, place(p, &ptr, 0)),
				  p->plain, scratch));
	nr_parts++;
	return true;
}

static void add_tree(enum qvault_kind kind, u32 level, u64 index, u32 parent,
		     u32 at)
{
	u32 self = nr_parts, i;

	if (!add(kind, level, index, parent, at) || !level)
		return;
	for (i = 0; i < QVAULT_FANOUT; i++)
		add_tree(kind, level - 1, index * QVAULT_FANOUT + i, self,
			 i * sizeof(struct qvault_disk_ptr));
}

static void add_all(void)
{
	struct qvault_disk_anchor *record = (void *)part[0].plain;
	u64 sequence;

	memcpy(record, fuzz_dev_at(&world.anchor, QVAULT_SLOT_BLOCK(world.v.anchor.sequence & 1)),
	       sizeof(*record));
	nr_parts = 1;
	add_tree(QVAULT_KIND_NODE, record->tree_level, 0, 0,
		 offsetof(struct qvault_disk_anchor, tree));
	add_tree(QVAULT_KIND_MAP, record->map_level, 0, 0,
		 offsetof(struct qvault_disk_anchor, map));
	for (sequence = le64_to_cpu(record->log_head);
	     sequence >= le64_to_cpu(record->log_tail); sequence--)
		if (sequence == le64_to_cpu(record->log_head))
			add(QVAULT_KIND_LOG, 0, sequence, 0,
			    offsetof(struct qvault_disk_anchor, log));
		else
			add(QVAULT_KIND_LOG, 0, sequence, nr_parts - 1, 0);
}

static void format(void)
{
	struct qvault_disk_anchor *record = calloc(1, sizeof(*record));

	FUZZ_CHECK(!qvault_new_anchor(record, FUZZ_UUID, DATA_BLOCKS, 0, 64));
	crypto_format(&world.crypto, record, QVAULT_MAC_HMAC_SHA256_128);
	fuzz_dev_put(&world.anchor, QVAULT_SLOT_BLOCK(1), record);
	free(record);
}

/* Some of it in the tree, some in the log, some inline. */
static void populate(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(interesting); i++)
		FUZZ_CHECK(!fuzz_write(&world, interesting[i], 3, i + 1));
	FUZZ_CHECK(!qvault_checkpoint(&world.v));
	for (i = 0; i < ARRAY_SIZE(interesting); i++)
		FUZZ_CHECK(!fuzz_write(&world, interesting[i] + 1, 20, 100 + i));
	FUZZ_CHECK(!qvault_unmap(&world.v, 120, 400));
	FUZZ_CHECK(!qvault_commit(&world.v));
	for (i = 0; i < 20; i++)
		FUZZ_CHECK(!fuzz_write(&world, 2000 + 7 * i, 16, i));
	FUZZ_CHECK(!qvault_commit(&world.v));
	FUZZ_CHECK(!fuzz_write(&world, 77, 3, 7));
	FUZZ_CHECK(!qvault_unmap(&world.v, 0, 1));
	FUZZ_CHECK(!qvault_commit(&world.v));
}

/* ---- The changes ---- */

static void unchanged(void)
{
	u32 i;

	for (i = 0; i < nr_parts; i++)
		memcpy(now[i], part[i].plain, QVAULT_BLOCK_SIZE);
}

static void change(struct fuzz_input *in)
{
	u8 what;

	unchanged();
	/* A zero byte ends them; what follows is what to do with the volume. */
	while ((what = fuzz_take(in, 1))) {
		u32 to = what % nr_parts;

		if (what & 0x80)
			memcpy(now[to], now[fuzz_take(in, 1) % nr_parts],
			       QVAULT_BLOCK_SIZE);
		else
			fuzz_patch(in, now[to], to ? QVAULT_BLOCK_SIZE : 1024);
	}
}

/* Children first, for a parent holds their tags. */
static void seal_all(void)
{
	const struct qvault_disk_anchor *record = (const void *)part[0].plain;
	u8 cipher[QVAULT_BLOCK_SIZE];
	struct qvault_ptr ptr;
	u32 i;

	for (i = nr_parts - 1; i; i--) {
		struct qvault_disk_ptr *disk =
			(void *)(now[part[i].parent] + part[i].at);

		qvault_ptr_from_disk(&ptr, disk);
		if (!ptr.version)
			continue;
		/* Not, of a generation that there is not. */
		if (qvault_seal(&world.v, part[i].kind, sealed_id(&part[i]), &ptr,
				now[i], cipher))
			continue;
		fuzz_dev_put(&world.data, place(&part[i], &ptr, 0), cipher);
		if (part[i].kind != QVAULT_KIND_LOG &&
		    qvault_node_twice(part[i].kind, part[i].level))
			fuzz_dev_put(&world.data, place(&part[i], &ptr, 1), cipher);
		memcpy(disk->tag, ptr.tag, sizeof(disk->tag));
	}
	fuzz_sign(&world, (struct qvault_disk_anchor *)now[0]);
	fuzz_dev_put(&world.anchor, QVAULT_SLOT_BLOCK(le64_to_cpu(record->sequence) & 1),
		     now[0]);
}

/* ---- What is done with it ---- */

static void read_some(void)
{
	u64 blocks = world.v.geo.logical_blocks;
	u8 value;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(interesting); i++) {
		fuzz_read(&world, interesting[i] % blocks, &value);
		fuzz_read(&world, (interesting[i] + 2) % blocks, &value);
	}
	fuzz_read(&world, blocks - 1, &value);
}

static void use(struct fuzz_input *in)
{
	u64 blocks = world.v.geo.logical_blocks, logical;
	u32 steps = 0, count;
	u8 value;

	while (in->left && steps++ < 12) {
		u8 what = fuzz_take(in, 1);

		logical = what & 0x80 ? fuzz_take(in, 4) % blocks :
			  interesting[what / 8 % ARRAY_SIZE(interesting)] % blocks;
		count = min_t(u64, 1 + fuzz_take(in, 1) % 20, blocks - logical);
		switch (what % 8) {
		case 0:
		case 1:
			fuzz_write(&world, logical, count, steps);
			break;
		case 2:
			qvault_unmap(&world.v, logical, count);
			break;
		case 3:
			qvault_unmap(&world.v, logical,
				     min_t(u64, count * 200ull, blocks - logical));
			break;
		case 4:
			qvault_commit(&world.v);
			break;
		case 5:
			qvault_checkpoint(&world.v);
			break;
		default:
			fuzz_read(&world, logical, &value);
		}
	}
}

/*
 * A vault that was attached gives the same answers as long as nobody writes, and
 * what it has itself made durable attaches again, unless it was corrupt before.
 */
static void try_it(struct fuzz_input *in)
{
	u8 how = fuzz_take(in, 1);
	int err, first = 0;

	world.v.allow_discards = how & 1;
	if (how & 2) {
		first = fuzz_attach(&world, true);
		if (!first)
			read_some();
		qvault_detach(&world.v);
	}
	err = fuzz_attach(&world, false);
	FUZZ_CHECK(!(how & 2) || err == first);
	if (err) {
		FUZZ_CHECK(err == -EILSEQ || err == -EUCLEAN || err == -ENXIO ||
			   err == -EPROTONOSUPPORT || err == -EKEYREJECTED ||
			   err == -ENODATA || err == -EIO);
		return;
	}
	read_some();
	use(in);
	read_some();
	qvault_detach(&world.v);
	if (how & 4 && !fuzz_attach(&world, true)) {
		read_some();
		qvault_detach(&world.v);
	}
}

static void keys_as_they_were(void)
{
	const struct qvault_disk_anchor *record = (const void *)part[0].plain;
	u32 gen;

	crypto_unlock(&world.crypto, FUZZ_UUID);
	for (gen = 1; gen <= QVAULT_GENERATIONS; gen++)
		qvault_crypto_forget(&world.crypto, gen);
	FUZZ_CHECK(!qvault_crypto_open(&world.crypto, 0, &record->gen[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct qvault_geometry geo = world.v.geo;

	change(&in);
	seal_all();
	try_it(&in);
	/* As it was before: the next run seals by these. */
	world.v.geo = geo;
	keys_as_they_were();
	fuzz_dev_reset(&world.data);
	fuzz_dev_reset(&world.anchor);
	return 0;
}

/* A volume that is refused as it is would show nothing of what is changed in it. */
static void must_be_a_volume(void)
{
	unchanged();
	seal_all();
	FUZZ_CHECK(!fuzz_attach(&world, false));
	FUZZ_CHECK(!qvault_detach(&world.v));
	fuzz_dev_reset(&world.data);
	fuzz_dev_reset(&world.anchor);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_world_init(&world, DATA_BLOCKS);
	format();
	FUZZ_CHECK(!fuzz_attach(&world, false));
	populate();
	add_all();
	/* What a crash here would leave is where every run begins. */
	fuzz_dev_keep(&world.data);
	fuzz_dev_keep(&world.anchor);
	FUZZ_CHECK(!qvault_detach(&world.v));
	fuzz_dev_reset(&world.data);
	fuzz_dev_reset(&world.anchor);
	now = malloc(sizeof(*now) * nr_parts);
	must_be_a_volume();
	return 0;
}
