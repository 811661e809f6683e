/* map.h - libstrobemap: a concurrent hash map in memory whose iteration is a photograph.
 *
 * One map, any number of threads. Keys and values are byte strings. Every entry has a version, and
 * may have an expiry time and a content type. A snapshot is a read-only view of the whole map as of
 * one instant; it is opened in constant time, however many keys there are, and read while writers
 * go on. The library needs libc and pthreads, starts no thread, logs nothing and has no globals.
 *
 *     struct strobe_map *map;
 *     if (strobe_map_new(NULL, &map) != STROBE_OK) ...
 *     strobe_set(map, "moon", 4, "full", 4, 0);
 *     char value[100];
 *     size_t len = sizeof value;
 *     if (strobe_get(map, "moon", 4, value, &len) == STROBE_OK) ...
 *     strobe_map_free(map);
 *
 * Three levels, simplest first: strobe_get/set/del (one key, copied in and out); an *access*
 * (strobe_enter ... strobe_leave: several looks and changes under the locks of one or more keys,
 * all at one instant); a *snapshot* (strobe_snapshot_*).
 *
 * Units: lengths in bytes, times in milliseconds since 1970-01-01 UTC (0 = never expires).
 * Words used in the comments: *borrows* (uses until it returns), *takes* (owns from now on),
 * *gives* (the caller owns from now on), *shares* (both hold it, each lets go once).
 */
#ifndef STROBE_MAP_H
#define STROBE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits. A key has 1 to STROBE_KEY_MAX bytes; a value 0 to STROBE_VALUE_MAX. Values of
 * STROBE_BLOB_MIN bytes and more are kept in a counted blob, so that they can be shared and never
 * need to be copied under a lock. */
#define STROBE_KEY_MAX    65535u
#define STROBE_VALUE_MAX  0xffffffffu
#define STROBE_BLOB_MIN   16384u
#define STROBE_TYPE_MAX   255u   /* bytes of a content type */
#define STROBE_ACCESS_MAX 65536u /* keys of one strobe_enter_many */

/* What a function can answer, and the text strobe_status_text gives for it. */
#define STROBE_STATUS_LIST(X)                                    \
    X(OK, "ok")                                                  \
    X(MISSING, "no such key")                                    \
    X(NO_MEMORY, "out of memory, nothing was changed")           \
    X(TOO_BIG, "a key, a value or a count is over its limit")    \
    X(TOO_MANY, "too many snapshots are open")                   \
    X(CLOSED, "the snapshot was closed to give its memory back") \
    X(INVALID, "an option has a value that is not allowed")

enum strobe_status {
#define STROBE_STATUS_ENUM(name, text) STROBE_##name,
    STROBE_STATUS_LIST(STROBE_STATUS_ENUM)
#undef STROBE_STATUS_ENUM
};

const char *strobe_status_text(enum strobe_status status);

/* The lock of a shard, as clang's thread-safety analysis sees it (-Wthread-safety
 * -Wthread-safety-beta): it is never defined, it is only a name for "the shards' locks". With it
 * the compiler finds a strobe_find outside enter/leave, a leave that is missing, an enter inside
 * an enter. Other compilers see nothing. */
#if defined(__clang__)
struct __attribute__((capability("lock"))) strobe_lock_class;
extern struct strobe_lock_class strobe_shard_lock;
#define STROBE_ENTERS  __attribute__((acquire_capability(strobe_shard_lock)))
#define STROBE_LEAVES  __attribute__((release_capability(strobe_shard_lock)))
#define STROBE_INSIDE  __attribute__((requires_capability(strobe_shard_lock)))
#define STROBE_OUTSIDE __attribute__((locks_excluded(strobe_shard_lock)))
#else
#define STROBE_ENTERS
#define STROBE_LEAVES
#define STROBE_INSIDE
#define STROBE_OUTSIDE
#endif

/* ---- The map ------------------------------------------------------------------------------- */

struct strobe_map;
struct strobe_entry;    /* key, value, version, expiry, type: does not change while a caller may look at it */
struct strobe_blob;     /* the bytes of a large value, counted */
struct strobe_snapshot; /* the map at one instant */

