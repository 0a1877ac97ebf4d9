// SPDX-License-Identifier: GPL-2.0
/*
 * usage: hygiene live DATA ANCHOR TURN      with HYGIENE_KEY and HYGIENE_PLAIN, masked
 *
 * A vault goes through its life, and what this program itself had of keys and
 * plaintext is wiped.  After `STAGE N` it waits until the disk TURN says N: the host
 * looks at the memory of the whole guest meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hygiene.h"

#define BATCH	64u
/* Where a buffer begins in its page: at such an offset the module must bounce. */
#define OFFSET	512u

static int turn;
static long key;

static void check(int err, const char *what)
{
	if (err)
		die("hygiene: %s: %s", what, strerrorname_np(-err));
}

static void unmask(const char *name, u8 *out, u32 bytes)
{
	const char *text = getenv(name);
	u32 i;

	if (!text || strlen(text) != 2 * bytes)
		die("%s is missing", name);
	for (i = 0; i < bytes; i++) {
		unsigned int x;

		if (sscanf(text + 2 * i, "%2x", &x) != 1)
			die("%s is not hexadecimal", name);
		out[i] = x ^ MASK;
	}
}

static void stage(u32 number, const char *what)
{
	u8 *block = block_buffer(1);

	printf("STAGE %u %s\n", number, what);
	while (block[0] != '0' + number) {
		usleep(100000);
		check(read_blocks(turn, 0, block, 1), "turn");
	}
	free(block);
}

static void add_key(void)
{
	u8 master[QVAULT_MASTER_KEY_SIZE];

	unmask("HYGIENE_KEY", master, sizeof(master));
	key = syscall(SYS_add_key, "logon", "qvault:test", master, sizeof(master), -4);
	explicit_bzero(master, sizeof(master));
	check(key < 0 ? -errno : 0, "add_key");
}

static void forget_key(void)
{
	check(syscall(SYS_keyctl, KEYCTL_REVOKE, key) ? -errno : 0, "revoke");
	check(syscall(SYS_keyctl, KEYCTL_INVALIDATE, key) &&
	      errno != EKEYREVOKED ? -errno : 0, "invalidate");
	/* The keyring frees in its own time. */
	sleep(1);
}

static int attach(struct dm_dev *vault, const char *data, const char *anchor,
		  const char *more)
{
	struct qvault_geometry geo;

	if (qvault_geometry_init(&geo, DATA_BLOCKS, 0, LOG_BLOCKS))
		die("geometry");
	return dm_create1(vault, "hygiene", geo.logical_blocks * QVAULT_SECTORS,
			  "qvault", false, "%s %s %s%s", data, anchor, vault_key_name, more);
}

static void fill(u8 *buf)
{
	u8 plain[PLAIN_SIZE];
	size_t i;

	unmask("HYGIENE_PLAIN", plain, sizeof(plain));
	for (i = 0; i < (size_t)BATCH * BLOCK; i += PLAIN_SIZE)
		memcpy(buf + i, plain, PLAIN_SIZE);
	explicit_bzero(plain, sizeof(plain));
}

/* Written and read, in whole pages and across their borders. */
static void use(int fd, u8 *buf)
{
	u32 round, lba;

	for (round = 0; round < 4; round++)
		for (lba = 0; lba + BATCH <= 2000; lba += BATCH) {
			u8 *at = buf + (round & 1) * OFFSET;

			fill(at);
			check(write_blocks(fd, lba, at, BATCH), "write");
			check(read_blocks(fd, lba, at, BATCH), "read");
		}
	check(fsync(fd) ? -errno : 0, "fsync");
}

static void show(struct dm_dev *vault)
{
	char text[1024];

	check(dm_status(vault, true, text, sizeof(text)), "table");
	printf("table: %s\n", text);
	check(dm_status(vault, false, text, sizeof(text)), "status");
	printf("status: %s\n", text);
}

/* Whatever is refused has had the key, and must have forgotten it. */
static void be_refused(const char *data, const char *anchor)
{
	struct dm_dev vault;

	if (!attach(&vault, data, data, "") || !attach(&vault, anchor, data, "") ||
	    !attach(&vault, "/dev/ram0", anchor, "") ||
	    !attach(&vault, data, "/dev/ram0", "") ||
	    !attach(&vault, data, anchor, " 1 no_such_option"))
		die("hygiene: attached what cannot be attached");
}

int live_main(int argc, char **argv)
{
	u8 *buf = block_buffer(BATCH + 1);
	struct dm_dev vault;
	int fd;

	if (argc != 3)
		die("usage: hygiene live DATA ANCHOR TURN");
	turn = open_direct(argv[2], O_RDONLY);
	add_key();
	check(attach(&vault, argv[0], argv[1], ""), "attach");
	fd = open_direct(vault.path, O_RDWR);
	use(fd, buf);
	show(&vault);
	fill(buf);
	stage(1, "in use");
	explicit_bzero(buf, (BATCH + 1) * BLOCK);
	stage(2, "idle");
	close(fd);
	check(dm_remove(&vault), "detach");
	forget_key();
	stage(3, "detached");
	add_key();
	be_refused(argv[0], argv[1]);
	forget_key();
	stage(4, "refused");
	free(buf);
	return 0;
}

void hygiene_params(struct vault_params *p, struct qvault_geometry *geo,
		    const u8 master[QVAULT_MASTER_KEY_SIZE])
{
	vault_default_params(p, DATA_BLOCKS, LOG_BLOCKS, geo);
	memcpy(p->master, master, sizeof(p->master));
}

/* On the host: in the program that the guest runs it would be a constant. */
void hygiene_secret(struct vault_params *p)
{
	u32 i;

	for (i = 0; i < sizeof(p->secret); i++)
		p->secret[i] = p->master[i] ^ p->master[i + 32] ^ 0x5a;
}

/* On the host, for OpenSSL leaves keys in memory: hygiene format KEY ANCHOR */
int format_main(int argc, char **argv)
{
	struct qvault_geometry geo;
	struct vault_params p;
	u8 master[QVAULT_MASTER_KEY_SIZE], *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);
	FILE *file = argc == 2 ? fopen(argv[0], "r") : NULL;

	if (!file || fread(master, sizeof(master), 1, file) != 1)
		die("usage: hygiene format KEY ANCHOR");
	fclose(file);
	hygiene_params(&p, &geo, master);
	hygiene_secret(&p);
	vault_format(&p, anchor);
	file = fopen(argv[1], "w");
	if (!file || fwrite(anchor, QVAULT_ANCHOR_BLOCKS * BLOCK, 1, file) != 1 || fclose(file))
		die("%s: cannot be written", argv[1]);
	free(anchor);
	return 0;
}
