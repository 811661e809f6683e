/* test_entry.c - every layout an entry can have keeps every byte it was given, and gives all memory back. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/entry.h"
#include "tests/map/map_world.h"

#define VERSION_MAX ((UINT64_C(1) << 56) - 1)

static const size_t key_lengths[] = {1, 2, 127, 128, 16383, 16384, STROBE_KEY_MAX};
static const size_t value_lengths[] = {0,      1, 127, 128, STROBE_BLOB_MIN - 1, STROBE_BLOB_MIN, STROBE_BLOB_MIN + 1,
                                       2097152};
static const size_t type_lengths[] = {0, 1, 24, STROBE_TYPE_MAX};
static const uint64_t expiries[] = {0, 1, 1767225600000, UINT64_MAX};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char *pattern(size_t len, unsigned salt) {
    char *bytes = malloc(len + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) bytes[i] = (char)(i * 13 + (i >> 8) + salt);
    return bytes;
}

static void assert_entry_is(const struct strobe_entry *entry, const struct strobe_entry_spec *spec) {
    size_t len;
    const char *bytes = strobe_entry_key(entry, &len);

    assert_int_equal(len, spec->key->len);
    assert_memory_equal(bytes, spec->key->data, len);
    bytes = strobe_entry_value(entry, &len);
    assert_int_equal(len, spec->len);
    assert_memory_equal(bytes, spec->value, len);
    bytes = strobe_entry_type(entry, &len);
    assert_int_equal(len, spec->type_len);
    if (len)
        assert_memory_equal(bytes, spec->type, len);
    else
        assert_null(bytes);
    assert_true(strobe_entry_expiry(entry) == spec->expiry);
    assert_int_equal(entry_expires(entry), spec->expiry != 0);
    assert_int_equal(strobe_entry_blob(entry) != NULL, spec->len >= STROBE_BLOB_MIN);
    assert_true(entry_has_key(entry, spec->key));
}

static void check_layout(struct map_world *w, const struct strobe_entry_spec *spec) {
    size_t before = w->memory.bytes;
    struct strobe_entry *entry, *filled;
    struct strobe_entry_spec empty = *spec;

    assert_int_equal(strobe_entry_new(w->map, spec, &entry), STROBE_OK);
    assert_int_equal(strobe_entry_memory(entry), w->memory.bytes - before);
    assert_entry_is(entry, spec);
    entry_set_version(entry, VERSION_MAX);
    assert_true(strobe_entry_version(entry) == VERSION_MAX);
    assert_entry_is(entry, spec);
    entry_set_version(entry, 1);
    assert_true(strobe_entry_version(entry) == 1);
    assert_entry_is(entry, spec);

    empty.value = NULL;
    assert_int_equal(strobe_entry_new(w->map, &empty, &filled), STROBE_OK);
    if (spec->len) memcpy(strobe_entry_fill(filled), spec->value, spec->len);
    assert_entry_is(filled, spec);
    strobe_entry_free(w->map, filled);
    strobe_entry_free(w->map, entry);
    assert_int_equal(w->memory.bytes, before);
}

static void test_every_layout_keeps_every_byte(void **state) {
    struct map_world w;

    (void)state;
    map_world_open(&w, 1);
    for (size_t k = 0; k < COUNT(key_lengths); k++) {
        char *key_bytes = pattern(key_lengths[k], 1);
        struct strobe_key key = strobe_key(w.map, key_bytes, key_lengths[k]);

        for (size_t v = 0; v < COUNT(value_lengths); v++) {
            char *value = pattern(value_lengths[v], 2);

            for (size_t t = 0; t < COUNT(type_lengths); t++) {
                char *type = pattern(type_lengths[t], 3);

                for (size_t e = 0; e < COUNT(expiries); e++)
                    check_layout(&w, &(struct strobe_entry_spec){.key = &key,
                                                                 .value = value,
                                                                 .len = value_lengths[v],
                                                                 .expiry = expiries[e],
                                                                 .type = type,
                                                                 .type_len = type_lengths[t]});
                free(type);
            }
            free(value);
        }
        free(key_bytes);
    }
    map_world_close(&w);
}

static void test_only_the_same_key_is_the_key(void **state) {
    static const char *const others[] = {"abcdefg", "abcdefgi", "abcdefghi", "Abcdefgh", "x"};
    struct map_world w;
    struct strobe_key key;
    struct strobe_entry *entries[2];

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "abcdefgh");
    entries[0] = map_world_entry(&w, &key, "x", 0);
    assert_int_equal(
        strobe_entry_new(w.map,
                         &(struct strobe_entry_spec){
                             .key = &key, .value = "x", .len = 1, .expiry = 5, .type = "text/abcdefgh", .type_len = 13},
                         &entries[1]),
        STROBE_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_true(entry_has_key(entries[i], &key));
        for (size_t o = 0; o < COUNT(others); o++) {
            struct strobe_key other = map_world_key(&w, others[o]);

            assert_false(entry_has_key(entries[i], &other));
        }
        strobe_entry_free(w.map, entries[i]);
    }
    map_world_close(&w);
}

static void test_an_entry_is_dead_from_its_millisecond_on(void **state) {
    struct map_world w;
    struct strobe_key key;
    struct strobe_entry *entry, *forever;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    entry = map_world_entry(&w, &key, "x", 1000);
    forever = map_world_entry(&w, &key, "x", 0);
    assert_false(entry_dead(entry, 999));
    assert_true(entry_dead(entry, 1000));
    assert_true(entry_dead(entry, 1001));
    assert_false(entry_dead(forever, UINT64_MAX));
    strobe_entry_free(w.map, entry);
    strobe_entry_free(w.map, forever);
    map_world_close(&w);
}

static void test_what_is_over_a_limit_is_refused(void **state) {
    struct map_world w;
    char *bytes = pattern(STROBE_KEY_MAX + 1, 0);
    struct strobe_key good, empty = {bytes, 0, 0}, large = {bytes, 0, STROBE_KEY_MAX + 1};
    struct strobe_entry *entry = NULL;
    size_t live;

    (void)state;
    map_world_open(&w, 1);
    good = map_world_key(&w, "k");
    live = w.memory.live;
    assert_int_equal(strobe_entry_new(w.map, &(struct strobe_entry_spec){.key = &empty}, &entry), STROBE_TOO_BIG);
    assert_int_equal(strobe_entry_new(w.map, &(struct strobe_entry_spec){.key = &large}, &entry), STROBE_TOO_BIG);
    assert_int_equal(
        strobe_entry_new(
            w.map, &(struct strobe_entry_spec){.key = &good, .type = bytes, .type_len = STROBE_TYPE_MAX + 1}, &entry),
        STROBE_TOO_BIG);
    assert_int_equal(
        strobe_entry_new(w.map, &(struct strobe_entry_spec){.key = &good, .len = (size_t)STROBE_VALUE_MAX + 1}, &entry),
        STROBE_TOO_BIG);
    assert_null(strobe_blob_new(w.map, (size_t)STROBE_VALUE_MAX + 1));
    assert_null(entry);
    assert_int_equal(w.memory.live, live);
    map_world_close(&w);
    free(bytes);
}

static void test_entries_share_a_blob_and_the_last_frees_it(void **state) {
    struct map_world w;
    struct strobe_key key;
    struct strobe_entry *entries[3];
    struct strobe_blob *blob;
    size_t len, live;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    live = w.memory.live;
    blob = strobe_blob_new(w.map, 50000);
    assert_non_null(blob);
    memset(strobe_blob_bytes(blob, &len), 'b', 50000);
    assert_int_equal(len, 50000);
    for (unsigned i = 0; i < 3; i++) {
        struct strobe_entry_spec spec = {.key = &key, .blob = blob, .expiry = i};

        assert_int_equal(strobe_entry_new(w.map, &spec, &entries[i]), STROBE_OK);
        assert_ptr_equal(strobe_entry_blob(entries[i]), blob);
        assert_ptr_equal(strobe_entry_value(entries[i], &len), strobe_blob_bytes(blob, NULL));
        assert_int_equal(len, 50000);
    }
    assert_int_equal(w.memory.live, live + 4);
    strobe_blob_release(blob);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(w.memory.live, live + 4 - i);
        assert_int_equal(strobe_blob_bytes(strobe_entry_blob(entries[2]), NULL)[49999], 'b');
        if (i < 2) strobe_entry_free(w.map, entries[i]);
    }
    blob = strobe_blob_share(strobe_entry_blob(entries[2]));
    strobe_entry_free(w.map, entries[2]);
    assert_int_equal(strobe_blob_bytes(blob, NULL)[0], 'b'); /* it outlives its entries */
    strobe_blob_release(blob);
    strobe_blob_release(NULL);
    assert_int_equal(w.memory.live, live);
    map_world_close(&w);
}

