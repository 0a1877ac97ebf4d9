#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# qvault-ctl against the real module: attach, status, detach, and every wrong
# input, each with its exit code, its one line, and nothing changed by it.
# shellcheck disable=SC2317 # functions are called by way of try and refused
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"
# shellcheck source=tests/functional/refused.sh
. "$QVAULT_TREE/tests/functional/refused.sh"


ctl=$QVAULT_CTL
key=/run/tool.key
umask 077
head -c 64 /dev/urandom >$key
head -c 64 /dev/urandom >/run/other.key

# Two vaults of 8 MiB on a ramdisk each, and more disks for odd things.
ramdisks 6 9
for i in 0 1; do
	linear "data$i" "/dev/ram$i" 0 16384
	linear "anchor$i" "/dev/ram$i" 16384 2048
done
data=/dev/mapper/data0 anchor=/dev/mapper/anchor0

state() {
	cat /dev/ram[0-2] | md5sum
	dmsetup table
	grep qvault: /proc/keys || true
}

undo() { "$ctl" detach v 2>/dev/null || true; }

attach() { "$ctl" attach --key-file "$key" "$@"; }
table() { dmsetup table "$1"; }
# Without its warnings, for refused.
attach_quietly() {
	local status=0
	attach "$@" 2>/tmp/warned || status=$?
	grep -v 'qvault-ctl: warning: ' /tmp/warned >&2
	return "$status"
}

# json NAME EXPRESSION: about the last output, as d.
json() {
	try "$1" python3 -c "import json, sys
d = json.load(open('/tmp/json'))
sys.exit(not ($2))"
}

# ---- before there is a vault ------------------------------------------------

refused "attach an empty anchor" 4 'is no anchor: it is empty' attach v $data $anchor
refused "status of another kind of device" 4 'no vault but a device of type linear' "$ctl" status data0
refused "detach another kind of device" 4 'no vault but a device of type linear' "$ctl" detach data0
refused "detach nothing" 4 'no vault v is attached' "$ctl" detach v
refused "commit to nothing" 4 'no vault v is attached' "$ctl" commit v
try "status of nothing says so" bash -c "'$ctl' status v | grep -qx '/dev/mapper/v is inactive.'; [ \${PIPESTATUS[0]} = 4 ]"

