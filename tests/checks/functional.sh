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
[ $# -gt 0 ] || set -- basic counters faults life swap space fio filesystems
truncate -s 128M "$check_tmp/disk"
for script in "$@"; do
	file=$check_top/tests/functional/$script.sh
	mem=$(sed -n 's/^# mem: //p' "$file")
	say "$script"
	in_guest uml --timeout 1500 --mem "${mem:-3G}" --ubd "$check_tmp/disk" \
		--env "FUNCTIONAL=$program" "$file"
done
finish
