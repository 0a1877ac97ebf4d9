#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Another guest's script, and after it what the module has counted of itself.
# usage: guest.sh SCRIPT [ARG...]       relative to tests/
# Leaves OUT/gcov/*.gcda, OUT being what the host keeps.
set -uo pipefail

status=0
bash "$QVAULT_TREE/tests/$1" "${@:2}" || status=$?

# A script that reloads the module loses nothing: the kernel keeps the counts of
# the earlier one and adds them.
mkdir -p "$QVAULT_OUT/gcov"
find /sys/kernel/debug/gcov -name '*.gcda' -exec cp {} "$QVAULT_OUT/gcov/" \; || exit 1
exit "$status"
