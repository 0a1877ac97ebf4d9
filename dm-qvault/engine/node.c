// SPDX-License-Identifier: GPL-2.0
/*
 * The cache of nodes and map blocks.
 *
 * All in it are clean and found by their version, so nothing ever needs to be
 * invalidated: what a checkpoint replaced is simply not asked for any more.
 */
#include <linux/hash.h>

#include "qvault.h"

static struct hlist_head *bucket_of(struct qvault_cache *cache, u64 version)
{
	return &cache->buckets[hash_64(version, cache->bucket_shift)];
}

/*
 * The node that a lost pointer leads to is on no device.  It is always in the cache, so
 * whoever goes down the tree comes to lost blocks, as to any others.
 */
static int add_lost(struct qvault_cache *cache)
{
	const struct qvault_ptr lost = qvault_lost_ptr();
	struct qvault_node *node = kzalloc(sizeof(*node), GFP_KERNEL);
	struct qvault_disk_node *disk = kmalloc(QVAULT_BLOCK_SIZE, GFP_KERNEL);
	u32 i;

	if (!node || !disk) {
		kfree(disk);
		kfree(node);
		return -ENOMEM;
	}
	for (i = 0; i < QVAULT_FANOUT; i++)
		qvault_ptr_to_disk(&disk->ptr[i], &lost);
	node->version = QVAULT_LOST_VERSION;
	node->data = disk;
	node->refs = 1;
	INIT_LIST_HEAD(&node->lru);
	hlist_add_head(&node->hash, bucket_of(cache, node->version));
	cache->lost = node;
	return 0;
}

static void free_lost(struct qvault_cache *cache)
{
	if (cache->lost)
		kfree(cache->lost->data);
	kfree(cache->lost);
	cache->lost = NULL;
}

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
	return cache->buckets ? add_lost(cache) : -ENOMEM;
}

