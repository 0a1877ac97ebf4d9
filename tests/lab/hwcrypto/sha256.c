// SPDX-License-Identifier: GPL-2.0
/*
 * SHA-256 (FIPS 180-4) with the SHA instructions.
 */
#include <crypto/internal/hash.h>
#include <crypto/sha2.h>
#include <crypto/sha256_base.h>
#include <linux/module.h>

#include "hwcrypto.h"

static const u32 constants[64] __aligned(16) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static __always_inline v4si load_words(const u8 *from)
{
	const v16qi swap = { 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12 };

	return (v4si)__builtin_shuffle(*(const v16qi_u *)from, swap);
}

/* Words 1..4 of the eight words of two vectors. */
static __always_inline v4si straddle(v4si low, v4si high)
{
	return __builtin_shuffle(low, high, (v4si){ 1, 2, 3, 4 });
}

static void compress(struct sha256_state *sctx, const u8 *data, int blocks)
{
	u32 *s = sctx->state;
	v4si abef = { s[5], s[4], s[1], s[0] };
	v4si cdgh = { s[7], s[6], s[3], s[2] };
	v4si w[4], in, abef0, cdgh0;
	unsigned int i;

	for (; blocks > 0; blocks--, data += SHA256_BLOCK_SIZE) {
		abef0 = abef;
		cdgh0 = cdgh;
#pragma GCC unroll 16
		for (i = 0; i < 16; i++) {
			v4si *now = &w[i & 3];

			if (i < 4)
				*now = load_words(data + 16 * i);
			else
				*now = __builtin_ia32_sha256msg2(
					__builtin_ia32_sha256msg1(*now, w[(i + 1) & 3]) +
					straddle(w[(i + 2) & 3], w[(i + 3) & 3]),
					w[(i + 3) & 3]);
			in = *now + *(const v4si *)&constants[4 * i];
			cdgh = __builtin_ia32_sha256rnds2(cdgh, abef, in);
			in = __builtin_shuffle(in, (v4si){ 2, 3, 2, 3 });
			abef = __builtin_ia32_sha256rnds2(abef, cdgh, in);
		}
		abef += abef0;
		cdgh += cdgh0;
	}
	s[0] = abef[3];
	s[1] = abef[2];
	s[2] = cdgh[3];
	s[3] = cdgh[2];
	s[4] = abef[1];
	s[5] = abef[0];
	s[6] = cdgh[1];
	s[7] = cdgh[0];
}

static int update(struct shash_desc *desc, const u8 *data, unsigned int bytes)
{
	return sha256_base_do_update(desc, data, bytes, compress);
}

static int finup(struct shash_desc *desc, const u8 *data, unsigned int bytes, u8 *out)
{
	sha256_base_do_update(desc, data, bytes, compress);
	sha256_base_do_finalize(desc, compress);
	return sha256_base_finish(desc, out);
}

static int final(struct shash_desc *desc, u8 *out)
{
	return finup(desc, NULL, 0, out);
}

static struct shash_alg alg = {
	.digestsize = SHA256_DIGEST_SIZE,
	.init = sha256_base_init,
	.update = update,
	.final = final,
	.finup = finup,
	.descsize = sizeof(struct sha256_state),
	.base.cra_name = "sha256",
	.base.cra_driver_name = "sha256-hw",
	.base.cra_priority = 5000,
	.base.cra_blocksize = SHA256_BLOCK_SIZE,
	.base.cra_module = THIS_MODULE,
};

int hw_sha256_register(void)
{
	return crypto_register_shash(&alg);
}

void hw_sha256_unregister(void)
{
	crypto_unregister_shash(&alg);
}
