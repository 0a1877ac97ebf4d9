// SPDX-License-Identifier: GPL-2.0
/*
 * HKDF-SHA256 and HMAC-SHA256, to verify and to write anchor records.
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
#include <stdio.h>
#include <string.h>

#include "qvault-ctl.h"

static char digest[] = "SHA256";

int ctl_key_derive_anchor(struct ctl_key *key, const uint8_t *uuid)
{
	static char label[] = QVAULT_LABEL_ANCHOR;
	uint8_t salt[QVAULT_UUID_SIZE];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[5];
	int ok = 0;

	memcpy(salt, uuid, sizeof(salt));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						     digest, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						      key->master,
						      sizeof(key->master));
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt,
						      sizeof(salt));
	params[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label,
						      sizeof(label) - 1);
	params[4] = OSSL_PARAM_construct_end();
	if (ctx)
		ok = EVP_KDF_derive(ctx, key->anchor, sizeof(key->anchor), params);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	if (ok == 1)
		return CTL_OK;
	return ctl_fail(CTL_NO_MEMORY, "libcrypto cannot do HKDF-SHA256 here");
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
