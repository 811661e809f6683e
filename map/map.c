/* map.c - shards, the accesses that lock them, and what is done inside.
 *
 *      map -> shard (lock, version counter) -> table (directory) -> segment -> bucket -> entry
 *              chosen by the hash's high bits    next bits            low half of the hash
 *
 * Rules: an access takes all its locks, in ascending order, then looks at the clock once (snapshot.c says why), and
 * uses that for all it does. A segment is frozen before it is changed. Entries are made before the lock is taken and
 * freed after it is let go, by the caller.
 * On failure: NO_MEMORY means that nothing has changed; copies made on the way serve the next try.
 * Not here: growth (table.c), slots (segment.c), expiry's sweep (sweep.c), vigils (vigil.c), strobe_get, strobe_set and
 * strobe_del (single.c).
 */
#include "map/map.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "map/entry.h"
#include "map/memory.h"
#include "map/way.h"

#define SHARDS_DEFAULT    64u
#define FIRST_VERSION_MAX (UINT64_C(1) << 55) /* entries have 56 bits for a version */
#define SHARDS_MAX        1024u
#define SNAPSHOTS_DEFAULT 1024u

const char *strobe_status_text(enum strobe_status status) {
    static const char *const texts[] = {
#define STATUS_TEXT(name, text) [STROBE_##name] = (text),
        STROBE_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    };

    return (size_t)status < sizeof texts / sizeof texts[0] ? texts[status] : "unknown status";
}

/* ---- The map ---------------------------------------------------------------------------------- */

