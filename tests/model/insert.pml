/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Compare and insert: the walker moves a block, or seals it anew, while writes,
 * discards, commits and checkpoints go on.
 *
 * One logical block.  A pointer is its version; versions are taken when a write
 * begins, and writes end in any order: the one that ends last counts, whichever
 * version it has.  The walker looks the pointer up, reads, writes a copy, and inserts
 * that only if the block still has the pointer that it found: the first of the two
 * deltas that knows anything of the block (a discard is something) says just that
 * pointer, or neither does and the root is still the one that it was found under.
 * If not, it looks again, and may insert if the pointer is the same there.
 *
 * Properties, each an assertion with its number:
 * X1 a read gives what was written last, whatever was moved meanwhile
 * X2 the newest record has the state of its commit
 * X3 no data block becomes free that memory or the newest record name
 * X4 none is lost
 */

#ifndef WRITES
#define WRITES	3
#endif
#ifndef MOVES
#define MOVES	2
#endif
#define NONE	0		/* in a delta: knows nothing; in the tree: zeros */
#define UNMAP	1		/* in a delta; versions are larger */
#define NV	8
#define BIT(v)	(1 << (v))
#define DATA(p)	((p) > UNMAP -> BIT(p) : 0)

/* The newest record: tree, log before and after the freeze. */
byte tree, log_old, log_new;
byte want;			/* ghost */

/* The vault in memory. */
byte live, frozen;
bit unlogged;
byte state;			/* ghost: contents; 0: zeros */
byte content[NV];		/* of the block that a pointer is for */
byte version = UNMAP + 1;	/* the next one */
byte writing[2];		/* pointers of writes under way */
byte superseded, freed;		/* blocks */
mtype = { IDLE, FROZEN };
mtype checkpoint = IDLE;

mtype = { LOOKING, FOUND, COPIED, CHECKED };
mtype walker = LOOKING;
byte found, copy;
bit same_root;			/* as the one that goes with what was found */

byte writes, moves;

hidden byte i, bits;

#define NOW	(live -> live : (frozen -> frozen : tree))
#define MAPPED(p)	((p) > UNMAP -> (p) : 0)
#define IN_RECORD	(log_new -> log_new : (log_old -> log_old : tree))

/* ---- What must hold ---------------------------------------------------------- */

inline check()
{
	assert(content[MAPPED(NOW)] == state);				/* X1 */
	assert(content[MAPPED(IN_RECORD)] == want);			/* X2 */
	bits = DATA(live) | DATA(frozen) | DATA(tree) | DATA(IN_RECORD);
	assert(!(bits & freed));					/* X3 */
	bits = bits | freed | superseded | DATA(writing[0]) | DATA(writing[1]) | DATA(copy);
	for (i : UNMAP + 1 .. NV - 1) { assert(i >= version || (bits & BIT(i))) }; /* X4 */
	bits = 0
}

/* ---- Writes, discards, commits ------------------------------------------------ */

inline take()
{
	i = version;
	version++
}

inline write_begin(w)
{
	writes++;
	take();
	content[i] = writes;
	writing[w] = i
}

inline insert(p)
{
	superseded = superseded | DATA(live);
	live = p;
	unlogged = 1
}

inline write_end(w)
{
	insert(writing[w]);
	state = content[writing[w]];
	writing[w] = NONE
}

inline discard()
{
	insert(UNMAP);
	state = 0
}

inline commit()
{
	log_new = live;
	want = state;
	unlogged = 0;
	freed = freed | superseded;
	superseded = 0
}

/* ---- Checkpoint ------------------------------------------------------------------ */

inline freeze()
{
	commit();
	frozen = live; live = NONE;
	log_old = log_new; log_new = NONE;
	checkpoint = FROZEN
}

/*
 * Others have changed something in any case, so the root is another one.  The log is
 * cut, and what the old tree used and the new one does not is free.
 */
inline anchor()
{
	freed = freed | (frozen && frozen != tree -> DATA(tree) : 0);
	tree = (frozen -> MAPPED(frozen) : tree);
	frozen = NONE; log_old = NONE;
	same_root = 0;
	checkpoint = IDLE
}

/* ---- The walker ------------------------------------------------------------------- */

