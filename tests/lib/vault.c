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

static void derive_generation(struct vault_generation *gen,
			      const u8 secret[QVAULT_SECRET_SIZE],
			      enum qvault_mac mac)
{
	static const u8 no_salt[32];
	u8 prk[32];

	hmac(no_salt, sizeof(no_salt), secret, QVAULT_SECRET_SIZE, prk);
	hkdf(prk, QVAULT_LABEL_DATA, gen->data, sizeof(gen->data));
	hkdf(prk, QVAULT_LABEL_META, gen->meta, sizeof(gen->meta));
	hkdf(prk, QVAULT_LABEL_MAC, gen->mac, sizeof(gen->mac));
	hkdf(prk, QVAULT_LABEL_NH, gen->nh, sizeof(gen->nh));
	hkdf(prk, QVAULT_LABEL_NH_AES, gen->nh_aes, sizeof(gen->nh_aes));
	gen->mac_type = mac;
}

void vault_derive(const struct vault_params *p, struct vault_keys *keys)
{
	u8 prk[32];

	memset(keys, 0, sizeof(*keys));
	hmac(p->uuid, sizeof(p->uuid), p->master, sizeof(p->master), prk);
	hkdf(prk, QVAULT_LABEL_ANCHOR, keys->anchor, sizeof(keys->anchor));
	hkdf(prk, QVAULT_LABEL_WRAP, keys->wrap, sizeof(keys->wrap));
	hkdf(prk, QVAULT_LABEL_CHECK, keys->check, sizeof(keys->check));
	derive_generation(&keys->gen[0], p->secret, p->mac_type);
}

/* ---- AES Key Wrap, from RFC 3394 and the bare cipher -------------------- */

#define WORDS	(QVAULT_SECRET_SIZE / 8)

static void aes_block(const u8 key[32], int encrypt, const u8 in[16], u8 out[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_ecb(), NULL, key, NULL,
				      encrypt) != 1 ||
	    EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
	    EVP_CipherUpdate(ctx, out, &n, in, 16) != 1 || n != 16)
		die("AES failed");
	EVP_CIPHER_CTX_free(ctx);
}

/* A, the first half of what goes through the cipher, in or out of step @t. */
static void count_in(u8 a[8], u32 t)
{
	a[7] ^= t;	/* 6 * 4 steps fit into a byte */
}

static void wrap(const u8 key[32], const u8 secret[QVAULT_SECRET_SIZE],
		 u8 wrapped[QVAULT_WRAPPED_SIZE])
{
	u8 block[16];
	u32 j, i;

	memset(wrapped, 0xa6, 8);
	memcpy(wrapped + 8, secret, QVAULT_SECRET_SIZE);
	for (j = 0; j < 6; j++) {
		for (i = 1; i <= WORDS; i++) {
			memcpy(block, wrapped, 8);
			memcpy(block + 8, wrapped + 8 * i, 8);
			aes_block(key, 1, block, block);
			count_in(block, WORDS * j + i);
			memcpy(wrapped, block, 8);
			memcpy(wrapped + 8 * i, block + 8, 8);
		}
	}
}

static bool unwrap(const u8 key[32], const u8 wrapped[QVAULT_WRAPPED_SIZE],
		   u8 secret[QVAULT_SECRET_SIZE])
{
	static const u8 good[8] = { 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6 };
	u8 work[QVAULT_WRAPPED_SIZE], block[16];
	u32 j, i;

	memcpy(work, wrapped, sizeof(work));
	for (j = 6; j--;) {
		for (i = WORDS; i; i--) {
			memcpy(block, work, 8);
			memcpy(block + 8, work + 8 * i, 8);
			count_in(block, WORDS * j + i);
			aes_block(key, 0, block, block);
			memcpy(work, block, 8);
			memcpy(work + 8 * i, block + 8, 8);
		}
	}
	memcpy(secret, work + 8, QVAULT_SECRET_SIZE);
	return !memcmp(work, good, sizeof(good));
}

bool vault_generations(struct vault_keys *keys, const struct qvault_disk_anchor *a)
{
	static const struct qvault_disk_generation none;
	u8 secret[QVAULT_SECRET_SIZE];
	u32 i;

	memset(keys->gen, 0, sizeof(keys->gen));
	keys->seal = a->seal;
	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!memcmp(&a->gen[i], &none, sizeof(none)))
			continue;
		if (!unwrap(keys->wrap, a->gen[i].wrapped, secret))
			return false;
		derive_generation(&keys->gen[i], secret, a->gen[i].mac);
	}
	return true;
}

