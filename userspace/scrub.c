// SPDX-License-Identifier: GPL-2.0
/*
 * qvault-ctl scrub, repair and reencrypt: a pass over a whole vault, which the kernel
 * makes while the vault is used.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "live.h"
#include "qvault-ctl.h"
#include "vault.h"

/* What the kernel says of the pass that is under way, or of the last one. */
struct pass {
	char kind[16];			/* "none": nothing is under way */
	char phase[16];
	uint64_t next, leaves;
	uint64_t looked, moved, bad;	/* blocks */
	uint64_t lost;			/* that were given up before */
	uint32_t rate;			/* KiB/s; 0: as others leave room */
	char outcome[16];		/* of the last one that has ended */
};

struct verb {
	const char *name;		/* as the user says it */
	const char *kind;		/* as the kernel does */
	const char *ended;		/* what is so then */
};

static const struct verb scrub = {
	"scrub", "scrub", "was read and verified",
};
/* Without the user's word it only looks, and says what would be given up. */
static const struct verb repair_look = {
	"repair", "scrub", "was read and verified; there is nothing to repair",
};
static const struct verb repair = {
	"repair", "repair", "was read and verified",
};
static const struct verb reencrypt = {
	"reencrypt", "reseal", "is sealed under the new keys",
};

struct job {
	const struct ctl_options *options;
	const struct verb *verb;
	struct ctl_live live;
	struct pass pass;
};

static int ask(struct job *job)
{
	struct pass *p = &job->pass;
	char *answer = NULL;
	int err, n;

	err = ctl_dm_ask(job->live.name, "walk status", &answer);
	if (err)
		return ctl_fail(ctl_exit_of(err), "%s does not say how far it is: %s",
				job->live.name, ctl_vault_why(job->live.name, err));
	n = sscanf(answer, "%15s %15s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu32 " %15s %" SCNu64, p->kind, p->phase, &p->next,
		   &p->leaves, &p->looked, &p->moved, &p->bad, &p->rate, p->outcome,
		   &p->lost);
	free(answer);
	return n == 10 ? CTL_OK :
	       ctl_fail(CTL_USAGE, "the module says something that this qvault-ctl does not know");
}

static bool under_way(const struct job *job)
{
	return strcmp(job->pass.kind, "none") != 0;
}

/* The last one came to its end, since the attach, and left nothing out. */
static bool complete(const struct job *job)
{
	return !strcmp(job->pass.outcome, "complete");
}

static const char *other_name(const char *kind)
{
	return strcmp(kind, "reseal") ? kind : "reencrypt";
}

/* ---- What is bad ---- */

/* Range @n; its answer is "first count", in blocks.  -ENOENT: there are no more. */
static int ask_range(const struct job *job, unsigned int n, uint64_t *first,
		     uint64_t *count)
{
	char message[40], *answer = NULL;
	int err;

	snprintf(message, sizeof(message), "walk bad %u", n);
	err = ctl_dm_ask(job->live.name, message, &answer);
	if (!err && sscanf(answer, "%" SCNu64 " %" SCNu64, first, count) != 2)
		err = -ENOENT;
	free(answer);
	return err;
}

static void print_bad(const struct job *job)
{
	uint64_t first, count, left = job->pass.bad;
	unsigned int n;

	if (!left)
		return;
	printf("%" PRIu64 " blocks of 4 KiB cannot be read:\n", job->pass.bad);
	for (n = 0; !ask_range(job, n, &first, &count); n++) {
		printf("  block %" PRIu64 ", %" PRIu64 " of them (byte %" PRIu64 ")\n", first,
		       count, first * QVAULT_BLOCK_SIZE);
		left -= count < left ? count : left;
	}
	/* It keeps so many ranges, and only until a detach. */
	if (left)
		printf("  and %" PRIu64 " more: it keeps no longer list\n", left);
}

static void add_bad(const struct job *job, struct json_object *top)
{
	struct json_object *list = json_object_new_array(), *range;
	uint64_t first, count;
	unsigned int n;

	for (n = 0; job->pass.bad && !ask_range(job, n, &first, &count); n++) {
		range = json_object_new_object();
		ctl_json_number(range, "block", first);
		ctl_json_number(range, "blocks", count);
		json_object_array_add(list, range);
	}
	json_object_object_add(top, "bad_ranges", list);
}

/* ---- How far it is ---- */

static double share(const struct pass *p)
{
	double done = p->leaves ? (double)p->next / (double)p->leaves : 1;

	/* The map comes last, and is small. */
	if (!strcmp(p->phase, "map"))
		return 1;
	return done < 1 ? done : 1;
}

