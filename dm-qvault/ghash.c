// SPDX-License-Identifier: GPL-2.0
/*
 * The fast MAC, hash then encrypt: AES_K2(GHASH_K1(head || ciphertext)).
 *
 * GHASH (NIST SP 800-38D, section 6.4) of messages that are all of one length is
 * an almost universal hash; behind a block cipher that makes a pseudorandom
 * function up to the birthday bound, which needs no nonce.  Documentation/mac.rst
 * has the argument and the numbers.
 *
 * Newer kernels have both parts as functions, older ones as algorithms of the
 * crypto API.  There the driver that uses carry-less multiplication calls itself
 * asynchronous; see crypto.c for why such are asked for.
 */
#include <crypto/aes.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/scatterlist.h>

#include "platform.h"

#define MESSAGE_SIZE	(sizeof(struct qvault_disk_seal) + QVAULT_BLOCK_SIZE)

#ifdef QVAULT_HAVE_GHASH_LIB

struct qvault_ghash {
	struct ghash_key hash;
	struct aes_enckey cipher;
};

static int alloc_parts(struct qvault_ghash *g)
{
	return 0;
}

static void free_parts(struct qvault_ghash *g)
{
}

/**
 * qvault_ghash_setkey() - set both keys
 * @g: from qvault_ghash_new()
 * @hash_key: QVAULT_GHASH_KEY_SIZE bytes
 * @cipher_key: AES_KEYSIZE_256 bytes
 *
 * Context: May sleep.  Nothing else uses @g.
 * Return: 0 or a negative errno.
 */
int qvault_ghash_setkey(struct qvault_ghash *g, const u8 *hash_key,
			const u8 *cipher_key)
{
	ghash_preparekey(&g->hash, hash_key);
	return aes_prepareenckey(&g->cipher, cipher_key, AES_KEYSIZE_256);
}

/**
 * qvault_ghash_mac() - compute the tag of a sealed block
 * @g: with keys
 * @head: what the block is
 * @data: its ciphertext, one block of linear memory
 * @tag: receives the tag
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno.
 */
int qvault_ghash_mac(struct qvault_ghash *g, const struct qvault_disk_seal *head,
		     const void *data, u8 tag[QVAULT_TAG_SIZE])
{
	struct ghash_ctx ctx;
	u8 sum[GHASH_DIGEST_SIZE];

	ghash_init(&ctx, &g->hash);
	ghash_update(&ctx, (const u8 *)head, sizeof(*head));
	ghash_update(&ctx, data, QVAULT_BLOCK_SIZE);
	ghash_final(&ctx, sum);
	aes_encrypt(&g->cipher, tag, sum);
	/* A GHASH and its message give the key away. */
	memzero_explicit(sum, sizeof(sum));
	memzero_explicit(&ctx, sizeof(ctx));
	return 0;
}

#else /* the crypto API */

/* Requests kept for bad times: one lets everybody go on, one by one. */
#define MIN_REQUESTS	QVAULT_LEAST_OR(4)

struct qvault_ghash {
	struct crypto_ahash *hash;
	struct crypto_skcipher *cipher;
	mempool_t requests;
	size_t request_size;
};

/* On the heap, since drivers find buffers by their pages. */
struct request {
	struct qvault_disk_seal head;
	u8 sum[AES_BLOCK_SIZE];
	struct scatterlist sg[2];
	struct crypto_wait wait;
	union {				/* one after the other; their contexts follow */
		struct ahash_request hash;
		struct skcipher_request cipher;
	};
};

