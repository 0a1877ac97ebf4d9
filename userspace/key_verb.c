// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl key change: the same secrets, wrapped under another master key.  Here of
 * a vault that is not attached.
 */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "anchored.h"
#include "json.h"

static const char usage[] =
	"key change --anchor ANCHOR --key-file FILE --new-key-file FILE, or, of an attached vault, key change NAME --new-key-file FILE";

struct job {
	const struct ctl_options *options;
	struct ctl_anchored vault;
	struct ctl_key *new_key;
};

static int check_words(const struct ctl_options *o)
{
	int err;

	if (strcmp(o->argv[0], "change"))
		return ctl_fail(CTL_USAGE, "\"%s\" is nothing that can be done to a key: qvault-ctl %s",
				o->argv[0], usage);
	if (o->argc > 1 && o->anchor)
		return ctl_fail(CTL_USAGE,
				"name the vault by its name, if it is attached, or by --anchor, if it is not, and not both ways");
	if (ctl_given(o, CTL_OPT_PRIVATE) && o->argc < 2)
		return ctl_fail(CTL_USAGE, "--private has no meaning with --anchor");
	if (o->argc > 1 && o->key_file)
		return ctl_fail(CTL_USAGE,
				"--key-file has no meaning for an attached vault, whose key the kernel has");
	if (o->argc > 1)
		return ctl_need(o->new_key_file, "new key", usage);
	err = ctl_need(o->anchor, "vault", usage);
	if (!err)
		err = ctl_need(o->new_key_file, "new key", usage);
	return err ? err : ctl_need_two_keys(o->key_file, o->new_key_file);
}

static int rewrap(struct job *job)
{
	struct ctl_anchored *v = &job->vault;
	int err;

	if (!CRYPTO_memcmp(v->key->master, job->new_key->master,
			   sizeof(v->key->master)))
		return ctl_fail(CTL_USAGE, "the new key is the old one; nothing was changed");
	err = ctl_key_derive(job->new_key, v->record.uuid);
	return err ? err : ctl_generations_wrap(job->new_key, v->key, &v->disk);
}

static void report(const struct job *job)
{
	char uuid[CTL_UUID_CHARS];
	struct json_object *top;

	ctl_uuid_text(uuid, job->vault.record.uuid);
	ctl_done("the key of the vault %s was changed", uuid);
	if (!ctl_given(job->options, CTL_OPT_JSON)) {
		printf("The key of the vault %s was changed.\n", uuid);
		puts("Copies of its anchor that were made before open under the old one.");
		return;
	}
	top = json_object_new_object();
	ctl_json_text(top, "uuid", uuid);
	ctl_json_text(top, "anchor", job->vault.anchor.path);
	ctl_json_print(top);
}

static int run(struct job *job)
{
	const struct ctl_options *o = job->options;
	struct ctl_anchored *v = &job->vault;
	int err;

	err = check_words(o);
	if (!err && o->argc > 1)
		return ctl_key_change_attached(o, o->argv[1]);
	if (!err)
		err = ctl_anchored_open(v, o->anchor, CTL_WRITE, o->key_file);
	if (!err)
		err = ctl_key_read(&job->new_key, o->new_key_file);
	if (!err)
		err = rewrap(job);
	if (!err)
		err = ctl_anchor_replace(&v->anchor, job->new_key, &v->disk,
					 v->record.sequence + 1);
	if (!err)
		report(job);
	return err;
}

int ctl_key_verb(struct ctl_options *o)
{
	struct job job = {
		.options = o,
		.vault.anchor = CTL_DEVICE_CLOSED("anchor"),
	};
	int err = run(&job);

	ctl_key_free(job.new_key);
	ctl_anchored_close(&job.vault);
	return err;
}
