// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl udev: the properties that libblkid gives of what it knows.  Of a device
 * without a label it says nothing, for udev asks about many.
 */
#include <stdio.h>

#include "qvault-ctl.h"

int ctl_udev_verb(struct ctl_options *o)
{
	struct ctl_device data = CTL_DEVICE_CLOSED("data");
	uint8_t uuid[QVAULT_UUID_SIZE];
	char text[CTL_UUID_CHARS];
	bool found = false;
	int err;

	err = ctl_device_open(&data, o->argv[0], CTL_READ);
	if (!err)
		err = ctl_label_read(&data, &found, uuid);
	ctl_device_close(&data);
	if (err || !found)
		return err;
	ctl_uuid_text(text, uuid);
	puts("ID_FS_TYPE=qvault");
	puts("ID_FS_USAGE=crypto");
	printf("ID_FS_VERSION=%d\n", QVAULT_FORMAT_VERSION);
	printf("ID_FS_UUID=%s\n", text);
	printf("ID_FS_UUID_ENC=%s\n", text);
	return CTL_OK;
}
