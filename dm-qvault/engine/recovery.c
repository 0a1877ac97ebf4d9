// SPDX-License-Identifier: GPL-2.0
/*
 * Attach and detach.
 *
 * There is no state to repair: whatever the newest anchor record reaches is
 * intact by construction.  Attaching means reading it, and the log behind it.
 */
#include <linux/kernel.h>

#include "qvault.h"

static int refuse(struct qvault *v, const char *reason, int err)
{
	if (!v->reason)
		v->reason = reason;
	return err;
}

/* ---- Attach ---- */

/*
 * Read what the anchor names first.  If this is the wrong data device, or an
 * old copy of the right one, that shows here and nothing has been written yet.
 */
static int check_root(struct qvault *v, enum qvault_kind kind,
		      const struct qvault_root *root)
{
	struct qvault_node *node;
	int err;

	if (!root->ptr.version)
		return 0;
	err = qvault_node_get(v, QVAULT_USE_READ, kind, root->level, 0, &root->ptr,
			      &node);
	if (err == -EILSEQ)
		return qvault_corrupt(v, kind, qvault_node_id(root->level, 0));
	if (err)
		return err;
	if (node->half)
		qvault_heal_found(v, kind, root, qvault_node_id(root->level, 0),
				  node->version, node);
	qvault_node_put(v, node);
	return 0;
}

static int check_roots(struct qvault *v)
{
	int err;

	err = check_root(v, QVAULT_KIND_NODE, &v->anchor.tree);
	return err ?: check_root(v, QVAULT_KIND_MAP, &v->anchor.map);
}

/*
 * Versions begin far above all that the record allowed.  Whoever attaches a copy of
 * it, or has one in a memory that was copied, begins elsewhere.
 */
static int begin_versions(struct qvault *v)
{
	u64 lease = v->anchor.lease;

	if (lease > QVAULT_LAST_LEASE)
		return refuse(v, "its versions are used up: copy the data to a new volume",
			      -EOVERFLOW);
	atomic64_set(&v->version, lease + qvault_jump(lease, QVAULT_ATTACH_PART));
	return 0;
}

static int refuse_line(struct qvault *v, int err)
{
	switch (err) {
	case -EBUSY:
		return refuse(v, "this volume is attached on this machine already", err);
	case -ESTALE:
		return refuse(v, "somebody else attaches it at this moment", err);
	}
	return refuse(v, "cannot write the anchor", err);
}

static int begin_line(struct qvault *v, const struct qvault_disk_anchor *record)
{
	int err = qvault_line_begin(v, record);

	return err ? refuse_line(v, err) : 0;
}

/**
 * qvault_set_limits() - as much memory as v->memory_mib allows, from now on
 * @v: vault that is attached, or being attached
 *
 * Context: nothing else uses the vault.
 */
void qvault_set_limits(struct qvault *v)
{
	/* Of 4 KiB each: an eighth, if no commit takes them out of the stream. */
	u32 log_limit = v->memory_mib * 32;

	v->log_limit = clamp(log_limit, QVAULT_MIN_LOG_BLOCKS,
			     v->geo.log_blocks);
	v->delta_limit = (u64)v->memory_mib * QVAULT_DELTA_BYTES;
	/* Of 4 KiB each: a quarter. */
	v->cache.limit = v->memory_mib * 64;
	qvault_alloc_set_limit(&v->alloc,
			       qvault_alloc_limit(QVAULT_ALLOC_BYTES(v->memory_mib)));
	/* Of 8 KiB each: a sixteenth. */
	v->node_limit = max(v->memory_mib * 8, QVAULT_STOCK);
}

/* Everything whose size depends on the volume or on an option. */
static int make_room(struct qvault *v)
{
	int err;

	qvault_set_limits(v);
	qvault_delta_init(&v->delta[0]);
	qvault_delta_init(&v->delta[1]);
	err = qvault_cache_init(v, v->cache.limit);
	if (!err)
		err = qvault_alloc_init(v, v->alloc.limit);
	if (!err)
		err = qvault_line_init(v);
	if (!err)
		err = qvault_share_init(v);
	qvault_trim_init(v);
	v->freeze_page = kmalloc(sizeof(*v->freeze_page), GFP_KERNEL);
	memset(&v->heal, 0, sizeof(v->heal));
	memset(&v->damage, 0, sizeof(v->damage));
	v->damage.id = kcalloc(QVAULT_MAX_DAMAGED, sizeof(*v->damage.id),
			       GFP_KERNEL);
	return err ?: v->freeze_page && v->damage.id ? 0 : -ENOMEM;
}

static void drop_all(struct qvault *v)
{
	qvault_hold_end(v);
	qvault_delta_exit(v, &v->delta[0]);
	qvault_delta_exit(v, &v->delta[1]);
	qvault_stream_exit(v);
	if (v->freeze_page)
		mempool_free(v->freeze_page, v->page_pool);
	v->freeze_page = NULL;
	kfree(v->damage.id);
	memset(&v->damage, 0, sizeof(v->damage));
	qvault_trim_exit(v);
	qvault_alloc_exit(v);
	qvault_cache_exit(v);
	qvault_share_exit(v);
	qvault_line_exit(v);
}

