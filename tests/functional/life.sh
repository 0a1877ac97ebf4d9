#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Suspend and resume under load, reload, many vaults, a vault on a vault,
# ephemeral vaults.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 14 192

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
expect_fail "a table of another size" sh -c \
	"dmsetup load load --table '${table/0 $size/0 $((size - 8))}' && dmsetup resume load"
dmsetup clear load
dmsetup resume load || true
must "re-attach" again_load
try "and after it" fun verify "$vault" 2 0 2000

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
linear upper-anchor "$disk" 0 16
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
detach eph
must "attach another one there" ctl attach --ephemeral eph /dev/mapper/eph-data
try "nothing is left of the first" fun zeros "$vault" 0 4000

same "no corruption seen" 0 "$(field eph 15)"
detach eph
finish
