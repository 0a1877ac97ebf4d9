#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: a virtual machine killed as it writes, 100 times, with storage that forgets
# group: slow
# minutes: 30
# limit: 180
# usage: powercut [CUTS [SEED]]
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"
# shellcheck source=tests/powercut/run.sh
. "$check_top/tests/powercut/run.sh"

power_cuts "${1:-100}" "${2:-$RANDOM}"
finish
