// SPDX-License-Identifier: GPL-2.0
/*
 * Generations: random secrets from which the keys of blocks come.  A record holds
 * them wrapped, so they live as long as a record that has them.
 */
#include <inttypes.h>
#include <openssl/rand.h>
#include <string.h>

#include "qvault-ctl.h"

bool ctl_generation_exists(const struct qvault_disk_anchor *disk, uint32_t number)
{
	static const struct qvault_disk_generation none;

	return memcmp(&disk->gen[number], &none, sizeof(none));
}

int ctl_generation_make(struct ctl_key *key, struct qvault_disk_anchor *disk,
			uint32_t number)
{
	uint8_t *secret = key->secret[number];

	if (RAND_priv_bytes(secret, QVAULT_SECRET_SIZE) != 1)
		return ctl_fail(CTL_NO_MEMORY, "libcrypto has no random numbers");
	return ctl_secret_wrap(key, secret, disk->gen[number].wrapped);
}

int ctl_generations_open(struct ctl_key *key, const struct qvault_disk_anchor *disk,
			 const char *path)
{
	uint32_t i;

	for (i = 0; i < QVAULT_GENERATIONS; i++)
		if (ctl_generation_exists(disk, i) &&
		    !ctl_secret_unwrap(key, disk->gen[i].wrapped, key->secret[i]))
			return ctl_fail(CTL_WRONG_DEVICE,
					"anchor %s makes no sense, although this key verifies it: generation %" PRIu32 " is under another key",
					path, i);
	return CTL_OK;
}

int ctl_generations_wrap(const struct ctl_key *to, const struct ctl_key *from,
			 struct qvault_disk_anchor *disk)
{
	int err = CTL_OK;
	uint32_t i;

	for (i = 0; !err && i < QVAULT_GENERATIONS; i++)
		if (ctl_generation_exists(disk, i))
			err = ctl_secret_wrap(to, from->secret[i],
					      disk->gen[i].wrapped);
	return err;
}

static uint32_t used(const struct qvault_disk_anchor *disk)
{
	uint32_t i, n = 0;

	for (i = 0; i < QVAULT_GENERATIONS; i++)
		n += ctl_generation_exists(disk, i);
	return n;
}

int ctl_generation_room(const struct qvault_disk_anchor *disk, uint32_t keep,
			const char *path)
{
	if (used(disk) + 1 + keep <= QVAULT_GENERATIONS)
		return CTL_OK;
	return ctl_fail(CTL_BUSY,
			"the vault of anchor %s has %" PRIu32 " of %u generations in use, and this needs a new one%s; nothing was changed: its blocks must be sealed anew under one of them first",
			path, used(disk), QVAULT_GENERATIONS,
			keep ? " (the last is kept for restore)" : "");
}

int ctl_generation_add(struct ctl_key *key, struct qvault_disk_anchor *disk)
{
	const struct qvault_disk_generation *like = &disk->gen[disk->seal];
	uint32_t number = 0;
	int err;

	while (number < QVAULT_GENERATIONS && ctl_generation_exists(disk, number))
		number++;
	if (number == QVAULT_GENERATIONS)
		return ctl_fail(CTL_BUSY, "all generations are in use");
	err = ctl_generation_make(key, disk, number);
	disk->gen[number].cipher = like->cipher;
	disk->gen[number].mac = like->mac;
	disk->seal = (uint8_t)number;
	return err;
}
