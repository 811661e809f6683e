/* test_map.c - the functions of map.h one by one: what they answer, what they leave, what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/map/map_world.h"

/* ---- Making one ----------------------------------------------------------------------------------- */

static void test_options_that_are_not_allowed_are_refused(void **state) {
    static const unsigned bad[] = {3, 6, 1000, 1025, 2048, 1u << 31};
    struct strobe_map *map = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(strobe_map_new(&(struct strobe_map_options){.shards = bad[i]}, &map), STROBE_INVALID);
    assert_null(map);
}

static void test_any_number_of_shards_works(void **state) {
    (void)state;
    for (unsigned shards = 1; shards <= 1024; shards *= 2) {
        struct map_world w;

        map_world_open(&w, shards);
        map_world_fill(&w, "k", 3000);
        assert_int_equal(strobe_count(w.map), 3000);
        map_world_assert(&w, "k2999", "k2999");
        map_world_assert(&w, "k3000", NULL);
        map_world_drain(&w, "k", 3000);
        assert_int_equal(strobe_count(w.map), 0);
        map_world_close(&w);
    }
}

static void test_defaults_make_a_working_map(void **state) {
    struct strobe_map *map;
    char value[8];
    size_t len = sizeof value;

    (void)state;
    assert_int_equal(strobe_map_new(NULL, &map), STROBE_OK);
    assert_int_equal(strobe_set(map, "moon", 4, "full", 4, 0), STROBE_OK);
    assert_int_equal(strobe_get(map, "moon", 4, value, &len), STROBE_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(value, "full", 4);
    assert_true(strobe_map_tick(map) > 1700000000000);
    strobe_map_free(map);
    strobe_map_free(NULL);
}

static void test_every_status_has_a_text(void **state) {
    (void)state;
#define CHECK_TEXT(name, text) assert_string_equal(strobe_status_text(STROBE_##name), text);
    STROBE_STATUS_LIST(CHECK_TEXT)
#undef CHECK_TEXT
    assert_non_null(strobe_status_text((enum strobe_status)99));
}

/* ---- One key --------------------------------------------------------------------------------------- */

static void test_get_fills_the_room_and_tells_the_whole_length(void **state) {
    struct map_world w;
    char room[10];
    size_t len;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "k", "abcdefgh", 0);
    for (size_t size = 0; size <= sizeof room; size++) {
        size_t expected = size < 8 ? size : 8;

        memset(room, '.', sizeof room);
        len = size;
        assert_int_equal(strobe_get(w.map, "k", 1, room, &len), STROBE_OK);
        assert_int_equal(len, 8);
        assert_memory_equal(room, "abcdefgh", expected);
        for (size_t i = expected; i < sizeof room; i++) assert_int_equal(room[i], '.');
    }
    len = 0;
    assert_int_equal(strobe_get(w.map, "k", 1, NULL, &len), STROBE_OK); /* how long is it? */
    assert_int_equal(len, 8);
    map_world_close(&w);
}

static void test_get_of_a_large_value_fills_the_room_too(void **state) {
    struct map_world w;
    char *value = malloc(STROBE_BLOB_MIN + 5), *room = malloc(STROBE_BLOB_MIN + 5);
    size_t len = 100;

    (void)state;
    assert_non_null(value);
    assert_non_null(room);
    memset(value, 'v', STROBE_BLOB_MIN + 5);
    map_world_open(&w, 1);
    assert_int_equal(strobe_set(w.map, "k", 1, value, STROBE_BLOB_MIN + 5, 0), STROBE_OK);
    assert_int_equal(strobe_get(w.map, "k", 1, room, &len), STROBE_OK);
    assert_int_equal(len, STROBE_BLOB_MIN + 5);
    assert_memory_equal(room, value, 100);
    assert_int_equal(strobe_get(w.map, "k", 1, room, &len), STROBE_OK);
    assert_memory_equal(room, value, len);
    len = 0;
    assert_int_equal(strobe_get(w.map, "k", 1, NULL, &len), STROBE_OK);
    map_world_close(&w);
    free(value);
    free(room);
}

