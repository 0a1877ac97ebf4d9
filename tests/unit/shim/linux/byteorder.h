/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: conversions, and access to what is not aligned. */
#ifndef SHIM_BYTEORDER_H
#define SHIM_BYTEORDER_H
#include <linux/types.h>
#include <endian.h>
#include <string.h>
#define cpu_to_le16(x) htole16(x)
#define cpu_to_le32(x) htole32(x)
#define cpu_to_le64(x) htole64(x)
#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define le64_to_cpu(x) le64toh(x)
#define cpu_to_be32(x) htobe32(x)
#define cpu_to_be64(x) htobe64(x)
#define be32_to_cpu(x) be32toh(x)
#define be64_to_cpu(x) be64toh(x)
static inline u64 le64_to_cpup(const __le64 *p) { return le64toh(*p); }
static inline u32 le32_to_cpup(const __le32 *p) { return le32toh(*p); }
static inline void le64_add_cpu(__le64 *p, u64 n) { *p = htole64(le64toh(*p) + n); }
static inline void le32_add_cpu(__le32 *p, u32 n) { *p = htole32(le32toh(*p) + n); }
static inline u64 get_unaligned_le64(const void *p)
{
	u64 x;

	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}
static inline u32 get_unaligned_le32(const void *p)
{
	u32 x;

	memcpy(&x, p, sizeof(x));
	return le32toh(x);
}
static inline void put_unaligned_le64(u64 v, void *p)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}
static inline void put_unaligned_le32(u32 v, void *p)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}
#endif
