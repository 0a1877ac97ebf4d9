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

/* ---- Events ------------------------------------------------------------- */

static bool next_event(struct qvault_volume *vol, struct qvault_event *event)
{
	bool is_one;

	spin_lock(&vol->event_lock);
	is_one = vol->nr_events;
	if (is_one) {
		*event = vol->event[0];
		vol->nr_events--;
		memmove(&vol->event[0], &vol->event[1],
			vol->nr_events * sizeof(vol->event[0]));
	}
	spin_unlock(&vol->event_lock);
	return is_one;
}

static void event_work(struct work_struct *work)
{
	struct qvault_volume *vol =
		container_of(work, struct qvault_volume, event_work);
	struct qvault_event event;
	char *environment[3];

	environment[0] = event.what;
	environment[1] = event.detail;
	environment[2] = NULL;
	while (next_event(vol, &event))
		kobject_uevent_env(&disk_to_dev(dm_disk(vol->md))->kobj, KOBJ_CHANGE,
				   environment);
	mutex_lock(&vol->table_mutex);
	if (vol->table)
		dm_table_event(vol->table);
	mutex_unlock(&vol->table_mutex);
}

/**
 * qvault_report_init() - prepare for reports
 * @vol: the volume
 */
void qvault_report_init(struct qvault_volume *vol)
{
	ratelimit_state_init(&vol->events, 5 * HZ, QVAULT_EVENTS);
	spin_lock_init(&vol->event_lock);
	mutex_init(&vol->table_mutex);
	INIT_WORK(&vol->event_work, event_work);
}

/**
 * qvault_report_exit() - wait until everything has been told
 * @vol: the volume, that nothing happens to any more
 *
 * Context: May sleep.
 */
void qvault_report_exit(struct qvault_volume *vol)
{
	flush_work(&vol->event_work);
	mutex_destroy(&vol->table_mutex);
}

/**
 * qvault_report_table() - say which table is live
 * @vol: the volume
 * @table: the table, or NULL; no other one is used after this
 *
 * Context: May sleep, but waits for nobody who waits for a vault.
 */
void qvault_report_table(struct qvault_volume *vol, struct dm_table *table)
{
	mutex_lock(&vol->table_mutex);
	vol->table = table;
	mutex_unlock(&vol->table_mutex);
}

/*
 * Events take memory, and a mutex that others hold while they wait for memory; so
 * perhaps for this vault, if there is swap on it.  Nothing here waits for them.
 */
static void send_event(struct qvault_volume *vol, const char *what, const char *detail)
{
	struct qvault_event *event;

	if (!__ratelimit(&vol->events))
		return;
	spin_lock(&vol->event_lock);
	if (vol->nr_events < QVAULT_EVENTS) {
		event = &vol->event[vol->nr_events++];
		strscpy(event->what, what, sizeof(event->what));
		strscpy(event->detail, detail, sizeof(event->detail));
	}
	spin_unlock(&vol->event_lock);
	schedule_work(&vol->event_work);
}

/* ---- Reports ------------------------------------------------------------ */

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
	      dm_device_name(vol->md), what, err);
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
		     dm_device_name(vol->md), what, err);
}

static void tell_taken(const struct qvault_volume *vol, u64 epoch, u64 sequence)
{
	const struct qvault_anchor *ours = &vol->v.anchor;

	if (!sequence) {
		DMERR("%s: another host has claimed the vault, for epoch %llu; ours is %llu",
		      dm_device_name(vol->md), epoch, ours->epoch);
		return;
	}
	DMERR("%s: the anchor holds record %llu of epoch %llu, which is not ours (%llu of %llu)",
	      dm_device_name(vol->md), sequence, epoch, ours->sequence, ours->epoch);
}

/**
 * qvault_report_taken() - say that somebody else goes on from our record
 * @v: the vault
 * @epoch: of the record that was found
 * @sequence: of it; 0: it was a claim, of a host that attaches
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char detail[64];

	tell_taken(vol, epoch, sequence);
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

	DMWARN("%s: slot %u of the anchor %s (%d): the state may be one commit old",
	       dm_device_name(vol->md), slot,
	       err == -ENODATA ? "holds no valid record, after a power cut or damage" :
	       "cannot be read", err);
	snprintf(detail, sizeof(detail), "QVAULT_SLOT=%u", slot);
	send_event(vol, "QVAULT_EVENT=anchor", detail);
}

/**
 * qvault_report_mended() - say that a slot of the anchor had lost the newest record
 * @v: the vault
 * @slot: where it is being written again
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_mended(struct qvault *v, u32 slot)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char detail[64];

	DMWARN_LIMIT("%s: slot %u of the anchor had lost its record: it is written again",
		     dm_device_name(vol->md), slot);
	snprintf(detail, sizeof(detail), "QVAULT_SLOT=%u", slot);
	send_event(vol, "QVAULT_EVENT=anchor", detail);
}

/**
 * qvault_report_loss() - say that a vault ended before all of it was durable
 * @v: the vault
 * @err: negative errno
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_loss(struct qvault *v, int err)
{
	struct qvault_volume *vol = qvault_volume_of(v);

	DMERR("%s: detach failed (%d): what was not flushed may be lost",
	      dm_device_name(vol->md), err);
	send_event(vol, "QVAULT_EVENT=failure", "QVAULT_OPERATION=detach");
}

/**
 * qvault_report_walk() - say that a walk has ended
 * @v: the vault
 * @bad: blocks that it could not read
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_walk(struct qvault *v, u64 bad)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	char detail[64];

	if (bad)
		DMERR("%s: %llu blocks of the volume cannot be read", dm_device_name(vol->md),
		      bad);
	snprintf(detail, sizeof(detail), "QVAULT_BAD=%llu", bad);
	send_event(vol, "QVAULT_EVENT=walk", detail);
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
		DMERR_LIMIT("%s: corruption: %s %llu of level %llu on %pg is not as written",
			    dm_device_name(vol->md), name,
			    id & ((1ULL << QVAULT_NODE_LEVEL_SHIFT) - 1),
			    id >> QVAULT_NODE_LEVEL_SHIFT,
			    vol->data.bdev);
	else
		DMERR_LIMIT("%s: corruption: %s block %llu on %pg is not as written",
			    dm_device_name(vol->md), name, id,
			    vol->data.bdev);
	snprintf(detail, sizeof(detail), "QVAULT_BLOCK=%s %llu", name, id);
	send_event(vol, "QVAULT_EVENT=corruption", detail);
}

/**
 * qvault_report_half() - say that one of the two copies of a node is bad
 * @v: the vault
 * @kind: what kind of node
 * @id: which one, see struct qvault_disk_seal
 *
 * Context: Process, no spinlock held.
 */
void qvault_report_half(struct qvault *v, enum qvault_kind kind, u64 id)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	const char *name = kind_name(kind);
	char detail[64];

	DMWARN_LIMIT("%s: %s %llu of level %llu on %pg: the first of two copies is bad",
		     dm_device_name(vol->md), name,
		     id & ((1ULL << QVAULT_NODE_LEVEL_SHIFT) - 1),
		     id >> QVAULT_NODE_LEVEL_SHIFT, vol->data.bdev);
	snprintf(detail, sizeof(detail), "QVAULT_BLOCK=%s %llu", name, id);
	send_event(vol, "QVAULT_EVENT=copy", detail);
}
