// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers and keys: a master key opens records, a record's secrets open generations,
 * and a generation's keys seal blocks.
 *
 * The mask does not exclude CRYPTO_ALG_ASYNC: on 6.1 and 6.12 the fast xts(aes)
 * drivers call themselves asynchronous, since they hand over to a thread where
 * vector registers may not be used, and without them one that is several times
 * slower would silently be picked.  Hence requests on the heap and a wait, which
 * costs nothing when the driver answers at once, as it does in process context.
 */
#include <asm/archrandom.h>
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/hash.h>
#include <linux/percpu-rwsem.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/timekeeping.h>

#include "crypto.h"

#define SHA256_SIZE	32u
#define XTS_KEY_SIZE	64u

/* Requests kept for bad times: one lets everybody go on, one by one. */
#define MIN_REQUESTS	QVAULT_LEAST_OR(4)

/* What blocks of one generation are sealed with. */
struct keys {
	struct crypto_skcipher *xts[2];	/* data, metadata */
	enum qvault_mac mac;
	struct qvault_hmac *hmac;	/* one of the two */
	struct qvault_nhpoly *nhpoly;
	mempool_t requests;		/* for either of xts[] */
};

/* What a master key opens: records, and the secrets in them. */
struct qvault_opener {
	struct crypto_shash *anchor_mac;
	struct qvault_wrap *wrap;
	u8 check[QVAULT_CHECK_SIZE];	/* by which the master key is known again */
};

struct qvault_crypto {
	struct qvault_opener *own;	/* serves */
	bool settled;			/* the master key has served */
	u8 uuid[QVAULT_UUID_SIZE];	/* for which it was unlocked */
	u8 master[QVAULT_MASTER_KEY_SIZE];

	/* Held by who uses keys, against who takes some away. */
	struct percpu_rw_semaphore lock;
	struct keys *gen[QVAULT_GENERATIONS + 1];	/* NULL: there is none */
	bool wiped;			/* nobody gets any: see qvault_crypto_wipe() */

	/*
	 * To derive keys without allocating any memory.  Locking: derive_mutex, which
	 * also keeps what @own points to there for qvault_crypto_same_key().
	 */
	struct mutex derive_mutex;
	struct crypto_shash *prk;
	u8 nh_key[QVAULT_NH_KEY_SIZE];	/* too long for a stack */

	/*
	 * Never used: they keep loaded what attaching needs, when nothing may come
	 * from a disk any more.  NULL: this kernel has no such MAC.
	 */
	struct keys *loaded_hmac;
	struct keys *loaded_nhpoly;
	struct keys *prepared;		/* or NULL.  Locking: derive_mutex */
};

static void keys_free(struct keys *keys)
{
	if (!keys)
		return;
	mempool_exit(&keys->requests);
	qvault_nhpoly_free(keys->nhpoly);
	qvault_hmac_free(keys->hmac);
	crypto_free_skcipher(keys->xts[1]);
	crypto_free_skcipher(keys->xts[0]);
	kfree(keys);
}

static int alloc_mac(struct keys *keys)
{
	struct qvault_nhpoly *nhpoly;
	struct qvault_hmac *hmac;

	if (keys->mac == QVAULT_MAC_NHPOLY_AES) {
		nhpoly = qvault_nhpoly_new();
		keys->nhpoly = IS_ERR(nhpoly) ? NULL : nhpoly;
		return PTR_ERR_OR_ZERO(nhpoly);
	}
	hmac = qvault_hmac_new(sha256_finup_2x_is_optimized());
	keys->hmac = IS_ERR(hmac) ? NULL : hmac;
	return PTR_ERR_OR_ZERO(hmac);
}

static int alloc_xts(struct keys *keys)
{
	struct crypto_skcipher *xts;
	unsigned int i, size = 0;

	for (i = 0; i < ARRAY_SIZE(keys->xts); i++) {
		xts = crypto_alloc_skcipher("xts(aes)", 0, QVAULT_CRYPTO_UNWANTED);
		if (IS_ERR(xts))
			return PTR_ERR(xts);
		keys->xts[i] = xts;
		size = max(size, crypto_skcipher_reqsize(xts));
	}
	return qvault_pool_init(&keys->requests, MIN_REQUESTS,
				sizeof(struct skcipher_request) + size);
}

