#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: no key or plaintext where it should not be, no IV twice, on the real module
# minutes: 1
# processors: 1
# limit: 45
#
# The memory of a guest in User Mode Linux is a file of the host, which is searched
# for keys, what ciphers make of them, and plaintext, at four moments.  While the
# vault is attached its keys must be found: else the search could not find any.
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"

token=hygiene$RANDOM$RANDOM
key=$check_tmp/key plain=$check_tmp/plain
program=$("$check_top/tests/lab/guest-program" hygiene)

# What the guest may have in its environment.
masked() {
	python3 -c 'import sys; print(bytes(b ^ 0xa5 for b in open(sys.argv[1], "rb").read()).hex())' "$1"
}

start_guest() {
	local lab=$check_top/tests/lab
	"$lab/uml" --timeout 900 --mem 1200M --arg "$token=1" --ubd "$check_tmp/data" \
		--ubd "$check_tmp/anchor" --ubd "$check_tmp/turn" --env "HYGIENE=$program" \
		--env "HYGIENE_KEY=$(masked "$key")" --env "HYGIENE_PLAIN=$(masked "$plain")" \
		--keep "$check_tmp/kept" --counts "$check_tmp/counts" \
		"$check_top/tests/hygiene/guest.sh" >"$check_tmp/log" 2>&1 </dev/null &
	guest=$!
}

# The file that is the guest's memory: one that was unlinked, and the largest.
memory_of_guest() {
	local pid
	for pid in $(pgrep -f "$token=1"); do
		find "/proc/$pid/fd" -type l -lname '/dev/shm/*(deleted)' 2>/dev/null
	done | while read -r fd; do
		echo "$(stat -Lc %s "$fd") $fd"
	done | sort -rn | head -n 1 | cut -d ' ' -f 2
}

# stage N NAME EXPECTED
stage() {
	local memory
	until grep -q "^STAGE $1" "$check_tmp/log"; do
		if ! kill -0 "$guest" 2>/dev/null; then
			fail "$2" "the guest did not come so far"
			return 0
		fi
		sleep 0.2
	done
	memory=$(memory_of_guest)
	if "$program" search "$key" "$plain" "$3" "$memory" >"$check_tmp/found" 2>&1; then
		pass "$2: $(tail -n 1 "$check_tmp/found")"
	else
		sed 's/^/      /' "$check_tmp/found"
		fail "$2" "the guest's memory is not as it should be"
	fi
	printf '%s' "$1" | dd "of=$check_tmp/turn" conv=notrunc status=none
}

head -c 64 /dev/urandom >"$key"
head -c 64 /dev/urandom >"$plain"
truncate -s 16M "$check_tmp/data"
# One guest for each MAC, since a volume has the keys of its own only.
for QVAULT_MAC in hmac-sha256 nhpoly-aes; do
	export QVAULT_MAC
	say "$QVAULT_MAC"
	rm -f "$check_tmp/turn"
	truncate -s 1M "$check_tmp/turn"
	"$program" format "$key" "$check_tmp/anchor"
	: >"$check_tmp/log"
	start_guest
	stage 1 "in use: keys and plaintext are in memory" mcp
	stage 2 "idle: keys, and no plaintext" mc
	stage 3 "detached, key revoked: nothing" ""
	stage 4 "refused attaches: nothing" ""
	wait "$guest" || fail "the guest" "ended badly"
	sed -n 's/^\([0-9]* lives, .*\)/      \1/p; /^FAIL/p' "$check_tmp/log"
	adopt "guest" "$check_tmp/counts"
	grep -q '^table: .*logon:qvault:test' "$check_tmp/log" || fail "table" "was not shown"
	for where in data anchor log kept/kmsg kept/dmesg kept/console; do
		try "nothing in $where" "$program" search "$key" "$plain" "" "$check_tmp/$where"
	done
done
try "a file with the key is found out" "$program" search "$key" "$plain" m "$key"
[ "$tally_failed" -eq 0 ] || tail -n 30 "$check_tmp/log"
finish
