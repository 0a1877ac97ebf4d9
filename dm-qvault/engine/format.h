/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a vault looks like at rest.  Shared by the module, the tool and the
 * tests; Documentation/format.rst tells the same with pictures.
 *
 * Everything is little-endian.  The first pointers stand in the anchor record;
 * every other block is reached only through the sealed pointer that its parent
 * holds, so nothing here is parsed before it is authenticated.
 */
#ifndef QVAULT_FORMAT_H
#define QVAULT_FORMAT_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/build_bug.h>
#else
#include <assert.h>
#include <stddef.h>
#include <linux/types.h>
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
#endif

#define QVAULT_BLOCK_SHIFT	12
#define QVAULT_BLOCK_SIZE	4096u
#define QVAULT_SECTORS		(QVAULT_BLOCK_SIZE >> 9)	/* a block, in sectors */

#define QVAULT_TAG_SIZE		16
#define QVAULT_UUID_SIZE	16
#define QVAULT_MASTER_KEY_SIZE	64

/* ---- Sealed pointers ---------------------------------------------------- */

/*
 * The low 48 bits of @where say where the block is, by kind:
 *
 *   data	the block on the data device
 *   node, map	bit 0: which of the node's two slots; above it the weight: how
 *		many data blocks are mapped (node) or in use (map) below it
 *   log	the block's sequence number
 *
 * The four bits above say of which generation the block is, and the eight above
 * those, of a node, which generations there are below it, a bit for each.  The
 * highest four are flags.
 *
 * Version zero is no version: such a pointer is all zeros and means "nothing here,
 * reads as zeros".  QVAULT_LOST_VERSION is none either: what was here, a data block
 * or all that is below a node, was given up because it could not be read.  It has
 * the flag QVAULT_FLAG_LOST, so that who does not know of it opens nothing, and is
 * zeros else.
 */
struct qvault_disk_ptr {
	__le64 version;			/*  0 */
	__le64 where;			/*  8 */
	__u8   tag[QVAULT_TAG_SIZE];	/* 16 */
};

static_assert(sizeof(struct qvault_disk_ptr) == 32);

#define QVAULT_WHERE_BITS	48
#define QVAULT_WHERE_MASK	((1ull << QVAULT_WHERE_BITS) - 1)
#define QVAULT_WHERE_GEN_SHIFT	48
#define QVAULT_WHERE_SET_SHIFT	52
#define QVAULT_WHERE_FLAGS_SHIFT 60

#define QVAULT_LOST_VERSION	(~0ull)
#define QVAULT_FLAG_LOST	1u

/* What a sealed block is.  Part of what its tag covers. */
enum qvault_kind {
	QVAULT_KIND_DATA = 1,
	QVAULT_KIND_NODE = 2,
	QVAULT_KIND_MAP = 3,
	QVAULT_KIND_LOG = 4,
};

/*
 * The tag of a block is MAC(ciphertext || this header).  The tweak of its
 * encryption is le64(version) || le64(id).
 */
struct qvault_disk_seal {
	__le64 kind;			/*  0 */
	__le64 id;			/*  8: logical block, node id, or log sequence */
	__le64 version;			/* 16 */
	__le64 reserved;		/* 24: zero */
};

static_assert(sizeof(struct qvault_disk_seal) == 32);

/* ---- Trees -------------------------------------------------------------- */

#define QVAULT_FANOUT_SHIFT	7
#define QVAULT_FANOUT		128u
#define QVAULT_MAX_LEVELS	7

struct qvault_disk_node {
	struct qvault_disk_ptr ptr[QVAULT_FANOUT];
};

static_assert(sizeof(struct qvault_disk_node) == QVAULT_BLOCK_SIZE);

/* A node's id; its level counts from the leaves, its index within the level. */
#define QVAULT_NODE_LEVEL_SHIFT	56

/* A map block holds one bit for each data block of a group, 1: in use. */
#define QVAULT_MAP_BITS		(8 * QVAULT_BLOCK_SIZE)

/* ---- Log ---------------------------------------------------------------- */

/*
 * Entries follow the header and each other without gaps.  An entry maps a run
 * of @count logical blocks from @logical.  With QVAULT_ENTRY_UNMAP it has no
 * tags and the run reads as zeros; otherwise block i of the run stands at
 * @where + i, has version @version + i, and the i-th tag after the entry; the four
 * bits above 48 of @where say of which generation all of them are.
 */
struct qvault_disk_entry {
	__le64 version;			/*  0: zero if unmapped */
	__le64 where;			/*  8: unmapped: number of blocks */
	__le64 run;			/* 16: logical block; bits 48..62 count - 1; 63 unmap */
};

static_assert(sizeof(struct qvault_disk_entry) == 24);

#define QVAULT_RUN_COUNT_SHIFT	48
#define QVAULT_RUN_COUNT_MASK	0x7fffull
#define QVAULT_RUN_UNMAP	0x8000000000000000ull

