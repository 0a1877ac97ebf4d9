#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: what volumes of 1 GiB to 64 TiB cost: reads, writes, times, locks, memory
# minutes: 2
# processors: 1
# limit: 60
#
# The engine in userspace, over devices that take 0.1 and 2 ms, on a clock of theirs;
# so a busy machine changes nothing but what is said of the processor.
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

# One for each tree: what the objects depend on is named by its full path.
build=$QVAULT_CACHE/check-scale/$(cksum <<<"$check_top" | cut -d " " -f 1)
mkdir -p "$build"
try "build" make -s -j2 -C "$check_top/tests/scale" "O=$build"
[ "$tally_failed" -eq 0 ] || finish

"$build/scale.bin" 2>&1 | tee "$check_tmp/scale" | sed '/^[0-9]* passed/d' || true
if grep -qE '^[0-9]+ passed' "$check_tmp/scale"; then
	adopt_line "limits" "$check_tmp/scale"
else
	fail "limits" "ended badly"
fi
finish
