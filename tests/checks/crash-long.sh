#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the crash check with at least 100,000 crash points
# group: slow
# minutes: 150
# limit: 600
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

program=$("$check_top/tests/lab/guest-program" crash)
# Two guests at a time; a seed for each, so that no two do the same.
first=${1:-1000}
run_one() {
	"$check_top/tests/lab/uml" --timeout 20000 --env "CRASH=$program" \
		--counts "$check_tmp/counts$1" \
		"$check_top/tests/crash/guest.sh" long $((first + 1000 * $1)) \
		>"$check_tmp/log$1" 2>&1
}
for pair in 0 2 4 6; do
	run_one "$pair" & one=$!
	run_one $((pair + 1)) & two=$!
	for i in "$pair:$one" "$((pair + 1)):$two"; do
		if wait "${i#*:}"; then
			adopt "guest ${i%:*}" "$check_tmp/counts${i%:*}"
		else
			cat "$check_tmp/log${i%:*}"
			fail "guest ${i%:*}" "see above"
		fi
	done
	say "$(cat "$check_tmp"/log* | awk '/^[0-9]+ crash points/ { n += $1 } END { print n + 0 }') crash points so far"
done
total=$(cat "$check_tmp"/log* | awk '/^[0-9]+ crash points/ { n += $1 } END { print n + 0 }')
echo "$total crash points"
if [ "$total" -ge 100000 ]; then
	pass "at least 100,000 crash points"
else
	fail "at least 100,000 crash points" "only $total"
fi
finish
