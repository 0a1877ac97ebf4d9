/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_PRINTK_H
#define SHIM_PRINTK_H
#define pr_err(...) ((void)0)
#define pr_warn(...) ((void)0)
#define pr_info(...) ((void)0)
#define pr_debug(...) ((void)0)
#endif