/* Ciphers without keys yet, or an ERR_PTR(). */
static struct keys *keys_new(enum qvault_mac mac)
{
	struct keys *keys;
	int err;

	if (mac != QVAULT_MAC_HMAC_SHA256_128 && mac != QVAULT_MAC_NHPOLY_AES)
		return ERR_PTR(-EPROTONOSUPPORT);
	keys = kzalloc(sizeof(*keys), GFP_KERNEL);
	if (!keys)
		return ERR_PTR(-ENOMEM);
	keys->mac = mac;
	err = alloc_xts(keys);
	if (!err)
		err = alloc_mac(keys);
	if (!err)
		return keys;
	keys_free(keys);
	return ERR_PTR(err);
}

static struct crypto_shash *hmac_new(void)
{
	return crypto_alloc_shash("hmac(sha256)", 0, QVAULT_CRYPTO_UNWANTED);
}

/**
 * qvault_opener_free() - forget what a master key opens
 * @opener: complete, half-built or NULL
 *
 * Context: May sleep.
 */
void qvault_opener_free(struct qvault_opener *opener)
{
	if (!opener)
		return;
	qvault_wrap_free(opener->wrap);
	crypto_free_shash(opener->anchor_mac);
	kfree(opener);
}

/* Without keys yet, or an ERR_PTR(). */
static struct qvault_opener *opener_new(void)
{
	struct qvault_opener *opener = kzalloc(sizeof(*opener), GFP_KERNEL);
	struct qvault_wrap *wrap;
	struct crypto_shash *mac;
	int err;

	if (!opener)
		return ERR_PTR(-ENOMEM);
	mac = hmac_new();
	err = PTR_ERR_OR_ZERO(mac);
	if (!err) {
		opener->anchor_mac = mac;
		wrap = qvault_wrap_new();
		err = PTR_ERR_OR_ZERO(wrap);
	}
	if (err) {
		qvault_opener_free(opener);
		return ERR_PTR(err);
	}
	opener->wrap = wrap;
	return opener;
}

static int load_drivers(struct qvault_crypto *crypto)
{
	struct qvault_opener *opener;
	struct crypto_shash *prk;
	struct keys *keys;

	prk = hmac_new();
	if (IS_ERR(prk))
		return PTR_ERR(prk);
	crypto->prk = prk;
	opener = opener_new();
	if (IS_ERR(opener))
		return PTR_ERR(opener);
	crypto->own = opener;
	keys = keys_new(QVAULT_MAC_HMAC_SHA256_128);
	if (IS_ERR(keys))
		return PTR_ERR(keys);
	crypto->loaded_hmac = keys;
	keys = keys_new(QVAULT_MAC_NHPOLY_AES);
	if (PTR_ERR_OR_ZERO(keys) == -ENOMEM)
		return -ENOMEM;
	crypto->loaded_nhpoly = IS_ERR(keys) ? NULL : keys;
	return 0;
}

/**
 * qvault_crypto_new() - ciphers without keys, and a master key to unlock them with
 * @master: is copied; the caller wipes it
 *
 * Context: May sleep.
 * Return: What qvault_crypto_free() takes, or an ERR_PTR().
 */
struct qvault_crypto *qvault_crypto_new(const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct qvault_crypto *crypto;
	int err;

	crypto = kzalloc(sizeof(*crypto), GFP_KERNEL);
	if (!crypto)
		return ERR_PTR(-ENOMEM);
	mutex_init(&crypto->derive_mutex);
	err = percpu_init_rwsem(&crypto->lock);
	if (err) {
		kfree(crypto);
		return ERR_PTR(err);
	}
	err = load_drivers(crypto);
	if (err) {
		qvault_crypto_free(crypto);
		return ERR_PTR(err);
	}
	memcpy(crypto->master, master, QVAULT_MASTER_KEY_SIZE);
	return crypto;
}

/**
 * qvault_crypto_free() - forget ciphers and keys
 * @crypto: complete, half-built or NULL
 *
 * The crypto API wipes the keys of what it frees.
 *
 * Context: May sleep.
 */
