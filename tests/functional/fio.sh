#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fio with verification over many sizes and depths.
set -euo pipefail
# shellcheck source=tests/functional/lib.sh
. "$QVAULT_TREE/tests/functional/lib.sh"

disks 4 256
new_vault fio 128 --memory-mib 4

# job NAME ARG...: write it all, read it all back, and once more after a re-attach.
job() {
	local name=$1
	shift
	try "$name" fio --name=job --filename="$vault" --direct=1 --thread \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=1 \
		--verify_state_save=0 --output-format=terse "$@"
}

for engine in libaio io_uring; do
	for depth in 1 32; do
		job "$engine depth $depth, 4 KiB at random" --ioengine=$engine \
			--rw=randwrite --bs=4k --iodepth=$depth --size=6M
		job "$engine depth $depth, odd sizes" --ioengine=$engine \
			--rw=randwrite --bsrange=4k-256k --iodepth=$depth --size=24M
	done
	job "$engine, 1 MiB in order" --ioengine=$engine --rw=write --bs=1M \
		--iodepth=8 --size=48M
	job "$engine, 4 MiB at random" --ioengine=$engine --rw=randwrite --bs=4M \
		--iodepth=4 --size=64M
done
job "many fsyncs" --ioengine=libaio --rw=randwrite --bs=4k --iodepth=8 \
	--size=2M --fsync=4
job "reads and writes together" --ioengine=libaio --rw=randrw --bs=8k \
	--iodepth=16 --size=12M
job "O_SYNC" --ioengine=libaio --rw=randwrite --bs=16k --iodepth=4 --size=2M --sync=1
job "trims and writes" --ioengine=libaio --rw=randtrimwrite --bs=16k \
	--iodepth=8 --size=8M
try "write to verify later" fio --name=job --filename="$vault" --direct=1 \
	--thread --ioengine=libaio --rw=randwrite --bs=12k --iodepth=16 --size=12M \
	--verify=crc32c --do_verify=0 --verify_state_save=0 --output-format=terse
again fio
try "and verify after a re-attach" fio --name=job --filename="$vault" --direct=1 \
	--thread --ioengine=libaio --rw=randwrite --bs=12k --iodepth=16 --size=12M \
	--verify=crc32c --verify_only --verify_state_load=0 --output-format=terse
same "no corruption seen" 0 "$(field fio 15)"
finish
