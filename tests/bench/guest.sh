#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs one of the programs beside this file in a guest.
# usage: guest.sh peers|volumes quick|full
#
# The environment: RAM_MIB, size of a RAM disk.
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

need dm-crypt dm-integrity dm-verity
for module in bioload diskmodel; do insmod "$QVAULT_OUT/$module.ko"; done
ramdisks 2 "$RAM_MIB"
# The program writes the counts; the trap of guest.sh is for those who do not.
guest_finished=1
exec python3 -B "$QVAULT_TREE/tests/bench/$1.py" "$2"
