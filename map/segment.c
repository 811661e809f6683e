/* segment.c - buckets of nine slots, searched from an entry's home bucket on.
 *
 *      header | bucket 0 | bucket 1 | ... | bucket 62 to 110            (each one cache line)
 *      bucket = | 9 addresses of 6 bytes | 9 tags | passed |
 *
 * An entry's home is the bucket its hash points to. When that is full the entry goes to the next bucket with
 * a free slot, round the end, and every bucket on the way counts it in `passed`; so a search ends at the first
 * bucket that nobody passed. This is linear probing by cache lines: with nine slots to a line it works up to a load
 * of nine tenths and more, with 1.0 to 1.5 lines a look (tests/bench/segment_model prints the figures that chose it).
 *
 * A segment of 4 KiB that is full becomes one of 6 KiB (both are classes of the allocator) before it splits, so that
 * all segments, which fill up at nearly the same pace, are never all half empty.
 *
 * Always: an entry can be found from its home without crossing a bucket with passed = 0; tags of used slots are
 * not 0; addresses of empty slots are 0; count is the number of used slots.
 * On failure: only segment_new can fail, and leaves nothing.
 * Not here: locking (map.c), when to grow or split (table.c), who still sees a removed entry (copies.c).
 */
#include "map/segment.h"

#include "map/memory.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "slots keep the low 48 bits first");

#define PASSED_MAX 255u

uint32_t segment_limit(unsigned class) {
    return segment_slots(class) * 23 / 25; /* 0.92 */
}

static inline uint64_t word_of(const struct strobe_entry *entry, uint64_t expiry) {
    return (uint64_t)(uintptr_t)entry | (expiry ? SLOT_EXPIRES : 0);
}

struct segment *segment_new(const struct strobe_allocator *allocator, unsigned class, uint64_t prefix, unsigned bits) {
    struct segment *segment = memory_alloc(allocator, segment_size(class), MEMORY_LINE);

    if (!segment) return NULL;
    memset(segment, 0, segment_size(class));
    segment->prefix = prefix;
    segment->bits = (uint8_t)bits;
    segment->class = (uint8_t) class;
    segment->earliest = UINT64_MAX;
    return segment;
}

void segment_free(const struct strobe_allocator *allocator, struct segment *segment) {
    if (segment) memory_release(allocator, segment, segment_size(segment->class), MEMORY_LINE);
}

uint64_t segment_look(const struct segment *segment, unsigned class, const struct strobe_key *key,
                      segment_slot *where) {
    uint32_t buckets = segment_buckets(class), b = segment_home(key->hash, buckets);
    uint8_t tag = segment_tag(key->hash);

    for (uint32_t looked = 0; looked < buckets; looked++, b = segment_next(b, buckets)) {
        const struct bucket *bucket = &segment->buckets[b];

        for (uint32_t mask = bucket_match(bucket, tag); mask; mask &= mask - 1) {
            uint32_t place = (uint32_t)__builtin_ctz(mask);
            uint64_t word = bucket_word(bucket, place);

            if (!entry_has_key(slot_entry(word), key)) continue;
            *where = (segment_slot)(b * BUCKET_SLOTS + place);
            return word;
        }
        if (bucket->passed == 0) break;
    }
    *where = SEGMENT_NO_SLOT;
    return 0;
}

void segment_prefetch_entry(const struct segment *segment, unsigned class, uint64_t hash) {
    uint32_t buckets = segment_buckets(class), b = segment_home(hash, buckets);
    uint32_t mask = bucket_match(&segment->buckets[b], segment_tag(hash));

    if (!mask && segment->buckets[b].passed) { /* one in seven is further on, nearly always in the next */
        b = segment_next(b, buckets);
        mask = bucket_match(&segment->buckets[b], segment_tag(hash));
    }
    if (mask) __builtin_prefetch(slot_entry(bucket_word(&segment->buckets[b], (uint32_t)__builtin_ctz(mask))));
}

segment_slot segment_find_entry(const struct segment *segment, uint64_t hash, const struct strobe_entry *entry) {
    uint32_t buckets = segment_buckets(segment->class);
    uint32_t b = segment_home(hash, buckets);
    uint8_t tag = segment_tag(hash);

    for (uint32_t looked = 0; looked < buckets; looked++, b = segment_next(b, buckets)) {
        for (uint32_t mask = bucket_match(&segment->buckets[b], tag); mask; mask &= mask - 1) {
            segment_slot slot = (segment_slot)(b * BUCKET_SLOTS + (uint32_t)__builtin_ctz(mask));

            if (segment_entry(segment, slot) == entry) return slot;
        }
        if (segment->buckets[b].passed == 0) break;
    }
    return SEGMENT_NO_SLOT;
}

void segment_adopt(struct segment *segment, uint64_t hash, uint64_t word) {
    uint32_t buckets = segment_buckets(segment->class);
    uint32_t b = segment_home(hash, buckets);
    uint32_t empty;

    assert(segment->count < segment_slots(segment->class));
    while ((empty = bucket_match(&segment->buckets[b], 0)) == 0) {
        if (segment->buckets[b].passed < PASSED_MAX) segment->buckets[b].passed++;
        b = segment_next(b, buckets);
    }
    segment->buckets[b].tag[__builtin_ctz(empty)] = segment_tag(hash);
    segment_set_word(segment, (segment_slot)(b * BUCKET_SLOTS + (uint32_t)__builtin_ctz(empty)), word);
    segment->count++;
}

void segment_insert(struct segment *segment, uint64_t hash, struct strobe_entry *entry, uint64_t expiry) {
    segment_adopt(segment, hash, word_of(entry, expiry));
    if (expiry && expiry < segment->earliest) segment->earliest = expiry;
}

void segment_remove(struct segment *segment, segment_slot slot, uint64_t hash) {
    uint32_t buckets = segment_buckets(segment->class);
    uint32_t found = (uint32_t)slot / BUCKET_SLOTS;

    segment_set_word(segment, slot, 0);
    segment->buckets[found].tag[(uint32_t)slot % BUCKET_SLOTS] = 0;
    segment->count--;
    for (uint32_t b = segment_home(hash, buckets); b != found; b = segment_next(b, buckets)) {
        if (segment->buckets[b].passed < PASSED_MAX) segment->buckets[b].passed--;
    }
}
