/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Upper nodes twice: one node, its two slots, and in each slot two copies far apart.
 *
 * A checkpoint that changes the node writes both copies of the slot that the anchored
 * tree does not use; one that does not change it writes a bad copy anew where it
 * stands, with the ciphertext of the good one.  (That it overwrites what the record
 * reaches does no harm: it says the same, and the good copy is not touched.)  Then
 * flush, then record.  What was not flushed may be lost in a crash, or be torn.  One
 * copy at a time is damaged, and the next one not before the first was written anew
 * and flushed; with -DBOTH also both.
 *
 * Properties, each an assertion with its number:
 * U1 as long as no two copies were damaged at once the node can be read, by the
 *    newest record, at every moment
 * U2 a node is poisoned only if both copies are bad, and then nothing else is read
 *    in its place
 * U3 what a checkpoint found bad is whole after it
 */

#ifndef CHECKPOINTS
#define CHECKPOINTS	4
#endif
#define ROTTEN	255		/* also torn, or never written */
#define PLACE(s, c)	((s) * 2 + (c))

/* The four places: which node stands there, and which stood there before a write
 * that was not flushed. */
byte place[4], before[4];
bit loose[4];

/* The newest record. */
bit slot;
byte name = 1;

mtype = { IDLE, CHANGED, HEALED, ONE, FLUSHED };
mtype checkpoint = IDLE;
byte new_name;
byte names = 1;			/* that were given */
bit healing;			/* this checkpoint found a bad copy */
bit damaged[4];			/* ghost: by the storage, and not mended since */
bit both;			/* ghost: two at once */
bit again;			/* ghost: one more since this checkpoint looked */

/* A copy that a reader found bad and writes anew by itself. */
byte late, late_at;

hidden byte i, c, good;

#define GOOD(s, c)	(place[PLACE(s, c)] == name)

inline check()
{
	assert(GOOD(slot, 0) || GOOD(slot, 1) || both);			/* U1 */
	i = 0
}

/* Sets good to the copy that can be verified; 2: poisoned. */
inline read()
{
#ifdef MUTANT_SECOND_NOT_TRIED
	good = (GOOD(slot, 0) -> 0 : 2);
#else
	good = (GOOD(slot, 0) -> 0 : (GOOD(slot, 1) -> 1 : 2));
#endif
	assert(good != 2 || both)					/* U2 */
}

inline put(at, what)
{
	before[at] = (loose[at] -> ROTTEN : place[at]);
	place[at] = what;
	loose[at] = 1;
	damaged[at] = damaged[at] && what == ROTTEN
}

#ifdef MUTANT_COPIES_SHARE
/* Three places: the new node's second copy where the old one's is. */
#define COPY(s, c)	((s) * 2 * (1 - (c)) + (c))
#else
#define COPY(s, c)	PLACE(s, c)
#endif

inline change()
{
	names++;
	new_name = names;
	put(COPY(1 - slot, 0), new_name);
	checkpoint = ONE
}

inline second_copy()
{
#ifndef MUTANT_ONE_COPY
	put(COPY(1 - slot, 1), new_name);
#endif
	checkpoint = CHANGED
}

/* Nothing has changed, but a copy is bad: the same again, where it was. */
inline heal()
{
	read();
	healing = good != 2;
	if
	:: good != 2 ->
#ifdef MUTANT_NOT_HEALED
		skip
#else
#ifdef MUTANT_HEALED_UNVERIFIED
		/* Whatever stands in the first. */
		put(PLACE(slot, 1), place[PLACE(slot, 0)])
#else
		put(PLACE(slot, 1 - good), name)
#endif
#endif
	:: else
	fi;
	checkpoint = HEALED
}

inline flush_places()
{
	for (i : 0 .. 3) {
#ifdef MUTANT_SECOND_NOT_AWAITED
		loose[i] = loose[i] && i % 2;
#else
		loose[i] = 0;
#endif
		before[i] = (loose[i] -> before[i] : 0)
	}
	i = 0
}

inline record()
{
	slot = (new_name -> 1 - slot : slot);
	name = (new_name -> new_name : name);
	new_name = 0;
	both = both || (damaged[PLACE(slot, 0)] && damaged[PLACE(slot, 1)]);
	assert(!healing || (GOOD(slot, 0) && GOOD(slot, 1)) || again);	/* U3 */
	healing = 0;
	again = 0;
	checkpoint = IDLE
}

/* What was loose: there, as it was, or torn.  One choice a place. */
#define LOSE(i) \
	if \
	:: loose[i] -> place[i] = before[i] \
	:: loose[i] -> place[i] = ROTTEN \
	:: true \
	fi

inline forget()
{
	for (i : 0 .. 3) {
		/* Torn in the midst of being mended: still that one damage. */
		damaged[i] = damaged[i] || (loose[i] && place[i] == ROTTEN && i / 2 == slot);
		loose[i] = 0;
		before[i] = 0
	}
	checkpoint = IDLE; new_name = 0; healing = 0; again = 0; late = 0; late_at = 0;
	check()
}

/* One at a time: the other one is as it was written, and flushed. */
#define HALE(s, c)	(!damaged[PLACE(s, c)] && !(loose[PLACE(s, c)] && (s) == slot))
#ifdef BOTH
#define MAY_ROT(s, c)	(!damaged[PLACE(s, c)])
#else
#define MAY_ROT(s, c) \
	(!damaged[PLACE(s, c)] && HALE(s, 1 - (c)) && HALE(slot, 0) && HALE(slot, 1))
#endif
inline rot(s, c)
{
	place[PLACE(s, c)] = ROTTEN;
	before[PLACE(s, c)] = (loose[PLACE(s, c)] -> ROTTEN : 0);
	damaged[PLACE(s, c)] = 1;
	again = again || healing;
	both = both || (!HALE(slot, 0) && !HALE(slot, 1));
	check()
}

init {
	d_step { place[0] = 1; place[1] = 1 };
end:	do
	:: d_step { checkpoint == IDLE && names < CHECKPOINTS -> change(); check() }
	:: d_step { checkpoint == ONE -> second_copy(); check() }
	:: d_step { checkpoint == IDLE && !(GOOD(slot, 0) && GOOD(slot, 1)) -> heal(); check() }
	:: d_step { checkpoint == CHANGED || checkpoint == HEALED ->
		flush_places(); checkpoint = FLUSHED; check() }
	:: d_step { checkpoint == FLUSHED -> record(); check() }
	:: d_step { true -> read() }
	:: d_step { MAY_ROT(0, 0) -> rot(0, 0) }
	:: d_step { MAY_ROT(0, 1) -> rot(0, 1) }
	:: d_step { MAY_ROT(1, 0) -> rot(1, 0) }
	:: d_step { MAY_ROT(1, 1) -> rot(1, 1) }
	:: atomic { true -> LOSE(0); LOSE(1); LOSE(2); LOSE(3); d_step { forget() } }
#ifdef MUTANT_HEALED_BY_READER
	:: d_step { !late && GOOD(slot, 0) && !GOOD(slot, 1) ->
		late = name; late_at = PLACE(slot, 1) }
	:: d_step { !late && GOOD(slot, 1) && !GOOD(slot, 0) ->
		late = name; late_at = PLACE(slot, 0) }
	:: d_step { late -> put(late_at, late); late = 0; late_at = 0; check() }
#endif
	od
}
