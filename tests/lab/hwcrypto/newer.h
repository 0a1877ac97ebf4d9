/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test only.  What kernels from 6.18 on have for SHA-256 and the kernel of this
 * laboratory lacks.  Our module is built with it where the processor's instructions
 * are used, to measure what it does with them on such a kernel; whether they are
 * offered is a parameter of hwcrypto.
 */
#ifndef HWCRYPTO_NEWER_H
#define HWCRYPTO_NEWER_H

#include <crypto/sha2.h>

#define QVAULT_HAVE_SHA256_2X		/* as compat.h asks */

void sha256_finup_2x(const struct sha256_state *ctx, const u8 *data1, const u8 *data2,
		     size_t len, u8 *out1, u8 *out2);
bool sha256_finup_2x_is_optimized(void);

#endif
