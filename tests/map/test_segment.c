/* test_segment.c - slots: every one can be filled, every entry is found again, and what is removed leaves no trace.
 *
 * A segment does not compute hashes, so these tests choose them: crowded homes, the last bucket, equal tags. No locks:
 * the segments are not in a map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/entry.h"
#include "map/segment.h"
#include "tests/map/map_world.h"

#define LAST_CLASS (SEGMENT_CLASSES - 1)

struct item {
    char text[16];
    struct strobe_key key;
    struct strobe_entry *entry;
    bool in;
};

struct bench {
    struct map_world w;
    struct segment *segment;
    struct item *items;
    unsigned count;
};

/* COUNT entries whose hashes are HASH(i), and an empty segment. */
LOCK_UNCHECKED static void bench_open(struct bench *b, unsigned class, unsigned count,
                                      uint64_t (*hash)(struct bench *, unsigned)) {
    memset(b, 0, sizeof *b);
    map_world_open(&b->w, 1);
    b->segment = segment_new(&b->w.memory.allocator, class, 0, 0);
    assert_non_null(b->segment);
    b->items = calloc(count, sizeof *b->items);
    b->count = count;
    assert_non_null(b->items);
    for (unsigned i = 0; i < count; i++) {
        struct item *item = &b->items[i];
        int len = snprintf(item->text, sizeof item->text, "k%u", i);

        item->key = (struct strobe_key){item->text, hash(b, i), (uint32_t)len};
        item->entry = map_world_entry(&b->w, &item->key, "v", 0);
    }
}

static void bench_close(struct bench *b) {
    for (unsigned i = 0; i < b->count; i++) strobe_entry_free(b->w.map, b->items[i].entry);
    free(b->items);
    segment_free(&b->w.memory.allocator, b->segment);
    map_world_close(&b->w);
}

LOCK_UNCHECKED static void put_in(struct bench *b, struct item *item) {
    segment_insert(b->segment, item->key.hash, item->entry, 0);
    item->in = true;
}

LOCK_UNCHECKED static void take_out(struct bench *b, struct item *item) {
    segment_remove(b->segment, segment_find(b->segment, b->segment->class, &item->key), item->key.hash);
    item->in = false;
}

LOCK_UNCHECKED static uint32_t used(const struct bench *b) {
    return b->segment->count;
}

/* Every item is where it should be, and slots and tags agree. */
static void assert_whole(const struct bench *b) {
    uint32_t slots = 0, tags = 0, in = 0;

    for (unsigned i = 0; i < b->count; i++) {
        const struct item *item = &b->items[i];
        segment_slot slot = segment_find(b->segment, b->segment->class, &item->key);

        assert_int_equal(slot != SEGMENT_NO_SLOT, item->in);
        assert_int_equal(segment_find_entry(b->segment, item->key.hash, item->entry), slot);
        if (item->in) assert_ptr_equal(segment_entry(b->segment, slot), item->entry);
        in += item->in;
    }
    for (uint32_t slot = 0; slot < segment_slots(b->segment->class); slot++) {
        slots += segment_word(b->segment, (segment_slot)slot) != 0;
        tags += b->segment->buckets[slot / BUCKET_SLOTS].tag[slot % BUCKET_SLOTS] != 0;
    }
    assert_int_equal(slots, in);
    assert_int_equal(tags, in);
    assert_int_equal(used(b), in);
}

/* No bucket remembers anything. */
static void assert_blank(const struct bench *b, bool passed_too) {
    static const struct bucket blank;

    for (uint32_t i = 0; i < segment_buckets(b->segment->class); i++) {
        struct bucket bucket = b->segment->buckets[i];

        if (!passed_too) bucket.passed = 0;
        assert_memory_equal(&bucket, &blank, sizeof blank);
    }
}

static uint64_t any_hash(struct bench *b, unsigned i) {
    (void)i;
    return map_world_rnd(&b->w);
}

static uint64_t last_home(struct bench *b, unsigned i) {
    return map_world_rnd(&b->w) << 32 | UINT32_C(0xffffff00) | (i & 255);
}

