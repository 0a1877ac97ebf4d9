# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What happens to a vault that is not attached: clone, restore, key change, destroy,
# each of them also cut off at every write.  Sourced by tests/checks/tool.sh.
#
# The vaults are golden ones: written by the engine in userspace, always the same, so
# two lives of one vault use the same versions for the same contents.
# shellcheck disable=SC2317 # functions are called by way of try and refused
# shellcheck disable=SC2154 # $ctl, $build, $here, $check_tmp are those of the check

golden() { "$build/engine/golden.bin" "$@"; }
contents() { golden open "$1" "$2" | cut -d ' ' -f 1; }
field() { anchor_py get "$1" "$(newest_slot "$1")" "$2"; }
newest_slot() {
	local a b
	a=$(anchor_py get "$1" 0 sequence) b=$(anchor_py get "$1" 1 sequence)
	[ "$a" -gt "$b" ] && echo 0 || echo 1
}
# generations ANCHOR KEY: as the other reader names those of the newest record.
generations() { reader "$1" "$2" | sed -n "s/^$(newest_slot "$1"): verified, sequence [0-9]*, generations //p"; }
same_file() { same "$1" "$(sha256sum <"$2")" "$(sha256sum <"$3")"; }
differs() { same "$1" no "$(cmp -s "$2" "$3" && echo yes || echo no)"; }

