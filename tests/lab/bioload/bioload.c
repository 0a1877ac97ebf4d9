// SPDX-License-Identifier: GPL-2.0
/*
 * Test only.  A load for block devices from inside the kernel: in User Mode Linux
 * a system call costs more than the I/O it asks for, and would be what is measured.
 *
 *	echo "dev=/dev/ram0 rw=write bs=1048576 qd=4 ms=3000" >/sys/kernel/debug/bioload
 *	cat /sys/kernel/debug/bioload
 *
 * rw: write, read, randwrite, randread, mixed (random, 70 % reads), permute (write
 * each block once, in an order like chance).  span: bytes of the device that are
 * used, from its start (0: all).  jobs: threads, each with @qd bios on their way.
 * fsync=1: each write is followed by a flush, and the two are one operation.
 * sync=1: one flush at the end, within the time.  ios: an end by count instead of
 * time.  cpu_ns is the processor time that the guest's kernel took from the host:
 * what others did on the machine meanwhile is not in it.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/debugfs.h>
#include <linux/kthread.h>
#include <linux/llist.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/parser.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define MOST_PAGES	256u		/* of one bio */
#define MOST_DEPTH	256u
#define MOST_JOBS	64u

/* Logarithmic, 16 steps to a power of two. */
#define STEPS		16u
#define BUCKETS		(64u * STEPS)

struct setup {
	char dev[128];
	char rw[16];
	u64 bs, qd, ms, span, jobs, ios, fsync, sync, seed;
};

struct job;

struct slot {
	struct llist_node done;
	struct job *job;
	struct bio bio;
	struct bio_vec *vecs;
	struct page **pages;
	u64 start;			/* ns */
	bool flushing;
};

struct job {
	struct load *load;
	struct task_struct *task;
	struct rnd_state rnd;
	struct slot *slots;
	struct llist_head done;
	wait_queue_head_t wait;
	u64 position, positions, first;	/* in units of bs */
	u64 state;			/* of permute */
	u64 ios, writes;
	u32 *buckets;
	blk_status_t status;
	struct completion ended;
};

struct load {
	struct setup s;
	struct block_device *bdev;
	u64 start, end, deadline, cpu;
	struct job *jobs;
};

static DEFINE_MUTEX(mutex);		/* one load at a time */
static char result[512];		/* Locking: mutex */

#if defined(CONFIG_UML) && defined(CONFIG_X86_64)
/* User Mode Linux is a process: a system call instruction here asks the host. */
static u64 host_cpu_ns(void)
{
	const long clock_gettime = 228, process_cputime = 2;
	struct { s64 sec, ns; } time = {};
	long err;

	asm volatile("syscall" : "=a"(err)
		     : "0"(clock_gettime), "D"(process_cputime), "S"(&time)
		     : "rcx", "r11", "memory");
	return err ? 0 : time.sec * NSEC_PER_SEC + time.ns;
}
#else
static u64 host_cpu_ns(void)
{
	return 0;
}
#endif

/* ---- Latency ---- */

static u32 bucket_of(u64 ns)
{
	u32 high = fls64(ns | STEPS) - 1;

	return (high - 4) * STEPS + ((ns >> (high - 4)) & (STEPS - 1));
}

static u64 bucket_value(u32 bucket)
{
	return ((u64)STEPS + bucket % STEPS) << (bucket / STEPS);
}

static u64 percentile(const u64 *buckets, u64 total, u32 per_mille)
{
	u64 seen = 0;
	u32 i;

	for (i = 0; i < BUCKETS; i++) {
		seen += buckets[i];
		if (seen * 1000 >= total * per_mille && seen)
			return bucket_value(i);
	}
	return 0;
}

/* ---- One bio ---- */

static bool is_random(const struct setup *s)
{
	return s->rw[0] == 'm' || !strncmp(s->rw, "rand", 4);
}

static bool next_is_read(struct job *job)
{
	const char *rw = job->load->s.rw;

	if (rw[0] == 'm')
		return prandom_u32_state(&job->rnd) % 10 < 7;
	return strstr(rw, "read");
}

