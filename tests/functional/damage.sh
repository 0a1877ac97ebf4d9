#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A leaf of the tree, and a block of the map, that are not as written: all else goes
# on, and a discard mends the leaf.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 1 210
log=64
slices d 200
format --log-blocks "$log" "$data" "$anchor" >/dev/null
blocks=$(($(sectors "$data") / 8))
vault=/dev/mapper/d
attach_d() { attach d "$data" "$anchor"; }
checkpoint() { dmsetup message d 0 checkpoint; }

# spoil MAP LEVEL INDEX: both places of a node.
spoil() {
	local block
	for block in $(fun node "$1" "$2" "$3" "$blocks" "$log"); do
		dd if=/dev/urandom of="$data" bs=4096 count=1 seek="$block" \
			conv=notrunc,fsync status=none
	done
}

# spoil_copy COPY MAP LEVEL INDEX: that copy of an upper node, in both slots.
spoil_copy() {
	local block
	for block in $(fun node "$2" "$3" "$4" "$blocks" "$log" | sed -n "$(($1 + 1))~2p"); do
		dd if=/dev/urandom of="$data" bs=4096 count=1 seek="$block" \
			conv=notrunc,fsync status=none
	done
}

must "attach" attach_d
fun pattern "$vault" 1 0 3000
fun pattern "$vault" 2 35000 1000
must "detach" detach d

# ---- one copy of the roots ---------------------------------------------------

for copy in 0 1; do
	spoil_copy "$copy" 0 2 0
	spoil_copy "$copy" 1 1 0
	must "attach without copy $copy of the roots" attach_d
	try "all of it" fun verify "$vault" 1 0 3000
	try "all of it" fun verify "$vault" 2 35000 1000
	fun pattern "$vault" 1 0 10
	try "a checkpoint" checkpoint
	same "heals the first copies" $((copy ? 0 : 2)) "$(field d 19)"
	same "nothing is corrupt" 0 "$(field d 15)"
	must "detach" detach d
done

# ---- a leaf: blocks 128 to 255 ---------------------------------------------

spoil 0 0 1
must "attach with a damaged leaf" attach_d
try "what is before it" fun verify "$vault" 1 0 128
try "what is behind it" fun verify "$vault" 1 256 2744
same "a block of it" EILSEQ "$(fun read "$vault" 130)"
fun pattern "$vault" 3 300 500
same "a write below it, not yet known" ok "$(fun write "$vault" 140)"
same "fsync" ok "$(fun sync "$vault" 500)"
before=$(field d 14)
try "a checkpoint" checkpoint
try "which has ended" test "$(field d 14)" -gt "$before"
same "it is known" 1 "$(field d 18)"
same "and a write below it refused" EILSEQ "$(fun write "$vault" 141)"
same "what was acknowledged is there" ok "$(fun read "$vault" 140)"
expect_fail "a part of it is not discarded" \
	blkdiscard --force -z -o $((130 * 4096)) -l $((20 * 4096)) "$vault"
for ((i = 0; i < 4; i++)); do
	fun pattern "$vault" $((4 + i)) 1000 1000
	try "more checkpoints: $i" checkpoint
done
read -r used _ <<<"$(field d 6 | tr / ' ')"
try "leave next to nothing in the log ($used)" test "$used" -le 2
same "the vault takes writes" write "$(field d 1)"
try "detach" detach d
must "attach again" attach_d
same "what was acknowledged is still there" ok "$(fun read "$vault" 140)"
try "checkpoint" checkpoint
# By force, or it would read first to see what is there.
try "discard the whole leaf" blkdiscard --force -o $((128 * 4096)) -l $((128 * 4096)) "$vault"
same "which is no more damaged" 0 "$(field d 18)"
fun pattern "$vault" 9 128 128
try "checkpoint" checkpoint
same "what the old one named has leaked" 128 "$(field d 17)"
try "the tool says so" bash -c "\"\$QVAULT_CTL\" status d | grep -q 'blocks leaked: *128'"
try "detach" detach d
must "attach again" attach_d
try "the new ones" fun verify "$vault" 9 128 128
try "the others" fun verify "$vault" 1 256 44
try "the others" fun verify "$vault" 3 300 500
try "the others" fun verify "$vault" 7 1000 1000
must "detach" detach d

# ---- the map block of the first group --------------------------------------

spoil 1 0 0
must "attach with a damaged map block" attach_d
fun pattern "$vault" 10 36000 500
fun pattern "$vault" 11 0 500
try "a checkpoint" checkpoint
same "the vault takes writes" write "$(field d 1)"
try "the group is full ($(field d 17) leaked)" test "$(field d 17)" -gt 20000
fun pattern "$vault" 12 100 300
try "another one" checkpoint
try "detach" detach d
must "attach again" attach_d
try "all is there" fun verify "$vault" 11 0 100
try "all is there" fun verify "$vault" 12 100 300
try "all is there" fun verify "$vault" 7 1000 1000
try "all is there" fun verify "$vault" 2 35000 1000
try "all is there" fun verify "$vault" 10 36000 500
must "detach" detach d
finish
