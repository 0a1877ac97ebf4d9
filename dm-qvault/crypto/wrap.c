// SPDX-License-Identifier: GPL-2.0
/*
 * AES Key Wrap (RFC 3394) of the secrets of generations, under AES-256.  The crypto API
 * had it as kw(aes), and newer kernels do not; it is not worth more than a loop.
 */
#include <crypto/aes.h>
#include <crypto/algapi.h>
#include <crypto/skcipher.h>
#include <linux/scatterlist.h>

#include "crypto.h"

#define SEMIBLOCK	8u
#define PARTS		(QVAULT_SECRET_SIZE / SEMIBLOCK)
#define ROUNDS		6u
/* The initial value, section 2.2.3.1: what it opens to says whether it is intact. */
#define INITIAL		0xa6a6a6a6a6a6a6a6ull

struct qvault_wrap {
	struct crypto_skcipher *cipher;
	struct skcipher_request *req;
	struct scatterlist sg;
	u8 block[AES_BLOCK_SIZE];	/* on the heap: see nhpoly.c */
};

/**
 * qvault_wrap_new() - the cipher, without a key yet
 *
 * Context: May sleep.
 * Return: What qvault_wrap_free() takes, or an ERR_PTR().
 */
struct qvault_wrap *qvault_wrap_new(void)
{
	struct qvault_wrap *w = kzalloc(sizeof(*w), GFP_KERNEL);
	struct crypto_skcipher *cipher;

	if (!w)
		return ERR_PTR(-ENOMEM);
	cipher = crypto_alloc_skcipher("ecb(aes)", 0, QVAULT_CRYPTO_UNWANTED);
	if (IS_ERR(cipher)) {
		kfree(w);
		return ERR_CAST(cipher);
	}
	w->cipher = cipher;
	w->req = skcipher_request_alloc(cipher, GFP_KERNEL);
	if (w->req)
		return w;
	qvault_wrap_free(w);
	return ERR_PTR(-ENOMEM);
}

/**
 * qvault_wrap_free() - forget it and its key
 * @w: complete, half-built or NULL
 *
 * Context: May sleep.
 */
void qvault_wrap_free(struct qvault_wrap *w)
{
	if (!w)
		return;
	skcipher_request_free(w->req);
	crypto_free_skcipher(w->cipher);
	kfree_sensitive(w);
}

/* Context: May sleep; nothing else uses @w, here and below. */
int qvault_wrap_setkey(struct qvault_wrap *w, const u8 *key)
{
	return crypto_skcipher_setkey(w->cipher, key, AES_KEYSIZE_256);
}

static u64 get_be64(const u8 *from)
{
	__be64 x;

	memcpy(&x, from, sizeof(x));
	return be64_to_cpu(x);
}

static void put_be64(u64 value, u8 *to)
{
	__be64 x = cpu_to_be64(value);

	memcpy(to, &x, sizeof(x));
}

/* One block in place. */
static int crypt(struct qvault_wrap *w, bool encrypt)
{
	DECLARE_CRYPTO_WAIT(wait);

	sg_init_one(&w->sg, w->block, AES_BLOCK_SIZE);
	skcipher_request_set_callback(w->req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(w->req, &w->sg, &w->sg, AES_BLOCK_SIZE, NULL);
	return crypto_wait_req(encrypt ? crypto_skcipher_encrypt(w->req) :
					 crypto_skcipher_decrypt(w->req), &wait);
}

/* Step @t of section 2.2.1 or 2.2.2: what is in front, and part @part. */
static int step(struct qvault_wrap *w, bool encrypt, u64 t, u64 *front, u8 *part)
{
	int err;

	put_be64(encrypt ? *front : *front ^ t, w->block);
	memcpy(w->block + SEMIBLOCK, part, SEMIBLOCK);
	err = crypt(w, encrypt);
	*front = get_be64(w->block);
	if (encrypt)
		*front ^= t;
	memcpy(part, w->block + SEMIBLOCK, SEMIBLOCK);
	return err;
}

/**
 * qvault_wrap_seal() - wrap a secret
 * @w: with a key
 * @secret: QVAULT_SECRET_SIZE bytes
 * @wrapped: receives QVAULT_WRAPPED_SIZE bytes
 *
 * Return: 0 or a negative errno.
 */
int qvault_wrap_seal(struct qvault_wrap *w, const u8 *secret, u8 *wrapped)
{
	u8 *part = wrapped + SEMIBLOCK;
	u64 front = INITIAL;
	int err = 0;
	u32 t;

	memcpy(part, secret, QVAULT_SECRET_SIZE);
	for (t = 1; t <= ROUNDS * PARTS && !err; t++)
		err = step(w, true, t, &front, part + (t - 1) % PARTS * SEMIBLOCK);
	put_be64(front, wrapped);
	memzero_explicit(w->block, sizeof(w->block));
	if (err)
		memzero_explicit(wrapped, QVAULT_WRAPPED_SIZE);
	return err;
}

/**
 * qvault_wrap_open() - unwrap a secret
 * @w: with a key
 * @wrapped: QVAULT_WRAPPED_SIZE bytes
 * @secret: receives QVAULT_SECRET_SIZE bytes; the caller wipes them
 *
 * Return: 0; -EUCLEAN if it was not wrapped under this key; or another negative errno.
 */
int qvault_wrap_open(struct qvault_wrap *w, const u8 *wrapped, u8 *secret)
{
	const u64 initial = INITIAL;
	u64 front = get_be64(wrapped);
	int err = 0;
	u32 t;

	memcpy(secret, wrapped + SEMIBLOCK, QVAULT_SECRET_SIZE);
	for (t = ROUNDS * PARTS; t && !err; t--)
		err = step(w, false, t, &front, secret + (t - 1) % PARTS * SEMIBLOCK);
	if (!err && crypto_memneq(&front, &initial, sizeof(front)))
		err = -EUCLEAN;
	memzero_explicit(w->block, sizeof(w->block));
	return err;
}
