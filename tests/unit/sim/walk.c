// SPDX-License-Identifier: GPL-2.0
/*
 * An independent reader of a vault: follows an anchor record through what is
 * durable, tree and map and log, and checks that all of it hangs together.  It
 * shares the format's structures and the geometry with the engine, no code.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/kernel.h>

#include "world.h"

static const u64 zeros[QVAULT_BLOCK_SIZE / sizeof(u64)];

static bool bad(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!w->why[0])
		vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- Anchor ---- */

static bool record_valid(const struct qvault_crypto *crypto,
			 const struct qvault_disk_anchor *disk, u32 slot)
{
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];

	if (memcmp(disk->magic, QVAULT_ANCHOR_MAGIC, sizeof(disk->magic)))
		return false;
	qvault_crypto_anchor_mac((struct qvault_crypto *)crypto, disk,
				 offsetof(struct qvault_disk_anchor, mac), mac);
	return !memcmp(mac, disk->mac, sizeof(mac)) &&
	       (le64_to_cpu(disk->sequence) & 1) == slot;
}

const struct qvault_disk_anchor *newest_record(const struct qvault_crypto *crypto,
					       const struct qvault_dev *anchor)
{
	const struct qvault_disk_anchor *best = NULL;
	u32 slot;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		const struct block *b = dev_durable(anchor, QVAULT_SLOT_BLOCK(slot));
		const struct qvault_disk_anchor *disk = b ? (void *)b->data : NULL;

		if (disk && record_valid(crypto, disk, slot) &&
		    (!best || le64_to_cpu(disk->sequence) >
			      le64_to_cpu(best->sequence)))
			best = disk;
	}
	return best;
}

/* ---- Sealed blocks ---- */

static u32 gen_of(const struct qvault_disk_ptr *ptr)
{
	return le64_to_cpu(ptr->where) >> QVAULT_WHERE_GEN_SHIFT & 0xf;
}

static u64 where_of(const struct qvault_disk_ptr *ptr)
{
	return le64_to_cpu(ptr->where) & QVAULT_WHERE_MASK;
}

static u32 set_of(const struct qvault_disk_ptr *ptr)
{
	return le64_to_cpu(ptr->where) >> QVAULT_WHERE_SET_SHIFT & 0xff;
}

static bool is_lost(const struct qvault_disk_ptr *ptr)
{
	return le64_to_cpu(ptr->version) == QVAULT_LOST_VERSION;
}

/* All generations that the pointers of a node name, or what is below them. */
static u32 sets_of(const struct qvault_disk_node *node)
{
	u32 i, set = 0;

	for (i = 0; i < QVAULT_FANOUT; i++)
		if (node->ptr[i].version && !is_lost(&node->ptr[i]))
			set |= 1u << gen_of(&node->ptr[i]) | set_of(&node->ptr[i]);
	return set;
}

static bool authentic(struct walk *w, struct block *b, enum qvault_kind kind,
		      u64 id, const struct qvault_disk_ptr *ptr)
{
	struct qvault_disk_seal head = {
		.kind = cpu_to_le64(kind), .id = cpu_to_le64(id),
		.version = ptr->version,
	};
	const void *const data[] = { b->data };
	u32 gen = gen_of(ptr);
	u8 tag[1][QVAULT_TAG_SIZE];

	/* What was dropped since the last walk opens nothing any more. */
	if (qvault_crypto_hold(&w->crypto, gen))
		return bad(w, "a block is of generation %u, which there is not", gen);
	/* A block never changes, so what was found once stays true. */
	if (b->kind == kind && b->id == id && b->plain &&
	    b->version == le64_to_cpu(ptr->version) &&
	    !memcmp(b->tag, ptr->tag, sizeof(b->tag))) {
		qvault_crypto_release(&w->crypto);
		return true;
	}
	qvault_crypto_mac(&w->crypto, gen, 1, &head, data, tag);
	qvault_crypto_release(&w->crypto);
	return !memcmp(tag[0], ptr->tag, sizeof(tag));
}

