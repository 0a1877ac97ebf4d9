// SPDX-License-Identifier: GPL-2.0
/*
 * What the functional scripts need and no tool does just so.
 *
 * usage: functional pattern DEVICE SEED FIRST COUNT      write it, direct
 *        functional verify DEVICE SEED FIRST COUNT       read it back, compare
 *        functional judge DEVICE SEED FIRST COUNT        how many are as written, how
 *                                                        many EILSEQ, how many neither
 *        functional zeros DEVICE FIRST COUNT             must read as zeros
 *        functional fsyncs DEVICE COUNT                  so often 4 KiB + fsync
 *        functional flushes DEVICE COUNT                 fsync without a write
 *        functional odd DEVICE                           odd buffers and sizes
 *        functional read|write|sync|dsync DEVICE BLOCK   print ok or the error
 *        functional hammer DEVICE SEED SECONDS           threads write and verify
 *        functional memory MB                            use it, and look at it
 *        functional addkey                               the key of vault.c
 *        functional sealedkey KEK NAME                   the same as keyctl add encrypted
 *                                                        loads it under user key NAME
 *        functional format DATA_BLOCKS LOG_BLOCKS ANCHOR as vault.c does
 *        functional node MAP LEVEL INDEX DATA_BLOCKS LOG_BLOCKS
 *                                                        its two places; MAP: 0 or 1
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/qvtest.h"

static u64 number(const char *word)
{
	char *end;
	u64 n = strtoull(word, &end, 0);

	if (*end)
		die("not a number: %s", word);
	return n;
}

static int open_or_die(const char *path)
{
	int fd = open_direct(path, O_RDWR);

	if (fd == -EROFS || fd == -EACCES)
		fd = open_direct(path, O_RDONLY);
	if (fd < 0)
		die("%s: %s", path, strerror(-fd));
	return fd;
}

static void fill(u8 *buf, u64 seed, u64 block)
{
	struct prng p;

	prng_seed(&p, seed << 40 ^ block);
	prng_fill(&p, buf, BLOCK);
}

static int pattern(char **arg, bool verify)
{
	int fd = open_or_die(arg[0]), err;
	u64 seed = number(arg[1]), first = number(arg[2]);
	u64 count = number(arg[3]), at, n, i;
	u8 *buf = block_buffer(MAX_IO), *want = block_buffer(1);

	for (at = 0; at < count; at += n) {
		n = count - at < MAX_IO ? count - at : MAX_IO;
		for (i = 0; i < n && !verify; i++)
			fill(buf + i * BLOCK, seed, first + at + i);
		err = verify ? read_blocks(fd, first + at, buf, n) :
			       write_blocks(fd, first + at, buf, n);
		if (err)
			die("block %llu: %s", (unsigned long long)(first + at),
			    strerror(-err));
		for (i = 0; i < n && verify; i++) {
			fill(want, seed, first + at + i);
			if (memcmp(want, buf + i * BLOCK, BLOCK))
				die("block %llu differs",
				    (unsigned long long)(first + at + i));
		}
	}
	return 0;
}

/* One by one: of what cannot be read, its neighbours may be well. */
static int judge(char **arg)
{
	int fd = open_or_die(arg[0]), err;
	u64 seed = number(arg[1]), block = number(arg[2]);
	u64 end = block + number(arg[3]), right = 0, lost = 0, wrong = 0;
	u8 *buf = block_buffer(1), *want = block_buffer(1);

	for (; block < end; block++) {
		fill(want, seed, block);
		err = read_blocks(fd, block, buf, 1);
		if (err == -EILSEQ)
			lost++;
		else if (err || memcmp(want, buf, BLOCK))
			wrong++;
		else
			right++;
	}
	printf("%llu right, %llu lost, %llu wrong\n", (unsigned long long)right,
	       (unsigned long long)lost, (unsigned long long)wrong);
	return 0;
}

static int zeros(char **arg)
{
	int fd = open_or_die(arg[0]), err;
	u64 first = number(arg[1]), count = number(arg[2]), at, n, i;
	u8 *buf = block_buffer(MAX_IO);

	for (at = 0; at < count; at += n) {
		n = count - at < MAX_IO ? count - at : MAX_IO;
		memset(buf, 0x55, n * BLOCK);
		err = read_blocks(fd, first + at, buf, n);
		if (err)
			die("block %llu: %s", (unsigned long long)(first + at),
			    strerror(-err));
		for (i = 0; i < n * BLOCK; i++)
			if (buf[i])
				die("block %llu is not zero",
				    (unsigned long long)(first + at + i / BLOCK));
	}
	return 0;
}

