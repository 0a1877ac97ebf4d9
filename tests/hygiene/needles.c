// SPDX-License-Identifier: GPL-2.0
/* Keys, and the forms in which the kernel's generic ciphers hold them. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "hygiene.h"

struct maker {
	struct needle *needle;
	u32 nr;
};

static void add(struct maker *m, const char *name, enum needle_kind kind,
		const void *data, u32 bytes)
{
	struct needle *n = &m->needle[m->nr++];

	if (m->nr > MAX_NEEDLES || bytes > sizeof(n->data))
		die("too many needles");
	n->name = name;
	n->kind = kind;
	n->bytes = bytes;
	memcpy(n->data, data, bytes);
}

/* ---- The last round key of AES-256 -------------------------------------- */

static u8 times_two(u8 x)
{
	return x << 1 ^ (x & 0x80 ? 0x1b : 0);
}

static u8 times(u8 a, u8 b)
{
	u8 product = 0;

	for (; b; b >>= 1, a = times_two(a))
		if (b & 1)
			product ^= a;
	return product;
}

static u8 substitute(u8 x)
{
	u8 inverse = 1, result = 0x63;
	int i;

	/* x^254; zero has no inverse and stays zero. */
	for (i = 0; i < 254; i++)
		inverse = times(inverse, x);
	for (i = 0; i < 5; i++)
		result ^= inverse << i ^ inverse >> (8 - i);
	return result;
}

static void expand(const u8 key[32], u8 schedule[240])
{
	u8 t[4], first, round = 1;
	u32 i, j;

	memcpy(schedule, key, 32);
	for (i = 32; i < 240; i += 4) {
		memcpy(t, schedule + i - 4, 4);
		if (i % 32 == 0) {
			first = t[0];
			t[0] = substitute(t[1]) ^ round;
			t[1] = substitute(t[2]);
			t[2] = substitute(t[3]);
			t[3] = substitute(first);
			round = times_two(round);
		} else if (i % 32 == 16) {
			for (j = 0; j < 4; j++)
				t[j] = substitute(t[j]);
		}
		for (j = 0; j < 4; j++)
			schedule[i + j] = schedule[i + j - 32] ^ t[j];
	}
}

static void add_aes(struct maker *m, const char *key_name, const char *last_name,
		    enum needle_kind kind, const u8 key[32])
{
	u8 schedule[240];

	expand(key, schedule);
	add(m, key_name, kind, key, 32);
	add(m, last_name, kind, schedule + 224, 16);
}

/* ---- HMAC: the states after the first block ----------------------------- */

static void add_pad(struct maker *m, const char *name, enum needle_kind kind,
		    const u8 key[32], u8 pad)
{
	u8 block[64];
	SHA256_CTX ctx;
	u32 i;

	for (i = 0; i < sizeof(block); i++)
		block[i] = (i < 32 ? key[i] : 0) ^ pad;
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, block, sizeof(block));
	add(m, name, kind, ctx.h, 32);
}

/* ------------------------------------------------------------------------- */

static void hmac(const u8 *key, u32 key_bytes, const void *data, u32 bytes, u8 out[32])
{
	if (!HMAC(EVP_sha256(), key, key_bytes, data, bytes, out, NULL))
		die("HMAC failed");
}

u32 needles_make(const u8 master[QVAULT_MASTER_KEY_SIZE], const u8 plain[PLAIN_SIZE],
		 struct needle *needle)
{
	struct maker m = { needle, 0 };
	struct qvault_geometry geo;
	struct vault_params p;
	struct vault_keys k;
	const struct vault_generation *gen = &k.gen[0];
	enum needle_kind hmac_kind, nh_kind;
	static const u8 no_salt[32];
	u8 prk[32];

	hygiene_params(&p, &geo, master);
	hygiene_secret(&p);
	vault_derive(&p, &k);
	/* Of the MAC that the volume does not have there is nothing. */
	hmac_kind = p.mac_type == QVAULT_MAC_NHPOLY_AES ? NEEDLE_PASSING : NEEDLE_CIPHER;
	nh_kind = p.mac_type == QVAULT_MAC_NHPOLY_AES ? NEEDLE_CIPHER : NEEDLE_PASSING;
	hmac(p.uuid, sizeof(p.uuid), p.master, sizeof(p.master), prk);

	add(&m, "master key, first half", NEEDLE_MASTER, master, 32);
	add(&m, "master key, second half", NEEDLE_MASTER, master + 32, 32);
	add(&m, "pseudorandom key", NEEDLE_PASSING, prk, 32);
	add_pad(&m, "pseudorandom key, inner state", NEEDLE_PASSING, prk, 0x36);
	add_pad(&m, "pseudorandom key, outer state", NEEDLE_PASSING, prk, 0x5c);
	add_aes(&m, "data key", "data key, last round", NEEDLE_CIPHER, gen->data);
	add_aes(&m, "data tweak key", "data tweak key, last round", NEEDLE_CIPHER, gen->data + 32);
	add_aes(&m, "metadata key", "metadata key, last round", NEEDLE_CIPHER, gen->meta);
	add_aes(&m, "metadata tweak key", "metadata tweak key, last round", NEEDLE_CIPHER, gen->meta + 32);
	add(&m, "block MAC key", NEEDLE_PASSING, gen->mac, 32);
	add_pad(&m, "block MAC, inner state", hmac_kind, gen->mac, 0x36);
	add_pad(&m, "block MAC, outer state", hmac_kind, gen->mac, 0x5c);
	add(&m, "secret of generation 0", NEEDLE_PASSING, p.secret, sizeof(p.secret));
	hmac(no_salt, sizeof(no_salt), p.secret, sizeof(p.secret), prk);
	add(&m, "pseudorandom key of generation 0", NEEDLE_PASSING, prk, 32);
	add_pad(&m, "the same, inner state", NEEDLE_PASSING, prk, 0x36);
	add_pad(&m, "the same, outer state", NEEDLE_PASSING, prk, 0x5c);
	add_aes(&m, "wrapping key", "wrapping key, last round", NEEDLE_CIPHER, k.wrap);
	add(&m, "anchor MAC key", NEEDLE_PASSING, k.anchor, 32);
	add_pad(&m, "anchor MAC, inner state", NEEDLE_CIPHER, k.anchor, 0x36);
	add_pad(&m, "anchor MAC, outer state", NEEDLE_CIPHER, k.anchor, 0x5c);
	/* Poly1305's key is kept without some of its bits, and cut otherwise. */
	add(&m, "Poly1305 key", NEEDLE_PASSING, gen->nh, 16);
	add(&m, "NH key", nh_kind, gen->nh + 16, 32);
	add(&m, "NH key, end", nh_kind, gen->nh + sizeof(gen->nh) - 32, 32);
	add_aes(&m, "NH AES key", "NH AES key, last round", nh_kind, gen->nh_aes);
	add(&m, "plaintext", NEEDLE_PLAIN, plain, PLAIN_SIZE);
	return m.nr;
}
