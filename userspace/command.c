// SPDX-License-Identifier: GPL-2.0
/*
 * A command of the user's, in a process group of its own, so that all of it can be
 * ended.  Nobody types to it: it would be stopped as a background job if it read from
 * the terminal, and the clock is running.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

static int prepare(const char *data, const char *record, bool quiet,
		   const sigset_t *signals)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    (quiet && dup2(STDERR_FILENO, STDOUT_FILENO) < 0) ||
	    setenv("QVAULT_DATA", data, 1) ||
	    (record ? setenv("QVAULT_RECORD", record, 1) : unsetenv("QVAULT_RECORD")))
		return -errno;
	setpgid(0, 0);
	/* libdevmapper's, which LVM would complain about. */
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, signals, NULL);
	return 0;
}

/* Whether it runs is told by what comes through the pipe: nothing, if it does. */
static int started(struct ctl_command *c, int fd)
{
	int err = 0;
	ssize_t n;

	do
		n = read(fd, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(err))
		return 0;
	waitpid(c->pid, &c->status, 0);
	return err;
}

int ctl_command_start(struct ctl_command *c, char **words, const char *data,
		      const char *record, bool quiet, const void *signals)
{
	int pipe_fd[2], err;

	/* Whoever started us may have told the kernel to reap our children. */
	signal(SIGCHLD, SIG_DFL);
	if (pipe2(pipe_fd, O_CLOEXEC))
		return -errno;
	c->pid = fork();
	err = c->pid < 0 ? -errno : 0;
	if (!c->pid) {
		err = prepare(data, record, quiet, signals);
		if (!err) {
			execvp(words[0], words);
			err = -errno;
		}
		_exit(write(pipe_fd[1], &err, sizeof(err)) == sizeof(err) ? 127 : 126);
	}
	close(pipe_fd[1]);
	if (!err) {
		/* By both, since either may be first. */
		setpgid(c->pid, c->pid);
		err = started(c, pipe_fd[0]);
	}
	close(pipe_fd[0]);
	return err;
}

/* Signals that would end us, and the one that says that a child has ended. */
static void awaited(sigset_t *set)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action;
	size_t i;

	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!sigaction(ends[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(set, ends[i]);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static enum ctl_command_end wait_ms(struct ctl_command *c, int64_t ms,
				    const sigset_t *set)
{
	const int64_t end = now_ms() + ms;
	struct timespec left;
	int64_t rest;
	int sig;

	for (;;) {
		if (waitpid(c->pid, &c->status, WNOHANG) == c->pid)
			return CTL_COMMAND_ENDED;
		rest = end - now_ms();
		if (rest <= 0)
			return CTL_COMMAND_TIMEOUT;
		left.tv_sec = rest / 1000;
		left.tv_nsec = rest % 1000 * 1000000;
		sig = sigtimedwait(set, NULL, &left);
		if (sig > 0 && sig != SIGCHLD)
			return CTL_COMMAND_INTERRUPTED;
	}
}

enum ctl_command_end ctl_command_wait(struct ctl_command *c, uint32_t seconds)
{
	sigset_t set;

	awaited(&set);
	return wait_ms(c, seconds * 1000ll, &set);
}

/* What hangs in the kernel does not end; nor do we wait for it for ever. */
#define PATIENCE_MS	3000

void ctl_command_kill(struct ctl_command *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	kill(-c->pid, SIGTERM);
	wait_ms(c, PATIENCE_MS, &set);
	/* Also what the command has left behind. */
	kill(-c->pid, SIGKILL);
	wait_ms(c, PATIENCE_MS, &set);
}