/* Where the map's memory comes from. ALLOC gives SIZE bytes aligned to ALIGN (16 or 64), or NULL;
 * RELEASE gets the same size and alignment back. Both are called from any thread, never under more
 * than the map's own locks. Addresses must be below 2^48. SHRINK, which may be NULL, gives what is beyond SMALLER bytes
 * of MEMORY back without moving the rest, or answers no; then RELEASE gets SMALLER, or SIZE as before. */
struct strobe_allocator {
    void *(*alloc)(void *context, size_t size, size_t align);
    void (*release)(void *context, void *memory, size_t size, size_t align);
    void *context;
    bool (*shrink)(void *context, void *memory, size_t size, size_t smaller, size_t align);
};

/* Zero means the default everywhere. */
struct strobe_map_options {
    const struct strobe_allocator *allocator; /* borrowed for the map's life; default: libc's */
    /* The wall clock, below 2^44 ms; default: CLOCK_REALTIME. Called by any thread, also inside the map's locks. */
    uint64_t (*now_ms)(void *context);
    void *now_context;
    unsigned shards;          /* a power of two, 1 to 1024; default 64 */
    unsigned max_snapshots;   /* open at once, see strobe_snapshot_open; default 1024 */
    uint64_t snapshot_memory; /* bytes that snapshots may hold beyond the map; default: no limit */
    uint64_t first_version;   /* at most 2^55: versions are larger than this, and than CLOCK_REALTIME in microseconds */
    const uint8_t *seed;      /* 16 bytes, the hash's key; default: the system's randomness */
};

/* Makes an empty map in *OUT, owned by the caller. OPTIONS (borrowed) may be NULL.
 * Results: OK, NO_MEMORY, INVALID. */
enum strobe_status strobe_map_new(const struct strobe_map_options *options, struct strobe_map **out);

/* Frees the map with all its entries. No thread may be using it, and no snapshot may be open. */
void strobe_map_free(struct strobe_map *map);

/* Moves the map's clock up to the wall clock, and returns it in milliseconds. The clock decides what has expired
 * and never runs backwards; it only moves here, when a snapshot opens, and when strobe_get or strobe_del meets an entry
 * that can expire.
 * A caller of strobe_enter calls this as often as it wants expiry to be exact, before it enters. Any thread. */
uint64_t strobe_map_tick(struct strobe_map *map);

/* ---- One key, copied in and out ------------------------------------------------------------ */

/* Copies the value of KEY into VALUE, which has room for *LEN bytes, and sets *LEN to the value's
 * whole length, also when it was larger than the room (then only the room is filled). Any thread, outside of an
 * access. Results: OK, MISSING. */
enum strobe_status strobe_get(struct strobe_map *map, const void *key, size_t key_len, void *value, size_t *len)
    STROBE_OUTSIDE;

/* Sets KEY to VALUE (both borrowed; VALUE may be NULL when LEN is 0), to expire at EXPIRY. Any thread, outside of an
 * access. Results: OK, NO_MEMORY, TOO_BIG (or KEY is empty). */
enum strobe_status strobe_set(struct strobe_map *map, const void *key, size_t key_len, const void *value, size_t len,
                              uint64_t expiry) STROBE_OUTSIDE;

/* Removes KEY. Any thread, outside of an access. Results: OK, MISSING, NO_MEMORY (a snapshot needs a copy first). */
enum strobe_status strobe_del(struct strobe_map *map, const void *key, size_t key_len) STROBE_OUTSIDE;

/* ---- Entries ------------------------------------------------------------------------------- */

/* A key with its hash, which is computed once. DATA is borrowed for as long as the struct is used. */
struct strobe_key {
    const char *data;
    uint64_t hash;
    uint32_t len;
};

/* KEY_LEN must be 1 to STROBE_KEY_MAX. Any thread. */
struct strobe_key strobe_key(const struct strobe_map *map, const void *key, size_t key_len);

/* What a new entry shall be. VALUE may be NULL with a LEN: then strobe_entry_fill's bytes are the
 * caller's to write before the entry is put. With BLOB the value is that blob's first LEN bytes, shared; LEN 0: all of
 * them. */
struct strobe_entry_spec {
    const struct strobe_key *key;
    const void *value;
    size_t len;
    struct strobe_blob *blob;
    uint64_t expiry;
    const char *type;
    size_t type_len;
};

/* Makes an entry that is in no map yet, owned by the caller: put it, or free it. Any thread; best outside of
 * locks. Results: OK, NO_MEMORY, TOO_BIG. */
