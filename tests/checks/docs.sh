#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the documentation says what the code says: offsets, options, status, names
# minutes: 1
# processors: 1
# limit: 20
# shellcheck disable=SC2317,SC2016 # functions are called by way of try; backquotes are rst
set -euo pipefail

# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

cd "$check_top"
documents=Documentation
guide=$documents/admin-guide/device-mapper/qvault.rst
module=dm-qvault

# equal_lists WANTED_FILE GOT_FILE: the same words, in any order.
equal_lists() {
	diff <(sort -u "$1") <(sort -u "$2") && [ -s "$1" ]
}

# ---- Offsets ----------------------------------------------------------------

# The tables of format.rst: `struct offset bytes field`, one a line.
format_tables() {
	sed -nE -e 's/^.*``struct (qvault_disk_[a-z_]+)``[,:].*$/@\1/p' \
		-e 's/^([0-9]+) +([0-9]+) +([a-z_0-9]+)( .*)?$/\1 \2 \3/p' \
		"$documents/format.rst" |
		awk '/^@/ { name = substr($0, 2); next } { print name, $0 }'
}

# A program that does not compile where a table is wrong.
offsets_compile() {
	local name offset bytes field
	{
		echo '#include "format.h"'
		format_tables | while read -r name offset bytes field; do
			echo "static_assert(offsetof(struct $name, $field) == $offset, \"$name.$field: offset\");"
			echo "static_assert(sizeof(((struct $name *)0)->$field) == $bytes, \"$name.$field: size\");"
		done
		echo 'int main(void) { return 0; }'
	} >"$check_tmp/offsets.c"
	gcc -std=gnu11 -I "$module/engine" -o "$check_tmp/offsets" "$check_tmp/offsets.c"
}

# Every field of every struct on disk has a row, and the reverse.
fields_complete() {
	awk '/^struct qvault_disk_/ { name = $2 }
		name && match($0, /[a-z_0-9]+(\[[A-Z_]+\]|\[[0-9]+\])?;/) {
			field = substr($0, RSTART, RLENGTH); sub(/[[;].*/, "", field); print name, field }
		/^};/ { name = "" }' "$module/engine/format.h" >"$check_tmp/fields"
	format_tables | cut -d ' ' -f 1,4 >"$check_tmp/rows"
	equal_lists "$check_tmp/fields" "$check_tmp/rows"
}

labels_equal() {
	local check_size
	check_size=$(sed -n 's/^#define QVAULT_CHECK_SIZE\s*//p' "$module/engine/format.h")
	sed "s/QVAULT_CHECK_SIZE bytes/$check_size bytes/" "$module/engine/format.h" |
		sed -nE 's/^#define QVAULT_LABEL_[A-Z_]+\s+"(qvault .*)"\s+\/\* ([0-9]+) bytes.*/\1 \2/p' \
			>"$check_tmp/labels"
	sed -nE 's/^``(qvault [a-z ]+)`` +([0-9]+) .*/\1 \2/p' "$documents/format.rst" >"$check_tmp/rows"
	equal_lists "$check_tmp/labels" "$check_tmp/rows"
}

# The vectors that are told and tested are those that the standards give.
vectors_equal() {
	local status=0 word
	"$check_top/tests/mac/vectors" | sed 's/^/    /' >"$check_tmp/vectors" || return 1
	tail -n "$(wc -l <"$check_tmp/vectors")" "$documents/mac.rst" | diff "$check_tmp/vectors" - || status=1
	cat "$module"/tests/{format,world}_kunit.c | tr -d '\t\n ,' | sed 's/0x//g' >"$check_tmp/bytes"
	while read -r word; do
		grep -q "$word" "$check_tmp/bytes" || { echo "no suite has $word"; status=1; }
	done < <(awk '!/^ *K/ { print $NF }' "$check_tmp/vectors")
	return "$status"
}

# Numbers of the geometry that the text spells out.
geometry_numbers() {
	cat >"$check_tmp/numbers.c" <<-'C'
		#include <stdbool.h>
		#include <stdio.h>
		#include "geometry.h"
		int main(void)
		{
			printf("It has %u blocks\n", QVAULT_GROUP_BLOCKS);
			printf("%u * %u = %u\n", QVAULT_GROUP_LEAVES, QVAULT_FANOUT,
			       QVAULT_GROUP_LEAVES * QVAULT_FANOUT);
			printf("The %u data\n", QVAULT_GROUP_DATA - QVAULT_GROUP_LEAVES * QVAULT_FANOUT);
			printf("more than the %u blocks\n", QVAULT_GROUP_HEAD);
			printf("*d* * %u / %u (rounded down)\n", QVAULT_FANOUT,
			       QVAULT_FANOUT + QVAULT_LEAF_SPARE);
			printf("at least %u data\n", QVAULT_MIN_SPARE);
			printf("smallest volume takes %u\n", 1 + QVAULT_MIN_LOG_BLOCKS +
			       QVAULT_GROUP_HEAD + QVAULT_MIN_SPARE + 1);
			return 0;
		}
	C
	gcc -std=gnu11 -I "$module/engine" -o "$check_tmp/numbers" "$check_tmp/numbers.c"
	"$check_tmp/numbers" >"$check_tmp/said"
	every_line_in "$check_tmp/said" "$documents/format.rst"
}

