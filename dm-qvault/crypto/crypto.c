// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers and keys.
 *
 * The mask does not exclude CRYPTO_ALG_ASYNC: on 6.1 and 6.12 the fast xts(aes)
 * drivers call themselves asynchronous, since they hand over to a thread where
 * vector registers may not be used, and without them one that is several times
 * slower would silently be picked.  Hence requests on the heap and a wait, which
 * costs nothing when the driver answers at once, as it does in process context.
 */
#include <asm/archrandom.h>
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/scatterlist.h>
#include <linux/hash.h>
#include <linux/random.h>
#include <linux/timekeeping.h>

#include "crypto.h"

#define SHA256_SIZE	32u
#define XTS_KEY_SIZE	64u

/* Requests kept for bad times: one lets everybody go on, one by one. */
#define MIN_REQUESTS	QVAULT_LEAST_OR(4)

struct qvault_crypto {
	struct crypto_skcipher *xts[2];	/* data, metadata */
	struct qvault_hmac *block_hmac;
	struct qvault_nhpoly *block_nhpoly;	/* NULL: not on this kernel */
	enum qvault_mac mac;		/* which of the two serves */
	struct crypto_shash *anchor_mac;
	mempool_t requests;		/* for either of xts[] */

	/* Written by qvault_crypto_derive() only, before anything else. */
	bool derived;
	u8 uuid[QVAULT_UUID_SIZE];	/* for which the keys were derived */
	u8 check[SHA256_SIZE];		/* by which the master key is known again */
	u8 nh_key[QVAULT_NH_KEY_SIZE];	/* while it is made: too long for a stack */
	u8 master[QVAULT_MASTER_KEY_SIZE];	/* until then */
};

