/* test_map_no_memory.c - each allocation of each operation fails in turn, in many states of the map.
 *
 * For each pair of a state and an operation: make the first allocation fail, then the second, ... until the operation
 * makes no more of them; once with that one failing alone, once with all that follow. The operation must say OK or
 * NO_MEMORY. After NO_MEMORY the map holds what it held, versions included; a snapshot that was open shows what it
 * showed; the same operation succeeds when there is memory again. In the end nothing has leaked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/segment.h"
#include "tests/map/map_world.h"

#define BATCH      20u
#define SPARE_KEYS 64u /* beyond the state's own, for what operations add */

struct scene {
    struct map_world w;
    unsigned keys; /* "k0" ... are there, "kKEYS" would be next */
    struct strobe_snapshot *snapshots[2];
    uint64_t sums[2]; /* what they show */
};

/* ---- What the map holds, as one number ---------------------------------------------------------- */

static uint64_t mix(uint64_t sum, const void *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) sum = (sum ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return sum ^ sum >> 29;
}

static uint64_t sum_of(const struct strobe_entry *entry) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325), version = strobe_entry_version(entry),
             expiry = strobe_entry_expiry(entry);
    size_t len;
    const char *bytes = strobe_entry_key(entry, &len);

    sum = mix(sum, bytes, len);
    bytes = strobe_entry_value(entry, &len);
    sum = mix(sum, bytes, len);
    sum = mix(sum, &version, sizeof version);
    return mix(sum, &expiry, sizeof expiry);
}

/* Key by key, which freezes nothing. Also that the map's own count is right. */
static uint64_t sum_of_map(struct scene *s) {
    uint64_t sum = 0, count = 0;
    char text[16];

    for (unsigned i = 0; i < s->keys + SPARE_KEYS; i++) {
        struct strobe_access access;
        const struct strobe_entry *entry;
        struct strobe_key key;

        (void)snprintf(text, sizeof text, "k%u", i);
        key = map_world_key(&s->w, text);
        strobe_enter(s->w.map, &key, &access);
        entry = strobe_find(&access, &key);
        sum += entry ? sum_of(entry) : 0;
        count += entry != NULL;
        strobe_leave(&access);
    }
    assert_true(strobe_count(s->w.map) >= count);
    return sum + count;
}

static enum strobe_visit add_entry(void *context, const struct strobe_entry *entry) {
    *(uint64_t *)context += sum_of(entry) + 1;
    return STROBE_VISIT_NEXT;
}

static uint64_t sum_of_snapshot(struct strobe_snapshot *snapshot) {
    struct strobe_position position = {0};
    uint64_t sum = 0;

    assert_int_equal(strobe_snapshot_read(snapshot, &position, NULL, 0, add_entry, &sum), STROBE_OK);
    return sum;
}

/* ---- States --------------------------------------------------------------------------------------- */

static void fill(struct scene *s, unsigned keys) {
    char text[16];

    for (; s->keys < keys; s->keys++) {
        (void)snprintf(text, sizeof text, "k%u", s->keys);
        assert_int_equal(map_world_set(&s->w, text, text, 0), STROBE_OK);
    }
}

static void shoot(struct scene *s, unsigned which) {
    s->sums[which] = sum_of_map(s);
    assert_int_equal(strobe_snapshot_open(s->w.map, false, &s->snapshots[which]), STROBE_OK);
}

static void be_empty(struct scene *s) {
    (void)s;
}

static void be_plain(struct scene *s) {
    fill(s, 100);
}

static void be_before_a_resize(struct scene *s) {
    fill(s, segment_limit(0));
}

static void be_before_a_split(struct scene *s) {
    fill(s, segment_limit(SEGMENT_CLASSES - 1));
}

/* One key before the directory doubles for the third time. */
static void be_before_a_doubling(struct scene *s) {
    static unsigned keys;

    if (!keys) {
        struct scene trial = {0};
        struct strobe_stats before, after;
        unsigned doublings = 0;

        map_world_open(&trial.w, 1);
        map_world_stats(&trial.w, &after);
        while (doublings < 3) {
            before = after;
            fill(&trial, trial.keys + 1);
            map_world_stats(&trial.w, &after);
            /* segment_bytes also counts the directory, in which alone it is not a whole number of KiB */
            doublings += after.segment_bytes % 1024 != before.segment_bytes % 1024;
        }
        keys = trial.keys - 1;
        map_world_close(&trial.w);
    }
    fill(s, keys);
}

