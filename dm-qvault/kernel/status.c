// SPDX-License-Identifier: GPL-2.0
/*
 * What `dmsetup status` and `dmsetup table` say, and what IMA measures.
 */
#include "platform.h"

static const char *mode_name(enum qvault_mode mode)
{
	switch (mode) {
	case QVAULT_MODE_DETACHED:
		return "detached";
	case QVAULT_MODE_WRITE:
		return "write";
	case QVAULT_MODE_READ_ONLY:
		return "read-only";
	case QVAULT_MODE_FAILED:
		return "failed";
	case QVAULT_MODE_TAKEN:
		return "taken";
	}
	return "unknown";
}

static unsigned long long count(const atomic64_t *counter)
{
	return atomic64_read(counter);
}

static const char *anchor_name(const struct qvault_target *tgt)
{
	const struct qvault_copy *copy = tgt->vol->anchor.copy;

	if (copy)
		return copy->anchor;
	return tgt->anchor ? tgt->anchor->name : "-";
}

/* Blocks that the map says are in use, but the tree does not name. */
static u64 leaked(const struct qvault_anchor *anchor)
{
	return qvault_node_weight(&anchor->map.ptr) -
	       qvault_node_weight(&anchor->tree.ptr);
}

static void take_anchor(struct qvault *v, struct qvault_anchor *anchor,
			u64 *log_used, u64 *logical_blocks)
{
	read_lock(&v->map_lock);
	*anchor = v->anchor;
	*log_used = qvault_log_used(v);
	*logical_blocks = v->geo.logical_blocks;
	read_unlock(&v->map_lock);
}

/* Those whose blocks can be read. */
static unsigned int add_generations(const struct qvault_anchor *anchor, char *result,
				    unsigned int maxlen, unsigned int sz)
{
	unsigned long set = qvault_generations(anchor) | BIT(anchor->seal);
	const char *sep = "";
	unsigned int gen;

	for_each_set_bit(gen, &set, QVAULT_GENERATIONS + 1) {
		DMEMIT("%s%u", sep, gen);
		sep = ",";
	}
	return sz;
}

/*
 * <mode> <epoch> <sequence> <commit>
 * <mapped blocks>/<logical blocks> <used log blocks>/<log blocks>
 * <blocks read> <blocks written> <blocks unmapped>
 * <anchor records written> <flushes of the data device>
 * <log blocks written> <node and map blocks written>
 * <checkpoints> <corruptions> <anchor slots>
 * <leaked blocks> <damaged nodes> <healed nodes>
 * <generation that seals> <generation>[,<generation>...] <versions left>
 *
 * The number of mapped blocks is that of the last checkpoint.  New fields come
 * at the end; readers must not mind more than they know.
 */
static void status_info(struct qvault_volume *vol, char *result, unsigned int maxlen)
{
	struct qvault *v = &vol->v;
	const struct qvault_counters *c = &v->counters;
	struct qvault_anchor anchor;
	unsigned int sz = 0;
	u64 log_used, logical_blocks;

	take_anchor(v, &anchor, &log_used, &logical_blocks);
	DMEMIT("%s %llu %llu %llu", mode_name(READ_ONCE(v->mode)),
	       anchor.epoch, anchor.sequence, anchor.commit);
	DMEMIT(" %llu/%llu %llu/%u", qvault_node_weight(&anchor.tree.ptr),
	       logical_blocks, log_used, v->geo.log_blocks);
	DMEMIT(" %llu %llu %llu", count(&c->reads), count(&c->writes),
	       count(&c->unmaps));
	DMEMIT(" %llu %llu", count(&c->commits), count(&c->flushes));
	DMEMIT(" %llu %llu", count(&c->log_blocks), count(&c->node_blocks));
	DMEMIT(" %llu %llu", count(&c->checkpoints), count(&c->corruptions));
	DMEMIT(" %u", v->good_slots);
	DMEMIT(" %llu %u", leaked(&anchor), READ_ONCE(v->damage.nr));
	DMEMIT(" %llu %u ", count(&c->healed), anchor.seal);
	sz = add_generations(&anchor, result, maxlen, sz);
	DMEMIT(" %llu", QVAULT_LAST_LEASE - min(anchor.lease, QVAULT_LAST_LEASE));
}

/* What an IMA policy may want to see in the log: never a key, nor its name. */
static void status_ima(struct qvault_target *tgt, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT_TARGET_NAME_VERSION(tgt->ti->type);
	DMEMIT(",data_device=%s,anchor_device=%s", tgt->data->name,
	       anchor_name(tgt));
	DMEMIT(",read_only=%c,allow_discards=%c;", tgt->read_only ? 'y' : 'n',
	       tgt->args.allow_discards ? 'y' : 'n');
}

/**
 * qvault_status() - dm's status()
 * @ti: the target
 * @type: what is asked for
 * @flags: not used: nothing is flushed for it
 * @result: where to write
 * @maxlen: of @result
 *
 * Context: May sleep.
 */
void qvault_status(struct dm_target *ti, status_type_t type,
		   unsigned int flags, char *result, unsigned int maxlen)
{
	struct qvault_target *tgt = ti->private;

	*result = '\0';
	switch (type) {
	case STATUSTYPE_INFO:
		status_info(tgt->vol, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		qvault_args_print(&tgt->args, tgt->data->name,
				  anchor_name(tgt), result, maxlen);
		break;
	case STATUSTYPE_IMA:
		status_ima(tgt, result, maxlen);
		break;
	}
}
