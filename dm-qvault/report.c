// SPDX-License-Identifier: GPL-2.0
/*
 * What a vault says when something is wrong: a line in the log, a dm event, and
 * a uevent of the mapped device.  Both events and lines are limited, since it
 * is the adversary who decides how often they come.
 */
#include <linux/kobject.h>

#include "platform.h"

static const char *kind_name(enum qvault_kind kind)
{
	switch (kind) {
	case QVAULT_KIND_DATA:
		return "data";
	case QVAULT_KIND_NODE:
		return "node";
	case QVAULT_KIND_MAP:
		return "map";
	case QVAULT_KIND_LOG:
		return "log";
	}
	return "unknown";
}

static void send_event(struct qvault_volume *vol, char *event, char *detail)
{
	struct mapped_device *md = dm_table_get_md(vol->ti->table);
	char *environment[3];

	if (!__ratelimit(&vol->events))
		return;
	environment[0] = event;
	environment[1] = detail;
	environment[2] = NULL;
	kobject_uevent_env(&disk_to_dev(dm_disk(md))->kobj, KOBJ_CHANGE,
			   environment);
	dm_table_event(vol->ti->table);
}

/**
 * qvault_report_failure() - say that a vault takes no more writes
 * @v: the vault
 * @what: operation that failed
 * @err: negative errno
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_failure(struct qvault *v, const char *what, int err)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char detail[64];

	DMERR("%s: %s failed (%d): no more writes until it is attached again",
	      dm_table_device_name(vol->ti->table), what, err);
	snprintf(detail, sizeof(detail), "QVAULT_OPERATION=%s", what);
	send_event(vol, "QVAULT_EVENT=failure", detail);
}

/**
 * qvault_report_corruption() - say that the data device gave back a wrong block
 * @v: the vault
 * @kind: what kind of block
 * @id: which one, see struct qvault_disk_seal
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_corruption(struct qvault *v, enum qvault_kind kind, u64 id)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	const char *name = kind_name(kind);
	char detail[64];

	if (kind == QVAULT_KIND_NODE || kind == QVAULT_KIND_MAP)
		DMERR_LIMIT("%s: corruption: %s %llu of level %llu on %s is not as written",
			    dm_table_device_name(vol->ti->table), name,
			    id & ((1ULL << QVAULT_NODE_LEVEL_SHIFT) - 1),
			    id >> QVAULT_NODE_LEVEL_SHIFT,
			    vol->data.dm_dev->name);
	else
		DMERR_LIMIT("%s: corruption: %s block %llu on %s is not as written",
			    dm_table_device_name(vol->ti->table), name, id,
			    vol->data.dm_dev->name);
	snprintf(detail, sizeof(detail), "QVAULT_BLOCK=%s %llu", name, id);
	send_event(vol, "QVAULT_EVENT=corruption", detail);
}
