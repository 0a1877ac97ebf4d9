// SPDX-License-Identifier: GPL-2.0
/*
 * Test only.  A disk with known manners over a RAM disk, and exact counters.
 *
 *	<start> <len> disk-model <device> <first sector>
 *	dmsetup message NAME 0 set write_mbps 500 flush_us 1500 ...
 *
 * null_blk's limits would do, but work in slices of 20 ms, and dm-delay counts in
 * ticks, which are 10 ms in User Mode Linux: both are longer than a flush of an SSD.
 * Here each request gets a time at which it ends, and a high resolution timer ends
 * it in softirq context, as a disk's interrupt does:
 *
 *	the medium serves one request after the other: bytes / rate, request_us for
 *	each of them, and jump_us more for a write that does not follow the last one
 *	latency is added to that, and does not keep others waiting
 *	a flush takes flush_us; those that come while one runs share the next one,
 *	since the block layer merges them so before it asks a disk; FUA is a flush
 *	after the write
 *
 * All knobs are 0 at first: no delay.  "fail 1" makes each request an error.
 * Status: reads, bytes read, writes, bytes written, flushes, FUA writes, and how
 * many blocks of 4 KiB were ever written.
 */
#include <linux/bio.h>
#include <linux/bitmap.h>
#include <linux/device-mapper.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/slab.h>

#define BLOCK_SHIFT	12

enum knob {
	READ_MBPS, WRITE_MBPS, REQUEST_US, JUMP_US, READ_US, WRITE_US, FLUSH_US, FAIL,
	NR_KNOBS,
};

static const char * const knob_names[NR_KNOBS] = {
	"read_mbps", "write_mbps", "request_us", "jump_us", "read_us", "write_us", "flush_us",
	"fail",
};

struct counters {
	u64 reads, bytes_read, writes, bytes_written, flushes, fuas, blocks;
};

struct disk {
	struct dm_dev *dev;
	sector_t start;
	u64 knob[NR_KNOBS];		/* set while nothing is under way */
	unsigned long *written;		/* a bit for each block */

	spinlock_t lock;		/* for all below */
	u64 medium_free;		/* ns */
	u64 last_flush;			/* end of the last flush that was asked for */
	sector_t write_end;
	struct list_head waiting;	/* in the order in which they end */
	struct hrtimer timer;
	struct counters counters;
};

struct request {
	struct list_head list;
	struct bio *bio;
	u64 end;			/* 0: at once */
};

/* ---- When does it end? ---- */

static u64 flush_end(struct disk *disk, u64 now)
{
	u64 takes = disk->knob[FLUSH_US] * NSEC_PER_USEC;

	if (now >= disk->last_flush)
		disk->last_flush = now + takes;
	else if (now + takes >= disk->last_flush)
		disk->last_flush += takes;	/* that one runs already */
	return disk->last_flush;
}

static u64 transfer_time(const struct disk *disk, const struct bio *bio)
{
	bool write = op_is_write(bio_op(bio));
	u64 mbps = disk->knob[write ? WRITE_MBPS : READ_MBPS];
	u64 us = disk->knob[REQUEST_US];

	if (write && bio->bi_iter.bi_sector != disk->write_end)
		us += disk->knob[JUMP_US];
	return us * NSEC_PER_USEC + (mbps ? div64_u64(bio->bi_iter.bi_size * 1000ull, mbps) : 0);
}

static u64 request_end(struct disk *disk, const struct bio *bio)
{
	bool write = op_is_write(bio_op(bio));
	u64 now = ktime_get_ns(), end = now;

	if (bio_sectors(bio)) {
		disk->medium_free = max(disk->medium_free, now) + transfer_time(disk, bio);
		end = disk->medium_free + disk->knob[write ? WRITE_US : READ_US] * NSEC_PER_USEC;
	}
	if (bio->bi_opf & (REQ_PREFLUSH | REQ_FUA))
		end = flush_end(disk, end);
	return end > now ? end : 0;
}

static void count(struct disk *disk, const struct bio *bio)
{
	struct counters *c = &disk->counters;
	u64 block = bio->bi_iter.bi_sector >> (BLOCK_SHIFT - SECTOR_SHIFT);
	u32 i;

	if (bio->bi_opf & REQ_PREFLUSH)
		c->flushes++;
	if (bio->bi_opf & REQ_FUA)
		c->fuas++;
	if (!bio_sectors(bio))
		return;
	if (!op_is_write(bio_op(bio))) {
		c->reads++;
		c->bytes_read += bio->bi_iter.bi_size;
		return;
	}
	c->writes++;
	c->bytes_written += bio->bi_iter.bi_size;
	for (i = 0; i < bio->bi_iter.bi_size; i += 1u << BLOCK_SHIFT, block++)
		c->blocks += !__test_and_set_bit(block, disk->written);
}

/* ---- The way of a request ---- */

static void start_timer(struct disk *disk)
{
	struct request *first;

	first = list_first_entry_or_null(&disk->waiting, struct request, list);
	if (first)
		hrtimer_start(&disk->timer, ns_to_ktime(first->end), HRTIMER_MODE_ABS_SOFT);
}

static void wait_until_end(struct disk *disk, struct request *request, struct bio *bio)
{
	struct request *before;
	unsigned long flags;

	request->bio = bio;
	spin_lock_irqsave(&disk->lock, flags);
	list_for_each_entry_reverse(before, &disk->waiting, list)
		if (before->end <= request->end)
			break;
	list_add(&request->list, &before->list);
	if (list_is_first(&request->list, &disk->waiting))
		start_timer(disk);
	spin_unlock_irqrestore(&disk->lock, flags);
}

