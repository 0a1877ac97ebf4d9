/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One line of history: lives of one vault that do not know of each other.
 *
 * A life is an engine in memory.  Lives attach the same two devices (two hosts,
 * two guests), memory is forked at any moment and both halves go on, a life ends
 * and an older copy of its memory goes on (the same, as one of the two may stand
 * still until the other has ended), and with -DBACKUP both devices are put back as
 * they once were.  What commit and checkpoint do within
 * one life is in vault.pml; here a commit is a number, and the data device has
 * the places over which two lives meet: blocks of the log, and two slots of a node.
 *
 * Between its look and what it writes then, a life may stand still as long as it
 * likes while another one writes a record.  That is the race that no look can
 * close: `late` says that a life is in it, `lates` counts the records that
 * landed so.  As long as there is none, all of this holds without exception:
 *
 * Properties, each an assertion with its number:
 * L1 an acknowledged commit is in the newest record, from then on for ever.  Each
 *    late record costs at most two: the one it lands on, and its own, if it is of
 *    a life that was displaced; unless a crash tears another record that moment
 * L2 what the newest record reaches is on the data device.  Not if two lives were
 *    between look and record at once: they write their logs to the same place
 * L3 a life that missed a record is told by its next look: before it writes log or
 *    tree, and before it acknowledges anything; then it writes nothing any more
 * L4 who was displaced does not stop who displaced him
 * L5 a version is taken twice only if one of the two was taken by a memory that had
 *    been forked, and had neither been told of it nor made a record since
 * L6 after an attach, or a clean detach, one slot alone says all: L1 and L3 hold
 *    if the other one rots
 *
 * If memory goes back with both devices, and nobody says so, no look can tell.  Then
 * it is the jump after each record that parts the two, by chance and not for sure; so
 * that jump is not here, and the simulator counts what it does.
 *
 * Data blocks are not here: until its next look a displaced life writes to places
 * that the other one holds to be free, and what both wrote may be refused (EILSEQ).
 */

#ifndef LIVES
#define LIVES	2
#endif
#ifndef ATTACHES
#define ATTACHES	3
#endif
#ifndef COMMITS
#define COMMITS	3
#endif
#ifndef CHECKPOINTS
#define CHECKPOINTS	1
#endif
#ifndef FORKS
#define FORKS	0
#endif
#ifndef ROTS
#define ROTS	0
#endif
#ifndef FAILURES
#define FAILURES	0
#endif
#ifndef DATA
#define DATA	false		/* versions for blocks of data, too */
#endif
#define LEASE	2		/* versions between two records */
#define STREAMS	(ATTACHES + 3 * FORKS + 2)

#define BIT(n)	(1 << (n))

/* Two records are the same, by their MAC, if they say the same.  epoch 0: none. */
typedef Record {
	byte epoch, sequence;
	byte stream, lease;	/* versions: a range that a jump began, how many */
	byte holds;		/* commits; a bit for each */
	byte tail, blocks;	/* of the log */
	byte log[2];		/* commits that its blocks are of */
	byte slot, node		/* of the tree */
};

Record anchor[2];
byte log[2];			/* places of the log: what stands there */
byte node[2];

mtype = { AWAY, READ_ONE, READ_TWO, LOOK, READY, RECORD, RUNNING, TAKEN, FAILED };
mtype = { NOTHING, ATTACH, ATTACH_AGAIN, INLINE, LOGGED, MERGED, DETACH, JUMP };
typedef Life {
	mtype pc;
	mtype doing;		/* what the look, and the record, is for */
	bit wrote;		/* the log block or node that the record names */
	bit tried;		/* the record's write has failed once */
	byte commit;		/* under way */
	byte name;		/* of the node under way */
	Record newest, other;	/* what it knows in the two slots */
	byte version;		/* the next one */
	bit jump;		/* notified: no version before a record of a new range */
	/* Ghosts. */
	bit late;		/* a record landed since its look */
	bit missed;		/* one that displaces it landed */
	byte unsure;		/* its memory was forked: 1, 2: and it has looked since */
	bit raced		/* another one wrote to the log or tree since it did */
};
Life life[LIVES];

