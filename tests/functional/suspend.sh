#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Suspend, resume and removal over devices that fail or do not answer: what was
# acknowledged stays for as long as the mapped device lives, and what is lost with
# it is told.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

need dm-flakey dm-log-writes
disks 2 300

# Flushes exist above a log-writes device, and not on a ramdisk alone.
size=$((64 * 2048))
dm_create s-lower "0 $((size + 2048)) log-writes /dev/ram0 /dev/ram1"
lower=/dev/mapper/s-lower
data_line="0 $size linear $lower 0" anchor_line="0 2048 linear $lower $size"
dm_create s-data "$data_line"
dm_create s-anchor "$anchor_line"
data=/dev/mapper/s-data anchor=/dev/mapper/s-anchor vault=/dev/mapper/s

# table DEVICE LINE: exchange it while it is in use.
table() {
	dmsetup load "$1" --table "$2"
	dmsetup suspend --noflush --nolockfs "$1"
	dmsetup resume "$1"
}
healthy() {
	table s-data "$data_line"
	table s-anchor "$anchor_line"
}
# Up 0 s, down an hour.
no_writes() { table s-data "0 $size flakey $lower 0 0 3600 1 error_writes"; }
attach_s() { attach s "$data" "$anchor" --commit-seconds 0; }
suspend() { dmsetup suspend --noflush s; }
drop() { dmsetup remove --retry s; }

format "$data" "$anchor" >/dev/null

# ---- a checkpoint that fails, and passes ------------------------------------

# More than a record holds, so that the log is what cannot be written.
must "attach" attach_s
fun pattern "$vault" 1 0 2000
same "fsync" ok "$(fun sync "$vault" 0)"
fun pattern "$vault" 2 500 600
no_writes
log_mark
try "suspend" suspend
expect_logged "says that it is not durable" 'suspended, but what was not flushed is only in memory'
try "resume" dmsetup resume s
try "what was acknowledged is still there" fun verify "$vault" 2 500 600
try "and what was there before" fun verify "$vault" 1 1100 900
for _ in 1 2 3; do suspend && dmsetup resume s; done
try "after three more, too" fun verify "$vault" 2 500 600
same "a flush says so" EIO "$(fun sync "$vault" 0)"
healthy
same "it goes on" write "$(field s 1)"
same "the next flush" ok "$(fun sync "$vault" 0)"
try "suspend" dmsetup suspend s
try "resume" dmsetup resume s
must "detach" detach s
must "attach" attach_s
try "it is durable" fun verify "$vault" 2 500 600
try "and the rest" fun verify "$vault" 1 1100 900

# ---- a flush that fails ------------------------------------------------------

# It leaves a doubt for good, but not in what is in memory.
fun pattern "$vault" 3 500 50
table s-data "0 $size flakey $lower 0 0 3600 1 error_writes"
log_mark
fun sync "$vault" 0 >/dev/null
healthy
if [ "$(field s 1)" = failed ]; then
	try "suspend of a vault that has stopped" suspend
	expect_logged "is told" 'suspended, but what was not flushed is only in memory'
	try "resume" dmsetup resume s
	same "it stays so" failed "$(field s 1)"
fi
try "what was acknowledged is still there" fun verify "$vault" 3 500 50
drop
must "attach" attach_s
try "what was flushed is there" fun verify "$vault" 2 600 500

# ---- the end -----------------------------------------------------------------

fun pattern "$vault" 4 500 600
table s-data "0 $size error"
table s-anchor "0 2048 error"
log_mark
drop
expect_logged "a removal that cannot commit says what is lost" \
	'detach failed .*what was not flushed may be lost'
healthy
must "attach" attach_s
try "what was flushed is there" fun verify "$vault" 1 1100 900

# ---- no answer ----------------------------------------------------------------

fun pattern "$vault" 5 500 600
exec 9<"$vault"
dmsetup suspend --noflush --nolockfs s-data
dmsetup message s 0 commit 2>/dev/null &
asks=$!
sleep 0.5
try "status, while a commit hangs" timeout -s KILL 60 dmsetup status s
try "so does not the question for the table" timeout -s KILL 60 dmsetup table s
expect_fail "removal of what is open says so at once" timeout -s KILL 60 dmsetup remove s
kill -KILL "$asks" && disown "$asks"
ends=0
for _ in {1..600}; do
	if ! kill -0 "$asks" 2>/dev/null; then ends=1; break; fi
	sleep 0.1
done
same "who waits for the commit can be killed" 1 "$ends"
exec 9<&-
dmsetup resume s-data
must "it answers again: commit" dmsetup message s 0 commit
try "all is there" fun verify "$vault" 5 500 600
must "detach" detach s
must "attach" attach_s
try "and durable" fun verify "$vault" 5 500 600
same "no corruption seen" 0 "$(field s 15)"
drop
finish
