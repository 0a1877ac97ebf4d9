// SPDX-License-Identifier: GPL-2.0
/*
 * The fast MAC, hash then encrypt: AES_K2(NHPoly1305_K1(ciphertext || head)).
 *
 * NHPoly1305 is the hash of Adiantum.  NH makes 32 bytes of each 1,024, by
 * multiplications of 32 bits that do not wait for each other; these are the
 * coefficients of a polynomial modulo 2^130 - 5.  For messages of one length it is
 * almost universal, and behind a block cipher that makes a pseudorandom function
 * up to the birthday bound, which needs no nonce.  Documentation/mac.rst has the
 * argument and the numbers.
 *
 * The ciphertext comes first: so each unit of NH stands in the block in one piece.
 *
 * Newer kernels have the parts as functions, older ones as algorithms of the
 * crypto API.  There the driver that uses the instructions for AES calls itself
 * asynchronous; see crypto.c for why such are asked for.
 */
#include <crypto/aes.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/scatterlist.h>

#include "crypto.h"

#ifdef QVAULT_HAVE_NH_LIB

#define NH_UNITS	(QVAULT_BLOCK_SIZE / NH_MESSAGE_BYTES)

static_assert(POLY1305_BLOCK_SIZE + NH_KEY_BYTES == QVAULT_NH_KEY_SIZE);

struct qvault_nhpoly {
	struct poly1305_core_key poly;
	u32 nh[NH_KEY_WORDS];
	struct aes_enckey cipher;
};

static int alloc_parts(struct qvault_nhpoly *m)
{
	return 0;
}

static void free_parts(struct qvault_nhpoly *m)
{
}

/**
 * qvault_nhpoly_setkey() - set both keys
 * @m: from qvault_nhpoly_new()
 * @hash_key: QVAULT_NH_KEY_SIZE bytes: Poly1305's, then NH's
 * @cipher_key: AES_KEYSIZE_256 bytes
 *
 * Context: May sleep.  Nothing else uses @m.
 * Return: 0 or a negative errno.
 */
int qvault_nhpoly_setkey(struct qvault_nhpoly *m, const u8 *hash_key,
			 const u8 *cipher_key)
{
	u32 i;

	poly1305_core_setkey(&m->poly, hash_key);
	hash_key += POLY1305_BLOCK_SIZE;
	for (i = 0; i < NH_KEY_WORDS; i++)
		m->nh[i] = get_unaligned_le32(hash_key + i * sizeof(u32));
	return aes_prepareenckey(&m->cipher, cipher_key, AES_KEYSIZE_256);
}

static void mac_one(const struct qvault_nhpoly *m,
		    const struct qvault_disk_seal *head, const u8 *data,
		    u8 tag[QVAULT_TAG_SIZE])
{
	__le64 unit[NH_UNITS + 1][NH_NUM_PASSES];
	struct poly1305_state state;
	u8 sum[AES_BLOCK_SIZE];
	u32 i;

	for (i = 0; i < NH_UNITS; i++)
		nh(m->nh, data + i * NH_MESSAGE_BYTES, NH_MESSAGE_BYTES, unit[i]);
	nh(m->nh, (const u8 *)head, sizeof(*head), unit[NH_UNITS]);
	poly1305_core_init(&state);
	poly1305_core_blocks(&state, &m->poly, unit,
			     sizeof(unit) / POLY1305_BLOCK_SIZE, 1);
	poly1305_core_emit(&state, NULL, sum);
	aes_encrypt(&m->cipher, tag, sum);
	/* What NH gives, or the hash, and the message give the keys away. */
	memzero_explicit(unit, sizeof(unit));
	memzero_explicit(&state, sizeof(state));
	memzero_explicit(sum, sizeof(sum));
}

/**
 * qvault_nhpoly_mac() - compute the tags of sealed blocks
 * @m: with keys
 * @n: how many, 1..QVAULT_MAX_SEAL
 * @head: what each block is
 * @data: their ciphertexts, a block of linear memory each
 * @tag: receives the tags
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno.
 */
int qvault_nhpoly_mac(struct qvault_nhpoly *m, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	u32 i;

	for (i = 0; i < n; i++)
		mac_one(m, &head[i], data[i], tag[i]);
	return 0;
}

#else /* the crypto API */

/* Requests kept for bad times: one lets everybody go on, one by one. */
#define MIN_REQUESTS	QVAULT_LEAST_OR(4)

struct qvault_nhpoly {
	struct crypto_shash *hash;
	struct crypto_skcipher *cipher;
	mempool_t requests;
	size_t request_size;
};

