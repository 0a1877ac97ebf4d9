// SPDX-License-Identifier: GPL-2.0
/*
 * Process 1 of the machine whose power is cut.  It attaches the vault, writes
 * what it finds to a disk for the host, says so, and then writes until it dies.
 * On the second serial line it says what was acknowledged: `A THREAD OP` means
 * that a flush, or a FUA write, which came after operation OP has ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "powercut.h"

static int line = -1;		/* the serial line */
static u64 seed;
static u32 boot;
static struct dm_dev vault;
static int fd;			/* of the vault */

static void report(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
static void report(const char *format, ...)
{
	char text[128];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* One write is one piece: the threads do not mix their lines. */
	if (write(line, text, n) != n)
		return;
}

static void __attribute__((noreturn)) give_up(const char *what, int err)
{
	report("X %s: %s\n", what, strerrorname_np(err < 0 ? -err : err));
	for (;;)
		pause();
}

static void mount_all(void)
{
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mount("none", "/proc", "proc", 0, NULL);
	mount("none", "/dev", "devtmpfs", 0, NULL);
}

static void open_line(void)
{
	struct termios t;

	line = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);
	if (line < 0)
		exit(1);
	tcgetattr(line, &t);
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	tcsetattr(line, TCSANOW, &t);
}

static void read_command_line(void)
{
	char text[2048] = "", *at;
	FILE *file = fopen("/proc/cmdline", "r");

	if (!file || !fgets(text, sizeof(text), file))
		give_up("command line", EIO);
	fclose(file);
	at = strstr(text, "pc_seed=");
	seed = at ? strtoull(at + 8, NULL, 0) : 0;
	at = strstr(text, "pc_boot=");
	boot = at ? strtoul(at + 8, NULL, 0) : 0;
}

static void load_modules(void)
{
	char path[256] = "/modules/";
	FILE *list = fopen("/modules/list", "r");

	while (list && fgets(path + 9, sizeof(path) - 9, list)) {
		int module;

		path[strcspn(path, "\n")] = 0;
		module = open(path, O_RDONLY | O_CLOEXEC);
		if (module < 0 || (syscall(SYS_finit_module, module, "", 0) &&
				   errno != EEXIST && errno != ENODEV))
			give_up(path, errno);
		close(module);
	}
	if (list)
		fclose(list);
}

static void add_key(void)
{
	u8 key[QVAULT_MASTER_KEY_SIZE];
	FILE *file = fopen("/key", "r");

	if (!file || fread(key, sizeof(key), 1, file) != 1)
		give_up("key", EIO);
	fclose(file);
	if (syscall(SYS_add_key, "logon", "qvault:powercut", key, sizeof(key), -4) < 0)
		give_up("add_key", errno);
}

static void wait_for(const char *path)
{
	int tries;

	for (tries = 0; access(path, F_OK); tries++) {
		if (tries == 1000)
			give_up(path, ENOENT);
		usleep(10000);
	}
}

static void attach(void)
{
	int err;

	wait_for("/dev/vda");
	wait_for("/dev/vdb");
	wait_for("/dev/vdc");
	err = dm_create1(&vault, "powercut", (u64)BLOCKS * QVAULT_SECTORS, "qvault",
			 false, "/dev/vda /dev/vdb :64:logon:qvault:powercut");
	if (err)
		give_up("attach", err);
	fd = open_direct(vault.path, O_RDWR);
	if (fd < 0)
		give_up(vault.path, fd);
}

/* Read all of it; one by one where something is wrong. */
static void look(struct found *found)
{
	u8 *buf = block_buffer(MAX_IO);
	u32 lba, n, i;

	for (lba = 0; lba < BLOCKS; lba += n) {
		n = BLOCKS - lba < MAX_IO ? BLOCKS - lba : MAX_IO;
		if (read_blocks(fd, lba, buf, n))
			n = 1;
		if (n == 1 && read_blocks(fd, lba, buf, 1)) {
			found[lba].content = CONTENT_ERROR;
			continue;
		}
		for (i = 0; i < n; i++)
			found[lba + i] = op_read(lba + i, buf + (size_t)i * BLOCK);
	}
	free(buf);
}

static void tell_host(void)
{
	struct found *found = block_buffer(REPORT_BLOCKS);
	int disk = open_direct("/dev/vdc", O_RDWR), err;

	look(found);
	err = disk < 0 ? disk : write_blocks(disk, 0, found, REPORT_BLOCKS);
	if (!err && fsync(disk))
		err = -errno;
	if (err)
		give_up("report", err);
	close(disk);
	free(found);
	report("READY %u\n", boot);
}

static int perform(struct op op, u32 thread, u32 index, u8 *buf)
{
	u32 i;

	switch (op.kind) {
	case OP_FLUSH:
		return fsync(fd) ? -errno : 0;
	case OP_ZERO:
		return discard_blocks(fd, op.lba, op.count);
	default:
		break;
	}
	for (i = 0; i < op.count; i++)
		op_fill(seed, boot, thread, index, op.lba + i, buf + (size_t)i * BLOCK);
	return op.kind == OP_FUA ? write_blocks_fua(fd, op.lba, buf, op.count) :
				   write_blocks(fd, op.lba, buf, op.count);
}

static void *work(void *arg)
{
	u32 thread = (u32)(uintptr_t)arg, i;
	u8 *buf = block_buffer(MAX_COUNT);
	int err;

	for (i = 0;; i++) {
		struct op op = op_at(seed, boot, thread, i);

		err = perform(op, thread, i, buf);
		if (err)
			give_up("operation", err);
		if (op.kind == OP_FLUSH || op.kind == OP_FUA)
			report("A %u %u\n", thread, i);
	}
	return NULL;
}

/* A checkpoint now and then, in the midst of it. */
static void *disturb(void *unused)
{
	struct prng p;

	(void)unused;
	prng_seed(&p, seed + boot);
	for (;;) {
		usleep(100000 + prng_below(&p, 900000));
		dm_message(&vault, "checkpoint");
	}
	return NULL;
}

int guest_main(void)
{
	pthread_t thread;
	u32 i;

	mount_all();
	open_line();
	read_command_line();
	load_modules();
	add_key();
	report("ATTACHING %u\n", boot);
	attach();
	tell_host();
	pthread_create(&thread, NULL, disturb, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, work, (void *)(uintptr_t)i);
	for (;;)
		pause();
}