/* Without memory for a larger segment it is filled to the last slot. */
static void be_full_to_the_last_slot(struct scene *s) {
    char text[16];
    enum strobe_status status;

    fill(s, segment_limit(0));
    do {
        (void)snprintf(text, sizeof text, "k%u", s->keys);
        s->w.memory.calls = 0;
        s->w.memory.fail_at = 2; /* the first one is the entry */
        status = map_world_set(&s->w, text, text, 0);
        s->w.memory.fail_at = 0;
        s->keys += status == STROBE_OK;
    } while (status == STROBE_OK);
    assert_int_equal(status, STROBE_NO_MEMORY);
    assert_int_equal(s->keys, segment_slots(0));
}

/* A pair of thin segments, and one erased key later they merge. */
static void be_before_a_merge(struct scene *s) {
    struct strobe_stats stats;
    char text[16];
    unsigned last;

    fill(s, segment_limit(SEGMENT_CLASSES - 1) + 1);
    map_world_stats(&s->w, &stats);
    assert_int_equal(stats.splits, 1);
    for (last = s->keys; last-- > 400;) {
        (void)snprintf(text, sizeof text, "k%u", last);
        assert_int_equal(map_world_del(&s->w, text), STROBE_OK);
    }
    s->keys = 400;
}

static void be_expired(struct scene *s) {
    char text[16];

    fill(s, 100);
    for (unsigned i = 1; i < 100; i += 2) {
        (void)snprintf(text, sizeof text, "k%u", i);
        assert_int_equal(map_world_set(&s->w, text, text, s->w.now + 10), STROBE_OK);
    }
}

static void be_flushed(struct scene *s) {
    struct strobe_garbage *garbage;

    fill(s, 2000);
    shoot(s, 0);
    assert_int_equal(strobe_flush(s->w.map, &garbage), STROBE_OK);
    strobe_garbage_free(garbage);
    s->keys = 0;
    fill(s, 300);
}

struct state {
    const char *name;
    void (*prepare)(struct scene *);
};

static const struct state states[] = {
    {"empty", be_empty},
    {"plain", be_plain},
    {"before a resize", be_before_a_resize},
    {"before a split", be_before_a_split},
    {"before a doubling", be_before_a_doubling},
    {"full to the last slot", be_full_to_the_last_slot},
    {"before a merge", be_before_a_merge},
    {"expired", be_expired},
    {"flushed", be_flushed},
};

/* ---- Operations ----------------------------------------------------------------------------------- */

/* Result OK or NO_MEMORY. After OK it may be done again, but need not do the same. */
static enum strobe_status do_set_new(struct scene *s) {
    char text[16];

    (void)snprintf(text, sizeof text, "k%u", s->keys);
    return map_world_set(&s->w, text, "new", s->w.now + 1000000);
}

static enum strobe_status do_set_again(struct scene *s) {
    return map_world_set(&s->w, "k0", "again", 0);
}

static enum strobe_status do_set_large(struct scene *s) {
    static const char large[STROBE_BLOB_MIN + 1];

    return strobe_set(s->w.map, "k1", 2, large, sizeof large, 0);
}

static enum strobe_status do_del(struct scene *s) {
    enum strobe_status status = map_world_del(&s->w, "k0");

    return status == STROBE_MISSING ? STROBE_OK : status;
}

static enum strobe_status do_many_dels(struct scene *s) {
    char text[16];

    for (unsigned i = 0; i < 10; i++) {
        enum strobe_status status;

        (void)snprintf(text, sizeof text, "k%u", i);
        status = map_world_del(&s->w, text);
        assert_true(status == STROBE_OK || status == STROBE_MISSING || status == STROBE_NO_MEMORY);
        if (status == STROBE_NO_MEMORY && i == 0) return status;
    }
    return STROBE_OK; /* those before one that failed are gone, and should be */
}

/* An MSET: keys that are there, keys that are not, one of them twice. */
static enum strobe_status do_put_many(struct scene *s) {
    char text[BATCH][16];
    struct strobe_key keys[BATCH];
    struct strobe_entry *entries[BATCH] = {NULL};
    struct strobe_entry_spec spec;
    struct strobe_access access;
    enum strobe_status status = STROBE_OK;

