// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors: what the format says, in bytes.  tests/mac/vectors computes them from the
 * standards alone, so that neither the format nor the use of the crypto API can
 * drift in silence.  Then what is refused: other bits, other keys, other kinds.
 */
#include <linux/string.h>

#include "world.h"

static const u8 key_check[] = {
	0x59, 0x48, 0xf5, 0xf0, 0x4d, 0xca, 0x65, 0x0f,
	0x65, 0x14, 0x32, 0x00, 0x10, 0x59, 0x80, 0x67,
};

static const u8 wrap_key[] = {
	0x8a, 0x12, 0xda, 0x93, 0x5a, 0x98, 0x99, 0xdd,
	0x3a, 0x0f, 0xf9, 0x9d, 0x23, 0xe2, 0x76, 0x0b,
	0x4c, 0x54, 0x8d, 0xb3, 0x65, 0x36, 0x68, 0xaa,
	0x0e, 0x99, 0xe0, 0xb2, 0xc1, 0x27, 0x58, 0x0f,
};

static const u8 anchor_mac[] = {
	0xef, 0x3d, 0xa7, 0x95, 0x62, 0xef, 0x40, 0xcd,
	0x53, 0x7f, 0xb9, 0xde, 0x45, 0xd8, 0x80, 0xc8,
	0x9a, 0x77, 0xce, 0xc9, 0xf2, 0x14, 0xe4, 0x76,
	0xd4, 0x27, 0x62, 0xc0, 0xb9, 0x65, 0xe9, 0x8b,
};

/* From the secret of generation 0; the plaintext is that of blocks_new(). */
static const struct {
	enum qvault_kind kind;
	u64 id;
	u64 version;
	u8 first[16];			/* of the ciphertext */
	u8 last[16];
	u8 hmac[QVAULT_TAG_SIZE];
	u8 nhpoly[QVAULT_TAG_SIZE];
} sealed[] = {
	{
		.kind = QVAULT_KIND_DATA, .id = 0x123456, .version = 0x0102030405060708ull,
		.first = {
			0x8e, 0x2f, 0x3e, 0xfd, 0x89, 0x58, 0x3b, 0x9a,
			0x18, 0x9f, 0xe2, 0x8c, 0x2f, 0xf2, 0x29, 0x54,
		},
		.last = {
			0x80, 0xec, 0x90, 0xd2, 0x76, 0xb5, 0x14, 0x3e,
			0x73, 0x5a, 0xe5, 0xbb, 0x8e, 0x79, 0x88, 0xe7,
		},
		.hmac = {
			0x58, 0xa7, 0x1b, 0xbd, 0x72, 0xf7, 0x61, 0x2d,
			0x42, 0x02, 0xe3, 0xe1, 0xad, 0xd1, 0xab, 0x32,
		},
		.nhpoly = {
			0x30, 0x22, 0x9f, 0x6d, 0xfa, 0x19, 0x17, 0x7a,
			0x46, 0x2a, 0x75, 0x37, 0x39, 0xf4, 0x37, 0x4b,
		},
	},
	{
		.kind = QVAULT_KIND_NODE, .id = 0x0200000000000005ull, .version = 9,
		.first = {
			0x05, 0x6e, 0xfc, 0x45, 0x74, 0x3c, 0xf5, 0x39,
			0xf8, 0xe9, 0xbc, 0xaa, 0x2b, 0x18, 0x47, 0x62,
		},
		.last = {
			0x84, 0x7c, 0x6e, 0x71, 0x35, 0xf3, 0x10, 0xee,
			0x06, 0x74, 0x38, 0xf6, 0xca, 0xb5, 0x1d, 0x92,
		},
		.hmac = {
			0xfb, 0x66, 0xc3, 0x49, 0xa1, 0xad, 0xb9, 0x24,
			0x12, 0x01, 0x4f, 0x3b, 0x08, 0x1f, 0x6b, 0xd6,
		},
		.nhpoly = {
			0x23, 0x8e, 0x26, 0x7e, 0xa1, 0xee, 0x9d, 0xa8,
			0x4f, 0x86, 0x8e, 0xbb, 0xd9, 0x63, 0xca, 0xd6,
		},
	},
	{
		.kind = QVAULT_KIND_MAP, .id = 5, .version = 9,
		.first = {
			0x66, 0x00, 0xee, 0x11, 0x64, 0x8e, 0x80, 0x0e,
			0x04, 0xc2, 0xe2, 0x88, 0x4a, 0x5f, 0xf6, 0xcc,
		},
		.last = {
			0xd1, 0x29, 0x48, 0xfb, 0x43, 0xf3, 0x02, 0x4d,
			0x61, 0xa2, 0x59, 0x9a, 0xca, 0xcc, 0xac, 0x3c,
		},
		.hmac = {
			0x6a, 0x3b, 0xab, 0x86, 0xa5, 0x69, 0x2f, 0xbc,
			0x52, 0x59, 0xd4, 0x90, 0x80, 0xf3, 0x1d, 0x00,
		},
		.nhpoly = {
			0xe3, 0xc4, 0x6f, 0xde, 0x8e, 0x20, 0x44, 0x48,
			0x9c, 0x32, 0x57, 0xb3, 0xfd, 0x03, 0xd8, 0x2e,
		},
	},
	{
		.kind = QVAULT_KIND_LOG, .id = 77, .version = 9,
		.first = {
			0xbe, 0x71, 0x50, 0x0e, 0xae, 0x6d, 0x16, 0x43,
			0xca, 0xf6, 0xd5, 0xd3, 0x29, 0xfe, 0xac, 0x55,
		},
		.last = {
			0x51, 0x9d, 0xdd, 0x10, 0x6b, 0xcd, 0xb0, 0x7a,
			0x4a, 0xc6, 0xd4, 0x67, 0x1f, 0xf8, 0x4d, 0x0f,
		},
		.hmac = {
			0x7d, 0x44, 0xe1, 0x25, 0xd5, 0x70, 0xb2, 0x47,
			0x73, 0xc8, 0xd7, 0x4f, 0xb2, 0xf8, 0xdd, 0x3d,
		},
		.nhpoly = {
			0x58, 0x1a, 0xae, 0x56, 0xdf, 0x91, 0x74, 0xfa,
			0xb9, 0x79, 0x2b, 0xa4, 0xc7, 0x1a, 0xe6, 0x54,
		},
	},
};

