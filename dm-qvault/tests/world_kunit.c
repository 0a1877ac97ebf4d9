// SPDX-License-Identifier: GPL-2.0
/*
 * The fixture of the suites: see world.h.
 */
#include <linux/blkdev.h>
#include <linux/vmalloc.h>

#include "world.h"

/* ---- Disks in memory ---------------------------------------------------- */

static void memdisk_submit(struct bio *bio)
{
	struct memdisk *m = bio->bi_bdev->bd_disk->private_data;
	u64 at = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT;
	struct bvec_iter iter;
	struct bio_vec vec;

	m->flushes += !!(bio->bi_opf & REQ_PREFLUSH);
	m->fuas += !!(bio->bi_opf & REQ_FUA);
	if (bio_has_data(bio)) {
		m->writes += op_is_write(bio_op(bio));
		m->reads += !op_is_write(bio_op(bio));
		bio_for_each_segment(vec, bio, iter) {
			if (op_is_write(bio_op(bio)))
				memcpy_from_bvec(m->data + at, &vec);
			else
				memcpy_to_bvec(&vec, m->data + at);
			at += vec.bv_len;
		}
	}
	bio_endio(bio);
}

static const struct block_device_operations memdisk_ops = {
	.owner = THIS_MODULE,
	.submit_bio = memdisk_submit,
};

static void memdisk_free(void *arg)
{
	struct memdisk *m = arg;

	if (m->disk) {
		del_gendisk(m->disk);
		put_disk(m->disk);
	}
	vfree(m->data);
}

static void memdisk_new(struct kunit *test, struct memdisk *m, u64 blocks,
			const char *name)
{
	struct queue_limits limits = {
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};
	struct gendisk *disk;

	m->blocks = blocks;
	m->data = vzalloc(blocks << QVAULT_BLOCK_SHIFT);
	KUNIT_ASSERT_NOT_NULL(test, m->data);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, memdisk_free, m));
	disk = blk_alloc_disk(&limits, NUMA_NO_NODE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, disk);
	disk->fops = &memdisk_ops;
	disk->private_data = m;
	snprintf(disk->disk_name, DISK_NAME_LEN, "qvault-%s", name);
	set_capacity(disk, blocks << (QVAULT_BLOCK_SHIFT - SECTOR_SHIFT));
	if (add_disk(disk)) {
		put_disk(disk);
		KUNIT_ASSERT_TRUE_MSG(test, false, "no disk");
	}
	m->disk = disk;
}

/* ---- Keys --------------------------------------------------------------- */

void world_master(u8 master[QVAULT_MASTER_KEY_SIZE])
{
	u32 i;

	for (i = 0; i < QVAULT_MASTER_KEY_SIZE; i++)
		master[i] = 3 * i + 1;
}

void world_uuid(u8 uuid[QVAULT_UUID_SIZE])
{
	u32 i;

	for (i = 0; i < QVAULT_UUID_SIZE; i++)
		uuid[i] = 0xa0 + i;
}

/* The secret is 00 01 .. 1f; tests/mac/vectors has wrapped it. */
void world_generation(struct qvault_disk_generation *disk, enum qvault_mac mac)
{
	static const u8 wrapped[QVAULT_WRAPPED_SIZE] = {
		0x08, 0xc2, 0x36, 0xf2, 0x38, 0x8d, 0xcc, 0x57,
		0x7e, 0x43, 0xfc, 0x87, 0xae, 0xb0, 0x92, 0x95,
		0x69, 0xe1, 0x45, 0x90, 0x0e, 0x03, 0xd5, 0xfb,
		0x84, 0xa8, 0x06, 0x8e, 0x57, 0x44, 0x3a, 0x7d,
		0x61, 0xc1, 0xca, 0x15, 0x24, 0xe3, 0xa7, 0x05,
	};

	memset(disk, 0, sizeof(*disk));
	disk->cipher = QVAULT_CIPHER_AES_256_XTS;
	disk->mac = mac;
	memcpy(disk->wrapped, wrapped, sizeof(wrapped));
}

static void crypto_free(void *crypto)
{
	qvault_crypto_free(crypto);
}

struct qvault_crypto *world_crypto(struct kunit *test, enum qvault_mac mac)
{
	u8 master[QVAULT_MASTER_KEY_SIZE], uuid[QVAULT_UUID_SIZE];
	struct qvault_disk_generation disk;
	struct qvault_crypto *crypto;
	u8 check[QVAULT_CHECK_SIZE];

	world_master(master);
	world_uuid(uuid);
	crypto = qvault_crypto_new(master);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crypto);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, crypto_free, crypto));
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, check));
	world_generation(&disk, mac);
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_open(crypto, 0, &disk));
	return crypto;
}

/* ---- The vault ---------------------------------------------------------- */

static void world_free(void *arg)
{
	struct qvault_volume *vol = arg;

	qvault_unclaim(&vol->claim);
	qvault_exit(&vol->v);
	qvault_pools_exit(vol);
	kfree(vol);
}

void world_record(struct kunit *test, struct qvault_crypto *crypto,
		  struct qvault_disk_anchor *disk, u64 data_blocks, u32 log_blocks)
{
	u8 uuid[QVAULT_UUID_SIZE];

	world_uuid(uuid);
	KUNIT_ASSERT_EQ(test, 0, qvault_new_anchor(disk, uuid, data_blocks, 0,
						   log_blocks));
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, disk->check));
	world_generation(&disk->gen[0], QVAULT_MAC_HMAC_SHA256_128);
	disk->seal = 0;
}

