// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl status: an attached vault in words, or as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "qvault-ctl.h"
#include "vault.h"

/* The INFO status, see dm-qvault/status.c; what is added to it later is left. */
struct counters {
	char mode[16];
	uint64_t epoch;
	uint64_t sequence;
	uint64_t commit;
	uint64_t mapped_blocks;
	uint64_t logical_blocks;
	uint64_t log_used;
	uint64_t log_blocks;
	uint64_t reads;
	uint64_t writes;
	uint64_t unmaps;
	uint64_t anchor_writes;
	uint64_t flushes;
	uint64_t log_writes;
	uint64_t node_writes;
	uint64_t checkpoints;
	uint64_t corruptions;
};
#define NR_FIELDS 17

struct vault {
	const char *name;
	struct ctl_dm_info info;
	struct ctl_dm_target status;
	struct ctl_dm_target table;
	struct counters counters;
	char data[64];			/* as in the table */
	char anchor[64];
	char uuid[CTL_UUID_CHARS];	/* "" if ephemeral */
};

static bool parse_status(struct counters *c, const char *text)
{
	return sscanf(text, "%15s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		      "/%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 " %" SCNu64
		      " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		      " %" SCNu64 " %" SCNu64,
		      c->mode, &c->epoch, &c->sequence, &c->commit,
		      &c->mapped_blocks, &c->logical_blocks, &c->log_used,
		      &c->log_blocks, &c->reads, &c->writes, &c->unmaps,
		      &c->anchor_writes, &c->flushes, &c->log_writes,
		      &c->node_writes, &c->checkpoints,
		      &c->corruptions) == NR_FIELDS;
}

/* "QVAULT-<uuid>-<name>", if attach made the device. */
static void parse_uuid(struct vault *v)
{
	const size_t prefix = sizeof(CTL_DM_UUID_PREFIX) - 1;
	uint8_t raw[QVAULT_UUID_SIZE];
	char text[CTL_UUID_CHARS] = "";

	if (strlen(v->info.uuid) >= prefix + CTL_UUID_CHARS - 1)
		memcpy(text, v->info.uuid + prefix, CTL_UUID_CHARS - 1);
	v->uuid[0] = '\0';
	if (ctl_uuid_parse(raw, text))
		memcpy(v->uuid, text, sizeof(text));
}

static int inspect(struct vault *v)
{
	int err;

	err = ctl_dm_status(v->name, &v->status);
	if (!err)
		err = ctl_dm_table(v->name, &v->table);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot look at %s: %s",
				v->name, err == -ENODATA ?
				"it has no table (qvault-ctl detach removes it)" :
				strerror(-err));
	parse_uuid(v);
	if (parse_status(&v->counters, v->status.params) &&
	    sscanf(v->table.params, "%63s %63s", v->data, v->anchor) == 2)
		return CTL_OK;
	return ctl_fail(CTL_USAGE,
			"%s: the module's status is none that this qvault-ctl knows: %s",
			v->name, v->status.params);
}

/* dm names devices by number; sysfs knows what else they are called. */
static const char *device_path(char path[300], const char *number)
{
	char link[100], target[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/dev/block/%s", number);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return number;
	target[n] = '\0';
	snprintf(path, 300, "/dev/%s", basename(target));
	return path;
}

static void print_text(const char *name, const char *value)
{
	printf("  %-22s%s\n", name, value);
}

static void print_number(const char *name, uint64_t value)
{
	printf("  %-22s%" PRIu64 "\n", name, value);
}

static void show_devices(const struct vault *v)
{
	char path[300], size[CTL_SIZE_CHARS];
	const bool ephemeral = !strcmp(v->anchor, "-");

	print_text("type:", ephemeral ? "QVAULT, ephemeral" : "QVAULT");
	if (*v->uuid)
		print_text("UUID:", v->uuid);
	print_text("data device:", device_path(path, v->data));
	if (!ephemeral)
		print_text("anchor device:", device_path(path, v->anchor));
	print_text("size:", ctl_size(size, v->status.sectors * 512));
}

static void show_counters(const struct counters *c)
{
	printf("  %-22s%" PRIu64 " of %" PRIu64 " (at the last checkpoint)\n",
	       "blocks mapped:", c->mapped_blocks, c->logical_blocks);
	printf("  %-22s%" PRIu64 " of %" PRIu64 "\n", "log blocks used:",
	       c->log_used, c->log_blocks);
	print_number("epoch:", c->epoch);
	print_number("sequence:", c->sequence);
	print_number("commits:", c->commit);
	print_number("checkpoints:", c->checkpoints);
	print_number("blocks read:", c->reads);
	print_number("blocks written:", c->writes);
	print_number("blocks unmapped:", c->unmaps);
	print_number("log blocks written:", c->log_writes);
	print_number("node blocks written:", c->node_writes);
	print_number("anchors written:", c->anchor_writes);
	print_number("flushes:", c->flushes);
	print_number("corruptions:", c->corruptions);
}

static void show_text(const struct vault *v)
{
	printf("/dev/mapper/%s is active%s.\n", v->name,
	       v->info.open_count ? " and is in use" : "");
	show_devices(v);
	printf("  %-22s%s%s\n", "mode:", v->counters.mode,
	       v->info.suspended ? ", suspended" : "");
	show_counters(&v->counters);
}

static void add_number(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, text ? json_object_new_string(text) : NULL);
}

