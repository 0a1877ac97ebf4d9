// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl detach.  It is done only if nothing was lost by it: whoever reads the
 * exit code believes that all that was written is durable.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cow.h"
#include "vault.h"

struct job {
	const char *name;
	bool deferred;
	struct ctl_dm_info info;
	char type[CTL_DM_TYPE_CHARS];	/* of a table in place of ours, or "" */
	const char *failure;		/* why the last commit failed, or NULL */
	int kmsg;
};

/*
 * A removal cannot fail once nobody uses the device, so whether the last writes
 * became durable must be found out before it.  Not while it is in use: there may
 * be more writes, and the storage may be dead.
 */
static void commit(struct job *job)
{
	const struct ctl_dm_info *info = &job->info;
	int err;

	if (!info->live || info->read_only || info->suspended || *job->type ||
	    info->open_count)
		return;
	err = ctl_dm_message(job->name, "commit");
	if (err)
		job->failure = ctl_vault_why(job->name, err);
}

/* A suspended vault commits only when it is removed, and tells the log alone. */
static int report_loss(const struct job *job)
{
	char why[CTL_KMSG_CHARS], number[32];

	if (*job->type)
		return ctl_fail(CTL_INCOMPLETE,
				"%s is removed; it was no vault any more, but a device of type %s (dmsetup remove --force makes such): only the kernel's log knows whether its last commit succeeded",
				job->name, job->type);
	if (job->failure)
		return ctl_fail(CTL_INCOMPLETE,
				"%s is detached, but writes since the last flush may be lost: they could not be made durable: %s",
				job->name, job->failure);
	snprintf(number, sizeof(number), "%u:%u", job->info.major,
		 job->info.minor);
	ctl_kmsg_find(job->kmsg, number, "may be lost", why);
	if (*why)
		return ctl_fail(CTL_INCOMPLETE, "%s is detached, but the kernel says: %s",
				job->name, why);
	return CTL_OK;
}

/* The library would take it away with the device, and with it what it holds. */
static int refuse_foreign_node(const struct job *job)
{
	const char *foreign = ctl_vault_foreign_node(job->name);

	if (!foreign)
		return CTL_OK;
	return ctl_fail(CTL_WRONG_DEVICE,
			"at /dev/mapper/%s stands %s: what was written there is not in the vault; move it away first",
			job->name, foreign);
}

static int run(struct job *job)
{
	bool cow;
	int err;

	err = ctl_vault_find_remains(job->name, &job->info, job->type);
	if (!err)
		err = refuse_foreign_node(job);
	if (!err && !job->deferred)
		err = ctl_vault_wait_unused(job->name, &job->info);
	if (err)
		return err;
	commit(job);
	cow = ctl_cow_exists(job->name);
	err = ctl_dm_remove(job->name, job->deferred ? CTL_DM_REMOVE_DEFERRED :
						       CTL_DM_REMOVE_RETRY);
	if (err == -EBUSY)
		return ctl_vault_refuse_used(job->name);
	if (err)
		return ctl_fail(ctl_exit_of(err), "cannot detach %s: %s",
				job->name, strerror(-err));
	/* Still there: what becomes of it is told by the kernel's log. */
	if (job->deferred && job->info.open_count)
		return CTL_OK;
	if (cow)
		ctl_cow_remove(job->name);
	return report_loss(job);
}

int ctl_detach_verb(struct ctl_options *o)
{
	struct job job = {
		.name = ctl_vault_name(o->argv[0]),
		.deferred = ctl_given(o, CTL_OPT_DEFERRED),
		.kmsg = ctl_kmsg_open(),
	};
	int err = run(&job);

	if (job.kmsg >= 0)
		close(job.kmsg);
	return err;
}
