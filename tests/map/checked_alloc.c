/* checked_alloc.c - malloc with the size and the alignment written in front of each block.
 *
 * A release with another size, or of what was not allocated, aborts: the map promises to give back what it got.
 * With fail_at each allocation of an operation can be made to fail in turn. */
#include "tests/map/checked_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 64u
#define MAGIC  UINT64_C(0x7374726f62656d61)

struct header {
    uint64_t magic;
    size_t size, align;
};

static bool must_fail(struct checked_alloc *checked) {
    size_t call = atomic_fetch_add(&checked->calls, 1) + 1;

    if (checked->fail_at && (call == checked->fail_at || (checked->fail_all_from && call > checked->fail_at)))
        return true;
    if (checked->fail_one_in) {
        checked->random = checked->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        return (checked->random >> 33) % checked->fail_one_in == 0;
    }
    return false;
}

static void *take(void *context, size_t size, size_t align) {
    struct checked_alloc *checked = context;
    struct header *header;

    if (must_fail(checked)) return NULL;
    header = aligned_alloc(HEADER, HEADER + ((size + HEADER - 1) & ~(size_t)(HEADER - 1)));
    if (!header) return NULL;
    *header = (struct header){MAGIC, size, align};
    memset((char *)header + HEADER, 0xa5, size);
    atomic_fetch_add(&checked->live, 1);
    atomic_fetch_add(&checked->bytes, size);
    return (char *)header + HEADER;
}

static void check(const struct header *header, size_t size, size_t align) {
    if (header->magic == MAGIC && header->size == size && header->align == align) return;
    (void)fprintf(stderr, "released with size %zu align %zu, allocated with %zu %zu\n", size, align, header->size,
                  header->align);
    abort();
}

static bool shrink(void *context, void *memory, size_t size, size_t smaller, size_t align) {
    struct checked_alloc *checked = context;
    struct header *header = (struct header *)(void *)((char *)memory - HEADER);

    check(header, size, align);
    memset((char *)memory + smaller, 0x5a, size - smaller);
    header->size = smaller;
    atomic_fetch_sub(&checked->bytes, size - smaller);
    return true;
}

static void release(void *context, void *memory, size_t size, size_t align) {
    struct checked_alloc *checked = context;
    struct header *header = (struct header *)(void *)((char *)memory - HEADER);

    check(header, size, align);
    memset(memory, 0x5a, size);
    header->magic = 0;
    atomic_fetch_sub(&checked->live, 1);
    atomic_fetch_sub(&checked->bytes, size);
    free(header);
}

void checked_alloc_init(struct checked_alloc *checked) {
    memset(checked, 0, sizeof *checked);
    checked->allocator = (struct strobe_allocator){take, release, checked, shrink};
    checked->random = 1;
}
