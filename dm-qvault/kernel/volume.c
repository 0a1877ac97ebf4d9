// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a volume.
 *
 * The first table of a mapped device makes it, and its first resume attaches it.
 * From then on every table that is loaded takes it over, or is refused: suspend
 * is a checkpoint and not the end, so that what could not be made durable is still
 * there afterwards.  It ends with the last table that refers to it.
 */
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/wait_bit.h>

#include "platform.h"

/* Held for as long as somebody walks the list and waits for what he finds there. */
DEFINE_MUTEX(qvault_volumes_mutex);
/* Inside of it, when the list changes: for who may not wait. */
DEFINE_SPINLOCK(qvault_volumes_lock);
LIST_HEAD(qvault_volumes);

/* ---- Construction ------------------------------------------------------- */

static int make_queues(struct qvault_volume *vol)
{
	const char *name = dm_device_name(vol->md);
	const unsigned int flags = WQ_MEM_RECLAIM | WQ_UNBOUND;

	vol->write_wq = alloc_workqueue("qvault_write/%s", flags, QVAULT_WORKERS, name);
	vol->read_wq = alloc_workqueue("qvault_read/%s", flags, QVAULT_WORKERS, name);
	vol->end_wq = alloc_workqueue("qvault_end/%s", flags, QVAULT_WORKERS, name);
	vol->again_wq = alloc_workqueue("qvault_again/%s", flags, QVAULT_WORKERS, name);
	vol->commit_wq = alloc_ordered_workqueue("qvault_commit/%s",
						 WQ_MEM_RECLAIM, name);
	/*
	 * One that runs ends before the memory of this machine is copied for a
	 * hibernation, and none begins before it is awake again.
	 */
	vol->checkpoint_wq = alloc_ordered_workqueue("qvault_checkpoint/%s",
						     WQ_MEM_RECLAIM | WQ_FREEZABLE,
						     name);
	/* Likewise. */
	vol->trim_wq = alloc_ordered_workqueue("qvault_trim/%s",
					       WQ_MEM_RECLAIM | WQ_FREEZABLE, name);
	vol->walk_wq = alloc_ordered_workqueue("qvault_walk/%s",
					       WQ_MEM_RECLAIM | WQ_FREEZABLE, name);
	return vol->write_wq && vol->read_wq && vol->end_wq && vol->again_wq &&
	       vol->commit_wq && vol->checkpoint_wq && vol->trim_wq && vol->walk_wq ? 0 : -ENOMEM;
}

static int make_engine(struct qvault_volume *vol)
{
	vol->engine = true;
	return qvault_init(&vol->v);
}

static void free_queue(struct workqueue_struct *wq)
{
	if (wq)
		destroy_workqueue(wq);
}

static void free_copy(struct qvault_copy *copy)
{
	u32 slot;

	if (!copy)
		return;
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		kfree(copy->slot[slot]);
	kfree(copy);
}

/* The one way down, from whatever there is. */
static void teardown(struct qvault_volume *vol)
{
	/* Each before those it queues work to, perhaps after its bio has ended. */
	free_queue(vol->write_wq);
	free_queue(vol->read_wq);
	free_queue(vol->end_wq);
	free_queue(vol->again_wq);
	free_queue(vol->walk_wq);
	free_queue(vol->commit_wq);
	free_queue(vol->checkpoint_wq);
	free_queue(vol->trim_wq);
	if (vol->engine)
		qvault_exit(&vol->v);
	qvault_report_exit(vol);
	qvault_crypto_free(vol->v.crypto);
	qvault_pools_exit(vol);
	free_copy(vol->anchor.copy);
	mutex_destroy(&vol->life_mutex);
	kfree(vol);
}

static void use_devices(struct qvault_volume *vol, const struct qvault_target *tgt)
{
	vol->data.bdev = tgt->data->bdev;
	vol->v.data = &vol->data;
	if (tgt->anchor)
		vol->anchor.bdev = tgt->anchor->bdev;
}

static struct qvault_volume *alloc_volume(struct qvault_target *tgt)
{
	struct qvault_volume *vol = kzalloc(sizeof(*vol), GFP_KERNEL);

