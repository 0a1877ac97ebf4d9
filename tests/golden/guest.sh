#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module opens the golden vault: guest.sh DATA ANCHOR DIGEST_OF_THE_CONTENTS
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

data=$1 anchor=$2 contents=$3
vault=/dev/mapper/golden
key=/run/golden.key

umask 077
for ((i = 0; i < 64; i++)); do
	printf '%b' "\\x$(printf %02x $(((7 * i + 1) % 256)))"
done >"$key"

sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
attach() { "$QVAULT_CTL" attach --key-file "$key" golden "$data" "$anchor" "$@" && owns golden; }
detach() { "$QVAULT_CTL" detach golden; }
at_rest() { echo "$(sum "$data") $(sum "$anchor")"; }

before=$(at_rest)
must "attach read-only" attach --read-only
same "it reads as it always did" "$contents" "$(sum "$vault")"
must "detach" detach
same "and nothing was written" "$before" "$(at_rest)"

must "attach" attach
same "it reads the same" "$contents" "$(sum "$vault")"
try "write" dd if=/dev/urandom of="$vault" bs=4096 seek=100 count=3 oflag=direct status=none
try "checkpoint" dmsetup message golden 0 checkpoint
same "it reads otherwise" changed "$([ "$(sum "$vault")" = "$contents" ] || echo changed)"
try "discard" blkdiscard -o $((100 * 4096)) -l $((3 * 4096)) "$vault"
must "detach" detach
must "attach again" attach
same "it reads as it did at first" "$contents" "$(sum "$vault")"
must "detach" detach
finish
