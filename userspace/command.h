/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running somebody's command, for as long as it may take.
 */
#ifndef QVAULT_CTL_COMMAND_H
#define QVAULT_CTL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum ctl_command_end {
	CTL_COMMAND_ENDED,		/* see ->status */
	CTL_COMMAND_TIMEOUT,		/* it runs on: ctl_command_kill() */
	CTL_COMMAND_INTERRUPTED,	/* likewise: we got a signal that would end us */
};

struct ctl_command {
	pid_t pid;			/* and its process group */
	int status;			/* as waitpid() has it */
};

/*
 * @words, without a shell, with one or two more variables in its environment (@record
 * may be NULL); it reads
 * nothing, and what it prints goes to standard error if @quiet.  Signals are blocked;
 * it gets those of @signals.  Returns 0 or a negative errno: nothing runs then.
 */
int ctl_command_start(struct ctl_command *c, char **words, const char *data,
		      const char *record, bool quiet, const void *signals);
enum ctl_command_end ctl_command_wait(struct ctl_command *c, uint32_t seconds);
/* First kindly; and all that it has started, unless that went away from it. */
void ctl_command_kill(struct ctl_command *c);

#endif