static void test_keys_of_no_length_or_too_long_are_refused(void **state) {
    struct map_world w;
    char *key = calloc(1, STROBE_KEY_MAX + 1);
    size_t len = 0;

    (void)state;
    assert_non_null(key);
    map_world_open(&w, 1);
    assert_int_equal(strobe_set(w.map, key, 0, "v", 1, 0), STROBE_TOO_BIG);
    assert_int_equal(strobe_set(w.map, key, STROBE_KEY_MAX + 1, "v", 1, 0), STROBE_TOO_BIG);
    assert_int_equal(strobe_set(w.map, key, 1, "v", (size_t)STROBE_VALUE_MAX + 1, 0), STROBE_TOO_BIG);
    assert_int_equal(strobe_get(w.map, key, 0, NULL, &len), STROBE_MISSING);
    assert_int_equal(strobe_get(w.map, key, STROBE_KEY_MAX + 1, NULL, &len), STROBE_MISSING);
    assert_int_equal(strobe_del(w.map, key, 0), STROBE_MISSING);
    assert_int_equal(strobe_del(w.map, key, STROBE_KEY_MAX + 1), STROBE_MISSING);
    assert_int_equal(strobe_set(w.map, key, STROBE_KEY_MAX, "v", 1, 0), STROBE_OK);
    assert_int_equal(strobe_get(w.map, key, STROBE_KEY_MAX, NULL, &len), STROBE_OK);
    assert_int_equal(len, 1);
    assert_int_equal(strobe_del(w.map, key, STROBE_KEY_MAX), STROBE_OK);
    assert_int_equal(strobe_count(w.map), 0);
    map_world_close(&w);
    free(key);
}

static void test_any_bytes_are_a_key(void **state) {
    struct map_world w;
    char value;
    size_t len;

    (void)state;
    map_world_open(&w, 2);
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b += 5) {
            char key[3] = {(char)a, (char)b, 0};

            value = (char)(a ^ b);
            assert_int_equal(strobe_set(w.map, key, 3, &value, 1, 0), STROBE_OK);
            assert_int_equal(strobe_set(w.map, key, 2, &value, 1, 0), STROBE_OK);
        }
    }
    assert_int_equal(strobe_count(w.map), 2 * 256 * 52);
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b += 5) {
            char key[3] = {(char)a, (char)b, 0};

            len = 1;
            assert_int_equal(strobe_get(w.map, key, 3, &value, &len), STROBE_OK);
            assert_int_equal((unsigned char)value, a ^ b);
        }
    }
    map_world_close(&w);
}

/* ---- Versions --------------------------------------------------------------------------------------- */

static void test_no_version_ever_comes_back(void **state) {
    struct map_world w;
    uint64_t last = 0;

    (void)state;
    map_world_open(&w, 2);
    for (unsigned round = 0; round < 50; round++) {
        struct strobe_garbage *garbage;
        uint64_t version;

        map_world_set(&w, "k", "same bytes", 0);
        version = map_world_version(&w, "k");
        assert_true(version > last);
        last = version;
        map_world_set(&w, "k", "same bytes", 0);
        version = map_world_version(&w, "k");
        assert_true(version > last);
        last = version;
        if (round % 3 == 0) map_world_del(&w, "k");
        if (round % 7 == 0) {
            assert_int_equal(strobe_flush(w.map, &garbage), STROBE_OK);
            strobe_garbage_free(garbage);
        }
        if (round % 5 == 0) {
            map_world_set(&w, "k", "dies", w.now + 1);
            last = map_world_version(&w, "k");
            w.now += 1;
        }
    }
    map_world_close(&w);
}

static void test_versions_begin_after_the_first_and_after_the_clock(void **state) {
    struct map_world w;
    struct strobe_map *none;
    uint64_t high = UINT64_C(1) << 55;

    (void)state;
    map_world_open_with(&w, (struct strobe_map_options){.first_version = high});
    map_world_set(&w, "k", "v", 0);
    assert_true(map_world_version(&w, "k") > high);
    map_world_close(&w);
    map_world_open(&w, 1);
    map_world_set(&w, "k", "v", 0);
    assert_true(map_world_version(&w, "k") > UINT64_C(1700000000000000)); /* microseconds */
    assert_int_equal(strobe_map_new(&(struct strobe_map_options){.first_version = high + 1}, &none), STROBE_INVALID);
    map_world_close(&w);
}

/* ---- Accesses ---------------------------------------------------------------------------------------- */