byte attaches, commits, checkpoints, forks, rots, failures, streams;
byte acked, forgiven;		/* commits */
bit twofold;			/* both slots must say the same */
byte lates;			/* records that landed late */
bit broken;			/* by a log block or node that did */
#ifdef BACKUP
Record kept[2];
byte kept_log[2], kept_node[2], kept_acked, kept_forgiven;
bit has_kept;
#endif
bit went_back;
short used[STREAMS], doubtful[STREAMS];	/* versions; by an unsure life */

#define ME		life[_pid]
#define TARGET		((ME.newest.sequence + 1) & 1)

hidden byte i, j, k, n;
hidden byte bad;
hidden Record record;		/* to be written */

inline copy(to, from)
{
	to.epoch = from.epoch; to.sequence = from.sequence;
	to.stream = from.stream; to.lease = from.lease;
	to.holds = from.holds; to.tail = from.tail; to.blocks = from.blocks;
	to.log[0] = from.log[0]; to.log[1] = from.log[1];
	to.slot = from.slot; to.node = from.node
}

inline clear(r)
{
	r.epoch = 0; r.sequence = 0; r.stream = 0; r.lease = 0; r.holds = 0;
	r.tail = 0; r.blocks = 0; r.log[0] = 0; r.log[1] = 0; r.slot = 0; r.node = 0
}

#define SAME(a, b) \
	(a.epoch == b.epoch && a.sequence == b.sequence && a.stream == b.stream && \
	 a.lease == b.lease && a.holds == b.holds && a.tail == b.tail && \
	 a.blocks == b.blocks && a.log[0] == b.log[0] && a.log[1] == b.log[1] && \
	 a.slot == b.slot && a.node == b.node)

/* The slot of the newest valid record, as any attach finds it; 2: there is none. */
#define NEWEST \
	(anchor[0].epoch == 0 -> (anchor[1].epoch == 0 -> 2 : 1) : \
	 (anchor[1].epoch == 0 -> 0 : (anchor[1].sequence > anchor[0].sequence)))

#define INTACT(r) \
	((r.blocks < 1 || log[r.tail & 1] == r.log[0]) && \
	 (r.blocks < 2 || log[1 - (r.tail & 1)] == r.log[1]) && \
	 (r.node == 0 || node[r.slot] == r.node))

/* Does the newest record hold what was acknowledged, and is it all there? */
inline check()
{
	i = NEWEST;
	assert(i < 2 || lates);					/* L1 */
	assert(i > 1 || INTACT(anchor[i & 1]) || broken || lates)		/* L2 */
}

inline count_lost()
{
	i = NEWEST;
	assert(i < 2 || lates);						/* L1 */
	/* Both at once, late and torn: how much is lost has no bound. */
	lates = (lates && (anchor[0].epoch == 0 || anchor[1].epoch == 0) -> 8 : lates);
	forgiven = forgiven | (i < 2 -> acked & ~anchor[i & 1].holds : 0);
	for (j : 0 .. 7) { n = (j -> n : 0) + ((forgiven & BIT(j)) != 0) }
	assert(n <= 2 * lates)						/* L1 */
}

/* C: qvault_new_versions */
inline seal()
{
	k = ME.newest.stream;
	assert(ME.version < ME.newest.lease);				/* L5 */
	bad = (used[k] & BIT(ME.version)) != 0;
	assert(!bad || ME.unsure || (doubtful[k] & BIT(ME.version)) || lates); /* L5 */
	used[k] = used[k] | BIT(ME.version);
	if
	:: ME.unsure -> doubtful[k] = doubtful[k] | BIT(ME.version)
	:: else
	fi;
	ME.version++
}

#define MAY_SEAL	(!ME.jump && ME.version < ME.newest.lease)

