/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A geometry that grows: places, levels, and a device that is larger or smaller the
 * next time.
 *
 * A group is two slots of a leaf and two data blocks, and the last one is cut off at
 * the end of the device; leaf k stands in group k and has the pointers of logical
 * blocks 2k and 2k + 1.  One data block is spare.  Nodes above the leaves are not
 * here as blocks: they have fixed places of their own in the group of their first
 * leaf; a root of level n reaches the first 2^n leaves.
 *
 * A resize is one record, with more blocks and the root as it was; only then may the
 * blocks be used; the next checkpoint adds what levels are missing.  Commits and
 * records are one step here (vault.pml), as are both slots (keychange.pml).
 *
 * Properties, each an assertion with its number:
 * W1 what was written reads as written, what was not as zeros: now, and from the
 *    newest record as far as it was committed, whatever size was before
 * W2 an acknowledged size stays
 * W3 a root is taken for what it is: its level stands in the record
 * W4 nothing is written beyond the end of the volume's blocks or of the device
 */

#ifndef WRITES
#define WRITES	3
#endif
#ifndef CRASHES
#define CRASHES	2
#endif
#define NB	12		/* blocks of the largest device */
#define NL	5		/* logical blocks of it */
#define LEAVES	3

/* Data blocks among the first n blocks; what is cut off has no place for others. */
#define DATA(n)		(((n) / 4) * 2 + ((n) % 4 == 3))
#define LOGICAL(n)	(DATA(n) - 1)
#define NEED(n)		(LOGICAL(n) <= 2 -> 0 : (LOGICAL(n) <= 4 -> 1 : 2))
#define REACH(level)	((level) == 0 -> 1 : ((level) == 1 -> 2 : 4))

#ifdef MUTANT_LAST_GROUP_PACKED
/* A group of one data block has it in front. */
#define PLACE(i, n)	(((i) / 2) * 4 + ((n) % 4 == 3 && (i) / 2 == (n) / 4 -> 0 : 2 + (i) % 2))
#define LEAF(k, s, n)	((k) * 4 + (s) + ((n) % 4 == 3 && (k) == (n) / 4))
#else
#define PLACE(i, n)	(((i) / 2) * 4 + 2 + (i) % 2)
#define LEAF(k, s, n)	((k) * 4 + (s))
#endif

/* What a block holds: 1 + its logical block; or a leaf's two pointers. */
#define NODE(p, q)	(64 + (p) * 8 + (q))
byte disk[NB];
byte device = 4;		/* its blocks now */

/* ---- The newest record --------------------------------------------------- */

typedef Record {
	byte blocks, level;
	byte leaf[LEAVES];	/* 1 + slot; what the root and nodes say */
	byte log[NL]		/* pointers since the tail: 1 + data block */
};
Record anchor;
bit want[NL];			/* ghost: committed */
byte promised = 4;		/* ghost: the size that was acknowledged */

/* ---- The vault in memory -------------------------------------------------- */

bit away;
byte blocks = 4;
byte live[NL], frozen[NL];
bit state[NL];			/* ghost */
mtype = { IDLE, FROZEN, MERGED };
mtype checkpoint = IDLE;
byte new_leaf[LEAVES], new_level;
byte frozen_blocks;
bit resizing;

byte writes, crashes;

hidden byte i, k, l, p, e, used, first, last;

/* ---- Reading -------------------------------------------------------------- */

#ifdef MUTANT_LEVEL_FROM_SIZE
#define LEVEL		NEED(anchor.blocks)
#else
#define LEVEL		(anchor.level)
#endif
/* What the root does not reach was never written, as far as it knows. */
#ifdef MUTANT_INDEX_WRAPS
#define REACHED(k)	true
#define SLOT(k)		anchor.leaf[(k) % REACH(LEVEL)]
#define AT(k)		((k) % REACH(LEVEL))
#else
#define REACHED(k)	((k) < REACH(LEVEL))
#define SLOT(k)		anchor.leaf[k]
#define AT(k)		(k)
#endif

