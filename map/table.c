/* table.c - extendible hashing with small segments: how a table grows and shrinks without ever pausing.
 *
 *      before  dir 00 01 10 11     after    dir 00 01 10 11
 *                   \_/   \_/                    |  |   \_/
 *                    A     B                     A' A''  B
 *
 * A full segment of 4 KiB grows to 6 KiB; a full one of 6 KiB splits in two of 4 KiB; a thin one goes the same way
 * back, and a thin pair merges. Each of these moves one segment's entries, some hundred, and nothing else;
 * a doubled directory is copied, eight bytes a segment.
 *
 * Always: the first `bits` bits of every entry's hash are its segment's prefix; children have the mark of
 * their parent, and no segment is changed, split or merged before it is frozen (table_freeze).
 * On failure: memory comes first, changes after; without memory a segment stays as full as it is, until
 * not one slot is left. Shrinking without memory is put off.
 * Not here: locking (map.c), which snapshots are open (snapshot.c).
 */
#include "map/table.h"

#include <assert.h>

#include "map/entry.h"
#include "map/snapshot.h"

/* A segment steps down when it would then still be only 0.7 full, so that it does not step up again at once. */
#define SHRINK_NUMERATOR   7u
#define SHRINK_DENOMINATOR 10u

STROBE_INSIDE static void point_to(const struct table *table, const struct table_world *world,
                                   const struct segment *segment) {
    struct directory *directory = atomic_load_explicit(&table->directory, memory_order_relaxed);
    size_t first = directory_index(directory, segment->prefix);
    size_t count = (size_t)1 << (directory->depth - (segment->bits - world->shard_bits));

    for (size_t i = 0; i < count; i++) directory_set(directory, first + i, segment);
}

STROBE_INSIDE static uint32_t depth_of(const struct table_world *world, const struct segment *segment) {
    return segment->bits - world->shard_bits;
}

STROBE_INSIDE static uint32_t table_depth(const struct table *table) {
    return atomic_load_explicit(&table->directory, memory_order_relaxed)->depth;
}

STROBE_INSIDE static void note_segment(struct table *table, const struct table_world *world,
                                       const struct segment *segment, int sign) {
    uint64_t size = segment_size(segment->class), slots = segment_slots(segment->class);

    table->segments += (uint32_t)sign;
    table->segment_bytes += sign > 0 ? size : 0 - size;
    table->slots += sign > 0 ? slots : 0 - slots;
    if (depth_of(world, segment) == table_depth(table)) table->deepest += (uint32_t)sign;
}

enum strobe_status table_init(struct table *table, const struct table_world *world, struct directory_pool *pool,
                              uint64_t prefix, uint64_t born) {
    struct segment *segment = segment_new(world->allocator, 0, prefix, world->shard_bits);
    struct directory *directory = segment ? directory_get(pool, world->allocator, world->shard_bits, 0) : NULL;

    if (!directory) {
        segment_free(world->allocator, segment);
        return STROBE_NO_MEMORY;
    }
    memset(table, 0, sizeof *table);
    segment->mark = born;
    table->prefix = prefix;
    table->born = born;
    table->until = UINT64_MAX;
    directory_set(directory, 0, segment);
    /* Release: pairs with the acquire in way_to, which reads the directory's shift and last. */
    atomic_store_explicit(&table->directory, directory, memory_order_release);
    note_segment(table, world, segment, 1);
    return STROBE_OK;
}

