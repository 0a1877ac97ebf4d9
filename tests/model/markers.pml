/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lost markers, and the map made anew: what repair --accept-loss leaves behind.
 *
 * Two blocks in one leaf.  A marker stands for a block that is lost, or in the place
 * of the leaf for all that is below; it is a pointer, but has no block and no weight.
 * Repair puts markers into the delta for what cannot be read and the deltas say
 * nothing of, and so they take the way of any write: log, checkpoint, crash.
 * Writes below a leaf that cannot be read are refused, and checkpoints carry them
 * along (damage.pml).  Pointers are names; blocks are not used again: what must hold
 * is asserted where one becomes free.
 *
 * Properties, each an assertion with its number:
 * D1 what was not lost reads as it was written, or is refused while the leaf cannot
 *    be read; also from the newest record
 * D6 what is lost is refused until all of the block is written or discarded: it
 *    never reads as zeros, and is never a part of what a write makes of it
 * D7 no block becomes free that the newest record reaches, also through a leaf that
 *    cannot be read now, and may be there again
 */

#ifndef WRITES
#define WRITES	3
#endif
#define NL	2
#define NONE	0		/* zeros; in a delta: it knows nothing */
#define UNMAP	1		/* in a delta */
#define MARK	2		/* lost */
#define FIRST	3		/* names of blocks */
#define BIT(p)	(1 << (p))
#define DATA(p)	((p) >= FIRST -> BIT(p) : 0)

/* ---- The newest record --------------------------------------------------- */

byte leaf[NL], leaf_is;		/* what it says; NONE, MARK, or FIRST: there is one */
byte log_old[NL], log_new[NL];
byte map;			/* blocks in use */
byte want[NL];			/* ghost: NONE, MARK: lost, or a name */
bit bad;			/* the leaf cannot be read */

/* ---- The vault in memory ------------------------------------------------- */

byte live[NL], frozen[NL];
byte state[NL];			/* ghost, as want */
mtype = { IDLE, FROZEN };
mtype checkpoint = IDLE;
byte writes, freed;

hidden byte b, p, bits;

#define REFUSED	(UNMAP)		/* of a read; not a content */
#define IN_TREE(b) \
	(leaf_is == MARK -> REFUSED : (leaf_is == NONE -> NONE : \
	 (bad -> REFUSED : (leaf[b] == MARK -> REFUSED : leaf[b]))))
#define IN_DELTA(p)	((p) == UNMAP -> NONE : ((p) == MARK -> REFUSED : (p)))
#define NOW(b) \
	(live[b] -> IN_DELTA(live[b]) : (frozen[b] -> IN_DELTA(frozen[b]) : IN_TREE(b)))
#define IN_RECORD(b) \
	(log_new[b] -> IN_DELTA(log_new[b]) : \
	 (log_old[b] -> IN_DELTA(log_old[b]) : IN_TREE(b)))
/* It says nothing because the leaf cannot be read, and that is no loss yet. */
#define UNREAD	(bad && leaf_is == FIRST)

#define COVERS(d)	(d[0] && d[1])

/* ---- What must hold ------------------------------------------------------ */

inline check()
{
	for (b : 0 .. NL - 1) {
		p = NOW(b);
		assert(state[b] != MARK || p == REFUSED);		/* D6 */
		assert(state[b] == MARK || p == state[b] ||
		       (p == REFUSED && UNREAD && !live[b] && !frozen[b])); /* D1 */
		p = IN_RECORD(b);
		assert(want[b] != MARK || p == REFUSED);		/* D6 */
		assert(want[b] == MARK || p == want[b] ||
		       (p == REFUSED && UNREAD && !log_new[b] && !log_old[b])) /* D1 */
	}
	bits = 0
}

inline free(mask)
{
	bits = DATA(want[0]) | DATA(want[1]) |
	       (leaf_is == FIRST -> DATA(leaf[0]) | DATA(leaf[1]) : 0);
	assert(!((mask) & bits));					/* D7 */
	freed = freed | (mask)
}

/* ---- Writes, discards, repair --------------------------------------------- */

#define LEAF_REFUSES	(UNREAD && !COVERS(live) && !COVERS(frozen))

inline write(l)
{
	live[l] = FIRST + writes;
	state[l] = FIRST + writes;
	writes++
}

/* A part of a block: the rest is read first, and a marker has none. */
#ifdef MUTANT_PART_CLEARS
#define MAY_MERGE(l)	(!LEAF_REFUSES)
#else
#define MAY_MERGE(l)	(!LEAF_REFUSES && NOW(l) != REFUSED)
#endif

inline write_part(l)
{
	assert(state[l] != MARK);					/* D6 */
	write(l)
}

inline discard(l)
{
	live[l] = UNMAP;
	state[l] = NONE
}

inline discard_all()
{
	discard(0);
	discard(1)
}

/* A data block that cannot be read. */
inline mark(l)
{
	live[l] = MARK;
	state[l] = MARK
}

/* The leaf: all that only it could tell. */
inline repair()
{
	for (b : 0 .. NL - 1) {
		state[b] = (live[b] -> state[b] : MARK);
#ifdef MUTANT_MARKS_ALL
		live[b] = MARK
#else
		live[b] = (live[b] -> live[b] : MARK)
#endif
	}
	b = 0
}

