# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What stock kernels in QEMU begin with: a few programs and kernel modules.

# module_files ROOT RELEASE NAME...: the files of these modules and of all that they
# need, in the order of loading.  What is built in, or unknown to this kernel, has none.
module_files() {
	local root=$1 release=$2 name
	for name in "${@:3}"; do
		modprobe -d "$root" -S "$release" --show-depends "$name" 2>/dev/null || true
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

# add_modules TREE: those whose files stand in the input, unpacked, since busybox's
# insmod may not know how to; modules/list says in which order.
add_modules() {
	local into=$1/modules file name
	mkdir -p "$into"
	while read -r file; do
		name=$(basename "$file")
		case $name in
		*.xz) name=${name%.xz}; xz -dc "$file" >"$into/$name" ;;
		*.zst) name=${name%.zst}; zstd -qdc "$file" >"$into/$name" ;;
		*) cp "$file" "$into/$name" ;;
		esac
		echo "$name" >>"$into/list"
	done
}

# add_programs TREE FILE...: into bin, with the libraries that they need.
add_programs() {
	local tree=$1 file
	mkdir -p "$tree/bin"
	cp "${@:2}" "$tree/bin/"
	for file in "${@:2}"; do
		ldd "$file" 2>/dev/null || true
	done | grep -o '/[^ ]*' | sort -u | while read -r file; do
		install -D "$file" "$tree$file"
	done
}

# pack_initramfs TREE FILE
pack_initramfs() { (cd "$1" && find . | cpio --quiet -o -H newc) >"$2"; }