/* A full period of a linear congruence over a power of two, without what is too much. */
static u64 next_of_permutation(struct job *job)
{
	u64 mask = roundup_pow_of_two(job->positions) - 1;

	do {
		job->state = (job->state * 6364136223846793005ull + 1442695040888963407ull) & mask;
	} while (job->state >= job->positions);
	return job->first + job->state;
}

static u64 next_position(struct job *job)
{
	u64 r;

	if (job->load->s.rw[0] == 'p')
		return next_of_permutation(job);
	if (!is_random(&job->load->s)) {
		r = job->position;
		job->position = (job->position + 1) % job->positions;
		return job->first + r;
	}
	r = (u64)prandom_u32_state(&job->rnd) << 32 | prandom_u32_state(&job->rnd);
	div64_u64_rem(r, job->positions, &r);
	return job->first + r;
}

static void slot_done(struct bio *bio)
{
	struct slot *slot = bio->bi_private;
	struct job *job = slot->job;

	/* Whoever takes the slot frees it only after the job has ended. */
	if (bio->bi_status)
		WRITE_ONCE(job->status, bio->bi_status);
	if (llist_add(&slot->done, &job->done))
		wake_up(&job->wait);
}

static void submit_slot(struct slot *slot)
{
	struct job *job = slot->job;
	struct load *load = job->load;
	bool read = next_is_read(job);
	u32 i;

	bio_init(&slot->bio, load->bdev, slot->vecs, MOST_PAGES,
		 read ? REQ_OP_READ : REQ_OP_WRITE | REQ_SYNC);
	for (i = 0; i < load->s.bs >> PAGE_SHIFT; i++)
		__bio_add_page(&slot->bio, slot->pages[i], PAGE_SIZE, 0);
	slot->bio.bi_iter.bi_sector = next_position(job) * (load->s.bs >> SECTOR_SHIFT);
	slot->bio.bi_end_io = slot_done;
	slot->bio.bi_private = slot;
	slot->flushing = false;
	job->writes += !read;
	slot->start = ktime_get_ns();
	submit_bio(&slot->bio);
}

static void submit_flush(struct slot *slot)
{
	bio_init(&slot->bio, slot->job->load->bdev, NULL, 0,
		 REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC);
	slot->bio.bi_end_io = slot_done;
	slot->bio.bi_private = slot;
	slot->flushing = true;
	submit_bio(&slot->bio);
}

/* ---- A job ---- */

static bool over(const struct job *job)
{
	const struct load *load = job->load;

	return READ_ONCE(job->status) ||
	       (load->s.ios ? job->ios >= load->s.ios : ktime_get_ns() >= load->deadline);
}

static int run_job(void *arg)
{
	struct job *job = arg;
	struct load *load = job->load;
	u32 i, out = 0;
	struct slot *slot, *next;
	struct llist_node *done;

	for (i = 0; i < load->s.qd; i++, out++)
		submit_slot(&job->slots[i]);
	while (out) {
		wait_event(job->wait, !llist_empty(&job->done));
		done = llist_del_all(&job->done);
		llist_for_each_entry_safe(slot, next, done, done) {
			if (load->s.fsync && !slot->flushing && !job->status) {
				submit_flush(slot);
				continue;
			}
			job->ios++;
			job->buckets[bucket_of(ktime_get_ns() - slot->start)]++;
			if (over(job))
				out--;
			else
				submit_slot(slot);
		}
		cond_resched();
	}
	complete(&job->ended);
	return 0;
}

static void free_slot(struct slot *slot)
{
	u32 i;

	for (i = 0; slot->pages && i < MOST_PAGES && slot->pages[i]; i++)
		__free_page(slot->pages[i]);
	kfree(slot->pages);
	kfree(slot->vecs);
}

static int make_slot(struct job *job, struct slot *slot)
{
	u32 i;

	slot->job = job;
	slot->vecs = kcalloc(MOST_PAGES, sizeof(*slot->vecs), GFP_KERNEL);
	slot->pages = kcalloc(MOST_PAGES, sizeof(*slot->pages), GFP_KERNEL);
	if (!slot->vecs || !slot->pages)
		return -ENOMEM;
	for (i = 0; i < job->load->s.bs >> PAGE_SHIFT; i++) {
		slot->pages[i] = alloc_page(GFP_KERNEL);
		if (!slot->pages[i])
			return -ENOMEM;
		prandom_bytes_state(&job->rnd, page_address(slot->pages[i]), PAGE_SIZE);
	}
	return 0;
}

