#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the laboratory itself: every kind of bug, death and silence is noticed
# minutes: 3
# processors: 1
# limit: 90
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

lab=$check_top/tests/lab
log=$check_tmp/kept

# guest LAB OPTION... -- BUG...: sets $status; what it said is in $check_tmp/said.
guest() {
	local options=() machine=$1
	shift
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	status=0
	rm -rf "$log" "$check_tmp/counts"
	"$lab/$machine" --module "$lab/provoke" --keep "$log" --counts "$check_tmp/counts" \
		"${options[@]}" "$lab/provoke/guest" "$@" >"$check_tmp/said" 2>&1 || status=$?
}

# noticed NAME PATTERN: the run was refused, and for this reason.
noticed() {
	if [ "$status" -ne 0 ] && grep -qE "FAILED: .*$2" "$check_tmp/said"; then
		pass "$1"
	else
		tail -n 20 "$check_tmp/said" | sed 's/^/      /'
		fail "$1" "status $status and no complaint like: $2"
	fi
}

logged() {
	if grep -qE "$2" "$log/kmsg"; then
		pass "$1"
	else
		fail "$1" "no such line in the kernel's log: $2"
	fi
}

clean() {
	if [ "$status" -eq 0 ]; then
		pass "$1"
	else
		tail -n 20 "$check_tmp/said" | sed 's/^/      /'
		fail "$1" "status $status"
	fi
}

say "plain kernel"
guest uml -- none
clean "a good run is clean"
same "its counts arrive" "1 0 0" "$(cat "$check_tmp/counts")"
guest uml -- none fails
noticed "a failed test is noticed" "exited with status 1"
same "and counted" "1 1 0" "$(cat "$check_tmp/counts")"
guest uml -- none dies
noticed "a script that dies is noticed" "exited with status 1"
same "and counted as a failure" "1 1 0" "$(cat "$check_tmp/counts")"
guest uml -- none power
noticed "a guest that ends early is noticed" "died before its end"
guest uml -- warn
noticed "a WARNING is noticed" "the kernel reported: .*WARNING:"
guest uml -- oops
noticed "an oops is noticed" "the kernel reported|died before"
guest uml --timeout 40 -- patience hang
noticed "a hang is noticed" "killed after its time limit"
noticed "by the kernel too" "the kernel reported: .*INFO: task .* blocked"

say "an end from outside"
# A tree whose only check is a guest that hangs.
tree=$check_tmp/tree
mkdir -p "$tree/tests/checks"
ln -s "$lab" "$check_top/tests/lib" "$tree/tests/"
cp "$check_top/tests/run" "$tree/tests/"
cat >"$tree/tests/checks/hang.sh" <<END
. "\$(dirname "\$0")/../lib/check.sh"
in_guest uml --module "$lab/provoke" "$lab/provoke/guest" hang
finish
END
guests() { pgrep -f "QV_TREE=$tree" | wc -l; }

# until_guests TEST...: for some time.
until_guests() {
	local i
	for ((i = 0; i < 600; i++)); do
		if test "$(guests)" "$@"; then return 0; fi
		sleep 0.2
	done
	return 1
}

for signal in TERM INT KILL; do
	# A background process has SIGINT ignored, and bash can't change that.
	env --default-signal=INT "$tree/tests/run" hang </dev/null >"$check_tmp/said" 2>&1 &
	try "a guest runs" until_guests -gt 0
	kill -s "$signal" $!
	status=0
	wait $! 2>/dev/null || status=$?
	case $signal in
	KILL) same "SIG$signal ends tests/run" 137 "$status" ;;
	*) same "SIG$signal ends tests/run" 130 "$status" ;;
	esac
	try "and its guests" until_guests -eq 0
done

say "a build that is cut off"
cut=$check_tmp/cut
uml=$("$lab/uml-kernel" plain)
build_cut() { QVAULT_CACHE=$cut "$lab/build-module" "$uml" ARCH=um; }
QVAULT_CACHE=$cut setsid "$lab/build-module" "$uml" ARCH=um >"$check_tmp/said" 2>&1 &
until ls "$cut"/module/*/dm-qvault/*.o >"$check_tmp/objects" 2>/dev/null; do sleep 0.1; done
kill -KILL -- -$!
wait $! 2>/dev/null || true
# As kbuild does while it tries out the compiler.
for work in "$cut"/module/*/; do mkdir "$work/.tmp_1" && touch "$work/.tmp_1/tmp.o"; done
try "is begun anew" build_cut
same "and says its path and no more" "$cut/module/.../dm-qvault/dm-qvault.ko" \
	"$(sed "s|/module/[^/]*/|/module/.../|" "$tally_output")"
# Objects may also stay behind when a directory of sources goes.
for work in "$cut"/module/*/; do mkdir "$work/dm-qvault/gone" && touch "$work/dm-qvault/gone/x.o"; done
try "directories that went do no harm" build_cut
same "to the path" "$cut/module/.../dm-qvault/dm-qvault.ko" \
	"$(sed "s|/module/[^/]*/|/module/.../|" "$tally_output")"

say "stock kernel"
guest qemu -- none
clean "a good run is clean under a stock kernel"
same "its counts arrive" "1 0 0" "$(cat "$check_tmp/counts")"
guest qemu -- warn
noticed "a WARNING is noticed under a stock kernel" "the kernel reported: .*WARNING:"
guest qemu -- oops
noticed "and a guest that dies of an oops" "died before its end"

say "two processors"
guest uml --smp -- none
clean "a good run is clean on two processors"
guest uml --smp --arg ncpus=1 -- none
noticed "that only one was up is noticed" "only 1 processors were up"
guest uml --smp -- lockdep
noticed "lockdep sees an inversion there" "possible circular"
noticed "and that it then went to sleep is seen" "lockdep was off"

say "debug kernel"
guest uml --debug -- none
clean "a good run is clean under the debug kernel"
guest uml --debug -- kasan ubsan sleep leak
noticed "a bug is noticed under the debug kernel" "the kernel reported"
logged "KASAN sees a use after free" "KASAN: slab-use-after-free in read_byte"
logged "UBSAN sees a shift too far" "UBSAN: shift-out-of-bounds"
logged "sleeping under a spinlock is seen" "BUG: sleeping function called"
noticed "kmemleak sees a leak" "kmemleak: [0-9]+ unreferenced"
guest uml --debug -- lockdep
noticed "lockdep sees an inversion" "possible circular"
noticed "and that lockdep then went to sleep is seen" "lockdep was off"
finish
