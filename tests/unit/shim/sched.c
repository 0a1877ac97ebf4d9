// SPDX-License-Identifier: GPL-2.0
/*
 * The scheduler, locks and wait queues of the shim.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "context.h"
#include "sched.h"

struct sched *sched_current;
struct task *task_current;
void (*shim_on_bug)(void);

void shim_bug(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "BUG at %s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s%s\n", task_current ? ", task " : "",
		task_current ? task_current->name : "");
	if (shim_on_bug)
		shim_on_bug();
	abort();
}

/* ---- Tasks -------------------------------------------------------------- */

void sched_init(struct sched *sched, u64 seed)
{
	memset(sched, 0, sizeof(*sched));
	sched->rng.state = seed;
	sched->preempt = 10;
	sched->max_steps = 40 * 1000 * 1000;
	INIT_LIST_HEAD(&sched->tasks);
	INIT_LIST_HEAD(&sched->heap);
}

static void task_main(void *arg)
{
	struct task *task = arg;

	task->fn(task->arg);
	if (task->nr_held)
		shim_fail("%s ends and holds %s", task->name,
			  task->held[0]->name);
	task->done = true;
	task->sched->nr_runnable--;
	context_leave();
}

struct task *task_spawn(struct sched *sched, const char *name,
			void (*fn)(void *arg), void *arg)
{
	struct task *task = calloc(1, sizeof(*task));

	task->sched = sched;
	task->name = name;
	task->fn = fn;
	task->arg = arg;
	task->context = context_create(task_main, task);
	list_add_tail(&task->list, &sched->tasks);
	sched->nr_runnable++;
	return task;
}

static void task_free(struct task *task)
{
	list_del(&task->list);
	context_destroy(task->context);
	free(task);
}

static void drop_tasks(struct sched *sched)
{
	struct task *task, *next;

	list_for_each_entry_safe(task, next, &sched->tasks, list)
		task_free(task);
	sched->nr_runnable = 0;
	sched->nr_timed = 0;
}

void shim_heap_free_all(struct sched *sched);
void shim_heap_check_empty(struct sched *sched);

void sched_crash(struct sched *sched)
{
	drop_tasks(sched);
	shim_heap_free_all(sched);
}

void sched_exit(struct sched *sched)
{
	struct task *task;

	list_for_each_entry(task, &sched->tasks, list)
		if (!task->done)
			shim_fail("%s has not ended", task->name);
	drop_tasks(sched);
	shim_heap_check_empty(sched);
}

void sched_dump(struct sched *sched)
{
	struct task *task;
	u32 i;

	list_for_each_entry(task, &sched->tasks, list) {
		fprintf(stderr, "  %-12s %s", task->name,
			task->done ? "ended" : task->blocked ? "waits for " :
			"runnable");
		if (task->blocked)
			fprintf(stderr, "%s %p", task->what, task->object);
		for (i = 0; i < task->nr_held; i++)
			if (task->held[i]->owner == task)
				fprintf(stderr, ", holds %s",
					task->held[i]->name);
		fprintf(stderr, "\n");
	}
}

static struct task *pick(struct sched *sched, u32 n)
{
	struct task *task, *next;

	list_for_each_entry_safe(task, next, &sched->tasks, list) {
		if (task->done) {
			task_free(task);
			continue;
		}
		if (!task->blocked && !n--)
			return task;
	}
	shim_fail("the count of runnable tasks is wrong");
}

/* Let the time of one task run out. */
static void time_out(struct sched *sched)
{
	u32 n = rng_below(&sched->rng, sched->nr_timed);
	struct task *task;

	list_for_each_entry(task, &sched->tasks, list)
		if (task->timed && !n--) {
			task_wake(task);
			return;
		}
}

static bool all_done(struct sched *sched)
{
	struct task *task;

	list_for_each_entry(task, &sched->tasks, list)
		if (!task->done)
			return false;
	return true;
}

