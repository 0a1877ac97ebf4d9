// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation: never fails, and is counted as the kernel's allocators round it.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/mempool.h>
#include <linux/sched/mm.h>

#include "scale.h"

struct chunk {
	struct list_head list;
	size_t size, rounded;
};

static struct list_head chunks = LIST_HEAD_INIT(chunks);

/* Sizes that kmalloc() has, and whole pages above. */
static size_t rounded(size_t size)
{
	size_t n = 8;

	if (size > 8192)
		return (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	if (size > 64 && size <= 96)
		return 96;
	if (size > 128 && size <= 192)
		return 192;
	while (n < size)
		n *= 2;
	return n;
}

static void count(s64 bytes)
{
	host->memory += bytes;
	host->memory_peak = max(host->memory_peak, host->memory);
}

void *shim_alloc(size_t size, gfp_t gfp, bool zero)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + size);

	chunk->size = size;
	chunk->rounded = rounded(size);
	list_add_tail(&chunk->list, &chunks);
	count(chunk->rounded);
	return zero || gfp & __GFP_ZERO ? memset(chunk + 1, 0, size) : chunk + 1;
}

void kfree(const void *p)
{
	struct chunk *chunk = (struct chunk *)p - 1;

	if (!p)
		return;
	list_del(&chunk->list);
	count(-(s64)chunk->rounded);
	free(chunk);
}

size_t ksize(const void *p)
{
	return ((const struct chunk *)p - 1)->size;
}

void kfree_sensitive(const void *p)
{
	kfree(p);
}

void *shim_realloc(const void *p, size_t size, gfp_t gfp)
{
	void *n = shim_alloc(size, gfp, false);

	if (p)
		memcpy(n, p, min(ksize(p), size));
	kfree(p);
	return n;
}

void *kmemdup(const void *p, size_t size, gfp_t gfp)
{
	return memcpy(kmalloc(size, gfp), p, size);
}

/* Called by the scheduler when all tasks are gone. */
void shim_heap_free_all(struct sched *sched)
{
	struct chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &chunks, list)
		kfree(chunk + 1);
}

void shim_heap_check_empty(struct sched *sched)
{
	if (!list_empty(&chunks))
		shim_fail("leaks %llu bytes", (unsigned long long)host->memory);
}

unsigned int memalloc_noio_save(void)
{
	return 0;
}

void memalloc_noio_restore(unsigned int flags)
{
}

/* ---- Pools ---- */

mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc,
			  mempool_free_t *free, void *data)
{
	mempool_t *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	pool->alloc = alloc;
	pool->free = free;
	pool->data = data;
	pool->min_nr = min_nr;
	pool->elements = kcalloc(min_nr, sizeof(void *), GFP_KERNEL);
	while (pool->curr_nr < min_nr)
		pool->elements[pool->curr_nr++] = alloc(GFP_KERNEL, data);
	return pool;
}

void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	while (pool->curr_nr)
		pool->free(pool->elements[--pool->curr_nr], pool->data);
	kfree(pool->elements);
	kfree(pool);
}

void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	return pool->alloc(gfp, pool->data);
}

void mempool_free(void *element, mempool_t *pool)
{
	if (!element)
		return;
	if (pool->curr_nr < pool->min_nr)
		pool->elements[pool->curr_nr++] = element;
	else
		pool->free(element, pool->data);
}

void mempool_kfree(void *element, void *data)
{
	kfree(element);
}
