# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# When was a guest clean?  The same rules for every laboratory.

# What a kernel with something to say about a bug prints.
verdict_patterns='BUG:|WARNING:|Oops|Kernel panic|KASAN:|UBSAN:|ODEBUG:'
verdict_patterns+='|INFO: task .* blocked|INFO: rcu|INFO: trying to register'
verdict_patterns+='|suspicious RCU|possible (circular|recursive|irq lock)'
verdict_patterns+='|general protection fault|Segfault with no mm|unable to handle'
verdict_patterns+='|refcount_t:|soft lockup|hard LOCKUP|self-detected stall'

# What it prints when a facility that should watch goes to sleep.
verdict_asleep='Kernel memory leak detector disabled|lockdep is turned off'
verdict_asleep+='|BUG: MAX_(LOCKDEP|LOCK|STACK)|turning off the locking correctness'

# Out-of-tree, unsigned and KUnit are what we are; any other taint is news.
verdict_innocent_taint=$((1 << 12 | 1 << 13 | 1 << 18))

verdict_value() { sed -n "s/^$2=//p" "$1" | head -n 1; }

verdict_complain() {
	echo "$verdict_lab: FAILED: $*"
	verdict_status=1
}

# Show the report itself and what stands around it; the stack without guesses.
verdict_excerpt() {
	grep -v '>\] ? ' "$1" | grep -m 1 -B 2 -A 40 -E "$verdict_patterns" | sed 's/^/      /'
}

# The part of the log that is judged: at the end of a debug run a bug is made on
# purpose, to see that KASAN, which has no state to read, is still awake.
verdict_end='qvault: end of the run'

verdict_log() {
	sed "/$verdict_end/,\$d" "$1" >"$1.judged"
	set -- "$1.judged"
	if grep -qE "$verdict_patterns" "$1"; then
		verdict_complain "the kernel reported: $(grep -m 1 -E "$verdict_patterns" "$1")"
		verdict_excerpt "$1"
	fi
	if grep -qE "$verdict_asleep" "$1"; then
		verdict_complain "a watcher went to sleep: $(grep -m 1 -E "$verdict_asleep" "$1")"
	fi
}

verdict_lockdep() {
	[ "$(verdict_value "$1" lockdep)" = 1 ] ||
		verdict_complain "lockdep was off at the end"
}

verdict_smp() {
	local n
	n=$(verdict_value "$1/verdict" processors)
	verdict_lockdep "$1/verdict"
	[ "${n:-0}" -ge 2 ] || verdict_complain "only ${n:-0} processors were up"
}

verdict_debug() {
	local file=$1/verdict log=$2
	verdict_lockdep "$file"
	sed "1,/$verdict_end/d" "$log" | grep 'KASAN: slab-use-after-free in read_byte' >/dev/null ||
		verdict_complain "KASAN did not see the bug made for it at the end"
	case $(verdict_value "$file" leaks) in
	0) ;;
	"") verdict_complain "kmemleak did not scan" ;;
	*)
		verdict_complain "kmemleak: $(verdict_value "$file" leaks) unreferenced objects"
		grep -m 1 -A 40 '^unreferenced object' "$1/kmemleak" | sed 's/^/      /'
		;;
	esac
}

# judge_crashed LAB LOG: a guest that was killed on purpose.
judge_crashed() {
	verdict_lab=$1 verdict_status=0
	verdict_log "$2"
	return "$verdict_status"
}

# judge_guest LAB OUT_DIRECTORY LOG EXPIRED FLAVOUR
judge_guest() {
	local file=$2/verdict log=$3 expired=$4 flavour=$5 taint
	verdict_lab=$1 verdict_status=0
	verdict_log "$log"
	if [ -e "$expired" ]; then
		verdict_complain "killed after its time limit"
	fi
	if ! grep -qx complete "$file" 2>/dev/null; then
		verdict_complain "the guest died before its end; last lines of its log:"
		tail -n 25 "$log" | sed 's/^/      /'
		return 1
	fi
	[ "$(verdict_value "$file" status)" = 0 ] ||
		verdict_complain "the script exited with status $(verdict_value "$file" status)"
	[ "$(verdict_value "$file" unload)" = 0 ] ||
		verdict_complain "the module could not be unloaded: something still uses it"
	# An empty word would count as 0.
	taint=$(verdict_value "$file" tainted)
	[ $((${taint:--1} & ~verdict_innocent_taint)) -eq 0 ] ||
		verdict_complain "the kernel is tainted: $taint"
	case $flavour in
	debug) verdict_debug "$2" "$log" ;;
	smp) verdict_smp "$2" ;;
	esac
	return "$verdict_status"
}
