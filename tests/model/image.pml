/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hibernation: an image of memory that goes on with a vault whose anchor has not
 * moved meanwhile.
 *
 * Before the image the vault makes a checkpoint and is write-through from then on: a
 * write ends after its commit.  Nothing of its own (timer, checkpoints, walker) runs
 * until the machine goes on.  So the image holds nothing that is not on the devices,
 * and the power-off, whose notifier commits what is dirty, finds nothing to do.
 * Hibernation may fail, and the same kernel goes on; the image may never be used, and
 * the vault is attached as after a crash; or somebody attaches it in between.
 *
 * A record is its number.
 *
 * Properties, each an assertion with its number:
 * H1 a kernel that goes on finds the anchor as the image remembers it, unless
 *    somebody else attached the vault meanwhile
 * H2 then it stops, before it writes anything
 * H3 a write that ended after the preparation is in the record, whether or not the
 *    image is ever used
 */

#ifndef RECORDS
#define RECORDS	8
#endif

byte record;			/* the newest one; each says all before it */
byte records;			/* that were made, and by others too */

mtype = { OFF, RUNNING, PREPARED, IMAGED, STOPPED };
mtype pc = OFF;
byte known;			/* the newest one that memory knows */
bit dirty;			/* writes that no record has */
bit through;

bit image;
byte image_known;
bit image_dirty;

/* Ghosts. */
bit unsaved;			/* a write has ended that no record has */
bit strangers;			/* somebody attached since the image */

inline look()
{
	if
	:: record != known -> dirty = 0; pc = STOPPED
	:: else
	fi
}

inline commit()
{
	look();
	if
	:: pc != STOPPED ->
		assert(!strangers);					/* H2 */
		records++;
		record = records;
		known = record;
		dirty = 0;
		unsaved = 0
	:: else
	fi
}

inline write()
{
	dirty = 1;
	if
	:: through -> commit()
	:: else -> unsaved = 1
	fi;
	assert(!through || !unsaved || pc == STOPPED)			/* H3 */
}

inline attach()
{
	records++;
	record = records;
	known = record;
	dirty = 0; unsaved = 0; through = 0; strangers = 0;
	pc = RUNNING
}

inline forget()
{
	known = 0; dirty = 0; through = 0; unsaved = 0;
	pc = OFF
}

/* PM_HIBERNATION_PREPARE */
inline prepare()
{
	commit();
#ifndef MUTANT_NOT_WRITE_THROUGH
	through = 1;
#endif
	pc = (pc == STOPPED -> STOPPED : PREPARED)
}

inline take_image()
{
	assert(!unsaved);						/* H3 */
	image = 1;
	image_known = known;
	image_dirty = dirty;
	pc = IMAGED
}

inline drop_image()
{
	image = 0; image_known = 0; image_dirty = 0
}

/* Reboot notifiers run after the image was written. */
inline power_off()
{
	if
#ifdef MUTANT_RECORD_AT_POWER_OFF
	:: true -> commit()
#else
	:: dirty -> commit()
	:: else
#endif
	fi;
	forget()
}

/* PM_POST_HIBERNATION, PM_POST_RESTORE */
inline go_on()
{
	known = (pc == OFF -> image_known : known);
	dirty = (pc == OFF -> image_dirty : dirty);
	drop_image();
	through = 0;
	pc = RUNNING;
#ifndef MUTANT_NO_LOOK_AFTER_IMAGE
	look();
#endif
	assert(pc == RUNNING || strangers);				/* H1 */
	assert(pc == STOPPED || !strangers)				/* H2 */
}

/* Another machine; or an initramfs that attaches before it looks for an image. */
inline stranger()
{
	strangers = image;
	records++;
	record = records
}

#define MAY_RECORD	(records < RECORDS)

init {
end:	do
	:: d_step { pc == OFF && MAY_RECORD -> drop_image(); attach() }
	:: d_step { (pc == RUNNING || pc == PREPARED) && MAY_RECORD -> write() }
	:: d_step { pc == RUNNING && dirty && MAY_RECORD -> commit() }
#ifdef MUTANT_TIMER_RUNS
	:: d_step { (pc == PREPARED || pc == IMAGED) && MAY_RECORD -> commit() }
#endif
	:: d_step { pc == RUNNING && MAY_RECORD -> prepare() }
	:: d_step { pc == PREPARED -> take_image() }
	:: d_step { pc == PREPARED -> through = 0; pc = RUNNING }
	/* It could not be written. */
	:: d_step { pc == IMAGED -> go_on() }
	:: d_step { pc == IMAGED && MAY_RECORD -> power_off() }
	:: d_step { pc == OFF && image -> go_on() }
	:: d_step { pc == OFF && MAY_RECORD -> stranger() }
	:: d_step { pc == RUNNING || pc == PREPARED || pc == STOPPED ->
		forget(); drop_image(); strangers = 0 }
	od
}
