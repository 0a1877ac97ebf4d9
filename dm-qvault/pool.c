// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is there when there is none: what lets a vault write while the
 * machine waits for that write to get memory back.
 */
#include <linux/mm.h>

#include "platform.h"

/* Blocks of the engine that one vault may hold before any comes back. */
#define BUFFERS_PER_VAULT	128

#define MIN_PAGES	64
#define MIN_SCRATCH	2
#define MIN_CHUNKS	2
#define MIN_BATCHES	2
#define MIN_BIOS	16

/*
 * The engine's buffers.  One pool serves all vaults, also those that stand on
 * other vaults, so each vault adds as much to it as it may hold.
 */
static mempool_t buffers;
static DEFINE_MUTEX(buffers_mutex);
static unsigned int buffer_users;	/* Locking: buffers_mutex */

int qvault_buffers_init(void)
{
	return mempool_init_page_pool(&buffers, BUFFERS_PER_VAULT, 0);
}

void qvault_buffers_exit(void)
{
	mempool_exit(&buffers);
}

/**
 * qvault_buffers_add() - make the pool large enough for one more vault
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int qvault_buffers_add(void)
{
	int err;

	mutex_lock(&buffers_mutex);
	err = mempool_resize(&buffers, BUFFERS_PER_VAULT * (buffer_users + 1));
	if (!err)
		buffer_users++;
	mutex_unlock(&buffers_mutex);
	return err;
}

/**
 * qvault_buffers_remove() - undo qvault_buffers_add()
 *
 * Context: May sleep.
 */
void qvault_buffers_remove(void)
{
	mutex_lock(&buffers_mutex);
	buffer_users--;
	/* Making it smaller cannot fail; if it did, it would only be larger. */
	(void)mempool_resize(&buffers, BUFFERS_PER_VAULT * max(buffer_users, 1u));
	mutex_unlock(&buffers_mutex);
}

/**
 * qvault_buf_get() - get a buffer of one block
 *
 * Context: May sleep.
 * Return: Linear memory, contents undefined; never NULL.
 */
void *qvault_buf_get(void)
{
	struct page *page = mempool_alloc(&buffers, GFP_NOIO);

	return page_address(page);
}

/**
 * qvault_buf_try() - get a buffer, but not from the reserve
 *
 * Context: May sleep.
 * Return: Linear memory, contents undefined; NULL if memory is short.
 */
void *qvault_buf_try(void)
{
	return (void *)__get_free_page(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
}

/**
 * qvault_buf_put() - give a buffer back
 * @buf: from qvault_buf_get(), or NULL
 *
 * Context: Any.
 */
void qvault_buf_put(void *buf)
{
	if (buf)
		mempool_free(virt_to_page(buf), &buffers);
}

/*
 * What is in the reserves comes back as I/O ends, so who finds them empty waits.
 * mempool_alloc() alone would first reclaim memory, and threads that may not do
 * I/O find none to speak of: with swap on a vault they search all of memory, one
 * after the other, for every page that is to be written.
 */
static gfp_t no_search(gfp_t gfp)
{
	return gfp & __GFP_IO ? gfp : gfp & ~__GFP_DIRECT_RECLAIM;
}

static void *alloc_bytes(gfp_t gfp, void *size)
{
	return kmalloc((size_t)size, no_search(gfp));
}

static void *alloc_one_page(gfp_t gfp, void *unused)
{
	return alloc_page(no_search(gfp));
}

static void free_one_page(void *page, void *unused)
{
	__free_page(page);
}

static int pool_of_bytes(mempool_t *pool, int min, size_t size)
{
	return mempool_init(pool, min, alloc_bytes, mempool_kfree, (void *)size);
}

static int pool_of_pages(mempool_t *pool, int min)
{
	return mempool_init(pool, min, alloc_one_page, free_one_page, NULL);
}

/**
 * qvault_pools_init() - set up the reserves of a vault
 * @vol: all zeros as far as they are concerned
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; either way qvault_pools_exit() cleans up.
 */
int qvault_pools_init(struct qvault_volume *vol)
{
	int err;

	err = bioset_init(&vol->bios, MIN_BIOS, offsetof(struct qvault_run, bio),
			  BIOSET_NEED_BVECS);
	if (!err)
		err = pool_of_pages(&vol->pages, MIN_PAGES);
	if (!err)
		err = pool_of_bytes(&vol->scratch, MIN_SCRATCH, sizeof(struct qvault_scratch));
	if (!err)
		err = pool_of_bytes(&vol->writes, MIN_CHUNKS, qvault_write_size());
	if (!err)
		err = pool_of_bytes(&vol->reads, MIN_CHUNKS, qvault_read_size());
	if (!err)
		err = pool_of_bytes(&vol->batches, MIN_BATCHES, qvault_batch_size());
	if (!err)
		err = qvault_buffers_add();
	if (!err)
		vol->buffers = true;
	return err;
}

/**
 * qvault_pools_exit() - free the reserves of a vault
 * @vol: half set up or not at all will do
 *
 * Context: May sleep.  Nothing is in flight.
 */
void qvault_pools_exit(struct qvault_volume *vol)
{
	if (vol->buffers)
		qvault_buffers_remove();
	vol->buffers = false;
	mempool_exit(&vol->batches);
	mempool_exit(&vol->reads);
	mempool_exit(&vol->writes);
	mempool_exit(&vol->scratch);
	mempool_exit(&vol->pages);
	bioset_exit(&vol->bios);
}
