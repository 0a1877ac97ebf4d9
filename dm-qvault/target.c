// SPDX-License-Identifier: GPL-2.0
/*
 * The dm target: from a table line to a vault, and back.
 *
 * A reload constructs the new table while the old one still writes.  So the
 * constructor only parses, opens and fetches the key; all that touches the
 * devices' contents happens in preresume(), and the way back, also on removal,
 * in postsuspend().
 *
 * There is no prepare_ioctl(): an ioctl that went through to the data device
 * would read or write behind the vault's back.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/wait_bit.h>

#include "platform.h"

/* ---- Construction ------------------------------------------------------- */

/*
 * A reload names the devices of the table that it replaces.  Not so for an
 * ephemeral vault, which would lose all it holds: that is refused before the
 * old table is gone.
 */
static int check_unclaimed(struct qvault_volume *vol, const struct qvault_dev *dev)
{
	const void *except = NULL;

	if (vol->args.anchor)
		except = dm_table_get_md(vol->ti->table);
	if (!qvault_claimed(dev->bdev->bd_dev, except))
		return 0;
	vol->ti->error = vol->args.anchor ?
		"Device is in use by another vault" :
		"Device is in use by a vault; an ephemeral one cannot be reloaded";
	return -EBUSY;
}

static int open_device(struct qvault_volume *vol, struct qvault_dev *dev,
		       const char *path, char *missing)
{
	blk_mode_t mode = BLK_OPEN_READ;
	struct dm_target *ti = vol->ti;
	int err;

	if (!vol->v.read_only)
		mode |= BLK_OPEN_WRITE;
	err = dm_get_device(ti, path, mode, &dev->dm_dev);
	if (err) {
		dev->dm_dev = NULL;
		ti->error = missing;
		return err;
	}
	dev->bdev = dev->dm_dev->bdev;
	dev->bios = &vol->bios;
	if (bdev_logical_block_size(dev->bdev) > QVAULT_BLOCK_SIZE) {
		ti->error = "Device has logical blocks of more than 4096 bytes";
		return -EINVAL;
	}
	if (bdev_is_zoned(dev->bdev)) {
		ti->error = "Device is zoned";
		return -EINVAL;
	}
	return check_unclaimed(vol, dev);
}

static int open_devices(struct qvault_volume *vol)
{
	int err;

	err = open_device(vol, &vol->data, vol->args.data, "Cannot open data device");
	if (err)
		return err;
	vol->v.data = &vol->data;
	if (!vol->args.anchor)
		return 0;
	err = open_device(vol, &vol->anchor, vol->args.anchor,
			  "Cannot open anchor device");
	if (err)
		return err;
	vol->v.anchor_dev = &vol->anchor;
	if (vol->anchor.bdev->bd_dev == vol->data.bdev->bd_dev) {
		vol->ti->error = "Data and anchor are the same device";
		return -EINVAL;
	}
	return 0;
}

static int get_key(struct qvault_volume *vol)
{
	u8 master[QVAULT_MASTER_KEY_SIZE];
	struct qvault_crypto *crypto;
	int err;

	err = qvault_key_get(&vol->args, master, &vol->ti->error);
	if (err)
		goto out;
	crypto = qvault_crypto_new(master);
	if (IS_ERR(crypto)) {
		vol->ti->error = "Cannot set up xts(aes) and hmac(sha256)";
		err = PTR_ERR(crypto);
		goto out;
	}
	vol->v.crypto = crypto;
out:
	memzero_explicit(master, sizeof(master));
	return err;
}

static int make_queues(struct qvault_volume *vol)
{
	const char *name = dm_table_device_name(vol->ti->table);
	const unsigned int flags = WQ_MEM_RECLAIM | WQ_UNBOUND;

	vol->write_wq = alloc_workqueue("qvault_write/%s", flags, 0, name);
	vol->read_wq = alloc_workqueue("qvault_read/%s", flags, 0, name);
	vol->end_wq = alloc_workqueue("qvault_end/%s", flags, 0, name);
	vol->commit_wq = alloc_ordered_workqueue("qvault_commit/%s",
						WQ_MEM_RECLAIM, name);
	vol->checkpoint_wq = alloc_ordered_workqueue("qvault_checkpoint/%s",
						    WQ_MEM_RECLAIM, name);
	if (vol->write_wq && vol->read_wq && vol->end_wq && vol->commit_wq &&
	    vol->checkpoint_wq)
		return 0;
	vol->ti->error = "Cannot make work queues";
	return -ENOMEM;
}

static int make_pools(struct qvault_volume *vol)
{
	int err = qvault_pools_init(vol);

	if (err)
		vol->ti->error = "Cannot allocate memory for the reserves";
	return err;
}