static void test_a_small_blob_stays_a_blob(void **state) {
    struct map_world w;
    struct strobe_key key;
    struct strobe_entry *entry;
    struct strobe_blob *blob;
    size_t len, before;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    before = w.memory.bytes;
    blob = strobe_blob_new(w.map, 3);
    memcpy(strobe_blob_bytes(blob, NULL), "abc", 3);
    assert_int_equal(strobe_entry_new(w.map, &(struct strobe_entry_spec){.key = &key, .blob = blob}, &entry),
                     STROBE_OK);
    strobe_blob_release(blob);
    assert_memory_equal(strobe_entry_value(entry, &len), "abc", 3);
    assert_int_equal(len, 3);
    assert_int_equal(strobe_entry_memory(entry), w.memory.bytes - before);
    strobe_entry_free(w.map, entry);
    map_world_close(&w);
}

static void test_a_longer_entry_shares_the_blob_of_a_shorter_one(void **state) {
    enum { LEN = 20000, MORE = 7, ROOM = 20010 };
    struct map_world w;
    struct strobe_key key;
    struct strobe_entry *old, *grown;
    struct strobe_blob *blob;
    char *place;
    size_t len;

    (void)state;
    map_world_open(&w, 1);
    key = map_world_key(&w, "k");
    blob = strobe_blob_new(w.map, ROOM);
    memset(strobe_blob_bytes(blob, NULL), 'a', LEN);
    strobe_blob_settle(blob, LEN, ROOM - LEN);
    assert_int_equal(strobe_entry_new(w.map, &(struct strobe_entry_spec){.key = &key, .blob = blob}, &old), STROBE_OK);
    strobe_blob_release(blob);
    assert_null(strobe_blob_extend(blob, LEN, ROOM - LEN + 1)); /* no room */
    assert_null(strobe_blob_extend(blob, LEN - 1, 1));          /* it has those bytes itself */
    assert_null(strobe_blob_extend(blob, LEN + 1, 1));
    place = strobe_blob_extend(blob, LEN, MORE);
    assert_ptr_equal(place, strobe_blob_bytes(blob, NULL) + LEN);
    assert_null(strobe_blob_extend(blob, LEN, 1)); /* the place is taken */
    strobe_blob_retract(blob, LEN);
    assert_ptr_equal(strobe_blob_extend(blob, LEN, MORE), place); /* and free again */
    memset(place, 'b', MORE);
    assert_int_equal(
        strobe_entry_new(w.map, &(struct strobe_entry_spec){.key = &key, .blob = blob, .len = LEN + MORE}, &grown),
        STROBE_OK);
    assert_ptr_equal(strobe_entry_value(old, &len), strobe_blob_bytes(blob, NULL));
    assert_int_equal(len, LEN);
    assert_ptr_equal(strobe_entry_value(grown, &len), strobe_blob_bytes(blob, NULL));
    assert_int_equal(len, LEN + MORE);
    assert_int_equal(strobe_entry_memory(old), strobe_entry_memory(grown)); /* of a blob that has its room */
    strobe_entry_free(w.map, old);
    assert_non_null(strobe_blob_extend(strobe_entry_blob(grown), LEN + MORE, ROOM - LEN - MORE));
    assert_int_equal(strobe_entry_value(grown, &len)[LEN], 'b');
    strobe_entry_free(w.map, grown);
    map_world_close(&w);
}

