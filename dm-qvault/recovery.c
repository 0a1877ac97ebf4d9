// SPDX-License-Identifier: GPL-2.0
/*
 * Attach and detach.
 *
 * There is no state to repair: whatever the newest anchor record reaches is
 * intact by construction.  Attaching means reading it, and the log behind it.
 */
#include "qvault.h"

static struct qvault_delta *live(struct qvault *v)
{
	return &v->delta[v->live];
}

static int refuse(struct qvault *v, const char *reason, int err)
{
	if (!v->reason)
		v->reason = reason;
	return err;
}

/* ---- Replay ---- */

static int replay_map(struct qvault *v, const struct qvault_entry *entry,
		      struct qvault_reserve *reserve)
{
	struct qvault_ptr ptr;
	u64 i;

	while (!qvault_delta_prepare(v, live(v), entry->logical, entry->count,
				     true, reserve))
		if (!qvault_reserve_fill(v, reserve))
			return -ENOMEM;
	for (i = 0; i < entry->count; i++) {
		ptr.version = entry->version + i;
		ptr.where = entry->where + i;
		memcpy(ptr.tag, entry->tags + i * QVAULT_TAG_SIZE,
		       QVAULT_TAG_SIZE);
		qvault_delta_insert(v, live(v), entry->logical + i, &ptr);
	}
	return 0;
}

static int replay_unmap(struct qvault *v, const struct qvault_entry *entry,
			struct qvault_reserve *reserve)
{
	u64 logical = entry->logical, count = entry->count;
	struct qvault_piece piece;

	while (count) {
		qvault_next_piece(&v->geo, logical, count, &piece);
		while (!qvault_delta_unmap_piece(v, live(v), &piece, reserve))
			if (!qvault_reserve_fill(v, reserve))
				return -ENOMEM;
		logical += piece.count;
		count -= piece.count;
	}
	return 0;
}

/* Apply entries in the order in which they took effect. */
static int replay_entries(struct qvault *v, const u8 *pos, u32 left)
{
	struct qvault_reserve reserve;
	struct qvault_entry entry;
	int err;

	qvault_reserve_init(&reserve);
	while ((err = qvault_entry_next(&v->geo, &pos, &left, &entry)) > 0) {
		err = entry.version ? replay_map(v, &entry, &reserve) :
				      replay_unmap(v, &entry, &reserve);
		if (err)
			break;
	}
	qvault_reserve_exit(v, &reserve);
	return err;
}

static int replay_log(struct qvault *v)
{
	struct qvault_page *page;
	LIST_HEAD(pages);
	int err;

	err = qvault_log_read(v, &v->anchor, &pages);
	if (!err)
		list_for_each_entry(page, &pages, list) {
			err = replay_entries(v, page->payload, page->bytes);
			if (err)
				break;
		}
	qvault_log_free(&pages);
	return err;
}

