#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the machine goes down, or hibernates, with what nobody has flushed
# minutes: 3
# processors: 1
# limit: 25
#
# usage: tests/run machine [down|hibernate|off...]
# QVAULT_MODULE names the sources of another module than ours: see mutation.
# shellcheck disable=SC2317 # functions are called by way of try
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

scripts=$check_top/tests/machine
disk=$check_tmp/disk
in_uml=(--timeout 120 --ubd "$disk")
in_qemu=(--timeout 400 --mem 1G --disk "$disk")
both=(--env "FUNCTIONAL=$("$check_top/tests/lab/guest-program" functional)"
	--env "MACHINE=$("$check_top/tests/lab/guest-program" machine)")
[ -z "${QVAULT_MODULE:-}" ] || both+=(--module "$QVAULT_MODULE")

# until_halted HOW: a guest to its end; what it has counted by then is not to be had.
until_halted() {
	"$check_top/tests/lab/uml" --crash-when 'System halted' "${in_uml[@]}" "${both[@]}" \
		"$scripts/down.sh" "$1" </dev/null
}

down() {
	try "a machine goes down in good order" until_halted write
	in_guest uml "${in_uml[@]}" "${both[@]}" "$scripts/down.sh" read d
	try "and does so although a device does not answer" until_halted hang
	in_guest uml "${in_uml[@]}" "${both[@]}" "$scripts/down.sh" read e
}

hibernate() { in_guest qemu "${in_qemu[@]}" "${both[@]}" "$scripts/hibernate.sh"; }

# What this kernel says is not seen before the guest's time is over.
until_off() {
	"$check_top/tests/lab/qemu" --crash-when 'going off' --crash-delay 15 \
		--keep "$check_tmp/kept" "${in_qemu[@]}" "${both[@]}" "$scripts/quiet.sh" off </dev/null &&
		grep 'reboot: System halted' "$check_tmp/kept/kmsg"
}

off() {
	try "a machine goes off in the midst of a hibernation" until_off
	in_guest qemu "${in_qemu[@]}" "${both[@]}" "$scripts/quiet.sh" look
}

[ $# -gt 0 ] || set -- down hibernate off
for part; do
	rm -f "$disk"
	truncate -s 64M "$disk"
	case $part in
	down | hibernate | off) "$part" ;;
	*) fail "$part" "no such part: down, hibernate, off" ;;
	esac
done
finish
