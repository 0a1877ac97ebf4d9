// SPDX-License-Identifier: GPL-2.0
/*
 * The device mapper through libdevmapper, which also keeps /dev/mapper in step
 * with udev, or makes the nodes itself where there is no udev.
 */
#include <errno.h>
#include <libdevmapper.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "qvault-ctl.h"

/* The library would print several lines of its own for each error. */
__attribute__((format(printf, 5, 6)))
static void be_quiet(int level, const char *file, int line, int class,
		     const char *format, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)class;
	(void)format;
}

static struct dm_task *task_create(int type, const char *name)
{
	struct dm_task *task;

	dm_log_with_errno_init(be_quiet);
	task = dm_task_create(type);
	if (task && name && !dm_task_set_name(task, name)) {
		dm_task_destroy(task);
		task = NULL;
	}
	return task;
}

/*
 * An error that the library found itself, before any ioctl, has no errno.  Not
 * even a task can be created if the control node cannot be opened or made.
 */
static int no_control(void)
{
	return geteuid() ? -EACCES : -ENODEV;
}

static int task_run(struct dm_task *task)
{
	if (dm_task_run(task))
		return 0;
	if (dm_task_get_errno(task))
		return -dm_task_get_errno(task);
	return no_control();
}

/* Run a task that needs no more than a name. */
static int run_simple(int type, const char *name)
{
	struct dm_task *task = task_create(type, name);
	int err = task ? task_run(task) : no_control();

	if (task)
		dm_task_destroy(task);
	return err;
}

static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

static volatile sig_atomic_t signalled;

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) || action.sa_handler == SIG_IGN;
}

bool ctl_dm_interrupted(void)
{
	sigset_t pending;
	size_t i;

	sigpending(&pending);
	for (i = 0; i < NR_SIGNALS; i++)
		/* A blocked signal is pending even if it is ignored. */
		if (sigismember(&pending, signals[i]) && !is_ignored(signals[i]))
			return true;
	return signalled;
}

static void note_signal(int number)
{
	(void)number;
	signalled = 1;
}

/* A signal ends what the task waits for in the kernel, and not this process. */
static int run_interruptible(struct dm_task *task)
{
	const struct sigaction note = { .sa_handler = note_signal };
	struct sigaction was[NR_SIGNALS];
	sigset_t some, before;
	size_t i;
	int err;

	sigemptyset(&some);
	for (i = 0; i < NR_SIGNALS; i++) {
		if (is_ignored(signals[i]))
			continue;
		sigaction(signals[i], &note, &was[i]);
		sigaddset(&some, signals[i]);
	}
	sigprocmask(SIG_UNBLOCK, &some, &before);
	err = task_run(task);
	sigprocmask(SIG_SETMASK, &before, NULL);
	for (i = 0; i < NR_SIGNALS; i++)
		if (sigismember(&some, signals[i]))
			sigaction(signals[i], &was[i], NULL);
	return err;
}

/*
 * udev lets go of the cookie when it has done its part: at once, or in a second
 * on a busy machine.  Where it is stopped, or cannot see our devices as in some
 * containers, it never does, and dm_udev_wait() alone would wait for that.
 */
#define UDEV_PATIENCE_MS 10000
#define UDEV_STEP_MS 20

static bool udev_answers(uint32_t cookie)
{
	unsigned int waited;
	int ready = 0;

	for (waited = 0; waited < UDEV_PATIENCE_MS; waited += UDEV_STEP_MS) {
		if (!dm_udev_wait_immediate(cookie, &ready) || ready)
			return true;
		if (ctl_dm_interrupted())
			break;
		usleep(UDEV_STEP_MS * 1000);
	}
	return false;
}

static void wait_for_udev(uint32_t cookie, const char *name)
{
	if (cookie && !udev_answers(cookie)) {
		ctl_warn("udev does not answer (%s): /dev/mapper/%s and links to it may be wrong",
			 ctl_dm_interrupted() ? "interrupted" : "gave up", name);
		/* In its place, or the wait below would have no end. */
		dm_udev_complete(cookie);
	}
	/*
	 * Takes the semaphore away, unless that is done already, and then makes or
	 * removes the node if nobody else did.
	 */
	dm_udev_wait(cookie);
}

