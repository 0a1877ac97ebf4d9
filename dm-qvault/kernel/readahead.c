// SPDX-License-Identifier: GPL-2.0
/*
 * Readahead of leaves: the engine says which one a reader will want next, and it is
 * read on another thread.
 */
#include <linux/sched/mm.h>

#include "platform.h"

static void readahead_work(struct work_struct *work)
{
	struct qvault_ahead *ahead =
		container_of(work, struct qvault_ahead, work);
	unsigned int noio = memalloc_noio_save();

	qvault_readahead(&ahead->vol->v, READ_ONCE(ahead->leaf));
	memalloc_noio_restore(noio);
}

/**
 * qvault_readahead_init() - prepare for readahead
 * @vol: the volume
 */
void qvault_readahead_init(struct qvault_volume *vol)
{
	u32 i;

	for (i = 0; i < QVAULT_LEAVES_AHEAD; i++) {
		vol->ahead[i].vol = vol;
		INIT_WORK(&vol->ahead[i].work, readahead_work);
	}
}

/**
 * qvault_readahead_stop() - nothing is read ahead after this
 * @vol: the volume; qvault_flush_stop() was called, and no bio is in flight
 *
 * Context: May sleep.
 */
void qvault_readahead_stop(struct qvault_volume *vol)
{
	u32 i;

	for (i = 0; i < QVAULT_LEAVES_AHEAD; i++)
		cancel_work_sync(&vol->ahead[i].work);
}

/**
 * qvault_kick_readahead() - ask for readahead of a leaf soon, on another thread
 * @v: the vault
 * @leaf: see qvault_readahead(); may take the place of another one
 *
 * Context: Any; a bio that has not been ended yet keeps the target alive.
 */
void qvault_kick_readahead(struct qvault *v, u64 leaf)
{
	struct qvault_volume *vol = qvault_volume_of(v);
	struct qvault_ahead *ahead = &vol->ahead[leaf % QVAULT_LEAVES_AHEAD];

	WRITE_ONCE(ahead->leaf, leaf);
	if (READ_ONCE(vol->active) && !qvault_quiet())
		queue_work(vol->read_wq, &ahead->work);
}