void sched_run(struct sched *sched)
{
	struct sched *outer = sched_current;
	struct task *outer_task = task_current;

	sched->stop = false;
	while (!sched->stop && !all_done(sched)) {
		u32 events, n;

		sched_current = sched;
		task_current = NULL;
		events = sched->nr_events ? sched->nr_events(sched->arg) : 0;
		if (sched->nr_timed && ((!events && !sched->nr_runnable) ||
					rng_chance(&sched->rng, 1)))
			time_out(sched);
		if (!events && !sched->nr_runnable) {
			fprintf(stderr, "deadlock:\n");
			sched_dump(sched);
			shim_fail("deadlock");
		}
		if (++sched->steps > sched->max_steps) {
			fprintf(stderr, "no end after %llu steps:\n",
				(unsigned long long)sched->steps);
			sched_dump(sched);
			shim_fail("livelock");
		}
		/* Tasks run before events more often than not. */
		if (sched->nr_runnable &&
		    (!events || rng_chance(&sched->rng, 70))) {
			n = rng_below(&sched->rng, sched->nr_runnable);
			task_current = pick(sched, n);
			context_enter(task_current->context);
			task_current = NULL;
		} else {
			n = rng_below(&sched->rng, events);
			sched->event(sched->arg, n);
		}
	}
	sched_current = outer;
	task_current = outer_task;
}

void task_block(const char *what, const void *object)
{
	struct task *task = task_current;

	if (task->nr_spin)
		shim_fail("blocks in %s under %s", what,
			  task->held[task->nr_held - 1]->name);
	if (task->ends)
		shim_fail("an end waits for %s", what);
	task->what = what;
	task->object = object;
	task->blocked = true;
	task->sched->nr_runnable--;
	context_leave();
}

void task_wake(struct task *task)
{
	if (!task->blocked)
		return;
	task->blocked = false;
	task->sched->nr_runnable++;
	if (task->timed)
		task->sched->nr_timed--;
	task->timed = false;
}

void task_preempt(void)
{
	struct task *task = task_current;

	if (!task || task->nr_spin || !task->sched->preempt)
		return;
	if (rng_chance(&task->sched->rng, task->sched->preempt))
		context_leave();
}

void shim_atomic_point(void)
{
	task_preempt();
}

unsigned long shim_pauses;

void shim_might_sleep(const char *file, int line)
{
	if (task_current && task_current->nr_spin)
		shim_bug(file, line, "may sleep under %s",
			 task_current->held[task_current->nr_held - 1]->name);
	task_preempt();
}

/* ---- Locks -------------------------------------------------------------- */

/* As written at the top of qvault.h, outermost first. */
static const char *const lock_order[] = {
	"page_mutex", "checkpoint_mutex", "commit_mutex",
	"alloc_mutex", "cache", "map_lock",
	"alloc_lock",
};

void shim_lock_init(struct shim_lock *lock, const char *name)
{
	u32 i;

	memset(lock, 0, sizeof(*lock));
	lock->name = name;
	for (i = 0; i < ARRAY_SIZE(lock_order); i++)
		if (strstr(name, lock_order[i]))
			lock->rank = i + 1;
}

bool shim_lock_held(const struct shim_lock *lock)
{
	u32 i;

	/* Outside of any task nobody else can be there. */
	if (!task_current)
		return true;
	for (i = 0; i < task_current->nr_held; i++)
		if (task_current->held[i] == lock)
			return true;
	return false;
}

bool shim_lock_held_exclusive(const struct shim_lock *lock)
{
	return !task_current || lock->owner == task_current;
}

void shim_assert_held(const struct shim_lock *lock, bool exclusive,
		      const char *file, int line)
{
	if (!shim_lock_held(lock) ||
	    (exclusive && !shim_lock_held_exclusive(lock)))
		shim_bug(file, line, "%s is not held", lock->name);
}

static void hold(struct shim_lock *lock)
{
	struct task *task = task_current;
	u32 i;

	for (i = 0; i < task->nr_held; i++) {
		if (task->held[i] == lock)
			shim_fail("takes %s twice", lock->name);
		if (lock->rank && task->held[i]->rank >= lock->rank)
			shim_fail("takes %s under %s", lock->name,
				  task->held[i]->name);
	}
	if (task->nr_held == TASK_MAX_HELD)
		shim_fail("holds too many locks");
	task->held[task->nr_held++] = lock;
}