	if (!vol)
		return NULL;
	vol->v.platform = vol;
	vol->targets = 1;
	vol->md = dm_table_get_md(tgt->ti->table);
	vol->mac = tgt->args.mac;
	mutex_init(&vol->life_mutex);
	atomic_set(&vol->inflight, 0);
	qvault_report_init(vol);
	qvault_flush_init(vol);
	qvault_readahead_init(vol);
	qvault_walk_init(vol);
	use_devices(vol, tgt);
	return vol;
}

/**
 * qvault_volume_new() - make the volume of a mapped device that has none
 * @tgt: its first table, with devices
 * @crypto: belongs to the volume from now on, also if there is none
 *
 * Nothing is read or written: that is for the table's resume.
 *
 * Context: May sleep.
 * Return: The volume, for qvault_volume_put(); NULL: no memory.
 */
struct qvault_volume *qvault_volume_new(struct qvault_target *tgt,
					struct qvault_crypto *crypto)
{
	struct qvault_volume *vol = alloc_volume(tgt);
	int err;

	if (!vol) {
		qvault_crypto_free(crypto);
		return NULL;
	}
	vol->v.crypto = crypto;
	err = qvault_pools_init(vol);
	if (!err)
		err = make_queues(vol);
	if (!err)
		err = make_engine(vol);
	if (err) {
		teardown(vol);
		return NULL;
	}
	mutex_lock(&qvault_volumes_mutex);
	spin_lock(&qvault_volumes_lock);
	list_add(&vol->list, &qvault_volumes);
	spin_unlock(&qvault_volumes_lock);
	mutex_unlock(&qvault_volumes_mutex);
	return vol;
}

static int read_slots(struct qvault_copy *copy, struct block_device *bdev)
{
	struct qvault_dev dev = { .bdev = bdev };
	u32 slot;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		copy->slot[slot] = kzalloc(QVAULT_BLOCK_SIZE, GFP_KERNEL);
		if (!copy->slot[slot])
			return -ENOMEM;
		copy->err[slot] = qvault_dev_read(&dev, QVAULT_SLOT_BLOCK(slot),
						  copy->slot[slot]);
	}
	return 0;
}

/**
 * qvault_volume_copy_anchor() - all that a volume will ever know of an anchor
 * @vol: the volume, new; it begins with what stands there, and is ephemeral
 * @anchor: may be closed after this, and change
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.  A slot that cannot be read is no error yet.
 */
int qvault_volume_copy_anchor(struct qvault_volume *vol, const struct dm_dev *anchor)
{
	struct qvault_copy *copy = kzalloc(sizeof(*copy), GFP_KERNEL);
	int err;

	if (!copy)
		return -ENOMEM;
	strscpy(copy->anchor, anchor->name, sizeof(copy->anchor));
	err = read_slots(copy, anchor->bdev);
	if (err)
		free_copy(copy);
	else
		vol->anchor.copy = copy;
	return err;
}

/* ---- Attach and detach -------------------------------------------------- */

static void unclaim_all(struct qvault_volume *vol)
{
	qvault_unclaim(&vol->claim);
	qvault_unclaim(&vol->anchor.claim);
	qvault_unclaim(&vol->data.claim);
}

static int claim_device(struct qvault_volume *vol, struct qvault_dev *dev)
{
	char holder[DM_NAME_LEN];
	int err;

	err = qvault_claim_device(&dev->claim, dev->bdev->bd_dev, vol, holder);
	if (err)
		DMERR("%s: device %pg is in use by the vault %s",
		      dm_device_name(vol->md), dev->bdev, holder);
	return err;
}

static int claim_devices(struct qvault_volume *vol)
{
	int err;

	err = claim_device(vol, &vol->data);
	if (!err && vol->anchor.bdev)
		err = claim_device(vol, &vol->anchor);
	if (err)
		unclaim_all(vol);
	return err;
}

/* A vault without an anchor is formatted anew each time, in memory only. */
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
	return err ?: qvault_crypto_create(vol->v.crypto, QVAULT_EPHEMERAL_GEN,
					   vol->mac, NULL);
}

/**
 * qvault_wait() - let time pass, so that other hosts are heard
 * @v: the vault, being attached
 * @seconds: at least so many
 *
 * Context: Sleeps, for a table's resume; who has asked for that may be interrupted.
 * Return: 0 or -EINTR.
 */