static void test_a_blob_gives_back_what_it_does_not_need(void **state) {
    struct map_world w;
    struct strobe_blob *blob;
    size_t before, len;

    (void)state;
    map_world_open(&w, 1);
    before = w.memory.bytes;
    blob = strobe_blob_new(w.map, 100000);
    strobe_blob_settle(blob, 30000, 500);
    assert_int_equal(w.memory.bytes - before, strobe_blob_memory(blob));
    assert_true(strobe_blob_memory(blob) < 31000);
    (void)strobe_blob_bytes(blob, &len);
    assert_int_equal(len, 30000);
    assert_null(strobe_blob_extend(blob, 30000, 501));
    assert_non_null(strobe_blob_extend(blob, 30000, 500));
    strobe_blob_release(blob);
    w.memory.allocator.shrink = NULL; /* then it is room for more */
    blob = strobe_blob_new(w.map, 100000);
    strobe_blob_settle(blob, 30000, 0);
    assert_true(strobe_blob_memory(blob) >= 100000);
    assert_non_null(strobe_blob_extend(blob, 30000, 70000));
    strobe_blob_release(blob);
    assert_int_equal(w.memory.bytes, before);
    map_world_close(&w);
}

/* Short runs: each length, each byte wrong in turn, and nothing beyond the end touched. */
static void test_short_runs_are_compared_and_copied_to_the_last_byte(void **state) {
    unsigned char from[ENTRY_SHORT_MAX], to[ENTRY_SHORT_MAX + 1], want[ENTRY_SHORT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof from; i++) from[i] = (unsigned char)(i * 37 + 11);
    for (size_t len = 0; len <= ENTRY_SHORT_MAX; len++) {
        memset(to, '#', sizeof to);
        memset(want, '#', sizeof want);
        memcpy(want, from, len);
        entry_copy_short(to, from, len);
        assert_memory_equal(to, want, sizeof to);
        assert_true(entry_same_short(to, from, len));
        for (size_t i = 0; i < len; i++) {
            to[i] ^= 128;
            assert_false(entry_same_short(to, from, len));
            to[i] ^= 128;
        }
    }
    entry_copy_short(NULL, from, 0);
    assert_true(entry_same_short(NULL, from, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layout_keeps_every_byte),
        cmocka_unit_test(test_short_runs_are_compared_and_copied_to_the_last_byte),
        cmocka_unit_test(test_only_the_same_key_is_the_key),
        cmocka_unit_test(test_an_entry_is_dead_from_its_millisecond_on),
        cmocka_unit_test(test_what_is_over_a_limit_is_refused),
        cmocka_unit_test(test_entries_share_a_blob_and_the_last_frees_it),
        cmocka_unit_test(test_a_small_blob_stays_a_blob),
        cmocka_unit_test(test_a_longer_entry_shares_the_blob_of_a_shorter_one),
        cmocka_unit_test(test_a_blob_gives_back_what_it_does_not_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
