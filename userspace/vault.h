/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attached vaults, for the verbs that take a name.
 */
#ifndef QVAULT_CTL_VAULT_H
#define QVAULT_CTL_VAULT_H

#include <stdbool.h>

#include "dm.h"

/* Takes "/dev/mapper/x" for "x". */
const char *ctl_vault_name(const char *word);
/* Both return an exit code.  The first only asks whether there is such a device. */
int ctl_vault_exists(const char *name, bool *exists);
/* Says so if there is no such device or it is no vault. */
int ctl_vault_find(const char *name, struct ctl_dm_info *info);
/*
 * The same, but what was a vault will do: it has our UUID, and another table
 * (dmsetup remove --force gives it one that only fails).  *type is the type of that,
 * "" for a vault.
 */
int ctl_vault_find_remains(const char *name, struct ctl_dm_info *info,
			   char type[CTL_DM_TYPE_CHARS]);

/* Says so if a vault of this UUID is attached on this machine, as far as we may know. */
int ctl_vault_refuse_attached(const uint8_t *uuid);

/* Why it could not commit, in words; @err is what the kernel said. */
const char *ctl_vault_why(const char *name, int err);

/*
 * What stands at /dev/mapper/NAME instead of this device, in words, or NULL.
 * Whoever writes there believes that it is the vault.
 */
const char *ctl_vault_wrong_node(const char *name, const struct ctl_dm_info *info);
/* Something that no device mapper put there, in words, or NULL. */
const char *ctl_vault_foreign_node(const char *name);

/* Who uses it (in_use.c); both return an exit code, the first always the same. */
int ctl_vault_refuse_used(const char *name);
/* Waits a moment for those who only look, and refreshes @info. */
int ctl_vault_wait_unused(const char *name, struct ctl_dm_info *info);

#endif
