/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Versions: no number seals two blocks, whatever a crash cuts off.
 *
 * Which block a version seals does not matter here, so this is a model of its
 * own: writers, commits and checkpoints only take versions.  Numbers are small
 * and count from the first version that was never used (`version`, as long as
 * all is well), so that histories have no end but the states do.
 *
 * I3 no version is taken twice; and each is below the lease of a record that is
 * durable, so that no later attach begins before it.
 */

#ifndef LEASE
#define LEASE	8		/* QVAULT_LEASE */
#endif
#define JUMP	2		/* at most passed over after a record */
#define TAKERS	2		/* writes between lease_low() and their versions */
#define MERGE	2		/* versions that a checkpoint takes, or a commit */

/*
 * All counted from the first version that no block was ever sealed with:
 * 0 is that one.  A lease below 0 has been passed; how far does not matter.
 */
short lease;			/* of the newest durable record */
short believed;			/* v->anchor.lease */
short other;			/* of the record under way, or NOTHING */
#define NOTHING	(-100)
short version;			/* v->version; is 0 unless a mutant repeats */

mtype = { ATTACHING, RUNNING, FAILED };
mtype mode = ATTACHING;
mtype = { NEITHER, READING, WRITING };
mtype anchoring;		/* where qvault_line_write() is */
byte meanwhile;			/* versions taken since the record under way was begun */
bit forked;			/* so was the news of a fork */
byte takers;			/* writers that found the lease high enough */
bit renewing;			/* a writer waits for a new record: get_versions() */

/* C: qvault_new_versions */
inline take(count)
{
	assert(version + count <= believed);	/* I3 */
	assert(version >= 0);			/* I3: it was never used */
	/* Everything is counted from the next one. */
	lease = lease - version - count;
	believed = believed - version - count;
	other = (other == NOTHING -> other : other - version - count);
	version = 0;
	meanwhile = (anchoring == WRITING -> meanwhile + count : 0);
	/* I3: whoever attaches next begins behind it. */
	assert(lease >= 0);			/* I3 */
	assert(other == NOTHING || other >= 0)	/* I3 */
}

/* C: qvault_lease_low: time to ask for a new one */
#define LEASE_LOW	(version + LEASE / 2 > believed)

/* C: qvault_new_versions qvault_lease_out: there are none beyond it */
#ifdef MUTANT_BEYOND_LEASE
#define LEASED(count)	true
#else
#define LEASED(count)	(version + (count) <= believed)
#endif

/* No block was sealed with these, and none will be. */
inline pass_over(count)
{
	lease = lease - (count);
	believed = believed - (count);
	other = (other == NOTHING -> other : other - (count))
}

/* C: qvault_line_write number: wherever the jump ends, a whole lease follows */
inline anchor_begin()
{
#ifdef MUTANT_LEASE_NOT_RENEWED
	other = lease;
#else
#ifdef MUTANT_JUMP_NOT_LEASED
	other = version + LEASE;
#else
	other = version + JUMP + LEASE;
#endif
#endif
#ifdef MUTANT_LEASE_BEFORE_RECORD
	believed = other;
	mode = RUNNING;
#endif
	meanwhile = 0;
	forked = 0;
	anchoring = WRITING
}

/* C: adopt */
inline anchor_end(jump)
{
	lease = other;
	believed = lease;
	other = NOTHING;
	pass_over(jump);
	assert(forked || believed + meanwhile >= LEASE);	/* I6: a record brings new ones */
	meanwhile = 0;
	forked = 0;
	anchoring = NEITHER;
	renewing = 0;
	mode = RUNNING
}

init {
	d_step {			/* C: qvault_new_anchor: lease 1 */
		lease = 0;
		other = NOTHING;
		anchoring = NEITHER
	};
end:	do
	/* C: qvault_write_begin qvault_lease_low get_versions */
	:: d_step { mode == RUNNING && takers < TAKERS && !LEASE_LOW ->
		takers++ }
	:: d_step { mode == RUNNING && LEASE_LOW && !renewing -> renewing = 1 }
	:: d_step { takers && mode == RUNNING && LEASED(1) -> takers--; take(1) }
	/* C: append_page write_node: log blocks and nodes */
	:: d_step { mode == RUNNING && anchoring == NEITHER && LEASED(MERGE) ->
		take(MERGE); anchoring = READING }
	/* C: commit_cut qvault_line_repeat: none left, so a record first */
	:: d_step { mode == RUNNING && anchoring == NEITHER && !LEASED(MERGE) ->
		renewing = 1 }
	/*
	 * A log block or node could not be written: what was cut or set aside is
	 * written again, as other blocks, since it is sealed anew.
	 */
	:: d_step { mode == RUNNING && anchoring == READING ->
#ifdef MUTANT_RETRY_UNDER_OLD_VERSIONS
		version = version - MERGE;
#endif
		anchoring = NEITHER }

	/* C: __qvault_commit __qvault_anchor_tree */
	:: d_step { mode == RUNNING && (anchoring == READING ||
		(anchoring == NEITHER && renewing)) -> anchor_begin() }
	:: d_step { anchoring == WRITING && mode != FAILED -> anchor_end(0) }
	:: d_step { anchoring == WRITING && mode != FAILED -> anchor_end(JUMP) }
	/* C: qvault_forked: no version before a record that was begun after it */
	:: d_step { mode == RUNNING && believed > 0 ->
		forked = (anchoring == WRITING);
#ifdef MUTANT_FORK_TOO_SHORT
		pass_over(LEASE);
#else
		pass_over(LEASE + JUMP);
#endif
		assert(believed <= 0);				/* I3 */
		assert(other == NOTHING || other <= 0)		/* I3 */
		}
	/* C: qvault_fail: it may be durable, and nothing more is sealed. */
	:: d_step { anchoring == WRITING && mode == RUNNING -> mode = FAILED }

	/* A crash; the record under way is durable or not. */
	:: atomic { mode != ATTACHING || anchoring == WRITING ->
		if
		:: other != NOTHING -> lease = other
		:: skip
		fi;
		d_step {
			other = NOTHING;
			anchoring = NEITHER;
			takers = 0;
			meanwhile = 0;
			forked = 0;
			renewing = 0;
			mode = ATTACHING;
			/* C: recover: the lease found is where versions begin. */
#ifdef MUTANT_VERSION_NOT_FROM_LEASE
			version = -1
#else
			version = lease;
			/* What was leased and not used is never used. */
			lease = lease - version;
			version = 0;
			believed = 0
#endif
		} }
	/* C: qvault_line_begin: a new lease is durable before the first version. */
#ifdef MUTANT_NO_NEW_LEASE
	:: d_step { mode == ATTACHING && anchoring == NEITHER ->
		believed = LEASE; mode = RUNNING }
#else
	:: d_step { mode == ATTACHING && anchoring == NEITHER -> anchor_begin() }
#endif
	od
}