/* Tags of blocks that nobody encrypted. */
static const struct {
	enum qvault_kind kind;
	u64 id;
	u64 version;
	bool zeros;
	u8 tag[QVAULT_TAG_SIZE];
} nhpoly_vectors[] = {
	{ QVAULT_KIND_DATA, 0, 1, true, {
		0x3d, 0xc7, 0x90, 0xb5, 0xa5, 0xc7, 0x6b, 0xa1,
		0x95, 0xbc, 0xb3, 0x40, 0x2d, 0x8e, 0xa8, 0x7f } },
	{ QVAULT_KIND_DATA, 0x123456, 0x0102030405060708ull, false, {
		0x6f, 0xfd, 0xae, 0x43, 0x21, 0xb0, 0xae, 0x34,
		0xb1, 0x45, 0x5f, 0x40, 0x78, 0x04, 0x37, 0x03 } },
	{ QVAULT_KIND_NODE, 0x0200000000000005ull, 9, false, {
		0x7a, 0xb0, 0x65, 0x20, 0xca, 0x68, 0xa7, 0xc4,
		0xf8, 0x86, 0xe2, 0x7b, 0x50, 0xd1, 0x60, 0xe0 } },
	{ QVAULT_KIND_MAP, 5, 9, false, {
		0xda, 0xe4, 0x3d, 0x34, 0x28, 0x01, 0xfc, 0x04,
		0x54, 0xb4, 0x47, 0xe1, 0x98, 0x22, 0x8e, 0x74 } },
	{ QVAULT_KIND_LOG, 77, 9, false, {
		0x30, 0xe5, 0x36, 0x29, 0x48, 0x97, 0x75, 0x86,
		0xfb, 0x26, 0x0f, 0xb7, 0xa9, 0xdc, 0x80, 0xbc } },
};

struct blocks {
	struct qvault v;
	u8 plain[QVAULT_BLOCK_SIZE];
	u8 cipher[QVAULT_BLOCK_SIZE];
	u8 back[QVAULT_BLOCK_SIZE];
	u8 scratch[QVAULT_BLOCK_SIZE];
	u8 tag[QVAULT_TAG_SIZE];
};

