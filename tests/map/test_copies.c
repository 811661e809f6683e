/* test_copies.c - which copy shows a snapshot a place, and who frees an entry that copies name. No locks: the copies
 * are not in a map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "map/copies.h"
#include "map/entry.h"
#include "tests/map/map_world.h"

static const char long_value[] =
    "nine tens of bytes make an entry of which a KiB has room for nine, and not for ten of them";

struct bench {
    struct map_world w;
    struct copies copies;
    struct segment *segment;
    struct strobe_key key;
    struct strobe_entry *entry;
    uint64_t held; /* what copies_move said */
};

/* A segment of prefix 0 with one entry of version 10. */
LOCK_UNCHECKED static void bench_open(struct bench *b) {
    memset(b, 0, sizeof *b);
    map_world_open(&b->w, 1);
    b->segment = segment_new(&b->w.memory.allocator, 0, 0, 1);
    b->key = (struct strobe_key){"k", UINT64_C(0x123456789abcdef0), 1};
    b->entry = map_world_entry(&b->w, &b->key, "v", 0);
    entry_set_version(b->entry, 10);
    segment_insert(b->segment, b->key.hash, b->entry, 0);
}

LOCK_UNCHECKED static struct copy *freeze(struct bench *b, uint64_t mark, uint64_t version) {
    struct copy *copy = copies_add(&b->copies, &b->w.memory.allocator, b->segment, mark, version, 1);

    assert_non_null(copy);
    b->segment->mark = mark;
    return copy;
}

LOCK_UNCHECKED static struct copy *shown(struct bench *b, uint64_t hash, uint64_t s) {
    return copies_find(&b->copies, hash, s);
}

static uint64_t hash_of(const void *context, const struct strobe_entry *entry) {
    const struct bench *b = context;

    assert_ptr_equal(entry, b->entry);
    return b->key.hash;
}

LOCK_UNCHECKED static void drop(struct bench *b, struct copy *copy) {
    uint32_t budget = 1;

    assert_true(copies_remove(&b->copies, copy, hash_of, b, &budget));
    (void)copy_free(&b->w.memory.allocator, copy);
}

/* Takes ENTRY out, as far as copies care. True: one has been handed it. */
LOCK_UNCHECKED static bool keep(struct bench *b, uint64_t hash, struct strobe_entry *entry) {
    if (copies_move(&b->copies, &b->w.memory.allocator, hash, entry, &b->held)) return false;
    copies_own(&b->copies, hash, entry);
    return true;
}

LOCK_UNCHECKED static void bench_close(struct bench *b) {
    copies_fini(&b->copies, &b->w.memory.allocator);
    segment_free(&b->w.memory.allocator, b->segment);
    map_world_close(&b->w);
}

