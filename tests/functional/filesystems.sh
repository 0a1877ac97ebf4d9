#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ext4, xfs and btrfs on a vault: a tree of files, checksums, fsck, discards.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 4 512
# /usr/include has some thousand small files; it is the host's own.
files=(/usr/include/linux /usr/include/openssl /usr/include/asm-generic)

check_ext4() { e2fsck -f -n "$1"; }
check_xfs() { xfs_repair -n "$1"; }
check_btrfs() { btrfs check "$1"; }

make_ext4() { mkfs.ext4 -q -F "$1"; }
make_xfs() { mkfs.xfs -q -f "$1"; }
make_btrfs() { mkfs.btrfs -q -f "$1"; }

sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

file_system() {
	local type=$1 mnt=/tmp/$1
	new_vault "$type" 400
	must "$type: make" "make_$type" "$vault"
	must "$type: mount" mounted "$vault" "$mnt" -t "$type" -o discard
	try "$type: copy a tree" cp -r "${files[@]}" "$mnt/"
	try "$type: a large file" dd if=/dev/urandom of="$mnt/large" bs=1M count=24 status=none
	sync -f "$mnt"
	try "$type: remove half of it" rm -r "$mnt/openssl"
	try "$type: trim" fstrim "$mnt"
	try "$type: copy it once more" cp -r /usr/include/openssl "$mnt/"
	sums "$mnt" >"/tmp/$type.sums"
	must "$type: unmount" unmounted "$mnt"
	try "$type: clean" "check_$type" "$vault"
	again "$type"
	try "$type: clean after a re-attach" "check_$type" "$vault"
	must "$type: mount again" mounted "$vault" "$mnt" -t "$type"
	sums "$mnt" >"/tmp/$type.again"
	try "$type: every file is as it was" cmp "/tmp/$type.sums" "/tmp/$type.again"
	must "$type: unmount again" unmounted "$mnt"
	same "$type: no corruption seen" 0 "$(field "$type" 15)"
	detach "$type"
}

for type in ext4 xfs btrfs; do file_system "$type"; done
finish
