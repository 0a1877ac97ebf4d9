#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Devices that fail: an error never becomes success, a failed anchor or flush
# stops the vault, and what was acknowledged before is there after a re-attach.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

try "the kernel looks for hung tasks" test "$(</proc/sys/kernel/hung_task_timeout_secs)" -gt 0
need dm-flakey dm-dust dm-log-writes
disks 3 700

# Above a log-writes device flushes exist; a ramdisk alone has no cache, and the
# block layer would not even send them.
size=$((64 * 2048))
dm_create f-lower "0 $((size + 2048)) log-writes /dev/ram0 /dev/ram1"
lower=/dev/mapper/f-lower
# Data and anchor on tables that can be exchanged for failing ones under way.
dm_create f-data "0 $size linear $lower 0"
dm_create f-anchor "0 2048 linear $lower $size"
data=/dev/mapper/f-data anchor=/dev/mapper/f-anchor vault=/dev/mapper/f
# The key that `fun addkey` gives the kernel: so the module can be asked without the
# tool, which looks at the anchor first and would refuse for it.
for ((i = 1; i < 192; i += 3)); do printf %b "\\x$(printf %02x "$i")"; done >"$key"
fun addkey
format "$data" "$anchor" >/dev/null

# table DEVICE LINE: exchange it while it is in use.
table() {
	dmsetup load "$1" --table "$2"
	dmsetup suspend --noflush --nolockfs "$1"
	dmsetup resume "$1"
}
healthy() {
	table f-data "0 $size linear $lower 0"
	table f-anchor "0 2048 linear $lower $size"
}
# A removal commits, which may fail here: that is not what is tested.
drop() { dmsetup remove --retry f; }

# No commits by themselves: they would be the ones to meet the failure.
attach_f() { attach f "$data" "$anchor" --commit-seconds 0; }
# The same without the tool; $sectors is the size of the vault.
module_attach() {
	dm_create f "0 $sectors qvault $data $anchor :64:logon:qvault:test 2 commit_seconds 0"
}
# refused_by_both WHAT REASON
refused_by_both() {
	expect_fail "$1: the tool refuses" attach_f
	log_mark
	expect_fail "$1: so does the module" module_attach
	expect_logged "$1: and says why" "$2"
}

must "attach by the tool" attach_f
sectors=$(sectors "$vault")
drop
must "attach without it" module_attach
drop

for what in writes everything; do
	error="error_writes"
	[ "$what" = writes ] || error=""
	# up 0 s, down an hour
	flakey_data="0 $size flakey $lower 0 0 3600${error:+ 1 $error}"
	flakey_anchor="0 2048 flakey $lower $size 0 3600${error:+ 1 $error}"

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

# ---- what describes the data fails ------------------------------------------

drop
must "attach" attach_f
fun pattern "$vault" 3 2000 100
table f-data "0 $size flakey $lower 0 0 3600 1 error_writes"
expect_fail "metadata fail: a checkpoint says so" dmsetup message f 0 checkpoint
same "nothing is in doubt: the vault goes on" write "$(field f 1)"
same "but says what failed: fsync" EIO "$(fun sync "$vault" 0)"
table f-data "0 $size linear $lower 0"
same "what passes, passes: fsync" ok "$(fun sync "$vault" 0)"
try "and so does the checkpoint" dmsetup message f 0 checkpoint
try "what was written meanwhile is there" fun verify "$vault" 3 2000 100
drop
healthy
must "attach after it" attach_f
try "and is durable" fun verify "$vault" 3 2000 100
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

# A slot of the anchor that cannot be read may hold the newest record: the other one
# would be an older state.
table f-anchor "0 2048 dust $lower $size 4096"
for slot in 0 1; do
	# Its blocks are those of the device below.
	bad=$((size / 8 + 64 + 128 * slot))
	dmsetup message f-anchor 0 addbadblock "$bad"
	dmsetup message f-anchor 0 enable
	refused_by_both "slot $slot of the anchor is a bad sector" 'a slot of the anchor cannot be read'
	log_mark
	must "but not to who only reads" \
		dm_create f "0 $sectors qvault $data $anchor :64:logon:qvault:test 1 read_only"
	expect_logged "who is told of it" "slot $slot of the anchor cannot be read"
	same "also by status" 1 "$(field f 16)"
	try "and reads what is there, of both slots" fun verify "$vault" 4 0 64
	drop
	dmsetup message f-anchor 0 disable
	dmsetup message f-anchor 0 removebadblock "$bad"