ln -s $data /tmp/link
node=/dev/another
busybox mknod $node b $((16#$(stat -L -c %t $data))) $((16#$(stat -L -c %T $data)))
refused "format, same device twice" 4 'same device' "$ctl" format $data $data -d $key
refused "format, same through a symlink" 4 'same device' "$ctl" format $data /tmp/link -d $key
refused "format, same through another node" 4 'same device' "$ctl" format $node $data -d $key
linear tiny /dev/ram3 0 8
refused "format, anchor of 4 KiB" 4 'too small.*needs 1.0 MiB' "$ctl" format $data /dev/mapper/tiny -d $key
refused "format, data of 4 KiB" 4 'too small.*at least' "$ctl" format /dev/mapper/tiny $anchor -d $key
mke2fs -q -t ext4 -L precious $data 2>/tmp/err
refused "format over a file system" 5 'ext4 \(label precious.*--force' "$ctl" format $data $anchor -d $key
mounted $data /tmp/mnt -t ext4
refused "format what is mounted" 5 'data device .* is in use' "$ctl" format $data $anchor -d $key --force
refused "format, anchor is mounted" 5 'anchor device .* is in use' "$ctl" format $anchor $data -d $key --force
umount /tmp/mnt
refused "format, a disk below a device" 5 'data device /dev/ram0 is in use' "$ctl" format /dev/ram0 /dev/mapper/anchor1 -d $key
refused "ephemeral over a file system" 5 'ext4 \(label precious.*--force' "$ctl" attach --ephemeral v $data
try "format by force" "$ctl" format $data $anchor -d $key --force
must "format another" "$ctl" format /dev/mapper/data1 /dev/mapper/anchor1 -d $key

# ---- wrong inputs to attach -------------------------------------------------

refused "no key" 1 'no key: give --key-file' "$ctl" attach v $data $anchor
refused "wrong key" 2 'wrong key for the anchor' "$ctl" attach v $data $anchor -d /run/other.key
refused "no such data device" 4 'cannot open data device /dev/nope' attach v /dev/nope $anchor
refused "no such anchor" 4 'cannot open anchor device /dev/nope' attach v $data /dev/nope
refused "same device twice" 4 'same device' attach v $data $data
refused "same through a symlink" 4 'same device' attach v $data /tmp/link
refused "same through another node" 4 'same device' attach v $node $data
refused "devices exchanged" 4 'is no anchor' attach v $anchor $data
refused "anchor of 4 KiB" 4 'too small' attach v $data /dev/mapper/tiny
linear shrunk /dev/ram2 0 16376
refused "data device shrunk" 4 'too small.*the vault was made on 8.0 MiB.*shrink' attach v /dev/mapper/shrunk $anchor
refused "name of another device" 5 'exists already' attach data1 $data $anchor
refused "impossible name" 1 'cannot be the name' attach a/b $data $anchor
refused "no permission" 2 'run this as root' setpriv --reuid=65534 --regid=65534 --clear-groups "$ctl" attach v $data $anchor -d $key
refused "no permission for status" 2 'run this as root' setpriv --reuid=65534 --regid=65534 --clear-groups "$ctl" status v
truncate -s 16M /tmp/file
refused "a file" 4 'losetup' attach v /tmp/file $anchor
dd if=$anchor of=/tmp/anchor bs=1M count=1 status=none
printf '\3' | dd of=$anchor bs=1 seek=$((192 * 4096 + 8)) conv=notrunc,fsync status=none
refused "format version 3" 4 'has format version 3; this qvault-ctl knows version 2' attach v $data $anchor
dd if=/tmp/anchor of=$anchor bs=4096 conv=notrunc,fsync status=none
blockdev --setro /dev/ram0
dm_create ro-data "0 16384 linear /dev/ram0 0" --readonly
refused "read-only data device" 4 'is read-only.*--read-only' attach v /dev/mapper/ro-data $anchor
dm_remove ro-data
blockdev --setrw /dev/ram0

rmmod dm-qvault
refused "no module" 1 'no target "qvault".*modprobe dm-qvault' attach v $data $anchor
insmod "$QVAULT_KO"

# ---- attached ---------------------------------------------------------------

must "attach" attach v $data $anchor
owns v
same "no key is left in a keyring" 0 "$(grep -c qvault: /proc/keys || true)"
try "the table names the key and does not hold it" bash -c "dmsetup table v | grep -q ' :64:logon:qvault:[0-9a-f-]*$'"
same "the UUID tells whose it is" "QVAULT-$("$ctl" dump $anchor | sed -n 's/^UUID: *//p')-v" \
	"$(dmsetup info -c --noheadings -o uuid v)"
refused "the same name" 5 '/dev/mapper/v exists already' attach v $data $anchor
refused "another name" 5 'already attached, as v' attach w $data $anchor
refused "its data device, for another vault" 5 'data device .* is in use' attach w $data /dev/mapper/anchor1
refused "format what is attached" 5 'is in use' "$ctl" format $data $anchor -d $key --force
try "dump what is attached" "$ctl" dump $anchor -d $key
# A reader of the page cache leaves there what the next one is to be shown.
cat $anchor >/tmp/stale
before=$(dmsetup status v | cut -d ' ' -f 6)
dd if=/dev/urandom of=/tmp/pattern bs=1M count=2 status=none
dd if=/tmp/pattern of=/dev/mapper/v bs=1M oflag=direct status=none
try "commit" "$ctl" commit v
try "checkpoint" "$ctl" checkpoint /dev/mapper/v
same "the anchor moved on" yes "$([ "$(dmsetup status v | cut -d ' ' -f 6)" -gt "$before" ] && echo yes)"
same "dump shows the record that is there now" "$(dmsetup status v | cut -d ' ' -f 6)" \
	"$("$ctl" dump $anchor | sed -n 's/^Sequence: *//p')"
dd if=$anchor of=/tmp/copy bs=1M count=1 iflag=direct status=none
same "so does a copy made as the manual says" "$("$ctl" dump $anchor)" "$("$ctl" dump /tmp/copy)"
try "status" "$ctl" status v
expect_said "says that it is active" '^/dev/mapper/v is active\.$'
expect_said "names the data device" 'data device: +/dev/dm-[0-9]+$'
expect_said "counts" 'blocks written: +512$'
"$ctl" status --json v >/tmp/json
json "status as JSON" 'd["active"] and d["mode"] == "write" and d["blocks_written"] == 512 and d["mapped_blocks"] == 512 and not d["in_use"] and d["corruptions"] == 0'
mke2fs -q -t ext4 -O ^has_journal /dev/mapper/v
mounted /dev/mapper/v /tmp/mnt -t ext4
refused "detach what is mounted" 5 'is in use' "$ctl" detach v
try "status says that it is in use" "$ctl" status v
expect_said "it does" 'is active and is in use\.$'
try "detach it deferred" "$ctl" detach --deferred v
umount /tmp/mnt
same "gone after the unmount" inactive "$("$ctl" status v >/tmp/out || sed 's/.* is //; s/\.$//' /tmp/out)"

must "attach with options" attach v $data $anchor --allow-discards --memory-mib 32 --commit-seconds 0
same "they are in the table" "5 allow_discards memory_mib 32 commit_seconds 0" \
	"$(table v | sed 's/.*qvault:[0-9a-f-]* //')"
exec 7</dev/mapper/v
refused "detach what somebody has open" 5 'is in use \(somebody has it open' "$ctl" detach v
exec 7<&-
must "detach" "$ctl" detach v

# ---- streams that are closed ------------------------------------------------

# with_closed STREAMS COMMAND...
with_closed() (
	case $1 in *0*) exec <&- ;; esac
	case $1 in *1*) exec >&- ;; esac
	case $1 in *2*) exec 2>&- ;; esac
	shift
	exec "$@"
)