    for (unsigned i = 0; i < BATCH && status == STROBE_OK; i++) {
        unsigned number = i == BATCH - 1 ? s->keys : i % 2 ? i : s->keys + i / 2;

        (void)snprintf(text[i], sizeof text[i], "k%u", number);
        keys[i] = map_world_key(&s->w, text[i]);
        spec = (struct strobe_entry_spec){.key = &keys[i], .value = "many", .len = 4, .expiry = i % 3};
        status = strobe_entry_new(s->w.map, &spec, &entries[i]);
    }
    if (status == STROBE_OK) {
        strobe_enter_many(s->w.map, keys, BATCH, &access);
        status = strobe_put_many(&access, keys, entries, BATCH);
        strobe_leave(&access);
    }
    for (unsigned i = 0; i < BATCH; i++) strobe_entry_free(s->w.map, entries[i]);
    return status;
}

/* DEL of many keys: what can fail is done for all of them first. */
static enum strobe_status do_erase_many(struct scene *s) {
    char text[BATCH][16];
    struct strobe_key keys[BATCH];
    struct strobe_entry *old[BATCH] = {NULL};
    struct strobe_access access;
    enum strobe_status status = STROBE_OK;

    for (unsigned i = 0; i < BATCH; i++) {
        (void)snprintf(text[i], sizeof text[i], "k%u", i * 3);
        keys[i] = map_world_key(&s->w, text[i]);
    }
    strobe_enter_many(s->w.map, keys, BATCH, &access);
    for (unsigned i = 0; i < BATCH && status == STROBE_OK; i++) status = strobe_prepare(&access, &keys[i]);
    for (unsigned i = 0; i < BATCH && status == STROBE_OK; i++)
        assert_int_not_equal(strobe_erase(&access, &keys[i], &old[i]), STROBE_NO_MEMORY);
    strobe_leave(&access);
    for (unsigned i = 0; i < BATCH; i++) strobe_entry_free(s->w.map, old[i]);
    return status;
}

static enum strobe_status do_flush(struct scene *s) {
    struct strobe_garbage *garbage = NULL;
    enum strobe_status status = strobe_flush(s->w.map, &garbage);

    assert_true(status == STROBE_OK || garbage == NULL);
    strobe_garbage_free(garbage);
    return status;
}

static enum strobe_status do_snapshot(struct scene *s) {
    uint64_t expected = sum_of_map(s), sum = 0;
    struct strobe_position position = {0};
    struct strobe_snapshot *snapshot;
    enum strobe_status status = strobe_snapshot_open(s->w.map, false, &snapshot);
    bool failed = false;

    if (status != STROBE_OK) return status;
    /* A scan that met a lack of memory goes on where it was. */
    while (!position.end) {
        status = strobe_snapshot_read(snapshot, &position, NULL, 0, add_entry, &sum);
        assert_true(status == STROBE_OK || (status == STROBE_NO_MEMORY && !position.end));
        if (status == STROBE_NO_MEMORY) s->w.memory.fail_at = 0;
        failed = failed || status == STROBE_NO_MEMORY;
    }
    assert_true(sum == expected);
    strobe_snapshot_close(snapshot);
    return failed ? STROBE_NO_MEMORY : STROBE_OK;
}

static enum strobe_status do_sweep(struct scene *s) {
    uint64_t place = 0;

    /* What it cannot freeze it leaves for the next round. */
    (void)strobe_sweep(s->w.map, &place, 100);
    return STROBE_OK;
}

struct operation {
    const char *name;
    enum strobe_status (*run)(struct scene *);
};

static const struct operation operations[] = {
    {"set of a new key", do_set_new},
    {"set of a key that is there", do_set_again},
    {"set of a large value", do_set_large},
    {"del", do_del},
    {"ten dels", do_many_dels},
    {"put_many", do_put_many},
    {"erase of many", do_erase_many},
    {"flush", do_flush},
    {"snapshot", do_snapshot},
    {"sweep", do_sweep},
};

/* ---- The product ------------------------------------------------------------------------------------ */

