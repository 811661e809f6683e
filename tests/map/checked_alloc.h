/* checked_alloc.h - an allocator for tests: counts what is out, checks sizes, and fails when it is told to. */
#ifndef TESTS_CHECKED_ALLOC_H
#define TESTS_CHECKED_ALLOC_H

#include <stdatomic.h>
#include <stdint.h>

#include "map/map.h"

struct checked_alloc {
    struct strobe_allocator allocator; /* give this one to the map */
    atomic_size_t live;                /* allocations not yet released */
    atomic_size_t bytes;
    atomic_size_t calls;
    size_t fail_at;       /* the call with this number fails, 0 = none; counted by `calls`, from 1 */
    bool fail_all_from;   /* so do all later ones */
    unsigned fail_one_in; /* one in so many fails at random, 0 = none */
    uint64_t random;
};

void checked_alloc_init(struct checked_alloc *checked);

#endif
