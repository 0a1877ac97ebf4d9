#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bugs that others had, tried on a vault.  The list beside this file names each
# and the test that shows it, here or in another check.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

known() { "$KNOWN_BUGS" "$@"; }
disks 15 80
with_module probe

# poke BIO...: send a request to the vault below; says how it ended (probe.c).
poke() { dmsetup message poke 0 bio "$@"; }

# crashed NAME: what is on the devices at this moment, attached instead of it.
crashed() {
	cat "/dev/mapper/$1-data" >/tmp/data.img
	cat "/dev/mapper/$1-anchor" >/tmp/anchor.img
	if [ -e /dev/mapper/poke ]; then dm_remove poke; fi
	detach "$1"
	dd if=/tmp/data.img of="/dev/mapper/$1-data" bs=1M oflag=direct status=none
	dd if=/tmp/anchor.img of="/dev/mapper/$1-anchor" bs=4096 oflag=direct status=none
	attach "$1" "/dev/mapper/$1-data" "/dev/mapper/$1-anchor" --commit-seconds 0
	if [ "$1" = bios ]; then probe_bios; fi
}
probe_bios() { dm_create poke "0 $(sectors /dev/mapper/bios) probe /dev/mapper/bios 0"; }

# table DEVICE LINE: exchange it while it is in use.
table() {
	dmsetup load "$1" --table "$2"
	dmsetup suspend --noflush --nolockfs "$1"
	dmsetup resume "$1"
}

# ---- requests that no system call makes -------------------------------------
say "requests that no system call makes"

# On a ramdisk, which knows neither flush nor FUA: the vault has both all the same.
new_vault bios 16 --commit-seconds 0
probe_bios
end=$(sectors "$vault")
same "a write" ok "$(poke write 80 1 0:4096)"
same "a flush with data" ok "$(poke write+preflush 160 2 0:4096)"
crashed bios
same "it commits what was before it" ok "$(poke read 80 1 0:4096)"
same "FUA without a cache below" ok "$(poke write+fua 240 3 0:8192)"
same "a flush with data and FUA" ok "$(poke write+preflush+fua 400 4 0:65536)"
same "one more write" ok "$(poke write 800 5 0:4096)"
crashed bios
same "FUA is durable" ok "$(poke read 240 3 0:8192)"
same "so is a flush with data and FUA" ok "$(poke read 400 4 0:65536)"
same "a write" ok "$(poke write 800 6 0:4096)"
same "a flush of length zero" ok "$(poke flush 0 0)"
crashed bios
same "the write before it is durable" ok "$(poke read 800 6 0:4096)"

same "half a block is refused: write" EIO "$(poke write 83 7 0:512)"
same "half a block is refused: read" EIO "$(poke read 83 1 0:512)"
same "half a block is refused: discard" EIO "$(poke discard 80 0 0:512)"
same "a block beside blocks: write" EIO "$(poke write 84 7 0:4096)"
same "a block beside blocks: discard" EIO "$(poke discard 84 0 0:4096)"
same "and nothing of it was done" ok "$(poke read 80 1 0:4096)"

same "segments of many pages at odd addresses: write" ok \
	"$(poke write 1600 8 513:12288 3:5000 4091:3192)"
same "and read by others" ok "$(poke read 1600 8 1:8191 0:1 100:12288)"
same "and by none that is whole" ok "$(poke read 1600 8 4095:2 7:20477 4094:1)"
same "1 MiB in one segment at an odd address" ok "$(poke write 4096 9 77:1048576)"
# shellcheck disable=SC2046 # words
same "read by 16" ok "$(poke read 4096 9 $(printf '%s:65536 ' {1..16}))"
# shellcheck disable=SC2046 # words
same "6 MiB in one request" ok "$(poke write 8192 10 $(printf '%s:1048576 ' {0..5}))"
# shellcheck disable=SC2046 # words
same "and back" ok "$(poke read 8192 10 $(printf '%s:1048576 ' {0..5}))"

same "the last block" ok "$(poke write $((end - 8)) 11 0:4096)"
for op in read write; do
	same "across the end: $op" EIO "$(poke $op $((end - 8)) 12 0:8192)"
	same "behind the end: $op" EIO "$(poke $op "$end" 12 0:4096)"
done
for op in discard zeroes; do
	same "across the end: $op" EIO "$(poke $op $((end - 8)) 0 0:8192)"
done
same "far behind the end" EIO "$(poke write $((1 << 54)) 12 0:4096)"
same "the last block is what it was" ok "$(poke read $((end - 8)) 11 0:4096)"
same "discard of the last block" ok "$(poke discard $((end - 8)) 0 0:4096)"
try "is zero then" fun zeros "$vault" $((end / 8 - 1)) 1
dm_remove poke