# Nobody may find words for people in an anchor, nor a record that is not whole.
anchor_is_whole() {
	local before
	before=$("$ctl" dump "$anchor" -d "$key" 2>&1)
	[[ $before != *"warning"* ]] || { echo "$before"; return 1; }
	! dd "if=$anchor" bs=1M count=1 iflag=direct status=none | grep -a qvault-ctl
}

for closed in "" 0 1 2 01 02 12 012; do
	shown=0
	case $closed in *1*) shown=1 ;; esac
	try "without streams '$closed': attach" with_closed "$closed" \
		"$ctl" attach v $data $anchor -d $key
	dd if=/tmp/pattern of=/dev/mapper/v bs=1M count=1 oflag=direct status=none
	status=0
	with_closed "$closed" "$ctl" attach w $data $anchor -d $key 2>/tmp/err || status=$?
	same "without streams '$closed': attach once more is refused" 5 $status
	status=0
	with_closed "$closed" "$ctl" status v >/tmp/out 2>/tmp/err || status=$?
	same "without streams '$closed': status" $shown $status
	status=0
	with_closed "$closed" "$ctl" dump $anchor >/tmp/out 2>/tmp/err || status=$?
	same "without streams '$closed': dump" $shown $status
	try "without streams '$closed': commit" with_closed "$closed" "$ctl" commit v
	try "without streams '$closed': the anchor is whole" anchor_is_whole
	try "without streams '$closed': detach" with_closed "$closed" "$ctl" detach v
	status=0
	with_closed "$closed" "$ctl" detach v 2>/tmp/err || status=$?
	same "without streams '$closed': detach what is gone" 4 $status
	try "without streams '$closed': it still is" anchor_is_whole
done

# ---- /dev/mapper ------------------------------------------------------------

echo "no vault" >/dev/mapper/v
refused "attach where a file stands" 5 '/dev/mapper/v exists already: a regular file' attach v $data $anchor
rm /dev/mapper/v
ln -s /nowhere/at/all /dev/mapper/v
refused "attach where a link leads nowhere" 4 '/dev/mapper/v is not the vault but missing, so it was detached again' attach v $data $anchor
rm -f /dev/mapper/v
must "attach" attach v $data $anchor
mv /dev/mapper/v /tmp/node
echo "no vault" >/dev/mapper/v
refused "status where a file stands" 4 'but /dev/mapper/v is not that: a regular file' "$ctl" status v
cp -a /dev/ram3 /dev/mapper/another
mv /dev/mapper/another /dev/mapper/v
refused "status where another device stands" 4 'is not that: another device' "$ctl" status v --json
rm /dev/mapper/v
refused "status where nothing stands" 4 'is not that: missing' "$ctl" status v
echo "no vault" >/dev/mapper/v
refused "detach where a file stands" 4 'at /dev/mapper/v stands a regular file: what was written there is not in the vault' "$ctl" detach v
same "the file is left to its owner" "no vault" "$(cat /dev/mapper/v)"
rm /dev/mapper/v
must "detach where nothing stands" "$ctl" detach v

