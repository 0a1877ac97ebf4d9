// SPDX-License-Identifier: GPL-2.0
/*
 * A dm target for tests, in two roles.
 *
 * Below a vault it is a linear device whose n-th request fails, where other
 * targets fail by time or at random: so each request of a commit can be made to
 * fail, one after the other, or to take as long as the test likes.  Above a vault it
 * sends it requests that no system call makes: a flush with data, segments at odd
 * addresses, half a block.
 *
 *	<device> <first sector>
 *
 * status:   <requests seen> <requests failed> <flushes without data seen>
 *           <of them failed>
 * messages: fail <n> before|after	the n-th from now, 0: none; before or
 *					after the device below has done it
 *	     hold <n>			the n-th from now waits until
 *	     go				which answers ok, or that none waited
 *	     uevents hold		whoever sends an event of the device below
 *					waits, until
 *	     uevents go			which answers how many did
 *	     bio <op>[+preflush][+fua] <sector> <seed> [<offset>:<bytes>...]
 *		send it: read, write, flush, discard or zeroes; the last two
 *		take one segment, whose length counts.  A write's bytes follow
 *		from seed and position, a read's are compared with them.
 *		Answers ok, differs or the error.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/gfp.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/wait.h>

#define MAX_SEGMENTS	64u

enum how { FAIL_BEFORE, FAIL_AFTER, HOLD };

struct probe {
	struct dm_dev *dev;
	sector_t start;
	spinlock_t lock;	/* Protects what follows. */
	u64 seen, failed, flushes, failed_flushes;
	u64 left;		/* until the one that is meant; 0: none is */
	enum how how;
	struct bio *held;
};

struct probe_bio {
	bool fail;
};

/* ---- Below a vault ------------------------------------------------------ */

static bool is_the_one(struct probe *p, struct bio *bio, enum how *how)
{
	unsigned long flags;
	bool one, fails;

	spin_lock_irqsave(&p->lock, flags);
	p->seen++;
	p->flushes += !bio_sectors(bio);
	one = p->left && !--p->left;
	*how = p->how;
	fails = one && *how != HOLD;
	p->failed += fails;
	p->failed_flushes += fails && !bio_sectors(bio);
	if (one && !fails)
		p->held = bio;
	spin_unlock_irqrestore(&p->lock, flags);
	return one;
}

static int probe_map(struct dm_target *ti, struct bio *bio)
{
	struct probe_bio *pb = dm_per_bio_data(bio, sizeof(*pb));
	struct probe *p = ti->private;
	enum how how;
	bool one;

	bio_set_dev(bio, p->dev->bdev);
	bio->bi_iter.bi_sector = p->start +
				 dm_target_offset(ti, bio->bi_iter.bi_sector);
	pb->fail = false;
	one = is_the_one(p, bio, &how);
	if (one && how == FAIL_BEFORE)
		return DM_MAPIO_KILL;
	/* Whoever lets it go may have done so already. */
	if (one && how == HOLD)
		return DM_MAPIO_SUBMITTED;
	pb->fail = one;
	return DM_MAPIO_REMAPPED;
}

static int probe_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct probe_bio *pb = dm_per_bio_data(bio, sizeof(*pb));

	if (pb->fail)
		*error = BLK_STS_IOERR;
	return DM_ENDIO_DONE;
}

static bool let_go(struct probe *p)
{
	struct bio *bio;

	spin_lock_irq(&p->lock);
	bio = p->held;
	p->held = NULL;
	spin_unlock_irq(&p->lock);
	if (bio)
		submit_bio_noacct(bio);
	return bio;
}

/* No suspend waits for what is held here, so a test that died can be removed. */
static void probe_presuspend(struct dm_target *ti)
{
	struct probe *p = ti->private;

	spin_lock_irq(&p->lock);
	p->left = 0;
	spin_unlock_irq(&p->lock);
	let_go(p);
}

static int message_nth(struct probe *p, const char *nth, enum how how)
{
	u64 n;

	if (kstrtou64(nth, 10, &n))
		return -EINVAL;
	spin_lock_irq(&p->lock);
	p->left = n;
	p->how = how;
	spin_unlock_irq(&p->lock);
	return 0;
}

static int message_fail(struct probe *p, unsigned int argc, char **argv)
{
	if (argc != 3)
		return -EINVAL;
	return message_nth(p, argv[1],
			   strcmp(argv[2], "after") ? FAIL_BEFORE : FAIL_AFTER);
}

/* ---- Beside a vault ----------------------------------------------------- */

/* All devices share one set of operations: ours asks who it is about. */
static struct {
	struct kset *kset;
	const struct kset_uevent_ops *original;
	const struct kset_uevent_ops *ours;
	const struct kobject *whose;	/* NULL: of nobody */
	atomic_t came, inside;
	wait_queue_head_t wait;
} events = { .wait = __WAIT_QUEUE_HEAD_INITIALIZER(events.wait) };

