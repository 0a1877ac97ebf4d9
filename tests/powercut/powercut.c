// SPDX-License-Identifier: GPL-2.0
/* One program: process 1 of the guest, and the two helpers of the host. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "powercut.h"

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getpid() == 1)
		return guest_main();
	if (argc > 1 && !strcmp(argv[1], "storage"))
		return storage_main(argc - 2, argv + 2);
	if (argc > 1 && !strcmp(argv[1], "check"))
		return check_main(argc - 2, argv + 2);
	die("usage: powercut storage|check ...");
}
