# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For scripts that try what the tool must refuse.  They define state(), which says all
# that must not change, and undo(), for what was let in by mistake.

# refused NAME CODE PATTERN COMMAND...: one line that matches, and nothing changes.
refused() {
	local name=$1 code=$2 pattern=$3 before status=0 why=""
	shift 3
	before=$(state)
	"$@" </dev/null >/tmp/out 2>/tmp/err || status=$?
	# It must not disturb the tests that follow.
	[ "$status" -ne 0 ] || undo
	if [ "$status" -ne "$code" ]; then
		why="exit code $status, not $code"
	elif [ "$(wc -l </tmp/err)" -ne 1 ] || [ -s /tmp/out ]; then
		why="not exactly one line on stderr, and none on stdout"
	elif ! grep -qE "^qvault-ctl: .*($pattern)" /tmp/err; then
		why="the line does not match: $pattern"
	elif [ "$(state)" != "$before" ]; then
		why="something has changed"
	fi
	if [ -z "$why" ]; then
		pass "$name: $(sed 's/^qvault-ctl: //' /tmp/err)"
	else
		sed 's/^/      /' /tmp/err
		fail "$name" "$why"
	fi
}
