/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Commit, checkpoint and recovery of a vault, as built, over a storage that may
 * crash at any moment and (-DADVERSARY) may put back what it held before.
 *
 * One process takes one step at a time, whichever is possible; `commit` and
 * `checkpoint` say how far these two have come, so they and the writers
 * interleave in every way, and a crash can stand between any two steps.  Each
 * step names the C functions that it stands for: "C:" lines, which the check
 * compares with dm-qvault/.  Histories have no bound, but for -DCRASHES: what
 * is bounded is the vault (NL, SPARE, LOG blocks) and what is in flight.
 *
 * How it stays small:
 *
 * - A pointer is (block, name).  The name stands for version and tag: it says
 *   which of the blocks ever written here this is.  Names that nothing refers to
 *   any more are used again, so that states that differ only in names are one.
 * - A node's pointer is its slot and what the node says: that is what the tag
 *   vouches for.  A block that no record reaches is GONE at once; that no one
 *   may need it any more is asserted where it is overwritten (I2), and what an
 *   adversary kept of it is in `kept`.
 * - The log is counted from the tail of the newest record.
 * - Leaves are of one block, as nothing in the protocol depends on their size.
 *
 * Properties, each an assertion with its number; design.md, section 4:
 * I1 nothing is believed that the anchor does not reach
 * I2 nothing that a durable record reaches is overwritten, nor what a record
 *    reaches that is being written
 * I4 what a record reaches is durable before the record; a flush is acknowledged
 *    after the record
 * I5 an attach gives the state of the newest valid record, and never refuses
 *    unless the storage lied
 * I6 no block and no log block is lost, so that a checkpoint gives free ones
 * (I3 is in lease.pml, and waiting for room in room.pml.)
 */

#ifndef NL
#define NL	2		/* logical blocks */
#endif
#ifndef SPARE
#define SPARE	1		/* data blocks more than that */
#endif
#ifndef LOG
#define LOG	3		/* log blocks */
#endif
#ifndef STREAM
#define STREAM	3		/* entries that no log block holds */
#endif
#ifndef WRITES
#define WRITES	2		/* writes in flight */
#endif
#define NP	(NL + SPARE)	/* data blocks */
#define PAGE	2		/* entries in a log block */
#define INLINE	1		/* entries in an anchor record */
#define NAMES	4		/* per data block, at one time */

/* Pointers of data blocks. */
#define NONE	0		/* unmapped: reads as zeros */
#define UNMAP	1		/* in a delta: unmapped; NONE: it knows nothing */
#define PTR(block, name)	(2 + (block) * NAMES + (name))
#define BLOCK(ptr)		(((ptr) - 2) / NAMES)
/*
 * A name that nothing refers to: of what an adversary has kept.  No pointer to
 * it is ever right, so which one it was does not matter.
 */
#define STALE	63
#define STALE_IF(x)	((x) -> STALE : NONE)

/* Entries of stream and log: (logical block, pointer); 0: no entry. */
#define ENTRY(l, ptr)	(1 + (l) * 64 + (ptr))
#define ENTRY_L(e)	(((e) - 1) / 64)
#define ENTRY_PTR(e)	(((e) - 1) % 64)

/* Pointers of leaves, in the root; NONE: all of it is unmapped. */
#define LEAF(slot, ptr)	((ptr) * 2 + (slot))
#define LEAF_SLOT(leaf)	((leaf) & 1)
#define OTHER_SLOT(leaf)	((leaf) -> (leaf) ^ 1 : NONE)
#define LEAF_PTR(leaf)	((leaf) >> 1)

#define GONE	0		/* content of a block that nobody needs, or lost */
#define BIT(n)	(1 << (n))

/* ---- The anchor --------------------------------------------------------- */

typedef Record {
	byte root_slot;		/* 0: no root; else 1 + slot */
	byte leaf[NL];		/* what the root says */
	byte map_slot;		/* as root_slot */
	byte map;		/* what the map says: bit per data block */
	byte tail, end;		/* log blocks tail..end - 1 */
	byte log;		/* name of the newest one; NONE */
	byte entry;		/* inline; 0: none */
	byte want[NL]		/* ghost: the state that this commit made */
};

/*
 * Which of the two slots has the newest record does not matter: `anchor` is that
 * one, v->anchor in memory too, and `other` is what stands in the other slot.
 */
Record anchor;
Record other;
mtype = { USELESS, UNKNOWN };
mtype other_is = USELESS;	/* torn, or older; UNKNOWN: a write is under way */
Record next;			/* what a commit or checkpoint makes */
bit promised;			/* ghost: a flush was acknowledged for UNKNOWN */

/* ---- The data device ---------------------------------------------------- */

byte data[NP];			/* contents: the pointer that fits */
byte leaf[2 * NL];		/* slots of leaves: a data block's pointer */
typedef Node { byte leaf[NL] };
Node root[2];
byte map[2];
typedef LogBlock { byte name; byte prev; byte entry[PAGE] };
LogBlock log[LOG];

/* Written, but not flushed: a bit per block, in the order of the above. */
byte loose_data, loose_leaf, loose_top, loose_log;
#define LOOSE_ROOT(s)	BIT(s)
#define LOOSE_MAP(s)	BIT(2 + (s))

/* ---- The vault in memory ------------------------------------------------ */

mtype = { ATTACHING, RUNNING, FAILED };
mtype mode = ATTACHING;

byte live[NL], frozen[NL];	/* the two deltas */
byte stream[STREAM];		/* entries */
byte streamed;			/* how many */
byte carried;			/* of them in the newest record: stream.inline_bytes */
byte cut[LOG * PAGE];		/* entries that were cut, in pages: stream.cut */
byte cut_pages;			/* of them: stream.nr_cut */
bit dirty;			/* a commit has failed: stream.dirty */
byte writing[WRITES];		/* entries to be, of writes in flight; sorted */
byte busy, fresh, superseded, released;	/* a bit per data block */
byte aside, aside_frozen;	/* their write has failed; before this checkpoint */
byte state[NL];			/* ghost: what a read must give */

mtype = { IDLE, CUT, ANCHORING, ANCHORED };
mtype commit = IDLE;
mtype = { COMMIT, FREEZE, CHECKPOINT, ATTACH };
mtype committer = COMMIT;	/* who holds commit_mutex */

mtype = { FREEZING, FROZEN, MERGING, MERGED };
mtype checkpoint = IDLE;	/* ANCHORING, ANCHORED too */
bit is_frozen;			/* also after a checkpoint that failed */
byte freeze_end;		/* end of the log at the freeze */
byte new_root_slot, new_map_slot, new_map;
byte new_leaf[NL];

#ifndef CRASHES
#define CRASHES	255		/* no bound */
#endif
byte crashes;

/*
 * A flush has failed: what it should have made durable may be lost already, and
 * is lost for reads.  C: qvault_fail
 */
