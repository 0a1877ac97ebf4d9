// SPDX-License-Identifier: GPL-2.0
/*
 * The cache of nodes and map blocks.
 *
 * All in it are clean and found by their version, so nothing ever needs to be
 * invalidated: what a checkpoint replaced is simply not asked for any more.
 */
#include <linux/hash.h>

#include "qvault.h"

int qvault_cache_init(struct qvault *v, u32 limit)
{
	struct qvault_cache *cache = &v->cache;

	memset(cache, 0, sizeof(*cache));
	spin_lock_init(&cache->lock);
	INIT_LIST_HEAD(&cache->lru);
	cache->limit = limit;
	cache->bucket_shift = 10;
	while (cache->bucket_shift < 20 && 1u << cache->bucket_shift < limit)
		cache->bucket_shift++;
	cache->buckets = kvcalloc(1ul << cache->bucket_shift,
				  sizeof(*cache->buckets), GFP_KERNEL);
	return cache->buckets ? 0 : -ENOMEM;
}

static void free_node(struct qvault_node *node)
{
	qvault_buf_put(node->data);
	kfree(node);
}

void qvault_cache_exit(struct qvault *v)
{
	struct qvault_node *node, *next;

	if (!v->cache.buckets)
		return;
	list_for_each_entry_safe(node, next, &v->cache.lru, lru) {
		list_del(&node->lru);
		free_node(node);
	}
	kvfree(v->cache.buckets);
	v->cache.buckets = NULL;
}

static struct hlist_head *bucket_of(struct qvault_cache *cache, u64 version)
{
	return &cache->buckets[hash_64(version, cache->bucket_shift)];
}

/* Context: cache->lock. */
static struct qvault_node *__find(struct qvault_cache *cache, u64 version)
{
	struct qvault_node *node;

	lockdep_assert_held(&cache->lock);
	hlist_for_each_entry(node, bucket_of(cache, version), hash) {
		if (node->version != version)
			continue;
		if (!node->refs++)
			list_del_init(&node->lru);
		return node;
	}
	return NULL;
}

/**
 * qvault_node_find() - a node, if it is in the cache
 * @v: vault
 * @version: of its sealed pointer
 *
 * Context: Process.
 * Return: the node; give it back with qvault_node_put(); or NULL.
 */
struct qvault_node *qvault_node_find(struct qvault *v, u64 version)
{
	struct qvault_cache *cache = &v->cache;
	struct qvault_node *node;

	spin_lock(&cache->lock);
	node = __find(cache, version);
	spin_unlock(&cache->lock);
	return node;
}

/* Take out what was not used for longest while there are more than @limit. */
static void __shrink(struct qvault_cache *cache, u32 limit,
		     struct list_head *out)
{
	struct qvault_node *node;

	lockdep_assert_held(&cache->lock);
	while (cache->nr > limit && !list_empty(&cache->lru)) {
		node = list_first_entry(&cache->lru, struct qvault_node, lru);
		hlist_del(&node->hash);
		list_move(&node->lru, out);
		cache->nr--;
	}
}

static void free_list(struct list_head *nodes)
{
	struct qvault_node *node, *next;

	list_for_each_entry_safe(node, next, nodes, lru) {
		list_del(&node->lru);
		free_node(node);
	}
}

/*
 * A buffer for a node.  When memory is short the cache becomes smaller with
 * each node that it takes: it must not live on the reserve.
 */
static void *node_buf(struct qvault *v, enum qvault_use use)
{
	struct qvault_cache *cache = &v->cache;
	void *buf = qvault_buf_try();
	LIST_HEAD(out);

	if (buf)
		return buf;
	spin_lock(&cache->lock);
	__shrink(cache, cache->nr > 2 ? cache->nr - 2 : 0, &out);
	spin_unlock(&cache->lock);
	free_list(&out);
	return qvault_buf_get(v, use);
}

/*
 * What reading a node takes: a buffer that the cache keeps, and one that comes back
 * after the read.  When memory is short one thread at a time waits for both; many
 * that each hold one would wait for each other.
 */
