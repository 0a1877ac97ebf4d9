// SPDX-License-Identifier: GPL-2.0
/*
 * Finding an attached vault by its name.
 */
#include <errno.h>
#include <string.h>

#include "dm.h"
#include "qvault-ctl.h"
#include "vault.h"

/* The path of the device will do as well. */
const char *ctl_vault_name(const char *word)
{
	static const char directory[] = "/dev/mapper/";

	if (!strncmp(word, directory, sizeof(directory) - 1))
		return word + sizeof(directory) - 1;
	return word;
}

static int check_type(const char *name)
{
	struct ctl_dm_target target;
	int err;

	err = ctl_dm_table(name, &target);
	if (err == -ENODATA) {
		/* What a killed attach left: ours if its UUID says so. */
		err = 0;
	} else if (!err && strcmp(target.type, "qvault")) {
		err = ctl_fail(CTL_WRONG_DEVICE,
			       "%s is no vault but a device of type %s", name,
			       target.type);
	} else if (err) {
		err = ctl_fail(ctl_exit_of(err), "cannot look at %s: %s", name,
			       strerror(-err));
	}
	ctl_dm_target_free(&target);
	return err;
}

static int look_up(const char *name, struct ctl_dm_info *info)
{
	int err;

	if (!ctl_dm_valid_name(name))
		return ctl_fail(CTL_USAGE, "\"%s\" cannot be the name of a device",
				name);
	err = ctl_dm_info(name, info);
	if (err == -EACCES || err == -EPERM)
		return ctl_fail(CTL_DENIED,
				"no permission to use the device mapper: run this as root");
	/* No device mapper, no device. */
	if (err)
		info->exists = false;
	return CTL_OK;
}

int ctl_vault_exists(const char *name, bool *exists)
{
	struct ctl_dm_info info;
	int err = look_up(name, &info);

	*exists = !err && info.exists;
	return err;
}

int ctl_vault_find(const char *name, struct ctl_dm_info *info)
{
	int err = look_up(name, info);

	if (err)
		return err;
	if (!info->exists)
		return ctl_fail(CTL_WRONG_DEVICE, "no vault %s is attached", name);
	if (!info->live && strncmp(info->uuid, CTL_DM_UUID_PREFIX,
				   sizeof(CTL_DM_UUID_PREFIX) - 1))
		return ctl_fail(CTL_WRONG_DEVICE, "%s is no vault", name);
	return check_type(name);
}
