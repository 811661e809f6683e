/* single.c - strobe_get, strobe_set and strobe_del: one key, copied in and out.
 *
 * The usual get and set are written out in one piece without a call: key and value are short, the entry is plain and in
 * its home bucket, and the lock is free. For a set the value must have the same length as the old one, and no snapshot
 * may know the old entry: then it is written over where it is, and nothing is allocated or freed. What a glance at the
 * home bucket does not answer is looked for under the same lock (get_rest, set_rest), where a set also sees to it that
 * the snapshots keep what they know, before it writes over; all else is handed to the functions for any case.
 *
 * A processor that has the next call's instructions in its window fetches for it while this one still waits for
 * memory (DESIGN.md, "Instructions, misses and lines"), so the number of instructions is what a call costs. Therefore
 * the piece is compiled twice, for any processor and for those with AES, AVX2 and BMI (Haswell, 2013, and later): the
 * hash in place, shifts and bytes spread over a line in one instruction each. And its rare ends are calls in the last
 * place: no register has to be saved for them.
 *
 * Why writing over is safe: whoever reads an entry of the live map holds its shard's lock; a copy names only entries
 * whose version is not above the segment's `frozen` (table_freeze_now), and the set looks for newer snapshots first
 * (`newest <= mark`, or shard_freeze). If a copy does name the entry, its bytes are moved there (shard_let_go). The key
 * is there, so no vigil ends (vigil.c). These functions are the library's: strobed's commands enter, and make their
 * entries outside of the lock.
 * On failure: NO_MEMORY and TOO_BIG mean that nothing has changed.
 */
#include "map/hash_aes.h"
#include "map/way.h"

/* ---- Any case --------------------------------------------------------------------------------- */

static inline void copy_out(void *value, size_t room, const char *bytes, size_t len) {
    if (room) /* VALUE may be NULL when there is none */
        entry_copy(value, bytes, len < room ? len : room);
}

/* Enters for KEY and finds its entry. Only an entry that can expire needs the time of day, and is looked at anew when
 * the clock has moved. */
STROBE_ENTERS static const struct strobe_entry *enter_and_find(struct strobe_map *map, const struct strobe_key *key,
                                                               struct strobe_access *access) {
    const struct strobe_entry *entry;
    bool expires;

    strobe_enter(map, key, access);
    entry = access_look(access, key, &expires);
    if (!expires) return entry;
    strobe_leave(access);
    (void)strobe_map_tick(map);
    strobe_enter(map, key, access);
    return strobe_find(access, key);
}

static enum strobe_status get_key(struct strobe_map *map, const struct strobe_key *key, void *value, size_t *len) {
    struct strobe_access access;
    const struct strobe_entry *entry = enter_and_find(map, key, &access);
    struct strobe_blob *blob = NULL;
    const char *bytes = NULL;
    size_t room = *len;

    if (entry) {
        bytes = strobe_entry_value(entry, len);
        blob = strobe_entry_blob(entry);
        if (blob)
            (void)strobe_blob_share(blob);
        else
            copy_out(value, room, bytes, *len);
    }
    strobe_leave(&access);
    if (!entry) return STROBE_MISSING;
    if (blob) {
        copy_out(value, room, bytes, *len);
        strobe_blob_release(blob);
    }
    return STROBE_OK;
}

/* An entry that expires or has a long key or value. */
NOT_INLINE static enum strobe_status make_entry(struct strobe_map *map, const struct strobe_key *key, const void *value,
                                                size_t len, uint64_t expiry, struct strobe_entry **entry) {
    struct strobe_entry_spec spec = {.key = key, .value = value, .len = len, .expiry = expiry};

    return strobe_entry_new(map, &spec, entry);
}

INLINE enum strobe_status set_key(struct strobe_map *map, const struct strobe_key *key, const void *value, size_t len,
                                  uint64_t expiry) {
    struct strobe_shard *shard = map_shard(map, key->hash);
    struct way way = way_to(shard, key->hash); /* its line comes while the entry is made */
    enum strobe_status status = STROBE_NO_MEMORY;
    struct strobe_entry *entry = NULL;

    if (expiry || !entry_lengths_plain(key->len, len))
        status = make_entry(map, key, value, len, expiry, &entry);
    else
        entry = entry_new_plain(map->world.allocator, key, value, len);
    if (!entry) return status;
    status = way_put(map, shard, &way, key, &entry);
    if (entry) entry_destroy(map->world.allocator, entry);
    return status;
}

NOT_INLINE static enum strobe_status get_any(struct strobe_map *map, const void *data, size_t key_len, void *value,
                                             size_t *len) {
    struct strobe_key key;

    if (key_len == 0 || key_len > STROBE_KEY_MAX) return STROBE_MISSING;
    key = strobe_key(map, data, key_len);
    return get_key(map, &key, value, len);
}

NOT_INLINE static enum strobe_status set_any(struct strobe_map *map, const void *data, size_t key_len,
                                             const void *value, size_t len, uint64_t expiry) {
    struct strobe_key key = {.data = data, .len = (uint32_t)key_len};

    if (key_len == 0 || key_len > STROBE_KEY_MAX) return STROBE_TOO_BIG;
    key.hash = hash_bytes(&map->world.hash, data, key_len);
    return set_key(map, &key, value, len, expiry);
}

