#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the protocols as models: every state of them, and mutants
# minutes: 8
# processors: 1
# limit: 120
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"
# shellcheck source=tests/model/explore.sh
. "${check_top:?}/tests/model/explore.sh"

if ! command -v spin >/dev/null; then
	fail "spin" "not installed: tests/lab/install"
	finish
fi
functions_exist

# A vault of two blocks, one spare, and any number of writes, commits,
# checkpoints and crashes.
explore "commit, checkpoint, crash, attach; two writers, long stream" vault \
	-DWRITES=2 -DSTREAM=3 -DLOG=3 -DNO_UNMAP
explore "the same with unmaps" vault -DWRITES=2 -DSTREAM=2 -DLOG=3
explore "the same with a storage that replays any old block" vault \
	-DWRITES=1 -DSTREAM=2 -DLOG=2 -DNO_UNMAP -DADVERSARY
fails=(vault -DWRITES=1 -DSTREAM=3 -DLOG=3 -DNO_UNMAP -DFAILS)
explore "reads and writes that fail, and flushes" "${fails[@]}"
explore "the same with unmaps and a shorter log" vault -DWRITES=1 -DSTREAM=2 -DLOG=2 -DFAILS
explore "the same with two writers" vault -DWRITES=2 -DSTREAM=3 -DLOG=3 -DNO_UNMAP -DFAILS
explore "versions and leases" lease
explore "waiting for room" room
past=(room -DBELOW=1 -DLOG=4)
long=(-DWRITERS=1 -DEACH=4 -DSPARE=4)
more=(room -DBELOW=2 -DKEPT=1 -DCARRIED=2 -DLOG=6)
overfull=(room -DBELOW=3 -DKEPT=1 -DLOG=4 -DEACH=1 -DOVERFULL)
explore "waiting for room past a damaged node" "${past[@]}" -DEACH=1
explore "the same with more writes" "${past[@]}" "${long[@]}"
explore "the same with more below it than one leaf" "${more[@]}" "${long[@]}"
explore "the same with more than can be carried" "${overfull[@]}"
explore "a damaged node, a damaged map" damage -DWRITES=3
explore "the same without a crash, more writes" damage -DWRITES=4 -DCRASHES=0
two=(life -DATTACHES=2)
forked=(life -DATTACHES=1 -DFORKS=1 -DNOTICES -DCHECKPOINTS=0)
explore "two attachments" "${two[@]}" -DCOMMITS=3
explore "two attachments, a record whose write fails" "${two[@]}" -DCOMMITS=2 -DFAILURES=1
explore "two attachments, a slot that rots" "${two[@]}" -DCOMMITS=2 -DROTS=1
explore "two attachments, devices put back" "${two[@]}" -DCOMMITS=2 -DBACKUP
explore "memory that was forked" "${forked[@]}" -DCOMMITS=2
explore "memory that was forked, and versions" "${forked[@]}" -DCOMMITS=1 -DDATA=true
explore "both slots: a verb cut off at any write" keychange
explore "generations" generations -DREADER
explore "generations and lost markers" generations -DMARKERS
explore "generations, a larger table" generations -DN=4 -DAUTO=2 -DNO_UNMAP
explore "generations, two blocks" generations -DNL=2 -DNO_UNMAP
restored=(generations -DRESTORE -DNO_UNMAP)
explore "generations, and records that come back" "${restored[@]}"
explore "claim, wait, look; two hosts" claim -DCOMMITS=4 -DFAILURES=2
explore "claim, wait, look; three hosts" claim -DHOSTS=3 -DCOMMITS=2
explore "a size that grows" growth
explore "a block that is moved" insert
explore "parts of blocks" sector
explore "hibernation" image
explore "lost markers, and the map made anew" markers
explore "upper nodes twice" copies
explore "upper nodes twice, both copies damaged" copies -DBOTH

