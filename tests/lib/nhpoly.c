// SPDX-License-Identifier: GPL-2.0
/*
 * The MAC nhpoly-aes, from the paper on Adiantum (Crowley and Biggers 2018, sections
 * 2 and 6) and that on Poly1305 (Bernstein 2005); then one block of AES.
 */
#include <openssl/evp.h>
#include <string.h>

#include "nhpoly.h"

#define PASSES		4
#define UNIT		1024u		/* bytes that NH makes one value of */
#define STRIDE		16u		/* bytes: two words and their two partners */

typedef unsigned __int128 u128;

/* h of Poly1305 before it is reduced for good: less than 2^131. */
struct poly {
	uint64_t r[2];
	uint64_t h[3];
};

static uint32_t load32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64(const uint8_t *p)
{
	return load32(p) | (uint64_t)load32(p + 4) << 32;
}

static void store64(uint8_t *p, uint64_t x)
{
	int i;

	for (i = 0; i < 8; i++, x >>= 8)
		p[i] = (uint8_t)x;
}

/* Pass p uses the key from 4 words later on than pass p - 1. */
static void nh(const uint8_t *key, const uint8_t *data, size_t bytes,
	       uint64_t sum[PASSES])
{
	const uint8_t *k;
	size_t at;
	int pass, i;

	memset(sum, 0, PASSES * sizeof(*sum));
	for (at = 0; at < bytes; at += STRIDE)
		for (pass = 0; pass < PASSES; pass++) {
			k = key + at + pass * STRIDE;
			for (i = 0; i < 8; i += 4)
				sum[pass] += (uint64_t)(load32(data + at + i) +
							load32(k + i)) *
					     (load32(data + at + i + 8) +
					      load32(k + i + 8));
		}
}

static void poly_init(struct poly *p, const uint8_t key[16])
{
	p->r[0] = load64(key) & 0x0ffffffc0fffffffull;
	p->r[1] = load64(key + 8) & 0x0ffffffc0ffffffcull;
	memset(p->h, 0, sizeof(p->h));
}

/*
 * h = (h + 2^128 + high 2^64 + low) r modulo 2^130 - 5.  The lowest two bits of r[1]
 * are zero, so what it gives from 2^128 on goes round as 5/4 of it.
 */
static void poly_block(struct poly *p, uint64_t low, uint64_t high)
{
	const uint64_t r0 = p->r[0], r1 = p->r[1], round = r1 + (r1 >> 2);
	uint64_t *h = p->h;
	u128 d0, d1;

	d0 = (u128)h[0] + low;
	d1 = (u128)h[1] + high + (uint64_t)(d0 >> 64);
	h[0] = (uint64_t)d0;
	h[1] = (uint64_t)d1;
	h[2] += (uint64_t)(d1 >> 64) + 1;

	d0 = (u128)h[0] * r0 + (u128)h[1] * round;
	d1 = (u128)h[0] * r1 + (u128)h[1] * r0 + h[2] * round + (uint64_t)(d0 >> 64);
	h[2] = h[2] * r0 + (uint64_t)(d1 >> 64);
	h[1] = (uint64_t)d1;
	d0 = (u128)(uint64_t)d0 + (h[2] >> 2) * 5;
	h[2] &= 3;
	h[0] = (uint64_t)d0;
	d1 = (u128)h[1] + (uint64_t)(d0 >> 64);
	h[1] = (uint64_t)d1;
	h[2] += (uint64_t)(d1 >> 64);
}

/* The bits below 2^128, as without a nonce; h < 2 (2^130 - 5). */
static void poly_end(const struct poly *p, uint8_t sum[16])
{
	u128 low = (u128)p->h[0] + 5, high = (u128)p->h[1] + (uint64_t)(low >> 64);
	bool above = p->h[2] + (uint64_t)(high >> 64) >= 4;

	store64(sum, above ? (uint64_t)low : p->h[0]);
	store64(sum + 8, above ? (uint64_t)high : p->h[1]);
}

/* @bytes is a whole number of units, but for the last piece of a message. */
static void piece(struct poly *p, const uint8_t *key, const uint8_t *data, size_t bytes)
{
	uint8_t padded[UNIT];
	uint64_t sum[PASSES];
	size_t n;

	for (; bytes; bytes -= n, data += n) {
		n = bytes < UNIT ? bytes : UNIT;
		memcpy(padded, data, n);
		memset(padded + n, 0, UNIT - n);
		nh(key, padded, (n + STRIDE - 1) / STRIDE * STRIDE, sum);
		poly_block(p, sum[0], sum[1]);
		poly_block(p, sum[2], sum[3]);
	}
}

void nhpoly1305(const uint8_t key[NHPOLY_KEY_SIZE], const void *data, size_t bytes,
		uint8_t sum[16])
{
	struct poly p;

	poly_init(&p, key);
	piece(&p, key + 16, data, bytes);
	poly_end(&p, sum);
}

bool nhpoly_aes(const uint8_t hash_key[NHPOLY_KEY_SIZE], const uint8_t cipher_key[32],
		const void *data, size_t bytes, const void *head, size_t head_bytes,
		uint8_t tag[16])
{
	static _Thread_local EVP_CIPHER_CTX *ctx;
	struct poly p;
	uint8_t sum[16];
	int n;

	poly_init(&p, hash_key);
	piece(&p, hash_key + 16, data, bytes);
	piece(&p, hash_key + 16, head, head_bytes);
	poly_end(&p, sum);
	if (!ctx)
		ctx = EVP_CIPHER_CTX_new();
	return ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL,
					 cipher_key, NULL) == 1 &&
	       EVP_EncryptUpdate(ctx, tag, &n, sum, sizeof(sum)) == 1 && n == 16;
}
