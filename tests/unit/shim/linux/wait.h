/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shim: a waiter is on the queue while it looks at its condition, as in the
 * kernel, so that a wake-up in between is not lost.
 */
#ifndef SHIM_WAIT_H
#define SHIM_WAIT_H
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/spinlock.h>
typedef struct wait_queue_head {
	struct list_head waiters;
	const char *name;
} wait_queue_head_t;
struct shim_waiter {
	struct list_head list;
	void *task;
	bool woken;
};
#define init_waitqueue_head(q) shim_wait_init(q, #q)
void shim_wait_init(wait_queue_head_t *q, const char *name);
void shim_wait_prepare(wait_queue_head_t *q, struct shim_waiter *w);
void shim_wait_sleep(wait_queue_head_t *q, struct shim_waiter *w,
		     const char *what);
bool shim_wait_sleep_timeout(wait_queue_head_t *q, struct shim_waiter *w,
			     const char *what);
void shim_wait_finish(struct shim_waiter *w);
void wake_up(wait_queue_head_t *q);
#define wake_up_all(q) wake_up(q)
#define wait_event(q, cond) do {					\
	struct shim_waiter __w = { .list = LIST_HEAD_INIT(__w.list) };	\
									\
	for (;;) {							\
		shim_wait_prepare(&(q), &__w);				\
		if (cond)						\
			break;						\
		shim_wait_sleep(&(q), &__w, #cond);			\
	}								\
	shim_wait_finish(&__w);						\
} while (0)
/* Time passes when nothing else can happen, and now and then before that. */
#define wait_event_timeout(q, cond, jiffies) ({				\
	struct shim_waiter __w = { .list = LIST_HEAD_INIT(__w.list) };	\
	long __left = (jiffies);					\
									\
	for (;;) {							\
		shim_wait_prepare(&(q), &__w);				\
		if (cond) {						\
			__left = __left ? __left : 1;			\
			break;						\
		}							\
		if (!__left)						\
			break;						\
		if (!shim_wait_sleep_timeout(&(q), &__w, #cond))	\
			__left = 0;					\
	}								\
	shim_wait_finish(&__w);						\
	__left; })
static inline bool waitqueue_active(wait_queue_head_t *q)
{
	return !list_empty(&q->waiters);
}
#define wq_has_sleeper(q) waitqueue_active(q)
#endif
