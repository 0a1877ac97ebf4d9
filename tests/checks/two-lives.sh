#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: memory that goes back, hibernation, two machines, power-off: stock kernels in QEMU
# group: slow
# minutes: 10
# processors: 1
# limit: 60
# usage: two-lives [SCENE...]
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"
# shellcheck source=tests/two-lives/machine.sh
. "$check_top/tests/two-lives/machine.sh"

scenes=(savevm-both savevm-both-untold savevm-memory savevm-memory-untold two-guests
	hibernate hibernate-busy test-resume resume-too-late swap-on-vault power-off)
guid=11111111-2222-3333-4444-55555555555
sentence='the anchor holds record [0-9]+ of epoch [0-9]+, which is not ours'

# disks DIRECTORY: the arguments of boot for them.
disks() { echo "$1/data" "$1/anchor"; }

# judged NAME MACHINE SEED FIRST COUNT [LOST]: all is right, but for at most LOST that
# cannot be read.
judged() {
	local name=$1 right lost wrong
	if ! ask "$2" "functional judge \$vault $3 $4 $5" >"$tally_output" ||
		! read -r right _ lost _ wrong _ <"$tally_output"; then
		cat "$tally_output"
		fail "$name" "cannot be read"
	elif [ "$wrong" -eq 0 ] && [ "$lost" -le "${6:-0}" ] && [ $((right + lost)) -eq "$5" ]; then
		pass "$name: $(<"$tally_output")"
	else
		fail "$name" "$(<"$tally_output")"
	fi
}

# ---- Memory and disks, or memory alone, go back -------------------------------

# A machine with a vault in use, and its memory; machine_id is what it has of vmgenid.
begin() {
	local told=$1 here=$2
	machine_id=()
	[ "$told" = untold ] || machine_id=(-device "vmgenid,guid=${guid}1")
	new_disks "$here"
	# shellcheck disable=SC2046 # two words
	boot first "" $(disks "$here") -- "${machine_id[@]}"
	must "a machine" hear first
	must "attach" ask first attach
	must "write" ask first "functional pattern \$vault 1 0 400"
	same "fsync" ok "$(ask first "functional sync \$vault 0")"
	must "its memory is copied" halt_and_copy first "$here/memory"
}

# awake TOLD MEMORY DIRECTORY: the copy, with these disks.
awake() {
	[ "$1" = untold ] || machine_id=(-device "vmgenid,guid=${guid}2")
	# shellcheck disable=SC2046 # two words
	must "the copy awakes" boot_copy second "$2" $(disks "$3") -- "${machine_id[@]}"
	if [ "$1" = told ]; then
		must "and is told" ask second \
			"until dmesg | grep -q 'due to virtual machine fork'; do sleep 0.1; done"
	fi
}

# What both lives do: here and there, with commits between.
live() {
	local i
	for i in 2 3 4; do
		must "$1: write" ask "$1" "functional pattern \$vault $i $((i * 20)) 100"
		same "$1: fsync" ok "$(ask "$1" "functional sync \$vault 0")"
	done
}

lived() {
	judged "$2: what came last" "$1" 4 80 100
	judged "$2: what came before" "$1" 3 60 20
	judged "$2: and before the copy" "$1" 1 200 200
}

# burst LIFE DISKS: what it writes before its next commit, and the data disk then.
burst() {
	local records
	records=$(ask "$1" "field 10")
	must "$1: write, and no commit" ask "$1" "functional pattern \$vault 5 400 100"
	same "$1: no record was made" "$records" "$(ask "$1" "field 10")"
	cp --sparse=always "$2/data" "$check_tmp/burst-$1"
}