static void print_json(const struct job *job)
{
	struct json_object *top = json_object_new_object();
	const struct pass *p = &job->pass;

	ctl_json_text(top, "name", job->live.name);
	ctl_json_text(top, "under_way", under_way(job) ? other_name(p->kind) : NULL);
	json_object_object_add(top, "complete", json_object_new_boolean(complete(job)));
	ctl_json_number(top, "percent",
			(uint64_t)(complete(job) ? 100 : 100 * share(p)));
	ctl_json_number(top, "blocks_verified", p->looked);
	ctl_json_number(top, "blocks_sealed_anew", p->moved);
	ctl_json_number(top, "blocks_bad", p->bad);
	ctl_json_number(top, "blocks_lost", p->lost);
	ctl_json_number(top, "rate_kib", p->rate);
	add_bad(job, top);
	ctl_json_print(top);
}

/* Of what was given up there is nothing more to do. */
static int verdict(const struct job *job)
{
	if (job->verb == &repair && complete(job))
		return CTL_OK;
	return job->pass.bad ? CTL_INCOMPLETE : CTL_OK;
}

/* What was waited for: it may have been stopped, or the vault has failed. */
static int end_verdict(const struct job *job)
{
	/* A reencrypt that has come to something bad has not ended what it is for. */
	if (complete(job) || (job->verb == &reencrypt && job->pass.bad))
		return verdict(job);
	return ctl_fail(CTL_INCOMPLETE,
			"the %s of %s did not come to its end: it was stopped, or the vault cannot be written (see qvault-ctl status %s)",
			job->verb->name, job->live.name, job->live.name);
}

static int print_state(const struct job *job)
{
	const struct pass *p = &job->pass;
	char size[CTL_SIZE_CHARS];

	if (ctl_given(job->options, CTL_OPT_JSON)) {
		print_json(job);
		return verdict(job);
	}
	if (under_way(job))
		printf("A %s is under way: %.1f %%\n", other_name(p->kind), 100 * share(p));
	else
		printf("Nothing is under way%s.\n",
		       complete(job) ? "; the last one is complete" : "");
	printf("verified:      %s\n", ctl_size(size, p->looked * QVAULT_BLOCK_SIZE));
	printf("sealed anew:   %s\n", ctl_size(size, p->moved * QVAULT_BLOCK_SIZE));
	if (p->lost)
		printf("given up:      %s, before\n", ctl_size(size, p->lost * QVAULT_BLOCK_SIZE));
	if (p->rate)
		printf("rate limit:    %s/s\n", ctl_size(size, (uint64_t)p->rate << 10));
	print_bad(job);
	return verdict(job);
}

/* ---- Following it ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_progress(const struct job *job, double began, double begun_at)
{
	double passed = now() - began, done = share(&job->pass) - begun_at;
	double left = done > 0 ? passed / done * (1 - share(&job->pass)) : 0;

	fprintf(stderr, "\r%s: %5.1f %%, %.0f MiB/s, %.0f s left   ", job->verb->name,
		100 * share(&job->pass),
		passed > 0 ? (double)job->pass.looked / 256 / passed : 0, left);
}

/* Until it has ended.  On a terminal one line says how far it is. */
static int follow(struct job *job)
{
	const bool shown = isatty(STDERR_FILENO);
	const struct timespec pause = { .tv_nsec = 200000000 };
	double began = now(), begun_at = -1;
	int err;

	for (;;) {
		err = ask(job);
		if (err || !under_way(job))
			break;
		if (begun_at < 0)
			begun_at = share(&job->pass);
		if (shown)
			print_progress(job, began, begun_at);
		nanosleep(&pause, NULL);
	}
	if (shown)
		fprintf(stderr, "\r%60s\r", "");
	return err;
}

static void print_end(const struct job *job)
{
	print_bad(job);
	if (!job->pass.bad && complete(job))
		printf("All of %s %s.\n", job->live.name, job->verb->ended);
	else if (job->verb == &repair_look && job->pass.bad)
		printf("Nothing was changed.  To give them up, so that all else can be written again:\n"
		       "  qvault-ctl repair start %s --accept-loss --wait\n", job->live.name);
	else if (job->verb == &repair && complete(job))
		puts("They are given up: reads of them fail until they are written or discarded.\n"
		     "All else is whole.  Check the file system now.");
}