/* With a number that makes it enough. */
static int refuse_memory(struct qvault *v, struct qvault_replay *r, const char *what,
			 int err)
{
	int mib = qvault_replay_needs(r);

	if (mib < 0)
		return mib;
	snprintf(v->words, sizeof(v->words), "%s: memory_mib %d will do", what, mib);
	return refuse(v, v->words, err);
}

/*
 * From here on nothing is told to the anchor.  What is sealed is of a generation whose
 * secret is in memory only: it shares no key with the vault that the record is of, and
 * is unreadable once this memory is gone.
 */
static int let_go(struct qvault *v)
{
	struct qvault_anchor *a = &v->anchor;
	int err = qvault_crypto_create(v->crypto, QVAULT_EPHEMERAL_GEN,
				       a->gen[a->seal].mac, NULL);

	if (err)
		return refuse(v, "cannot set up the keys", err);
	a->seal = QVAULT_EPHEMERAL_GEN;
	v->anchor_dev = NULL;
	return 0;
}

/* All that the record names directly was verified: now something may be written. */
static int begin(struct qvault *v, const struct qvault_disk_anchor *record)
{
	int err;

	qvault_stream_restore(v, record->inline_entries,
			      le32_to_cpu(record->inline_bytes));
	err = begin_versions(v);
	if (!err && v->let_go)
		err = let_go(v);
	return err ?: begin_line(v, record);
}

/*
 * There is not the memory for all that the log says.  So it must be merged first; and as
 * that takes versions, the line must have begun before.
 */
static int recover_by_merge(struct qvault *v, const struct qvault_disk_anchor *record,
			    struct qvault_replay *r)
{
	int err;

	if (v->read_only)
		return refuse_memory(v, r, "too little memory to attach it read-only",
				     -ENOMEM);
	err = begin(v, record);
	if (err)
		return err;
	/* Whoever asks for a checkpoint from now on waits until this one has ended. */
	mutex_lock(&v->checkpoint_mutex);
	WRITE_ONCE(v->mode, QVAULT_MODE_WRITE);
	err = qvault_checkpoint_replay(v, r);
	mutex_unlock(&v->checkpoint_mutex);
	if (err == -EILSEQ)
		return refuse_memory(v, r, "too little memory to go on with a damaged tree",
				     err);
	return err ? refuse(v, "cannot merge the log into the tree", err) : 0;
}

static int recover_from(struct qvault *v, const struct qvault_disk_anchor *record,
			struct qvault_replay *r)
{
	int err = qvault_replay_verify(r);

	if (!err)
		err = qvault_replay_part(r);
	if (err < 0)
		return err;
	if (!qvault_replay_whole(r))
		return recover_by_merge(v, record, r);
	if (v->read_only)
		return 0;
	err = qvault_replay_blocks(r);
	if (err == -ENOMEM)
		return qvault_alloc_again(v) ?: recover_by_merge(v, record, r);
	return err ?: begin(v, record);
}

static int refuse_data(struct qvault *v, int err)
{
	return refuse(v, err == -EILSEQ ?
		      "the data device is not the one of this anchor, or was changed" :
		      "cannot read the volume", err);
}

static int recover(struct qvault *v, const struct qvault_disk_anchor *record)
{
	struct qvault_replay *r;
	int err;

	err = check_roots(v);
	if (!err) {
		r = qvault_replay_begin(v, record);
		err = r ? recover_from(v, record, r) : -ENOMEM;
		qvault_replay_end(r);
	}
	return err ? refuse_data(v, err) : 0;
}

/*
 * Of several hosts become the one that has the vault.  Who has it stops then, so not
 * for a data device that is another one.
 */
static int share(struct qvault *v, struct qvault_disk_anchor *record)
{
	int err;

	err = check_roots(v);
	if (err)
		return refuse_data(v, err);
	err = qvault_claim_line(v, v->anchor.uuid);
	if (!err)
		err = qvault_share_begin(v);
	if (err == -EINTR)
		return refuse(v, "interrupted while it waited for other hosts", err);
	if (err)
		return refuse_line(v, err);
	/* Whoever had it may have written until now. */
	return qvault_anchor_read(v, record);
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
	qvault_walk_attached(v, &record->walk);
	if (v->settle && !v->read_only && !v->let_go)
		err = share(v, record);
	return err ?: recover(v, record);
}

