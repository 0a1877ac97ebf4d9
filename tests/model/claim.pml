/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Claim, wait, look: a vault that several hosts can reach (attach --shared).
 *
 * An attach writes a claim of its own to block 0, waits for the settle time, goes on
 * only if the claim is still its own, and only then reads the slots.  A record is
 * looked (at its slot), flush, mine (a look at the claim), write; who finds somebody
 * else's claim stops.  A look at the claim serves every write that begins within half of
 * the settle time, so that a write that takes less than the other half has ended before
 * whoever claimed since then stops waiting.
 *
 * So it is before a write to the data device, too: blocks of data, log and nodes go to
 * places that the newest record does not use, and who was displaced and does not know
 * it would write over what another one has put there since.  Here each commit writes
 * one such block first, of two places.  It looks at the claim only, as the engine does.
 *
 * Time is ticks that pass for all at once.  A flush takes as long as it likes, a host
 * may die at any moment, and what it was writing lands late, whole or torn, or not at
 * all; but no write, to either device, takes longer than half of the settle time, also
 * when it fails: that is what this rests on.  A claim may land as late as it likes.
 * Each host attaches once.
 *
 * Properties, each an assertion with its number:
 * C1 an acknowledged commit is in the newest record, from then on for ever
 * C2 there always is a record
 * C3 what the newest record reaches is on the data device
 */

#ifndef HOSTS
#define HOSTS	2
#endif
#ifndef COMMITS
#define COMMITS	3
#endif
#ifndef FAILURES
#define FAILURES	1
#endif
#define HALF	2		/* ticks */
#define SETTLE	(2 * HALF)
#define BIT(n)	(1 << (n))

/* epoch 0: none.  Its block stands at one of two places. */
typedef Record { byte epoch, sequence, holds; bit place; byte block };
Record slot[2];
byte disk[2];			/* commits that blocks are of */
byte claim;			/* 1 + host */

mtype = { NEW, CLAIM, WAIT, READ_ONE, READ_TWO, LOOK, FLUSH, MINE, WRITE, RUNNING,
	  STOPPED, DEAD };
mtype = { NOTHING, ATTACH, ATTACH_AGAIN, DATA, COMMIT };
typedef Host {
	mtype pc, doing;
	byte clock;		/* to wait; or what the write may take */
	byte age;		/* of the look at the claim; HALF: none, or too old */
	Record newest, other;	/* what it knows in the two slots */
	byte commit;		/* under way */
	bit claiming, dying	/* a write of a host that is dead */
};
Host host[HOSTS];

byte acked, commits, failures;

#define ME	host[_pid]
#define MY_CLAIM	(1 + _pid)
#define TARGET	((ME.newest.sequence + 1) & 1)

hidden byte i;
hidden byte bad;
hidden Record record;

inline copy(to, from)
{
	to.epoch = from.epoch; to.sequence = from.sequence; to.holds = from.holds;
	to.place = from.place; to.block = from.block
}

inline clear(r)
{
	r.epoch = 0; r.sequence = 0; r.holds = 0; r.place = 0; r.block = 0
}

#define SAME(a, b) \
	(a.epoch == b.epoch && a.sequence == b.sequence && a.holds == b.holds && \
	 a.place == b.place && a.block == b.block)
#define NEWEST \
	(slot[0].epoch == 0 -> 1 : \
	 (slot[1].epoch == 0 -> 0 : slot[1].sequence > slot[0].sequence))

inline check()
{
	assert(!(acked & ~slot[NEWEST].holds));				/* C1 */
	assert(slot[0].epoch || slot[1].epoch);				/* C2 */
	i = NEWEST;
	assert(!slot[i].block || disk[slot[i].place] == slot[i].block);	/* C3 */
	i = 0
}

inline forget()
{
	clear(ME.newest); clear(ME.other);
	ME.clock = 0; ME.age = HALF; ME.commit = 0; ME.doing = NOTHING
}

