/* copies.c - which copy shows a snapshot a range of the map, and which copy keeps a removed entry.
 *
 *      live   |---- A' ----|---- A'' ---|------- B -------|        mark 9, 9, 4
 *      copies |-------- A, (7, 9] ------|                          before A was split
 *             |-------- A, (4, 7] ------|--- B, (2, 4] ---|
 *
 * Always: for one place and one snapshot s there is at most one copy with after < s <= mark. An entry named by a copy
 * lives: it is in the map, or *owned* by the newest copy that names it. When that copy goes the entry passes to the
 * next older one that names it, and dies when there is none.
 * A short entry that only one copy names, and nobody reads just now, is *moved* instead: the copy takes its bytes and
 * names those, and whoever changes the map has the entry back, to free or to write over. So a writer beside a scan
 * needs no memory that it does not give back. (Owned entries are freed by the scan's thread, and the writer's allocator
 * has to fetch blocks from all over memory, many at once: the slowest thing that a write beside a scan does.) No other
 * copy can come to name what was moved, and it goes with its copy. But for this a copy's image is never written.
 * A copy that *leaves* is none of these any more: its image may name what is gone.
 * A copy names an entry that is taken out now exactly if it covers its place and was frozen when the shard's version
 * counter had reached the entry's version: since then the entry was never out of its segment.
 * On failure: copies_add allocates first.
 * Not here: whether a copy is still needed (snapshot.c).
 */
#include "map/copies.h"

#include "map/entry.h"
#include "map/hash.h"
#include "map/memory.h"

#define CHAINS_MIN 64u

#define MOVED_MAX  128u  /* bytes of an entry that is moved: little to copy, and a chunk has room for several */
#define MOVED_ROOM 1008u /* of a chunk, which has a KiB */

/* Entries in a row, each at a multiple of MEMORY_WORD. */
struct moved {
    struct moved *next;
    uint32_t used; /* bytes */
    _Alignas(MEMORY_WORD) unsigned char bytes[MOVED_ROOM];
};

/* Prefixes differ in their high bits only: a multiplication alone would leave the low ones, which choose, all alike. */
STROBE_INSIDE static uint32_t chain_of(const struct copies *copies, uint64_t prefix) {
    return (uint32_t)hash_mix(prefix) & (copies->chains_count - 1);
}

STROBE_INSIDE static void link_copy(struct copies *copies, struct copy *copy) {
    struct copy **chain = &copies->chains[chain_of(copies, copy->prefix)];

    copy->next = *chain;
    *chain = copy;
}

/* More chains, when there are too few. Without memory chains are longer, and that is all. */
STROBE_INSIDE static bool grow(struct copies *copies, const struct strobe_allocator *allocator, uint32_t want) {
    struct copies old = {.chains = copies->chains, .chains_count = copies->chains_count};
    struct copy **chains = memory_alloc(allocator, want * sizeof *chains, MEMORY_WORD);

    if (!chains) return old.chains != NULL;
    memset(chains, 0, want * sizeof(struct copy *));
    copies->chains = chains;
    copies->chains_count = want;
    for (uint32_t i = 0; i < old.chains_count; i++) {
        for (struct copy *copy = old.chains[i], *next; copy; copy = next) {
            next = copy->next;
            link_copy(copies, copy);
        }
    }
    memory_release(allocator, old.chains, old.chains_count * sizeof *chains, MEMORY_WORD);
    return true;
}

STROBE_INSIDE static bool make_chains(struct copies *copies, const struct strobe_allocator *allocator,
                                      uint32_t expected) {
    uint32_t want = copies->chains_count ? copies->chains_count : CHAINS_MIN;

    while (want < expected && want < UINT32_C(1) << 24) want *= 2;
    if (copies->count > 2 * want) want *= 2;
    return want == copies->chains_count || grow(copies, allocator, want);
}

struct copy *copies_add(struct copies *copies, const struct strobe_allocator *allocator, const struct segment *segment,
                        uint64_t mark, uint64_t version, uint32_t expected) {
    struct copy *copy;

    if (!make_chains(copies, allocator, expected)) return NULL;
    copy = memory_alloc(allocator, sizeof *copy, MEMORY_WORD);
    if (!copy) return NULL;
    memset(copy, 0, sizeof *copy);
    copy->image = segment_copy(allocator, segment);
    if (!copy->image) {
        memory_release(allocator, copy, sizeof *copy, MEMORY_WORD);
        return NULL;
    }
    copy->after = segment->mark;
    copy->mark = mark;
    copy->prefix = segment->prefix;
    copy->bits = segment->bits;
    copy->frozen = version;
    link_copy(copies, copy);
    copies->count++;
    copies->of_bits[copy->bits]++;
    return copy;
}

