// SPDX-License-Identifier: GPL-2.0
/*
 * The MAC ghash-aes: NIST SP 800-38D, section 6.4, with the tables of "4-bit"
 * implementations made wider, one for each byte of a block; then one block of AES.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ghash.h"

typedef struct {
	uint64_t high, low;	/* bit 0 of the standard is the top one of high */
} element;

struct table {
	uint8_t key[16];
	bool made;
	element of[16][256];	/* the key times a byte at this place */
};

static uint64_t load(const uint8_t *p)
{
	uint64_t x = 0;
	int i;

	for (i = 0; i < 8; i++)
		x = x << 8 | p[i];
	return x;
}

static void store(uint8_t *p, uint64_t x)
{
	int i;

	for (i = 7; i >= 0; i--, x >>= 8)
		p[i] = (uint8_t)x;
}

/* Times the polynomial x. */
static element shift(element e)
{
	uint64_t out = e.low & 1;

	e.low = e.low >> 1 | e.high << 63;
	e.high = e.high >> 1 ^ (out ? 0xe1ull << 56 : 0);
	return e;
}

static element add(element a, element b)
{
	return (element){ a.high ^ b.high, a.low ^ b.low };
}

static void make(struct table *t, const uint8_t key[16])
{
	element power = { load(key), load(key + 8) };
	int place, bit, byte;

	memset(t->of, 0, sizeof(t->of));
	for (place = 0; place < 16; place++)
		for (bit = 0x80; bit; bit >>= 1) {
			for (byte = 0; byte < 256; byte++)
				if (byte & bit)
					t->of[place][byte] =
						add(t->of[place][byte], power);
			power = shift(power);
		}
	memcpy(t->key, key, sizeof(t->key));
	t->made = true;
}

static void hash(const struct table *t, uint8_t sum[16], const uint8_t *data,
		 size_t bytes)
{
	element product;
	int i;

	for (; bytes; bytes -= 16, data += 16) {
		product = (element){ 0, 0 };
		for (i = 0; i < 16; i++)
			product = add(product, t->of[i][sum[i] ^ data[i]]);
		store(sum, product.high);
		store(sum + 8, product.low);
	}
}

bool ghash_aes(const uint8_t hash_key[16], const uint8_t cipher_key[32],
	       const void *head, size_t head_bytes, const void *data,
	       size_t bytes, uint8_t tag[16])
{
	static _Thread_local struct table table;
	static _Thread_local EVP_CIPHER_CTX *ctx;
	uint8_t sum[16] = { 0 };
	int n;

	if (!table.made || memcmp(table.key, hash_key, sizeof(table.key)))
		make(&table, hash_key);
	hash(&table, sum, head, head_bytes);
	hash(&table, sum, data, bytes);
	if (!ctx)
		ctx = EVP_CIPHER_CTX_new();
	return ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL,
					 cipher_key, NULL) == 1 &&
	       EVP_EncryptUpdate(ctx, tag, &n, sum, sizeof(sum)) == 1 && n == 16;
}
