#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a hibernation asks of a vault, up to where the memory is copied and after it.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

size=$((48 * 2048))
need dm-mod
linear h-data /dev/vda 0 $size
linear h-anchor /dev/vda $size 2048
data=/dev/mapper/h-data anchor=/dev/mapper/h-anchor vault=/dev/mapper/h
format "$data" "$anchor" >/dev/null
attach_h() { attach h "$data" "$anchor" --commit-seconds 0; }
# All of it but for the copy: processes are frozen, and thawed again.
hibernate() { echo disk >/sys/power/state; }
records() { field h 10; }
checkpoints() { field h 14; }

try "the kernel can stop half-way" test -e /sys/power/pm_test
echo freezer >/sys/power/pm_test

must "attach" attach_h
fun pattern "$vault" 1 0 1000
before=$(records)
done=$(checkpoints)
must "hibernate" hibernate
try "all was made durable before" test "$(checkpoints)" -gt "$done"
sleep 1
try "and a record more after it" test "$(records)" -ge $((before + 3))
try "the data are there" fun verify "$vault" 1 0 1000
settled=$(records)
fun pattern "$vault" 2 0 10
same "afterwards a write brings no record" "$settled" "$(records)"

# As a program does that writes the image itself: it begins when it opens this.
exec 7</dev/snapshot
before=$(records)
fun pattern "$vault" 3 0 1
same "meanwhile each write brings one" $((before + 1)) "$(records)"
blkdiscard -o 8192 -l 4096 "$vault"
same "each discard, too" $((before + 2)) "$(records)"
exec 7<&-
sleep 1
settled=$(records)
fun pattern "$vault" 3 4 1
same "and none afterwards" "$settled" "$(records)"

log_mark
same "the image itself is refused" EIO "$("$MACHINE" image "$vault" 5)"
expect_logged "with the reason" 'a hibernation needs swap elsewhere'
try "it goes on" fun verify "$vault" 1 100 900
same "a write" ok "$(fun write "$vault" 5)"
must "detach" detach h

# ---- swap on a vault ----------------------------------------------------------

must "attach" attach_h
must "swap on it" mkswap -q "$vault"
swapon "$vault"
must "not used yet: hibernate" hibernate
try "use it" "$MACHINE" pageout 8
log_mark
expect_fail "used: no hibernation" hibernate
expect_logged "and why" 'no hibernation with swap on a vault: swapoff, detach and attach it'
swapoff "$vault"
same "a write goes on as ever" ok "$(fun write "$vault" 5)"
must "detach" detach h
must "attach" attach_h
must "hibernate" hibernate
must "detach" detach h

must "attach an ephemeral vault" ctl attach --ephemeral h "$data" --force
owns h
must "swap on it" mkswap -q "$vault"
swapon "$vault"
try "use it" "$MACHINE" pageout 8
must "hibernate all the same" hibernate
swapoff "$vault"
same "but the image is refused" EIO "$("$MACHINE" image "$vault" 5)"
detach h

# ---- a vault that cannot commit -------------------------------------------------

format --force "$data" "$anchor" >/dev/null
must "attach" attach_h
fun pattern "$vault" 4 0 1000
dmsetup load h-data --table "0 $size error"
dmsetup suspend --noflush --nolockfs h-data
dmsetup resume h-data
log_mark
expect_fail "over a device that fails: no hibernation" hibernate
expect_logged "and why" 'no hibernation while a vault cannot commit'
dmsetup load h-data --table "0 $size linear /dev/vda 0"
dmsetup suspend --noflush --nolockfs h-data
dmsetup resume h-data
if [ "$(field h 1)" = write ]; then
	before=$(records)
	fun pattern "$vault" 4 2000 1
	same "a refusal leaves nothing behind" "$before" "$(records)"
fi
dmsetup remove --retry h
must "attach a read-only vault" attach h "$data" "$anchor" --read-only
must "hibernate" hibernate
detach h
echo none >/sys/power/pm_test
finish
