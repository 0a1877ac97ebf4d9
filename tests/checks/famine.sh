#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: no memory but the least reserves, one worker a queue: nothing hangs
# group: slow
# minutes: 6
# limit: 30
# usage: famine [PART...]      of: basic space fio swap crash concurrency swap-smp glue
#
# The module is built so that every reserve has its least size, nothing is had beside
# it, and each queue does one thing at a time.  A circle of waits that takes bad luck
# elsewhere closes at once here; Documentation/locking.rst says why there is none.
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

program() { echo "$1=$("$check_top/tests/lab/guest-program" "${1,,}")"; }

# guest PART UML_OPTION... SCRIPT [ARG...], as if it were uml that runs SCRIPT.
guest() {
	local part=$1 options=()
	shift
	while [[ $1 == -* ]]; do
		options+=("$1")
		shift
		[[ ${options[-1]} =~ ^--(mem|ubd|env|with)$ ]] || continue
		options+=("$1")
		shift
	done
	beside "$part" uml --famine --timeout 900 "${options[@]}" \
		"$check_top/tests/famine/guest.sh" "$@"
}

functional() {
	local part=$1 script=$check_top/tests/functional/${1%-smp}.sh mem options=()
	mem=$(sed -n 's/^# mem: //p' "$script")
	[ "$1" = "${1%-smp}" ] || options=(--smp)
	truncate -s 512M "$check_tmp/$part.disk"
	guest "$part" "${options[@]}" --mem "${mem:-2G}" --ubd "$check_tmp/$part.disk" \
		--env "$(program FUNCTIONAL)" "$script"
}

[ $# -gt 0 ] || set -- swap-smp concurrency swap space crash basic fio glue
for part in "$@"; do
	case $part in
	concurrency)
		guest concurrency --smp --env "$(program CONCURRENCY)" \
			"$check_top/tests/concurrency/guest.sh" 14 "$RANDOM"
		;;
	crash) guest crash --env "$(program CRASH)" "$check_top/tests/crash/guest.sh" few ;;
	glue)
		guest glue --with "$check_top/tests/lab/probe" --env "$(program FUNCTIONAL)" \
			--env "$(program GLUE)" "$check_top/tests/glue/famine.sh"
		;;
	*) functional "$part" ;;
	esac
done
finish
