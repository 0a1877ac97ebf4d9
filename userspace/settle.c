// SPDX-License-Identifier: GPL-2.0
/*
 * A vault that several hosts share: who wants to write its anchor claims it first, and
 * waits until nobody else can be writing.  The kernel does so when it attaches; here is
 * the same for who writes without attaching.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qvault-ctl.h"
#include "record.h"

/* ---- While it takes its time ---------------------------------------------- */

static void count_down(uint32_t seconds)
{
	for (; seconds; seconds--) {
		fprintf(stderr, "\rqvault-ctl: waiting for other hosts, %" PRIu32 " s ",
			seconds);
		sleep(1);
	}
	fputs("\r\033[K", stderr);
}

static void wait_and_tell(uint32_t seconds)
{
	if (isatty(STDERR_FILENO))
		count_down(seconds);
	else
		while (seconds)
			seconds = sleep(seconds);
}

/*
 * In a process of its own, since the one that asks waits in the kernel; all signals of
 * the caller are blocked, and so are those here.
 */
pid_t ctl_settle_tell(uint32_t seconds)
{
	pid_t pid;

	if (!seconds || !isatty(STDERR_FILENO))
		return 0;
	pid = fork();
	if (pid)
		return pid;
	count_down(seconds);
	_exit(0);
}

void ctl_settle_told(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fputs("\r\033[K", stderr);
}

/* ---- Devices -------------------------------------------------------------- */

/* A loop device answers from the memory of this host, unless it is told not to. */
int ctl_settle_check_device(const struct ctl_device *dev)
{
	char path[64], answer = '1';
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/dio", major(dev->rdev),
		 minor(dev->rdev));
	file = dev->block ? fopen(path, "re") : NULL;
	if (!file)
		return CTL_OK;
	if (fread(&answer, 1, 1, file) != 1)
		answer = '0';
	fclose(file);
	if (answer == '1')
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"%s device %s is a loop device, which does not see what other hosts write: losetup --direct-io=on %s",
			dev->role, dev->path, dev->path);
}

/* ---- Claim, wait, look ---------------------------------------------------- */

static int make_claim(struct qvault_disk_claim *claim, const struct ctl_key *key,
		      const struct ctl_record *r)
{
	int err;

	memset(claim, 0, sizeof(*claim));
	memcpy(claim->magic, QVAULT_CLAIM_MAGIC, sizeof(claim->magic));
	claim->format = htole32(QVAULT_FORMAT_VERSION);
	claim->settle = htole32(r->settle);
	memcpy(claim->uuid, r->uuid, sizeof(claim->uuid));
	memcpy(claim->check, key->check, sizeof(claim->check));
	claim->epoch = htole64(r->epoch + 1);
	claim->time = htole64((uint64_t)time(NULL));
	static_assert(sizeof(claim->nonce) == QVAULT_UUID_SIZE, "as random as a UUID");
	err = ctl_uuid_random(claim->nonce);
	return err ? err : ctl_anchor_mac(key, claim,
					  offsetof(struct qvault_disk_claim, mac),
					  claim->mac);
}

int ctl_settle_claim(const struct ctl_device *anchor, const struct ctl_key *key,
		     const struct ctl_record *r)
{
	static _Alignas(QVAULT_BLOCK_SIZE) struct qvault_disk_claim claim, seen;
	const off_t place = (off_t)QVAULT_CLAIM_BLOCK * QVAULT_BLOCK_SIZE;
	int err;

	err = ctl_settle_check_device(anchor);
	if (!err)
		err = make_claim(&claim, key, r);
	if (err)
		return err;
	err = ctl_device_write(anchor, &claim, sizeof(claim), place);
	if (!err) {
		wait_and_tell(r->settle);
		err = ctl_device_read(anchor, &seen, sizeof(seen), place);
	}
	if (err)
		return ctl_fail(CTL_WRONG_DEVICE, "cannot claim the vault on anchor %s: %s",
				anchor->path, strerror(-err));
	if (CRYPTO_memcmp(&claim, &seen, sizeof(claim)))
		return ctl_fail(CTL_BUSY,
				"another host attaches the vault on anchor %s at this moment; nothing was changed",
				anchor->path);
	return CTL_OK;
}
