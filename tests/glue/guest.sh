#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The way of a bio and of a table through the module, and no more: what the mutation
# check runs on a module with a bug in write.c, read.c, flush.c, bio.c, io.c, target.c,
# volume.c or registry.c.  The other checks see more, but none of them in a few seconds.
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

# Below are devices that know of flushes: probe counts those of the data device, and
# can fail a request of it; log-writes tells of FUA at the anchor.
need dm-log-writes dm-delay
with_module probe
disks 3 64
size=$((32 * 2048))
dm_create glue-below "0 $size probe /dev/ram0 0"
dm_create glue-below-anchor "0 2048 log-writes /dev/ram1 /dev/ram2"
linear glue-data /dev/mapper/glue-below 0 $size
linear glue-anchor /dev/mapper/glue-below-anchor 0 2048
data=/dev/mapper/glue-data anchor=/dev/mapper/glue-anchor vault=/dev/mapper/glue
format --log-blocks 64 "$data" "$anchor" >/dev/null
dmsetup message glue-below-anchor 0 mark begin

records() { field glue 10; }
flushes() { field glue-below 3; }
requests() { field glue-below 1; }
settle() { dmsetup message glue 0 commit; }
refused() { "$GLUE" refused "$vault" "$1"; }
one_of_two() {
	"$GLUE" flip "$data" "$1" &&
	"$GLUE" refused-both "$vault" 3030 &&
	"$GLUE" flip "$data" "$1"
}

# swap NAME TABLE: another table for a device that is in use.
swap() {
	dmsetup load "$1" --table "$2"
	dmsetup suspend --noflush "$1"
	dmsetup resume "$1"
}

# ---- the timer --------------------------------------------------------------

# Nowhere else: a commit at its own time would hide what others forget.
must "attach, with a timer" attach glue "$data" "$anchor" --commit-seconds 1
settle
before=$(records)
fun pattern "$vault" 4 100 1
sleep 2.5
try "without any flush, the time brings one" test "$(records)" -gt "$before"
detach glue
must "attach, without" attach glue "$data" "$anchor" --commit-seconds 0

# ---- data -------------------------------------------------------------------

try "buffers at odd addresses, blocks all over the place" fun odd "$vault"
try "what was never written is zeros" fun zeros "$vault" 1000 100
try "write" fun pattern "$vault" 3 2000 100
try "read" fun verify "$vault" 3 2000 100
try "discard" blkdiscard -o $((2010 * 4096)) -l $((10 * 4096)) "$vault"
try "zeros are there" fun zeros "$vault" 2010 10
try "and what is beside them" fun verify "$vault" 3 2020 80

# More than is free, so that a large write gets its blocks in parts.
all=$(($(sectors "$vault") / 8))
fun pattern "$vault" 6 0 "$all"
fun pattern "$vault" 7 0 "$all"
try "a full volume, written over: all of it is there" fun verify "$vault" 7 0 "$all"

# ---- readahead --------------------------------------------------------------

leaf=128
fresh() {
	detach glue
	must "attach anew" attach glue "$data" "$anchor" --commit-seconds 0
}
# The first block of three leaves, one after the other.
in_order() { for at in 0 1 2; do fun read "$vault" $((at * leaf)); done | uniq; }

fresh
same "reads in order" ok "$(in_order)"
sleep 0.5
before=$(requests)
same "a read of the next leaf" ok "$(fun read "$vault" $((3 * leaf + 1)))"
same "needs no more than its block" $((before + 1)) "$(requests)"

# Readahead goes on when its reader has ended: at once, since there is no block there.
blkdiscard -o $((2 * leaf * 4096)) -l 4096 "$vault"
fresh
below="/dev/mapper/glue-below 0"
swap glue-data "0 $size delay $below 400 $below 0"
same "slow reads in order" ok "$(in_order)"
must "detach while the next leaves are on their way" detach glue
swap glue-data "0 $size linear $below"
must "attach again" attach glue "$data" "$anchor" --commit-seconds 0
try "all is there but for what was discarded" fun verify "$vault" 7 257 1000