bit lost;
/* A write that has failed may come to pass after all, until the next flush. */
byte haunted;			/* a bit per data block */

/* ---- The adversary ------------------------------------------------------ */

mtype = { DATA, NODE, ROOT, MAP, LOGBLOCK };
/*
 * It keeps a copy of one block that is no longer, whichever and whenever; and
 * with each step that reads it decides whether the device answers with that
 * copy.  So what it puts back it also takes away again.
 */
mtype kept = IDLE;		/* kind */
byte kept_at;			/* place among those of its kind */
byte kept_as[4];		/* content */

/* ---- Scratch, no part of the state -------------------------------------- */

/*
 * A backtracking search does not restore what a d_step did to these: so a choice
 * comes first in its step, and what follows it is one d_step.
 */
hidden byte i, j, k, l, p, e, n, bits, bad;
hidden byte got[NL];
hidden byte freezes;		/* this commit sets the delta aside */
hidden byte lied;		/* the device does not answer with what it holds */
hidden byte place;		/* of the block to keep, if it is gone after this step */
byte losing;			/* the same, for the choices of a crash; else 0 */

#define HONEST(claim)	assert((claim) || lied || lost)

/* ---- The adversary ------------------------------------------------------ */

inline drop_kept()
{
	kept = IDLE;
	kept_at = 0;
	for (i : 0 .. 3) { kept_as[i] = 0 }
}

/* Places of blocks, in the order of the device above. */
#define DATA_AT(p)	(p)
#define LEAF_AT(i)	(NP + (i))
#define ROOT_AT(s)	(NP + 2 * NL + (s))
#define MAP_AT(s)	(NP + 2 * NL + 2 + (s))
#define LOG_AT(i)	(NP + 2 * NL + 4 + (i))
#define NOWHERE		LOG_AT(LOG)

/* Which block to keep if the step that follows makes it one that is no longer. */
inline choose_place()
{
#ifdef ADVERSARY
	if
	:: kept == IDLE -> select (place : 0 .. NOWHERE)
	:: else -> place = NOWHERE
	fi
#else
	place = NOWHERE
#endif
}

/* A block is no longer: the one at `where`, which is number `at` of its kind. */
inline keep(where, kind, at, content)
{
	if
	:: place == where && kept == IDLE && content ->
		kept = kind; kept_at = at;
		kept_as[0] = (kind == MAP -> content : STALE)
	:: else
	fi
}

/* In stream and log there may be pointers to it, which newer entries supersede. */
#define STALE_ENTRY(e, b) \
	e = ((e) && data[b] && ENTRY_PTR(e + !e) == data[b] -> ENTRY(ENTRY_L(e), STALE) : e)

inline forget_data(b)
{
	keep(DATA_AT(b), DATA, b, data[b]);
	for (i : 0 .. STREAM - 1) { STALE_ENTRY(stream[i], b) }
	for (i : 0 .. LOG - 1) {
		for (j : 0 .. PAGE - 1) { STALE_ENTRY(log[i].entry[j], b) }
	}
	for (i : 0 .. LOG * PAGE - 1) { STALE_ENTRY(cut[i], b) }
	data[b] = GONE;
	loose_data = loose_data & ~BIT(b)
}

#define SWAP(a, b)	e = a; a = b; b = e

/* From here on the device answers with what was kept; or no longer. */
inline lie()
{
	if
	:: lied ->
		k = kept_at;
		if
		:: kept == DATA -> SWAP(data[k], kept_as[0])
		:: kept == NODE -> SWAP(leaf[k], kept_as[0])
		:: kept == ROOT ->
			for (i : 0 .. NL - 1) { SWAP(root[k].leaf[i], kept_as[i]) }
		:: kept == MAP -> SWAP(map[k], kept_as[0])
		:: kept == LOGBLOCK ->
			SWAP(log[k].name, kept_as[0]);
			SWAP(log[k].prev, kept_as[1]);
			SWAP(log[k].entry[0], kept_as[2]);
			SWAP(log[k].entry[1], kept_as[3])
		fi
	:: else
	fi
}

/* ---- Names -------------------------------------------------------------- */

#define SEEN(ptr)	bits = bits | (((ptr) >= 2 && BLOCK(ptr) == p) -> \
				       BIT(((ptr) - 2) % NAMES) : 0)

/* The first name of data block p that nothing refers to; sets k to a pointer. */
inline fresh_name()
{
	bits = 0;
	SEEN(data[p]);
	for (i : 0 .. NL - 1) {
		SEEN(live[i]); SEEN(frozen[i]); SEEN(state[i]);
		SEEN(LEAF_PTR(new_leaf[i])); SEEN(next.want[i]);
		SEEN(LEAF_PTR(next.leaf[i]));
		SEEN(LEAF_PTR(anchor.leaf[i])); SEEN(anchor.want[i]);
		SEEN(LEAF_PTR(other.leaf[i])); SEEN(other.want[i]);
		for (j : 0 .. 1) {
			SEEN(leaf[2 * i + j]); SEEN(LEAF_PTR(root[j].leaf[i]))
		}
	}
	for (i : 0 .. STREAM - 1) { SEEN(ENTRY_PTR(stream[i] + !stream[i])); }
	for (i : 0 .. LOG * PAGE - 1) { SEEN(ENTRY_PTR(cut[i] + !cut[i])); }
	for (i : 0 .. WRITES - 1) { SEEN(ENTRY_PTR(writing[i] + !writing[i])); }
	for (i : 0 .. LOG - 1) {
		for (j : 0 .. PAGE - 1) {
			SEEN(ENTRY_PTR(log[i].entry[j] + !log[i].entry[j]));
		}
	}
	SEEN(ENTRY_PTR(anchor.entry + !anchor.entry));
	SEEN(ENTRY_PTR(other.entry + !other.entry));
	SEEN(ENTRY_PTR(next.entry + !next.entry));
	for (k : 0 .. NAMES - 1) {
		if
		:: !(bits & BIT(k)) -> break
		:: else
		fi
	}
	assert(k < NAMES);		/* else the model needs more names */
	k = PTR(p, k)
}

/* The same for log block i, as long as records that may count name others. */
#define LOG_NAME(i)	((i) + 1 + LOG * (other.log == (i) + 1))

/* ---- What must not be overwritten --------------------------------------- */

/* I2: no record that is durable, or may be, reaches data block p. */
inline check_data_unreached()
{
	for (j : 0 .. NL - 1) {
		assert(anchor.want[j] == NONE || BLOCK(anchor.want[j]) != p); /* I2 */
		assert(other.want[j] == NONE || BLOCK(other.want[j]) != p) /* I2 */
	}
}

/* The same for the slot s of a leaf l, of the root, of the map. */
#define LEAF_UNREACHED(record, l, s) \
	(record.leaf[l] == NONE || LEAF_SLOT(record.leaf[l]) != (s))