inline stop()
{
	forget();
	ME.pc = STOPPED
}

/* ---- Time ---------------------------------------------------------------- */

#define LATE(h)	((h.pc == WRITE || h.dying) && h.clock == 0)

inline pass(h)
{
	if
	:: h.pc == WRITE || h.dying -> h.clock--
	:: h.pc == WAIT && h.clock -> h.clock--
	:: else
	fi;
	if
	:: h.age < HALF -> h.age++
	:: else
	fi
}

/* ---- Claim, wait ---------------------------------------------------------- */

inline claimed()	/* C: qvault_share_begin */
{
	claim = MY_CLAIM;
	ME.clock = SETTLE;
	ME.pc = WAIT
}

#if defined(MUTANT_NO_WAIT) || defined(MUTANT_CLAIM_AFTER_RECORD)
#define WAITED	true
#else
#define WAITED	(ME.clock == 0)
#endif

inline go_on()
{
	ME.clock = 0;
	if
	:: claim == MY_CLAIM -> ME.age = 0; ME.pc = READ_ONE
	:: else -> stop()
	fi
}

inline read_two()
{
	/* other has slot 0. */
	bad = ME.other.epoch && (!slot[1].epoch || ME.other.sequence > slot[1].sequence);
	if
	:: bad -> copy(ME.newest, ME.other); copy(ME.other, slot[1])
	:: else -> copy(ME.newest, slot[1])
	fi;
	if
	:: ME.newest.epoch == 0 -> stop()	/* both are being written */
	:: else -> ME.doing = ATTACH; ME.pc = LOOK
	fi
}

/* ---- Look ----------------------------------------------------------------- */

#if defined(MUTANT_NO_CLAIM_IN_LOOK) || defined(MUTANT_CLAIM_AFTER_RECORD)
#define CLAIM_GOOD	true
#else
#define CLAIM_GOOD	(claim == MY_CLAIM)
#endif
/* The last line: its own record, if the write of it has failed. */
#define SLOT_GOOD \
	(SAME(slot[TARGET], ME.other) || slot[TARGET].epoch == 0 || \
	 slot[TARGET].epoch < ME.newest.epoch || \
	 (slot[TARGET].epoch == ME.newest.epoch + (ME.doing == ATTACH) && \
	  slot[TARGET].sequence == ME.newest.sequence + 1))

inline look()
{
	if
	:: SLOT_GOOD -> ME.pc = FLUSH
	:: else -> stop()
	fi
}

inline flush_end()
{
	ME.pc = MINE
}

#ifdef MUTANT_NO_SECOND_LOOK
#define YOUNG	(ME.age <= HALF)
#else
#define YOUNG	(ME.age < HALF)
#endif

/* Right before any write. */
inline mine()		/* C: qvault_share_look */
{
	if
	:: YOUNG || CLAIM_GOOD ->
		ME.age = (YOUNG -> ME.age : 0);
		ME.clock = HALF; ME.pc = WRITE
	:: else -> stop()
	fi
}

/* ---- Block and record ------------------------------------------------------ */

inline land_record()
{
	copy(record, ME.newest);
	record.epoch = record.epoch + (ME.doing == ATTACH);
	record.sequence++;
	if
	:: ME.commit ->
		record.holds = record.holds | BIT(ME.commit - 1);
		record.place = 1 - record.place;
		record.block = ME.commit
	:: else
	fi;
	copy(slot[TARGET], record)
}

inline land()
{
	if
	:: ME.doing == DATA -> disk[1 - ME.newest.place] = ME.commit
	:: else -> land_record()
	fi
}

/* Half of it: neither the old nor the new. */
inline tear()
{
	if
	:: ME.doing == DATA -> disk[1 - ME.newest.place] = 255
	:: else -> clear(slot[TARGET])
	fi
}

