#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A vault that several hosts share.  The other host is one that was here before: its claim
# is put back.  Two hosts at work are in tests/unit/test/share.c and tests/model/claim.pml.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 3 80
settle=4
half=$((settle / 2))

# refused NAME CODE TEXT COMMAND...: it exits with that code, and says so.
refused() {
	local name=$1 code=$2 text=$3 got=0
	shift 3
	"$@" >/run/said 2>&1 || got=$?
	if [ "$got" -eq "$code" ] && grep -q "$text" /run/said; then
		pass "$name"
	else
		cat /run/said
		fail "$name" "exits with $got"
	fi
}
# claim FROM TO HOW
claim() { dd if="$1" of="$2" "$3" bs=4096 count=1 conv=notrunc status=none; }
take_claim() { claim "$anchor" /run/claim iflag=direct; }
put_claim() { claim /run/claim "$anchor" oflag=direct; }
sums() { dd if="$data" bs=1M iflag=direct status=none | cksum; }
shared() { attach "$1" "$data" "$anchor" --shared "${@:2}"; }
words() { dmsetup table "$1" | cut -d ' ' -f 7-; }

# ---- who may attach it, and how long that takes ------------------------------------

slices s 64
format "$data" "$anchor" >/dev/null
must "attach as shared for the first time" shared s --settle "$settle"
same "the table says so" "2 shared $settle" "$(words s)"
take_claim
must "detach" detach s
refused "a plain attach" 5 'is shared between hosts: give --shared' \
	ctl attach --key-file "$key" s "$data" "$anchor"
refused "another settle time" 1 "wait for $settle seconds" \
	ctl attach --key-file "$key" s "$data" "$anchor" --shared --settle 1
keyctl padd logon qvault:test @u <"$key" >/dev/null
log_mark
expect_fail "a table that does not say so" dmsetup create s --table \
	"0 8 qvault $data $anchor :64:logon:qvault:test"
expect_logged "a table that does not say so is told why" 'shared between hosts'
dmsetup remove s 2>/dev/null || true
must "for reading only" attach s "$data" "$anchor" --read-only
detach s
start=$(date +%s)
must "attach" shared s
end=$(date +%s)
try "it has waited" [ $((end - start)) -ge "$settle" ]

# ---- a look is worth half of the settle time ------------------------------------------

vault=/dev/mapper/s
fun pattern "$vault" 1 100 60
same "fsync" ok "$(fun sync "$vault" 0)"
put_claim
sleep "$half"
before=$(sums)
expect_fail "write" dd if=/dev/zero of="$vault" bs=4096 count=1 oflag=direct status=none
same "nothing came to the data device" "$before" "$(sums)"
same "it has stopped" taken "$(field s 1)"
expect_logged "it says who" 'another host has claimed the vault'
expect_fail "read" dd if="$vault" of=/dev/null bs=4096 count=1 iflag=direct status=none
detach s || true

# ---- log, nodes and record ---------------------------------------------------------

must "attach" shared s --commit-seconds 0
# Far apart: more entries than a record holds.
for i in {0..200}; do
	fun pattern "$vault" 2 $((i * 50)) 1
done
put_claim
sleep "$half"
before=$(sums)
anchored=$(dd if="$anchor" bs=4096 skip=1 iflag=direct status=none | cksum)
expect_fail "a checkpoint" dmsetup message s 0 checkpoint
same "nothing came to the data device" "$before" "$(sums)"
same "nor to the slots" "$anchored" \
	"$(dd if="$anchor" bs=4096 skip=1 iflag=direct status=none | cksum)"
same "it has stopped" taken "$(field s 1)"
detach s || true
must "attach" shared s
try "all that was acknowledged is there" fun verify "$vault" 1 100 60

# ---- who is told to stop while he waits ------------------------------------------------

detach s
# The program itself, and not a shell that waits for it.
"$QVAULT_CTL" attach --key-file "$key" s "$data" "$anchor" --shared >/run/said 2>&1 &
attacher=$!
sleep 1
kill -TERM "$attacher"
code=0
wait "$attacher" || code=$?
same "a signal ends the wait" 1 "$code"
try "it says so" grep -q interrupted /run/said
try "no device is left" [ ! -e "$vault" ]

# ---- another claim while it waits -------------------------------------------------------

(sleep 1; put_claim) &
refused "another host claims it too" 4 'somebody else attaches it' \
	ctl attach --key-file "$key" s "$data" "$anchor" --shared
wait

# ---- a running vault, and verbs that write its anchor -------------------------------------

must "attach" shared s
refused "a verb for a vault that is not attached" 5 'attached' \
	ctl key change --anchor "$anchor" --key-file "$key" --new-key-file "$key"
must "suspend and resume" ctl suspend s
must "resume" ctl resume s
fun pattern "$vault" 3 10 5
same "fsync" ok "$(fun sync "$vault" 0)"
detach s
head -c 64 /dev/urandom >/run/new.key
start=$(date +%s)
must "another key" ctl key change --anchor "$anchor" --key-file "$key" \
	--new-key-file /run/new.key
try "it has waited" [ $(($(date +%s) - start)) -ge "$settle" ]
cp /run/new.key "$key"
must "attach" shared s
try "all is there" fun verify "$vault" 3 10 5
detach s

# ---- devices that do not see other hosts ---------------------------------------------------

truncate -s 1M /run/anchor
dd if="$anchor" of=/run/anchor bs=1M count=1 conv=notrunc status=none
loop=$(losetup --show --find --direct-io=off /run/anchor)
refused "a loop device without direct I/O" 4 'losetup --direct-io=on' \
	ctl attach --key-file "$key" s "$data" "$loop" --shared
losetup --detach "$loop"
finish
