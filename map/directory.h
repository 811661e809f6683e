/* directory.h - the array that leads from a hash's bits to a segment. */
#ifndef STROBE_MAP_DIRECTORY_H
#define STROBE_MAP_DIRECTORY_H

#include <stdatomic.h>

#include "map/segment.h"

#define DIRECTORY_DEPTH_MAX 24u

/* A slot is a segment's address with its class in the low bits, so that a bucket's address is known before the
 * segment's memory is read. Slots are atomic only because strobe_prefetch reads them without the lock:
 * relaxed order is enough, what it reads is a hint and is never followed. */
struct directory {
    struct directory *next; /* among the spare ones */
    uint32_t last; /* 2^depth slots, this is the last's number; like the next two the same for its whole life */
    uint8_t depth;
    uint8_t shift; /* right, of a hash: its low bits are then the slot's number, the bits of the shard above */
    _Atomic uint64_t slots[];
};

/* Directories that were used and are not. A directory's memory is never given back before the map is freed, so that
 * strobe_prefetch can read the one it found a moment ago. There are never more of a depth than were used at once. */
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
