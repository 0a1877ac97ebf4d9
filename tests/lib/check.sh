# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What a check is made of.  Source it; call pass, fail and skip for each test;
# end with finish.  Nothing else may print the count line.

check_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
check_name=$(basename "$0" .sh)
check_passed=0 check_failed=0 check_skipped=0
check_tmp=$(mktemp -d)
trap 'rm -rf "$check_tmp"' EXIT

export QVAULT_CACHE=${QVAULT_CACHE:-$HOME/.cache/dm-qvault}

pass() {
	check_passed=$((check_passed + 1))
	echo "ok    $1"
}

fail() {
	check_failed=$((check_failed + 1))
	echo "FAIL  $1: ${2:-no reason given}"
}

# A skip must say what is missing: skip NAME WHY
skip() {
	check_skipped=$((check_skipped + 1))
	echo "skip  $1: ${2:?a skip needs a reason}"
}

finish() {
	echo "$check_passed passed, $check_failed failed, $check_skipped skipped"
	[ "$check_failed" -eq 0 ] || exit 1
	exit 0
}

say() { echo "--    [${SECONDS}s] $*"; }

# try NAME COMMAND...: one test; its output is shown only when it fails.
try() {
	local name=$1 status=0
	shift
	"$@" >"$check_tmp/output" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 0 ]; then
		pass "$name"
		return 0
	fi
	tail -n 40 "$check_tmp/output" | sed 's/^/      /'
	fail "$name" "exit status $status"
	return 0
}

# expect_failure NAME COMMAND...: the opposite, for showing that a test can fail.
expect_failure() {
	local name=$1 status=0
	shift
	"$@" >"$check_tmp/output" 2>&1 </dev/null || status=$?
	if [ "$status" -ne 0 ]; then
		pass "$name"
	else
		fail "$name" "did not fail as it must"
	fi
}

# adopt FILE: add the counts that a guest or another program left there.
adopt() {
	local passed failed skipped
	if ! read -r passed failed skipped <"$1"; then
		fail "$check_name" "no counts in $(basename "$1")"
		return 0
	fi
	check_passed=$((check_passed + passed))
	check_failed=$((check_failed + failed))
	check_skipped=$((check_skipped + skipped))
}

# adopt_line FILE: the same from a log whose last count line is the result.
adopt_line() {
	local line
	line=$(grep -E '^([a-z]+: )?[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$1" | tail -n 1)
	sed -E 's/^[a-z]+: //; s/ (passed|failed|skipped),?//g' <<<"$line" >"$check_tmp/adopted"
	adopt "$check_tmp/adopted"
}

# in_guest LAB ARG...: run tests/lab/LAB and take over the counts of the guest.
# A guest that ends badly counts as one failure more than it reported itself.
in_guest() {
	local lab=$1 status=0 before=$check_failed
	shift
	rm -f "$check_tmp/counts"
	"$check_top/tests/lab/$lab" --counts "$check_tmp/counts" "$@" </dev/null || status=$?
	if [ -s "$check_tmp/counts" ]; then
		adopt "$check_tmp/counts"
	fi
	if [ "$status" -ne 0 ] && [ "$check_failed" -eq "$before" ]; then
		fail "$lab guest" "ended badly (status $status)"
	elif [ ! -s "$check_tmp/counts" ]; then
		fail "$lab guest" "left no counts"
	fi
}
