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
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>

#include "../../lib/nhpoly.h"
#include "sim.h"

static const u8 uuid_of_all[QVAULT_UUID_SIZE + 1] = "0123456789abcdef";

static void make_master(u8 master[QVAULT_MASTER_KEY_SIZE], u32 key)
{
	u32 i;

	for (i = 0; i < QVAULT_MASTER_KEY_SIZE; i++)
		master[i] = i * 7 + 1 + key * 13;
}

void crypto_init(struct qvault_crypto *crypto, bool real, struct tweaks *tweaks)
{
	memset(crypto, 0, sizeof(*crypto));
	crypto->real = real;
	crypto->tweaks = tweaks;
	make_master(crypto->master, 0);
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

static void derive(bool real, const u8 *from, u32 from_bytes, const u8 *salt,
		   u32 salt_bytes, const char *label, u8 *key, size_t bytes)
{
	u32 i;

	if (!real) {
		for (i = 0; i < bytes; i += 8) {
			u64 x = mix64(fold(from, from_bytes) ^ fold(salt, salt_bytes)) ^
				mix64(fold((const u8 *)label, strlen(label)) + i);

			memcpy(key + i, &x, 8);
		}
		return;
	}
	crypto_hkdf(from, from_bytes, salt, salt_bytes, (const u8 *)label,
		    strlen(label), key, bytes);
}

/* ---- Wrapping ---- */

static void real_wrap(const u8 *key, bool wrap, const u8 *in, u32 bytes, u8 *out,
		      bool *ok)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	must(EVP_CipherInit_ex(ctx, EVP_aes_256_wrap(), NULL, key, NULL, wrap),
	     "EVP_CipherInit_ex");
	*ok = EVP_CipherUpdate(ctx, out, &n, in, bytes) == 1;
	EVP_CIPHER_CTX_free(ctx);
}

static void quick_wrap(const u8 *key, const u8 *secret, u8 *wrapped)
{
	u64 check = mix64(fold(key, 32) ^ fold(secret, QVAULT_SECRET_SIZE));
	u32 i;

	memcpy(wrapped, &check, sizeof(check));
	for (i = 0; i < QVAULT_SECRET_SIZE; i++)
		wrapped[8 + i] = secret[i] ^ key[i];
}

static void wrap(const struct qvault_crypto *crypto, const u8 *secret, u8 *wrapped)
{
	bool ok = true;

	if (crypto->real)
		real_wrap(crypto->own.wrap, true, secret, QVAULT_SECRET_SIZE, wrapped, &ok);
	else
		quick_wrap(crypto->own.wrap, secret, wrapped);
	if (!ok)
		shim_fail("OpenSSL: wrapping failed");
}

static bool unwrap(const struct qvault_crypto *crypto, const u8 *wrapped, u8 *secret)
{
	u8 again[QVAULT_WRAPPED_SIZE];
	bool ok;
	u32 i;

	if (crypto->real) {
		real_wrap(crypto->own.wrap, false, wrapped, QVAULT_WRAPPED_SIZE, again, &ok);
		memcpy(secret, again, QVAULT_SECRET_SIZE);
		return ok;
	}
	for (i = 0; i < QVAULT_SECRET_SIZE; i++)
		secret[i] = wrapped[8 + i] ^ crypto->own.wrap[i];
	quick_wrap(crypto->own.wrap, secret, again);
	return !memcmp(again, wrapped, sizeof(again));
}

/* ---- Generations ---- */

/* Made once for each secret: worlds come and go, and most have the same few. */
static const struct generation_keys *generation_keys(bool real, enum qvault_mac type,
						     const u8 *secret)
{
	/* RFC 5869, section 2.2: no salt is a block of zeros. */
	static const u8 no_salt[32];
	static struct generation_keys *all;
	struct generation_keys *k;

	for (k = all; k; k = k->next)
		if (k->real == real && k->type == type &&
		    !memcmp(k->secret, secret, QVAULT_SECRET_SIZE))
			return k;
	k = calloc(1, sizeof(*k));
	k->real = real;
	k->type = type;
	memcpy(k->secret, secret, QVAULT_SECRET_SIZE);
#define DERIVE(label, key) derive(real, secret, QVAULT_SECRET_SIZE, no_salt, sizeof(no_salt), \
				  label, key, sizeof(key))
	DERIVE(QVAULT_LABEL_DATA, k->xts[0]);
	DERIVE(QVAULT_LABEL_META, k->xts[1]);
	DERIVE(QVAULT_LABEL_MAC, k->mac);
	/* It is long, and the quick MAC has one key for both. */
	if (real)
		DERIVE(QVAULT_LABEL_NH, k->nh);
	DERIVE(QVAULT_LABEL_NH_AES, k->nh_aes);
#undef DERIVE
	k->next = all;
	all = k;
	return k;
}