void table_swap(struct table *live, struct table *fresh, uint64_t instant) {
    struct directory *old = atomic_load_explicit(&live->directory, memory_order_relaxed);
    struct directory *directory = atomic_load_explicit(&fresh->directory, memory_order_relaxed);
    const size_t rest = sizeof old; /* the directory comes first, and way_to may be reading it */
    struct table was;

    static_assert(offsetof(struct table, directory) == 0 && offsetof(struct table, prefix) == sizeof old,
                  "table_swap exchanges the first member by itself");
    memcpy((char *)&was + rest, (const char *)live + rest, sizeof was - rest);
    memcpy((char *)live + rest, (const char *)fresh + rest, sizeof was - rest);
    memcpy((char *)fresh + rest, (const char *)&was + rest, sizeof was - rest);
    atomic_store_explicit(&fresh->directory, old, memory_order_relaxed);
    /* Release: pairs with the acquire in way_to, which reads the directory's shift and last. */
    atomic_store_explicit(&live->directory, directory, memory_order_release);

    fresh->until = instant;
    live->born = instant;
    directory_segment(directory_word(directory, 0))->mark = instant;
    live->splits = fresh->splits;
    live->merges = fresh->merges;
    live->resizes = fresh->resizes;
    live->copies_made = fresh->copies_made;
}

static void free_segment_entries(const struct table_world *world, struct segment *segment) {
    for (segment_slot slot = 0; slot < (segment_slot)segment_slots(segment->class); slot++) {
        struct strobe_entry *entry = segment_entry(segment, slot);

        if (entry) entry_destroy(world->allocator, entry);
    }
    segment_free(world->allocator, segment);
}

static bool free_copy(void *context, struct copy *copy) {
    const struct table_world *world = context;

    snapshots_hold(world->snapshots, 0 - copy_free(world->allocator, copy));
    return true;
}

void table_fini(struct table *table, const struct table_world *world) {
    const struct directory *directory = atomic_load_explicit(&table->directory, memory_order_relaxed);
    struct segment *last = NULL;
    struct table_world copies_world = *world;

    for (size_t i = 0; i < (size_t)1 << directory->depth; i++) {
        struct segment *segment = directory_segment(directory_word(directory, i));

        if (segment != last && last) free_segment_entries(world, last);
        last = segment;
    }
    assert(last);
    free_segment_entries(world, last);
    (void)copies_each(&table->copies, 0, UINT64_MAX, free_copy, &copies_world);
    copies_fini(&table->copies, world->allocator);
}

enum strobe_status table_freeze_now(struct table *table, const struct table_world *world, struct segment *segment,
                                    uint64_t newest, uint64_t version) {
    struct copy *copy;

    if (snapshots_need(world->snapshots, segment->mark, newest, range_end(segment->prefix, segment->bits))) {
        copy =
            copies_add(&table->copies, world->allocator, segment, newest, version, (uint32_t)1 << table_depth(table));
        if (!copy) return STROBE_NO_MEMORY;
        segment->frozen = version;
        table->copies_made++;
        snapshots_hold(world->snapshots, copy_bytes(copy));
    }
    segment->mark = newest;
    return STROBE_OK;
}

/* What a segment holds, with the hashes, which are computed again: nobody has room to keep them. */
struct moving {
    uint32_t count, ones; /* ones: entries whose next bit is set */
    uint64_t word[SEGMENT_SLOTS_MAX];
    uint64_t hash[SEGMENT_SLOTS_MAX];
};

#define LOOK_AHEAD 12u /* entries asked for before they are read */

STROBE_INSIDE static void gather(const struct table_world *world, const struct segment *segment, struct moving *moving,
                                 unsigned next_bit) {
    uint32_t first = moving->count;

    for (segment_slot slot = 0; slot < (segment_slot)segment_slots(segment->class); slot++) {
        uint64_t word = segment_word(segment, slot);

        if (word) moving->word[moving->count++] = word;
    }
    for (uint32_t i = first; i < moving->count; i++) {
        const struct strobe_entry *entry;
        const char *key;
        size_t len;

        if (i + LOOK_AHEAD < moving->count) __builtin_prefetch(slot_entry(moving->word[i + LOOK_AHEAD]));
        entry = slot_entry(moving->word[i]);
        key = strobe_entry_key(entry, &len);
        moving->hash[i] = hash_bytes(&world->hash, key, len);
        moving->ones += (uint32_t)(moving->hash[i] >> next_bit & 1);
    }
}

static unsigned class_for(uint32_t count) {
    unsigned class = 0;

    while (class + 1 < SEGMENT_CLASSES && count > segment_limit(class)) class ++;
    return class;
}

