#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: dkms add, build, install, boot with it, remove; make install and uninstall
# minutes: 2
# processors: 1
# limit: 60
# usage: dkms [SERIES]
#
# In trees of our own, against an unpacked headers package: this machine's own
# /usr/src, /var/lib/dkms and /lib/modules are left alone.
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/check.sh"

lab=$check_top/tests/lab
if [ "$(id -u)" -ne 0 ]; then
	skip "dkms" "dkms itself insists on root"
	finish
fi

release="" modules="" headers=""
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

dkms_run() {
	local action=$1
	shift
	dkms "$action" -m dm-qvault -v "$version" --dkmstree "$work/tree" \
		--sourcetree "$root/usr/src" --installtree "$root/lib/modules" "$@"
}

for_kernel() { dkms_run "$@" -k "$release" --kernelsourcedir "$headers" --no-depmod; }

installed_modules() { find "$root/lib/modules/$release" -name 'dm-qvault.ko*'; }

must "make dkms-source" make -s -C "$check_top" dkms-source "DESTDIR=$root"
must "dkms add" dkms_run add
must "dkms build" for_kernel build
must "dkms install" for_kernel install
where=$(installed_modules)
case $where in
"$root/lib/modules/$release/updates/dkms/dm-qvault.ko"*) pass "it is where dkms puts modules" ;;
*) fail "it is where dkms puts modules" "found: '$where'" ;;
esac
try "dkms status says installed" dkms_run status
expect_said "for this kernel" "amd64.*: installed"
must "depmod" depmod -b "$root" "$release"
try "an initramfs learns what it needs" modprobe -d "$root" -S "$release" --show-depends dm-qvault
expect_said "AES-XTS without instructions for it, too" '^insmod .*/xts\.ko'
expect_fail "not built for a kernel that is too old" dkms_run build -k 5.10.0-1-amd64 \
	--kernelsourcedir "$headers"
expect_said "and the reason is given" "BUILD_EXCLUSIVE"

mkdir -p "$root/etc/modules-load.d"
cp "$check_top/userspace/modules-load.d/dm-qvault.conf" "$root/etc/modules-load.d/"
truncate -s 256M "$work/data"
truncate -s 1M "$work/anchor"
in_guest qemu --kernel "${1:-6.12}" --no-module --mem 1G --timeout 1500 \
	--env "DKMS_ROOT=$root" --disk "$work/data" --disk "$work/anchor" \
	"$check_top/tests/dkms/guest"

must "dkms remove" for_kernel remove
same "nothing of it is left in /lib/modules" "" "$(installed_modules)"
same "nothing of it is left in dkms" "" "$(find "$work/tree/dm-qvault" -name '*.ko*' 2>/dev/null)"

# ---- make install, and again with other sources ----------------------------

# A copy of the tree, to change; and dkms as above, for make to call.
mkdir "$work/copy"
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
	make -s -C "$work/copy" "$1" "PREFIX=$root/usr/local" "SOURCEDIR=$root/usr/src" \
		"MODULESLOADDIR=$root/usr/lib/modules-load.d" "RELEASE=$release" "DKMS=$work/dkms"
}
describe() { sed -i "s/MODULE_DESCRIPTION(.*);/MODULE_DESCRIPTION(\"$1\");/" "$work/copy/dm-qvault/kernel/target.c"; }
description() { modinfo -F description "$(installed_modules)"; }

describe first
try "make install" make_copy install
same "the module is there" first "$(description)"
try "the tool is there" "$root/usr/local/sbin/qvault-ctl" --version
describe second
try "make install with changed sources" make_copy install
same "their module is there" second "$(description)"
describe third
echo '#error' >>"$work/copy/dm-qvault/kernel/target.c"
expect_fail "make install of sources that do not build" make_copy install
expect_said "says so" "kernel .* does not have this dm-qvault"
same "the module before is still there" second "$(description)"
try "make uninstall" make_copy uninstall
same "no module is left" "" "$(installed_modules)"
same "and nothing else" "" "$(find "$root/usr" "$work/tree" ! -type d | grep -v depmod || true)"
finish
