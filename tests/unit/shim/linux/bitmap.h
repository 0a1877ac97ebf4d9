/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: bitmaps, bit by bit where speed does not matter. */
#ifndef SHIM_BITMAP_H
#define SHIM_BITMAP_H
#include <linux/types.h>
#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/byteorder.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <string.h>

#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]

static inline bool test_bit(unsigned long n, const unsigned long *p)
{
	return p[BIT_WORD(n)] >> (n % BITS_PER_LONG) & 1;
}
static inline void __set_bit(unsigned long n, unsigned long *p)
{
	p[BIT_WORD(n)] |= BIT_MASK(n);
}
static inline void __clear_bit(unsigned long n, unsigned long *p)
{
	p[BIT_WORD(n)] &= ~BIT_MASK(n);
}
static inline void __change_bit(unsigned long n, unsigned long *p)
{
	p[BIT_WORD(n)] ^= BIT_MASK(n);
}
static inline bool __test_and_set_bit(unsigned long n, unsigned long *p)
{
	bool was = test_bit(n, p);

	__set_bit(n, p);
	return was;
}
static inline bool __test_and_clear_bit(unsigned long n, unsigned long *p)
{
	bool was = test_bit(n, p);

	__clear_bit(n, p);
	return was;
}
#define set_bit(n, p) __set_bit(n, p)
#define clear_bit(n, p) __clear_bit(n, p)
#define test_and_set_bit(n, p) __test_and_set_bit(n, p)
#define test_and_clear_bit(n, p) __test_and_clear_bit(n, p)
#define __assign_bit(n, p, v) ((v) ? __set_bit(n, p) : __clear_bit(n, p))
#define assign_bit(n, p, v) __assign_bit(n, p, v)
#define clear_bit_unlock(n, p) __clear_bit(n, p)

/* The same bits in bytes, as they stand on disk. */
static inline bool test_bit_le(unsigned long n, const void *p)
{
	return ((const u8 *)p)[n / 8] >> (n % 8) & 1;
}
static inline void __set_bit_le(unsigned long n, void *p)
{
	((u8 *)p)[n / 8] |= 1u << (n % 8);
}
static inline void __clear_bit_le(unsigned long n, void *p)
{
	((u8 *)p)[n / 8] &= ~(1u << (n % 8));
}
static inline bool __test_and_set_bit_le(unsigned long n, void *p)
{
	bool was = test_bit_le(n, p);

	__set_bit_le(n, p);
	return was;
}
static inline bool __test_and_clear_bit_le(unsigned long n, void *p)
{
	bool was = test_bit_le(n, p);

	__clear_bit_le(n, p);
	return was;
}

unsigned long find_next_bit(const unsigned long *p, unsigned long size,
			    unsigned long from);
unsigned long find_next_zero_bit(const unsigned long *p, unsigned long size,
				 unsigned long from);
unsigned long find_next_and_bit(const unsigned long *a, const unsigned long *b,
				unsigned long size, unsigned long from);
unsigned long find_next_andnot_bit(const unsigned long *a,
				   const unsigned long *b, unsigned long size,
				   unsigned long from);
unsigned long find_next_or_bit(const unsigned long *a, const unsigned long *b,
			       unsigned long size, unsigned long from);
unsigned long find_next_bit_le(const void *p, unsigned long size,
			       unsigned long from);
unsigned long find_next_zero_bit_le(const void *p, unsigned long size,
				    unsigned long from);
unsigned long find_last_bit(const unsigned long *p, unsigned long size);
unsigned long bitmap_find_next_zero_area(unsigned long *p, unsigned long size,
					 unsigned long from, unsigned int nr,
					 unsigned long align_mask);
#define find_first_bit(p, size) find_next_bit(p, size, 0)
#define find_first_zero_bit(p, size) find_next_zero_bit(p, size, 0)
#define for_each_set_bit(bit, p, size)					\
	for ((bit) = find_next_bit(p, size, 0); (bit) < (size);		\
	     (bit) = find_next_bit(p, size, (bit) + 1))
#define for_each_clear_bit(bit, p, size)				\
	for ((bit) = find_next_zero_bit(p, size, 0); (bit) < (size);	\
	     (bit) = find_next_zero_bit(p, size, (bit) + 1))
#define for_each_set_bit_from(bit, p, size)				\
	for ((bit) = find_next_bit(p, size, bit); (bit) < (size);	\
	     (bit) = find_next_bit(p, size, (bit) + 1))

void bitmap_set(unsigned long *p, unsigned int start, unsigned int nr);
void bitmap_clear(unsigned long *p, unsigned int start, unsigned int nr);
unsigned int bitmap_weight(const unsigned long *p, unsigned int nbits);
bool bitmap_or(unsigned long *d, const unsigned long *a, const unsigned long *b,
	       unsigned int nbits);
bool bitmap_and(unsigned long *d, const unsigned long *a,
		const unsigned long *b, unsigned int nbits);
bool bitmap_andnot(unsigned long *d, const unsigned long *a,
		   const unsigned long *b, unsigned int nbits);
bool bitmap_intersects(const unsigned long *a, const unsigned long *b,
		       unsigned int nbits);
bool bitmap_subset(const unsigned long *a, const unsigned long *b,
		   unsigned int nbits);
bool bitmap_equal(const unsigned long *a, const unsigned long *b,
		  unsigned int nbits);
static inline bool bitmap_empty(const unsigned long *p, unsigned int nbits)
{
	return find_next_bit(p, nbits, 0) >= nbits;
}
static inline bool bitmap_full(const unsigned long *p, unsigned int nbits)
{
	return find_next_zero_bit(p, nbits, 0) >= nbits;
}
static inline void bitmap_zero(unsigned long *p, unsigned int nbits)
{
	memset(p, 0, BITS_TO_LONGS(nbits) * sizeof(long));
}
static inline void bitmap_fill(unsigned long *p, unsigned int nbits)
{
	memset(p, 0xff, BITS_TO_LONGS(nbits) * sizeof(long));
}
static inline void bitmap_copy(unsigned long *d, const unsigned long *s,
			       unsigned int nbits)
{
	memcpy(d, s, BITS_TO_LONGS(nbits) * sizeof(long));
}
static inline unsigned long *bitmap_zalloc(unsigned int nbits, gfp_t gfp)
{
	return kcalloc(BITS_TO_LONGS(nbits), sizeof(long), gfp);
}
static inline unsigned long *bitmap_alloc(unsigned int nbits, gfp_t gfp)
{
	return kmalloc_array(BITS_TO_LONGS(nbits), sizeof(long), gfp);
}
static inline void bitmap_free(const unsigned long *p) { kfree(p); }
static inline unsigned int hweight8(u8 x) { return __builtin_popcount(x); }
static inline unsigned int hweight32(u32 x) { return __builtin_popcount(x); }
static inline unsigned int hweight64(u64 x) { return __builtin_popcountll(x); }
static inline unsigned long hweight_long(unsigned long x)
{
	return __builtin_popcountl(x);
}
static inline unsigned long __ffs(unsigned long x) { return __builtin_ctzl(x); }
static inline unsigned long __ffs64(u64 x) { return __builtin_ctzll(x); }
static inline unsigned long ffz(unsigned long x) { return __builtin_ctzl(~x); }
#endif