static int fsyncs(char **arg, bool writes)
{
	int fd = open_or_die(arg[0]);
	u64 count = number(arg[1]), i;
	u8 *buf = block_buffer(1);

	for (i = 0; i < count; i++) {
		fill(buf, 7, i);
		if (writes && write_blocks(fd, i * 3 % 1000, buf, 1))
			die("write: %s", strerror(errno));
		if (fsync(fd))
			die("fsync: %s", strerror(errno));
	}
	return 0;
}

static int one(char **arg, char what)
{
	int fd = open_or_die(arg[0]), err = 0;
	u64 block = number(arg[1]);
	u8 *buf = block_buffer(1);

	fill(buf, 99, block);
	switch (what) {
	case 'r': err = read_blocks(fd, block, buf, 1); break;
	case 'w': err = write_blocks(fd, block, buf, 1); break;
	case 's': err = fsync(fd) ? -errno : 0; break;
	case 'd': err = write_blocks_fua(fd, block, buf, 1); break;
	}
	printf("%s\n", err ? strerrorname_np(-err) : "ok");
	return 0;
}

/* ---- Odd buffers -------------------------------------------------------- */

static void odd_one(int fd, struct prng *p, u8 *image, u64 blocks)
{
	struct iovec iov[8];
	u8 *buf = block_buffer(64);
	u64 lba, count, left;
	u32 i = 0, at = 512 * prng_below(p, 8);
	ssize_t done;

	count = 1 + prng_below(p, 16);
	lba = prng_below(p, blocks - count);
	left = count * BLOCK;
	/* Whole blocks, as the block layer wants them, at any multiple of 512. */
	while (left) {
		u64 n = i == 7 ? left : BLOCK * (1 + prng_below(p, 4));

		if (n > left)
			n = left;
		iov[i].iov_base = buf + at;
		iov[i].iov_len = n;
		at += n + 512 * prng_below(p, 8);
		left -= n;
		i++;
	}
	if (at > 64 * BLOCK)
		die("the test's own buffer is too small");
	if (prng_chance(p, 60)) {
		u8 *to = image + lba * BLOCK;
		u32 k;

		for (k = 0; k < i; k++) {
			prng_fill(p, iov[k].iov_base, iov[k].iov_len);
			memcpy(to, iov[k].iov_base, iov[k].iov_len);
			to += iov[k].iov_len;
		}
		done = pwritev(fd, iov, i, lba * BLOCK);
	} else {
		const u8 *from = image + lba * BLOCK;
		u32 k;

		done = preadv(fd, iov, i, lba * BLOCK);
		for (k = 0; k < i; k++) {
			if (memcmp(from, iov[k].iov_base, iov[k].iov_len))
				die("segment %u of a read at block %llu differs",
				    k, (unsigned long long)lba);
			from += iov[k].iov_len;
		}
	}
	if (done != (ssize_t)(count * BLOCK))
		die("block %llu, %llu blocks in %u segments: %s",
		    (unsigned long long)lba, (unsigned long long)count, i,
		    done < 0 ? strerror(errno) : "short");
	free(buf);
}

static int odd(char **arg)
{
	int fd = open_or_die(arg[0]);
	u64 blocks = 500, i;
	u8 *image = block_buffer(blocks), *buf = block_buffer(2);
	struct prng p;

	prng_seed(&p, 5);
	for (i = 0; i < blocks; i += 100)
		if (write_blocks(fd, i, image, 100))
			die("write: %s", strerror(errno));
	for (i = 0; i < 1500; i++)
		odd_one(fd, &p, image, blocks);
	/* Less than a block, or beside one, is not a thing that a vault has. */
	if (pwrite(fd, buf, 512, 0) >= 0 || errno != EINVAL)
		die("a write of 512 bytes was accepted");
	if (pwrite(fd, buf, BLOCK, 512) >= 0 || errno != EINVAL)
		die("a write beside a block was accepted");
	if (pread(fd, buf, 512, 512) >= 0 || errno != EINVAL)
		die("a read of 512 bytes was accepted");
	return 0;
}

/* ---- Threads that write and verify -------------------------------------- */

