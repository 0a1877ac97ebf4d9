#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: W=1, sparse, checkpatch, shellcheck, clang-format, cppcheck; each seen to bite
# minutes: 1
# processors: 1
# limit: 45
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

lab=$check_top/tests/lab
bad=$check_tmp/bad
cd "$check_top"

# Names that a message for people may hold although a function has it as well.
checkpatch_ignore=EMBEDDED_FUNCTION_NAME

kernel_source=$(readlink -f "$("$lab/uml-kernel" plain)/source")
headers=$("$lab/debian-kernel" 6.12 | sed -n 's/^headers=//p')
mapfile -t module < <(git ls-files -co --exclude-standard 'dm-qvault/*.[ch]' | grep -v /tests/)
mapfile -t suites < <(git ls-files -co --exclude-standard 'dm-qvault/tests/*.[ch]')
mapfile -t tool < <(git ls-files -co --exclude-standard 'userspace/*.c')
mapfile -t all_c < <(git ls-files -co --exclude-standard '*.[ch]')
mapfile -t scripts < <(git ls-files -co --exclude-standard | while read -r file; do
	line=""
	[ ! -f "$file" ] || read -r line <"$file" 2>/dev/null || true
	case $line in
	'#!/bin/bash'*|'#!/bin/sh'*|'#!/bin/busybox sh'*|'# shellcheck shell='*) echo "$file" ;;
	esac
done)

# ---- One function for each tool: says what is wrong, and fails then ----

# Only what is said of our own files: the kernel's headers have their own flaws.
compiles_cleanly() {
	"$lab/build-module" --fresh --log "$check_tmp/build" "$@" W=1 C=2 CF=-D__CHECK_ENDIAN__ || return 1
	if grep -E -A 4 '(warning|error):' "$check_tmp/build"; then return 1; fi
	# Seen to run at all, and not only the compiler.
	grep '^  CHECK ' "$check_tmp/build" >/dev/null
}

checkpatch() {
	local output strict=()
	if [ "$1" = --strict ]; then strict=(--strict); shift; fi
	output=$("$kernel_source/scripts/checkpatch.pl" --no-tree --terse --show-types \
		--quiet --no-summary --ignore "$checkpatch_ignore" "${strict[@]}" -f "$@" 2>&1) || true
	[ -z "$output" ] || { echo "$output"; return 1; }
}

# SC2317: functions that only `try` calls seem unreachable to it.
shell_scripts() { shellcheck -x -P "$check_top" -e SC2317 "$@"; }

c_style() { python3 tests/static/style.py "$@"; }

wakes() { python3 tests/static/wakes.py "$@"; }

tool_analysis() {
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --template=gcc \
		-Idm-qvault -Iuserspace "$@"
}

# ---- Each tool must complain of a file made for it ----

write_bad_files() {
	mkdir -p "$bad/sparse" "$bad/unused"
	echo 'obj-m += bad.o' | tee "$bad/sparse/Kbuild" >"$bad/unused/Kbuild"
	cat >"$bad/sparse/bad.c" <<-'END'
		#include <linux/module.h>
		static __le32 on_disk;
		static int __init bad_init(void) { return on_disk + 1; }
		module_init(bad_init);
		MODULE_DESCRIPTION("bad");
		MODULE_LICENSE("GPL");
	END
	cat >"$bad/unused/bad.c" <<-'END'
		#include <linux/module.h>
		static int __init bad_init(void) { int unused; unused = 1; return 0; }
		module_init(bad_init);
		MODULE_DESCRIPTION("bad");
		MODULE_LICENSE("GPL");
	END
	cat >"$bad/style.c" <<-'END'
		// SPDX-License-Identifier: GPL-2.0
		int f(int a)
		{
		  if(a)
		      return a+1;
		  return 0;
		}
	END
	cat >"$bad/wakes.c" <<-'END'
		void f(struct volume *vol)
		{
			if (atomic_dec_and_test(&vol->inflight))
				wake_up_var(&vol->inflight);
			wait_var_event(&vol->inflight, !atomic_read(&vol->inflight));
			atomic_dec(&vol->inflight);
		}
	END
	cat >"$bad/tool.c" <<-'END'
		#include <stdlib.h>
		int f(void) { char *p = malloc(4); p[8] = 1; return p[0]; }
	END
	# shellcheck disable=SC2016 # not expanded: that is the mistake
	printf '#!/bin/bash\nrm $1\n' >"$bad/script.sh"
}

write_bad_files
expect_fail "sparse bites" compiles_cleanly --source "$bad/sparse" "$headers"
expect_said "and names the endian mistake" 'restricted __le32 degrades'
expect_fail "W=1 bites" compiles_cleanly --source "$bad/unused" "$headers"
expect_said "and names the unused variable" 'unused-but-set'
expect_fail "checkpatch bites" checkpatch --strict "$bad/style.c"
expect_said "and names the style" 'SPACING|CODE_INDENT'
expect_fail "shellcheck bites" shell_scripts "$bad/script.sh"
expect_said "and names the missing quotes" 'SC2086'
cp "$bad/style.c" "$check_top/tests/static/.bad.c"
expect_fail "clang-format bites" c_style tests/static/.bad.c
rm -f "$check_top/tests/static/.bad.c"
expect_said "and names the space" "if\(a\)' should be '.if \(a\)'"
expect_said "and the indentation" 'indentation: return 0;'
expect_fail "cppcheck bites" tool_analysis "$bad/tool.c"
expect_said "and names the overrun" 'out of bounds'

expect_fail "the rule of waits bites" wakes "$bad/wakes.c"
expect_said "and names the line" 'wakes.c:6: lowers vol->inflight'

say "${#module[@]} files of the module, ${#tool[@]} of the tool, ${#all_c[@]} C files, ${#scripts[@]} scripts"
try "module: W=1 and sparse with endian checks" compiles_cleanly "$headers"
try "module: checkpatch --strict" checkpatch --strict "${module[@]}"
try "module: who lowers a counter that is waited for wakes" wakes "${module[@]}"
# Tables of test vectors and long expectations: without what is only a CHECK.
try "KUnit suites: checkpatch" checkpatch "${suites[@]}"
try "all C files: the kernel's style by clang-format" c_style "${all_c[@]}"
try "tool: cppcheck" tool_analysis "${tool[@]}"
for script in "${scripts[@]}"; do
	try "shellcheck $script" shell_scripts "$script"
done
finish
