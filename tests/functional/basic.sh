#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The table line, the tool's counterpart in dmsetup, messages, counters, and all
# that must be refused.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 8 256
new_disk
linear smoke-data "$disk" 0 $((64 * 2048))
linear smoke-anchor "$disk" $((64 * 2048)) 2048
must "smoke" sh "$QVAULT_TREE/tests/functional/smoke.sh" \
	/dev/mapper/smoke-data /dev/mapper/smoke-anchor

# ---- the table line ---------------------------------------------------------

new_vault table 64 --allow-discards --memory-mib 16 --commit-seconds 2
line=$(dmsetup table table)
if [[ $line =~ \ qvault\ [0-9:]+\ [0-9:]+\ :64:(logon|user):qvault:[^\ ]+\ 5\ allow_discards\ memory_mib\ 16\ commit_seconds\ 2$ ]]; then
	pass "the table line names the key and not its bytes"
else
	fail "the table line names the key and not its bytes" "$line"
fi
try "write" fun pattern "$vault" 1 0 512
detach table
# The tool's key is gone with it, so the round trip has one of its own.
fun addkey
linear tt-anchor "$disk" $((65 * 2048)) 2048
size=$(fun format $((64 * 256)) 64 /dev/mapper/tt-anchor)
for options in "" "1 allow_discards" "2 memory_mib 8" "4 commit_seconds 0 memory_mib 100" \
	"5 allow_discards memory_mib 9 commit_seconds 77" "1 read_only"; do
	table="0 $size qvault $(stat -Lc '%Hr:%Lr' "$data") $(stat -Lc '%Hr:%Lr' /dev/mapper/tt-anchor) :64:logon:qvault:test${options:+ $options}"
	must "create with options '$options'" dm_create tt "$table"
	printed=$(dmsetup table tt)
	dm_remove tt
	must "its own table loads again" dm_create tt "$printed"
	same "and prints the same" "$printed" "$(dmsetup table tt)"
	dm_remove tt
done

# The same volume by a key of another type.
for ((i = 0; i < 64; i++)); do
	printf '%b' "\\x$(printf %02x $(((3 * i + 1) % 256)))"
done >/run/user.key
serial=$(keyctl padd user qvault-user @u </run/user.key)
must "a key of type user" dm_create tt "0 $size qvault $(stat -Lc '%Hr:%Lr' "$data") $(stat -Lc '%Hr:%Lr' /dev/mapper/tt-anchor) :64:user:qvault-user"
dm_remove tt
keyctl revoke "$serial"
expect_fail "a key that was revoked" dmsetup create tt --table "0 $size qvault $(stat -Lc '%Hr:%Lr' "$data") $(stat -Lc '%Hr:%Lr' /dev/mapper/tt-anchor) :64:user:qvault-user"
if [ -e /dev/mapper/tt ]; then dmsetup remove tt; fi
head -c 63 /run/user.key | keyctl padd user qvault-short @u >/dev/null
expect_fail "a key of 63 bytes" dmsetup create tt --table "0 $size qvault $(stat -Lc '%Hr:%Lr' "$data") $(stat -Lc '%Hr:%Lr' /dev/mapper/tt-anchor) :64:user:qvault-short"
if [ -e /dev/mapper/tt ]; then dmsetup remove tt; fi

# ---- what must be refused ---------------------------------------------------

