// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/nhpoly.h"
#include "test.h"

struct sealed {
	struct qvault v;
	struct qvault_crypto crypto;
	struct qvault_ptr ptr;
	u64 plain[512], cipher[512], got[512], scratch[512];
};

/* Block 77 of the data under version 1000, with the real ciphers. */
static struct sealed *seal_with(bool real, enum qvault_mac mac)
{
	struct sealed *s = calloc(1, sizeof(*s));

	crypto_init(&s->crypto, real, NULL);
	crypto_unlock(&s->crypto, TEST_UUID);
	CHECK(!qvault_crypto_create(&s->crypto, 0, mac, NULL));
	s->v.crypto = &s->crypto;
	value_fill(77, 1, s->plain);
	s->ptr.version = 1000;
	CHECK(!qvault_seal(&s->v, QVAULT_KIND_DATA, 77, &s->ptr, s->plain,
			   s->cipher));
	return s;
}

static struct sealed *seal(bool real)
{
	return seal_with(real, QVAULT_MAC_HMAC_SHA256_128);
}

static int unseal(struct sealed *s)
{
	return qvault_unseal(&s->v, QVAULT_KIND_DATA, 77, &s->ptr, s->cipher,
			     s->got, s->scratch);
}

void test_seal_round_trip(void)
{
	struct sealed *s = seal(true);

	CHECK(memcmp(s->plain, s->cipher, QVAULT_BLOCK_SIZE));
	CHECK(!unseal(s) && !memcmp(s->plain, s->got, QVAULT_BLOCK_SIZE));
	/* In place: the scratch may be the result. */
	CHECK(!qvault_unseal(&s->v, QVAULT_KIND_DATA, 77, &s->ptr, s->cipher,
			     s->scratch, s->scratch));
	CHECK(!memcmp(s->plain, s->scratch, QVAULT_BLOCK_SIZE));
	free(s);
}

void test_seal_tamper(void)
{
	struct sealed *s = seal(true);
	u8 *cipher = (u8 *)s->cipher;
	u32 i;

	memset(s->got, 0x5a, sizeof(s->got));
	for (i = 0; i < QVAULT_BLOCK_SIZE; i++) {
		cipher[i] ^= 1u << i % 8;
		CHECK(unseal(s) == -EILSEQ);
		cipher[i] ^= 1u << i % 8;
	}
	for (i = 0; i < 8 * QVAULT_TAG_SIZE; i++) {
		s->ptr.tag[i / 8] ^= 1u << i % 8;
		CHECK(unseal(s) == -EILSEQ);
		s->ptr.tag[i / 8] ^= 1u << i % 8;
	}
	/* Nothing of a refused block reaches the reader. */
	for (i = 0; i < QVAULT_BLOCK_SIZE; i++)
		if (((u8 *)s->got)[i] != 0x5a)
			break;
	CHECK(i == QVAULT_BLOCK_SIZE);
	CHECK(!unseal(s));
	free(s);
}

void test_seal_identity(void)
{
	struct sealed *s = seal(true);
	u32 kind, bit;

	for (kind = 0; kind < 8; kind++)
		CHECK(qvault_unseal(&s->v, kind, 77, &s->ptr, s->cipher, s->got,
				    s->scratch) ==
		      (kind == QVAULT_KIND_DATA ? 0 : -EILSEQ));
	for (bit = 0; bit < 64; bit++) {
		CHECK(qvault_unseal(&s->v, QVAULT_KIND_DATA, 77 ^ 1ull << bit,
				    &s->ptr, s->cipher, s->got,
				    s->scratch) == -EILSEQ);
		s->ptr.version ^= 1ull << bit;
		CHECK(unseal(s) == -EILSEQ);
		s->ptr.version ^= 1ull << bit;
	}
	/* And under other keys it is not it either. */
	CHECK(!qvault_crypto_create(&s->crypto, 0, QVAULT_MAC_HMAC_SHA256_128, NULL));
	CHECK(unseal(s) == -EILSEQ);
	free(s);
}

static void put64(u8 *p, u64 x)
{
	u32 i;

	for (i = 0; i < 8; i++)
		p[i] = x >> 8 * i;
}

/* @message is ciphertext and head in one piece, and @sum has room for an HMAC. */
static void tag_of(const struct generation_keys *keys, enum qvault_mac type,
		   const u8 *message, u8 sum[32])
{
	const u32 bytes = QVAULT_BLOCK_SIZE + 32;
	int n;

	if (type == QVAULT_MAC_NHPOLY_AES) {
		EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

		nhpoly1305(keys->nh, message, bytes, sum);
		EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL, keys->nh_aes, NULL);
		EVP_EncryptUpdate(ctx, sum, &n, sum, 16);
		EVP_CIPHER_CTX_free(ctx);
	} else {
		HMAC(EVP_sha256(), keys->mac, 32, message, bytes, sum, NULL);
	}
}