#define I2_LEAF(l, s) \
	assert(LEAF_UNREACHED(anchor, l, s) && LEAF_UNREACHED(other, l, s))
#define I2_ROOT(s)	assert(anchor.root_slot != 1 + (s) && other.root_slot != 1 + (s))
#define I2_MAP(s)	assert(anchor.map_slot != 1 + (s) && other.map_slot != 1 + (s))

/* ---- Room --------------------------------------------------------------- */

#define PAGES(n)	(((n) + PAGE - 1) / PAGE)

/*
 * C: has_room qvault_stream_blocks qvault_log_used
 * Pages here are so small that each entry promised may open one.
 */
inline count_promised()
{
	n = anchor.end + PAGES(streamed);
#ifndef MUTANT_CUT_NOT_COUNTED
	n = n + cut_pages;
#endif
	for (i : 0 .. WRITES - 1) { n = n + (writing[i] != 0) }
}

/* What is in the stream, and what is promised to it, fits the model. */
#define STREAM_FITS(n)	(streamed + (n) < STREAM)

#define MAY_WRITE	(mode == RUNNING)

/* ---- A write ------------------------------------------------------------ */

#define CHOOSE_BLOCK \
	if \
	:: l = 0 \
	:: NL > 1 -> l = 1 \
	:: NL > 2 -> l = 2 \
	fi

/*
 * Room for one more entry, or bad; who has none waits: see room.pml.
 * C: get_room take_room qvault_stream_reserve
 */
inline look_for_room()
{
	count_promised();
	bad = n + 1 > LOG;
	n = 0;
	for (i : 0 .. WRITES - 1) { n = n + (writing[i] != 0) }
	bad = bad || !STREAM_FITS(n)
}

/* Block p, at home if that is free, else anywhere.  C: take_home take_anywhere */
inline find_block()
{
	p = l;
	if
	:: busy & BIT(p) ->
		for (p : 0 .. NP - 1) {
			if
			:: !(busy & BIT(p)) -> break
			:: else
			fi
		}
	:: else
	fi
}

/* Keep what is in flight sorted: which write is which does not matter. */
inline put_writing()
{
	for (i : 0 .. WRITES - 1) {
		if
		:: !writing[i] -> writing[i] = e; break
		:: writing[i] && writing[i] > e ->
			j = writing[i]; writing[i] = e; e = j
		:: else
		fi
	}
}

/*
 * C: qvault_write_begin qvault_alloc_blocks qvault_new_versions qvault_seal_blocks
 * The write is on its way from here on.
 */
inline write_begin()
{
	look_for_room();
	bad = bad || n == WRITES || busy == BIT(NP) - 1;
	if
	:: !bad ->
		find_block();
		fresh_name();
		check_data_unreached();
		busy = busy | BIT(p);
		fresh = fresh | BIT(p);
		data[p] = k;
		loose_data = loose_data | BIT(p);
		e = ENTRY(l, k);
		put_writing()
	:: else
	fi
}

/*
 * An entry that a newer one supersedes, with no record between that has the one
 * and not the other, must never count again: make it wrong.
 */
#define MAKE_STALE(e)	e = ENTRY(ENTRY_L(e), STALE)

/* Of what no record has yet.  The next cut takes all of it. */
inline make_stale_in_stream()
{
	for (i : 0 .. STREAM - 1) {
		if
		:: i >= carried && stream[i] && ENTRY_L(stream[i]) == ENTRY_L(e) ->
			MAKE_STALE(stream[i])
		:: else
		fi
	}
}

/* Of what the record `anchor` has: n becomes a bit for each block seen. */
inline make_stale(item)
{
	if
	:: item && (n & BIT(ENTRY_L(item))) -> MAKE_STALE(item)
	:: item && !(n & BIT(ENTRY_L(item))) -> n = n | BIT(ENTRY_L(item))
	:: else
	fi
}

inline make_stale_in_log()
{
	n = 0;
	e = anchor.entry;
	make_stale(e);
	for (i : 1 .. LOG) {
		if
		:: i <= anchor.end ->
			p = anchor.end - i;
			make_stale(log[p].entry[1]);
			make_stale(log[p].entry[0])
		:: else
		fi
	}
}

/* Append the entry e to the stream.  C: qvault_stream_append */
inline append()
{
	assert(streamed < STREAM);		/* I6: room was promised */
	make_stale_in_stream();
	stream[streamed] = e;
	streamed++
}

/* C: qvault_alloc_supersede */
inline supersede(ptr)
{
	if
	:: ptr > UNMAP ->
#ifdef MUTANT_REUSE_AT_ONCE
		busy = busy & ~BIT(BLOCK(ptr));
		fresh = fresh & ~BIT(BLOCK(ptr))
#else
		superseded = superseded | BIT(BLOCK(ptr))
#endif
	:: else
	fi
}

inline take_writing()
{
	e = writing[n];
	for (i : n .. WRITES - 1) {
		writing[i] = (i + 1 < WRITES -> writing[(i + 1) % WRITES] : 0)
	}
}

/*
 * C: qvault_write_end insert qvault_delta_insert
 * All in one critical section of map_lock.
 */
inline write_end()
{
	take_writing();
	if
	:: MAY_WRITE ->
		l = ENTRY_L(e);
		supersede(live[l]);
		live[l] = ENTRY_PTR(e);
		state[l] = live[l];
		append()
	:: else
	fi
}

/* The device did not write it: the mapping stays.  C: qvault_alloc_set_aside */
inline write_fail()
{
	take_writing();
	p = BLOCK(ENTRY_PTR(e));
#ifdef MUTANT_REUSE_AFTER_FAILURE
	busy = busy & ~BIT(p);
	fresh = fresh & ~BIT(p);
#else
	aside = aside | BIT(p);
#endif
	haunted = haunted | BIT(p);
	data[p] = GONE;
	loose_data = loose_data & ~BIT(p)
}

inline haunt()
{
	for (p : 0 .. NP - 1) { data[p] = (haunted & BIT(p) -> GONE : data[p]) }
	haunted = 0
}

/* C: qvault_unmap unmap_stretch qvault_delta_unmap qvault_stream_append_unmap */
inline unmap()
{
	look_for_room();
	if
	:: !bad ->
		supersede(live[l]);
		live[l] = UNMAP;
		state[l] = NONE;
		e = ENTRY(l, NONE);
		append()
	:: else
	fi
}

/* ---- Read --------------------------------------------------------------- */

inline same_root(s)
{
	bad = false;
	for (i : 0 .. NL - 1) { bad = bad || root[s].leaf[i] != anchor.leaf[i] }
}

/*
 * C: qvault_tree_find_at qvault_node_get qvault_unseal_blocks
 * What the tree says of all blocks, into got[]; bad: a bit for each block for
 * which it is refused.
 */