/*
 * Run a task after which udev has something to do, and wait for that.  A signal
 * ends the wait but not the process, which would leave the semaphore behind.
 */
static int run_with_udev(struct dm_task *task, const char *name, uint16_t flags,
			 bool waits)
{
	sigset_t all, before;
	uint32_t cookie = 0;
	int err;

	if (!dm_task_set_cookie(task, &cookie, flags))
		return -ENOMEM;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	err = waits ? run_interruptible(task) : task_run(task);
	wait_for_udev(cookie, name);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

int ctl_dm_ready(void)
{
	int err = run_simple(DM_DEVICE_VERSION, NULL);

	if (err == -EACCES || err == -EPERM)
		return ctl_fail(CTL_DENIED,
				"no permission to use the device mapper: run this as root");
	if (err)
		return ctl_fail(CTL_USAGE,
				"the kernel has no device mapper: modprobe dm_mod, or see that /dev/mapper/control exists");
	err = run_simple(DM_DEVICE_GET_TARGET_VERSION, "qvault");
	if (!err)
		return CTL_OK;
	return ctl_fail(CTL_USAGE,
			"the kernel has no target \"qvault\": is the module dm-qvault installed for this kernel (modprobe dm-qvault)?");
}

bool ctl_dm_valid_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789#+-.:=@_";
	size_t length = strlen(name);

	return length && length < CTL_DM_NAME_CHARS &&
	       strspn(name, allowed) == length && strcmp(name, "control") &&
	       strcmp(name, ".") && strcmp(name, "..");
}

int ctl_dm_info(const char *name, struct ctl_dm_info *info)
{
	struct dm_task *task = task_create(DM_DEVICE_INFO, name);
	struct dm_info raw;
	const char *uuid;
	int err;

	memset(info, 0, sizeof(*info));
	if (!task)
		return no_control();
	err = task_run(task);
	if (err)
		goto out;
	if (!dm_task_get_info(task, &raw)) {
		err = -EIO;
		goto out;
	}
	info->exists = raw.exists;
	info->live = raw.live_table;
	info->suspended = raw.suspended;
	info->read_only = raw.read_only;
	info->open_count = raw.open_count;
	info->major = raw.major;
	info->minor = raw.minor;
	uuid = dm_task_get_uuid(task);
	if (uuid)
		strncpy(info->uuid, uuid, sizeof(info->uuid) - 1);
out:
	dm_task_destroy(task);
	return err;
}

static int find_in(const struct dm_names *names, const char *prefix,
		   char found[CTL_DM_NAME_CHARS])
{
	struct ctl_dm_info info;

	/* An empty list is one entry without a device. */
	if (!names || !names->dev)
		return -ENOENT;
	for (;;) {
		if (!ctl_dm_info(names->name, &info) && !info.read_only &&
		    !strncmp(info.uuid, prefix, strlen(prefix))) {
			memset(found, 0, CTL_DM_NAME_CHARS);
			strncpy(found, names->name, CTL_DM_NAME_CHARS - 1);
			return 0;
		}
		if (!names->next)
			return -ENOENT;
		names = (const void *)((const char *)names + names->next);
	}
}

int ctl_dm_find(const char *prefix, char name[CTL_DM_NAME_CHARS])
{
	struct dm_task *task = task_create(DM_DEVICE_LIST, NULL);
	int err = task ? task_run(task) : no_control();

	if (!err)
		err = find_in(dm_task_get_names(task), prefix, name);
	if (task)
		dm_task_destroy(task);
	return err;
}

int ctl_dm_create(const char *name, const char *uuid)
{
	struct dm_task *task = task_create(DM_DEVICE_CREATE, name);
	int err = no_control();

	if (task && dm_task_set_uuid(task, uuid) &&
	    dm_task_set_add_node(task, DM_ADD_NODE_ON_RESUME))
		err = task_run(task);
	if (task)
		dm_task_destroy(task);
	return err;
}

static int load(const char *name, uint64_t sectors, const char *type,
		const char *params, bool read_only)
{
	struct dm_task *task = task_create(DM_DEVICE_RELOAD, name);
	int err = no_control();

	if (task && dm_task_add_target(task, 0, sectors, type, params) &&
	    (!read_only || dm_task_set_ro(task)))
		err = task_run(task);
	if (task)
		dm_task_destroy(task);
	return err;
}

