// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl status: an attached vault in words, or as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cow.h"
#include "json.h"
#include "live.h"
#include "qvault-ctl.h"
#include "vault.h"

/*
 * The INFO status, see dm-qvault/kernel/status.c.  Of what is added to it later, words are
 * warnings, to be shown as they are; numbers are left.
 */
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
	/* From here on not of every module. */
	unsigned int anchor_slots;	/* of an older module: 2 */
	uint64_t leaked_blocks;
	uint64_t damaged_nodes;
	uint64_t healed_nodes;
	/* Nor are these; "": it does not tell. */
	unsigned int seal;		/* the generation of new blocks */
	char generations[32];		/* in use: "0,2,5" */
	uint64_t versions_left;
};
#define NR_FIELDS 17		/* that every module has */

/* Of all that a vault has at first; see QVAULT_LAST_LEASE in dm-qvault/engine/bounds.h. */
#define ALL_VERSIONS	(~0ull << 45)

struct vault {
	const char *name;
	struct ctl_dm_info info;
	struct ctl_dm_target status;
	struct ctl_dm_target table;
	struct counters counters;
	const char *rest;		/* of the status, behind the counters */
	char data[64];			/* as in the table */
	char anchor[64];
	char uuid[CTL_UUID_CHARS];	/* of the record that it began with; "": none */
	bool ephemeral;
	bool has_cow;
	struct ctl_cow_usage cow;	/* of the private copy */
};

static bool parse_status(struct counters *c, const char *text,
			 const char **rest)
{
	int end = 0;

	if (sscanf(text, "%15s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		      "/%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 " %" SCNu64
		      " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		      " %" SCNu64 " %" SCNu64 "%n",
		      c->mode, &c->epoch, &c->sequence, &c->commit,
		      &c->mapped_blocks, &c->logical_blocks, &c->log_used,
		      &c->log_blocks, &c->reads, &c->writes, &c->unmaps,
		      &c->anchor_writes, &c->flushes, &c->log_writes,
		      &c->node_writes, &c->checkpoints,
		      &c->corruptions, &end) != NR_FIELDS)
		return false;
	*rest = text + end;
	c->anchor_slots = QVAULT_ANCHOR_SLOTS;
	c->leaked_blocks = c->damaged_nodes = c->healed_nodes = 0;
	if (sscanf(*rest, " %u %" SCNu64 " %" SCNu64 " %" SCNu64 " %u %31[0-9,] %" SCNu64,
		   &c->anchor_slots, &c->leaked_blocks, &c->damaged_nodes,
		   &c->healed_nodes, &c->seal, c->generations, &c->versions_left) != 7)
		*c->generations = '\0';
	return true;
}

/* The next warning, which is copied, or false.  *rest goes behind it. */
static bool next_warning(const char **rest, char word[32])
{
	size_t length;

	for (;;) {
		*rest += strspn(*rest, " ");
		length = strcspn(*rest, " ");
		if (!length)
			return false;
		snprintf(word, 32, "%.*s", (int)length, *rest);
		*rest += length;
		if (*word < '0' || *word > '9')
			return true;
	}
}

/* What a mode means for who reads and writes; "" if it says so itself. */
static const char *explain(const char *mode)
{
	if (!strcmp(mode, "failed"))
		return " (takes no writes and no flushes until it is attached again)";
	if (!strcmp(mode, "taken"))
		return " (another attachment took it over: reads and writes fail; detach it)";
	return "";
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
	int err, end = 0;

	err = ctl_dm_status(v->name, &v->status);
	if (!err)
		err = ctl_dm_table(v->name, &v->table);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot look at %s: %s",
				v->name, err == -ENODATA ?
				"it has no table (qvault-ctl detach removes it)" :
				strerror(-err));
	parse_uuid(v);
	if (parse_status(&v->counters, v->status.params, &v->rest) &&
	    sscanf(v->table.params, "%63s %63s %*s%n", v->data, v->anchor, &end) == 2 &&
	    end) {
		v->ephemeral = ctl_table_ephemeral(v->anchor, v->table.params + end);
		v->has_cow = ctl_cow_usage(v->name, v->data, &v->cow);
		return CTL_OK;
	}
	return ctl_fail(CTL_USAGE,
			"%s: the module's status is none that this qvault-ctl knows: %s",
			v->name, v->status.params);
}

