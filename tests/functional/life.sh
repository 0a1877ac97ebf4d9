#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Suspend and resume under load, reload, many vaults, a vault on a vault,
# ephemeral vaults.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 14 192
# The first one is for `load`; nobody else has the second before `many`.

# ---- suspend, resume, reload ------------------------------------------------

# By dmsetup, with a key that stays: the tool's is gone once it has attached.
slices load 128
fun addkey
size=$(fun format $((128 * 256)) 512 "$anchor")
vault=/dev/mapper/load
again_load() { dm_remove load && dm_create load "$table"; }
table="0 $size qvault $data $anchor :64:logon:qvault:test"
must "attach" dm_create load "$table"
fun hammer "$vault" 1 12 >/tmp/hammer 2>&1 &
hammer=$!
for i in 1 2 3 4 5 6; do
	sleep 0.3
	try "suspend under load, $i" dmsetup suspend load
	try "resume under load, $i" dmsetup resume load
	try "suspend without flush, $i" dmsetup suspend --noflush load
	try "resume after it, $i" dmsetup resume load
done
if wait "$hammer"; then
	pass "all data was right through 12 suspends ($(</tmp/hammer))"
else
	fail "data through suspends" "$(</tmp/hammer)"
fi
fun pattern "$vault" 2 0 2000
must "load the same table" dmsetup load load --table "$table"
try "change to it under way" dmsetup resume load
try "all is there" fun verify "$vault" 2 0 2000
dmsetup load load --table "$table"
try "clear a table that was never used" dmsetup clear load
try "all is still there" fun verify "$vault" 2 0 2000
# ---- a table for a vault that runs -------------------------------------------

# reload NAME LINE: another table, taken into use.
reload() { dmsetup load "$1" --table "$2" && dmsetup resume "$1"; }
# refused WHAT LINE REASON: not even loaded, and the vault goes on.
refused() {
	log_mark
	expect_fail "$1: is refused when it is loaded" dmsetup load load --table "$2"
	expect_logged "$1: and told why" "$3"
	try "$1: the vault goes on" fun verify "$vault" 2 0 2000
}

lasting="$table 2 commit_seconds 0"
must "attach without commits at their own time" again_load
must "other options" reload load "$lasting"
epoch=$(field load 2) records=$(field load 10)
fun pattern "$vault" 3 3000 500
must "more memory and discards" \
	reload load "$table 5 commit_seconds 0 memory_mib 8 allow_discards"
same "the table says so" "5 allow_discards memory_mib 8 commit_seconds 0" \
	"$(dmsetup table load | cut -d ' ' -f 7-)"
try "what nobody had flushed is there" fun verify "$vault" 3 3000 500
try "and what was there before" fun verify "$vault" 2 0 2000
same "nothing was attached anew" "$epoch" "$(field load 2)"
try "a checkpoint took two records at most" test "$(field load 10)" -le $((records + 2))
records=$(field load 10)
for _ in {1..20}; do dmsetup suspend load && dmsetup resume load; done
same "many suspends in a row: no attachment of them" "$epoch" "$(field load 2)"
same "and no record" "$records" "$(field load 10)"

refused "larger than the vault" "${table/0 $size/0 $((size + 8))}" \
	'maps more than the running vault has'
refused "another data device" "${table/"$data"//dev/ram1}" 'another data device'
refused "another anchor" "${table/"$anchor"//dev/ram1}" 'another anchor device'
refused "without an anchor" "0 $size qvault $data - -" 'is not ephemeral'
head -c 64 /dev/urandom | keyctl padd logon qvault:other @u >/dev/null
refused "another key" "${table/qvault:test/qvault:other}" 'has another key'
refused "not alone in its table" "$table
$size 8 error" 'alone'

must "less than the vault" reload load "${lasting/0 $size/0 $((size - 8000))}"
same "is so small" $((size - 8000)) "$(sectors "$vault")"
try "with the same contents" fun verify "$vault" 3 3000 500
must "all of it again" reload load "$lasting"
same "nothing was attached anew" "$epoch" "$(field load 2)"
fun pattern "$vault" 4 4000 10
must "for reading only" reload load "$table 3 commit_seconds 0 read_only"
same "a write is refused" EIO "$(fun write "$vault" 5)"
try "what nobody had flushed before is there" fun verify "$vault" 4 4000 10
must "a commit" dmsetup message load 0 commit
must "for writing again" reload load "$lasting"
same "a write" ok "$(fun write "$vault" 5)"
dm_remove load
must "attach for reading" dm_create load "$table 1 read_only"
expect_fail "that cannot become for writing under way" dmsetup load load --table "$table"
must "re-attach" again_load
try "all is there" fun verify "$vault" 4 4000 10

