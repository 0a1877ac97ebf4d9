// SPDX-License-Identifier: GPL-2.0
/*
 * usage: glue refused DEVICE BLOCK	its read must fail with EILSEQ, and leave
 *					no byte of what was read in the buffer
 *        glue refused-both DEVICE BLOCK	a read of two blocks must fail with EILSEQ
 *        glue scatter DEVICE COUNT	single blocks that are far from each other
 *        glue flip DEVICE BLOCK	a bit of each second block of 800; again: back
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/qvtest.h"

static int refused(int fd, u64 block)
{
	u8 *buf = block_buffer(1);
	int err;
	u32 i;

	memset(buf, 0x5a, BLOCK);
	err = read_blocks(fd, block, buf, 1);
	if (err != -EILSEQ)
		die("the read ends with %d", err);
	for (i = 0; i < BLOCK; i++)
		if (buf[i] != 0x5a)
			die("byte %u of the refused block is there", i);
	return 0;
}

static int refused_both(int fd, u64 block)
{
	int err = read_blocks(fd, block, block_buffer(2), 2);

	if (err != -EILSEQ)
		die("the read ends with %d", err);
	return 0;
}

static int flip(int fd, u64 block)
{
	u8 *buf = block_buffer(1);
	u64 i;

	for (i = block; i < block + 800; i += 2) {
		if (read_blocks(fd, i, buf, 1))
			die("cannot read block %llu", (unsigned long long)i);
		buf[1234] ^= 0x10;
		if (write_blocks(fd, i, buf, 1))
			die("cannot write block %llu", (unsigned long long)i);
	}
	return 0;
}

static int scatter(int fd, u64 count)
{
	u8 *buf = block_buffer(1);
	u64 i;
	int err;

	for (i = 0; i < count; i++) {
		err = write_blocks(fd, 13 * i, buf, 1);
		if (err)
			die("write: %s", strerror(-err));
	}
	return 0;
}

int main(int argc, char **argv)
{
	u64 n = argc == 4 ? strtoull(argv[3], NULL, 0) : 0;
	int fd = argc == 4 ? open_direct(argv[2], O_RDWR) : 0;

	if (fd < 0)
		die("%s: %s", argv[2], strerror(-fd));
	if (argc == 4 && !strcmp(argv[1], "refused"))
		return refused(fd, n);
	if (argc == 4 && !strcmp(argv[1], "refused-both"))
		return refused_both(fd, n);
	if (argc == 4 && !strcmp(argv[1], "flip"))
		return flip(fd, n);
	if (argc == 4 && !strcmp(argv[1], "scatter"))
		return scatter(fd, n);
	die("see the head of glue.c");
}