must "attach" attach v $data $anchor
exec 7</dev/mapper/v
expect_fail "remove it by force while it is open" dmsetup remove --force v
exec 7<&-
refused "what it is now is said by status" 4 'no vault any more: .* table of type error .*detach removes it' "$ctl" status v
refused "and by commit" 4 'no vault any more' "$ctl" commit v
expect_fail "detach it" "$ctl" detach v
same "exits with 6" 6 "$tally_last"
expect_said "says what it found" 'v is removed; it was no vault any more, but a device of type error'
same "it is gone" 0 "$(dmsetup ls | grep -cw v || true)"

# ---- udev -------------------------------------------------------------------

# A udev that answers, and tells what it was told about a new vault.
cat >/tmp/udev.py <<'END'
import socket, subprocess
s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
s.bind((0, 1))
print("ready", flush=True)
while True:
    words = s.recv(8192).split(b"\0")
    cookies = [int(word[10:]) for word in words if word.startswith(b"DM_COOKIE=")]
    if not cookies:
        continue
    if b"ACTION=change" in words:
        print("flags %#x" % (cookies[0] >> 16), flush=True)
    subprocess.run(["dmsetup", "udevcomplete", str(cookies[0])], check=True)
END
# libdevmapper takes this for a udev that runs.
mkdir -p /run/udev
touch /run/udev/control
semaphores() { sed 1d /proc/sysvipc/sem; }
with_udev() { env -u DM_DISABLE_UDEV "$@"; }

# told_udev FLAGS OPTION...
told_udev() {
	local flags=$1 listener
	shift
	env -u DM_DISABLE_UDEV python3 -B /tmp/udev.py >/tmp/udev &
	listener=$!
	until grep -q ready /tmp/udev; do sleep 0.1; done
	try "attach ${1:-} with udev" with_udev "$ctl" attach v $data $anchor -d $key "$@"
	try "detach it with udev" with_udev "$ctl" detach v
	kill $listener
	wait $listener 2>/dev/null || true
	same "what udev is told of it" "flags $flags" "$(grep flags /tmp/udev | head -n 1)"
	same "no semaphore is left behind" "" "$(semaphores)"
}

told_udev 0x40
told_udev 0x4e --private

# Nobody answers now.
try "attach when udev does not answer" with_udev timeout 60 "$ctl" attach v $data $anchor -d $key
expect_said "says so" 'warning: udev does not answer \(gave up\)'
try "the vault is there" "$ctl" status v
same "no semaphore is left behind" "" "$(semaphores)"
try "detach when udev does not answer" with_udev timeout 60 "$ctl" detach v
same "it is gone, with its node" "" "$(dmsetup ls | grep -w v; ls /dev/mapper/v 2>/dev/null)"
expect_fail "end attach while it waits for udev" with_udev timeout 2 "$ctl" attach v $data $anchor -d $key
same "it ends at once, by the signal" 124 "$tally_last"
expect_said "it says why" 'interrupted: v was detached again'
same "nothing is left behind" "" "$(dmsetup ls | grep -w v; ls /dev/mapper/v 2>/dev/null; semaphores)"
rm -r /run/udev

# ---- names that are long ----------------------------------------------------

long=$(printf 'x%.0s' {1..126})
must "ephemeral, a name of 127 characters" "$ctl" attach --ephemeral "${long}1" /dev/mapper/data1 --force
must "another that differs in the last" "$ctl" attach --ephemeral "${long}2" /dev/ram4 --force
same "their UUIDs differ" 2 "$(dmsetup info -c --noheadings -o uuid "${long}1" "${long}2" | sort -u | wc -l)"
must "detach" "$ctl" detach "${long}1"
must "detach" "$ctl" detach "${long}2"
must "format again what that overwrote" "$ctl" format /dev/mapper/data1 /dev/mapper/anchor1 -d $key --force

# ---- one slot of two --------------------------------------------------------