static void unhold(struct shim_lock *lock)
{
	struct task *task = task_current;
	u32 i;

	for (i = 0; i < task->nr_held && task->held[i] != lock; i++)
		;
	if (i == task->nr_held)
		shim_fail("releases %s, which it does not hold", lock->name);
	memmove(&task->held[i], &task->held[i + 1],
		(--task->nr_held - i) * sizeof(task->held[0]));
}

void shim_spin_lock(struct shim_lock *lock)
{
	if (!task_current)
		return;
	task_preempt();
	hold(lock);
	if (lock->owner || lock->readers)
		shim_fail("%s was left locked", lock->name);
	lock->owner = task_current;
	lock->taken++;
	task_current->nr_spin++;
}

void shim_spin_unlock(struct shim_lock *lock)
{
	if (!task_current)
		return;
	unhold(lock);
	if (lock->owner != task_current)
		shim_fail("%s belongs to another task", lock->name);
	lock->owner = NULL;
	task_current->nr_spin--;
	task_preempt();
}

void shim_read_lock(struct shim_lock *lock)
{
	if (!task_current)
		return;
	task_preempt();
	hold(lock);
	if (lock->owner)
		shim_fail("%s was left locked", lock->name);
	lock->readers++;
	task_current->nr_spin++;
}

void shim_read_unlock(struct shim_lock *lock)
{
	if (!task_current)
		return;
	unhold(lock);
	lock->readers--;
	task_current->nr_spin--;
	task_preempt();
}

void mutex_lock(struct mutex *m)
{
	if (!task_current)
		return;
	might_sleep();
	hold(&m->dep);
	/* No queue: who is woken first is the seed's choice. */
	while (m->dep.owner) {
		m->dep.readers++;
		task_block(m->dep.name, m);
		m->dep.readers--;
	}
	m->dep.owner = task_current;
}

int mutex_trylock(struct mutex *m)
{
	if (!task_current)
		return 1;
	if (m->dep.owner)
		return 0;
	hold(&m->dep);
	m->dep.owner = task_current;
	return 1;
}

void mutex_unlock(struct mutex *m)
{
	struct task *task;

	if (!task_current)
		return;
	unhold(&m->dep);
	if (m->dep.owner != task_current)
		shim_fail("%s belongs to another task", m->dep.name);
	m->dep.owner = NULL;
	if (m->dep.readers)
		list_for_each_entry(task, &task_current->sched->tasks, list)
			if (task->blocked && task->object == m)
				task_wake(task);
	task_preempt();
}

void shim_mutex_destroy(struct mutex *m)
{
	if (m->dep.owner)
		shim_fail("%s destroyed while held", m->dep.name);
}

/* ---- Wait queues -------------------------------------------------------- */

void shim_wait_init(wait_queue_head_t *q, const char *name)
{
	INIT_LIST_HEAD(&q->waiters);
	q->name = name;
}

void shim_wait_prepare(wait_queue_head_t *q, struct shim_waiter *w)
{
	shim_might_sleep(__FILE__, __LINE__);
	w->task = task_current;
	w->woken = false;
	if (list_empty(&w->list))
		list_add_tail(&w->list, &q->waiters);
}

void shim_wait_sleep(wait_queue_head_t *q, struct shim_waiter *w,
		     const char *what)
{
	if (!task_current)
		shim_fail("%s would wait for ever: %s", q->name, what);
	while (!w->woken)
		task_block(what, q);
}

/* Returns false when the time has run out. */
bool shim_wait_sleep_timeout(wait_queue_head_t *q, struct shim_waiter *w,
			     const char *what)
{
	if (!task_current)
		return false;
	if (!w->woken) {
		task_current->timed = true;
		task_current->sched->nr_timed++;
		task_block(what, q);
	}
	return w->woken;
}

void shim_wait_finish(struct shim_waiter *w)
{
	list_del_init(&w->list);
}

void wake_up(wait_queue_head_t *q)
{
	struct shim_waiter *w;

	list_for_each_entry(w, &q->waiters, list) {
		struct task *task = w->task;

		w->woken = true;
		/* It may sleep elsewhere, inside its condition. */
		if (task && task->blocked && task->object == q)
			task_wake(task);
	}
}