STROBE_INSIDE static void inherit(struct segment *segment, const struct segment *from) {
    segment->mark = from->mark > segment->mark ? from->mark : segment->mark;
    segment->frozen = from->frozen > segment->frozen ? from->frozen : segment->frozen;
    segment->earliest = from->earliest < segment->earliest ? from->earliest : segment->earliest;
}

STROBE_INSIDE static void drop(struct table *table, const struct table_world *world, struct segment *segment) {
    note_segment(table, world, segment, -1);
    segment_free(world->allocator, segment);
}

STROBE_INSIDE static void adopt(struct table *table, const struct table_world *world, struct segment *segment) {
    note_segment(table, world, segment, 1);
    point_to(table, world, segment);
}

/* The same entries in a segment of another class. */
STROBE_INSIDE static enum strobe_status resize(struct table *table, const struct table_world *world,
                                               struct segment **segment, unsigned class) {
    struct segment *old = *segment;
    struct segment *resized = segment_new(world->allocator, class, old->prefix, old->bits);
    struct moving moving;

    if (!resized) return STROBE_NO_MEMORY;
    moving.count = moving.ones = 0;
    gather(world, old, &moving, 0);
    inherit(resized, old);
    for (uint32_t i = 0; i < moving.count; i++) segment_adopt(resized, moving.hash[i], moving.word[i]);
    adopt(table, world, resized);
    drop(table, world, old);
    table->resizes++;
    *segment = resized;
    return STROBE_OK;
}

STROBE_INSIDE static void use_directory(struct table *table, struct directory_pool *pool, struct directory *directory,
                                        uint32_t deepest) {
    struct directory *old = atomic_load_explicit(&table->directory, memory_order_relaxed);

    /* Release: pairs with the acquire in way_to, which reads the directory's shift and last. */
    atomic_store_explicit(&table->directory, directory, memory_order_release);
    directory_put(pool, old);
    table->deepest = deepest;
}

STROBE_INSIDE static enum strobe_status double_directory(struct table *table, const struct table_world *world,
                                                         struct directory_pool *pool) {
    const struct directory *old = atomic_load_explicit(&table->directory, memory_order_relaxed);
    struct directory *doubled;

    if (old->depth == DIRECTORY_DEPTH_MAX) return STROBE_NO_MEMORY;
    doubled = directory_get(pool, world->allocator, world->shard_bits, old->depth + 1u);
    if (!doubled) return STROBE_NO_MEMORY;
    for (size_t i = 0; i < (size_t)2 << old->depth; i++)
        atomic_store_explicit(&doubled->slots[i], directory_word(old, i / 2), memory_order_relaxed);
    use_directory(table, pool, doubled, 0);
    return STROBE_OK;
}

/* Halves the directory if no segment needs its last bit. */
STROBE_INSIDE static void halve_directory(struct table *table, const struct table_world *world,
                                          struct directory_pool *pool) {
    const struct directory *old = atomic_load_explicit(&table->directory, memory_order_relaxed);
    struct directory *halved;
    uint32_t deepest = 0;

    if (old->depth == 0 || table->deepest) return;
    halved = directory_get(pool, world->allocator, world->shard_bits, old->depth - 1u);
    if (!halved) return;
    for (size_t i = 0; i < (size_t)1 << halved->depth; i++) {
        uint64_t word = directory_word(old, 2 * i);

        atomic_store_explicit(&halved->slots[i], word, memory_order_relaxed);
        deepest += depth_of(world, directory_segment(word)) == halved->depth;
    }
    use_directory(table, pool, halved, deepest);
}

