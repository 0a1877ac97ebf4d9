// SPDX-License-Identifier: GPL-2.0
/*
 * The parser of anchor records.  It bounds every field, although the MAC will
 * vouch for them: a dump without a key shows records that nothing vouches for.
 */
#include <endian.h>
#include <string.h>

#include "record.h"

static const uint8_t magic[8] = QVAULT_ANCHOR_MAGIC;

static bool all_zero(const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes--)
		if (*p++)
			return false;
	return true;
}

static void pointer_from_disk(struct ctl_pointer *ptr,
			      const struct qvault_disk_ptr *disk)
{
	const u64 where = le64toh(disk->where);

	ptr->version = le64toh(disk->version);
	ptr->where = where & QVAULT_WHERE_MASK;
	ptr->generation = where >> QVAULT_WHERE_GEN_SHIFT & 0xf;
	ptr->below = where >> QVAULT_WHERE_SET_SHIFT & 0xff;
}

static void generations_from_disk(struct ctl_record *r,
				  const struct qvault_disk_anchor *disk)
{
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		r->gen[i].exists = !all_zero(&disk->gen[i], sizeof(disk->gen[i]));
		r->gen[i].cipher = disk->gen[i].cipher;
		r->gen[i].mac = disk->gen[i].mac;
	}
}

static void record_from_disk(struct ctl_record *r,
			     const struct qvault_disk_anchor *disk)
{
	r->format = le32toh(disk->format);
	r->incompat = le32toh(disk->incompat);
	r->ro_compat = le32toh(disk->ro_compat);
	r->sector_size = le32toh(disk->sector_size);
	memcpy(r->uuid, disk->uuid, sizeof(r->uuid));
	r->tree_level = disk->tree_level;
	r->map_level = disk->map_level;
	r->seal = disk->seal;
	r->sequence = le64toh(disk->sequence);
	r->epoch = le64toh(disk->epoch);
	r->lease = le64toh(disk->lease);
	r->log_tail = le64toh(disk->log_tail);
	r->log_head = le64toh(disk->log_head);
	r->commit = le64toh(disk->commit);
	pointer_from_disk(&r->tree, &disk->tree);
	pointer_from_disk(&r->map, &disk->map);
	pointer_from_disk(&r->log, &disk->log);
	r->time = le64toh(disk->time);
	r->inline_bytes = le32toh(disk->inline_bytes);
	r->settle = le32toh(disk->settle);
	generations_from_disk(r, disk);
}

static const char *const mac_names[] = QVAULT_MAC_NAMES;
#define NR_MACS (sizeof(mac_names) / sizeof(mac_names[0]))

const char *ctl_mac_name(uint32_t mac)
{
	return mac < NR_MACS ? mac_names[mac] : NULL;
}

uint32_t ctl_mac_find(const char *name)
{
	uint32_t i;

	for (i = 0; i < NR_MACS; i++)
		if (mac_names[i] && !strcmp(mac_names[i], name))
			return i;
	return 0;
}

static const char *check_reserved(const struct qvault_disk_anchor *disk)
{
	if (disk->reserved0 ||
	    !all_zero(disk->reserved1, sizeof(disk->reserved1)) ||
	    !all_zero(disk->walk.reserved, sizeof(disk->walk.reserved)) ||
	    !all_zero(disk->reserved2, sizeof(disk->reserved2)))
		return "reserved bytes are not zero";
	return NULL;
}

static const char *check_generations(const struct ctl_record *r,
				     const struct qvault_disk_anchor *disk)
{
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!r->gen[i].exists)
			continue;
		if (r->gen[i].cipher != QVAULT_CIPHER_AES_256_XTS)
			return "unknown cipher";
		if (!ctl_mac_name(r->gen[i].mac))
			return "unknown kind of MAC";
		if (!all_zero(disk->gen[i].reserved, sizeof(disk->gen[i].reserved)))
			return "reserved bytes are not zero";
	}
	if (r->seal >= QVAULT_GENERATIONS || !r->gen[r->seal].exists)
		return "the generation that seals does not exist";
	return NULL;
}

static const char *check_parameters(struct ctl_record *r,
				    const struct qvault_disk_anchor *disk)
{
	u64 logical_blocks = le64toh(disk->logical_blocks);

	if (r->sector_size != QVAULT_BLOCK_SIZE)
		return "unknown sector size";
	/* Zero would mean "as large as fits", which an anchor never says. */
	if (!logical_blocks)
		return "the volume has no size";
	if (qvault_geometry_init(&r->geo, le64toh(disk->data_blocks),
				 logical_blocks, le32toh(disk->log_blocks)))
		return "the sizes of device, volume and log do not fit together";
	/* A volume that has grown gets its new levels by a later record. */
	if (r->tree_level > r->geo.tree.top || r->map_level > r->geo.map.top)
		return "a root stands higher than the volume needs";
	return NULL;
}