done
must "no bad sector any more" attach_f
try "all is there" fun verify "$vault" 4 0 64
drop
healthy

# ---- every request, one after the other ------------------------------------

with_module probe
dm_create n-data "0 16384 probe /dev/ram2 0"
dm_create n-anchor "0 2048 probe /dev/ram2 16384"
try "every request of an operation fails once" \
	"$FAULTS" /dev/mapper/n-data /dev/mapper/n-anchor io 1
grep 'requests failed' "$tally_output"

# ---- a device that lies, by dm-flakey ---------------------------------------

# new_f: a new vault on the healthy devices, with 500 blocks of pattern 1.
new_f() {
	if [ -e "$vault" ]; then drop; fi
	healthy
	format --force "$data" "$anchor" >/dev/null 2>&1
	attach_f
	fun pattern "$vault" 1 0 500
	same "fsync" ok "$(fun sync "$vault" 0)"
}
# flakey FEATURES: of the data device, from now on.
flakey() { table f-data "0 $size flakey $lower 0 0 3600 $*"; }
# refused_or_right SEED COUNT STEP: no block is anything but right or EILSEQ.
refused_or_right() {
	local block wrong="" right=0 refused=0
	for block in $(seq 0 "$3" $(($2 - 1))); do
		if fun verify "$vault" "$1" "$block" 1 2>/tmp/error; then
			right=$((right + 1))
		elif grep -q 'Invalid or incomplete' /tmp/error; then
			refused=$((refused + 1))
		else
			wrong+=" $block: $(</tmp/error)"
		fi
	done
	say "$right right, $refused refused"
	[ -z "$wrong" ] || { echo "$wrong"; return 1; }
	lies=$refused
}

new_f
flakey 1 drop_writes
fun pattern "$vault" 2 0 500
try "writes that are dropped: no block is what it was before" refused_or_right 2 500 50
try "and they are noticed ($lies)" test "$lies" -ge 8
table f-data "0 $size linear $lower 0"

# What has that byte already is not changed: one block of 256.
new_f
flakey 5 corrupt_bio_byte 224 r 1 0
try "reads with a byte changed: none is believed" refused_or_right 1 500 50
try "and what is changed is noticed ($lies)" test "$lies" -ge 8
table f-data "0 $size linear $lower 0"
try "without it all is there" fun verify "$vault" 1 0 500
flakey 5 corrupt_bio_byte 224 w 1 0
fun pattern "$vault" 2 0 500
table f-data "0 $size linear $lower 0"
# The byte is in the first block of a bio, and a bio has 64.
try "writes with a byte changed: none is believed" refused_or_right 2 500 64
try "and what is changed is noticed ($lies)" test "$lies" -ge 6

# ---- the device vanishes under load ------------------------------------------

new_f
fun pattern "$vault" 3 2000 500
same "fsync" ok "$(fun sync "$vault" 0)"
fun hammer "$vault" 5 20 >/tmp/hammer 2>&1 &
hammer=$!
sleep 1
table f-data "0 $size error"
table f-anchor "0 2048 error"
expect_fail "both devices vanish under load: the load ends" wait "$hammer"
try "with an error and not with wrong data" grep -qE 'Input/output error' /tmp/hammer
expect_fail "wrong data would say so" grep -q differ /tmp/hammer
# With the data device alone back, so that there is something to commit.
table f-data "0 $size linear $lower 0"
fun write "$vault" 11 >/dev/null
same "a flush says so" EIO "$(fun sync "$vault" 0)"
drop
healthy
must "they come back: attach" attach_f
try "what was acknowledged before is there" fun verify "$vault" 3 2000 500
drop

# The same of a disk that is pulled out, and not of a table: then there is no device.
nulldisk pulled 64 blocksize=4096 memory_backed=1
pulled=$disk
linear p-data "$pulled" 0 $((48 * 2048))
linear p-anchor "$pulled" $((48 * 2048)) 2048
format /dev/mapper/p-data /dev/mapper/p-anchor >/dev/null
attach p /dev/mapper/p-data /dev/mapper/p-anchor --commit-seconds 0
fun pattern /dev/mapper/p 3 8000 500
same "fsync" ok "$(fun sync /dev/mapper/p 0)"
# Nobody flushes, so what is pulled out has always something to commit.
load() { while fun pattern /dev/mapper/p 9 0 4000; do :; done }
load >/tmp/load 2>&1 &
load=$!
sleep 1
echo 0 >/sys/kernel/config/nullb/pulled/power
try "a disk is pulled out under load: the load ends" wait "$load"
try "with an error" grep -q 'Input/output error' /tmp/load
same "a flush says so" EIO "$(fun sync /dev/mapper/p 0)"
same "and the next one too" EIO "$(fun sync /dev/mapper/p 0)"
dmsetup remove --retry p
dm_remove p-anchor
dm_remove p-data
echo 1 >/sys/kernel/config/nullb/pulled/power
linear p-data "$pulled" 0 $((48 * 2048))
linear p-anchor "$pulled" $((48 * 2048)) 2048
must "it is put in again: attach" \
	attach p /dev/mapper/p-data /dev/mapper/p-anchor --commit-seconds 0
