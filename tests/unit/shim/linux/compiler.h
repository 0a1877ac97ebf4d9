/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: what the compiler headers of the kernel give. */
#ifndef SHIM_COMPILER_H
#define SHIM_COMPILER_H
#define __init
#define __exit
#define __force
#define __must_check __attribute__((warn_unused_result))
#define __maybe_unused __attribute__((unused))
#define __always_unused __attribute__((unused))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define fallthrough __attribute__((fallthrough))
#define __printf(a, b) __attribute__((format(printf, a, b)))
#define __aligned(x) __attribute__((aligned(x)))
#define __packed __attribute__((packed))
#define __cold
#define __pure
/* Sparse annotations */
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __acquire(x) ((void)0)
#define __release(x) ((void)0)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ __volatile__("" : : : "memory")
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define data_race(x) (x)
#ifndef __has_attribute
#define __has_attribute(x) 0
#endif
#if __has_attribute(counted_by)
#define __counted_by(m) __attribute__((counted_by(m)))
#else
#define __counted_by(m)
#endif
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif
