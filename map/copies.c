/* copies.c - which copy shows a snapshot a range of the map, and which copy keeps a removed entry.
 *
 *      live   |---- A' ----|---- A'' ---|------- B -------|        mark 9, 9, 4
 *      copies |-------- A, (7, 9] ------|                          before A was split
 *             |-------- A, (4, 7] ------|--- B, (2, 4] ---|
 *
 * A history is the copies of one range, in the order of their marks. Ranges change when segments split and merge, so a
 * place may be in several, one for each number of prefix bits.
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

#define CHAINS_MIN  64u
#define HISTORY_MIN 2u /* copies that a history has room for at first: a cache line */

#define MOVED_MAX  128u  /* bytes of an entry that is moved: little to copy, and a chunk has room for several */
#define MOVED_ROOM 1008u /* of a chunk, which has a KiB */

/* A chunk of entries in a row, each at a multiple of MEMORY_WORD. A copy's first one lies behind its image: most copies
 * need no other, and the two take one block, of 5 or 7 KiB. */
struct moved {
    struct moved *next;
    uint32_t used; /* bytes */
    _Alignas(MEMORY_WORD) unsigned char bytes[MOVED_ROOM];
};

/* Prefixes differ in their high bits only: a multiplication alone would leave the low ones, which choose, all alike. */
STROBE_INSIDE static uint32_t chain_of(const struct copies *copies, uint64_t prefix) {
    return (uint32_t)hash_mix(prefix) & (copies->chains_count - 1);
}

/* Where the history of a range hangs, or would: the end of its chain. There are chains. */
STROBE_INSIDE static struct history **history_at(const struct copies *copies, uint64_t prefix, unsigned bits) {
    struct history **at = &copies->chains[chain_of(copies, prefix)];

    while (*at && ((*at)->prefix != prefix || (*at)->bits != bits)) at = &(*at)->next;
    return at;
}

/* More chains, when there are too few. Without memory chains are longer, and that is all. */
STROBE_INSIDE static bool grow(struct copies *copies, const struct strobe_allocator *allocator, uint32_t want) {
    struct copies old = {.chains = copies->chains, .chains_count = copies->chains_count};
    struct history **chains = memory_alloc(allocator, want * sizeof *chains, MEMORY_WORD);

    if (!chains) return old.chains != NULL;
    memset(chains, 0, want * sizeof(struct history *));
    copies->chains = chains;
    copies->chains_count = want;
    for (uint32_t i = 0; i < old.chains_count; i++) {
        for (struct history *history = old.chains[i], *next; history; history = next) {
            struct history **chain = &chains[chain_of(copies, history->prefix)];

            next = history->next;
            history->next = *chain;
            *chain = history;
        }
    }
    memory_release(allocator, old.chains, old.chains_count * sizeof *chains, MEMORY_WORD);
    return true;
}

STROBE_INSIDE static bool make_chains(struct copies *copies, const struct strobe_allocator *allocator,
                                      uint32_t expected) {
    uint32_t want = copies->chains_count ? copies->chains_count : CHAINS_MIN;

    while (want < expected && want < UINT32_C(1) << 24) want *= 2;
    if (copies->histories > 2 * want) want *= 2;
    return want == copies->chains_count || grow(copies, allocator, want);
}

static size_t history_size(uint32_t room) {
    return sizeof(struct history) + room * sizeof(struct moment);
}

/* The history of a range, with room for one more copy; NULL without memory. */
STROBE_INSIDE static struct history *history_with_room(struct copies *copies, const struct strobe_allocator *allocator,
                                                       uint64_t prefix, uint8_t bits) {
    struct history **at = history_at(copies, prefix, bits), *old = *at, *history;
    uint32_t room = old ? 2 * old->room : HISTORY_MIN;

    if (old && old->count < old->room) return old;
    history = memory_alloc(allocator, history_size(room), MEMORY_WORD);
    if (!history) return NULL;
    if (old) {
        memcpy(history, old, history_size(old->count));
        memory_release(allocator, old, history_size(old->room), MEMORY_WORD);
    } else {
        *history = (struct history){.prefix = prefix, .bits = bits};
        copies->histories++;
        copies->of_bits[bits]++;
    }
    history->room = room;
    *at = history;
    return history;
}

