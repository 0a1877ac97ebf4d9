// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl commit and qvault-ctl checkpoint.
 */
#include <errno.h>

#include "dm.h"
#include "qvault-ctl.h"
#include "vault.h"

static int send(const struct ctl_options *o, const char *message)
{
	const char *name = ctl_vault_name(o->argv[0]);
	struct ctl_dm_info info;
	int err;

	err = ctl_vault_find(name, &info);
	if (err)
		return err;
	err = ctl_dm_message(name, message);
	if (err == -ENODEV)
		return ctl_fail(CTL_WRONG_DEVICE,
				"%s: no %s while it is suspended (qvault-ctl resume)",
				name, message);
	if (err)
		return ctl_fail(ctl_exit_of(err),
				"%s: %s failed, and writes since the last flush may be lost: %s",
				name, message, ctl_vault_why(name, err));
	return CTL_OK;
}

int ctl_commit_verb(struct ctl_options *o)
{
	return send(o, "commit");
}

int ctl_checkpoint_verb(struct ctl_options *o)
{
	return send(o, "checkpoint");
}
