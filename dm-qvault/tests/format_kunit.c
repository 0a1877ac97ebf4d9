// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors: what the format says, in bytes.  They were computed by another
 * implementation (tests/lib/vault.c, with OpenSSL), so that neither the format
 * nor the use of the crypto API can drift in silence.
 */
#include <linux/string.h>

#include "world.h"

static const u8 data_tag[] = {
	0x12, 0xa1, 0xc5, 0x06, 0x7a, 0xda, 0xee, 0x1d,
	0x77, 0xd4, 0x02, 0x11, 0x7e, 0xda, 0x2f, 0x5c,
};

static const u8 data_head[] = {
	0xf9, 0xb2, 0xec, 0x5b, 0x6e, 0xf4, 0x7f, 0x07,
	0xc0, 0xdd, 0xce, 0x4e, 0x6d, 0x81, 0x2d, 0xf0,
};

static const u8 data_tail[] = {
	0x85, 0xb4, 0x54, 0x64, 0x12, 0xe9, 0xa8, 0x40,
	0x69, 0xe1, 0x47, 0xbd, 0x98, 0x8b, 0x4a, 0x53,
};

static const u8 node_tag[] = {
	0x2d, 0x74, 0xa7, 0x2c, 0x26, 0x61, 0xb2, 0x2b,
	0x26, 0xae, 0x4d, 0x79, 0x8f, 0xaa, 0x1f, 0xd2,
};

static const u8 node_head[] = {
	0x64, 0x1d, 0x5a, 0x85, 0x53, 0xf2, 0xa9, 0x36,
	0x83, 0x95, 0xce, 0xc9, 0x97, 0xc2, 0x6d, 0x58,
};

static const u8 map_tag[] = {
	0xf4, 0x93, 0xd4, 0x31, 0xa3, 0xa5, 0x6e, 0xd2,
	0x6b, 0x6a, 0xa2, 0x74, 0x91, 0xf6, 0xa3, 0x99,
};

static const u8 log_tag[] = {
	0x27, 0x31, 0x32, 0x53, 0xef, 0x66, 0xcd, 0x71,
	0x2a, 0x47, 0x15, 0xf3, 0x91, 0xc3, 0xb3, 0x21,
};

static const u8 anchor_mac[] = {
	0xd0, 0xc4, 0x52, 0x6d, 0x23, 0x5c, 0xac, 0x4f,
	0x2c, 0x18, 0x0c, 0x4a, 0xeb, 0x3a, 0x09, 0x3c,
	0xe0, 0x46, 0x4c, 0x84, 0x39, 0xb5, 0x8a, 0x79,
	0x1f, 0x30, 0x68, 0x1f, 0x94, 0x92, 0x52, 0xf5,
};

/* From tests/mac/vectors, which knows only the standards. */
static const struct {
	enum qvault_kind kind;
	u64 id;
	u64 version;
	bool zeros;
	u8 tag[QVAULT_TAG_SIZE];
} nhpoly_vectors[] = {
	{ QVAULT_KIND_DATA, 0, 1, true, {
		0x22, 0x87, 0xb9, 0x87, 0x9f, 0xbd, 0x1f, 0xf8,
		0x90, 0x44, 0xa0, 0x34, 0x2a, 0x67, 0xf5, 0x4d } },
	{ QVAULT_KIND_DATA, 0x123456, 0x0102030405060708ull, false, {
		0x4a, 0xc7, 0x19, 0x51, 0xf7, 0xe7, 0x3e, 0x3d,
		0x7f, 0x5f, 0x6d, 0xc4, 0x2c, 0xae, 0x7f, 0x03 } },
	{ QVAULT_KIND_NODE, 0x0200000000000005ull, 9, false, {
		0xd3, 0xf7, 0xfe, 0x5f, 0xa2, 0xeb, 0x4d, 0x87,
		0x74, 0xf7, 0xe0, 0xbe, 0xe8, 0x0e, 0x57, 0x43 } },
	{ QVAULT_KIND_MAP, 5, 9, false, {
		0x9e, 0xdc, 0x93, 0xf8, 0xc0, 0x92, 0x7e, 0xd3,
		0x39, 0x7d, 0xd6, 0x02, 0x96, 0xd5, 0x5b, 0x13 } },
	{ QVAULT_KIND_LOG, 77, 9, false, {
		0xac, 0xa1, 0xaf, 0x5d, 0x70, 0xf1, 0x49, 0xaa,
		0xc9, 0x4c, 0x1f, 0x69, 0xe2, 0xa5, 0x27, 0xde } },
};

