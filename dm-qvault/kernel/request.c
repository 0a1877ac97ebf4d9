// SPDX-License-Identifier: GPL-2.0
/*
 * A commit or a checkpoint that somebody asks for and waits for, but not for ever:
 * storage need not answer.  Another thread does it, and goes on without him.
 */
#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>

#include "platform.h"

struct qvault_request {
	struct work_struct work;
	struct completion done;
	struct qvault *v;
	int (*run)(struct qvault *v);
	int err;			/* once it is done */
	refcount_t users;		/* who asked, and the thread */
};

static void put(struct qvault_request *request)
{
	if (refcount_dec_and_test(&request->users))
		kfree(request);
}

static void request_work(struct work_struct *work)
{
	struct qvault_request *request =
		container_of(work, struct qvault_request, work);
	unsigned int noio = memalloc_noio_save();

	request->err = request->run(request->v);
	complete(&request->done);
	memalloc_noio_restore(noio);
	put(request);
}

/**
 * qvault_request() - ask for a commit or a checkpoint
 * @vol: whose; may not end before the request can be queued
 * @run: qvault_commit() or qvault_checkpoint()
 *
 * Context: May sleep.
 * Return: What qvault_request_wait() takes; NULL if there is no memory.
 */
struct qvault_request *qvault_request(struct qvault_volume *vol,
				      int (*run)(struct qvault *v))
{
	struct qvault_request *request = kzalloc(sizeof(*request), GFP_NOIO);

	if (!request)
		return NULL;
	INIT_WORK(&request->work, request_work);
	init_completion(&request->done);
	request->v = &vol->v;
	request->run = run;
	refcount_set(&request->users, 2);
	queue_work(run == qvault_commit ? vol->commit_wq : vol->checkpoint_wq,
		   &request->work);
	return request;
}

/**
 * qvault_request_wait() - wait for what was asked for
 * @request: from qvault_request(), or NULL; gone afterwards
 * @killable: give up when the task is killed
 * @timeout: give up after so many jiffies; MAX_SCHEDULE_TIMEOUT: never
 *
 * Context: Sleeps.
 * Return: What it returned; -ETIMEDOUT; -ERESTARTSYS; -ENOMEM for NULL.
 */
int qvault_request_wait(struct qvault_request *request, bool killable,
			unsigned long timeout)
{
	long left;
	int err;

	if (!request)
		return -ENOMEM;
	if (killable)
		left = wait_for_completion_killable_timeout(&request->done, timeout);
	else
		left = wait_for_completion_timeout(&request->done, timeout);
	err = left > 0 ? request->err : left ? left : -ETIMEDOUT;
	put(request);
	return err;
}
