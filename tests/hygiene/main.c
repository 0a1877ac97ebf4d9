// SPDX-License-Identifier: GPL-2.0
/* One program for guest and host. */
#include <stdio.h>
#include <string.h>

#include "hygiene.h"

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(verb, "live"))
		return live_main(argc - 2, argv + 2);
	if (!strcmp(verb, "ivs"))
		return ivs_main(argc - 2, argv + 2);
	if (!strcmp(verb, "search"))
		return search_main(argc - 2, argv + 2);
	if (!strcmp(verb, "format"))
		return format_main(argc - 2, argv + 2);
	die("usage: hygiene live|ivs|search|format ...");
}