enum strobe_status strobe_del(struct strobe_map *map, const void *key, size_t key_len) {
    struct strobe_access access;
    struct strobe_entry *old = NULL;
    struct strobe_key k;
    enum strobe_status status = STROBE_MISSING;

    if (key_len == 0 || key_len > STROBE_KEY_MAX) return STROBE_MISSING;
    k = strobe_key(map, key, key_len);
    if (enter_and_find(map, &k, &access)) status = strobe_erase(&access, &k, &old);
    strobe_leave(&access);
    strobe_entry_free(map, old);
    return status;
}

/* ---- The usual case --------------------------------------------------------------------------- */

/* way_to, and asks for the next line too: among a million keys one search in ten goes on there. */
INLINE struct way way_on(const struct strobe_shard *shard, uint64_t hash) {
    struct way way = way_to(shard, hash);

    __builtin_prefetch(way.home + 1);
    return way;
}

/* Gives the value of ENTRY, a plain one whose key has KEY_LEN bytes, as strobe_get does. */
INLINE void copy_plain(void *value, size_t *len, const struct strobe_entry *entry, size_t key_len) {
    size_t room = *len;

    *len = entry_plain_value_len(entry);
    entry_copy_short(value, (const char *)entry->rest + entry_plain_value_at(key_len), room < *len ? room : *len);
}

/* Whether a value of LEN bytes may be written over that of ENTRY, a plain one of SEGMENT. */
STROBE_INSIDE INLINE bool may_write_over(const struct segment *segment, const struct strobe_entry *entry, size_t len) {
    return USUAL(entry_plain_value_len(entry) == len) && USUAL(entry_version(entry) > segment->frozen);
}

STROBE_INSIDE INLINE void write_over(struct strobe_shard *shard, struct strobe_entry *entry, size_t key_len,
                                     const void *value, size_t len) {
    shard_set_done(shard);
    entry_set_version(entry, ++shard->version);
    entry_copy_short(entry->rest + entry_plain_value_at(key_len), value, len);
}

/* A set that tries to write over and cannot has waited for the lock and the old entry in vain. So each of those raises
 * the shard's doubt and each other strobe_set lowers it; when it is high, the next ones do not try, until it is gone.
 * Values of changing lengths, and new keys, are tried three times in some seventy. */
#define DOUBT_RAISED  8u
#define DOUBT_ALLOWED 16u
#define DOUBT_LASTS   64u /* sets that do not try */

STROBE_INSIDE static void raise_doubt(struct strobe_shard *shard) {
    shard->doubt += DOUBT_RAISED;
    if (shard->doubt <= DOUBT_ALLOWED) return;
    shard->doubt = DOUBT_LASTS;
    /* Relaxed: a hint. */
    atomic_store_explicit(&shard->doubting, true, memory_order_relaxed);
}

/* What get and set go on with when a glance at the home bucket was not enough: from the beginning, in the shard
 * of HASH, which they leave. */

STROBE_LEAVES NOT_INLINE static enum strobe_status get_rest(struct strobe_map *map, const void *data, size_t key_len,
                                                            uint64_t hash, void *value, size_t *len) {
    struct strobe_key key = {data, hash, (uint32_t)key_len};
    struct strobe_shard *shard = map_shard(map, hash);
    uint64_t word = table_word(&shard->live, key.hash);
    segment_slot slot;
    const struct strobe_entry *entry =
        slot_entry(segment_look(directory_segment(word), directory_class(word), &key, &slot));
    bool plain = entry && entry_plain(entry);

    if (plain) copy_plain(value, len, entry, key_len);
    shard_leave(shard);
    if (plain) return STROBE_OK;
    return entry ? get_key(map, &key, value, len) : STROBE_MISSING;
}

STROBE_LEAVES NOT_INLINE static enum strobe_status set_rest(struct strobe_map *map, const void *data, size_t key_len,
                                                            uint64_t hash, const void *value, size_t len) {
    struct strobe_key key = {data, hash, (uint32_t)key_len};
    struct strobe_shard *shard = map_shard(map, hash);
    struct segment *segment = table_segment(&shard->live, key.hash);
    struct strobe_entry *entry = NULL;
    uint64_t instant, newest;
    segment_slot slot;

    snapshots_instant(&map->snapshots, &instant, &newest);
    if (shard_freeze(map, shard, segment, newest) == STROBE_OK)
        entry = slot_entry(segment_look(segment, segment->class, &key, &slot));
    if (entry &&
        !(entry_plain(entry) && entry_plain_value_len(entry) == len && shard_let_go(map, shard, segment, hash, entry)))
        entry = NULL;
    if (entry)
        write_over(shard, entry, key_len, value, len);
    else
        raise_doubt(shard);
    shard_leave(shard);
    return entry ? STROBE_OK : set_key(map, &key, value, len, 0);
}

