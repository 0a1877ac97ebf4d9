/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QVTEST_NHPOLY_H
#define QVTEST_NHPOLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NHPOLY_KEY_SIZE	1088	/* 16 bytes of Poly1305, then NH's */

/* NHPoly1305 of @data, of any length. */
void nhpoly1305(const uint8_t key[NHPOLY_KEY_SIZE], const void *data, size_t bytes,
		uint8_t sum[16]);

/* The tag of @data, whole units of 1,024 bytes, and @head.  False: no memory. */
bool nhpoly_aes(const uint8_t hash_key[NHPOLY_KEY_SIZE], const uint8_t cipher_key[32],
		const void *data, size_t bytes, const void *head, size_t head_bytes,
		uint8_t tag[16]);

#endif