static struct blocks *blocks_new(struct kunit *test, enum qvault_mac mac)
{
	struct blocks *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->v.crypto = world_crypto(test, mac);
	for (i = 0; i < QVAULT_BLOCK_SIZE; i++)
		b->plain[i] = i * 7 + 3 + (i >> 8);
	return b;
}

static void seal(struct kunit *test, struct blocks *b, enum qvault_kind kind,
		 u64 id, u64 version)
{
	struct qvault_ptr ptr = { .version = version };

	KUNIT_ASSERT_EQ(test, 0, qvault_seal(&b->v, kind, id, &ptr, b->plain,
					     b->cipher));
	memcpy(b->tag, ptr.tag, sizeof(b->tag));
}

static void sealed_blocks(struct kunit *test)
{
	struct blocks *hmac = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	struct blocks *nhpoly = blocks_new(test, QVAULT_MAC_NHPOLY_AES);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sealed); i++) {
		seal(test, hmac, sealed[i].kind, sealed[i].id, sealed[i].version);
		KUNIT_EXPECT_MEMEQ(test, hmac->cipher, sealed[i].first, 16);
		KUNIT_EXPECT_MEMEQ(test, hmac->cipher + QVAULT_BLOCK_SIZE - 16,
				   sealed[i].last, 16);
		KUNIT_EXPECT_MEMEQ(test, hmac->tag, sealed[i].hmac, QVAULT_TAG_SIZE);
		seal(test, nhpoly, sealed[i].kind, sealed[i].id, sealed[i].version);
		KUNIT_EXPECT_MEMEQ(test, nhpoly->cipher, hmac->cipher,
				   QVAULT_BLOCK_SIZE);
		KUNIT_EXPECT_MEMEQ(test, nhpoly->tag, sealed[i].nhpoly,
				   QVAULT_TAG_SIZE);
	}
}

/* What vector @i is the tag of; back is zeros. */
static const void *vector(struct blocks *b, u32 i, struct qvault_disk_seal *head)
{
	memset(head, 0, sizeof(*head));
	head->kind = cpu_to_le64(nhpoly_vectors[i].kind);
	head->id = cpu_to_le64(nhpoly_vectors[i].id);
	head->version = cpu_to_le64(nhpoly_vectors[i].version);
	return nhpoly_vectors[i].zeros ? b->back : b->plain;
}

static int tags_of(struct blocks *b, u32 n, const struct qvault_disk_seal head[],
		   const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	int err = qvault_crypto_hold(b->v.crypto, 0);

	if (err)
		return err;
	err = qvault_crypto_mac(b->v.crypto, 0, n, head, data, tag);
	qvault_crypto_release(b->v.crypto);
	return err;
}

static void tags_of_nhpoly(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_NHPOLY_AES);
	struct qvault_disk_seal head;
	const void *data;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(nhpoly_vectors); i++) {
		data = vector(b, i, &head);
		KUNIT_ASSERT_EQ(test, 0, tags_of(b, 1, &head, &data, &b->tag));
		KUNIT_EXPECT_MEMEQ(test, b->tag, nhpoly_vectors[i].tag,
				   QVAULT_TAG_SIZE);
	}
}

/* Their hashes go through one call of the cipher, in their order. */
static void two_tags_of_nhpoly(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_NHPOLY_AES);
	u8 tag[QVAULT_MAX_SEAL][QVAULT_TAG_SIZE];
	struct qvault_disk_seal head[QVAULT_MAX_SEAL];
	const void *data[QVAULT_MAX_SEAL];
	u32 i;

	for (i = 0; i < QVAULT_MAX_SEAL; i++)
		data[i] = vector(b, i, &head[i]);
	KUNIT_ASSERT_EQ(test, 0, tags_of(b, QVAULT_MAX_SEAL, head, data, tag));
	for (i = 0; i < QVAULT_MAX_SEAL; i++)
		KUNIT_EXPECT_MEMEQ(test, tag[i], nhpoly_vectors[i].tag,
				   QVAULT_TAG_SIZE);
}