inline read_tree()
{
	bad = false;
	k = anchor.root_slot;
	if
	:: k -> same_root(k - 1)
	:: else
	fi;
#ifdef MUTANT_ROOT_NOT_VERIFIED
	bad = false;
#endif
	bad = (bad -> BIT(NL) - 1 : 0);
	for (i : 0 .. NL - 1) {
		e = (k -> root[(k + 1) % 2].leaf[i] : NONE);
		got[i] = (e -> leaf[2 * i + LEAF_SLOT(e)] : NONE);
#ifndef MUTANT_LEAF_NOT_VERIFIED
		bad = bad | (got[i] != LEAF_PTR(e) -> BIT(i) : 0)
#endif
	}
}

/*
 * C: qvault_lookup ask_deltas ask_tree qvault_unseal_blocks
 * Changes nothing: an invariant of every state.
 */
inline read_all()
{
	read_tree();
	for (l : 0 .. NL - 1) {
		k = (live[l] -> live[l] : frozen[l]);
		HONEST(k || !(bad & BIT(l)));			/* I5 */
		if
		:: k || !(bad & BIT(l)) ->
			k = (k -> k : got[l]);
			k = (k == UNMAP -> NONE : k);
			assert(k == state[l]);			/* I1, I5 */
			if
			:: k ->
#ifdef MUTANT_DATA_NOT_VERIFIED
				assert(data[BLOCK(k)] == k)	/* I1 */
#else
				HONEST(data[BLOCK(k)] == k)	/* I5 */
#endif
			:: else
			fi
		:: else
		fi
	}
}

/* Every block that is busy is so for a reason: nothing leaks.  I6 */
inline check_busy()
{
	bits = anchor.map | superseded | released | aside | aside_frozen;
	for (l : 0 .. NL - 1) {
		bits = bits | (live[l] > UNMAP -> BIT(BLOCK(live[l])) : 0);
		bits = bits | (frozen[l] > UNMAP -> BIT(BLOCK(frozen[l])) : 0)
	}
	for (i : 0 .. WRITES - 1) {
		bits = bits | (writing[i] -> BIT(BLOCK(ENTRY_PTR(writing[i] + !writing[i]))) : 0)
	}
	assert(busy == bits || checkpoint == ANCHORED || mode == FAILED); /* I6 */
	assert(!(superseded & released))	/* I6 */
}

#ifdef MUTANT_ONE_ANCHOR_SLOT
#define ONE_ANCHOR_SLOT	true	/* the write tears the only record there is */
#else
#define ONE_ANCHOR_SLOT	false
#endif

/* ---- Commit ------------------------------------------------------------- */

inline copy_record(to, from)
{
	to.root_slot = from.root_slot;
	to.map_slot = from.map_slot;
	to.map = from.map;
	to.tail = from.tail;
	to.end = from.end;
	to.log = from.log;
	to.entry = from.entry;
	for (i : 0 .. NL - 1) {
		to.leaf[i] = from.leaf[i];
		to.want[i] = from.want[i]
	}
}

inline clear_record(to)
{
	to.root_slot = 0;
	to.map_slot = 0;
	to.map = 0;
	to.tail = 0;
	to.end = 0;
	to.log = 0;
	to.entry = 0;
	for (i : 0 .. NL - 1) {
		to.leaf[i] = NONE;
		to.want[i] = NONE
	}
}

/* C: append_page; page n of what was cut */
inline append_log_block()
{
	assert(next.end < LOG);			/* I2: the ring is full */
	k = LOG_NAME(next.end);
	log[next.end].name = k;
	log[next.end].prev = next.log;
	for (j : 0 .. PAGE - 1) {
#ifdef MUTANT_RETRY_IN_OTHER_ORDER
		i = (dirty -> cut_pages - 1 - n : n);
#else
		i = n;
#endif
		log[next.end].entry[j] = cut[i * PAGE + j]
	}
	loose_log = loose_log | BIT(next.end);
	next.log = k;
	next.end++
}

/*
 * Also what commits before this one have cut and failed to write, in its order:
 * it goes to the same places, which no record names yet.
 * C: qvault_log_append
 */
inline log_append()
{
	for (n : 0 .. LOG - 1) {
		if
		:: n < cut_pages -> append_log_block()
		:: else
		fi
	}
}

/* C: qvault_stream_cut */
inline stream_cut()
{
	if
#ifdef MUTANT_INLINE_AT_FREEZE
	:: streamed <= INLINE ->
#else
	:: streamed <= INLINE && !freezes ->
#endif
		carried = streamed
	:: else ->
		for (n : 0 .. STREAM - 1) {
			if
			:: n % PAGE == 0 && n < streamed ->
				for (j : 0 .. PAGE - 1) {
					cut[cut_pages * PAGE + j] =
						(n + j < STREAM -> stream[(n + j) % STREAM] : 0)
				}
				cut_pages++
			:: else
			fi
		}
		for (n : 0 .. STREAM - 1) { stream[n] = 0 }
		streamed = 0;
		carried = 0
	fi
}

/* C: qvault_stream_committed */
inline stream_committed()
{
	for (i : 0 .. LOG * PAGE - 1) { cut[i] = 0 }
	cut_pages = 0;
	dirty = 0
}

/*
 * C: __qvault_commit cut_all qvault_alloc_cut qvault_commit commit_work
 * One point in the order of changes; for a checkpoint the delta is set aside at
 * the same point.  C: freeze
 */
inline commit_begin(who)
{
	committer = who;
	freezes = who == FREEZE && !is_frozen;
	copy_record(next, anchor);
	for (i : 0 .. NL - 1) { next.want[i] = state[i] }
	bad = streamed > carried || (freezes && streamed) || dirty;
	stream_cut();
	log_append();
	next.entry = (carried -> stream[0] : 0);
#ifdef MUTANT_INLINE_FORGOTTEN
	next.entry = 0;
#endif
	released = released | superseded;
	superseded = 0;
	if
	:: freezes ->
		for (i : 0 .. NL - 1) {
			assert(!frozen[i]);	/* I5 */
			frozen[i] = live[i];
			live[i] = NONE
		}
		is_frozen = 1;
		freeze_end = next.end
	:: else
	fi;
#ifdef MUTANT_TAIL_OF_RETRY
	freeze_end = (who == FREEZE -> next.end : freeze_end);
#endif
	if
	:: who == FREEZE -> checkpoint = FREEZING
	:: else
	fi;
	commit = CUT;
	if
	:: bad
	:: else -> assert(!released); /* I6 */ commit_end()
	fi
}

inline forget_unanchored()
{
	log[i].name = GONE; log[i].prev = NONE;
	for (j : 0 .. PAGE - 1) { log[i].entry[j] = 0 }
	loose_log = loose_log & ~BIT(i)
}

/*
 * A log block could not be written, or there was no version for it.  What was cut
 * stays; so does a delta that was set aside.  C: qvault_stream_uncommitted
 */
