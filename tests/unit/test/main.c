// SPDX-License-Identifier: GPL-2.0
/*
 * usage: unit [NAME...]
 * Runs the tests, or those whose name contains a NAME; the last line counts them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static const struct test {
	const char *name;
	void (*fn)(void);
} tests[] = {
	{ "XTS: IEEE 1619 and our tweak", test_vectors_xts },
	{ "XTS: NIST XTSVS files", test_vectors_xts_nist },
	{ "HMAC-SHA256: RFC 4231", test_vectors_hmac },
	{ "HKDF-SHA256: RFC 5869", test_vectors_hkdf },
	{ "NHPoly1305: Adiantum", test_vectors_nhpoly },
	{ "seal: what was sealed is unsealed", test_seal_round_trip },
	{ "seal: every byte and bit of block and tag counts", test_seal_tamper },
	{ "seal: kind, id and version count", test_seal_identity },
	{ "seal: tag and tweak are as format.h says", test_seal_form },
	{ "seal: a block is fetched once", test_seal_single_fetch },
	{ "seal: two together are as each alone", test_seal_together },
	{ "seal: A, B and A again look like three", test_seal_fresh },
	{ "geometry: every size up to 2^40 blocks", test_geometry_sizes },
	{ "geometry: limits", test_geometry_limits },
	{ "geometry: no block belongs to two things", test_geometry_regions },
	{ "geometry: nothing moves when a volume grows", test_geometry_grows },
	{ "entry: good ones", test_entry_good },
	{ "entry: bad ones", test_entry_bad },
	{ "entry: random bytes", test_entry_random },
	{ "delta: against an array", test_delta_model },
	{ "delta: a range is cut into pieces", test_delta_pieces },
	{ "delta: order for a checkpoint", test_delta_order },
	{ "delta: a mark is folded over much", test_delta_fold },
	{ "tree: cursor against an array", test_tree_model },
	{ "tree: next leaf", test_tree_next },
	{ "tree: levels above an old root", test_tree_raise },
	{ "tree: a checkpoint pauses, unless somebody waits", test_tree_pauses },
	{ "node: many wanted when memory is short", test_node_memory },
	{ "readahead: for reads in order, and for no others", test_ahead_in_order },
	{ "readahead: at the end of a tree, and where it is empty", test_ahead_end },
	{ "readahead: gives up and says nothing", test_ahead_trouble },
	{ "readahead: a checkpoint of a large volume", test_ahead_checkpoint },
	{ "readahead: the same with a small cache", test_ahead_small_cache },
	{ "readahead: a checkpoint begins in time", test_ahead_in_time },
	{ "changes: what grows in turn is two runs", test_changes_runs },
	{ "changes: blocks that do not exist", test_changes_refused },
	{ "anchor: authentic records that make no sense", test_anchor_nonsense },
	{ "anchor: what it names is that and nothing else", test_anchor_named },
	{ "anchor: a lease is renewed in time", test_anchor_lease },
	{ "anchor: one rotten slot is harmless", test_anchor_rotten },
	{ "generation: a new one seals, old ones can be read", test_generation_new },
	{ "generation: as many as a record has room for, but one", test_generation_full },
	{ "generation: one that is dropped opens nothing", test_generation_drop },
	{ "generation: not while anything names it", test_generation_named },
	{ "generation: records that fail", test_generation_failures },
	{ "ephemeral: on a record, and the vault does not know of it", test_ephemeral_record },
	{ "ephemeral: on a record, attached again and again", test_ephemeral_again },
	{ "rekey: the new key opens all, the old one nothing", test_rekey_changes },
	{ "rekey: records that fail", test_rekey_failures },
	{ "rekey: another life at that moment", test_rekey_lives },
	{ "rekey: keys that are wiped damage nothing", test_rekey_wiped },
	{ "hold: what a record reaches stays", test_hold_stays },
	{ "hold: ends when a checkpoint is needed, and with the key", test_hold_ends },
	{ "hold: a commit that failed", test_hold_failed_commit },
	{ "line: who else was here", test_line_look },
	{ "line: the newest record has rotted", test_line_newest },
	{ "line: an attach and a detach write both slots", test_line_slots },
	{ "line: what happens to a record under way", test_line_under_way },
	{ "line: versions jump", test_line_versions },
	{ "line: resume takes what the suspend left", test_line_resume },
	{ "line: all writes fail for a while on a full volume", test_line_outage },
	{ "line: a commit fails, and the next one does it", test_line_failed_commit },
	{ "share: who attaches claims and waits", test_share_attach },
	{ "share: who was displaced writes nothing", test_share_displaced },
	{ "share: what else may stand in the place of the claim", test_share_look },
	{ "alloc: all of a volume, each block once", test_alloc_all },
	{ "alloc: when a block becomes free", test_alloc_release },
	{ "alloc: home and runs", test_alloc_runs },
	{ "alloc: long pieces first, also after short ones", test_alloc_pieces },
	{ "unmap: 64 TiB of nothing", test_unmap_nothing },
	{ "unmap: 64 TiB with a little in it", test_unmap_mapped },
	{ "unmap: what the delta says", test_unmap_delta },
	{ "unmap: more than one critical section may do", test_unmap_much },
	{ "unmap: nodes that cannot be read", test_unmap_trouble },
	{ "unmap: much below a damaged node", test_unmap_damaged },
	{ "unmap: memory has a bound, whatever the entries take", test_unmap_memory },
	{ "trim: what commits and checkpoints free", test_trim_freed },
	{ "trim: freed and in use again", test_trim_reused },
	{ "trim: more ranges than are remembered", test_trim_many },
	{ "trim: nothing that is held", test_trim_held },
	{ "trim: nothing once another life goes on", test_trim_taken },
	{ "alloc: a checkpoint before blocks are short", test_alloc_low },
	{ "alloc: more cells than there is memory for", test_alloc_memory },
	{ "alloc: random writes go home, on large volumes too", test_alloc_homes },
	{ "alloc: a write costs the same on a large volume, and with more memory",
	  test_alloc_steady },
	{ "alloc: freeing much pauses", test_alloc_pauses },
	{ "alloc: what a log names", test_alloc_replay },
	{ "alloc: map blocks that it does not pay to read", test_alloc_unread },
	{ "alloc: writers read the map beside each other", test_alloc_ahead },
	{ "damage: a leaf, from the first checkpoint to a discard", test_damage_leaf },
	{ "damage: a leaf that is there again", test_damage_heals },
	{ "damage: what all is written or unmapped of", test_damage_covered },
	{ "damage: marks below a node are carried", test_damage_marks },
	{ "damage: found with a newer delta in front", test_damage_folded },
	{ "damage: more than was promised room", test_damage_late },
	{ "damage: more than the log can carry", test_damage_overfull },
	{ "damage: no memory, and none to come", test_damage_no_memory },
	{ "damage: a map block of a group in memory", test_damage_map_known },
	{ "damage: a map block makes its group full", test_damage_map_full },
	{ "damage: a map block that does not read back", test_damage_map_read_back },
	{ "damage: an upper node of the map", test_damage_map_upper },
	{ "heal: each copy of each upper node", test_heal_each },
	{ "heal: roots", test_heal_roots },
	{ "heal: after a checkpoint that failed", test_heal_again },
	{ "heal: a reader that was overtaken", test_heal_overtaken },
	{ "grow: what is refused", test_grow_refused },
	{ "grow: a full volume, again and again", test_grow_full },
	{ "grow: levels are added", test_grow_levels },
	{ "grow: what is lost ends where the volume did", test_grow_lost },
	{ "grow: as the table says", test_grow_table },
	{ "grow: the anchor fails", test_grow_fails },
	{ "grow: costs two records", test_grow_costs },
	{ "walk: a scrub reads everything and says what is bad", test_walk_scrub },
	{ "walk: it finds either copy of an upper node", test_walk_copies },
	{ "walk: and nodes that cannot be read", test_walk_nodes },
	{ "walk: a repair gives up blocks, and they are no zeros", test_walk_gives_up_blocks },
	{ "walk: and a leaf, around what was acknowledged", test_walk_gives_up_leaf },
	{ "walk: and all below an upper node", test_walk_gives_up_node },
	{ "walk: but none that the log still names", test_walk_gives_up_later },
	{ "walk: what is given up can be carried", test_walk_gives_up_carried },
	{ "walk: and none that could not be read once", test_walk_gives_up_nothing },
	{ "walk: a reseal leaves nothing of an older generation", test_walk_reseal },
	{ "walk: what cannot be read keeps its generation", test_walk_keeps },
	{ "walk: it goes on after an attach", test_walk_goes_on },
	{ "walk: a failure is tried again, a vault that has failed is not", test_walk_fails },
	{ "walk: a block moves only if nobody else came first", test_walk_compares },
	{ "walk: it waits when memory is short", test_walk_no_memory },
	{ "attach: a full log of scattered writes, over 16 TiB", test_attach_scattered },
	{ "attach: a log that takes more memory than there is", test_attach_merged },
	{ "attach: places that take more memory than there is", test_attach_places },
	{ "attach: versions run out meanwhile", test_attach_lease },
	{ "attach: the tree is damaged, and memory is short", test_attach_damaged },
	{ "life: each I/O of it failing once", test_life_fail_io },
	{ "life: each allocation of it failing once", test_life_fail_alloc },
	{ "life: each anchor record torn in all 254 ways", test_life_tear },
	{ "life: A, B and A again share no 16 bytes on the device", test_life_fresh },
};

static u32 nr_bad;
static char skipped[200];

bool test_check(bool ok, const char *file, int line, const char *what)
{
	if (!ok && nr_bad++ < 5)
		printf("      %s:%d: %s\n", file, line, what);
	return ok;
}

void test_skip(const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	vsnprintf(skipped, sizeof(skipped), why, ap);
	va_end(ap);
}

/* ---- Fixtures ---- */