/* The plaintext of a durable block, or NULL. */
static const void *open_block(struct walk *w, u64 block, enum qvault_kind kind,
			      u64 id, const struct qvault_disk_ptr *ptr)
{
	__le64 tweak[2] = { ptr->version, cpu_to_le64(id) };
	struct block *b;

	if (block >= w->geo.data_blocks)
		return NULL;
	b = rot_true(dev_durable(w->data, block));
	if (!b || !authentic(w, b, kind, id, ptr))
		return NULL;
	w->max_version = max(w->max_version, le64_to_cpu(ptr->version));
	/* What is below a rotten node may be overwritten, once it is not needed. */
	if (!w->below_rot && test_bit(block, w->bits)) {
		bad(w, "block %llu is reached twice", (unsigned long long)block);
		return NULL;
	}
	if (!w->below_rot)
		__set_bit(block, w->bits);
	if (b->kind == kind && b->version == le64_to_cpu(ptr->version) && b->plain)
		return b->plain;
	b->kind = kind;
	b->id = id;
	b->version = le64_to_cpu(ptr->version);
	memcpy(b->tag, ptr->tag, sizeof(b->tag));
	if (!b->plain)
		b->plain = malloc(QVAULT_BLOCK_SIZE);
	if (qvault_crypto_hold(&w->crypto, gen_of(ptr)))
		return NULL;
	qvault_crypto_xts(&w->crypto, gen_of(ptr), kind != QVAULT_KIND_DATA, false,
			  (u8 *)tweak, b->data, b->plain);
	qvault_crypto_release(&w->crypto);
	return b->plain;
}

static bool is_zero(const struct qvault_disk_ptr *ptr)
{
	return !memcmp(ptr, zeros, sizeof(*ptr));
}

/* Blocks that were given up; none is beyond the end, or it would be lost if it grows. */
static bool given_up(struct walk *w, const struct qvault_disk_ptr *ptr, u64 first, u64 count)
{
	struct qvault_disk_ptr marker = {
		.version = cpu_to_le64(QVAULT_LOST_VERSION),
		.where = cpu_to_le64((u64)QVAULT_FLAG_LOST << QVAULT_WHERE_FLAGS_SHIFT),
	};

	if (memcmp(ptr, &marker, sizeof(marker)))
		return bad(w, "what is lost says something besides");
	if (first + count > w->geo.logical_blocks)
		return bad(w, "block %llu, beyond the end, is lost",
			   (unsigned long long)(first + count - 1));
	for (; count; count--)
		__set_bit(first++, w->lost);
	return true;
}

/* ---- Trees ---- */

typedef bool (*leaf_fn)(struct walk *w, u64 index, const void *leaf, u64 *weight);

static void remember_node(struct walk *w, enum qvault_kind kind, u32 level,
			  u64 index, u32 copy, u64 block)
{
	if (w->nr_nodes == w->max_nodes) {
		w->max_nodes = w->max_nodes ? 2 * w->max_nodes : 64;
		w->node = realloc(w->node, w->max_nodes * sizeof(*w->node));
	}
	w->node[w->nr_nodes++] = (struct rot){
		.kind = kind, .level = level, .index = index, .copy = copy,
		.block = block,
	};
}


/* A checkpoint has begun to write what is to take the place of all this. */
static bool lose(struct walk *w, enum qvault_kind kind, u32 level, u64 index)
{
	u32 shift = QVAULT_FANOUT_SHIFT * (level + 1);
	u64 i;

	if (!w->below_rot)
		return false;
	if (kind == QVAULT_KIND_MAP)
		w->lost_map = true;
	else
		for (i = index << shift; i < (index + 1) << shift &&
					 i < w->geo.logical_blocks; i++)
			__set_bit(i, w->lost);
	return true;
}

/*
 * The contents of a node, which stand in each of its places; NULL, and @why, if they
 * do not; or NULL alone, if they need not any more.
 */
static const void *open_node(struct walk *w, enum qvault_kind kind, u32 level,
			     u64 index, const struct qvault_disk_ptr *ptr)
{
	u64 id = (u64)level << QVAULT_NODE_LEVEL_SHIFT | index, block;
	const void *node = NULL;
	u32 copy;

	for (copy = 0; copy <= qvault_node_twice(kind, level); copy++) {
		block = qvault_node_block(&w->geo, kind, level, index,
					  le64_to_cpu(ptr->where) & 1, copy);
		node = open_block(w, block, kind, id, ptr);
		if (!node) {
			if (!lose(w, kind, level, index))
				bad(w, "%s %llx, copy %u, is not on the device",
				    kind == QVAULT_KIND_MAP ? "map" : "node",
				    (unsigned long long)id, copy);
			return NULL;
		}
		remember_node(w, kind, level, index, copy, block);
	}
	return node;
}

