/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test only.  Our module takes two blocks at once where the kernel says that the
 * processor gains from it.  No guest here has such a processor; that the function of
 * the kernel does what our module expects of it can be seen all the same.
 */
#include <crypto/sha2.h>

#define sha256_finup_2x_is_optimized()	true
