#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: throughput side by side with dm-linear, dm-crypt and dm-integrity
# group: slow
# minutes: 8
# limit: 60
# usage: bench [SECONDS [MB]]      for each measurement (4, 400)
#
# User Mode Linux has the generic ciphers only and one CPU: the figures compare
# targets with each other and say nothing about a machine.
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

"$check_top/tests/lab/uml" --mem 4G --timeout 3000 --counts "$check_tmp/counts" \
	"$check_top/tests/bench/guest.sh" "${1:-4}" "${2:-400}" >"$check_tmp/log" 2>&1 </dev/null || {
	tail -n 40 "$check_tmp/log"
	fail bench "the guest ended badly"
}
grep -E '^(FAIL|skip)' "$check_tmp/log" || true
"$check_top/tests/bench/table" "$check_tmp/log" "$QVAULT_CACHE/bench.json"
echo
echo "JSON: $QVAULT_CACHE/bench.json"
[ ! -s "$check_tmp/counts" ] || adopt bench "$check_tmp/counts"
finish
