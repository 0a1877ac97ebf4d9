// SPDX-License-Identifier: GPL-2.0
/*
 * Something that somebody asks a vault for and waits for, but not for ever: storage
 * need not answer.  Another thread does it, and goes on without him.
 */
#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>

#include "platform.h"

struct qvault_request {
	struct work_struct work;
	struct completion done;
	struct qvault *v;
	const struct qvault_errand *errand;
	void *arg;
	int err;			/* once it is done */
	refcount_t users;		/* who asked, and the thread */
};

static void put(struct qvault_request *request)
{
	if (!refcount_dec_and_test(&request->users))
		return;
	if (request->arg)
		request->errand->free(request->arg);
	kfree(request);
}

static void request_work(struct work_struct *work)
{
	struct qvault_request *request =
		container_of(work, struct qvault_request, work);
	unsigned int noio = memalloc_noio_save();

	request->err = request->errand->run(request->v, &request->arg);
	complete(&request->done);
	memalloc_noio_restore(noio);
	put(request);
}

static int run_commit(struct qvault *v, void **arg)
{
	return qvault_commit(v);
}

static int run_checkpoint(struct qvault *v, void **arg)
{
	return qvault_checkpoint(v);
}

const struct qvault_errand qvault_errand_commit = { .run = run_commit, .on = QVAULT_ON_COMMIT };
const struct qvault_errand qvault_errand_checkpoint = { .run = run_checkpoint };

static struct workqueue_struct *queue_of(struct qvault_volume *vol,
					 const struct qvault_errand *errand)
{
	switch (errand->on) {
	case QVAULT_ON_COMMIT:
		return vol->commit_wq;
	case QVAULT_ON_WALK:
		return vol->walk_wq;
	default:
		return vol->checkpoint_wq;
	}
}

/**
 * qvault_request() - ask for something
 * @vol: whose; may not end before the request can be queued
 * @errand: what
 * @arg: what it is given; the request frees it in any case, or NULL
 *
 * Context: May sleep.
 * Return: What qvault_request_wait() takes; NULL if there is no memory.
 */
struct qvault_request *qvault_request(struct qvault_volume *vol,
				      const struct qvault_errand *errand, void *arg)
{
	struct qvault_request *request = kzalloc(sizeof(*request), GFP_NOIO);

	if (!request) {
		if (arg)
			errand->free(arg);
		return NULL;
	}
	INIT_WORK(&request->work, request_work);
	init_completion(&request->done);
	request->v = &vol->v;
	request->errand = errand;
	request->arg = arg;
	refcount_set(&request->users, 2);
	queue_work(queue_of(vol, errand), &request->work);
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
