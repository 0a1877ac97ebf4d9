// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl dump: what an anchor says, and whether a key vouches for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "qvault-ctl.h"
#include "record.h"

static void add_pointer(struct json_object *to, const char *name,
			const struct ctl_pointer *ptr)
{
	struct json_object *object = json_object_new_object();

	ctl_json_number(object, "version", ptr->version);
	ctl_json_number(object, "where", ptr->where);
	json_object_object_add(to, name, object);
}

static void add_geometry(struct json_object *to,
			 const struct qvault_geometry *geo)
{
	struct json_object *object = json_object_new_object();

	ctl_json_number(object, "data_blocks", geo->data_blocks);
	ctl_json_number(object, "logical_blocks", geo->logical_blocks);
	ctl_json_number(object, "capacity", geo->capacity);
	ctl_json_number(object, "total_data", geo->total_data);
	ctl_json_number(object, "log_start", geo->log_start);
	ctl_json_number(object, "log_blocks", geo->log_blocks);
	ctl_json_number(object, "groups_start", geo->groups_start);
	ctl_json_number(object, "groups", geo->groups);
	ctl_json_number(object, "last_leaves", geo->last_leaves);
	ctl_json_number(object, "last_data", geo->last_data);
	ctl_json_number(object, "tree_levels", geo->tree.top + 1u);
	ctl_json_number(object, "map_levels", geo->map.top + 1u);
	json_object_object_add(to, "geometry", object);
}

static void dump_json(const struct ctl_record *r, bool verified)
{
	struct json_object *top = json_object_new_object();
	char uuid[CTL_UUID_CHARS];

	ctl_json_bool(top, "verified", verified);
	ctl_json_number(top, "format", r->format);
	ctl_json_text(top, "uuid", ctl_uuid_text(uuid, r->uuid));
	ctl_json_text(top, "cipher", "aes-256-xts");
	ctl_json_text(top, "mac", ctl_mac_name(r->mac));
	ctl_json_number(top, "block_size", QVAULT_BLOCK_SIZE);
	ctl_json_number(top, "size", r->geo.logical_blocks * QVAULT_BLOCK_SIZE);
	ctl_json_number(top, "sequence", r->sequence);
	ctl_json_number(top, "epoch", r->epoch);
	ctl_json_number(top, "lease", r->lease);
	ctl_json_number(top, "commit", r->commit);
	ctl_json_number(top, "log_tail", r->log_tail);
	ctl_json_number(top, "log_head", r->log_head);
	ctl_json_number(top, "inline_bytes", r->inline_bytes);
	add_pointer(top, "tree", &r->tree);
	add_pointer(top, "map", &r->map);
	add_pointer(top, "log", &r->log);
	add_geometry(top, &r->geo);
	ctl_json_print(top);
}

static void print_number(const char *name, uint64_t value)
{
	printf("%-18s%" PRIu64 "\n", name, value);
}

static void print_pointer(const char *name, const struct ctl_pointer *ptr)
{
	if (ptr->version)
		printf("%-18sversion %" PRIu64 ", where %" PRIu64 "\n", name,
		       ptr->version, ptr->where);
	else
		printf("%-18snone\n", name);
}

static void print_geometry(const struct qvault_geometry *geo)
{
	const uint64_t first = geo->log_start, groups = geo->groups;
	const uint64_t last = first + geo->log_blocks - 1;
	const uint64_t start = geo->groups_start;
	char size[CTL_SIZE_CHARS];

	printf("%-18s%s\n", "Data device:",
	       ctl_size(size, geo->data_blocks * QVAULT_BLOCK_SIZE));
	printf("%-18sblocks %" PRIu64 " to %" PRIu64 "\n", "Log area:", first, last);
	printf("%-18s%" PRIu64 ", from block %" PRIu64 " on\n", "Groups:", groups,
	       start);
	print_number("Data blocks:", geo->total_data);
	print_number("Spare blocks:", geo->total_data - geo->logical_blocks);
	printf("%-18stree %u, map %u\n", "Levels:", geo->tree.top + 1u,
	       geo->map.top + 1u);
}

static void dump_text(const struct ctl_record *r, bool verified)
{
	char text[CTL_SIZE_CHARS];

	printf("%-18s%s\n", "Anchor:", verified ?
	       "verified under this key" :
	       "not verified (give --key-file to verify it)");
	print_number("Format version:", r->format);
	printf("%-18s%s\n", "UUID:", ctl_uuid_text(text, r->uuid));
	printf("%-18s%s\n", "Size:",
	       ctl_size(text, r->geo.logical_blocks * QVAULT_BLOCK_SIZE));
	printf("%-18s%s\n", "Cipher:", "aes-256-xts, 4096-byte blocks");
	printf("%-18s%s, 128 bits\n", "MAC:", ctl_mac_name(r->mac));
	print_number("Sequence:", r->sequence);
	print_number("Epoch:", r->epoch);
	print_number("Lease:", r->lease);
	print_number("Commits:", r->commit);
	if (r->log_head < r->log_tail)
		printf("%-18sempty, next block is %" PRIu64 "\n", "Log:",
		       r->log_tail);
	else
		printf("%-18s%" PRIu64 " to %" PRIu64 "\n", "Log:", r->log_tail,
		       r->log_head);
	print_number("Inline bytes:", r->inline_bytes);
	print_pointer("Tree root:", &r->tree);
	print_pointer("Map root:", &r->map);
	print_pointer("Newest log block:", &r->log);
	print_geometry(&r->geo);
}

int ctl_dump_verb(struct ctl_options *o)
{
	struct ctl_device anchor = CTL_DEVICE_CLOSED("anchor");
	struct ctl_key *key = NULL;
	struct ctl_record record;
	struct ctl_slots slots;
	int err;

	err = ctl_device_open(&anchor, o->argv[0], CTL_READ);
	if (!err)
		err = ctl_anchor_read(&slots, &anchor);
	if (!err && o->key_file)
		err = ctl_key_read(&key, o->key_file);
	if (!err)
		err = ctl_anchor_newest(&slots, &anchor, key, &record);
	if (!err && ctl_given(o, CTL_OPT_JSON))
		dump_json(&record, key);
	else if (!err)
		dump_text(&record, key);
	ctl_key_free(key);
	ctl_device_close(&anchor);
	return err;
}
