// SPDX-License-Identifier: GPL-2.0
/*
 * GHASH (NIST SP 800-38D) with carry-less multiplication.
 *
 * Computed as POLYVAL (RFC 8452, appendix A): with the bytes of all blocks in
 * reverse order and the key multiplied by x, it is the same function and needs no
 * shifts.  Eight blocks are multiplied by powers of the key and reduced together.
 */
#include <crypto/ghash.h>
#include <crypto/internal/hash.h>
#include <linux/module.h>

#include "hwcrypto.h"

#define WIDTH 8

struct ghash_key {
	u8 power[WIDTH][16];		/* power[i] is the key to the power i + 1 */
};

struct ghash_state {
	u8 sum[16];
	u8 part[GHASH_BLOCK_SIZE];
	u32 bytes;			/* in part */
};

/* Not reduced yet; Karatsuba: @both is of the sums of the halves. */
struct product {
	v2di low, both, high;
};

static __always_inline v2di reversed(const u8 *from)
{
	const v16qi order = { 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };

	return (v2di)__builtin_shuffle(*(const v16qi_u *)from, order);
}

static __always_inline v2di swapped(v2di a)
{
	const v2di order = { 1, 0 };

	return __builtin_shuffle(a, order);
}

static __always_inline void multiply(struct product *sum, v2di a, v2di b)
{
	sum->low ^= __builtin_ia32_pclmulqdq128(a, b, 0x00);
	sum->high ^= __builtin_ia32_pclmulqdq128(a, b, 0x11);
	sum->both ^= __builtin_ia32_pclmulqdq128(a ^ swapped(a), b ^ swapped(b), 0x00);
}

/* Times x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1. */
static __always_inline v2di reduce(const struct product *p)
{
	const v2di poly = { 0xc200000000000000ull, 0 };
	v2di middle = p->both ^ p->low ^ p->high;
	v2di left = { 0, middle[0] }, right = { middle[1], 0 };
	v2di low = p->low ^ left, high = p->high ^ right;
	unsigned int i;

	for (i = 0; i < 2; i++)
		low = swapped(low) ^ __builtin_ia32_pclmulqdq128(low, poly, 0x00);
	return high ^ low;
}

static __always_inline v2di power(const struct ghash_key *key, unsigned int n)
{
	return *(const v2di_u *)key->power[n - 1];
}

static int setkey(struct crypto_shash *tfm, const u8 *raw, unsigned int bytes)
{
	struct ghash_key *key = crypto_shash_ctx(tfm);
	const v2di carry = { 1, 0xc200000000000000ull };
	v2di h, p;
	unsigned int i;

	if (bytes != GHASH_BLOCK_SIZE)
		return -EINVAL;
	h = reversed(raw);
	/* Times x: what leaves at the top comes back as the polynomial. */
	p = h + h;
	p[1] |= (u64)h[0] >> 63;
	if (h[1] < 0)
		p ^= carry;
	h = p;
	for (i = 0; i < WIDTH; i++) {
		struct product next = {};

		*(v2di_u *)key->power[i] = p;
		multiply(&next, p, h);
		p = reduce(&next);
	}
	return 0;
}

static void absorb(const struct ghash_key *key, u8 sum[16], const u8 *data, size_t bytes)
{
	v2di acc = *(const v2di_u *)sum;

	while (bytes) {
		unsigned int i, n = min_t(size_t, WIDTH, bytes / 16);
		struct product all = {};

		if (likely(n == WIDTH)) {
			multiply(&all, acc ^ reversed(data), power(key, WIDTH));
#pragma GCC unroll 8
			for (i = 1; i < WIDTH; i++)
				multiply(&all, reversed(data + 16 * i), power(key, WIDTH - i));
		} else {
			multiply(&all, acc ^ reversed(data), power(key, n));
			for (i = 1; i < n; i++)
				multiply(&all, reversed(data + 16 * i), power(key, n - i));
		}
		acc = reduce(&all);
		data += 16 * n;
		bytes -= 16 * n;
	}
	*(v2di_u *)sum = acc;
}

static int init(struct shash_desc *desc)
{
	memset(shash_desc_ctx(desc), 0, sizeof(struct ghash_state));
	return 0;
}

static int update(struct shash_desc *desc, const u8 *data, unsigned int bytes)
{
	const struct ghash_key *key = crypto_shash_ctx(desc->tfm);
	struct ghash_state *s = shash_desc_ctx(desc);
	unsigned int n;

	if (s->bytes) {
		n = min_t(unsigned int, bytes, GHASH_BLOCK_SIZE - s->bytes);
		memcpy(s->part + s->bytes, data, n);
		s->bytes += n;
		data += n;
		bytes -= n;
		if (s->bytes < GHASH_BLOCK_SIZE)
			return 0;
		absorb(key, s->sum, s->part, GHASH_BLOCK_SIZE);
		s->bytes = 0;
	}
	n = round_down(bytes, GHASH_BLOCK_SIZE);
	absorb(key, s->sum, data, n);
	s->bytes = bytes - n;
	memcpy(s->part, data + n, s->bytes);
	return 0;
}

static int final(struct shash_desc *desc, u8 *out)
{
	const struct ghash_key *key = crypto_shash_ctx(desc->tfm);
	struct ghash_state *s = shash_desc_ctx(desc);

	if (s->bytes) {
		memset(s->part + s->bytes, 0, GHASH_BLOCK_SIZE - s->bytes);
		absorb(key, s->sum, s->part, GHASH_BLOCK_SIZE);
	}
	*(v2di_u *)out = reversed(s->sum);
	return 0;
}

static struct shash_alg alg = {
	.digestsize = GHASH_DIGEST_SIZE,
	.init = init,
	.update = update,
	.final = final,
	.setkey = setkey,
	.descsize = sizeof(struct ghash_state),
	.base.cra_name = "ghash",
	.base.cra_driver_name = "ghash-hw",
	.base.cra_priority = 5000,
	.base.cra_blocksize = GHASH_BLOCK_SIZE,
	.base.cra_ctxsize = sizeof(struct ghash_key),
	.base.cra_module = THIS_MODULE,
};

int hw_ghash_register(void)
{
	return crypto_register_shash(&alg);
}

void hw_ghash_unregister(void)
{
	crypto_unregister_shash(&alg);
}