inline idle()
{
	ME.doing = NOTHING; ME.wrote = 0; ME.tried = 0; ME.commit = 0; ME.name = 0;
	ME.late = 0; ME.raced = 0
}

inline forget()
{
	idle();
	clear(ME.newest); clear(ME.other);
	ME.version = 0; ME.jump = 0; ME.missed = 0; ME.unsure = 0;
	ME.pc = AWAY
}

inline stop()
{
	idle();
	ME.version = 0; ME.jump = 0; ME.missed = 0; ME.unsure = 0;
#ifdef MUTANT_DISPLACED_GOES_ON
	ME.version = ME.newest.lease - 1;
	ME.pc = RUNNING
#else
	clear(ME.newest); clear(ME.other);
	ME.pc = TAKEN
#endif
}

/*
 * What a life writes depends on nothing but itself: when it is written again
 * after a failure it is the same to the bit.
 */
inline make_record()
{
	copy(record, ME.newest);
	record.sequence++;
	if
	:: ME.doing == ATTACH && ME.other.epoch > record.epoch ->
		record.epoch = ME.other.epoch
	:: else
	fi;
	if
	:: ME.doing == ATTACH -> record.epoch++
	:: else
	fi;
	if
#ifdef MUTANT_NO_JUMP_AT_ATTACH
	:: ME.doing == ATTACH -> record.lease = record.lease + LEASE
	:: ME.doing == JUMP ->
#else
	:: ME.doing == ATTACH || ME.doing == JUMP ->
#endif
		record.stream = streams + 1;
		record.lease = LEASE
	:: ME.doing == ATTACH_AGAIN || ME.doing == DETACH
	:: else -> record.lease = record.lease + LEASE
	fi;
	if
	:: ME.doing == INLINE -> record.holds = record.holds | BIT(ME.commit)
	:: ME.doing == LOGGED ->
		record.holds = record.holds | BIT(ME.commit);
		record.log[record.blocks] = ME.commit;
		record.blocks++
	:: ME.doing == MERGED ->
		record.tail = (record.tail + record.blocks) & 1;
		record.blocks = 0;
		record.log[0] = 0; record.log[1] = 0;
		record.slot = (record.node -> 1 - record.slot : 0);
		record.node = ME.name
	:: else
	fi
}

/* ---- The backup ---------------------------------------------------------- */

#ifdef BACKUP
inline keep()
{
	has_kept = 1;
	copy(kept[0], anchor[0]); copy(kept[1], anchor[1]);
	kept_log[0] = log[0]; kept_log[1] = log[1];
	kept_node[0] = node[0]; kept_node[1] = node[1];
	kept_acked = acked; kept_forgiven = forgiven
}

/* Not under who attached since: his log would be gone. */
#define STANDS_STILL(l) \
	(l.pc == AWAY || l.pc == TAKEN || l.pc == FAILED || \
	 (l.pc == RUNNING && l.newest.epoch == kept[0].epoch && \
	  l.newest.epoch == kept[1].epoch))

inline put_back()
{
	went_back = 1;
	copy(anchor[0], kept[0]); copy(anchor[1], kept[1]);
	log[0] = kept_log[0]; log[1] = kept_log[1];
	node[0] = kept_node[0]; node[1] = kept_node[1];
	acked = kept_acked; forgiven = kept_forgiven;
	twofold = 0;
	clear(kept[0]); clear(kept[1]);
	kept_log[0] = 0; kept_log[1] = 0; kept_node[0] = 0; kept_node[1] = 0;
	kept_acked = 0; kept_forgiven = 0;
	/* Who is still there is told; unless nothing has changed for him. */
	for (j : 0 .. LIVES - 1) {
		life[j].missed = life[j].pc == RUNNING &&
			!SAME(life[j].newest, anchor[life[j].newest.sequence & 1])
	};
	check()
}
#endif

/* ---- The look ----------------------------------------------------------- */

/*
 * The slot to be replaced holds what this life left there, or its own record if
 * the write of it has failed before, or what is to be written over: nothing
 * valid, or the last gasp of a life that this one displaced.
 */
