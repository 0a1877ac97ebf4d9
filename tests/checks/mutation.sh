#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: bugs of one line put into engine and module one by one; each must be found
# group: slow
# minutes: 60
# limit: 240
#
# usage: tests/run mutation [NAME...]     rows of tests/{unit,kunit,glue,machine}/mutants
#
# Those in the engine are looked for by the unit tests, the golden vault and the
# simulator in userspace, the last for at most SECONDS_EACH (default: 40) of the
# processor; those in keys, ciphers and MACs by the suites inside the module; those
# between bios and the engine by tests/glue/{guest,famine}.sh; those in what the machine
# does by the check machine and a scene of two-lives.  Two mutants at a time.
# Beside each that is killed stands what the killer said: a row is good only if
# that is the bug, and not an accident.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

golden=$check_top/tests/golden
cache=$QVAULT_CACHE/check-mutation/$(cksum <<<"$check_top" | cut -d " " -f 1)
seconds=${SECONDS_EACH:-40}
killed=0 seeded=0 survivors=

# side N: all that is written to from here on belongs to one of the two that run.
side() {
	build=$cache/$1 tmp=$check_tmp/$1
	mkdir -p "$build/module/dm-qvault" "$tmp"
}

# ---- The engine, in userspace ----

# copy_engine FROM TO: what has not changed keeps its time, and its object.
copy_engine() {
	local file
	mkdir -p "$2"
	for file in "$2"/*.[ch]; do
		[ -e "$1/${file##*/}" ] || rm -f "$file"
	done
	for file in "$1"/*.[ch]; do
		cmp -s "$file" "$2/${file##*/}" || cp "$file" "$2/"
	done
}

pristine_engine() {
	copy_engine "$check_top/dm-qvault/engine" "$build/engine"
	where=$build/engine
}

# As in the check unit: its parts as they are, for the simulator with limits that are
# small enough to be reached.
build_engine() {
	local small=$tmp/small
	rm -rf "$small"
	copy_engine "$build/engine" "$small"
	sed -i -f "$check_top/tests/unit/small.sed" "$small/bounds.h"
	copy_engine "$small" "$build/small"
	engine_of engine unit.bin golden.bin && engine_of small sim.bin
}

# engine_of DIR PROGRAM...
engine_of() {
	local engine=$build/$1 out=$build/out-$1
	shift
	whole "$out" make -s -C "$check_top/tests/unit" MODE=fast "O=$out" \
		"ENGINE=$engine" "${@/#/$out/}"
}

golden_opens() {
	"$build/out-engine/golden.bin" open "$check_tmp/data" "$check_tmp/anchor" |
		diff "$golden/vault-1.contents" -
}

within() { "$check_top/tests/lab/within" "$@"; }

# found BY COMMAND...: did it find something?  A process that dies has done so too;
# one whose time was over has not: it may have been slow, and no more.
found() {
	local by=$1 status=0
	shift
	# The shell itself would tell of each process that aborts.
	{ ("$@") </dev/null >"$tmp/log" 2>&1 || status=$?; } 2>/dev/null
	[ "$status" -ne 0 ] && [ "$status" -ne 124 ] || return 1
	echo "$by: $(said_by_killer "$status")" \
		"$(grep -oE -- '--seed [0-9]+' "$tmp/log" | head -n 1)" >"$tmp/why"
}

# What a test or the kernel said; else how it ended.
said_by_killer() {
	grep -aE 'FAIL|BUG|ERROR|golden:|livelock|assert|^< |^> ' "$tmp/log" | head -n 1 |
		cut -c 1-200 | grep . || echo "ended with status $1"
}

# The quick ones first, then the seeds that every other run begins with, and lives
# of one kind, of which they have few: with memory that goes back, or much that fails.
lives=(--explore 0 --hostile 0 --ephemeral 0 --forks 1)
look_in_engine() {
	found unit within 120 "$build/out-engine/unit.bin" --quick ||
		found golden within 60 bash -c "$(declare -f golden_opens)
			build=$build check_tmp=$check_tmp golden=$golden; set -o pipefail; golden_opens" ||
		found sim within $((60 + seconds * 8)) "$build/out-small/sim.bin" --shrink 0 \
			--seed 1 --cpu "$seconds" ||
		found sim within $((60 + seconds * 8)) "$build/out-small/sim.bin" --shrink 0 \
			--seed 1000 --cpu "$seconds" "${lives[@]}" ||
		found unit within 300 "$build/out-engine/unit.bin" life:
}

look_briefly() { seconds=2 look_in_engine; }

# ---- The module, in a guest ----

# What was a mutant must become new, or make would keep its object.
pristine_module() {
	cp "$check_top/Kbuild" "$build/module/"
	rsync -r --checksum --delete --include '*/' --include '*.[ch]' --include Kbuild --exclude '*' \
		"$check_top/dm-qvault/" "$build/module/dm-qvault/"
	where=$build/module/dm-qvault
}

# It must compile: a guest that never began would look like one that found it.
build_module() {
	"$check_top/tests/lab/build-module" --source "$build/module" \
		"$("$check_top/tests/lab/uml-kernel" plain)" ARCH=um >/dev/null
}

