/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A node of the tree that cannot be read, for a while or for ever, and a map
 * block: checkpoints pass them over.
 *
 * Two leaves: blocks 0 and 1 are in the one that may be damaged, block 2 in the
 * other.  That a commit is one step, whatever crashes, is shown in vault.pml; so
 * here a record holds what it reaches, and a checkpoint is freeze, merge, anchor,
 * with writes, commits and crashes between.  Blocks are not used again: what must
 * hold is asserted where one becomes free.
 *
 * Properties, each an assertion with its number:
 * D1 a read gives what was written, or is refused if it needs a node that cannot be
 *    read; also after a crash, from the newest record
 * D2 a pointer stands in the tree or in the log after the tail, never in both
 * D3 no block becomes free that the newest record reaches, also through a damaged
 *    node; and the map says so of all that the tree reaches
 * D4 what is carried along was written before the damage was found, so it has a bound
 * D5 no block is lost, but for those that a damaged node had when it was replaced,
 *    and those of a group whose map block was damaged
 */

#ifndef WRITES
#define WRITES	4
#endif
#ifndef CRASHES
#define CRASHES	1
#endif
#define NL	3
#define LEN	14		/* of the log, in entries */
#define STREAM	10
#define UNMAP	7		/* in a delta: unmapped; 0: it knows nothing */
#define BIT(p)	(1 << (p))
#define ALL	(BIT(UNMAP) - 2)

#define ENTRY(l, p)	(1 + (l) * 8 + (p))
#define ENTRY_L(e)	(((e) - 1) / 8)
#define ENTRY_P(e)	(((e) - 1) & 7)

/* What the newest record reaches. */
byte tree[NL], map;
byte log[LEN], logged;
byte want[NL];			/* ghost: the state that it stands for */
bit bad;			/* the leaf cannot be read */
bit bad_map;

/* The vault in memory. */
byte live[NL], frozen[NL];
byte stream[STREAM], streamed;
byte state[NL];			/* ghost */
byte superseded;
bit known;			/* the leaf is in the list of damaged nodes */
bit is_frozen, carried;
byte freeze_end;
byte new_tree[NL], new_map;
bit healed;			/* the merge has written the leaf anew */
mtype = { IDLE, FROZEN, MERGED };
mtype checkpoint = IDLE;

byte writes, crashes;
byte freed, leaked;		/* blocks */
byte found_at;			/* ghost: writes, when the damage was found */

hidden byte i, j, l, p, e, bits, tmp;
hidden byte found;

#define COVERS(delta)	(delta[0] && delta[1])
#define PART(delta)	((delta[0] || delta[1]) && !COVERS(delta))

/* ---- What must hold ----------------------------------------------------- */

/* Of the newest record: blocks that it reaches, also those that it cannot read. */
inline reached()
{
	bits = 0;
	for (i : 0 .. NL - 1) { bits = bits | (tree[i] -> BIT(tree[i]) : 0) }
	for (i : 0 .. NL - 1) { bits = bits | (want[i] -> BIT(want[i]) : 0) }
}

/* Blocks whose last pointer is gone. */
inline free(mask)
{
	reached();
	assert(!((mask) & bits));				/* D3 */
	freed = freed | (mask)
}

inline check_read()
{
	for (l : 0 .. NL - 1) {
		p = (live[l] -> live[l] : frozen[l]);
		if
		:: !p && l < 2 && bad	/* refused */
		:: else ->
			p = (p -> p : tree[l]);
			p = (p == UNMAP -> 0 : p);
			assert(p == state[l]);			/* D1 */
			assert(!p || !(freed & BIT(p)))		/* D1 */
		fi
	}
}

/* What an attach would find now. */
inline check_record()
{
	for (l : 0 .. NL - 1) {
		found = UNMAP + 1;
		for (i : 0 .. LEN - 1) {
			e = (i < logged -> log[i] : 0);
			found = (e && ENTRY_L(e + !e) == l -> ENTRY_P(e + !e) : found);
			assert(!e || ENTRY_L(e + !e) != l || !ENTRY_P(e + !e) ||
			       ENTRY_P(e + !e) != tree[l])	/* D2 */
		}
		assert(found <= UNMAP || (l < 2 && bad) || tree[l] == want[l]); /* D1 */
		assert(found > UNMAP || found == want[l]);	/* D1 */
		assert(!tree[l] || (map & BIT(tree[l])))	/* D3 */
	}
}