dm_create half "0 1024 linear /dev/ram0 16384
1024 1024 error"
try "dump an anchor of which one slot cannot be read" "$ctl" dump /dev/mapper/half -d $key
expect_said "warns" 'warning: slot 1 of anchor /dev/mapper/half cannot be read \(Input/output error\): .*one record back'
refused "attach with a slot that may hold the newest record" 4 'does not attach: a slot of the anchor cannot be read' \
	attach_quietly v $data /dev/mapper/half
try "attach it read-only" attach v $data /dev/mapper/half --read-only
expect_said "is warned about" 'warning: slot 1 of anchor .* one record back'
try "status" "$ctl" status v
expect_said "says so, too" 'anchor slots: +1 of 2 hold a record: it may have been attached one commit back'
"$ctl" status v --json >/tmp/json
json "as JSON" 'd["anchor_slots"] == 1 and d["warnings"] == []'
must "detach" "$ctl" detach v
dm_remove half
dm_create half "0 2048 error"
refused "an anchor that cannot be read" 4 'cannot read anchor device' "$ctl" dump /dev/mapper/half
dm_remove half

# ---- a copy -----------------------------------------------------------------

must "attach" attach v $data $anchor
"$ctl" commit v
dd if=/dev/ram0 of=/dev/ram5 bs=1M iflag=direct oflag=direct status=none
linear copy-data /dev/ram5 0 16384
linear copy-anchor /dev/ram5 16384 2048
refused "attach a copy beside the original" 5 'already attached, as v' attach w /dev/mapper/copy-data /dev/mapper/copy-anchor
try "attach it read-only" attach w /dev/mapper/copy-data /dev/mapper/copy-anchor --read-only
must "detach" "$ctl" detach w
must "detach" "$ctl" detach v
dm_remove copy-data
dm_remove copy-anchor

# ---- labels -----------------------------------------------------------------

dd if=/dev/zero of=/dev/ram5 bs=1M count=9 oflag=direct status=none
refused "by its label, attach without an anchor" 1 'no anchor device' attach v
must "attach by its label" attach v --anchor $anchor
same "to its data device" "$(stat -Lc '%Hr:%Lr' $data)" "$(table v | cut -d ' ' -f 4)"
refused "by its label, a second time" 5 'already attached, as v' attach w --anchor $anchor
must "detach" "$ctl" detach v
same "udev learns whose it is" "$("$ctl" dump $anchor | sed -n 's/^UUID: *//p')" \
	"$("$ctl" udev $data | sed -n 's/^ID_FS_UUID=//p')"
same "and of an anchor nothing" "" "$("$ctl" udev $anchor)"
dd if=/dev/ram0 of=/dev/ram5 bs=1M count=8 iflag=direct oflag=direct status=none
refused "two devices with one label" 4 '/dev/.* and /dev/.* have the label .*one must be a copy' attach v --anchor $anchor
must "unless it is named" attach v --data $data --anchor $anchor
must "detach" "$ctl" detach v
dd if=/dev/zero of=/dev/ram5 bs=1M count=9 oflag=direct status=none
must "format" "$ctl" format /dev/mapper/data1 /dev/mapper/anchor1 -d $key --force
refused "a label alone, of a vault that holds nothing" 1 'holds nothing yet' attach w --anchor /dev/mapper/anchor1
dd if=/dev/zero of=/dev/mapper/data1 bs=4096 count=1 oflag=direct status=none
refused "no label" 4 'no block device that is free has the label' attach w --anchor /dev/mapper/anchor1

# ---- a vault's life ---------------------------------------------------------

