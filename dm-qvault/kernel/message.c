// SPDX-License-Identifier: GPL-2.0
/*
 * What a vault can be asked for while it is attached: `dmsetup message`.
 *
 *   commit			all that has ended is durable
 *   checkpoint			and the log is short
 *   generation <mac>		new blocks are sealed under a new secret
 *   key change <key>		another master key from now on
 *   key wipe			while suspended: none is left in memory
 *   key set <key>		and this brings them back
 *   hold			a checkpoint, and all that its record reaches stays
 *   held			the record that is held, in hexadecimal digits
 *   release <sequence>		lets go of it; fails if it did not stay until now
 *   walk scrub [<KiB/s>]	read and verify all there is
 *   walk reseal [<KiB/s>]	seal anew all that is of an older generation
 *   walk repair [<KiB/s>]	a scrub that gives up what cannot be read
 *   walk stop			no further
 *   walk status		<kind> <phase> <next> <leaves> <looked> <moved> <bad> <KiB/s>
 *				complete|incomplete <lost>
 *   walk bad <n>		the n-th range that cannot be read: <first> <count>
 *
 * A key is named as in the table line.
 */
#include "platform.h"

static int complain(struct dm_target *ti, const char *what)
{
	DMERR("%s: %s", dm_table_device_name(ti->table), what);
	return -EINVAL;
}

static bool is(const char *word, const char *what)
{
	return !strcmp(word, what);
}

static int unknown(struct dm_target *ti)
{
	return complain(ti,
			"unknown message: commit, checkpoint, generation, key, hold, held, release, walk");
}

/* Who waits holds no lock, and can be killed: the devices need not answer. */
static int ask(struct qvault_volume *vol, const struct qvault_errand *errand, void *arg)
{
	struct qvault_request *request = NULL;
	bool active = false;
	int err;

	err = mutex_lock_killable(&vol->life_mutex);
	if (!err) {
		active = vol->attached && vol->active;
		if (active)
			request = qvault_request(vol, errand, arg);
		mutex_unlock(&vol->life_mutex);
	}
	if (active)
		return qvault_request_wait(request, true, MAX_SCHEDULE_TIMEOUT);
	if (arg)
		errand->free(arg);
	return err ?: -ENODEV;
}

/* ---- Generations --------------------------------------------------------- */

static int new_generation(struct qvault *v, void **arg)
{
	enum qvault_mac *mac = *arg;
	int err = qvault_generation_new(v, *mac);

	if (err == -ENOSPC)
		DMERR("%s: all generations but the last are in use, and that is kept for restore",
		      dm_device_name(qvault_volume_of(v)->md));
	return err;
}

static void free_mac(void *mac)
{
	kfree(mac);
}

static const struct qvault_errand generation_errand = {
	.run = new_generation, .free = free_mac,
};

static int ask_generation(struct qvault_volume *vol, struct dm_target *ti,
			  const char *name)
{
	enum qvault_mac found = qvault_mac_find(name), *mac;

	if (!found)
		return complain(ti, "a generation has the MAC hmac-sha256 or nhpoly-aes");
	mac = kmalloc(sizeof(*mac), GFP_KERNEL);
	if (!mac)
		return -ENOMEM;
	*mac = found;
	return ask(vol, &generation_errand, mac);
}

/* ---- Keys ---------------------------------------------------------------- */

static int key_change(struct qvault *v, void **arg)
{
	struct qvault_opener *opener = *arg;
	int err = qvault_key_change(v, &opener);

	*arg = opener;
	return err;
}

static void free_opener(void *opener)
{
	qvault_opener_free(opener);
}

static const struct qvault_errand key_errand = { .run = key_change, .free = free_opener };

static int get_key(const char *name, u8 master[QVAULT_MASTER_KEY_SIZE], char **error)
{
	struct qvault_args args = {};
	int err;

	err = qvault_args_key(&args, name, error);
	if (!err)
		err = qvault_key_get(&args, master, error);
	qvault_args_free(&args);
	return err;
}

