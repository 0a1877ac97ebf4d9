// SPDX-License-Identifier: GPL-2.0
/*
 * The format read a second time, by other hands and with another library: keys,
 * sealing, the anchor record, and a walk over everything that it reaches.  The
 * module and this must agree, so neither can drift from format.h unseen.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nhpoly.h"
#include "qvtest.h"

const char vault_key_name[] = ":64:logon:qvault:test";

static void hmac(const void *key, size_t key_bytes, const void *data,
		 size_t bytes, u8 out[32])
{
	if (!HMAC(EVP_sha256(), key, key_bytes, data, bytes, out, NULL))
		die("HMAC failed");
}

/* RFC 5869. */
static void hkdf(const u8 prk[32], const char *label, u8 *out, size_t bytes)
{
	u8 block[32 + 64 + 1], t[32];
	size_t used = 0, n;
	u8 counter = 1;

	for (; bytes; counter++) {
		size_t at = used;

		memcpy(block, t, used);
		memcpy(block + at, label, strlen(label));
		at += strlen(label);
		block[at++] = counter;
		hmac(prk, 32, block, at, t);
		used = sizeof(t);
		n = bytes < sizeof(t) ? bytes : sizeof(t);
		memcpy(out, t, n);
		out += n;
		bytes -= n;
	}
}

void vault_derive(const struct vault_params *p, struct vault_keys *keys)
{
	u8 prk[32];

	hmac(p->uuid, sizeof(p->uuid), p->master, sizeof(p->master), prk);
	hkdf(prk, QVAULT_LABEL_DATA, keys->data, sizeof(keys->data));
	hkdf(prk, QVAULT_LABEL_META, keys->meta, sizeof(keys->meta));
	hkdf(prk, QVAULT_LABEL_MAC, keys->mac, sizeof(keys->mac));
	hkdf(prk, QVAULT_LABEL_ANCHOR, keys->anchor, sizeof(keys->anchor));
	hkdf(prk, QVAULT_LABEL_NH, keys->nh, sizeof(keys->nh));
	hkdf(prk, QVAULT_LABEL_NH_AES, keys->nh_aes, sizeof(keys->nh_aes));
	keys->mac_type = p->mac_type;
}

static enum qvault_mac chosen_mac(void)
{
	static const char *const names[] = QVAULT_MAC_NAMES;
	const char *name = getenv("QVAULT_MAC");
	size_t i;

	if (!name)
		return QVAULT_MAC_HMAC_SHA256_128;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i] && !strcmp(name, names[i]))
			return i;
	die("there is no MAC %s", name);
}

void vault_default_params(struct vault_params *p, u64 data_blocks,
			  u32 log_blocks, struct qvault_geometry *geo)
{
	u32 i;

	for (i = 0; i < sizeof(p->uuid); i++)
		p->uuid[i] = 0xa0 + i;
	for (i = 0; i < sizeof(p->master); i++)
		p->master[i] = 3 * i + 1;
	p->data_blocks = data_blocks;
	p->log_blocks = log_blocks;
	p->mac_type = chosen_mac();
	if (qvault_geometry_init(geo, data_blocks, 0, log_blocks))
		die("no geometry for %llu blocks",
		    (unsigned long long)data_blocks);
	p->logical_blocks = geo->logical_blocks;
}

/* The user keyring: other programs of the guest, such as dmsetup, see it too. */
void vault_add_key(const struct vault_params *p)
{
	if (syscall(SYS_add_key, "logon", strchr(vault_key_name + 4, ':') + 1,
		    p->master, sizeof(p->master), -4) < 0)
		die("add_key: %s", strerror(errno));
}

void vault_sign_anchor(const struct vault_keys *keys,
		       struct qvault_disk_anchor *a)
{
	hmac(keys->anchor, sizeof(keys->anchor), a,
	     offsetof(struct qvault_disk_anchor, mac), a->mac);
}

bool vault_anchor_valid(const struct vault_keys *keys,
			const struct qvault_disk_anchor *a)
{
	u8 mac[32];

	if (memcmp(a->magic, QVAULT_ANCHOR_MAGIC, sizeof(a->magic)))
		return false;
	hmac(keys->anchor, sizeof(keys->anchor), a,
	     offsetof(struct qvault_disk_anchor, mac), mac);
	return !memcmp(mac, a->mac, sizeof(mac));
}

