# shellcheck shell=bash disable=SC2154 # what check.sh sets
# SPDX-License-Identifier: GPL-2.0
# Machines with a stock Debian kernel, whose power, memory and disks are in the hands
# of the check.  Source it after tests/lib/check.sh.
#
# They have no root but an initramfs (9p can neither be migrated nor hibernated), and do
# what they are told at a serial line: tests/two-lives/init.  What one has written is
# safe in this host's page cache when it is killed.
# shellcheck source=tests/lib/verdict.sh
. "$check_top/tests/lib/verdict.sh"
# shellcheck source=tests/lib/initramfs.sh
. "$check_top/tests/lib/initramfs.sh"

machine_limit=600	# seconds that a machine may be on; see within
machine_boots=0
declare -A machine_pid=()	# of QEMU within its time, by the machine's name
declare -A machine_says=() machine_hears=()	# its serial line: descriptors
declare -A machine_replies=() machine_obeys=()	# QEMU's own commands: descriptors

machines_build() {
	local lab=$check_top/tests/lab tree=$check_tmp/tree ko
	release="" vmlinuz="" modules="" headers=""
	eval "$("$lab/debian-kernel" 6.12)"
	# QVAULT_MODULE names the sources of another module than ours: see mutation.
	ko=$("$lab/build-module" ${QVAULT_MODULE:+--source "$QVAULT_MODULE"} \
		--into "$check_tmp" "$headers")
	machine_tool=$("$lab/build-tool")
	mkdir -p "$tree"/{proc,sys,dev}
	cp "$check_top/tests/two-lives/init" "$tree/init"
	(umask 077 && head -c 64 /dev/urandom >"$tree/key")
	add_programs "$tree" "$(command -v busybox)" "$(command -v dmsetup)" "$machine_tool" \
		"$("$lab/guest-program" functional)" "$("$lab/guest-program" machine)"
	# shellcheck disable=SC2046 # a list of names
	{
		module_files "${modules%/lib/modules/*}" "$release" virtio_pci virtio_blk dm_mod \
			xts ecb aesni_intel sha256_generic sha256_ssse3 hmac \
			$(modinfo -F depends "$ko" | tr ',' ' ')
		echo "$ko"
	} | add_modules "$tree"
	pack_initramfs "$tree" "$check_tmp/initrd"
}

# new_disks DIRECTORY: a vault's, formatted.
new_disks() {
	mkdir -p "$1"
	truncate -s 32M "$1/data"
	truncate -s 1M "$1/anchor"
	"$machine_tool" format --batch-mode --key-file "$check_tmp/tree/key" "$1/data" \
		"$1/anchor" >/dev/null
}

copy_disks() { cp -r --sparse=always "$1" "$2"; }

# ---- Switched on and off ----

# For both directions: who opens a pipe so waits for nobody.
open_pipes() {
	local hears says obeys replies
	mkfifo "$2"/{line,control}.{in,out}
	exec {hears}<>"$2/line.in" {says}<>"$2/line.out" \
		{obeys}<>"$2/control.in" {replies}<>"$2/control.out"
	machine_hears[$1]=$hears machine_says[$1]=$says
	machine_obeys[$1]=$obeys machine_replies[$1]=$replies
}

close_pipes() {
	local hears=${machine_hears[$1]} says=${machine_says[$1]}
	local obeys=${machine_obeys[$1]} replies=${machine_replies[$1]}
	exec {hears}>&- {says}>&- {obeys}>&- {replies}>&-
}

# boot NAME WORDS DISK... [-- QEMU-ARGUMENT...]: WORDS are for the kernel.
boot() {
	local name=$1 words=$2 where=$check_tmp/machine-$1 arguments=()
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		# Who has which disk is for the vaults to find out.
		arguments+=(-drive "file=$1,format=raw,if=virtio,cache=writeback,file.locking=off")
		shift
	done
	arguments+=("${@:2}")
	rm -rf "$where"
	mkdir "$where"
	open_pipes "$name" "$where"
	machine_boots=$((machine_boots + 1))
	# Emulated, and perhaps starved by whatever else runs here: a stall is no news.
	"$check_top/tests/lab/within" --kill "$machine_limit" \
		qemu-system-x86_64 -M q35 -nodefaults -display none -no-reboot -m 320M \
		-cpu max -accel "tcg,thread=single" -kernel "$vmlinuz" -initrd "$check_tmp/initrd" \
		-append "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off no_timer_check \
			rcupdate.rcu_cpu_stall_suppress=1 nowatchdog $words" \
		-serial "file:$check_tmp/console-$machine_boots-$name" -serial "pipe:$where/line" \
		-qmp "pipe:$where/control" -device virtio-rng-pci "${arguments[@]}" \
		</dev/null >"$where/qemu" 2>&1 &
	machine_pid[$name]=$!
	if ! control "$name" '{"execute": "qmp_capabilities"}' '"return"'; then
		cat "$where/qemu"
		fail "machine $name" "QEMU does not start"
		finish
	fi
}

