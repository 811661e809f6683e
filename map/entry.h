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

/* memcpy, without a call for the lengths that most keys and values have. */
static inline void entry_copy(void *to, const void *from, size_t len) {
    char *t = to;
    const char *f = from;

    if (len < 8 || len > 32) {
        memcpy(t, f, len);
    } else if (len <= 16) {
        uint64_t first, last;

        memcpy(&first, f, 8);
        memcpy(&last, f + len - 8, 8);
        memcpy(t, &first, 8);
        memcpy(t + len - 8, &last, 8);
    } else {
        struct {
            uint64_t a, b;
        } first, last;

        memcpy(&first, f, 16);
        memcpy(&last, f + len - 16, 16);
        memcpy(t, &first, 16);
        memcpy(t + len - 16, &last, 16);
    }
}

/* Where everything in an entry is. */
struct entry_layout {
    const unsigned char *expiry, *type, *key, *value;
    size_t key_len, value_len, type_len, size;
};

struct entry_layout entry_layout_full(const struct strobe_entry *entry);

/* Most entries are plain: no flags, and both lengths below 128, in a byte each. */
static inline bool entry_plain(const struct strobe_entry *entry) {
    uint16_t lengths;

    memcpy(&lengths, entry->rest, sizeof lengths);
    return (lengths & 0x8080) == 0 && entry_flags(entry) == 0;
}

static inline bool entry_lengths_plain(size_t key_len, size_t value_len) {
    return key_len - 1 < 127 && value_len < 128;
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

/* Whether ENTRY has this key. The caller has compared the hash's tag already. */
static inline bool entry_has_key(const struct strobe_entry *entry, const struct strobe_key *key) {
    struct entry_layout l = entry_layout(entry);

    return l.key_len == key->len && entry_same_bytes(l.key, key->data, l.key_len);
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