static void print_text(const char *name, const char *value)
{
	printf("  %-22s%s\n", name, value);
}

static void print_number(const char *name, uint64_t value)
{
	printf("  %-22s%" PRIu64 "\n", name, value);
}

static void show_cow(const struct ctl_cow_usage *cow)
{
	char used[CTL_SIZE_CHARS], size[CTL_SIZE_CHARS];

	if (cow->invalid)
		print_text("private copy:", "full: reads and writes fail; detach it");
	else
		printf("  %-22s%s of %s\n", "private copy:", ctl_size(used, cow->used),
		       ctl_size(size, cow->bytes));
}

static void show_anchor(const struct vault *v)
{
	const unsigned int slots = v->counters.anchor_slots;
	char path[CTL_PATH_CHARS];

	if (v->ephemeral)
		return;
	print_text("anchor device:", ctl_vault_device_path(path, v->anchor));
	printf("  %-22s%u of %d hold a record%s\n", "anchor slots:", slots,
	       QVAULT_ANCHOR_SLOTS, slots < QVAULT_ANCHOR_SLOTS ?
	       ": it may have been attached one commit back" : "");
}

static void show_devices(const struct vault *v)
{
	char path[CTL_PATH_CHARS], size[CTL_SIZE_CHARS];

	print_text("type:", v->ephemeral ? "QVAULT, ephemeral" : "QVAULT");
	if (*v->uuid)
		print_text(v->ephemeral ? "began as vault:" : "UUID:", v->uuid);
	print_text("data device:", ctl_vault_device_path(path, v->data));
	if (v->has_cow)
		show_cow(&v->cow);
	show_anchor(v);
	print_text("size:", ctl_size(size, v->status.sectors * 512));
}

/* "0, 2; 2 seals new blocks" */
static void show_generations(const struct counters *c)
{
	const char *p;

	if (!*c->generations)
		return;
	printf("  %-22s", "generations in use:");
	for (p = c->generations; *p; p++)
		fputs(*p == ',' ? ", " : (const char[]){ *p, '\0' }, stdout);
	printf("; %u seals new blocks%s\n", c->seal, c->seal == QVAULT_EPHEMERAL_GEN ?
	       ", and is in memory only" : "");
	/* Rounded down: not all of them as soon as one is used. */
	printf("  %-22s%.2f %% of all\n", "versions left:",
	       (double)(c->versions_left / (ALL_VERSIONS / 10000)) / 100);
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
	show_generations(c);
	print_number("blocks read:", c->reads);
	print_number("blocks written:", c->writes);
	print_number("blocks unmapped:", c->unmaps);
	print_number("log blocks written:", c->log_writes);
	print_number("node blocks written:", c->node_writes);
	print_number("anchors written:", c->anchor_writes);
	print_number("flushes:", c->flushes);
	print_number("corruptions:", c->corruptions);
	print_number("blocks leaked:", c->leaked_blocks);
	print_number("damaged nodes:", c->damaged_nodes);
	print_number("healed nodes:", c->healed_nodes);
}

static void show_text(const struct vault *v)
{
	const char *rest = v->rest;
	char word[32];

	printf("/dev/mapper/%s is active%s.\n", v->name,
	       v->info.open_count ? " and is in use" : "");
	show_devices(v);
	printf("  %-22s%s%s%s\n", "mode:", v->counters.mode,
	       explain(v->counters.mode), v->info.suspended ? ", suspended" : "");
	while (next_warning(&rest, word))
		print_text("warning:", word);
	show_counters(&v->counters);
}