static void test_a_copy_shows_the_snapshots_of_its_interval(void **state) {
    struct bench b;
    struct copy *first, *second;

    (void)state;
    bench_open(&b);
    assert_null(shown(&b, b.key.hash, 1));
    first = freeze(&b, 5, 10);
    second = freeze(&b, 9, 12);
    for (uint64_t s = 1; s <= 5; s++) assert_ptr_equal(shown(&b, b.key.hash, s), first);
    for (uint64_t s = 6; s <= 9; s++) assert_ptr_equal(shown(&b, b.key.hash, s), second);
    assert_null(shown(&b, b.key.hash, 10));
    assert_null(shown(&b, UINT64_C(1) << 63, 5)); /* the other half */
    drop(&b, first);
    assert_null(shown(&b, b.key.hash, 5));
    assert_ptr_equal(shown(&b, b.key.hash, 6), second);
    drop(&b, second);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_copies_of_every_depth_are_found(void **state) {
    struct bench b;
    struct copy *copies[40];

    (void)state;
    bench_open(&b);
    for (unsigned bits = 1; bits <= 34; bits++) { /* as if it had split after each freezing */
        b.segment->bits = (uint8_t)bits;
        b.segment->prefix = range_prefix(b.key.hash, bits);
        copies[bits] = freeze(&b, bits * 10, 10);
    }
    for (unsigned bits = 1; bits <= 34; bits++) {
        assert_ptr_equal(shown(&b, b.key.hash, bits * 10), copies[bits]);
        assert_ptr_equal(shown(&b, b.key.hash, bits * 10 - 9), copies[bits]);
        assert_null(shown(&b, b.key.hash ^ UINT64_C(1) << (64 - bits), bits * 10));
    }
    for (unsigned bits = 1; bits <= 34; bits++) drop(&b, copies[bits]);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_a_removed_entry_goes_to_the_newest_copy_that_names_it(void **state) {
    struct bench b;
    struct copy *before, *older, *newer;
    size_t live;

    (void)state;
    bench_open(&b);
    before = freeze(&b, 3, 9); /* made when the counter was at 9: it cannot name version 10 */
    older = freeze(&b, 5, 10);
    newer = freeze(&b, 9, 12);
    live = b.w.memory.live;
    assert_true(keep(&b, b.key.hash, b.entry));
    assert_int_equal(newer->kept_bytes, strobe_entry_memory(b.entry));
    assert_int_equal(older->kept_bytes, 0);
    drop(&b, newer); /* passes it on */
    assert_int_equal(b.w.memory.live, live - 2);
    assert_int_equal(older->kept_bytes, strobe_entry_memory(b.entry));
    drop(&b, older); /* and here it dies */
    assert_int_equal(b.w.memory.live, live - 5);
    assert_int_equal(before->kept_bytes, 0);
    drop(&b, before);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_an_older_copy_that_goes_first_takes_nothing_along(void **state) {
    struct bench b;
    struct copy *older, *newer;
    size_t live;

    (void)state;
    bench_open(&b);
    older = freeze(&b, 5, 10);
    newer = freeze(&b, 9, 12);
    assert_true(keep(&b, b.key.hash, b.entry));
    live = b.w.memory.live;
    drop(&b, older);
    assert_int_equal(b.w.memory.live, live - 2);
    assert_int_equal(newer->kept_bytes, strobe_entry_memory(b.entry));
    drop(&b, newer); /* with the entry, and the history that is empty now */
    assert_int_equal(b.w.memory.live, live - 6);
    bench_close(&b);
}

/* The hash of a key of one letter that bench_add gave it. */
static uint64_t hash_of_letter(const void *context, const struct strobe_entry *entry) {
    size_t len;

    (void)context;
    return (uint64_t)(unsigned char)*strobe_entry_key(entry, &len) << 40;
}

LOCK_UNCHECKED static struct strobe_entry *bench_add(struct bench *b, const char *letter) {
    struct strobe_key key = {letter, (uint64_t)(unsigned char)*letter << 40, 1};
    struct strobe_entry *entry = map_world_entry(&b->w, &key, "v", 0);

    entry_set_version(entry, 10);
    segment_insert(b->segment, key.hash, entry, 0);
    return entry;
}

LOCK_UNCHECKED static void test_a_copy_leaves_in_parts_and_shows_and_takes_nothing_meanwhile(void **state) {
    struct bench b;
    struct copy *older, *newer;
    struct strobe_entry *entries[3];
    uint32_t budget = 1;
    size_t one;

    (void)state;
    bench_open(&b);
    for (int i = 0; i < 3; i++) entries[i] = bench_add(&b, &"abc"[i]);
    one = strobe_entry_memory(entries[0]);
    older = freeze(&b, 5, 10);
    newer = freeze(&b, 9, 12);
    for (int i = 0; i < 2; i++) assert_true(keep(&b, hash_of_letter(NULL, entries[i]), entries[i]));
    assert_int_equal(newer->kept_bytes, 2 * one);

    assert_false(copies_remove(&b.copies, newer, hash_of_letter, NULL, &budget));
    assert_int_equal(budget, 0);
    assert_int_equal(newer->kept_bytes, one);
    assert_int_equal(older->kept_bytes, one);
    assert_null(shown(&b, b.key.hash, 9));
    assert_ptr_equal(shown(&b, b.key.hash, 5), older);
    older->pins = 1;
    assert_true(keep(&b, hash_of_letter(NULL, entries[2]), entries[2])); /* not by the one that leaves */
    older->pins = 0;
    assert_int_equal(older->kept_bytes, 2 * one);

    budget = 5;
    assert_true(copies_remove(&b.copies, newer, hash_of_letter, NULL, &budget));
    assert_int_equal(budget, 4);
    assert_int_equal(newer->kept_bytes, 0);
    assert_int_equal(older->kept_bytes, 3 * one);
    (void)copy_free(&b.w.memory.allocator, newer);

    budget = 0; /* nobody is left to hand anything to */
    assert_true(copies_remove(&b.copies, older, hash_of_letter, NULL, &budget));
    (void)copy_free(&b.w.memory.allocator, older);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

/* What COPY shows in the slot of the hash, whose entry was ENTRY before it was taken out. */
LOCK_UNCHECKED static struct strobe_entry *named(const struct copy *copy, segment_slot slot) {
    return segment_entry(copy->image, slot);
}

/* Adds COUNT entries, at most 20, of 97 to 112 bytes each: nine go into a KiB. */
LOCK_UNCHECKED static void bench_add_long(struct bench *b, unsigned count, struct strobe_entry **entries) {
    for (unsigned i = 0; i < count; i++) {
        struct strobe_key key = {&"abcdefghijklmnopqrst"[i], (uint64_t)('a' + i) << 40, 1};

        entries[i] = map_world_entry(&b->w, &key, long_value, 0);
        assert_in_range(strobe_entry_memory(entries[i]), 97, 112);
        entry_set_version(entries[i], 10);
        segment_insert(b->segment, key.hash, entries[i], 0);
    }
}

LOCK_UNCHECKED static void test_an_entry_that_one_copy_names_is_moved(void **state) {
    struct bench b;
    struct strobe_entry *entries[20], *shows;
    segment_slot slots[20];
    struct copy *copy;
    size_t live, len;

    (void)state;
    bench_open(&b);
    for (int i = 0; i < 20; i++) {
        entries[i] = bench_add(&b, &"abcdefghijklmnopqrst"[i]);
        slots[i] = segment_find_entry(b.segment, hash_of_letter(NULL, entries[i]), entries[i]);
    }
    copy = freeze(&b, 5, 10);
    live = b.w.memory.live;
    for (int i = 0; i < 20; i++) {
        assert_false(keep(&b, hash_of_letter(NULL, entries[i]), entries[i]));
        strobe_entry_free(b.w.map, entries[i]);
    }
    assert_int_equal(b.w.memory.live, live - 20); /* there was room behind the image */
    assert_int_equal(b.held, 0);
    assert_int_equal(copy->kept_bytes, 0);
    for (int i = 0; i < 20; i++) {
        shows = named(copy, slots[i]);
        assert_int_equal(strobe_entry_key(shows, &len)[0], "abcdefghijklmnopqrst"[i]);
        assert_int_equal(strobe_entry_value(shows, &len)[0], 'v');
        assert_int_equal(entry_version(shows), 10);
    }
    drop(&b, copy); /* which asks for no entry's hash */
    assert_int_equal(b.w.memory.live, live - 20 - 3);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_chunks_hold_what_is_moved_and_no_more(void **state) {
    struct bench b;
    struct strobe_entry *entries[20];
    segment_slot slots[20];
    struct copy *copy;
    size_t live, len;

    (void)state;
    bench_open(&b);
    bench_add_long(&b, 20, entries);
    for (int i = 0; i < 20; i++) slots[i] = segment_find_entry(b.segment, hash_of_letter(NULL, entries[i]), entries[i]);
    copy = freeze(&b, 5, 10);
    live = b.w.memory.live;
    for (int i = 0; i < 20; i++) {
        assert_false(keep(&b, hash_of_letter(NULL, entries[i]), entries[i]));
        strobe_entry_free(b.w.map, entries[i]);
        assert_int_equal(b.held, 1024 * (i / 9)); /* the first is the copy's */
    }
    assert_int_equal(copy->kept_bytes, b.held);
    assert_int_equal(b.w.memory.live, live - 20 + 2);
    for (int i = 0; i < 20; i++) {
        const char *shown_value = strobe_entry_value(named(copy, slots[i]), &len);

        assert_int_equal(strobe_entry_key(named(copy, slots[i]), &(size_t){0})[0], 'a' + i);
        assert_int_equal(len, strlen(long_value));
        assert_memory_equal(shown_value, long_value, len);
    }
    drop(&b, copy);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

/* The word keeps its note, by which a reader sees that the time matters. */
LOCK_UNCHECKED static void test_a_moved_entry_that_expires_is_noted_as_such(void **state) {
    struct strobe_key key = {"e", UINT64_C(101) << 40, 1};
    struct bench b;
    struct strobe_entry *entry;
    struct copy *copy;
    segment_slot slot;

    (void)state;
    bench_open(&b);
    entry = map_world_entry(&b.w, &key, "v", 77);
    entry_set_version(entry, 10);
    segment_insert(b.segment, key.hash, entry, 77);
    slot = segment_find_entry(b.segment, key.hash, entry);
    copy = freeze(&b, 5, 10);
    assert_false(keep(&b, key.hash, entry));
    strobe_entry_free(b.w.map, entry);
    assert_int_equal(segment_word(copy->image, slot) & SLOT_NOTES, SLOT_EXPIRES);
    assert_int_equal(strobe_entry_expiry(named(copy, slot)), 77);
    drop(&b, copy);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_what_somebody_reads_is_not_moved(void **state) {
    struct bench b;
    struct copy *copy;
    segment_slot slot;

    (void)state;
    bench_open(&b);
    slot = segment_find_entry(b.segment, b.key.hash, b.entry);
    copy = freeze(&b, 5, 10);
    copy->pins = 1;
    assert_true(keep(&b, b.key.hash, b.entry));
    assert_ptr_equal(named(copy, slot), b.entry);
    assert_int_equal(copy->kept_bytes, strobe_entry_memory(b.entry));
    copy->pins = 0;
    drop(&b, copy);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_what_is_long_or_has_a_blob_is_not_moved(void **state) {
    static char value[2 * STROBE_BLOB_MIN];
    struct strobe_key keys[] = {
        {"a", UINT64_C(97) << 40, 1}, {"b", UINT64_C(98) << 40, 1}, {"c", UINT64_C(99) << 40, 1}};
    size_t lengths[] = {118, 2 * STROBE_BLOB_MIN - 1}; /* the first makes an entry of 129 bytes */
    struct bench b;
    struct copy *copy;
    struct strobe_blob *blob;

    (void)state;
    memset(value, 'v', sizeof value - 1);
    bench_open(&b);
    blob = strobe_blob_new(b.w.map, 3);
    assert_non_null(blob);
    memcpy(strobe_blob_bytes(blob, NULL), "abc", 3);
    for (int i = 0; i < 3; i++) {
        struct strobe_entry_spec short_blob = {.key = &keys[2], .blob = blob, .len = 3};
        struct strobe_entry *entry;

        if (i < 2)
            entry = map_world_entry(&b.w, &keys[i], value + sizeof value - 1 - lengths[i], 0);
        else
            assert_int_equal(strobe_entry_new(b.w.map, &short_blob, &entry), STROBE_OK);
        entry_set_version(entry, 10);
        segment_insert(b.segment, keys[i].hash, entry, 0);
        copy = freeze(&b, 5, 10);
        assert_true(keep(&b, keys[i].hash, entry));
        assert_int_equal(copy->kept_bytes, strobe_entry_memory(entry));
        segment_remove(b.segment, segment_find_entry(b.segment, keys[i].hash, entry), keys[i].hash);
        drop(&b, copy);
        b.segment->mark = 0;
    }
    strobe_blob_release(blob);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_without_memory_the_entry_itself_is_kept(void **state) {
    struct bench b;
    struct strobe_entry *entries[10];
    struct copy *copy;

    (void)state;
    bench_open(&b);
    bench_add_long(&b, 10, entries);
    copy = freeze(&b, 5, 10);
    for (int i = 0; i < 9; i++) {
        assert_false(keep(&b, hash_of_letter(NULL, entries[i]), entries[i]));
        strobe_entry_free(b.w.map, entries[i]);
    }
    b.w.memory.fail_at = b.w.memory.calls + 1;
    assert_true(keep(&b, hash_of_letter(NULL, entries[9]), entries[9]));
    assert_int_equal(b.w.memory.calls, b.w.memory.fail_at);
    b.w.memory.fail_at = 0;
    assert_int_equal(copy->kept_bytes, strobe_entry_memory(entries[9]));
    assert_int_equal(b.held, 0);
    drop(&b, copy);
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

/* Of both sizes of segments, with room behind them that is not theirs. */
LOCK_UNCHECKED static void test_an_image_is_the_segment_as_it_was(void **state) {
    (void)state;
    for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) {
        struct bench b;
        struct segment *segment, *was = malloc(segment_size(class));
        struct copy *copy;

        bench_open(&b);
        assert_non_null(was);
        segment = segment_new(&b.w.memory.allocator, class, 0, 1);
        assert_non_null(segment);
        memset(segment->buckets, 0x5a, segment_size(class) - sizeof *segment);
        memcpy(was, segment, segment_size(class));
        copy = copies_add(&b.copies, &b.w.memory.allocator, segment, 5, 10, 1);
        assert_non_null(copy);
        memset(segment->buckets, 0xa5, segment_size(class) - sizeof *segment);
        assert_memory_equal(copy->image, was, segment_size(class));
        assert_true(copy_bytes(copy) >= segment_size(class) + 1024);
        drop(&b, copy);
        free(was);
        segment_free(&b.w.memory.allocator, segment);
        strobe_entry_free(b.w.map, b.entry);
        bench_close(&b);
    }
}

LOCK_UNCHECKED static void test_an_entry_that_no_copy_names_stays_the_callers(void **state) {
    struct bench b;
    struct copy *copy;

    (void)state;
    bench_open(&b);
    assert_false(keep(&b, b.key.hash, b.entry));
    copy = freeze(&b, 5, 9);
    assert_false(keep(&b, b.key.hash, b.entry));
    strobe_entry_free(b.w.map, b.entry);
    drop(&b, copy);
    bench_close(&b);
}

LOCK_UNCHECKED static void test_many_copies_are_all_found_again(void **state) {
    struct bench b;
    struct copy *copies[1000];

    (void)state;
    bench_open(&b);
    for (unsigned i = 0; i < 1000; i++) copies[i] = freeze(&b, 10 * i + 10, 10);
    for (unsigned i = 0; i < 1000; i++) assert_ptr_equal(shown(&b, b.key.hash, 10 * i + 3), copies[i]);
    for (unsigned i = 0; i < 1000; i++) drop(&b, copies[(i * 7) % 1000]);
    assert_null(shown(&b, b.key.hash, 3));
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

LOCK_UNCHECKED static uint32_t longest_chain(const struct copies *copies) {
    uint32_t longest = 0;

    for (uint32_t i = 0; i < copies->chains_count; i++) {
        uint32_t len = 0;

        for (const struct history *history = copies->chains[i]; history; history = history->next) len++;
        if (len > longest) longest = len;
    }
    return longest;
}

/* As in a shard of 64, whose number all prefixes begin with. */
LOCK_UNCHECKED static void test_copies_of_many_segments_are_spread_over_the_chains(void **state) {
    static struct copy *copies[8192];
    struct bench b;

    (void)state;
    bench_open(&b);
    for (unsigned bits = 11; bits <= 19; bits++) {
        unsigned count = 1u << (bits - 6);

        for (unsigned i = 0; i < count; i++) {
            b.segment->bits = (uint8_t)bits;
            b.segment->prefix = UINT64_C(37) << 58 | (uint64_t)i << (64 - bits);
            b.segment->mark = 0;
            copies[i] = copies_add(&b.copies, &b.w.memory.allocator, b.segment, 10, 10, count);
            assert_non_null(copies[i]);
        }
        assert_in_range(longest_chain(&b.copies), 1, 9); /* what chance would do, too */
        for (unsigned i = 0; i < count; i++) drop(&b, copies[i]);
    }
    strobe_entry_free(b.w.map, b.entry);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_shows_the_snapshots_of_its_interval),
        cmocka_unit_test(test_copies_of_every_depth_are_found),
        cmocka_unit_test(test_a_removed_entry_goes_to_the_newest_copy_that_names_it),
        cmocka_unit_test(test_an_older_copy_that_goes_first_takes_nothing_along),
        cmocka_unit_test(test_a_copy_leaves_in_parts_and_shows_and_takes_nothing_meanwhile),
        cmocka_unit_test(test_an_entry_that_one_copy_names_is_moved),
        cmocka_unit_test(test_chunks_hold_what_is_moved_and_no_more),
        cmocka_unit_test(test_a_moved_entry_that_expires_is_noted_as_such),
        cmocka_unit_test(test_what_somebody_reads_is_not_moved),
        cmocka_unit_test(test_what_is_long_or_has_a_blob_is_not_moved),
        cmocka_unit_test(test_without_memory_the_entry_itself_is_kept),
        cmocka_unit_test(test_an_image_is_the_segment_as_it_was),
        cmocka_unit_test(test_an_entry_that_no_copy_names_stays_the_callers),
        cmocka_unit_test(test_many_copies_are_all_found_again),
        cmocka_unit_test(test_copies_of_many_segments_are_spread_over_the_chains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