/* What is below is no disk: flushes end here. */
static int flush(struct disk *disk, struct request *request, struct bio *bio)
{
	if (request->end)
		wait_until_end(disk, request, bio);
	else
		bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

static int disk_map(struct dm_target *ti, struct bio *bio)
{
	struct disk *disk = ti->private;
	struct request *request = dm_per_bio_data(bio, sizeof(*request));
	unsigned long flags;

	if (disk->knob[FAIL])
		return DM_MAPIO_KILL;
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	spin_lock_irqsave(&disk->lock, flags);
	count(disk, bio);
	request->end = request_end(disk, bio);
	if (op_is_write(bio_op(bio)) && bio_sectors(bio))
		disk->write_end = bio_end_sector(bio);
	spin_unlock_irqrestore(&disk->lock, flags);
	if (!bio_sectors(bio))
		return flush(disk, request, bio);
	bio->bi_opf &= ~REQ_FUA;
	bio->bi_iter.bi_sector += disk->start;
	bio_set_dev(bio, disk->dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct disk *disk = container_of(timer, struct disk, timer);
	struct request *request, *next;
	u64 now = ktime_get_ns();
	unsigned long flags;
	LIST_HEAD(ended);

	spin_lock_irqsave(&disk->lock, flags);
	list_for_each_entry_safe(request, next, &disk->waiting, list) {
		if (request->end > now)
			break;
		list_move_tail(&request->list, &ended);
	}
	start_timer(disk);
	spin_unlock_irqrestore(&disk->lock, flags);
	list_for_each_entry_safe(request, next, &ended, list) {
		request->end = 0;
		bio_endio(request->bio);
	}
	return HRTIMER_NORESTART;
}

/* Comes twice for what has to wait: when the RAM disk is done, and at the end. */
static int disk_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct disk *disk = ti->private;
	struct request *request = dm_per_bio_data(bio, sizeof(*request));

	if (!request->end || *error || ktime_get_ns() >= request->end)
		return DM_ENDIO_DONE;
	wait_until_end(disk, request, bio);
	return DM_ENDIO_INCOMPLETE;
}

/* ---- Table, messages, status ---- */

static void disk_free(struct dm_target *ti, struct disk *disk)
{
	if (disk->dev)
		dm_put_device(ti, disk->dev);
	kvfree(disk->written);
	kfree(disk);
}

static int disk_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	u64 blocks = (ti->len >> (BLOCK_SHIFT - SECTOR_SHIFT)) + 1;
	struct disk *disk = kzalloc(sizeof(*disk), GFP_KERNEL);
	unsigned long long start;
	int err = -EINVAL;

	if (!disk)
		return -ENOMEM;
	spin_lock_init(&disk->lock);
	INIT_LIST_HEAD(&disk->waiting);
	hrtimer_init(&disk->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	disk->timer.function = timer_fn;
	disk->written = kvcalloc(BITS_TO_LONGS(blocks), sizeof(long), GFP_KERNEL);
	if (argc == 2 && disk->written && !kstrtoull(argv[1], 0, &start))
		err = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &disk->dev);
	if (err) {
		ti->error = "Wanted: <device> <first sector>";
		disk_free(ti, disk);
		return err;
	}
	disk->start = start;
	ti->num_flush_bios = 1;
	ti->flush_supported = true;
	ti->per_io_data_size = sizeof(struct request);
	ti->private = disk;
	return 0;
}

static void disk_dtr(struct dm_target *ti)
{
	struct disk *disk = ti->private;

	hrtimer_cancel(&disk->timer);
	disk_free(ti, disk);
}

static int set_knob(struct disk *disk, const char *name, const char *value)
{
	int i = match_string(knob_names, NR_KNOBS, name);

	return i < 0 ? i : kstrtou64(value, 0, &disk->knob[i]);
}

/* "set": what is not named becomes 0. */
static int disk_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
			unsigned int maxlen)
{
	struct disk *disk = ti->private;
	unsigned int i;
	int err = 0;

	if (strcmp(argv[0], "set") || argc % 2 == 0)
		return -EINVAL;
	memset(disk->knob, 0, sizeof(disk->knob));
	for (i = 1; i < argc && !err; i += 2)
		err = set_knob(disk, argv[i], argv[i + 1]);
	return err;
}

static void disk_status(struct dm_target *ti, status_type_t type, unsigned int flags,
			char *result, unsigned int maxlen)
{
	struct disk *disk = ti->private;
	struct counters c;
	unsigned int sz = 0;

	*result = 0;
	if (type == STATUSTYPE_TABLE) {
		DMEMIT("%s %llu", disk->dev->name, (unsigned long long)disk->start);
	} else if (type == STATUSTYPE_INFO) {
		spin_lock_irq(&disk->lock);
		c = disk->counters;
		spin_unlock_irq(&disk->lock);
		DMEMIT("%llu %llu %llu %llu %llu %llu %llu", c.reads, c.bytes_read, c.writes,
		       c.bytes_written, c.flushes, c.fuas, c.blocks);
	}
}

static int disk_iterate(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct disk *disk = ti->private;

	return fn(ti, disk->dev, disk->start, ti->len, data);
}

static struct target_type disk_target = {
	.name = "disk-model",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = disk_ctr,
	.dtr = disk_dtr,
	.map = disk_map,
	.end_io = disk_end_io,
	.message = disk_message,
	.status = disk_status,
	.iterate_devices = disk_iterate,
};
module_dm(disk);

MODULE_DESCRIPTION("Test only: a disk with known manners");
MODULE_LICENSE("GPL");
