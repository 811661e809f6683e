/* memory.c - jemalloc as the process's malloc: how it is set up, and its figures.
 *
 * Entries and segments are taken with mallocx and given back with their size (sdallocx), which spares jemalloc the
 * look-up of a size that the map knows. Background threads purge, so that no loop pays for it and an idle server
 * shrinks. On failure: a setting that jemalloc refuses is left as it is; figures it does not have are 0.
 * Not here: limits (conn.c counts buffers, map/ what snapshots hold).
 */
#include "server/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STROBE_LIBC_MALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

#ifndef STROBE_LIBC_MALLOC

/* Pages unused for this long go back to the system: soon enough to see, late enough to be used again by the next
 * burst. */
enum { DIRTY_DECAY_MS = 1000, MUZZY_DECAY_MS = 0 };

static void set_decay(const char *defaults, const char *existing, ssize_t ms) {
    mallctl(defaults, NULL, NULL, &ms, sizeof ms);
    mallctl(existing, NULL, NULL, &ms, sizeof ms);
}

void memory_init(void) {
    bool on = true;

    set_decay("arenas.dirty_decay_ms", "arena.0.dirty_decay_ms", DIRTY_DECAY_MS);
    set_decay("arenas.muzzy_decay_ms", "arena.0.muzzy_decay_ms", MUZZY_DECAY_MS);
    mallctl("background_thread", NULL, NULL, &on, sizeof on);
}

static void *map_alloc(void *context, size_t size, size_t align) {
    (void)context;
    return align <= 16 ? malloc(size) : mallocx(size, MALLOCX_ALIGN(align));
}

static void map_release(void *context, void *memory, size_t size, size_t align) {
    (void)context;
    sdallocx(memory, size, align <= 16 ? 0 : MALLOCX_ALIGN(align));
}

static bool map_shrink(void *context, void *memory, size_t size, size_t smaller, size_t align) {
    int flags = align <= 16 ? 0 : MALLOCX_ALIGN(align);

    (void)context;
    (void)size;
    return xallocx(memory, smaller, 0, flags) == nallocx(smaller, flags);
}

static uint64_t figure(const char *name) {
    size_t value = 0;
    size_t len = sizeof value;

    return mallctl(name, &value, &len, NULL, 0) == 0 ? value : 0;
}

static void allocator_figures(struct memory_figures *figures) {
    uint64_t epoch = 1;
    size_t len = sizeof epoch;

    mallctl("epoch", &epoch, &len, &epoch, sizeof epoch);
    figures->allocated = figure("stats.allocated");
    figures->active = figure("stats.active");
    figures->mapped = figure("stats.mapped");
    figures->pages = figure("stats.resident");
    figures->retained = figure("stats.retained");
}

#define STRINGIFY(x) #x
#define STRING(x)    STRINGIFY(x)

size_t memory_block(size_t size) {
    return nallocx(size, MALLOCX_ALIGN(16));
}

/* A thread has its arena from its first allocation on. */
void memory_prepare_thread(void) {
    void *volatile first = malloc(1); /* volatile: else both calls are left out */

    free(first);
}

void memory_prepare_helper(void) {
    unsigned shared = 0;
    bool caches = false;

    memory_prepare_thread();
    mallctl("thread.tcache.enabled", NULL, NULL, &caches, sizeof caches);
    mallctl("thread.arena", NULL, NULL, &shared, sizeof shared); /* and its own goes to the next thread that asks */
}

void memory_forget_cached(void) {
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

void memory_purge(void) {
    mallctl("arena." STRING(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
}

bool memory_report(void (*piece)(void *context, const char *text), void *context) {
    malloc_stats_print(piece, context, NULL);
    return true;
}

const char *memory_allocator_name(void) {
    return "jemalloc-" STRING(JEMALLOC_VERSION_MAJOR) "." STRING(JEMALLOC_VERSION_MINOR) "." STRING(
        JEMALLOC_VERSION_BUGFIX);
}

#else

void memory_init(void) {}

static void *map_alloc(void *context, size_t size, size_t align) {
    (void)context;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void map_release(void *context, void *memory, size_t size, size_t align) {
    (void)context;
    (void)size;
    (void)align;
    free(memory);
}

/* libc's realloc may move. */
static bool map_shrink(void *context, void *memory, size_t size, size_t smaller, size_t align) {
    (void)context;
    (void)memory;
    (void)size;
    (void)smaller;
    (void)align;
    return false;
}

static void allocator_figures(struct memory_figures *figures) {
    struct mallinfo2 info = mallinfo2();

    figures->allocated = info.uordblks + info.hblkhd;
    figures->active = figures->mapped = figures->pages = info.arena + info.hblkhd;
}

/* glibc's: a word before it, in steps of 16, never less than 32; libsanitizer's are similar. */
size_t memory_block(size_t size) {
    size_t block = (size + sizeof(size_t) + 15) & ~(size_t)15;
    return block < 32 ? 32 : block;
}

void memory_prepare_thread(void) {}

void memory_prepare_helper(void) {}

void memory_forget_cached(void) {}

void memory_purge(void) {
    malloc_trim(0);
}

bool memory_report(void (*piece)(void *context, const char *text), void *context) {
    (void)piece;
    (void)context;
    return false;
}

const char *memory_allocator_name(void) {
    return "libc";
}

#endif

static const struct strobe_allocator map_allocator = {map_alloc, map_release, NULL, map_shrink};

const struct strobe_allocator *memory_allocator(void) {
    return &map_allocator;
}

/* Reads the decimal number at field FIELD (from 0) of the first line of PATH; false when it has none. */
static bool read_number(const char *path, int field, uint64_t *value) {
    char line[256];
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    char *text = fgets(line, sizeof line, file);
    fclose(file);
    for (; text != NULL && field > 0; field--) {
        text = strchr(text, ' ');
        if (text != NULL) text++;
    }
    if (text == NULL) return false;
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (end == text) return false;
    *value = number;
    return true;
}

static uint64_t page_size(void) {
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (uint64_t)size : 4096;
}

void memory_figures(struct memory_figures *figures) {
    uint64_t pages = 0;

    memset(figures, 0, sizeof *figures);
    allocator_figures(figures);
    if (read_number("/proc/self/statm", 1, &pages)) figures->resident = pages * page_size();
}

uint64_t memory_total(void) {
    /* cgroup v2 as a container sees its own root, v2 of a systemd unit's parent is not looked at; then v1. */
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t total = pages > 0 ? (uint64_t)pages * page_size() : UINT64_C(1) << 30;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t limit;
        if (read_number(limits[i], 0, &limit) && limit > 0 && limit < total) total = limit;
    }
    return total;
}
