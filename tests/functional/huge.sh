#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# 64 TiB, sparse: what is not mapped costs no discard anything, so mkfs is quick.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 1 2
truncate -s 67T /tmp/huge
loop=$(losetup -f --show --direct-io=off /tmp/huge)
new_disk
must "format" format "$loop" "$disk"
must "attach" attach huge "$loop" "$disk" --commit-seconds 0
vault=/dev/mapper/huge
try "it has 64 TiB" test "$(sectors "$vault")" -ge $((64 << 31))

# timed NAME MS COMMAND...: sets took.  A machine that is busy may take ten times as long
# as was meant; what grew with the size would take hundreds.
timed() {
	local name=$1 limit=$2 start
	shift 2
	start=$(date +%s%N)
	try "$name" "$@"
	took=$((($(date +%s%N) - start) / 1000000))
	try "$name, in $took ms" test "$took" -le $((10 * limit))
}

# Blocks of the log, besides the one that a record may have carried.
log_blocks() { dmsetup message huge 0 commit && field huge 12; }

before=$(log_blocks)
timed "discard all of it" 2000 blkdiscard "$vault"
timed "discard all of it, 2 GiB at a time" 2000 blkdiscard --step $((2 << 30)) "$vault"
timed "write zeroes to all of it" 2000 blkdiscard -z "$vault"
same "that is nothing to log" "$before" "$(log_blocks)"

# Its journal is all that it writes much of, so that is small.
timed "mkfs.xfs" 2000 mkfs.xfs -q -f -l size=64m "$vault"
must "mount" mounted "$vault" /tmp/mnt -t xfs
dd if=/dev/urandom of=/tmp/mnt/file bs=1M count=16 status=none
sum=$(sha256sum </tmp/mnt/file)
sync -f /tmp/mnt
before=$(log_blocks)
timed "trim all of it" 2000 fstrim /tmp/mnt
after=$(log_blocks)
try "which takes few blocks of the log ($((after - before)))" test $((after - before)) -le 32
must "unmount" unmounted /tmp/mnt
must "detach" detach huge
must "attach again" attach huge "$loop" "$disk"
must "mount again" mounted "$vault" /tmp/mnt -t xfs
same "the file is as it was" "$sum" "$(sha256sum </tmp/mnt/file)"
must "unmount again" unmounted /tmp/mnt

timed "discard what mkfs has written" 2000 blkdiscard --force "$vault"
same "nothing is mapped" 0 "$(dmsetup message huge 0 checkpoint && field huge 5 | cut -d / -f 1)"
timed "mkfs.ext4" 2000 mkfs.ext4 -q -F -O sparse_super2 \
	-E lazy_itable_init=1,lazy_journal_init=1 "$vault"
detach huge
losetup -d "$loop"
finish