/* Sets p to the pointer that the tree has for l. */
inline ask_tree(size)
{
	k = l / 2;
	p = 0;
	if
	:: REACHED(k) && SLOT(k) ->
		e = disk[LEAF(AT(k), SLOT(k) - 1, size)];
		assert(e >= 64);					/* W1 */
		p = (l % 2 == 0 -> (e - 64) / 8 : (e - 64) % 8)
	:: else
	fi
}

inline check_block(pointer, expected, size)
{
	p = pointer;
	if
	:: !p -> ask_tree(size)
	:: else
	fi;
	assert((p != 0) == expected);					/* W1 */
	assert(!p || disk[PLACE(p - 1 + !p, size)] == l + 1);		/* W1 */
	assert(!p || l < LOGICAL(size))					/* W1 */
}

inline check()
{
	for (l : 0 .. NL - 1) {
		check_block(anchor.log[l], want[l], anchor.blocks);
		if
		:: !away ->
			e = (live[l] -> live[l] : frozen[l]);
			check_block(e, state[l], blocks)
		:: else
		fi
	}
	assert(anchor.blocks >= promised);				/* W2 */
	assert(LEVEL == anchor.level);					/* W3 */
	l = 0
}

/* ---- Writes, commits ------------------------------------------------------ */

inline use(pointer)
{
	used = used | ((pointer) -> 1 << ((pointer) - 1 + !(pointer)) : 0)
}

/* Data blocks that a record or a delta names. */
inline find_used()
{
	used = 0;
	for (l : 0 .. NL - 1) {
		use(anchor.log[l]); use(live[l]); use(frozen[l]);
		ask_tree(blocks);
		use(p)
	}
}

inline put(at, what)
{
	assert(at < blocks && at < device);				/* W4 */
	disk[at] = what
}

inline write(block)
{
	writes++;
	find_used();
	for (i : 0 .. DATA(blocks) - 1) {
		if
		:: !(used & (1 << i)) -> break
		:: else
		fi
	}
	l = block;
	if
	:: i < DATA(blocks) ->
		put(PLACE(i, blocks), l + 1);
		live[l] = i + 1;
		state[l] = 1
	:: else
	fi;
	i = 0
}

#define UNLOGGED(l)	(live[l] && live[l] != anchor.log[l])
inline commit()
{
	for (l : 0 .. NL - 1) {
		anchor.log[l] = (live[l] -> live[l] : frozen[l]);
		want[l] = state[l]
	}
	l = 0
}

/* ---- Checkpoint ------------------------------------------------------------ */

inline freeze()
{
	commit();
	for (l : 0 .. NL - 1) { frozen[l] = live[l]; live[l] = 0 }
	frozen_blocks = blocks;
	checkpoint = FROZEN
}

inline merge()
{
	new_level = (NEED(blocks) > anchor.level -> NEED(blocks) : anchor.level);
	for (i : 0 .. LEAVES - 1) {
#ifdef MUTANT_OLD_ROOT_FORGOTTEN
		new_leaf[i] = (new_level > anchor.level -> 0 : anchor.leaf[i]);
#else
		new_leaf[i] = anchor.leaf[i];
#endif
		l = 2 * i;
		last = (l < NL - 1 -> l + 1 : l);
		if
		:: frozen[l] || frozen[last] ->
			ask_tree(blocks);
			first = (frozen[l] -> frozen[l] : p);
			l = last;
			ask_tree(blocks);
			last = (frozen[l] -> frozen[l] : p);
			last = (l % 2 -> last : 0);
			new_leaf[i] = (anchor.leaf[i] == 1 -> 2 : 1);
			put(LEAF(i, new_leaf[i] - 1, blocks), NODE(first, last))
		:: else
		fi
	}
	checkpoint = MERGED
}