void vault_clone(const struct vault_params *parent, const struct vault_params *clone,
		 struct qvault_disk_anchor *record)
{
	static const struct qvault_disk_generation none;
	u8 secret[QVAULT_SECRET_SIZE];
	struct vault_keys from, to;
	u32 i, fresh = QVAULT_GENERATIONS;

	vault_derive(parent, &from);
	vault_derive(clone, &to);
	for (i = QVAULT_GENERATIONS; i--;) {
		if (!memcmp(&record->gen[i], &none, sizeof(none))) {
			fresh = i;
			continue;
		}
		if (!unwrap(from.wrap, record->gen[i].wrapped, secret))
			die("a generation of the parent does not unwrap");
		wrap(to.wrap, secret, record->gen[i].wrapped);
	}
	if (fresh == QVAULT_GENERATIONS)
		die("no room for the generation of a clone");
	record->gen[fresh] = record->gen[record->seal];
	wrap(to.wrap, clone->secret, record->gen[fresh].wrapped);
	record->seal = fresh;
	memcpy(record->uuid, clone->uuid, sizeof(record->uuid));
	vault_sign_anchor(&to, record);
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
	for (i = 0; i < sizeof(p->secret); i++)
		p->secret[i] = 5 * i + 2;
	p->data_blocks = data_blocks;
	p->log_blocks = log_blocks;
	p->mac_type = chosen_mac();
	if (qvault_geometry_init(geo, data_blocks, 0, log_blocks))
		die("no geometry for %llu blocks",
		    (unsigned long long)data_blocks);
	p->logical_blocks = geo->logical_blocks;
}

/* The user keyring: other programs of the guest, such as dmsetup, see it too. */
void vault_add_key_named(const struct vault_params *p, const char *name)
{
	if (syscall(SYS_add_key, "logon", strchr(name + 4, ':') + 1,
		    p->master, sizeof(p->master), -4) < 0)
		die("add_key: %s", strerror(errno));
}

void vault_add_key(const struct vault_params *p)
{
	vault_add_key_named(p, vault_key_name);
}

void vault_sign_anchor(const struct vault_keys *keys,
		       struct qvault_disk_anchor *a)
{
	memcpy(a->check, keys->check, sizeof(a->check));
	hmac(keys->anchor, sizeof(keys->anchor), a,
	     offsetof(struct qvault_disk_anchor, mac), a->mac);
}

bool vault_anchor_valid(const struct vault_keys *keys,
			const struct qvault_disk_anchor *a)
{
	u8 mac[32];

	if (memcmp(a->magic, QVAULT_ANCHOR_MAGIC, sizeof(a->magic)) ||
	    memcmp(a->check, keys->check, sizeof(a->check)))
		return false;
	hmac(keys->anchor, sizeof(keys->anchor), a,
	     offsetof(struct qvault_disk_anchor, mac), mac);
	return !memcmp(mac, a->mac, sizeof(mac));
}

void vault_format(const struct vault_params *p, void *anchor)
{
	struct qvault_disk_anchor *a = vault_slot(anchor, 1);
	struct vault_keys keys;

	memset(anchor, 0, QVAULT_ANCHOR_BLOCKS * BLOCK);
	memcpy(a->magic, QVAULT_ANCHOR_MAGIC, sizeof(a->magic));
	a->format = QVAULT_FORMAT_VERSION;
	memcpy(a->uuid, p->uuid, sizeof(a->uuid));
	a->sector_size = BLOCK;
	a->gen[0].cipher = QVAULT_CIPHER_AES_256_XTS;
	a->gen[0].mac = p->mac_type;
	a->data_blocks = p->data_blocks;
	a->logical_blocks = p->logical_blocks;
	a->log_blocks = p->log_blocks;
	a->sequence = 1;
	a->lease = 1;
	a->log_tail = 1;
	vault_derive(p, &keys);
	wrap(keys.wrap, p->secret, a->gen[0].wrapped);
	vault_sign_anchor(&keys, a);
}

