#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# scrub, repair and reencrypt: passes over a whole vault that is in use.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 1 210
slices d 200
format --log-blocks 64 "$data" "$anchor" >/dev/null
vault=/dev/mapper/d
attach_d() { attach d "$data" "$anchor"; }
message() { dmsetup message d 0 "$@"; }
# json VERB FIELD: of its status.
json() { ctl "$1" status d --json | sed -nE "s/^ *\"$2\": *\"?([^\",]*)\"?,?$/\1/p"; }
generations() { ctl status d --json | tr -d ' \n' | sed -nE 's/.*"generations":(\[[^]]*\]|[0-9]+).*/\1/p'; }
# code N COMMAND...: its exit code.
code() {
	local wanted=$1 is=0
	shift
	"$@" >/tmp/out 2>/tmp/err || is=$?
	same "exit code of: $*" "$wanted" "$is"
}

must "attach" attach_d
fun pattern "$vault" 1 0 20000
fun pattern "$vault" 2 35000 1000

# ---- what is refused ---------------------------------------------------------

code 1 ctl scrub d
code 1 ctl scrub begin d
code 1 ctl scrub start d --rate 0
code 1 ctl scrub stop d
code 4 ctl scrub status nothing
log_mark
expect_fail "a rate that is none" message walk scrub fast
expect_logged "and told why" 'the rate of a walk'

# ---- scrub -------------------------------------------------------------------

code 0 ctl scrub start d --wait
same "all was verified" 21000 "$(json scrub blocks_verified)"
same "nothing is bad" 0 "$(json scrub blocks_bad)"
same "nothing is under way" null "$(json scrub under_way)"
same "all of it" true "$(json scrub complete)"

# With a limit: it goes on after an attach, and users are served.
code 0 ctl scrub start d --rate 8
sleep 1
same "it is under way" scrub "$(json scrub under_way)"
code 5 ctl reencrypt start d
must "detach" detach d
must "attach" attach_d
same "it goes on" scrub "$(json scrub under_way)"
try "what is written meanwhile" fun pattern "$vault" 3 100 50
try "is there" fun verify "$vault" 3 100 50
code 0 ctl scrub stop d
same "it has stopped" null "$(json scrub under_way)"
same "and is not complete" false "$(json scrub complete)"
code 0 ctl scrub status d --wait

# Who waits for one that somebody stops is not told that all is well.
code 0 ctl scrub start d --rate 8
ctl scrub status d --wait 2>/tmp/err &
waiter=$! is=0
sleep 1
must "stop it" ctl scrub stop d
wait "$waiter" || is=$?
same "exit code of who waited" 6 "$is"
said() { grep -c "$1" /tmp/err || :; }
same "it says so" 1 "$(said "did not come to its end")"

# While it is suspended nothing goes on, and nothing is lost.
code 0 ctl scrub start d --rate 8
must "suspend" ctl suspend d
must "resume" ctl resume d
same "it goes on" scrub "$(json scrub under_way)"
code 0 ctl scrub stop d

# ---- reencrypt ---------------------------------------------------------------

before=$(generations)
code 0 ctl reencrypt start d --mac nhpoly-aes --wait
same "all was sealed anew" 21000 "$(json reencrypt blocks_sealed_anew)"
must "a checkpoint" message checkpoint
if [ "$before" != "$(generations)" ]; then
	pass "another generation: $(generations)"
else
	fail "another generation" "still $before"
fi
try "all is there" fun verify "$vault" 1 1000 19000
try "all is there" fun verify "$vault" 2 35000 1000
must "detach" detach d
must "attach" attach_d
try "all is there" fun verify "$vault" 1 1000 19000

# New keys that were begun and not ended fill the record; a pass empties it again.
for i in 1 2 3 4 5 6 7 8; do
	message generation hmac-sha256 2>/dev/null || break
	fun pattern "$vault" 1 $((1000 + i * 200)) 100
	message checkpoint
done
code 0 ctl reencrypt start d --wait
same "it warns" 1 "$(said "no room for more")"
same "all is sealed anew" true "$(json reencrypt complete)"
must "a checkpoint" message checkpoint
code 0 ctl reencrypt start d --wait
same "there is room again" 0 "$(said "no room for more")"

# ---- damage ------------------------------------------------------------------

# Both slots of the fourth leaf, so that its 128 blocks cannot be read.
damage() {
	local block
	must "detach" detach d
	for block in $(fun node 0 0 3 $(($(sectors "$data") / 8)) 64); do
		dd if=/dev/urandom of="$data" bs=4096 count=1 seek="$block" conv=notrunc,fsync status=none
	done
	must "attach" attach_d
}
damage
code 6 ctl scrub start d --wait
same "it says how much" "128 blocks of 4 KiB cannot be read:" "$(head -n 1 /tmp/out)"
same "and where" "  block 384, 128 of them (byte 1572864)" "$(sed -n 2p /tmp/out)"
try "the rest is there" fun verify "$vault" 2 35000 1000
code 6 ctl reencrypt start d --wait
must "a discard of what is lost" blkdiscard -o 1572864 -l $((128 * 4096)) "$vault"
code 0 ctl reencrypt start d --wait
code 0 ctl scrub start d --wait
try "the rest is there" fun verify "$vault" 1 1000 19000

# ---- repair ------------------------------------------------------------------

reads() { dd if="$vault" of=/dev/null bs=4096 count=1 skip="$1" iflag=direct status=none 2>/dev/null; }
fun pattern "$vault" 3 384 128
message checkpoint
damage
code 1 ctl scrub start d --accept-loss
code 6 ctl repair start d --wait
same "it says how to" 1 "$(grep -c 'repair start d --accept-loss' /tmp/out)"
code 6 ctl scrub start d --wait
same "and has changed nothing" 128 "$(json scrub blocks_bad)"
expect_fail "a read of it" reads 384
code 0 ctl repair start d --accept-loss --wait
same "it says what it gave up" "  block 384, 128 of them (byte 1572864)" "$(sed -n 2p /tmp/out)"
same "and that" 1 "$(grep -c 'given up' /tmp/out)"
code 0 ctl scrub start d --wait
same "nothing is bad" 0 "$(json scrub blocks_bad)"
same "and so much is lost" 128 "$(json scrub blocks_lost)"
must "detach" detach d
must "attach" attach_d
expect_fail "a read of what was given up" reads 384
expect_fail "and of the last one" reads 511
try "what is beside it" fun verify "$vault" 1 1000 19000
fun pattern "$vault" 4 400 20
try "it can be written" fun verify "$vault" 4 400 20
expect_fail "and what is next to that is lost still" reads 399
code 0 ctl reencrypt start d --wait
must "a discard of it" blkdiscard -o 1572864 -l $((128 * 4096)) "$vault"
code 0 ctl scrub start d --wait
same "nothing is lost" 0 "$(json scrub blocks_lost)"
try "a read of it" reads 384
same "nothing went wrong" 0 "$(dmesg | grep -cE 'BUG|WARNING' || :)"
must "detach" detach d
finish