#define WRITE_OVER(r)	(r.epoch == 0 || r.epoch < ME.newest.epoch)
#ifdef MUTANT_LOOK_AT_SEQUENCE
#define AS_LEFT(r, own)	(r.sequence == own.sequence)
#else
#define AS_LEFT(r, own)	SAME(r, own)
#endif
#define TARGET_GOOD \
	(AS_LEFT(anchor[TARGET], ME.other) || WRITE_OVER(anchor[TARGET]) || \
	 (ME.tried && SAME(anchor[TARGET], record)))

/*
 * The other slot holds its newest record.  Without this a life that finds nothing
 * valid in the slot to be replaced could not tell a torn record of somebody who
 * took over long ago from rot.
 */
#ifdef MUTANT_LOOK_AT_ONE_SLOT
#define OTHER_GOOD	true
#else
#define OTHER_GOOD \
	(AS_LEFT(anchor[1 - TARGET], ME.newest) || \
	 (WRITE_OVER(anchor[1 - TARGET]) && anchor[TARGET].epoch != 0 && \
	  !(ME.tried && anchor[1 - TARGET].epoch == 0)))
#endif

#ifdef MUTANT_NO_LOOK
#define LOOK_GOOD	true
#else
#define LOOK_GOOD	(TARGET_GOOD && OTHER_GOOD)
#endif

#ifdef MUTANT_ATTACH_WRITES_OVER
#define ATTACH_GOOD	LOOK_GOOD
#else
#define ATTACH_GOOD \
	(SAME(anchor[TARGET], ME.other) && SAME(anchor[1 - TARGET], ME.newest))
#endif

/*
 * Before anything is written to places that another life may have taken, and
 * again while the data device is flushed.
 * C: qvault_line_look
 */
inline look()
{
	ME.late = 0;
	make_record();
	if
	:: ME.doing == ATTACH || ME.doing == ATTACH_AGAIN ->
#ifdef MUTANT_ATTACH_DOES_NOT_LOOK
		ME.pc = RECORD
#else
		/*
		 * What was read is old by now, if anything has changed: whoever
		 * did that has acknowledged what this life does not know.
		 */
		if
		:: ATTACH_GOOD -> ME.pc = RECORD
		:: else -> forget()
		fi
#endif
	:: else ->
		if
		:: LOOK_GOOD ->
			/* Its own record had been written, and whoever came read it. */
			assert(!ME.missed || lates ||			/* L3 */
			       (ME.tried && SAME(anchor[TARGET], record)));
			ME.unsure = (ME.unsure -> 2 : 0);
			ME.pc = (ME.wrote || (ME.doing != LOGGED && ME.doing != MERGED) ->
				 RECORD : READY)
		:: else ->
			/* Who attached later is not stopped by who was before. */
			assert(lates || anchor[0].epoch >= ME.newest.epoch || /* L4 */
			       anchor[1].epoch >= ME.newest.epoch);
			stop()
		fi
	fi
}

inline begin(what)
{
	ME.doing = what;
#ifdef MUTANT_LOG_BEFORE_LOOK
	ME.pc = (what == LOGGED || what == MERGED -> READY : LOOK)
#else
	ME.pc = LOOK
#endif
}

/* ---- Attach ------------------------------------------------------------- */

inline read_two()
{
	/* other has slot 0. */
	bad = anchor[1].epoch == 0 ||
	      (ME.other.epoch != 0 && ME.other.sequence > anchor[1].sequence);
	if
	:: bad -> copy(ME.newest, ME.other); copy(ME.other, anchor[1])
	:: else -> copy(ME.newest, anchor[1])
	fi;
	if
	:: ME.newest.epoch == 0 || !INTACT(ME.newest) ->
		/* Refused; another one is at work, or this is lost. */
		forget()
	:: else ->
		ME.doing = ATTACH;
		ME.pc = LOOK
	fi
}

