#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the machine goes down, or hibernates, with what nobody has flushed
# minutes: 4
# processors: 1
# limit: 25
#
# QVAULT_MODULE names the sources of another module than ours: see mutation.
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

# to_its_end uml|qemu ARG...: what it has counted by then is not to be had.
to_its_end() {
	"$check_top/tests/lab/$1" --crash-when 'System halted' "${@:2}" </dev/null
}

new_disk() {
	rm -f "$disk"
	truncate -s 64M "$disk"
}

new_disk
try "a machine goes down in good order" \
	to_its_end uml "${in_uml[@]}" "${both[@]}" "$scripts/down.sh" write
in_guest uml "${in_uml[@]}" "${both[@]}" "$scripts/down.sh" read d
try "and does so although a device does not answer" \
	to_its_end uml "${in_uml[@]}" "${both[@]}" "$scripts/down.sh" hang
in_guest uml "${in_uml[@]}" "${both[@]}" "$scripts/down.sh" read e

new_disk
in_guest qemu "${in_qemu[@]}" "${both[@]}" "$scripts/hibernate.sh"
new_disk
try "a machine goes off in the midst of a hibernation" \
	to_its_end qemu "${in_qemu[@]}" "${both[@]}" --arg console=ttyS1 \
	"$scripts/quiet.sh" off
in_guest qemu "${in_qemu[@]}" "${both[@]}" "$scripts/quiet.sh" look
finish
