// SPDX-License-Identifier: GPL-2.0
/*
 * SHA-256 (FIPS 180-4) with the SHA instructions.
 */
#include <crypto/internal/hash.h>
#include <crypto/sha2.h>
#include <crypto/sha256_base.h>
#include <linux/module.h>

#include "hwcrypto.h"
#include "newer.h"

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

/* The words of a state in the order that the instructions want. */
struct words {
	v4si abef, cdgh;
};

static __always_inline struct words load_state(const struct sha256_state *state)
{
	const u32 *s = state->state;

	return (struct words){ { s[5], s[4], s[1], s[0] }, { s[7], s[6], s[3], s[2] } };
}

static __always_inline void store_state(struct words w, struct sha256_state *state)
{
	u32 *s = state->state;

	s[0] = w.abef[3];
	s[1] = w.abef[2];
	s[2] = w.cdgh[3];
	s[3] = w.cdgh[2];
	s[4] = w.abef[1];
	s[5] = w.abef[0];
	s[6] = w.cdgh[1];
	s[7] = w.cdgh[0];
}

/* Words 4i..4i+3 of the message schedule, with their constants. */
static __always_inline v4si next_words(v4si w[4], const u8 *data, unsigned int i)
{
	v4si *now = &w[i & 3];

	if (i < 4)
		*now = load_words(data + 16 * i);
	else
		*now = __builtin_ia32_sha256msg2(
			__builtin_ia32_sha256msg1(*now, w[(i + 1) & 3]) +
			straddle(w[(i + 2) & 3], w[(i + 3) & 3]), w[(i + 3) & 3]);
	return *now + *(const v4si *)&constants[4 * i];
}

static __always_inline v4si upper_half(v4si in)
{
	return __builtin_shuffle(in, (v4si){ 2, 3, 2, 3 });
}

static void compress(struct sha256_state *sctx, const u8 *data, int blocks)
{
	struct words x = load_state(sctx), x0;
	v4si w[4], in;
	unsigned int i;

	for (; blocks > 0; blocks--, data += SHA256_BLOCK_SIZE) {
		x0 = x;
#pragma GCC unroll 16
		for (i = 0; i < 16; i++) {
			in = next_words(w, data, i);
			x.cdgh = __builtin_ia32_sha256rnds2(x.cdgh, x.abef, in);
			x.abef = __builtin_ia32_sha256rnds2(x.abef, x.cdgh, upper_half(in));
		}
		x.abef += x0.abef;
		x.cdgh += x0.cdgh;
	}
	store_state(x, sctx);
}

/* Two messages, step by step in turns: neither waits for itself. */
static void compress_two(struct sha256_state sctx[2], const u8 *data[2], int blocks)
{
	struct words x = load_state(&sctx[0]), y = load_state(&sctx[1]), x0, y0;
	const u8 *from = data[0], *other = data[1];
	v4si w[4], u[4], in, also;
	unsigned int i;

	for (; blocks > 0; blocks--, from += SHA256_BLOCK_SIZE, other += SHA256_BLOCK_SIZE) {
		x0 = x;
		y0 = y;
#pragma GCC unroll 16
		for (i = 0; i < 16; i++) {
			in = next_words(w, from, i);
			also = next_words(u, other, i);
			x.cdgh = __builtin_ia32_sha256rnds2(x.cdgh, x.abef, in);
			y.cdgh = __builtin_ia32_sha256rnds2(y.cdgh, y.abef, also);
			x.abef = __builtin_ia32_sha256rnds2(x.abef, x.cdgh, upper_half(in));
			y.abef = __builtin_ia32_sha256rnds2(y.abef, y.cdgh, upper_half(also));
		}
		x.abef += x0.abef;
		x.cdgh += x0.cdgh;
		y.abef += y0.abef;
		y.cdgh += y0.cdgh;
	}
	store_state(x, &sctx[0]);
	store_state(y, &sctx[1]);
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

/* ---- As newer kernels have it: see newer.h ---- */

static bool pairs;
module_param(pairs, bool, 0644);
MODULE_PARM_DESC(pairs, "say that two messages are hashed faster together");

bool sha256_finup_2x_is_optimized(void)
{
	return pairs;
}
EXPORT_SYMBOL_GPL(sha256_finup_2x_is_optimized);

/* What is left of a message, padded: at most two blocks; returns how many. */
static int pad(u8 last[2 * SHA256_BLOCK_SIZE], const u8 *rest, size_t bytes, u64 message_bytes)
{
	int blocks = bytes + 9 > SHA256_BLOCK_SIZE ? 2 : 1;

	memset(last, 0, 2 * SHA256_BLOCK_SIZE);
	memcpy(last, rest, bytes);
	last[bytes] = 0x80;
	put_unaligned_be64(message_bytes * 8, last + blocks * SHA256_BLOCK_SIZE - 8);
	return blocks;
}

/* @ctx must have taken whole blocks; what the module gives has. */
void sha256_finup_2x(const struct sha256_state *ctx, const u8 *data1, const u8 *data2,
		     size_t len, u8 *out1, u8 *out2)
{
	const size_t whole = round_down(len, SHA256_BLOCK_SIZE);
	u8 last[2][2 * SHA256_BLOCK_SIZE], *out[2] = { out1, out2 };
	const u8 *data[2] = { data1, data2 }, *end[2] = { last[0], last[1] };
	struct sha256_state state[2] = { *ctx, *ctx };
	int i, k, blocks = 0;

	if (WARN_ON_ONCE(ctx->count % SHA256_BLOCK_SIZE))
		return;
	for (i = 0; i < 2; i++)
		blocks = pad(last[i], data[i] + whole, len - whole, ctx->count + len);
	compress_two(state, data, len / SHA256_BLOCK_SIZE);
	compress_two(state, end, blocks);
	for (i = 0; i < 2; i++)
		for (k = 0; k < 8; k++)
			put_unaligned_be32(state[i].state[k], out[i] + 4 * k);
}
EXPORT_SYMBOL_GPL(sha256_finup_2x);

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
