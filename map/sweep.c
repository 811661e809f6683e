/* sweep.c - walks over the live map segment by segment: expired entries are taken back, a random one is found.
 *
 * A place in the walk is a hash prefix, so that splits and merges between two steps do not matter: each step locks
 * one shard, works on the segment that covers the place, and goes on behind it. A segment knows a time before which
 * nothing in it expires, and slots say which entries expire at all, so a step over what needs nothing touches no
 * entry.
 *
 * Always: the sweep is a writer like any other: it looks at the clock under the lock and freezes first.
 * On failure: a segment that cannot be frozen for lack of memory is left for the next round.
 */
#include "map/entry.h"
#include "map/hash.h"
#include "map/map_private.h"

/* Entries taken out under the lock, to be freed outside. */
struct swept {
    uint32_t count;
    struct strobe_entry *entries[SEGMENT_SLOTS_MAX];
};

static uint64_t hash_of(const struct strobe_map *map, const struct strobe_entry *entry) {
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    return hash_bytes(&map->world.hash, key, len);
}

STROBE_INSIDE static size_t sweep_segment(struct strobe_map *map, struct strobe_shard *shard, struct segment *segment,
                                          struct swept *swept) {
    uint64_t earliest = UINT64_MAX, instant, newest, now;
    size_t taken = 0;

    snapshots_instant(&map->snapshots, &instant, &newest);
    now = instant >> CLOCK_COUNT_BITS;
    if (segment->earliest > now || shard_freeze(map, shard, segment, newest) != STROBE_OK) return 0;
    for (segment_slot slot = 0; slot < (segment_slot)segment_slots(segment->class); slot++) {
        const struct strobe_entry *entry = segment_entry(segment, slot);
        uint64_t expiry;

        if (!(segment_word(segment, slot) & SLOT_EXPIRES)) continue;
        expiry = strobe_entry_expiry(entry);
        if (expiry <= now) {
            struct strobe_entry *old = shard_take_out(map, shard, segment, slot, hash_of(map, entry));

            taken++;
            if (old) swept->entries[swept->count++] = old;
        } else if (expiry < earliest) {
            earliest = expiry;
        }
    }
    segment->earliest = earliest;
    shard->expired += taken;
    if (taken) table_shrink(&shard->live, &map->world, &shard->pool, segment, newest, shard->version);
    return taken;
}

size_t strobe_sweep(struct strobe_map *map, uint64_t *place, unsigned segments) {
    size_t taken = 0;

    while (segments-- > 0) {
        struct strobe_shard *shard = map_shard(map, *place);
        struct segment *segment;
        struct swept swept;

        swept.count = 0;
        shard_enter(shard);
        if (shard->expiring) {
            segment = table_segment(&shard->live, *place);
            *place = range_end(segment->prefix, segment->bits);
            taken += sweep_segment(map, shard, segment, &swept);
        } else {
            *place = range_end(shard->live.prefix, map->world.shard_bits);
        }
        shard_leave(shard);
        for (uint32_t i = 0; i < swept.count; i++) strobe_entry_free(map, swept.entries[i]);
    }
    return taken;
}

/* ---- A random entry ---------------------------------------------------------------------------- */

#define RANDOM_TRIES 64 /* before counting one out: enough unless the map is nearly empty */

