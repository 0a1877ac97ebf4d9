/* SPDX-License-Identifier: GPL-2.0 */
/* What the targets share: taking an input apart, and giving up. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the code under test promises; libFuzzer keeps the input that breaks it. */
#define FUZZ_CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: broken: %s\n", __FILE__,	\
			__LINE__, #cond);				\
		abort();						\
	}								\
} while (0)

struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

/* Little-endian; what is not there is zero. */
static inline uint64_t fuzz_take(struct fuzz_input *in, size_t bytes)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < bytes && in->left; i++, in->left--)
		value |= (uint64_t)*in->data++ << 8 * i;
	return value;
}

/*
 * Numbers near those that decide something are worth more than random ones:
 * a byte says how the number comes about from @was.
 */
static inline uint64_t fuzz_number(struct fuzz_input *in, uint64_t was)
{
	uint8_t how = fuzz_take(in, 1);

	switch (how & 7) {
	case 0:
		return 0;
	case 1:
		return ~0ull >> (how >> 3);
	case 2:
		return was + (how >> 3) - 16;
	case 3:
		return was ^ 1ull << (how >> 2);
	case 4:
		return fuzz_take(in, 2);
	case 5:
		return was + fuzz_take(in, 4);
	case 6:
		return fuzz_take(in, 6);
	default:
		return fuzz_take(in, 8);
	}
}

/*
 * Changes a block: offset, how many bytes, and these; or a number of 8 bytes in
 * place of one.
 */
static inline void fuzz_patch(struct fuzz_input *in, uint8_t *block, size_t size)
{
	size_t at = fuzz_take(in, 2), n = fuzz_take(in, 1), i;
	uint64_t word;

	if (n & 0x80) {
		at = at % (size / 8) * 8;
		memcpy(&word, block + at, sizeof(word));
		word = fuzz_number(in, word);
		memcpy(block + at, &word, sizeof(word));
		return;
	}
	for (i = 0; i < n && in->left; i++)
		block[(at + i) % size] = fuzz_take(in, 1);
}
#endif
