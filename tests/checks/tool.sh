#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: qvault-ctl: every verb, every wrong input, secrets, memory errors, a fuzzer
# minutes: 5
# processors: 1
# limit: 90
# usage: tool [plain] [sanitized] [guest]      the parts; all three by default
#
# What needs no module is done twice: by the tool as it is installed, and by one
# built with the address and undefined-behaviour sanitizers.  The rest is done in
# a guest, by tests/functional/tool.sh.
# shellcheck disable=SC2317 # functions are called by way of try and refused
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

here=$check_top/tests/tool
build=$QVAULT_CACHE/check-tool/$(cksum <<<"$check_top" | cut -d " " -f 1)
work=$check_tmp/work
umask 077
mkdir -p "$work" "$build"
cd "$work"

reader() { "$build/reader" "$@"; }
label_uuid() { od -An -tx1 -j 16 -N 16 "$1" | tr -d ' \n' | sed -E 's/(.{8})(.{4})(.{4})(.{4})/\1-\2-\3-\4-/'; }
anchor_py() { python3 -B "$here/anchor.py" "$@"; }

# ---- Building ---------------------------------------------------------------

make_tool() {
	local where=$build/$1
	shift
	whole "$where" make -s -j"$(nproc)" -C "$check_top/userspace" "O=$where" \
		'CFLAGS=-O2 -g -Werror' "$@"
}

build_all() {
	say "building"
	try "gcc builds without a warning" make_tool gcc CC=gcc
	try "clang builds without a warning" make_tool clang CC=clang
	try "gcc builds with sanitizers" make_tool sanitized CC=gcc SANITIZE=1
	# Nobody may trace a process of ours, so the leak check cannot work.
	export ASAN_OPTIONS=detect_leaks=0:exitcode=99 UBSAN_OPTIONS=exitcode=99
	try "the format is read by other hands" make_reader
	try "the engine in userspace" make_engine
	try "what cuts writes off" make_cut
	try "it installs" make -s -C "$check_top/userspace" "O=$build/gcc" install \
		"DESTDIR=$check_tmp/root" PREFIX=/usr
	try "with a rule by which udev asks it" grep -q 'IMPORT{program}="/usr/sbin/qvault-ctl udev ' \
		"$check_tmp/root/usr/lib/udev/rules.d/61-qvault.rules"
	try "the manual is well-formed" no_output \
		man --warnings -E UTF-8 -l "$check_tmp/root/usr/share/man/man8/qvault-ctl.8"
	try "nothing is built in the tree" no_output find "$check_top/userspace" \
		-name '*.o' -o -name qvault-ctl -type f -perm -100
}

make_engine() {
	whole "$build/engine" make -s -j2 -C "$check_top/tests/unit" MODE=fast "O=$build/engine" \
		"$build/engine/golden.bin"
}

make_cut() {
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$build/cut.so" "$here/cut.c" -ldl
}

make_reader() {
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$build/reader" "$here/reader.c" \
		"$check_top"/tests/lib/{vault,nhpoly,util,dm}.c \
		"$check_top/dm-qvault/engine/geometry.c" -lcrypto
}

# Complaints only; the page itself goes nowhere.
no_output() {
	local said
	said=$("$@" 2>&1 >"$check_tmp/page") || return 1
	[ "$1" != find ] || said+=$(cat "$check_tmp/page")
	[ -z "$said" ] || { echo "$said"; return 1; }
}

# ---- Helpers ----------------------------------------------------------------