savevm_both() {
	local told=$1 here=$check_tmp/$scene written repeated
	begin "$told" "$here"
	copy_disks "$here" "$here.fork"
	must "the first life goes on" go_on first
	[ "$told" = told ] || burst first "$here"
	live first
	lived first "first life"
	cut first
	copy_disks "$here.fork" "$here.second"
	awake "$told" "$here/memory" "$here.second"
	[ "$told" = told ] || burst second "$here.second"
	live second
	lived second "second life"
	same "second life: mode" write "$(ask second mode)"
	cut second
	read -r written repeated < <(python3 "$check_top/tests/two-lives/repeats.py" \
		"$here.fork/data" "$here/data" "$here.second/data")
	say "$written pieces of 16 bytes written by both lives, $repeated of them alike"
	if [ "$told" = told ]; then
		same "no tweak was used twice" 0 "$repeated"
		try "and there was something to compare" test "$written" -gt 10000
	else
		# No look tells a copy whose disks went back as well.  It parts at its next
		# commit: until then 200 blocks were written, and a few of the log.
		try "none after the next commit" test "$repeated" -le $((210 * 256))
		read -r written repeated < <(python3 "$check_top/tests/two-lives/repeats.py" \
			"$here.fork/data" "$check_tmp/burst-first" "$check_tmp/burst-second")
		same "but without a word all that was written before is alike" \
			"$((100 * 256)) $((100 * 256))" "$written $repeated"
	fi
	# shellcheck disable=SC2046 # two words each
	boot third "" $(disks "$here") $(disks "$here.second")
	must "a third machine" hear third
	for i in "a b" "c d"; do
		must "attach" ask third "attach /dev/vd${i% *} /dev/vd${i#* }"
		lived third "on vd${i% *}"
		[ "$told" = told ] || judged "on vd${i% *}: what came first" third 5 400 100
		must "detach" ask third detach
	done
	cut third
}

# LOST: how many blocks of the first life the second may write to before it is told.
savevm_memory() {
	local told=$1 lost=$2 here=$check_tmp/$scene
	begin "$told" "$here"
	must "the first life goes on" go_on first
	live first
	cut first
	awake "$told" "$here/memory" "$here"
	if [ "$told" = told ]; then
		expect_fail "its first write fails" ask second "functional pattern \$vault 9 0 3"
	else
		must "it writes" ask second "functional pattern \$vault 9 0 3"
	fi
	same "its first fsync fails" EIO "$(ask second "functional sync \$vault 0")"
	same "mode" taken "$(ask second mode)"
	try "and the log says why" ask second "dmesg | grep -E '$sentence'"
	same "nothing is read any more" EIO "$(ask second "functional read \$vault 300")"
	expect_fail "detach" ask second detach
	expect_said "and it says what was lost" 'writes since the last flush may be lost'
	cut second
	# shellcheck disable=SC2046 # two words
	boot third "" $(disks "$here")
	must "a third machine" hear third
	must "attach" ask third attach
	judged "first life: what came last" third 4 80 100 "$lost"
	judged "first life: what came before" third 3 60 20 "$lost"
	judged "first life: and before the copy" third 1 200 200 "$lost"
	cut third
}

scene_savevm_both() { savevm_both told; }
scene_savevm_both_untold() { savevm_both untold; }
scene_savevm_memory() { savevm_memory told 0; }
scene_savevm_memory_untold() { savevm_memory untold 3; }

# ---- Two machines, one pair of disks -------------------------------------------

scene_two_guests() {
	local here=$check_tmp/$scene
	new_disks "$here"
	# shellcheck disable=SC2046 # two words
	boot first "" $(disks "$here")
	# shellcheck disable=SC2046 # two words
	boot second "" $(disks "$here")
	must "a machine" hear first
	must "another one" hear second
	must "first: attach" ask first attach
	must "first: write" ask first "functional pattern \$vault 1 0 400"
	same "first: fsync" ok "$(ask first "functional sync \$vault 0")"
	must "second: attach" ask second attach
	judged "second: what the first has written" second 1 0 400
	must "second: write" ask second "functional pattern \$vault 2 0 200"
	same "second: fsync" ok "$(ask second "functional sync \$vault 0")"
	try "first: write" ask first "functional pattern \$vault 3 0 3"
	same "first: fsync" EIO "$(ask first "functional sync \$vault 0")"
	same "first: mode" taken "$(ask first mode)"
	try "and the log says why" ask first "dmesg | grep -E '$sentence'"
	judged "second: what it has written" second 2 0 200 3
	judged "second: and not written" second 1 200 200
	must "second: write" ask second "functional pattern \$vault 4 0 250"
	same "second: fsync" ok "$(ask second "functional sync \$vault 0")"
	same "second: mode" write "$(ask second mode)"
	same "first: fsync, again" EIO "$(ask first "functional sync \$vault 0")"
	expect_fail "first: detach" ask first detach
	expect_said "and it says what was lost" 'writes since the last flush may be lost'
	judged "second: what it has written since" second 4 0 250
	cut second
	must "first: attach" ask first attach
	judged "first: what the second has written" first 4 0 250
	judged "first: and not written" first 1 250 150
	must "first: write" ask first "functional pattern \$vault 5 0 400"
	same "first: fsync" ok "$(ask first "functional sync \$vault 0")"
	cut first
}