static int make_job(struct load *load, u32 n)
{
	struct job *job = &load->jobs[n];
	u64 blocks = div64_u64(load->s.span, load->s.bs);
	int err = 0;
	u32 i;

	job->load = load;
	prandom_seed_state(&job->rnd, load->s.seed + n);
	init_llist_head(&job->done);
	init_waitqueue_head(&job->wait);
	init_completion(&job->ended);
	job->positions = blocks;
	if (!is_random(&load->s)) {	/* each its own part */
		job->positions = div64_u64(blocks, load->s.jobs);
		job->first = n * job->positions;
	}
	if (!job->positions)
		return -EINVAL;
	job->buckets = kvcalloc(BUCKETS, sizeof(*job->buckets), GFP_KERNEL);
	job->slots = kcalloc(load->s.qd, sizeof(*job->slots), GFP_KERNEL);
	if (!job->buckets || !job->slots)
		return -ENOMEM;
	for (i = 0; i < load->s.qd && !err; i++)
		err = make_slot(job, &job->slots[i]);
	return err;
}

static void free_job(struct load *load, u32 n)
{
	struct job *job = &load->jobs[n];
	u32 i;

	for (i = 0; job->slots && i < load->s.qd; i++)
		free_slot(&job->slots[i]);
	kfree(job->slots);
	kvfree(job->buckets);
}

/* ---- A load ---- */

static int report(struct load *load)
{
	u64 *buckets = kvcalloc(BUCKETS, sizeof(*buckets), GFP_KERNEL);
	u64 ios = 0, writes = 0;
	u32 n, i;

	if (!buckets)
		return -ENOMEM;
	for (n = 0; n < load->s.jobs; n++) {
		ios += load->jobs[n].ios;
		writes += load->jobs[n].writes;
		for (i = 0; i < BUCKETS; i++)
			buckets[i] += load->jobs[n].buckets[i];
	}
	scnprintf(result, sizeof(result),
		  "{\"ios\": %llu, \"writes\": %llu, \"bytes\": %llu, \"ns\": %llu, \"cpu_ns\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"p999_ns\": %llu, \"max_ns\": %llu}\n",
		  ios, writes, ios * load->s.bs, load->end - load->start, load->cpu,
		  percentile(buckets, ios, 500),
		  percentile(buckets, ios, 990), percentile(buckets, ios, 999),
		  percentile(buckets, ios, 1000));
	kvfree(buckets);
	return 0;
}

static int run_jobs(struct load *load)
{
	int err = 0;
	u32 n;

	for (n = 0; n < load->s.jobs; n++) {
		load->jobs[n].task = kthread_create(run_job, &load->jobs[n], "bioload/%u", n);
		if (IS_ERR(load->jobs[n].task)) {
			err = PTR_ERR(load->jobs[n].task);
			while (n--)
				kthread_stop(load->jobs[n].task);
			return err;
		}
	}
	load->cpu = host_cpu_ns();
	load->start = ktime_get_ns();
	load->deadline = load->start + load->s.ms * NSEC_PER_MSEC;
	for (n = 0; n < load->s.jobs; n++)
		wake_up_process(load->jobs[n].task);
	for (n = 0; n < load->s.jobs; n++)
		wait_for_completion(&load->jobs[n].ended);
	for (n = 0; n < load->s.jobs; n++)
		if (load->jobs[n].status)
			err = blk_status_to_errno(load->jobs[n].status);
	if (!err && load->s.sync)
		err = blkdev_issue_flush(load->bdev);
	load->end = ktime_get_ns();
	load->cpu = host_cpu_ns() - load->cpu;
	return err ?: report(load);
}