void vault_format(const struct vault_params *p, void *anchor)
{
	struct qvault_disk_anchor *a = (void *)((u8 *)anchor + BLOCK);
	struct vault_keys keys;

	memset(anchor, 0, 2 * BLOCK);
	memcpy(a->magic, QVAULT_ANCHOR_MAGIC, sizeof(a->magic));
	a->format = QVAULT_FORMAT_VERSION;
	memcpy(a->uuid, p->uuid, sizeof(a->uuid));
	a->cipher = QVAULT_CIPHER_AES_256_XTS;
	a->mac_type = p->mac_type;
	a->data_blocks = p->data_blocks;
	a->logical_blocks = p->logical_blocks;
	a->log_blocks = p->log_blocks;
	a->sequence = 1;
	a->lease = 1;
	a->log_tail = 1;
	vault_derive(p, &keys);
	vault_sign_anchor(&keys, a);
}

const struct qvault_disk_anchor *vault_newest(const struct vault_keys *keys,
					      const void *anchor)
{
	const struct qvault_disk_anchor *a = anchor, *newest = NULL;
	int i;

	for (i = 0; i < QVAULT_ANCHOR_SLOTS; i++) {
		if (!vault_anchor_valid(keys, a + i))
			continue;
		if (!newest || le(a[i].sequence) > le(newest->sequence))
			newest = a + i;
	}
	return newest;
}

static void xts(const u8 key[64], u64 version, u64 id, int encrypt,
		const void *in, void *out)
{
	static EVP_CIPHER_CTX *ctx;
	u64 tweak[2] = { version, id };
	int n;

	if (!ctx)
		ctx = EVP_CIPHER_CTX_new();
	if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL, key,
				      (void *)tweak, encrypt) != 1 ||
	    EVP_CipherUpdate(ctx, out, &n, in, BLOCK) != 1 || n != BLOCK)
		die("XTS failed");
}

static void block_tag(const struct vault_keys *keys, enum qvault_kind kind,
		      u64 id, u64 version, const void *cipher, u8 tag[16])
{
	u8 message[BLOCK + 32], mac[32];
	struct qvault_disk_seal head = { kind, id, version, 0 };

	if (keys->mac_type == QVAULT_MAC_NHPOLY_AES) {
		if (!nhpoly_aes(keys->nh, keys->nh_aes, cipher, BLOCK, &head,
				sizeof(head), tag))
			die("AES failed");
		return;
	}
	memcpy(message, cipher, BLOCK);
	memcpy(message + BLOCK, &head, sizeof(head));
	hmac(keys->mac, sizeof(keys->mac), message, sizeof(message), mac);
	memcpy(tag, mac, QVAULT_TAG_SIZE);
}

void vault_seal(const struct vault_keys *keys, enum qvault_kind kind, u64 id,
		u64 version, const void *plain, void *cipher,
		u8 tag[QVAULT_TAG_SIZE])
{
	xts(kind == QVAULT_KIND_DATA ? keys->data : keys->meta, version, id, 1,
	    plain, cipher);
	block_tag(keys, kind, id, version, cipher, tag);
}

bool vault_open(const struct vault_keys *keys, enum qvault_kind kind, u64 id,
		const struct qvault_disk_ptr *ptr, const void *cipher,
		void *plain)
{
	u8 tag[QVAULT_TAG_SIZE];

	block_tag(keys, kind, id, le(ptr->version), cipher, tag);
	if (memcmp(tag, ptr->tag, sizeof(tag)))
		return false;
	xts(kind == QVAULT_KIND_DATA ? keys->data : keys->meta,
	    le(ptr->version), id, 0, cipher, plain);
	return true;
}

/* ---- The walk ----------------------------------------------------------- */

struct walker {
	struct vault_walk *walk;
	const struct vault_keys *keys;
	const struct qvault_geometry *geo;
	const u8 *data;
	struct qvault_disk_ptr *current;
};

static u64 place(const struct qvault_disk_ptr *ptr)
{
	return le(ptr->where) & QVAULT_WHERE_MASK;
}

/* List a structure; its plaintext goes to @plain. False if it is forged. */
static bool visit(struct walker *w, enum qvault_kind kind, u32 level, u64 id,
		  u64 block, const struct qvault_disk_ptr *ptr, void *plain)
{
	struct vault_walk *walk = w->walk;
	u64 sealed_id = id;

	if (kind == QVAULT_KIND_NODE || kind == QVAULT_KIND_MAP)
		sealed_id = (u64)level << QVAULT_NODE_LEVEL_SHIFT | id;
	if (walk->nr == walk->room) {
		walk->room = walk->room ? 2 * walk->room : 1024;
		walk->item = realloc(walk->item,
				     walk->room * sizeof(*walk->item));
		if (!walk->item)
			die("out of memory");
	}
	walk->item[walk->nr++] = (struct vault_item){ kind, level, id, block,
						      *ptr };
	if (block < w->geo->data_blocks &&
	    vault_open(w->keys, kind, sealed_id, ptr, w->data + block * BLOCK,
		       plain))
		return true;
	if (!walk->bad++)
		snprintf(walk->first_bad, sizeof(walk->first_bad),
			 "kind %d level %u id %llu at block %llu", kind, level,
			 (unsigned long long)id, (unsigned long long)block);
	return false;
}

