// SPDX-License-Identifier: GPL-2.0
/*
 * Opening a vault by its anchor, without attaching it.
 */
#include <inttypes.h>
#include <string.h>

#include "anchored.h"
#include "vault.h"

/* Whoever writes a record must know all that the record means. */
static int refuse_unknown(const struct ctl_anchored *a)
{
	if (!a->record.ro_compat)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"anchor %s has features that this qvault-ctl does not know (0x%" PRIx32 "), and may only be read",
			a->anchor.path, a->record.ro_compat);
}

static int read_newest(struct ctl_anchored *a)
{
	int err;

	err = ctl_anchor_read(&a->slots, &a->anchor);
	if (!err)
		err = ctl_anchor_newest(&a->slots, &a->anchor, a->key, &a->record);
	return err ? err : refuse_unknown(a);
}

/* Whoever has it on another host stops, and has acknowledged nothing since. */
static int claim(struct ctl_anchored *a)
{
	int err;

	if (a->only_read || !a->record.settle)
		return CTL_OK;
	err = ctl_key_derive(a->key, a->record.uuid);
	if (!err)
		err = ctl_settle_claim(&a->anchor, a->key, &a->record);
	return err ? err : read_newest(a);
}

int ctl_anchored_judge(struct ctl_anchored *a, const char *key_file)
{
	int err = a->key ? CTL_OK : ctl_key_read(&a->key, key_file);

	if (!err)
		err = read_newest(a);
	if (!err && !a->only_read)
		err = ctl_vault_refuse_attached(a->record.uuid);
	if (!err)
		err = claim(a);
	if (err)
		return err;
	a->disk = a->slots.disk[a->record.sequence % QVAULT_ANCHOR_SLOTS];
	/* The key may have been derived for what the other slot holds. */
	err = ctl_key_derive(a->key, a->record.uuid);
	return err ? err : ctl_generations_open(a->key, &a->disk, a->anchor.path);
}

int ctl_anchored_open(struct ctl_anchored *a, const char *path, int access,
		      const char *key_file)
{
	int err;

	a->only_read = !(access & CTL_WRITE);
	err = ctl_device_open(&a->anchor, path, access | CTL_EXCLUSIVE);
	return err ? err : ctl_anchored_judge(a, key_file);
}

void ctl_anchored_close(struct ctl_anchored *a)
{
	ctl_key_free(a->key);
	ctl_device_close(&a->anchor);
}

int ctl_need(const char *value, const char *what, const char *usage)
{
	if (value)
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "no %s: qvault-ctl %s", what, usage);
}

int ctl_need_two_keys(const char *one, const char *other)
{
	if (!one || !other || strcmp(one, "-") || strcmp(other, "-"))
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "two keys cannot both come from standard input");
}