static bool walk_node(struct walk *w, enum qvault_kind kind, u32 level,
		      u64 index, const struct qvault_disk_ptr *ptr,
		      leaf_fn fn)
{
	const struct qvault_tree_geometry *tree =
		kind == QVAULT_KIND_MAP ? &w->geo.map : &w->geo.tree;
	u64 id = (u64)level << QVAULT_NODE_LEVEL_SHIFT | index;
	u64 where = where_of(ptr), weight = 0;
	const struct qvault_disk_node *node;
	bool rotten;
	u32 i;

	if (!ptr->version)
		return is_zero(ptr) ||
		       bad(w, "a pointer without version is not zero");
	if (is_lost(ptr) && kind == QVAULT_KIND_NODE)
		return given_up(w, ptr, index << (QVAULT_FANOUT_SHIFT * (level + 1)),
				1ull << (QVAULT_FANOUT_SHIFT * (level + 1)));
	if (le64_to_cpu(ptr->where) >> QVAULT_WHERE_FLAGS_SHIFT ||
	    index >= tree->count[level])
		return bad(w, "node %llx: impossible pointer",
			   (unsigned long long)id);
	node = open_node(w, kind, level, index, ptr);
	if (!node)
		return !w->why[0];
	if (!level) {
		if (!fn(w, index, node, &weight))
			return false;
	} else {
		rotten = rot_was(w->data, qvault_node_block(&w->geo, kind, level,
							    index, where & 1, 0));
		w->below_rot += rotten;
		for (i = 0; i < QVAULT_FANOUT; i++) {
			if (!walk_node(w, kind, level - 1,
				       index << QVAULT_FANOUT_SHIFT | i,
				       &node->ptr[i], fn))
				return false;
			weight += where_of(&node->ptr[i]) >> 1;
		}
		w->below_rot -= rotten;
	}
	if (set_of(ptr) != (level || kind != QVAULT_KIND_MAP ? sets_of(node) : 0))
		return bad(w, "kind %d, node %llx: its pointer says generations %x",
			   kind, (unsigned long long)id, set_of(ptr));
	if (weight != where >> 1)
		return bad(w, "kind %d, node %llx weighs %llu, its pointer says %llu",
			   kind, (unsigned long long)id,
			   (unsigned long long)weight,
			   (unsigned long long)where >> 1);
	return true;
}

static bool tree_leaf(struct walk *w, u64 index, const void *leaf, u64 *weight)
{
	const struct qvault_disk_node *node = leaf;
	u32 i, bit;
	u64 group;

	for (i = 0; i < QVAULT_FANOUT; i++) {
		u64 logical = index * QVAULT_FANOUT + i;
		u64 where = where_of(&node->ptr[i]);

		if (!node->ptr[i].version) {
			if (!is_zero(&node->ptr[i]))
				return bad(w, "a pointer without version is not zero");
			continue;
		}
		if (is_lost(&node->ptr[i])) {
			if (!given_up(w, &node->ptr[i], logical, 1))
				return false;
			continue;
		}
		if (logical >= w->geo.logical_blocks)
			return bad(w, "a block beyond the end is mapped");
		if (!qvault_locate(&w->geo, where, &group, &bit))
			return bad(w, "block %llu is mapped to %llu",
				   (unsigned long long)logical,
				   (unsigned long long)where);
		w->map[logical].version = le64_to_cpu(node->ptr[i].version);
		w->map[logical].where = where;
		w->map[logical].gen = gen_of(&node->ptr[i]);
		w->max_version = max(w->max_version, w->map[logical].version);
		++*weight;
	}
	return true;
}

/* Called with all of the tree's mappings, and none of the log's, in w->map. */
static bool map_leaf(struct walk *w, u64 index, const void *leaf, u64 *weight)
{
	u32 nr_data = qvault_group_data(&w->geo, index), i;
	const __le64 *word = leaf;

	for (i = 0; i < QVAULT_MAP_BITS / 64; i++) {
		u64 bits = le64_to_cpu(word[i]);
		u32 left = max(nr_data, 64 * i) - 64 * i;

		if (!bits)
			continue;
		if (left < 64 && bits >> left)
			return bad(w, "the map of group %llu has bits beyond its end",
				   (unsigned long long)index);
		*weight += hweight64(bits);
	}
	return true;
}

