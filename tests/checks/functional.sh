#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the real module in a guest: fio, file systems, full volumes, faults, ...
# minutes: 8
# limit: 40
# usage: functional [SCRIPT...]      names in tests/functional, without .sh
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

program=$("$check_top/tests/lab/guest-program" functional)
[ $# -gt 0 ] || set -- basic counters faults life space fio filesystems
for script in "$@"; do
	say "$script"
	in_guest uml --timeout 1500 --mem 3G --env "FUNCTIONAL=$program" \
		"$check_top/tests/functional/$script.sh"
done
finish
