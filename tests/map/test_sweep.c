/* test_sweep.c - expired entries are gone at their millisecond and their memory soon after; a random entry is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/map/map_world.h"

static size_t sweep_all(struct map_world *w) {
    uint64_t place = 0;
    size_t taken = 0;

    strobe_map_tick(w->map);
    do taken += strobe_sweep(w->map, &place, 1);
    while (place != 0);
    return taken;
}

static void test_a_key_is_gone_from_its_millisecond_on(void **state) {
    struct map_world w;
    struct strobe_stats stats;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "k", "v", w.now + 10);
    w.now += 9;
    map_world_assert(&w, "k", "v");
    w.now += 1;
    map_world_assert(&w, "k", NULL);
    assert_int_equal(map_world_del(&w, "k"), STROBE_MISSING);
    map_world_set(&w, "k", "again", w.now); /* born dead */
    map_world_assert(&w, "k", NULL);
    assert_int_equal(sweep_all(&w), 1);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.expiring, 0);
    assert_int_equal(stats.entry_bytes, 0);
    map_world_close(&w);
}

static void test_time_does_not_run_backwards(void **state) {
    struct map_world w;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "k", "v", w.now + 10);
    w.now += 10;
    map_world_assert(&w, "k", NULL);
    w.now -= 5000; /* somebody sets the wall clock */
    assert_int_equal(strobe_map_tick(w.map), MAP_WORLD_START_MS + 10);
    map_world_assert(&w, "k", NULL);
    map_world_close(&w);
}

static void test_an_access_sees_one_time_however_long_it_takes(void **state) {
    struct map_world w;
    struct strobe_key key;
    struct strobe_access access;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "k", "v", w.now + 10);
    key = map_world_key(&w, "k");
    w.now += 9;
    strobe_map_tick(w.map);
    strobe_enter(w.map, &key, &access);
    assert_int_equal(strobe_access_now(&access), w.now);
    w.now += 100;
    strobe_map_tick(w.map);
    assert_non_null(strobe_find(&access, &key));
    assert_int_equal(strobe_access_now(&access), MAP_WORLD_START_MS + 9);
    strobe_leave(&access);
    strobe_enter(w.map, &key, &access);
    assert_null(strobe_find(&access, &key));
    strobe_leave(&access);
    map_world_close(&w);
}

/* Keys "e0" ...: key i expires at start + 1 + i % 100. */
static void fill_expiring(struct map_world *w, unsigned count) {
    char text[16];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(text, sizeof text, "e%u", i);
        assert_int_equal(map_world_set(w, text, text, MAP_WORLD_START_MS + 1 + i % 100), STROBE_OK);
    }
}

static void test_a_round_takes_exactly_what_has_expired(void **state) {
    struct map_world w;
    struct strobe_stats stats;

    (void)state;
    map_world_open(&w, 4);
    fill_expiring(&w, 20000);
    map_world_fill(&w, "k", 5000);
    for (unsigned ms = 1; ms <= 100; ms++) {
        w.now = MAP_WORLD_START_MS + ms;
        assert_int_equal(sweep_all(&w), 200);
        map_world_stats(&w, &stats);
        assert_int_equal(stats.entries, 5000 + 20000 - 200 * ms);
        assert_int_equal(stats.expiring, 20000 - 200 * ms);
        assert_int_equal(stats.expired, 200 * ms);
    }
    assert_int_equal(sweep_all(&w), 0);
    map_world_drain(&w, "k", 5000);
    map_world_close(&w);
}

static void test_what_was_made_to_stay_is_not_swept(void **state) {
    struct map_world w;
    char text[16];

    (void)state;
    map_world_open(&w, 1);
    fill_expiring(&w, 1000);
    for (unsigned i = 0; i < 1000; i += 2) {
        (void)snprintf(text, sizeof text, "e%u", i);
        map_world_set(&w, text, "stays", i % 4 ? 0 : MAP_WORLD_START_MS + 10000);
    }
    w.now += 100;
    assert_int_equal(sweep_all(&w), 500);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "e%u", i);
        map_world_assert(&w, text, i % 2 ? NULL : "stays");
    }
    w.now += 10000;
    assert_int_equal(sweep_all(&w), 250);
    map_world_close(&w);
}

static void test_memory_comes_back_when_everything_has_expired(void **state) {
    struct map_world w;
    struct strobe_stats empty, stats;

    (void)state;
    map_world_open(&w, 2);
    map_world_stats(&w, &empty);
    fill_expiring(&w, 50000);
    w.now += 100;
    assert_int_equal(sweep_all(&w), 50000);
    assert_int_equal(sweep_all(&w), 0);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.entry_bytes, 0);
    assert_true(stats.segments <= 3 * empty.segments); /* thin pairs merge; the last may wait for a write */
    map_world_close(&w);
}

static void test_a_sweep_beside_a_snapshot_keeps_what_it_shows(void **state) {
    struct map_world w;
    struct strobe_snapshot *snapshot;
    char *before, *after;

    (void)state;
    map_world_open(&w, 2);
    fill_expiring(&w, 5000);
    before = map_world_dump_now(&w);
    assert_int_equal(strobe_snapshot_open(w.map, false, &snapshot), STROBE_OK);
    w.now += 100;
    assert_int_equal(sweep_all(&w), 5000);
    after = map_world_dump(snapshot);
    assert_string_equal(before, after);
    strobe_snapshot_close(snapshot);
    free(before);
    free(after);
    map_world_close(&w);
}

