// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to the machine: it goes down, hibernates, or its memory is copied.
 *
 * Down.  File systems are told, and flush; who writes without one is not.  So
 * everything is committed, and from then on a write ends after its commit.
 *
 * Hibernation.  The memory that is copied believes in the anchor record of that
 * moment, so no record may be written after it: everything is made durable before,
 * and what is still written is as above.  Then the power goes off, which calls the
 * notifiers of the first case too, long after the copy.  The image itself must not
 * come to a vault: what is restored knows nothing of those blocks.
 *
 * A copy of memory that came to life, here or elsewhere, takes no version before it
 * has looked at the anchor and made a record.
 */
#include <linux/notifier.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/suspend.h>

#include "platform.h"

/* For all volumes together, and for each. */
#define DOWN_TIMEOUT		(10 * HZ)
#define HIBERNATE_TIMEOUT	(60 * HZ)

enum state {
	RUNNING,
	HIBERNATING,
	GOING_DOWN,
};

/*
 * Read without a lock: what a writer did before he saw it change is there for the
 * commit that comes after the change.
 */
static enum state state = RUNNING;

/**
 * qvault_write_through() - does every write have to end with a commit?
 *
 * Context: Any.
 * Return: Whether there may be no later one.
 */
bool qvault_write_through(void)
{
	return READ_ONCE(state) != RUNNING;
}

/**
 * qvault_quiet() - is nothing to be done that nobody waits for?
 *
 * Context: Any.
 * Return: Whether this memory may be copied at any moment.
 */
bool qvault_quiet(void)
{
	return READ_ONCE(state) == HIBERNATING;
}

/**
 * qvault_is_image() - is this a part of the image of a hibernation?
 * @vol: the volume
 * @bio: a write to it
 *
 * Pages that are swapped out to make room for the image are none of it: they come
 * before the copy.  Swapping is taken note of here.
 *
 * Context: As dm's map().
 * Return: Whether the write must be refused; it was told why then.
 */
bool qvault_is_image(struct qvault_volume *vol, const struct bio *bio)
{
	if (bio->bi_opf & REQ_SWAP) {
		WRITE_ONCE(vol->swapped, true);
		return false;
	}
	if (likely(!qvault_quiet()) || !(current->flags & PF_SUSPEND_TASK))
		return false;
	DMERR_LIMIT("%s: a hibernation needs swap elsewhere: a vault cannot hold its image",
		    dm_device_name(vol->md));
	return true;
}

/* ---- Down --------------------------------------------------------------- */

static void commit_all(void)
{
	unsigned long end = jiffies + DOWN_TIMEOUT;
	struct qvault_volume *vol;
	int err;

	mutex_lock(&qvault_volumes_mutex);
	list_for_each_entry(vol, &qvault_volumes, list)
		vol->request = qvault_request(vol, &qvault_errand_commit, NULL);
	list_for_each_entry(vol, &qvault_volumes, list) {
		err = qvault_request_wait(vol->request, false,
					  time_before(jiffies, end) ? end - jiffies : 0);
		if (err && err != -EROFS && err != -ENODEV)
			DMERR("%s: what was not flushed is lost: the last commit failed (%d)",
			      dm_device_name(vol->md), err);
	}
	mutex_unlock(&qvault_volumes_mutex);
}

static int down_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	/* The copy of our memory believes in the newest record that there is now. */
	if (qvault_quiet())
		return NOTIFY_DONE;
	WRITE_ONCE(state, GOING_DOWN);
	commit_all();
	return NOTIFY_DONE;
}

/*
 * After md and dm-integrity, which hold back nothing from then on and may be what we
 * stand on; and before the drivers of disks.
 */
static struct notifier_block down_notifier = {
	.notifier_call = down_notify,
	.priority = INT_MAX - 2,
};

/* ---- Hibernation -------------------------------------------------------- */

static int prepare(struct qvault_volume *vol)
{
	int err;

	/* An ephemeral one dies with the power, if what it holds is not in the image. */
	if (READ_ONCE(vol->swapped) && !qvault_ephemeral(&vol->v)) {
		DMERR("%s: no hibernation with swap on a vault: swapoff, detach and attach it",
		      dm_device_name(vol->md));
		return -EBUSY;
	}
	err = qvault_request_wait(qvault_request(vol, &qvault_errand_checkpoint, NULL), true,
				  HIBERNATE_TIMEOUT);
	if (!err || err == -EROFS || err == -ENODEV)
		return 0;
	DMERR("%s: no hibernation while a vault cannot commit (%d): mend its devices or detach it",
	      dm_device_name(vol->md), err);
	return err;
}

static int prepare_all(void)
{
	struct qvault_volume *vol;
	int err = 0;

	/* First, so that nothing comes to be in memory only after it was seen to. */
	WRITE_ONCE(state, HIBERNATING);
	mutex_lock(&qvault_volumes_mutex);
	list_for_each_entry(vol, &qvault_volumes, list) {
		err = prepare(vol);
		if (err)
			break;
	}
	mutex_unlock(&qvault_volumes_mutex);
	if (err)
		WRITE_ONCE(state, RUNNING);
	return err;
}

/* This memory may be a copy of one that lived on. */
static void forked(void)
{
	struct qvault_volume *vol;

	spin_lock(&qvault_volumes_lock);
	list_for_each_entry(vol, &qvault_volumes, list) {
		qvault_forked(&vol->v);
		qvault_flush_kick(vol);
	}
	spin_unlock(&qvault_volumes_lock);
}

static int power_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	switch (action) {
	case PM_HIBERNATION_PREPARE:
		return notifier_from_errno(prepare_all());
	case PM_POST_HIBERNATION:
		forked();
		WRITE_ONCE(state, RUNNING);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block power_notifier = {
	.notifier_call = power_notify,
};

/* ---- Copies of memory --------------------------------------------------- */

static int fork_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	forked();
	return NOTIFY_DONE;
}

static struct notifier_block fork_notifier = {
	.notifier_call = fork_notify,
};

/* ---- The module --------------------------------------------------------- */

/**
 * qvault_machine_init() - listen to what happens to the machine
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
int qvault_machine_init(void)
{
	int err;

	err = register_reboot_notifier(&down_notifier);
	if (err)
		return err;
	err = register_pm_notifier(&power_notifier);
	if (err)
		goto no_power;
	err = register_random_vmfork_notifier(&fork_notifier);
	if (err)
		goto no_fork;
	return 0;

no_fork:
	unregister_pm_notifier(&power_notifier);
no_power:
	unregister_reboot_notifier(&down_notifier);
	return err;
}

/**
 * qvault_machine_exit() - undo qvault_machine_init()
 *
 * Context: May sleep.
 */
void qvault_machine_exit(void)
{
	unregister_random_vmfork_notifier(&fork_notifier);
	unregister_pm_notifier(&power_notifier);
	unregister_reboot_notifier(&down_notifier);
}