# A vault that has lived, and three keys: its own and two others.
lived() {
	rm -rf "${work:?}"/*
	golden make data anchor "${1:-hmac-sha256}"
	golden key >"$work/key"
	chmod 600 key
	head -c 64 /dev/urandom >other
	head -c 64 /dev/urandom >third
}

# ---- Key change -------------------------------------------------------------

cases_key_change() {
	local before was
	lived
	refused "key, and no word" 1 'too few arguments' "$ctl" key --anchor anchor
	refused "key, another word" 1 '"erase" is nothing that can be done to a key' "$ctl" key erase --anchor anchor
	refused "key change of nothing" 1 'no vault' "$ctl" key change -d key --new-key-file other
	refused "key change without a new key" 1 'no new key' "$ctl" key change --anchor anchor -d key
	refused "key change without the old one" 1 'no key: give --key-file' "$ctl" key change --anchor anchor --new-key-file other
	refused "both keys from one input" 1 'cannot both come' "$ctl" key change --anchor anchor -d - --new-key-file -
	refused "key change with a wrong key" 2 'wrong key' "$ctl" key change --anchor anchor -d other --new-key-file third
	refused "key change to no key" 1 'cannot open key file' "$ctl" key change --anchor anchor -d key --new-key-file nokey
	refused "key change to the same" 1 'is the old one' "$ctl" key change --anchor anchor -d key --new-key-file key
	cp anchor newer
	anchor_py set newer "$(newest_slot anchor)" ro_compat=1 key
	refused "key change of what may only be read" 4 'may only be read' "$ctl" key change --anchor newer -d key --new-key-file other
	rm newer
	before=$(contents data anchor) was=$(generations anchor key)
	cp anchor first
	cp data first-data
	try "key change" "$ctl" key change --anchor anchor -d key --new-key-file other
	said "says what still opens under the old key" '^Copies of its anchor'
	refused "the old key opens it no more" 2 'under another one' "$ctl" dump anchor -d key
	expect_fail "neither slot of it" reader anchor key
	try "both slots are under the new one" reader anchor other
	said "the older" "^0: verified, sequence $(field anchor sequence)|^0: verified, sequence $(($(field anchor sequence) - 1))"
	said "and the newer" '^1: verified'
	same "the secrets are the same" "$was" "$(generations anchor other)"
	same_file "no block of data was touched" first-data data
	try "and back, as JSON" bash -c "'$ctl' key change --json --anchor anchor -d other --new-key-file key | python3 -m json.tool"
	same "it holds what it held" "$before" "$(contents data anchor)"
	same "the number of records went on" 4 "$(($(field anchor sequence) - $(field first sequence)))"
}

# ---- Clone ------------------------------------------------------------------

clone() { "$ctl" clone --anchor anchor --new-anchor anchor2 --new-data data2 -d key "$@"; }

# Blocks that both wrote since they were one: how many, and how many are the same.
repeats() {
	python3 - "$@" <<-'END'
		import sys
		start, one, other = (open(p, "rb").read() for p in sys.argv[1:])
		def written(new):
		    return [new[i:i + 4096] for i in range(4096, len(new), 4096)
		            if new[i:i + 4096] != start[i:i + 4096]]
		a, b = written(one), written(other)
		print(len(a) > 5 and len(b) > 5, len(set(a) & set(b)))
	END
}

cases_clone() {
	local mac before uuid
	lived
	cp data data2
	truncate -s 1M anchor2
	refused "clone of nothing" 1 'no anchor device' "$ctl" clone
	refused "clone without data" 1 'no data device of the clone' "$ctl" clone --anchor anchor --new-anchor anchor2
	refused "clone without an anchor" 1 'no anchor device of the clone' "$ctl" clone --anchor anchor --new-data data2
	refused "clone onto itself" 4 'same device' "$ctl" clone -d key --anchor anchor --new-anchor anchor --new-data data2
	refused "clone with one device for both" 4 'same device' "$ctl" clone -d key --anchor anchor --new-anchor data2 --new-data data2
	refused "clone with the data of the parent" 4 'same device' "$ctl" clone -d key --anchor anchor --data data --new-anchor anchor2 --new-data data
	refused "clone with a wrong key" 2 'wrong key' "$ctl" clone --anchor anchor --new-anchor anchor2 --new-data data2 -d other
	refused "clone with its parent's UUID" 1 'needs one of its own' clone --uuid 30313233-3435-3637-3839-616263646566
	truncate -s 4096 small
	cp small data2
	refused "clone of a part of the data" 4 'too small' clone
	truncate -s "$(stat -c %s data)" data2
	refused "clone of an empty device" 4 'does not hold the state of record [0-9]+: the root of its tree is another' clone
	cp data data2
	put data2 16 x
	refused "clone of another vault's data" 4 'is no copy: it holds the data of the vault' clone
	cp data data2
	cp anchor later
	cp data later-data
	golden more later-data later
	refused "clone of an older moment" 4 'does not hold the state of record' \
		"$ctl" clone --anchor later --new-anchor anchor2 --new-data data2 -d key
	cp anchor anchor2
	refused "clone onto the anchor of a vault" 5 'holds the vault .*--force' clone
	rm small later later-data

	for mac in hmac-sha256 nhpoly-aes; do
		lived $mac
		before=$(contents data anchor)
		cp data data2
		cp anchor parent
		truncate -s 1M anchor2
		try "$mac: clone" clone
		uuid=$("$ctl" dump anchor2 | sed -n 's/^UUID: *//p')
		said "$mac: says its UUID" "^UUID: +$uuid$"
		same_file "$mac: the parent's anchor is as it was" parent anchor
		same "$mac: the label is the clone's" "$uuid" "$(label_uuid data2)"
		try "$mac: of the parent's data it is all that changed" cmp -i 4096 data data2
		same "$mac: it holds what the parent held" "$before" "$(contents data2 anchor2)"
		same "$mac: it knows the parent's generation, and one more" "0,1" \
			"$(generations anchor2 key | sed -E 's/ [0-9a-f]{32}//g; s/ //g; s/,seal.*//')"
		same "$mac: which seals" 1 "$(field anchor2 seal)"
		same "$mac: both slots say so" yes "$([ "$(anchor_py get anchor2 0 seal)" = "$(anchor_py get anchor2 1 seal)" ] && echo yes)"
		try "$mac: the parent's life goes on" golden more data anchor
		try "$mac: the clone's, too, with the same versions and contents" golden more data2 anchor2
		same "$mac: they hold the same" "$(contents data anchor)" "$(contents data2 anchor2)"
		same "$mac: the same version" "$(anchor_py get anchor "$(newest_slot anchor)" tree_version)" \
			"$(anchor_py get anchor2 "$(newest_slot anchor2)" tree_version)"
		golden make start-data start $mac
		same "$mac: and not one block of ciphertext is the same" "True 0" "$(repeats start-data data data2)"
		expect_fail "$mac: the clone's data are not the parent's" golden open data2 anchor
		expect_fail "$mac: nor the reverse" golden open data anchor2
	done

	lived
	cp data data2
	truncate -s 1M anchor2
	try "clone with a key of its own" clone --new-key-file other
	refused "which alone opens it" 2 'under another one' "$ctl" dump anchor2 -d key
	same "the parent seals under a new generation, too" 1 "$(field anchor seal)"
	same "in both slots" "1 1" "$(anchor_py get anchor 0 seal) $(anchor_py get anchor 1 seal)"
	differs "which is not the clone's" <(generations anchor key) <(generations anchor2 other)
	same "what they had in common they still have" "$(generations anchor key | cut -d , -f 1)" \
		"$(generations anchor2 other | cut -d , -f 1)"
	before=$(contents data anchor)
	try "the clone under a third key" "$ctl" key change --anchor anchor2 -d other --new-key-file key
	same "holds what the parent holds" "$before" "$(contents data2 anchor2)"

	lived
	cp data data2
	truncate -s 1M anchor2
	dd if=/dev/zero of=data2 bs=4096 count=1 conv=notrunc status=none
	try "clone of data without a label, as JSON" bash -c "'$ctl' clone --anchor anchor --new-anchor anchor2 \
		--new-data data2 -d key --json | python3 -m json.tool"
	same "none is made" "$(head -c 4096 /dev/zero | sha256sum)" "$(head -c 4096 data2 | sha256sum)"
	cases_full_table
}