static uint64_t one_home_one_tag(struct bench *b, unsigned i) {
    (void)b;
    return (uint64_t)i << 32 | UINT32_C(0x80000000);
}

/* Three homes in a row, so that the ways of their entries overlap. */
static uint64_t near_homes(struct bench *b, unsigned i) {
    return map_world_rnd(&b->w) << 32 | (UINT32_C(0xf8000000) + (i % 3) * UINT32_C(0x03000000)) | (i % 7);
}

static void test_sizes_are_what_the_allocator_gives_without_loss(void **state) {
    (void)state;
    assert_int_equal(segment_size(0), 4096);
    assert_int_equal(segment_size(LAST_CLASS), 6144);
    assert_int_equal(segment_slots(LAST_CLASS), SEGMENT_SLOTS_MAX);
    for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) {
        assert_int_equal(sizeof(struct segment) + segment_buckets(class) * sizeof(struct bucket), segment_size(class));
        assert_true(segment_limit(class) < segment_slots(class));
    }
}

static void test_home_is_always_a_bucket(void **state) {
    (void)state;
    for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) {
        assert_int_equal(segment_home(0, segment_buckets(class)), 0);
        assert_int_equal(segment_home(UINT64_MAX, segment_buckets(class)), segment_buckets(class) - 1);
        assert_int_equal(segment_home(UINT64_C(0xffffffff00000000), segment_buckets(class)), 0);
    }
}

static void fill_and_empty(unsigned class, uint64_t (*hash)(struct bench *, unsigned), bool passed_too) {
    struct bench b;
    uint32_t slots = segment_slots(class);

    bench_open(&b, class, slots + 20, hash);
    assert_whole(&b);
    for (uint32_t i = 0; i < slots; i++) put_in(&b, &b.items[i]);
    assert_whole(&b); /* the twenty that are not in are not found, though no slot is free */
    for (uint32_t left = slots; left > 0; left--) {
        uint32_t i = map_world_below(&b.w, slots);

        while (!b.items[i].in) i = (i + 1) % slots;
        take_out(&b, &b.items[i]);
        if (left % 64 == 0) assert_whole(&b);
    }
    assert_whole(&b);
    assert_blank(&b, passed_too);
    bench_close(&b);
}

static void test_every_slot_can_be_filled_and_emptied(void **state) {
    (void)state;
    for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) fill_and_empty(class, any_hash, true);
}

static void test_entries_go_round_the_end(void **state) {
    (void)state;
    for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) fill_and_empty(class, last_home, false);
}

static void test_equal_tags_and_homes_are_told_apart_by_their_keys(void **state) {
    (void)state;
    fill_and_empty(LAST_CLASS, one_home_one_tag, false);
}

static void test_passed_stays_at_its_largest(void **state) {
    struct bench b;
    uint32_t slots = segment_slots(LAST_CLASS), home;

    (void)state;
    bench_open(&b, LAST_CLASS, slots, one_home_one_tag);
    home = segment_home(b.items[0].key.hash, segment_buckets(LAST_CLASS));
    for (uint32_t i = 0; i < 9 + 254; i++) put_in(&b, &b.items[i]);
    assert_int_equal(b.segment->buckets[home].passed, 254);
    take_out(&b, &b.items[9 + 253]);
    assert_int_equal(b.segment->buckets[home].passed, 253); /* below its largest it counts both ways */
    for (uint32_t i = 9 + 253; i < slots; i++) put_in(&b, &b.items[i]);
    assert_int_equal(b.segment->buckets[home].passed, 255);
    assert_whole(&b);
    for (uint32_t i = 0; i < slots - 1; i++) take_out(&b, &b.items[i]);
    assert_int_equal(b.segment->buckets[home].passed, 255); /* nobody knows how many any more */
    assert_whole(&b);                                       /* and the last, far away, is found */
    bench_close(&b);
}

