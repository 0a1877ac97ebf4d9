// SPDX-License-Identifier: GPL-2.0
/*
 * The dm target: from a table line to a volume, and back.
 *
 * A reload constructs the new table while the old one still writes.  So the
 * constructor only parses, opens and fetches the key; and if a volume runs already,
 * a table that cannot take it over is refused here, before the old one is gone.
 * Attaching is for preresume(), and a checkpoint for postsuspend().
 *
 * There is no prepare_ioctl(): an ioctl that went through to the data device
 * would read or write behind the vault's back.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "platform.h"

/* ---- Devices ------------------------------------------------------------ */

static const struct mapped_device *md_of(const struct qvault_target *tgt)
{
	return dm_table_get_md(tgt->ti->table);
}

static int check_device(struct qvault_target *tgt, struct block_device *bdev,
			bool let_go)
{
	char **error = &tgt->ti->error;

	if (bdev_logical_block_size(bdev) > QVAULT_BLOCK_SIZE) {
		*error = "Device has logical blocks of more than 4096 bytes";
		return -EINVAL;
	}
	if (bdev_is_zoned(bdev)) {
		*error = "Device is zoned";
		return -EINVAL;
	}
	/*
	 * A reload names the devices of the table that it replaces.  Who lets go of an
	 * anchor may share it, but not with who replaces the records on it.
	 */
	if (qvault_claimed(bdev->bd_dev, md_of(tgt), let_go)) {
		*error = "Device is in use by another vault";
		return -EBUSY;
	}
	return 0;
}

static int open_device(struct qvault_target *tgt, struct dm_dev **dev,
		       const char *path, bool let_go, char *missing)
{
	blk_mode_t mode = BLK_OPEN_READ;
	struct dm_target *ti = tgt->ti;
	int err;

	/* What was written under an earlier table may still have to be committed. */
	if (!let_go && (!tgt->read_only || qvault_volume_writes(md_of(tgt))))
		mode |= BLK_OPEN_WRITE;
	err = dm_get_device(ti, path, mode, dev);
	if (err) {
		*dev = NULL;
		ti->error = missing;
		return err;
	}
	return check_device(tgt, (*dev)->bdev, let_go);
}

static int open_anchor(struct qvault_target *tgt, struct dm_dev **anchor, bool let_go)
{
	int err = open_device(tgt, anchor, tgt->args.anchor, let_go,
			      "Cannot open anchor device");

	if (err)
		return err;
	if ((*anchor)->bdev == tgt->data->bdev) {
		tgt->ti->error = "Data and anchor are the same device";
		return -EINVAL;
	}
	return 0;
}

static int open_devices(struct qvault_target *tgt)
{
	int err = open_device(tgt, &tgt->data, tgt->args.data, false,
			      "Cannot open data device");

	if (err || !tgt->args.anchor || tgt->args.ephemeral)
		return err;
	return open_anchor(tgt, &tgt->anchor, false);
}

/* ---- A volume that runs already ----------------------------------------- */

static int refuse(struct qvault_target *tgt, char *why, int err)
{
	tgt->ti->error = why;
	return err;
}

/*
 * Whether it fits is asked once more at the resume: until then another table may
 * have made the volume larger, which never makes it fit less.
 */
static int check_size(struct qvault_target *tgt)
{
	struct qvault *v = &tgt->vol->v;
	struct qvault_geometry geo;
	u64 blocks;

	read_lock(&v->map_lock);
	geo = v->geo;
	read_unlock(&v->map_lock);
	if (tgt->logical_blocks <= geo.logical_blocks)
		return 0;
	if (!tgt->args.grow || tgt->read_only)
		return refuse(tgt, "Table maps more than the running vault has", -EMSGSIZE);
	blocks = min_t(u64, qvault_dev_blocks(v->data), QVAULT_MAX_DATA_BLOCKS);
	if (qvault_geometry_init(&geo, blocks, tgt->logical_blocks, geo.log_blocks))
		return refuse(tgt, "Data device is too small for the vault to grow so far",
			      -ENOSPC);
	return 0;
}

/* Keeps what it is on, in what form, and whether it may write there. */
static int check_substance(struct qvault_target *tgt)
{
	const struct qvault_volume *vol = tgt->vol;

	if (tgt->data->bdev != vol->data.bdev)
		return refuse(tgt, "The running vault has another data device", -EBUSY);
	if (!tgt->anchor != !vol->anchor.bdev)
		return refuse(tgt, tgt->anchor ? "The running vault is ephemeral" :
			      "The running vault is not ephemeral", -EBUSY);
	if (tgt->anchor && tgt->anchor->bdev != vol->anchor.bdev)
		return refuse(tgt, "The running vault has another anchor device", -EBUSY);
	if (tgt->args.ephemeral != !!vol->anchor.copy)
		return refuse(tgt, vol->anchor.copy ?
			      "The running vault began with a record" :
			      "The running vault began with none", -EBUSY);
	if (!tgt->args.anchor && tgt->args.mac != vol->mac)
		return refuse(tgt, "The running vault has another MAC", -EBUSY);
	if (!tgt->read_only && vol->v.read_only)
		return refuse(tgt, "The running vault was attached read-only", -EROFS);
	if (!tgt->read_only && tgt->args.settle != vol->v.settle)
		return refuse(tgt, vol->v.settle ?
			      "The running vault is shared: give its number of seconds" :
			      "The running vault is not shared", -EBUSY);
	return check_size(tgt);
}

