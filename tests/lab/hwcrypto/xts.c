// SPDX-License-Identifier: GPL-2.0
/*
 * AES-XTS (IEEE 1619) of whole cipher blocks with the AES instructions, eight
 * blocks at a time.  Ciphertext stealing is not needed for sectors.
 */
#include <crypto/aes.h>
#include <crypto/internal/skcipher.h>
#include <crypto/xts.h>
#include <linux/module.h>

#include "hwcrypto.h"

#define WIDTH 8

struct xts_keys {
	struct crypto_aes_ctx data;
	struct crypto_aes_ctx tweak;
};

static __always_inline v2di key_of(const u32 *keys, unsigned int round)
{
	return *(const v2di_u *)&keys[4 * round];
}

static int xts_setkey(struct crypto_skcipher *tfm, const u8 *key, unsigned int bytes)
{
	struct xts_keys *keys = crypto_skcipher_ctx(tfm);
	int err;

	err = xts_verify_key(tfm, key, bytes);
	if (!err)
		err = aes_expandkey(&keys->data, key, bytes / 2);
	if (!err)
		err = aes_expandkey(&keys->tweak, key + bytes / 2, bytes / 2);
	return err;
}

static unsigned int rounds_of(const struct crypto_aes_ctx *ctx)
{
	return 6 + ctx->key_length / 4;
}

static v2di encrypt_one(const struct crypto_aes_ctx *ctx, v2di block)
{
	unsigned int last = rounds_of(ctx), i;

	block ^= key_of(ctx->key_enc, 0);
	for (i = 1; i < last; i++)
		block = __builtin_ia32_aesenc128(block, key_of(ctx->key_enc, i));
	return __builtin_ia32_aesenclast128(block, key_of(ctx->key_enc, last));
}

/* Multiply by x in GF(2^128), little-endian. */
static __always_inline v2di next_tweak(v2di t)
{
	v4si carry = (v4si)t >> 31;

	/* Lane 1 carries into lane 2, and lane 3 into lane 0 as x^128 = 0x87. */
	carry = __builtin_shuffle(carry, (v4si){ 3, 0, 1, 0 });
	carry &= (v4si){ 0x87, 0, 1, 0 };
	return (t + t) ^ (v2di)carry;
}

static __always_inline void crypt_wide(const u32 *keys, unsigned int last, bool encrypt,
				       const u8 *src, u8 *dst, v2di *tweak)
{
	v2di block[WIDTH], mask[WIDTH], key;
	unsigned int i, n;

#pragma GCC unroll 8
	for (n = 0; n < WIDTH; n++) {
		mask[n] = *tweak;
		*tweak = next_tweak(*tweak);
		block[n] = *(const v2di_u *)(src + 16 * n) ^ mask[n] ^ key_of(keys, 0);
	}
	for (i = 1; i < last; i++) {
		key = key_of(keys, i);
#pragma GCC unroll 8
		for (n = 0; n < WIDTH; n++)
			block[n] = encrypt ? __builtin_ia32_aesenc128(block[n], key) :
					     __builtin_ia32_aesdec128(block[n], key);
	}
	key = key_of(keys, last);
#pragma GCC unroll 8
	for (n = 0; n < WIDTH; n++) {
		block[n] = encrypt ? __builtin_ia32_aesenclast128(block[n], key) :
				     __builtin_ia32_aesdeclast128(block[n], key);
		*(v2di_u *)(dst + 16 * n) = block[n] ^ mask[n];
	}
}

static __always_inline void crypt_narrow(const u32 *keys, unsigned int last, bool encrypt,
					 const u8 *src, u8 *dst, v2di *tweak)
{
	v2di block = *(const v2di_u *)src ^ *tweak ^ key_of(keys, 0);
	unsigned int i;

	for (i = 1; i < last; i++)
		block = encrypt ? __builtin_ia32_aesenc128(block, key_of(keys, i)) :
				  __builtin_ia32_aesdec128(block, key_of(keys, i));
	block = encrypt ? __builtin_ia32_aesenclast128(block, key_of(keys, last)) :
			  __builtin_ia32_aesdeclast128(block, key_of(keys, last));
	*(v2di_u *)dst = block ^ *tweak;
	*tweak = next_tweak(*tweak);
}

static __always_inline void crypt_bytes(const u32 *keys, unsigned int last, bool encrypt,
					const u8 *src, u8 *dst, unsigned int bytes, v2di *tweak)
{
	for (; bytes >= 16 * WIDTH; bytes -= 16 * WIDTH) {
		crypt_wide(keys, last, encrypt, src, dst, tweak);
		src += 16 * WIDTH;
		dst += 16 * WIDTH;
	}
	for (; bytes >= 16; bytes -= 16) {
		crypt_narrow(keys, last, encrypt, src, dst, tweak);
		src += 16;
		dst += 16;
	}
}

static int xts_crypt(struct skcipher_request *req, bool encrypt)
{
	struct xts_keys *keys = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	unsigned int last = rounds_of(&keys->data), bytes;
	struct skcipher_walk walk;
	v2di tweak;
	int err;

	if (req->cryptlen < 16 || req->cryptlen % 16)
		return -EINVAL;
	err = skcipher_walk_virt(&walk, req, false);
	if (err)
		return err;
	tweak = encrypt_one(&keys->tweak, *(const v2di_u *)walk.iv);
	while ((bytes = walk.nbytes)) {
		if (bytes < walk.total)
			bytes = round_down(bytes, 16);
		if (encrypt)
			crypt_bytes(keys->data.key_enc, last, true, walk.src.virt.addr,
				    walk.dst.virt.addr, bytes, &tweak);
		else
			crypt_bytes(keys->data.key_dec, last, false, walk.src.virt.addr,
				    walk.dst.virt.addr, bytes, &tweak);
		err = skcipher_walk_done(&walk, walk.nbytes - bytes);
	}
	return err;
}

static int xts_encrypt(struct skcipher_request *req)
{
	return xts_crypt(req, true);
}

static int xts_decrypt(struct skcipher_request *req)
{
	return xts_crypt(req, false);
}

static struct skcipher_alg alg = {
	.base.cra_name = "xts(aes)",
	.base.cra_driver_name = "xts-aes-hw",
	.base.cra_priority = 5000,
	.base.cra_blocksize = AES_BLOCK_SIZE,
	.base.cra_ctxsize = sizeof(struct xts_keys),
	.base.cra_module = THIS_MODULE,
	.min_keysize = 2 * AES_MIN_KEY_SIZE,
	.max_keysize = 2 * AES_MAX_KEY_SIZE,
	.ivsize = AES_BLOCK_SIZE,
	.walksize = WIDTH * AES_BLOCK_SIZE,
	.setkey = xts_setkey,
	.encrypt = xts_encrypt,
	.decrypt = xts_decrypt,
};

int hw_xts_register(void)
{
	return crypto_register_skcipher(&alg);
}

void hw_xts_unregister(void)
{
	crypto_unregister_skcipher(&alg);
}
