/* test_single.c - strobe_get and strobe_set, whose usual case has a way of its own, against an access on the same map.
 *
 * Each of these runs twice: with what is compiled for this processor, and with what is compiled for any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/way.h"
#include "tests/map/map_world.h"

#define TEXT_MAX (ENTRY_SHORT_MAX + 8) /* lengths on both sides of what is short */

struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

static void open_world(struct map_world *w, unsigned shards, bool portable) {
    map_world_open(w, shards);
    if (portable) w->map->modern = false;
}

/* The entry of KEY, whose address says whether it was written over or replaced. */
static const struct strobe_entry *entry_of(struct map_world *w, const char *key) {
    struct strobe_key k = map_world_key(w, key);
    const struct strobe_entry *entry;
    struct strobe_access access;

    strobe_enter(w->map, &k, &access);
    entry = strobe_find(&access, &k);
    strobe_leave(&access);
    return entry;
}

/* ---- Random sets and gets, of keys and values of all lengths ------------------------------------ */

#define KEYS         900u
#define RANDOM_STEPS 60000u

/* One of KEYS keys, of lengths around those that are treated alike. Two of a length differ in one byte or two: the
 * first, one in the middle or the last. */
static struct text key_of(unsigned number) {
    static const size_t lengths[] = {1, 2, 7, 8, 9, 14, 15, 16, 17, 24, 25, 60, 126, 127, 128};
    unsigned count = sizeof lengths / sizeof lengths[0], round = number / count;
    struct text key = {.len = lengths[number % count]};
    size_t places[] = {0, key.len / 2, key.len - 1};

    memset(key.bytes, 'k', sizeof key.bytes);
    key.bytes[places[round % 3]] = (char)round; /* below 'k' */
    return key;
}

static struct text value_of(struct map_world *w, size_t len) {
    struct text value = {.len = len};

    for (size_t i = 0; i < len; i++) value.bytes[i] = (char)map_world_rnd(w);
    return value;
}

/* What an access finds: the slow truth. False: nothing. */
static bool truth(struct map_world *w, const struct text *key, struct text *value) {
    struct strobe_key k = strobe_key(w->map, key->bytes, key->len);
    const struct strobe_entry *entry;
    struct strobe_access access;

    strobe_enter(w->map, &k, &access);
    entry = strobe_find(&access, &k);
    if (entry) {
        const char *bytes = strobe_entry_value(entry, &value->len);

        assert_true(value->len <= sizeof value->bytes);
        memcpy(value->bytes, bytes, value->len);
    }
    strobe_leave(&access);
    return entry != NULL;
}

static void assert_get(struct map_world *w, const struct text *key, size_t room) {
    struct text want, got;
    bool there = truth(w, key, &want);

    memset(got.bytes, '#', sizeof got.bytes);
    got.len = room;
    assert_int_equal(strobe_get(w->map, key->bytes, key->len, room ? got.bytes : NULL, &got.len),
                     there ? STROBE_OK : STROBE_MISSING);
    if (!there) return;
    assert_int_equal(got.len, want.len);
    if (room > want.len) room = want.len;
    assert_memory_equal(got.bytes, want.bytes, room);
    for (size_t i = room; i < sizeof got.bytes; i++) assert_int_equal(got.bytes[i], '#');
}

static void set_and_check(struct map_world *w, const struct text *key, const struct text *value) {
    struct text now;

    assert_int_equal(strobe_set(w->map, key->bytes, key->len, value->bytes, value->len, 0), STROBE_OK);
    assert_true(truth(w, key, &now));
    assert_int_equal(now.len, value->len);
    assert_memory_equal(now.bytes, value->bytes, value->len);
}

static void random_steps(bool portable, unsigned shards) {
    struct map_world w;

    open_world(&w, shards, portable);
    for (unsigned step = 0; step < RANDOM_STEPS; step++) {
        struct text key = key_of(map_world_below(&w, KEYS));
        struct text value;

        /* Every other thousand steps have no new keys or lengths: after many of those nobody tries to write over. */
        switch (map_world_below(&w, 4) & (step / 1000 % 2 ? ~1u : ~0u)) {
        case 0: /* the same length again, if it is there: what is written over */
            if (truth(&w, &key, &value)) {
                value = value_of(&w, value.len);
                set_and_check(&w, &key, &value);
            }
            break;
        case 1:
            value = value_of(&w, map_world_below(&w, TEXT_MAX + 1));
            set_and_check(&w, &key, &value);
            break;
        case 2: (void)strobe_del(w.map, key.bytes, key.len); break;
        default: assert_get(&w, &key, map_world_below(&w, TEXT_MAX + 1)); break;
        }
    }
    map_world_close(&w);
}

