#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: under KASAN, lockdep, kmemleak, UBSAN; allocations and requests that fail
# minutes: 7
# limit: 150
# usage: debug [PART...]      of: adversary faults functional kunit crash
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

# The laboratory fails a guest in which one of the watchers fell asleep.
guest() { beside "$part" uml --debug --mem 2G --timeout 900 "$@"; }
program() { echo "$1=$("$check_top/tests/lab/guest-program" "${1,,}")"; }

# The long ones first, or the last would run alone.
[ $# -gt 0 ] || set -- adversary faults functional kunit crash
for part in "$@"; do
	case $part in
	kunit)
		suites=$(grep -l '^kunit_test_suite' "$check_top"/dm-qvault/tests/*_kunit.c | wc -l)
		guest --kunit "$check_top/tests/kunit/guest.sh" "$suites"
		;;
	faults)
		guest --with "$check_top/tests/lab/probe" --env "$(program FAULTS)" \
			"$check_top/tests/faults/guest.sh"
		;;
	functional)
		for script in life basic space; do
			guest --env "$(program FUNCTIONAL)" \
				"$check_top/tests/functional/$script.sh"
		done
		;;
	crash) guest --env "$(program CRASH)" "$check_top/tests/crash/guest.sh" debug ;;
	adversary)
		twoface=$("$check_top/tests/lab/build-module" \
			--source "$check_top/tests/lab/twoface" \
			"$("$check_top/tests/lab/uml-kernel" debug)" ARCH=um)
		guest --env "$(program ADVERSARY)" --env "TWOFACE=$twoface" \
			"$check_top/tests/adversary/guest.sh" 5 --flips 1 --in-use 5 --sample 25 --damage 1
		;;
	*) fail "$part" "no such part" ;;
	esac
done
finish
