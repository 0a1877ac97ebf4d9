#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: a storage that knows everything but the key forges every structure
# minutes: 2
# processors: 1
# limit: 200
# usage: adversary [ARG...]     see tests/adversary/adversary.c
#        adversary long         a bit of every byte of all metadata, and more of all
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

commits=100
if [ "${1:-}" = long ]; then
	commits=1000
	set -- --flips 4096 --in-use 3000
fi
program=$("$check_top/tests/lab/guest-program" adversary)
twoface=$("$check_top/tests/lab/build-module" --source "$check_top/tests/lab/twoface" \
	"$("$check_top/tests/lab/uml-kernel" plain)" ARCH=um)
in_guest uml --fast --timeout 11000 --env "ADVERSARY=$program" --env "TWOFACE=$twoface" \
	"$check_top/tests/adversary/guest.sh" "$commits" "$@"
finish