static void test_a_replaced_entry_lives_until_it_is_freed(void **state) {
    struct map_world w;
    struct strobe_key key;
    struct strobe_access access;
    struct strobe_entry *entry, *old;
    const struct strobe_entry *found;
    size_t len;

    (void)state;
    map_world_open(&w, 1);
    map_world_set(&w, "k", "old", 0);
    key = map_world_key(&w, "k");
    entry = map_world_entry(&w, &key, "new", 0);
    strobe_enter(w.map, &key, &access);
    found = strobe_find(&access, &key);
    assert_int_equal(strobe_put(&access, &key, &entry), STROBE_OK);
    assert_ptr_equal(entry, found);
    assert_memory_equal(strobe_entry_value(found, &len), "old", 3);
    assert_memory_equal(strobe_entry_value(strobe_find(&access, &key), &len), "new", 3);
    assert_int_equal(strobe_erase(&access, &key, &old), STROBE_OK);
    assert_memory_equal(strobe_entry_value(old, &len), "new", 3);
    assert_null(strobe_find(&access, &key));
    strobe_leave(&access);
    strobe_entry_free(w.map, entry);
    strobe_entry_free(w.map, old);
    map_world_close(&w);
}

static void test_erasing_what_is_not_there_is_missing(void **state) {
    struct map_world w;
    struct strobe_key key;
    struct strobe_access access;
    struct strobe_entry *old;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    strobe_enter(w.map, &key, &access);
    assert_int_equal(strobe_erase(&access, &key, &old), STROBE_MISSING);
    strobe_leave(&access);
    assert_null(old);
    map_world_set(&w, "k", "v", w.now + 1);
    w.now += 1;
    strobe_map_tick(w.map);
    strobe_enter(w.map, &key, &access);
    assert_int_equal(strobe_erase(&access, &key, &old), STROBE_MISSING); /* it had expired, and is taken out */
    strobe_leave(&access);
    strobe_entry_free(w.map, old);
    assert_int_equal(strobe_count(w.map), 0);
    map_world_close(&w);
}

#define MANY 500u

struct many {
    char text[MANY][16];
    struct strobe_key keys[MANY];
    struct strobe_entry *entries[MANY];
};

static struct many *many_new(struct map_world *w, const char *value) {
    struct many *many = calloc(1, sizeof *many);

    assert_non_null(many);
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(many->text[i], sizeof many->text[i], "m%u", i);
        many->keys[i] = map_world_key(w, many->text[i]);
        if (value) many->entries[i] = map_world_entry(w, &many->keys[i], value, 0);
    }
    return many;
}

static void many_free(struct map_world *w, struct many *many) {
    for (unsigned i = 0; i < MANY; i++) strobe_entry_free(w->map, many->entries[i]);
    free(many);
}

static void test_one_access_holds_many_keys_of_all_shards(void **state) {
    (void)state;
    for (unsigned shards = 1; shards <= 1024; shards *= 32) {
        struct map_world w;
        struct many *many;
        struct strobe_access access;
        size_t len;

        map_world_open(&w, shards);
        many = many_new(&w, "x");
        strobe_enter_many(w.map, many->keys, MANY, &access);
        assert_int_equal(strobe_put_many(&access, many->keys, many->entries, MANY), STROBE_OK);
        for (unsigned i = 0; i < MANY; i++) {
            assert_null(many->entries[i]);
            assert_memory_equal(strobe_entry_value(strobe_find(&access, &many->keys[i]), &len), "x", 1);
        }
        for (unsigned i = 0; i < MANY; i += 2)
            assert_int_equal(strobe_erase(&access, &many->keys[i], &many->entries[i]), STROBE_OK);
        strobe_leave(&access);
        assert_int_equal(strobe_count(w.map), MANY / 2);
        many_free(&w, many);
        map_world_close(&w);
    }
}

static void test_an_access_to_no_key_is_possible(void **state) {
    struct map_world w;
    struct strobe_access access;

    (void)state;
    map_world_open(&w, 64);
    strobe_enter_many(w.map, NULL, 0, &access);
    assert_int_equal(strobe_access_now(&access), w.now);
    assert_int_equal(strobe_put_many(&access, NULL, NULL, 0), STROBE_OK);
    strobe_leave(&access);
    map_world_close(&w);
}

