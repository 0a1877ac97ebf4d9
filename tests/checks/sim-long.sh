#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the simulator of the unit check for as long as wanted, on all processors
# group: slow
# minutes: 60
# limit: 3000
#
# usage: tests/run sim-long [SECONDS [SEED [ARG...]]]
#
# Default: an hour, a seed from the clock.  ARG: of the simulator, such as --small 1,
# which has only small volumes, and so more states in the same time.
# A failing seed is repeated, and made smaller, by the command that is printed.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

seconds=${1:-3600}
seed=${2:-$(date +%s)000000}
shift $(($# < 2 ? $# : 2))
# One for each tree: what the objects depend on is named by its full path.
build=$QVAULT_CACHE/check-unit/$(cksum <<<"$check_top" | cut -d " " -f 1)

build_all() {
	mkdir -p "$build/small"
	rm -f "$build"/small/*.[ch]
	cp "$check_top"/dm-qvault/engine/*.[ch] "$build/small/"
	sed -i -f "$check_top/tests/unit/small.sed" "$build/small/bounds.h"
	# It runs where it was built, and for long.
	whole "$build/native" make -s -j2 -C "$check_top/tests/unit" MODE=fast CFLAGS=-march=native \
		"O=$build/native" "ENGINE=$build/small"
}

try "build" build_all
[ "$tally_failed" -eq 0 ] || finish
cp "$build/native/sim.bin" "$check_tmp/sim"

say "simulating for $seconds s on $(nproc) processors, seeds from $seed"
for i in $(seq "$(nproc)"); do
	{
		"$check_tmp/sim" --seconds "$seconds" --seed $((seed + i * 1000000000)) "$@" \
			>"$check_tmp/log$i" 2>&1 || echo "status $?" >>"$check_tmp/log$i"
	} &
done
while [ -n "$(jobs -r)" ]; do
	sleep 20
	say "$(tail -qn 1 "$check_tmp"/log* | tr '\n' ';')"
done
for i in $(seq "$(nproc)"); do
	if grep -q '^status' "$check_tmp/log$i"; then
		grep -vE '^-- ' "$check_tmp/log$i" | sed 's/^/      /'
		# The copy that found it goes away with this check; that one stays.
		fail "simulator $i" "repeat it with $build/native/sim.bin"
	else
		pass "simulator $i"
	fi
done
awk '/states explored/ { states += $1; inner += $4 }
     /seals, .* repeated/ { seals += $1 }
     /attacked volumes/ { attacks += $1 }
     END { print states " states explored, " inner " of them within a recovery"
	   print seals " seals, 0 repeated; " attacks " attacks" }' \
	"$check_tmp"/log*
finish