/* Deltas and root are asked under one lock; nodes of that root do not change. */
inline look()
{
	found = NOW;
	same_root = 1;
	walker = FOUND
}

inline read_and_write()
{
	moves++;
	take();
	copy = i;
	content[copy] = content[found];
	walker = COPIED
}

inline forget_walk()
{
	walker = LOOKING; found = NONE; copy = NONE; same_root = 0
}

#ifdef MUTANT_ROOT_NOT_COMPARED
#define ROOT_GOOD	true
#else
#define ROOT_GOOD	same_root
#endif

#ifdef MUTANT_DISCARD_NOT_SEEN
#define KNOWS(p)	((p) > UNMAP)
#else
#define KNOWS(p)	((p) != NONE)
#endif

/* "Newer" is not it: what has the smaller version may have ended last. */
#ifdef MUTANT_NEWER_THAN_FOUND
#define AS_FOUND(p)	((p) <= found && (p) != UNMAP)
#else
#ifdef MUTANT_NEWER_THAN_COPY
#define AS_FOUND(p)	((p) < copy && (p) != UNMAP)
#else
#define AS_FOUND(p)	((p) == found)
#endif
#endif

#ifdef MUTANT_LIVE_ONLY
#define UNCHANGED	(KNOWS(live) -> AS_FOUND(live) : ROOT_GOOD)
#else
#ifdef MUTANT_FROZEN_ONLY
#define UNCHANGED	(KNOWS(frozen) -> AS_FOUND(frozen) : ROOT_GOOD)
#else
#define UNCHANGED \
	(KNOWS(live) -> AS_FOUND(live) : (KNOWS(frozen) -> AS_FOUND(frozen) : ROOT_GOOD))
#endif
#endif

inline move()
{
#ifdef MUTANT_MOVED_IS_FREE
	freed = freed | DATA(found);
#endif
	insert(copy);
	forget_walk()
}

/* The look again: the same pointer, under another root. */
inline look_again()
{
	if
	:: NOW == found -> same_root = 1
	:: else ->
		/* No one has seen the copy, so nobody waits for its block. */
#ifndef MUTANT_COPY_LOST
		freed = freed | DATA(copy);
#endif
		forget_walk()
	fi
}

/* ---- Crash -------------------------------------------------------------------------- */

inline crash()
{
	live = (log_new -> log_new : log_old);
	log_new = live; log_old = NONE;
	frozen = NONE;
	state = want;
	unlogged = 0; superseded = 0;
	writing[0] = NONE; writing[1] = NONE;
	forget_walk();
	checkpoint = IDLE;
	freed = (BIT(version) - 1) & ~(BIT(UNMAP + 1) - 1) & ~(DATA(live) | DATA(tree))
}

/* ---- All steps ------------------------------------------------------------------------ */

init {
end:	do
	:: d_step { !writing[0] && writes < WRITES -> write_begin(0); check() }
	:: d_step { !writing[1] && writing[0] && writes < WRITES -> write_begin(1); check() }
	:: d_step { writing[0] -> write_end(0); check() }
	:: d_step { writing[1] -> write_end(1); check() }
	:: d_step { NOW > UNMAP -> discard(); check() }
	:: d_step { unlogged -> commit(); check() }
	:: d_step { checkpoint == IDLE -> freeze(); check() }
	:: d_step { checkpoint == FROZEN -> anchor(); check() }

	:: d_step { walker == LOOKING && moves < MOVES && NOW > UNMAP -> look() }
#ifdef MUTANT_ROOT_TAKEN_LATE
	:: d_step { walker == FOUND -> same_root = 1; read_and_write(); check() }
#else
	:: d_step { walker == FOUND -> read_and_write(); check() }
#endif
#ifdef MUTANT_CHECKED_BEFORE
	:: d_step { walker == COPIED && UNCHANGED -> walker = CHECKED }
	:: d_step { walker == CHECKED -> move(); check() }
#else
	:: d_step { walker == COPIED && UNCHANGED -> move(); check() }
#endif
	:: d_step { walker == COPIED && !(UNCHANGED) -> look_again(); check() }

	:: d_step { true -> crash(); check() }
	od
}
