/* SPDX-License-Identifier: GPL-2.0 */
/* Coroutines: a stack of their own, entered and left. */
#ifndef SHIM_CONTEXT_H
#define SHIM_CONTEXT_H

struct context;

struct context *context_create(void (*fn)(void *arg), void *arg);
/* Also one that never ended: its stack is simply dropped. */
void context_destroy(struct context *context);
/* Runs it until it leaves. */
void context_enter(struct context *context);
/* From inside: back to whoever entered. */
void context_leave(void);

#endif