static void give_up(struct qvault *v)
{
	/* The machine may have asked for a checkpoint already. */
	mutex_lock(&v->checkpoint_mutex);
	mutex_lock(&v->commit_mutex);
	WRITE_ONCE(v->mode, QVAULT_MODE_DETACHED);
	mutex_unlock(&v->commit_mutex);
	mutex_unlock(&v->checkpoint_mutex);
	drop_all(v);
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
 * device too small; -EBUSY attached already, or shared with other hosts and not said so;
 * -ESTALE somebody else attaches it; -EINTR while it waited for other hosts; -EOVERFLOW
 * no versions left; -EPROTONOSUPPORT; -EUCLEAN; -ENOMEM; what qvault_grow() returns, if it
 * is to grow; or an I/O error.
 */
int qvault_attach(struct qvault *v, struct qvault_disk_anchor *record)
{
	int err;

	v->reason = NULL;
	v->live = 0;
	v->frozen = false;
	v->troubled = 0;
	v->good_slots = QVAULT_ANCHOR_SLOTS;
	err = attach(v, record);
	if (err) {
		give_up(v);
		return err;
	}
	/* Who writes records has just written both. */
	if (!v->read_only && !v->let_go)
		v->good_slots = QVAULT_ANCHOR_SLOTS;
	/* If it was not before: who has stopped meanwhile, has stopped. */
	cmpxchg(&v->mode, QVAULT_MODE_DETACHED, v->read_only ? QVAULT_MODE_READ_ONLY :
							       QVAULT_MODE_WRITE);
	if (v->read_only)
		return 0;
	err = qvault_grow_to_table(v);
	if (err)
		give_up(v);
	return err;
}

/* All is in the tree, and both slots say so. */
static int rest(struct qvault *v)
{
	int err = qvault_checkpoint(v);

	if (err)
		return err;
	while (qvault_trim(v))
		;
	mutex_lock(&v->commit_mutex);
	err = qvault_line_repeat(v);
	mutex_unlock(&v->commit_mutex);
	/* Keys were wiped, and the checkpoint had nothing to do: nothing is lost. */
	return err == -ENOKEY ? 0 : err;
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
		err = rest(v);
	WRITE_ONCE(v->mode, QVAULT_MODE_DETACHED);
	drop_all(v);
	return err;
}

/**
 * qvault_suspend() - make durable all that can be, and stay as it is
 * @v: vault; no read, write or flush is under way
 *
 * Context: sleeps.
 * Return: 0; or a negative errno: what could not be made durable stays in memory, and
 * unless the vault has stopped the next commit or checkpoint tries again.
 */
int qvault_suspend(struct qvault *v)
{
	int err;

	if (v->mode == QVAULT_MODE_READ_ONLY)
		return 0;
	err = qvault_checkpoint(v);
	while (qvault_trim(v))
		;
	return err;
}

/**
 * qvault_resume() - go on after qvault_suspend()
 * @v: vault
 *
 * A vault that has stopped goes on answering reads, and has nothing to compare.  Now,
 * while nobody reads or writes, is the time to grow, if the table says so.
 *
 * Context: sleeps; nothing else uses the vault.
 * Return: 0; -ESTALE, with v->reason in words, if the anchor does not hold what this
 * vault left there; or another negative errno, likewise.
 */
int qvault_resume(struct qvault *v)
{
	int err = 0;

	v->reason = NULL;
	qvault_trim_init(v);
	mutex_lock(&v->commit_mutex);
	if (v->mode == QVAULT_MODE_WRITE || v->mode == QVAULT_MODE_READ_ONLY)
		err = qvault_line_unbroken(v);
	qvault_share_forget(v);
	if (!err)
		err = qvault_share_look(v);
	mutex_unlock(&v->commit_mutex);
	if (!err && v->mode == QVAULT_MODE_WRITE)
		return qvault_grow_to_table(v);
	if (!err)
		return 0;
	return refuse(v, err == -ESTALE ?
		      "the anchor does not hold what this vault left there" :
		      "cannot read the anchor", err);
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
	int err;

	mutex_init(&v->page_mutex);
	mutex_init(&v->checkpoint_mutex);
	mutex_init(&v->commit_mutex);
	mutex_init(&v->alloc_mutex);
	mutex_init(&v->buf_mutex);
	mutex_init(&v->share_mutex);
	rwlock_init(&v->map_lock);
	spin_lock_init(&v->alloc_lock);
	init_waitqueue_head(&v->room_wait);
	qvault_stream_init(&v->stream);
	/* What a checkpoint needs even when there is no memory left. */
	v->changes = kvcalloc(QVAULT_MAX_CHANGES, sizeof(*v->changes),
			      GFP_KERNEL);
	v->page_pool = mempool_create(QVAULT_PAGES, qvault_page_alloc, mempool_kfree,
				      NULL);
	err = qvault_stock_init(v) ?: qvault_checkpoint_init(v);
	return err ?: v->changes && v->page_pool ? 0 : -ENOMEM;
}

/* Frees what a vault has; it may be half-built, attached, or failed. */
void qvault_exit(struct qvault *v)
{
	drop_all(v);
	kfree(v->merge);
	kvfree(v->changes);
	qvault_stock_exit(v);
	mempool_destroy(v->page_pool);
}
