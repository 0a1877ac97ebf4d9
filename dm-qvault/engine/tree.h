/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which version of a block is the right one: pointers, the delta that holds the newest
 * of them, the trees on the device with the cache of their nodes, and what is done
 * about nodes that cannot be read.
 */
#ifndef QVAULT_TREE_H
#define QVAULT_TREE_H

#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

#include "geometry.h"
#include "host.h"

struct qvault_ptr {
	u64 version;			/* 0: unmapped, reads as zeros; or QVAULT_LOST_VERSION */
	u64 where;			/* see format.h, without what stands above it */
	u8 tag[QVAULT_TAG_SIZE];
	u8 gen;				/* its generation */
	u8 below;			/* of a node: set of those of all below it */
	u8 flags;			/* any: such a block opens nothing */
};

/* It, or all that is below it, was given up: see the pass that repairs, in walk.c. */
static inline bool qvault_ptr_lost(const struct qvault_ptr *ptr)
{
	return ptr->version == QVAULT_LOST_VERSION;
}

static inline struct qvault_ptr qvault_lost_ptr(void)
{
	return (struct qvault_ptr){
		.version = QVAULT_LOST_VERSION,
		.flags = QVAULT_FLAG_LOST,
	};
}

/* Is there a block that it says where to find? */
static inline bool qvault_ptr_mapped(const struct qvault_ptr *ptr)
{
	return ptr->version && !qvault_ptr_lost(ptr);
}

/* Stands for a generation where those of what is lost are asked for: it has none. */
#define QVAULT_LOST_GENS	BIT(31)

/* The generations of a block and of all that is below it, a bit for each. */
static inline u32 qvault_ptr_gens(const struct qvault_ptr *ptr)
{
	if (qvault_ptr_lost(ptr))
		return QVAULT_LOST_GENS;
	return ptr->version ? BIT(ptr->gen) | ptr->below : 0;
}

/* A root covers what its level covers; a volume that has grown may have more. */
struct qvault_root {
	struct qvault_ptr ptr;
	u32 level;
};

/* ---- Sealing (seal.c) --------------------------------------------------- */

void qvault_ptr_from_disk(struct qvault_ptr *ptr,
			  const struct qvault_disk_ptr *disk);
void qvault_ptr_to_disk(struct qvault_disk_ptr *disk,
			const struct qvault_ptr *ptr);
/* A word of a bitmap that is little-endian on disk. */
static inline unsigned long qvault_le_long(unsigned long word)
{
	return sizeof(word) == sizeof(u64) ?
		(unsigned long)le64_to_cpu((__force __le64)word) :
		(unsigned long)le32_to_cpu((__force __le32)word);
}

static inline u64 qvault_node_id(u32 level, u64 index)
{
	return (u64)level << QVAULT_NODE_LEVEL_SHIFT | index;
}

int qvault_seal_blocks(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
		       struct qvault_ptr *ptr, const void *const plain[],
		       void *const cipher[]);
int qvault_unseal_blocks(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
			 const struct qvault_ptr *ptr,
			 const void *const cipher[], void *const plain[],
			 void *const scratch[]);

static inline int qvault_seal(struct qvault *v, enum qvault_kind kind, u64 id,
			      struct qvault_ptr *ptr, const void *plain,
			      void *cipher)
{
	return qvault_seal_blocks(v, kind, id, 1, ptr, &plain, &cipher);
}

static inline int qvault_unseal(struct qvault *v, enum qvault_kind kind, u64 id,
				const struct qvault_ptr *ptr, const void *cipher,
				void *plain, void *scratch)
{
	return qvault_unseal_blocks(v, kind, id, 1, ptr, &cipher, &plain, &scratch);
}

/* ---- Delta (delta.c) ---------------------------------------------------- */

/*
 * The pointers written since the last checkpoint, by leaf.  A node of level
 * l > 0 stands for a whole subtree that is unmapped but for what the nodes of
 * lower levels inside it say, which are newer.
 */
