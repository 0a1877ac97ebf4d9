// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl format --dry-run: how large a data device must be.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "qvault-ctl.h"

static uint32_t log_of(uint32_t log_blocks, uint64_t data_blocks)
{
	return log_blocks ? log_blocks : qvault_default_log_blocks(data_blocks);
}

static bool fits(uint64_t data_blocks, uint32_t log_blocks, uint64_t logical)
{
	struct qvault_geometry geo;

	return !qvault_geometry_init(&geo, data_blocks, logical,
				     log_of(log_blocks, data_blocks));
}

uint64_t ctl_smallest_device(uint32_t log_blocks, uint64_t logical)
{
	uint64_t too_small = 0, enough = QVAULT_MAX_DATA_BLOCKS, half;

	if (!fits(enough, log_blocks, logical))
		return 0;
	while (enough - too_small > 1) {
		half = too_small + (enough - too_small) / 2;
		if (fits(half, log_blocks, logical))
			enough = half;
		else
			too_small = half;
	}
	return enough;
}

static void report(const struct ctl_options *o, uint64_t blocks)
{
	const uint64_t data = blocks * QVAULT_BLOCK_SIZE;
	const uint64_t anchor = (uint64_t)QVAULT_ANCHOR_BLOCKS * QVAULT_BLOCK_SIZE;
	const uint32_t log = log_of(o->log_blocks, blocks);
	struct json_object *top;
	char size[CTL_SIZE_CHARS];

	if (ctl_given(o, CTL_OPT_JSON)) {
		top = json_object_new_object();
		ctl_json_number(top, "size", o->size);
		ctl_json_number(top, "data_size", data);
		ctl_json_number(top, "anchor_size", anchor);
		ctl_json_number(top, "log_blocks", log);
		ctl_json_print(top);
		return;
	}
	printf("%-18s%s\n", "Size:", ctl_size(size, o->size));
	printf("%-18sat least %s\n", "Data device:", ctl_size(size, data));
	printf("%-18sat least %s\n", "Anchor device:", ctl_size(size, anchor));
	printf("%-18s%" PRIu32 "\n", "Log blocks:", log);
}

int ctl_format_dry_run(const struct ctl_options *o)
{
	uint64_t blocks;

	if (!o->size || o->argc || o->data || o->anchor)
		return ctl_fail(CTL_USAGE,
				"--dry-run asks what a volume needs, and looks at no device: qvault-ctl format --dry-run --size BYTES");
	blocks = ctl_smallest_device(o->log_blocks, o->size / QVAULT_BLOCK_SIZE);
	if (!blocks)
		return ctl_fail(CTL_USAGE, "--size: no data device is large enough");
	report(o, blocks);
	return CTL_OK;
}