honest=(vault -DWRITES=1 -DSTREAM=2 -DLOG=2 -DNO_UNMAP)
mutant NO_FLUSH "${honest[@]}"
mutant NODES_NOT_AWAITED "${honest[@]}"
mutant ACK_EARLY "${honest[@]}"
mutant REUSE_AT_ONCE "${honest[@]}"
mutant RELEASE_TOO_MUCH "${honest[@]}"
mutant TREE_REUSE_EARLY "${honest[@]}"
mutant ONE_NODE_SLOT "${honest[@]}"
mutant ONE_ANCHOR_SLOT "${honest[@]}"
mutant GO_ON_AFTER_FAILURE "${honest[@]}"
mutant INLINE_AT_FREEZE "${honest[@]}"
mutant INLINE_FORGOTTEN "${honest[@]}"
mutant INLINE_NOT_RESTORED "${honest[@]}"
mutant LOG_TAIL_EARLY "${honest[@]}"
mutant TAIL_AT_HEAD vault -DWRITES=1 -DSTREAM=3 -DLOG=3 -DNO_UNMAP
mutant LOG_IGNORED "${honest[@]}"
mutant NEWEST_FIRST "${honest[@]}"
mutant CUT_NOT_COUNTED "${honest[@]}"

for level in ROOT LEAF MAP LOG DATA; do
	mutant "${level}_NOT_VERIFIED" "${honest[@]}" -DADVERSARY
done
mutant COUNTER_ONLY "${honest[@]}" -DADVERSARY

mutant CUT_FREED "${fails[@]}"
mutant RETRY_IN_OTHER_ORDER "${fails[@]}"
mutant RELEASE_AFTER_FAILURE "${fails[@]}"
mutant TAIL_OF_RETRY "${fails[@]}"
mutant TREE_BEFORE_CUT "${fails[@]}"
mutant FLUSH_FAILURE_PASSES "${fails[@]}"
mutant RECORD_READ_BACK "${fails[@]}"
mutant REUSE_AFTER_FAILURE "${fails[@]}"
mutant ASIDE_WITHOUT_FLUSH "${fails[@]}"

mutant NO_NEW_LEASE lease
mutant VERSION_NOT_FROM_LEASE lease
mutant LEASE_NOT_RENEWED lease
mutant LEASE_BEFORE_RECORD lease
mutant BEYOND_LEASE lease
mutant RETRY_UNDER_OLD_VERSIONS lease
mutant JUMP_NOT_LEASED lease
mutant FORK_TOO_SHORT lease

mutant NO_LOOK "${two[@]}" -DCOMMITS=2
mutant LOG_BEFORE_LOOK "${two[@]}" -DCOMMITS=2
mutant LOOK_AT_SEQUENCE "${two[@]}" -DCOMMITS=2 -DBACKUP
mutant NO_JUMP_AT_ATTACH "${two[@]}" -DCOMMITS=2 -DBACKUP
mutant LOOK_AT_ONE_SLOT "${two[@]}" -DCOMMITS=2
mutant ATTACH_DOES_NOT_LOOK "${two[@]}" -DCOMMITS=2
mutant ATTACH_WRITES_OVER "${two[@]}" -DCOMMITS=3
mutant RETRY_DOES_NOT_LOOK "${two[@]}" -DCOMMITS=2 -DFAILURES=1
mutant ONE_SLOT_AT_ATTACH "${two[@]}" -DCOMMITS=2 -DROTS=1
mutant ONE_SLOT_AT_DETACH "${two[@]}" -DCOMMITS=2 -DROTS=1
mutant DISPLACED_GOES_ON "${forked[@]}" -DCOMMITS=1 -DDATA=true
mutant NO_JUMP_ON_NOTICE "${forked[@]}" -DCOMMITS=2

mutant WRITE_UNDER_DAMAGE damage -DWRITES=3
mutant CARRIED_IN_BOTH damage -DWRITES=3
mutant CARRIED_NOT_LOGGED damage -DWRITES=3
mutant CARRIED_NOT_COMMITTED damage -DWRITES=3
mutant FOLD_OLD_WINS damage -DWRITES=3
mutant PART_IS_ALL damage -DWRITES=3
mutant MAP_TRUSTED_AGAIN damage -DWRITES=3

