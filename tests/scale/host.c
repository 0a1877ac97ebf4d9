// SPDX-License-Identifier: GPL-2.0
/*
 * The host: devices and their clock, ciphers that cost nothing, and what is measured.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>

#include "scale.h"

struct host *host;
unsigned long jiffies;

/* ---- Time ---- */

u64 host_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Something that happens at a time: a task goes on, or a function is called. */
struct event {
	u64 at, order;
	struct task *task;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

/* A heap of pointers, the soonest first. */
static struct {
	struct event **item;
	u32 nr, max;
	u64 order;
} heap;

static bool sooner(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void heap_swap(u32 a, u32 b)
{
	swap(heap.item[a], heap.item[b]);
}

static void schedule(struct event *event)
{
	u32 i = heap.nr++;

	if (heap.nr > heap.max) {
		heap.max = heap.max ? 2 * heap.max : 256;
		heap.item = realloc(heap.item, heap.max * sizeof(*heap.item));
	}
	event->order = heap.order++;
	heap.item[i] = event;
	for (; i && sooner(heap.item[i], heap.item[(i - 1) / 2]); i = (i - 1) / 2)
		heap_swap(i, (i - 1) / 2);
}

static struct event *soonest(void)
{
	struct event *event = heap.item[0];
	u32 i = 0, child;

	heap.item[0] = heap.item[--heap.nr];
	while ((child = 2 * i + 1) < heap.nr) {
		if (child + 1 < heap.nr && sooner(heap.item[child + 1], heap.item[child]))
			child++;
		if (!sooner(heap.item[child], heap.item[i]))
			break;
		heap_swap(i, child);
		i = child;
	}
	return event;
}

/* The clock stands still while anybody has something to do. */
static u32 nr_events(void *arg)
{
	return host->sched.nr_runnable ? 0 : min(heap.nr, 1u);
}

static void next_event(void *arg, u32 n)
{
	struct event *event = soonest();

	host->now = max(host->now, event->at);
	jiffies = host->now / (1000000000 / HZ);
	if (event->fn) {
		event->fn(event->arg);
		return;
	}
	event->done = true;
	task_wake(event->task);
}

static void wait_until(u64 at, const char *what)
{
	struct event event = { .at = at, .task = task_current };

	schedule(&event);
	while (!event.done)
		task_block(what, &event);
}

void scale_sleep(u64 ns)
{
	wait_until(host->now + ns, "time");
}

/* ---- What the engine needs of the processor, and how long it holds what ---- */

static struct locks *lock_of(const char *name, bool sleeps)
{
	u32 i;

	for (i = 0; i < host->nr_locks; i++)
		if (!strcmp(host->lock[i].name, name))
			return &host->lock[i];
	if (i == ARRAY_SIZE(host->lock))
		shim_fail("too many locks");
	host->lock[i].name = name;
	host->lock[i].sleeps = sleeps;
	host->nr_locks++;
	return &host->lock[i];
}

static u64 lock_clock(bool sleeps)
{
	return sleeps ? host->now : host_cpu();
}

static void locked(const char *name, bool sleeps)
{
	if (host && host->time_locks && task_current)
		lock_of(name, sleeps)->since = lock_clock(sleeps);
}

static void unlocked(const char *name, bool sleeps)
{
	struct locks *lock;

	if (!host || !host->time_locks || !task_current)
		return;
	lock = lock_of(name, sleeps);
	if (lock->since)
		lock->longest = max(lock->longest, lock_clock(sleeps) - lock->since);
	lock->since = 0;
}

#define WRAP(fn, type, dep, after, before, sleeps)			\
void __real_##fn(type *l);						\
void __wrap_##fn(type *l);						\
void __wrap_##fn(type *l)						\
{									\
	before;								\
	__real_##fn(l);							\
	after;								\
}
WRAP(shim_spin_lock, struct shim_lock, l, locked(l->name, false), , false)
WRAP(shim_spin_unlock, struct shim_lock, l, , unlocked(l->name, false), false)
WRAP(shim_read_lock, struct shim_lock, l, locked(l->name, false), , false)
WRAP(shim_read_unlock, struct shim_lock, l, , unlocked(l->name, false), false)
WRAP(mutex_lock, struct mutex, l, locked(l->dep.name, true), , true)
WRAP(mutex_unlock, struct mutex, l, , unlocked(l->dep.name, true), true)

/* The longest time that a task kept the processor to itself. */
static void stretch_ends(void)
{
	u64 now;

	if (!host || !host->time_locks)
		return;
	now = host_cpu();
	if (host->stretch_since && task_current)
		host->stretch = max(host->stretch, now - host->stretch_since);
	host->stretch_since = now;
}

void __real_shim_might_sleep(const char *file, int line);
void __wrap_shim_might_sleep(const char *file, int line);
void __wrap_shim_might_sleep(const char *file, int line)
{
	stretch_ends();
	__real_shim_might_sleep(file, line);
}

void __real_context_enter(struct context *context);
void __wrap_context_enter(struct context *context);
void __wrap_context_enter(struct context *context)
{
	if (host->time_locks)
		host->stretch_since = host_cpu();
	__real_context_enter(context);
	stretch_ends();
}

void host_forget_times(void)
{
	u32 i;

	for (i = 0; i < host->nr_locks; i++)
		host->lock[i].longest = host->lock[i].since = 0;
	host->stretch = 0;
	host->stretch_since = 0;
}

/* ---- Devices ---- */

/* When a request that comes now will have been answered. */
static u64 answered(struct qvault_dev *dev)
{
	u64 *worker = dev->free_at;
	u32 i;

	for (i = 1; i < DEPTH; i++)
		if (dev->free_at[i] < *worker)
			worker = &dev->free_at[i];
	*worker = max(*worker, host->now) + dev->delay;
	return *worker;
}

static void check_place(const struct qvault_dev *dev, u64 block)
{
	if (block >= dev->nr_blocks)
		shim_fail("block %llu is beyond the end", (unsigned long long)block);
}

static void read_block(struct qvault_dev *dev, u64 block, void *buf)
{
	const void *stored = map64_get(&dev->stored, block);

	if (stored)
		memcpy(buf, stored, QVAULT_BLOCK_SIZE);
	else if (!synth_read(dev, block, buf))
		memset(buf, 0, QVAULT_BLOCK_SIZE);
}

static void store(struct qvault_dev *dev, u64 block, const void *buf)
{
	void **slot = map64_slot(&dev->stored, block);

	if (!*slot)
		*slot = malloc(QVAULT_BLOCK_SIZE);
	memcpy(*slot, buf, QVAULT_BLOCK_SIZE);
}

static void drop_stored(struct qvault_dev *dev)
{
	u64 i;

	for (i = 0; dev->stored.keys && i <= dev->stored.mask; i++)
		free(dev->stored.values[i]);
	map64_free(&dev->stored);
}

u64 qvault_dev_blocks(struct qvault_dev *dev)
{
	return dev->nr_blocks;
}

int qvault_dev_read(struct qvault_dev *dev, u64 block, void *buf)
{
	check_place(dev, block);
	dev->reads++;
	wait_until(answered(dev), "a read");
	read_block(dev, block, buf);
	return 0;
}

int qvault_dev_write_fua(struct qvault_dev *dev, u64 block, void *buf)
{
	check_place(dev, block);
	dev->writes++;
	wait_until(answered(dev), "a write");
	store(dev, block, buf);
	return 0;
}

int qvault_dev_flush(struct qvault_dev *dev)
{
	dev->flushes++;
	wait_until(answered(dev), "a flush");
	return 0;
}

int qvault_dev_flush_and_read(struct qvault_dev *dev, struct qvault_dev *other,
			      struct qvault_look *reads, u32 n)
{
	u64 last = host->now;
	u32 i;

	for (i = 0; i < n; i++)
		last = max(last, answered(other));
	other->reads += n;
	if (dev)
		qvault_dev_flush(dev);
	wait_until(max(last, host->now), "a read");
	for (i = 0; i < n; i++) {
		read_block(other, reads[i].block, reads[i].buf);
		reads[i].err = 0;
	}
	return 0;
}

void qvault_dev_read_many(struct qvault_dev *dev, struct qvault_read *read, u32 n)
{
	u64 last = host->now;
	u32 i;

	for (i = 0; i < n; i++) {
		check_place(dev, read[i].block);
		last = max(last, answered(dev));
	}
	dev->reads += n;
	wait_until(last, "reads");
	for (i = 0; i < n; i++) {
		read_block(dev, read[i].block, read[i].buf);
		read[i].err = 0;
	}
}

void qvault_dev_discard(struct qvault *v, const struct qvault_range *range, u32 nr)
{
	u64 last = host->now;
	u32 i;

	for (i = 0; i < nr; i++)
		last = max(last, answered(v->data));
	v->data->discards += nr;
	wait_until(last, "discards");
}

/* ---- Batches ---- */

struct qvault_batch {
	struct qvault_dev *dev;
	u32 inflight;
	wait_queue_head_t wait;
};

struct batch_io {
	struct event event;
	struct qvault_batch *batch;
};

struct qvault_batch *qvault_batch_begin(struct qvault *v, struct qvault_dev *dev,
					enum qvault_use use)
{
	struct qvault_batch *batch = kzalloc(sizeof(*batch), GFP_NOIO);

	batch->dev = dev;
	init_waitqueue_head(&batch->wait);
	return batch;
}

void *qvault_batch_buf(struct qvault_batch *batch)
{
	return qvault_buf_get(NULL, QVAULT_USE_CHECKPOINT);
}

static void batch_io_end(void *arg)
{
	struct batch_io *io = arg;

	io->batch->inflight--;
	wake_up(&io->batch->wait);
	free(io);
}

void qvault_batch_write(struct qvault_batch *batch, u64 block, void *buf)
{
	struct batch_io *io;

	check_place(batch->dev, block);
	wait_event(batch->wait, batch->inflight < DEPTH);
	io = calloc(1, sizeof(*io));
	io->batch = batch;
	io->event.fn = batch_io_end;
	io->event.arg = io;
	io->event.at = answered(batch->dev);
	batch->inflight++;
	batch->dev->writes++;
	store(batch->dev, block, buf);
	qvault_buf_put(buf);
	schedule(&io->event);
}

int qvault_batch_wait(struct qvault_batch *batch)
{
	wait_event(batch->wait, !batch->inflight);
	return 0;
}

void qvault_batch_end(struct qvault_batch *batch)
{
	qvault_batch_wait(batch);
	kfree(batch);
}

/* ---- Buffers ---- */

void *qvault_buf_try(void)
{
	might_sleep();
	return kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO);
}

void *qvault_buf_get(struct qvault *v, enum qvault_use use)
{
	return qvault_buf_try();
}

void qvault_buf_put(void *buf)
{
	kfree(buf);
}

/* ---- Ciphers ---- */

int qvault_crypto_unlock(struct qvault_crypto *crypto, const u8 *uuid,
			 u8 check[QVAULT_CHECK_SIZE])
{
	memset(check, 1, QVAULT_CHECK_SIZE);
	return 0;
}

int qvault_crypto_rewrap(struct qvault_crypto *crypto, struct qvault_opener *opener,
			 struct qvault_disk_generation gen[QVAULT_GENERATIONS],
			 u8 check[QVAULT_CHECK_SIZE])
{
	return -EOPNOTSUPP;
}

struct qvault_opener *qvault_crypto_turn(struct qvault_crypto *crypto,
					 struct qvault_opener *opener)
{
	return opener;
}

void qvault_opener_free(struct qvault_opener *opener)
{
}

int qvault_crypto_open(struct qvault_crypto *crypto, u32 gen,
		       const struct qvault_disk_generation *disk)
{
	return 0;
}

int qvault_crypto_create(struct qvault_crypto *crypto, u32 gen, enum qvault_mac mac,
			 struct qvault_disk_generation *disk)
{
	return 0;
}

int qvault_crypto_prepare(struct qvault_crypto *crypto, enum qvault_mac mac)
{
	return 0;
}

void qvault_crypto_forget(struct qvault_crypto *crypto, u32 gen)
{
}

int qvault_crypto_hold(struct qvault_crypto *crypto, u32 gen)
{
	return 0;
}

void qvault_crypto_release(struct qvault_crypto *crypto)
{
}

int qvault_crypto_xts(struct qvault_crypto *crypto, u32 gen, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst)
{
	if (src != dst)
		memcpy(dst, src, QVAULT_BLOCK_SIZE);
	return 0;
}

int qvault_crypto_mac(struct qvault_crypto *crypto, u32 gen, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	u32 i;

	for (i = 0; i < n; i++)
		tag_of(le64_to_cpu(head[i].kind), le64_to_cpu(head[i].id),
		       le64_to_cpu(head[i].version), tag[i]);
	return 0;
}

int qvault_crypto_anchor_mac(struct qvault_crypto *crypto, const void *data,
			     u32 bytes, u8 mac[QVAULT_ANCHOR_MAC_SIZE])
{
	u64 h = bytes, word;
	u32 i;

	for (i = 0; i + 8 <= bytes; i += 8) {
		memcpy(&word, data + i, 8);
		h = mix64(h ^ word);
	}
	for (i = 0; i < QVAULT_ANCHOR_MAC_SIZE; i += 8) {
		h = mix64(h + i);
		memcpy(mac + i, &h, 8);
	}
	return 0;
}

bool qvault_tags_differ(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) != 0;
}