/* Every block that the delta names in the end is in use. */
static int replay_alloc(struct qvault *v)
{
	struct qvault_delta_node *node;
	int err;
	u32 i;

	list_for_each_entry(node, &live(v)->nodes, list) {
		for (i = 0; i < node->used; i++) {
			err = qvault_alloc_replay(v, node->ptr[i].where);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- Attach ---- */

/*
 * Read what the anchor names first.  If this is the wrong data device, or an
 * old copy of the right one, that shows here and nothing has been written yet.
 */
static int check_root(struct qvault *v, enum qvault_kind kind, u32 level,
		      const struct qvault_ptr *root)
{
	struct qvault_node *node;
	int err;

	if (!root->version)
		return 0;
	err = qvault_node_get(v, kind, level, 0, root, &node);
	if (err == -EILSEQ)
		return qvault_corrupt(v, kind, qvault_node_id(level, 0));
	if (!err)
		qvault_node_put(v, node);
	return err;
}

static int check_roots(struct qvault *v)
{
	int err;

	err = check_root(v, QVAULT_KIND_NODE, v->geo.tree.top, &v->anchor.tree);
	if (!err)
		err = check_root(v, QVAULT_KIND_MAP, v->geo.map.top,
				 &v->anchor.map);
	return err;
}

/*
 * A new lease, durable before the first version of it is used: versions that
 * the last attach may have used without anchoring them are never used again.
 */
static int new_epoch(struct qvault *v)
{
	struct qvault_anchor next = v->anchor;

	next.epoch++;
	return qvault_anchor_write(v, &next, qvault_stream_inline(v),
				   v->stream.inline_bytes);
}

static void set_limits(struct qvault *v)
{
	/* Half for the delta, in the worst case; a quarter for nodes. */
	u32 log_limit = v->memory_mib * 32;

	v->log_limit = clamp(log_limit, QVAULT_MIN_LOG_BLOCKS,
			     v->geo.log_blocks);
}

/* Everything whose size depends on the volume or on an option. */
static int make_room(struct qvault *v)
{
	u32 shift = 8;
	int err;

	set_limits(v);
	while (shift < 16 && 1u << shift < 32 * v->log_limit)
		shift++;
	err = qvault_delta_init(&v->delta[0], shift);
	if (!err)
		err = qvault_delta_init(&v->delta[1], shift);
	if (!err)
		err = qvault_cache_init(v, max(v->memory_mib * 64, 64u));
	if (!err)
		err = qvault_alloc_init(v, max(v->memory_mib * 8, 8u));
	v->freeze_page = kmalloc(sizeof(*v->freeze_page), GFP_KERNEL);
	memset(&v->damage, 0, sizeof(v->damage));
	v->damage.id = kcalloc(QVAULT_MAX_DAMAGED, sizeof(*v->damage.id),
			       GFP_KERNEL);
	return err ?: v->freeze_page && v->damage.id ? 0 : -ENOMEM;
}

static void drop_all(struct qvault *v)
{
	qvault_delta_exit(v, &v->delta[0]);
	qvault_delta_exit(v, &v->delta[1]);
	qvault_stream_exit(v);
	if (v->freeze_page)
		mempool_free(v->freeze_page, v->page_pool);
	v->freeze_page = NULL;
	kfree(v->damage.id);
	memset(&v->damage, 0, sizeof(v->damage));
	qvault_alloc_exit(v);
	qvault_cache_exit(v);
}

static int recover(struct qvault *v, const struct qvault_disk_anchor *record)
{
	u32 inline_bytes = le32_to_cpu(record->inline_bytes);
	int err;

	err = check_roots(v);
	if (!err)
		err = replay_log(v);
	if (!err)
		err = replay_entries(v, record->inline_entries, inline_bytes);
	if (!err)
		err = replay_alloc(v);
	if (err)
		return refuse(v, err == -EILSEQ ?
			      "the data device is not the one of this anchor, or was changed" :
			      "cannot read the volume", err);
	atomic64_set(&v->version, v->anchor.lease);
	if (v->read_only)
		return 0;
	qvault_stream_restore(v, record->inline_entries, inline_bytes);
	err = new_epoch(v);
	return err ? refuse(v, "cannot write the anchor", err) : 0;
}

static int attach(struct qvault *v, struct qvault_disk_anchor *record)
{
	int err;

	err = qvault_anchor_read(v, record);
	if (err)
		return err;
	err = make_room(v);
	if (err)
		return refuse(v, "not enough memory", err);
	return recover(v, record);
}

/**
 * qvault_attach() - bring a vault to life
 * @v: vault, after qvault_init() or qvault_detach()
 * @record: buffer of one block.  For an ephemeral vault it holds the record of
 *	qvault_new_anchor(), and the keys were derived
 *
 * Nothing is written before everything that the anchor names directly has been
 * read and verified.
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: 0; or a negative errno, with v->reason in words: -ENODATA no anchor;
 * -EKEYREJECTED wrong key; -EILSEQ wrong or changed data device; -ENXIO data
 * device too small; -EPROTONOSUPPORT; -EUCLEAN; -ENOMEM; or an I/O error.
 */
int qvault_attach(struct qvault *v, struct qvault_disk_anchor *record)
{
	int err;

	v->reason = NULL;
	v->live = 0;
	v->frozen = false;
	err = attach(v, record);
	if (err) {
		drop_all(v);
		return err;
	}
	WRITE_ONCE(v->mode, v->read_only ? QVAULT_MODE_READ_ONLY :
					   QVAULT_MODE_WRITE);
	return 0;
}

/**
 * qvault_detach() - put a vault to rest
 * @v: vault; no read, write or flush is under way
 *
 * A checkpoint leaves the log empty, so that the next attach is quick.  If it
 * fails, or the vault has failed before, nothing that was acknowledged is lost:
 * the anchor and the log still say it.  An ephemeral vault keeps its state, for
 * it has nowhere else: detaching it changes nothing, see qvault_exit().
 *
 * Context: sleeps.
 * Return: 0 or the checkpoint's error; the vault is detached in any case.
 */
int qvault_detach(struct qvault *v)
{
	int err = 0;

	if (v->mode == QVAULT_MODE_DETACHED || qvault_ephemeral(v))
		return 0;
	if (v->mode != QVAULT_MODE_READ_ONLY)
		err = qvault_checkpoint(v);
	WRITE_ONCE(v->mode, QVAULT_MODE_DETACHED);
	drop_all(v);
	return err;
}

/**
 * qvault_suspend() - make durable all that can be, and stay as it is
 * @v: vault; no read, write or flush is under way
 *
 * Context: sleeps.
 * Return: 0; or the checkpoint's error: what could not be made durable stays in
 * memory, and may be tried again.
 */
int qvault_suspend(struct qvault *v)
{
	return qvault_may_write(v) ? 0 : qvault_checkpoint(v);
}

/**
 * qvault_resume() - go on after qvault_suspend()
 * @v: vault
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: 0; -ESTALE, with v->reason in words, if the anchor does not hold what
 * this vault left there; or another negative errno.
 */
int qvault_resume(struct qvault *v)
{
	return 0;
}

/**
 * qvault_forked() - this memory may live a second time elsewhere
 * @v: vault
 *
 * No version is taken from now on before an anchor record has been made that
 * leases others.
 *
 * Context: Any.
 */
void qvault_forked(struct qvault *v)
{
}

/**
 * qvault_init() - prepare a vault for its first attach
 * @v: zeroed
 *
 * Context: sleeps.
 * Return: 0 or -ENOMEM; qvault_exit() must follow in any case.
 */
int qvault_init(struct qvault *v)
{
	const size_t node_size = sizeof(struct qvault_delta_node) +
				 QVAULT_FANOUT * sizeof(struct qvault_ptr);

	mutex_init(&v->page_mutex);
	mutex_init(&v->node_mutex);
	mutex_init(&v->checkpoint_mutex);
	mutex_init(&v->commit_mutex);
	mutex_init(&v->alloc_mutex);
	mutex_init(&v->buf_mutex);
	rwlock_init(&v->map_lock);
	spin_lock_init(&v->alloc_lock);
	init_waitqueue_head(&v->room_wait);
	qvault_stream_init(&v->stream);
	/* What a checkpoint needs even when there is no memory left. */
	v->changes = kvcalloc(QVAULT_MAX_CHANGES, sizeof(*v->changes),
			      GFP_KERNEL);
	v->node_pool = mempool_create_kmalloc_pool(16, node_size);
	v->page_pool = mempool_create_kmalloc_pool(16, sizeof(struct qvault_page));
	return v->changes && v->node_pool && v->page_pool ? 0 : -ENOMEM;
}

/* Frees what a vault has; it may be half-built, attached, or failed. */
void qvault_exit(struct qvault *v)
{
	drop_all(v);
	kvfree(v->changes);
	mempool_destroy(v->node_pool);
	mempool_destroy(v->page_pool);
}
