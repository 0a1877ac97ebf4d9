# shellcheck shell=bash disable=SC2154 # what check.sh sets
# SPDX-License-Identifier: GPL-2.0
# What checks/powercut*.sh are: power_cuts N SEED, after tests/lib/check.sh.
#
# One virtual machine after the other with a stock Debian kernel and its two disks
# in our own storage (storage.c), killed with SIGKILL as it writes, or as it
# attaches.  What QEMU has not sent by then, and what the storage had in its cache,
# is gone.  The next machine says what it found.
# shellcheck source=tests/lib/verdict.sh
. "$check_top/tests/lib/verdict.sh"
# shellcheck source=tests/lib/initramfs.sh
. "$check_top/tests/lib/initramfs.sh"

pc_logical=4400		# THREADS * REGION of powercut.h
pc_seed=1 pc_cuts=0 pc_lost=0 pc_early=0 pc_running=0

pc_build() {
	local lab=$check_top/tests/lab tests=$check_top/tests
	release="" vmlinuz="" modules="" headers=""
	eval "$("$lab/debian-kernel" 6.12)"
	gcc -std=gnu11 -O2 -g -Wall -Wextra -static -pthread -o "$check_tmp/powercut" \
		"$tests"/powercut/*.c "$tests/lib/dm.c" "$tests/lib/util.c"
	pc_ko=$("$lab/build-module" --into "$check_tmp" "$headers")
	pc_tool=$("$lab/build-tool")
}

pc_initramfs() {
	local tree=$check_tmp/tree
	mkdir -p "$tree"
	cp "$check_tmp/powercut" "$tree/init"
	cp "$check_tmp/key" "$tree/key"
	# shellcheck disable=SC2046 # a list of names
	{
		module_files "${modules%/lib/modules/*}" "$release" virtio_pci virtio_blk dm_mod \
			xts ecb aesni_intel sha256_generic sha256_ssse3 hmac \
			$(modinfo -F depends "$pc_ko" | tr ',' ' ')
		echo "$pc_ko"
	} | add_modules "$tree"
	pack_initramfs "$tree" "$check_tmp/initrd"
}

pc_prepare() {
	(umask 077 && head -c 64 /dev/urandom >"$check_tmp/key")
	: >"$check_tmp/operations"
	truncate -s 20M "$check_tmp/data"
	truncate -s 1M "$check_tmp/anchor"
	truncate -s 128K "$check_tmp/report"
	pc_build
	pc_initramfs
	"$pc_tool" format --batch-mode --key-file "$check_tmp/key" --size "$((pc_logical * 4096))" \
		"$check_tmp/data" "$check_tmp/anchor" >/dev/null
}

# Sets qemu, which is within its time, and storage: the two processes.
pc_boot() {
	local boot=$1 socket=$check_tmp/socket
	rm -f "$socket"
	: >"$check_tmp/said.$boot"
	"$check_tmp/powercut" storage "$socket" $((pc_seed + boot)) "$check_tmp/data" \
		"$check_tmp/anchor" >"$check_tmp/cut.$boot" &
	storage=$!
	while [ ! -S "$socket" ]; do sleep 0.05; done
	# Emulated, and perhaps starved by whatever else runs here: a stall is no news.
	"$check_top/tests/lab/within" --kill 180 qemu-system-x86_64 -M q35 -nodefaults -display none -no-reboot -m 384M \
		-cpu max -accel tcg -kernel "$vmlinuz" -initrd "$check_tmp/initrd" \
		-append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off no_timer_check \
			rcupdate.rcu_cpu_stall_suppress=1 nowatchdog pc_seed=$pc_seed pc_boot=$boot" \
		-serial "file:$check_tmp/console" -serial "file:$check_tmp/said.$boot" \
		-device virtio-rng-pci \
		-drive "file=nbd:unix:$socket:exportname=0,format=raw,if=virtio,cache=writeback" \
		-drive "file=nbd:unix:$socket:exportname=1,format=raw,if=virtio,cache=writeback" \
		-drive "file=$check_tmp/report,format=raw,if=virtio,cache=writeback" \
		</dev/null >"$check_tmp/qemu" 2>&1 &
	qemu=$!
}

# pc_wait BOOT PATTERN: until it has said so; not if it dies, or has had its time.
pc_wait() {
	until grep -qE "$2" "$check_tmp/said.$1"; do
		kill -0 "$qemu" 2>/dev/null || return 1
		sleep 0.05
	done
}

pc_kill() {
	kill "$qemu" 2>/dev/null || true
	wait "$qemu" 2>/dev/null || true
	wait "$storage" || true
}

pc_bad() {
	pc_lost=$((pc_lost + 1))
	fail "power cut before machine $1" "$2"
	tail -n 20 "$check_tmp/console" "$check_tmp/qemu" | sed 's/^/      /'
}

# What machine BOOT found, compared with what the last one that wrote may have left.
pc_judge() {
	local boot=$1
	if ! judge_crashed "machine $boot" "$check_tmp/console"; then
		pc_bad "$boot" "the kernel complained"
	elif grep -q '^X' "$check_tmp/said.$boot"; then
		pc_bad "$boot" "$(grep '^X' "$check_tmp/said.$boot")"
	elif grep -q '^READY' "$check_tmp/said.$boot"; then
		"$check_tmp/powercut" check "$pc_seed" "$pc_running" "$check_tmp/state" \
			"$check_tmp/report" "$check_tmp/said.$pc_running" >"$check_tmp/checked" ||
			pc_bad "$boot" "$(head -n 1 "$check_tmp/checked")"
		cat "$check_tmp/checked" >>"$check_tmp/operations"
		pc_running=$boot
	fi
}

# A fraction of a second, in thousandths, below $1.
pc_random() { echo "$((RANDOM * 32768 % $1 + RANDOM % $1))" | awk -v m="$1" '{ print ($1 % m) / 1000 }'; }

pc_cut() {
	local boot=$1 moment="^READY" late=4000
	if [ $((boot % 5)) -eq 4 ]; then
		# As it attaches and reads.
		moment="^ATTACHING" late=800
		pc_early=$((pc_early + 1))
	fi
	pc_boot "$boot"
	if pc_wait "$boot" "$moment|^X"; then
		sleep "$(pc_random "$late")"
	else
		pc_bad "$boot" "the machine did not come so far"
	fi
	pc_kill
	pc_judge "$boot"
	pc_cuts=$((pc_cuts + 1))
}

# The last cut is judged by a machine that is killed as well, but not counted.
pc_last_look() {
	local boot=$1
	pc_boot "$boot"
	pc_wait "$boot" "^READY|^X" || pc_bad "$boot" "the machine did not come so far"
	pc_kill
	pc_judge "$boot"
	[ "$pc_running" = "$boot" ] || [ "$pc_lost" -gt 0 ] ||
		fail "last look" "it found nothing"
}

# sum NUMBER-OF-FIELD FILE...
pc_sum() { awk -v f="$1" '{ n += $f } END { print n + 0 }' "${@:2}"; }

power_cuts() {
	local wanted=$1 boot
	pc_seed=$2
	RANDOM=$pc_seed
	pc_prepare
	for ((boot = 1; boot <= wanted && pc_lost == 0; boot++)); do
		pc_cut "$boot"
		if [ $((boot % 10)) -eq 0 ]; then say "$boot cuts, $pc_lost lost"; fi
	done
	[ "$pc_lost" -ne 0 ] || pc_last_look "$boot"
	say "$(pc_sum 1 "$check_tmp/operations") operations acknowledged, $(pc_sum 4 "$check_tmp/operations") there;" \
		"$pc_early cuts within an attach;" \
		"$(pc_sum 8 "$check_tmp"/cut.*) unflushed writes, of which $(pc_sum 10 "$check_tmp"/cut.*) were kept and $(pc_sum 12 "$check_tmp"/cut.*) torn"
	echo "$pc_cuts power cuts, $pc_lost lost"
	if [ "$pc_lost" -eq 0 ] && [ "$pc_cuts" -ge "$wanted" ]; then
		pass "$pc_cuts power cuts, none lost"
	fi
}
