#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One of two guests with one disk: the power goes off after a hibernation has begun.
# What is in memory then knows of no later record, so none may be written.
# usage: quiet.sh off	a commit that has failed, which the next one would make good
#        quiet.sh look	is the anchor as it was?
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

size=$((48 * 2048))
log=64
need dm-mod
linear q-data /dev/vda 0 $size
linear q-anchor /dev/vda $size 2048
linear q-saved /dev/vda $((size + 2048)) 2048
data=/dev/mapper/q-data anchor=/dev/mapper/q-anchor vault=/dev/mapper/q

# below TABLE: what the data device is from now on.
below() {
	dmsetup load q-data --table "$1"
	dmsetup suspend --noflush --nolockfs q-data
	dmsetup resume q-data
}

# As many as the anchor record does not hold; the log comes after block 0.
discard_many() {
	local i
	for ((i = 0; i < 200; i++)); do
		blkdiscard -o $((i * 8192)) -l 4096 "$vault" || return 1
	done
}

if [ "$1" = look ]; then
	try "no record was written" cmp -n 1048576 "$anchor" /dev/mapper/q-saved
	finish
fi
format --log-blocks "$log" "$data" "$anchor" >/dev/null
must "attach" attach q "$data" "$anchor" --commit-seconds 0
fun pattern "$vault" 1 0 1000
# It begins for who opens this.
exec 7</dev/snapshot
below "0 8 linear /dev/vda 0
8 $((log * 8)) error
$((8 + log * 8)) $((size - 8 - log * 8)) linear /dev/vda $((8 + log * 8))"
expect_fail "a commit without its log" discard_many
below "0 $size linear /dev/vda 0"
same "it may be tried again" write "$(field q 1)"
dd if="$anchor" of=/dev/mapper/q-saved bs=4096 count=256 iflag=direct oflag=direct status=none
echo "going off"
[ "$tally_failed" -eq 0 ] || finish
busybox halt -f
sleep 60
