/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: a warning is a failed test. */
#ifndef SHIM_BUG_H
#define SHIM_BUG_H
#include <linux/build_bug.h>
#include <linux/compiler.h>
void shim_bug(const char *file, int line, const char *fmt, ...)
	__printf(3, 4) __attribute__((noreturn));
#define shim_fail(...) shim_bug(__FILE__, __LINE__, __VA_ARGS__)
#define WARN_ON(cond) ({						\
	bool __warn = !!(cond);						\
	if (__warn)							\
		shim_fail("WARN_ON(%s)", #cond);			\
	__warn; })
#define WARN_ON_ONCE(cond) WARN_ON(cond)
#define WARN(cond, ...) ({						\
	bool __warn = !!(cond);						\
	if (__warn)							\
		shim_fail(__VA_ARGS__);					\
	__warn; })
#define WARN_ONCE(cond, ...) WARN(cond, __VA_ARGS__)
#endif