# Few processes: there are hundreds of cases.
sums() { md5sum -- * public/* 2>/dev/null || true; }

# refused NAME CODE PATTERN COMMAND...: exactly this exit code, exactly one line
# on stderr, which matches, nothing on stdout, and not one byte changed.
refused() {
	local name=$1 code=$2 pattern=$3 status=0 before
	shift 3
	before=$(sums)
	"$@" </dev/null >"$check_tmp/out" 2>"$check_tmp/err" || status=$?
	judge_refusal "$name" "$code" "$pattern" "$status" "$before"
}

judge_refusal() {
	local name=$1 code=$2 pattern=$3 status=$4 before=$5 why="" lines
	mapfile -t lines <"$check_tmp/err"
	if [ "$status" -ne "$code" ]; then
		why="exit code $status, not $code"
	elif [ ${#lines[@]} -ne 1 ]; then
		why="not exactly one line on stderr"
	elif ! [[ ${lines[0]} =~ ^qvault-ctl:\ .*($pattern) ]]; then
		why="the line does not match: $pattern"
	elif [ -s "$check_tmp/out" ]; then
		why="something on stdout"
	elif [ "$(sums)" != "$before" ]; then
		why="a file has changed"
	fi
	if [ -z "$why" ]; then
		pass "$name: ${lines[0]#qvault-ctl: }"
	else
		sed 's/^/      /' "$check_tmp/err"
		fail "$name" "$why"
	fi
}

# said NAME PATTERN: the last `try` printed a line like this.
said() { expect_said "$1" "$2"; }

# put FILE OFFSET BYTES: as printf has them.
put() {
	# shellcheck disable=SC2059 # the bytes are meant as a format
	printf "$3" | dd "of=$1" bs=1 "seek=$2" conv=notrunc status=none
}

# Fresh: a data device of 8 MiB, an anchor, a key.
fresh() {
	rm -rf "${work:?}"/*
	head -c 64 /dev/urandom >key
	truncate -s 8M data
	truncate -s 1M anchor
}

formatted() {
	fresh
	"$ctl" format data anchor --key-file key >"$check_tmp/out"
}

# with_closed STREAMS COMMAND...: 01 without input and output, 2 without errors.
with_closed() (
	case $1 in *0*) exec <&- ;; esac
	case $1 in *1*) exec >&- ;; esac
	case $1 in *2*) exec 2>&- ;; esac
	shift
	exec "$@"
)

# with_reader_gone COMMAND...: its output goes into a pipe that nobody reads.
with_reader_gone() {
	local pipe status=0
	exec {pipe}> >(true)
	wait $!
	"$@" >&"$pipe" || status=$?
	exec {pipe}>&-
	return "$status"
}

# shellcheck source=tests/tool/lives.sh
. "$here/lives.sh"

# ---- Cases ------------------------------------------------------------------

cases_words() {
	fresh
	try "help" "$ctl" --help
	said "help names the verbs" '^  attach '
	try "help after a verb" "$ctl" format --help
	try "version" "$ctl" --version
	refused "no verb" 1 'no verb' "$ctl"
	refused "unknown verb" 1 'unknown verb "frmat"' "$ctl" frmat data anchor
	refused "unknown option" 1 'unknown option --frob' "$ctl" format --frob data anchor
	refused "unknown letter" 1 'unknown option -z' "$ctl" format -z data anchor
	refused "option of another verb" 1 -- "$ctl" format --read-only data anchor
	refused "option given twice" 1 'given twice' "$ctl" format -d key -d key data anchor
	refused "value missing" 1 'needs a value' "$ctl" format data anchor --key-file
	refused "value where none belongs" 1 'takes no value' "$ctl" format --force=1 data anchor
	refused "no devices" 1 'no data device' "$ctl" format
	refused "one device" 1 'no data device|no anchor device' "$ctl" format --data data
	refused "too many words" 1 'too many arguments' "$ctl" format data anchor key
	refused "devices named twice" 1 'not both ways' "$ctl" format data anchor --data data
	refused "size is no number" 1 'number of bytes' "$ctl" format data anchor -d key --size 1x
	refused "size with a sign" 1 'number of bytes' "$ctl" format data anchor -d key --size -4096
	refused "size overflows" 1 'number of bytes' "$ctl" format data anchor -d key --size 99999999999999P
	refused "size is odd" 1 'multiple of 4096' "$ctl" format data anchor -d key --size 4097
	refused "log too small" 1 'from 16 to 65536' "$ctl" format data anchor -d key --log-blocks 15
	refused "bad MAC" 1 'give hmac-sha256 or nhpoly-aes' "$ctl" format data anchor -d key --mac md5
	refused "bad UUID" 1 'not of the form' "$ctl" format data anchor -d key --uuid 123
	refused "dump without a device" 1 'too few arguments' "$ctl" dump
	refused "attach without an anchor" 1 'no anchor device' "$ctl" attach x data
	refused "attach by force" 1 'no meaning' "$ctl" attach x data anchor -d key --force
	refused "attach by an impossible name" 1 'cannot be the name' "$ctl" attach a/b data anchor
	refused "settle alone" 1 'no meaning without --shared' "$ctl" attach x data anchor -d key --settle 3
	refused "shared, and read-only" 1 'takes the vault from nobody' "$ctl" attach x data anchor -d key --shared -r
	refused "shared, and ephemeral" 1 'no other host can open' "$ctl" attach x data --ephemeral --shared
	refused "attach to a file" 4 'losetup' "$ctl" attach x data anchor -d key
	refused "detach what is not there" 4 'no vault' "$ctl" detach nosuchvault
}

# Of verbs for what is attached, that which needs no kernel.
cases_attached() {
	fresh
	refused "key change of no vault" 1 'no vault: qvault-ctl key change' "$ctl" key change --new-key-file key
	refused "key change of two" 1 'not both ways' "$ctl" key change x --anchor anchor --new-key-file key
	refused "key change with the old key" 1 'whose key the kernel has' "$ctl" key change x -d key --new-key-file key
	refused "key change to none" 1 'no new key' "$ctl" key change x
	refused "key change, private" 1 'no meaning with --anchor' \
		"$ctl" key change --private --anchor anchor -d key --new-key-file key
	refused "key change of what is not there" 4 'no vault nosuchvault' "$ctl" key change nosuchvault --new-key-file key
	refused "suspend what is not there" 4 'no vault nosuchvault' "$ctl" suspend --wipe-key nosuchvault
	refused "resume what is not there" 4 'no vault nosuchvault' "$ctl" resume nosuchvault -d key
	refused "snapshot without a file" 1 'no file for the record' "$ctl" snapshot x --run true
	refused "snapshot without a command" 1 'no command' "$ctl" snapshot x --output new
	refused "snapshot with no word of one" 1 'no command' "$ctl" snapshot x --output new --run
	refused "nor behind two dashes" 1 'no command' "$ctl" snapshot x --output new --run --
	refused "snapshot in no time" 1 'from 1 to 86400' "$ctl" snapshot x --output new --timeout 0 --run true
	refused "options behind the command are its own" 4 'no vault nosuchvault' \
		"$ctl" snapshot nosuchvault --output new --run true --frob --output x --json
	refused "a command of another verb" 1 'run has no meaning for dump' "$ctl" dump anchor --run true
	refused "clone of what is not there" 4 'no vault nosuchvault' \
		"$ctl" clone nosuchvault --new-anchor anchor --new-data data -d key --run true
	refused "clone of what is attached, without a command" 1 'no command that copies' \
		"$ctl" clone x --new-anchor anchor --new-data data -d key
	refused "clone of two" 1 'not both ways' \
		"$ctl" clone x --anchor anchor --new-anchor anchor --new-data data -d key --run true
	refused "a command for a clone of what is not" 1 'no meaning for a vault that is not attached' \
		"$ctl" clone --anchor anchor --new-anchor anchor --new-data data -d key --run true
}

# Ephemeral ones, likewise.
cases_ephemeral() {
	fresh
	refused "ephemeral without a device" 1 'no data device' "$ctl" attach --ephemeral x
	refused "with a key and no anchor" 1 'no meaning for an ephemeral vault without an anchor' \
		"$ctl" attach --ephemeral x data -d key
	refused "for reading" 1 'no meaning for an ephemeral' "$ctl" attach --ephemeral x data --read-only
	refused "on a record, in no place of its own" 1 'the vault of this anchor would be lost: give --cow' \
		"$ctl" attach --ephemeral x data anchor -d key
	refused "in two" 1 'give one of them' "$ctl" attach --ephemeral x data anchor -d key --cow data --data-is-a-copy
	refused "a copy that a label is to find" 1 'name the copy' \
		"$ctl" attach --ephemeral x --anchor anchor -d key --data-is-a-copy
	refused "a copy without a record" 1 'no meaning but with --ephemeral and an anchor' \
		"$ctl" attach --ephemeral x data --data-is-a-copy
	refused "another place for a vault that lasts" 1 'no meaning but with --ephemeral and an anchor' \
		"$ctl" attach x data anchor -d key --cow data
	refused "a size of a vault that has one" 1 'which says it' \
		"$ctl" attach --ephemeral x data anchor -d key --cow data --size 1M
	refused "of one that lasts" 1 'which says it' "$ctl" attach x data anchor -d key --size 1M
}

# completes WANTED WORD...: what bash offers for the last word.
completes() {
	local wanted=$1 got
	shift
	# shellcheck source=userspace/completion/qvault-ctl
	got=$(. "$check_top/userspace/completion/qvault-ctl"
		COMP_WORDS=(qvault-ctl "$@") COMP_CWORD=$#
		_qvault_ctl
		echo "${COMPREPLY[*]}")
	same "completion of '$*'" "$wanted" "$got"
}

cases_completion() {
	completes attach at
	completes attach --key-file key at
	completes --private -d key attach --p
	completes --json status --js
	completes "hmac-sha256 nhpoly-aes" format --mac ""
	completes --wipe-key suspend --w
	completes change key ""
	completes --timeout snapshot --output file --ti
	completes basename snapshot v --run --output basenam
	completes "--accept-older-state" restore --from copy --acc
	completes "--new-anchor" clone --new-data data --new-a
	completes destroy --anchor anchor des
	completes --cow attach --ephemeral --cow
	completes --data-is-a-copy attach --data-i
}

cases_key() {
	fresh
	refused "no key" 1 'no key: give --key-file' "$ctl" format data anchor
	refused "no such key file" 1 'cannot open key file' "$ctl" format data anchor -d nokey
	head -c 63 /dev/urandom >short
	head -c 65 /dev/urandom >long
	refused "key too short" 1 'only 63 bytes; a key is exactly 64' "$ctl" format data anchor -d short
	refused "key too long" 1 'longer than a key, which is exactly 64' "$ctl" format data anchor -d long
	refused "endless key" 1 'longer than a key' "$ctl" format data anchor -d /dev/zero
	refused "key from an empty input" 1 'standard input has only 0 bytes' "$ctl" format data anchor -d -
	refused "key file is a directory" 4 'cannot read the key' "$ctl" format data anchor -d .
	chmod 644 key
	try "key that others may read" "$ctl" format data anchor --key-file key
	said "is warned about" 'warning: key file key is open to other users \(mode 0644\): chmod 600'
	chmod 600 key
	fresh
	# shellcheck disable=SC2016 # for the inner shell
	try "key from standard input" bash -c '"$0" format data anchor -d - <key' "$ctl"
	try "it is the same key" "$ctl" dump anchor -d key
}

cases_devices() {
	local size minimum large
	fresh
	refused "no data device" 4 'cannot open data device nodata: No such file' "$ctl" format nodata anchor -d key
	refused "no anchor device" 4 'cannot open anchor device noanchor' "$ctl" format data noanchor -d key
	refused "data is a directory" 4 'neither a block device nor' "$ctl" format . anchor -d key
	refused "anchor is a character device" 4 'neither a block device nor' "$ctl" format data /dev/null -d key
	ln -s data link
	ln data hard
	refused "same device twice" 4 'the same device' "$ctl" format data data -d key
	refused "same device through a symlink" 4 'the same device' "$ctl" format data link -d key
	refused "same device by another name" 4 'the same device' "$ctl" format hard data -d key
	for size in 0 8192 $((2 ** 20 - 1)); do
		truncate -s "$size" small
		refused "anchor of $size bytes" 4 'too small.*needs 1.0 MiB' "$ctl" format data small -d key
	done
	for size in 0 4095 4096 300K; do
		truncate -s "$size" small
		refused "data device of $size" 4 'too small.*needs at least' "$ctl" format small anchor -d key
	done
	minimum=$(sed -n 's/.*at least .*(\([0-9]*\) bytes).*/\1/p' "$check_tmp/err")
	truncate -s $((minimum - 1)) small
	refused "one byte less than that" 4 'too small' "$ctl" format small anchor -d key
	truncate -s "$minimum" small
	try "exactly that ($minimum bytes)" "$ctl" format small anchor -d key
	fresh
	refused "volume larger than the device" 1 'at most' "$ctl" format data anchor -d key --size 8M
	# Few file systems but tmpfs take a file of that size.
	large=$(mktemp -p /dev/shm qvault.XXXXXX)
	truncate -s 5P "$large"
	refused "device too large" 4 'too large' "$ctl" format "$large" anchor -d key
	rm -f "$large"
}

