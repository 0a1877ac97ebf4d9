// SPDX-License-Identifier: GPL-2.0
/*
 * HKDF-SHA256, HMAC-SHA256 and AES Key Wrap, to verify and to write anchor records.
 *
 * From OpenSSL's libcrypto: it is on every Debian system and well kept there,
 * its algorithms are those of a FIPS module and tested as such, and it wipes
 * what it derived from.  Cryptography of our own would be one more thing to
 * trust; libgcrypt has HKDF only in newer versions than Debian 12's.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "qvault-ctl.h"

static char digest[] = "SHA256";

/* @salt: of QVAULT_UUID_SIZE bytes, or NULL. */
static int hkdf(const uint8_t *secret, size_t bytes, const uint8_t *salt,
		const char *label, uint8_t *out, size_t out_bytes)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[5], *p = params;
	int ok = 0;

	/* Not const, but only read. */
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						 (void *)secret, bytes);
	if (salt)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
							 (void *)salt,
							 QVAULT_UUID_SIZE);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						 (void *)label, strlen(label));
	*p = OSSL_PARAM_construct_end();
	if (ctx)
		ok = EVP_KDF_derive(ctx, out, out_bytes, params);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	if (ok == 1)
		return CTL_OK;
	return ctl_fail(CTL_NO_MEMORY, "libcrypto cannot do HKDF-SHA256 here");
}

int ctl_key_derive(struct ctl_key *key, const uint8_t *uuid)
{
	const size_t bytes = sizeof(key->master);
	int err;

	err = hkdf(key->master, bytes, uuid, QVAULT_LABEL_ANCHOR, key->anchor,
		   sizeof(key->anchor));
	if (!err)
		err = hkdf(key->master, bytes, uuid, QVAULT_LABEL_WRAP,
			   key->wrap, sizeof(key->wrap));
	if (!err)
		err = hkdf(key->master, bytes, uuid, QVAULT_LABEL_CHECK,
			   key->check, sizeof(key->check));
	return err;
}

int ctl_secret_derive(const uint8_t *secret, const char *label, uint8_t *out,
		      size_t bytes)
{
	return hkdf(secret, QVAULT_SECRET_SIZE, NULL, label, out, bytes);
}

int ctl_anchor_mac(const struct ctl_key *key, const void *data, size_t bytes,
		   uint8_t mac[QVAULT_ANCHOR_MAC_SIZE])
{
	unsigned int length = 0;

	if (HMAC(EVP_sha256(), key->anchor, sizeof(key->anchor), data, bytes,
		 mac, &length) && length == QVAULT_ANCHOR_MAC_SIZE)
		return CTL_OK;
	return ctl_fail(CTL_NO_MEMORY, "libcrypto cannot do HMAC-SHA256 here");
}

/* RFC 3394; it verifies what it unwraps.  True if it has. */
static bool key_wrap(const uint8_t key[32], bool wrap, const uint8_t *from,
		     size_t bytes, uint8_t *to, size_t to_bytes)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;
	bool ok = false;

	if (!ctx)
		return false;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_wrap(), NULL, key, NULL, wrap) == 1 &&
	    EVP_CipherUpdate(ctx, to, &n, from, (int)bytes) == 1 &&
	    EVP_CipherFinal_ex(ctx, to + n, &rest) == 1)
		ok = (size_t)n == to_bytes && !rest;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

int ctl_secret_wrap(const struct ctl_key *key, const uint8_t *secret,
		    uint8_t wrapped[QVAULT_WRAPPED_SIZE])
{
	if (key_wrap(key->wrap, true, secret, QVAULT_SECRET_SIZE, wrapped,
		     QVAULT_WRAPPED_SIZE))
		return CTL_OK;
	return ctl_fail(CTL_NO_MEMORY, "libcrypto cannot do AES Key Wrap here");
}

bool ctl_secret_unwrap(const struct ctl_key *key, const uint8_t *wrapped,
		       uint8_t secret[QVAULT_SECRET_SIZE])
{
	return key_wrap(key->wrap, false, wrapped, QVAULT_WRAPPED_SIZE, secret,
			QVAULT_SECRET_SIZE);
}

int ctl_uuid_random(uint8_t *uuid)
{
	if (RAND_bytes(uuid, QVAULT_UUID_SIZE) != 1)
		return ctl_fail(CTL_NO_MEMORY, "libcrypto has no random numbers");
	uuid[6] = (uuid[6] & 0x0f) | 0x40;	/* version 4 */
	uuid[8] = (uuid[8] & 0x3f) | 0x80;	/* RFC 4122 */
	return CTL_OK;
}

/* "=" and 128 bits of SHA-256: characters that libdevmapper leaves as they are. */
int ctl_name_hash(const char *name, char text[CTL_NAME_HASH_CHARS])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char *p = text;
	int i;

	if (!EVP_Digest(name, strlen(name), hash, NULL, EVP_sha256(), NULL))
		return ctl_fail(CTL_NO_MEMORY, "libcrypto cannot do SHA-256 here");
	*p++ = '=';
	for (i = 0; i < 16; i++)
		p += sprintf(p, "%02x", hash[i]);
	return CTL_OK;
}
