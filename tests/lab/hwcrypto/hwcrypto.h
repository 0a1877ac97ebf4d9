/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test only.  The ciphers of a User Mode Linux kernel are written in C, so that
 * every target waits for them and nothing else can be seen.  These drivers use
 * the instructions of the processor below, under the ordinary names of the crypto
 * API: all targets in a guest get them alike.
 *
 * User Mode Linux runs as a process: a signal, which is its interrupt, saves the
 * vector registers, and threads are not switched inside these loops, since the
 * kernel is not preemptible.  So kernel_fpu_begin() has nothing to do here.
 */
#ifndef HWCRYPTO_H
#define HWCRYPTO_H

#include <linux/types.h>

typedef long long v2di __attribute__((vector_size(16)));
typedef int v4si __attribute__((vector_size(16)));
typedef char v16qi __attribute__((vector_size(16)));
/* The same in memory, at any address. */
typedef v2di v2di_u __attribute__((aligned(1), may_alias));
typedef v4si v4si_u __attribute__((aligned(1), may_alias));
typedef v16qi v16qi_u __attribute__((aligned(1), may_alias));

int hw_aes_register(void);
void hw_aes_unregister(void);
int hw_xts_register(void);
void hw_xts_unregister(void);
int hw_sha256_register(void);
void hw_sha256_unregister(void);
int hw_ghash_register(void);
void hw_ghash_unregister(void);

#endif
