#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A data device grows, and the vault on it, while it is used; what is refused; and an
# ephemeral one.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 2 420
new_disk
linear g-data "$disk" 0 $((100 * 2048))
linear g-anchor "$disk" $((410 * 2048)) 2048
data=/dev/mapper/g-data anchor=/dev/mapper/g-anchor vault=/dev/mapper/g

# enlarge MB: the device that the vault g has open.
enlarge() {
	dmsetup load g-data --table "0 $(($1 * 2048)) linear $disk 0" && dmsetup suspend g-data &&
		dmsetup resume g-data
}
resize() { ctl resize --key-file "$key" "$@"; }

format "$data" "$anchor" >/dev/null
must "attach" attach g "$data" "$anchor" --allow-discards --commit-seconds 0
fun pattern "$vault" 1 0 5000
size=$(sectors "$vault")

expect_fail "to become smaller" resize --size 40M g
expect_fail "to become larger than the device" resize --size 200M g
must "to be as large as it can be already" resize g
same "is nothing new" "$size" "$(sectors "$vault")"
try "a larger device" enlarge 150
head -c 64 /dev/urandom >/run/other.key
expect_fail "with another key" ctl resize --key-file /run/other.key g
expect_fail "a longer table that does not say to grow" \
	dmsetup load g --table "0 $((size + 8)) $(dmsetup table g | cut -d ' ' -f 3- | sed 's/ [0-9]* allow_discards.*//')"
same "all is as it was" "$size" "$(sectors "$vault")"
try "and what was written is there" fun verify "$vault" 1 0 5000

# ---- in use -----------------------------------------------------------------

epoch=$(field g 2)
fun hammer "$vault" 1 10 >/tmp/hammer 2>&1 &
hammer=$!
sleep 1
must "grow within the first group" resize g
middle=$(sectors "$vault")
try "it is larger" test "$middle" -gt "$size"
try "a larger device, again" enlarge 400
must "grow by groups, and not to all that there is" resize --size 300M g
same "it is as large as that" $((300 * 2048)) "$(sectors "$vault")"
must "grow to all" resize g
try "it is larger still" test "$(sectors "$vault")" -gt $((300 * 2048))
if wait "$hammer"; then
	pass "all data was right meanwhile ($(</tmp/hammer))"
else
	fail "data while it grew" "$(</tmp/hammer)"
fi
same "nothing was attached anew" "$epoch" "$(field g 2)"
same "other options are as they were" "4 allow_discards grow commit_seconds 0" \
	"$(dmsetup table g | cut -d ' ' -f 7-)"
last=$(($(sectors "$vault") / 8 - 1000))
fun pattern "$vault" 2 "$last" 1000
fun pattern "$vault" 3 40000 2000
try "checkpoint" dmsetup message g 0 checkpoint
try "detach" detach g
size=$(($(sectors "$data") * 512))
must "attach again" attach g "$data" "$anchor"
try "the end of it" fun verify "$vault" 2 "$last" 1000
try "the middle" fun verify "$vault" 3 40000 2000
same "no corruption" 0 "$(field g 15)"
try "detach" detach g
try "its anchor tells the larger size" bash -c \
	"\"\$QVAULT_CTL\" dump '$anchor' | grep -q '^Data device: .*($size bytes)'"

# ---- a table that grows it as it attaches -------------------------------------

new_disk
linear t-data "$disk" 0 $((100 * 2048))
linear t-anchor "$disk" $((410 * 2048)) 2048
fun addkey
size=$(fun format $((90 * 256)) 64 /dev/mapper/t-anchor)
table="qvault /dev/mapper/t-data /dev/mapper/t-anchor :64:logon:qvault:test"
expect_fail "a table that is too long" dm_create t "0 $((size + 8000)) $table"
dmsetup remove t 2>/dev/null || true
must "the same with grow" dm_create t "0 $((size + 8000)) $table 1 grow"
same "is a larger vault" $((size + 8000)) "$(sectors /dev/mapper/t)"
dm_remove t
must "which lasts" dm_create t "0 $((size + 8000)) $table"
dm_remove t

# ---- ephemeral ----------------------------------------------------------------

must "an ephemeral vault" ctl attach --ephemeral e /dev/mapper/t-data --force
size=$(sectors /dev/mapper/e)
fun pattern /dev/mapper/e 4 0 3000
dmsetup load t-data --table "0 $((300 * 2048)) linear $disk 0"
dmsetup suspend t-data && dmsetup resume t-data
must "grows" ctl resize e
try "it is larger" test "$(sectors /dev/mapper/e)" -gt "$size"
try "with what was in it" fun verify /dev/mapper/e 4 0 3000
fun pattern /dev/mapper/e 5 $(($(sectors /dev/mapper/e) / 8 - 500)) 500
try "checkpoint" dmsetup message e 0 checkpoint
try "all of it" fun verify /dev/mapper/e 5 $(($(sectors /dev/mapper/e) / 8 - 500)) 500
must "detach" detach e
finish