static int wait_for_end(struct job *job)
{
	int err = follow(job);

	if (err)
		return err;
	if (ctl_given(job->options, CTL_OPT_JSON))
		print_json(job);
	else
		print_end(job);
	return end_verdict(job);
}

/* ---- Verbs ---- */

static int begin(struct job *job)
{
	char message[60];
	int err;

	if (under_way(job))
		return ctl_fail(CTL_BUSY,
				"a %s of %s is under way: wait for it, or stop it (qvault-ctl %s stop)",
				other_name(job->pass.kind), job->live.name,
				other_name(job->pass.kind));
	snprintf(message, sizeof(message), "walk %s %" PRIu32, job->verb->kind,
		 job->options->rate_mib << 10);
	err = ctl_dm_message(job->live.name, message);
	if (err)
		return ctl_fail(ctl_exit_of(err), "a %s of %s cannot begin: %s",
				job->verb->name, job->live.name,
				ctl_vault_why(job->live.name, err));
	ctl_done("a %s of %s has begun", job->verb->name, job->live.name);
	return CTL_OK;
}

/* The keys of the blocks change only with a new generation. */
static int new_keys(struct job *job)
{
	static const char *const names[] = QVAULT_MAC_NAMES;
	enum qvault_mac mac = ctl_given(job->options, CTL_OPT_MAC) ?
			      job->options->mac : QVAULT_MAC_HMAC_SHA256_128;
	char message[60];
	int err;

	if (job->verb != &reencrypt || under_way(job))
		return CTL_OK;
	snprintf(message, sizeof(message), "generation %s", names[mac]);
	err = ctl_dm_message(job->live.name, message);
	if (err == -ENOSPC) {
		/* Only a pass makes room, so none is refused. */
		ctl_warn("%s gets no new keys, its record has no room for more: all is sealed under its newest ones",
			 job->live.name);
		err = 0;
	}
	return err ? ctl_fail(ctl_exit_of(err), "%s gets no new keys: %s", job->live.name,
			      ctl_vault_why(job->live.name, err)) : CTL_OK;
}

static int start(struct job *job)
{
	int err = ctl_live_need_writer(&job->live, job->verb->name);

	if (!err)
		err = new_keys(job);
	if (!err)
		err = begin(job);
	if (err || ctl_given(job->options, CTL_OPT_WAIT))
		return err ? err : wait_for_end(job);
	if (!ctl_given(job->options, CTL_OPT_JSON))
		printf("A %s of %s has begun; qvault-ctl %s status %s tells how far it is.\n",
		       job->verb->name, job->live.name, job->verb->name, job->live.name);
	return CTL_OK;
}

static int stop(struct job *job)
{
	int err;

	if (!under_way(job) || (strcmp(job->pass.kind, job->verb->kind) &&
				strcmp(job->pass.kind, job->verb->name)))
		return ctl_fail(CTL_USAGE, "no %s of %s is under way", job->verb->name,
				job->live.name);
	err = ctl_dm_message(job->live.name, "walk stop");
	return err ? ctl_fail(ctl_exit_of(err), "the %s of %s does not stop: %s",
			      job->verb->name, job->live.name,
			      ctl_vault_why(job->live.name, err)) : CTL_OK;
}

static int status(struct job *job)
{
	return ctl_given(job->options, CTL_OPT_WAIT) && under_way(job) ? wait_for_end(job) :
									   print_state(job);
}

static int run(struct job *job)
{
	static const struct {
		const char *word;
		int (*run)(struct job *job);
	} words[] = { { "start", start }, { "stop", stop }, { "status", status } };
	size_t i;
	int err;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(job->options->argv[0], words[i].word))
			break;
	if (i == sizeof(words) / sizeof(words[0]))
		return ctl_fail(CTL_USAGE, "%s what? start, stop or status, then the vault's name",
				job->verb->name);
	err = ctl_live_open(&job->live, job->options->argv[1]);
	if (!err)
		err = ask(job);
	return err ? err : words[i].run(job);
}

static int run_verb(const struct ctl_options *o, const struct verb *verb)
{
	struct job job = { .options = o, .verb = verb };
	int err = run(&job);

	ctl_live_close(&job.live);
	return err;
}

int ctl_scrub_verb(struct ctl_options *o)
{
	return run_verb(o, &scrub);
}

int ctl_repair_verb(struct ctl_options *o)
{
	return run_verb(o, ctl_given(o, CTL_OPT_ACCEPT_LOSS) ? &repair : &repair_look);
}

int ctl_reencrypt_verb(struct ctl_options *o)
{
	return run_verb(o, &reencrypt);
}
