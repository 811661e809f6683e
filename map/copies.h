/* copies.h - the segments of one table as they were, kept for the snapshots that need them. */
#ifndef STROBE_MAP_COPIES_H
#define STROBE_MAP_COPIES_H

#include "map/segment.h"

#define COPY_OWNED_WORDS ((SEGMENT_SLOTS_MAX + 63) / 64)

/* A segment as it was for every snapshot s with after < s <= mark. */
struct copy {
    struct copy *next; /* in a list of the dead */
    struct segment *image;
    uint64_t after, mark;
    uint64_t prefix;
    uint64_t frozen;                   /* the shard's version counter when it was made */
    struct moved *moved SHARD_GUARDED; /* the bytes of entries that were moved here: the last chunk that was begun */
    uint64_t kept_bytes SHARD_GUARDED; /* of the entries it owns, and of `moved` but its first chunk */
    uint32_t pins SHARD_GUARDED;       /* readers at work in it */
    uint32_t handed SHARD_GUARDED;     /* while it leaves: its slots before this one have been seen to */
    struct history *emptied;           /* whose last copy this was, to be freed with it; else NULL */
    uint8_t bits;
    bool leaves SHARD_GUARDED; /* nobody needs it: it shows nothing and is given nothing, it only hands on */
    /* A bit for each slot whose entry was taken out of the map since and lives for this copy only. */
    uint64_t owned[COPY_OWNED_WORDS] SHARD_GUARDED;
};

/* The copies of one range: those of its segment, and of others that had the same range at other times. Oldest first, in
 * the order of their marks and of their versions, and no two of them serve the same snapshot. */
struct history {
    struct history *next; /* in the same chain */
    uint64_t prefix;
    uint32_t count, room; /* of `moments` */
    uint8_t bits;
    struct moment {
        uint64_t mark; /* the copy's */
        struct copy *copy;
    } moments[];
};

/* Chains of histories by prefix. */
struct copies {
    struct history **chains SHARD_GUARDED;
    uint32_t chains_count SHARD_GUARDED; /* a power of two, 0 = none yet */
    uint32_t histories SHARD_GUARDED;
    uint32_t count SHARD_GUARDED;       /* copies */
    uint32_t of_bits[65] SHARD_GUARDED; /* how many histories have that many prefix bits */
};

/* The first hash behind the range of PREFIX; 0 means the end of all. */
static inline uint64_t range_end(uint64_t prefix, unsigned bits) {
    return bits ? prefix + (UINT64_C(1) << (64 - bits)) : 0;
}

static inline uint64_t range_prefix(uint64_t hash, unsigned bits) {
    return bits ? hash & ~(UINT64_C(0)) << (64 - bits) : 0;
}

/* Keeps an image of SEGMENT for the snapshots in (segment->mark, MARK]. EXPECTED is how many segments there may be.
 * NULL without memory, and then nothing has changed. */
struct copy *copies_add(struct copies *copies, const struct strobe_allocator *allocator, const struct segment *segment,
                        uint64_t mark, uint64_t version, uint32_t expected) STROBE_INSIDE;

/* The copy that shows snapshot S the place HASH, or NULL. */
struct copy *copies_find(const struct copies *copies, uint64_t hash, uint64_t s) STROBE_INSIDE;

/* The copy that did so and leaves, or NULL. */
struct copy *copies_find_leaving(const struct copies *copies, uint64_t hash, uint64_t s) STROBE_INSIDE;

/* Results: true: no copy names ENTRY, because none did, or because the only one has its bytes now; *HELD is raised by
 * the bytes that this takes. False: nothing has changed. */
bool copies_move(struct copies *copies, const struct strobe_allocator *allocator, uint64_t hash,
                 const struct strobe_entry *entry, uint64_t *held) STROBE_INSIDE;

/* Hands ENTRY, just taken out of the map and named by copies, to the newest of those. */
void copies_own(struct copies *copies, uint64_t hash, struct strobe_entry *entry) STROBE_INSIDE;

/* The hash of ENTRY's key. */
typedef uint64_t copies_hash(const void *context, const struct strobe_entry *entry);

/* Takes COPY, which nobody needs, out. What it owned goes to the next older copies that name it; what stays with it
 * dies with it. Looks at *BUDGET entries at most, which costs a miss or two each, and lowers it. Results: false when
 * there are more; then it is to be called again, and the lock may be let go in between. */
bool copies_remove(struct copies *copies, struct copy *copy, copies_hash *hash_entry, const void *context,
                   uint32_t *budget) STROBE_INSIDE;

/* Frees a copy that was taken out, with what it owns. Needs no lock: nobody else knows it. Returns the bytes given
 * back. */
uint64_t copy_free(const struct strobe_allocator *allocator, struct copy *copy) LOCK_UNCHECKED;

/* The bytes of a copy itself. */
uint64_t copy_bytes(const struct copy *copy);

/* Calls DO_COPY with each copy for snapshots from LOWEST to HIGHEST, which may take that copy out, until it says false.
 * True: it never did. */
bool copies_each(struct copies *copies, uint64_t lowest, uint64_t highest,
                 bool (*do_copy)(void *context, struct copy *copy), void *context) STROBE_INSIDE;

/* Takes the chains out, from which all copies are gone: *COUNT of them, for memory_release() without the lock, since an
 * allocator may use the occasion to tidy up. */
struct history **copies_take_chains(struct copies *copies, uint32_t *count) STROBE_INSIDE;

/* Frees the chains, and the histories of copies that have been freed but not taken out. */
void copies_fini(struct copies *copies, const struct strobe_allocator *allocator) STROBE_INSIDE;

#endif
