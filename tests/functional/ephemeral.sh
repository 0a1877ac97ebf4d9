#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Ephemeral vaults that begin with the record of another one, which is attached or not,
# and finds itself as it was.
# shellcheck disable=SC2016,SC2317 # for inner shells; functions that try and refused call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"
# shellcheck source=tests/functional/refused.sh
. "$QVAULT_TREE/tests/functional/refused.sh"

need dm-snapshot
cd /tmp

state() {
	dmsetup table
	grep qvault: /proc/keys || true
	losetup -a
}
undo() { for name in e f; do "$QVAULT_CTL" detach $name 2>/dev/null || true; done; }

ephemeral() {
	local name=$1
	shift
	ctl attach --ephemeral --key-file "$key" "$name" "$@" && owns "$name"
}
json() {
	"$QVAULT_CTL" status "$1" --json >json
	try "$2" python3 -c "import json, sys
d = json.load(open('json'))
sys.exit(not ($3))"
}
both() { cat "$v_data" "$v_anchor" | sha256sum; }
# Whatever a private copy takes is gone: neither devices nor nodes nor loop devices.
nothing_left() {
	! dmsetup ls | grep -- '-cow' && ! ls /dev/mapper/*-cow 2>/dev/null && [ -z "$(losetup -a)" ]
}

disks 8 70
slices v 48
v_data=$data v_anchor=$anchor vault=/dev/mapper/v
format --size 32M "$data" "$anchor" >/dev/null
must "attach" attach v "$data" "$anchor" --commit-seconds 0
fun pattern "$vault" 1 0 2000
must "a checkpoint" ctl checkpoint v
must "new keys" dmsetup message v 0 generation hmac-sha256
fun pattern "$vault" 2 1500 1000
same "what only the log has is durable" ok "$(fun sync "$vault" 0)"
new_disk
store=$disk
truncate -s 32M file

# ---- what is not asked for like that ------------------------------------------

refused "on a record, and nobody says where to write" 1 'would be lost: give --cow' ephemeral e "$v_data" "$v_anchor"
refused "in two places" 1 'give one of them' ephemeral e "$v_data" "$v_anchor" --cow file --data-is-a-copy
refused "a copy that is not named" 1 'name the copy' ephemeral e --anchor "$v_anchor" --data-is-a-copy
refused "elsewhere, without an anchor" 1 'no meaning but with --ephemeral and an anchor' \
	ctl attach --ephemeral e "$store" --cow file
refused "elsewhere, for good" 1 'no meaning but with --ephemeral' attach e "$v_data" "$v_anchor" --cow file
refused "for reading" 1 'no meaning for an ephemeral' ephemeral e "$v_data" "$v_anchor" --cow file --read-only
refused "another MAC than the record's" 1 'which says it' ephemeral e "$v_data" "$v_anchor" --cow file --mac nhpoly-aes
refused "another size" 1 'which says it' ephemeral e "$v_data" "$v_anchor" --cow file --size 4M
refused "with a wrong key" 2 'wrong key' ctl attach --ephemeral e "$v_data" "$v_anchor" --cow file --key-file <(head -c 64 /dev/zero)
refused "over a vault that is written to" 5 'data device .* is in use by v, which may write.*snapshot' \
	ephemeral e "$v_data" "$v_anchor" --cow file
refused "on its own data" 5 'is in use' ephemeral e "$v_data" "$v_anchor" --data-is-a-copy
slices c 48
c_data=$data c_anchor=$anchor
refused "with an anchor that is written to" 5 'anchor device .* is in use by v' \
	ephemeral e "$c_data" "$v_anchor" --data-is-a-copy
# by_hand NAME WHY [DMSETUP_ARG...]: the kernel does not take such a table either.
keyctl padd user x @u <"$key" >/dev/null
head -c 64 /dev/urandom | keyctl padd user z @u >/dev/null
by_hand() {
	local name=$1 why=$2
	shift 2
	log_mark
	expect_fail "$name, by hand" dmsetup create e "$@"
	expect_logged "$name, by hand: and told why" "$why"
	dmsetup remove e 2>/dev/null || true
}
by_hand "with an anchor that is written to" 'in use by another vault' \
	--table "0 65536 qvault $c_data $v_anchor :64:user:x 1 ephemeral"
by_hand "for reading" 'cannot be read-only' --readonly \
	--table "0 65536 qvault $c_data $c_anchor :64:user:x 1 ephemeral"
by_hand "on one device" 'are the same device' \
	--table "0 65536 qvault $c_data $c_data :64:user:x 1 ephemeral"

# ---- beside the vault, on a copy of one moment ---------------------------------

must "a copy of one moment" ctl snapshot v --output s.anchor --run dd "if=$v_data" "of=$c_data" bs=1M status=none
dd if=s.anchor "of=$c_anchor" bs=1M oflag=direct status=none
fun pattern "$vault" 3 0 500
before=$(sha256sum <"$c_anchor")
must "an ephemeral vault on it, beside the vault" ephemeral e "$c_data" "$c_anchor" --data-is-a-copy
same "its table says so" "1 ephemeral" "$(dmsetup table e | cut -d ' ' -f 7-)"
same "its UUID is no vault's" "QVAULT-$(ctl dump "$c_anchor" | sed -n 's/^UUID: *//p')_EPHEMERAL-e" \
	"$(dmsetup info -c --noheadings -o uuid e)"
e_anchor=$(dmsetup table e | cut -d ' ' -f 5)
same "it stands on one device only" c-data "$(dmsetup info -c --noheadings -o devs_used e | tr -d " ")"
must "so its anchor can go" dm_remove c-anchor
try "it holds what the vault held" fun verify /dev/mapper/e 1 0 1500
try "also what only the log had" fun verify /dev/mapper/e 2 1500 1000
fun pattern /dev/mapper/e 4 1000 3000
try "and what is written there" fun verify /dev/mapper/e 4 1000 3000
try "a checkpoint" ctl checkpoint e
try "suspend" ctl suspend e
try "resume" ctl resume e
try "all is there" fun verify /dev/mapper/e 4 1000 3000
try "and what was there before" fun verify /dev/mapper/e 1 0 1000
json e "status" 'd["ephemeral"] and d["anchor"] is None and d["uuid"] and d["mode"] == "write" and
	d["generations"] == [0, 1, 8] and d["seal"] == 8 and d["private_copy"] is None and d["corruptions"] == 0'
try "in words" ctl status e
expect_said "which say what seals" 'generations in use: +0, 1, 8; 8 seals new blocks, and is in memory only'
expect_said "and where it comes from" 'began as vault: +[0-9a-f-]*$'
refused "no snapshot of it" 1 'e is ephemeral: no snapshot' ctl snapshot e --output x --run true
refused "no other key" 1 'e is ephemeral: no change of its key' ctl key change e --new-key-file "$key"
refused "its keys would be lost" 1 'could not be brought back' ctl suspend e --wipe-key
expect_fail "no new generation" dmsetup message e 0 generation hmac-sha256
try "it grows" ctl resize e --key-file "$key" --size 36M
same "to that" 73728 "$(sectors /dev/mapper/e)"
fun pattern /dev/mapper/e 5 8300 500
try "and holds what it held" fun verify /dev/mapper/e 4 1000 3000
try "and more" fun verify /dev/mapper/e 5 8300 500
# reload NAME WHY TABLE
reload() {
	log_mark
	expect_fail "$1" dmsetup load e --table "0 65536 qvault $3"
	expect_logged "$1: and told why" "$2"
}
reload "a table without its record" 'began with a record' "$c_data - -"
reload "one of another vault" 'not ephemeral|is ephemeral' "$c_data /dev/ram0 :64:user:x"
reload "one with another key" 'has another key' "$c_data 1:99 :64:user:z 1 ephemeral"
must "one that names an anchor that is gone" dmsetup load e --table "0 65536 qvault $c_data 1:99 :64:user:x 1 ephemeral"
must "as it does not look at it" dmsetup resume e
same "it says where it has been" "$(dmsetup table e | cut -d ' ' -f 5)" "$e_anchor"
json v "the vault" 'd["generations"] == [0, 1] and d["seal"] == 1 and d["anchor_slots"] == 2 and
	d["versions_left"] > 1 << 62'
fun pattern "$vault" 6 500 500
must "detach" detach e
linear c-anchor "/dev/ram$((next_disk - 1))" $((48 * 2048)) 2048
same "its anchor was not touched" "$before" "$(sha256sum <"$c_anchor")"
try "the vault goes on" fun verify "$vault" 3 0 500
try "with what was written meanwhile" fun verify "$vault" 6 500 500
try "and before" fun verify "$vault" 2 1500 1000
# What it has written is sealed with a secret that nobody has; what it has overwritten is gone.
if attach w "$c_data" "$c_anchor" --read-only 2>err; then
	same "nothing that it wrote is read" "0" "$(fun judge /dev/mapper/w 4 1000 3000 | sed 's/ .*//')"
	detach w
else
	try "what it has left is no vault" grep -q 'not what the anchor .* vouches for' err
fi
must "detach the vault" detach v

# ---- beside others, on a private copy -------------------------------------------

before=$(both)
must "on a private copy in a file" ephemeral e "$v_data" "$v_anchor" --cow file
must "another, on a device" ephemeral f --anchor "$v_anchor" --data "$v_data" --cow "$store"
refused "nobody writes to the vault meanwhile" 5 'data device .* is in use' attach v "$v_data" "$v_anchor"
must "but it may be read" attach v "$v_data" "$v_anchor" --read-only
for name in e f v; do
	try "$name holds what the vault holds" fun verify /dev/mapper/$name 6 500 500
done
fun pattern /dev/mapper/e 7 0 2000
fun pattern /dev/mapper/f 8 0 2000
try "each has its own" fun verify /dev/mapper/e 7 0 2000
try "contents" fun verify /dev/mapper/f 8 0 2000
try "beside what they share" fun verify /dev/mapper/f 2 2000 500
try "status" ctl status e
expect_said "tells of the private copy" 'private copy: +[0-9.]+ MiB \([0-9]* bytes\) of 32.0 MiB'
json f "as JSON" 'd["private_copy"]["size"] == 70 << 20 and 8000000 < d["private_copy"]["used"] < 9500000'
refused "a private copy of that name" 5 'e-cow exists already' ephemeral e-cow "$v_data" "$v_anchor" --cow file
must "detach" detach v
must "detach" detach e
must "remove the other by hand" dmsetup remove f
udevless() { dmsetup mknodes; sleep 1; dmsetup mknodes; }
udevless
try "their private copies are gone" nothing_left
same "data and anchor are as they were" "$before" "$(both)"
must "once more, in the file of before" ephemeral e "$v_data" "$v_anchor" --cow file
try "nothing of the last time is there" fun verify /dev/mapper/e 6 500 500
exec 7<>/dev/mapper/e
try "detach it deferred" ctl detach --deferred e
exec 7<&-
udevless
try "its private copy is gone with it" nothing_left

refused "into the data device" 4 "own data device" ephemeral e "$v_data" "$v_anchor" --cow "$v_data"
refused "into the anchor" 4 "own anchor device" ephemeral e "$v_data" "$v_anchor" --cow "$v_anchor"
refused "into nothing" 4 'neither a block device' ephemeral e "$v_data" "$v_anchor" --cow /dev/null
: >none
refused "into an empty file" 4 'is empty' ephemeral e "$v_data" "$v_anchor" --cow none
mke2fs -q -t ext4 "$store"
refused "over a file system" 5 'holds ext4 .*--force' ephemeral e "$v_data" "$v_anchor" --cow "$store"
must "over it by force" ephemeral e "$v_data" "$v_anchor" --cow "$store" --force
must "detach" detach e
refused "with a name that leaves no room for another" 1 'at most 117 characters' \
	ephemeral "$(printf 'x%.0s' {1..118})" "$v_data" "$v_anchor" --cow file
must "a private copy that is too small" truncate -s 2M small
must "attach" ephemeral e "$v_data" "$v_anchor" --cow small
fun pattern /dev/mapper/e 7 0 2000 2>/dev/null || true
try "status" ctl status e
expect_said "says that it is full" 'private copy: +full: reads and writes fail'
expect_fail "what it wrote is gone" fun verify /dev/mapper/e 7 0 2000
ctl detach e || true
try "nothing is left" nothing_left
dm_create half "0 1024 linear $v_anchor 0
1024 1024 error"
must "one slot that cannot be read" ephemeral e "$v_data" /dev/mapper/half --cow file
must "detach" detach e
dm_remove half
blockdev --setro "$(readlink -f "$v_data")"
blockdev --setro "$(readlink -f "$v_anchor")"
must "devices that are read-only" ephemeral e "$v_data" "$v_anchor" --cow file
try "do" fun verify /dev/mapper/e 6 500 500
must "detach" detach e
blockdev --setrw "$(readlink -f "$v_data")"
blockdev --setrw "$(readlink -f "$v_anchor")"
same "data and anchor are as they were" "$before" "$(both)"
try "nothing is left" nothing_left

epoch=$(ctl dump "$v_anchor" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["epoch"])')
must "attach the vault" attach v "$v_data" "$v_anchor"
same "it has not heard of any of them" $((epoch + 1)) "$(field v 2)"
try "it holds what it held" fun verify "$vault" 6 500 500
try "all of it" fun verify "$vault" 2 1500 1000
same "nothing is wrong" 0 "$(field v 15)"
must "detach" detach v

# A disposable machine's own: the whole data device is a copy that nobody needs.
dd "if=$v_data" "of=$c_data" bs=1M status=none
must "on a copy, with the vault's own anchor" ephemeral e "$c_data" "$v_anchor" --data-is-a-copy
must "and the vault beside it" attach v "$v_data" "$v_anchor"
fun pattern /dev/mapper/e 9 0 2000
fun pattern "$vault" 10 0 2000
try "each has its own" fun verify /dev/mapper/e 9 0 2000
try "contents" fun verify "$vault" 10 0 2000
must "detach" detach e
must "detach" detach v

# ---- of a size -------------------------------------------------------------------

refused "empty, larger than it can be" 4 'takes a vault of at most' ctl attach --ephemeral e "$c_data" --force --size 99M
must "empty, of a size" ctl attach --ephemeral e "$c_data" --force --size 8M
same "has it" 16384 "$(sectors /dev/mapper/e)"
must "detach" detach e
finish