struct hammer {
	const char *path;
	u64 seed, first, blocks;
	double seconds, until;
	char error[128];
	u64 operations;
};

/* Each has a range of its own and so knows what must be there. */
static void *hammer_thread(void *arg)
{
	struct hammer *h = arg;
	int fd = open_direct(h->path, O_RDWR);
	u8 *image = block_buffer(h->blocks), *buf = block_buffer(64);
	struct prng p;

	prng_seed(&p, h->seed);
	if (fd < 0 || discard_blocks(fd, h->first, h->blocks)) {
		snprintf(h->error, sizeof(h->error), "open or discard: %s",
			 strerror(errno));
		return NULL;
	}
	h->until = now() + h->seconds;
	while (now() < h->until && !h->error[0]) {
		u64 n = 1 + prng_below(&p, 32), lba, dice = prng_below(&p, 100);
		int err;

		lba = prng_below(&p, h->blocks - n);
		h->operations++;
		if (dice < 50) {
			prng_fill(&p, buf, n * BLOCK);
			memcpy(image + lba * BLOCK, buf, n * BLOCK);
			err = write_blocks(fd, h->first + lba, buf, n);
		} else if (dice < 90) {
			err = read_blocks(fd, h->first + lba, buf, n);
			if (!err && memcmp(buf, image + lba * BLOCK, n * BLOCK))
				snprintf(h->error, sizeof(h->error),
					 "blocks from %llu differ",
					 (unsigned long long)(h->first + lba));
		} else if (dice < 95) {
			err = fsync(fd) ? -errno : 0;
		} else {
			memset(image + lba * BLOCK, 0, n * BLOCK);
			err = discard_blocks(fd, h->first + lba, n);
		}
		if (err)
			snprintf(h->error, sizeof(h->error), "block %llu: %s",
				 (unsigned long long)(h->first + lba),
				 strerror(-err));
	}
	close(fd);
	free(image);
	free(buf);
	return NULL;
}

#define HAMMERS	4

static int hammer(char **arg)
{
	struct hammer h[HAMMERS] = { 0 };
	pthread_t thread[HAMMERS];
	int fd = open_or_die(arg[0]), i, bad = 0;
	u64 share = device_blocks(fd) / HAMMERS, sum = 0;

	close(fd);
	for (i = 0; i < HAMMERS; i++) {
		h[i].path = arg[0];
		h[i].seed = number(arg[1]) + i;
		h[i].first = i * share;
		h[i].blocks = share < 600 ? share : 600;
		h[i].seconds = atof(arg[2]);
		if (pthread_create(&thread[i], NULL, hammer_thread, &h[i]))
			die("no thread");
	}
	for (i = 0; i < HAMMERS; i++) {
		pthread_join(thread[i], NULL);
		sum += h[i].operations;
		if (h[i].error[0]) {
			fprintf(stderr, "%s\n", h[i].error);
			bad = 1;
		}
	}
	printf("%llu operations\n", (unsigned long long)sum);
	return bad || sum < 10;
}

/* Fill so much memory, and see that it is still so: swap comes into play. */
static int memory(char **arg)
{
	u64 blocks = number(arg[0]) * 256, i;
	u8 *all = malloc(blocks * BLOCK), *want = block_buffer(1);

	if (!all)
		die("out of memory");
	for (i = 0; i < blocks; i++)
		fill(all + i * BLOCK, 1, i);
	for (i = 0; i < blocks; i++) {
		fill(want, 1, i);
		if (memcmp(all + i * BLOCK, want, BLOCK))
			die("page %llu changed", (unsigned long long)i);
	}
	return 0;
}

static int format(char **arg)
{
	struct vault_params p;
	struct qvault_geometry geo;
	int fd = open_or_die(arg[2]);
	void *anchor = block_buffer(QVAULT_ANCHOR_BLOCKS);

	vault_default_params(&p, number(arg[0]), number(arg[1]), &geo);
	vault_format(&p, anchor);
	if (write_blocks(fd, 0, anchor, QVAULT_ANCHOR_BLOCKS))
		die("anchor: %s", strerror(errno));
	printf("%llu\n", (unsigned long long)p.logical_blocks * QVAULT_SECTORS);
	return 0;
}