static int make_engine(struct qvault_volume *vol)
{
	int err = qvault_init(&vol->v);

	vol->engine = true;
	if (err)
		vol->ti->error = "Cannot allocate memory for the vault";
	return err;
}

static int parse_table(struct qvault_volume *vol, unsigned int argc, char **argv)
{
	struct dm_target *ti = vol->ti;
	int err;

	err = qvault_args_parse(&vol->args, argc, argv, &ti->error);
	if (err)
		return err;
	if ((ti->begin | ti->len) % QVAULT_SECTORS) {
		ti->error = "Start or length is not a multiple of 8 sectors";
		return -EINVAL;
	}
	vol->v.logical_blocks = ti->len / QVAULT_SECTORS;
	vol->v.memory_mib = vol->args.memory_mib;
	vol->max_pages = max_t(u32, QVAULT_MAX_RUN,
			      vol->args.memory_mib << (20 - PAGE_SHIFT - 2));
	vol->v.allow_discards = vol->args.allow_discards;
	vol->v.read_only = vol->args.read_only ||
			  !(dm_table_get_mode(ti->table) & BLK_OPEN_WRITE);
	if (vol->v.read_only && !vol->args.anchor) {
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

static void free_queue(struct workqueue_struct *wq)
{
	if (wq)
		destroy_workqueue(wq);
}

/* The one way down, from whatever there is. */
static void teardown(struct qvault_volume *vol)
{
	/* Each before those it queues work to, perhaps after its bio has ended. */
	free_queue(vol->write_wq);
	free_queue(vol->read_wq);
	free_queue(vol->end_wq);
	free_queue(vol->commit_wq);
	free_queue(vol->checkpoint_wq);
	if (vol->engine)
		qvault_exit(&vol->v);
	qvault_crypto_free(vol->v.crypto);
	qvault_pools_exit(vol);
	if (vol->anchor.dm_dev)
		dm_put_device(vol->ti, vol->anchor.dm_dev);
	if (vol->data.dm_dev)
		dm_put_device(vol->ti, vol->data.dm_dev);
	qvault_args_free(&vol->args);
	mutex_destroy(&vol->life_mutex);
	kfree(vol);
}

/*
 * <data_dev> <anchor_dev|-> <key|-> [<#opts> <opt>...], see args.c
 */
static int qvault_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct qvault_volume *vol;
	int err;

	vol = kzalloc(sizeof(*vol), GFP_KERNEL);
	if (!vol) {
		ti->error = "Cannot allocate memory for the target";
		return -ENOMEM;
	}
	vol->ti = ti;
	vol->v.platform = vol;
	mutex_init(&vol->life_mutex);
	atomic_set(&vol->inflight, 0);
	ratelimit_state_init(&vol->events, 5 * HZ, 10);
	atomic_set(&vol->nr_pages, 0);
	init_waitqueue_head(&vol->page_wait);
	qvault_flush_init(vol);

	err = parse_table(vol, argc, argv);
	if (!err)
		err = open_devices(vol);
	if (!err)
		err = get_key(vol);
	if (!err)
		err = make_pools(vol);
	if (!err)
		err = make_queues(vol);
	if (!err)
		err = make_engine(vol);
	if (err) {
		teardown(vol);
		return err;
	}
	set_features(ti);
	ti->private = vol;
	return 0;
}

/* ---- Attach and detach -------------------------------------------------- */

static void unclaim_devices(struct qvault_volume *vol)
{
	qvault_unclaim(&vol->anchor.claim);
	qvault_unclaim(&vol->data.claim);
}

static int claim_device(struct qvault_volume *vol, struct qvault_dev *dev)
{
	int err = qvault_claim(&dev->claim, dev->bdev->bd_dev,
			       dm_table_get_md(vol->ti->table));

	if (err)
		DMERR("%s: device %s is in use by another vault",
		      dm_table_device_name(vol->ti->table), dev->dm_dev->name);
	return err;
}

static int claim_devices(struct qvault_volume *vol)
{
	int err;

	err = claim_device(vol, &vol->data);
	if (!err && vol->anchor.dm_dev)
		err = claim_device(vol, &vol->anchor);
	if (err)
		unclaim_devices(vol);
	return err;
}

/* An ephemeral vault is formatted anew each time, in memory only. */
static int format_ephemeral(struct qvault_volume *vol,
			    struct qvault_disk_anchor *record)
{
	u64 blocks = qvault_dev_blocks(&vol->data);
	u8 uuid[QVAULT_UUID_SIZE];
	int err;

	get_random_bytes(uuid, sizeof(uuid));
	err = qvault_new_anchor(record, uuid, blocks, vol->v.logical_blocks,
				qvault_default_log_blocks(blocks));
	if (err)
		vol->v.reason = "the data device is too small for the table line";
	record->mac_type = cpu_to_le32(vol->args.mac);
	return err ?: qvault_crypto_derive(vol->v.crypto, uuid);
}

static int attach_engine(struct qvault_volume *vol)
{
	struct qvault_disk_anchor *record = qvault_buf_get();
	int err = 0;

	vol->v.reason = NULL;
	if (qvault_ephemeral(&vol->v))
		err = format_ephemeral(vol, record);
	if (!err)
		err = qvault_attach(&vol->v, record);
	qvault_buf_put(record);
	return err;
}

static int attach_vault(struct qvault_volume *vol)
{
	int err;

	lockdep_assert_held(&vol->life_mutex);
	/* An ephemeral vault stays attached while it is suspended. */
	if (vol->attached)
		return 0;
	err = claim_devices(vol);
	if (err)
		return err;
	err = attach_engine(vol);
	if (err) {
		DMERR("%s: cannot attach: %s (%d)",
		      dm_table_device_name(vol->ti->table),
		      vol->v.reason ?: "I/O error or no memory", err);
		unclaim_devices(vol);
		return err;
	}
	vol->attached = true;
	return 0;
}

static void detach_vault(struct qvault_volume *vol)
{
	int err;

	lockdep_assert_held(&vol->life_mutex);
	if (!vol->attached)
		return;
	err = qvault_detach(&vol->v);
	if (err)
		DMERR("%s: what was not flushed may be lost: detach failed (%d)",
		      dm_table_device_name(vol->ti->table), err);
	vol->attached = false;
	unclaim_devices(vol);
}

/*
 * Memory must not be reclaimed through the device that is about to be resumed
 * or has just been suspended.
 */
static int qvault_preresume(struct dm_target *ti)
{
	struct qvault_volume *vol = ti->private;
	unsigned int noio = memalloc_noio_save();
	int err;

	mutex_lock(&vol->life_mutex);
	WRITE_ONCE(vol->active, true);
	err = attach_vault(vol);
	if (err)
		qvault_flush_stop(vol);
	mutex_unlock(&vol->life_mutex);
	memalloc_noio_restore(noio);
	return err;
}

static void qvault_postsuspend(struct dm_target *ti)
{
	struct qvault_volume *vol = ti->private;
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&vol->life_mutex);
	/* dm has waited for bios on suspend, but not always on removal. */
	wait_var_event(&vol->inflight, !atomic_read(&vol->inflight));
	qvault_flush_stop(vol);
	/* An ephemeral vault is gone for good once its key is. */
	if (!qvault_ephemeral(&vol->v))
		detach_vault(vol);
	mutex_unlock(&vol->life_mutex);
	memalloc_noio_restore(noio);
}