# ---- the page cache, and memory that changes --------------------------------
say "the page cache, and memory that changes"

fun pattern "$vault" 1 0 $((end / 8))
log_mark
blockdev --setra 65536 "$vault"
dd if="$vault" of=/tmp/tail bs=4096 skip=$((end / 8 - 3)) status=none
same "read-ahead past the end: the tail is whole" $((3 * 4096)) "$(stat -c %s /tmp/tail)"
cat "$vault" >/dev/null
if log_since | grep -i 'beyond end'; then
	fail "read-ahead past the end: nothing is read behind it" "see above"
else
	pass "read-ahead past the end: nothing is read behind it"
fi
try "buffers that change during direct I/O" known scribble "$vault" 2
try "many blocks read into one buffer" known same-buffer "$vault"
try "pages that change while they are written, by mmap" known mapped "$vault" 2
same "and none of it looks like forgery" 0 "$(field bios 15)"
detach bios

# ---- what is below ----------------------------------------------------------
say "what is below"

# below NAME DATA ANCHOR: requests of all lengths over these devices.
below() {
	local name=$1
	say "$name"
	format --force "$2" "$3" >/dev/null 2>&1
	must "$name: attach" attach below "$2" "$3"
	try "$name: requests of all lengths" known lengths /dev/mapper/below
	same "$name: blocks of 4 KiB" "4096 4096" \
		"$(blockdev --getss --getpbsz /dev/mapper/below | paste -sd ' ')"
	fun pattern /dev/mapper/below 3 0 1500
	detach below
	attach below "$2" "$3"
	try "$name: after a re-attach" fun verify /dev/mapper/below 3 0 1500
	same "$name: no corruption" 0 "$(field below 15)"
	detach below
}
new_disk
small=$disk
nulldisk null512 32 blocksize=512
below "sectors of 512 bytes" "$disk" "$small"
nulldisk null4096 32 blocksize=4096
below "sectors of 4096 bytes" "$disk" "$small"
nulldisk nullmax 32 blocksize=512 max_sectors=8
below "requests of at most 8 sectors" "$disk" "$small"
nulldisk nullvirt 32 blocksize=512 virt_boundary=1
below "segments that may not have gaps" "$disk" "$small"
new_disk
one=$disk
new_disk
for chunk in 8 24; do
	size=$((1344 * 48))
	dm_create stripes "0 $size striped 2 $chunk $one 0 $disk 0"
	below "stripes of $chunk sectors" /dev/mapper/stripes "$small"
	dm_remove stripes
done

# Of a request that is cut into many one part fails.
dm_create leg "0 65536 probe $one 0"
dm_create stripes "0 131072 striped 2 8 /dev/mapper/leg 0 $disk 0"
format --force /dev/mapper/stripes "$small" >/dev/null 2>&1
must "attach over a leg that can fail" attach parts /dev/mapper/stripes "$small" --commit-seconds 0
fun pattern /dev/mapper/parts 1 0 512
for when in before after; do
	dmsetup message leg 0 fail 10 $when
	expect_fail "a part of a write fails below" fun pattern /dev/mapper/parts 2 128 64
	expect_said "which is EIO ($when)" 'Input/output error'
	try "all of it is what it was ($when)" fun verify /dev/mapper/parts 1 0 512
done
dmsetup message leg 0 fail 10 before
expect_fail "a part of a read fails below" fun verify /dev/mapper/parts 1 0 256
expect_said "which is EIO" 'Input/output error'
detach parts
attach parts /dev/mapper/stripes "$small"
try "after a re-attach" fun verify /dev/mapper/parts 1 0 512
same "no corruption in parts" 0 "$(field parts 15)"
detach parts
dm_remove stripes
dm_remove leg

linear odd-end "$one" 0 $((32 * 2048 + 7))
below "a device that ends within a block" /dev/mapper/odd-end "$small"
dm_remove odd-end

# The first and the last part of a ramdisk belong to somebody else.
head -c 1M /dev/urandom >/tmp/guard
dd if=/tmp/guard of="$one" bs=1M oflag=direct status=none
dd if=/tmp/guard of="$one" bs=1M seek=25 oflag=direct status=none
linear between "$one" 2048 $((24 * 2048))
format --force /dev/mapper/between "$small" >/dev/null 2>&1
must "attach between what others own" attach guarded /dev/mapper/between "$small"
blocks=$(($(sectors /dev/mapper/guarded) / 8))
fun pattern /dev/mapper/guarded 4 0 "$blocks"
fun pattern /dev/mapper/guarded 5 0 "$blocks"
detach guarded
try "nothing is written before the device" cmp -n 1048576 "$one" /tmp/guard
try "nor behind its end" cmp -n 1048576 -i $((25 << 20)):0 "$one" /tmp/guard
dm_remove between

