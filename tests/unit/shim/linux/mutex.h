/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_MUTEX_H
#define SHIM_MUTEX_H
#include <linux/list.h>
#include <linux/lockdep.h>
struct mutex {
	struct shim_lock dep;
};
#define mutex_init(m) shim_lock_init(&(m)->dep, #m)
#define mutex_destroy(m) shim_mutex_destroy(m)
void shim_mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
/* Nobody is killed here. */
static inline int mutex_lock_killable(struct mutex *m)
{
	mutex_lock(m);
	return 0;
}
int mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
static inline bool mutex_is_locked(struct mutex *m) { return m->dep.owner; }
#endif