struct qvault_disk_log_head {
	struct qvault_disk_ptr prev;	/*  0: the log block before this one */
	__le64 sequence;		/* 32 */
	__le32 bytes;			/* 40: of entries */
	__u8   reserved[20];		/* 44: zero */
};

static_assert(sizeof(struct qvault_disk_log_head) == 64);

#define QVAULT_LOG_PAYLOAD	(QVAULT_BLOCK_SIZE - 64)

struct qvault_disk_log {
	struct qvault_disk_log_head head;
	__u8 payload[QVAULT_LOG_PAYLOAD];
};

static_assert(sizeof(struct qvault_disk_log) == QVAULT_BLOCK_SIZE);

/* ---- Label -------------------------------------------------------------- */

#define QVAULT_LABEL_MAGIC	"QVAULT\0D"	/* 8 bytes, no NUL after them */

/*
 * Block 0 of the data device, so that a vault's data are found and are not taken for
 * free space.  Nothing believes it.
 */
struct qvault_disk_label {
	__u8   magic[8];		/*    0 */
	__le32 format;			/*    8 */
	__le32 reserved0;		/*   12: zero */
	__u8   uuid[QVAULT_UUID_SIZE];	/*   16: of the volume */
	__u8   reserved1[4064];		/*   32: zero */
};

static_assert(sizeof(struct qvault_disk_label) == QVAULT_BLOCK_SIZE);

/* ---- Anchor ------------------------------------------------------------- */

#define QVAULT_ANCHOR_MAGIC	"QVAULT\0A"	/* 8 bytes, no NUL after them */
#define QVAULT_FORMAT_VERSION	2
#define QVAULT_ANCHOR_SLOTS	2
#define QVAULT_INLINE_SIZE	3360
#define QVAULT_ANCHOR_MAC_SIZE	32

/*
 * Blocks of the anchor device that are used.  A torn or worn page of flash may take
 * its neighbours along, so the slots are far from each other and from the claim.
 */
#define QVAULT_ANCHOR_BLOCKS	256u		/* 1 MiB, the least */
#define QVAULT_CLAIM_BLOCK	0u
#define QVAULT_SLOT_BLOCK(slot)	((slot) ? 192u : 64u)

enum qvault_cipher {
	QVAULT_CIPHER_AES_256_XTS = 1,
};

enum qvault_mac {
	QVAULT_MAC_HMAC_SHA256_128 = 1,
	QVAULT_MAC_NHPOLY_AES = 2,	/* AES_K2(NHPoly1305_K1(...)), see mac.rst */
};

/* What people call them, by number; an initializer. */
#define QVAULT_MAC_NAMES {						\
	[QVAULT_MAC_HMAC_SHA256_128]	= "hmac-sha256",		\
	[QVAULT_MAC_NHPOLY_AES]		= "nhpoly-aes",			\
}

/* ---- Generations ---- */

/* Those that a record knows; one more lives in memory only. */
#define QVAULT_GENERATIONS	8u
#define QVAULT_EPHEMERAL_GEN	QVAULT_GENERATIONS
#define QVAULT_SECRET_SIZE	32u
#define QVAULT_WRAPPED_SIZE	(QVAULT_SECRET_SIZE + 8)

/*
 * A secret from which the keys of blocks come, and what they are keys of.  All zeros:
 * there is no generation of this number.
 */
struct qvault_disk_generation {
	__u8 cipher;			/*  0 */
	__u8 mac;			/*  1 */
	__u8 reserved[6];		/*  2: zero */
	__u8 wrapped[QVAULT_WRAPPED_SIZE];	/* 8: AES Key Wrap, RFC 3394 */
};

static_assert(sizeof(struct qvault_disk_generation) == 48);

/* ---- A pass over the volume ---- */

enum qvault_walk_kind {
	QVAULT_WALK_NONE = 0,
	QVAULT_WALK_SCRUB = 1,		/* all is read and verified */
	QVAULT_WALK_RESEAL = 2,		/* all is sealed by the generation that seals */
	QVAULT_WALK_REPAIR = 3,		/* as a scrub; what cannot be read is given up */
};

enum qvault_walk_phase {
	QVAULT_WALK_TREE = 0,
	QVAULT_WALK_MAP = 1,
};

/* So that it goes on where it was.  All zeros: there is none. */
struct qvault_disk_walk {
	__u8   kind;			/*  0 */
	__u8   phase;			/*  1 */
	__u8   reserved[6];		/*  2: zero */
	__le64 next;			/*  8: leaf of the tree, or of the map */
	__le64 bad;			/* 16: blocks that could not be read */
};

static_assert(sizeof(struct qvault_disk_walk) == 24);

/* ---- Records ---- */

#define QVAULT_CHECK_SIZE	16

/*
 * Slot (sequence & 1) of the anchor device.  It carries every parameter: the
 * untrusted device never chooses an algorithm or a size.  The MAC, HMAC-SHA256
 * under the anchor key, covers all that stands before it.
 */