# Another target's table ends the vault, as a removal does.
epoch=$(field load 2)
fun pattern "$vault" 5 4000 10
must "a table of errors" reload load "0 $size error"
same "answers instead of it" EIO "$(fun read "$vault" 4000)"
must "and a vault again" reload load "$table"
same "that was attached anew" $((epoch + 1)) "$(field load 2)"
try "with all that was written" fun verify "$vault" 5 4000 10

# ---- two names for one thing -------------------------------------------------

linear alias-data "$data" 0 "$(sectors "$data")"
linear alias-anchor "$anchor" 0 "$(sectors "$anchor")"
alias="0 $size qvault /dev/mapper/alias-data /dev/mapper/alias-anchor :64:logon:qvault:test"
log_mark
expect_fail "a vault by other names of its devices" dm_create alias "$alias"
expect_logged "says who has it" 'attached already, as load$|attached already, as load '
dmsetup remove alias 2>/dev/null || true
try "who has it goes on" fun verify "$vault" 5 4000 10
must "who only reads may have it too" dm_create alias "$alias 1 read_only"
try "and reads what was durable" fun verify /dev/mapper/alias 2 100 1900
dm_remove alias
log_mark
expect_fail "a vault on a device of another" \
	dm_create alias "0 $size qvault $data /dev/mapper/alias-anchor :64:logon:qvault:test"
expect_logged "is told so" 'in use by another vault'
dmsetup remove alias 2>/dev/null || true
dm_remove load
must "once that is gone" dm_create alias "$alias"
try "all is there" fun verify /dev/mapper/alias 5 4000 10
dm_remove alias
dm_remove alias-anchor
dm_remove alias-data

# ---- the anchor while it is suspended ----------------------------------------

must "attach" dm_create load "$lasting"
dd if="$anchor" of=/tmp/anchor.old bs=4096 iflag=direct status=none
fun pattern "$vault" 6 4000 10
dmsetup suspend load
dd if="$anchor" of=/tmp/anchor.new bs=4096 iflag=direct status=none
dd if=/tmp/anchor.old of="$anchor" bs=4096 oflag=direct status=none
log_mark
expect_fail "an anchor put back meanwhile: resume" dmsetup resume load
expect_logged "says why" 'cannot resume: the anchor does not hold what this vault left'
expect_fail "and once more" dmsetup resume load
dd if=/tmp/anchor.new of="$anchor" bs=4096 oflag=direct status=none
must "with its own again" dmsetup resume load
try "all is there" fun verify "$vault" 6 4000 10
dm_remove load

# ---- many -------------------------------------------------------------------

for i in 1 2 3 4 5 6; do
	new_vault "many$i" 32
done
for i in 1 2 3 4 5 6; do
	fun hammer "/dev/mapper/many$i" "$i" 3 >"/tmp/many$i" 2>&1 &
done
failed=0
for _ in 1 2 3 4 5 6; do wait -n || failed=$((failed + 1)); done
same "six vaults at once" 0 "$failed"
for i in 1 2 3 4 5 6; do
	try "detach number $i" detach "many$i"
done

# ---- a vault on a vault -----------------------------------------------------

new_vault lower 96
new_disk
linear upper-data "$vault" 0 $((64 * 2048))
linear upper-anchor "$disk" 0 2048
format /dev/mapper/upper-data /dev/mapper/upper-anchor >/dev/null
must "attach a vault on a vault" attach upper /dev/mapper/upper-data /dev/mapper/upper-anchor
try "use it" fun hammer /dev/mapper/upper 3 3
fun pattern /dev/mapper/upper 7 0 1000
again upper
try "verify it" fun verify /dev/mapper/upper 7 0 1000
detach upper
dmsetup remove upper-data
detach lower

# ---- ephemeral --------------------------------------------------------------

new_disk
linear eph-data "$disk" 0 $((96 * 2048))
must "attach an ephemeral vault" ctl attach --ephemeral eph /dev/mapper/eph-data
owns eph
vault=/dev/mapper/eph
try "use it" fun hammer "$vault" 4 3
fun pattern "$vault" 8 100 3000
try "suspend" dmsetup suspend eph
try "resume" dmsetup resume eph
try "it is the same vault after it" fun verify "$vault" 8 100 3000
size=$(sectors "$vault")
must "other options" reload eph "0 $size qvault /dev/mapper/eph-data - - 2 memory_mib 8"
try "it is the same vault after that, too" fun verify "$vault" 8 100 3000
expect_fail "a larger table" dmsetup load eph \
	--table "0 $((size + 8)) qvault /dev/mapper/eph-data - -"
expect_fail "another MAC" dmsetup load eph \
	--table "0 $size qvault /dev/mapper/eph-data - - 2 mac nhpoly-aes"
try "it goes on" fun verify "$vault" 8 100 3000
detach eph
must "attach another one there" ctl attach --ephemeral eph /dev/mapper/eph-data
try "nothing is left of the first" fun zeros "$vault" 0 4000

same "no corruption seen" 0 "$(field eph 15)"
detach eph
finish