inline write_end()
{
	land();
	if
	:: ME.doing != DATA -> copy(ME.other, ME.newest); copy(ME.newest, record)
	:: else
	fi;
	ME.clock = 0;
	if
	:: ME.doing == DATA -> ME.doing = COMMIT; ME.pc = LOOK
	:: ME.doing == ATTACH -> ME.doing = ATTACH_AGAIN; ME.pc = LOOK
#ifdef MUTANT_CLAIM_AFTER_RECORD
	:: ME.doing == COMMIT && claim != MY_CLAIM -> stop()
#endif
	:: else ->
		acked = acked | (ME.commit -> BIT(ME.commit - 1) : 0);
		ME.commit = 0;
		ME.doing = NOTHING;
		ME.pc = RUNNING
	fi;
	check()
}

/* The device says no: it may have landed. */
inline write_failed()
{
	failures++;
#ifdef MUTANT_RETRY_DOES_NOT_LOOK
	ME.clock = HALF
#else
	ME.clock = 0;
	ME.pc = (ME.doing == DATA -> MINE : LOOK)
#endif
}

/* ---- Death ---------------------------------------------------------------- */

inline die()
{
	ME.claiming = ME.pc == CLAIM;
	ME.dying = ME.pc == WRITE;
	if
	:: ME.dying
	:: else -> forget()
	fi;
	ME.pc = DEAD
}

inline late_end()
{
	forget();
	ME.dying = 0;
	check()
}

/* ---- All steps ------------------------------------------------------------- */

active [HOSTS] proctype engine()
{
	atomic { _pid == 0 || slot[0].epoch ->
		d_step {
			if
			:: _pid == 0 ->
				slot[0].epoch = 1; slot[1].epoch = 1;
				slot[1].sequence = 1
			:: else
			fi;
			ME.pc = NEW; ME.doing = NOTHING; ME.age = HALF
		}
	};
end:	do
	:: d_step { ME.pc == NEW -> ME.pc = CLAIM }
	:: d_step { ME.pc == CLAIM -> claimed() }
	:: d_step { ME.pc == WAIT && WAITED -> go_on() }
	:: d_step { ME.pc == READ_ONE -> copy(ME.other, slot[0]); ME.pc = READ_TWO }
	:: d_step { ME.pc == READ_TWO -> read_two() }

	:: d_step { ME.pc == RUNNING && commits < COMMITS ->
		commits++; ME.commit = commits; ME.doing = DATA;
#ifdef MUTANT_DATA_WITHOUT_LOOK
		ME.clock = HALF; ME.pc = WRITE
#else
		ME.pc = MINE
#endif
		}
	:: d_step { ME.pc == LOOK -> look() }
	:: d_step { ME.pc == FLUSH -> flush_end() }
	:: d_step { ME.pc == MINE -> mine() }
	:: d_step { ME.pc == WRITE -> write_end() }
	:: d_step { ME.pc == WRITE && failures < FAILURES -> write_failed() }
	:: d_step { ME.pc == WRITE && failures < FAILURES -> land(); write_failed(); check() }

	:: d_step { ME.pc != NEW && ME.pc != DEAD -> die() }
	:: d_step { ME.claiming -> claim = MY_CLAIM; ME.claiming = 0 }
	:: d_step { ME.claiming -> ME.claiming = 0 }
	:: d_step { ME.dying -> land(); late_end() }
	:: d_step { ME.dying -> late_end() }
	:: d_step { ME.dying -> tear(); late_end() }

	/* Host 0 has the clock of all. */
#if HOSTS > 2
	:: d_step { _pid == 0 && !LATE(host[0]) && !LATE(host[1]) && !LATE(host[2]) ->
		pass(host[0]); pass(host[1]); pass(host[2]) }
#else
	:: d_step { _pid == 0 && !LATE(host[0]) && !LATE(host[1]) ->
		pass(host[0]); pass(host[1]) }
#endif
	od
}