void qvault_crypto_free(struct qvault_crypto *crypto)
{
	u32 i;

	if (!crypto)
		return;
	for (i = 0; i < ARRAY_SIZE(crypto->gen); i++)
		keys_free(crypto->gen[i]);
	keys_free(crypto->prepared);
	keys_free(crypto->loaded_nhpoly);
	keys_free(crypto->loaded_hmac);
	qvault_opener_free(crypto->own);
	crypto_free_shash(crypto->prk);
	percpu_free_rwsem(&crypto->lock);
	kfree_sensitive(crypto);
}

/* ---- HKDF --------------------------------------------------------------- */

/* T(i) of RFC 5869, section 2.3, under the pseudorandom key of @prk. */
static int hkdf_block(struct crypto_shash *prk, const u8 *prev, const char *label,
		      u8 i, u8 out[SHA256_SIZE])
{
	SHASH_DESC_ON_STACK(desc, prk);
	int err;

	desc->tfm = prk;
	err = crypto_shash_init(desc);
	if (!err && prev)
		err = crypto_shash_update(desc, prev, SHA256_SIZE);
	if (!err)
		err = crypto_shash_update(desc, label, strlen(label));
	if (!err)
		err = crypto_shash_finup(desc, &i, 1, out);
	shash_desc_zero(desc);
	return err;
}

/* @size is a whole number of blocks of output, and fewer than 256 of them. */
static int hkdf_expand(struct crypto_shash *prk, const char *label,
		       u8 *key, u32 size)
{
	const u8 *prev = NULL;
	int err = 0;
	u32 i;

	for (i = 0; i < size / SHA256_SIZE && !err; i++) {
		err = hkdf_block(prk, prev, label, i + 1, key + i * SHA256_SIZE);
		prev = key + i * SHA256_SIZE;
	}
	return err;
}

/* Makes @prk the HMAC under the pseudorandom key that @secret gives. */
static int hkdf_extract(struct crypto_shash *prk, const u8 *salt, u32 salt_size,
			const u8 *secret, u32 size)
{
	u8 key[SHA256_SIZE];
	int err;

	err = crypto_shash_setkey(prk, salt, salt_size);
	if (!err)
		err = crypto_shash_tfm_digest(prk, secret, size, key);
	if (!err)
		err = crypto_shash_setkey(prk, key, sizeof(key));
	memzero_explicit(key, sizeof(key));
	return err;
}

/* What it was keyed with last, a secret or the master key, would give all keys away. */
static void hkdf_forget(struct crypto_shash *prk)
{
	static const u8 nothing[SHA256_SIZE];

	/* No key of this size fails. */
	(void)crypto_shash_setkey(prk, nothing, sizeof(nothing));
}

/* ---- Keys of records, from the master key -------------------------------- */

struct record_keys {
	u8 anchor[SHA256_SIZE];
	u8 wrap[SHA256_SIZE];
	u8 check[SHA256_SIZE];		/* of which QVAULT_CHECK_SIZE serve */
};

static int derive_record_keys(struct qvault_crypto *crypto, struct record_keys *keys,
			      const u8 *uuid, const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct crypto_shash *prk = crypto->prk;
	int err;

	mutex_lock(&crypto->derive_mutex);
	err = hkdf_extract(prk, uuid, QVAULT_UUID_SIZE, master,
			   QVAULT_MASTER_KEY_SIZE);
	if (!err)
		err = hkdf_expand(prk, QVAULT_LABEL_ANCHOR, keys->anchor, SHA256_SIZE);
	if (!err)
		err = hkdf_expand(prk, QVAULT_LABEL_WRAP, keys->wrap, SHA256_SIZE);
	if (!err)
		err = hkdf_expand(prk, QVAULT_LABEL_CHECK, keys->check, SHA256_SIZE);
	hkdf_forget(prk);
	mutex_unlock(&crypto->derive_mutex);
	return err;
}

static int set_record_keys(struct qvault_opener *opener, const struct record_keys *keys)
{
	memcpy(opener->check, keys->check, QVAULT_CHECK_SIZE);
	return crypto_shash_setkey(opener->anchor_mac, keys->anchor, SHA256_SIZE) ?:
	       qvault_wrap_setkey(opener->wrap, keys->wrap);
}

