# shellcheck shell=bash disable=SC2034 # what it sets is for the scripts
# SPDX-License-Identifier: GPL-2.0
# What the functional scripts share, on top of tests/lib/guest.sh.
#
# $FUNCTIONAL is the program of functional.c; $QVAULT_CTL the tool.

# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

key=/run/vault.key
umask 077
head -c 64 /dev/urandom >"$key"
next_disk=0

# disks COUNT MB: that many ramdisks, taken one by one by new_disk.
disks() { ramdisks "$1" "$2"; }

new_disk() {
	disk=/dev/ram$next_disk
	next_disk=$((next_disk + 1))
}

# slices NAME MB: devices of just the right size, in $data and $anchor.
slices() {
	local name=$1 mb=$2
	new_disk
	linear "$name-data" "$disk" 0 $((mb * 2048))
	linear "$name-anchor" "$disk" $((mb * 2048)) 2048
	data=/dev/mapper/$name-data anchor=/dev/mapper/$name-anchor
}

ctl() { "$QVAULT_CTL" "$@"; }

format() { ctl format --batch-mode --key-file "$key" "$@"; }

attach() {
	local name=$1
	shift
	ctl attach --key-file "$key" "$name" "$@" && owns "$name"
}

detach() { ctl detach "$1"; }

# new_vault NAME MB [ATTACH_OPTION...]: on slices of a new ramdisk.  Sets $data,
# $anchor and $vault.
new_vault() {
	local name=$1 mb=$2
	shift 2
	slices "$name" "$mb"
	format "$data" "$anchor" >/dev/null
	attach "$name" "$data" "$anchor" "$@"
	vault=/dev/mapper/$name
}

again() { detach "$1" && attach "$1" "/dev/mapper/$1-data" "/dev/mapper/$1-anchor"; }

# field NAME N: the N-th word of the target's status line, from 1.
#  1 mode 2 epoch 3 sequence 4 commit 5 mapped/size 6 log 7 read 8 written
#  9 unmapped 10 anchor records 11 flushes 12 log blocks 13 nodes
#  14 checkpoints 15 corruptions 16 good slots 17 leaked 18 damaged nodes 19 healed
#  20 seals 21 generations 22 versions left
field() { dmsetup status "$1" | cut -d ' ' -f $(($2 + 3)); }

fun() { "$FUNCTIONAL" "$@"; }
