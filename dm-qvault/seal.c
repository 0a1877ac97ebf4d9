// SPDX-License-Identifier: GPL-2.0
/*
 * Sealing: encrypt under a version that was never used before, then a MAC over
 * what the block is, the version and the ciphertext.
 */
#include "qvault.h"

void qvault_ptr_from_disk(struct qvault_ptr *ptr,
			  const struct qvault_disk_ptr *disk)
{
	ptr->version = le64_to_cpu(disk->version);
	ptr->where = le64_to_cpu(disk->where);
	memcpy(ptr->tag, disk->tag, QVAULT_TAG_SIZE);
}

void qvault_ptr_to_disk(struct qvault_disk_ptr *disk,
			const struct qvault_ptr *ptr)
{
	disk->version = cpu_to_le64(ptr->version);
	disk->where = cpu_to_le64(ptr->where);
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

/**
 * qvault_seal() - encrypt and authenticate a block
 * @v: vault
 * @kind: what the block is
 * @id: which one it is
 * @version: from qvault_new_versions(); never used before
 * @plain: QVAULT_BLOCK_SIZE bytes; read once
 * @cipher: buffer from qvault_buf_get() that only we can reach
 * @tag: set, QVAULT_TAG_SIZE bytes
 *
 * Context: May sleep.
 * Return: 0 or a negative errno, after which @cipher must not be written out.
 */
int qvault_seal(struct qvault *v, enum qvault_kind kind, u64 id, u64 version,
		const void *plain, void *cipher, u8 *tag)
{
	struct qvault_disk_seal head;
	u8 tweak[16];
	int err;

	make_tweak(tweak, id, version);
	err = qvault_crypto_xts(v->crypto, kind != QVAULT_KIND_DATA, true,
				tweak, plain, cipher);
	if (err)
		return err;
	make_head(&head, kind, id, version);
	return qvault_crypto_mac(v->crypto, &head, cipher, tag);
}

/**
 * qvault_unseal() - authenticate and decrypt a block
 * @v: vault
 * @kind: what the block must be
 * @id: which one it must be
 * @ptr: the pointer that its parent holds
 * @cipher: as read; the device may still be able to change it
 * @plain: result, QVAULT_BLOCK_SIZE bytes
 * @scratch: block that only we can reach; may be @plain if that is private too
 *
 * @cipher is fetched exactly once: what is decrypted is the copy that was
 * authenticated, whatever the device does to the original meanwhile.
 *
 * Context: May sleep.
 * Return: 0; -EILSEQ if this is not that block (@plain is then untouched,
 * unless it is @scratch); or another negative errno.
 */
int qvault_unseal(struct qvault *v, enum qvault_kind kind, u64 id,
		  const struct qvault_ptr *ptr, const void *cipher,
		  void *plain, void *scratch)
{
	struct qvault_disk_seal head;
	u8 tag[QVAULT_TAG_SIZE];
	u8 tweak[16];
	int err;

	memcpy(scratch, cipher, QVAULT_BLOCK_SIZE);
	make_head(&head, kind, id, ptr->version);
	err = qvault_crypto_mac(v->crypto, &head, scratch, tag);
	if (err)
		return err;
	if (qvault_tags_differ(tag, ptr->tag, QVAULT_TAG_SIZE))
		return -EILSEQ;
	make_tweak(tweak, id, ptr->version);
	return qvault_crypto_xts(v->crypto, kind != QVAULT_KIND_DATA, false,
				 tweak, scratch, plain);
}
