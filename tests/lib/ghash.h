/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QVTEST_GHASH_H
#define QVTEST_GHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tag of @head and @data, whole blocks of 16 bytes both.  False: no memory. */
bool ghash_aes(const uint8_t hash_key[16], const uint8_t cipher_key[32],
	       const void *head, size_t head_bytes, const void *data,
	       size_t bytes, uint8_t tag[16]);

#endif
