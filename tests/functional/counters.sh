#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What things cost, counted by the block layer below: exact and free of noise.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

need dm-log-writes
disks 6 600

# brd has no volatile cache, so flushes to it vanish; a log-writes device has
# one.  Data and anchor are apart here, so each flush is seen where it goes.
new_disk
lower=$disk
new_disk
dm_create cost-data "0 $((512 * 2048)) log-writes $lower $disk"
new_disk
lower=$disk
new_disk
dm_create cost-anchor "0 2048 log-writes $lower $disk"
data=/dev/mapper/cost-data anchor=/dev/mapper/cost-anchor vault=/dev/mapper/cost
format "$data" "$anchor" >/dev/null
attach cost "$data" "$anchor" --commit-seconds 0

# delta DEVICE: reads, read sectors, writes, written sectors since the mark.  An
# empty flush counts as a write without sectors on a device of this kind, so of
# single blocks written, flushes = writes - sectors / 8.
mark() {
	data_before=$(block_stat "$data")
	anchor_before=$(block_stat "$anchor")
}
delta() {
	local before=$data_before
	[ "$1" = "$data" ] || before=$anchor_before
	paste -d ' ' <(tr ' ' '\n' <<<"$before") <(tr ' ' '\n' <<<"$(block_stat "$1")") |
		awk '{ printf "%s%d", (NR > 1 ? " " : ""), $2 - $1 } END { print "" }'
}

# ---- one small fsync --------------------------------------------------------

fun fsyncs "$vault" 10
mark
fun fsyncs "$vault" 50
read -r reads _ writes sectors _ < <(delta "$data")
same "50 small fsyncs: no read of the data device" 0 "$reads"
same "50 blocks written" 400 "$sectors"
same "50 flushes" 50 $((writes - sectors / 8))
read -r reads _ writes sectors _ < <(delta "$anchor")
# Whether nobody else was here, and whether the newest record is still there.
same "both slots of the anchor are read once each" 100 "$reads"
same "50 anchor writes" 50 "$writes"
same "of 4 KiB each" 400 "$sectors"

# ---- a FUA write ------------------------------------------------------------

mark
fun dsync "$vault" 5 >/dev/null
read -r reads _ writes sectors _ < <(delta "$data")
same "a FUA write: reads, sectors, flushes of the data device" "0 8 1" \
	"$reads $sectors $((writes - sectors / 8))"
read -r _ _ writes _ _ < <(delta "$anchor")
same "and one anchor write" 1 "$writes"

# ---- in order ---------------------------------------------------------------

dmsetup message cost 0 checkpoint
mark
dd if=/dev/zero bs=1M count=256 2>/dev/null | tr '\0' 'x' |
	dd of="$vault" bs=1M iflag=fullblock oflag=direct status=none
dmsetup message cost 0 checkpoint
read -r reads _ writes sectors _ < <(delta "$data")
ratio=$((sectors * 1000 / (256 * 2048)))
say "in order: $ratio/1000 device bytes per byte, $writes writes, $reads reads"
try "at most 1.05 device bytes written per byte ($ratio/1000)" test "$ratio" -le 1050
try "no read before write ($reads reads)" test "$reads" -le 16
try "1 MiB is not 256 writes ($writes writes for 256 MiB)" test "$writes" -le 6000

# ---- reading ----------------------------------------------------------------

mark
dd if="$vault" of=/dev/null bs=1M iflag=direct status=none count=256
read -r reads _ _ _ _ < <(delta "$data")
try "1 MiB is not 256 reads ($reads reads for 256 MiB)" test "$reads" -le 6000

# ---- format and attach cost the same at any size ----------------------------

detach cost
truncate -s 1T /tmp/huge
loop=$(losetup -f --show --direct-io=off /tmp/huge)
new_disk
start=$(date +%s%N)
must "format 1 TiB" format "$loop" "$disk"
took=$((($(date +%s%N) - start) / 1000000))
try "in no time, with starting the process here ($took ms)" test "$took" -le 3000
start=$(date +%s%N)
must "attach 1 TiB" attach huge "$loop" "$disk"
took=$((($(date +%s%N) - start) / 1000000))
try "in little more ($took ms)" test "$took" -le 4000
blocks=$(($(sectors /dev/mapper/huge) / 8))
for at in 0 $((blocks / 2)) $((blocks - 300)); do
	fun pattern /dev/mapper/huge 1 "$at" 300
done
again_huge() { detach huge && attach huge "$loop" "$disk"; }
must "re-attach it" again_huge
for at in 0 $((blocks / 2)) $((blocks - 300)); do
	try "blocks from $at of 1 TiB" fun verify /dev/mapper/huge 1 "$at" 300
done
# A ramdisk knows no write-zeroes, and dm offers only what is below; a loop does.
before=$(dmsetup message huge 0 checkpoint && field huge 5 | cut -d / -f 1)
try "write zeroes" blkdiscard -z -o 0 -l $((100 * 4096)) /dev/mapper/huge
try "reads as zeros" fun zeros /dev/mapper/huge 0 100
try "what is behind it stays" fun verify /dev/mapper/huge 1 100 200
same "and takes no space" $((before - 100)) \
	"$(dmsetup message huge 0 checkpoint && field huge 5 | cut -d / -f 1)"
try "discard 1 TiB" blkdiscard /dev/mapper/huge
try "which holds nothing now" fun zeros /dev/mapper/huge $((blocks / 2)) 300
detach huge
losetup -d "$loop"
finish