/* A set that does not try to write over. */
NOT_INLINE static enum strobe_status set_new(struct strobe_map *map, const void *data, size_t key_len, uint64_t hash,
                                             const void *value, size_t len) {
    struct strobe_key key = {data, hash, (uint32_t)key_len};

    return set_key(map, &key, value, len, 0);
}

/* The lock is taken just now. */
NOT_INLINE static enum strobe_status get_later(struct strobe_map *map, const void *data, size_t key_len, uint64_t hash,
                                               void *value, size_t *len) {
    struct strobe_key key = {data, hash, (uint32_t)key_len};

    return get_key(map, &key, value, len);
}

/* How the usual get and set end. */

STROBE_LEAVES LOCK_UNCHECKED NOT_INLINE static enum strobe_status done_and_wake(struct strobe_shard *shard) {
    lock_wake(&shard->lock);
    return STROBE_OK;
}

STROBE_LEAVES LOCK_UNCHECKED INLINE enum strobe_status done(struct strobe_shard *shard) {
    return lock_release(&shard->lock) ? done_and_wake(shard) : STROBE_OK;
}

INLINE enum strobe_status get(struct strobe_map *map, const struct strobe_key *key, void *value, size_t *len) {
    struct strobe_shard *shard = map_shard(map, key->hash);
    struct way way = way_on(shard, key->hash);
    const struct strobe_entry *entry = NULL;

    if (UNUSUAL(!shard_try(shard))) return get_later(map, key->data, key->len, key->hash, value, len);
    if (USUAL(way_holds(&way, shard))) entry = segment_glance(way.home, key, NULL);
    if (UNUSUAL(!entry)) return get_rest(map, key->data, key->len, key->hash, value, len);
    copy_plain(value, len, entry, key->len);
    return done(shard);
}

INLINE enum strobe_status set(struct strobe_map *map, const struct strobe_key *key, const void *value, size_t len) {
    struct strobe_shard *shard = map_shard(map, key->hash);
    struct way way = way_on(shard, key->hash);
    const struct segment *segment = directory_segment(way.word);
    struct strobe_entry *entry = NULL;
    uint64_t instant, newest;

    if (UNUSUAL(atomic_load_explicit(&shard->doubting, memory_order_relaxed)) || UNUSUAL(!shard_try(shard)))
        return set_new(map, key->data, key->len, key->hash, value, len);
    snapshots_instant(&map->snapshots, &instant, &newest);
    if (USUAL(way_holds(&way, shard)) && USUAL(newest <= segment->mark)) entry = segment_glance(way.home, key, NULL);
    if (UNUSUAL(!entry) || UNUSUAL(!may_write_over(segment, entry, len)))
        return set_rest(map, key->data, key->len, key->hash, value, len);
    write_over(shard, entry, key->len, value, len);
    return done(shard);
}

/* ---- For two kinds of processors --------------------------------------------------------------- */

NOT_INLINE static enum strobe_status get_portable(struct strobe_map *map, const void *data, size_t key_len, void *value,
                                                  size_t *len) {
    struct strobe_key key = strobe_key(map, data, key_len);

    return get(map, &key, value, len);
}

NOT_INLINE static enum strobe_status set_portable(struct strobe_map *map, const void *data, size_t key_len,
                                                  const void *value, size_t len) {
    struct strobe_key key = strobe_key(map, data, key_len);

    return set(map, &key, value, len);
}

#if defined(__x86_64__)

#define MODERN __attribute__((target("aes,avx2,bmi,bmi2")))

MODERN NOT_INLINE static enum strobe_status get_modern(struct strobe_map *map, const void *data, size_t key_len,
                                                       void *value, size_t *len) {
    struct strobe_key key = {data, hash_aes(&map->world.hash, data, key_len), (uint32_t)key_len};

    return get(map, &key, value, len);
}

MODERN NOT_INLINE static enum strobe_status set_modern(struct strobe_map *map, const void *data, size_t key_len,
                                                       const void *value, size_t len) {
    struct strobe_key key = {data, hash_aes(&map->world.hash, data, key_len), (uint32_t)key_len};

    return set(map, &key, value, len);
}

bool single_modern(const struct strobe_map *map) {
    return map->world.hash.aes && __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

#else

#define get_modern get_portable /* never taken: map->modern is false */
#define set_modern set_portable

bool single_modern(const struct strobe_map *map) {
    (void)map;
    return false;
}

#endif

enum strobe_status strobe_get(struct strobe_map *map, const void *key, size_t key_len, void *value, size_t *len) {
    if (UNUSUAL(key_len - 1 >= ENTRY_SHORT_MAX)) /* 0 wraps round */
        return get_any(map, key, key_len, value, len);
    return USUAL(map->modern) ? get_modern(map, key, key_len, value, len) : get_portable(map, key, key_len, value, len);
}

enum strobe_status strobe_set(struct strobe_map *map, const void *key, size_t key_len, const void *value, size_t len,
                              uint64_t expiry) {
    if (UNUSUAL(key_len - 1 >= ENTRY_SHORT_MAX || len > ENTRY_SHORT_MAX || expiry))
        return set_any(map, key, key_len, value, len, expiry);
    return USUAL(map->modern) ? set_modern(map, key, key_len, value, len) : set_portable(map, key, key_len, value, len);
}
