#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: speed and cost beside dm-crypt, dm-integrity, dm-verity; quick (3 min) or full
# group: slow
# minutes: 15
# limit: 150
# usage: bench [quick|full] [DIRECTORY]      the page, JSON and plots go to DIRECTORY
#
# Two guests, one after the other, so that nothing of ours runs beside what is
# measured: peers.py compares, volumes.py looks at a vault by itself.
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

level=${1:-full} into=${2:-}
lab=$check_top/tests/lab
records=$QVAULT_CACHE/bench
case $level in
quick|full) ;;
*) fail bench "no such level: $level (quick or full)"; finish ;;
esac

# measure PROGRAM RAM_MIB ARG...: one guest; leaves $records/PROGRAM.jsonl.
measure() {
	local program=$1 ram=$2
	shift 2
	: >"$records/$program.jsonl"
	in_guest uml --fast --with "$lab/bioload" --with "$lab/diskmodel" --timeout 1800 \
		--keep "$check_tmp/$program" --env "RAM_MIB=$ram" "$@" \
		"$check_top/tests/bench/guest.sh" "$program" "$level"
	try "$program left its records" cp "$check_tmp/$program/bench.jsonl" "$records/$program.jsonl"
}

# What a reader needs to judge the figures, one item a line.
machine() {
	echo "machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors"
	echo "host:    $(uname -sr); load when it began: $load"
	echo "guest:   User Mode Linux $(basename "$(readlink -f "$("$lab/uml-kernel" plain)/source")"), one processor"
	echo "date:    $(date -u +%F), commit $(git -C "$check_top" describe --always --dirty)"
	echo "command: tests/run bench $level"
}

mkdir -p "$records"
load=$(cut -d ' ' -f 1-3 /proc/loadavg)
measure peers 2900 --mem 4G
# A file that takes no room is a disk of 4 TiB.  In memory: what a disk of the host
# does with a quarter of a million small pieces of it is not what is measured.
sparse=$(mktemp -p /dev/shm)
trap 'rm -rf "$check_tmp" "$sparse"' EXIT
truncate -s 4T "$sparse"
measure volumes 800 --mem 3G --ubd "$sparse"
rm -f "$sparse"

arguments=(--json "$records")
[ -z "$into" ] || arguments+=(--into "$into")
if python3 -B "$check_top/tests/bench/report.py" "${arguments[@]}" --machine "$(machine)" \
	"$records/peers.jsonl" "$records/volumes.jsonl"; then
	pass "no figure is above what its disk can do"
else
	fail "no figure is above what its disk can do" "see the doubts, or the report failed"
fi
echo
machine
echo "JSON: $records/results.json"
finish