static void new_secret(u8 *secret)
{
	static struct rng outside = { .state = 1 };
	struct rng *rng = world_current ? &world_current->sched.rng : &outside;
	u32 i;

	for (i = 0; i < QVAULT_SECRET_SIZE; i++)
		secret[i] = rng_next(rng);
}

void crypto_unlock(struct qvault_crypto *crypto, const u8 *uuid)
{
	u8 check[QVAULT_CHECK_SIZE];

	crypto->settled = false;
	qvault_crypto_unlock(crypto, uuid, check);
}

void crypto_sign(struct qvault_crypto *crypto, struct qvault_disk_anchor *disk)
{
	qvault_crypto_anchor_mac(crypto, disk, offsetof(struct qvault_disk_anchor, mac),
				 disk->mac);
}

void crypto_format(struct qvault_crypto *crypto, struct qvault_disk_anchor *disk,
		   enum qvault_mac mac)
{
	qvault_crypto_unlock(crypto, disk->uuid, disk->check);
	qvault_crypto_create(crypto, 0, mac, &disk->gen[0]);
	disk->seal = 0;
	crypto_sign(crypto, disk);
}

/* ---- The platform ---- */

/* A device that changes a block just after it was authenticated. */
void (*crypto_after_mac)(void);

static void derive_opener(struct qvault_opener *opener, bool real, const u8 *uuid,
			  const u8 master[QVAULT_MASTER_KEY_SIZE])
{
#define DERIVE(label, key) derive(real, master, QVAULT_MASTER_KEY_SIZE, \
				  uuid, QVAULT_UUID_SIZE, label, key, sizeof(key))
	DERIVE(QVAULT_LABEL_ANCHOR, opener->anchor_mac);
	DERIVE(QVAULT_LABEL_WRAP, opener->wrap);
	DERIVE(QVAULT_LABEL_CHECK, opener->check);
#undef DERIVE
}

struct qvault_opener *crypto_opener(const struct qvault_crypto *crypto, const u8 *uuid,
				    const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct qvault_opener *opener = calloc(1, sizeof(*opener));

	derive_opener(opener, crypto->real, uuid, master);
	return opener;
}

const struct qvault_opener *crypto_key(bool real, u32 key)
{
	static struct qvault_opener made[2][CRYPTO_KEYS];
	static bool is_made[2][CRYPTO_KEYS];
	u8 master[QVAULT_MASTER_KEY_SIZE];

	if (!is_made[real][key]) {
		make_master(master, key);
		derive_opener(&made[real][key], real, uuid_of_all, master);
		is_made[real][key] = true;
	}
	return &made[real][key];
}

u32 crypto_key_of(bool real, const u8 check[QVAULT_CHECK_SIZE])
{
	u32 key;

	for (key = 0; key < CRYPTO_KEYS; key++)
		if (!memcmp(crypto_key(real, key)->check, check, QVAULT_CHECK_SIZE))
			break;
	return key;
}

void crypto_use_key(struct qvault_crypto *crypto, u32 key)
{
	make_master(crypto->master, key);
	crypto_unlock(crypto, uuid_of_all);
}

int qvault_crypto_unlock(struct qvault_crypto *crypto, const u8 *uuid,
			 u8 check[QVAULT_CHECK_SIZE])
{
	if (crypto->settled && memcmp(crypto->uuid, uuid, QVAULT_UUID_SIZE))
		return -EKEYREJECTED;
	if (!crypto->settled)
		derive_opener(&crypto->own, crypto->real, uuid, crypto->master);
	memcpy(crypto->uuid, uuid, QVAULT_UUID_SIZE);
	memcpy(check, crypto->own.check, QVAULT_CHECK_SIZE);
	return 0;
}

void qvault_crypto_settle(struct qvault_crypto *crypto)
{
	crypto->settled = true;
}

int qvault_crypto_rewrap(struct qvault_crypto *crypto, struct qvault_opener *opener,
			 struct qvault_disk_generation gen[QVAULT_GENERATIONS],
			 u8 check[QVAULT_CHECK_SIZE])
{
	struct qvault_crypto other = { .real = crypto->real, .own = *opener };
	u8 secret[QVAULT_SECRET_SIZE];
	u32 i;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!gen[i].cipher)
			continue;
		if (!unwrap(crypto, gen[i].wrapped, secret))
			return -EUCLEAN;
		wrap(&other, secret, gen[i].wrapped);
	}
	memcpy(check, opener->check, QVAULT_CHECK_SIZE);
	return 0;
}

struct qvault_opener *qvault_crypto_turn(struct qvault_crypto *crypto,
					 struct qvault_opener *opener)
{
	struct qvault_opener old = crypto->own;

	crypto->own = *opener;
	*opener = old;
	return opener;
}

void qvault_opener_free(struct qvault_opener *opener)
{
	free(opener);
}

