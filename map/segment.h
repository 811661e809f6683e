/* segment.h - a few KiB of slots that all entries with one hash prefix live in. */
#ifndef STROBE_MAP_SEGMENT_H
#define STROBE_MAP_SEGMENT_H

#include <assert.h>
#include <string.h>

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

/* An image of SEGMENT that nobody changes, to be freed with segment_free; NULL without memory. */
struct segment *segment_copy(const struct strobe_allocator *allocator, const struct segment *segment) STROBE_INSIDE;

/* CLASS is the segment's, which the directory knows too: so a look does not touch the header. */
segment_slot segment_find(const struct segment *segment, unsigned class, const struct strobe_key *key);

/* The slot in which ENTRY itself, whose hash is HASH, is. */
segment_slot segment_find_entry(const struct segment *segment, uint64_t hash, const struct strobe_entry *entry);

/* Asks the processor for the entry that a search for HASH would look at first. */
void segment_prefetch_entry(const struct segment *segment, uint64_t hash);

/* Adds ENTRY, whose key is not there yet. There must be a free slot. EXPIRY is the entry's, 0 = never. */
void segment_insert(struct segment *segment, uint64_t hash, struct strobe_entry *entry, uint64_t expiry) STROBE_INSIDE;

/* Adds what another segment had as WORD (segment_word), with its notes. There must be a free slot. */
void segment_adopt(struct segment *segment, uint64_t hash, uint64_t word) STROBE_INSIDE;

/* Puts ENTRY in the place of another of the same key. */
void segment_replace(struct segment *segment, segment_slot slot, struct strobe_entry *entry, uint64_t expiry)
    STROBE_INSIDE;

void segment_remove(struct segment *segment, segment_slot slot, uint64_t hash) STROBE_INSIDE;

/* The word of SLOT: an address of 48 bits; below 16 it has four bits for notes. */
#define SLOT_NOTES   15u
#define SLOT_EXPIRES 1u /* the entry has an expiry time */

static inline uint64_t segment_word(const struct segment *segment, segment_slot slot) {
    const struct bucket *bucket = &segment->buckets[(uint32_t)slot / BUCKET_SLOTS];
    const unsigned char *at = bucket->address + (uint32_t)slot % BUCKET_SLOTS * 6;
    uint64_t word;

    memcpy(&word, at, sizeof word); /* two bytes more than the slot has, still inside the bucket */
    return word & 0xffffffffffffu;
}

/* The entry in SLOT, NULL when it is empty. */
static inline struct strobe_entry *segment_entry(const struct segment *segment, segment_slot slot) {
    return (struct strobe_entry *)(uintptr_t)(segment_word(segment, slot) & ~(uint64_t)SLOT_NOTES);
}

#endif
