// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's string functions that args.c uses, as lib/ has them: kstrtou32()
 * takes one '+' before and one newline after, and nothing else.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/slab.h>

unsigned long fuzz_warnings;

char *kstrdup(const char *s, gfp_t gfp)
{
	return kmemdup(s, strlen(s) + 1, gfp);
}

int kstrtou32(const char *s, unsigned int base, u32 *value)
{
	u64 sum = 0;

	if (*s == '+')
		s++;
	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++) {
		sum = sum * base + (*s - '0');
		if (sum >> 32)
			return -ERANGE;
	}
	if (*s == '\n')
		s++;
	if (*s)
		return -EINVAL;
	*value = sum;
	return 0;
}

int scnprintf(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(buf, size, format, args);
	va_end(args);
	if (n < (int)size)
		return n;
	return size ? size - 1 : 0;
}
