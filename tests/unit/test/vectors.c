// SPDX-License-Identifier: GPL-2.0
/*
 * Known answers for the ciphers that the simulator and the tests run on, from
 * the standards, from Debian's python3-cryptography-vectors, and from tests/mac.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/nhpoly.h"
#include "test.h"

#define VECTORS "/usr/lib/python3/dist-packages/cryptography_vectors/"

static u32 unhex(const char *s, u8 *out, u32 max)
{
	u32 n = 0;
	unsigned int byte;

	while (n < max && sscanf(s, "%2x", &byte) == 1) {
		out[n++] = byte;
		s += 2;
	}
	return n;
}

static bool is_hex(const u8 *data, u32 bytes, const char *hex)
{
	u8 want[512];

	return unhex(hex, want, sizeof(want)) == bytes &&
	       !memcmp(data, want, bytes);
}

/* ---- XTS ---- */

static void ecb(const u8 *key, const u8 *in, u8 *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL, key, NULL);
	EVP_EncryptUpdate(ctx, out, &n, in, 16);
	EVP_CIPHER_CTX_free(ctx);
}

/* XTS from its definition, block by block: for whole blocks only. */
static void xts_by_the_book(const u8 *key, const u8 *tweak, const u8 *in,
			    u8 *out, u32 bytes)
{
	u8 t[16], x[16];
	u32 i, j;

	ecb(key + 32, tweak, t);
	for (i = 0; i < bytes; i += 16) {
		u32 carry = 0;

		for (j = 0; j < 16; j++)
			x[j] = in[i + j] ^ t[j];
		ecb(key, x, x);
		for (j = 0; j < 16; j++)
			out[i + j] = x[j] ^ t[j];
		for (j = 0; j < 16; j++) {
			u32 b = t[j] << 1 | carry;

			carry = b >> 8;
			t[j] = b;
		}
		if (carry)
			t[0] ^= 0x87;
	}
}

void test_vectors_xts(void)
{
	u8 key[64], tweak[16] = { 0xff }, in[512], out[512];
	struct qvault_crypto crypto;
	u8 *plain = malloc(QVAULT_BLOCK_SIZE), *cipher = malloc(QVAULT_BLOCK_SIZE);
	u8 *want = malloc(QVAULT_BLOCK_SIZE);
	u32 i;

	/* IEEE 1619-2007, vector 10: the first and last 16 bytes of 512. */
	unhex("2718281828459045235360287471352662497757247093699959574966967627"
	      "3141592653589793238462643383279502884197169399375105820974944592",
	      key, sizeof(key));
	for (i = 0; i < sizeof(in); i++)
		in[i] = i;
	crypto_xts(key, true, tweak, in, out, sizeof(in));
	CHECK(is_hex(out, 16, "1c3b3a102f770386e4836c99e370cf9b"));
	xts_by_the_book(key, tweak, in, in, sizeof(in));
	CHECK(!memcmp(in, out, sizeof(in)));

	/* A whole block, through the platform's own function. */
	crypto_init(&crypto, true, NULL);
	crypto_unlock(&crypto, TEST_UUID);
	CHECK(!qvault_crypto_create(&crypto, 3, QVAULT_MAC_HMAC_SHA256_128, NULL));
	CHECK(!qvault_crypto_hold(&crypto, 3));
	value_fill(1, 2, (u64 *)plain);
	for (i = 0; i < 16; i++)
		tweak[i] = 3 * i + 1;
	qvault_crypto_xts(&crypto, 3, true, true, tweak, plain, cipher);
	xts_by_the_book(crypto.gen[3]->xts[1], tweak, plain, want, QVAULT_BLOCK_SIZE);
	CHECK(!memcmp(cipher, want, QVAULT_BLOCK_SIZE));
	qvault_crypto_xts(&crypto, 3, true, false, tweak, cipher, want);
	CHECK(!memcmp(plain, want, QVAULT_BLOCK_SIZE));
	free(want);
	free(cipher);
	free(plain);
}