/*
 * The map says exactly what the tree names.  As many bits as pointers, each
 * pointer has its bit and no two have the same one: so they are the same.
 */
static bool map_has(struct walk *w, const struct qvault_disk_anchor *disk,
		    u64 block)
{
	u64 index, group;
	const struct qvault_disk_node *node;
	struct block *b;
	struct qvault_disk_ptr ptr = disk->map;
	u32 bit, level;

	if (!qvault_locate(&w->geo, block, &group, &bit))
		return false;
	if (group >> (QVAULT_FANOUT_SHIFT * disk->map_level))
		return false;
	for (level = disk->map_level + 1; level--;) {
		if (!ptr.version)
			return false;
		index = group >> (QVAULT_FANOUT_SHIFT * level);
		b = rot_true(dev_durable(w->data,
				qvault_node_block(&w->geo, QVAULT_KIND_MAP, level,
						  index, le64_to_cpu(ptr.where) & 1, 0)));
		if (!level)
			return test_bit_le(bit, b->plain);
		node = (void *)b->plain;
		ptr = node->ptr[group >> (QVAULT_FANOUT_SHIFT * (level - 1)) &
				(QVAULT_FANOUT - 1)];
	}
	return false;
}

static bool check_map(struct walk *w, const struct qvault_disk_anchor *disk)
{
	u64 i, n = 0;

	for (i = 0; i < w->geo.logical_blocks; i++) {
		if (!w->map[i].version)
			continue;
		n++;
		if (!w->lost_map && !map_has(w, disk, w->map[i].where))
			return bad(w, "the tree names block %llu, the map does not",
				   (unsigned long long)w->map[i].where);
	}
	if (rot_current && rot_current->ever &&
	    n < where_of(&disk->map) >> 1)
		return true;
	if (n != where_of(&disk->map) >> 1)
		return bad(w, "leak: %llu blocks mapped, %llu in the map",
			   (unsigned long long)n,
			   (unsigned long long)where_of(&disk->map) >> 1);
	return true;
}

/* ---- Log ---- */

static bool apply_entries(struct walk *w, const u8 *p, u32 bytes)
{
	struct qvault_disk_entry e;
	u64 run, logical, count, i, group;
	u32 bit;

	while (bytes) {
		if (bytes < sizeof(e))
			return bad(w, "an entry is cut off");
		memcpy(&e, p, sizeof(e));
		p += sizeof(e);
		bytes -= sizeof(e);
		run = le64_to_cpu(e.run);
		logical = run & QVAULT_WHERE_MASK;
		if (run & QVAULT_RUN_UNMAP)
			count = le64_to_cpu(e.where);
		else
			count = (run >> QVAULT_RUN_COUNT_SHIFT &
				 QVAULT_RUN_COUNT_MASK) + 1;
		if (logical + count > w->geo.logical_blocks)
			return bad(w, "an entry is beyond the end");
		for (i = 0; i < count; i++) {
			struct mapping *m = &w->map[logical + i];

			memset(m, 0, sizeof(*m));
			if (run & QVAULT_RUN_UNMAP)
				continue;
			if (bytes < QVAULT_TAG_SIZE)
				return bad(w, "the tags of an entry are cut off");
			p += QVAULT_TAG_SIZE;
			bytes -= QVAULT_TAG_SIZE;
			m->version = le64_to_cpu(e.version) + i;
			m->where = (le64_to_cpu(e.where) & QVAULT_WHERE_MASK) + i;
			m->gen = le64_to_cpu(e.where) >> QVAULT_WHERE_GEN_SHIFT;
			w->max_version = max(w->max_version, m->version);
			if (!qvault_locate(&w->geo, m->where, &group, &bit))
				return bad(w, "an entry names block %llu",
					   (unsigned long long)m->where);
		}
	}
	return true;
}

