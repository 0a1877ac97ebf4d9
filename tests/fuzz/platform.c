// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "fuzz.h"
#include "platform.h"
#include "sim.h"

/* The simulator's ciphers count here. */
struct totals totals;
/* And take their secrets from there, if there is one. */
struct world *world_current;

static const u8 zeros[QVAULT_BLOCK_SIZE];

/* ---- Devices ---- */

void fuzz_dev_init(struct fuzz_dev *dev, u64 nr_blocks)
{
	memset(dev, 0, sizeof(*dev));
	dev->nr_blocks = nr_blocks;
	dev->base = calloc(nr_blocks, sizeof(*dev->base));
	dev->now = calloc(nr_blocks, sizeof(*dev->now));
	dev->touched = calloc(nr_blocks, sizeof(*dev->touched));
}

const void *fuzz_dev_at(const struct fuzz_dev *dev, u64 block)
{
	if (dev->now[block])
		return dev->now[block];
	return dev->base[block] ? dev->base[block] : zeros;
}

void fuzz_dev_put(struct fuzz_dev *dev, u64 block, const void *contents)
{
	if (!dev->now[block]) {
		dev->now[block] = malloc(QVAULT_BLOCK_SIZE);
		dev->touched[dev->nr_touched++] = block;
	}
	memcpy(dev->now[block], contents, QVAULT_BLOCK_SIZE);
}

void fuzz_dev_keep(struct fuzz_dev *dev)
{
	while (dev->nr_touched) {
		u64 block = dev->touched[--dev->nr_touched];

		free(dev->base[block]);
		dev->base[block] = dev->now[block];
		dev->now[block] = NULL;
	}
}

void fuzz_dev_reset(struct fuzz_dev *dev)
{
	while (dev->nr_touched) {
		u64 block = dev->touched[--dev->nr_touched];

		free(dev->now[block]);
		dev->now[block] = NULL;
	}
}

/* Time stands still. */
unsigned long jiffies;

/* struct qvault_dev is what the engine passes around and never looks into. */
static struct fuzz_dev *of(struct qvault_dev *dev)
{
	return (struct fuzz_dev *)dev;
}

u64 qvault_dev_blocks(struct qvault_dev *dev)
{
	return of(dev)->nr_blocks;
}

/* What stands beyond the end is the block layer's to refuse. */
int qvault_dev_read(struct qvault_dev *dev, u64 block, void *buf)
{
	if (block >= of(dev)->nr_blocks)
		return -EIO;
	memcpy(buf, fuzz_dev_at(of(dev), block), QVAULT_BLOCK_SIZE);
	return 0;
}

void qvault_dev_read_many(struct qvault_dev *dev, struct qvault_read *read, u32 n)
{
	FUZZ_CHECK(n && n <= QVAULT_READS);
	for (; n; n--, read++)
		read->err = qvault_dev_read(dev, read->block, read->buf);
}

/* A write there, though, is one that should not have been thought of. */
static void write_block(struct qvault_dev *dev, u64 block, const void *buf)
{
	FUZZ_CHECK(block < of(dev)->nr_blocks);
	fuzz_dev_put(of(dev), block, buf);
}

int qvault_dev_write_fua(struct qvault_dev *dev, u64 block, void *buf)
{
	write_block(dev, block, buf);
	return 0;
}

int qvault_dev_flush(struct qvault_dev *dev)
{
	return 0;
}

int qvault_dev_flush_and_read(struct qvault_dev *dev, struct qvault_dev *other,
			      struct qvault_look *reads, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		reads[i].err = qvault_dev_read(other, reads[i].block, reads[i].buf);
	return 0;
}

void qvault_dev_discard(struct qvault *v, const struct qvault_range *range, u32 nr)
{
	u64 i;

	for (; nr; nr--, range++)
		for (i = 0; i < range->count; i++)
			write_block(v->data, range->block + i, zeros);
}

/* A suspend and a detach do it. */
void qvault_kick_trim(struct qvault *v)
{
}

struct qvault_batch {
	struct qvault *v;
	struct qvault_dev *dev;
};

struct qvault_batch *qvault_batch_begin(struct qvault *v,
					struct qvault_dev *dev,
					enum qvault_use use)
{
	struct qvault_batch *batch = malloc(sizeof(*batch));

	batch->v = v;
	batch->dev = dev;
	return batch;
}

void *qvault_batch_buf(struct qvault_batch *batch)
{
	return malloc(QVAULT_BLOCK_SIZE);
}

void qvault_batch_write(struct qvault_batch *batch, u64 block, void *buf)
{
	u64 group;
	u32 bit;

	/* Metadata never lands where data are, whatever metadata said. */
	FUZZ_CHECK(block && !qvault_locate(&batch->v->geo, block, &group, &bit));
	write_block(batch->dev, block, buf);
	qvault_buf_put(buf);
}