in_guest_of_mutant() { "$check_top/tests/lab/uml" --module "$build/module" --timeout 300 "$@"; }

look_in_kunit() {
	found kunit in_guest_of_mutant --kunit "$check_top/tests/kunit/guest.sh" "$suites"
}

look_in_glue() {
	local guest=(in_guest_of_mutant --with "$check_top/tests/lab/probe"
		--env "FUNCTIONAL=$program" --env "GLUE=$glue")
	found glue "${guest[@]}" "$check_top/tests/glue/guest.sh" ||
		found famine "${guest[@]}" --famine "$check_top/tests/glue/famine.sh"
}

# Their guests are of several kernels; that it compiles is seen for one.
look_in_machine() {
	local -x QVAULT_MODULE=$build/module
	local part
	for part in down hibernate off; do
		found machine within 900 bash "$check_top/tests/checks/machine.sh" "$part" &&
			return 0
	done
	found two-lives within 900 bash "$check_top/tests/checks/two-lives.sh" savevm-memory
}

# ---- One mutant ----

# mutate NAME FILE EXPRESSION WHAT: in $where, which is as it should be.
mutate() {
	local name=$1 file=$2 expression=$3 what=$4 began=$SECONDS whole
	seeded=$((seeded + 1))
	whole=$(echo "$check_top"/dm-qvault/*/"$file")
	sed "$expression" "$whole" >"$tmp/mutant"
	if cmp -s "$tmp/mutant" "$whole"; then
		fail "$name" "changes nothing any more: mend the list of mutants"
		return 0
	fi
	cp "$tmp/mutant" "$(find "$where" -name "$file")"
	if ! "$builder" >"$tmp/log" 2>&1; then
		tail -n 5 "$tmp/log"
		fail "$name" "does not compile: mend the list of mutants"
	elif "$look"; then
		killed=$((killed + 1))
		pass "$name ($what)
      [$((SECONDS - began)) s] $(<"$tmp/why")"
	else
		survivors+=" $name"
		fail "$name" "survives: $what"
	fi
}

# half N: every other row of $check_tmp/rows; leaves what it counted.
half() {
	local name file expression what
	side "$1"
	tally_passed=0 tally_failed=0
	while IFS=$'\t' read -r name file expression what; do
		"$pristine"
		mutate "$name" "$file" "$expression" "$what"
	done < <(sed -n "$(($1 + 1))~2p" "$check_tmp/rows")
	echo "$tally_passed $tally_failed 0" >"$tmp/counts"
	echo "$killed $seeded $survivors" >"$tmp/result"
}

both_halves() {
	local n more_killed more_seeded more_survivors
	for n in 0 1; do half "$n" & done
	wait
	for n in 0 1; do
		adopt "half $n" "$check_tmp/$n/counts"
		read -r more_killed more_seeded more_survivors <"$check_tmp/$n/result"
		killed=$((killed + more_killed)) seeded=$((seeded + more_seeded))
		survivors+=${more_survivors:+ $more_survivors}
	done
}

# rows LIST [NAME...]: all of a list, or those named; are there any?
rows() {
	local list=$1 name
	shift
	if [ $# -eq 0 ]; then
		grep -vE '^(#|$)' "$list"
		return 0
	fi
	for name; do grep "^$name	" "$list" || true; done
} >"$check_tmp/rows"

nothing_found() { if "$@"; then cat "$tmp/why"; return 1; fi; }

# suite NAME PRISTINE BUILDER LOOK LOOK_AT_PRISTINE
suite() {
	local killed=0 seeded=0 survivors=
	[ -s "$check_tmp/rows" ] || return 0
	pristine=$2 builder=$3 look=$4
	side 0
	say "$1: the code as it is"
	"$pristine"
	must "build" "$builder"
	must "nothing is found in it" nothing_found "$5"
	both_halves
	all_killed=$((all_killed + killed)) all_seeded=$((all_seeded + seeded))
	all_survivors+=$survivors
	say "$1: $killed killed of $seeded"
}

all_killed=0 all_seeded=0 all_survivors=
gzip -dc "$golden/vault-1.data.gz" >"$check_tmp/data"
gzip -dc "$golden/vault-1.anchor.gz" >"$check_tmp/anchor"
suites=$(grep -l '^kunit_test_suite' "$check_top"/dm-qvault/tests/*_kunit.c | wc -l)
program=$("$check_top/tests/lab/guest-program" functional)
glue=$("$check_top/tests/lab/guest-program" glue)

rows "$check_top/tests/glue/mutants" "$@"
suite glue pristine_module build_module look_in_glue look_in_glue
rows "$check_top/tests/kunit/mutants" "$@"
suite kunit pristine_module build_module look_in_kunit look_in_kunit
rows "$check_top/tests/machine/mutants" "$@"
suite machine pristine_module build_module look_in_machine look_in_machine
rows "$check_top/tests/unit/mutants" "$@"
suite engine pristine_engine build_engine look_in_engine look_briefly
echo "$all_killed killed of $all_seeded seeded${all_survivors:+; survivors:$all_survivors}"
finish
