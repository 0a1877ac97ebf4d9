#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: a virtual machine killed as it writes, a few times; see powercut
# minutes: 1
# processors: 1
# limit: 60
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"
# shellcheck source=tests/powercut/run.sh
. "$check_top/tests/powercut/run.sh"

power_cuts "${1:-3}" "${2:-2}"
finish
