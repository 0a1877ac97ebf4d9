/* SPDX-License-Identifier: GPL-2.0 */
/* What the tool says is formatted all the same, and goes nowhere. */
#ifndef FUZZ_QUIET_H
#define FUZZ_QUIET_H
#include <stdio.h>

static inline FILE *fuzz_null(void)
{
	static FILE *null;

	if (!null)
		null = fopen("/dev/null", "w");
	return null;
}

#undef stderr
#undef stdout
#define stderr fuzz_null()
#define stdout fuzz_null()
#define printf(...) fprintf(fuzz_null(), __VA_ARGS__)
#define puts(text) fputs(text, fuzz_null())
#endif
