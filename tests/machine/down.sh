#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One of two guests with one disk: the machine goes down while a vault is in use, and
# comes up again.
# usage: down.sh write	a write that nobody flushes, then an orderly end
#        down.sh hang	the same over a device that does not answer any more; beside it is
#			another vault, and a write that comes while this one is waited for
#        down.sh read NAME	what is there
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

# The same in both guests.
printf '%064d' 7 >"$key"

# devices NAME START SECTORS: of a vault, on the one disk.
devices() {
	linear "$1-data" /dev/ubda "$2" "$3"
	linear "$1-anchor" /dev/ubda $(($2 + $3)) 2048
}

devices d 0 $((48 * 2048))
devices e $((50 * 2048)) $((12 * 2048))

old() { must "attach" attach "$1" "/dev/mapper/$1-data" "/dev/mapper/$1-anchor" --commit-seconds 0; }
new() {
	format --force "/dev/mapper/$1-data" "/dev/mapper/$1-anchor" >/dev/null
	old "$1"
}

# A write that nothing has committed.
write() {
	local records
	new d
	fun pattern /dev/mapper/d 1 0 1000
	dmsetup message d 0 commit
	fun pattern /dev/mapper/d 2 100 300
	records=$(field d 10)
	same "nothing has committed it" "$records" "$(field d 10)"
}

down() {
	echo "going down"
	busybox halt -f
	sleep 60
}

case $1 in
write)
	write
	down
	;;
hang)
	new e
	write
	dmsetup suspend --noflush --nolockfs d-data
	down &
	# It waits ten seconds for d.
	sleep 3
	fun pattern /dev/mapper/e 3 0 100
	echo "written"
	wait
	;;
read)
	old "$2"
	if [ "$2" = d ]; then
		try "what was written and not flushed is there" fun verify /dev/mapper/d 2 100 300
		try "and the rest" fun verify /dev/mapper/d 1 500 500
	else
		try "what was written as it went down is there" fun verify /dev/mapper/e 3 0 100
	fi
	detach "$2"
	finish
	;;
esac