/* New keys and lengths before are no reason any more not to try to write over (single.c, `doubt`). */
static void stop_doubting(struct map_world *w) {
    for (unsigned i = 0; i < 100; i++) (void)map_world_set(w, "settled", "always the same", 0);
}

/* ---- Written over only where nobody else can see it ------------------------------------------- */

static void assert_shows(struct strobe_snapshot *snapshot, const char *value, const char *not_value) {
    char *seen = map_world_dump(snapshot);

    assert_non_null(strstr(seen, value));
    assert_null(strstr(seen, not_value));
    free(seen);
}

static void over_and_kept(bool portable) {
    struct map_world w;
    struct strobe_snapshot *then;
    const struct strobe_entry *first;
    uint64_t version;
    size_t calls;

    open_world(&w, 1, portable);
    map_world_fill(&w, "key-", 100);
    (void)map_world_set(&w, "a key of 14 b.", "a value of twenty by", 0);
    stop_doubting(&w);
    first = entry_of(&w, "a key of 14 b.");
    version = map_world_version(&w, "a key of 14 b.");

    (void)map_world_set(&w, "a key of 14 b.", "A VALUE OF TWENTY BY", 0);
    assert_ptr_equal(entry_of(&w, "a key of 14 b."), first);
    assert_true(map_world_version(&w, "a key of 14 b.") > version);
    map_world_assert(&w, "a key of 14 b.", "A VALUE OF TWENTY BY");

    /* The old bytes are moved to the snapshot's copy; once there is room for them that takes no memory. */
    assert_int_equal(strobe_snapshot_open(w.map, false, &then), STROBE_OK);
    (void)map_world_set(&w, "key-7", "KEY-7", 0);
    calls = w.memory.calls;
    version = map_world_version(&w, "a key of 14 b.");
    (void)map_world_set(&w, "a key of 14 b.", "twenty bytes and one", 0);
    assert_true(map_world_version(&w, "a key of 14 b.") > version);
    (void)map_world_set(&w, "a key of 14 b.", "twenty bytes and two", 0);
    assert_ptr_equal(entry_of(&w, "a key of 14 b."), first);
    map_world_assert(&w, "a key of 14 b.", "twenty bytes and two");
    assert_int_equal(w.memory.calls, calls);
    assert_shows(then, "A VALUE OF TWENTY BY", "twenty bytes"); /* nobody has read it before */
    assert_shows(then, "key-7", "KEY-7");
    strobe_snapshot_close(then);
    map_world_close(&w);
}

/* What two copies name stays as it is. */
static void named_twice(bool portable) {
    struct map_world w;
    struct strobe_snapshot *older, *newer;
    const struct strobe_entry *first, *second;

    open_world(&w, 1, portable);
    map_world_fill(&w, "key-", 100);
    stop_doubting(&w);
    first = entry_of(&w, "key-5");
    assert_int_equal(strobe_snapshot_open(w.map, false, &older), STROBE_OK);
    (void)map_world_set(&w, "key-7", "KEY-7", 0);
    assert_int_equal(strobe_snapshot_open(w.map, false, &newer), STROBE_OK);
    (void)map_world_set(&w, "key-7", "Key-7", 0);

    (void)map_world_set(&w, "key-5", "KEY-5", 0);
    second = entry_of(&w, "key-5");
    assert_ptr_not_equal(second, first);
    (void)map_world_set(&w, "key-5", "Key-5", 0);
    assert_ptr_equal(entry_of(&w, "key-5"), second);
    map_world_assert(&w, "key-5", "Key-5");
    assert_shows(newer, "key-5", "KEY-5");
    strobe_snapshot_close(newer);
    assert_shows(older, "key-5", "KEY-5");
    strobe_snapshot_close(older);
    map_world_close(&w);
}

struct visit {
    struct map_world *w;
    unsigned met;
};

/* Sets each key that it meets to other bytes of the same length. */
static enum strobe_visit set_met(void *context, const struct strobe_entry *entry) {
    struct visit *visit = context;
    char key[16] = "", value[16] = "";
    size_t key_len, len;
    const char *bytes = strobe_entry_key(entry, &key_len);

