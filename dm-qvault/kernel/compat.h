/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels that are supported, and nowhere else.
 * The code reads as for the newest kernel; what an older one lacks is given
 * here.  Each item asks for the thing itself and not for a version, since
 * stable kernels receive new interfaces too.
 *
 * What changed between 6.1 and 7.3 and needs nothing here, because it is
 * avoided:
 *   dm_io()		submit_bio() with bios of our own
 *   prepare_ioctl	none: see target.c
 *   hmac_sha256_*()	the hmac(sha256) shash is a thin wrapper over them where
 *			they exist, and is the only fast form where they do not
 *   queue limits	only fields that are in all of them
 */
#ifndef QVAULT_COMPAT_H
#define QVAULT_COMPAT_H

#include <crypto/sha2.h>
#include <linux/blkdev.h>
#include <linux/workqueue.h>

/* What turns bytes into digits was in linux/kernel.h. */
#ifdef QVAULT_HAVE_HEX
#include <linux/hex.h>
#endif

/*
 * NH and AES became functions, and NHPoly1305 is no algorithm of the crypto API any
 * more.  Nothing of ours can select them: they are there if Adiantum is.  Kbuild
 * looks for the header, since sparse cannot.
 */
#if defined(QVAULT_HAVE_NH) && IS_REACHABLE(CONFIG_CRYPTO_LIB_NH) && \
	IS_REACHABLE(CONFIG_CRYPTO_LIB_POLY1305) && \
	IS_ENABLED(CONFIG_CRYPTO_LIB_POLY1305_GENERIC)
#include <crypto/internal/poly1305.h>
#include <crypto/nh.h>
#include <linux/unaligned.h>
#define QVAULT_HAVE_NH_LIB
#endif

/* The same struct had this name, and two messages were hashed one by one, slowly. */
#ifndef QVAULT_HAVE_SHA256_CTX
#define sha256_ctx	sha256_state
#endif
#ifndef QVAULT_HAVE_SHA256_2X
static inline void sha256_finup_2x(const struct sha256_ctx *ctx, const u8 *data1,
				   const u8 *data2, size_t len, u8 *out1, u8 *out2)
{
	struct sha256_ctx copy = *ctx;

	sha256_update(&copy, data1, len);
	sha256_final(&copy, out1);
	copy = *ctx;
	sha256_update(&copy, data2, len);
	sha256_final(&copy, out2);
}

static inline bool sha256_finup_2x_is_optimized(void)
{
	return false;
}
#endif

/* The mode of an open block device was an fmode_t before it had its own type. */
#ifndef BLK_OPEN_READ
#define blk_mode_t	fmode_t
#define BLK_OPEN_READ	FMODE_READ
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

/*
 * Writes of zeros that unmap got a limit of their own, which must be zero or
 * the same as the other one.  A field cannot be asked for here: Kbuild does.
 */
static inline void qvault_limit_write_zeroes(struct queue_limits *limits,
					     unsigned int sectors)
{
	limits->max_write_zeroes_sectors = sectors;
#ifdef QVAULT_HAVE_WZEROES_UNMAP
	limits->max_hw_wzeroes_unmap_sectors = sectors;
#endif
}

#endif