static uint64_t next_random(uint64_t *state) {
    return hash_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* A search for an entry that was alive at NOW. */
struct search {
    struct strobe_map *map;
    uint64_t random; /* the generator's state */
    uint64_t place;
    uint64_t skip;   /* look_on: entries to be passed before one is taken */
    uint64_t walked; /* look_on: shards left behind */
    uint64_t now;
};

STROBE_INSIDE static const struct strobe_entry *alive(const struct search *search, const struct segment *segment,
                                                      uint32_t slot) {
    const struct strobe_entry *entry = segment_entry(segment, (segment_slot)slot);

    return entry && !entry_dead(entry, search->now) ? entry : NULL;
}

/* Two kinds of steps, in SHARD, which holds the search's place; both move it. NULL: nothing was found there. */

/* Looks at a random slot of the segment there, and moves to a random place. Entries of a segment that has split lately
 * are up to half as likely as others: nobody needs better of RANDOMKEY, and exactness would cost a walk. */
STROBE_INSIDE static const struct strobe_entry *look_anywhere(struct search *search, const struct strobe_shard *shard) {
    const struct segment *segment = table_segment(&shard->live, search->place);
    uint32_t slot = (uint32_t)(next_random(&search->random) % SEGMENT_SLOTS_MAX);

    search->place = next_random(&search->random);
    return slot < segment_slots(segment->class) ? alive(search, segment, slot) : NULL;
}

/* Looks at one segment, or shard, after the other, for the first one alive behind those to be passed. */
STROBE_INSIDE static const struct strobe_entry *look_on(struct search *search, const struct strobe_shard *shard) {
    const struct segment *segment = table_segment(&shard->live, search->place);
    bool whole = search->place == shard->live.prefix && search->skip >= shard->count;
    uint64_t next = whole ? range_end(shard->live.prefix, search->map->world.shard_bits)
                          : range_end(segment->prefix, segment->bits);
    const struct strobe_entry *entry = NULL;

    if (whole || search->skip >= segment->count) {
        search->skip -= whole ? shard->count : segment->count;
    } else {
        for (uint32_t slot = 0; !entry && slot < segment_slots(segment->class); slot++) {
            if (!segment_entry(segment, (segment_slot)slot)) continue;
            if (search->skip > 0)
                search->skip--;
            else
                entry = alive(search, segment, slot);
        }
    }
    search->walked += next == 0 || map_shard_index(search->map, next) != map_shard_index(search->map, search->place);
    if (search->walked >= search->map->shard_count) search->skip = 0; /* fewer are left than were counted */
    search->place = next;
    return entry;
}

/* The search goes on from one of COUNT entries, as many as there are. */
static void begin_walk(struct search *search, uint64_t count) {
    search->place = 0;
    search->skip = count ? next_random(&search->random) % count : 0;
}

/* Once to where it begins and to the end, and once more for those before: some may have expired, or gone meanwhile. */
static bool walking(const struct search *search) {
    return search->walked < 2 * (uint64_t)search->map->shard_count;
}

enum strobe_status strobe_random(struct strobe_map *map, uint64_t random,
                                 void (*visit)(void *context, const struct strobe_entry *entry), void *context) {
    struct search search = {.map = map, .random = random};
    bool found = false;

    search.place = next_random(&search.random);
    for (unsigned tries = 0; !found && walking(&search); tries++) {
        struct strobe_shard *shard;
        const struct strobe_entry *entry;
        uint64_t instant, newest;

        if (tries == RANDOM_TRIES) begin_walk(&search, strobe_count(map));
        shard = map_shard(map, search.place);
        shard_enter(shard);
        snapshots_instant(&map->snapshots, &instant, &newest);
        search.now = instant >> CLOCK_COUNT_BITS;
        entry = tries < RANDOM_TRIES ? look_anywhere(&search, shard) : look_on(&search, shard);
        found = entry != NULL;
        if (entry) visit(context, entry);
        shard_leave(shard);
    }
    return found ? STROBE_OK : STROBE_MISSING;
}

enum strobe_status strobe_random_inside(struct strobe_access *access, uint64_t random,
                                        void (*visit)(void *context, const struct strobe_entry *entry), void *context) {
    struct search search = {.map = access->map, .random = random, .now = strobe_access_now(access)};
    const struct strobe_entry *entry = NULL;

    search.place = next_random(&search.random);
    for (unsigned tries = 0; !entry && walking(&search); tries++) {
        struct strobe_shard *shard;

        if (tries == RANDOM_TRIES) begin_walk(&search, strobe_count_inside(access));
        shard = map_shard(access->map, search.place);
        lock_assert_held(&shard->lock);
        entry = tries < RANDOM_TRIES ? look_anywhere(&search, shard) : look_on(&search, shard);
    }
    if (entry) visit(context, entry);
    return entry ? STROBE_OK : STROBE_MISSING;
}