int vault_held(struct dm_dev *vault, struct qvault_disk_anchor *record)
{
	char digits[2 * sizeof(*record) + 1];
	unsigned int byte;
	size_t i;
	int err = dm_ask(vault, digits, sizeof(digits), "held");

	for (i = 0; !err && i < sizeof(*record); i++) {
		if (sscanf(digits + 2 * i, "%2x", &byte) != 1)
			die("the answer to held is no record");
		((u8 *)record)[i] = byte;
	}
	return err;
}

struct qvault_disk_anchor *vault_slot(const void *anchor, u32 slot)
{
	return (void *)((const u8 *)anchor + QVAULT_SLOT_BLOCK(slot) * BLOCK);
}

const struct qvault_disk_anchor *vault_newest(const struct vault_keys *keys,
					      const void *anchor)
{
	const struct qvault_disk_anchor *a, *newest = NULL;
	u32 i;

	for (i = 0; i < QVAULT_ANCHOR_SLOTS; i++) {
		a = vault_slot(anchor, i);
		if (!vault_anchor_valid(keys, a))
			continue;
		if (!newest || le(a->sequence) > le(newest->sequence))
			newest = a;
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

static void block_tag(const struct vault_generation *keys, enum qvault_kind kind,
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
	const struct vault_generation *gen = &keys->gen[keys->seal];

	xts(kind == QVAULT_KIND_DATA ? gen->data : gen->meta, version, id, 1,
	    plain, cipher);
	block_tag(gen, kind, id, version, cipher, tag);
}

bool vault_open(const struct vault_keys *keys, enum qvault_kind kind, u64 id,
		const struct qvault_disk_ptr *ptr, const void *cipher,
		void *plain)
{
	const u32 number = le(ptr->where) >> QVAULT_WHERE_GEN_SHIFT & 0xf;
	const struct vault_generation *gen;
	u8 tag[QVAULT_TAG_SIZE];

	if (number >= QVAULT_GENERATIONS || !keys->gen[number].mac_type)
		return false;
	gen = &keys->gen[number];
	block_tag(gen, kind, id, le(ptr->version), cipher, tag);
	if (memcmp(tag, ptr->tag, sizeof(tag)))
		return false;
	xts(kind == QVAULT_KIND_DATA ? gen->data : gen->meta,
	    le(ptr->version), id, 0, cipher, plain);
	return true;
}

/* ---- The walk ----------------------------------------------------------- */

struct walker {
	struct vault_walk *walk;
	struct vault_keys keys;		/* with the generations of the record */
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
		  u64 block, u32 copy, const struct qvault_disk_ptr *ptr, void *plain)
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
	walk->item[walk->nr++] = (struct vault_item){ kind, level, id, block, copy,
						      *ptr };
	if (block < w->geo->data_blocks &&
	    vault_open(&w->keys, kind, sealed_id, ptr, w->data + block * BLOCK,
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
	u32 i, copy;

	if (!le(ptr->version))
		return;
	for (copy = 0; copy <= qvault_node_twice(kind, level); copy++)
		if (!visit(w, kind, level, index,
			   qvault_node_block(w->geo, kind, level, index,
					     place(ptr) & 1, copy), copy, ptr, &node))
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
			   qvault_log_block(w->geo, head - i), 0, &ptr, this))
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
	struct walker w = { walk, *keys, geo, data, current };
	const struct qvault_disk_anchor *a = vault_newest(keys, anchor);
	u8 plain[BLOCK];
	u64 i;

	memset(walk, 0, sizeof(*walk));
	memset(current, 0, geo->logical_blocks * sizeof(*current));
	if (!a)
		die("no valid anchor record");
	if (!vault_generations(&w.keys, a))
		die("a generation does not unwrap");
	walk_node(&w, QVAULT_KIND_NODE, a->tree_level, 0, &a->tree);
	walk_node(&w, QVAULT_KIND_MAP, a->map_level, 0, &a->map);
	walk_log(&w, a);
	apply_entries(&w, a->inline_entries, a->inline_bytes);
	for (i = 0; i < geo->logical_blocks; i++)
		if (le(current[i].version))
			visit(&w, QVAULT_KIND_DATA, 0, i, place(&current[i]), 0,
			      &current[i], plain);
}

void vault_walk_free(struct vault_walk *walk)
{
	free(walk->item);
	memset(walk, 0, sizeof(*walk));
}
