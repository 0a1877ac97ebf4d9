/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_GFP_H
#define SHIM_GFP_H
#include <linux/types.h>
#define __GFP_IO		0x01u
#define __GFP_FS		0x02u
#define __GFP_DIRECT_RECLAIM	0x04u
#define __GFP_KSWAPD_RECLAIM	0x08u
#define __GFP_NOWARN		0x10u
#define __GFP_NOFAIL		0x20u
#define __GFP_ZERO		0x40u
#define __GFP_NORETRY		0x80u
#define __GFP_NOMEMALLOC	0x100u
#define __GFP_HIGH		0x200u
#define __GFP_RETRY_MAYFAIL	0x400u
#define __GFP_RECLAIM	(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL	(__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_NOFS	(__GFP_RECLAIM | __GFP_IO)
#define GFP_NOIO	__GFP_RECLAIM
#define GFP_NOWAIT	(__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_ATOMIC	(__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return gfp & __GFP_DIRECT_RECLAIM;
}
#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ul
unsigned long __get_free_page(gfp_t gfp);
void free_page(unsigned long addr);
#endif