inline commit_fail()
{
	clear_record(next);
	dirty = 1;
	if
	:: committer == FREEZE -> checkpoint = IDLE
	:: else
	fi;
	committer = COMMIT;
#ifdef MUTANT_CUT_FREED
	stream_committed();
#endif
#ifdef MUTANT_RELEASE_AFTER_FAILURE
	release_blocks();
#endif
	/* Who reads them: nobody. */
	for (i : 0 .. LOG - 1) {
		if
		:: i >= anchor.end -> forget_unanchored()
		:: else
		fi
	};
	commit = IDLE
}

/*
 * The device did not flush, and may have lost what it should have; the next flush
 * may succeed all the same.  C: flush_and_read qvault_fail
 */
inline flush_fail()
{
	if
	:: (loose_data & BIT(p)) && data[p] -> data[p] = GONE
	:: else
	fi;
	loose_data = 0; loose_leaf = 0; loose_top = 0; loose_log = 0;
#ifdef MUTANT_FLUSH_FAILURE_PASSES
	if
	:: committer == CHECKPOINT -> commit = IDLE; committer = COMMIT;
		clear_record(next); checkpoint = MERGED
	:: else -> commit_fail()
	fi
#else
	for (i : 0 .. WRITES - 1) { writing[i] = 0 }
	lost = 1;
	mode = FAILED
#endif
}

#ifdef MUTANT_NODES_NOT_AWAITED
#define NODES_ENDED	(checkpoint != MERGING && committer != CHECKPOINT)
#else
#define NODES_ENDED	(checkpoint != MERGING)
#endif

/* C: qvault_dev_flush: what has ended becomes durable, what is in flight may. */
inline flush()
{
#ifdef MUTANT_NO_FLUSH
	skip
#else
	loose_log = 0;
	haunted = 0;
	for (i : 0 .. NP - 1) {
		bad = false;
		for (j : 0 .. WRITES - 1) {
			bad = bad || (writing[j] && BLOCK(ENTRY_PTR(writing[j] + !writing[j])) == i)
		}
		loose_data = (bad -> loose_data : loose_data & ~BIT(i))
	}
	if
	:: NODES_ENDED -> loose_leaf = 0; loose_top = 0
	:: else
	fi
#endif
}

/* I4: all that the record reaches is on the device, and durable. */
inline check_durable(r)
{
	for (i : 0 .. NL - 1) {
		HONEST(r.want[i] == NONE || /* I4 */ (data[BLOCK(r.want[i])] == r.want[i] &&
		       !(loose_data & BIT(BLOCK(r.want[i])))));
		HONEST(r.leaf[i] == NONE ||			/* I4 */
		       (leaf[2 * i + LEAF_SLOT(r.leaf[i])] == LEAF_PTR(r.leaf[i]) &&
		       !(loose_leaf & BIT(2 * i + LEAF_SLOT(r.leaf[i])))))
	}
	HONEST(!r.root_slot || /* I4 */ !(loose_top & LOOSE_ROOT(r.root_slot - 1)));
	HONEST(!r.map_slot || /* I4 */ (map[(r.map_slot + 1) % 2] == r.map &&
	       !(loose_top & LOOSE_MAP(r.map_slot - 1))));
	for (i : 0 .. LOG - 1) {
		HONEST(i < r.tail || i >= r.end ||	/* I4 */
		       (log[i].name && !(loose_log & BIT(i))))
	}
}

/*
 * C: commit_cut flush_and_read qvault_line_write put_record
 * From here on the record may be durable.  It goes where the newest is not.
 */
inline anchor_begin()
{
	flush();
	check_durable(next);
	copy_record(other, next);
	other_is = UNKNOWN;
	clear_record(next);
	commit = ANCHORING
#ifdef MUTANT_ACK_EARLY
	; promised = committer == COMMIT || committer == FREEZE
#endif
}

/* What was written to the log and never anchored is no longer, n steps on. */
inline forget_log_block()
{
	if
	:: i >= anchor.end && log[i].name && kept == IDLE && place == LOG_AT(i) ->
		kept = LOGBLOCK; kept_at = i - n;
		kept_as[0] = STALE; kept_as[1] = NONE;
		for (j : 0 .. PAGE - 1) {
			e = log[i].entry[j];
			kept_as[2 + j] = (e -> ENTRY(ENTRY_L(e), STALE_IF(ENTRY_PTR(e + !e))) : 0)
		}
	:: else
	fi
}

/*
 * Count the log from the tail of the newest record, and name its blocks by their
 * place.  What is before it is no longer, and never answers for a later block,
 * which has another sequence number.
 */
inline rebase()
{
	n = anchor.tail;
	if
	:: kept == LOGBLOCK && kept_at >= n -> kept_at = kept_at - n
	:: kept == LOGBLOCK && kept_at < n -> drop_kept()
	:: else
	fi;
	for (i : 0 .. LOG - 1) { forget_log_block() }
	k = anchor.log;
	for (j : 1 .. LOG) {
		if
		:: anchor.tail + j <= anchor.end ->
			i = anchor.end - j;
			e = log[i].prev;
			log[i].name = (log[i].name == k -> 1 + i - n : GONE);
			log[i].prev = i - n;
			k = e
		:: else
		fi
	}
	for (i : 0 .. LOG - 1) {
		p = (i + n) % LOG;
		e = i + n < anchor.end;
		log[i].name = (e -> log[p].name : GONE);
		log[i].prev = (e -> log[p].prev : NONE);
		log[i].entry[0] = (e -> log[p].entry[0] : 0);
		log[i].entry[1] = (e -> log[p].entry[1] : 0)
	}
	loose_log = loose_log >> n;
	anchor.end = anchor.end - n;
	anchor.tail = 0;
	anchor.log = anchor.end
}

inline forget_root()
{
	e = 0;
	for (i : 0 .. NL - 1) { e = e | root[j].leaf[i] }
	keep(ROOT_AT(j), ROOT, j, e);
	for (i : 0 .. NL - 1) {
		if
		:: kept == ROOT && place == ROOT_AT(j) && e ->
			kept_as[i] = (root[j].leaf[i] -> LEAF(0, STALE) : NONE)
		:: else
		fi;
		root[j].leaf[i] = GONE
	}
	loose_top = loose_top & ~LOOSE_ROOT(j)
}

/* Node slots that anchor does not reach are nobody's. */
inline forget_nodes()
{
	for (j : 0 .. 1) {
		for (l : 0 .. NL - 1) {
			k = 2 * l + j;
			if
			:: anchor.leaf[l] && LEAF_SLOT(anchor.leaf[l]) == j
			:: else ->
				keep(LEAF_AT(k), NODE, k, leaf[k]);
				leaf[k] = GONE;
				loose_leaf = loose_leaf & ~BIT(k)
			fi
		}
		if
		:: anchor.root_slot == 1 + j
		:: else -> forget_root()
		fi;
		if
		:: anchor.map_slot == 1 + j
		:: else ->
			keep(MAP_AT(j), MAP, j, map[j]);
			map[j] = GONE;
			loose_top = loose_top & ~LOOSE_MAP(j)
		fi
	}
}

