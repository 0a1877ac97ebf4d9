#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Generations, another master key, keys that are wiped, and a moment that stays.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 2 80
slices k 64
vault=/dev/mapper/k
fun addkey
head -c 64 /dev/urandom | keyctl padd logon qvault:other @u >/dev/null
size=$(fun format $((64 * 256)) 64 "$anchor")
old=:64:logon:qvault:test new=:64:logon:qvault:other
# table KEY: its line.
table() { echo "0 $size qvault $data $anchor $1 2 commit_seconds 0"; }
message() { dmsetup message k 0 "$@"; }
attach_k() { dm_create k "$(table "$1")"; }
# refused WHAT REASON COMMAND...: it fails, and the log says why.
refused() {
	local what=$1 reason=$2
	shift 2
	log_mark
	expect_fail "$what" "$@"
	expect_logged "$what: and told why" "$reason"
}
unsaid() { ! log_since | grep -q "$1"; }
verify_all() {
	local i
	for i in 1 2 3 4 5 6; do
		fun verify "$vault" "$i" $((i * 100)) 60 || return 1
	done
}

must "attach" attach_k "$old"

# ---- what is no message -------------------------------------------------------

refused "an unknown word" 'unknown message' message generations
refused "a word too many" 'unknown message' message commit now
refused "a generation without MAC" 'unknown message' message generation
refused "of a MAC that there is not" 'a generation has the MAC' message generation crc32
refused "a key that is none" 'Key must have the form' message key change -
refused "one that is not there" 'Key not found' message key change :64:logon:qvault:nobody
refused "something else to do with it" 'unknown message' message key turn "$old"
refused "a record that has no number" 'named by its record' message release last

# ---- generations ----------------------------------------------------------------

macs=(hmac-sha256 nhpoly-aes)
for i in 1 2 3 4 5 6; do
	try "generation $i, ${macs[i % 2]}" message generation "${macs[i % 2]}"
	fun pattern "$vault" "$i" $((i * 100)) 60
done
fun pattern "$vault" 1 5 3
same "fsync" ok "$(fun sync "$vault" 0)"
records=$(field k 10)
refused "the last one is for restore" 'the last are in use, and that is kept for restore' \
	message generation hmac-sha256
same "and writes no record" "$records" "$(field k 10)"
try "all is there" verify_all
dm_remove k
must "attach" attach_k "$old"
try "all is there" verify_all

# ---- another master key -----------------------------------------------------------

must "another key" message key change "$new"
fun pattern "$vault" 3 300 60
try "all is there" verify_all
refused "a table with the key before" 'has another key' dmsetup load k --table "$(table "$old")"
must "a table with the new one" dmsetup load k --table "$(table "$new")"
try "is taken into use" dmsetup resume k
same "fsync" ok "$(fun sync "$vault" 0)"
dmsetup remove --force k 2>/dev/null || true
dmsetup remove --retry k 2>/dev/null || true
refused "the key before opens nothing" 'wrong key' attach_k "$old"
dmsetup remove k 2>/dev/null || true
must "the new one does" attach_k "$new"
try "all is there" verify_all
must "back to the first one" message key change "$old"
dm_remove k
refused "which the other no longer opens" 'wrong key' attach_k "$new"
dmsetup remove k 2>/dev/null || true
must "but it does" attach_k "$old"
try "all is there" verify_all

# ---- keys that are wiped ------------------------------------------------------------

refused "to wipe the keys in use" 'only while it is suspended' message key wipe
refused "to set them" 'only while it is suspended' message key set "$old"
fun pattern "$vault" 4 400 60
must "suspend" dmsetup suspend k
must "wipe" message key wipe
try "wipe what is wiped" message key wipe
refused "resume without keys" 'its keys were wiped: the message "key set" brings them back' \
	dmsetup resume k
refused "another key" 'this is not the key that was wiped' message key set "$new"
refused "does not help" 'its keys were wiped' dmsetup resume k
must "the key that was wiped" message key set "$old"
must "resume" dmsetup resume k
try "all is there" verify_all
fun pattern "$vault" 5 500 60
same "fsync" ok "$(fun sync "$vault" 0)"
try "checkpoint" message checkpoint
must "suspend" dmsetup suspend k
must "wipe" message key wipe
log_mark
try "remove what has no keys" dm_remove k
try "nothing is said to be lost" unsaid 'detach failed'
must "attach" attach_k "$old"
try "all is there" verify_all

# ---- a moment that stays --------------------------------------------------------------

hex='' sequence=0
tell_held() {
	hex=$(message held)
	sequence=$((16#$(fold -w 2 <<<"${hex:160:16}" | tac | tr -d '\n')))
}
# copy_k: the data device from its end to its start, and an anchor with that record alone.
new_disk
linear c-data "$disk" 0 $((64 * 2048))
linear c-anchor "$disk" $((64 * 2048)) 2048
copy_k() {
	local i slot
	for ((i = 63; i >= 0; i--)); do
		dd if="$data" of=/dev/mapper/c-data bs=1M skip="$i" seek="$i" count=1 \
			iflag=direct oflag=direct status=none
		[ "$i" != 40 ] || { fun pattern "$vault" 7 600 60 && fun sync "$vault" 0 >/dev/null; }
	done
	slot=$((sequence % 2 ? 192 : 64))
	dd if=/dev/zero of=/dev/mapper/c-anchor bs=1M count=1 status=none
	# shellcheck disable=SC2001,SC2059 # two digits each; the format is what is written
	printf "$(sed 's/../\\x&/g' <<<"$hex")" |
		dd of=/dev/mapper/c-anchor bs=4096 seek="$slot" conv=notrunc iflag=fullblock status=none
	blockdev --flushbufs /dev/mapper/c-anchor
}

expect_fail "nothing is held" message held
must "hold" message hold
expect_fail "only one" message hold
must "held" tell_held
same "a whole record" 8192 ${#hex}
fun pattern "$vault" 2 100 60
same "fsync goes on" ok "$(fun sync "$vault" 0)"
try "copy, backwards, while it is written" copy_k
expect_fail "another number is not released" message release $((sequence + 1))
must "it stayed" message release "$sequence"
expect_fail "and stays no longer" message release "$sequence"
must "attach the copy" dm_create c \
	"0 $size qvault /dev/mapper/c-data /dev/mapper/c-anchor $old 1 read_only"
try "it is what was" fun verify /dev/mapper/c 1 100 60
try "and not what was written since" fun verify /dev/mapper/c 6 600 60
same "no corruption" 0 "$(field c 15)"
dm_remove c
try "which the vault has" fun verify "$vault" 2 100 60

must "hold" message hold
must "held" tell_held
try "checkpoint" message checkpoint
expect_fail "it did not stay" message release "$sequence"
expect_fail "and is not told" message held
must "hold" message hold
must "held" tell_held
must "a suspend" dmsetup suspend k
must "and a resume" dmsetup resume k
expect_fail "end it too" message release "$sequence"
same "no corruption" 0 "$(field k 15)"
finish
