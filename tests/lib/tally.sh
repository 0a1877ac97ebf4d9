# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Counting tests; the same words on the host (check.sh) and in a guest (guest.sh).

tally_passed=0 tally_failed=0 tally_skipped=0
tally_output=${TMPDIR:-/tmp}/tally.$$

pass() {
	tally_passed=$((tally_passed + 1))
	echo "ok    $1"
}

fail() {
	tally_failed=$((tally_failed + 1))
	echo "FAIL  $1: ${2:-no reason given}"
}

# A skip must say what is missing: skip NAME WHY
skip() {
	tally_skipped=$((tally_skipped + 1))
	echo "skip  $1: ${2:?a skip needs a reason}"
}

say() { echo "--    [${SECONDS}s] $*"; }

# try NAME COMMAND...: one test; its output is shown only when it fails.  The
# test's own result is the status, for scripts that cannot go on: try ... || ...
# (a plain `try` in a script with set -e goes on, as later tests may still tell
# more: use `must` to stop).
try() {
	local name=$1 status=0
	shift
	"$@" >"$tally_output" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 0 ]; then
		pass "$name"
	else
		tail -n 40 "$tally_output" | sed 's/^/      /'
		fail "$name" "exit status $status"
	fi
	tally_last=$status
}

# must NAME COMMAND...: try, and end here if it fails.
must() {
	try "$@"
	[ "$tally_last" -eq 0 ] || finish
}

# expect_fail NAME COMMAND...: the opposite; what it printed is left in
# $tally_output for expect_said.
expect_fail() {
	local name=$1 status=0
	shift
	"$@" >"$tally_output" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 0 ]; then
		fail "$name" "did not fail as it must: $*"
	elif [ "$status" -ge 126 ]; then
		sed 's/^/      /' "$tally_output" | tail -n 20
		fail "$name" "did not fail by itself but with status $status: $*"
	else
		pass "$name"
	fi
	tally_last=$status
}

# expect_said NAME PATTERN: the last try or expect_fail printed this.
expect_said() {
	if grep -qE -- "$2" "$tally_output"; then
		pass "$1"
	else
		tail -n 10 "$tally_output" | sed 's/^/      /'
		fail "$1" "no line matches: $2"
	fi
}

# same NAME WANTED GOT
same() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "wanted '$2', got '$3'"
	fi
}
