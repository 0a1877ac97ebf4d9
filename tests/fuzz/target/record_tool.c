// SPDX-License-Identifier: GPL-2.0
/* The tool's half of record.c. */
#include "fuzz.h"
#include "judge.h"
#include "record.h"

static_assert((int)TOOL_EMPTY == (int)CTL_SLOT_EMPTY, "the same");
static_assert((int)TOOL_FOREIGN == (int)CTL_SLOT_FOREIGN, "the same");
static_assert((int)TOOL_VERSION == (int)CTL_SLOT_VERSION, "the same");
static_assert((int)TOOL_DAMAGED == (int)CTL_SLOT_DAMAGED, "the same");
static_assert((int)TOOL_FEATURES == (int)CTL_SLOT_FEATURES, "the same");
static_assert((int)TOOL_RECORD == (int)CTL_SLOT_RECORD, "the same");

static void check_pointer(const struct ctl_record *r, const struct ctl_pointer *ptr)
{
	uint32_t i;

	if (!ptr->version)
		return;
	FUZZ_CHECK(ptr->generation < QVAULT_GENERATIONS);
	FUZZ_CHECK(r->gen[ptr->generation].exists);
	for (i = 0; i < QVAULT_GENERATIONS; i++)
		FUZZ_CHECK(!(ptr->below >> i & 1) || r->gen[i].exists);
}

/* What the rest of the tool takes for granted. */
static void check(const struct ctl_record *r, uint32_t slot)
{
	FUZZ_CHECK(r->format == QVAULT_FORMAT_VERSION && r->sequence % 2 == slot);
	FUZZ_CHECK(r->geo.logical_blocks);
	FUZZ_CHECK(r->geo.logical_blocks <= r->geo.capacity);
	FUZZ_CHECK(r->geo.data_blocks <= QVAULT_MAX_DATA_BLOCKS);
	FUZZ_CHECK(r->geo.capacity < r->geo.total_data);
	FUZZ_CHECK(r->log_head + 1 >= r->log_tail);
	FUZZ_CHECK(r->log_head + 1 - r->log_tail <= r->geo.log_blocks);
	FUZZ_CHECK(r->inline_bytes <= QVAULT_INLINE_SIZE);
	FUZZ_CHECK(r->seal < QVAULT_GENERATIONS && r->gen[r->seal].exists);
	FUZZ_CHECK(ctl_mac_name(ctl_record_mac(r)));
	FUZZ_CHECK(r->tree_level < QVAULT_MAX_LEVELS && r->map_level < QVAULT_MAX_LEVELS);
	check_pointer(r, &r->tree);
	check_pointer(r, &r->map);
	check_pointer(r, &r->log);
}

void tool_judge(const void *disk, uint32_t slot, struct tool_verdict *verdict)
{
	struct ctl_record r;

	memset(verdict, 0, sizeof(*verdict));
	verdict->state = (int)ctl_record_parse(disk, slot, &r, &verdict->why);
	FUZZ_CHECK((verdict->state == CTL_SLOT_DAMAGED) == !!verdict->why);
	if (verdict->state != CTL_SLOT_RECORD)
		return;
	check(&r, slot);
	memcpy(verdict->field, (uint64_t[]){
		r.geo.data_blocks, r.geo.logical_blocks, r.geo.log_blocks,
		r.sequence, r.epoch, r.lease, r.log_tail, r.log_head, r.commit,
		r.tree.version, r.map.version, r.log.version, r.tree_level,
		r.map_level, r.seal, ctl_record_mac(&r), r.ro_compat,
	}, sizeof(verdict->field));
}
