#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Read what the suites in the module said when it was loaded.
# usage: guest.sh SUITES       how many there must be
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

wanted=$1
suites=0
for results in /sys/kernel/debug/kunit/qvault-*/results; do
	[ -e "$results" ] || break
	suite=$(basename "$(dirname "$results")")
	suites=$((suites + 1))
	plan=0 ran=0
	# KTAP: the cases of a suite are indented by one level.
	while IFS= read -r line; do
		case $line in
		"    1.."*) plan=${line#*..} ;;
		"    ok "*"# SKIP"*) ran=$((ran + 1)); skip "$suite: ${line#*ok * }" "see the suite" ;;
		"    ok "*) ran=$((ran + 1)); pass "$suite: ${line#*ok * }" ;;
		"    not ok "*) ran=$((ran + 1)); fail "$suite: ${line#*ok * }" "see below" ;;
		esac
	done <"$results"
	if grep -q 'not ok' "$results"; then sed 's/^/      /' "$results"; fi
	# A suite that ran nothing says ok as well.
	if [ "$plan" -eq 0 ] || [ "$plan" -ne "$ran" ]; then
		fail "$suite" "$ran of $plan cases ran"
	fi
done
same "suites in the module" "$wanted" "$suites"
finish