inline anchor_tree()
{
	for (i : 0 .. LEAVES - 1) { anchor.leaf[i] = new_leaf[i]; new_leaf[i] = 0 }
	anchor.level = new_level;
	for (l : 0 .. NL - 1) {
		anchor.log[l] = (anchor.log[l] == frozen[l] -> 0 : anchor.log[l]);
		frozen[l] = 0
	}
#ifdef MUTANT_GROWS_UNDER_CHECKPOINT
	anchor.blocks = frozen_blocks;
#else
	anchor.blocks = blocks;
#endif
	new_level = 0;
	frozen_blocks = 0;
	checkpoint = IDLE
}

/* ---- Sizes ------------------------------------------------------------------ */

#ifdef MUTANT_SHRINK
#define MAY_BE(n)	((n) != blocks && (n) <= device && checkpoint == IDLE)
#else
#ifdef MUTANT_GROWS_UNDER_CHECKPOINT
#define MAY_BE(n)	((n) > blocks && (n) <= device)
#else
#ifdef MUTANT_BEYOND_DEVICE
#define MAY_BE(n)	((n) > blocks && checkpoint == IDLE)
#else
/* It holds checkpoint_mutex. */
#define MAY_BE(n)	((n) > blocks && (n) <= device && checkpoint == IDLE)
#endif
#endif
#endif

inline resize(n)
{
#ifdef MUTANT_USED_BEFORE_RECORD
	blocks = n;
	resizing = 1
#else
	anchor.blocks = n;
	blocks = n;
	promised = n
#endif
}

#define RESIZE(n) \
	:: d_step { !away && !resizing && MAY_BE(n) -> resize(n); check() }

inline crash()
{
	crashes++;
	away = 1;
	for (l : 0 .. NL - 1) { live[l] = 0; frozen[l] = 0; state[l] = 0 }
	for (i : 0 .. LEAVES - 1) { new_leaf[i] = 0 }
	new_level = 0; frozen_blocks = 0; blocks = 0; resizing = 0;
	checkpoint = IDLE
}

/* What the record says must be there. */
#ifdef MUTANT_TAKES_WHAT_FITS
#define MAY_ATTACH	true
#else
#define MAY_ATTACH	(device >= anchor.blocks)
#endif

inline attach()
{
	away = 0;
	blocks = (anchor.blocks < device -> anchor.blocks : device);
	for (l : 0 .. NL - 1) { live[l] = anchor.log[l]; state[l] = want[l] }
	l = 0
}

#define DEVICE(n) \
	:: d_step { device != (n) && (away || (n) > device) -> device = (n); check() }
#define WRITE(l) \
	:: d_step { !away && writes < WRITES && (l) < LOGICAL(blocks) -> \
		write(l); check() }

/* ---- All steps ---------------------------------------------------------------- */

init {
	d_step { anchor.blocks = 4 };
end:	do
	WRITE(0) WRITE(1) WRITE(2) WRITE(3) WRITE(4)
	:: d_step { !away && (UNLOGGED(0) || UNLOGGED(1) || UNLOGGED(2) || UNLOGGED(3) ||
		UNLOGGED(4)) -> commit(); check() }
	:: d_step { !away && checkpoint == IDLE && (live[0] || live[1] || live[2] ||
		live[3] || live[4] || NEED(blocks) > anchor.level) -> freeze(); check() }
	:: d_step { checkpoint == FROZEN -> merge(); check() }
	:: d_step { checkpoint == MERGED -> anchor_tree(); check() }
	RESIZE(4) RESIZE(7) RESIZE(8) RESIZE(11) RESIZE(12)
#ifdef MUTANT_USED_BEFORE_RECORD
	:: d_step { resizing -> resizing = 0; anchor.blocks = blocks; promised = blocks;
		check() }
#endif
	:: d_step { !away && crashes < CRASHES -> crash(); check() }
	:: d_step { away && MAY_ATTACH -> attach(); check() }
	/* Grown at any time; another one, or cut, only between two attachments. */
	DEVICE(4) DEVICE(7) DEVICE(8) DEVICE(11) DEVICE(12)
	od
}
