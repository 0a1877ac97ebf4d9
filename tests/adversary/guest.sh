#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The attacks inside a guest: guest.sh ARG...   ($ADVERSARY: see adversary.c)
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

ramdisks 2 256
if "$ADVERSARY" "$@" >/tmp/adversary.out 2>&1; then
	while read -r line; do
		case $line in
		*bad,*) pass "${line#adversary: }" ;;
		*) say "$line" ;;
		esac
	done < <(sed '$d' /tmp/adversary.out)
	tail -n 1 /tmp/adversary.out
else
	cat /tmp/adversary.out
	fail adversary "reproduce with: adversary $*"
fi
finish