static void test_a_sweep_can_begin_anywhere_and_goes_round(void **state) {
    struct map_world w;
    uint64_t place = UINT64_C(0xdeadbeefcafef00d);
    size_t taken = 0;

    (void)state;
    map_world_open(&w, 16);
    fill_expiring(&w, 10000);
    w.now += 100;
    strobe_map_tick(w.map);
    for (unsigned i = 0; i < 300; i++) taken += strobe_sweep(w.map, &place, 1);
    assert_int_equal(taken, 10000);
    map_world_close(&w);
}

/* ---- A random entry ------------------------------------------------------------------------------- */

static void note_number(void *context, const struct strobe_entry *entry) {
    size_t len;
    const char *key = strobe_entry_key(entry, &len);
    char text[16] = {0};

    assert_true(len < sizeof text);
    memcpy(text, key, len);
    *(unsigned *)context = (unsigned)strtoul(text + 1, NULL, 10);
}

static void test_a_random_entry_of_an_empty_map_is_missing(void **state) {
    struct map_world w;
    unsigned got = 0;

    (void)state;
    map_world_open(&w, 64);
    assert_int_equal(strobe_random(w.map, 1, note_number, &got), STROBE_MISSING);
    map_world_set(&w, "k7", "v", w.now + 5);
    w.now += 5;
    strobe_map_tick(w.map);
    assert_int_equal(strobe_random(w.map, 1, note_number, &got), STROBE_MISSING); /* it has expired */
    map_world_close(&w);
}

static void test_the_only_entry_is_found(void **state) {
    struct map_world w;

    (void)state;
    map_world_open(&w, 1024);
    map_world_set(&w, "k77", "v", 0);
    for (uint64_t random = 0; random < 50; random++) {
        unsigned got = 0;

        assert_int_equal(strobe_random(w.map, random, note_number, &got), STROBE_OK);
        assert_int_equal(got, 77);
    }
    map_world_close(&w);
}

static void test_random_entries_are_spread(void **state) {
    enum { KEYS = 1000, DRAWS = 100000 };
    struct map_world w;
    static unsigned drawn[KEYS];

    (void)state;
    map_world_open(&w, 8);
    map_world_fill(&w, "k", KEYS);
    memset(drawn, 0, sizeof drawn);
    for (uint64_t i = 0; i < DRAWS; i++) {
        unsigned got = 0;

        assert_int_equal(strobe_random(w.map, i * i, note_number, &got), STROBE_OK);
        drawn[got]++;
    }
    for (unsigned i = 0; i < KEYS; i++) assert_in_range(drawn[i], DRAWS / KEYS / 3, DRAWS / KEYS * 3);
    map_world_close(&w);
}

/* Also where there are few, and all but a few segments are empty. */
static void test_of_few_entries_each_is_as_likely(void **state) {
    static const struct { unsigned shards, keys; } maps[] = {{1, 2}, {64, 3}, {64, 10}, {64, 100}};
    enum { DRAWS = 300 };

    (void)state;
    for (unsigned m = 0; m < sizeof maps / sizeof maps[0]; m++) {
        struct map_world w;
        unsigned counts[100] = {0};

        map_world_open(&w, maps[m].shards);
        map_world_fill(&w, "k", maps[m].keys);
        for (unsigned i = 0; i < DRAWS * maps[m].keys; i++) {
            unsigned got = 0;

            assert_int_equal(strobe_random(w.map, i, note_number, &got), STROBE_OK);
            assert_in_range(got, 0, maps[m].keys - 1);
            counts[got]++;
        }
        for (unsigned k = 0; k < maps[m].keys; k++) assert_in_range(counts[k], DRAWS / 2, DRAWS * 2);
        map_world_close(&w);
    }
}

/* What stays lies thinly in all segments, and they merge as if the others had been erased one by one. */
static void test_segments_that_a_sweep_leaves_thin_are_merged(void **state) {
    struct strobe_stats full, swept;
    struct map_world w;
    uint64_t place = 0;
    char key[16];

    (void)state;
    map_world_open(&w, 1);
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        map_world_set(&w, key, key, i % 50 ? w.now + 10 : 0);
    }
    map_world_stats(&w, &full);
    assert_in_range(full.segments, 20, 100);
    w.now += 10;
    strobe_map_tick(w.map);
    assert_int_equal(strobe_sweep(w.map, &place, (unsigned)full.segments), 20000 - 400);
    map_world_stats(&w, &swept);
    assert_in_range(swept.segments, 1, 2); /* one has room for more than 400 */
    for (unsigned i = 0; i < 20000; i += 50) {
        (void)snprintf(key, sizeof key, "k%u", i);
        map_world_assert(&w, key, key);
    }
    map_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_gone_from_its_millisecond_on),
        cmocka_unit_test(test_time_does_not_run_backwards),
        cmocka_unit_test(test_an_access_sees_one_time_however_long_it_takes),
        cmocka_unit_test(test_a_round_takes_exactly_what_has_expired),
        cmocka_unit_test(test_what_was_made_to_stay_is_not_swept),
        cmocka_unit_test(test_memory_comes_back_when_everything_has_expired),
        cmocka_unit_test(test_a_sweep_beside_a_snapshot_keeps_what_it_shows),
        cmocka_unit_test(test_a_sweep_can_begin_anywhere_and_goes_round),
        cmocka_unit_test(test_a_random_entry_of_an_empty_map_is_missing),
        cmocka_unit_test(test_the_only_entry_is_found),
        cmocka_unit_test(test_random_entries_are_spread),
        cmocka_unit_test(test_of_few_entries_each_is_as_likely),
        cmocka_unit_test(test_segments_that_a_sweep_leaves_thin_are_merged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