struct xts_vector {
	u8 key[64], tweak[16], in[512], out[512], got[512];
	u32 key_bytes, in_bytes, out_bytes, bits;
	bool encrypt;
};

/* Of the files, what is whole bytes and at least one block of AES. */
static u32 xts_file(const char *name)
{
	struct xts_vector t = { .encrypt = true };
	FILE *file = fopen(name, "r");
	char line[2048];
	u32 n = 0, i;
	u64 number;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		char *value = strstr(line, " = ");

		if (!strncmp(line, "[ENCRYPT]", 9))
			t.encrypt = true;
		if (!strncmp(line, "[DECRYPT]", 9))
			t.encrypt = false;
		if (!value)
			continue;
		value += 3;
		if (!strncmp(line, "DataUnitLen", 11))
			t.bits = atoi(value);
		if (!strncmp(line, "Key", 3))
			t.key_bytes = unhex(value, t.key, sizeof(t.key));
		if (!strncmp(line, "i = ", 4)) {
			unhex(value, t.tweak, sizeof(t.tweak));
		} else if (!strncmp(line, "DataUnitSeqNumber", 17)) {
			memset(t.tweak, 0, sizeof(t.tweak));
			number = strtoull(value, NULL, 10);
			for (i = 0; i < 8; i++)
				t.tweak[i] = number >> 8 * i;
		}
		if (!strncmp(line, t.encrypt ? "PT" : "CT", 2))
			t.in_bytes = unhex(value, t.in, sizeof(t.in));
		if (!strncmp(line, t.encrypt ? "CT" : "PT", 2))
			t.out_bytes = unhex(value, t.out, sizeof(t.out));
		/* The last line of a vector. */
		if (strncmp(line, t.encrypt ? "CT" : "PT", 2) || t.bits % 8 ||
		    t.key_bytes != 64)
			continue;
		crypto_xts(t.key, t.encrypt, t.tweak, t.in, t.got, t.in_bytes);
		CHECK(t.in_bytes == t.bits / 8);
		CHECK(!memcmp(t.got, t.out, t.out_bytes));
		n++;
	}
	fclose(file);
	return n;
}

void test_vectors_xts_nist(void)
{
	static const char dir[] = VECTORS "ciphers/AES/XTS/";
	char name[200];
	u32 n;

	snprintf(name, sizeof(name), "%stweak-128hexstr/XTSGenAES256.rsp", dir);
	n = xts_file(name);
	snprintf(name, sizeof(name), "%stweak-dataunitseqno/XTSGenAES256.rsp", dir);
	n += xts_file(name);
	if (!n)
		test_skip("python3-cryptography-vectors is not installed");
	else
		printf("      %u vectors\n", n);
}

/* ---- HMAC ---- */

/* Through the anchor's MAC, which covers as many bytes as it is told. */
static void hmac(const u8 *key, u32 key_bytes, const u8 *data, u32 bytes, u8 *mac)
{
	struct qvault_crypto crypto;

	crypto_init(&crypto, true, NULL);
	memset(crypto.own.anchor_mac, 0, sizeof(crypto.own.anchor_mac));
	/* A key shorter than the block of SHA-256 is padded with zeros. */
	memcpy(crypto.own.anchor_mac, key, key_bytes);
	qvault_crypto_anchor_mac(&crypto, data, bytes, mac);
}

void test_vectors_hmac(void)
{
	u8 key[32], data[64], mac[32];

	memset(key, 0x0b, 20);
	hmac(key, 20, (const u8 *)"Hi There", 8, mac);
	CHECK(is_hex(mac, 32, "b0344c61d8db38535ca8afceaf0bf12b"
			      "881dc200c9833da726e9376c2e32cff7"));
	hmac((const u8 *)"Jefe", 4, (const u8 *)"what do ya want for nothing?",
	     28, mac);
	CHECK(is_hex(mac, 32, "5bdcc146bf60754e6a042426089575c7"
			      "5a003f089d2739839dec58b964ec3843"));
	memset(key, 0xaa, 20);
	memset(data, 0xdd, 50);
	hmac(key, 20, data, 50, mac);
	CHECK(is_hex(mac, 32, "773ea91e36800e46854db8ebd09181a7"
			      "2959098b3ef8c122d9635514ced565fe"));
}