enum strobe_status strobe_entry_new(struct strobe_map *map, const struct strobe_entry_spec *spec,
                                    struct strobe_entry **out);

/* The value's bytes of an entry that was not put yet. */
char *strobe_entry_fill(struct strobe_entry *entry);

/* Frees an entry that the caller owns: one never put, or one that strobe_put or strobe_erase gave. NULL is
 * allowed. */
void strobe_entry_free(struct strobe_map *map, struct strobe_entry *entry);

/* Reading an entry. The bytes live as long as the entry does: until strobe_leave for one found in an
 * access, until the visitor returns for one met in a snapshot. */
const char *strobe_entry_key(const struct strobe_entry *entry, size_t *len);
const char *strobe_entry_value(const struct strobe_entry *entry, size_t *len);
const char *strobe_entry_type(const struct strobe_entry *entry, size_t *len); /* NULL: none */
uint64_t strobe_entry_version(const struct strobe_entry *entry);
uint64_t strobe_entry_expiry(const struct strobe_entry *entry); /* 0: never */
size_t strobe_entry_memory(const struct strobe_entry *entry);   /* bytes it takes, blob included */

/* The blob of an entry whose value has STROBE_BLOB_MIN bytes or more, or was made of a blob; else NULL. Borrowed like
 * the entry: share it to keep it. */
struct strobe_blob *strobe_entry_blob(const struct strobe_entry *entry);

/* A blob of LEN bytes, owned by the caller, who fills its bytes before sharing it; NULL without memory. */
struct strobe_blob *strobe_blob_new(struct strobe_map *map, size_t len);

/* Before it is shared: only the first LEN of BLOB's bytes are the value, and SPARE behind them may become a longer one.
 * What is beyond that is given back where the allocator can. */
void strobe_blob_settle(struct strobe_blob *blob, size_t len, size_t spare);

/* For a longer value that begins with the LEN bytes that an entry has in BLOB: gives the place behind them if there is
 * room for MORE bytes and nobody else took it, to be written by the caller, who makes an entry of LEN + MORE of BLOB
 * then. The old entry and its readers see no difference. NULL: it must be copied. Any thread that holds BLOB. */
char *strobe_blob_extend(struct strobe_blob *blob, size_t len, size_t more);

/* Gives up what strobe_blob_extend(BLOB, LEN, ...) gave, of which no entry was put. */
void strobe_blob_retract(struct strobe_blob *blob, size_t len);

/* *LEN, which may be NULL: those of the longest value in it. An entry's own length is strobe_entry_value's. */
char *strobe_blob_bytes(struct strobe_blob *blob, size_t *len);
size_t strobe_blob_memory(const struct strobe_blob *blob); /* bytes it takes */
struct strobe_blob *strobe_blob_share(struct strobe_blob *blob);
void strobe_blob_release(struct strobe_blob *blob); /* any thread; may outlive the access, not the map */

/* ---- Access: looks and changes under the locks of some keys, all at one instant -------------- */

/* On the caller's stack; its fields are the library's. */
struct strobe_access {
    struct strobe_map *map;
    uint64_t instant;   /* the map's clock, read once after all locks were taken */
    uint64_t newest;    /* newest snapshot open at that instant, 0 = none */
    uint64_t slept;     /* nanoseconds it left its processor to others until it had all locks; the caller may read it */
    uint32_t first;     /* lowest shard held */
    uint32_t held_many; /* 0: only FIRST is held; else HELD tells */
    uint64_t held[16];  /* a bit for every shard held */
};

/* Locks the shard of KEY. Hold it briefly: no waiting, no large copies. An access does not nest: a
 * thread has one at a time. Any thread. */
void strobe_enter(struct strobe_map *map, const struct strobe_key *key, struct strobe_access *access) STROBE_ENTERS;

/* Locks the shards of COUNT keys (at most STROBE_ACCESS_MAX), in ascending order, so that what is done inside
 * happens at once for every other thread and for every snapshot. */
void strobe_enter_many(struct strobe_map *map, const struct strobe_key *keys, size_t count,
                       struct strobe_access *access) STROBE_ENTERS;

/* Locks every shard: everybody waits. For strobe_flush_inside and its like. */
void strobe_enter_all(struct strobe_map *map, struct strobe_access *access) STROBE_ENTERS;

