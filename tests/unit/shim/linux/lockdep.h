/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: what is held is known exactly, so an assertion here never guesses. */
#ifndef SHIM_LOCKDEP_H
#define SHIM_LOCKDEP_H
#include <linux/types.h>

struct shim_lock {
	const char *name;	/* as it stood in the call that initialized it */
	int rank;		/* place in the lock order, 0: none */
	int readers;
	void *owner;		/* task that holds it (exclusively) */
	u64 taken;		/* how often, as a spinlock */
};

void shim_lock_init(struct shim_lock *lock, const char *name);
bool shim_lock_held(const struct shim_lock *lock);
bool shim_lock_held_exclusive(const struct shim_lock *lock);
void shim_assert_held(const struct shim_lock *lock, bool exclusive,
		      const char *file, int line);

#define lockdep_is_held(l) shim_lock_held(&(l)->dep)
#define lockdep_assert_held(l) \
	shim_assert_held(&(l)->dep, false, __FILE__, __LINE__)
#define lockdep_assert_held_write(l) \
	shim_assert_held(&(l)->dep, true, __FILE__, __LINE__)
#define lockdep_assert_held_read(l) lockdep_assert_held(l)
#define lockdep_assert(cond) WARN_ON(!(cond))
#define lockdep_assert_not_held(l) WARN_ON(lockdep_is_held(l))
#endif
