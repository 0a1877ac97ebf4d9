// SPDX-License-Identifier: GPL-2.0
/*
 * usage: machine image DEVICE BLOCK	write as who hibernates does, with all other
 *					processes frozen; says ok or an error
 *        machine pageout MB		push so much memory out to swap, and read it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/suspend_ioctls.h>

#include "../lib/qvtest.h"

static int image(const char *path, u64 block)
{
	int snapshot = open("/dev/snapshot", O_RDONLY), fd, err;
	u8 *buf = block_buffer(1);

	if (snapshot < 0)
		die("/dev/snapshot: %s", strerror(errno));
	fd = open_direct(path, O_RDWR);
	if (fd < 0)
		die("%s: %s", path, strerror(-fd));
	if (ioctl(snapshot, SNAPSHOT_FREEZE))
		die("freeze: %s", strerror(errno));
	err = write_blocks(fd, block, buf, 1);
	if (ioctl(snapshot, SNAPSHOT_UNFREEZE))
		die("unfreeze: %s", strerror(errno));
	printf("%s\n", err ? strerrorname_np(-err) : "ok");
	return 0;
}

static int pageout(u64 mib)
{
	size_t bytes = mib << 20, i;
	u8 *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED)
		die("out of memory");
	for (i = 0; i < bytes; i += BLOCK)
		memset(all + i, 1 + i / BLOCK % 255, BLOCK);
	if (madvise(all, bytes, MADV_PAGEOUT))
		die("pageout: %s", strerror(errno));
	for (i = 0; i < bytes; i += BLOCK)
		if (all[i] != 1 + i / BLOCK % 255)
			die("page %zu changed", i / BLOCK);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "image"))
		return image(argv[2], strtoull(argv[3], NULL, 0));
	if (argc == 3 && !strcmp(argv[1], "pageout"))
		return pageout(strtoull(argv[2], NULL, 0));
	die("see the head of machine.c");
}
