# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Helpers for scripts that run inside a guest (tests/lab/uml, tests/lab/qemu):
#     set -euo pipefail
#     . "$QVAULT_TREE/tests/lib/guest.sh"
#     ...
#     finish
#
# The environment: QVAULT_TREE the project, read-only; QVAULT_OUT a directory
# that the host sees; QVAULT_CTL the tool; QVAULT_KO the module, which is loaded
# already; QVAULT_LAB uml or qemu; QVAULT_FLAVOUR plain, debug or smp.

# There is no udev in a guest: device nodes are made by the library itself.
export DM_DISABLE_UDEV=1

# shellcheck source=tests/lib/tally.sh
. "$QVAULT_TREE/tests/lib/tally.sh"

guest_devices=()	# dm devices to remove, the newest last
guest_mounts=()
guest_modules=()

# A script that dies has failed, whatever it counted before.
guest_on_exit() {
	local status=$?
	if [ -z "${guest_finished:-}" ]; then
		fail "$(basename "$0")" "died with status $status after $tally_passed tests"
		guest_clean_up
		guest_write_counts
		exit 1
	fi
}
trap guest_on_exit EXIT

guest_write_counts() {
	echo "$tally_passed $tally_failed $tally_skipped" >"$QVAULT_OUT/counts"
}

# Everything goes in reverse order, so that the module can be unloaded after.
guest_clean_up() {
	local i
	cd /
	for ((i = ${#guest_mounts[@]} - 1; i >= 0; i--)); do
		umount "${guest_mounts[i]}" 2>/dev/null || true
	done
	for ((i = ${#guest_devices[@]} - 1; i >= 0; i--)); do
		if [ -e "/dev/mapper/${guest_devices[i]}" ]; then
			dmsetup remove --retry "${guest_devices[i]}" || true
		fi
	done
	[ ${#guest_modules[@]} -eq 0 ] || rmmod "${guest_modules[@]}" || true
}

finish() {
	guest_finished=1
	guest_clean_up
	guest_write_counts
	echo "guest: $tally_passed passed, $tally_failed failed, $tally_skipped skipped"
	[ "$tally_failed" -eq 0 ] || exit 1
	exit 0
}

# need MODULE...: load kernel modules by name, with what they depend on.
need() { "${QVAULT_MODPROBE:-/run/qvault/modprobe}" -a "$@"; }

# with_module NAME: what was given to the laboratory by --with.
with_module() { insmod "$QVAULT_OUT/$1.ko" && guest_modules+=("$1"); }

# ramdisks COUNT MB: /dev/ram0 ... (brd: no volatile cache, flushes are free).
ramdisks() {
	"${QVAULT_MODPROBE:-/run/qvault/modprobe}" brd "rd_nr=$1" "rd_size=$(($2 * 1024))"
}

# nulldisk NAME MB [ATTRIBUTE=VALUE...]: a RAM disk with manners that can be
# set, such as mbps=100, discard=1, blocksize=4096, irqmode=2 completion_nsec=N.
# Sets $disk to its path.
nulldisk() {
	local name=$1 size=$2 config=/sys/kernel/config attribute
	shift 2
	[ -d "$config/nullb" ] || {
		"${QVAULT_MODPROBE:-/run/qvault/modprobe}" null_blk nr_devices=0
		[ -d "$config/nullb" ] || busybox mount -t configfs none "$config"
	}
	mkdir "$config/nullb/$name"
	for attribute in "size=$size" memory_backed=1 "$@"; do
		echo "${attribute#*=}" >"$config/nullb/$name/${attribute%%=*}"
	done
	echo 1 >"$config/nullb/$name/power"
	disk=/dev/$name
	[ -e "$disk" ] || disk=/dev/nullb$(<"$config/nullb/$name/index")
}

# Sectors of a device.
sectors() { blockdev --getsz "$1"; }

# dm_create NAME TABLE_LINE [DMSETUP_ARG...]: is removed at the end by itself.
dm_create() {
	local name=$1 table=$2
	shift 2
	dmsetup create "$name" --table "$table" "$@" && guest_devices+=("$name")
}

# owns NAME...: dm devices that somebody else created, to be removed at the end.
owns() { guest_devices+=("$@"); }

dm_remove() { dmsetup remove --retry "$1"; }

# linear NAME DEVICE FIRST_SECTOR SECTORS: a slice of a device.
linear() { dm_create "$1" "0 $4 linear $2 $3"; }

# mounted DEVICE DIRECTORY [MOUNT_ARG...]: is unmounted at the end by itself.
mounted() {
	local device=$1 where=$2
	shift 2
	mkdir -p "$where"
	mount "$@" "$device" "$where" && guest_mounts+=("$where")
}

unmounted() { umount "$1"; }

# block_stat DEVICE: exact counters `reads read_sectors writes write_sectors
# flushes` of a block device, free of noise.
block_stat() {
	local field
	# By number: without udev a node of device-mapper is no link to its dm-N.
	read -r -a field <"/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$1")/stat"
	echo "${field[0]} ${field[2]} ${field[4]} ${field[6]} ${field[15]:-0}"
}

# log_mark, then log_since: what the kernel has said in between.
log_mark() {
	guest_mark="mark $RANDOM$RANDOM"
	echo "$guest_mark" >/dev/kmsg
}
log_since() { dmesg | sed "1,/$guest_mark/d"; }

# expect_logged NAME PATTERN: since the mark, the kernel said this.
expect_logged() {
	if log_since | grep -E -- "$2" >/dev/null; then
		pass "$1"
	else
		log_since | tail -n 10 | sed 's/^/      /'
		fail "$1" "the kernel's log since the mark has no line: $2"
	fi
}