static bool known_mac(enum qvault_mac mac)
{
	return mac == QVAULT_MAC_HMAC_SHA256_128 || mac == QVAULT_MAC_NHPOLY_AES;
}

int qvault_crypto_open(struct qvault_crypto *crypto, u32 gen,
		       const struct qvault_disk_generation *disk)
{
	static const u8 zeros[sizeof(disk->reserved)];
	u8 secret[QVAULT_SECRET_SIZE];

	if (disk->cipher != QVAULT_CIPHER_AES_256_XTS || !known_mac(disk->mac) ||
	    memcmp(disk->reserved, zeros, sizeof(zeros)))
		return -EPROTONOSUPPORT;
	if (!unwrap(crypto, disk->wrapped, secret))
		return -EUCLEAN;
	crypto->gen[gen] = generation_keys(crypto->real, disk->mac, secret);
	return 0;
}

int qvault_crypto_create(struct qvault_crypto *crypto, u32 gen, enum qvault_mac mac,
			 struct qvault_disk_generation *disk)
{
	u8 secret[QVAULT_SECRET_SIZE];

	if (!known_mac(mac))
		return -EPROTONOSUPPORT;
	new_secret(secret);
	if (disk) {
		memset(disk, 0, sizeof(*disk));
		disk->cipher = QVAULT_CIPHER_AES_256_XTS;
		disk->mac = mac;
		wrap(crypto, secret, disk->wrapped);
	}
	crypto->gen[gen] = generation_keys(crypto->real, mac, secret);
	return 0;
}

int qvault_crypto_prepare(struct qvault_crypto *crypto, enum qvault_mac mac)
{
	return known_mac(mac) ? 0 : -EPROTONOSUPPORT;
}

void qvault_crypto_forget(struct qvault_crypto *crypto, u32 gen)
{
	/* Who comes now is held up as well; here nobody comes often enough for that. */
	while (crypto->holders)
		msleep(1);
	crypto->gen[gen] = NULL;
}

int qvault_crypto_hold(struct qvault_crypto *crypto, u32 gen)
{
	if (crypto->wiped)
		return -ENOKEY;
	if (gen > QVAULT_GENERATIONS || !crypto->gen[gen])
		return -ENOENT;
	crypto->holders++;
	return 0;
}

void qvault_crypto_release(struct qvault_crypto *crypto)
{
	if (!crypto->holders--)
		shim_fail("keys are given back that nobody holds");
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

static const struct generation_keys *held(const struct qvault_crypto *crypto, u32 gen)
{
	if (!crypto->holders || !crypto->gen[gen])
		shim_fail("a cipher is used whose key is not held");
	return crypto->gen[gen];
}

int qvault_crypto_xts(struct qvault_crypto *crypto, u32 gen, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst)
{
	const u8 *key = held(crypto, gen)->xts[meta];

	might_sleep();
	if (encrypt && crypto->tweaks)
		watch(crypto->tweaks, tweak);
	if (encrypt && world_current && world_current->v.let_go) {
		if (gen != QVAULT_EPHEMERAL_GEN)
			shim_fail("G1: who has let go of the anchor seals under generation %u", gen);
		totals.copy_seals++;
	}
	if (crypto->real)
		crypto_xts(key, encrypt, tweak, src, dst, QVAULT_BLOCK_SIZE);
	else
		quick_xts(key, tweak, src, dst);
	return 0;
}

static void real_block_mac(const struct generation_keys *keys, const u8 *head,
			   const u8 *data, u8 tag[QVAULT_TAG_SIZE])
{
	if (keys->type != QVAULT_MAC_NHPOLY_AES)
		real_mac(keys->mac, data, QVAULT_BLOCK_SIZE, head,
			 sizeof(struct qvault_disk_seal), tag, QVAULT_TAG_SIZE);
	else if (!nhpoly_aes(keys->nh, keys->nh_aes, data, QVAULT_BLOCK_SIZE,
			     head, sizeof(struct qvault_disk_seal), tag))
		shim_fail("OpenSSL: AES failed");
}

int qvault_crypto_mac(struct qvault_crypto *crypto, u32 gen, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	const struct generation_keys *keys = held(crypto, gen);
	u32 i;

	might_sleep();
	for (i = 0; i < n; i++) {
		if (crypto->real)
			real_block_mac(keys, (const u8 *)&head[i], data[i], tag[i]);
		else
			quick_mac(keys->mac, keys->type,
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
		real_mac(crypto->own.anchor_mac, data, bytes, NULL, 0, mac,
			 QVAULT_ANCHOR_MAC_SIZE);
	else
		quick_mac(crypto->own.anchor_mac, 0, NULL, 0, data, bytes, mac,
			  QVAULT_ANCHOR_MAC_SIZE);
	return 0;
}

bool qvault_tags_differ(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) != 0;
}