static int derive_opener(struct qvault_crypto *crypto, struct qvault_opener *opener,
			 const u8 *uuid, const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct record_keys keys;
	int err = derive_record_keys(crypto, &keys, uuid, master);

	if (!err)
		err = set_record_keys(opener, &keys);
	memzero_explicit(&keys, sizeof(keys));
	return err;
}

/**
 * qvault_crypto_unlock() - derive the keys of a volume's records
 * @crypto: from qvault_crypto_new()
 * @uuid: of the volume, QVAULT_UUID_SIZE bytes
 * @check: receives the key check value of the record, QVAULT_CHECK_SIZE bytes
 *
 * Until qvault_crypto_settle() any UUID may be tried.  Who comes here again, after an
 * attach that failed later, finds his keys in place; if the anchor names another vault
 * meanwhile, it is refused, and the table must be loaded anew.
 *
 * Context: May sleep.  Nothing else uses @crypto meanwhile.
 * Return: 0 or a negative errno; -EKEYREJECTED if the keys are another's.
 */
int qvault_crypto_unlock(struct qvault_crypto *crypto, const u8 *uuid,
			 u8 check[QVAULT_CHECK_SIZE])
{
	int err;

	if (!crypto->settled) {
		err = derive_opener(crypto, crypto->own, uuid, crypto->master);
		if (err)
			return err;
		memcpy(crypto->uuid, uuid, QVAULT_UUID_SIZE);
	}
	if (memcmp(crypto->uuid, uuid, QVAULT_UUID_SIZE))
		return -EKEYREJECTED;
	memcpy(check, crypto->own->check, QVAULT_CHECK_SIZE);
	return 0;
}

/**
 * qvault_crypto_settle() - the keys at hand are the right ones, or there are none
 * @crypto: from qvault_crypto_new()
 *
 * The master key is wiped, for it has served.
 *
 * Context: Any.  Nothing else uses @crypto meanwhile.
 */
void qvault_crypto_settle(struct qvault_crypto *crypto)
{
	crypto->settled = true;
	memzero_explicit(crypto->master, sizeof(crypto->master));
}

/**
 * qvault_crypto_same_key() - is this the master key that the keys come from?
 * @crypto: unlocked
 * @master: the other one
 *
 * Context: May sleep.
 * Return: 0; -EKEYREJECTED if it is another one; or another negative errno.
 */
int qvault_crypto_same_key(struct qvault_crypto *crypto,
			   const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct record_keys keys;
	int err;

	err = derive_record_keys(crypto, &keys, crypto->uuid, master);
	/* A table is loaded at any time: see qvault_crypto_turn(). */
	mutex_lock(&crypto->derive_mutex);
	if (!err && crypto_memneq(keys.check, crypto->own->check, QVAULT_CHECK_SIZE))
		err = -EKEYREJECTED;
	mutex_unlock(&crypto->derive_mutex);
	memzero_explicit(&keys, sizeof(keys));
	return err;
}

/* ---- Another master key -------------------------------------------------- */

/**
 * qvault_opener_new() - what another master key opens of the same volume
 * @crypto: unlocked
 * @master: the other one
 *
 * Context: May sleep.
 * Return: for qvault_crypto_rewrap(), or qvault_opener_free(); or an ERR_PTR().
 */
struct qvault_opener *qvault_opener_new(struct qvault_crypto *crypto,
					const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	struct qvault_opener *opener = opener_new();
	int err;

	if (IS_ERR(opener))
		return opener;
	err = derive_opener(crypto, opener, crypto->uuid, master);
	if (!err)
		return opener;
	qvault_opener_free(opener);
	return ERR_PTR(err);
}

static bool is_there(const struct qvault_disk_generation *disk)
{
	return memchr_inv(disk, 0, sizeof(*disk));
}

/**
 * qvault_crypto_rewrap() - wrap all secrets for another master key
 * @crypto: unlocked
 * @opener: of that key
 * @gen: the record's table of generations; changed
 * @check: receives the check value of that key
 *
 * Context: May sleep; nothing else opens or creates generations.
 * Return: 0 or a negative errno, after which @gen is of no use.
 */
