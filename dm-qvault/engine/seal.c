// SPDX-License-Identifier: GPL-2.0
/*
 * Sealing: encrypt under a version that was never used before, then a MAC over
 * what the block is, the version and the ciphertext.
 */
#include "qvault.h"

void qvault_ptr_from_disk(struct qvault_ptr *ptr,
			  const struct qvault_disk_ptr *disk)
{
	u64 where = le64_to_cpu(disk->where);

	ptr->version = le64_to_cpu(disk->version);
	ptr->where = where & QVAULT_WHERE_MASK;
	ptr->gen = where >> QVAULT_WHERE_GEN_SHIFT & 0xf;
	ptr->below = where >> QVAULT_WHERE_SET_SHIFT & 0xff;
	ptr->flags = where >> QVAULT_WHERE_FLAGS_SHIFT;
	memcpy(ptr->tag, disk->tag, QVAULT_TAG_SIZE);
}

void qvault_ptr_to_disk(struct qvault_disk_ptr *disk,
			const struct qvault_ptr *ptr)
{
	disk->version = cpu_to_le64(ptr->version);
	disk->where = cpu_to_le64(ptr->where |
				  (u64)ptr->gen << QVAULT_WHERE_GEN_SHIFT |
				  (u64)ptr->below << QVAULT_WHERE_SET_SHIFT |
				  (u64)ptr->flags << QVAULT_WHERE_FLAGS_SHIFT);
	memcpy(disk->tag, ptr->tag, QVAULT_TAG_SIZE);
}

static void make_head(struct qvault_disk_seal *head, enum qvault_kind kind,
		      u64 id, u64 version)
{
	head->kind = cpu_to_le64(kind);
	head->id = cpu_to_le64(id);
	head->version = cpu_to_le64(version);
	head->reserved = 0;
}

/*
 * The version alone is unique; the id is there so that even a repeated version
 * (which would be a bug) could not show that two blocks are the same.
 */
static void make_tweak(u8 tweak[16], u64 id, u64 version)
{
	__le64 part[2] = { cpu_to_le64(version), cpu_to_le64(id) };

	memcpy(tweak, part, sizeof(part));
}

/* Under the keys that are held. */
static int seal(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
		struct qvault_ptr *ptr, const void *const plain[],
		void *const cipher[])
{
	struct qvault_disk_seal head[QVAULT_MAX_SEAL];
	u8 tag[QVAULT_MAX_SEAL][QVAULT_TAG_SIZE];
	u8 tweak[16];
	int err;
	u32 i;

	for (i = 0; i < n; i++) {
		make_tweak(tweak, id + i, ptr[i].version);
		err = qvault_crypto_xts(v->crypto, ptr->gen, kind != QVAULT_KIND_DATA,
					true, tweak, plain[i], cipher[i]);
		if (err)
			return err;
		make_head(&head[i], kind, id + i, ptr[i].version);
	}
	err = qvault_crypto_mac(v->crypto, ptr->gen, n, head,
				(const void *const *)cipher, tag);
	for (i = 0; i < n && !err; i++)
		memcpy(ptr[i].tag, tag[i], QVAULT_TAG_SIZE);
	return err;
}

/**
 * qvault_seal_blocks() - encrypt and authenticate blocks that follow each other
 * @v: vault
 * @kind: what they are
 * @id: which one the first is
 * @n: how many, 1..QVAULT_MAX_SEAL
 * @ptr: of each; version is set, from qvault_new_versions() and never used
 *	before, and gen, the same for all; tag will be
 * @plain: QVAULT_BLOCK_SIZE bytes each; read once
 * @cipher: buffers that only we can reach, or the device after us
 *
 * Context: May sleep.
 * Return: 0 or a negative errno, after which no @cipher must be written out.
 */