# every_line_in LINES FILE
every_line_in() {
	local line status=0
	while IFS= read -r line; do
		grep -qF -- "$line" "$2" || { echo "$2 does not say: $line"; status=1; }
	done <"$1"
	[ -s "$1" ] && return "$status"
}

# ---- The guide --------------------------------------------------------------

# The layout of the status is told in a comment beside the code.
status_equal() {
	sed -nE 's/^ \* (<.*>)$/\1/p' "$module/kernel/status.c" >"$check_tmp/code"
	sed -nE '/dmsetup status.*prints::/,/^on one line/s/^ +(<.*>)$/\1/p' "$guide" >"$check_tmp/text"
	[ -s "$check_tmp/code" ] && diff "$check_tmp/code" "$check_tmp/text"
}

# ... and as many fields are printed as it has.
status_counted() {
	local printed told
	printed=$(sed -n '/^static void status_info/,/^}/p; /^static unsigned int add_generations/,/^}/p' "$module/kernel/status.c" | grep -oE '%(llu|u|s)' | wc -l)
	told=$(grep -oE '<[^>]*>' "$check_tmp/code" | wc -l)
	echo "printed: $printed, told: $told"
	[ "$printed" -eq "$told" ]
}

status_explained() {
	local status=0 field
	grep -oE '<[^>]*>' "$check_tmp/code" >"$check_tmp/fields"
	while read -r field; do
		[ "$(grep -cF -- "$field" "$guide")" -ge 2 ] || { echo "not explained: $field"; status=1; }
	done <"$check_tmp/fields"
	return "$status"
}

# section TITLE: of the guide, up to the next title.
section() {
	awk -v title="$1" '/^(=+|-+)$/ { inside = (previous == title) }
		inside { print } { previous = $0 }' "$guide"
}

# terms TITLE: the first word of each term that a section defines.
terms() { section "$1" | sed -nE 's/^``([a-z_]+).*``$/\1/p'; }

options_equal() {
	sed -n '/^static int parse_option(/,/^}/p' "$module/kernel/args.c" |
		grep -oE 'strcmp\(name, "[a-z_]+"' | cut -d '"' -f 2 >"$check_tmp/code"
	terms Options >"$check_tmp/text"
	equal_lists "$check_tmp/code" "$check_tmp/text"
}

# Limits and defaults of options, as the header has them.
option_numbers() {
	sed -nE 's/^#define QVAULT_(MAX|DEFAULT)_(MEMORY_MIB|COMMIT_SECONDS)\s+([0-9]+)$/\1 \3/p' \
		"$module/kernel/args.h" |
		sed -e 's/^MAX /to /' -e 's/^DEFAULT /by default /' >"$check_tmp/code"
	section Options | tr '\n' ' ' >"$check_tmp/text"
	every_line_in "$check_tmp/code" "$check_tmp/text"
}

messages_equal() {
	grep -oE '\<is\((word|argv\[0\]), "[a-z_]+"' "$module/kernel/message.c" |
		cut -d '"' -f 2 >"$check_tmp/code"
	terms Messages >"$check_tmp/text"
	equal_lists "$check_tmp/code" "$check_tmp/text"
}

modes_told() {
	sed -n '/^static const char \*mode_name/,/^}/p' "$module/kernel/status.c" |
		sed -nE '/unknown/d; s/.*return "(.*)";/``\1``/p' >"$check_tmp/code"
	every_line_in "$check_tmp/code" "$guide"
}

events_told() {
	grep -ohE 'QVAULT_(EVENT|BLOCK|OPERATION)=[a-z]*' "$module/kernel/report.c" | sort -u |
		sed -e 's/QVAULT_EVENT=\(.*\)/``\1``/' -e 's/=.*/=/' >"$check_tmp/code"
	every_line_in "$check_tmp/code" "$guide"
}

# Errors that the engine gives to who attaches, as its own contract lists them.
errors_told() {
	sed -n '/^ \* qvault_attach() - /,/\*\//p' "$module/engine/recovery.c" | grep -oE -- '-E[A-Z]+' |
		grep -v ENOMEM | sed 's/-\(.*\)/``\1``/' >"$check_tmp/code"
	every_line_in "$check_tmp/code" "$guide"
}

