#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The hygiene check inside a guest; $HYGIENE is the program of main.c.
# Disks: data, anchor, and the one by which the host says "go on".
# shellcheck disable=SC2317 # a function that try calls
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

ramdisks 2 512
need dm-log-writes dm-crypt

crypt_is_found_out() {
	"$HYGIENE" ivs crypt 4 >/tmp/ivs || grep ' [1-9][0-9]* repeated$' /tmp/ivs
}

if "$HYGIENE" live /dev/ubda /dev/ubdb /dev/ubdc; then
	pass "a vault in use, idle, detached, refused"
else
	fail "a vault in use, idle, detached, refused" "see above"
fi
try "dm-crypt, whose tweaks repeat, is found out" crypt_is_found_out
if "$HYGIENE" ivs qvault; then
	pass "no tweak is used twice, also across crashes"
else
	fail "no tweak is used twice, also across crashes" "see above"
fi
finish