/* ---- The record --------------------------------------------------------- */

/* Whoever is between look and write is late now, and who is displaced is behind. */
inline tell_ghosts(landed)
{
	for (j : 0 .. LIVES - 1) {
		if
		:: j != _pid && (life[j].pc == READY || life[j].pc == RECORD) ->
			life[j].late = 1
		:: else
		fi;
		if
		:: landed && j != _pid && life[j].doing != ATTACH &&
		   life[j].doing != ATTACH_AGAIN &&
		   (life[j].pc == RUNNING || life[j].pc == LOOK ||
		    life[j].pc == READY || life[j].pc == RECORD) &&
		   record.epoch >= life[j].newest.epoch ->
			life[j].missed = 1
		:: else
		fi
	}
}

inline land()
{
	make_record();
	copy(anchor[TARGET], record);
	tell_ghosts(true);
	lates = (lates < 8 -> lates + ME.late : lates);
	twofold = 0;
	count_lost()
}

/* C: qvault_line_write qvault_line_repeat put_record adopt */
inline record_end()
{
	land();
	broken = broken || (ME.raced && !INTACT(record));
	copy(ME.other, ME.newest);
	copy(ME.newest, record);
	if
	:: ME.doing == ATTACH || ME.doing == JUMP ->
		streams++;
		ME.version = record.lease - LEASE;
		ME.jump = 0
	:: ME.commit ->
		acked = acked | BIT(ME.commit);
		count_lost()
	:: else
	fi;
	if
	:: ME.unsure == 2 && !ME.late -> ME.unsure = 0
	:: else
	fi;
	if
#ifndef MUTANT_ONE_SLOT_AT_ATTACH
	:: ME.doing == ATTACH -> idle(); begin(ATTACH_AGAIN)
#endif
	:: ME.doing == DETACH -> forget(); twofold = 1
	:: else ->
		twofold = (ME.doing == ATTACH || ME.doing == ATTACH_AGAIN);
		idle();
		ME.missed = 0;
		ME.pc = RUNNING
	fi;
	check()
}

/* A reader meanwhile, and who attaches after a crash, finds no record there. */
inline record_half()
{
	clear(anchor[TARGET]);
	tell_ghosts(false);
	lates = (lates < 8 -> lates + ME.late : lates);
	ME.late = 0;
	twofold = 0;
	count_lost()
}

/* The device says no: it may be there or not. */
inline record_fail()
{
	if
	:: ME.tried -> forget(); ME.pc = FAILED
	:: else ->
		ME.tried = 1;
		ME.late = 0;
#ifndef MUTANT_RETRY_DOES_NOT_LOOK
		ME.pc = LOOK
#endif
	fi
}

/* ---- The places --------------------------------------------------------- */

/* C: qvault_log_append */
inline write_log()
{
	seal();
	log[(ME.newest.tail + ME.newest.blocks) & 1] = ME.commit
}

/* C: merge_delta: the slot that the anchored tree does not use */
inline write_node()
{
	seal();
	ME.name = checkpoints;
	node[(ME.newest.node -> 1 - ME.newest.slot : 0)] = ME.name
}

inline write_places()
{
	if
	:: ME.doing == LOGGED -> write_log()
	:: else -> write_node()
	fi;
	i = NEWEST & 1;
	broken = broken || (ME.late && !INTACT(anchor[i]));
	for (j : 0 .. LIVES - 1) {
		life[j].raced = life[j].raced || (j != _pid && life[j].wrote)
	}
	ME.wrote = 1;
	ME.pc = LOOK;
	check()
}

/* ---- All steps ---------------------------------------------------------- */

#define TWIN	life[1 - _pid]

inline fork_memory()
{
	forks++;
	ME.pc = TWIN.pc; ME.doing = TWIN.doing; ME.wrote = TWIN.wrote;
	ME.tried = TWIN.tried; ME.commit = TWIN.commit; ME.name = TWIN.name;
	copy(ME.newest, TWIN.newest);
	copy(ME.other, TWIN.other);
	ME.version = TWIN.version; ME.jump = TWIN.jump;
	ME.late = TWIN.late; ME.missed = TWIN.missed;
	ME.raced = TWIN.raced;
	ME.unsure = 1;
	TWIN.unsure = 1
}