/* ---- This machine ---- */

int qvault_claim_line(struct qvault *v, const u8 *uuid)
{
	return 0;
}

u64 qvault_random(void)
{
	return rng_next(&host->sched.rng);
}

void qvault_kick_checkpoint(struct qvault *v)
{
	host->kicks++;
	host->kicked = true;
	wake_up(&host->kick_wait);
}

/* On a thread of its own; see trims() in main.c. */
void qvault_kick_trim(struct qvault *v)
{
	host->trim_kicked = true;
	wake_up(&host->kick_wait);
}

int qvault_wait(struct qvault *v, u32 seconds)
{
	scale_sleep(seconds * 1000000000ull);
	return 0;
}

void qvault_crypto_settle(struct qvault_crypto *crypto)
{
}

void qvault_kick_readahead(struct qvault *v, u64 leaf)
{
	if (host->nr_ahead < ARRAY_SIZE(host->ahead))
		host->ahead[host->nr_ahead++] = leaf;
}

void qvault_report_failure(struct qvault *v, const char *what, int err)
{
	shim_fail("the vault failed: %s, %d", what, err);
}

void qvault_report_trouble(struct qvault *v, const char *what, int err)
{
	shim_fail("trouble: %s, %d", what, err);
}

void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence)
{
	shim_fail("somebody else goes on");
}