static int check_key(struct qvault_target *tgt, const u8 *master)
{
	int err;

	/* The key of a vault without an anchor was made for it, and is not told. */
	if (!tgt->args.anchor)
		return 0;
	err = qvault_crypto_same_key(tgt->vol->v.crypto, master);
	if (err == -EKEYREJECTED)
		tgt->ti->error = "The running vault has another key";
	else if (err)
		tgt->ti->error = "Cannot compare the key with that of the running vault";
	return err;
}

static int check_takeover(struct qvault_target *tgt, const u8 *master)
{
	int err = check_substance(tgt);

	return err ?: check_key(tgt, master);
}

/* The anchor is open for no longer than this: it may go, or live on. */
static int copy_anchor(struct qvault_target *tgt)
{
	struct dm_dev *anchor;
	int err;

	err = open_anchor(tgt, &anchor, true);
	if (!err && qvault_volume_copy_anchor(tgt->vol, anchor))
		err = refuse(tgt, "Cannot allocate memory for the anchor", -ENOMEM);
	if (anchor)
		dm_put_device(tgt->ti, anchor);
	return err;
}

static int make_volume(struct qvault_target *tgt, const u8 *master)
{
	struct qvault_crypto *crypto = qvault_crypto_new(master);

	if (IS_ERR(crypto))
		return refuse(tgt, "Cannot set up xts(aes) and hmac(sha256)",
			      PTR_ERR(crypto));
	tgt->vol = qvault_volume_new(tgt, crypto);
	if (!tgt->vol)
		return refuse(tgt, "Cannot allocate memory for the vault", -ENOMEM);
	return tgt->args.ephemeral ? copy_anchor(tgt) : 0;
}

/* Take over the one that runs, or make one. */
static int get_volume(struct qvault_target *tgt)
{
	u8 master[QVAULT_MASTER_KEY_SIZE];
	int err;

	err = qvault_key_get(&tgt->args, master, &tgt->ti->error);
	if (err)
		goto out;
	tgt->vol = qvault_volume_running(md_of(tgt));
	err = tgt->vol ? check_takeover(tgt, master) : make_volume(tgt, master);
out:
	memzero_explicit(master, sizeof(master));
	return err;
}

/* ---- Construction ------------------------------------------------------- */

static int parse_table(struct qvault_target *tgt, unsigned int argc, char **argv)
{
	struct dm_target *ti = tgt->ti;
	int err;

	err = qvault_args_parse(&tgt->args, argc, argv, &ti->error);
	if (err)
		return err;
	if (ti->len % QVAULT_SECTORS) {
		ti->error = "Length is not a multiple of 8 sectors";
		return -EINVAL;
	}
	tgt->logical_blocks = ti->len / QVAULT_SECTORS;
	tgt->read_only = tgt->args.read_only ||
			 !(dm_table_get_mode(ti->table) & BLK_OPEN_WRITE);
	if (tgt->read_only && tgt->args.grow) {
		ti->error = "A vault that is read-only cannot grow";
		return -EINVAL;
	}
	if (tgt->read_only && (tgt->args.ephemeral || !tgt->args.anchor)) {
		ti->error = "An ephemeral vault cannot be read-only";
		return -EINVAL;
	}
	err = dm_set_target_max_io_len(ti, QVAULT_IO_BLOCKS * QVAULT_SECTORS);
	if (err)
		ti->error = "Cannot limit the size of I/O";
	return err;
}

static void set_features(struct dm_target *ti)
{
	ti->per_io_data_size = sizeof(struct qvault_io);
	/* A flush is a commit, whatever the data device knows of flushes. */
	ti->num_flush_bios = 1;
	ti->flush_supported = true;
	/* A discard is an unmap, whatever the data device knows of discards. */
	ti->num_discard_bios = 1;
	ti->discards_supported = true;
	ti->num_write_zeroes_bios = 1;
	/* Sealed pages of ours stand behind each page that is swapped out. */
	ti->limit_swap_bios = true;
}

/* The one way down, from whatever there is. */
static void free_target(struct qvault_target *tgt)
{
	struct dm_target *ti = tgt->ti;

	/* First, since this may be the end of what uses the devices. */
	if (tgt->vol)
		qvault_volume_put(tgt->vol, ti->table);
	if (tgt->anchor)
		dm_put_device(ti, tgt->anchor);
	if (tgt->data)
		dm_put_device(ti, tgt->data);
	qvault_args_free(&tgt->args);
	kfree(tgt);
}

