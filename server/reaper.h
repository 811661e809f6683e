/* reaper.h - an allocator for the map that gives large blocks back on a thread of its own. */
#ifndef STROBE_SERVER_REAPER_H
#define STROBE_SERVER_REAPER_H

#include <stddef.h>
#include <stdint.h>

#include "map/map.h"

struct reaper;

/* Blocks of so many bytes and more go to the thread: from here on jemalloc gives the pages of each back to the system
 * at once (opt.oversize_threshold), 0.2 ms a MiB; smaller ones stay with it for the next that asks. */
#define REAPER_MIN ((size_t)8 << 20)

/* Makes a reaper that takes its memory from INNER (borrowed for its life). Blocks of at most MOST bytes together wait
 * for the thread; who releases more frees it himself. Owned by the caller. NULL without memory. */
struct reaper *reaper_new(const struct strobe_allocator *inner, uint64_t most);

/* Frees all that waits, ends the thread. Nothing may be using the allocator. NULL is allowed. */
void reaper_free(struct reaper *reaper);

/* For the map. Borrowed for the reaper's life; any thread. */
const struct strobe_allocator *reaper_allocator(const struct reaper *reaper);

/* Frees what waits, and returns when the thread too has nothing left. Any thread. */
void reaper_settle(struct reaper *reaper);

#endif
