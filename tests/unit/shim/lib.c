// SPDX-License-Identifier: GPL-2.0
/*
 * Bitmaps and sorting.
 */
#include <stdlib.h>

#include <linux/bitmap.h>
#include <linux/list_sort.h>
#include <linux/sort.h>

/*
 * The next bit at which word(i) has a one, word by word.  @size is checked last,
 * so the bits behind the end of the last word do no harm.
 */
#define FIND(word) do {							\
	unsigned long i = BIT_WORD(from), w;				\
									\
	if (from >= size)						\
		return size;						\
	w = (word) & (~0UL << from % BITS_PER_LONG);			\
	while (!w) {							\
		if (++i * BITS_PER_LONG >= size)			\
			return size;					\
		w = (word);						\
	}								\
	i = i * BITS_PER_LONG + __ffs(w);				\
	return i < size ? i : size;					\
} while (0)

unsigned long find_next_bit(const unsigned long *p, unsigned long size,
			    unsigned long from)
{
	FIND(p[i]);
}

unsigned long find_next_zero_bit(const unsigned long *p, unsigned long size,
				 unsigned long from)
{
	FIND(~p[i]);
}

unsigned long find_next_and_bit(const unsigned long *a, const unsigned long *b,
				unsigned long size, unsigned long from)
{
	FIND(a[i] & b[i]);
}

unsigned long find_next_andnot_bit(const unsigned long *a,
				   const unsigned long *b, unsigned long size,
				   unsigned long from)
{
	FIND(a[i] & ~b[i]);
}

unsigned long find_next_or_bit(const unsigned long *a, const unsigned long *b,
			       unsigned long size, unsigned long from)
{
	FIND(a[i] | b[i]);
}

unsigned long find_next_bit_le(const void *p, unsigned long size,
			       unsigned long from)
{
	while (from < size && !test_bit_le(from, p))
		from++;
	return from < size ? from : size;
}

unsigned long find_next_zero_bit_le(const void *p, unsigned long size,
				    unsigned long from)
{
	while (from < size && test_bit_le(from, p))
		from++;
	return from < size ? from : size;
}

unsigned long find_last_bit(const unsigned long *p, unsigned long size)
{
	unsigned long i = size;

	while (i--)
		if (test_bit(i, p))
			return i;
	return size;
}

unsigned long bitmap_find_next_zero_area(unsigned long *p, unsigned long size,
					 unsigned long from, unsigned int nr,
					 unsigned long align_mask)
{
	unsigned long end;

	for (;;) {
		from = find_next_zero_bit(p, size, from);
		from = (from + align_mask) & ~align_mask;
		if (from + nr > size)
			return from + nr;
		end = find_next_bit(p, from + nr, from);
		if (end >= from + nr)
			return from;
		from = end + 1;
	}
}

void bitmap_set(unsigned long *p, unsigned int start, unsigned int nr)
{
	while (nr--)
		__set_bit(start++, p);
}

void bitmap_clear(unsigned long *p, unsigned int start, unsigned int nr)
{
	while (nr--)
		__clear_bit(start++, p);
}

static unsigned long last_mask(unsigned int nbits)
{
	return nbits % BITS_PER_LONG ? (1UL << nbits % BITS_PER_LONG) - 1 : ~0UL;
}

/* Runs @expr for each word, with @mask of the bits that count in it. */
#define EACH_WORD(expr) do {						\
	unsigned int i, words = BITS_TO_LONGS(nbits);			\
									\
	for (i = 0; i < words; i++) {					\
		unsigned long mask =					\
			i == words - 1 ? last_mask(nbits) : ~0UL;	\
		expr;							\
	}								\
} while (0)

unsigned int bitmap_weight(const unsigned long *p, unsigned int nbits)
{
	unsigned int weight = 0;

	EACH_WORD(weight += hweight_long(p[i] & mask));
	return weight;
}

bool bitmap_or(unsigned long *d, const unsigned long *a, const unsigned long *b,
	       unsigned int nbits)
{
	unsigned long any = 0;

	EACH_WORD(any |= (d[i] = a[i] | b[i]) & mask);
	return any;
}

bool bitmap_and(unsigned long *d, const unsigned long *a,
		const unsigned long *b, unsigned int nbits)
{
	unsigned long any = 0;

	EACH_WORD(any |= (d[i] = a[i] & b[i]) & mask);
	return any;
}

bool bitmap_andnot(unsigned long *d, const unsigned long *a,
		   const unsigned long *b, unsigned int nbits)
{
	unsigned long any = 0;

	EACH_WORD(any |= (d[i] = a[i] & ~b[i]) & mask);
	return any;
}

bool bitmap_intersects(const unsigned long *a, const unsigned long *b,
		       unsigned int nbits)
{
	unsigned long any = 0;

	EACH_WORD(any |= a[i] & b[i] & mask);
	return any;
}

bool bitmap_subset(const unsigned long *a, const unsigned long *b,
		   unsigned int nbits)
{
	unsigned long any = 0;

	EACH_WORD(any |= a[i] & ~b[i] & mask);
	return !any;
}

bool bitmap_equal(const unsigned long *a, const unsigned long *b,
		  unsigned int nbits)
{
	unsigned long any = 0;

	EACH_WORD(any |= (a[i] ^ b[i]) & mask);
	return !any;
}

/* Bottom-up merging of singly linked runs; stable. */
static struct list_head *merge(void *priv, list_cmp_func_t cmp,
			       struct list_head *a, struct list_head *b)
{
	struct list_head *head = NULL, **tail = &head;

	while (a && b) {
		struct list_head **least = cmp(priv, a, b) <= 0 ? &a : &b;

		*tail = *least;
		tail = &(*least)->next;
		*least = (*least)->next;
	}
	*tail = a ? a : b;
	return head;
}

void list_sort(void *priv, struct list_head *head, list_cmp_func_t cmp)
{
	struct list_head *run[64] = { NULL };
	struct list_head *n, *next, *all = NULL;
	int i;

	for (n = head->next; n != head; n = next) {
		struct list_head *one = n;

		next = n->next;
		one->next = NULL;
		for (i = 0; run[i]; i++) {
			one = merge(priv, cmp, run[i], one);
			run[i] = NULL;
		}
		run[i] = one;
	}
	for (i = 0; i < 64; i++)
		if (run[i])
			all = merge(priv, cmp, run[i], all);
	INIT_LIST_HEAD(head);
	for (n = all; n; n = next) {
		next = n->next;
		list_add_tail(n, head);
	}
}

void sort(void *base, size_t num, size_t size, cmp_func_t cmp, swap_func_t swp)
{
	qsort(base, num, size, cmp);
}
