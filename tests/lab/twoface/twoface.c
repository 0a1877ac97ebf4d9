// SPDX-License-Identifier: GPL-2.0
/*
 * Test only.  A device with two faces: of one block, every other read is answered
 * from another device.  What is checked at the first read and believed at the
 * second is found out by it.
 *
 *	<start> <length> twoface <device> <other device>
 *	dmsetup message NAME 0 turn BLOCK FIRST
 *
 * Reads of BLOCK (of 4 KiB) are counted from 0: FIRST comes from the other device,
 * and then every second one.
 */
#include <linux/atomic.h>
#include <linux/device-mapper.h>
#include <linux/module.h>
#include <linux/slab.h>

#define BLOCK_SECTORS	8

struct twoface {
	struct dm_dev *dev;
	struct dm_dev *other;
	u64 block;
	u32 first;
	atomic_t reads;
};

static void twoface_dtr(struct dm_target *ti)
{
	struct twoface *t = ti->private;

	if (t->other)
		dm_put_device(ti, t->other);
	if (t->dev)
		dm_put_device(ti, t->dev);
	kfree(t);
}

static int twoface_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct twoface *t;
	int err;

	if (argc != 2) {
		ti->error = "Two devices are needed";
		return -EINVAL;
	}
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	ti->private = t;
	t->block = U64_MAX;
	err = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &t->dev);
	if (!err)
		err = dm_get_device(ti, argv[1], dm_table_get_mode(ti->table),
				    &t->other);
	/* One block a bio, so that each read of it is seen. */
	if (!err)
		err = dm_set_target_max_io_len(ti, BLOCK_SECTORS);
	if (err) {
		ti->error = "A device cannot be had";
		twoface_dtr(ti);
		return err;
	}
	ti->num_flush_bios = 1;
	return 0;
}

static bool other_face(struct twoface *t)
{
	u32 n = atomic_inc_return(&t->reads) - 1;

	return n >= t->first && !((n - t->first) & 1);
}

static int twoface_map(struct dm_target *ti, struct bio *bio)
{
	struct twoface *t = ti->private;
	struct dm_dev *dev = t->dev;

	if (bio_op(bio) == REQ_OP_READ && bio->bi_iter.bi_size &&
	    bio->bi_iter.bi_sector / BLOCK_SECTORS == READ_ONCE(t->block) &&
	    other_face(t))
		dev = t->other;
	bio_set_dev(bio, dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int twoface_message(struct dm_target *ti, unsigned int argc, char **argv,
			   char *result, unsigned int size)
{
	struct twoface *t = ti->private;
	u64 block;
	u32 first;

	if (argc != 3 || strcmp(argv[0], "turn") ||
	    kstrtou64(argv[1], 10, &block) || kstrtou32(argv[2], 10, &first))
		return -EINVAL;
	WRITE_ONCE(t->block, U64_MAX);
	t->first = first;
	atomic_set(&t->reads, 0);
	WRITE_ONCE(t->block, block);
	return 0;
}

static int twoface_iterate_devices(struct dm_target *ti,
				   iterate_devices_callout_fn fn, void *data)
{
	struct twoface *t = ti->private;

	return fn(ti, t->dev, 0, ti->len, data);
}

static struct target_type twoface_target = {
	.name = "twoface",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = twoface_ctr,
	.dtr = twoface_dtr,
	.map = twoface_map,
	.message = twoface_message,
	.iterate_devices = twoface_iterate_devices,
};
module_dm(twoface);

MODULE_DESCRIPTION("A device that answers every other read differently");
MODULE_LICENSE("GPL");
