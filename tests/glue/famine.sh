#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A module that has no memory but the least reserves: what one request holds while it
# waits for the data device, no other gets.  Run by the famine check, and by the mutation
# check on a module with a bug that needs this to be seen.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

with_module probe
disks 2 64
size=$((32 * 2048))
dm_create glue-data "0 $size probe /dev/ram0 0"
linear glue-anchor /dev/ram1 0 2048
data=/dev/mapper/glue-data anchor=/dev/mapper/glue-anchor vault=/dev/mapper/glue
format --log-blocks 64 "$data" "$anchor" >/dev/null
must "attach" attach glue "$data" "$anchor" --commit-seconds 0
dm_create glue-top "0 $(sectors "$vault") probe $vault 0"

requests() { field glue-data 1; }
refused() { "$GLUE" refused "$vault" 3030; }

must "write" fun pattern "$vault" 5 3000 64
must "into the tree" dmsetup message glue 0 checkpoint
dd if=/dev/urandom of="$data" bs=4096 seek=2900 count=800 oflag=direct status=none

# Its tag does not match: the last thing it does is to look once more whether it has
# moved, and no node is in memory.
before=$(requests)
must "a forged block is refused" refused
needs=$(($(requests) - before))
try "after more than one request" test "$needs" -gt 1

# A block in two segments is put together in scratch, of which there is one.
dmsetup message glue-data 0 hold "$needs"
refused &
reader=$!
sleep 1
dmsetup message glue-top 0 bio write 8000 7 100:2048 3000:2048 >/tmp/write &
for ((i = 0; i < 300; i++)); do [ -s /tmp/write ] || sleep 0.2; done
same "while it looks, others compute" ok "$(</tmp/write)"
same "it was still looking" ok "$(dmsetup message glue-data 0 go)"
wait "$reader"
wait
finish