static const u8 nhpoly_sealed_tag[] = {
	0xa0, 0x39, 0x2d, 0x6e, 0xd4, 0x3b, 0x7f, 0x76,
	0xd9, 0xff, 0xda, 0x23, 0xc5, 0x86, 0xbe, 0xa9,
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
	b->v.crypto = world_crypto(test);
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_use_mac(b->v.crypto, mac));
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
	struct blocks *b = blocks_new(test, QVAULT_MAC_HMAC_SHA256_128);

	seal(test, b, QVAULT_KIND_DATA, 0x123456, 0x0102030405060708ull);
	KUNIT_EXPECT_MEMEQ(test, b->tag, data_tag, sizeof(data_tag));
	KUNIT_EXPECT_MEMEQ(test, b->cipher, data_head, sizeof(data_head));
	KUNIT_EXPECT_MEMEQ(test, b->cipher + QVAULT_BLOCK_SIZE - 16, data_tail,
			   sizeof(data_tail));
	seal(test, b, QVAULT_KIND_NODE, qvault_node_id(2, 5), 9);
	KUNIT_EXPECT_MEMEQ(test, b->tag, node_tag, sizeof(node_tag));
	KUNIT_EXPECT_MEMEQ(test, b->cipher, node_head, sizeof(node_head));
	seal(test, b, QVAULT_KIND_MAP, qvault_node_id(0, 5), 9);
	KUNIT_EXPECT_MEMEQ(test, b->tag, map_tag, sizeof(map_tag));
	seal(test, b, QVAULT_KIND_LOG, 77, 9);
	KUNIT_EXPECT_MEMEQ(test, b->tag, log_tag, sizeof(log_tag));
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

static void sealed_with_nhpoly(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_NHPOLY_AES);
	struct qvault_disk_seal head;
	const void *data;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(nhpoly_vectors); i++) {
		data = vector(b, i, &head);
		KUNIT_ASSERT_EQ(test, 0, qvault_crypto_mac(b->v.crypto, 1, &head,
							   &data, &b->tag));
		KUNIT_EXPECT_MEMEQ(test, b->tag, nhpoly_vectors[i].tag,
				   QVAULT_TAG_SIZE);
	}
	seal(test, b, QVAULT_KIND_DATA, 0x123456, 0x0102030405060708ull);
	KUNIT_EXPECT_MEMEQ(test, b->cipher, data_head, sizeof(data_head));
	KUNIT_EXPECT_MEMEQ(test, b->tag, nhpoly_sealed_tag, QVAULT_TAG_SIZE);
}

/* Their hashes go through one call of the cipher, in their order. */
static void two_sealed_with_nhpoly(struct kunit *test)
{
	struct blocks *b = blocks_new(test, QVAULT_MAC_NHPOLY_AES);
	u8 tag[QVAULT_MAX_SEAL][QVAULT_TAG_SIZE];
	struct qvault_disk_seal head[QVAULT_MAX_SEAL];
	const void *data[QVAULT_MAX_SEAL];
	u32 i;

	for (i = 0; i < QVAULT_MAX_SEAL; i++)
		data[i] = vector(b, i, &head[i]);
	KUNIT_ASSERT_EQ(test, 0, qvault_crypto_mac(b->v.crypto, QVAULT_MAX_SEAL,
						   head, data, tag));
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

static void unknown_macs_are_refused(struct kunit *test)
{
	struct qvault_crypto *crypto = world_crypto(test);

	KUNIT_EXPECT_EQ(test, -EPROTONOSUPPORT, qvault_crypto_use_mac(crypto, 0));
	KUNIT_EXPECT_EQ(test, -EPROTONOSUPPORT, qvault_crypto_use_mac(crypto, 3));
}

static void new_anchor(struct kunit *test)
{
	struct qvault_disk_anchor *disk =
		kunit_kzalloc(test, sizeof(*disk), GFP_KERNEL);
	u8 mac[QVAULT_ANCHOR_MAC_SIZE], uuid[QVAULT_UUID_SIZE];
	int err;

	world_uuid(uuid);
	KUNIT_ASSERT_EQ(test, 0, qvault_new_anchor(disk, uuid, 4096, 0, 64));
	KUNIT_EXPECT_EQ(test, 3840, le64_to_cpu(disk->logical_blocks));
	err = qvault_crypto_anchor_mac(world_crypto(test), disk,
				       offsetof(struct qvault_disk_anchor, mac),
				       mac);
	KUNIT_ASSERT_EQ(test, 0, err);
	KUNIT_EXPECT_MEMEQ(test, mac, anchor_mac, sizeof(anchor_mac));
}

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
	}, back;
	static const u8 wanted[] = {
		0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
		0x45, 0x23, 0x01, 0xef, 0xcd, 0xab, 0x00, 0x00,
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
	KUNIT_EXPECT_MEMEQ(test, ptr.tag, back.tag, QVAULT_TAG_SIZE);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(sealed_blocks),
	KUNIT_CASE(sealed_with_nhpoly),
	KUNIT_CASE(two_sealed_with_nhpoly),
	KUNIT_CASE(two_hashed_at_once),
	KUNIT_CASE(unknown_macs_are_refused),
	KUNIT_CASE(new_anchor),
	KUNIT_CASE(tampering_is_noticed),
	KUNIT_CASE(tampering_is_noticed_by_nhpoly),
	KUNIT_CASE(rewriting_tells_nothing),
	KUNIT_CASE(pointers_round_trip),
	{}
};

static struct kunit_suite suite = {
	.name = "qvault-format",
	.test_cases = cases,
};

kunit_test_suite(suite);
