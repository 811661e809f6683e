/* way.h - from a key's hash to its bucket and its entry: how every operation on one key begins.
 *
 *      hash -> shard -> directory -> slot | before the lock: read, and the bucket's line asked for
 *                                    slot | under the lock: looked at again, and followed
 */
#ifndef STROBE_MAP_WAY_H
#define STROBE_MAP_WAY_H

#include "map/map_private.h"

/* The way to a key's home bucket, read without the lock so that its memory can be asked for before the lock is taken.
 * The directory's memory stays (directory.h); what it says may be out of date, and is followed only after a second look
 * under the lock (way_holds). */
struct way {
    const struct directory *directory;
    const _Atomic uint64_t *slot;
    uint64_t word;
    struct bucket *home;
};

LOCK_UNCHECKED static inline struct way way_to(const struct strobe_shard *shard, uint64_t hash) {
    struct way way;

    /* Acquire: pairs with the release when a directory is put to use; its shift and last are read here. */
    way.directory = atomic_load_explicit(&shard->live.directory, memory_order_acquire);
    way.slot = &way.directory->slots[directory_index(way.directory, hash)];
    way.word = atomic_load_explicit(way.slot, memory_order_relaxed);
    way.home = segment_home_bucket(directory_segment(way.word), directory_class(way.word), hash);
    __builtin_prefetch(way.home);
    return way;
}

/* Under the lock: what the way led to is still so. */
STROBE_INSIDE static inline bool way_holds(const struct way *way, const struct strobe_shard *shard) {
    return atomic_load_explicit(&shard->live.directory, memory_order_relaxed) == way->directory &&
           atomic_load_explicit(way->slot, memory_order_relaxed) == way->word;
}

/* The shard of KEY, which the access must hold. */
STROBE_INSIDE static inline struct strobe_shard *access_shard(const struct strobe_access *access,
                                                              const struct strobe_key *key) {
    struct strobe_shard *shard = map_shard(access->map, key->hash);

    lock_assert_held(&shard->lock);
    return shard;
}

/* The entry of KEY, dead or alive. *EXPIRES tells whether that can change. */
STROBE_INSIDE static inline const struct strobe_entry *access_look(const struct strobe_access *access,
                                                                   const struct strobe_key *key, bool *expires) {
    uint64_t at = table_word(&access_shard(access, key)->live, key->hash), word;
    struct segment *segment = directory_segment(at);
    unsigned class = directory_class(at);
    const struct strobe_entry *entry;
    segment_slot slot;

    entry = segment_glance(segment_home_bucket(segment, class, key->hash), key, NULL);
    *expires = false; /* what a glance finds is plain */
    if (entry) return entry;
    word = segment_look(segment, class, key, &slot);
    *expires = word & SLOT_EXPIRES;
    return slot_entry(word);
}

/* strobe_put in an access of its own, for who has begun with way_to. In map.c. */
enum strobe_status way_put(struct strobe_map *map, struct strobe_shard *shard, const struct way *way,
                           const struct strobe_key *key, struct strobe_entry **entry) STROBE_OUTSIDE;

#endif