static int hold_event(const struct kobject *kobj)
{
	int pass = 1;

	atomic_inc(&events.inside);
	if (kobj == READ_ONCE(events.whose)) {
		atomic_inc(&events.came);
		wait_event(events.wait, kobj != READ_ONCE(events.whose));
	}
	if (events.original->filter)
		pass = events.original->filter(kobj);
	if (atomic_dec_and_test(&events.inside))
		wake_up_all(&events.wait);
	return pass;
}

static int hold_events(struct probe *p)
{
	struct kobject *kobj = &disk_to_dev(p->dev->bdev->bd_disk)->kobj;
	const struct kset_uevent_ops *original = kobj->kset->uevent_ops;
	const struct kset_uevent_ops ours = {
		.filter = hold_event,
		.name = original->name,
		.uevent = original->uevent,
	};

	if (events.whose)
		return -EBUSY;
	events.ours = kmemdup(&ours, sizeof(ours), GFP_KERNEL);
	if (!events.ours)
		return -ENOMEM;
	events.kset = kobj->kset;
	events.original = original;
	atomic_set(&events.came, 0);
	WRITE_ONCE(events.whose, kobj);
	WRITE_ONCE(events.kset->uevent_ops, events.ours);
	return 0;
}

static u32 let_events_go(struct probe *p)
{
	if (events.whose != &disk_to_dev(p->dev->bdev->bd_disk)->kobj)
		return 0;
	WRITE_ONCE(events.kset->uevent_ops, events.original);
	WRITE_ONCE(events.whose, NULL);
	wake_up_all(&events.wait);
	wait_event(events.wait, !atomic_read(&events.inside));
	kfree(events.ours);
	return atomic_read(&events.came);
}

static int message_events(struct probe *p, unsigned int argc, char **argv,
			  char *result, unsigned int maxlen)
{
	if (argc == 2 && !strcmp(argv[1], "hold"))
		return hold_events(p);
	if (argc != 2 || strcmp(argv[1], "go"))
		return -EINVAL;
	snprintf(result, maxlen, "%u", let_events_go(p));
	return 1;
}

/* ---- Above a vault ------------------------------------------------------ */

/* All segments are parts of one piece of memory of their own. */
struct request {
	struct bio *bio;
	u8 *memory[MAX_SEGMENTS];
	u32 offset[MAX_SEGMENTS], bytes[MAX_SEGMENTS], nr;
	u64 sector, seed;
};

static u8 byte_at(const struct request *r, u64 position)
{
	u64 x = (position + 1) * 0x9e3779b97f4a7c15ull ^ r->seed * 0xbf58476d1ce4e5b9ull;

	return x >> 56 ^ x >> 23;
}

/* Fills it, or says whether it differs. */
static bool contents(struct request *r, bool fill)
{
	u64 position = r->sector << SECTOR_SHIFT;
	u32 s, i;

	for (s = 0; s < r->nr; s++) {
		u8 *to = r->memory[s] + r->offset[s];

		for (i = 0; i < r->bytes[s]; i++, position++) {
			if (fill)
				to[i] = byte_at(r, position);
			else if (to[i] != byte_at(r, position))
				return true;
		}
	}
	return false;
}

static int parse_segments(struct request *r, unsigned int argc, char **argv)
{
	for (; r->nr < argc; r->nr++) {
		if (r->nr == MAX_SEGMENTS ||
		    sscanf(argv[r->nr], "%u:%u", &r->offset[r->nr],
			   &r->bytes[r->nr]) != 2 ||
		    r->offset[r->nr] > SZ_1M || r->bytes[r->nr] > SZ_1M)
			return -EINVAL;
	}
	return 0;
}

static int get_memory(struct request *r)
{
	u32 s;

	for (s = 0; s < r->nr; s++) {
		r->memory[s] = alloc_pages_exact(r->offset[s] + r->bytes[s],
						 GFP_KERNEL | __GFP_ZERO);
		if (!r->memory[s])
			return -ENOMEM;
		/* Not bio_add_page(), which would join what happens to touch. */
		__bio_add_page(r->bio, virt_to_page(r->memory[s] + r->offset[s]),
			       r->bytes[s],
			       offset_in_page(r->memory[s] + r->offset[s]));
	}
	return 0;
}

static void free_request(struct request *r)
{
	u32 s;

	for (s = 0; s < MAX_SEGMENTS; s++)
		if (r->memory[s])
			free_pages_exact(r->memory[s], r->offset[s] + r->bytes[s]);
	if (r->bio)
		bio_put(r->bio);
	kfree(r);
}

static blk_opf_t operation(char *words)
{
	static const struct {
		const char *name;
		blk_opf_t opf;
	} known[] = {
		{ "read", REQ_OP_READ },
		{ "write", REQ_OP_WRITE },
		{ "flush", REQ_OP_WRITE | REQ_PREFLUSH },
		{ "discard", REQ_OP_DISCARD },
		{ "zeroes", REQ_OP_WRITE_ZEROES },
		{ "preflush", REQ_PREFLUSH },
		{ "fua", REQ_FUA },
	};
	blk_opf_t opf = 0;
	char *word;
	u32 i;

	while ((word = strsep(&words, "+"))) {
		for (i = 0; i < ARRAY_SIZE(known) && strcmp(word, known[i].name);)
			i++;
		if (i < ARRAY_SIZE(known))
			opf |= known[i].opf;
	}
	return opf;
}