struct qvault_delta_node {
	struct rb_node tree;		/* of those of its level, by index */
	struct list_head list;		/* of all */
	u64 index;			/* of the leaf or subtree in its level */
	u8 level;
	u8 used;			/* pointers in ptr[] */
	u8 capacity;
	/* Of the leaf's blocks: which are known here, and which are mapped. */
	DECLARE_BITMAP(present, QVAULT_FANOUT);
	DECLARE_BITMAP(mapped, QVAULT_FANOUT);
	struct qvault_ptr ptr[];	/* of the mapped ones, in order */
};

struct qvault_delta {
	struct rb_root root[QVAULT_MAX_LEVELS];	/* nodes of each level */
	u32 gens;			/* at least those that its pointers name */
	u64 bytes;			/* that its nodes take */
	struct list_head nodes;		/* all, in order once sorted */
};

enum qvault_hit {
	QVAULT_MISS,			/* ask the layer below */
	QVAULT_HIT,			/* *ptr is set; version 0: unmapped */
};

void qvault_delta_init(struct qvault_delta *delta);
void qvault_delta_exit(struct qvault *v, struct qvault_delta *delta);
void qvault_delta_clear(struct qvault *v, struct qvault_delta *delta);
bool qvault_delta_empty(const struct qvault_delta *delta);
enum qvault_hit qvault_delta_lookup(const struct qvault *v,
				    const struct qvault_delta *delta,
				    u64 logical, struct qvault_ptr *ptr);
void qvault_delta_sort(struct qvault *v, struct qvault_delta *delta);

/*
 * Nodes for changes that have begun, so that their ends wait for none: for each
 * leaf or subtree that is promised one there is one here, large enough for any.
 * An end takes it only if the allocator has none that just fits.
 */
struct qvault_stock {
	struct list_head nodes;		/* of full capacity */
	u32 nr;
	u32 promised;			/* of them */
};

int qvault_stock_init(struct qvault *v);
void qvault_stock_exit(struct qvault *v);
bool qvault_stock_promise(struct qvault *v, u32 nr);
void qvault_stock_release(struct qvault *v, u32 nr);

/* As many nodes as blocks that are mapped may add to a delta. */
static inline u32 qvault_leaves_of(u64 logical, u32 count)
{
	return ((logical + count - 1) >> QVAULT_FANOUT_SHIFT) -
	       (logical >> QVAULT_FANOUT_SHIFT) + 1;
}

void qvault_delta_prepare(struct qvault *v, struct qvault_delta *delta,
			  u64 logical, u32 count, bool mapped);
void qvault_delta_insert(struct qvault *v, struct qvault_delta *delta,
			 u64 logical, const struct qvault_ptr *ptr);
void qvault_delta_unmap(struct qvault *v, struct qvault_delta *delta,
			u64 logical, u32 count);
void qvault_delta_mark(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index);

/*
 * The next piece of a range that is to be unmapped: blocks of one leaf
 * (level 0), or one whole subtree.
 */
struct qvault_piece {
	u32 level;
	u64 logical;
	u64 count;
};

void qvault_next_piece(const struct qvault_geometry *geo, u64 logical,
		       u64 count, struct qvault_piece *piece);
void qvault_delta_unmap_piece(struct qvault *v, struct qvault_delta *delta,
			      const struct qvault_piece *piece);

/* Of a whole subtree; see qvault_delta_knows(). */
enum qvault_knows {
	QVAULT_UNKNOWN,
	QVAULT_UNMAPPED,
	QVAULT_MAPPED,
};

enum qvault_knows qvault_delta_knows(const struct qvault *v,
				     const struct qvault_delta *delta, u32 level,
				     u64 index);
u32 qvault_delta_work(const struct qvault_delta *delta, u32 level, u64 index);
bool qvault_delta_full(const struct qvault *v,
		       const struct qvault_delta_node *node);
bool qvault_delta_covers(const struct qvault *v, const struct qvault_delta *delta,
			 u32 level, u64 index);
u64 qvault_delta_below(struct qvault *v, struct qvault_delta *delta, u32 level,
		       u64 index);
void qvault_delta_carry(struct qvault *v, struct qvault_delta *from,
			struct qvault_delta *to, u32 level, u64 index);
void qvault_delta_fold(struct qvault *v, struct qvault_delta *newer,
		       struct qvault_delta *older);

