#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the crash check with at least 100,000 crash points
# group: slow
# minutes: 30
# limit: 240
# usage: crash-long [POINTS [SEED]]
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

wanted=${1:-100000} first=${2:-1000} guests=2
program=$("$check_top/tests/lab/guest-program" crash)

# A seed for each, so that no two do the same.
run_one() {
	nice -n 5 "$check_top/tests/lab/uml" --fast --timeout 14000 --env "CRASH=$program" \
		--counts "$check_tmp/counts$1" --keep "$QVAULT_CACHE/crash-long$1" \
		"$check_top/tests/crash/guest.sh" long $(((wanted + guests - 1) / guests)) \
		$((first + 1000000 * $1)) >"$check_tmp/log$1" 2>&1
}

points() {
	cat "$check_tmp"/log* | sed -n 's/^ok .*: \([0-9]*\) crash points$/\1/p' |
		awk '{ n += $1 } END { print n + 0 }'
}

show_progress() {
	while sleep 120; do say "$(points) crash points so far"; done
}

running=()
for ((i = 0; i < guests; i++)); do
	run_one "$i" & running+=("$!")
done
show_progress & progress=$!
for ((i = 0; i < guests; i++)); do
	if wait "${running[i]}"; then
		grep '^crash: .* masks\|^      crash: .* masks' "$check_tmp/log$i" || true
		adopt "guest $i" "$check_tmp/counts$i"
	else
		cat "$check_tmp/log$i"
		fail "guest $i" "see above"
	fi
done
kill "$progress"
total=$(points)
echo "$total crash points"
if [ "$total" -ge "$wanted" ]; then
	pass "at least $wanted crash points"
else
	fail "at least $wanted crash points" "only $total"
fi
finish