/* GIVEN: of the ten values that are replaced, how many are the caller's afterwards. */
static void put_same_key_often(bool snapshot_open, const char *was, unsigned given) {
    struct map_world w;
    struct strobe_key key, keys[10];
    struct strobe_entry *entries[10];
    struct strobe_snapshot *snapshot = NULL;
    struct strobe_access access;
    char text[8], *before, *after;

    map_world_open(&w, 1);
    map_world_set(&w, "k", was, 0);
    before = map_world_dump_now(&w);
    if (snapshot_open) assert_int_equal(strobe_snapshot_open(w.map, false, &snapshot), STROBE_OK);
    key = map_world_key(&w, "k");
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        keys[i] = key;
        entries[i] = map_world_entry(&w, &key, text, 0);
    }
    strobe_enter_many(w.map, keys, 10, &access);
    assert_int_equal(strobe_put_many(&access, keys, entries, 10), STROBE_OK);
    strobe_leave(&access);
    for (unsigned i = 0; i < 10; i++) {
        given -= entries[i] != NULL;
        strobe_entry_free(w.map, entries[i]);
    }
    assert_int_equal(given, 0);
    map_world_assert(&w, "k", "9");
    assert_int_equal(strobe_count(w.map), 1);
    if (snapshot_open) {
        after = map_world_dump(snapshot);
        assert_string_equal(after, before);
        free(after);
        strobe_snapshot_close(snapshot);
    }
    free(before);
    map_world_close(&w);
}

static void test_of_equal_keys_put_together_the_last_wins(void **state) {
    char large[201] = "";

    (void)state;
    memset(large, 'l', sizeof large - 1);
    put_same_key_often(false, "was", 10);
    put_same_key_often(true, "was", 10); /* the snapshot has its bytes */
    put_same_key_often(true, large, 9);  /* the snapshot has the entry itself */
}

struct batch {
    const struct many *many;
    size_t next;
    unsigned found;
};

static void visit_batch(void *context, size_t i, const struct strobe_entry *entry) {
    struct batch *batch = context;
    size_t len;

    assert_int_equal(i, batch->next++);
    assert_int_equal(entry != NULL, i % 3 == 0);
    if (!entry) return;
    batch->found++;
    assert_memory_equal(strobe_entry_key(entry, &len), batch->many->keys[i].data, batch->many->keys[i].len);
    assert_int_equal(len, batch->many->keys[i].len);
}

static void test_a_batch_is_visited_in_order_with_and_without_entries(void **state) {
    struct map_world w;
    struct many *many;

    (void)state;
    map_world_open(&w, 4);
    many = many_new(&w, NULL);
    for (unsigned i = 0; i < MANY; i += 3) map_world_set(&w, many->text[i], "x", 0);
    for (size_t count = 0; count <= MANY; count = count * 2 + 1) {
        struct batch batch = {.many = many};

        strobe_get_many(w.map, many->keys, count, visit_batch, &batch);
        assert_int_equal(batch.next, count);
        assert_int_equal(batch.found, (count + 2) / 3);
    }
    strobe_prefetch(w.map, many->keys, MANY);
    strobe_prefetch(w.map, many->keys, 0);
    many_free(&w, many);
    map_world_close(&w);
}

/* ---- The whole map ------------------------------------------------------------------------------------ */

static void test_a_flush_takes_everything_and_gives_the_memory_to_the_caller(void **state) {
    struct map_world w;
    struct strobe_garbage *garbage;
    struct strobe_stats empty, stats;
    size_t full, bytes;

    (void)state;
    map_world_open(&w, 8);
    map_world_stats(&w, &empty);
    bytes = w.memory.bytes;
    map_world_fill(&w, "k", 20000);
    map_world_set(&w, "expires", "v", w.now + 5);
    full = w.memory.bytes;
    assert_int_equal(strobe_flush(w.map, &garbage), STROBE_OK);
    assert_true(w.memory.bytes >= full);
    assert_int_equal(strobe_count(w.map), 0);
    map_world_assert(&w, "k1", NULL);
    map_world_set(&w, "k1", "anew", 0);
    map_world_assert(&w, "k1", "anew");
    strobe_garbage_free(garbage);
    strobe_garbage_free(NULL);
    map_world_del(&w, "k1");
    map_world_stats(&w, &stats);
    assert_int_equal(stats.segments, empty.segments);
    assert_int_equal(stats.slots, empty.slots);
    assert_int_equal(stats.entry_bytes, 0);
    assert_int_equal(stats.expiring, 0);
    assert_true(w.memory.bytes < bytes + bytes / 10); /* directories stay for the next growth */
    map_world_close(&w);
}

struct found {
    unsigned times;
    char key[16];
};

