/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Generations: secrets that keys of blocks come from, their table in the record,
 * and when one may be dropped.
 *
 * A pointer is the generation that its block is sealed under; which version it has
 * does not matter here.  Two blocks, one node above them, one map block, the log
 * before and after the freeze as the set of generations that its blocks are sealed
 * under and that its entries name.  A record is one step, as is a commit: how both
 * slots are written is in keychange.pml, what a crash leaves in vault.pml.
 *
 * A number is used again as soon as its generation has been dropped.  The table has
 * N; a clone and a re-key leave one free, which only a restore takes; compaction
 * begins by itself when AUTO are in use.  (In the format: 8 and 6.)
 *
 * Properties, each an assertion with its number:
 * S1 the newest record's table has every generation that the record reaches: node,
 *    map block, data, blocks of the log, and what their entries name
 * S2 it has every generation of what memory knows, also when writes end that were
 *    sealed long ago
 * S3 a reader that comes too late for a generation finds what it looks for when it
 *    looks again
 * S4 nothing is sealed under a secret that a clone with a key of its own was given,
 *    nor after the vault went back to a state before that
 * S5 nothing is sealed under a generation whose versions may have been used by a
 *    state that nobody has any more
 * S6 the table is never too full for a restore of what was kept, and from every
 *    state compaction goes on to its end without a number of its own (no invalid
 *    end state after "drain")
 */

