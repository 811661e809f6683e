/* test_keys.c - each distribution is what it says, and a key's number can be read back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clients/bench/keys.h"

enum { COUNT = 1000, DRAWS = 1000000 };

static int falling(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* How often each of COUNT keys was drawn. */
static void draw(enum keys_dist dist, uint32_t drawn[COUNT]) {
    struct keys keys;
    struct keys_walk walk;

    memset(drawn, 0, COUNT * sizeof *drawn);
    keys_init(&keys, STROBE_SLICE("k"), 10, 0, COUNT, dist);
    keys_walk_init(&walk, 0, 42);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t number = keys_next(&keys, &walk);
        assert_in_range(number, 0, COUNT - 1);
        drawn[number]++;
    }
}

static void test_uniform_draws_each_key_as_often(void **state) {
    uint32_t drawn[COUNT];

    (void)state;
    draw(KEYS_UNIFORM, drawn);
    for (int i = 0; i < COUNT; i++) assert_in_range(drawn[i], 800, 1200); /* 6 standard deviations of 31.6 */
}

static void test_sequential_draws_by_turns(void **state) {
    struct keys keys;
    struct keys_walk walk;

    (void)state;
    keys_init(&keys, STROBE_SLICE(""), 3, 0, COUNT, KEYS_SEQUENTIAL);
    keys_walk_init(&walk, 700, 1);
    for (uint64_t i = 0; i < 3 * COUNT; i++) assert_int_equal(keys_next(&keys, &walk), (700 + i) % COUNT);
}

static uint64_t fnv(uint64_t rank) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (int i = 0; i < 8; i++) hash = (hash ^ ((rank >> (8 * i)) & 0xff)) * 1099511628211u;
    return hash;
}

/* What is expected of each key: the shares of the ranks whose hash falls on it. */
static void expected(double share[COUNT]) {
    double zeta = 0;

    for (int rank = 1; rank <= COUNT; rank++) zeta += pow(rank, -0.99);
    memset(share, 0, COUNT * sizeof *share);
    for (uint64_t rank = 0; rank < COUNT; rank++) share[fnv(rank) % COUNT] += pow((double)rank + 1, -0.99) / zeta;
}

static void test_zipf_draws_by_its_law(void **state) {
    uint32_t drawn[COUNT];
    double share[COUNT], distance = 0;

    (void)state;
    draw(KEYS_ZIPF, drawn);
    expected(share);
    for (int i = 0; i < COUNT; i++) distance += fabs(drawn[i] / (double)DRAWS - share[i]);
    /* Gray's method is exact for the first two ranks and an approximation behind them. */
    assert_true(distance / 2 < 0.03);
    double first = share[fnv(0) % COUNT];
    assert_true(fabs(drawn[fnv(0) % COUNT] / (double)DRAWS - first) < 0.01 * first + 0.003);
    qsort(drawn, COUNT, sizeof *drawn, falling);
    assert_in_range(drawn[0], 100000, 200000); /* 1 of 7.5 */
}

static void test_zeta_is_the_sum(void **state) {
    static const uint64_t counts[] = {1, 2, 3, 9999, 10000, 10001, 20000, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double sum = 0;
        for (uint64_t k = counts[i]; k >= 1; k--) sum += pow((double)k, -0.99);
        assert_true(fabs(keys_zeta(counts[i]) / sum - 1) < 1e-10);
    }
}

static void test_zipf_of_few_keys_stays_within_them(void **state) {
    (void)state;
    for (uint64_t count = 1; count <= 5; count++) {
        struct keys keys;
        struct keys_walk walk;
        keys_init(&keys, STROBE_SLICE("k"), 10, 0, count, KEYS_ZIPF);
        keys_walk_init(&walk, 0, count);
        for (int i = 0; i < 10000; i++) assert_in_range(keys_next(&keys, &walk), 0, count - 1);
    }
}

static void test_a_key_is_read_back(void **state) {
    struct keys keys;
    char text[16];
    uint64_t number;

    (void)state;
    keys_init(&keys, STROBE_SLICE("key:"), sizeof text, 0, 1000000, KEYS_UNIFORM);
    keys_write(&keys, 123456, text);
    assert_memory_equal(text, "key:000000123456", sizeof text);
    assert_true(keys_read(&keys, strobe_slice_make(text, sizeof text), &number));
    assert_int_equal(number, 123456);
    keys_write(&keys, 0, text);
    assert_memory_equal(text, "key:000000000000", sizeof text);
    assert_true(keys_read(&keys, strobe_slice_make(text, sizeof text), &number));
    assert_int_equal(number, 0);
}

static void test_keys_of_others_are_not_ours(void **state) {
    static const char *const others[] = {
        "key:00000099999",  "key:0000000999999", "kex:000000000001", "key:00000000000a",
        "key:000001000000", "key:-00000000001",  "key:999999999999", ""};
    struct keys keys;
    uint64_t number = 7;

    (void)state;
    keys_init(&keys, STROBE_SLICE("key:"), 16, 0, 1000000, KEYS_UNIFORM);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(keys_read(&keys, strobe_slice_make(others[i], strlen(others[i])), &number));
    assert_int_equal(number, 7);
}

static void test_numbers_begin_at_the_first(void **state) {
    static const enum keys_dist dists[] = {KEYS_UNIFORM, KEYS_ZIPF, KEYS_SEQUENTIAL};
    char text[8];
    uint64_t number;

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct keys keys;
        struct keys_walk walk;
        keys_init(&keys, STROBE_SLICE("k"), sizeof text, 500, 10, dists[i]);
        keys_walk_init(&walk, 3, 1);
        for (int draws = 0; draws < 1000; draws++) {
            uint64_t drawn = keys_next(&keys, &walk);
            assert_in_range(drawn, 500, 509);
            keys_write(&keys, drawn, text);
            assert_true(keys_read(&keys, strobe_slice_make(text, sizeof text), &number));
            assert_int_equal(number, drawn);
        }
        assert_false(keys_read(&keys, STROBE_SLICE("k0000499"), &number));
        assert_false(keys_read(&keys, STROBE_SLICE("k0000510"), &number));
    }
}

static void test_the_least_size_holds_all_numbers(void **state) {
    (void)state;
    assert_int_equal(keys_least_size(4, 0), 5);
    assert_int_equal(keys_least_size(4, 9), 5);
    assert_int_equal(keys_least_size(4, 10), 6);
    assert_int_equal(keys_least_size(0, 1000000), 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_draws_each_key_as_often),
        cmocka_unit_test(test_sequential_draws_by_turns),
        cmocka_unit_test(test_zipf_draws_by_its_law),
        cmocka_unit_test(test_zeta_is_the_sum),
        cmocka_unit_test(test_zipf_of_few_keys_stays_within_them),
        cmocka_unit_test(test_a_key_is_read_back),
        cmocka_unit_test(test_keys_of_others_are_not_ours),
        cmocka_unit_test(test_numbers_begin_at_the_first),
        cmocka_unit_test(test_the_least_size_holds_all_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