static void format(struct kunit *test, struct world *w, u32 log_blocks)
{
	struct qvault_disk_anchor *disk =
		(void *)(w->anchor.data + QVAULT_SLOT_BLOCK(1) * QVAULT_BLOCK_SIZE);
	struct qvault_crypto *crypto = w->vol->v.crypto;
	int err;

	world_record(test, crypto, disk, w->data.blocks, log_blocks);
	err = qvault_crypto_anchor_mac(crypto, disk,
				       offsetof(struct qvault_disk_anchor, mac),
				       disk->mac);
	KUNIT_ASSERT_EQ(test, 0, err);
}

struct world *world_new(struct kunit *test, u64 data_blocks, u32 log_blocks)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct qvault_volume *vol;

	KUNIT_ASSERT_NOT_NULL(test, w);
	memdisk_new(test, &w->data, data_blocks, "data");
	memdisk_new(test, &w->anchor, QVAULT_ANCHOR_BLOCKS, "anchor");
	vol = kzalloc(sizeof(*vol), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vol);
	w->vol = vol;
	vol->v.crypto = world_crypto(test, QVAULT_MAC_HMAC_SHA256_128);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, world_free, vol));
	vol->v.platform = vol;
	vol->v.memory_mib = 2;
	mutex_init(&vol->life_mutex);
	KUNIT_ASSERT_EQ(test, 0, qvault_pools_init(vol));
	KUNIT_ASSERT_EQ(test, 0, qvault_init(&vol->v));
	vol->data.bdev = w->data.disk->part0;
	vol->anchor.bdev = w->anchor.disk->part0;
	vol->v.data = &vol->data;
	vol->v.anchor_dev = &vol->anchor;
	format(test, w, log_blocks);
	return w;
}

void world_attach(struct kunit *test, struct world *w)
{
	struct qvault_disk_anchor *record =
		kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err = qvault_attach(&w->vol->v, record);

	kfree(record);
	KUNIT_ASSERT_EQ_MSG(test, 0, err, "%s", w->vol->v.reason ?: "");
}

/* Each 64-bit word says whose block it is. */
static u64 word_of(u64 logical, u32 stamp, u32 i)
{
	return (u64)stamp << 40 ^ logical << 12 ^ i;
}

static void write_sealed(struct kunit *test, struct qvault *v,
			 struct qvault_write *w, u32 stamp)
{
	struct qvault_batch *batch = qvault_batch_begin(v, v->data, QVAULT_USE_COMMIT);
	u64 *plain = qvault_buf_get(v, QVAULT_USE_READ);
	u32 i, k;

	for (i = 0; i < w->count; i++) {
		void *cipher = qvault_batch_buf(batch);

		for (k = 0; k < QVAULT_BLOCK_SIZE / sizeof(*plain); k++)
			plain[k] = word_of(w->logical + i, stamp, k);
		KUNIT_EXPECT_EQ(test, 0, qvault_seal(v, QVAULT_KIND_DATA,
						     w->logical + i, &w->ptr[i],
						     plain, cipher));
		qvault_batch_write(batch, w->ptr[i].where, cipher);
	}
	KUNIT_EXPECT_EQ(test, 0, qvault_batch_wait(batch));
	qvault_batch_end(batch);
	qvault_buf_put(plain);
}

void world_write(struct kunit *test, struct world *world, u64 logical, u32 count,
		 u32 stamp)
{
	struct qvault *v = &world->vol->v;
	struct qvault_write *w;

	w = kunit_kzalloc(test, struct_size(w, ptr, QVAULT_MAX_RUN), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	while (count) {
		w->logical = logical;
		w->count = min(count, QVAULT_MAX_RUN);
		KUNIT_ASSERT_EQ(test, 0, qvault_write_begin(v, w));
		write_sealed(test, v, w, stamp);
		KUNIT_ASSERT_EQ(test, 0, qvault_write_end(v, w, 0));
		logical += w->count;
		count -= w->count;
	}
	kunit_kfree(test, w);
}

u32 world_read(struct kunit *test, struct world *w, u64 logical)
{
	struct qvault *v = &w->vol->v;
	struct qvault_scratch *scratch;
	struct qvault_ptr ptr;
	u64 *plain;
	u32 stamp, i;

	KUNIT_ASSERT_EQ(test, 0, qvault_lookup(v, logical, 1, &ptr));
	if (!ptr.version)
		return 0;
	plain = qvault_buf_get(v, QVAULT_USE_READ);
	scratch = kmalloc(sizeof(*scratch), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, scratch);
	KUNIT_EXPECT_EQ(test, 0, qvault_dev_read(v->data, ptr.where, plain));
	KUNIT_EXPECT_EQ(test, 0, qvault_unseal(v, QVAULT_KIND_DATA, logical, &ptr,
					       plain, scratch->block[0],
					       scratch->block[1]));
	memcpy(plain, scratch->block[0], QVAULT_BLOCK_SIZE);
	stamp = (plain[0] ^ logical << 12) >> 40;
	for (i = 0; i < QVAULT_BLOCK_SIZE / sizeof(*plain); i++)
		if (plain[i] != word_of(logical, stamp, i))
			break;
	KUNIT_EXPECT_EQ(test, QVAULT_BLOCK_SIZE / sizeof(*plain), i);
	kfree(scratch);
	qvault_buf_put(plain);
	return stamp;
}