struct qvault_disk_anchor {
	__u8   magic[8];		/*    0 */
	__le32 format;			/*    8 */
	__le32 incompat;		/*   12: features; with an unknown one it is refused */
	__le32 ro_compat;		/*   16: with an unknown one it may only be read */
	__le32 sector_size;		/*   20: of the volume */
	__u8   uuid[QVAULT_UUID_SIZE];	/*   24 */
	__u8   check[QVAULT_CHECK_SIZE];	/* 40: tells one master key from another */
	__le64 data_blocks;		/*   56: of the data device that are used */
	__le64 logical_blocks;		/*   64 */
	__le32 log_blocks;		/*   72 */
	__u8   tree_level;		/*   76: of the root; no root: zero */
	__u8   map_level;		/*   77: likewise */
	__u8   seal;			/*   78: the generation of new blocks */
	__u8   reserved0;		/*   79: zero */
	__le64 sequence;		/*   80: of anchor records */
	__le64 epoch;			/*   88: of attaches */
	__le64 lease;			/*   96: versions below may have been used */
	__le64 log_tail;		/*  104: oldest log block to replay */
	__le64 log_head;		/*  112: newest; below the tail: log is empty */
	__le64 commit;			/*  120: number of commits that had entries */
	struct qvault_disk_ptr tree;	/*  128: root */
	struct qvault_disk_ptr map;	/*  160: root */
	struct qvault_disk_ptr log;	/*  192: newest block */
	__le64 time;			/*  224: of this record, seconds since 1970 */
	__le32 inline_bytes;		/*  232 */
	__le32 settle;			/*  236: seconds; 0: not shared between hosts */
	__u8   reserved1[16];		/*  240: zero */
	struct qvault_disk_generation gen[QVAULT_GENERATIONS];	/* 256 */
	struct qvault_disk_walk walk;	/*  640 */
	__u8   reserved2[40];		/*  664: zero */
	__u8   inline_entries[QVAULT_INLINE_SIZE];	/* 704 */
	__u8   mac[QVAULT_ANCHOR_MAC_SIZE];		/* 4064 */
};

static_assert(sizeof(struct qvault_disk_anchor) == QVAULT_BLOCK_SIZE);
static_assert(offsetof(struct qvault_disk_anchor, sequence) == 80);
static_assert(offsetof(struct qvault_disk_anchor, tree) == 128);
static_assert(offsetof(struct qvault_disk_anchor, gen) == 256);
static_assert(offsetof(struct qvault_disk_anchor, inline_entries) == 704);
static_assert(offsetof(struct qvault_disk_anchor, mac) == 4064);

/* ---- Claim --------------------------------------------------------------- */

#define QVAULT_CLAIM_MAGIC	"QVAULT\0C"	/* 8 bytes, no NUL after them */
#define QVAULT_MAX_SETTLE	3600u
#define QVAULT_DEFAULT_SETTLE	10u

/*
 * Block QVAULT_CLAIM_BLOCK of the anchor device of a vault that is shared between hosts:
 * which of them has it.  The MAC is as that of a record.
 */
struct qvault_disk_claim {
	__u8   magic[8];		/*    0 */
	__le32 format;			/*    8 */
	__le32 settle;			/*   12: as in the record */
	__u8   uuid[QVAULT_UUID_SIZE];	/*   16 */
	__u8   check[QVAULT_CHECK_SIZE];	/* 32 */
	__u8   nonce[16];		/*   48: no two claims are the same */
	__le64 epoch;			/*   64: to be, by the record that was there */
	__le64 time;			/*   72: seconds since 1970 */
	__u8   reserved[3984];		/*   80: zero */
	__u8   mac[QVAULT_ANCHOR_MAC_SIZE];		/* 4064 */
};

static_assert(sizeof(struct qvault_disk_claim) == QVAULT_BLOCK_SIZE);
static_assert(offsetof(struct qvault_disk_claim, mac) == 4064);

/* ---- Keys --------------------------------------------------------------- */

/*
 * HKDF-SHA256 (RFC 5869).  Info is one of these labels, without its NUL.
 *
 * From the master key, salt: the volume's UUID.  A clone has another UUID, and may have
 * another master key; so nothing that seals blocks comes from either.
 */
#define QVAULT_LABEL_ANCHOR	"qvault anchor mac"	/* 32 bytes */
#define QVAULT_LABEL_WRAP	"qvault key wrap"	/* 32 bytes: AES-256 */
#define QVAULT_LABEL_CHECK	"qvault key check"	/* QVAULT_CHECK_SIZE bytes */

/* From the secret of a generation, without salt. */
#define QVAULT_LABEL_DATA	"qvault data xts"	/* 64 bytes */
#define QVAULT_LABEL_META	"qvault metadata xts"	/* 64 bytes */
#define QVAULT_LABEL_MAC	"qvault block mac"	/* 32 bytes */
#define QVAULT_LABEL_NH		"qvault block nh"	/* 1088 bytes */
#define QVAULT_LABEL_NH_AES	"qvault block nh aes"	/* 32 bytes */

#define QVAULT_NH_KEY_SIZE	1088u	/* 16 of Poly1305, then 1072 of NH */

#endif
