/* entry.h - one key with its value, as a run of bytes that never changes once others can see it. */
#ifndef STROBE_MAP_ENTRY_H
#define STROBE_MAP_ENTRY_H

#include <string.h>

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

/* Lengths are base-128 numbers, low digits first. Returns what follows. */
static inline const unsigned char *entry_length(const unsigned char *at, size_t *n) {
    size_t value = *at & 127;

    for (unsigned shift = 7; *at++ & 128; shift += 7) value |= (size_t)(*at & 127) << shift;
    *n = value;
    return at;
}

/* Whether two runs of LEN bytes are equal; short keys, which is most of them, without a call. */
static inline bool entry_same_bytes(const void *a, const void *b, size_t len) {
    uint64_t first_a, first_b, last_a, last_b;

    if (len < 8 || len > 16) return memcmp(a, b, len) == 0;
    memcpy(&first_a, a, 8);
    memcpy(&first_b, b, 8);
    memcpy(&last_a, (const char *)a + len - 8, 8);
    memcpy(&last_b, (const char *)b + len - 8, 8);
    return ((first_a ^ first_b) | (last_a ^ last_b)) == 0;
}

/* Whether ENTRY has this key. The caller has compared the hash's tag already. */
static inline bool entry_has_key(const struct strobe_entry *entry, const struct strobe_key *key) {
    size_t key_len, value_len;
    const unsigned char *at = entry_length(entry->rest, &key_len);
    unsigned flags = entry_flags(entry);

    if (key_len != key->len) return false;
    at = entry_length(at, &value_len);
    if (flags & (ENTRY_EXPIRES | ENTRY_TYPE)) {
        at += flags & ENTRY_EXPIRES ? 8 : 0;
        at += flags & ENTRY_TYPE ? 1 + (size_t)*at : 0;
    }
    return entry_same_bytes(at, key->data, key_len);
}

/* Before the entry is published, under its shard's lock. */
void entry_set_version(struct strobe_entry *entry, uint64_t version);

static inline bool entry_expires(const struct strobe_entry *entry) {
    return entry_flags(entry) & ENTRY_EXPIRES;
}

static inline bool entry_dead(const struct strobe_entry *entry, uint64_t now) {
    return entry_expires(entry) && strobe_entry_expiry(entry) <= now;
}

/* Frees ENTRY's memory and lets its blob go. */
void entry_destroy(const struct strobe_allocator *allocator, struct strobe_entry *entry);

#endif