/* Whether the kernel finds it worth while or not. */
static void two_hashed_at_once(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_disk_seal head[2] = { { .id = cpu_to_le64(1) },
					    { .id = cpu_to_le64(2) } };
	const void *const data[2] = { b->plain, b->back };
	u8 want[2][QVAULT_TAG_SIZE], got[2][QVAULT_TAG_SIZE];
	struct qvault_hmac *one = qvault_hmac_new(false), *two = qvault_hmac_new(true);
	u32 i;

	KUNIT_ASSERT_FALSE(test, IS_ERR(one) || IS_ERR(two));
	KUNIT_EXPECT_EQ(test, 0, qvault_hmac_setkey(one, b->plain + 99));
	KUNIT_EXPECT_EQ(test, 0, qvault_hmac_setkey(two, b->plain + 99));
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, 0, qvault_hmac_mac(one, 1, &head[i], &data[i],
							 &want[i]));
	KUNIT_EXPECT_EQ(test, 0, qvault_hmac_mac(two, 2, head, data, got));
	KUNIT_EXPECT_MEMEQ(test, got, want, sizeof(want));
	memset(got, 0xee, sizeof(got));
	KUNIT_EXPECT_EQ(test, 0, qvault_hmac_mac(two, 1, head, data, got));
	KUNIT_EXPECT_MEMEQ(test, got[0], want[0], QVAULT_TAG_SIZE);
	KUNIT_EXPECT_EQ(test, 0xee, got[1][0]);
	qvault_hmac_free(two);
	qvault_hmac_free(one);
}

/* ---- Records and secrets ------------------------------------------------ */

static void new_anchor(struct kunit *test)
{
	struct qvault_disk_anchor *disk =
		kunit_kzalloc(test, sizeof(*disk), GFP_KERNEL);
	struct qvault_crypto *crypto = world_crypto(test, QVAULT_MAC_HMAC_SHA256_128);
	u8 mac[QVAULT_ANCHOR_MAC_SIZE];
	int err;

	KUNIT_ASSERT_NOT_NULL(test, disk);
	world_record(test, crypto, disk, 4096, 64);
	KUNIT_EXPECT_EQ(test, 3421, le64_to_cpu(disk->logical_blocks));
	KUNIT_EXPECT_MEMEQ(test, disk->check, key_check, sizeof(key_check));
	err = qvault_crypto_anchor_mac(crypto, disk,
				       offsetof(struct qvault_disk_anchor, mac),
				       mac);
	KUNIT_ASSERT_EQ(test, 0, err);
	KUNIT_EXPECT_MEMEQ(test, mac, anchor_mac, sizeof(anchor_mac));
}

/* Keys stay those of the volume they were derived for, once that is settled. */
static void keys_are_of_one_volume(struct kunit *test)
{
	struct qvault_crypto *crypto = world_crypto(test, QVAULT_MAC_HMAC_SHA256_128);
	u8 uuid[QVAULT_UUID_SIZE], check[QVAULT_CHECK_SIZE] = {};
	u8 master[QVAULT_MASTER_KEY_SIZE];

	world_uuid(uuid);
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, check));
	KUNIT_EXPECT_MEMEQ(test, check, key_check, sizeof(check));
	uuid[15] ^= 1;
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, check));
	KUNIT_EXPECT_NE(test, 0, memcmp(check, key_check, sizeof(check)));
	uuid[15] ^= 1;
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, check));
	qvault_crypto_settle(crypto);
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, check));
	KUNIT_EXPECT_MEMEQ(test, check, key_check, sizeof(check));
	uuid[15] ^= 1;
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED,
			qvault_crypto_unlock(crypto, uuid, check));
	world_master(master);
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_same_key(crypto, master));
	master[63] ^= 1;
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, qvault_crypto_same_key(crypto, master));
}

static void wrap_both_ways(struct kunit *test, const u8 *key, const u8 *secret,
			   const u8 *wrapped)
{
	struct qvault_wrap *w = qvault_wrap_new();
	u8 out[QVAULT_WRAPPED_SIZE];

	KUNIT_ASSERT_FALSE(test, IS_ERR(w));
	KUNIT_EXPECT_EQ(test, 0, qvault_wrap_setkey(w, key));
	KUNIT_EXPECT_EQ(test, 0, qvault_wrap_seal(w, secret, out));
	KUNIT_EXPECT_MEMEQ(test, out, wrapped, QVAULT_WRAPPED_SIZE);
	memset(out, 0, sizeof(out));
	KUNIT_EXPECT_EQ(test, 0, qvault_wrap_open(w, wrapped, out));
	KUNIT_EXPECT_MEMEQ(test, out, secret, QVAULT_SECRET_SIZE);
	qvault_wrap_free(w);
}

