#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the suites inside the module: format, geometry, args, log, delta, engine
# minutes: 1
# processors: 1
# limit: 40
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

suites=$(grep -l '^kunit_test_suite' "$check_top"/dm-qvault/tests/*_kunit.c | wc -l)
in_guest uml --kunit --timeout 1500 "$check_top/tests/kunit/guest.sh" "$suites"
finish
