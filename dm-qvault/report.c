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
 * qvault_report_trouble() - say that something failed and will be tried again
 * @v: the vault
 * @what: what it was
 * @err: negative errno
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_trouble(struct qvault *v, const char *what, int err)
{
	struct qvault_volume *vol = qvault_volume_of(v);

	DMWARN_LIMIT("%s: %s failed (%d), and will be tried again",
		     dm_table_device_name(vol->ti->table), what, err);
}

/**
 * qvault_report_taken() - say that somebody else goes on from our record
 * @v: the vault
 * @epoch: of the record that was found
 * @sequence: of it
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char detail[64];

	DMERR("%s: the anchor holds record %llu of epoch %llu, which is not ours (record %llu of epoch %llu is): it was attached elsewhere, or put back",
	      dm_table_device_name(vol->ti->table), sequence, epoch,
	      v->anchor.sequence, v->anchor.epoch);
	snprintf(detail, sizeof(detail), "QVAULT_EPOCH=%llu", epoch);
	send_event(vol, "QVAULT_EVENT=taken", detail);
}

/**
 * qvault_report_slot() - say that only one slot of the anchor holds a record
 * @v: the vault, being attached
 * @slot: the other one
 * @err: -ENODATA: it holds none; else why it cannot be read
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_slot(struct qvault *v, u32 slot, int err)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char detail[64];

	DMWARN("%s: slot %u of the anchor %s (%d): if a record stood there that was complete, this is the state one commit before it",
	       dm_table_device_name(vol->ti->table), slot,
	       err == -ENODATA ? "holds no valid record, after a power cut or damage" :
	       "cannot be read", err);
	snprintf(detail, sizeof(detail), "QVAULT_SLOT=%u", slot);
	send_event(vol, "QVAULT_EVENT=anchor", detail);
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
