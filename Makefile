# SPDX-License-Identifier: GPL-2.0
# make                 module and tool
# make module          dm-qvault/dm-qvault.ko for the running kernel
# make tool            qvault-ctl; its path is printed
# make demo            the main job on real files, in a virtual machine
# make test            all named checks; tests/run lists them
# make bench-report   the full benchmark, written to Documentation/benchmarks
# make install         tool, manual, and the module by way of dkms if there is dkms
# make uninstall       takes all of that away again, for every kernel; not while a vault
#                      is attached
# make dkms-source     only what dkms builds from, into DESTDIR/usr/src
# make clean
#
# KERNEL=6.1|6.12|7.2|7.3   a stock Debian kernel, fetched into the cache
# KERNEL=DIRECTORY          the build directory of any kernel
#
# test and demo install what they need with apt; caches live in QVAULT_CACHE,
# by default ~/.cache/dm-qvault.
SHELL	:= /bin/bash
top	:= $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
version	:= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' $(top)/dkms.conf)
PREFIX	?= /usr/local
SOURCEDIR ?= /usr/src
MODULESLOADDIR ?= /usr/lib/modules-load.d
MODULESDIR ?= /lib/modules
RELEASE	?= $(shell uname -r)
INSTALL	?= install
DKMS	?= dkms
DEPMOD	?= depmod
DMSETUP	?= dmsetup
dkms_source := $(DESTDIR)$(SOURCEDIR)/dm-qvault-$(version)
modules_load := $(DESTDIR)$(MODULESLOADDIR)/dm-qvault.conf

# Where the chosen kernel is built from: only asked for by those who build.
headers = $(if $(KERNEL),$(if $(wildcard $(KERNEL)/Makefile),$(KERNEL),$(shell \
	$(top)/tests/lab/debian-kernel $(KERNEL) | sed -n 's/^headers=//p')),$(shell \
	echo /lib/modules/$$(uname -r)/build))

all: module tool

module:
	@dir='$(headers)'; [ -f "$$dir/Makefile" ] || { \
		echo "no kernel headers in '$$dir': install linux-headers-$$(uname -r)," \
		"or choose with KERNEL=6.12 or KERNEL=DIRECTORY" >&2; exit 1; }; \
	$(MAKE) -C "$$dir" M='$(top)' modules && \
	echo "module: $(top)/dm-qvault/dm-qvault.ko"

tool:
	@$(MAKE) --no-print-directory -C $(top)/userspace
	@echo "tool: $$($(MAKE) -s --no-print-directory -C $(top)/userspace print-program)"

demo:
	@KERNEL='$(KERNEL)' $(top)/tests/demo/run

test:
	@$(top)/tests/run all

bench-report:
	@$(top)/tests/run bench full $(top)/Documentation/benchmarks

# dkms knows a module by its version.  Where it has built this one already, it would leave
# the old module as it is, whatever the sources are now; so it is told to build anew, for
# each kernel that has one.  It throws away what it had before it begins: hence a trial in
# another place, so that a kernel for which the sources do not build keeps its module.
this	:= -m dm-qvault -v $(version)
define install_by_dkms
	@status=0; trial=$$(mktemp -d); \
	have=$$($(DKMS) status $(this) | \
		sed -n 's/^[^:]*, \([^,:]*\), [^,:]*: \(built\|installed\).*/\1/p'); \
	for kernel in $$(printf '%s\n' $$have $(RELEASE) | sort -u); do \
		{ ! grep -qxF $$kernel <<<"$$have" || \
			$(DKMS) build $(this) -k $$kernel --dkmstree $$trial; } && \
		$(DKMS) build --force $(this) -k $$kernel && \
		$(DKMS) install --force $(this) -k $$kernel && \
		echo "make install: kernel $$kernel has this dm-qvault" || { status=1; \
			echo "make install: kernel $$kernel does not have this dm-qvault" >&2; }; \
	done; \
	rm -rf $$trial; exit $$status
endef

# The kernel goes on with the module that it has.
loaded	:= /sys/module/dm_qvault
define tell_of_loaded
	@[ ! -e $(loaded) ] || echo "make $@: a dm-qvault from before is loaded:" \
		"modprobe -r dm-qvault unloads it, once nothing is attached"
endef

install: dkms-source
	$(MAKE) -C $(top)/userspace install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)
	$(INSTALL) -D -m 644 $(top)/userspace/modules-load.d/dm-qvault.conf $(modules_load)
ifeq ($(DESTDIR),)
ifneq ($(shell command -v $(DKMS)),)
	$(install_by_dkms)
else
	$(MAKE) module && $(MAKE) -C '$(headers)' M='$(top)' modules_install && \
		$(DEPMOD) $(RELEASE)
endif
	$(tell_of_loaded)
endif

# A vault that is attached needs the tool, to be detached, and the module when it is next
# attached.  Without dmsetup it has no name for us, but the module is in use.
define nothing_attached
	@attached=$$($(DMSETUP) ls --target qvault 2>/dev/null | sed -n 's/\t.*//p' | tr '\n' ' '); \
	if [ -z "$$attached" ] && grep -qsv '^0$$' $(loaded)/refcnt; then attached=vaults; fi; \
	[ -z "$$attached" ] || { echo "make uninstall: still attached: $$attached" >&2; exit 1; }
endef

# A kernel's own dm-qvault is not ours to take away: it is in neither of these.
define remove_modules
	for found in $$(find $(MODULESDIR)/*/updates $(MODULESDIR)/*/extra \
		-name 'dm-qvault.ko*' 2>/dev/null); do \
		kernel=$${found#$(MODULESDIR)/}; \
		rm $$found && $(DEPMOD) $${kernel%%/*} || exit 1; \
		rmdir $${found%/*} 2>/dev/null || true; \
	done
endef

uninstall:
ifeq ($(DESTDIR),)
	$(nothing_attached)
ifneq ($(shell command -v $(DKMS)),)
	[ -z "$$($(DKMS) status $(this))" ] || $(DKMS) remove $(this) --all
endif
	$(remove_modules)
endif
	$(MAKE) -C $(top)/userspace uninstall PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)
	rm -f $(modules_load)
	rm -rf $(dkms_source)
ifeq ($(DESTDIR),)
	$(tell_of_loaded)
endif

# The suites as well: a kernel with KUnit runs them.
rooms	:= engine crypto kernel tests
dkms-source:
	rm -rf $(dkms_source)
	$(INSTALL) -d $(dkms_source)/dm-qvault
	$(INSTALL) -m 644 $(top)/dkms.conf $(top)/Kbuild $(top)/LICENSE $(dkms_source)
	$(INSTALL) -m 644 $(top)/dm-qvault/K* $(dkms_source)/dm-qvault
	for room in $(rooms); do \
		$(INSTALL) -d $(dkms_source)/dm-qvault/$$room && \
		$(INSTALL) -m 644 $(top)/dm-qvault/$$room/*.[ch] \
			$(dkms_source)/dm-qvault/$$room || exit 1; done

clean:
	find $(top)/dm-qvault $(top) -maxdepth 3 \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name Module.symvers \
		-o -name modules.order \) -not -path '*/.git/*' -delete
	$(MAKE) -s -C $(top)/userspace clean

.PHONY: all module tool demo test bench-report install uninstall dkms-source clean