int qvault_seal_blocks(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
		       struct qvault_ptr *ptr, const void *const plain[],
		       void *const cipher[])
{
	int err = qvault_crypto_hold(v->crypto, ptr->gen);

	if (err)
		return err;
	err = seal(v, kind, id, n, ptr, plain, cipher);
	qvault_crypto_release(v->crypto);
	return err;
}

/* Copies the blocks to where only we can reach them, and says who they are not. */
static int authenticate(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
			const struct qvault_ptr *ptr, const void *const cipher[],
			void *const scratch[])
{
	struct qvault_disk_seal head[QVAULT_MAX_SEAL];
	u8 tag[QVAULT_MAX_SEAL][QVAULT_TAG_SIZE];
	int err;
	u32 i;

	for (i = 0; i < n; i++) {
		memcpy(scratch[i], cipher[i], QVAULT_BLOCK_SIZE);
		make_head(&head[i], kind, id + i, ptr[i].version);
	}
	err = qvault_crypto_mac(v->crypto, ptr->gen, n, head,
				(const void *const *)scratch, tag);
	for (i = 0; i < n && !err; i++)
		if (qvault_tags_differ(tag[i], ptr[i].tag, QVAULT_TAG_SIZE))
			err = -EILSEQ;
	return err;
}

static int unseal(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
		  const struct qvault_ptr *ptr, const void *const cipher[],
		  void *const plain[], void *const scratch[])
{
	u8 tweak[16];
	int err;
	u32 i;

	err = authenticate(v, kind, id, n, ptr, cipher, scratch);
	for (i = 0; i < n && !err; i++) {
		make_tweak(tweak, id + i, ptr[i].version);
		err = qvault_crypto_xts(v->crypto, ptr->gen, kind != QVAULT_KIND_DATA,
					false, tweak, scratch[i], plain[i]);
	}
	return err;
}

/* How many of the blocks are of the first one's generation, from the first one on. */
static u32 of_one_gen(const struct qvault_ptr *ptr, u32 n)
{
	u32 i;

	for (i = 1; i < n; i++)
		if (ptr[i].gen != ptr->gen)
			break;
	return i;
}

static bool have_flags(const struct qvault_ptr *ptr, u32 n)
{
	while (n--)
		if (ptr[n].flags)
			return true;
	return false;
}

/**
 * qvault_unseal_blocks() - authenticate and decrypt blocks that follow each other
 * @v: vault
 * @kind: what they must be
 * @id: which one the first must be
 * @n: how many, 1..QVAULT_MAX_SEAL
 * @ptr: the pointers that their parent holds
 * @cipher: as read; the device may still be able to change it
 * @plain: results, QVAULT_BLOCK_SIZE bytes each
 * @scratch: blocks that only we can reach; may be @plain if that is private too
 *
 * @cipher is fetched exactly once: what is decrypted is the copy that was
 * authenticated, whatever the device does to the original meanwhile.
 *
 * Context: May sleep.
 * Return: 0; -EILSEQ if one of them is not that block, or of a generation that was
 * dropped (each @plain of that generation is then untouched, unless it is @scratch);
 * -ENOKEY while the keys are wiped, which says nothing of the blocks; or another
 * negative errno.
 */
int qvault_unseal_blocks(struct qvault *v, enum qvault_kind kind, u64 id, u32 n,
			 const struct qvault_ptr *ptr,
			 const void *const cipher[], void *const plain[],
			 void *const scratch[])
{
	u32 first, part;
	int err = 0;

	if (have_flags(ptr, n))
		return -EILSEQ;
	for (first = 0; first < n && !err; first += part) {
		part = of_one_gen(ptr + first, n - first);
		err = qvault_crypto_hold(v->crypto, ptr[first].gen);
		if (err)
			return err == -ENOENT ? -EILSEQ : err;
		err = unseal(v, kind, id + first, part, ptr + first, cipher + first,
			     plain + first, scratch + first);
		qvault_crypto_release(v->crypto);
	}
	return err;
}