static bool walk_log(struct walk *w, const struct qvault_disk_anchor *disk)
{
	u64 tail = le64_to_cpu(disk->log_tail);
	u64 head = le64_to_cpu(disk->log_head), s;
	const struct qvault_disk_log **log;
	struct qvault_disk_ptr ptr = disk->log;
	bool ok = true;

	if (head + 1 < tail || head + 1 - tail > w->geo.log_blocks)
		return bad(w, "log from %llu to %llu", (unsigned long long)tail,
			   (unsigned long long)head);
	log = calloc(head + 2 - tail, sizeof(*log));
	for (s = head; ok && s >= tail; s--) {
		log[s - tail] = open_block(w, w->geo.log_start + s % w->geo.log_blocks,
					   QVAULT_KIND_LOG, s, &ptr);
		if (!log[s - tail] || where_of(&ptr) != s ||
		    le64_to_cpu(log[s - tail]->head.sequence) != s ||
		    le32_to_cpu(log[s - tail]->head.bytes) > QVAULT_LOG_PAYLOAD)
			ok = bad(w, "log block %llu is not on the device",
				 (unsigned long long)s);
		else
			ptr = log[s - tail]->head.prev;
	}
	for (s = tail; ok && s <= head; s++)
		ok = apply_entries(w, log[s - tail]->payload,
				   le32_to_cpu(log[s - tail]->head.bytes));
	free(log);
	return ok && apply_entries(w, disk->inline_entries,
				   le32_to_cpu(disk->inline_bytes));
}

/* ---- All of it ---- */

/* No two logical blocks stand in one place. */
static bool reach_data(struct walk *w)
{
	u64 i;

	for (i = 0; i < w->geo.logical_blocks; i++) {
		if (!w->map[i].version)
			continue;
		if (w->map[i].gen >= QVAULT_GENERATIONS ||
		    !w->crypto.gen[w->map[i].gen])
			return bad(w, "a block is of generation %u, which was dropped",
				   w->map[i].gen);
		if (test_bit(w->map[i].where, w->bits))
			return bad(w, "two blocks are mapped to %llu",
				   (unsigned long long)w->map[i].where);
		__set_bit(w->map[i].where, w->bits);
	}
	return true;
}

static bool open_generations(struct walk *w, const struct qvault_disk_anchor *disk)
{
	static const u8 none[sizeof(disk->gen[0])];
	u32 gen;

	for (gen = 0; gen < QVAULT_GENERATIONS; gen++) {
		if (!memcmp(&disk->gen[gen], none, sizeof(none)))
			w->crypto.gen[gen] = NULL;
		else if (qvault_crypto_open(&w->crypto, gen, &disk->gen[gen]))
			return bad(w, "generation %u opens nothing", gen);
	}
	return true;
}

bool walk(struct walk *w, const struct qvault_crypto *crypto,
	  const struct qvault_dev *data, const struct qvault_disk_anchor *disk)
{
	u32 key;

	memset(w, 0, sizeof(*w));
	w->crypto = *crypto;
	w->data = data;
	/* A record that changes the master key is of the other one. */
	if (memcmp(disk->check, crypto->own.check, sizeof(disk->check))) {
		key = crypto_key_of(crypto->real, disk->check);
		if (key == CRYPTO_KEYS)
			return bad(w, "the record is of no key that there is");
		w->crypto.own = *crypto_key(crypto->real, key);
	}
	if (!open_generations(w, disk))
		return false;
	if (qvault_geometry_init(&w->geo, le64_to_cpu(disk->data_blocks),
				 le64_to_cpu(disk->logical_blocks),
				 le32_to_cpu(disk->log_blocks)))
		return bad(w, "impossible geometry");
	w->bits = calloc(BITS_TO_LONGS(w->geo.data_blocks), sizeof(long));
	w->map = calloc(w->geo.logical_blocks, sizeof(*w->map));
	w->lost = calloc(BITS_TO_LONGS(w->geo.logical_blocks), sizeof(long));
	if (!walk_node(w, QVAULT_KIND_NODE, disk->tree_level, 0, &disk->tree,
		       tree_leaf) ||
	    !walk_node(w, QVAULT_KIND_MAP, disk->map_level, 0, &disk->map,
		       map_leaf) ||
	    !check_map(w, disk) || !walk_log(w, disk) || !reach_data(w))
		return false;
	if (w->max_version >= le64_to_cpu(disk->lease))
		return bad(w, "version %llu is not below the lease",
			   (unsigned long long)w->max_version);
	return true;
}

void walk_exit(struct walk *w)
{
	free(w->bits);
	free(w->map);
	free(w->node);
	free(w->lost);
	w->bits = NULL;
	w->map = NULL;
	w->node = NULL;
	w->lost = NULL;
}
