// SPDX-License-Identifier: GPL-2.0
/*
 * The master key: out of the kernel's keyring, or made here and never leaving.
 */
#include <keys/encrypted-type.h>
#include <keys/trusted-type.h>
#include <keys/user-type.h>
#include <linux/key.h>
#include <linux/random.h>

#include "platform.h"

/* Where a key's bytes are depends on its type.  NULL: revoked meanwhile. */
static const u8 *user_bytes(const struct key *key, size_t *size)
{
	const struct user_key_payload *payload = user_key_payload_locked(key);

	if (!payload)
		return NULL;
	*size = payload->datalen;
	return payload->data;
}

static const u8 *encrypted_bytes(const struct key *key, size_t *size)
{
	const struct encrypted_key_payload *payload = key->payload.data[0];

	if (!payload)
		return NULL;
	*size = payload->decrypted_datalen;
	return payload->decrypted_data;
}

static const u8 *trusted_bytes(const struct key *key, size_t *size)
{
	const struct trusted_key_payload *payload = key->payload.data[0];

	if (!payload)
		return NULL;
	*size = payload->key_len;
	return payload->key;
}

/* The types that are modules of their own need not be there. */
static struct key_type *type_of(enum qvault_key_type type)
{
	switch (type) {
	case QVAULT_KEY_LOGON:
		return &key_type_logon;
	case QVAULT_KEY_USER:
		return &key_type_user;
	case QVAULT_KEY_ENCRYPTED:
		return IS_REACHABLE(CONFIG_ENCRYPTED_KEYS) ? &key_type_encrypted : NULL;
	case QVAULT_KEY_TRUSTED:
		return IS_REACHABLE(CONFIG_TRUSTED_KEYS) ? &key_type_trusted : NULL;
	default:
		return NULL;
	}
}

static const u8 *bytes_of(enum qvault_key_type type, const struct key *key,
			  size_t *size)
{
	switch (type) {
	case QVAULT_KEY_ENCRYPTED:
		return encrypted_bytes(key, size);
	case QVAULT_KEY_TRUSTED:
		return trusted_bytes(key, size);
	default:
		return user_bytes(key, size);
	}
}

static int copy_key(enum qvault_key_type type, struct key *key,
		    u8 master[QVAULT_MASTER_KEY_SIZE], char **error)
{
	const u8 *bytes;
	size_t size = 0;
	int err = 0;

	down_read(&key->sem);
	bytes = bytes_of(type, key, &size);
	if (!bytes) {
		*error = "Key has been revoked";
		err = -EKEYREVOKED;
	} else if (size != QVAULT_MASTER_KEY_SIZE) {
		*error = "Key in the keyring has not 64 bytes";
		err = -EINVAL;
	} else {
		memcpy(master, bytes, QVAULT_MASTER_KEY_SIZE);
	}
	up_read(&key->sem);
	return err;
}

/**
 * qvault_key_get() - get the master key that a table line names
 * @args: the table line
 * @master: receives the key; the caller wipes it
 * @error: set to what is wrong
 *
 * Context: May sleep; may ask userspace (request_key()).
 * Return: 0 or a negative errno.
 */
int qvault_key_get(const struct qvault_args *args,
		   u8 master[QVAULT_MASTER_KEY_SIZE], char **error)
{
	struct key_type *type;
	struct key *key;
	int err;

	if (args->key_type == QVAULT_KEY_NONE) {
		err = get_random_bytes_wait(master, QVAULT_MASTER_KEY_SIZE);
		if (err)
			*error = "Interrupted while waiting for random numbers";
		return err;
	}
	type = type_of(args->key_type);
	if (!type) {
		*error = "This kernel has no keys of this type";
		return -EOPNOTSUPP;
	}
	key = request_key(type, args->key_description, NULL);
	if (IS_ERR(key)) {
		*error = "Key not found in the keyring";
		return PTR_ERR(key);
	}
	err = copy_key(args->key_type, key, master, error);
	key_put(key);
	return err;
}
