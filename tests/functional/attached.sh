#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What qvault-ctl does with a vault that is attached: change its key, suspend it with and
# without its key, and keep one moment while it goes on.
# shellcheck disable=SC2016,SC2317 # for inner shells; functions that try and refused call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"
# shellcheck source=tests/functional/refused.sh
. "$QVAULT_TREE/tests/functional/refused.sh"

new=/run/new.key
head -c 64 /dev/urandom >"$new"
cd /tmp

state() {
	dmsetup table
	dmsetup info -c --noheadings -o name,suspended
	grep qvault: /proc/keys || true
	ls /tmp/*.anchor 2>/dev/null || true
}

# Who is let in by mistake changes a vault that is attached, and the next tests show it.
undo() { :; }

key_word() { dmsetup table "$1" | cut -d ' ' -f 6; }
uuid_of() { ctl dump "$1" | sed -n 's/^UUID: *//p'; }
# But for the one that this script puts there by itself.
no_key_is_left() { ! grep qvault: /proc/keys | grep -v ' qvault:test: '; }

disks 5 110
new_vault v 100 --commit-seconds 0
v_data=$data v_anchor=$anchor
fun pattern "$vault" 1 0 2000

# ---- another key ------------------------------------------------------------

refused "key change of no vault" 1 'no vault: ' ctl key change --new-key-file "$new"
refused "of two" 1 'not both ways' ctl key change v --anchor "$v_anchor" --new-key-file "$new"
refused "to no key" 1 'no new key: ' ctl key change v
refused "with the old key" 1 'no meaning for an attached vault' \
	ctl key change v --key-file "$key" --new-key-file "$new"
refused "to the key that it has" 1 'new key is the old one' ctl key change v --new-key-file "$key"
refused "of what is not there" 4 'no vault w is attached' ctl key change w --new-key-file "$new"
refused "to a key that is too short" 1 'only 0 bytes' ctl key change v --new-key-file /dev/null
word=$(key_word v)
try "key change" ctl key change v --new-key-file "$new"
same "the table names it" "$word" "$(key_word v)"
same "as attach would" ":64:logon:qvault:$(uuid_of "$v_anchor")" "$word"
try "no key is left in a keyring" no_key_is_left
try "the anchor is under the new one" ctl dump "$v_anchor" -d "$new"
refused "and under the old one no more" 2 'under another one' ctl dump "$v_anchor" -d "$key"
refused "another key change to it" 1 'new key is the old one' ctl key change v --new-key-file "$new"
try "what was written is there" fun verify "$vault" 1 0 2000
must "detach" detach v
refused "attach with the old key" 2 'wrong key' ctl attach -d "$key" v "$v_data" "$v_anchor"
cp "$key" /run/old.key
cp "$new" "$key"
must "attach with the new one" attach v "$v_data" "$v_anchor" --commit-seconds 0
try "what was written is still there" fun verify "$vault" 1 0 2000

# A table of somebody else's, whose key has another name.
slices t 40
fun addkey
size=$(fun format $((40 * 256)) 64 "$anchor")
must "a table by hand" dm_create t "0 $size qvault $data $anchor :64:logon:qvault:test 1 allow_discards"
fun pattern /dev/mapper/t 2 0 500
epoch=$(field t 2)
try "key change" ctl key change t --new-key-file /run/old.key --json
same "its table names the new key" ":64:logon:qvault:$(uuid_of "$anchor")" "$(key_word t)"
same "and has all else as before" "1 allow_discards" "$(dmsetup table t | cut -d ' ' -f 7-)"
same "it was not attached anew" "$epoch" "$(field t 2)"
try "what was written is there" fun verify /dev/mapper/t 2 0 500
dm_remove t
must "attach it with the new key" ctl attach -d /run/old.key t "$data" "$anchor"
must "detach it" detach t

# ---- suspend and resume -----------------------------------------------------

refused "resume what is not suspended" 1 'v is not suspended' ctl resume v
refused "suspend what is not there" 4 'no vault w is attached' ctl suspend w
try "suspend" ctl suspend v
same "it is" Suspended "$(dmsetup info -c --noheadings -o suspended v)"
try "status" ctl status v
refused "suspend again" 1 'v is suspended already' ctl suspend v
refused "key change meanwhile" 1 'is suspended: no change of its key' ctl key change v --new-key-file /run/old.key
refused "snapshot meanwhile" 1 'is suspended: no snapshot' ctl snapshot v --output x.anchor --run true
try "resume" ctl resume v
same "it is" Active "$(dmsetup info -c --noheadings -o suspended v)"

fun pattern "$vault" 3 5000 300
try "suspend, and wipe the key" ctl suspend v --wipe-key
refused "resume without a key" 2 'key of v was wiped: give --key-file' ctl resume v
refused "resume with another key" 2 'wrong key for the vault v' ctl resume v --key-file /run/old.key
refused "resume with no key" 1 'only 0 bytes' ctl resume v --key-file /dev/null
try "resume with its key" ctl resume v --key-file "$key"
try "no key is left in a keyring" no_key_is_left
try "what was written is there" fun verify "$vault" 1 0 2000
try "all of it" fun verify "$vault" 3 5000 300
try "suspend" ctl suspend v
try "and wipe the key later" ctl suspend v --wipe-key
try "resume with its key" ctl resume v --key-file "$key"
fun pattern "$vault" 4 5000 300
try "commit" ctl commit v
try "suspend" ctl suspend v
try "a key that was not wiped does no harm" ctl resume v --key-file "$key"
try "what was written is there" fun verify "$vault" 4 5000 300

new_disk
must "an ephemeral vault" ctl attach --ephemeral e "$disk" --force
owns e
fun pattern /dev/mapper/e 5 0 100
refused "its key is not wiped" 1 'could not be brought back' ctl suspend e --wipe-key
refused "nor changed" 1 'e is ephemeral: no change of its key' ctl key change e --new-key-file "$key"
refused "nor is there a snapshot" 1 'e is ephemeral: no snapshot' ctl snapshot e --output x.anchor --run true
try "suspend it" ctl suspend e
refused "resume it with a key" 1 'no meaning for an ephemeral' ctl resume e --key-file "$key"
try "resume it" ctl resume e
try "what was written is there" fun verify /dev/mapper/e 5 0 100
must "detach it" detach e

# ---- a moment that stays ----------------------------------------------------

snapshot() { ctl snapshot v --output s.anchor "$@"; }
released() { rm -f r.anchor && ctl snapshot v --output r.anchor --run true && rm r.anchor; }

refused "snapshot without a file" 1 'no file for the record' ctl snapshot v --run true
refused "without a command" 1 'no command: ' snapshot
refused "without a word of it" 1 'no command: ' snapshot --run
refused "in no time" 1 '--timeout 0: give a whole number' snapshot --timeout 0 --run true
refused "into a directory that is not there" 4 'cannot make nowhere/s: No such file' ctl snapshot v --output nowhere/s --run true
echo precious >there
refused "over a file" 5 'cannot make there: File exists' ctl snapshot v --output there --run true
same "which stays" precious "$(<there)"
refused "of what is not there" 4 'no vault w is attached' ctl snapshot w --output s.anchor --run true
refused "by a command that is not there" 1 'cannot run nosuchcommand: No such file' snapshot --run nosuchcommand
try "nothing is held" released
refused "by a command that fails" 6 'no snapshot of v: sh failed with exit code 3' snapshot --run sh -c 'exit 3'
try "nothing is held" released
refused "by one that is killed" 6 'sh was ended by signal 9' snapshot --run sh -c 'kill -9 $$'
try "nothing is held" released
began=$SECONDS
refused "by one that takes too long" 6 'sleep took more than 1 seconds, and was ended' snapshot --timeout 1 --run sleep 1234
try "it is ended long before its own end" test $((SECONDS - began)) -lt 120
expect_fail "and gone" pgrep -f 'sleep 1234'
try "nothing is held" released
refused "that a writer ends" 6 'writes needed the room' snapshot --run "$QVAULT_CTL" checkpoint v
try "nothing is held" released
expect_fail "one in another" snapshot --run "$QVAULT_CTL" snapshot v --output r.anchor --run true
expect_said "is refused" 'another snapshot of v is being made'
expect_fail "and leaves no file" ls s.anchor r.anchor
try "nothing is held" released

"$QVAULT_CTL" snapshot v --output s.anchor --run sleep 1234 2>err &
sleep 2
try "it runs" pgrep -f 'sleep 1234'
status=0
kill $!
wait $! || status=$?
same "interrupted" 6 $status
try "it says so" grep -q 'interrupted: no snapshot of v, and sleep was ended' err
expect_fail "its command is gone" pgrep -f 'sleep 1234'
expect_fail "and its file" ls s.anchor
try "nothing is held" released

# The moment is that of the hold: what the command itself writes there is not in it.
slices copy 100
cat "$v_data" >/dev/null
fun pattern "$vault" 6 0 3000
cat >copy.sh <<-'END'
	set -e
	[ "$QVAULT_DATA $QVAULT_RECORD" = "/dev/mapper/v-data s.anchor" ]
	[ -s "$QVAULT_RECORD" ]
	if read -r word; then exit 9; fi
	dd "if=$QVAULT_DATA" "of=$2" bs=1M count=50 status=none
	"$FUNCTIONAL" pattern "$1" 7 0 1500
	"$QVAULT_CTL" commit v
	dd "if=$QVAULT_DATA" "of=$2" bs=1M skip=50 seek=50 status=none
	echo "what the command says"
END
ctl snapshot v --json --output s.anchor --run -- sh copy.sh "$vault" "$data" >json 2>err ||
	fail "snapshot" "$(<err)"
try "snapshot, as JSON" python3 -c '
import json, sys
d = json.load(open("json"))
sys.exit(not (d["name"] == "v" and d["anchor"] == "s.anchor" and
	      d["data"] == "/dev/mapper/v-data" and d["sequence"] > 0))'
same "what the command says goes elsewhere" "what the command says" "$(<err)"
same "its anchor is as large as an anchor" 1048576 "$(stat -c %s s.anchor)"
same "and for nobody else" 600 "$(stat -c %a s.anchor)"
try "it verifies" ctl dump s.anchor -d "$key"
try "what came later is in the vault" fun verify "$vault" 7 0 1500
dd if=s.anchor "of=$anchor" bs=1M oflag=direct status=none
must "attach the copy beside it" attach w "$data" "$anchor" --read-only
try "and not in the copy" fun verify /dev/mapper/w 6 0 3000
same "nothing is wrong there" 0 "$(field w 15)"
must "detach it" detach w
w_data=$data w_anchor=$anchor
slices c 100
dd "if=$w_data" "of=$data" bs=1M oflag=direct status=none
refused "a clone with a key of its own, of which the vault knows nothing" 5 'already attached, as v' \
	ctl clone --anchor s.anchor --new-data "$data" --new-anchor "$anchor" -d "$key" --new-key-file /run/old.key
must "make another copy a clone" ctl clone --anchor s.anchor --new-data "$data" --new-anchor "$anchor" -d "$key"
must "attach that beside it" attach c "$data" "$anchor"
try "it has the same contents" fun verify /dev/mapper/c 6 0 3000
fun pattern /dev/mapper/c 9 0 3000
try "and then its own" fun verify /dev/mapper/c 9 0 3000
try "which are not the vault's" fun verify "$vault" 7 0 1500
must "detach it" detach c

# All of that at once, and the vault goes on under keys that the clone's holder has not.
clone() {
	local status=0
	ctl clone --new-data "$data" --new-anchor "$anchor" --new-key-file /run/old.key "$@" 2>/tmp/warned || status=$?
	grep -v 'qvault-ctl: warning: ' /tmp/warned >&2
	return "$status"
}
copying=(--force --batch-mode --run dd "if=$v_data" "of=$data" bs=1M status=none)
refused "a clone of it without a command" 1 'no command that copies' clone v -d "$key"
refused "by name and by anchor" 1 'not both ways' clone v --anchor "$v_anchor" -d "$key" "${copying[@]}"
refused "a command for one that is not attached" 1 'no meaning for a vault that is not attached' \
	clone --anchor s.anchor -d "$key" "${copying[@]}"
refused "with a wrong key" 2 'wrong key for the vault v; nothing was changed' clone v -d /run/old.key "${copying[@]}"
refused "over what is in use" 5 'is in use' ctl clone v -d "$key" --new-data "$data" --new-anchor "$v_anchor" "${copying[@]}"
refused "over another vault" 5 'holds the vault .*--force' clone v -d "$key" --run true
same "nothing has changed" 1 "$(field v 21 | tr , '\n' | wc -l)"
refused "by a command that copies nothing" 6 'no clone of v: false failed with exit code 1' \
	clone v -d "$key" --force --batch-mode --run false
try "nothing is held" released
same "but the vault seals under new keys" "0,1" "$(field v 21)"
refused "by one that copies something else" 4 'does not hold' \
	clone v -d "$key" --force --batch-mode --run dd if=/dev/zero "of=$data" bs=1M count=50 status=none
must "a clone of the vault in use, with a key of its own" clone v -d "$key" "${copying[@]}"
fun pattern "$vault" 11 0 1500
must "attach it beside the vault" ctl attach -d /run/old.key c "$data" "$anchor"
owns c
try "it has the contents of that moment" fun verify /dev/mapper/c 7 0 1500
same "each seals under a new generation; one that sealed nothing was dropped" "1 0,1,2 1 0,1,2" \
	"$(field v 20) $(field v 21) $(field c 20) $(field c 21)"
try "and what comes later is the vault's" fun verify "$vault" 11 0 1500
fun pattern "$vault" 7 0 1500
must "detach it" detach c
must "detach the vault" detach v
data=$w_data anchor=$w_anchor
must "attach the copy alone" attach w "$data" "$anchor"
try "it is a vault" fun verify /dev/mapper/w 6 0 3000
fun pattern /dev/mapper/w 8 0 3000
must "detach it" detach w

# ---- a file system in use -----------------------------------------------------

must "attach the vault again" attach v "$v_data" "$v_anchor"
mke2fs -q -t ext4 "$vault"
mounted "$vault" /tmp/mnt -t ext4
head -c 2000000 /dev/urandom >/tmp/mnt/before
sync
cp /tmp/mnt/before before
rm s.anchor
dd if=/dev/urandom of=/tmp/mnt/later bs=4k count=100 oflag=dsync status=none &
writer=$!
try "snapshot while files are written" snapshot --run dd "if=$v_data" "of=$w_data" bs=1M status=none
try "the writer has noticed nothing" wait $writer
must "make the copy a clone" ctl clone --anchor s.anchor --new-data "$w_data" --new-anchor "$w_anchor" \
	-d "$key" --force --batch-mode
must "attach that beside it" attach c "$w_data" "$w_anchor"
mounted /dev/mapper/c /tmp/mnt2 -t ext4
try "it has the files" cmp before /tmp/mnt2/before
umount /tmp/mnt2
try "and is whole" e2fsck -fn /dev/mapper/c
must "detach it" detach c

try "suspend it while it is mounted, and wipe the key" ctl suspend v --wipe-key
sh -c 'echo patience >/tmp/mnt/waits && sync' &
writer=$!
sleep 1
try "who writes waits" kill -0 $writer
try "resume" ctl resume v --key-file "$key"
try "and he has written" wait $writer
same "what he wanted" patience "$(</tmp/mnt/waits)"
umount /tmp/mnt
try "suspend it, and wipe the key" ctl suspend v --wipe-key
try "detach it without one" ctl detach v
must "attach it" attach v "$v_data" "$v_anchor"
mounted "$vault" /tmp/mnt -t ext4
same "nothing was lost" patience "$(</tmp/mnt/waits)"
umount /tmp/mnt
must "detach it" detach v
must "attach read-only" attach v "$v_data" "$v_anchor" --read-only
refused "nor a snapshot of one that is read-only" 1 'v is read-only: no snapshot' ctl snapshot v --output r.anchor --run true
must "detach" detach v
finish