/* Every block is free, or there is a reason why not. */
inline check_leaks()
{
	reached();
	bits = bits | freed | leaked | superseded;
	for (i : 0 .. NL - 1) {
		bits = bits | (live[i] % UNMAP -> BIT(live[i]) : 0);
		bits = bits | (frozen[i] % UNMAP -> BIT(frozen[i]) : 0)
	}
	for (i : 1 .. WRITES) { assert(i > writes || (bits & BIT(i))) };	/* D5 */
	bits = 0
}

/* ---- Writes and commits ------------------------------------------------- */

inline append()
{
	assert(streamed < STREAM);
	stream[streamed] = e;
	streamed++
}

inline supersede(ptr)
{
	superseded = superseded | (ptr % UNMAP -> BIT(ptr) : 0)
}

/* C: qvault_damage_refuses */
#ifdef MUTANT_WRITE_UNDER_DAMAGE
#define REFUSED(l)	false
#else
#define REFUSED(l)	(known && (l) < 2)
#endif

/* C: qvault_write_end insert */
inline write()
{
	writes++;
	supersede(live[l]);
	live[l] = writes;
	state[l] = writes;
	e = ENTRY(l, writes);
	append()
}

/* All that is below the leaf: that heals it.  C: qvault_damage_piece */
inline unmap_leaf()
{
	for (l : 0 .. 1) {
		supersede(live[l]);
		live[l] = UNMAP;
		state[l] = 0;
		e = ENTRY(l, 0);
		append()
	}
	known = 0
}

/* C: __qvault_commit */
inline commit()
{
	for (i : 0 .. STREAM - 1) {
		if
		:: i < streamed ->
			assert(logged < LEN);
			log[logged] = stream[i];
			logged++;
			stream[i] = 0
		:: else
		fi
	}
	streamed = 0;
	for (i : 0 .. NL - 1) { want[i] = state[i] }
	tmp = superseded;
	superseded = 0;
	free(tmp)
}

/* ---- Checkpoint --------------------------------------------------------- */

/*
 * What is below a node known to be damaged moves into the delta that takes the
 * place of the one set aside, and into the stream behind the cut.
 * C: qvault_damage_carry qvault_delta_carry
 */
inline carry()
{
	for (l : 0 .. 1) {
		if
		:: frozen[l] ->
			assert(frozen[l] == UNMAP || frozen[l] <= found_at); /* D4 */
			live[l] = frozen[l];
#ifndef MUTANT_CARRIED_IN_BOTH
			frozen[l] = 0;
#endif
			e = ENTRY(l, live[l] % UNMAP);
#ifndef MUTANT_CARRIED_NOT_LOGGED
			append();
#endif
			carried = 1
		:: else
		fi
	}
}

/* C: carry_and_freeze qvault_damage_recheck readable pages_below freeze cut_all */
inline freeze()
{
	known = known && bad && !COVERS(live);
	commit();
	for (l : 0 .. NL - 1) { frozen[l] = live[l]; live[l] = 0 }
	is_frozen = 1;
	carried = 0;
	freeze_end = logged;
	if
	:: known -> carry()
	:: else
	fi;
	checkpoint = FROZEN
}

/* The log says it in the right order: older first.  C: qvault_damage_fold fold_one */
inline fold()
{
	for (l : 0 .. NL - 1) {
		if
#ifdef MUTANT_FOLD_OLD_WINS
		:: frozen[l] -> supersede(live[l]); live[l] = frozen[l]
#else
		:: live[l] -> supersede(frozen[l])
		:: !live[l] -> live[l] = frozen[l]
#endif
		:: else
		fi;
		frozen[l] = 0
	}
	is_frozen = 0;
	found_at = writes
}

/* C: merge_ptr change_in_use */
inline change_map()
{
	tmp = tree[l];
	if
	:: l < 2 && bad ->
		/* Who knows what it had: not to be used again. */
		leaked = leaked | (tmp -> BIT(tmp) : 0)
	:: !(l < 2 && bad) && tmp && !bad_map ->
		assert(map & BIT(tmp));				/* D2, D3 */
		new_map = new_map & ~BIT(tmp)
	:: else
	fi;
	p = frozen[l] % UNMAP;
	if
	:: p && !bad_map ->
		assert(!(new_map & BIT(p)) || leaked == ALL);	/* D2 */
		new_map = new_map | BIT(p)
	:: else
	fi;
	new_tree[l] = p
}

