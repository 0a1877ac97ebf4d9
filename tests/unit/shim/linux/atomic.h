/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shim: one task runs at a time, so plain arithmetic is atomic; another may run
 * just before each operation.
 */
#ifndef SHIM_ATOMIC_H
#define SHIM_ATOMIC_H
#include <linux/types.h>
void shim_atomic_point(void);
#define SHIM_ATOMIC(pre, type, val)					\
static inline val pre##_read(const type *a) { shim_atomic_point(); return a->counter; }	\
static inline void pre##_set(type *a, val i) { a->counter = i; }	\
static inline void pre##_add(val i, type *a) { shim_atomic_point(); a->counter += i; }	\
static inline void pre##_sub(val i, type *a) { shim_atomic_point(); a->counter -= i; }	\
static inline void pre##_inc(type *a) { shim_atomic_point(); a->counter++; }			\
static inline void pre##_dec(type *a) { shim_atomic_point(); a->counter--; }			\
static inline val pre##_add_return(val i, type *a) { shim_atomic_point(); return a->counter += i; } \
static inline val pre##_sub_return(val i, type *a) { shim_atomic_point(); return a->counter -= i; } \
static inline val pre##_inc_return(type *a) { shim_atomic_point(); return ++a->counter; }	\
static inline val pre##_dec_return(type *a) { shim_atomic_point(); return --a->counter; }	\
static inline val pre##_fetch_add(val i, type *a)			\
{									\
	val old = (shim_atomic_point(), a->counter);			\
									\
	a->counter += i;						\
	return old;							\
}									\
static inline val pre##_fetch_inc(type *a) { shim_atomic_point(); return a->counter++; }	\
static inline bool pre##_dec_and_test(type *a) { shim_atomic_point(); return !--a->counter; } \
static inline bool pre##_sub_and_test(val i, type *a) { shim_atomic_point(); return !(a->counter -= i); } \
static inline bool pre##_inc_not_zero(type *a) { shim_atomic_point(); return a->counter ? a->counter++, true : false; } \
static inline val pre##_xchg(type *a, val n)				\
{									\
	val old = (shim_atomic_point(), a->counter);			\
									\
	a->counter = n;							\
	return old;							\
}									\
static inline val pre##_cmpxchg(type *a, val o, val n)			\
{									\
	val old = (shim_atomic_point(), a->counter);			\
									\
	if (old == o)							\
		a->counter = n;						\
	return old;							\
}									\
static inline bool pre##_try_cmpxchg(type *a, val *o, val n)		\
{									\
	shim_atomic_point();						\
	if (a->counter != *o) {						\
		*o = a->counter;					\
		return false;						\
	}								\
	a->counter = n;							\
	return true;							\
}
SHIM_ATOMIC(atomic, atomic_t, int)
SHIM_ATOMIC(atomic64, atomic64_t, s64)
SHIM_ATOMIC(atomic_long, atomic_long_t, long)
/* On any type, enums too. */
#define cmpxchg(p, o, n) ({						\
	__typeof__(*(p)) __old = *(p);					\
	if (__old == (o))						\
		*(p) = (n);						\
	__old; })
#define xchg(p, n) ({							\
	__typeof__(*(p)) __old = *(p);					\
	*(p) = (n);							\
	__old; })
#define ATOMIC_INIT(i) { (i) }
#define ATOMIC64_INIT(i) { (i) }
#define smp_mb() barrier()
#define smp_rmb() barrier()
#define smp_wmb() barrier()
#define smp_mb__before_atomic() barrier()
#define smp_mb__after_atomic() barrier()
#define smp_load_acquire(p) READ_ONCE(*(p))
#define smp_store_release(p, v) WRITE_ONCE(*(p), v)
#endif