int qvault_crypto_rewrap(struct qvault_crypto *crypto, struct qvault_opener *opener,
			 struct qvault_disk_generation gen[QVAULT_GENERATIONS],
			 u8 check[QVAULT_CHECK_SIZE])
{
	u8 secret[QVAULT_SECRET_SIZE];
	int err = 0;
	u32 i;

	for (i = 0; i < QVAULT_GENERATIONS && !err; i++) {
		if (!is_there(&gen[i]))
			continue;
		err = qvault_wrap_open(crypto->own->wrap, gen[i].wrapped, secret);
		if (!err)
			err = qvault_wrap_seal(opener->wrap, secret, gen[i].wrapped);
	}
	memzero_explicit(secret, sizeof(secret));
	memcpy(check, opener->check, QVAULT_CHECK_SIZE);
	return err;
}

/**
 * qvault_crypto_turn() - records are of another master key from now on
 * @crypto: unlocked
 * @opener: of that key
 *
 * Context: May sleep; nobody computes a MAC of a record meanwhile.
 * Return: of the key before, to turn back or to be freed.
 */
struct qvault_opener *qvault_crypto_turn(struct qvault_crypto *crypto,
					 struct qvault_opener *opener)
{
	struct qvault_opener *old;

	mutex_lock(&crypto->derive_mutex);
	old = crypto->own;
	crypto->own = opener;
	mutex_unlock(&crypto->derive_mutex);
	return old;
}

/* ---- Keys of blocks, from the secrets of generations --------------------- */

static int set_xts_key(struct crypto_skcipher *xts, struct crypto_shash *prk,
		       const char *label)
{
	u8 key[XTS_KEY_SIZE];
	int err;

	err = hkdf_expand(prk, label, key, sizeof(key));
	if (!err)
		err = crypto_skcipher_setkey(xts, key, sizeof(key));
	memzero_explicit(key, sizeof(key));
	return err;
}

static int set_hmac_key(struct qvault_hmac *hmac, struct crypto_shash *prk)
{
	u8 key[QVAULT_HMAC_KEY_SIZE];
	int err;

	err = hkdf_expand(prk, QVAULT_LABEL_MAC, key, sizeof(key));
	if (!err)
		err = qvault_hmac_setkey(hmac, key);
	memzero_explicit(key, sizeof(key));
	return err;
}

static int set_nhpoly_keys(struct qvault_crypto *crypto, struct qvault_nhpoly *nhpoly)
{
	u8 cipher_key[SHA256_SIZE];
	int err;

	static_assert(QVAULT_NH_KEY_SIZE % SHA256_SIZE == 0);
	err = hkdf_expand(crypto->prk, QVAULT_LABEL_NH, crypto->nh_key,
			  QVAULT_NH_KEY_SIZE);
	if (!err)
		err = hkdf_expand(crypto->prk, QVAULT_LABEL_NH_AES, cipher_key,
				  sizeof(cipher_key));
	if (!err)
		err = qvault_nhpoly_setkey(nhpoly, crypto->nh_key, cipher_key);
	memzero_explicit(crypto->nh_key, sizeof(crypto->nh_key));
	memzero_explicit(cipher_key, sizeof(cipher_key));
	return err;
}

/* Without allocating any memory. */
static int set_keys(struct qvault_crypto *crypto, struct keys *keys,
		    const u8 secret[QVAULT_SECRET_SIZE])
{
	/* RFC 5869, section 2.2: no salt is a block of zeros. */
	static const u8 no_salt[SHA256_SIZE];
	struct crypto_shash *prk = crypto->prk;
	int err;

	mutex_lock(&crypto->derive_mutex);
	err = hkdf_extract(prk, no_salt, sizeof(no_salt), secret, QVAULT_SECRET_SIZE);
	if (!err)
		err = set_xts_key(keys->xts[0], prk, QVAULT_LABEL_DATA);
	if (!err)
		err = set_xts_key(keys->xts[1], prk, QVAULT_LABEL_META);
	if (!err)
		err = keys->hmac ? set_hmac_key(keys->hmac, prk) :
				   set_nhpoly_keys(crypto, keys->nhpoly);
	hkdf_forget(prk);
	mutex_unlock(&crypto->derive_mutex);
	return err;
}

static struct keys *swap_prepared(struct qvault_crypto *crypto, struct keys *keys)
{
	struct keys *old;

