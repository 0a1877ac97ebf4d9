# SPDX-License-Identifier: GPL-2.0
# make                 module and tool
# make module          dm-qvault/dm-qvault.ko for the running kernel
# make tool            qvault-ctl; its path is printed
# make demo            the main job on real files, in a virtual machine
# make test            all named checks; tests/run lists them
# make bench-report   the full benchmark, written to Documentation/benchmarks
# make install         tool, manual, and the module by way of dkms if there is dkms
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
INSTALL	?= install
dkms_source := $(DESTDIR)/usr/src/dm-qvault-$(version)

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

install: dkms-source
	$(MAKE) -C $(top)/userspace install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)
	$(INSTALL) -D -m 644 $(top)/userspace/modules-load.d/dm-qvault.conf \
		$(DESTDIR)/usr/lib/modules-load.d/dm-qvault.conf
ifeq ($(DESTDIR),)
	if command -v dkms >/dev/null; then dkms install -m dm-qvault -v $(version); else \
		$(MAKE) module && $(MAKE) -C '$(headers)' M='$(top)' modules_install && depmod; fi
endif

dkms-source:
	rm -rf $(dkms_source)
	$(INSTALL) -d $(dkms_source)/dm-qvault/tests
	$(INSTALL) -m 644 $(top)/dkms.conf $(top)/Kbuild $(top)/LICENSE $(dkms_source)
	$(INSTALL) -m 644 $(filter-out %.mod.c,$(wildcard \
		$(top)/dm-qvault/*.[ch])) $(top)/dm-qvault/K* $(dkms_source)/dm-qvault
	for file in $(top)/dm-qvault/tests/*.[ch]; do [ ! -e "$$file" ] || \
		$(INSTALL) -m 644 "$$file" $(dkms_source)/dm-qvault/tests; done

clean:
	find $(top)/dm-qvault $(top) -maxdepth 2 \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name Module.symvers \
		-o -name modules.order \) -not -path '*/.git/*' -delete
	$(MAKE) -s -C $(top)/userspace clean

.PHONY: all module tool demo test bench-report install dkms-source clean
