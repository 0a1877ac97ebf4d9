/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's isspace() takes 0xa0, a blank of Latin-1, for one as well. */
#ifndef FUZZ_CTYPE_H
#define FUZZ_CTYPE_H
static inline int isspace(int c)
{
	unsigned char u = c;

	return u == ' ' || (u >= '\t' && u <= '\r') || u == 0xa0;
}
#endif
