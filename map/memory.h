/* memory.h - the caller's allocator, called in one way everywhere in the map. */
#ifndef STROBE_MAP_MEMORY_H
#define STROBE_MAP_MEMORY_H

#include "map/map.h"

#define MEMORY_LINE 64u /* bytes of a cache line: alignment of segments and shards */
#define MEMORY_WORD 16u /* alignment of everything else; an entry's address has four bits to spare */

static inline void *memory_alloc(const struct strobe_allocator *a, size_t size, size_t align) {
    return a->alloc(a->context, size, align);
}

static inline void memory_release(const struct strobe_allocator *a, void *memory, size_t size, size_t align) {
    if (memory) a->release(a->context, memory, size, align);
}

#endif
