// SPDX-License-Identifier: GPL-2.0
/*
 * The tool's parser of anchor records under libFuzzer.  Whatever 4 KiB it is
 * given, it must stay inside of them, and what it calls a record must be one that
 * nothing behind it can trip over.
 */
#include <stdlib.h>
#include <string.h>

#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the rest of the tool takes for granted. */
static void check(const struct ctl_record *r, uint32_t slot)
{
	if (r->format != QVAULT_FORMAT_VERSION || r->sequence % 2 != slot)
		abort();
	if (!r->geo.logical_blocks || r->geo.logical_blocks > r->geo.capacity ||
	    r->geo.data_blocks > QVAULT_MAX_DATA_BLOCKS ||
	    r->geo.capacity >= r->geo.total_data)
		abort();
	if (r->log_head + 1 < r->log_tail ||
	    r->log_head + 1 - r->log_tail > r->geo.log_blocks)
		abort();
	if (r->inline_bytes > QVAULT_INLINE_SIZE)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* On the heap and of the exact size, so that a step outside is seen. */
	struct qvault_disk_anchor *disk = calloc(1, sizeof(*disk));
	struct ctl_record record;
	const char *why;
	uint32_t slot;

	if (!disk)
		abort();
	memcpy(disk, data, size < sizeof(*disk) ? size : sizeof(*disk));
	/* Random bytes would hardly ever have it. */
	if (size & 1)
		memcpy(disk->magic, QVAULT_ANCHOR_MAGIC, sizeof(disk->magic));
	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++)
		if (ctl_record_parse(disk, slot, &record, &why) == CTL_SLOT_RECORD)
			check(&record, slot);
	free(disk);
	return 0;
}
