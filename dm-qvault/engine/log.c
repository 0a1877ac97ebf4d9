// SPDX-License-Identifier: GPL-2.0
/*
 * The stream of entries, and the log that makes it durable.
 *
 * Room, in memory and in the log, is promised before a write is issued, so that
 * neither an insert nor a commit can run out of it.  How many pages R bytes of
 * entries can open at most:
 *
 * A commit closes pages only if they hold more than QVAULT_INLINE_SIZE bytes
 * together, and a page that another follows is full but for less than the
 * smallest entry.  So the pages that one commit closes are filled by half at
 * least, R bytes open R / (QVAULT_INLINE_SIZE / 2) of them, and two more: the
 * one after a page that was nearly full before, and the one that is last.
 * Only the commit that a checkpoint begins with may close a page early: it
 * brings another page with it, and is followed by the move of the log's tail.
 */
#include "qvault.h"

#define BYTES_OF_PAGE	(QVAULT_INLINE_SIZE / 2)

/* How many pages entries of so many bytes can open: see above. */
u32 qvault_stream_blocks(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, BYTES_OF_PAGE) + 2;
}

/* For v->page_pool. */
void *qvault_page_alloc(gfp_t gfp, void *unused)
{
	return qvault_kmalloc(sizeof(struct qvault_page), gfp);
}

void qvault_stream_init(struct qvault_stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	INIT_LIST_HEAD(&stream->pages);
	INIT_LIST_HEAD(&stream->spare);
	INIT_LIST_HEAD(&stream->cut);
}

/* The first page that a commit is done with is kept for the next freeze. */
static void put_page_back(struct qvault *v, struct qvault_page *page)
{
	lockdep_assert_held(&v->commit_mutex);
	if (v->freeze_page)
		mempool_free(page, v->page_pool);
	else
		v->freeze_page = page;
}

static void free_pages_of(struct qvault *v, struct list_head *pages)
{
	struct qvault_page *page, *next;

	list_for_each_entry_safe(page, next, pages, list) {
		list_del(&page->list);
		mempool_free(page, v->page_pool);
	}
}

void qvault_stream_exit(struct qvault *v)
{
	free_pages_of(v, &v->stream.pages);
	free_pages_of(v, &v->stream.spare);
	free_pages_of(v, &v->stream.cut);
	qvault_stream_init(&v->stream);
}

/* Blocks of the log that a recovery would read. */
u64 qvault_log_used(const struct qvault *v)
{
	return v->anchor.log_head + 1 - v->anchor.log_tail;
}

/*
 * Would all that is promised fit, with @bytes more and @kept blocks left?
 * Context: map_lock.
 */
static bool has_room(const struct qvault *v, u64 bytes, u32 kept)
{
	/* One block is kept for the commit that begins a checkpoint. */
	return qvault_log_used(v) + v->stream.nr_cut + v->stream.nr_pages + 1 +
	       qvault_stream_blocks(v->stream.reserved + bytes) + kept <=
	       v->log_limit;
}

static u64 delta_bytes(const struct qvault *v)
{
	return v->delta[0].bytes + v->delta[1].bytes;
}

/*
 * Have the deltas room for more?  An entry of a few bytes may need a node that is many
 * times larger, so the log alone bounds nothing.  What is promised is not counted: see
 * v->node_limit.  There is some room also if what must be carried fills them, or no
 * checkpoint would make any.  Context: map_lock.
 */
static bool has_memory(const struct qvault *v)
{
	return delta_bytes(v) <= max(v->delta_limit,
				     v->damage.bytes + v->delta_limit / 8);
}

/*
 * Is it time for a checkpoint in the background?  When half of what writers may use
 * is full: while it empties that they fill the other half.  If it is not faster than
 * they are, they wait for it whenever it begins; if it is, they never do, and later
 * it has less to do for each write.  Of what the last one had to carry it frees
 * nothing.  Context: map_lock.
 */
bool qvault_log_half_full(const struct qvault *v)
{
	return 2 * (qvault_log_used(v) + v->stream.nr_cut +
		    v->stream.nr_pages) >=
	       v->log_limit - qvault_damage_kept(v) + v->damage.pages ||
	       2 * delta_bytes(v) >= v->delta_limit + v->damage.bytes;
}

static struct qvault_page *try_page(struct qvault *v)
{
	struct qvault_page *page;

	page = qvault_kmalloc(sizeof(*page), GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (page)
		return page;
	return mempool_alloc(v->page_pool, GFP_NOWAIT | __GFP_NOWARN);
}

/*
 * A page for the stream.  When memory is short, pages come back as commits
 * write them, and as operations end that were promised more than they used.
 * NULL if the vault accepts no writes.
 */
static struct qvault_page *wait_for_page(struct qvault *v)
{
	struct qvault_page *page;

