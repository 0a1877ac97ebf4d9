// SPDX-License-Identifier: GPL-2.0
/*
 * Registers the drivers, and does not stay loaded unless each gives what the
 * kernel's generic one gives, for many lengths and alignments.
 */
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "hwcrypto.h"
#include "newer.h"

#define MOST	8192u
#define ROUNDS	200

struct buffers {
	u8 key[64], iv[16];
	u8 in[MOST + 16], out[2][MOST + 16];
};

static int one_cipher(const char *driver, struct buffers *b, unsigned int key_bytes,
		      unsigned int at, unsigned int bytes, bool encrypt, u8 *out)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(driver, 0, 0);
	struct skcipher_request *req;
	struct scatterlist from, to;
	DECLARE_CRYPTO_WAIT(wait);
	u8 iv[16];
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	memcpy(iv, b->iv, sizeof(iv));
	sg_init_one(&from, b->in + at, bytes);
	sg_init_one(&to, out, bytes);
	err = crypto_skcipher_setkey(tfm, b->key, key_bytes);
	req = skcipher_request_alloc(tfm, GFP_KERNEL);
	if (!err && req) {
		skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_SLEEP, crypto_req_done, &wait);
		skcipher_request_set_crypt(req, &from, &to, bytes, iv);
		err = crypto_wait_req(encrypt ? crypto_skcipher_encrypt(req) :
				      crypto_skcipher_decrypt(req), &wait);
	}
	skcipher_request_free(req);
	crypto_free_skcipher(tfm);
	return err;
}

static int one_hash(const char *driver, struct buffers *b, unsigned int at, unsigned int bytes,
		    unsigned int key_bytes, u8 *out)
{
	struct crypto_shash *tfm = crypto_alloc_shash(driver, 0, 0);
	unsigned int cut = bytes / 3;
	int err = 0;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	if (key_bytes)
		err = crypto_shash_setkey(tfm, b->key, key_bytes);
	if (!err) {
		SHASH_DESC_ON_STACK(desc, tfm);

		desc->tfm = tfm;
		err = crypto_shash_init(desc) ?:
		      crypto_shash_update(desc, b->in + at, cut) ?:
		      crypto_shash_finup(desc, b->in + at + cut, bytes - cut, out);
	}
	crypto_free_shash(tfm);
	return err;
}

static int differ(const char *what, const struct buffers *b, unsigned int bytes, int err)
{
	if (!err && memcmp(b->out[0], b->out[1], bytes))
		err = -EBADMSG;
	if (err)
		pr_err("hwcrypto: %s differs from the generic driver (%d)\n", what, err);
	return err;
}

/* Two messages that begin alike, with a block. */
static int two_hashes(struct buffers *b, unsigned int at, unsigned int bytes)
{
	unsigned int half = (bytes + 1) / 2;
	u8 *both[2] = { b->out[0], b->out[0] + SHA256_DIGEST_SIZE };
	const u8 *data[2] = { b->in + at, b->in + at + bytes - half };
	struct sha256_state begun, state;
	unsigned int i;

	sha256_init(&begun);
	sha256_update(&begun, b->key, SHA256_BLOCK_SIZE);
	sha256_finup_2x(&begun, data[0], data[1], half, both[0], both[1]);
	for (i = 0; i < 2; i++) {
		state = begun;
		sha256_update(&state, data[i], half);
		sha256_final(&state, b->out[1] + i * SHA256_DIGEST_SIZE);
	}
	return differ("sha256_finup_2x", b, 2 * SHA256_DIGEST_SIZE, 0);
}

static int compare(struct buffers *b, unsigned int round)
{
	unsigned int bytes = 1 + get_random_u32_below(MOST), at = round % 16;
	unsigned int whole = round_up(bytes, 16);
	bool encrypt = round & 1;
	int err;

	get_random_bytes(b, offsetof(struct buffers, out));
	err = one_cipher("xts-aes-hw", b, 64, at, whole, encrypt, b->out[0]) ?:
	      one_cipher("xts(ecb(aes-generic))", b, 64, at, whole, encrypt, b->out[1]);
	err = differ("xts(aes)", b, whole, err);
	if (err)
		return err;
	/* The template makes the bare cipher's tests as well, in both directions. */
	err = one_cipher("ecb(aes-hw)", b, 32, at, whole, encrypt, b->out[0]) ?:
	      one_cipher("ecb(aes-generic)", b, 32, at, whole, encrypt, b->out[1]);
	err = differ("aes", b, whole, err);
	if (err)
		return err;
	/* Now and then a counter that overflows, into its upper half too. */
	if (round % 4 == 0)
		memset(b->iv + round % 3, 0xff, sizeof(b->iv) - round % 3);
	err = one_cipher("ctr-aes-hw", b, 32, at, bytes, encrypt, b->out[0]) ?:
	      one_cipher("ctr(aes-generic)", b, 32, at, bytes, encrypt, b->out[1]);
	err = differ("ctr(aes)", b, bytes, err);
	if (err)
		return err;
	err = one_hash("sha256-hw", b, at, bytes, 0, b->out[0]) ?:
	      one_hash("sha256-generic", b, at, bytes, 0, b->out[1]);
	err = differ("sha256", b, 32, err);
	if (err)
		return err;
	err = two_hashes(b, at, bytes);
	if (err)
		return err;
	err = one_hash("ghash-hw", b, at, bytes, 16, b->out[0]) ?:
	      one_hash("ghash-generic", b, at, bytes, 16, b->out[1]);
	return differ("ghash", b, 16, err);
}

static int compare_all(void)
{
	struct buffers *b = kmalloc(sizeof(*b), GFP_KERNEL);
	unsigned int round;
	int err = b ? 0 : -ENOMEM;

	for (round = 0; round < ROUNDS && !err; round++)
		err = compare(b, round);
	kfree(b);
	return err;
}

static int __init hwcrypto_init(void)
{
	int err;

	err = hw_aes_register();
	if (err)
		return err;
	err = hw_xts_register();
	if (err)
		goto no_xts;
	err = hw_sha256_register();
	if (err)
		goto no_sha256;
	err = hw_ghash_register();
	if (err)
		goto no_ghash;
	err = compare_all();
	if (!err)
		return 0;
	hw_ghash_unregister();
no_ghash:
	hw_sha256_unregister();
no_sha256:
	hw_xts_unregister();
no_xts:
	hw_aes_unregister();
	return err;
}

static void __exit hwcrypto_exit(void)
{
	hw_ghash_unregister();
	hw_sha256_unregister();
	hw_xts_unregister();
	hw_aes_unregister();
}

module_init(hwcrypto_init);
module_exit(hwcrypto_exit);
MODULE_DESCRIPTION("Test only: ciphers of the host's processor for User Mode Linux");
MODULE_LICENSE("GPL");