STROBE_INSIDE static enum strobe_status split(struct table *table, const struct table_world *world,
                                              struct directory_pool *pool, uint64_t hash, struct segment **segment) {
    struct segment *old = *segment, *zero, *one;
    unsigned bits = old->bits + 1u;
    struct moving moving;

    if (depth_of(world, old) == table_depth(table) && double_directory(table, world, pool) != STROBE_OK)
        return STROBE_NO_MEMORY;
    moving.count = moving.ones = 0;
    gather(world, old, &moving, 64 - bits);
    zero = segment_new(world->allocator, class_for(moving.count - moving.ones), old->prefix, bits);
    one = segment_new(world->allocator, class_for(moving.ones), old->prefix | UINT64_C(1) << (64 - bits), bits);
    if (!zero || !one) {
        segment_free(world->allocator, zero);
        segment_free(world->allocator, one);
        halve_directory(table, world, pool);
        return STROBE_NO_MEMORY;
    }
    inherit(zero, old);
    inherit(one, old);
    for (uint32_t i = 0; i < moving.count; i++)
        segment_adopt(moving.hash[i] >> (64 - bits) & 1 ? one : zero, moving.hash[i], moving.word[i]);
    adopt(table, world, zero);
    adopt(table, world, one);
    drop(table, world, old);
    table->splits++;
    *segment = table_segment(table, hash);
    return STROBE_OK;
}

enum strobe_status table_make_room(struct table *table, const struct table_world *world, struct directory_pool *pool,
                                   uint64_t hash, struct segment **segment) {
    while ((*segment)->count >= segment_limit((*segment)->class)) {
        unsigned class = (*segment)->class;
        enum strobe_status status = class + 1 < SEGMENT_CLASSES ? resize(table, world, segment, class + 1)
                                                                : split(table, world, pool, hash, segment);

        if (status != STROBE_OK) return (*segment)->count < segment_slots((*segment)->class) ? STROBE_OK : status;
    }
    return STROBE_OK;
}

/* The segment that SEGMENT was split from together with, when it is still whole; else NULL. */
STROBE_INSIDE static struct segment *buddy_of(const struct table *table, const struct table_world *world,
                                              const struct segment *segment) {
    struct segment *buddy;

    if (depth_of(world, segment) == 0) return NULL;
    buddy = table_segment(table, segment->prefix ^ UINT64_C(1) << (64 - segment->bits));
    return buddy->bits == segment->bits ? buddy : NULL;
}

STROBE_INSIDE static bool merge(struct table *table, const struct table_world *world, struct directory_pool *pool,
                                struct segment **segment, uint64_t newest, uint64_t version) {
    struct segment *one = *segment, *other = buddy_of(table, world, one), *merged;
    unsigned bits = one->bits - 1u;
    struct moving moving;

    if (!other || one->count + other->count > segment_limit(0) * SHRINK_NUMERATOR / SHRINK_DENOMINATOR) return false;
    if (table_freeze(table, world, one, newest, version) != STROBE_OK ||
        table_freeze(table, world, other, newest, version) != STROBE_OK)
        return false;
    assert(bits < 64);
    merged = segment_new(world->allocator, 0, range_prefix(one->prefix, bits), bits);
    if (!merged) return false;
    moving.count = moving.ones = 0;
    gather(world, one, &moving, 0);
    gather(world, other, &moving, 0);
    inherit(merged, one);
    inherit(merged, other);
    for (uint32_t i = 0; i < moving.count; i++) segment_adopt(merged, moving.hash[i], moving.word[i]);
    drop(table, world, one);
    drop(table, world, other);
    adopt(table, world, merged);
    table->merges++;
    halve_directory(table, world, pool);
    *segment = merged;
    return true;
}

void table_shrink(struct table *table, const struct table_world *world, struct directory_pool *pool,
                  struct segment *segment, uint64_t newest, uint64_t version) {
    while (segment->class &&
           segment->count <= segment_limit(segment->class - 1u) * SHRINK_NUMERATOR / SHRINK_DENOMINATOR) {
        if (resize(table, world, &segment, segment->class - 1u) != STROBE_OK) return;
    }
    while (segment->class == 0 && segment->count <= segment_limit(0) * SHRINK_NUMERATOR / SHRINK_DENOMINATOR / 2) {
        if (!merge(table, world, pool, &segment, newest, version)) return;
    }
}
