// SPDX-License-Identifier: GPL-2.0
/*
 * The platform's ciphers: OpenSSL's, or ones that are only quick.
 *
 * The quick ones have no strength at all, but any change of a key, a tweak, a
 * header or a bit of a block shows in the tag; the protocol needs no more, and
 * a run gets through ten times the states.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/kernel.h>

#include "../../lib/nhpoly.h"
#include "sim.h"

void crypto_init(struct qvault_crypto *crypto, bool real, struct tweaks *tweaks)
{
	u32 i;

	memset(crypto, 0, sizeof(*crypto));
	crypto->real = real;
	crypto->tweaks = tweaks;
	for (i = 0; i < sizeof(crypto->master); i++)
		crypto->master[i] = i * 7 + 1;
}

/* ---- Quick ---- */

static u64 load(const void *p)
{
	u64 x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static u64 fold(const u8 *p, u32 bytes)
{
	u64 h = bytes;

	for (; bytes >= 8; bytes -= 8, p += 8)
		h = mix64(h ^ load(p)) + 0x9e3779b97f4a7c15ull;
	while (bytes--)
		h = mix64(h ^ *p++);
	return h;
}

static void quick_xts(const u8 *key, const u8 tweak[16], const void *src,
		      void *dst)
{
	u64 mask = mix64(load(key) ^ mix64(load(tweak)) ^ load(tweak + 8));
	const u64 *s = src;
	u64 *d = dst;
	u32 i;

	for (i = 0; i < QVAULT_BLOCK_SIZE / 8; i++)
		d[i] = s[i] ^ (mask + i * 0xd1342543de82ef95ull);
}

/*
 * Lanes of their own, so that the processor has some to do at a time.  Each step
 * is a bijection of a lane, so no change of a word is lost.
 */
#define LANES 8

static void quick_mac(const u8 *key, u64 salt, const u8 *head, u32 head_bytes,
		      const u8 *data, u32 bytes, u8 *tag, u32 tag_bytes)
{
	u64 h[LANES], x;
	u32 i, lane;

	for (lane = 0; lane < LANES; lane++)
		h[lane] = load(key + 8 * (lane % 4)) + lane;
	h[0] ^= fold(head, head_bytes) ^ salt;
	for (i = 0; i + sizeof(h) <= bytes; i += sizeof(h))
		for (lane = 0; lane < LANES; lane++) {
			h[lane] ^= load(data + i + 8 * lane);
			h[lane] += h[lane] << 13;
			h[lane] ^= h[lane] >> 29;
		}
	h[1] ^= fold(data + i, bytes - i);
	for (i = 0; i < tag_bytes; i += 8) {
		x = i;
		for (lane = 0; lane < LANES; lane++)
			x = mix64(x ^ h[lane]) + h[lane];
		memcpy(tag + i, &x, 8);
	}
}

/* ---- Real ---- */

static void must(int ok, const char *what)
{
	if (ok != 1)
		shim_fail("OpenSSL: %s failed", what);
}

void crypto_xts(const u8 *key, bool encrypt, const u8 tweak[16],
		const void *src, void *dst, u32 bytes)
{
	static EVP_CIPHER_CTX *ctx;
	int n;

	if (!ctx)
		ctx = EVP_CIPHER_CTX_new();
	must(EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL, key, tweak,
			       encrypt), "EVP_CipherInit_ex");
	must(EVP_CipherUpdate(ctx, dst, &n, src, bytes),
	     "EVP_CipherUpdate");
}

static void real_mac(const u8 *key, const u8 *data, u32 bytes,
		     const u8 *head, u32 head_bytes, u8 *tag, u32 tag_bytes)
{
	u8 buf[QVAULT_BLOCK_SIZE + 64], out[32];

	if (head_bytes > 64 || bytes > QVAULT_BLOCK_SIZE)
		shim_fail("a MAC over more than a block");
	memcpy(buf, data, bytes);
	memcpy(buf + bytes, head, head_bytes);
	if (!HMAC(EVP_sha256(), key, 32, buf, bytes + head_bytes, out, NULL))
		shim_fail("OpenSSL: HMAC failed");
	memcpy(tag, out, tag_bytes);
}

void crypto_hkdf(const u8 *key, u32 key_bytes, const u8 *salt, u32 salt_bytes,
		 const u8 *info, u32 info_bytes, u8 *out, size_t bytes)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);

	must(EVP_PKEY_derive_init(ctx), "derive_init");
	must(EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()), "hkdf_md");
	must(EVP_PKEY_CTX_set1_hkdf_salt(ctx, salt, salt_bytes), "salt");
	must(EVP_PKEY_CTX_set1_hkdf_key(ctx, key, key_bytes), "key");
	must(EVP_PKEY_CTX_add1_hkdf_info(ctx, info, info_bytes), "info");
	must(EVP_PKEY_derive(ctx, out, &bytes), "derive");
	EVP_PKEY_CTX_free(ctx);
}