/* Walks the copies that cover HASH, of every depth there is. */
struct walk {
    const struct copies *copies;
    uint64_t hash;
    struct copy *at;
    unsigned bits, next_bits;
};

STROBE_INSIDE static struct copy *walk_next(struct walk *walk) {
    for (;;) {
        for (; walk->at; walk->at = walk->at->next) {
            struct copy *copy = walk->at;

            if (copy->bits == walk->bits && copy->prefix == range_prefix(walk->hash, walk->bits)) {
                walk->at = copy->next;
                return copy;
            }
        }
        while (walk->next_bits <= 64 && walk->copies->of_bits[walk->next_bits] == 0) walk->next_bits++;
        if (walk->next_bits > 64) return NULL;
        walk->bits = walk->next_bits++;
        walk->at = walk->copies->chains[chain_of(walk->copies, range_prefix(walk->hash, walk->bits))];
    }
}

STROBE_INSIDE static struct copy *find(const struct copies *copies, uint64_t hash, uint64_t s, bool leaves) {
    struct walk walk = {.copies = copies, .hash = hash};
    struct copy *copy;

    while ((copy = walk_next(&walk)) && (copy->leaves != leaves || !(copy->after < s && s <= copy->mark)))
        ;
    return copy;
}

struct copy *copies_find(const struct copies *copies, uint64_t hash, uint64_t s) {
    return find(copies, hash, s, false);
}

struct copy *copies_find_leaving(const struct copies *copies, uint64_t hash, uint64_t s) {
    return find(copies, hash, s, true);
}

/* The copies that name an entry. */
struct naming {
    struct copy *newest; /* NULL: there is none */
    uint32_t count;
};

/* Those older than BELOW that name an entry of VERSION at HASH. */
STROBE_INSIDE static struct naming copies_naming(const struct copies *copies, uint64_t hash, uint64_t version,
                                                 uint64_t below) {
    struct walk walk = {.copies = copies, .hash = hash};
    struct naming naming = {0};
    struct copy *copy;

    while ((copy = walk_next(&walk))) {
        if (copy->frozen < version || copy->mark >= below || copy->leaves) continue;
        naming.count++;
        if (!naming.newest || copy->mark > naming.newest->mark) naming.newest = copy;
    }
    return naming;
}

static segment_slot slot_in(const struct copy *copy, uint64_t hash, const struct strobe_entry *entry) {
    segment_slot slot = segment_find_entry(copy->image, hash, entry);

    assert(slot != SEGMENT_NO_SLOT);
    return slot;
}

STROBE_INSIDE static void own(struct copy *copy, uint64_t hash, struct strobe_entry *entry) {
    segment_slot slot = slot_in(copy, hash, entry);

    copy->owned[slot / 64] |= UINT64_C(1) << (slot % 64);
    copy->kept_bytes += entry_memory(entry);
}

/* Room for SIZE bytes that are moved to COPY, or NULL without memory. */
STROBE_INSIDE static void *moved_room(struct copy *copy, const struct strobe_allocator *allocator, uint32_t size) {
    struct moved *moved = copy->moved;

    if (!moved || MOVED_ROOM - moved->used < size) {
        moved = memory_alloc(allocator, sizeof *moved, MEMORY_WORD);
        if (!moved) return NULL;
        moved->next = copy->moved;
        moved->used = 0;
        copy->moved = moved;
        copy->kept_bytes += sizeof *moved;
    }
    moved->used += size;
    return moved->bytes + moved->used - size;
}

/* COPY alone names ENTRY. False: nothing has been done. */
STROBE_INSIDE static bool move(struct copy *copy, const struct strobe_allocator *allocator, uint64_t hash,
                               const struct strobe_entry *entry) {
    size_t size = entry_memory(entry);
    segment_slot slot;
    void *to;

    if (copy->pins || entry_flags(entry) & ENTRY_BLOB || size > MOVED_MAX) return false;
    to = moved_room(copy, allocator, (uint32_t)((size + MEMORY_WORD - 1) & ~(size_t)(MEMORY_WORD - 1)));
    if (!to) return false;
    memcpy(to, entry, size);
    slot = slot_in(copy, hash, entry);
    segment_set_word(copy->image, slot, (uint64_t)(uintptr_t)to | (segment_word(copy->image, slot) & SLOT_NOTES));
    return true;
}

