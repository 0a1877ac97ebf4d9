// SPDX-License-Identifier: GPL-2.0
/*
 * usage: glue refused DEVICE BLOCK	its read must fail with EILSEQ, and leave
 *					no byte of what was read in the buffer
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/qvtest.h"

int main(int argc, char **argv)
{
	u8 *buf = block_buffer(1);
	int fd, err;
	u32 i;

	if (argc != 4 || strcmp(argv[1], "refused"))
		die("see the head of glue.c");
	fd = open_direct(argv[2], O_RDONLY);
	if (fd < 0)
		die("%s: %s", argv[2], strerror(-fd));
	memset(buf, 0x5a, BLOCK);
	err = read_blocks(fd, strtoull(argv[3], NULL, 0), buf, 1);
	if (err != -EILSEQ)
		die("the read ends with %d", err);
	for (i = 0; i < BLOCK; i++)
		if (buf[i] != 0x5a)
			die("byte %u of the refused block is there", i);
	return 0;
}
