#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# usage: guest.sh SCRIPT [ARG...]
# Runs a script in a guest where everything may hang: once a task has been blocked
# for a minute, says which and where, and whom else it may have waited for, and ends
# the guest without a verdict.
set -euo pipefail

say_who_waits() {
	echo "guest: a task hangs"
	dmesg | grep -m 3 -A 30 'blocked for more than'
	dmesg -C
	echo w >/proc/sysrq-trigger
	dmesg
}

watch_for_hangs() {
	while sleep 5; do
		if dmesg | grep -q 'blocked for more than'; then
			say_who_waits
			busybox poweroff -f
		fi
	done
}

[ -e /proc/sys/kernel/hung_task_timeout_secs ] || {
	echo "guest: this kernel looks for no hung tasks"
	exit 1
}
watch_for_hangs &
watcher=$!
status=0
bash "$@" || status=$?
kill "$watcher"
exit "$status"