static const char *send(struct probe *p, struct request *r, blk_opf_t opf)
{
	bool data = (opf & REQ_OP_MASK) == REQ_OP_READ ||
		    (opf & REQ_OP_MASK) == REQ_OP_WRITE;
	int err = 0;

	r->bio = bio_alloc(p->dev->bdev, MAX_SEGMENTS, opf, GFP_KERNEL);
	r->bio->bi_iter.bi_sector = r->sector;
	if (data)
		err = get_memory(r);
	else if (r->nr)
		r->bio->bi_iter.bi_size = r->bytes[0];
	if (err)
		return "ENOMEM";
	if (data && op_is_write(opf))
		contents(r, true);
	err = submit_bio_wait(r->bio);
	switch (err) {
	case 0:
		return (opf & REQ_OP_MASK) == REQ_OP_READ && contents(r, false) ?
		       "differs" : "ok";
	case -EIO:
		return "EIO";
	case -EILSEQ:
		return "EILSEQ";
	case -EINVAL:
		return "EINVAL";
	default:
		return "another error";
	}
}

static int message_bio(struct probe *p, unsigned int argc, char **argv,
		       char *result, unsigned int maxlen)
{
	struct request *r = kzalloc(sizeof(*r), GFP_KERNEL);
	int err = -EINVAL;

	if (!r)
		return -ENOMEM;
	if (argc >= 4 && !kstrtou64(argv[2], 10, &r->sector) &&
	    !kstrtou64(argv[3], 10, &r->seed))
		err = parse_segments(r, argc - 4, argv + 4);
	if (!err) {
		strscpy(result, send(p, r, operation(argv[1])), maxlen);
		err = 1;
	}
	free_request(r);
	return err;
}

/* ---- The target --------------------------------------------------------- */

static int probe_message(struct dm_target *ti, unsigned int argc, char **argv,
			 char *result, unsigned int maxlen)
{
	if (argc && !strcmp(argv[0], "fail"))
		return message_fail(ti->private, argc, argv);
	if (argc == 2 && !strcmp(argv[0], "hold"))
		return message_nth(ti->private, argv[1], HOLD);
	if (argc == 1 && !strcmp(argv[0], "go")) {
		strscpy(result, let_go(ti->private) ? "ok" : "none waited", maxlen);
		return 1;
	}
	if (argc && !strcmp(argv[0], "uevents"))
		return message_events(ti->private, argc, argv, result, maxlen);
	if (argc && !strcmp(argv[0], "bio"))
		return message_bio(ti->private, argc, argv, result, maxlen);
	return -EINVAL;
}

static void probe_status(struct dm_target *ti, status_type_t type,
			 unsigned int flags, char *result, unsigned int maxlen)
{
	struct probe *p = ti->private;

	if (type == STATUSTYPE_INFO)
		snprintf(result, maxlen, "%llu %llu %llu %llu", p->seen, p->failed,
			 p->flushes, p->failed_flushes);
	else if (type == STATUSTYPE_TABLE)
		snprintf(result, maxlen, "%s %llu", p->dev->name,
			 (unsigned long long)p->start);
	else
		*result = '\0';
}

static int probe_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct probe *p = kzalloc(sizeof(*p), GFP_KERNEL);
	u64 start;
	int err;

	if (!p)
		return -ENOMEM;
	err = argc == 2 ? kstrtou64(argv[1], 10, &start) : -EINVAL;
	if (!err)
		err = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table),
				    &p->dev);
	if (err) {
		ti->error = "usage: <device> <first sector>";
		kfree(p);
		return err;
	}
	p->start = start;
	spin_lock_init(&p->lock);
	ti->private = p;
	ti->per_io_data_size = sizeof(struct probe_bio);
	/* A vault's flushes are to be seen here, also above a ramdisk. */
	ti->num_flush_bios = 1;
	ti->flush_supported = true;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	return 0;
}

static void probe_dtr(struct dm_target *ti)
{
	struct probe *p = ti->private;

	let_events_go(p);
	dm_put_device(ti, p->dev);
	kfree(p);
}

static int probe_iterate_devices(struct dm_target *ti,
				 iterate_devices_callout_fn fn, void *data)
{
	struct probe *p = ti->private;

	return fn(ti, p->dev, p->start, ti->len, data);
}

static struct target_type probe_target = {
	.name = "probe",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = probe_ctr,
	.dtr = probe_dtr,
	.map = probe_map,
	.end_io = probe_end_io,
	.presuspend = probe_presuspend,
	.message = probe_message,
	.status = probe_status,
	.iterate_devices = probe_iterate_devices,
};
module_dm(probe);

MODULE_DESCRIPTION("A dm target for tests");
MODULE_LICENSE("GPL");
