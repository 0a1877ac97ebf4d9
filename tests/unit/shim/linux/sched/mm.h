/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_SCHED_MM_H
#define SHIM_SCHED_MM_H
#include <linux/slab.h>
unsigned int memalloc_noio_save(void);
void memalloc_noio_restore(unsigned int flags);
static inline unsigned int memalloc_nofs_save(void) { return 0; }
static inline void memalloc_nofs_restore(unsigned int flags) { (void)flags; }
#endif
