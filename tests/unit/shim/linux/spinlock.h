/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shim: a task that holds a spinlock is never switched away from, so a spinlock
 * is never contended; what is checked is that nobody sleeps under one, that the
 * order is kept and that all are released.
 */
#ifndef SHIM_SPINLOCK_H
#define SHIM_SPINLOCK_H
#include <linux/bug.h>
#include <linux/lockdep.h>

typedef struct { struct shim_lock dep; } spinlock_t;
typedef struct { struct shim_lock dep; } rwlock_t;

void shim_spin_lock(struct shim_lock *lock);
void shim_spin_unlock(struct shim_lock *lock);
void shim_read_lock(struct shim_lock *lock);
void shim_read_unlock(struct shim_lock *lock);

#define spin_lock_init(l) shim_lock_init(&(l)->dep, #l)
#define spin_lock(l) shim_spin_lock(&(l)->dep)
#define spin_unlock(l) shim_spin_unlock(&(l)->dep)
#define spin_lock_bh(l) spin_lock(l)
#define spin_unlock_bh(l) spin_unlock(l)
#define spin_lock_irq(l) spin_lock(l)
#define spin_unlock_irq(l) spin_unlock(l)
#define rwlock_init(l) shim_lock_init(&(l)->dep, #l)
#define write_lock(l) shim_spin_lock(&(l)->dep)
#define write_unlock(l) shim_spin_unlock(&(l)->dep)
#define read_lock(l) shim_read_lock(&(l)->dep)
#define read_unlock(l) shim_read_unlock(&(l)->dep)
#endif
