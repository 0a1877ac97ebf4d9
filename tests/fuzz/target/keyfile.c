// SPDX-License-Identifier: GPL-2.0
/*
 * A key file: exactly 64 bytes, and these and nothing else are the key.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "quiet.h"

#include <key.c>
#undef stderr

static int fd;
static char path[40];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fd = memfd_create("key", 0);
	FUZZ_CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_key *key;
	int code;

	FUZZ_CHECK(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	code = ctl_key_read(&key, path);
	FUZZ_CHECK((code == CTL_OK) == (size == QVAULT_MASTER_KEY_SIZE));
	FUZZ_CHECK((code == CTL_OK) == !!key);
	FUZZ_CHECK(code == CTL_OK || code == CTL_USAGE);
	if (key)
		FUZZ_CHECK(!memcmp(key->master, data, size) && !key->extra);
	ctl_key_free(key);
	return 0;
}
