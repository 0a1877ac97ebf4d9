#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the laboratory itself: every kind of bug, death and silence is noticed
# minutes: 4
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

for signal in TERM INT HUP KILL; do
	# A background process has SIGINT ignored, and bash can't change that.
	env --default-signal=INT,HUP "$tree/tests/run" hang </dev/null >"$check_tmp/said" 2>&1 &
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

say "limits"
within() { "$lab/within" --usage "$check_tmp/used" "$@"; }
spin() { timeout "$1" sh -c 'while :; do :; done'; }
export -f spin
by_clock() { cut -d . -f 1 "$check_tmp/used"; }
expect_fail "a command's status is passed on" within 9 sh -c 'exit 3'
same "as it is" 3 "$tally_last"
expect_fail "what sleeps too long is ended" within 1 sleep 1000
same "with a status that tells" 124 "$tally_last"
try "what it leaves behind is ended" within 9 sh -c "setsid sleep 98765 & echo began"
expect_said "although it began" began
expect_fail "and is gone" pgrep -f 'sleep 98765'
# Each of these has a processor for less than half of the time, and so has what they disturb.
for ((i = 0; i < 3 * $(nproc); i++)); do spin 60 & done
spinners=$(jobs -p)
began=$SECONDS
expect_fail "on a busy machine, what spins is ended" within 3 bash -c 'spin 1000'
same "after its time" 3 "$(by_clock)"
try "which is more by the clock on the wall" test $((SECONDS - began)) -ge 5
began=$SECONDS
expect_fail "what hangs is ended there" within 3 sleep 1000
try "as soon as elsewhere" test $((SECONDS - began)) -lt 15
# shellcheck disable=SC2086 # numbers
kill $spinners 2>/dev/null || true
wait

say "what installs"
# Stand-ins for a machine that has nothing yet.
mkdir "$check_tmp/fresh"
cat >"$check_tmp/fresh/dpkg-query" <<END
#!/bin/sh
[ ! -e "$check_tmp/installed" ] || printf installed
END
cat >"$check_tmp/fresh/apt-get" <<END
#!/bin/sh
case "\$*" in *install*) ;; *) exit 0 ;; esac
for i in \$(seq 120); do
	echo "Get:\$i http://mirror/pool package\$i"
	echo "Unpacking package\$i ..."
	echo "Setting up package\$i (1.0) ..."
done
touch "$check_tmp/installed"
END
printf '#!/bin/sh\n' >"$check_tmp/fresh/apt-cache"
printf '#!/bin/sh\nshift\nexec "$@"\n' >"$check_tmp/fresh/sudo"
chmod +x "$check_tmp"/fresh/*
install_fresh() {
	rm -f "$check_tmp/installed"
	PATH=$check_tmp/fresh:$PATH "$@"
}
few_lines() { install_fresh "$lab/install" >"$check_tmp/said" && [ "$(wc -l <"$check_tmp/said")" -le 8 ]; }
one_line() {
	install_fresh script -qec "$lab/install" /dev/null >"$check_tmp/said" &&
		[ "$(wc -l <"$check_tmp/said")" -le 5 ] &&
		grep $'\r''install: 120 fetched, 120 unpacked, 120 set up' "$check_tmp/said"
}
try "says it in few lines" few_lines
try "and to the end" grep '^install: done$' "$check_tmp/said"
try "on a terminal in one that moves" one_line

say "builds that are cut off"
cut=$check_tmp/cut
uml=$("$lab/uml-kernel" plain)
build_cut() { QVAULT_CACHE=$cut "$lab/build-module" "$uml" ARCH=um; }
build_tool() { QVAULT_CACHE=$cut "$lab/build-tool"; }

# cut_off FILES COMMAND...: once there is one of them.
cut_off() {
	local files=$1
	shift
	QVAULT_CACHE=$cut setsid "$@" >"$check_tmp/said" 2>&1 &
	until compgen -G "$files" >"$check_tmp/objects"; do sleep 0.02; done
	kill -KILL -- -$!
	wait $! 2>/dev/null || true
}

cut_off "$cut/tool/*/userspace/*.o" "$lab/build-tool"
for object in "$cut"/tool/*/userspace/*.o; do : >"$object"; done
try "one of the tool is begun anew" build_tool
try "and is whole" sh -c "$cut/tool/*/userspace/qvault-ctl --version"
# A compiler after which, once, the power fails.
cat >"$check_tmp/compiler" <<'END'
#!/bin/sh
[ ! -e "$0.fails" ] || {
	rm "$0.fails"
	for word; do
		case $before in -o | -MF) echo "half: /a/file" >"$word" ;; esac
		before=$word
	done
	kill -KILL 0
}
exec gcc "$@"
END
chmod +x "$check_tmp/compiler"
make_tool() { make -s -C "$check_top/userspace" "O=$cut/plain" "CC=$check_tmp/compiler"; }
touch "$check_tmp/compiler.fails"
# All of its group, which is not ours, is killed.
{ "$lab/within" 600 bash -c "$(declare -f make_tool)
	check_top=$check_top cut=$cut check_tmp=$check_tmp make_tool" || true; } >/dev/null 2>&1
expect_fail "make of the tool fails with the power" test -e "$check_tmp/compiler.fails"
try "and goes on from there" make_tool
try "and is whole" "$cut/plain/qvault-ctl" --version
cut_off "$cut/module/*/dm-qvault/*/*.o" "$lab/build-module" "$uml" ARCH=um
# As kbuild does while it tries out the compiler.
for work in "$cut"/module/*/; do mkdir "$work/.tmp_1" && touch "$work/.tmp_1/tmp.o"; done
try "one of the module is begun anew" build_cut
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
