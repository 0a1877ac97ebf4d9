#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The concurrency check inside a guest: guest.sh SECONDS SEED [PHASE...]
# $CONCURRENCY is the program of concurrency.c, which describes the phases.
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

seconds=$1 seed=$2
shift 2
[ $# -gt 0 ] || set -- race messages discards suspends full ephemeral detach

# Requests end late, in interrupts, and in another order than they came in.
# Sparse: most of it is never written.
nulldisk data 1600 blocksize=4096 discard=1 irqmode=2 completion_nsec=30000 \
	submit_queues=2 hw_queue_depth=128
data=$disk
# Reads that see what is there only after a while: what they are sent for may have
# moved by then, and its place been used again.
need dm-delay
dm_create late "0 $(sectors "$data") delay $data 0 3 $data 0 0"
late=/dev/mapper/late
nulldisk anchor 1 blocksize=4096 irqmode=2 completion_nsec=10000
anchor=$disk

try "histories made by hand are judged right" "$CONCURRENCY" selftest
operations=0 histories=0
for phase in "$@"; do
	device=$data
	case $phase in
	discards|full) device=$late ;;
	esac
	if "$CONCURRENCY" "$phase" "$((seconds / $#))" "$seed" "$device" "$anchor" >/tmp/said 2>&1; then
		pass "$phase: $(tail -n 1 /tmp/said)"
		read -r n _ m _ < <(tail -n 1 /tmp/said)
		operations=$((operations + n)) histories=$((histories + m))
	else
		sed 's/^/      /' /tmp/said
		fail "$phase" "seed $seed, see above"
		dmsetup remove --retry racer || true
	fi
done
echo "$operations operations, $histories histories explained"
finish