void strobe_leave(struct strobe_access *access) STROBE_LEAVES;

/* The instant's time in milliseconds: what decides expiry inside this access. */
uint64_t strobe_access_now(const struct strobe_access *access);

/* The entry of KEY, or NULL when there is none or it has expired. Lives until strobe_leave, also when
 * it is replaced before. KEY must be one of those entered with (or share a shard with one). */
const struct strobe_entry *strobe_find(struct strobe_access *access, const struct strobe_key *key) STROBE_INSIDE;

/* Puts *ENTRY under KEY, which must be the entry's own key, and gives it a new version. On OK takes
 * *ENTRY and leaves in its place the entry it replaced, now the caller's to free *after* strobe_leave, or NULL.
 * (Before, too, if nothing that strobe_find gave in this access is looked at again: it may be that one.)
 * Results: OK, NO_MEMORY (*ENTRY stays the caller's, the map is unchanged). */
enum strobe_status strobe_put(struct strobe_access *access, const struct strobe_key *key, struct strobe_entry **entry)
    STROBE_INSIDE;

/* Puts COUNT entries, all or none: ENTRIES[i] under KEYS[i]; of equal keys the last wins. On OK the
 * places hold what is to be freed after strobe_leave, as in strobe_put. Results: OK, NO_MEMORY (all stay the
 * caller's). */
enum strobe_status strobe_put_many(struct strobe_access *access, const struct strobe_key *keys,
                                   struct strobe_entry **entries, size_t count) STROBE_INSIDE;

/* Removes KEY, and leaves in *OLD the removed entry, the caller's to free after strobe_leave, or NULL when it is kept
 * for a snapshot. Results: OK, MISSING (*OLD may hold an entry all the same, one that had expired), NO_MEMORY
 * (unchanged). */
enum strobe_status strobe_erase(struct strobe_access *access, const struct strobe_key *key, struct strobe_entry **old)
    STROBE_INSIDE;

/* Does beforehand what can fail when KEY is erased: after OK strobe_erase of KEY in this access does not answer
 * NO_MEMORY. So several keys are erased all or none. Results: OK, NO_MEMORY (unchanged). */
enum strobe_status strobe_prepare(struct strobe_access *access, const struct strobe_key *key) STROBE_INSIDE;

/* Tells whether anything was put under a key since: what a version tells of a key that is there, for one that is
 * absent. The caller's memory, which the map knows from begin to end; zeroed, it is one that was not begun. */
struct strobe_vigil {
    struct strobe_vigil *next, **at; /* the library's */
    struct strobe_shard *shard;      /* NULL: not begun */
    uint64_t hash;
    bool ended; /* something was put; read it inside an access to KEY */
};

/* Begins VIGIL for KEY, which the access holds and which is absent: a put that replaces need not end it. It ends before
 * its memory or the map go. Any thread; end outside of an access. (Another key with the same 64 bits of hash would end
 * it too.) */
void strobe_vigil_begin(struct strobe_access *access, const struct strobe_key *key, struct strobe_vigil *vigil)
    STROBE_INSIDE;
void strobe_vigil_end(struct strobe_vigil *vigil) STROBE_OUTSIDE;

/* Reads COUNT keys as one batch whose memory misses overlap: calls VISIT(context, i, entry or NULL)
 * for each i in order, under that key's lock. Each key is read at its own instant; for one instant
 * use strobe_enter_many. VISIT must be brief and must not use the map. Any thread, outside of an access. */
void strobe_get_many(struct strobe_map *map, const struct strobe_key *keys, size_t count,
                     void (*visit)(void *context, size_t i, const struct strobe_entry *entry), void *context)
    STROBE_OUTSIDE;

/* Asks the processor for the memory that COUNT following accesses will touch. It takes no lock for the
 * buckets, and each shard's lock for a moment for the entries. Only a hint. Any thread, outside of an access. */
void strobe_prefetch(struct strobe_map *map, const struct strobe_key *keys, size_t count) STROBE_OUTSIDE;

/* ---- The whole map -------------------------------------------------------------------------- */

/* Takes everything out of the map at one instant. What no snapshot needs is left in *GARBAGE, which the caller frees
 * with strobe_garbage_free, on whichever thread may take long. Where a snapshot needs the old tables and they are more
 * than options.snapshot_memory allows, it is closed, even one in use.
 * Results: OK, NO_MEMORY (unchanged). Any thread, outside of an access. */