mutant CHECK_VALUE_ONLY keychange
mutant OLDER_KEY_ATTACHES keychange
mutant LAST_GOOD_FIRST keychange
mutant NEWER_FIRST keychange
mutant ERASE_NEWER_FIRST keychange
mutant ONE_RECORD keychange
mutant ONE_RECORD_AT_DROP keychange
mutant ONE_RECORD_AT_RESIZE keychange
mutant ONE_RECORD_AT_ATTACH keychange

mutant DROP_WITH_WRITES_IN_FLIGHT generations
mutant COUNTED_LATE generations
mutant LOG_IGNORED generations
mutant STREAM_IGNORED generations
mutant MAP_IGNORED generations
mutant SET_OF_CHANGED_ONLY generations -DNL=2 -DNO_UNMAP
mutant READER_GIVES_UP generations -DREADER
mutant WALK_MOVES_DATA_ONLY generations -DMARKERS
mutant WALK_NEEDS_NUMBER generations
mutant CLONE_SHARES generations
mutant RESTORE_TAKES_NO_NUMBER "${restored[@]}"
mutant REVERT_SEALS_UNDER_OLD "${restored[@]}"

mutant NO_WAIT claim
mutant CLAIM_AFTER_RECORD claim
mutant NO_SECOND_LOOK claim
mutant NO_CLAIM_IN_LOOK claim
mutant RETRY_DOES_NOT_LOOK claim
mutant DATA_WITHOUT_LOOK claim

mutant LAST_GROUP_PACKED growth
mutant LEVEL_FROM_SIZE growth
mutant INDEX_WRAPS growth
mutant OLD_ROOT_FORGOTTEN growth
mutant USED_BEFORE_RECORD growth
mutant GROWS_UNDER_CHECKPOINT growth
mutant TAKES_WHAT_FITS growth
mutant SHRINK growth
mutant BEYOND_DEVICE growth

mutant ROOT_NOT_COMPARED insert
mutant ROOT_TAKEN_LATE insert
mutant LIVE_ONLY insert
mutant FROZEN_ONLY insert
mutant DISCARD_NOT_SEEN insert
mutant NEWER_THAN_FOUND insert
mutant NEWER_THAN_COPY insert
mutant CHECKED_BEFORE insert
mutant MOVED_IS_FREE insert
mutant COPY_LOST insert

mutant WHOLE_TAKES_NO_LOCK sector
mutant READ_BEFORE_LOCK sector
mutant LOCKS_IN_ANY_ORDER sector
mutant WALKER_DOES_NOT_COMPARE sector

mutant LEFT_OUT_AT_WEIGHT_0 markers
mutant NOT_FILLED markers
mutant PART_CLEARS markers
mutant MARKS_ALL markers
mutant REPLAYED_AS_UNMAP markers
mutant MAP_UNDER_DAMAGE markers
mutant MAP_BEFORE_MARKERS markers

mutant ONE_COPY copies
mutant SECOND_NOT_TRIED copies
mutant COPIES_SHARE copies
mutant SECOND_NOT_AWAITED copies
mutant HEALED_UNVERIFIED copies
mutant HEALED_BY_READER copies
mutant NOT_HEALED copies

mutant NOT_WRITE_THROUGH image
mutant TIMER_RUNS image
mutant RECORD_AT_POWER_OFF image
mutant NO_LOOK_AFTER_IMAGE image

mutant NO_SPARE room -DSPARE=0
mutant NO_WAKE room
mutant NO_SECOND_LOOK room
mutant COUNTED_LATE room
mutant ENDED_LATE room
mutant LOG_NOT_KEPT "${past[@]}" "${long[@]}"
mutant KEPT_AS_EVER "${more[@]}" "${long[@]}"
mutant HEALS_LIKE_OTHERS "${overfull[@]}"
# Both together are get_room() as it was, with the four rounds it had.
mutant ENDS_FORGOTTEN room
mutant ENDS_FORGOTTEN room -DMUTANT_ENDED_LATE -DIDLE_ROUNDS=4

model_figures
finish
