#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: a committed vault opens with what it held; what format and writes give has not changed
# minutes: 1
# limit: 15
#
# tests/golden/vault-1.* was made once and stays: every later version must open
# it.  made.sha256 says what the same steps give now; if it is changed on
# purpose, the old vault must still open, and format.rst must tell.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

here=$check_top/tests/golden
# The objects of the unit check.
build=$QVAULT_CACHE/check-unit/$(cksum <<<"$check_top" | cut -d " " -f 1)
contents=$(cut -d ' ' -f 1 "$here/vault-1.contents")

build_engine() {
	mkdir -p "$build"
	make -s -j2 -C "$check_top/tests/unit" MODE=asan "O=$build/asan" "$build/asan/golden.bin"
}

golden() { "$build/asan/golden.bin" "$@"; }
unpack() { gzip -dc "$here/vault-1.$1.gz" >"$1"; }
opens() { golden open data anchor | diff "$here/vault-1.contents" -; }
dump_is() { "$ctl" dump anchor --key-file master --json | diff "$1" -; }

# What the tool formats is what the engine formats.
format_same() {
	golden format made-data made-anchor
	truncate -s "$(stat -c %s made-data)" tool-data
	truncate -s 8192 tool-anchor
	"$ctl" format tool-data tool-anchor --key-file master --log-blocks 16 \
		--uuid 30313233-3435-3637-3839-616263646566
	cmp made-anchor tool-anchor
	cmp made-data tool-data
}

umask 077
cd "$check_tmp"
must "build" build_engine
ctl=$("$check_top/tests/lab/build-tool")
golden key >master
must "the committed vault unpacks" eval 'unpack data && unpack anchor'

say "in userspace"
try "the engine opens it and finds what was there" opens
try "the tool says of it what it always said" dump_is "$here/vault-1.json"
try "format gives the same, by the engine and by the tool" format_same
try "format and writes: make" golden make made-data made-anchor
try "format and writes give the same to the bit" sha256sum -c "$here/made.sha256"
# Block 0 of the volume stands there.
flip_bit() {
	cp data anchor flipped/
	printf '\x01' | dd of=flipped/data bs=1 seek=$(($1 * 4096)) conv=notrunc status=none
	(cd flipped && golden open data anchor)
}
mkdir flipped
expect_fail "with another byte in a data block it reads no more" flip_bit 29

expect_said "but with EILSEQ" 'golden: Invalid or incomplete'

say "in the kernel"
in_guest uml --timeout 120 --ubd "$PWD/data" --ubd "$PWD/anchor" "$here/guest.sh" \
	/dev/ubda /dev/ubdb "$contents"
try "the engine opens what the module left" opens
finish
