/* segment.h - a few KiB of slots that all entries with one hash prefix live in. */
#ifndef STROBE_MAP_SEGMENT_H
#define STROBE_MAP_SEGMENT_H

#include <assert.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "map/entry.h"
#include "map/lock.h"
#include "map/map.h"

#define BUCKET_SLOTS      9u
#define SEGMENT_CLASSES   2u   /* 4 and 6 KiB; the next step is a split in two of 4 KiB */
#define SEGMENT_SLOTS_MAX 855u /* of the largest class */

/* One cache line: nine addresses of 48 bits, nine tags, and how many entries had to go further. */
struct bucket {
    unsigned char address[BUCKET_SLOTS * 6];
    uint8_t tag[BUCKET_SLOTS]; /* eight bits of the hash, 0 = empty */
    uint8_t passed;            /* entries whose way from their home leads past here; 255 stays 255 */
};
static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

struct segment {
    uint64_t prefix SHARD_GUARDED;   /* the first `bits` bits of every entry's hash, left-aligned */
    uint64_t mark SHARD_GUARDED;     /* newest snapshot it was frozen for */
    uint64_t frozen SHARD_GUARDED;   /* the shard's version counter at that moment */
    uint64_t earliest SHARD_GUARDED; /* nothing in it expires before, ms; UINT64_MAX: nothing expires */
    uint32_t count SHARD_GUARDED;
    uint8_t bits SHARD_GUARDED;
    uint8_t class; /* 0 to SEGMENT_CLASSES - 1 */
    uint8_t spare[26];
    struct bucket buckets[];
};
static_assert(sizeof(struct segment) == 64, "the header is one cache line");

/* A place in a segment; slot is BUCKET_SLOTS * bucket + place in it. */
typedef int32_t segment_slot;
#define SEGMENT_NO_SLOT (-1)

static inline size_t segment_size(unsigned class) {
    return 4096 + (size_t) class * 2048;
}

static inline uint32_t segment_buckets(unsigned class) {
    return (uint32_t)(segment_size(class) / sizeof(struct bucket)) - 1;
}

static inline uint32_t segment_slots(unsigned class) {
    return segment_buckets(class) * BUCKET_SLOTS;
}

/* The bucket where the search for HASH begins. The low half of the hash chooses it: the high half chose the segment. */
static inline uint32_t segment_home(uint64_t hash, uint32_t buckets) {
    return (uint32_t)(((hash & 0xffffffffu) * buckets) >> 32);
}

/* How many entries a segment of CLASS takes before it grows or splits. */
uint32_t segment_limit(unsigned class);

struct segment *segment_new(const struct strobe_allocator *allocator, unsigned class, uint64_t prefix,
                            unsigned bits) LOCK_UNCHECKED;
void segment_free(const struct strobe_allocator *allocator, struct segment *segment);

/* The slot in which ENTRY itself, whose hash is HASH, is. */
segment_slot segment_find_entry(const struct segment *segment, uint64_t hash, const struct strobe_entry *entry);

/* Asks the processor for the entry that a search for HASH would look at first. */
void segment_prefetch_entry(const struct segment *segment, unsigned class, uint64_t hash);

/* Adds ENTRY, whose key is not there yet. There must be a free slot. EXPIRY is the entry's, 0 = never. */
void segment_insert(struct segment *segment, uint64_t hash, struct strobe_entry *entry, uint64_t expiry) STROBE_INSIDE;

/* Adds what another segment had as WORD (segment_word), with its notes. There must be a free slot. */
void segment_adopt(struct segment *segment, uint64_t hash, uint64_t word) STROBE_INSIDE;

void segment_remove(struct segment *segment, segment_slot slot, uint64_t hash) STROBE_INSIDE;

/* The word of SLOT: an address of 48 bits; below 16 it has four bits for notes. */
#define SLOT_NOTES   15u
#define SLOT_EXPIRES 1u /* the entry has an expiry time */

static inline uint64_t bucket_word(const struct bucket *bucket, size_t place) {
    uint64_t word;

    /* Two bytes more than the slot has, still inside the bucket. */
    memcpy(&word, (const unsigned char *)bucket + place * 6, sizeof word);
    return word & 0xffffffffffffu;
}