/* node MAP LEVEL INDEX DATA_BLOCKS LOG_BLOCKS: its places, one or two a slot. */
static int node(char **arg)
{
	enum qvault_kind kind = number(arg[0]) ? QVAULT_KIND_MAP : QVAULT_KIND_NODE;
	struct vault_params p;
	struct qvault_geometry geo;
	unsigned long long block;
	u32 slot, copy, copies = 1 + qvault_node_twice(kind, number(arg[1]));

	vault_default_params(&p, number(arg[3]), number(arg[4]), &geo);
	for (slot = 0; slot < 2; slot++) {
		for (copy = 0; copy < copies; copy++) {
			block = qvault_node_block(&geo, kind, number(arg[1]),
						  number(arg[2]), slot, copy);
			printf("%llu\n", block);
		}
	}
	return 0;
}

static int addkey(void)
{
	struct vault_params p;
	struct qvault_geometry geo;

	vault_default_params(&p, 4096, QVAULT_MIN_LOG_BLOCKS, &geo);
	vault_add_key(&p);
	return 0;
}

/* What the kernel's encrypted keys derive from a key-encryption key. */
static void derive(const char *purpose, const char *kek, u8 out[32])
{
	u8 all[256] = {};
	size_t bytes = strlen("AUTH_KEY") + 1 + strlen(kek);

	if (bytes < 32)
		bytes = 32;
	memcpy(all, purpose, strlen(purpose));
	memcpy(all + strlen(purpose) + 1, kek, strlen(kek));
	if (!EVP_Digest(all, bytes, out, NULL, EVP_sha256(), NULL))
		die("SHA-256 failed");
}

/* Documentation/security/keys/trusted-encrypted.rst: IV, AES-256-CBC, HMAC. */
static int sealedkey(char **arg)
{
	struct vault_params p;
	struct qvault_geometry geo;
	u8 derived[32], signed_part[256] = {}, mac[32];
	size_t text = sprintf((char *)signed_part, "user:%s", arg[1]) + 1, i;
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int bytes;
	u8 *iv;

	text += sprintf((char *)signed_part + text, "%zu", sizeof(p.master)) + 1;
	iv = signed_part + text;
	memset(iv, 0x5a, 16);
	vault_default_params(&p, 4096, QVAULT_MIN_LOG_BLOCKS, &geo);
	derive("ENC_KEY", arg[0], derived);
	if (!EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, derived, iv) ||
	    !EVP_EncryptUpdate(cipher, iv + 17, &bytes, p.master, sizeof(p.master)))
		die("AES failed");
	EVP_CIPHER_CTX_free(cipher);
	derive("AUTH_KEY", arg[0], derived);
	bytes = 17 + sizeof(p.master);
	HMAC(EVP_sha256(), derived, sizeof(derived), signed_part, text + bytes,
	     mac, NULL);
	printf("load user:%s %zu ", arg[1], sizeof(p.master));
	for (i = 0; i < (size_t)bytes; i++)
		printf("%02x", iv[i]);
	for (i = 0; i < sizeof(mac); i++)
		printf("%02x", mac[i]);
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	char **arg = argv + 2;

	argc -= 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(verb, "pattern") && argc == 4)
		return pattern(arg, false);
	if (!strcmp(verb, "verify") && argc == 4)
		return pattern(arg, true);
	if (!strcmp(verb, "judge") && argc == 4)
		return judge(arg);
	if (!strcmp(verb, "zeros") && argc == 3)
		return zeros(arg);
	if (!strcmp(verb, "fsyncs") && argc == 2)
		return fsyncs(arg, true);
	if (!strcmp(verb, "flushes") && argc == 2)
		return fsyncs(arg, false);
	if (!strcmp(verb, "odd") && argc == 1)
		return odd(arg);
	if (!strcmp(verb, "hammer") && argc == 3)
		return hammer(arg);
	if (!strcmp(verb, "memory") && argc == 1)
		return memory(arg);
	if (!strcmp(verb, "format") && argc == 3)
		return format(arg);
	if (!strcmp(verb, "node") && argc == 5)
		return node(arg);
	if (!strcmp(verb, "addkey") && !argc)
		return addkey();
	if (!strcmp(verb, "sealedkey") && argc == 2)
		return sealedkey(arg);
	if (argc == 2 && (!strcmp(verb, "read") || !strcmp(verb, "write") ||
			  !strcmp(verb, "sync") || !strcmp(verb, "dsync")))
		return one(arg, verb[0]);
	die("see the head of functional.c");
}