static void *libc_alloc(void *context, size_t size, size_t align) {
    (void)context;
    return align <= _Alignof(max_align_t) ? malloc(size) : aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void libc_release(void *context, void *memory, size_t size, size_t align) {
    (void)context;
    (void)size;
    (void)align;
    free(memory);
}

static uint64_t wall_us(void) {
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* fails only for clocks that do not exist */
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t wall_ms(void *context) {
    (void)context;
    return wall_us() / 1000;
}

const struct strobe_allocator *map_allocator(const struct strobe_map *map) {
    return map->world.allocator;
}

/* Nobody else knows the map yet, or any more: no locks. */
LOCK_UNCHECKED static void free_shards(struct strobe_map *map, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct strobe_shard *shard = &map->shards[i];

        table_fini(&shard->live, &map->world);
        directory_put(&shard->pool, atomic_load_explicit(&shard->live.directory, memory_order_relaxed));
        directory_pool_fini(&shard->pool, map->world.allocator);
    }
    memory_release(map->world.allocator, map->shards, map->shard_count * sizeof *map->shards, MEMORY_LINE);
}

LOCK_UNCHECKED static enum strobe_status make_shards(struct strobe_map *map, uint64_t first_version) {
    size_t size = map->shard_count * sizeof *map->shards;
    uint64_t us = wall_us();

    map->shards = memory_alloc(map->world.allocator, size, MEMORY_LINE);
    if (!map->shards) return STROBE_NO_MEMORY;
    memset(map->shards, 0, size);
    for (uint32_t i = 0; i < map->shard_count; i++) {
        struct strobe_shard *shard = &map->shards[i];
        uint64_t prefix = map->world.shard_bits ? (uint64_t)i << (64 - map->world.shard_bits) : 0;

        shard->version = first_version > us ? first_version : us;
        if (table_init(&shard->live, &map->world, &shard->pool, prefix, 0) != STROBE_OK) {
            free_shards(map, i);
            return STROBE_NO_MEMORY;
        }
    }
    return STROBE_OK;
}

static enum strobe_status set_options(struct strobe_map *map, const struct strobe_map_options *options) {
    uint8_t seed[16];

    map->shard_count = options->shards ? options->shards : SHARDS_DEFAULT;
    if (map->shard_count > SHARDS_MAX || (map->shard_count & (map->shard_count - 1))) return STROBE_INVALID;
    if (options->first_version > FIRST_VERSION_MAX) return STROBE_INVALID;
    map->world.shard_bits = (uint32_t)__builtin_ctz(map->shard_count);
    if (options->seed)
        memcpy(seed, options->seed, sizeof seed);
    else if (!hash_random_seed(seed))
        return STROBE_INVALID;
    map->world.hash = hash_key_from_bytes(seed);
    map->modern = single_modern(map);
    map->snapshots.max = options->max_snapshots ? options->max_snapshots : SNAPSHOTS_DEFAULT;
    map->snapshots.memory_max = options->snapshot_memory;
    map->snapshots.now_ms = options->now_ms ? options->now_ms : wall_ms;
    map->snapshots.now_context = options->now_context;
    return STROBE_OK;
}

enum strobe_status strobe_map_new(const struct strobe_map_options *options, struct strobe_map **out) {
    static const struct strobe_map_options defaults = {0};
    static const struct strobe_allocator libc = {libc_alloc, libc_release, NULL, NULL};
    const struct strobe_allocator *allocator = options && options->allocator ? options->allocator : &libc;
    struct strobe_map *map = memory_alloc(allocator, sizeof *map, MEMORY_LINE);
    enum strobe_status status;

    if (!map) return STROBE_NO_MEMORY;
    memset(map, 0, sizeof *map);
    map->world.allocator = allocator;
    map->world.snapshots = &map->snapshots;
    status = set_options(map, options ? options : &defaults);
    if (status == STROBE_OK) status = make_shards(map, options ? options->first_version : 0);
    if (status != STROBE_OK) {
        memory_release(allocator, map, sizeof *map, MEMORY_LINE);
        return status;
    }
    (void)snapshots_tick(&map->snapshots);
    *out = map;
    return STROBE_OK;
}

LOCK_UNCHECKED void strobe_map_free(struct strobe_map *map) {
    if (!map) return;
    assert(map->snapshots.count == 0);
    strobe_map_maintain(map);
    free_shards(map, map->shard_count);
    memory_release(map->world.allocator, map, sizeof *map, MEMORY_LINE);
}

uint64_t strobe_map_tick(struct strobe_map *map) {
    return snapshots_tick(&map->snapshots);
}

struct strobe_key strobe_key(const struct strobe_map *map, const void *key, size_t key_len) {
    assert(key_len >= 1 && key_len <= STROBE_KEY_MAX);
    return (struct strobe_key){key, hash_bytes(&map->world.hash, key, key_len), (uint32_t)key_len};
}

/* ---- Access ----------------------------------------------------------------------------------- */

LOCK_UNCHECKED void strobe_enter(struct strobe_map *map, const struct strobe_key *key, struct strobe_access *access) {
    access->map = map;
    access->first = map_shard_index(map, key->hash);
    access->held_many = 0;
    (void)way_to(&map->shards[access->first], key->hash); /* the miss begins before the lock is held, not after */
    access->slept = lock_enter(&map->shards[access->first].lock);
    snapshots_instant(&map->snapshots, &access->instant, &access->newest);
}

/* Locks those that access->held names. */
LOCK_UNCHECKED static void enter_held(struct strobe_map *map, struct strobe_access *access) {
    access->map = map;
    access->first = 0;
    access->held_many = 1;
    access->slept = 0;
    for (uint32_t word = 0; word < sizeof access->held / sizeof access->held[0]; word++) {
        for (uint64_t left = access->held[word]; left; left &= left - 1)
            access->slept += lock_enter(&map->shards[word * 64 + (uint32_t)__builtin_ctzll(left)].lock);
    }
    snapshots_instant(&map->snapshots, &access->instant, &access->newest);
}

LOCK_UNCHECKED void strobe_enter_many(struct strobe_map *map, const struct strobe_key *keys, size_t count,
                                      struct strobe_access *access) {
    assert(count <= STROBE_ACCESS_MAX);
    memset(access->held, 0, sizeof access->held);
    for (size_t i = 0; i < count; i++) {
        uint32_t shard = map_shard_index(map, keys[i].hash);

        access->held[shard / 64] |= UINT64_C(1) << (shard % 64);
    }
    enter_held(map, access);
}

LOCK_UNCHECKED void strobe_enter_all(struct strobe_map *map, struct strobe_access *access) {
    memset(access->held, 0, sizeof access->held);
    for (uint32_t shard = 0; shard < map->shard_count; shard++) access->held[shard / 64] |= UINT64_C(1) << (shard % 64);
    enter_held(map, access);
}

LOCK_UNCHECKED NOT_INLINE static void leave_held(struct strobe_access *access) {
    struct strobe_map *map = access->map;

    for (uint32_t word = 0; word < sizeof access->held / sizeof access->held[0]; word++) {
        for (uint64_t left = access->held[word]; left; left &= left - 1)
            lock_leave(&map->shards[word * 64 + (uint32_t)__builtin_ctzll(left)].lock);
    }
}

LOCK_UNCHECKED void strobe_leave(struct strobe_access *access) {
    if (access->held_many)
        leave_held(access);
    else
        lock_leave(&access->map->shards[access->first].lock);
}

uint64_t strobe_access_now(const struct strobe_access *access) {
    return access->instant >> CLOCK_COUNT_BITS;
}

const struct strobe_entry *strobe_find(struct strobe_access *access, const struct strobe_key *key) {
    bool expires;
    const struct strobe_entry *entry = access_look(access, key, &expires);

    return expires && entry_dead(entry, strobe_access_now(access)) ? NULL : entry;
}

STROBE_INSIDE static inline void count_entry(struct strobe_shard *shard, const struct strobe_entry *entry, int sign) {
    uint64_t bytes = entry_memory(entry);

    shard->count += (uint64_t)(int64_t)sign;
    shard->entry_bytes += sign > 0 ? bytes : 0 - bytes;
    if (entry_expires(entry)) shard->expiring += (uint64_t)(int64_t)sign;
}

enum strobe_status shard_freeze_now(struct strobe_map *map, struct strobe_shard *shard, struct segment *segment,
                                    uint64_t newest) {
    enum strobe_status status = table_freeze_now(&shard->live, &map->world, segment, newest, shard->version);

    if (status == STROBE_OK ||
        !snapshots_close_needing(&map->snapshots, segment->mark, newest, range_end(segment->prefix, segment->bits)))
        return status;
    return table_freeze_now(&shard->live, &map->world, segment, newest, shard->version);
}

bool shard_let_go(struct strobe_map *map, struct strobe_shard *shard, const struct segment *segment, uint64_t hash,
                  const struct strobe_entry *entry) {
    uint64_t held = 0;
    bool free;

    /* What was written after the last freezing is in no copy: the usual case, and it costs one comparison. */
    if (entry_version(entry) > segment->frozen) return true;
    free = copies_move(&shard->live.copies, map->world.allocator, hash, entry, &held);
    if (held) snapshots_hold(&map->snapshots, held);
    return free;
}

/* OLD is out of the map. True: a copy keeps it. */
STROBE_INSIDE static inline bool hand_over(struct strobe_map *map, struct strobe_shard *shard,
                                           const struct segment *segment, uint64_t hash, struct strobe_entry *old) {
    if (shard_let_go(map, shard, segment, hash, old)) return false;
    copies_own(&shard->live.copies, hash, old);
    snapshots_hold(&map->snapshots, entry_memory(old));
    return true;
}

struct strobe_entry *shard_take_out(struct strobe_map *map, struct strobe_shard *shard, struct segment *segment,
                                    segment_slot slot, uint64_t hash) {
    struct strobe_entry *old = segment_entry(segment, slot);

    segment_remove(segment, slot, hash);
    count_entry(shard, old, -1);
    return hand_over(map, shard, segment, hash, old) ? NULL : old;
}

/* Puts *ENTRY in and leaves the entry it replaced, which no copy has been given yet, or NULL; and in *WHERE its
 * segment. */
STROBE_INSIDE static enum strobe_status swap_in(struct strobe_map *map, struct strobe_shard *shard, uint64_t newest,
                                                const struct strobe_key *key, struct strobe_entry **entry,
                                                struct segment **where) {
    struct segment *segment = table_segment(&shard->live, key->hash);
    struct strobe_entry *old = NULL;
    uint64_t expiry = strobe_entry_expiry(*entry);
    segment_slot slot;

    if (shard_freeze(map, shard, segment, newest) != STROBE_OK) return STROBE_NO_MEMORY;
    slot = segment_find(segment, segment->class, key);
    if (slot == SEGMENT_NO_SLOT &&
        table_make_room(&shard->live, &map->world, &shard->pool, key->hash, &segment) != STROBE_OK)
        return STROBE_NO_MEMORY;

    entry_set_version(*entry, ++shard->version);
    if (slot == SEGMENT_NO_SLOT) {
        segment_insert(segment, key->hash, *entry, expiry);
    } else {
        old = segment_entry(segment, slot);
        segment_replace(segment, slot, *entry, expiry);
        count_entry(shard, old, -1);
    }
    count_entry(shard, *entry, 1);
    *entry = old;
    *where = segment;
    return STROBE_OK;
}

/* The usual strobe_put: a plain entry takes the place of another in its home bucket, and no snapshot is concerned,
 * neither with the segment nor with the entry that goes. False: nothing was done. */
STROBE_INSIDE static inline bool replace_plain(struct strobe_shard *shard, const struct way *way, uint64_t newest,
                                               const struct strobe_key *key, struct strobe_entry **entry) {
    const struct segment *segment = directory_segment(way->word);
    struct strobe_entry *old;
    uint32_t place;

    if (newest > segment->mark || !entry_plain(*entry)) return false;
    old = segment_glance(way->home, key, &place);
    if (!old || entry_version(old) <= segment->frozen) return false;
    entry_set_version(*entry, ++shard->version);
    bucket_set_word(way->home, place, (uint64_t)(uintptr_t)*entry);
    shard->entry_bytes += entry_layout(*entry).size - entry_layout(old).size;
    *entry = old;
    return true;
}

/* *ENTRY was replaced (NULL: nothing was) when one was put at HASH, and stays so. */
STROBE_INSIDE static inline void put_is_done(struct strobe_map *map, struct strobe_shard *shard,
                                             const struct segment *segment, uint64_t hash,
                                             struct strobe_entry **entry) {
    if (UNUSUAL(shard->vigils != 0)) shard_end_vigils(shard, hash);
    if (*entry && hand_over(map, shard, segment, hash, *entry)) *entry = NULL;
}

STROBE_INSIDE static enum strobe_status put(struct strobe_map *map, struct strobe_shard *shard, uint64_t newest,
                                            const struct strobe_key *key, struct strobe_entry **entry) {
    struct segment *segment;
    enum strobe_status status = swap_in(map, shard, newest, key, entry, &segment);

    if (status == STROBE_OK) put_is_done(map, shard, segment, key->hash, entry);
    return status;
}

enum strobe_status strobe_put(struct strobe_access *access, const struct strobe_key *key, struct strobe_entry **entry) {
    struct strobe_shard *shard = access_shard(access, key);
    struct way way = way_to(shard, key->hash);

    if (replace_plain(shard, &way, access->newest, key, entry)) return STROBE_OK;
    return put(access->map, shard, access->newest, key, entry);
}

enum strobe_status way_put(struct strobe_map *map, struct strobe_shard *shard, const struct way *way,
                           const struct strobe_key *key, struct strobe_entry **entry) {
    enum strobe_status status = STROBE_OK;
    uint64_t instant, newest;

    shard_enter(shard);
    snapshots_instant(&map->snapshots, &instant, &newest);
    if (!way_holds(way, shard) || !replace_plain(shard, way, newest, key, entry))
        status = put(map, shard, newest, key, entry);
    if (status == STROBE_OK) shard_set_done(shard);
    shard_leave(shard);
    return status;
}

/* Undoes a swap_in that left *ENTRY: puts it back, and leaves the entry that was put in. Cannot fail. */
STROBE_INSIDE static void swap_back(struct strobe_access *access, const struct strobe_key *key,
                                    struct strobe_entry **entry) {
    struct strobe_shard *shard = access_shard(access, key);
    struct segment *segment = table_segment(&shard->live, key->hash);
    segment_slot slot = segment_find(segment, segment->class, key);
    struct strobe_entry *put = segment_entry(segment, slot);

    count_entry(shard, put, -1);
    if (*entry) {
        segment_replace(segment, slot, *entry, strobe_entry_expiry(*entry));
        count_entry(shard, *entry, 1);
    } else {
        segment_remove(segment, slot, key->hash);
    }
    *entry = put;
}

enum strobe_status strobe_put_many(struct strobe_access *access, const struct strobe_key *keys,
                                   struct strobe_entry **entries, size_t count) {
    struct segment *segment;
    size_t done = 0;

    while (done < count && swap_in(access->map, access_shard(access, &keys[done]), access->newest, &keys[done],
                                   &entries[done], &segment) == STROBE_OK)
        done++;
    if (done < count) {
        while (done-- > 0) swap_back(access, &keys[done], &entries[done]);
        return STROBE_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        struct strobe_shard *shard = access_shard(access, &keys[i]);

        segment = table_segment(&shard->live, keys[i].hash);
        put_is_done(access->map, shard, segment, keys[i].hash, &entries[i]);
    }
    return STROBE_OK;
}

enum strobe_status strobe_prepare(struct strobe_access *access, const struct strobe_key *key) {
    struct strobe_shard *shard = access_shard(access, key);
    struct segment *segment = table_segment(&shard->live, key->hash);

    /* A segment frozen for this access stays so: merging, all that erasing may do, keeps the newer mark. */
    return shard_freeze(access->map, shard, segment, access->newest);
}

enum strobe_status strobe_erase(struct strobe_access *access, const struct strobe_key *key, struct strobe_entry **old) {
    struct strobe_map *map = access->map;
    struct strobe_shard *shard = access_shard(access, key);
    struct segment *segment = table_segment(&shard->live, key->hash);
    segment_slot slot = segment_find(segment, segment->class, key);
    bool dead;

    *old = NULL;
    if (slot == SEGMENT_NO_SLOT) return STROBE_MISSING;
    if (shard_freeze(map, shard, segment, access->newest) != STROBE_OK) return STROBE_NO_MEMORY;
    dead = entry_dead(segment_entry(segment, slot), strobe_access_now(access));
    *old = shard_take_out(map, shard, segment, slot, key->hash);
    if (segment->count % 8 == 0) /* only now and then: a look at the neighbour costs a miss */
        table_shrink(&shard->live, &map->world, &shard->pool, segment, access->newest, shard->version);
    return dead ? STROBE_MISSING : STROBE_OK;
}

/* ---- Batches ---------------------------------------------------------------------------------- */

static void prefetch_entry(struct strobe_map *map, const struct strobe_key *key) {
    struct strobe_shard *shard = map_shard(map, key->hash);
    uint64_t word;

    shard_enter(shard);
    word = table_word(&shard->live, key->hash);
    segment_prefetch_entry(directory_segment(word), directory_class(word), key->hash);
    shard_leave(shard);
}

void strobe_prefetch(struct strobe_map *map, const struct strobe_key *keys, size_t count) {
    for (size_t i = 0; i < count; i++) (void)way_to(map_shard(map, keys[i].hash), keys[i].hash);
    for (size_t i = 0; i < count; i++) prefetch_entry(map, &keys[i]);
}

#define BATCH_KEYS 32u /* keys whose memory is asked for at once: more would push each other out of the first cache */

void strobe_get_many(struct strobe_map *map, const struct strobe_key *keys, size_t count,
                     void (*visit)(void *context, size_t i, const struct strobe_entry *entry), void *context) {
    for (size_t first = 0; first < count; first += BATCH_KEYS) {
        size_t last = count - first > BATCH_KEYS ? first + BATCH_KEYS : count;

        strobe_prefetch(map, keys + first, last - first);
        for (size_t i = first; i < last; i++) {
            struct strobe_access access;

            strobe_enter(map, &keys[i], &access);
            visit(context, i, strobe_find(&access, &keys[i]));
            strobe_leave(&access);
        }
    }
}

/* ---- Flush ------------------------------------------------------------------------------------ */

struct strobe_garbage {
    struct strobe_map *map;
    struct table *tables;
};

LOCK_UNCHECKED void map_free_tables(struct strobe_map *map, struct table *first) {
    for (struct table *table = first, *next; table; table = next) {
        struct strobe_shard *shard = map_shard(map, table->prefix);

        next = table->next;
        table_fini(table, &map->world);
        snapshots_hold(&map->snapshots, 0 - table->held);
        shard_enter(shard);
        directory_put(&shard->pool, atomic_load_explicit(&table->directory, memory_order_relaxed));
        shard_leave(shard);
        memory_release(map->world.allocator, table, sizeof *table, MEMORY_WORD);
    }
}

/* A list of empty tables, one for each shard, the first shard's first. NULL without memory. */
STROBE_OUTSIDE static struct table *fresh_tables(struct strobe_map *map) {
    struct table *first = NULL;

    for (uint32_t i = map->shard_count; i-- > 0;) {
        struct strobe_shard *shard = &map->shards[i];
        struct table *table = memory_alloc(map->world.allocator, sizeof *table, MEMORY_WORD);
        enum strobe_status status = STROBE_NO_MEMORY;

        if (table) {
            shard_enter(shard);
            status = table_init(table, &map->world, &shard->pool, shard->live.prefix, 0);
            shard_leave(shard);
        }
        if (status != STROBE_OK) {
            memory_release(map->world.allocator, table, sizeof *table, MEMORY_WORD);
            map_free_tables(map, first);
            return NULL;
        }
        table->next = first;
        first = table;
    }
    return first;
}

/* FRESH becomes the live table, and the live one is left in FRESH. True: snapshots need it, the shard keeps it. */
STROBE_INSIDE static bool flush_shard(struct strobe_map *map, struct strobe_shard *shard, struct table *fresh,
                                      uint64_t instant) {
    uint64_t end, bytes;
    bool needed;

    table_swap(&shard->live, fresh, instant);
    end = range_end(fresh->prefix, map->world.shard_bits);
    bytes = fresh->segment_bytes + shard->entry_bytes;
    shard->count = shard->entry_bytes = shard->expiring = 0;
    do needed = snapshots_need(&map->snapshots, fresh->born, fresh->until, end);
    while (needed && snapshots_make_room(&map->snapshots, bytes));
    if (!needed && fresh->pins == 0) return false;
    fresh->held = bytes;
    fresh->next = shard->flushed;
    shard->flushed = fresh;
    snapshots_hold(&map->snapshots, fresh->held);
    return true;
}

enum strobe_status strobe_flush_prepare(struct strobe_map *map, struct strobe_garbage **garbage) {
    struct strobe_garbage *bin = memory_alloc(map->world.allocator, sizeof *bin, MEMORY_WORD);
    struct table *fresh = bin ? fresh_tables(map) : NULL;

    *garbage = NULL;
    if (!fresh) {
        memory_release(map->world.allocator, bin, sizeof *bin, MEMORY_WORD);
        return STROBE_NO_MEMORY;
    }
    bin->map = map;
    bin->tables = fresh;
    *garbage = bin;
    return STROBE_OK;
}

void strobe_flush_inside(struct strobe_access *access, struct strobe_garbage *garbage) {
    struct strobe_map *map = access->map;
    struct table *fresh = garbage->tables, *next;

    garbage->tables = NULL;
    for (uint32_t i = 0; i < map->shard_count; i++, fresh = next) {
        assert(fresh && fresh->prefix == map->shards[i].live.prefix);
        lock_assert_held(&map->shards[i].lock);
        next = fresh->next;
        if (!flush_shard(map, &map->shards[i], fresh, access->instant)) {
            fresh->next = garbage->tables;
            garbage->tables = fresh;
        }
    }
}

enum strobe_status strobe_flush(struct strobe_map *map, struct strobe_garbage **garbage) {
    struct strobe_access access;
    enum strobe_status status = strobe_flush_prepare(map, garbage);

    if (status != STROBE_OK) return status;
    strobe_enter_all(map, &access);
    strobe_flush_inside(&access, *garbage);
    strobe_leave(&access);
    return STROBE_OK;
}

void strobe_garbage_free(struct strobe_garbage *garbage) {
    if (!garbage) return;
    map_free_tables(garbage->map, garbage->tables);
    memory_release(garbage->map->world.allocator, garbage, sizeof *garbage, MEMORY_WORD);
}

/* ---- Looking over the whole map ------------------------------------------------------------------ */

uint64_t strobe_count(struct strobe_map *map) {
    uint64_t count = 0;

    for (uint32_t i = 0; i < map->shard_count; i++) {
        shard_enter(&map->shards[i]);
        count += map->shards[i].count;
        shard_leave(&map->shards[i]);
    }
    return count;
}

uint64_t strobe_count_inside(const struct strobe_access *access) {
    const struct strobe_map *map = access->map;
    uint64_t count = 0;

    for (uint32_t i = 0; i < map->shard_count; i++) {
        lock_assert_held(&map->shards[i].lock);
        count += map->shards[i].count;
    }
    return count;
}

STROBE_INSIDE static void add_shard_stats(const struct strobe_shard *shard, struct strobe_stats *stats) {
    const struct table *live = &shard->live;

    stats->entries += shard->count;
    stats->expiring += shard->expiring;
    stats->entry_bytes += shard->entry_bytes;
    stats->segment_bytes +=
        live->segment_bytes + directory_bytes(atomic_load_explicit(&live->directory, memory_order_relaxed));
    stats->segments += live->segments;
    stats->slots += live->slots;
    stats->splits += live->splits;
    stats->merges += live->merges;
    stats->resizes += live->resizes;
    stats->expired += shard->expired;
    stats->lock_waits += atomic_load_explicit(&shard->lock.waits, memory_order_relaxed);
    stats->copies += live->copies.count;
    stats->copies_made += live->copies_made;
    for (const struct table *table = shard->flushed; table; table = table->next) stats->copies += table->copies.count;
}

unsigned strobe_shard_count(const struct strobe_map *map) {
    return map->shard_count;
}

uint64_t strobe_shard_lock_waits(const struct strobe_map *map, unsigned i) {
    assert(i < map->shard_count);
    return atomic_load_explicit(&map->shards[i].lock.waits, memory_order_relaxed);
}

LOCK_UNCHECKED void strobe_map_stats(struct strobe_map *map, struct strobe_stats *stats) {
    memset(stats, 0, sizeof *stats);
    for (uint32_t i = 0; i < map->shard_count; i++) {
        shard_enter(&map->shards[i]);
        add_shard_stats(&map->shards[i], stats);
        shard_leave(&map->shards[i]);
    }
    lock_enter(&map->snapshots.lock);
    stats->snapshots = map->snapshots.count;
    lock_leave(&map->snapshots.lock);
    stats->revoked = atomic_load_explicit(&map->snapshots.revoked, memory_order_relaxed);
    stats->snapshot_bytes = atomic_load_explicit(&map->snapshots.held, memory_order_relaxed);
}
