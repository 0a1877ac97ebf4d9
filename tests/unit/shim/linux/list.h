/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: doubly linked lists and hash chains, with the kernel's names. */
#ifndef SHIM_LIST_H
#define SHIM_LIST_H
#include <linux/types.h>
#include <linux/container_of.h>

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)
static inline void INIT_LIST_HEAD(struct list_head *h)
{
	h->next = h;
	h->prev = h;
}
static inline void shim_link(struct list_head *a, struct list_head *b)
{
	a->next = b;
	b->prev = a;
}
static inline void list_add(struct list_head *n, struct list_head *h)
{
	shim_link(n, h->next);
	shim_link(h, n);
}
static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
	shim_link(h->prev, n);
	shim_link(n, h);
}
/* What is unlinked points to addresses that no access survives. */
static inline void list_del(struct list_head *n)
{
	shim_link(n->prev, n->next);
	n->next = (void *)0x100;
	n->prev = (void *)0x122;
}
static inline void list_del_init(struct list_head *n)
{
	shim_link(n->prev, n->next);
	INIT_LIST_HEAD(n);
}
static inline bool list_empty(const struct list_head *h)
{
	return h->next == h;
}
static inline bool list_is_singular(const struct list_head *h)
{
	return !list_empty(h) && h->next == h->prev;
}
static inline bool list_is_last(const struct list_head *n,
				const struct list_head *h)
{
	return n->next == h;
}
static inline bool list_is_first(const struct list_head *n,
				 const struct list_head *h)
{
	return n->prev == h;
}
static inline bool list_is_head(const struct list_head *n,
				const struct list_head *h)
{
	return n == h;
}
static inline void list_move(struct list_head *n, struct list_head *h)
{
	shim_link(n->prev, n->next);
	list_add(n, h);
}
static inline void list_move_tail(struct list_head *n, struct list_head *h)
{
	shim_link(n->prev, n->next);
	list_add_tail(n, h);
}
static inline void list_replace(struct list_head *o, struct list_head *n)
{
	shim_link(n, o->next);
	shim_link(o->prev, n);
}
static inline void list_replace_init(struct list_head *o, struct list_head *n)
{
	list_replace(o, n);
	INIT_LIST_HEAD(o);
}
static inline void shim_splice(struct list_head *l, struct list_head *prev,
			       struct list_head *next)
{
	shim_link(prev, l->next);
	shim_link(l->prev, next);
}
static inline void list_splice(struct list_head *l, struct list_head *h)
{
	if (!list_empty(l))
		shim_splice(l, h, h->next);
}
static inline void list_splice_tail(struct list_head *l, struct list_head *h)
{
	if (!list_empty(l))
		shim_splice(l, h->prev, h);
}
static inline void list_splice_init(struct list_head *l, struct list_head *h)
{
	list_splice(l, h);
	INIT_LIST_HEAD(l);
}
static inline void list_splice_tail_init(struct list_head *l,
					 struct list_head *h)
{
	list_splice_tail(l, h);
	INIT_LIST_HEAD(l);
}
static inline void list_cut_position(struct list_head *l, struct list_head *h,
				     struct list_head *entry)
{
	INIT_LIST_HEAD(l);
	while (entry != h) {
		struct list_head *first = h->next;

		list_move_tail(first, l);
		if (first == entry)
			break;
	}
}

#define list_entry(p, t, m) container_of(p, t, m)
#define list_first_entry(h, t, m) list_entry((h)->next, t, m)
#define list_last_entry(h, t, m) list_entry((h)->prev, t, m)
#define list_first_entry_or_null(h, t, m) \
	(list_empty(h) ? NULL : list_first_entry(h, t, m))
#define list_next_entry(p, m) list_entry((p)->m.next, __typeof__(*(p)), m)
#define list_prev_entry(p, m) list_entry((p)->m.prev, __typeof__(*(p)), m)
#define list_entry_is_head(p, h, m) (&(p)->m == (h))
#define list_for_each(p, h) for ((p) = (h)->next; (p) != (h); (p) = (p)->next)
#define list_for_each_entry(p, h, m)					\
	for ((p) = list_first_entry(h, __typeof__(*(p)), m);		\
	     &(p)->m != (h); (p) = list_next_entry(p, m))
#define list_for_each_entry_reverse(p, h, m)				\
	for ((p) = list_last_entry(h, __typeof__(*(p)), m);		\
	     &(p)->m != (h); (p) = list_prev_entry(p, m))
#define list_for_each_entry_safe(p, n, h, m)				\
	for ((p) = list_first_entry(h, __typeof__(*(p)), m),		\
	     (n) = list_next_entry(p, m);				\
	     &(p)->m != (h); (p) = (n), (n) = list_next_entry(n, m))
#define list_for_each_entry_safe_reverse(p, n, h, m)			\
	for ((p) = list_last_entry(h, __typeof__(*(p)), m),		\
	     (n) = list_prev_entry(p, m);				\
	     &(p)->m != (h); (p) = (n), (n) = list_prev_entry(n, m))

#define HLIST_HEAD_INIT { NULL }
#define HLIST_HEAD(name) struct hlist_head name = HLIST_HEAD_INIT
static inline void INIT_HLIST_HEAD(struct hlist_head *h) { h->first = NULL; }
static inline void INIT_HLIST_NODE(struct hlist_node *n)
{
	n->next = NULL;
	n->pprev = NULL;
}
static inline bool hlist_unhashed(const struct hlist_node *n)
{
	return !n->pprev;
}
static inline bool hlist_empty(const struct hlist_head *h) { return !h->first; }
static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	n->next = h->first;
	if (h->first)
		h->first->pprev = &n->next;
	h->first = n;
	n->pprev = &h->first;
}
static inline void shim_hlist_unlink(struct hlist_node *n)
{
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
}
static inline void hlist_del(struct hlist_node *n)
{
	shim_hlist_unlink(n);
	n->next = (void *)0x100;
	n->pprev = (void *)0x122;
}
static inline void hlist_del_init(struct hlist_node *n)
{
	if (hlist_unhashed(n))
		return;
	shim_hlist_unlink(n);
	INIT_HLIST_NODE(n);
}
#define hlist_entry(p, t, m) container_of(p, t, m)
#define hlist_entry_safe(p, t, m) ({					\
	struct hlist_node *__p = (p);					\
	__p ? hlist_entry(__p, t, m) : NULL; })
#define hlist_for_each_entry(p, h, m)					\
	for ((p) = hlist_entry_safe((h)->first, __typeof__(*(p)), m); (p); \
	     (p) = hlist_entry_safe((p)->m.next, __typeof__(*(p)), m))
#define hlist_for_each_entry_safe(p, n, h, m)				\
	for ((p) = hlist_entry_safe((h)->first, __typeof__(*(p)), m);	\
	     (p) && ((n) = (p)->m.next, 1);				\
	     (p) = hlist_entry_safe(n, __typeof__(*(p)), m))
#endif