# ---- Names ------------------------------------------------------------------

# Whatever is written as ``name()`` or ``file.c`` exists.
names_exist() {
	local name status=0
	while read -r name; do
		grep -qE "\b${name%()}\(" "$module"/*/*.[ch] || { echo "no function $name"; status=1; }
	done < <(grep -ohE '``[a-z_]+\(\)``' "$documents"/*.rst "$guide" | tr -d '\140' | grep -v '^map()')
	while read -r name; do
		[ -e "$name" ] || [ -n "$(find "$module" -name "${name##*/}")" ] || { echo "no file $name"; status=1; }
	done < <(grep -ohE '``[a-zA-Z_/-]+\.[ch]``' "$documents"/*.rst "$guide" README.md | tr -d '\140')
	return "$status"
}

# testing.rst has each named check, and no other.
checks_told() {
	find tests/checks -name '*.sh' -exec basename {} .sh \; >"$check_tmp/code"
	sed -nE 's/^``([a-z-]+)``$/\1/p' "$documents/testing.rst" >"$check_tmp/text"
	equal_lists "$check_tmp/code" "$check_tmp/text"
}

# The lock order stands in two places; the page has the lock of the glue as well.
locks_told() {
	sed -nE '/Lock order, outermost/,/The mutexes may be/s/^ \*[[:space:]]+([a-z>_-]+)[[:space:]]+(.*)/\1 \2/p' \
		"$module/engine/qvault.h" | grep -E '^[a-z_>-]+lock |^[a-z]+_mutex ' | sed 's/->/./' >"$check_tmp/code"
	sed -nE '/^Outermost first/,/^What each/s/^ +([a-z._]+) {2,}(.*)/\1 \2/p' \
		"$documents/locking.rst" | grep -v '^life_mutex' >"$check_tmp/text"
	[ -s "$check_tmp/code" ] && diff "$check_tmp/code" "$check_tmp/text"
}

# Commands that the README names are targets or checks.
readme_commands() {
	local status=0 word
	while read -r word; do
		grep -qE "^([a-z -]* )?$word( [a-z -]*)?:" Makefile || { echo "no such target: make $word"; status=1; }
	done < <(grep -ohE '\bmake [a-z]+' README.md | awk '{ print $2 }' | sort -u)
	while read -r word; do
		[ "$word" = all ] || [ -f "tests/checks/$word.sh" ] || { echo "no such check: $word"; status=1; }
	done < <(grep -ohE 'tests/run [a-z][a-z-]+' README.md "$documents"/*.rst | awk '{ print $2 }' | sort -u)
	return "$status"
}

# ---- Text -------------------------------------------------------------------

syntax() {
	python3 - "$@" <<-'PYTHON'
		import sys
		import docutils.core, docutils.utils
		worst = 0
		for path in sys.argv[1:]:
		    document = docutils.core.publish_doctree(
		        open(path).read(), source_path=path,
		        settings_overrides={"report_level": 2, "halt_level": 5})
		    worst = max([worst] + [m["level"] for m in document.findall()
		                           if m.__class__.__name__ == "system_message"])
		sys.exit(worst >= 2)
	PYTHON
}

# Tables and text that a reader sees as they are.
narrow() {
	local status=0
	awk 'length > 100 { printf "%s:%d: %d columns\n", FILENAME, FNR, length; bad = 1 }
		END { exit bad }' "$documents"/*.rst "$guide" || status=1
	! grep -nE '[[:space:]]$' "$documents"/*.rst "$guide" README.md || status=1
	return "$status"
}

try "format.rst: offsets and sizes compile against format.h" offsets_compile
try "format.rst: every field of every struct, and no other" fields_complete
try "format.rst: labels of the keys" labels_equal
try "format.rst: numbers of the geometry" geometry_numbers
try "mac.rst: vectors" vectors_equal
try "qvault.rst: the status line is that of status.c" status_equal
try "status.c prints as many fields" status_counted
try "qvault.rst: every field is explained" status_explained
try "qvault.rst: options are those of args.c" options_equal
try "qvault.rst: their limits and defaults" option_numbers
try "qvault.rst: messages are those of message.c" messages_equal
try "qvault.rst: modes" modes_told
try "qvault.rst: events" events_told
try "qvault.rst: errors" errors_told
try "functions and files that are named exist" names_exist
try "testing.rst: every named check, and no other" checks_told
try "locking.rst: the locks of qvault.h" locks_told
try "README.md: commands exist" readme_commands
try "rst syntax" syntax "$documents"/*.rst "$guide"
try "no line too long, no blanks at the end" narrow
finish
