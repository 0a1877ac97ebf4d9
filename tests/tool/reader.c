// SPDX-License-Identifier: GPL-2.0
/*
 * An anchor as the second reading of the format sees it.
 *
 * usage: reader ANCHOR KEY
 *
 * Prints one line a slot: "empty", "other" (no record of this key), or what it says,
 * with a part of each generation's keys, which tells one secret from another.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/qvtest.h"

static u8 anchor[QVAULT_ANCHOR_BLOCKS * BLOCK];

static void load(const char *path, void *to, size_t bytes)
{
	FILE *in = fopen(path, "r");

	if (!in || fread(to, bytes, 1, in) != 1)
		die("%s: cannot be read", path);
	fclose(in);
}

static void show_generations(const struct vault_keys *keys)
{
	u32 i, k;

	for (i = 0; i < QVAULT_GENERATIONS; i++) {
		if (!keys->gen[i].mac_type)
			continue;
		printf("%s %u ", i ? "," : "", i);
		for (k = 0; k < 16; k++)
			printf("%02x", keys->gen[i].data[k]);
	}
}

static bool show(const struct vault_params *p, u32 slot)
{
	static const u8 zeros[BLOCK];
	const struct qvault_disk_anchor *a = vault_slot(anchor, slot);
	struct vault_params mine = *p;
	struct vault_keys keys;

	printf("%u: ", slot);
	if (!memcmp(a, zeros, BLOCK)) {
		puts("empty");
		return false;
	}
	memcpy(mine.uuid, a->uuid, sizeof(mine.uuid));
	vault_derive(&mine, &keys);
	if (!vault_anchor_valid(&keys, a)) {
		puts("other");
		return false;
	}
	if (!vault_generations(&keys, a))
		die("a secret does not unwrap");
	printf("verified, sequence %llu, generations",
	       (unsigned long long)le(a->sequence));
	show_generations(&keys);
	printf(", seal %u\n", a->seal);
	return true;
}

int main(int argc, char **argv)
{
	struct vault_params p = { .mac_type = QVAULT_MAC_HMAC_SHA256_128 };
	bool first, second;

	if (argc != 3)
		die("usage: reader ANCHOR KEY");
	load(argv[1], anchor, sizeof(anchor));
	load(argv[2], p.master, sizeof(p.master));
	first = show(&p, 0);
	second = show(&p, 1);
	return !first && !second;
}