	mutex_lock(&crypto->derive_mutex);
	old = crypto->prepared;
	crypto->prepared = keys;
	mutex_unlock(&crypto->derive_mutex);
	return old;
}

/**
 * qvault_crypto_prepare() - allocate what a generation takes
 * @crypto: the keys
 * @mac: how its blocks are authenticated
 *
 * Context: May sleep, and load modules.
 * Return: 0; -EPROTONOSUPPORT or -ENOENT as qvault_crypto_open(); or -ENOMEM.
 */
int qvault_crypto_prepare(struct qvault_crypto *crypto, enum qvault_mac mac)
{
	struct keys *keys = keys_new(mac);

	if (IS_ERR(keys))
		return PTR_ERR(keys);
	keys_free(swap_prepared(crypto, keys));
	return 0;
}

/* What was prepared, if it fits, or new ones. */
static struct keys *get_keys(struct qvault_crypto *crypto, enum qvault_mac mac)
{
	struct keys *keys = swap_prepared(crypto, NULL);

	if (keys && keys->mac == mac)
		return keys;
	keys_free(keys);
	return keys_new(mac);
}

/* Makes the keys of a generation; they take the place of those it had. */
static int make_generation(struct qvault_crypto *crypto, u32 gen, enum qvault_mac mac,
			   const u8 secret[QVAULT_SECRET_SIZE])
{
	struct keys *keys = get_keys(crypto, mac), *old;
	int err;

	if (IS_ERR(keys))
		return PTR_ERR(keys);
	err = set_keys(crypto, keys, secret);
	if (err) {
		keys_free(keys);
		return err;
	}
	percpu_down_write(&crypto->lock);
	old = crypto->gen[gen];
	crypto->gen[gen] = keys;
	percpu_up_write(&crypto->lock);
	keys_free(old);
	return 0;
}

/**
 * qvault_crypto_open() - bring the keys of a generation into memory
 * @crypto: unlocked
 * @gen: its number, below QVAULT_GENERATIONS
 * @disk: from a record that was verified
 *
 * Context: May sleep.
 * Return: 0; -EPROTONOSUPPORT if it asks for what is not known here; -ENOENT if it
 * is known, and this kernel lacks what it is made of; -EUCLEAN if the secret is not
 * one of ours; or another negative errno.
 */
int qvault_crypto_open(struct qvault_crypto *crypto, u32 gen,
		       const struct qvault_disk_generation *disk)
{
	u8 secret[QVAULT_SECRET_SIZE];
	int err;

	if (disk->cipher != QVAULT_CIPHER_AES_256_XTS ||
	    memchr_inv(disk->reserved, 0, sizeof(disk->reserved)))
		return -EPROTONOSUPPORT;
	err = qvault_wrap_open(crypto->own->wrap, disk->wrapped, secret);
	if (!err)
		err = make_generation(crypto, gen, disk->mac, secret);
	memzero_explicit(secret, sizeof(secret));
	return err;
}

/**
 * qvault_crypto_create() - a generation with a new secret
 * @crypto: unlocked, if @disk is not NULL
 * @gen: its number
 * @mac: how its blocks are authenticated
 * @disk: what a record is to say of it; NULL: it lives in memory only
 *
 * Context: May sleep.
 * Return: as qvault_crypto_open().
 */
int qvault_crypto_create(struct qvault_crypto *crypto, u32 gen, enum qvault_mac mac,
			 struct qvault_disk_generation *disk)
{
	u8 secret[QVAULT_SECRET_SIZE];
	int err = 0;

	get_random_bytes(secret, sizeof(secret));
	if (disk) {
		memset(disk, 0, sizeof(*disk));
		disk->cipher = QVAULT_CIPHER_AES_256_XTS;
		disk->mac = mac;
		err = qvault_wrap_seal(crypto->own->wrap, secret, disk->wrapped);
	}
	if (!err)
		err = make_generation(crypto, gen, mac, secret);
	memzero_explicit(secret, sizeof(secret));
	return err;
}

/**
 * qvault_crypto_forget() - wipe the keys of a generation
 * @crypto: the keys
 * @gen: its number; there may be none
 *
 * Context: May sleep; waits for who uses keys.
 */
