/* SPDX-License-Identifier: GPL-2.0 */
/* Unit tests of the engine's parts, in userspace. */
#ifndef TEST_H
#define TEST_H
#include "world.h"

#define CHECK(cond) test_check(cond, __FILE__, __LINE__, #cond)
bool test_check(bool ok, const char *file, int line, const char *what);
void test_skip(const char *why, ...) __printf(1, 2);

#define TEST_UUID ((const u8 *)"0123456789abcdef")

/* A vault on freshly formatted devices, for tests that need one. */
struct fixture {
	struct world world;
	struct qvault *v;
	void (*fn)(struct fixture *f);
};
/* Attaches it, calls @fn in a task, detaches it. */
void with_vault(u64 data_blocks, u32 log_blocks, void (*fn)(struct fixture *f));
/* qvault_attach(), of a vault that is detached. */
int test_attach(struct fixture *f);

/* damage.c: where the anchored tree has a node, and an empty cache. */
u64 test_node_block(struct fixture *f, enum qvault_kind kind, u32 level, u64 index,
		    u32 copy);
void test_forget(struct fixture *f);
/* A bit of a block of the data device. */
void test_flip(struct fixture *f, u64 block);
/* What op_unmap() needs. */
void test_sim(struct fixture *f);
void test_sim_end(struct fixture *f);

/* Only what the delta needs: a geometry, pools and nothing on disk. */
void bare_vault(struct qvault *v, u64 data_blocks);
void bare_vault_exit(struct qvault *v);

void test_vectors_xts(void);
void test_vectors_xts_nist(void);
void test_vectors_hmac(void);
void test_vectors_hkdf(void);
void test_vectors_nhpoly(void);
void test_seal_round_trip(void);
void test_seal_tamper(void);
void test_seal_identity(void);
void test_seal_form(void);
void test_seal_single_fetch(void);
void test_seal_together(void);
void test_geometry_sizes(void);
void test_geometry_limits(void);
void test_geometry_regions(void);
void test_geometry_grows(void);
void test_entry_good(void);
void test_entry_bad(void);
void test_entry_random(void);
void test_delta_model(void);
void test_delta_pieces(void);
void test_delta_order(void);
void test_delta_fold(void);
void test_tree_model(void);
void test_tree_next(void);
void test_tree_raise(void);
void test_tree_pauses(void);
void test_node_memory(void);
void test_ahead_in_order(void);
void test_ahead_end(void);
void test_ahead_trouble(void);
void test_ahead_checkpoint(void);
void test_ahead_small_cache(void);
void test_ahead_in_time(void);
void test_changes_runs(void);
void test_changes_refused(void);
void test_anchor_nonsense(void);
void test_anchor_named(void);
void test_anchor_lease(void);
void test_anchor_rotten(void);
void test_generation_new(void);
void test_generation_full(void);
void test_ephemeral_record(void);
void test_ephemeral_again(void);
void test_generation_drop(void);
void test_generation_named(void);
void test_generation_failures(void);
void test_rekey_changes(void);
void test_rekey_failures(void);
void test_rekey_lives(void);
void test_rekey_wiped(void);
void test_hold_stays(void);
void test_hold_ends(void);
void test_hold_failed_commit(void);
void test_line_look(void);
void test_line_newest(void);
void test_line_slots(void);
void test_line_under_way(void);
void test_line_versions(void);
void test_line_resume(void);
void test_line_outage(void);
void test_line_failed_commit(void);
void test_share_attach(void);
void test_share_displaced(void);
void test_share_look(void);
void test_seal_fresh(void);
void test_alloc_all(void);
void test_alloc_release(void);
void test_alloc_runs(void);
void test_alloc_pieces(void);
void test_alloc_low(void);
void test_unmap_nothing(void);
void test_unmap_mapped(void);
void test_unmap_delta(void);
void test_unmap_much(void);
void test_unmap_trouble(void);
void test_unmap_damaged(void);
void test_unmap_memory(void);
void test_trim_freed(void);
void test_trim_reused(void);
void test_trim_many(void);
void test_trim_held(void);
void test_trim_taken(void);
void test_alloc_memory(void);
void test_alloc_homes(void);
void test_alloc_steady(void);
void test_alloc_pauses(void);
void test_alloc_replay(void);
void test_alloc_unread(void);
void test_alloc_ahead(void);
void test_damage_leaf(void);
void test_damage_heals(void);
void test_damage_covered(void);
void test_damage_marks(void);
void test_damage_folded(void);
void test_damage_late(void);
void test_damage_overfull(void);
void test_damage_no_memory(void);
void test_damage_map_known(void);
void test_damage_map_full(void);
void test_damage_map_read_back(void);
void test_damage_map_upper(void);
void test_heal_each(void);
void test_heal_roots(void);
void test_heal_again(void);
void test_heal_overtaken(void);
void test_grow_refused(void);
void test_grow_full(void);
void test_grow_levels(void);
void test_grow_lost(void);
void test_grow_table(void);
void test_grow_fails(void);
void test_grow_costs(void);
void test_walk_scrub(void);
void test_walk_copies(void);
void test_walk_nodes(void);
void test_walk_gives_up_blocks(void);
void test_walk_gives_up_leaf(void);
void test_walk_gives_up_node(void);
void test_walk_gives_up_later(void);
void test_walk_gives_up_carried(void);
void test_walk_gives_up_nothing(void);
void test_walk_reseal(void);
void test_walk_keeps(void);
void test_walk_goes_on(void);
void test_walk_fails(void);
void test_walk_compares(void);
void test_walk_no_memory(void);
void test_attach_scattered(void);
void test_attach_merged(void);
void test_attach_places(void);
void test_attach_lease(void);
void test_attach_damaged(void);
void test_life_fail_io(void);
void test_life_fail_alloc(void);
void test_life_tear(void);
void test_life_fresh(void);
#endif