/*
 * Which of its two slots a node is in does not matter either: call it slot 0.
 */
inline rename_slots()
{
	for (l : 0 .. NL - 1) {
		if
		:: anchor.leaf[l] && LEAF_SLOT(anchor.leaf[l]) ->
			anchor.leaf[l] = anchor.leaf[l] - 1;
			SWAP(leaf[2 * l], leaf[2 * l + 1]);
			for (j : 0 .. 1) {
				root[j].leaf[l] = OTHER_SLOT(root[j].leaf[l])
			}
			kept_at = (kept == NODE && kept_at / 2 == l -> kept_at ^ 1 : kept_at)
		:: else
		fi
	}
	if
	:: anchor.root_slot == 2 ->
		anchor.root_slot = 1;
		for (l : 0 .. NL - 1) { SWAP(root[0].leaf[l], root[1].leaf[l]) }
		kept_at = (kept == ROOT -> 1 - kept_at : kept_at)
	:: else
	fi;
	if
	:: anchor.map_slot == 2 ->
		anchor.map_slot = 1;
		SWAP(map[0], map[1]);
		kept_at = (kept == MAP -> 1 - kept_at : kept_at)
	:: else
	fi
}

inline commit_end()
{
	commit = IDLE;
	clear_record(next);
	if
	:: committer == FREEZE -> checkpoint = FROZEN
	:: else
	fi;
	committer = COMMIT
}

/*
 * The write of the record has succeeded.  Flushes are acknowledged: G3.
 * C: qvault_line_write
 */
inline anchor_end()
{
	copy_record(anchor, other);
	clear_record(other);
	other_is = USELESS;
	make_stale_in_log();
	promised = 0;
	if
	:: committer != CHECKPOINT -> stream_committed()
	:: else
	fi;
	commit = ANCHORED;
	if
	:: committer == CHECKPOINT ->
		checkpoint = ANCHORED;
		rebase();
		forget_nodes();
		rename_slots();
		commit_end()
	:: committer == ATTACH -> mode = RUNNING; commit_end()
	:: else
	fi
}

inline release_blocks()
{
	busy = busy & ~released;
	fresh = fresh & ~released;
	for (p : 0 .. NP - 1) {
		if
		:: released & BIT(p) -> forget_data(p)
		:: else
		fi
	}
	released = 0
}

/* C: qvault_alloc_release free_covered */
inline release()
{
#ifdef MUTANT_RELEASE_TOO_MUCH
	released = released | superseded;
	superseded = 0;
#endif
	release_blocks();
	commit_end()
}

/*
 * The write of the record has failed: what is durable is unknown, the vault
 * stops.  C: qvault_fail qvault_may_write
 */
inline anchor_fail()
{
#ifdef MUTANT_GO_ON_AFTER_FAILURE
	superseded = superseded | released;
	released = 0;
	commit_end()
#else
	/* What is in flight ends, and changes nothing any more. */
	for (i : 0 .. WRITES - 1) { writing[i] = 0 }
	mode = FAILED
#endif
}

/* ---- Checkpoint --------------------------------------------------------- */

/* Put a data block's bit into the new map.  C: merge_ptr change_in_use */
inline change_map(ptr, in_use)
{
	if
	:: ptr > UNMAP ->
		assert(((new_map & BIT(BLOCK(ptr))) != 0) != in_use); /* I5, I6 */
		new_map = (in_use -> new_map | BIT(BLOCK(ptr)) :
				     new_map & ~BIT(BLOCK(ptr)));
		n = 1
	:: else
	fi
}

#ifdef MUTANT_ONE_NODE_SLOT
#define OTHER(s)	(s)
#else
#define OTHER(s)	(1 - (s))
#endif

/* C: leave write_node: the slot that the anchored tree does not use. */
inline write_leaf()
{
	j = (anchor.leaf[l] -> OTHER(LEAF_SLOT(anchor.leaf[l])) : 0);
	new_leaf[l] = (k > UNMAP -> LEAF(j, k) : NONE);
	if
	:: new_leaf[l] ->
		I2_LEAF(l, j);		/* I2 */
		leaf[2 * l + j] = k;
		loose_leaf = loose_leaf | BIT(2 * l + j)
	:: else
	fi
}

inline write_root()
{
	j = (anchor.root_slot -> OTHER(anchor.root_slot - 1) : 0);
	bad = false;
	for (i : 0 .. NL - 1) { bad = bad || new_leaf[i] }
	new_root_slot = (bad -> 1 + j : 0);
	if
	:: bad ->
		I2_ROOT(j);		/* I2 */
		for (i : 0 .. NL - 1) { root[j].leaf[i] = new_leaf[i] }
		loose_top = loose_top | LOOSE_ROOT(j)
	:: else
	fi
}

/* C: qvault_changes_apply */
inline write_map()
{
	j = (anchor.map_slot -> OTHER(anchor.map_slot - 1) : 0);
	new_map_slot = (new_map -> 1 + j : 0);
	if
	:: new_map ->
		I2_MAP(j);		/* I2 */
		map[j] = new_map;
		loose_top = loose_top | LOOSE_MAP(j)
	:: else
	fi
}

/*
 * C: merge_delta merge_leaf qvault_cursor_leaf qvault_cursor_finish
 * All nodes in one step: no reader sees them before they are anchored, and a
 * crash keeps any of the writes in flight anyway.  Old nodes are read and
 * verified; what is not there is an attack, and the vault fails.
 */
inline merge()
{
	lie();
	read_tree();
	p = anchor.map_slot;
	new_map = (p -> map[(p + 1) % 2] : 0);
#ifndef MUTANT_MAP_NOT_VERIFIED
	bad = bad || new_map != anchor.map;
#endif
	lie();
	HONEST(!bad);						/* I5 */
	if
	:: bad ->
		new_map = 0;
		for (i : 0 .. WRITES - 1) { writing[i] = 0 }
		mode = FAILED
	:: else ->
		new_root_slot = anchor.root_slot;
		new_map_slot = anchor.map_slot;
		p = 0;			/* a leaf has changed */
		n = 0;			/* the map has */
		for (l : 0 .. NL - 1) {
			new_leaf[l] = anchor.leaf[l];
			k = frozen[l];
			if
			:: k > UNMAP || (k == UNMAP && got[l]) ->
				p = 1;
				change_map(got[l], 0);
				change_map(k, 1);
				write_leaf()
			:: else
			fi
		}
		if
		:: p -> write_root()
		:: else
		fi;
		if
		:: n -> write_map()
		:: else
		fi;
#ifdef MUTANT_TREE_REUSE_EARLY
		fresh = fresh & ~new_map;
		busy = new_map | fresh;
#endif
		checkpoint = MERGING
	fi
}

