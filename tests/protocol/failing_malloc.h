/* failing_malloc.h - lets a chosen allocation of the code under test fail.
 *
 * For one .c of a test program that is linked with -Wl,--wrap=malloc -Wl,--wrap=realloc (Makefile.am). */
#ifndef STROBE_TESTS_PROTOCOL_FAILING_MALLOC_H
#define STROBE_TESTS_PROTOCOL_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t allocations_to_go = SIZE_MAX; /* before the one that fails */
static size_t allocations_made;
static size_t allocation_largest;

static bool allocation_fails(size_t size) {
    allocations_made++;
    allocation_largest = size > allocation_largest ? size : allocation_largest;
    if (allocations_to_go == SIZE_MAX) {
        return false;
    }
    return allocations_to_go-- == 0; /* wraps to SIZE_MAX: no further one fails */
}

void *__wrap_malloc(size_t size) {
    return allocation_fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size) {
    return allocation_fails(size) ? NULL : __real_realloc(old, size);
}

/* The allocation after N more fails, once. SIZE_MAX: none does. Counting starts anew. */
static inline void fail_allocation(size_t n) {
    allocations_to_go = n;
    allocations_made = 0;
    allocation_largest = 0;
}

/* Did the chosen allocation come (and fail)? */
static inline bool allocation_failed(void) {
    return allocations_to_go == SIZE_MAX;
}

#endif
