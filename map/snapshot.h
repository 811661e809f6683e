/* snapshot.h - the map's clock and the list of open snapshots. */
#ifndef STROBE_MAP_SNAPSHOT_H
#define STROBE_MAP_SNAPSHOT_H

#include "map/lock.h"
#include "map/map.h"

/* The clock is one number: milliseconds in the upper 44 bits, below them a count, so that two snapshots
 * of one millisecond differ. A snapshot's number is the clock's value at its instant. */
#define CLOCK_COUNT_BITS 20

struct strobe_snapshot {
    struct strobe_map *map;
    struct strobe_snapshot *older, *newer; /* in the list, while listed */
    uint64_t number;
    struct strobe_position kept SNAPSHOTS_GUARDED; /* nothing before is read again */
    uint64_t used_ms SNAPSHOTS_GUARDED;            /* last read */
    bool keep;
    bool finished SNAPSHOTS_GUARDED; /* was read to its end */
    bool listed SNAPSHOTS_GUARDED;   /* open, and not revoked */
    /* Written under the snapshots' lock before the memory is taken back under the shards' locks; readers look at
     * it under a shard's lock, so relaxed order is enough. */
    atomic_bool revoked;
};

struct snapshots {
    /* Every command reads this line, opening a snapshot and a new millisecond write it. */
    _Alignas(64) _Atomic uint64_t clock;
    _Atomic uint64_t pending; /* the number a snapshot is about to get, 0 = none */
    _Atomic uint64_t newest;  /* the newest open snapshot, 0 = none */

    _Alignas(64) struct lock lock;
    struct strobe_snapshot *first SNAPSHOTS_GUARDED, *last SNAPSHOTS_GUARDED; /* oldest, newest */
    uint32_t count SNAPSHOTS_GUARDED;
    uint32_t max;
    uint64_t memory_max;   /* 0: no limit */
    _Atomic uint64_t held; /* bytes held for snapshots alone; a statistic, relaxed */
    uint64_t (*now_ms)(void *context);
    void *now_context;

    /* Written only when one is closed by a limit, for those who look often whether there is something to give back. */
    _Alignas(64) _Atomic uint64_t revoked; /* closed by a limit, since the start; written inside the lock, relaxed */
    _Atomic uint64_t reaped;               /* of those, whose memory strobe_map_maintain has given back */
};

/* One consistent look: the clock, and the newest snapshot open at that value. Called with all the locks of an
 * access held. */
static inline void snapshots_instant(struct snapshots *snapshots, uint64_t *instant, uint64_t *newest) {
    uint64_t clock, pending, open;

    do {
        /* Acquire, in this order: who sees the clock moved by an opener sees its pending number or, when that is
         * gone, its newest. */
        clock = atomic_load_explicit(&snapshots->clock, memory_order_acquire);
        pending = atomic_load_explicit(&snapshots->pending, memory_order_acquire);
        open = atomic_load_explicit(&snapshots->newest, memory_order_acquire);
    } while (open > clock);
    if (pending <= clock && pending > open) open = pending;
    *instant = clock;
    *newest = open;
}

uint64_t snapshots_tick(struct snapshots *snapshots);

/* Whether an open snapshot s with AFTER < s <= MARK may still read before END (0: the end of all). */
bool snapshots_need(struct snapshots *snapshots, uint64_t after, uint64_t mark, uint64_t end) SNAPSHOTS_OUTSIDE;

/* Counts BYTES more (or, as 0 - bytes, less) as held, and closes snapshots when that is too much. Inside shard
 * locks. */
void snapshots_hold(struct snapshots *snapshots, uint64_t bytes) SNAPSHOTS_OUTSIDE;

/* When there is no memory for a copy: closes those that need it (see snapshots_need) if each may be closed, as one that
 * is idle may. Results: false: nothing was done. Inside shard locks. */
bool snapshots_close_needing(struct snapshots *snapshots, uint64_t after, uint64_t mark,
                             uint64_t end) SNAPSHOTS_OUTSIDE;

/* When BYTES more, of a flushed table, would be too much: closes the snapshot that matters least, also one in use.
 * Results: false: they are not too much, or there is none to close. Inside shard locks. */
bool snapshots_make_room(struct snapshots *snapshots, uint64_t bytes) SNAPSHOTS_OUTSIDE;

#endif