int qvault_wait(struct qvault *v, u32 seconds)
{
	/* One more, for the one that has begun. */
	unsigned long end = jiffies + seconds * HZ + 1;

	while (time_before(jiffies, end)) {
		if (signal_pending(current))
			return -EINTR;
		schedule_timeout_interruptible(end - jiffies);
	}
	return 0;
}

static int attach_engine(struct qvault_volume *vol)
{
	struct qvault_disk_anchor *record = kmalloc(QVAULT_BLOCK_SIZE, GFP_KERNEL);
	int err = 0;

	vol->v.reason = NULL;
	if (!record)
		return -ENOMEM;
	/* Each time: an attach that failed may have let go of it. */
	vol->v.let_go = vol->anchor.copy;
	vol->v.anchor_dev = vol->anchor.bdev || vol->anchor.copy ? &vol->anchor : NULL;
	if (!vol->v.anchor_dev)
		err = format_ephemeral(vol, record);
	if (!err)
		err = qvault_attach(&vol->v, record);
	kfree(record);
	return err;
}

static int complain(struct qvault_volume *vol, const char *what, int err)
{
	if (err)
		DMERR("%s: cannot %s: %s (%d)", dm_device_name(vol->md), what,
		      vol->v.reason ?: "I/O error or no memory", err);
	return err;
}

static int attach_vault(struct qvault_volume *vol)
{
	int err;

	lockdep_assert_held(&vol->life_mutex);
	err = claim_devices(vol);
	if (err)
		return err;
	err = complain(vol, "attach", attach_engine(vol));
	if (err)
		unclaim_all(vol);
	else
		WRITE_ONCE(vol->attached, true);
	return err;
}

static int resume_vault(struct qvault_volume *vol)
{
	lockdep_assert_held(&vol->life_mutex);
	vol->v.reason = NULL;
	return complain(vol, "resume", qvault_resume(&vol->v));
}

static void detach_vault(struct qvault_volume *vol)
{
	int err;

	lockdep_assert_held(&vol->life_mutex);
	if (!vol->attached)
		return;
	err = qvault_detach(&vol->v);
	if (err)
		qvault_report_loss(&vol->v, err);
	WRITE_ONCE(vol->attached, false);
	unclaim_all(vol);
}

/* ---- Tables come and go ------------------------------------------------- */

static struct qvault_volume *__running(const struct mapped_device *md)
{
	struct qvault_volume *vol;

	lockdep_assert_held(&qvault_volumes_mutex);
	list_for_each_entry(vol, &qvault_volumes, list)
		if (vol->md == md && READ_ONCE(vol->attached))
			return vol;
	return NULL;
}

/**
 * qvault_volume_writes() - will a table have to open its devices for writing?
 * @md: the mapped device that it is loaded for
 *
 * Context: May sleep.
 * Return: Whether the device has a running volume that may write.
 */
bool qvault_volume_writes(const struct mapped_device *md)
{
	struct qvault_volume *vol;
	bool writes;

	mutex_lock(&qvault_volumes_mutex);
	vol = __running(md);
	writes = vol && !vol->v.read_only;
	mutex_unlock(&qvault_volumes_mutex);
	return writes;
}

/**
 * qvault_volume_running() - get the volume that a new table takes over
 * @md: the mapped device that it is loaded for
 *
 * Context: May sleep.
 * Return: The volume, for qvault_volume_put(); NULL: nothing is attached there.
 */
struct qvault_volume *qvault_volume_running(const struct mapped_device *md)
{
	struct qvault_volume *vol;

	mutex_lock(&qvault_volumes_mutex);
	vol = __running(md);
	if (vol)
		vol->targets++;
	mutex_unlock(&qvault_volumes_mutex);
	return vol;
}

/* No work begins by itself after this.  Context: no bio is in flight. */
static void be_still(struct qvault_volume *vol)
{
	qvault_flush_stop(vol);
	qvault_walk_stop(vol);
	/* Only reads ask for it. */
	qvault_readahead_stop(vol);
}

/* No more events through this table, and nothing that could send one. */
static void leave(struct qvault_volume *vol, const struct dm_table *table)
{
	mutex_lock(&vol->life_mutex);
	if (vol->table == table) {
		/* dm has waited for bios on suspend, but not always on removal. */
		wait_var_event(&vol->inflight, !atomic_read(&vol->inflight));
		be_still(vol);
		qvault_report_table(vol, NULL);
	}
	mutex_unlock(&vol->life_mutex);
}

