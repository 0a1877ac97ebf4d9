/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shim: every allocation belongs to the running world, so that a crash gives
 * back all of it and a clean end can look for leaks; the world may make any
 * allocation fail that is allowed to.
 */
#ifndef SHIM_SLAB_H
#define SHIM_SLAB_H
#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/kernel.h>
void *shim_alloc(size_t size, gfp_t gfp, bool zero);
void *shim_realloc(const void *p, size_t size, gfp_t gfp);
void kfree(const void *p);
void kfree_sensitive(const void *p);
size_t ksize(const void *p);
/* What a kernel would have given for all that is allocated now. */
size_t shim_heap_bytes(void);
#define kmalloc(s, gfp) shim_alloc(s, gfp, false)
#define kzalloc(s, gfp) shim_alloc(s, gfp, true)
#define kcalloc(n, s, gfp) shim_alloc(size_mul(n, s), gfp, true)
#define kmalloc_array(n, s, gfp) shim_alloc(size_mul(n, s), gfp, false)
#define kvmalloc(s, gfp) shim_alloc(s, gfp, false)
#define kvzalloc(s, gfp) shim_alloc(s, gfp, true)
#define kvcalloc(n, s, gfp) shim_alloc(size_mul(n, s), gfp, true)
#define kvmalloc_array(n, s, gfp) shim_alloc(size_mul(n, s), gfp, false)
#define krealloc(p, s, gfp) shim_realloc(p, s, gfp)
#define kvfree(p) kfree(p)
#define kvfree_sensitive(p, n) kfree_sensitive(p)
#define vmalloc(s) shim_alloc(s, GFP_KERNEL, false)
#define vzalloc(s) shim_alloc(s, GFP_KERNEL, true)
#define vfree(p) kfree(p)

void *kmemdup(const void *p, size_t size, gfp_t gfp);

struct kmem_cache;
#define SLAB_RECLAIM_ACCOUNT 0
#define SLAB_HWCACHE_ALIGN 0
#define SLAB_MEM_SPREAD 0
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *));
void kmem_cache_destroy(struct kmem_cache *cache);
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *p);
#define KMEM_CACHE(s, flags) \
	kmem_cache_create(#s, sizeof(struct s), __alignof__(struct s), flags, NULL)
#endif
