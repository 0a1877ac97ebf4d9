// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is there when there is none: what lets a vault write while the
 * machine waits for that write to get memory back.
 */
#include <linux/mm.h>

#include "platform.h"

/* How many of each. */
#define MIN_BLOCKS	QVAULT_LEAST_OR(64)	/* of a lane */
#define MIN_BIOS	QVAULT_LEAST_OR(8)	/* of a lane, and of a kind of batch */
#define MIN_SCRATCH	QVAULT_LEAST_OR(2)
#define MIN_CHUNKS	QVAULT_LEAST_OR(2)
#define MIN_BATCHES	2
#define MORE_BUFFERS	(QVAULT_LEAST_OR(17) - 1)	/* than the least */

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

/*
 * The memory of a block.  On kernels whose pages are larger a page for each would be up
 * to 16 times as much as it holds, and as is counted; kmalloc() aligns such a piece to
 * its size, so it never crosses the end of a page.
 */
static const bool in_pieces = PAGE_SIZE > QVAULT_BLOCK_SIZE;

static void *alloc_block(gfp_t gfp)
{
	if (qvault_no_memory(gfp))
		return NULL;
	if (in_pieces)
		return kmalloc(QVAULT_BLOCK_SIZE, gfp);
	return (void *)__get_free_page(gfp);
}

static void free_block(void *block)
{
	if (in_pieces)
		kfree(block);
	else
		free_page((unsigned long)block);
}

/* ---- The engine's buffers ----------------------------------------------- */

/*
 * A page of a reserve knows it, and comes back to it: what one user has taken
 * must not end up in the reserve of another.  A piece of a page cannot know, and so is in
 * none.
 */
static void *alloc_buffer(gfp_t gfp, void *pool)
{
	struct page *page;

	gfp = no_search(gfp);
	page = qvault_no_memory(gfp) ? NULL : alloc_page(gfp);
	if (page)
		set_page_private(page, (unsigned long)pool);
	return page;
}

static void free_buffer(void *page, void *pool)
{
	set_page_private(page, 0);
	__free_page(page);
}

/**
 * qvault_buf_get() - get a buffer of one block
 * @v: the vault
 * @use: whose reserve to use when memory is short
 *
 * Context: May sleep.
 * Return: Linear memory, contents undefined; never NULL.
 */
void *qvault_buf_get(struct qvault *v, enum qvault_use use)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	void *buf = in_pieces ? qvault_buf_try() : NULL;

	return buf ?: page_address(mempool_alloc(&vol->buffers[use], GFP_NOIO));
}

/**
 * qvault_buf_try() - get a buffer, but not from a reserve
 *
 * Context: May sleep.
 * Return: Linear memory, contents undefined; NULL if memory is short.
 */
void *qvault_buf_try(void)
{
	void *buf = alloc_block(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);

	if (buf && !in_pieces)
		set_page_private(virt_to_page(buf), 0);
	return buf;
}

/**
 * qvault_buf_put() - give a buffer back
 * @buf: from qvault_buf_get() or qvault_buf_try(), or NULL
 *
 * Context: Any.
 */
void qvault_buf_put(void *buf)
{
	struct page *page;
	mempool_t *pool;

	if (!buf)
		return;
	page = virt_to_head_page(buf);
	if (in_pieces && PageSlab(page)) {
		kfree(buf);
		return;
	}
	pool = (mempool_t *)page_private(page);
	if (pool)
		mempool_free(page, pool);
	else
		__free_page(page);
}

static int buffers_init(struct qvault_volume *vol)
{
	mempool_t *pool;
	int err = 0;
	u32 use;

	for (use = 0; use < QVAULT_NR_USES && !err; use++) {
		pool = &vol->buffers[use];
		err = mempool_init(pool, qvault_least_buffers(use) + MORE_BUFFERS,
				   alloc_buffer, free_buffer, pool);
	}
	return err;
}

static void buffers_exit(struct qvault_volume *vol)
{
	u32 use;

	for (use = 0; use < QVAULT_NR_USES; use++)
		mempool_exit(&vol->buffers[use]);
}

/* ---- All reserves of a vault -------------------------------------------- */

static void *alloc_bytes(gfp_t gfp, void *size)
{
	return qvault_kmalloc((size_t)size, no_search(gfp));
}

static void *alloc_one_block(gfp_t gfp, void *unused)
{
	return alloc_block(no_search(gfp));
}

static void free_one_block(void *block, void *unused)
{
	free_block(block);
}

/**
 * qvault_pool_init() - make a reserve of pieces of memory
 * @pool: the reserve
 * @min: how many there always are
 * @size: of each, in bytes
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int qvault_pool_init(mempool_t *pool, int min, size_t size)
{
	return mempool_init(pool, min, alloc_bytes, mempool_kfree, (void *)size);
}

static int pool_of_blocks(mempool_t *pool, int min)
{
	return mempool_init(pool, min, alloc_one_block, free_one_block, NULL);
}

static int lane_init(struct qvault_lane *lane)
{
	int err;

	init_waitqueue_head(&lane->wait);
	err = bioset_init(&lane->bios, MIN_BIOS, offsetof(struct qvault_run, bio),
			  BIOSET_NEED_BVECS);
	return err ?: pool_of_blocks(&lane->blocks, MIN_BLOCKS);
}

static void lane_exit(struct qvault_lane *lane)
{
	mempool_exit(&lane->blocks);
	bioset_exit(&lane->bios);
}

/**
 * qvault_pools_limit() - say how much memory a vault may use for bios of its own
 * @vol: the volume
 * @memory_mib: of the vault
 *
 * Context: Any.
 */
void qvault_pools_limit(struct qvault_volume *vol, u32 memory_mib)
{
	u32 blocks = max_t(u32, QVAULT_MAX_RUN,
			   memory_mib << (20 - QVAULT_BLOCK_SHIFT - 3));

	WRITE_ONCE(vol->in.max_blocks, blocks);
	WRITE_ONCE(vol->out.max_blocks, blocks);
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

	err = lane_init(&vol->in);
	if (!err)
		err = lane_init(&vol->out);
	if (!err)
		err = bioset_init(&vol->commit_bios, MIN_BIOS, 0, BIOSET_NEED_BVECS);
	if (!err)
		err = bioset_init(&vol->checkpoint_bios, MIN_BIOS, 0, BIOSET_NEED_BVECS);
	if (!err)
		err = bioset_init(&vol->discard_bios, MIN_BIOS, 0, 0);
	if (!err)
		err = qvault_pool_init(&vol->scratch, MIN_SCRATCH, sizeof(struct qvault_scratch));
	if (!err)
		err = qvault_pool_init(&vol->writes, MIN_CHUNKS, qvault_write_size());
	if (!err)
		err = qvault_pool_init(&vol->reads, MIN_CHUNKS, qvault_read_size());
	if (!err)
		err = qvault_pool_init(&vol->batches, MIN_BATCHES, qvault_batch_size());
	if (!err)
		err = buffers_init(vol);
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
	buffers_exit(vol);
	mempool_exit(&vol->batches);
	mempool_exit(&vol->reads);
	mempool_exit(&vol->writes);
	mempool_exit(&vol->scratch);
	bioset_exit(&vol->discard_bios);
	bioset_exit(&vol->checkpoint_bios);
	bioset_exit(&vol->commit_bios);
	lane_exit(&vol->out);
	lane_exit(&vol->in);
}
