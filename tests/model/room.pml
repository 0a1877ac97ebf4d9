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
 * A checkpoint under way holds room as well, and does not end as a write does.  Without a
 * damaged node two rounds are still enough; with one, two writers that each write twice
 * can lose both rounds to it, so there are more of them in the code.
 *
 * A damaged node: entries below it are written to the log once more by each
 * checkpoint, and writers leave room for that, which only who heals it may take.  If
 * there are more of them than fit (OVERFULL), checkpoints fail until it is healed.
 *
 * I6 no writer gets -ENOSPC, and none waits for ever: with a finite number of
 * writes, that is an assertion and the absence of invalid end states.  OVERFULL: a
 * writer who comes before it is healed may be told; who heals never.
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
#ifndef BELOW
#define BELOW	0		/* entries below a damaged node; 0: there is none */
#endif
#ifndef KEPT
#define KEPT	BELOW		/* of the log, for what is carried */
#endif
#ifndef CARRIED
#define CARRIED	0		/* by a checkpoint before all this */
#endif
#ifndef IDLE_ROUNDS
#define IDLE_ROUNDS	2	/* the code has more of them */
#endif

byte free = SPARE;
byte superseded;		/* by writes that ended since the last freeze */
byte frozen;			/* by those before it: free after the checkpoint */
byte logged = BELOW;		/* entries since the last freeze, and carried past it */
byte frozen_log;
byte reserved;			/* entries promised */
byte below = BELOW;
byte carried = CARRIED;		/* by the last checkpoint */

/* C: qvault_damage_kept */
#ifdef MUTANT_LOG_NOT_KEPT
#define kept	0
#elif defined(MUTANT_KEPT_AS_EVER)
#define kept	KEPT
#else
#define kept	(carried > KEPT -> carried : KEPT)
#endif

byte inflight, ended, checkpoints;
bit checkpoint_mutex;
bit woken[WRITERS + 1];

inline wake_up_all()
{
	d_step {
		for (i : 0 .. WRITERS) { woken[i] = 1 }
		i = 0
	}
}

/* C: qvault_damage_promise qvault_stream_reserve_pages */
inline promise()
{
	d_step {
		promised = below;
		ok = logged + reserved + promised <= LOG;
		reserved = reserved + (ok -> promised : 0)
	}
}

/*
 * C: qvault_checkpoint freeze qvault_damage_carry qvault_damage_carried qvault_alloc_anchored
 * Somebody may heal the node between promise and freeze, and then less is carried.
 */
inline checkpoint()
{
	promise();
	if
	:: ok ->
		d_step {
			frozen = superseded; superseded = 0;
			frozen_log = logged; logged = below; carried = below;
			reserved = reserved - promised
		};
		d_step {
			free = free + frozen; frozen = 0;
			frozen_log = 0
		};
		checkpoints++;
		wake_up_all()
	:: else
	fi;
	d_step { promised = 0; ok = 0 }
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

/*
 * C: take_room try_room qvault_stream_reserve qvault_alloc_blocks unreserve
 * C: qvault_stream_reserve_heal
 */
#ifdef MUTANT_HEALS_LIKE_OTHERS
#define room_left(heals)	kept
#else
#define room_left(heals)	(heals -> 0 : kept)
#endif
inline take_room(heals)
{
#ifndef MUTANT_COUNTED_LATE
	inflight++;
#endif
	d_step {
		ok = logged + frozen_log + reserved + room_left(heals) < LOG;
		reserved = reserved + ok
	};
	if
	:: ok && !heals -> d_step { ok = free > 0; free = free - ok };
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

/* C: get_room; leaves @told, and nothing taken, if there is none. */
inline get_room(heals)
{
	idle = 0;
	before = ended;
	overfull = below > 0;
	do
	:: idle == IDLE_ROUNDS ->
#ifdef OVERFULL
		assert(overfull && !heals);		/* I6: -ENOSPC */
#else
		assert(false);				/* I6: -ENOSPC */
#endif
		told = 1;
		break
	:: else ->
		seen = checkpoints;
#ifdef MUTANT_ENDS_FORGOTTEN
		before = ended;
#endif
		take_room(heals);
		if
		:: ok -> break
		:: else
		fi;
		checkpoint_since(seen);
#ifndef MUTANT_NO_SECOND_LOOK
		take_room(heals);
		if
		:: ok -> break
		:: else
		fi;
#endif
		wait_for_end();
		atomic { idle = (ended == before -> idle + 1 : 0); before = ended }
	od
}

/* C: qvault_write_end insert qvault_ended insert_pieces qvault_damage_unmapped */
inline write_end(heals)
{
	d_step { superseded = superseded + !heals; reserved--; logged++; below = (heals -> 0 : below) };
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
	byte i, idle, seen, before, writes, promised;
	bit ok, overfull, told;

	do
	:: writes < EACH ->
		get_room(false);
		if
		:: !told -> write_end(false)
		:: else
		fi;
		writes++;
		d_step { idle = 0; seen = 0; before = 0; ok = 0; overfull = 0; told = 0 }
	:: else -> break
	od
}

/* C: unmap_stretch: of all that is below the damaged node, at any time or never. */
proctype healer(byte me)
{
	byte i, idle, seen, before, promised;
	bit ok, overfull, told;

	get_room(true);
	write_end(true)
}

/* C: qvault_kick_checkpoint checkpoint_work: one may come at any time. */
proctype background()
{
	byte i, promised;
	bit ok;

	atomic { !checkpoint_mutex -> checkpoint_mutex = 1 };
	checkpoint();
	checkpoint_mutex = 0
}

init {
	byte n;

	atomic {
		for (n : 0 .. WRITERS - 1) { run writer(n) }
		run background();
		if
		:: BELOW > 0 -> run healer(WRITERS)
		:: true
		fi;
		n = 0
	}
}
