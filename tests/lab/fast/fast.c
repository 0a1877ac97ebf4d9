// SPDX-License-Identifier: GPL-2.0
/*
 * xts(aes) and sha256 by the processor's own instructions, for guests in User
 * Mode Linux.  These have only the generic ciphers, which take most of the time
 * of a check that reads whole volumes.  In UML the kernel is a process like any
 * other: vector registers need no permission, and signals save them.
 *
 * Both are compared with the generic ones before they are offered to anybody.
 */
#define _MM_MALLOC_H_INCLUDED	/* it would want stdlib.h */
#include <crypto/aes.h>
#include <crypto/internal/hash.h>
#include <crypto/internal/skcipher.h>
#include <crypto/sha256_base.h>
#include <crypto/xts.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <immintrin.h>

/* ---- XTS ---------------------------------------------------------------- */

/* Blocks under way at once, in registers: an aesenc takes some cycles. */
#define LANES	8
#define UNROLL	_Pragma("GCC unroll 8")

struct xts_key {
	struct crypto_aes_ctx data, tweak;
};

static __m128i load(const void *at)
{
	return _mm_loadu_si128(at);
}

static __m128i encrypt_one(const struct crypto_aes_ctx *key, __m128i x)
{
	u32 rounds = 6 + key->key_length / 4, i;

	x = _mm_xor_si128(x, load(key->key_enc));
	for (i = 1; i < rounds; i++)
		x = _mm_aesenc_si128(x, load(key->key_enc + 4 * i));
	return _mm_aesenclast_si128(x, load(key->key_enc + 4 * rounds));
}

static __m128i times_alpha(__m128i t)
{
	/* The carry of each half: into the upper one, and around by 0x87. */
	__m128i carry = _mm_srai_epi32(_mm_shuffle_epi32(t, 0x13), 31);

	carry = _mm_and_si128(carry, _mm_set_epi32(0, 1, 0, 0x87));
	return _mm_xor_si128(_mm_add_epi64(t, t), carry);
}

static __always_inline __m128i xts_blocks(const struct crypto_aes_ctx *key,
					  bool encrypt, __m128i t,
					  const u8 *in, u8 *out, u32 n)
{
	const u32 *round_key = encrypt ? key->key_enc : key->key_dec;
	u32 rounds = 6 + key->key_length / 4, i, j;
	__m128i x[LANES], tweak[LANES], k;

	UNROLL
	for (j = 0; j < n; j++) {
		tweak[j] = t;
		t = times_alpha(t);
		x[j] = _mm_xor_si128(_mm_xor_si128(load(in + 16 * j), tweak[j]),
				     load(round_key));
	}
	for (i = 1; i < rounds; i++) {
		k = load(round_key + 4 * i);
		UNROLL
		for (j = 0; j < n; j++)
			x[j] = encrypt ? _mm_aesenc_si128(x[j], k) :
					 _mm_aesdec_si128(x[j], k);
	}
	k = load(round_key + 4 * rounds);
	UNROLL
	for (j = 0; j < n; j++) {
		x[j] = encrypt ? _mm_aesenclast_si128(x[j], k) :
				 _mm_aesdeclast_si128(x[j], k);
		_mm_storeu_si128((void *)(out + 16 * j),
				 _mm_xor_si128(x[j], tweak[j]));
	}
	return t;
}

static __always_inline int xts_crypt(struct skcipher_request *req, bool encrypt)
{
	const struct xts_key *key =
		crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	struct skcipher_walk walk;
	const u8 *in;
	__m128i t;
	u8 *out;
	u32 n;
	int err;

	if (!req->cryptlen || req->cryptlen % AES_BLOCK_SIZE)
		return -EINVAL;
	err = skcipher_walk_virt(&walk, req, false);
	if (err)
		return err;
	t = encrypt_one(&key->tweak, load(walk.iv));
	while (walk.nbytes) {
		in = walk.src.virt.addr;
		out = walk.dst.virt.addr;
		for (n = walk.nbytes / AES_BLOCK_SIZE; n >= LANES; n -= LANES) {
			t = xts_blocks(&key->data, encrypt, t, in, out, LANES);
			in += LANES * AES_BLOCK_SIZE;
			out += LANES * AES_BLOCK_SIZE;
		}
		for (; n; n--) {
			t = xts_blocks(&key->data, encrypt, t, in, out, 1);
			in += AES_BLOCK_SIZE;
			out += AES_BLOCK_SIZE;
		}
		err = skcipher_walk_done(&walk, walk.nbytes % AES_BLOCK_SIZE);
		if (err)
			return err;
	}
	return 0;
}

