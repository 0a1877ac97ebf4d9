// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that the walker reads and verifies, and perhaps seals anew.
 *
 * A block that is sealed anew is written to another place, as a write of a user's is.
 * But it takes effect only if the block still has the pointer that was found: a user
 * may have written it meanwhile, or discarded it, and that counts.  The first of the
 * deltas that knows anything of the block must say just that pointer; or none does,
 * and the root is still the one under which it was found, since a spinlock cannot ask
 * the tree.  Who finds that it moved looks again.
 *
 * Nothing here is urgent: when memory is short it is left for later.
 */
#include "qvault.h"

/* Buffers for what is mapped.  -EAGAIN: there is no memory for them just now. */
static int get_buffers(struct qvault_blocks *b)
{
	u32 i;

	b->nr = 0;
	memset(b->plain, 0, sizeof(b->plain));
	for (i = 0; i < b->count; i++) {
		if (!qvault_ptr_mapped(&b->ptr[i]))
			continue;
		b->plain[i] = qvault_buf_try();
		if (!b->plain[i])
			return -EAGAIN;
		b->read[b->nr].block = b->ptr[i].where;
		b->read[b->nr].buf = qvault_buf_try();
		b->of[b->nr] = i;
		if (!b->read[b->nr].buf)
			return -EAGAIN;
		b->nr++;
	}
	return 0;
}

/* Whoever gets that memory next must not find what a user wrote. */
static void drop_plain(struct qvault_blocks *b, u32 i)
{
	if (b->plain[i])
		memzero_explicit(b->plain[i], QVAULT_BLOCK_SIZE);
	qvault_buf_put(b->plain[i]);
	b->plain[i] = NULL;
}

/**
 * qvault_blocks_put() - give the buffers back
 * @b: blocks, verified or not
 */
void qvault_blocks_put(struct qvault_blocks *b)
{
	u32 i;

	for (i = 0; i < b->count; i++)
		drop_plain(b, i);
	while (b->nr)
		qvault_buf_put(b->read[--b->nr].buf);
}

/* As long as its pointer changes under our eyes; 0 too if it is not mapped any more. */
static int look_again(struct qvault *v, u64 logical, struct qvault_ptr *ptr, void *cipher,
		      void *plain)
{
	u64 version;
	int err = -EILSEQ;

	while (err == -EILSEQ) {
		version = ptr->version;
		err = qvault_lookup(v, logical, 1, ptr);
		if (err || !ptr->version)
			return err;
		if (ptr->version == version)
			return qvault_corrupt(v, QVAULT_KIND_DATA, logical);
		err = qvault_dev_read(v->data, ptr->where, cipher);
		if (!err)
			err = qvault_unseal(v, QVAULT_KIND_DATA, logical, ptr, cipher,
					    plain, plain);
	}
	return err;
}

static int verify_read(struct qvault *v, struct qvault_blocks *b,
		       const struct qvault_read *read, u32 i)
{
	u64 logical = b->logical + i;
	int err = read->err;

	if (!err)
		err = qvault_unseal(v, QVAULT_KIND_DATA, logical, &b->ptr[i], read->buf,
				    b->plain[i], b->plain[i]);
	if (err == -EILSEQ)
		err = look_again(v, logical, &b->ptr[i], read->buf, b->plain[i]);
	if (err || !b->ptr[i].version)
		drop_plain(b, i);
	return err;
}

/**
 * qvault_blocks_verify() - read blocks and verify them
 * @v: vault
 * @b: blocks; those that are not mapped, or lost, are left out.  Afterwards plain is
 *	set of those that are good
 * @bad: set: a bit for each that cannot be read
 *
 * Context: sleeps; no lock held.
 * Return: 0; -EAGAIN if memory is short; or another negative errno.
 */
int qvault_blocks_verify(struct qvault *v, struct qvault_blocks *b, u64 *bad)
{
	int err = get_buffers(b);
	u32 i;

	*bad = 0;
	if (!err && b->nr)
		qvault_dev_read_many(v->data, b->read, b->nr);
	for (i = 0; i < b->nr && !err; i++) {
		err = verify_read(v, b, &b->read[i], b->of[i]);
		if (err == -EILSEQ || err == -EIO) {
			*bad |= 1ull << b->of[i];
			err = 0;
		}
	}
	return err;
}

/* Seal a run anew and write it; the buffers of its reads go with it. */
static int write_run(struct qvault *v, struct qvault_blocks *b, struct qvault_write *w,
		     u32 first, void *cipher[])
{
	struct qvault_batch *batch = qvault_batch_begin(v, v->data, QVAULT_USE_CHECKPOINT);
	int err = 0, failed;
	u32 i;

	for (i = 0; i < w->count && !err; i++) {
		err = qvault_seal(v, QVAULT_KIND_DATA, w->logical + i, &w->ptr[i],
				  b->plain[first + i], cipher[first + i]);
		if (err)
			break;
		qvault_batch_write(batch, w->ptr[i].where, cipher[first + i]);
		cipher[first + i] = NULL;
	}
	failed = qvault_batch_wait(batch);
	qvault_batch_end(batch);
	return err ?: failed;
}

static int move_run(struct qvault *v, struct qvault_blocks *b, struct qvault_write *w,
		    u32 first, u32 count, void *cipher[], u32 *moved)
{
	int err = 0;
	u32 end = first + count;

	while (first < end && !err) {
		w->logical = b->logical + first;
		w->count = end - first;
		err = qvault_write_begin(v, w);
		if (err)
			break;
		w->found = &b->ptr[first];
		w->root = &b->root;
		err = write_run(v, b, w, first, cipher);
		err = qvault_write_end(v, w, err);
		if (!err)
			*moved += w->count - w->passed;
		first += w->count;
	}
	return err;
}

/**
 * qvault_blocks_move() - seal blocks anew, each to another place
 * @v: vault
 * @b: blocks that were verified; those that have plain
 * @moved: set: how many still had the pointer that was found
 *
 * Context: sleeps; no lock held.
 * Return: 0; -EAGAIN if memory is short; or another negative errno.
 */
int qvault_blocks_move(struct qvault *v, struct qvault_blocks *b, u32 *moved)
{
	void *cipher[QVAULT_WALK_BLOCKS] = {};
	struct qvault_write *w;
	u32 first, count, i;
	int err = 0;

	*moved = 0;
	w = qvault_kmalloc(struct_size(w, ptr, b->count),
			   GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!w)
		return -EAGAIN;
	for (i = 0; i < b->nr; i++)
		cipher[b->of[i]] = b->read[i].buf;
	b->nr = 0;
	for (first = 0; first < b->count && !err; first += count) {
		for (count = 0; first + count < b->count && b->plain[first + count];)
			count++;
		if (count)
			err = move_run(v, b, w, first, count, cipher, moved);
		else
			count = 1;
	}
	for (i = 0; i < b->count; i++)
		qvault_buf_put(cipher[i]);
	kfree(w);
	return err;
}
