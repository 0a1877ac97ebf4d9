// SPDX-License-Identifier: GPL-2.0
/*
 * What is on devices that are about to be overwritten, and whether it may be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qvault-ctl.h"
#include "record.h"

static int add(char **losses, const struct ctl_device *dev, const char *what)
{
	char size[CTL_SIZE_CHARS];
	char *longer;

	if (!*what)
		return CTL_OK;
	longer = ctl_format("%s%s%s device %s of %s holds %s",
			    *losses ? *losses : "",
			    *losses && **losses ? ", and " : "", dev->role,
			    dev->path, ctl_size(size, dev->bytes), what);
	if (!longer)
		return CTL_NO_MEMORY;
	free(*losses);
	*losses = longer;
	return CTL_OK;
}

static int add_foreign(char **losses, const struct ctl_device *dev)
{
	char *foreign;
	int err;

	err = ctl_foreign_list(dev, &foreign);
	if (!err)
		err = add(losses, dev, foreign);
	free(foreign);
	return err;
}

int ctl_losses_of_data(char **losses, const struct ctl_device *data)
{
	uint8_t uuid[QVAULT_UUID_SIZE];
	char text[CTL_UUID_CHARS], what[64 + CTL_UUID_CHARS];
	bool found;
	int err;

	err = ctl_label_read(data, &found, uuid);
	if (!err && found) {
		snprintf(what, sizeof(what), "the data of the vault %s",
			 ctl_uuid_text(text, uuid));
		err = add(losses, data, what);
	}
	return err ? err : add_foreign(losses, data);
}

/* What is in the anchor now: "" or a phrase. */
static char *live_anchor(const struct ctl_slots *slots)
{
	struct ctl_record record, newest = { .sequence = 0 };
	char uuid[CTL_UUID_CHARS], size[CTL_SIZE_CHARS];
	enum ctl_slot_state state;
	bool some = false;
	const char *why;
	uint32_t slot;

	for (slot = 0; slot < QVAULT_ANCHOR_SLOTS; slot++) {
		state = slots->error[slot] ? CTL_SLOT_UNREADABLE :
			ctl_record_parse(&slots->disk[slot], slot, &record, &why);
		some = some || state > CTL_SLOT_FOREIGN;
		if (state == CTL_SLOT_RECORD && record.sequence > newest.sequence)
			newest = record;
	}
	if (newest.sequence)
		return ctl_format("the vault %s of %s",
				  ctl_uuid_text(uuid, newest.uuid),
				  ctl_size(size, newest.geo.logical_blocks *
					   QVAULT_BLOCK_SIZE));
	return ctl_format("%s", some ?
			  "a vault that is damaged, unreadable or of another format version" :
			  "");
}

int ctl_losses_of_anchor(char **losses, const struct ctl_device *anchor,
			 const struct ctl_slots *slots)
{
	char *live = live_anchor(slots);
	int err = live ? add(losses, anchor, live) : CTL_NO_MEMORY;

	free(live);
	return err ? err : add_foreign(losses, anchor);
}

bool ctl_can_ask(const struct ctl_options *o)
{
	return isatty(STDIN_FILENO) && !(o->key_file && !strcmp(o->key_file, "-"));
}

int ctl_ask(void)
{
	char answer[8];

	fputs("Are you sure? (Type 'yes' in capital letters): ", stderr);
	if (fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "YES\n"))
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "not confirmed; nothing was changed");
}

int ctl_losses_permit(const struct ctl_options *o, const char *losses,
		      const char *otherwise)
{
	if (losses && !ctl_given(o, CTL_OPT_FORCE))
		return ctl_fail(CTL_BUSY,
				"%s; nothing was changed: give --force to destroy it",
				losses);
	if (losses)
		ctl_warn("%s: this is destroyed for ever", losses);
	if (ctl_given(o, CTL_OPT_BATCH) || !ctl_can_ask(o))
		return CTL_OK;
	if (!losses)
		ctl_warn("%s", otherwise);
	return ctl_ask();
}