static void get_bufs(struct qvault *v, enum qvault_use use, void **data,
		     void **cipher)
{
	*data = qvault_buf_try();
	*cipher = *data ? qvault_buf_try() : NULL;
	if (likely(*cipher))
		return;
	qvault_buf_put(*data);
	mutex_lock(&v->buf_mutex);
	*data = node_buf(v, use);
	*cipher = qvault_buf_get(v, use);
	mutex_unlock(&v->buf_mutex);
}

/* A node for @data, which it takes over; one that was there already wins. */
static struct qvault_node *insert(struct qvault *v, u64 version, void *data)
{
	struct qvault_cache *cache = &v->cache;
	struct qvault_node *node, *there;
	LIST_HEAD(out);

	/* Small, and asked for with GFP_NOIO: the allocator does not give up. */
	node = kzalloc(sizeof(*node), GFP_NOIO | __GFP_NOFAIL);
	node->version = version;
	node->data = data;
	node->refs = 1;
	INIT_LIST_HEAD(&node->lru);

	spin_lock(&cache->lock);
	there = __find(cache, version);
	if (!there) {
		hlist_add_head(&node->hash, bucket_of(cache, version));
		cache->nr++;
	}
	__shrink(cache, cache->limit, &out);
	spin_unlock(&cache->lock);
	free_list(&out);
	if (there) {
		free_node(node);
		return there;
	}
	return node;
}

/**
 * qvault_node_get() - a node, from the cache or from the device
 * @v: vault
 * @use: whose reserve to use when memory is short
 * @kind: QVAULT_KIND_NODE or QVAULT_KIND_MAP
 * @level: of the node
 * @index: of the node
 * @ptr: its sealed pointer, not zero
 * @node: set; give it back with qvault_node_put()
 *
 * Context: May sleep.
 * Return: 0; -EILSEQ if the device does not hold this node, or does not any
 * more (not reported: the caller knows whether @ptr is still valid); or
 * another negative errno.
 */
int qvault_node_get(struct qvault *v, enum qvault_use use,
		    enum qvault_kind kind, u32 level, u64 index,
		    const struct qvault_ptr *ptr, struct qvault_node **node)
{
	void *cipher, *data;
	int err;

	*node = qvault_node_find(v, ptr->version);
	if (*node)
		return 0;
	get_bufs(v, use, &data, &cipher);
	err = qvault_dev_read(v->data,
			      qvault_node_block(&v->geo, kind, level, index,
						qvault_node_slot(ptr)),
			      cipher);
	if (!err)
		err = qvault_unseal(v, kind, qvault_node_id(level, index), ptr,
				    cipher, data, data);
	qvault_buf_put(cipher);
	if (err) {
		qvault_buf_put(data);
		return err;
	}
	*node = insert(v, ptr->version, data);
	return 0;
}

/**
 * qvault_node_add() - remember a node that a checkpoint has written
 * @v: vault
 * @version: under which it was sealed
 * @data: its contents, copied
 *
 * Context: May sleep.
 * Return: the node; give it back with qvault_node_put().
 */
struct qvault_node *qvault_node_add(struct qvault *v, u64 version,
				    const void *data)
{
	void *copy = node_buf(v, QVAULT_USE_CHECKPOINT);
	struct qvault_node *node;

	memcpy(copy, data, QVAULT_BLOCK_SIZE);
	node = insert(v, version, copy);
	WRITE_ONCE(node->ahead, true);
	return node;
}

void qvault_node_put(struct qvault *v, struct qvault_node *node)
{
	struct qvault_cache *cache = &v->cache;
	LIST_HEAD(out);

	if (!node)
		return;
	spin_lock(&cache->lock);
	if (!--node->refs) {
		list_add_tail(&node->lru, &cache->lru);
		__shrink(cache, cache->limit, &out);
	}
	spin_unlock(&cache->lock);
	free_list(&out);
}
