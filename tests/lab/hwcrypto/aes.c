// SPDX-License-Identifier: GPL-2.0
/*
 * AES (FIPS 197) with the AES instructions: the bare cipher, and in counter mode,
 * of which the kernel's gcm template makes GCM together with GHASH.
 */
#include <crypto/aes.h>
#include <crypto/internal/cipher.h>
#include <crypto/internal/skcipher.h>
#include <linux/module.h>
#include <linux/unaligned.h>

#include "hwcrypto.h"

#define WIDTH 8

static __always_inline v2di key_of(const u32 *keys, unsigned int round)
{
	return *(const v2di_u *)&keys[4 * round];
}

static unsigned int rounds_of(const struct crypto_aes_ctx *ctx)
{
	return 6 + ctx->key_length / 4;
}

/* ---- One block ---- */

static int cipher_setkey(struct crypto_tfm *tfm, const u8 *key, unsigned int bytes)
{
	return aes_expandkey(crypto_tfm_ctx(tfm), key, bytes);
}

static v2di encrypt_one(const struct crypto_aes_ctx *ctx, v2di block)
{
	unsigned int last = rounds_of(ctx), i;

	block ^= key_of(ctx->key_enc, 0);
	for (i = 1; i < last; i++)
		block = __builtin_ia32_aesenc128(block, key_of(ctx->key_enc, i));
	return __builtin_ia32_aesenclast128(block, key_of(ctx->key_enc, last));
}

static void cipher_encrypt(struct crypto_tfm *tfm, u8 *dst, const u8 *src)
{
	*(v2di_u *)dst = encrypt_one(crypto_tfm_ctx(tfm), *(const v2di_u *)src);
}

static void cipher_decrypt(struct crypto_tfm *tfm, u8 *dst, const u8 *src)
{
	const struct crypto_aes_ctx *ctx = crypto_tfm_ctx(tfm);
	unsigned int last = rounds_of(ctx), i;
	v2di block = *(const v2di_u *)src ^ key_of(ctx->key_dec, 0);

	for (i = 1; i < last; i++)
		block = __builtin_ia32_aesdec128(block, key_of(ctx->key_dec, i));
	*(v2di_u *)dst = __builtin_ia32_aesdeclast128(block, key_of(ctx->key_dec, last));
}

static struct crypto_alg cipher = {
	.cra_name = "aes",
	.cra_driver_name = "aes-hw",
	.cra_priority = 5000,
	.cra_flags = CRYPTO_ALG_TYPE_CIPHER,
	.cra_blocksize = AES_BLOCK_SIZE,
	.cra_ctxsize = sizeof(struct crypto_aes_ctx),
	.cra_module = THIS_MODULE,
	.cra_cipher = {
		.cia_min_keysize = AES_MIN_KEY_SIZE,
		.cia_max_keysize = AES_MAX_KEY_SIZE,
		.cia_setkey = cipher_setkey,
		.cia_encrypt = cipher_encrypt,
		.cia_decrypt = cipher_decrypt,
	},
};

/* ---- Counter mode: the whole of the block counts, its last byte the fastest ---- */

struct counter {
	u64 high, low;
};

static int ctr_setkey(struct crypto_skcipher *tfm, const u8 *key, unsigned int bytes)
{
	return aes_expandkey(crypto_skcipher_ctx(tfm), key, bytes);
}

static __always_inline v2di next_block(struct counter *counter)
{
	v2di block = { swab64(counter->high), swab64(counter->low) };

	counter->high += !++counter->low;
	return block;
}

static void crypt_wide(const struct crypto_aes_ctx *ctx, struct counter *counter, const u8 *src,
		       u8 *dst)
{
	unsigned int last = rounds_of(ctx), i, n;
	v2di block[WIDTH], key = key_of(ctx->key_enc, 0);

#pragma GCC unroll 8
	for (n = 0; n < WIDTH; n++)
		block[n] = next_block(counter) ^ key;
	for (i = 1; i < last; i++) {
		key = key_of(ctx->key_enc, i);
#pragma GCC unroll 8
		for (n = 0; n < WIDTH; n++)
			block[n] = __builtin_ia32_aesenc128(block[n], key);
	}
	key = key_of(ctx->key_enc, last);
#pragma GCC unroll 8
	for (n = 0; n < WIDTH; n++)
		*(v2di_u *)(dst + 16 * n) = *(const v2di_u *)(src + 16 * n) ^
					    __builtin_ia32_aesenclast128(block[n], key);
}

static void crypt_bytes(const struct crypto_aes_ctx *ctx, struct counter *counter, const u8 *src,
			u8 *dst, unsigned int bytes)
{
	u8 stream[AES_BLOCK_SIZE] __aligned(16);
	unsigned int n;

	for (; bytes >= 16 * WIDTH; bytes -= 16 * WIDTH) {
		crypt_wide(ctx, counter, src, dst);
		src += 16 * WIDTH;
		dst += 16 * WIDTH;
	}
	for (; bytes; bytes -= n) {
		n = min_t(unsigned int, bytes, AES_BLOCK_SIZE);
		*(v2di *)stream = encrypt_one(ctx, next_block(counter));
		crypto_xor_cpy(dst, src, stream, n);
		src += n;
		dst += n;
	}
}

static int ctr_crypt(struct skcipher_request *req)
{
	struct crypto_aes_ctx *ctx = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	struct skcipher_walk walk;
	struct counter counter;
	unsigned int bytes;
	int err;

	err = skcipher_walk_virt(&walk, req, false);
	while (!err && (bytes = walk.nbytes)) {
		if (bytes < walk.total)
			bytes = round_down(bytes, AES_BLOCK_SIZE);
		counter.high = get_unaligned_be64(walk.iv);
		counter.low = get_unaligned_be64(walk.iv + 8);
		crypt_bytes(ctx, &counter, walk.src.virt.addr, walk.dst.virt.addr, bytes);
		put_unaligned_be64(counter.high, walk.iv);
		put_unaligned_be64(counter.low, walk.iv + 8);
		err = skcipher_walk_done(&walk, walk.nbytes - bytes);
	}
	return err;
}

static struct skcipher_alg ctr = {
	.base.cra_name = "ctr(aes)",
	.base.cra_driver_name = "ctr-aes-hw",
	.base.cra_priority = 5000,
	.base.cra_blocksize = 1,
	.base.cra_ctxsize = sizeof(struct crypto_aes_ctx),
	.base.cra_module = THIS_MODULE,
	.min_keysize = AES_MIN_KEY_SIZE,
	.max_keysize = AES_MAX_KEY_SIZE,
	.ivsize = AES_BLOCK_SIZE,
	.chunksize = AES_BLOCK_SIZE,
	.walksize = WIDTH * AES_BLOCK_SIZE,
	.setkey = ctr_setkey,
	.encrypt = ctr_crypt,
	.decrypt = ctr_crypt,
};

int hw_aes_register(void)
{
	int err = crypto_register_alg(&cipher);

	if (err)
		return err;
	err = crypto_register_skcipher(&ctr);
	if (err)
		crypto_unregister_alg(&cipher);
	return err;
}

void hw_aes_unregister(void)
{
	crypto_unregister_skcipher(&ctr);
	crypto_unregister_alg(&cipher);
}