# as_nobody COMMAND...: this check may run as root, to whom all is permitted.
as_nobody() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

# Whatever is closed: the same exit code, and not one byte where none belongs.
cases_streams() {
	local closed made shown
	for closed in "" 0 1 2 01 02 12 012; do
		fresh
		head -c 64 /dev/urandom >other
		made=0 shown=0
		case $closed in *1*) made=6 shown=1 ;; esac
		judge_closed "format" "$made" "$closed" format data anchor -d key
		try "without streams '$closed': the record is whole" anchor_py verify anchor 1 key
		same "without streams '$closed': the data device has its label, and no more" \
			"$(anchor_py label anchor 1 | sha256sum)" "$(sha256sum <data)"
		judge_untouched 5 "$closed" format data anchor -d key
		judge_untouched 2 "$closed" dump anchor -d other
		judge_untouched "$shown" "$closed" dump anchor -d key
		judge_untouched "$shown" "$closed" --json dump anchor
		judge_untouched 4 "$closed" dump $'no\nanchor'
		judge_untouched 4 "$closed" attach x data anchor -d key
		judge_untouched 4 "$closed" status nosuchvault
		judge_untouched 4 "$closed" detach nosuchvault
		judge_untouched 1 "$closed" attach
		cp anchor before
		judge_closed "format by force" "$made" "$closed" format data anchor -d key --force
		try "without streams '$closed': that record is whole" anchor_py verify anchor 1 key
		expect_fail "without streams '$closed': it is another" cmp before anchor
	done
	fresh
	refused "a key from a closed input" 1 'standard input: Bad file descriptor' \
		with_closed 0 "$ctl" format data anchor -d -
}