    memcpy(key, bytes, key_len);
    bytes = strobe_entry_value(entry, &len);
    memcpy(value, bytes, len);
    if (strcmp(key, "settled") == 0) return STROBE_VISIT_NEXT;
    assert_string_equal(value, key);
    value[0] = 'K';
    (void)map_world_set(visit->w, key, value, 0);
    assert_ptr_not_equal(entry_of(visit->w, key), entry);
    assert_memory_equal(bytes, key, len); /* which nobody has written over */
    visit->met++;
    return STROBE_VISIT_NEXT;
}

/* Nor is what is read just now written over or freed. */
static void read_meanwhile(bool portable) {
    struct strobe_position position = {0};
    struct map_world w;
    struct visit visit = {.w = &w};
    struct strobe_snapshot *snapshot;

    open_world(&w, 1, portable);
    map_world_fill(&w, "key-", 100);
    stop_doubting(&w);
    assert_int_equal(strobe_snapshot_open(w.map, false, &snapshot), STROBE_OK);
    assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 0, set_met, &visit), STROBE_OK);
    assert_int_equal(visit.met, 100);
    map_world_assert(&w, "key-3", "Key-3");
    assert_shows(snapshot, "key-3", "Key-3");
    strobe_snapshot_close(snapshot);
    map_world_close(&w);
}

/* Who has set many new keys does not try to write over for a while, and then does again. */
static void doubting(bool portable) {
    unsigned replaced = 0;
    struct map_world w;
    char prefix[16];

    open_world(&w, 1, portable);
    (void)map_world_set(&w, "a key of 14 b.", "a value of twenty by", 0);
    for (unsigned i = 0; i < 10; i++) {
        const struct strobe_entry *before = entry_of(&w, "a key of 14 b.");

        (void)snprintf(prefix, sizeof prefix, "new %u-", i);
        map_world_fill(&w, prefix, 20);
        (void)map_world_set(&w, "a key of 14 b.", "A VALUE OF TWENTY BY", 0);
        replaced += entry_of(&w, "a key of 14 b.") != before;
    }
    assert_in_range(replaced, 5, 10);
    map_world_close(&w);
}

/* A longer value, a shorter one, one that expires, and each back. */
static void other_kinds(bool portable) {
    struct map_world w;
    struct strobe_stats stats;

    open_world(&w, 1, portable);
    (void)map_world_set(&w, "key", "1234567890123456", 0);
    (void)map_world_set(&w, "key", "12345678901234567", 0);
    map_world_assert(&w, "key", "12345678901234567");
    (void)map_world_set(&w, "key", "123456789012345", 0);
    map_world_assert(&w, "key", "123456789012345");
    (void)map_world_set(&w, "key", "543210987654321", w.now + 5);
    map_world_assert(&w, "key", "543210987654321");
    map_world_stats(&w, &stats);
    assert_int_equal(stats.expiring, 1);
    w.now += 5;
    map_world_assert(&w, "key", NULL);
    (void)map_world_set(&w, "key", "543210987654321", w.now + 5);
    stop_doubting(&w);
    (void)map_world_set(&w, "key", "123456789012345", 0); /* takes the expiry away */
    map_world_stats(&w, &stats);
    assert_int_equal(stats.expiring, 0);
    w.now += 5;
    map_world_assert(&w, "key", "123456789012345");
    map_world_close(&w);
}

/* A full segment: entries in the line after their home, also from the last line round to the first, and lines in
 * which several have the same tag. */
static void crowded(bool portable) {
    struct map_world w;
    char key[32];

    open_world(&w, 1, portable);
    map_world_fill(&w, "crowd-", 780);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 780; i++) {
            (void)snprintf(key, sizeof key, "crowd-%u", i);
            map_world_assert(&w, key, key);
            key[0] = 'C';
            map_world_assert(&w, key, NULL);
            key[0] = 'c';
            (void)map_world_set(&w, key, key, 0);
        }
    }
    map_world_close(&w);
}

/* An entry with a type whose bytes behind its lengths are those of another key, in the same line with the same tag: it
 * is not that key's. */
