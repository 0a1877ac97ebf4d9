# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Builds in the cache that may be cut off at any moment.

# whole DIRECTORY COMMAND...: run what builds in DIRECTORY; alone there, and on nothing
# that a build that was cut off has left.  Neither needs `set -e` to end at a failure.
#
# A build that goes on where an earlier one ended can't be made aside and renamed.  So
# the directory is marked while one is at work; a mark that is found is that of one that
# did not come to its end, of which any file may be half written.
whole() {
	local work=$1 status=0
	shift
	mkdir -p "$(dirname "$work")" || return
	(
		flock 9
		[ ! -e "$work.unfinished" ] || rm -rf "$work"
		touch "$work.unfinished"
		mkdir -p "$work"
		# What it leaves running does not hold the lock.
		"$@" 9>&- || status=$?
		rm "$work.unfinished"
		exit "$status"
	) 9>"$work.lock"
}