# cut NAME...: its power.
cut() {
	local name
	for name in "$@"; do
		kill "${machine_pid[$name]}" 2>/dev/null || true
		gone "$name" || true
	done
}

gone() {
	local status=0
	wait "${machine_pid[$1]}" || status=$?
	close_pipes "$1"
	unset "machine_pid[$1]"
	return "$status"
}

# off NAME: it has switched itself off.
off() {
	local status=0
	gone "$1" || status=$?
	if [ "$status" -eq 124 ]; then
		echo "machine $1 is still on"
		return 1
	fi
}

# ---- Told and asked ----

# lines NAME DESCRIPTOR PATTERN: print what comes there, up to a line like PATTERN.
lines() {
	local name=$1 line part=""
	while true; do
		if ! IFS= read -r -t 2 -u "$2" line; then
			part+=$line
			kill -0 "${machine_pid[$name]}" 2>/dev/null || break
			continue
		fi
		line=$part$line part=""
		printf '%s\n' "${line%$'\r'}"
		if [[ $line =~ $3 ]]; then return 0; fi
	done
	echo "machine $name does not answer; the end of its log:"
	tail -n 15 "$check_tmp"/console-*-"$name" | tr -d '\r'
	return 1
}

# hear NAME: what it says to what it was told, and its exit status.
hear() {
	local said
	said=$(lines "$1" "${machine_says[$1]}" '^@@ ') || { echo "$said"; return 125; }
	grep -v '^@@ ' <<<"$said" || true
	return "${said##*@@ }"
}

tell() { printf '%s\n' "$2" >&"${machine_hears[$1]}"; }
ask() { tell "$@" && hear "$1"; }

# control NAME COMMAND PATTERN: a command to QEMU, and the line that shows it done.
control() {
	printf '%s\n' "$2" >&"${machine_obeys[$1]}"
	lines "$1" "${machine_replies[$1]}" "$3" >"$check_tmp/control"
}

# control_until NAME COMMAND PATTERN: ask until QEMU says so.
control_until() {
	until control "$1" "$2" '"return"' && grep -q "$3" "$check_tmp/control"; do
		if ! kill -0 "${machine_pid[$1]}" 2>/dev/null; then
			cat "$check_tmp/control"
			return 1
		fi
		sleep 0.2
	done
}

# ---- Memory that is copied ----

# halt_and_copy NAME FILE: it stands still, and its memory is in FILE.
halt_and_copy() {
	control "$1" '{"execute": "stop"}' '"return"'
	control "$1" "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"exec:cat >$2\"}}" '"return"'
	control_until "$1" '{"execute": "query-migrate"}' '"status": "completed"'
}

go_on() { control "$1" '{"execute": "cont"}' '"return"'; }

# boot_copy NAME FILE DISK... [-- QEMU-ARGUMENT...]: it awakes where it was copied.
boot_copy() {
	local arguments=("${@:3}")
	[[ " ${arguments[*]} " == *" -- "* ]] || arguments+=(--)
	boot "$1" "" "${arguments[@]}" -incoming "exec:cat $2"
	control_until "$1" '{"execute": "query-status"}' '"paused"'
	go_on "$1"
}

# ---- The end ----

# Also of a check that ends in the midst of a scene.
machines_off() {
	local name
	for name in "${!machine_pid[@]}"; do cut "$name"; done
}
trap 'machines_off; rm -rf "$check_tmp"' EXIT

# No machine may have had anything to say about a bug.
machines_finish() {
	local file
	for file in "$check_tmp"/console-*; do
		try "no complaint of the kernel in ${file##*/console-}" judge_crashed machine "$file"
	done
	finish
}
