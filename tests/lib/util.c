// SPDX-License-Identifier: GPL-2.0
/* Small things: errors, time, random numbers, checksums, direct I/O. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "qvtest.h"

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(3);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void *block_buffer(size_t blocks)
{
	void *buf = aligned_alloc(BLOCK, blocks * BLOCK);

	if (!buf)
		die("out of memory");
	memset(buf, 0, blocks * BLOCK);
	return buf;
}

static u64 rotl(u64 x, int k)
{
	return x << k | x >> (64 - k);
}

void prng_seed(struct prng *p, u64 seed)
{
	int i;

	/* splitmix64, so that near seeds give unrelated streams. */
	for (i = 0; i < 4; i++) {
		u64 z = seed += 0x9e3779b97f4a7c15ull;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		p->s[i] = z ^ z >> 31;
	}
}

u64 prng_next(struct prng *p)
{
	u64 result = rotl(p->s[1] * 5, 7) * 9, t = p->s[1] << 17;

	p->s[2] ^= p->s[0];
	p->s[3] ^= p->s[1];
	p->s[1] ^= p->s[2];
	p->s[0] ^= p->s[3];
	p->s[2] ^= t;
	p->s[3] = rotl(p->s[3], 45);
	return result;
}

u64 prng_below(struct prng *p, u64 limit)
{
	return prng_next(p) % limit;
}

bool prng_chance(struct prng *p, u32 percent)
{
	return prng_below(p, 100) < percent;
}

void prng_fill(struct prng *p, void *buf, size_t bytes)
{
	u8 *out = buf;

	while (bytes) {
		u64 x = prng_next(p);
		size_t n = bytes < 8 ? bytes : 8;

		memcpy(out, &x, n);
		out += n;
		bytes -= n;
	}
}

#ifdef __x86_64__
__attribute__((target("sse4.2")))
static u32 crc32c_cpu(u32 crc, const u8 *in, size_t bytes)
{
	u64 x;

	crc = ~crc;
	for (; bytes >= 8; in += 8, bytes -= 8) {
		memcpy(&x, in, 8);
		crc = __builtin_ia32_crc32di(crc, x);
	}
	while (bytes--)
		crc = __builtin_ia32_crc32qi(crc, *in++);
	return ~crc;
}
#endif

/* Eight bytes a step: most of a crash point's time would go here otherwise. */
u32 crc32c(u32 crc, const void *buf, size_t bytes)
{
	static u32 table[8][256];
	const u8 *in = buf;

#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_cpu(crc, buf, bytes);
#endif
	if (!table[0][1]) {
		u32 i, k, c;

		for (i = 0; i < 256; i++) {
			for (c = i, k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
			table[0][i] = c;
		}
		for (i = 0; i < 256; i++)
			for (k = 1; k < 8; k++)
				table[k][i] = table[k - 1][i] >> 8 ^
					      table[0][table[k - 1][i] & 255];
	}
	crc = ~crc;
	for (; bytes >= 8; in += 8, bytes -= 8) {
		u64 x;

		memcpy(&x, in, 8);
		x ^= crc;
		crc = table[7][x & 255] ^ table[6][x >> 8 & 255] ^
		      table[5][x >> 16 & 255] ^ table[4][x >> 24 & 255] ^
		      table[3][x >> 32 & 255] ^ table[2][x >> 40 & 255] ^
		      table[1][x >> 48 & 255] ^ table[0][x >> 56];
	}
	while (bytes--)
		crc = crc >> 8 ^ table[0][(crc ^ *in++) & 255];
	return ~crc;
}

int open_direct(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int result(ssize_t done, size_t wanted)
{
	if (done < 0)
		return -errno;
	return (size_t)done == wanted ? 0 : -EIO;
}

int read_blocks(int fd, u64 block, void *buf, size_t count)
{
	return result(pread(fd, buf, count * BLOCK, block * BLOCK),
		      count * BLOCK);
}

int write_blocks(int fd, u64 block, const void *buf, size_t count)
{
	return result(pwrite(fd, buf, count * BLOCK, block * BLOCK),
		      count * BLOCK);
}

int write_blocks_fua(int fd, u64 block, const void *buf, size_t count)
{
	struct iovec iov = { (void *)buf, count * BLOCK };

	return result(pwritev2(fd, &iov, 1, block * BLOCK, RWF_DSYNC),
		      count * BLOCK);
}

int discard_blocks(int fd, u64 block, u64 count)
{
	u64 range[2] = { block * BLOCK, count * BLOCK };

	return ioctl(fd, BLKDISCARD, range) ? -errno : 0;
}

u64 device_blocks(int fd)
{
	u64 bytes = 0;

	if (ioctl(fd, BLKGETSIZE64, &bytes))
		die("BLKGETSIZE64: %s", strerror(errno));
	return bytes / BLOCK;
}

const char *device_number(const char *path, char out[32])
{
	struct stat st;

	if (stat(path, &st))
		die("%s: %s", path, strerror(errno));
	snprintf(out, 32, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return out;
}
