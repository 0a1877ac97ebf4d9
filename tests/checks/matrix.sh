#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: builds without a warning for each Debian kernel, and runs on it in QEMU
# minutes: 4
# processors: 1
# limit: 90
# usage: matrix [SERIES...]
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

lab=$check_top/tests/lab
[ $# -gt 0 ] || set -- 6.1 6.12 7.2 7.3

no_warning() {
	if grep -i -E -A 4 'warning|error:' "$check_tmp/build"; then return 1; fi
	grep 'LD \[M\]' "$check_tmp/build" >/dev/null
}

for series in "$@"; do
	say "Debian kernel $series"
	if ! "$lab/debian-kernel" "$series" >"$check_tmp/kernel"; then
		fail "kernel $series" "cannot be fetched"
		continue
	fi
	headers="" release=""
	# shellcheck source=/dev/null
	. "$check_tmp/kernel"
	try "builds for $release" "$lab/build-module" --fresh --into "$check_tmp" \
		--log "$check_tmp/build" "$headers"
	[ "$tally_last" -eq 0 ] || continue
	try "without a warning for $release" no_warning
	truncate -s 0 "$check_tmp/data" "$check_tmp/anchor"
	truncate -s 256M "$check_tmp/data"
	truncate -s 1M "$check_tmp/anchor"
	in_guest qemu --kernel "$series" --ko "$check_tmp/dm-qvault.ko" --mem 1G \
		--disk "$check_tmp/data" --disk "$check_tmp/anchor" --timeout 1500 "$lab/smoke"
done
finish
