// SPDX-License-Identifier: GPL-2.0
/*
 * usage: hygiene search KEY PLAIN EXPECTED FILE...
 *
 * EXPECTED: which kinds must be found in the first FILE, of the letters m (master
 * key), c (what ciphers hold) and p (plaintext); what it does not name must not be.
 * Keys written in hexadecimal must not be found either.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hygiene.h"

static void read_file(const char *path, u8 *out, u32 bytes)
{
	FILE *file = fopen(path, "r");

	if (!file || fread(out, bytes, 1, file) != 1)
		die("%s: cannot be read", path);
	fclose(file);
}

struct counts {
	u64 raw[MAX_NEEDLES], hex[MAX_NEEDLES];
	u64 bytes;
};

static u64 count(const u8 *hay, size_t bytes, const void *needle, size_t length)
{
	const u8 *end = hay + bytes;
	u64 n = 0;

	while ((hay = memmem(hay, end - hay, needle, length))) {
		n++;
		hay++;
	}
	return n;
}

static void look(struct counts *c, const struct needle *needle, u32 nr, const u8 *hay,
		 size_t bytes)
{
	char hex[2 * 64 + 1];
	u32 i, j;

	for (i = 0; i < nr; i++) {
		c->raw[i] += count(hay, bytes, needle[i].data, needle[i].bytes);
		/* 16 bytes are enough, in either case of letters. */
		for (j = 0; j < 16; j++)
			sprintf(hex + 2 * j, "%02x", needle[i].data[j]);
		c->hex[i] += count(hay, bytes, hex, 32);
		for (j = 0; j < 32; j++)
			if (hex[j] >= 'a')
				hex[j] -= 'a' - 'A';
		c->hex[i] += count(hay, bytes, hex, 32);
	}
	c->bytes += bytes;
}

/* Only what is there of a sparse file; pieces that follow each other overlap. */
static void look_in(struct counts *c, const struct needle *needle, u32 nr, const char *path)
{
	const size_t piece = 16 << 20, overlap = 256;
	u8 *buf = malloc(piece);
	int fd = open(path, O_RDONLY);
	off_t at = 0, end = 0;
	ssize_t n;

	if (fd < 0 || !buf)
		die("%s: %s", path, strerror(errno));
	for (;;) {
		if (at >= end) {
			at = lseek(fd, at, SEEK_DATA);
			if (at < 0)
				break;
			end = lseek(fd, at, SEEK_HOLE);
		}
		n = pread(fd, buf, (size_t)(end - at) < piece ? (size_t)(end - at) : piece, at);
		if (n <= 0)
			break;
		look(c, needle, nr, buf, n);
		at += n;
		if (at < end)
			at -= overlap;
	}
	free(buf);
	close(fd);
}

static bool expected(const struct needle *n, const char *letters)
{
	static const char letter[] = {
		[NEEDLE_MASTER] = 'm', [NEEDLE_CIPHER] = 'c',
		[NEEDLE_PASSING] = '?', [NEEDLE_PLAIN] = 'p',
	};

	return strchr(letters, letter[n->kind]);
}

int search_main(int argc, char **argv)
{
	struct needle needle[MAX_NEEDLES];
	u8 master[QVAULT_MASTER_KEY_SIZE], plain[PLAIN_SIZE];
	struct counts c = { 0 };
	u32 nr, i, found = 0, wrong = 0;
	int file;

	if (argc < 4)
		die("usage: hygiene search KEY PLAIN EXPECTED FILE...");
	read_file(argv[0], master, sizeof(master));
	read_file(argv[1], plain, sizeof(plain));
	nr = needles_make(master, plain, needle);
	for (file = 3; file < argc; file++)
		look_in(&c, needle, nr, argv[file]);
	for (i = 0; i < nr; i++) {
		bool there = c.raw[i] || c.hex[i];

		found += there;
		if (there == expected(&needle[i], argv[2]))
			continue;
		wrong++;
		printf("%s: found %llu times, and %llu times in hexadecimal: %s\n",
		       needle[i].name, (unsigned long long)c.raw[i],
		       (unsigned long long)c.hex[i],
		       there ? "should not be there" : "should be there");
	}
	printf("%u of %u secrets found in %llu MiB, %u not as it should be\n", found, nr,
	       (unsigned long long)c.bytes >> 20, wrong);
	return wrong != 0;
}