static void secrets_are_wrapped(struct kunit *test)
{
	struct qvault_disk_generation disk;
	/* RFC 3394, section 4.6: the key is 00 01 .. 1f as well. */
	static const u8 secret[QVAULT_SECRET_SIZE] = {
		0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
		0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
		0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
	};
	static const u8 wrapped[QVAULT_WRAPPED_SIZE] = {
		0x28, 0xc9, 0xf4, 0x04, 0xc4, 0xb8, 0x10, 0xf4,
		0xcb, 0xcc, 0xb3, 0x5c, 0xfb, 0x87, 0xf8, 0x26,
		0x3f, 0x57, 0x86, 0xe2, 0xd8, 0x0e, 0xd3, 0x26,
		0xcb, 0xc7, 0xf0, 0xe7, 0x1a, 0x99, 0xf4, 0x3b,
		0xfb, 0x98, 0x8b, 0x9b, 0x7a, 0x02, 0xdd, 0x21,
	};
	u8 count[QVAULT_SECRET_SIZE];
	u32 i;

	for (i = 0; i < sizeof(count); i++)
		count[i] = i;
	wrap_both_ways(test, count, secret, wrapped);
	world_generation(&disk, QVAULT_MAC_HMAC_SHA256_128);
	wrap_both_ways(test, wrap_key, count, disk.wrapped);
}

static void open_refused(struct kunit *test, struct qvault_crypto *crypto, int want,
			 const struct qvault_disk_generation *disk)
{
	KUNIT_EXPECT_EQ(test, want, qvault_crypto_open(crypto, 1, disk));
	KUNIT_EXPECT_EQ(test, -ENOENT, qvault_crypto_hold(crypto, 1));
}

static void changed_secrets_are_refused(struct kunit *test)
{
	struct qvault_crypto *crypto = world_crypto(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_disk_generation disk;
	u32 i;

	world_generation(&disk, QVAULT_MAC_HMAC_SHA256_128);
	for (i = 0; i < 8 * QVAULT_WRAPPED_SIZE; i++) {
		disk.wrapped[i / 8] ^= 1 << i % 8;
		open_refused(test, crypto, -EUCLEAN, &disk);
		disk.wrapped[i / 8] ^= 1 << i % 8;
	}
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_open(crypto, 1, &disk));
}

static void unknown_generations_are_refused(struct kunit *test)
{
	struct qvault_crypto *crypto = world_crypto(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_disk_generation good, disk;
	u32 i;

	world_generation(&good, QVAULT_MAC_HMAC_SHA256_128);
	for (i = 0; i < 256; i++) {
		disk = good;
		disk.cipher = i;
		if (i != QVAULT_CIPHER_AES_256_XTS)
			open_refused(test, crypto, -EPROTONOSUPPORT, &disk);
		disk = good;
		disk.mac = i;
		if (i != QVAULT_MAC_HMAC_SHA256_128 && i != QVAULT_MAC_NHPOLY_AES)
			open_refused(test, crypto, -EPROTONOSUPPORT, &disk);
	}
	for (i = 0; i < 8 * sizeof(disk.reserved); i++) {
		disk = good;
		disk.reserved[i / 8] ^= 1 << i % 8;
		open_refused(test, crypto, -EPROTONOSUPPORT, &disk);
	}
	KUNIT_EXPECT_EQ(test, -EPROTONOSUPPORT,
			qvault_crypto_create(crypto, 1, 3, NULL));
	KUNIT_EXPECT_EQ(test, -ENOENT, qvault_crypto_hold(crypto, 1));
}

/* ---- What opens, and what does not --------------------------------------- */

static void unseal(struct kunit *test, struct blocks *b, int want,
		   enum qvault_kind kind, u64 id, const struct qvault_ptr *ptr)
{
	memset(b->back, 0xee, sizeof(b->back));
	KUNIT_ASSERT_EQ(test, want, qvault_unseal(&b->v, kind, id, ptr, b->cipher,
						  b->back, b->scratch));
	if (!want)
		KUNIT_EXPECT_MEMEQ(test, b->back, b->plain, QVAULT_BLOCK_SIZE);
	else	/* Nothing of a block that is refused gets out. */
		KUNIT_EXPECT_EQ(test, 0xee, b->back[0]);
}

static void tamper(struct kunit *test, enum qvault_mac mac)
{
	struct blocks *b = blocks_new(test, mac);
	struct qvault_ptr ptr = { .version = 42, .where = 1234 }, other;
	u32 i;

	seal(test, b, QVAULT_KIND_DATA, 99, ptr.version);
	memcpy(ptr.tag, b->tag, sizeof(ptr.tag));
	unseal(test, b, 0, QVAULT_KIND_DATA, 99, &ptr);

	/* Every byte of the ciphertext, another bit in each. */
	for (i = 0; i < QVAULT_BLOCK_SIZE; i++) {
		b->cipher[i] ^= 1 << i % 8;
		unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &ptr);
		b->cipher[i] ^= 1 << i % 8;
	}
	/* Every bit of the tag. */
	for (i = 0; i < 8 * QVAULT_TAG_SIZE; i++) {
		other = ptr;
		other.tag[i / 8] ^= 1 << i % 8;
		unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &other);
	}
	/* Every bit of version and id; every other kind. */
	for (i = 0; i < 64; i++) {
		other = ptr;
		other.version ^= 1ull << i;
		unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &other);
		unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99 ^ 1ull << i, &ptr);
	}
	for (i = 0; i < 10; i++)
		if (i != QVAULT_KIND_DATA)
			unseal(test, b, -EILSEQ, i, 99, &ptr);
	unseal(test, b, 0, QVAULT_KIND_DATA, 99, &ptr);
}

