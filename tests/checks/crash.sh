#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: replay what a crash could have left of recorded runs of the real module
# minutes: 2
# processors: 1
# limit: 90
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

program=$("$check_top/tests/lab/guest-program" crash)
# What was recorded stays there if something is bad.
in_guest uml --fast --timeout 2400 --keep "$QVAULT_CACHE/crash" --env "CRASH=$program" \
	"$check_top/tests/crash/guest.sh" short "$@"
finish
