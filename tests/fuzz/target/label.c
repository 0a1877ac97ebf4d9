// SPDX-License-Identifier: GPL-2.0
/*
 * The label of a data device, which is whatever the storage says: what udev is told of
 * it becomes links and file names.  The input's first byte says how much of a block
 * the device has.
 */
#include <errno.h>

#include "fuzz.h"

static FILE *said;
#define printf(...)	fprintf(said, __VA_ARGS__)
#define puts(text)	fprintf(said, "%s\n", text)
#include <udev.c>
#undef printf
#undef puts

static uint8_t device[QVAULT_BLOCK_SIZE];
static size_t device_bytes;
static bool may_write;

int ctl_device_open(struct ctl_device *dev, const char *path, int access)
{
	dev->path = path;
	dev->fd = 0;
	dev->bytes = device_bytes;
	return CTL_OK;
}

void ctl_device_close(struct ctl_device *dev)
{
}

int ctl_device_read(const struct ctl_device *dev, void *buf, size_t bytes,
		    off_t offset)
{
	if (offset || bytes > device_bytes)
		return -EIO;
	memcpy(buf, device, bytes);
	return 0;
}

int ctl_device_write(const struct ctl_device *dev, const void *buf, size_t bytes,
		     off_t offset)
{
	FUZZ_CHECK(may_write && !offset && bytes == sizeof(device));
	memcpy(device, buf, bytes);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

/* What udev is told, or "". */
static char *ask(void)
{
	char name[] = "data", *argv[] = { name, NULL }, *text = NULL;
	struct ctl_options o = { .argc = 1, .argv = argv };
	size_t size;

	said = open_memstream(&text, &size);
	FUZZ_CHECK(said);
	FUZZ_CHECK(ctl_udev_verb(&o) == CTL_OK);
	fclose(said);
	return text;
}

/* The same, made here: nothing of the block but the digits of the UUID. */
static char *expected(void)
{
	const uint8_t *uuid = device + 16;
	char digits[40], *text = NULL;
	size_t at = 0, i;

	if (device_bytes < sizeof(device) || memcmp(device, "QVAULT\0D", 8))
		return strdup("");
	for (i = 0; i < 16; i++)
		at += (size_t)sprintf(digits + at, i == 4 || i == 6 || i == 8 || i == 10 ?
				      "-%02x" : "%02x", uuid[i]);
	FUZZ_CHECK(asprintf(&text, "ID_FS_TYPE=qvault\nID_FS_USAGE=crypto\nID_FS_VERSION=2\n"
			    "ID_FS_UUID=%s\nID_FS_UUID_ENC=%s\n", digits, digits) > 0);
	return text;
}

static void check(void)
{
	char *told = ask(), *must = expected();

	FUZZ_CHECK(!strcmp(told, must));
	free(told);
	free(must);
}

/* What the tool itself writes is a label, whatever stood there. */
static void write_anew(const uint8_t *uuid)
{
	struct ctl_device data = { .role = "data", .path = "data", .bytes = sizeof(device) };
	uint8_t back[QVAULT_UUID_SIZE];
	bool found;

	device_bytes = sizeof(device);
	may_write = true;
	FUZZ_CHECK(ctl_label_write(&data, uuid) == CTL_OK);
	may_write = false;
	FUZZ_CHECK(!ctl_label_peek(&data, &found, back) && found);
	FUZZ_CHECK(!memcmp(back, uuid, sizeof(back)));
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint8_t uuid[QVAULT_UUID_SIZE];
	size_t how = fuzz_take(&in, 1);

	device_bytes = how & 1 ? sizeof(device) : how * 32;
	memset(device, 0, sizeof(device));
	memcpy(device, in.data, in.left < sizeof(device) ? in.left : sizeof(device));
	check();
	memcpy(uuid, device + 16, sizeof(uuid));
	write_anew(uuid);
	return 0;
}
