# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What a check is made of.  Source it; call pass, fail, skip, try, ... for each
# test (tally.sh); end with finish, which alone prints the count line.

check_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
check_tmp=$(mktemp -d)
trap 'rm -rf "$check_tmp"' EXIT

export QVAULT_CACHE=${QVAULT_CACHE:-$HOME/.cache/dm-qvault}

# shellcheck source=tests/lib/tally.sh
. "$check_top/tests/lib/tally.sh"
# shellcheck source=tests/lib/whole.sh
. "$check_top/tests/lib/whole.sh"
# shellcheck disable=SC2034 # used by tally.sh
tally_output=$check_tmp/output

finish() {
	while [ "${#beside_files[@]}" -gt 0 ]; do beside_one; done
	echo "$tally_passed passed, $tally_failed failed, $tally_skipped skipped"
	[ "$tally_failed" -eq 0 ] || exit 1
	exit 0
}

# adopt NAME FILE: add the counts `passed failed skipped` that another left there.
adopt() {
	local passed failed skipped
	if ! read -r passed failed skipped <"$2"; then
		fail "$1" "left no counts"
		return 0
	fi
	tally_passed=$((tally_passed + passed))
	tally_failed=$((tally_failed + failed))
	tally_skipped=$((tally_skipped + skipped))
}

# adopt_line NAME FILE: the same from a log whose last count line is the result.
adopt_line() {
	sed -nE 's/^([a-z]+: )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\2 \3 0\5/p' \
		"$2" | tail -n 1 >"$check_tmp/adopted"
	adopt "$1" "$check_tmp/adopted"
}

# guest_ended NAME COUNTS STATUS: take over a guest's counts.  One that ends badly
# counts as one failure more than it reported itself; one that counted nothing
# has failed too.
guest_ended() {
	local name=$1 counts=$2 status=$3 before=$tally_failed
	if [ -s "$counts" ]; then
		adopt "$name" "$counts"
	elif [ "$status" -eq 0 ]; then
		fail "$name" "left no counts"
	fi
	if [ "$status" -ne 0 ] && [ "$tally_failed" -eq "$before" ]; then
		fail "$name" "ended badly (status $status)"
	fi
}

# in_guest uml|qemu ARG...: run tests/lab/... and take over the guest's counts.
in_guest() {
	local status=0
	rm -f "$check_tmp/counts"
	"$check_top/tests/lab/$1" --counts "$check_tmp/counts" "${@:2}" </dev/null || status=$?
	guest_ended "$1 guest" "$check_tmp/counts" "$status"
}

# beside NAME uml|qemu ARG...: the same for a check with many guests, which do not
# wait for each other.  Most have one processor, so two run at a time; what each
# says is shown in one piece when it has ended.  finish waits for the last.
declare -A beside_files=()	# of the guests that run, by process
beside_last=0

beside() {
	local files=$check_tmp/beside$((beside_last += 1)) name=$1 lab=$2
	[ "${#beside_files[@]}" -lt 2 ] || beside_one
	echo "$name" >"$files.name"
	"$check_top/tests/lab/$lab" --counts "$files.counts" "${@:3}" \
		</dev/null >"$files.log" 2>&1 &
	beside_files[$!]=$files
}

beside_one() {
	local process files status=0
	# Not wait -n, which forgets who ended before it was called.
	while ! process=$(beside_ended); do sleep 0.2; done
	wait "$process" || status=$?
	files=${beside_files[$process]}
	say "$(<"$files.name")"
	cat "$files.log"
	guest_ended "$(<"$files.name")" "$files.counts" "$status"
	unset "beside_files[$process]"
}

beside_ended() {
	local process
	for process in "${!beside_files[@]}"; do
		if ! kill -0 "$process" 2>/dev/null; then
			echo "$process"
			return 0
		fi
	done
	return 1
}
