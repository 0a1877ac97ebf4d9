// SPDX-License-Identifier: GPL-2.0
/*
 * What others left on a device, found by libblkid, which knows more signatures
 * than we could ever list and is what mkfs, wipefs and udev go by.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qvault-ctl.h"

static const char *value(blkid_probe probe, const char *name)
{
	const char *text;

	return blkid_probe_lookup_value(probe, name, &text, NULL) ? NULL : text;
}

static void put_detail(FILE *out, const char **open, const char *name,
		       const char *text)
{
	if (!text || !*text)
		return;
	fprintf(out, "%s%s %s", *open, name, text);
	*open = ", ";
}

static void put_found(FILE *out, blkid_probe probe)
{
	const char *table = value(probe, "PTTYPE");
	const char *open = " (";

	if (table) {
		fprintf(out, "%s partition table", table);
	} else {
		const char *type = value(probe, "TYPE");

		fputs(type ? type : "unknown data", out);
		put_detail(out, &open, "label", value(probe, "LABEL"));
		put_detail(out, &open, "UUID", value(probe, "UUID"));
	}
	if (open[0] == ',')
		fputc(')', out);
}

/*
 * blkid_do_probe() gives one finding at a time.  blkid_do_safeprobe() would give
 * up where two signatures contradict each other, and there both are of interest.
 */
static int put_all(FILE *out, blkid_probe probe)
{
	const char *separator = "";
	int found;

	while ((found = blkid_do_probe(probe)) == 0) {
		fputs(separator, out);
		put_found(out, probe);
		separator = "; ";
	}
	return found < 0 ? -EIO : 0;
}

static int set_up(blkid_probe probe, const struct ctl_device *dev)
{
	if (blkid_probe_set_device(probe, dev->fd, 0, 0) ||
	    blkid_probe_enable_superblocks(probe, 1) ||
	    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE |
					      BLKID_SUBLKS_LABEL |
					      BLKID_SUBLKS_UUID |
					      BLKID_SUBLKS_BADCSUM) ||
	    blkid_probe_enable_partitions(probe, 1))
		return -EIO;
	return 0;
}

int ctl_foreign_list(const struct ctl_device *dev, char **list)
{
	blkid_probe probe = NULL;
	size_t bytes;
	FILE *out;
	int err = 0;

	*list = NULL;
	out = open_memstream(list, &bytes);
	if (!out)
		return ctl_fail(CTL_NO_MEMORY, "out of memory");
	/* libblkid refuses an empty device, which holds nothing. */
	if (dev->bytes) {
		probe = blkid_new_probe();
		err = probe ? set_up(probe, dev) : -ENOMEM;
		if (!err)
			err = put_all(out, probe);
		blkid_free_probe(probe);
	}
	if (fclose(out) && !err)
		err = -ENOMEM;
	if (!err)
		return CTL_OK;
	free(*list);
	*list = NULL;
	return ctl_fail(ctl_exit_of(err), "cannot read %s device %s: %s",
			dev->role, dev->path, strerror(-err));
}
