/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where are keys and plaintext, where should they not be, and is no IV used twice?
 *
 *   live.c    in a guest: a vault in use, idle, detached, refused; waits after each
 *   needles.c what to look for: keys and what ciphers make of them
 *   search.c  on the host: look for it in the guest's memory, and in files
 *   ivs.c     in a guest: constant plaintext, many lives and crashes
 */
#ifndef HYGIENE_H
#define HYGIENE_H

#include "../lib/qvtest.h"

#define DATA_BLOCKS	4096u
#define ALL_BLOCKS	(DATA_BLOCKS + QVAULT_ANCHOR_BLOCKS)	/* data, then anchor */
#define LOG_BLOCKS	64u
#define PLAIN_SIZE	64u

/* Both come to the guest masked, so that its memory has them from the vault only. */
#define MASK		0xa5

enum needle_kind {
	NEEDLE_MASTER,		/* in memory while the keyring has it */
	NEEDLE_CIPHER,		/* in memory while the vault is attached */
	NEEDLE_PASSING,		/* only while keys are derived */
	NEEDLE_PLAIN,
};

struct needle {
	const char *name;
	enum needle_kind kind;
	u32 bytes;
	u8 data[64];
};

#define MAX_NEEDLES	40u

u32 needles_make(const u8 master[QVAULT_MASTER_KEY_SIZE],
		 const u8 plain[PLAIN_SIZE], struct needle *needle);
void hygiene_params(struct vault_params *p, struct qvault_geometry *geo,
		    const u8 master[QVAULT_MASTER_KEY_SIZE]);
void hygiene_secret(struct vault_params *p);

int live_main(int argc, char **argv);
int ivs_main(int argc, char **argv);
int search_main(int argc, char **argv);
int format_main(int argc, char **argv);

#endif
