#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Discards, and a volume that is full to the last block.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 8 256
mapped() { dmsetup message "$1" 0 checkpoint && field "$1" 5 | cut -d / -f 1; }

new_vault trim 64
blocks=$(($(sectors "$vault") / 8))
fun pattern "$vault" 1 0 3000
same "mapped after writing" 3000 "$(mapped trim)"
try "discard a part" blkdiscard -o $((1000 * 4096)) -l $((500 * 4096)) "$vault"
try "it reads as zeros" fun zeros "$vault" 1000 500
try "what is before it stays" fun verify "$vault" 1 0 1000
try "what is behind it stays" fun verify "$vault" 1 1500 1500
same "the space came back" 2500 "$(mapped trim)"
again trim
try "zeros after a re-attach" fun zeros "$vault" 1000 500
try "the rest after a re-attach" fun verify "$vault" 1 1500 1500
try "write zeroes" blkdiscard -z -o $((2000 * 4096)) -l $((100 * 4096)) "$vault"
try "they are zeros" fun zeros "$vault" 2000 100
fun pattern "$vault" 2 1200 10
try "a write into a discarded range" fun verify "$vault" 2 1200 10
try "discard everything" blkdiscard "$vault"
same "nothing is mapped" 0 "$(mapped trim)"
try "everything is zero" fun zeros "$vault" 0 "$blocks"
again trim
try "also after a re-attach" fun zeros "$vault" 0 "$blocks"
# Cost follows what is mapped, not the length.
before=$(block_stat "$data")
try "discard what holds nothing" blkdiscard "$vault"
sync "$vault" 2>/dev/null || true
after=$(block_stat "$data")
written=$(($(cut -d ' ' -f 4 <<<"$after") - $(cut -d ' ' -f 4 <<<"$before")))
try "which writes next to nothing ($written sectors)" test "$written" -le 64

# Discards that go down.
new_disk
lower=$disk
linear down-data "$lower" 0 $((64 * 2048))
linear down-anchor "$lower" $((64 * 2048)) 16
data=/dev/mapper/down-data anchor=/dev/mapper/down-anchor vault=/dev/mapper/down
format "$data" "$anchor" >/dev/null
attach down "$data" "$anchor" --allow-discards
fun pattern "$vault" 1 0 4000
dmsetup message down 0 checkpoint
discards() { awk '{ print $14 }' "/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$data")/stat"; }
blkdiscard "$vault"
dmsetup message down 0 checkpoint
try "discards are passed on ($(discards) sectors)" test "$(discards)" -gt 16000
fun pattern "$vault" 4 100 700
again down
try "and hit nothing that is in use" fun verify "$vault" 4 100 700

# Full to the last block, then over and over again at random.
new_vault full 40 --memory-mib 4
blocks=$(($(sectors "$vault") / 8))
try "write every block" fun pattern "$vault" 5 0 "$blocks"
try "all mapped" test "$(mapped full)" -eq "$blocks"
try "overwrite at random on a full volume" fio --name=full --filename="$vault" \
	--direct=1 --thread --ioengine=libaio --rw=randwrite --bsrange=4k-128k \
	--iodepth=16 --size=100% --io_size=60M --verify=crc32c --verify_fatal=1 \
	--verify_state_save=0 --do_verify=1 --output-format=terse
try "write every block again" fun pattern "$vault" 6 0 "$blocks"
again full
try "every block is there" fun verify "$vault" 6 0 "$blocks"
try "threads on a full volume" fun hammer "$vault" 11 3
finish