static void tampering_is_noticed(struct kunit *test)
{
	tamper(test, QVAULT_MAC_HMAC_SHA256_128);
}

static void tampering_is_noticed_by_nhpoly(struct kunit *test)
{
	tamper(test, QVAULT_MAC_NHPOLY_AES);
}

/* A block opens under its own generation, and under no other. */
static void generations_are_apart(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_ptr ptr = { .version = 42, .where = 1234 };
	struct qvault_crypto *crypto = b->v.crypto;
	struct qvault_disk_generation disk;

	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_create(crypto, 1, QVAULT_MAC_HMAC_SHA256_128,
						      &disk));
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_create(crypto, QVAULT_EPHEMERAL_GEN,
						      QVAULT_MAC_HMAC_SHA256_128, NULL));
	seal(test, b, QVAULT_KIND_DATA, 99, ptr.version);
	memcpy(ptr.tag, b->tag, sizeof(ptr.tag));
	for (ptr.gen = 1; ptr.gen < 16; ptr.gen++)
		unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &ptr);
	ptr.gen = 0;
	unseal(test, b, 0, QVAULT_KIND_DATA, 99, &ptr);

	/* What was created, the record opens again, under any number. */
	ptr.gen = 1;
	KUNIT_ASSERT_EQ(test, 0, qvault_seal(&b->v, QVAULT_KIND_DATA, 99, &ptr,
					     b->plain, b->cipher));
	ptr.gen = 5;
	unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &ptr);
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_open(crypto, 5, &disk));
	unseal(test, b, 0, QVAULT_KIND_DATA, 99, &ptr);
}

static void a_forgotten_generation_opens_nothing(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_ptr ptr = { .version = 42 };

	seal(test, b, QVAULT_KIND_DATA, 99, ptr.version);
	memcpy(ptr.tag, b->tag, sizeof(ptr.tag));
	qvault_crypto_forget(b->v.crypto, 0);
	unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &ptr);
	KUNIT_EXPECT_EQ(test, -ENOENT,
			qvault_seal(&b->v, QVAULT_KIND_DATA, 99, &ptr, b->plain,
				    b->cipher));
	qvault_crypto_forget(b->v.crypto, 0);
}

/* What is held by mistake would hold up whoever changes keys. */
static int try_hold(struct qvault_crypto *crypto)
{
	int err = qvault_crypto_hold(crypto, 0);

	if (!err)
		qvault_crypto_release(crypto);
	return err;
}