static void walk_node(struct walker *w, enum qvault_kind kind, u32 level,
		      u64 index, const struct qvault_disk_ptr *ptr)
{
	struct qvault_disk_node node;
	u32 i;

	if (!le(ptr->version))
		return;
	if (!visit(w, kind, level, index,
		   qvault_node_block(w->geo, kind, level, index,
				     place(ptr) & 1), ptr, &node))
		return;
	if (kind == QVAULT_KIND_MAP && !level)
		return;
	for (i = 0; i < QVAULT_FANOUT; i++) {
		u64 below = index * QVAULT_FANOUT + i;

		if (level)
			walk_node(w, kind, level - 1, below, &node.ptr[i]);
		else if (below < w->geo->logical_blocks)
			w->current[below] = node.ptr[i];
	}
}

static void apply_entries(struct walker *w, const u8 *pos, u32 bytes)
{
	const u8 *end = pos + bytes;
	struct qvault_disk_entry e;

	while (pos < end) {
		u64 logical, count, i;

		memcpy(&e, pos, sizeof(e));
		pos += sizeof(e);
		logical = le(e.run) & QVAULT_WHERE_MASK;
		count = (le(e.run) >> QVAULT_RUN_COUNT_SHIFT &
			 QVAULT_RUN_COUNT_MASK) + 1;
		if (le(e.run) & QVAULT_RUN_UNMAP)
			count = le(e.where);
		for (i = 0; i < count; i++) {
			struct qvault_disk_ptr *ptr = &w->current[logical + i];

			if (logical + i >= w->geo->logical_blocks)
				die("an entry maps block %llu, past the end",
				    (unsigned long long)(logical + i));
			memset(ptr, 0, sizeof(*ptr));
			if (le(e.run) & QVAULT_RUN_UNMAP)
				continue;
			ptr->version = le(e.version) + i;
			ptr->where = le(e.where) + i;
			memcpy(ptr->tag, pos, QVAULT_TAG_SIZE);
			pos += QVAULT_TAG_SIZE;
		}
	}
}

static void walk_log(struct walker *w, const struct qvault_disk_anchor *a)
{
	struct qvault_disk_ptr ptr = a->log;
	u64 head = le(a->log_head), tail = le(a->log_tail), n, i;
	struct qvault_disk_log *log;

	if (head < tail)
		return;
	n = head - tail + 1;
	log = calloc(n, sizeof(*log));
	if (!log)
		die("out of memory");
	for (i = 0; i < n; i++) {
		struct qvault_disk_log *this = &log[n - 1 - i];

		if (!visit(w, QVAULT_KIND_LOG, 0, head - i,
			   qvault_log_block(w->geo, head - i), &ptr, this))
			break;
		ptr = this->head.prev;
	}
	for (i = 0; i < n; i++)
		apply_entries(w, log[i].payload, log[i].head.bytes);
	free(log);
}

void vault_walk(struct vault_walk *walk, const struct vault_keys *keys,
		const struct qvault_geometry *geo, const void *anchor,
		const void *data, struct qvault_disk_ptr *current)
{
	struct walker w = { walk, keys, geo, data, current };
	const struct qvault_disk_anchor *a = vault_newest(keys, anchor);
	u8 plain[BLOCK];
	u64 i;

	memset(walk, 0, sizeof(*walk));
	memset(current, 0, geo->logical_blocks * sizeof(*current));
	if (!a)
		die("no valid anchor record");
	walk_node(&w, QVAULT_KIND_NODE, geo->tree.top, 0, &a->tree);
	walk_node(&w, QVAULT_KIND_MAP, geo->map.top, 0, &a->map);
	walk_log(&w, a);
	apply_entries(&w, a->inline_entries, a->inline_bytes);
	for (i = 0; i < geo->logical_blocks; i++)
		if (le(current[i].version))
			visit(&w, QVAULT_KIND_DATA, 0, i, place(&current[i]),
			      &current[i], plain);
}

void vault_walk_free(struct vault_walk *walk)
{
	free(walk->item);
	memset(walk, 0, sizeof(*walk));
}
