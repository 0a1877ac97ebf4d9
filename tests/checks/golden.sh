#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: a committed vault opens with what it held; what format and writes give has not changed
# minutes: 1
# processors: 1
# limit: 45
#
# tests/golden/vault-N.* were made once and stay, 1 with hmac-sha256 and 2 with
# nhpoly-aes: every later version must open them.  made.sha256 says what the same
# steps give now; if it is changed on purpose, the old vaults must still open, and
# format.rst must tell.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

here=$check_top/tests/golden
# The objects of the unit check.
build=$QVAULT_CACHE/check-unit/$(cksum <<<"$check_top" | cut -d " " -f 1)
build_engine() {
	whole "$build/asan" make -s -j2 -C "$check_top/tests/unit" MODE=asan "O=$build/asan" \
		"$build/asan/golden.bin"
}

golden() { "$build/asan/golden.bin" "$@"; }
unpack() { gzip -dc "$here/vault-$1.$2.gz" >"$2"; }
opens() { golden open data anchor | diff "$here/vault-$1.contents" -; }
dump_is() { "$ctl" dump anchor --key-file master --json | diff "$here/vault-$1.json" -; }
make_again() { golden make "made-$1.data" "made-$1.anchor" "$2"; }
made_same() { grep "made-$1\." "$here/made.sha256" | sha256sum -c; }

# What the tool formats is what the engine formats.
format_same() {
	golden format made-data made-anchor "$1"
	truncate -s "$(stat -c %s made-data)" tool-data
	truncate -s 1M tool-anchor
	"$ctl" format tool-data tool-anchor --key-file master --log-blocks 16 \
		--force --mac "$1" --uuid 30313233-3435-3637-3839-616263646566
	# Its secret and its time are its own.
	local file
	for file in made-anchor tool-anchor; do
		"$check_top/tests/tool/anchor.py" set "$file" 1 time=0 "gen0_wrapped=$(printf '%080d' 0)" master
	done
	cmp made-anchor tool-anchor
	cmp made-data tool-data
}

umask 077
cd "$check_tmp"
must "build" build_engine
ctl=$("$check_top/tests/lab/build-tool")
golden key >master

flip_bit() {
	mkdir -p flipped
	cp data anchor flipped/
	printf '\x01' | dd of=flipped/data bs=1 seek=$(($(golden home) * 4096)) conv=notrunc status=none
	(cd flipped && golden open data anchor)
}

# in_kernel NUMBER [OPTION...]: the module opens what was unpacked, in a guest
in_kernel() {
	local number=$1
	shift
	in_guest uml "$@" --timeout 600 --ubd "$PWD/data" --ubd "$PWD/anchor" "$here/guest.sh" \
		/dev/ubda /dev/ubdb "$(cut -d ' ' -f 1 "$here/vault-$number.contents")"
	try "the engine opens what the module left" opens "$number"
}

# vault NUMBER MAC
vault() {
	say "$2, in userspace"
	must "the committed vault unpacks" eval "unpack $1 data && unpack $1 anchor"
	try "the engine opens it and finds what was there" opens "$1"
	try "the tool says of it what it always said" dump_is "$1"
	try "format gives the same, by the engine and by the tool" format_same "$2"
	try "format and writes: make" make_again "$1" "$2"
	try "format and writes give the same to the bit" made_same "$1"
	expect_fail "with another byte in a data block it reads no more" flip_bit
	expect_said "but with EILSEQ" 'golden: Invalid or incomplete'

	say "$2, in the kernel"
	in_kernel "$1"
}

vault 1 hmac-sha256
say "hmac-sha256, two blocks at once, in a newer kernel"
in_kernel 1 --smp --pairs
vault 2 nhpoly-aes
finish