# Empty again, what comes now stands where it would in a new volume.
blkdiscard "$vault"
dmsetup message glue 0 checkpoint
fun pattern "$vault" 3 2000 100

# There are 256 pages at the least.  All but one are out when two are wanted: who gets
# the last one must not let it go out before it is sealed.
detach glue
must "attach, with little memory" attach glue "$data" "$anchor" --commit-seconds 0 --memory-mib 1
fun pattern "$vault" 3 2000 100
dmsetup suspend --noflush --nolockfs glue-data
for ((i = 0; i < 4; i++)); do
	fun pattern "$vault" 3 $((2100 + 64 * i)) $((i < 3 ? 64 : 63)) &
done
sleep 1
fun pattern "$vault" 3 2355 64 &
sleep 1
dmsetup resume glue-data
wait
try "writes that had to wait for pages" fun verify "$vault" 3 2000 419

# ---- flushes ----------------------------------------------------------------

settle
before=$(records) flushed=$(flushes)
fun fsyncs "$vault" 3
same "each fsync brings an anchor record" $((before + 3)) "$(records)"
same "and a flush of the data device before it" $((flushed + 3)) "$(flushes)"
# From a target above: after a write with O_DSYNC the kernel sends a flush as well,
# which would commit what the FUA write did not.
dm_create glue-top "0 $(sectors "$vault") probe $vault 0"
settle
before=$(records)
same "a write with FUA and nothing after it" ok \
	"$(dmsetup message glue-top 0 bio write+fua 80 1 0:4096)"
same "brings a record too" $((before + 1)) "$(records)"
dm_remove glue-top

# The anchor's log: a sector for itself, then for each entry a sector (where, how
# many sectors, flags, length) and what was written.  2 is FUA, 8 is the mark.
all_fua() {
	local at=1 n entry word marked=0 seen=0
	n=$(od -An -t u8 -j 16 -N 8 /dev/ram2)
	for ((entry = 0; entry < n; entry++)); do
		read -r -a word < <(od -An -w32 -t u8 -j $((at * 512)) -N 32 /dev/ram2)
		echo "${word[*]}"
		marked=$((marked | word[2] & 8))
		if [ "$marked" -ne 0 ] && [ "${word[1]}" -ne 0 ]; then
			[ $((word[2] & 2)) -ne 0 ] || return 1
			seen=$((seen + 1))
		fi
		at=$((at + 1 + word[1]))
	done
	[ "$seen" -gt 5 ]
}
try "all records are written with FUA" all_fua

# ---- tables -----------------------------------------------------------------

detach glue
keyctl padd logon qvault:glue @u <"$key" >/dev/null
head -c 64 /dev/urandom | keyctl padd logon qvault:other @u >/dev/null
length=$(($("$QVAULT_CTL" dump --json "$anchor" | sed -n 's/.*"size": *\([0-9]*\).*/\1/p') / 512))
line="0 $length qvault $data $anchor :64:logon:qvault:glue"
lasting="$line 2 commit_seconds 0"
must "attach by a table" dm_create glue "$lasting"
epoch=$(field glue 2)
fun pattern "$vault" 8 3000 10
for what in "larger:${line/0 $length/0 $((length + 8))}" "other data:${line/"$data"//dev/ram1}" \
	"other anchor:${line/"$anchor"//dev/ram1}" "other key:${line/qvault:glue/qvault:other}" \
	"no anchor:0 $length qvault $data - -"; do
	expect_fail "a table that is not of this vault: ${what%%:*}" \
		dmsetup load glue --table "${what#*:}"
	dmsetup clear glue
done
must "a table that only reads" swap glue "$line 3 commit_seconds 0 read_only"
same "does not write" EIO "$(fun write "$vault" 3000)"
must "one that commits" swap glue "$line 2 commit_seconds 1"
try "all is there" fun verify "$vault" 8 3000 10
before=$(records)
fun pattern "$vault" 8 3000 1
sleep 2.5
try "it commits" test "$(records)" -gt "$before"
same "all of this is one attachment" "$epoch" "$(field glue 2)"
must "as before" swap glue "$lasting"

