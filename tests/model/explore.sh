# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Words for the checks model and model-long; source it after lib/check.sh.

model_dir=${check_top:?}/tests/model
model_states=0 model_mutants=0 model_killed=0

# compile MODEL FLAG...: leaves ./pan in $check_tmp/pan.  Collapse compression
# loses nothing, so a search that ends has seen every state.
compile() {
	local model=$1
	shift
	rm -rf "${check_tmp:?}/pan"
	mkdir "$check_tmp/pan"
	(
		cd "$check_tmp/pan" || exit 1
		spin -a "$@" "$model_dir/$model.pml"
		# shellcheck disable=SC2086 # options
		nice "${CC:-gcc}" -w $model_cc -DSAFETY -DMEMLIM=4000 -o pan pan.c
	) >"$check_tmp/compile" 2>&1
}

# search FLAG...: run it; the result is in $check_tmp/found.
search() {
	(cd "$check_tmp/pan" && nice ./pan "$@") >"$check_tmp/found" 2>&1 </dev/null || true
}

# The first number before a word of the result.
number_of() {
	sed -nE "s/^ *([0-9]+) $1.*/\1/p" "$check_tmp/found" | head -n 1
}

whole_search() {
	grep -q "errors: 0" "$check_tmp/found" &&
		! grep -qE "not completed|too small|out of memory|resource|truncated" \
			"$check_tmp/found"
}

# model_cc: in all but room.pml and sector.pml every step touches what the others do,
# and partial order reduction finds nothing there.
flags_for() {
	case $1 in
	room | sector) model_cc="$2 -DCOLLAPSE" ;;
	*) model_cc="$2 -DCOLLAPSE -DNOREDUCE" ;;
	esac
}

# explore NAME MODEL FLAG...: all states, and none may be bad.
explore() {
	local name=$1 model=$2
	shift 2
	flags_for "$model" -O2
	if ! compile "$model" "$@"; then
		cat "$check_tmp/compile"
		fail "$name" "does not compile"
		return 0
	fi
	search -n -m5000000
	if whole_search; then
		model_states=$((model_states + $(number_of "states, stored")))
		say "$name: $(number_of "states, stored") states, all of them"
		pass "$name"
	else
		grep -E "^pan:|^error|errors:" "$check_tmp/found" | head -n 5
		why_bad "$model" "$@"
		fail "$name" "a property does not hold, or the search was not complete"
	fi
}

# sample NAME MODEL FLAG...: as many states as a bitstate search reaches; not
# exhaustive, and not counted as such.
sample() {
	local name=$1 model=$2
	shift 2
	model_cc="-O2 -DBITSTATE -DNOREDUCE"
	if ! compile "$model" "$@"; then
		cat "$check_tmp/compile"
		fail "$name" "does not compile"
		return 0
	fi
	search -n -m5000000 -w32 -k3
	if grep -q "errors: 0" "$check_tmp/found"; then
		say "$name: $(number_of "states, stored") states, a sample (bitstate)"
		pass "$name"
	else
		why_bad "$model" "$@"
		fail "$name" "a property does not hold"
	fi
}

# why_bad MODEL FLAG...: the property that the trail ends at, from the comment
# beside the assertion.
why_bad() {
	local model=$1 line file=$model_dir/$1.pml
	shift
	if grep -q "^pan:.*invalid end state" "$check_tmp/found"; then
		case $model in
		generations) echo "S6 (does not end)" ;;
		sector) echo "Z2 (wait for each other)" ;;
		*) echo "I6 (waits for ever)" ;;
		esac
		return 0
	fi
	line=$(cd "$check_tmp/pan" && spin -k "$model.pml.trail" "$@" "$file" 2>&1 |
		sed -nE 's/.*\.pml:([0-9]+), Error: assertion violated.*/\1/p' | head -n 1)
	if [ -z "$line" ]; then
		echo "an unknown property"
		return 0
	fi
	sed -n "$line,$((line + 3))p" "$file" | grep -oE "[A-Z][1-9]" | head -n 1 ||
		echo "line $line"
}

# mutant NAME MODEL FLAG...: -DMUTANT_NAME must break a property.
mutant() {
	local name=$1 model=$2
	shift 2
	model_mutants=$((model_mutants + 1))
	# Most are dead before a compiler that tries harder would have ended.
	flags_for "$model" -O0
	if ! compile "$model" "-DMUTANT_$name" "$@"; then
		cat "$check_tmp/compile"
		fail "mutant $name" "does not compile"
		return 0
	fi
	search -n -m200000
	if grep -qE "^pan:.*(assertion violated|invalid end state)" "$check_tmp/found" &&
		grep -q "errors: 1" "$check_tmp/found"; then
		model_killed=$((model_killed + 1))
		pass "mutant $name killed by $(why_bad "$model" "-DMUTANT_$name" "$@")"
	else
		grep -E "^pan:|^error|errors:|stored" "$check_tmp/found" | head -n 5
		fail "mutant $name" "survives"
	fi
}

# Every function that a step of a model says it stands for must exist.
functions_exist() {
	local name missing=0 count=0
	for name in $(sed -nE 's/.*\bC: ([a-z0-9_ ]+).*/\1/p' "$model_dir"/*.pml |
		tr ' ' '\n' | sort -u); do
		count=$((count + 1))
		if ! grep -qE "^[a-z].*[ *]$name\(" "$check_top"/dm-qvault/*/*.c; then
			echo "no function $name() in dm-qvault/"
			missing=$((missing + 1))
		fi
	done
	if [ "$missing" -eq 0 ] && [ "$count" -gt 0 ]; then
		pass "all $count functions that the models name exist"
	else
		fail "functions of the models" "$missing of $count are missing"
	fi
}

# Those that the heads of the models promise.
properties() {
	sed -nE 's/^ \* \(?([A-Z][1-9]) .*/\1/p' "$model_dir"/*.pml | sort -u |
		tr '\n' ' ' | sed 's/ $//'
}

model_figures() {
	echo "$model_states states explored, every one of them"
	echo "properties: $(properties) (assertions; I6, S6 and Z2 also no invalid end state)"
	[ "$model_mutants" -eq 0 ] ||
		echo "$model_killed of $model_mutants mutants killed"
}
