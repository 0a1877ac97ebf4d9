// SPDX-License-Identifier: GPL-2.0
/*
 * Does a data device hold the state that a record names?  The roots and the newest
 * log block tell: each of them vouches for what is below it.
 *
 * That they are there does not prove that all below them is: a device of a later
 * moment may still have them in the slots that were not written since.  So who has
 * the record of a later moment as well asks about that, too.  What is missing in the
 * end is never read wrong; it cannot be read.
 */
#include <endian.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

#include "qvault-ctl.h"
#include "record.h"

struct look {
	const struct ctl_device *data;
	struct ctl_key *key;
	const struct ctl_record *record;
};

/* *good: the block stands there.  One that cannot be read does not. */
static int try_block(const struct look *l, enum qvault_kind kind, uint64_t id,
		     const struct qvault_disk_ptr *disk,
		     const struct ctl_pointer *ptr, uint64_t block, bool *good)
{
	static _Alignas(QVAULT_BLOCK_SIZE) uint8_t cipher[QVAULT_BLOCK_SIZE];
	const struct qvault_disk_seal seal = {
		.kind = htole64(kind),
		.id = htole64(id),
		.version = disk->version,
	};
	uint8_t tag[QVAULT_TAG_SIZE];
	int err;

	if (ctl_device_read(l->data, cipher, sizeof(cipher),
			    (off_t)(block * QVAULT_BLOCK_SIZE)))
		return CTL_OK;
	err = ctl_block_tag(l->key, l->record, ptr->generation, cipher, &seal, tag);
	if (!err && !CRYPTO_memcmp(tag, disk->tag, sizeof(tag)))
		*good = true;
	return err;
}

static int look_at_root(const struct look *l, enum qvault_kind kind, uint32_t level,
			const struct qvault_disk_ptr *disk,
			const struct ctl_pointer *ptr, bool *good)
{
	const uint32_t copies = 1 + qvault_node_twice(kind, level);
	const uint64_t id = (uint64_t)level << QVAULT_NODE_LEVEL_SHIFT;
	uint32_t copy;
	int err = CTL_OK;

	*good = !ptr->version;
	for (copy = 0; !err && !*good && copy < copies; copy++)
		err = try_block(l, kind, id, disk, ptr,
				qvault_node_block(&l->record->geo, kind, level, 0,
						  ptr->where & 1, copy), good);
	return err;
}

static int look_at_log(const struct look *l, const struct qvault_disk_ptr *disk,
		       bool *good)
{
	const struct ctl_record *r = l->record;

	*good = r->log_head < r->log_tail;
	if (*good)
		return CTL_OK;
	return try_block(l, QVAULT_KIND_LOG, r->log_head, disk, &r->log,
			 qvault_log_block(&r->geo, r->log_head), good);
}

int ctl_data_lacks(const struct ctl_device *data, struct ctl_key *key,
		   const struct qvault_disk_anchor *disk,
		   const struct ctl_record *r, const char **what)
{
	const struct look l = { data, key, r };
	bool good;
	int err;

	*what = "the root of its tree";
	err = look_at_root(&l, QVAULT_KIND_NODE, r->tree_level, &disk->tree,
			   &r->tree, &good);
	if (err || !good)
		return err;
	*what = "the root of its map";
	err = look_at_root(&l, QVAULT_KIND_MAP, r->map_level, &disk->map, &r->map,
			   &good);
	if (err || !good)
		return err;
	*what = "its newest log block";
	err = look_at_log(&l, &disk->log, &good);
	if (!err && good)
		*what = NULL;
	return err;
}

int ctl_verify_data(const struct ctl_device *data, struct ctl_key *key,
		    const struct qvault_disk_anchor *disk,
		    const struct ctl_record *r)
{
	char have[CTL_SIZE_CHARS], want[CTL_SIZE_CHARS];
	const char *what;
	int err;

	if (data->bytes / QVAULT_BLOCK_SIZE < r->geo.data_blocks)
		return ctl_fail(CTL_WRONG_DEVICE,
				"data device %s is too small: it has %s, the vault uses %s",
				data->path, ctl_size(have, data->bytes),
				ctl_size(want, r->geo.data_blocks * QVAULT_BLOCK_SIZE));
	err = ctl_data_lacks(data, key, disk, r, &what);
	if (err || !what)
		return err;
	return ctl_fail(CTL_WRONG_DEVICE,
			"data device %s does not hold the state of record %" PRIu64 ": %s is another",
			data->path, r->sequence, what);
}
