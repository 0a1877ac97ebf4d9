// SPDX-License-Identifier: GPL-2.0
/*
 * Coroutines.  AddressSanitizer is told of every switch, else it takes another
 * stack for a wild one.  Stacks have a guard page and are reused.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "context.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define switch_start(save, bottom, size) \
	__sanitizer_start_switch_fiber(save, bottom, size)
#define switch_finish(save, bottom, size) \
	__sanitizer_finish_switch_fiber(save, bottom, size)
#define unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define switch_start(save, bottom, size) ((void)0)
#define switch_finish(save, bottom, size) ((void)0)
#define unpoison(p, n) ((void)0)
#endif

#define STACK_SIZE (256 * 1024)
#define GUARD 4096

struct context {
	struct context *next;		/* in the list of free ones */
	struct context *outer;		/* that was running when this was entered */
	char *stack;
	void (*fn)(void *arg);
	void *arg;
	void *fake;			/* ASAN's, while it does not run */
	const void *back_bottom;	/* the stack to which it leaves */
	size_t back_size;
	void *back_fake;
#ifdef __x86_64__
	void *sp;
	void *back_sp;
#else
	ucontext_t uc;
	ucontext_t back;
#endif
};

static struct context *running;
static struct context *free_contexts;

#ifdef __x86_64__
/*
 * swapcontext() makes a system call for the signal mask, which would be most
 * of a simulation's time.  Push what a call preserves, change stacks, pop.
 */
void context_swap(void **save, void *load);
__asm__(".text\n"
	".type context_swap,@function\n"
	"context_swap:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n"
	"	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n"
	"	popq %r12\n	popq %rbx\n	popq %rbp\n"
	"	ret\n"
	".size context_swap, .-context_swap\n");
#endif

static void first(void)
{
	struct context *context = running;

	switch_finish(NULL, &context->back_bottom, &context->back_size);
	context->fn(context->arg);
	abort();
}

static void reset(struct context *context)
{
#ifdef __x86_64__
	void **sp = (void **)(context->stack + STACK_SIZE);

	/* As if first() had been called: the stack is 8 off a multiple of 16. */
	*--sp = NULL;
	*--sp = (void *)first;
	sp -= 6;
	context->sp = sp;
#else
	getcontext(&context->uc);
	context->uc.uc_stack.ss_sp = context->stack;
	context->uc.uc_stack.ss_size = STACK_SIZE;
	context->uc.uc_link = NULL;
	makecontext(&context->uc, first, 0);
#endif
}

struct context *context_create(void (*fn)(void *arg), void *arg)
{
	struct context *context = free_contexts;

	if (context) {
		free_contexts = context->next;
		unpoison(context->stack, STACK_SIZE);
	} else {
		char *map;

		context = calloc(1, sizeof(*context));
		map = mmap(NULL, STACK_SIZE + GUARD, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (map == MAP_FAILED || mprotect(map, GUARD, PROT_NONE))
			abort();
		context->stack = map + GUARD;
	}
	context->fn = fn;
	context->arg = arg;
	context->fake = NULL;
	reset(context);
	return context;
}

void context_destroy(struct context *context)
{
	context->next = free_contexts;
	free_contexts = context;
}

void context_enter(struct context *context)
{
	context->outer = running;
	running = context;
	switch_start(&context->back_fake, context->stack, STACK_SIZE);
#ifdef __x86_64__
	context_swap(&context->back_sp, context->sp);
#else
	swapcontext(&context->back, &context->uc);
#endif
	switch_finish(context->back_fake, NULL, NULL);
	running = context->outer;
}

void context_leave(void)
{
	struct context *context = running;

	switch_start(&context->fake, context->back_bottom, context->back_size);
#ifdef __x86_64__
	context_swap(&context->sp, context->back_sp);
#else
	swapcontext(&context->uc, &context->back);
#endif
	switch_finish(context->fake, &context->back_bottom,
		      &context->back_size);
}