# By the module: what the check does with the engine in userspace, on files.
linear copy-data /dev/ram5 0 16384
linear copy-anchor /dev/ram5 16384 2048
copy_data=/dev/mapper/copy-data copy_anchor=/dev/mapper/copy-anchor
clone() { "$ctl" clone --anchor "$anchor" --new-data "$copy_data" --new-anchor "$copy_anchor" -d "$key" "$@"; }
must "attach" attach v $data $anchor
dd if=/tmp/pattern of=/dev/mapper/v bs=1M oflag=direct status=none
refused "clone what is attached" 5 'is in use' clone
refused "change the key of what is attached" 5 'is in use' "$ctl" key change --anchor $anchor -d $key --new-key-file /run/other.key
refused "destroy what is attached" 5 'is in use' "$ctl" destroy --anchor $anchor --batch-mode
must "detach" "$ctl" detach v
dd if=$data of=$copy_data bs=1M iflag=direct oflag=direct status=none
dd if=$data of=/run/data.copy bs=1M iflag=direct status=none
dd if=$anchor of=/run/anchor.copy bs=1M count=1 iflag=direct status=none
must "clone, with a key of its own" clone --new-key-file /run/other.key
try "the clone is found by its own label" "$ctl" attach w --anchor $copy_anchor -d /run/other.key
try "it holds what the vault holds" cmp -n 2097152 /tmp/pattern /dev/mapper/w
must "both at once" attach v --anchor $anchor
head -c 1M /dev/urandom >/tmp/other.pattern
dd if=/tmp/other.pattern of=/dev/mapper/v bs=1M count=1 conv=notrunc oflag=direct status=none
dd if=/tmp/other.pattern of=/dev/mapper/w bs=1M count=1 conv=notrunc oflag=direct status=none
must "detach" "$ctl" detach v
must "detach" "$ctl" detach w
refused "the data of the clone under the vault's anchor" 4 'not what the anchor .* vouches for' attach v $copy_data $anchor
try "key change" "$ctl" key change --anchor $copy_anchor -d /run/other.key --new-key-file $key
refused "the key of before" 2 'under another one' "$ctl" attach w $copy_data $copy_anchor -d /run/other.key
try "attach under the new one" attach w $copy_data $copy_anchor
try "it holds what was written" cmp -n 1048576 /tmp/other.pattern /dev/mapper/w
must "detach" "$ctl" detach w
# Back to before the clone.
refused "restore with the data of now" 4 'does not hold the state of record' \
	"$ctl" restore --anchor $anchor --data $data --from /run/anchor.copy -d $key --accept-older-state
dd if=/run/data.copy of=$data bs=1M oflag=direct status=none
refused "restore, not meant" 1 'would be given up' \
	"$ctl" restore --anchor $anchor --data $data --from /run/anchor.copy -d $key
must "restore" "$ctl" restore --anchor $anchor --data $data --from /run/anchor.copy -d $key --accept-older-state
must "attach" attach v $data $anchor
try "it holds what it held" cmp -n 2097152 /tmp/pattern /dev/mapper/v
must "detach" "$ctl" detach v
must "destroy" "$ctl" destroy --anchor $copy_anchor --data $copy_data --batch-mode
refused "what is destroyed" 4 'it is empty' "$ctl" attach w $copy_data $copy_anchor -d $key
dm_remove copy-data
dm_remove copy-anchor

# ---- another attachment -----------------------------------------------------

# A record that this kernel did not write, one epoch on, where the next one goes.
must "attach" attach v $data $anchor
take_over() {
	local sequence epoch
	sequence=$("$ctl" dump "$anchor" | sed -n 's/^Sequence: *//p')
	epoch=$("$ctl" dump "$anchor" | sed -n 's/^Epoch: *//p')
	dd "if=$anchor" of=/tmp/taken bs=1M count=1 iflag=direct status=none
	python3 -B "$QVAULT_TREE/tests/tool/anchor.py" copy /tmp/taken $((sequence % 2)) $(((sequence + 1) % 2))
	python3 -B "$QVAULT_TREE/tests/tool/anchor.py" set /tmp/taken $(((sequence + 1) % 2)) \
		sequence=$((sequence + 1)) epoch=$((epoch + 1)) "$key"
	dd if=/tmp/taken "of=$anchor" bs=4096 oflag=direct conv=notrunc status=none
}
must "another attachment writes a record" take_over
dd if=/tmp/pattern of=/dev/mapper/v bs=1M count=1 oflag=direct status=none
expect_fail "commit" "$ctl" commit v
expect_said "says who was there" 'v: commit failed, .*: another attachment took the vault over'
try "status" "$ctl" status v
expect_said "says so, too" 'mode: +taken \(another attachment took it over: reads and writes fail'
expect_fail "detach" "$ctl" detach v
same "exits with 6" 6 "$tally_last"
expect_said "and says it again" 'may be lost: .*another attachment took the vault over'
must "format anew" "$ctl" format $data $anchor -d $key --force

# ---- storage that is dead ---------------------------------------------------