static int alloc_parts(struct qvault_ghash *g)
{
	struct crypto_skcipher *cipher;
	struct crypto_ahash *hash;

	hash = crypto_alloc_ahash("ghash", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(hash))
		return PTR_ERR(hash);
	g->hash = hash;
	cipher = crypto_alloc_skcipher("ecb(aes)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(cipher))
		return PTR_ERR(cipher);
	g->cipher = cipher;
	g->request_size = sizeof(struct request) +
			  max(crypto_ahash_reqsize(hash),
			      crypto_skcipher_reqsize(cipher));
	return qvault_pool_init(&g->requests, MIN_REQUESTS, g->request_size);
}

static void free_parts(struct qvault_ghash *g)
{
	mempool_exit(&g->requests);
	crypto_free_skcipher(g->cipher);
	crypto_free_ahash(g->hash);
}

int qvault_ghash_setkey(struct qvault_ghash *g, const u8 *hash_key,
			const u8 *cipher_key)
{
	return crypto_ahash_setkey(g->hash, hash_key, QVAULT_GHASH_KEY_SIZE) ?:
	       crypto_skcipher_setkey(g->cipher, cipher_key, AES_KEYSIZE_256);
}

static int hash(struct qvault_ghash *g, struct request *r, const void *data)
{
	sg_init_table(r->sg, ARRAY_SIZE(r->sg));
	sg_set_buf(&r->sg[0], &r->head, sizeof(r->head));
	sg_set_buf(&r->sg[1], data, QVAULT_BLOCK_SIZE);
	ahash_request_set_tfm(&r->hash, g->hash);
	/* Not MAY_SLEEP: as in qvault_crypto_xts(). */
	ahash_request_set_callback(&r->hash, CRYPTO_TFM_REQ_MAY_BACKLOG,
				   crypto_req_done, &r->wait);
	ahash_request_set_crypt(&r->hash, r->sg, r->sum, MESSAGE_SIZE);
	return crypto_wait_req(crypto_ahash_digest(&r->hash), &r->wait);
}

static int encrypt(struct qvault_ghash *g, struct request *r)
{
	sg_init_one(&r->sg[0], r->sum, sizeof(r->sum));
	skcipher_request_set_tfm(&r->cipher, g->cipher);
	skcipher_request_set_callback(&r->cipher, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      crypto_req_done, &r->wait);
	skcipher_request_set_crypt(&r->cipher, &r->sg[0], &r->sg[0],
				   sizeof(r->sum), NULL);
	return crypto_wait_req(crypto_skcipher_encrypt(&r->cipher), &r->wait);
}

int qvault_ghash_mac(struct qvault_ghash *g, const struct qvault_disk_seal *head,
		     const void *data, u8 tag[QVAULT_TAG_SIZE])
{
	struct request *r = mempool_alloc(&g->requests, GFP_NOIO);
	int err;

	r->head = *head;
	crypto_init_wait(&r->wait);
	err = hash(g, r, data);
	if (!err)
		err = encrypt(g, r);
	if (!err)
		memcpy(tag, r->sum, QVAULT_TAG_SIZE);
	/*
	 * All of it: the driver's state holds the GHASH too, and that and its
	 * message give the key away.
	 */
	memzero_explicit(r, g->request_size);
	mempool_free(r, &g->requests);
	return err;
}

#endif

/**
 * qvault_ghash_new() - the fast MAC, without keys yet
 *
 * Context: May sleep.
 * Return: What qvault_ghash_free() takes, or an ERR_PTR(); -ENOENT if this kernel
 * has no GHASH.
 */
struct qvault_ghash *qvault_ghash_new(void)
{
	struct qvault_ghash *g = kzalloc(sizeof(*g), GFP_KERNEL);
	int err;

	if (!g)
		return ERR_PTR(-ENOMEM);
	err = alloc_parts(g);
	if (!err)
		return g;
	qvault_ghash_free(g);
	return ERR_PTR(err);
}

/**
 * qvault_ghash_free() - forget it and its keys
 * @g: complete, half-built or NULL
 *
 * Context: May sleep.
 */
void qvault_ghash_free(struct qvault_ghash *g)
{
	if (!g)
		return;
	free_parts(g);
	kfree_sensitive(g);
}