# ---- Hibernation -----------------------------------------------------------------

# With swap on a disk of its own, and 100 blocks that nobody has flushed.
begin_with_swap() {
	new_disks "$1"
	truncate -s 512M "$1/swap"
	# shellcheck disable=SC2046 # two words
	boot first "" $(disks "$1") "$1/swap"
	must "a machine" hear first
	must "swap" ask first "mkswap /dev/vdc && swapon /dev/vdc"
	must "attach" ask first attach
	must "write" ask first "functional pattern \$vault 1 0 400"
	same "fsync" ok "$(ask first "functional sync \$vault 0")"
	must "write, unflushed" ask first "functional pattern \$vault 2 100 100"
}

# hibernated DIRECTORY HOW: until it is off, and on again.
hibernated() {
	tell first "hibernate $2"
	must "it switches itself off ($2)" off first
	# shellcheck disable=SC2046 # two words
	boot first machine_resume=vdc $(disks "$1") "$1/swap"
	must "it comes back ($2)" hear first
}

# goes_on SEED: as if nothing had been; what has been written is right below 300.
goes_on() {
	same "mode" write "$(ask first mode)"
	must "write" ask first "functional pattern \$vault $1 300 100"
	same "fsync" ok "$(ask first "functional sync \$vault 0")"
	same "mode" write "$(ask first mode)"
	judged "what was written long ago" first 1 0 100
	judged "what was not flushed" first 2 100 100
	judged "what was written now" first "$1" 300 100
}

# next_life DIRECTORY SEED: what goes_on has left.
next_life() {
	# shellcheck disable=SC2046 # two words
	boot next "" $(disks "$1")
	must "the next machine" hear next
	must "attach" ask next attach
	judged "what was written long ago" next 1 0 100
	judged "what was not flushed" next 2 100 100
	judged "what was written last" next "$2" 300 100
	cut next
}

scene_hibernate() {
	local here=$check_tmp/$scene
	begin_with_swap "$here"
	hibernated "$here" shutdown
	goes_on 3
	hibernated "$here" platform
	goes_on 4
	cut first
	next_life "$here" 4
}

# Writes, reads, flushes and discards under way as the processes are frozen.
scene_hibernate_busy() {
	local here=$check_tmp/$scene
	begin_with_swap "$here"
	must "keep it busy" ask first "(functional hammer \$vault 5 20; echo status \$?) >/busy 2>&1 &"
	must "wait" ask first "sleep 3"
	must "the image is written, and read again" ask first "hibernate test_resume"
	must "wait" ask first "sleep 3"
	hibernated "$here" shutdown
	must "to its end" ask first "until grep -q status /busy; do sleep 0.2; done; cat /busy"
	expect_said "nothing was read wrong: $(grep operations "$tally_output")" '^status 0$'
	same "mode" write "$(ask first mode)"
	must "write" ask first "functional pattern \$vault 1 0 400"
	same "fsync" ok "$(ask first "functional sync \$vault 0")"
	cut first
	# shellcheck disable=SC2046 # two words
	boot next "" $(disks "$here")
	must "the next machine" hear next
	must "attach" ask next attach
	judged "what was written" next 1 0 400
	cut next
}

