// SPDX-License-Identifier: GPL-2.0
/*
 * HMAC-SHA256 (RFC 2104, FIPS 180-4) of sealed blocks, cut to the size of a tag.
 *
 * The steps of SHA-256 wait for each other, so a processor that has instructions
 * for them is half idle with one message.  Newer kernels hash two at once, if both
 * begin alike and each goes on in one piece.  The padded key is how they begin, and
 * ciphertext and head are copied to follow each other: that costs a tenth of what
 * is won.
 */
#include <crypto/hash.h>
#include <crypto/sha2.h>

#include "crypto.h"

/* Kept for bad times: one lets everybody go on, one by one. */
#define MIN_PAIRS	1

struct qvault_hmac {
	struct crypto_shash *shash;
	bool pairs;			/* the rest is used */
	struct sha256_ctx inner;	/* after the key, padded and masked */
	struct sha256_ctx outer;
	mempool_t pool;			/* of struct pair */
};

struct pair {
	struct {
		u8 data[QVAULT_BLOCK_SIZE];
		struct qvault_disk_seal head;
	} message[2];
	u8 sum[2][SHA256_DIGEST_SIZE];
};

static int alloc_parts(struct qvault_hmac *h)
{
	struct crypto_shash *shash;

	shash = crypto_alloc_shash("hmac(sha256)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(shash))
		return PTR_ERR(shash);
	h->shash = shash;
	if (!h->pairs)
		return 0;
	return qvault_pool_init(&h->pool, MIN_PAIRS, sizeof(struct pair));
}

/**
 * qvault_hmac_new() - HMAC-SHA256, without a key yet
 * @pairs: hash two blocks at once, where there are two; the tags are the same
 *
 * Context: May sleep.
 * Return: What qvault_hmac_free() takes, or an ERR_PTR().
 */
struct qvault_hmac *qvault_hmac_new(bool pairs)
{
	struct qvault_hmac *h = kzalloc(sizeof(*h), GFP_KERNEL);
	int err;

	if (!h)
		return ERR_PTR(-ENOMEM);
	h->pairs = pairs;
	err = alloc_parts(h);
	if (!err)
		return h;
	qvault_hmac_free(h);
	return ERR_PTR(err);
}

/**
 * qvault_hmac_free() - forget it and its key
 * @h: complete, half-built or NULL
 *
 * Context: May sleep.
 */
void qvault_hmac_free(struct qvault_hmac *h)
{
	if (!h)
		return;
	mempool_exit(&h->pool);
	crypto_free_shash(h->shash);
	kfree_sensitive(h);
}

/* The key is shorter than a block of SHA-256: RFC 2104, section 2. */
static void begin(struct sha256_ctx *ctx, const u8 *key, u8 mask)
{
	u8 block[SHA256_BLOCK_SIZE] = {};
	u32 i;

	memcpy(block, key, QVAULT_HMAC_KEY_SIZE);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= mask;
	sha256_init(ctx);
	sha256_update(ctx, block, sizeof(block));
	memzero_explicit(block, sizeof(block));
}

/**
 * qvault_hmac_setkey() - set the key
 * @h: from qvault_hmac_new()
 * @key: QVAULT_HMAC_KEY_SIZE bytes
 *
 * Context: May sleep.  Nothing else uses @h.
 * Return: 0 or a negative errno.
 */
int qvault_hmac_setkey(struct qvault_hmac *h, const u8 *key)
{
	begin(&h->inner, key, 0x36);
	begin(&h->outer, key, 0x5c);
	return crypto_shash_setkey(h->shash, key, QVAULT_HMAC_KEY_SIZE);
}

static void mac_pair(struct qvault_hmac *h, const struct qvault_disk_seal head[],
		     const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	struct pair *pair = mempool_alloc(&h->pool, GFP_NOIO);
	const u8 *first = (const u8 *)&pair->message[0];
	const u8 *second = (const u8 *)&pair->message[1];
	u32 i;

	for (i = 0; i < 2; i++) {
		memcpy(pair->message[i].data, data[i], QVAULT_BLOCK_SIZE);
		pair->message[i].head = head[i];
	}
	sha256_finup_2x(&h->inner, first, second, sizeof(pair->message[0]),
			pair->sum[0], pair->sum[1]);
	sha256_finup_2x(&h->outer, pair->sum[0], pair->sum[1], SHA256_DIGEST_SIZE,
			pair->sum[0], pair->sum[1]);
	for (i = 0; i < 2; i++)
		memcpy(tag[i], pair->sum[i], QVAULT_TAG_SIZE);
	memzero_explicit(pair->sum, sizeof(pair->sum));
	mempool_free(pair, &h->pool);
}

static int mac_one(struct qvault_hmac *h, const struct qvault_disk_seal *head,
		   const void *data, u8 tag[QVAULT_TAG_SIZE])
{
	SHASH_DESC_ON_STACK(desc, h->shash);
	u8 mac[SHA256_DIGEST_SIZE];
	int err;

	desc->tfm = h->shash;
	err = crypto_shash_init(desc);
	if (!err)
		err = crypto_shash_update(desc, data, QVAULT_BLOCK_SIZE);
	if (!err)
		err = crypto_shash_finup(desc, (const u8 *)head, sizeof(*head), mac);
	if (!err)
		memcpy(tag, mac, QVAULT_TAG_SIZE);
	memzero_explicit(mac, sizeof(mac));
	shash_desc_zero(desc);
	return err;
}

/**
 * qvault_hmac_mac() - compute the tags of sealed blocks
 * @h: with a key
 * @n: how many
 * @head: what each block is
 * @data: their ciphertexts, a block of linear memory each
 * @tag: receives the tags
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno.
 */
int qvault_hmac_mac(struct qvault_hmac *h, u32 n, const struct qvault_disk_seal head[],
		    const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	int err = 0;
	u32 i = 0;

	for (; h->pairs && i + 2 <= n; i += 2)
		mac_pair(h, &head[i], &data[i], &tag[i]);
	for (; i < n && !err; i++)
		err = mac_one(h, &head[i], data[i], tag[i]);
	return err;
}