#ifndef N
#define N	3		/* numbers */
#endif
#ifndef AUTO
#define AUTO	(N - 1)
#endif
#ifndef NL
#define NL	1		/* blocks */
#endif
#define LAST	(NL - 1)
#define BIT(n)	(1 << (n))
#define ALL	(BIT(N) - 1)
#define COUNT(m) \
	(((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1) + \
	 (((m) >> 4) & 1) + (((m) >> 5) & 1) + (((m) >> 6) & 1) + (((m) >> 7) & 1))

/* Pointers. */
#define NONE	0		/* zeros; in a delta: it knows nothing */
#define UNMAP	1		/* in a delta */
#define MARK	2		/* lost: a pointer, but of no block */
#define OF(g)	(3 + (g))
#define SET(p)	((p) >= 3 -> BIT((p) - 3) : 0)

/* ---- The newest record --------------------------------------------------- */

byte table = 1, sealing;	/* generations: bits; number */
byte data[NL];			/* what the node says */
byte node, map = 3;		/* pointers of both, and what the one of the node says */
byte set;			/* of the generations below it */
byte log_old, log_new;		/* before and after the freeze: bits */
byte logged[NL];		/* by the log after the freeze: newest pointers */

/* ---- The vault in memory ------------------------------------------------- */

byte live[NL], frozen[NL];
byte stream;			/* named by entries that are in no log block */
byte writing, writes;		/* sealed, and on its way: pointer, block */
bit counted;
byte moving, moved;		/* the same of the walker: pointer, block */
bit overtaken;			/* by a write of that block */
bit walking;
mtype = { IDLE, FROZEN, MERGED };
mtype checkpoint = IDLE;
byte new_node, new_set, new_map;

/* A reader between its look at the pointer and the block. */
byte reading, reading_at;
bit too_late;

/* Ghosts. */
byte given;			/* to holders of clones: bits of the table */
byte spent;			/* under these any version may have been used */

#ifdef RESTORE
bit kept;
byte kept_table, kept_sealing, kept_data[NL], kept_node, kept_set, kept_map;
byte kept_same;			/* bits: that number still is what it was */
byte kept_given;		/* ghost */
#endif

hidden byte b, g, e, keep, reach;

#define NOW(b) \
	(live[b] -> live[b] : (frozen[b] -> frozen[b] : data[b]))

/* ---- What must hold ------------------------------------------------------ */

inline check()
{
	reach = SET(node) | SET(map) | log_old | log_new;
	for (b : 0 .. NL - 1) { reach = reach | SET(data[b]) }
	assert(!(reach & ~table));				/* S1 */
	reach = stream;
	for (b : 0 .. NL - 1) { reach = reach | SET(live[b]) | SET(frozen[b]) }
	assert(!(reach & ~table));				/* S2 */
	assert(COUNT(table) <= N);				/* S6 */
	reach = 0
}

inline seal()
{
	assert(!(spent & BIT(sealing)));			/* S5 */
	assert(!(given & BIT(sealing)));			/* S4 */
}

/* ---- Writes, walker, commits --------------------------------------------- */

/*
 * Which generation seals, and that a write under it has begun, is one step: else
 * the generation could be dropped between the two.
 */
inline write_begin()
{
	seal();
	writing = OF(sealing);
	writes = b;
#ifndef MUTANT_COUNTED_LATE
	counted = 1
#endif
}

inline insert(ptr)
{
	live[b] = ptr;
	stream = stream | SET(ptr);
	overtaken = overtaken || (moving && moved == b)
}

inline write_end()
{
	b = writes;
	insert(writing);
	writing = NONE; writes = 0; counted = 0
}

#define OLD(p)		((p) >= 3 && (p) != OF(sealing))

inline move_begin()
{
	seal();
	moving = OF(sealing);
	moved = b
}

/* That it is inserted only if nothing has changed is in insert.pml. */
inline move_end()
{
	b = moved;
	if
	:: !overtaken -> insert(moving)
	:: else
	fi;
	moving = NONE; moved = 0; overtaken = 0
}

#define UNLOGGED	(stream || live[0] != logged[0] || live[LAST] != logged[LAST])

inline commit()
{
	if
	:: UNLOGGED ->
		seal();
		log_new = log_new | stream | BIT(sealing);
		stream = 0;
		for (b : 0 .. NL - 1) { logged[b] = live[b] }
	:: else
	fi
}

/* ---- Checkpoint ---------------------------------------------------------- */

/*
 * The walk also has those nodes and map blocks written anew that are old
 * themselves, and have nothing below them that it could move: a leaf of lost
 * markers, the map of a group that nobody writes to.
 */
#ifdef MUTANT_WALK_MOVES_DATA_ONLY
#define TOUCH(p)	false
#else
#define TOUCH(p)	(walking && OLD(p))
#endif

/* Not named by what the anchored roots and the log say, and yet in the table. */
#define NAMED \
	(BIT(sealing) | set | SET(node) | SET(map) | log_old | log_new | stream | \
	 SET(writing) | SET(moving))
#define CHECKPOINT_DUE \
	(live[0] || live[LAST] || TOUCH(node) || TOUCH(map) || (table & ~NAMED) || \
	 (log_new & ~BIT(sealing)))

inline freeze()
{
	commit();
	for (b : 0 .. NL - 1) { frozen[b] = live[b]; live[b] = NONE; logged[b] = NONE }
	log_old = log_new;
	log_new = 0;
	checkpoint = FROZEN
}

#define MERGED_PTR(b) \
	(frozen[b] -> (frozen[b] == UNMAP -> NONE : frozen[b]) : data[b])

inline merge()
{
	new_node = node; new_map = map; new_set = set;
	if
	:: frozen[0] || frozen[LAST] || TOUCH(node) ->
		seal();
		/* It is left out when it has no pointer. */
		new_node = (MERGED_PTR(0) || MERGED_PTR(LAST) -> OF(sealing) : NONE);
#ifdef MUTANT_SET_OF_CHANGED_ONLY
		new_set = SET(frozen[0]) | SET(frozen[LAST])
#else
		new_set = SET(MERGED_PTR(0)) | SET(MERGED_PTR(LAST))
#endif
	:: else
	fi;
	if
	:: frozen[0] || frozen[LAST] || TOUCH(map) -> seal(); new_map = OF(sealing)
	:: else
	fi;
	checkpoint = MERGED
}

/*
 * The record with the new roots and the new tail.  Entries that are in no log block
 * yet count as the log does: they will be there, and no flush waits for them here.
 */
inline anchor()
{
	for (b : 0 .. NL - 1) {
		data[b] = MERGED_PTR(b);
		frozen[b] = NONE
	}
	node = new_node; map = new_map; set = new_set;
	log_old = 0;
	keep = SET(moving) | (counted -> SET(writing) : 0);
#ifdef MUTANT_DROP_WITH_WRITES_IN_FLIGHT
	keep = 0;
#endif
	keep = keep | BIT(sealing) | SET(node) | set;
#ifndef MUTANT_MAP_IGNORED
	keep = keep | SET(map);
#endif
#ifndef MUTANT_LOG_IGNORED
	keep = keep | log_new;
#endif
#ifndef MUTANT_STREAM_IGNORED
	keep = keep | stream;
#endif
	table = table & keep;
	given = given & keep;
	spent = spent & keep;
	too_late = reading && (too_late || (SET(reading) & ~keep));
#ifdef RESTORE
	kept_same = kept_same & keep;
#endif
	keep = 0;
	new_node = 0; new_map = 0; new_set = 0;
	checkpoint = IDLE
}

/* ---- A reader ------------------------------------------------------------ */

inline look()
{
	reading = NOW(b);
	reading_at = b
}

inline open()
{
#ifdef MUTANT_READER_GIVES_UP
	assert(!too_late);					/* S3 */
#endif
	reading = (too_late -> NOW(reading_at) : reading);
	assert(!(SET(reading) & ~table));			/* S3 */
	reading = NONE; reading_at = 0; too_late = 0
}

/* ---- Generations that are made ------------------------------------------- */

/* The first number that is free. */
inline find_number(mask)
{
	for (g : 0 .. N - 1) {
		if
		:: !((mask) & BIT(g)) -> break
		:: else
		fi
	}
	assert(g < N)						/* S6 */
}

inline make_generation()
{
	find_number(table);
	table = table | BIT(g);
	sealing = g
}

#define ONE_IS_LEFT	(COUNT(table) < N - 1)

/* With a key of its own: its holder has all secrets that were in the table. */
inline clone()
{
	given = given | table;
#ifdef RESTORE
	kept_given = kept_given | (kept_same & table);
#endif
#ifndef MUTANT_CLONE_SHARES
	make_generation()
#endif
}

inline rekey()
{
	make_generation();
	walking = 1
}

#ifdef MUTANT_WALK_NEEDS_NUMBER
#define MAY_COMPACT	(COUNT(table) < N)
#else
#define MAY_COMPACT	true
#endif

inline compact()
{
#ifdef MUTANT_WALK_NEEDS_NUMBER
	make_generation();
#endif
	walking = 1
}

#define ALL_MOVED \
	(!OLD(NOW(0)) && !OLD(NOW(LAST)) && !OLD(node) && !OLD(map) && !moving)

/* ---- Crash, and going back ----------------------------------------------- */

inline forget()
{
	for (b : 0 .. NL - 1) {
		live[b] = (logged[b] -> logged[b] : frozen[b]);
		logged[b] = live[b];
		frozen[b] = NONE
	}
	log_new = log_new | log_old;
	log_old = 0; stream = 0;
	writing = NONE; writes = 0; counted = 0;
	moving = NONE; moved = 0; overtaken = 0; walking = 0;
	reading = NONE; reading_at = 0; too_late = 0;
	new_node = 0; new_map = 0; new_set = 0;
	checkpoint = IDLE
}

#ifdef RESTORE
/* After a checkpoint: snapshot.  Nothing that this reaches is used again. */
#define MAY_KEEP \
	(!kept && !walking && !writing && SET(node) == BIT(sealing) && \
	 checkpoint == IDLE && !live[0] && !live[LAST] && !log_new && !stream)

inline keep_record()
{
	kept = 1;
	kept_table = table; kept_sealing = sealing;
	for (b : 0 .. NL - 1) { kept_data[b] = data[b] }
	kept_node = node; kept_set = set; kept_map = map;
	kept_same = table; kept_given = given
}

inline back()
{
	forget();
	for (b : 0 .. NL - 1) {
		data[b] = kept_data[b]; live[b] = NONE; logged[b] = NONE;
		kept_data[b] = 0
	}
	log_new = 0;
	node = kept_node; set = kept_set; map = kept_map;
	table = kept_table;
	given = kept_given;
	kept = 0; kept_node = 0; kept_set = 0; kept_map = 0; kept_table = 0;
	kept_sealing = 0; kept_same = 0; kept_given = 0
}

/* The newer record is gone, and with it how far versions went. */
inline restore()
{
	spent = kept_table;
	sealing = kept_sealing;
	back();
#ifndef MUTANT_RESTORE_TAKES_NO_NUMBER
	make_generation()
#endif
}

/*
 * The newer record is at hand, so versions go on.  What seals is what sealed
 * before: under the generation of the old record the holder of a clone made since
 * could read.
 */
inline revert()
{
	spent = kept_same & spent;
#ifdef MUTANT_REVERT_SEALS_UNDER_OLD
	sealing = kept_sealing;
	back()
#else
	if
	:: kept_same & BIT(sealing) -> back()
	:: else -> back(); make_generation()
	fi
#endif
}

/* Only a record that was kept while the table was full has no room. */
#define MAY_RESTORE	(kept && COUNT(kept_table) < N)
#define MAY_REVERT	(kept && (COUNT(kept_table) < N || (kept_same & BIT(sealing))))
#endif

/* ---- All steps ----------------------------------------------------------- */

#define WORK \
	:: d_step { writing -> write_end(); check() } \
	:: d_step { walking && !moving && OLD(NOW(0)) -> b = 0; move_begin() } \
	:: d_step { walking && !moving && OLD(NOW(LAST)) -> b = LAST; move_begin() } \
	:: d_step { moving -> move_end(); check() } \
	:: d_step { UNLOGGED -> commit(); check() } \
	:: d_step { checkpoint == IDLE && CHECKPOINT_DUE -> freeze(); check() } \
	:: d_step { checkpoint == FROZEN -> merge(); check() } \
	:: d_step { checkpoint == MERGED -> anchor(); check() } \
	:: d_step { reading -> open() } \
	:: d_step { walking && ALL_MOVED -> walking = 0 }

init {
end:	do
	WORK
	:: d_step { !writing -> b = 0; write_begin() }
#if NL > 1
	:: d_step { !writing -> b = LAST; write_begin() }
#endif
#ifdef MUTANT_COUNTED_LATE
	:: d_step { writing && !counted -> counted = 1 }
#endif
#ifndef NO_UNMAP
	:: d_step { NOW(0) > MARK -> b = 0; insert(UNMAP); check() }
#endif
#ifdef MARKERS
	:: d_step { NOW(0) > MARK -> b = 0; insert(MARK); check() }
#endif
#ifdef READER
	:: d_step { !reading && NOW(0) > MARK -> b = 0; look() }
#endif
	:: d_step { ONE_IS_LEFT -> clone(); check() }
	:: d_step { ONE_IS_LEFT && !walking -> rekey(); check() }
	:: d_step { !walking && MAY_COMPACT && COUNT(table) > 1 -> compact(); check() }
#ifndef NO_CRASH
	:: d_step { true -> forget(); check() }
#endif
#ifdef RESTORE
	:: d_step { MAY_KEEP -> keep_record() }
	:: d_step { MAY_RESTORE -> restore(); check() }
	:: d_step { MAY_REVERT -> revert(); check() }
#endif
	:: goto drain
	od;

	/* Nothing new comes: what there is must go on to its end.  S6 */
drain:	do
	WORK
	:: d_step { !walking && MAY_COMPACT && COUNT(table) >= AUTO -> compact() }
	:: COUNT(table) < AUTO && !walking && checkpoint == IDLE -> break
	od
}