	lockdep_assert_held(&v->page_mutex);
	for (;;) {
		page = try_page(v);
		if (page || qvault_commit(v))
			return page;
		wait_event_timeout(v->room_wait, qvault_may_write(v), HZ / 50);
	}
}

/* Give back pages that no promise needs.  Context: map_lock for writing. */
static void drop_spare(struct qvault *v)
{
	struct qvault_stream *stream = &v->stream;
	struct qvault_page *page;

	while (stream->nr_spare > qvault_stream_blocks(stream->reserved)) {
		page = list_first_entry(&stream->spare, struct qvault_page, list);
		list_del(&page->list);
		stream->nr_spare--;
		mempool_free(page, v->page_pool);
	}
}

/*
 * Promise room, and get the pages for it from @get, which gives none if it gives up.
 * Returns 0; -ENOSPC: no room in the log or the deltas; -ENOMEM: no pages.  What heals a damaged
 * node, or carries what is below one, may take @all, also what is kept because of it.
 */
static int reserve(struct qvault *v, u64 bytes, bool all,
		   struct qvault_page *(*get)(struct qvault *v))
{
	struct qvault_stream *stream = &v->stream;
	struct qvault_page *page;
	int err = 0;

	write_lock(&v->map_lock);
	if (has_room(v, bytes, all ? 0 : qvault_damage_kept(v)) &&
	    (all || has_memory(v)))
		stream->reserved += bytes;
	else
		err = -ENOSPC;
	/* Others may lack pages too: each that is added serves all. */
	while (!err && stream->nr_spare < qvault_stream_blocks(stream->reserved)) {
		write_unlock(&v->map_lock);
		page = get(v);
		write_lock(&v->map_lock);
		if (page) {
			list_add(&page->list, &stream->spare);
			stream->nr_spare++;
		} else {
			stream->reserved -= bytes;
			drop_spare(v);
			err = -ENOMEM;
		}
	}
	write_unlock(&v->map_lock);
	return err;
}

static bool reserve_or_wait(struct qvault *v, u32 bytes, bool heals)
{
	int err = reserve(v, bytes, heals, try_page);

	if (err == -ENOMEM) {
		mutex_lock(&v->page_mutex);
		err = reserve(v, bytes, heals, wait_for_page);
		mutex_unlock(&v->page_mutex);
	}
	return !err;
}

/**
 * qvault_stream_reserve() - promise room for entries
 * @v: vault
 * @bytes: worst case, see QVAULT_ENTRY_WORST
 *
 * When memory is short one writer at a time waits for pages, and the others
 * hold no promise meanwhile: together they could ask for more than ever comes
 * back.
 *
 * Context: May sleep; no lock held.
 * Return: true, or false if a checkpoint must make room first.
 */
bool qvault_stream_reserve(struct qvault *v, u32 bytes)
{
	return reserve_or_wait(v, bytes, false);
}

/* The same for an unmap that covers all of a damaged node, also in a full log. */
bool qvault_stream_reserve_heal(struct qvault *v, u32 bytes)
{
	return reserve_or_wait(v, bytes, true);
}

/**
 * qvault_stream_release() - take back a promise, kept or not
 * @v: vault
 * @bytes: as reserved
 *
 * Context: map_lock for writing.
 */
void qvault_stream_release(struct qvault *v, u32 bytes)
{
	lockdep_assert_held_write(&v->map_lock);
	v->stream.reserved -= bytes;
	drop_spare(v);
}

static struct qvault_page *page_of_commit(struct qvault *v)
{
	struct qvault_page *page = try_page(v);

	return page || qvault_commit(v) ? page : try_page(v);
}

/**
 * qvault_stream_reserve_pages() - promise room for what a checkpoint carries
 * @v: vault
 * @pages: how many its entries fill, appended at a time; 0: only for its commit
 *
 * Writers may wait for a checkpoint, so it does not wait for them: if memory is
 * short, and a commit gives no page back, it is tried again later.
 *
 * Context: checkpoint_mutex; sleeps.
 * Return: 0, -ENOSPC or -ENOMEM.
 */
int qvault_stream_reserve_pages(struct qvault *v, u32 pages)
{
	return reserve(v, (u64)pages * BYTES_OF_PAGE, true, page_of_commit);
}

/* Takes that promise back, kept or not.  Context: map_lock for writing. */
void qvault_stream_release_pages(struct qvault *v, u32 pages)
{
	lockdep_assert_held_write(&v->map_lock);
	v->stream.reserved -= (u64)pages * BYTES_OF_PAGE;
	drop_spare(v);
}

/* The page that takes the next entry: one with room for the smallest. */
static struct qvault_page *open_page(struct qvault_stream *stream)
{
	struct qvault_page *page;

