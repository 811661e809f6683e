/* directory.h - the array that leads from a hash's bits to a segment. */
#ifndef STROBE_MAP_DIRECTORY_H
#define STROBE_MAP_DIRECTORY_H

#include <stdatomic.h>

#include "map/segment.h"

#define DIRECTORY_DEPTH_MAX 24u

/* A slot is a segment's address with its class in the low bits, so that a bucket's address is known before the
 * segment's memory is read. Slots are atomic because way_to reads them without the lock: relaxed order is enough, what
 * it reads is only asked for, and followed under the lock when it is still so (way_holds). */
struct directory {
    struct directory *next; /* among the spare ones */
    /* These three are the same for its whole life. */
    uint32_t last; /* number of the last slot: 2^depth - 1 */
    uint8_t depth;
    uint8_t shift; /* hash >> shift has the slot's number in its low bits, the shard's above */
    _Atomic uint64_t slots[];
};

/* Directories that were used and are not. A directory's memory is never given back before the map is freed, so that
 * who came without the lock (way.h) can read the one it found a moment ago. There are never more of a depth than were
 * used at once. */
struct directory_pool {
    struct directory *spare[DIRECTORY_DEPTH_MAX + 1] SHARD_GUARDED;
};

/* A directory of DEPTH with undefined slots, or NULL. SHARD_BITS is how many high bits of the hash chose the shard, and
 * the same for all of a pool. */
struct directory *directory_get(struct directory_pool *pool, const struct strobe_allocator *allocator,
                                uint32_t shard_bits, uint32_t depth) STROBE_INSIDE;
void directory_put(struct directory_pool *pool, struct directory *directory) STROBE_INSIDE;
void directory_pool_fini(struct directory_pool *pool, const struct strobe_allocator *allocator) STROBE_INSIDE;
size_t directory_bytes(const struct directory *directory);

/* The slot of HASH. */
static inline size_t directory_index(const struct directory *directory, uint64_t hash) {
    return (size_t)(hash >> directory->shift) & directory->last;
}

static inline uint64_t directory_word(const struct directory *directory, size_t index) {
    return atomic_load_explicit(&directory->slots[index], memory_order_relaxed);
}

static inline void directory_set(struct directory *directory, size_t index, const struct segment *segment) {
    atomic_store_explicit(&directory->slots[index], (uint64_t)(uintptr_t)segment | segment->class,
                          memory_order_relaxed);
}

static inline struct segment *directory_segment(uint64_t word) {
    return (struct segment *)(uintptr_t)(word & ~(uint64_t)(SEGMENT_CLASSES - 1));
}

static inline unsigned directory_class(uint64_t word) {
    return (unsigned)(word & (SEGMENT_CLASSES - 1));
}

#endif
