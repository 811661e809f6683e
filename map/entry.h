/* entry.h - one key with its value, as a run of bytes that does not change while others can see it. */
#ifndef STROBE_MAP_ENTRY_H
#define STROBE_MAP_ENTRY_H

#include <string.h>

#include "map/compiler.h"
#include "map/map.h"

#define ENTRY_EXPIRES 1u
#define ENTRY_TYPE    2u
#define ENTRY_BLOB    4u

/* entry.c draws what is in REST. */
struct strobe_entry {
    uint64_t version_flags; /* version << 8 | flags */
    unsigned char rest[];
};

static inline unsigned entry_flags(const struct strobe_entry *entry) {
    return (unsigned)(entry->version_flags & 255);
}

#define ENTRY_SHORT_MAX 127u /* bytes of a key or a value: its length takes one byte */

/* Two runs of at most ENTRY_SHORT_MAX bytes compared or copied, without a call: a function that may make one saves its
 * registers first. Compared by words, copied by pairs of words (one load of 16 bytes): the first and the last, which
 * may overlap, are all that most keys and values have. TO and FROM do not overlap. With LEN 0 either may be NULL. */
static inline bool entry_same_short(const void *a, const void *b, size_t len) {
    const char *left = a, *right = b;
    uint64_t x, y;

    if (UNUSUAL(len < sizeof x)) {
        for (size_t i = 0; i < len; i++)
            if (left[i] != right[i]) return false;
        return true;
    }
    memcpy(&x, left, sizeof x);
    memcpy(&y, right, sizeof y);
    if (x != y) return false;
    memcpy(&x, left + len - sizeof x, sizeof x);
    memcpy(&y, right + len - sizeof y, sizeof y);
    if (x != y) return false;
    for (size_t i = sizeof x; i < len - sizeof x; i += sizeof x) {
        memcpy(&x, left + i, sizeof x);
        memcpy(&y, right + i, sizeof y);
        if (x != y) return false;
    }
    return true;
}

static inline void entry_copy_short(void *to, const void *from, size_t len) {
    struct pair {
        uint64_t low, high;
    } pair, last_pair;
    uint64_t word, last;
    char *t = to;
    const char *f = from;

    if (USUAL(len >= sizeof pair)) {
        memcpy(&pair, f, sizeof pair);
        memcpy(&last_pair, f + len - sizeof pair, sizeof pair);
        memcpy(t, &pair, sizeof pair);
        memcpy(t + len - sizeof pair, &last_pair, sizeof pair);
        for (size_t i = sizeof pair; i < len - sizeof pair; i += sizeof pair) {
            memcpy(&pair, f + i, sizeof pair);
            memcpy(t + i, &pair, sizeof pair);
        }
    } else if (len >= sizeof word) {
        memcpy(&word, f, sizeof word);
        memcpy(&last, f + len - sizeof word, sizeof word);
        memcpy(t, &word, sizeof word);
        memcpy(t + len - sizeof word, &last, sizeof word);
    } else {
        for (size_t i = 0; i < len; i++) t[i] = f[i];
    }
}

/* The same for any length. */
static inline bool entry_same_bytes(const void *a, const void *b, size_t len) {
    return len <= ENTRY_SHORT_MAX ? entry_same_short(a, b, len) : memcmp(a, b, len) == 0;
}

static inline void entry_copy(void *to, const void *from, size_t len) {
    if (len <= ENTRY_SHORT_MAX)
        entry_copy_short(to, from, len);
    else
        memcpy(to, from, len);
}

/* Where everything in an entry is. */
struct entry_layout {
    const unsigned char *expiry, *type, *key, *value;
    size_t key_len, value_len, type_len, size;
};

struct entry_layout entry_layout_full(const struct strobe_entry *entry);

/* Most entries are plain: no flags, and both lengths at most ENTRY_SHORT_MAX, in a byte each. */
static inline bool entry_plain(const struct strobe_entry *entry) {
    uint16_t lengths;

    memcpy(&lengths, entry->rest, sizeof lengths);
    return (lengths & 0x8080) == 0 && entry_flags(entry) == 0;
}

static inline bool entry_lengths_plain(size_t key_len, size_t value_len) {
    return key_len - 1 < ENTRY_SHORT_MAX && value_len <= ENTRY_SHORT_MAX;
}

/* A plain entry of lengths that allow it, owned by the caller. NULL without memory. */
struct strobe_entry *entry_new_plain(const struct strobe_allocator *allocator, const struct strobe_key *key,
                                     const void *value, size_t len);

static inline struct entry_layout entry_layout(const struct strobe_entry *entry) {
    struct entry_layout l = {0};

    if (!entry_plain(entry)) return entry_layout_full(entry);
    l.key_len = entry->rest[0];
    l.value_len = entry->rest[1];
    l.key = entry->rest + 2;
    l.value = l.key + l.key_len;
    l.size = sizeof *entry + 2 + l.key_len + l.value_len;
    return l;
}

/* Bytes that ENTRY takes, with its blob. */
static inline size_t entry_memory(const struct strobe_entry *entry) {
    return entry_plain(entry) ? entry_layout(entry).size : strobe_entry_memory(entry);
}

/* Of a plain ENTRY, whose key has KEY_LEN bytes. */
static inline size_t entry_plain_value_len(const struct strobe_entry *entry) {
    return entry->rest[1];
}

static inline size_t entry_plain_value_at(size_t key_len) {
    return 2 + key_len;
}

/* Whether ENTRY, a plain one, has this key. The caller has compared the hash's tag already. */
static inline bool entry_plain_has_key(const struct strobe_entry *entry, const struct strobe_key *key) {
    return entry->rest[0] == key->len && entry_same_short(entry->rest + 2, key->data, key->len);
}

/* The same for any entry. */
static inline bool entry_has_key(const struct strobe_entry *entry, const struct strobe_key *key) {
    struct entry_layout l = entry_layout(entry);

    return l.key_len == key->len && entry_same_bytes(l.key, key->data, l.key_len);
}

/* Under its shard's lock: before the entry is published, or when strobe_set writes it over (single.c). */
static inline void entry_set_version(struct strobe_entry *entry, uint64_t version) {
    entry->version_flags = version << 8 | entry_flags(entry);
}

static inline uint64_t entry_version(const struct strobe_entry *entry) {
    return entry->version_flags >> 8;
}

static inline bool entry_expires(const struct strobe_entry *entry) {
    return entry_flags(entry) & ENTRY_EXPIRES;
}

static inline bool entry_dead(const struct strobe_entry *entry, uint64_t now) {
    return entry_expires(entry) && strobe_entry_expiry(entry) <= now;
}

/* Frees ENTRY's memory and lets its blob go. */
void entry_destroy(const struct strobe_allocator *allocator, struct strobe_entry *entry);

#endif