static void qvault_dtr(struct dm_target *ti)
{
	struct qvault_volume *vol = ti->private;

	mutex_lock(&vol->life_mutex);
	wait_var_event(&vol->inflight, !atomic_read(&vol->inflight));
	qvault_flush_stop(vol);
	detach_vault(vol);
	mutex_unlock(&vol->life_mutex);
	teardown(vol);
}

/* ---- Service ------------------------------------------------------------ */

static int qvault_map(struct dm_target *ti, struct bio *bio)
{
	return qvault_map_bio(ti->private, bio);
}

static int qvault_message(struct dm_target *ti, unsigned int argc, char **argv,
			  char *result, unsigned int maxlen)
{
	struct qvault_volume *vol = ti->private;
	unsigned int noio = memalloc_noio_save();
	int err = -EINVAL;

	mutex_lock(&vol->life_mutex);
	if (!vol->attached || !vol->active)
		err = -ENODEV;
	else if (argc == 1 && !strcmp(argv[0], "commit"))
		err = qvault_commit(&vol->v);
	else if (argc == 1 && !strcmp(argv[0], "checkpoint"))
		err = qvault_checkpoint(&vol->v);
	else
		DMERR("%s: unknown message: commit and checkpoint are known",
		      dm_table_device_name(ti->table));
	mutex_unlock(&vol->life_mutex);
	memalloc_noio_restore(noio);
	return err;
}

/*
 * The anchor is not named here: this is for limits that bios to the vault have
 * to respect, and none of them reaches it.
 */
static int qvault_iterate_devices(struct dm_target *ti,
				  iterate_devices_callout_fn fn, void *data)
{
	struct qvault_volume *vol = ti->private;

	return fn(ti, vol->data.dm_dev, 0,
		  qvault_dev_blocks(&vol->data) * QVAULT_SECTORS, data);
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

	err = qvault_buffers_init();
	if (err)
		return err;
	err = dm_register_target(&qvault_target);
	if (err)
		qvault_buffers_exit();
	return err;
}

static void __exit qvault_module_exit(void)
{
	dm_unregister_target(&qvault_target);
	qvault_buffers_exit();
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
 */
MODULE_SOFTDEP("pre: sha256 hmac aes ecb xts ghash");
MODULE_LICENSE("GPL");