struct strobe_garbage;
enum strobe_status strobe_flush(struct strobe_map *map, struct strobe_garbage **garbage) STROBE_OUTSIDE;
void strobe_garbage_free(struct strobe_garbage *garbage) STROBE_OUTSIDE; /* NULL is allowed */

/* The same as a part of an access that holds every shard (strobe_enter_all), at the access's instant. What can fail
 * comes before: prepare makes *GARBAGE, outside of the access, with the empty tables that one strobe_flush_inside puts
 * in; after that, or unused, it is freed like another, outside. Results of prepare: OK, NO_MEMORY. */
enum strobe_status strobe_flush_prepare(struct strobe_map *map, struct strobe_garbage **garbage) STROBE_OUTSIDE;
void strobe_flush_inside(struct strobe_access *access, struct strobe_garbage *garbage) STROBE_INSIDE;

/* Takes back the memory of what had expired at the last strobe_map_tick, at most SEGMENTS segments of the map (each
 * some hundred entries) from *PLACE on, which it moves (start it with 0; it wraps). Returns how many entries it took.
 * One thread at a time for one PLACE. Any thread, outside of an access. */
size_t strobe_sweep(struct strobe_map *map, uint64_t *place, unsigned segments) STROBE_OUTSIDE;

/* Shows VISIT one entry chosen at random among those alive at the last strobe_map_tick, under its lock: each is as
 * likely as any other, or half as likely, if all are alive. RANDOM is any random number. Results: OK, MISSING (there is
 * none). Any thread, outside of an access. */
enum strobe_status strobe_random(struct strobe_map *map, uint64_t random,
                                 void (*visit)(void *context, const struct strobe_entry *entry), void *context)
    STROBE_OUTSIDE;

/* Entries, those expired but not yet swept included. Any thread, outside of an access. */
uint64_t strobe_count(struct strobe_map *map) STROBE_OUTSIDE;

/* The same two inside of an access that holds every shard (strobe_enter_all). */
enum strobe_status strobe_random_inside(struct strobe_access *access, uint64_t random,
                                        void (*visit)(void *context, const struct strobe_entry *entry), void *context)
    STROBE_INSIDE;
uint64_t strobe_count_inside(const struct strobe_access *access) STROBE_INSIDE;

struct strobe_stats {
    uint64_t entries;       /* with those expired but not swept */
    uint64_t expiring;      /* entries that have an expiry time */
    uint64_t entry_bytes;   /* of live entries, blobs included */
    uint64_t segment_bytes; /* of segments and directories */
    uint64_t segments;
    uint64_t slots;                   /* places for entries in those segments */
    uint64_t splits, merges, resizes; /* of segments, since the start */
    uint64_t expired;                 /* entries swept since the start */
    uint64_t lock_waits;     /* how often a thread had to wait for a shard's lock; each shard's wraps at 2^32 */
    uint64_t snapshots;      /* open now */
    uint64_t copies;         /* segments copied for snapshots and held now */
    uint64_t copies_made;    /* the same since the start */
    uint64_t snapshot_bytes; /* held for snapshots alone: copies, and entries replaced or removed */
    uint64_t revoked;        /* snapshots closed by the limits on their number and memory */
};
void strobe_map_stats(struct strobe_map *map, struct strobe_stats *stats) STROBE_OUTSIDE;

/* The same by shard: how many there are, and how often a thread had to wait for the lock of shard I (from 0). Any
 * thread. */
unsigned strobe_shard_count(const struct strobe_map *map);
uint64_t strobe_shard_lock_waits(const struct strobe_map *map, unsigned i);

/* ---- Snapshots ------------------------------------------------------------------------------ */

/* A place in a snapshot. All zero is the start. Equal to itself for as long as the snapshot is open. */
struct strobe_position {
    uint64_t prefix; /* of the hash: where the range of the segment begins */
    uint32_t slot;   /* in that segment as it was */
    uint32_t end;    /* 1: behind the last entry */
};

/* What a visitor wants next. */
enum strobe_visit {
    STROBE_VISIT_NEXT,   /* took this entry, go on */
    STROBE_VISIT_STOP,   /* took this entry, stop behind it */
    STROBE_VISIT_REFUSE, /* did not take this entry, stop before it */
};