static void add_bool(struct json_object *to, const char *name, bool value)
{
	json_object_object_add(to, name, json_object_new_boolean(value));
}

static void add_counters(struct json_object *top, const struct counters *c)
{
	add_number(top, "epoch", c->epoch);
	add_number(top, "sequence", c->sequence);
	add_number(top, "commit", c->commit);
	add_number(top, "mapped_blocks", c->mapped_blocks);
	add_number(top, "logical_blocks", c->logical_blocks);
	add_number(top, "log_used", c->log_used);
	add_number(top, "log_blocks", c->log_blocks);
	add_number(top, "blocks_read", c->reads);
	add_number(top, "blocks_written", c->writes);
	add_number(top, "blocks_unmapped", c->unmaps);
	add_number(top, "anchors_written", c->anchor_writes);
	add_number(top, "flushes", c->flushes);
	add_number(top, "log_blocks_written", c->log_writes);
	add_number(top, "node_blocks_written", c->node_writes);
	add_number(top, "checkpoints", c->checkpoints);
	add_number(top, "corruptions", c->corruptions);
}

static void print_json(struct json_object *top)
{
	puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

static void show_json(const struct vault *v)
{
	struct json_object *top = json_object_new_object();
	const bool ephemeral = !strcmp(v->anchor, "-");
	char path[300];

	add_text(top, "name", v->name);
	add_bool(top, "active", true);
	add_bool(top, "in_use", v->info.open_count);
	add_bool(top, "suspended", v->info.suspended);
	add_bool(top, "read_only", v->info.read_only);
	add_bool(top, "ephemeral", ephemeral);
	add_text(top, "uuid", *v->uuid ? v->uuid : NULL);
	add_text(top, "data", device_path(path, v->data));
	add_text(top, "anchor", ephemeral ? NULL : device_path(path, v->anchor));
	add_number(top, "size", v->status.sectors * 512);
	add_text(top, "mode", v->counters.mode);
	add_counters(top, &v->counters);
	print_json(top);
}

/* As cryptsetup: not an error to be told on stderr, but not success either. */
static int show_inactive(const char *name, bool json)
{
	struct json_object *top;

	if (json) {
		top = json_object_new_object();
		add_text(top, "name", name);
		add_bool(top, "active", false);
		print_json(top);
	} else {
		printf("/dev/mapper/%s is inactive.\n", name);
	}
	return CTL_WRONG_DEVICE;
}

int ctl_status_verb(struct ctl_options *o)
{
	const bool json = ctl_given(o, CTL_OPT_JSON);
	struct vault v = { .name = ctl_vault_name(o->argv[0]) };
	bool active = true;
	int err;

	err = ctl_vault_exists(v.name, &active);
	if (!err && !active)
		return show_inactive(v.name, json);
	if (!err)
		err = ctl_vault_find(v.name, &v.info);
	if (!err)
		err = inspect(&v);
	if (!err && json)
		show_json(&v);
	else if (!err)
		show_text(&v);
	ctl_dm_target_free(&v.status);
	ctl_dm_target_free(&v.table);
	return err;
}