/* C: qvault_checkpoint qvault_delta_empty: there may be nothing to do. */
inline merge_or_not()
{
	bad = freeze_end;
	aside_frozen = aside_frozen | aside;
	aside = 0;
	for (l : 0 .. NL - 1) { bad = bad || frozen[l] }
	if
	:: bad -> merge()
	:: else ->
#ifndef MUTANT_ASIDE_WITHOUT_FLUSH
		/* Nothing is flushed: they wait for one that has something to do. */
		aside = aside_frozen;
		aside_frozen = 0;
#endif
		checkpoint = ANCHORED
	fi
}

/*
 * A node could not be read or written.  The delta stays set aside, and the next
 * checkpoint merges it again, from the anchored roots.
 * C: rounds one_round
 */
inline merge_fail()
{
	for (l : 0 .. NL - 1) { new_leaf[l] = NONE }
	new_root_slot = 0; new_map_slot = 0; new_map = 0;
	forget_nodes();
	checkpoint = IDLE
}

/*
 * C: anchor __qvault_anchor_tree
 * The log's tail moves to the freeze; commits since then stay.
 */
inline checkpoint_anchor()
{
	committer = CHECKPOINT;
	copy_record(next, anchor);
	next.root_slot = new_root_slot;
	next.map_slot = new_map_slot;
	next.map = new_map;
	for (i : 0 .. NL - 1) { next.leaf[i] = new_leaf[i] }
	next.tail = freeze_end;
#ifdef MUTANT_LOG_TAIL_EARLY
	/* The record that moves the tail is not the one with the new tree. */
	next.root_slot = anchor.root_slot;
	next.map_slot = anchor.map_slot;
	next.map = anchor.map;
	for (i : 0 .. NL - 1) { next.leaf[i] = anchor.leaf[i] }
#endif
#ifdef MUTANT_TAIL_AT_HEAD
	next.tail = next.end;
#endif
	next.log = (next.tail == next.end -> NONE : next.log);
	next.entry = (carried -> stream[0] : 0);
	checkpoint = ANCHORING;
	anchor_begin()
}

/* C: thaw qvault_alloc_anchored qvault_alloc_refresh */
inline checkpoint_end()
{
	for (l : 0 .. NL - 1) { frozen[l] = NONE; new_leaf[l] = NONE }
	is_frozen = 0;
	fresh = fresh & ~anchor.map & ~aside_frozen;
	aside_frozen = 0;
	bits = busy;
	busy = anchor.map | fresh;
	for (p : 0 .. NP - 1) {
		if
		:: (bits & ~busy) & BIT(p) -> forget_data(p)
		:: else
		fi
	}
	new_root_slot = 0;
	new_map_slot = 0;
	new_map = 0;
	freeze_end = 0;
	checkpoint = IDLE;
	/* I6: a write that waited finds a free block, and an empty log. */
	n = 0;
	for (p : 0 .. NP - 1) { n = n + ((anchor.map & BIT(p)) != 0) }
	assert(n <= NL)				/* I6 */
}

/* ---- Crash and attach --------------------------------------------------- */

/* What the record reaches and was not durable may be lost, any part of it. */
inline lose(pointer, content, mask, b)
{
	if
	:: pointer && (mask & BIT(b)) -> content = GONE
	:: pointer && (mask & BIT(b))
	:: !pointer || !(mask & BIT(b))
	fi
}

#define REACHED_DATA	BLOCK(anchor.want[losing])
#define REACHED_LEAF	(2 * losing + LEAF_SLOT(anchor.leaf[losing]))

inline lose_writes()
{
	do
	:: losing < NL ->
		lose(anchor.want[losing], data[REACHED_DATA], loose_data, REACHED_DATA);
		lose(anchor.leaf[losing], leaf[REACHED_LEAF], loose_leaf, REACHED_LEAF);
		losing++
	:: else -> break
	od;
	lose(anchor.root_slot, root[anchor.root_slot - 1].leaf[0], loose_top,
	     anchor.root_slot - 1);
	lose(anchor.map_slot, map[anchor.map_slot - 1], loose_top,
	     anchor.map_slot + 1);
	losing = 0;
	do
	:: losing < LOG -> lose(true, log[losing].name, loose_log, losing); losing++
	:: else -> break
	od;
	losing = 0
}

/* Memory is lost; what no record reaches may be lost, and nobody needs it. */
inline forget_memory()
{
	for (l : 0 .. NL - 1) {
		live[l] = NONE; frozen[l] = NONE; new_leaf[l] = NONE;
		state[l] = anchor.want[l]
	}
	for (i : 0 .. STREAM - 1) { stream[i] = 0 }
	for (i : 0 .. WRITES - 1) { writing[i] = 0 }
	streamed = 0; carried = 0; stream_committed();
	is_frozen = 0; aside = 0; aside_frozen = 0; lost = 0; haunted = 0;
	busy = 0; fresh = 0; superseded = 0; released = 0;
	new_root_slot = 0; new_map_slot = 0; new_map = 0; freeze_end = 0;
	commit = IDLE; committer = COMMIT; checkpoint = IDLE;
	clear_record(next);
	rebase();
	forget_nodes();
	rename_slots();
	make_stale_in_log();
	for (p : 0 .. NP - 1) {
		bad = false;
		for (l : 0 .. NL - 1) {
			bad = bad || (state[l] && BLOCK(state[l]) == p)
		}
		if
		:: bad
		:: else -> forget_data(p)
		fi
	}
	loose_data = 0; loose_leaf = 0; loose_top = 0; loose_log = 0
}

/*
 * C: qvault_anchor_read read_newest choose_slot check_slot
 * The record that was under way is whole, absent or torn.  The newest that is
 * valid counts, and nothing that was acknowledged is newer: G3.
 */
inline crash()
{
	if
	:: other_is == UNKNOWN -> d_step { copy_record(anchor, other); promised = 0 }
	:: other_is == UNKNOWN -> assert(!promised)	/* G3 */
	:: other_is == UNKNOWN && ONE_ANCHOR_SLOT -> assert(false)	/* I5: no anchor */
	:: other_is == USELESS
	fi;
	lose_writes();
	choose_place();
	d_step {
		clear_record(other);
		other_is = USELESS;
		forget_memory();
		mode = ATTACHING
	}
}

/* C: replay_entries replay_map replay_unmap */
inline replay_entry()
{
	if
	:: e ->
		l = ENTRY_L(e);
		live[l] = (ENTRY_PTR(e) -> ENTRY_PTR(e) : UNMAP)
	:: else
	fi
}

/*
 * C: qvault_replay_verify get_lot verify_lot qvault_log_open replay_part
 * From the newest block back to the tail each must be the one that is named;
 * then its entries are applied, oldest first.
 */