static int ask_key_change(struct qvault_volume *vol, const u8 *master)
{
	struct qvault_opener *opener;

	if (!vol->attached || qvault_ephemeral(&vol->v))
		return -EOPNOTSUPP;
	opener = qvault_opener_new(vol->v.crypto, master);
	return IS_ERR(opener) ? PTR_ERR(opener) : ask(vol, &key_errand, opener);
}

/*
 * No record is under way, nor do generations change: nothing of ours runs, but somebody
 * of this machine may ask for a commit at any time.
 */
static int wipe_or_restore(struct qvault *v, const u8 *master)
{
	int err;

	mutex_lock(&v->checkpoint_mutex);
	mutex_lock(&v->commit_mutex);
	if (master)
		err = qvault_crypto_restore(v->crypto, master, v->anchor.gen);
	else
		err = qvault_crypto_wipe(v->crypto);
	mutex_unlock(&v->commit_mutex);
	mutex_unlock(&v->checkpoint_mutex);
	return err;
}

/* Between suspend and resume. */
static int while_suspended(struct qvault_volume *vol, struct dm_target *ti,
			   const u8 *master)
{
	struct qvault *v = &vol->v;
	int err = mutex_lock_killable(&vol->life_mutex);

	if (err)
		return err;
	if (!vol->attached || vol->active || !dm_suspended(ti) || qvault_ephemeral(v))
		err = complain(ti, "keys are wiped and set only while it is suspended");
	else
		err = wipe_or_restore(v, master);
	mutex_unlock(&vol->life_mutex);
	if (err == -EKEYREJECTED)
		DMERR("%s: this is not the key that was wiped", dm_table_device_name(ti->table));
	return err;
}

static int key_message(struct qvault_volume *vol, struct dm_target *ti,
		       const char *verb, const char *name)
{
	u8 master[QVAULT_MASTER_KEY_SIZE];
	char *error = NULL;
	int err;

	err = get_key(name, master, &error);
	if (err)
		DMERR("%s: %s", dm_table_device_name(ti->table), error ?: "no key");
	else if (!strcmp(verb, "change"))
		err = ask_key_change(vol, master);
	else
		err = while_suspended(vol, ti, master);
	memzero_explicit(master, sizeof(master));
	return err;
}

/* ---- A moment that stays ------------------------------------------------- */

static int hold(struct qvault *v, void **arg)
{
	return qvault_hold(v);
}

static const struct qvault_errand hold_errand = { .run = hold };

/* The record in hexadecimal digits; dm asks again if they do not fit. */
static int tell_held(struct qvault *v, char *result, unsigned int maxlen)
{
	struct qvault_disk_anchor *record = kmalloc(sizeof(*record), GFP_KERNEL);
	int err;

	if (!record)
		return -ENOMEM;
	err = qvault_held(v, record);
	if (!err && maxlen > 2 * sizeof(*record) + 1)
		*bin2hex(result, record, sizeof(*record)) = '\0';
	else if (!err)
		scnprintf(result, maxlen, "%*s", maxlen - 1, "");	/* full */
	kfree(record);
	return err ?: 1;
}

static int release(struct qvault *v, struct dm_target *ti, const char *sequence)
{
	u64 number;

	if (kstrtou64(sequence, 10, &number))
		return complain(ti, "what is released is named by its record's sequence number");
	return qvault_release(v, number);
}

/* ---- Walks --------------------------------------------------------------- */

static const char *const walk_names[] = {
	[QVAULT_WALK_NONE] = "none",
	[QVAULT_WALK_SCRUB] = "scrub",
	[QVAULT_WALK_RESEAL] = "reseal",
	[QVAULT_WALK_REPAIR] = "repair",
};

static int tell_walk(struct qvault_volume *vol, char *result, unsigned int maxlen)
{
	const struct qvault_walk *w = &vol->v.walk;

	scnprintf(result, maxlen, "%s %s %llu %llu %llu %llu %llu %u %s %llu",
		  walk_names[READ_ONCE(w->kind)],
		  READ_ONCE(w->phase) == QVAULT_WALK_MAP ? "map" : "tree",
		  READ_ONCE(w->next), qvault_walk_length(&vol->v), READ_ONCE(w->looked),
		  READ_ONCE(w->moved), READ_ONCE(w->bad), READ_ONCE(vol->walk_rate),
		  READ_ONCE(w->complete) ? "complete" : "incomplete", READ_ONCE(w->lost));
	return 1;
}

