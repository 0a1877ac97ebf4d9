/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Both slots: a key change, attach, detach, dropped generation or resize, and the
 * end of a vault, cut off at any write.
 *
 * A verb writes its record into the older slot, then into the other one, and only
 * then is it acknowledged.  A commit writes one slot.  Any write may be cut off, and
 * leaves a torn slot, of which any part may be new; one slot may rot whenever no
 * record is under way.  Of sequences only the order of the two matters.
 *
 * Whether a record is whole can be told without its key: by a digest of it that
 * needs none.  The key check value cannot do that, since it may stand in a torn one.
 *
 * Properties, each an assertion with its number:
 * K1 one key opens the vault, at every moment until it is erased: the acknowledged
 *    one, or one of both while a change is under way.  For that a slot that has rotted
 *    is written anew before the other one is touched
 * K2 after an acknowledged change the old key opens nothing, whichever slot rots
 * K3 what any key opens is no older than the last verb that was acknowledged (an
 *    attach, so that the past before it is gone; a size), whichever slot rots
 * K4 after an acknowledged drop no slot holds the secret of that generation
 * K5 an attach with the older key while the newer record is under another is
 *    refused
 * K6 an erasure that is cut off leaves the newest state or nothing, never an older
 *    one; and nothing when it was acknowledged
 */

#ifndef ROTS
#define ROTS	1
#endif

/* The record in a slot. */
typedef Slot {
	bit valid;		/* whole, and the storage gives it back */
	bit key;		/* that it is under */
	bit secret;		/* of a generation that is to be dropped */
	bit past;		/* ghost: older than the last acknowledged verb */
	bit old;		/* ghost: older than that commit or verb before it ended */
	bit looks		/* not valid, but bears the check value of a newer record */
};
Slot slot[2];
bit newer;			/* which of the two has the larger sequence */

/* The engine, and what it has in memory. */
mtype = { AWAY, RUNNING, FIRST, SECOND, GONE };
mtype pc = AWAY;
mtype = { NOTHING, ATTACH, COMMIT, KEY, DROP, RESIZE, DETACH, ERASE };
mtype verb = NOTHING;
bit key, secret;		/* of the newest record that it knows */
bit target;			/* that it is writing to */

/* Ghosts. */
bit acked_key;			/* the key, by all that was acknowledged */
bit changing;			/* another one may open it, too */
bit dropped;			/* the drop was acknowledged */
bit was_dropped;		/* a drop is in a record */
bit erasing;
byte rots;

hidden byte i, found, k;

#define OTHER(s)	(1 - (s))

/* ---- Attach --------------------------------------------------------------- */

/*
 * Which slot an attach with this key goes by; 2: it is refused.  Who cannot verify
 * a record sees that it is whole, and that another key is meant.
 */
#ifdef MUTANT_CHECK_VALUE_ONLY
#define FOREIGN(s, k)	((slot[s].valid && slot[s].key != (k)) || \
			 (!slot[s].valid && slot[s].looks && slot[OTHER(s)].key == (k)))
#else
#define FOREIGN(s, k)	(slot[s].valid && slot[s].key != (k))
#endif
#define GOOD(s, k)	(slot[s].valid && slot[s].key == (k))
#ifdef MUTANT_OLDER_KEY_ATTACHES
#define OPENS(k) \
	(GOOD(newer, k) -> newer : (GOOD(OTHER(newer), k) -> OTHER(newer) : 2))
#else
#define OPENS(k) \
	(GOOD(newer, k) -> newer : \
	 (GOOD(OTHER(newer), k) && !FOREIGN(newer, k) -> OTHER(newer) : 2))
#endif

/* ---- What must hold: the power is cut now ---------------------------------- */

inline check()
{
	for (k : 0 .. 1) {
		found = OPENS(k);
		assert(found == 2 || k == acked_key || changing);	/* K2 */
		assert(found == 2 || !slot[found & 1].past);		/* K3 */
		assert(found == 2 || found == newer || !slot[newer].valid ||
		       slot[newer].key == k);				/* K5 */
		assert(found == 2 || !erasing || !slot[found & 1].old)	/* K6 */
	}
	assert(OPENS(0) != 2 || OPENS(1) != 2 || erasing);		/* K1 */
	assert(pc != GONE || (OPENS(0) == 2 && OPENS(1) == 2));		/* K6 */
	for (i : 0 .. 1) {
		assert(!dropped || !slot[i].valid || !slot[i].secret)	/* K4 */
	}
	found = 0
}

/* ---- Records --------------------------------------------------------------- */

/* What is not valid is written first, before the only good one is touched. */
#ifdef MUTANT_LAST_GOOD_FIRST
#define OLDER	OTHER(newer)
#else
#define OLDER	(!slot[newer].valid -> newer : OTHER(newer))
#endif

inline begin(what)
{
	verb = what;
#ifdef MUTANT_NEWER_FIRST
	target = (verb == COMMIT -> OLDER : newer);
#else
	target = OLDER;
#endif
	key = (verb == KEY -> 1 - key : key);
	secret = (verb == DROP -> 0 : secret);
	changing = changing || verb == KEY;
	pc = FIRST
}