#ifdef MUTANT_PART_IS_ALL
#define NEEDED	false
#else
#define NEEDED	(PART(frozen))
#endif

/* C: merge_delta merge_nodes pass_damage qvault_damage_add qvault_changes_apply */
inline merge()
{
	if
	:: bad && NEEDED ->
		known = 1;
		fold();
		checkpoint = IDLE
	:: else ->
		for (l : 0 .. NL - 1) { new_tree[l] = tree[l] }
		new_map = map;
		for (l : 0 .. NL - 1) {
			if
			:: frozen[l] -> change_map()
			:: else
			fi
		}
		healed = frozen[0] || frozen[1];
#ifdef MUTANT_PART_IS_ALL
		new_tree[0] = (bad && healed && !frozen[0] -> 0 : new_tree[0]);
		new_tree[1] = (bad && healed && !frozen[1] -> 0 : new_tree[1]);
#endif
		if
		:: bad_map ->
#ifndef MUTANT_MAP_TRUSTED_AGAIN
			new_map = ALL
#endif
			leaked = ALL
		:: else
		fi;
		checkpoint = MERGED
	fi
}

/* C: anchor __qvault_anchor_tree thaw qvault_alloc_anchored */
inline anchor()
{
#ifndef MUTANT_CARRIED_NOT_COMMITTED
	/* What was carried is durable before the tail moves past where it was. */
	if
	:: carried -> commit()
	:: else
	fi;
#endif
	tmp = map & ~new_map;
	for (l : 0 .. NL - 1) {
		tree[l] = new_tree[l];
		new_tree[l] = 0;
		frozen[l] = 0
	}
	bad = bad && !healed;
	bad_map = bad_map && map == new_map;
	map = new_map;
	new_map = 0;
	for (i : 0 .. LEN - 1) {
		log[i] = (i + freeze_end < logged -> log[(i + freeze_end) % LEN] : 0)
	}
	logged = logged - freeze_end;
	freeze_end = 0;
	is_frozen = 0;
	carried = 0;
	healed = 0;
	checkpoint = IDLE;
	free(tmp & ~freed)
}

/* ---- Crash and attach --------------------------------------------------- */

/* C: recover replay_part qvault_replay_blocks */
inline crash()
{
	crashes++;
	for (l : 0 .. NL - 1) {
		live[l] = 0; frozen[l] = 0; new_tree[l] = 0;
		state[l] = want[l]
	}
	for (i : 0 .. LEN - 1) {
		e = (i < logged -> log[i] : 0);
		if
		:: e -> live[ENTRY_L(e)] = (ENTRY_P(e) -> ENTRY_P(e) : UNMAP)
		:: else
		fi
	}
	for (i : 0 .. STREAM - 1) { stream[i] = 0 }
	streamed = 0; superseded = 0; known = 0; is_frozen = 0; carried = 0;
	freeze_end = 0; new_map = 0; healed = 0;
	checkpoint = IDLE;
	/* What neither map nor log name is free. */
	reached();
	tmp = bits | map;
	free(ALL & ~tmp & (BIT(writes + 1) - 1))
}

/* The next block is free: in a group whose map was damaged none is. */
#define MAY_WRITE	(writes < WRITES && !(map & BIT(writes + 1)))

/* ---- All steps ---------------------------------------------------------- */

inline check()
{
	check_read();
	check_record();
	check_leaks()
}

init {
end:	do
	:: d_step { MAY_WRITE && !REFUSED(0) -> l = 0; write(); check() }
	:: d_step { MAY_WRITE && !REFUSED(1) -> l = 1; write(); check() }
	:: d_step { MAY_WRITE -> l = 2; write(); check() }
	:: d_step { state[0] + state[1] && streamed < 4 -> unmap_leaf(); check() }
	:: d_step { streamed || superseded -> commit(); check() }

	:: d_step { checkpoint == IDLE && (live[0] + live[1] + live[2]) -> freeze(); check() }
	:: d_step { checkpoint == FROZEN -> merge(); check() }
	:: d_step { checkpoint == MERGED -> anchor(); check() }

	:: d_step { crashes < CRASHES -> crash(); check() }

	/* It cannot be read from now on; or again. */
	:: d_step { !bad && (tree[0] || tree[1]) -> bad = 1 }
	:: d_step { bad -> bad = 0; check() }
	:: d_step { !bad_map && map -> bad_map = 1 }
	:: d_step { bad_map -> bad_map = 0; check() }
	od
}
