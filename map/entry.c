/* entry.c - a key, its value and what is known of it, packed into one allocation.
 *
 *      8 bytes     1-3      1-5         0 or 8   0 or 1+n   n    n or 8
 *     +-----------+--------+-----------+--------+----------+-----+---------------+
 *     | version   | key    | value     | expiry | type     | key | value, or a   |
 *     | 56, flags | length | length    | ms     |          |     | blob's address|
 *     +-----------+--------+-----------+--------+----------+-----+---------------+
 *
 * 14 + 32 bytes make 56, which is a 64-byte block of jemalloc and of glibc alike.
 *
 * Always: after strobe_entry_new only the version is written, and what strobe_entry_fill gives, both before the entry
 * is published, so that readers of a snapshot need no lock. One exception: strobe_set writes value and version of a
 * published entry over, under the lock, when no copy names it (single.c). A value of STROBE_BLOB_MIN bytes or more is
 * in a counted blob: EXPIRE, RENAME and a reply in flight share it instead of copying.
 * On failure: strobe_entry_new leaves nothing behind.
 * Not here: who may still see a replaced entry (copies.c).
 */
#include "map/entry.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "map/map_private.h"
#include "map/memory.h"

/* Bytes behind those that an entry has may be given to a longer entry, once: whoever moves USED from where the entry
 * ends owns them. So a value grows at its end without a copy, and without a change to the entry that is there. */
struct strobe_blob {
    const struct strobe_allocator *allocator;
    size_t room; /* bytes there are */
    /* Those that belong to an entry, or will. Acquire: pairs with the release of a retract, whose owner wrote there. */
    atomic_size_t used;
    atomic_size_t holders;
    char bytes[];
};

static inline size_t length_size(size_t n) {
    size_t size = 1;

    while (n >>= 7) size++;
    return size;
}

static inline unsigned char *length_write(unsigned char *at, size_t n) {
    for (; n >= 128; n >>= 7) *at++ = (unsigned char)(n | 128);
    *at++ = (unsigned char)n;
    return at;
}

/* Lengths are base-128 numbers, low digits first. Returns what follows. */
static inline const unsigned char *entry_length(const unsigned char *at, size_t *n) {
    size_t value = *at & 127;

    for (unsigned shift = 7; *at++ & 128; shift += 7) value |= (size_t)(*at & 127) << shift;
    *n = value;
    return at;
}

struct entry_layout entry_layout_full(const struct strobe_entry *e) {
    struct entry_layout l = {0};
    const unsigned char *at = entry_length(entry_length(e->rest, &l.key_len), &l.value_len);
    unsigned flags = entry_flags(e);

    if (flags & ENTRY_EXPIRES) {
        l.expiry = at;
        at += 8;
    }
    if (flags & ENTRY_TYPE) {
        l.type_len = *at++;
        l.type = at;
        at += l.type_len;
    }
    l.key = at;
    l.value = at + l.key_len;
    l.size = (size_t)(l.value - (const unsigned char *)e) +
             (flags & ENTRY_BLOB ? sizeof(struct strobe_blob *) : l.value_len);
    return l;
}

static inline struct strobe_blob *blob_at(const unsigned char *at) {
    struct strobe_blob *blob;

    memcpy(&blob, at, sizeof blob);
    return blob;
}

struct strobe_blob *strobe_blob_new(struct strobe_map *map, size_t len) {
    const struct strobe_allocator *allocator = map_allocator(map);
    struct strobe_blob *blob;

    if (len > STROBE_VALUE_MAX) return NULL;
    blob = memory_alloc(allocator, sizeof *blob + len, MEMORY_WORD);
    if (!blob) return NULL;
    blob->allocator = allocator;
    blob->room = len;
    atomic_init(&blob->used, len);
    atomic_init(&blob->holders, 1);
    return blob;
}

