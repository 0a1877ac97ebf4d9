// SPDX-License-Identifier: GPL-2.0
/*
 * The MACs of blocks, to tell whether a data device holds what a record names.  Only
 * a few blocks are looked at, so this is simple and not fast.
 */
#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <string.h>

#include "qvault-ctl.h"
#include "record.h"

static int no_cipher(const char *name)
{
	return ctl_fail(CTL_NO_MEMORY, "libcrypto cannot do %s here", name);
}

static int hmac_tag(struct ctl_key *key, const void *cipher,
		    const struct qvault_disk_seal *seal, uint8_t sum[32])
{
	uint8_t message[QVAULT_BLOCK_SIZE + sizeof(*seal)];

	memcpy(message, cipher, QVAULT_BLOCK_SIZE);
	memcpy(message + QVAULT_BLOCK_SIZE, seal, sizeof(*seal));
	if (HMAC(EVP_sha256(), key->mac, sizeof(key->mac), message,
		 sizeof(message), sum, NULL))
		return CTL_OK;
	return no_cipher("HMAC-SHA256");
}

/* ---- NHPoly1305 --------------------------------------------------------- */

#define NH_UNIT		1024u		/* bytes that NH hashes at once */
#define NH_PASSES	4u
#define POLY_KEY	16u		/* of the key, before that of NH */

static uint32_t word(const uint8_t *bytes, size_t index)
{
	uint32_t w;

	memcpy(&w, bytes + 4 * index, sizeof(w));
	return le32toh(w);
}

/*
 * Words of a message and of the key are added in pairs two apart, and the sums
 * multiplied.  A pass has the key from four words later on than the one before it.
 */
static uint64_t nh_pass(const uint8_t *key, const uint8_t *message, size_t words)
{
	uint64_t sum = 0;
	size_t i, j;

	for (i = 0; i < words; i += 4)
		for (j = i; j < i + 2; j++)
			sum += (uint64_t)(word(message, j) + word(key, j)) *
			       (word(message, j + 2) + word(key, j + 2));
	return sum;
}

/* Poly1305 over what NH makes of each unit of @message. */
static bool nh_update(EVP_MAC_CTX *poly, const uint8_t *key, const void *message,
		      size_t bytes)
{
	uint64_t hash[NH_PASSES];
	const uint8_t *at = message;
	size_t unit, pass;

	for (; bytes; bytes -= unit, at += unit) {
		unit = bytes < NH_UNIT ? bytes : NH_UNIT;
		for (pass = 0; pass < NH_PASSES; pass++)
			hash[pass] = htole64(nh_pass(key + 16 * pass, at, unit / 4));
		if (EVP_MAC_update(poly, (void *)hash, sizeof(hash)) != 1)
			return false;
	}
	return true;
}

static bool nhpoly(const struct ctl_key *key, const void *cipher,
		   const struct qvault_disk_seal *seal, uint8_t hash[16])
{
	/* A nonce of zeros, so that the bare hash comes out. */
	uint8_t poly_key[2 * POLY_KEY] = { 0 };
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	EVP_MAC_CTX *poly = mac ? EVP_MAC_CTX_new(mac) : NULL;
	size_t bytes = 0;
	bool ok;

	memcpy(poly_key, key->nh, POLY_KEY);
	ok = poly && EVP_MAC_init(poly, poly_key, sizeof(poly_key), NULL) == 1 &&
	     nh_update(poly, key->nh + POLY_KEY, cipher, QVAULT_BLOCK_SIZE) &&
	     nh_update(poly, key->nh + POLY_KEY, seal, sizeof(*seal)) &&
	     EVP_MAC_final(poly, hash, &bytes, 16) == 1 && bytes == 16;
	explicit_bzero(poly_key, sizeof(poly_key));
	EVP_MAC_CTX_free(poly);
	EVP_MAC_free(mac);
	return ok;
}

static int nhpoly_aes_tag(struct ctl_key *key, const void *cipher,
			  const struct qvault_disk_seal *seal, uint8_t sum[32])
{
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
	uint8_t hash[16];
	bool ok;
	int n;

	ok = aes && nhpoly(key, cipher, seal, hash) &&
	     EVP_EncryptInit_ex(aes, EVP_aes_256_ecb(), NULL, key->nh_aes, NULL) == 1 &&
	     EVP_EncryptUpdate(aes, sum, &n, hash, sizeof(hash)) == 1 &&
	     n == sizeof(hash);
	EVP_CIPHER_CTX_free(aes);
	return ok ? CTL_OK : no_cipher("Poly1305 or AES");
}

/* ---- Of a generation ---------------------------------------------------- */

static int derive(struct ctl_key *key, const uint8_t *secret)
{
	int err;

	err = ctl_secret_derive(secret, QVAULT_LABEL_MAC, key->mac,
				sizeof(key->mac));
	if (!err)
		err = ctl_secret_derive(secret, QVAULT_LABEL_NH, key->nh,
					sizeof(key->nh));
	if (!err)
		err = ctl_secret_derive(secret, QVAULT_LABEL_NH_AES, key->nh_aes,
					sizeof(key->nh_aes));
	return err;
}

int ctl_block_tag(struct ctl_key *key, const struct ctl_record *r, uint32_t generation,
		  const void *cipher, const struct qvault_disk_seal *seal,
		  uint8_t tag[QVAULT_TAG_SIZE])
{
	uint8_t sum[32] = { 0 };
	int err;

	err = derive(key, key->secret[generation]);
	if (!err)
		err = r->gen[generation].mac == QVAULT_MAC_NHPOLY_AES ?
			nhpoly_aes_tag(key, cipher, seal, sum) :
			hmac_tag(key, cipher, seal, sum);
	memcpy(tag, sum, QVAULT_TAG_SIZE);
	return err;
}
