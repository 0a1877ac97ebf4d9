#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Devices that fail: an error never becomes success, a failed anchor or flush
# stops the vault, and what was acknowledged before is there after a re-attach.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

need dm-flakey dm-dust dm-log-writes
disks 2 700

# Above a log-writes device flushes exist; a ramdisk alone has no cache, and the
# block layer would not even send them.
size=$((64 * 2048))
dm_create f-lower "0 $((size + 16)) log-writes /dev/ram0 /dev/ram1"
lower=/dev/mapper/f-lower
# Data and anchor on tables that can be exchanged for failing ones under way.
dm_create f-data "0 $size linear $lower 0"
dm_create f-anchor "0 16 linear $lower $size"
data=/dev/mapper/f-data anchor=/dev/mapper/f-anchor vault=/dev/mapper/f
format "$data" "$anchor" >/dev/null

# table DEVICE LINE: exchange it while it is in use.
table() {
	dmsetup load "$1" --table "$2"
	dmsetup suspend --noflush --nolockfs "$1"
	dmsetup resume "$1"
}
healthy() {
	table f-data "0 $size linear $lower 0"
	table f-anchor "0 16 linear $lower $size"
}
# A removal commits, which may fail here: that is not what is tested.
drop() { dmsetup remove --retry f; }

# No commits by themselves: they would be the ones to meet the failure.
attach_f() { attach f "$data" "$anchor" --commit-seconds 0; }

for what in writes everything; do
	error="error_writes"
	[ "$what" = writes ] || error=""
	# up 0 s, down an hour
	flakey_data="0 $size flakey $lower 0 0 3600${error:+ 1 $error}"
	flakey_anchor="0 16 flakey $lower $size 0 3600${error:+ 1 $error}"

	must "attach" attach_f
	fun pattern "$vault" 1 0 500
	same "fsync" ok "$(fun sync "$vault" 0)"
	table f-anchor "$flakey_anchor"
	written=$(fun write "$vault" 10)
	say "anchor fails ($what): a write says $written"
	same "anchor fails ($what): fsync says so" EIO "$(fun sync "$vault" 0)"
	same "and again: no second fsync succeeds" EIO "$(fun sync "$vault" 0)"
	try "the vault has stopped" test "$(field f 1)" = failed
	try "a write after it is refused" test "$(fun write "$vault" 11)" != ok
	same "FUA too" EIO "$(fun dsync "$vault" 11)"
	try "reads go on" fun verify "$vault" 1 20 400
	drop
	healthy
	must "attach again" attach_f
	try "all that was acknowledged is there" fun verify "$vault" 1 20 480

	fun pattern "$vault" 2 1000 500
	same "fsync" ok "$(fun sync "$vault" 0)"
	table f-data "$flakey_data"
	first=$(fun write "$vault" 1000)
	say "data fails ($what): a write says $first, fsync $(fun sync "$vault" 0)"
	try "data fails ($what): a write says so" test "$first" != ok
	table f-data "0 $size linear $lower 0"
	try "an old block is still what it was" fun verify "$vault" 2 1000 500
	drop
	healthy
	must "attach again" attach_f
	try "all that was acknowledged is there" fun verify "$vault" 2 1000 500
	drop
done

# ---- the flush alone fails --------------------------------------------------

# The data is written, then the table changes, then comes the fsync: its entries
# fit into the anchor record, so the flush is the first that fails.
must "attach" attach_f
fun pattern "$vault" 3 2000 100
table f-data "0 $size flakey $lower 0 0 3600"
same "the flush fails: fsync" EIO "$(fun sync "$vault" 0)"
same "the flush fails: fsync again" EIO "$(fun sync "$vault" 0)"
table f-data "0 $size error"
same "everything fails: read" EIO "$(fun read "$vault" 2000)"
drop
healthy
must "attach after it" attach_f
try "the acknowledged is there" fun verify "$vault" 2 1000 500

# ---- a bad sector -----------------------------------------------------------

drop
table f-data "0 $size dust $lower 0 4096"
must "attach over dm-dust" attach_f
fun pattern "$vault" 4 0 64
fun sync "$vault" 0 >/dev/null
# What is read next comes from all over the device, so some of it is bad.
for block in $(seq 1200 60 2400); do
	dmsetup message f-data 0 addbadblock "$block" || true
done
dmsetup message f-data 0 enable
expect_fail "bad sectors" fun verify "$vault" 2 1000 500
expect_said "say EIO, not that somebody forged them" "Input/output error"
dmsetup message f-data 0 disable
try "healthy again" fun verify "$vault" 4 0 64
drop
healthy

# ---- the device is swapped for an attacker's --------------------------------

must "attach" attach_f
fun pattern "$vault" 5 0 200
fun sync "$vault" 0 >/dev/null
log_mark
dmsetup suspend --noflush --nolockfs f-data
dd if=/dev/urandom of="$lower" bs=1M count=60 conv=notrunc oflag=direct status=none
dmsetup resume f-data
events=$(dmsetup info -c --noheadings -o events f)
same "garbage is EILSEQ" EILSEQ "$(fun read "$vault" 7)"
try "it is counted" test "$(field f 15)" -gt 0
try "there was an event" test "$(dmsetup info -c --noheadings -o events f)" -gt "$events"
expect_logged "and told" 'qvault.*(corrupt|changed|authent|tag)'
drop || true
if attach f "$data" "$anchor" 2>/dev/null; then
	same "nothing of it is believed after a re-attach" EILSEQ "$(fun read "$vault" 7)"
	drop
else
	pass "the attach is refused"
fi

# ---- the anchor -------------------------------------------------------------

format --force "$data" "$anchor" >/dev/null
attach_f
fun pattern "$vault" 6 0 100
drop
dd if="$anchor" of=/tmp/anchor bs=4096 status=none
dd if=/dev/zero of="$anchor" bs=4096 count=2 oflag=direct status=none
expect_fail "an anchor of zeros" attach f "$data" "$anchor"
same "which nobody formats by himself" 0 \
	"$(od -An -tx1 -v "$anchor" | tr -d ' 0\n' | wc -c)"
for byte in 0 9 20 33 60 70 100 250 4070; do
	dd if=/tmp/anchor of="$anchor" bs=4096 oflag=direct status=none
	cp /tmp/anchor /tmp/anchor.bad
	for slot in 0 4096; do
		printf '\xa5' | dd of=/tmp/anchor.bad bs=1 conv=notrunc seek=$((byte + slot)) status=none
	done
	dd if=/tmp/anchor.bad of="$anchor" bs=4096 oflag=direct status=none
	expect_fail "byte $byte of both records changed" attach f "$data" "$anchor"
done
dd if=/tmp/anchor of="$anchor" bs=4096 oflag=direct status=none
must "the right anchor again" attach_f
try "opens it" fun verify "$vault" 6 0 100
drop
finish