/* After this nobody else can find it. */
static bool drop(struct qvault_volume *vol)
{
	bool last;

	mutex_lock(&qvault_volumes_mutex);
	last = !--vol->targets;
	if (last) {
		spin_lock(&qvault_volumes_lock);
		list_del(&vol->list);
		spin_unlock(&qvault_volumes_lock);
	}
	mutex_unlock(&qvault_volumes_mutex);
	return last;
}

/**
 * qvault_volume_put() - a table lets go of a volume
 * @vol: the volume; it ends if this was the last one
 * @table: that table; it still holds the devices open
 *
 * Context: May sleep.
 */
void qvault_volume_put(struct qvault_volume *vol, const struct dm_table *table)
{
	leave(vol, table);
	if (!drop(vol))
		return;
	/* What somebody of this machine asked for while he still found it. */
	flush_workqueue(vol->commit_wq);
	flush_workqueue(vol->checkpoint_wq);
	mutex_lock(&vol->life_mutex);
	detach_vault(vol);
	mutex_unlock(&vol->life_mutex);
	teardown(vol);
}

/* ---- Suspend and resume ------------------------------------------------- */

static int without_keys(const struct qvault_volume *vol)
{
	DMERR("%s: its keys were wiped: the message \"key set\" brings them back",
	      dm_device_name(vol->md));
	return -ENOKEY;
}

static void take_options(struct qvault_volume *vol, const struct qvault_target *tgt)
{
	u32 mib = tgt->args.memory_mib;

	vol->commit_seconds = tgt->args.commit_seconds;
	qvault_pools_limit(vol, mib);
	vol->v.memory_mib = mib;
	vol->v.allow_discards = tgt->args.allow_discards;
	vol->v.logical_blocks = tgt->logical_blocks;
	vol->v.grow = tgt->args.grow;
	if (vol->attached) {
		qvault_set_limits(&vol->v);
		return;
	}
	vol->v.read_only = tgt->read_only;
	vol->v.settle = tgt->args.settle;
}

/**
 * qvault_volume_resume() - dm's preresume()
 * @vol: the volume
 * @tgt: of the table that is live now
 *
 * Memory must not be reclaimed through the device that is about to be resumed.
 *
 * Context: May sleep; no bio is in flight.
 * Return: 0 or a negative errno.
 */
int qvault_volume_resume(struct qvault_volume *vol, struct qvault_target *tgt)
{
	unsigned int noio = memalloc_noio_save();
	int err;

	mutex_lock(&vol->life_mutex);
	/* What somebody of this machine asked for ends before anything changes. */
	be_still(vol);
	qvault_report_table(vol, tgt->ti->table);
	take_options(vol, tgt);
	WRITE_ONCE(vol->active, true);
	if (qvault_crypto_is_wiped(vol->v.crypto))
		err = without_keys(vol);
	else
		err = vol->attached ? resume_vault(vol) : attach_vault(vol);
	if (err)
		be_still(vol);
	else if (!qvault_crypto_is_wiped(vol->v.crypto))
		qvault_walk_start(vol);
	mutex_unlock(&vol->life_mutex);
	memalloc_noio_restore(noio);
	return err;
}

/**
 * qvault_volume_suspend() - dm's postsuspend()
 * @vol: the volume
 *
 * Also on the way to removal.  An ephemeral vault has nothing to make durable.
 *
 * Context: May sleep.
 */
void qvault_volume_suspend(struct qvault_volume *vol)
{
	unsigned int noio = memalloc_noio_save();
	int err = 0;

	mutex_lock(&vol->life_mutex);
	wait_var_event(&vol->inflight, !atomic_read(&vol->inflight));
	be_still(vol);
	if (vol->attached && !qvault_ephemeral(&vol->v))
		err = qvault_suspend(&vol->v);
	if (err)
		DMERR("%s: suspended, but what was not flushed is only in memory (%d)",
		      dm_device_name(vol->md), err);
	mutex_unlock(&vol->life_mutex);
	memalloc_noio_restore(noio);
}