static void add_counters(struct json_object *top, const struct counters *c)
{
	ctl_json_number(top, "epoch", c->epoch);
	ctl_json_number(top, "sequence", c->sequence);
	ctl_json_number(top, "commit", c->commit);
	ctl_json_number(top, "mapped_blocks", c->mapped_blocks);
	ctl_json_number(top, "logical_blocks", c->logical_blocks);
	ctl_json_number(top, "log_used", c->log_used);
	ctl_json_number(top, "log_blocks", c->log_blocks);
	ctl_json_number(top, "blocks_read", c->reads);
	ctl_json_number(top, "blocks_written", c->writes);
	ctl_json_number(top, "blocks_unmapped", c->unmaps);
	ctl_json_number(top, "anchors_written", c->anchor_writes);
	ctl_json_number(top, "flushes", c->flushes);
	ctl_json_number(top, "log_blocks_written", c->log_writes);
	ctl_json_number(top, "node_blocks_written", c->node_writes);
	ctl_json_number(top, "checkpoints", c->checkpoints);
	ctl_json_number(top, "corruptions", c->corruptions);
	ctl_json_number(top, "anchor_slots", c->anchor_slots);
	ctl_json_number(top, "leaked_blocks", c->leaked_blocks);
	ctl_json_number(top, "damaged_nodes", c->damaged_nodes);
	ctl_json_number(top, "healed_nodes", c->healed_nodes);
}

/* null: this module does not tell. */
static void add_generations(struct json_object *top, const struct counters *c)
{
	struct json_object *list = NULL;
	const char *p;

	if (*c->generations)
		list = json_object_new_array();
	for (p = c->generations; *p; p++)
		if (*p != ',')
			json_object_array_add(list, json_object_new_int(*p - '0'));
	json_object_object_add(top, "generations", list);
	json_object_object_add(top, "seal", list ? json_object_new_int((int)c->seal) : NULL);
	json_object_object_add(top, "versions_left",
			       list ? json_object_new_uint64(c->versions_left) : NULL);
}

static void add_cow(struct json_object *top, const struct vault *v)
{
	struct json_object *cow = v->has_cow ? json_object_new_object() : NULL;

	if (cow) {
		ctl_json_number(cow, "used", v->cow.used);
		ctl_json_number(cow, "size", v->cow.bytes);
		ctl_json_bool(cow, "full", v->cow.invalid);
	}
	json_object_object_add(top, "private_copy", cow);
}

static void add_warnings(struct json_object *top, const char *rest)
{
	struct json_object *list = json_object_new_array();
	char word[32];

	while (next_warning(&rest, word))
		json_object_array_add(list, ctl_json_string(word));
	json_object_object_add(top, "warnings", list);
}

static void show_json(const struct vault *v)
{
	struct json_object *top = json_object_new_object();
	char path[CTL_PATH_CHARS];

	ctl_json_text(top, "name", v->name);
	ctl_json_bool(top, "active", true);
	ctl_json_bool(top, "in_use", v->info.open_count);
	ctl_json_bool(top, "suspended", v->info.suspended);
	ctl_json_bool(top, "read_only", v->info.read_only);
	ctl_json_bool(top, "ephemeral", v->ephemeral);
	ctl_json_text(top, "uuid", *v->uuid ? v->uuid : NULL);
	ctl_json_text(top, "data", ctl_vault_device_path(path, v->data));
	ctl_json_text(top, "anchor", v->ephemeral ? NULL :
		      ctl_vault_device_path(path, v->anchor));
	add_cow(top, v);
	ctl_json_number(top, "size", v->status.sectors * 512);
	ctl_json_text(top, "mode", v->counters.mode);
	add_warnings(top, v->rest);
	add_counters(top, &v->counters);
	add_generations(top, &v->counters);
	ctl_json_print(top);
}

/* As cryptsetup: not an error to be told on stderr, but not success either. */
static int show_inactive(const char *name, bool json)
{
	struct json_object *top;

	if (json) {
		top = json_object_new_object();
		ctl_json_text(top, "name", name);
		ctl_json_bool(top, "active", false);
		ctl_json_print(top);
	} else {
		printf("/dev/mapper/%s is inactive.\n", name);
	}
	return CTL_WRONG_DEVICE;
}

/* Who is told that a path is active may write to it. */
static int check_node(const struct vault *v)
{
	const char *wrong = ctl_vault_wrong_node(v->name, &v->info);

	if (!wrong)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"the vault %s is attached as device %u:%u, but /dev/mapper/%s is not that: %s",
			v->name, v->info.major, v->info.minor, v->name, wrong);
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
	if (!err)
		err = check_node(&v);
	if (!err && json)
		show_json(&v);
	else if (!err)
		show_text(&v);
	ctl_dm_target_free(&v.status);
	ctl_dm_target_free(&v.table);
	return err;
}