# judge_closed NAME CODE STREAMS ARG...
judge_closed() {
	local name=$1 code=$2 closed=$3 status=0
	shift 3
	with_closed "$closed" "$ctl" "$@" </dev/null >"$check_tmp/out" 2>"$check_tmp/err" || status=$?
	same "without streams '$closed': $name" "$code" "$status"
}

judge_untouched() {
	local before
	before=$(sums)
	judge_closed "$3" "$@"
	same "without streams '$2': $3 changes nothing" "$before" "$(sums)"
}

cases_careless() {
	local name weird=$'no\nqvault-ctl: all is well\e[2J \xfc \u202e \\'
	fresh
	refused "a path that forges a line" 4 \
		'no\\x0aqvault-ctl: all is well\\x1b\[2J \\xfc \\xe2\\x80\\xae \\\\: No such file' \
		"$ctl" dump "$weird"
	refused "a name in UTF-8 is left alone" 4 'device Müller: ' "$ctl" dump "Müller"
	refused "half a character is not" 4 'M\\xc3: ' "$ctl" dump $'M\xc3'
	refused "an option that forges a line" 1 'unknown option --a\\x0ab' "$ctl" $'--a\nb'
	refused "a verb that forges a line" 1 'unknown verb "a\\x0ab"' "$ctl" $'a\nb'
	try "options before the verb" "$ctl" --key-file key --size 4M format data anchor
	try "and between all other words" "$ctl" -d key format --force data -q anchor
	refused "a verb's option before another verb" 1 'no meaning for dump' "$ctl" --size 4M dump anchor
	refused "options alone" 1 'no verb' "$ctl" -d key
	try "whatever POSIXLY_CORRECT says" env POSIXLY_CORRECT=1 "$ctl" dump anchor -d key
	said "it took the option" 'verified under this key'
	try "words after --" "$ctl" dump -- anchor
	refused "letters in one word" 1 'unknown option -z' "$ctl" format data anchor -qz
	for name in $'d\xe4ta' $'d\xc3ta\n\e' "dätä"; do
		truncate -s 8M "$name"
		rm -f anchor
		truncate -s 1M anchor
		"$ctl" format --json "$name" anchor -d key >"$check_tmp/json"
		try "JSON of $(printf %q "$name")" python3 -c 'import json, sys
d = json.loads(open(sys.argv[1], "rb").read().decode("utf-8"))
assert d["data"] == sys.argv[2].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), d' \
			"$check_tmp/json" "$name"
		rm "$name"
	done
	fresh
	# shellcheck disable=SC2016 # for the inner shell
	refused_done "no room for the output of format" 'No space left' bash -c '"$0" "$@" >/dev/full' "$ctl"
	refused_done "nobody reads the output of format" 'Broken pipe' with_reader_gone "$ctl"
	refused "nobody reads the output of dump" 1 'cannot write to standard output: Broken pipe' \
		with_reader_gone "$ctl" dump anchor
}

