#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The attacks inside a guest: guest.sh ARG...   ($ADVERSARY: see adversary.c)
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

ramdisks 2 256
if "$ADVERSARY" "$@" 2>&1 | tee /tmp/adversary.out; then
	while read -r line; do
		pass "${line#adversary: }"
	done < <(grep 'bad,' /tmp/adversary.out)
else
	fail adversary "reproduce with: adversary $*"
fi
tail -n 1 /tmp/adversary.out
finish
