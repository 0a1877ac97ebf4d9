#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the engine on a big-endian machine (s390x): parts, simulator, golden vault
# minutes: 2
# processors: 1
# limit: 60
#
# Cross-compiled, and run by qemu's user-mode emulation.  OpenSSL comes from
# Debian's package of that architecture, so the ciphers are the real ones.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

here=$check_top/tests/golden
build=$QVAULT_CACHE/check-endian/$(cksum <<<"$check_top" | cut -d " " -f 1)

build_engine() {
	local root
	root=$("$check_top/tests/lab/debian-sysroot" s390x libssl-dev)
	whole "$build" make -s -j2 -C "$check_top/tests/unit" MODE=fast "O=$build" CC=s390x-linux-gnu-gcc \
		"CFLAGS=-I$root/usr/include -I$root/usr/include/s390x-linux-gnu" \
		"LDFLAGS=-static -L$root/usr/lib/s390x-linux-gnu"
}

emulated() { qemu-s390x-static "$build/$1.bin" "${@:2}"; }
is_big_endian() { readelf -h "$build/unit.bin" | grep 'big endian'; }
opens() { emulated golden open data anchor | diff "$here/vault-$1.contents" -; }
make_again() { emulated golden make "made-$1.data" "made-$1.anchor" "$2"; }
simulate() { emulated sim --seed "$1" --states 4000 --shrink 0 >"sim$1"; }

cd "$check_tmp"
must "cross build" build_engine
must "of a big-endian program" is_big_endian

say "parts"
emulated unit XTS HMAC HKDF seal geometry entry delta tree anchor: alloc "life: A, B" \
	>parts 2>&1 || true
sed '$d' parts
adopt_line "unit tests" parts

say "simulator"
for seed in 1 2000001; do
	try "seeds from $seed" simulate "$seed"
done
cat sim1 sim2000001 | awk '/states explored/ { n += $1 } END { print n " states explored on a big-endian machine" }'

say "golden vaults"
for vault in 1 2; do
	gzip -dc "$here/vault-$vault.data.gz" >data
	gzip -dc "$here/vault-$vault.anchor.gz" >anchor
	try "made on a little-endian machine, $vault opens" opens "$vault"
done
try "make 1" make_again 1 hmac-sha256
try "make 2" make_again 2 nhpoly-aes
try "made here, they are the same to the bit" sha256sum -c "$here/made.sha256"
finish