new_vault plain 16
queue=/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$vault")/queue
same "neither DAX nor polling is claimed" "0 0" "$(<"$queue/dax") $(<"$queue/io_poll")"

# ---- unload, remove ---------------------------------------------------------
say "unload, remove"

# Without udev the node goes at once, whatever becomes of the device.
there() { dmsetup info "$1" >/dev/null 2>&1; }
expect_fail "unload the module with a live table" rmmod dm_qvault
dmsetup suspend plain
expect_fail "unload it with a suspended one" rmmod dm_qvault
dmsetup resume plain
fun pattern "$vault" 6 0 2000
for i in 1 2 3 4 5 6 7 8; do
	fun pattern "$vault" 7 $((i * 100)) 100
	dmsetup message plain 0 checkpoint 2>/dev/null &
	checkpoint=$!
	dmsetup remove --deferred plain
	wait "$checkpoint" || true
	! there plain || sleep 0.2
	! there plain || dmsetup remove --retry plain
	attach plain /dev/mapper/plain-data /dev/mapper/plain-anchor
done
try "removed in the midst of checkpoints" fun verify "$vault" 7 100 800
try "the rest is what it was" fun verify "$vault" 6 1000 1000
fun pattern "$vault" 9 0 500
exec 5<>"$vault"
dmsetup remove --deferred plain
try "removal waits for the last to close" there plain
exec 5>&-
for _ in 1 2 3 4 5; do ! there plain || sleep 0.2; done
expect_fail "and then comes" there plain
must "attach after it" attach plain /dev/mapper/plain-data /dev/mapper/plain-anchor
try "nothing was lost" fun verify "$vault" 9 0 500
# Opened and closed all the time, as udev does, while it is removed.
(for _ in {1..150}; do : <"$vault"; done) 2>/dev/null &
opener=$!
for _ in 1 2 3 4 5 6; do
	if dmsetup remove --retry plain 2>/dev/null; then
		attach plain /dev/mapper/plain-data /dev/mapper/plain-anchor
	fi
done
wait "$opener" || true
try "opened and closed while it is removed" fun verify "$vault" 9 0 500
detach plain

# ---- tables -----------------------------------------------------------------
say "tables"

slices tables 16
fun addkey
size=$(fun format $((16 * 256)) 32 "$anchor")
table="0 $size qvault $data $anchor :64:logon:qvault:test"
must "attach by dmsetup" dm_create tables "$table"
vault=/dev/mapper/tables
fun pattern "$vault" 1 0 1500
fun fsyncs "$vault" 3
try "what is unused in log and anchor is zero" known padding "$data" "$anchor" $((16 * 256)) 32
dmsetup suspend tables
try "status while suspended" dmsetup status tables
try "table while suspended" dmsetup table tables
dmsetup load tables --table "$table"
try "table of what is only loaded" dmsetup table --inactive tables
dmsetup clear tables

# While it is suspended the anchor becomes that of a smaller vault, same key.
dd if="$anchor" of=/tmp/anchor.img bs=4096 status=none
fun format $((8 * 256)) 32 "$anchor" >/dev/null
expect_fail "another geometry at resume is refused" dmsetup resume tables
dd if=/tmp/anchor.img of="$anchor" bs=4096 oflag=direct status=none
must "resume with its own" dmsetup resume tables
try "nothing is lost by it" fun verify "$vault" 1 1000 500
dm_remove tables
try "tables made and dropped at random" known tables "$data" "$anchor" "$size" 1
try "tables made and dropped at random, 2" known tables "$data" "$anchor" "$size" 2
must "attach after it" dm_create tables "$table"
try "the data of before are there" fun verify "$vault" 1 1000 500
dm_remove tables

long=$(printf 'x%.0s' {1..300})
head -c 64 /dev/urandom | keyctl padd logon "qvault:$long" @u >/dev/null
line="0 $size qvault $(stat -Lc '%Hr:%Lr' "$data") $(stat -Lc '%Hr:%Lr' "$anchor") :64:logon:qvault:$long"
dmsetup create long --notable
owns long
dmsetup load long --table "$line"
same "a long key description is not cut" "$line" "$(dmsetup table --inactive long)"
expect_fail "unload the module with a table that was only loaded" rmmod dm_qvault
dm_remove long

# ---- what a storage may try -------------------------------------------------
say "what a storage may try"

