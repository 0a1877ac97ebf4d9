#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the engine's own files in userspace: known answers, parts, and a simulator of crashes
# minutes: 7
# limit: 90
#
# usage: tests/run unit [STATES]      that the simulator has to explore (default: 1000000)
#
# The simulator runs whole lives of vaults under a seeded scheduler and cuts the
# power at their I/Os; what is left is recovered and compared with an oracle.
# It may use so much of a processor as a fifth of its usual speed would need;
# that is counted in its own processor time, so a busy machine makes this check
# slower and changes no result.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

states=${1:-1000000}
sanitized=75	# seconds of the processor for the simulator with sanitizers
# One for each tree: what the objects depend on is named by its full path.
build=$QVAULT_CACHE/check-unit/$(cksum <<<"$check_top" | cut -d " " -f 1)
export UBSAN_OPTIONS=print_stacktrace=1

# simulate MODE FILE ARG...: its words go to FILE.
simulate() {
	local mode=$1 file=$2
	shift 2
	"$build/$mode/sim.bin" "$@" >"$file" 2>&1 || echo "status $?" >>"$file"
}

# explore FILE STATES SEED: optimized, and no longer than they may take.
explore() { simulate fast "$1" --states "$2" --cpu $((30 + $2 / 1000)) --seed "$3"; }

judge() {
	local name=$1 file=$2
	sed 's/^/      /' "$file"
	if grep -q '^status' "$file"; then
		fail "$name" "see above: the line \"to repeat\" is the command"
	elif ! grep -q 'states explored' "$file"; then
		fail "$name" "said nothing of states"
	else
		pass "$name"
	fi
}

build_mode() { whole "$build/$1" make -s -j2 -C "$check_top/tests/unit" "MODE=$1" "O=$build/$1" "${@:2}"; }

# A copy of the engine in which limits that take gigabytes to reach are small.
small_limits() {
	mkdir -p "$build/small"
	rm -f "$build"/small/*.[ch]
	cp "$check_top"/dm-qvault/engine/*.[ch] "$build/small/"
	sed -i -f "$check_top/tests/unit/small.sed" "$build/small/bounds.h"
	[ "$(grep -c '/\* small \*/$' "$build/small/bounds.h")" -eq 6 ]
}

say "building: the engine over the shim, with ASAN and UBSAN, and optimized"
mkdir -p "$build"
try "build (asan)" build_mode asan
try "small limits" small_limits
try "build (fast)" build_mode fast "ENGINE=$build/small"
[ "$tally_failed" -eq 0 ] || finish

say "parts"
"$build/asan/unit.bin" >"$check_tmp/parts" 2>&1 || true
sed '$d' "$check_tmp/parts"
if grep -qE '^[0-9]+ passed' "$check_tmp/parts"; then
	adopt_line "unit tests" "$check_tmp/parts"
else
	tail -n 5 "$check_tmp/parts"
	fail "unit tests" "ended badly"
fi

say "simulating: seeds from 1 with sanitizers; from 1000001 and 3000001 without"
# Two halves of the same length, for two processors.
{
	simulate asan "$check_tmp/asan" --cpu "$sanitized" --seed 1
	explore "$check_tmp/fast1" $((states * 4 / 10)) 3000001
} &
{
	explore "$check_tmp/fast2" $((states * 6 / 10)) 1000001
	# Volumes at rest, every metadata block of them.
	simulate fast "$check_tmp/attack" --cpu 30 --seed 2000001 \
		--explore 0 --attacks 1024 --data_blocks 2600 --ephemeral 0 --hostile 0 \
		--other_memory 0 --copies 0
} &
wait
judge "simulator, ASAN and UBSAN" "$check_tmp/asan"
judge "simulator, optimized, small limits" "$check_tmp/fast1"
judge "simulator, the same with other seeds" "$check_tmp/fast2"
judge "attacks on every metadata block" "$check_tmp/attack"

awk '/states explored/ { states += $1; inner += $4 }
     /seals, .* repeated/ { seals += $1 }
     /attacked volumes/ { attacks += $1; refused += $4; unreadable += $6 }
     END { print states " states explored, " inner " of them within a recovery"
	   print seals " seals, 0 repeated"
	   print attacks " attacks: " refused " refused, " unreadable " with unreadable blocks, 0 read back wrong" }' \
	"$check_tmp"/{asan,fast1,fast2,attack} | tee "$check_tmp/sums"
explored=$(awk '/states explored/ { print $1 }' "$check_tmp/sums")
if [ "$explored" -ge "$states" ]; then
	pass "at least $states states"
else
	fail "at least $states states" "only $explored in the processor time they may take"
fi
finish