/* ---- Node cache (node.c) ------------------------------------------------ */

/*
 * A node or map block as it stands on the device under one version; never
 * dirty.  Found by version, which is unique, so a stale node is never found.
 */
struct qvault_node {
	struct hlist_node hash;
	struct list_head lru;		/* unused: the cache may drop it */
	u64 version;
	u32 refs;
	bool lent;			/* from a reserve, and in no cache */
	bool half;			/* came from its second copy: see heal.c */
	/* Of a leaf, for readahead; hints, and so without a lock. */
	bool ahead;			/* came before it was asked for */
	bool asked;			/* was read, from its beginning */
	void *data;			/* QVAULT_BLOCK_SIZE, as on disk */
};

struct qvault_cache {
	spinlock_t lock;		/* Protects all of this and the nodes' refs. */
	struct hlist_head *buckets;
	u32 bucket_shift;
	struct list_head lru;
	struct qvault_node *lost;	/* of what is lost: all it points to is lost too */
	u32 nr;
	u32 limit;
};

int qvault_cache_init(struct qvault *v, u32 limit);
void qvault_cache_exit(struct qvault *v);
struct qvault_node *qvault_node_find(struct qvault *v, u64 version);
int qvault_node_get(struct qvault *v, enum qvault_use use,
		    enum qvault_kind kind, u32 level, u64 index,
		    const struct qvault_ptr *ptr, struct qvault_node **node);
int qvault_node_verify(struct qvault *v, enum qvault_kind kind, u32 level, u64 index,
		       const struct qvault_ptr *ptr, const struct qvault_root *root);

/* A node that will be needed. */
struct qvault_want {
	struct qvault_ptr ptr;
	u64 index;
	u32 level;
};

u32 qvault_node_fetch(struct qvault *v, enum qvault_kind kind,
		      const struct qvault_want *want, struct qvault_read *read, u32 n);
void qvault_node_add(struct qvault *v, u64 version, const void *data);
void qvault_node_put(struct qvault *v, struct qvault_node *node);

/* ---- Trees (tree.c) ----------------------------------------------------- */

static inline u32 qvault_node_slot(const struct qvault_ptr *ptr)
{
	return ptr->where & 1;
}

static inline u64 qvault_node_weight(const struct qvault_ptr *ptr)
{
	return ptr->where >> 1;
}

/* Is leaf @index, of the tree of nodes or of the map, below this root? */
static inline bool qvault_root_covers(const struct qvault_root *root, u64 index)
{
	return root->ptr.version &&
	       !(index >> (QVAULT_FANOUT_SHIFT * root->level));
}

int qvault_tree_find_at(struct qvault *v, enum qvault_kind kind,
			const struct qvault_root *root, u32 at, u64 index,
			struct qvault_ptr *ptr, u64 *bad);

static inline int qvault_tree_find(struct qvault *v, enum qvault_kind kind,
				   const struct qvault_root *root, u64 index,
				   struct qvault_ptr *ptr, u64 *bad)
{
	return qvault_tree_find_at(v, kind, root, 0, index, ptr, bad);
}

int qvault_tree_child(struct qvault *v, enum qvault_kind kind, u32 level, u64 leaf,
		      struct qvault_ptr *ptr);
int qvault_tree_next(struct qvault *v, enum qvault_kind kind,
		     const struct qvault_root *root, u64 from, u32 gens, u64 *leaf,
		     u64 *bad);
struct qvault_node *qvault_tree_cached(struct qvault *v,
				       const struct qvault_root *root, u64 index);

/* One node of a cursor's path. */
struct qvault_step {
	u64 index;
	bool loaded;
	bool dirty;
	struct qvault_ptr anchored;	/* the anchored node's pointer */
	struct qvault_node *old;	/* and contents; NULL: none, or level 0 */
	void *data;			/* the new node's contents */
};

/*
 * Makes a new tree out of the anchored one, in ascending order of leaves: each
 * changed node is written once, into the slot that the anchored tree does not
 * use, when the cursor leaves it.  If the volume has grown out of the anchored root
 * the new tree gets the levels that are missing: see raise().
 */
