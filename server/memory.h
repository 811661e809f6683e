/* memory.h - the allocator behind everything, and what it can tell.
 *
 * jemalloc is linked as malloc. With STROBE_LIBC_MALLOC (sanitizer builds) libc's takes its place. */
#ifndef STROBE_SERVER_MEMORY_H
#define STROBE_SERVER_MEMORY_H

#include <stdint.h>

#include "map/map.h"

/* Sets jemalloc up for a server: background threads that give memory back, short decay. Once, at start. */
void memory_init(void);

/* For the map's entries and segments. Any thread. */
const struct strobe_allocator *memory_allocator(void);

/* What INFO, /metrics and MEMORY STATS show, in bytes; 0 where the allocator does not tell. */
struct memory_figures {
    uint64_t allocated; /* by malloc's callers */
    uint64_t active;    /* pages with allocations in them */
    uint64_t mapped;
    uint64_t pages;    /* resident by the allocator's own account */
    uint64_t retained; /* given back to the system, address space kept */
    uint64_t resident; /* by the system's account (RSS), also under libc's malloc */
};
void memory_figures(struct memory_figures *figures);

/* The size of the block that the allocator gives the map for SIZE bytes. Any thread. */
size_t memory_block(size_t size);

/* Gets what the allocator needs for the calling thread, while there is memory: jemalloc 5.3 crashes where there is none
 * left. Every thread that allocates calls it first, before the server says that it is ready. */
void memory_prepare_thread(void);

/* The same for a thread that does now and then what no loop should do, mostly to free. It keeps nothing of what
 * it frees for itself: that would hold the pages of thousands of blocks that lay all over memory. One thread at a time:
 * then they all do with what the first one gets. */
void memory_prepare_helper(void);

/* Gives what the calling thread keeps for its next allocations back to the allocator. */
void memory_forget_cached(void);

/* Gives every page that nothing uses back to the system: milliseconds, and more for gigabytes. Any thread. */
void memory_purge(void);

/* Shows PIECE the allocator's own report, a piece of text at a time. false: it has none. */
bool memory_report(void (*piece)(void *context, const char *text), void *context);

/* What this process may use: the machine's memory or its cgroup's limit, whichever is less. */
uint64_t memory_total(void);

/* "jemalloc-5.3.0" or "libc". Borrowed for ever. */
const char *memory_allocator_name(void);

#endif