try "what was acknowledged before is there" fun verify /dev/mapper/p 3 8000 500
detach p
dm_remove p-anchor
dm_remove p-data
echo 0 >/sys/kernel/config/nullb/pulled/power
rmdir /sys/kernel/config/nullb/pulled

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
dd if=/dev/zero of="$anchor" bs=4096 count=256 oflag=direct status=none
refused_by_both "an anchor of zeros" 'not an anchor'
same "which nobody formats by himself" 0 \
	"$(od -An -tx1 -v "$anchor" | tr -d ' 0\n' | wc -c)"
for byte in 0 9 20 33 60 70 100 250 4070; do
	dd if=/tmp/anchor of="$anchor" bs=4096 oflag=direct status=none
	cp /tmp/anchor /tmp/anchor.bad
	for slot in 64 192; do
		printf '\xa5' | dd of=/tmp/anchor.bad bs=1 conv=notrunc seek=$((4096 * slot + byte)) status=none
	done
	dd if=/tmp/anchor.bad of="$anchor" bs=4096 oflag=direct status=none
	refused_by_both "byte $byte of both records changed" \
		'not an anchor|damaged|unknown to this module'
done

# One bit of the newest record.  What a crash has torn looks the same, so it is
# attached, and said; and then both slots are good again.  After a clean detach the
# other slot says the same.
for slot in 0 1; do
	cp /tmp/anchor /tmp/anchor.bad
	printf '\xa5' | dd of=/tmp/anchor.bad bs=1 conv=notrunc seek=$((4096 * (64 + 128 * slot) + 130)) status=none
	dd if=/tmp/anchor.bad of="$anchor" bs=4096 oflag=direct status=none
	log_mark
	must "slot $slot has rotted: attach" module_attach
	expect_logged "it is said" "slot $slot of the anchor holds no valid record"
	same "both slots are good again" 2 "$(field f 16)"
	try "after a clean detach nothing is lost by it" fun verify "$vault" 6 0 100
	drop
	dd if="$anchor" of=/tmp/anchor bs=4096 iflag=direct status=none
done

# An old anchor, as if somebody had restored it from a backup: that is a matter
# of the trusted side, yet what it shows must be that state or nothing.
dd if=/tmp/anchor of="$anchor" bs=4096 oflag=direct status=none
attach_f
fun pattern "$vault" 7 0 100
drop
dd if="$anchor" of=/tmp/anchor.new bs=4096 status=none
dd if=/tmp/anchor of="$anchor" bs=4096 oflag=direct status=none
if attach f "$data" "$anchor" --commit-seconds 0 --read-only 2>/dev/null; then
	try "an old anchor: blocks of its time, or none" refused_or_right 6 100 10
	drop
else
	pass "an old anchor is refused"
fi
dd if=/tmp/anchor.new of="$anchor" bs=4096 oflag=direct status=none
must "the right anchor" attach_f
try "opens what is newest" fun verify "$vault" 7 0 100
drop

# The anchor of another vault with the same key.
linear other-data /dev/ram2 32768 $((size))
linear other-anchor /dev/ram2 $((32768 + size)) 2048
format /dev/mapper/other-data /dev/mapper/other-anchor >/dev/null
attach other /dev/mapper/other-data /dev/mapper/other-anchor
fun pattern /dev/mapper/other 8 0 100
detach other
dd if=/dev/mapper/other-anchor of="$anchor" bs=4096 count=256 oflag=direct status=none
refused_by_both "the anchor of another vault with the same key" \
	'the data device is not the one of this anchor|does not map the size'

dd if=/tmp/anchor.new of="$anchor" bs=4096 oflag=direct status=none
must "the right anchor again" attach_f
try "opens it" fun verify "$vault" 7 0 100
drop
finish
