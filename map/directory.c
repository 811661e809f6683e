/* directory.c - directories and the pool that keeps their memory.
 *
 *      hash   = | shard | index (depth bits) | ...  low half: bucket, tag |
 *      slots[index] -> segment; a segment with fewer bits than depth stands in 2^(depth - bits) neighbouring slots
 *
 * Always: a directory that was published once stays readable until the map is freed.
 * On failure: directory_get gives NULL and nothing has changed.
 */
#include "map/directory.h"

#include "map/memory.h"

size_t directory_bytes(const struct directory *directory) {
    return sizeof *directory + (sizeof directory->slots[0] << directory->depth);
}

struct directory *directory_get(struct directory_pool *pool, const struct strobe_allocator *allocator,
                                uint32_t shard_bits, uint32_t depth) {
    struct directory *directory = pool->spare[depth];
    uint32_t bits = shard_bits + depth;

    if (directory) {
        pool->spare[depth] = directory->next;
        return directory;
    }
    directory = memory_alloc(allocator, sizeof *directory + (sizeof directory->slots[0] << depth), MEMORY_WORD);
    if (!directory) return NULL;
    directory->last = (UINT32_C(1) << depth) - 1;
    directory->depth = (uint8_t)depth;
    directory->shift = (uint8_t)(bits ? 64 - bits : 0); /* without bits there is one slot, whatever the hash */
    for (size_t i = 0; i < (size_t)1 << depth; i++) atomic_init(&directory->slots[i], 0);
    return directory;
}

void directory_put(struct directory_pool *pool, struct directory *directory) {
    directory->next = pool->spare[directory->depth];
    pool->spare[directory->depth] = directory;
}

void directory_pool_fini(struct directory_pool *pool, const struct strobe_allocator *allocator) {
    for (uint32_t depth = 0; depth <= DIRECTORY_DEPTH_MAX; depth++) {
        for (struct directory *d = pool->spare[depth], *next; d; d = next) {
            next = d->next;
            memory_release(allocator, d, directory_bytes(d), MEMORY_WORD);
        }
        pool->spare[depth] = NULL;
    }
}