static int alloc_ciphers(struct qvault_crypto *crypto)
{
	struct crypto_skcipher *xts;
	struct qvault_nhpoly *nhpoly;
	struct crypto_shash *mac;
	struct qvault_hmac *hmac;
	unsigned int i, size = 0;

	for (i = 0; i < ARRAY_SIZE(crypto->xts); i++) {
		xts = crypto_alloc_skcipher("xts(aes)", 0, QVAULT_CRYPTO_UNWANTED);
		if (IS_ERR(xts))
			return PTR_ERR(xts);
		crypto->xts[i] = xts;
		size = max(size, crypto_skcipher_reqsize(xts));
	}
	hmac = qvault_hmac_new(sha256_finup_2x_is_optimized());
	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	crypto->block_hmac = hmac;
	mac = crypto_alloc_shash("hmac(sha256)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(mac))
		return PTR_ERR(mac);
	crypto->anchor_mac = mac;
	/* Now and not at attach, when nothing may be loaded from a disk. */
	nhpoly = qvault_nhpoly_new();
	if (PTR_ERR_OR_ZERO(nhpoly) == -ENOMEM)
		return -ENOMEM;
	crypto->block_nhpoly = IS_ERR(nhpoly) ? NULL : nhpoly;
	return qvault_pool_init(&crypto->requests, MIN_REQUESTS,
				sizeof(struct skcipher_request) + size);
}

/**
 * qvault_crypto_new() - ciphers without keys, and a master key to derive them of
 * @master: is copied; the caller wipes it
 *
 * Context: May sleep.
 * Return: What qvault_crypto_free() takes, or an ERR_PTR().
 */
struct qvault_crypto *qvault_crypto_new(const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct qvault_crypto *crypto;
	int err;

	crypto = kzalloc(sizeof(*crypto), GFP_KERNEL);
	if (!crypto)
		return ERR_PTR(-ENOMEM);
	err = alloc_ciphers(crypto);
	if (err) {
		qvault_crypto_free(crypto);
		return ERR_PTR(err);
	}
	memcpy(crypto->master, master, QVAULT_MASTER_KEY_SIZE);
	return crypto;
}

/**
 * qvault_crypto_free() - forget ciphers and keys
 * @crypto: complete, half-built or NULL
 *
 * The crypto API wipes the keys of what it frees.
 *
 * Context: May sleep.
 */
void qvault_crypto_free(struct qvault_crypto *crypto)
{
	if (!crypto)
		return;
	mempool_exit(&crypto->requests);
	crypto_free_shash(crypto->anchor_mac);
	qvault_nhpoly_free(crypto->block_nhpoly);
	qvault_hmac_free(crypto->block_hmac);
	crypto_free_skcipher(crypto->xts[1]);
	crypto_free_skcipher(crypto->xts[0]);
	kfree_sensitive(crypto);
}

/* ---- Keys --------------------------------------------------------------- */

/* T(i) of RFC 5869, section 2.3, under the pseudorandom key of @prk. */
static int hkdf_block(struct crypto_shash *prk, const u8 *prev, const char *label,
		      u8 i, u8 out[SHA256_SIZE])
{
	SHASH_DESC_ON_STACK(desc, prk);
	int err;

	desc->tfm = prk;
	err = crypto_shash_init(desc);
	if (!err && prev)
		err = crypto_shash_update(desc, prev, SHA256_SIZE);
	if (!err)
		err = crypto_shash_update(desc, label, strlen(label));
	if (!err)
		err = crypto_shash_finup(desc, &i, 1, out);
	shash_desc_zero(desc);
	return err;
}

/* @size is a whole number of blocks of output, and fewer than 256 of them. */
static int hkdf_expand(struct crypto_shash *prk, const char *label,
		       u8 *key, u32 size)
{
	const u8 *prev = NULL;
	int err = 0;
	u32 i;

	for (i = 0; i < size / SHA256_SIZE && !err; i++) {
		err = hkdf_block(prk, prev, label, i + 1, key + i * SHA256_SIZE);
		prev = key + i * SHA256_SIZE;
	}
	return err;
}

/* Makes @prk the HMAC under the pseudorandom key that @master gives. */
static int hkdf_extract(struct crypto_shash *prk, const u8 *uuid,
			const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	u8 key[SHA256_SIZE];
	int err;

	err = crypto_shash_setkey(prk, uuid, QVAULT_UUID_SIZE);
	if (!err)
		err = crypto_shash_tfm_digest(prk, master,
					      QVAULT_MASTER_KEY_SIZE, key);
	if (!err)
		err = crypto_shash_setkey(prk, key, sizeof(key));
	memzero_explicit(key, sizeof(key));
	return err;
}

static int set_xts_key(struct crypto_skcipher *xts, struct crypto_shash *prk,
		       const char *label)
{
	u8 key[XTS_KEY_SIZE];
	int err;

	err = hkdf_expand(prk, label, key, sizeof(key));
	if (!err)
		err = crypto_skcipher_setkey(xts, key, sizeof(key));
	memzero_explicit(key, sizeof(key));
	return err;
}

static int set_hmac_key(struct qvault_hmac *hmac, struct crypto_shash *prk)
{
	u8 key[QVAULT_HMAC_KEY_SIZE];
	int err;

	err = hkdf_expand(prk, QVAULT_LABEL_MAC, key, sizeof(key));
	if (!err)
		err = qvault_hmac_setkey(hmac, key);
	memzero_explicit(key, sizeof(key));
	return err;
}

static int set_anchor_key(struct crypto_shash *mac, struct crypto_shash *prk)
{
	u8 key[QVAULT_HMAC_KEY_SIZE];
	int err;

	err = hkdf_expand(prk, QVAULT_LABEL_ANCHOR, key, sizeof(key));
	if (!err)
		err = crypto_shash_setkey(mac, key, sizeof(key));
	memzero_explicit(key, sizeof(key));
	return err;
}

static int set_nhpoly_keys(struct qvault_crypto *crypto, struct crypto_shash *prk)
{
	u8 cipher_key[SHA256_SIZE];
	int err;

	if (!crypto->block_nhpoly)
		return 0;
	static_assert(QVAULT_NH_KEY_SIZE % SHA256_SIZE == 0);
	err = hkdf_expand(prk, QVAULT_LABEL_NH, crypto->nh_key, QVAULT_NH_KEY_SIZE);
	if (!err)
		err = hkdf_expand(prk, QVAULT_LABEL_NH_AES, cipher_key,
				  sizeof(cipher_key));
	if (!err)
		err = qvault_nhpoly_setkey(crypto->block_nhpoly, crypto->nh_key,
					   cipher_key);
	memzero_explicit(crypto->nh_key, sizeof(crypto->nh_key));
	memzero_explicit(cipher_key, sizeof(cipher_key));
	return err;
}

/* Never leaves memory, and says nothing of the keys that have other labels. */
static int derive_check(struct crypto_shash *prk, const u8 *uuid,
			const u8 master[QVAULT_MASTER_KEY_SIZE], u8 check[SHA256_SIZE])
{
	int err = hkdf_extract(prk, uuid, master);

	return err ?: hkdf_expand(prk, QVAULT_LABEL_CHECK, check, SHA256_SIZE);
}

static int derive_keys(struct qvault_crypto *crypto, struct crypto_shash *prk,
		       const u8 *uuid)
{
	int err;

	err = derive_check(prk, uuid, crypto->master, crypto->check);
	if (!err)
		err = set_xts_key(crypto->xts[0], prk, QVAULT_LABEL_DATA);
	if (!err)
		err = set_xts_key(crypto->xts[1], prk, QVAULT_LABEL_META);
	if (!err)
		err = set_hmac_key(crypto->block_hmac, prk);
	if (!err)
		err = set_nhpoly_keys(crypto, prk);
	if (!err)
		err = set_anchor_key(crypto->anchor_mac, prk);
	return err;
}

/**
 * qvault_crypto_derive() - derive the keys of a volume
 * @crypto: from qvault_crypto_new()
 * @uuid: of the volume, QVAULT_UUID_SIZE bytes
 *
 * The master key is wiped once it has served.  Who comes here again, after an attach
 * that failed later, finds his keys in place; if the anchor names another vault
 * meanwhile, it is refused, and the table must be loaded anew.
 *
 * Context: May sleep.  Nothing else uses @crypto meanwhile.
 * Return: 0 or a negative errno; -EKEYREJECTED if the keys are another's.
 */
int qvault_crypto_derive(struct qvault_crypto *crypto, const u8 *uuid)
{
	struct crypto_shash *prk;
	int err;

	if (crypto->derived)
		return memcmp(crypto->uuid, uuid, QVAULT_UUID_SIZE) ?
			-EKEYREJECTED : 0;
	prk = crypto_alloc_shash("hmac(sha256)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(prk))
		return PTR_ERR(prk);
	err = derive_keys(crypto, prk, uuid);
	crypto_free_shash(prk);
	if (err)
		return err;
	memcpy(crypto->uuid, uuid, QVAULT_UUID_SIZE);
	crypto->derived = true;
	memzero_explicit(crypto->master, sizeof(crypto->master));
	return 0;
}

/**
 * qvault_crypto_same_key() - is this the master key that the keys come from?
 * @crypto: with derived keys
 * @master: the other one
 *
 * Context: May sleep.
 * Return: 0; -EKEYREJECTED if it is another one; or another negative errno.
 */
int qvault_crypto_same_key(const struct qvault_crypto *crypto,
			   const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct crypto_shash *prk;
	u8 check[SHA256_SIZE];
	int err;

	prk = crypto_alloc_shash("hmac(sha256)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(prk))
		return PTR_ERR(prk);
	err = derive_check(prk, crypto->uuid, master, check);
	if (!err && crypto_memneq(check, crypto->check, sizeof(check)))
		err = -EKEYREJECTED;
	crypto_free_shash(prk);
	memzero_explicit(check, sizeof(check));
	return err;
}

/* ---- Blocks ------------------------------------------------------------- */

/**
 * qvault_crypto_xts() - encrypt or decrypt a block
 * @crypto: with derived keys
 * @meta: under the key for metadata, else for data
 * @encrypt: encrypt, else decrypt
 * @tweak: 16 bytes, never used twice for encryption under one key
 * @src: a block of linear memory; read once
 * @dst: likewise; may be @src
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno, in which case @dst is undefined.
 */
int qvault_crypto_xts(struct qvault_crypto *crypto, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst)
{
	struct skcipher_request *req;
	struct scatterlist from, to;
	DECLARE_CRYPTO_WAIT(wait);
	u8 iv[16];
	int err;

	memcpy(iv, tweak, sizeof(iv));
	sg_init_one(&from, src, QVAULT_BLOCK_SIZE);
	sg_init_one(&to, dst, QVAULT_BLOCK_SIZE);

	req = mempool_alloc(&crypto->requests, GFP_NOIO);
	skcipher_request_set_tfm(req, crypto->xts[meta]);
	/*
	 * Not MAY_SLEEP: the cipher would then allocate with GFP_KERNEL, which
	 * may wait for this very write.
	 */
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, &from, &to, QVAULT_BLOCK_SIZE, iv);
	err = crypto_wait_req(encrypt ? crypto_skcipher_encrypt(req) :
					crypto_skcipher_decrypt(req), &wait);
	mempool_free(req, &crypto->requests);
	return err;
}

/**
 * qvault_crypto_use_mac() - choose how blocks are authenticated
 * @crypto: before the first block
 * @mac: what the anchor says
 *
 * Context: Any.  Nothing else uses @crypto meanwhile.
 * Return: 0; -EPROTONOSUPPORT if it is not known here; -ENOENT if it is, and this
 * kernel lacks what it is made of.
 */
int qvault_crypto_use_mac(struct qvault_crypto *crypto, enum qvault_mac mac)
{
	if (mac != QVAULT_MAC_HMAC_SHA256_128 && mac != QVAULT_MAC_NHPOLY_AES)
		return -EPROTONOSUPPORT;
	if (mac == QVAULT_MAC_NHPOLY_AES && !crypto->block_nhpoly)
		return -ENOENT;
	crypto->mac = mac;
	return 0;
}

/**
 * qvault_crypto_mac() - compute the tags of sealed blocks
 * @crypto: with derived keys, after qvault_crypto_use_mac()
 * @n: how many, 1..QVAULT_MAX_SEAL
 * @head: what each block is
 * @data: their ciphertexts, a block of linear memory each
 * @tag: receives the tags
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno.
 */
int qvault_crypto_mac(struct qvault_crypto *crypto, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	if (crypto->mac == QVAULT_MAC_NHPOLY_AES)
		return qvault_nhpoly_mac(crypto->block_nhpoly, n, head, data, tag);
	return qvault_hmac_mac(crypto->block_hmac, n, head, data, tag);
}

/**
 * qvault_crypto_anchor_mac() - compute the MAC of an anchor record
 * @crypto: with derived keys
 * @data: what it covers
 * @bytes: of @data
 * @mac: receives it
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
int qvault_crypto_anchor_mac(struct qvault_crypto *crypto, const void *data,
			     u32 bytes, u8 mac[QVAULT_ANCHOR_MAC_SIZE])
{
	return crypto_shash_tfm_digest(crypto->anchor_mac, data, bytes, mac);
}

/**
 * qvault_tags_differ() - compare in constant time
 * @a: one
 * @b: other
 * @bytes: of each
 *
 * Context: Any.
 * Return: Whether they differ.
 */
bool qvault_tags_differ(const void *a, const void *b, size_t bytes)
{
	return crypto_memneq(a, b, bytes);
}

/**
 * qvault_random_jump() - how far versions jump at an attach
 *
 * So that two lives that began from one record, unknown to each other, hardly ever
 * seal under the same version.  A memory that was copied may have copied the state
 * of the generator too; hence the clock, and the processor's own if it has one.
 *
 * Context: Any.
 * Return: Below 2^44.
 */
u64 qvault_random_jump(void)
{
	u64 jump = get_random_u64();
	unsigned long word;

	/* User Mode Linux has it for the kernel only, not for modules. */
	if (!IS_ENABLED(CONFIG_UML) && arch_get_random_longs(&word, 1))
		jump ^= word;
	jump ^= ktime_get_real_ns() * GOLDEN_RATIO_64;
	return jump >> (64 - QVAULT_JUMP_BITS);
}