static size_t image_size(unsigned class) {
    return segment_size(class) + sizeof(struct moved);
}

/* Gives COPY an image of SEGMENT, and its first chunk. False: there is no memory. */
STROBE_INSIDE static bool take_image(struct copy *copy, const struct strobe_allocator *allocator,
                                     const struct segment *segment) {
    size_t size = segment_size(segment->class);

    copy->image = memory_alloc(allocator, image_size(segment->class), MEMORY_LINE);
    if (!copy->image) return false;
    memcpy(copy->image, segment, size);
    copy->moved = (struct moved *)(void *)((char *)copy->image + size);
    copy->moved->next = NULL;
    copy->moved->used = 0;
    return true;
}

static void free_image(const struct strobe_allocator *allocator, struct segment *image) {
    memory_release(allocator, image, image_size(image->class), MEMORY_LINE);
}

struct copy *copies_add(struct copies *copies, const struct strobe_allocator *allocator, const struct segment *segment,
                        uint64_t mark, uint64_t version, uint32_t expected) {
    struct history *history;
    struct copy *copy;

    if (!make_chains(copies, allocator, expected)) return NULL;
    copy = memory_alloc(allocator, sizeof *copy, MEMORY_WORD);
    if (!copy) return NULL;
    memset(copy, 0, sizeof *copy);
    history = take_image(copy, allocator, segment)
                  ? history_with_room(copies, allocator, segment->prefix, segment->bits)
                  : NULL;
    if (!history) {
        if (copy->image) free_image(allocator, copy->image);
        memory_release(allocator, copy, sizeof *copy, MEMORY_WORD);
        return NULL;
    }
    copy->after = segment->mark;
    copy->mark = mark;
    copy->prefix = segment->prefix;
    copy->bits = segment->bits;
    copy->frozen = version;
    history->moments[history->count++] = (struct moment){mark, copy};
    copies->count++;
    return copy;
}

