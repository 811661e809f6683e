/* map_private.h - the map's inside, for the files of this folder that work on all of it. */
#ifndef STROBE_MAP_PRIVATE_H
#define STROBE_MAP_PRIVATE_H

#include "map/snapshot.h"
#include "map/table.h"

#define VIGIL_LISTS 64u /* by low bits of the hash */

/* What a usual operation writes is in the line of the lock, and what each reads before it has the lock is not: else the
 * look at the directory would take the lock's line from the processor that has it, and the lock would have to take it
 * once more. */
struct strobe_shard {
    _Alignas(64) struct lock lock;
    uint32_t doubt SHARD_GUARDED;   /* see single.c, as for `doubting` */
    uint64_t version SHARD_GUARDED; /* the last one given */
    uint64_t vigils SHARD_GUARDED;  /* how many there are: nearly always none */
    uint64_t count SHARD_GUARDED;   /* live entries, their bytes, and how many of them can expire */
    uint64_t entry_bytes SHARD_GUARDED;
    uint64_t expiring SHARD_GUARDED;
    uint64_t expired SHARD_GUARDED; /* swept since the start */
    _Alignas(64) struct table live;
    struct table *flushed SHARD_GUARDED; /* older tables that snapshots still need */
    atomic_bool doubting;                /* sets do not try to write over; written seldom, and so in no busy line */
    struct directory_pool pool;
    struct strobe_vigil *vigils_of[VIGIL_LISTS] SHARD_GUARDED;
};
static_assert(offsetof(struct strobe_shard, live.directory) / 64 > offsetof(struct strobe_shard, expired) / 64,
              "the directory is not in the line of the lock");

struct strobe_map {
    struct table_world world;
    uint32_t shard_count;
    bool modern; /* single.c's choice, by processor and hash */
    struct snapshots snapshots;
    struct strobe_shard *shards;
};

const struct strobe_allocator *map_allocator(const struct strobe_map *map);

static inline uint32_t map_shard_index(const struct strobe_map *map, uint64_t hash) {
    return (uint32_t)(hash >> 1 >> (63 - map->world.shard_bits));
}

static inline struct strobe_shard *map_shard(const struct strobe_map *map, uint64_t hash) {
    return &map->shards[map_shard_index(map, hash)];
}

/* Locks one shard by itself. For the compiler it is the same class as strobe_enter's. */
STROBE_ENTERS LOCK_UNCHECKED static inline void shard_enter(struct strobe_shard *shard) {
    lock_enter(&shard->lock);
}

SHARD_TRIES LOCK_UNCHECKED static inline bool shard_try(struct strobe_shard *shard) {
    return lock_try(&shard->lock);
}

STROBE_LEAVES LOCK_UNCHECKED static inline void shard_leave(struct strobe_shard *shard) {
    lock_leave(&shard->lock);
}

/* A set has been done, and was not tried in vain. */
STROBE_INSIDE static inline void shard_set_done(struct strobe_shard *shard) {
    if (USUAL(!shard->doubt) || --shard->doubt > 0) return;
    if (atomic_load_explicit(&shard->doubting, memory_order_relaxed)) /* else its line would be written for nothing */
        atomic_store_explicit(&shard->doubting, false, memory_order_relaxed);
}

/* table_freeze of a live SEGMENT that is to be changed: where there is no memory, the snapshots that need the copy are
 * closed if all are idle. */
enum strobe_status shard_freeze_now(struct strobe_map *map, struct strobe_shard *shard, struct segment *segment,
                                    uint64_t newest) STROBE_INSIDE;

STROBE_INSIDE static inline enum strobe_status shard_freeze(struct strobe_map *map, struct strobe_shard *shard,
                                                            struct segment *segment, uint64_t newest) {
    return newest <= segment->mark ? STROBE_OK : shard_freeze_now(map, shard, segment, newest);
}

/* Takes the entry in SLOT out of SEGMENT, which is frozen for NEWEST. Gives it back unless a copy keeps it (NULL). */
struct strobe_entry *shard_take_out(struct strobe_map *map, struct strobe_shard *shard, struct segment *segment,
                                    segment_slot slot, uint64_t hash) STROBE_INSIDE;

/* Results: true: no copy names ENTRY of SEGMENT, which is frozen for the newest snapshot: it may be written over, or
 * freed once it is out of the map. False: a copy needs it as it is. */
bool shard_let_go(struct strobe_map *map, struct strobe_shard *shard, const struct segment *segment, uint64_t hash,
                  const struct strobe_entry *entry) STROBE_INSIDE;

/* Ends the vigils of SHARD that are for HASH: something is put there. */
void shard_end_vigils(struct strobe_shard *shard, uint64_t hash) STROBE_INSIDE;

/* Takes FIRST, a list of flushed tables that nobody needs any more, apart. Outside of locks, may take long. */
void map_free_tables(struct strobe_map *map, struct table *first);

/* Whether strobe_get and strobe_set may take what is compiled for processors with AES, AVX2 and BMI. */
bool single_modern(const struct strobe_map *map);

#endif