static int run_load(struct load *load)
{
	u64 size = bdev_nr_bytes(load->bdev);
	int err = 0;
	u32 n;

	if (!load->s.span || load->s.span > size)
		load->s.span = size;
	load->jobs = kcalloc(load->s.jobs, sizeof(*load->jobs), GFP_KERNEL);
	if (!load->jobs)
		return -ENOMEM;
	for (n = 0; n < load->s.jobs && !err; n++)
		err = make_job(load, n);
	if (!err)
		err = run_jobs(load);
	for (n = 0; n < load->s.jobs; n++)
		free_job(load, n);
	kfree(load->jobs);
	return err;
}

static int open_and_run(struct load *load)
{
	blk_mode_t mode = BLK_OPEN_READ;
	struct file *file;
	int err;

	if (!strstr(load->s.rw, "read"))
		mode |= BLK_OPEN_WRITE;
	file = bdev_file_open_by_path(load->s.dev, mode, NULL, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	load->bdev = file_bdev(file);
	err = run_load(load);
	fput(file);
	return err;
}

/* ---- The words ---- */

static int parse_number(struct setup *s, const char *name, const char *value)
{
	const struct { const char *name; u64 *field; } known[] = {
		{ "bs", &s->bs }, { "qd", &s->qd }, { "ms", &s->ms },
		{ "span", &s->span }, { "jobs", &s->jobs }, { "ios", &s->ios },
		{ "fsync", &s->fsync }, { "sync", &s->sync }, { "seed", &s->seed },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i].name))
			return kstrtou64(value, 0, known[i].field);
	return -EINVAL;
}

static int parse_word(struct setup *s, char *word)
{
	char *value = strchr(word, '=');

	if (!value)
		return -EINVAL;
	*value++ = 0;
	if (!strcmp(word, "dev"))
		return strscpy(s->dev, value) < 0 ? -EINVAL : 0;
	if (!strcmp(word, "rw"))
		return strscpy(s->rw, value) < 0 ? -EINVAL : 0;
	return parse_number(s, word, value);
}

static int parse(struct setup *s, char *words)
{
	static const char * const known[] = {
		"write", "read", "randwrite", "randread", "mixed", "permute",
	};
	char *word;
	int err;

	*s = (struct setup){ .rw = "write", .bs = 4096, .qd = 1, .ms = 1000, .jobs = 1, .seed = 1 };
	while ((word = strsep(&words, " \n"))) {
		if (!*word)
			continue;
		err = parse_word(s, word);
		if (err)
			return err;
	}
	if (match_string(known, ARRAY_SIZE(known), s->rw) < 0)
		return -EINVAL;
	if (!s->bs || s->bs & ~PAGE_MASK || s->bs > MOST_PAGES << PAGE_SHIFT || !s->qd ||
	    s->qd > MOST_DEPTH || !s->jobs || s->jobs > MOST_JOBS)
		return -EINVAL;
	return 0;
}

static ssize_t load_write(struct file *file, const char __user *from, size_t bytes, loff_t *pos)
{
	struct load *load = kzalloc(sizeof(*load), GFP_KERNEL);
	char *words = memdup_user_nul(from, bytes);
	int err = -ENOMEM;

	if (load && !IS_ERR(words)) {
		mutex_lock(&mutex);
		result[0] = 0;
		err = parse(&load->s, words);
		if (!err)
			err = open_and_run(load);
		mutex_unlock(&mutex);
	}
	if (!IS_ERR(words))
		kfree(words);
	kfree(load);
	return err ?: bytes;
}

static ssize_t load_read(struct file *file, char __user *to, size_t bytes, loff_t *pos)
{
	ssize_t n;

	mutex_lock(&mutex);
	n = simple_read_from_buffer(to, bytes, pos, result, strlen(result));
	mutex_unlock(&mutex);
	return n;
}

static const struct file_operations load_ops = {
	.owner = THIS_MODULE,
	.write = load_write,
	.read = load_read,
	.llseek = default_llseek,
};

static struct dentry *load_file;

static int __init bioload_init(void)
{
	load_file = debugfs_create_file("bioload", 0600, NULL, NULL, &load_ops);
	return PTR_ERR_OR_ZERO(load_file);
}

static void __exit bioload_exit(void)
{
	debugfs_remove(load_file);
}

module_init(bioload_init);
module_exit(bioload_exit);
MODULE_DESCRIPTION("Test only: load for block devices");
MODULE_LICENSE("GPL");