int ctl_dm_load(const char *name, uint64_t sectors, const char *params,
		bool read_only)
{
	return load(name, sectors, "qvault", params, read_only);
}

int ctl_dm_load_snapshot(const char *name, uint64_t sectors, const char *params)
{
	return load(name, sectors, "snapshot", params, false);
}

void ctl_dm_tidy(const char *name)
{
	run_simple(DM_DEVICE_MKNODES, name);
}

int ctl_dm_suspend(const char *name)
{
	return run_simple(DM_DEVICE_SUSPEND, name);
}

static int resume(const char *name, bool private, bool waits)
{
	const uint16_t flags = DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
			       DM_UDEV_DISABLE_DISK_RULES_FLAG |
			       DM_UDEV_DISABLE_OTHER_RULES_FLAG;
	struct dm_task *task = task_create(DM_DEVICE_RESUME, name);
	int err = no_control();

	if (task && dm_task_set_add_node(task, DM_ADD_NODE_ON_RESUME))
		err = run_with_udev(task, name, private ? flags : 0, waits);
	if (task)
		dm_task_destroy(task);
	return err;
}

int ctl_dm_resume(const char *name, bool private)
{
	return resume(name, private, false);
}

int ctl_dm_resume_shared(const char *name, bool private)
{
	return resume(name, private, true);
}

int ctl_dm_remove(const char *name, enum ctl_dm_remove how)
{
	struct dm_task *task = task_create(DM_DEVICE_REMOVE, name);
	bool ok = task;
	int err = no_control();

	if (ok && how == CTL_DM_REMOVE_RETRY)
		ok = dm_task_retry_remove(task);
	if (ok && how == CTL_DM_REMOVE_DEFERRED)
		ok = dm_task_deferred_remove(task);
	if (ok)
		err = run_with_udev(task, name, 0, false);
	if (task)
		dm_task_destroy(task);
	return err;
}

static int take_answer(struct dm_task *task, char **answer)
{
	const char *text = dm_task_get_message_response(task);

	if (!text)
		return -ENODATA;
	*answer = strdup(text);
	return *answer ? 0 : -ENOMEM;
}

static int send(const char *name, const char *message, char **answer)
{
	struct dm_task *task = task_create(DM_DEVICE_TARGET_MSG, name);
	int err = no_control();

	if (task && dm_task_set_sector(task, 0) &&
	    dm_task_set_message(task, message))
		err = task_run(task);
	if (!err && answer)
		err = take_answer(task, answer);
	if (task)
		dm_task_destroy(task);
	return err;
}

int ctl_dm_message(const char *name, const char *message)
{
	return send(name, message, NULL);
}

int ctl_dm_ask(const char *name, const char *message, char **answer)
{
	*answer = NULL;
	return send(name, message, answer);
}

static int first_target(struct dm_task *task, struct ctl_dm_target *target)
{
	char *type = NULL, *params = NULL;
	uint64_t start, length;

	dm_get_next_target(task, NULL, &start, &length, &type, &params);
	if (!type)
		return -ENODATA;
	target->sectors = length;
	target->type = strdup(type);
	target->params = strdup(params ? params : "");
	return target->type && target->params ? 0 : -ENOMEM;
}

static int query(int type, const char *name, struct ctl_dm_target *target)
{
	struct dm_task *task = task_create(type, name);
	int err = -ENOMEM;

	memset(target, 0, sizeof(*target));
	/* Without asking it to flush first: that would be a commit. */
	if (task && dm_task_no_flush(task))
		err = task_run(task);
	if (!err)
		err = first_target(task, target);
	if (task)
		dm_task_destroy(task);
	return err;
}

int ctl_dm_status(const char *name, struct ctl_dm_target *target)
{
	return query(DM_DEVICE_STATUS, name, target);
}

int ctl_dm_table(const char *name, struct ctl_dm_target *target)
{
	return query(DM_DEVICE_TABLE, name, target);
}

void ctl_dm_target_free(struct ctl_dm_target *target)
{
	free(target->type);
	free(target->params);
	memset(target, 0, sizeof(*target));
}