static void note_found(void *context, const struct strobe_entry *entry) {
    struct found *found = context;
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    assert_true(len < sizeof found->key);
    memcpy(found->key, key, len);
    found->key[len] = '\0';
    found->times++;
}

static void test_a_random_entry_is_found_inside_of_the_whole_map_if_one_is_alive(void **state) {
    struct map_world w;
    struct strobe_access access;
    struct found found = {0};

    (void)state;
    map_world_open(&w, 8);
    strobe_enter_all(w.map, &access);
    assert_int_equal(strobe_random_inside(&access, 1, note_found, &found), STROBE_MISSING);
    assert_int_equal(strobe_count_inside(&access), 0);
    strobe_leave(&access);
    map_world_fill(&w, "k", 10);
    for (unsigned i = 0; i < 10; i++) {
        char key[8];

        (void)snprintf(key, sizeof key, "k%u", i);
        map_world_set(&w, key, "v", i == 3 ? 0 : w.now + 1);
    }
    w.now += 1;
    (void)strobe_map_tick(w.map);
    strobe_enter_all(w.map, &access);
    for (uint64_t random = 0; random < 50; random++)
        assert_int_equal(strobe_random_inside(&access, random, note_found, &found), STROBE_OK);
    assert_int_equal(strobe_count_inside(&access), 10);
    strobe_leave(&access);
    assert_int_equal(found.times, 50);
    assert_string_equal(found.key, "k3");
    map_world_close(&w);
}

static void test_the_figures_are_true(void **state) {
    struct map_world w;
    struct strobe_stats stats;
    struct strobe_key key;
    struct strobe_entry *entry;
    size_t entry_bytes, before;

    (void)state;
    map_world_open(&w, 2);
    before = w.memory.bytes;
    key = map_world_key(&w, "k");
    entry = map_world_entry(&w, &key, "value", 0);
    entry_bytes = w.memory.bytes - before;
    strobe_entry_free(w.map, entry);
    map_world_set(&w, "k", "value", 0);
    map_world_set(&w, "l", "value", w.now + 5);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.entries, 2);
    assert_int_equal(stats.expiring, 1);
    assert_int_equal(stats.entry_bytes, 2 * entry_bytes + 8);
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.copies + stats.copies_made + stats.snapshots + stats.snapshot_bytes + stats.revoked, 0);
    map_world_set(&w, "l", "value", 0);
    map_world_fill(&w, "k", 20000);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.expiring, 0);
    assert_true(stats.splits > 10 && stats.resizes > 10);
    assert_int_equal(stats.segments, stats.splits + 2);
    assert_true(stats.slots > 20000 && stats.slots < 30000);
    map_world_drain(&w, "k", 20000);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.merges, stats.splits);
    map_world_close(&w);
}

static void test_memory_after_emptying_is_that_of_the_start(void **state) {
    struct map_world w;
    size_t start;

    (void)state;
    map_world_open(&w, 4);
    start = w.memory.bytes;
    map_world_fill(&w, "k", 100000);
    map_world_drain(&w, "k", 100000);
    assert_true(w.memory.bytes < start + start / 10 + 100000 / 500 * 16); /* and the directories' spare memory */
    map_world_close(&w);
}

STROBE_OUTSIDE static bool vigil_ended(struct map_world *w, const struct strobe_key *key,
                                       const struct strobe_vigil *vigil) {
    struct strobe_access access;

    strobe_enter(w->map, key, &access);
    bool ended = vigil->ended;
    strobe_leave(&access);
    return ended;
}

static void test_a_vigil_ends_when_its_key_is_put_though_it_is_gone_again(void **state) {
    enum { KEYS = 300 };
    struct map_world w;
    struct strobe_vigil vigils[KEYS], unused = {0};
    struct strobe_access access;
    char names[KEYS][8];

    (void)state;
    map_world_open(&w, 2);
    map_world_set(&w, "k0", "dead", w.now + 1); /* expired is absent, though its entry is still there */
    w.now += 2;
    strobe_map_tick(w.map);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%u", i);
        struct strobe_key key = map_world_key(&w, names[i]);
        strobe_enter(w.map, &key, &access);
        assert_null(strobe_find(&access, &key));
        strobe_vigil_begin(&access, &key, &vigils[i]);
        strobe_leave(&access);
    }
    for (unsigned i = 0; i < KEYS; i += 3) {
        map_world_set(&w, names[i], "v", 0);
        map_world_del(&w, names[i]);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        struct strobe_key key = map_world_key(&w, names[i]);
        assert_int_equal(vigil_ended(&w, &key, &vigils[i]), i % 3 == 0);
    }
    for (unsigned i = 0; i < KEYS; i += 2) strobe_vigil_end(&vigils[i]); /* from all places of the lists */
    for (unsigned i = 1; i < KEYS; i += 2) {
        struct strobe_key key = map_world_key(&w, names[i]);
        assert_int_equal(map_world_set(&w, names[i], "v", 0), STROBE_OK);
        assert_true(vigil_ended(&w, &key, &vigils[i]));
        strobe_vigil_end(&vigils[i]);
    }
    strobe_vigil_end(&vigils[1]); /* ended once, or never begun: nothing */
    strobe_vigil_end(&unused);
    map_world_close(&w);
}