good="$(stat -Lc '%Hr:%Lr' "$data") $(stat -Lc '%Hr:%Lr' /dev/mapper/tt-anchor)"
refused() {
	local name=$1
	shift
	expect_fail "$name" dmsetup create bad --table "$*"
	if [ -e /dev/mapper/bad ]; then dmsetup remove bad; fi
}
refused "no arguments" "0 $size qvault"
refused "no key" "0 $size qvault $good"
refused "key in clear" "0 $size qvault $good $(printf 'ab%.0s' {1..64})"
refused "key of 32 bytes" "0 $size qvault $good :32:logon:qvault:test"
refused "unknown key type" "0 $size qvault $good :64:asymmetric:qvault:test"
refused "unknown key" "0 $size qvault $good :64:logon:qvault:nobody"
refused "unknown option" "0 $size qvault $good :64:logon:qvault:test 1 fast"
refused "option without its value" "0 $size qvault $good :64:logon:qvault:test 1 memory_mib"
refused "value out of range" "0 $size qvault $good :64:logon:qvault:test 2 memory_mib 0"
refused "value with a tail" "0 $size qvault $good :64:logon:qvault:test 2 memory_mib 16x"
refused "too many options" "0 $size qvault $good :64:logon:qvault:test 3 allow_discards"
refused "too few options" "0 $size qvault $good :64:logon:qvault:test 0 allow_discards"
refused "longer than the volume" "0 $((size + 8)) qvault $good :64:logon:qvault:test"
refused "half a block" "0 $((size - 4)) qvault $good :64:logon:qvault:test"
refused "no such device" "0 $size qvault 99:99 ${good#* } :64:logon:qvault:test"
refused "data is the anchor" "0 $size qvault ${good#* } ${good#* } :64:logon:qvault:test"
refused "an anchor of zeros" "0 $size qvault ${good% *} $(stat -Lc '%Hr:%Lr' /dev/ram7) :64:logon:qvault:test"
refused "an ephemeral vault with a key" "0 $size qvault ${good% *} - :64:logon:qvault:test"
refused "a key that nobody has for an anchor" "0 $size qvault $good -"

table="0 $size qvault $good :64:logon:qvault:test"
must "create" dm_create one "$table"
expect_fail "two vaults on one anchor" dmsetup create two --table "$table"
[ ! -e /dev/mapper/two ] || dmsetup remove two
exec 5</dev/mapper/one
expect_fail "remove while somebody has it open" dmsetup remove one
exec 5<&-
try "remove when nobody has" dm_remove one

# ---- messages and counters --------------------------------------------------

attach table "$data" "$anchor"
vault=/dev/mapper/table
same "mode" write "$(field table 1)"
epoch=$(field table 2)
before=$(field table 14)
fun pattern "$vault" 3 1000 300
try "message commit" dmsetup message table 0 commit
try "message checkpoint" dmsetup message table 0 checkpoint
try "a checkpoint was made" test "$(field table 14)" -gt "$before"
same "the log is empty after it" 0 "$(field table 6 | cut -d / -f 1)"
same "mapped blocks" 812 "$(field table 5 | cut -d / -f 1)"
expect_fail "unknown message" dmsetup message table 0 make-coffee
expect_fail "message with a tail" dmsetup message table 0 commit now
same "blocks written" 300 "$(field table 8)"
fun verify "$vault" 3 1000 300
same "blocks read" 300 "$(field table 7)"
same "no corruption seen" 0 "$(field table 15)"
again table
try "every attach has an epoch of its own" test "$(field table 2)" -gt "$epoch"
try "what was written is there" fun verify "$vault" 1 0 512

# ---- read-only --------------------------------------------------------------

detach table
sum=$(sha256sum <"$data")
sum_anchor=$(sha256sum <"$anchor")
must "attach read-only" attach table "$data" "$anchor" --read-only
same "mode" read-only "$(field table 1)"
try "reading" fun verify "$vault" 3 1000 300
same "writing is refused" no "$(dd if=/dev/zero of="$vault" bs=4096 count=1 oflag=direct 2>/dev/null && echo yes || echo no)"
detach table
same "nothing was written to the data" "$sum" "$(sha256sum <"$data")"
same "nothing was written to the anchor" "$sum_anchor" "$(sha256sum <"$anchor")"

# ---- odd I/O ----------------------------------------------------------------

attach table "$data" "$anchor"
try "buffers at odd addresses, requests beside blocks" fun odd "$vault"
same "logical block size" 4096 "$(blockdev --getss "$vault")"
sync_first=$(fun sync "$vault" 0)
same "fsync" ok "$sync_first"
before=$(block_stat "$anchor")
try "flush with nothing to flush" fun flushes "$vault" 20
same "costs nothing" "$before" "$(block_stat "$anchor")"
same "reading past the end" EIO "$(fun read "$vault" "$(($(sectors "$vault") / 8))")"

# ---- no key anywhere --------------------------------------------------------

hex=$(od -An -tx1 "$key" | tr -d ' \n')
try "no key in the kernel's log, the table or the status" sh -c "
	! { dmesg; dmsetup table --showkeys; dmsetup status; } | tr -d ' ' | grep -qi '${hex:0:16}'"
finish
