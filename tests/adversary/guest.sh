#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The attacks inside a guest: guest.sh COMMITS ARG...
# $ADVERSARY: see adversary.c; COMMITS are those that the device is rolled back to.
# $TWOFACE: a device that answers two reads of a block differently.
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

# attack ARG...: its lines are tests; leaves the sum.
attack() {
	if "$ADVERSARY" "$@" 2>&1 | tee /tmp/adversary.out; then
		while read -r line; do
			pass "${line#adversary: }"
		done < <(grep 'bad,' /tmp/adversary.out)
	else
		fail adversary "reproduce with: QVAULT_MAC=${QVAULT_MAC:-hmac-sha256} adversary $*"
	fi
	tail -n 1 /tmp/adversary.out >>/tmp/sums
}

ramdisks 3 256
insmod "$TWOFACE"
attack "${@:2}"
# The short run is that under sanitizers, where one MAC has to do.
[ "$1" -lt 100 ] || QVAULT_MAC=nhpoly-aes attack --seed 2 --flips 8 --in-use 20 --sample 20 --damage 1
[ "$1" = 0 ] || attack --blocks 2600 --history "$1"
rmmod twoface
awk '{ a += $2; r += $4; h += $6; w += $8 }
     END { print a " attacks, " r " refused, " h " harmless, " w " read back wrong" }' /tmp/sums
finish