static int xts_encrypt(struct skcipher_request *req)
{
	return xts_crypt(req, true);
}

static int xts_decrypt(struct skcipher_request *req)
{
	return xts_crypt(req, false);
}

static int xts_setkey(struct crypto_skcipher *tfm, const u8 *bytes,
		      unsigned int size)
{
	struct xts_key *key = crypto_skcipher_ctx(tfm);
	int err;

	err = xts_verify_key(tfm, bytes, size);
	if (!err)
		err = aes_expandkey(&key->data, bytes, size / 2);
	if (!err)
		err = aes_expandkey(&key->tweak, bytes + size / 2, size / 2);
	return err;
}

static struct skcipher_alg xts_alg = {
	.base.cra_name = "xts(aes)",
	.base.cra_driver_name = "xts-aes-fast",
	.base.cra_priority = 1000,
	.base.cra_blocksize = AES_BLOCK_SIZE,
	.base.cra_ctxsize = sizeof(struct xts_key),
	.base.cra_module = THIS_MODULE,
	.min_keysize = 2 * AES_MIN_KEY_SIZE,
	.max_keysize = 2 * AES_MAX_KEY_SIZE,
	.ivsize = AES_BLOCK_SIZE,
	.setkey = xts_setkey,
	.encrypt = xts_encrypt,
	.decrypt = xts_decrypt,
};

/* ---- SHA-256 ------------------------------------------------------------ */

