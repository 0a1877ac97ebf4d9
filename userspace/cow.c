// SPDX-License-Identifier: GPL-2.0
/*
 * Making and removing the private copy of an ephemeral vault.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cow.h"

/* Not that of vaults, for which it must not be taken. */
#define UUID_PREFIX	"QVAULT_COW-"
#define SUFFIX		"-cow"

/*
 * In sectors.  A vault writes whole blocks at their places, so no part of one is ever
 * copied from below.
 */
#define CHUNK		QVAULT_SECTORS

static void name_it(char name[CTL_DM_NAME_CHARS], const char *vault)
{
	snprintf(name, CTL_DM_NAME_CHARS, "%s" SUFFIX, vault);
}

int ctl_cow_check_name(const char *vault)
{
	const size_t most = CTL_DM_UUID_CHARS - sizeof(UUID_PREFIX);
	char name[CTL_DM_NAME_CHARS];
	struct ctl_dm_info info;

	if (strlen(vault) > most)
		return ctl_fail(CTL_USAGE, "with --cow a name has at most %zu characters",
				most);
	name_it(name, vault);
	if (!ctl_dm_info(name, &info) && info.exists)
		return ctl_fail(CTL_BUSY,
				"the device /dev/mapper/%s exists already, which is to be the private copy",
				name);
	return CTL_OK;
}

int ctl_cow_open(struct ctl_device *cow, const struct ctl_options *o,
		 const struct ctl_device *data, const struct ctl_device *anchor)
{
	char *losses = NULL;
	int err;

	err = ctl_device_open(cow, o->cow, CTL_READ);
	if (!err && (ctl_device_same(cow, data) || ctl_device_same(cow, anchor)))
		err = ctl_fail(CTL_WRONG_DEVICE,
			       "--cow %s is the vault's own %s device: what is written must go elsewhere",
			       cow->path, ctl_device_same(cow, data) ? "data" : "anchor");
	if (!err)
		err = ctl_device_reopen(cow, CTL_WRITE | CTL_EXCLUSIVE);
	if (!err && cow->bytes < CHUNK * 512)
		err = ctl_fail(CTL_WRONG_DEVICE,
			       "%s device %s is empty: it must have room for all that will be written",
			       cow->role, cow->path);
	if (!err)
		err = ctl_losses_of_data(&losses, cow);
	if (!err && losses && !ctl_given(o, CTL_OPT_FORCE))
		err = ctl_fail(CTL_BUSY,
			       "%s, which the vault overwrites; nothing was changed: give --force to destroy it",
			       losses);
	free(losses);
	return err;
}

static int create(const char *name, const char *vault, const struct ctl_device *data,
		  dev_t store)
{
	char uuid[CTL_DM_UUID_CHARS], params[100];
	int err;

	snprintf(uuid, sizeof(uuid), UUID_PREFIX "%s", vault);
	/* N: nothing of it is to be found again. */
	snprintf(params, sizeof(params), "%u:%u %u:%u N %u", major(data->rdev),
		 minor(data->rdev), major(store), minor(store), CHUNK);
	err = ctl_dm_create(name, uuid);
	if (err)
		return err;
	err = ctl_dm_load_snapshot(name, data->bytes / 512, params);
	if (!err)
		err = ctl_dm_resume(name, true);
	if (err)
		ctl_dm_remove(name, CTL_DM_REMOVE_RETRY);
	return err;
}

static int make(const char *vault, const struct ctl_device *data, dev_t store,
		dev_t *copy)
{
	char name[CTL_DM_NAME_CHARS];
	struct ctl_dm_info info;
	int err;

	name_it(name, vault);
	err = create(name, vault, data, store);
	if (!err)
		err = ctl_dm_info(name, &info);
	if (err)
		return ctl_fail(ctl_exit_of(err),
				"cannot make the private copy of %s: %s (is the module dm-snapshot installed for this kernel?)",
				data->path, strerror(-err));
	*copy = makedev(info.major, info.minor);
	return CTL_OK;
}

int ctl_cow_make(const char *vault, const struct ctl_device *data,
		 const struct ctl_device *cow, dev_t *copy)
{
	dev_t store = cow->rdev;
	int err, fd = -1;

	if (!cow->block) {
		err = ctl_loop_attach(cow, &fd, &store);
		if (err)
			return err;
	}
	err = make(vault, data, store, copy);
	/* The snapshot has it from here on. */
	if (fd >= 0)
		close(fd);
	return err;
}

void ctl_cow_leave(const char *vault)
{
	char name[CTL_DM_NAME_CHARS];
	int err;

	name_it(name, vault);
	err = ctl_dm_remove(name, CTL_DM_REMOVE_DEFERRED);
	if (err)
		ctl_warn("%s has to be removed by hand when %s is gone: %s", name, vault,
			 strerror(-err));
}

/* Its copy, if there is one. */
static bool find(const char *vault, char name[CTL_DM_NAME_CHARS],
		 struct ctl_dm_info *info)
{
	if (strlen(vault) + sizeof(SUFFIX) > CTL_DM_NAME_CHARS)
		return false;
	name_it(name, vault);
	return !ctl_dm_info(name, info) && info->exists &&
	       !strncmp(info->uuid, UUID_PREFIX, sizeof(UUID_PREFIX) - 1);
}

bool ctl_cow_exists(const char *vault)
{
	char name[CTL_DM_NAME_CHARS];
	struct ctl_dm_info info;

	return find(vault, name, &info);
}

void ctl_cow_remove(const char *vault)
{
	char name[CTL_DM_NAME_CHARS];
	struct ctl_dm_info info;
	int err = 0;

	if (find(vault, name, &info))
		err = ctl_dm_remove(name, CTL_DM_REMOVE_RETRY);
	/* It may have gone by itself just now. */
	if (err && err != -ENXIO)
		ctl_warn("the private copy %s is left behind: %s", name, strerror(-err));
	else
		ctl_dm_tidy(name);
}

bool ctl_cow_usage(const char *vault, const char *data, struct ctl_cow_usage *usage)
{
	char name[CTL_DM_NAME_CHARS], number[32];
	struct ctl_dm_target status;
	struct ctl_dm_info info;
	bool is = false;

	memset(usage, 0, sizeof(*usage));
	if (!find(vault, name, &info))
		return false;
	snprintf(number, sizeof(number), "%u:%u", info.major, info.minor);
	if (!strcmp(number, data) && !ctl_dm_status(name, &status)) {
		is = true;
		usage->invalid = sscanf(status.params, "%" SCNu64 "/%" SCNu64,
					&usage->used, &usage->bytes) != 2;
		usage->used *= 512;
		usage->bytes *= 512;
		ctl_dm_target_free(&status);
	}
	return is;
}

bool ctl_cow_is_one(const char *name)
{
	char path[512], uuid[CTL_DM_UUID_CHARS] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/block/%s/dm/uuid", name);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%128s", uuid) != 1)
		*uuid = '\0';
	fclose(file);
	return !strncmp(uuid, UUID_PREFIX, sizeof(UUID_PREFIX) - 1);
}