dd if="$anchor" of=/tmp/anchor.old bs=4096 iflag=direct status=none
fun pattern "$vault" 8 3000 10
dmsetup suspend glue
dd if="$anchor" of=/tmp/anchor.new bs=4096 iflag=direct status=none
dd if=/tmp/anchor.old of="$anchor" bs=4096 oflag=direct status=none
expect_fail "an anchor put back meanwhile" dmsetup resume glue
dd if=/tmp/anchor.new of="$anchor" bs=4096 oflag=direct status=none
must "its own again" dmsetup resume glue
try "all is there" fun verify "$vault" 8 3000 10

linear glue-data2 "$data" 0 "$size"
linear glue-anchor2 "$anchor" 0 2048
line2="${line/"$data"//dev/mapper/glue-data2}"
line2=${line2/"$anchor"//dev/mapper/glue-anchor2}
expect_fail "the same vault by other names" dm_create glue2 "$line2"
dmsetup remove glue2 2>/dev/null || true

fun pattern "$vault" 8 3000 10
dmsetup suspend --noflush --nolockfs glue-data
dmsetup message glue 0 commit 2>/dev/null &
asks=$!
sleep 0.5
disown "$asks"
kill -KILL "$asks"
try "who waits for a message can be killed" timeout 60 tail --pid="$asks" -f /dev/null
dmsetup resume glue-data
dm_remove glue
must "once it is gone" dm_create glue2 "$line2 1 read_only"
expect_fail "read-only does not become otherwise" dmsetup load glue2 --table "$line2"
dm_remove glue2
dm_remove glue-anchor2
dm_remove glue-data2
must "attach by its own names" attach glue "$data" "$anchor" --commit-seconds 0

# ---- what is wrong is told --------------------------------------------------

fun pattern "$vault" 5 3000 64
settle
# One of them forges the first of two blocks that are verified together, one the second.
try "a forged block beside a good one is refused" one_of_two 2900
try "whichever of the two it is" one_of_two 2901
try "both as they were" fun verify "$vault" 5 3000 64
dd if=/dev/urandom of="$data" bs=4096 seek=2900 count=800 oflag=direct status=none
before=$(field glue 15)
try "a forged block is refused, and nothing of it seen" refused 3030
try "and counted" test "$(field glue 15)" -gt "$before"
swap glue-data "0 $((32 * 2048)) error"
same "a read that fails" EIO "$(fun read "$vault" 2001)"
same "a write that fails" EIO "$(fun write "$vault" 2002)"
swap glue-data "0 $((32 * 2048)) linear /dev/mapper/glue-below 0"
same "the block has what it had" ok "$(fun read "$vault" 2002)"
try "which is this" fun verify "$vault" 3 2002 1
same "a write" ok "$(fun write "$vault" 2002)"
# More than a record holds goes into the log: the first request of the commit.
must "many writes" "$GLUE" scatter "$vault" 130
dmsetup message glue-below 0 fail 1 before
same "an fsync whose log was not written" EIO "$(fun sync "$vault" 0)"
detach glue
must "attach again" attach glue "$data" "$anchor" --commit-seconds 0
same "a write" ok "$(fun write "$vault" 2002)"
swap glue-anchor "0 2048 error"
same "an fsync without an anchor" EIO "$(fun sync "$vault" 0)"
swap glue-anchor "0 2048 linear /dev/mapper/glue-below-anchor 0"

# Who sends an event waits for memory, and for others that do, perhaps for this vault.
expect_fail "a detach tells what is lost" detach glue
must "attach again" attach glue "$data" "$anchor" --commit-seconds 0
dm_create glue-top "0 $(sectors "$vault") probe $vault 0"
same "a write" ok "$(fun write "$vault" 2002)"
dmsetup message glue-top 0 uevents hold
dmsetup message glue-below 0 fail 1 before
fun sync "$vault" 0 >/tmp/sync &
for ((i = 0; i < 300; i++)); do [ -s /tmp/sync ] || sleep 0.2; done
same "an fsync whose flush fails ends, though nobody can be told" EIO "$(</tmp/sync)"
told=$(dmsetup message glue-top 0 uevents go)
wait
try "who tells has waited meanwhile" test "$told" -ge 1
dm_remove glue-top
finish
