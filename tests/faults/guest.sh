#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Injected faults, on a kernel that has FAULT_INJECTION ($FAULTS: see faults.c)
# usage: guest.sh [STORMS]
# shellcheck disable=SC2317 # functions that try calls
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

try "the kernel looks for hung tasks" test "$(</proc/sys/kernel/hung_task_timeout_secs)" -gt 0
ramdisks 1 64
# A ramdisk without memory for a page fails the request: let it have them all.
dd if=/dev/zero of=/dev/ram0 bs=1M count=64 oflag=direct status=none
linear faults-data /dev/ram0 0 16384
linear faults-anchor /dev/ram0 16384 2048

# Another vault meanwhile: it keeps the slab cache that their bios share.  Without
# it, each failure within kmem_cache_create() leaks the name of a kobject, in
# sysfs_slab_add() of 6.12, and kmemleak would speak of nothing else.
linear faults-other /dev/ram0 18432 16384
dm_create other "0 8192 qvault /dev/mapper/faults-other - -"

# The same slices through a target that counts requests: see faults.c.
with_module probe
dm_create probe-data "0 16384 probe /dev/mapper/faults-data 0"
dm_create probe-anchor "0 2048 probe /dev/mapper/faults-anchor 0"

# run NAME SLICES ARG...
run() {
	local name=$1 slices=/dev/mapper/$2
	shift 2
	if "$FAULTS" "$slices-data" "$slices-anchor" "$@" >/tmp/faults.out 2>&1; then
		sed 's/^/      /' /tmp/faults.out
		pass "$name"
	else
		sed 's/^/      /' /tmp/faults.out
		fail "$name" "see above"
		if [ -e /dev/mapper/faulty ]; then dmsetup remove --retry faulty || true; fi
	fi
}

# starved PERCENT: so often what cannot wait finds no memory.  Only in the caches of
# kmalloc(), for the watchers of this kernel need theirs.
starved() {
	local knobs=/sys/kernel/debug/failslab cache
	for cache in /sys/kernel/slab/kmalloc-*; do
		echo 1 >"$cache/failslab" || true
	done
	echo Y >$knobs/cache-filter
	echo 0 >$knobs/verbose
	echo -1 >$knobs/times
	echo "$1" >$knobs/probability
}
write_noise() { dd if=/tmp/noise of=/dev/mapper/starving bs=64k oflag=direct; }
read_noise() { dd if=/dev/mapper/starving bs=64k iflag=direct | cmp - /tmp/noise; }

# Reads and writes then live on what is kept for them.
dm_create starving "0 8192 qvault /dev/mapper/faults-data - -"
dd if=/dev/urandom of=/tmp/noise bs=1M count=4 status=none
starved 40
try "writes without memory" write_noise
try "reads without memory" read_noise
starved 0
echo N >/sys/kernel/debug/failslab/cache-filter
dm_remove starving

run "every allocation fails once" faults nth
# All of them, without sanitizers: tests/functional/faults.sh.
run "every fifth request fails once" probe io 5
[ "${1:-40}" = 0 ] || run "requests fail at random" faults storm "${1:-40}"
run "allocations fail at random, also in the vault's threads" faults famine 20
finish
