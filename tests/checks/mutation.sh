#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: bugs put into the engine one by one; the unit tests or the simulator must find each
# group: slow
# minutes: 25
# limit: 120
#
# usage: tests/run mutation [NAME...]     of tests/unit/mutants; default: all
# SECONDS_EACH (default: 90) bounds the search for each.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

here=$check_top/tests/unit
build=$QVAULT_CACHE/check-mutation
seconds=${SECONDS_EACH:-90}
killed=0 seeded=0 survivors=

build_mutant() {
	make -s -j2 -C "$here" MODE=fast "O=$build/out" "ENGINE=$build/engine"
}

# Every file as it is, but for limits small enough to be reached.
pristine() {
	local file
	for file in "$check_top"/dm-qvault/*.[ch]; do
		[ "${file##*/}" != qvault.h ] || continue
		cmp -s "$file" "$build/engine/${file##*/}" || cp "$file" "$build/engine/"
	done
	sed -f "$here/small.sed" "$check_top/dm-qvault/qvault.h" >"$check_tmp/qvault.h"
	cmp -s "$check_tmp/qvault.h" "$build/engine/qvault.h" ||
		cp "$check_tmp/qvault.h" "$build/engine/qvault.h"
}

# find_bug LOG: run what might find it; true if something did.
find_bug() {
	if ! timeout 120 "$build/out/unit.bin" >"$1" 2>&1; then
		echo "unit: $(grep -E 'FAIL|BUG' "$1" | head -n 1)" >"$check_tmp/why"
		return 0
	fi
	if ! timeout $((seconds + 60)) "$build/out/sim.bin" --shrink 0 --seed 1 \
		--seconds "$seconds" >"$1" 2>&1; then
		echo "sim: $(grep -E 'BUG|ERROR' "$1" | head -n 1) ($(grep -o 'seed .*' "$1" | head -n 1))" >"$check_tmp/why"
		return 0
	fi
	return 1
}

mutate() {
	local name=$1 file=$2 expression=$3 what=$4
	seeded=$((seeded + 1))
	pristine
	sed "$expression" "$check_top/dm-qvault/$file" >"$check_tmp/mutant.c"
	if cmp -s "$check_tmp/mutant.c" "$check_top/dm-qvault/$file"; then
		fail "$name" "changes nothing any more: mend tests/unit/mutants"
		return 0
	fi
	cp "$check_tmp/mutant.c" "$build/engine/$file"
	if ! build_mutant >"$check_tmp/log" 2>&1; then
		tail -n 5 "$check_tmp/log"
		fail "$name" "does not compile: mend tests/unit/mutants"
		return 0
	fi
	if find_bug "$check_tmp/log"; then
		killed=$((killed + 1))
		pass "$name ($what)"
		echo "      $(cat "$check_tmp/why")"
	else
		survivors+=" $name"
		fail "$name" "survives: $what"
	fi
}

mkdir -p "$build/engine"
pristine
say "building the engine as it is"
try "build" build_mutant
[ "$tally_failed" -eq 0 ] || finish

while IFS=$'\t' read -r name file expression what; do
	case $name in '#'* | '') continue ;; esac
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	mutate "$name" "$file" "$expression" "$what"
done <"$here/mutants"
pristine
echo "$killed killed of $seeded seeded${survivors:+; survivors:$survivors}"
finish