	if (!list_empty(&stream->pages)) {
		page = list_last_entry(&stream->pages, struct qvault_page, list);
		if (page->bytes + QVAULT_ENTRY_WORST <= QVAULT_LOG_PAYLOAD)
			return page;
	}
	page = list_first_entry(&stream->spare, struct qvault_page, list);
	list_move_tail(&page->list, &stream->pages);
	stream->nr_spare--;
	stream->nr_pages++;
	page->bytes = 0;
	return page;
}

static void put_entry(struct qvault_page *page, u64 version, u64 where, u64 run)
{
	struct qvault_disk_entry disk = {
		.version = cpu_to_le64(version),
		.where = cpu_to_le64(where),
		.run = cpu_to_le64(run),
	};

	memcpy(page->payload + page->bytes, &disk, sizeof(disk));
	page->bytes += sizeof(disk);
}

/* Length of the run that begins at @ptr. */
static u32 run_length(const struct qvault_ptr *ptr, u32 count)
{
	u32 n;

	for (n = 1; n < count; n++)
		if (ptr[n].where != ptr->where + n ||
		    ptr[n].version != ptr->version + n || ptr[n].gen != ptr->gen)
			break;
	return n;
}

/**
 * qvault_stream_append() - log that blocks were mapped
 * @v: vault
 * @logical: first block
 * @ptr: pointers of @count blocks
 * @count: at least 1
 *
 * Context: map_lock for writing; room reserved.
 */
void qvault_stream_append(struct qvault *v, u64 logical,
			  const struct qvault_ptr *ptr, u32 count)
{
	struct qvault_page *page;
	u32 i, n;

	while (count) {
		page = open_page(&v->stream);
		n = (QVAULT_LOG_PAYLOAD - page->bytes -
		     sizeof(struct qvault_disk_entry)) / QVAULT_TAG_SIZE;
		n = run_length(ptr, min(n, count));
		put_entry(page, ptr->version,
			  ptr->where | (u64)ptr->gen << QVAULT_WHERE_GEN_SHIFT,
			  logical | (u64)(n - 1) << QVAULT_RUN_COUNT_SHIFT);
		for (i = 0; i < n; i++) {
			memcpy(page->payload + page->bytes, ptr[i].tag,
			       QVAULT_TAG_SIZE);
			page->bytes += QVAULT_TAG_SIZE;
		}
		logical += n;
		ptr += n;
		count -= n;
	}
	v->stream.dirty = true;
}

/* The same for blocks that were unmapped, however many. */
void qvault_stream_append_unmap(struct qvault *v, u64 logical, u64 count)
{
	put_entry(open_page(&v->stream), 0, count, logical | QVAULT_RUN_UNMAP);
	v->stream.dirty = true;
}

/**
 * qvault_stream_restore() - put the anchor record's entries back into the stream
 * @v: vault being attached
 * @entries: from the record
 * @bytes: of them
 *
 * They stand in no log block, so every record must carry them until they do.
 *
 * Context: May sleep; nothing else uses the vault.
 */
void qvault_stream_restore(struct qvault *v, const void *entries, u32 bytes)
{
	struct qvault_page *page;

	if (!bytes)
		return;
	page = mempool_alloc(v->page_pool, GFP_NOIO);
	memcpy(page->payload, entries, bytes);
	page->bytes = bytes;
	list_add_tail(&page->list, &v->stream.pages);
	v->stream.nr_pages = 1;
	v->stream.inline_bytes = bytes;
}

/**
 * qvault_stream_merged() - what qvault_stream_restore() put there stands in the tree
 * @v: vault being attached
 *
 * The next record carries no entries.
 *
 * Context: commit_mutex.
 */
void qvault_stream_merged(struct qvault *v)
{
	struct qvault_stream *stream = &v->stream;

	write_lock(&v->map_lock);
	free_pages_of(v, &stream->pages);
	stream->nr_pages = 0;
	stream->inline_bytes = 0;
	write_unlock(&v->map_lock);
}

/**
 * qvault_stream_cut() - what the next anchor record is to cover
 * @v: vault
 * @spare: NULL; or a page, to leave nothing inline, in place of the one that
 *	is then closed early
 *
 * If everything fits into the anchor record the page stays in the stream, and
 * stream.inline_bytes says how much of it the record carries.  But not behind pages
 * that an earlier commit has cut and failed to make durable.
 *
 * Context: map_lock for writing, commit_mutex.
 * Return: whether there is anything that no durable record covers.
 */
bool qvault_stream_cut(struct qvault *v, struct qvault_page *spare)
{
	struct qvault_stream *stream = &v->stream;
	struct qvault_page *first;
	bool dirty = stream->dirty || (spare && stream->nr_pages);

	lockdep_assert_held_write(&v->map_lock);
	stream->dirty = false;
	if (!stream->nr_pages) {
		if (spare)
			put_page_back(v, spare);
		return dirty;
	}
	if (spare) {
		list_add(&spare->list, &stream->spare);
		stream->nr_spare++;
	}
	first = list_first_entry(&stream->pages, struct qvault_page, list);
	if (!spare && stream->nr_pages == 1 &&
	    first->bytes <= QVAULT_INLINE_SIZE) {
		stream->inline_bytes = first->bytes;
		return dirty;
	}
	list_splice_tail_init(&stream->pages, &stream->cut);
	/* Their room in the log stays taken until the record says so itself. */
	stream->nr_cut += stream->nr_pages;
	stream->nr_pages = 0;
	stream->inline_bytes = 0;
	return dirty;
}

/**
 * qvault_stream_uncommitted() - what was cut is not durable after all
 * @v: vault
 *
 * Context: commit_mutex.
 */
void qvault_stream_uncommitted(struct qvault *v)
{
	write_lock(&v->map_lock);
	v->stream.dirty = true;
	write_unlock(&v->map_lock);
}

/**
 * qvault_stream_committed() - all that was cut stands in the log of a durable record
 * @v: vault
 *
 * Context: commit_mutex.
 */
void qvault_stream_committed(struct qvault *v)
{
	struct qvault_page *page, *next;

	list_for_each_entry_safe(page, next, &v->stream.cut, list) {
		list_del(&page->list);
		put_page_back(v, page);
	}
}

/*
 * The stream.inline_bytes that the anchor record carries, or NULL.  They do not
 * change any more, and only a cut takes the page away.
 *
 * Context: commit_mutex.
 */
const void *qvault_stream_inline(struct qvault *v)
{
	const void *entries = NULL;

	read_lock(&v->map_lock);
	if (v->stream.inline_bytes)
		entries = list_first_entry(&v->stream.pages, struct qvault_page,
					   list)->payload;
	read_unlock(&v->map_lock);
	return entries;
}

/* ---- The log ---- */

/* Seal a page, which is on no list, as the log block after @next->log. */
static int seal_page(struct qvault *v, struct qvault_page *page, u32 bytes,
		     const struct qvault_anchor *next, struct qvault_ptr *ptr,
		     void *cipher)
{
	struct qvault_disk_log_head head = {};

	memset(ptr, 0, sizeof(*ptr));
	ptr->where = next->log_head + 1;
	ptr->gen = next->seal;
	ptr->version = qvault_new_versions(v, 1);
	if (!ptr->version)
		return qvault_may_write(v) ?: -EAGAIN;
	qvault_ptr_to_disk(&head.prev, &next->log);
	head.sequence = cpu_to_le64(ptr->where);
	head.bytes = cpu_to_le32(bytes);
	memset(page->payload + bytes, 0, QVAULT_LOG_PAYLOAD - bytes);
	page->head = head;
	return qvault_seal(v, QVAULT_KIND_LOG, ptr->where, ptr, page, cipher);
}

/* Write one page, which then is an entry of @done again. */
static int append_page(struct qvault *v, struct qvault_page *page,
		       struct qvault_anchor *next, struct qvault_batch *batch,
		       struct list_head *done)
{
	void *cipher = qvault_batch_buf(batch);
	u32 bytes = page->bytes;
	struct qvault_ptr ptr;
	int err;