new_vault stale 16 --commit-seconds 0
fun pattern "$vault" 1 0 600
fun fsyncs "$vault" 20
log_blocks=$((16 * 256 / 64))
dd if="$data" of=/tmp/log.img bs=4096 skip=1 count="$log_blocks" status=none
fun pattern "$vault" 2 0 600
detach stale
dd if=/tmp/log.img of="$data" bs=4096 seek=1 count="$log_blocks" oflag=direct status=none
must "attach with an old log put back after a clean detach" attach stale "$data" "$anchor"
try "nothing of it is replayed" fun verify "$vault" 2 0 600
fun pattern "$vault" 3 0 50
dmsetup suspend stale
dmsetup resume stale
fun pattern "$vault" 4 100 50
same "fsync" ok "$(fun sync "$vault" 0)"
crashed stale
try "suspend, resume, crash: before the suspend" fun verify "$vault" 3 0 50
try "suspend, resume, crash: after it" fun verify "$vault" 4 100 50
try "suspend, resume, crash: the rest" fun verify "$vault" 2 200 400

# Constants that once meant `discarded` to somebody.
blkdiscard -o $((300 * 4096)) -l $((100 * 4096)) "$vault"
dmsetup message stale 0 checkpoint
cp "$data" /tmp/data.img
for byte in 366 377 000; do
	head -c 16M /dev/zero | tr '\000' "\\$byte" | dd of="$data" bs=1M oflag=direct status=none
	wrong=""
	for block in 0 150 250 599; do
		got=$(fun read "$vault" "$block")
		[ "$got" = EILSEQ ] || wrong+=" $block:$got"
	done
	same "a device full of \\$byte: no block passes for discarded" "" "$wrong"
	if got=$(fun zeros "$vault" 300 100 2>&1); then got=zero; fi
	[[ $got != *'Invalid or incomplete'* ]] || got=refused
	try "a discarded one is zero or refused: $got" test "$got" = zero -o "$got" = refused
done
dd if=/tmp/data.img of="$data" bs=1M oflag=direct status=none
try "with its own blocks again" fun verify "$vault" 2 200 100
detach stale

# ---- 2^32 -------------------------------------------------------------------
say "2^32"

truncate -s 20T /tmp/huge
loop=$(losetup -f --show --direct-io=off /tmp/huge)
new_disk
format "$loop" "$disk" >/dev/null
must "attach 20 TiB" attach huge "$loop" "$disk" --commit-seconds 0 --memory-mib 1
vault=/dev/mapper/huge
total=$((20 << 28)) log_blocks=2048
places=("$((1 << 29))" "$((1 << 31))" "$((1 << 32))")
for physical in "${places[@]:0:3}"; do
	places+=("$(known home $total $log_blocks "$physical")")
done
seed=0
for at in "${places[@]}"; do
	seed=$((seed + 1))
	fun pattern "$vault" $seed $((at - 200)) 400
done
detach huge
attach huge "$loop" "$disk" --memory-mib 1
seed=0
for at in "${places[@]}"; do
	seed=$((seed + 1))
	try "20 TiB, block $at" fun verify "$vault" $seed $((at - 200)) 400
done
seed=0
for at in "${places[@]}"; do
	seed=$((seed + 1))
	blkdiscard -o $(((at - 50) * 4096)) -l $((100 * 4096)) "$vault"
	fun zeros "$vault" $((at - 50)) 100
	fun verify "$vault" $seed $((at - 200)) 150
	fun verify "$vault" $seed $((at + 50)) 150
done
pass "discards across 2^32 sectors and blocks hit nothing else"
fun pattern "$vault" 20 0 20000
try "zeroes over more than the delta holds" blkdiscard -z -o 0 -l $((2 << 40)) "$vault"
try "are zeros" fun zeros "$vault" 0 20000
try "2^32 sectors of them, and what is behind is left" fun verify "$vault" 1 $(((1 << 29) + 50)) 150
try "before the end they are zeros" fun zeros "$vault" $(((1 << 29) - 200)) 200
same "no corruption" 0 "$(field huge 15)"
detach huge
losetup -d "$loop"
rm /tmp/huge

# ---- a file system in a file on a file system -------------------------------
say "a file system in a file on a file system"

new_vault loops 64
mkfs.ext4 -q -F "$vault"
mounted "$vault" /tmp/outer -t ext4
truncate -s 32M /tmp/outer/file
loop=$(losetup -f --show --direct-io=off /tmp/outer/file)
mkfs.ext4 -q -F "$loop"
mounted "$loop" /tmp/inner -t ext4
try "write through two file systems" sh -c 'dd if=/dev/urandom of=/tmp/inner/f bs=1M count=20 status=none && sync'
sum=$(sha256sum </tmp/inner/f)
umount /tmp/inner
losetup -d "$loop"
umount /tmp/outer
again loops
mounted "$vault" /tmp/outer -t ext4
loop=$(losetup -f --show --direct-io=off /tmp/outer/file)
mounted "$loop" /tmp/inner -t ext4
same "and read it back" "$sum" "$(sha256sum </tmp/inner/f)"
umount /tmp/inner
losetup -d "$loop"
umount /tmp/outer
detach loops
finish
