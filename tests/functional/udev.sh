#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The rule by which udev names the data devices of vaults, under a real udevd.
# shellcheck disable=SC2317 # functions that try calls
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

# Where one is unpacked that is not installed.
root=${QVAULT_UDEV:-}
daemon="" rules=""
for place in "$root/usr/lib" "$root/lib"; do
	[ ! -x "$place/systemd/systemd-udevd" ] || daemon=$place/systemd/systemd-udevd
	[ ! -e "$place/udev/rules.d/60-persistent-storage.rules" ] || rules=$place/udev/rules.d
done
if [ -z "$daemon" ] || [ -z "$rules" ]; then
	skip "a real udev" "there is none: apt install udev"
	finish
fi
udevadm() { PATH=$root/usr/bin:$root/bin:$PATH command udevadm "$@"; }

disks 2 40
data=/dev/ram0 anchor=/dev/ram1
mkdir -p /run/udev/rules.d
[ -z "$root" ] || cp "$rules"/{50-udev-default,60-block,60-persistent-storage}.rules /run/udev/rules.d
sed "s:@SBINDIR@/qvault-ctl:$QVAULT_CTL:" "$QVAULT_TREE/userspace/udev/61-qvault.rules" >/run/udev/rules.d/61-qvault.rules
"$daemon" --daemon
owns_udev() { udevadm control --exit || true; }
look() { udevadm trigger --settle --action=change "$@"; }
property() { udevadm info --query=property --name="$1" | sed -n "s/^$2=//p"; }

must "udev runs" udevadm control --ping
look $data
same "a device without a label has no name" "" "$(property $data ID_FS_TYPE)"
format $data $anchor >/dev/null
uuid=$(ctl dump $anchor | sed -n 's/^UUID: *//p')
look $data
same "the data device is found by UUID" $data "$(readlink -f "/dev/disk/by-uuid/$uuid")"
same "lsblk names it" "qvault 2 $uuid" "$(lsblk -n -r -o FSTYPE,FSVER,UUID $data)"
same "and says what it is for" crypto "$(property $data ID_FS_USAGE)"
look $anchor
same "the anchor is not named" "" "$(property $anchor ID_FS_TYPE)$(property $anchor ID_FS_UUID)"
truncate -s 8M /tmp/file
mke2fs -q -t ext4 /tmp/file
loop=$(losetup -f --show /tmp/file)
look "$loop"
same "what others know is theirs" ext4 "$(property "$loop" ID_FS_TYPE)"
losetup -d "$loop"
ctl destroy --anchor $anchor --data $data --batch-mode >/dev/null
dd if=/dev/zero of=$data bs=4096 count=1 oflag=direct status=none
look $data
expect_fail "once its label is gone so is the name" ls "/dev/disk/by-uuid/$uuid"
owns_udev
finish