/* ---- HKDF ---- */

/* Extract and expand, from HMAC alone. */
static void hkdf_by_the_book(const u8 *ikm, u32 ikm_bytes, const u8 *salt,
			     u32 salt_bytes, const char *info, u8 *out, u32 bytes)
{
	u8 prk[32], block[32 + 64 + 1], t[32];
	u32 n = 0, i = 1, used;

	HMAC(EVP_sha256(), salt, salt_bytes, ikm, ikm_bytes, prk, NULL);
	while (n < bytes) {
		used = i > 1 ? 32 : 0;
		memcpy(block, t, used);
		memcpy(block + used, info, strlen(info));
		used += strlen(info);
		block[used++] = i++;
		HMAC(EVP_sha256(), prk, 32, block, used, t, NULL);
		memcpy(out + n, t, bytes - n < 32 ? bytes - n : 32);
		n += 32;
	}
}

void test_vectors_hkdf(void)
{
	u8 ikm[22], salt[13], info[10], out[64], want[64];
	static const u8 none[32];
	const struct generation_keys *k;
	struct qvault_crypto c;
	u32 i;

	memset(ikm, 0x0b, sizeof(ikm));
	for (i = 0; i < sizeof(salt); i++)
		salt[i] = i;
	for (i = 0; i < sizeof(info); i++)
		info[i] = 0xf0 + i;
	crypto_hkdf(ikm, sizeof(ikm), salt, sizeof(salt), info, sizeof(info),
		    out, 42);
	CHECK(is_hex(out, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90"
			      "cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));

	crypto_init(&c, true, NULL);
	crypto_unlock(&c, TEST_UUID);
	hkdf_by_the_book(c.master, 64, TEST_UUID, 16, "qvault anchor mac", want, 32);
	CHECK(!memcmp(want, c.own.anchor_mac, 32));
	hkdf_by_the_book(c.master, 64, TEST_UUID, 16, "qvault key wrap", want, 32);
	CHECK(!memcmp(want, c.own.wrap, 32));
	hkdf_by_the_book(c.master, 64, TEST_UUID, 16, "qvault key check", want, 32);
	CHECK(!memcmp(want, c.own.check, 32));
	CHECK(!qvault_crypto_create(&c, 0, QVAULT_MAC_HMAC_SHA256_128, NULL));
	k = c.gen[0];
	hkdf_by_the_book(k->secret, 32, none, 32, "qvault data xts", want, 64);
	CHECK(!memcmp(want, k->xts[0], 64));
	hkdf_by_the_book(k->secret, 32, none, 32, "qvault metadata xts", want, 64);
	CHECK(!memcmp(want, k->xts[1], 64));
	hkdf_by_the_book(k->secret, 32, none, 32, "qvault block mac", want, 32);
	CHECK(!memcmp(want, k->mac, 32));
}

/* ---- NHPoly1305 ---- */

/* Its lines name what stands in them: a key, a message, a sum. */
void test_vectors_nhpoly(void)
{
	static u8 key[NHPOLY_KEY_SIZE], message[4096];
	FILE *file = fopen(TESTS "/mac/nhpoly1305", "r");
	static char line[2 * sizeof(message)];
	u32 bytes = 0, n = 0;
	u8 want[16], sum[16];

	CHECK(file);
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "key ", 4)) {
			CHECK(unhex(line + 4, key, sizeof(key)) == sizeof(key));
		} else if (!strncmp(line, "message ", 8)) {
			bytes = unhex(line + 8, message, sizeof(message));
		} else if (!strncmp(line, "sum ", 4)) {
			CHECK(unhex(line + 4, want, sizeof(want)) == sizeof(want));
			nhpoly1305(key, message, bytes, sum);
			CHECK(!memcmp(sum, want, sizeof(sum)));
			n++;
		}
	}
	CHECK(n == 2);
	if (file)
		fclose(file);
}