int qvault_batch_wait(struct qvault_batch *batch)
{
	return 0;
}

void qvault_batch_end(struct qvault_batch *batch)
{
	free(batch);
}

void *qvault_buf_get(struct qvault *v, enum qvault_use use)
{
	return malloc(QVAULT_BLOCK_SIZE);
}

void *qvault_buf_try(void)
{
	return malloc(QVAULT_BLOCK_SIZE);
}

void qvault_buf_put(void *buf)
{
	free(buf);
}

void qvault_kick_checkpoint(struct qvault *v)
{
}

void qvault_kick_readahead(struct qvault *v, u64 leaf)
{
	qvault_readahead(v, leaf);
}

void qvault_report_failure(struct qvault *v, const char *what, int err)
{
	((struct fuzz_world *)v->platform)->failures++;
}

void qvault_report_trouble(struct qvault *v, const char *what, int err)
{
}

void qvault_report_taken(struct qvault *v, u64 epoch, u64 sequence)
{
}

void qvault_report_slot(struct qvault *v, u32 slot, int err)
{
}

void qvault_report_mended(struct qvault *v, u32 slot)
{
}

void qvault_report_corruption(struct qvault *v, enum qvault_kind kind, u64 id)
{
	((struct fuzz_world *)v->platform)->corruptions++;
}

void qvault_report_half(struct qvault *v, enum qvault_kind kind, u64 id)
{
}

/* ---- Worlds ---- */

void fuzz_world_init(struct fuzz_world *w, u64 data_blocks)
{
	memset(w, 0, sizeof(*w));
	fuzz_dev_init(&w->data, data_blocks);
	fuzz_dev_init(&w->anchor, QVAULT_ANCHOR_BLOCKS);
	crypto_init(&w->crypto, false, NULL);
	crypto_unlock(&w->crypto, FUZZ_UUID);
	w->v.data = (struct qvault_dev *)&w->data;
	w->v.anchor_dev = (struct qvault_dev *)&w->anchor;
	w->v.crypto = &w->crypto;
	w->v.platform = w;
	w->v.memory_mib = 1;
	FUZZ_CHECK(!qvault_init(&w->v));
}

void fuzz_sign(struct fuzz_world *w, struct qvault_disk_anchor *record)
{
	crypto_unlock(&w->crypto, record->uuid);
	crypto_sign(&w->crypto, record);
}

int fuzz_attach(struct fuzz_world *w, bool read_only)
{
	struct qvault_disk_anchor *record =
		kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err;

	w->v.read_only = read_only;
	err = qvault_attach(&w->v, record);
	kfree(record);
	return err;
}

int fuzz_write(struct fuzz_world *w, u64 logical, u32 count, u8 value)
{
	struct qvault_write *op = calloc(1, struct_size(op, ptr, count));
	u8 plain[QVAULT_BLOCK_SIZE], cipher[QVAULT_BLOCK_SIZE];
	u64 group;
	u32 bit, i;
	int err;

	memset(plain, value, sizeof(plain));
	op->logical = logical;
	op->count = count;
	err = qvault_write_begin(&w->v, op);
	for (i = 0; !err && i < op->count; i++) {
		FUZZ_CHECK(qvault_locate(&w->v.geo, op->ptr[i].where, &group, &bit));
		qvault_seal(&w->v, QVAULT_KIND_DATA, logical + i, &op->ptr[i],
			    plain, cipher);
		write_block(w->v.data, op->ptr[i].where, cipher);
	}
	if (!err)
		err = qvault_write_end(&w->v, op, 0);
	free(op);
	return err;
}

int fuzz_read(struct fuzz_world *w, u64 logical, u8 *value)
{
	u8 plain[QVAULT_BLOCK_SIZE], scratch[QVAULT_BLOCK_SIZE];
	struct qvault_ptr ptr;
	u64 where;
	int err;

	*value = 0;
	err = qvault_lookup(&w->v, logical, 1, &ptr);
	if (err || !ptr.version)
		return err;
	where = ptr.where & QVAULT_WHERE_MASK;
	if (where >= w->data.nr_blocks)
		return -EIO;
	err = qvault_unseal(&w->v, QVAULT_KIND_DATA, logical, &ptr,
			    fuzz_dev_at(&w->data, where), plain, scratch);
	if (!err)
		*value = plain[0];
	return err;
}

int qvault_wait(struct qvault *v, u32 seconds)
{
	return 0;
}

int qvault_claim_line(struct qvault *v, const u8 *uuid)
{
	return 0;
}

u64 qvault_random(void)
{
	return 0;
}
