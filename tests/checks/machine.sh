#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the machine goes down, or hibernates, with what nobody has flushed
# minutes: 3
# processors: 1
# limit: 25
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

machine=$check_top/tests/machine
functional=$("$check_top/tests/lab/guest-program" functional)
program=$("$check_top/tests/lab/guest-program" machine)

# down HOW: one guest to its end.  What it has counted by then is not to be had.
down() {
	"$check_top/tests/lab/uml" --timeout 60 --ubd "$check_tmp/disk" \
		--env "FUNCTIONAL=$functional" --crash-when 'System halted' \
		"$machine/down.sh" "$1" </dev/null
}

truncate -s 64M "$check_tmp/disk"
try "a machine goes down in good order" down write
in_guest uml --timeout 120 --ubd "$check_tmp/disk" --env "FUNCTIONAL=$functional" \
	"$machine/down.sh" read
try "and does so although a device does not answer" down hang

truncate -s 64M "$check_tmp/virtio"
in_guest qemu --timeout 400 --mem 1G --disk "$check_tmp/virtio" \
	--env "FUNCTIONAL=$functional" --env "MACHINE=$program" "$machine/hibernate.sh"
finish