# Of eight numbers one is kept for restore.
cases_full_table() {
	local slot number gen
	lived
	cp data data2
	slot=$(newest_slot anchor) gen=$(anchor_py get anchor "$slot" gen0)
	for number in 1 2 3 4 5; do
		anchor_py set anchor "$slot" "gen$number=$gen" key
	done
	cp anchor six
	truncate -s 1M anchor2
	try "clone with six generations" clone
	anchor_py set anchor "$slot" "gen6=$gen" key
	refused "clone with seven" 5 'has 7 of 8 generations in use, and this needs a new one .*kept for restore' clone --force
}

# ---- Restore ----------------------------------------------------------------

restore() { "$ctl" restore --anchor anchor --data data --from copy -d key "$@"; }

# A copy of an earlier moment, and the data of it.
aged() {
	lived
	cp anchor copy
	cp data old-data
	before=$(contents data anchor)
	golden more data anchor
	cp anchor newest
	cp data new-data
}

cases_restore() {
	local before
	aged
	refused "restore of nothing" 1 'no anchor device' "$ctl" restore
	refused "restore without data" 1 'no data device' "$ctl" restore --anchor anchor --from copy
	refused "restore from nothing" 1 'no copy of the anchor' "$ctl" restore --anchor anchor --data data
	refused "restore from itself" 4 'same device' "$ctl" restore --anchor anchor --data data --from anchor -d key
	refused "restore with a wrong key" 2 'wrong key' "$ctl" restore --anchor anchor --data data --from copy -d other
	refused "restore with the data of now" 4 'does not hold the state of record 7 but that of the newest, 12: put it back first' restore --accept-older-state
	cp old-data data
	refused "restore, not meant" 1 'all that was written after record 7 of 2023-11-14 .*, until record 12 of .* would be given up.*--accept-older-state' restore
	anchor_py set anchor "$(newest_slot anchor)" ro_compat=1 key
	refused "restore of what may only be read" 4 'may only be read' restore --accept-older-state
	cp newest anchor
	refused "restore of what is there" 1 'says already' \
		"$ctl" restore --anchor anchor --data new-data --from newest -d key
	try "restore" restore --accept-older-state
	said "says what was given up" '^Given up: all that was written after record 7 '
	same "it holds what it held then" "$before" "$(contents data anchor)"
	same "the numbers go on from the newest" \
		"$(($(field newest sequence) + 2)) $(($(field newest epoch) + 1)) $(field newest lease)" \
		"$(field anchor sequence) $(field anchor epoch) $(field anchor lease)"
	same "no generation is used up" "$(generations newest key)" "$(generations anchor key)"
	same "both slots say so" "$(anchor_py get anchor 0 tree_version)" "$(anchor_py get anchor 1 tree_version)"
	try "its life goes on" golden more data anchor
	same "as it did before" "$(contents new-data newest)" "$(contents data anchor)"
	same "under other versions" no "$([ "$(field anchor tree_version)" = "$(field newest tree_version)" ] && echo yes || echo no)"

	aged
	cp old-data data
	rm anchor
	truncate -s 1M anchor
	refused "restore of a lost anchor, not meant" 1 'which nobody can tell any more, would be given up' restore
	try "restore of a lost anchor" restore --accept-older-state
	same "it holds what it held then" "$before" "$(contents data anchor)"
	same "and seals under a new generation" 1 "$(field anchor seal)"

	aged
	cp old-data data
	put anchor $((4096 * (64 + 128 * $(newest_slot anchor)) + 90)) x
	refused "a torn slot, not meant" 1 'which nobody can tell any more' restore
	try "restore when a slot is torn" restore --accept-older-state
	same "seals under a new generation" 1 "$(field anchor seal)"
	same "it holds what it held then" "$before" "$(contents data anchor)"

	aged
	cp newest copy
	cp new-data data
	cp old-data data3
	lived_anchor_back
	try "restore of what is newer than the anchor" restore --accept-older-state
	same "seals under a new generation" 1 "$(field anchor seal)"
	same "numbered above both" yes "$([ "$(field anchor sequence)" -gt "$(field newest sequence)" ] && echo yes)"

	aged
	cp old-data data
	"$ctl" key change --anchor anchor -d key --new-key-file other >"$check_tmp/out"
	refused "a copy of before the key was changed" 5 "not under this key.*--force" restore --accept-older-state
	try "it and the new key" restore --accept-older-state --new-key-file other
	refused "the old key does not come back with it" 2 'under another one' "$ctl" dump anchor -d key
	same "no generation is used up" "$(generations newest key)" "$(generations anchor other)"

	aged
	cp old-data data
	truncate -s "$(stat -c %s data)" data3
	truncate -s 1M anchor3
	"$ctl" format data3 anchor3 -d key >"$check_tmp/out"
	cp anchor3 anchor
	refused "onto the anchor of another vault" 5 "not this vault's" restore --accept-older-state
	try "by force" restore --accept-older-state --force
	said "says what it destroyed" 'warning: .*destroyed for ever'
	same "it holds what it held then" "$before" "$(contents data anchor)"

	# Two generations 1: of a clone that was made before, and of one since.
	aged
	cp old-data data2
	truncate -s 1M anchor2
	"$ctl" clone --anchor copy --new-data data2 --new-anchor anchor2 -d key --new-key-file other >"$check_tmp/out"
	cp new-data data2
	"$ctl" clone --anchor anchor --new-data data2 --new-anchor anchor2 -d key --new-key-file other --force -q >"$check_tmp/out" 2>&1
	cp old-data data
	refused "a generation that is another one now" 4 'generation 1 of record 9 was dropped since' restore --accept-older-state
}

