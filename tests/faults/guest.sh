#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Injected faults, on a kernel that has FAULT_INJECTION ($FAULTS: see faults.c)
# usage: guest.sh [STORMS]
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

ramdisks 1 64
linear faults-data /dev/ram0 0 16384
linear faults-anchor /dev/ram0 16384 16

# Another vault meanwhile: it keeps the slab cache that their bios share.  Without
# it, each failure within kmem_cache_create() leaks the name of a kobject, in
# sysfs_slab_add() of 6.12, and kmemleak would speak of nothing else.
linear faults-other /dev/ram0 16400 16384
dm_create other "0 8192 qvault /dev/mapper/faults-other - -"

run() {
	local name=$1
	shift
	if "$FAULTS" /dev/mapper/faults-data /dev/mapper/faults-anchor "$@" >/tmp/faults.out 2>&1; then
		sed 's/^/      /' /tmp/faults.out
		pass "$name"
	else
		sed 's/^/      /' /tmp/faults.out
		fail "$name" "see above"
		if [ -e /dev/mapper/faulty ]; then dmsetup remove --retry faulty || true; fi
	fi
}

run "every allocation fails once" nth
[ "${1:-40}" = 0 ] || run "requests fail at random" storm "${1:-40}"
finish