static int tell_bad(struct qvault_volume *vol, struct dm_target *ti, const char *word,
		    char *result, unsigned int maxlen)
{
	const struct qvault_walk *w = &vol->v.walk;
	u32 n;

	if (kstrtou32(word, 10, &n))
		return complain(ti, "walk bad is asked with a number");
	/* Who added it has said what it is before. */
	if (n >= smp_load_acquire(&w->nr_ranges))
		return -ENOENT;
	scnprintf(result, maxlen, "%llu %llu", w->range[n].first,
		  READ_ONCE(w->range[n].count));
	return 1;
}

static int ask_walk(struct qvault_volume *vol, struct dm_target *ti,
		    enum qvault_walk_kind kind, const char *rate)
{
	void *wish;
	u32 kib = 0;

	if (qvault_ephemeral(&vol->v))
		return -EOPNOTSUPP;
	if (rate && kstrtou32(rate, 10, &kib))
		return complain(ti, "the rate of a walk is a number of KiB a second");
	wish = qvault_walk_wish(kind, kib);
	return wish ? ask(vol, &qvault_errand_walk, wish) : -ENOMEM;
}

static int walk_message(struct qvault_volume *vol, struct dm_target *ti,
			unsigned int argc, char **argv, char *result,
			unsigned int maxlen)
{
	const char *more = argc > 2 ? argv[2] : NULL;

	if (is(argv[1], "scrub"))
		return ask_walk(vol, ti, QVAULT_WALK_SCRUB, more);
	if (is(argv[1], "reseal"))
		return ask_walk(vol, ti, QVAULT_WALK_RESEAL, more);
	if (is(argv[1], "repair"))
		return ask_walk(vol, ti, QVAULT_WALK_REPAIR, more);
	if (more && is(argv[1], "bad"))
		return tell_bad(vol, ti, more, result, maxlen);
	if (!more && is(argv[1], "stop"))
		return ask(vol, &qvault_errand_stop, NULL);
	if (!more && is(argv[1], "status"))
		return tell_walk(vol, result, maxlen);
	return unknown(ti);
}

/* ---- Which one ----------------------------------------------------------- */

static int one_word(struct dm_target *ti, const char *word, char *result,
		    unsigned int maxlen)
{
	struct qvault_target *tgt = ti->private;

	if (is(word, "commit"))
		return ask(tgt->vol, &qvault_errand_commit, NULL);
	if (is(word, "checkpoint"))
		return ask(tgt->vol, &qvault_errand_checkpoint, NULL);
	if (is(word, "hold"))
		return ask(tgt->vol, &hold_errand, NULL);
	if (is(word, "held"))
		return tell_held(&tgt->vol->v, result, maxlen);
	return unknown(ti);
}

/**
 * qvault_message() - dm's message()
 * @ti: the target
 * @argc: words
 * @argv: of them, at least one
 * @result: what is said in answer
 * @maxlen: of @result
 *
 * Context: May sleep.
 * Return: 0; 1 with an answer; or a negative errno.
 */
int qvault_message(struct dm_target *ti, unsigned int argc, char **argv,
		   char *result, unsigned int maxlen)
{
	struct qvault_target *tgt = ti->private;

	if (argc == 1)
		return one_word(ti, argv[0], result, maxlen);
	if (argc == 2 && is(argv[0], "generation"))
		return ask_generation(tgt->vol, ti, argv[1]);
	if (argc == 2 && is(argv[0], "release"))
		return release(&tgt->vol->v, ti, argv[1]);
	if (argc == 2 && is(argv[0], "key") && is(argv[1], "wipe"))
		return while_suspended(tgt->vol, ti, NULL);
	if ((argc == 2 || argc == 3) && is(argv[0], "walk"))
		return walk_message(tgt->vol, ti, argc, argv, result, maxlen);
	if (argc == 3 && is(argv[0], "key") &&
	    (is(argv[1], "change") || is(argv[1], "set")))
		return key_message(tgt->vol, ti, argv[1], argv[2]);
	return unknown(ti);
}
