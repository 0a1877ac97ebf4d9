#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The crash runs inside a guest: guest.sh short|few|debug|changes|groups [SEED] | long POINTS SEED
# $CRASH is the program of crash.c.
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

ramdisks 4 768
need dm-log-writes

points=0 recordings=0
# crash NAME ARG...: its last line has the count of points.
crash() {
	local name=$1 n bad
	shift
	recordings=$((recordings + 1))
	if ! "$CRASH" "$@" --save "$QVAULT_OUT/recording$recordings" 2>&1 |
		tee /tmp/crash.out | sed 's/^/      /'; then
		fail "$name" "recording$recordings is kept:${QVAULT_MAC:+ QVAULT_MAC=$QVAULT_MAC} crash $* --load it"
		return 0
	fi
	read -r _ n _ _ bad _ < <(tail -n 1 /tmp/crash.out)
	points=$((points + n))
	if [ "$n" -gt 0 ] && [ "$bad" = 0 ]; then
		pass "$name: $n crash points"
	else
		fail "$name" "no count of crash points"
	fi
}

# Writes end later and in another order than they were sent.
slow_base() {
	nulldisk late 256 irqmode=2 completion_nsec=150000 hw_queue_depth=128
}

# A test that cannot fail shows nothing: a device that overwrites in place and
# has nothing to say about order must be found out.
cannot_pass() {
	if "$CRASH" --target linear --seed 9 --rounds 1 --points 60 >/tmp/crash.out 2>&1; then
		fail "a plain device is found out" "it was not"
	elif grep -q 'crash points, [1-9][0-9]* bad' /tmp/crash.out; then
		pass "a plain device is found out"
	else
		tail -n 5 /tmp/crash.out
		fail "a plain device is found out" "the run died"
	fi
}

# files SEED POINTS: file systems and a database on the vault, with their own checks.
files() {
	local seed=$1 points=$2
	crash "ext4, seed $seed" --files ext4 --blocks 6500 --rounds 2 --seed "$seed" \
		--points "$points"
	crash "sqlite, seed $seed" --files sqlite --blocks 6500 --rounds 2 --seed "$seed" \
		--points "$points"
	crash "xfs, seed $seed" --files xfs --blocks 17000 --rounds 2 --seed "$seed" \
		--points $((points / 2))
}

# changes SEED POINTS: other keys, sizes, generations, and moments that are copied.  While
# the key or the size changes every write is a point; elsewhere there are POINTS.
changes() {
	crash "keys and sizes, seed $1" --seed "$1" --rounds 2 --grow 150 --points "$2"
}

# groups SEED POINTS: the same, and from one group to two.
groups() {
	crash "keys and groups, seed $1" --seed "$1" --rounds 1 --grow 17000 --threads 2 \
		--points "$2"
}

# Every candidate of one recording after the other, of four kinds, until there
# are as many points as wanted.
long() {
	local wanted=$1 seed=$2
	slow_base
	while [ "$points" -lt "$wanted" ] && [ "$tally_failed" -eq 0 ]; do
		crash "small volume, seed $seed" --seed "$seed" --rounds 4 --subsets 4
		crash "out of order, seed $((seed + 1))" --seed $((seed + 1)) --rounds 4 \
			--subsets 4 --base "$disk" --threads 8 --options "1 allow_discards"
		crash "tiny volume, seed $((seed + 2))" --seed $((seed + 2)) --rounds 6 \
			--subsets 4 --blocks 1000 --options "2 memory_mib 1"
		# Not filled up: UML has no room for a process that maps so many pages.
		crash "two groups, seed $((seed + 3))" --seed $((seed + 3)) --rounds 1 \
			--blocks 34500 --log 64 --points 300
		changes $((seed + 4)) 2000
		groups $((seed + 5)) 40
		files "$seed" 40
		seed=$((seed + 6))
	done
}

mode=$1
case $mode in
short)
	seed=${2:-1}
	cannot_pass
	crash "small volume" --seed "$seed" --rounds 4 --points 3000
	crash "discards passed on, little memory" --seed $((seed + 1)) --rounds 2 \
		--points 800 --options "3 allow_discards memory_mib 1"
	QVAULT_MAC=nhpoly-aes crash "small volume, nhpoly-aes" --seed "$seed" --rounds 1 \
		--points 500
	slow_base
	crash "writes that end out of order" --seed $((seed + 2)) --rounds 2 \
		--points 1000 --base "$disk" --threads 6
	crash "two groups, three levels" --seed $((seed + 3)) --rounds 1 \
		--points 80 --blocks 34500 --log 64
	changes $((seed + 4)) 300
	groups $((seed + 5)) 20
	files "$seed" 16
	;;
changes) changes "${2:-1}" "${3:-300}" ;;
groups) groups "${2:-1}" "${3:-20}" ;;
few)
	crash "small volume" --seed "${2:-1}" --rounds 2 --points 300
	slow_base
	crash "writes that end out of order" --seed $((${2:-1} + 1)) --rounds 1 \
		--points 200 --base "$disk" --threads 6
	;;
debug)
	crash "small volume" --seed "${2:-1}" --rounds 1 --points 60
	;;
long) long "$2" "$3" ;;
esac
say "$points crash points"
[ "$tally_failed" -ne 0 ] || echo "$points crash points"
finish
