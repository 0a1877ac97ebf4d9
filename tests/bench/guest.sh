#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The measurements, side by side in one guest.  Prints lines `BENCH {json}`.
# usage: guest.sh SECONDS [MB]      for each of them
# shellcheck disable=SC2317 # functions that try and must call
set -euo pipefail
# shellcheck source=tests/lib/guest.sh
. "$QVAULT_TREE/tests/lib/guest.sh"

seconds=$1 size_mb=${2:-400}
need dm-crypt dm-integrity dm-log-writes
umask 077
head -c 64 /dev/urandom >/run/key

# ---- the targets: each makes /dev/mapper/bench over $data (and $anchor) -----

luks() { cryptsetup "$@" --batch-mode --key-file /run/key; }
quick=(--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096
	--cipher aes-xts-plain64 --key-size 512)

make_linear() { dmsetup create bench --table "0 $(sectors "$data") linear $data 0"; }
make_crypt() {
	luks luksFormat --type luks2 "${quick[@]}" "$data" &&
		luks open "$data" bench
}
make_crypt_no_queue() {
	luks luksFormat --type luks2 "${quick[@]}" "$data" &&
		luks open --perf-no_read_workqueue --perf-no_write_workqueue "$data" bench
}
make_integrity() {
	luks luksFormat --type luks2 --integrity hmac-sha256 --integrity-no-wipe \
		"${quick[@]}" "$data" && luks open "$data" bench
}
make_integrity_no_journal() {
	luks luksFormat --type luks2 --integrity hmac-sha256 --integrity-no-wipe \
		"${quick[@]}" "$data" && luks open --integrity-no-journal "$data" bench
}
make_qvault() {
	"$QVAULT_CTL" format --batch-mode --force --key-file /run/key "$data" "$anchor" &&
		"$QVAULT_CTL" attach --key-file /run/key bench "$data" "$anchor"
}
drop() {
	case $1 in
	linear) dmsetup remove --retry bench ;;
	qvault) "$QVAULT_CTL" detach bench ;;
	*) cryptsetup close bench ;;
	esac
}

# ---- one measurement --------------------------------------------------------

# Writes, written sectors of the data device; empty flushes are writes of none.
written() { awk '{ print $5, $7, $16 + 0 }' "/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$data")/stat"; }

# measure DEVICE TARGET JOB FIO_ARG...
measure() {
	local device=$1 target=$2 job=$3 before after
	shift 3
	before=$(written)
	fio --name="$job" --filename=/dev/mapper/bench --direct=1 --ioengine=io_uring \
		--thread --size="${size_mb}M" --time_based --runtime="$seconds" \
		--output-format=json --output=/tmp/fio.json "$@" >/dev/null 2>&1 || {
		fail "$device $target $job" "fio failed"
		return 0
	}
	sync -d /dev/mapper/bench 2>/dev/null || true
	after=$(written)
	# shellcheck disable=SC2086 # three numbers each
	"$QVAULT_TREE/tests/bench/measured" /tmp/fio.json "$device" "$target" "$job" \
		$before $after
}

measure_all() {
	local device=$1 target=$2
	measure "$device" "$target" "write 1M" --rw=write --bs=1M --iodepth=4
	measure "$device" "$target" "read 1M" --rw=read --bs=1M --iodepth=4
	measure "$device" "$target" "randwrite 4k" --rw=randwrite --bs=4k --iodepth=32 \
		--iodepth_batch_submit=16 --iodepth_batch_complete_min=1 --iodepth_batch_complete_max=16
	measure "$device" "$target" "randread 4k" --rw=randread --bs=4k --iodepth=32 \
		--iodepth_batch_submit=16 --iodepth_batch_complete_min=1 --iodepth_batch_complete_max=16
	measure "$device" "$target" "fsync 4k" --rw=randwrite --bs=4k --iodepth=1 --fsync=1
}

run_targets() {
	local device=$1 target
	for target in linear crypt crypt_no_queue integrity integrity_no_journal qvault; do
		if ! "make_$target" >/tmp/make.out 2>&1; then
			tail -n 3 /tmp/make.out
			skip "$device $target" "cannot be made here"
			continue
		fi
		# What was never written cannot be read under dm-integrity.
		dd if=/dev/zero of=/dev/mapper/bench bs=1M count="$size_mb" oflag=direct status=none
		measure_all "$device" "$target"
		drop "$target"
		pass "$device $target"
	done
}

ramdisks 2 640
data=/dev/ram0 anchor=/dev/ram1
run_targets brd

# A disk that writes 150 MB/s, has a cache, and so real flushes.
nulldisk disk 640 mbps=150 cache_size=64 irqmode=2 completion_nsec=50000
data=$disk
run_targets "null_blk 150 MB/s"

# ---- format and attach ------------------------------------------------------

milliseconds() {
	local start
	start=$(date +%s%N)
	"$@" >/dev/null
	echo $((($(date +%s%N) - start) / 1000000))
}
truncate -s 1T /tmp/huge
loop=$(losetup -f --show /tmp/huge)
format_ms=$(milliseconds "$QVAULT_CTL" format --batch-mode --force --key-file /run/key "$loop" "$anchor")
attach_ms=$(milliseconds "$QVAULT_CTL" attach --key-file /run/key bench "$loop" "$anchor")
"$QVAULT_CTL" detach bench
losetup -d "$loop"
echo "BENCH {\"device\": \"1 TiB\", \"target\": \"qvault\", \"job\": \"format and attach\", \"format_ms\": $format_ms, \"attach_ms\": $attach_ms}"
pass "format and attach of 1 TiB"
finish