struct qvault_cursor {
	struct qvault *v;
	enum qvault_kind kind;
	const struct qvault_tree_geometry *tree;
	struct qvault_batch *batch;
	struct qvault_root anchored;
	struct qvault_root root;	/* of the new tree so far */
	u32 written;			/* nodes so far */
	u64 bad;			/* id of the last node that was corrupt */
	u64 needless_from;		/* see qvault_cursor_needless() */
	u64 needless_end;
	u64 given_up;			/* see struct qvault_walk */
	bool gave_up;			/* that node was replaced */
	bool replaced;			/* a node that is corrupt, by a new one */
	struct qvault_fetch *fetch;	/* or NULL: see qvault_cursor_ahead() */
	struct qvault_step step[QVAULT_MAX_LEVELS];
};

int qvault_cursor_init(struct qvault_cursor *c, struct qvault *v,
		       enum qvault_kind kind, const struct qvault_root *anchored,
		       struct qvault_batch *batch);
void qvault_cursor_exit(struct qvault_cursor *c);
int qvault_cursor_leaf(struct qvault_cursor *c, u64 index, void **data);
void qvault_cursor_dirty(struct qvault_cursor *c);
void qvault_cursor_needless(struct qvault_cursor *c, u64 from, u64 end);
int qvault_cursor_next(struct qvault_cursor *c, u64 from, u64 end, u64 *index);
int qvault_cursor_renew(struct qvault_cursor *c, u64 id, u64 version);
int qvault_cursor_renew_gens(struct qvault_cursor *c, u32 gens);
int qvault_cursor_finish(struct qvault_cursor *c);

/* ---- Nodes that come before they are asked for (ahead.c) ---------------- */

/* Leaves of a tree. */
struct qvault_leaves {
	u64 from;
	u64 end;			/* the one after the last */
};

/* For more leaves than nodes: leaves that are close wait for the same ones above. */
#define QVAULT_SPANS	(2 * QVAULT_READS)

/* What it takes to bring so many nodes at a time. */
struct qvault_fetch {
	struct qvault_leaves span[QVAULT_SPANS];
	struct qvault_want want[QVAULT_READS];
	struct qvault_read read[QVAULT_READS];
};

u64 qvault_cursor_ahead(struct qvault_cursor *c, u32 nr);
void qvault_readahead(struct qvault *v, u64 leaf);

/* ---- Nodes with one bad copy (heal.c) ----------------------------------- */

struct qvault_half {
	enum qvault_kind kind;
	u64 id;
	u64 version;			/* of the node that is bad */
};

struct qvault_heal {
	struct qvault_half item[QVAULT_MAX_HALF];
	u32 nr;
	u32 taken;			/* of them, by the checkpoint that runs */
	u32 renewed;			/* by it, so far */
};

void qvault_heal_found(struct qvault *v, enum qvault_kind kind,
		       const struct qvault_root *root, u64 id, u64 version,
		       struct qvault_node *node);
bool qvault_heal_begin(struct qvault *v);
int qvault_heal_visit(struct qvault_cursor *c);
void qvault_heal_anchored(struct qvault *v);

/* ---- Damage (damage.c) -------------------------------------------------- */

struct qvault_damage {
	u64 *id;			/* of nodes of the tree that cannot be read */
	u32 nr;
	u32 pages;			/* of the stream, that the last freeze carried */
	u64 bytes;			/* of the delta, likewise */
	u32 promised;			/* the same for the next one */
	bool again;			/* it is the second one without a checkpoint */
};

int qvault_damage_add(struct qvault *v, u64 id);
bool qvault_damage_above(const struct qvault *v, u32 level, u64 index);
void qvault_damage_recheck(struct qvault *v);
int qvault_damage_refuses(struct qvault *v, u64 logical, u64 count);
int qvault_damage_piece(struct qvault *v, const struct qvault_piece *piece,
			bool *heals);
void qvault_damage_unmapped(struct qvault *v, const struct qvault_piece *piece);
u32 qvault_damage_kept(const struct qvault *v);
int qvault_damage_promise(struct qvault *v);
void qvault_damage_carry(struct qvault *v);
void qvault_damage_carried(struct qvault *v);
void qvault_damage_fold(struct qvault *v);

#endif
