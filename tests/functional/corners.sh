#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Refusals that need something unusual: anchors that cannot be read or say what no
# record says, keys of other types, tables that were loaded and not resumed.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 3 128
new_vault corner 64
try "write" fun pattern "$vault" 1 0 100
detach corner
number() { stat -Lc '%Hr:%Lr' "$1"; }
fun addkey
size=$(fun format $((64 * 256)) 64 "$anchor")
cp "$anchor" /run/anchor

# refused NAME WORDS TABLE...: and the kernel's log says why.
refused() {
	local name=$1 words=$2
	shift 2
	log_mark
	expect_fail "$name" dmsetup create bad --table "$*"
	if [ -e /dev/mapper/bad ]; then dmsetup remove bad; fi
	expect_logged "$name: it is said why" "$words"
}
table="0 $size qvault $(number "$data") $(number "$anchor") :64:logon:qvault:test"

# ---- anchors ----

dm_create noanchor "0 2048 error"
refused "an anchor that cannot be read" "cannot read the anchor" \
	"0 $size qvault $(number "$data") $(number /dev/mapper/noanchor) :64:logon:qvault:test"
dm_remove noanchor

# patch SLOT OFFSET BYTE: the record is then not authentic any more.
patch() {
	printf '%b' "\\x$3" | dd of="$anchor" bs=1 seek=$(((64 + 128 * $1) * 4096 + $2)) conv=notrunc status=none
	sync "$anchor"
}
back() { dd if=/run/anchor of="$anchor" bs=4096 conv=fsync status=none; }

patch 1 8 03
refused "a format of the future" "format version unknown" "$table"
back
patch 1 100 ff
refused "a damaged record" "the anchor is damaged, although the key is its own" "$table"
back
dd if=/run/anchor of="$anchor" bs=4096 skip=192 seek=64 count=1 conv=fsync,notrunc status=none
dd if=/dev/zero of="$anchor" bs=4096 seek=192 count=1 conv=fsync,notrunc status=none
refused "a record in the wrong slot" "wrong slot" "$table"
back
must "the anchor as it was" dm_create good "$table"
dm_remove good

# ---- keys ----

refused "a type of keys that this kernel has not" "no keys of this type" \
	"0 $size qvault $(number "$data") $(number "$anchor") :64:trusted:qvault:test"
need encrypted-keys
kek=0123456789abcdef0123456789abcdef
keyctl add user qvault-kek "$kek" @u >/dev/null
keyctl add encrypted qvault-enc "new user:qvault-kek 64" @u >/dev/null
encrypted() {
	echo "0 $size qvault $(number "$data") $(number "$anchor") :64:encrypted:$1"
}
refused "an encrypted key, but not this volume's" "wrong key" "$(encrypted qvault-enc)"
keyctl add encrypted qvault-enc32 "new user:qvault-kek 32" @u >/dev/null
refused "an encrypted key of 32 bytes" "has not 64 bytes" "$(encrypted qvault-enc32)"
keyctl add encrypted qvault-sealed "$(fun sealedkey "$kek" qvault-kek)" @u >/dev/null
must "this volume's key, encrypted" dm_create good "$(encrypted qvault-sealed)"
same "its table line names it" "$(encrypted qvault-sealed)" "$(dmsetup table good)"
fun pattern /dev/mapper/good 3 0 100
dm_remove good
must "and the key itself" dm_create good "$table"
try "opens what was written" fun verify /dev/mapper/good 3 0 100
dm_remove good

# ---- ephemeral ----

log_mark
expect_fail "an ephemeral vault that is read-only" \
	dmsetup create bad --readonly --table "0 8192 qvault $(number "$data") - -"
if [ -e /dev/mapper/bad ]; then dmsetup remove bad; fi
expect_logged "and why" "An ephemeral vault cannot be read-only"
refused "an ephemeral vault larger than its device" "too small for the table line" \
	"0 $((64 * 2048 + 8)) qvault $(number "$data") - -"

# ---- loaded, not resumed ----

# Each constructor sees a free device; only one resume gets it.
for name in first second; do
	dmsetup create "$name" --notable
	owns "$name"
	try "load $name" dmsetup load "$name" --table "$table"
done
try "the first is resumed" dmsetup resume first
log_mark
expect_fail "the second is not" dmsetup resume second
expect_logged "and why" "in use by the vault"
dm_remove second
try "the first is not disturbed" fun pattern /dev/mapper/first 2 0 50
try "and suspends and resumes" sh -c "dmsetup suspend first && dmsetup resume first"
dm_remove first
finish