# The anchor of the earlier moment, with the data of the later one.
lived_anchor_back() { rm -f anchor start-data; golden make start-data anchor hmac-sha256; }

# ---- Destroy ----------------------------------------------------------------

cases_destroy_vault() {
	local zeros
	zeros=$(head -c 1M /dev/zero | sha256sum)
	lived
	truncate -s 1M nothing
	truncate -s "$(stat -c %s data)" data3
	refused "destroy nothing" 1 'no anchor device' "$ctl" destroy
	refused "destroy what is no vault" 4 'holds no vault' "$ctl" destroy --anchor nothing -q
	mke2fs -q -F -t ext4 nothing >"$check_tmp/out" 2>&1
	refused "destroy a file system" 4 'holds no vault' "$ctl" destroy --anchor nothing -q
	refused "destroy without a question" 1 'holds the vault 30313233-.*no terminal to ask.*--batch-mode' "$ctl" destroy --anchor anchor
	refused "destroy with a device that has no label" 4 'does not have the label' "$ctl" destroy --anchor anchor --data data3 -q
	refused "destroy with one device for both" 4 'same device' "$ctl" destroy --anchor anchor --data anchor -q
	expect_fail "asks on a terminal, and does not take no" python3 -B "$here/watch.py" key no "$ctl" destroy --anchor anchor
	said "it asked" '^asked yes'
	try "then nothing was changed" "$ctl" dump anchor -d key
	try "destroy, told YES on a terminal" python3 -B "$here/watch.py" key YES "$ctl" destroy --anchor anchor --data data
	said "says what it cannot reach" 'copies and backups of the anchor'
	same "the anchor is empty" "$zeros" "$(sha256sum <anchor)"
	same "so is the data device" "$(sha256sum <data3)" "$(sha256sum <data)"
	same "and its space is free" 0 "$(stat -c %b data)"
	lived
	put anchor $((64 * 4096 + 100)) x
	put anchor $((192 * 4096 + 100)) x
	try "destroy a damaged one, as JSON" bash -c "'$ctl' destroy --anchor anchor -q --json | python3 -m json.tool"
	same "it is empty" "$zeros" "$(sha256sum <anchor)"
}