void qvault_report_slot(struct qvault *v, u32 slot, int err)
{
}

void qvault_report_mended(struct qvault *v, u32 slot)
{
	shim_fail("slot %u was written again", slot);
}

void qvault_report_corruption(struct qvault *v, enum qvault_kind kind, u64 id)
{
	shim_fail("kind %d, id 0x%llx is corrupt", kind, (unsigned long long)id);
}

void qvault_report_half(struct qvault *v, enum qvault_kind kind, u64 id)
{
	shim_fail("a copy of kind %d, id 0x%llx is bad", kind, (unsigned long long)id);
}

/* ---- A host ---- */

static void begin(u64 seed)
{
	sched_init(&host->sched, seed);
	host->sched.preempt = 0;
	host->sched.max_steps = ~0ull;
	host->sched.nr_events = nr_events;
	host->sched.event = next_event;
	host->kicked = host->trim_kicked = false;
	host->stopping = false;
	host->nr_ahead = 0;
	init_waitqueue_head(&host->kick_wait);
	heap.nr = 0;
	memset(host->data.free_at, 0, sizeof(host->data.free_at));
	memset(host->anchor.free_at, 0, sizeof(host->anchor.free_at));
}

static void new_vault(u32 memory_mib)
{
	memset(&host->v, 0, sizeof(host->v));
	host->v.data = &host->data;
	host->v.anchor_dev = &host->anchor;
	host->v.crypto = &host->crypto;
	host->v.memory_mib = memory_mib;
	host->v.logical_blocks = host->data.geo.logical_blocks;
	host->v.platform = host;
}