# What was done is said, and is so.
refused_done() {
	local name=$1 why=$2 status=0
	shift 2
	"$@" format data anchor -d key --force -q >"$check_tmp/out" 2>"$check_tmp/err" || status=$?
	same "$name" 6 "$status"
	cat "$check_tmp/err" >"$check_tmp/output"
	said "$name: it says what was done" "the vault [0-9a-f-]{36} was made on data and anchor; .*$why"
	try "$name: and so it is" anchor_py verify anchor 1 key
}

cases_permission() {
	local open_up=${ctl%/*}
	if [ "$(id -u)" -ne 0 ]; then
		skip "permission" "not root, so nobody else's files can be made"
		return 0
	fi
	fresh
	mkdir public
	cp "$ctl" public/qvault-ctl
	mv data anchor key public/
	chmod 755 "$check_tmp" . public public/qvault-ctl
	chmod 666 public/data
	chmod 644 public/key
	chmod 600 public/anchor
	open_up=$work/public/qvault-ctl
	refused "format of what is not ours" 2 'cannot open anchor device .*Permission denied' \
		as_nobody "$open_up" format public/data public/anchor -d public/key
	refused "dump of what is not ours" 2 'cannot open anchor device .*Permission denied' \
		as_nobody "$open_up" dump public/anchor
	refused "attach as nobody" 2 'run this as root' \
		as_nobody "$open_up" attach x public/data public/anchor -d public/key
	chmod 000 public/key
	chmod 666 public/anchor
	refused "a key that is not ours" 2 'cannot open key file .*Permission denied' \
		as_nobody "$open_up" format public/data public/anchor -d public/key
	chmod 700 "$check_tmp" .
}

cases_round_trip() {
	local uuid=01234567-89ab-cdef-0123-456789abcdef
	fresh
	try "format" "$ctl" format data anchor -d key --uuid "$uuid" --size 4M --log-blocks 100
	said "says the UUID" "^UUID: +$uuid$"
	said "says the size" '^Size: +4.0 MiB \(4194304 bytes\)$'
	same "the data device has its label, and no more" \
		"$(anchor_py label anchor 1 | sha256sum)" "$(sha256sum <data)"
	same "sparse: one block of it was written" 8 "$(stat -c %b data)"
	same "the anchor keeps its size" 1048576 "$(stat -c %s anchor)"
	try "the record verifies by other hands" anchor_py verify anchor 1 key
	same "its sequence is 1" 1 "$(anchor_py get anchor 1 sequence)"
	same "its lease is 1" 1 "$(anchor_py get anchor 1 lease)"
	same "all else of the anchor is empty" "$(head -c 1044480 /dev/zero | sha256sum)" \
		"$({ head -c $((192 * 4096)) && tail -c +4097; } <anchor | sha256sum)"
	same "it is of now" yes "$([ $(($(date +%s) - $(anchor_py get anchor 1 time))) -lt 100 ] && echo yes)"
	try "and so does its secret" reader anchor key
	said "one generation, which seals" '^1: verified, sequence 1, generations 0 [0-9a-f]{32}, seal 0$'
	try "dump without a key" "$ctl" dump anchor
	said "says that nothing vouches for it" 'not verified'
	try "dump with the key" "$ctl" dump anchor --key-file key
	said "says that it does" 'verified under this key'
	said "shows the size" '^Size: +4.0 MiB'
	try "dump as JSON" bash -c "'$ctl' dump anchor -d key --json |
		python3 -c 'import json, sys
d = json.load(sys.stdin)
assert d[\"verified\"] is True and d[\"uuid\"] == \"$uuid\", d
assert d[\"size\"] == 4 << 20 and d[\"geometry\"][\"log_blocks\"] == 100, d
assert d[\"generations\"] == [{\"number\": 0, \"cipher\": \"aes-256-xts\", \"mac\": \"hmac-sha256\"}], d
assert d[\"seal\"] == 0 and d[\"sector_size\"] == 4096 and d[\"time\"] > 1600000000, d'"
	try "without a label" "$ctl" format --no-label data anchor -d key --force -q
	same "the label is that of the first" "$uuid" "$(label_uuid data)"
	try "format with the other MAC" "$ctl" format data anchor -d key --force -q --mac nhpoly-aes
	said "says which kernels can attach it" 'only a kernel that has Adiantum'
	same "its number is 2" 2 "$(anchor_py get anchor 1 gen0_mac)"
	try "dump" "$ctl" dump anchor -d key
	said "shows the MAC" '^MAC: +nhpoly-aes, 128 bits$'
	try "format as JSON" bash -c "'$ctl' format --data data --anchor anchor -d key --force -q --json 2>err |
		python3 -c 'import json, sys
d = json.load(sys.stdin)
assert d[\"size\"] == d[\"logical_blocks\"] * 4096, d'"
	refused "standard output is full" 1 'cannot write to standard output' \
		bash -c "'$ctl' dump anchor >/dev/full"
	formatted
	cp anchor first
	"$ctl" format data anchor -d key --force >"$check_tmp/out" 2>&1
	expect_fail "two vaults get two UUIDs" cmp first anchor
}

cases_dump() {
	local other=$work/other
	fresh
	head -c 64 /dev/urandom >other
	refused "dump of an empty anchor" 4 'is empty' "$ctl" dump anchor
	head -c 1M /dev/urandom >noise
	refused "dump of something else" 4 'holds something else' "$ctl" dump noise
	truncate -s 4096 small
	refused "dump of a small device" 4 'too small' "$ctl" dump small
	formatted
	head -c 64 /dev/urandom >other
	refused "wrong key" 2 'wrong key .*: it is under another one' "$ctl" dump anchor -d "$other"
	cp anchor broken
	anchor_py set broken 1 reserved0=7
	refused "damaged, without a key" 4 'makes no sense: reserved' "$ctl" dump broken
	refused "damaged, with the key" 4 'is damaged: no record in it verifies under its key' "$ctl" dump broken -d key
	refused "damaged, with another key" 2 'under another one' "$ctl" dump broken -d "$other"
	anchor_py set broken 1 reserved0=7 key
	refused "sealed, but impossible" 4 'although this key verifies it' "$ctl" dump broken -d key
	cp anchor newer
	anchor_py set newer 1 format=3 key
	refused "unknown format version" 4 'has format version 3; this qvault-ctl knows version 2' "$ctl" dump newer
	cp anchor newer
	anchor_py set newer 1 incompat=0x12 key
	refused "unknown features" 4 'has features that this qvault-ctl does not know \(0x12\)' "$ctl" dump newer -d key
	refused "unknown features, without a key" 4 'has features' "$ctl" dump newer
	anchor_py set newer 1 incompat=0x13
	refused "unknown features that nobody vouches for" 4 'is damaged' "$ctl" dump newer -d key
	cp anchor newer
	anchor_py set newer 1 ro_compat=5 key
	try "features that a reader need not know" "$ctl" dump newer -d key
	said "are told" '^Read only: .*0x5'
	anchor_py copy anchor 1 0
	refused_slot
	anchor_py set anchor 0 sequence=2 epoch=1 lease=4294967297 key
	try "two records" "$ctl" dump anchor -d key
	said "the newer one counts" '^Sequence: +2$'
	anchor_py set anchor 0 epoch=9
	try "the newer one is torn" "$ctl" dump anchor -d key
	said "the older one counts" '^Sequence: +1$'
	said "and that it may not be the newest is said" 'warning: slot 0 of anchor anchor is torn or damaged: .*may be one record back'
	anchor_py set anchor 0 epoch=1 "$other"
	try "the newer one is under another key" "$ctl" dump anchor -d key
	said "this key's counts" '^Sequence: +1$'
	said "and the other one is told" 'warning: slot 0 of anchor anchor holds a newer record under another key'
	try "and the reverse" "$ctl" dump anchor -d "$other"
	said "that key's counts" '^Sequence: +2$'
	said "and that the older key still opens it is told" 'warning: slot 1 of anchor anchor holds an older record under another key, which still opens'
}

refused_slot() {
	cp anchor moved
	dd if=/dev/zero of=moved bs=4096 seek=192 count=1 conv=notrunc status=none
	refused "a record in the wrong slot" 4 'belongs to the other slot' "$ctl" dump moved
}

# impossible NAME=VALUE...: sealed under the right key, yet no record.
cases_impossible() {
	local fields
	formatted
	for fields in reserved0=1 gen0_cipher=0 gen0_cipher=2 gen0_mac=9 \
		gen0_reserved=1 gen1_reserved=1 gen1_cipher=1 seal=1 seal=8 \
		gen0=$(printf '%096d' 0) sector_size=0 sector_size=512 \
		tree_level=7 map_level=1 data_blocks=0 \
		data_blocks=0xffffffffffffffff logical_blocks=0 \
		logical_blocks=0xffffffffffffffff log_blocks=0 \
		log_blocks=0xffffffff sequence=0xfffffffffffffffe lease=0 \
		log_tail=0 log_head=0xffffffffffffffff log_head=1000000 \
		log_tail=3 inline_bytes=3361 inline_bytes=0xffffffff \
		tree_version=1 tree_where=1 settle=3601 reserved1=1 walk_reserved=1 reserved2=1 \
		"lease=9 tree_version=1 tree_where=0x1000000000000" \
		"lease=9 map_version=1 map_where=0x20000000000000" \
		"lease=9 log_version=1 log_where=0x8000000000000000" \
		"lease=9 log_version=1 log_where=0x8000000000000"; do
		cp anchor broken
		# shellcheck disable=SC2086 # several words
		anchor_py set broken 1 $fields key
		refused "impossible: $fields" 4 'makes no sense' "$ctl" dump broken -d key
	done
	rm broken
}

# A vault that hosts share: what need not be attached for it.
cases_shared() {
	local start
	fresh
	refused "settle alone" 1 'no meaning without --shared' "$ctl" format data anchor -d key --settle 3
	refused "settle of nothing" 1 'a whole number from 1 to 3600' "$ctl" format data anchor -d key --shared --settle 0
	try "shared from the beginning" "$ctl" format data anchor -d key --shared --settle 2
	try "dump" "$ctl" dump anchor -d key
	said "says so" '^Shared: .*settle time 2 s$'
	cp anchor before
	head -c 64 /dev/urandom >new
	start=$(date +%s)
	try "another key" "$ctl" key change --anchor anchor -d key --new-key-file new
	try "it has waited" [ $(($(date +%s) - start)) -ge 2 ]
	same "and claimed" "QVAULT" "$(head -c 6 anchor)"
	try "the other key opens it" "$ctl" dump anchor -d new
	(sleep 1 && dd if=/dev/zero of=anchor bs=4096 count=1 conv=notrunc status=none) &
	expect_fail "another claim meanwhile" "$ctl" key change --anchor anchor -d new --new-key-file key
	said "is told" 'another host attaches the vault .*nothing was changed'
	wait $!
	try "nothing was changed" "$ctl" dump anchor -d new
	rm before new
}

cases_destroy() {
	formatted
	refused "live anchor" 5 'holds the vault .*nothing was changed: give --force' "$ctl" format data anchor -d key
	anchor_py copy anchor 1 0
	dd if=/dev/zero of=anchor bs=4096 seek=192 count=1 conv=notrunc status=none
	refused "live anchor in the other slot, and damaged" 5 'a vault that is damaged' "$ctl" format data anchor -d key
	formatted
	anchor_py set anchor 1 format=77
	refused "live anchor of the future" 5 'of another format version' "$ctl" format data anchor -d key
	formatted
	refused "the same UUID again, even by force" 1 'needs one of its own' "$ctl" format data anchor -d key \
		--force --uuid "$("$ctl" dump anchor | sed -n 's/^UUID: *//p')"
	truncate -s 1M elsewhere
	refused "the label of another vault" 5 'data device data .*the data of the vault' "$ctl" format data elsewhere -d key
	try "without a label on it" "$ctl" format data elsewhere -d key --force --no-label
	try "by force" "$ctl" format data anchor -d key --force
	said "says what it destroyed" 'warning: .*anchor device anchor of 1.0 MiB .*the vault .*destroyed for ever'
	fresh
	mke2fs -q -F -t ext4 -L precious data >"$check_tmp/out" 2>&1
	refused "file system on data" 5 'data device data of 8.0 MiB .*ext4 \(label precious, UUID' "$ctl" format data anchor -d key
	try "file system on data, by force" "$ctl" format data anchor -d key --force
	fresh
	mkswap -L pages anchor >"$check_tmp/out" 2>&1
	refused "swap on the anchor" 5 'anchor device anchor .*swap \(label pages' "$ctl" format data anchor -d key
	fresh
	put data 446 '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0'
	put data 510 '\x55\xaa'
	refused "partitions on data" 5 'dos partition table' "$ctl" format data anchor -d key
	fresh
	mke2fs -q -F -t ext4 -L evil data >"$check_tmp/out" 2>&1
	put data 1144 '\033[2J\007'
	refused "a label with control characters" 5 'label \\x1b\[2J\\x07' "$ctl" format data anchor -d key
}

# On a terminal the tool asks, as cryptsetup does; the key is in memory then.  The
# sanitizers lock no memory and may keep copies.
cases_secrets() {
	fresh
	try "asks on a terminal, and takes YES" python3 -B "$here/watch.py" key YES "$ctl" format data anchor -d key
	said "it asked" '^asked yes'
	if [ "$1" = plain ]; then
		said "the key is in memory once" '^copies 1$'
		said "there it is locked, not dumped, not inherited" '^flags lo dd wf$'
	fi
	said "it is not in the arguments nor the environment" '^argv no$'
	said "no core dump" '^core 0$'
	fresh
	expect_fail "asks on a terminal, and does not take yes" python3 -B "$here/watch.py" key yes "$ctl" format data anchor -d key
	same "then nothing was changed" "$(head -c 1M /dev/zero | sha256sum)" "$(sha256sum <anchor)"
	try "does not ask with --batch-mode" python3 -B "$here/watch.py" key no "$ctl" format data anchor -d key -q
	said "it did not" '^asked no'
	try "a crash leaves no core" crash_without_core
}

crash_without_core() {
	fresh
	mkfifo pipe
	# shellcheck disable=SC2016 # for the inner shell
	(ulimit -c unlimited && exec "$ctl" format data anchor -d - <pipe) &
	exec 8>pipe
	head -c 32 key >&8
	sleep 0.3
	python3 - $! <<-'END'
		import os, re, sys
		pid = int(sys.argv[1])
		limits = open(f"/proc/{pid}/limits").read()
		assert re.search(r"Max core file size +0 +0", limits), limits
	END
	kill -SEGV $!
	wait $! || [ $? -eq 139 ]
	exec 8>&-
	! ls core* 2>/dev/null
}

# On a machine that is busy with other things the clock on the wall says more
# about those, so then the time on the processors counts.
cases_time() {
	local i wall cpu best=999999999 used=999999999
	local TIMEFORMAT='%R %U %S'
	fresh
	truncate -s 1T data
	for ((i = 0; i < 15; i++)); do
		truncate -s 0 anchor
		truncate -s 1M anchor
		dd if=/dev/zero of=data bs=4096 count=1 conv=notrunc status=none
		{ time "$ctl" format data anchor -d key >"$check_tmp/out"; } 2>"$check_tmp/time"
		read -r wall cpu < <(awk '{ print $1 * 1000, ($2 + $3) * 1000 }' "$check_tmp/time")
		[ "$wall" -ge "$best" ] || best=$wall
		[ "$cpu" -ge "$used" ] || used=$cpu
	done
	say "format of a sparse device of 1 TiB: $best ms, of which $used on a processor (load $(cut -d ' ' -f 1 /proc/loadavg), $(nproc) processors)"
	if [ "$(cut -d . -f 1 /proc/loadavg)" -ge "$(nproc)" ]; then
		best=$used
	fi
	same "under 100 ms" yes "$([ "$best" -lt 100 ] && echo yes || echo "$best ms")"
}

cases_valgrind() {
	local under=(valgrind -q --error-exitcode=99 --leak-check=full
		"--errors-for-leak-kinds=definite,indirect")
	if ! command -v valgrind >"$check_tmp/out"; then
		skip "valgrind" "not installed"
		return 0
	fi
	fresh
	try "valgrind: format" "${under[@]}" "$ctl" format data anchor -d key
	try "valgrind: format by force, JSON" "${under[@]}" "$ctl" format data anchor -d key --force --json
	try "valgrind: dump" "${under[@]}" "$ctl" dump anchor -d key
	try "valgrind: dump, JSON" "${under[@]}" "$ctl" dump anchor --json
	refused "valgrind: a refusal" 5 'holds the vault' "${under[@]}" "$ctl" format data anchor -d key
}

# What --dry-run says is enough, and a block less is not.
cases_dry_run() {
	local size needed log
	fresh
	refused "a dry run without a size" 1 'dry-run asks' "$ctl" format --dry-run
	refused "a dry run with devices" 1 'dry-run asks' "$ctl" format --dry-run --size 1M data anchor
	refused "more than any device holds" 1 'no data device is large enough' "$ctl" format --dry-run --size 99P
	refused "a dry run of attach" 1 'no meaning' "$ctl" attach --dry-run x data
	for size in 4096 1M 4M 300M 5G 1T; do
		for log in "" "--log-blocks=500"; do
			# shellcheck disable=SC2086 # a word or none
			needed=$("$ctl" format --dry-run --size $size $log --json |
				python3 -c 'import json, sys; print(json.load(sys.stdin)["data_size"])')
			rm -f data anchor
			truncate -s 1M anchor
			truncate -s $((needed - 4096)) data
			# Not by way of refused, which would read all of a device of 1 TiB.
			# shellcheck disable=SC2086
			expect_fail "$size $log: less than $needed bytes" \
				"$ctl" format data anchor -d key --size $size $log
			said "$size $log: is refused for that" 'at most|too small'
			truncate -s "$needed" data
			# shellcheck disable=SC2086
			try "$size $log: $needed bytes" "$ctl" format data anchor -d key --size $size $log
		done
	done
}

run_with() {
	ctl=$build/$1/qvault-ctl
	say "qvault-ctl, built as: $1"
	cases_words
	cases_attached
	cases_ephemeral
	cases_key
	cases_devices
	cases_streams
	cases_careless
	cases_permission
	cases_round_trip
	cases_dump
	cases_impossible
	cases_shared
	cases_destroy
	cases_dry_run
	cases_lives "$2"
	cases_secrets "$2"
}

plain() {
	cases_completion
	run_with gcc plain
	cases_time
	cases_valgrind
}

sanitized() { run_with sanitized sanitized; }

guest() {
	say "in a guest with the module"
	in_guest uml --timeout 2400 "$check_top/tests/functional/tool.sh"
}

build_all
[ $# -gt 0 ] || set -- plain sanitized guest
for part in "$@"; do
	case $part in
	plain | sanitized | guest) "$part" ;;
	*) fail "$part" "no such part: plain, sanitized, guest" ;;
	esac
done
finish
