#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mem: 192M
# Swap on a vault, with more memory in use than there is.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

# swap_on NAME: the vault of that name; more is used than there is, so that about
# 20 MB must go out and come back.
swap_on() {
	local name=$1 vault=/dev/mapper/$1 grow used
	must "make swap on it ($name)" mkswap -q "$vault"
	must "swap on ($name)" swapon "$vault"
	grow=$(($(awk '/MemAvailable/ { print $2 }' /proc/meminfo) / 1024 + 20))
	try "use more memory than there is ($grow MB)" fun memory "$grow"
	used=$(awk 'NR == 2 { print $4 }' /proc/swaps)
	try "swap off ($name)" swapoff "$vault"
	try "swap was in use (${used:-0} KiB)" test "${used:-0}" -gt 0
	detach "$name"
}

# Memory of the host's, not of the guest's: it must not fill what is short.  And more
# swap than memory: all of that may be on its way to a slow vault at a time.
linear eph-data /dev/ubda 0 $((224 * 2048))
must "attach an ephemeral vault" ctl attach --ephemeral eph /dev/mapper/eph-data
owns eph
[ "$QVAULT_FLAVOUR" = smp ] || swap_on eph
# And one whose commits and checkpoints write as well.
linear full-data /dev/ubda $((224 * 2048)) $((224 * 2048))
linear full-anchor /dev/ubda $((448 * 2048)) 2048
format /dev/mapper/full-data /dev/mapper/full-anchor >/dev/null
must "attach a vault with an anchor" attach full /dev/mapper/full-data /dev/mapper/full-anchor
swap_on full
finish