static void derive(const struct qvault_crypto *crypto, const u8 *uuid,
		   const char *label, u8 *key, size_t bytes)
{
	u32 i;

	if (!crypto->real) {
		for (i = 0; i < bytes; i += 8) {
			u64 x = mix64(fold(crypto->master, 64) ^ fold(uuid, 16)) ^
				mix64(fold((const u8 *)label, strlen(label)) + i);

			memcpy(key + i, &x, 8);
		}
		return;
	}
	crypto_hkdf(crypto->master, sizeof(crypto->master), uuid,
		    QVAULT_UUID_SIZE, (const u8 *)label, strlen(label), key,
		    bytes);
}

/* ---- The platform ---- */

/* A device that changes a block just after it was authenticated. */
void (*crypto_after_mac)(void);

int qvault_crypto_derive(struct qvault_crypto *crypto, const u8 *uuid)
{
	derive(crypto, uuid, QVAULT_LABEL_DATA, crypto->xts[0], 64);
	derive(crypto, uuid, QVAULT_LABEL_META, crypto->xts[1], 64);
	derive(crypto, uuid, QVAULT_LABEL_MAC, crypto->mac, 32);
	/* It is long, and the quick MAC has one key for both. */
	if (crypto->real)
		derive(crypto, uuid, QVAULT_LABEL_NH, crypto->nh, sizeof(crypto->nh));
	derive(crypto, uuid, QVAULT_LABEL_NH_AES, crypto->nh_aes, 32);
	derive(crypto, uuid, QVAULT_LABEL_ANCHOR, crypto->anchor_mac, 32);
	crypto->derived = true;
	return 0;
}

/* I3: nothing is encrypted twice under one version, whatever its kind. */
static void watch(struct tweaks *tweaks, const u8 tweak[16])
{
	u64 version = le64_to_cpu(load(tweak));
	struct tweaks *t;
	void **slot;

	if (!version)
		shim_fail("I3: something is sealed under version 0");
	for (t = tweaks; t; t = t->parent)
		if (map64_get(&t->seen, version))
			shim_fail("I3: version %llu is used twice",
				  (unsigned long long)version);
	totals.seals++;
	slot = map64_slot(&tweaks->seen, version);
	*slot = (void *)1;
}

int qvault_crypto_xts(struct qvault_crypto *crypto, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst)
{
	if (!crypto->derived)
		shim_fail("a cipher is used before its key was derived");
	might_sleep();
	if (encrypt && crypto->tweaks)
		watch(crypto->tweaks, tweak);
	if (crypto->real)
		crypto_xts(crypto->xts[meta], encrypt, tweak, src, dst,
			   QVAULT_BLOCK_SIZE);
	else
		quick_xts(crypto->xts[meta], tweak, src, dst);
	return 0;
}

int qvault_crypto_use_mac(struct qvault_crypto *crypto, enum qvault_mac mac)
{
	if (mac != QVAULT_MAC_HMAC_SHA256_128 && mac != QVAULT_MAC_NHPOLY_AES)
		return -EPROTONOSUPPORT;
	crypto->mac_type = mac;
	return 0;
}

static void real_block_mac(const struct qvault_crypto *crypto, const u8 *head,
			   const u8 *data, u8 tag[QVAULT_TAG_SIZE])
{
	if (crypto->mac_type != QVAULT_MAC_NHPOLY_AES)
		real_mac(crypto->mac, data, QVAULT_BLOCK_SIZE, head,
			 sizeof(struct qvault_disk_seal), tag, QVAULT_TAG_SIZE);
	else if (!nhpoly_aes(crypto->nh, crypto->nh_aes, data, QVAULT_BLOCK_SIZE,
			     head, sizeof(struct qvault_disk_seal), tag))
		shim_fail("OpenSSL: AES failed");
}

int qvault_crypto_mac(struct qvault_crypto *crypto, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	u32 i;

	might_sleep();
	for (i = 0; i < n; i++) {
		if (crypto->real)
			real_block_mac(crypto, (const u8 *)&head[i], data[i], tag[i]);
		else
			quick_mac(crypto->mac, crypto->mac_type,
				  (const u8 *)&head[i], sizeof(head[i]), data[i],
				  QVAULT_BLOCK_SIZE, tag[i], QVAULT_TAG_SIZE);
	}
	if (crypto_after_mac)
		crypto_after_mac();
	return 0;
}

int qvault_crypto_anchor_mac(struct qvault_crypto *crypto, const void *data,
			     u32 bytes, u8 mac[QVAULT_ANCHOR_MAC_SIZE])
{
	might_sleep();
	if (crypto->real)
		real_mac(crypto->anchor_mac, data, bytes, NULL, 0, mac,
			 QVAULT_ANCHOR_MAC_SIZE);
	else
		quick_mac(crypto->anchor_mac, 0, NULL, 0, data, bytes, mac,
			  QVAULT_ANCHOR_MAC_SIZE);
	return 0;
}

bool qvault_tags_differ(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) != 0;
}
