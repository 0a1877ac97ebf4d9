/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Room: a write on a full volume waits for a checkpoint, and is never told that
 * there is no space while there is one spare block.
 *
 * Writers run at once and compete for blocks and for the log.  Contents do not
 * matter here: each write takes a block and supersedes one, which the next
 * checkpoint frees (that it does is in vault.pml).
 *
 * A round is idle if nothing ended since the round before it was found idle or
 * not.  The model as it was first built read `ended` anew in each round, after
 * `seen`: then four idle rounds in a row could be found although each time a
 * write had just ended (MUTANT_ENDS_FORGOTTEN).
 *
 * I6 no writer gets -ENOSPC, and none waits for ever: with a finite number of
 * writes, that is an assertion and the absence of invalid end states.
 */

#ifndef WRITERS
#define WRITERS	2
#endif
#ifndef EACH
#define EACH	2		/* writes of each */
#endif
#ifndef SPARE
#define SPARE	1		/* free blocks of a volume that is full */
#endif
#ifndef LOG
#define LOG	2		/* entries that the log takes */
#endif
#ifndef IDLE_ROUNDS
#define IDLE_ROUNDS	2	/* the code has more of them */
#endif

byte free = SPARE;
byte superseded;		/* by writes that ended since the last freeze */
byte frozen;			/* by those before it: free after the checkpoint */
byte logged;			/* entries since the last freeze */
byte frozen_log;
byte reserved;			/* entries promised */

byte inflight, ended, checkpoints;
bit checkpoint_mutex;
bit woken[WRITERS];

inline wake_up_all()
{
	d_step {
		for (i : 0 .. WRITERS - 1) { woken[i] = 1 }
		i = 0
	}
}

/* C: checkpoint freeze qvault_alloc_anchored */
inline checkpoint()
{
	d_step {
		frozen = superseded; superseded = 0;
		frozen_log = logged; logged = 0
	};
	d_step {
		free = free + frozen; frozen = 0;
		frozen_log = 0
	};
	checkpoints++;
	wake_up_all()
}

/* C: qvault_checkpoint_since */
inline checkpoint_since(seen)
{
	atomic { !checkpoint_mutex -> checkpoint_mutex = 1 };
	if
	:: checkpoints == seen -> checkpoint()
	:: else
	fi;
	checkpoint_mutex = 0
}

/* C: take_room try_room qvault_stream_reserve qvault_alloc_blocks unreserve */
inline take_room()
{
#ifndef MUTANT_COUNTED_LATE
	inflight++;
#endif
	d_step {
		ok = logged + frozen_log + reserved < LOG;
		reserved = reserved + ok
	};
	if
	:: ok -> d_step { ok = free > 0; free = free - ok };
		if
		:: !ok -> reserved--
		:: else
		fi
	:: else
	fi;
#ifdef MUTANT_COUNTED_LATE
	inflight = inflight + ok
#else
	if
	:: !ok -> inflight--;
		if
		:: !inflight -> wake_up_all()
		:: else
		fi
	:: else
	fi
#endif
}

/* wait_event(): who looks at the condition is woken by what happens after. */
inline wait_for_end()
{
	do
	:: woken[me] = 0;
		if
		:: ended != before || !inflight -> break
		:: else -> woken[me]
		fi
	od
}

/* C: get_room */
inline get_room()
{
	idle = 0;
	before = ended;
	do
	:: assert(idle < IDLE_ROUNDS);			/* I6: -ENOSPC */
		seen = checkpoints;
#ifdef MUTANT_ENDS_FORGOTTEN
		before = ended;
#endif
		take_room();
		if
		:: ok -> break
		:: else
		fi;
		checkpoint_since(seen);
#ifndef MUTANT_NO_SECOND_LOOK
		take_room();
		if
		:: ok -> break
		:: else
		fi;
#endif
		wait_for_end();
		atomic { idle = (ended == before -> idle + 1 : 0); before = ended }
	od
}

/* C: qvault_write_end insert ended */
inline write_end()
{
	d_step { superseded++; reserved--; logged++ };
#ifdef MUTANT_ENDED_LATE
	inflight--;
	ended++;
#else
	ended++;
	inflight--;
#endif
#ifndef MUTANT_NO_WAKE
	wake_up_all()
#endif
}

proctype writer(byte me)
{
	byte i, idle, seen, before, writes;
	bit ok;

	do
	:: writes < EACH ->
		get_room();
		write_end();
		writes++;
		d_step { idle = 0; seen = 0; before = 0; ok = 0 }
	:: else -> break
	od
}

/* C: qvault_kick_checkpoint checkpoint_work: one may come at any time. */
proctype background()
{
	byte i;

	atomic { !checkpoint_mutex -> checkpoint_mutex = 1 };
	checkpoint();
	checkpoint_mutex = 0
}

init {
	byte n;

	atomic {
		for (n : 0 .. WRITERS - 1) { run writer(n) }
		run background();
		n = 0
	}
}
