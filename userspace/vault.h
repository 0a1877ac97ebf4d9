/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attached vaults, for the verbs that take a name.
 */
#ifndef QVAULT_CTL_VAULT_H
#define QVAULT_CTL_VAULT_H

#include <stdbool.h>

struct ctl_dm_info;

/* Takes "/dev/mapper/x" for "x". */
const char *ctl_vault_name(const char *word);
/* Both return an exit code.  The first only asks whether there is such a device. */
int ctl_vault_exists(const char *name, bool *exists);
/* Says so if there is no such device or it is no vault. */
int ctl_vault_find(const char *name, struct ctl_dm_info *info);

#endif
