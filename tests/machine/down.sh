#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One of two guests with one disk: the machine goes down while a vault is in use, and
# comes up again.
# usage: down.sh write	a write that nobody flushes, then an orderly end
#        down.sh hang	the same over a device that does not answer any more
#        down.sh read	what is there
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

size=$((48 * 2048))
linear d-data /dev/ubda 0 $size
linear d-anchor /dev/ubda $size 16
fun addkey
blocks=$((size / 8))
vault=/dev/mapper/d
attach_d() {
	dm_create d "0 $1 qvault /dev/mapper/d-data /dev/mapper/d-anchor :64:logon:qvault:test 2 commit_seconds 0"
}
down() {
	echo "going down"
	busybox halt -f
	sleep 60
}

if [ "$1" != read ]; then
	sectors=$(fun format "$blocks" 64 /dev/mapper/d-anchor)
	must "attach" attach_d "$sectors"
	fun pattern "$vault" 1 0 1000
	dmsetup message d 0 commit
	fun pattern "$vault" 2 100 300
	records=$(field d 10)
	same "nothing has committed it" "$records" "$(field d 10)"
	if [ "$1" = hang ]; then
		dmsetup suspend --noflush --nolockfs d-data
	fi
	down
fi
sectors=$("$QVAULT_CTL" dump --json /dev/mapper/d-anchor |
	sed -n 's/.*"size": *\([0-9]*\).*/\1/p')
must "attach" attach_d $((sectors / 512))
try "what was written and not flushed is there" fun verify "$vault" 2 100 300
try "and the rest" fun verify "$vault" 1 500 500
dm_remove d
finish