# ---- Cut off ----------------------------------------------------------------

# cut_off NAME SETUP CHECK COMMAND...: at every write, in every way; then CHECK.
cut_off() {
	local name=$1 setup=$2 check=$3 n how status cuts=0
	shift 3
	"$setup"
	rm -rf "$check_tmp/saved"
	cp -a "$work" "$check_tmp/saved"
	for ((n = 1; n < 50; n++)); do
		for how in none half full fail; do
			rm -rf "${work:?}"/*
			cp -a "$check_tmp"/saved/* .
			status=0
			CUT_AT=$n CUT_HOW=$how LD_PRELOAD=$build/cut.so "$@" </dev/null \
				>"$check_tmp/out" 2>"$check_tmp/err" || status=$?
			[ "$status" -ne 0 ] || break 2
			cuts=$((cuts + 1))
			if [ "$how" = fail ] && [[ ! $status =~ ^[46]$ || $(wc -l <"$check_tmp/err") -ne 1 ]]; then
				cat "$check_tmp/err"
				fail "$name, write $n fails" "exit code $status"
			fi
			"$check" "$n" "$how" || fail "$name, write $n, $how" "see above"
		done
	done
	"$check" 0 whole || fail "$name, not cut off" "see above"
	same "$name: there were writes to cut" yes "$([ "$cuts" -ge "$least_cuts" ] && echo yes || echo "$cuts")"
	pass "$name: cut off in $cuts ways"
}

# opens ANCHOR KEY: and what it says then is in $sequence and $seal.
opens() {
	"$ctl" dump "$1" -d "$2" >"$check_tmp/dump" 2>&1 || return 1
	sequence=$(sed -n 's/^Sequence: *//p' "$check_tmp/dump")
	seal=$(sed -n 's/^Generation \([0-9]\): .*seals new blocks$/\1/p' "$check_tmp/dump")
}