inline read_log()
{
	k = anchor.log;
	for (n : 1 .. LOG) {
		if
		:: n <= anchor.end ->
			p = anchor.end - n;
#ifdef MUTANT_COUNTER_ONLY
			bad = bad || (n > 1 && log[p].name != k);
#else
#ifdef MUTANT_LOG_NOT_VERIFIED
			bad = bad || (n == 1 && log[p].name != k);
#else
			bad = bad || log[p].name != k;
#endif
#endif
			k = log[p].prev
		:: else
		fi
	}
	for (n : 0 .. LOG - 1) {
		for (j : 0 .. PAGE - 1) {
#ifdef MUTANT_NEWEST_FIRST
			i = LOG - 1 - n;
#else
			i = n;
#endif
			e = (i < anchor.end -> log[i].entry[j] : 0);
			replay_entry()
		}
	}
}

/* C: qvault_replay_blocks qvault_alloc_replay */
inline replay_alloc()
{
	p = anchor.map_slot;
	busy = (p -> map[(p + 1) % 2] : 0);
#ifndef MUTANT_MAP_NOT_VERIFIED
	bad = bad || busy != anchor.map;
#endif
	for (l : 0 .. NL - 1) {
		if
		:: live[l] > UNMAP ->
			p = BLOCK(live[l]);
			bad = bad || (busy & BIT(p));
			busy = busy | BIT(p);
			fresh = fresh | BIT(p)
		:: else
		fi
	}
}

/*
 * C: qvault_attach recover check_roots check_root qvault_stream_restore qvault_line_begin
 * All is read and verified before the first write, which is that of a record
 * with a new lease; a crash may come before, within and after it.
 */
inline attach()
{
	lie();
	bad = false;
	k = anchor.root_slot;
	if
	:: k -> same_root(k - 1)
	:: else
	fi;
#ifdef MUTANT_ROOT_NOT_VERIFIED
	bad = false;
#endif
#ifndef MUTANT_LOG_IGNORED
	read_log();
#endif
	e = anchor.entry;
	replay_entry();
	replay_alloc();
	HONEST(!bad);						/* I5 */
	if
	:: bad ->						/* refused */
		lie();
		for (l : 0 .. NL - 1) { live[l] = NONE }
		busy = 0;
		fresh = 0
	:: else ->
		read_all();					/* I5 */
		lie();
#ifndef MUTANT_INLINE_NOT_RESTORED
		stream[0] = anchor.entry;
		streamed = anchor.entry != 0;
		carried = streamed;
#endif
		committer = ATTACH;
		copy_record(next, anchor);
		next.entry = (carried -> stream[0] : 0);
		anchor_begin()
	fi
}

#ifdef MUTANT_TREE_BEFORE_CUT
#define MAY_ANCHOR_TREE	true
#else
#define MAY_ANCHOR_TREE	(cut_pages == 0)
#endif

/* ---- All steps ---------------------------------------------------------- */

init {
	/* C: qvault_new_anchor: format writes a record of nothing, as all is here. */
end:	do
	:: atomic { MAY_WRITE -> CHOOSE_BLOCK; d_step { write_begin() } }
	:: d_step { writing[0] -> n = 0; write_end() }
#if WRITES > 1
	:: d_step { writing[1] -> n = 1; write_end() }
#endif
#ifndef NO_UNMAP
	:: d_step { MAY_WRITE -> l = 0; unmap() }
#endif
	:: d_step { MAY_WRITE && commit == IDLE && (streamed > carried || dirty) ->
		commit_begin(COMMIT) }
#ifdef RENEW
	/* C: qvault_line_repeat qvault_lease_low: a record with nothing new */
	:: d_step { MAY_WRITE && commit == IDLE -> commit_begin(COMMIT) }
#endif
	:: d_step { mode == RUNNING && commit == CUT -> anchor_begin() }
	:: atomic { mode != FAILED && commit == ANCHORING ->
		if
		:: committer == CHECKPOINT -> choose_place()
		:: else -> place = NOWHERE
		fi;
		d_step { anchor_end() } }
	:: d_step { mode == RUNNING && commit == ANCHORING -> anchor_fail() }
	:: atomic { mode == RUNNING && commit == ANCHORED ->
		choose_place(); d_step { release() } }

	/* C: qvault_checkpoint qvault_checkpoint qvault_detach */
	:: d_step { MAY_WRITE && commit == IDLE && checkpoint == IDLE ->
		commit_begin(FREEZE) }
	:: d_step { mode == RUNNING && checkpoint == FROZEN -> lied = 0; merge_or_not() }
#ifdef FAILS
	/* What fails leaves nothing in doubt, and the next one tries again. */
	:: d_step { MAY_WRITE && writing[0] -> n = 0; write_fail() }
	:: d_step { mode == RUNNING && commit == CUT && cut_pages -> commit_fail() }
	:: d_step { mode == RUNNING && (checkpoint == FROZEN || checkpoint == MERGING) ->
		place = NOWHERE; merge_fail() }
	/* A flush leaves all in doubt. */
	:: d_step { mode == RUNNING && commit == CUT && committer != ATTACH ->
		p = 0; flush_fail() }
	:: d_step { mode == RUNNING && commit == CUT && committer != ATTACH ->
		p = NP - 1; flush_fail() }
	:: d_step { haunted -> haunt() }
	/*
	 * A record whose write failed is written again, the same: other_is stays
	 * UNKNOWN.  To read it back proves nothing, it may come from a cache.
	 * C: put_record try_record
	 */
#ifdef MUTANT_RECORD_READ_BACK
	:: d_step { mode == RUNNING && commit == ANCHORING && committer == COMMIT ->
		promised = 1 }
#endif
#endif
	/* C: qvault_batch_wait */
	:: d_step { mode == RUNNING && checkpoint == MERGING -> checkpoint = MERGED }
	/*
	 * What a commit cut and failed to write may have been inline in the
	 * durable record, and would be in no log and no record after this one.
	 */
	:: d_step { mode == RUNNING && checkpoint == MERGED && commit == IDLE &&
		MAY_ANCHOR_TREE ->
		checkpoint_anchor() }
	:: atomic { mode == RUNNING && checkpoint == ANCHORED ->
		choose_place(); d_step { checkpoint_end() } }

	:: atomic { crashes < CRASHES && (mode != ATTACHING || commit == ANCHORING) ->
		crashes = crashes + (CRASHES != 255); crash() }
	:: d_step { mode == ATTACHING && commit == IDLE -> lied = 0; attach() }
	:: d_step { mode == RUNNING || mode == FAILED -> lied = 0; read_all(); check_busy() }

#ifdef ADVERSARY
	:: d_step { mode == RUNNING && checkpoint == FROZEN && kept != IDLE ->
		lied = 1; merge_or_not(); lied = 0 }
	:: d_step { mode == ATTACHING && commit == IDLE && kept != IDLE ->
		lied = 1; attach(); lied = 0 }
	:: d_step { (mode == RUNNING || mode == FAILED) && kept != IDLE ->
		lied = 1; lie(); read_all(); lie(); lied = 0 }
#endif
	od
}
