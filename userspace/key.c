// SPDX-License-Identifier: GPL-2.0
/*
 * The master key on its way from a file to the kernel.  It stands in one page
 * of ours, in the kernel's keyring while a device is being created, and nowhere
 * else: not in an argument, the environment, a buffer of stdio, swap or a core
 * dump.
 */
#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qvault-ctl.h"

void ctl_secrets_init(void)
{
	const struct rlimit none = { 0, 0 };

	/*
	 * Either would do for a core dump.  The first also keeps out debuggers
	 * of the same user and hides /proc/self/mem, the second also covers a
	 * core_pattern that is a pipe.
	 */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static struct ctl_key *key_alloc(void)
{
	struct ctl_key *key;

	key = mmap(NULL, sizeof(*key), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (key == MAP_FAILED)
		return NULL;
	/*
	 * Without the right to lock memory, go on: refusing would not make the
	 * user any safer, and root, who attaches, has that right.
	 */
	if (mlock(key, sizeof(*key)))
		ctl_warn("cannot lock memory (%s): the key may be swapped out",
			 strerror(errno));
	madvise(key, sizeof(*key), MADV_DONTDUMP);
	madvise(key, sizeof(*key), MADV_WIPEONFORK);
	return key;
}

int ctl_key_copy(struct ctl_key **to, const struct ctl_key *from)
{
	*to = key_alloc();
	if (!*to)
		return ctl_fail(CTL_NO_MEMORY, "out of memory for the key");
	memcpy((*to)->master, from->master, sizeof(from->master));
	return CTL_OK;
}

void ctl_key_free(struct ctl_key *key)
{
	if (!key)
		return;
	explicit_bzero(key, sizeof(*key));
	munmap(key, sizeof(*key));
}

static ssize_t read_fully(int fd, void *buf, size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = read(fd, (char *)buf + done, bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* One byte more than a key has is asked for, to notice what is too long. */
static int read_key(struct ctl_key *key, int fd, const char *name)
{
	static_assert(offsetof(struct ctl_key, extra) == QVAULT_MASTER_KEY_SIZE,
		      "the extra byte follows the key");
	ssize_t n = read_fully(fd, key, QVAULT_MASTER_KEY_SIZE + 1);

	if (n < 0)
		return ctl_fail(ctl_exit_of((int)n), "cannot read the key from %s: %s",
				name, strerror((int)-n));
	if (n > QVAULT_MASTER_KEY_SIZE)
		return ctl_fail(CTL_USAGE,
				"%s is longer than a key, which is exactly %d bytes",
				name, QVAULT_MASTER_KEY_SIZE);
	if (n < QVAULT_MASTER_KEY_SIZE)
		return ctl_fail(CTL_USAGE,
				"%s has only %zd bytes; a key is exactly %d (head -c %d /dev/urandom makes one)",
				name, n, QVAULT_MASTER_KEY_SIZE,
				QVAULT_MASTER_KEY_SIZE);
	return CTL_OK;
}

static void warn_if_shared(int fd, const char *path)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (st.st_mode & 077))
		ctl_warn("key file %s is open to other users (mode %04o): chmod 600 it",
			 path, (unsigned int)st.st_mode & 07777);
}

int ctl_key_read(struct ctl_key **key, const char *path)
{
	const bool from_stdin = path && !strcmp(path, "-");
	int err, fd = STDIN_FILENO;

	*key = NULL;
	if (!path)
		return ctl_fail(CTL_USAGE,
				"no key: give --key-file FILE, or --key-file - for standard input");
	if (!from_stdin)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return ctl_fail(errno == ENOENT ? CTL_USAGE : ctl_exit_of(errno),
				"cannot open key file %s: %s", path,
				strerror(errno));
	*key = key_alloc();
	if (!*key) {
		err = ctl_fail(CTL_NO_MEMORY, "out of memory for the key");
		goto out;
	}
	if (!from_stdin)
		warn_if_shared(fd, path);
	err = read_key(*key, fd, from_stdin ? "standard input" : path);
	if (err) {
		ctl_key_free(*key);
		*key = NULL;
	}
out:
	if (!from_stdin)
		close(fd);
	return err;
}

/*
 * The thread keyring: the kernel looks for the key in the context of the ioctl
 * that loads the table, so it finds it there; no other process can; and it goes
 * with us should we be killed.
 */
int ctl_keyring_add(int32_t *serial, const char *description,
		    const struct ctl_key *key)
{
	*serial = add_key("logon", description, key->master,
			  sizeof(key->master), KEY_SPEC_THREAD_KEYRING);
	if (*serial != -1)
		return CTL_OK;
	if (errno == ENOSYS)
		return ctl_fail(CTL_USAGE,
				"this kernel has no keyrings (CONFIG_KEYS)");
	return ctl_fail(ctl_exit_of(errno),
			"cannot hand the key to the kernel's keyring: %s%s",
			strerror(errno), errno == EDQUOT ?
			" (see kernel.keys.root_maxkeys)" : "");
}

/* Unlinking alone would leave the payload to the kernel's garbage collector. */
void ctl_keyring_remove(int32_t serial)
{
	if (keyctl_revoke(serial))
		ctl_warn("cannot revoke the key in the keyring: %s",
			 strerror(errno));
	keyctl_unlink(serial, KEY_SPEC_THREAD_KEYRING);
}
