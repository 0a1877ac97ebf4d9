#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mem: 192M
# Swap on an ephemeral vault, with more memory in use than there is.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

# Memory of the host's, not of the guest's: it must not fill what is short.
linear eph-data /dev/ubda 0 $((96 * 2048))
must "attach an ephemeral vault" ctl attach --ephemeral eph /dev/mapper/eph-data
owns eph
vault=/dev/mapper/eph
must "make swap on it" mkswap -q "$vault"
must "swap on" swapon "$vault"
# More than there is: about 20 MB must go out and come back.
grow=$(($(awk '/MemAvailable/ { print $2 }' /proc/meminfo) / 1024 + 20))
try "use more memory than there is ($grow MB)" fun memory "$grow"
used=$(awk 'NR == 2 { print $4 }' /proc/swaps)
try "swap off" swapoff "$vault"
try "swap was in use (${used:-0} KiB)" test "${used:-0}" -gt 0
detach eph
finish