static inline uint64_t segment_word(const struct segment *segment, segment_slot slot) {
    return bucket_word(&segment->buckets[(uint32_t)slot / BUCKET_SLOTS], (uint32_t)slot % BUCKET_SLOTS);
}

/* The entry of a slot's WORD, NULL when the slot is empty. */
static inline struct strobe_entry *slot_entry(uint64_t word) {
    return (struct strobe_entry *)(uintptr_t)(word & ~(uint64_t)SLOT_NOTES);
}

static inline struct strobe_entry *segment_entry(const struct segment *segment, segment_slot slot) {
    return slot_entry(segment_word(segment, slot));
}

static inline void bucket_set_word(struct bucket *bucket, uint32_t place, uint64_t word) {
    memcpy((unsigned char *)bucket + place * 6, &word, 6);
}

static inline void segment_set_word(struct segment *segment, segment_slot slot, uint64_t word) {
    bucket_set_word(&segment->buckets[(uint32_t)slot / BUCKET_SLOTS], (uint32_t)slot % BUCKET_SLOTS, word);
}

/* Puts ENTRY in the place of another of the same key. */
STROBE_INSIDE static inline void segment_replace(struct segment *segment, segment_slot slot, struct strobe_entry *entry,
                                                 uint64_t expiry) {
    segment_set_word(segment, slot, (uint64_t)(uintptr_t)entry | (expiry ? SLOT_EXPIRES : 0));
    if (expiry && expiry < segment->earliest) segment->earliest = expiry;
}

/* ---- The search, in every command's way and so without a call ---- */

static inline uint8_t segment_tag(uint64_t hash) {
    uint8_t tag = (uint8_t)hash;

    return (uint8_t)(tag + !tag);
}

/* A bit for each slot of BUCKET whose tag is TAG. */
static inline uint32_t bucket_match(const struct bucket *bucket, uint8_t tag) {
#if defined(__SSE2__)
    __m128i line = _mm_load_si128((const __m128i *)(const void *)bucket + 3);
    int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag)));

    return ((uint32_t)equal >> 6) & 0x1ffu; /* the 16 bytes begin with the end of the addresses */
#else
    uint32_t mask = 0;

    for (unsigned i = 0; i < BUCKET_SLOTS; i++) mask |= (uint32_t)(bucket->tag[i] == tag) << i;
    return mask;
#endif
}

static inline uint32_t segment_next(uint32_t bucket, uint32_t buckets) {
    return bucket + 1 == buckets ? 0 : bucket + 1;
}

/* The bucket where the search for HASH begins, in a segment of CLASS. */
static inline struct bucket *segment_home_bucket(struct segment *segment, unsigned class, uint64_t hash) {
    return &segment->buckets[segment_home(hash, segment_buckets(class))];
}

/* The whole search: gives the slot's word and the slot in *WHERE; 0 and SEGMENT_NO_SLOT when KEY is not there. CLASS is
 * the segment's, which the directory knows too: so a look does not touch the header. */
uint64_t segment_look(const struct segment *segment, unsigned class, const struct strobe_key *key, segment_slot *where);

/* The usual end of a search, without a call or a loop: the entry of the first slot of HOME, KEY's home bucket, that has
 * KEY's tag, if it is a plain entry of KEY, and which slot it was in *PLACE (which may be NULL). NULL: search on. */
INLINE struct strobe_entry *segment_glance(const struct bucket *home, const struct strobe_key *key, uint32_t *place) {
    uint32_t mask = bucket_match(home, segment_tag(key->hash)), first;
    struct strobe_entry *entry;

    if (UNUSUAL(!mask)) return NULL;
    first = (uint32_t)__builtin_ctz(mask);
    if (place) *place = first;
    entry = slot_entry(bucket_word(home, first));
    return USUAL(entry_plain(entry)) && USUAL(entry_plain_has_key(entry, key)) ? entry : NULL;
}

static inline segment_slot segment_find(const struct segment *segment, unsigned class, const struct strobe_key *key) {
    segment_slot slot;

    (void)segment_look(segment, class, key, &slot);
    return slot;
}

#endif