bool copies_move(struct copies *copies, const struct strobe_allocator *allocator, uint64_t hash,
                 const struct strobe_entry *entry, uint64_t *held) {
    struct naming naming;
    uint64_t before;
    bool moved;

    if (copies->count == 0) return true;
    naming = copies_naming(copies, hash, entry_version(entry), UINT64_MAX);
    if (naming.count != 1) return naming.count == 0;
    before = naming.newest->kept_bytes;
    moved = move(naming.newest, allocator, hash, entry);
    *held += naming.newest->kept_bytes - before;
    return moved;
}

void copies_own(struct copies *copies, uint64_t hash, struct strobe_entry *entry) {
    own(copies_naming(copies, hash, entry_version(entry), UINT64_MAX).newest, hash, entry);
}

STROBE_INSIDE static void unlink_copy(struct copies *copies, struct copy *copy) {
    struct copy **at = &copies->chains[chain_of(copies, copy->prefix)];

    while (*at != copy) at = &(*at)->next;
    *at = copy->next;
    copy->next = NULL;
    copies->count--;
    copies->of_bits[copy->bits]--;
}

/* The first slot from FROM on whose entry COPY owns, or SEGMENT_SLOTS_MAX. */
STROBE_INSIDE static uint32_t next_owned(const struct copy *copy, uint32_t from) {
    for (uint32_t word = from / 64; word < COPY_OWNED_WORDS; word++) {
        uint64_t left = copy->owned[word];

        if (word == from / 64) left &= ~UINT64_C(0) << (from % 64);
        if (left) return word * 64 + (uint32_t)__builtin_ctzll(left);
    }
    return SEGMENT_SLOTS_MAX;
}

/* The entry in SLOT, which COPY owns, goes to the next older copy that names it, if there is one. */
STROBE_INSIDE static void hand_on(struct copies *copies, struct copy *copy, uint32_t slot, copies_hash *hash_entry,
                                  const void *context) {
    struct strobe_entry *entry = segment_entry(copy->image, (segment_slot)slot);
    uint64_t hash = hash_entry(context, entry);
    struct copy *older = copies_naming(copies, hash, entry_version(entry), copy->mark).newest;

    if (!older) return;
    own(older, hash, entry);
    copy->owned[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    copy->kept_bytes -= entry_memory(entry);
}

bool copies_remove(struct copies *copies, struct copy *copy, copies_hash *hash_entry, const void *context,
                   uint32_t *budget) {
    copy->leaves = true;
    while (copies->count > 1 && (copy->handed = next_owned(copy, copy->handed)) < SEGMENT_SLOTS_MAX) {
        if (*budget == 0) return false;
        --*budget;
        hand_on(copies, copy, copy->handed++, hash_entry, context);
    }
    unlink_copy(copies, copy);
    return true;
}

uint64_t copy_bytes(const struct copy *copy) {
    return sizeof *copy + segment_size(copy->image->class);
}

uint64_t copy_free(const struct strobe_allocator *allocator, struct copy *copy) {
    uint64_t bytes = copy_bytes(copy) + copy->kept_bytes;

    for (struct moved *moved = copy->moved, *next; moved; moved = next) {
        next = moved->next;
        memory_release(allocator, moved, sizeof *moved, MEMORY_WORD);
    }
    for (unsigned word = 0; word < COPY_OWNED_WORDS; word++) {
        for (uint64_t left = copy->owned[word]; left; left &= left - 1) {
            segment_slot slot = (segment_slot)(word * 64 + (unsigned)__builtin_ctzll(left));

            entry_destroy(allocator, segment_entry(copy->image, slot));
        }
    }
    segment_free(allocator, copy->image);
    memory_release(allocator, copy, sizeof *copy, MEMORY_WORD);
    return bytes;
}

bool copies_each(struct copies *copies, bool (*do_copy)(void *context, struct copy *copy), void *context) {
    for (uint32_t i = 0; i < copies->chains_count && copies->count; i++) {
        for (struct copy *copy = copies->chains[i], *next; copy; copy = next) {
            next = copy->next;
            if (!do_copy(context, copy)) return false;
        }
    }
    return true;
}

struct copy **copies_take_chains(struct copies *copies, uint32_t *count) {
    struct copy **chains = copies->chains;

    assert(copies->count == 0);
    *count = copies->chains_count;
    copies->chains = NULL;
    copies->chains_count = 0;
    return chains;
}

void copies_fini(struct copies *copies, const struct strobe_allocator *allocator) {
    uint32_t count;
    struct copy **chains = copies_take_chains(copies, &count);

    memory_release(allocator, chains, count * sizeof *chains, MEMORY_WORD);
}