/* While they are wiped there is no key for anything; and only the same one helps. */
static void wiped_keys_come_back(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_NHPOLY_AES);
	u8 master[QVAULT_MASTER_KEY_SIZE], mac[2][QVAULT_ANCHOR_MAC_SIZE];
	struct qvault_disk_generation gen[QVAULT_GENERATIONS] = {};
	struct qvault_crypto *crypto = b->v.crypto;
	struct qvault_ptr ptr = { .version = 42 };

	world_master(master);
	world_generation(&gen[0], QVAULT_MAC_NHPOLY_AES);
	seal(test, b, QVAULT_KIND_DATA, 99, ptr.version);
	memcpy(ptr.tag, b->tag, sizeof(ptr.tag));
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_anchor_mac(crypto, b->plain, 64, mac[0]));

	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_wipe(crypto));
	KUNIT_EXPECT_TRUE(test, qvault_crypto_is_wiped(crypto));
	KUNIT_EXPECT_EQ(test, -ENOKEY, try_hold(crypto));
	/* Which says nothing of the block. */
	unseal(test, b, -ENOKEY, QVAULT_KIND_DATA, 99, &ptr);
	KUNIT_EXPECT_EQ(test, -ENOKEY,
			qvault_crypto_anchor_mac(crypto, b->plain, 64, mac[1]));
	master[3] ^= 1;
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, qvault_crypto_restore(crypto, master, gen));
	KUNIT_EXPECT_EQ(test, -ENOKEY, try_hold(crypto));
	master[3] ^= 1;
	gen[0].wrapped[5] ^= 1;
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qvault_crypto_restore(crypto, master, gen));
	KUNIT_EXPECT_EQ(test, -ENOKEY, try_hold(crypto));
	gen[0].wrapped[5] ^= 1;

	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_restore(crypto, master, gen));
	KUNIT_EXPECT_FALSE(test, qvault_crypto_is_wiped(crypto));
	unseal(test, b, 0, QVAULT_KIND_DATA, 99, &ptr);
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_anchor_mac(crypto, b->plain, 64, mac[1]));
	KUNIT_EXPECT_MEMEQ(test, mac[0], mac[1], sizeof(mac[0]));
}

/* The same secrets, wrapped for another key, which records are of from the turn on. */
static void another_master_key(struct kunit *test)
{
	struct qvault_crypto *crypto = world_crypto(test, QVAULT_MAC_HMAC_SHA256_128);
	u8 master[QVAULT_MASTER_KEY_SIZE], uuid[QVAULT_UUID_SIZE];
	u8 check[2][QVAULT_CHECK_SIZE], mac[2][QVAULT_ANCHOR_MAC_SIZE];
	struct qvault_disk_generation gen[QVAULT_GENERATIONS] = {}, was;
	struct qvault_opener *opener;

	world_master(master);
	world_uuid(uuid);
	world_generation(&gen[0], QVAULT_MAC_HMAC_SHA256_128);
	was = gen[0];
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_unlock(crypto, uuid, check[0]));
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_anchor_mac(crypto, check, 16, mac[0]));
	master[3] ^= 1;
	opener = qvault_opener_new(crypto, master);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, opener);
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_rewrap(crypto, opener, gen, check[1]));
	KUNIT_EXPECT_NE(test, 0, memcmp(check[0], check[1], sizeof(check[0])));
	KUNIT_EXPECT_NE(test, 0, memcmp(was.wrapped, gen[0].wrapped, sizeof(was.wrapped)));
	KUNIT_EXPECT_PTR_EQ(test, NULL, memchr_inv(&gen[1], 0, sizeof(gen[1])));
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qvault_crypto_open(crypto, 0, &gen[0]));

	opener = qvault_crypto_turn(crypto, opener);
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_open(crypto, 0, &gen[0]));
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qvault_crypto_open(crypto, 0, &was));
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_same_key(crypto, master));
	KUNIT_EXPECT_EQ(test, 0, qvault_crypto_anchor_mac(crypto, check, 16, mac[1]));
	KUNIT_EXPECT_NE(test, 0, memcmp(mac[0], mac[1], sizeof(mac[0])));
	master[3] ^= 1;
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, qvault_crypto_same_key(crypto, master));
	qvault_opener_free(opener);
}

