/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What args.c asks of the kernel beyond the shim of tests/unit; and warnings
 * that go on, as the kernel's do: authentic nonsense may cause one.
 */
#ifndef FUZZ_STRINGS_H
#define FUZZ_STRINGS_H
#include <linux/types.h>
#include <linux/bug.h>

#undef WARN_ON
#undef WARN_ON_ONCE
#define WARN_ON(cond) ({ bool __warn = !!(cond); fuzz_warnings += __warn; __warn; })
#define WARN_ON_ONCE(cond) WARN_ON(cond)
extern unsigned long fuzz_warnings;

char *kstrdup(const char *s, gfp_t gfp);
int kstrtou32(const char *s, unsigned int base, u32 *value);
int scnprintf(char *buf, size_t size, const char *format, ...) __printf(3, 4);
#endif