/* ---- Commit, checkpoint ---------------------------------------------------- */

inline commit()
{
	for (b : 0 .. NL - 1) {
		log_new[b] = (live[b] -> live[b] : log_new[b]);
		want[b] = state[b]
	}
	b = 0
}

inline freeze()
{
	commit();
	for (b : 0 .. NL - 1) {
		frozen[b] = live[b]; live[b] = NONE;
		log_old[b] = log_new[b]; log_new[b] = NONE
	}
	checkpoint = FROZEN
}

#ifdef MUTANT_NOT_FILLED
#define FILL	NONE
#else
#define FILL	MARK
#endif
#ifdef MUTANT_LEFT_OUT_AT_WEIGHT_0
#define KEPT(p)	((p) >= FIRST)
#else
#define KEPT(p)	((p) != NONE)
#endif

/* The merge, and the record with it. */
inline anchor(whole)
{
	/* Which blocks were in a leaf that cannot be read nobody knows: leaked. */
	bits = (leaf_is == FIRST && !bad -> DATA(leaf[0]) | DATA(leaf[1]) : 0);
	for (b : 0 .. NL - 1) {
		p = (leaf_is == FIRST -> leaf[b] : (leaf_is == MARK -> FILL : NONE));
		p = (frozen[b] -> (frozen[b] == UNMAP -> NONE : frozen[b]) : p);
		leaf[b] = p;
		frozen[b] = NONE;
		log_old[b] = NONE
	}
	leaf_is = (KEPT(leaf[0]) || KEPT(leaf[1]) -> FIRST : NONE);
	/* All of it is lost: that may be said in the parent. */
	leaf_is = (whole -> MARK : leaf_is);
	bad = 0;
	if
	:: leaf_is != FIRST -> leaf[0] = NONE; leaf[1] = NONE
	:: else
	fi;
	p = DATA(leaf[0]) | DATA(leaf[1]);
	bits = bits & ~p;
	map = (map | p) & ~bits;
	b = bits & ~(DATA(want[0]) | DATA(want[1]));
	free(b);
	checkpoint = IDLE;
	b = 0
}

#define MERGES(p, q)	((p) -> (p) : (q))
#define ALL_LOST \
	(MERGES(frozen[0], (leaf_is == MARK -> MARK : leaf[0])) == MARK && \
	 MERGES(frozen[1], (leaf_is == MARK -> MARK : leaf[1])) == MARK)

/*
 * Of what every node was read for.  A leaf that is to be replaced still is what a
 * crash goes back to: markers first, then the map.
 */
#ifdef MUTANT_MAP_UNDER_DAMAGE
#define MAY_REBUILD	true
#else
#ifdef MUTANT_MAP_BEFORE_MARKERS
#define MAY_REBUILD	(!UNREAD || COVERS(live))
#else
#define MAY_REBUILD	(!UNREAD)
#endif
#endif

inline rebuild()
{
	bits = (UNREAD || leaf_is != FIRST -> 0 : DATA(leaf[0]) | DATA(leaf[1]));
	b = map & ~bits & ~(DATA(live[0]) | DATA(live[1]) | DATA(log_new[0]) |
			    DATA(log_new[1]));
	map = bits;
	free(b);
	b = 0
}

/* ---- Crash ------------------------------------------------------------------ */

inline crash()
{
	for (b : 0 .. NL - 1) {
		live[b] = (log_new[b] -> log_new[b] : log_old[b]);
#ifdef MUTANT_REPLAYED_AS_UNMAP
		live[b] = (live[b] == MARK -> UNMAP : live[b]);
#endif
		log_new[b] = live[b]; log_old[b] = NONE;
		frozen[b] = NONE;
		state[b] = want[b]
	}
	checkpoint = IDLE
}

/* ---- All steps ---------------------------------------------------------------- */

#define STEPS(l) \
	:: d_step { writes < WRITES && !LEAF_REFUSES -> write(l); check() } \
	:: d_step { writes < WRITES && MAY_MERGE(l) -> write_part(l); check() } \
	:: d_step { !LEAF_REFUSES && NOW(l) -> discard(l); check() } \
	:: d_step { NOW(l) >= FIRST -> mark(l); check() }

init {
end:	do
	STEPS(0)
	STEPS(1)
	:: d_step { checkpoint == IDLE -> discard_all(); check() }
	:: d_step { LEAF_REFUSES && checkpoint == IDLE -> repair(); check() }
	:: d_step { live[0] || live[1] -> commit(); check() }
	:: d_step { checkpoint == IDLE && (live[0] || live[1]) && !LEAF_REFUSES ->
		freeze(); check() }
	:: d_step { checkpoint == FROZEN && (!UNREAD || COVERS(frozen)) ->
		anchor(false); check() }
	:: d_step { checkpoint == FROZEN && (!UNREAD || COVERS(frozen)) && ALL_LOST ->
		anchor(true); check() }
	:: d_step { checkpoint == IDLE && MAY_REBUILD && map -> rebuild(); check() }
	:: d_step { true -> crash(); check() }
	/* It cannot be read from now on; or again.  Found before a freeze. */
	:: d_step { checkpoint == IDLE && leaf_is == FIRST && !bad -> bad = 1; check() }
	:: d_step { bad -> bad = 0; check() }
	od
}
