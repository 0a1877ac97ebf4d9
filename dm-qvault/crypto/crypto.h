/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keys, ciphers and MACs, by way of the kernel's crypto API and libraries.  How the
 * engine uses them stands in engine/host.h.
 */
#ifndef QVAULT_CRYPTO_H
#define QVAULT_CRYPTO_H

#include <linux/crypto.h>
#include <linux/mempool.h>

#include "compat.h"
#include "host.h"

/* Reserves of small things, from kernel/pool.c. */
int qvault_pool_init(mempool_t *pool, int min, size_t size);

/* ---- hmac.c ------------------------------------------------------------- */

#define QVAULT_HMAC_KEY_SIZE	32

struct qvault_hmac;

struct qvault_hmac *qvault_hmac_new(bool pairs);
void qvault_hmac_free(struct qvault_hmac *h);
int qvault_hmac_setkey(struct qvault_hmac *h, const u8 *key);
int qvault_hmac_mac(struct qvault_hmac *h, u32 n, const struct qvault_disk_seal head[],
		    const void *const data[], u8 tag[][QVAULT_TAG_SIZE]);

/* ---- nhpoly.c ----------------------------------------------------------- */

struct qvault_nhpoly;

struct qvault_nhpoly *qvault_nhpoly_new(void);
void qvault_nhpoly_free(struct qvault_nhpoly *m);
int qvault_nhpoly_setkey(struct qvault_nhpoly *m, const u8 *hash_key,
			 const u8 *cipher_key);
int qvault_nhpoly_mac(struct qvault_nhpoly *m, u32 n,
		      const struct qvault_disk_seal head[],
		      const void *const data[], u8 tag[][QVAULT_TAG_SIZE]);

/* ---- wrap.c ------------------------------------------------------------- */

struct qvault_wrap;

struct qvault_wrap *qvault_wrap_new(void);
void qvault_wrap_free(struct qvault_wrap *w);
int qvault_wrap_setkey(struct qvault_wrap *w, const u8 *key);
int qvault_wrap_seal(struct qvault_wrap *w, const u8 *secret, u8 *wrapped);
int qvault_wrap_open(struct qvault_wrap *w, const u8 *wrapped, u8 *secret);

/* ---- crypto.c ----------------------------------------------------------- */

/*
 * What a driver must not be: one that allocates memory for each request, since
 * it may be this request that memory waits for; nor one for a device apart, for
 * which single blocks that are waited for are the worst case.
 */
#define QVAULT_CRYPTO_UNWANTED	(CRYPTO_ALG_ALLOCATES_MEMORY | \
				 CRYPTO_ALG_KERN_DRIVER_ONLY)

struct qvault_crypto *qvault_crypto_new(const u8 master[QVAULT_MASTER_KEY_SIZE]);
void qvault_crypto_free(struct qvault_crypto *crypto);
int qvault_crypto_same_key(struct qvault_crypto *crypto,
			   const u8 master[QVAULT_MASTER_KEY_SIZE]);
struct qvault_opener *qvault_opener_new(struct qvault_crypto *crypto,
					const u8 master[QVAULT_MASTER_KEY_SIZE]);
int qvault_crypto_wipe(struct qvault_crypto *crypto);
int qvault_crypto_restore(struct qvault_crypto *crypto,
			  const u8 master[QVAULT_MASTER_KEY_SIZE],
			  const struct qvault_disk_generation gen[QVAULT_GENERATIONS]);
bool qvault_crypto_is_wiped(const struct qvault_crypto *crypto);

#endif