void qvault_crypto_forget(struct qvault_crypto *crypto, u32 gen)
{
	struct keys *old;

	percpu_down_write(&crypto->lock);
	old = crypto->gen[gen];
	crypto->gen[gen] = NULL;
	percpu_up_write(&crypto->lock);
	keys_free(old);
}

/* ---- Wiped while suspended ----------------------------------------------- */

static int forget_record_keys(struct qvault_opener *opener)
{
	struct record_keys keys;
	int err;

	/* The check value stays: it tells nobody the key, and which one is the right one. */
	get_random_bytes(&keys, sizeof(keys));
	err = crypto_shash_setkey(opener->anchor_mac, keys.anchor, SHA256_SIZE) ?:
	      qvault_wrap_setkey(opener->wrap, keys.wrap);
	memzero_explicit(&keys, sizeof(keys));
	return err;
}

/**
 * qvault_crypto_wipe() - no key is left in memory
 * @crypto: unlocked
 *
 * Random ones take their place, so that nothing need be allocated to bring them back.
 *
 * Context: May sleep; no record is read or written meanwhile.
 * Return: 0 or a negative errno: then some keys may be left.
 */
int qvault_crypto_wipe(struct qvault_crypto *crypto)
{
	u8 secret[QVAULT_SECRET_SIZE];
	int err;
	u32 i;

	percpu_down_write(&crypto->lock);
	crypto->wiped = true;
	percpu_up_write(&crypto->lock);
	err = forget_record_keys(crypto->own);
	for (i = 0; i < ARRAY_SIZE(crypto->gen); i++) {
		if (!crypto->gen[i])
			continue;
		get_random_bytes(secret, sizeof(secret));
		err = set_keys(crypto, crypto->gen[i], secret) ?: err;
	}
	memzero_explicit(secret, sizeof(secret));
	return err;
}

static int restore_generation(struct qvault_crypto *crypto, u32 gen,
			      const struct qvault_disk_generation *disk)
{
	u8 secret[QVAULT_SECRET_SIZE];
	int err;

	if (!crypto->gen[gen])
		return 0;
	err = qvault_wrap_open(crypto->own->wrap, disk->wrapped, secret);
	if (!err)
		err = set_keys(crypto, crypto->gen[gen], secret);
	memzero_explicit(secret, sizeof(secret));
	return err;
}

/**
 * qvault_crypto_restore() - bring the keys back that were wiped
 * @crypto: after qvault_crypto_wipe()
 * @master: the master key they came from
 * @gen: the newest record's table of generations
 *
 * Context: May sleep; allocates nothing.
 * Return: 0; -EKEYREJECTED if it is another master key; or another negative errno:
 * then they stay wiped.
 */
int qvault_crypto_restore(struct qvault_crypto *crypto,
			  const u8 master[QVAULT_MASTER_KEY_SIZE],
			  const struct qvault_disk_generation gen[QVAULT_GENERATIONS])
{
	int err;
	u32 i;

	err = qvault_crypto_same_key(crypto, master);
	if (!err)
		err = derive_opener(crypto, crypto->own, crypto->uuid, master);
	for (i = 0; i < QVAULT_GENERATIONS && !err; i++)
		err = restore_generation(crypto, i, &gen[i]);
	if (err) {
		/* Some may be there. */
		if (crypto->wiped)
			qvault_crypto_wipe(crypto);
		return err;
	}
	percpu_down_write(&crypto->lock);
	crypto->wiped = false;
	percpu_up_write(&crypto->lock);
	return 0;
}

bool qvault_crypto_is_wiped(const struct qvault_crypto *crypto)
{
	return READ_ONCE(crypto->wiped);
}

/* ---- Blocks ------------------------------------------------------------- */

/**
 * qvault_crypto_hold() - use keys of a generation
 * @crypto: the keys
 * @gen: which
 *
 * None is taken away until qvault_crypto_release(): what was authenticated under a key
 * is decrypted under the other one that belongs to it.
 *
 * Context: May sleep.
 * Return: 0; -ENOKEY if there is no key at all at this moment, -ENOENT if there is no
 * such generation: nothing is held then.
 */
int qvault_crypto_hold(struct qvault_crypto *crypto, u32 gen)
{
	int err = -ENOENT;

	percpu_down_read(&crypto->lock);
	if (crypto->wiped)
		err = -ENOKEY;
	else if (gen < ARRAY_SIZE(crypto->gen) && crypto->gen[gen])
		return 0;
	percpu_up_read(&crypto->lock);
	return err;
}

