// SPDX-License-Identifier: GPL-2.0
/*
 * Finding an attached vault by its name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qvault-ctl.h"
#include "vault.h"

static const char directory[] = "/dev/mapper/";

/* The path of the device will do as well. */
const char *ctl_vault_name(const char *word)
{
	if (!strncmp(word, directory, sizeof(directory) - 1))
		return word + sizeof(directory) - 1;
	return word;
}

static bool has_our_uuid(const struct ctl_dm_info *info)
{
	return !strncmp(info->uuid, CTL_DM_UUID_PREFIX,
			sizeof(CTL_DM_UUID_PREFIX) - 1);
}

/* *type is "" for a vault; also for what a killed attach left, without a table. */
static int get_type(const char *name, char type[CTL_DM_TYPE_CHARS])
{
	struct ctl_dm_target target;
	int err;

	*type = '\0';
	err = ctl_dm_table(name, &target);
	if (!err && strcmp(target.type, "qvault"))
		snprintf(type, CTL_DM_TYPE_CHARS, "%s", target.type);
	ctl_dm_target_free(&target);
	if (!err || err == -ENODATA)
		return CTL_OK;
	return ctl_fail(ctl_exit_of(err), "cannot look at %s: %s", name,
			strerror(-err));
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

int ctl_vault_find_remains(const char *name, struct ctl_dm_info *info,
			   char type[CTL_DM_TYPE_CHARS])
{
	int err = look_up(name, info);

	if (err)
		return err;
	if (!info->exists)
		return ctl_fail(CTL_WRONG_DEVICE, "no vault %s is attached", name);
	if (!info->live && !has_our_uuid(info))
		return ctl_fail(CTL_WRONG_DEVICE, "%s is no vault", name);
	err = get_type(name, type);
	if (!err && *type && !has_our_uuid(info))
		return ctl_fail(CTL_WRONG_DEVICE,
				"%s is no vault but a device of type %s", name,
				type);
	return err;
}

int ctl_vault_find(const char *name, struct ctl_dm_info *info)
{
	char type[CTL_DM_TYPE_CHARS];
	int err = ctl_vault_find_remains(name, info, type);

	if (err || !*type)
		return err;
	return ctl_fail(CTL_WRONG_DEVICE,
			"%s is no vault any more: somebody gave its device a table of type %s (dmsetup remove --force does); qvault-ctl detach removes it",
			name, type);
}

int ctl_vault_refuse_attached(const uint8_t *uuid)
{
	char prefix[sizeof(CTL_DM_UUID_PREFIX) + CTL_UUID_CHARS + 1];
	char text[CTL_UUID_CHARS], name[CTL_DM_NAME_CHARS];

	/* Who may not ask may not attach either; and nothing is to be made for it. */
	if (access("/dev/mapper/control", R_OK | W_OK))
		return CTL_OK;
	snprintf(prefix, sizeof(prefix), CTL_DM_UUID_PREFIX "%s-",
		 ctl_uuid_text(text, uuid));
	if (ctl_dm_find(prefix, name))
		return CTL_OK;
	return ctl_fail(CTL_BUSY, "the vault %s is already attached, as %s", text,
			name);
}

const char *ctl_vault_why(const char *name, int err)
{
	static const char taken[] = "taken ", failed[] = "failed ";
	const char *why = strerror(-err);
	struct ctl_dm_target status;

	if (!ctl_dm_status(name, &status)) {
		if (!strncmp(status.params, taken, sizeof(taken) - 1))
			why = "another attachment took the vault over";
		else if (!strncmp(status.params, failed, sizeof(failed) - 1))
			why = "its devices failed (see the kernel's log)";
	}
	ctl_dm_target_free(&status);
	return why;
}

static const char *kind_of(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return "a regular file";
	if (S_ISDIR(st->st_mode))
		return "a directory";
	return S_ISBLK(st->st_mode) ? "another device" : "no block device";
}

/* 0 if there is anything. */
static int look_at_node(const char *name, struct stat *st)
{
	char path[sizeof(directory) + CTL_DM_NAME_CHARS];

	snprintf(path, sizeof(path), "%s%s", directory, name);
	return stat(path, st);
}

const char *ctl_vault_wrong_node(const char *name, const struct ctl_dm_info *info)
{
	struct stat st;

	if (look_at_node(name, &st))
		return "missing";
	if (S_ISBLK(st.st_mode) && st.st_rdev == makedev(info->major, info->minor))
		return NULL;
	return kind_of(&st);
}

const char *ctl_vault_foreign_node(const char *name)
{
	struct stat st;

	if (look_at_node(name, &st) || S_ISBLK(st.st_mode))
		return NULL;
	return kind_of(&st);
}