must "attach" attach v $data $anchor
exec 7<>/dev/mapper/v
dmsetup suspend --noflush --nolockfs data0
dd if=/tmp/pattern of=/dev/mapper/v bs=64K count=4 conv=notrunc status=none
began=$SECONDS
expect_fail "detach what is open while its storage is dead" timeout -s KILL 60 "$ctl" detach v
same "says busy" 5 "$tally_last"
same "within half a minute" yes "$([ $((SECONDS - began)) -le 30 ] && echo yes || echo $((SECONDS - began)))"
try "detach it deferred" timeout -s KILL 60 "$ctl" detach --deferred v
dmsetup resume data0
exec 7<&-
same "gone when its last user is" inactive "$("$ctl" status v >/tmp/out || sed 's/.* is //; s/\.$//' /tmp/out)"

before=$(sha256sum /dev/ram0)
must "attach read-only" attach v $data $anchor --read-only
"$ctl" status v --json >/tmp/json
json "it is" 'd["mode"] == "read-only" and d["read_only"]'
expect_fail "it takes no writes" dd if=/dev/zero of=/dev/mapper/v bs=4096 count=1 oflag=direct
must "detach it" "$ctl" detach v
same "nothing was written" "$before" "$(sha256sum /dev/ram0)"

# ---- what only the kernel can know ------------------------------------------

must "attach the other" attach w /dev/mapper/data1 /dev/mapper/anchor1
owns w
dd if=/tmp/pattern of=/dev/mapper/w bs=1M oflag=direct status=none
must "detach the other" "$ctl" detach w
refused "anchor of another vault" 4 'not what the anchor .* vouches for' attach v $data /dev/mapper/anchor1
dd if=/dev/ram0 of=/tmp/old bs=1M count=8 status=none
must "attach to write" attach v $data $anchor
dd if=/tmp/pattern of=/dev/mapper/v bs=1M seek=1 oflag=direct status=none
must "detach after it" "$ctl" detach v
dd if=/tmp/old of=$data bs=1M oflag=direct status=none
refused "the whole data device rolled back" 4 'not what the anchor .* vouches for' attach v $data $anchor
same "no device is left behind" 0 "$(dmsetup ls | grep -cw v || true)"

# ---- failure at the last moment ---------------------------------------------

must "format anew" "$ctl" format $data $anchor -d $key --force
must "attach it" attach v $data $anchor --commit-seconds 0
dd if=/tmp/pattern of=/dev/mapper/v bs=1M oflag=direct status=none
dmsetup suspend anchor0
dmsetup load anchor0 --table "0 2048 error"
dmsetup resume anchor0
expect_fail "detach when the anchor is broken" "$ctl" detach v
same "exits with 6" 6 "$tally_last"
expect_said "says what may be lost" '^qvault-ctl: v is detached, but writes since the last flush may be lost: '
same "it is gone" 0 "$(dmsetup ls | grep -cw v || true)"
dmsetup suspend anchor0
dmsetup load anchor0 --table "0 2048 linear /dev/ram0 16384"
dmsetup resume anchor0

# ---- ephemeral --------------------------------------------------------------

refused "ephemeral with a key" 1 'no meaning for an ephemeral vault' "$ctl" attach --ephemeral v $data -d $key
refused "ephemeral with an anchor" 1 'would be lost: give --cow' "$ctl" attach --ephemeral v $data $anchor
refused "ephemeral, too small" 4 'cannot hold a vault' "$ctl" attach --ephemeral v /dev/mapper/tiny
refused "MAC of a vault that has one" 1 '--mac has no meaning' "$ctl" attach v $data $anchor -d $key --mac nhpoly-aes
refused "ephemeral over the data of a vault" 5 'holds the data of the vault .*--force' "$ctl" attach --ephemeral v $data
must "ephemeral, nhpoly-aes" "$ctl" attach --ephemeral --mac nhpoly-aes v $data --force
try "the table says the MAC" grep -q ' - - 2 mac nhpoly-aes$' <(table v)
must "detach" "$ctl" detach v
must "ephemeral" "$ctl" attach --ephemeral v $data --force
"$ctl" status v --json >/tmp/json
json "status of it" 'd["ephemeral"] and d["anchor"] is None and d["uuid"] is None'
dd if=/tmp/pattern of=/dev/mapper/v bs=1M oflag=direct status=none
try "it holds what was written" cmp -n 2097152 /tmp/pattern /dev/mapper/v
must "detach it" "$ctl" detach v
finish