	list_del(&page->list);
	err = seal_page(v, page, bytes, next, &ptr, cipher);
	/* The block's head took the place of these. */
	page->bytes = bytes;
	list_add_tail(&page->list, done);
	if (err) {
		qvault_buf_put(cipher);
		return err;
	}
	qvault_batch_write(batch, qvault_log_block(&v->geo, ptr.where), cipher);
	next->log = ptr;
	next->log_head = ptr.where;
	atomic64_inc(&v->counters.log_blocks);
	return 0;
}

static int append_pages(struct qvault *v, struct qvault_anchor *next)
{
	struct qvault_batch *batch = qvault_batch_begin(v, v->data, QVAULT_USE_COMMIT);
	struct qvault_page *page, *tmp;
	LIST_HEAD(done);
	int err = 0, err2;

	list_for_each_entry_safe(page, tmp, &v->stream.cut, list) {
		err = append_page(v, page, next, batch, &done);
		if (err)
			break;
	}
	list_splice(&done, &v->stream.cut);
	err2 = qvault_batch_wait(batch);
	qvault_batch_end(batch);
	return err ?: err2;
}

/**
 * qvault_log_append() - write what was cut out of the stream
 * @v: vault
 * @next: the anchor record to be; head and pointer of the log move on
 *
 * When it returns, the writes have ended but are not durable.  The pages stay until
 * qvault_stream_committed().
 *
 * Context: commit_mutex; sleeps.
 * Return: 0; -EAGAIN if a record must bring a new lease first; or another negative
 * errno.
 */
int qvault_log_append(struct qvault *v, struct qvault_anchor *next)
{
	if (list_empty(&v->stream.cut))
		return 0;
	if (!qvault_ephemeral(v))
		return append_pages(v, next);
	/* No log; but its length still bounds the delta. */
	next->log_head += v->stream.nr_cut;
	return 0;
}

/**
 * qvault_log_open() - verify and decrypt a log block
 * @v: vault
 * @ptr: its pointer; set to that of the block before it
 * @sequence: of the block
 * @cipher: what the device gave for it
 * @page: set: the entries and how many bytes of them
 *
 * Context: sleeps.
 * Return: 0; -EILSEQ, which was reported, if it is not the block that was written;
 * -EUCLEAN if it is authentic but makes no sense; or another negative errno.
 */
int qvault_log_open(struct qvault *v, struct qvault_ptr *ptr, u64 sequence,
		    const void *cipher, struct qvault_page *page)
{
	u32 bytes;
	int err;

	if (ptr->where != sequence)
		return -EUCLEAN;
	err = qvault_unseal(v, QVAULT_KIND_LOG, sequence, ptr, cipher, page, page);
	if (err)
		return err == -EILSEQ ?
		       qvault_corrupt(v, QVAULT_KIND_LOG, sequence) : err;
	bytes = le32_to_cpu(page->head.bytes);
	if (le64_to_cpu(page->head.sequence) != sequence ||
	    bytes > QVAULT_LOG_PAYLOAD)
		return -EUCLEAN;
	qvault_ptr_from_disk(ptr, &page->head.prev);
	page->bytes = bytes;
	return 0;
}

/**
 * qvault_entry_next() - decode the next entry
 * @geo: layout
 * @pos: where it begins; moved on
 * @left: bytes of entries from there; reduced
 * @entry: set
 *
 * The bytes are authentic, so what is wrong with them is our own doing; the
 * checks keep that from becoming a wild access.
 *
 * Context: Any.
 * Return: 1; 0 at the end; -EUCLEAN.
 */
int qvault_entry_next(const struct qvault_geometry *geo, const u8 **pos,
		      u32 *left, struct qvault_entry *entry)
{
	struct qvault_disk_entry disk;
	u64 group, run, where;
	u32 bit, tags = 0;

	if (!*left)
		return 0;
	if (*left < sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, *pos, sizeof(disk));
	run = le64_to_cpu(disk.run);
	entry->version = le64_to_cpu(disk.version);
	where = le64_to_cpu(disk.where);
	entry->where = where & QVAULT_WHERE_MASK;
	entry->gen = where >> QVAULT_WHERE_GEN_SHIFT & 0xf;
	entry->logical = run & QVAULT_WHERE_MASK;
	entry->tags = *pos + sizeof(disk);
	if (run & QVAULT_RUN_UNMAP) {
		entry->count = where;
		if (entry->version)
			return -EUCLEAN;
	} else {
		entry->count = (run >> QVAULT_RUN_COUNT_SHIFT &
				QVAULT_RUN_COUNT_MASK) + 1;
		tags = entry->count * QVAULT_TAG_SIZE;
		if (!entry->version || where >> QVAULT_WHERE_SET_SHIFT ||
		    *left - sizeof(disk) < tags ||
		    !qvault_locate(geo, entry->where, &group, &bit) ||
		    entry->count > qvault_group_data(geo, group) - bit)
			return -EUCLEAN;
	}
	if (!entry->count || entry->logical >= geo->logical_blocks ||
	    entry->count > geo->logical_blocks - entry->logical)
		return -EUCLEAN;
	*pos += sizeof(disk) + tags;
	*left -= sizeof(disk) + tags;
	return 1;
}