/*
 * <data_dev> <anchor_dev|-> <key|-> [<#opts> <opt>...], see args.c
 */
static int qvault_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct qvault_target *tgt;
	int err;

	tgt = kzalloc(sizeof(*tgt), GFP_KERNEL);
	if (!tgt) {
		ti->error = "Cannot allocate memory for the target";
		return -ENOMEM;
	}
	tgt->ti = ti;
	err = parse_table(tgt, argc, argv);
	if (!err)
		err = open_devices(tgt);
	/* Last: whoever refers to a volume holds its devices open. */
	if (!err)
		err = get_volume(tgt);
	if (err) {
		free_target(tgt);
		return err;
	}
	set_features(ti);
	ti->private = tgt;
	return 0;
}

static void qvault_dtr(struct dm_target *ti)
{
	free_target(ti->private);
}

/* ---- Service ------------------------------------------------------------ */

static int qvault_preresume(struct dm_target *ti)
{
	struct qvault_target *tgt = ti->private;

	return qvault_volume_resume(tgt->vol, tgt);
}

static void qvault_postsuspend(struct dm_target *ti)
{
	struct qvault_target *tgt = ti->private;

	qvault_volume_suspend(tgt->vol);
}

static int qvault_map(struct dm_target *ti, struct bio *bio)
{
	struct qvault_target *tgt = ti->private;

	/* The volume may well write, under the table that this one has replaced. */
	if (tgt->read_only && op_is_write(bio_op(bio)) && bio_sectors(bio))
		return DM_MAPIO_KILL;
	return qvault_map_bio(tgt->vol, bio);
}

/*
 * The anchor is not named here: this is for limits that bios to the vault have
 * to respect, and none of them reaches it.
 */
static int qvault_iterate_devices(struct dm_target *ti,
				  iterate_devices_callout_fn fn, void *data)
{
	struct qvault_target *tgt = ti->private;

	return fn(ti, tgt->data, 0,
		  round_down(bdev_nr_sectors(tgt->data->bdev), QVAULT_SECTORS), data);
}

static void qvault_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	const unsigned int most = round_down(UINT_MAX >> SECTOR_SHIFT,
					     QVAULT_SECTORS);

	limits->logical_block_size = QVAULT_BLOCK_SIZE;
	limits->physical_block_size = max(limits->physical_block_size,
					  QVAULT_BLOCK_SIZE);
	limits->io_min = max(limits->io_min, QVAULT_BLOCK_SIZE);
	/*
	 * Bios to the data device are ours, and the block layer splits them as it
	 * needs; its limit on their size would only cut up those that come to us.
	 */
	limits->max_hw_sectors = QVAULT_MAX_RUN * QVAULT_SECTORS;
	limits->max_dev_sectors = limits->max_hw_sectors;
	limits->max_sectors = limits->max_hw_sectors;
	/* An unmap is a change of pointers: the data device's limits do not count. */
	limits->discard_granularity = QVAULT_BLOCK_SIZE;
	limits->discard_alignment = 0;
	limits->max_hw_discard_sectors = most;
	limits->max_discard_sectors = most;
	qvault_limit_write_zeroes(limits, most);
}

static struct target_type qvault_target = {
	.name = "qvault",
	.version = {1, 0, 0},
	/* A volume belongs to the mapped device, so that has one. */
	.features = DM_TARGET_SINGLETON,
	.module = THIS_MODULE,
	.ctr = qvault_ctr,
	.dtr = qvault_dtr,
	.map = qvault_map,
	.preresume = qvault_preresume,
	.postsuspend = qvault_postsuspend,
	.status = qvault_status,
	.message = qvault_message,
	.iterate_devices = qvault_iterate_devices,
	.io_hints = qvault_io_hints,
};

static int __init qvault_module_init(void)
{
	int err;

	err = qvault_machine_init();
	if (err)
		return err;
	err = dm_register_target(&qvault_target);
	if (err)
		qvault_machine_exit();
	return err;
}

static void __exit qvault_module_exit(void)
{
	dm_unregister_target(&qvault_target);
	qvault_machine_exit();
}

module_init(qvault_module_init);
module_exit(qvault_module_exit);

MODULE_DESCRIPTION(DM_NAME " target for secrecy and freshness on untrusted storage");
MODULE_AUTHOR("The dm-qvault authors");
MODULE_ALIAS("dm-qvault");
/*
 * Where sha256 is built in, nothing else would load the driver for this CPU: the
 * crypto API looks for a module only if it has no algorithm of that name at all.
 * And whoever makes an initramfs sees here, and nowhere else, what we ask for by name.
 * NHPoly1305 is never built in as one driver of several: asking for it loads them all.
 * It is not named here, since modprobe -r takes away with us what is named here, and
 * says that it failed if these are modules of which one holds the other.
 */
MODULE_SOFTDEP("pre: sha256 hmac aes ecb xts");
MODULE_LICENSE("GPL");
