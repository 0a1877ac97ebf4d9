#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# about: the model over larger vaults: more blocks, two spare, more in flight
# group: slow
# minutes: 60
# limit: 300
set -euo pipefail
# shellcheck source=tests/lib/check.sh
. "$(dirname "$0")/../lib/check.sh"
# shellcheck source=tests/model/explore.sh
. "${check_top:?}/tests/model/explore.sh"

functions_exist
explore "two writers, unmaps, a stream of two pages" vault \
	-DWRITES=2 -DSTREAM=3 -DLOG=3
explore "records with nothing new" vault -DWRITES=2 -DSTREAM=2 -DLOG=3 -DNO_UNMAP -DRENEW
explore "two spare blocks" vault -DSPARE=2 -DWRITES=2 -DSTREAM=3 -DLOG=3 -DNO_UNMAP
explore "a storage that replays, and unmaps" vault \
	-DWRITES=1 -DSTREAM=2 -DLOG=2 -DADVERSARY
explore "unmaps, and what fails" vault -DWRITES=1 -DSTREAM=2 -DLOG=3 -DFAILS
explore "three attachments, one after the other or at once" life -DCOMMITS=3
explore "memory that was forked, checkpoints and versions" life \
	-DCOMMITS=2 -DATTACHES=1 -DFORKS=1 -DNOTICES -DDATA=true
explore "memory that was forked, and an attachment" life -DCOMMITS=2 -DATTACHES=2 -DFORKS=1
explore "a damaged node, a damaged map, crashes" damage -DWRITES=4 -DCRASHES=2
explore "generations, a reader, lost markers" generations -DREADER -DMARKERS
explore "generations, a larger table, unmaps" generations -DN=4 -DAUTO=2
explore "generations, two blocks, unmaps" generations -DNL=2
explore "claim, wait, look; three hosts, more commits" claim -DHOSTS=3
explore "a size that grows, more writes" growth -DWRITES=4
explore "a block that is moved more often" insert -DWRITES=3 -DMOVES=3
explore "lost markers, more writes" markers -DWRITES=5
explore "three writers that wait for room" room -DWRITERS=3 -DEACH=1

# Too large to be exhausted in the memory of a small machine.
sample "three blocks" vault -DNL=3 -DWRITES=2 -DSTREAM=3 -DLOG=3
sample "two spare blocks, unmaps, a storage that replays" vault \
	-DSPARE=2 -DWRITES=2 -DSTREAM=3 -DLOG=4 -DADVERSARY

model_figures
finish