/* How many of HISTORY's copies have a mark below MARK. */
static uint32_t count_below(const struct history *history, uint64_t mark) {
    uint32_t low = 0, high = history->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (history->moments[middle].mark < mark)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Walks the histories of the ranges that hold HASH, of every depth there is. */
struct walk {
    const struct copies *copies;
    uint64_t hash;
    unsigned next_bits;
};

STROBE_INSIDE static struct history *walk_next(struct walk *walk) {
    while (walk->next_bits <= 64) {
        unsigned bits = walk->next_bits++;
        struct history *history;

        if (walk->copies->of_bits[bits] == 0) continue;
        history = *history_at(walk->copies, range_prefix(walk->hash, bits), bits);
        if (history) return history;
    }
    return NULL;
}

/* The one copy, leaving or not, with after < S <= mark at the place HASH; or NULL. */
STROBE_INSIDE static struct copy *find(const struct copies *copies, uint64_t hash, uint64_t s) {
    struct walk walk = {.copies = copies, .hash = hash};
    struct history *history;

    while ((history = walk_next(&walk))) {
        uint32_t i = count_below(history, s);

        if (i < history->count && history->moments[i].copy->after < s) return history->moments[i].copy;
    }
    return NULL;
}

struct copy *copies_find(const struct copies *copies, uint64_t hash, uint64_t s) {
    struct copy *copy = find(copies, hash, s);

    return copy && !copy->leaves ? copy : NULL;
}

struct copy *copies_find_leaving(const struct copies *copies, uint64_t hash, uint64_t s) {
    struct copy *copy = find(copies, hash, s);

    return copy && copy->leaves ? copy : NULL;
}

/* The copies that name an entry. */
struct naming {
    struct copy *newest; /* NULL: there is none */
    uint32_t count;      /* 2: two or more */
};

/* Those with a mark below BELOW that name an entry of VERSION at HASH. */
STROBE_INSIDE static struct naming copies_naming(const struct copies *copies, uint64_t hash, uint64_t version,
                                                 uint64_t below) {
    struct walk walk = {.copies = copies, .hash = hash};
    struct naming naming = {0};
    struct history *history;

    while ((history = walk_next(&walk))) {
        uint32_t count = 0;

        for (uint32_t i = count_below(history, below); i-- > 0 && count < 2;) {
            struct copy *copy = history->moments[i].copy;

            if (copy->frozen < version) break; /* and so are those before it */
            if (copy->leaves) continue;
            if (count++ == 0 && (!naming.newest || copy->mark > naming.newest->mark)) naming.newest = copy;
        }
        naming.count += count;
    }
    if (naming.count > 2) naming.count = 2;
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

    if (MOVED_ROOM - moved->used < size) {
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
    struct history **at = history_at(copies, copy->prefix, copy->bits), *history = *at;
    uint32_t place;

    assert(history);
    place = count_below(history, copy->mark);
    assert(history->moments[place].copy == copy);
    history->count--;
    memmove(&history->moments[place], &history->moments[place + 1],
            (history->count - place) * sizeof history->moments[0]);
    copies->count--;
    if (history->count) return;
    *at = history->next;
    copies->histories--;
    copies->of_bits[history->bits]--;
    copy->emptied = history;
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
    return sizeof *copy + image_size(copy->image->class);
}

uint64_t copy_free(const struct strobe_allocator *allocator, struct copy *copy) {
    uint64_t bytes = copy_bytes(copy) + copy->kept_bytes;

    for (struct moved *moved = copy->moved, *next; moved->next; moved = next) { /* but the first */
        next = moved->next;
        memory_release(allocator, moved, sizeof *moved, MEMORY_WORD);
    }
    for (unsigned word = 0; word < COPY_OWNED_WORDS; word++) {
        for (uint64_t left = copy->owned[word]; left; left &= left - 1) {
            segment_slot slot = (segment_slot)(word * 64 + (unsigned)__builtin_ctzll(left));

            entry_destroy(allocator, segment_entry(copy->image, slot));
        }
    }
    free_image(allocator, copy->image);
    if (copy->emptied) memory_release(allocator, copy->emptied, history_size(copy->emptied->room), MEMORY_WORD);
    memory_release(allocator, copy, sizeof *copy, MEMORY_WORD);
    return bytes;
}

bool copies_each(struct copies *copies, uint64_t lowest, uint64_t highest,
                 bool (*do_copy)(void *context, struct copy *copy), void *context) {
    for (uint32_t i = 0; i < copies->chains_count && copies->histories; i++) {
        for (struct history *history = copies->chains[i], *next; history; history = next) {
            uint32_t place = count_below(history, highest);

            next = history->next;
            if (place < history->count) place++; /* the one that shows HIGHEST */
            while (place-- > 0 && history->moments[place].mark >= lowest) {
                struct copy *copy = history->moments[place].copy;

                if (copy->after < highest && !do_copy(context, copy)) return false;
            }
        }
    }
    return true;
}

struct history **copies_take_chains(struct copies *copies, uint32_t *count) {
    struct history **chains = copies->chains;

    assert(copies->histories == 0);
    *count = copies->chains_count;
    copies->chains = NULL;
    copies->chains_count = 0;
    return chains;
}

void copies_fini(struct copies *copies, const struct strobe_allocator *allocator) {
    for (uint32_t i = 0; i < copies->chains_count; i++) {
        for (struct history *history = copies->chains[i], *next; history; history = next) {
            next = history->next;
            memory_release(allocator, history, history_size(history->room), MEMORY_WORD);
        }
    }
    memory_release(allocator, copies->chains, copies->chains_count * sizeof(struct history *), MEMORY_WORD);
}
