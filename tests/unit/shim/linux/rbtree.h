/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shim: ordered trees, with the kernel's names.  A treap: a node's address decides how
 * high it stands, so there are no colours, and what is balanced on the average will do.
 */
#ifndef SHIM_RBTREE_H
#define SHIM_RBTREE_H
#include <linux/types.h>
#include <linux/container_of.h>

struct rb_node {
	struct rb_node *parent, *rb_left, *rb_right;
};
struct rb_root {
	struct rb_node *rb_node;
};

#define RB_EMPTY_ROOT(root) (!(root)->rb_node)
#define rb_entry(ptr, type, member) container_of(ptr, type, member)
#define rb_entry_safe(ptr, type, member) \
	({ struct rb_node *__p = (ptr); __p ? rb_entry(__p, type, member) : NULL; })

static inline u64 shim_rb_rank(const struct rb_node *node)
{
	u64 x = (uintptr_t)node * 0x9e3779b97f4a7c15ull;

	return x ^ x >> 29;
}

/* Where the tree points to @node from. */
static inline struct rb_node **shim_rb_slot(struct rb_node *node, struct rb_root *root)
{
	if (!node->parent)
		return &root->rb_node;
	return node->parent->rb_left == node ? &node->parent->rb_left :
					       &node->parent->rb_right;
}

/* @node takes the place of its parent, which becomes its child. */
static inline void shim_rb_lift(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent = node->parent, *inner;

	*shim_rb_slot(parent, root) = node;
	node->parent = parent->parent;
	if (parent->rb_left == node) {
		inner = node->rb_right;
		node->rb_right = parent;
		parent->rb_left = inner;
	} else {
		inner = node->rb_left;
		node->rb_left = parent;
		parent->rb_right = inner;
	}
	if (inner)
		inner->parent = parent;
	parent->parent = node;
}

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	node->parent = parent;
	node->rb_left = node->rb_right = NULL;
	*link = node;
}

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	while (node->parent && shim_rb_rank(node->parent) < shim_rb_rank(node))
		shim_rb_lift(node, root);
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *left, *right, *child;

	while ((left = node->rb_left) && (right = node->rb_right))
		shim_rb_lift(shim_rb_rank(left) > shim_rb_rank(right) ? left : right, root);
	child = node->rb_left ? node->rb_left : node->rb_right;
	*shim_rb_slot(node, root) = child;
	if (child)
		child->parent = node->parent;
	/* No access survives these. */
	node->parent = node->rb_left = node->rb_right = (void *)0x133;
}

static inline struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

static inline struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *next = node->rb_right;

	if (next) {
		while (next->rb_left)
			next = next->rb_left;
		return next;
	}
	while (node->parent && node->parent->rb_right == node)
		node = node->parent;
	return node->parent;
}
#endif