/* log_tail - 1 is the head of an empty log. */
static const char *check_log(const struct ctl_record *r)
{
	if (!r->log_tail || r->log_head > UINT64_MAX / 2 ||
	    r->log_head < r->log_tail - 1)
		return "the log ends before it begins";
	if (r->log_head + 1 - r->log_tail > r->geo.log_blocks)
		return "the log is longer than its place";
	if (r->settle > QVAULT_MAX_SETTLE)
		return "the settle time is too long";
	if (r->inline_bytes > QVAULT_INLINE_SIZE)
		return "more inline entries than a record holds";
	return NULL;
}

/* A bit for each generation that exists. */
static u64 existing(const struct ctl_record *r)
{
	u64 bits = 0;
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++)
		bits |= (u64)r->gen[i].exists << i;
	return bits;
}

static const char *check_pointer(const struct qvault_disk_ptr *disk,
				 const struct ctl_record *r)
{
	u64 version = le64toh(disk->version), where = le64toh(disk->where);
	const u64 exist = existing(r);

	if (!version)
		return all_zero(disk, sizeof(*disk)) ?
			NULL : "a pointer without version is not zero";
	if (version >= r->lease)
		return "a pointer is newer than the record";
	if (where >> QVAULT_WHERE_FLAGS_SHIFT)
		return "a pointer has unknown flags";
	if (!(exist >> (where >> QVAULT_WHERE_GEN_SHIFT & 0xf) & 1) ||
	    (where >> QVAULT_WHERE_SET_SHIFT & 0xff & ~exist))
		return "a pointer names a generation that does not exist";
	return NULL;
}

static const char *check_root(const struct qvault_disk_ptr *disk, uint8_t level,
			      enum qvault_kind kind, uint8_t top,
			      const struct ctl_record *r)
{
	const char *why = check_pointer(disk, r);

	if (why)
		return why;
	if (disk->version ? !qvault_node_twice(kind, level) || level > top : level)
		return "a root has an impossible level";
	return NULL;
}

static const char *check_state(const struct ctl_record *r,
			       const struct qvault_disk_anchor *disk,
			       uint32_t slot)
{
	const char *why;

	if (r->sequence % QVAULT_ANCHOR_SLOTS != slot)
		return "the record belongs to the other slot";
	if (!r->sequence || !r->lease)
		return "a counter that starts at 1 is 0";
	why = check_log(r);
	if (!why)
		why = check_root(&disk->tree, disk->tree_level, QVAULT_KIND_NODE,
				 r->geo.tree.top, r);
	if (!why)
		why = check_root(&disk->map, disk->map_level, QVAULT_KIND_MAP,
				 r->geo.map.top, r);
	if (!why)
		why = check_pointer(&disk->log, r);
	return why;
}

enum ctl_slot_state ctl_record_parse(const struct qvault_disk_anchor *disk,
				     uint32_t slot, struct ctl_record *record,
				     const char **why)
{
	*why = NULL;
	memset(record, 0, sizeof(*record));
	if (memcmp(disk->magic, magic, sizeof(magic)))
		return all_zero(disk, sizeof(*disk)) ? CTL_SLOT_EMPTY :
						       CTL_SLOT_FOREIGN;
	record_from_disk(record, disk);
	/* Another version may mean something else by every other field. */
	if (record->format != QVAULT_FORMAT_VERSION)
		return CTL_SLOT_VERSION;
	if (record->incompat)
		return CTL_SLOT_FEATURES;
	*why = check_reserved(disk);
	if (!*why)
		*why = check_generations(record, disk);
	if (!*why)
		*why = check_parameters(record, disk);
	if (!*why)
		*why = check_state(record, disk, slot);
	return *why ? CTL_SLOT_DAMAGED : CTL_SLOT_RECORD;
}

/*
 * An empty vault is zero roots.  Version 0 means "nothing", so 1 is the first
 * that an attach may use; it takes a lease before it uses any.
 */
void ctl_record_new(struct qvault_disk_anchor *disk, const uint8_t *uuid,
		    enum qvault_mac mac, uint64_t now,
		    const struct qvault_geometry *geo)
{
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, magic, sizeof(magic));
	disk->format = htole32(QVAULT_FORMAT_VERSION);
	disk->sector_size = htole32(QVAULT_BLOCK_SIZE);
	memcpy(disk->uuid, uuid, sizeof(disk->uuid));
	disk->data_blocks = htole64(geo->data_blocks);
	disk->logical_blocks = htole64(geo->logical_blocks);
	disk->log_blocks = htole32(geo->log_blocks);
	disk->sequence = htole64(1);
	disk->lease = htole64(1);
	disk->log_tail = htole64(1);
	disk->time = htole64(now);
	disk->gen[0].cipher = QVAULT_CIPHER_AES_256_XTS;
	disk->gen[0].mac = (uint8_t)mac;
}
