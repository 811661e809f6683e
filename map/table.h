/* table.h - a shard's entries: a directory of segments that split and merge, and the copies snapshots need. */
#ifndef STROBE_MAP_TABLE_H
#define STROBE_MAP_TABLE_H

#include "map/copies.h"
#include "map/directory.h"
#include "map/hash.h"

/* What a table may have to ask its map. */
struct table_world {
    const struct strobe_allocator *allocator;
    struct hash_key hash;
    uint32_t shard_bits; /* high bits of the hash that chose the shard */
    struct snapshots *snapshots;
};

struct table {
    _Atomic(struct directory *) directory; /* written under the lock; way_to reads it without */
    uint64_t prefix;                       /* the shard's */
    uint64_t born SHARD_GUARDED;           /* it shows the snapshots after this one ... */
    uint64_t until SHARD_GUARDED;          /* ... up to this one: UINT64_MAX while it lives, set by a flush */
    uint64_t held;                         /* bytes counted as held for snapshots since it was flushed */
    uint64_t segment_bytes SHARD_GUARDED;
    uint64_t slots SHARD_GUARDED;
    uint32_t deepest SHARD_GUARDED; /* segments with as many bits as the directory has */
    uint32_t segments SHARD_GUARDED;
    uint64_t splits SHARD_GUARDED, merges SHARD_GUARDED, resizes SHARD_GUARDED, copies_made SHARD_GUARDED;
    uint32_t pins SHARD_GUARDED; /* snapshot readers at work in it: each writes it, so not in the directory's line */
    struct copies copies;
    struct table *next; /* the flushed ones of a shard */
};

static_assert(offsetof(struct table, pins) >= 64, "pins are not in the line of the directory");

/* One empty segment, marked BORN. On failure (NO_MEMORY) there is nothing to undo. */
enum strobe_status table_init(struct table *table, const struct table_world *world, struct directory_pool *pool,
                              uint64_t prefix, uint64_t born) STROBE_INSIDE;

/* FRESH, newly made, becomes LIVE, and FRESH is left what LIVE was: the table for the snapshots up to INSTANT, the
 * clock's value. (Not up to the newest open one: one that was revoked but is being read still finds its table.) */
void table_swap(struct table *live, struct table *fresh, uint64_t instant) STROBE_INSIDE;

/* Frees all entries, segments and copies of a table nobody else knows any more. */
void table_fini(struct table *table, const struct table_world *world) LOCK_UNCHECKED;

/* The directory's word for HASH: the segment and its class. */
static inline uint64_t table_word(const struct table *table, uint64_t hash) {
    /* Under the lock, or in a flushed table, which does not change. */
    const struct directory *directory = atomic_load_explicit(&table->directory, memory_order_relaxed);

    return directory_word(directory, directory_index(directory, hash));
}

static inline struct segment *table_segment(const struct table *table, uint64_t hash) {
    return directory_segment(table_word(table, hash));
}

/* Makes sure that what SEGMENT holds now stays readable for all snapshots up to NEWEST, so that it can
 * be changed, or read for them. VERSION is the shard's counter. Results: OK, NO_MEMORY. */
enum strobe_status table_freeze_now(struct table *table, const struct table_world *world, struct segment *segment,
                                    uint64_t newest, uint64_t version) STROBE_INSIDE;

STROBE_INSIDE static inline enum strobe_status table_freeze(struct table *table, const struct table_world *world,
                                                            struct segment *segment, uint64_t newest,
                                                            uint64_t version) {
    return newest <= segment->mark ? STROBE_OK : table_freeze_now(table, world, segment, newest, version);
}

/* The segment for one more entry of HASH, with room for it: *SEGMENT, frozen, grows or splits when it is full.
 * Results: OK, NO_MEMORY (unchanged). */
enum strobe_status table_make_room(struct table *table, const struct table_world *world, struct directory_pool *pool,
                                   uint64_t hash, struct segment **segment) STROBE_INSIDE;

/* After SEGMENT, frozen for NEWEST, has lost entries: makes it smaller, or merges it with its neighbour, if worth it
 * and if there is memory. SEGMENT may be gone afterwards. */
void table_shrink(struct table *table, const struct table_world *world, struct directory_pool *pool,
                  struct segment *segment, uint64_t newest, uint64_t version) STROBE_INSIDE;

#endif
