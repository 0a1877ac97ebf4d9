#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: bugs of one line put into engine and module one by one; each must be found
# group: slow
# minutes: 20
# limit: 120
#
# usage: tests/run mutation [NAME...]     of tests/unit/mutants and tests/glue/mutants
#
# Those in the engine are looked for by the unit tests, the golden vault and the
# simulator in userspace, for at most SECONDS_EACH (default: 40) of the processor;
# those between bios and the engine by tests/glue/guest.sh and the module in a guest.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

golden=$check_top/tests/golden
build=$QVAULT_CACHE/check-mutation/$(cksum <<<"$check_top" | cut -d " " -f 1)
seconds=${SECONDS_EACH:-40}
killed=0 seeded=0 survivors=

# ---- The engine, in userspace ----

build_engine() {
	make -s -j2 -C "$check_top/tests/unit" MODE=fast "O=$build/out" "ENGINE=$build/engine"
}

# Every file as it is, but for limits small enough to be reached.
pristine_engine() {
	local file
	for file in "$check_top"/dm-qvault/*.[ch]; do
		[ "${file##*/}" != qvault.h ] || continue
		cmp -s "$file" "$build/engine/${file##*/}" || cp "$file" "$build/engine/"
	done
	sed -f "$check_top/tests/unit/small.sed" "$check_top/dm-qvault/qvault.h" >"$check_tmp/qvault.h"
	cmp -s "$check_tmp/qvault.h" "$build/engine/qvault.h" ||
		cp "$check_tmp/qvault.h" "$build/engine/qvault.h"
}

golden_opens() {
	"$build/out/golden.bin" open "$check_tmp/data" "$check_tmp/anchor" |
		diff "$golden/vault-1.contents" -
}

# found BY COMMAND...: did it find something?  A process that dies has done so too.
found() {
	local by=$1
	shift
	# The shell itself would tell of each process that aborts.
	if { ("$@") >"$check_tmp/log" 2>&1; } 2>/dev/null; then return 1; fi
	echo "$by: $(grep -E 'FAIL|BUG|ERROR|golden:|livelock' "$check_tmp/log" | head -n 1)" \
		"$(grep -oE -- '--seed [0-9]+' "$check_tmp/log" | head -n 1)" >"$check_tmp/why"
}

# The quick ones first, then the seeds that every other run begins with.
look_in_userspace() {
	found unit timeout 120 "$build/out/unit.bin" ||
		found golden timeout 60 bash -c "$(declare -f golden_opens)
			build=$build check_tmp=$check_tmp golden=$golden; set -o pipefail; golden_opens" ||
		found sim timeout $((seconds * 15)) "$build/out/sim.bin" --shrink 0 \
			--seed 1 --cpu "$seconds"
}

# ---- The module, in a guest ----

# What was a mutant must become new, or make would keep its object.
pristine_glue() {
	mkdir -p "$build/module/dm-qvault"
	cp "$check_top/Kbuild" "$build/module/"
	rsync -r --checksum --delete --include '*/' --include '*.[ch]' --include Kbuild --exclude '*' \
		"$check_top/dm-qvault/" "$build/module/dm-qvault/"
}

in_glue_guest() {
	"$check_top/tests/lab/uml" --module "$build/module" --timeout 300 \
		--env "FUNCTIONAL=$program" --env "GLUE=$glue" "$check_top/tests/glue/guest.sh"
}

look_in_guest() { found guest in_glue_guest; }

# ---- One mutant ----

# mutate NAME FILE EXPRESSION WHAT: in $where, which is as it should be.
mutate() {
	local name=$1 file=$2 expression=$3 what=$4
	seeded=$((seeded + 1))
	sed "$expression" "$check_top/dm-qvault/$file" >"$check_tmp/mutant"
	if cmp -s "$check_tmp/mutant" "$check_top/dm-qvault/$file"; then
		fail "$name" "changes nothing any more: mend the list of mutants"
		return 0
	fi
	cp "$check_tmp/mutant" "$where/$file"
	if ! "$builder" >"$check_tmp/log" 2>&1; then
		tail -n 5 "$check_tmp/log"
		fail "$name" "does not compile: mend the list of mutants"
	elif "$look"; then
		killed=$((killed + 1))
		pass "$name ($what)"
		echo "      [${SECONDS}s] $(cat "$check_tmp/why")"
	else
		survivors+=" $name"
		fail "$name" "survives: $what"
	fi
}

# each LIST PRISTINE [NAME...]: all of a list, or those named.
each() {
	local list=$1 pristine=$2 name file expression what
	shift 2
	while IFS=$'\t' read -r name file expression what; do
		case $name in '#'* | '') continue ;; esac
		if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
			continue
		fi
		"$pristine"
		mutate "$name" "$file" "$expression" "$what"
	done <"$list"
	"$pristine"
}

# Any of the names is in the list, or there are no names.
any_of() {
	local list=$1 name
	shift
	[ $# -gt 0 ] || return 0
	for name; do
		if grep -q "^$name	" "$list"; then return 0; fi
	done
	return 1
}

nothing_found() { if "$@"; then cat "$check_tmp/why"; return 1; fi; }

if any_of "$check_top/tests/unit/mutants" "$@"; then
	mkdir -p "$build/engine"
	where=$build/engine builder=build_engine look=look_in_userspace
	gzip -dc "$golden/vault-1.data.gz" >"$check_tmp/data"
	gzip -dc "$golden/vault-1.anchor.gz" >"$check_tmp/anchor"
	pristine_engine
	say "the engine as it is"
	must "build" build_engine
	must "nothing is found in it by unit tests and golden vault" \
		nothing_found eval 'seconds=2; look_in_userspace'
	each "$check_top/tests/unit/mutants" pristine_engine "$@"
fi
if any_of "$check_top/tests/glue/mutants" "$@"; then
	where=$build/module/dm-qvault builder=true look=look_in_guest
	program=$("$check_top/tests/lab/guest-program" functional)
	glue=$("$check_top/tests/lab/guest-program" glue)
	pristine_glue
	say "the module as it is"
	must "nothing is found in it" nothing_found look_in_guest
	each "$check_top/tests/glue/mutants" pristine_glue "$@"
fi
echo "$killed killed of $seeded seeded${survivors:+; survivors:$survivors}"
finish
