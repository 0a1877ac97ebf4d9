#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the bugs that other block layers had, each by its number in a list
# minutes: 1
# processors: 1
# limit: 60
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

list=$check_top/tests/known-bugs/list

passed_here() {
	if grep '^ok    ' "$check_tmp/log" | grep -F -- "$2" >/dev/null; then
		pass "$1: '$2'"
	else
		fail "$1" "the test '$2' has not passed"
	fi
}

# shown NUMBER BUG CHECK FILE NAME: by a test that has just passed, or by one of
# another check, of which only that it is there can be seen here.
shown() {
	local name="$1: $2"
	if [ "$3" = - ]; then
		skip "$name" "$5"
	elif [ ! -f "$check_top/tests/checks/$3.sh" ]; then
		fail "$name" "there is no check $3"
	elif [ "$3" = known-bugs ]; then
		passed_here "$name" "$5"
	elif grep -qF -- "$5" "$check_top/$4"; then
		pass "$name: $3, '$5'"
	else
		fail "$name" "$4 has no test '$5'"
	fi
}

program=$("$check_top/tests/lab/guest-program" functional)
known=$("$check_top/tests/lab/guest-program" known-bugs)
in_guest uml --fast --timeout 1500 --env "FUNCTIONAL=$program" --env "KNOWN_BUGS=$known" \
	--with "$check_top/tests/lab/probe" "$check_top/tests/known-bugs/guest.sh" \
	>"$check_tmp/log" 2>&1
cat "$check_tmp/log"

numbers=""
while IFS='|' read -r number bug check file name; do
	# Spaces are there for those who read the list.
	read -r number <<<"$number" && read -r bug <<<"$bug" && read -r check <<<"$check"
	read -r file <<<"$file" || true
	read -r name <<<"$name"
	numbers+=" $number"
	shown "$number" "$bug" "$check" "$file" "$name"
done < <(grep -v '^#' "$list")
for number in {1..18} {a..q}; do
	[[ " $numbers " == *" $number "* ]] || fail "number $number" "is not in the list"
done
finish