void bare_vault(struct qvault *v, u64 data_blocks)
{
	memset(v, 0, sizeof(*v));
	CHECK(!qvault_geometry_init(&v->geo, data_blocks, 0,
				    QVAULT_MIN_LOG_BLOCKS));
	CHECK(!qvault_init(v));
	CHECK(!qvault_alloc_init(v, 8));
}

void bare_vault_exit(struct qvault *v)
{
	qvault_exit(v);
}

int test_attach(struct fixture *f)
{
	void *record = kmalloc(QVAULT_BLOCK_SIZE, GFP_NOIO | __GFP_NOFAIL);
	int err = qvault_attach(f->v, record);

	kfree(record);
	return err;
}

static void fixture_task(void *arg)
{
	struct fixture *f = arg;

	CHECK(!qvault_init(f->v));
	if (CHECK(!test_attach(f)))
		f->fn(f);
	qvault_detach(f->v);
	qvault_exit(f->v);
}

void with_vault(u64 data_blocks, u32 log_blocks, void (*fn)(struct fixture *f))
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct qvault_disk_anchor disk;
	struct world *world = &f->world;
	struct qvault_geometry geo;
	struct block *b;

	world_init(world, data_blocks);
	f->v = &world->v;
	f->fn = fn;
	CHECK(!qvault_geometry_init(&geo, data_blocks, 0, log_blocks));
	crypto_init(&world->crypto, false, &world->tweaks);
	qvault_new_anchor(&disk, TEST_UUID, data_blocks, 0, log_blocks);
	crypto_format(&world->crypto, &disk, QVAULT_MAC_HMAC_SHA256_128);
	dev_init(&world->data, "data", world, data_blocks, NULL);
	dev_init(&world->anchor, "anchor", world, QVAULT_ANCHOR_BLOCKS, NULL);
	b = block_new(&disk);
	dev_set_durable(&world->anchor, QVAULT_SLOT_BLOCK(1), b);
	block_put(b);
	oracle_init(&world->oracle, geo.logical_blocks, NULL, 0);
	world->v.logical_blocks = geo.logical_blocks;
	task_spawn(&world->sched, "test", fixture_task, f);
	world_run(world);
	world_exit(world);
	free(f);
}

/* With --quick all but those that live thousands of lives. */
static bool wanted(const struct test *test, char **name)
{
	if (!*name)
		return true;
	if (!strcmp(*name, "--quick"))
		return strncmp(test->name, "life:", 5);
	for (; *name; name++)
		if (strstr(test->name, *name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	u32 i, passed = 0, failed = 0, nr_skipped = 0;

	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!wanted(&tests[i], argv + 1))
			continue;
		nr_bad = 0;
		skipped[0] = 0;
		tests[i].fn();
		if (nr_bad) {
			printf("FAIL  %s\n", tests[i].name);
			failed++;
		} else if (skipped[0]) {
			printf("skip  %s: %s\n", tests[i].name, skipped);
			nr_skipped++;
		} else {
			printf("ok    %s\n", tests[i].name);
			passed++;
		}
		fflush(stdout);
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, nr_skipped);
	return failed != 0;
}
