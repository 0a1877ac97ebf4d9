#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: lines and branches of the module that some test runs, and why the others are not
# group: slow
# minutes: 10
# limit: 150
# usage: coverage [judge]       judge: only what an earlier run has counted
#
# To run one part again, such as functional/life, and judge the sum:
#     bash tests/checks/coverage.sh functional/life
#
# The module, built with gcov, in guests, and the engine in userspace; a line is
# covered if one of them has run it.  tests/coverage/reasons says of each line that
# is not why not.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

here=$check_top/tests/coverage
# One for each tree.
build=$QVAULT_CACHE/coverage/$(cksum <<<"$check_top" | cut -d " " -f 1)
# The first is the module as it is, and says which lines there are; the second takes long.
parts=(kunit allocations unit
	functional/{basic,corners,counters,damage,faults,fio,keys,life,resize,space,suspend,swap,tool}
	known-bugs crash adversary)
wanted=90	# percent of the lines

# What a part has counted is worth nothing once the sources are others.
sources() { sha256sum "$check_top"/dm-qvault/*/*.[ch]; }

# ---- The engine in userspace ----

build_engine() {
	rm -rf "$build/unit"
	mkdir -p "$build/unit/engine-source"
	cp "$check_top"/dm-qvault/engine/*.[ch] "$build/unit/engine-source/"
	sed -i -f "$check_top/tests/unit/small.sed" "$build/unit/engine-source/bounds.h"
	sources >"$build/unit/sources"
	make -s -j2 -C "$check_top/tests/unit" MODE=fast "O=$build/unit" \
		"ENGINE=$build/unit/engine-source" CFLAGS=--coverage LDFLAGS=--coverage
}

simulate() { "$build/unit/sim.bin" --seed "$@"; }

unit() {
	must "build of the engine" build_engine
	try "its parts" "$build/unit/unit.bin"
	try "simulator" simulate 1 --states 20000 --cpu 120
	# Errors of devices where metadata do not fit into memory.
	try "simulator, with errors" simulate 7000001 --runs 400 --faults 20 --explore 0 \
		--attacks 0 --memory_mib 1
	# So little memory that a commit has to wait for a page of the log.
	try "simulator, short of memory" simulate 1 --runs 20 --shortage 100 --bursts 100 \
		--clients 12 --explore 0 --attacks 0 --max_len 256 --log_blocks 76 \
		--memory_mib 8 --data_blocks 3000
}

# ---- The module in guests ----

program() {
	local path name=${1^^}
	path=$("$check_top/tests/lab/guest-program" "$1")
	echo "${name//-/_}=$path"
}

# guest SCRIPT [ARG...]: SCRIPT as in tests/; $options are for the laboratory.
guest() {
	local ko
	# Make hands the variable down to where the module is compiled.
	ko=$("$check_top/tests/lab/build-module" \
		"$("$check_top/tests/lab/uml-kernel" "$flavour")" ARCH=um GCOV_PROFILE=y)
	rm -rf "${build:?}/$part"
	mkdir -p "$build/$part/gcov"
	cp "$(dirname "$ko")"/*/*.gcno "$build/$part/gcov/"
	sources >"$build/$part/sources"
	beside "$part" uml --timeout 2400 --ko "$ko" --keep "$build/$part" \
		"${options[@]}" "$here/guest.sh" "$@"
}

# in_functional SCRIPT: those that need the program of tests/functional.
in_functional() {
	truncate -s 128M "$check_tmp/${part//\//-}"
	options+=(--ubd "$check_tmp/${part//\//-}" --env "$(program functional)"
		--env "$(program faults)" --with "$check_top/tests/lab/probe")
	guest "$@"
}

run_part() {
	local options=() flavour=plain
	case $part in
	unit) unit ;;
	kunit)
		options=(--kunit)
		guest kunit/guest.sh \
			"$(grep -l '^kunit_test_suite' "$check_top"/dm-qvault/tests/*_kunit.c | wc -l)"
		;;
	functional/swap) options=(--mem 192M) && in_functional "$part.sh" ;;
	functional/*) options=(--mem 3G) && in_functional "$part.sh" ;;
	known-bugs)
		options=(--env "$(program known-bugs)")
		in_functional known-bugs/guest.sh
		;;
	crash) options=(--fast --env "$(program crash)") && guest crash/guest.sh debug ;;
	adversary)
		options=(--fast --env "$(program adversary)" --env "TWOFACE=$(twoface)")
		guest adversary/guest.sh 5 --flips 1 --in-use 5 --sample 25 --damage 1
		;;
	allocations)
		flavour=debug
		options=(--debug --env "$(program faults)" --with "$check_top/tests/lab/probe")
		guest faults/guest.sh 0
		;;
	*) fail "$part" "no such part" ;;
	esac
}

twoface() {
	"$check_top/tests/lab/build-module" --source "$check_top/tests/lab/twoface" \
		"$("$check_top/tests/lab/uml-kernel" plain)" ARCH=um
}

# ---- The sum ----

# count: what all parts together have run.
count() {
	local directories=()
	for part in "${parts[@]}"; do
		sources | diff "$build/$part/sources" - || return 1
		if [ "$part" = unit ]; then
			directories+=("$build/unit/engine")
		else
			directories+=("$build/$part/gcov")
		fi
	done
	python3 "$here/count.py" "$check_top/dm-qvault" "${directories[@]}" >"$build/counts"
}

# judge REASONS PERCENT: leaves a report.
judge() {
	python3 "$here/judge.py" "$check_top/dm-qvault" "$build/counts" "$1" "$2" >"$check_tmp/report"
}

none() { ! grep -q "^$1: " "$check_tmp/report"; }

# complains NAME KIND REASONS PERCENT: a judge that cannot complain shows nothing.
complains() {
	judge "$3" "$4"
	expect_fail "$1" none "$2"
}

if [ "${1:-}" = judge ]; then
	shift $#
else
	[ $# -gt 0 ] || set -- "${parts[@]}"
	for part in "$@"; do run_part; done
	while [ "${#beside_files[@]}" -gt 0 ]; do beside_one; done
fi
must "count" count
must "judge" judge "$here/reasons" "$wanted"
cat "$check_tmp/report"
try "at least $wanted % of the lines are covered" none below
try "each line that is not has a reason" none unexplained
try "each reason is needed" none stale

awk '/^\t[^?]/ && !done { done = 1; next } { print }' "$here/reasons" >"$check_tmp/fewer"
{ cat "$here/reasons"; printf '\tcommit.c nobody: return 0;\n'; } >"$check_tmp/more"
complains "a percentage that is not reached would be told" below "$here/reasons" 99.99
complains "and a reason that is missing" unexplained "$check_tmp/fewer" "$wanted"
complains "and one too many" stale "$check_tmp/more" "$wanted"
finish