static const u32 k256[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The four words of the message schedule that follow those in @w. */
static __always_inline __m128i next_words(const __m128i w[4], u32 i)
{
	__m128i last = w[(i + 3) % 4], next;

	next = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
	next = _mm_add_epi32(next, _mm_alignr_epi8(last, w[(i + 2) % 4], 4));
	return _mm_sha256msg2_epu32(next, last);
}

static void sha256_blocks(struct sha256_state *state, const u8 *data, int blocks)
{
	const __m128i swap = _mm_set_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607,
					   0x00010203);
	u32 *s = state->state, i;
	__m128i abef = _mm_set_epi32(s[0], s[1], s[4], s[5]);
	__m128i cdgh = _mm_set_epi32(s[2], s[3], s[6], s[7]);
	__m128i w[4], k, abef0, cdgh0;

	for (; blocks--; data += SHA256_BLOCK_SIZE) {
		abef0 = abef;
		cdgh0 = cdgh;
		_Pragma("GCC unroll 16")
		for (i = 0; i < 16; i++) {
			w[i % 4] = i < 4 ? _mm_shuffle_epi8(load(data + 16 * i), swap) :
					   next_words(w, i);
			k = _mm_add_epi32(w[i % 4], load(k256 + 4 * i));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
			abef = _mm_sha256rnds2_epu32(abef, cdgh,
						     _mm_shuffle_epi32(k, 0x0e));
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	s[0] = _mm_extract_epi32(abef, 3);
	s[1] = _mm_extract_epi32(abef, 2);
	s[4] = _mm_extract_epi32(abef, 1);
	s[5] = _mm_extract_epi32(abef, 0);
	s[2] = _mm_extract_epi32(cdgh, 3);
	s[3] = _mm_extract_epi32(cdgh, 2);
	s[6] = _mm_extract_epi32(cdgh, 1);
	s[7] = _mm_extract_epi32(cdgh, 0);
}

static int sha256_update_fast(struct shash_desc *desc, const u8 *data,
			      unsigned int size)
{
	return sha256_base_do_update(desc, data, size, sha256_blocks);
}

static int sha256_finup_fast(struct shash_desc *desc, const u8 *data,
			     unsigned int size, u8 *out)
{
	if (size)
		sha256_base_do_update(desc, data, size, sha256_blocks);
	sha256_base_do_finalize(desc, sha256_blocks);
	return sha256_base_finish(desc, out);
}

static int sha256_final_fast(struct shash_desc *desc, u8 *out)
{
	return sha256_finup_fast(desc, NULL, 0, out);
}

static struct shash_alg sha256_alg = {
	.base.cra_name = "sha256",
	.base.cra_driver_name = "sha256-fast",
	.base.cra_priority = 1000,
	.base.cra_blocksize = SHA256_BLOCK_SIZE,
	.base.cra_module = THIS_MODULE,
	.digestsize = SHA256_DIGEST_SIZE,
	.descsize = sizeof(struct sha256_state),
	.init = sha256_base_init,
	.update = sha256_update_fast,
	.final = sha256_final_fast,
	.finup = sha256_finup_fast,
};

/* ---- Trial -------------------------------------------------------------- */

#define TRIAL	4096

static int digest_by(const char *driver, const u8 *data, u32 size, u8 *out)
{
	struct crypto_shash *tfm = crypto_alloc_shash(driver, 0, 0);
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	err = crypto_shash_tfm_digest(tfm, data, size, out);
	crypto_free_shash(tfm);
	return err;
}

static int crypt_by(const char *driver, bool encrypt, const u8 key[64], u8 *data)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(driver, 0, CRYPTO_ALG_ASYNC);
	struct skcipher_request *req;
	u8 iv[AES_BLOCK_SIZE] = { 1, 2, 3 };
	struct scatterlist sg;
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	req = skcipher_request_alloc(tfm, GFP_KERNEL);
	err = req ? crypto_skcipher_setkey(tfm, key, 64) : -ENOMEM;
	if (!err) {
		sg_init_one(&sg, data, TRIAL);
		skcipher_request_set_callback(req, 0, NULL, NULL);
		skcipher_request_set_crypt(req, &sg, &sg, TRIAL, iv);
		err = encrypt ? crypto_skcipher_encrypt(req) :
				crypto_skcipher_decrypt(req);
	}
	skcipher_request_free(req);
	crypto_free_skcipher(tfm);
	return err;
}

static int try_digest(const u8 *data, u32 size)
{
	u8 ours[SHA256_DIGEST_SIZE], theirs[SHA256_DIGEST_SIZE];
	int err;

	err = digest_by("sha256-fast", data, size, ours);
	if (!err)
		err = digest_by("sha256-generic", data, size, theirs);
	return err ?: memcmp(ours, theirs, sizeof(ours)) ? -EBADMSG : 0;
}

static int try_crypt(bool encrypt, const u8 *key, u8 *ours, u8 *theirs)
{
	int err;

	memcpy(theirs, ours, TRIAL);
	err = crypt_by("xts-aes-fast", encrypt, key, ours);
	if (!err)
		err = crypt_by("xts(ecb(aes-generic))", encrypt, key, theirs);
	return err ?: memcmp(ours, theirs, TRIAL) ? -EBADMSG : 0;
}

static int try_all(void)
{
	u8 *ours = kmalloc(TRIAL, GFP_KERNEL), *theirs = kmalloc(TRIAL, GFP_KERNEL);
	u8 key[64];
	int err = -ENOMEM;
	u32 size;

	get_random_bytes(key, sizeof(key));
	if (ours && theirs) {
		get_random_bytes(ours, TRIAL);
		err = try_crypt(true, key, ours, theirs);
		if (!err)
			err = try_crypt(false, key, ours, theirs);
		for (size = 0; size < TRIAL && !err; size += 61)
			err = try_digest(ours, size);
	}
	kfree(ours);
	kfree(theirs);
	return err;
}

static void unregister(void)
{
	crypto_unregister_shash(&sha256_alg);
	crypto_unregister_skcipher(&xts_alg);
}

static int __init fast_init(void)
{
	int err;

	err = crypto_register_skcipher(&xts_alg);
	if (err)
		return err;
	err = crypto_register_shash(&sha256_alg);
	if (err) {
		crypto_unregister_skcipher(&xts_alg);
		return err;
	}
	err = try_all();
	if (err) {
		pr_err("fast: not the results of the generic ciphers (%d)\n", err);
		unregister();
	}
	return err;
}

static void __exit fast_exit(void)
{
	unregister();
}

module_init(fast_init);
module_exit(fast_exit);

MODULE_DESCRIPTION("xts(aes) and sha256 by the processor, for User Mode Linux");
MODULE_LICENSE("GPL");
