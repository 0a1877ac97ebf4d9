# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What a check is made of.  Source it; call pass, fail, skip, try, ... for each
# test (tally.sh); end with finish, which alone prints the count line.

check_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
check_tmp=$(mktemp -d)
trap 'rm -rf "$check_tmp"' EXIT

export QVAULT_CACHE=${QVAULT_CACHE:-$HOME/.cache/dm-qvault}

# shellcheck source=tests/lib/tally.sh
. "$check_top/tests/lib/tally.sh"
# shellcheck disable=SC2034 # used by tally.sh
tally_output=$check_tmp/output

finish() {
	echo "$tally_passed passed, $tally_failed failed, $tally_skipped skipped"
	[ "$tally_failed" -eq 0 ] || exit 1
	exit 0
}

# adopt NAME FILE: add the counts `passed failed skipped` that another left there.
adopt() {
	local passed failed skipped
	if ! read -r passed failed skipped <"$2"; then
		fail "$1" "left no counts"
		return 0
	fi
	tally_passed=$((tally_passed + passed))
	tally_failed=$((tally_failed + failed))
	tally_skipped=$((tally_skipped + skipped))
}

# adopt_line NAME FILE: the same from a log whose last count line is the result.
adopt_line() {
	sed -nE 's/^([a-z]+: )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\2 \3 0\5/p' \
		"$2" | tail -n 1 >"$check_tmp/adopted"
	adopt "$1" "$check_tmp/adopted"
}

# in_guest uml|qemu ARG...: run tests/lab/... and take over the guest's counts.
# A guest that ends badly counts as one failure more than it reported itself;
# one that counted nothing has failed too.
in_guest() {
	local lab=$1 status=0 before=$tally_failed
	shift
	rm -f "$check_tmp/counts"
	"$check_top/tests/lab/$lab" --counts "$check_tmp/counts" "$@" </dev/null || status=$?
	if [ -s "$check_tmp/counts" ]; then
		adopt "$lab guest" "$check_tmp/counts"
	elif [ "$status" -eq 0 ]; then
		fail "$lab guest" "left no counts"
	fi
	if [ "$status" -ne 0 ] && [ "$tally_failed" -eq "$before" ]; then
		fail "$lab guest" "ended badly (status $status)"
	fi
}
