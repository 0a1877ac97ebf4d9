#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: dkms add, build, install, boot with it, remove; make install and uninstall
# minutes: 4
# processors: 1
# limit: 60
# usage: dkms [SERIES]
#
# In trees of our own, against an unpacked headers package: this machine's own
# /usr/src, /var/lib/dkms and /lib/modules are left alone.
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"
# shellcheck source=tests/lib/initramfs.sh
. "$check_top/tests/lib/initramfs.sh"

lab=$check_top/tests/lab
if [ "$(id -u)" -ne 0 ]; then
	skip "dkms" "dkms itself insists on root"
	finish
fi

release="" vmlinuz="" modules="" headers=""
eval "$("$lab/debian-kernel" "${1:-6.12}")"
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$check_top/dkms.conf")
# Not below /tmp, which a guest would hide.
work=$(mktemp -d "$QVAULT_CACHE/run/dkms.XXXXXXXX")
trap 'rm -rf "$work" "$check_tmp"' EXIT
root=$work/root
mkdir -p "$work/tree" "$root/lib/modules"
# The kernel's own modules as they are installed, by hard links.
cp -al "$modules" "$root/lib/modules/$release"
# depmod writes new files; links of the old would write to the cache's.
rm -f "$root/lib/modules/$release"/modules.{dep,alias,symbols,softdep,devname,builtin}*.bin

# A copy of the tree, to change; and dkms in our trees, for make to call.
mkdir "$work/copy" "$work/packed"
cp -r "$check_top"/{Makefile,Kbuild,LICENSE,dkms.conf,dm-qvault,userspace} "$work/copy/"
cat >"$work/dkms" <<END
#!/bin/sh
action=\$1
shift
exec dkms "\$action" --dkmstree "$work/tree" --sourcetree "$root/usr/src" \\
	--installtree "$root/lib/modules" --kernelsourcedir "$headers" --no-depmod "\$@"
END
chmod +x "$work/dkms"
make_copy() {
	make -s -C "$work/copy" "PREFIX=$root/usr/local" "SOURCEDIR=$root/usr/src" \
		"MODULESLOADDIR=$root/usr/lib/modules-load.d" "MODULESDIR=$root/lib/modules" \
		"RELEASE=$release" "DKMS=$work/dkms" "DEPMOD=depmod -b $root" \
		"DMSETUP=$work/none" "loaded=$work/loaded" "$@"
}
dkms_run() { "$work/dkms" "$@" -m dm-qvault -v "$version"; }

describe() { sed -i "s/MODULE_DESCRIPTION(.*);/MODULE_DESCRIPTION(\"$1\");/" "$work/copy/dm-qvault/kernel/target.c"; }
installed_modules() { find "$root/lib/modules/$release" -name 'dm-qvault.ko*'; }
description() { modinfo -F description "$(installed_modules)"; }

# All that there is, but for what depmod and dkms note of modules that are there or not.
everything() {
	find "$root" "$work"/{tree,packed} ! -type d ! -name 'modules.*' ! -name dkms_dbversion |
		LC_ALL=C sort
}
nothing_left() {
	everything | diff "$work/before" - || return
	if find "$root" "$work"/{tree,packed} -name '*qvault*' | grep .; then return 1; fi
}

everything >"$work/before"
describe first
must "make install" make_copy install
same "the module is there" first "$(description)"
case $(installed_modules) in
"$root/lib/modules/$release/updates/dkms/dm-qvault.ko"*) pass "where dkms puts modules" ;;
*) fail "where dkms puts modules" "found: '$(installed_modules)'" ;;
esac
try "the tool is there" "$root/usr/local/sbin/qvault-ctl" --version
try "dkms status says installed" dkms_run status
expect_said "for this kernel" "amd64.*: installed"
must "depmod" depmod -b "$root" "$release"
try "an initramfs learns what it needs" modprobe -d "$root" -S "$release" --show-depends dm-qvault
expect_said "AES-XTS without instructions for it, too" '^insmod .*/xts\.ko'
expect_fail "not built for a kernel that is too old" dkms_run build -k 5.10.0-1-amd64
expect_said "and the reason is given" "BUILD_EXCLUSIVE"

say "at boot"
truncate -s 256M "$work/data"
truncate -s 1M "$work/anchor"
in_guest qemu --kernel "${1:-6.12}" --no-module --mem 1G --timeout 1500 \
	--env "DKMS_ROOT=$root" --disk "$work/data" --disk "$work/anchor" \
	"$check_top/tests/dkms/guest"

# ---- An initramfs ----------------------------------------------------------

# What initramfs-tools and dracut take is what modprobe shows, with softdeps.
pack_root() {
	local tree=$work/initramfs
	mkdir -p "$tree"/{proc,sys,dev}
	cp "$check_top/tests/dkms/init" "$tree/init"
	add_programs "$tree" "$(command -v busybox)" "$("$lab/build-tool")"
	module_files "$root" "$release" virtio_pci virtio_blk dm-qvault | add_modules "$tree"
	pack_initramfs "$tree" "$work/initrd"
}

boot_without_aes() {
	"$lab/within" --kill 300 qemu-system-x86_64 -M q35 -nodefaults -display none -no-reboot \
		-m 512M -cpu qemu64 -accel tcg -kernel "$vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1" -serial stdio -device virtio-rng-pci \
		-drive "file=$work/data,format=raw,if=virtio" \
		-drive "file=$work/anchor,format=raw,if=virtio"
}

truncate -s 0 "$work/data" "$work/anchor"
truncate -s 64M "$work/data"
truncate -s 1M "$work/anchor"
must "an initramfs with what the module says it needs" pack_root
try "boots on a machine without AES instructions" boot_without_aes
expect_said "and attaches there" '^initramfs: ok'

# ---- Other sources, and the way back --------------------------------------

describe second
try "make install with changed sources" make_copy install
expect_said "says that it is the new one" '^make install: kernel .* has this dm-qvault'
same "their module is there" second "$(description)"
describe third
echo '#error' >>"$work/copy/dm-qvault/kernel/target.c"
expect_fail "make install of sources that do not build" make_copy install
expect_said "says so" "kernel .* does not have this dm-qvault"
same "the module before is still there" second "$(description)"
# Of this machine's own vaults, if it has any, nothing is asked; the guest has had some.
mkdir "$work/loaded"
echo 1 >"$work/loaded/refcnt"
expect_fail "make uninstall, while the module is in use" make_copy uninstall
expect_said "says so, also without dmsetup" 'still attached: vaults'
echo 0 >"$work/loaded/refcnt"
try "make uninstall" make_copy uninstall
expect_said "says that a module is still loaded" 'modprobe -r dm-qvault'
try "nothing is left" nothing_left
rm -r "$work/loaded"

say "without dkms"
without_dkms=("DKMS=$work/none" "KERNEL=$headers" "INSTALL_MOD_PATH=$root")
sed -i '/^#error/d' "$work/copy/dm-qvault/kernel/target.c"
try "make install" make_copy install "${without_dkms[@]}"
same "the module is there" third "$(description)"
try "make uninstall" make_copy uninstall "${without_dkms[@]}"
expect_fail "depmod has been told" grep -rs dm-qvault "$root/lib/modules/$release/modules.dep"
try "nothing is left" nothing_left

say "into a directory, as for a package"
packed=(make -s -C "$work/copy" "DESTDIR=$work/packed")
try "make install" "${packed[@]}" install
try "the tool is there" "$work/packed/usr/local/sbin/qvault-ctl" --version
try "make uninstall" "${packed[@]}" uninstall
try "nothing is left" nothing_left
finish
