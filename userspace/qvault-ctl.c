// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl: the table of commands.
 */
#include <stdio.h>
#include <string.h>

#include "qvault-ctl.h"

#ifndef CTL_VERSION
#define CTL_VERSION "unknown"
#endif

static const struct ctl_verb verbs[] = {
	{
		.name = "format",
		.arguments = "<data> <anchor>",
		.about = "make a vault: write its anchor, and the label of its data",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(SIZE) |
			   CTL_ALLOW(LOG_BLOCKS) | CTL_ALLOW(UUID) |
			   CTL_ALLOW(MAC) |
			   CTL_ALLOW(FORCE) | CTL_ALLOW(BATCH) | CTL_ALLOW(JSON) |
			   CTL_ALLOW(DATA) | CTL_ALLOW(ANCHOR) |
			   CTL_ALLOW(NO_LABEL) | CTL_ALLOW(DRY_RUN) |
			   CTL_ALLOW(SHARED) | CTL_ALLOW(SETTLE),
		.min_args = 0,
		.max_args = 2,
		.run = ctl_format_verb,
	},
	{
		.name = "attach",
		.arguments = "<name> [<data>] [<anchor>]",
		.about = "make /dev/mapper/<name> of a vault",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(READ_ONLY) |
			   CTL_ALLOW(DISCARDS) | CTL_ALLOW(MEMORY) |
			   CTL_ALLOW(COMMIT) | CTL_ALLOW(EPHEMERAL) |
			   CTL_ALLOW(MAC) | CTL_ALLOW(FORCE) |
			   CTL_ALLOW(PRIVATE) | CTL_ALLOW(DATA) |
			   CTL_ALLOW(ANCHOR) | CTL_ALLOW(SIZE) |
			   CTL_ALLOW(COW) | CTL_ALLOW(COPY) |
			   CTL_ALLOW(SHARED) | CTL_ALLOW(SETTLE),
		.min_args = 1,
		.max_args = 3,
		.run = ctl_attach_verb,
	},
	{
		.name = "detach",
		.arguments = "<name>",
		.about = "commit, and remove /dev/mapper/<name>",
		.allowed = CTL_ALLOW(DEFERRED),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_detach_verb,
	},
	{
		.name = "status",
		.arguments = "<name>",
		.about = "show an attached vault",
		.allowed = CTL_ALLOW(JSON),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_status_verb,
	},
	{
		.name = "resize",
		.arguments = "<name>",
		.about = "grow to what its data device has, or to --size",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(SIZE) |
			   CTL_ALLOW(PRIVATE),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_resize_verb,
	},
	{
		.name = "suspend",
		.arguments = "<name>",
		.about = "let reads and writes wait until resume",
		.allowed = CTL_ALLOW(WIPE_KEY),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_suspend_verb,
	},
	{
		.name = "resume",
		.arguments = "<name>",
		.about = "go on after a suspend",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(PRIVATE),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_resume_verb,
	},
	{
		.name = "snapshot",
		.arguments = "<name> --output <f> ...",
		.about = "keep one moment while a command copies the data device",
		.allowed = CTL_ALLOW(OUTPUT) | CTL_ALLOW(RUN) |
			   CTL_ALLOW(TIMEOUT) | CTL_ALLOW(JSON),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_snapshot_verb,
	},
	{
		.name = "scrub",
		.arguments = "start|stop|status <name>",
		.about = "read and verify all of a vault in use",
		.allowed = CTL_ALLOW(RATE) | CTL_ALLOW(WAIT) | CTL_ALLOW(JSON),
		.min_args = 2,
		.max_args = 2,
		.run = ctl_scrub_verb,
	},
	{
		.name = "repair",
		.arguments = "start|stop|status <name>",
		.about = "give up what cannot be read of a vault in use",
		.allowed = CTL_ALLOW(RATE) | CTL_ALLOW(WAIT) | CTL_ALLOW(ACCEPT_LOSS) |
			   CTL_ALLOW(JSON),
		.min_args = 2,
		.max_args = 2,
		.run = ctl_repair_verb,
	},
	{
		.name = "reencrypt",
		.arguments = "start|stop|status <name>",
		.about = "seal all of a vault in use under new keys",
		.allowed = CTL_ALLOW(RATE) | CTL_ALLOW(WAIT) | CTL_ALLOW(MAC) |
			   CTL_ALLOW(JSON),
		.min_args = 2,
		.max_args = 2,
		.run = ctl_reencrypt_verb,
	},
	{
		.name = "dump",
		.arguments = "<anchor>",
		.about = "show what an anchor says; with a key, verify it",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(JSON),
		.min_args = 1,
		.max_args = 1,
		.run = ctl_dump_verb,
	},
	{
		.name = "clone",
		.arguments = "[<name>] [--anchor <a>] ...",
		.about = "make a vault of its own of a copy of the data",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(ANCHOR) |
			   CTL_ALLOW(DATA) | CTL_ALLOW(NEW_ANCHOR) |
			   CTL_ALLOW(NEW_DATA) | CTL_ALLOW(NEW_KEY_FILE) |
			   CTL_ALLOW(UUID) | CTL_ALLOW(FORCE) |
			   CTL_ALLOW(RUN) | CTL_ALLOW(TIMEOUT) |
			   CTL_ALLOW(BATCH) | CTL_ALLOW(JSON),
		.max_args = 1,
		.run = ctl_clone_verb,
	},
	{
		.name = "restore",
		.arguments = "--anchor <anchor> ...",
		.about = "go back to the state of a copy of the anchor",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(ANCHOR) |
			   CTL_ALLOW(DATA) | CTL_ALLOW(FROM) |
			   CTL_ALLOW(ACCEPT_OLDER) | CTL_ALLOW(FORCE) |
			   CTL_ALLOW(NEW_KEY_FILE) |
			   CTL_ALLOW(JSON),
		.run = ctl_restore_verb,
	},
	{
		.name = "key",
		.arguments = "change [<name>] ...",
		.about = "give a vault another master key",
		.allowed = CTL_ALLOW(KEY_FILE) | CTL_ALLOW(ANCHOR) |
			   CTL_ALLOW(NEW_KEY_FILE) | CTL_ALLOW(JSON) |
			   CTL_ALLOW(PRIVATE),
		.min_args = 1,
		.max_args = 2,
		.run = ctl_key_verb,
	},
	{
		.name = "destroy",
		.arguments = "--anchor <anchor> ...",
		.about = "make a vault unreadable for ever",
		.allowed = CTL_ALLOW(ANCHOR) | CTL_ALLOW(DATA) |
			   CTL_ALLOW(FORCE) | CTL_ALLOW(BATCH) | CTL_ALLOW(JSON),
		.run = ctl_destroy_verb,
	},
	{
		.name = "udev",
		.arguments = "<device>",
		.about = "what udev is to know of a device with a label",
		.min_args = 1,
		.max_args = 1,
		.run = ctl_udev_verb,
	},
	{
		.name = "commit",
		.arguments = "<name>",
		.about = "make all writes so far durable",
		.min_args = 1,
		.max_args = 1,
		.run = ctl_commit_verb,
	},
	{
		.name = "checkpoint",
		.arguments = "<name>",
		.about = "empty the log into the tree",
		.min_args = 1,
		.max_args = 1,
		.run = ctl_checkpoint_verb,
	},
};
#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static int help(void)
{
	size_t i;

	puts("usage: qvault-ctl [options] <verb> [options] <arguments>\n");
	for (i = 0; i < NR_VERBS; i++)
		printf("  %-11s%-28s%s\n", verbs[i].name, verbs[i].arguments,
		       verbs[i].about);
	puts("\nOptions:\n"
	     "  -d, --key-file FILE    the key, 64 bytes; - is standard input\n"
	     "      --json             print JSON; not of attach and detach\n"
	     "format:\n"
	     "      --size BYTES       of the volume; K, M, G, T may follow (all that fits)\n"
	     "      --log-blocks N     size of the log in blocks of 4 KiB\n"
	     "      --mac NAME         hmac-sha256 (default), or the faster nhpoly-aes\n"
	     "      --uuid UUID        instead of a random one\n"
	     "      --force            destroy what is there\n"
	     "      --no-label         write nothing to the data device\n"
	     "      --dry-run          write nothing: say what data device --size needs\n"
	     "      --shared           as for attach (so does --settle)\n"
	     "  -q, --batch-mode       do not ask\n"
	     "attach:\n"
	     "  -r, --read-only        write nothing, not even to the anchor\n"
	     "      --allow-discards   pass discards on to the data device\n"
	     "      --memory-mib N     memory that the vault may use\n"
	     "      --commit-seconds N longest time until a write is committed\n"
	     "      --ephemeral        empty, without an anchor, and under a key that nobody\n"
	     "                         ever sees: what is written is gone after a detach\n"
	     "      --mac NAME, --size BYTES   of such a vault: as for format\n"
	     "      --ephemeral --anchor A   not empty, but as that vault is; with one of:\n"
	     "      --cow DEVICE|FILE  where to write, since the data device is only read\n"
	     "      --data-is-a-copy   it is one that nobody needs afterwards: write to it\n"
	     "      --private          udev does not look at what the vault holds\n"
	     "      --shared           take it over from any other host that has it\n"
	     "      --settle SECONDS   that this waits, the same on all hosts (10)\n"
	     "      --anchor A         and no data device: it is found by its label\n"
	     "resize:\n"
	     "      --size BYTES       as for format; never less than now\n"
	     "      --private          as for attach (so do key change and resume)\n"
	     "suspend:\n"
	     "      --wipe-key         forget the key; resume needs --key-file then\n"
	     "snapshot:\n"
	     "      --output FILE      a new file, for the anchor of the copy\n"
	     "      --timeout SECONDS  longest time for the command (60)\n"
	     "      --run COMMAND ...  to the end of the line: what copies $QVAULT_DATA\n"
	     "scrub, repair, reencrypt:\n"
	     "      --rate N           read no more than N MiB a second\n"
	     "      --wait             until it has ended\n"
	     "      --accept-loss      repair: give up what cannot be read\n"
	     "clone:                of NAME, if it is attached; --run as for snapshot makes the\n"
	     "                      copy then; else of\n"
	     "      --anchor A         of the vault\n"
	     "      --new-data D       a copy of its data device, of the same moment\n"
	     "      --new-anchor A     for the clone\n"
	     "      --new-key-file K   a key of its own\n"
	     "restore:\n"
	     "      --from COPY        of the anchor; --data is what belongs to it\n"
	     "      --accept-older-state  give up what was written since\n"
	     "      --new-key-file K   the vault's key, if the copy is under an older one\n"
	     "key change:           of NAME, if it is attached, or of\n"
	     "      --anchor A         if it is not\n"
	     "      --new-key-file K   from now on\n"
	     "destroy:\n"
	     "      --data D           discard this, too\n"
	     "detach:\n"
	     "      --deferred         as soon as nobody uses it any more\n"
	     "\n"
	     "A new key:  (umask 077; head -c 64 /dev/urandom > key)\n"
	     "Exit codes: 0 ok, 1 wrong parameters, 2 no permission or wrong key,\n"
	     "            3 out of memory, 4 wrong device, 5 exists or in use,\n"
	     "            6 done, but not all is well: see what it says");
	return CTL_OK;
}

static const struct ctl_verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < NR_VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int run(int argc, char **argv)
{
	const struct ctl_verb *verb;
	struct ctl_options options;
	int err;

	err = ctl_options_read(&options, argc, argv);
	if (err)
		return err;
	if (ctl_given(&options, CTL_OPT_HELP))
		return help();
	if (ctl_given(&options, CTL_OPT_VERSION)) {
		puts("qvault-ctl " CTL_VERSION);
		return CTL_OK;
	}
	if (!options.argc)
		return ctl_fail(CTL_USAGE, "no verb (see qvault-ctl --help)");
	if (!strcmp(options.argv[0], "help"))
		return help();
	verb = find_verb(options.argv[0]);
	if (!verb)
		return ctl_fail(CTL_USAGE, "unknown verb \"%s\" (see qvault-ctl --help)",
				options.argv[0]);
	err = ctl_options_judge(&options, verb);
	return err ? err : verb->run(&options);
}

int main(int argc, char **argv)
{
	ctl_streams_init();
	ctl_secrets_init();
	return ctl_streams_finish(run(argc, argv));
}
