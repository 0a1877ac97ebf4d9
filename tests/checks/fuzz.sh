#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: libFuzzer with ASAN and UBSAN on every parser of foreign bytes
# minutes: 1
# limit: 600
#
# usage: tests/run fuzz [SECONDS [TARGET...]]   over all targets together (60)
#        tests/run fuzz repeat TARGET FILE      an input that was kept
#        tests/run fuzz prove [TARGET...]       bugs put in must be found
#
# What a run learns stays in the cache for the next one; what breaks a target is
# kept there too, and the command to repeat it is printed.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

here=$check_top/tests/fuzz
build=$QVAULT_CACHE/fuzz/$(cksum <<<"$check_top" | cut -d " " -f 1)
kept=$QVAULT_CACHE/fuzz/kept
mapfile -t all < <(cd "$here/target" && printf '%s\n' *.c | sed -n 's/\.c$//p' | grep -v _tool)

# What is freed is kept back for a while only: memory stays warm.
export ASAN_OPTIONS=quarantine_size_mb=8:malloc_context_size=8:max_malloc_fill_size=0
ASAN_OPTIONS+=:allocator_release_to_os_interval_ms=-1
export UBSAN_OPTIONS=print_stacktrace=1
options=(-timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -len_control=20)

build_targets() { whole "$1" make -s -j2 -C "$here" "O=$1" "${@:2}"; }

# Seeds are lines: of text with escapes, or of hexadecimal.
write_seeds() {
	local target=$1 into=$2 line n=0 text=$here/seeds/$1.txt hex=$here/seeds/$1.hex
	mkdir -p "$into"
	if [ -f "$text" ]; then
		while IFS= read -r line; do
			n=$((n + 1))
			printf '%b' "$line" >"$into/seed$n"
		done <"$text"
		# And one that is longer than any buffer for a line.
		printf '3;device-mapper: qvault: %3000s' x >"$into/long"
	fi
	if [ -f "$hex" ]; then
		while IFS= read -r line; do
			[[ $line != '#'* ]] || continue
			# shellcheck disable=SC2001 # a pair of digits each time
			n=$((n + 1))
			printf '%b' "$(sed 's/ //g; s/../\\x&/g' <<<"$line")" >"$into/seed$n"
		done <"$hex"
	fi
	[ "$n" -gt 0 ]
}

# fuzz_one PROGRAM TARGET SECONDS LOG [ARG...]
fuzz_one() {
	local program=$1 target=$2 seconds=$3 log=$4 corpus=$build/corpus/$2
	shift 4
	mkdir -p "$corpus" "$kept"
	write_seeds "$target" "$check_tmp/seeds-$target"
	nice -n 5 "$program" "${options[@]}" "-max_total_time=$seconds" \
		"-artifact_prefix=$kept/$target-" "$@" "$corpus" \
		"$check_tmp/seeds-$target" >/dev/null 2>"$log" || echo "status $?" >>"$log"
}

executions_of() { sed -n 's/^stat::number_of_executed_units: *//p' "$1"; }

judge() {
	local target=$1 log=$2 n file
	n=$(executions_of "$log")
	if grep -q '^status' "$log"; then
		grep -E -m 8 'broken|ERROR|SUMMARY|BUG|runtime error| in [a-z_]+ /' "$log" | sed 's/^/      /'
		file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
		fail "$target" "to repeat: tests/run fuzz repeat $target ${file:-(no input was kept)}"
	elif [ "${n:-0}" -lt 100 ]; then
		fail "$target" "only ${n:-0} executions"
	else
		executions=$((executions + n))
		pass "$target: $n executions, $(sed -n 's/.*DONE  *\(cov: [0-9]*\).*/\1/p' "$log" | tail -n 1)"
	fi
}

# As many at once as there are processors; each gets its share of the time.
run_all() {
	local seconds=$1 share jobs target
	shift
	jobs=$(nproc)
	share=$((seconds * jobs / $#))
	[ "$share" -gt 0 ] || share=1
	for target in "$@"; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
		fuzz_one "$build/out/$target" "$target" "$share" "$check_tmp/log-$target" &
	done
	wait
	for target in "$@"; do judge "$target" "$check_tmp/log-$target"; done
	echo "$executions executions"
}

# ---- Planted bugs ----

plant() {
	local target=$1 file=$2 expression=$3 what=$4 copy=$build/planted where=$build/proof
	mkdir -p "$copy"
	rsync -rlc --delete "$check_top/dm-qvault" "$check_top/userspace" "$copy/"
	sed "$expression" "$check_top/$file" >"$copy/$file"
	if cmp -s "$copy/$file" "$check_top/$file"; then
		fail "$target: $what" "changes nothing any more: mend tests/fuzz/planted"
		return 0
	fi
	if ! build_targets "$where" "MODULE=$copy/dm-qvault" "TOOL=$copy/userspace" \
		"$target" >"$check_tmp/log" 2>&1; then
		tail -n 5 "$check_tmp/log"
		fail "$target: $what" "does not compile: mend tests/fuzz/planted"
		return 0
	fi
	write_seeds "$target" "$check_tmp/seeds-$target"
	if (nice -n 5 "$where/$target" "${options[@]}" -max_total_time=60 \
		"-artifact_prefix=$check_tmp/" "$check_tmp/seeds-$target" \
		>/dev/null 2>"$check_tmp/log") 2>/dev/null; then
		fail "$target: $what" "is not found in 60 s"
	else
		pass "$target: $what: found, $(grep -E -m 1 -o 'broken: .*|ERROR: .*|runtime error: .*' "$check_tmp/log" | cut -c 1-90)"
	fi
}

prove() {
	local target file expression what
	while IFS=$'\t' read -r target file expression what; do
		case $target in '#'* | '') continue ;; esac
		if [ $# -gt 0 ] && [[ " $* " != *" $target "* ]]; then continue; fi
		plant "$target" "$file" "$expression" "$what"
	done <"$here/planted"
}

executions=0
mkdir -p "$build"
case ${1:-60} in
prove)
	prove "${@:2}"
	;;
repeat)
	must "build $2" build_targets "$build/out" "$2"
	try "$2 $3" "$build/out/$2" "${options[@]}" "$3"
	;;
*)
	seconds=${1:-60}
	[ $# -eq 0 ] || shift
	[ $# -gt 0 ] || set -- "${all[@]}"
	say "building ${#} targets"
	must "build" build_targets "$build/out" "$@"
	say "fuzzing for $seconds s"
	run_all "$seconds" "$@"
	;;
esac
finish
