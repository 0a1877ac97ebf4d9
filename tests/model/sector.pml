/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sectors: writes that are a part of a block, beside all else that changes it.
 *
 * Two blocks of two sectors.  A write that is a part of a block reads the rest of it
 * first, seals all, and inserts that.  Whatever changes what a block holds, also a
 * write of all of it and a discard, takes the block's lock before it looks anything
 * up; one that is over two blocks takes both, the first one first.  The walker changes
 * only where it stands, and inserts only if nothing else has changed (insert.pml): so
 * it needs no lock.
 *
 * Properties, each an assertion with its number:
 * Z1 every sector reads as the last write that took effect there
 * Z2 nobody waits for ever (no invalid end state)
 */

#ifndef WRITES
#define WRITES	3
#endif
#define NB	2
#define NS	(2 * NB)	/* sectors */

byte is[NS];			/* what the blocks that are mapped hold */
byte want[NS];			/* ghost */
bit locked[NB];
bit changed[NB];		/* since the walker looked */
byte writes;

#ifdef MUTANT_WHOLE_TAKES_NO_LOCK
#define LOCKS(from, to)	((from) % 2 || (to) % 2 == 0)
#else
#define LOCKS(from, to)	true
#endif

/* Ascending, or two that overlap would wait for each other. */
inline lock_all(from, to)
{
	if
	:: LOCKS(from, to) ->
#ifdef MUTANT_LOCKS_IN_ANY_ORDER
		if
		:: true -> low = from / 2; high = to / 2
		:: true -> low = to / 2; high = from / 2
		fi;
#else
		low = from / 2; high = to / 2;
#endif
		atomic { !locked[low] -> locked[low] = 1 };
		if
		:: low != high -> atomic { !locked[high] -> locked[high] = 1 }
		:: else
		fi
	:: else
	fi
}

inline unlock_all(from, to)
{
	d_step {
		if
		:: LOCKS(from, to) -> locked[from / 2] = 0; locked[to / 2] = 0
		:: else
		fi;
		low = 0; high = 0
	}
}

/* The sectors beside those that are written, of the first and the last block. */
inline read_rest(from, to)
{
	d_step {
		before = (from % 2 -> is[from - 1 + !from] : 0);
		after = (to % 2 == 0 -> is[(to + 1) % NS] : 0)
	}
}

inline insert(from, to, value)
{
	d_step {
		for (i : 0 .. NS - 1) {
			if
			:: i >= from && i <= to ->
				is[i] = value; want[i] = value;
				changed[i / 2] = 1
			:: else
			fi
		}
		if
		:: from % 2 -> is[from - 1 + !from] = before
		:: else
		fi;
		if
		:: to % 2 == 0 -> is[(to + 1) % NS] = after
		:: else
		fi;
		for (i : 0 .. NS - 1) { assert(is[i] == want[i]) }	/* Z1 */
		i = 0; before = 0; after = 0
	}
}

inline change(from, to, value)
{
#ifdef MUTANT_READ_BEFORE_LOCK
	read_rest(from, to);
	lock_all(from, to);
#else
	lock_all(from, to);
	read_rest(from, to);
#endif
	insert(from, to, value);
	unlock_all(from, to)
}

#ifdef MUTANT_WALKER_DOES_NOT_COMPARE
#define COMPARES(block)	true
#else
#define COMPARES(block)	(!changed[block])
#endif

/* The same contents, elsewhere. */
inline move(block)
{
	d_step {
		changed[block] = 0;
		before = is[2 * block]; after = is[2 * block + 1]
	};
	d_step {
		if
		:: COMPARES(block) -> is[2 * block] = before; is[2 * block + 1] = after
		:: else
		fi;
		for (i : 0 .. NS - 1) { assert(is[i] == want[i]) }	/* Z1 */
		i = 0; before = 0; after = 0; changed[block] = 0
	}
}

proctype writer()
{
	byte first, last, value, i, before, after, low, high;

	do
	:: atomic { writes < WRITES -> writes++; value = writes;
		select (first : 0 .. NS - 1);
		select (last : 0 .. NS - 1);
		if
		:: first > last -> last = first
		:: else
		fi };
		change(first, last, value);
		d_step { first = 0; last = 0; value = 0 }
	/* A discard is of whole blocks. */
	:: atomic { writes < WRITES -> writes++; first = 0; last = 1 };
		change(first, last, 0);
		d_step { first = 0; last = 0 }
	:: writes == WRITES -> break
	od
}

proctype walker()
{
	byte i, before, after;

	do
	:: move(0)
	:: move(1)
	:: writes == WRITES -> break
	od
}

init {
	atomic { run writer(); run writer(); run walker() }
}
