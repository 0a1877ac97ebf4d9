// SPDX-License-Identifier: GPL-2.0
/*
 * The label of a data device: whose it is, for who looks for it.  It stands on the
 * storage that is not trusted, so it decides nothing but where to look first.
 */
#include <endian.h>
#include <string.h>

#include "qvault-ctl.h"

static const uint8_t magic[8] = QVAULT_LABEL_MAGIC;
static _Alignas(QVAULT_BLOCK_SIZE) uint8_t block[QVAULT_BLOCK_SIZE];

/* Fields that a later format may fill are not looked at. */
int ctl_label_peek(const struct ctl_device *data, bool *found,
		   uint8_t uuid[QVAULT_UUID_SIZE])
{
	const struct qvault_disk_label *label = (void *)block;
	int err;

	*found = false;
	if (data->bytes < sizeof(block))
		return 0;
	err = ctl_device_read(data, block, sizeof(block), 0);
	if (err)
		return err;
	*found = !memcmp(label->magic, magic, sizeof(magic));
	if (*found)
		memcpy(uuid, label->uuid, sizeof(label->uuid));
	return 0;
}

int ctl_label_read(const struct ctl_device *data, bool *found,
		   uint8_t uuid[QVAULT_UUID_SIZE])
{
	int err = ctl_label_peek(data, found, uuid);

	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE, "cannot read %s device %s: %s",
			data->role, data->path, strerror(-err));
}

int ctl_label_write(const struct ctl_device *data, const uint8_t *uuid)
{
	struct qvault_disk_label *label = (void *)block;
	int err;

	memset(block, 0, sizeof(block));
	memcpy(label->magic, magic, sizeof(magic));
	label->format = htole32(QVAULT_FORMAT_VERSION);
	memcpy(label->uuid, uuid, sizeof(label->uuid));
	err = ctl_device_write(data, block, sizeof(block), 0);
	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"cannot write the label of %s device %s: %s",
			data->role, data->path, strerror(-err));
}