scene_test_resume() {
	local here=$check_tmp/$scene
	begin_with_swap "$here"
	must "the image is written, and read again" ask first "hibernate test_resume"
	goes_on 3
	must "and once more" ask first "hibernate test_resume"
	goes_on 4
	cut first
	next_life "$here" 4
}

# An initramfs that attaches the vault and does not look for the image before.
scene_resume_too_late() {
	local here=$check_tmp/$scene
	begin_with_swap "$here"
	tell first "hibernate shutdown"
	must "it switches itself off" off first
	# shellcheck disable=SC2046 # two words
	boot next "" $(disks "$here")
	must "another machine" hear next
	must "attach" ask next attach
	must "write" ask next "functional pattern \$vault 3 300 100"
	same "fsync" ok "$(ask next "functional sync \$vault 0")"
	cut next
	# shellcheck disable=SC2046 # two words
	boot first machine_resume=vdc $(disks "$here") "$here/swap"
	must "the first comes back" hear first
	expect_fail "write" ask first "functional pattern \$vault 4 300 100"
	same "fsync" EIO "$(ask first "functional sync \$vault 0")"
	same "mode" taken "$(ask first mode)"
	try "and the log says why" ask first "dmesg | grep -E '$sentence'"
	cut first
	next_life "$here" 3
}

scene_swap_on_vault() {
	local here=$check_tmp/$scene
	new_disks "$here"
	# shellcheck disable=SC2046 # two words
	boot first "" $(disks "$here")
	must "a machine" hear first
	must "attach" ask first attach
	must "swap on it" ask first "mkswap \$vault && swapon \$vault"
	expect_fail "not used yet: the image fails" ask first "hibernate shutdown"
	try "and the log says why" ask first "dmesg | grep 'a hibernation needs swap elsewhere'"
	same "mode" write "$(ask first mode)"
	must "use it" ask first "machine pageout 8"
	expect_fail "used: no hibernation" ask first "hibernate shutdown"
	try "and the log says why" ask first "dmesg | grep 'no hibernation with swap on a vault'"
	must "the machine goes on, and the swap" ask first "machine pageout 8"
	must "no swap any more" ask first "swapoff \$vault"
	must "write" ask first "functional pattern \$vault 1 0 400"
	same "fsync" ok "$(ask first "functional sync \$vault 0")"
	same "mode" write "$(ask first mode)"
	cut first
	# shellcheck disable=SC2046 # two words
	boot next "" $(disks "$here")
	must "the next machine" hear next
	must "attach" ask next attach
	judged "what was written" next 1 0 400
	cut next
}

# ---- Switched off in good order ---------------------------------------------------

scene_power_off() {
	local here=$check_tmp/$scene records
	new_disks "$here"
	# shellcheck disable=SC2046 # two words
	boot first "" $(disks "$here")
	must "a machine" hear first
	must "attach" ask first attach
	must "write" ask first "functional pattern \$vault 1 0 400"
	same "fsync" ok "$(ask first "functional sync \$vault 0")"
	records=$(ask first "field 10")
	must "write, unflushed" ask first "functional pattern \$vault 2 100 100"
	same "nothing has committed it" "$records" "$(ask first "field 10")"
	# Without sync, and without a look at who is mounted: reboot(2) at once.
	tell first "poweroff -n -f"
	must "it switches itself off" off first
	# shellcheck disable=SC2046 # two words
	boot next "" $(disks "$here")
	must "the next machine" hear next
	must "attach" ask next attach
	judged "what was not flushed" next 2 100 100
	judged "and the rest" next 1 0 100
	cut next
}

# ---------------------------------------------------------------------------------

[ $# -gt 0 ] || set -- "${scenes[@]}"
machines_build
for scene in "$@"; do
	if ! declare -F "scene_${scene//-/_}" >/dev/null; then
		fail "$scene" "no such scene; there are: ${scenes[*]}"
		continue
	fi
	say "$scene"
	"scene_${scene//-/_}"
done
machines_finish