/* Opens a snapshot of the map as it is at one instant within this call: exactly the keys alive then, with the values of
 * then. Constant time. When max_snapshots are open, or they hold more than snapshot_memory (and nothing waits for
 * strobe_map_maintain), another is closed for it: one that was read to its end, else the one that was idle longest, for
 * 5 s at least. With KEEP it is never the one that is closed, and is opened even if none can be. Any thread, outside of
 * an access. Close it. Results: OK, NO_MEMORY, TOO_MANY (none could be closed). */
enum strobe_status strobe_snapshot_open(struct strobe_map *map, bool keep, struct strobe_snapshot **out) STROBE_OUTSIDE;

/* Opens a snapshot of the map as it is at the instant of ACCESS, which this moves forward to now: of what the access
 * holds it shows the state before the access's first change, and so it must be opened before that and before the
 * access has looked at anything. Read and closed outside, later. Results as strobe_snapshot_open. */
enum strobe_status strobe_snapshot_open_inside(struct strobe_access *access, bool keep, struct strobe_snapshot **out)
    STROBE_INSIDE;

/* Opens another snapshot of the same instant, which is read and closed by itself. Nothing of SNAPSHOT may have been
 * forgotten yet, and no other thread may be using it. Any thread, also inside of an access. Results: OK, NO_MEMORY,
 * TOO_MANY, CLOSED (SNAPSHOT was). */
enum strobe_status strobe_snapshot_twin(const struct strobe_snapshot *snapshot, struct strobe_snapshot **out);

/* Visits the entries from *POSITION on, in an order of the map's own, until the visitor stops, UNTIL (NULL: the end)
 * is reached, or BUDGET places of the map were looked at (0: no bound; an empty place costs little, so a few
 * thousand is a short while). Moves *POSITION to where to go on. The visitor runs outside of all locks and may use
 * the map, also erase from it; what it sees is not changed by that. One thread at a time for one snapshot; not
 * always the same one. Positions only go forward, but the range behind strobe_snapshot_forget's may be read again.
 * Results: OK, NO_MEMORY (*POSITION is where it happened; go on later), CLOSED. */
enum strobe_status strobe_snapshot_read(struct strobe_snapshot *snapshot, struct strobe_position *position,
                                        const struct strobe_position *until, size_t budget,
                                        enum strobe_visit (*visit)(void *context, const struct strobe_entry *entry),
                                        void *context) STROBE_OUTSIDE;

/* Says that nothing before POSITION will be read again: the memory held for it is given back. */
void strobe_snapshot_forget(struct strobe_snapshot *snapshot, const struct strobe_position *position) STROBE_OUTSIDE;

/* The instant in milliseconds: what had expired by then is not in the snapshot. */
uint64_t strobe_snapshot_time(const struct strobe_snapshot *snapshot);

/* Closes the snapshot and gives back what it alone held, which can be a lot: some microseconds a copied segment. No
 * thread may be reading it. */
void strobe_snapshot_close(struct strobe_snapshot *snapshot) STROBE_OUTSIDE;

/* The same for COUNT snapshots of one map, with one look at the copies for all of them. */
void strobe_snapshot_close_many(struct strobe_snapshot *const *snapshots, size_t count) STROBE_OUTSIDE;

/* Gives back the memory of snapshots that a limit has closed (their owners learn it as CLOSED), some microseconds a
 * copied segment, and does what strobe_map_enforce does, until the limit is kept or nobody may be closed. When
 * options.snapshot_memory or max_snapshots is set, call it about once a second, and soon after strobe_map_owes: until
 * then no write closes another snapshot, so what is kept for them may pass the limit. Any thread, outside of an
 * access. */
void strobe_map_maintain(struct strobe_map *map) STROBE_OUTSIDE;

/* If the limit is passed, and nothing waits for strobe_map_maintain, closes a snapshot that was in use when it was
 * passed and is idle by now. It costs some loads, or a look at each snapshot. Any thread, outside of an access. */
void strobe_map_enforce(struct strobe_map *map) STROBE_OUTSIDE;

/* Whether memory of closed snapshots waits for strobe_map_maintain. Any thread, also within an access; two loads. */
bool strobe_map_owes(const struct strobe_map *map);

#ifdef __cplusplus
}
#endif
#endif