static void seal_form(enum qvault_mac type)
{
	struct sealed *s = seal_with(true, type);
	u8 *buf = calloc(1, QVAULT_BLOCK_SIZE + 32), mac[32], tweak[16];
	u8 *head = buf + QVAULT_BLOCK_SIZE;
	u32 meta;

	for (meta = 0; meta < 2; meta++) {
		u32 kind = meta ? QVAULT_KIND_MAP : QVAULT_KIND_DATA;
		u64 id = 0x1122334455667788, version = 0x99aabbccddeeff01;

		s->ptr.version = version;
		CHECK(!qvault_seal(&s->v, kind, id, &s->ptr, s->plain, s->cipher));
		put64(tweak, version);
		put64(tweak + 8, id);
		crypto_xts(s->crypto.gen[0]->xts[meta], true, tweak, s->plain, s->got,
			   QVAULT_BLOCK_SIZE);
		CHECK(!memcmp(s->got, s->cipher, QVAULT_BLOCK_SIZE));
		memcpy(buf, s->cipher, QVAULT_BLOCK_SIZE);
		put64(head, kind);
		put64(head + 8, id);
		put64(head + 16, version);
		put64(head + 24, 0);
		tag_of(s->crypto.gen[0], type, buf, mac);
		CHECK(!memcmp(mac, s->ptr.tag, QVAULT_TAG_SIZE));
	}
	free(buf);
	free(s);
}

void test_seal_form(void)
{
	seal_form(QVAULT_MAC_HMAC_SHA256_128);
	seal_form(QVAULT_MAC_NHPOLY_AES);
}

static struct sealed *moving;

static void change(void)
{
	memset(moving->cipher, 0xcc, sizeof(moving->cipher));
}

void test_seal_single_fetch(void)
{
	struct sealed *s = seal(true);

	moving = s;
	crypto_after_mac = change;
	CHECK(!unseal(s) && !memcmp(s->plain, s->got, QVAULT_BLOCK_SIZE));
	crypto_after_mac = NULL;
	free(s);
}

/* Of the same contents, written again, no 16 bytes look the same. */
void test_seal_fresh(void)
{
	struct sealed *s = seal(true);
	u8 *first = malloc(QVAULT_BLOCK_SIZE), *again = (u8 *)s->cipher;
	struct qvault_ptr other = { .version = 1002 };
	u32 i, j;

	memcpy(first, s->cipher, QVAULT_BLOCK_SIZE);
	CHECK(!qvault_seal(&s->v, QVAULT_KIND_DATA, 77, &other, s->plain,
			   s->cipher));
	CHECK(memcmp(other.tag, s->ptr.tag, sizeof(other.tag)));
	for (i = 0; i < QVAULT_BLOCK_SIZE; i += 16)
		for (j = 0; j < QVAULT_BLOCK_SIZE; j += 16) {
			CHECK(memcmp(first + i, again + j, 16));
			CHECK(i <= j || memcmp(first + i, first + j, 16));
		}
	free(first);
	free(s);
}

/* Blocks 77 and 78, sealed and unsealed in one call. */
void test_seal_together(void)
{
	struct sealed *s = seal(true), *alone = calloc(1, sizeof(*alone));
	struct qvault_ptr ptr[2] = { { .version = 1000 }, { .version = 2000 } };
	u64 second[3][512], scratch[512];
	const void *const from[2] = { s->plain, second[0] };
	void *const to[2] = { s->cipher, second[1] };
	void *const back[2] = { s->got, second[2] };
	void *const copy[2] = { s->scratch, scratch };
	u32 i;

	memcpy(alone, s, sizeof(*s));
	value_fill(78, 2, second[0]);
	CHECK(!qvault_seal_blocks(&s->v, QVAULT_KIND_DATA, 77, 2, ptr, from, to));
	CHECK(!memcmp(s->cipher, alone->cipher, QVAULT_BLOCK_SIZE));
	CHECK(!memcmp(ptr[0].tag, alone->ptr.tag, QVAULT_TAG_SIZE));
	CHECK(!qvault_unseal(&s->v, QVAULT_KIND_DATA, 78, &ptr[1], second[1],
			     second[2], scratch));
	CHECK(!memcmp(second[0], second[2], QVAULT_BLOCK_SIZE));

	CHECK(!qvault_unseal_blocks(&s->v, QVAULT_KIND_DATA, 77, 2, ptr,
				    (const void *const *)to, back, copy));
	CHECK(!memcmp(s->plain, s->got, QVAULT_BLOCK_SIZE));
	CHECK(!memcmp(second[0], second[2], QVAULT_BLOCK_SIZE));

	/* If one is refused, nothing of the other gets out either. */
	for (i = 0; i < 2; i++) {
		memset(s->got, 0x5a, QVAULT_BLOCK_SIZE);
		memset(second[2], 0x5a, QVAULT_BLOCK_SIZE);
		*(u8 *)to[i] ^= 1;
		CHECK(qvault_unseal_blocks(&s->v, QVAULT_KIND_DATA, 77, 2, ptr,
					   (const void *const *)to, back,
					   copy) == -EILSEQ);
		*(u8 *)to[i] ^= 1;
		CHECK(s->got[0] == 0x5a5a5a5a5a5a5a5a && second[2][0] == s->got[0]);
	}
	free(alone);
	free(s);
}
