#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: two processors under lockdep: overlapping I/O, messages, suspends, removal
# minutes: 1
# limit: 60
# usage: concurrency [SECONDS [SEED [PHASE...]]]     phases: concurrency.c
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

seconds=${1:-28}
seed=${2:-$RANDOM}
program=$("$check_top/tests/lab/guest-program" concurrency)
say "seed $seed"
in_guest uml --smp --timeout $((seconds + 900)) --env "CONCURRENCY=$program" \
	"$check_top/tests/concurrency/guest.sh" "$seconds" "$seed" "${@:3}"
finish
