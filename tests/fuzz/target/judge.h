/* SPDX-License-Identifier: GPL-2.0 */
/* The anchor record as the tool judges it, for the engine's side to compare. */
#ifndef FUZZ_JUDGE_H
#define FUZZ_JUDGE_H
#include <stdint.h>

struct tool_verdict {
	int state;			/* enum ctl_slot_state */
	const char *why;
	uint64_t field[17];		/* what it read, if it is a record */
};

enum { TOOL_EMPTY, TOOL_FOREIGN, TOOL_VERSION, TOOL_DAMAGED, TOOL_FEATURES,
       TOOL_RECORD };

void tool_judge(const void *disk, uint32_t slot, struct tool_verdict *verdict);
#endif
