// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation.  Each block goes to malloc() by itself, so that AddressSanitizer
 * sees its ends, and hangs in the list of its scheduler's heap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/mempool.h>
#include <linux/sched/mm.h>

#include "sched.h"

struct chunk {
	struct list_head list;
	size_t size;
	struct sched *sched;		/* in whose heap it is, or NULL */
};

static struct list_head outside = LIST_HEAD_INIT(outside);

static struct list_head *heap(void)
{
	return sched_current ? &sched_current->heap : &outside;
}

/* What a kernel would give: small pieces in sizes of powers of two, large ones in pages. */
static size_t given(size_t size)
{
	size_t power = 8;

	while (power < size && power < PAGE_SIZE)
		power *= 2;
	return size <= power ? power : DIV_ROUND_UP(size, PAGE_SIZE) * PAGE_SIZE;
}

static void count(struct chunk *chunk)
{
	struct sched *sched = sched_current;

	chunk->sched = sched;
	if (!sched)
		return;
	sched->heap_bytes += given(chunk->size);
	if (sched->heap_peak < sched->heap_bytes)
		sched->heap_peak = sched->heap_bytes;
}

/* May this allocation fail, and does it? */
static bool fails(gfp_t gfp)
{
	struct sched *sched = sched_current;

	if (!sched || !task_current || gfp & __GFP_NOFAIL)
		return false;
	sched->nr_allocs++;
	if (sched->fail_alloc_at && sched->nr_allocs == sched->fail_alloc_at)
		return true;
	return sched->fail_alloc && rng_chance(&sched->rng, sched->fail_alloc);
}

static void check_context(gfp_t gfp)
{
	struct task *task = task_current;

	if (!task)
		return;
	if (gfp & __GFP_DIRECT_RECLAIM)
		might_sleep();
	if (task->sched->need_noio && gfp & (__GFP_IO | __GFP_FS) &&
	    !task->noio && !task->may_io)
		shim_fail("GFP_KERNEL in the path of I/O");
}

/*
 * The largest block of a world comes and goes with it: keep one, for malloc()
 * would map and unmap it each time.
 */
#define LARGE (128 * 1024)
static struct chunk *large;

static struct chunk *get_chunk(size_t size)
{
	struct chunk *chunk = large;

	if (!chunk || chunk->size != size)
		return malloc(sizeof(*chunk) + size);
	large = NULL;
	return chunk;
}

static void put_chunk(struct chunk *chunk)
{
	if (chunk->size < LARGE || large)
		free(chunk);
	else
		large = chunk;
}

static void *raw_alloc(size_t size, gfp_t gfp)
{
	struct chunk *chunk;

	if (size > 1ull << 32)
		return NULL;
	chunk = get_chunk(size);
	chunk->size = size;
	list_add_tail(&chunk->list, heap());
	count(chunk);
	/* What nobody has set must not look like zero. */
	memset(chunk + 1, gfp & __GFP_ZERO ? 0 : 0xa5, size);
	return chunk + 1;
}

void *shim_alloc(size_t size, gfp_t gfp, bool zero)
{
	check_context(gfp);
	if (fails(gfp))
		return NULL;
	return raw_alloc(size, zero ? gfp | __GFP_ZERO : gfp);
}

void kfree(const void *p)
{
	struct chunk *chunk;

	if (!p)
		return;
	chunk = (struct chunk *)p - 1;
	list_del(&chunk->list);
	if (chunk->sched)
		chunk->sched->heap_bytes -= given(chunk->size);
	put_chunk(chunk);
}

size_t ksize(const void *p)
{
	return ((const struct chunk *)p - 1)->size;
}

size_t shim_heap_bytes(void)
{
	const struct chunk *chunk;
	size_t bytes = 0;

	list_for_each_entry(chunk, heap(), list)
		bytes += given(chunk->size);
	return bytes;
}

void kfree_sensitive(const void *p)
{
	if (p)
		memset((void *)p, 0, ksize(p));
	kfree(p);
}

void *shim_realloc(const void *p, size_t size, gfp_t gfp)
{
	void *n = shim_alloc(size, gfp, false);

	if (n && p)
		memcpy(n, p, ksize(p) < size ? ksize(p) : size);
	if (n)
		kfree(p);
	return n;
}

void *kmemdup(const void *p, size_t size, gfp_t gfp)
{
	void *n = kmalloc(size, gfp);

	return n ? memcpy(n, p, size) : NULL;
}

unsigned long __get_free_page(gfp_t gfp)
{
	return (unsigned long)shim_alloc(PAGE_SIZE, gfp, gfp & __GFP_ZERO);
}