void strobe_blob_settle(struct strobe_blob *blob, size_t len, size_t spare) {
    const struct strobe_allocator *allocator = blob->allocator;
    size_t room = spare < blob->room - len ? len + spare : blob->room;

    assert(len <= blob->room);
    atomic_store_explicit(&blob->used, len, memory_order_relaxed);
    if (room < blob->room && allocator->shrink &&
        allocator->shrink(allocator->context, blob, sizeof *blob + blob->room, sizeof *blob + room, MEMORY_WORD))
        blob->room = room;
}

char *strobe_blob_extend(struct strobe_blob *blob, size_t len, size_t more) {
    size_t used = len;

    if (len > blob->room || more > blob->room - len) return NULL;
    if (!atomic_compare_exchange_strong_explicit(&blob->used, &used, len + more, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return NULL;
    return blob->bytes + len;
}

void strobe_blob_retract(struct strobe_blob *blob, size_t len) {
    atomic_store_explicit(&blob->used, len, memory_order_release);
}

char *strobe_blob_bytes(struct strobe_blob *blob, size_t *len) {
    if (len) *len = atomic_load_explicit(&blob->used, memory_order_relaxed);
    return blob->bytes;
}

size_t strobe_blob_memory(const struct strobe_blob *blob) {
    return sizeof *blob + blob->room;
}

struct strobe_blob *strobe_blob_share(struct strobe_blob *blob) {
    /* Whoever shares holds it already, so nothing has to be ordered. */
    atomic_fetch_add_explicit(&blob->holders, 1, memory_order_relaxed);
    return blob;
}

void strobe_blob_release(struct strobe_blob *blob) {
    if (!blob) return;
    /* Release: our reads come before. Acquire: the last one sees that everybody else's did. */
    if (atomic_fetch_sub_explicit(&blob->holders, 1, memory_order_acq_rel) == 1)
        memory_release(blob->allocator, blob, strobe_blob_memory(blob), MEMORY_WORD);
}

/* The blob for a new entry: the given one shared, or a new one. NULL: no memory. */
static struct strobe_blob *blob_for(struct strobe_map *map, const struct strobe_entry_spec *spec) {
    struct strobe_blob *blob;

    if (spec->blob) return strobe_blob_share(spec->blob);
    blob = strobe_blob_new(map, spec->len);
    if (blob && spec->value) memcpy(blob->bytes, spec->value, spec->len);
    return blob;
}

struct strobe_entry *entry_new_plain(const struct strobe_allocator *allocator, const struct strobe_key *key,
                                     const void *value, size_t len) {
    struct strobe_entry *e = memory_alloc(allocator, sizeof *e + 2 + key->len + len, MEMORY_WORD);

    if (!e) return NULL;
    assert(((uintptr_t)e & 15) == 0 && (uintptr_t)e >> 48 == 0);
    e->version_flags = 0;
    e->rest[0] = (unsigned char)key->len;
    e->rest[1] = (unsigned char)len;
    entry_copy(e->rest + 2, key->data, key->len);
    if (value && len) entry_copy(e->rest + 2 + key->len, value, len);
    return e;
}

static bool is_plain(const struct strobe_entry_spec *spec) {
    return !spec->blob && !spec->expiry && !spec->type_len && entry_lengths_plain(spec->key->len, spec->len);
}

enum strobe_status strobe_entry_new(struct strobe_map *map, const struct strobe_entry_spec *spec,
                                    struct strobe_entry **out) {
    size_t key_len = spec->key->len;
    size_t len = spec->blob && !spec->len ? atomic_load_explicit(&spec->blob->used, memory_order_relaxed) : spec->len;
    bool large = spec->blob || len >= STROBE_BLOB_MIN;
    struct strobe_blob *blob = NULL;
    struct strobe_entry *e;
    unsigned flags = 0;
    unsigned char *at;
    size_t size;

    if (is_plain(spec)) {
        *out = entry_new_plain(map_allocator(map), spec->key, spec->value, len);
        return *out ? STROBE_OK : STROBE_NO_MEMORY;
    }
    if (key_len == 0 || key_len > STROBE_KEY_MAX || len > STROBE_VALUE_MAX || spec->type_len > STROBE_TYPE_MAX)
        return STROBE_TOO_BIG;
    if (large && !(blob = blob_for(map, spec))) return STROBE_NO_MEMORY;
    size = sizeof *e + length_size(key_len) + length_size(len) + (spec->expiry ? 8 : 0) +
           (spec->type_len ? 1 + spec->type_len : 0) + key_len + (large ? sizeof blob : len);
    e = memory_alloc(map_allocator(map), size, MEMORY_WORD);
    if (!e) {
        strobe_blob_release(blob);
        return STROBE_NO_MEMORY;
    }
    assert(((uintptr_t)e & 15) == 0 && (uintptr_t)e >> 48 == 0);

    at = length_write(length_write(e->rest, key_len), len);
    if (spec->expiry) {
        flags |= ENTRY_EXPIRES;
        memcpy(at, &spec->expiry, 8);
        at += 8;
    }
    if (spec->type_len) {
        flags |= ENTRY_TYPE;
        *at++ = (unsigned char)spec->type_len;
        memcpy(at, spec->type, spec->type_len);
        at += spec->type_len;
    }
    entry_copy(at, spec->key->data, key_len);
    at += key_len;
    if (large) {
        flags |= ENTRY_BLOB;
        memcpy(at, &blob, sizeof blob);
    } else if (spec->value && len) {
        entry_copy(at, spec->value, len);
    }
    e->version_flags = flags;
    *out = e;
    return STROBE_OK;
}

char *strobe_entry_fill(struct strobe_entry *entry) {
    struct entry_layout l = entry_layout(entry);

    if (entry_flags(entry) & ENTRY_BLOB) return blob_at(l.value)->bytes;
    return (char *)entry + (l.value - (const unsigned char *)entry);
}

void strobe_entry_free(struct strobe_map *map, struct strobe_entry *entry) {
    if (entry) entry_destroy(map_allocator(map), entry);
}

void entry_destroy(const struct strobe_allocator *allocator, struct strobe_entry *entry) {
    struct entry_layout l = entry_layout(entry);

    if (entry_flags(entry) & ENTRY_BLOB) strobe_blob_release(blob_at(l.value));
    memory_release(allocator, entry, l.size, MEMORY_WORD);
}

const char *strobe_entry_key(const struct strobe_entry *entry, size_t *len) {
    struct entry_layout l = entry_layout(entry);

    *len = l.key_len;
    return (const char *)l.key;
}

const char *strobe_entry_value(const struct strobe_entry *entry, size_t *len) {
    struct entry_layout l = entry_layout(entry);

    *len = l.value_len;
    if (entry_flags(entry) & ENTRY_BLOB) return blob_at(l.value)->bytes;
    return (const char *)l.value;
}

const char *strobe_entry_type(const struct strobe_entry *entry, size_t *len) {
    struct entry_layout l = entry_layout(entry);

    *len = l.type_len;
    return (const char *)l.type;
}

uint64_t strobe_entry_version(const struct strobe_entry *entry) {
    return entry_version(entry);
}

uint64_t strobe_entry_expiry(const struct strobe_entry *entry) {
    struct entry_layout l;
    uint64_t expiry = 0;

    if (!entry_expires(entry)) return 0;
    l = entry_layout(entry);
    memcpy(&expiry, l.expiry, sizeof expiry);
    return expiry;
}

size_t strobe_entry_memory(const struct strobe_entry *entry) {
    struct entry_layout l = entry_layout(entry);

    return l.size + (entry_flags(entry) & ENTRY_BLOB ? strobe_blob_memory(blob_at(l.value)) : 0);
}

struct strobe_blob *strobe_entry_blob(const struct strobe_entry *entry) {
    return entry_flags(entry) & ENTRY_BLOB ? blob_at(entry_layout(entry).value) : NULL;
}