static void looks_like_another(bool portable) {
    struct map_world w;
    struct strobe_key typed = {.len = 0}, other;
    char key[11], type[5], guise[11], out[16];
    struct strobe_entry_spec spec = {.key = &typed, .value = "value", .len = 5, .type = type, .type_len = 4};
    struct strobe_entry *entry = NULL;
    struct strobe_access access;
    size_t len = sizeof out;
    uint32_t buckets = segment_buckets(0);

    open_world(&w, 1, portable);
    for (unsigned i = 0; i == 0 || segment_tag(typed.hash) != segment_tag(other.hash) ||
                         segment_home(typed.hash, buckets) != segment_home(other.hash, buckets);
         i++) {
        (void)snprintf(type, sizeof type, "%04u", i % 10000);
        (void)snprintf(key, sizeof key, "key %06u", i);
        (void)snprintf(guise, sizeof guise, "\4%s%.5s", type, key); /* as entry.c draws it: length of type, type, key */
        typed = strobe_key(w.map, key, 10);
        other = strobe_key(w.map, guise, 10);
    }
    assert_int_equal(strobe_entry_new(w.map, &spec, &entry), STROBE_OK);
    strobe_enter(w.map, &typed, &access);
    assert_int_equal(strobe_put(&access, &typed, &entry), STROBE_OK);
    strobe_leave(&access);

    assert_int_equal(strobe_get(w.map, guise, 10, out, &len), STROBE_MISSING);
    (void)map_world_set(&w, guise, "VALUE", 0);
    map_world_assert(&w, guise, "VALUE");
    map_world_assert(&w, key, "value");
    map_world_close(&w);
}

static void each_way(void (*test)(bool portable)) {
    test(false);
    test(true);
}

static void random_one_shard(bool portable) {
    random_steps(portable, 1);
}

static void random_many_shards(bool portable) {
    random_steps(portable, 64);
}

static void test_get_and_set_agree_with_an_access(void **state) {
    (void)state;
    each_way(random_one_shard);
    each_way(random_many_shards);
}

static void test_a_set_writes_over_and_a_snapshot_shows_what_was(void **state) {
    (void)state;
    each_way(over_and_kept);
}

static void test_a_set_replaces_what_two_copies_name(void **state) {
    (void)state;
    each_way(named_twice);
}

static void test_a_set_replaces_what_is_being_read(void **state) {
    (void)state;
    each_way(read_meanwhile);
}

static void test_who_sets_new_keys_does_not_try_to_write_over(void **state) {
    (void)state;
    each_way(doubting);
}

static void test_a_value_of_another_kind_is_replaced(void **state) {
    (void)state;
    each_way(other_kinds);
}

static void test_a_full_segment_is_searched_to_the_end(void **state) {
    (void)state;
    each_way(crowded);
}

static void test_a_typed_entry_is_not_the_key_it_looks_like(void **state) {
    (void)state;
    each_way(looks_like_another);
}

/* What was read before the lock is followed only if it is still so under it. (No test can stop a thread in between: it
 * would take a preemption there, which tests/stress/stress_growth meets now and then.) */
static bool holds(struct map_world *w, const struct way *way) {
    bool answer;

    shard_enter(&w->map->shards[0]);
    answer = way_holds(way, &w->map->shards[0]);
    shard_leave(&w->map->shards[0]);
    return answer;
}

static void test_a_way_holds_until_slot_or_directory_change(void **state) {
    unsigned by_slot = 0, by_directory = 0;
    const struct strobe_shard *shard;
    struct map_world w;
    char key[32];

    (void)state;
    map_world_open(&w, 1);
    shard = &w.map->shards[0];
    for (unsigned i = 0; i < 20000; i++) {
        struct way before = way_to(shard, 0), after;
        bool same_slot, same_directory;

        (void)snprintf(key, sizeof key, "way-%u", i);
        (void)map_world_set(&w, key, key, 0);
        after = way_to(shard, 0);
        same_slot = after.word == before.word;
        same_directory = after.directory == before.directory;
        assert_int_equal(holds(&w, &before), same_slot && same_directory);
        by_slot += same_directory && !same_slot;
        by_directory += same_slot && !same_directory;
    }
    assert_true(by_slot > 0 && by_directory > 0);
    map_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_set_agree_with_an_access),
        cmocka_unit_test(test_a_set_writes_over_and_a_snapshot_shows_what_was),
        cmocka_unit_test(test_a_set_replaces_what_two_copies_name),
        cmocka_unit_test(test_a_set_replaces_what_is_being_read),
        cmocka_unit_test(test_who_sets_new_keys_does_not_try_to_write_over),
        cmocka_unit_test(test_a_value_of_another_kind_is_replaced),
        cmocka_unit_test(test_a_full_segment_is_searched_to_the_end),
        cmocka_unit_test(test_a_typed_entry_is_not_the_key_it_looks_like),
        cmocka_unit_test(test_a_way_holds_until_slot_or_directory_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