inline begin_erase()
{
	verb = ERASE;
	erasing = 1;
#ifdef MUTANT_ERASE_NEWER_FIRST
	target = newer;
#else
	target = OTHER(newer);
#endif
	/* Whichever is older must not come back. */
	slot[OTHER(newer)].old = slot[newer].valid && slot[OTHER(newer)].valid;
	pc = FIRST
}

inline clear(s)
{
	slot[s].valid = 0; slot[s].key = 0; slot[s].secret = 0; slot[s].past = 0;
	slot[s].old = 0; slot[s].looks = 0
}

inline put()
{
	clear(target);
	if
	:: verb != ERASE ->
		slot[target].valid = 1;
		slot[target].key = key;
		slot[target].secret = secret;
		newer = target
	:: else
	fi
}

/* The verb is over: it may be relied upon. */
inline acknowledge()
{
	if
	:: verb == COMMIT || verb == ERASE
	:: else ->
		for (i : 0 .. 1) {
			slot[i].past = i != target && (pc == FIRST || slot[i].past)
		}
	fi;
	acked_key = (verb == KEY || verb == ATTACH -> key : acked_key);
	changing = changing && verb != KEY && verb != ATTACH;
	dropped = (verb == DROP || verb == ATTACH -> !secret : dropped);
	pc = (verb == ERASE -> GONE : (verb == DETACH -> AWAY : RUNNING));
	verb = NOTHING; target = 0;
	key = (pc == RUNNING -> key : 0);
	secret = (pc == RUNNING -> secret : 0)
}

#ifdef MUTANT_ONE_RECORD
#define ONE_RECORD	(verb == COMMIT || verb == KEY)
#else
#ifdef MUTANT_ONE_RECORD_AT_DROP
#define ONE_RECORD	(verb == COMMIT || verb == DROP)
#else
#ifdef MUTANT_ONE_RECORD_AT_RESIZE
#define ONE_RECORD	(verb == COMMIT || verb == RESIZE)
#else
#ifdef MUTANT_ONE_RECORD_AT_ATTACH
#define ONE_RECORD	(verb == COMMIT || verb == ATTACH)
#else
#define ONE_RECORD	(verb == COMMIT)
#endif
#endif
#endif
#endif

inline record_end()
{
	put();
	if
	:: pc == FIRST && !ONE_RECORD ->
		target = OTHER(target);
		pc = SECOND
	:: else -> acknowledge()
	fi
}

/* ---- Crash ------------------------------------------------------------------ */

inline power_off()
{
	pc = (pc == GONE -> GONE : AWAY);
	verb = NOTHING; target = 0; key = 0; secret = 0
}

/* In the midst of a write.  What is torn may look like the new record. */
inline torn(new_head)
{
	i = target;
	clear(i);
	slot[i].looks = new_head && verb == KEY && pc == FIRST;
	newer = (new_head && verb != ERASE -> i : newer);
	power_off()
}

/*
 * After a crash before the end of a change one of both opens; which one is to be,
 * is known at the next attach.
 */
inline attach(with)
{
	found = OPENS(with) & 1;
	newer = found;
	/* An erasure that was cut off has left all, and that may go on. */
	erasing = 0; slot[0].old = 0; slot[1].old = 0;
	key = with;
	secret = slot[found].secret;
	begin(ATTACH)
}

/* ---- All steps --------------------------------------------------------------- */

init {
	d_step { slot[0].valid = 1; slot[0].secret = 1; slot[1].valid = 1;
		slot[1].secret = 1; newer = 1 };
end:	do
	:: d_step { pc == AWAY && OPENS(0) != 2 -> attach(0); check() }
	:: d_step { pc == AWAY && OPENS(1) != 2 -> attach(1); check() }
	:: d_step { pc == RUNNING -> begin(COMMIT) }
	:: d_step { pc == RUNNING -> begin(KEY) }
	:: d_step { pc == RUNNING && secret -> begin(DROP) }
	:: d_step { pc == RUNNING -> begin(RESIZE) }
	:: d_step { pc == RUNNING -> begin(DETACH) }
	:: d_step { pc == RUNNING || pc == AWAY -> begin_erase(); check() }
	:: d_step { pc == FIRST || pc == SECOND -> record_end(); check() }
	:: d_step { pc == FIRST || pc == SECOND -> torn(0); check() }
	:: d_step { pc == FIRST || pc == SECOND -> torn(1); check() }
	:: d_step { pc != AWAY && pc != GONE -> power_off(); check() }
	:: d_step { (pc == RUNNING || pc == AWAY) && !erasing && rots < ROTS && slot[0].valid &&
		slot[1].valid -> rots++; clear(0); check() }
	:: d_step { (pc == RUNNING || pc == AWAY) && !erasing && rots < ROTS && slot[0].valid &&
		slot[1].valid -> rots++; clear(1); check() }
	od
}
