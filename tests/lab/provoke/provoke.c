// SPDX-License-Identifier: GPL-2.0
/*
 * Bugs on demand.  Each word written to the `bug` parameter makes one mistake
 * that a guest's verdict must not overlook: a laboratory that was never seen
 * to report a bug proves nothing by its silence.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(first_lock);
static DEFINE_SPINLOCK(second_lock);
static DEFINE_MUTEX(some_mutex);
static void *leaked;

/* Not inlined and not constant, or the compiler would refuse the mistake. */
static noinline int read_byte(const char *bytes, unsigned int at)
{
	return READ_ONCE(bytes[at]);
}

static void use_after_free(void)
{
	char *bytes = kmalloc(64, GFP_KERNEL);

	kfree(bytes);
	pr_info("provoke: read %d\n", read_byte(bytes, 8));
}

static void shift_too_far(void)
{
	static int distance = 40;

	pr_info("provoke: shifted %d\n", 1 << READ_ONCE(distance));
}

static void sleep_under_spinlock(void)
{
	spin_lock(&first_lock);
	mutex_lock(&some_mutex);
	mutex_unlock(&some_mutex);
	spin_unlock(&first_lock);
}

static void take_locks_in_both_orders(void)
{
	spin_lock(&first_lock);
	spin_lock(&second_lock);
	spin_unlock(&second_lock);
	spin_unlock(&first_lock);

	spin_lock(&second_lock);
	spin_lock(&first_lock);
	spin_unlock(&first_lock);
	spin_unlock(&second_lock);
}

static void leak_memory(void)
{
	int i;

	/* Several, since a stale stack slot may still point to the last one. */
	for (i = 0; i < 8; i++)
		leaked = kmalloc(512, GFP_KERNEL);
	leaked = NULL;
}

static void warn_once(void)
{
	WARN_ON(1);
}

static void dereference_null(void)
{
	int *volatile nothing = NULL;

	pr_info("provoke: read %d\n", *nothing);
}

static void sleep_for_ever(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule();
}

static const struct {
	const char *name;
	void (*make)(void);
} bugs[] = {
	{ "kasan", use_after_free },
	{ "ubsan", shift_too_far },
	{ "sleep", sleep_under_spinlock },
	{ "lockdep", take_locks_in_both_orders },
	{ "leak", leak_memory },
	{ "warn", warn_once },
	{ "oops", dereference_null },
	{ "hang", sleep_for_ever },
};

static int set_bug(const char *name, const struct kernel_param *param)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (sysfs_streq(name, bugs[i].name)) {
			bugs[i].make();
			return 0;
		}
	}
	return -EINVAL;
}

static const struct kernel_param_ops bug_ops = { .set = set_bug };
module_param_cb(bug, &bug_ops, NULL, 0200);
MODULE_PARM_DESC(bug, "which bug to make now");

static int __init provoke_init(void)
{
	return 0;
}

static void __exit provoke_exit(void)
{
}

module_init(provoke_init);
module_exit(provoke_exit);
MODULE_DESCRIPTION("Makes bugs on demand, to test the laboratory");
MODULE_LICENSE("GPL");
