/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What alloc.c and release.c share.
 */
#ifndef QVAULT_ALLOC_H
#define QVAULT_ALLOC_H

#include "qvault.h"

/* Context: alloc_lock, or alloc_mutex: either keeps groups from going away. */
struct qvault_group *__qvault_group_find(struct qvault *v, u64 index);
/* Context: alloc_lock. */
void __qvault_group_fresh(struct qvault *v, struct qvault_group *g, u32 nr);
int qvault_map_read(struct qvault *v, const struct qvault_ptr *root, u64 index,
		    unsigned long *bits, u64 *version);
void qvault_alloc_forget_aside(struct qvault_alloc *a);
void qvault_map_root(struct qvault *v, struct qvault_ptr *root);

#endif
