#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Format, attach, write, detach, attach, compare.  Plain sh and busybox: it also
# runs on the stock kernels in QEMU, and there is nothing more there.
# usage: smoke.sh DATA ANCHOR       two devices whose contents do not matter
#
# QVAULT_CTL is the tool.  The last line is `smoke: ok`, and only then the status 0.
set -eu

data=$1 anchor=$2 ctl=$QVAULT_CTL
work=${TMPDIR:-/tmp}/smoke.$$
mkdir -p "$work/mnt"

say() { echo "smoke: $*"; }
die() { say "FAILED: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

head -c 64 /dev/urandom >"$work/key"
attach() { "$ctl" attach --key-file "$work/key" smoke "$data" "$anchor"; }

vault=/dev/mapper/smoke

# A pattern that is not the same twice, past the first megabytes.
# It begins with words, since a search for random bytes may split at a newline.
needle="plaintext that must not stand on the storage $$"
{ echo "$needle"; head -c 3145728 /dev/urandom; } | head -c 3145728 >"$work/pattern"

there_and_back() {
	"$ctl" format --batch-mode --force --mac "$1" --key-file "$work/key" "$data" "$anchor"
	attach
	say "attached: $(dmsetup table smoke 2>/dev/null || echo 'no dmsetup here')"
	dd if="$work/pattern" of="$vault" bs=4096 seek=2048 conv=fsync 2>/dev/null
	"$ctl" detach smoke
	if [ -e "$vault" ]; then die "it is still there after detach"; fi
	# Not one sector of it may stand on the storage in clear.
	if grep -q -a -F "$needle" "$data" 2>/dev/null; then
		die "plaintext on the data device"
	fi
	attach
	dd if="$vault" of="$work/back" bs=4096 skip=2048 count=768 2>/dev/null
	cmp "$work/pattern" "$work/back" || die "the pattern came back changed"
	dd if="$vault" of="$work/zeros" bs=4096 count=64 2>/dev/null
	[ "$(tr -d '\000' <"$work/zeros" | wc -c)" -eq 0 ] || die "unwritten blocks are not zero"
	say "pattern ok: $1"
}

# Each MAC: kernels have the parts of the second one in different forms.
there_and_back nhpoly-aes
"$ctl" detach smoke
there_and_back hmac-sha256

# A file system, where there is one.
if have mkfs.ext4; then
	mkfs.ext4 -q -F "$vault"
	mount -t ext4 "$vault" "$work/mnt"
	for i in 1 2 3 4 5 6 7 8; do
		head -c $((i * 50000)) /dev/urandom >"$work/mnt/file$i"
	done
	(cd "$work/mnt" && sha256sum file*) >"$work/sums"
	umount "$work/mnt"
	"$ctl" detach smoke
	attach
	if have fsck.ext4; then fsck.ext4 -f -n "$vault" >/dev/null; fi
	mount -t ext4 -o ro "$vault" "$work/mnt"
	(cd "$work/mnt" && sha256sum -c "$work/sums") >/dev/null || die "a file changed"
	umount "$work/mnt"
	say "ext4 ok"
fi
"$ctl" detach smoke

# The storage puts an old block back, somewhere in the middle of the pattern.
dd if="$data" of="$work/old" bs=1048576 2>/dev/null
attach
dd if="$work/pattern" of="$vault" bs=4096 seek=3000 count=300 conv=fsync 2>/dev/null
"$ctl" detach smoke
dd if="$work/old" of="$data" bs=1048576 conv=notrunc,fsync 2>/dev/null
if attach 2>/dev/null; then
	if dd if="$vault" of=/dev/null bs=4096 skip=3000 count=300 2>/dev/null; then
		die "the whole device was rolled back and nobody noticed"
	fi
	"$ctl" detach smoke
fi
say "rollback refused"
rm -rf "$work"
say ok
