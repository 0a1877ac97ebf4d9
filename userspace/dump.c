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
	ctl_json_number(object, "generation", ptr->generation);
	ctl_json_number(object, "below", ptr->below);
	json_object_object_add(to, name, object);
}

static const char cipher[] = "aes-256-xts";	/* the only one yet */

/* Their numbers, ciphers and MACs; a secret is never shown. */
static void add_generations(struct json_object *to, const struct ctl_record *r)
{
	struct json_object *list = json_object_new_array(), *object;
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!r->gen[i].exists)
			continue;
		object = json_object_new_object();
		ctl_json_number(object, "number", i);
		ctl_json_text(object, "cipher", cipher);
		ctl_json_text(object, "mac", ctl_mac_name(r->gen[i].mac));
		json_object_array_add(list, object);
	}
	json_object_object_add(to, "generations", list);
	ctl_json_number(to, "seal", r->seal);
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
	ctl_json_text(top, "cipher", cipher);
	ctl_json_text(top, "mac", ctl_mac_name(ctl_record_mac(r)));
	ctl_json_number(top, "block_size", QVAULT_BLOCK_SIZE);
	ctl_json_number(top, "sector_size", r->sector_size);
	ctl_json_number(top, "ro_compat", r->ro_compat);
	ctl_json_number(top, "time", r->time);
	ctl_json_number(top, "size", r->geo.logical_blocks * QVAULT_BLOCK_SIZE);
	ctl_json_number(top, "sequence", r->sequence);
	ctl_json_number(top, "epoch", r->epoch);
	ctl_json_number(top, "lease", r->lease);
	ctl_json_number(top, "commit", r->commit);
	ctl_json_number(top, "log_tail", r->log_tail);
	ctl_json_number(top, "log_head", r->log_head);
	ctl_json_number(top, "inline_bytes", r->inline_bytes);
	ctl_json_number(top, "settle_seconds", r->settle);
	ctl_json_number(top, "tree_level", r->tree_level);
	ctl_json_number(top, "map_level", r->map_level);
	add_generations(top, r);
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
	uint32_t i;

	if (!ptr->version) {
		printf("%-18snone\n", name);
		return;
	}
	printf("%-18sversion %" PRIu64 ", where %" PRIu64 ", generation %u", name,
	       ptr->version, ptr->where, ptr->generation);
	for (i = 0; i < QVAULT_GENERATIONS; i++)
		if (ptr->below >> i & 1)
			printf("%s%" PRIu32, ptr->below & ((1u << i) - 1) ? ", " :
			       " over ", i);
	putchar('\n');
}

static void print_root(const char *name, const struct ctl_pointer *ptr,
		       uint32_t level)
{
	char text[32];

	snprintf(text, sizeof(text), "%s (level %" PRIu32 "):", name, level);
	print_pointer(text, ptr);
}

static void print_generations(const struct ctl_record *r)
{
	char name[32];
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!r->gen[i].exists)
			continue;
		snprintf(name, sizeof(name), "Generation %" PRIu32 ":", i);
		printf("%-18s%s, %s%s\n", name, cipher,
		       ctl_mac_name(r->gen[i].mac),
		       i == r->seal ? "; seals new blocks" : "");
	}
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
	char text[CTL_SIZE_CHARS], when[CTL_TIME_CHARS];

	printf("%-18s%s\n", "Anchor:", verified ?
	       "verified under this key" :
	       "not verified (give --key-file to verify it)");
	print_number("Format version:", r->format);
	printf("%-18s%s\n", "UUID:", ctl_uuid_text(text, r->uuid));
	printf("%-18s%s\n", "Size:",
	       ctl_size(text, r->geo.logical_blocks * QVAULT_BLOCK_SIZE));
	printf("%-18s%s, 4096-byte blocks\n", "Cipher:", cipher);
	printf("%-18s%s, 128 bits\n", "MAC:", ctl_mac_name(ctl_record_mac(r)));
	print_generations(r);
	if (r->ro_compat)
		printf("%-18sit has features (0x%" PRIx32 ") that this qvault-ctl does not know\n",
		       "Read only:", r->ro_compat);
	printf("%-18s%s\n", "Written:", ctl_time(when, r->time));
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
	if (r->settle)
		printf("%-18sbetween hosts, settle time %" PRIu32 " s\n", "Shared:",
		       r->settle);
	print_root("Tree", &r->tree, r->tree_level);
	print_root("Map", &r->map, r->map_level);
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