active [LIVES] proctype engine()
{
	d_step {
		if
		:: _pid == 0 ->
			anchor[1].epoch = 1; anchor[1].sequence = 1
		:: else
		fi;
		ME.pc = AWAY; ME.doing = NOTHING
	};
end:	do
	:: d_step { ME.pc == AWAY && attaches < ATTACHES ->
		attaches++; ME.pc = READ_ONE }
	/* C: read_newest choose_slot qvault_line_begin */
	:: d_step { ME.pc == READ_ONE -> copy(ME.other, anchor[0]); ME.pc = READ_TWO }
	:: d_step { ME.pc == READ_TWO -> read_two() }
	:: d_step { ME.pc == LOOK -> look() }

	:: d_step { ME.pc == RUNNING && MAY_SEAL && DATA -> seal() }
	:: d_step { ME.pc == RUNNING && commits < COMMITS ->
		commits++; ME.commit = commits; begin(INLINE) }
	:: d_step { ME.pc == RUNNING && commits < COMMITS && ME.newest.blocks < 2 ->
		commits++; ME.commit = commits; begin(LOGGED) }
	:: d_step { ME.pc == RUNNING && checkpoints < CHECKPOINTS && ME.newest.blocks ->
		checkpoints++; begin(MERGED) }
	:: d_step { ME.pc == READY && MAY_SEAL -> write_places() }
	/* A record first, that leases others. */
	:: d_step { ME.pc == READY && !MAY_SEAL -> idle(); ME.pc = RUNNING }
	:: d_step { ME.pc == RUNNING && ME.jump -> begin(JUMP) }
	/* C: qvault_detach */
	:: d_step { ME.pc == RUNNING && ME.newest.blocks == 0 && ME.newest.node ->
#ifdef MUTANT_ONE_SLOT_AT_DETACH
		forget(); twofold = 1
#else
		begin(DETACH)
#endif
		}

	:: d_step { ME.pc == RECORD -> record_end() }
	/* Not together with other accidents of the anchor. */
	:: d_step { ME.pc == RECORD && anchor[TARGET].epoch && !went_back &&
		!(rots && anchor[1 - TARGET].epoch == 0) -> record_half() }
	:: d_step { ME.pc == RECORD && failures < FAILURES && ME.commit ->
		failures++; record_fail() }
	:: d_step { ME.pc == RECORD && failures < FAILURES && ME.commit ->
		failures++; land();
		broken = broken || (ME.raced && !INTACT(record)); record_fail() }

	/* A crash, or power off. */
	:: d_step { ME.pc != AWAY -> forget() }

	/* C: qvault_forked */
	:: d_step { ME.pc == AWAY && forks < FORKS && TWIN.newest.epoch &&
		TWIN.pc != READ_ONE && TWIN.pc != READ_TWO -> fork_memory() }
#ifdef NOTICES
	:: d_step { ME.unsure && ME.pc != AWAY && ME.pc != TAKEN ->
		ME.unsure = 0;
#ifndef MUTANT_NO_JUMP_ON_NOTICE
		ME.jump = 1
#endif
		}
#endif
#ifdef BACKUP
	:: d_step { _pid == 0 && !has_kept -> keep() }
	:: d_step { _pid == 0 && has_kept && !went_back &&
		STANDS_STILL(life[0]) && STANDS_STILL(life[1]) -> put_back() }
#endif
	/* One slot rots, or its page of flash is torn with another one. */
	:: d_step { twofold && rots < ROTS -> rots++; twofold = 0; clear(anchor[0]); check() }
	:: d_step { twofold && rots < ROTS -> rots++; twofold = 0; clear(anchor[1]); check() }
	od
}