# One of both keys opens it, it is all there, and the change can be made again.
key_change_check() {
	if opens anchor other; then
		"$ctl" key change --anchor anchor -d other --new-key-file key >"$check_tmp/dump" 2>&1 || return 1
	else
		opens anchor key && [ "$2" != whole ] || return 1
	fi
	[ "$(contents data anchor)" = "$wanted" ]
}

clone_check() {
	local parent_seal
	opens anchor key || return 1
	parent_seal=$seal
	[ "$(contents data anchor)" = "$wanted" ] || return 1
	# Once there is a clone, the parent does not seal as before.
	if opens anchor2 other; then
		[ "$parent_seal" = 1 ] || return 1
		"$ctl" key change --anchor anchor2 -d other --new-key-file key >"$check_tmp/dump" 2>&1 || return 1
		[ "$(contents data2 anchor2)" = "$wanted" ]
	else
		[ "$2" != whole ] || return 1
		"$ctl" clone --anchor anchor --new-anchor anchor2 --new-data data2 -d key \
			--new-key-file other --force >"$check_tmp/dump" 2>&1
	fi
}

# Either state, whole; and the newer one's numbers are never forgotten.
restore_check() {
	opens anchor key || return 1
	[ "$sequence" -ge "$last" ] || return 1
	if [ "$sequence" -gt "$last" ]; then
		[ "$(contents data anchor)" = "$wanted" ]
	else
		[ "$2" != whole ] || return 1
		[ "$(contents new-data anchor)" = "$newer" ]
	fi
}

# What there was, whole, or nothing: never the record before the newest.
destroy_check() {
	if opens anchor key; then
		[ "$2" != whole ] && [ "$sequence" = "$last" ] || return 1
	fi
	"$ctl" destroy --anchor anchor --batch-mode >"$check_tmp/dump" 2>&1 ||
		grep -q 'holds no vault' "$check_tmp/dump" || return 1
	! opens anchor key
}

set_up_lived() { lived; wanted=$(contents data anchor); last=$(field anchor sequence); }
set_up_clone() { set_up_lived; cp data data2; truncate -s 1M anchor2; }
set_up_aged() {
	aged
	newer=$(contents data anchor) wanted=$before last=$(field newest sequence)
	cp old-data data
}

cases_cut_off() {
	local wanted newer last before sequence seal least_cuts=8
	cut_off "key change" set_up_lived key_change_check \
		"$ctl" key change --anchor anchor -d key --new-key-file other
	least_cuts=24
	cut_off "clone with its own key" set_up_clone clone_check \
		"$ctl" clone --anchor anchor --new-anchor anchor2 --new-data data2 -d key --new-key-file other
	least_cuts=8
	cut_off "restore" set_up_aged restore_check \
		"$ctl" restore --anchor anchor --data data --from copy -d key --accept-older-state
	least_cuts=24
	cut_off "destroy" set_up_lived destroy_check "$ctl" destroy --anchor anchor --batch-mode
}

# ---- Labels -----------------------------------------------------------------

cases_labels() {
	lived
	same "udev learns of a label" "ID_FS_TYPE=qvault ID_FS_USAGE=crypto ID_FS_VERSION=2 \
ID_FS_UUID=30313233-3435-3637-3839-616263646566 ID_FS_UUID_ENC=30313233-3435-3637-3839-616263646566" \
		"$("$ctl" udev data | paste -sd ' ')"
	same "and of nothing else" "" "$("$ctl" udev anchor; "$ctl" udev key)"
	refused "udev of nothing" 4 'No such file' "$ctl" udev nothing
	refused "a data device named twice" 1 'not both ways' "$ctl" attach x data --data data --anchor anchor
	refused "attach by its label, to a file" 4 'losetup' "$ctl" attach x --anchor anchor -d key
	refused "attach without any device" 1 'no anchor device' "$ctl" attach x --data data
}

cases_lives() {
	cases_key_change
	cases_clone
	cases_restore
	cases_destroy_vault
	cases_labels
	[ "$1" != plain ] || cases_cut_off
}
