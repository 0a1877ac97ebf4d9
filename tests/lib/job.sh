# shellcheck shell=bash disable=SC2034 # variables for those who source it
# SPDX-License-Identifier: GPL-2.0
# What tests/lab/uml and tests/lab/qemu have in common: a run directory whose
# out/ the guest writes to, the job it finds there, and following its output.

job_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
job_cache=${QVAULT_CACHE:-$HOME/.cache/dm-qvault}
job_limit=900 job_mem=2G job_counts="" job_keep="" job_module=$job_top job_load=1 job_given_ko=""
job_disks=() job_words=() job_variables=() job_crash="" job_crash_delay=0

# Options that every laboratory knows; sets job_taken to how many words it took.
job_option() {
	job_taken=2
	case $1 in
	--mem) job_mem=$2 ;;
	--timeout) job_limit=$2 ;;
	--env) job_variables+=("$2") ;;
	--module) job_module=$(realpath "$2") ;;
	--counts) job_counts=$2 ;;
	--keep) job_keep=$2 ;;
	--arg) job_words+=("$2") ;;
	--disk|--ubd) job_disks+=("$(realpath "$2")") ;;
	--crash-when) job_crash=$2 ;;
	--crash-delay) job_crash_delay=$2 ;;
	--ko) job_given_ko=$2 ;;
	--no-module) job_load=0 job_taken=1 ;;
	*) job_taken=0 ;;
	esac
}

# The guest and all its processes, in whatever session they are; they are gone then.
job_kill() {
	[ -n "${job_pid:-}" ] || return 0
	kill "$job_pid" 2>/dev/null || true
	wait "$job_pid" || true
	job_pid=""
}

# The run directory vanishes at the end, whatever the end is.
job_begin() {
	mkdir -p "$job_cache/run"
	job_run=$(mktemp -d "$job_cache/run/XXXXXXXX")
	trap job_end EXIT
	mkdir "$job_run/out"
	: >"$job_run/console"
	: >"$job_run/kmsg"
}

job_end() {
	job_kill
	if [ -n "$job_keep" ]; then
		mkdir -p "$job_keep"
		cp "$job_run/kmsg" "$job_run/console" "$job_keep/" 2>/dev/null || true
		cp -r "$job_run/out/." "$job_keep/" 2>/dev/null || true
	fi
	rm -rf "$job_run"
}

# job_build KERNEL_BUILD_DIR [MAKE_ARG...]: module and tool for this run.  Both lie
# beside the job, since the guest hides some of the host's directories.
job_build() {
	local options=() kernel=$1
	shift
	job_tool=$("$job_top/tests/lab/build-tool")
	[ -z "$job_tool" ] || cp "$job_tool" "$job_run/out/"
	job_ko=""
	if [ -n "$job_given_ko" ]; then
		job_ko=$job_run/out/$(basename "$job_given_ko")
		cp "$job_given_ko" "$job_ko"
	elif [ "$job_load" -eq 1 ]; then
		[ "$job_module" = "$job_top" ] || options=(--source "$job_module")
		job_ko=$("$job_top/tests/lab/build-module" "${options[@]}" \
			--into "$job_run/out" "$kernel" "$@")
	fi
}

# job_write FLAVOUR SCRIPT [ARG...]
# A script from outside the tree is copied: the guest may hide where it lies.
job_write() {
	local flavour=$1 script depends="" where variable
	script=$(realpath "$2")
	shift 2
	where=/run/qvault/out/script
	case $script in
	"$job_top"/*) where=/run/qvault/tree/${script#"$job_top"/} ;;
	*) cp "$script" "$job_run/out/script" ;;
	esac
	[ -z "$job_ko" ] || depends=$(modinfo -F depends "$job_ko" | tr ',' ' ')
	{
		printf 'job_script=%q\n' "$where"
		printf 'job_arguments=('
		[ $# -eq 0 ] || printf '%q ' "$@"
		printf ')\n'
		printf 'job_depends=%q\n' "$depends"
		printf 'job_ko=%q\n' "${job_ko:+/run/qvault/out/$(basename "$job_ko")}"
		printf 'job_flavour=%q\n' "$flavour"
		printf 'export QVAULT_CTL=%q\n' "${job_tool:+/run/qvault/out/$(basename "$job_tool")}"
		for variable in "${job_variables[@]}"; do
			printf 'export %s=%q\n' "${variable%%=*}" "${variable#*=}"
		done
	} >"$job_run/out/job"
	rm -f "$job_run/out/verdict" "$job_run/out/counts"
}

# Kills the guest like a power cut when its output has a line like $job_crash.
job_crash_on_line() {
	local line
	while IFS= read -r line; do
		printf '%s\n' "$line"
		if [ -n "$job_crash" ] && [[ $line =~ $job_crash ]]; then
			sleep "$job_crash_delay"
			touch "$job_run/crashed"
			kill "$job_pid"
			job_crash=""
		fi
	done
}

# job_boot COMMAND...: run the guest, so that all its processes end with it, or with us;
# show what it prints, without carriage returns.
job_boot() {
	local started=$SECONDS status=0
	"$job_top/tests/lab/within" --kill "$job_limit" "$@" \
		</dev/null >>"$job_run/console" 2>&1 3>"$job_run/fd3" &
	job_pid=$!
	tail --pid="$job_pid" -s 0.1 -n +1 -f "$job_run/console" 2>/dev/null |
		stdbuf -oL tr -d '\r' | sed -u '/reboot: Power down$/d' | job_crash_on_line
	wait "$job_pid" || status=$?
	job_pid=""
	job_seconds=$((SECONDS - started))
	if [ "$status" -eq 124 ]; then touch "$job_run/expired"; fi
	cat "$job_run/fd3" "$job_run/kmsg" "$job_run/console" | tr -d '\r' >"$job_run/log"
	mv "$job_run/log" "$job_run/kmsg"
}

# job_judge LAB FLAVOUR: the exit status of the whole run.  A guest that was
# crashed on purpose must have lived until then without a complaint.
job_judge() {
	[ -z "$job_counts" ] || cp "$job_run/out/counts" "$job_counts" 2>/dev/null || true
	if [ -e "$job_run/crashed" ]; then
		judge_crashed "$1" "$job_run/kmsg" || return 1
		echo "$1: guest killed on purpose after $job_seconds s ($2)"
		return 0
	fi
	judge_guest "$1" "$job_run/out" "$job_run/kmsg" "$job_run/expired" "$2" || return 1
	if [ -n "$job_crash" ]; then
		echo "$1: FAILED: the guest never printed: $job_crash"
		return 1
	fi
	echo "$1: guest clean after $job_seconds s ($2)"
}