/* On the heap, since drivers find buffers by their pages. */
struct request {
	u8 sum[QVAULT_MAX_SEAL][AES_BLOCK_SIZE];
	struct scatterlist sg;
	struct crypto_wait wait;
	union {				/* one after the other; their contexts follow */
		struct shash_desc hash;
		struct skcipher_request cipher;
	};
};

static int alloc_parts(struct qvault_nhpoly *m)
{
	struct crypto_skcipher *cipher;
	struct crypto_shash *hash;

	hash = crypto_alloc_shash("nhpoly1305", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(hash))
		return PTR_ERR(hash);
	m->hash = hash;
	cipher = crypto_alloc_skcipher("ecb(aes)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(cipher))
		return PTR_ERR(cipher);
	m->cipher = cipher;
	m->request_size = sizeof(struct request) +
			  max(crypto_shash_descsize(hash),
			      crypto_skcipher_reqsize(cipher));
	return qvault_pool_init(&m->requests, MIN_REQUESTS, m->request_size);
}

static void free_parts(struct qvault_nhpoly *m)
{
	mempool_exit(&m->requests);
	crypto_free_skcipher(m->cipher);
	crypto_free_shash(m->hash);
}

int qvault_nhpoly_setkey(struct qvault_nhpoly *m, const u8 *hash_key,
			 const u8 *cipher_key)
{
	return crypto_shash_setkey(m->hash, hash_key, QVAULT_NH_KEY_SIZE) ?:
	       crypto_skcipher_setkey(m->cipher, cipher_key, AES_KEYSIZE_256);
}

static int hash(struct qvault_nhpoly *m, struct request *r,
		const struct qvault_disk_seal *head, const void *data, u8 *sum)
{
	r->hash.tfm = m->hash;
	return crypto_shash_init(&r->hash) ?:
	       crypto_shash_update(&r->hash, data, QVAULT_BLOCK_SIZE) ?:
	       crypto_shash_finup(&r->hash, (const u8 *)head, sizeof(*head), sum);
}

/* The sums of @n blocks in one call: most of the time it takes is the call. */
static int encrypt(struct qvault_nhpoly *m, struct request *r, u32 n)
{
	crypto_init_wait(&r->wait);
	sg_init_one(&r->sg, r->sum, n * AES_BLOCK_SIZE);
	skcipher_request_set_tfm(&r->cipher, m->cipher);
	/* Not MAY_SLEEP: as in qvault_crypto_xts(). */
	skcipher_request_set_callback(&r->cipher, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      crypto_req_done, &r->wait);
	skcipher_request_set_crypt(&r->cipher, &r->sg, &r->sg,
				   n * AES_BLOCK_SIZE, NULL);
	return crypto_wait_req(crypto_skcipher_encrypt(&r->cipher), &r->wait);
}

int qvault_nhpoly_mac(struct qvault_nhpoly *m, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	struct request *r = mempool_alloc(&m->requests, GFP_NOIO);
	int err = 0;
	u32 i;

	for (i = 0; i < n && !err; i++)
		err = hash(m, r, &head[i], data[i], r->sum[i]);
	if (!err)
		err = encrypt(m, r, n);
	if (!err)
		memcpy(tag, r->sum, n * QVAULT_TAG_SIZE);
	/*
	 * All of it: the driver's state holds what NH gave and the hash too, and
	 * these and the message give the keys away.
	 */
	memzero_explicit(r, m->request_size);
	mempool_free(r, &m->requests);
	return err;
}

#endif

/**
 * qvault_nhpoly_new() - the fast MAC, without keys yet
 *
 * Context: May sleep.
 * Return: What qvault_nhpoly_free() takes, or an ERR_PTR(); -ENOENT if this kernel
 * has no NHPoly1305.
 */
struct qvault_nhpoly *qvault_nhpoly_new(void)
{
	struct qvault_nhpoly *m = kzalloc(sizeof(*m), GFP_KERNEL);
	int err;

	if (!m)
		return ERR_PTR(-ENOMEM);
	err = alloc_parts(m);
	if (!err)
		return m;
	qvault_nhpoly_free(m);
	return ERR_PTR(err);
}

/**
 * qvault_nhpoly_free() - forget it and its keys
 * @m: complete, half-built or NULL
 *
 * Context: May sleep.
 */
void qvault_nhpoly_free(struct qvault_nhpoly *m)
{
	if (!m)
		return;
	free_parts(m);
	kfree_sensitive(m);
}