/* Two of one generation, then two of two: read together, opened apart. */
static void generations_are_read_together(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_ptr ptr[2] = { { .version = 42 }, { .version = 43, .gen = 1 } };
	const void *cipher[2] = { b->cipher, b->scratch };
	void *plain[2] = { b->cipher, b->scratch };
	u32 i;

	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_create(b->v.crypto, 1,
						      QVAULT_MAC_HMAC_SHA256_128, NULL));
	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_EQ(test, 0, qvault_seal(&b->v, QVAULT_KIND_DATA, 99 + i,
						     &ptr[i], b->plain, plain[i]));
	KUNIT_EXPECT_EQ(test, 0, qvault_unseal_blocks(&b->v, QVAULT_KIND_DATA, 99, 2, ptr,
						      cipher, plain, plain));
	KUNIT_EXPECT_MEMEQ(test, b->cipher, b->plain, QVAULT_BLOCK_SIZE);
	KUNIT_EXPECT_MEMEQ(test, b->scratch, b->plain, QVAULT_BLOCK_SIZE);
}

static void flags_are_refused(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	struct qvault_ptr ptr = { .version = 42 };

	seal(test, b, QVAULT_KIND_DATA, 99, ptr.version);
	memcpy(ptr.tag, b->tag, sizeof(ptr.tag));
	for (ptr.flags = 1; ptr.flags < 16; ptr.flags++)
		unseal(test, b, -EILSEQ, QVAULT_KIND_DATA, 99, &ptr);
	ptr.flags = 0;
	unseal(test, b, 0, QVAULT_KIND_DATA, 99, &ptr);
}

/* A, B, A again: no 16 bytes of ciphertext repeat. */
static void rewriting_tells_nothing(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);
	u32 i;

	memset(b->plain, 0, sizeof(b->plain));
	seal(test, b, QVAULT_KIND_DATA, 7, 100);
	memcpy(b->back, b->cipher, QVAULT_BLOCK_SIZE);
	seal(test, b, QVAULT_KIND_DATA, 7, 101);
	for (i = 0; i < QVAULT_BLOCK_SIZE; i += 16)
		KUNIT_EXPECT_MEMNEQ(test, b->back + i, b->cipher + i, 16);
}

static void pointers_round_trip(struct kunit *test)
{
	struct qvault_ptr ptr = {
		.version = 0x1122334455667788ull, .where = 0xabcdef012345ull,
		.gen = 0x6, .below = 0xa5, .flags = 0x9,
	}, back;
	static const u8 wanted[] = {
		0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
		0x45, 0x23, 0x01, 0xef, 0xcd, 0xab, 0x56, 0x9a,
	};
	struct qvault_disk_ptr disk;
	u32 i;

	for (i = 0; i < QVAULT_TAG_SIZE; i++)
		ptr.tag[i] = i;
	qvault_ptr_to_disk(&disk, &ptr);
	KUNIT_EXPECT_MEMEQ(test, (const u8 *)&disk, wanted, sizeof(wanted));
	KUNIT_EXPECT_EQ(test, 0x0f, disk.tag[15]);
	qvault_ptr_from_disk(&back, &disk);
	KUNIT_EXPECT_EQ(test, ptr.version, back.version);
	KUNIT_EXPECT_EQ(test, ptr.where, back.where);
	KUNIT_EXPECT_EQ(test, ptr.gen, back.gen);
	KUNIT_EXPECT_EQ(test, ptr.below, back.below);
	KUNIT_EXPECT_EQ(test, ptr.flags, back.flags);
	KUNIT_EXPECT_MEMEQ(test, ptr.tag, back.tag, QVAULT_TAG_SIZE);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(sealed_blocks),
	KUNIT_CASE(tags_of_nhpoly),
	KUNIT_CASE(two_tags_of_nhpoly),
	KUNIT_CASE(two_hashed_at_once),
	KUNIT_CASE(new_anchor),
	KUNIT_CASE(keys_are_of_one_volume),
	KUNIT_CASE(secrets_are_wrapped),
	KUNIT_CASE(changed_secrets_are_refused),
	KUNIT_CASE(unknown_generations_are_refused),
	KUNIT_CASE(tampering_is_noticed),
	KUNIT_CASE(tampering_is_noticed_by_nhpoly),
	KUNIT_CASE(generations_are_apart),
	KUNIT_CASE(a_forgotten_generation_opens_nothing),
	KUNIT_CASE(wiped_keys_come_back),
	KUNIT_CASE(another_master_key),
	KUNIT_CASE(generations_are_read_together),
	KUNIT_CASE(flags_are_refused),
	KUNIT_CASE(rewriting_tells_nothing),
	KUNIT_CASE(pointers_round_trip),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-format",
	.test_cases = cases,
};

kunit_test_suite(suite);
