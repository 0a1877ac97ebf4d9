#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the real module in a guest: fio, file systems, full volumes, faults, ...
# minutes: 4
# limit: 90
# usage: functional [SCRIPT...]      names in tests/functional, without .sh
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

program=$("$check_top/tests/lab/guest-program" functional)
faults=$("$check_top/tests/lab/guest-program" faults)
# The long ones first, or the last would run alone.
[ $# -gt 0 ] || set -- faults attached life space huge ephemeral swap basic fio counters keys resize filesystems damage scrub shared suspend corners udev
for script in "$@"; do
	file=$check_top/tests/functional/$script.sh
	mem=$(sed -n 's/^# mem: //p' "$file")
	truncate -s 512M "$check_tmp/$script.disk"
	beside "$script" uml --timeout 2400 --mem "${mem:-3G}" \
		--ubd "$check_tmp/$script.disk" --with "$check_top/tests/lab/probe" \
		--env "FUNCTIONAL=$program" --env "FAULTS=$faults" --env "QVAULT_UDEV=${QVAULT_UDEV:-}" "$file"
done
finish
