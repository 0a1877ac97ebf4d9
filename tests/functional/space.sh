#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Discards, and a volume that is full to the last block.
# shellcheck disable=SC2317 # functions that try and overtaken call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 8 1700	# they take the memory of what is written, no more
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
# With the least reserves there is a checkpoint for every few pieces of a discard.
[ -n "${QVAULT_FAMINE:-}" ] ||
	try "which writes next to nothing ($written sectors)" test "$written" -le 64

# Discards that go down.
new_disk
lower=$disk
linear down-data "$lower" 0 $((64 * 2048))
linear down-anchor "$lower" $((64 * 2048)) 2048
data=/dev/mapper/down-data anchor=/dev/mapper/down-anchor vault=/dev/mapper/down
format "$data" "$anchor" >/dev/null
attach down "$data" "$anchor" --allow-discards
fun pattern "$vault" 1 0 4000
dmsetup message down 0 checkpoint
discards() { awk '{ print $14 }' "/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$data")/stat"; }
blkdiscard "$vault"
dmsetup message down 0 checkpoint
# By a thread that takes its time.
for _ in {1..100}; do
	if [ "$(discards)" -gt 16000 ]; then break; fi
	sleep 0.1
done
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
detach full

# Twelve maps of free space, of which as little memory as this keeps eight.
new_vault groups 1600 --memory-mib 1
places() {
	local place
	for ((place = 0; place < 12; place++)); do
		fun "$1" "$vault" "$2" $((place * 32000)) 9
		dmsetup message groups 0 checkpoint
	done
}
try "write here and there" places pattern 7
try "and again" places pattern 8
again groups
try "it is all there" places verify 8
detach groups

# With sanitizers everything is too slow for a read that has to be slower still, and so
# it is without memory, where every lookup is such a read.
if [ "$QVAULT_FLAVOUR" != plain ] || [ -n "${QVAULT_FAMINE:-}" ]; then finish; fi

# A read is so slow that its block moves meanwhile, and something else is written to
# the place where it was.  The volume is full, so that every place is used again.
new_vault lag 3 --commit-seconds 0
blocks=$(($(sectors "$vault") / 8))
below="$(dmsetup table lag-data | cut -d ' ' -f 4-)"
slow_reads() {
	dmsetup load lag-data --table "0 $(sectors "$data") $1"
	dmsetup suspend --noflush --nolockfs lag-data
	dmsetup resume lag-data
}
need dm-delay

# overtaken NAME BEFORE COMMAND...: COMMAND reads block 0, BEFORE comes first.
overtaken() {
	local name=$1 before=$2
	shift 2
	fun pattern "$vault" 1 0 "$blocks"
	slow_reads "delay $below 4000 $below 0"
	"$@" >/tmp/overtaken 2>&1 &
	sleep 1
	$before
	dmsetup message lag 0 commit
	fio --name=others --filename="$vault" --offset=4096 --direct=1 --thread \
		--ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --norandommap \
		--io_size=16M --output-format=terse >/dev/null
	if wait $!; then pass "$name"; else fail "$name" "$(</tmp/overtaken)"; fi
	slow_reads "linear $below"
}
rewrite() { fun pattern "$vault" 2 0 1; }
# By force, or it would read first to see what is there.
discard() { blkdiscard --force -o 0 -l 4096 "$vault"; }
overtaken "a read finds where its block has gone" rewrite fun verify "$vault" 2 0 1
overtaken "or that it is no more" discard fun zeros "$vault" 0 1
same "nobody takes it for corruption" 0 "$(field lag 15)"
finish