static void free_node(struct qvault_node *node)
{
	qvault_buf_put(node->data);
	if (node->lent)
		qvault_buf_put(node);
	else
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
	free_lost(&v->cache);
	kvfree(v->cache.buckets);
	v->cache.buckets = NULL;
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

/* ---- Memory for a node ---- */

/* Memory is short: the cache becomes smaller with each node that finds none. */
static void give_up_some(struct qvault_cache *cache)
{
	LIST_HEAD(out);

	spin_lock(&cache->lock);
	__shrink(cache, cache->nr > 2 ? cache->nr - 2 : 0, &out);
	spin_unlock(&cache->lock);
	free_list(&out);
}

/* What it takes to read a node. */
struct room {
	struct qvault_node *node;
	void *data;
	void *cipher;
};

static void free_room(struct room *room)
{
	qvault_buf_put(room->cipher);
	qvault_buf_put(room->data);
	kfree(room->node);
}

/* There may be a ciphertext already; without success it is given back as well. */
static bool try_room(struct room *room)
{
	room->node = qvault_kmalloc(sizeof(*room->node),
				    GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	room->data = room->node ? qvault_buf_try() : NULL;
	if (room->data && !room->cipher)
		room->cipher = qvault_buf_try();
	if (likely(room->data && room->cipher))
		return true;
	free_room(room);
	return false;
}

/*
 * From a reserve: two buffers, both or none.  Of all that look up blocks one waits
 * for them at a time, and the other users are alone.  The head of a node will
 * stand where its ciphertext was, so that there is no third thing to wait for.
 */
static void lend_room(struct qvault *v, enum qvault_use use, struct room *room)
{
	if (use == QVAULT_USE_READ)
		mutex_lock(&v->buf_mutex);
	room->node = NULL;
	room->data = qvault_buf_get(v, use);
	room->cipher = qvault_buf_get(v, use);
	if (use == QVAULT_USE_READ)
		mutex_unlock(&v->buf_mutex);
}

static void get_room(struct qvault *v, enum qvault_use use, struct room *room)
{
	if (likely(try_room(room)))
		return;
	give_up_some(&v->cache);
	lend_room(v, use, room);
}

/* The node in whose room there are its contents now. */
static struct qvault_node *node_in(struct room *room, u64 version)
{
	struct qvault_node *node = room->node ?: room->cipher;

	if (room->node)
		qvault_buf_put(room->cipher);
	memset(node, 0, sizeof(*node));
	INIT_LIST_HEAD(&node->lru);
	node->version = version;
	node->data = room->data;
	node->refs = 1;
	node->lent = !room->node;
	return node;
}

/* Into the cache, unless it is lent; one that was there already wins. */
static struct qvault_node *insert(struct qvault *v, struct qvault_node *node)
{
	struct qvault_cache *cache = &v->cache;
	struct qvault_node *there;
	LIST_HEAD(out);

	if (node->lent)
		return node;
	spin_lock(&cache->lock);
	there = __find(cache, node->version);
	if (!there) {
		hlist_add_head(&node->hash, bucket_of(cache, node->version));
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

static int read_copy(struct qvault *v, enum qvault_kind kind, u32 level, u64 index,
		     u32 copy, const struct qvault_ptr *ptr, struct room *room)
{
	u64 block = qvault_node_block(&v->geo, kind, level, index,
				      qvault_node_slot(ptr), copy);
	int err = qvault_dev_read(v->data, block, room->cipher);

	return err ?: qvault_unseal(v, kind, qvault_node_id(level, index), ptr,
				    room->cipher, room->data, room->data);
}

/* Says in @half whether only the second copy is good. */
static int read_node(struct qvault *v, enum qvault_kind kind, u32 level, u64 index,
		     const struct qvault_ptr *ptr, struct room *room, bool *half)
{
	int err = read_copy(v, kind, level, index, 0, ptr, room), second;

	*half = false;
	if (likely(!err) || err == -ENOMEM || !qvault_node_twice(kind, level))
		return err;
	second = read_copy(v, kind, level, index, 1, ptr, room);
	*half = !second;
	/* One that could not even be read may be good: nothing is damaged yet. */
	return second && err != -EILSEQ ? err : second;
}

/**
 * qvault_node_get() - a node, from the cache or from the device
 * @v: vault
 * @use: whose reserve to use when memory is short
 * @kind: QVAULT_KIND_NODE or QVAULT_KIND_MAP
 * @level: of the node
 * @index: of the node
 * @ptr: its sealed pointer, not zero
 * @node: set; give it back with qvault_node_put().  If node->half is set, who knows
 *	the tree's root tells qvault_heal_found()
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
	struct room room = { 0 };
	bool half;
	int err;

	*node = qvault_node_find(v, ptr->version);
	if (*node)
		return 0;
	get_room(v, use, &room);
	err = read_node(v, kind, level, index, ptr, &room, &half);
	if (err) {
		free_room(&room);
		return err;
	}
	*node = insert(v, node_in(&room, ptr->version));
	if (unlikely(half))
		WRITE_ONCE((*node)->half, true);
	return 0;
}

/* Buffers for what is to be read; returns how many of @n there are. */
static u32 get_buffers(struct qvault_read *read, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		read[i].buf = qvault_buf_try();
		if (!read[i].buf)
			break;
	}
	return i;
}

/* What is on its way counts as if it were there. */
static void make_place(struct qvault_cache *cache, u32 n)
{
	LIST_HEAD(out);

	spin_lock(&cache->lock);
	__shrink(cache, cache->limit - min(cache->limit, n), &out);
	spin_unlock(&cache->lock);
	free_list(&out);
}

/* A node that was read goes into the cache, if it is the right one. */
static bool keep(struct qvault *v, enum qvault_kind kind, const struct qvault_want *want,
		 const struct qvault_read *read)
{
	struct room room = { .cipher = read->buf };
	struct qvault_node *node;

	if (!try_room(&room))
		return false;
	if (read->err || qvault_unseal(v, kind, qvault_node_id(want->level, want->index),
				       &want->ptr, room.cipher, room.data, room.data)) {
		free_room(&room);
		return false;
	}
	node = node_in(&room, want->ptr.version);
	node->ahead = true;
	qvault_node_put(v, insert(v, node));
	return true;
}

/**
 * qvault_node_fetch() - bring nodes into the cache, all at once
 * @v: vault
 * @kind: QVAULT_KIND_NODE or QVAULT_KIND_MAP
 * @want: which ones
 * @read: room for @n
 * @n: how many, 1..QVAULT_READS; less come if memory is short
 *
 * Gives up whenever anything is in the way, a bad first copy included: who needs the
 * node calls qvault_node_get(), which finds out.
 *
 * Context: May sleep.
 * Return: how many came.
 */
u32 qvault_node_fetch(struct qvault *v, enum qvault_kind kind,
		      const struct qvault_want *want, struct qvault_read *read, u32 n)
{
	u32 i, came = 0;

	make_place(&v->cache, n);
	n = get_buffers(read, n);
	if (!n)
		return 0;
	for (i = 0; i < n; i++)
		read[i].block = qvault_node_block(&v->geo, kind, want[i].level, want[i].index,
						  qvault_node_slot(&want[i].ptr), 0);
	qvault_dev_read_many(v->data, read, n);
	for (i = 0; i < n; i++) {
		came += keep(v, kind, &want[i], &read[i]);
		cond_resched();
	}
	return came;
}

/**
 * qvault_node_verify() - read all copies of a node from the device
 * @v: vault
 * @kind: QVAULT_KIND_NODE or QVAULT_KIND_MAP
 * @level: of the node
 * @index: of the node
 * @ptr: its sealed pointer, not zero
 * @root: of the tree in which it was found
 *
 * If one of two copies is good the other one is healed by the next checkpoint.  Of what
 * is lost there is nothing to read.
 *
 * Context: sleeps.
 * Return: 0; -EAGAIN if memory is short; or as qvault_node_get().
 */
int qvault_node_verify(struct qvault *v, enum qvault_kind kind, u32 level, u64 index,
		       const struct qvault_ptr *ptr, const struct qvault_root *root)
{
	struct room room = {};
	int err, second;

	if (qvault_ptr_lost(ptr))
		return 0;
	if (!try_room(&room))
		return -EAGAIN;
	err = read_copy(v, kind, level, index, 0, ptr, &room);
	if (qvault_node_twice(kind, level)) {
		second = read_copy(v, kind, level, index, 1, ptr, &room);
		if (!err != !second)
			qvault_heal_found(v, kind, root, qvault_node_id(level, index),
					  ptr->version, NULL);
		if (!second)
			err = 0;
	}
	free_room(&room);
	return err;
}

/**
 * qvault_node_add() - remember a node that a checkpoint has written
 * @v: vault
 * @version: under which it was sealed
 * @data: its contents, copied
 *
 * When memory is short it is not remembered.
 *
 * Context: May sleep.
 */
void qvault_node_add(struct qvault *v, u64 version, const void *data)
{
	struct qvault_node *node;
	struct room room = { 0 };

	if (!try_room(&room)) {
		give_up_some(&v->cache);
		return;
	}
	memcpy(room.data, data, QVAULT_BLOCK_SIZE);
	node = node_in(&room, version);
	node->ahead = true;
	qvault_node_put(v, insert(v, node));
}

void qvault_node_put(struct qvault *v, struct qvault_node *node)
{
	struct qvault_cache *cache = &v->cache;
	LIST_HEAD(out);

	if (!node)
		return;
	if (node->lent) {
		free_node(node);
		return;
	}
	spin_lock(&cache->lock);
	if (!--node->refs) {
		list_add_tail(&node->lru, &cache->lru);
		__shrink(cache, cache->limit, &out);
	}
	spin_unlock(&cache->lock);
	free_list(&out);
}