void free_page(unsigned long addr)
{
	kfree((void *)addr);
}

void shim_heap_free_all(struct sched *sched)
{
	struct chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &sched->heap, list)
		kfree(chunk + 1);
}

void shim_heap_check_empty(struct sched *sched)
{
	struct chunk *chunk;

	list_for_each_entry(chunk, &sched->heap, list)
		shim_fail("leaks %zu bytes at %p", chunk->size, chunk + 1);
}

unsigned int memalloc_noio_save(void)
{
	return task_current ? task_current->noio++ : 0;
}

void memalloc_noio_restore(unsigned int flags)
{
	if (task_current)
		task_current->noio = flags;
}

/* ---- Caches and pools --------------------------------------------------- */

struct kmem_cache {
	unsigned int size;
	u32 nr;
};

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *))
{
	struct kmem_cache *cache = kmalloc(sizeof(*cache), GFP_KERNEL);

	if (cache) {
		cache->size = size;
		cache->nr = 0;
	}
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	if (cache && cache->nr)
		shim_fail("%u objects left in a cache", cache->nr);
	kfree(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *p = shim_alloc(cache->size, gfp, gfp & __GFP_ZERO);

	cache->nr += !!p;
	return p;
}

void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	return kmem_cache_alloc(cache, gfp | __GFP_ZERO);
}

void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	cache->nr--;
	kfree(p);
}

int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc,
		 mempool_free_t *free, void *data)
{
	memset(pool, 0, sizeof(*pool));
	pool->alloc = alloc;
	pool->free = free;
	pool->data = data;
	pool->min_nr = min_nr;
	init_waitqueue_head(&pool->wait);
	pool->elements = kcalloc(min_nr, sizeof(void *), GFP_KERNEL);
	if (!pool->elements)
		return -ENOMEM;
	while (pool->curr_nr < min_nr) {
		void *element = alloc(GFP_KERNEL, data);

		if (!element) {
			mempool_exit(pool);
			return -ENOMEM;
		}
		pool->elements[pool->curr_nr++] = element;
	}
	return 0;
}

mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc,
			  mempool_free_t *free, void *data)
{
	mempool_t *pool = kmalloc(sizeof(*pool), GFP_KERNEL);

	if (pool && mempool_init(pool, min_nr, alloc, free, data)) {
		kfree(pool);
		return NULL;
	}
	return pool;
}

void mempool_exit(mempool_t *pool)
{
	if (!pool->elements)
		return;
	while (pool->curr_nr)
		pool->free(pool->elements[--pool->curr_nr], pool->data);
	kfree(pool->elements);
	pool->elements = NULL;
}

void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	if (pool->curr_nr != pool->min_nr)
		shim_fail("%d elements of a pool are missing",
			  pool->min_nr - pool->curr_nr);
	mempool_exit(pool);
	kfree(pool);
}

/* As in the kernel: the allocator first, then the pool, then wait. */
void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	void *element = pool->alloc((gfp & ~(__GFP_DIRECT_RECLAIM | __GFP_IO)) |
				    __GFP_NORETRY | __GFP_NOWARN, pool->data);

	if (element)
		return element;
	if (gfp & __GFP_DIRECT_RECLAIM)
		wait_event(pool->wait, pool->curr_nr);
	if (!pool->curr_nr)
		return NULL;
	return pool->elements[--pool->curr_nr];
}

void mempool_free(void *element, mempool_t *pool)
{
	if (!element)
		return;
	if (pool->curr_nr < pool->min_nr) {
		pool->elements[pool->curr_nr++] = element;
		wake_up(&pool->wait);
		return;
	}
	pool->free(element, pool->data);
}

void *mempool_kmalloc(gfp_t gfp, void *data)
{
	return kmalloc((size_t)data, gfp);
}

void mempool_kfree(void *element, void *data)
{
	kfree(element);
}

void *mempool_alloc_slab(gfp_t gfp, void *data)
{
	return kmem_cache_alloc(data, gfp);
}

void mempool_free_slab(void *element, void *data)
{
	kmem_cache_free(data, element);
}

#ifdef __SANITIZE_ADDRESS__
/*
 * Worlds come and go by the thousand: keep what is freed in quarantine for a
 * while and not for long, so that memory stays warm.  New memory is filled
 * above; leaks are found above as well.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0:max_malloc_fill_size=0:quarantine_size_mb=4:"
	       "malloc_context_size=4:allocator_release_to_os_interval_ms=-1";
}
#endif