static void scene_open(struct scene *s, const struct state *state, unsigned snapshots) {
    memset(s, 0, sizeof *s);
    map_world_open(&s->w, 1);
    state->prepare(s);
    for (unsigned i = 0; i < snapshots; i++) {
        if (!s->snapshots[i]) shoot(s, i);
        if (i == 0 && snapshots == 2 && s->keys) (void)map_world_set(&s->w, "k0", "between", 0);
    }
    if (state->prepare == be_expired) {
        s->w.now += 10;
        strobe_map_tick(s->w.map);
    }
}

static void scene_close(struct scene *s) {
    struct strobe_stats stats;

    for (unsigned i = 0; i < 2; i++) {
        if (!s->snapshots[i]) continue;
        assert_true(sum_of_snapshot(s->snapshots[i]) == s->sums[i]);
        strobe_snapshot_close(s->snapshots[i]);
    }
    map_world_stats(&s->w, &stats);
    assert_int_equal(stats.copies, 0);
    assert_int_equal(stats.snapshot_bytes, 0);
    map_world_close(&s->w);
}

/* Every key is found, and a snapshot of now shows the same as looking for each key does. */
static void assert_consistent(struct scene *s) {
    struct strobe_snapshot *snapshot;
    uint64_t sum = sum_of_map(s);

    assert_int_equal(strobe_snapshot_open(s->w.map, true, &snapshot), STROBE_OK);
    assert_true(sum_of_snapshot(snapshot) == sum);
    strobe_snapshot_close(snapshot);
}

/* False: the operation made fewer than AT allocations. */
static bool fail_once(const struct state *state, unsigned snapshots, const struct operation *operation, size_t at,
                      bool all_from) {
    struct scene s;
    enum strobe_status status;
    uint64_t before;
    bool failed;

    scene_open(&s, state, snapshots);
    before = sum_of_map(&s);
    s.w.memory.calls = 0;
    s.w.memory.fail_at = at;
    s.w.memory.fail_all_from = all_from;
    status = operation->run(&s);
    failed = s.w.memory.calls >= at;
    s.w.memory.fail_at = 0;
    s.w.memory.fail_all_from = false;
    assert_true(status == STROBE_OK || (status == STROBE_NO_MEMORY && failed));
    if (status == STROBE_NO_MEMORY) {
        assert_true(sum_of_map(&s) == before);
        assert_int_equal(operation->run(&s), STROBE_OK);
    }
    assert_consistent(&s);
    scene_close(&s);
    return failed;
}

static void fail_each(const struct operation *operation) {
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        for (unsigned snapshots = 0; snapshots <= 2; snapshots++) {
            size_t at = 1;

            while (fail_once(&states[i], snapshots, operation, at, false)) {
                (void)fail_once(&states[i], snapshots, operation, at, true);
                at++;
                assert_true(at < 1000);
            }
        }
    }
}

static void test_each_allocation_of_each_operation_can_fail(void **state) {
    fail_each(*state);
}

static void test_a_map_is_made_whole_or_not_at_all(void **state) {
    (void)state;
    for (unsigned shards = 1; shards <= 16; shards *= 4) {
        for (size_t at = 1;; at++) {
            struct checked_alloc memory;
            struct strobe_map_options options = {.allocator = &memory.allocator, .shards = shards};
            struct strobe_map *map = NULL;
            enum strobe_status status;

            checked_alloc_init(&memory);
            memory.fail_at = at;
            status = strobe_map_new(&options, &map);
            if (status == STROBE_OK) {
                assert_true(memory.calls < at);
                strobe_map_free(map);
                break;
            }
            assert_int_equal(status, STROBE_NO_MEMORY);
            assert_null(map);
            assert_int_equal(memory.live, 0);
        }
    }
}

int main(void) {
#define OPERATIONS (sizeof operations / sizeof operations[0])
    struct CMUnitTest tests[OPERATIONS + 1];

    for (size_t i = 0; i < OPERATIONS; i++) {
        tests[i] = (struct CMUnitTest){operations[i].name, test_each_allocation_of_each_operation_can_fail, NULL, NULL,
                                       (void *)(uintptr_t)&operations[i]};
    }
    tests[OPERATIONS] = (struct CMUnitTest)cmocka_unit_test(test_a_map_is_made_whole_or_not_at_all);
    return cmocka_run_group_tests_name("each allocation fails in turn", tests, NULL, NULL);
}
