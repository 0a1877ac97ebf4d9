/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_MEMPOOL_H
#define SHIM_MEMPOOL_H
#include <linux/slab.h>
#include <linux/wait.h>
typedef void *(mempool_alloc_t)(gfp_t gfp, void *data);
typedef void (mempool_free_t)(void *element, void *data);
typedef struct mempool {
	int min_nr;
	int curr_nr;
	void **elements;
	void *data;
	mempool_alloc_t *alloc;
	mempool_free_t *free;
	wait_queue_head_t wait;
} mempool_t;
int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc,
		 mempool_free_t *free, void *data);
mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc,
			  mempool_free_t *free, void *data);
void mempool_exit(mempool_t *pool);
void mempool_destroy(mempool_t *pool);
void *mempool_alloc(mempool_t *pool, gfp_t gfp);
void mempool_free(void *element, mempool_t *pool);
void *mempool_kmalloc(gfp_t gfp, void *data);
void mempool_kfree(void *element, void *data);
void *mempool_alloc_slab(gfp_t gfp, void *data);
void mempool_free_slab(void *element, void *data);
#define mempool_init_kmalloc_pool(pool, nr, size) \
	mempool_init(pool, nr, mempool_kmalloc, mempool_kfree, (void *)(size))
#define mempool_create_kmalloc_pool(nr, size) \
	mempool_create(nr, mempool_kmalloc, mempool_kfree, (void *)(size))
#define mempool_init_slab_pool(pool, nr, cache) \
	mempool_init(pool, nr, mempool_alloc_slab, mempool_free_slab, cache)
#define mempool_create_slab_pool(nr, cache) \
	mempool_create(nr, mempool_alloc_slab, mempool_free_slab, cache)
#endif