/* A new key that is taken out again, because there is no memory for the next. */
static void test_a_put_that_fails_ends_no_vigil(void **state) {
    struct map_world w;
    struct strobe_vigil vigil;
    struct strobe_access access;
    struct strobe_key keys[2];
    struct strobe_entry *entries[2];
    struct strobe_snapshot *snapshot;
    char text[16];

    (void)state;
    map_world_open(&w, 2);
    keys[0] = map_world_key(&w, "first");
    for (unsigned i = 0; i == 0 || keys[1].hash >> 63 == keys[0].hash >> 63; i++) { /* in the other shard */
        (void)snprintf(text, sizeof text, "other %u", i);
        keys[1] = map_world_key(&w, text);
    }
    map_world_fill(&w, "k", 100); /* so that a snapshot has something to copy in both */
    strobe_enter(w.map, &keys[0], &access);
    strobe_vigil_begin(&access, &keys[0], &vigil);
    strobe_leave(&access);
    for (unsigned i = 0; i < 2; i++) entries[i] = map_world_entry(&w, &keys[i], "v", 0);
    assert_int_equal(strobe_snapshot_open(w.map, false, &snapshot), STROBE_OK);
    strobe_enter_many(w.map, keys, 2, &access);
    w.memory.fail_at = w.memory.calls + 5; /* a shard's first copy takes four: this is the second shard's */
    assert_int_equal(strobe_put_many(&access, keys, entries, 2), STROBE_NO_MEMORY);
    assert_int_equal(w.memory.calls, w.memory.fail_at);
    assert_null(strobe_find(&access, &keys[0]));
    assert_false(vigil.ended);
    assert_int_equal(strobe_put_many(&access, keys, entries, 2), STROBE_OK);
    assert_true(vigil.ended);
    strobe_leave(&access);
    strobe_snapshot_close(snapshot);
    strobe_vigil_end(&vigil);
    map_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_that_are_not_allowed_are_refused),
        cmocka_unit_test(test_any_number_of_shards_works),
        cmocka_unit_test(test_defaults_make_a_working_map),
        cmocka_unit_test(test_every_status_has_a_text),
        cmocka_unit_test(test_get_fills_the_room_and_tells_the_whole_length),
        cmocka_unit_test(test_get_of_a_large_value_fills_the_room_too),
        cmocka_unit_test(test_keys_of_no_length_or_too_long_are_refused),
        cmocka_unit_test(test_any_bytes_are_a_key),
        cmocka_unit_test(test_no_version_ever_comes_back),
        cmocka_unit_test(test_versions_begin_after_the_first_and_after_the_clock),
        cmocka_unit_test(test_a_replaced_entry_lives_until_it_is_freed),
        cmocka_unit_test(test_erasing_what_is_not_there_is_missing),
        cmocka_unit_test(test_one_access_holds_many_keys_of_all_shards),
        cmocka_unit_test(test_an_access_to_no_key_is_possible),
        cmocka_unit_test(test_of_equal_keys_put_together_the_last_wins),
        cmocka_unit_test(test_a_batch_is_visited_in_order_with_and_without_entries),
        cmocka_unit_test(test_a_flush_takes_everything_and_gives_the_memory_to_the_caller),
        cmocka_unit_test(test_a_random_entry_is_found_inside_of_the_whole_map_if_one_is_alive),
        cmocka_unit_test(test_the_figures_are_true),
        cmocka_unit_test(test_memory_after_emptying_is_that_of_the_start),
        cmocka_unit_test(test_a_vigil_ends_when_its_key_is_put_though_it_is_gone_again),
        cmocka_unit_test(test_a_put_that_fails_ends_no_vigil),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