static void random_against_a_model(uint64_t (*hash)(struct bench *, unsigned), unsigned class, uint32_t most) {
    struct bench b;
    bool growing = true;

    bench_open(&b, class, most + 10, hash);
    for (unsigned step = 0; step < 30000; step++) {
        struct item *item = &b.items[map_world_below(&b.w, b.count)];

        if (used(&b) == most)
            growing = false;
        else if (used(&b) < most / 4)
            growing = true;
        if (item->in && (!growing || map_world_below(&b.w, 3) == 0))
            take_out(&b, item);
        else if (!item->in && used(&b) < most)
            put_in(&b, item);
        if (step % 512 == 0) assert_whole(&b);
    }
    for (uint32_t i = 0; i < b.count; i++) {
        if (b.items[i].in) take_out(&b, &b.items[i]);
    }
    assert_whole(&b);
    bench_close(&b);
}

static void test_random_insertions_and_removals_leave_everything_findable(void **state) {
    (void)state;
    random_against_a_model(any_hash, 0, segment_slots(0));
    random_against_a_model(any_hash, LAST_CLASS, segment_slots(LAST_CLASS));
    random_against_a_model(near_homes, 0, 240);
    random_against_a_model(near_homes, 1, segment_slots(1));
    random_against_a_model(last_home, 2, 200);
}

/* As long as no counter reached its largest, removals bring every counter back. */
static void test_passed_counts_come_back_to_zero(void **state) {
    struct bench b;

    (void)state;
    bench_open(&b, 0, 200, near_homes);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < b.count; i++) {
            if (!b.items[i].in) put_in(&b, &b.items[i]);
        }
        for (unsigned i = 0; i < b.count; i++) {
            if (b.items[i].in && map_world_below(&b.w, 4)) take_out(&b, &b.items[i]);
        }
        assert_whole(&b);
    }
    for (unsigned i = 0; i < b.count; i++) {
        if (b.items[i].in) take_out(&b, &b.items[i]);
    }
    assert_blank(&b, true);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_a_slot_says_whether_its_entry_expires(void **state) {
    struct bench b;
    segment_slot slot;

    (void)state;
    bench_open(&b, 0, 3, any_hash);
    assert_true(b.segment->earliest == UINT64_MAX);
    segment_insert(b.segment, b.items[0].key.hash, b.items[0].entry, 700);
    segment_insert(b.segment, b.items[1].key.hash, b.items[1].entry, 0);
    b.items[0].in = b.items[1].in = true;
    assert_whole(&b);
    assert_true(b.segment->earliest == 700);
    slot = segment_find(b.segment, b.segment->class, &b.items[0].key);
    assert_int_equal(segment_word(b.segment, slot) & SLOT_NOTES, SLOT_EXPIRES);
    segment_replace(b.segment, slot, b.items[0].entry, 0);
    assert_int_equal(segment_word(b.segment, slot) & SLOT_NOTES, 0);
    slot = segment_find(b.segment, b.segment->class, &b.items[1].key);
    assert_int_equal(segment_word(b.segment, slot) & SLOT_NOTES, 0);
    segment_replace(b.segment, slot, b.items[1].entry, 300);
    assert_int_equal(segment_word(b.segment, slot) & SLOT_NOTES, SLOT_EXPIRES);
    assert_true(b.segment->earliest == 300);
    assert_whole(&b);
    segment_adopt(b.segment, b.items[2].key.hash, (uint64_t)(uintptr_t)b.items[2].entry | SLOT_EXPIRES);
    b.items[2].in = true;
    assert_whole(&b);
    slot = segment_find(b.segment, b.segment->class, &b.items[2].key);
    assert_int_equal(segment_word(b.segment, slot) & SLOT_NOTES, SLOT_EXPIRES);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_what_the_allocator_gives_without_loss),
        cmocka_unit_test(test_home_is_always_a_bucket),
        cmocka_unit_test(test_every_slot_can_be_filled_and_emptied),
        cmocka_unit_test(test_entries_go_round_the_end),
        cmocka_unit_test(test_equal_tags_and_homes_are_told_apart_by_their_keys),
        cmocka_unit_test(test_passed_stays_at_its_largest),
        cmocka_unit_test(test_random_insertions_and_removals_leave_everything_findable),
        cmocka_unit_test(test_passed_counts_come_back_to_zero),
        cmocka_unit_test(test_a_slot_says_whether_its_entry_expires),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