void qvault_crypto_release(struct qvault_crypto *crypto)
{
	percpu_up_read(&crypto->lock);
}

/**
 * qvault_crypto_xts() - encrypt or decrypt a block
 * @crypto: the keys
 * @gen: of which generation; held
 * @meta: under the key for metadata, else for data
 * @encrypt: encrypt, else decrypt
 * @tweak: 16 bytes, never used twice for encryption under one key
 * @src: a block of linear memory; read once
 * @dst: likewise; may be @src
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno, in which case @dst is undefined.
 */
int qvault_crypto_xts(struct qvault_crypto *crypto, u32 gen, bool meta, bool encrypt,
		      const u8 tweak[16], const void *src, void *dst)
{
	struct keys *keys = crypto->gen[gen];
	struct skcipher_request *req;
	struct scatterlist from, to;
	DECLARE_CRYPTO_WAIT(wait);
	u8 iv[16];
	int err;

	memcpy(iv, tweak, sizeof(iv));
	sg_init_one(&from, src, QVAULT_BLOCK_SIZE);
	sg_init_one(&to, dst, QVAULT_BLOCK_SIZE);

	req = mempool_alloc(&keys->requests, GFP_NOIO);
	skcipher_request_set_tfm(req, keys->xts[meta]);
	/*
	 * Not MAY_SLEEP: the cipher would then allocate with GFP_KERNEL, which
	 * may wait for this very write.
	 */
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, &from, &to, QVAULT_BLOCK_SIZE, iv);
	err = crypto_wait_req(encrypt ? crypto_skcipher_encrypt(req) :
					crypto_skcipher_decrypt(req), &wait);
	mempool_free(req, &keys->requests);
	return err;
}

/**
 * qvault_crypto_mac() - compute the tags of sealed blocks
 * @crypto: the keys
 * @gen: of which generation; held
 * @n: how many, 1..QVAULT_MAX_SEAL
 * @head: what each block is
 * @data: their ciphertexts, a block of linear memory each
 * @tag: receives the tags
 *
 * Context: May sleep; makes progress without memory.
 * Return: 0 or a negative errno.
 */
int qvault_crypto_mac(struct qvault_crypto *crypto, u32 gen, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE])
{
	struct keys *keys = crypto->gen[gen];

	return keys->hmac ? qvault_hmac_mac(keys->hmac, n, head, data, tag) :
			    qvault_nhpoly_mac(keys->nhpoly, n, head, data, tag);
}

/**
 * qvault_crypto_anchor_mac() - compute the MAC of an anchor record
 * @crypto: unlocked
 * @data: what it covers
 * @bytes: of @data
 * @mac: receives it
 *
 * Context: May sleep.
 * Return: 0 or a negative errno; -ENOKEY while the keys are wiped.
 */
int qvault_crypto_anchor_mac(struct qvault_crypto *crypto, const void *data,
			     u32 bytes, u8 mac[QVAULT_ANCHOR_MAC_SIZE])
{
	if (crypto->wiped)
		return -ENOKEY;
	return crypto_shash_tfm_digest(crypto->own->anchor_mac, data, bytes, mac);
}

/**
 * qvault_tags_differ() - compare in constant time
 * @a: one
 * @b: other
 * @bytes: of each
 *
 * Context: Any.
 * Return: Whether they differ.
 */
bool qvault_tags_differ(const void *a, const void *b, size_t bytes)
{
	return crypto_memneq(a, b, bytes);
}

/**
 * qvault_random() - a number that no other life gets
 *
 * A memory that was copied has a copy of the generator's state too; hence the clock,
 * and the processor's own generator if it has one.
 *
 * Context: Any.
 * Return: 64 bits.
 */
u64 qvault_random(void)
{
	u64 random = get_random_u64();
	unsigned long word;

	/* User Mode Linux has it for the kernel only, not for modules. */
	if (!IS_ENABLED(CONFIG_UML) && arch_get_random_longs(&word, 1))
		random ^= word;
	return random ^ ktime_get_real_ns() * GOLDEN_RATIO_64;
}
