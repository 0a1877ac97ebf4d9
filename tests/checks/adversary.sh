#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: a storage that knows everything but the key forges every structure
# minutes: 5
# limit: 25
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

program=$("$check_top/tests/lab/guest-program" adversary)
in_guest uml --timeout 1400 --env "ADVERSARY=$program" \
	"$check_top/tests/adversary/guest.sh" "$@"
finish