/* The record of a volume that is full, or of one that is empty. */
static void format(u32 log_blocks)
{
	struct qvault_disk_anchor *disk = kzalloc(sizeof(*disk), GFP_KERNEL);
	struct qvault_dev *dev = &host->data;
	struct qvault_root root;

	if (qvault_new_anchor(disk, (const u8 *)"0123456789abcdef", dev->nr_blocks, 0,
			      log_blocks))
		shim_fail("no such volume");
	memset(disk->check, 1, sizeof(disk->check));
	disk->gen[0].cipher = QVAULT_CIPHER_AES_256_XTS;
	disk->gen[0].mac = QVAULT_MAC_HMAC_SHA256_128;
	disk->seal = 0;
	disk->lease = cpu_to_le64(SYNTH_LEASE);
	if (dev->full) {
		synth_root(&dev->geo, QVAULT_KIND_NODE, &root);
		qvault_ptr_to_disk(&disk->tree, &root.ptr);
		disk->tree_level = root.level;
		synth_root(&dev->geo, QVAULT_KIND_MAP, &root);
		qvault_ptr_to_disk(&disk->map, &root.ptr);
		disk->map_level = root.level;
	}
	qvault_crypto_anchor_mac(NULL, disk, offsetof(struct qvault_disk_anchor, mac),
				 disk->mac);
	store(&host->anchor, QVAULT_SLOT_BLOCK(1), disk);
	kfree(disk);
}

void host_init(u64 data_blocks, u64 delay, u32 memory_mib, bool full)
{
	u32 log_blocks = qvault_default_log_blocks(data_blocks);

	host = calloc(1, sizeof(*host));
	host->data.nr_blocks = data_blocks;
	host->data.full = full;
	host->data.delay = delay;
	host->anchor.nr_blocks = QVAULT_ANCHOR_BLOCKS;
	host->anchor.delay = delay;
	if (qvault_geometry_init(&host->data.geo, data_blocks, 0, log_blocks))
		shim_fail("no such geometry");
	begin(data_blocks + delay);
	format(log_blocks);
	new_vault(memory_mib);
}

void host_exit(void)
{
	sched_exit(&host->sched);
	drop_stored(&host->data);
	drop_stored(&host->anchor);
	free(host);
	host = NULL;
}

void host_run(void (*fn)(void *arg), void *arg)
{
	task_spawn(&host->sched, "main", fn, arg);
	sched_run(&host->sched);
}

void host_crash(void)
{
	u32 memory_mib = host->v.memory_mib;

	/* All writes here are durable at once: what is timed does not depend on it. */
	sched_crash(&host->sched);
	host->memory = host->memory_peak = 0;
	begin(1);
	new_vault(memory_mib);
}
